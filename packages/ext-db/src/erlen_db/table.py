"""`db.Table`: a table that goes into the metadata of its bind key."""

from __future__ import annotations

import typing as t

import sqlalchemy as sa

if t.TYPE_CHECKING:
    from sqlalchemy.schema import SchemaItem

    from ._protocols import Database

__all__ = ["_Table"]


class _Table(sa.Table):
    """A table of the extension; `db.Table` is a subclass that knows its `db`.

    The metadata is optional: it is the one of `bind_key`, or the default one.
    """

    #: The extension; set by it in a subclass of its own.
    __fsa__: t.ClassVar[Database]

    @t.overload
    def __init__(
        self,
        name: str,
        *args: SchemaItem,
        bind_key: str | None = None,
        **kwargs: t.Any,
    ) -> None: ...

    @t.overload
    def __init__(
        self,
        name: str,
        metadata: sa.MetaData,
        *args: SchemaItem,
        **kwargs: t.Any,
    ) -> None: ...

    def __init__(self, name: str, *args: t.Any, **kwargs: t.Any) -> None:
        super().__init__(name, *args, **kwargs)

    def __new__(cls, *args: t.Any, **kwargs: t.Any) -> t.Self:
        """Make the table, or return the one of this name."""
        has_metadata = len(args) >= 2 and isinstance(args[1], sa.MetaData)
        if args and not has_metadata and hasattr(cls, "__fsa__"):
            metadata = cls.__fsa__._make_metadata(kwargs.pop("bind_key", None))
            args = (args[0], metadata, *args[1:])
        table: t.Self = super().__new__(cls, *args, **kwargs)
        return table
