"""The ten signals: who sends them, with what, and when."""

from __future__ import annotations

import pytest

import erlen
from erlen import Erlen
from erlen import flash
from erlen import g
from erlen import request
from erlen.signals import Namespace

NAMES = [
    "appcontext_popped",
    "appcontext_pushed",
    "appcontext_tearing_down",
    "before_render_template",
    "got_request_exception",
    "message_flashed",
    "request_finished",
    "request_started",
    "request_tearing_down",
    "template_rendered",
]


@pytest.fixture
def caught(app):
    """Return a function that lists what a signal of `app` carries."""
    connected = []

    def catch(name, look=lambda **extra: extra):
        seen = []

        def receiver(sender, **extra):
            seen.append((sender, look(**extra)))

        signal = getattr(erlen, name)
        signal.connect(receiver, app)
        connected.append((signal, receiver))
        return seen

    yield catch
    for signal, receiver in connected:
        signal.disconnect(receiver, app)


@pytest.mark.parametrize("name", NAMES)
def test_signal_has_its_name(name):
    assert getattr(erlen, name).name in {name, name.replace("_", "-")}


def test_namespace_makes_signals():
    space = Namespace()
    signal = space.signal("paid")
    seen = []

    with signal.connected_to(lambda sender, **extra: seen.append((sender, extra))):
        signal.send("shop", amount=3)

    assert seen == [("shop", {"amount": 3})]
    assert space.signal("paid") is signal


def test_request_started_and_finished(app, client, caught):
    started = caught("request_started", lambda **extra: (request.path, sorted(extra)))
    finished = caught(
        "request_finished", lambda response, **extra: response.get_data(as_text=True)
    )
    app.get("/x", endpoint="x")(lambda: "body")

    client.get("/x")

    assert started[0][0] is app
    assert started[0][1][0] == "/x"
    assert finished == [(app, "body")]


def test_request_finished_sees_error_pages(app, client, caught):
    finished = caught(
        "request_finished", lambda response, **extra: response.status_code
    )

    client.get("/absent")

    assert finished == [(app, 404)]


@pytest.mark.parametrize("propagate", [True, False])
def test_got_request_exception(app, client, caught, propagate):
    app.config["PROPAGATE_EXCEPTIONS"] = propagate
    seen = caught("got_request_exception", lambda exception, **extra: exception)
    error = LookupError("x")

    @app.get("/")
    def view():
        raise error

    if propagate:
        with pytest.raises(LookupError):
            client.get("/")
    else:
        assert client.get("/").status_code == 500

    assert seen == [(app, error)]


@pytest.mark.parametrize("kind", [LookupError, 404])
def test_got_request_exception_is_not_sent_for_what_is_handled(
    app, client, caught, kind
):
    seen = caught("got_request_exception")
    app.register_error_handler(LookupError, lambda exc: "handled")

    @app.get("/")
    def view():
        if kind == 404:
            erlen.abort(404)
        raise kind

    client.get("/")

    assert seen == []


@pytest.mark.parametrize("name", ["request_tearing_down", "appcontext_tearing_down"])
@pytest.mark.parametrize("failing", [True, False])
def test_tearing_down_carries_the_error(app, client, caught, name, failing):
    seen = caught(name, lambda exc, **extra: exc)
    error = LookupError("x")

    @app.get("/")
    def view():
        if failing:
            raise error
        return ""

    if failing:
        with pytest.raises(LookupError):
            client.get("/")
    else:
        client.get("/")

    assert seen == [(app, error if failing else None)]


def test_signals_of_an_application_context(app, caught):
    trace = []
    for name in ("appcontext_pushed", "appcontext_tearing_down", "appcontext_popped"):
        caught(name, lambda name=name, **extra: trace.append(name))

    with app.app_context():
        trace.append("inside")

    assert trace == [
        "appcontext_pushed",
        "inside",
        "appcontext_tearing_down",
        "appcontext_popped",
    ]


def test_appcontext_pushed_can_put_things_into_g(app, client, caught):
    caught("appcontext_pushed", lambda **extra: setattr(g, "user", "ada"))
    app.get("/", endpoint="index")(lambda: g.user)

    assert client.get("/").text == "ada"


@pytest.mark.parametrize("failing", [False, True])
def test_appcontext_pushed_comes_before_the_request(app, client, caught, failing):
    app.config["PROPAGATE_EXCEPTIONS"] = False

    def look(**extra):
        assert not erlen.has_request_context()
        if failing:
            raise LookupError

    seen = caught("appcontext_pushed", look)
    app.get("/", endpoint="index")(lambda: "home")

    assert client.get("/").status_code == (500 if failing else 200)
    assert seen == ([] if failing else [(app, None)])
    assert not erlen.has_app_context()


def test_message_flashed(app, caught):
    seen = caught(
        "message_flashed", lambda message, category, **extra: (message, category)
    )

    with app.test_request_context():
        flash("a")
        flash("b", "error")

    assert seen == [(app, ("a", "message")), (app, ("b", "error"))]


def test_signals_of_other_applications_are_not_seen(app, caught):
    seen = caught("request_started")
    other = Erlen("other")

    other.test_client().get("/")

    assert seen == []


def test_error_in_a_receiver_of_request_started_is_an_error_of_the_request(
    app, client, caught
):
    app.config["PROPAGATE_EXCEPTIONS"] = False
    caught("request_started", lambda **extra: 1 / 0)

    assert client.get("/").status_code == 500


def test_signals_are_sent_without_receivers(app, client):
    app.get("/", endpoint="index")(lambda: "fine")

    assert client.get("/").text == "fine"
