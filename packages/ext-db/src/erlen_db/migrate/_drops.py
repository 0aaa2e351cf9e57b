"""Keeps autogenerate from deleting data that nobody asked it to delete.

A model that was not imported, renamed or moved looks like one that is gone. So a
table or a column is dropped only when that was said.
"""

from __future__ import annotations

import dataclasses
import typing as t

from alembic.operations import ops

from ._enums import DropType

if t.TYPE_CHECKING:
    import collections.abc as cabc

__all__ = ["LeftOut", "refuse"]


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """A drop that was left out of a migration.

    Attributes:
        what: `"table"` or `"column"`.
        name: The name, `table`, `schema.table` or `table.column`.
        hint: What else to know of it, or nothing.
    """

    what: str
    name: str
    hint: str = ""

    def __str__(self) -> str:
        """Tell it in one line."""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.what} {self.name}{hint}"


def _full_name(table: str, schema: str | None) -> str:
    return f"{schema}.{table}" if schema else table


def _columns_of(op: ops.MigrateOperation) -> set[str]:
    """Return the columns of an index or a constraint that is to be dropped."""
    if isinstance(op, ops.DropIndexOp):
        return {column.name for column in op.to_index().columns}
    if isinstance(op, ops.DropConstraintOp) and op._reverse is not None:
        columns: t.Any = getattr(op.to_constraint(), "columns", ())
        return {column.name for column in columns}
    return set()


def _hint(op: ops.DropColumnOp, added: bool) -> str:
    hints: list[str] = []
    column = op._reverse.column if op._reverse is not None else None
    if added:
        hints.append(
            "if it was renamed, write op.alter_column(..., new_column_name=...) in"
            " place of the new column"
        )
    if (
        column is not None
        and not column.nullable
        and column.server_default is None
        and not column.primary_key
    ):
        hints.append(
            "it is NOT NULL without a default, so new rows fail until it is dropped or"
            " made nullable"
        )
    return "; ".join(hints)


class _Filter:
    """Goes through the operations of one upgrade."""

    def __init__(self) -> None:
        self.left_out: list[LeftOut] = []
        self._tables: set[tuple[str | None, str]] = set()
        self._columns: set[tuple[str | None, str, str]] = set()

    def run(self, container: ops.OpContainer) -> None:
        tables = list(self._walk(container.ops, ops.DropTableOp))
        self._tables = {(op.schema, op.table_name) for op in tables}
        self.left_out += [
            LeftOut("table", _full_name(op.table_name, op.schema)) for op in tables
        ]
        container.ops = self._kept(container.ops)

    def _walk(
        self, found: cabc.Iterable[ops.MigrateOperation], kind: type[ops.DropTableOp]
    ) -> cabc.Iterator[ops.DropTableOp]:
        for op in found:
            if isinstance(op, kind):
                yield op
            elif isinstance(op, ops.OpContainer):
                yield from self._walk(op.ops, kind)

    def _kept(
        self, found: cabc.Sequence[ops.MigrateOperation]
    ) -> list[ops.MigrateOperation]:
        columns = self._refused_columns(found)
        kept: list[ops.MigrateOperation] = []
        for op in found:
            if isinstance(op, ops.OpContainer):
                op.ops = self._kept(op.ops)
                if op.ops:
                    kept.append(op)
            elif not self._refused(op, columns):
                kept.append(op)
        return kept

    def _refused_columns(
        self, found: cabc.Sequence[ops.MigrateOperation]
    ) -> set[tuple[str | None, str, str]]:
        added = {op.table_name for op in found if isinstance(op, ops.AddColumnOp)}
        refused: set[tuple[str | None, str, str]] = set()
        for op in found:
            if isinstance(op, ops.DropColumnOp):
                refused.add((op.schema, op.table_name, op.column_name))
                self._columns.add((op.schema, op.table_name, op.column_name))
                name = f"{_full_name(op.table_name, op.schema)}.{op.column_name}"
                hint = _hint(op, op.table_name in added)
                self.left_out.append(LeftOut("column", name, hint))
        return refused

    def _refused(
        self, op: ops.MigrateOperation, columns: set[tuple[str | None, str, str]]
    ) -> bool:
        if isinstance(op, ops.DropTableOp | ops.DropColumnOp):
            return True
        if isinstance(op, DropType):
            return any(it in self._columns or it[:2] in self._tables for it in op.needs)
        if isinstance(op, ops.DropIndexOp | ops.DropConstraintOp):
            table = op.table_name or ""
            if (op.schema, table) in self._tables:
                return True
            # What covers a column that stays, stays with it.
            kept = {
                name
                for schema, of, name in columns
                if (schema, of) == (op.schema, table)
            }
            return bool(kept & _columns_of(op))
        return False


def refuse(
    directives: cabc.Sequence[ops.MigrationScript], *, allow: bool = False
) -> list[LeftOut]:
    """Take each `drop_table` and `drop_column` out of the upgrades of a new revision.

    For `process_revision_directives`, as the first of several, because a downgrade is
    derived from its upgrade anew where something was taken out of that. With a table
    or column stay the indexes and constraints that would have gone with it. The
    downgrade still drops what the upgrade creates.

    Args:
        directives: The scripts that Alembic is about to write; they are changed.
        allow: Leave all as it is (`--allow-drop`).

    Returns:
        What was left out, in the order of the script. `tell()` puts it into words.
    """
    if allow:
        return []
    left_out: list[LeftOut] = []
    for script in directives:
        pairs = zip(script.upgrade_ops_list, script.downgrade_ops_list, strict=False)
        for upgrade, downgrade in pairs:
            filtered = _Filter()
            filtered.run(upgrade)
            if filtered.left_out:
                upgrade.reverse_into(downgrade)
                left_out += filtered.left_out
    return left_out


def tell(left_out: cabc.Sequence[LeftOut]) -> str:
    """Say which drops were left out and how to have them.

    Args:
        left_out: What `refuse()` returned, which must not be empty.
    """
    lines = "\n".join(f"  {one}" for one in left_out)
    return (
        f"Left out of the migration, for the data would be gone:\n{lines}\n"
        "If a model is missing, import its module. If the data may go, run the command"
        " again with --allow-drop."
    )
