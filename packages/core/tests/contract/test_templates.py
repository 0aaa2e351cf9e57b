"""Templates: where they are found, what they know, how they are escaped."""

from __future__ import annotations

import jinja2
import pytest
from jinja2 import TemplateNotFound
from jinja2 import TemplatesNotFound
from markupsafe import Markup

import erlen
from erlen import Blueprint
from erlen import Erlen
from erlen import before_render_template
from erlen import g
from erlen import get_template_attribute
from erlen import render_template
from erlen import render_template_string
from erlen import request
from erlen import session
from erlen import stream_template
from erlen import stream_template_string
from erlen import template_rendered
from erlen.templating import DispatchingJinjaLoader
from erlen.templating import Environment


@pytest.fixture
def templates(app, tmp_path):
    """Return a function that writes templates for `app`."""
    app.jinja_loader = jinja2.FileSystemLoader(tmp_path)

    def write(**files):
        for name, text in files.items():
            (tmp_path / name.replace("_", ".")).write_text(text, encoding="utf-8")

    return write


# --- rendering


def test_render_template(app, templates):
    templates(hello_html="Hello {{ name }} from {{ request.path }}")

    with app.test_request_context("/x"):
        assert render_template("hello.html", name="Ada") == "Hello Ada from /x"


def test_first_of_several_templates_that_exists(app, templates):
    templates(b_html="b", c_html="c")

    with app.app_context():
        assert render_template(["a.html", "b.html", "c.html"]) == "b"


def test_template_object(app):
    with app.app_context():
        template = app.jinja_env.from_string("{{ x }}")
        assert render_template(template, x=1) == "1"


@pytest.mark.parametrize(
    ("name", "error"),
    [("absent.html", TemplateNotFound), (["a.html", "b.html"], TemplatesNotFound)],
)
def test_missing_template(app, name, error):
    with app.app_context(), pytest.raises(error) as caught:
        render_template(name)

    assert type(caught.value) is error


@pytest.mark.parametrize(
    "render",
    [
        lambda text, **values: render_template_string(text, **values),
        lambda text, **values: "".join(stream_template_string(text, **values)),
    ],
)
def test_string(app, render):
    with app.app_context():
        assert render("{{ x }}-{{ y }}", x="<1>", y=2) == "&lt;1&gt;-2"


def test_stream_is_lazy(app, templates):
    templates(items_html="{% for x in items %}{{ x }};{% endfor %}")
    taken = []

    def items():
        for n in range(3):
            taken.append(n)
            yield n

    with app.app_context():
        stream = stream_template("items.html", items=items())
        assert iter(stream) is stream
        assert taken == []
        assert "".join(stream) == "0;1;2;"
    assert taken == [0, 1, 2]


def test_stream_of_the_first_template_that_exists(app, templates):
    templates(b_html="b")

    with app.app_context():
        assert "".join(stream_template(["a.html", "b.html"])) == "b"


def test_stream_as_a_response_keeps_the_request(app, client, templates):
    templates(items_html="{% for x in items %}{{ request.path }}{{ x }} {% endfor %}")
    app.get("/a", endpoint="a")(lambda: stream_template("items.html", items=[1, 2]))
    app.get("/b", endpoint="b")(
        lambda: stream_template_string("{{ request.path }}{{ session.x }}")
    )

    response = client.get("/a")

    assert response.is_streamed
    assert response.mimetype == "text/html"
    assert response.text == "/a1 /a2 "
    assert client.get("/b").text == "/b"


def test_inheritance_and_inclusion(app, templates):
    templates(
        base_html="<{% block body %}{% endblock %}>",
        part_html="part of {{ name }}",
        page_html="{% extends 'base.html' %}{% block body %}"
        "{% include 'part.html' %}{% endblock %}",
    )

    with app.app_context():
        assert render_template("page.html", name="it") == "<part of it>"


def test_get_template_attribute(app, templates):
    templates(
        macros_html="{% macro hello(name) %}Hello {{ name }}{% endmacro %}"
        "{% set version = 3 %}"
    )

    with app.app_context():
        assert (
            get_template_attribute("macros.html", "hello")("<b>") == "Hello &lt;b&gt;"
        )
        assert get_template_attribute("macros.html", "version") == 3
        with pytest.raises(AttributeError):
            get_template_attribute("macros.html", "absent")


# --- autoescaping


@pytest.mark.parametrize(
    ("name", "escaped"),
    [
        ("a.html", True),
        ("a.htm", True),
        ("a.xml", True),
        ("a.xhtml", True),
        ("a.svg", True),
        ("a.txt", False),
        ("a.js", False),
        ("a", False),
        ("html", False),
        (None, True),
    ],
)
def test_autoescape_by_suffix(app, name, escaped):
    assert app.select_jinja_autoescape(name) is escaped


@pytest.mark.parametrize(("suffix", "text"), [("html", "&lt;&gt;"), ("txt", "<>")])
def test_autoescape_when_rendering(app, templates, suffix, text):
    templates(**{f"a_{suffix}": "{{ x }}"})

    with app.app_context():
        assert render_template(f"a.{suffix}", x="<>") == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ x }}", "<b>"),
        ("{{ y|safe }}", "<i>"),
        ("{% autoescape false %}{{ y }}{% endautoescape %}", "<i>"),
        ("{{ y }}", "&lt;i&gt;"),
        ("{{ y|tojson }}", '"\\u003ci\\u003e"'),
        ("{{ {'b': 1, 'a': y}|tojson }}", '{"a": "\\u003ci\\u003e", "b": 1}'),
    ],
)
def test_markup_is_not_escaped_again(app, text, expected):
    with app.app_context():
        assert render_template_string(text, x=Markup("<b>"), y="<i>") == expected


def test_tojson_goes_through_the_provider(app):
    class Loud(type(app.json)):
        def dumps(self, obj, **kwargs):
            return super().dumps({"loud": obj}, **kwargs)

    app.json = Loud(app)

    with app.app_context():
        assert render_template_string("{{ 1|tojson }}") == '{"loud": 1}'


def test_autoescape_chosen_by_a_subclass():
    class Site(Erlen):
        def select_jinja_autoescape(self, filename):
            return False

    with Site("site").app_context():
        assert render_template_string("{{ x }}", x="<") == "<"


# --- what templates know


def test_globals(app):
    text = "{{ config.NAME }} {{ url_for('static', filename='x') }} {{ get_flashed_messages() }}"
    app.config["NAME"] = "shop"

    with app.test_request_context():
        assert render_template_string(text) == "shop /static/x []"


def test_request_session_and_g_of_a_request(app):
    with app.test_request_context("/x"):
        session["a"] = 1
        g.b = 2
        assert (
            render_template_string("{{ request.path }} {{ session.a }} {{ g.b }}")
            == "/x 1 2"
        )


def test_only_g_and_config_without_a_request(app):
    with app.app_context():
        g.b = 2
        assert render_template_string("{{ g.b }} {{ config.TESTING }}") == "2 True"


def test_context_processor(app):
    app.context_processor(lambda: {"a": 1, "b": 1})
    app.context_processor(lambda: {"b": 2})

    with app.app_context():
        assert render_template_string("{{ a }}{{ b }}") == "12"


def test_arguments_beat_processors_and_those_beat_globals(app):
    app.jinja_env.globals.update(a="global", b="global", c="global")
    app.context_processor(lambda: {"b": "processor", "c": "processor"})

    with app.app_context():
        assert (
            render_template_string("{{ a }} {{ b }} {{ c }}", c="argument")
            == "global processor argument"
        )


def test_arguments_beat_what_is_there_by_default(app):
    app.context_processor(lambda: {"g": "processor"})

    with app.test_request_context():
        assert (
            render_template_string("{{ request }} {{ g }}", request="argument")
            == "argument processor"
        )


def test_processors_of_blueprints(app, client):
    parent = Blueprint("parent", __name__, url_prefix="/parent")
    child = Blueprint("child", __name__, url_prefix="/child")
    wide = Blueprint("wide", __name__)
    text = "{{ a }} {{ p }} {{ c }} {{ w }} {{ who }}"
    for scaffold in (app, parent, child):
        scaffold.add_url_rule("/", "index", lambda: render_template_string(text))
    app.context_processor(lambda: {"a": "app", "who": "app"})
    parent.context_processor(lambda: {"p": "parent", "who": "parent"})
    child.context_processor(lambda: {"c": "child", "who": "child"})
    wide.app_context_processor(lambda: {"w": "wide"})
    parent.register_blueprint(child)
    app.register_blueprint(parent)
    app.register_blueprint(wide)

    assert client.get("/").text == "app   wide app"
    assert client.get("/parent/").text == "app parent  wide parent"
    assert client.get("/parent/child/").text == "app parent child wide child"


def test_update_template_context(app):
    app.context_processor(lambda: {"a": "processor", "b": "processor"})
    values = {"a": "given"}

    with app.test_request_context():
        app.update_template_context(values)

        assert values["a"] == "given"
        assert values["b"] == "processor"
        assert values["request"] == request
        assert values["g"] == g


def test_processors_are_not_seen_by_imports_without_context(app, templates):
    templates(
        macros_html="{% macro m() %}{{ x }}|{{ g is defined }}{% endmacro %}",
        plain_html="{% from 'macros.html' import m %}{{ m() }}",
        with_html="{% from 'macros.html' import m with context %}{{ m() }}",
    )
    app.context_processor(lambda: {"x": "processor"})

    with app.app_context():
        assert render_template("plain.html") == "|True"
        assert render_template("with.html") == "processor|True"


# --- filters, tests, globals


def double(value):
    return value * 2


def is_even(value):
    return value % 2 == 0


HOW = [
    pytest.param(lambda app, kind: getattr(app, f"template_{kind}")(), id="called"),
    pytest.param(lambda app, kind: getattr(app, f"template_{kind}")("own"), id="named"),
    pytest.param(
        lambda app, kind: getattr(app, f"template_{kind}")(name="own"), id="keyword"
    ),
    pytest.param(lambda app, kind: getattr(app, f"add_template_{kind}"), id="method"),
    pytest.param(
        lambda app, kind: lambda f: getattr(app, f"add_template_{kind}")(f, "own"),
        id="method named",
    ),
]
KINDS = [
    ("filter", double, "{{ 2|NAME }}", "4", "filters"),
    ("test", is_even, "{{ 2 is NAME }}", "True", "tests"),
    ("global", double, "{{ NAME(2) }}", "4", "globals"),
]


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize(("kind", "function", "text", "result", "registry"), KINDS)
def test_own_filter_test_or_global(app, how, kind, function, text, result, registry):
    returned = how(app, kind)(function)
    own = "own" in getattr(app.jinja_env, registry)
    name = "own" if own else function.__name__

    assert returned in {function, None}
    assert getattr(app.jinja_env, registry)[name] is function
    with app.app_context():
        assert render_template_string(text.replace("NAME", name)) == result


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("decorate", [True, False])
@pytest.mark.parametrize(("kind", "function", "text", "result", "registry"), KINDS)
def test_own_filter_test_or_global_of_a_blueprint(
    app, kind, function, text, result, registry, decorate, named
):
    blueprint = Blueprint("b", __name__)
    args = ("own",) if named else ()
    if decorate:
        getattr(blueprint, f"app_template_{kind}")(*args)(function)
    else:
        getattr(blueprint, f"add_app_template_{kind}")(function, *args)
    app.register_blueprint(blueprint)
    name = "own" if named else function.__name__

    with app.app_context():
        assert render_template_string(text.replace("NAME", name)) == result


# --- where templates are found


@pytest.fixture
def folders(tmp_path):
    """Make template folders of an application and two blueprints."""
    for folder, files in {
        "app": {"both.html": "app"},
        "one": {"both.html": "one", "one.html": "one", "clash.html": "one"},
        "two": {"both.html": "two", "two.html": "two", "clash.html": "two"},
    }.items():
        (tmp_path / folder).mkdir()
        for name, text in files.items():
            (tmp_path / folder / name).write_text(text)
    app = Erlen("site", template_folder=str(tmp_path / "app"))
    for name in ("one", "two"):
        blueprint = Blueprint(name, __name__, template_folder=str(tmp_path / name))
        app.register_blueprint(blueprint)
    return app


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("both.html", "app"),
        ("one.html", "one"),
        ("two.html", "two"),
        ("clash.html", "one"),
    ],
)
def test_folder_of_the_application_then_blueprints_as_registered(
    folders, template, text
):
    with folders.app_context():
        assert render_template(template) == text


def test_all_templates_are_listed(folders):
    assert sorted(folders.jinja_env.list_templates()) == [
        "both.html",
        "clash.html",
        "one.html",
        "two.html",
    ]


def test_template_folder_is_relative_to_the_root(tmp_path):
    (tmp_path / "views").mkdir()
    (tmp_path / "views" / "a.html").write_text("found")
    app = Erlen("site", root_path=str(tmp_path), template_folder="views")

    with app.app_context():
        assert render_template("a.html") == "found"
    assert app.template_folder == "views"


def test_default_folder_is_templates(tmp_path):
    app = Erlen("site", root_path=str(tmp_path))

    assert app.template_folder == "templates"
    assert app.jinja_loader.searchpath == [str(tmp_path / "templates")]


def test_no_folder_no_loader():
    assert Erlen("site", template_folder=None).jinja_loader is None
    assert Blueprint("b", __name__).jinja_loader is None


# --- the environment


def test_environment(app):
    env = app.jinja_env

    assert type(env) is Environment
    assert env is app.jinja_env
    assert env.app is app
    assert isinstance(env.loader, DispatchingJinjaLoader)
    assert env.policies["json.dumps_function"](1) == "1"


@pytest.mark.parametrize(
    "name", ["url_for", "get_flashed_messages", "config", "request", "session", "g"]
)
def test_globals_of_the_environment(app, name):
    assert name in app.jinja_env.globals


def test_options_of_the_environment(app):
    class Site(Erlen):
        jinja_options = {"trim_blocks": True, "extensions": ["jinja2.ext.do"]}

    env = Site("site").jinja_env

    assert env.trim_blocks is True
    assert "jinja2.ext.ExprStmtExtension" in env.extensions
    assert Erlen.jinja_options == {}


def test_options_of_an_instance_before_the_environment_is_made(app):
    app.jinja_options = {"line_statement_prefix": "%%"}

    assert app.jinja_env.line_statement_prefix == "%%"


def test_class_of_the_environment():
    class Own(Environment):
        pass

    class Site(Erlen):
        jinja_environment = Own

    assert type(Site("site").jinja_env) is Own


def test_environment_made_by_a_subclass():
    class Site(Erlen):
        def create_jinja_environment(self):
            env = super().create_jinja_environment()
            env.globals["own"] = "mine"
            return env

    with Site("site").app_context():
        assert render_template_string("{{ own }}") == "mine"


def test_loader_made_by_a_subclass():
    class Site(Erlen):
        def create_global_jinja_loader(self):
            return jinja2.DictLoader({"a.html": "from a dictionary"})

    with Site("site").app_context():
        assert render_template("a.html") == "from a dictionary"


@pytest.mark.parametrize(
    ("config", "reload"),
    [
        ({}, False),
        ({"DEBUG": True}, True),
        ({"TEMPLATES_AUTO_RELOAD": True}, True),
        ({"TEMPLATES_AUTO_RELOAD": False, "DEBUG": True}, False),
    ],
)
def test_auto_reload(app, config, reload):
    app.config.update(config)

    assert app.jinja_env.auto_reload is reload


def test_debug_switches_reloading_on(app):
    assert app.jinja_env.auto_reload is False

    app.debug = True

    assert app.jinja_env.auto_reload is True


# --- debugging


def test_attempts_are_explained(folders, caplog):
    folders.config["EXPLAIN_TEMPLATE_LOADING"] = True

    with (
        caplog.at_level("INFO"),
        folders.app_context(),
        pytest.raises(TemplateNotFound),
    ):
        render_template("absent.html")

    text = caplog.text
    assert "Locating template 'absent.html'" in text
    for word in ("application 'site'", "blueprint 'one'", "blueprint 'two'"):
        assert word in text
    assert "Error: the template could not be found" in text


def test_attempts_of_a_template_that_is_found(folders, caplog):
    folders.config["EXPLAIN_TEMPLATE_LOADING"] = True

    with caplog.at_level("INFO"), folders.app_context():
        assert render_template("clash.html") == "one"

    assert "found" in caplog.text
    assert "multiple loaders returned a match" in caplog.text


def test_explaining_tells_the_blueprint_of_the_request(app, client, caplog):
    app.config["EXPLAIN_TEMPLATE_LOADING"] = True
    blueprint = Blueprint("shop", __name__)
    blueprint.add_url_rule("/", "index", lambda: render_template("absent.html"))
    app.register_blueprint(blueprint)

    with caplog.at_level("INFO"), pytest.raises(TemplateNotFound):
        client.get("/")

    assert "belongs to the blueprint 'shop'" in caplog.text


# --- signals


@pytest.mark.parametrize(
    "render",
    [
        lambda: render_template_string("{{ x }}", x=1),
        lambda: "".join(stream_template_string("{{ x }}", x=1)),
    ],
)
def test_signals_of_rendering(app, render):
    seen = []

    def before(sender, template, context, **extra):
        seen.append(("before", sender, context["x"]))
        context["x"] = 2

    def after(sender, template, context, **extra):
        seen.append(("after", sender, type(template), context["x"]))

    with (
        before_render_template.connected_to(before, app),
        template_rendered.connected_to(after, app),
        app.app_context(),
    ):
        assert render() == "2"

    assert seen == [("before", app, 1), ("after", app, jinja2.Template, 2)]


def test_signal_names_the_template(app, templates):
    templates(a_html="")
    seen = []

    def after(sender, template, **extra):
        seen.append(template.name)

    with template_rendered.connected_to(after, app), app.app_context():
        render_template("a.html")
        render_template_string("")

    assert seen == ["a.html", None]


def test_facade_and_module_are_one():
    assert erlen.render_template is erlen.templating.render_template
