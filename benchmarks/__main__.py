"""The command line: `python -m benchmarks --help`."""

from __future__ import annotations

import argparse
import json
import sys
import typing as t
from pathlib import Path

from benchmarks import door
from benchmarks import options
from benchmarks import peers
from benchmarks import report
from benchmarks import rounds
from benchmarks import trace
from benchmarks.asgi import commands
from benchmarks.asgi import door as asgi_door
from benchmarks.asgi import peers as asgi_peers
from benchmarks.asgi import scenarios as asgi_scenarios
from benchmarks.db import commands as db_commands
from benchmarks.scenarios import SCENARIOS

if t.TYPE_CHECKING:
    import collections.abc as cabc

_EXAMPLES = """\
examples:
  python -m benchmarks
  python -m benchmarks --scenario s1 --scenario s3 --rounds 101
  python -m benchmarks --peer flask --peer erlen --json > figures.json
  python -m benchmarks asgi --scenario s1 --loop uvloop
  python -m benchmarks sockets --server uvicorn --rounds 5
  python -m benchmarks db --scenario row --scenario fortunes
  python -m benchmarks db writers --rounds 3
  python -m benchmarks trace
  python -m benchmarks trace --peer falcon --scenario s3
  python -m benchmarks trace --door asgi --scenario s10
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Time the same requests through each framework, in one process.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_choice(parser, SCENARIOS, peers.PEERS)
    options.add_timing(parser)
    tools = parser.add_subparsers(dest="tool", metavar="asgi|sockets|db|trace")
    commands.add_to(tools)
    db_commands.add_to(tools)
    tracer = tools.add_parser("trace", help="print the calls of one request in order")
    both = {**peers.PEERS, **asgi_peers.PEERS}
    tracer.add_argument("--peer", choices=both, default="erlen")
    scenarios = {**SCENARIOS, **asgi_scenarios.SCENARIOS}
    tracer.add_argument("--scenario", choices=scenarios, default="s1")
    tracer.add_argument("--door", choices=("wsgi", "asgi"), default="wsgi")
    tracer.set_defaults(command=_trace)
    parser.set_defaults(command=_measure)
    return parser


def _measure(chosen: argparse.Namespace) -> int:
    present, skipped = peers.load(chosen.peer or peers.PEERS)
    results: list[report.Row] = []
    options.name_skipped(skipped)
    for key in chosen.scenario or SCENARIOS:
        scenario = SCENARIOS[key]
        contestants = rounds.run(
            scenario,
            present,
            rounds=chosen.rounds,
            clock=door.CLOCKS[chosen.clock],
        )
        rows = report.rows(contestants)
        results.append({"scenario": key, "title": scenario.title, "peers": rows})
        if not chosen.json:
            print(report.table(f"{key} {scenario.title}", rows), end="\n\n", flush=True)
    facts = options.facts(chosen, present, skipped)
    print(
        json.dumps({**facts, "scenarios": results}, indent=2)
        if chosen.json
        else report.footnote(facts)
    )
    return 0


def _trace(chosen: argparse.Namespace) -> int:
    over_asgi = chosen.door == "asgi"
    table = asgi_peers.PEERS if over_asgi else peers.PEERS
    load = asgi_peers.load if over_asgi else peers.load
    if chosen.peer not in table:
        return _refuse(f"{chosen.peer} is no peer over {chosen.door}")
    present, skipped = load([chosen.peer])
    if skipped:
        return _refuse(f"{chosen.peer} is not installed")
    app = present[0].build(chosen.scenario)
    if app is None:
        return _refuse(f"{chosen.peer} takes no part in {chosen.scenario}")
    own = [Path(str(present[0].module.__file__))]
    distribution = table[chosen.peer][1]
    if distribution:
        own.append(trace.package_folder(distribution))
    if over_asgi:
        with asgi_door.Door() as opened:
            exchange = asgi_scenarios.SCENARIOS[chosen.scenario].exchanges[0]
            found = opened.traced(app, exchange, own)
    else:
        found = trace.record(app, SCENARIOS[chosen.scenario].exchanges[0], own)
    print(trace.text(found))
    return 0


def _refuse(reason: str) -> int:
    print(reason, file=sys.stderr)
    return 1


def main(arguments: cabc.Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    chosen = _parser().parse_args(arguments)
    return int(chosen.command(chosen))


if __name__ == "__main__":
    sys.exit(main())
