from __future__ import annotations

import enum
import os

import pytest
import sqlalchemy as sa
from alembic import autogenerate
from alembic.operations import Operations
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from sqlalchemy.dialects import mysql
from sqlalchemy.dialects import postgresql

from erlen_db.migrate import _drops
from erlen_db.migrate import _enums

SERVERS = {
    "postgresql": os.environ.get(
        "POSTGRESQL_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/test"
    ),
    "mariadb": os.environ.get(
        "MARIADB_URL", "mysql+pymysql://root@127.0.0.1:3306/test"
    ),
}
DATABASE = f"erlen_enums_{os.getpid()}"


def _fresh(name):
    """Make a database of our own on a real server, or skip; in CI it must be there."""
    server = sa.create_engine(SERVERS[name], isolation_level="AUTOCOMMIT")
    try:
        with server.connect() as connection:
            connection.execute(sa.text(f"DROP DATABASE IF EXISTS {DATABASE}"))
            connection.execute(sa.text(f"CREATE DATABASE {DATABASE}"))
    except sa.exc.OperationalError as exc:
        server.dispose()
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no {name}: {exc.orig}")
    return server


@pytest.fixture
def connect(request):
    """Return what connects to a fresh database of a kind."""
    opened = []

    def connect(name):
        if name == "sqlite":
            engine = sa.create_engine("sqlite://")
        else:
            server = _fresh(name)
            opened.append((server, None))
            engine = sa.create_engine(server.url.set(database=DATABASE))
        connection = engine.connect()
        opened.append((engine, connection))
        return connection

    yield connect
    for engine, connection in reversed(opened):
        if connection is not None:
            connection.close()
        else:
            with engine.connect() as server:
                server.execute(sa.text(f"DROP DATABASE {DATABASE}"))
        engine.dispose()


class Migrator:
    """Compares a database with models, writes the script and runs it."""

    def __init__(self, connection):
        self.connection = connection
        self.batch = connection.dialect.name == "sqlite"
        self.metadata = None

    def context(self, metadata):
        return MigrationContext.configure(
            self.connection,
            opts={
                "compare_enums": True,
                "target_metadata": metadata,
                "transactional_ddl": self.connection.dialect.name != "mysql",
            },
        )

    def write(self, metadata, *, allow_drop=True):
        self.metadata = metadata
        context = self.context(metadata)
        script = autogenerate.produce_migrations(context, metadata)
        _drops.refuse([script], allow=allow_drop)
        written = [
            autogenerate.render_python_code(
                container,
                migration_context=context,
                render_item=_enums.render,
                render_as_batch=self.batch,
            )
            for container in (script.upgrade_ops, script.downgrade_ops)
        ]
        self.connection.rollback()
        return written

    def run(self, code):
        names = {"sa": sa, "postgresql": postgresql, "mysql": mysql}
        # As it is written into the template: all but the first line are indented.
        exec(f"from alembic import op\ndef migrate():\n    {code}\n", names)
        context = self.context(self.metadata)
        with context.begin_transaction(), Operations.context(context):
            names["migrate"]()
        if self.connection.in_transaction():
            self.connection.commit()

    def diff(self, metadata):
        context = self.context(metadata)
        script = autogenerate.produce_migrations(context, metadata)
        self.connection.rollback()
        return script.upgrade_ops.as_diffs()

    def types(self):
        found = {
            it["name"]: it["labels"] for it in sa.inspect(self.connection).get_enums()
        }
        self.connection.rollback()
        return found


@pytest.fixture
def migrator(connect):
    return lambda name: Migrator(connect(name))


def _models(*values, tables=("post",), nullable=True, default=None, **options):
    metadata = sa.MetaData(
        naming_convention={"ck": "ck_%(table_name)s_%(constraint_name)s"}
    )
    for table in tables:
        sa.Table(
            table,
            metadata,
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column(
                "status",
                sa.Enum(*values, name="status", **options),
                nullable=nullable,
                server_default=default,
            ),
        )
    return metadata


CHECKED = {"native_enum": False, "create_constraint": True}


def _try(migrator, value):
    """Insert a row; tell if the database took it."""
    try:
        migrator.connection.execute(
            sa.text("INSERT INTO post (id, status) VALUES (:id, :value)"),
            {"id": abs(hash(value)) % 10**6, "value": value},
        )
    except sa.exc.DBAPIError:
        migrator.connection.rollback()
        return False
    migrator.connection.commit()
    return True


# --- texts with a CHECK, on all of them ----------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "sqlite",
        pytest.param("postgresql", marks=pytest.mark.service),
        pytest.param("mariadb", marks=pytest.mark.service),
    ],
)
def test_members_of_a_check_come_and_go(migrator, name):
    migrator = migrator(name)
    old, new = _models("a", "b", **CHECKED), _models("a", "c", "it's", **CHECKED)
    migrator.run(migrator.write(old)[0])
    assert migrator.diff(old) == []
    assert not _try(migrator, "c")

    up, down = migrator.write(new)
    migrator.run(up)

    assert migrator.diff(new) == []
    assert _try(migrator, "c")
    assert _try(migrator, "it's")
    assert not _try(migrator, "b")

    migrator.connection.execute(sa.text("DELETE FROM post"))
    migrator.connection.commit()
    migrator.run(down)

    assert migrator.diff(old) == []
    assert _try(migrator, "b")
    assert not _try(migrator, "c")


def test_a_check_changes_with_its_length(migrator):
    migrator = migrator("sqlite")
    new = _models("a", "much longer", **CHECKED)
    migrator.run(migrator.write(_models("a", "b", **CHECKED))[0])
    migrator.run(migrator.write(new)[0])

    assert migrator.diff(new) == []
    assert _try(migrator, "much longer")


def test_a_check_of_mariadb_is_changed_apart():
    op = _enums.AlterCheck("s", "t", "ck", "c", ["a", "b"], ["a"])

    assert op.to_diff_tuple() == ("AlterCheck", "s", "t", "ck", ["a", "b"], ["a"])
    assert op.reverse().reverse().to_diff_tuple() == op.to_diff_tuple()
    assert _enums._render_check(_context("mysql"), op) == [
        "op.drop_constraint(op.f('ck'), 't', type_='check', schema='s')",
        "op.create_check_constraint(op.f('ck'), 't', \"`c` IN ('a', 'b')\", schema='s')",
    ]


def test_each_of_several_tables_is_changed(migrator):
    migrator = migrator("sqlite")
    tables = ("post", "page")
    migrator.run(migrator.write(_models("a", "b", tables=tables, **CHECKED))[0])
    new = _models("a", "c", tables=tables, **CHECKED)
    migrator.run(migrator.write(new)[0])

    assert migrator.diff(new) == []


def test_a_check_without_a_name_is_passed_over(migrator):
    migrator = migrator("sqlite")
    metadata = sa.MetaData()
    values = sa.Enum("a", "b", native_enum=False, create_constraint=True)
    sa.Table("post", metadata, sa.Column("status", values))
    metadata.create_all(migrator.connection)
    other = sa.MetaData()
    values = sa.Enum("a", "c", native_enum=False, create_constraint=True)
    sa.Table("post", other, sa.Column("status", values))

    assert migrator.diff(other) == []


def test_an_enumeration_without_a_check_is_passed_over(migrator):
    migrator = migrator("sqlite")
    _models("a", "b").create_all(migrator.connection)

    assert migrator.diff(_models("a", "c")) == []


def test_new_columns_and_tables_are_alembics(migrator):
    migrator = migrator("sqlite")
    migrator.run(
        "op.create_table('post', sa.Column('id', sa.Integer(), primary_key=True))"
    )
    metadata = _models("a", "b", tables=("post", "page"), **CHECKED)

    kinds = [diff[0] for diff in migrator.diff(metadata)]

    assert kinds == ["add_table", "add_column"]


def test_changes_join_those_of_the_same_table(migrator):
    migrator = migrator("sqlite")
    migrator.run(migrator.write(_models("a", "b", **CHECKED))[0])
    new = _models("a", "c", **CHECKED)
    new.tables["post"].append_column(sa.Column("more", sa.Integer))

    up, _ = migrator.write(new)

    assert up.count("batch_alter_table") == 1
    migrator.run(up)
    assert _try(migrator, "c")


def test_a_type_that_alembic_changes_is_left_to_it(migrator):
    migrator = migrator("sqlite")
    metadata = sa.MetaData()
    sa.Table(
        "post",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("status", sa.Integer),
    )
    metadata.create_all(migrator.connection)

    diffs = migrator.diff(_models("a", "b", **CHECKED))

    assert [diff[0][0] for diff in diffs] == ["modify_type"]


def test_tables_that_are_filtered_out_are_passed_over(migrator):
    migrator = migrator("sqlite")
    migrator.run(migrator.write(_models("a", "b", **CHECKED))[0])
    metadata = _models("a", "c", **CHECKED)
    context = MigrationContext.configure(
        migrator.connection,
        opts={"compare_enums": True, "include_object": lambda *args: False},
    )

    assert autogenerate.compare_metadata(context, metadata) == []


def test_nothing_happens_where_it_is_not_asked_for(migrator):
    migrator = migrator("sqlite")
    migrator.run(migrator.write(_models("a", "b", **CHECKED))[0])
    context = MigrationContext.configure(migrator.connection)

    assert autogenerate.compare_metadata(context, _models("a", "c", **CHECKED)) == []


# --- MariaDB's own -------------------------------------------------------------------


@pytest.mark.service
def test_members_of_a_column_come_and_go(migrator):
    migrator = migrator("mariadb")
    old = _models("a", "b", nullable=False, default="a")
    new = _models("a", "b", "c", nullable=False, default="a")
    migrator.run(migrator.write(old)[0])
    assert migrator.diff(old) == []

    up, down = migrator.write(new)
    migrator.run(up)

    assert migrator.diff(new) == []
    assert _try(migrator, "c")
    column = sa.inspect(migrator.connection).get_columns("post")[1]
    assert not column["nullable"]
    assert column["default"] == "'a'"

    migrator.connection.execute(sa.text("DELETE FROM post"))
    migrator.connection.commit()
    migrator.run(down)
    assert migrator.diff(old) == []


# --- types of PostgreSQL -------------------------------------------------------------


@pytest.mark.service
def test_a_type_is_created_once_for_two_tables_and_dropped_with_them(migrator):
    migrator = migrator("postgresql")
    metadata = _models("a", "b", tables=("post", "page"), default="a")

    up, down = migrator.write(metadata)
    migrator.run(up)

    assert up.count("CREATE TYPE") == 1
    assert migrator.types() == {"status": ["a", "b"]}
    assert migrator.diff(metadata) == []

    migrator.run(down)

    assert migrator.types() == {}
    migrator.run(up)
    assert migrator.diff(metadata) == []


@pytest.mark.service
def test_a_script_of_postgresql_runs_on_sqlite(migrator, connect):
    metadata = _models("a", "b", tables=("post", "page"))
    up, down = migrator("postgresql").write(metadata)
    other = Migrator(connect("sqlite"))

    other.run(up)
    assert sa.inspect(other.connection).get_table_names() == ["page", "post"]
    other.run(down)


@pytest.mark.service
def test_a_type_comes_with_a_column_and_goes_with_it(migrator):
    migrator = migrator("postgresql")
    migrator.run(
        "op.create_table('post', sa.Column('id', sa.Integer(), primary_key=True))"
    )
    up, down = migrator.write(_models("a", "b"))
    migrator.run(up)
    assert _try(migrator, "a")

    migrator.run(down)

    assert migrator.types() == {}


@pytest.mark.service
def test_a_type_goes_with_the_last_that_has_it(migrator):
    migrator = migrator("postgresql")
    both, one = _models("a", tables=("post", "page")), _models("a")
    migrator.run(migrator.write(both)[0])

    up, _ = migrator.write(one)
    assert "DROP TYPE" not in up
    migrator.run(up)
    empty = sa.MetaData()
    assert "DROP TYPE" not in migrator.write(empty, allow_drop=False)[0]
    up, down = migrator.write(empty)
    migrator.run(up)
    assert migrator.types() == {}

    migrator.run(down)
    assert migrator.diff(one) == []


@pytest.mark.service
def test_a_type_of_somebody_else_is_left_alone(migrator):
    migrator = migrator("postgresql")
    migrator.run("op.execute(\"CREATE TYPE other AS ENUM ('x')\")")

    assert migrator.diff(sa.MetaData()) == []


@pytest.mark.service
@pytest.mark.parametrize(
    "values",
    [
        ("a", "b", "c"),
        ("c", "a", "b"),
        ("x", "y", "a", "c", "b", "d", "it's: 5%"),
    ],
)
def test_members_are_added_where_they_belong(migrator, values):
    migrator = migrator("postgresql")
    old, new = _models("a", "b", default="a"), _models(*values, default="a")
    migrator.run(migrator.write(old)[0])

    up, down = migrator.write(new)
    migrator.run(up)

    assert "autocommit_block" in up
    assert "RENAME TO" not in up
    assert migrator.types() == {"status": list(values)}
    assert migrator.diff(new) == []
    assert all(_try(migrator, value) for value in values)
    # One that was killed runs again.
    migrator.run(up)

    migrator.connection.execute(sa.text("DELETE FROM post"))
    migrator.connection.commit()
    migrator.run(down)
    assert migrator.types() == {"status": ["a", "b"]}
    assert migrator.diff(old) == []


@pytest.mark.service
def test_a_type_is_created_anew_without_members_that_are_gone(migrator):
    migrator = migrator("postgresql")
    old = _models("a", "b", tables=("post", "page"), nullable=False, default="a")
    new = _models("c", "a", tables=("post", "page"), nullable=False, default="a")
    for metadata in (old, new):
        sa.Table(
            "tag",
            metadata,
            sa.Column(
                "kinds",
                sa.ARRAY(
                    sa.Enum(*metadata.tables["post"].c.status.type.enums, name="status")
                ),
            ),
        )
    migrator.run(migrator.write(old)[0])
    assert _try(migrator, "a")

    up, down = migrator.write(new)
    migrator.run(up)

    assert "RENAME VALUE" in up
    assert migrator.types() == {"status": ["c", "a"]}
    assert migrator.diff(new) == []
    assert _try(migrator, "c")
    migrator.connection.execute(sa.text("INSERT INTO tag VALUES ('{a,c}')"))
    migrator.connection.execute(sa.text("INSERT INTO page (id) VALUES (1)"))
    assert migrator.connection.scalar(sa.text("SELECT status FROM page")) == "a"
    migrator.connection.execute(sa.text("DELETE FROM tag"))
    migrator.connection.execute(sa.text("DELETE FROM post WHERE status = 'c'"))
    migrator.connection.commit()

    migrator.run(down)
    assert migrator.types() == {"status": ["a", "b"]}
    assert migrator.diff(old) == []


@pytest.mark.service
def test_rows_that_have_a_member_that_is_gone_are_not_changed(migrator):
    migrator = migrator("postgresql")
    migrator.run(migrator.write(_models("a", "b"))[0])
    assert _try(migrator, "b")
    up, _ = migrator.write(_models("a"))

    with pytest.raises(sa.exc.DataError, match="b"):
        migrator.run(up)

    assert migrator.types() == {"status": ["a", "b"]}


@pytest.mark.service
def test_types_live_in_schemas(migrator):
    migrator = migrator("postgresql")
    migrator.run("op.execute('CREATE SCHEMA \"the shop\"')")
    old, new = (
        _models(*values, schema="the shop") for values in (("a", "b"), ("b", "c"))
    )
    migrator.run(migrator.write(old)[0])
    assert migrator.diff(old) == []
    migrator.run(migrator.write(new)[0])
    assert migrator.diff(new) == []


# --- how it is written ---------------------------------------------------------------


class Color(enum.Enum):
    red = 1
    blue = 2


class Decorated(sa.TypeDecorator):
    impl = sa.Enum(Color)
    cache_ok = True


def _context(dialect):
    context = MigrationContext.configure(
        dialect_name=dialect,
        opts={"sqlalchemy_module_prefix": "sa.", "alembic_module_prefix": "op."},
    )
    return autogenerate.api.AutogenContext(context, autogenerate=False)


NATIVE = "postgresql.ENUM('red', 'blue', name='color', create_type=False)"
PORTABLE = (
    f"sa.Enum('red', 'blue', name='color').with_variant({NATIVE}, \"postgresql\")"
)


@pytest.mark.parametrize(
    ("type_", "written"),
    [
        (sa.Enum(Color), PORTABLE),
        (Decorated(), PORTABLE),
        (postgresql.ENUM(Color), NATIVE),
        (
            sa.Enum("a", name="x", schema="s"),
            (
                "sa.Enum('a', name='x', schema='s').with_variant(postgresql.ENUM('a',"
                " name='x', schema='s', create_type=False), \"postgresql\")"
            ),
        ),
        (sa.Enum(Color, native_enum=False), False),
        (sa.Enum("a"), False),
        (sa.ARRAY(sa.Enum(Color)), False),
        (sa.Integer(), False),
    ],
)
def test_a_type_is_written_so_that_tables_do_not_create_it(type_, written):
    assert _enums.render("type", type_, _context("postgresql")) == written


def test_other_things_and_other_databases_are_left_to_alembic():
    assert _enums.render("column", sa.Column("a"), _context("postgresql")) is False
    assert _enums.render("type", sa.Enum(Color), _context("sqlite")) is False


@pytest.mark.parametrize(
    ("op", "lines"),
    [
        (
            _enums.CreateType(None, "kind", ["a:b", "it's"]),
            [r"""op.execute("CREATE TYPE kind AS ENUM ('a\\:b', 'it''s')")"""],
        ),
        (
            _enums.DropType("s", "Kind", ["a"]),
            ["""op.execute('DROP TYPE s."Kind"')"""],
        ),
        (
            _enums.AlterType(None, "kind", ["a"], [], []),
            [
                "with op.get_context().autocommit_block():",
                """op.execute("ALTER TYPE kind ADD VALUE IF NOT EXISTS 'a'")""",
                "",
            ],
        ),
        (
            _enums.AlterType(
                None,
                "kind",
                ["b", "a"],
                ["a", "b"],
                [_enums._Use("s", "t", "c", array=True, default="'{}'::kind[]")],
            ),
            [
                "op.execute('ALTER TYPE kind RENAME TO kind__old')",
                """op.execute("CREATE TYPE kind AS ENUM ('b', 'a')")""",
                (
                    'op.execute("ALTER TABLE s.t ALTER COLUMN c DROP DEFAULT,'
                    " ALTER COLUMN c TYPE kind[] USING c::text[]::kind[],"
                    " ALTER COLUMN c SET DEFAULT '{}'::kind[]\")"
                ),
                "op.execute('DROP TYPE kind__old')",
            ],
        ),
    ],
)
def test_the_lines_of_a_script(op, lines):
    assert op.lines("op.") == lines
    assert op.reverse().reverse().to_diff_tuple() == op.to_diff_tuple()


def test_an_operation_tells_its_lines():
    with pytest.raises(NotImplementedError):
        _enums._TypeOp(None, "kind", []).lines("op.")


def test_what_a_script_takes_away_is_known():
    metadata = sa.MetaData()
    table = sa.Table(
        "t", metadata, sa.Column("a", sa.Integer), sa.UniqueConstraint("a")
    )
    found = [
        ops.DropTableOp.from_table(table),
        ops.DropTableOp("unknown"),
        ops.ModifyTableOps(
            "u",
            [
                ops.DropColumnOp("u", "b"),
                ops.AlterColumnOp("u", "c", modify_type=sa.Integer()),
                ops.AlterColumnOp("u", "d", modify_nullable=True),
            ],
        ),
    ]

    assert list(_enums._released(found)) == [
        (None, "t", "a"),
        (None, "u", "b"),
        (None, "u", "c"),
    ]
