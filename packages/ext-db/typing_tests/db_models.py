"""The styles of models, and their bases, as users write them."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.orm import DeclarativeBaseNoMeta
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import MappedAsDataclass
from sqlalchemy.orm import mapped_column

from erlen import Erlen
from erlen_db import SQLAlchemy
from erlen_db.model import Model
from erlen_db.query import Query

# --- a base of one's own, and models that derive from it ---------------------------


class Base(DeclarativeBase):
    type_annotation_map: t.ClassVar[dict[t.Any, t.Any]] = {str: sa.String(200)}

    def to_dict(self) -> dict[str, t.Any]:
        return {}


db = SQLAlchemy(model_class=Base)


class Book(Base):
    __tablename__ = "book"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]


class Shelf(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)


# --- dataclasses -------------------------------------------------------------------


class Fields(MappedAsDataclass, DeclarativeBase):
    pass


fields = SQLAlchemy(model_class=Fields)


class Point(Fields):
    __tablename__ = "point"

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    x: Mapped[int]
    y: Mapped[int] = mapped_column(default=0)


class Line(fields.Model):
    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    length: Mapped[int]


class Circle(MappedAsDataclass, db.Model):
    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    radius: Mapped[int]


# --- without a metaclass, and with methods for all models --------------------------


class Plain(DeclarativeBaseNoMeta):
    pass


plain = SQLAlchemy(model_class=Plain, disable_autonaming=True)


class Thing(plain.Model):
    __tablename__ = "thing"

    id: Mapped[int] = mapped_column(primary_key=True)


class Saves(Model):
    def save(self) -> None: ...


saving = SQLAlchemy(model_class=Saves)


class Note(saving.Model):
    id: Mapped[int] = mapped_column(primary_key=True)


# --- an extension of one's own, and one in a function ------------------------------


class OwnSQLAlchemy(SQLAlchemy):
    def vacuum(self) -> int:
        return 0


own = OwnSQLAlchemy()


class Owned(own.Model):
    id: Mapped[int] = mapped_column(primary_key=True)


def test_in_a_function(app: Erlen) -> None:
    local = SQLAlchemy(app)

    class Row(local.Model):
        id: Mapped[int] = mapped_column(primary_key=True)

    t.assert_type(local.session.scalars(local.select(Row)).all(), cabc.Sequence[Row])


# --- what they mean to a type checker ----------------------------------------------


def meanings() -> None:
    t.assert_type(db.session.scalars(sa.select(Book)).all(), cabc.Sequence[Book])
    t.assert_type(db.session.scalars(db.select(Shelf)).all(), cabc.Sequence[Shelf])
    t.assert_type(db.first_or_404(db.select(Shelf)), Shelf)
    for number, title in db.session.execute(db.select(Book.id, Book.title)).tuples():
        t.assert_type(number, int)
        t.assert_type(title, str)
    t.assert_type(Book(title="a").to_dict(), dict[str, t.Any])
    t.assert_type(Point(1, y=2).x, int)
    t.assert_type(Line(length=1).length, int)
    t.assert_type(Circle(radius=1).radius, int)
    t.assert_type(Thing(id=1).id, int)
    t.assert_type(Note(id=1).id, int)
    t.assert_type(own.vacuum(), int)
    t.assert_type(Owned(id=1).id, int)
    t.assert_type(Owned.query, Query[t.Any])
    Point("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Line(1, 2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
