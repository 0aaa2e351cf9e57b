"""An application with an audit trail for each test."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from erlen import Erlen

# In a repository of its own the extension is installed, and its top conftest.py says
# pytest_plugins = ["erlen.pytest_plugin"] instead of importing the fixtures.
from erlen.pytest_plugin import client as client
from erlen.pytest_plugin import runner as runner

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from acme_audit import Audit
from acme_audit import Trail


@pytest.fixture
def audit() -> Audit:
    return Audit()


@pytest.fixture
def app(audit: Audit, tmp_path: Path) -> Erlen:
    return make_app(audit, tmp_path)


@pytest.fixture
def trail(app: Erlen) -> Trail:
    return app.extensions["acme-audit"]


@pytest.fixture
def other(audit: Audit, tmp_path: Path) -> Erlen:
    """Return a second application of the same extension."""
    (tmp_path / "other").mkdir()
    return make_app(audit, tmp_path / "other")


def make_app(audit: Audit, folder: Path) -> Erlen:
    app = Erlen("shop", instance_path=str(folder), root_path=str(folder))
    app.config.update(
        TESTING=True, SECRET_KEY="a key for tests only", AUDIT_FILE="audit.jsonl"
    )
    audit.init_app(app)
    return app
