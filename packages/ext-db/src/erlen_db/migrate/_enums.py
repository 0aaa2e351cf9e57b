"""Lets autogenerate see enumerations, which Alembic passes over.

Members that come and go, types that two tables share, types that nobody uses any
more: as plain Alembic operations and SQL, so that scripts need nothing of ours.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

import sqlalchemy as sa
from alembic.autogenerate import comparators
from alembic.autogenerate import renderers
from alembic.operations import ops
from sqlalchemy.dialects import postgresql

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from alembic.autogenerate.api import AutogenContext
    from sqlalchemy.engine.interfaces import ReflectedColumn

__all__ = ["DropType", "compare", "render"]

# A schema (None for the default one), and a name in it.
_Name = tuple[str | None, str]

_PREPARER = postgresql.dialect().identifier_preparer  # type: ignore[no-untyped-call]

_LITERAL = re.compile(r"'((?:[^']|'')*)'")
# MariaDB and MySQL show them with backslashes.
_ESCAPED = re.compile(r"'((?:[^'\\]|''|\\.)*)'")


# --- the operations ------------------------------------------------------------------


def _literal(value: str) -> str:
    # `text()` takes a colon for the beginning of a parameter.
    return "'" + value.replace("'", "''").replace(":", "\\:") + "'"


def _literals(values: cabc.Iterable[str]) -> str:
    return ", ".join(map(_literal, values))


def _quoted(schema: str | None, name: str) -> str:
    quoted = _PREPARER.quote(name)
    return f"{_PREPARER.quote_schema(schema)}.{quoted}" if schema else quoted


@dataclasses.dataclass
class _Use:
    """A column that has a type, as it is in the database."""

    schema: str | None
    table: str
    column: str
    array: bool = False
    default: str | None = None

    def key(self) -> tuple[str | None, str, str]:
        return (self.schema, self.table, self.column)


class _TypeOp(ops.MigrateOperation):
    """An operation on a type of PostgreSQL."""

    def __init__(
        self, schema: str | None, name: str, values: cabc.Sequence[str]
    ) -> None:
        self.schema = schema
        self.name = name
        self.values = list(values)

    def to_diff_tuple(self) -> tuple[t.Any, ...]:
        return (type(self).__name__, self.schema, self.name, self.values)

    def lines(self, prefix: str) -> list[str]:
        raise NotImplementedError


class CreateType(_TypeOp):
    """Creates a type, once for all the tables that have it."""

    def reverse(self) -> DropType:
        """Return the operation that drops it."""
        return DropType(self.schema, self.name, self.values)

    def lines(self, prefix: str) -> list[str]:
        """Return the lines of the script."""
        sql = (
            f"CREATE TYPE {_quoted(self.schema, self.name)}"
            f" AS ENUM ({_literals(self.values)})"
        )
        return [f"{prefix}execute({sql!r})"]


class DropType(_TypeOp):
    """Drops a type of which nothing is left.

    Attributes:
        needs: The columns that must be gone: schema, table, column.
    """

    def __init__(
        self,
        schema: str | None,
        name: str,
        values: cabc.Sequence[str],
        needs: cabc.Iterable[tuple[str | None, str, str]] = (),
    ) -> None:
        super().__init__(schema, name, values)
        self.needs = frozenset(needs)

    def reverse(self) -> CreateType:
        """Return the operation that creates it."""
        return CreateType(self.schema, self.name, self.values)

    def lines(self, prefix: str) -> list[str]:
        """Return the lines of the script."""
        sql = f"DROP TYPE {_quoted(self.schema, self.name)}"
        return [f"{prefix}execute({sql!r})"]


class AlterType(_TypeOp):
    """Gives a type other members."""

    def __init__(
        self,
        schema: str | None,
        name: str,
        values: cabc.Sequence[str],
        old: cabc.Sequence[str],
        uses: cabc.Sequence[_Use],
    ) -> None:
        super().__init__(schema, name, values)
        self.old = list(old)
        self.uses = list(uses)

    def reverse(self) -> AlterType:
        """Return the operation that gives it back the old ones."""
        return AlterType(self.schema, self.name, self.old, self.values, self.uses)

    def to_diff_tuple(self) -> tuple[t.Any, ...]:
        """Return what Alembic shows of it."""
        return (*super().to_diff_tuple(), self.old)

    def lines(self, prefix: str) -> list[str]:
        """Return the lines of the script."""
        if [value for value in self.values if value in self.old] == self.old:
            return self._add(prefix)
        return self._create_anew(prefix)

    def _add(self, prefix: str) -> list[str]:
        # Outside of the transaction, in which new members could not be used. Members
        # that are there already are no error: a killed migration runs again.
        lines = [f"with {prefix}get_context().autocommit_block():"]
        quoted = _quoted(self.schema, self.name)
        for at, value in enumerate(self.values):
            if value in self.old:
                continue
            place = f" AFTER {_literal(self.values[at - 1])}" if at else ""
            if not at and self.old:
                place = f" BEFORE {_literal(self.old[0])}"
            sql = (
                f"ALTER TYPE {quoted} ADD VALUE IF NOT EXISTS {_literal(value)}{place}"
            )
            lines.append(f"{prefix}execute({sql!r})")
        return [*lines, ""]

    def _create_anew(self, prefix: str) -> list[str]:
        quoted = _quoted(self.schema, self.name)
        spare = f"{self.name[:50]}__old"
        statements = [
            f"ALTER TYPE {quoted} RENAME TO {_quoted(None, spare)}",
            f"CREATE TYPE {quoted} AS ENUM ({_literals(self.values)})",
            *(self._change_column(use, quoted) for use in self.uses),
            f"DROP TYPE {_quoted(self.schema, spare)}",
        ]
        lines = [f"{prefix}execute({sql!r})" for sql in statements]
        gone = [value for value in self.old if value not in self.values]
        new = [value for value in self.values if value not in self.old]
        comments: list[str] = []
        if gone:
            comments.append(
                f"# Fails where a row still has one of {gone!r}: change those rows first."
            )
        if len(gone) == len(new) == 1:
            sql = (
                f"ALTER TYPE {quoted} RENAME VALUE {_literal(gone[0])}"
                f" TO {_literal(new[0])}"
            )
            comments += [
                "# If the member was renamed, and rows are to keep it, write instead:",
                f"# {prefix}execute({sql!r})",
            ]
        return [*comments, *lines]

    @staticmethod
    def _change_column(use: _Use, quoted: str) -> str:
        column = _quoted(None, use.column)
        array = "[]" if use.array else ""
        alter = f"ALTER COLUMN {column}"
        steps = [
            f"{alter} TYPE {quoted}{array} USING {column}::text{array}::{quoted}{array}"
        ]
        if use.default is not None:
            steps.insert(0, f"{alter} DROP DEFAULT")
            steps.append(f"{alter} SET DEFAULT {use.default}")
        return f"ALTER TABLE {_quoted(use.schema, use.table)} {', '.join(steps)}"


class AlterCheck(ops.MigrateOperation):
    """Gives the CHECK of a column of MariaDB or MySQL other members."""

    def __init__(
        self,
        schema: str | None,
        table: str,
        name: str,
        column: str,
        values: cabc.Sequence[str],
        old: cabc.Sequence[str],
    ) -> None:
        self.schema = schema
        self.table = table
        self.name = name
        self.column = column
        self.values = list(values)
        self.old = list(old)

    def reverse(self) -> AlterCheck:
        """Return the operation that gives it back the old ones."""
        return AlterCheck(
            self.schema, self.table, self.name, self.column, self.old, self.values
        )

    def to_diff_tuple(self) -> tuple[t.Any, ...]:
        """Return what Alembic shows of it."""
        return ("AlterCheck", self.schema, self.table, self.name, self.values, self.old)


@renderers.dispatch_for(AlterCheck)
def _render_check(context: AutogenContext, op: AlterCheck) -> list[str]:
    prefix = str(context.opts.get("alembic_module_prefix") or "")
    schema = f", schema={op.schema!r}" if op.schema else ""
    name = f"{prefix}f({op.name!r})"
    condition = f"`{op.column}` IN ({_literals(op.values)})"
    return [
        f"{prefix}drop_constraint({name}, {op.table!r}, type_='check'{schema})",
        f"{prefix}create_check_constraint({name}, {op.table!r}, {condition!r}{schema})",
    ]


@renderers.dispatch_for(CreateType)
@renderers.dispatch_for(DropType)
@renderers.dispatch_for(AlterType)
def _render(context: AutogenContext, op: _TypeOp) -> list[str]:
    prefix = str(context.opts.get("alembic_module_prefix") or "")
    # Other databases have no such types: tests may well run on SQLite.
    return [
        f'if {prefix}get_context().dialect.name == "postgresql":',
        *op.lines(prefix),
        "",
    ]


# --- what models say -----------------------------------------------------------------


def _enum_of(type_: sa.types.TypeEngine[t.Any], dialect: sa.Dialect) -> sa.Enum | None:
    """Return the enumeration in a type: its own, a decorated one, that of an array."""
    if isinstance(type_, sa.TypeDecorator):
        return _enum_of(type_.load_dialect_impl(dialect), dialect)
    if not isinstance(type_, sa.Enum):
        type_ = type_.dialect_impl(dialect)
    if isinstance(type_, sa.ARRAY):
        return _enum_of(t.cast("t.Any", type_).item_type, dialect)
    return type_ if isinstance(type_, sa.Enum) else None


def _schema_of(enum: sa.Enum) -> str | None:
    schema = t.cast("t.Any", enum).schema
    return None if schema is None else str(schema)


def _tables(context: AutogenContext) -> cabc.Iterator[sa.Table]:
    for table in context.sorted_tables:
        if context.run_object_filters(table, table.name, "table", False, None):
            yield table


def render(kind: str, obj: t.Any, context: AutogenContext) -> str | t.Literal[False]:
    """Write a type of PostgreSQL so that its tables do not each create it.

    For `context.configure(render_item=...)`. The types are created by statements of
    their own, which `compare()` adds.

    Args:
        kind: What is to be written; only `"type"` is touched.
        obj: The type.
        context: Alembic's.

    Returns:
        The source, or False to leave it to Alembic.
    """
    dialect = context.migration_context.dialect
    if kind != "type" or dialect.name != "postgresql":
        return False
    if isinstance(obj, sa.ARRAY):
        return False  # Alembic asks again for what is in it.
    enum = _enum_of(obj, dialect)
    if enum is None or not enum.native_enum or enum.name is None:
        return False
    arguments = [repr(value) for value in enum.enums]
    arguments.append(f"name={str(enum.name)!r}")
    if schema := _schema_of(enum):
        arguments.append(f"schema={schema!r}")
    listed = ", ".join(arguments)
    context.imports.add("from sqlalchemy.dialects import postgresql")
    native = f"postgresql.ENUM({listed}, create_type=False)"
    if isinstance(obj, postgresql.ENUM):
        return native
    prefix = context.opts.get("sqlalchemy_module_prefix") or ""
    return f'{prefix}Enum({listed}).with_variant({native}, "postgresql")'


# --- what the database says ----------------------------------------------------------


class _PostgreSQL:
    """Compares the types of PostgreSQL."""

    def __init__(self, context: AutogenContext, upgrade: ops.UpgradeOps) -> None:
        assert context.connection is not None
        self._context = context
        self._connection = context.connection
        self._dialect = context.migration_context.dialect
        self._upgrade = upgrade

    def _name(self, schema: str | None, name: str) -> _Name:
        default = self._dialect.default_schema_name
        return (None if schema == default else schema, name)

    def _declared(self) -> dict[_Name, list[str]]:
        found: dict[_Name, list[str]] = {}
        for table in _tables(self._context):
            for column in table.columns:
                enum = _enum_of(column.type, self._dialect)
                if enum is not None and enum.native_enum and enum.name:
                    name = self._name(_schema_of(enum), str(enum.name))
                    found[name] = list(enum.enums)
        return found

    def _existing(self) -> dict[_Name, list[str]]:
        inspector = t.cast("postgresql.base.PGInspector", sa.inspect(self._connection))
        return {
            self._name(found["schema"], found["name"]): list(found["labels"])
            for found in inspector.get_enums("*")
        }

    def _uses(self, name: _Name) -> list[_Use]:
        rows = self._connection.execute(
            sa.text(
                "SELECT s.nspname, c.relname, a.attname, ty.typelem <> 0 AS is_array,"
                " pg_get_expr(d.adbin, d.adrelid) AS default_text"
                " FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
                " JOIN pg_namespace s ON s.oid = c.relnamespace"
                " JOIN pg_type ty ON ty.oid = a.atttypid"
                " JOIN pg_type e ON e.oid IN (ty.oid, ty.typelem)"
                " JOIN pg_namespace es ON es.oid = e.typnamespace"
                " LEFT JOIN pg_attrdef d"
                " ON d.adrelid = a.attrelid AND d.adnum = a.attnum"
                " WHERE c.relkind IN ('r', 'p') AND NOT a.attisdropped"
                " AND NOT c.relispartition"
                " AND e.typtype = 'e' AND e.typname = :name AND es.nspname = :schema"
                " ORDER BY 1, 2, a.attnum"
            ),
            {"name": name[1], "schema": name[0] or self._dialect.default_schema_name},
        )
        return [
            _Use(
                self._name(row.nspname, "")[0],
                row.relname,
                row.attname,
                row.is_array,
                row.default_text,
            )
            for row in rows
        ]

    def run(self) -> None:
        declared, existing = self._declared(), self._existing()
        first: list[ops.MigrateOperation] = []
        for name, values in sorted(declared.items(), key=str):
            old = existing.get(name)
            if old is None:
                first.append(CreateType(*name, values))
            elif old != values:
                first.append(AlterType(*name, values, old, self._uses(name)))
        released = set(_released(self._upgrade.ops))
        for name, values in sorted(existing.items(), key=str):
            if name not in declared:
                uses = {use.key() for use in self._uses(name)}
                if uses and uses <= self._normal(released):
                    self._upgrade.ops.append(DropType(*name, values, uses))
        # What follows may use new types and new members, as a default for one.
        self._upgrade.ops[:0] = first

    def _normal(
        self, columns: set[tuple[str | None, str, str]]
    ) -> set[tuple[str | None, str, str]]:
        return {
            (self._name(schema, "")[0], table, column)
            for schema, table, column in columns
        }


def _released(
    found: cabc.Iterable[ops.MigrateOperation],
) -> cabc.Iterator[tuple[str | None, str, str]]:
    """Name the columns that an upgrade takes away, or gives another type."""
    for op in found:
        if isinstance(op, ops.OpContainer):
            yield from _released(op.ops)
        elif isinstance(op, ops.DropTableOp) and op._reverse is not None:
            for column in op._reverse.columns:
                if isinstance(column, sa.Column):
                    yield (op.schema, op.table_name, column.name)
        elif isinstance(op, ops.DropColumnOp) or (
            isinstance(op, ops.AlterColumnOp) and op.modify_type is not None
        ):
            yield (op.schema, op.table_name, op.column_name)


def _literals_in(sql: str, dialect: str) -> list[str]:
    if dialect in {"mysql", "mariadb"}:
        return [
            re.sub(r"\\(.)|''", _unescape, found) for found in _ESCAPED.findall(sql)
        ]
    return [found.replace("''", "'") for found in _LITERAL.findall(sql)]


def _unescape(match: re.Match[str]) -> str:
    return match[1] or "'"


class _Columns:
    """Compares enumerations that are a part of their column.

    Those are ENUM columns of MariaDB and MySQL, and texts with a CHECK.
    """

    def __init__(self, context: AutogenContext, upgrade: ops.UpgradeOps) -> None:
        assert context.connection is not None
        self._context = context
        self._dialect = context.migration_context.dialect
        self._inspector = sa.inspect(context.connection)
        self._upgrade = upgrade

    def run(self) -> None:
        altered = self._altered(self._upgrade.ops)
        for table in _tables(self._context):
            enums = {
                column.name: enum
                for column in table.columns
                if (enum := _enum_of(column.type, self._dialect)) is not None
            }
            if not enums or not self._inspector.has_table(table.name, table.schema):
                continue
            columns = self._inspector.get_columns(table.name, table.schema)
            existing = {found["name"]: found for found in columns}
            for name in enums.keys() & existing.keys():
                own = altered.get((table.schema, table.name, name))
                self._compare(table, enums[name], existing[name], own)

    def _compare(
        self,
        table: sa.Table,
        enum: sa.Enum,
        existing: ReflectedColumn,
        own: ops.AlterColumnOp | None,
    ) -> None:
        """Compare one column, of which Alembic may have seen that its length differs."""
        column, old = existing["name"], None
        native = enum.native_enum and isinstance(existing["type"], sa.Enum)
        if native and self._dialect.name != "postgresql":
            old = t.cast("sa.Enum", existing["type"]).enums
        elif enum.create_constraint and not enum.native_enum:
            old = self._checked(table, column)
        if (
            old is None
            or (set(old) == set(enum.enums) and not native)
            or old == enum.enums
        ):
            return
        length = getattr(existing["type"], "length", None)
        before = _with_values(enum, old, length)
        after = _with_values(enum, enum.enums, enum.length)
        if not native and self._dialect.name in {"mysql", "mariadb"}:
            # Alembic does not drop the CHECK of a type there.
            after.create_constraint = False
            name = _constraint_name(table, column, self._dialect) or ""
            self._upgrade.ops.append(
                AlterCheck(table.schema, table.name, name, column, enum.enums, old)
            )
        elif own is not None:
            own.existing_type = before
        else:
            self._add(table, _alter(table, existing, before, after))
        if own is not None:
            own.modify_type = after

    def _altered(
        self, found: cabc.Iterable[ops.MigrateOperation]
    ) -> dict[tuple[str | None, str, str], ops.AlterColumnOp]:
        """Find the columns whose type Alembic changes anyway."""
        return {
            (change.schema, change.table_name, change.column_name): change
            for op in found
            if isinstance(op, ops.ModifyTableOps)
            for change in op.ops
            if isinstance(change, ops.AlterColumnOp) and change.modify_type is not None
        }

    def _add(self, table: sa.Table, change: ops.AlterColumnOp) -> None:
        for op in self._upgrade.ops:
            if isinstance(op, ops.ModifyTableOps) and (op.table_name, op.schema) == (
                table.name,
                table.schema,
            ):
                op.ops = [*op.ops, change]
                return
        self._upgrade.ops.append(
            ops.ModifyTableOps(table.name, [change], schema=table.schema)
        )

    def _checked(self, table: sa.Table, column: str) -> list[str] | None:
        """Return the members that the CHECK of a column knows, if it has one."""
        name = _constraint_name(table, column, self._dialect)
        for check in self._inspector.get_check_constraints(table.name, table.schema):
            if name is not None and check["name"] == name:
                return _literals_in(check["sqltext"], self._dialect.name)
        return None


def _alter(
    table: sa.Table, existing: ReflectedColumn, before: sa.Enum, after: sa.Enum
) -> ops.AlterColumnOp:
    default = existing["default"]
    return ops.AlterColumnOp(
        table.name,
        existing["name"],
        schema=table.schema,
        existing_type=before,
        existing_nullable=existing["nullable"],
        existing_server_default=(
            sa.DefaultClause(sa.text(default)) if default else False
        ),
        modify_type=after,
    )


def _with_values(enum: sa.Enum, values: list[str], length: int | None) -> sa.Enum:
    """Return an enumeration as another one, with its members as texts."""
    return sa.Enum(
        *values,
        name=enum.name,
        schema=_schema_of(enum),
        native_enum=enum.native_enum,
        create_constraint=enum.create_constraint,
        length=max(length or 0, *map(len, values)),
    )


def _constraint_name(table: sa.Table, column: str, dialect: sa.Dialect) -> str | None:
    """Return the name of the CHECK that the type of a column makes, if it has one."""
    names = (
        dialect.identifier_preparer.format_constraint(constraint)
        for constraint in table.constraints
        if isinstance(constraint, sa.CheckConstraint)
        and constraint._type_bound
        and column in constraint.columns
    )
    name = next(names, None)
    return None if name is None else str(name).strip('"`')


def compare(
    context: AutogenContext,
    upgrade: ops.UpgradeOps,
    schemas: cabc.Iterable[str | None] = (),
) -> None:
    """Add to an upgrade what became of the enumerations of the models.

    Alembic calls it, after its own comparisons, wherever it was configured with
    `compare_enums=True`: `context.configure(compare_enums=True, render_item=render)`,
    or the `opts` of a `MigrationContext`. Nothing happens elsewhere.

    - PostgreSQL: types are created and dropped by statements of their own; members are
      added by ALTER TYPE in an autocommit block, ahead of all else, or the type is
      created anew where some are gone.
    - ENUM columns of MariaDB and MySQL, and texts with a named CHECK
      (`native_enum=False, create_constraint=True`): `alter_column` with both types.

    Args:
        context: Alembic's.
        upgrade: The operations so far, to which is added.
        schemas: Ignored; the tables of the models say it.
    """
    if not context.opts.get("compare_enums"):
        return
    if context.migration_context.dialect.name == "postgresql":
        _PostgreSQL(context, upgrade).run()
    _Columns(context, upgrade).run()


def _register() -> None:
    """Let Alembic call `compare()` after its own comparisons of a schema."""
    try:
        from alembic.util import DispatchPriority
    except ImportError:  # before 1.18, where those that came later are called later
        comparators.dispatch_for("schema")(compare)
    else:
        register = comparators.dispatch_for("schema", priority=DispatchPriority.LAST)
        register(compare)


_register()
