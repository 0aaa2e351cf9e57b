"""Layer 1: Request and Response, real Werkzeug objects with two differences.

What the request derives from the environ is derived when it is asked for, and
a response of one piece of bytes is built and sent by a short way. Both fall
back to Werkzeug's own way wherever something is overridden.
"""

from __future__ import annotations

import re
import typing as t

from werkzeug.datastructures import EnvironHeaders
from werkzeug.datastructures import Headers
from werkzeug.datastructures import IfRange
from werkzeug.exceptions import BadRequest
from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.exceptions import SecurityError
from werkzeug.utils import cached_property
from werkzeug.utils import get_content_type
from werkzeug.wrappers import Request as RequestBase
from werkzeug.wrappers import Response as ResponseBase

from . import _state
from . import json
from ._body import name_limit
from ._body import open_body
from ._lazy import lazy
from .debughelpers import attach_enctype_error_multidict

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from _typeshed.wsgi import StartResponse
    from _typeshed.wsgi import WSGIEnvironment
    from werkzeug.routing import Rule

_current = _state.current


def _blueprint_path(name: str) -> list[str]:
    """List the blueprints that a dotted blueprint name goes through.

    Args:
        name: Such as `"shop.admin"`.

    Returns:
        Innermost first, such as `["shop.admin", "shop"]`.
    """
    names = [name]
    while "." in name:
        name = name.rpartition(".")[0]
        names.append(name)
    return names


def _setting(name: str, fallback: t.Any) -> t.Any:
    ctx = _current.get()[0]
    return fallback if ctx is None else ctx.app.config[name]


def _decode_wsgi(value: str) -> str:
    """Decode a WSGI string (bytes as Latin-1) as UTF-8, bad bytes replaced."""
    if value.isascii():
        return value
    return value.encode("latin1").decode(errors="replace")


def _server(request: Request) -> tuple[str, int | None] | None:
    environ = request.environ
    name = environ.get("SERVER_NAME")
    if name is None:
        return None
    try:
        return name, int(environ.get("SERVER_PORT", ""))
    except ValueError:
        return name, None  # a unix socket


def _root_path(request: Request) -> str:
    return _decode_wsgi(request.environ.get("SCRIPT_NAME") or "").rstrip("/")


def _path(request: Request) -> str:
    return "/" + _decode_wsgi(request.environ.get("PATH_INFO") or "").lstrip("/")


def _query_string(request: Request) -> bytes:
    query: str = request.environ.get("QUERY_STRING", "")
    raw = query.encode("latin1")
    if query.isascii():
        return raw
    # Bytes that are no UTF-8 are quoted, as `args` does it, which would raise here.
    return raw.decode(errors="werkzeug.url_quote").encode()


def _scheme(request: Request) -> str:
    return t.cast("str", request.environ.get("wsgi.url_scheme", "http"))


def _remote_addr(request: Request) -> str | None:
    return request.environ.get("REMOTE_ADDR")


def _headers(request: Request) -> EnvironHeaders:
    return EnvironHeaders(request.environ)


def _lenient(name: str, absent: t.Callable[[], t.Any]) -> t.Any:
    """Read a header as Werkzeug does, or as if it was absent where that raises.

    base64 that is no ASCII and a date with a year of twenty digits do.
    """
    of: t.Any = getattr(RequestBase, name)

    def read(request: Request) -> t.Any:
        try:
            return of.__get__(request, type(request))
        except (OverflowError, ValueError):
            return absent()

    read.__doc__ = of.__doc__  # `doc=` is lost by a subclass of `property`
    if isinstance(of, cached_property):
        return cached_property(read, name)
    return property(read)


class Request(RequestBase):
    """The request of a view, as the `request` proxy gives it.

    Everything that Werkzeug's request has, and what routing found: the rule,
    its arguments, the endpoint and the blueprint.
    """

    json_module: t.Any = json

    #: The rule that matched, or None where none did.
    url_rule: Rule | None = None

    #: What the rule took from the URL, by name.
    view_args: dict[str, t.Any] | None = None

    #: Why no rule matched; raised when the request is dispatched.
    routing_exception: HTTPException | None = None

    shallow = False

    # Whether closing does anything: files were uploaded, or a subclass closes more.
    _needs_close = False

    _max_content_length: int | None = None
    _max_form_memory_size: int | None = None
    _max_form_parts: int | None = None

    if not t.TYPE_CHECKING:  # pragma: no branch - plain attributes to checkers
        scheme = lazy(_scheme)
        server = lazy(_server)
        root_path = lazy(_root_path)
        path = lazy(_path)
        query_string = lazy(_query_string)
        headers = lazy(_headers)
        remote_addr = lazy(_remote_addr)
        authorization = _lenient("authorization", type(None))
        date = _lenient("date", type(None))
        if_modified_since = _lenient("if_modified_since", type(None))
        if_unmodified_since = _lenient("if_unmodified_since", type(None))
        if_range = _lenient("if_range", IfRange)

    def __init__(
        self,
        environ: WSGIEnvironment,
        populate_request: bool = True,
        shallow: bool = False,
    ) -> None:
        """Wrap a WSGI environ.

        Args:
            environ: As the server gave it; it stays live.
            populate_request: Put this object into the environ as
                `werkzeug.request`.
            shallow: Refuse to read the body, for code that only looks.
        """
        # PERF: Werkzeug's own constructor derives nine values, 1.1 us.
        self.environ = environ
        self.method: str = environ.get("REQUEST_METHOD", "GET").upper()
        if shallow:
            self.shallow = True
        elif populate_request:
            environ["werkzeug.request"] = self

    def __init_subclass__(cls, **kwargs: t.Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._needs_close = cls.close is not RequestBase.close

    @property
    def max_content_length(self) -> int | None:
        """The most bytes that a body may have; None is no limit.

        The config `MAX_CONTENT_LENGTH`, unless set on this request.
        """
        if self._max_content_length is not None:
            return self._max_content_length
        return t.cast("int | None", _setting("MAX_CONTENT_LENGTH", None))

    @max_content_length.setter
    def max_content_length(  # pyright: ignore[reportIncompatibleVariableOverride]  # a plain class attribute there
        self, value: int | None
    ) -> None:
        self._max_content_length = value

    @property
    def max_form_memory_size(self) -> int | None:
        """The most bytes that one multipart field that is no file may have.

        The config `MAX_FORM_MEMORY_SIZE`, unless set on this request.
        """
        if self._max_form_memory_size is not None:
            return self._max_form_memory_size
        default = RequestBase.max_form_memory_size
        return t.cast("int | None", _setting("MAX_FORM_MEMORY_SIZE", default))

    @max_form_memory_size.setter
    def max_form_memory_size(  # pyright: ignore[reportIncompatibleVariableOverride]  # a plain class attribute there
        self, value: int | None
    ) -> None:
        self._max_form_memory_size = value

    @property  # type: ignore[override]  # Werkzeug has a plain class attribute
    def max_form_parts(self) -> int | None:
        """The most parts that a multipart body may have.

        The config `MAX_FORM_PARTS`, unless set on this request.
        """
        if self._max_form_parts is not None:
            return self._max_form_parts
        default = RequestBase.max_form_parts
        return t.cast("int | None", _setting("MAX_FORM_PARTS", default))

    @max_form_parts.setter
    def max_form_parts(self, value: int | None) -> None:
        self._max_form_parts = value

    @cached_property
    def host(self) -> str:
        """The host, with its port unless that is the scheme's own.

        Empty where the client sent none, or one that cannot be a host's name,
        and in all that runs after the request was refused for its host.

        Raises:
            SecurityError: 400, it is none of `trusted_hosts`.
        """
        try:
            host = super().host
        except SecurityError:
            # An error page, a hook or a log that asks for `url` is no 500.
            if isinstance(self.routing_exception, SecurityError):
                return ""
            raise SecurityError("The host is none of TRUSTED_HOSTS.") from None
        name = host.partition(":")[0].lower()
        if "xn--" in name:
            try:
                name.encode().decode("idna")
            except UnicodeError:  # out of `url`, it would be a 500
                return ""
        return host

    @property
    def endpoint(self) -> str | None:
        """The endpoint that matched, or None where none did."""
        rule = self.url_rule
        return None if rule is None else t.cast("str", rule.endpoint)

    @property
    def blueprint(self) -> str | None:
        """The registered, dotted name of the blueprint, or None outside one."""
        endpoint = self.endpoint
        if endpoint is None or "." not in endpoint:
            return None
        return endpoint.rpartition(".")[0]

    @property
    def blueprints(self) -> list[str]:
        """The blueprint and its parents by name, innermost first."""
        name = self.blueprint
        return [] if name is None else _blueprint_path(name)

    @cached_property
    def stream(self) -> t.IO[bytes]:
        """The body as a stream that ends where the body ends.

        Raises:
            RequestEntityTooLarge: 413, the body is larger than
                `max_content_length`; the text names limit and setting.
        """
        if self.shallow:
            raise RuntimeError(
                "This request was made with 'shallow=True' and does not read its body."
            )
        return open_body(self.environ, self.max_content_length)

    def _load_form_data(self) -> None:
        if "form" in self.__dict__:
            return
        self._needs_close = True
        try:
            super()._load_form_data()
        except RequestEntityTooLarge as exc:
            raise name_limit(exc, self) from None
        if (
            _setting("DEBUG", False)
            and self.mimetype != "multipart/form-data"
            and not self.files
        ):
            attach_enctype_error_multidict(self)

    def get_json(
        self, force: bool = False, silent: bool = False, cache: bool = True
    ) -> t.Any:
        """Parse the body as JSON.

        Args:
            force: Whatever the content type is.
            silent: Return None where the body is no JSON.
            cache: Keep the result.

        Raises:
            BadRequest: 400, the body is no JSON, or nested too deeply, or has
                half of a surrogate pair.
            UnsupportedMediaType: 415, the content type is not JSON's.
        """
        known, silently = self._cached_json
        value = silently if silent else known
        if cache and value is not Ellipsis:
            return value
        if not (force or self.is_json):
            return None if silent else self.on_json_loading_failed(None)
        data = self.get_data(cache=cache)
        try:
            value = known = silently = json._read_body(self.json_module.loads, data)
        except ValueError as exc:
            if silent:
                value = silently = None
            else:
                value = known = self.on_json_loading_failed(exc)
        if cache:
            self._cached_json = known, silently
        return value

    def on_json_loading_failed(self, e: ValueError | None) -> t.Any:
        """Answer a body that is no JSON, or has no JSON content type.

        Args:
            e: Why parsing failed; None means the wrong media type.

        Raises:
            BadRequest: 400; with the reason while debugging.
            UnsupportedMediaType: 415, when `e` is None.
        """
        if e is None or _setting("DEBUG", True):
            return super().on_json_loading_failed(e)
        raise BadRequest from e


_FORBIDDEN = re.compile("[\r\n\0]")

#: Headers that were found clean, so that a usual answer is checked by hash.
_clean: set[tuple[str, str]] = set()
_CLEAN_SIZE = 1024

#: Mimetypes whose header is remembered, for each class.
_TYPES = 64

_BODILESS = frozenset({*range(100, 200), 204, 304})

#: Where the conditions of a request have dates.
_DATES = frozenset(
    ("HTTP_IF_MODIFIED_SINCE", "HTTP_IF_RANGE", "HTTP_IF_UNMODIFIED_SINCE")
)


def _check_header(pair: tuple[str, str]) -> bool:
    """Refuse a header that would break the response apart.

    Returns:
        Whether the header can be sent as it is, by the short way.

    Raises:
        ValueError: CR, LF or NUL in the name or in the value.
    """
    name, value = pair
    if _FORBIDDEN.search(name) or _FORBIDDEN.search(value):
        raise ValueError(
            f"The response header {name!r} has a line break or a NUL in it, which"
            " would let its writer add headers of their own. Clean the value where"
            f" it is set: {value!r}"
        )
    name = name.lower()
    if name in {"location", "content-location"}:
        return False  # Werkzeug makes URIs of these
    if name != "set-cookie":
        if len(_clean) >= _CLEAN_SIZE:
            _clean.clear()
        _clean.add(pair)
    return True


class Response(ResponseBase):
    """The response of a view; HTML unless it is told otherwise."""

    default_mimetype: str | None = "text/html"

    json_module: t.Any = json

    autocorrect_location_header = False

    # What a plain response has, until somebody touches its headers: they are
    # then made of `_fields`. PERF: the constructor sets three attributes only.
    _fields: tuple[tuple[str, str], ...] | None = None
    _headers: Headers | None = None
    _status = "200 OK"
    _status_code = 200
    direct_passthrough = False

    # Whether the short ways hold for this class, decided once for each class.
    _short_init: t.ClassVar[bool] = True
    _short_call: t.ClassVar[bool] = True
    _type_fields: t.ClassVar[dict[str, tuple[tuple[str, str], ...]]] = {}

    _INIT_PARTS = ("set_data", "status", "status_code", "_clean_status", "data")
    _CALL_PARTS = (
        *("get_wsgi_response", "get_wsgi_headers", "get_app_iter", "iter_encoded"),
        *("close", "status", "status_code", "response"),
    )

    def __init_subclass__(cls, **kwargs: t.Any) -> None:
        super().__init_subclass__(**kwargs)

        def same(name: str) -> bool:
            return getattr(cls, name, None) is getattr(Response, name, None)

        cls._type_fields = {}
        plain = cls.default_status == 200 and cls.automatically_set_content_length
        cls._short_init = plain and all(map(same, (*cls._INIT_PARTS, "headers")))
        cls._short_call = all(map(same, cls._CALL_PARTS))

    def __init__(
        self,
        response: cabc.Iterable[bytes] | cabc.Iterable[str] | bytes | str | None = None,
        status: int | str | None = None,
        headers: t.Any = None,
        mimetype: str | None = None,
        content_type: str | None = None,
        direct_passthrough: bool = False,
    ) -> None:
        """Make a response.

        Args:
            response: The body: text, bytes, or an iterable of either.
            status: A code, or a code with its reason. 200 without one.
            headers: A mapping, pairs, or Werkzeug's Headers.
            mimetype: The content type without its parameters.
            content_type: The content type, whole.
            direct_passthrough: The body is sent as it is, such as a file.
        """
        body: t.Any = response
        if body.__class__ is str:
            body = body.encode()
        if (
            body.__class__ is not bytes
            or not (status is headers is content_type is None)
            or direct_passthrough
            or not self._short_init
        ):
            super().__init__(
                response, status, headers, mimetype, content_type, direct_passthrough
            )
            return
        # PERF: 0.4 us instead of 3.2 us for the body that most views return.
        if mimetype is None:
            mimetype = self.default_mimetype
        kind = self._type_fields.get(mimetype) or self._type_field(mimetype)  # type: ignore[arg-type]  # None is found nowhere
        self._fields = (*kind, ("Content-Length", str(len(body))))
        self._on_close = []
        self.response = [body]

    def _type_field(self, mimetype: str | None) -> tuple[tuple[str, str], ...]:
        """Make the Content-Type header of a mimetype, and remember it."""
        if mimetype is None:
            return ()
        field = ("Content-Type", get_content_type(mimetype, "utf-8"))
        _check_header(field)
        if len(self._type_fields) < _TYPES:
            self._type_fields[mimetype] = (field,)
        return (field,)

    @property
    def headers(self) -> Headers:
        """The headers, to be read and changed."""
        headers = self._headers
        if headers is None:
            # A response of Werkzeug's class that became one of this class has them.
            headers = self.__dict__.pop("headers", None)
            if headers is None:
                headers = Headers(self._fields)
            self._headers = headers
            self._fields = None
        return headers

    @headers.setter
    def headers(  # pyright: ignore[reportIncompatibleVariableOverride]  # a plain attribute there
        self, value: Headers
    ) -> None:
        self._headers = value
        self._fields = None

    @property
    def max_cookie_size(self) -> int:  # type: ignore[override]  # Werkzeug has a plain class attribute
        """The size in bytes above which a cookie warns: `MAX_COOKIE_SIZE`."""
        return t.cast("int", _setting("MAX_COOKIE_SIZE", ResponseBase.max_cookie_size))

    def make_conditional(
        self,
        request_or_environ: WSGIEnvironment | RequestBase,
        accept_ranges: bool | str = False,
        complete_length: int | None = None,
    ) -> t.Self:
        """Make this a 304, 412 or 206 where the request asks for it.

        Args:
            request_or_environ: The request, whose conditions count.
            accept_ranges: Whether parts can be asked for, or their unit.
            complete_length: The length of the whole body, for ranges.

        Raises:
            RequestedRangeNotSatisfiable: 416, there is no such part.
        """
        environ: t.Any = getattr(request_or_environ, "environ", request_or_environ)
        try:
            super().make_conditional(environ, accept_ranges, complete_length)
        except OverflowError:  # a year of twenty digits: no date, so no condition
            environ = {k: v for k, v in environ.items() if k not in _DATES}
            super().make_conditional(environ, accept_ranges, complete_length)
        return self

    def get_wsgi_headers(self, environ: WSGIEnvironment) -> Headers:
        """Return the headers as they are sent; 204 and 304 have no type."""
        headers = super().get_wsgi_headers(environ)
        if self.status_code in {204, 304}:
            headers.remove("Content-Type")
        return headers

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> cabc.Iterable[bytes]:
        """Send this response, as a WSGI application.

        Raises:
            ValueError: CR, LF or NUL in the status or in a header; nothing
                was sent yet.
        """
        # PERF: 0.3 us instead of the 4.0 us of `get_wsgi_response`.
        body: t.Any = self.response
        if (
            self._short_call
            and body.__class__ is list
            and len(body) == 1
            and body[0].__class__ is bytes
            and not self._on_close
            and self._status_code not in _BODILESS
            and environ["REQUEST_METHOD"] != "HEAD"
        ):
            fields: t.Any = self._fields if self._status == "200 OK" else None
            if fields is None:
                fields = self._checked_fields()
            if fields is not None:
                start_response(self._status, [*fields])
                return body
        chunks, status, headers = self.get_wsgi_response(environ)
        for pair in (("status", status), *headers):
            if pair not in _clean:
                _check_header(pair)
        start_response(status, headers)
        return chunks

    def _checked_fields(self) -> list[tuple[str, str]] | None:
        """Return the headers if they can be sent as they are, else None."""
        headers: t.Any = self.headers
        if headers.__class__ is not Headers:  # assigned: a dict, for one
            return None
        sized = False
        fields: list[tuple[str, str]] = headers._list
        for pair in (("status", self._status), *fields):
            if pair not in _clean and not _check_header(pair):
                return None
            if pair[0] == "Content-Length":
                sized = True
        return fields if sized else None
