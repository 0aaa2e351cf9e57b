"""The extension: what it writes down, and what it tells of an application."""

from __future__ import annotations

import json
from datetime import UTC
from datetime import datetime
from datetime import timedelta
from pathlib import Path

import acme_audit
import pytest
from acme_audit import Audit

from erlen import Blueprint
from erlen import Erlen
from erlen import abort
from erlen import extension
from erlen import session
from erlen import stream_with_context
from erlen.cli import cli


def entries(app):
    """Return what is in the trail, without times and seals."""
    found = [json.loads(line) for line in app.extensions["acme-audit"].lines()]
    for entry in found:
        assert datetime.fromisoformat(entry.pop("time")).tzinfo == UTC
        del entry["seal"]
    return found


def request_entry(event, request, **more):
    return {"event": event, "request": request, "client": "127.0.0.1", "more": more}


# Marked views


def test_a_marked_view_is_written_down(app, audit, client):
    @app.post("/orders")
    @audit.record("order placed")
    def place_order():
        return "", 201

    @app.get("/")
    def index():
        return ""

    for path in ("/", "/missing"):
        client.get(path)
    client.get("/orders")
    client.post("/orders?page=1")

    assert entries(app) == [request_entry("order placed", "POST /orders", status=201)]


def test_async_views_and_those_of_blueprints(app, audit, client):
    shop = Blueprint("shop", __name__)

    @shop.get("/async")
    @audit.record("waited")
    async def wait():
        return ""

    app.register_blueprint(shop, url_prefix="/shop")
    client.get("/shop/async")

    assert entries(app) == [request_entry("waited", "GET /shop/async", status=200)]


def test_what_is_refused_is_written_down_too(app, audit, client):
    app.config["PROPAGATE_EXCEPTIONS"] = False

    @app.before_request
    def guard():
        if not session:
            abort(403)

    @app.get("/fail")
    @audit.record("tried")
    def fail():
        raise LookupError

    client.get("/fail")
    with client.session_transaction() as stored:
        stored["user"] = "ada"
    client.get("/fail")

    assert [it["more"]["status"] for it in entries(app)] == [403, 500]


def test_no_line_no_answer(app, audit, client, tmp_path):
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.config["AUDIT_FILE"] = tmp_path / "missing" / "audit.jsonl"
    app.add_url_rule("/", "index", audit.record("seen")(lambda: "secret"))

    answer = client.get("/")
    assert answer.status_code == 500
    assert "secret" not in answer.text


# Lines of one's own


def test_add(app, audit):
    with app.test_request_context("/orders/7", method="PATCH"):
        audit.add("price changed", order=7, price="2.50")
    with app.app_context():
        audit.add("prices imported", count=3)

    first, second = entries(app)
    assert first == {
        "event": "price changed",
        "request": "PATCH /orders/7",
        "client": None,
        "more": {"order": 7, "price": "2.50"},
    }
    assert second == {"event": "prices imported", "more": {"count": 3}}


def test_extra_is_asked_for_each_line(app, audit):
    numbers = iter(range(9))
    app.config["AUDIT_EXTRA"] = lambda: {"user": f"u{next(numbers)}", "what": "extra"}
    with app.app_context():
        audit.add("one")
        audit.add("two", what="own")

    assert [it["more"] for it in entries(app)] == [
        {"user": "u0", "what": "extra"},
        {"user": "u1", "what": "own"},
    ]


def test_addresses_may_be_hashed(app, audit, client):
    app.add_url_rule("/", "index", audit.record("seen")(lambda: ""))
    for key in ("a", "b", "a"):
        app.config["AUDIT_ADDRESS_KEY"] = key
        client.get("/")
    with app.test_request_context("/"):
        audit.add("seen")  # of a client without an address

    one, two, three, none = [entry["client"] for entry in entries(app)]
    assert one == three != two
    assert len(one) == 16
    assert none is None


def test_an_application_without_trail(audit):
    with (
        Erlen("bare").app_context(),
        pytest.raises(RuntimeError, match=r"'bare' .*init_app"),
    ):
        audit.add("nothing")


# Signals


def test_logins_and_streams(app, client):
    @app.get("/login")
    def login():
        session["user"] = "ada"
        session.rotate()
        extension.identity_changed.send(app, user="ada", previous=None)
        return stream_with_context(iter("ok"))

    assert client.get("/login").text == "ok"
    assert entries(app) == [
        request_entry("session rotated", "GET /login"),
        request_entry("identity changed", "GET /login", user="ada", previous=None),
        request_entry("stream started", "GET /login"),
    ]


def test_a_user_is_written_as_text(app):
    class User:
        def __str__(self):
            return "user 7"

    with app.test_request_context("/"):
        extension.identity_changed.send(app, user=None, previous=User())

    assert entries(app)[0]["more"] == {"user": None, "previous": "user 7"}


def test_applications_have_trails_of_their_own(app, other, audit):
    for one, event in ((app, "here"), (other, "there")):
        with one.test_request_context("/"):
            audit.add(event)
            extension.identity_changed.send(one, user=event, previous=None)

    assert [entry["event"] for entry in entries(app)] == ["here", "identity changed"]
    assert [entry["event"] for entry in entries(other)] == ["there", "identity changed"]


# Settings


def test_settings(app):
    settings = {
        key: it for key, it in app.config.settings.items() if it.owner == "acme-audit"
    }

    assert set(settings) == {
        *("AUDIT_FILE", "AUDIT_RETENTION", "AUDIT_EXTRA", "AUDIT_ADDRESS_KEY")
    }
    assert [key for key, it in settings.items() if it.secret] == ["AUDIT_ADDRESS_KEY"]
    assert app.config["AUDIT_FILE"] == Path("audit.jsonl")
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    assert all(f"| `{key}` |" in readme for key in settings)


def test_settings_come_from_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("ERLEN_AUDIT_FILE", str(tmp_path / "trail"))
    monkeypatch.setenv("ERLEN_AUDIT_RETENTION", "3600")
    app = Erlen("shop")
    app.config.from_prefixed_env()
    Audit(app)

    assert app.extensions["acme-audit"].file == tmp_path / "trail"
    assert app.config["AUDIT_RETENTION"] == timedelta(hours=1)


def test_wrong_settings_are_told_at_once():
    app = Erlen("shop")
    app.config.update(AUDIT_RETENTION="a year", AUDIT_EXTRA="name")
    with pytest.raises(extension.ConfigError) as info:
        Audit(app)

    keys = [problem.partition(" ")[0] for problem in info.value.problems]
    assert keys == ["AUDIT_FILE", "AUDIT_RETENTION", "AUDIT_EXTRA"]
    assert app.extensions == {}


# Checks, health, commands


def problems(app, **options):
    """Return what this extension's checks find."""
    found = extension.run_checks(app, **options)
    return [(it.level, it.id) for it in found if it.id.startswith("acme-audit")]


def test_a_sound_application_has_no_problems(app):
    assert problems(app, deploy=True) == []


def test_the_file_is_not_for_everybody(app, tmp_path):
    shop = Blueprint("shop", __name__, static_folder=str(tmp_path / "css"))
    app.register_blueprint(shop, url_prefix="/shop")
    for folder in ("static", "css"):
        (tmp_path / folder).mkdir()
        app.config["AUDIT_FILE"] = f"{folder}/audit.jsonl"
        assert problems(app) == [("error", "acme-audit.file")]


def in_a_missing_folder(app):
    app.config["AUDIT_FILE"] = "missing/audit.jsonl"


def is_a_folder(app):
    app.config["AUDIT_FILE"] = "."


def without_a_key(app):
    app.config["SECRET_KEY"] = None


@pytest.mark.parametrize("spoil", [in_a_missing_folder, is_a_folder, without_a_key])
def test_a_file_that_cannot_be_written(app, spoil):
    assert extension.check_health(app)["audit"].ok
    spoil(app)

    assert problems(app) == [("error", "acme-audit.file")]
    assert not extension.check_health(app)["audit"].ok


def test_asking_makes_no_file(app, trail):
    extension.run_checks(app, deploy=True)
    extension.check_health(app)

    assert not trail.file.exists()


def test_retention_is_for_production(app, audit):
    app.config["AUDIT_RETENTION"] = None
    assert problems(app) == []
    assert problems(app, deploy=True) == [("info", "acme-audit.retention")]

    with app.app_context():
        audit.add("old")
    app.config["AUDIT_RETENTION"] = timedelta(seconds=-1)
    assert problems(app, deploy=True) == [("warning", "acme-audit.retention")]


def test_routes_have_a_column(app, audit, runner):
    app.add_url_rule("/a", "a", audit.record("seen a")(lambda: ""))
    app.add_url_rule("/b", "b", lambda: "")
    app.add_url_rule("/c", "c")

    table = runner.invoke(cli, ["routes"]).output.splitlines()
    column = slice(table[0].index("Audit"), table[0].index("Rule"))
    assert [row[column].strip() for row in table[2:5]] == ["seen a", "", ""]


def test_verify(app, audit, runner, trail):
    with app.app_context():
        audit.add("one")
        audit.add("two")
    result = runner.invoke(args=["audit", "verify"])
    assert (result.exit_code, result.output) == (
        0,
        "2 lines, all as they were written.\n",
    )

    trail.file.write_bytes(trail.file.read_bytes().replace(b"one", b"ONE"))
    result = runner.invoke(args=["audit", "verify"])
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        "Line 1 was changed.",
        "Line 2 does not follow the line that was before it.",
        "Error: 2 of 2 lines are not as they were written.",
    ]


def test_show(app, audit, runner, trail):
    with app.app_context():
        for number in range(3):
            audit.add("counted", number=number)
    trail.file.write_bytes(trail.file.read_bytes() + b"\x1b[31m\xff\n")

    result = runner.invoke(args=["audit", "show", "--last", "3"])
    one, two, other = result.output.splitlines()
    assert [json.loads(line)["more"] for line in (one, two)] == [
        {"number": 1},
        {"number": 2},
    ]
    assert "seal" not in result.output
    assert other == r"'\x1b[31mÿ'"


def test_the_public_names():
    assert acme_audit.__all__ == ["Audit", "Trail"]
