"""Interleaved rounds: each round times every peer once, in rotated order.

Load on the machine comes and goes; peers that are timed within the same few
hundredths of a second share it. So figures are medians over the rounds, and
ratios are medians of the ratios within each round.
"""

from __future__ import annotations

import gc
import statistics
import typing as t
from dataclasses import dataclass
from dataclasses import field

from benchmarks import door as wsgi_door

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from benchmarks.peers import Peer

T = t.TypeVar("T")

WARM_UP_CALLS: t.Final = 200


class Scenario(t.Protocol):
    """What a scenario of either interface has."""

    @property
    def key(self) -> str:
        """The name of the function in each peer's module."""

    @property
    def exchanges(self) -> tuple[t.Any, ...]:
        """What is asked, in turn."""


class Door(t.Protocol):
    """Stands where a server would: the module `door`, or that of ASGI."""

    def check(self, app: t.Any, exchanges: t.Any, /) -> None:
        """Ask each exchange once, and raise WrongAnswerError."""

    def seconds(
        self, app: t.Any, scenario: t.Any, calls: int, clock: wsgi_door.Clock, /
    ) -> float:
        """Time `calls` requests."""


@dataclass
class Contestant:
    """A peer's application for one scenario, with its times.

    Attributes:
        peer: Name of the peer.
        app: Answers the scenario.
        calls: Requests in one round.
        times: Microseconds per request, one entry for each round.
    """

    peer: str
    app: t.Any
    calls: int = 1
    times: list[float] = field(default_factory=list)

    @property
    def microseconds(self) -> float:
        """Median microseconds per request."""
        return statistics.median(self.times)

    @property
    def spread(self) -> float:
        """Distance between the quartiles, as a share of the median."""
        if len(self.times) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.times, n=4, method="inclusive")
        return (high - low) / self.microseconds

    def times_faster_than(self, other: Contestant) -> float:
        """Return how many requests this peer answers while `other` answers one."""
        pairs = zip(other.times, self.times, strict=True)
        return statistics.median(theirs / ours for theirs, ours in pairs)


def rotations(items: cabc.Sequence[T], rounds: int) -> cabc.Iterator[list[T]]:
    """Yield `items` once per round, each time starting one further."""
    for number in range(rounds):
        start = number % max(1, len(items))
        yield [*items[start:], *items[:start]]


def run(
    scenario: Scenario,
    peers: cabc.Iterable[Peer],
    *,
    rounds: int,
    slice_seconds: float = 0.02,
    clock: wsgi_door.Clock = wsgi_door.CLOCKS["cpu"],
    door: Door = wsgi_door,
    warm_up: int = WARM_UP_CALLS,
) -> list[Contestant]:
    """Time the peers that take part in `scenario`.

    Every answer is checked at the start and again before each timing.

    Args:
        scenario: What is asked.
        peers: Who answers.
        rounds: How often each peer is timed.
        slice_seconds: About how long one timing lasts, in seconds.
        clock: Returns seconds.
        door: Hands over the requests.
        warm_up: Requests before those that are timed, asked twice.

    Raises:
        WrongAnswerError: A peer's answer is not the scenario's.
    """
    contestants = [
        Contestant(peer.name, app)
        for peer in peers
        if (app := peer.build(scenario.key)) is not None
    ]
    for contestant in contestants:
        door.check(contestant.app, scenario.exchanges)
        door.seconds(contestant.app, scenario, warm_up, clock)
        spent = door.seconds(contestant.app, scenario, warm_up, clock)
        contestant.calls = max(1, round(warm_up * slice_seconds / spent))
    # All that is loaded by now leaves the collector's sight: each peer pays for the
    # garbage of its own requests, not for the size of its neighbours.
    gc.collect()
    gc.freeze()
    try:
        for order in rotations(contestants, rounds):
            for contestant in order:
                door.check(contestant.app, scenario.exchanges)
                spent = door.seconds(contestant.app, scenario, contestant.calls, clock)
                contestant.times.append(spent / contestant.calls * 1e6)
    finally:
        gc.unfreeze()
    return contestants
