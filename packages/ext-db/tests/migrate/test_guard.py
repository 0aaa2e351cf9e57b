from __future__ import annotations

import contextlib

import pytest
import sqlalchemy as sa

from erlen_db.migrate import _guard
from erlen_db.migrate import _lock

MAKE = 'op.execute("CREATE TABLE made (id INTEGER PRIMARY KEY)")'


@pytest.fixture
def engine(tmp_path):
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'app.db'}")
    yield engine
    engine.dispose()


@pytest.fixture
def said():
    return []


@contextlib.contextmanager
def _hold(engine):
    with engine.connect() as connection, _lock.hold(connection):
        yield


def _foreign_keys(connection):
    return connection.exec_driver_sql("PRAGMA foreign_keys").scalar()


def test_a_connection_has_the_lock_until_it_is_closed(engine, said):
    with _guard.guarded([engine], 0, said.append), engine.connect():
        other = sa.create_engine(engine.url)
        with (
            other.connect() as connection,
            pytest.raises(RuntimeError, match="Another migration"),
            _lock.hold(connection, 0),
        ):
            pass
        other.dispose()
    with _hold(engine):
        pass


def test_one_that_finds_it_locked_says_so_and_is_closed(engine, said):
    with _hold(engine), _guard.guarded([engine], 0.01, said.append):
        with pytest.raises(RuntimeError, match="Another migration"):
            engine.connect()
        assert engine.pool.checkedout() == 1
    assert "Waiting" in said[0]


def test_two_engines_of_one_database_do_not_wait_for_each_other(engine, said):
    other = sa.create_engine(engine.url)
    with (
        _guard.guarded([engine, other], 0, said.append),
        engine.connect(),
        other.connect(),
    ):
        pass
    other.dispose()


def test_foreign_keys_are_as_they_were_afterwards(engine, said):
    @sa.event.listens_for(engine, "connect")
    def switch_on(connection, record):
        connection.execute("PRAGMA foreign_keys = ON")

    with _guard.guarded([engine], 0, said.append):
        with engine.connect() as connection:
            assert _foreign_keys(connection) == 0
        left_open = engine.connect()
        assert _foreign_keys(left_open) == 0
    assert left_open.closed
    with engine.connect() as connection:
        assert _foreign_keys(connection) == 1


def test_a_failed_migration_leaves_nothing_and_runs_again(project):
    project("init")
    path = project.write("a1", None, f"{MAKE}; raise ZeroDivisionError")

    project("upgrade", code=1)
    assert "made" not in project.tables()
    path.write_text(path.read_text().replace("; raise ZeroDivisionError", ""))
    project("upgrade")
    assert "made" in project.tables()


def test_migrations_before_the_failed_one_stay(project):
    project("init")
    project.write("a1", None, MAKE)
    project.write("b2", "a1", "raise ZeroDivisionError")

    project("upgrade", code=1)
    assert project.fetch("SELECT version_num FROM alembic_version") == [("a1",)]


@pytest.mark.parametrize("kind", ["erlen", "single"])
def test_a_change_of_a_parent_keeps_its_children(project, kind):
    project("init") if kind == "erlen" else project.legacy()
    project.write(
        "a1",
        None,
        "for it in ("
        "'CREATE TABLE parent (id INTEGER PRIMARY KEY, name TEXT)',"
        "'CREATE TABLE child (id INTEGER PRIMARY KEY, parent_id INTEGER"
        " REFERENCES parent (id) ON DELETE CASCADE)',"
        "'INSERT INTO parent VALUES (1, NULL)',"
        "'INSERT INTO child VALUES (1, 1), (2, 1)'): op.execute(it)",
    )
    project("upgrade")
    project.write(
        "b2",
        "a1",
        "with op.batch_alter_table('parent') as it:"
        " it.alter_column('name', type_=sa.String(9), existing_type=sa.Text())",
    )
    project("upgrade")

    assert project.fetch("SELECT count(*) FROM child") == [(2,)]
    assert (
        "VARCHAR(9)"
        in project.fetch("SELECT sql FROM sqlite_master WHERE name = 'parent'")[0][0]
    )


def test_what_breaks_a_foreign_key_is_rolled_back(project):
    project("init")
    project.write(
        "a1",
        None,
        "for it in ("
        "'CREATE TABLE parent (id INTEGER PRIMARY KEY)',"
        "'CREATE TABLE child (id INTEGER REFERENCES parent (id))',"
        "'INSERT INTO child VALUES (1)'): op.execute(it)",
    )

    assert "child -> parent (1)" in project("upgrade", code=1)
    assert project.tables() == []


def test_another_migrator_is_waited_for(project):
    project("init")
    project.write("a1", None)

    with project.app.app_context(), _hold(project.db.engine):
        printed = project("upgrade", "--lock-timeout", "0.01", code=1)
    assert "Waiting" in printed
    assert "Another migration" in printed
