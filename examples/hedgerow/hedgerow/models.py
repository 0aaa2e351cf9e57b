"""The tables. What changes here needs a migration: `erlen db migrate -m "what"`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column

from erlen_db.session import Session

from .db import db
from .db import fold

# A number is never given again: pages ask for what came after one.
NEVER_AGAIN = {"sqlite_autoincrement": True}


def now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


class Sighting(db.Model):
    __tablename__ = "sightings"
    __table_args__ = (
        db.CheckConstraint("count > 0", name="count"),
        db.Index("sightings_by_day", "seen_on", "id"),
        NEVER_AGAIN,
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    species: Mapped[str]
    kind: Mapped[str]
    place: Mapped[str]
    seen_on: Mapped[str]  # YYYY-MM-DD
    count: Mapped[int]
    note: Mapped[str] = mapped_column(db.Text)
    observer: Mapped[str]
    written_at: Mapped[str] = mapped_column(default=now)
    # All its words, for searching.
    folded: Mapped[str] = mapped_column(db.Text, deferred=True, server_default="")

    attachments: Mapped[list[Attachment]] = db.relationship(
        order_by="Attachment.id",
        passive_deletes="all",  # the database deletes them with their sighting
    )

    @property
    def picture(self) -> str | None:
        """The file of its first picture."""
        files = (it for it in self.attachments if it.media_type.startswith("image/"))
        return next((file.name for file in files), None)


@db.event.listens_for(Sighting, "before_insert")
@db.event.listens_for(Sighting, "before_update")
def keep_folded(mapper: Any, connection: Any, it: Sighting) -> None:
    it.folded = fold(f"{it.species} {it.place} {it.observer} {it.note}")


class Attachment(db.Model):
    __tablename__ = "attachments"

    id: Mapped[int] = mapped_column(primary_key=True)
    sighting_id: Mapped[int] = mapped_column(
        db.ForeignKey("sightings.id", ondelete="CASCADE"), index=True
    )
    name: Mapped[str] = mapped_column(unique=True)  # the file in the folder
    title: Mapped[str]  # what the visitor's file was called
    caption: Mapped[str]
    media_type: Mapped[str]
    size: Mapped[int]  # bytes


class Message(db.Model):
    __tablename__ = "messages"
    __table_args__ = (
        db.UniqueConstraint("author", "key"),
        db.Index("messages_by_room", "room", "id"),
        db.Index("messages_by_author", "author", "at"),
        NEVER_AGAIN,
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    room: Mapped[str]
    author: Mapped[str]
    text: Mapped[str] = mapped_column(db.Text)
    key: Mapped[str | None]  # the page's own name for it
    at: Mapped[int]  # seconds since 1970


class Visit(db.Model):
    """One open page of somebody in a room, in any worker."""

    __tablename__ = "visits"

    key: Mapped[str] = mapped_column(primary_key=True)
    room: Mapped[str]
    name: Mapped[str]
    at: Mapped[int]  # when that was last sure


class Pen(db.Model):
    """The one pen of the notebook: who writes down something new holds it."""

    __tablename__ = "pens"

    id: Mapped[int] = mapped_column(primary_key=True)
    fresh: Mapped[bool]  # nobody has written with it


@contextmanager
def the_pen() -> Iterator[Session]:
    """Begin a transaction in which nobody else writes down something new.

    SQLite has one writer anyway; servers have many. Here, too, numbers then come in
    order, so that who asks for what came after one misses nothing.
    """
    with db.transaction() as session:
        session.get_one(Pen, 1, with_for_update=True)
        yield session
