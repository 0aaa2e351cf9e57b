from __future__ import annotations

import asyncio
import gc
import logging
import sys
import threading
import types
import weakref
from datetime import timedelta

import jinja2
import pytest
from werkzeug.exceptions import Aborter
from werkzeug.exceptions import ImATeapot

from erlen import Blueprint
from erlen import Config
from erlen import Erlen
from erlen import Response
from erlen import _application
from erlen import _jinja
from erlen import request
from erlen import views
from erlen._matcher import Matcher
from erlen.views import never_blocks
from erlen.views import reads_stream

# What it is


@pytest.mark.parametrize(
    ("import_name", "file", "name"),
    [
        ("shop.site", None, "shop.site"),
        ("__main__", "/srv/shop.py", "shop"),
        ("__main__", "/srv/shop.cgi.py", "shop.cgi"),
        ("__main__", None, "__main__"),
    ],
)
def test_the_name_of_an_application(monkeypatch, tmp_path, import_name, file, name):
    main = types.ModuleType("__main__")
    if file is not None:
        main.__file__ = file
    monkeypatch.setitem(sys.modules, "__main__", main)

    app = Erlen(import_name, root_path=str(tmp_path), instance_path=str(tmp_path))

    assert app.name == name
    assert repr(app) == f"<Erlen {name!r}>"


@pytest.mark.parametrize("path", ["instance", "./x", ""])
def test_a_relative_instance_path_is_refused(path):
    with pytest.raises(ValueError, match="must be absolute") as caught:
        Erlen(__name__, instance_path=path)
    assert repr(path) in str(caught.value)


def test_the_instance_folder_is_beside_the_module_or_in_the_prefix(
    monkeypatch, tmp_path
):
    def found(prefix):
        monkeypatch.setattr(
            _application, "find_package", lambda name: (prefix, str(tmp_path))
        )
        return Erlen(__name__, root_path=str(tmp_path)).instance_path

    assert found(None) == str(tmp_path / "instance")
    assert found("/opt") == f"/opt/var/{__name__}-instance"


@pytest.mark.parametrize("relative", [False, True])
def test_configuration_files_are_found_from_the_root_or_the_instance(
    tmp_path, relative
):
    app = Erlen(
        __name__,
        root_path=str(tmp_path / "root"),
        instance_path=str(tmp_path / "instance"),
        instance_relative_config=relative,
    )

    expected = tmp_path / ("instance" if relative else "root")
    assert app.config.root_path == str(expected)


def test_defaults_are_each_applications_own():
    one, two = Erlen("one"), Erlen("two")

    one.config["X"] = 1

    assert "X" not in two.config
    assert "X" not in Erlen.default_config


@pytest.mark.parametrize(("value", "debug"), [("1", True), ("0", False)])
def test_debug_starts_as_the_environment_says(monkeypatch, value, debug):
    monkeypatch.setenv("ERLEN_DEBUG", value)

    assert Erlen(__name__).debug is debug


@pytest.mark.parametrize(
    ("made", "setting", "reload"), [(True, None, True), (True, False, False)]
)
def test_debug_reloads_templates_unless_it_is_set(app, made, setting, reload):
    app.config["TEMPLATES_AUTO_RELOAD"] = setting
    assert not app.jinja_env.auto_reload

    app.debug = True

    assert app.config["DEBUG"] is True
    assert app.jinja_env.auto_reload is reload


def test_debug_makes_no_template_environment(app):
    app.debug = True

    assert "jinja_env" not in vars(app)
    assert app.jinja_env.auto_reload


def test_the_logger_has_the_applications_name(app):
    assert app.logger is logging.getLogger(app.name)


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (60, timedelta(minutes=1)),
        (timedelta(days=1), timedelta(days=1)),
        (None, None),
    ],
)
def test_a_lifetime_may_be_seconds(app, value, read):
    app.permanent_session_lifetime = value

    assert app.config["PERMANENT_SESSION_LIFETIME"] == value
    assert app.permanent_session_lifetime == read


def test_parts_may_be_of_other_classes():
    class OwnConfig(Config):
        pass

    class OwnAborter(Aborter):
        pass

    class Own(Erlen):
        config_class = OwnConfig
        aborter_class = OwnAborter

    app = Own("own")

    assert type(app.config) is OwnConfig
    assert type(app.aborter) is OwnAborter
    assert app.aborter.mapping[418] is ImATeapot


def test_the_matcher_is_made_when_it_is_needed(app):
    assert "_matcher" not in vars(app)
    assert isinstance(app._matcher, Matcher)
    assert app._matcher._map is app.url_map


# Static files


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"host_matching": True}, "needs 'static_host='"),
        ({"static_host": "a.test"}, "only there"),
    ],
)
def test_static_host_and_host_matching_go_together(options, words):
    with pytest.raises(AssertionError, match="static_host/host_matching") as caught:
        Erlen(__name__, **options)

    assert words in str(caught.value)
    assert "'static_folder=None'" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "rules"),
    [
        ({}, ["/static/<path:filename>"]),
        ({"static_folder": None}, []),
        ({"static_folder": None, "host_matching": True}, []),
        ({"static_folder": "x/assets/"}, ["/assets/<path:filename>"]),
        ({"static_url_path": "/s/"}, ["/s/<path:filename>"]),
        ({"static_url_path": ""}, ["/<path:filename>"]),
        (
            {"static_host": "a.test", "host_matching": True},
            ["/static/<path:filename>"],
        ),
    ],
)
def test_the_route_of_static_files(options, rules):
    app = Erlen(__name__, **options)

    assert [rule.rule for rule in app.url_map.iter_rules()] == rules
    assert [rule.host for rule in app.url_map.iter_rules() if rule.host] == (
        [options["static_host"]] if "static_host" in options else []
    )


def test_the_static_route_sends_files_and_keeps_nothing_alive(tmp_path):
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "x.txt").write_text("text")
    app = Erlen(__name__, root_path=str(tmp_path))
    with app.test_client().get("/static/x.txt") as response:
        assert response.text == "text"
    view, alive = app.view_functions["static"], weakref.ref(app)

    gc.disable()
    try:
        del app, response
        assert alive() is None
    finally:
        gc.enable()
    assert view


# Templates


def test_the_class_of_template_environments_is_read_from_the_class():
    class Own(_jinja.Environment):
        pass

    class Site(Erlen):
        jinja_environment = Own
        jinja_options = {"trim_blocks": True}

    assert Erlen.jinja_environment is Erlen("x").jinja_environment
    assert Erlen.jinja_environment is _jinja.Environment
    assert type(Site("site").jinja_env) is Own
    assert Site("site").jinja_env.trim_blocks


def test_templates_are_loaded_by_a_loader_of_the_application(app):
    loader = app.create_global_jinja_loader()

    assert type(loader) is _jinja.DispatchingJinjaLoader
    assert type(app.jinja_env.loader) is _jinja.DispatchingJinjaLoader
    with pytest.raises(jinja2.TemplateNotFound):
        app.jinja_env.get_template("absent.html")


@pytest.mark.parametrize(("name", "escaped"), [("x.html", True), ("x.txt", False)])
def test_markup_is_escaped(app, name, escaped):
    assert app.select_jinja_autoescape(name) is escaped


@pytest.mark.parametrize("kind", ["filter", "test", "global"])
@pytest.mark.parametrize("name", [None, "other"])
@pytest.mark.parametrize("by_decorator", [False, True])
def test_templates_get_functions(app, kind, name, by_decorator):
    def shout(value=""):
        return value.upper()

    if by_decorator:
        assert getattr(app, f"template_{kind}")(name)(shout) is shout
    else:
        getattr(app, f"add_template_{kind}")(shout, name)

    assert getattr(app.jinja_env, f"{kind}s")[name or "shout"] is shout


# Rules


def options_of(app, *args, **kwargs):
    app.add_url_rule(*args, **kwargs)
    [rule] = [rule for rule in app.url_map.iter_rules() if rule.endpoint != "static"]
    return rule


def view():
    return request.method


class Shown(views.View):
    methods = ["post"]


def with_attributes(**attributes):
    def function():
        return ""

    vars(function).update(attributes)
    return function


@pytest.mark.parametrize(
    ("function", "options", "methods", "automatic"),
    [
        (view, {}, "GET HEAD OPTIONS", True),
        (view, {"methods": ["post"]}, "OPTIONS POST", True),
        (view, {"methods": ("get", "OPTIONS")}, "GET HEAD OPTIONS", False),
        (view, {"methods": []}, "OPTIONS", True),
        (view, {"provide_automatic_options": False}, "GET HEAD", False),
        (view, {"provide_automatic_options": True}, "GET HEAD", True),
        (with_attributes(methods=["PUT"]), {}, "OPTIONS PUT", True),
        (with_attributes(methods=["PUT"]), {"methods": ["get"]}, "GET HEAD OPTIONS", 1),
        (with_attributes(required_methods=["TRACE"]), {}, "GET HEAD OPTIONS TRACE", 1),
        (with_attributes(provide_automatic_options=False), {}, "GET HEAD", False),
        (with_attributes(provide_automatic_options=True), {}, "GET HEAD", True),
        (Shown.as_view("shown"), {}, "OPTIONS POST", True),
        (None, {"endpoint": "later"}, "GET HEAD OPTIONS", True),
    ],
)
def test_the_methods_of_a_rule(app, function, options, methods, automatic):
    rule = options_of(app, "/x", view_func=function, **options)

    assert sorted(rule.methods) == methods.split()
    assert rule.provide_automatic_options is bool(automatic)


def test_automatic_options_are_a_setting(app):
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False

    rule = options_of(app, "/x", view_func=view)

    assert sorted(rule.methods) == ["GET", "HEAD"]
    assert rule.provide_automatic_options is False


def test_a_rule_knows_its_endpoint_and_options(app):
    rule = options_of(app, "/x", view_func=view, defaults={"a": 1}, subdomain="s")

    assert (rule.endpoint, rule.defaults, rule.subdomain) == ("view", {"a": 1}, "s")
    assert app.view_functions["view"] is view


def test_one_view_may_have_several_rules(app):
    app.add_url_rule("/a", view_func=view)
    app.add_url_rule("/b", view_func=view)
    app.add_url_rule("/c", "view")

    assert len(list(app.url_map.iter_rules("view"))) == 3


def test_a_rule_that_is_added_forgets_what_was_known_of_hosts(app):
    app.test_client().get("/")
    assert app._hosts
    app._got_first_request = False

    app.add_url_rule("/old", "old", redirect_to=lambda adapter: "new")

    assert not app._hosts
    assert app._binds_each_request


def nameless():
    return type("Nameless", (), {"__call__": lambda self: ""})()


@pytest.mark.parametrize(
    ("mistake", "error", "words"),
    [
        (
            lambda app: app.add_url_rule("/x", view_func=view, methods="POST"),
            TypeError,
            ["must be a list of strings", 'methods=["POST"]'],
        ),
        (
            lambda app: app.add_url_rule("/x", view_func=nameless()),
            TypeError,
            ["no name to make an endpoint of", "endpoint='...'"],
        ),
        (
            lambda app: app.add_url_rule("/x"),
            TypeError,
            ["The view None has no name", "endpoint='...'"],
        ),
        (
            lambda app: [app.add_url_rule("/x", "x", f) for f in (view, print)],
            AssertionError,
            ["overwriting an existing endpoint function: x", "'/x'", "'endpoint='"],
        ),
        (
            lambda app: [setattr(app, "_got_first_request", True), app.get("/x")(view)],
            AssertionError,
            ["'get' can no longer be called", "declare everything before"],
        ),
        (
            lambda app: [
                setattr(app, "_got_first_request", True),
                app.register_blueprint(Blueprint("b", __name__)),
            ],
            AssertionError,
            ["'register_blueprint'", "first request", "before the application serves"],
        ),
    ],
)
def test_mistakes_of_the_set_up_name_the_cure(app, mistake, error, words):
    with pytest.raises(error) as caught:
        mistake(app)

    assert [word for word in words if word not in str(caught.value)] == []


def test_the_set_up_ends_with_the_first_request(app, client):
    app.get("/")(view)
    with app.test_request_context():
        app.get("/more", endpoint="more")(view)

    client.get("/")

    with pytest.raises(AssertionError, match="already handled its first request"):
        app.get("/late", endpoint="late")(view)


# Async


async def later():
    return f"later {request.path}"


def test_async_functions_are_wrapped_and_others_are_not(app, client):
    pytest.importorskip("asgiref")
    app.add_url_rule("/later", "later", later)

    assert app.ensure_sync(view) is view
    assert app.ensure_sync(later) is not later
    assert client.get("/later").text == "later /later"


def test_without_asgiref_the_extra_is_named(app, wsgi_client, monkeypatch):
    monkeypatch.setitem(sys.modules, "asgiref.sync", None)
    app.add_url_rule("/later", "later", later)

    with pytest.raises(RuntimeError, match="needs asgiref under WSGI") as caught:
        wsgi_client.get("/later")

    assert 'pip install "erlen[async]"' in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.fixture
def note(app):
    """Return an async function that notes where it runs."""

    async def note():
        note.loops.append(asyncio.get_running_loop())
        note.threads.append(threading.current_thread())
        return "noted"

    note.loops, note.threads = [], []
    return note


def test_async_functions_run_on_the_loop_of_the_server(app, ask, note):
    @app.get("/")
    def view():
        return app.ensure_sync(note)()

    @app.get("/thread")
    async def in_thread():
        note.loops.append(asyncio.get_running_loop())
        return await asyncio.to_thread(app.ensure_sync(note))

    assert ask(app).text == "noted"
    assert ask(app, "/thread").text == "noted"
    assert note.threads == [threading.current_thread()] * 2
    assert note.loops[1] is note.loops[2]


@pytest.mark.parametrize("quick", [False, True])
def test_on_the_loop_they_run_at_once_or_not_at_all(app, ask, quick):
    async def waits():
        if not quick:
            await asyncio.sleep(0)
        return "x"

    async def view():
        return app.ensure_sync(waits)()

    @never_blocks
    def other():
        return app.ensure_sync(waits)()

    app.add_url_rule("/a", "a", view)
    app.add_url_rule("/b", "b", other)

    for path in ("/a", "/b"):
        if quick:
            assert ask(app, path).text == "x"
        else:
            with pytest.raises(RuntimeError, match=r"waits.*await asyncio\.to_thread"):
                ask(app, path)


@pytest.mark.parametrize(("marked", "left"), [(False, 0), (True, 2)])
def test_the_body_is_read_ahead_for_who_wants_it(app, exchange, run, marked, left):
    async def count():
        return str(asked.messages.qsize())

    if marked:
        reads_stream(count)
    app.add_url_rule("/", "index", lambda: app.ensure_sync(count)(), methods=["POST"])
    asked = exchange(app, method="POST", body=[b"a", b"b"])

    assert run(asked.run()).text == str(left)


def test_a_function_may_run_outside_of_requests(app, run, exchange, note):
    """In a worker, and without a request whose body could be read."""
    app.on_startup(lambda: app.ensure_sync(note)())
    app.add_url_rule("/", "index", lambda: "x")

    assert run(exchange(app).run()).text == "x"
    assert note.threads == [threading.current_thread()]


# The rest


def test_blueprints_are_listed_in_their_order(app):
    blueprints = [Blueprint(name, __name__) for name in "cab"]
    for blueprint in blueprints:
        app.register_blueprint(blueprint)

    assert [*app.iter_blueprints()] == blueprints
    assert list(app.blueprints) == ["c", "a", "b"]


def test_a_blueprint_may_own_a_prefix(app):
    app._own_prefix("/shop", "shop", None)

    assert app._prefixes.owner("/shop/x") == "shop"


def test_redirects_are_responses_of_the_application(app):
    class Own(Response):
        pass

    app.response_class = Own

    response = app.redirect("/x", 307)

    assert type(response) is Own
    assert (response.status_code, response.location) == (307, "/x")


def test_functions_are_registered_and_handed_back(app):
    def function(exc=None):
        return {}

    assert app.teardown_appcontext(function) is function
    assert app.shell_context_processor(function) is function

    assert app.teardown_appcontext_funcs == [function]
    assert app.shell_context_processors == [function]
