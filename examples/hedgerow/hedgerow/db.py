"""The notebook's SQLite file: one connection for each application context."""

from __future__ import annotations

import sqlite3
import unicodedata

from erlen import Erlen
from erlen import current_app
from erlen import g


def init_app(app: Erlen) -> None:
    """Create what the schema lacks, and close each connection with its context."""
    app.teardown_appcontext(_close)
    with app.app_context(), app.open_resource("schema.sql") as schema:
        get_db().executescript(schema.read().decode())


def get_db() -> sqlite3.Connection:
    """Return the connection of this application context, opened on first use."""
    if "db" not in g:
        # A streamed answer may be sent by another thread than the view's.
        g.db = sqlite3.connect(current_app.config["DATABASE"], check_same_thread=False)
        g.db.row_factory = sqlite3.Row
        g.db.execute("PRAGMA foreign_keys = ON")
        g.db.create_function("fold", 1, fold, deterministic=True)
    return g.db


def fold(text: str) -> str:
    """Return `text` for searching: without case and accents."""
    letters = unicodedata.normalize("NFKD", text.casefold())
    return "".join(char for char in letters if not unicodedata.combining(char))


def _close(exc: BaseException | None) -> None:
    if "db" in g:
        g.pop("db").close()
