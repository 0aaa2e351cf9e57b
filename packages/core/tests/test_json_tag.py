from __future__ import annotations

import uuid
from datetime import UTC
from datetime import date
from datetime import datetime
from datetime import timedelta
from datetime import timezone

import pytest
from markupsafe import Markup

from erlen.json.provider import DefaultJSONProvider
from erlen.json.tag import JSONTag
from erlen.json.tag import TaggedJSONSerializer


@pytest.fixture
def serializer():
    """Return a serializer that nobody has registered tags at."""
    return TaggedJSONSerializer()


class TagSet(JSONTag):
    __slots__ = ()
    key = " s"

    def check(self, value):
        return isinstance(value, set)

    def to_json(self, value):
        return [self.serializer.tag(item) for item in sorted(value)]

    def to_python(self, value):
        return set(value)


class Html:
    def __html__(self):
        return "<b>"


# The texts were written by Flask 3.1.3.
WRITTEN = [
    ({}, "{}"),
    ({"a": 1, "b": [None, True, 1.5]}, '{"a":1,"b":[null,true,1.5]}'),
    ("é", '"\\u00e9"'),
    ((1, (2,)), '{" t":[1,{" t":[2]}]}'),
    ([(1,)], '[{" t":[1]}]'),
    (b"\x00\xff", '{" b":"AP8="}'),
    (Markup("<i>"), '{" m":"<i>"}'),
    (uuid.UUID(int=1), '{" u":"00000000000000000000000000000001"}'),
    (
        datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC),
        '{" d":"Thu, 02 Jan 2020 03:04:05 GMT"}',
    ),
    # Dicts that look like tags, and some that only nearly do.
    ({" t": 1}, '{" di":{" t__":1}}'),
    ({" di": 1}, '{" di":{" di__":1}}'),
    ({"a": {" m": [(1,)]}}, '{"a":{" di":{" m__":[{" t":[1]}]}}}'),
    ({" t__": {" di": 1}}, '{" t__":{" di":{" di__":1}}}'),
    ({" t": 1, "b": (2,)}, '{" t":1,"b":{" t":[2]}}'),
    ({" x": 1}, '{" x":1}'),
    ({"": 1}, '{"":1}'),
]


@pytest.mark.parametrize(("value", "text"), WRITTEN)
def test_a_value_survives(serializer, value, text):
    assert serializer.dumps(value) == text
    read = serializer.loads(text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("value", "text", "read"),
    [
        ({1: (1,)}, '{"1":{" t":[1]}}', {"1": (1,)}),
        (Html(), '{" m":"<b>"}', Markup("<b>")),
        (
            datetime(2020, 1, 2, 3, 4, 5, 678),
            '{" d":"Thu, 02 Jan 2020 03:04:05 GMT"}',
            datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC),
        ),
        (
            datetime(2020, 1, 2, 3, tzinfo=timezone(timedelta(hours=2))),
            '{" d":"Thu, 02 Jan 2020 01:00:00 GMT"}',
            datetime(2020, 1, 2, 1, tzinfo=UTC),
        ),
        # A date has no tag; the provider writes it.
        (
            date(2020, 1, 2),
            '"Thu, 02 Jan 2020 00:00:00 GMT"',
            "Thu, 02 Jan 2020 00:00:00 GMT",
        ),
    ],
)
def test_a_value_that_changes(serializer, value, text, read):
    assert serializer.dumps(value) == text
    assert serializer.loads(text) == read


def test_bytes_are_read_too(serializer):
    assert serializer.loads(b'{"a":{" t":[1]}}') == {"a": (1,)}


def test_values_that_have_blanks_are_no_tags(serializer):
    value = {"a": " t", "b": ["x", '" t'], "c": '{" t":1}'}

    assert serializer.loads(serializer.dumps(value)) == value


@pytest.mark.parametrize("value", [{1}, {"a": {"b": object()}}, {(1,): 2}])
def test_what_has_neither_tag_nor_json(serializer, value):
    with pytest.raises(TypeError):
        serializer.dumps(value)


# The damage can only be done by somebody who has the secret key.
@pytest.mark.parametrize(
    "text",
    ['{" t":1}', '{" b":5}', '{" u":"zz"}', '{" u":5}', '{" d":5}', '{" di":5}', "{"],
)
def test_a_damaged_tag_is_an_error(serializer, text):
    with pytest.raises((ValueError, TypeError, AttributeError)):
        serializer.loads(text)


def test_the_current_applications_provider_is_used(app, serializer):
    asked = []

    class Own(DefaultJSONProvider):
        def dumps(self, obj, **kwargs):
            asked.append((obj, kwargs))
            return super().dumps(obj, **kwargs)

        def loads(self, s, **kwargs):
            asked.append((s, kwargs))
            return super().loads(s, **kwargs)

    app.json = Own(app)
    with app.app_context():
        text = serializer.dumps({"b": (1,), "a": 2})
        read = serializer.loads(text)

    assert text == '{"a":2,"b":{" t":[1]}}'
    assert read == {"a": 2, "b": (1,)}
    assert asked == [
        ({"b": {" t": [1]}, "a": 2}, {"separators": (",", ":")}),
        (text, {}),
    ]


# Tags of one's own


def test_a_tag_has_to_be_written(serializer):
    tag = JSONTag(serializer)

    for method in (tag.check, tag.to_json, tag.to_python, tag.tag):
        with pytest.raises(NotImplementedError):
            method(1)


def test_a_tag_is_added_at_the_end(serializer):
    serializer.register(TagSet)

    assert type(serializer.order[-1]) is TagSet
    assert serializer.tags[" s"] is serializer.order[-1]
    assert serializer.loads(serializer.dumps({"a": {1, 2}})) == {"a": {1, 2}}


def test_a_tag_is_added_once(serializer):
    serializer.register(TagSet)

    with pytest.raises(KeyError, match="' s' is already registered"):
        serializer.register(TagSet)

    serializer.register(TagSet, force=True)
    assert len(serializer.order) == 10
    assert serializer.tags[" s"] is serializer.order[-1]


def test_a_tag_for_a_special_case_goes_first(serializer):
    class TagLoud(JSONTag):
        """A tag for a type that is otherwise written as it is."""

        __slots__ = ()
        key = "LOUD"

        def check(self, value):
            return isinstance(value, str) and value.isupper()

        def to_json(self, value):
            return value.lower()

        def to_python(self, value):
            return value.upper()

    serializer.register(TagLoud, index=0)

    assert serializer.dumps(["A", "b"]) == '[{"LOUD":"a"},"b"]'
    assert serializer.loads('[{"LOUD":"a"},"b"]') == ["A", "b"]


@pytest.mark.parametrize(("index", "place"), [(2, 2), (-1, -2)])
def test_a_tag_is_added_where_it_is_told(serializer, index, place):
    serializer.register(TagSet, index=index)

    assert type(serializer.order[place]) is TagSet


def test_a_tag_without_key_prepares_only(serializer):
    class PassSet(TagSet):
        __slots__ = ()
        key = ""
        tag = TagSet.to_json

    serializer.register(PassSet)
    serializer.register(PassSet)

    assert serializer.dumps({2, 1}) == "[1,2]"
    assert " s" not in serializer.tags


def test_a_serializer_with_fewer_tags():
    class Few(TaggedJSONSerializer):
        default_tags = (TagSet,)

    assert Few().dumps({1}) == '{" s":[1]}'
    assert Few().dumps({"a": (1,)}) == '{"a":[1]}'
