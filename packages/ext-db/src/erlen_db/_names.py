"""The names of SQLAlchemy that `db` has: `db.select`, `db.Column`, `db.String`.

`SQLAlchemy.__getattr__` finds them. Those that almost every application uses are
written down for type checkers.
"""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    import sqlalchemy as sa
    from sqlalchemy import orm


class Names:
    """What `db` takes from `sqlalchemy` and `sqlalchemy.orm`."""

    if t.TYPE_CHECKING:
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
        func = sa.func

        # --- mapping and loading
        Mapped = orm.Mapped
        declared_attr = orm.declared_attr

        # Not of the class: functions would lose all overloads but the first.
        def _statements(self) -> None:
            self.and_ = sa.and_
            self.asc = sa.asc
            self.bindparam = sa.bindparam
            self.case = sa.case
            self.cast = sa.cast
            self.delete = sa.delete
            self.desc = sa.desc
            self.distinct = sa.distinct
            self.exists = sa.exists
            self.false = sa.false
            self.insert = sa.insert
            self.inspect = sa.inspect
            self.literal = sa.literal
            self.not_ = sa.not_
            self.null = sa.null
            self.or_ = sa.or_
            self.select = sa.select
            self.text = sa.text
            self.true = sa.true
            self.tuple_ = sa.tuple_
            self.union = sa.union
            self.union_all = sa.union_all
            self.update = sa.update

        def _mapping(self) -> None:
            self.aliased = orm.aliased
            self.backref = orm.backref
            self.column_property = orm.column_property
            self.composite = orm.composite
            self.contains_eager = orm.contains_eager
            self.defer = orm.defer
            self.deferred = orm.deferred
            self.joinedload = orm.joinedload
            self.load_only = orm.load_only
            self.mapped_column = orm.mapped_column
            self.raiseload = orm.raiseload
            self.selectinload = orm.selectinload
            self.subqueryload = orm.subqueryload
            self.synonym = orm.synonym
            self.undefer = orm.undefer
            self.validates = orm.validates
            self.with_loader_criteria = orm.with_loader_criteria
