"""The checks of an application's set-up: how they run, and what the core's find."""

from __future__ import annotations

import itertools
import random
import warnings

import pytest
from jinja2 import DictLoader
from jinja2 import FunctionLoader

from erlen import Blueprint
from erlen import Erlen
from erlen import current_app
from erlen._checks import Health
from erlen._checks import Problem
from erlen._checks import check_health
from erlen._checks import hide_passwords
from erlen._checks import run_checks

KEY = "3f5a0c9e7b1d8246e0f19a7c5d3b8e62"  # as of `secrets.token_hex(16)`


@pytest.fixture
def sound(tmp_path):
    """Return an application that no check finds anything about."""
    app = Erlen("sound", root_path=str(tmp_path), instance_path=str(tmp_path / "var"))
    app.config.update(
        SECRET_KEY=KEY,
        TRUSTED_HOSTS=[".shop.example"],
        MAX_CONTENT_LENGTH=1000,
        PROXY_HOPS=1,
        SESSION_COOKIE_NAME="__Host-session",
    )
    return app


def found(app, **kwargs):
    """Return the level and the id of each problem."""
    return [(it.level, it.id) for it in run_checks(app, **kwargs)]


def whats(app, id):
    return [it.what for it in run_checks(app, deploy=True) if it.id == id]


# How they run

INFO = Problem("info", "a", "b")
WARNING = Problem("warning", "a", "b")
ERROR = Problem("error", "a", "b")


def later(app):
    yield INFO
    yield ERROR


async def asynchronous(app):
    return WARNING


@pytest.mark.parametrize(
    ("function", "levels"),
    [
        (lambda app: None, []),
        (lambda app: [], []),
        (lambda app: INFO, ["info"]),
        (lambda app: [INFO, WARNING], ["warning", "info"]),
        (lambda app: (WARNING, None), ["warning"]),
        (later, ["error", "info"]),
    ],
)
def test_what_a_check_gives(sound, function, levels):
    sound.add_check("own", function)
    assert found(sound) == [(level, "own") for level in levels]


@pytest.mark.parametrize("function", [asynchronous, lambda app: asynchronous(app)])
def test_a_check_may_be_async(sound, function):
    pytest.importorskip("asgiref")
    sound.add_check("own", function)
    assert found(sound) == [("warning", "own")]


def test_checks_run_inside_the_context_of_the_application(sound):
    seen = []
    sound.add_check("own", lambda app: seen.append(current_app.name))
    sound.add_check("app", lambda app: seen.append(app is sound))
    assert found(sound) == []
    assert seen == ["sound", True]


def test_the_gravest_come_first_and_then_the_first_registered(sound):
    sound.config["MAX_CONTENT_LENGTH"] = None
    for id, problem in zip(
        "abcdef", (INFO, WARNING, ERROR, INFO, WARNING, ERROR), strict=True
    ):
        sound.add_check(id, lambda app, it=problem: it)
    assert [id for _, id in found(sound, deploy=True)] == [
        *("c", "f"),
        *("core.max-content-length", "b", "e"),
        *("a", "d"),
    ]


def test_a_check_for_production_is_not_run_for_development(sound):
    sound.add_check("own", lambda app: INFO, deploy=True)
    assert found(sound) == []
    assert found(sound, deploy=True) == [("info", "own")]


def fails_later(app):
    yield INFO
    raise LookupError("no such thing")


def fails_at_once(app):
    raise SystemExit(3)


@pytest.mark.parametrize(
    ("function", "before", "words"),
    [
        (fails_later, [("info", "own")], "LookupError: no such thing"),
        (fails_at_once, [], "SystemExit: 3"),
        (lambda app: Problem("fatal", "a", "b"), [], "ValueError: 'fatal' is no level"),
        (lambda app: True, [], "TypeError: it gives 'bool', not Problems"),
        (lambda app: "text", [], "TypeError: it gives 'str', not Problems"),
        (lambda app: [INFO, 5], [("info", "own")], "TypeError: it gives 'int'"),
    ],
)
def test_a_check_that_fails_does_not_hide_others(sound, function, before, words):
    with sound._owned_by("acme"):
        sound.add_check("own", function)
    sound.add_check("other", lambda app: ERROR)
    problems = run_checks(sound)
    assert [(it.level, it.id) for it in problems] == [
        ("error", "own"),
        ("error", "other"),
        *before,
    ]
    assert problems[0].what.startswith(f"The check 'own' of 'acme' failed: {words}")
    assert 'SILENCED_CHECKS = ["own"]' in problems[0].cure


def test_the_user_may_stop_the_checks(sound):
    def stop(app):
        raise KeyboardInterrupt

    sound.add_check("own", stop)
    with pytest.raises(KeyboardInterrupt):
        run_checks(sound)


@pytest.mark.parametrize(
    ("silenced", "silence", "left"),
    [
        (["one"], (), ["two"]),
        ("one", (), ["two"]),
        ((), ["one"], ["two"]),
        ({"two"}, ["one"], []),
        (None, (), ["one", "two"]),
        (5, ["two"], ["one"]),
    ],
)
def test_silencing(sound, silenced, silence, left):
    sound.config["SILENCED_CHECKS"] = silenced
    sound.add_check("one", lambda app: INFO)
    sound.add_check("two", lambda app: INFO)
    problems = run_checks(sound, silence=silence)
    assert [it.id for it in problems if "core." not in it.id] == left


def test_a_silenced_check_is_not_run(sound):
    sound.add_check("own", fails_at_once)
    assert found(sound, silence=["own"]) == []


def test_silencing_what_there_is_not(sound):
    sound.config["SILENCED_CHECKS"] = ["core.debug", "core.debgu"]
    sound.add_check("acme.mail", lambda app: None)
    first, second = run_checks(sound, silence=["acme-mail"])
    assert (first.level, first.id) == ("warning", "core.silenced-checks")
    assert first.what == "'acme-mail' is to be silenced, and no check has this id."
    assert first.cure.endswith("write 'acme.mail'.")
    assert second.cure.endswith("write 'core.debug'.")


def test_silencing_what_is_like_nothing(sound):
    (problem,) = run_checks(sound, silence=["xyz"])
    assert problem.cure == "Take it out of SILENCED_CHECKS or --silence."


def test_there_is_no_other_level():
    with pytest.raises(
        ValueError, match=r"'fatal' is no level of a Problem: \('error'"
    ):
        Problem("fatal", "a", "b")


# Health


def broken():
    raise ConnectionError("no way to redis://me:pw@cache/0")


def test_health(app):
    calls = []
    app.add_health("mail", lambda: calls.append(current_app.name))
    app.add_health("cache", broken)
    app.add_health("rest", lambda: fails_at_once(app))
    app.add_health("last", lambda: None)
    answers = check_health(app)
    assert [*answers] == ["mail", "cache", "rest", "last"]
    assert calls == [app.name]
    seconds = answers["cache"].seconds
    assert 0 <= seconds < 60
    error = "ConnectionError: no way to redis://(hidden)@cache/0"
    assert answers["cache"] == Health("cache", ok=False, error=error, seconds=seconds)
    assert [it.ok for it in answers.values()] == [True, False, False, True]
    assert [it.error is None for it in answers.values()] == [True, False, False, True]


def test_health_without_functions(app):
    assert check_health(app) == {}


async def broken_later():
    broken()


@pytest.mark.parametrize("function", [broken_later, lambda: broken_later()])
def test_health_may_be_async(app, function):
    pytest.importorskip("asgiref")
    app.add_health("cache", function)
    assert not check_health(app)["cache"].ok


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://host/0", "redis://host/0"),
        ("no redis://:p@w/d@host/0 here", "no redis://(hidden)@host/0 here"),
        ("host=a password=b user=c", "host=a password=(hidden) user=c"),
        ("Url(Password='a b', port=1)", "Url(Password=(hidden), port=1)"),
    ],
)
def test_passwords_are_hidden(text, shown):
    assert hide_passwords(text) == shown


# The core's own


def test_a_sound_application_has_no_problems(sound):
    assert run_checks(sound) == []
    assert run_checks(sound, deploy=True) == []


def test_the_defaults_have_no_problems_in_development(tmp_path):
    assert run_checks(Erlen("plain", root_path=str(tmp_path))) == []


@pytest.mark.parametrize(
    ("key", "value", "level"),
    [
        ("DEBUG", True, "error"),
        ("DEBUG", 1, "error"),
        ("TESTING", True, "error"),
        ("TRUSTED_HOSTS", None, "warning"),
        ("TRUSTED_HOSTS", [], "warning"),
        ("TRUSTED_HOSTS", "", "warning"),
        ("MAX_CONTENT_LENGTH", None, "warning"),
        ("SESSION_COOKIE_HTTPONLY", False, "warning"),
        ("SESSION_COOKIE_SAMESITE", None, "warning"),
        ("SESSION_COOKIE_SAMESITE", "none", "warning"),
        ("SESSION_COOKIE_NAME", "session", "info"),
        ("SESSION_STORE", "memory://", "warning"),
        ("PROXY_HOPS", 0, "info"),
    ],
)
def test_settings_that_are_not_for_production(sound, key, value, level):
    sound.config[key] = value
    assert run_checks(sound) == []
    (problem,) = run_checks(sound, deploy=True)
    id = f"core.{key.lower().replace('_', '-')}"
    assert (problem.level, problem.id) == (level, id)
    assert problem.what.startswith(f"{key} is {value!r}: ")
    assert problem.cure.startswith(f"{key} = ")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("TRUSTED_HOSTS", "shop.example"),
        ("SESSION_COOKIE_SAMESITE", "Strict"),
        ("SESSION_COOKIE_DOMAIN", False),
        ("SESSION_STORE", "redis://localhost"),
        ("PROXY_HOPS", {"for": 1}),
    ],
)
def test_settings_for_production(sound, key, value):
    if key == "SESSION_STORE":
        pytest.importorskip("redis")
    sound.config[key] = value
    assert run_checks(sound, deploy=True) == []


@pytest.mark.parametrize(
    ("config", "ids"),
    [
        ({"SESSION_COOKIE_SECURE": False}, {"-secure"}),
        ({"SESSION_COOKIE_SECURE": 0}, {"-secure"}),
        ({"SESSION_COOKIE_DOMAIN": "shop.example"}, {"-domain"}),
    ],
)
def test_cookies_that_are_not_for_production(sound, config, ids):
    sound.config.update(config, SESSION_COOKIE_NAME="session")
    assert run_checks(sound) == []
    expected = {f"core.session-cookie{id}" for id in (*ids, "-name")}
    assert {id for _, id in found(sound, deploy=True)} == expected


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"SESSION_COOKIE_SECURE": False}, ["SECURE"]),
        ({"NAME": "__Secure-x", "SECURE": 0}, ["SECURE"]),
        ({"NAME": "x", "SECURE": False, "SAMESITE": "none"}, ["SECURE"]),
        ({"NAME": "x", "SECURE": False, "PARTITIONED": True}, ["SECURE"]),
        ({"NAME": "x", "SECURE": False}, []),
        ({"NAME": "x", "SAMESITE": "None"}, []),
        ({"DOMAIN": "shop.example"}, ["__Host-"]),
        ({"PATH": "/shop"}, ["__Host-"]),
        ({"NAME": "__Secure-x", "PATH": "/shop"}, []),
        ({"DOMAIN": "shop.example", "SECURE": False}, ["SECURE", "__Host-"]),
    ],
)
def test_session_cookies_that_browsers_refuse(sound, config, words):
    for name, value in config.items():
        sound.config[f"SESSION_COOKIE_{name.removeprefix('SESSION_COOKIE_')}"] = value
    problems = run_checks(sound)
    assert [it.id for it in problems] == ["core.session-cookie"] * len(words)
    assert [it.level for it in problems] == ["error"] * len(words)
    assert all(word in it.what for word, it in itertools.zip_longest(words, problems))


def test_the_root_is_the_path_of_the_session_cookie(sound):
    sound.config["APPLICATION_ROOT"] = "/shop"
    assert found(sound) == [("error", "core.session-cookie")]
    sound.config["SESSION_COOKIE_PATH"] = "/"
    assert found(sound) == []


# The secret key

WEAK = {
    "is not set": [None, "", b""],
    "looks like the key of an example": [
        *(
            "dev",
            b"dev",
            "Dev",
            "secret",
            "change-me",
            "changeme",
            "you-will-never-guess",
        ),
        b'_5#y2L"F4Q8z\n\xec]/',
        r'_5#y2L"F4Q8z\n\xec]/',
        "192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf",
        r"A0Zr98j/3yX R~XHH!jmN]LWX/,?RT",
        "\2\1thisismyscretkey\1\2\\e\\y\\y\\h",
        "thisismyscretkey",
        "CHANGE_ME_TO_A_COMPLEX_RANDOM_STRING_OF_TEXT",
        "my super secret key that nobody ever thinks of",
        "django-insecure-0123456789abcdefghijklmnopqrstuvw",
    ],
    "is shorter than 32": ["correct horse battery", KEY[1:], bytes(range(31))],
    "repeats itself": ["a" * 64, "abcdefgh" * 8, "ab" * 31 + "cdefg", b"\0" * 32],
}


@pytest.mark.parametrize(
    ("reason", "key"), [(reason, key) for reason, keys in WEAK.items() for key in keys]
)
def test_weak_secret_keys(sound, reason, key):
    sound.config["SECRET_KEY"] = key
    assert run_checks(sound) == []
    (problem,) = run_checks(sound, deploy=True)
    assert (problem.level, problem.id) == ("error", "core.secret-key")
    assert problem.what.startswith(f"SECRET_KEY {reason}")
    assert "erlen secret" in problem.cure
    assert not key or len(key) < 7 or str(key) not in repr(problem)


def test_strong_secret_keys(sound):
    source = random.Random(1)
    for size in (16, 24, 32, 64):
        for key in (source.randbytes(size).hex(), source.randbytes(2 * size)):
            sound.config["SECRET_KEY"] = key
            assert run_checks(sound, deploy=True) == []


def test_fallback_keys_are_keys(sound):
    sound.config["SECRET_KEY_FALLBACKS"] = [KEY[::-1], "dev", ""]
    first, second = run_checks(sound, deploy=True)
    assert first.what.startswith("SECRET_KEY_FALLBACKS[1] looks like")
    assert second.what.startswith("SECRET_KEY_FALLBACKS[2] is not set")


def test_a_string_of_fallback_keys_is_one_problem(sound):
    sound.config["SECRET_KEY_FALLBACKS"] = "ab7 a key"
    (problem,) = run_checks(sound, deploy=True)
    assert problem.id == "core.settings"
    assert problem.what.startswith("SECRET_KEY_FALLBACKS (")
    assert "ab7" not in repr(problem)


# Hosts, settings


@pytest.mark.parametrize(
    ("hosts", "bad"),
    [
        ([".com", "shop.example", ".co.uk"], [".com", ".co.uk"]),
        ([".GitHub.io"], [".GitHub.io"]),
        ([".herokuapp.com", "shop.herokuapp.com"], [".herokuapp.com"]),
        (["."], ["."]),
        (".com", [".com"]),
        ([".localhost", ".local", "com", "localhost"], []),
    ],
)
def test_trusted_hosts_that_are_everybodys(sound, hosts, bad):
    sound.config["TRUSTED_HOSTS"] = hosts
    problems = run_checks(sound)
    assert [it.id for it in problems] == ["core.trusted-host-names"] * len(bad)
    for host, problem in zip(bad, problems, strict=True):
        assert problem.level == "error"
        assert problem.what.startswith(f"TRUSTED_HOSTS has {host!r}")


def test_the_scheme_matters_with_a_server_name(sound):
    assert run_checks(sound, deploy=True) == []
    sound.config["SERVER_NAME"] = "shop.example"
    assert found(sound, deploy=True) == [("info", "core.preferred-url-scheme")]
    sound.config["PREFERRED_URL_SCHEME"] = "https"
    assert run_checks(sound, deploy=True) == []


def test_settings_of_a_wrong_type(sound):
    sound.config.declare("MAIL_PORT", int, 25, "Port of the mail server.")
    sound.config.update(TESTING="maybe", MAIL_PORT="many", MAIL_PROT=1, PROXY_HOPS=-1)
    problems = run_checks(sound)
    assert {it.id for it in problems} == {"core.settings"}
    *errors, warning = problems
    names = [it.what.partition(" ")[0] for it in errors]
    assert sorted(names) == ["MAIL_PORT", "PROXY_HOPS", "TESTING"]
    assert {it.level for it in errors} == {"error"}
    assert warning.level == "warning"
    assert warning.what == "Nobody declares the setting MAIL_PROT; there is MAIL_PORT."


@pytest.mark.parametrize(
    ("store", "timeout", "words"),
    [
        ("redsi://ada:1234@localhost", 1, "SESSION_STORE has the scheme 'redsi'"),
        ("redis://ada:12:34@localhost:x", 1, "SESSION_STORE is no URL of Redis"),
        (1234, 1, "SESSION_STORE is of type 'int'"),
        ("redis://ada:1234@localhost", 0, "SESSION_STORE_TIMEOUT is 0"),
        ("redis://ada:1234@localhost", "1234", "SESSION_STORE_TIMEOUT ("),
    ],
)
def test_a_session_store_that_cannot_be_opened(sound, store, timeout, words):
    if str(store).startswith("redis:"):
        pytest.importorskip("redis")
    sound.config.update(SESSION_STORE=store, SESSION_STORE_TIMEOUT=timeout)
    (problem,) = run_checks(sound)
    assert (problem.level, problem.id) == ("error", "core.settings")
    assert problem.what.startswith(words)
    assert "ada" not in problem.what


def test_a_setting_of_a_wrong_type_keeps_its_password(sound):
    sound.config.declare("MAIL_URL", str, "", "Address of the mail server.")
    sound.config["MAIL_URL"] = ["smtp://ada:1234@mail.example"]
    (what,) = whats(sound, "core.settings")
    assert "smtp://(hidden)@mail.example" in what


def test_a_misspelt_setting_is_a_problem_and_no_warning(sound):
    sound.config["MAX_FORM_PARST"] = 1
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        assert found(sound) == [("warning", "core.settings")]
    assert warned == []


def test_checking_changes_no_setting(sound, monkeypatch):
    monkeypatch.setenv("SITE_MAIL_PIN", "1234")
    sound.config.from_prefixed_env("SITE")
    with sound._owned_by("acme"):  # whose settings are converted later
        sound.config.declare("MAIL_PIN", str, "", "Pin of the mail server.")
    assert run_checks(sound) == []
    assert sound.config["MAIL_PIN"] == 1234
    assert sound.config.origin("MAIL_PIN") == "environment SITE_MAIL_PIN"
    sound.config.validate()
    assert sound.config["MAIL_PIN"] == "1234"


@pytest.mark.parametrize("hops", [-1, {"four": 1}, {}, {"for": "1"}])
def test_proxy_hops_that_are_none(sound, hops):
    sound.config["PROXY_HOPS"] = hops
    assert ("error", "core.settings") in found(sound)


# Files


def test_static_folders_that_are_missing(sound, tmp_path):
    sound.register_blueprint(Blueprint("a", "a", root_path="/", static_folder=None))
    sound.register_blueprint(
        Blueprint("b", "b", root_path=str(tmp_path), static_folder="static")
    )
    problem = f"The static folder of the blueprint 'b' is not there: {tmp_path}/static"
    assert whats(sound, "core.static-files") == [problem]
    sound.static_folder = "files"
    assert whats(sound, "core.static-files") == [
        f"The static folder of the application is not there: {tmp_path}/files",
        problem,
    ]
    assert {level for level, _ in found(sound)} == {"warning"}
    (tmp_path / "static").mkdir()
    (tmp_path / "files").mkdir()
    assert run_checks(sound) == []


def test_files_that_are_private(sound, tmp_path):
    folder = tmp_path / "static"
    (folder / "js/.git/objects").mkdir(parents=True)
    for name in ("a.py", ".env", ".env.local", "js/shop.sqlite", "js/site.js", "env"):
        (folder / name).touch()
    (problem,) = run_checks(sound)
    assert (problem.level, problem.id) == ("error", "core.static-files")
    assert problem.what.endswith(
        "private: .env, .env.local, a.py, js/.git, js/shop.sqlite"
    )
    assert problem.cure == f"Move them out of {folder}"


def test_many_files_are_counted(sound, tmp_path):
    (tmp_path / "static").mkdir()
    for i in range(13):
        (tmp_path / f"static/{i:02}.pem").touch()
    (what,) = whats(sound, "core.static-files")
    assert what.endswith(" 08.pem, 09.pem and 3 more")


def test_the_instance_folder_is_not_for_everybody(tmp_path):
    (tmp_path / "static").mkdir()
    for name, ids in (("static/var", ["core.static-files"]), ("static-var", [])):
        app = Erlen("x", root_path=str(tmp_path), instance_path=str(tmp_path / name))
        assert [it.id for it in run_checks(app)] == ids


# Templates


def blueprint(folder, name, *templates, at=None):
    place = folder / (at or name)
    place.mkdir(exist_ok=True)
    for template in templates:
        (place / template).touch()
    return Blueprint(name, name, root_path=str(folder), template_folder=at or name)


def test_templates_of_the_same_name(sound, tmp_path):
    for name, *templates in (
        ("a", "one.html", "two.html", "a.html"),
        ("b", "two.html", "one.html", "b.html"),
        ("c", "two.html", "b.html"),
    ):
        sound.register_blueprint(blueprint(tmp_path, name, *templates))
    assert found(sound) == [("warning", "core.templates")] * 3
    start = "Templates of the blueprint"
    assert whats(sound, "core.templates") == [
        f"{start} 'b' are hidden by those of the blueprint 'a': one.html, two.html",
        f"{start} 'c' are hidden by those of the blueprint 'b': b.html",
        f"{start} 'c' are hidden by those of the blueprint 'a': two.html",
    ]


def test_templates_that_the_application_replaces(sound, tmp_path):
    blueprint(tmp_path, "templates", "one.html", "two.html")
    sound.register_blueprint(blueprint(tmp_path, "a", "one.html", "three.html"))
    assert found(sound) == [("info", "core.templates")]
    (what,) = whats(sound, "core.templates")
    assert what.endswith("'a' are replaced by those of the application: one.html")


def test_the_same_folder_twice_hides_nothing(sound, tmp_path):
    first = blueprint(tmp_path, "a", "one.html")
    sound.register_blueprint(first)
    sound.register_blueprint(first, name="again")
    sound.register_blueprint(blueprint(tmp_path, "b", at="a"))
    assert run_checks(sound) == []


def test_loaders_of_other_kinds(sound):
    sound.jinja_loader = None
    for name, loader in (
        ("a", DictLoader({"one.html": ""})),
        ("b", FunctionLoader(lambda name: "")),
        ("c", DictLoader({"one.html": ""})),
    ):
        there = Blueprint(name, name, root_path="/")
        there.jinja_loader = loader
        sound.register_blueprint(there)
    (what,) = whats(sound, "core.templates")
    assert what.endswith("'c' are hidden by those of the blueprint 'a': one.html")


# Mounts


def test_rules_below_a_mount(sound):
    for rule in ("/shop", "/shop/<int:id>", "/shopping", "/<name>", "/api/v1"):
        sound.add_url_rule(rule, rule[1:], lambda **values: "")
    sound.mount("/shop", Erlen("shop", root_path="."))
    sound.mount("/admin", Erlen("admin", root_path="."))
    sound.mount("/api/v2", Erlen("api", root_path="."))
    assert found(sound) == [("warning", "core.mounts")]
    assert whats(sound, "core.mounts") == [
        "What is mounted at '/shop' answers instead of the rules /shop, /shop/<int:id>"
    ]
