"""The first start, the demo data, the command and the hedge that is drawn."""

from __future__ import annotations

import stat
from datetime import date
from pathlib import Path

import pytest
from hedgerow import create_app
from hedgerow import hedge


@pytest.fixture(scope="module")
def demo_folder(tmp_path_factory):
    """An instance folder after its first start."""
    folder = tmp_path_factory.mktemp("demo")
    create_app({"TESTING": True}, str(folder))
    return folder


def total(app):
    return app.test_client().get("/api/sightings").get_json()["total"]


def test_the_first_start_needs_nothing(demo_folder):
    app = create_app({"TESTING": True}, str(demo_folder))  # the second start
    assert 1000 < total(app) < 3000
    assert len(list(Path(app.config["ATTACHMENTS"]).iterdir())) == 6
    for path in ("/", "/species", "/sightings/new", "/settings", "/sightings/1"):
        assert app.test_client().get(path).status_code == 200


def test_demo_data_comes_once(tmp_path):
    create_app({"DEMO_DATA": False}, str(tmp_path))
    assert total(create_app(instance_path=str(tmp_path))) == 0


def test_the_key_is_made_once_and_private(tmp_path):
    first = create_app({"DEMO_DATA": False}, str(tmp_path))
    again = create_app({"DEMO_DATA": False}, str(tmp_path))
    assert first.secret_key == again.secret_key
    assert len(first.secret_key) == 64
    assert stat.S_IMODE((tmp_path / "secret.key").stat().st_mode) == 0o600


def test_a_key_of_ones_own(tmp_path):
    app = create_app({"SECRET_KEY": "mine", "DEMO_DATA": False}, str(tmp_path))
    assert app.secret_key == "mine"
    assert not (tmp_path / "secret.key").exists()


def test_a_key_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("ERLEN_SECRET_KEY", "theirs")
    app = create_app({"DEMO_DATA": False}, str(tmp_path))
    assert app.secret_key == "theirs"


def test_init_db(app, sighting):
    runner = app.test_cli_runner()
    answer = runner.invoke(args=["init-db"], input="n\n")
    assert "This erases 1 sightings. Go on?" in answer.output
    assert answer.exit_code == 1
    assert total(app) == 1

    assert runner.invoke(args=["init-db"], input="y\n").exit_code == 0
    assert total(app) > 1000
    answer = runner.invoke(args=["init-db", "--yes", "--empty"])
    assert answer.output == "The notebook has 0 sightings.\n"
    assert list(Path(app.config["ATTACHMENTS"]).iterdir()) == []
    assert runner.invoke(args=["init-db", "--empty"]).exit_code == 0


def test_the_hedge_grows_from_the_ground():
    rows = [
        ("2025-02", 0, "bird", 1),
        ("2025-02", 0, "plant", 2),
        ("2026-01", 3, "plant", 1),
    ]
    grown = hedge.grow(rows, date(2026, 1, 15))
    assert [month.first for month in grown.months[::11]] == [
        date(2025, 2, 1),
        date(2026, 1, 1),
    ]
    assert grown.months[0].last == date(2025, 2, 28)
    assert grown.months[0].total == 3
    assert [leaf.kind for leaf in grown.months[0].leaves] == ["plant", "plant", "bird"]
    assert grown.worth == 1
    assert grown.perch == (hedge.STEP // 2, -3 * hedge.RISE)


def test_a_busy_hedge_keeps_its_height():
    grown = hedge.grow([("2026-01", 0, "bird", 10 * hedge.TALLEST)], date(2026, 1, 1))
    assert grown.worth == 10
    assert len(grown.months[-1].leaves) == hedge.TALLEST


def test_a_bare_hedge():
    assert hedge.grow([], date(2026, 1, 1)).perch == (hedge.STEP, 0)
