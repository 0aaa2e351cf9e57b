from __future__ import annotations

import pytest

from erlen import websocket
from erlen._origins import normalize
from erlen.testing import WebSocketRejected

SITE = "http://localhost"


@pytest.fixture
def opens(app):
    """Say whether a WebSocket opens, by the headers of its handshake."""

    @app.websocket("/ws")
    async def handler():
        await websocket.accept()

    def opens(origin, base_url=SITE, **headers):
        if origin is not None:
            headers["Origin"] = origin
        try:
            with app.test_client().websocket("/ws", base_url=base_url, headers=headers):
                return True
        except WebSocketRejected as exc:
            return {403: False}[exc.response.status_code]

    return opens


@pytest.mark.parametrize(
    ("origin", "base_url"),
    [
        (None, SITE),  # not a browser
        ("http://localhost", SITE),
        ("http://LOCALHOST", SITE),
        ("HTTP://localhost", SITE),
        ("http://localhost:80", SITE),
        (" http://localhost ", SITE),
        ("http://localhost", "http://localhost:80"),
        ("http://a.test:5000", "http://a.test:5000"),
        ("http://A.test:5000", "http://a.TEST:5000"),
        ("https://a.test", "https://a.test"),
        ("https://a.test:443", "https://a.test"),
        ("https://a.test", "https://a.test:443"),
        ("http://[::1]:5000", "http://[::1]:5000"),
        ("http://[::1]", "http://[::1]:80"),
        ("http://xn--bcher-kva.test", "http://xn--bcher-kva.test"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
    ],
)
def test_a_page_of_this_site_opens_one(opens, origin, base_url):
    assert opens(origin, base_url)


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "null",
        "NULL",
        "*",
        "localhost",
        "//localhost",
        "http:localhost",
        "http:///localhost",
        "http://",
        "http://evil.test",
        "https://localhost",  # another scheme
        "ws://localhost",
        "file://localhost",
        "chrome-extension://localhost",
        "http://localhost:5000",
        "http://localhost:443",
        "http://localhost:080000000080",
        "http://localhost.",
        "http://localhost.evil.test",
        "http://evil-localhost",
        "http://evil.localhost",
        "http://localhost@evil.test",
        "http://evil.test@localhost",
        "http://localhost:80@evil.test",
        "http://localhost#evil.test",
        "http://evil.test#localhost",
        "http://evil.test/localhost",
        "http://evil.test?localhost",
        "http://localhost/",
        "http://localhost/path",
        "http://localhost\\evil.test",
        "http://evil.test\\@localhost",
        "http://localhost%00.evil.test",
        "http://localhost%2eevil.test",
        "http://evil.test http://localhost",
        "http://localhost http://evil.test",
        "http://localhost, http://evil.test",
        "http://localhost,http://localhost",
        "http://[::1]",
        "http://127.0.0.1",
        "http://[localhost]",
        "http://lоcalhost",  # noqa: RUF001  # a Cyrillic letter
        "http://ｌocalhost",  # noqa: RUF001  # a wide one
        "http://lo\u00adcalhost",
        "http://local\thost",
        "http://xn--localhost",
        "http://" + "a" * 70_000,
    ],
)
def test_a_page_of_another_site_opens_none(opens, origin):
    assert not opens(origin.encode().decode("latin-1"))


def test_two_origins_are_none(opens):
    assert not opens("http://localhost,http://localhost")


@pytest.mark.parametrize(
    ("listed", "origin", "expected"),
    [
        ("*", "http://evil.test", True),
        (["*"], "null", True),
        (["https://a.test"], "https://a.test", True),
        (["https://A.test:443"], "https://a.test", True),
        (("https://b.test", "https://a.test"), "https://a.test", True),
        ("https://a.test", "https://a.test", True),
        ("https://b.test, https://a.test", "https://a.test", True),
        ({"https://bücher.test"}, "https://xn--bcher-kva.test", True),
        ({"https://a" + "ü" * 70 + ".test"}, "https://a.test", False),
        (["null"], "null", True),
        (["chrome-extension://abc"], "chrome-extension://abc", True),
        (["https://a.test"], "http://localhost", True),  # its own always may
        (["https://a.test"], "http://a.test", False),
        (["https://a.test"], "https://b.a.test", False),
        (["https://*.a.test"], "https://b.a.test", False),
        (["https://a.test"], "https://a.test:8443", False),
        ([], "https://a.test", False),
        ("", "https://a.test", False),
    ],
)
def test_the_setting_lists_others(app, opens, listed, origin, expected):
    app.config["WEBSOCKET_ORIGINS"] = listed
    assert opens(origin) is expected


def test_the_site_is_as_trusted_proxies_say(app, opens):
    said = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "shop.test"}
    assert not opens("https://shop.test", **said)
    app.config["PROXY_HOPS"] = 1
    assert opens("https://shop.test", **said)
    assert not opens(SITE, **said)


def test_a_host_that_is_none_has_no_site(opens):
    assert not opens("http://", base_url=SITE, Host="a b")
    assert not opens("http://a b", base_url=SITE, Host="a b")


def test_a_host_that_is_refused_is_not_named(app, opens):
    app.config.update(TRUSTED_HOSTS=["a.test"], DEBUG=True)
    assert not opens("http://localhost")


@pytest.mark.parametrize("debug", [True, False])
def test_the_answer_names_the_cure_while_debugging(app, opens, debug):
    app.debug = debug
    with (
        pytest.raises(WebSocketRejected) as caught,
        app.test_client().websocket("/ws", headers={"Origin": "http://<evil>.test"}),
    ):
        pass
    text = caught.value.response.text
    assert "http://&lt;evil&gt;.test" in text
    assert ("WEBSOCKET_ORIGINS" in text) is debug


def test_hooks_do_not_run_for_another_site(app, opens):
    ran = []
    app.before_request(lambda: ran.append(1))
    assert not opens("http://evil.test")
    assert ran == []


def test_what_is_no_origin_stays_as_it_is():
    assert normalize("Moz-Extension://A") == "moz-extension://a"
