"""The command `db`: requests in one process, and writers in four."""

from __future__ import annotations

import contextlib
import json
import statistics
import sys
import tempfile
import typing as t
from pathlib import Path

from benchmarks import door as clocks
from benchmarks import options
from benchmarks import report
from benchmarks import rounds
from benchmarks.asgi import door as asgi_door
from benchmarks.db import databases
from benchmarks.db import door
from benchmarks.db import peers
from benchmarks.db import writers
from benchmarks.db.scenarios import SCENARIOS
from benchmarks.report import Column

if t.TYPE_CHECKING:
    import argparse
    import collections.abc as cabc

    from benchmarks.db.scenarios import Scenario
    from benchmarks.rounds import Contestant

OURS: t.Final = "erlen-db"
BY_HAND: t.Final = "by-hand"
COLUMNS: t.Final[report.Columns] = (
    *report.OWN,
    Column(
        "times_flask_sqlalchemy", "x Flask-SQLAlchemy", "{:.2f}", "flask-sqlalchemy"
    ),
    Column("times_django", "x Django", "{:.2f}", "django"),
    Column("times_fastapi", "x FastAPI", "{:.2f}", "fastapi"),
    Column(
        "cost_of_sqlalchemy", "SQLAlchemy's cost", "{:.1%}", "sqlalchemy", share=True
    ),
    Column("cost_of_by_hand", "by hand's cost", "{:.1%}", BY_HAND, share=True),
    Column("share_of_raw", "of raw", "{:.1%}", "raw"),
)
WRITERS: t.Final[report.Columns] = (
    Column("peer", "peer", "{}"),
    Column("per_second", "writes/s", "{:.0f}"),
    Column("spread", "spread", "{:.0%}"),
    Column("times_sqlalchemy", "x SQLAlchemy", "{:.1f}", writers.DEFAULTS),
)
WARM_UP: t.Final = 50


class Demand(t.NamedTuple):
    """What a scenario's figures are held to.

    Attributes:
        scenario: Its key.
        figure: A ratio of erlen-db's row.
        least: The least that it may be; None where `most` is given.
        most: The most.
    """

    scenario: str
    figure: str
    least: float | None = None
    most: float | None = None

    def met(self, figure: float) -> bool:
        """Say whether `figure` is within the bounds."""
        return (self.least is None or figure >= self.least) and (
            self.most is None or figure <= self.most
        )

    def __str__(self) -> str:
        bound = (
            f"at least {self.least}" if self.most is None else f"at most {self.most}"
        )
        return f"{self.scenario}: {self.figure} {bound}"


DEMANDS: t.Final = (
    Demand("row", "times_flask_sqlalchemy", least=1.5),
    Demand("fortunes", "times_flask_sqlalchemy", least=1.5),
    Demand("row", "times_django", least=1.0),
    Demand("fortunes", "times_django", least=0.9),
    Demand("rows", "cost_of_sqlalchemy", most=1.05),
    Demand("row", "glue", most=15.0),
)


def add_to(tools: t.Any) -> None:
    """Add the command to the command line."""
    parser = tools.add_parser("db", help="databases: rows, a page of them, commits")
    parser.add_argument(
        "part",
        nargs="?",
        choices=("requests", "writers"),
        default="requests",
        help="requests in this process, or writers in four processes on one SQLite"
        " file (default: %(default)s)",
    )
    options.add_choice(parser, SCENARIOS, peers.PEERS)
    options.add_timing(parser)
    parser.add_argument(
        "--database",
        choices=databases.KINDS,
        default="sqlite",
        help="of the requests; `postgresql` has those that only read, and takes"
        " its server from ERLEN_BENCHMARKS_POSTGRESQL (default: %(default)s)",
    )
    parser.add_argument(
        "--loop",
        choices=asgi_door.LOOPS,
        default="asyncio",
        help="the event loop of the peers over ASGI (default: %(default)s)",
    )
    parser.add_argument(
        "--seconds",
        type=options.positive,
        default=3,
        help="how long the writers write in each round (default: %(default)s)",
    )
    parser.set_defaults(command=measure)


def measure(chosen: argparse.Namespace) -> int:
    """Time the peers, print the figures, return the exit status."""
    return measure_writers(chosen) if chosen.part == "writers" else _requests(chosen)


def _requests(chosen: argparse.Namespace) -> int:
    present, lacking = peers.load(chosen.peer or peers.PEERS)
    for name, distributions in lacking.items():
        print(f"skipped: {name} lacks {', '.join(distributions)}", file=sys.stderr)
    results: list[report.Row] = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        closing = stack.enter_context(contextlib.ExitStack())
        inner = stack.enter_context(asgi_door.Door(chosen.loop))
        _open(present, chosen.database, folder, closing)
        the_door = door.Door(inner)
        for scenario in _chosen(chosen):
            contestants = rounds.run(
                scenario,
                t.cast("t.Any", present),
                rounds=chosen.rounds,
                clock=clocks.CLOCKS[chosen.clock],
                door=the_door,
                warm_up=WARM_UP,
            )
            result = _result(scenario, contestants)
            results.append(result)
            if not chosen.json:
                _print(result)
    facts = options.facts(chosen, present, tuple(lacking))
    facts |= {"loop": chosen.loop, "database": chosen.database}
    if chosen.json:
        print(json.dumps({**facts, "scenarios": results}, indent=2))
        return 0
    for line in demands(results) if chosen.database == "sqlite" else ():
        print(line)
    print(report.footnote(facts))
    return 0


def _open(
    present: cabc.Iterable[peers.Peer],
    kind: str,
    folder: Path,
    closing: contextlib.ExitStack,
) -> None:
    shared: databases.Database | None = None
    for peer in present:
        if kind == "postgresql" and shared is not None:
            database = shared
        else:
            made = databases.opened(kind, folder, peer.name)
            database = shared = closing.enter_context(made)
        peer.open(database, closing)


def _chosen(chosen: argparse.Namespace) -> list[Scenario]:
    named = [SCENARIOS[key] for key in chosen.scenario or SCENARIOS]
    if chosen.database == "sqlite":
        return named
    return [each for each in named if each.exchanges[0].query is None]


def _result(
    scenario: Scenario, contestants: cabc.Sequence[Contestant]
) -> dict[str, t.Any]:
    return {
        "scenario": scenario.key,
        "title": scenario.title,
        "glue": glue(contestants),
        "peers": report.rows(contestants, COLUMNS),
    }


def glue(contestants: cabc.Iterable[Contestant]) -> float | None:
    """Return what erlen-db costs a request beyond a session made and closed by hand.

    Returns:
        Microseconds: the median of the differences within each round. None when one
        of the two did not run.
    """
    times = {contestant.peer: contestant.times for contestant in contestants}
    if OURS not in times or BY_HAND not in times:
        return None
    pairs = zip(times[OURS], times[BY_HAND], strict=True)
    return statistics.median(ours - by_hand for ours, by_hand in pairs)


def demands(results: cabc.Iterable[report.Row]) -> cabc.Iterator[str]:
    """Yield a line for each demand whose figure is there."""
    by_key = {result["scenario"]: result for result in results}
    for demand in DEMANDS:
        result = by_key.get(demand.scenario)
        if result is None:
            continue
        rows = {row["peer"]: row for row in result["peers"]}
        figures = {**rows.get(OURS, {}), "glue": result["glue"]}
        figure = figures.get(demand.figure)
        if figure is not None:
            met = "met" if demand.met(figure) else "NOT MET"
            yield f"{demand}: {figure:.2f}, {met}"


def _print(result: report.Row) -> None:
    title = f"{result['scenario']} {result['title']}"
    print(report.table(title, result["peers"], COLUMNS))
    if result["glue"] is not None:
        print(f"{OURS} above a session by hand: {result['glue']:.1f} us")
    print(flush=True)


def measure_writers(chosen: argparse.Namespace) -> int:
    """Let writers write, print the figures, return the exit status."""
    lacking = writers.missing()
    if lacking:
        print(f"not installed: {', '.join(lacking)}", file=sys.stderr)
        return 1
    written = writers.run(rounds=chosen.rounds, seconds=chosen.seconds)
    rows = [
        row | written[row["peer"]].facts()
        for row in report.rows(list(written.values()), WRITERS)
    ]
    facts = {
        **report.machine(),
        "rounds": chosen.rounds,
        "seconds": chosen.seconds,
        "measured": f"{chosen.seconds} s each, {writers.PROCESSES} processes of"
        f" {writers.THREADS} threads, one counter",
        "versions": writers.versions(),
    }
    if chosen.json:
        print(json.dumps({**facts, "peers": rows}, indent=2))
        return 0
    columns = (
        *WRITERS,
        Column("failed", "failed", "{}"),
        Column("lost", "lost", "{}"),
        Column("p50", "p50 ms", "{:.1f}"),
        Column("p99", "p99 ms", "{:.1f}"),
        Column("slowest", "slowest ms", "{:.0f}"),
    )
    print(report.table("writers: read, add one, commit", rows, columns), end="\n\n")
    print(report.footnote(facts))
    return 0
