"""Demo data: three years in an invented village, the same each time they are sown."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator
from datetime import date
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
from werkzeug.datastructures import FileStorage

from erlen import Erlen
from erlen.cli import with_appcontext

from . import attachments
from . import notebook
from .checks import SEARCH
from .checks import check
from .models import Pen
from .models import the_pen

FOLDER = Path(__file__).with_name("demo")
YEARS = 3
ALL = check({}, SEARCH)
PLACES = {
    "Mill Lane": 9,
    "Rook Wood": 8,
    "The Long Meadow": 7,
    "Tinker's Pond": 5,
    "St Bride's churchyard": 5,
    "Weir Bridge": 5,
    "Old railway cutting": 4,
    "The allotments": 4,
    "Gallows Hill": 3,
    "Kitchen window, No. 9": 3,
}
OBSERVERS = {
    "Nell Hartley": 8,
    "Amir Sadiq": 6,
    "Joan Pruett": 5,
    "Tomasz Wójcik": 4,
    "Bea Okafor": 4,
    "Year 5, village school": 2,
}
PRINTS = {
    "Barn owl": "Lino print: a barn owl on a beam under a thin moon",
    "Fly agaric": "Lino print: two fly agarics, one tall and one small, in long grass",
    "Foxglove": "Lino print: three foxgloves in flower against a violet dusk",
    "Hedgehog": "Lino print: a hedgehog setting out over fallen leaves",
    "Kingfisher": "Lino print: a kingfisher on a branch above dark water",
    "Orange-tip": "Lino print: an orange-tip butterfly on cuckooflower",
}


def init_app(app: Erlen) -> None:
    """Add the command, and sow the data into a notebook that was just made."""
    app.cli.add_command(init_db)
    with app.app_context():
        if _first_start() and app.config["DEMO_DATA"]:
            sow(date.today())


def sow(today: date) -> None:
    """Write the sightings of the last years, and hang the prints beside some."""
    notebook.add_many(_sightings(today))
    for species, caption in PRINTS.items():
        newest = notebook.search({**ALL, "q": species}).items[0]
        path = FOLDER / f"{species.lower().replace(' ', '-')}.png"
        with path.open("rb") as file:
            upload = FileStorage(file, filename=path.name)
            attachments.add(newest.id, upload, caption)


@click.command("init-db")
@click.option(
    "--demo/--empty", default=True, help="What to start with.", show_default=True
)
@click.option("--yes", is_flag=True, help="Do not ask before erasing.")
@with_appcontext
def init_db(*, demo: bool, yes: bool) -> None:
    """Start the notebook afresh, with demo data or empty."""
    count = notebook.search(ALL).total
    if count and not yes:
        click.confirm(f"This erases {count:,} sightings. Go on?", abort=True)
    attachments.remove(attachments.every())
    notebook.clear()
    if demo:
        sow(date.today())
    click.echo(f"The notebook has {notebook.search(ALL).total:,} sightings.")


def _first_start() -> bool:
    """Tell the truth once in the life of a database, and to one process only."""
    with the_pen() as session:
        pen = session.get_one(Pen, 1)
        first, pen.fresh = pen.fresh, False
    return first


def _sightings(today: date) -> Iterator[dict[str, Any]]:
    chance = random.Random("hedgerow")
    with FOLDER.joinpath("species.csv").open(encoding="utf-8", newline="") as file:
        species = list(csv.DictReader(file))
    for days_ago in range(365 * YEARS, -1, -1):
        day = today - timedelta(days=days_ago)
        season = [int(one["months"][day.month - 1]) ** 2 for one in species]
        busy = sum(season) // 200
        for one in chance.choices(species, season, k=chance.randint(0, busy)):
            notes = one["early" if day.month < 8 else "late"].split("|")
            yield {
                "species": one["species"],
                "kind": one["kind"],
                # Few are common and many are rare.
                "count": 1 + int(int(one["most"]) * chance.random() ** 3),
                "seen_on": day.isoformat(),
                "place": _pick(chance, PLACES),
                "observer": _pick(chance, OBSERVERS),
                "note": chance.choice(notes) if chance.random() < 0.3 else "",
            }


def _pick(chance: random.Random, weights: dict[str, int]) -> str:
    return chance.choices(list(weights), list(weights.values()))[0]
