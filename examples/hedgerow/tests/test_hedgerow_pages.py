"""The pages as a browser asks for them, and what happens when it asks badly."""

from __future__ import annotations

import csv
import io
from datetime import date
from datetime import timedelta
from itertools import islice

import pytest
from hedgerow import notebook

from erlen import abort


def test_an_empty_notebook_says_so(client):
    page = client.get("/")
    assert page.status_code == 200
    assert "Nothing was seen that fits" in page.text
    assert "0 sightings" in page.text


def test_a_sighting_is_written_down_and_read(client, post, fields):
    page = post("/sightings/new", **fields)
    assert page.request.path == "/sightings/1"
    assert "Kingfisher is in the notebook." in page.text
    assert "31 January 2026" in page.text
    assert "Kingfisher is in the notebook." not in client.get("/sightings/1").text
    assert "/sightings/1" in client.get("/").text


def test_the_writer_is_remembered(client, post, fields):
    post("/sightings/new", **fields)
    form = client.get("/sightings/new").text
    assert 'value="Nell Hartley"' in form
    assert f'value="{date.today()}"' in form
    assert "<option>Weir Bridge</option>" in form


def test_a_sighting_is_corrected(client, post, fields, sighting):
    form = client.get("/sightings/1/edit").text
    assert 'value="Kingfisher"' in form
    assert "A blue line" in form
    page = post("/sightings/1/edit", **{**fields, "species": "Dipper", "note": ""})
    assert "The sighting is corrected." in page.text
    assert "<h1>Dipper</h1>" in page.text
    assert "<blockquote>" not in page.text


def test_a_sighting_is_struck_out(client, post, sighting):
    page = post("/sightings/1/delete")
    assert "Kingfisher is struck out." in page.text
    assert client.get("/sightings/1").status_code == 404


@pytest.mark.parametrize("path", ["/sightings/new", "/sightings/1/edit"])
@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("species", "", "Must not be empty."),
        ("species", " \r\n ", "Must not be empty."),
        ("species", "x" * 81, "Must have at most 80 characters."),
        ("species", "x" * 400_000, "Must have at most 80 characters."),
        ("species", "two\nlines", "Contains characters that cannot be printed."),
        ("note", "bell \a", "Contains characters that cannot be printed."),
        ("note", "x" * 2001, "Must have at most 2,000 characters."),
        ("kind", "dragon", "Must be one of plant, fungus, insect, mammal, bird."),
        ("count", "0", "Must be a whole number from 1 to 100,000."),
        ("count", "100001", "Must be a whole number from 1 to 100,000."),
        ("count", "9" * 5000, "Must be a whole number from 1 to 100,000."),
        ("count", "1_0", "Must be a whole number from 1 to 100,000."),
        ("count", "٣", "Must be a whole number from 1 to 100,000."),
        ("count", "many", "Must be a whole number from 1 to 100,000."),
        ("seen_on", "31.1.2026", "Must be a day, written like 2026-05-01."),
        ("seen_on", "2026-02-30", "Must be a day, written like 2026-05-01."),
        ("seen_on", "1899-12-31", "Must not be before 1900."),
        ("seen_on", str(date.today() + timedelta(1)), "Must not be in the future."),
    ],
)
def test_a_wrong_field_is_shown_again(
    client, post, fields, sighting, path, field, value, message
):
    page = post(path, **{**fields, field: value})
    assert page.status_code == 422
    assert "<title>Error: " in page.text
    assert f'<a href="#{field}">' in page.text  # in the summary
    assert f'id="{field}-error"><strong>Error:</strong> {message}' in page.text
    assert 'value="Weir Bridge"' in page.text  # what was right is kept
    assert client.get("/api/sightings").get_json()["items"] == [sighting]


def test_all_missing_fields_are_told_at_once(post):
    page = post("/sightings/new")
    assert page.status_code == 422
    assert page.text.count("<strong>Error:</strong>") == 6  # all but the note


@pytest.mark.parametrize(
    "words",
    [
        "'); DROP TABLE sightings; --",
        '" OR 1=1',
        "100% _wild_",
        "<script>alert(1)</script>",
        "{{ 7 * 7 }}",
        "Zaunkönig, 鹪鹩, крапивник 🐦 שׁלום",
    ],
)
def test_text_stays_text(client, post, fields, words):
    page = post("/sightings/new", **{**fields, "species": words, "note": words})
    assert page.status_code == 200
    assert client.get("/api/sightings/1").get_json()["species"] == words
    assert "1 sighting<" in client.get("/", query_string={"q": words}).text
    assert "0 sightings<" in client.get("/", query_string={"q": words + "!"}).text
    assert "<script>alert" not in page.text


def test_search_forgives_case_and_accents(client, post, fields):
    post("/sightings/new", **{**fields, "observer": "Tomasz Wójcik"})
    assert "1 sighting<" in client.get("/?q=WOJCIK").text


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", 3),
        ("kind=bird", 2),
        ("kind=bird&q=wren", 1),
        ("since=2026-01-02", 2),
        ("until=2026-01-02", 2),
        ("since=2026-01-02&until=2026-01-02", 1),
        ("_external=1&_scheme=ftp&_anchor=x&endpoint=y", 3),
    ],
)
def test_filters(client, post, fields, query, found):
    for number, (species, kind) in enumerate(
        [("Wren", "bird"), ("Robin", "bird"), ("Ivy", "plant")], start=1
    ):
        change = {"species": species, "kind": kind, "seen_on": f"2026-01-0{number}"}
        post("/sightings/new", **{**fields, **change})
    page = client.get(f"/?{query}")
    assert page.status_code == 200
    assert page.text.count('class="entry ') == found
    assert len(client.get(f"/export.csv?{query}").text.splitlines()) == found + 1


@pytest.mark.parametrize(
    "query",
    ["page=0", "page=x", f"page={'9' * 99}", "kind=dragon", "since=yesterday", "q=%00"],
)
@pytest.mark.parametrize("path", ["/", "/species", "/export.csv"])
def test_a_filter_nobody_offers(client, path, query):
    page = client.get(f"{path}?{query}")
    assert page.status_code == 400
    assert "This address cannot be used." in page.text


def test_the_list_has_pages(app, client, post, fields):
    with app.app_context():
        notebook.add_many({**fields, "count": n} for n in range(1, 24))
    first, second = client.get("/").text, client.get("/?page=2").text
    assert "Page 1 of 2" in first
    assert 'rel="next"' in first
    assert 'rel="prev"' not in first
    assert second.count('class="entry ') == 3
    assert 'rel="prev"' in second
    assert client.get("/?page=3").status_code == 404
    post("/settings", name="", theme="auto", per_page="50")
    assert client.get("/").text.count('class="entry ') == 23


def test_the_species_list(client, sighting):
    assert "Kingfisher" in client.get("/species").text
    assert "Kingfisher" in client.get("/species?kind=bird").text
    assert "Kingfisher" not in client.get("/species?kind=plant").text


def test_the_export_is_streamed(app, client, fields):
    with app.app_context():
        notebook.add_many({**fields, "count": n} for n in range(1, 5001))
    answer = client.get("/export.csv", buffered=False)
    assert answer.is_streamed
    assert answer.mimetype == "text/csv"
    assert "hedgerow.csv" in answer.headers["Content-Disposition"]
    first = b"".join(islice(answer.iter_encoded(), 2)).decode()
    assert first.startswith("id,species,kind,count,")
    assert "5000,Kingfisher,bird,5000,2026-01-31,Weir Bridge" in first
    assert len(list(answer.iter_encoded())) == 4999
    answer.close()


def test_the_export_holds_no_formulas(client, post, fields):
    note = '=HYPERLINK("http://example.com")\nnext line'
    post("/sightings/new", **{**fields, "species": "@wren", "note": note})
    [row] = csv.DictReader(io.StringIO(client.get("/export.csv").text, newline=""))
    assert row["species"] == "'@wren"
    assert row["note"] == f"'{note}"
    assert row["count"] == "2"


def test_settings_are_kept_in_the_session(client, post):
    page = post("/settings", name="Amir", theme="dark", per_page="10")
    assert "Your settings are kept." in page.text
    assert 'data-theme="dark"' in page.text
    assert "You write as <strong>Amir</strong>" in page.text
    assert 'value="Amir"' in client.get("/sightings/new").text


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", "x" * 61), ("theme", "pink"), ("theme", ""), ("per_page", "1000")],
)
def test_wrong_settings(client, post, field, value):
    fields = {"name": "Joan", "theme": "dark", "per_page": "10", field: value}
    page = post("/settings", **fields)
    assert page.status_code == 422
    assert f'id="{field}-error"' in page.text
    assert 'data-theme="auto"' in client.get("/").text


def test_the_theme_returns_to_its_page(post):
    page = post("/theme", theme="dark", back="/species?kind=bird")
    assert page.request.full_path == "/species?kind=bird"
    assert 'data-theme="dark"' in page.text


@pytest.mark.parametrize(
    "back",
    [
        "",
        "//example.com",
        "/\\example.com",
        "/\t/example.com",
        "https://example.com",
        "////example.com",
        "javascript:alert(1)",
        "http://[",
    ],
)
def test_the_theme_leads_nowhere_else(client, back):
    with client.session_transaction() as session:
        session["csrf"] = "right"
    fields = {"csrf_token": "right", "theme": "dark", "back": back}
    assert client.post("/theme", data=fields).headers["Location"] == "/"


def test_a_wrong_theme(post):
    assert post("/theme", theme="pink").status_code == 400


@pytest.mark.parametrize(
    "path",
    [
        "/sightings/new",
        "/sightings/1/edit",
        "/sightings/1/delete",
        "/sightings/1/attachments",
        "/attachments/x.png/delete",
        "/settings",
        "/theme",
        "/talk",
        "/talk/bird",
    ],
)
@pytest.mark.parametrize("token", [None, "", "wrong", "rïght"])
@pytest.mark.parametrize("known", [None, "right"])
def test_no_form_without_its_token(client, fields, sighting, path, token, known):
    if known:
        with client.session_transaction() as session:
            session["csrf"] = known
    fields |= {"theme": "dark", "per_page": "10"}
    if token is not None:
        fields["csrf_token"] = token
    page = client.post(path, data=fields)
    assert page.status_code == 400
    assert "too old, or not from here" in page.text
    assert client.get("/api/sightings").get_json()["items"] == [sighting]


def test_the_token_in_the_page_is_the_right_one(client, fields):
    form = client.get("/sightings/new").text
    token = form.partition('name="csrf_token" value="')[2].partition('"')[0]
    page = client.post("/sightings/new", data={**fields, "csrf_token": token})
    assert page.status_code == 302


@pytest.mark.parametrize(
    ("method", "path", "status", "heading"),
    [
        ("GET", "/nowhere", 404, "Nothing grows here"),
        ("GET", "/sightings/7", 404, "Nothing grows here"),
        ("GET", f"/sightings/{'9' * 30}", 404, "Nothing grows here"),
        ("GET", "/sightings/1 OR 1=1", 404, "Nothing grows here"),
        ("GET", "/sightings/7/edit", 404, "Nothing grows here"),
        ("PUT", "/species", 405, "Not that way in"),
        ("GET", "/theme", 405, "Not that way in"),
        ("POST", "/settings", 400, "That did not make sense"),
    ],
)
def test_errors_are_pages_of_the_site(client, method, path, status, heading):
    page = client.open(path, method=method)
    assert page.status_code == status
    assert f"<h1>{heading}</h1>" in page.text
    assert page.mimetype == "text/html"
    assert ("Allow" in page.headers) == (status == 405)


def test_too_much_is_a_page_too(app, post, fields):
    app.config["MAX_CONTENT_LENGTH"] = 1000
    page = post("/sightings/new", **{**fields, "note": "x" * 1000})
    assert page.status_code == 413
    assert "<h1>Too heavy for the notebook</h1>" in page.text


def test_a_broken_view_is_a_page_too(app, client, monkeypatch):
    app.config["PROPAGATE_EXCEPTIONS"] = False
    monkeypatch.setattr(notebook, "places", lambda: 1 / 0)
    page = client.get("/sightings/new")
    assert page.status_code == 500
    assert "<h1>A branch broke</h1>" in page.text
    assert "division" not in page.text


def test_any_other_error_has_its_name(app, client):
    app.add_url_rule("/teapot", view_func=lambda: abort(418))
    assert "<h1>I&#39;m a teapot</h1>" in client.get("/teapot").text


@pytest.mark.parametrize(
    "path", ["/", "/nowhere", "/api/sightings", "/static/style.css"]
)
def test_security_headers(client, path):
    headers = client.get(path, buffered=True).headers
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
