from __future__ import annotations

import types

import pytest
import sqlalchemy as sa
from alembic import op
from alembic.operations import Operations
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from sqlalchemy.dialects import postgresql

from erlen_db.migrate import _unsafe

PG, MY, LITE = "postgresql", "mariadb", "sqlite"
ALL = (PG, MY, "mysql", LITE)


def _kinds(upgrade, dialect=PG):
    return [finding.kind for finding in _unsafe.find(upgrade, dialect)]


def _column(*args, **kwargs):
    return sa.Column("c", sa.Integer, *args, **kwargs)


def _concurrently(call):
    with op.get_context().autocommit_block():
        call()


def _batch(call):
    with op.batch_alter_table("t") as batch:
        call(batch)


# What is unsafe, by dialect: a kind, an upgrade, and where it is found.
FOUND = [
    ("not-null-column", lambda: op.add_column("t", _column(nullable=False)), ALL),
    (
        "not-null-column",
        lambda: _batch(lambda b: b.add_column(_column(nullable=False))),
        ALL,
    ),
    (
        "volatile-default",
        lambda: op.add_column("t", _column(server_default=sa.text("random()"))),
        [PG],
    ),
    (
        "volatile-default",
        lambda: op.add_column("t", _column(server_default=sa.func.gen_random_uuid())),
        [PG],
    ),
    ("volatile-default", lambda: op.add_column("t", _column(sa.Identity())), [PG]),
    (
        "volatile-default",
        lambda: op.add_column("t", _column(sa.Computed("1 + 1"))),
        [PG],
    ),
    (
        "foreign-key",
        lambda: op.add_column("t", _column(sa.ForeignKey("o.id"))),
        [PG, MY, "mysql"],
    ),
    ("unique", lambda: op.add_column("t", _column(unique=True)), [PG]),
    ("index", lambda: op.add_column("t", _column(index=True)), [PG]),
    ("drop-column", lambda: op.drop_column("t", "c"), ALL),
    ("drop-column", lambda: _batch(lambda b: b.drop_column("c")), ALL),
    ("drop-table", lambda: op.drop_table("t"), ALL),
    ("rename-table", lambda: op.rename_table("t", "u"), ALL),
    ("rename-column", lambda: op.alter_column("t", "c", new_column_name="d"), ALL),
    (
        "change-type",
        lambda: op.alter_column("t", "c", type_=sa.BigInteger()),
        [PG, MY, "mysql"],
    ),
    (
        "change-type",
        lambda: op.alter_column(
            "t", "c", existing_type=sa.String(20), type_=sa.String(10)
        ),
        [PG, MY, "mysql"],
    ),
    (
        "change-type",
        lambda: op.alter_column(
            "t", "c", existing_type=sa.String(60), type_=sa.String(80)
        ),
        [MY, "mysql"],
    ),
    (
        "change-type",
        lambda: op.alter_column(
            "t", "c", existing_type=sa.Enum("a", "b"), type_=sa.Enum("b", "c")
        ),
        [PG, MY, "mysql"],
    ),
    ("set-not-null", lambda: op.alter_column("t", "c", nullable=False), ALL),
    ("index", lambda: op.create_index("ix", "t", ["c"]), [PG]),
    ("index", lambda: op.create_index("ix", "t", [sa.text("lower(c)")]), [PG]),
    ("drop-index", lambda: op.drop_index("ix", "t"), [PG]),
    ("drop-index", lambda: op.drop_index("ix"), [PG]),
    (
        "concurrently-in-transaction",
        lambda: op.create_index("ix", "t", ["c"], postgresql_concurrently=True),
        [PG],
    ),
    (
        "concurrently-in-transaction",
        lambda: op.drop_index("ix", "t", postgresql_concurrently=True),
        [PG],
    ),
    (
        "concurrently-in-transaction",
        lambda: op.execute("CREATE INDEX CONCURRENTLY ix ON t (c)"),
        [PG],
    ),
    (
        "foreign-key",
        lambda: op.create_foreign_key("fk", "t", "o", ["c"], ["id"]),
        [PG, MY, "mysql"],
    ),
    (
        "check",
        lambda: op.create_check_constraint("ck", "t", "c > 0"),
        [PG, MY, "mysql"],
    ),
    ("unique", lambda: op.create_unique_constraint("uq", "t", ["c"]), [PG]),
    ("primary-key", lambda: op.create_primary_key("pk", "t", ["c"]), [PG, MY, "mysql"]),
    (
        "exclude",
        lambda: op.create_exclude_constraint("ex", "t", ("c", "=")),
        [PG],
    ),
]

SQL = [
    ("index", "CREATE UNIQUE INDEX ix ON t (c)"),
    ("index", "create index if not exists ix\n on only t (c)"),
    ("drop-index", "DROP INDEX IF EXISTS t"),
    ("not-null-column", "ALTER TABLE t ADD COLUMN c INT NOT NULL"),
    ("not-null-column", "ALTER TABLE IF EXISTS t ADD c INT NOT NULL"),
    ("not-null-column", "ALTER TABLE t ADD a INT DEFAULT 1, ADD c INT NOT NULL"),
    ("change-type", 'ALTER TABLE "t" ALTER COLUMN c TYPE BIGINT'),
    ("change-type", "ALTER TABLE t ALTER c SET DATA TYPE BIGINT"),
    ("set-not-null", "ALTER TABLE t ALTER COLUMN c SET NOT NULL"),
    ("foreign-key", "ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (c) REFERENCES o (id)"),
    ("foreign-key", "ALTER TABLE t ADD COLUMN c INT REFERENCES o (id)"),
    ("check", "ALTER TABLE t ADD CONSTRAINT k CHECK (c > 0)"),
    ("unique", "ALTER TABLE t ADD CONSTRAINT u UNIQUE (c)"),
    ("primary-key", "ALTER TABLE t ADD PRIMARY KEY (c)"),
    ("rename-table", "ALTER TABLE t RENAME TO u"),
    ("rename-column", "ALTER TABLE t RENAME COLUMN c TO d"),
    ("rename-column", "ALTER TABLE t RENAME c TO d"),
    ("drop-column", "ALTER TABLE t DROP COLUMN c"),
    ("drop-column", "ALTER TABLE t DROP c"),
    ("drop-table", "DROP TABLE IF EXISTS t"),
    ("truncate", "TRUNCATE TABLE t"),
    ("lock-table", "LOCK TABLE t IN EXCLUSIVE MODE"),
    ("rewrite", "VACUUM FULL t"),
    ("rewrite", "CLUSTER t USING ix"),
    ("rewrite", "REINDEX TABLE t"),
    ("rewrite", "REFRESH MATERIALIZED VIEW t"),
    ("all-rows", "UPDATE t SET c = 1"),
    ("all-rows", "DELETE FROM t"),
]

SAFE = [
    lambda: op.add_column("t", _column()),
    lambda: op.add_column("t", _column(nullable=False, server_default="0")),
    lambda: op.add_column("t", _column(server_default=sa.text("now()"))),
    lambda: op.add_column("t", _column(server_default=sa.func.now())),
    lambda: op.add_column("t", _column(server_default=sa.text("'x'"))),
    lambda: op.add_column("t", _column(server_default=sa.FetchedValue())),
    lambda: op.alter_column("t", "c", nullable=True, server_default="0"),
    lambda: op.alter_column("t", "c", existing_type=sa.String(10), type_=sa.String(20)),
    lambda: op.alter_column(
        "t", "c", existing_type=sa.Enum("a"), type_=sa.Enum("a", "b")
    ),
    lambda: _concurrently(
        lambda: op.create_index("ix", "t", ["c"], postgresql_concurrently=True)
    ),
    lambda: _concurrently(
        lambda: op.drop_index("ix", "t", postgresql_concurrently=True)
    ),
    lambda: _concurrently(lambda: op.execute("CREATE INDEX CONCURRENTLY ix ON t (c)")),
    lambda: op.create_foreign_key(
        "fk", "t", "o", ["c"], ["id"], postgresql_not_valid=True
    ),
    lambda: op.create_check_constraint("ck", "t", "c > 0", postgresql_not_valid=True),
    lambda: op.drop_constraint("ck", "t"),
    lambda: op.execute("ALTER TABLE t ADD CONSTRAINT k CHECK (c > 0) NOT VALID"),
    lambda: op.execute("ALTER TABLE t VALIDATE CONSTRAINT k"),
    lambda: op.execute("ALTER TABLE t ADD c INT NOT NULL DEFAULT 0"),
    lambda: op.execute("ALTER TABLE t ADD c INT DEFAULT 0 NOT NULL"),
    lambda: op.execute("ALTER TABLE t DROP CONSTRAINT k"),
    lambda: op.execute("ALTER TABLE t ALTER COLUMN c DROP NOT NULL"),
    lambda: op.execute("ALTER TABLE t RENAME CONSTRAINT k TO l"),
    lambda: op.execute("ALTER TYPE k ADD VALUE 'x'"),
    lambda: op.execute("UPDATE t SET c = 1 WHERE id = 1"),
    lambda: op.execute("DELETE FROM t WHERE id = 1"),
    lambda: op.bulk_insert(sa.table("t", sa.column("c")), [{"c": 1}]),
]


@pytest.mark.parametrize("dialect", ALL)
@pytest.mark.parametrize(("kind", "upgrade", "where"), FOUND)
def test_what_is_unsafe_is_found_where_it_is(kind, upgrade, where, dialect):
    found = [] if dialect not in where else [kind]

    assert [it for it in _kinds(upgrade, dialect) if it == kind] == found


@pytest.mark.parametrize(("kind", "sql"), SQL)
def test_statements_are_looked_at_as_well(kind, sql):
    (finding,) = _unsafe.find(lambda: op.execute(sql), PG)

    assert (finding.kind, finding.subject) == (kind, "t")


def test_a_change_of_a_type_by_a_statement_of_mariadb():
    assert _kinds(lambda: op.execute("ALTER TABLE t MODIFY c BIGINT"), MY) == [
        "change-type"
    ]


@pytest.mark.parametrize("upgrade", SAFE)
def test_what_is_safe_is_not_found(upgrade):
    assert _kinds(upgrade) == []


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        (sa.String(10), sa.Text(), {MY}),
        (sa.String(100), sa.String(200), set()),
        (sa.String(10), sa.String(20), set()),
        (sa.String(), sa.String(20), {PG, MY}),
        (sa.Integer(), sa.String(20), {PG, MY}),
    ],
)
def test_a_type_that_only_grows(old, new, found):
    def upgrade():
        op.alter_column("t", "c", existing_type=old, type_=new)

    assert {it for it in (PG, MY) if _kinds(upgrade, it)} == found


def test_tables_of_the_same_migration_are_nobodys_yet():
    def upgrade():
        table = op.create_table(
            "t", sa.Column("id", sa.Integer), sa.Column("c", sa.Text)
        )
        op.bulk_insert(table, [{"id": 1}])
        op.create_index("ix", "t", ["c"])
        op.add_column("t", sa.Column("d", sa.Text, nullable=False))
        op.execute("CREATE TABLE u (id INT)")
        op.execute("CREATE INDEX iy ON u (id)")

    assert _kinds(upgrade) == []


def test_each_finding_has_a_cure_for_its_table():
    (finding,) = _unsafe.find(lambda: op.create_index("ix", "t", ["c"]), PG)

    assert str(finding) == (
        "[index] t: nobody can write to the table while an index is built without"
        " CONCURRENTLY.\n"
        "  Build it concurrently, outside of a transaction, in a migration of its own."
        "\n    with op.get_context().autocommit_block():\n"
        "        op.create_index('ix', 't', ['c'], postgresql_concurrently=True)"
    )


@pytest.mark.parametrize("kind", _unsafe._ADVICE)
def test_all_advice_can_be_filled_in(kind):
    for dialect in _unsafe._ADVICE[kind]:
        judge = _unsafe._Judge(dialect)
        judge._found(kind, "t", "c")
        (finding,) = judge.findings
        assert "{" not in finding.problem + finding.cure + finding.code
        compile(finding.code, "cure", "exec")


def test_a_finding_is_told_once():
    def upgrade():
        op.drop_column("t", "c")
        op.drop_column("t", "c")

    assert _kinds(upgrade) == ["drop-column"]


def test_a_migration_may_read_rows_that_are_not_there():
    def upgrade():
        bind = op.get_bind()
        bind.execute(sa.text("UPDATE t SET c = 1"))
        assert bind.execute(sa.text("SELECT 1")).scalar() is None
        assert bind.scalar(sa.text("SELECT 1")) is None
        assert bind.scalars(sa.text("SELECT 1")).all() == []
        assert bind.exec_driver_sql("SELECT 1").mappings().fetchall() == []
        assert list(bind.execute(sa.text("SELECT 1"))) == []
        assert bind.execute(sa.text("SELECT 1")).first() is None
        assert bind.dialect.name == PG
        op.drop_table("t")

    assert _kinds(upgrade) == ["all-rows", "drop-table"]


def test_what_cannot_be_followed_is_said():
    def upgrade():
        op.drop_table("t")
        sa.inspect(op.get_bind())

    finding = _unsafe.find(upgrade, PG)[-1]

    assert finding.kind == "not-read"
    assert "NoInspectionAvailable" in finding.problem


def test_scripts_say_what_was_looked_at():
    def upgrade(name):
        op.drop_column("t", "c")
        op.drop_table(name)

    module = types.SimpleNamespace(upgrade=upgrade, erlen_reviewed=["drop-column"])
    script = types.SimpleNamespace(module=module)

    (finding,) = _unsafe.find(script, PG, "u")

    assert (finding.kind, finding.subject) == ("drop-table", "u")


def test_operations_of_autogenerate_are_looked_at():
    upgrade = ops.UpgradeOps(
        [ops.ModifyTableOps("t", [ops.DropColumnOp("t", "c")]), ops.DropTableOp("u")]
    )

    assert _kinds(upgrade) == ["drop-column", "drop-table"]


def test_a_migration_that_runs_gets_its_operations_back():
    engine = sa.create_engine("sqlite://")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        with Operations.context(context):
            _unsafe.find(lambda: op.drop_table("t"), LITE)
            assert op.get_bind() is connection
            assert op.get_context() is context
    engine.dispose()


def test_a_name_in_quotes_is_the_same_table():
    def upgrade():
        op.create_table("t", sa.Column("c", postgresql.UUID))
        op.execute('CREATE INDEX ix ON "t" (c)')

    assert _kinds(upgrade) == []
