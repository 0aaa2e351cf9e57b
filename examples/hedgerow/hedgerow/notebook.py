"""What the notebook can be asked and told: all SQL about sightings lives here."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from typing import Any

from sqlalchemy import Select

from erlen_db.pagination import Pagination

from . import live
from .db import db
from .db import fold
from .models import Sighting
from .models import the_pen


def search(wanted: Mapping[str, Any]) -> Pagination[Sighting]:
    """Return the page of sightings that checked `checks.SEARCH` values ask for."""
    return db.paginate(
        _matching(wanted).options(db.selectinload(Sighting.attachments)),
        page=wanted["page"],
        per_page=wanted["per_page"],
        error_out=False,
    )


def everything(wanted: Mapping[str, Any]) -> Iterator[Sighting]:
    """Yield all sightings that match; slow readers do not keep a connection."""
    query = _matching(wanted)
    cursor: str | None = ""  # the first page, and none that the address names
    while cursor is not None:
        page = db.paginate_keyset(query, cursor=cursor, per_page=500, max_per_page=None)
        db.release()
        yield from page
        cursor = page.next_cursor


def get(sighting_id: int) -> Sighting:
    """Return one sighting, or answer 404."""
    none = "There is no such sighting."
    return db.get_or_404(Sighting, sighting_id, description=none)


def latest(count: int) -> Sequence[Sighting]:
    """Return the sightings that were written down last, whatever their days."""
    query = db.select(Sighting).order_by(Sighting.id.desc()).limit(count)
    return db.session.scalars(query).all()


def after(sighting_id: int) -> Sequence[Sighting]:
    """Return some of those that were written down after one, the oldest first."""
    query = db.select(Sighting).where(Sighting.id > sighting_id)
    return db.session.scalars(query.order_by(Sighting.id).limit(100)).all()


def add(values: Mapping[str, Any]) -> Sighting:
    """Write down a checked sighting and call all readers."""
    sighting = Sighting(**values)
    with the_pen() as session:
        session.add(sighting)
    live.call(live.SIGHTINGS)
    return sighting


def add_many(sightings: Iterable[Mapping[str, Any]]) -> None:
    """Write down many at once: all of them or, when one fails, none."""
    with the_pen() as session:
        session.add_all(Sighting(**values) for values in sightings)


def change(sighting: Sighting, values: Mapping[str, Any]) -> None:
    """Replace fields of a sighting by checked ones."""
    with db.transaction():
        for name, value in values.items():
            setattr(sighting, name, value)


def remove(sighting: Sighting) -> None:
    """Strike out a sighting."""
    with db.transaction() as session:
        session.delete(sighting)


def clear() -> None:
    """Strike out all sightings."""
    with db.transaction() as session:
        session.execute(db.delete(Sighting))


@dataclass
class Species:
    """All that was seen of a species."""

    species: str
    kind: str
    first_day: str
    last_day: str
    months: list[int] = field(default_factory=lambda: [0] * 12)  # sightings in each


def species(kind: str = "") -> list[Species]:
    """Return each species, by name."""
    month = db.func.substr(Sighting.seen_on, 6, 2).cast(db.Integer).label("month")
    days = db.func.min(Sighting.seen_on), db.func.max(Sighting.seen_on)
    query = db.select(Sighting.species, Sighting.kind, *days, month, db.func.count())
    if kind:
        query = query.where(Sighting.kind == kind)
    known: dict[tuple[str, str], Species] = {}
    for name, its_kind, first, last, number, count in db.session.execute(
        query.group_by("species", "kind", "month")
    ):
        one = known.setdefault((name, its_kind), Species(name, its_kind, first, last))
        one.first_day = min(one.first_day, first)
        one.last_day = max(one.last_day, last)
        one.months[number - 1] = count
    return [known[key] for key in sorted(known, key=lambda key: (fold(key[0]), key))]


def places() -> Sequence[str]:
    """Return the known places, the most visited first."""
    order = db.func.count().desc(), Sighting.place
    query = db.select(Sighting.place).group_by(Sighting.place).order_by(*order)
    return db.session.scalars(query.limit(50)).all()


def _matching(wanted: Mapping[str, Any]) -> Select[Sighting]:
    query = db.select(Sighting).order_by(Sighting.seen_on.desc(), Sighting.id.desc())
    if wanted["kind"]:
        query = query.where(Sighting.kind == wanted["kind"])
    if wanted["since"]:
        query = query.where(Sighting.seen_on >= wanted["since"])
    if wanted["until"]:
        query = query.where(Sighting.seen_on <= wanted["until"])
    if wanted["q"]:
        words = fold(wanted["q"])
        query = query.where(Sighting.folded.contains(words, autoescape=True))
    return query
