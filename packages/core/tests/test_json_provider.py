from __future__ import annotations

import dataclasses
import decimal
import gc
import io
import json
import types
import uuid
import weakref
from datetime import date
from datetime import datetime
from datetime import timedelta
from datetime import timezone

import pytest

from erlen.json import provider as provider_module
from erlen.json.provider import DefaultJSONProvider
from erlen.json.provider import JSONProvider


class App:
    """What a provider sees of an application."""

    debug = False

    @staticmethod
    def response_class(*args, **kwargs):
        return types.SimpleNamespace(args=args, kwargs=kwargs)


@pytest.fixture
def app():
    """Return a stand-in, kept alive through the test: providers do not."""
    return App()


@pytest.fixture
def provider(app):
    """Return the default provider."""
    return DefaultJSONProvider(app)


@pytest.fixture
def built(monkeypatch):
    """Return a list that grows by one with each encoder that is built."""
    built = []

    class Encoder(json.JSONEncoder):
        def __init__(self, **options):
            built.append(options)
            super().__init__(**options)

    monkeypatch.setattr(json, "JSONEncoder", Encoder)
    return built


# The base


class Upper(JSONProvider):
    def dumps(self, obj, **kwargs):
        return json.dumps(obj, **kwargs).upper()

    def loads(self, s, **kwargs):
        return json.loads(s.lower(), **kwargs)


def test_a_provider_needs_two_methods(app):
    with pytest.raises(NotImplementedError):
        JSONProvider(app).dumps(1)
    with pytest.raises(NotImplementedError):
        JSONProvider(app).loads("1")


def test_two_methods_are_enough(app):
    upper = Upper(app)
    file = io.StringIO()

    upper.dump({"a": 1}, file, indent=1)
    response = upper.response({"a": 1})

    assert file.getvalue() == '{\n "A": 1\n}'
    assert upper.load(io.BytesIO(b'{"A": 1}')) == {"a": 1}
    assert response.args == ('{"A": 1}',)
    assert response.kwargs == {"mimetype": "application/json"}


@pytest.mark.parametrize("provider_class", [Upper, DefaultJSONProvider])
def test_a_dropped_application_is_gone_at_once(provider_class):
    app = App()
    app.json = provider_class(app)
    app.json.dumps({"a": 1})
    gone = weakref.ref(app)
    gc.disable()
    try:
        del app
        assert gone() is None
    finally:
        gc.enable()


# Writing


@dataclasses.dataclass
class Point:
    x: int
    inner: object = None


class Html:
    def __html__(self):
        return "<b>"


@pytest.mark.parametrize(
    ("obj", "text"),
    [
        (datetime(2020, 1, 2, 3, 4, 5), '"Thu, 02 Jan 2020 03:04:05 GMT"'),
        (
            datetime(2020, 1, 2, 3, tzinfo=timezone(timedelta(hours=2))),
            '"Thu, 02 Jan 2020 01:00:00 GMT"',
        ),
        (date(2020, 1, 2), '"Thu, 02 Jan 2020 00:00:00 GMT"'),
        (decimal.Decimal("1.50"), '"1.50"'),
        (uuid.UUID(int=5), '"00000000-0000-0000-0000-000000000005"'),
        (Point(1, Point(2)), '{"inner": {"inner": null, "x": 2}, "x": 1}'),
        (Html(), '"<b>"'),
        ({"b": 1, "a": "é"}, '{"a": "\\u00e9", "b": 1}'),
        ((1, None, float("nan")), "[1, null, NaN]"),
    ],
)
def test_what_is_written(provider, obj, text):
    # The second time by an encoder that is kept.
    assert [provider.dumps(obj) for _ in range(2)] == [text, text]


CIRCLE: list[object] = []
CIRCLE.append(CIRCLE)


@pytest.mark.parametrize(
    ("obj", "error", "words"),
    [
        ({1}, TypeError, "Object of type set is not JSON serializable"),
        (b"x", TypeError, "Object of type bytes is not JSON serializable"),
        (Point, TypeError, "dataclass instances"),
        ({"a": 1, 2: 3}, TypeError, "'<' not supported"),
        ({(): 1}, TypeError, "keys must be"),
        (CIRCLE, ValueError, "Circular reference"),
    ],
)
def test_what_cannot_be_written(provider, obj, error, words):
    for _ in range(2):
        with pytest.raises(error, match=words):
            provider.dumps(obj)


def test_writing_without_an_encoder_in_c(provider, monkeypatch):
    monkeypatch.setattr(json.encoder, "c_make_encoder", None)

    assert [provider.dumps([1, "é"]) for _ in range(2)] == ['[1, "\\u00e9"]'] * 2


def nested(depth):
    """Make a list in a list in a list."""
    obj = []
    for _ in range(depth):
        obj = [obj]
    return obj


def test_nesting_that_is_deep(provider):
    assert (
        provider.dumps(nested(100))
        == provider.dumps(nested(100))
        == ("[" * 101 + "]" * 101)
    )
    with pytest.raises(ValueError, match="nested too deeply"):
        provider.dumps(nested(100_000))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"separators": (",", ":")}, '{"a":"\\u00e9","b":[1]}'),
        ({"separators": [",", ":"]}, '{"a":"\\u00e9","b":[1]}'),
        ({"ensure_ascii": False}, '{"a": "é", "b": [1]}'),
        ({"sort_keys": False}, '{"b": [1], "a": "\\u00e9"}'),
        ({"indent": 1}, '{\n "a": "\\u00e9",\n "b": [\n  1\n ]\n}'),
        ({"skipkeys": True}, '{"a": "\\u00e9", "b": [1]}'),
        ({"default": None, "allow_nan": False}, '{"a": "\\u00e9", "b": [1]}'),
    ],
)
def test_arguments_of_the_standard_library(provider, options, text):
    obj = {"b": [1], "a": "é"}

    assert [provider.dumps(obj, **options) for _ in range(2)] == [text, text]


def test_other_arguments_are_the_standard_librarys_business(provider):
    class Encoder(json.JSONEncoder):
        def encode(self, o):
            return f"own {o}"

    assert provider.dumps(1, cls=Encoder) == "own 1"
    with pytest.raises(TypeError, match="unheard"):
        provider.dumps(1, unheard=1)


def test_a_default_for_one_call(provider):
    assert provider.dumps({1}, default=sorted) == "[1]"


def test_attributes_are_read_with_each_call(provider):
    obj = {"b": 1, "a": "é"}
    provider.dumps(obj)

    provider.ensure_ascii = provider.sort_keys = False

    assert provider.dumps(obj) == '{"b": 1, "a": "é"}'


def test_default_may_be_a_method_and_may_change(app):
    class Own(DefaultJSONProvider):
        def default(self, o):
            return f"{type(self).__name__} {o!r}"

    own = Own(app)
    assert [own.dumps(1j) for _ in range(2)] == ['"Own 1j"', '"Own 1j"']

    own.default = str

    assert own.dumps(1j) == '"1j"'


def test_an_encoder_is_built_once_for_each_set_of_arguments(provider, built):
    for _ in range(5):
        provider.dumps(1)
        provider.dumps(1, separators=(",", ":"))

    # One to keep for each, and the default provider's first text of each.
    assert len(built) == 4


def test_the_number_of_kept_encoders_is_bounded(provider):
    for indent in range(1, 10 * provider_module._MAX_ENCODERS):
        provider.dumps(1, indent=indent)

    assert len(provider._encoders) <= provider_module._MAX_ENCODERS


# Reading


@pytest.mark.parametrize(
    "text", ['{"a": "é"}', '{"a": "é"}'.encode(), '{"a": "é"}'.encode("utf-16")]
)
def test_what_is_read(provider, text):
    assert provider.loads(text) == {"a": "é"}


def test_reading_takes_arguments(provider):
    assert provider.loads("1.5", parse_float=decimal.Decimal) == decimal.Decimal("1.5")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[" * 100_000, '{"a":' * 100_000, "1" * 5_000, b'"\xff"', "\x00"],
    ids=lambda text: f"{text[:9]!r} of {len(text)}",
)
def test_whatever_is_wrong_with_a_text_is_a_value_error(provider, text):
    with pytest.raises(ValueError):
        provider.loads(text)


# Responses


@pytest.mark.parametrize(
    ("args", "kwargs", "text"),
    [
        ((), {}, "null"),
        ((None,), {}, "null"),
        ((0,), {}, "0"),
        (([],), {}, "[]"),
        ((1, 2), {}, "[1,2]"),
        ((), {"b": 1, "a": 2}, '{"a":2,"b":1}'),
    ],
)
def test_a_response(provider, args, kwargs, text):
    # The second time by an encoder that is kept.
    for _ in range(2):
        response = provider.response(*args, **kwargs)

        assert response.args == (f"{text}\n",)
        assert response.kwargs == {"mimetype": "application/json"}


@pytest.mark.parametrize("provider_class", [JSONProvider, DefaultJSONProvider])
def test_a_response_of_both_kinds_of_arguments(app, provider_class):
    with pytest.raises(TypeError, match="either args or kwargs, not both"):
        provider_class(app).response(1, a=1)


@pytest.mark.parametrize(
    ("debug", "compact", "text"),
    [
        (False, None, "[1]\n"),
        (False, True, "[1]\n"),
        (False, False, "[\n  1\n]\n"),
        (True, None, "[\n  1\n]\n"),
        (True, True, "[1]\n"),
        (True, False, "[\n  1\n]\n"),
    ],
)
def test_a_response_is_indented_in_debug_mode(app, provider, debug, compact, text):
    app.debug = debug
    provider.compact = compact

    assert provider.response([1]).args == (text,)


def test_a_response_of_another_media_type(provider):
    provider.mimetype = "application/problem+json"

    assert provider.response(1).kwargs == {"mimetype": "application/problem+json"}


@pytest.mark.parametrize(
    ("debug", "options"), [(True, {"indent": 2}), (False, {"separators": (",", ":")})]
)
def test_a_response_goes_through_dumps(app, debug, options):
    asked = []

    class Own(DefaultJSONProvider):
        def dumps(self, obj, **kwargs):
            asked.append((obj, kwargs))
            return super().dumps(obj, **kwargs)

    app.debug = debug
    own = Own(app)

    for _ in range(2):
        assert own.response(1).args == ("1\n",)
    assert asked == [(1, options)] * 2


def test_a_response_sees_what_is_replaced_on_the_provider(provider):
    assert provider.response(1).args == ("1\n",)

    provider.dumps = lambda obj, **kwargs: "own"

    assert provider.response(1).args == ("own\n",)


def test_a_response_asks_what_to_write(app):
    class Own(DefaultJSONProvider):
        def _prepare_response_obj(self, args, kwargs):
            return {"data": super()._prepare_response_obj(args, kwargs)}

    own = Own(app)

    for _ in range(2):
        assert own.response(1).args == ('{"data":1}\n',)
