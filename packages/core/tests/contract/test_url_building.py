"""`url_for` with and without a request, its processors, its error handlers."""

from __future__ import annotations

import pytest
from werkzeug.routing import BuildError

import erlen
from erlen import Blueprint
from erlen import Erlen
from erlen import g
from erlen import request
from erlen import url_for


@pytest.fixture
def app(app):
    app.add_url_rule("/", "index", lambda: url_for("index"))
    app.add_url_rule("/item/<int:number>", "item", lambda number: "")
    app.add_url_rule("/text/<value>", "text", lambda value: "")
    app.add_url_rule("/folder/<path:value>", "folder", lambda value: "")
    app.add_url_rule("/form", "form", lambda: "", methods=["POST"])
    return app


@pytest.mark.parametrize(
    ("endpoint", "values", "url"),
    [
        ("index", {}, "/"),
        ("item", {"number": 3}, "/item/3"),
        ("item", {"number": 3, "q": "a b&c"}, "/item/3?q=a+b%26c"),
        ("index", {"q": ["x", "y"]}, "/?q=x&q=y"),
        ("index", {"q": None}, "/"),
        ("text", {"value": "ü x?"}, "/text/%C3%BC%20x%3F"),
        ("folder", {"value": "a/b c"}, "/folder/a/b%20c"),
        ("index", {"_anchor": "x y"}, "/#x%20y"),
        ("index", {"_anchor": "ü", "a": 1}, "/?a=1#%C3%BC"),
        ("index", {"_external": True}, "http://localhost/"),
        ("index", {"_external": True, "_scheme": "https"}, "https://localhost/"),
        ("index", {"_scheme": "https"}, "https://localhost/"),
        ("index", {"_external": True, "_scheme": ""}, "//localhost/"),
        ("form", {"_method": "POST"}, "/form"),
        ("static", {"filename": "a/b.css"}, "/static/a/b.css"),
    ],
)
def test_inside_a_request(app, endpoint, values, url):
    with app.test_request_context():
        assert url_for(endpoint, **values) == url
        assert app.url_for(endpoint, **values) == url


def test_scheme_without_external_is_refused(app):
    with app.test_request_context(), pytest.raises(ValueError, match="_external"):
        url_for("index", _scheme="https", _external=False)


def test_values_may_have_any_name(app):
    with app.test_request_context():
        assert url_for("index", self="s", app="a") == "/?self=s&app=a"


@pytest.mark.parametrize(
    ("endpoint", "values", "words"),
    [
        ("absent", {}, "absent"),
        ("item", {}, "number"),
        ("form", {"_method": "GET"}, "POST"),
    ],
)
def test_what_cannot_be_built(app, endpoint, values, words):
    with app.test_request_context(), pytest.raises(BuildError, match=words) as caught:
        url_for(endpoint, **values)

    assert caught.value.endpoint == endpoint


def test_method_picks_among_rules_of_one_endpoint(app):
    app.add_url_rule("/read", "both", lambda: "", methods=["GET"])
    app.add_url_rule("/write", "both", methods=["POST"])

    with app.test_request_context():
        assert url_for("both", _method="POST") == "/write"
        assert url_for("both", _method="GET") == "/read"


def test_script_name_and_host_of_the_request(app):
    with app.test_request_context(base_url="https://shop.test:8443/mounted"):
        assert url_for("index") == "/mounted/"
        assert url_for("index", _external=True) == "https://shop.test:8443/mounted/"


@pytest.mark.parametrize(
    ("config", "values", "url"),
    [
        ({}, {}, "http://shop.test/"),
        ({"PREFERRED_URL_SCHEME": "https"}, {}, "https://shop.test/"),
        ({"APPLICATION_ROOT": "/mounted"}, {}, "http://shop.test/mounted/"),
        ({}, {"_external": False}, "/"),
        ({"APPLICATION_ROOT": "/mounted"}, {"_external": False}, "/mounted/"),
        ({}, {"_scheme": "https"}, "https://shop.test/"),
        ({}, {"_anchor": "top"}, "http://shop.test/#top"),
    ],
)
def test_without_a_request_it_is_external(app, config, values, url):
    app.config.update(SERVER_NAME="shop.test", **config)

    with app.app_context():
        assert url_for("index", **values) == url


def test_without_a_request_and_without_server_name(app):
    with app.app_context(), pytest.raises(RuntimeError, match="SERVER_NAME"):
        url_for("index")


def test_without_any_context(app):
    app.config["SERVER_NAME"] = "shop.test"

    assert app.url_for("index") == "http://shop.test/"
    with pytest.raises(RuntimeError, match="application context"):
        url_for("index")


def test_application_method_without_context_and_server_name(app):
    with pytest.raises(RuntimeError, match="SERVER_NAME"):
        app.url_for("index")


def test_subdomain():
    app = Erlen(__name__, subdomain_matching=True)
    app.config["SERVER_NAME"] = "shop.test"
    app.add_url_rule("/", "user", lambda user: "", subdomain="<user>")
    app.add_url_rule("/plain", "plain", lambda: "")

    with app.test_request_context():
        assert url_for("user", user="ada") == "http://ada.shop.test/"
        assert url_for("plain") == "/plain"
    with app.test_request_context(base_url="http://ada.shop.test/"):
        assert url_for("user", user="ada") == "/"
        assert url_for("plain") == "http://shop.test/plain"


def test_host_matching():
    app = Erlen(__name__, host_matching=True, static_folder=None)
    app.add_url_rule("/", "a", lambda: "", host="a.test")
    app.add_url_rule("/", "b", lambda: "", host="b.test")

    with app.test_request_context(base_url="http://a.test"):
        assert url_for("a") == "/"
        assert url_for("b") == "http://b.test/"


@pytest.fixture
def nested(app):
    outer = Blueprint("outer", __name__, url_prefix="/outer")
    inner = Blueprint("inner", __name__, url_prefix="/inner")
    for blueprint in (outer, inner):
        blueprint.add_url_rule(
            "/links",
            "links",
            lambda: "|".join((url_for(".links"), url_for("index"))),
        )
    outer.register_blueprint(inner)
    app.register_blueprint(outer)
    return app


@pytest.mark.parametrize(
    ("path", "links"),
    [
        ("/outer/links", "/outer/links|/"),
        ("/outer/inner/links", "/outer/inner/links|/"),
    ],
)
def test_leading_dot_means_the_blueprint_of_the_request(nested, path, links):
    assert nested.test_client().get(path).text == links


def test_leading_dot_without_a_blueprint(app):
    with app.test_request_context("/"):
        assert url_for(".index") == "/"


def test_name_of_a_nested_endpoint(nested):
    with nested.test_request_context():
        assert url_for("outer.inner.links") == "/outer/inner/links"


def test_url_defaults_fill_in_what_is_missing(app):
    seen = []

    @app.url_defaults
    def add_language(endpoint, values):
        seen.append((endpoint, dict(values)))
        values.setdefault("lang", "de")

    app.add_url_rule("/<lang>/about", "about", lambda lang: "")

    with app.test_request_context():
        assert url_for("about") == "/de/about"
        assert url_for("about", lang="en") == "/en/about"
    assert seen == [("about", {}), ("about", {"lang": "en"})]


def test_language_example_of_the_documentation(app, client):
    app.add_url_rule("/<lang>/", "home", lambda: f"{g.lang} {url_for('home')}")

    @app.url_value_preprocessor
    def pull(endpoint, values):
        g.lang = values.pop("lang", None)

    @app.url_defaults
    def add(endpoint, values):
        if "lang" in values or not g.lang:
            return
        if app.url_map.is_endpoint_expecting(endpoint, "lang"):
            values["lang"] = g.lang

    assert client.get("/fr/").text == "fr /fr/"


def test_url_defaults_of_all_parent_blueprints_apply(app):
    outer = Blueprint("outer", __name__, url_prefix="/<a>")
    inner = Blueprint("inner", __name__, url_prefix="/<b>")
    other = Blueprint("other", __name__, url_prefix="/<c>")
    inner.add_url_rule("/<c>", "end", lambda **values: "")

    app.url_defaults(lambda endpoint, values: values.setdefault("c", "app"))
    outer.url_defaults(lambda endpoint, values: values.setdefault("a", "outer"))
    inner.url_defaults(lambda endpoint, values: values.setdefault("b", "inner"))
    other.url_defaults(lambda endpoint, values: values.update(c="other"))
    outer.register_blueprint(inner)
    app.register_blueprint(outer)
    app.register_blueprint(other)

    with app.test_request_context():
        assert url_for("outer.inner.end") == "/outer/inner/app"


def test_app_url_defaults_of_a_blueprint_apply_everywhere(app):
    blueprint = Blueprint("b", __name__)
    blueprint.app_url_defaults(lambda endpoint, values: values.update(q=1))
    app.register_blueprint(blueprint)

    with app.test_request_context():
        assert url_for("index") == "/?q=1"


def test_inject_url_defaults_can_be_called(app):
    app.url_defaults(lambda endpoint, values: values.update(q=endpoint))
    values = {}

    app.inject_url_defaults("index", values)

    assert values == {"q": "index"}


def test_build_error_handlers_are_asked_in_turn(app):
    asked = []

    def first(error, endpoint, values):
        asked.append(("first", endpoint, dict(values)))

    def second(error, endpoint, values):
        asked.append(("second", type(error)))
        return f"http://elsewhere.test/{endpoint}"

    app.url_build_error_handlers.extend([first, second])

    with app.test_request_context():
        assert url_for("absent", x=1) == "http://elsewhere.test/absent"
    assert asked[0][:2] == ("first", "absent")
    assert asked[0][2]["x"] == 1
    assert asked[1] == ("second", BuildError)


@pytest.mark.parametrize("returns", [None, "raise"])
def test_build_error_handler_that_cannot_help(app, returns):
    @app.url_build_error_handlers.append
    def handler(error, endpoint, values):
        if returns == "raise":
            raise error

    with app.test_request_context(), pytest.raises(BuildError, match="absent"):
        url_for("absent")


def test_build_error_handler_may_raise_its_own(app):
    @app.url_build_error_handlers.append
    def handler(error, endpoint, values):
        raise LookupError(endpoint)

    with app.test_request_context(), pytest.raises(LookupError, match="absent"):
        url_for("absent")


def test_handle_url_build_error_can_be_called(app):
    app.url_build_error_handlers.append(lambda error, endpoint, values: "/found")
    error = BuildError("x", {}, None)

    assert app.handle_url_build_error(error, "x", {}) == "/found"


def test_application_may_replace_url_for(app, client):
    class Site(Erlen):
        def url_for(self, endpoint, **values):
            return "/replaced"

    with Site("site").test_request_context():
        assert erlen.url_for("index") == "/replaced"


def test_in_templates(app, client):
    app.add_url_rule(
        "/page",
        "page",
        lambda: erlen.render_template_string("{{ url_for('item', number=3) }}"),
    )

    assert client.get("/page").text == "/item/3"


def test_request_url_adapter_is_the_one_that_builds(app):
    with app.test_request_context("/item/3") as ctx:
        assert ctx.url_adapter.build("item", {"number": 4}) == "/item/4"
        assert request.url_rule.endpoint == "item"


def test_create_url_adapter_without_request(app):
    assert app.create_url_adapter(None) is None

    app.config["SERVER_NAME"] = "shop.test"
    adapter = app.create_url_adapter(None)
    assert adapter.build("index", force_external=True) == "http://shop.test/"
