"""What is said in the rooms and who is there: all SQL about talk lives here."""

from __future__ import annotations

import secrets
import sqlite3
import time
from dataclasses import dataclass
from dataclasses import field

from .checks import KINDS
from .checks import CheckError
from .checks import optional
from .checks import text
from .db import get_db

ROOMS = {"gate": "The gate", **KINDS}
LONGEST = 500  # characters
NAME = {"name": text(60)}
# A page names each message, and may send it again when it does not know what became
# of the first one.
MESSAGE = {"text": text(LONGEST), "key": optional(text(36), None)}
PAGE = 100
PACE = 5  # messages of one person in
WHILE = 10  # seconds
ABSENT = 45  # seconds after which somebody was there who did not say good-bye


@dataclass(frozen=True)
class Visit:
    """One open page of somebody in a room."""

    room: str
    name: str
    key: str = field(default_factory=secrets.token_hex)


def say(room: str, author: str, words: str, key: str | None = None) -> None:
    """Write down what somebody says, once for each key.

    Raises:
        CheckError: Too much of it in a short time, over all pages of this name.
    """
    with get_db() as db:
        db.execute("BEGIN IMMEDIATE")
        known = "SELECT 1 FROM messages WHERE author = ? AND key = ?"
        if db.execute(known, (author, key)).fetchone():
            return
        now = int(time.time())
        recent = "SELECT count(*) FROM messages WHERE author = ? AND at > ?"
        [(count,)] = db.execute(recent, (author, now - WHILE))
        if count >= PACE:
            told = f"Not so fast: {PACE} messages in {WHILE} seconds are enough."
            raise CheckError({"text": told})
        db.execute(
            """
            INSERT INTO messages (room, author, text, key, at) VALUES (?, ?, ?, ?, ?)
            """,
            (room, author, words, key, now),
        )


def after(room: str, last: int) -> list[sqlite3.Row]:
    """Return what was said after the message `last`, a page of it at most."""
    query = "SELECT * FROM messages WHERE room = ? AND id > ? ORDER BY id LIMIT ?"
    return get_db().execute(query, (room, last, PAGE)).fetchall()


def latest(room: str) -> list[sqlite3.Row]:
    """Return the last page of a room, the oldest message first."""
    query = "SELECT * FROM messages WHERE room = ? ORDER BY id DESC LIMIT ?"
    return get_db().execute(query, (room, PAGE)).fetchall()[::-1]


def stay(visit: Visit) -> None:
    """Write down that somebody is there, or still is."""
    now = int(time.time())
    with get_db() as db:
        db.execute(
            """
            INSERT INTO visits (key, room, name, at) VALUES (?, ?, ?, ?)
            ON CONFLICT (key) DO UPDATE SET at = excluded.at
            """,
            (visit.key, visit.room, visit.name, now),
        )
        db.execute("DELETE FROM visits WHERE at < ?", (now - ABSENT,))


def leave(visit: Visit) -> None:
    """Strike out a visit."""
    with get_db() as db:
        db.execute("DELETE FROM visits WHERE key = ?", (visit.key,))


def people(room: str) -> list[str]:
    """Return the names of those who are in a room."""
    query = """
        SELECT DISTINCT name FROM visits WHERE room = ? AND at >= ? ORDER BY fold(name)
    """
    found = get_db().execute(query, (room, int(time.time()) - ABSENT))
    return [name for (name,) in found]
