from __future__ import annotations

import io
import threading
import types

import pytest

from erlen_db.migrate import _progress


class Context:
    """All that is used of Alembic's."""

    def __init__(self, *steps, fails=False):
        self._migrations_fn = lambda *args: iter(steps)
        self._fails = fails

    def run_migrations(self):
        for _ in self._migrations_fn((), self):
            if self._fails:
                raise ZeroDivisionError


class Terminal(io.StringIO):
    """Tells when the clock has been drawn."""

    def __init__(self):
        super().__init__()
        self.ticked = threading.Event()

    def isatty(self):
        return True

    def write(self, text):
        if text.startswith("\r") and ":" in text and "done" not in text:
            self.ticked.set()
        return super().write(text)


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """Make a clock of which each look takes a minute."""
    times = iter(range(0, 10**6, 65))
    clock = types.SimpleNamespace(monotonic=lambda: next(times))
    monkeypatch.setattr(_progress, "time", clock)


def test_each_step_has_a_line_at_its_beginning_and_one_at_its_end():
    out, context = io.StringIO(), Context("1 -> 2, names", "2 -> 3, indexes")

    with _progress.show(context, stream=out):
        context.run_migrations()

    assert out.getvalue().splitlines() == [
        "[1/2] 1 -> 2, names",
        "[1/2] 1 -> 2, names: done in 1 min 05 s",
        "[2/2] 2 -> 3, indexes",
        "[2/2] 2 -> 3, indexes: done in 1 min 05 s",
    ]


def test_a_step_that_fails_is_told():
    out, context = io.StringIO(), Context("1", "2", fails=True)

    with (
        pytest.raises(ZeroDivisionError),
        _progress.show(context, stream=out),
    ):
        context.run_migrations()

    assert out.getvalue().splitlines() == [
        "[1/2] 1",
        "[1/2] 1: failed after 1 min 05 s",
    ]


def test_a_terminal_has_one_line_for_a_step_and_a_clock(monkeypatch):
    out, context = Terminal(), Context("1")
    monkeypatch.setattr(_progress, "_TICK", 0.001)

    with _progress.show(context, stream=out):
        for _ in context._migrations_fn((), context):
            assert out.ticked.wait(20)

    text = out.getvalue()
    assert text.startswith("[1/1] 1\r[1/1] 1: ")
    assert text.count("\n") == 1
    assert "done in" in text


def test_nothing_is_shown_where_nothing_is_done(capsys):
    context = Context()

    with _progress.show(context):
        context.run_migrations()

    assert capsys.readouterr() == ("", "")


def test_a_context_without_steps_is_left_alone():
    context = Context()
    context._migrations_fn = None

    with _progress.show(context):
        assert context._migrations_fn is None


def test_a_context_is_as_before_afterwards():
    context = Context("1")
    before = context._migrations_fn

    with _progress.show(context, stream=io.StringIO()):
        assert context._migrations_fn is not before

    assert context._migrations_fn is before


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (1.26, "1.3 s"),
        (59.9, "59.9 s"),
        (60, "1 min 00 s"),
        (3599, "59 min 59 s"),
        (7260, "2 h 01 min"),
    ],
)
def test_durations_are_short(seconds, text):
    assert _progress._duration(seconds) == text
