"""Layer 1: sessions on the server, with an identifier in the cookie.

A store swaps opaque values under opaque keys. What a session is, how long it
lives and how parallel requests change it is decided here, for every store.
"""

from __future__ import annotations

import hashlib
import math
import re
import secrets
import threading
import time
import typing as t
from datetime import timedelta

from . import _state
from .sessions import NullSession
from .sessions import SecureCookieSession
from .sessions import SessionConflict
from .sessions import SessionInterface
from .sessions import SessionMixin
from .sessions import SessionStoreError
from .sessions import SessionUnavailable
from .sessions import _vary_by_cookie
from .sessions import session_json_serializer

if t.TYPE_CHECKING:
    import collections.abc as cabc

__all__ = [
    "MemorySessionStore",
    "SessionStore",
    "SessionStoreError",
    "StoredSession",
    "StoredSessionInterface",
    "UnavailableSession",
]

AnyApp = t.Any
AnyRequest = t.Any
AnyResponse = t.Any

# What `secrets.token_urlsafe(32)` returns. Nothing else is asked for.
_IDENTIFIER = re.compile(r"[\w-]{43}", re.ASCII)

# Stands in for a session between its end and its deletion. It reads as no session.
_ENDED = b"null"

# How often a save may be overtaken. Each time, another request got its save done.
_TRIES = 50

# The size at which a memory store looks for expired values first.
_SWEEP = 1000


def _dumps(value: t.Any) -> bytes:
    return session_json_serializer.dumps(value).encode()


def _loads(raw: bytes) -> t.Any:
    return session_json_serializer.loads(raw.decode())


@t.runtime_checkable
class SessionStore(t.Protocol):
    """Where sessions are kept: three methods, which threads call in parallel.

    One that cannot answer raises `SessionStoreError` or an `OSError`. It should
    do so soon, because a request waits.
    """

    def get(self, key: str) -> bytes | None:
        """Return the value of a key, or None."""
        ...

    def replace(self, key: str, old: bytes | None, new: bytes, seconds: int) -> bool:
        """Replace the value of a key if nobody else has, in one step.

        Args:
            key: A text of ASCII characters.
            old: What the value must still be; None if there must be none.
            new: The new value.
            seconds: When the store may forget it.

        Returns:
            Whether the value was `old`, and is `new` now.
        """
        ...

    def delete(self, key: str) -> None:
        """Forget a key, which may be unknown."""
        ...


class MemorySessionStore:
    """Keeps sessions in the memory of this process: for tests and development."""

    def __init__(self) -> None:
        self._values: dict[str, tuple[bytes, float]] = {}
        self._lock = threading.Lock()
        self._sweep_at = _SWEEP

    def get(self, key: str) -> bytes | None:
        """Return the value of a key, or None."""
        value, end = self._values.get(key, (None, 0.0))
        return value if time.time() < end else None

    def replace(self, key: str, old: bytes | None, new: bytes, seconds: int) -> bool:
        """Replace the value if it still is `old`, and let it expire."""
        with self._lock:
            if self.get(key) != old:
                return False
            self._values[key] = (new, time.time() + seconds)
            if len(self._values) >= self._sweep_at:
                now = time.time()
                kept = {it: kept for it, kept in self._values.items() if now < kept[1]}
                self._values, self._sweep_at = kept, 2 * len(kept) + _SWEEP
            return True

    def delete(self, key: str) -> None:
        """Forget a key."""
        with self._lock:
            self._values.pop(key, None)


def open_store(store: t.Any, timeout: float | None) -> SessionStore:
    """Return the store that `SESSION_STORE` means.

    Args:
        store: A URL, or a store.
        timeout: How long to wait for an answer, in seconds; None is for ever.

    Raises:
        RuntimeError: A library is missing.
        TypeError: It is neither URL nor store.
        ValueError: It is no URL of a store that is known, or there is no time.
    """
    if not isinstance(store, str):
        if isinstance(store, SessionStore) and not isinstance(store, type):
            return store
        raise TypeError(
            f"SESSION_STORE is of type {type(store).__name__!r}, which is no session"
            " store: set it to a URL, or to an object with the methods get, replace"
            " and delete of erlen.session_stores.SessionStore."
        )
    from ._redis_store import SCHEMES
    from ._redis_store import RedisSessionStore

    found = re.match(r"([a-z][\w+.-]*)://", store.lower())
    scheme = found[1] if found else None
    if scheme == "memory":
        return MemorySessionStore()
    if scheme in SCHEMES:
        if isinstance(timeout, (int, float)) and timeout <= 0:
            raise ValueError(
                f"SESSION_STORE_TIMEOUT is {timeout!r}, so that the store has no time"
                " to answer. Set it to seconds, such as 0.1."
            )
        return RedisSessionStore(store, timeout)
    raise ValueError(
        # Not the URL, which may have a password.
        f"SESSION_STORE has {f'the scheme {scheme!r}' if scheme else 'no scheme'}."
        f" Known are {', '.join(f'{it}://' for it in ('memory', *SCHEMES))}. For"
        " another place, set it to an object with the methods get, replace and"
        " delete of erlen.session_stores.SessionStore."
    )


class _Entry(t.NamedTuple):
    """What the store has for a session."""

    raw: bytes
    created: float
    renewed: float
    data: dict[str, t.Any]


class StoredSession(SecureCookieSession):
    """A session whose data is in a store."""

    _identifier = ""
    _entry: _Entry | None = None
    #: What the browser has: the identifier, and whether it keeps it for long.
    _cookie: tuple[str, bool] = ("", False)
    _rotated = _revoked = False
    #: Whether it ended while this request went on: then nothing is saved.
    _ended = False

    def rotate(self) -> None:
        """Give the session a new identifier; call it when somebody logs in."""
        self._rotated = True
        super().rotate()

    def revoke(self) -> None:
        """End the session: its data, its entry in the store and its cookie."""
        self._revoked = True
        super().revoke()

    def _undo(self) -> SessionConflict:
        """Take back what this request has changed; its error page may change more."""
        self._become(self._entry.data if self._entry else {})
        self.modified = False
        return SessionConflict()

    def _become(self, data: dict[str, t.Any]) -> None:
        modified = self.modified
        self.clear()
        self.update(data)
        self.modified = modified


class UnavailableSession(NullSession):
    """The session while its store does not answer: empty, writing is a 503."""

    def _error(self) -> Exception:
        return SessionUnavailable()


def _seconds(value: timedelta | float) -> float:
    return value.total_seconds() if isinstance(value, timedelta) else value


def _key(app: AnyApp, identifier: str) -> str:
    # Who can read the store cannot use what he reads as a cookie, and a session of one
    # application is none of another that shares the store.
    whole = "\0".join((app.name, app.config["SESSION_COOKIE_NAME"], identifier))
    return f"erlen:session:{hashlib.sha256(whole.encode()).hexdigest()}"


def _adds_up(value: t.Any) -> bool:
    """Say whether two equal changes were two steps, as of a counter or a list."""
    kinds = (int, float, list, tuple, dict)
    return isinstance(value, kinds) and not isinstance(value, bool)


def _text(data: cabc.Mapping[str, t.Any], key: str) -> bytes | None:
    return _dumps(data[key]) if key in data else None


class StoredSessionInterface(SessionInterface):
    """Sessions in a store; what `SESSION_STORE` sets up.

    The cookie has a random identifier, the store the data as tagged JSON. A
    request that does not touch the session does not ask the store.

    Args:
        store: The store.
    """

    null_session_class = UnavailableSession

    session_class = StoredSession
    """What `open_session` makes."""

    opens_lazily: t.ClassVar[bool] = True
    waits: t.ClassVar[bool] = True

    def __init__(self, store: SessionStore) -> None:
        self.store = store

    def needs_refresh(self, app: AnyApp, request: AnyRequest) -> bool:
        """Return False: a session that nobody read grows old."""
        return False

    def should_set_cookie(self, app: AnyApp, session: SessionMixin) -> bool:
        """Return whether the answer carries the cookie.

        It does when the browser has another one or none, and when a permanent
        session was saved, so that the browser keeps it for longer.
        """
        stored = t.cast("StoredSession", session)
        return (stored._identifier, session.permanent) != stored._cookie or (
            session.permanent and super().should_set_cookie(app, session)
        )

    def open_session(self, app: AnyApp, request: AnyRequest) -> StoredSession:
        """Read the session from the store.

        Returns:
            The session. It is empty, and gets an identifier of its own when it is
            saved, if the store does not know the one in the cookie.

        Raises:
            SessionUnavailable: The store does not answer.
        """
        identifier: str = request.cookies.get(self.get_cookie_name(app), "")
        entry = None
        if _IDENTIFIER.fullmatch(identifier):
            try:
                entry = self._load(app, identifier)
            except (SessionStoreError, OSError) as exc:
                raise self._unavailable(app, exc) from exc
        session = self.session_class(entry and entry.data)
        session.new = entry is None
        session._entry = entry
        session._identifier = identifier if entry else ""
        session._cookie = (identifier, session.permanent)
        return session

    def save_session(
        self, app: AnyApp, session: SessionMixin, response: AnyResponse
    ) -> None:
        """Write what was changed to the store, and set or delete the cookie.

        Raises:
            SessionConflict: Another request changed the same key, or ended the
                session. Nothing was written.
            SessionUnavailable: The store does not answer.
        """
        stored = t.cast("StoredSession", session)
        if session.accessed or session.modified:
            _vary_by_cookie(response)
        if stored._ended or not (session.modified or self._is_due(app, stored)):
            return
        try:
            saved = self._save(app, stored)
        except (SessionStoreError, OSError) as exc:
            ctx = _state.current.get()[1]
            if ctx is not None:  # its error page must not rely on what is not saved
                ctx._session = self.make_null_session(app)
            raise self._unavailable(app, exc) from exc
        if saved and self.should_set_cookie(app, session):
            self._send_cookie(app, session, stored._identifier, response)

    def _unavailable(self, app: AnyApp, exc: Exception) -> SessionUnavailable:
        app.logger.warning("The session store does not answer: %s", exc)
        return SessionUnavailable()

    def _idle(self, app: AnyApp) -> float:
        idle = app.config["SESSION_IDLE_TIMEOUT"]
        return _seconds(app.permanent_session_lifetime if idle is None else idle)

    def _rest(self, app: AnyApp, created: float, renewed: float) -> float:
        """Return for how many seconds a session is still valid."""
        end = renewed + self._idle(app)
        absolute = app.config["SESSION_ABSOLUTE_TIMEOUT"]
        if absolute is not None:
            end = min(end, created + _seconds(absolute))
        return end - time.time()

    def _is_due(self, app: AnyApp, session: StoredSession) -> bool:
        """Return whether a session that was only read is to be renewed."""
        if session._entry is None or not session.accessed:
            return False
        lifetime = _seconds(app.permanent_session_lifetime)  # of the cookie
        age = time.time() - session._entry.renewed
        return age >= min(self._idle(app), lifetime) / 10

    def _load(self, app: AnyApp, identifier: str) -> _Entry | None:
        raw = self.store.get(_key(app, identifier))
        if raw is None:
            return None
        try:
            entry = _Entry(raw, *_loads(raw))
            valid = self._rest(app, entry.created, entry.renewed) > 0
        except (AttributeError, TypeError, ValueError):  # another program's, or ended
            return None
        return entry if valid and isinstance(entry.data, dict) else None  # pyright: ignore[reportUnnecessaryIsInstance]  # as above

    def _save(self, app: AnyApp, session: StoredSession) -> bool:
        """Write the session; False if it ended, and had nothing to write."""
        if session._revoked:
            if session._identifier:
                self.store.delete(_key(app, session._identifier))
            session._identifier, session._entry = "", None
        for _ in range(_TRIES):
            if self._swap(app, session):
                return True
            if not self._catch_up(app, session):
                return False
        raise session._undo()

    def _swap(self, app: AnyApp, session: StoredSession) -> bool:
        """Write the session, unless another request has written it meanwhile."""
        store, old, entry = self.store, session._identifier, session._entry
        if not session:
            done, new, written = self._end(app, session), "", None
        else:
            new = old if old and not session._rotated else secrets.token_urlsafe(32)
            now = time.time()
            created = entry.created if entry else now
            data = dict(session)
            raw = _dumps([created, now, data])
            written = _Entry(raw, created, now, data)
            seconds = max(math.ceil(self._rest(app, created, now)), 1)
            expected = entry.raw if entry and new == old else None
            done = store.replace(_key(app, new), expected, raw, seconds)
            if done and new != old and not self._end(app, session):
                store.delete(_key(app, new))
                done = False
        if done:
            session._identifier, session._entry = new, written
            session._rotated = session._revoked = False
        return done

    def _end(self, app: AnyApp, session: StoredSession) -> bool:
        """Delete the entry, unless another request has written it meanwhile."""
        if session._entry is None:
            return True
        key = _key(app, session._identifier)
        if not self.store.replace(key, session._entry.raw, _ENDED, 1):
            return False
        self.store.delete(key)
        return True

    def _catch_up(self, app: AnyApp, session: StoredSession) -> bool:
        """Take over what another request has written, key by key.

        Raises:
            SessionConflict: Both changed one key, or the session ended and this
                request had changed it.
        """
        fresh = self._load(app, session._identifier)
        before, session._entry = session._entry, fresh
        if fresh is None or before is None:
            session._ended = True
            changed, conflict = session.modified, session._undo()
            if changed:
                raise conflict
            return False
        base: dict[str, t.Any] = _loads(before.raw)[2]
        merged = dict(fresh.data)
        for key in base.keys() | session.keys():
            ours, was, theirs = (_text(it, key) for it in (session, base, fresh.data))
            if ours == was:
                continue
            if theirs != was and (theirs != ours or _adds_up(session.get(key))):
                app.logger.info("Two requests changed the session's %r at once.", key)
                raise session._undo()
            merged.pop(key, None)
            if key in session:
                merged[key] = session[key]
        session._become(merged)
        return True
