"""The JSON API: what it offers, and how it says no."""

from __future__ import annotations

import pytest
from hedgerow import notebook


def problem(answer, status):
    """Return the body of an error after checking what all errors share."""
    assert answer.status_code == status
    assert answer.mimetype == "application/problem+json"
    body = answer.get_json()
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    return body


def test_create_and_read(client, fields):
    created = client.post("/api/sightings", json=fields)
    assert created.status_code == 201
    assert created.headers["Location"] == "/api/sightings/1"
    body = created.get_json()
    assert body == {
        **fields,
        "id": 1,
        "url": "/api/sightings/1",
        "count": 2,
        "written_at": body["written_at"],
    }
    assert client.get("/api/sightings/1").get_json() == {**body, "attachments": []}


def test_a_note_is_optional(client, fields):
    without = {name: value for name, value in fields.items() if name != "note"}
    assert client.post("/api/sightings", json=without).get_json()["note"] == ""


def test_update_changes_what_is_sent(client, sighting):
    changed = client.patch("/api/sightings/1", json={"count": 3, "note": None})
    assert changed.get_json() == {**sighting, "count": 3, "note": ""}
    assert client.patch("/api/sightings/1", json={}).get_json()["count"] == 3


def test_delete(client, sighting):
    answer = client.delete("/api/sightings/1")
    assert (answer.status_code, answer.data) == (204, b"")
    problem(client.get("/api/sightings/1"), 404)


def test_list_has_pages_and_filters(app, client, fields):
    assert client.get("/api/sightings").get_json() == {
        "items": [],
        "total": 0,
        "page": 1,
        "pages": 1,
        "previous": None,
        "next": None,
    }
    with app.app_context():
        notebook.add_many({**fields, "count": n} for n in range(1, 26))
    page = client.get("/api/sightings?kind=bird&per_page=10&page=2").get_json()
    assert [one["count"] for one in page["items"]] == list(range(15, 5, -1))
    assert (page["total"], page["page"], page["pages"]) == (25, 2, 3)
    assert client.get(page["next"]).get_json()["next"] is None
    assert client.get(page["previous"]).get_json()["previous"] is None
    assert client.get("/api/sightings?kind=plant").get_json()["total"] == 0
    assert client.get("/api/sightings?page=99").get_json()["items"] == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("page=0", "page"),
        ("page=-1", "page"),
        ("page=1e3", "page"),
        ("per_page=101", "per_page"),
        ("kind=dragon", "kind"),
        ("since=now", "since"),
        ("until=2026-13-01", "until"),
        (f"q={'x' * 81}", "q"),
    ],
)
def test_wrong_arguments(client, query, field):
    body = problem(client.get(f"/api/sightings?{query}"), 400)
    assert list(body["fields"]) == [field]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"species": None}, "species"),
        ({"species": 5}, "species"),
        ({"species": ["Wren"]}, "species"),
        ({"species": "x\0"}, "species"),
        ({"kind": ["bird"]}, "kind"),
        ({"kind": {}}, "kind"),
        ({"count": True}, "count"),
        ({"count": 2.5}, "count"),
        ({"count": 10**30}, "count"),
        ({"count": float("inf")}, "count"),
        ({"seen_on": 20260131}, "seen_on"),
        ({"seen_on": None}, "seen_on"),
        ({"note": {"a": 1}}, "note"),
        ({"id": 7}, "id"),
        ({"colour": "blue"}, "colour"),
    ],
)
def test_wrong_fields(client, fields, sighting, change, field):
    body = problem(client.post("/api/sightings", json={**fields, **change}), 422)
    assert list(body["fields"]) == [field]
    body = problem(client.patch("/api/sightings/1", json=change), 422)
    assert list(body["fields"]) == [field]
    assert client.get("/api/sightings").get_json()["items"] == [sighting]


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b'{"species": "\\ud800"}', "application/json", 400),
        (b"species=Wren", "application/x-www-form-urlencoded", 415),
        (b"{}", "text/plain", 415),
        (b"", None, 415),
        (b"", "application/json", 400),
        (b"{", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"count": ' + b"9" * 5000 + b"}", "application/json", 400),
        (b"[]", "application/json", 422),
        (b"null", "application/json", 422),
        (b"{}", "application/json", 422),
    ],
)
def test_wrong_bodies(client, body, kind, status):
    problem(client.post("/api/sightings", data=body, content_type=kind), status)


def test_a_huge_body(app, client, fields):
    app.config["MAX_CONTENT_LENGTH"] = 1000
    problem(client.post("/api/sightings", json={**fields, "note": "x" * 1000}), 413)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api", 404),
        ("GET", "/api/nowhere", 404),
        ("GET", "/api/sightings/2", 404),
        ("GET", f"/api/sightings/{2**63}", 404),
        ("PATCH", "/api/sightings/2", 404),
        ("DELETE", "/api/sightings/2", 404),
        ("PUT", "/api/sightings", 405),
        ("POST", "/api/sightings/1", 405),
    ],
)
def test_wrong_addresses(client, method, path, status):
    answer = client.open(path, method=method, json={})
    problem(answer, status)
    assert ("Allow" in answer.headers) == (status == 405)


def test_a_broken_view_tells_nothing(app, client, monkeypatch):
    app.config["PROPAGATE_EXCEPTIONS"] = False
    monkeypatch.setattr(notebook, "search", lambda wanted: 1 / 0)
    assert "division" not in problem(client.get("/api/sightings"), 500)["detail"]
