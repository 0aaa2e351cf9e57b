"""What the commands have in common: their options, and what they say at the end."""

from __future__ import annotations

import argparse
import sys
import typing as t

from benchmarks import door
from benchmarks import report

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from benchmarks.peers import Peer


def positive(word: str) -> int:
    """Read a number from 1 upwards."""
    number = int(word)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def add_choice(
    parser: argparse.ArgumentParser,
    scenarios: cabc.Iterable[str],
    peers: cabc.Iterable[str],
) -> None:
    """Let `parser` choose among scenarios and among peers, and print JSON."""
    parser.add_argument(
        "--scenario",
        action="append",
        choices=scenarios,
        help="run only this one; may be repeated",
    )
    parser.add_argument(
        "--peer",
        action="append",
        choices=peers,
        help="time only this one; may be repeated",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for machines")


def add_timing(parser: argparse.ArgumentParser) -> None:
    """Let `parser` say how often each peer is timed, and by which clock."""
    parser.add_argument(
        "--rounds",
        type=positive,
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


def name_skipped(names: cabc.Iterable[str]) -> None:
    """Name on standard error the peers that are not installed."""
    for name in names:
        print(f"skipped: {name} is not installed", file=sys.stderr)


def facts(
    chosen: argparse.Namespace,
    present: cabc.Iterable[Peer],
    skipped: cabc.Sequence[str],
) -> report.Row:
    """Say what the figures of one process were measured on, and how."""
    return {
        **report.machine(),
        "rounds": chosen.rounds,
        "clock": chosen.clock,
        "gc": "on",
        "measured": f"{chosen.clock} time, collector on",
        "versions": {peer.name: peer.version for peer in present},
        "skipped": skipped,
    }
