"""Frameworks with their databases, each written as its manual has it.

A peer's module has one function `build`, which returns an application with all
routes, of WSGI or of ASGI as `PEERS` says.
"""

from __future__ import annotations

import importlib
import typing as t
from dataclasses import dataclass
from importlib import metadata

from benchmarks import peers
from benchmarks.db.door import Served

if t.TYPE_CHECKING:
    import collections.abc as cabc
    import contextlib
    from types import ModuleType

    from benchmarks.db.databases import Database


class Entry(t.NamedTuple):
    """A peer that may be installed.

    Attributes:
        module: Its module here.
        needs: Its distributions, the first of which gives the version.
        over_asgi: It is no WSGI application.
    """

    module: str
    needs: tuple[str, ...] = ()
    over_asgi: bool = False


PEERS: t.Final[dict[str, Entry]] = {
    "raw": Entry("raw"),
    "sqlalchemy": Entry("sqlalchemy_peer", ("sqlalchemy", "jinja2")),
    "flask-sqlalchemy": Entry("flask_peer", ("flask-sqlalchemy", "flask")),
    "django": Entry("django_peer", ("django", "jinja2")),
    "fastapi": Entry("fastapi_peer", ("fastapi", "sqlalchemy", "jinja2"), True),
    "fastapi-async": Entry(
        "fastapi_async", ("fastapi", "sqlalchemy", "aiosqlite", "greenlet"), True
    ),
    "by-hand": Entry("erlen_by_hand", ("erlen", "sqlalchemy")),
    "erlen-db": Entry("erlen_peer", ("erlen-db", "erlen")),
    "erlen-db-async": Entry(
        "erlen_async", ("erlen-db", "erlen", "aiosqlite", "greenlet"), True
    ),
}


@dataclass
class Peer:
    """A framework that is installed, with its database once it is opened."""

    name: str
    version: str
    module: ModuleType
    over_asgi: bool
    served: Served | None = None

    def open(self, database: Database, closing: contextlib.ExitStack) -> None:
        """Build the application on `database`; `closing` ends what it starts."""
        app = self.module.build(database, closing)
        self.served = Served(app, self.over_asgi, database)

    def build(self, key: str) -> Served | None:
        """Return the application, which is the same for each scenario."""
        return self.served


def load(
    names: cabc.Iterable[str] = PEERS,
) -> tuple[list[Peer], dict[str, list[str]]]:
    """Import the peers that are installed.

    Returns:
        The peers, and for each of the others what it lacks.
    """
    present: list[Peer] = []
    skipped: dict[str, list[str]] = {}
    for name in names:
        module, needs, over_asgi = PEERS[name]
        lacking = [need for need in needs if not peers.installed(need)]
        if lacking:
            skipped[name] = lacking
            continue
        version = metadata.version(needs[0]) if needs else ""
        imported = importlib.import_module(f"{__name__}.{module}")
        present.append(Peer(name, version, imported, over_asgi))
    return present, skipped
