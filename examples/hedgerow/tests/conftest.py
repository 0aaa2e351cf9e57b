"""An empty notebook for each test, and a client that knows the form token."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy import event

from erlen import Erlen
from erlen.testing import ErlenClient

# The example is no installed package: it is imported from the folder above.
sys.path.insert(0, str(Path(__file__).parents[1]))

from hedgerow import create_app


@pytest.fixture(scope="session")
def engines():
    """The databases of all applications that tests make."""
    engines: set[Engine] = set()

    def note(connection):
        engines.add(connection.engine)

    event.listen(Engine, "engine_connect", note)
    yield engines
    event.remove(Engine, "engine_connect", note)
    for engine in engines:
        engine.dispose()


@pytest.fixture(autouse=True)
def no_connection_is_left(engines):
    before = engines.copy()
    yield
    for engine in engines - before:
        for _ in range(500):
            if not engine.pool.checkedout():
                break
            time.sleep(0.01)  # a reader who has left may look once more
        assert engine.pool.checkedout() == 0
        engine.dispose()


@pytest.fixture
def app(tmp_path: Path) -> Erlen:
    return create_app({"TESTING": True, "DEMO_DATA": False}, str(tmp_path))


@pytest.fixture
def client(app: Erlen) -> ErlenClient:
    return app.test_client()


@pytest.fixture
def post(client: ErlenClient) -> Callable[..., Any]:
    """Post a form with the right token and follow to where it leads."""

    def post(path: str, **fields: Any) -> Any:
        with client.session_transaction() as session:
            session["csrf"] = "right"
        fields = {"csrf_token": "right", **fields}
        return client.post(path, data=fields, follow_redirects=True)

    return post


@pytest.fixture
def fields() -> dict[str, str]:
    """What a visitor writes into the form."""
    return {
        "species": "Kingfisher",
        "kind": "bird",
        "count": "2",
        "seen_on": "2026-01-31",
        "place": "Weir Bridge",
        "observer": "Nell Hartley",
        "note": "A blue line drawn under the bridge.",
    }


@pytest.fixture
def sighting(client: ErlenClient, fields: dict[str, str]) -> dict[str, Any]:
    """One sighting in the notebook, as the API tells it."""
    return client.post("/api/sightings", json=fields).get_json()
