"""Finds what a migration does to a running application: locks, and code that breaks.

An upgrade is run against a recorder, not a database. Each finding says what happens
on the database at hand and gives the safe way, in words and as code.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import re
import types
import typing as t

import alembic.op
import sqlalchemy as sa
from alembic.operations import BatchOperations
from alembic.operations import Operations
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from alembic.script import Script

__all__ = ["Finding", "find"]

#: The name in a migration that lists the kinds of findings somebody has looked at.
REVIEWED = "erlen_reviewed"


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something in a migration that can hurt an application that runs meanwhile.

    Attributes:
        kind: Which danger, a word with hyphens, as `erlen_reviewed` takes it.
        subject: What it happens to, such as `user.name`.
        problem: What goes wrong, a sentence.
        cure: The safe way, in words.
        code: The safe way, as lines of a migration; may be empty.
    """

    kind: str
    subject: str
    problem: str
    cure: str
    code: str = ""

    def __str__(self) -> str:
        """Tell it in full, over several lines."""
        code = "".join(f"\n    {line}" for line in self.code.splitlines())
        return f"[{self.kind}] {self.subject}: {self.problem}\n  {self.cure}{code}"


@dataclasses.dataclass(frozen=True)
class _Advice:
    problem: str
    cure: str
    code: str = ""


_CONCURRENTLY = """\
with op.get_context().autocommit_block():
    op.create_index({name!r}, {table!r}, {columns!r}, postgresql_concurrently=True)"""

_NEW_COLUMN = (
    "Add a column of the new type, write both, copy the old rows in batches, and drop"
    " the old one a release later"
)

_COPIED = "the whole table is copied, while nobody can write to it."

_NOT_VALID = """\
op.{create}(..., postgresql_not_valid=True)
# in a later migration, which only reads the rows:
op.execute('ALTER TABLE {table} VALIDATE CONSTRAINT {name}')"""

# By kind, and by dialect where they differ; "" is for all the others.
_ADVICE: dict[str, dict[str, _Advice]] = {
    "not-null-column": {
        "": _Advice(
            "a new column that is NOT NULL and has no server default fails as soon as"
            " the table has rows, and so do the inserts of code that does not know it.",
            "Give it a server default, or add it as nullable, fill it, and forbid NULL"
            " in a later migration.",
            "op.add_column({table!r}, sa.Column({column!r}, ..., nullable=False,"
            " server_default=...))",
        ),
    },
    "volatile-default": {
        "postgresql": _Advice(
            "a default that differs by row makes PostgreSQL write the whole table anew,"
            " while nobody can read it.",
            "Add the column without the default, set the default for new rows, and"
            " fill old rows in batches.",
            "op.add_column({table!r}, sa.Column({column!r}, ..., nullable=True))\n"
            "op.alter_column({table!r}, {column!r}, server_default=...)",
        ),
    },
    "drop-column": {
        "": _Advice(
            "code that still runs names the column in each SELECT and INSERT, and fails"
            " once it is gone.",
            "First release the code without the column in its model; drop it in the"
            " migration of the next release.",
        ),
    },
    "drop-table": {
        "": _Advice(
            "code that still runs fails once the table is gone, and its rows are lost.",
            "First release the code without the model; drop the table in the migration"
            " of the next release.",
        ),
    },
    "rename-table": {
        "": _Advice(
            "code that still runs uses the old name.",
            "Rename the class only and keep the name, or leave a view of the old name"
            " until all the old code is gone.",
            "__tablename__ = {table!r}",
        ),
    },
    "rename-column": {
        "": _Advice(
            "code that still runs uses the old name.",
            "Rename the attribute only and keep the name of the column, or add a new"
            " column, write both, copy the old rows, and drop the old one a release"
            " later.",
            "new_name: Mapped[...] = mapped_column({column!r})",
        ),
    },
    "change-type": {
        "postgresql": _Advice(
            "most changes of a type make PostgreSQL write the whole table anew, while"
            " nobody can read it.",
            f"{_NEW_COLUMN}.",
        ),
        "mysql": _Advice(
            "a change of type copies the whole table, while nobody can write to it.",
            f"{_NEW_COLUMN}, or use an online tool (pt-online-schema-change).",
        ),
    },
    "set-not-null": {
        "postgresql": _Advice(
            "PostgreSQL reads the whole table, while nobody else can.",
            "Add a CHECK that is not yet valid, validate it, and then set NOT NULL,"
            " which uses the CHECK.",
            "op.create_check_constraint({name!r}, {table!r}, '{column} IS NOT NULL',"
            " postgresql_not_valid=True)\n"
            "# in a later migration:\n"
            "op.execute('ALTER TABLE {table} VALIDATE CONSTRAINT {name}')\n"
            "op.alter_column({table!r}, {column!r}, nullable=False)\n"
            "op.drop_constraint({name!r}, {table!r})",
        ),
        "": _Advice(
            "it fails if a row has NULL, and so do the inserts of code that leaves the"
            " column out.",
            "Release the code that always fills the column, fill the old rows, and only"
            " then forbid NULL.",
        ),
    },
    "index": {
        "postgresql": _Advice(
            "nobody can write to the table while an index is built without"
            " CONCURRENTLY.",
            "Build it concurrently, outside of a transaction, in a migration of its"
            " own.",
            _CONCURRENTLY,
        ),
    },
    "drop-index": {
        "postgresql": _Advice(
            "dropping an index waits for all who use the table, and makes all who come"
            " later wait in turn.",
            "Drop it concurrently, outside of a transaction.",
            "with op.get_context().autocommit_block():\n"
            "    op.drop_index({name!r}, {table!r}, postgresql_concurrently=True)",
        ),
    },
    "concurrently-in-transaction": {
        "postgresql": _Advice(
            "PostgreSQL refuses CONCURRENTLY inside of a transaction.",
            "Put it into an autocommit block.",
            "with op.get_context().autocommit_block():\n    ...",
        ),
    },
    "foreign-key": {
        "postgresql": _Advice(
            "both tables cannot be written to while all rows are checked.",
            "Add it without checking the rows that are there, and check them in a later"
            " migration.",
            _NOT_VALID,
        ),
        "mysql": _Advice(
            _COPIED,
            "Do it at a quiet time, or without the check of rows that are there (SET"
            " foreign_key_checks = 0), which makes it a change in place.",
        ),
    },
    "check": {
        "postgresql": _Advice(
            "nobody can read the table while all rows are checked.",
            "Add it without checking the rows that are there, and check them in a later"
            " migration.",
            _NOT_VALID,
        ),
        "mysql": _Advice(_COPIED, "Do it at a quiet time."),
    },
    "unique": {
        "postgresql": _Advice(
            "nobody can read the table while the index of the constraint is built.",
            "Build a unique index concurrently, and make it the constraint.",
            "with op.get_context().autocommit_block():\n"
            "    op.create_index({name!r}, {table!r}, {columns!r}, unique=True,"
            " postgresql_concurrently=True)\n"
            "op.execute('ALTER TABLE {table} ADD CONSTRAINT {name} UNIQUE USING INDEX"
            " {name}')",
        ),
    },
    "primary-key": {
        "postgresql": _Advice(
            "nobody can read the table while the index of the key is built.",
            "Build a unique index concurrently, and make it the key.",
            "op.execute('ALTER TABLE {table} ADD PRIMARY KEY USING INDEX {name}')",
        ),
        "mysql": _Advice(
            "the whole table is written anew, in the order of the new key.",
            "Do it at a quiet time, or use an online tool (pt-online-schema-change).",
        ),
    },
    "exclude": {
        "postgresql": _Advice(
            "nobody can read the table while the index of the constraint is built.",
            "There is no other way to build it: do it at a quiet time.",
        ),
    },
    "rewrite": {
        "postgresql": _Advice(
            "the whole table is locked while it is written or built anew.",
            "Use the concurrent form (REINDEX CONCURRENTLY, REFRESH MATERIALIZED VIEW"
            " CONCURRENTLY), or pg_repack.",
        ),
    },
    "lock-table": {
        "": _Advice(
            "the others wait until the migration ends.",
            "Leave the lock out, or keep the migration as short as it can be.",
        ),
    },
    "all-rows": {
        "": _Advice(
            "all rows are changed at once, and stay locked until the migration ends.",
            "Change them in batches, each in a transaction of its own, apart from"
            " changes of the schema.",
            "with op.get_context().autocommit_block():\n"
            "    ...  # UPDATE {table} SET ... WHERE id BETWEEN ... AND ...",
        ),
    },
    "truncate": {
        "": _Advice(
            "the rows are lost, and who reads the table waits.",
            "Delete in batches what may go, after a look at what is there.",
        ),
    },
    "not-read": {
        "": _Advice(
            "the migration could not be followed to its end without a database, so what"
            " comes later was not looked at: {error}",
            "Look at the rest by hand. Move what reads rows into a script of its own,"
            " or behind `if not op.get_context().as_sql`.",
        ),
    },
}

# Kinds of findings by what a statement says. `(?P<table>` is what it is about.
_NAME = r'(?P<table>[\w."`]+)'
_ALTER = rf"ALTER\s+TABLE\s+(?:IF\s+EXISTS\s+)?(?:ONLY\s+)?{_NAME}\s.*?"
_STATEMENTS: list[tuple[str, str]] = [
    (
        "index",
        r"CREATE\s+(?:UNIQUE\s+)?INDEX\s+(?!CONCURRENTLY).*?\sON\s+(?:ONLY\s+)?"
        + _NAME,
    ),
    ("drop-index", r"DROP\s+INDEX\s+(?!CONCURRENTLY)(?:IF\s+EXISTS\s+)?" + _NAME),
    (
        "not-null-column",
        _ALTER + r"ADD\s+(?:COLUMN\s+)?(?!CONSTRAINT)(?:(?!\bDEFAULT\b|,).)*"
        r"NOT\s+NULL(?!(?:(?!,).)*\bDEFAULT\b)",
    ),
    ("change-type", _ALTER + r"(?:ALTER\s.*?\bTYPE\b|(?:MODIFY|CHANGE)\s)"),
    ("set-not-null", _ALTER + r"SET\s+NOT\s+NULL"),
    (
        "foreign-key",
        _ALTER + r"ADD\s(?:(?!NOT\s+VALID).)*(?:FOREIGN\s+KEY|REFERENCES)"
        r"(?!.*NOT\s+VALID)",
    ),
    ("check", _ALTER + r"ADD\s[^,]*\bCHECK\b(?!.*NOT\s+VALID)"),
    ("unique", _ALTER + r"ADD\s[^,]*\bUNIQUE\b(?!\s+USING)"),
    ("primary-key", _ALTER + r"ADD\s[^,]*\bPRIMARY\s+KEY\b(?!\s+USING)"),
    ("rename-table", _ALTER + r"RENAME\s+(?:TO|AS)\s"),
    ("rename-column", _ALTER + r"RENAME\s+(?!TO\s|AS\s|CONSTRAINT\s|INDEX\s|KEY\s)"),
    (
        "drop-column",
        _ALTER + r"DROP\s+(?!CONSTRAINT|DEFAULT|NOT\s|INDEX|KEY|FOREIGN|PRIMARY"
        r"|IDENTITY|EXPRESSION|CHECK|PARTITION)",
    ),
    ("drop-table", r"DROP\s+TABLE\s+(?:IF\s+EXISTS\s+)?" + _NAME),
    ("truncate", r"TRUNCATE\s+(?:TABLE\s+)?" + _NAME),
    ("lock-table", r"LOCK\s+(?:TABLES?\s+)?" + _NAME),
    ("rewrite", r"(?:VACUUM\s+FULL|CLUSTER)\s+" + _NAME),
    (
        "rewrite",
        r"(?:REINDEX\s+\w+|REFRESH\s+MATERIALIZED\s+VIEW)\s+(?!CONCURRENTLY)" + _NAME,
    ),
    ("all-rows", rf"UPDATE\s+{_NAME}\s+SET\s(?!.*\sWHERE\s)"),
    ("all-rows", rf"DELETE\s+FROM\s+{_NAME}(?!.*\sWHERE\s)"),
]
_PATTERNS = [(kind, re.compile(rf"(?is)\s*{sql}")) for kind, sql in _STATEMENTS]
_CONCURRENT = re.compile(r"(?is)\s*(CREATE|DROP|REINDEX)\s.*\bCONCURRENTLY\b")
_CREATED = re.compile(rf"(?i)\s*CREATE\s+TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?{_NAME}")

# A default with a call is worked out for each row, except for those of the
# transaction's own time.
_CALL = re.compile(r"\w+\s*\(")
_STABLE = re.compile(r"(?i)\W*(now|current_\w+|(transaction|statement)_timestamp)\b")


def _family(dialect: str) -> str:
    return "mysql" if dialect == "mariadb" else dialect


class _NoRows:
    """Stands in for a connection and its results: takes all, and finds nothing."""

    def __init__(self, judge: _Judge, dialect: sa.Dialect) -> None:
        self._judge = judge
        self.dialect = dialect

    def execute(self, statement: object, *args: object, **kwargs: object) -> _NoRows:
        self._judge.statement(str(statement))
        return self

    exec_driver_sql = scalars = execute

    def scalar(self, statement: object = None, *args: object) -> None:
        if statement is not None:
            self.execute(statement)

    def mappings(self) -> _NoRows:
        return self

    def fetchall(self) -> list[t.Any]:
        return []

    def first(self) -> None:
        return None

    all = fetchall
    fetchone = one_or_none = scalar_one_or_none = first
    rowcount = 0

    def __iter__(self) -> cabc.Iterator[t.Any]:
        return iter(())


class _Judge:
    """Looks at each operation in turn, and remembers what was created before it."""

    def __init__(self, dialect: str) -> None:
        self._dialect = _family(dialect)
        self.findings: list[Finding] = []
        self.autocommit = False
        # Nobody uses a table that was created by the same migration.
        self._new: set[str] = set()

    # --- what is said of it

    def _found(self, kind: str, table: str, column: str = "", **values: t.Any) -> None:
        advices = _ADVICE[kind]
        advice = advices.get(self._dialect, advices.get(""))
        if advice is None or table in self._new:
            return
        name = f"{table}_{column}_check" if column else "..."
        values = {"name": name, "columns": [column or "..."], "error": "", **values}
        values = {"create": "create_check_constraint", "column": column, **values}
        finding = Finding(
            kind,
            f"{table}.{column}" if column else table,
            advice.problem.format(table=table, **values),
            advice.cure,
            advice.code.format(table=table, **values),
        )
        if finding not in self.findings:
            self.findings.append(finding)

    def stopped(self, exc: Exception) -> None:
        """Tell that the migration could not be followed any further."""
        error = f"{type(exc).__name__}: {exc}"
        self._found("not-read", "the migration", error=error)

    # --- statements

    def statement(self, sql: str) -> None:
        """Look at SQL that a migration runs by itself."""
        if self._dialect == "postgresql" and _CONCURRENT.match(sql):
            if not self.autocommit:
                self._found("concurrently-in-transaction", "execute")
            return
        created = _CREATED.match(sql)
        if created:
            self._new.add(created["table"].strip('"`'))
        for kind, pattern in _PATTERNS:
            match = pattern.match(sql)
            if match:
                self._found(kind, match["table"].strip('"`'))

    # --- operations

    def operation(self, op: ops.MigrateOperation) -> None:
        """Look at an operation, and at those in it."""
        if isinstance(op, ops.OpContainer):
            for inner in op.ops:
                self.operation(inner)
            return
        for kind, look in self._LOOKS:
            if isinstance(op, kind):
                look(self, op)
                return

    def _create_table(self, op: ops.CreateTableOp) -> None:
        self._new.add(op.table_name)

    def _execute(self, op: ops.ExecuteSQLOp) -> None:
        self.statement(str(op.sqltext))

    def _rename_table(self, op: ops.RenameTableOp) -> None:
        self._found("rename-table", op.table_name)

    def _drop_table(self, op: ops.DropTableOp) -> None:
        self._found("drop-table", op.table_name)

    def _drop_column(self, op: ops.DropColumnOp) -> None:
        self._found("drop-column", op.table_name, op.column_name)

    def _add_column(self, op: ops.AddColumnOp) -> None:
        column, table = op.column, op.table_name
        default = column.server_default
        if default is None and not column.nullable and column.computed is None:
            self._found("not-null-column", table, column.name)
        if self._volatile(column):
            self._found("volatile-default", table, column.name)
        if column.foreign_keys:
            self._found("foreign-key", table, column.name, create="create_foreign_key")
        if column.unique:
            self._found("unique", table, column.name)
        elif column.index:
            self._found("index", table, column.name)

    @staticmethod
    def _volatile(column: sa.Column[t.Any]) -> bool:
        default = column.server_default
        if isinstance(default, sa.Identity | sa.Computed):
            return True
        if not isinstance(default, sa.DefaultClause):
            return False
        text = default.arg
        if isinstance(text, str):
            return False  # a plain text, which is quoted
        sql = str(text)
        return bool(_CALL.search(sql)) and not _STABLE.match(sql)

    def _alter_column(self, op: ops.AlterColumnOp) -> None:
        table, column = op.table_name, op.column_name
        if op.modify_name is not None:
            self._found("rename-column", table, column)
        if op.modify_type is not None and not self._widens(op):
            self._found("change-type", table, column)
        if op.modify_nullable is False:
            self._found("set-not-null", table, column)

    def _widens(self, op: ops.AlterColumnOp) -> bool:
        """Tell if a change of type leaves the rows as they are."""
        old, new = op.existing_type, op.modify_type
        if not isinstance(old, sa.String) or not isinstance(new, sa.String):
            return False
        if isinstance(old, sa.Enum) and isinstance(new, sa.Enum):
            return new.enums[: len(old.enums)] == old.enums
        before, after = old.length or 0, new.length or 0
        if self._dialect == "postgresql":
            return not after or 0 < before <= after
        # The length of a row's text is kept in one byte or two. Counted as utf8mb4.
        return 0 < before <= after <= 63 or 63 < before <= after

    def _index(self, op: ops.CreateIndexOp | ops.DropIndexOp) -> None:
        table = op.table_name or "..."
        if op.kw.get("postgresql_concurrently"):
            if not self.autocommit:
                self._found("concurrently-in-transaction", table)
            return
        kind = "index" if isinstance(op, ops.CreateIndexOp) else "drop-index"
        columns = [str(column) for column in getattr(op, "columns", ())]
        self._found(kind, table, name=op.index_name, columns=columns)

    def _foreign_key(self, op: ops.CreateForeignKeyOp) -> None:
        if not op.kw.get("postgresql_not_valid"):
            name, create = op.constraint_name, "create_foreign_key"
            self._found("foreign-key", op.source_table, name=name, create=create)

    def _check(self, op: ops.CreateCheckConstraintOp) -> None:
        if not op.kw.get("postgresql_not_valid"):
            self._found("check", op.table_name, name=op.constraint_name)

    def _key(self, op: ops.CreateUniqueConstraintOp | ops.CreatePrimaryKeyOp) -> None:
        unique = isinstance(op, ops.CreateUniqueConstraintOp)
        kind, columns = "unique" if unique else "primary-key", list(op.columns)
        self._found(kind, op.table_name, name=op.constraint_name, columns=columns)

    def _constraint(self, op: ops.AddConstraintOp) -> None:
        # Only that of PostgreSQL is left.
        self._found("exclude", str(getattr(op, "table_name", "...")))

    _LOOKS: t.ClassVar[list[tuple[type, cabc.Callable[[_Judge, t.Any], None]]]] = [
        (ops.CreateTableOp, _create_table),
        (ops.ExecuteSQLOp, _execute),
        (ops.RenameTableOp, _rename_table),
        (ops.DropTableOp, _drop_table),
        (ops.DropColumnOp, _drop_column),
        (ops.AddColumnOp, _add_column),
        (ops.AlterColumnOp, _alter_column),
        (ops.CreateIndexOp, _index),
        (ops.DropIndexOp, _index),
        (ops.CreateForeignKeyOp, _foreign_key),
        (ops.CreateCheckConstraintOp, _check),
        (ops.CreateUniqueConstraintOp, _key),
        (ops.CreatePrimaryKeyOp, _key),
        (ops.AddConstraintOp, _constraint),
    ]


@contextlib.contextmanager
def _recording(judge: _Judge, dialect: str) -> cabc.Generator[None]:
    """Let `alembic.op` hand what it is told to a judge."""
    context = MigrationContext.configure(
        dialect_name=dialect, opts={"as_sql": True, "output_buffer": io.StringIO()}
    )

    def invoke(op: ops.MigrateOperation) -> t.Any:
        judge.operation(op)
        # Migrations go on with the table: `op.bulk_insert(op.create_table(...), ...)`.
        return op.to_table(context) if isinstance(op, ops.CreateTableOp) else None

    @contextlib.contextmanager
    def batch(
        table_name: str, schema: str | None = None, *args: t.Any, **kwargs: t.Any
    ) -> cabc.Generator[BatchOperations]:
        # All that operations in a batch ask of what carries them out.
        target: t.Any = types.SimpleNamespace(table_name=table_name, schema=schema)
        batched = BatchOperations(context, impl=target)
        t.cast("t.Any", batched).invoke = invoke
        yield batched

    @contextlib.contextmanager
    def autocommit() -> cabc.Generator[None]:
        judge.autocommit = True
        try:
            yield
        finally:
            judge.autocommit = False

    # A check that is run from within a migration gets its own operations back.
    outer = getattr(alembic.op, "_proxy", None)
    with Operations.context(context) as operations:
        patched = t.cast("t.Any", operations)
        patched.invoke = invoke
        patched.batch_alter_table = batch
        patched.get_bind = lambda: _NoRows(judge, context.dialect)
        t.cast("t.Any", context).autocommit_block = autocommit
        yield
    if outer is not None:
        outer._install_proxy()


def find(
    what: Script | ops.MigrateOperation | cabc.Callable[..., object],
    dialect: str,
    *arguments: t.Any,
) -> list[Finding]:
    """Find what is unsafe in the upgrade of a migration.

    The upgrade is called with operations that only record, and a connection that
    finds no rows. What it does to tables that it creates itself is safe. A script can
    say which kinds somebody has looked at: `erlen_reviewed = ["drop-column"]` beside
    its `down_revision`.

    Args:
        what: A script of Alembic's script directory, operations as autogenerate makes
            them, or a function that uses `alembic.op`.
        dialect: The name of the database that it will run on: `"postgresql"`,
            `"mysql"`, `"mariadb"` or `"sqlite"`.
        *arguments: For the function; the `upgrade()` of scripts for several databases
            takes the name of one.

    Returns:
        What was found, in the order of the upgrade. If that cannot be followed without
        a database, the last one is of the kind `not-read`.
    """
    judge = _Judge(dialect)
    if isinstance(what, ops.MigrateOperation):
        judge.operation(what)
        return judge.findings
    module = getattr(what, "module", None)
    upgrade = what if module is None else module.upgrade
    with _recording(judge, dialect):
        try:
            t.cast("cabc.Callable[..., object]", upgrade)(*arguments)
        except Exception as exc:  # noqa: BLE001  # whatever it needs that is not there
            judge.stopped(exc)
    reviewed: cabc.Collection[str] = getattr(module, REVIEWED, ())
    return [finding for finding in judge.findings if finding.kind not in reviewed]
