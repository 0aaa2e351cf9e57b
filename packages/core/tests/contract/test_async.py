"""`async def` under WSGI: views, hooks, handlers."""

from __future__ import annotations

import asyncio
import sys

import pytest

from erlen import Blueprint
from erlen import Erlen
from erlen import after_this_request
from erlen import g
from erlen import request
from erlen import session
from erlen.views import MethodView
from erlen.views import View

pytest.importorskip("asgiref")


@pytest.fixture
def trace():
    return []


async def view():
    await asyncio.sleep(0)
    return f"{request.method} {request.path}"


def test_view(app, client):
    app.route("/", methods=["GET", "POST"])(view)

    assert client.get("/").text == "GET /"
    assert client.post("/").text == "POST /"


def test_view_of_a_blueprint_with_arguments(app, client):
    blueprint = Blueprint("b", __name__, url_prefix="/b")

    @blueprint.get("/<int:n>")
    async def view(n):
        return f"{n + 1}"

    app.register_blueprint(blueprint)

    assert client.get("/b/1").text == "2"


def test_class_based_views(app, client):
    class One(View):
        async def dispatch_request(self):
            return "one"

    class Two(MethodView):
        async def get(self):
            return "got"

        def post(self):
            return "posted"

    app.add_url_rule("/one", view_func=One.as_view("one"))
    app.add_url_rule("/two", view_func=Two.as_view("two"))

    assert client.get("/one").text == "one"
    assert client.get("/two").text == "got"
    assert client.post("/two").text == "posted"


def test_hooks(app, client, trace):
    @app.before_request
    async def before():
        trace.append("before")
        g.user = "ada"

    @app.after_request
    async def after(response):
        trace.append("after")
        response.headers["X-After"] = "yes"
        return response

    @app.teardown_request
    async def teardown(exc):
        trace.append("teardown")

    @app.teardown_appcontext
    async def app_teardown(exc):
        trace.append("app teardown")

    app.get("/", endpoint="index")(lambda: g.user)

    response = client.get("/")

    assert response.text == "ada"
    assert response.headers["X-After"] == "yes"
    assert trace == ["before", "after", "teardown", "app teardown"]


def test_before_function_that_answers(app, client):
    @app.before_request
    async def before():
        return "stopped", 203

    assert client.get("/").status_code == 203


def test_error_handlers(app, client):
    @app.errorhandler(LookupError)
    async def handle(exc):
        return f"handled {exc.args[0]}"

    @app.errorhandler(404)
    async def absent(exc):
        return "absent", 404

    @app.get("/")
    async def view():
        raise LookupError("x")

    assert client.get("/").text == "handled x"
    assert client.get("/absent").text == "absent"


def test_context_is_there_after_awaiting_and_writes_come_back(app, client):
    @app.get("/")
    async def view():
        await asyncio.sleep(0)
        session["n"] = 1
        g.seen = True

        async def inner():
            return request.path

        return await asyncio.create_task(inner())

    seen = []
    app.teardown_request(lambda exc: seen.append(g.get("seen")))

    assert client.get("/").text == "/"
    assert seen == [True]
    with client.session_transaction() as stored:
        assert stored["n"] == 1


def test_ensure_sync_leaves_plain_functions_alone(app):
    def plain():
        return 1

    async def coroutine(a, b=2):
        await asyncio.sleep(0)
        return a + b

    assert app.ensure_sync(plain) is plain
    assert app.ensure_sync(coroutine)(1) == 3
    assert app.async_to_sync(coroutine)(1, b=4) == 5


def test_async_to_sync_may_be_replaced(trace):
    class Site(Erlen):
        def async_to_sync(self, func):
            trace.append(func.__name__)
            return super().async_to_sync(func)

    app = Site("site")
    app.get("/")(view)

    assert app.test_client().get("/").text == "GET /"
    assert trace == ["view"]


def test_without_asgiref_it_is_explained(app, monkeypatch):
    monkeypatch.setitem(sys.modules, "asgiref", None)
    monkeypatch.setitem(sys.modules, "asgiref.sync", None)
    app.get("/")(view)

    with pytest.raises(RuntimeError, match=r"(?i)'?async'? extra|\[async\]"):
        app.async_to_sync(view)


def test_after_this_request_may_be_async(app, client):
    @app.get("/")
    def index():
        @after_this_request
        async def mark(response):
            response.headers["X-Mark"] = "yes"
            return response

        return ""

    assert client.get("/").headers["X-Mark"] == "yes"
