from __future__ import annotations

import contextlib

import pytest
import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext

from erlen_db.migrate import _foreign_keys

SCHEMA = [
    "CREATE TABLE parent (id INTEGER PRIMARY KEY, name VARCHAR(10))",
    (
        "CREATE TABLE child (id INTEGER PRIMARY KEY, parent_id INTEGER"
        " REFERENCES parent (id) ON DELETE CASCADE)"
    ),
    "INSERT INTO parent (id, name) VALUES (1, 'a'), (2, 'b')",
    "INSERT INTO child (id, parent_id) VALUES (1, 1), (2, 1), (3, 2)",
]


def _plain(engine):
    """The driver begins by itself, at the first INSERT."""


def _deferred(engine):
    """The engine begins each transaction by itself, as SQLAlchemy's manual has it."""

    @sa.event.listens_for(engine, "begin")
    def _begin(connection):
        connection.exec_driver_sql("BEGIN")


@pytest.fixture(params=[_plain, _deferred])
def engine(request, tmp_path):
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'app.db'}")

    @sa.event.listens_for(engine, "connect")
    def _enforce(dbapi_connection, record):
        dbapi_connection.execute("PRAGMA foreign_keys = ON")

    request.param(engine)
    with engine.begin() as connection:
        for statement in SCHEMA:
            connection.exec_driver_sql(statement)
    yield engine
    engine.dispose()


@contextlib.contextmanager
def _migration(connection):
    """Run as `env.py` does."""
    with _foreign_keys.off(connection):
        context = MigrationContext.configure(
            connection, opts={"transactional_ddl": True}
        )
        with context.begin_transaction():
            yield Operations(context)


def _count(engine, table):
    with engine.connect() as connection:
        return connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar()


def _change_parent(op):
    with op.batch_alter_table("parent", recreate="always") as batch:
        batch.alter_column("name", type_=sa.String(50))


def test_a_batch_change_of_a_parent_keeps_its_children(engine):
    with engine.connect() as connection, _migration(connection) as op:
        _change_parent(op)

    assert _count(engine, "parent") == 2
    assert _count(engine, "child") == 3


def test_without_it_the_children_are_deleted(engine):
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        _change_parent(Operations(context))
        connection.commit()

    assert _count(engine, "child") == 0


def test_foreign_keys_are_on_again_afterwards(engine):
    with engine.connect() as connection:
        with _foreign_keys.off(connection):
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 0
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def test_foreign_keys_that_were_off_stay_off():
    engine = sa.create_engine("sqlite://")
    with engine.connect() as connection:
        with _foreign_keys.off(connection):
            pass
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 0
    engine.dispose()


def test_a_migration_that_breaks_references_is_rolled_back(engine):
    with (
        engine.connect() as connection,
        pytest.raises(_foreign_keys.ForeignKeyError, match=r"child -> parent \(2\)"),
        _migration(connection) as op,
    ):
        op.add_column("parent", sa.Column("more", sa.Integer()))
        op.execute("DELETE FROM parent WHERE id = 1")

    assert _count(engine, "parent") == 2
    with engine.connect() as connection:
        names = [it["name"] for it in sa.inspect(connection).get_columns("parent")]
    assert names == ["id", "name"]


def test_the_connection_can_be_used_after_a_violation(engine):
    with engine.connect() as connection:
        with (
            pytest.raises(_foreign_keys.ForeignKeyError),
            _migration(connection) as op,
        ):
            op.execute("DELETE FROM parent")
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
        connection.exec_driver_sql("DELETE FROM parent WHERE id = 1")
        connection.commit()

    assert _count(engine, "child") == 1


def test_references_that_were_broken_before_are_left_as_they_are(engine):
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        connection.rollback()
        connection.connection.execute("PRAGMA foreign_keys = OFF")
        connection.exec_driver_sql("INSERT INTO child VALUES (9, 99)")
        connection.commit()
        with _migration(connection) as op:
            _change_parent(op)
        with (
            pytest.raises(_foreign_keys.ForeignKeyError, match=r"parent \(1\)"),
            _migration(connection) as op,
        ):
            op.execute("INSERT INTO child VALUES (10, 99)")

    assert _count(engine, "child") == 4


def test_a_reference_to_columns_that_are_not_unique_is_told(engine):
    with (
        engine.connect() as connection,
        pytest.raises(_foreign_keys.ForeignKeyError, match="foreign key mismatch"),
        _migration(connection) as op,
    ):
        op.execute(
            "CREATE TABLE pet (id INTEGER PRIMARY KEY,"
            " name VARCHAR REFERENCES parent (name))"
        )
        op.execute("INSERT INTO pet VALUES (1, 'a')")


def test_a_long_list_of_violations_is_cut(engine):
    with (
        engine.connect() as connection,
        pytest.raises(_foreign_keys.ForeignKeyError, match="and 2 more"),
        _migration(connection) as op,
    ):
        for number in range(7):
            op.execute(f'CREATE TABLE "t {number}" (p INTEGER REFERENCES parent (id))')
            op.execute(f'INSERT INTO "t {number}" VALUES (77)')


def test_a_failed_migration_leaves_nothing_behind(engine):
    with (
        engine.connect() as connection,
        pytest.raises(ZeroDivisionError),
        _migration(connection) as op,
    ):
        op.create_table("pet", sa.Column("id", sa.Integer(), primary_key=True))
        op.add_column("parent", sa.Column("more", sa.Integer()))
        op.drop_table("child")
        1 / 0  # noqa: B018

    with engine.connect() as connection:
        assert sa.inspect(connection).get_table_names() == ["child", "parent"]
    assert _count(engine, "child") == 3


def test_a_transaction_is_begun_before_the_first_statement(engine):
    with engine.connect() as connection, _migration(connection) as op:
        op.execute("SELECT 1")
        assert connection.connection.in_transaction
        # Immediate: nobody else can write.
        with engine.connect() as other:
            other.connection.execute("PRAGMA busy_timeout = 0")
            with pytest.raises(sa.exc.OperationalError, match="locked"):
                other.exec_driver_sql("DELETE FROM child")


def test_an_autocommit_block_is_no_transaction(engine):
    with (
        engine.connect() as connection,
        _foreign_keys.off(connection),
    ):
        context = MigrationContext.configure(
            connection, opts={"transactional_ddl": True}
        )
        op = Operations(context)
        with context.begin_transaction():
            op.execute("INSERT INTO parent VALUES (3, 'c')")
            with context.autocommit_block():
                op.execute("INSERT INTO child VALUES (4, 3)")
            op.execute("INSERT INTO child VALUES (5, 3)")
            assert connection.connection.in_transaction

    assert _count(engine, "child") == 5


def test_a_transaction_that_is_open_is_refused(engine):
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
        with (
            pytest.raises(RuntimeError, match="outside of a transaction"),
            _foreign_keys.off(connection),
        ):
            pass


def test_the_engine_is_as_before_for_others(engine):
    with engine.connect() as connection:
        with _foreign_keys.off(connection):
            pass
        connection.exec_driver_sql("INSERT INTO parent VALUES (4, 'd')")
        connection.commit()

    assert _count(engine, "parent") == 3


def test_other_databases_are_left_alone():
    class Connection:
        dialect = sa.create_mock_engine("postgresql://", print).dialect

    with _foreign_keys.off(Connection()):
        pass


def test_a_transaction_without_a_statement_is_nothing(engine):
    with engine.connect() as connection, _migration(connection):
        pass

    assert _count(engine, "child") == 3
