"""The queries of an application context, kept where SQLALCHEMY_RECORD_QUERIES is on.

For tests and for tools like a debug toolbar: it holds on to all statements and
their parameters until the context ends.
"""

from __future__ import annotations

import dataclasses
import typing as t
import weakref

from erlen.extension import current_context

from ._statements import Observer
from ._statements import Statement
from ._statements import find_location
from ._statements import shorten

__all__ = ["get_recorded_queries"]

_kept: weakref.WeakKeyDictionary[object, list[_QueryInfo]]
_kept = weakref.WeakKeyDictionary()


@dataclasses.dataclass
class _QueryInfo:
    """A query, how long it took and where it came from."""

    #: The SQL, with placeholders.
    statement: str | None

    #: What was sent for the placeholders: in the form of the driver, and a list of
    #: such things where the statement was sent for many rows.
    parameters: t.Any

    #: Seconds on a clock without a meaning of its own; compare with another.
    start_time: float

    #: As `start_time`, when the database had answered.
    end_time: float

    #: Where in the application's code it was asked for, for people to read.
    location: str

    @property
    def duration(self) -> float:
        """The seconds from sending the query to its answer."""
        return self.end_time - self.start_time

    def __str__(self) -> str:
        return (
            f"{shorten(self.statement or '')} {self.parameters!r}"
            f" ({self.duration * 1000:.1f} ms) at {self.location}"
        )

    __repr__ = __str__


def describe(statement: Statement) -> _QueryInfo:
    """Return what is kept of a statement; call it while its code still waits."""
    return _QueryInfo(
        statement.text,
        statement.parameters,
        statement.start,
        statement.end,
        find_location(),
    )


def get_recorded_queries() -> list[_QueryInfo]:
    """Return the queries of the current application context, in their order.

    Each has `statement`, `parameters`, `start_time`, `end_time`, `duration` and
    `location`. Without the setting SQLALCHEMY_RECORD_QUERIES there are none.

    Raises:
        RuntimeError: No application context is in force.
    """
    ctx = current_context()
    if ctx is None:
        raise RuntimeError(
            "get_recorded_queries() was called outside of an application context, and"
            ' queries are recorded for each. Push one first: "with app.app_context():"'
            " in a script or a test."
        )
    return _kept.setdefault(ctx, [])


def _record(statement: Statement) -> None:
    ctx = current_context()
    if ctx is not None:
        _kept.setdefault(ctx, []).append(describe(statement))


def listen(app: t.Any, engine: t.Any) -> None:
    """Record what an engine sends; called where the setting is on.

    Args:
        app: The application.
        engine: An engine; of an `AsyncEngine`, its `sync_engine`.
    """
    Observer(_record).attach(engine)
