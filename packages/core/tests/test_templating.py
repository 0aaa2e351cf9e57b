from __future__ import annotations

import subprocess
import sys

import jinja2
import pytest

import erlen
from erlen import _jinja
from erlen import signals
from erlen import templating

TEMPLATES = {
    "plain.html": "{{ value }}",
    "plain.txt": "{{ value }}",
    "names.html": "{{ value }} {{ request.path }} {{ g.mark }} {{ session.mark }}",
    "macros.html": "{% macro bold(text) %}<b>{{ text }}</b>{% endmacro %}",
    "base.html": (
        "<!doctype html>{{ outside() }}"
        "{% block title %}base{% endblock %}|"
        "{% block body required %}{% endblock %}|"
        "{% block foot %}foot {{ value }}{% endblock %}"
    ),
    "middle.html": (
        "{% extends 'base.html' %}{% block title %}middle<{{ super() }}{% endblock %}"
    ),
    "page.html": (
        "{% extends layout or 'middle.html' %}"
        "{% from 'macros.html' import bold %}"
        "{% set mark = '&' %}"
        "{% block title %}page<{{ super() }}{% endblock %}"
        "{% block body %}{{ bold(value) }}{{ mark }}"
        "{% block inner scoped %}inner {{ self.title() }}{% endblock %}"
        "{% endblock %}"
    ),
    "broken.html": "{% block body %}\n{{ 1 // 0 }}{% endblock %}",
    "empty.html": "",
}


@pytest.fixture(params=[False, True], ids=["", "enable_async"])
def app(app, request):
    """Give the application templates, and `outside`, which counts its calls."""
    app.jinja_options = {"enable_async": request.param}
    app.jinja_env.loader = jinja2.DictLoader(TEMPLATES)
    app.calls = []
    app.jinja_env.globals["outside"] = lambda: app.calls.append("outside") or ""
    return app


@pytest.fixture
def sent():
    """Record the two signals of rendering."""
    seen = []

    def before(sender, template, context, **_):
        seen.append(("before", template.name, dict(context)))

    def after(sender, template, context, **_):
        seen.append(("after", template.name, dict(context)))

    with (
        signals.before_render_template.connected_to(before),
        signals.template_rendered.connected_to(after),
    ):
        yield seen


def test_render_template(app):
    with app.app_context():
        assert erlen.render_template("plain.html", value="<a>") == "&lt;a&gt;"
        assert erlen.render_template("plain.txt", value="<a>") == "<a>"
        names = ["nothing.html", "plain.txt", "plain.html"]
        assert erlen.render_template(names, value="<a>") == "<a>"
        template = app.jinja_env.get_template("plain.html")
        assert erlen.render_template(template, value=1) == "1"


def test_render_template_string(app):
    with app.app_context():
        assert erlen.render_template_string("{{ v }}", v="<a>") == "&lt;a&gt;"


def test_templates_see_the_request(app):
    with app.test_request_context("/path"):
        erlen.g.mark = "g"
        erlen.session["mark"] = "s"
        text = erlen.render_template("names.html", value="v")
    assert text == "v /path g s"


def test_rendering_does_not_open_the_session(app):
    with app.test_request_context() as ctx:
        erlen.render_template("plain.html", value=1)
        assert ctx._session is None
        assert erlen.render_template_string("{{ session.mark }}") == ""
        assert ctx._session.accessed


def test_arguments_beat_processors_and_those_beat_globals(app):
    app.jinja_env.globals.update(a="global", b="global", c="global")
    app.context_processor(lambda: {"b": "processor", "c": "processor"})
    with app.test_request_context():
        text = erlen.render_template_string("{{ a }} {{ b }} {{ c }}", c="argument")
        assert text == "global processor argument"
        assert erlen.render_template_string("{{ g }}", g="mine") == "mine"


def test_default_names(app):
    give = templating._default_template_ctx_processor
    assert give() == {}
    with app.app_context():
        assert give() == {"g": erlen.g._get_current_object()}
    with app.test_request_context():
        names = give()
        assert sorted(names) == ["g", "request"]
        assert names["request"] is erlen.request._get_current_object()


@pytest.mark.parametrize(
    ("function", "argument"),
    [
        (erlen.render_template, "plain.html"),
        (erlen.render_template_string, "{{ value }}"),
        (erlen.stream_template, "plain.html"),
        (erlen.stream_template_string, "{{ value }}"),
        (lambda name: erlen.render_block(name, "body"), "page.html"),
    ],
)
def test_without_application(function, argument):
    message = r"outside of application context: '(stream|render)_"
    with pytest.raises(RuntimeError, match=message):
        function(argument)


def test_a_missing_template_keeps_its_class(app):
    with app.app_context():
        with pytest.raises(jinja2.TemplateNotFound) as caught:
            erlen.render_template("nothing.html")
        assert caught.value.name == "nothing.html"
        with pytest.raises(jinja2.TemplatesNotFound) as caught:
            erlen.render_template(["nothing.html", "none.html"])
        assert caught.value.templates == ["nothing.html", "none.html"]


# Signals


def test_signals_of_rendering(app, sent):
    with app.app_context():
        erlen.render_template("plain.txt", value=1)
        erlen.render_template_string("{{ value }}", value=2)
        erlen.render_block("base.html", "foot", value=3)
    assert [(when, name, c["value"]) for when, name, c in sent] == [
        ("before", "plain.txt", 1),
        ("after", "plain.txt", 1),
        ("before", None, 2),
        ("after", None, 2),
        ("before", "base.html", 3),
        ("after", "base.html", 3),
    ]
    assert all("g" in context for _, _, context in sent)


def test_signals_of_streams_come_at_both_ends(app, sent):
    with app.test_request_context():
        stream = erlen.stream_template("plain.txt", value=1)
        assert [when for when, *_ in sent] == ["before"]
        assert next(stream) == "1"
        assert [when for when, *_ in sent] == ["before"]
        assert list(stream) == []
        assert [when for when, *_ in sent] == ["before", "after"]


def test_a_stream_that_is_left_was_not_rendered(app, sent):
    with app.test_request_context():
        stream = erlen.stream_template_string("{{ value }}{{ value }}", value="1")
        next(stream)
        stream.close()
    assert [when for when, *_ in sent] == ["before"]


def test_no_signal_without_receivers(app, monkeypatch):
    def send(*args, **values):
        raise AssertionError("sent")

    for signal in (signals.before_render_template, signals.template_rendered):
        monkeypatch.setattr(signal, "send", send)
    with app.app_context():
        assert erlen.render_template("plain.txt", value=1) == "1"


# Streams


def test_streams_keep_the_request(app):
    ended = []
    app.teardown_request(ended.append)
    with app.test_request_context("/path"):
        first = erlen.stream_template("names.html", value=1)
        second = erlen.stream_template_string("{{ request.path }}")
    assert not erlen.has_request_context()
    assert "".join(first).split() == ["1", "/path"]
    assert ended == []
    assert "".join(second) == "/path"
    assert ended == [None]


def test_streams_without_request(app):
    with app.app_context():
        assert list(erlen.stream_template("plain.txt", value=1)) == ["1"]


def test_a_view_streams_a_template(app, client):
    @app.get("/<value>")
    def show(value):
        return erlen.stream_template("names.html", value=value)

    assert client.get("/a").text.split() == ["a", "/a"]


def test_a_missing_template_is_seen_before_the_stream_starts(app):
    with app.app_context(), pytest.raises(jinja2.TemplateNotFound):
        erlen.stream_template("nothing.html")


# Blocks


@pytest.mark.parametrize(
    ("template", "block", "text"),
    [
        ("base.html", "title", "base"),
        ("base.html", "foot", "foot &lt;v&gt;"),
        ("middle.html", "title", "middle<base"),
        ("page.html", "title", "page<middle<base"),
        ("page.html", "foot", "foot &lt;v&gt;"),
        ("page.html", "inner", "inner page<middle<base"),
        ("page.html", "body", "<b>&lt;v&gt;</b>&amp;inner page<middle<base"),
        (["nothing.html", "base.html"], "title", "base"),
    ],
)
def test_render_block(app, template, block, text):
    with app.app_context():
        assert erlen.render_block(template, block, value="<v>") == text
    assert app.calls == []


def test_the_parent_may_be_chosen_by_an_argument(app):
    with app.app_context():
        title = erlen.render_block("page.html", "title", layout="base.html")
    assert title == "page<base"


def test_blocks_see_the_context_processors(app):
    app.context_processor(lambda: {"value": "processed"})
    with app.test_request_context():
        assert erlen.render_block("base.html", "foot") == "foot processed"


@pytest.mark.parametrize(
    ("template", "blocks"),
    [
        ("page.html", "body, foot, inner, title"),
        ("base.html", "body, foot, title"),
        ("empty.html", "none"),
    ],
)
def test_a_missing_block_names_those_there_are(app, template, blocks):
    message = rf"'{template}' has no block 'bodi'\..* similar first: {blocks}\.$"
    with app.app_context(), pytest.raises(LookupError, match=message):
        erlen.render_block(template, "bodi")


def test_an_error_in_a_block_shows_the_templates_line(app):
    with app.app_context(), pytest.raises(ZeroDivisionError) as caught:
        erlen.render_block("broken.html", "body")
    assert caught.traceback[-1].lineno == 1  # counted from 0


def test_an_error_above_a_block_is_raised(app):
    app.jinja_env.loader.mapping["top.html"] = "{{ 1 // 0 }}{% block a %}{% endblock %}"
    with app.app_context(), pytest.raises(ZeroDivisionError):
        erlen.render_block("top.html", "a")


def test_a_block_awaits_where_templates_can(app):
    async def value():
        return "<v>"

    env = app.jinja_env.overlay(enable_async=True)
    template = env.from_string("{% block a %}{{ value() }}{% endblock %}")
    with app.app_context():
        assert erlen.render_block(template, "a", value=value) == "&lt;v&gt;"


# Autoescape


MARKUP = ["html", "htm", "xml", "xhtml", "svg", "rss", "atom"]


@pytest.mark.parametrize("suffix", MARKUP)
@pytest.mark.parametrize("end", ["", ".j2", ".jinja", ".jinja2"])
def test_markup_is_escaped(suffix, end):
    for name in (f"a.{suffix}{end}", f"a/b.c.{suffix}{end}"):
        assert templating.select_autoescape(name) is True
        assert templating.select_autoescape(name.upper()) is True
        assert templating.select_autoescape(name.title()) is True


@pytest.mark.parametrize(
    ("name", "escaped"),
    [
        (None, True),
        ("page.j2", True),
        ("page.jinja", True),
        ("dir.d/page.JINJA2", True),
        ("mail.txt.j2", False),
        ("mail.txt.jinja2", False),
        ("query.sql.jinja", False),
        ("a.txt", False),
        ("a.json", False),
        ("a", False),
        ("html", False),
        ("a.html/b", False),
        ("a.html.txt", False),
        ("", False),
    ],
)
def test_other_names(name, escaped):
    assert templating.select_autoescape(name) is escaped


# Names


def test_jinjas_subclasses_are_reached_here():
    assert templating.Environment is _jinja.Environment
    assert templating.DispatchingJinjaLoader is _jinja.DispatchingJinjaLoader
    with pytest.raises(AttributeError, match=r"erlen\.templating.*'Nothing'"):
        templating.Nothing  # noqa: B018


def test_jinja_is_imported_with_the_first_template():
    code = (
        "import sys, erlen.templating; assert 'jinja2' not in sys.modules;"
        "erlen.templating.Environment; assert 'jinja2' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
