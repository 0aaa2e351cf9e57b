from __future__ import annotations

import asyncio
import tempfile
import threading

import pytest
from werkzeug.exceptions import ClientDisconnected
from werkzeug.exceptions import RequestEntityTooLarge

from erlen import _asgi_body
from erlen._asgi_body import RequestBody
from erlen._workers import Workers

KIB = 1024
LEFT = {"type": "http.disconnect"}


def piece(data, *, more=True):
    return {"type": "http.request", "body": data, "more_body": more}


class Source:
    """What comes, and how much of it was asked for."""

    def __init__(self, *messages):
        self.messages = list(messages)

    async def receive(self):
        await asyncio.sleep(0)
        return self.messages.pop(0)


def whole(*pieces):
    """Make messages of pieces; the last says that it is the last."""
    return [piece(data, more=n < len(pieces)) for n, data in enumerate(pieces, 1)]


@pytest.fixture
def play(run):
    """Return what calls a function with a body, on a loop."""

    def play(messages, function):
        async def main():
            workers = Workers(2, asyncio.get_running_loop())
            body = RequestBody(Source(*messages).receive, workers)
            try:
                return await function(body)
            finally:
                body.close()

        return run(main())

    return play


@pytest.fixture
def files(monkeypatch):
    """Return a list of the temporary files that are made, and where."""
    files = []
    make = tempfile.TemporaryFile

    def temporary_file(*args):
        assert threading.current_thread() is not threading.main_thread()
        files.append(make(*args))
        return files[-1]

    monkeypatch.setattr(_asgi_body.tempfile, "TemporaryFile", temporary_file)
    return files


def read_in_worker(*sizes):
    """Return what reads so many bytes after each other, in a worker."""

    def read(body):
        return [body.read(size) for size in sizes]

    async def function(body):
        return await body._workers.run(read, body)

    return function


# Read in a worker


@pytest.mark.parametrize(
    ("messages", "sizes", "expected"),
    [
        (whole(b"abc"), [2, 2, 2], [b"ab", b"c", b""]),
        (whole(b"abc", b"de"), [2, 9, 9], [b"ab", b"cde", b""]),
        (whole(b"abc", b"", b"de"), [-1], [b"abcde"]),
        (whole(b"", b"", b""), [9, 9], [b"", b""]),
        ([{"type": "http.request"}], [9], [b""]),
        ([{"type": "http.request", "body": b"a"}], [9, 9], [b"a", b""]),
    ],
)
def test_reading_in_a_worker(play, messages, sizes, expected):
    assert play(messages, read_in_worker(*sizes)) == expected


def test_nothing_is_received_before_it_is_read(play):
    async def function(body):
        source = body._receive.__self__
        before = len(source.messages)
        await body._workers.run(body.read, 1)
        return before, len(source.messages), body.ended

    assert play(whole(b"ab", b"cd"), function) == (2, 1, False)


def test_it_can_be_read_and_nothing_else(play):
    async def function(body):
        await asyncio.sleep(0)
        return body.readable(), body.writable(), body.seekable()

    assert play([], function) == (True, False, False)


@pytest.mark.parametrize("messages", [[LEFT], [piece(b"abc"), LEFT]])
def test_a_client_that_leaves_before_the_end(play, messages):
    with pytest.raises(ClientDisconnected):
        play(messages, read_in_worker(-1))


def test_it_is_not_asked_again_after_the_client_has_left(play):
    async def function(body):
        return [await body.pull() for _ in range(3)], body.cut, body.ended

    assert play([piece(b"a"), LEFT], function) == ([b"a", b"", b""], True, False)


# On the loop


def test_the_loop_does_not_wait(play):
    async def function(body):
        await asyncio.sleep(0)
        return body.read(1)

    with pytest.raises(RuntimeError, match=r"await request\.load_body\(\)"):
        play(whole(b"abc"), function)


def test_what_has_ended_can_be_read_on_the_loop(play):
    async def function(body):
        await body._workers.run(body.read, 1)
        return body.read(2), body.read(2)

    assert play(whole(b"abc"), function) == (b"bc", b"")


# Read ahead


@pytest.mark.parametrize(
    "messages", [whole(b"abcde"), whole(b"ab", b"", b"cde", b""), whole(b"abc", b"de")]
)
@pytest.mark.parametrize("limit", [None, 5, 6])
@pytest.mark.parametrize("length", [None, 5])
def test_what_was_read_ahead_is_there(play, messages, limit, length):
    async def function(body):
        await body.load(limit, length)
        await body.load(limit, length)  # is nothing
        return body.read(2), body.read(), body.read(1)

    assert play(messages, function) == (b"ab", b"cde", b"")


@pytest.mark.parametrize(
    ("limit", "length", "readable"),
    [(4, None, b"abcd"), (0, None, b""), (4, 6, b""), (2, None, b"ab")],
)
def test_more_than_the_limit_is_refused_when_it_is_read(play, limit, length, readable):
    async def function(body):
        await body.load(limit, length)
        data = body.read(len(readable)) if readable else b""
        with pytest.raises(RequestEntityTooLarge) as caught:
            body.read(1)
        return data, caught.value.description

    data, said = play(whole(b"abc", b"def"), function)
    assert data == readable
    assert f"more than {limit} bytes" in said
    assert "MAX_CONTENT_LENGTH" in said


def test_no_more_than_the_limit_is_received(play):
    async def function(body):
        source = body._receive.__self__
        await body.load(4, None)
        return len(source.messages)

    assert play(whole(b"abc", b"def", b"ghi", b"jkl"), function) == 2


def test_a_length_above_the_limit_is_not_received_at_all(play):
    async def function(body):
        source = body._receive.__self__
        await body.load(4, 5)
        return len(source.messages)

    assert play(whole(b"abc", b"de"), function) == 2


@pytest.mark.parametrize(("more", "refused"), [(0, False), (1, True)])
def test_without_a_limit_sixteen_mebibytes_are_read(play, files, more, refused):
    megabyte = b"x" * 1024 * KIB
    messages = whole(*[megabyte] * 16, b"y" * more)

    async def function(body):
        await body.load(None, None)
        size = len(body.read(16 * 1024 * KIB))
        if refused:
            with pytest.raises(RequestEntityTooLarge, match=str(16 * 1024 * KIB)):
                body.read(1)
        else:
            assert body.read(1) == b""
        return size

    assert play(messages, function) == 16 * 1024 * KIB
    assert [file.closed for file in files] == [True]


@pytest.mark.parametrize(("size", "count"), [(512 * KIB, 0), (512 * KIB + 1, 1)])
def test_what_is_large_goes_to_a_temporary_file(play, files, size, count):
    async def function(body):
        await body.load(None, size)
        assert [file.closed for file in files] == [False] * count
        return body.read()

    half = b"a" * (size // 2), b"b" * (size - size // 2)
    assert play(whole(*half, b""), function) == b"".join(half)
    assert [file.closed for file in files] == [True] * count


def test_a_temporary_file_has_no_more_than_the_limit(play, files):
    async def function(body):
        await body.load(600 * KIB, None)
        assert len(body.read(600 * KIB)) == 600 * KIB
        with pytest.raises(RequestEntityTooLarge):
            body.read(1)

    play(whole(b"a" * 600 * KIB, b"b" * KIB), function)
    assert len(files) == 1


def test_a_client_that_leaves_while_it_is_read_ahead(play):
    async def function(body):
        await body.load(None, 9)
        assert body.read(3) == b"abc"
        body.read(1)

    with pytest.raises(ClientDisconnected):
        play([piece(b"abc"), LEFT], function)


def test_the_file_is_closed_where_loading_fails(play, files):
    async def function(body):
        with pytest.raises(IndexError):
            await body.load(None, None)
        return [file.closed for file in files]

    assert play([piece(b"a" * 600 * KIB)], function) == [True]


def test_loading_may_fail_before_there_is_a_file(play):
    async def function(body):
        with pytest.raises(IndexError):
            await body.load(None, None)
        return body.ended

    assert play([piece(b"a")], function) is False


def test_the_rest_of_what_a_worker_has_begun_to_read(play):
    async def function(body):
        first = await body._workers.run(body.read, 2)
        await body.load(None, None)
        return first, body.read(9), body.read()

    assert play(whole(b"abcd", b"ef"), function) == (b"ab", b"cdef", b"")


def test_closing_twice(play):
    async def function(body):
        await body.load(None, None)
        body.close()
        body.close()
        return body.closed

    assert play(whole(b"a"), function)


# In chunks


async def chunks(body):
    return [chunk async for chunk in body.chunks()]


def test_chunks_as_they_come(play):
    assert play(whole(b"ab", b"", b"c", b""), chunks) == [b"ab", b"c"]


@pytest.mark.parametrize("messages", [[LEFT], [piece(b"ab"), LEFT]])
def test_chunks_of_a_client_that_leaves(play, messages):
    with pytest.raises(ClientDisconnected):
        play(messages, chunks)


def test_chunks_of_what_was_read_ahead(play):
    async def function(body):
        await body.load(None, None)
        return [len(chunk) for chunk in await chunks(body)]

    assert play(whole(b"a" * 100 * KIB), function) == [64 * KIB, 36 * KIB]


@pytest.mark.parametrize(("length", "whole_chunks"), [(None, [b"abc"]), (6, [])])
def test_chunks_of_more_than_was_read_ahead(play, length, whole_chunks):
    async def function(body):
        await body.load(3, length)
        found = body.chunks()
        chunks = [await anext(found) for _ in whole_chunks]
        with pytest.raises(RequestEntityTooLarge, match="MAX_CONTENT_LENGTH"):
            await anext(found)
        return chunks

    assert play(whole(b"abcdef"), function) == whole_chunks


def test_chunks_of_what_was_read_ahead_and_cut(play):
    async def function(body):
        await body.load(None, None)
        await chunks(body)

    with pytest.raises(ClientDisconnected):
        play([piece(b"abc"), LEFT], function)


# Read while the client is watched


async def settle():
    """Let all tasks go on until they wait."""
    for _ in range(60):
        await asyncio.sleep(0)


class Endless(Source):
    """The same, which lets wait for what has not come."""

    async def receive(self):
        if not self.messages:
            await asyncio.Event().wait()
        return await super().receive()


async def watched(body):
    """Begin to watch, and let come what comes."""
    body._receive = Endless(*body._receive.__self__.messages).receive
    task = asyncio.ensure_future(body.watch())
    await settle()
    return task, body._receive.__self__


@pytest.mark.parametrize(
    ("messages", "left", "pieces", "cut"),
    [
        ([LEFT], True, [], True),
        ([piece(b"a"), LEFT], True, [b"a"], True),
        ([*whole(b"a", b"b"), LEFT], True, [b"a", b"b"], False),
        (whole(b"a", b"b"), False, [b"a", b"b"], False),
        ([*whole(b"a", b"b"), piece(b"odd"), LEFT], True, [b"a", b"b"], False),
    ],
)
def test_what_comes_while_the_client_is_watched_is_kept(
    play, messages, left, pieces, cut
):
    async def function(body):
        task, _ = await watched(body)
        assert task.done() is left
        task.cancel()
        found = [await body.pull() for _ in range(len(pieces) + 1)]
        return found, body.cut, body.ended

    assert play(messages, function) == ([*pieces, b""], cut, not cut)


def test_who_reads_is_told_what_the_watch_has_got(play):
    async def function(body):
        task, source = await watched(body)
        pulled = asyncio.ensure_future(body.pull())
        await settle()
        assert not pulled.done()
        task.cancel()  # as the response has ended
        await settle()
        return await pulled, body.cut, source.messages

    assert play([], function) == (b"", True, [])


def test_what_nobody_reads_is_left_to_the_server(play):
    pieces = [b"%d" % number for number in range(30)]

    async def function(body):
        task, source = await watched(body)
        rest = len(source.messages)
        found = [await body.pull() for _ in pieces]
        assert not task.done()
        task.cancel()
        return rest, found, await body.pull(), body.ended

    assert play(whole(*pieces), function) == (14, pieces, b"", True)


def test_a_client_that_has_left_is_not_watched(play):
    async def function(body):
        await body.pull()
        await asyncio.wait_for(body.watch(), 10)
        return body.cut

    assert play([LEFT], function)
