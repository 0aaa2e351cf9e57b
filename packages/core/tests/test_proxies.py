from __future__ import annotations

import pytest
from werkzeug.local import LocalProxy

from erlen import Request
from erlen import _proxies
from erlen import globals as erlen_globals

HOT = sorted(
    name
    for name, value in vars(_proxies._RequestProxy).items()
    if isinstance(value, property)
)

NAMES = ["app_ctx", "current_app", "g", "request", "request_ctx", "session"]


def test_what_users_import_are_the_same_objects():
    assert sorted(erlen_globals.__all__) == [*NAMES, "websocket"]
    for name in erlen_globals.__all__:
        assert getattr(erlen_globals, name) is getattr(_proxies, name)


@pytest.mark.parametrize("name", NAMES)
def test_the_error_names_the_proxy(name):
    with pytest.raises(RuntimeError, match=rf"outside of \w+ context: '{name}'"):
        getattr(_proxies, name)._get_current_object()


@pytest.mark.parametrize("name", NAMES)
def test_each_is_what_the_context_has(app, name):
    with app.test_request_context() as ctx:
        own = ctx._app_ctx
        expected = {
            "app_ctx": own,
            "current_app": app,
            "g": own.g,
            "request": ctx.request,
            "request_ctx": ctx,
            "session": ctx.session,
        }

        assert getattr(_proxies, name)._get_current_object() is expected[name]


# The short way of `request`


def test_the_attributes_that_views_read_most_have_the_short_way():
    assert {"args", "form", "json", "headers", "method", "path"} <= set(HOT)
    assert [name for name in HOT if not hasattr(Request, name)] == ["method"]


def test_the_short_way_gives_what_the_request_has(app):
    with app.test_request_context("/?a=1", method="POST", json={}) as ctx:
        for name in HOT:
            assert getattr(_proxies.request, name) == getattr(ctx.request, name)


def test_the_short_way_outside_of_a_request(app):
    with app.app_context():
        for name in HOT:
            with pytest.raises(RuntimeError, match="request context: 'request'"):
                getattr(_proxies.request, name)


@pytest.mark.parametrize("name", ["method", "url_rule", "view_args", "own"])
def test_attributes_are_written_to_the_request_itself(app, name):
    value = object()

    with app.test_request_context() as ctx:
        setattr(_proxies.request, name, value)
        assert getattr(ctx.request, name) is value
        assert getattr(_proxies.request, name) is value


def test_everything_else_goes_the_usual_way(app):
    proxy = _proxies.request

    assert isinstance(proxy, LocalProxy)
    with app.test_request_context("/", headers={"User-Agent": "x"}) as ctx:
        assert isinstance(proxy, Request)
        assert repr(proxy) == repr(ctx.request)
        assert proxy.user_agent is ctx.request.user_agent
        assert "user_agent" in dir(proxy)
        with pytest.raises(AttributeError, match="no_such"):
            proxy.no_such  # noqa: B018


def test_a_subclass_of_the_request_has_the_short_way_too(app):
    class Own(Request):
        args = "own"

        @property
        def path(self):
            return "own path"

    app.request_class = Own

    with app.test_request_context("/x"):
        assert _proxies.request.args == "own"
        assert _proxies.request.path == "own path"
