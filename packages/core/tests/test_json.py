from __future__ import annotations

import io
import uuid

import pytest

from erlen import json
from erlen.json.provider import JSONProvider

UUID = uuid.UUID(int=1)


class Recorder(JSONProvider):
    """A provider that tells what it was asked for."""

    def dumps(self, obj, **kwargs):
        return f"dumps {obj} {kwargs}"

    def loads(self, s, **kwargs):
        return f"loads {s} {kwargs}"

    def response(self, *args, **kwargs):
        return f"response {args} {kwargs}"


def test_the_current_application_decides(app):
    app.json = Recorder(app)
    file = io.StringIO()

    with app.app_context():
        json.dump([1], file, indent=2)
        assert file.getvalue() == "dumps [1] {'indent': 2}"
        assert json.dumps([1], skipkeys=True) == "dumps [1] {'skipkeys': True}"
        assert json.loads("[1]", strict=True) == "loads [1] {'strict': True}"
        assert json.load(io.StringIO("1"), strict=True) == "loads 1 {'strict': True}"
        assert json.jsonify(1, 2) == "response (1, 2) {}"
        assert json.jsonify(a=1) == "response () {'a': 1}"


def test_without_an_application_the_standard_library_decides():
    file = io.StringIO()
    json.dump({"b": UUID, "a": 1}, file)

    assert file.getvalue() == f'{{"b": "{UUID}", "a": 1}}'
    assert json.dumps({"b": UUID, "a": "é"}) == f'{{"b": "{UUID}", "a": "\\u00e9"}}'
    assert json.dumps([1, 2], separators=(",", ":")) == "[1,2]"
    assert json.loads(b'{"a": 1}') == {"a": 1}
    assert json.loads("1.5", parse_float=str) == "1.5"
    assert json.load(io.StringIO("[1]")) == [1]


def test_a_default_of_ones_own():
    file = io.StringIO()
    json.dump({1}, file, default=list)

    assert file.getvalue() == json.dumps({1}, default=list) == "[1]"


def test_a_response_needs_an_application():
    with pytest.raises(RuntimeError, match=r"outside of application context.*jsonify"):
        json.jsonify(1)
