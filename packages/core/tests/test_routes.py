from __future__ import annotations

import pytest
from werkzeug.routing import Map
from werkzeug.routing import MapAdapter
from werkzeug.routing import Rule
from werkzeug.test import create_environ

from erlen import Blueprint
from erlen import Erlen
from erlen._routes import _HOSTS
from erlen._routes import BoundHosts
from erlen._routes import OwnedPrefixes

# Hosts


@pytest.fixture
def url_map():
    return Map([Rule("/", endpoint="index"), Rule("/old", redirect_to="/")])


@pytest.fixture
def hosts():
    return BoundHosts()


def keep(hosts, url_map, environ, server_name=None):
    adapter = url_map.bind_to_environ(environ, subdomain="")
    hosts.keep(environ, server_name, adapter)
    return adapter


def environ_of(host="shop.test", **extra):
    return create_environ(base_url="http://shop.test") | {"HTTP_HOST": host} | extra


def test_a_host_is_kept_with_its_adapter(hosts, url_map):
    adapter = keep(hosts, url_map, environ_of())

    assert hosts["shop.test"].adapter is adapter
    assert "Shop.test" not in hosts


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param({"HTTP_UPGRADE": "websocket", "HTTP_CONNECTION": "upgrade"}),
        pytest.param({"wsgi.url_scheme": "wss"}),
    ],
)
def test_the_adapter_of_a_websocket_is_not_kept(hosts, url_map, extra):
    keep(hosts, url_map, environ_of(**extra))

    assert not hosts


def test_no_adapter_is_shared_where_a_redirect_is_computed(app):
    def computed(adapter):
        return f"/{adapter.path_info.strip('/')}-moved"

    app.get("/before", endpoint="before")(lambda: "")
    client = app.test_client()
    with app.test_request_context("/before"):
        assert app._hosts  # a host is bound before the rule is added
    app.add_url_rule("/old", "old", redirect_to=computed)

    for _ in range(2):
        assert client.get("/old").location == "http://localhost/old-moved"
    assert not app._hosts


def test_a_request_without_a_host_is_not_kept(hosts, url_map):
    environ = environ_of()
    del environ["HTTP_HOST"]

    keep(hosts, url_map, environ)

    assert not hosts


def test_the_memory_of_hosts_is_bounded(hosts, url_map):
    sizes = []
    for number in range(3 * _HOSTS):
        keep(hosts, url_map, environ_of(f"h{number}.test"))
        sizes.append(len(hosts))

    assert max(sizes) == _HOSTS
    assert "h0.test" not in hosts
    assert f"h{3 * _HOSTS - 1}.test" in hosts


@pytest.mark.parametrize(
    ("changes", "server_name", "same"),
    [
        ({}, "shop.test", True),
        ({"PATH_INFO": "/x", "QUERY_STRING": "a=1"}, "shop.test", True),
        ({"REQUEST_METHOD": "POST", "REMOTE_ADDR": "192.0.2.1"}, "shop.test", True),
        ({"wsgi.url_scheme": "https"}, "shop.test", False),
        ({"SCRIPT_NAME": "/root"}, "shop.test", False),
        ({}, None, False),
        ({}, "other.test", False),
    ],
)
def test_an_adapter_serves_what_a_bind_would_make_the_same(
    hosts, url_map, changes, server_name, same
):
    keep(hosts, url_map, environ_of(), "shop.test")

    served = hosts["shop.test"].serves(environ_of(**changes), server_name)

    assert served is same


# Prefixes


@pytest.mark.parametrize(
    ("prefix", "path", "owned"),
    [
        ("", "/", True),
        ("", "/any/thing", True),
        ("/", "/any/thing", True),
        ("/shop", "/shop", True),
        ("/shop", "/shop/", True),
        ("/shop", "/shop/a/b", True),
        ("/shop/", "/shop/a", True),
        ("/shop/", "/shop", True),
        ("shop", "/shop/a", True),
        ("/shop", "/shopping", False),
        ("/shop", "/", False),
        ("/shop", "/Shop", False),
        ("/shop", "/a/shop", False),
        ("/a.b", "/a.b/c", True),
        ("/a.b", "/aXb/c", False),
        ("/<lang>", "/en/x", True),
        ("/<lang>", "/", False),
        ("/<lang>/shop", "/en/shop/x", True),
        ("/<lang>/shop", "/en/us/shop/x", False),
        ("/<lang>/shop", "//shop/x", False),
        ("/v<int:version>.<minor>/api", "/v1.2/api/x", True),
        ("/v<int:version>.<minor>/api", "/v1-2/api/x", False),
        ("/~<user>", "/~ada/x", True),
        ("/~<user>", "/ada/x", False),
    ],
)
def test_an_owner_has_all_below_its_prefix(prefix, path, owned):
    prefixes = OwnedPrefixes()
    prefixes.add(prefix, "owner")

    assert prefixes.owner(path) == ("owner" if owned else None)


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("path", "owner"),
    [
        ("/x", "all"),
        ("/shop/x", "shop"),
        ("/shop/admin", "admin"),
        ("/shop/admin/x", "admin"),
        ("/shop/administration", "shop"),
    ],
)
def test_the_deepest_owner_wins(order, path, owner):
    prefixes = OwnedPrefixes()
    owners = [("", "all"), ("/shop", "shop"), ("/shop/admin", "admin")]
    for prefix, name in owners[::order]:
        prefixes.add(prefix, name)

    assert prefixes.owner(path) == owner


def test_the_first_of_two_equal_owners_wins():
    prefixes = OwnedPrefixes()
    prefixes.add("/shop", "first")
    prefixes.add("/<name>", "second")

    assert prefixes.owner("/shop/x") == "first"
    assert prefixes.owner("/other/x") == "second"


@pytest.mark.parametrize(
    ("subdomain", "asked", "owned"),
    [
        ("", "", True),
        ("", "www", False),
        ("api", "api", True),
        ("api", "www", False),
        ("api", "api.v2", False),
        ("<user>.api", "ada.api", True),
        ("<user>.api", "a.b.api", False),
        ("api", None, True),  # by host
    ],
)
def test_an_owner_is_asked_on_its_own_subdomain(subdomain, asked, owned):
    prefixes = OwnedPrefixes()
    prefixes.add("", "owner", subdomain)

    assert prefixes.owner("/x", asked) == ("owner" if owned else None)


def test_another_subdomain_answers_its_own_404():
    app = Erlen("site", subdomain_matching=True)
    app.config["SERVER_NAME"] = "shop.test"
    api = Blueprint("api", __name__, subdomain="api", owns_prefix=True)
    api.register_error_handler(404, lambda exc: ({"error": 404}, 404))
    app.register_blueprint(api)
    client = app.test_client()

    assert client.get("/", subdomain="api").is_json
    assert not client.get("/").is_json
    assert client.get("/").status_code == 404


def test_nobody_owns_anything_by_default():
    assert OwnedPrefixes().owner("/") is None


def test_the_default_subdomain_is_what_rules_are_matched_by(app):
    app.url_map.default_subdomain = "main"
    app.add_url_rule("/x", "main", lambda: "main")
    app.add_url_rule("/x", "none", lambda: "none", subdomain="")
    client = app.test_client()

    assert [client.get("/x").text for _ in range(3)] == ["main"] * 3


def test_an_adapter_of_ones_own_is_asked_each_time(app):
    class Adapter(MapAdapter):
        def match(self, *args, **kwargs):
            asked.append(self)
            return super().match(*args, **kwargs)

    class OwnMap(Map):
        def bind(self, *args, **kwargs):
            adapter = super().bind(*args, **kwargs)
            adapter.__class__ = Adapter
            return adapter

        def bind_to_environ(self, *args, **kwargs):
            adapter = super().bind_to_environ(*args, **kwargs)
            adapter.__class__ = Adapter
            return adapter

    asked = []
    app.url_map = OwnMap()
    app.get("/x")(lambda: "x")
    client = app.test_client()

    assert [client.get("/x").text for _ in range(3)] == ["x"] * 3
    assert len(asked) == 3


def test_another_map_has_another_matcher(app):
    app.add_url_rule("/x", "x", lambda: "x")
    client = app.test_client()
    assert [client.get("/x").status_code for _ in range(2)] == [200, 200]

    app.url_map = Map([Rule("/y", endpoint="x")])

    assert [client.get("/x").status_code for _ in range(2)] == [404, 404]
    assert [client.get("/y").status_code for _ in range(2)] == [200, 200]
