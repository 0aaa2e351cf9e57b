"""Help in development: queries counted, N+1 found, streams that hold a connection.

And the log of slow queries, which is for production as well. What is off has no
listener: `SQLALCHEMY_WATCH` (as DEBUG by default), `SQLALCHEMY_SLOW_QUERY`.
"""

from __future__ import annotations

import typing as t
import weakref

from sqlalchemy import event
from sqlalchemy import pool as sa_pool

from erlen import has_request_context
from erlen import request
from erlen.extension import current_context
from erlen.extension import stream_started

from ._statements import Observer
from ._statements import Statement
from ._statements import find_location
from ._statements import shorten

if t.TYPE_CHECKING:
    import collections.abc as cabc

__all__ = ["finish", "listen"]

# So many queries of one shape are no accident.
_MANY = 10

# A query with more parameters loads many rows at once: it is the cure.
_BATCH = 50

_SEEN = "erlen_db.seen"


class _Shape:
    """The queries of one statement from one place."""

    def __init__(self) -> None:
        self.count = 0
        #: Hashes of parameters, up to those that prove the case.
        self.parameters: set[int] = set()
        #: The relationship that was loaded lazily, if it was one.
        self.relationship = ""


class _Seen:
    """What was seen of one context: of a request, of a command."""

    def __init__(self) -> None:
        self.where = _describe_request()
        self.count = 0
        self.seconds = 0.0
        self.shapes: dict[tuple[str, str], _Shape] = {}
        #: The connections that are out of their pools.
        self.held: set[t.Any] = set()


def _describe_request() -> str:
    if not has_request_context():
        return "a context without a request"
    return f"{request.method} {request.path!r}"


def _values(parameters: t.Any) -> tuple[t.Any, ...]:
    if hasattr(parameters, "values"):  # of a driver that names them
        parameters = parameters.values()
    return tuple(parameters or ())


def _hash(values: tuple[t.Any, ...]) -> int:
    try:
        return hash(values)
    except TypeError:  # lists for PostgreSQL's arrays, dicts for JSON
        return hash(repr(values))


def _relationship(context: t.Any) -> str:
    """Return the relationship that a query loads, such as `Post.author`."""
    state = getattr(getattr(context, "compiled", None), "compile_state", None)
    path = tuple(getattr(state, "current_path", ()))
    return str(path[-1]) if path else ""


def _cure(shape: _Shape) -> str:
    if shape.relationship:
        return (
            f"The relationship {shape.relationship} is loaded for each row: load it"
            " along with the rows, by .options(selectinload("
            f"{shape.relationship})) on the query for them"
        )
    return (
        "Ask for all of it at once, by .where(Model.id.in_(ids)); where it is a"
        " relationship, by .options(selectinload(Model.relationship)) on the query"
        " for the rows"
    )


class _Watch:
    """Watches the engines of one application.

    Args:
        app: The application.
    """

    def __init__(self, app: t.Any) -> None:
        # Not the application: `_watches` would keep it for ever.
        self._app = weakref.ref(app)
        self._seen: weakref.WeakKeyDictionary[object, _Seen]
        self._seen = weakref.WeakKeyDictionary()
        self._observer = Observer(self._count)
        stream_started.connect(self._warn_of_stream, sender=app)

    def attach(self, engine: t.Any) -> None:
        """Watch an engine."""
        self._observer.attach(engine)
        # A connection that all share anyway is held back from nobody.
        if not isinstance(engine.pool, sa_pool.StaticPool):
            event.listen(engine, "checkout", self._take)
            event.listen(engine, "checkin", self._give_back)

    def _current(self) -> _Seen | None:
        ctx = current_context()
        if ctx is None:
            return None
        return self._seen.get(ctx) or self._seen.setdefault(ctx, _Seen())

    def _count(self, statement: Statement) -> None:
        seen = self._current()
        if seen is None:
            return
        seen.count += 1
        seen.seconds += statement.duration
        values = () if statement.executemany else _values(statement.parameters)
        reads = statement.text.lstrip()[:6].upper().startswith(("SELECT", "WITH"))
        if reads and 0 < len(values) <= _BATCH:
            key = (statement.text, find_location())
            shape = seen.shapes.setdefault(key, _Shape())
            shape.count += 1
            if len(shape.parameters) < _MANY:
                shape.parameters.add(_hash(values))
                shape.relationship = _relationship(statement.context)

    def _take(self, dbapi_connection: t.Any, record: t.Any, proxy: t.Any) -> None:
        seen = self._current()
        if seen is not None:
            record.record_info[_SEEN] = seen
            seen.held.add(record)

    def _give_back(self, dbapi_connection: t.Any, record: t.Any) -> None:
        seen = record.record_info.pop(_SEEN, None)
        if seen is not None:
            seen.held.discard(record)

    def _warn_of_stream(self, sender: t.Any, **kwargs: t.Any) -> None:
        ctx = current_context()
        seen = self._seen.get(ctx) if ctx is not None else None
        if seen is not None and seen.held:
            sender.logger.warning(
                "%s begins a stream while it holds %d connection(s) of the database,"
                " for as long as the client reads. Load what the stream needs, and"
                " call db.release() before it.",
                seen.where,
                len(seen.held),
            )

    def finish(self, app: t.Any, ctx: object) -> None:
        """Say what was seen of a context, at its end."""
        seen = self._seen.pop(ctx, None)
        if seen is None or not seen.count:
            return
        app.logger.debug(
            "%s: %d queries in %.1f ms", seen.where, seen.count, seen.seconds * 1000
        )
        for (statement, location), shape in seen.shapes.items():
            if len(shape.parameters) >= _MANY:
                app.logger.warning(
                    "N+1 queries: %s sent a query %d times, with other parameters,"
                    " from %s. %s. The query: %s",
                    *(seen.where, shape.count, location, _cure(shape)),
                    shorten(statement),
                )


_watches: weakref.WeakKeyDictionary[t.Any, _Watch] = weakref.WeakKeyDictionary()


def _log_slow(
    app: t.Any, bind_key: str | None, seconds: float
) -> cabc.Callable[[Statement], None]:
    """Return what logs statements that take longer.

    Without their parameters, which are the secrets of users.
    """
    known = weakref.ref(app)
    database = "" if bind_key is None else f" (bind {bind_key!r})"

    def report(statement: Statement) -> None:
        app = known()
        if statement.duration < seconds or app is None:
            return
        app.logger.warning(
            "Slow query%s: %.0f ms, and SQLALCHEMY_SLOW_QUERY is %.0f ms. %s at %s: %s",
            *(database, statement.duration * 1000, seconds * 1000),
            *(_describe_request(), find_location(), shorten(statement.text)),
        )

    return report


def listen(app: t.Any, bind_key: str | None, engine: t.Any) -> bool:
    """Watch an engine as far as the settings ask for it.

    Args:
        app: The application.
        bind_key: The engine's bind key.
        engine: The engine; of an `AsyncEngine`, its `sync_engine`.

    Returns:
        Whether `finish` is to be called at the end of each context.
    """
    slow = app.config["SQLALCHEMY_SLOW_QUERY"]
    if slow is not None:
        Observer(_log_slow(app, bind_key, slow.total_seconds())).attach(engine)
    watch = app.config["SQLALCHEMY_WATCH"]
    if not (app.debug if watch is None else watch):
        return False
    found = _watches.get(app)
    if found is None:
        found = _watches[app] = _Watch(app)
    found.attach(engine)
    return True


def finish(app: t.Any, ctx: object) -> None:
    """Log what was seen of a context; called once, while it ends.

    Args:
        app: The application.
        ctx: Its context.
    """
    watch = _watches.get(app)
    if watch is not None:
        watch.finish(app, ctx)
