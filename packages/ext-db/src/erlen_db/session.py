"""The session: it finds the engine of a model or a table by bind key.

What it raises where two people edit the same row is an answer, too: a 409.
"""

from __future__ import annotations

import typing as t

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy import exc as sa_exc
from sqlalchemy import orm
from sqlalchemy.sql import visitors

from ._sqlite import Given
from ._sqlite import expect
from ._sqlite import has_line
from .errors import EditConflict

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from ._protocols import Database

__all__ = ["Session"]

_CHANGED = "erlen_db.changed"


class Session(orm.Session):
    """A session of SQLAlchemy that knows bind keys.

    Args:
        db: The extension.
        **kwargs: What `sqlalchemy.orm.Session` takes.
    """

    # PERF: looked up once; a list of 20 rows by key would do it 20 times.
    _engines: cabc.Mapping[str | None, sa.Engine] | None = None

    #: The one engine of almost all applications, which needs no search.
    _only: sa.Engine | None = None

    #: The connections that this session has got; None where no engine has a line.
    _given: Given | None = None

    def __init__(self, db: Database, **kwargs: t.Any) -> None:
        super().__init__(**kwargs)
        self._db = db

    def _find_engines(self) -> cabc.Mapping[str | None, sa.Engine]:
        return self._db.engines

    def get_bind(
        self,
        mapper: t.Any | None = None,
        *,
        clause: t.Any | None = None,
        bind: sa.Engine | sa.Connection | None = None,
        **kwargs: t.Any,
    ) -> sa.Engine | sa.Connection:
        """Find the engine by the bind key of what is asked for.

        Args:
            mapper: A model, or its mapper.
            clause: A statement.
            bind: An engine that is given already.
            **kwargs: What SQLAlchemy passes on.

        Raises:
            UnboundExecutionError: There is no engine for the bind key.
        """
        if clause is not None and not getattr(clause, "is_select", True):
            self._note(clause)
        if bind is None:
            bind = self._only or self._find_engine(mapper, clause)
        if bind is None:
            return super().get_bind(mapper, clause=clause, **kwargs)
        given = self._given
        if given is not None and (bind is self._only or has_line(bind)):
            expect(bind, given)
        return bind

    def _find_engine(self, mapper: t.Any, clause: t.Any) -> sa.Engine | None:
        engines = self._engines
        if engines is None:
            engines = self._engines = self._find_engines()
            self._only = engines.get(None) if len(engines) == 1 else None
            if any(map(has_line, engines.values())):
                self._given = {}
        if len(engines) > 1 or None not in engines:
            metadata = _metadata_of(mapper)
            if metadata is None and clause is not None:
                metadata = _metadata_in(clause)
            if metadata is not None:
                return self._engine_for(engines, metadata.info.get("bind_key"))
        return engines.get(None)

    def _note(self, clause: t.Any) -> None:
        """Remember that a statement may have changed something."""
        if isinstance(clause, sa.TextClause):
            reads = clause.text.lstrip()[:6].upper() == "SELECT"
        else:
            reads = not clause.is_dml
        if not reads:
            self.info[_CHANGED] = True

    @staticmethod
    def _engine_for(
        engines: cabc.Mapping[str | None, sa.Engine], bind_key: str | None
    ) -> sa.Engine:
        try:
            return engines[bind_key]
        except KeyError:
            setting = (
                "SQLALCHEMY_DATABASE_URI is not set"
                if bind_key is None
                else f"SQLALCHEMY_BINDS has no key {bind_key!r}"
            )
            raise sa_exc.UnboundExecutionError(
                f"There is no database for the bind key {bind_key!r}: {setting}."
            ) from None

    def flush(self, objects: t.Any = None) -> None:
        """Write what has changed.

        Raises:
            EditConflict: Somebody else has changed or deleted a row since it was read.
        """
        try:
            super().flush(objects)
        except orm.exc.StaleDataError as exc:
            raise EditConflict(*exc.args) from exc

    def has_changes(self) -> bool:
        """Tell whether there is anything that a commit would make permanent.

        What was executed as a statement, such as `db.update(...)`, counts as well.
        """
        return bool(
            self.info.get(_CHANGED) or self.new or self.deleted or self._is_dirty()
        )

    def _is_dirty(self) -> bool:
        return any(self.is_modified(it) for it in self.dirty)


def _metadata_of(mapper: t.Any) -> sa.MetaData | None:
    if mapper is None:
        return None
    try:
        inspected: t.Any = sa.inspect(mapper)
    except sa_exc.NoInspectionAvailable as exc:
        if isinstance(mapper, type):
            raise orm.exc.UnmappedClassError(mapper) from exc
        raise
    return t.cast("sa.MetaData | None", inspected.mapper.local_table.metadata)


def _metadata_in(clause: t.Any) -> sa.MetaData | None:
    """Return the metadata of the first table in a statement."""
    for it in visitors.iterate(clause):
        table = getattr(it, "table", it)  # of an insert, an update or a delete
        if isinstance(table, sa.Table):
            return table.metadata
    return None


@event.listens_for(Session, "after_flush")
def _note_flush(session: orm.Session, context: t.Any) -> None:
    session.info[_CHANGED] = True


@event.listens_for(Session, "after_commit")
@event.listens_for(Session, "after_rollback")
def _note_end(session: orm.Session) -> None:
    session.info.pop(_CHANGED, None)
