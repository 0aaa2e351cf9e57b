"""Layer 3: from what a view returned to a Response."""

from __future__ import annotations

import collections.abc as cabc
import sys
import typing as t

from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as BaseResponse

from . import _state

if t.TYPE_CHECKING:
    from . import typing as ft
    from ._protocols import Responding
    from .wrappers import Response


#: What becomes the body of a response as it is.
_BODIES = (str, bytes, bytearray, cabc.Iterator, cabc.AsyncIterator)


def make_response(app: Responding, rv: ft.ResponseReturnValue) -> Response:
    """Convert the value that a view returned to a response.

    Args:
        app: The application.
        rv: Text, bytes, a dict or a list (sent as JSON), an iterator or
            generator of text or bytes, asynchronous or not (streamed), a response, a WSGI
            callable, or a tuple `(body, status)`, `(body, headers)` or
            `(body, status, headers)`.

    Raises:
        TypeError: Anything else; the message names the endpoint.
    """
    # PERF: by class, the usual kinds first; subclasses come below.
    kind = rv.__class__
    response: Response
    if kind is str or kind is bytes:
        response = app.response_class(rv)
        return response
    if kind is dict or kind is list:
        response = app.json.response(rv)
        return response
    if isinstance(rv, tuple):
        return _from_tuple(app, t.cast("tuple[t.Any, ...]", rv))
    return _from_value(app, rv)


def _endpoint() -> str | None:
    ctx = _state.current.get()[1]
    return None if ctx is None else t.cast("str | None", ctx.request.endpoint)


def _from_tuple(app: Responding, rv: tuple[t.Any, ...]) -> Response:
    status: t.Any = None
    headers: t.Any = None
    if len(rv) == 3:
        body, status, headers = rv
    elif len(rv) == 2:
        body, second = rv
        if isinstance(second, (Headers, dict, tuple, list)):
            headers = t.cast("t.Any", second)
        else:
            status = second
    else:
        raise TypeError(
            f"The view function for {_endpoint()!r} did not return a valid response"
            f" tuple. The tuple must have the form (body, status, headers), (body,"
            f" status), or (body, headers); this one has {len(rv)} items."
        )
    if body is None:
        raise _returned_none()
    if isinstance(body, _BODIES):
        response = app.response_class(body, status=status, headers=headers)
        return t.cast("Response", response)
    response = _from_value(app, body)
    if status is not None:
        response.status = status
    if headers:
        response.headers.update(headers)
    return response


def _returned_none() -> TypeError:
    return TypeError(
        f"The view function for {_endpoint()!r} did not return a valid response. The"
        " function either returned None or ended without a return statement."
    )


def _from_value(app: Responding, rv: t.Any) -> Response:
    if rv is None:
        raise _returned_none()
    response_class = app.response_class
    if isinstance(rv, response_class):
        return t.cast("Response", rv)
    if isinstance(rv, _BODIES):
        return t.cast("Response", response_class(rv))
    if isinstance(rv, (dict, list)):
        return t.cast("Response", app.json.response(rv))
    if isinstance(rv, BaseResponse) or callable(rv):
        ctx = _state.request_context("make_response")
        if isinstance(rv, HTTPException) and (rv.code or 0) >= 400:
            # PERF: a page of one piece stays one; called, it becomes a stream.
            rv = rv.get_response(ctx.request.environ)
        try:
            forced = response_class.force_type(rv, ctx.request.environ)
        except TypeError as exc:
            raise TypeError(f"{exc}\n{_valid_types(rv)}").with_traceback(
                sys.exc_info()[2]
            ) from None
        return t.cast("Response", forced)
    raise TypeError(_valid_types(rv))


def _valid_types(rv: t.Any) -> str:
    return (
        f"The view function for {_endpoint()!r} did not return a valid response. The"
        " return type must be a string, dict, list, tuple with headers or status,"
        " Response instance, or WSGI callable, but it was a"
        f" {type(rv).__name__}."
    )
