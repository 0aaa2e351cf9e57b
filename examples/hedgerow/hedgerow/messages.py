"""What is said in the rooms and who is there: all SQL about talk lives here."""

from __future__ import annotations

import time
from collections.abc import Sequence

from .checks import KINDS
from .checks import CheckError
from .checks import optional
from .checks import text
from .db import db
from .db import fold
from .models import Message
from .models import Visit
from .models import the_pen

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


def say(room: str, author: str, words: str, key: str | None = None) -> None:
    """Write down what somebody says, once for each key.

    Raises:
        CheckError: Too much of it in a short time, over all pages of this name.
    """
    now = int(time.time())
    by_author = db.select(db.func.count()).where(Message.author == author)
    with the_pen() as session:
        if key and session.scalar(by_author.where(Message.key == key)):
            return
        if session.scalars(by_author.where(Message.at > now - WHILE)).one() >= PACE:
            told = f"Not so fast: {PACE} messages in {WHILE} seconds are enough."
            raise CheckError({"text": told})
        session.add(Message(room=room, author=author, text=words, key=key, at=now))


def after(room: str, last: int) -> Sequence[Message]:
    """Return what was said after the message `last`, a page of it at most."""
    query = db.select(Message).where(Message.room == room, Message.id > last)
    return db.session.scalars(query.order_by(Message.id).limit(PAGE)).all()


def latest(room: str) -> Sequence[Message]:
    """Return the last page of a room, the oldest message first."""
    query = db.select(Message).where(Message.room == room).order_by(Message.id.desc())
    return db.session.scalars(query.limit(PAGE)).all()[::-1]


def stay(visit: Visit) -> None:
    """Write down that somebody is there, or still is."""
    now = int(time.time())
    with db.transaction() as session:
        session.merge(visit).at = now
        session.execute(db.delete(Visit).where(Visit.at < now - ABSENT))


def leave(visit: Visit) -> None:
    """Strike out a visit."""
    with db.transaction() as session:
        session.execute(db.delete(Visit).where(Visit.key == visit.key))


def people(room: str) -> list[str]:
    """Return the names of those who are in a room."""
    here = Visit.room == room, Visit.at >= int(time.time()) - ABSENT
    names = db.session.scalars(db.select(Visit.name).where(*here).distinct())
    return sorted(names, key=lambda name: (fold(name), name))
