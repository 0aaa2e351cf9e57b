"""Stands where the server of a database's peer would, over WSGI or ASGI."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from benchmarks import door as wsgi_door
from benchmarks.scenarios import WrongAnswerError

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from benchmarks.asgi import door as asgi_door
    from benchmarks.db.databases import Database
    from benchmarks.db.scenarios import Exchange
    from benchmarks.db.scenarios import Scenario
    from benchmarks.door import Clock


@dataclass(frozen=True)
class Served:
    """A peer's application with its database.

    Attributes:
        app: A WSGI application, or one of ASGI.
        over_asgi: Which of the two.
        database: What it writes to.
    """

    app: t.Any
    over_asgi: bool
    database: Database


class Door:
    """Hands over requests and looks at what they wrote.

    Args:
        asgi: The door of the applications with `over_asgi`.
    """

    def __init__(self, asgi: asgi_door.Door) -> None:
        self._asgi = asgi

    def check(self, served: Served, exchanges: cabc.Iterable[Exchange]) -> None:
        """Ask each exchange once.

        Raises:
            WrongAnswerError: An answer, or what is stored, is not the exchange's.
        """
        for exchange in exchanges:
            if served.over_asgi:
                self._asgi.check(served.app, [exchange.over_asgi()])
            else:
                wsgi_door.check(served.app, [exchange.over_wsgi()])
            if exchange.query is not None:
                found = served.database.value(exchange.query)
                if found != exchange.stored:
                    raise WrongAnswerError(
                        f"{exchange.method} {exchange.path}: stored:"
                        f" expected {exchange.stored!r}, got {found!r}"
                    )

    def seconds(
        self, served: Served, scenario: Scenario, calls: int, clock: Clock
    ) -> float:
        """Time `calls` requests, the scenario's exchanges in turn.

        Returns:
            Seconds that they took altogether, by `clock`.

        Raises:
            WrongAnswerError: Not each of them has left its row.
        """
        if scenario.grows is not None:
            served.database.empty(scenario.grows)
        exchanges = _Turns(scenario, over_asgi=served.over_asgi)
        door = self._asgi if served.over_asgi else wsgi_door
        # The other door's scenarios have more fields, none of which it reads here.
        spent: float = door.seconds(
            served.app, t.cast("t.Any", exchanges), calls, clock
        )
        if scenario.grows is not None:
            left = served.database.value(f"SELECT count(*) FROM {scenario.grows}")
            # The door of ASGI asks once more, before it looks at the clock.
            if left != calls + served.over_asgi:
                raise WrongAnswerError(f"{scenario.key}: {calls} asked, {left} stored")
        return spent


class _Turns:
    """A scenario as the doors of WSGI and ASGI read it."""

    def __init__(self, scenario: Scenario, *, over_asgi: bool) -> None:
        self.exchanges = tuple(
            each.over_asgi() if over_asgi else each.over_wsgi()
            for each in scenario.exchanges
        )
