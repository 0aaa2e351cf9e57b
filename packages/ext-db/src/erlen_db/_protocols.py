"""The contract that low modules name instead of `SQLAlchemy`, which is above them."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    import collections.abc as cabc

    import sqlalchemy as sa
    from sqlalchemy import orm


class Database(t.Protocol):
    """What models, tables and sessions need of the extension."""

    Table: t.Any
    session: orm.scoped_session[t.Any]
    metadatas: dict[str | None, sa.MetaData]

    @property
    def engines(self) -> cabc.Mapping[str | None, sa.Engine]:
        """The engines of the current application by bind key."""
        ...

    def _make_metadata(self, bind_key: str | None) -> sa.MetaData: ...
