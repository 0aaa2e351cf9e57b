"""What engines send to their databases: timed, and found in the user's code.

Recorded queries, the watch and the tests look at statements through here. Where
none of them is on, no engine has a listener.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import sys
import sysconfig
import time
import typing as t

import sqlalchemy as sa
from sqlalchemy import event

import erlen

if t.TYPE_CHECKING:
    import collections.abc as cabc
    from types import FrameType

# What is neither the user's nor of a library that he chose. In a development
# install ours are not with the other libraries.
_OURS = frozenset({"erlen", "erlen_db", "greenlet", "sqlalchemy"})
_FOLDERS = tuple(
    os.path.join(path, "")
    for path in {
        *map(sysconfig.get_path, ("stdlib", "platstdlib", "purelib", "platlib")),
        *(os.path.dirname(it) for it in (erlen.__file__, sa.__file__, __file__)),
    }
)
# SQLAlchemy and dataclasses make functions out of text; a console is not among these.
_GENERATED = ("<string>", "<frozen ")

# What begins and ends transactions is no query, whoever sends it.
_CONTROL = ("BEGIN", "COMMIT", "RELEASE", "ROLLBACK", "SAVEPOINT", "START TRANSACTION")

_LONG = 300


@dataclasses.dataclass(slots=True)
class Statement:
    """A statement that was sent, while the code that asked for it still waits."""

    text: str
    parameters: t.Any
    start: float
    end: float
    executemany: bool
    #: SQLAlchemy's `ExecutionContext`; None for what it sends by itself.
    context: t.Any

    @property
    def duration(self) -> float:
        """The seconds until the database had answered."""
        return self.end - self.start


class Observer:
    """Report the statements of engines, failed ones as well.

    Args:
        report: Called with each statement, in the thread and the context of who
            sends it.
    """

    def __init__(self, report: t.Callable[[Statement], None]) -> None:
        self._report = report
        self._listeners = (
            ("before_cursor_execute", self._start),
            ("after_cursor_execute", self._end),
            ("handle_error", self._fail),
        )

    def attach(self, target: t.Any) -> None:
        """Observe an engine, or all engines by their class."""
        for name, listener in self._listeners:
            event.listen(target, name, listener)

    def detach(self, target: t.Any) -> None:
        """Observe it no longer."""
        for name, listener in self._listeners:
            event.remove(target, name, listener)

    def _start(self, conn: t.Any, *args: t.Any) -> None:
        conn.info[self] = time.perf_counter()

    def _end(
        self,
        conn: t.Any,
        cursor: t.Any,
        statement: str,
        parameters: t.Any,
        context: t.Any,
        executemany: bool,
    ) -> None:
        start = conn.info.pop(self, None)
        # The dialect asks for versions and such things through a connection of its own.
        if start is None or not getattr(conn, "_allow_autobegin", True):
            return
        if statement.lstrip()[:17].upper().startswith(_CONTROL):
            return
        end = time.perf_counter()
        self._report(Statement(statement, parameters, start, end, executemany, context))

    def _fail(self, failure: t.Any) -> None:
        conn, statement, context = (
            failure.connection,
            failure.statement,
            failure.execution_context,
        )
        if conn is not None and statement is not None and not conn.closed:
            many = getattr(context, "executemany", False)
            self._end(conn, None, statement, failure.parameters, context, many)


@functools.lru_cache(maxsize=4096)
def _is_library(path: str) -> bool:
    return path.startswith(_GENERATED) or path.startswith(_FOLDERS)


def _packages() -> set[str]:
    """Return the package of the application, which may lie among the libraries."""
    if not erlen.has_app_context():
        return set()
    return {erlen.current_app.import_name.partition(".")[0]} - {"__main__"}


def _frames() -> cabc.Iterator[FrameType]:
    """Go outwards through the code that waits, over the borders of greenlets.

    `AsyncSession` runs the synchronous session in a greenlet.
    """
    frame: FrameType | None = sys._getframe(2)  # who asks for the place
    module = sys.modules.get("greenlet")
    running = module.getcurrent() if module else None
    while True:
        while frame is not None:
            yield frame
            frame = frame.f_back
        running = running and running.parent
        if running is None:
            return
        frame = running.gr_frame


def _describe(frame: FrameType) -> str:
    path, line = frame.f_code.co_filename, frame.f_lineno
    name = f" in {frame.f_code.co_name}"
    template = frame.f_globals.get("__jinja_template__")
    if template is not None:
        line, name = template.get_corresponding_lineno(line), ""
    folder = os.path.join(os.getcwd(), "")
    return f"{path.removeprefix(folder)}:{line}{'' if '<module>' in name else name}"


def find_location() -> str:
    """Return the innermost place in the user's code that waits for the database.

    Returns:
        A text like `shop/views.py:12 in index`, or `templates/index.html:3`. Where
        only libraries are at work, the innermost one that is not SQLAlchemy.
    """
    packages = _packages()
    fallback = None
    for frame in _frames():
        package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if package in packages or not _is_library(frame.f_code.co_filename):
            return _describe(frame)
        if fallback is None and package not in _OURS | sys.stdlib_module_names:
            fallback = frame
    return "<unknown>" if fallback is None else _describe(fallback)


def shorten(statement: str) -> str:
    """Return a statement on one line, and of a length for a log."""
    line = " ".join(statement.split())
    return line if len(line) <= _LONG else f"{line[: _LONG - 1]}…"
