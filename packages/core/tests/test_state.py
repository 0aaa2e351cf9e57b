from __future__ import annotations

import contextvars
import threading

import pytest

from erlen import _state


@pytest.fixture
def current():
    """Set the current frame, and put back what there was at the end."""
    tokens = []
    yield lambda *frame: tokens.append(_state.current.set(frame))
    for token in reversed(tokens):
        _state.current.reset(token)


def test_nothing_is_in_force_by_default():
    assert contextvars.Context().run(_state.current.get) == (None, None)


@pytest.mark.parametrize(
    ("find", "index"), [(_state.app_context, 0), (_state.request_context, 1)]
)
def test_the_context_in_force_is_found(current, find, index):
    frame = (object(), object())
    current(*frame)

    assert find("what") is frame[index]


@pytest.mark.parametrize(
    ("find", "frame", "words"),
    [
        (
            _state.app_context,
            (None, object()),
            [
                "Working outside of application context: 'that'",
                'with app.app_context():"',
                "@app.cli.command()",
                "@with_appcontext",
            ],
        ),
        (
            _state.request_context,
            (object(), None),
            [
                "Working outside of request context: 'that'",
                'with app.test_request_context():"',
                "@copy_current_request_context",
            ],
        ),
    ],
)
def test_what_is_not_there_is_named_with_its_cure(current, find, frame, words):
    current(*frame)

    with pytest.raises(RuntimeError) as caught:
        find("that")

    text = str(caught.value)
    assert [word for word in words if word not in text] == []


VIEWS = [(_state._cv_app, 0), (_state._cv_request, 1)]


@pytest.mark.parametrize(("view", "index"), VIEWS)
def test_a_view_reads_its_half(current, view, index):
    frame = (object(), object())
    current(*frame)

    assert view.get() is frame[index]
    assert view.get(None) is frame[index]


@pytest.mark.parametrize(("view", "index"), VIEWS)
def test_a_view_of_nothing(view, index):
    default = object()

    assert view.get(default) is default
    assert view.get(None) is None
    with pytest.raises(LookupError, match=view.name):
        view.get()


@pytest.mark.parametrize(("view", "index"), VIEWS)
@pytest.mark.parametrize("value", [object(), None])
def test_a_view_sets_its_half_and_leaves_the_other(current, view, index, value):
    before = (object(), object())
    current(*before)

    token = view.set(value)
    frame = _state.current.get()
    view.reset(token)

    assert frame[index] is value
    assert frame[1 - index] is before[1 - index]
    assert _state.current.get() == before


def test_a_thread_starts_with_nothing_and_leaves_nothing(current):
    frame = (object(), object())
    current(*frame)
    seen = []

    def work():
        seen.append(_state.current.get())
        _state.current.set((1, 2))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert seen == [(None, None)]
    assert _state.current.get() == frame
