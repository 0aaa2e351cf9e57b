"""Layer 1: sessions, by default in a signed cookie that Flask reads too.

A session interface opens the session of a request and saves it. The default
one opens it when it is first read; a subclass that changes how is opened
with each request, as its author expects. `session_stores` keeps them elsewhere.
"""

from __future__ import annotations

import collections.abc as cabc
import hashlib
import typing as t
from base64 import urlsafe_b64decode
from datetime import UTC
from datetime import datetime
from functools import cached_property

from werkzeug.datastructures import CallbackDict
from werkzeug.exceptions import Conflict

from . import _state
from ._keys import find_serializer
from ._unavailable import Unavailable
from .json.tag import TaggedJSONSerializer
from .signals import session_rotated

if t.TYPE_CHECKING:
    from itsdangerous import URLSafeTimedSerializer

__all__ = [
    "NullSession",
    "SecureCookieSession",
    "SecureCookieSessionInterface",
    "SessionConflict",
    "SessionInterface",
    "SessionMixin",
    "SessionStoreError",
    "SessionUnavailable",
    "session_json_serializer",
]

# Any, so that whoever overrides a method may name the classes that it is called with.
AnyApp = t.Any
AnyRequest = t.Any
AnyResponse = t.Any


class SessionStoreError(Exception):
    """A session store cannot answer; for whoever writes one."""


class SessionUnavailable(Unavailable):
    """A 503: the session can neither be read nor saved for the moment.

    A session interface may raise it, too, from `open_session` and `save_session`.
    """

    description = "The sessions are unavailable for the moment. Try again soon."


class SessionConflict(Conflict):
    """A 409: another request changed the same of the session at the same time.

    A session interface may raise it, too, from `save_session`.
    """

    description = (
        "Another request changed your session at the same time, so the changes of"
        " this one were not kept. Reload the page and try again."
    )


# What is answered by an error page even where it is raised at the end of a request.
SESSION_ERRORS = (SessionConflict, SessionUnavailable)


class SessionMixin(cabc.MutableMapping[str, t.Any]):
    """What a session has besides being a dict."""

    new = False
    """Whether the session was made in this request. Not every store can tell."""

    modified = True
    """Whether the session must be saved. A store that cannot tell says True."""

    accessed = False
    """Whether the request looked at the session, so that the answer may depend on
    the cookie. Set by the request context."""

    @property
    def permanent(self) -> bool:
        """Whether the session outlives the browser; the key `_permanent`."""
        return bool(self.get("_permanent", False))

    @permanent.setter
    def permanent(self, value: bool) -> None:
        self["_permanent"] = bool(value)

    def rotate(self) -> None:
        """Give the session a new identifier; call it when somebody logs in.

        Who knew the old one, or planted it, has nothing then: the store forgets it
        when the session is saved. The signal `session_rotated` is sent. A session
        in a cookie has no identifier, and is written anew.
        """
        self.modified = True
        ctx = _state.current.get()[0]
        if ctx is not None and session_rotated.receivers:
            app = ctx.app
            session_rotated.send(app, _async_wrapper=app.ensure_sync, session=self)

    def revoke(self) -> None:
        """End the session: its data, its entry in the store and its cookie.

        The store forgets it when the session is saved. What is written afterwards
        starts another one. A copy of a cookie that holds the data stays valid.
        """
        self.clear()
        self.modified = True


def _mark_modified(session: t.Any) -> None:
    session.modified = True


class SecureCookieSession(CallbackDict[str, t.Any], SessionMixin):  # pyright: ignore[reportIncompatibleMethodOverride]
    """A session that notices changes of its own keys.

    A change inside of a value is not noticed: set `session.modified = True` then.

    Args:
        initial: The first keys and values.
    """

    modified = False
    """Whether a key was set or deleted."""

    def __init__(
        self,
        initial: cabc.Mapping[str, t.Any]
        | cabc.Iterable[tuple[str, t.Any]]
        | None = None,
    ) -> None:
        super().__init__(initial, _mark_modified)


class NullSession(SecureCookieSession):
    """The session of an application without a secret key: empty and read-only."""

    def _error(self) -> Exception:
        return RuntimeError(
            "The session is unavailable because no secret key was set. Set the"
            " secret_key on the application, or SECRET_KEY in its configuration, to"
            " something unique and secret, such as what `erlen secret` prints."
        )

    def _fail(self, *_args: t.Any, **_kwargs: t.Any) -> t.NoReturn:
        raise self._error()

    __setitem__ = __delitem__ = __ior__ = _fail
    clear = pop = popitem = update = setdefault = rotate = revoke = _fail


class SessionInterface:
    """Base of all session interfaces.

    A subclass has to implement `open_session` and `save_session`. Several requests
    may use one session at the same time.
    """

    null_session_class = NullSession
    """What `make_null_session` makes."""

    pickle_based = False
    """Whether the session is stored by pickle, which tells what it can hold."""

    opens_lazily: t.ClassVar[bool] = False
    """Whether the session may be opened when it is first read, and left alone when
    it never is; see `needs_refresh`. A subclass that overrides a method which this
    concerns is opened with each request, unless it sets this itself."""

    waits: t.ClassVar[bool] = True
    """Whether opening and saving may wait for something, such as a server. Under
    ASGI both are then done in a worker thread, never on the event loop."""

    def __init_subclass__(cls, **kwargs: t.Any) -> None:
        super().__init_subclass__(**kwargs)
        concerned = (_CONCERN_LAZINESS & vars(base).keys() for base in cls.__mro__)
        if "opens_lazily" not in next(filter(None, concerned)):
            cls.opens_lazily = False
            cls.waits = vars(cls).get("waits", True)  # nobody knows what it asks

    def make_null_session(self, app: AnyApp) -> NullSession:
        """Make the session for when `open_session` returned None.

        It lets the application work without session and tells what is missing
        when it is written to.

        Args:
            app: The application.
        """
        return self.null_session_class()

    def is_null_session(self, obj: object) -> bool:
        """Return whether `obj` is a null session, which is not to be saved."""
        return isinstance(obj, self.null_session_class)

    def get_cookie_name(self, app: AnyApp) -> str:
        """Return the cookie's name: `SESSION_COOKIE_NAME`."""
        return t.cast("str", app.config["SESSION_COOKIE_NAME"])

    def get_cookie_domain(self, app: AnyApp) -> str | None:
        """Return the cookie's domain: `SESSION_COOKIE_DOMAIN`.

        None means the host that answers, and no subdomain of it.
        """
        return t.cast("str | None", app.config["SESSION_COOKIE_DOMAIN"])

    def get_cookie_path(self, app: AnyApp) -> str:
        """Return the cookie's path: `SESSION_COOKIE_PATH` or `APPLICATION_ROOT`."""
        path = app.config["SESSION_COOKIE_PATH"] or app.config["APPLICATION_ROOT"]
        return t.cast("str", path)

    def get_cookie_httponly(self, app: AnyApp) -> bool:
        """Return whether scripts must not read it: `SESSION_COOKIE_HTTPONLY`."""
        return t.cast("bool", app.config["SESSION_COOKIE_HTTPONLY"])

    def get_cookie_secure(self, app: AnyApp) -> bool:
        """Return whether it is sent over https only: `SESSION_COOKIE_SECURE`.

        None, the default, means: if it is set over https.
        """
        secure = app.config["SESSION_COOKIE_SECURE"]
        if secure is None:
            ctx = _state.current.get()[1]
            return ctx is not None and ctx.request.is_secure
        return t.cast("bool", secure)

    def get_cookie_samesite(self, app: AnyApp) -> str | None:
        """Return when other sites' requests carry it: `SESSION_COOKIE_SAMESITE`."""
        return t.cast("str | None", app.config["SESSION_COOKIE_SAMESITE"])

    def get_cookie_partitioned(self, app: AnyApp) -> bool:
        """Return whether each embedding site gets its own: `..._PARTITIONED`."""
        return t.cast("bool", app.config["SESSION_COOKIE_PARTITIONED"])

    def get_expiration_time(
        self, app: AnyApp, session: SessionMixin
    ) -> datetime | None:
        """Return when the browser shall forget the session.

        Returns:
            An aware time, `PERMANENT_SESSION_LIFETIME` from now, for a permanent
            session; None, the end of the browser, for any other.
        """
        if session.permanent:
            now = datetime.now(UTC)
            return t.cast("datetime", now + app.permanent_session_lifetime)
        return None

    def should_set_cookie(self, app: AnyApp, session: SessionMixin) -> bool:
        """Return whether the answer carries the cookie.

        It does when the session was modified, and for a permanent session with
        each request unless `SESSION_REFRESH_EACH_REQUEST` is off.
        """
        return session.modified or (
            session.permanent and app.config["SESSION_REFRESH_EACH_REQUEST"]
        )

    def needs_refresh(self, app: AnyApp, request: AnyRequest) -> bool:
        """Return whether a session that nobody read must still be saved.

        Asked of an interface that opens lazily. The answer may be wrong in one
        direction: True costs time, and nothing else.
        """
        return True

    def open_session(self, app: AnyApp, request: AnyRequest) -> SessionMixin | None:
        """Open the session of a request. Has to be implemented.

        Called before the URL is matched; the request context is pushed already.

        Returns:
            The session, which may be empty, or None to use a null session.
        """
        raise NotImplementedError

    def save_session(
        self, app: AnyApp, session: SessionMixin, response: AnyResponse
    ) -> None:
        """Save the session at the end of a request. Has to be implemented.

        Called after the after-request functions, and not for a null session.
        """
        raise NotImplementedError

    def _send_cookie(
        self, app: AnyApp, session: SessionMixin, value: str, response: AnyResponse
    ) -> None:
        """Set the cookie to `value`, or delete it when the session is empty."""
        name = self.get_cookie_name(app)
        options: dict[str, t.Any] = {
            "domain": self.get_cookie_domain(app),
            "path": self.get_cookie_path(app),
            "secure": self.get_cookie_secure(app),
            "httponly": self.get_cookie_httponly(app),
            "samesite": self.get_cookie_samesite(app),
            "partitioned": self.get_cookie_partitioned(app),
        }
        if not session:
            response.delete_cookie(name, **options)
            return
        expires = self.get_expiration_time(app, session)
        response.set_cookie(name, value, expires=expires, **options)


# What decides whether a session that nobody reads can be left alone.
_CONCERN_LAZINESS = {
    "opens_lazily",
    "get_signing_serializer",
    "open_session",
    "save_session",
    "session_class",
    "should_set_cookie",
}

session_json_serializer = TaggedJSONSerializer()


def _lazy_sha1(string: bytes = b"") -> t.Any:
    # Not before it is called: some builds of OpenSSL have no SHA-1, and their users
    # set another `digest_method`.
    return hashlib.sha1(string)  # noqa: S324  (an HMAC needs no more)


def _may_be_permanent(cookie: str) -> bool:
    # Looks into the payload without verifying it, which is done when it is opened.
    try:
        payload = urlsafe_b64decode(cookie.partition(".")[0] + "==")
    except ValueError:
        return True
    # True for what is no JSON (compressed, for one), for escapes, and for the key.
    return payload[:1] != b"{" or b"\\" in payload or b"_permanent" in payload


def _vary_by_cookie(response: AnyResponse) -> None:
    headers = response.headers
    if "Vary" in headers:
        response.vary.add("Cookie")
    else:
        headers["Vary"] = "Cookie"  # PERF: 1 us instead of 4


class SecureCookieSessionInterface(SessionInterface):
    """The default: the whole session in a cookie, signed but not encrypted."""

    salt = "cookie-session"
    """Keeps these signatures apart from others with the same secret key."""

    digest_method: t.Callable[..., t.Any] = staticmethod(_lazy_sha1)
    """The hash function of the signature."""

    key_derivation = "hmac"
    """How the signing key is made of secret key and salt; as in itsdangerous."""

    serializer: t.Any = session_json_serializer
    """Turns the session into text, with `dumps` and `loads`."""

    session_class = SecureCookieSession
    """What `open_session` makes."""

    opens_lazily: t.ClassVar[bool] = True
    waits: t.ClassVar[bool] = False

    @cached_property
    def _serializers(self) -> dict[t.Any, URLSafeTimedSerializer]:
        return {}

    def get_signing_serializer(self, app: AnyApp) -> URLSafeTimedSerializer | None:
        """Return what signs and reads the cookie, or None without a secret key.

        Raises:
            TypeError: A key is neither str nor bytes, or `SECRET_KEY_FALLBACKS` is
                not a list of keys.
            ValueError: A fallback key is empty.
        """
        return find_serializer(
            self._serializers,
            app,
            self.salt,
            self.serializer,
            self.key_derivation,
            self.digest_method,
        )

    def needs_refresh(self, app: AnyApp, request: AnyRequest) -> bool:
        """Return whether the request came with a session that may be permanent.

        PERF: 2 us, where opening the session to see costs 8.
        """
        if not app.config["SESSION_REFRESH_EACH_REQUEST"]:
            return False
        name = self.get_cookie_name(app)
        cookies = request.environ.get("HTTP_COOKIE", "")
        if name not in cookies:
            return False
        found = cookies.split(f"{name}=")[1:]
        if not found or self.serializer is not session_json_serializer:
            return True
        return any(map(_may_be_permanent, found))

    def open_session(
        self, app: AnyApp, request: AnyRequest
    ) -> SecureCookieSession | None:
        """Read the session from the request's cookie.

        Returns:
            The session. It is empty when there is no cookie, or one that is forged,
            damaged or too old. None without a secret key.
        """
        serializer = self.get_signing_serializer(app)
        if serializer is None:
            return None
        cookie = request.cookies.get(self.get_cookie_name(app))
        if not cookie:
            return self.session_class()
        from itsdangerous import BadData

        max_age = int(app.permanent_session_lifetime.total_seconds())
        try:
            data = serializer.loads(cookie, max_age=max_age)
        except BadData:
            return self.session_class()
        if not isinstance(data, cabc.Mapping):  # signed, but for something else
            return self.session_class()
        return self.session_class(t.cast("cabc.Mapping[str, t.Any]", data))

    def save_session(
        self, app: AnyApp, session: SessionMixin, response: AnyResponse
    ) -> None:
        """Set the cookie, or delete it when the session was emptied."""
        send = self.should_set_cookie(app, session) if session else session.modified
        if send or session.accessed:
            _vary_by_cookie(response)
        if send:
            # It is not None: without a secret key the session is null, not saved.
            serializer: t.Any = self.get_signing_serializer(app)
            value = serializer.dumps(dict(session)) if session else ""
            self._send_cookie(app, session, value, response)
