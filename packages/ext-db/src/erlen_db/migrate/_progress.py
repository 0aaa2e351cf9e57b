"""Shows which migration of how many runs, and for how long it has.

A migration of a large table may take an hour, in which a silent terminal looks like
one that hangs. Logs get plain lines, one at the start and one at the end.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
import typing as t

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from alembic.runtime.migration import MigrationContext
    from alembic.runtime.migration import RevisionStep

__all__ = ["show"]

# How often the line on a terminal is drawn anew, in seconds.
_TICK = 1.0


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


class _Lines:
    """Tells each step in plain lines."""

    def __init__(self, stream: t.TextIO) -> None:
        self._stream = stream

    def begin(self, label: str) -> None:
        self._write(f"{label}\n")

    def end(self, label: str, outcome: str, seconds: float) -> None:
        self._write(f"{label}: {outcome} {_duration(seconds)}\n")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


class _Terminal(_Lines):
    """Draws one line for each step, with a clock that goes on while it runs."""

    def __init__(self, stream: t.TextIO) -> None:
        super().__init__(stream)
        self._done = threading.Event()
        self._clock: threading.Thread | None = None

    def begin(self, label: str) -> None:
        self._write(label)
        self._done.clear()
        started = time.monotonic()
        self._clock = threading.Thread(
            target=self._run, args=(label, started), daemon=True
        )
        self._clock.start()

    def end(self, label: str, outcome: str, seconds: float) -> None:
        self._done.set()
        assert self._clock is not None
        self._clock.join()
        self._write(f"\r{label}: {outcome} {_duration(seconds)}\n")

    def _run(self, label: str, started: float) -> None:
        while not self._done.wait(_TICK):
            self._write(f"\r{label}: {_duration(time.monotonic() - started)}")


class _Steps:
    """Stands between Alembic and the steps that it takes."""

    def __init__(self, lines: _Lines) -> None:
        self._lines = lines
        self._label = ""
        self._started: float | None = None

    def watch(
        self, fn: cabc.Callable[..., cabc.Iterable[RevisionStep]]
    ) -> cabc.Callable[..., cabc.Iterator[RevisionStep]]:
        def steps(*args: t.Any) -> cabc.Iterator[RevisionStep]:
            # All are known before the first is taken: Alembic makes a list itself.
            found = list(fn(*args))
            for number, step in enumerate(found, 1):
                self._label = f"[{number}/{len(found)}] {step}"
                self._started = time.monotonic()
                self._lines.begin(self._label)
                yield step
                self.end("done in")

        return steps

    def end(self, outcome: str) -> None:
        if self._started is not None:
            seconds, self._started = time.monotonic() - self._started, None
            self._lines.end(self._label, outcome, seconds)


@contextlib.contextmanager
def show(
    context: MigrationContext, *, stream: t.TextIO | None = None
) -> cabc.Generator[None]:
    """Show the progress of the migrations that run inside of a `with` block.

    Enter it after `context.configure()`, around `context.run_migrations()`. On a
    terminal the line of the running migration has a clock; elsewhere there is a line
    at its beginning and one at its end. Nothing is shown where no migration runs.

    Args:
        context: The migration context (`alembic.context.get_context()`).
        stream: Where to write, standard error if None.
    """
    out: t.TextIO = stream or sys.stderr
    steps = _Steps(_Terminal(out) if out.isatty() else _Lines(out))
    fn = context._migrations_fn
    if fn is None:
        yield
        return
    context._migrations_fn = steps.watch(fn)
    try:
        yield
    finally:
        context._migrations_fn = fn
        # Not resumed after the step that failed.
        steps.end("failed after")
