"""Layer 5: the fixtures `app`, `client` and `runner` of pytest.

A project asks for them in its top conftest.py. There is no entry point, which would
slow down the tests of other projects. Nothing is asserted here: PYTEST_DONT_REWRITE.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import typing as t
from importlib.machinery import PathFinder

import pytest

from ._commands import NoAppException
from ._commands import ScriptInfo

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from .app import Erlen
    from .testing import ErlenClient
    from .testing import ErlenCliRunner

__all__ = ["app", "client", "runner"]

_CURES = """
Tell the fixture 'app' where the application is, in one of these ways:
- erlen_app = "module:name" or "module:create_app('test')" in the settings of pytest
- ERLEN_APP="module:name" in the environment
- override the fixture 'app' in your conftest.py"""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the setting `erlen_app`."""
    text = "Where the fixture 'app' finds the application, as for 'erlen --app'."
    parser.addini("erlen_app", text, default="")


def _load(config: pytest.Config) -> Erlen:
    """Load the application of the project; it fails with what was searched."""
    root = str(config.rootpath)
    places = (
        config.getini("erlen_app"),
        os.environ.get("ERLEN_APP"),
        os.environ.get("FLASK_APP"),
        *(name for name in ("wsgi", "app") if PathFinder.find_spec(name, [root])),
    )
    place = next(filter(None, places), None)
    if place is None:
        pytest.fail(
            "There is no application to test. Searched: 'erlen_app' in the settings of"
            " pytest (not set), 'ERLEN_APP' and 'FLASK_APP' in the environment (not"
            f" set), 'wsgi.py' and 'app.py' in {root!r} (not there).\n{_CURES}",
            pytrace=False,
        )
    place = os.path.join(root, place)  # which leaves an absolute path alone
    try:
        return t.cast("Erlen", ScriptInfo(place, set_debug_flag=False).load_app())
    except NoAppException as exc:
        text = io.StringIO()
        exc.show(text)
    pytest.fail(f"{text.getvalue()}Searched: {place!r}\n{_CURES}", pytrace=False)


@pytest.fixture
def app(pytestconfig: pytest.Config) -> cabc.Generator[Erlen]:
    """Return the application of the project, with `TESTING`.

    A factory makes one for each test. An application of a module gets its
    configuration back afterwards.
    """
    app = _load(pytestconfig)
    before = dict(app.config)
    app.config["TESTING"] = True
    yield app
    app.config.clear()
    app.config.update(before)


@pytest.fixture
def client(app: Erlen) -> cabc.Generator[ErlenClient]:
    """Return a client of `app`; its responses are closed after the test."""
    client: t.Any = app.test_client()
    make_response = client.response_wrapper
    with contextlib.ExitStack() as stack:
        stack.push(client)  # leaves the contexts that a test let it keep

        def respond(*args: t.Any, **kwargs: t.Any) -> t.Any:
            response = make_response(*args, **kwargs)
            # Once: it would call the application's close() a second time.
            response.close = functools.cache(response.close)
            return stack.enter_context(response)

        client.response_wrapper = respond
        yield client


@pytest.fixture
def runner(app: Erlen) -> ErlenCliRunner:
    """Return a runner of the commands of `app`."""
    return app.test_cli_runner()
