"""The command `erlen db`, with Flask-Migrate's commands and options.

Alembic is imported when one of them runs.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import traceback
import typing as t

import click
from sqlalchemy import exc as sa_exc

from erlen import current_app
from erlen.cli import AppGroup
from erlen.extension import Unavailable

from ._state import GroupOptions
from ._state import set_group_options

if t.TYPE_CHECKING:
    import collections.abc as cabc
    from types import TracebackType

__all__ = [
    "branches",
    "check",
    "clear_sessions",
    "current",
    "db",
    "downgrade",
    "edit",
    "heads",
    "history",
    "init",
    "list_templates",
    "make_group",
    "merge",
    "migrate",
    "revision",
    "show",
    "stamp",
    "upgrade",
]

F = t.TypeVar("F", bound=t.Callable[..., t.Any])

_directory = click.option(
    "-d",
    "--directory",
    metavar="PATH",
    help="The folder of migrations. [default: migrations]",
)
_x_arg = click.option(
    "-x",
    "--x-arg",
    multiple=True,
    metavar="KEY=VALUE",
    help="An argument for env.py; may be given several times.",
)


@click.group(
    "db",
    cls=AppGroup,
    epilog="""\b
Examples:
  erlen db init
  erlen db migrate -m "users have a birthday"
  erlen db upgrade
  erlen db check""",
)
@_directory
@_x_arg
@click.pass_context
def db(ctx: click.Context, directory: str | None, x_arg: tuple[str, ...]) -> None:
    """Change the database along with its models.

    A migration is a file that says what changes. `migrate` writes it, from what the
    models have and the database has not; `upgrade` runs it.
    """
    set_group_options(ctx, GroupOptions(directory, x_arg))


def make_group(name: str) -> click.Group:
    """Return the group under a name of one's own.

    Args:
        name: What it is called on the command line.
    """
    if name == db.name:
        return db
    group: click.Group = AppGroup(
        name, db.commands, callback=db.callback, params=db.params, help=db.help
    )
    return group


# --- the commands


def _command(
    name: str, *examples: str, **kwargs: t.Any
) -> t.Callable[[t.Any], click.Command]:
    """Make a command of the options of a function; what it does is in `_commands`."""

    def decorator(f: t.Any) -> click.Command:
        @functools.wraps(f)
        def run(**options: t.Any) -> None:
            from . import _commands  # which imports Alembic

            with _errors_for_people():
                getattr(_commands, f.__name__)(**options)

        epilog = "\n  ".join(("\b\nExamples:", *examples)) if examples else None
        command: click.Command = db.command(name, epilog=epilog, **kwargs)(run)
        return command

    return decorator


@contextlib.contextmanager
def _errors_for_people() -> cabc.Generator[None]:
    """Say what went wrong with a database or in a migration, and where."""
    try:
        yield
    except (sa_exc.DBAPIError, Unavailable) as exc:
        _fail(_describe(exc))
    except sa_exc.UnboundExecutionError as exc:
        _fail(f"{exc} For migrations of several databases: `erlen db init --multidb`.")
    except Exception as exc:
        tb = _find_migration(exc)
        if tb is None:
            raise
        report = traceback.format_exception(type(exc), exc, tb)
        click.echo("".join(report).rstrip(), err=True)
        _fail(
            f"The migration {_name_file(tb)} raised {type(exc).__name__} (see above)."
        )


def _find_migration(exc: BaseException) -> TracebackType | None:
    """Return where a migration's own code begins, if it was that which raised."""
    tb = exc.__traceback__
    while tb is not None and "down_revision" not in tb.tb_frame.f_globals:
        tb = tb.tb_next
    return tb


def _name_file(tb: TracebackType) -> str:
    return os.path.relpath(tb.tb_frame.f_code.co_filename)


def _describe(exc: BaseException) -> str:
    """Return what the driver said, what it was asked, and by which migration."""
    error = getattr(exc, "orig", None) or exc
    lines = [f"The database failed: {str(error).strip()}"]
    statement = getattr(exc, "statement", None)
    if statement:
        lines.append(f"It was asked: {' '.join(statement.split())}")
    tb = _find_migration(exc)
    if tb is not None:
        lines.append(f"By the migration {_name_file(tb)}, line {tb.tb_lineno}.")
    return "\n".join(lines)


def _fail(text: str) -> t.NoReturn:
    click.secho(f"Error: {text}", fg="red", err=True)
    sys.exit(1)


# --- options


_message = click.option("-m", "--message", help="What the migration does.")
_branch_label = click.option("--branch-label", help="A label for its branch.")
_rev_id = click.option("--rev-id", help="Its id. [default: a random one]")
_verbose = click.option("-v", "--verbose", is_flag=True, help="Print more.")
_tag = click.option("--tag", help="A tag for env.py.")
_lock_timeout = click.option(
    "--lock-timeout",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="How long to wait for another migration of the same database."
    " [default: MIGRATE_LOCK_TIMEOUT]",
)
_sql = click.option(
    "--sql", is_flag=True, help="Print the statements as SQL, and run none."
)


def _writing(f: F) -> F:
    """Add the options of what writes a migration."""
    options = [
        _directory,
        _message,
        click.option("--sql", is_flag=True, help="Print it as SQL."),
        click.option(
            "--head",
            default="head",
            show_default=True,
            help="The revision that it follows, or BRANCH@head.",
        ),
        click.option("--splice", is_flag=True, help="Follow what is no head, too."),
        _branch_label,
        click.option("--version-path", help="The folder that it is written to."),
        _rev_id,
        click.option(
            "--allow-drop",
            is_flag=True,
            help="Write what drops tables and columns, too; their data will be gone.",
        ),
        _x_arg,
    ]
    for option in reversed(options):
        f = option(f)
    return f


@_command("list-templates")
def list_templates() -> None:
    """List the templates of folders of migrations."""


@_command(
    "init",
    "erlen db init",
    "erlen db init --multidb",
    "erlen db init --template ./template",
)
@_directory
@click.option("--multidb", is_flag=True, help="For all databases of the application.")
@click.option(
    "-t",
    "--template",
    help="One of those that list-templates lists, or the path of one of your own.",
)
@click.option("--package", is_flag=True, help="Write __init__.py files.")
def init() -> None:
    """Make the folder of migrations."""


@_command("revision", 'erlen db revision -m "fill birthdays"')
@click.option(
    "--autogenerate",
    is_flag=True,
    help="Write what the models have and the database has not, as migrate does.",
)
@_writing
def revision() -> None:
    """Write an empty migration."""


@_command(
    "migrate",
    'erlen db migrate -m "users have a birthday"',
    'erlen db migrate -m "no more birthdays" --allow-drop',
)
@_writing
def migrate() -> None:
    """Write a migration: what the models have and the database has not.

    Read it before it is run. What drops a table or a column is left out without
    --allow-drop: a model whose module was not imported looks like one that is gone.
    """


@_command("edit", "erlen db edit", "erlen db edit 1f5ce9")
@_directory
@click.argument("revision", default="current")
def edit() -> None:
    """Open a migration in the editor that EDITOR names.

    By default it is the one that the database is at.
    """


@_command("merge", 'erlen db merge heads -m "both branches"')
@_directory
@_message
@_branch_label
@_rev_id
@click.argument("revisions", nargs=-1, required=True)
def merge() -> None:
    """Join two branches or more by a migration that follows them all."""


_RELATIVE = {"ignore_unknown_options": True}  # -1 is no option


def _check_revision(ctx: click.Context, param: click.Parameter, value: str) -> str:
    if value.startswith("-") and not value[1:].isdigit():
        raise click.NoSuchOption(value, ctx=ctx)
    return value


@_command(
    "upgrade",
    "erlen db upgrade",
    "erlen db upgrade +1",
    "erlen db upgrade --sql > upgrade.sql",
    context_settings=_RELATIVE,
)
@_directory
@_sql
@_tag
@_x_arg
@_lock_timeout
@click.argument("revision", default="head", callback=_check_revision)
def upgrade() -> None:
    """Run the migrations that the database has not run.

    REVISION is the last of them, or how many, such as +1.
    """


@_command(
    "downgrade",
    "erlen db downgrade",
    "erlen db downgrade -2",
    "erlen db downgrade base",
    context_settings=_RELATIVE,
)
@_directory
@_sql
@_tag
@_x_arg
@_lock_timeout
@click.argument("revision", default="-1", callback=_check_revision)
def downgrade() -> None:
    """Take the last migration back.

    REVISION is the one that stays, base for none, or how many to take back, such as -2.
    """


@_command("show", "erlen db show", "erlen db show 1f5ce9")
@_directory
@click.argument("revision", default="head")
def show() -> None:
    """Show a migration, the last one by default."""


@_command("history", "erlen db history -i", "erlen db history -r 1f5ce9:head")
@_directory
@click.option("-r", "--rev-range", metavar="START:END", help="Show only those.")
@_verbose
@click.option(
    "-i",
    "--indicate-current",
    is_flag=True,
    help="Mark the one that the database is at.",
)
def history() -> None:
    """List the migrations, the last one first."""


@_command("heads")
@_directory
@_verbose
@click.option(
    "--resolve-dependencies",
    is_flag=True,
    help="Treat dependencies as what they follow.",
)
def heads() -> None:
    """Show the last migrations, and write the file HEAD if it does not name them."""


@_command("branches")
@_directory
@_verbose
def branches() -> None:
    """Show the migrations that several others follow."""


@_command("current")
@_directory
@_verbose
def current() -> None:
    """Show the migration that the database is at."""


@_command("stamp", "erlen db stamp head", "erlen db stamp --purge 1f5ce9")
@_directory
@_sql
@_tag
@click.option("--purge", is_flag=True, help="Forget first what the database says.")
@_lock_timeout
@click.argument("revision", default="head")
def stamp() -> None:
    """Say that the database is at a revision, and run nothing.

    For a database whose tables were made by other means.
    """


@_command("check", "erlen db check", "erlen db check --since 1f5ce9")
@_directory
@click.option(
    "--since",
    metavar="REVISION",
    help="Look for what is unsafe in the migrations after this one. [default: in those"
    " that the database has not run, or else in the last one]",
)
def check() -> None:
    """Look for what is wrong, for instance before a deployment.

    Several heads, migrations that were not run, models that differ from the database,
    and migrations that lock tables for long or break code that still runs. What it
    finds makes the exit code 1.
    """


@db.command("clear-sessions")
def clear_sessions() -> None:
    """Delete the sessions that have expired, where a table keeps them."""
    from ..sessions import DatabaseSessionStore

    store = current_app.config["SESSION_STORE"]
    if not isinstance(store, DatabaseSessionStore):
        raise click.ClickException(
            "SESSION_STORE is no DatabaseSessionStore, so no sessions are in a table."
        )
    count = store.clear()
    click.echo(f"Deleted {count} expired session{'' if count == 1 else 's'}.")
