"""The tables of a notebook

Revision: 304d840be45d
Revises:
Created: 2026-11-23
"""

import sqlalchemy as sa
from alembic import op

# What Alembic puts the migrations in order by.
revision = "304d840be45d"
down_revision = None
branch_labels = None
depends_on = None

WORDS = sa.String(200).with_variant(sa.Text(), "sqlite")


TABLES = ("sightings", "attachments", "messages", "visits")


def upgrade() -> None:
    # The first notebooks were made without migrations.
    old = sa.inspect(op.get_bind()).has_table("sightings")
    if old:
        put_aside()
    make_tables(fresh=not old)
    if old:
        bring_back()


def put_aside() -> None:
    op.execute("DROP VIEW entries")
    op.drop_index("sightings_by_day")
    op.drop_index("attachments_by_sighting")
    op.drop_index("messages_by_room")
    op.drop_index("messages_by_author")
    for table in TABLES:
        op.rename_table(table, f"old_{table}")


def bring_back() -> None:
    sequence = sa.table("sqlite_sequence", sa.column("name"))
    for table in TABLES:
        op.execute(f"INSERT INTO {table} SELECT * FROM old_{table}")  # noqa: S608  # our own names
        # The next number is what it would have been, also after the last was deleted.
        op.execute(sequence.delete().where(sequence.c.name == table))
        op.execute(
            sequence.update()
            .where(sequence.c.name == f"old_{table}")
            .values(name=table)
        )
    for table in reversed(TABLES):
        op.drop_table(f"old_{table}")


def make_tables(*, fresh: bool) -> None:
    pens = op.create_table(
        "pens",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("fresh", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_pens"),
    )
    op.bulk_insert(pens, [{"id": 1, "fresh": fresh}])
    op.create_table(
        "sightings",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("species", WORDS, nullable=False),
        sa.Column("kind", WORDS, nullable=False),
        sa.Column("place", WORDS, nullable=False),
        sa.Column("seen_on", WORDS, nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("observer", WORDS, nullable=False),
        sa.Column("written_at", WORDS, nullable=False),
        sa.CheckConstraint("count > 0", name=op.f("ck_sightings_count")),
        sa.PrimaryKeyConstraint("id", name="pk_sightings"),
        sqlite_autoincrement=True,
    )
    op.create_index("sightings_by_day", "sightings", ["seen_on", "id"])
    op.create_table(
        "attachments",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sighting_id", sa.Integer(), nullable=False),
        sa.Column("name", WORDS, nullable=False),
        sa.Column("title", WORDS, nullable=False),
        sa.Column("caption", WORDS, nullable=False),
        sa.Column("media_type", WORDS, nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["sighting_id"],
            ["sightings.id"],
            name="fk_attachments_sighting_id_sightings",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_attachments"),
        sa.UniqueConstraint("name", name="uq_attachments_name"),
    )
    op.create_index("ix_attachments_sighting_id", "attachments", ["sighting_id"])
    op.create_table(
        "messages",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("room", WORDS, nullable=False),
        sa.Column("author", WORDS, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("key", WORDS, nullable=True),
        sa.Column("at", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_messages"),
        sa.UniqueConstraint("author", "key", name="uq_messages_author_key"),
        sqlite_autoincrement=True,
    )
    op.create_index("messages_by_room", "messages", ["room", "id"])
    op.create_index("messages_by_author", "messages", ["author", "at"])
    op.create_table(
        "visits",
        sa.Column("key", WORDS, nullable=False),
        sa.Column("room", WORDS, nullable=False),
        sa.Column("name", WORDS, nullable=False),
        sa.Column("at", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_visits"),
    )


def downgrade() -> None:
    op.drop_table("pens")
    for table in reversed(TABLES):
        op.drop_table(table)
