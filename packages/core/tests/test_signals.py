from __future__ import annotations

import blinker
import pytest

from erlen import Erlen
from erlen import extension
from erlen import request
from erlen import session
from erlen import signals
from erlen import stream_with_context

FLASKS = [
    "appcontext_popped",
    "appcontext_pushed",
    "appcontext_tearing_down",
    "before_render_template",
    "got_request_exception",
    "message_flashed",
    "request_finished",
    "request_started",
    "request_tearing_down",
    "template_rendered",
]
EXTENSIONS = ["identity_changed", "session_rotated", "stream_started"]
NAMES = [*FLASKS, *EXTENSIONS]


def test_there_are_the_ten_of_flask_three_more_and_the_class_for_others():
    assert signals.__all__ == ["Namespace", *sorted(NAMES)]
    assert signals.Namespace is blinker.Namespace
    for name in EXTENSIONS:
        assert getattr(extension, name) is getattr(signals, name)


@pytest.mark.parametrize("name", NAMES)
def test_a_signal_has_its_name(name):
    signal = getattr(signals, name)

    assert isinstance(signal, blinker.NamedSignal)
    assert signal.name == name.replace("_", "-")


@pytest.mark.parametrize("name", FLASKS)
def test_the_core_itself_does_not_listen(name):
    assert not getattr(signals, name).receivers


def test_the_names_are_apart_from_those_of_other_namespaces():
    other = signals.Namespace().signal("request-started")

    assert other is not signals.request_started


# The session


def test_a_rotated_session_is_told_of(app, client, heard):
    heard(signals.session_rotated)

    @app.get("/")
    def index():
        session["user"] = "ada"
        session.rotate()
        return ""

    client.get("/")
    assert heard.calls == [(app, "/", {"session": {"user": "ada"}})]


def test_nobody_is_told_of_a_session_that_is_in_no_request(app, heard):
    heard(signals.session_rotated)
    app.session_interface.session_class().rotate()

    assert heard.calls == []


# Streams


class Letters:
    """An iterator that says when and where it is closed."""

    def __init__(self, letters="ab"):
        self.items = iter(letters)
        self.closed = []

    def __iter__(self):
        return self

    def __next__(self):
        return f"{next(self.items)}{request.path}"

    def close(self):
        self.closed.append(request.path)


@pytest.fixture
def heard():
    """Return a function that listens to a signal; it notes sender, path and values."""
    connected = []

    def heard(signal, **options):
        def receive(sender, **values):
            path = request.path if request else None
            heard.calls.append((sender, path, values))

        heard.receive = receive
        connected.append((signal, receive))
        signal.connect(receive, **options)

    heard.calls = []
    yield heard
    for signal, receive in connected:
        signal.disconnect(receive)


def test_a_stream_is_told_of_with_its_first_item(app, heard):
    heard(signals.stream_started)
    with app.test_request_context("/x"):
        stream = stream_with_context(Letters())
    assert heard.calls == []

    assert next(stream) == "a/x"
    assert heard.calls == [(app, "/x", {})]
    assert list(stream) == ["b/x"]
    assert len(heard.calls) == 1


def test_a_stream_of_no_items_has_started(app, heard):
    heard(signals.stream_started)
    with app.test_request_context("/x"):
        stream = stream_with_context(Letters(""))

    assert list(stream) == []
    assert len(heard.calls) == 1


def test_a_client_starts_a_stream(app, client, heard):
    heard(signals.stream_started)
    app.add_url_rule("/x", "x", lambda: stream_with_context(Letters()))

    assert client.get("/x").text == "a/xb/x"
    assert heard.calls == [(app, "/x", {})]


def test_a_stream_that_nobody_starts_is_not_told_of(app, heard):
    heard(signals.stream_started)
    letters = Letters()
    with app.test_request_context("/x"):
        stream = stream_with_context(letters)
    stream.close()

    assert list(stream) == []
    assert heard.calls == []
    assert letters.closed == ["/x"]


@pytest.mark.parametrize("listens", [True, False])
@pytest.mark.parametrize("items", [1, 3])
def test_a_stream_is_closed_once_and_in_its_context(app, heard, listens, items):
    if listens:
        heard(signals.stream_started)
    letters = Letters()
    with app.test_request_context("/x"):
        stream = stream_with_context(letters)
    for _ in range(items):
        next(stream, None)
    stream.close()

    assert letters.closed == ["/x"]
    assert len(heard.calls) == listens


def test_a_generator_ends_in_its_context_when_the_client_leaves(app, client, heard):
    """What is told of must not be what ends the generator."""
    heard(signals.stream_started)
    ended = []

    @app.get("/x")
    @stream_with_context
    def letters():
        try:
            yield "a"
            yield "b"
        finally:
            ended.append(request.path)

    answer = client.get("/x", buffered=False)
    assert next(iter(answer.response)) == b"a"
    answer.close()
    assert ended == ["/x"]


def test_streams_of_other_applications_are_not_heard(app, heard):
    other = Erlen("other")
    heard(signals.stream_started, sender=app)
    for one in (other, app):
        with one.test_request_context("/x"):
            assert list(stream_with_context(Letters())) == ["a/x", "b/x"]

    assert [sender for sender, *_ in heard.calls] == [app]


def test_a_receiver_that_fails_ends_the_stream(app):
    letters = Letters()

    def refuse(sender, **extra):
        raise LookupError("not now")

    with signals.stream_started.connected_to(refuse, app):
        with app.test_request_context("/x"):
            stream = stream_with_context(letters)
        with pytest.raises(LookupError, match="not now"):
            next(stream)

    assert list(stream) == []
    assert letters.closed == ["/x"]


def test_a_receiver_may_be_async(app):
    pytest.importorskip("asgiref")
    paths = []

    async def receive(sender, **extra):
        paths.append(request.path)

    with (
        signals.stream_started.connected_to(receive, app),
        app.test_request_context("/x"),
    ):
        assert list(stream_with_context(Letters("a"))) == ["a/x"]

    assert paths == ["/x"]


def test_a_stream_costs_nothing_while_nobody_listens(app, monkeypatch):
    letters = Letters()
    monkeypatch.setattr(signals.stream_started, "receivers", {})
    monkeypatch.setattr(signals.stream_started, "send", None)
    with app.test_request_context("/x"):
        stream = stream_with_context(letters)

    assert stream._items is letters
    assert list(stream) == ["a/x", "b/x"]
