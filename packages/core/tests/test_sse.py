from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import time
from contextlib import aclosing

import pytest
from werkzeug.wrappers import Response as WerkzeugResponse

from erlen import Response
from erlen import g
from erlen import request
from erlen import sse
from erlen.broadcast import Broadcast
from erlen.signals import stream_started
from erlen.sse import Comment
from erlen.sse import Event
from erlen.sse import EventStream
from erlen.sse import last_event_id

START = b":\n\n"
variable = contextvars.ContextVar("variable", default="unset")


@pytest.fixture(autouse=True)
def no_thread_is_left_behind():
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 5
    while (left := set(threading.enumerate()) - before) and time.monotonic() < deadline:
        gc.collect()
        for thread in left:
            thread.join(0.01)
    assert left == set()


@pytest.fixture
def broadcast():
    broadcast = Broadcast()
    yield broadcast
    assert broadcast._rooms == {}, "a subscription was left behind"


@pytest.fixture
def log(app):
    """What happened, in order."""
    log = []

    @app.teardown_request
    def teardown(exc):
        log.append(f"torn down: {exc!r}")

    return log


def serve(app, make, url="/", **kwargs):
    """Serve an EventStream that is made in a view; return the response."""
    app.add_url_rule(url, url, make)
    return app.test_client().open(url, **kwargs)


async def collect(stream, count=1000):
    body = stream.response
    async with aclosing(body):
        found = []
        async for chunk in body:
            found.append(chunk)
            if len(found) == count:
                break
    return found


# --- events --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "sent"),
    [
        (Event("tea"), "data: tea\n\n"),
        (Event(""), "data: \n\n"),
        (Event(" two  "), "data:  two  \n\n"),
        (Event("a\nb\rc\r\nd\n"), "data: a\ndata: b\ndata: c\ndata: d\ndata: \n\n"),
        # What only Python takes for the end of a line.
        (Event("a\x0b\x0c\x1c\x85\u2028b"), "data: a\x0b\x0c\x1c\x85\u2028b\n\n"),
        (Event("é\ud800"), "data: é?\n\n"),
        (Event({"a": [1, None]}), 'data: {"a": [1, null]}\n\n'),
        (Event(None), "data: null\n\n"),
        (Event(False), "data: false\n\n"),
        (Event("x", event="tick", id="é 1"), "event: tick\nid: é 1\ndata: x\n\n"),
        (Event("x", id=""), "id: \ndata: x\n\n"),
        (Event("x", id=0, retry=0), "retry: 0\nid: 0\ndata: x\n\n"),
        (Comment("tea"), ": tea\n\n"),
        (Comment("a\r\ndata: b"), ": a\n: data: b\n\n"),
    ],
)
def test_what_is_sent_for_an_event(event, sent):
    assert event.encode().decode() == sent


@pytest.mark.parametrize("name", ["event", "id"])
@pytest.mark.parametrize("text", ["a\nb", "a\r", "\0", "a\n\ndata: b"])
def test_names_and_ids_cannot_break_out(name, text):
    with pytest.raises(ValueError, match=f"The {name} of an event has a line break"):
        Event("x", **{name: text})


@pytest.mark.parametrize(
    "wrong", [{"event": 1}, {"id": 1.5}, {"id": True}, {"retry": "1"}, {"retry": True}]
)
def test_fields_have_types(wrong):
    with pytest.raises(TypeError, match=r"of type '\w+'"):
        Event("x", **wrong)


@pytest.mark.parametrize(
    "make", [lambda it: Event("x", retry=it), lambda it: EventStream([], retry=it)]
)
def test_retry_is_not_negative(make):
    with pytest.raises(ValueError, match="number of milliseconds, and is -1"):
        make(-1)


def test_data_is_written_by_the_provider_of_the_application(app):
    app.json.default = lambda value: "known"
    response = serve(app, lambda: EventStream([{"it": object()}]))
    assert response.text == ':\n\ndata: {"it": "known"}\n\n'


# --- the response --------------------------------------------------------------------


def test_the_headers_keep_caches_and_buffers_out(app):
    response = serve(app, lambda: EventStream(["x"]))
    assert response.status_code == 200
    assert dict(response.headers) == {
        "Content-Type": "text/event-stream",
        "Cache-Control": "no-store, no-transform",
        "X-Accel-Buffering": "no",
    }


def test_headers_and_status_of_the_view_win(app):
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "yes", "X-A": "b"}
    response = serve(app, lambda: EventStream([], status=202, headers=headers))
    assert response.status_code == 202
    assert dict(response.headers) == headers | {"Content-Type": "text/event-stream"}


@pytest.mark.parametrize("heartbeat", [15.0, None])
def test_sources_give_events_in_many_forms(app, heartbeat):
    def events():
        yield "text"
        yield {"a": 1}
        yield None
        yield Comment("c")
        yield Event("e", id=1)
        yield [1]

    expected = ":\n\ndata: text\n\n"
    expected += 'data: {"a": 1}\n\n: c\n\nid: 1\ndata: e\n\ndata: [1]\n\n'
    view = lambda: EventStream(events(), heartbeat=heartbeat)  # noqa: E731
    assert serve(app, view).text == expected


def test_retry_comes_first(app):
    response = serve(app, lambda: EventStream(["x"], retry=2500))
    assert response.text == "retry: 2500\n\ndata: x\n\n"


def test_convert_makes_events_and_leaves_things_out(app):
    def convert(number):
        return Event(request.path, id=number) if number % 2 else None

    response = serve(app, lambda: EventStream(range(4), convert=convert), "/numbers")
    assert response.text == ":\n\nid: 1\ndata: /numbers\n\nid: 3\ndata: /numbers\n\n"


def test_an_endless_body_is_not_gathered(app):
    @app.after_request
    def measure(response):
        with pytest.raises(RuntimeError, match="sequence"):
            response.get_data()
        return response

    assert serve(app, lambda: EventStream(["x"])).status_code == 200


def test_a_response_class_of_the_application_does_no_harm(app):
    class Own(Response):
        pass

    app.response_class = Own
    assert serve(app, lambda: EventStream(["x"])).text == ":\n\ndata: x\n\n"
    assert isinstance(EventStream([]), WerkzeugResponse)


@pytest.mark.parametrize(
    ("source", "kind"),
    [("text", "str"), (b"", "bytes"), ({}, "dict"), (1, "int"), (iter, "builtin_")],
)
def test_other_sources_are_refused(source, kind):
    with pytest.raises(TypeError, match=f"takes what gives events, and got '{kind}"):
        EventStream(source)


@pytest.mark.parametrize("heartbeat", [0, -1])
def test_a_heartbeat_takes_time(heartbeat):
    with pytest.raises(ValueError, match="seconds above 0, or None"):
        EventStream([], heartbeat=heartbeat)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (None, None),
        ("", None),
        ("17", "17"),
        ("é☕".encode().decode("latin-1"), "é☕"),
        ("\xe9", None),
        ("a\0b", None),
        ("a\r\nb", None),
        ("☕", None),
    ],
)
def test_the_id_that_a_browser_sends_back(app, value, found):
    environ = {} if value is None else {"HTTP_LAST_EVENT_ID": value}
    with app.test_request_context(environ_overrides=environ):
        assert last_event_id() == found


def test_the_id_needs_a_request():
    with pytest.raises(RuntimeError, match="'last_event_id' was used while no"):
        last_event_id()


# --- the request's context -----------------------------------------------------------


@pytest.mark.parametrize("heartbeat", [15.0, None])
def test_a_generator_runs_in_the_context_of_the_request(app, log, heartbeat):
    @stream_started.connect_via(app)
    def started(sender):
        log.append(f"started {request.path}")

    def events():
        try:
            yield f"{request.path} {g.user} {variable.get()}"
            variable.set("kept")
            yield variable.get()
        finally:
            log.append(f"closed {request.path}")

    def view():
        g.user = "ada"
        variable.set("set")
        return EventStream(events(), heartbeat=heartbeat)

    context = contextvars.copy_context()
    response = context.run(serve, app, view, "/a")
    assert log == []
    assert response.text == ":\n\ndata: /a ada set\n\ndata: kept\n\n"
    assert log == ["started /a", "closed /a", "torn down: None"]


@pytest.mark.parametrize("heartbeat", [15.0, None])
def test_an_error_reaches_the_server_and_the_teardown(app, log, heartbeat):
    def events():
        yield "x"
        raise LookupError("broken")

    response = serve(app, lambda: EventStream(events(), heartbeat=heartbeat))
    with pytest.raises(LookupError, match="broken"):
        _ = response.text
    assert log == ["torn down: LookupError('broken')"]


def test_what_cannot_be_written_as_json_is_an_error(app, log):
    response = serve(app, lambda: EventStream([b"bytes"]))
    with pytest.raises(TypeError, match="bytes is not JSON serializable"):
        _ = response.text
    assert len(log) == 1


@pytest.mark.parametrize("heartbeat", [15.0, None])
@pytest.mark.parametrize("chunks", [0, 1, 2])
def test_a_client_that_leaves_closes_the_generator(app, log, heartbeat, chunks):
    def events():
        try:
            while True:
                yield "x"
        finally:
            log.append(f"closed {request.path}")

    response = serve(app, lambda: EventStream(events(), heartbeat=heartbeat))
    body = iter(response.iter_encoded())
    for _ in range(chunks):
        next(body)
    response.close()
    assert log == ["closed /"] * (chunks == 2) + ["torn down: None"]


def test_a_head_request_starts_nothing(app, log):
    app.add_url_rule("/", "index", lambda: EventStream(pytest.fail(it) for it in [""]))
    with app.test_client().head("/") as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        assert response.data == b""
    assert log == ["torn down: None"]


def test_iterables_with_a_close_are_closed():
    class Cursor(list):
        closed = 0

        def close(self):
            self.closed += 1

    cursor = Cursor(["x"])
    stream = EventStream(cursor)
    assert list(stream.response) == [START, b"data: x\n\n"]
    stream.close()
    assert (cursor.closed, list(stream.response)) == (1, [])


def test_a_generator_goes_no_further_than_what_is_sent():
    gone, at = [], threading.Semaphore(0)

    def events():
        for number in range(100):
            gone.append(number)
            at.release()
            yield str(number)

    body = EventStream(events()).response
    next(body)
    assert gone == []
    for _ in range(2):
        next(body)
        assert at.acquire(timeout=30)
    assert at.acquire(timeout=30)  # one is made while the one before is sent
    assert at.acquire(timeout=0.01) is False
    assert gone == [0, 1, 2]
    body.close()


def test_a_source_that_waits_in_a_subscription_ends_without_a_word(caplog):
    broadcast = Broadcast()
    waits = threading.Event()

    def events():
        with broadcast.subscribe("news") as subscription:
            while True:
                yield "x"
                waits.set()
                subscription.get()

    body = EventStream(events(), heartbeat=0.01).response
    assert [next(body), next(body)] == [START, b"data: x\n\n"]
    next(body)  # a heartbeat: it waits
    assert waits.wait(30)
    body.close()
    assert caplog.records == []


def test_an_error_after_the_client_has_left_is_logged(caplog):
    def events():
        try:
            yield "x"
        finally:
            raise LookupError("closing failed")

    body = EventStream(events()).response
    assert [next(body), next(body)] == [START, b"data: x\n\n"]
    body.close()
    (record,) = caplog.records
    assert "failed at its end" in record.getMessage()
    assert "closing failed" in record.exc_text


# --- heartbeats ----------------------------------------------------------------------


def test_a_source_that_says_nothing_gets_heartbeats():
    go_on = threading.Event()

    def events():
        go_on.wait(30)
        yield None
        yield "x"

    body = EventStream(events(), heartbeat=0.01).response
    assert [next(body) for _ in range(4)] == [START] * 4
    go_on.set()
    assert [it for it in body if it != START] == [b"data: x\n\n"]


def test_a_source_of_nothing_but_nothing_gets_heartbeats(broadcast):
    def listen():
        while True:
            yield None

    body = EventStream(listen(), heartbeat=0.02).response
    assert [next(body) for _ in range(3)] == [START] * 3
    body.close()

    with broadcast.subscribe("a") as subscription:
        stream = EventStream(subscription, heartbeat=0.01, convert=lambda message: None)
        next(stream.response)
        for number in range(50):
            broadcast.publish("a", number)
        assert next(stream.response) == START


def test_closing_does_not_wait_for_what_takes_long(monkeypatch):
    monkeypatch.setattr(sse, "_GRACE", 0.01)
    go_on, closed = threading.Event(), threading.Event()

    def events():
        try:
            go_on.wait(30)
            yield "x"
        finally:
            closed.set()

    body = EventStream(events(), heartbeat=0.01).response
    assert [next(body), next(body)] == [START, START]
    body.close()
    assert not closed.is_set()
    go_on.set()
    assert closed.wait(30)


# --- broadcasts ----------------------------------------------------------------------


def test_a_subscription_is_a_source(app, broadcast, log):
    response = serve(app, lambda: EventStream(broadcast.subscribe("a")))
    assert log == ["torn down: None"]  # nothing of the request is kept
    body = response.response
    broadcast.publish("a", {"n": 1})
    broadcast.publish("a", None)
    assert [next(body) for _ in "123"] == [
        START,
        b'data: {"n": 1}\n\n',
        b"data: null\n\n",
    ]
    broadcast.close()
    assert list(body) == []
    response.close()


def test_a_subscription_in_a_generator_is_closed_though_nobody_publishes(
    app, broadcast, log
):
    def events():
        with broadcast.subscribe("a") as subscription:
            yield from subscription
        log.append("left")

    response = serve(app, lambda: EventStream(events(), heartbeat=0.01))
    body = response.response
    assert [next(body), next(body)] == [START, START]
    response.close()
    assert log == ["left", "torn down: None"]


def test_a_response_that_is_never_sent_ends_its_subscription(broadcast):
    stream = EventStream(broadcast.subscribe("a"))
    assert set(broadcast._rooms) == {"a"}
    del stream
    gc.collect()
    assert broadcast._rooms == {}


def test_messages_can_be_converted(app, broadcast):
    def convert(message):
        return Event(message.data["text"], event=message.channel, id=message.data["id"])

    response = serve(
        app, lambda: EventStream(broadcast.subscribe("a", "b"), convert=convert)
    )
    broadcast.publish("b", {"id": 7, "text": "tea"})
    body = response.response
    assert [next(body), next(body)] == [START, b"event: b\nid: 7\ndata: tea\n\n"]
    response.close()


def test_a_client_that_does_not_keep_up_is_let_go(app, caplog):
    broadcast = Broadcast(backlog=1)
    response = serve(app, lambda: EventStream(broadcast.subscribe("a")))
    broadcast.publish("a", 1)
    broadcast.publish("a", 2)
    assert response.data == b":\n\ndata: 1\n\n"
    (record,) = caplog.records
    assert (
        record.getMessage() == "A client does not keep up with <Subscription of 'a'>."
    )
    assert broadcast._rooms == {}


# --- in event loops ------------------------------------------------------------------


def make_async(log):
    async def events():
        try:
            yield f"{variable.get()}"
            variable.set("kept")
            yield None
            async with asyncio.timeout(30):  # which needs one task for all
                yield variable.get()
        finally:
            await asyncio.sleep(0)
            log.append(f"closed {asyncio.current_task() is not None}")

    return events()


def test_an_async_generator_runs_in_one_task_and_context():
    log = []
    variable.set("set")
    try:
        stream = EventStream(make_async(log))
    finally:
        variable.set("unset")
    assert asyncio.run(collect(stream)) == [START, b"data: set\n\n", b"data: kept\n\n"]
    assert log == ["closed True"]


@pytest.mark.parametrize("chunks", [1, 2, 3])
def test_leaving_closes_an_async_generator(chunks):
    log = []

    async def run():
        found = await collect(EventStream(make_async(log)), chunks)
        assert len(asyncio.all_tasks()) == 1
        return found

    assert len(asyncio.run(run())) == chunks
    assert log == (["closed True"] if chunks > 1 else [])


def test_leaving_while_an_async_generator_waits_cancels_it():
    log = []

    async def events():
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            log.append("cancelled")
            await asyncio.sleep(0)
            yield "not sent"
            log.append("not reached")

    async def run():
        body = aiter(EventStream(events(), heartbeat=0.01).response)
        found = [await anext(body) for _ in "123"]
        await body.aclose()
        await body.aclose()
        assert len(asyncio.all_tasks()) == 1
        return found, [it async for it in body]

    assert asyncio.run(run()) == ([START] * 3, [])
    assert log == ["cancelled"]


def test_a_door_that_is_cancelled_closes_the_source(broadcast):
    async def events():
        async with broadcast.subscribe("a") as subscription:
            async for message in subscription:
                yield message

    async def run():
        task = asyncio.create_task(collect(EventStream(events())))
        while not broadcast._rooms:  # noqa: ASYNC110  # no one says it
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())


def test_heartbeats_do_not_disturb_an_async_generator():
    async def events():
        await asyncio.sleep(0.05)
        yield "x"

    found = asyncio.run(collect(EventStream(events(), heartbeat=0.01)))
    assert found[:2] == [START, START]
    assert [it for it in found if it != START] == [b"data: x\n\n"]


def test_an_async_source_of_nothing_gets_heartbeats():
    async def events():
        while True:
            await asyncio.sleep(0)
            yield None

    stream = EventStream(events(), heartbeat=0.01)
    assert asyncio.run(collect(stream, 3)) == [START] * 3


def test_errors_of_an_async_source_are_raised(app, log, caplog):
    async def events(fails_at_end=False):
        try:
            yield "x"
            raise LookupError("broken")
        finally:
            if fails_at_end:
                raise RuntimeError("worse")

    def make(fails_at_end):
        with app.test_request_context():
            return EventStream(events(fails_at_end))

    with pytest.raises(LookupError, match="broken"):
        asyncio.run(collect(make(False)))
    assert log == ["torn down: LookupError('broken')"]
    assert len(asyncio.run(collect(make(True), 2))) == 2
    (record,) = caplog.records
    assert "worse" in record.exc_text


def test_other_async_iterables_need_no_aclose():
    class Numbers:
        def __init__(self):
            self.numbers = iter("12")

        def __aiter__(self):
            return self

        async def __anext__(self):
            for number in self.numbers:
                return number
            raise StopAsyncIteration

    found = asyncio.run(collect(EventStream(Numbers())))
    assert found == [START, b"data: 1\n\n", b"data: 2\n\n"]


def test_an_async_generator_keeps_the_request(app, log):
    @stream_started.connect_via(app)
    def started(sender):
        log.append(f"started {request.path}")

    async def events():
        yield request.path

    with app.test_request_context("/a"):
        stream = EventStream(events())
    assert log == []
    assert asyncio.run(collect(stream)) == [START, b"data: /a\n\n"]
    assert log == ["started /a", "torn down: None"]

    with app.test_request_context("/a"):
        unread = EventStream(events())

    async def leave():
        await unread.response.aclose()

    asyncio.run(leave())
    assert log[2:] == ["torn down: None"]


def test_an_async_generator_works_without_an_event_loop(app, log, broadcast):
    async def events():
        try:
            async with broadcast.subscribe("a") as subscription:
                async for message in subscription:
                    yield f"{request.path} {message.data}"
        finally:
            log.append("closed")

    response = serve(app, lambda: EventStream(events(), heartbeat=0.01), "/a")
    body = response.iter_encoded()
    assert [next(body), next(body)] == [START, START]
    broadcast.publish("a", "tea")
    assert next(it for it in body if it != START) == b"data: /a tea\n\n"
    response.close()
    assert log == ["closed", "torn down: None"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_async_generator_that_is_never_read_is_let_go(app, log, method):
    async def events():
        yield pytest.fail("it was read")

    with serve(app, lambda: EventStream(events()), method=method) as response:
        assert response.status_code == 200
    assert log == ["torn down: None"]


def test_a_subscription_serves_event_loops_as_well(broadcast):
    async def run():
        stream = EventStream(broadcast.subscribe("a"), heartbeat=0.01)
        body = stream.response
        found = [await anext(body), await anext(body)]
        await broadcast.apublish("a", 1)
        while (last := await anext(body)) == START:
            pass
        broadcast.close()
        rest = [it async for it in body]
        return found, last, rest

    assert asyncio.run(run()) == ([START, START], b"data: 1\n\n", [])


def test_one_that_is_too_slow_ends_in_event_loops_as_well(caplog):
    broadcast = Broadcast(backlog=1)
    stream = EventStream(broadcast.subscribe("a"))
    broadcast.publish("a", 1)
    broadcast.publish("a", 2)
    assert asyncio.run(collect(stream)) == [START, b"data: 1\n\n"]
    assert len(caplog.records) == 1


@pytest.mark.parametrize("chunks", [0, 1, 2])
def test_a_generator_takes_one_thread_and_no_other_in_event_loops(app, log, chunks):
    threads = threading.active_count()

    def events():
        try:
            while True:
                yield "x"
        finally:
            log.append("closed")

    async def run():
        with app.test_request_context():
            body = EventStream(events()).response
        found = [await anext(body) for _ in range(chunks)]
        assert threading.active_count() == threads + (chunks > 1)
        await body.aclose()
        return found

    found = asyncio.run(run())
    assert found == [START, *[b"data: x\n\n"] * (chunks - 1)][:chunks]
    assert log[-1] == "torn down: None"


def test_closing_in_an_event_loop_does_not_stop_it(monkeypatch):
    go_on = threading.Event()

    def events():
        go_on.wait(30)
        yield "x"

    async def run():
        body = EventStream(events(), heartbeat=0.01).response
        found = [await anext(body), await anext(body)]
        body.close()
        return found

    assert asyncio.run(run()) == [START, START]
    go_on.set()


def test_messages_that_are_left_out_do_not_delay_heartbeats_in_event_loops(broadcast):
    async def run():
        stream = EventStream(
            broadcast.subscribe("a"), heartbeat=0.01, convert=lambda message: None
        )
        for number in range(50):
            broadcast.publish("a", number)
        return await collect(stream, 3)

    assert asyncio.run(run()) == [START] * 3
