from __future__ import annotations

import pytest
from werkzeug.test import create_environ

from erlen import request
from erlen import url_for
from erlen._environ import make_environ
from erlen._environ import split_path
from erlen._forwarded import trust_proxies
from erlen._forwarded import trust_scope

#: A client forged the first values; two proxies appended one each.
HEADERS = {
    "X-Forwarded-For": "203.0.113.66, 198.51.100.7, 10.0.0.2",
    "X-Forwarded-Proto": "gopher, http, https",
    "X-Forwarded-Host": "evil.test, shop.test, inner.test",
    "X-Forwarded-Port": "666, 80, 8443",
    "X-Forwarded-Prefix": "/evil, /shop, /inner",
}

DIRECT = ("192.0.2.1", "http", "direct.test", "")


def environ_of(headers):
    return create_environ(
        base_url="http://direct.test",
        headers=headers,
        environ_base={"REMOTE_ADDR": "192.0.2.1"},
    )


def seen(environ):
    return tuple(
        environ[name]
        for name in ("REMOTE_ADDR", "wsgi.url_scheme", "HTTP_HOST", "SCRIPT_NAME")
    )


@pytest.mark.parametrize(
    ("hops", "expected"),
    [
        (1, ("10.0.0.2", "https", "inner.test", "")),
        (2, ("198.51.100.7", "http", "shop.test", "")),
        (3, ("203.0.113.66", "http", "evil.test", "")),  # gopher is no scheme
        (4, DIRECT),  # fewer values than proxies: somebody went around one
        ({"for": 1}, ("10.0.0.2", "http", "direct.test", "")),
        ({"proto": 2, "host": 2}, ("192.0.2.1", "http", "shop.test", "")),
        ({"host": 1, "port": 1}, ("192.0.2.1", "http", "inner.test:8443", "")),
        ({"prefix": 1}, ("192.0.2.1", "http", "direct.test", "/inner")),
        ({"for": 2, "prefix": 0}, ("198.51.100.7", "http", "direct.test", "")),
        ({"for": 0}, DIRECT),
        (0, DIRECT),
    ],
)
def test_only_the_values_of_trusted_proxies_are_believed(hops, expected):
    environ = environ_of(HEADERS)

    trust_proxies(environ, hops)

    assert seen(environ) == expected


@pytest.mark.parametrize("server", ["http", "https"])
@pytest.mark.parametrize(
    ("said", "scheme"),
    [
        ("http", "http"),
        ("https", "https"),
        ("HTTPS", "https"),
        ("ws", "http"),
        ("wss", "https"),
        ("gopher", None),
        ("javascript", None),
        ("", None),
    ],
)
def test_a_scheme_is_one_of_http_or_that_of_the_server(server, said, scheme):
    environ = environ_of({"X-Forwarded-Proto": said}) | {"wsgi.url_scheme": server}

    trust_proxies(environ, 1)

    assert environ["wsgi.url_scheme"] == (scheme or server)


@pytest.mark.parametrize(
    ("said", "prefix"),
    [
        ("/shop", "/shop"),
        ("/shop/", "/shop"),
        ("shop/a", "/shop/a"),
        ("//evil.test/", "/evil.test"),
        ("/", ""),
        ("", ""),
    ],
)
def test_a_prefix_is_a_path_and_no_host(said, prefix):
    environ = environ_of({"X-Forwarded-Prefix": said})

    trust_proxies(environ, {"prefix": 1})

    assert environ["SCRIPT_NAME"] == prefix


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Forwarded-For": ""},
        {"X-Real-IP": "203.0.113.66"},
        {"Forwarded": "for=203.0.113.66;proto=https;host=evil.test"},
        {"X-Forwarded-Ssl": "on"},
        {"X-Forwarded-Prefix": "/evil", "X-Forwarded-Port": "666"},
    ],
)
def test_other_headers_change_nothing(headers):
    environ = environ_of(headers)

    trust_proxies(environ, 1)

    assert seen(environ) == DIRECT


def test_what_the_server_gave_is_kept():
    environ = environ_of(HEADERS)

    trust_proxies(environ, 1)

    kept = environ["werkzeug.proxy_fix.orig"]
    assert (kept["REMOTE_ADDR"], kept["wsgi.url_scheme"]) == ("192.0.2.1", "http")


def test_an_environ_is_changed_once():
    environ = environ_of(HEADERS)

    trust_proxies(environ, 1)
    trust_proxies(environ, 2)

    assert seen(environ)[0] == "10.0.0.2"


@pytest.mark.parametrize(
    "hops",
    [-1, 1.0, "1", [1], None, {}, {"for": -1}, {"for": "1"}, {"x_for": 1}, {1: 1}],
)
def test_anything_else_is_refused_by_the_name_of_the_setting(hops):
    with pytest.raises(ValueError) as caught:
        trust_proxies(environ_of({}), hops)

    text = str(caught.value)
    assert "PROXY_HOPS" in text
    assert "for, proto, host, port, prefix" in text
    assert repr(hops) in text


@pytest.mark.parametrize("hops", [0, {}, None])
def test_without_hops_nothing_is_looked_at(app, hops):
    app.config["PROXY_HOPS"] = hops
    environ = environ_of(HEADERS)

    with app.request_context(environ):
        assert seen(environ) == DIRECT
        assert "werkzeug.proxy_fix.orig" not in environ


@pytest.mark.parametrize("path", ["/where", "/absent"])
def test_urls_and_trust_follow_the_proxys_word(app, client, path):
    app.config.update(
        PROXY_HOPS={"host": 1, "proto": 1, "prefix": 1}, TRUSTED_HOSTS=["inner.test"]
    )

    def where(error=None):
        return f"{request.path} {url_for('where', _external=True)}"

    app.add_url_rule("/where", view_func=where)
    app.register_error_handler(404, where)

    for _ in range(2):  # before and after the host is known
        text = client.get(path, headers=HEADERS).text
        assert text == f"{path} https://inner.test/inner/where"


def test_a_host_that_the_proxy_names_has_to_be_trusted(app, client):
    app.config.update(PROXY_HOPS=1, TRUSTED_HOSTS=["localhost"])

    assert client.get("/", headers=HEADERS).status_code == 400
    assert client.get("/").status_code == 404


# An ASGI scope

SCOPE = {
    "type": "http",
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "path": "/a/\N{SNOWMAN}",
    "raw_path": b"/a/%E2%98%83",
    "query_string": b"x=1",
    "root_path": "",
    "client": ("192.0.2.1", 5000),
    "server": ("10.0.0.1", 8000),
    "extensions": {},
}


def scope_of(headers, **given):
    pairs = {"Host": "direct.test", **headers}.items()
    encoded = [(name.lower().encode(), value.encode()) for name, value in pairs]
    return SCOPE | {"headers": encoded} | given


@pytest.mark.parametrize("hops", [1, 2, 3, 4, {"for": 1}, {"host": 1, "port": 1}, 0])
@pytest.mark.parametrize("headers", [HEADERS, {}])
def test_a_scope_becomes_what_an_environ_becomes(hops, headers):
    scope = scope_of(headers)
    expected = make_environ(scope, None)
    trust_proxies(expected, hops)

    trusted = make_environ(trust_scope(scope, hops), None)

    # A proxy says nothing of the client's port, and a port is text or a number.
    assert trusted | {"REMOTE_PORT": ""} == expected | {"REMOTE_PORT": ""}


@pytest.mark.parametrize(
    ("path", "root"),
    [("/a", ""), ("/a/\N{SNOWMAN}", ""), ("/root/a", "/root"), ("/a", "/root")],
)
def test_the_prefix_of_a_proxy_is_the_root(path, root):
    scope = scope_of({"X-Forwarded-Prefix": "/shop"}, path=path, root_path=root)

    trusted = trust_scope(scope, {"prefix": 1})

    assert trusted["root_path"] == "/shop"
    assert trusted["path"] == "/shop" + path.removeprefix("/root")
    assert split_path(trusted) == ("/shop", split_path(scope)[1])


def test_a_scope_is_left_as_it_is():
    scope = scope_of(HEADERS)
    before = {**scope, "headers": [*scope["headers"]]}

    trusted = trust_scope(scope, 1)

    assert scope == before
    assert trusted.keys() - scope.keys() == {"werkzeug.proxy_fix.orig"}
    assert trusted["extensions"] is scope["extensions"]


def test_nothing_in_a_scope_is_trusted_twice():
    once = trust_scope(scope_of(HEADERS), 1)
    twice = trust_scope(once, 2)
    assert make_environ(twice, None) == make_environ(once, None) | {"REMOTE_PORT": "0"}


@pytest.mark.parametrize("hops", [1, {"prefix": 1}])
def test_a_scope_without_host_and_client(hops):
    scope = scope_of({}, client=None)
    scope["headers"] = []

    trusted = trust_scope(scope, hops)

    assert trusted["client"] is None
    assert trusted["headers"] == []
