"""Layer 1: what views call: answers, addresses, flashes, files, streams.

Each function finds the application or the request in force through `_state`,
so that nothing here imports the classes that are built on top of it.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import re
import sys
import typing as t
from contextlib import ExitStack
from contextvars import copy_context
from functools import partial
from itertools import chain
from urllib.parse import urljoin
from urllib.parse import urlsplit

import werkzeug.exceptions
import werkzeug.utils
from werkzeug.exceptions import NotFound
from werkzeug.security import safe_join
from werkzeug.urls import iri_to_uri

from . import _state
from ._async_streams import AsyncContextStream
from .signals import message_flashed
from .signals import stream_started

if t.TYPE_CHECKING:
    import datetime as dt

    from werkzeug.wrappers import Response as BaseResponse

    from ._protocols import RequestContextLike
    from .wrappers import Response

P = t.ParamSpec("P")
T = t.TypeVar("T")

_OFF = frozenset({"0", "false", "no"})


def _environment(name: str) -> str:
    return os.environ.get(f"ERLEN_{name}") or os.environ.get(f"FLASK_{name}") or ""


def get_debug_flag() -> bool:
    """Tell whether the environment asks for debug mode.

    `ERLEN_DEBUG` is read first, `FLASK_DEBUG` second; "0", "false", "no" and
    an empty value mean no, in any case of letters.
    """
    value = _environment("DEBUG")
    return bool(value) and value.lower() not in _OFF


def get_load_dotenv(default: bool = True) -> bool:
    """Tell whether dotenv files shall be loaded.

    `ERLEN_SKIP_DOTENV` is read first, `FLASK_SKIP_DOTENV` second.

    Args:
        default: The answer when neither variable is set.
    """
    value = _environment("SKIP_DOTENV")
    return value.lower() in _OFF if value else default


def make_response(*args: t.Any) -> Response:
    """Make a response object of what a view could return, to add to it.

    Args:
        *args: Nothing for an empty response, a view's return value, or the
            members of the tuple that a view could return.

    Returns:
        An instance of the application's `response_class`.

    Raises:
        RuntimeError: No application context is pushed.
        TypeError: The value is not one that a view may return.
    """
    app = _state.app_context("make_response").app
    response: Response
    if args:
        response = app.make_response(args[0] if len(args) == 1 else args)
    else:
        response = app.response_class()
    return response


def url_for(
    endpoint: str,
    *,
    _anchor: str | None = None,
    _method: str | None = None,
    _scheme: str | None = None,
    _external: bool | None = None,
    **values: t.Any,
) -> str:
    """Build the URL of an endpoint, by the current application's `url_for`.

    Args:
        endpoint: Name of the endpoint; a leading "." means one of the current
            blueprint.
        _anchor: Appended as `#anchor`.
        _method: Build the URL of the rule that takes this method.
        _scheme: Scheme of an external URL.
        _external: Whether the URL has scheme and host; by default only
            outside a request.
        **values: Variables of the rule; the rest becomes the query string.

    Raises:
        RuntimeError: No application context is pushed, or no request is
            active and `SERVER_NAME` is not set.
        werkzeug.routing.BuildError: No rule fits the endpoint and values.
    """
    url: str = _state.app_context("url_for").app.url_for(
        endpoint,
        _anchor=_anchor,
        _method=_method,
        _scheme=_scheme,
        _external=_external,
        **values,
    )
    return url


def redirect(
    location: str,
    code: int = 302,
    Response: type[BaseResponse] | None = None,  # noqa: N803  # Flask's name
) -> BaseResponse:
    """Make a response that sends the client to another URL.

    Args:
        location: The URL.
        code: Status code: 301, 302, 303, 305, 307 or 308.
        Response: Class of the response where no application is current; an
            application uses its `redirect` and its own class.
    """
    ctx = _state.current.get()[0]
    if ctx is not None:
        response: BaseResponse = ctx.app.redirect(location, code=code)
        return response
    return werkzeug.utils.redirect(location, code=code, Response=Response)


# What a browser takes out of a URL or reads as a slash, and what names only a host.
_ODD = re.compile(r"^(?: |//)|[\x00-\x1f\x7f\\]| \Z")
# Where a browser sees a host or a scheme.
_NAMES_HOST = re.compile("//|[^/?#]*:")
_PORTS = {"http": ":80", "https": ":443"}


def safe_redirect_target(value: str | None) -> str | None:
    """Return a URL that a client gave if it stays on this site, else None.

    It stays if a browser that is sent there by `redirect` ends at the host and
    port of the request, and not at http when it came by https. Anything odd is
    refused.

    Args:
        value: Such as `request.args.get("next")`.

    Returns:
        The URL as it is sent, in ASCII. None for None, for an empty one, and
        where the request has no host.

    Raises:
        RuntimeError: No request is active.
    """
    request = _state.request_context("safe_redirect_target").request
    if not value or not request.host or _ODD.search(value):
        return None
    try:
        location = iri_to_uri(value)  # as a response does, which can change the host
        joined = urljoin(iri_to_uri(request.base_url), location)
        # Either is sent: a response class says so by `autocorrect_location_header`.
        stays = _stays(location, request) and _stays(joined, request)
    except ValueError:
        return None
    return location if stays else None


def _stays(location: str, request: t.Any) -> bool:
    if not _NAMES_HOST.match(location):
        return location != ""
    parts = urlsplit(location)
    scheme = parts.scheme
    own: str = request.host.lower()
    return (scheme == "https" or scheme == request.scheme == "http") and (
        parts.netloc.removesuffix(_PORTS[scheme]) == own
    )


def abort(code: int | BaseResponse, *args: t.Any, **kwargs: t.Any) -> t.NoReturn:
    """Raise the HTTP exception of a status code.

    Args:
        code: The status code, or a response to answer with as it is.
        *args: Passed to the exception; the first is its description.
        **kwargs: Passed to the exception.

    Raises:
        werkzeug.exceptions.HTTPException: Always, from the application's
            `aborter`, else from Werkzeug's.
        LookupError: There is no exception for this code.
    """
    ctx = _state.current.get()[0]
    if ctx is not None:
        ctx.app.aborter(code, *args, **kwargs)
    werkzeug.exceptions.abort(code, *args, **kwargs)


def get_template_attribute(template_name: str, attribute: str) -> t.Any:
    """Return a macro or a variable that a template exports.

    Args:
        template_name: Name of the template.
        attribute: Name of the macro or variable.

    Raises:
        AttributeError: The template exports no such name.
    """
    env = _state.app_context("get_template_attribute").app.jinja_env
    return getattr(env.get_template(template_name).module, attribute)


def flash(message: str, category: str = "message") -> None:
    """Keep a message in the session for the next page that shows them.

    Args:
        message: The message.
        category: A word such as "message", "error", "info" or "warning".

    Raises:
        RuntimeError: No request is active, or no secret key is set.
    """
    ctx = _state.request_context("flash")
    session = ctx.session
    # COMPAT: assigned, not only appended to: that marks the session modified.
    flashes = session.get("_flashes", [])
    flashes.append((category, message))
    session["_flashes"] = flashes
    if message_flashed.receivers:
        message_flashed.send(
            ctx.app,
            _async_wrapper=ctx.app.ensure_sync,
            message=message,
            category=category,
        )


@t.overload
def get_flashed_messages(
    with_categories: t.Literal[False] = ..., category_filter: t.Iterable[str] = ...
) -> list[str]: ...
@t.overload
def get_flashed_messages(
    with_categories: t.Literal[True], category_filter: t.Iterable[str] = ...
) -> list[tuple[str, str]]: ...
@t.overload
def get_flashed_messages(
    with_categories: bool = ..., category_filter: t.Iterable[str] = ...
) -> list[str] | list[tuple[str, str]]: ...
def get_flashed_messages(
    with_categories: bool = False, category_filter: t.Iterable[str] = ()
) -> list[str] | list[tuple[str, str]]:
    """Take the flashed messages out of the session.

    Further calls in the same request give the same messages again.

    Args:
        with_categories: Give pairs (category, message).
        category_filter: Give messages of these categories only.

    Raises:
        RuntimeError: No request is active.
    """
    ctx = _state.request_context("get_flashed_messages")
    flashes = ctx.flashes
    if flashes is None:
        session = ctx.session
        taken: list[t.Any] = session.pop("_flashes") if "_flashes" in session else []
        flashes = ctx.flashes = taken
    if category_filter:
        flashes = [pair for pair in flashes if pair[0] in category_filter]
    return list(flashes) if with_categories else [pair[1] for pair in flashes]


def send_file(
    path_or_file: os.PathLike[t.Any] | str | t.IO[bytes],
    mimetype: str | None = None,
    as_attachment: bool = False,
    download_name: str | None = None,
    conditional: bool = True,
    etag: bool | str = True,
    last_modified: dt.datetime | float | None = None,
    max_age: int | t.Callable[[str | None], int | None] | None = None,
) -> Response:
    """Send a file to the client.

    Never pass a path that a client gave: `send_from_directory` is for those.

    Args:
        path_or_file: A path, relative to the application's `root_path`, or a
            file open in binary mode, at the position to start from.
        mimetype: Media type; by default guessed from the name.
        as_attachment: Ask the browser to save the file instead of showing it.
        download_name: Name for the browser; by default that of the path.
        conditional: Answer conditional and range requests.
        etag: Whether to send an ETag, or the ETag.
        last_modified: When the file was changed, in seconds since 1970 or as
            a datetime; by default read from the path.
        max_age: For how many seconds the client may keep the file, or a
            function of the path; by default the application's
            `get_send_file_max_age`.

    Returns:
        An instance of the application's `response_class`.
    """
    ctx = _state.request_context("send_file")
    response = werkzeug.utils.send_file(
        path_or_file,
        mimetype=mimetype,
        as_attachment=as_attachment,
        conditional=conditional,
        etag=etag,
        last_modified=last_modified,
        **_file_settings(ctx, max_age, download_name),
    )
    return t.cast("Response", response)


def send_from_directory(
    directory: os.PathLike[str] | str, path: os.PathLike[str] | str, **kwargs: t.Any
) -> Response:
    """Send a file of a folder; the path may come from a client.

    Args:
        directory: The folder, relative to the application's `root_path`.
        path: Path of the file below the folder, with forward slashes.
        **kwargs: Passed to `send_file`.

    Returns:
        An instance of the application's `response_class`.

    Raises:
        werkzeug.exceptions.NotFound: There is no such regular file, or it is
            outside the folder, be it by a symbolic link.
    """
    ctx = _state.request_context("send_from_directory")
    folder = os.path.join(ctx.app.root_path, os.fspath(directory))
    found = safe_join(folder, os.fspath(path))
    if found is None or _leaves(folder, found):
        raise NotFound
    name = kwargs.pop("download_name", os.path.basename(path))
    settings = _file_settings(ctx, kwargs.pop("max_age", None), name)
    response = werkzeug.utils.send_from_directory(directory, path, **settings, **kwargs)
    return t.cast("Response", response)


# No header may have these, and a name may come from a client.
_CONTROLS = dict.fromkeys((*range(32), 127), "_")


def _file_settings(
    ctx: RequestContextLike, max_age: t.Any, name: str | None
) -> dict[str, t.Any]:
    app = ctx.app
    return {
        "download_name": name and name.translate(_CONTROLS),
        "environ": ctx.request.environ,
        "max_age": app.get_send_file_max_age if max_age is None else max_age,
        "use_x_sendfile": app.config["USE_X_SENDFILE"],
        "response_class": app.response_class,
        "_root_path": app.root_path,
    }


def _leaves(folder: str, path: str) -> bool:
    """Tell whether a symbolic link takes `path`, joined to `folder`, out of it."""
    # PERF: one lstat for each part below the folder. Only where one of them is
    # a link are both paths resolved, which costs an lstat for each part of each.
    part = path
    while len(part) > len(folder):
        if os.path.islink(part):
            root = os.path.join(os.path.realpath(folder), "")
            return not os.path.realpath(path).startswith(root)
        part = os.path.dirname(part)
    return False


def get_root_path(import_name: str) -> str:
    """Return the folder of a module or package.

    Args:
        import_name: Name of the module; where it cannot be found, the answer
            is the current working directory.

    Raises:
        RuntimeError: The module has no file, as a namespace package.
    """
    module = sys.modules.get(import_name)
    path: str | None = getattr(module, "__file__", None)
    if path is None:
        try:
            spec = importlib.util.find_spec(import_name)
        except (ImportError, ValueError):
            spec = None
        if spec is None or (spec.loader is None and spec.origin is None):
            return os.getcwd()
        if spec.has_location:
            path = spec.origin
        else:
            path = getattr(importlib.import_module(import_name), "__file__", None)
    if path is None:
        raise RuntimeError(
            f"No root path can be found for the module {import_name!r}: it has no"
            " file, because it is a namespace package, is built in or comes from"
            " an import hook. Pass root_path= to the application or blueprint."
        )
    return os.path.dirname(os.path.abspath(path))


class _ContextStream(t.Generic[T]):
    """An iterator that runs in the context in which it was made.

    The context is entered for each item, as a copy of its own, so that the
    serving thread's context is never touched: a client that leaves can leave
    nothing behind there.
    """

    _open = False

    def __init__(
        self, ctx: RequestContextLike, source: t.Iterable[T], items: t.Iterator[T]
    ) -> None:
        def release(
            _type: object, exc: BaseException | None, _traceback: object
        ) -> None:
            ctx.release(exc)

        self._items = items
        self._run = copy_context().run
        self._end = ExitStack()
        # Leaving the stack empties it, so each runs once; the last one first.
        self._end.push(release)
        for part in (source, items) if source is not items else (items,):
            if (close := getattr(part, "close", None)) is not None:
                self._end.callback(close)
        ctx.hold()
        self._open = True

    def __iter__(self) -> t.Iterator[T]:
        return self

    def __next__(self) -> T:
        try:
            return self._run(next, self._items)
        except StopIteration:
            self.close()
            raise
        except BaseException as exc:
            self._finish(exc)
            raise

    def close(self) -> None:
        """Close what is streamed, then let go of the context; once."""
        if self._open:
            self._finish(None)

    def _finish(self, exc: BaseException | None) -> None:
        self._open = False
        self._items = iter(())
        if exc is None:
            self._run(self._end.close)
        else:
            self._run(self._end.__exit__, type(exc), exc, exc.__traceback__)

    def __del__(self) -> None:
        self.close()


@t.overload
def stream_with_context(
    generator_or_function: t.Iterable[T],
) -> t.Iterator[T]: ...
@t.overload
def stream_with_context(
    generator_or_function: t.AsyncIterable[T],
) -> t.AsyncIterator[T]: ...
@t.overload
def stream_with_context(
    generator_or_function: t.Callable[P, t.AsyncIterable[T]],
) -> t.Callable[P, t.AsyncIterator[T]]: ...
@t.overload
def stream_with_context(
    generator_or_function: t.Callable[P, t.Iterable[T]],
) -> t.Callable[P, t.Iterator[T]]: ...
def stream_with_context(generator_or_function: t.Any) -> t.Any:
    """Keep the request context for as long as a stream runs.

    The context is let go when the stream ends, raises, or is closed because
    the client left; the wrapped iterator is closed before.

    Args:
        generator_or_function: An iterator, or a generator function to
            decorate, whose calls then give such streams. Either may be
            asynchronous.

    Raises:
        RuntimeError: No request is active; of a decorated function when it is
            called.
        TypeError: It can be neither iterated nor called.
    """
    generate: t.Any = generator_or_function
    iterable = hasattr(generate, "__iter__") or hasattr(generate, "__aiter__")
    if iterable or not callable(generate):
        return _stream(generate)

    @functools.wraps(generate)
    def stream(*args: t.Any, **kwargs: t.Any) -> t.Any:
        return _stream(generate(*args, **kwargs))

    return stream


def _stream(source: t.Any) -> t.Any:
    ctx = _state.request_context("stream_with_context")
    listens = bool(stream_started.receivers)
    if hasattr(source, "__aiter__"):
        awaited: AsyncContextStream[t.Any]
        awaited = AsyncContextStream(ctx, source, aiter(source))
        if listens:
            awaited.before = partial(_send_started, ctx)
        return awaited
    try:
        items = iter(source)
    except TypeError:
        raise TypeError(
            "stream_with_context() takes an iterator or a generator function, and"
            f" got {type(source).__name__!r}."
        ) from None
    stream = _ContextStream(ctx, source, items)
    if listens:
        stream._items = chain(_announce(ctx), items)
    return stream


def _send_started(ctx: RequestContextLike) -> None:
    stream_started.send(ctx.app, _async_wrapper=ctx.app.ensure_sync)


def _announce(ctx: RequestContextLike) -> t.Iterator[t.Any]:
    _send_started(ctx)
    yield from ()  # and no items: as their owner it would close them out of context
