"""An application as its users write it, under strict type checkers."""

from __future__ import annotations

import typing as t
from datetime import timedelta

from erlen import Blueprint
from erlen import Erlen
from erlen import Response
from erlen import abort
from erlen import current_app
from erlen import flash
from erlen import g
from erlen import jsonify
from erlen import make_response
from erlen import redirect
from erlen import render_template
from erlen import request
from erlen import send_from_directory
from erlen import session
from erlen import stream_with_context
from erlen import url_for
from erlen import websocket
from erlen.typing import ResponseReturnValue
from erlen.views import MethodView
from erlen.websockets import WebSocketClosed

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from werkzeug.exceptions import HTTPException
    from werkzeug.exceptions import NotFound
    from werkzeug.wrappers import Response as WerkzeugResponse

app = Erlen(__name__, static_folder="assets", instance_relative_config=True)
app.config.from_mapping(SECRET_KEY="x", TESTING=True)
app.permanent_session_lifetime = timedelta(days=1)
app.secret_key = b"bytes are fine"

pages = Blueprint("pages", __name__, url_prefix="/pages", owns_prefix=True)


# --- what a view may return --------------------------------------------------------


@app.get("/text")
def text() -> str:
    return "text"


@app.route("/json", methods=["GET", "POST"])
def a_dict() -> dict[str, t.Any]:
    return {"name": request.args.get("name", "nobody", type=str)}


@app.get("/list")
def a_list() -> list[dict[str, int]]:
    return [{"a": 1}]


@app.get("/status")
def with_status() -> tuple[str, int]:
    return "made", 201


@app.get("/headers")
def with_headers() -> tuple[dict[str, str], int, dict[str, str]]:
    return {"a": "b"}, 201, {"X-Name": "value"}


@app.get("/stream")
def stream() -> cabc.Iterator[str]:
    yield "a"
    yield "b"


@app.get("/with-context")
def with_context() -> Response:
    def lines() -> cabc.Iterator[str]:
        yield request.path

    return Response(stream_with_context(lines()), mimetype="text/plain")


@app.get("/response")
def response() -> Response:
    made = make_response("text", 200)
    made.set_cookie("name", "value", max_age=timedelta(hours=1))
    made.headers["X-Name"] = "value"
    return made


@app.get("/redirect")
def away() -> WerkzeugResponse:
    return redirect(url_for("text", _external=True), code=303)


@app.post("/any")
def anything() -> ResponseReturnValue:
    if not request.form.get("name"):
        abort(400, "A name is needed.")
    return jsonify(name=request.form["name"])


@app.get("/async")
async def asynchronous() -> str:
    return "async"


@app.websocket("/ws/<name>")
async def live(name: str) -> None:
    await websocket.accept(subprotocol="chat", headers={"X-Name": name})
    async for message in websocket:
        t.assert_type(message, str | bytes)
        await websocket.send(message)
    await websocket.close(1000, "the end")


@pages.websocket("/ws", endpoint="json")
async def live_json() -> ResponseReturnValue | None:
    if "v1" not in websocket.subprotocols:
        return {"error": "too old"}, 409
    try:
        t.assert_type(await websocket.receive_json(), t.Any)
    except WebSocketClosed as exc:
        t.assert_type(exc.code, int)
    return None


@app.websocket("/plain")  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
def plain() -> None:
    """Not a coroutine function: type checkers refuse it, as Erlen does."""


@app.get("/users/<int:number>")
def user(number: int) -> str:
    return render_template("user.html", number=number, title="A user")


@app.get("/files/<path:name>")
def file(name: str) -> Response:
    return send_from_directory("files", name, as_attachment=True)


# --- hooks, handlers and everything that decorates ---------------------------------


@app.before_request
def before() -> None:
    g.user = session.get("user")


@pages.before_request
def before_pages() -> ResponseReturnValue | None:
    return redirect(url_for("text")) if g.user is None else None


@app.after_request
def after(made: Response) -> Response:
    made.headers.setdefault("X-App", current_app.name)
    return made


@app.teardown_request
def teardown(exc: BaseException | None) -> None:
    if exc is not None:
        current_app.logger.warning("ended by %r", exc)


@app.teardown_appcontext
def teardown_app(exc: BaseException | None) -> None:
    g.pop("db", None)


@app.errorhandler(404)
def not_found(exc: NotFound) -> tuple[str, int]:
    return exc.description or "", 404


@pages.errorhandler(ValueError)
def value_error(exc: ValueError) -> ResponseReturnValue:
    return {"error": str(exc)}, 400


def any_error(exc: HTTPException) -> ResponseReturnValue:
    return exc.get_response()


app.register_error_handler(500, any_error)


@app.context_processor
def names() -> dict[str, t.Any]:
    return {"site": "Erlen"}


@app.template_filter("twice")
def twice(value: str) -> str:
    return value * 2


@app.template_test()
def even(value: int) -> bool:
    return value % 2 == 0


@app.template_global("now")
def now() -> str:
    return "now"


@app.url_value_preprocessor
def values(endpoint: str | None, arguments: dict[str, t.Any] | None) -> None:
    if arguments is not None:
        g.language = arguments.pop("language", None)


@app.url_defaults
def defaults(endpoint: str, arguments: dict[str, t.Any]) -> None:
    arguments.setdefault("language", "en")


@app.shell_context_processor
def in_the_shell() -> dict[str, t.Any]:
    return {"app": app}


@app.cli.command("hello")
def hello() -> None:
    """Say hello."""


# --- classes -----------------------------------------------------------------------


class Items(MethodView):
    init_every_request = False
    decorators: t.ClassVar[list[t.Callable[..., t.Any]]] = []

    def get(self, number: int | None = None) -> ResponseReturnValue:
        return {"number": number}

    def post(self) -> ResponseReturnValue:
        flash("Made.", "success")
        return redirect(url_for("items"))


app.add_url_rule("/items", view_func=Items.as_view("items"))
pages.add_url_rule("/items/<int:number>", view_func=Items.as_view("item"))
app.register_blueprint(pages, url_prefix="/p", name="pages2")


class OwnResponse(Response):
    default_mimetype = "text/plain"


class OwnApp(Erlen):
    response_class = OwnResponse

    def process_response(self, response: Response) -> Response:
        response.headers["X-Own"] = "1"
        return super().process_response(response)


# --- what the names mean to a type checker -----------------------------------------


def meanings() -> None:
    t.assert_type(url_for("text"), str)
    t.assert_type(request.method, str)
    t.assert_type(request.args.get("a"), str | None)
    t.assert_type(request.args.get("a", type=int), int | None)
    t.assert_type(current_app.debug, bool)
    t.assert_type(app.config.get_namespace("A_"), dict[str, t.Any])
    t.assert_type(session.permanent, bool)
    with app.app_context() as ctx:
        t.assert_type(ctx.app.name, t.Any)
    with app.test_request_context("/a", method="POST", json={"a": 1}) as request_ctx:
        t.assert_type(request_ctx.request.path, str)
