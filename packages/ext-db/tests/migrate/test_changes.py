from __future__ import annotations

import pytest
import sqlalchemy as sa
from alembic.operations import ops

from erlen_db.migrate import _changes

USER = sa.Table(
    "user",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(80), index=True, unique=True),
    sa.Column("boss_id", sa.ForeignKey("user.id", name="fk_boss")),
    sa.UniqueConstraint("name", "id", name="uq_both"),
    sa.CheckConstraint("id > 0"),
)
(INDEX,) = USER.indexes
(FOREIGN_KEY,) = USER.foreign_key_constraints
UNIQUE = next(it for it in USER.constraints if it.name == "uq_both")
CHECK = next(it for it in USER.constraints if isinstance(it, sa.CheckConstraint))


class Custom(ops.MigrateOperation):
    def to_diff_tuple(self):
        return ("AlterType", None, "mood", ["a", "b"])


class Opposite(ops.MigrateOperation):
    def to_diff_tuple(self):
        return ("DropType", "shop", "mood", ["a"])


@pytest.mark.parametrize(
    ("operation", "line"),
    [
        (ops.CreateTableOp.from_table(USER), "+ table user"),
        (ops.DropTableOp.from_table(USER), "- table user"),
        (ops.AddColumnOp("user", sa.Column("age", sa.Integer)), "+ column user.age"),
        (
            ops.DropColumnOp.from_column_and_tablename(None, "user", USER.c.name),
            "- column user.name",
        ),
        (
            ops.CreateIndexOp.from_index(INDEX),
            "+ index ix_user_name on user (name)",
        ),
        (ops.DropIndexOp.from_index(INDEX), "- index ix_user_name on user (name)"),
        (
            ops.AddConstraintOp.from_constraint(UNIQUE),
            "+ constraint uq_both on user (name, id)",
        ),
        (
            ops.DropConstraintOp.from_constraint(FOREIGN_KEY),
            "- foreign key fk_boss on user (boss_id)",
        ),
        (ops.AddConstraintOp.from_constraint(CHECK), "+ constraint on user"),
        (
            ops.CreateTableCommentOp("user", "people"),
            "+ table comment user",
        ),
        (
            ops.AlterColumnOp(
                "user", "name", modify_nullable=False, existing_nullable=True
            ),
            "~ column user.name: nullable True -> False",
        ),
        (
            ops.AlterColumnOp(
                "user",
                "name",
                schema="shop",
                existing_type=sa.String(80),
                modify_type=sa.Text(),
            ),
            "~ column shop.user.name: type VARCHAR(80) -> TEXT",
        ),
        (
            ops.AlterColumnOp(
                "user",
                "name",
                existing_server_default=False,
                modify_server_default=sa.DefaultClause("x"),
            ),
            "~ column user.name: default none -> x",
        ),
        (Custom(), "~ type mood"),
        (Opposite(), "- type shop.mood"),
    ],
)
def test_a_change_is_a_line(operation, line):
    operations = ops.UpgradeOps([operation])

    assert _changes.describe(operations) == [line]
