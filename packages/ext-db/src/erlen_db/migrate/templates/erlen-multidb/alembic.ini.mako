# Options of Alembic for these migrations. What is not here has its default:
# https://alembic.sqlalchemy.org/en/latest/tutorial.html#editing-the-ini-file

[alembic]
# The names of the files in versions/, here with the date first.
# file_template = %%(year)d-%%(month).2d-%%(day).2d_%%(rev)s_%%(slug)s

# The time zone of the dates in migrations, local time by default.
# timezone = UTC

# Format each new migration.
# [post_write_hooks]
# hooks = ruff
# ruff.type = exec
# ruff.executable = ruff
# ruff.options = format REVISION_SCRIPT_FILENAME
