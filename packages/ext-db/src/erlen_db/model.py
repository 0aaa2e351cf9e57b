"""What models are made of: table names, bind keys, `Model.query` and a repr.

The mixins are for declarative bases of SQLAlchemy 2, the metaclasses for those
of `declarative_base()`. Which of them `db.Model` has is decided at the end.
"""

from __future__ import annotations

import re
import typing as t

import sqlalchemy as sa
from sqlalchemy import orm

from .query import Query

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from ._protocols import Database

__all__ = [
    "BindMetaMixin",
    "BindMixin",
    "DefaultMeta",
    "DefaultMetaNoName",
    "Model",
    "NameMetaMixin",
    "NameMixin",
    "camel_to_snake_case",
    "should_set_tablename",
]

_WORD_STARTS = re.compile(r"(?<=[a-z\d])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


class _QueryProperty:
    """The query of a model class, in the session of the current context."""

    def __get__(self, obj: Model | None, cls: type[Model]) -> Query[t.Any]:
        return cls.query_class(cls, session=cls.__fsa__.session())


class Model:
    """What `db.Model` adds to a declarative base.

    Derive from it, and give yours to `SQLAlchemy(model_class=...)`, to add
    methods to all models.
    """

    #: The extension; set by it in `db.Model`.
    __fsa__: t.ClassVar[Database]

    #: The class of `Model.query`.
    query_class: t.ClassVar[type[Query[t.Any]]] = Query

    #: A query for the model. It is legacy in SQLAlchemy: write `db.select(Model)`.
    query: t.ClassVar[Query[t.Any]] = t.cast("Query[t.Any]", _QueryProperty())

    def __repr__(self) -> str:
        state: t.Any = sa.inspect(self)
        if state.transient:
            key = f"(transient {id(self)})"
        elif state.pending:
            key = f"(pending {id(self)})"
        else:
            key = ", ".join(map(str, state.identity))
        return f"<{type(self).__name__} {key}>"


def camel_to_snake_case(name: str) -> str:
    """Convert `"CamelCase"` to `"camel_case"`, and `"HTTPServer"` to `"http_server"`."""
    return _WORD_STARTS.sub("_", name).lower()


def _is_declarative_base(cls: type) -> bool:
    """Tell whether a class is a base itself: nobody above it maps classes."""
    if any(
        it in cls.__bases__ for it in (orm.DeclarativeBase, orm.DeclarativeBaseNoMeta)
    ):
        return True
    return not any(hasattr(it, "registry") for it in cls.__mro__[1:])


def should_set_tablename(cls: type) -> bool:
    """Tell whether a model gets a table name made from its own name.

    It does not where it is abstract or a declarative base, where it has
    `__table__`, and where it or a mixin has `__tablename__`. A class that turns
    out to have no primary key of its own below another model shares the table
    of that, and loses the name again.

    Args:
        cls: The class, which is not mapped yet.
    """
    if cls.__dict__.get("__abstract__") or _is_declarative_base(cls):
        return False
    for it in cls.__mro__:
        names = it.__dict__
        if "__table__" not in names and "__tablename__" not in names:
            continue
        if it is cls:
            return False
        if not isinstance(names.get("__tablename__", ""), str):
            return False  # a function, which is called for each class
        # Another model's name is its own; that of a mixin or an abstract one is ours.
        return "__mapper__" in names
    return True


def _own_key(args: cabc.Iterable[t.Any]) -> bool:
    """Tell whether columns and constraints make a primary key."""
    return any(
        isinstance(it, sa.PrimaryKeyConstraint)
        or (isinstance(it, sa.Column) and it.primary_key)
        for it in args
    )


def _make_table(
    cls: type, make: t.Callable[..., sa.Table], *args: t.Any, **kwargs: t.Any
) -> sa.Table | None:
    """Make the table of a model, or none where it shares that of another one."""
    schema = kwargs.get("schema")
    name, metadata = args[0], args[1]
    if (name if schema is None else f"{schema}.{name}") in metadata.tables:
        return make(*args, **kwargs)  # which takes `extend_existing`, or refuses
    parents = (it for it in cls.__mro__[1:] if "__table__" in it.__dict__)
    if not _own_key(args) and next(parents, None) is not None:
        return None
    return make(*args, **kwargs)


def _name_table(cls: t.Any) -> None:
    if should_set_tablename(cls):
        cls.__tablename__ = camel_to_snake_case(cls.__name__)


def _forget_table(cls: t.Any) -> None:
    """Take away the name of a class that shares the table of another one."""
    if "__table__" in cls.__dict__ and cls.__dict__["__table__"] is None:
        del cls.__table__
        del cls.__tablename__


def _bind_metadata(cls: t.Any) -> None:
    """Give a model the metadata of its bind key, if it has one of its own."""
    if "__bind_key__" not in cls.__dict__ and "metadata" in cls.__dict__:
        return
    bind_key = getattr(cls, "__bind_key__", None)
    db: Database | None = getattr(cls, "__fsa__", None)
    parent = getattr(cls, "metadata", None)
    has_table = getattr(cls, "__table__", None) is not None
    if (
        db is None
        or parent is None
        or ("__bind_key__" not in cls.__dict__ and has_table)
    ):
        return
    metadata = db._make_metadata(bind_key)
    if metadata is not parent:
        cls.metadata = metadata


class BindMixin:
    """Puts a model with `__bind_key__` into the metadata of that key."""

    @classmethod
    def __init_subclass__(cls: t.Any, **kwargs: t.Any) -> None:
        _bind_metadata(cls)
        super().__init_subclass__(**kwargs)


class NameMixin:
    """Gives a model without `__tablename__` one that is made from its own name."""

    @classmethod
    def __init_subclass__(cls: t.Any, **kwargs: t.Any) -> None:
        _name_table(cls)
        super().__init_subclass__(**kwargs)
        _forget_table(cls)

    @classmethod
    def __table_cls__(cls, *args: t.Any, **kwargs: t.Any) -> sa.Table | None:
        """Make the table, which SQLAlchemy asks for while it maps the class."""
        make = getattr(getattr(cls, "__fsa__", None), "Table", sa.Table)
        return _make_table(cls, make, *args, **kwargs)


class BindMetaMixin(type):
    """Puts a model with `__bind_key__` into the metadata of that key."""

    def __init__(
        cls, name: str, bases: tuple[type, ...], d: dict[str, t.Any], **kwargs: t.Any
    ) -> None:
        _bind_metadata(cls)
        super().__init__(name, bases, d, **kwargs)


class NameMetaMixin(type):
    """Gives a model without `__tablename__` one that is made from its own name."""

    def __init__(
        cls, name: str, bases: tuple[type, ...], d: dict[str, t.Any], **kwargs: t.Any
    ) -> None:
        _name_table(cls)
        super().__init__(name, bases, d, **kwargs)
        _forget_table(cls)

    def __table_cls__(cls, *args: t.Any, **kwargs: t.Any) -> sa.Table | None:
        """Make the table, which SQLAlchemy asks for while it maps the class."""
        make = getattr(getattr(cls, "__fsa__", None), "Table", sa.Table)
        return _make_table(cls, make, *args, **kwargs)


class DefaultMeta(BindMetaMixin, NameMetaMixin, orm.DeclarativeMeta):
    """The metaclass of the default `db.Model`."""


class DefaultMetaNoName(BindMetaMixin, orm.DeclarativeMeta):
    """The metaclass of the default `db.Model` with `disable_autonaming`."""
