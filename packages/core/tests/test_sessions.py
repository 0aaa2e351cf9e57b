from __future__ import annotations

import functools
import gc
import hashlib
import json
import subprocess
import sys
import time
import uuid
import weakref
import zlib
from base64 import urlsafe_b64encode
from datetime import UTC
from datetime import datetime
from datetime import timedelta

import pytest
from itsdangerous import BadData
from itsdangerous import BadPayload
from itsdangerous import BadTimeSignature
from itsdangerous import SignatureExpired
from itsdangerous import URLSafeSerializer
from itsdangerous import URLSafeTimedSerializer
from markupsafe import Markup
from werkzeug.test import create_environ

from erlen import Erlen
from erlen import _keys
from erlen import _signing
from erlen.json.provider import DefaultJSONProvider
from erlen.json.tag import TaggedJSONSerializer
from erlen.sessions import NullSession
from erlen.sessions import SecureCookieSession
from erlen.sessions import SecureCookieSessionInterface
from erlen.sessions import SessionInterface
from erlen.sessions import SessionMixin
from erlen.sessions import session_json_serializer

# When the cookies below were made, by Flask 3.1.3 with this key.
THEN = 1_700_000_000
LIFETIME = timedelta(days=7_300)  # less than it is since 1970
KEY = "recorded"

RECORDED = [
    (
        {"user_id": 5, "name": "Zoë", "ok": True, "none": None, "pi": 1.5},
        (
            "eyJuYW1lIjoiWm9cdTAwZWIiLCJub25lIjpudWxsLCJvayI6dHJ1ZSwicGkiOjEuNSwidXNlcl9p"
            "ZCI6NX0.ZVPxAA.h4uP_fBQ07PQetBduAwXzp27Stc"
        ),
    ),
    (
        {"_permanent": True, "a": 1},
        "eyJfcGVybWFuZW50Ijp0cnVlLCJhIjoxfQ.ZVPxAA.Pfc_8m2l9cc0flyc4yW1x_yC_Ew",
    ),
    (
        {"_flashes": [("message", "hello")]},
        (
            "eyJfZmxhc2hlcyI6W3siIHQiOlsibWVzc2FnZSIsImhlbGxvIl19XX0.ZVPxAA.eVHyeofwIZKuf"
            "qqOU1rJsrHa8Rw"
        ),
    ),
    (
        {
            "t": (1, (2,)),
            "b": b"\x00\xff",
            "m": Markup("<b>"),
            "u": uuid.UUID(int=7),
            "d": datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC),
            "di": {" t": [1]},
            "l": [(1,)],
        },
        (
            ".eJyrVkpSsqpWUgCSSo4BFrZKtTpKKWARIKkUklGqo2BgpOCVmKdgZGBkoGBgbGVgYmVgquDuGwJ"
            "WmglRC6FK4uOVrKINY2uBMjlAFkgIIhCro5QLVgIklWyS7EB6SyB6QAp0oAwjoEqgTClYBkgqGeAH"
            "5kq1tQC5jjBX.ZVPxAA.v-pJ2_kgZOPJcegVxJ5WulBIbAE"
        ),
    ),
    (
        {"text": "x" * 500},
        ".eJyrVipJrShRslKqGAUjDijVAgDvle3g.ZVPxAA.csiXUCxoDTL7DC4hCCId6N7daLQ",
    ),
]


def peer(key=KEY):
    """Make the serializer as Flask's users know it, from itsdangerous."""
    return URLSafeTimedSerializer(
        key,
        salt="cookie-session",
        serializer=TaggedJSONSerializer(),
        signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha1},
    )


@pytest.fixture
def app(app):
    """Return an application that reads what was recorded long ago."""
    app.secret_key = KEY
    app.permanent_session_lifetime = LIFETIME
    return app


@pytest.fixture
def interface(app):
    """Return the application's session interface, one of its own."""
    app.session_interface = SecureCookieSessionInterface()
    return app.session_interface


@pytest.fixture
def then(monkeypatch):
    """Let it be the time when the cookies were made."""
    monkeypatch.setattr(time, "time", lambda: THEN + 0.5)


@pytest.fixture
def read(app, interface):
    """Return a function that opens the session of a cookie."""

    def read(cookie, name="session"):
        environ = create_environ(headers={"Cookie": f"{name}={cookie}"})
        with app.request_context(environ) as ctx:
            return interface.open_session(app, ctx.request)

    return read


@pytest.fixture
def save(app, interface):
    """Return a function that saves a session into a response, and returns that."""

    def save(session, url="http://localhost/", response=None):
        response = response or app.response_class()
        with app.request_context(create_environ(base_url=url)):
            interface.save_session(app, session, response)
        return response

    return save


def cookie_of(response):
    cookies = response.headers.getlist("Set-Cookie")
    assert len(cookies) <= 1
    return cookies[0] if cookies else None


def changed(**data):
    """Make a session that has to be saved."""
    session = SecureCookieSession(data)
    session.modified = True
    return session


# The cookie, in both directions


@pytest.mark.parametrize(("data", "cookie"), RECORDED)
def test_a_cookie_of_flask_is_read(read, data, cookie):
    session = read(cookie)

    assert type(session) is SecureCookieSession
    assert session == data
    assert {key: type(item) for key, item in session.items()} == {
        key: type(item) for key, item in data.items()
    }


@pytest.mark.parametrize(("data", "cookie"), RECORDED)
@pytest.mark.usefixtures("then")
def test_a_cookie_is_written_as_flask_writes_it(app, interface, data, cookie):
    with app.app_context():
        written = interface.get_signing_serializer(app).dumps(data)
        # Compressed text is as long, but another.
        assert written == cookie or cookie.startswith(".")
        assert written[0] == cookie[0]
        assert len(written) == len(cookie)
        # The provider sorts the keys, dicts are equal in any order.
        assert peer().loads(written, max_age=1) == data


def test_a_key_of_bytes_is_read(app, read):
    app.secret_key = b"\xffbytes"

    assert read("eyJhIjoxfQ.ZVPxAA.THm3GyHa5CyGWHg1rlr64C0ohLQ") == {"a": 1}


def test_a_quoted_cookie_is_read(read):
    assert read(f'"{RECORDED[1][1]}"') == RECORDED[1][0]


@pytest.mark.parametrize("data", [{"n": 1}, {"n": "x" * 40}, {"n": "0123456789" * 300}])
def test_a_cookie_is_compressed_where_that_is_shorter(app, interface, data):
    text = json.dumps(data, separators=(",", ":")).encode()
    shorter = len(zlib.compress(text)) < len(text) - 1

    with app.app_context():
        written = interface.get_signing_serializer(app).dumps(data)

    assert written.startswith(".") is shorter


def test_the_payload_is_written_by_the_applications_provider(app, interface):
    asked = []

    class Own(DefaultJSONProvider):
        def dumps(self, obj, **kwargs):
            asked.append((obj, kwargs))
            return super().dumps(obj, **kwargs)

    with app.app_context():
        serializer = interface.get_signing_serializer(app)
        app.json = Own(app)
        serializer.dumps({"b": (1,), "a": 1})

    assert asked == [({"b": {" t": [1]}, "a": 1}, {"separators": (",", ":")})]


# Cookies that are hostile, damaged or strange


def b64(data):
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(payload, stamp=None, key=KEY):
    """Sign a payload, as somebody who has the key can do with any."""
    signer = peer(key).make_signer("cookie-session")
    value = f"{payload}.{b64(stamp or THEN.to_bytes(4, 'big'))}".encode()
    return f"{value.decode()}.{signer.get_signature(value).decode()}"


def in_time(seconds):
    return (int(time.time()) + seconds).to_bytes(4, "big")


GOOD = RECORDED[1][1]

HOSTILE = {
    "nothing": "",
    "dots": "..",
    "many dots": "." * 5_000,
    "one part": GOOD.split(".", 1)[0],
    "two parts": GOOD.rsplit(".", 1)[0],
    "four parts": f"{GOOD}.{GOOD[-27:]}",
    "cut short": GOOD[:-1],
    "another payload": f"x{GOOD}",
    "another time": GOOD.replace("ZVPxAA", "ZVPxAB"),
    "another key": signed(b64(b"{}"), key="other"),
    "not text": "\xff\xfe\x00",
    "not utf-8": "\\377\\376",
    "no ascii": "é" * 100,
    "a lone surrogate": "\ud800",
    "long": "A" * 100_000,
    # What follows is signed, which only the owner of the key can do.
    "no base64": signed("a"),
    "no json": signed(b64(b"{")),
    "bytes that are no text": signed(b64(b'{"a":"\xff"}')),
    "deep": signed("." + b64(zlib.compress(b'{"a":' + b"[" * 100_000))),
    "digits": signed("." + b64(zlib.compress(b'{"a":' + b"1" * 5_000 + b"}"))),
    "no deflate": signed("." + b64(b"nonsense")),
    "deflate cut short": signed("." + b64(zlib.compress(b'{"a":1}' * 9)[:-5])),
    "a bomb": signed("." + b64(zlib.compress(b'"' + b"a" * _signing.MAX_PAYLOAD))),
    "a list": signed(b64(b"[1]")),
    "pairs": signed(b64(b'[["a",1]]')),
    "a text": signed(b64(b'"text"')),
    "null": signed(b64(b"null")),
    "a tuple": signed(b64(b'{" t":[1]}')),
    "a damaged tuple": signed(b64(b'{"a":{" t":1}}')),
    "a damaged dict": signed(b64(b'{" di":{}}')),
    "no time": signed(b64(b"{}"), b"\x00" * 9),
    "a damaged time": signed(b64(b"{}")).replace("ZVPxAA", "A"),
    "from the future": signed(b64(b'{"a":1}'), in_time(+1_000)),
    "too old": signed(b64(b'{"a":1}'), b"\x01"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_cookie_is_an_empty_session(app, interface, name):
    class Request:
        cookies = {"session": HOSTILE[name]}

    with app.app_context():
        session = interface.open_session(app, Request)

    assert type(session) is SecureCookieSession
    assert session == {}
    assert not session.modified


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_cookie_in_a_request(read, name):
    assert read(HOSTILE[name].encode(errors="replace").decode("latin-1")) == {}


def test_a_payload_of_the_greatest_size_is_read(read):
    size = _signing.MAX_PAYLOAD - len('{"a":""}')
    payload = b'{"a":"%b"}' % (b"a" * size)

    assert len(read(signed("." + b64(zlib.compress(payload))))["a"]) == size


def test_a_signature_can_be_written_in_one_way_only(read):
    """Of the last character's six bits, two say nothing: itsdangerous takes any."""
    head, last = GOOD[:-1], GOOD[-1]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    others = [head + char for char in alphabet if char != last]
    assert any(peer().loads(other) for other in others if _accepts(peer(), other))

    assert [other for other in others if read(other)] == []
    assert read(f"{GOOD}=") == {}


def _accepts(serializer, cookie):
    try:
        serializer.loads(cookie)
    except BadData:
        return False
    return True


def test_the_age_is_measured_against_the_lifetime(app, read, monkeypatch):
    app.permanent_session_lifetime = timedelta(seconds=100)

    for age, found in [(-1, {}), (0, RECORDED[1][0]), (100, RECORDED[1][0]), (101, {})]:
        monkeypatch.setattr(time, "time", lambda age=age: THEN + age)
        assert read(GOOD) == found


# Keys


def test_the_newest_key_signs_and_all_verify(app, interface, read):
    app.config["SECRET_KEY_FALLBACKS"] = ["oldest", b"old"]

    with app.app_context():
        written = interface.get_signing_serializer(app).dumps({"a": 1})

    assert peer().loads(written) == {"a": 1}
    for key in ("oldest", "old", KEY):
        assert read(peer(key).dumps({"a": 1})) == {"a": 1}
    assert read(peer("other").dumps({"a": 1})) == {}


def test_a_changed_key_is_noticed_at_once(app, read):
    cookie = peer("new").dumps({"a": 1})
    assert read(cookie) == {}

    app.config["SECRET_KEY_FALLBACKS"] = keys = ["new"]
    assert read(cookie) == {"a": 1}
    keys.clear()
    assert read(cookie) == {}
    app.secret_key = "new"
    assert read(cookie) == {"a": 1}


@pytest.mark.parametrize("fallbacks", ["old", b"old", "a"])
def test_fallbacks_in_a_string_are_refused(app, interface, fallbacks):
    app.config["SECRET_KEY_FALLBACKS"] = fallbacks

    with pytest.raises(TypeError, match="SECRET_KEY_FALLBACKS must be a list"):
        interface.get_signing_serializer(app)


@pytest.mark.parametrize(
    ("secret_key", "fallbacks", "error", "words"),
    [
        (5, None, TypeError, "SECRET_KEY .* str or bytes, .* 'int'"),
        (["a"], None, TypeError, "SECRET_KEY .* str or bytes, .* 'list'"),
        ("a", ["b", None], TypeError, "SECRET_KEY_FALLBACKS .* 'NoneType'"),
        ("a", ["b", ""], ValueError, "SECRET_KEY_FALLBACKS contains an empty key"),
    ],
)
def test_what_is_no_key(app, interface, secret_key, fallbacks, error, words):
    app.secret_key = secret_key
    app.config["SECRET_KEY_FALLBACKS"] = fallbacks

    with pytest.raises(error, match=words):
        interface.get_signing_serializer(app)


@pytest.mark.parametrize("secret_key", [None, "", b""])
def test_without_a_key_there_is_no_session(app, interface, read, secret_key):
    app.secret_key = secret_key

    assert interface.get_signing_serializer(app) is None
    assert read(GOOD) is None


# The serializer


@pytest.fixture
def built(monkeypatch):
    """Return a list that grows by one with each serializer that is built."""
    built = []

    class Counted(_signing.CookieSerializer):
        def __init__(self, *args):
            built.append(args)
            super().__init__(*args)

    monkeypatch.setattr(_signing, "CookieSerializer", Counted)
    return built


def test_the_serializer_is_built_once(app, read, save, built):
    for _ in range(5):
        read(GOOD)
        save(changed(a=1))

    assert len(built) == 1


def test_applications_share_an_interface(app, interface, built):
    other = Erlen("other")
    other.secret_key = "other"

    for _ in range(5):
        for either in (app, other):
            interface.get_signing_serializer(either)

    assert len(built) == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("salt", "other"),
        ("key_derivation", "concat"),
        ("digest_method", hashlib.sha256),
        ("serializer", TaggedJSONSerializer()),
    ],
)
def test_what_the_serializer_is_made_of_may_change(app, interface, built, name, value):
    before = interface.get_signing_serializer(app)
    setattr(interface, name, value)
    after = interface.get_signing_serializer(app)

    with app.app_context():
        assert after.loads(after.dumps({"a": 1})) == {"a": 1}
        assert (after.dumps({}) == before.dumps({})) is (name == "serializer")
    assert len(built) == 2


def test_the_number_of_kept_serializers_is_bounded(app, interface):
    for number in range(3 * _keys.MAX_SERIALIZERS):
        app.secret_key = f"key {number}"
        interface.get_signing_serializer(app)

    assert len(interface._serializers) <= _keys.MAX_SERIALIZERS


@pytest.mark.parametrize(
    "digest_method",
    [
        hashlib.sha512,
        "sha512",
        functools.partial(hashlib.new, "sha512"),
        hashlib.blake2s,
        functools.partial(hashlib.blake2b, digest_size=16),
    ],
)
def test_any_hash_signs_as_itsdangerous_does(app, interface, digest_method):
    interface.digest_method = digest_method
    serializer = interface.get_signing_serializer(app)
    other = peer()
    other.signer_kwargs["digest_method"] = digest_method

    assert serializer.loads(other.dumps({"a": 1}), max_age=9) == {"a": 1}
    assert other.loads(serializer.dumps({"a": 1}), max_age=9) == {"a": 1}


def test_a_key_derivation_that_does_not_exist(app, interface):
    interface.key_derivation = "guess"

    with pytest.raises(TypeError, match="derivation"):
        interface.get_signing_serializer(app)


@pytest.fixture
def serializer(app, interface):
    """Return the application's serializer."""
    return interface.get_signing_serializer(app)


def test_the_serializer_is_one_of_itsdangerous(serializer):
    assert isinstance(serializer, URLSafeTimedSerializer)
    assert serializer.secret_keys == [KEY.encode()]
    assert serializer.loads_unsafe(GOOD) == (True, RECORDED[1][0])
    assert serializer.loads_unsafe(GOOD[:-1]) == (False, RECORDED[1][0])


def test_the_serializer_tells_the_time(serializer):
    data, signed_at = serializer.loads(GOOD, return_timestamp=True)

    assert data == RECORDED[1][0]
    assert signed_at == datetime.fromtimestamp(THEN, UTC)


def test_another_salt_for_one_call(serializer):
    text = serializer.dumps({"a": 1}, salt="other")

    assert serializer.loads(text, salt="other") == {"a": 1}
    with pytest.raises(BadTimeSignature):
        serializer.loads(text)


def test_no_limit_of_age(serializer):
    assert serializer.loads(signed(b64(b'{"a":1}'), b"\x01").encode()) == {"a": 1}


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("cut short", BadTimeSignature),
        ("no time", BadTimeSignature),
        ("too old", SignatureExpired),
        ("from the future", SignatureExpired),
        ("no base64", BadPayload),
        ("a bomb", BadPayload),
        ("deep", BadPayload),
    ],
)
def test_the_errors_are_those_of_itsdangerous(serializer, name, error):
    with pytest.raises(error):
        serializer.loads(HOSTILE[name], max_age=LIFETIME.total_seconds())


def test_a_serializer_of_bytes(app, interface):
    class Bytes:
        @staticmethod
        def dumps(obj):
            return json.dumps(obj).encode()

        @staticmethod
        def loads(data):
            return json.loads(data.decode())

    interface.serializer = Bytes
    serializer = interface.get_signing_serializer(app)
    text = serializer.dumps({"a": 1})

    assert type(text) is bytes
    assert serializer.loads(text) == {"a": 1}


# Sessions


@pytest.mark.parametrize("initial", [None, {"a": 1}, [("a", 1)]])
def test_a_new_session(initial):
    session = SecureCookieSession(initial)

    assert session == dict(initial or ())
    assert repr(session) == f"<SecureCookieSession {dict(initial or ())!r}>"
    assert (session.new, session.modified, session.accessed) == (False, False, False)
    assert session.permanent is False


@pytest.mark.parametrize(
    ("change", "modified"),
    [
        (lambda session: session.get("a"), False),
        (lambda session: session.pop("b", None), False),
        (lambda session: session.setdefault("a", 2), False),
        (lambda session: session.setdefault("b", 2), True),
        (lambda session: session.update(b=1), True),
        (lambda session: session.pop("a"), True),
        (lambda session: session.popitem(), True),
        (lambda session: session.clear(), True),
        (lambda session: session.__ior__({"b": 1}), True),
        (lambda session: session.__delitem__("a"), True),
        (lambda session: setattr(session, "permanent", False), True),
    ],
)
def test_a_change_is_noticed(change, modified):
    session = SecureCookieSession({"a": 1})
    change(session)

    assert session.modified is modified


def test_permanent_is_a_key():
    session = SecureCookieSession({"_permanent": 1})
    assert session.permanent is True

    session.permanent = 0

    assert session == {"_permanent": False}


def test_a_session_of_ones_own_says_that_it_was_modified():
    class Own(dict, SessionMixin):
        pass

    own = Own()

    assert (own.new, own.modified, own.accessed) == (False, True, False)


@pytest.mark.parametrize(
    "write",
    [
        lambda session: session.__setitem__("a", 1),
        lambda session: session.__delitem__("a"),
        lambda session: session.__ior__({"a": 1}),
        lambda session: session.clear(),
        lambda session: session.pop("a", None),
        lambda session: session.popitem(),
        lambda session: session.update(a=1),
        lambda session: session.setdefault("a", 1),
        lambda session: setattr(session, "permanent", True),
    ],
)
def test_a_null_session_is_read_only(write):
    session = NullSession()

    with pytest.raises(RuntimeError, match=r"no secret key was set.*erlen secret"):
        write(session)

    assert session.get("a") is None
    assert not session


# Interfaces


def test_the_base_has_to_be_written(app):
    with pytest.raises(NotImplementedError):
        SessionInterface().open_session(app, None)
    with pytest.raises(NotImplementedError):
        SessionInterface().save_session(app, SecureCookieSession(), None)


def test_a_null_session_of_ones_own(app):
    class Null(NullSession):
        pass

    class Interface(SessionInterface):
        null_session_class = Null

    assert type(Interface().make_null_session(app)) is Null
    assert Interface().is_null_session(Null())
    assert not Interface().is_null_session(SecureCookieSession())


@pytest.mark.parametrize(
    ("secure", "url", "expected"),
    [
        (None, "https://localhost/", True),
        (None, "http://localhost/", False),
        (None, None, False),
        (True, "http://localhost/", True),
        (False, "https://localhost/", False),
    ],
)
def test_secure_follows_the_request_unless_it_is_set(
    app, interface, secure, url, expected
):
    app.config["SESSION_COOKIE_SECURE"] = secure

    if url is None:
        assert interface.get_cookie_secure(app) is expected
    else:
        with app.request_context(create_environ(base_url=url)):
            assert interface.get_cookie_secure(app) is expected


# Saving


def test_a_cookie_and_its_flags(save):
    response = save(changed(a=1), "https://localhost/")

    value, *flags = cookie_of(response).split("; ")
    assert value.startswith("session=eyJhIjoxfQ.")
    assert sorted(flags) == ["HttpOnly", "Path=/", "SameSite=Lax", "Secure"]


def test_a_cookie_and_all_that_can_be_set(app, save):
    app.config.update(
        SESSION_COOKIE_NAME="site",
        SESSION_COOKIE_DOMAIN="example.com",
        SESSION_COOKIE_PATH="/here",
        SESSION_COOKIE_HTTPONLY=False,
        SESSION_COOKIE_SECURE=True,
        SESSION_COOKIE_SAMESITE="Strict",
        SESSION_COOKIE_PARTITIONED=True,
    )
    flags = ["Domain=example.com", "Partitioned", "Path=/here", "SameSite=Strict"]

    for session, deleted in [(changed(a=1), False), (changed(), True)]:
        value, *rest = cookie_of(save(session)).split("; ")
        assert value.startswith("site=")
        assert {*flags, "Secure"} <= set(rest)
        assert ("Max-Age=0" in rest) is deleted


def test_a_permanent_session_expires(app, save):
    app.permanent_session_lifetime = timedelta(days=2)

    assert "Expires=" in cookie_of(save(changed(_permanent=True)))
    assert "Expires=" not in cookie_of(save(changed(a=1)))


@pytest.mark.parametrize(
    ("data", "modified", "refresh", "sent"),
    [
        ({}, False, True, None),
        ({}, True, True, "deleted"),
        ({"a": 1}, False, True, None),
        ({"a": 1}, True, True, "set"),
        ({"_permanent": True}, False, True, "set"),
        ({"_permanent": True}, False, False, None),
        ({"_permanent": True}, True, False, "set"),
    ],
)
@pytest.mark.parametrize("accessed", [False, True])
def test_when_a_cookie_is_sent(app, save, data, modified, refresh, sent, accessed):
    app.config["SESSION_REFRESH_EACH_REQUEST"] = refresh
    session = SecureCookieSession(data)
    session.modified = modified
    session.accessed = accessed

    response = save(session)

    cookie = cookie_of(response)
    if cookie is not None:
        assert cookie.startswith("session=;") is (sent == "deleted")
    assert (cookie is not None) is (sent is not None)
    assert response.headers.getlist("Vary") == ["Cookie"] * bool(sent or accessed)


@pytest.mark.parametrize(
    ("vary", "merged"),
    [("Cookie", "Cookie"), ("cookie", "cookie"), ("Accept", "Accept, Cookie")],
)
def test_vary_is_merged(app, save, vary, merged):
    response = app.response_class(headers={"Vary": vary})

    save(changed(a=1), response=response)

    assert response.headers.getlist("Vary") == [merged]


def test_what_a_session_cannot_hold(save):
    with pytest.raises(TypeError, match="not JSON serializable"):
        save(changed(a=object()))


# When a session that nobody reads must be opened


def subclass(*bases, **members):
    return type("Own", bases or (SecureCookieSessionInterface,), members)


class Saves:
    """A mixin that a class can be given before the default one."""

    def save_session(self, app, session, response):
        raise NotImplementedError


def nothing(*args):
    raise NotImplementedError


@pytest.mark.parametrize(
    ("interface_class", "lazy"),
    [
        (SessionInterface, False),
        (SecureCookieSessionInterface, True),
        (subclass(salt="other", get_cookie_name=nothing), True),
        (subclass(open_session=nothing), False),
        (subclass(save_session=nothing), False),
        (subclass(should_set_cookie=nothing), False),
        (subclass(session_class=SecureCookieSession), False),
        (subclass(get_signing_serializer=nothing), False),
        (subclass(open_session=nothing, opens_lazily=True), True),
        (subclass(opens_lazily=False), False),
        (subclass(subclass(open_session=nothing)), False),
        (subclass(subclass(open_session=nothing), opens_lazily=True), True),
        (subclass(Saves, SecureCookieSessionInterface), False),
        (subclass(SecureCookieSessionInterface, Saves), True),
        (subclass(SessionInterface), False),
    ],
)
def test_who_opens_lazily(interface_class, lazy):
    assert interface_class.opens_lazily is lazy
    assert interface_class().opens_lazily is lazy


PLAIN = RECORDED[0][1]
ZIPPED = RECORDED[4][1]


@pytest.mark.parametrize(
    ("header", "needed"),
    [
        (None, False),
        ("", False),
        ("other=1", False),
        (f"session={GOOD}", True),
        (f'a=1; session="{GOOD}"; b=2', True),
        (f"session = {GOOD}", True),
        (f"a=1; session={peer().dumps({'a': 1})}; b=2", False),
        (f"mysession={peer().dumps({'a': 1})}; session={GOOD}", True),
        (f"session={peer().dumps({'a': 1})}; session={GOOD}", True),
        # Where it cannot be told for certain, the session is opened to see.
        (f"session={ZIPPED}", True),
        (f"session={PLAIN}", True),
        ("session=A", True),
        ("session=é", True),
        ("session=", True),
        ("session", True),
    ],
    ids=lambda value: value if isinstance(value, bool) else "cookie",  # which are dated
)
def test_a_cookie_may_be_permanent(app, interface, header, needed):
    class Request:
        environ = {} if header is None else {"HTTP_COOKIE": header}

    assert interface.needs_refresh(app, Request) is needed

    app.config["SESSION_REFRESH_EACH_REQUEST"] = False
    assert interface.needs_refresh(app, Request) is False


def test_the_payload_of_another_serializer_is_not_looked_into(app, interface):
    class Request:
        environ = {"HTTP_COOKIE": "session=" + peer().dumps({"a": 1})}

    interface.serializer = TaggedJSONSerializer()

    assert interface.needs_refresh(app, Request) is True


def test_an_interface_that_says_nothing_is_always_asked(app):
    assert SessionInterface().needs_refresh(app, None) is True


# Life and death


def test_no_cycle_keeps_an_application_alive():
    app = Erlen("short")
    app.secret_key = KEY
    app.session_interface = SecureCookieSessionInterface()
    with app.app_context():
        app.session_interface.get_signing_serializer(app).dumps({"a": 1})
    gone = weakref.ref(app.session_interface)
    gc.disable()
    try:
        app.session_interface = None
        assert gone() is None
    finally:
        gc.enable()


def test_itsdangerous_is_imported_with_the_first_session():
    code = "import erlen.sessions, sys; print('itsdangerous' in sys.modules)"

    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    )

    assert run.stdout == "False\n"


def test_the_interface_may_give_any_serializer(app):
    class Plain(SecureCookieSessionInterface):
        def get_signing_serializer(self, app):
            return Timeless(app.secret_key)

    class Timeless(URLSafeSerializer):
        def loads(self, s, max_age=None):
            return super().loads(s)

    class Request:
        cookies = {"session": URLSafeSerializer(KEY).dumps({"a": 1})}

    assert Plain().open_session(app, Request) == {"a": 1}


def test_the_default_serializer():
    assert type(session_json_serializer) is TaggedJSONSerializer
    assert SecureCookieSessionInterface.serializer is session_json_serializer
