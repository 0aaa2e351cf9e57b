<%!
from erlen_db.migrate import engine_names
%>"""${message}

Revision: ${up_revision}
Revises: ${down_revision | comma,n}
Created: ${create_date}
"""

import sqlalchemy as sa
from alembic import op
% if imports:
${imports}
% endif

# What Alembic puts the migrations in order by.
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade(engine_name: str) -> None:
    # A database that is newer than this migration has no function here.
    globals().get(f"upgrade_{engine_name}", lambda: None)()


def downgrade(engine_name: str) -> None:
    globals().get(f"downgrade_{engine_name}", lambda: None)()
% for name, title in engine_names().items():


def upgrade_${name}() -> None:
    """Upgrade ${title}."""
    ${context.get(f"{name}_upgrades") or "pass"}


def downgrade_${name}() -> None:
    """Downgrade ${title}."""
    ${context.get(f"{name}_downgrades") or "pass"}
% endfor
