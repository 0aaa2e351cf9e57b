"""Turns the times into rows: an aligned table for people, JSON for machines."""

from __future__ import annotations

import platform
import typing as t

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from benchmarks.rounds import Contestant
    from benchmarks.scenarios import Scenario

Row = dict[str, t.Any]

_COLUMNS: t.Final[tuple[tuple[str, str, str], ...]] = (
    ("peer", "peer", "{}"),
    ("microseconds", "us/request", "{:.2f}"),
    ("spread", "spread", "{:.0%}"),
    ("times_flask", "x Flask", "{:.2f}"),
    ("times_falcon", "x Falcon", "{:.2f}"),
    ("share_of_raw", "of raw", "{:.1%}"),
)


def rows(contestants: cabc.Sequence[Contestant]) -> list[Row]:
    """Put each peer's figures beside those of raw, Flask and Falcon.

    Returns:
        One row for each peer; a ratio is None when the peer that it refers to
        did not run.
    """
    by_name = {contestant.peer: contestant for contestant in contestants}

    def ratio(ours: Contestant, name: str) -> float | None:
        other = by_name.get(name)
        return None if other is None else ours.times_faster_than(other)

    return [
        {
            "peer": ours.peer,
            "microseconds": ours.microseconds,
            "spread": ours.spread,
            "times_flask": ratio(ours, "flask"),
            "times_falcon": ratio(ours, "falcon"),
            "share_of_raw": ratio(ours, "raw"),
        }
        for ours in contestants
    ]


def table(scenario: Scenario, lines: cabc.Iterable[Row]) -> str:
    """Align `lines` under the scenario's title: text left, figures right."""
    cells = [[heading for _, heading, _ in _COLUMNS]]
    cells += [
        [
            "-" if line[name] is None else form.format(line[name])
            for name, _, form in _COLUMNS
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
    return "\n".join([f"{scenario.key} {scenario.title}", *aligned])


def machine() -> Row:
    """Name what the figures were measured on."""
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": platform.platform(),
    }
