"""The database: migrations, notebooks from before them, connections and servers."""

from __future__ import annotations

import os
import secrets
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from contextlib import suppress
from pathlib import Path

import pytest
from hedgerow import create_app
from hedgerow import messages
from hedgerow import notebook
from hedgerow.checks import CheckError
from hedgerow.db import db
from sqlalchemy import create_engine
from sqlalchemy import exc
from sqlalchemy import make_url
from sqlalchemy import text

from erlen.cli import cli
from erlen_db.testing import assert_queries
from erlen_db.testing import check_migrations

HERE = Path(__file__).parent
SERVERS = {
    "postgresql": "postgresql+psycopg://postgres@127.0.0.1:5432/test",
    "mariadb": "mysql+pymysql://root@127.0.0.1:3306/test",
}


def total(app, query=""):
    answer = app.test_client().get(f"/api/sightings{query}")
    return answer.get_json()["total"]


def start_thrice(folder, **settings):
    """Start the application in three processes at once."""
    code = f"from hedgerow import create_app; create_app(instance_path={str(folder)!r})"
    environ = {"PYTHONPATH": str(HERE.parent), **settings}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env=os.environ | environ,
            stderr=subprocess.PIPE,
        )
        for _ in range(3)
    ]
    for process in processes:
        _, told = process.communicate(timeout=120)
        assert process.returncode == 0, told.decode()


def test_migrations_go_up_and_down(app):
    check_migrations(app)


@pytest.mark.parametrize("command", [["db", "check"], ["check"]])
def test_nothing_is_wrong(app, command):
    answer = app.test_cli_runner().invoke(cli, command)
    assert answer.exit_code == 0, answer.output
    assert "No problems found." in answer.output


@pytest.fixture
def old_folder(tmp_path):
    """The folder of a notebook that was made without migrations."""
    sighting = ("bird", "Weir Bridge", "2026-01-31", 2, "Blue.", "Tomasz Wójcik", "W")
    with closing(sqlite3.connect(tmp_path / "notebook.db")) as file, file:
        file.executescript((HERE / "old_notebook.sql").read_text())
        file.executemany(
            "INSERT INTO sightings VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(number, f"Wren {number}", *sighting) for number in (1, 2, 3)],
        )
        file.execute("DELETE FROM sightings WHERE id = 3")
        file.execute(
            "INSERT INTO attachments VALUES (7, 2, 'a.png', 'b.png', '', 'image/png', 9)"
        )
        file.execute("INSERT INTO messages VALUES (5, 'bird', 'Nell', 'Hm', 'key', 0)")
        file.execute("PRAGMA user_version = 1")
    return tmp_path


def test_an_old_notebook_is_brought_up_to_date(old_folder, fields):
    app = create_app({"TESTING": True}, str(old_folder))
    client = app.test_client()
    assert client.get("/api/sightings/2").get_json() == {
        "url": "/api/sightings/2",
        "id": 2,
        "species": "Wren 2",
        "kind": "bird",
        "count": 2,
        "seen_on": "2026-01-31",
        "place": "Weir Bridge",
        "observer": "Tomasz Wójcik",
        "note": "Blue.",
        "written_at": "W",
        "attachments": [
            {
                "url": "/attachments/a.png",
                "title": "b.png",
                "caption": "",
                "media_type": "image/png",
                "size": 9,
            }
        ],
    }
    assert total(app, "?q=wojcik") == total(app) == 2  # and no demo data
    assert "Hm" in client.get("/talk/bird").text
    with app.app_context():
        messages.say("bird", "Nell", "Again?", "key")
        assert [it.id for it in messages.latest("bird")] == [5]
        messages.say("bird", "Nell", "It is on.")
        assert [it.id for it in messages.latest("bird")] == [5, 6]
    # A number is never given again.
    assert client.post("/api/sightings", json=fields).get_json()["id"] == 4
    test_nothing_is_wrong(app, ["db", "check"])


def test_an_empty_old_notebook_goes_on(old_folder, fields):
    with closing(sqlite3.connect(old_folder / "notebook.db")) as file, file:
        file.execute("DELETE FROM sightings")
    app = create_app({"TESTING": True}, str(old_folder))
    assert total(app) == 0
    client = app.test_client()
    assert client.post("/api/sightings", json=fields).get_json()["id"] == 4


def test_three_start_at_once(tmp_path):
    start_thrice(tmp_path)
    assert len(list((tmp_path / "attachments").iterdir())) == 6


@pytest.fixture
def many(app, fields):
    """More sightings than are read at once."""
    with app.app_context():
        notebook.add_many({**fields, "count": n} for n in range(1, 1003))


@pytest.mark.parametrize(
    ("path", "chunks"),
    [("/export.csv", 2), ("/api/feed", 1), ("/api/feed?after=0", 2)],
)
def test_readers_keep_no_connection(app, client, many, path, chunks):
    answer = client.get(path, buffered=False)
    sent = answer.iter_encoded()
    for _ in range(chunks):
        next(sent)
    with app.app_context():
        assert db.engine.pool.checkedout() == 0
    answer.close()


def test_the_export_has_all(client, many):
    # What the address says of pages is not for the export.
    lines = client.get("/export.csv?cursor=x&per_page=5&sort=id").text.splitlines()
    counts = [int(line.split(",")[3]) for line in lines[1:]]
    assert counts == list(range(1002, 0, -1))


def test_pictures_are_read_together(app, client, fields):
    with app.app_context():
        notebook.add_many({**fields, "count": n} for n in range(1, 16))
    with assert_queries(5):  # count, page, pictures, hedge, fresh ink
        client.get("/")


@pytest.fixture(params=SERVERS)
def server(request, tmp_path, monkeypatch):
    """An application whose database is a new one of a server."""
    kind = request.param
    url = make_url(os.environ.get(f"{kind.upper()}_URL", SERVERS[kind]))
    name = f"hedgerow_{secrets.token_hex(4)}"
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
    except exc.OperationalError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"no {kind} at {kind.upper()}_URL: {error.orig}")
    address = url.set(database=name).render_as_string(hide_password=False)
    monkeypatch.setenv("ERLEN_SQLALCHEMY_DATABASE_URI", address)
    app = create_app({"TESTING": True, "DEMO_DATA": False}, str(tmp_path))
    yield app
    with app.app_context():
        db.engine.dispose()
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name}"))
    engine.dispose()


@pytest.mark.service
def test_a_tour_on_a_server(server, tmp_path):
    app = server
    assert total(app) == 0
    answer = app.test_cli_runner().invoke(args=["init-db"])
    assert answer.exit_code == 0, answer.output
    again = create_app({"TESTING": True}, str(tmp_path))
    assert total(again) == total(app) > 1000
    with again.app_context():
        db.engine.dispose()
    assert 0 < total(app, "?q=WOJCIK&kind=bird") < total(app)
    client = app.test_client()
    for path in ("/", "/?page=2", "/species", "/talk", "/sightings/1", "/export.csv"):
        assert client.get(path).status_code == 200
    assert client.get("/attachments/x%00.png").status_code == 404
    seven = client.get("/api/sightings/7").get_json()
    changed = client.patch("/api/sightings/7", json={"note": "Ötzi's 100% _wild_"})
    assert changed.get_json().items() < {**seven, "note": "Ötzi's 100% _wild_"}.items()
    assert total(app, "?q=otzi's 100% _W") == 1
    [barn_owl] = client.get("/api/sightings?q=barn+owl&per_page=1").get_json()["items"]
    assert client.get(barn_owl["url"]).get_json()["attachments"]
    assert client.delete(barn_owl["url"]).status_code == 204
    assert len(list(Path(app.config["ATTACHMENTS"]).iterdir())) == 5
    test_nothing_is_wrong(app, ["db", "check"])


@pytest.mark.service
def test_writers_take_turns_on_a_server(server, fields):
    def write(writer):
        with server.app_context():
            for number in range(10):
                notebook.add({**fields, "count": 1 + number})
                with suppress(CheckError):
                    key = f"{writer % 2}-{number}"
                    messages.say("gate", "Nell", "All at once", key)

    def read():
        seen = []
        while len(seen) < 40:
            with server.app_context():
                seen += [it.id for it in notebook.after(max(seen, default=0))]
        return seen

    with ThreadPoolExecutor(5) as threads:
        reader = threads.submit(read)
        list(threads.map(write, range(4)))
        assert len(set(reader.result(timeout=60))) == 40
    with server.app_context():
        assert len(messages.latest("gate")) == messages.PACE


@pytest.mark.service
def test_three_start_at_once_on_a_server(server, tmp_path):
    runner = server.test_cli_runner()
    assert runner.invoke(args=["db", "downgrade", "base"]).exit_code == 0
    start_thrice(tmp_path)
    assert len(list((tmp_path / "attachments").iterdir())) == 6
