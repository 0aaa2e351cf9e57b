"""The commands as functions, for programs; `cli` has them for people.

The names of their arguments are those of Flask-Migrate.
"""

from __future__ import annotations

import contextlib
import os
import sys
import textwrap
import typing as t

import click
from alembic import command
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from . import _config
from . import _drops
from . import _heads
from . import _models
from ._autogenerate import Comparison
from ._check import find_problems
from ._environment import changing
from ._environment import environment
from ._environment import find_folder
from ._environment import open_folder
from ._environment import say
from ._errors import catch_errors
from ._state import current_state

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from alembic.script import Script

    from ._config import Config

from ._environment import Directory
from ._environment import XArg

# --- what the commands share


@contextlib.contextmanager
def _reading(config: Config, nothing: str) -> cabc.Generator[None]:
    """Run what only answers, and say so if the answer is empty."""
    with environment():
        yield
    if not config.printed:
        click.echo(nothing, err=True)


def _tell_written(config: Config, scripts: cabc.Iterable[Script | None]) -> None:
    for script in filter(None, scripts):
        click.echo(f"Wrote {os.path.relpath(script.path)}")
    _heads.write(ScriptDirectory.from_config(config))


# --- the folder


@catch_errors
def list_templates() -> None:
    """Print the templates for folders of migrations."""
    for name, what in _config.list_templates(_config.Config()).items():
        click.echo(f"{click.style(name, bold=True)}: {what}")


@catch_errors
def init(
    directory: Directory = None,
    multidb: bool = False,
    template: str | None = None,
    package: bool = False,
) -> None:
    """Make the folder of migrations.

    Args:
        directory: The folder; the application's by default.
        multidb: Whether it is for all databases of the application.
        template: One of `list_templates()`, or the path of one's own.
        package: Whether the folders get an `__init__.py`.
    """
    folder = find_folder(directory)
    config = current_state().migrate.get_config(folder)
    found = _config.find_template(template, multidb, config)
    _config.make_folder(folder, found, package)
    click.secho(f"Made the folder {folder}.", fg="green")
    click.echo('Next: erlen db migrate -m "what changes", read it, erlen db upgrade.')


# --- new migrations


@catch_errors
def revision(
    directory: Directory = None,
    message: str | None = None,
    autogenerate: bool = False,
    sql: bool = False,
    head: str = "head",
    splice: bool = False,
    branch_label: str | None = None,
    version_path: str | None = None,
    rev_id: str | None = None,
    *,
    x_arg: XArg = None,
    allow_drop: bool = False,
) -> None:
    """Write a migration, empty or from what the models have and the database has not.

    Args:
        directory: The folder; the application's by default.
        message: What the migration does.
        autogenerate: Whether to compare the models with the database.
        sql: Whether to print it as SQL.
        head: The revision that it follows.
        splice: Whether that may be one that others follow already.
        branch_label: A label for its branch.
        version_path: The folder that it is written to.
        rev_id: Its id; a random one by default.
        x_arg: One `key=value` for env.py, or several.
        allow_drop: Whether tables and columns may be dropped.
    """
    _revise(
        open_folder(directory, x_arg, ["autogenerate"] if autogenerate else []),
        allow_drop,
        autogenerate=autogenerate,
        message=message,
        sql=sql,
        head=head,
        splice=splice,
        branch_label=branch_label,
        version_path=version_path,
        rev_id=rev_id,
    )


@catch_errors
def migrate(
    directory: Directory = None,
    message: str | None = None,
    sql: bool = False,
    head: str = "head",
    splice: bool = False,
    branch_label: str | None = None,
    version_path: str | None = None,
    rev_id: str | None = None,
    x_arg: XArg = None,
    *,
    allow_drop: bool = False,
) -> None:
    """Write a migration from what the models have and the database has not.

    Args:
        directory: The folder; the application's by default.
        message: What the migration does.
        sql: Whether to print it as SQL.
        head: The revision that it follows.
        splice: Whether that may be one that others follow already.
        branch_label: A label for its branch.
        version_path: The folder that it is written to.
        rev_id: Its id; a random one by default.
        x_arg: One `key=value` for env.py, or several.
        allow_drop: Whether tables and columns may be dropped.
    """
    _revise(
        open_folder(directory, x_arg, ["autogenerate", "migrate"]),
        allow_drop,
        autogenerate=True,
        message=message,
        sql=sql,
        head=head,
        splice=splice,
        branch_label=branch_label,
        version_path=version_path,
        rev_id=rev_id,
    )


def _revise(
    config: Config, allow_drop: bool, *, autogenerate: bool, **options: t.Any
) -> None:
    comparison = None
    if autogenerate:
        state = current_state()
        _models.load(state.models)
        comparison = Comparison(state, allow_drop=allow_drop)
    with environment():
        written = command.revision(
            config,
            autogenerate=autogenerate,
            process_revision_directives=comparison,
            **options,
        )
        scripts = written if isinstance(written, list) else [written]
        for line in comparison.changes if comparison else ():
            click.echo(f"  {line}")
        if scripts:
            _tell_written(config, scripts)
        elif comparison and not comparison.left_out:
            click.echo("Nothing to write: the database has all that the models have.")
    if comparison:
        for finding in comparison.find_unsafe():
            say(f"Look at {finding}")
        if comparison.left_out:
            say(_drops.tell(comparison.left_out))


@catch_errors
def merge(
    directory: Directory = None,
    revisions: str | list[str] | tuple[str, ...] = "",
    message: str | None = None,
    branch_label: str | None = None,
    rev_id: str | None = None,
) -> None:
    """Write a migration that joins two branches or more.

    Args:
        directory: The folder; the application's by default.
        revisions: The last ones of the branches, or `"heads"`.
        message: What the migration does.
        branch_label: A label for it.
        rev_id: Its id; a random one by default.
    """
    config = open_folder(directory)
    with environment():
        found = ScriptDirectory.from_config(config).get_revisions(revisions)
        if len(found) < 2:
            listed = ", ".join(it.revision for it in found) or "none"
            raise CommandError(f"There is nothing to join, but one revision: {listed}.")
        script = command.merge(
            config, revisions, message=message, branch_label=branch_label, rev_id=rev_id
        )
        _tell_written(config, [script])


@catch_errors
def edit(directory: Directory = None, revision: str = "current") -> None:
    """Open a migration in the editor that `EDITOR` names.

    Args:
        directory: The folder; the application's by default.
        revision: The migration; the one that the database is at by default.
    """
    config = open_folder(directory)
    with environment():
        command.edit(config, revision)


# --- running them


@catch_errors
def upgrade(
    directory: Directory = None,
    revision: str = "head",
    sql: bool = False,
    tag: str | None = None,
    x_arg: XArg = None,
    *,
    lock_timeout: float | None = None,
) -> None:
    """Run migrations that the database has not run.

    Args:
        directory: The folder; the application's by default.
        revision: The last one to run, or `"+2"` for the next two.
        sql: Whether to print the statements and run none.
        tag: What env.py gets as tag.
        x_arg: One `key=value` for env.py, or several.
        lock_timeout: How many seconds to wait for another migrator;
            `MIGRATE_LOCK_TIMEOUT` by default.
    """
    config = open_folder(directory, x_arg)
    with changing(sql, lock_timeout) as steps:
        command.upgrade(config, revision, sql=sql, tag=tag)
    if not steps and not sql:
        click.echo("Nothing to do: the database has run these migrations.", err=True)


@catch_errors
def downgrade(
    directory: Directory = None,
    revision: str = "-1",
    sql: bool = False,
    tag: str | None = None,
    x_arg: XArg = None,
    *,
    lock_timeout: float | None = None,
) -> None:
    """Take migrations back.

    Args:
        directory: The folder; the application's by default.
        revision: The one that stays, or `"-2"` to take two back.
        sql: Whether to print the statements and run none.
        tag: What env.py gets as tag.
        x_arg: One `key=value` for env.py, or several.
        lock_timeout: How many seconds to wait for another migrator;
            `MIGRATE_LOCK_TIMEOUT` by default.
    """
    config = open_folder(directory, x_arg)
    if sql and revision == "-1":
        revision = "head:-1"
    with changing(sql, lock_timeout) as steps:
        command.downgrade(config, revision, sql=sql, tag=tag)
    if not steps and not sql:
        click.echo("Nothing to do: the database is there already.", err=True)


@catch_errors
def stamp(
    directory: Directory = None,
    revision: str | list[str] = "head",
    sql: bool = False,
    tag: str | None = None,
    purge: bool = False,
    *,
    lock_timeout: float | None = None,
) -> None:
    """Say that the database is at a revision, and run nothing.

    Args:
        directory: The folder; the application's by default.
        revision: The revision.
        sql: Whether to print the statements and run none.
        tag: What env.py gets as tag.
        purge: Whether to forget first what the database says, for instance a revision
            whose file is gone.
        lock_timeout: How many seconds to wait for another migrator;
            `MIGRATE_LOCK_TIMEOUT` by default.
    """
    config = open_folder(directory)
    with changing(sql, lock_timeout) as steps:
        command.stamp(config, revision, sql=sql, tag=tag, purge=purge)
    if not steps and not sql:
        click.echo("Nothing to do: the database is there already.", err=True)


# --- looking at them


@catch_errors
def show(directory: Directory = None, revision: str = "head") -> None:
    """Print a migration's head.

    Args:
        directory: The folder; the application's by default.
        revision: The migration.
    """
    config = open_folder(directory)
    with _reading(config, "There are no migrations yet."):
        command.show(config, revision)


@catch_errors
def history(
    directory: Directory = None,
    rev_range: str | None = None,
    verbose: bool = False,
    indicate_current: bool = False,
) -> None:
    """Print the migrations, the newest first.

    Args:
        directory: The folder; the application's by default.
        rev_range: Which, as `START:END`.
        verbose: Whether to print more of each.
        indicate_current: Whether to mark the one that the database is at.
    """
    config = open_folder(directory)
    with _reading(config, "There are no migrations yet."):
        command.history(config, rev_range, verbose, indicate_current)


@catch_errors
def heads(
    directory: Directory = None,
    verbose: bool = False,
    resolve_dependencies: bool = False,
) -> None:
    """Print the last migrations, and write them into the file `HEAD`.

    Args:
        directory: The folder; the application's by default.
        verbose: Whether to print more of each.
        resolve_dependencies: Whether what another one depends on is none.
    """
    config = open_folder(directory)
    with _reading(config, "There are no migrations yet."):
        command.heads(config, verbose, resolve_dependencies)
        script = ScriptDirectory.from_config(config)
        if _heads.check(script):
            click.echo(f"Wrote {os.path.relpath(_heads.write(script))}", err=True)


@catch_errors
def branches(directory: Directory = None, verbose: bool = False) -> None:
    """Print the migrations that more than one follows.

    Args:
        directory: The folder; the application's by default.
        verbose: Whether to print more of each.
    """
    config = open_folder(directory)
    with _reading(config, "There are no branches."):
        command.branches(config, verbose)


@catch_errors
def current(directory: Directory = None, verbose: bool = False) -> None:
    """Print the migration that the database is at.

    Args:
        directory: The folder; the application's by default.
        verbose: Whether to print more of it.
    """
    config = open_folder(directory)
    with _reading(config, "The database has run no migration."):
        command.current(config, verbose=verbose)


@catch_errors
def check(directory: Directory = None, *, since: str | None = None) -> None:
    """Print what is wrong with the migrations, and end with exit code 1 if it is.

    Args:
        directory: The folder; the application's by default.
        since: Look for what is unsafe in the migrations after this one. By default
            they are those that a database has not run, or else the last one.
    """
    config = open_folder(directory, opts=["check"])
    with environment():
        problems = find_problems(config, current_state(), since)
    for kind, text in problems:
        click.secho(f"error: {kind}", fg="red")
        click.echo(textwrap.indent(text, "    "))
    if problems:
        plural = "s" * (len(problems) > 1)
        click.secho(f"{len(problems)} problem{plural} found.", bold=True)
        sys.exit(1)
    click.secho("No problems found.", bold=True)
