from __future__ import annotations

import pytest
import sqlalchemy as sa
from alembic.autogenerate import produce_migrations
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext

from erlen_db.migrate import _drops
from erlen_db.migrate._enums import DropType


@pytest.fixture
def connection():
    engine = sa.create_engine("sqlite://")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def _table(name, *items):
    return lambda metadata: sa.Table(
        name,
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        *(item() for item in items),
    )


def _produce(connection, old, new):
    """Create the old tables, and let Alembic compare them with the new ones."""
    before, after = sa.MetaData(), sa.MetaData()
    for table in old:
        table(before)
    for table in new:
        table(after)
    before.create_all(connection)
    return produce_migrations(MigrationContext.configure(connection), after)


def _flat(container):
    for op in container.ops:
        if isinstance(op, ops.OpContainer):
            yield from _flat(op)
        else:
            yield op


def _names(container):
    return [type(op).__name__ for op in _flat(container)]


def _name():
    return sa.Column("name", sa.String(10))


def _needed():
    return sa.Column("needed", sa.String(10), nullable=False)


def _by_name():
    return sa.Index("ix_name", "name")


def _by_id():
    return sa.Index("ix_id", "id")


def _once():
    return sa.UniqueConstraint("name", name="uq_name")


def test_a_table_that_is_gone_stays_with_its_indexes(connection):
    old = [_table("user", _name, _by_name), _table("post")]
    script = _produce(connection, old, [_table("tag")])
    assert "DropTableOp" in _names(script.upgrade_ops)
    assert "DropIndexOp" in _names(script.upgrade_ops)

    left_out = _drops.refuse([script])

    assert _names(script.upgrade_ops) == ["CreateTableOp"]
    # What is created is dropped by the downgrade, as ever.
    assert _names(script.downgrade_ops) == ["DropTableOp"]
    assert sorted(map(str, left_out)) == ["table post", "table user"]


def test_a_column_that_is_gone_stays_with_what_covers_it(connection):
    old = [_table("user", _name, _by_name, _once, _by_id)]
    new = [_table("user", lambda: sa.Column("email", sa.String(10)))]
    script = _produce(connection, old, new)

    left_out = _drops.refuse([script])

    assert _names(script.upgrade_ops) == ["AddColumnOp", "DropIndexOp"]
    assert _names(script.downgrade_ops) == ["CreateIndexOp", "DropColumnOp"]
    assert [str(it) for it in left_out] == [
        (
            "column user.name (if it was renamed, write op.alter_column(...,"
            " new_column_name=...) in place of the new column)"
        )
    ]


def test_a_table_of_which_nothing_is_to_be_done_is_left_out(connection):
    script = _produce(connection, [_table("user", _name)], [_table("user")])

    left_out = _drops.refuse([script])

    assert script.upgrade_ops.is_empty()
    assert script.downgrade_ops.is_empty()
    assert [str(it) for it in left_out] == ["column user.name"]


def test_a_column_that_fails_new_rows_is_told(connection):
    script = _produce(connection, [_table("user", _needed)], [_table("user")])

    (left_out,) = _drops.refuse([script])

    assert "NOT NULL without a default" in left_out.hint


def test_drops_are_written_when_they_are_allowed(connection):
    old = [_table("user", _name), _table("post")]
    script = _produce(connection, old, [_table("user")])

    assert _drops.refuse([script], allow=True) == []
    assert sorted(_names(script.upgrade_ops)) == ["DropColumnOp", "DropTableOp"]


def test_a_downgrade_is_left_alone_where_nothing_was_left_out(connection):
    script = _produce(connection, [], [_table("user")])
    downgrade = script.downgrade_ops.ops

    assert _drops.refuse([script]) == []
    assert script.downgrade_ops.ops is downgrade


def test_schemas_are_told_apart():
    gone = ops.DropTableOp("user", schema="old", _reverse=None)
    index = ops.DropIndexOp("ix", "user", schema="new")
    unnamed = ops.DropIndexOp("ix")
    constraint = ops.DropConstraintOp("ck", "user", type_="check")
    upgrade = ops.UpgradeOps([gone, index, unnamed, constraint])
    filtered = _drops._Filter()
    filtered.run(upgrade)

    assert [str(it) for it in filtered.left_out] == ["table old.user"]
    assert upgrade.ops == [index, unnamed, constraint]


def test_a_type_stays_with_the_column_or_table_that_has_it():
    upgrade = ops.UpgradeOps(
        [
            ops.ModifyTableOps("user", [ops.DropColumnOp("user", "kind")]),
            ops.DropTableOp("post"),
            DropType(None, "kind", ["a"], {(None, "user", "kind")}),
            DropType(None, "state", ["a"], {(None, "post", "state")}),
            DropType(None, "other", ["a"]),
        ]
    )
    filtered = _drops._Filter()
    filtered.run(upgrade)

    assert [op.name for op in upgrade.ops] == ["other"]


def test_each_database_of_several_is_looked_at():
    one = ops.UpgradeOps([ops.CreateTableOp("a", [sa.Column("id", sa.Integer)])])
    two = ops.UpgradeOps([ops.DropTableOp("b")])
    script = ops.MigrationScript(
        "1", upgrade_ops=one, downgrade_ops=ops.DowngradeOps([])
    )
    script._upgrade_ops.append(two)
    script._downgrade_ops.append(ops.DowngradeOps([]))

    assert [it.name for it in _drops.refuse([script])] == ["b"]
    assert not one.is_empty()


def test_it_is_told_how_to_have_them():
    text = _drops.tell([_drops.LeftOut("table", "user")])

    assert "table user" in text
    assert "--allow-drop" in text
