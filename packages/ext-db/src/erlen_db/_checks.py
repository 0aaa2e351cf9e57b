"""What `erlen check` asks about the database, and whether it is there."""

from __future__ import annotations

import typing as t

from sqlalchemy import pool as sa_pool

from erlen.extension import Problem

if t.TYPE_CHECKING:
    import collections.abc as cabc

    import sqlalchemy as sa

_LOCAL = {None, "", "localhost", "127.0.0.1", "::1"}


class Checked(t.Protocol):
    """What the checks need of the extension."""

    @property
    def engines(self) -> cabc.Mapping[str | None, sa.Engine]:
        """The engines of the current application by bind key."""
        ...

    def ping(self) -> None:
        """Ask the databases for an answer."""
        ...


def add(app: t.Any, db: Checked) -> None:
    """Register the checks and the health function with an application."""
    app.add_check("sqlalchemy.settings", check_settings)

    def check(app: t.Any) -> cabc.Iterator[Problem]:
        return check_urls(app, db)

    app.add_check("sqlalchemy.urls", check, deploy=True)
    app.add_check("sqlalchemy.deploy", check_deploy, deploy=True)
    app.add_health("database", db.ping)


def _name(bind_key: str | None) -> str:
    if bind_key is None:
        return "SQLALCHEMY_DATABASE_URI"
    return f"SQLALCHEMY_BINDS[{bind_key!r}]"


def check_settings(app: t.Any) -> cabc.Iterator[Problem]:
    """Look for switches that take safety away."""
    off = {
        "SQLALCHEMY_SQLITE_FOREIGN_KEYS": "SQLite does not check foreign keys",
        "SQLALCHEMY_SQLITE_WAL": "SQLite's readers wait for its writers",
        "SQLALCHEMY_SQLITE_IMMEDIATE": (
            "two of SQLite's transactions that read and then write get in each"
            " other's way, and one of them fails"
        ),
    }
    for key, effect in off.items():
        if not app.config[key]:
            yield Problem("warning", f"{key} is False: {effect}.", f"{key} = True")


def check_deploy(app: t.Any) -> cabc.Iterator[Problem]:
    """Look for what is for development, and for waiting without an end."""
    costs = {
        "SQLALCHEMY_ECHO": "each statement is logged, with its values",
        "SQLALCHEMY_RECORD_QUERIES": "each request keeps its queries in memory",
        "SQLALCHEMY_WATCH": "each request counts its queries",
    }
    for key, effect in costs.items():
        if app.config[key]:
            yield Problem("warning", f"{key} is on: {effect}.", f"{key} = False")
    for what in ("CONNECT", "STATEMENT", "POOL"):
        key = f"SQLALCHEMY_{what}_TIMEOUT"
        if app.config[key] is None:
            yield Problem(
                "warning",
                f"{key} is None: a request may wait for the database for ever.",
                f"{key} = timedelta(seconds=30)",
            )


def check_urls(app: t.Any, db: Checked) -> cabc.Iterator[Problem]:
    """Look at where the databases are, and who asks them."""
    with app.app_context():
        engines = db.engines
    for bind_key, engine in engines.items():
        name, url = _name(bind_key), engine.url
        if url.get_backend_name() == "sqlite":
            if isinstance(engine.pool, sa_pool.StaticPool):
                yield Problem(
                    "error",
                    f"{name} is a database in memory: each worker has one of its own,"
                    " and it is gone with the worker.",
                    f'{name} = "sqlite:///app.db"',
                )
            continue
        if url.username in {"root", "postgres"}:
            yield Problem(
                "warning",
                f"{name} logs in as {url.username!r}, who may do everything.",
                "Make a user for the application, who owns its tables only.",
            )
        if url.password is None and url.host not in _LOCAL:
            yield Problem(
                "info",
                f"{name} has no password for another host.",
                "Put one into the URL, or see that the server knows us by other means.",
            )
