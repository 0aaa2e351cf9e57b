"""Servers of one's own, which tests kill, freeze and cut off from their clients.

Each is a process that was started here, on a port of its own, with data of its own.
"""

from __future__ import annotations

import contextlib
import ctypes
import glob
import os
import pwd
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

_libc = ctypes.CDLL(None)


def find_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def find_program(name):
    found = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))
    return shutil.which(name) or (found[-1] if found else None)


def wait_until(ready, seconds=30):
    """Wait for something that will be; what it raises meanwhile does not count."""
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(Exception):
            if ready():
                return
        assert time.monotonic() < end, "it never was"
        time.sleep(0.02)


def _die_with_parent():
    """End with the tests, even where they end without a goodbye."""
    with contextlib.suppress(AttributeError, OSError):  # is Linux's
        _libc.prctl(1, signal.SIGKILL)


class Server:
    """A server that is a child of this process.

    Servers refuse to be root, so that they run as the user of the distribution.
    """

    user = ""
    programs = ()

    def __init__(self):
        self.port = find_port()
        self.folder = tempfile.mkdtemp(prefix="erlen-")
        self.data = os.path.join(self.folder, "data")
        self.process = None
        self._as = {}
        if os.getuid() == 0:
            entry = pwd.getpwnam(self.user)
            self._as = {
                "user": entry.pw_uid,
                "group": entry.pw_gid,
                "extra_groups": [],
            }
            os.chown(self.folder, entry.pw_uid, entry.pw_gid)

    @classmethod
    def is_installed(cls):
        return all(find_program(it) for it in cls.programs)

    def run(self, *command):
        subprocess.run(
            command,
            check=True,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **self._as,
        )

    def spawn(self, *command):
        self.process = subprocess.Popen(
            command,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=_die_with_parent,  # noqa: PLW1509  # calls nothing of Python's
            **self._as,
        )

    def start(self):
        """Start it, and return when it answers."""
        end = time.monotonic() + 60
        while True:
            self.launch()
            while self.process.poll() is None:
                with contextlib.suppress(Exception):
                    self.ask()
                    return
                assert time.monotonic() < end, "it does not start"
                time.sleep(0.02)
            # The children of one that was killed may still hold its memory.
            assert time.monotonic() < end, "it does not start"
            time.sleep(0.05)

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """Shut it down without waiting for its clients."""
        self.signal(self.quick)
        self.process.wait(30)

    def remove(self):
        if self.process is not None and self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.kill()
        for _ in range(50):
            shutil.rmtree(self.folder, ignore_errors=True)
            if not os.path.exists(self.folder):
                break
            time.sleep(0.05)


class PostgreSQL(Server):
    """A PostgreSQL with a database `postgres`."""

    user = "postgres"
    programs = ("initdb", "postgres")
    quick = signal.SIGINT

    def __init__(self):
        super().__init__()
        self.run(
            *(find_program("initdb"), "-D", self.data, "-U", "postgres"),
            *("-A", "trust", "--no-sync", "--locale=C", "-E", "UTF8"),
        )

    def url(self, driver="psycopg", port=None):
        return f"postgresql+{driver}://postgres@127.0.0.1:{port or self.port}/postgres"

    def launch(self):
        self.spawn(
            *(find_program("postgres"), "-D", self.data, "-p", str(self.port)),
            *("-c", "listen_addresses=127.0.0.1"),
            *("-c", f"unix_socket_directories={self.folder}"),
            *("-c", "max_connections=60"),
        )

    def ask(self, statement="SELECT 1"):
        """Run a statement past the pools, and return its rows."""
        import psycopg

        conninfo = f"host=127.0.0.1 port={self.port} user=postgres connect_timeout=5"
        with psycopg.connect(conninfo, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def terminate_clients(self):
        self.ask(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )


class MariaDB(Server):
    """A MariaDB with a database `test`."""

    user = "mysql"
    programs = ("mariadb-install-db", "mariadbd")
    quick = signal.SIGTERM

    def __init__(self):
        super().__init__()
        self.run(
            *(find_program("mariadb-install-db"), "--no-defaults"),
            *(f"--datadir={self.data}", "--auth-root-authentication-method=normal"),
            "--skip-test-db",
        )

    def url(self, driver="pymysql", port=None):
        return f"mariadb+{driver}://root@127.0.0.1:{port or self.port}/test"

    def launch(self):
        self.spawn(
            *(find_program("mariadbd"), "--no-defaults", f"--datadir={self.data}"),
            *(f"--port={self.port}", "--bind-address=127.0.0.1"),
            *(f"--socket={self.folder}/socket", f"--pid-file={self.folder}/pid"),
            "--innodb-buffer-pool-size=32M",
        )

    def ask(self, statement="CREATE DATABASE IF NOT EXISTS test"):
        """Run a statement past the pools, and return its rows."""
        import pymysql

        connection = pymysql.connect(
            host="127.0.0.1", port=self.port, user="root", connect_timeout=5
        )
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            rows = cursor.fetchall()
            connection.commit()
        return rows

    def terminate_clients(self):
        for number, *_ in self.ask(
            "SELECT id FROM information_schema.processlist"
            " WHERE id <> connection_id() AND user = 'root'"
        ):
            with contextlib.suppress(Exception):  # is gone already
                self.ask(f"KILL {number}")


class Cutter:
    """Stands between clients and a server, and spoils what passes.

    `mode` is "pass", "freeze" (takes the bytes, and passes on none), "drip" (one
    byte a second), "slow" (200 ms later) or "reset" (each connection is torn).
    """

    def __init__(self, port):
        self.target = port
        self.mode = "pass"
        self._ended = False
        self._pairs = set()
        self._lock = threading.Lock()
        self._server = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            if self.mode == "reset":
                self._tear(client)
                client.close()
                continue
            threading.Thread(target=self._join, args=(client,), daemon=True).start()

    def _join(self, client):
        while self.mode == "freeze" and not self._ended:
            time.sleep(0.02)
        try:
            server = socket.create_connection(("127.0.0.1", self.target), 5)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        pair = (client, server)
        with self._lock:
            self._pairs.add(pair)
        for source, sink in (pair, pair[::-1]):
            threading.Thread(
                target=self._pump, args=(source, sink, pair), daemon=True
            ).start()

    def _pump(self, source, sink, pair):
        with contextlib.suppress(OSError, ValueError):
            while data := source.recv(65536):
                self._pass_on(data, sink)
        with self._lock:
            self._pairs.discard(pair)
        for sock in pair:
            if self.mode != "reset":  # a reset is what no goodbye precedes
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _pass_on(self, data, sink):
        while data:
            mode = self.mode
            if self._ended:
                raise OSError
            if mode == "freeze":
                time.sleep(0.02)
            elif mode == "drip":
                sink.sendall(data[:1])
                data = data[1:]
                end = time.monotonic() + 1
                while self.mode == "drip" and time.monotonic() < end:
                    time.sleep(0.02)
            else:
                if mode == "slow":
                    time.sleep(0.2)
                sink.sendall(data)
                return

    @staticmethod
    def _tear(sock):
        # With no time to linger, what the other side gets is a reset.
        linger = struct.pack("ii", 1, 0)
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            # Wakes the thread that reads of it, which then closes it.
            sock.shutdown(socket.SHUT_RD)

    def reset(self):
        """Tear all connections."""
        self.mode = "reset"
        with self._lock:
            pairs, self._pairs = self._pairs, set()
        for pair in pairs:
            for sock in pair:
                self._tear(sock)

    def close(self):
        self._ended = True
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        with self._lock:
            pairs, self._pairs = self._pairs, set()
        for pair in pairs:
            for sock in pair:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
