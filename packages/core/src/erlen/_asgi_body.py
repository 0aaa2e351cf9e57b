"""Layer 1: the body of a request that comes over ASGI.

A file object over `receive`: it waits in a worker thread, gives what was read
ahead to code on the event loop, and refuses there what was not.
"""

from __future__ import annotations

import asyncio
import io
import tempfile
import typing as t

from werkzeug.exceptions import ClientDisconnected

from ._body import too_large

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from ._environ import Message
    from ._environ import Receive
    from ._workers import Workers

#: The most bytes that are read ahead where MAX_CONTENT_LENGTH is not set.
READ_AHEAD = 16 * 1024 * 1024

#: The bytes of a body that are kept in memory before a temporary file is used.
_IN_MEMORY = 512 * 1024

#: How many messages are kept for who reads while the client is watched.
_KEPT = 16

_LEFT: Message = {"type": "http.disconnect"}

_UNREAD = """\
The body of this request has not been read yet, and the event loop cannot wait for it.
An async view has it; an async hook that runs before the view, and a view with
@reads_stream, says "await request.load_body()" first."""


def _open_file(files: list[t.Any]) -> None:
    """Add a temporary file; who is cancelled meanwhile has it all the same."""
    files.append(tempfile.TemporaryFile())  # noqa: SIM115  # closed with the body


class RequestBody(io.RawIOBase):
    """The body, in the order in which it arrives.

    Args:
        receive: The ASGI function that gives the next message.
        workers: Its loop is where `receive` is awaited.
        ended: Whether there is none.
    """

    def __init__(self, receive: Receive, workers: Workers, ended: bool = False) -> None:
        super().__init__()
        self._receive = receive
        self._workers = workers
        self._ahead: t.Any = None
        self._chunk = memoryview(b"")
        #: Whether all of it has arrived.
        self.ended = ended
        #: Whether the client has left before that.
        self.cut = False
        #: How many bytes were read ahead at most; None is as many as there are.
        self._limit: int | None = None
        #: What has come while the client was watched, and whether it is.
        self._kept: asyncio.Queue[Message] | None = None
        self._watched = False

    async def watch(self) -> None:
        """Return when the client has left, during a response.

        What comes before that is kept for who reads it. If that is much, nobody
        does, or reads slowly: then it is left to the server, and to who reads.
        """
        if self.cut:
            return
        kept: asyncio.Queue[Message] = asyncio.Queue()
        self._kept, self._watched = kept, True
        more = True
        try:
            while more and kept.qsize() < _KEPT:
                message = await self._receive()
                if message["type"] == "http.disconnect":
                    return
                kept.put_nowait(message)
                more = message.get("more_body", False)
            if more:
                self._watched = False
                await self._workers.loop.create_future()
            while (await self._receive())["type"] != "http.disconnect":
                pass
        finally:  # whoever reads on has nothing to wait for
            self._watched = False
            kept.put_nowait(_LEFT)

    async def _next(self) -> Message:
        kept = self._kept
        if kept is not None and (self._watched or kept.qsize()):
            return await kept.get()
        return await self._receive()

    async def pull(self) -> bytes:
        """Receive the next piece; empty at the end."""
        while not (self.ended or self.cut):
            message = await self._next()
            if message["type"] == "http.disconnect":
                self.cut = True
            else:
                self.ended = not message.get("more_body", False)
                if piece := message.get("body", b""):
                    return t.cast("bytes", piece)
        return b""

    async def load(self, limit: int | None, length: int | None) -> None:
        """Read ahead, so that reading does not wait.

        Args:
            limit: The most bytes; reading refuses a body that has more. None
                means 16 MiB.
            length: What the client says of its length, if anything.
        """
        if self._ahead is not None:
            return
        limit = READ_AHEAD if limit is None else limit
        if length is not None and length > limit:
            self._ahead, self._limit = io.BytesIO(), limit
            return
        pieces: list[bytes] = []
        files: list[t.Any] = []
        size = 0
        try:
            while size <= limit and (piece := await self.pull()):
                size += len(piece)
                pieces.append(piece)
                if size > _IN_MEMORY:
                    if not files:
                        await self._workers.run(_open_file, files)
                    await self._workers.run(files[0].writelines, pieces)
                    pieces = []
            if files:
                await self._workers.run(files[0].seek, 0)
        except BaseException:
            for file in files:
                file.close()
            raise
        ahead = files[0] if files else io.BytesIO(b"".join(pieces))
        self._ahead = ahead
        if size > limit:
            ahead.truncate(limit)
            self._limit = limit

    async def chunks(self) -> cabc.AsyncGenerator[bytes]:
        """Give the body piece by piece, as it arrives.

        Raises:
            ClientDisconnected: 400, the client left before its end.
            RequestEntityTooLarge: 413, there is more than was read ahead.
        """
        while piece := (self._ahead.read(65536) if self._ahead else await self.pull()):
            yield piece
        if self._limit is not None:
            raise too_large("max_content_length", self._limit)
        if self.cut:
            raise ClientDisconnected

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        """Read so many bytes, fewer only at the end, as WSGI has it."""
        if size is None or size < 0:
            return self.readall()
        data = b""
        while len(data) < size:
            try:
                piece = super().read(size - len(data))
            except ClientDisconnected:
                if data:
                    break
                raise
            if not piece:
                break
            data += piece
        return data

    def readinto(self, buffer: t.Any) -> int:
        if self._ahead is None and not self._chunk and not (self.ended or self.cut):
            self._chunk = memoryview(self._wait_for_piece())
        if self._chunk or self._ahead is None:  # the rest of what a hook has read
            data = self._chunk[: len(buffer)]
            self._chunk = self._chunk[len(data) :]
        else:
            data = self._ahead.read(len(buffer))
        if not data and self._limit is not None:
            raise too_large("max_content_length", self._limit)
        if not data and self.cut:
            raise ClientDisconnected
        buffer[: len(data)] = data
        return len(data)

    def _wait_for_piece(self) -> bytes:
        if self._workers.is_here():
            raise RuntimeError(_UNREAD)
        return self._workers.wait_for(self.pull())

    def close(self) -> None:
        """Let go of what was read ahead."""
        if self._ahead is not None:
            self._ahead.close()
        super().close()
