from __future__ import annotations

import gc
import weakref

import jinja2
import pytest

import erlen
from erlen import _jinja
from erlen.templating import DispatchingJinjaLoader
from erlen.templating import Environment


@pytest.fixture
def site(tmp_path):
    """Return an application and two blueprints, each with templates."""
    for folder, names in {
        "app": ["both.html", "app.html"],
        "first": ["both.html", "blueprints.html", "first.html"],
        "second": ["blueprints.html", "second.html"],
    }.items():
        (tmp_path / folder / "templates").mkdir(parents=True)
        for name in names:
            (tmp_path / folder / "templates" / name).write_text(f"{folder}'s")
    app = erlen.Erlen("site", root_path=str(tmp_path / "app"))
    for name in ("first", "second"):
        app.register_blueprint(
            erlen.Blueprint(
                name,
                "site",
                root_path=str(tmp_path / name),
                template_folder="templates",
            )
        )
    app.register_blueprint(erlen.Blueprint("bare", "site", root_path=str(tmp_path)))
    return app


@pytest.fixture(params=[False, True], ids=["plain", "explained"])
def explained(site, request):
    """Run a test with EXPLAIN_TEMPLATE_LOADING off and on."""
    site.config["EXPLAIN_TEMPLATE_LOADING"] = request.param
    return site


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("both.html", "app's"),
        ("app.html", "app's"),
        ("blueprints.html", "first's"),
        ("first.html", "first's"),
        ("second.html", "second's"),
    ],
)
def test_the_application_comes_first(explained, name, text):
    with explained.app_context():
        assert erlen.render_template(name) == text


def test_a_missing_template_names_the_places(explained, tmp_path):
    with explained.app_context(), pytest.raises(jinja2.TemplateNotFound) as caught:
        erlen.render_template("none.html")
    exc = caught.value
    assert type(exc) is jinja2.TemplateNotFound
    assert (exc.name, exc.args, exc.templates) == (
        "none.html",
        ("none.html",),
        ["none.html"],
    )
    assert str(exc).startswith("none.html was not found. Searched in: ")
    for folder in ("app", "first", "second"):
        assert str(tmp_path / folder / "templates") in str(exc)


def test_several_missing_templates_name_the_places(site, tmp_path):
    with site.app_context():
        with pytest.raises(jinja2.TemplatesNotFound) as caught:
            erlen.render_template(["none.html", "no.html"])
        assert str(caught.value).startswith("none of the templates given were found: ")
        assert str(tmp_path / "second" / "templates") in str(caught.value)
        with pytest.raises(
            jinja2.TemplatesNotFound, match=r"empty list of templates\.$"
        ):
            erlen.render_template([])


def test_a_missing_template_without_any_folder():
    app = erlen.Erlen("site", root_path="/", template_folder=None)
    message = "No template_folder is set"
    with app.app_context(), pytest.raises(jinja2.TemplateNotFound, match=message):
        erlen.render_template("none.html")


def test_a_loader_without_folders_is_named_by_its_class(site):
    site.jinja_loader = jinja2.DictLoader({"a": "A"})
    with site.app_context():
        assert erlen.render_template("a") == "A"
        with pytest.raises(jinja2.TemplateNotFound, match="Searched in: DictLoader, /"):
            erlen.render_template("none.html")


def test_an_own_loader_of_the_environment_keeps_its_words(site):
    site.jinja_options = {"loader": jinja2.DictLoader({"a": "A"})}
    with site.app_context():
        assert erlen.render_template("a") == "A"
        with pytest.raises(jinja2.TemplatesNotFound, match=r"found: b, c$"):
            erlen.render_template(["b", "c"])


def test_list_templates(site):
    assert site.jinja_env.list_templates() == [
        "app.html",
        "blueprints.html",
        "both.html",
        "first.html",
        "second.html",
    ]


# The environment


def test_the_environment_knows_its_application(site):
    env = site.jinja_env
    assert type(env) is Environment
    assert type(env.loader) is DispatchingJinjaLoader
    assert env.app is site
    assert env.loader.app is site
    assert env.overlay(trim_blocks=True).app is site


@pytest.mark.parametrize(
    ("setting", "debug", "reload"),
    [
        (None, False, False),
        (None, True, True),
        (True, False, True),
        (False, True, False),
    ],
)
def test_auto_reload(site, setting, debug, reload):
    site.debug = debug
    site.config["TEMPLATES_AUTO_RELOAD"] = setting
    assert site.jinja_env.auto_reload is reload


def test_options_of_the_application_win(site):
    site.jinja_options = {
        "autoescape": False,
        "auto_reload": True,
        "extensions": ["jinja2.ext.do"],
    }
    assert site.jinja_env.auto_reload is True
    with site.app_context():
        text = erlen.render_template_string("{% do [] %}{{ v }}", v="<a>")
    assert text == "<a>"


def test_a_class_of_the_application_wins():
    class Own(Environment):
        pass

    class Site(erlen.Erlen):
        jinja_environment = Own

        def select_jinja_autoescape(self, filename):
            return False

        def create_global_jinja_loader(self):
            return jinja2.DictLoader({"a.html": "{{ v }}"})

    site = Site("site", root_path="/")
    assert type(site.jinja_env) is Own
    with site.app_context():
        assert erlen.render_template("a.html", v="<a>") == "<a>"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ config.MARK }}", "config"),
        ("{{ request.path }} {{ g.mark }} {{ session.mark }}", "/path g s"),
        ("{{ url_for('item', number=7, page=2) }}", "/item/7?page=2"),
        ("{{ get_flashed_messages(with_categories=true) }}", "[('info', 'flash')]"),
        ("{{ {'a': '</script>'}|tojson }}", r'{"a": "\u003c/script\u003e"}'),
        ("{% for _ in range(2) %}x{% endfor %}", "xx"),
    ],
)
def test_globals(site, source, text):
    site.config["MARK"] = "config"
    site.secret_key = "key"
    site.add_url_rule("/item/<int:number>", "item")
    # Imported without context, a template has the globals only.
    site.jinja_loader = jinja2.DictLoader(
        {"m": f"{{% macro say() %}}{source}{{% endmacro %}}"}
    )
    with site.test_request_context("/path"):
        erlen.g.mark = "g"
        erlen.session["mark"] = "s"
        erlen.flash("flash", "info")
        assert erlen.get_template_attribute("m", "say")() == text


def test_tojson_follows_the_applications_provider(site):
    class Provider(type(site.json)):
        def dumps(self, obj, **kwargs):
            return super().dumps({"wrapped": obj}, **kwargs)

    site.json = Provider(site)
    with site.app_context():
        text = erlen.render_template_string("{{ 1|tojson }}")
    assert text == '{"wrapped": 1}'


def test_globals_follow_what_is_replaced_on_the_application(site, monkeypatch):
    env = site.jinja_env
    monkeypatch.setattr(site, "url_for", lambda *args, **values: "own")
    assert env.from_string("{{ url_for('a') }}").render() == "own"


# Lifetime


def test_no_cycle_keeps_a_dropped_application(tmp_path):
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "a.html").write_text("{{ url_for('index') }}")
    gc.collect()
    gc.disable()
    try:
        app = erlen.Erlen("site", root_path=str(tmp_path))
        app.add_url_rule("/", "index")
        with app.test_request_context():
            erlen.render_template("a.html")
            erlen.render_template_string("{{ [1]|tojson }}")
            with pytest.raises(LookupError):
                erlen.render_template("none.html")
        ref = weakref.ref(app)
        del app
        assert ref() is None
    finally:
        gc.enable()


def test_an_environment_without_its_application_says_so(tmp_path):
    env = erlen.Erlen("site", root_path=str(tmp_path)).jinja_env
    gc.collect()
    with pytest.raises(ReferenceError, match="Keep a reference to the application"):
        env.from_string("a")


def test_create_environment_makes_a_new_one(site):
    assert _jinja.create_environment(site) is not site.jinja_env
