"""Blueprints: names, prefixes, nesting, resources and what is recorded."""

from __future__ import annotations

import pytest

from erlen import Blueprint
from erlen import Erlen
from erlen import jsonify
from erlen import request
from erlen import url_for
from erlen.blueprints import BlueprintSetupState


def where():
    return jsonify(
        endpoint=request.endpoint,
        blueprint=request.blueprint,
        blueprints=request.blueprints,
        url=url_for(request.endpoint, **request.view_args),
    )


# --- names


@pytest.mark.parametrize("name", ["", "a.b"])
def test_name_that_is_refused(name):
    with pytest.raises(ValueError, match="name"):
        Blueprint(name, __name__)


def test_dots_in_an_endpoint_are_refused():
    blueprint = Blueprint("b", __name__)

    with pytest.raises(ValueError, match="endpoint"):
        blueprint.route("/", endpoint="a.b")(where)
    with pytest.raises(ValueError, match="endpoint"):
        blueprint.add_url_rule("/", endpoint="a.b", view_func=where)


def test_dots_in_the_name_of_a_view_function_are_refused():
    def view():
        return ""

    view.__name__ = "some.view"

    with pytest.raises(ValueError, match="view_func"):
        Blueprint("b", __name__).add_url_rule("/", view_func=view)


@pytest.mark.parametrize("same", [True, False])
def test_one_name_twice(app, same):
    first = Blueprint("b", __name__)
    second = first if same else Blueprint("b", __name__)
    app.register_blueprint(first)

    with pytest.raises(ValueError, match="'b' is already registered"):
        app.register_blueprint(second, url_prefix="/other")


def test_one_blueprint_under_two_names(app, client):
    blueprint = Blueprint("b", __name__)
    blueprint.get("/")(where)
    app.register_blueprint(blueprint, url_prefix="/one")
    app.register_blueprint(blueprint, url_prefix="/two", name="other")

    assert client.get("/one/").json["endpoint"] == "b.where"
    assert client.get("/two/").json == {
        "endpoint": "other.where",
        "blueprint": "other",
        "blueprints": ["other"],
        "url": "/two/",
    }
    assert app.blueprints == {"b": blueprint, "other": blueprint}
    assert list(app.iter_blueprints()) == [blueprint, blueprint]


def test_one_blueprint_in_two_applications():
    blueprint = Blueprint("b", __name__)
    blueprint.get("/")(where)
    for name in ("one", "two"):
        app = Erlen(name)
        app.register_blueprint(blueprint)
        assert app.test_client().get("/").json["blueprint"] == "b"


def test_blueprint_in_itself_is_refused():
    blueprint = Blueprint("b", __name__)

    with pytest.raises(ValueError, match="itself"):
        blueprint.register_blueprint(blueprint)


def test_nested_name_clash(app):
    parent = Blueprint("parent", __name__)
    parent.register_blueprint(Blueprint("child", __name__))
    parent.register_blueprint(Blueprint("child", __name__))

    with pytest.raises(ValueError, match=r"parent\.child"):
        app.register_blueprint(parent)


# --- prefixes


@pytest.mark.parametrize(
    ("own", "given", "rule", "url"),
    [
        (None, None, "/x", "/x"),
        ("/own", None, "/x", "/own/x"),
        ("/own", "/given", "/x", "/given/x"),
        (None, "/given", "/x", "/given/x"),
        ("/own/", None, "/x", "/own/x"),
        ("/own", None, "", "/own"),
        ("/own", None, "/", "/own/"),
        ("/", None, "/x", "/x"),
        ("/", None, "/", "/"),
    ],
)
def test_prefix(app, client, own, given, rule, url):
    blueprint = Blueprint("b", __name__, url_prefix=own)
    blueprint.get(rule)(where)
    app.register_blueprint(blueprint, **({"url_prefix": given} if given else {}))

    assert client.get(url).json["url"] == url


@pytest.mark.parametrize(
    ("parent", "child", "given", "url"),
    [
        ("/p", "/c", None, "/p/c/"),
        ("/p/", "/c", None, "/p/c/"),
        (None, "/c", None, "/c/"),
        ("/p", None, None, "/p/"),
        ("/p", "/c", "/g", "/p/g/"),
        ("/", "/c", None, "/c/"),
    ],
)
def test_prefixes_of_nested_blueprints_are_joined(
    app, client, parent, child, given, url
):
    inner = Blueprint("inner", __name__, url_prefix=child)
    inner.get("/")(where)
    outer = Blueprint("outer", __name__, url_prefix=parent)
    outer.register_blueprint(inner, **({"url_prefix": given} if given else {}))
    app.register_blueprint(outer)

    assert client.get(url).json == {
        "endpoint": "outer.inner.where",
        "blueprint": "outer.inner",
        "blueprints": ["outer.inner", "outer"],
        "url": url,
    }


def test_three_levels_and_a_name_for_one_of_them(app, client):
    a, b, c = (Blueprint(name, __name__, url_prefix=f"/{name}") for name in "abc")
    c.get("/")(where)
    b.register_blueprint(c)
    a.register_blueprint(b, name="other")
    app.register_blueprint(a)

    assert client.get("/a/b/c/").json["blueprints"] == ["a.other.c", "a.other", "a"]
    assert sorted(app.blueprints) == ["a", "a.other", "a.other.c"]


def test_variables_in_a_prefix_and_defaults(app, client):
    blueprint = Blueprint("b", __name__, url_defaults={"kind": "own"})

    @blueprint.get("/<int:n>")
    def view(user, kind, n):
        return f"{user} {kind} {n}"

    app.register_blueprint(blueprint, url_prefix="/<user>")
    app.register_blueprint(
        blueprint, name="other", url_prefix="/o/<user>", url_defaults={"kind": "given"}
    )

    assert client.get("/ada/3").text == "ada own 3"
    assert client.get("/o/ada/3").text == "ada given 3"
    assert blueprint.url_values_defaults == {"kind": "own"}


def test_defaults_of_a_rule_join_those_of_the_blueprint(app, client):
    blueprint = Blueprint("b", __name__, url_defaults={"a": 1, "b": 1})

    @blueprint.get("/", defaults={"b": 2})
    def view(a, b):
        return f"{a} {b}"

    app.register_blueprint(blueprint)

    assert client.get("/").text == "1 2"


@pytest.mark.parametrize(
    ("parent", "child", "host"),
    [
        (None, "api", "api.shop.test"),
        ("api", None, "api.shop.test"),
        ("shop", "api", "api.shop.shop.test"),
    ],
)
def test_subdomains_of_nested_blueprints_are_joined(parent, child, host):
    app = Erlen(__name__, subdomain_matching=True)
    app.config["SERVER_NAME"] = "shop.test"
    inner = Blueprint("inner", __name__, subdomain=child)
    inner.get("/")(lambda: "found")
    outer = Blueprint("outer", __name__, subdomain=parent)
    outer.register_blueprint(inner)
    app.register_blueprint(outer)
    client = app.test_client()

    assert client.get("/", f"http://{host}").text == "found"
    assert client.get("/", "http://shop.test").status_code == 404


def test_subdomain_given_at_registration():
    app = Erlen(__name__, subdomain_matching=True)
    app.config["SERVER_NAME"] = "shop.test"
    blueprint = Blueprint("b", __name__, subdomain="own")
    blueprint.get("/")(lambda: "found")
    app.register_blueprint(blueprint, subdomain="given")

    assert app.test_client().get("/", "http://given.shop.test").text == "found"


# --- recording


def test_record_gets_the_state_of_each_registration(app):
    states = []
    blueprint = Blueprint("b", __name__, url_prefix="/own")
    blueprint.record(states.append)

    app.register_blueprint(blueprint, option="x")
    app.register_blueprint(blueprint, name="again", url_prefix="/given")

    assert all(type(state) is BlueprintSetupState for state in states)
    assert [
        (s.app, s.blueprint, s.name, s.url_prefix, s.first_registration) for s in states
    ] == [
        (app, blueprint, "b", "/own", True),
        (app, blueprint, "again", "/given", False),
    ]
    assert states[0].options["option"] == "x"
    assert states[0].name_prefix == ""
    assert states[0].url_defaults == {}
    assert states[0].subdomain is None


def test_record_once(app):
    names = []
    blueprint = Blueprint("b", __name__)
    blueprint.record_once(lambda state: names.append(state.name))

    app.register_blueprint(blueprint)
    app.register_blueprint(blueprint, name="again")

    assert names == ["b"]


def test_state_adds_rules_with_prefix_and_name(app, client):
    blueprint = Blueprint("b", __name__, url_prefix="/p")
    blueprint.record(
        lambda state: state.add_url_rule("/x", "recorded", lambda: request.endpoint)
    )
    app.register_blueprint(blueprint)

    assert client.get("/p/x").text == "b.recorded"


def test_state_of_a_nested_blueprint(app):
    states = []
    inner = Blueprint("inner", __name__, url_prefix="/i")
    inner.record(states.append)
    outer = Blueprint("outer", __name__, url_prefix="/o")
    outer.register_blueprint(inner)

    app.register_blueprint(outer)

    (state,) = states
    assert (state.name_prefix, state.name, state.url_prefix) == (
        "outer",
        "inner",
        "/o/i",
    )


def test_make_setup_state_may_be_replaced(app, client):
    class Loud(BlueprintSetupState):
        def add_url_rule(self, rule, *args, **kwargs):
            super().add_url_rule(rule.upper(), *args, **kwargs)

    class Own(Blueprint):
        def make_setup_state(self, app, options, first_registration=False):
            return Loud(self, app, options, first_registration)

    blueprint = Own("b", __name__)
    blueprint.get("/x")(lambda: "loud")
    app.register_blueprint(blueprint)

    assert client.get("/X").text == "loud"


def test_register_may_be_replaced(app):
    seen = []

    class Own(Blueprint):
        def register(self, app, options):
            seen.append((app, options["url_prefix"]))
            super().register(app, options)

    app.register_blueprint(Own("b", __name__), url_prefix="/p")

    assert seen == [(app, "/p")]


def test_deferred_functions_are_kept():
    blueprint = Blueprint("b", __name__)
    blueprint.get("/")(where)

    assert len(blueprint.deferred_functions) == 1


def test_blueprint_may_be_filled_after_it_was_nested(app, client):
    outer, inner = Blueprint("outer", __name__), Blueprint("inner", __name__)
    outer.register_blueprint(inner)
    inner.get("/late")(where)
    app.register_blueprint(outer)

    assert client.get("/late").json["endpoint"] == "outer.inner.where"


def test_endpoint_decorator(app, client):
    blueprint = Blueprint("b", __name__)
    app.add_url_rule("/", endpoint="view")
    blueprint.endpoint("view")(lambda: "found")
    app.register_blueprint(blueprint)

    assert client.get("/").text == "found"


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete"])
def test_decorator_of_one_method(app, client, method):
    blueprint = Blueprint("b", __name__)
    getattr(blueprint, method)("/")(lambda: request.method)
    app.register_blueprint(blueprint)

    assert client.open("/", method=method.upper()).text == method.upper()
    assert client.open("/", method="TRACE").status_code == 405


# --- resources


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "a.txt").write_text("static of the blueprint")
    (tmp_path / "data.txt").write_text("data")
    return tmp_path


@pytest.mark.parametrize(
    ("options", "url"),
    [
        ({"url_prefix": "/p"}, "/p/static/a.txt"),
        ({"url_prefix": "/p", "static_url_path": "/s"}, "/p/s/a.txt"),
        ({"static_url_path": "/s"}, "/s/a.txt"),
        ({"url_prefix": "/p", "static_url_path": ""}, "/p/a.txt"),
    ],
)
def test_static_files(app, client, folder, options, url):
    blueprint = Blueprint(
        "b", __name__, static_folder="static", root_path=str(folder), **options
    )
    app.register_blueprint(blueprint)

    assert blueprint.has_static_folder
    with app.test_request_context():
        assert url_for("b.static", filename="a.txt") == url
    with client.get(url) as response:
        assert response.text == "static of the blueprint"


def test_static_files_without_a_prefix_are_hidden_by_the_application(app, folder):
    blueprint = Blueprint("b", __name__, static_folder="static", root_path=str(folder))
    app.register_blueprint(blueprint)

    assert app.test_client().get("/static/a.txt").status_code == 404


def test_blueprint_without_static_folder(app):
    blueprint = Blueprint("b", __name__)

    assert not blueprint.has_static_folder
    assert blueprint.static_folder is None
    with pytest.raises(RuntimeError, match="static_folder"):
        blueprint.send_static_file("a.txt")


def test_open_resource(folder):
    blueprint = Blueprint("b", __name__, root_path=str(folder))

    with blueprint.open_resource("data.txt") as file:
        assert file.read() == b"data"
    with blueprint.open_resource("data.txt", "r", encoding="ascii") as file:
        assert file.read() == "data"
    with pytest.raises(ValueError, match="read"):
        blueprint.open_resource("data.txt", "w")


def test_max_age_is_that_of_the_blueprint(app, folder):
    class Own(Blueprint):
        def get_send_file_max_age(self, filename):
            return 7

    blueprint = Own(
        "b",
        __name__,
        static_folder="static",
        root_path=str(folder),
        url_prefix="/p",
    )
    app.register_blueprint(blueprint)

    with app.test_client().get("/p/static/a.txt") as response:
        assert response.cache_control.max_age == 7


def test_representation():
    assert repr(Blueprint("shop", __name__)) == "<Blueprint 'shop'>"


def test_attributes(tmp_path):
    blueprint = Blueprint(
        "b",
        "some.module",
        root_path=str(tmp_path),
        url_prefix="/p",
        subdomain="s",
        static_folder="st",
        template_folder="t",
        cli_group="g",
    )

    assert blueprint.name == "b"
    assert blueprint.import_name == "some.module"
    assert blueprint.root_path == str(tmp_path)
    assert blueprint.static_folder == str(tmp_path / "st")
    assert blueprint.template_folder == "t"
    assert (blueprint.url_prefix, blueprint.subdomain) == ("/p", "s")
    assert blueprint.cli_group == "g"
