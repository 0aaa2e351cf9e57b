from __future__ import annotations

import pytest

from erlen import Blueprint
from erlen import Erlen
from erlen import abort
from erlen import request
from erlen.blueprints import BlueprintSetupState
from erlen.blueprints import _join_prefix


def view(**values):
    return f"{request.endpoint} {values}"


def function(*args, **kwargs):
    """Do nothing."""


@pytest.fixture
def blueprint():
    return Blueprint("shop", __name__)


def rules_of(app):
    return {
        rule.endpoint: rule for rule in app.url_map.iter_rules() if "." in rule.endpoint
    }


# Mistakes


@pytest.mark.parametrize(
    ("mistake", "error", "words"),
    [
        (lambda b, app: Blueprint("", __name__), ValueError, ["may not be empty"]),
        (
            lambda b, app: Blueprint("a.b", __name__),
            ValueError,
            ["dot", "'a.b'", "register one blueprint on the other"],
        ),
        (
            lambda b, app: b.add_url_rule("/", "a.b", view),
            ValueError,
            ["'endpoint'", "'a.b'", "name goes in front of it by itself"],
        ),
        (
            lambda b, app: b.add_url_rule("/", view_func=dotted),
            ValueError,
            ["'view_func'", "'a.b'"],
        ),
        (
            lambda b, app: b.register_blueprint(b),
            ValueError,
            ["'shop' cannot be registered on itself"],
        ),
        (
            lambda b, app: [app.register_blueprint(b) for _ in range(2)],
            ValueError,
            ["'shop' is already registered for this blueprint", "'name='"],
        ),
        (
            lambda b, app: [
                app.register_blueprint(one) for one in (b, Blueprint("shop", "x"))
            ],
            ValueError,
            ["'shop' is already registered for a different blueprint", "'name='"],
        ),
        (
            lambda b, app: [app.register_blueprint(b), b.get("/")],
            AssertionError,
            ["'get' can no longer be called on the blueprint 'shop'", "declare every"],
        ),
        (
            lambda b, app: [b.add_url_rule("/"), app.register_blueprint(b)],
            TypeError,
            ["no name to make an endpoint of", "endpoint='...'"],
        ),
    ],
)
def test_mistakes_of_the_set_up_name_the_cure(app, blueprint, mistake, error, words):
    with pytest.raises(error) as caught:
        mistake(blueprint, app)

    assert [word for word in words if word not in str(caught.value)] == []


def dotted():
    """Have a name that is set below."""


dotted.__name__ = "a.b"


# Where it goes


@pytest.mark.parametrize(
    ("prefix", "rule", "joined"),
    [
        (None, "/a", "/a"),
        ("", "/a", "/a"),
        ("/p", "", "/p"),
        ("/p", "/", "/p/"),
        ("/p/", "/a", "/p/a"),
        ("/p", "a", "/p/a"),
        ("/p//", "//a", "/p/a"),
    ],
)
def test_a_prefix_is_joined_by_one_slash(prefix, rule, joined):
    assert _join_prefix(prefix, rule) == joined


@pytest.mark.parametrize(
    ("own", "options", "expected"),
    [
        ({}, {}, (None, None, {})),
        (
            {"url_prefix": "/a", "subdomain": "s", "url_defaults": {"x": 1, "y": 1}},
            {},
            ("/a", "s", {"x": 1, "y": 1}),
        ),
        (
            {"url_prefix": "/a", "subdomain": "s", "url_defaults": {"x": 1, "y": 1}},
            {"url_prefix": "/b", "subdomain": "t", "url_defaults": {"y": 2}},
            ("/b", "t", {"x": 1, "y": 2}),
        ),
        ({"url_prefix": "/a"}, {"url_prefix": None}, ("/a", None, {})),
        ({"url_prefix": "/a"}, {"url_prefix": ""}, ("", None, {})),
    ],
)
def test_options_of_the_registration_win(app, own, options, expected):
    blueprint = Blueprint("shop", __name__, **own)

    state = BlueprintSetupState(blueprint, app, options, first_registration=True)

    assert (state.url_prefix, state.subdomain, state.url_defaults) == expected
    assert (state.app, state.blueprint, state.options) == (app, blueprint, options)


@pytest.mark.parametrize(
    ("options", "endpoint"),
    [
        ({}, "shop.view"),
        ({"name": "store"}, "store.view"),
        ({"name": None}, "shop.view"),
        ({"name_prefix": "parent"}, "parent.shop.view"),
        ({"name": "store", "name_prefix": "a.b"}, "a.b.store.view"),
    ],
)
def test_the_name_of_an_endpoint(app, blueprint, options, endpoint):
    blueprint.get("/")(view)

    blueprint.register(app, options)

    assert list(rules_of(app)) == [endpoint]
    assert list(app.blueprints) == [endpoint.rpartition(".")[0]]


@pytest.mark.parametrize("defaults", [None, {"a": 2}])
def test_defaults_and_subdomain_of_a_rule(app, defaults):
    blueprint = Blueprint(
        "shop", __name__, subdomain="s", url_defaults={"a": 1, "b": 1}
    )
    options = {} if defaults is None else {"defaults": defaults}
    blueprint.add_url_rule("/", "own", view, subdomain="t", **options)
    blueprint.add_url_rule("/", "usual", view)

    app.register_blueprint(blueprint)

    rules = rules_of(app)
    assert rules["shop.own"].defaults == {"a": 1, "b": 1} | (defaults or {})
    assert rules["shop.usual"].defaults == {"a": 1, "b": 1}
    assert [rule.subdomain for rule in rules.values()] == ["t", "s"]


@pytest.mark.parametrize(
    ("parent", "child", "given", "prefix", "subdomain"),
    [
        ({}, {}, {}, "/", ""),
        ({"url_prefix": "/p"}, {}, {}, "/p/", ""),
        ({}, {"url_prefix": "/c"}, {}, "/c/", ""),
        ({"url_prefix": "/p"}, {"url_prefix": "/c"}, {}, "/p/c/", ""),
        ({"url_prefix": "/p"}, {"url_prefix": "/c"}, {"url_prefix": "/g"}, "/p/g/", ""),
        ({"subdomain": "p"}, {}, {}, "/", "p"),
        ({}, {"subdomain": "c"}, {}, "/", "c"),
        ({"subdomain": "p"}, {"subdomain": "c"}, {}, "/", "c.p"),
        ({"subdomain": "p"}, {"subdomain": "c"}, {"subdomain": "g"}, "/", "g.p"),
    ],
)
def test_a_child_goes_below_its_parent(app, parent, child, given, prefix, subdomain):
    parent = Blueprint("parent", __name__, **parent)
    child = Blueprint("child", __name__, **child)
    child.get("/")(view)
    parent.register_blueprint(child, **given)

    app.register_blueprint(parent)

    rule = rules_of(app)["parent.child.view"]
    assert (rule.rule, rule.subdomain) == (prefix, subdomain)


def test_the_options_of_a_child_serve_for_each_registration(app):
    parent, child = Blueprint("parent", __name__), Blueprint("child", __name__)
    child.get("/")(view)
    parent.register_blueprint(child, url_prefix="/c")

    app.register_blueprint(parent, url_prefix="/1")
    app.register_blueprint(parent, url_prefix="/2", name="other")

    rules = rules_of(app)
    assert rules["parent.child.view"].rule == "/1/c/"
    assert rules["other.child.view"].rule == "/2/c/"


@pytest.mark.parametrize(
    ("options", "rules"),
    [
        ({}, []),
        ({"static_folder": "static"}, ["/p/static/<path:filename>"]),
        (
            {"static_folder": "static", "static_url_path": "/s"},
            ["/p/s/<path:filename>"],
        ),
    ],
)
def test_static_files_are_below_the_prefix(app, options, rules):
    app.register_blueprint(Blueprint("shop", __name__, url_prefix="/p", **options))

    assert [rule.rule for rule in rules_of(app).values()] == rules


# What is played back


def test_records_are_played_at_each_registration_or_the_first(app, blueprint):
    def note(name):
        return lambda state: played.append((name, state.name, state.first_registration))

    played = []
    blueprint.record(note("each"))
    blueprint.record_once(note("once"))

    app.register_blueprint(blueprint)
    app.register_blueprint(blueprint, name="again")

    assert played == [
        ("each", "shop", True),
        ("once", "shop", True),
        ("each", "again", False),
    ]


def test_the_state_may_be_of_another_class(app):
    class State(BlueprintSetupState):
        def add_url_rule(self, rule, *args, **options):
            super().add_url_rule(f"/own{rule}", *args, **options)

    class Own(Blueprint):
        def make_setup_state(self, app, options, first_registration=False):
            return State(self, app, options, first_registration)

    blueprint = Own("shop", __name__)
    blueprint.get("/x")(view)
    app.register_blueprint(blueprint)

    assert rules_of(app)["shop.view"].rule == "/own/x"


TABLES = [
    *("before_request_funcs", "after_request_funcs", "teardown_request_funcs"),
    *("url_default_functions", "url_value_preprocessors"),
    "template_context_processors",
]


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("name", ["shop", "store"])
def test_tables_go_below_the_name(app, blueprint, table, name):
    before = {**getattr(app, table)}
    getattr(blueprint, table)[None].append(function)
    getattr(blueprint, table)["part"].append(print)

    app.register_blueprint(blueprint, name=name)

    added = {name: [function], f"{name}.part": [print]}
    assert getattr(app, table) == before | added


def test_views_and_handlers_of_errors_go_to_the_application(app, blueprint):
    blueprint.endpoint("shop.late")(view)
    blueprint.register_error_handler(404, function)
    blueprint.register_error_handler(KeyError, function)

    app.register_blueprint(blueprint)

    assert app.view_functions["shop.late"] is view
    assert app.error_handler_spec["shop"][404].popitem()[1] is function
    assert app.error_handler_spec["shop"][None] == {KeyError: function}


@pytest.mark.parametrize(
    ("register", "table"),
    [
        ("before_app_request", "before_request_funcs"),
        ("after_app_request", "after_request_funcs"),
        ("teardown_app_request", "teardown_request_funcs"),
        ("app_context_processor", "template_context_processors"),
        ("app_url_value_preprocessor", "url_value_preprocessors"),
        ("app_url_defaults", "url_default_functions"),
    ],
)
def test_hooks_of_the_whole_application_are_added_once(app, blueprint, register, table):
    assert getattr(blueprint, register)(function) is function

    app.register_blueprint(blueprint)
    app.register_blueprint(blueprint, name="again")

    assert getattr(app, table)[None].count(function) == 1


def test_handlers_of_errors_of_the_whole_application(app, blueprint):
    assert blueprint.app_errorhandler(KeyError)(function) is function

    app.register_blueprint(blueprint)

    assert app.error_handler_spec[None][None] == {KeyError: function}


@pytest.mark.parametrize("kind", ["filter", "test", "global"])
@pytest.mark.parametrize("name", [None, "other"])
@pytest.mark.parametrize("by_decorator", [False, True])
def test_templates_get_functions(app, blueprint, kind, name, by_decorator):
    if by_decorator:
        assert getattr(blueprint, f"app_template_{kind}")(name)(function) is function
    else:
        getattr(blueprint, f"add_app_template_{kind}")(function, name)

    app.register_blueprint(blueprint)

    assert getattr(app.jinja_env, f"{kind}s")[name or "function"] is function


@pytest.mark.parametrize(
    ("own", "options", "path"),
    [
        ({}, {}, "shop greet"),
        ({}, {"name": "store"}, "store greet"),
        ({"cli_group": "group"}, {}, "group greet"),
        ({"cli_group": None}, {}, "greet"),
        ({"cli_group": "group"}, {"cli_group": "late"}, "late greet"),
        ({"cli_group": "group"}, {"cli_group": None}, "greet"),
    ],
)
def test_where_commands_go(app, own, options, path):
    blueprint = Blueprint("shop", __name__, **own)
    blueprint.cli.command("greet")(function)

    app.register_blueprint(blueprint, **options)

    group = app.cli
    for name in path.split():
        group = group.commands[name]
    assert group.name == "greet"


def test_without_commands_no_group_is_made(app, blueprint):
    app.register_blueprint(blueprint)
    assert "cli" not in vars(blueprint)
    assert "cli" not in vars(app)

    empty = Blueprint("empty", __name__)
    assert empty.cli.commands == {}
    app.register_blueprint(empty)
    assert app.cli.commands == {}


# Prefixes that it owns


def owning(name, prefix, **options):
    """Make a blueprint that signs the errors below its prefix."""
    blueprint = Blueprint(name, __name__, url_prefix=prefix, **options)
    blueprint.add_url_rule("/", "index", view)
    blueprint.add_url_rule("/abort", "abort", lambda **values: abort(404))

    @blueprint.errorhandler(404)
    @blueprint.errorhandler(405)
    def sign(error):
        return f"{name} {error.code}", error.code

    return blueprint


@pytest.fixture
def house(app):
    """An application that signs its errors, to register blueprints on."""
    app.register_error_handler(404, lambda error: (f"app {error.code}", 404))
    app.register_error_handler(405, lambda error: (f"app {error.code}", 405))
    app.add_url_rule("/mine", "mine", lambda: abort(404))
    return app


@pytest.mark.parametrize(
    ("method", "path", "owned", "free"),
    [
        ("GET", "/shop/absent", "shop 404", "app 404"),
        ("POST", "/shop/", "shop 405", "app 405"),
        ("POST", "/shop/absent", "shop 404", "app 404"),
        ("GET", "/shop/abort", "shop 404", "shop 404"),
        ("GET", "/shopping", "app 404", "app 404"),
        ("GET", "/", "app 404", "app 404"),
        ("GET", "/mine", "app 404", "app 404"),
        ("POST", "/mine", "app 405", "app 405"),
    ],
)
@pytest.mark.parametrize("owns", [False, True])
def test_an_owner_answers_for_urls_without_a_rule(
    house, client, method, path, owned, free, owns
):
    house.register_blueprint(owning("shop", "/shop", owns_prefix=owns))

    for _ in range(2):
        answer = client.open(path, method=method).text
        assert answer == (owned if owns else free)


@pytest.mark.parametrize(
    ("prefix", "path", "answer"),
    [
        ("/<lang>/shop", "/en/shop/absent", "shop 404"),
        ("/<lang>/shop", "/en/absent", "app 404"),
        ("/<int:year>", "/2024/absent", "shop 404"),
        ("", "/absent", "shop 404"),
        ("/", "/absent", "shop 404"),
        (None, "/absent", "shop 404"),
        (None, "/mine", "app 404"),
    ],
)
def test_prefixes_that_are_owned(house, client, prefix, path, answer):
    house.register_blueprint(owning("shop", prefix, owns_prefix=True))

    assert client.get(path).text == answer


@pytest.mark.parametrize(
    ("parent_owns", "child_owns", "answers"),
    [
        (False, False, ["app 404", "app 404"]),
        (True, False, ["parent 404", "parent 404"]),
        (False, True, ["app 404", "child 404"]),
        (True, True, ["parent 404", "child 404"]),
    ],
)
def test_the_innermost_owner_answers(house, client, parent_owns, child_owns, answers):
    parent = owning("parent", "/parent", owns_prefix=parent_owns)
    parent.register_blueprint(owning("child", "/child", owns_prefix=child_owns))
    house.register_blueprint(parent)

    paths = ["/parent/absent", "/parent/child/absent"]
    assert [client.get(path).text for path in paths] == answers


def test_the_parent_answers_what_an_owner_has_no_handler_for(house, client):
    parent = owning("parent", "/parent")
    child = Blueprint("child", __name__, url_prefix="/child", owns_prefix=True)
    parent.register_blueprint(child)
    house.register_blueprint(parent)

    assert client.get("/parent/child/absent").text == "parent 404"


def test_two_owners_answer_each_for_its_own(house, client):
    house.register_blueprint(owning("a", "/a", owns_prefix=True))
    house.register_blueprint(owning("b", "/b", owns_prefix=True))
    house.register_blueprint(owning("rest", "", owns_prefix=True))

    paths = ["/a/absent", "/b/absent", "/absent"]
    assert [client.get(path).text for path in paths] == ["a 404", "b 404", "rest 404"]


def test_an_owner_that_is_registered_twice_answers_for_both(house, client):
    shop = owning("shop", "/shop", owns_prefix=True)
    house.register_blueprint(shop)
    house.register_blueprint(shop, name="store", url_prefix="/store")

    paths = ["/shop/absent", "/store/absent"]
    assert [client.get(path).text for path in paths] == ["shop 404"] * 2


def test_a_prefix_is_below_where_the_application_is_mounted(house, client):
    house.register_blueprint(owning("shop", "/shop", owns_prefix=True))

    def get(path):
        return client.get(path, base_url="http://localhost/root").text

    assert get("/shop/absent") == "shop 404"
    assert get("/root/shop/absent") == "app 404"


@pytest.mark.parametrize(
    ("options", "path", "answer"),
    [
        ({"owns_prefix": True}, "/shop/static/absent.txt", "shop 404"),
        ({}, "/shop/static/absent.txt", "shop 404"),
        ({"owns_prefix": True}, "/static/absent.txt", "app 404"),
    ],
)
def test_missing_static_files_are_answered_by_whose_they_are(
    house, client, tmp_path, options, path, answer
):
    folder = {"static_folder": tmp_path, "static_url_path": "/static"}
    house.register_blueprint(owning("shop", "/shop", **folder, **options))

    assert client.get(path).text == answer


def test_before_functions_of_an_owner_do_not_run_for_urls_without_a_rule(house, client):
    shop = owning("shop", "/shop", owns_prefix=True)
    shop.before_request(lambda: pytest.fail("is not called"))
    house.register_blueprint(shop)

    assert client.get("/shop/absent").text == "shop 404"


@pytest.mark.parametrize("debug", [False, True])
def test_an_owner_does_not_change_redirects(debug):
    app = Erlen("site")
    app.debug = debug
    app.register_blueprint(owning("shop", "/shop", owns_prefix=True))

    assert app.test_client().get("/shop").status_code == 308
