"""The names of SQLAlchemy that `db` has: `db.select`, `db.Column`, `db.String`.

Those that almost every application uses are written down, so that type checkers
know them and looking them up is quick; `SQLAlchemy.__getattr__` finds the rest.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import orm


class Names:
    """What `db` takes from `sqlalchemy` and `sqlalchemy.orm`."""

    # --- tables
    CheckConstraint = sa.CheckConstraint
    Column = sa.Column
    Computed = sa.Computed
    ForeignKey = sa.ForeignKey
    ForeignKeyConstraint = sa.ForeignKeyConstraint
    Identity = sa.Identity
    Index = sa.Index
    MetaData = sa.MetaData
    PrimaryKeyConstraint = sa.PrimaryKeyConstraint
    Sequence = sa.Sequence
    UniqueConstraint = sa.UniqueConstraint

    # --- types
    ARRAY = sa.ARRAY
    BigInteger = sa.BigInteger
    Boolean = sa.Boolean
    Date = sa.Date
    DateTime = sa.DateTime
    Enum = sa.Enum
    Float = sa.Float
    Integer = sa.Integer
    Interval = sa.Interval
    JSON = sa.JSON
    LargeBinary = sa.LargeBinary
    Numeric = sa.Numeric
    SmallInteger = sa.SmallInteger
    String = sa.String
    Text = sa.Text
    Time = sa.Time
    TypeDecorator = sa.TypeDecorator
    Unicode = sa.Unicode
    UnicodeText = sa.UnicodeText
    Uuid = sa.Uuid

    # --- statements
    and_ = staticmethod(sa.and_)
    asc = staticmethod(sa.asc)
    bindparam = staticmethod(sa.bindparam)
    case = staticmethod(sa.case)
    cast = staticmethod(sa.cast)
    delete = staticmethod(sa.delete)
    desc = staticmethod(sa.desc)
    distinct = staticmethod(sa.distinct)
    exists = staticmethod(sa.exists)
    false = staticmethod(sa.false)
    func = sa.func
    insert = staticmethod(sa.insert)
    inspect = staticmethod(sa.inspect)
    literal = staticmethod(sa.literal)
    not_ = staticmethod(sa.not_)
    null = staticmethod(sa.null)
    or_ = staticmethod(sa.or_)
    select = staticmethod(sa.select)
    text = staticmethod(sa.text)
    true = staticmethod(sa.true)
    tuple_ = staticmethod(sa.tuple_)
    union = staticmethod(sa.union)
    union_all = staticmethod(sa.union_all)
    update = staticmethod(sa.update)

    # --- mapping and loading
    Mapped = orm.Mapped
    aliased = staticmethod(orm.aliased)
    backref = staticmethod(orm.backref)
    column_property = staticmethod(orm.column_property)
    composite = staticmethod(orm.composite)
    contains_eager = staticmethod(orm.contains_eager)
    declared_attr = orm.declared_attr
    defer = staticmethod(orm.defer)
    deferred = staticmethod(orm.deferred)
    joinedload = staticmethod(orm.joinedload)
    load_only = staticmethod(orm.load_only)
    mapped_column = staticmethod(orm.mapped_column)
    raiseload = staticmethod(orm.raiseload)
    selectinload = staticmethod(orm.selectinload)
    subqueryload = staticmethod(orm.subqueryload)
    synonym = staticmethod(orm.synonym)
    undefer = staticmethod(orm.undefer)
    validates = staticmethod(orm.validates)
    with_loader_criteria = staticmethod(orm.with_loader_criteria)
