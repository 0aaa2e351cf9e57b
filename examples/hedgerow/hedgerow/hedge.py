"""Grows the last twelve months into a hedge: a leaf for each sighting."""

from __future__ import annotations

from calendar import monthrange
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from dataclasses import field
from datetime import date
from math import ceil

from .checks import KINDS
from .db import db
from .models import Sighting

TWIGS = 4  # in a month, of seven or eight days each
TALLEST = 36  # leaves on a twig; when days are busier, a leaf stands for more
STEP = 20  # units of the drawing between twigs
RISE = 6  # units between leaves


@dataclass(frozen=True)
class Leaf:
    """A leaf: its foot, the side to which it points, and the kind that it shows."""

    x: int
    y: int
    side: str
    kind: str


@dataclass
class Month:
    """A month: its days, its sightings and the twigs that they grew into."""

    first: date
    last: date
    total: int = 0
    leaves: list[Leaf] = field(default_factory=list)
    stems: list[tuple[int, int]] = field(default_factory=list)  # x, y of the tip


@dataclass(frozen=True)
class Hedge:
    """The whole drawing; the ground is at y = 0, and the sky is negative."""

    months: list[Month]
    worth: int  # sightings that one leaf stands for
    width: int = 12 * TWIGS * STEP

    @property
    def perch(self) -> tuple[int, int]:
        """The tip of the tallest twig, where the bird sits; the ground without any."""
        stems = [stem for month in self.months for stem in month.stems]
        return min(stems, key=lambda stem: stem[1], default=(STEP, 0))


def hedge(today: date) -> Hedge:
    """Return the hedge of the twelve months that end with that of `today`."""
    day = db.func.substr(Sighting.seen_on, 9).cast(db.Integer)
    columns = (
        db.func.substr(Sighting.seen_on, 1, 7).label("month"),
        ((day - 1) * TWIGS // 31).label("twig"),
        Sighting.kind,
    )
    query = (
        db.select(*columns, db.func.count())
        .where(Sighting.seen_on >= _months(today)[0].first.isoformat())
        .group_by("month", "twig", "kind")
    )
    return grow(db.session.execute(query), today)


def grow(rows: Iterable[tuple[str, int, str, int]], today: date) -> Hedge:
    """Lay out rows of month (YYYY-MM), twig, kind and number of sightings."""
    twigs: dict[tuple[str, int], dict[str, int]] = defaultdict(dict)
    for month_name, twig, kind, number in rows:
        twigs[month_name, twig][kind] = number
    busiest = max((sum(kinds.values()) for kinds in twigs.values()), default=0)
    drawing = Hedge(_months(today), worth=max(1, ceil(busiest / TALLEST)))
    for index, month in enumerate(drawing.months):
        for twig in range(TWIGS):
            kinds = twigs[month.first.isoformat()[:7], twig]
            x = (index * TWIGS + twig) * STEP + STEP // 2
            _sprout(month, x, kinds, drawing)
    return drawing


def _sprout(month: Month, x: int, kinds: dict[str, int], drawing: Hedge) -> None:
    buds = [k for k in KINDS for _ in range(ceil(kinds.get(k, 0) / drawing.worth))]
    for index, kind in enumerate(buds):
        side = "left" if index % 2 else "right"
        month.leaves.append(Leaf(x, -RISE * (index + 1), side, kind))
    if buds:
        month.stems.append((x, -RISE * len(buds)))
    month.total += sum(kinds.values())


def _months(today: date) -> list[Month]:
    count = today.year * 12 + today.month - 1
    starts = [date(n // 12, n % 12 + 1, 1) for n in range(count - 11, count + 1)]
    return [
        Month(first, first.replace(day=monthrange(first.year, first.month)[1]))
        for first in starts
    ]
