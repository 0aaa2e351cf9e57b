"""The contract of extensions, seen by one that uses every part of it."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from dataclasses import field
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import click
import itsdangerous
import pytest
from benchmarks import trace
from benchmarks.scenarios import Answer
from benchmarks.scenarios import Exchange

import erlen
from erlen import Erlen
from erlen import extension
from erlen.cli import cli
from erlen.session_stores import MemorySessionStore

NAME = "acme-mail"


@dataclass
class Limits:
    per_hour: Annotated[int, "Letters that are sent in an hour."] = 100
    pause: Annotated[timedelta, "Time between two letters."] = timedelta(seconds=1)
    token: Annotated[str, "What the server wants to see."] = field(
        default="", repr=False
    )


class AcmeMail:
    """An extension that is thrown away: it uses every part of the contract."""

    def __init__(self, app=None, outbox=None, views=None):
        self.outbox = outbox
        self.views = views
        self.heard = []
        self.down = None
        if app is not None:
            self.init_app(app)

    def init_app(self, app):
        with extension.setup(app, NAME, self, contract="1.0"):
            config = app.config
            config.declare("MAIL_SERVER", str, extension.REQUIRED, "The host's name.")
            config.declare("MAIL_PORT", int, 25, "The host's port.")
            config.declare("MAIL_PASSWORD", str | None, None, "Of us.", secret=True)
            self.limits = config.bind(Limits, prefix="MAIL_")
            self.signer = app.signer("acme-mail.unsubscribe", timedelta(days=7))
            app.add_check("acme-mail.server", self.check_server)
            app.add_check("acme-mail.password", self.check_password, deploy=True)
            app.add_health("mail", self.ping)
            app.add_route_column("Mail", lambda rule, view: getattr(view, "mail", ""))
            app.cli.command("mail")(lambda: click.echo("no letters"))
            if self.outbox is not None:
                app.mount("/outbox", self.outbox)
            if self.views is not None:
                app.autodiscover(self.views)
            extension.identity_changed.connect(self.on_identity, app)
            extension.session_rotated.connect(self.on_session, app)
            extension.stream_started.connect(self.on_stream, app)

    @staticmethod
    def check_server(app):
        if app.config["MAIL_SERVER"] == "localhost":
            yield extension.Problem("warning", "MAIL_SERVER is this host.", "Set it.")

    @staticmethod
    def check_password(app):
        if not app.config["MAIL_PASSWORD"]:
            return extension.Problem("info", "MAIL_PASSWORD is not set.", "Set it.")
        return None

    def ping(self):
        if self.down:
            raise self.down

    def on_identity(self, sender, user, previous, **extra):
        self.heard.append((sender, "identity", previous, user))

    def on_session(self, sender, session, **extra):
        self.heard.append((sender, "session", dict(session)))

    def on_stream(self, sender, **extra):
        self.heard.append((sender, "stream", erlen.request.path))


@pytest.fixture(autouse=True)
def _nobody_listens():
    yield
    for name in ("identity_changed", "session_rotated", "stream_started"):
        getattr(extension, name)._clear_state()


@pytest.fixture
def other(app):
    """Return a second application."""
    return Erlen("other")


@pytest.fixture
def mail(app):
    """Return the extension, set up on `app`."""
    app.config["MAIL_SERVER"] = "mail.example"
    return AcmeMail(app)


def names(settings, owner):
    return {key for key, setting in settings.items() if setting.owner == owner}


# The whole of it


def test_the_names():
    assert {*extension.__all__} == {
        *("CONTRACT", "ContractError", "Unavailable", "current_context", "setup"),
        *("REQUIRED", "ConfigError", "ConfigWarning", "Setting"),
        *("Health", "Problem", "check_health", "run_checks"),
        *("BadSignature", "SignatureExpired", "Signer", "SessionStore"),
        *("identity_changed", "session_rotated", "stream_started"),
    }
    assert {*extension.__all__} <= vars(extension).keys()
    assert extension.CONTRACT == "1.1"
    assert extension.BadSignature is itsdangerous.BadSignature
    assert extension.SignatureExpired is itsdangerous.SignatureExpired
    assert erlen.extension is extension


def test_the_context_is_one_object_from_start_to_teardown(app, client):
    seen = []
    app.before_request(lambda: seen.append(extension.current_context()))
    app.teardown_appcontext(lambda exc: seen.append(extension.current_context()))
    app.add_url_rule("/", "view", lambda: str(extension.current_context() is seen[0]))
    assert extension.current_context() is None
    assert client.get("/").text == "True"
    assert client.get("/").status_code == 200
    assert seen[0] is seen[1]
    assert seen[0] is not seen[2]
    assert extension.current_context() is None
    with app.app_context() as ctx:
        assert extension.current_context() is ctx


@pytest.mark.parametrize("seconds", [5, 60, None])
def test_what_is_away_says_when_to_try_again(app, client, seconds):
    class MailUnavailable(extension.Unavailable):
        description = "No letters for the moment."

    @app.get("/")
    def view():
        raise MailUnavailable(**({} if seconds == 5 else {"retry_after": seconds}))

    response = client.get("/")
    assert response.status_code == 503
    assert "No letters for the moment." in response.text
    assert response.headers.get("Retry-After", type=int) == seconds


def test_settings_are_typed_and_have_an_owner(app, mail):
    app.config.from_mapping(MAIL_PAUSE=3)
    config = app.config

    assert names(config.settings, NAME) == {
        *("MAIL_SERVER", "MAIL_PORT", "MAIL_PASSWORD"),
        *("MAIL_PER_HOUR", "MAIL_PAUSE", "MAIL_TOKEN"),
    }
    assert {key for key, it in config.settings.items() if it.secret} >= {
        *("MAIL_PASSWORD", "MAIL_TOKEN"),
    }
    assert config.origin("MAIL_PORT") == "default"
    assert config.origin("MAIL_SERVER") == "code"
    assert mail.limits.per_hour == config["MAIL_PER_HOUR"] == 100


def test_settings_come_from_the_environment(app, monkeypatch):
    for key, text in {"SERVER": "mail", "PASSWORD": "007", "PAUSE": "2"}.items():
        monkeypatch.setenv(f"ERLEN_MAIL_{key}", text)
    app.config.from_prefixed_env("ERLEN")
    mail = AcmeMail(app)

    assert app.config["MAIL_PASSWORD"] == "007"
    assert mail.limits.pause == timedelta(seconds=2)
    assert app.config.origin("MAIL_PAUSE") == "environment ERLEN_MAIL_PAUSE"


def test_signer(app, mail):
    token = mail.signer.dumps({"user": 7})

    assert isinstance(mail.signer, extension.Signer)
    assert mail.signer.loads(token) == {"user": 7}
    with pytest.raises(extension.BadSignature):
        app.signer("acme-mail.subscribe").loads(token)
    with pytest.raises(extension.SignatureExpired):
        mail.signer.loads(token, max_age=-1)


def test_checks_and_health(app, mail):
    app.config.update(MAIL_SERVER="localhost", MAIL_PORT="x", TRUSTED_HOSTS=["a.test"])
    mail.down = ConnectionError("gone")

    found = [it for it in extension.run_checks(app, deploy=True) if "MAIL" in it.what]
    assert [(it.level, it.id) for it in found] == [
        ("error", "core.settings"),
        ("warning", "acme-mail.server"),
        ("info", "acme-mail.password"),
    ]
    assert "MAIL_PORT" in found[0].what
    health = extension.check_health(app)["mail"]
    assert health == extension.Health(
        "mail", False, "ConnectionError: gone", health.seconds
    )


def test_commands(app, mail):
    app.add_url_rule("/news", "news", view := lambda: "")
    view.mail = "weekly"
    runner = app.test_cli_runner()

    assert runner.invoke(args=["mail"]).output == "no letters\n"
    table = runner.invoke(cli, ["routes"]).output.splitlines()
    assert [line.split() for line in table if "news" in line] == [
        ["news", "GET", "weekly", "/news"]
    ]
    shown = json.loads(
        runner.invoke(cli, ["config", "MAIL_", "--format", "json"]).output
    )
    assert shown["MAIL_PORT"] == {
        "value": 25,
        "origin": "default",
        "type": "int",
        "doc": "The host's port.",
        "owner": NAME,
    }


def test_other_applications_and_modules_come_along(app, tmp_path, monkeypatch):
    text = "from erlen import Blueprint\nviews = Blueprint('mail', __name__)\n"
    (tmp_path / "acme_mail_pages").mkdir()
    (tmp_path / "acme_mail_pages" / "__init__.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    outbox = Erlen("outbox")
    outbox.add_url_rule("/", "index", lambda: "letters")
    app.config["MAIL_SERVER"] = "mail.example"
    AcmeMail(app, outbox, "acme_mail_pages")
    del sys.modules["acme_mail_pages"]

    assert list(app.blueprints) == ["mail"]
    assert app.test_client().get("/outbox/").text == "letters"


def test_signals_are_heard_of_ones_own_application(app, client, mail, other):
    @app.get("/login")
    def login():
        erlen.session["user"] = "ada"
        erlen.session.rotate()
        extension.identity_changed.send(app, user="ada", previous=None)
        extension.identity_changed.send(other, user="eve", previous=None)
        return erlen.stream_with_context(iter("ok"))

    assert client.get("/login").text == "ok"
    assert mail.heard == [
        (app, "session", {"user": "ada"}),
        (app, "identity", None, "ada"),
        (app, "stream", "/login"),
    ]


def test_a_session_store_may_be_an_extensions():
    assert issubclass(MemorySessionStore, extension.SessionStore)


def test_a_request_does_not_know_of_extensions(app):
    """As many calls with one that uses all but mounts, which are asked about."""
    exchange = Exchange("/", Answer(200, "text/html; charset=utf-8", b"Hello!"))
    app = Erlen(__name__)
    other = Erlen(__name__)
    other.config["MAIL_SERVER"] = "mail.example"
    mail = AcmeMail(other)
    calls = []
    for one in (app, other):
        one.add_url_rule("/", "index", lambda: "Hello!")
        folders = [trace.package_folder("erlen"), Path(__file__)]
        calls.append(trace.record(one, exchange, folders).calls)

    assert other.extensions == {NAME: mail}
    assert calls[0] == calls[1]
    assert len(calls[0]) > 10


# Its block


def test_the_extension_is_there_at_the_end_of_its_block(app):
    instance = object()
    with extension.setup(app, NAME, instance, contract="1.0"):
        assert app.config._owner == NAME
        assert NAME not in app.extensions

    assert app.config._owner == "application"
    assert app.extensions == {NAME: instance}


def test_nothing_is_declared_by_default(app):
    before = app.config.settings

    with extension.setup(app, NAME, None, contract="1.0"):
        pass

    assert app.config.settings == before
    assert app.extensions == {NAME: None}


def test_a_block_that_fails_sets_nothing_up(app):
    def init_app():
        with extension.setup(app, NAME, "mail", contract="1.0"):
            app.config.declare("MAIL_PORT", int, extension.REQUIRED, "The port.")
            raise LookupError("no letters")

    with pytest.raises(LookupError, match="no letters"):
        init_app()

    assert app.extensions == {}
    assert app.config._owner == "application"


def test_an_extension_that_needs_another_is_set_up_around_it(app):
    with extension.setup(app, "acme-news", "news", contract="1.0"):
        app.config.declare("NEWS_PAGES", int, 2, "Pages of a letter.")
        with extension.setup(app, NAME, "mail", contract="1.0"):
            app.config.declare("MAIL_PORT", int, 25, "The port.")
        assert app.extensions == {NAME: "mail"}
        app.config.declare("NEWS_LINES", int, 60, "Lines of a page.")

    assert names(app.config.settings, NAME) == {"MAIL_PORT"}
    assert names(app.config.settings, "acme-news") == {"NEWS_PAGES", "NEWS_LINES"}
    assert list(app.extensions) == [NAME, "acme-news"]


def test_an_inner_extension_that_fails_gives_the_owner_back(app):
    with extension.setup(app, "acme-news", "news", contract="1.0"):
        with (
            pytest.raises(extension.ConfigError),
            extension.setup(app, NAME, "mail", contract="1.0"),
        ):
            app.config.declare("MAIL_PORT", int, extension.REQUIRED, "The port.")
        assert app.config._owner == "acme-news"

    assert list(app.extensions) == ["acme-news"]


def test_an_extension_is_set_up_once(app, mail):
    with pytest.raises(extension.ContractError) as info:
        mail.init_app(app)

    words = ("'acme-mail' already", "init_app() once", repr(app.name))
    assert all(word in str(info.value) for word in words)
    assert app.extensions == {NAME: mail}


def test_an_object_serves_many_applications(app, mail, other):
    other.config["MAIL_SERVER"] = "mail.other"
    mail.init_app(other)

    assert other.extensions == app.extensions == {NAME: mail}
    assert app.config["MAIL_SERVER"] == "mail.example"
    assert other.config["MAIL_SERVER"] == "mail.other"


# Versions of the contract


@pytest.mark.parametrize("ours", ["1.0", "1.3", "1.10"])
def test_the_same_or_an_older_minor_version_fits(app, monkeypatch, ours):
    monkeypatch.setattr(extension, "CONTRACT", ours)
    for number, theirs in enumerate(["1.0", ours]):
        with extension.setup(app, f"acme-{number}", None, contract=theirs):
            pass

    assert len(app.extensions) == 2


@pytest.mark.parametrize(
    ("ours", "theirs", "cure"),
    [
        ("1.0", "1.1", "Upgrade Erlen"),
        ("1.9", "1.10", "Upgrade Erlen"),
        ("1.0", "2.0", "Upgrade Erlen"),
        ("2.0", "1.0", "Upgrade 'acme-mail'"),
        ("2.0", "1.7", "Upgrade 'acme-mail'"),
        ("1.0", "0.9", "Upgrade 'acme-mail'"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_cure(
    app, monkeypatch, ours, theirs, cure
):
    monkeypatch.setattr(extension, "CONTRACT", ours)
    with (
        pytest.raises(extension.ContractError) as info,
        extension.setup(app, NAME, None, contract=theirs),
    ):
        pytest.fail("the block is not entered")

    message = str(info.value)
    assert "'acme-mail'" in message
    assert f"contract {theirs} " in message
    assert f"has {ours}." in message
    assert cure in message
    assert app.extensions == {}


@pytest.mark.parametrize(
    "wrong", ["", "1", "1.", "1.0.0", "one.two", "1.-5", "-1.0", " 1.0", 1.0, None]
)
def test_a_contract_is_two_numbers(app, wrong):
    with (
        pytest.raises(extension.ContractError, match=r"MAJOR\.MINOR") as info,
        extension.setup(app, NAME, None, contract=wrong),
    ):
        pytest.fail("the block is not entered")

    assert repr(wrong) in str(info.value)


def test_an_extension_names_its_contract(app):
    with pytest.raises(TypeError):
        extension.setup(app, NAME, None)


# Settings of an extension


def test_all_problems_are_told_at_once(app):
    def init_app():
        with extension.setup(app, NAME, "mail", contract="1.0"):
            declare = app.config.declare
            declare("MAIL_SERVER", str, extension.REQUIRED, "The host's name.")
            declare("MAIL_PORT", int, 25, "The host's port.")
            declare("MAIL_PASSWORD", str | None, None, "Of us.", secret=True)
            declare("MAIL_PER_HOUR", int, 100, "A limit.")

    app.config.update(MAIL_PORT="twenty-five", MAIL_PER_HOUR=5, MAIL_PASWORD="1234")
    with pytest.raises(extension.ConfigError) as info:
        init_app()

    assert [text.partition(" ")[0] for text in info.value.problems] == [
        *("MAIL_SERVER", "MAIL_PORT", "MAIL_PASWORD")
    ]
    message = str(info.value)
    assert "'acme-mail' needs it" in message
    assert "'twenty-five'" in message
    assert "did you mean MAIL_PASSWORD?" in message
    assert "1234" not in message
    assert app.extensions == {}
    assert app.config._owner == "application"


def test_a_misspelt_key_is_a_warning(app):
    app.config["MAIL_SERVRE"] = "mail.example"
    with pytest.warns(extension.ConfigWarning, match="did you mean MAIL_SERVER"):  # noqa: SIM117  (the warning comes at the end of the block)
        with extension.setup(app, NAME, "mail", contract="1.0"):
            app.config.declare("MAIL_SERVER", str, "localhost", "The host's name.")

    assert app.extensions == {NAME: "mail"}


def test_a_key_that_nobody_declared_is_no_ones_business(app):
    app.config["TEA_PRICE"] = 250
    app.config["MAIL_SERVER"] = "mail.example"
    AcmeMail(app)

    assert app.config["TEA_PRICE"] == 250


def test_values_are_converted_where_they_are(app):
    app.config.update(MAIL_PAUSE=30, MAIL_FOLDER="letters")
    with extension.setup(app, NAME, None, contract="1.0"):
        app.config.declare("MAIL_PAUSE", timedelta, timedelta(0), "A pause.")
        app.config.declare("MAIL_FOLDER", Path, Path("mail"), "Where letters are.")

    assert app.config["MAIL_PAUSE"] == timedelta(seconds=30)
    assert app.config["MAIL_FOLDER"] == Path("letters")


@pytest.mark.parametrize("key", ["MAIL_PORT", "SECRET_KEY"])
def test_a_key_has_one_owner(app, mail, key):
    owner = app.config.settings[key].owner
    with (
        pytest.raises(extension.ConfigError) as info,
        extension.setup(app, "acme-post", None, contract="1.0"),
    ):
        app.config.declare(key, int, 1, "A key of somebody else.")

    for word in (key, "'acme-post'", repr(owner)):
        assert word in str(info.value)
    assert list(app.extensions) == [NAME]
