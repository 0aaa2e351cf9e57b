"""The command line: `python -m benchmarks --help`."""

from __future__ import annotations

import argparse
import json
import sys
import typing as t
from pathlib import Path

from benchmarks import door
from benchmarks import peers
from benchmarks import report
from benchmarks import rounds
from benchmarks import trace
from benchmarks.scenarios import SCENARIOS

if t.TYPE_CHECKING:
    import collections.abc as cabc

_EXAMPLES = """\
examples:
  python -m benchmarks
  python -m benchmarks --scenario s1 --scenario s3 --rounds 101
  python -m benchmarks --peer flask --peer erlen --json > figures.json
  python -m benchmarks trace
  python -m benchmarks trace --peer falcon --scenario s3
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Time the same requests through each framework, in one process.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--scenario",
        action="append",
        choices=SCENARIOS,
        help="run only this one; may be repeated",
    )
    parser.add_argument(
        "--peer",
        action="append",
        choices=peers.PEERS,
        help="time only this one; may be repeated",
    )
    parser.add_argument(
        "--rounds",
        type=_positive,
        default=41,
        help="how often each peer is timed (default: %(default)s)",
    )
    parser.add_argument(
        "--clock",
        choices=door.CLOCKS,
        default="cpu",
        help="what is timed: CPU time of this process, or the wall clock"
        " (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for machines")
    tools = parser.add_subparsers(dest="tool", metavar="trace")
    tracer = tools.add_parser("trace", help="print the calls of one request in order")
    tracer.add_argument("--peer", choices=peers.PEERS, default="erlen")
    tracer.add_argument("--scenario", choices=SCENARIOS, default="s1")
    return parser


def _positive(word: str) -> int:
    number = int(word)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _measure(options: argparse.Namespace) -> int:
    present, skipped = peers.load(options.peer or peers.PEERS)
    results: list[report.Row] = []
    for name in skipped:
        print(f"skipped: {name} is not installed", file=sys.stderr)
    for key in options.scenario or SCENARIOS:
        scenario = SCENARIOS[key]
        contestants = rounds.run(
            scenario,
            present,
            rounds=options.rounds,
            clock=door.CLOCKS[options.clock],
        )
        rows = report.rows(contestants)
        results.append({"scenario": key, "title": scenario.title, "peers": rows})
        if not options.json:
            print(report.table(scenario, rows), end="\n\n", flush=True)
    versions = {peer.name: peer.version for peer in present}
    settings = {"rounds": options.rounds, "clock": options.clock, "gc": "on"}
    facts = {**report.machine(), **settings, "versions": versions, "skipped": skipped}
    if options.json:
        print(json.dumps({**facts, "scenarios": results}, indent=2))
    else:
        print(_footnote(facts))
    return 0


def _footnote(facts: report.Row) -> str:
    versions = ", ".join(f"{k} {v}" for k, v in facts["versions"].items() if v)
    return (
        f"Medians of {facts['rounds']} rounds, {facts['clock']} time, collector on;"
        f" {facts['implementation']} {facts['python']}, {versions}."
    )


def _trace(options: argparse.Namespace) -> int:
    present, skipped = peers.load([options.peer])
    if skipped:
        print(f"{options.peer} is not installed", file=sys.stderr)
        return 1
    app = present[0].build(options.scenario)
    if app is None:
        print(f"{options.peer} takes no part in {options.scenario}", file=sys.stderr)
        return 1
    own = [Path(str(present[0].module.__file__))]
    distribution = peers.PEERS[options.peer][1]
    if distribution:
        own.append(trace.package_folder(distribution))
    exchange = SCENARIOS[options.scenario].exchanges[0]
    print(trace.text(trace.record(app, exchange, own)))
    return 0


def main(arguments: cabc.Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    options = _parser().parse_args(arguments)
    return _trace(options) if options.tool else _measure(options)


if __name__ == "__main__":
    sys.exit(main())
