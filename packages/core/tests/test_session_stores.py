from __future__ import annotations

import logging
import os
import re
import threading
import time
import uuid
from datetime import UTC
from datetime import datetime
from datetime import timedelta

import pytest
from markupsafe import Markup
from werkzeug.exceptions import HTTPException
from werkzeug.http import dump_cookie

from erlen import Erlen
from erlen import flash
from erlen import get_flashed_messages
from erlen import render_template_string
from erlen import request
from erlen import session
from erlen import session_stores
from erlen import signals
from erlen.session_stores import MemorySessionStore
from erlen.session_stores import SessionStore
from erlen.session_stores import SessionStoreError
from erlen.session_stores import StoredSession
from erlen.session_stores import StoredSessionInterface
from erlen.session_stores import UnavailableSession
from erlen.session_stores import open_store
from erlen.sessions import NullSession
from erlen.sessions import SecureCookieSessionInterface
from erlen.sessions import SessionInterface
from erlen.sessions import SessionMixin
from erlen.sessions import SessionUnavailable

REDIS = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379")
IDENTIFIER = "x" * 43


class Recording:
    """A store that says what it was asked, and forgets all in the end."""

    def __init__(self, store):
        self.store = store
        self.calls = []
        self.keys = set()
        self.broken = {}

    def _ask(self, name, key, *args):
        self.calls.append(name)
        self.keys.add(key)
        if name in self.broken:
            raise self.broken[name]
        return getattr(self.store, name)(key, *args)

    def get(self, key):
        return self._ask("get", key)

    def replace(self, key, old, new, seconds):
        return self._ask("replace", key, old, new, seconds)

    def delete(self, key):
        return self._ask("delete", key)

    @property
    def values(self):
        """All that is kept now."""
        found = {key: self.store.get(key) for key in self.keys}
        return {key: value for key, value in found.items() if value is not None}


def redis_store():
    pytest.importorskip("redis")
    store = open_store(REDIS, timeout=1)
    try:
        store.get("erlen:session:")
    except SessionStoreError as exc:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no Redis at REDIS_URL: {exc}")
    return store


@pytest.fixture(
    params=["memory", pytest.param("redis", marks=pytest.mark.service)],
)
def store(request):
    if request.param == "memory":
        yield Recording(MemorySessionStore())
        return
    store = Recording(redis_store())
    yield store
    for key in store.keys:
        store.store.delete(key)
    store.store._client.close()


@pytest.fixture
def memory():
    return Recording(MemorySessionStore())


def serve(app):
    """Let requests run what `do` gives them."""

    def index():
        rv = request.environ["erlen.test.view"]()
        return "done" if rv is None else rv

    app.add_url_rule("/", "index", index)
    app.add_url_rule("/plain", "plain", lambda: "plain")
    return app


@pytest.fixture
def app(app, request):
    app.config["SECRET_KEY"] = None
    name = next(it for it in ("store", "memory") if it in request.fixturenames)
    app.config["SESSION_STORE"] = request.getfixturevalue(name)
    return serve(app)


def do(client, view, **kwargs):
    return client.get("/", environ_overrides={"erlen.test.view": view}, **kwargs)


def put(client, **values):
    return do(client, lambda: session.update(values))


def read(client):
    """Return the session as the next request sees it."""
    return do(client, lambda: dict(session)).json


def identifier(client):
    cookie = client.get_cookie("session")
    return cookie and cookie.value


@pytest.fixture
def clock(monkeypatch):
    """Return a function that lets time pass."""
    now = [1_800_000_000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])

    def wait(**kwargs):
        now[0] += timedelta(**kwargs).total_seconds()

    return wait


# Stores


def test_a_store_swaps_what_nobody_else_has_changed(store):
    key = f"test:{uuid.uuid4()}"

    assert store.get(key) is None
    assert not store.replace(key, b"old", b"new", 60)
    assert store.replace(key, None, b"\x00\xff", 60)
    assert not store.replace(key, None, b"new", 60)
    assert not store.replace(key, b"", b"new", 60)
    assert store.get(key) == b"\x00\xff"
    assert store.replace(key, b"\x00\xff", b"new", 60)
    assert store.get(key) == b"new"
    store.delete(key)
    store.delete(key)
    assert store.get(key) is None


def test_the_memory_store_forgets_what_is_expired(clock, monkeypatch):
    monkeypatch.setattr(session_stores, "_SWEEP", 3)
    store = MemorySessionStore()
    store.replace("early", None, b"1", 1)
    store.replace("late", None, b"1", 60)
    clock(seconds=1)

    assert store.get("early") is None
    assert store.get("late") == b"1"
    assert len(store._values) == 2
    store.replace("next", None, b"1", 60)
    assert store._values.keys() == {"late", "next"}
    assert store.replace("early", None, b"2", 1)


def test_stores_are_what_has_the_three_methods(memory):
    assert isinstance(memory, SessionStore)
    assert open_store(memory, 0.1) is memory
    assert isinstance(open_store("memory://", 0.1), MemorySessionStore)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("postgres://ada:secret@host", "the scheme 'postgres'.*redis://.*get, replace"),
        ("db+x.y-z://secret@host", r"the scheme 'db\+x.y-z'"),
        ("secret", "no scheme.*memory://"),
        ("secret:secret@host:6379", "no scheme"),
        ("", "no scheme"),
        (b"redis://secret", "'bytes'.*get, replace"),
        (MemorySessionStore, "'type'"),
        (7, "'int'"),
    ],
)
def test_what_is_no_store_is_refused_without_its_password(wrong, words):
    with pytest.raises(
        (TypeError, ValueError), match=f"SESSION_STORE.*{words}"
    ) as info:
        open_store(wrong, 0.1)

    assert "secret" not in str(info.value)


@pytest.mark.parametrize("timeout", [0, -1, -0.5])
def test_a_store_needs_time_to_answer(timeout):
    with pytest.raises(ValueError, match=f"SESSION_STORE_TIMEOUT is {timeout}, "):
        open_store("redis://localhost", timeout)


def test_a_store_may_have_all_the_time():
    pytest.importorskip("redis")
    assert isinstance(open_store("redis://localhost", None), SessionStore)


# Which interface


def test_cookies_are_the_default():
    app = Erlen(__name__)

    assert isinstance(app.session_interface, SecureCookieSessionInterface)
    assert app.session_interface is Erlen.session_interface
    assert app.session_interface is Erlen(__name__).session_interface


def test_the_setting_may_change_until_the_first_request(memory):
    app = serve(Erlen(__name__))
    app.session_interface.get_cookie_name(app)
    app.config["SESSION_STORE"] = memory
    first = app.session_interface

    assert isinstance(first, StoredSessionInterface)
    assert first.store is memory
    assert app.session_interface is first
    app.config["SESSION_STORE"] = "memory://"
    second = app.session_interface
    assert isinstance(second.store, MemorySessionStore)
    app.test_client().get("/plain")
    app.config["SESSION_STORE"] = None
    assert app.session_interface is second
    del app.session_interface
    assert isinstance(app.session_interface, SecureCookieSessionInterface)


def test_who_sets_an_interface_has_it(memory):
    class Own(Erlen):
        session_interface = SessionInterface()

    app = Own(__name__)
    app.config["SESSION_STORE"] = memory
    assert app.session_interface is Own.session_interface
    app = Erlen(__name__)
    app.config["SESSION_STORE"] = memory
    app.session_interface = own = SecureCookieSessionInterface()
    assert app.session_interface is own


def test_each_application_has_a_memory_of_its_own():
    first, second = (Erlen(__name__) for _ in "12")
    first.config["SESSION_STORE"] = second.config["SESSION_STORE"] = "memory://"

    assert first.session_interface.store is not second.session_interface.store


# The session


def test_a_session_comes_back_as_it_was(client, store):
    values = {
        "tuple": (1, [2.5, None]),
        "bytes": b"\x00\xff",
        "markup": Markup("<b>"),
        "uuid": uuid.UUID(int=7),
        "date": datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC),
        "text": "Zoë",
        "tag": {" t": [1]},
    }
    put(client, **values)

    def look():
        assert dict(session) == values
        assert session.new is False

    do(client, look)
    assert store.calls == ["replace", "get"]


def test_a_session_that_nobody_touches_does_not_ask(client, memory):
    put(client, a=1)
    memory.calls.clear()

    response = client.get("/plain")

    assert memory.calls == []
    assert "Set-Cookie" not in response.headers
    assert "Vary" not in response.headers


def test_a_session_that_is_read_is_not_written(client, memory):
    put(client, a=1)
    memory.calls.clear()

    response = do(client, lambda: str(session["a"]))

    assert memory.calls == ["get"]
    assert "Set-Cookie" not in response.headers
    assert response.headers["Vary"] == "Cookie"


def test_an_empty_session_is_not_stored(client, memory):
    response = do(client, lambda: str(session.new))

    assert response.text == "True"
    assert memory.calls == []
    assert "Set-Cookie" not in response.headers
    assert response.headers["Vary"] == "Cookie"


def test_a_change_keeps_the_identifier_and_sends_no_cookie(client, store):
    assert "Set-Cookie" in put(client, a=1).headers
    before = identifier(client)
    response = put(client, b=2)

    assert "Set-Cookie" not in response.headers
    assert response.headers["Vary"] == "Cookie"
    assert read(client) == {"a": 1, "b": 2}
    assert identifier(client) == before
    assert len(store.values) == 1


def test_the_store_does_not_know_the_identifier(client, store):
    put(client, a=1)
    (key,) = store.values

    assert re.fullmatch(r"[\w-]{43}", identifier(client))
    assert re.fullmatch(r"erlen:session:[0-9a-f]{64}", key)
    assert identifier(client) not in key
    assert identifier(client).encode() not in store.values[key]


def test_identifiers_differ(app, memory):
    clients = [app.test_client() for _ in range(20)]
    for client in clients:
        put(client, a=1)

    assert len({identifier(client) for client in clients}) == len(memory.values) == 20


@pytest.mark.parametrize(
    "empty",
    [lambda: session.clear(), lambda: session.pop("a"), lambda: session.revoke()],
)
def test_an_emptied_session_is_deleted_twice(client, store, empty):
    put(client, a=1)

    response = do(client, lambda: str(empty() or ""))

    assert store.values == {}
    assert identifier(client) is None
    assert "Max-Age=0" in response.headers["Set-Cookie"]
    assert response.headers["Vary"] == "Cookie"


def test_what_is_cleared_and_filled_again_stays_one_session(client, memory):
    put(client, a=1)
    before = identifier(client)

    do(client, lambda: session.clear() or session.update(b=2))

    assert read(client) == {"b": 2}
    assert identifier(client) == before


@pytest.mark.parametrize(
    "value",
    [
        *("", "x", "x" * 42, "x" * 44, "x" * 10_000, "ä" * 43, "*" + "x" * 42),
        *(
            "x" * 42 + "\n",
            "../" + "x" * 40,
            "x" * 42 + "=",
            "erlen:session:" + "x" * 29,
        ),
    ],
)
def test_what_is_no_identifier_does_not_reach_the_store(app, memory, value):
    cookie = dump_cookie("session", value, max_size=0).partition(";")[0]
    client = app.test_client(use_cookies=False)

    response = do(client, lambda: session.update(a=1), headers={"Cookie": cookie})

    assert response.status_code == 200
    assert memory.calls == ["replace"]
    assert len(memory.values) == 1


def test_an_unknown_identifier_is_never_adopted(client, store):
    client.set_cookie("session", IDENTIFIER)
    assert read(client) == {}
    assert identifier(client) == IDENTIFIER
    put(client, a=1)

    assert identifier(client) not in {IDENTIFIER, None}
    assert read(client) == {"a": 1}
    client.set_cookie("session", IDENTIFIER)
    assert read(client) == {}


def test_an_unknown_identifier_is_deleted_with_its_session(client, memory):
    client.set_cookie("session", IDENTIFIER)
    do(client, lambda: session.clear())

    assert identifier(client) is None
    assert memory.values == {}


def test_applications_that_share_a_store_have_sessions_of_their_own(memory):
    def make(name, cookie="session"):
        app = Erlen(name)
        app.config.update(SESSION_STORE=memory, SESSION_COOKIE_NAME=cookie)
        return serve(app)

    client = make("one").test_client()
    put(client, a=1)
    value = client.get_cookie("session").value
    for name, cookie, found in (
        ("one", "session", {"a": 1}),
        ("two", "session", {}),
        ("one", "other", {}),
    ):
        client = make(name, cookie).test_client()
        client.set_cookie(cookie, value)
        assert read(client) == found


@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b"null", b"1", b"[]", b"{}", b"\xff", b"\x80\x04}", b'"abc"', b"[1,2]"),
        *(
            b"[1,2,{},3]",
            b'["a","b",{}]',
            b"[9e9,9e9,7]",
            b'[9e9,9e9,"ab"]',
            b"[1,1,{}]",
            b'[9e9,9e9,{"a":{" u":7}}]',
            b'[9e9,9e9,{"a":{" d":7}}]',
        ),
    ],
)
def test_what_is_no_session_is_an_unknown_one(client, memory, raw):
    put(client, a=1)
    (key,) = memory.values
    memory.replace(key, memory.get(key), raw, 60)
    before = identifier(client)

    assert read(client) == {}
    put(client, b=2)
    assert read(client) == {"b": 2}
    assert identifier(client) != before


def test_the_client_opens_and_saves_sessions(client, store):
    with client.session_transaction() as opened:
        opened["a"] = 1
        assert isinstance(opened, StoredSession)
    with client.session_transaction() as opened:
        assert opened.pop("a") == 1
        opened["b"] = 2
        opened.rotate()
    assert read(client) == {"b": 2}
    with client.session_transaction() as opened:
        opened.revoke()
    assert identifier(client) is None
    assert store.values == {}


# Cookies


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"SESSION_COOKIE_NAME": "other", "SESSION_COOKIE_PATH": "/below"},
        {"SESSION_COOKIE_DOMAIN": "example.com", "SESSION_COOKIE_HTTPONLY": False},
        {"SESSION_COOKIE_SECURE": True, "SESSION_COOKIE_PARTITIONED": True},
        {"SESSION_COOKIE_SAMESITE": "Strict", "APPLICATION_ROOT": "/app"},
    ],
)
@pytest.mark.parametrize("permanent", [False, True])
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("emptied", [False, True])
def test_cookies_have_the_same_flags(config, permanent, scheme, emptied, clock):
    def headers(**more):
        app = serve(Erlen(__name__))
        app.config.update(config, **more, TESTING=True)
        client = app.test_client()
        base = f"{scheme}://example.com/app"

        def fill():
            session.permanent = permanent
            session["a"] = 1

        response = do(client, fill, base_url=base)
        if emptied:
            value = response.headers["Set-Cookie"].partition(";")[0]
            response = do(
                app.test_client(use_cookies=False),
                lambda: session.clear(),
                base_url=base,
                headers={"Cookie": value},
            )
        cookie = response.headers["Set-Cookie"]
        return re.sub(r"Expires=[^;]+ 20\d\d [^;]+", "Expires=later", cookie).partition(
            ";"
        )

    name, _, flags = headers(SESSION_STORE="memory://")
    signed_name, _, signed_flags = headers(SECRET_KEY="a key")
    assert flags == signed_flags
    assert name.partition("=")[0] == signed_name.partition("=")[0]


def test_a_permanent_session_is_dated_when_it_is_renewed(client, memory, clock):
    def start():
        session.permanent = True

    assert "Expires=" in do(client, start).headers["Set-Cookie"]
    assert "Set-Cookie" not in do(client, lambda: session.get("a", "")).headers
    assert "Expires=" in put(client, a=1).headers["Set-Cookie"]
    clock(days=4)
    response = do(client, lambda: str(session["a"]))
    assert "Expires=" in response.headers["Set-Cookie"]
    before = identifier(client)
    clock(days=30)
    assert do(client, lambda: str(session["a"])).text == "1"
    assert identifier(client) == before


def test_a_permanent_session_need_not_be_dated(client, app, memory, clock):
    app.config["SESSION_REFRESH_EACH_REQUEST"] = False
    put(client, _permanent=True)
    clock(days=4)

    assert "Set-Cookie" not in do(client, lambda: str(session.permanent)).headers
    assert "Set-Cookie" in put(client, a=1).headers


def test_a_cookie_is_dated_before_it_expires(client, app, memory, clock):
    # The store would keep the session for longer than the browser does.
    app.config.update(SESSION_IDLE_TIMEOUT=timedelta(days=1))
    app.permanent_session_lifetime = timedelta(hours=1)
    put(client, _permanent=True)
    clock(minutes=6)

    assert "Expires=" in do(client, lambda: dict(session)).headers["Set-Cookie"]


def test_a_session_that_becomes_permanent_gets_another_cookie(client, memory):
    put(client, a=1)
    before = identifier(client)

    assert "Expires=" in put(client, _permanent=True).headers["Set-Cookie"]
    assert "Expires=" not in put(client, _permanent=False).headers["Set-Cookie"]
    assert identifier(client) == before


# Time-outs


@pytest.mark.parametrize("idle", [None, 3600, timedelta(hours=1)])
def test_a_session_ends_when_nobody_uses_it(client, app, memory, clock, idle):
    app.config["SESSION_IDLE_TIMEOUT"] = idle
    if idle is None:
        app.permanent_session_lifetime = 3600
    put(client, a=1)
    before = identifier(client)
    for _ in range(4):
        clock(minutes=50)
        assert read(client) == {"a": 1}
    clock(minutes=60)
    assert read(client) == {}
    put(client, b=2)
    assert identifier(client) != before


def test_a_shorter_time_out_holds_for_sessions_of_before(client, app, memory, clock):
    put(client, a=1)
    clock(minutes=20)
    app.config["SESSION_IDLE_TIMEOUT"] = 600

    assert read(client) == {}


def test_a_session_is_renewed_after_a_tenth_of_the_time(client, app, memory, clock):
    app.config["SESSION_IDLE_TIMEOUT"] = 600
    put(client, a=1)
    memory.calls.clear()
    for calls in ["get"], ["get"], ["get", "replace"], ["get"]:
        clock(seconds=25)
        assert read(client) == {"a": 1}
        assert memory.calls == calls
        memory.calls.clear()
    clock(seconds=70)
    client.get("/plain")
    assert memory.calls == []
    with client.session_transaction():
        pass
    assert memory.calls == ["get"]


@pytest.mark.parametrize("between", ["read", "write", "rotate"])
def test_a_session_ends_at_last(client, app, store, clock, between):
    app.config.update(SESSION_ABSOLUTE_TIMEOUT=timedelta(hours=2))
    put(client, a=1)
    for _ in range(3):
        clock(minutes=30)
        if between == "write":
            put(client, a=1)
        elif between == "rotate":
            do(client, lambda: session.rotate())
        assert read(client) == {"a": 1}
    clock(minutes=30)
    assert read(client) == {}


def test_a_session_after_another_has_its_whole_time(client, app, memory, clock):
    app.config.update(SESSION_ABSOLUTE_TIMEOUT=7200)
    put(client, a=1)
    clock(minutes=90)
    do(client, lambda: session.revoke() or session.update(a=2))
    clock(minutes=90)

    assert read(client) == {"a": 2}


@pytest.mark.parametrize(
    ("idle", "absolute", "seconds"),
    [(600, None, 600), (600, 700, 600), (600, 90.5, 91), (0.2, None, 1), (0, None, 1)],
)
def test_the_store_may_forget_what_has_ended(idle, absolute, seconds, clock):
    class Store(MemorySessionStore):
        def replace(self, key, old, new, seconds):
            self.seconds = seconds
            return super().replace(key, old, new, seconds)

    app = serve(Erlen(__name__))
    app.config.update(
        SESSION_STORE=Store(),
        SESSION_IDLE_TIMEOUT=idle,
        SESSION_ABSOLUTE_TIMEOUT=absolute,
    )
    put(app.test_client(), a=1)

    assert app.session_interface.store.seconds == seconds


# Rotation and revocation


def test_rotation_gives_a_new_identifier_and_keeps_the_data(client, app, store):
    put(client, a=1)
    before = identifier(client)

    response = do(client, lambda: session.rotate() or session.update(b=2))

    assert response.headers["Vary"] == "Cookie"
    assert identifier(client) not in {before, None}
    assert read(client) == {"a": 1, "b": 2}
    assert len(store.values) == 1
    thief = app.test_client()
    thief.set_cookie("session", before)
    assert read(thief) == {}
    put(thief, c=3)
    assert identifier(thief) != before
    assert read(client) == {"a": 1, "b": 2}


def test_rotation_of_a_new_session(client, memory):
    do(client, lambda: session.update(a=1) or session.rotate())
    assert read(client) == {"a": 1}

    do(client, lambda: session.clear() or session.rotate())
    assert memory.values == {}


def test_rotation_of_an_empty_session(client, memory):
    response = do(client, lambda: session.rotate())

    assert memory.values == {}
    assert "Set-Cookie" not in response.headers


def test_revocation_ends_and_writing_starts(client, app, store):
    put(client, a=1)
    before = identifier(client)

    do(client, lambda: session.revoke() or session.update(b=2))

    assert identifier(client) not in {before, None}
    assert read(client) == {"b": 2}
    assert len(store.values) == 1
    thief = app.test_client()
    thief.set_cookie("session", before)
    assert read(thief) == {}


def test_revocation_of_a_session_that_is_not_stored(client, memory):
    response = do(client, lambda: session.update(a=1) or session.revoke())

    assert memory.calls == []
    assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize("memory_is_used", [True, False])
def test_rotation_is_told(app, memory, memory_is_used):
    if not memory_is_used:
        app.config.update(SESSION_STORE=None, SECRET_KEY="a key")
    told = []

    def listen(sender, session, **extra):
        told.append((sender, dict(session)))
        session["token"] = "new"

    client = app.test_client()
    with signals.session_rotated.connected_to(listen):
        do(client, lambda: session.update(a=1) or session.rotate())
        do(client, lambda: session.update(a=2))

    assert told == [(app, {"a": 1})]
    assert read(client) == {"a": 2, "token": "new"}


def test_the_cookie_of_a_rotated_session_is_sent_again(app, memory):
    app.config.update(SESSION_STORE=None, SECRET_KEY="a key")
    client = app.test_client()
    put(client, a=1)

    assert "Set-Cookie" in do(client, lambda: session.rotate()).headers
    assert "Max-Age=0" in do(client, lambda: session.revoke()).headers["Set-Cookie"]


@pytest.mark.parametrize(
    ("null", "error"),
    [(NullSession, RuntimeError), (UnavailableSession, SessionUnavailable)],
)
@pytest.mark.parametrize(
    "write",
    [
        lambda it: it.rotate(),
        lambda it: it.revoke(),
        lambda it: it.update(a=1),
        lambda it: setattr(it, "permanent", True),
    ],
)
def test_a_null_session_can_not_be_changed(null, error, write):
    with pytest.raises(error):
        write(null())


def test_any_session_can_be_rotated_and_revoked():
    class Plain(dict, SessionMixin):
        modified = False

    first, second = Plain(a=1), Plain(a=1)
    first.rotate()
    second.revoke()

    assert (first, first.modified) == ({"a": 1}, True)
    assert (second, second.modified) == ({}, True)


# Requests at the same time: the second one runs inside of the first


def overtaken(client, start, ours, theirs):
    """Return the answer to `ours`, during which `theirs` came and went."""
    if start:
        put(client, **start)
    other = client.application.test_client()
    if start:
        other.set_cookie("session", identifier(client))

    def view():
        dict(session)
        assert do(other, lambda: theirs(session)).status_code == 200
        ours(session)

    return do(client, view), other


def update(**values):
    return lambda session: session.update(values)


def drop(*keys):
    return lambda session: [session.pop(key, None) for key in keys] and None


def append(value):
    def change(session):
        session["list"].append(value)
        session.modified = True

    return change


def look(session):
    dict(session)


@pytest.mark.parametrize(
    ("start", "ours", "theirs", "expected"),
    [
        ({"a": 0}, update(b=1), update(c=2), {"a": 0, "b": 1, "c": 2}),
        ({"a": 0}, update(a=1), update(c=2), {"a": 1, "c": 2}),
        ({"a": 0}, update(b=1), update(a=2), {"a": 2, "b": 1}),
        ({"a": 0}, update(b="1"), update(b="1"), {"a": 0, "b": "1"}),
        ({"a": 0}, update(b=True), update(b=True), {"a": 0, "b": True}),
        ({"a": 0, "b": 0}, drop("a"), update(c=2), {"b": 0, "c": 2}),
        ({"a": 0, "b": 0}, drop("a"), drop("b"), {}),
        ({"a": 0, "b": 0}, update(c=1), drop("b"), {"a": 0, "c": 1}),
        ({"a": 0, "b": 0}, drop("a"), drop("a"), {"b": 0}),
        ({"a": 0}, drop("a"), update(c=2), {"c": 2}),
        ({"list": [1], "a": 0}, append(2), update(a=1), {"list": [1, 2], "a": 1}),
        ({"list": [1], "a": 0}, update(a=1), append(2), {"list": [1, 2], "a": 1}),
        ({"a": (1,)}, update(b=1), update(c=b"2"), {"a": (1,), "b": 1, "c": b"2"}),
        ({"a": 0}, look, update(b=1), {"a": 0, "b": 1}),
        ({"a": 0}, look, drop("a"), {}),
    ],
)
def test_changes_of_different_keys_are_all_kept(
    app, store, start, ours, theirs, expected
):
    client = app.test_client()
    response, _ = overtaken(client, start, ours, theirs)
    kept = []
    do(client, lambda: kept.append(dict(session)))

    assert response.status_code == 200
    assert kept == [expected]
    assert len(store.values) == bool(expected)


@pytest.mark.parametrize(
    ("start", "ours", "theirs", "expected"),
    [
        ({"a": 0}, update(a=1, b=1), update(a=2), {"a": 2}),
        ({"a": 0, "b": 0}, drop("a"), update(a=2), {"a": 2, "b": 0}),
        ({"a": 0, "b": 0}, update(a=1), drop("a"), {"b": 0}),
        ({"list": []}, append(1), append(2), {"list": [2]}),
        # Equal, but two steps: one of them would be lost.
        ({"list": [1]}, append(2), append(2), {"list": [1, 2]}),
        ({"a": 0}, update(a=1), update(a=1), {"a": 1}),
        ({"a": 0.5}, update(a=1.5), update(a=1.5), {"a": 1.5}),
        ({"a": 0}, drop("a"), update(a=2), {"a": 2}),
        ({"a": 0}, update(a=1), update(a="1"), {"a": "1"}),
        ({"a": 0}, lambda it: it.rotate() or it.update(a=1), update(a=2), {"a": 2}),
    ],
)
def test_two_changes_of_one_key_are_a_conflict(
    app, store, caplog, start, ours, theirs, expected
):
    client = app.test_client()
    with caplog.at_level(logging.INFO):
        response, other = overtaken(client, start, ours, theirs)

    assert response.status_code == 409
    assert "try again" in response.text
    assert "Set-Cookie" not in response.headers
    assert read(client) == read(other) == expected
    assert len(store.values) == 1
    assert f"{next(iter(start))!r} at once" in caplog.text


@pytest.mark.parametrize(
    "end",
    [
        lambda session: session.revoke(),
        lambda session: session.clear(),
        lambda session: session.rotate(),
        lambda session: session.revoke() or session.update(a=9),
    ],
)
@pytest.mark.parametrize(
    "ours", [update(a=1), update(b=1), drop("a"), lambda it: it.rotate()]
)
def test_a_session_that_ended_does_not_come_back(app, store, end, ours):
    client = app.test_client()
    response, other = overtaken(client, {"a": 0}, ours, end)
    ended = identifier(client)

    assert response.status_code == 409
    # The cookie is left alone: the other answer may have brought another one.
    assert "Set-Cookie" not in response.headers
    assert read(client) == {}
    assert ended == identifier(client) != identifier(other)
    assert len(store.values) == (identifier(other) is not None)


def test_a_session_that_ended_is_not_renewed(app, memory, clock):
    client = app.test_client()
    put(client, a=1)
    other = app.test_client()
    other.set_cookie("session", identifier(client))

    def view():
        dict(session)
        do(other, lambda: session.revoke())

    clock(days=10)
    response = do(client, view)
    assert response.status_code == 200
    assert "Set-Cookie" not in response.headers
    assert memory.values == {}


def test_a_renewal_that_is_overtaken_changes_nothing(app, memory, clock):
    app.config["SESSION_REFRESH_EACH_REQUEST"] = False
    client = app.test_client()
    put(client, _permanent=True)
    other = app.test_client()
    other.set_cookie("session", identifier(client))
    clock(days=10)

    def view():
        dict(session)
        put(other, a=1)

    memory.calls.clear()
    assert "Set-Cookie" not in do(client, view).headers
    assert memory.calls == ["get", "get", "replace", "replace", "get", "replace"]
    assert read(client) == {"_permanent": True, "a": 1}


def test_revocation_wins_over_changes(app, store):
    client = app.test_client()
    response, _ = overtaken(
        client, {"a": 0}, lambda session: session.revoke(), update(b=1)
    )

    assert response.status_code == 200
    assert store.values == {}


def test_rotation_keeps_changes_of_others(app, store):
    client = app.test_client()
    put(client, a=0)
    before = identifier(client)
    response, other = overtaken(
        client, {"a": 0}, lambda session: session.rotate(), update(b=1)
    )

    assert response.status_code == 200
    assert read(client) == {"a": 0, "b": 1}
    assert identifier(client) != before == identifier(other)
    assert read(other) == {}
    assert len(store.values) == 1


def test_an_error_page_of_a_conflict_may_use_the_session(app, memory):
    @app.errorhandler(409)
    def page(exc):
        flash("Try again.")
        return f"{session['a']} {exc.code}", 200

    client = app.test_client()
    response, _ = overtaken(client, {"a": 0}, update(a=1), update(a=2))

    assert response.text == "2 409"
    assert read(client) == {"a": 2, "_flashes": [["message", "Try again."]]}


def test_an_error_page_of_a_session_that_ended_may_use_it_in_vain(app, memory):
    @app.errorhandler(409)
    def page(exc):
        flash("Try again.")
        return str(session.get("a"))

    client = app.test_client()
    response, other = overtaken(
        client, {"a": 0}, update(a=1), lambda session: session.rotate()
    )

    assert response.text == "None"
    assert "Set-Cookie" not in response.headers
    assert read(other) == {"a": 0}
    assert read(client) == {}
    assert len(memory.values) == 1


def test_the_view_s_answer_is_dropped_whole(app, memory):
    closed = []
    sent = []
    app.after_request(lambda response: sent.append(response.status_code) or response)

    def ours(session):
        session["a"] = 1

    client = app.test_client()
    put(client, a=0)
    other = app.test_client()
    other.set_cookie("session", identifier(client))

    def view():
        session["a"] = 1
        put(other, a=2)
        response = app.response_class("secret", headers={"X-View": "1"})
        response.set_cookie("view", "1")
        response.call_on_close(lambda: closed.append(True))
        return response

    finished = []
    sent.clear()
    with signals.request_finished.connected_to(
        lambda sender, response, **extra: finished.append(response.status_code), app
    ):
        response = do(client, view)

    assert response.status_code == 409
    assert "secret" not in response.text
    assert "X-View" not in response.headers
    assert "Set-Cookie" not in response.headers
    assert closed == [True]
    assert finished == [200, 409]
    assert sent == [200, 200, 409]


def test_a_save_that_is_always_overtaken_is_a_conflict(client, app, memory):
    put(client, a=0)

    class Busy(Recording):
        def replace(self, key, old, new, seconds):
            created = b'[9e9,9e9,{"n":%d}]' % len(self.calls)
            self.store.replace(key, self.store.get(key), created, 60)
            return super().replace(key, old, new, seconds)

    app.session_interface = StoredSessionInterface(Busy(memory.store))
    assert put(client, b=1).status_code == 409
    assert app.session_interface.store.calls.count("replace") == session_stores._TRIES


def test_a_store_that_takes_nothing_is_a_conflict(client, app, memory):
    app.session_interface = StoredSessionInterface(memory)
    memory.store.replace = lambda *args: False

    assert put(client, b=1).status_code == 409


def test_threads_lose_nothing(app, store):
    client = app.test_client()
    put(client, start=0)
    value = identifier(client)
    count = 12
    barrier = threading.Barrier(count)
    statuses = []

    def run(number):
        mine = app.test_client()
        mine.set_cookie("session", value)

        def view():
            session[f"n{number}"] = number
            barrier.wait(10)

        statuses.append(do(mine, view).status_code)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert statuses == [200] * count
    expected = {f"n{number}": number for number in range(count)}
    assert read(client) == {"start": 0} | expected


def test_threads_do_not_lose_a_conflict(app, store):
    client = app.test_client()
    put(client, n=0)
    value = identifier(client)
    barrier = threading.Barrier(8)
    answers = []

    def run(number):
        mine = app.test_client()
        mine.set_cookie("session", value)

        def view():
            session["n"] = number
            barrier.wait(10)

        answers.append((do(mine, view).status_code, number))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(status for status, _ in answers) == [200] + [409] * 7
    assert read(client) == {"n": dict(answers)[200]}


# A store that is away

AWAY = [SessionStoreError("away"), ConnectionError("away"), TimeoutError("away")]


def lose(app, memory):
    """Return a client with a session whose store does not answer any more."""
    client = app.test_client()
    put(client, a=1)
    memory.calls.clear()
    memory.broken = dict.fromkeys(("get", "replace", "delete"), AWAY[0])
    return client


@pytest.fixture
def site(app, memory):
    return lose(app, memory)


@pytest.mark.parametrize("error", AWAY, ids=repr)
@pytest.mark.parametrize(
    ("broken", "view"),
    [
        ("get", lambda: session.get("a")),
        ("get", lambda: session.update(b=1)),
        ("get", lambda: session.revoke()),
        ("get", lambda: render_template_string("{{ session.a }}")),
        ("get", lambda: str(get_flashed_messages())),
        ("replace", lambda: session.update(b=1)),
        ("replace", lambda: session.clear()),
        ("replace", lambda: session.rotate()),
        ("delete", lambda: session.revoke()),
        ("delete", lambda: session.rotate()),
    ],
)
def test_a_request_that_needs_the_store_is_a_503(
    site, memory, caplog, broken, view, error
):
    memory.broken = {broken: error}

    response = do(site, view)

    assert response.status_code == 503
    assert response.headers["Retry-After"] == "5"
    assert "Set-Cookie" not in response.headers
    assert [it.levelname for it in caplog.records] == ["WARNING"]
    assert caplog.records[0].getMessage() == "The session store does not answer: away"
    assert site.get("/plain").status_code == 200
    memory.broken = {}
    assert do(site, lambda: "back").text == "back"


def test_a_request_without_a_session_notices_only_writes(app, memory):
    memory.broken = dict.fromkeys(("get", "replace"), AWAY[0])
    client = app.test_client()

    assert do(client, lambda: str(session.get("a"))).text == "None"
    assert put(client, a=1).status_code == 503
    assert identifier(client) is None


def test_an_error_page_sees_an_empty_session(app, memory):
    @app.errorhandler(503)
    def page(exc):
        text = render_template_string(
            "{{ session.get('a') }} {{ get_flashed_messages() }} {{ session.permanent }}"
        )
        with pytest.raises(SessionUnavailable):
            flash("not kept")
        with pytest.raises(SessionUnavailable):
            session["a"] = 2
        assert dict(session) == {}
        return text, 503

    site = lose(app, memory)
    response = do(site, lambda: session["a"])
    assert response.status_code == 503
    assert response.text == "None [] False"
    assert memory.calls == ["get"]
    memory.broken = {"replace": AWAY[0]}
    response = put(site, b=2)
    assert response.text == "None [] False"
    assert memory.calls == ["get", "get", "replace"]
    memory.broken = {}
    assert read(site) == {"a": 1}


def test_a_session_is_saved_outside_of_requests(app, memory):
    interface = app.session_interface
    with app.test_request_context():
        opened = interface.open_session(app, request)
    opened["a"] = 1
    response = app.response_class()
    interface.save_session(app, opened, response)
    assert response.headers["Vary"] == "Cookie"
    assert "Set-Cookie" in response.headers
    memory.broken = {"replace": AWAY[0]}
    with pytest.raises(SessionUnavailable):
        interface.save_session(app, opened, app.response_class())
    assert opened == {"a": 1}


def test_a_view_may_go_on_without_session(site):
    def view():
        try:
            name = session["a"]
        except SessionUnavailable:
            name = session.get("a", "stranger")
        return name

    assert do(site, view).text == "stranger"


def test_an_after_request_function_may_meet_it_first(app, memory):
    @app.after_request
    def look(response):
        response.headers["X-User"] = str(session.get("a"))
        return response

    site = lose(app, memory)
    response = site.get("/plain")
    assert response.status_code == 503
    assert response.headers["X-User"] == "None"


def test_an_after_request_function_that_writes_does_not_hide_it(app, memory, caplog):
    @app.after_request
    def write(response):
        session["a"] = 2
        return response

    site = lose(app, memory)
    assert site.get("/plain").status_code == 503
    assert "does not answer: away" in caplog.text


def test_the_error_handlers_and_traps_of_the_application_are_asked(app, memory):
    app.register_error_handler(SessionUnavailable, lambda exc: ("closed", 200))
    site = lose(app, memory)
    memory.broken.pop("get")
    assert put(site, b=1).text == "closed"
    app.config["TRAP_HTTP_EXCEPTIONS"] = True
    assert put(site, b=1).text == "closed"
    app.error_handler_spec[None].clear()
    with pytest.raises(SessionUnavailable):
        put(site, b=1)


def test_a_failing_view_stays_a_500(app, site, memory):
    app.config["PROPAGATE_EXCEPTIONS"] = False
    memory.broken.pop("get")

    def view():
        session["b"] = 1
        raise ZeroDivisionError

    assert do(site, view).status_code == 500


@pytest.mark.parametrize("error", [TypeError("bug"), KeyError("bug")])
@pytest.mark.parametrize("broken", ["get", "replace"])
def test_a_bug_of_a_store_is_no_503(site, memory, error, broken):
    memory.broken = {broken: error}

    with pytest.raises(type(error)):
        put(site, b=1)


def test_an_interface_of_ones_own_may_raise_them(app, memory):
    class Own(SecureCookieSessionInterface):
        def save_session(self, app, session, response):
            raise SessionUnavailable("Come back later.", retry_after=60)

    app.session_interface = Own()
    app.secret_key = "a key"
    response = app.test_client().get("/plain")

    assert response.status_code == 503
    assert response.headers["Retry-After"] == "60"
    assert "Come back later." in response.text


@pytest.mark.parametrize("error", [HTTPException, ValueError])
def test_other_errors_of_an_interface_stay_a_500(app, memory, error):
    class Own(SecureCookieSessionInterface):
        def save_session(self, app, session, response):
            raise error

    app.session_interface = Own()
    app.config.update(SECRET_KEY="a key", PROPAGATE_EXCEPTIONS=False)

    assert app.test_client().get("/plain").status_code == 500


def test_the_client_says_that_the_store_is_away(site):
    with pytest.raises(SessionUnavailable), site.session_transaction():
        pytest.fail("it was opened")


def test_a_session_may_be_saved_twice(client, app, memory):
    # A listener fails after the save: the error page is saved, too, and is what
    # brings the cookie.
    app.config["PROPAGATE_EXCEPTIONS"] = False
    errors = [ZeroDivisionError]

    def fail(sender, **extra):
        if errors:
            raise errors.pop()

    with signals.request_finished.connected_to(fail, app):
        response = put(client, a=1)

    assert response.status_code == 500
    assert read(client) == {"a": 1}
