"""The feed of new sightings, through both doors: nothing lost, nothing twice."""

from __future__ import annotations

import json

import pytest
from hedgerow import live
from hedgerow import notebook


@pytest.fixture(params=["wsgi", "asgi"])
def reader(request, app):
    """A client of either door."""
    return app.test_client(door=request.param)


def write(client, fields, *names):
    for species in names:
        answer = client.post("/api/sightings", json={**fields, "species": species})
        assert answer.status_code == 201


class Feed:
    """What a browser makes of the stream."""

    def __init__(self, client, query="", **headers):
        self.answer = client.get(f"/api/feed{query}", headers=headers, buffered=False)
        assert self.answer.mimetype == "text/event-stream"
        self.chunks = self.answer.iter_encoded()
        assert next(self.chunks) == b"retry: 1000\n\n"

    def next(self):
        event = b":\n\n"
        while event == b":\n\n":
            event = next(self.chunks)
        kind, number, data = event.decode().splitlines()[:3]
        assert kind == "event: sighting"
        sighting = json.loads(data.removeprefix("data: "))
        assert number == f"id: {sighting['id']}"
        return sighting

    def close(self):
        self.answer.close()


def test_the_front_page_has_the_last_three(client, post, fields):
    assert 'data-after="0"' in client.get("/").text
    write(client, fields, "Wren", "Robin", "Dipper", "Ouzel")
    page = client.get("/").text
    assert 'data-after="4"' in page
    ink = page.partition('role="log"')[2].partition("</ol>")[0]
    assert ink.count("<li") == 3
    assert ink.index("Ouzel") < ink.index("Dipper") < ink.index("Robin")
    assert "Wren" not in ink


def test_a_new_sighting_is_told(reader, client, fields):
    write(client, fields, "Wren")
    feed = Feed(reader)
    write(client, fields, "Robin")
    sighting = feed.next()
    assert sighting["species"] == "Robin"
    assert sighting["page"] == "/sightings/2"
    known = client.get("/api/sightings/2").get_json()
    assert {**sighting, "attachments": []} == {**known, "page": "/sightings/2"}
    feed.close()


def test_a_form_is_told_too(reader, post, fields):
    feed = Feed(reader)
    post("/sightings/new", **fields)
    assert feed.next()["species"] == "Kingfisher"
    feed.close()


def test_what_was_missed_comes_first_and_once(reader, client, fields):
    write(client, fields, "Wren", "Robin", "Dipper")
    feed = Feed(reader, "?after=1")
    write(client, fields, "Ouzel")
    assert [feed.next()["species"] for _ in range(3)] == ["Robin", "Dipper", "Ouzel"]
    feed.close()


def test_the_browser_knows_better_than_its_address(reader, client, fields):
    write(client, fields, "Wren", "Robin", "Dipper")
    feed = Feed(reader, "?after=1", **{"Last-Event-ID": "2"})
    assert feed.next()["species"] == "Dipper"
    feed.close()


def test_more_than_are_read_at_once(reader, app, fields):
    with app.app_context():
        notebook.add_many({**fields, "count": n} for n in range(1, 251))
    feed = Feed(reader, "?after=0")
    assert [feed.next()["count"] for _ in range(250)] == list(range(1, 251))
    feed.close()


def test_a_number_is_never_given_again(reader, client, fields):
    write(client, fields, "Wren", "Robin")
    assert client.delete("/api/sightings/2").status_code == 204
    feed = Feed(reader, "?after=2")  # a page that had seen the robin
    write(client, fields, "Dipper")
    assert feed.next()["species"] == "Dipper"
    feed.close()


@pytest.mark.parametrize("value", ["x", "-1", "1e3", "9" * 30])
def test_a_number_that_is_none(reader, value):
    for query, headers in [
        (f"?after={value}", {}),
        ("", {"Last-Event-ID": value}),
    ]:
        answer = reader.get(f"/api/feed{query}", headers=headers)
        assert answer.status_code == 400
        assert list(answer.get_json()["fields"]) == ["after"]


def test_without_a_call_everybody_looks(app, reader, client, fields, monkeypatch):
    monkeypatch.setattr(live, "call", lambda channel: None)
    monkeypatch.setattr(live, "PATIENCE", 0.01)
    monkeypatch.setattr(live, "rests", lambda: iter([0.01] * 1000))
    feed = Feed(reader)
    write(client, fields, "Wren")
    assert feed.next()["species"] == "Wren"
    feed.close()


def test_a_reader_who_does_not_keep_up_comes_again(app, reader, monkeypatch):
    def many(last):
        for _ in range(102):
            live.call(live.SIGHTINGS)
        return []

    monkeypatch.setattr(notebook, "after", many)
    assert list(Feed(reader).chunks) == []  # it ends


def test_nobody_is_kept(app, reader):
    feed = Feed(reader)
    feed.close()
    assert app.extensions["hedgerow.broadcast"]._rooms == {}
