"""Lets one migrator at a time at a database, whatever the worker and the host.

The database itself keeps the lock where it can (PostgreSQL, MariaDB, MySQL), so that
one that is killed lets go with its connection. SQLite has a locked file beside it,
which the operating system lets go.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import socket
import time
import typing as t

import filelock
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

if t.TYPE_CHECKING:
    import collections.abc as cabc

__all__ = ["MigrationLockError", "hold"]

_log = logging.getLogger(__name__)

# Between two tries, in seconds. A try is one statement of its own: a server that
# waits inside a statement holds a snapshot, for which a CREATE INDEX CONCURRENTLY of
# the other migrator would wait in turn.
_PAUSE = 0.1


class MigrationLockError(RuntimeError):
    """Another migrator had the lock for longer than one is willing to wait."""


class _Lock(t.Protocol):
    def take(self) -> bool: ...
    def holder(self) -> str: ...
    def release(self) -> None: ...


class _PostgreSQL:
    """An advisory lock of the session, on the connection that migrates."""

    def __init__(self, connection: sa.Connection, name: str) -> None:
        self._connection = connection
        # The key is eight bytes with a sign. The server shows it as two halves.
        digest = hashlib.sha256(name.encode()).digest()[:8]
        self._key = int.from_bytes(digest, "big", signed=True)
        self._halves = {
            "high": int.from_bytes(digest[:4], "big"),
            "low": int.from_bytes(digest[4:], "big"),
        }

    def take(self) -> bool:
        statement = sa.select(sa.func.pg_try_advisory_lock(self._key))
        return bool(self._connection.scalar(statement))

    def holder(self) -> str:
        row = self._connection.execute(
            sa.text(
                "SELECT a.pid, a.application_name, a.client_addr, a.backend_start"
                " FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
                " JOIN pg_database d ON d.oid = l.database"
                " WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1"
                " AND CAST(l.classid AS bigint) = :high"
                " AND CAST(l.objid AS bigint) = :low"
                " AND d.datname = current_database()"
            ),
            self._halves,
        ).first()
        if row is None:
            return "another migrator"
        name = f" ({row.application_name})" if row.application_name else ""
        return (
            f"server process {row.pid}{name}, connected from"
            f" {row.client_addr or 'a local socket'} since {row.backend_start:%H:%M:%S}"
        )

    def release(self) -> None:
        self._connection.execute(sa.select(sa.func.pg_advisory_unlock(self._key)))


class _MariaDB:
    """A lock by name, which is the server's and not one database's."""

    def __init__(self, connection: sa.Connection, name: str) -> None:
        self._connection = connection
        database = connection.scalar(sa.select(sa.func.database()))
        # A name has 64 characters at most.
        digest = hashlib.sha256(f"{database}/{name}".encode()).hexdigest()[:32]
        self._name = f"erlen-db/{digest}"

    def take(self) -> bool:
        return self._connection.scalar(sa.select(sa.func.get_lock(self._name, 0))) == 1

    def holder(self) -> str:
        row = self._connection.execute(
            sa.text(
                "SELECT id, user, host FROM information_schema.processlist"
                " WHERE id = IS_USED_LOCK(:name)"
            ),
            {"name": self._name},
        ).first()
        if row is None:
            return "another migrator"
        return f"connection {row.id} of {row.user} from {row.host}"

    def release(self) -> None:
        self._connection.execute(sa.select(sa.func.release_lock(self._name)))


class _SQLite:
    """A locked file beside the database, and one that tells who has locked it."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = filelock.FileLock(f"{path}.migrate.lock", thread_local=False)
        # Not the locked file itself: older releases of the library empty it at each try.
        self._note = f"{path}.migrate.pid"

    def take(self) -> bool:
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            return False
        except OSError as exc:
            raise RuntimeError(
                f"The migration of {self._path} could not lock"
                f" {self._lock.lock_file}: {exc}. Migrations write a lock file beside"
                " the database, so its folder must be writable."
            ) from exc
        with contextlib.suppress(OSError), open(self._note, "w") as note:
            note.write(f"process {os.getpid()} on {socket.gethostname()}")
        return True

    def holder(self) -> str:
        with contextlib.suppress(OSError), open(self._note) as note:
            return note.read(200) or "another migrator"
        return "another migrator"

    def release(self) -> None:
        with contextlib.suppress(OSError):
            os.remove(self._note)
        self._lock.release()


def _sqlite_path(connection: sa.Connection) -> str:
    """Ask SQLite for the file of a database, which is empty for one in memory."""
    # The driver is asked, because SQLAlchemy would begin a transaction. Which may
    # have to wait for the very migrator whose lock is to be found.
    cursor = connection.connection.cursor()
    try:
        cursor.execute("PRAGMA database_list")
        return str(next(row[2] for row in cursor.fetchall() if row[1] == "main") or "")
    finally:
        cursor.close()


def _lock_for(connection: sa.Connection, name: str) -> _Lock | None:
    dialect = connection.dialect.name
    if dialect == "postgresql":
        return _PostgreSQL(connection, name)
    if dialect in {"mysql", "mariadb"}:
        return _MariaDB(connection, name)
    if dialect == "sqlite" and (path := _sqlite_path(connection)):
        return _SQLite(path)
    return None


def _wait(
    lock: _Lock,
    seconds: float,
    settle: cabc.Callable[[], None],
    say: cabc.Callable[[str], object],
) -> None:
    end = time.monotonic() + seconds
    told = False
    while not lock.take():
        holder = lock.holder()
        settle()
        if time.monotonic() >= end:
            raise MigrationLockError(
                f"Another migration of this database did not end within {seconds:g}"
                f" seconds: {holder}. Nothing was changed. Wait for it to end, end it,"
                " or wait for longer (--lock-timeout)."
            )
        if not told:
            say(f"Waiting up to {seconds:g} s for another migration: {holder}.")
            told = True
        time.sleep(min(_PAUSE, max(0.0, end - time.monotonic())))
    settle()


@contextlib.contextmanager
def hold(
    connection: sa.Connection,
    seconds: float = 60.0,
    *,
    name: str = "alembic_version",
    say: cabc.Callable[[str], object] = _log.info,
) -> cabc.Generator[None]:
    """Be the only migrator of a database for the length of a `with` block.

    Enter it before `context.configure()` and before anything is read of the state of
    the database, for the other migrator may have changed it: what was read earlier is
    stale. A connection that was not in a transaction is in none afterwards, so that
    Alembic begins its own.

    PostgreSQL, MariaDB and MySQL keep the lock with the connection, and drop it with
    it when the process is killed: the connection must be the one that migrates, and
    reach the server itself, not a pooler that hands out connections by transaction.
    SQLite has a locked file beside the database. A database in memory and other
    servers have no lock.

    Args:
        connection: The connection that will migrate.
        seconds: For how long to wait for another migrator.
        name: What is migrated. Migrators with other names do not wait for each other:
            the version table, with its schema where it has one.
        say: Is given a line when one has to wait, which tells for whom.

    Raises:
        MigrationLockError: The other migrator took longer.
        RuntimeError: The lock file beside a SQLite database cannot be written.
    """
    outer = connection.in_transaction()

    def settle() -> None:
        # Ends the transaction that the statements above began. The lock stays.
        if not outer:
            connection.rollback()

    lock = _lock_for(connection, name)
    if lock is None:
        yield
        return
    _wait(lock, seconds, settle, say)
    try:
        yield
    finally:
        _let_go(connection, lock, settle)


def _let_go(
    connection: sa.Connection, lock: _Lock, settle: cabc.Callable[[], None]
) -> None:
    """Release the lock, if need be by closing the connection that has it."""
    try:
        settle()
        lock.release()
        settle()
    except DBAPIError as exc:
        # Either it is gone, and the lock with it, or a failed transaction of somebody
        # else's is in the way. A connection of the pool must not keep the lock.
        _log.debug("The connection of a migration was closed to unlock it: %s", exc)
        connection.invalidate(exc)
