"""The limit: the driver itself in a callable written by hand."""

from __future__ import annotations

import sqlite3
import typing as t
from html import escape

from benchmarks.db.databases import ADDED
from benchmarks.db.databases import PRAGMAS
from benchmarks.db.peers import handwritten
from benchmarks.db.scenarios import TWENTY

if t.TYPE_CHECKING:
    import contextlib
    from wsgiref.types import WSGIApplication

    from benchmarks.db.databases import Database

_HEAD = (
    "<!doctype html>\n<html>\n<head><title>Fortunes</title></head>\n<body>\n<table>\n"
    "<tr><th>id</th><th>message</th></tr>\n"
)


def build(database: Database, closing: contextlib.ExitStack) -> WSGIApplication:
    """Build the application."""
    if database.kind == "sqlite":
        connection = sqlite3.connect(database.path, isolation_level=None)
        for pragma in PRAGMAS:
            connection.execute(pragma)
        closing.callback(connection.close)
        return handwritten.application(_Answers(connection, "?"))
    import psycopg

    server = psycopg.connect(database.dsn, autocommit=True)
    closing.callback(server.close)
    return handwritten.application(_Answers(server, "%s"))


class _Answers:
    def __init__(self, connection: t.Any, mark: str) -> None:
        self._execute = connection.execute
        self._world = f"SELECT id, number FROM world WHERE id = {mark}"
        self._worlds = (
            f"SELECT id, number FROM world WHERE id >= {mark} AND id < {mark}"
            " ORDER BY id"
        )
        self._insert = f"INSERT INTO entry (number) VALUES ({mark})"
        self._counter = f"SELECT id FROM counter WHERE id = {mark}"
        self._update = f"UPDATE counter SET number = {mark} WHERE id = {mark}"

    def worlds(self, key: int) -> dict[str, int]:
        row = self._execute(self._world, (key,)).fetchone()
        return {"id": row[0], "number": row[1]}

    def each(self, start: int) -> handwritten.Rows:
        return [self.worlds(start + step) for step in range(TWENTY)]

    def together(self, start: int) -> handwritten.Rows:
        found = self._execute(self._worlds, (start, start + TWENTY))
        return [{"id": key, "number": number} for key, number in found]

    def fortunes(self) -> str:
        rows = self._execute("SELECT id, message FROM fortune").fetchall()
        rows.append((0, ADDED))
        rows.sort(key=lambda row: row[1])
        lines = "".join(
            f"<tr><td>{key}</td><td>{escape(message)}</td></tr>\n"
            for key, message in rows
        )
        return f"{_HEAD}{lines}</table>\n</body>\n</html>"

    def entries(self, number: int) -> dict[str, int]:
        self._execute(self._insert, (number,))
        return {"number": number}

    def counters(self, key: int, number: int) -> dict[str, int]:
        self._execute("BEGIN IMMEDIATE")
        row = self._execute(self._counter, (key,)).fetchone()
        self._execute(self._update, (number, key))
        self._execute("COMMIT")
        return {"id": row[0], "number": number}
