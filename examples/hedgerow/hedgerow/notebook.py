"""What the notebook can be asked and told: all SQL about sightings lives here."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import live
from .db import get_db

MATCHING = """
    FROM entries
    WHERE (:kind = '' OR kind = :kind)
      AND (:since = '' OR seen_on >= :since)
      AND (:until = '' OR seen_on <= :until)
      AND (:q = '' OR instr(
          fold(species || ' ' || place || ' ' || observer || ' ' || note), fold(:q)))
"""
ALL = "SELECT *" + MATCHING + "ORDER BY seen_on DESC, id DESC"
PAGE = ALL + " LIMIT :per_page OFFSET (:page - 1) * :per_page"
INSERT = """
    INSERT INTO sightings (species, kind, count, seen_on, place, observer, note)
    VALUES (:species, :kind, :count, :seen_on, :place, :observer, :note)
"""


@dataclass(frozen=True)
class Page:
    """One page of sightings and where it stands among the others."""

    items: list[sqlite3.Row]
    total: int
    number: int
    size: int

    @property
    def count(self) -> int:
        """How many pages there are; an empty list has one."""
        return max(1, -(-self.total // self.size))


def search(wanted: Mapping[str, Any]) -> Page:
    """Return the page of sightings that checked `checks.SEARCH` values ask for."""
    db = get_db()
    total = db.execute("SELECT count(*)" + MATCHING, wanted).fetchone()[0]
    rows = db.execute(PAGE, wanted).fetchall()
    return Page(rows, total, wanted["page"], wanted["per_page"])


def everything(wanted: Mapping[str, Any]) -> Iterator[sqlite3.Row]:
    """Yield all sightings that match, read from the file as they are consumed."""
    yield from get_db().execute(ALL, wanted)


def get(sighting_id: int) -> sqlite3.Row | None:
    """Return one sighting, or None."""
    query = "SELECT * FROM sightings WHERE id = ?"
    return get_db().execute(query, (sighting_id,)).fetchone()


def latest(count: int) -> list[sqlite3.Row]:
    """Return the sightings that were written down last, whatever their days."""
    query = "SELECT * FROM sightings ORDER BY id DESC LIMIT ?"
    return get_db().execute(query, (count,)).fetchall()


def after(sighting_id: int) -> list[sqlite3.Row]:
    """Return some of those that were written down after one, the oldest first."""
    query = "SELECT * FROM sightings WHERE id > ? ORDER BY id LIMIT 100"
    return get_db().execute(query, (sighting_id,)).fetchall()


def add(sighting: Mapping[str, Any]) -> int:
    """Write down a checked sighting and call all readers; return its number."""
    with get_db() as db:
        [(sighting_id,)] = db.execute(INSERT + " RETURNING id", sighting)
    live.call(live.SIGHTINGS)
    return sighting_id


def add_many(sightings: Iterable[Mapping[str, Any]]) -> None:
    """Write down many at once: all of them or, when one fails, none."""
    with get_db() as db:
        db.executemany(INSERT, sightings)


def change(sighting_id: int, sighting: Mapping[str, Any]) -> None:
    """Replace all fields of a sighting by checked ones."""
    with get_db() as db:
        db.execute(
            """
            UPDATE sightings
            SET species = :species, kind = :kind, count = :count, seen_on = :seen_on,
                place = :place, observer = :observer, note = :note
            WHERE id = :id
            """,
            {**sighting, "id": sighting_id},
        )


def remove(sighting_id: int) -> None:
    """Strike out a sighting."""
    with get_db() as db:
        db.execute("DELETE FROM sightings WHERE id = ?", (sighting_id,))


def clear() -> None:
    """Strike out all sightings."""
    with get_db() as db:
        db.execute("DELETE FROM sightings")


def species(kind: str = "") -> list[sqlite3.Row]:
    """Return each species with its sightings, first and last day, by name."""
    return (
        get_db()
        .execute(
            """
            SELECT species, kind, count(*) AS sightings,
                   min(seen_on) AS first_day, max(seen_on) AS last_day
            FROM sightings
            WHERE (:kind = '' OR kind = :kind)
            GROUP BY species, kind
            ORDER BY fold(species)
            """,
            {"kind": kind},
        )
        .fetchall()
    )


def months() -> dict[tuple[str, str], list[int]]:
    """Return the sightings in each month of the year, by species and kind."""
    calendar: dict[tuple[str, str], list[int]] = {}
    query = """
        SELECT species, kind, CAST(substr(seen_on, 6, 2) AS INTEGER) AS month, count(*)
        FROM sightings GROUP BY species, kind, month
    """
    for name, kind, month, count in get_db().execute(query):
        calendar.setdefault((name, kind), [0] * 12)[month - 1] = count
    return calendar


def places() -> list[str]:
    """Return the known places, the most visited first."""
    query = "SELECT place FROM sightings GROUP BY place ORDER BY count(*) DESC LIMIT 50"
    return [place for (place,) in get_db().execute(query)]
