"""The trace counts what it says: own calls in order, files, switches of file."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from benchmarks import trace
from benchmarks.scenarios import Answer
from benchmarks.scenarios import Exchange

EXCHANGE = Exchange("/", Answer(200, "text/plain", b"x"))


@pytest.fixture
def app(tmp_path, monkeypatch):
    """An application of two modules, which calls the standard library once."""
    package = tmp_path / "traced"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "door.py").write_text(
        textwrap.dedent(
            """
            from . import inner

            def app(environ, start_response):
                head = [("Content-Type", "text/plain"), ("Content-Length", "1")]
                start_response("200 OK", head)
                return [inner.view()]

            """
        )
    )
    (package / "inner.py").write_text(
        textwrap.dedent(
            """
            import textwrap

            def view():
                return body().encode()

            def body():
                return textwrap.dedent("x")
            """
        )
    )
    monkeypatch.syspath_prepend(tmp_path)
    from traced.door import app

    return app


def test_calls_files_and_switches(app):
    folder = trace.package_folder("traced")
    found = trace.record(app, EXCHANGE, [folder])
    assert [(call.file, call.name, call.depth) for call in found.calls] == [
        ("traced/door.py", "app", 0),
        ("traced/inner.py", "view", 1),
        ("traced/inner.py", "body", 2),
    ]
    assert found.files == ["traced/door.py", "traced/inner.py"]
    assert found.switches == 1
    assert found.library_calls >= 1
    assert trace.record(app, EXCHANGE, [folder]) == found


def test_text_names_file_line_and_function(app):
    found = trace.record(app, EXCHANGE, [Path(trace.package_folder("traced"))])
    lines = trace.text(found).splitlines()
    assert lines[0] == "  1  traced/door.py:4   app"
    assert lines[2] == "  3  traced/inner.py:7      body"
    assert lines[-1].startswith("3 own calls, 2 files, 1 switches of file; ")


def test_a_missing_package_is_named():
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        trace.package_folder("no_such_package")
