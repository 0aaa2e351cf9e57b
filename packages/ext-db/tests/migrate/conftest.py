"""A project with a database in a file, and what runs its commands."""

from __future__ import annotations

import pathlib

import pytest
import sqlalchemy as sa
from sqlalchemy import orm

from erlen_db.migrate import Migrate

LEGACY = pathlib.Path(__file__).parent / "legacy"


class Project:
    """An application in a folder of its own, which is the working directory."""

    def __init__(self, app, db, path):
        self.app, self.db, self.path = app, db, path
        self.runner = app.test_cli_runner()

    def __call__(self, *args, code=0):
        """Run `erlen db` with arguments; return all that it printed."""
        result = self.runner.invoke(args=["db", *args])
        if not isinstance(result.exception, SystemExit | None):
            raise result.exception
        assert result.exit_code == code, result.output
        return result.output

    def add_user(self, **columns):
        """Define a model; what is given adds to its columns."""
        names = {
            "__tablename__": "user",
            "id": orm.mapped_column(sa.Integer, primary_key=True),
            "name": orm.mapped_column(sa.String(80)),
            **columns,
        }
        return type("User", (self.db.Model,), names)

    def versions(self):
        """Return the files of migrations, in the order in which they were made."""
        found = (self.path / "migrations" / "versions").glob("*.py")
        return sorted(found, key=lambda it: it.stat().st_mtime_ns)

    def write(self, revision, follows, upgrade="pass", downgrade="pass", extra=""):
        """Write a migration by hand."""
        path = self.path / "migrations" / "versions" / f"{revision}_.py"
        path.write_text(
            "import sqlalchemy as sa\n"
            "from alembic import op\n"
            f"revision = {revision!r}\n"
            f"down_revision = {follows!r}\n"
            "branch_labels = depends_on = None\n"
            f"{extra}\n"
            f"def upgrade(engine_name=None):\n    {upgrade}\n"
            f"def downgrade(engine_name=None):\n    {downgrade}\n"
        )
        return path

    def tables(self, bind_key=None):
        """Return the names of the tables that a database has."""
        with self.app.app_context():
            return sa.inspect(self.db.get_engine(bind_key)).get_table_names()

    def fetch(self, statement, bind_key=None):
        """Return the rows that a statement finds."""
        with (
            self.app.app_context(),
            self.db.get_engine(bind_key).connect() as connection,
        ):
            return connection.execute(sa.text(statement)).all()

    def legacy(self, kind="single"):
        """Make a folder of migrations as Flask-Migrate's users have it."""
        folder = self.path / "migrations"
        (folder / "versions").mkdir(parents=True)
        for it in (LEGACY / kind).iterdir():
            (folder / it.name.removesuffix(".txt")).write_text(it.read_text())
        return folder


@pytest.fixture
def config():
    """Return settings of the project's application; a test can put others there."""
    return {"SQLALCHEMY_DATABASE_URI": "sqlite:///app.db"}


@pytest.fixture
def options():
    """Return what the project's `Migrate` is given."""
    return {}


@pytest.fixture
def project(app, config, options, tmp_path, monkeypatch):
    """Return a project without migrations."""
    from erlen_db import SQLAlchemy

    monkeypatch.chdir(tmp_path)
    app.config.update(config)
    db = SQLAlchemy(app)
    Migrate(app, db, **options)
    return Project(app, db, tmp_path)
