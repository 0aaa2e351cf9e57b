from __future__ import annotations

import io

import pytest
from werkzeug.exceptions import ClientDisconnected
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser
from werkzeug.serving import DechunkedInput

from erlen._body import name_limit
from erlen._body import open_body
from erlen._body import too_large

BODY = b"0123456789"

#: A server that takes chunks apart, one that counts, and one that does both.
CHUNKED = {"wsgi.input_terminated": True}
COUNTED = {"CONTENT_LENGTH": "10"}


def opened(environ, limit=None, body=BODY):
    return open_body({"wsgi.input": io.BytesIO(body)} | environ, limit)


def in_pieces(stream):
    return b"".join(iter(lambda: stream.read(3), b""))


#: Ways to read a whole stream.
READS = [
    lambda stream: stream.read(),
    in_pieces,
    b"".join,
    lambda stream: getattr(stream, "exhaust", stream.read)(),
    lambda stream: stream.read(100) + stream.read(100),
]

servers = pytest.mark.parametrize("environ", [COUNTED, CHUNKED, COUNTED | CHUNKED])


@servers
@pytest.mark.parametrize("limit", [None, 10, 11, 100])
def test_a_body_within_its_limit_is_read_whole(environ, limit):
    for read in READS:
        stream = opened(environ, limit)
        assert read(stream) == BODY
        assert stream.read() == stream.read(1) == b""


@servers
@pytest.mark.parametrize("limit", [1, 9])
def test_a_body_above_its_limit_is_refused_and_not_cut(environ, limit):
    for read in READS:
        with pytest.raises(RequestEntityTooLarge) as caught:
            read(opened(environ, limit))
        assert caught.value.description == (
            f"The request body has more than {limit} bytes. The limit is"
            " MAX_CONTENT_LENGTH in the configuration, or request.max_content_length"
            " for one view."
        )


@servers
def test_an_empty_body_is_within_every_limit(environ):
    length = {"CONTENT_LENGTH": "0"} if "CONTENT_LENGTH" in environ else {}

    assert opened(environ | length, 0, b"").read() == b""


@pytest.mark.parametrize("environ", [COUNTED, COUNTED | CHUNKED])
def test_a_body_that_is_shorter_than_it_says_is_refused(environ):
    for read in READS:
        with pytest.raises(ClientDisconnected):
            read(opened(environ | {"CONTENT_LENGTH": "11"}))


@pytest.mark.parametrize("error", [OSError, ValueError])
@pytest.mark.parametrize("limit", [None, 5, 10, 100])
def test_a_body_that_ends_in_an_error_of_the_server_is_refused(limit, error):
    class Broken(io.BytesIO):
        def readinto(self, buffer):
            if self.tell() == len(BODY):
                raise error
            return super().readinto(buffer)

        def read(self, size=-1):
            if self.tell() == len(BODY):
                raise error
            return super().read(size)

    expected = RequestEntityTooLarge if limit == 5 else ClientDisconnected
    for read in READS:
        with pytest.raises(expected):
            read(open_body({"wsgi.input": Broken(BODY)} | CHUNKED, limit))


@pytest.mark.parametrize("environ", [COUNTED, COUNTED | CHUNKED])
def test_what_follows_a_body_is_not_read(environ):
    stream = opened(environ | {"CONTENT_LENGTH": "4"})

    assert stream.read() == b"0123"


@servers
@pytest.mark.parametrize("limit", [None, 10_000])
def test_lines_are_not_read_byte_by_byte(environ, limit):
    class Counting(io.BytesIO):
        reads = 0

        def readinto(self, buffer):
            Counting.reads += 1
            return super().readinto(buffer)

    lines = [b"line\n"] * 1000
    body = Counting(b"".join(lines))
    length = {"CONTENT_LENGTH": "5000"} if "CONTENT_LENGTH" in environ else {}

    assert list(open_body({"wsgi.input": body} | environ | length, limit)) == lines
    assert Counting.reads <= 3


@pytest.mark.parametrize("limit", [None, 5])
def test_a_body_of_which_nothing_is_known_is_empty(limit):
    assert opened({}, limit).read() == b""


def test_the_environ_is_not_changed():
    environ = {"wsgi.input": io.BytesIO(BODY)} | COUNTED | CHUNKED
    before = environ.copy()

    open_body(environ, 10).read()

    assert environ == before


# Which limit it was


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "max_content_length",
            "has more than 7 bytes. The limit is MAX_CONTENT_LENGTH",
        ),
        ("max_form_parts", "has more than 7 parts. The limit is MAX_FORM_PARTS"),
        (
            "max_form_memory_size",
            "has a field of more than 7 bytes. The limit is MAX_FORM_MEMORY_SIZE",
        ),
    ],
)
def test_a_refusal_names_setting_and_attribute(name, words):
    text = too_large(name, 7).description

    assert words in text
    assert f"request.{name} for one view" in text


class Pieces(io.BytesIO):
    """A stream that gives little at a time."""

    def read(self, size=-1):
        return super().read(50)


class Limits:
    max_form_memory_size = 200
    max_form_parts = 2


def form_of(*sizes):
    part = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n%s\r\n'
    return b"".join(part % (b"x" * size) for size in sizes) + b"--b--\r\n"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (form_of(300), "a field of more than 200 bytes"),
        (form_of(1, 1, 1), "more than 2 parts"),
    ],
)
def test_the_limit_of_a_form_is_found_by_who_raised(body, words):
    parser = FormDataParser(
        max_form_memory_size=Limits.max_form_memory_size,
        max_form_parts=Limits.max_form_parts,
    )
    pieces = Pieces(body)

    with pytest.raises(RequestEntityTooLarge) as caught:
        parser.parse(pieces, "multipart/form-data", len(body), {"boundary": "b"})

    assert f"has {words}." in name_limit(caught.value, Limits).description


def test_a_refusal_that_names_its_limit_is_handed_on():
    error = too_large("max_content_length", 7)

    assert name_limit(error, Limits) is error


def test_a_refusal_that_nobody_raised_is_that_of_a_field():
    assert (
        "MAX_FORM_MEMORY_SIZE"
        in name_limit(RequestEntityTooLarge(), Limits).description
    )


class BrokenChunkError(Exception):
    """What gunicorn raises is neither an OSError nor a ValueError."""


class Broken:
    """The input of a server that finds rubbish after the first chunk."""

    def __init__(self):
        self.chunks = [b"a=b"]

    def read(self, size):
        if not self.chunks:
            raise BrokenChunkError
        return self.chunks.pop()


@pytest.mark.parametrize("limit", [None, 3, 1000])
def test_whatever_a_server_raises_for_a_broken_chunk_is_a_400(limit):
    stream = open_body({"wsgi.input": Broken(), **CHUNKED}, limit)

    with pytest.raises(ClientDisconnected):
        stream.read()


@pytest.mark.parametrize("limit", [None, 3, 1000])
@pytest.mark.parametrize("size", ["5", "ffffffffffffffff"])
def test_a_chunk_that_is_cut_short_ends(size, limit):
    chunked = DechunkedInput(io.BytesIO(f"{size}\r\nab".encode()))
    stream = open_body({"wsgi.input": chunked, **CHUNKED}, limit)

    with pytest.raises((ClientDisconnected, RequestEntityTooLarge)):
        stream.read()
