"""The trail: a file of lines, each of them sealed and tied to the one before.

A line is a JSON object. Its last item, `seal`, signs two digests: of the line before
it, and of all that stands left of the seal. Who changes, moves, puts in or takes out a
line cannot sign it again without the application's key.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import sys
import threading
from collections.abc import Iterator
from datetime import UTC
from datetime import datetime
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import IO
from typing import Any

from erlen import Erlen
from erlen import has_request_context
from erlen import request
from erlen.extension import BadSignature
from erlen.extension import SignatureExpired
from erlen.extension import Signer

if sys.platform != "win32":
    import fcntl

NAME = "acme-audit"
SEAL = b', "seal": "'
END = b'"}'
BLOCK = 4096


class Trail:
    """The audit trail of one application.

    Args:
        app: The application; nothing is asked of it before the first line.
    """

    def __init__(self, app: Erlen) -> None:
        self._app = app
        self._lock = threading.Lock()

    @cached_property
    def _signer(self) -> Signer:
        return self._app.signer("acme-audit.line")

    @property
    def file(self) -> Path:
        """The file, wherever the configuration says now."""
        return Path(self._app.instance_path, self._app.config["AUDIT_FILE"])

    # Writing

    def note(self, event: str, /, **more: Any) -> None:
        """Write what happened, in which request, and what `AUDIT_EXTRA` knows."""
        entry: dict[str, Any] = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "event": event,
        }
        if has_request_context():
            entry["request"] = f"{request.method} {request.path}"
            entry["client"] = self._client(request.remote_addr)
        extra = self._app.config["AUDIT_EXTRA"]
        entry["more"] = {**(extra() if extra else {}), **more}
        self.append(entry)

    def _client(self, address: str | None) -> str | None:
        key: str | None = self._app.config["AUDIT_ADDRESS_KEY"]
        if key is None or address is None:
            return address
        return hmac.new(key.encode(), address.encode(), "sha256").hexdigest()[:16]

    def append(self, entry: dict[str, Any]) -> None:
        """Seal an entry, and append it as a line."""
        text = json.dumps(entry, default=str)[:-1].encode()
        # Other threads wait for our lock, other processes for the one of the file.
        with self._lock, self.file.open("ab+") as file:
            if sys.platform != "win32":  # there, one process may write
                fcntl.flock(file, fcntl.LOCK_EX)
            last = _last_line(file)
            before = last.removesuffix(b"\n")
            gap = b"\n" if before and before == last else b""  # a line was cut off
            seal = self._signer.dumps([_digest(before), _digest(text)]).encode()
            file.write(gap + text + SEAL + seal + END + b"\n")

    def probe(self) -> None:
        """Raise what would keep a line from being written.

        Raises:
            OSError: The file cannot be written, or its folder is missing.
            RuntimeError: There is no `SECRET_KEY`.
        """
        self._signer.dumps("")
        # Looked at and not opened: whoever asks need not be who owns the file.
        place = self.file if self.file.exists() else self.file.parent
        if self.file.is_dir() or not os.access(place, os.W_OK):
            raise PermissionError(f"{self.file} cannot be written.")

    # Reading

    def lines(self) -> Iterator[bytes]:
        """Yield the lines as they are in the file; none where there is no file."""
        if self.file.exists():
            with self.file.open("rb") as file:
                for line in file:
                    yield line.removesuffix(b"\n")

    def faults(self) -> Iterator[tuple[int, str]]:
        """Yield the number of each line that is not as it was written, and why."""
        before = b""
        for number, line in enumerate(self.lines(), 1):
            if fault := self._fault(line, before):
                yield number, fault
            before = line

    def _fault(self, line: bytes, before: bytes) -> str | None:
        text, seal = _parts(line)
        try:
            follows, own = self._signer.loads(seal)
        except BadSignature:
            return "has no seal of this application"
        if own != _digest(text):
            return "was changed"
        if follows != _digest(before):
            return "does not follow the line that was before it"
        return None

    def is_older_than(self, age: timedelta) -> bool:
        """Tell whether the first line was sealed longer ago than `age`."""
        try:
            self._signer.loads(_parts(next(self.lines(), b""))[1], max_age=age)
        except SignatureExpired:
            return True
        except BadSignature:  # no line, or one that `faults` tells of
            pass
        return False


def trail_of(app: Erlen) -> Trail:
    """Return the trail of an application.

    Raises:
        RuntimeError: It has none.
    """
    trail: Trail | None = app.extensions.get(NAME)
    if trail is None:
        raise RuntimeError(
            f"The application {app.name!r} has no audit trail: call"
            " Audit().init_app(app) where it is made."
        )
    return trail


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _parts(line: bytes) -> tuple[bytes, bytes]:
    """Take a line apart: all that was sealed, and the seal."""
    text, _, seal = line.rpartition(SEAL)
    return text, seal.removesuffix(END) if seal.endswith(END) else b""


def _last_line(file: IO[bytes]) -> bytes:
    """Read the last line with its end, b"" where there is none."""
    end = start = file.seek(0, os.SEEK_END)
    tail = b""
    while start and b"\n" not in tail[:-1]:
        start = max(start - BLOCK, 0)
        file.seek(start)
        tail = file.read(end - start)
    return tail[tail.rfind(b"\n", 0, -1) + 1 :]
