"""The settings, declared with the core, and the engine options that they make.

`SQLALCHEMY_` is the prefix that the users of the peer know; ours go on with it.
"""

from __future__ import annotations

import typing as t
from datetime import timedelta

import sqlalchemy as sa

if t.TYPE_CHECKING:
    import collections.abc as cabc

Options = dict[str, t.Any]

_URI = "SQLALCHEMY_DATABASE_URI"
_BINDS = "SQLALCHEMY_BINDS"
_NO_DATABASE = (
    f"Neither {_URI} nor {_BINDS} is set, so that there is no database. Set the first,"
    ' such as to "sqlite:///app.db", a file in the instance folder, before init_app().'
)


def declare(app: t.Any) -> None:
    """Declare the settings with an application, and convert their values."""
    declare = app.config.declare
    seconds = timedelta | None
    declare(_URI, str | sa.URL | None, None, "URL of the database.", secret=True)
    declare(_BINDS, dict, {}, "URLs or engine options of more databases.", secret=True)
    declare("SQLALCHEMY_ENGINE_OPTIONS", dict, {}, "What create_engine() is given.")
    declare("SQLALCHEMY_ECHO", bool, False, "Log all statements.")
    declare("SQLALCHEMY_RECORD_QUERIES", bool, False, "Keep each request's queries.")
    declare(
        *("SQLALCHEMY_TRACK_MODIFICATIONS", bool | None, False),
        "Send the signals models_committed and before_models_committed.",
    )
    declare(
        *("SQLALCHEMY_CONNECT_TIMEOUT", seconds, timedelta(seconds=5)),
        "How long to wait for a new connection.",
    )
    declare(
        *("SQLALCHEMY_STATEMENT_TIMEOUT", seconds, timedelta(seconds=30)),
        "How long a statement may take.",
    )
    declare(
        *("SQLALCHEMY_POOL_TIMEOUT", seconds, timedelta(seconds=5)),
        "How long to wait for a connection of the pool.",
    )
    declare("SQLALCHEMY_SQLITE_WAL", bool, True, "Let SQLite read while it writes.")
    declare("SQLALCHEMY_SQLITE_FOREIGN_KEYS", bool, True, "Let SQLite check them.")
    declare(
        *("SQLALCHEMY_SQLITE_BUSY_TIMEOUT", timedelta, timedelta(seconds=5)),
        "How long SQLite waits for another writer.",
    )
    declare(
        *("SQLALCHEMY_SQLITE_IMMEDIATE", bool, True),
        "Let SQLite's transactions that will write wait at their beginning.",
    )
    declare("SQLALCHEMY_SLOW_QUERY", seconds, None, "Log what takes longer.")
    declare("SQLALCHEMY_WATCH", bool | None, None, "Warn of many queries; as DEBUG.")


def read_options(
    app: t.Any, defaults: cabc.Mapping[str, t.Any]
) -> dict[str | None, Options]:
    """Return the engine options of each bind key; None is the default database.

    Args:
        app: The application.
        defaults: What the extension was given for all of its engines. The
            settings win over it.

    Raises:
        RuntimeError: No database is named.
        TypeError: A bind is neither a URL nor options with one.
    """
    common = {**defaults}
    if app.config["SQLALCHEMY_ECHO"]:
        common.update(echo=True, echo_pool=True)
    found: dict[str | None, Options] = {}
    if (uri := app.config[_URI]) is not None:
        options = app.config["SQLALCHEMY_ENGINE_OPTIONS"]
        found[None] = {**common, **options, "url": uri}
    elif "url" in (options := app.config["SQLALCHEMY_ENGINE_OPTIONS"]):
        found[None] = {**common, **options}
    for key, value in app.config[_BINDS].items():
        its: t.Any = {"url": value} if isinstance(value, (str, sa.URL)) else value
        if not isinstance(its, dict) or "url" not in its:
            raise TypeError(
                f"{_BINDS}[{key!r}] is neither a URL nor a dict of engine options with"
                ' a "url".'
            )
        found[key] = {**common, **t.cast("Options", its)}
    if not found:
        raise RuntimeError(_NO_DATABASE)
    return found
