"""Turns the times into rows: an aligned table for people, JSON for machines."""

from __future__ import annotations

import platform
import typing as t

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from benchmarks.rounds import Contestant

Row = dict[str, t.Any]


class Column(t.NamedTuple):
    """A figure of each peer.

    Attributes:
        key: Its name in JSON.
        heading: Its name in the table.
        form: How it is written.
        other: The peer that it refers to; None for a figure of its own.
        share: The share of the other's cost, and not how many times as many
            requests are answered in the same time.
    """

    key: str
    heading: str
    form: str
    other: str | None = None
    share: bool = False


Columns = tuple[Column, ...]

OWN: t.Final[Columns] = (
    Column("peer", "peer", "{}"),
    Column("microseconds", "us/request", "{:.2f}"),
    Column("spread", "spread", "{:.0%}"),
)
COLUMNS: t.Final[Columns] = (
    *OWN,
    Column("times_flask", "x Flask", "{:.2f}", "flask"),
    Column("times_falcon", "x Falcon", "{:.2f}", "falcon"),
    Column("share_of_raw", "of raw", "{:.1%}", "raw"),
)


def rows(
    contestants: cabc.Sequence[Contestant], columns: Columns = COLUMNS
) -> list[Row]:
    """Put each peer's figures beside those of the others.

    Returns:
        One row for each peer; a ratio is None when the peer that it refers to
        did not run.
    """
    by_name = {contestant.peer: contestant for contestant in contestants}

    def figure(ours: Contestant, column: Column) -> t.Any:
        if column.other is None:
            return getattr(ours, column.key)
        other = by_name.get(column.other)
        if other is None:
            return None
        pair = (other, ours) if column.share else (ours, other)
        return pair[0].times_faster_than(pair[1])

    return [
        {column.key: figure(ours, column) for column in columns} for ours in contestants
    ]


def table(title: str, lines: cabc.Iterable[Row], columns: Columns = COLUMNS) -> str:
    """Align `lines` under `title`: text left, figures right."""
    cells = [[column.heading for column in columns]]
    cells += [
        [
            "-" if line[column.key] is None else column.form.format(line[column.key])
            for column in columns
        ]
        for line in lines
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    aligned = [
        "  ".join(
            [row[0].ljust(widths[0])]
            + [
                cell.rjust(width)
                for cell, width in zip(row[1:], widths[1:], strict=True)
            ]
        )
        for row in cells
    ]
    return "\n".join([title, *aligned])


def footnote(facts: Row) -> str:
    """Say how the figures came about, below the tables."""
    versions = ", ".join(f"{k} {v}" for k, v in facts["versions"].items() if v)
    return (
        f"Medians of {facts['rounds']} rounds, {facts['measured']};"
        f" {facts['implementation']} {facts['python']}, {versions}."
    )


def machine() -> Row:
    """Name what the figures were measured on."""
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": platform.platform(),
    }
