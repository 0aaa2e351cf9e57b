"""JSON: the functions, the providers, `jsonify` and the tagged serializer."""

from __future__ import annotations

import dataclasses
import decimal
import io
import json as stdlib
import uuid
from datetime import UTC
from datetime import date
from datetime import datetime
from datetime import timedelta
from datetime import timezone

import pytest
from markupsafe import Markup

import erlen.json
from erlen import Erlen
from erlen import jsonify
from erlen.json.provider import DefaultJSONProvider
from erlen.json.provider import JSONProvider
from erlen.json.tag import JSONTag
from erlen.json.tag import PassDict
from erlen.json.tag import PassList
from erlen.json.tag import TagBytes
from erlen.json.tag import TagDateTime
from erlen.json.tag import TagDict
from erlen.json.tag import TaggedJSONSerializer
from erlen.json.tag import TagMarkup
from erlen.json.tag import TagTuple
from erlen.json.tag import TagUUID


@dataclasses.dataclass
class Point:
    x: int
    when: date


class HasHtml:
    def __html__(self):
        return "<b>html</b>"


SPECIAL = [
    (datetime(2024, 2, 29, 12, 30, 15, tzinfo=UTC), "Thu, 29 Feb 2024 12:30:15 GMT"),
    (datetime(2024, 2, 29, 12, 30, 15), "Thu, 29 Feb 2024 12:30:15 GMT"),
    (
        datetime(2024, 2, 29, 14, 30, 15, tzinfo=timezone(timedelta(hours=2))),
        "Thu, 29 Feb 2024 12:30:15 GMT",
    ),
    (date(2024, 2, 29), "Thu, 29 Feb 2024 00:00:00 GMT"),
    (decimal.Decimal("1.10"), "1.10"),
    (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    (HasHtml(), "<b>html</b>"),
    (Markup("<i>"), "<i>"),
    (
        Point(1, date(2024, 2, 29)),
        {"x": 1, "when": "Thu, 29 Feb 2024 00:00:00 GMT"},
    ),
    ((1, (2,)), [1, [2]]),
]


@pytest.mark.parametrize(("value", "plain"), SPECIAL)
def test_type_that_the_default_provider_knows(app, value, plain):
    assert stdlib.loads(app.json.dumps({"v": value})) == {"v": plain}
    with app.app_context():
        assert stdlib.loads(erlen.json.dumps([value])) == [plain]
        assert jsonify(value).json == plain


def test_type_that_it_does_not_know(app):
    with pytest.raises(TypeError, match="not JSON serializable"):
        app.json.dumps(object())


# --- jsonify


@pytest.mark.parametrize(
    ("args", "kwargs", "value"),
    [
        ((), {}, None),
        (({"a": 1},), {}, {"a": 1}),
        ((1,), {}, 1),
        ((None,), {}, None),
        (("x",), {}, "x"),
        ((1, 2), {}, [1, 2]),
        (([1],), {}, [1]),
        ((), {"a": 1, "b": [2]}, {"a": 1, "b": [2]}),
    ],
)
def test_jsonify(app, args, kwargs, value):
    with app.app_context():
        response = jsonify(*args, **kwargs)

    assert response.mimetype == "application/json"
    assert stdlib.loads(response.data) == value
    assert response.status_code == 200


def test_jsonify_with_both_kinds_of_arguments(app):
    with app.app_context(), pytest.raises(TypeError, match=r"args.*kwargs|both"):
        jsonify({"a": 1}, b=2)


@pytest.mark.parametrize(
    ("debug", "text"),
    [
        (False, '{"a":[1],"b":2}\n'),
        (True, '{\n  "a": [\n    1\n  ],\n  "b": 2\n}\n'),
    ],
)
def test_debug_indents(app, debug, text):
    app.debug = debug

    with app.app_context():
        assert jsonify(b=2, a=[1]).get_data(as_text=True) == text


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({}, '{"a":"\\u00fc","b":1}\n'),
        ({"sort_keys": False}, '{"b":1,"a":"\\u00fc"}\n'),
        ({"ensure_ascii": False}, '{"a":"ü","b":1}\n'),
        ({"compact": False}, '{\n  "a": "\\u00fc",\n  "b": 1\n}\n'),
        ({"compact": True}, '{"a":"\\u00fc","b":1}\n'),
    ],
)
def test_settings_of_the_provider(app, settings, text):
    for name, value in settings.items():
        setattr(app.json, name, value)

    with app.app_context():
        assert jsonify(b=1, a="ü").get_data(as_text=True) == text


def test_mimetype_of_the_provider(app):
    app.json.mimetype = "application/problem+json"

    with app.app_context():
        assert jsonify(1).mimetype == "application/problem+json"


def test_default_of_an_instance(app):
    app.json.default = lambda obj: f"<{type(obj).__name__}>"

    with app.app_context():
        assert jsonify(Point(1, None)).json == "<Point>"


def test_default_of_a_subclass(app):
    class Own(DefaultJSONProvider):
        @staticmethod
        def default(obj):
            if isinstance(obj, complex):
                return [obj.real, obj.imag]
            return DefaultJSONProvider.default(obj)

    app.json = Own(app)

    assert app.json.dumps(1j) == "[0.0, 1.0]"
    assert app.json.dumps(uuid.UUID(int=0)) == f'"{uuid.UUID(int=0)}"'


def test_defaults_of_the_provider(app):
    provider = app.json

    assert type(provider) is DefaultJSONProvider
    assert provider.ensure_ascii is True
    assert provider.sort_keys is True
    assert provider.compact is None
    assert provider.mimetype == "application/json"


# --- functions


@pytest.mark.parametrize("inside", [True, False])
def test_functions_with_and_without_an_application(app, inside):
    def work():
        assert erlen.json.loads(erlen.json.dumps({"a": [1, "ü"]})) == {"a": [1, "ü"]}
        text, binary = io.StringIO(), io.BytesIO(b'{"a": 1}')
        erlen.json.dump({"b": 1}, text)
        assert stdlib.loads(text.getvalue()) == {"b": 1}
        text.seek(0)
        assert erlen.json.load(text) == {"b": 1}
        assert erlen.json.load(binary) == {"a": 1}
        assert erlen.json.loads(b"[1]") == [1]
        assert erlen.json.dumps(uuid.UUID(int=0)) == f'"{uuid.UUID(int=0)}"'

    if inside:
        with app.app_context():
            work()
    else:
        work()


def test_dumps_passes_options_on(app):
    with app.app_context():
        assert erlen.json.dumps({"b": 1, "a": 2}, sort_keys=False) == '{"b": 1, "a": 2}'
        assert erlen.json.dumps({"a": 1}, indent=1) == '{\n "a": 1\n}'
        assert erlen.json.dumps(1j, default=str) == '"1j"'
        assert erlen.json.loads("1.5", parse_float=decimal.Decimal) == decimal.Decimal(
            "1.5"
        )


def test_functions_go_through_the_provider_of_the_application(app):
    class Own(JSONProvider):
        def dumps(self, obj, **kwargs):
            return f"dumped {obj}"

        def loads(self, text, **kwargs):
            return f"loaded {text}"

    app.json = Own(app)
    file = io.StringIO()

    with app.app_context():
        assert erlen.json.dumps(1) == "dumped 1"
        assert erlen.json.loads("x") == "loaded x"
        erlen.json.dump(2, file)
        assert file.getvalue() == "dumped 2"
        assert erlen.json.load(io.StringIO("y")) == "loaded y"
        assert jsonify(3).get_data(as_text=True) == "dumped 3"


def test_class_of_the_provider():
    class Own(DefaultJSONProvider):
        pass

    class Site(Erlen):
        json_provider_class = Own

    assert type(Site("site").json) is Own


def test_provider_may_be_replaced_after_the_first_request(app, client):
    class Own(DefaultJSONProvider):
        def response(self, *args, **kwargs):
            return self._app.response_class("replaced")

    app.get("/", endpoint="index")(lambda: {"a": 1})
    client.get("/")

    app.json = Own(app)

    assert client.get("/").text == "replaced"


@pytest.mark.parametrize("method", ["dumps", "loads"])
def test_base_provider_is_abstract(app, method):
    with pytest.raises(NotImplementedError):
        getattr(JSONProvider(app), method)("x")


def test_provider_knows_its_application(app):
    assert app.json._app == app


# --- tags


@pytest.fixture
def tagged():
    return TaggedJSONSerializer()


@pytest.mark.parametrize(
    "value",
    [
        {" t": (1, 2, 3)},
        {" t__": b"a"},
        {" di": " di"},
        {"x": (1, 2, 3), "y": 4},
        (1, 2, 3),
        [(1, 2, 3)],
        b"\xff",
        Markup("<html>"),
        uuid.UUID(int=7),
        datetime(2024, 2, 29, 12, 30, 15, tzinfo=UTC),
        {"a": {"b": [({"c": b"d"},)]}},
        None,
        3,
    ],
)
def test_round_trip(tagged, value):
    loaded = tagged.loads(tagged.dumps(value))

    assert loaded == value
    assert type(loaded) is type(value)


def test_tagged_json_is_compact(tagged):
    assert tagged.dumps({"a": (1, 2)}) == '{"a":{" t":[1,2]}}'


def test_default_tags_and_their_order(tagged):
    assert TaggedJSONSerializer.default_tags == [
        TagDict,
        PassDict,
        TagTuple,
        PassList,
        TagBytes,
        TagMarkup,
        TagUUID,
        TagDateTime,
    ]
    assert [type(tag) for tag in tagged.order] == TaggedJSONSerializer.default_tags
    assert sorted(tagged.tags) == [" b", " d", " di", " m", " t", " u"]


class Other:
    def __init__(self, data):
        self.data = data

    def __eq__(self, other):
        return type(other) is type(self) and other.data == self.data

    __hash__ = None


class TagOther(JSONTag):
    key = " o"

    def check(self, value):
        return isinstance(value, Other)

    def to_json(self, value):
        return self.serializer.tag(value.data)

    def to_python(self, value):
        return Other(value)


def test_own_tag(tagged):
    tagged.register(TagOther)

    assert tagged.tags[" o"].key == " o"
    assert type(tagged.order[-1]) is TagOther
    assert tagged.dumps(Other((1,))) == '{" o":{" t":[1]}}'
    assert tagged.loads('{" o":{" t":[1]}}') == Other((1,))
    with pytest.raises(TypeError):
        TaggedJSONSerializer().dumps(Other(1))


def test_tag_may_go_before_others_and_take_their_place(tagged):
    class Ordered(JSONTag):
        key = " od"

        def check(self, value):
            return type(value) is dict

        def to_json(self, value):
            return [[k, self.serializer.tag(v)] for k, v in value.items()]

        def to_python(self, value):
            return dict(value)

    tagged.register(Ordered, index=0)

    assert tagged.dumps({"b": 1}) == '{" od":[["b",1]]}'
    with pytest.raises(KeyError):
        tagged.register(Ordered)
    tagged.register(Ordered, force=True)
    assert type(tagged.order[-1]) is Ordered


def test_tag_and_untag(tagged):
    assert tagged.tag((1,)) == {" t": [1]}
    assert tagged.tag(1) == 1
    assert tagged.untag({" t": [1]}) == (1,)
    assert tagged.untag({"a": 1}) == {"a": 1}
    assert tagged.untag({" unknown": 1}) == {" unknown": 1}
    assert tagged.untag({" t": [1], "b": 2}) == {" t": [1], "b": 2}


@pytest.mark.parametrize("method", ["check", "to_json", "to_python"])
def test_base_tag_is_abstract(tagged, method):
    with pytest.raises(NotImplementedError):
        getattr(JSONTag(tagged), method)(1)


def test_tag_knows_its_serializer(tagged):
    tag = TagTuple(tagged)

    assert tag.serializer is tagged
    assert tag.tag((1, (2,))) == {" t": [1, {" t": [2]}]}
    assert tag.check((1,))
    assert not tag.check([1])
