"""The commands that show an application: `check`, `config` and `routes`."""

from __future__ import annotations

import datetime as dt
import json
import re
import sys
import textwrap

import click
import pytest
from click.testing import CliRunner

from erlen import Erlen
from erlen import current_app
from erlen import extension
from erlen.cli import ScriptInfo
from erlen.cli import cli
from erlen.cli import config_command
from erlen.cli import routes_command
from erlen.extension import REQUIRED
from erlen.extension import Problem

KEY = "3f5a0c9e7b1d8246e0f19a7c5d3b8e62"


@pytest.fixture
def app(tmp_path):
    """Return an application whose folder is empty."""
    app = Erlen("shop", root_path=str(tmp_path), instance_path=str(tmp_path / "var"))
    app.config["SECRET_KEY"] = KEY
    return app


def invoke(app, *args, **kwargs):
    return app.test_cli_runner().invoke(cli, args, prog_name="erlen", **kwargs)


def output(app, *args, code=0, **kwargs):
    result = invoke(app, *args, **kwargs)
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def streams(app, capsys):
    """Call a command and return what it wrote to its two streams."""

    def call(*args):
        # Older releases of click have one stream in their runner.
        info = ScriptInfo(create_app=lambda: app)
        with pytest.raises(SystemExit) as caught:
            cli.main(args, prog_name="erlen", obj=info)
        assert caught.value.code == 0
        return capsys.readouterr()

    return call


# check


def add(app, *levels):
    for i, level in enumerate(levels):
        problem = Problem(level, f"Problem {i} of {level}.", f"Cure {i}.")
        app.add_check(f"acme.{i}", lambda app, it=problem: it)


def test_no_problems(app):
    more = " Use '--deploy' to check for production, too."
    assert output(app, "check") == f"No problems found.{more}\n"
    app.config.update(
        *(),
        TRUSTED_HOSTS=["shop.example"],
        MAX_CONTENT_LENGTH=1,
        PROXY_HOPS=1,
        SESSION_COOKIE_NAME="__Host-session",
    )
    assert output(app, "check", "--deploy") == "No problems found.\n"


def test_problems(app):
    add(app, "info", "error", "info")
    assert output(app, "check", code=1) == textwrap.dedent("""\
        error: acme.1
            Problem 1 of error.
            Cure: Cure 1.

        info: acme.0
            Problem 0 of info.
            Cure: Cure 0.

        info: acme.2
            Problem 2 of info.
            Cure: Cure 2.

        1 error, 2 infos found. Use '--deploy' to check for production, too.
        """)


def test_lines_are_not_longer_than_a_terminal(app):
    text = "a-word " * 40 + "https://shop.example/a-long-address?" + "x" * 60
    app.add_check("acme.long", lambda app: Problem("info", text, text))
    lines = output(app, "check").splitlines()
    assert len(lines) > 8
    assert [it for it in lines if len(it) > 80] == [
        f"    https://shop.example/a-long-address?{'x' * 60}"
    ] * 2


def test_colours_of_problems(app):
    add(app, "info", "error", "warning")
    text = output(app, "check", color=True, code=1)
    for colour, level in ((31, "error"), (33, "warning"), (34, "info")):
        assert f"\x1b[{colour}m{level}: acme" in text


@pytest.mark.parametrize(
    ("levels", "args", "code"),
    [
        (["error"], [], 1),
        (["warning", "info"], [], 0),
        (["warning"], ["--fail-level", "error"], 0),
        (["warning"], ["--fail-level", "warning"], 1),
        (["error"], ["--fail-level", "warning"], 1),
        (["info"], ["--fail-level", "warning"], 0),
        (["info"], ["--fail-level", "info"], 1),
        (["warning"], ["--fail-level", "info"], 1),
        ([], ["--fail-level", "info"], 0),
        (["error", "error"], ["--silence", "acme.0"], 1),
        (["error", "error"], ["--silence", "acme.0", "--silence", "acme.1"], 0),
        ([], ["--fail-level", "none"], 2),
        ([], ["--format", "yaml"], 2),
    ],
)
def test_exit_codes(app, levels, args, code):
    add(app, *levels)
    output(app, "check", *args, code=code)
    if code < 2:
        output(app, "check", *args, "--format", "json", code=code)


def test_problems_as_json(app, streams):
    def check(app):
        sys.stdout.write("this is no JSON\n")
        click.echo("nor is this")
        return Problem("warning", "a", "b")

    app.add_check("acme", check)
    result = streams("check", "--format", "json")
    assert result.err == "this is no JSON\nnor is this\n"
    assert json.loads(result.out) == {
        "problems": [{"id": "acme", "level": "warning", "what": "a", "cure": "b"}],
        "counts": {"error": 0, "warning": 1, "info": 0},
    }


def test_variables_of_options(app):
    env = {"ERLEN_CHECK_FORMAT": "json", "ERLEN_CHECK_DEPLOY": "1"}
    assert "core.proxy-hops" in output(app, "check", env=env)
    assert json.loads(output(app, "check", env=env))


def test_checks_are_given_the_application_itself(app):
    seen = []
    app.add_check("acme", lambda it: seen.append(type(it)))
    output(app, "check")
    assert seen == [Erlen]


def test_problems_of_production(app):
    assert "core.trusted-hosts" not in output(app, "check")
    assert "core.trusted-hosts" in output(app, "check", "--deploy")


# config


def shown(app, *args):
    return json.loads(output(app, "config", *args, "--format", "json"))


def test_settings(app, monkeypatch):
    monkeypatch.setenv("SITE_MAX_FORM_PARTS", "7")
    app.config.from_prefixed_env("SITE")
    app.config["MAX_TEAS"] = 5
    assert (
        output(app, "config", "max_form_", "MAX_TEAS", "SECRET_KEY")
        == """\
MAX_FORM_MEMORY_SIZE = 500000
    int or None, from default. Bytes of a field that is no file.
MAX_FORM_PARTS = 7
    int or None, from environment SITE_MAX_FORM_PARTS. Fields and files of a
    multipart form.
MAX_TEAS = 5
    int, from code. Not declared.
SECRET_KEY = (hidden, 32 characters)
    str, bytes or None, from code. Key that signs sessions and tokens.
SECRET_KEY_FALLBACKS = None
    Iterable of str or bytes or None, from default. Old keys that still verify.
"""
    )


def test_settings_as_json(app):
    with app._owned_by("acme"):
        app.config.declare("MAIL_PORT", int, 25, "Port.")
        app.config.declare("MAIL_HOST", str, REQUIRED, "Host.")
    app.config["MAIL_DAYS"] = dt.timedelta(days=1)
    assert shown(app, "MAIL") == {
        "MAIL_DAYS": {
            "value": "datetime.timedelta(days=1)",
            "origin": "code",
            "type": "timedelta",
            "doc": "Not declared.",
            "owner": None,
        },
        "MAIL_HOST": {
            "value": "(not set)",
            "origin": None,
            "type": "str",
            "doc": "Host.",
            "owner": "acme",
        },
        "MAIL_PORT": {
            "value": 25,
            "origin": "default",
            "type": "int",
            "doc": "Port.",
            "owner": "acme",
        },
    }


def test_all_settings(app):
    app.config.update({"lower": 1, 5: 6})
    assert [*shown(app)] == sorted(app.config.settings)


def test_changed_settings(app):
    app.config.update(TESTING=True, TEAS=7, MAX_FORM_PARTS=1000)
    assert {*shown(app, "--changed")} - {"DEBUG"} == {"SECRET_KEY", "TEAS", "TESTING"}


def test_no_settings(app):
    assert output(app, "config", "COFFEE") == "There are no such settings.\n"
    assert shown(app, "COFFEE") == {}


class Account:
    def __repr__(self):
        return "Account(password='s3cret 1', url='x://s3cret@host')"


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("MAIL_PASSWORD", "s3cret", "(hidden, 6 characters)"),
        ("STRIPE_API_KEY", b"s3cret", "(hidden, 6 characters)"),
        ("MAIL_PASSWORD", None, "None"),
        ("MAIL_PASSWORD", ["s3cret"], "(hidden, of type list)"),
        ("AUTH_TOKEN", 53, "(hidden, of type int)"),
        ("TOKENS", False, "False"),
        ("KEYS", 1.5, "1.5"),
        ("DB", "db://u:s3cret@host/x", "'db://(hidden)@host/x'"),
        ("DBS", ("x://s3cret@h", 1), "['x://(hidden)@h', 1]"),
        (
            "MAIL",
            {"password": "s3cret", "to": {"url": "x://s3cret@h"}, 1: 2},
            "{'password': (hidden, 6 characters), 'to': {'url': 'x://(hidden)@h'}, '1': 2}",
        ),
        (
            "ACCOUNT",
            Account(),
            "Account(password=(hidden), url='x://(hidden)@host')",
        ),
    ],
)
def test_secrets_are_hidden(app, key, value, text):
    app.config[key] = value
    both = output(app, "config", key)
    assert " ".join(both.split()).startswith(f"{key} = {text} ")
    both += output(app, "config", key, "--format", "json")
    assert "s3cret" not in both
    assert "53" not in both


def test_declared_secrets_are_hidden(app):
    app.config.declare("MAIL_PIN", str | None, None, "Pin.", secret=True)
    assert shown(app, "MAIL_PIN")["MAIL_PIN"]["value"] is None
    app.config["MAIL_PIN"] = "1234567"
    assert shown(app, "MAIL_PIN")["MAIL_PIN"]["value"] == "(hidden, 7 characters)"


def test_commands_work_outside_of_the_group(app):
    with app.app_context():
        assert "SECRET_KEY" in CliRunner().invoke(config_command).output
        assert "/static/" in CliRunner().invoke(routes_command).output


# routes


@pytest.fixture
def routes(app):
    """Call `routes` on the application and return the rows of the table."""

    def routes(*args, **options):
        lines = output(options.get("app", app), "routes", *args).splitlines()
        return [re.split("  +", line) for line in lines]

    return routes


def fill(app, **options):
    app.add_url_rule("/z", "b", methods=["POST", "GET"])
    app.add_url_rule("/y/<int:id>", "c", methods=["DELETE"], **options)
    app.add_url_rule("/x", "a")


def test_routes(app, routes):
    fill(app)
    assert routes() == [
        ["Endpoint", "Methods", "Rule"],
        ["--------", "---------", "-----------------------"],
        ["a", "GET", "/x"],
        ["b", "GET, POST", "/z"],
        ["c", "DELETE", "/y/<int:id>"],
        ["static", "GET", "/static/<path:filename>"],
    ]


def test_all_methods(app, routes):
    fill(app)
    methods = [row[1] for row in routes("--all-methods")[2:]]
    assert methods == [
        "GET, HEAD, OPTIONS",
        "GET, HEAD, OPTIONS, POST",
        "DELETE, OPTIONS",
        "GET, HEAD, OPTIONS",
    ]


@pytest.mark.parametrize(
    ("sort", "endpoints"),
    [
        ("endpoint", "a b c static"),
        ("methods", "c static a b"),
        ("domain", "static b a c"),
        ("rule", "static a c b"),
        ("match", "static b c a"),
    ],
)
def test_order_of_routes(app, routes, sort, endpoints):
    fill(app, subdomain="api")
    for option in ("-s", "--sort"):
        rows = routes(option, sort)
        assert " ".join(row[0] for row in rows[2:]) == endpoints


def test_unknown_order_of_routes(app):
    assert "'size' is not one of" in invoke(app, "routes", "-s", "size").output


def test_subdomains_of_routes(app, routes):
    fill(app, subdomain="api")
    rows = routes()
    assert rows[0] == ["Endpoint", "Methods", "Subdomain", "Rule"]
    assert rows[4] == ["c", "DELETE", "api", "/y/<int:id>"]


def test_hosts_of_routes(routes):
    app = Erlen("hosts", root_path=".", static_folder=None, host_matching=True)
    fill(app, host="api.test")
    rows = routes(app=app)
    assert rows[0] == ["Endpoint", "Methods", "Host", "Rule"]
    assert rows[4] == ["c", "DELETE", "api.test", "/y/<int:id>"]


def test_no_routes(routes):
    app = Erlen("none", root_path=".", static_folder=None)
    assert routes(app=app) == [["No routes were registered."]]


def test_colours_of_routes(app):
    assert "\x1b[1mEndpoint" in output(app, "routes", color=True)


def test_added_columns(app):
    fill(app, subdomain="api")
    app.add_url_rule("/w", "d", lambda: "")
    app.add_route_column("View", lambda rule, view: view and type(view).__name__)
    app.add_route_column("App", lambda rule, view: current_app.name)
    app.add_route_column("Size", lambda rule, view: len(rule.rule))
    text = output(app, "routes")
    assert (
        text
        == """\
Endpoint  Methods    Subdomain  View      App   Size  Rule
--------  ---------  ---------  --------  ----  ----  -----------------------
a         GET                             shop  2     /x
b         GET, POST                       shop  2     /z
c         DELETE     api                  shop  11    /y/<int:id>
d         GET                   function  shop  2     /w
static    GET                   function  shop  23    /static/<path:filename>
"""
    )


def test_a_column_may_have_the_title_of_another(app, routes):
    app.add_route_column("Endpoint", lambda rule, view: "mine")
    assert routes()[2] == ["static", "GET", "mine", "/static/<path:filename>"]


def test_a_column_that_raises(app, streams):
    fill(app)

    def column(rule, view):
        if rule.rule != "/x":
            raise LookupError(f"no {rule.endpoint}")
        return "fine"

    app.add_route_column("Column", column)
    result = streams("routes")
    assert [line.split()[-2] for line in result.out.splitlines()[2:]] == [
        "fine",
        *["LookupError"] * 3,
    ]
    assert result.err == "The column 'Column' raised LookupError for '/z': no b\n"


def mounted(environ, start_response):
    raise NotImplementedError


def test_mounts(app, routes):
    app.mount("/admin", Erlen("admin", root_path="."))
    app.mount("/old/", mounted)
    assert routes()[3:] == [
        [""],
        ["Mounted at", "Application"],
        ["----------", "---------------"],
        ["/admin", "<Erlen 'admin'>"],
        ["/old", "mounted"],
    ]


def test_mounts_without_routes():
    app = Erlen("none", root_path=".", static_folder=None)
    app.mount("/old", mounted)
    assert output(app, "routes").startswith("No routes were registered.\n\nMounted at")


@pytest.mark.parametrize("format", ["text", "json"])
@pytest.mark.parametrize("broken", ["settings", "contract"])
def test_check_shows_what_keeps_an_application_from_starting(broken, format):
    def create_app():
        app = Erlen("shop")
        app.config.update(SHOP_PORT="many", SHOP_HOST=7)
        contract = extension.CONTRACT if broken == "settings" else "99.0"
        with extension.setup(app, "shop", None, contract=contract):
            app.config.declare("SHOP_PORT", int, 1, "The port.")
            app.config.declare("SHOP_HOST", str, "", "The host.")
        return app

    info = ScriptInfo(create_app=create_app)
    args = ["check", "--format", format]
    result = CliRunner().invoke(cli, args, obj=info)

    words = ["SHOP_PORT", "SHOP_HOST"] if broken == "settings" else ["99.0"]
    assert result.exit_code == 1
    assert [word for word in words if word not in result.stdout] == []
    if format == "json":
        found = json.loads(result.stdout)
        assert found["counts"]["error"] == len(words)
        assert {it["id"] for it in found["problems"]} == {"core.settings"}


def test_check_leaves_other_errors_of_an_application_alone():
    def create_app():
        raise LookupError("of the user")

    result = CliRunner().invoke(cli, ["check"], obj=ScriptInfo(create_app=create_app))
    assert result.exit_code == 1
    assert "LookupError: of the user" in result.output
