"""The commands `asgi`, in one process, and `sockets`, against servers."""

from __future__ import annotations

import json
import sys
import typing as t

from benchmarks import door as clocks
from benchmarks import options
from benchmarks import report
from benchmarks import rounds
from benchmarks.asgi import door
from benchmarks.asgi import peers
from benchmarks.asgi import sockets
from benchmarks.asgi.scenarios import SCENARIOS
from benchmarks.report import Column

if t.TYPE_CHECKING:
    import argparse
    import collections.abc as cabc

    from benchmarks.asgi.scenarios import Scenario
    from benchmarks.peers import Peer

RATIOS: t.Final[report.Columns] = (
    Column("times_falcon", "x Falcon", "{:.2f}", "falcon"),
    Column("times_starlette", "x Starlette", "{:.2f}", "starlette"),
    Column("times_litestar", "x Litestar", "{:.2f}", "litestar"),
    Column("times_fastapi", "x FastAPI", "{:.2f}", "fastapi"),
    Column("times_quart", "x Quart", "{:.2f}", "quart"),
    Column("times_blacksheep", "x BlackSheep", "{:.2f}", "blacksheep"),
)
OF_RAW: t.Final = Column("share_of_raw", "of raw", "{:.1%}", "raw")
OF_STARLETTE: t.Final = Column(
    "cost_of_starlette", "Starlette's cost", "{:.0%}", "starlette", share=True
)
IN_PROCESS: t.Final[report.Columns] = (*report.OWN, *RATIOS, OF_STARLETTE, OF_RAW)
SOCKETS: t.Final[report.Columns] = (
    Column("peer", "peer", "{}"),
    Column("per_second", "requests/s", "{:.0f}"),
    Column("spread", "spread", "{:.0%}"),
    *RATIOS,
    OF_STARLETTE,
)
# What tells the lines of the last table apart.
_NAMES: t.Final = ("server", "scenario", "clock")


def add_to(tools: t.Any) -> None:
    """Add the two commands to the command line."""
    inside = tools.add_parser("asgi", help="the same over ASGI, with async views")
    options.add_choice(inside, SCENARIOS, peers.PEERS)
    options.add_timing(inside)
    inside.add_argument(
        "--loop",
        choices=door.LOOPS,
        default="asyncio",
        help="the event loop (default: %(default)s)",
    )
    inside.set_defaults(command=measure)
    outside = tools.add_parser(
        "sockets", help="wrk against ASGI servers, over the loopback interface"
    )
    options.add_choice(outside, sockets.SCENARIOS, sockets.PEERS)
    outside.add_argument(
        "--server",
        action="append",
        choices=sockets.SERVERS,
        help="start only this one; may be repeated",
    )
    for name, default, text in (
        ("--rounds", 5, "how often each peer is timed"),
        ("--seconds", 3, "how long each time"),
        ("--connections", 32, "how many are kept open"),
    ):
        outside.add_argument(
            name,
            type=options.positive,
            default=default,
            help=f"{text} (default: %(default)s)",
        )
    outside.set_defaults(command=measure_sockets)


def measure(chosen: argparse.Namespace) -> int:
    """Time the peers in this process, print the figures, return the exit status."""
    present, skipped = peers.load(chosen.peer or peers.PEERS)
    options.name_skipped(skipped)
    results: list[report.Row] = []
    with door.Door(chosen.loop) as the_door:
        for key in chosen.scenario or SCENARIOS:
            scenario = SCENARIOS[key]
            _name_lacking(present, key)
            # What threads wait for each other shows on the wall clock only.
            for clock in ("cpu", "wall") if scenario.threads else (chosen.clock,):
                result = _timed(scenario, present, chosen.rounds, clock, the_door)
                results.append(result)
                if not chosen.json:
                    title = f"{key} {scenario.title}, {clock} time"
                    print(report.table(title, result["peers"], IN_PROCESS), end="\n\n")
    facts = options.facts(chosen, present, skipped) | {"loop": chosen.loop}
    facts["measured"] = f"{chosen.loop}, collector on"
    _finish(chosen, facts, results, IN_PROCESS)
    return 0


def _timed(
    scenario: Scenario,
    present: cabc.Iterable[Peer],
    number: int,
    clock: str,
    the_door: door.Door,
) -> report.Row:
    contestants = rounds.run(
        scenario,
        present,
        rounds=number,
        clock=clocks.CLOCKS[clock],
        door=the_door,
        warm_up=scenario.warm_up,
    )
    return {
        "scenario": scenario.key,
        "title": scenario.title,
        "clock": clock,
        "peers": report.rows(contestants, IN_PROCESS),
    }


def measure_sockets(chosen: argparse.Namespace) -> int:
    """Time the peers behind servers, print the figures, return the exit status."""
    absent = sockets.missing_tools(chosen.server or sockets.SERVERS)
    if absent:
        print(f"not installed: {', '.join(absent)}", file=sys.stderr)
        return 1
    present, skipped = peers.load(chosen.peer or sockets.PEERS)
    options.name_skipped(skipped)
    results: list[report.Row] = []
    for server in chosen.server or sockets.SERVERS:
        for key in chosen.scenario or sockets.SCENARIOS:
            scenario = SCENARIOS[key]
            contestants = sockets.run(
                server,
                scenario,
                [peer.name for peer in present if hasattr(peer.module, key)],
                rounds=chosen.rounds,
                seconds=chosen.seconds,
                connections=chosen.connections,
            )
            rows = report.rows(contestants, SOCKETS)
            results.append({"server": server, "scenario": key, "peers": rows})
            if not chosen.json:
                title = f"{server}: {key} {scenario.title}"
                print(report.table(title, rows, SOCKETS), end="\n\n", flush=True)
    versions = {peer.name: peer.version for peer in present}
    facts = {
        **report.machine(),
        "rounds": chosen.rounds,
        "seconds": chosen.seconds,
        "connections": chosen.connections,
        "measured": f"{chosen.seconds} s each, {chosen.connections} connections,"
        " one thread of wrk, one worker",
        "versions": versions | sockets.versions(),
        "skipped": skipped,
    }
    _finish(chosen, facts, results, SOCKETS)
    return 0


def _name_lacking(present: cabc.Iterable[Peer], key: str) -> None:
    for peer in present:
        lacking = peer.missing(key)
        if lacking is not None:
            print(
                f"skipped: {peer.name} in {key}: {lacking} is not installed",
                file=sys.stderr,
            )


def _finish(
    chosen: argparse.Namespace,
    facts: report.Row,
    results: list[report.Row],
    columns: report.Columns,
) -> None:
    if chosen.json:
        print(json.dumps({**facts, "scenarios": results}, indent=2))
        return
    ours = [
        {**row, "peer": " ".join(filter(None, (result.get(key) for key in _NAMES)))}
        for result in results
        for row in result["peers"]
        if row["peer"] == "erlen"
    ]
    if ours:
        print(report.table("Erlen in all of them", ours, columns), end="\n\n")
    print(report.footnote(facts))
