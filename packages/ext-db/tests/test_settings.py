from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from erlen import Erlen
from erlen import extension
from erlen_db import SQLAlchemy
from erlen_db import _settings


def test_settings_are_declared_and_converted(app):
    app.config.update(
        SQLALCHEMY_CONNECT_TIMEOUT=2, SQLALCHEMY_SLOW_QUERY=0.5, SQLALCHEMY_ECHO=True
    )
    SQLAlchemy(app)
    assert app.config["SQLALCHEMY_CONNECT_TIMEOUT"] == timedelta(seconds=2)
    assert app.config["SQLALCHEMY_SLOW_QUERY"] == timedelta(seconds=0.5)
    assert app.config["SQLALCHEMY_ECHO"] is True
    mine = {key for key, it in app.config.settings.items() if it.owner == "sqlalchemy"}
    assert len(mine) == 15
    assert app.config.settings["SQLALCHEMY_DATABASE_URI"].secret


def test_wrong_settings_are_named_together(app):
    app.config.update(SQLALCHEMY_BINDS=7, SQLALCHEMY_STATEMENT_TIMEOUT="soon")
    with pytest.raises(extension.ConfigError) as caught:
        SQLAlchemy(app)
    for key in ("SQLALCHEMY_BINDS", "SQLALCHEMY_STATEMENT_TIMEOUT"):
        assert key in str(caught.value)


def options(defaults=(), **settings):
    app = Erlen("acme")
    app.config.from_mapping(settings)
    with extension.setup(app, "sqlalchemy", None, contract="1.1"):
        _settings.declare(app)
        app.config.validate("sqlalchemy")
        return _settings.read_options(app, dict(defaults))


def test_the_setting_wins_over_the_argument():
    found = options(
        {"echo": True, "pool_size": 1, "max_overflow": 2},
        SQLALCHEMY_DATABASE_URI="sqlite://",
        SQLALCHEMY_ENGINE_OPTIONS={"pool_size": 3},
        SQLALCHEMY_BINDS={
            "a": "sqlite:///a.db",
            "b": {"url": sa.make_url("sqlite:///b.db"), "max_overflow": 4},
            "c": sa.make_url("sqlite:///c.db"),
        },
    )
    assert found == {
        None: {"url": "sqlite://", "echo": True, "pool_size": 3, "max_overflow": 2},
        "a": {"url": "sqlite:///a.db", "echo": True, "pool_size": 1, "max_overflow": 2},
        "b": {
            "url": sa.make_url("sqlite:///b.db"),
            "echo": True,
            "pool_size": 1,
            "max_overflow": 4,
        },
        "c": {
            "url": sa.make_url("sqlite:///c.db"),
            "echo": True,
            "pool_size": 1,
            "max_overflow": 2,
        },
    }


def test_the_url_may_be_an_engine_option():
    found = options(SQLALCHEMY_ENGINE_OPTIONS={"url": "sqlite://"})
    assert found == {None: {"url": "sqlite://"}}


def test_an_echo_is_of_all_engines():
    found = options(
        SQLALCHEMY_DATABASE_URI="sqlite://",
        SQLALCHEMY_BINDS={"a": {"url": "sqlite://", "echo": False}},
        SQLALCHEMY_ECHO=True,
    )
    assert found[None] == {"url": "sqlite://", "echo": True, "echo_pool": True}
    assert found["a"] == {"url": "sqlite://", "echo": False, "echo_pool": True}


@pytest.mark.parametrize("value", [None, 7, {}, {"pool_size": 3}])
def test_a_bind_has_a_url(value):
    with pytest.raises(
        TypeError, match=r"SQLALCHEMY_BINDS\['a'\] is neither a URL nor"
    ):
        options(SQLALCHEMY_BINDS={"a": value})
