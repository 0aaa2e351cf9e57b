"""The tables of the guide that list all of a kind: nothing missing, nothing wrong."""

from __future__ import annotations

import datetime as dt
import itertools

from tests.docs.pages import ROOT

import erlen.signals
from erlen import Erlen
from erlen_db import SQLAlchemy
from erlen_db.migrate import Migrate


def rows(page, heading):
    """Return the cells of the first table below a heading of the guide, as code."""
    lines = (ROOT / "docs" / "guide" / page).read_text(encoding="utf-8").splitlines()
    below = itertools.dropwhile(
        lambda line: not line.startswith("|"), lines[lines.index(heading) :]
    )
    table = list(itertools.takewhile(lambda line: line.startswith("|"), below))
    return [
        [cell.strip(" `") for cell in line.strip("|").split("|")] for line in table[2:]
    ]


def test_every_setting_has_its_default(monkeypatch):
    for name in ("ERLEN_DEBUG", "FLASK_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    config = Erlen(__name__).config
    listed = {
        name: default
        for name, default, _ in rows("configuration.md", "## Every setting")
    }

    assert list(listed) == sorted(config)
    for name, default in listed.items():
        if name != "DEBUG":
            assert eval(default, {"timedelta": dt.timedelta}) == config[name], name


def test_every_setting_of_sessions_has_its_row():
    listed = {name for name, *_ in rows("sessions.md", "## Settings")}

    assert listed == {name for name in Erlen(__name__).config if "SESSION_" in name}


def test_every_setting_of_databases_has_its_default():
    app = Erlen(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
    Migrate(app, SQLAlchemy(app))
    declared = {
        name: setting.default
        for name, setting in app.config.settings.items()
        if name.startswith(("SQLALCHEMY_", "MIGRATE_"))
    }

    assert declared == {
        name: eval(default, {"timedelta": dt.timedelta})
        for name, default, _ in rows("../db/quickstart.md", "## Settings")
    }


def test_every_signal_has_its_row():
    listed = {name for name, *_ in rows("signals.md", "# Signals")}

    assert listed == set(erlen.signals.__all__) - {"Namespace"}
