"""The session: its cookie, readable by Flask and from it, and flashed messages."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import uuid
import zlib
from base64 import urlsafe_b64decode
from base64 import urlsafe_b64encode
from datetime import UTC
from datetime import datetime
from datetime import timedelta
from datetime import timezone

import pytest
from markupsafe import Markup

from erlen import Erlen
from erlen import flash
from erlen import get_flashed_messages
from erlen import jsonify
from erlen import render_template_string
from erlen import request
from erlen import session
from erlen.sessions import NullSession
from erlen.sessions import SecureCookieSession
from erlen.sessions import SecureCookieSessionInterface
from erlen.sessions import SessionInterface
from erlen.sessions import SessionMixin
from erlen.sessions import session_json_serializer

KEY = "a key for tests only"

# --- the format, written down once more without any of the libraries


def b64(data):
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def sign(text, key=KEY):
    derived = hmac.digest(key.encode(), b"cookie-session", "sha1")
    return hmac.digest(derived, text.encode(), "sha1")


def make_cookie(data, key=KEY, age=0, compress=False):
    payload = json.dumps(data, separators=(",", ":")).encode()
    text = f".{b64(zlib.compress(payload))}" if compress else b64(payload)
    stamp = int(time.time() - age)
    text += "." + b64(stamp.to_bytes((stamp.bit_length() + 7) // 8, "big"))
    return f"{text}.{b64(sign(text, key))}"


def read_cookie(cookie, key=KEY):
    """Return the raw JSON of a cookie, the age in seconds, and check who signed."""
    text, _, signature = cookie.rpartition(".")
    assert unb64(signature) == sign(text, key)
    payload, _, stamp = text.rpartition(".")
    data = unb64(payload.lstrip("."))
    if payload.startswith("."):
        data = zlib.decompress(data)
    return data.decode(), time.time() - int.from_bytes(unb64(stamp), "big")


def set_by(response):
    """Return the session cookie that a response sets, None without one."""
    cookies = response.headers.getlist("Set-Cookie")
    assert len(cookies) <= 1
    return cookies[0] if cookies else None


def value_of(response):
    return set_by(response).split(";")[0].partition("=")[2]


@pytest.fixture
def app(app):
    app.secret_key = KEY

    @app.get("/read")
    def read():
        return jsonify(dict(session))

    @app.post("/write")
    def write():
        session.update(request.get_json())
        return ""

    @app.post("/clear")
    def clear():
        session.clear()
        return ""

    app.get("/ignore", endpoint="ignore")(lambda: "")
    return app


def store(app, value):
    """Put `value` into a session by one request, take it out by another."""
    found = []
    app.add_url_rule("/put", "put", lambda: session.update(value=value) or "")
    app.add_url_rule("/get", "get", lambda: found.append(session["value"]) or "")
    client = app.test_client()
    response = client.get("/put")
    client.get("/get")
    return found[0], read_cookie(value_of(response))[0]


# --- interoperation


def test_cookie_is_compact_json_signed_with_the_time(app, client):
    response = client.post("/write", json={"a": 1, "b": ["x", None]})

    payload, age = read_cookie(value_of(response))

    assert payload == '{"a":1,"b":["x",null]}'
    assert -1 <= age <= 5


def test_cookie_is_compressed_when_that_is_shorter(app, client):
    response = client.post("/write", json={"a": "x" * 500})

    assert value_of(response).startswith(".")
    assert read_cookie(value_of(response))[0] == json.dumps(
        {"a": "x" * 500}, separators=(",", ":")
    )


@pytest.mark.parametrize("compress", [False, True])
def test_cookie_made_elsewhere_is_read(app, client, compress):
    client.set_cookie("session", make_cookie({"a": [1]}, compress=compress))

    assert client.get("/read").json == {"a": [1]}


TAGGED = [
    ((1, ("a",)), '{" t":[1,{" t":["a"]}]}'),
    (b"\x00\xff", '{" b":"AP8="}'),
    (Markup("<b>"), '{" m":"<b>"}'),
    (uuid.UUID(int=10), '{" u":"0000000000000000000000000000000a"}'),
    (datetime(2024, 2, 29, 12, 30, 15, tzinfo=UTC), '{" d":"Thu, 29 Feb 2024 12:30:15 GMT"}'),
    ({" t": [1]}, '{" di":{" t__":[1]}}'),
    ({" di": 1}, '{" di":{" di__":1}}'),
    ({"deep": {" b": (1,)}}, '{"deep":{" di":{" b__":{" t":[1]}}}}'),
    ({" t": 1, "other": 2}, '{" t":1,"other":2}'),
    ([1, [2]], "[1,[2]]"),
    ("ü", '"\\u00fc"'),
    ({}, "{}"),
    (None, "null"),
    (1.5, "1.5"),
    (True, "true"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "text"), TAGGED)
def test_type_survives_the_cookie(app, value, text):
    found, payload = store(app, value)

    assert found == value
    assert type(found) is type(value)
    assert payload == f'{{"value":{text}}}'


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (datetime(2024, 2, 29, 12, 30, 15, 999), "naive is taken as UTC, no fractions"),
        (
            datetime(2024, 2, 29, 14, 30, 15, tzinfo=timezone(timedelta(hours=2))),
            "another zone",
        ),
    ],
)
def test_datetimes_come_back_in_utc(app, given, read):
    assert store(app, given)[0] == datetime(2024, 2, 29, 12, 30, 15, tzinfo=UTC), read


def test_payload_is_dumped_by_the_provider_of_the_application(app, client):
    class Loud(type(app.json)):
        def dumps(self, obj, **kwargs):
            return super().dumps(obj, **kwargs).replace("quiet", "LOUD")

    app.json = Loud(app)
    response = client.post("/write", json={"a": "quiet"})

    assert read_cookie(value_of(response))[0] == '{"a":"LOUD"}'


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda cookie: cookie[:-2], id="cut"),
        pytest.param(lambda cookie: "x" + cookie, id="payload"),
        pytest.param(lambda cookie: "", id="empty"),
        pytest.param(lambda cookie: "nonsense", id="nonsense"),
        pytest.param(lambda cookie: make_cookie({"a": 1}, key="other"), id="key"),
        pytest.param(
            lambda cookie: make_cookie({"a": 1}, age=32 * 86400), id="expired"
        ),
    ],
)
def test_tampered_or_expired_cookie_is_an_empty_session(app, client, spoil):
    client.set_cookie("session", spoil(make_cookie({"a": 1})))

    assert client.get("/read").json == {}


def test_age_is_measured_against_the_lifetime(app, client):
    client.set_cookie("session", make_cookie({"a": 1}, age=100))
    assert client.get("/read").json == {"a": 1}

    app.permanent_session_lifetime = timedelta(seconds=50)
    assert client.get("/read").json == {}


# --- keys


@pytest.mark.parametrize("fallbacks", [["old"], ["older", "old"], ("old",)])
def test_fallback_keys_verify_and_the_newest_signs(app, client, fallbacks):
    app.config["SECRET_KEY_FALLBACKS"] = fallbacks
    client.set_cookie("session", make_cookie({"a": 1}, key="old"))

    response = client.post("/write", json={"b": 2})

    assert read_cookie(value_of(response), KEY)[0] == '{"a":1,"b":2}'
    assert client.get("/read").json == {"a": 1, "b": 2}


def test_key_that_left_the_fallbacks_is_worth_nothing(app, client):
    app.config["SECRET_KEY_FALLBACKS"] = ["old"]
    client.set_cookie("session", make_cookie({"a": 1}, key="oldest"))

    assert client.get("/read").json == {}


def test_secret_key_may_be_bytes(app, client):
    app.secret_key = KEY.encode()

    response = client.post("/write", json={"a": 1})

    assert read_cookie(value_of(response))[0] == '{"a":1}'


@pytest.mark.parametrize(
    "read",
    [
        lambda: session.get("a"),
        lambda: "a" in session,
        lambda: len(session),
        lambda: list(session),
        lambda: bool(session),
        lambda: session.permanent,
        lambda: get_flashed_messages(),
    ],
)
def test_without_a_secret_key_reading_works(read):
    app = Erlen("keyless")

    with app.test_request_context():
        assert not read()
        assert isinstance(session._get_current_object(), NullSession)


@pytest.mark.parametrize(
    "write",
    [
        lambda: session.update(a=1),
        lambda: session.__setitem__("a", 1),
        lambda: session.pop("a", None),
        lambda: session.popitem(),
        lambda: session.setdefault("a", 1),
        lambda: session.clear(),
        lambda: session.__delitem__("a"),
        lambda: setattr(session, "permanent", True),
        lambda: flash("x"),
    ],
)
def test_without_a_secret_key_writing_raises(write):
    app = Erlen("keyless")

    with (
        app.test_request_context(),
        pytest.raises(RuntimeError, match="no secret key was set"),
    ):
        write()


def test_without_a_secret_key_a_request_is_served():
    app = Erlen("keyless")
    app.get("/")(lambda: session.get("a", "none"))

    response = app.test_client().get("/")

    assert response.text == "none"
    assert set_by(response) is None


# --- when the cookie is set


def test_cookie_of_a_browser_session(app, client):
    cookie = set_by(client.post("/write", json={"a": 1}))

    assert cookie.startswith("session=")
    parts = [part.strip().lower() for part in cookie.split(";")[1:]]
    assert "httponly" in parts
    assert "path=/" in parts
    assert not [part for part in parts if part.startswith(("expires", "max-age"))]
    assert not [part for part in parts if part.startswith("domain")]


def test_cookie_is_set_only_when_the_session_changed(app, client):
    assert set_by(client.get("/read")) is None
    assert set_by(client.get("/ignore")) is None
    assert set_by(client.post("/write", json={"a": 1}))
    assert set_by(client.get("/read")) is None
    assert set_by(client.get("/ignore")) is None


@pytest.mark.parametrize(
    ("change", "after"),
    [
        (lambda: session.pop("a"), {"b": [1]}),
        (lambda: session.setdefault("c", 3), {"a": 1, "b": [1], "c": 3}),
        (lambda: session.__delitem__("b"), {"a": 1}),
        (lambda: session.update(a=2), {"a": 2, "b": [1]}),
        (lambda: session["b"].append(2), {"a": 1, "b": [1]}),
        (
            lambda: session["b"].append(2) or setattr(session, "modified", True),
            {"a": 1, "b": [1, 2]},
        ),
    ],
)
def test_change_is_noticed_at_the_top_only(app, client, change, after):
    app.get("/change", endpoint="change")(lambda: (change(), "")[1])
    client.post("/write", json={"a": 1, "b": [1]})

    client.get("/change")

    assert client.get("/read").json == after


def test_emptied_session_deletes_the_cookie(app, client):
    client.post("/write", json={"a": 1})

    cookie = set_by(client.post("/clear"))

    assert cookie.startswith("session=;")
    assert "Expires=Thu, 01 Jan 1970 00:00:00 GMT" in cookie
    assert client.get_cookie("session") is None


def test_clearing_an_empty_session_deletes_nothing_that_was_not_there(app, client):
    app.get("/empty", endpoint="empty")(lambda: str(len(session)))

    assert set_by(client.get("/empty")) is None


def test_permanent_session_expires_after_the_lifetime(app, client):
    app.permanent_session_lifetime = timedelta(days=3)
    app.get("/permanent", endpoint="permanent")(
        lambda: setattr(session, "permanent", True) or ""
    )

    response = client.get("/permanent")

    assert read_cookie(value_of(response))[0] == '{"_permanent":true}'
    expires = client.get_cookie("session").expires
    left = expires - datetime.now(UTC)
    assert timedelta(days=2, hours=23) < left <= timedelta(days=3)


@pytest.mark.parametrize(("refresh", "sent"), [(True, True), (False, False)])
def test_permanent_session_is_refreshed_by_each_request(app, client, refresh, sent):
    app.config["SESSION_REFRESH_EACH_REQUEST"] = refresh
    client.post("/write", json={"_permanent": True})

    assert (set_by(client.get("/ignore")) is not None) is sent


# --- attributes of the cookie


@pytest.mark.parametrize(
    ("config", "part"),
    [
        ({"SESSION_COOKIE_NAME": "sid"}, "sid="),
        ({"SESSION_COOKIE_DOMAIN": "shop.test"}, "; Domain=shop.test"),
        ({"SESSION_COOKIE_PATH": "/only"}, "; Path=/only"),
        ({"APPLICATION_ROOT": "/mounted"}, "; Path=/mounted"),
        (
            {"APPLICATION_ROOT": "/mounted", "SESSION_COOKIE_PATH": "/p"},
            "; Path=/p",
        ),
        ({"SESSION_COOKIE_SECURE": True}, "; Secure"),
        ({"SESSION_COOKIE_SAMESITE": "Strict"}, "; SameSite=Strict"),
        ({"SESSION_COOKIE_SAMESITE": "Lax"}, "; SameSite=Lax"),
        (
            {"SESSION_COOKIE_PARTITIONED": True, "SESSION_COOKIE_SECURE": True},
            "; Partitioned",
        ),
    ],
)
def test_attribute_of_the_cookie(app, config, part):
    app.config.update(config)

    response = app.test_client().post(
        "/write", json={"a": 1}, base_url="http://shop.test"
    )

    assert part in set_by(response)


@pytest.mark.parametrize(
    ("config", "part"),
    [
        ({"SESSION_COOKIE_HTTPONLY": False}, "HttpOnly"),
        ({"SESSION_COOKIE_SAMESITE": None}, "SameSite"),
        ({"SESSION_COOKIE_SECURE": False}, "Secure"),
        ({"SERVER_NAME": "shop.test"}, "Domain"),
        ({}, "Partitioned"),
    ],
)
def test_attribute_that_the_cookie_does_not_have(app, config, part):
    app.config.update(config)

    assert part not in set_by(app.test_client().post("/write", json={"a": 1}))


def test_deletion_carries_the_attributes_of_the_cookie(app, client):
    app.config.update(
        SESSION_COOKIE_PATH="/p",
        SESSION_COOKIE_SECURE=True,
        SESSION_COOKIE_SAMESITE="Strict",
    )
    client.set_cookie("session", make_cookie({"a": 1}), path="/p")
    app.post("/p/clear", endpoint="p")(lambda: session.clear() or "")

    cookie = set_by(client.post("/p/clear", base_url="https://localhost"))

    for part in ("Path=/p", "Secure", "HttpOnly", "SameSite=Strict"):
        assert part in cookie


# --- Vary


@pytest.mark.parametrize(
    "access",
    [
        pytest.param(lambda: session.get("a"), id="get"),
        pytest.param(lambda: session["seed"], id="item"),
        pytest.param(lambda: "a" in session, id="in"),
        pytest.param(lambda: len(session), id="len"),
        pytest.param(lambda: list(session), id="iteration"),
        pytest.param(lambda: session.keys(), id="keys"),
        pytest.param(lambda: bool(session), id="bool"),
        pytest.param(lambda: session.permanent, id="permanent"),
        pytest.param(lambda: session.setdefault("seed", 2), id="setdefault"),
        pytest.param(lambda: session.update(b=2), id="write"),
        pytest.param(lambda: session.clear(), id="clear"),
        pytest.param(lambda: session.pop("seed"), id="pop"),
        pytest.param(lambda: flash("x"), id="flash"),
        pytest.param(lambda: get_flashed_messages(), id="flashed"),
        pytest.param(
            lambda: render_template_string("{{ session.seed }}"), id="template"
        ),
        pytest.param(lambda: [session.get("a"), session.get("b")], id="twice"),
    ],
)
def test_any_access_varies_on_the_cookie_once(app, client, access):
    app.get("/access", endpoint="access")(lambda: (access(), "")[1])
    client.set_cookie("session", make_cookie({"seed": 1}))

    assert client.get("/access").headers.getlist("Vary") == ["Cookie"]


def test_no_access_does_not_vary(app, client):
    client.set_cookie("session", make_cookie({"seed": 1}))

    assert "Vary" not in client.get("/ignore").headers


def test_refresh_of_a_permanent_session_varies(app, client):
    client.set_cookie("session", make_cookie({"_permanent": True}))

    assert client.get("/ignore").headers["Vary"] == "Cookie"


@pytest.mark.parametrize(
    ("own", "values"),
    [
        ("Cookie", {"cookie"}),
        ("Accept-Encoding", {"accept-encoding", "cookie"}),
        ("Accept, Cookie", {"accept", "cookie"}),
    ],
)
def test_vary_is_merged_with_what_the_view_set(app, client, own, values):
    app.get("/vary", endpoint="vary")(lambda: (str(len(session)), 200, {"Vary": own}))

    vary = ",".join(client.get("/vary").headers.getlist("Vary"))

    assert sorted(part.strip().lower() for part in vary.split(",")) == sorted(values)


# --- the session object


def test_marks_of_a_session(app):
    with app.test_request_context():
        raw = session._get_current_object()
        assert isinstance(raw, SecureCookieSession)
        assert isinstance(raw, dict)
        assert raw.modified is False
        raw["a"] = 1
        assert raw.modified is True
        assert raw.accessed is True


@pytest.mark.parametrize(("cookie", "new"), [(None, False), ({"a": 1}, False)])
def test_new_is_false_for_cookies(app, client, cookie, new):
    app.get("/new", endpoint="new")(lambda: repr(session.new))
    if cookie:
        client.set_cookie("session", make_cookie(cookie))

    assert client.get("/new").text == repr(new)


def test_permanent_is_kept_under_its_key(app):
    with app.test_request_context():
        assert session.permanent is False
        session.permanent = True
        assert session["_permanent"] is True
        session.permanent = False
        assert session["_permanent"] is False


def test_default_marks_of_the_mixin():
    class Plain(dict, SessionMixin):
        pass

    plain = Plain()

    assert (plain.new, plain.modified) == (False, True)


def test_session_keeps_its_order_and_equals_a_dictionary(app):
    with app.test_request_context():
        session.update(b=1, a=2)
        assert list(session) == ["b", "a"]
        assert session == {"a": 2, "b": 1}


# --- interfaces


@pytest.mark.parametrize(
    ("method", "config", "value"),
    [
        ("get_cookie_name", {"SESSION_COOKIE_NAME": "sid"}, "sid"),
        ("get_cookie_domain", {}, None),
        ("get_cookie_domain", {"SESSION_COOKIE_DOMAIN": "x.test"}, "x.test"),
        ("get_cookie_path", {}, "/"),
        ("get_cookie_path", {"APPLICATION_ROOT": "/r"}, "/r"),
        ("get_cookie_path", {"SESSION_COOKIE_PATH": "/p"}, "/p"),
        ("get_cookie_httponly", {}, True),
        ("get_cookie_secure", {"SESSION_COOKIE_SECURE": True}, True),
        ("get_cookie_samesite", {"SESSION_COOKIE_SAMESITE": "Strict"}, "Strict"),
        ("get_cookie_partitioned", {}, False),
        ("get_cookie_partitioned", {"SESSION_COOKIE_PARTITIONED": True}, True),
    ],
)
def test_interface_reads_the_configuration(app, method, config, value):
    app.config.update(config)

    assert getattr(SessionInterface(), method)(app) == value


def test_defaults_of_the_interfaces():
    assert SessionInterface.pickle_based is False
    assert SessionInterface.null_session_class is NullSession
    interface = SecureCookieSessionInterface()
    assert interface.salt == "cookie-session"
    assert interface.key_derivation == "hmac"
    assert interface.digest_method().name == hashlib.sha1().name
    assert interface.session_class is SecureCookieSession
    assert interface.serializer is session_json_serializer


@pytest.mark.parametrize("call", ["open_session", "save_session"])
def test_interface_is_abstract(app, call):
    args = (app, None) if call == "open_session" else (app, None, None)

    with pytest.raises(NotImplementedError):
        getattr(SessionInterface(), call)(*args)


def test_expiration_time(app):
    interface = SessionInterface()
    with app.test_request_context():
        assert interface.get_expiration_time(app, session) is None
        session.permanent = True
        expires = interface.get_expiration_time(app, session)

    assert expires.tzinfo is not None
    assert timedelta(days=30) < expires - datetime.now(UTC) <= timedelta(days=31)


def test_should_set_cookie(app):
    interface = SessionInterface()
    with app.test_request_context():
        raw = session._get_current_object()
        assert not interface.should_set_cookie(app, raw)
        raw.modified = True
        assert interface.should_set_cookie(app, raw)
        raw.modified = False
        raw.permanent = True
        raw.modified = False
        assert interface.should_set_cookie(app, raw)
        app.config["SESSION_REFRESH_EACH_REQUEST"] = False
        assert not interface.should_set_cookie(app, raw)


def test_null_session(app):
    interface = SessionInterface()
    null = interface.make_null_session(app)

    assert interface.is_null_session(null)
    assert not interface.is_null_session(SecureCookieSession())


def test_signing_serializer(app):
    serializer = SecureCookieSessionInterface().get_signing_serializer(app)

    assert serializer.loads(make_cookie({"a": (1)})) == {"a": 1}
    app.secret_key = None
    assert SecureCookieSessionInterface().get_signing_serializer(app) is None


def test_own_salt_and_class(app, client):
    class Own(SecureCookieSession):
        pass

    class Interface(SecureCookieSessionInterface):
        salt = "other"
        session_class = Own

    app.session_interface = Interface()
    app.get("/class", endpoint="class")(
        lambda: type(session._get_current_object()).__name__
    )
    client.set_cookie("session", make_cookie({"a": 1}))

    assert client.get("/class").text == "Own"
    assert client.get("/read").json == {}


def test_own_interface(app, client):
    saved = {}

    class Stored(dict, SessionMixin):
        modified = False

    class Interface(SessionInterface):
        def open_session(self, app, request):
            return Stored(saved)

        def save_session(self, app, session, response):
            saved.update(session)
            response.headers["X-Saved"] = "yes"

    app.session_interface = Interface()

    assert client.post("/write", json={"a": 1}).headers["X-Saved"] == "yes"
    assert client.get("/read").json == {"a": 1}
    assert saved == {"a": 1}


def test_interface_that_opens_nothing_gets_a_null_session(app, client):
    seen = []

    class Interface(SessionInterface):
        def open_session(self, app, request):
            return None

        def make_null_session(self, app):
            seen.append(app)
            return super().make_null_session(app)

        def save_session(self, app, session, response):
            seen.append("saved")

    app.session_interface = Interface()
    app.testing = False

    assert client.get("/read").json == {}
    assert client.post("/write", json={"a": 1}).status_code == 500
    assert seen[0] is app
    assert "saved" not in seen


def test_cookie_that_is_too_large_is_warned_about(app, client):
    noise = hashlib.shake_256(b"does not compress").hexdigest(4000)

    with pytest.warns(UserWarning, match="too large"):
        client.post("/write", json={"a": noise})


# --- flashing


def test_messages_are_shown_once(app, client):
    app.get("/flash", endpoint="flash")(lambda: (flash("hello"), flash("world"), "")[2])
    app.get("/show", endpoint="show")(lambda: jsonify(get_flashed_messages()))

    client.get("/flash")

    assert client.get("/show").json == ["hello", "world"]
    assert client.get("/show").json == []


def test_messages_may_be_read_again_within_a_request(app):
    with app.test_request_context():
        flash("hello")
        assert get_flashed_messages() == ["hello"]
        assert get_flashed_messages() == ["hello"]
        assert "_flashes" not in session


def test_messages_are_kept_under_their_key(app):
    with app.test_request_context():
        flash("a")
        flash("b", "error")
        assert session["_flashes"] == [("message", "a"), ("error", "b")]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["a", Markup("<b>"), "c"]),
        (
            {"with_categories": True},
            [("message", "a"), ("error", Markup("<b>")), ("info", "c")],
        ),
        ({"category_filter": ["error"]}, [Markup("<b>")]),
        ({"category_filter": ("info", "message")}, ["a", "c"]),
        (
            {"category_filter": ["error"], "with_categories": True},
            [("error", Markup("<b>"))],
        ),
        ({"category_filter": ["other"]}, []),
    ],
)
def test_categories(app, client, options, expected):
    found = []

    @app.get("/flash")
    def put():
        flash("a")
        flash(Markup("<b>"), "error")
        flash("c", category="info")
        return ""

    app.get("/show", endpoint="show")(
        lambda: found.extend(get_flashed_messages(**options)) or ""
    )
    client.get("/flash")
    client.get("/show")

    assert found == expected
    assert [type(entry) for entry in found] == [type(entry) for entry in expected]


def test_messages_in_templates(app, client):
    app.get("/flash", endpoint="flash")(lambda: flash("<hello>") or "")
    app.get("/show", endpoint="show")(
        lambda: render_template_string(
            "{% for m in get_flashed_messages() %}{{ m }}{% endfor %}"
        )
    )
    client.get("/flash")

    assert client.get("/show").text == "&lt;hello&gt;"
