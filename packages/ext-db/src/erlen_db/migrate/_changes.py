"""Says what a migration changes, a line for each change."""

from __future__ import annotations

import re
import typing as t

import sqlalchemy as sa

if t.TYPE_CHECKING:
    from alembic.operations import ops

__all__ = ["describe"]

_SIGNS = {"add": "+", "create": "+", "remove": "-", "drop": "-"}
_NOUNS = {"fk": "foreign key"}


def describe(operations: ops.UpgradeOps) -> list[str]:
    """Describe the operations of a migration, such as `+ column user.email`.

    Args:
        operations: The operations.
    """
    lines: list[str] = []
    diffs: t.Any = operations.as_diffs()
    for diff in diffs:
        # Changes of one column come together, in a list; all others are tuples.
        lines += map(_describe, diff if hasattr(diff, "append") else [diff])
    return lines


def _describe(diff: tuple[t.Any, ...]) -> str:
    """Describe what Alembic has as `("add_table", ...)`, and others as `AddTable`."""
    kind, *rest = diff
    words = re.sub(r"(?<!^)(?=[A-Z])|_", " ", kind).lower()
    verb, _, noun = words.partition(" ")
    if verb == "modify":
        schema, table, column, _, old, new = rest
        name = _join(schema, table, column)
        if noun == "default":  # where False is none
            old, new = (None if it is False else it for it in (old, new))
        return f"~ column {name}: {noun} {_text(old)} -> {_text(new)}"
    return f"{_SIGNS.get(verb, '~')} {_NOUNS.get(noun, noun)} {_find_name(rest)}"


def _find_name(rest: list[t.Any]) -> str:
    first, last = rest[0], rest[-1]
    if isinstance(first, sa.Table):
        return first.fullname
    if isinstance(last, sa.Column):
        return _join(*rest[:-1], last.name)
    if isinstance(first, (sa.Index, sa.Constraint)):
        columns: t.Any = getattr(first, "columns", ())
        listed = ", ".join(it.name for it in columns)
        name = f"{first.name or ''} on {t.cast('t.Any', first).table.fullname}"
        return f"{name.strip()} ({listed})" if listed else name.strip()
    return _join(*(it for it in rest if isinstance(it, str)))


def _join(*names: str | None) -> str:
    return ".".join(it for it in names if it)


def _text(value: t.Any) -> str:
    if isinstance(value, sa.DefaultClause):
        value = value.arg
    return "none" if value is None else str(value)
