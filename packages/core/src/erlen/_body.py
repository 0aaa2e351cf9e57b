"""Layer 1: the body of a request, counted, and refused by name.

Werkzeug's stream and parsers do the work. What is added: a body without a
length that is larger than allowed is refused, not cut; a body shorter than
its length is refused on every server; each refusal names limit and setting.
"""

from __future__ import annotations

import io
import sys
import typing as t

from werkzeug.exceptions import ClientDisconnected
from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wsgi import LimitedStream
from werkzeug.wsgi import get_content_length
from werkzeug.wsgi import get_input_stream

if t.TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


class _Bounded(LimitedStream):
    """A body that says nothing of its length, up to a limit."""

    def __init__(self, stream: t.IO[bytes], limit: int) -> None:
        super().__init__(stream, limit, is_max=True)

    def readinto(self, b: t.Any) -> int | None:
        try:
            # A view keeps its size. An array shrinks where Werkzeug's server meets the
            # end within a chunk, which it then reads on and on, out of nothing.
            return super().readinto(t.cast("t.Any", memoryview(b)))
        except HTTPException:
            raise
        except Exception as exc:  # gunicorn's are of no common kind
            raise ClientDisconnected from exc

    def on_exhausted(self) -> None:
        # A body of exactly the limit is whole; one byte more tells.
        try:
            more = self._stream.read(1)
        except HTTPException:
            raise
        except Exception as exc:  # noqa: BLE001  # as above
            self.on_disconnect(exc)
        else:
            if more:
                raise too_large("max_content_length", self.limit)

    def readall(self) -> bytes:
        data = super().readall()
        if data and self.is_exhausted:
            self.on_exhausted()
        return data


class _Buffered(io.BufferedReader):
    """A limited stream that reads lines, which by itself takes 0.5 us a byte."""

    def exhaust(self) -> bytes:
        """Read the rest, as Werkzeug's stream does by this name."""
        return self.read()


def too_large(name: str, limit: int | None) -> RequestEntityTooLarge:
    """Make the error of a limit.

    Args:
        name: The request's attribute, the setting's name in small letters.
        limit: Its value.
    """
    what = {
        "max_form_parts": f"more than {limit} parts",
        "max_form_memory_size": f"a field of more than {limit} bytes",
    }
    return RequestEntityTooLarge(
        f"The request body has {what.get(name, f'more than {limit} bytes')}. The limit"
        f" is {name.upper()} in the configuration, or request.{name} for one view."
    )


def open_body(environ: WSGIEnvironment, limit: int | None) -> t.IO[bytes]:
    """Open the body as a stream that ends where the body ends.

    Args:
        environ: The WSGI environ.
        limit: The most bytes it may have, or None.

    Raises:
        RequestEntityTooLarge: 413, its length is above the limit.
    """
    terminated = environ.get("wsgi.input_terminated")
    if terminated and get_content_length(environ):  # none, if it is chunked
        # A server's word that the input ends by itself does not tell a whole
        # body from one cut short: count the bytes all the same.
        environ = {k: v for k, v in environ.items() if k != "wsgi.input_terminated"}
    elif terminated:
        # Bounded at any rate: what the server raises for a broken end is a 400 then.
        bound = sys.maxsize if limit is None else limit
        return _buffered(_Bounded(environ["wsgi.input"], bound))
    try:
        return _buffered(get_input_stream(environ, max_content_length=limit))
    except RequestEntityTooLarge:
        raise too_large("max_content_length", limit) from None


def _buffered(stream: t.Any) -> t.IO[bytes]:
    if isinstance(stream, LimitedStream):
        return _Buffered(t.cast("t.Any", stream))
    return t.cast("t.IO[bytes]", stream)


def name_limit(exc: RequestEntityTooLarge, request: t.Any) -> RequestEntityTooLarge:
    """Say which limit of a form was met, where Werkzeug's error does not.

    Args:
        exc: What parsing raised; the function that raised it tells the limit.
        request: The request, for the limits in force.
    """
    if exc.description != RequestEntityTooLarge.description:
        return exc
    tb = exc.__traceback__
    while tb is not None and tb.tb_next is not None:
        tb = tb.tb_next
    raiser = "" if tb is None else tb.tb_frame.f_code.co_name
    name = "max_form_parts" if raiser == "next_event" else "max_form_memory_size"
    return too_large(name, getattr(request, name))
