"""What Alembic runs for each command. The work is done in erlen_db.migrate."""

from erlen_db.migrate import run_migrations

# Takes what alembic's context.configure() does, such as include_object=...
run_migrations()
