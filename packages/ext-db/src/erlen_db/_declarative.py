"""How `db.Model` and the metadata are made from what `SQLAlchemy` was given."""

from __future__ import annotations

import typing as t

import sqlalchemy as sa
from sqlalchemy import orm

from .model import BindMixin
from .model import DefaultMeta
from .model import DefaultMetaNoName
from .model import Model
from .model import NameMixin

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from ._protocols import Database

#: Names for all constraints, so that a migration can change or drop each of them.
NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

_BASES = (orm.DeclarativeBase, orm.DeclarativeBaseNoMeta)


def make_metadata(
    metadata: sa.MetaData | None,
    model_class: t.Any,
    naming_convention: bool | cabc.Mapping[str, t.Any],
) -> sa.MetaData:
    """Return the metadata of the default database.

    Args:
        metadata: What was given, if anything was.
        model_class: The base of the models, whose own metadata comes next.
        naming_convention: True for names for all constraints, or a convention.

    Raises:
        ValueError: A naming convention is given beside a metadata that exists.
    """
    own = metadata if metadata is not None else getattr(model_class, "metadata", None)
    convention = NAMING_CONVENTION if naming_convention is True else naming_convention
    if own is None:
        own = sa.MetaData(naming_convention=dict(convention) if convention else None)
    elif convention and own is not metadata and _is_untouched(own):
        own.naming_convention = dict(convention)
    elif convention:
        raise ValueError(
            "SQLAlchemy(naming_convention=...) names the constraints of a metadata that"
            " it makes itself, and here there is one already. Give the convention to"
            " that: MetaData(naming_convention=erlen_db.NAMING_CONVENTION)."
        )
    own.info.setdefault("bind_key", None)
    return own


def _is_untouched(metadata: sa.MetaData) -> bool:
    """Say whether a metadata is as a new declarative base has it."""
    convention = sa.MetaData().naming_convention
    return not metadata.tables and metadata.naming_convention == convention


def make_model(
    db: Database, model_class: t.Any, metadata: sa.MetaData, *, autonaming: bool
) -> t.Any:
    """Make `db.Model`.

    Args:
        db: The extension.
        model_class: A plain class, a declarative base, or what
            `declarative_base()` returned.
        metadata: The metadata of the default database.
        autonaming: Whether models without `__tablename__` get one.

    Raises:
        TypeError: It is a model, and no base for models.
    """
    if isinstance(model_class, orm.DeclarativeMeta):
        return _adopt(db, model_class, metadata)
    if not issubclass(model_class, _BASES):
        meta = DefaultMeta if autonaming else DefaultMetaNoName
        base: t.Any = type(model_class.__name__, (model_class,), {"__fsa__": db})
        model = orm.declarative_base(
            metadata=metadata, cls=base, name="Model", metaclass=meta
        )
        model.query_class = _query_class(db, model_class)
        return model
    if not any(base in model_class.__bases__ for base in _BASES):
        raise TypeError(
            f"SQLAlchemy(model_class={model_class.__name__}) is given a model. Give it"
            " the declarative base: the class that derives from DeclarativeBase itself."
        )
    if issubclass(model_class, Model):  # it has our mixins, or does without
        return _adopt(db, model_class, metadata)
    mixins: tuple[type, ...] = (NameMixin, BindMixin) if autonaming else (BindMixin,)
    bases: tuple[t.Any, ...] = (*mixins, Model, model_class)
    body = {
        "__abstract__": True,
        "__module__": model_class.__module__,
        "__fsa__": db,
        "query_class": _query_class(db, model_class),
        "metadata": metadata,
    }
    return t.cast("t.Any", type("Model", bases, body))


def _query_class(db: t.Any, model_class: t.Any) -> t.Any:
    # A class of models may have chosen its own.
    own = getattr(model_class, "query_class", Model.query_class)
    return db.Query if own is Model.query_class else own


def _adopt(db: Database, base: t.Any, metadata: sa.MetaData) -> t.Any:
    """Use a declarative base as it is."""
    base.__fsa__ = db
    if base.metadata is not metadata:
        base.metadata = metadata
    if Model in base.__mro__:
        base.query_class = _query_class(db, base)
    return base
