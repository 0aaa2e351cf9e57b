"""A column for searching on any database

Revision: 73beb1d6baed
Revises: 304d840be45d
Created: 2026-11-23
"""

import sqlalchemy as sa
from alembic import op
from hedgerow.db import fold

# What Alembic puts the migrations in order by.
revision = "73beb1d6baed"
down_revision = "304d840be45d"
branch_labels = None
depends_on = None


def upgrade() -> None:
    column = sa.Column("folded", sa.Text(), server_default="", nullable=False)
    op.add_column("sightings", column)  # no batch: the copy would lose AUTOINCREMENT
    names = ("id", "species", "place", "observer", "note", "folded")
    sightings = sa.table("sightings", *map(sa.column, names))
    rows = op.get_bind().execute(sa.select(sightings)).all()
    for id_, species, place, observer, note, _ in rows:
        words = fold(f"{species} {place} {observer} {note}")
        op.execute(sightings.update().where(sightings.c.id == id_).values(folded=words))


def downgrade() -> None:
    op.drop_column("sightings", "folded")
