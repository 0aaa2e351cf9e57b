"""The fixtures `db` and `db_session` of pytest.

A project asks for them in its top conftest.py, beside those of the core:
`pytest_plugins = ["erlen.pytest_plugin", "erlen_db.pytest_plugin"]`. Nothing is
asserted here: PYTEST_DONT_REWRITE.
"""

from __future__ import annotations

import typing as t
import warnings

import pytest
import sqlalchemy as sa
from sqlalchemy import pool as sa_pool
from sqlalchemy.exc import SAWarning

from .testing import rolled_back

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from sqlalchemy import orm

    from erlen import Erlen

    from .extension import SQLAlchemy
    from .session import Session

__all__ = ["db", "db_session", "db_tables"]

_TABLES = "erlen_db_tables"
_WAYS = ("create_all", "upgrade", "none")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the setting `erlen_db_tables`."""
    parser.addini(
        _TABLES,
        "How the fixture 'db' makes tables: create_all (the default), upgrade (by the"
        " migrations), or none (they are there).",
        default="create_all",
    )


@pytest.fixture
def db_tables(pytestconfig: pytest.Config) -> str:
    """Return how `db` makes the tables: `create_all`, `upgrade` or `none`.

    It is the setting `erlen_db_tables`; override it for some of the tests.
    """
    return str(pytestconfig.getini(_TABLES))


def _refuse_tables(db: SQLAlchemy) -> None:
    """Fail where there are tables already: they are not ours to drop."""
    for key, engine in db.engines.items():
        names = sa.inspect(engine).get_table_names()
        if names:
            pytest.fail(
                f"The database {engine.url!r} (bind key {key!r}) has tables already,"
                f" such as {names[0]!r}, and the fixture 'db' would drop all of them"
                " after the test. Let the fixture 'app' set SQLALCHEMY_DATABASE_URI and"
                " SQLALCHEMY_BINDS to databases for tests alone; or, where the tables"
                f" are to be used and to stay, set {_TABLES} = none in the settings of"
                " pytest.",
                pytrace=False,
            )


def _drop_tables(engine: sa.Engine) -> None:
    """Drop what is there: of the models, of migrations, of a test."""
    engine.dispose()  # a session that somebody kept holds locks
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            # Before BEGIN, after which nothing comes of it. Tables that refer to each
            # other can be dropped then.
            connection.connection.cursor().execute("PRAGMA foreign_keys = OFF")
        metadata = sa.MetaData()
        metadata.reflect(connection)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SAWarning)
            metadata.drop_all(connection)
        connection.commit()
    engine.dispose()


def _make_tables(db: SQLAlchemy, way: str) -> None:
    if way == "create_all":
        db.create_all()
    else:
        from .migrate import upgrade

        upgrade()


@pytest.fixture
def db(app: Erlen, db_tables: str) -> cabc.Generator[SQLAlchemy]:
    """Return the application's `SQLAlchemy`, with its tables, in its context.

    The tables are made before the test and dropped after it, with all that it
    has committed. A context of the application is in force during the test. As
    in Flask, a request of the same thread (a client of the WSGI door) uses it,
    with its `g` and its session; `with app.app_context():` around a part of a
    test gives that a session of its own.
    """
    db: SQLAlchemy | None = app.extensions.get("sqlalchemy")
    if db is None:
        pytest.fail(
            f"The application {app.name!r} has no database: call db.init_app(app) of"
            " its erlen_db.SQLAlchemy where the fixture 'app' makes it.",
            pytrace=False,
        )
    if db_tables not in _WAYS:
        pytest.fail(
            f"{_TABLES} is {db_tables!r}, and it is one of {', '.join(_WAYS)}.",
            pytrace=False,
        )
    with app.app_context():
        if db_tables == "none":
            yield db
            for engine in db.engines.values():
                if not isinstance(engine.pool, sa_pool.StaticPool):
                    engine.dispose()
            return
        _refuse_tables(db)
        try:
            _make_tables(db, db_tables)
            yield db
        finally:
            db.session.remove()
            for engine in db.engines.values():
                _drop_tables(engine)


@pytest.fixture
def db_session(db: SQLAlchemy) -> cabc.Generator[orm.scoped_session[Session]]:
    """Return `db.session`, in a transaction that is rolled back after the test.

    It is around all that is done with all of the engines: a commit of the test, of
    a view behind either door, in any thread, ends a savepoint. What is out of its
    reach is in `erlen_db.testing.rolled_back`.
    """
    with rolled_back(db.engines.values()):
        yield db.session
        db.session.remove()
