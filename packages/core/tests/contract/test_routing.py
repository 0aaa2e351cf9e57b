"""Rules, methods, converters, redirects, hosts, and what is refused too late."""

from __future__ import annotations

import uuid

import pytest
from werkzeug.routing import BaseConverter
from werkzeug.routing import Map
from werkzeug.routing import RequestRedirect
from werkzeug.routing import Rule

from erlen import Blueprint
from erlen import Erlen
from erlen import g
from erlen import jsonify
from erlen import request


def index():
    return "index"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_decorator_of_one_method(app, client, method):
    getattr(app, method.lower())("/")(index)

    assert client.open("/", method=method).text == "index"
    assert client.open("/", method="TRACE").status_code == 405


def test_route_hands_the_function_back(app):
    assert app.route("/")(index) is index
    assert app.get("/get")(index) is index
    assert app.endpoint("other")(index) is index


def test_rule_without_methods_answers_get_head_and_options(app, client):
    app.route("/")(index)

    answers = {
        method: client.open("/", method=method).status_code
        for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH")
    }

    assert answers == {
        **dict.fromkeys(("GET", "HEAD", "OPTIONS"), 200),
        **dict.fromkeys(("POST", "PUT", "DELETE", "PATCH"), 405),
    }


def test_methods_are_case_insensitive(app, client):
    app.add_url_rule("/", view_func=index, methods=["pOsT"])

    assert client.post("/").text == "index"
    assert client.get("/").status_code == 405


def test_405_lists_the_methods(app, client):
    app.route("/", methods=["POST", "PUT"])(index)

    response = client.get("/")

    assert response.status_code == 405
    assert sorted(response.allow) == ["OPTIONS", "POST", "PUT"]


def test_methods_as_a_string_are_refused(app):
    with pytest.raises(TypeError, match="list of strings"):
        app.route("/", methods="POST")(index)


@pytest.mark.parametrize("name", ["get", "post", "put", "patch", "delete"])
def test_methods_in_a_decorator_of_one_method_are_refused(app, name):
    with pytest.raises(TypeError, match="route"):
        getattr(app, name)("/", methods=["GET"])


def test_head_runs_the_view_and_drops_the_body(app, client):
    seen = []

    @app.get("/")
    def view():
        seen.append(request.method)
        return "body"

    response = client.head("/")

    assert seen == ["HEAD"]
    assert response.data == b""
    assert response.content_length == 4


def test_options_lists_the_methods_of_all_rules_of_the_url(app, client):
    app.get("/", endpoint="read")(index)
    app.post("/", endpoint="write")(index)
    app.route("/<name>", endpoint="named", methods=["DELETE"])(index)

    response = client.options("/")

    assert response.status_code == 200
    assert response.data == b""
    assert sorted(response.allow) == ["GET", "HEAD", "OPTIONS", "POST"]
    assert sorted(client.options("/x").allow) == ["DELETE", "OPTIONS"]


def test_options_can_be_answered_by_a_view(app, client):
    @app.route("/", methods=["GET", "OPTIONS"])
    def view():
        return request.method

    assert client.options("/").text == "OPTIONS"


@pytest.mark.parametrize("how", ["argument", "attribute", "config"])
def test_automatic_options_can_be_switched_off(app, client, how):
    def view():
        return "view"

    options = {}
    if how == "argument":
        options["provide_automatic_options"] = False
    elif how == "attribute":
        view.provide_automatic_options = False
    else:
        app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.add_url_rule("/", view_func=view, **options)

    assert client.options("/").status_code == 405


def test_switch_of_the_rule_beats_the_configuration(app, client):
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = True
    app.add_url_rule("/", view_func=index, provide_automatic_options=False)

    assert client.options("/").status_code == 405


def test_attributes_of_the_view_function(app, client):
    def view():
        return request.method

    view.methods = ["PUT"]
    view.required_methods = ["DELETE"]
    app.add_url_rule("/", view_func=view)

    assert client.put("/").text == "PUT"
    assert client.delete("/").text == "DELETE"
    assert client.get("/").status_code == 405


def test_endpoint_is_the_name_of_the_function(app):
    app.route("/")(index)
    app.route("/other", endpoint="else")(index)

    assert app.view_functions["index"] is index
    assert app.view_functions["else"] is index


def test_rule_first_and_view_later(app, client):
    app.add_url_rule("/", endpoint="late")

    @app.endpoint("late")
    def view():
        return "late"

    assert client.get("/").text == "late"


def test_two_views_under_one_endpoint(app):
    app.add_url_rule("/", "same", index)
    app.add_url_rule("/again", "same", index)

    with pytest.raises(AssertionError, match=r"overwriting an existing endpoint.*same"):
        app.add_url_rule("/other", "same", lambda: "other")


def test_several_rules_for_one_view(app, client):
    @app.get("/", defaults={"page": 1})
    @app.get("/page/<int:page>")
    def view(page):
        return str(page)

    assert client.get("/").text == "1"
    assert client.get("/page/7").text == "7"


def test_address_of_the_defaults_redirects_to_the_shorter_rule(app, client):
    @app.get("/", defaults={"page": 1})
    @app.get("/page/<int:page>")
    def view(page):
        return str(page)

    response = client.get("/page/1")

    assert response.status_code == 308
    assert response.location == "http://localhost/"


@pytest.mark.parametrize(
    ("rule", "path", "value"),
    [
        ("/<v>", "/plain", "plain"),
        ("/<string(length=2):v>", "/ab", "ab"),
        ("/<string(minlength=2):v>", "/a", None),
        ("/<v>", "/a/b", None),
        ("/<int:v>", "/12", 12),
        ("/<int:v>", "/-12", None),
        ("/<int(signed=True):v>", "/-12", -12),
        ("/<int(max=9):v>", "/12", None),
        ("/<int:v>", "/x", None),
        ("/<float:v>", "/1.5", 1.5),
        ("/<float:v>", "/1", None),
        ("/<path:v>", "/a/b/c", "a/b/c"),
        ("/<any(red, blue):v>", "/blue", "blue"),
        ("/<any(red, blue):v>", "/green", None),
        ("/<uuid:v>", f"/{uuid.UUID(int=5)}", uuid.UUID(int=5)),
        ("/<v>", "/%C3%BC%20x", "ü x"),
        ("/pre-<int:v>.html", "/pre-3.html", 3),
    ],
)
def test_converter(app, client, rule, path, value):
    seen = []

    @app.get(rule)
    def view(v):
        seen.append(v)
        return ""

    status = client.get(path).status_code

    assert (status, seen) == ((404, []) if value is None else (200, [value]))


def test_own_converter(app, client):
    class List(BaseConverter):
        def to_python(self, value):
            return value.split("+")

        def to_url(self, value):
            return "+".join(super(List, self).to_url(part) for part in value)

    app.url_map.converters["list"] = List

    @app.get("/<list:names>")
    def view(names):
        return jsonify(names)

    assert client.get("/a+b+c").json == ["a", "b", "c"]
    with app.test_request_context():
        assert app.url_for("view", names=["x", "y"]) == "/x+y"


def test_more_exact_rule_wins(app, client):
    app.get("/<name>", endpoint="any")(lambda name: "any")
    app.get("/<int:number>", endpoint="number")(lambda number: "number")
    app.get("/me", endpoint="me")(lambda: "me")

    assert [client.get(f"/{path}").text for path in ("x", "1", "me")] == [
        "any",
        "number",
        "me",
    ]


def test_missing_slash_redirects_and_keeps_the_query(app, client):
    app.route("/folder/", methods=["GET", "POST"])(index)

    response = client.post("/folder?a=1&b=%26")

    assert response.status_code == 308
    assert response.location == "http://localhost/folder/?a=1&b=%26"
    assert client.post("/folder", follow_redirects=True).text == "index"


def test_needless_slash_is_not_found(app, client):
    app.get("/file")(index)

    assert client.get("/file/").status_code == 404


@pytest.mark.parametrize("rule", ["/x", "/x/"])
def test_strict_slashes_can_be_switched_off(app, client, rule):
    app.get(rule, strict_slashes=False)(index)

    assert client.get("/x").text == "index"
    assert client.get("/x/").text == "index"


def test_strict_slashes_of_the_map(app, client):
    app.url_map.strict_slashes = False
    app.get("/x/")(index)

    assert client.get("/x").text == "index"


def test_double_slashes_are_merged_by_a_redirect(app, client):
    app.get("/a/b")(index)

    response = client.get("/a//b")

    assert response.status_code == 308
    assert response.location == "http://localhost/a/b"


@pytest.mark.parametrize(
    "target",
    ["/new/<number>", lambda adapter, number: f"/new/{number}"],
    ids=["text", "function"],
)
def test_redirect_to(app, client, target):
    app.get("/old/<int:number>", redirect_to=target)(index)

    response = client.get("/old/5")

    assert response.status_code == 308
    assert response.location == "http://localhost/new/5"


def test_what_the_request_knows_of_the_rule(app, client):
    @app.get("/<int:number>", endpoint="named")
    def view(number):
        return jsonify(
            rule=request.url_rule.rule,
            endpoint=request.endpoint,
            args=request.view_args,
            blueprint=request.blueprint,
            blueprints=request.blueprints,
        )

    assert client.get("/3").json == {
        "rule": "/<int:number>",
        "endpoint": "named",
        "args": {"number": 3},
        "blueprint": None,
        "blueprints": [],
    }


def test_what_the_request_knows_when_no_rule_fits(app, client):
    seen = []

    @app.before_request
    def look():
        seen.append(
            (
                request.url_rule,
                request.endpoint,
                request.view_args,
                request.blueprint,
                request.blueprints,
                request.routing_exception.code,
            )
        )

    client.get("/absent")

    assert seen == [(None, None, None, None, [], 404)]


@pytest.mark.parametrize(("method", "code"), [("GET", 404), ("POST", 405)])
def test_routing_error_is_raised_at_dispatch(app, client, method, code):
    app.get("/only-get")(index)

    @app.before_request
    def before():
        g.user = "ada"

    @app.errorhandler(code)
    def handle(exc):
        return f"{exc.code} for {g.user}", exc.code

    path = "/only-get" if code == 405 else "/absent"
    response = client.open(path, method=method)

    assert response.status_code == code
    assert response.text == f"{code} for ada"


def test_before_request_can_answer_an_address_that_is_not_routed(app, client):
    app.before_request(lambda: "rescued")

    assert client.get("/absent").text == "rescued"


def test_debug_refuses_to_lose_the_form_in_a_redirect(app):
    app.debug = True

    with app.test_request_context("/", method="POST", data={"a": "1"}) as ctx:
        lost = RequestRedirect("http://localhost/new")
        lost.code = 301
        ctx.request.routing_exception = lost
        with pytest.raises(AssertionError, match="http://localhost/new"):
            app.raise_routing_exception(ctx.request)

        lost.code = 308
        with pytest.raises(RequestRedirect):
            app.raise_routing_exception(ctx.request)


# --- hosts


def test_subdomain_matching(client):
    app = Erlen(__name__, subdomain_matching=True)
    app.config["SERVER_NAME"] = "example.test"
    app.get("/")(index)
    app.get("/", subdomain="<user>", endpoint="user")(lambda user: user)
    client = app.test_client()

    assert client.get("/", "http://example.test").text == "index"
    assert client.get("/", "http://ada.example.test").text == "ada"


def test_default_subdomain():
    app = Erlen(__name__, subdomain_matching=True)
    app.config["SERVER_NAME"] = "example.test"
    app.url_map.default_subdomain = "www"
    app.get("/")(index)
    client = app.test_client()

    assert client.get("/", "http://www.example.test").text == "index"
    assert client.get("/", "http://example.test").status_code == 404


def test_subdomains_are_not_looked_at_unless_asked_for(app, client):
    app.config["SERVER_NAME"] = "example.test"
    app.get("/")(index)

    assert client.get("/", "http://ada.example.test").text == "index"
    assert client.get("/", "http://elsewhere.test").text == "index"


def test_server_name_refuses_no_other_host_of_plain_rules(app, client):
    app.config["SERVER_NAME"] = "example.test:8000"
    app.get("/")(index)

    for host in ("http://example.test:8000", "http://example.test", "http://x"):
        assert client.get("/", host).text == "index"


def test_host_matching():
    app = Erlen(__name__, host_matching=True, static_folder=None)
    app.get("/", host="a.test")(index)
    app.get("/", host="<name>.b.test", endpoint="b")(lambda name: name)
    client = app.test_client()

    assert client.get("/", "http://a.test").text == "index"
    assert client.get("/", "http://ada.b.test").text == "ada"
    assert client.get("/", "http://c.test").status_code == 404


def test_static_folder_without_host_under_host_matching():
    with pytest.raises(AssertionError, match="static_host"):
        Erlen(__name__, host_matching=True, static_folder="static")
    with pytest.raises(AssertionError, match="static_host"):
        Erlen(__name__, static_host="a.test")


@pytest.mark.parametrize(
    ("trusted", "host", "status"),
    [
        (None, "anything.test", 200),
        (["good.test"], "good.test", 200),
        (["good.test"], "good.test:8000", 200),
        (["good.test"], "bad.test", 400),
        (["good.test"], "sub.good.test", 400),
        ([".good.test"], "sub.good.test", 200),
        ([".good.test"], "good.test", 200),
        ([".good.test"], "notgood.test", 400),
    ],
)
def test_trusted_hosts(app, client, trusted, host, status):
    app.config["TRUSTED_HOSTS"] = trusted
    app.get("/")(index)

    assert client.get("/", f"http://{host}/").status_code == status


def test_trusted_hosts_are_the_same_for_every_rule_and_none(app, client):
    app.config["TRUSTED_HOSTS"] = ["good.test"]

    assert client.get("/absent", "http://bad.test").status_code == 400
    assert client.get("/absent", "http://good.test").status_code == 404


def test_script_name_is_no_part_of_the_rule(app, client):
    @app.get("/x")
    def view():
        return f"{request.script_root}|{request.path}|{app.url_for('view')}"

    response = client.get("/x", base_url="http://localhost/mounted")

    assert response.text == "/mounted|/x|/mounted/x"


# --- values


def test_url_value_preprocessor_may_take_values_away(app, client):
    seen = []

    @app.url_value_preprocessor
    def pull(endpoint, values):
        if values is not None:
            seen.append((endpoint, values.pop("lang")))

    @app.get("/<lang>/about")
    def about():
        return str(request.view_args)

    assert client.get("/de/about").text == "{}"
    assert seen == [("about", "de")]


def test_url_value_preprocessor_sees_none_when_no_rule_fits(app, client):
    seen = []
    app.url_value_preprocessor(lambda *args: seen.append(args))

    client.get("/absent")

    assert seen == [(None, None)]


# --- late set-up


def late(name, call):
    return pytest.param(name, call, id=name)


LATE_ON_SCAFFOLD = [
    late("route", lambda s: s.route("/late")(index)),
    late("get", lambda s: s.get("/late")(index)),
    late("post", lambda s: s.post("/late")(index)),
    late("put", lambda s: s.put("/late")(index)),
    late("patch", lambda s: s.patch("/late")(index)),
    late("delete", lambda s: s.delete("/late")(index)),
    late("add_url_rule", lambda s: s.add_url_rule("/late", view_func=index)),
    late("endpoint", lambda s: s.endpoint("late")(index)),
    late("before_request", lambda s: s.before_request(index)),
    late("after_request", lambda s: s.after_request(index)),
    late("teardown_request", lambda s: s.teardown_request(index)),
    late("context_processor", lambda s: s.context_processor(dict)),
    late("url_value_preprocessor", lambda s: s.url_value_preprocessor(index)),
    late("url_defaults", lambda s: s.url_defaults(index)),
    late("errorhandler", lambda s: s.errorhandler(404)(index)),
    late("register_error_handler", lambda s: s.register_error_handler(404, index)),
    late("register_blueprint", lambda s: s.register_blueprint(Blueprint("x", "x"))),
]

LATE_ON_APP = [
    late("template_filter", lambda s: s.template_filter("late")(index)),
    late("add_template_filter", lambda s: s.add_template_filter(index)),
    late("template_test", lambda s: s.template_test("late")(index)),
    late("add_template_test", lambda s: s.add_template_test(index)),
    late("template_global", lambda s: s.template_global("late")(index)),
    late("add_template_global", lambda s: s.add_template_global(index)),
    late("shell_context_processor", lambda s: s.shell_context_processor(dict)),
    late("teardown_appcontext", lambda s: s.teardown_appcontext(index)),
]

LATE_ON_BLUEPRINT = [
    late("record", lambda s: s.record(index)),
    late("record_once", lambda s: s.record_once(index)),
    late("before_app_request", lambda s: s.before_app_request(index)),
    late("after_app_request", lambda s: s.after_app_request(index)),
    late("teardown_app_request", lambda s: s.teardown_app_request(index)),
    late("app_context_processor", lambda s: s.app_context_processor(dict)),
    late("app_errorhandler", lambda s: s.app_errorhandler(404)(index)),
    late("app_url_defaults", lambda s: s.app_url_defaults(index)),
    late("app_url_value_preprocessor", lambda s: s.app_url_value_preprocessor(index)),
    late("app_template_filter", lambda s: s.app_template_filter("late")(index)),
    late("add_app_template_filter", lambda s: s.add_app_template_filter(index)),
    late("app_template_test", lambda s: s.app_template_test("late")(index)),
    late("add_app_template_test", lambda s: s.add_app_template_test(index)),
    late("app_template_global", lambda s: s.app_template_global("late")(index)),
    late("add_app_template_global", lambda s: s.add_app_template_global(index)),
]


@pytest.mark.parametrize(("name", "call"), LATE_ON_SCAFFOLD + LATE_ON_APP)
def test_set_up_of_the_application_after_the_first_request(app, client, name, call):
    client.get("/")

    with pytest.raises(AssertionError, match=f"'{name}'"):
        call(app)


@pytest.mark.parametrize(("name", "call"), LATE_ON_SCAFFOLD + LATE_ON_BLUEPRINT)
def test_set_up_of_a_blueprint_after_it_was_registered(app, name, call):
    blueprint = Blueprint("shop", __name__)
    app.register_blueprint(blueprint)

    with pytest.raises(
        AssertionError, match=rf"'{name}'[\s\S]*'shop'|'shop'.*'{name}'"
    ):
        call(blueprint)


# --- classes of the map


def test_classes_of_map_and_rule():
    class OwnMap(Map):
        pass

    class OwnRule(Rule):
        pass

    class Site(Erlen):
        url_map_class = OwnMap
        url_rule_class = OwnRule

    app = Site("site")
    app.get("/")(index)

    assert type(app.url_map) is OwnMap
    assert {type(rule) for rule in app.url_map.iter_rules("index")} == {OwnRule}


def test_map_lists_the_rules_of_an_endpoint(app):
    app.get("/a")(index)
    app.post("/b")(index)

    found = {
        rule.rule: rule.methods for rule in app.url_map.iter_rules(endpoint="index")
    }

    assert found == {"/a": {"GET", "HEAD", "OPTIONS"}, "/b": {"POST", "OPTIONS"}}
