"""The talk: its pages through both doors, and its WebSocket."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hedgerow import create_app
from hedgerow import live
from hedgerow import messages
from hedgerow import talk

from erlen.testing import WebSocketRejected
from erlen.websockets import WebSocketClosed


@pytest.fixture(autouse=True)
def no_penance(monkeypatch):
    monkeypatch.setattr(talk, "PENANCE", 0)


@pytest.fixture(params=["wsgi", "asgi"])
def door(request):
    return request.param


@pytest.fixture
def clock(monkeypatch):
    """A clock for `messages` that stands still."""
    clock = SimpleNamespace(now=1_000)
    monkeypatch.setattr(messages, "time", SimpleNamespace(time=lambda: clock.now))
    return clock


@pytest.fixture
def person(door, app):
    """Make a client of either door, of somebody with a name."""

    def person(name="Nell"):
        client = app.test_client(door=door)
        with client.session_transaction() as session:
            session.update({"csrf": "right", "name": name})
        return client

    return person


def say(client, room, text, **fields):
    fields = {"csrf_token": "right", "text": text, **fields}
    return client.post(f"/talk{room}", data=fields, follow_redirects=True)


def told(ws, kind):
    """Receive until there is news of this kind."""
    while kind not in (news := ws.receive_json()):
        pass
    return news[kind]


def heard(ws):
    """Return the words of the next messages."""
    return [message["text"] for message in told(ws, "messages")]


# The pages


def test_first_a_name(client, post):
    page = client.get("/talk")
    assert "Your name, to join in" in page.text
    assert "data-socket" not in page.text
    page = post("/talk", name="Nell")
    assert page.status_code == 200
    assert "Say something as Nell" in page.text
    assert "You write as <strong>Nell</strong>" in client.get("/").text


@pytest.mark.parametrize("name", ["", "x" * 61, "a\0"])
def test_a_name_that_is_none(post, name):
    page = post("/talk/bird", name=name)
    assert page.status_code == 422
    assert 'id="name-error"' in page.text


def test_a_message_is_on_the_page(person):
    page = say(person(), "/bird", "A dipper on the weir")
    assert page.request.path == "/talk/bird"
    assert "A dipper on the weir" in page.text
    assert '<li class="mine">' in page.text
    page = person("Amir").get("/talk/bird")
    assert "A dipper on the weir" in page.text
    assert '<li class="mine">' not in page.text
    assert "A dipper on the weir" not in person().get("/talk").text


@pytest.mark.parametrize(
    "words", ["<script>alert(1)</script>", "{{ 7 * 7 }}", "'); DROP TABLE messages; --"]
)
def test_text_stays_text(person, words):
    page = say(person(words), "", words)
    assert page.status_code == 200
    assert "<script>alert" not in page.text
    nell = person()
    with nell.websocket("/talk/gate/live?after=0") as ws:
        assert heard(ws) == [words]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Must not be empty."),
        ("x" * 501, "Must have at most 500 characters."),
        ("two\nlines", "Contains characters that cannot be printed."),
    ],
)
def test_a_message_that_cannot_be(app, person, text, message):
    page = say(person(), "/bird", text)
    assert page.status_code == 422
    assert f'id="text-error"><strong>Error:</strong> {message}' in page.text
    with app.app_context():
        assert messages.latest("bird") == []


def test_not_too_many_in_a_while(person, clock):
    for number in range(messages.PACE):
        assert say(person(), "/bird", f"No. {number}").status_code == 200
    page = say(person(), "/plant", "one more")  # of the same name, elsewhere
    assert page.status_code == 422
    assert "Not so fast" in page.text
    assert 'value="one more"' in page.text
    assert say(person("Amir"), "/bird", "What is it?").status_code == 200
    clock.now += messages.WHILE
    assert say(person(), "/bird", "one more").status_code == 200


def test_a_page_has_the_last_hundred(app, person, monkeypatch):
    monkeypatch.setattr(messages, "PACE", 1000)
    with app.app_context():
        for number in range(101):
            messages.say("gate", "Nell", f"No. {number}.")
    page = person().get("/talk").text
    assert "No. 0." not in page
    assert page.index("No. 1.") < page.index("No. 100.")
    assert page.count('class="day"') == 2  # and one in the template


def test_rooms(client):
    assert client.get("/talk/gate").headers["Location"].endswith("/talk")
    assert client.get("/talk/dragon").status_code == 404
    for room in messages.ROOMS:
        assert client.get(f"/talk/{room}", follow_redirects=True).status_code == 200


def test_each_door_says_what_it_can(door, person):
    page = person().get("/talk/bird").text
    socket = 'data-socket="ws://localhost/talk/bird/live"'
    assert (socket in page) == ("<noscript>" in page) == (door == "asgi")
    assert ("run --asgi" in page) == (door == "wsgi")


# The WebSocket


def test_two_people_talk(person):
    with person().websocket("/talk/bird/live") as nell:
        assert told(nell, "people") == ["Nell"]
        with person("Amir").websocket("/talk/bird/live") as amir:
            assert told(nell, "people") == ["Amir", "Nell"]
            assert told(amir, "people") == ["Amir", "Nell"]
            amir.send_json({"text": "What is it?", "key": "k1"})
            [message] = told(nell, "messages")
            assert (message["author"], message["text"]) == ("Amir", "What is it?")
            assert told(amir, "messages") == [message]
            nell.send_json({"text": "A dipper"})
            assert heard(amir) == ["A dipper"]
        assert told(nell, "people") == ["Nell"]


def test_two_pages_are_one_person(person):
    with (
        person().websocket("/talk/bird/live") as one,
        person().websocket("/talk/bird/live") as other,
    ):
        assert told(one, "people") == ["Nell"]
        assert told(other, "people") == ["Nell"]


def test_a_form_reaches_open_pages(person):
    with person().websocket("/talk/bird/live") as nell:
        assert told(nell, "people") == ["Nell"]
        say(person("Amir"), "/bird", "By post")
        say(person("Amir"), "/plant", "In another room")
        assert heard(nell) == ["By post"]


def test_who_comes_again_gets_what_was_missed(person):
    for words in ("one", "two", "three"):
        say(person(), "/bird", words)
    with person("Amir").websocket("/talk/bird/live?after=1") as amir:
        assert heard(amir) == ["two", "three"]


def test_what_is_sent_again_is_said_once(app, person):
    with person().websocket("/talk/bird/live") as nell:
        for _ in range(messages.PACE + 1):
            nell.send_json({"text": "once", "key": "k1"})
        nell.send_json({"text": "twice", "key": "k2"})
        while "twice" not in heard(nell):
            pass
    with app.app_context():
        assert [it.text for it in messages.latest("bird")] == ["once", "twice"]


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ({"text": ""}, "Must not be empty."),
        ({"text": "x" * 501, "key": "k"}, "Must have at most 500 characters."),
        ({"text": ["x"], "key": "k"}, "Must be text."),
        ({"text": "x", "key": 5}, "Must be text."),
        ({}, "Must not be empty."),
    ],
)
def test_refused(app, person, sent, reason):
    with person().websocket("/talk/bird/live") as nell:
        nell.send_json(sent)
        while "refused" not in (news := nell.receive_json()):
            pass
        assert news == {"refused": reason, "key": sent.get("key")}
        nell.send_json({"text": "but this"})
        assert heard(nell) == ["but this"]


def test_too_fast(person):
    with person().websocket("/talk/bird/live") as nell:
        for number in range(messages.PACE + 1):
            nell.send_json({"text": f"No. {number}", "key": str(number)})
        while "refused" not in (news := nell.receive_json()):
            pass
        assert "Not so fast" in news["refused"]
        assert news["key"] == str(messages.PACE)


@pytest.mark.parametrize("sent", ["{", "[]", "null", '"text"', "\ud800", b"\xff"])
def test_no_message_at_all(person, sent):
    with person().websocket("/talk/bird/live") as nell:
        nell.send(sent)
        with pytest.raises(WebSocketClosed) as closed:
            told(nell, "the end")
        assert closed.value.code == 1007


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/talk/bird/live?after=x", 400),
        ("/talk/bird/live?after=-1", 400),
        ("/talk/dragon/live", 404),
    ],
)
def test_wrong_addresses(person, path, status):
    with pytest.raises(WebSocketRejected) as rejected, person().websocket(path):
        pass
    assert rejected.value.response.status_code == status


def test_nobody_without_a_name(client):
    with (
        pytest.raises(WebSocketRejected) as rejected,
        client.websocket("/talk/bird/live"),
    ):
        pass
    assert rejected.value.response.status_code == 403


def test_no_page_of_another_site(person):
    headers = {"Origin": "https://evil.example"}
    with (
        pytest.raises(WebSocketRejected) as rejected,
        person().websocket("/talk/bird/live", headers=headers),
    ):
        pass
    assert rejected.value.response.status_code == 403


def test_without_a_call_everybody_looks(app, person, monkeypatch):
    monkeypatch.setattr(live, "call", lambda channel: None)
    monkeypatch.setattr(live, "PATIENCE", 0)  # and each time it is sure of itself
    monkeypatch.setattr(live, "rests", lambda: iter([0.01] * 1000))
    with person().websocket("/talk/bird/live") as nell:
        say(person("Amir"), "/bird", "Anybody?")
        assert heard(nell) == ["Anybody?"]


def test_a_page_that_does_not_keep_up_comes_again(app, person, monkeypatch):
    def many(room, last):
        for _ in range(102):
            live.call(f"talk:{room}")
        return []

    monkeypatch.setattr(messages, "after", many)
    with person().websocket("/talk/bird/live") as nell:
        with pytest.raises(WebSocketClosed) as closed:
            told(nell, "the end")
        assert closed.value.code == 1013


def test_who_did_not_say_good_bye_is_forgotten(app, clock):
    with app.app_context():
        messages.stay(messages.Visit(key="1", room="bird", name="Nell"))
        clock.now += messages.ABSENT
        assert messages.people("bird") == ["Nell"]
        clock.now += 1
        assert messages.people("bird") == []


def test_nobody_is_kept(app, person):
    with person().websocket("/talk/bird/live") as nell:
        assert told(nell, "people") == ["Nell"]
    with app.app_context():
        assert messages.people("bird") == []
    assert app.extensions["hedgerow.broadcast"]._rooms == {}


def test_redis_may_be_away(tmp_path, fields, caplog):
    pytest.importorskip("redis")
    url = "redis://127.0.0.1:1"
    app = create_app(
        {"TESTING": True, "DEMO_DATA": False, "BROADCAST": url}, str(tmp_path)
    )
    client = app.test_client()
    with client.session_transaction() as session:
        session.update({"csrf": "right", "name": "Nell"})
    assert client.post("/api/sightings", json=fields).status_code == 201
    with client.websocket("/talk/bird/live") as nell:
        nell.send_json({"text": "Is it on?"})
        assert heard(nell) == ["Is it on?"]
    app.extensions["hedgerow.broadcast"].close()
    assert "A message could not be sent" in caplog.text
