"""Optimistic versioning: who saves an old copy of a row is told, and overwrites nothing."""

from __future__ import annotations

import typing as t

import sqlalchemy as sa
from sqlalchemy import orm

__all__ = ["Versioned"]


class Versioned:
    """A mixin that counts the versions of a row in its column `version`.

    An update or a delete names the version that was read. Where another one is
    there meanwhile, the session raises `EditConflict`, which is a 409. To find
    out across two requests, put the version into the form and compare:

        `if form.version != page.version: raise EditConflict`

    It stands before the base: `class Page(Versioned, db.Model)`.
    """

    if t.TYPE_CHECKING:
        version: orm.Mapped[int]

    def __init_subclass__(cls, **kwargs: t.Any) -> None:
        # Not as an annotated attribute: models that are dataclasses refuse mixins that
        # have those and are none.
        if "__abstract__" not in cls.__dict__ and not orm.has_inherited_table(cls):
            column = orm.mapped_column("version", sa.Integer, nullable=False)
            given: t.Any = cls.__dict__.get("__mapper_args__", {})
            model: t.Any = cls
            model.version = column
            model.__mapper_args__ = {**given, "version_id_col": column}
        super().__init_subclass__(**kwargs)
