"""What env.py does, so that the env.py of a project is one call of it.

It opens the connections and configures Alembic. What keeps data safe is set up
around it, for the env.py of others, too: `_guard`, `_autogenerate`.
"""

from __future__ import annotations

import logging.config
import re
import typing as t

import click
from alembic import context
from alembic.util import CommandError

from . import _progress
from ._state import current_state

if t.TYPE_CHECKING:
    import collections.abc as cabc

    import sqlalchemy as sa
    from alembic.operations import ops

__all__ = ["engine_names", "run_migrations"]

Options = dict[str, t.Any]


class _Target(t.NamedTuple):
    """A database that is migrated."""

    title: str
    engine: sa.Engine
    options: Options
    #: What the functions of a migration are called with.
    arguments: dict[str, str]


def engine_names() -> dict[str, str]:
    """Return the databases of the current application for names of functions.

    The migrations of several databases have a function for each, and this is for
    their template.

    Returns:
        What ends the names of the functions, with what people call the database.
        The default one's is empty.
    """
    keys = current_state().db.engines
    names = {_name(key): _title(key) for key in keys}
    if len(names) < len(keys):
        listed = ", ".join(_title(key) for key in keys)
        raise CommandError(
            "The functions of two bind keys in SQLALCHEMY_BINDS would have the same"
            f" name, for it has letters, digits and underscores only: {listed}. Change"
            " one of the keys."
        )
    return names


def _name(bind_key: str | None) -> str:
    return re.sub(r"\W", "_", bind_key or "")


def _title(bind_key: str | None) -> str:
    return "the default database" if bind_key is None else f"the database {bind_key!r}"


def run_migrations(*, multidb: bool = False, **configure_args: t.Any) -> None:
    """Do what a command asks for: all that an env.py has to do.

    Args:
        multidb: Whether the migrations are of all databases, with a function for each
            of them, and not of the default one only.
        **configure_args: Options of Alembic's `context.configure()`, for instance
            `include_object`. They win over those of `Migrate()`.
    """
    _set_up_logging()
    targets = _find_all() if multidb else [_find_default()]
    common = {**current_state().configure_args, **configure_args}
    for target in targets:
        options = {**common, **target.options}
        hook = options.get("process_revision_directives")
        last = target is targets[-1]
        options["process_revision_directives"] = _make_hook(hook, last)
        if context.is_offline_mode():
            _run_offline(target, options, multidb)
        else:
            _run_online(target, options)


def _set_up_logging() -> None:
    config = context.config
    if config.config_file_name and config.file_config.has_section("loggers"):
        logging.config.fileConfig(
            config.config_file_name, disable_existing_loggers=False
        )


def _find_default() -> _Target:
    db = current_state().db
    options = {"target_metadata": db.metadata}
    return _Target(_title(None), db.engine, options, {})


def _find_all() -> list[_Target]:
    db = current_state().db
    engine_names()
    found: list[_Target] = []
    for key, engine in db.engines.items():
        name = _name(key)
        options = {
            "target_metadata": db.metadatas[key],
            "upgrade_token": f"{name}_upgrades",
            "downgrade_token": f"{name}_downgrades",
        }
        found.append(_Target(_title(key), engine, options, {"engine_name": name}))
    return found


def _make_hook(
    own: cabc.Callable[..., None] | None, last: bool
) -> cabc.Callable[..., None]:
    """Make what Alembic calls with a migration before it is written."""

    def hook(
        migration: t.Any, revision: t.Any, directives: list[ops.MigrationScript]
    ) -> None:
        if own is not None:
            own(migration, revision, directives)
        written = getattr(context.config.cmd_opts, "autogenerate", False)
        if written and last:
            directives[:] = [it for it in directives if not _is_empty(it)]

    return hook


def _is_empty(script: ops.MigrationScript) -> bool:
    return all(it.is_empty() for it in script.upgrade_ops_list)


def _run_online(target: _Target, options: Options) -> None:
    with target.engine.connect() as connection:
        context.configure(connection=connection, **options)
        with context.begin_transaction(), _progress.show(context.get_context()):
            context.run_migrations(**target.arguments)


def _run_offline(target: _Target, options: Options, multidb: bool) -> None:
    options |= {
        "url": target.engine.url,
        "literal_binds": True,
        "dialect_opts": {"paramstyle": "named"},
    }
    if not multidb:
        context.configure(**options)
        with context.begin_transaction():
            context.run_migrations(**target.arguments)
        return
    # Statements of several databases in one stream would all go to the same one.
    path = f"{target.arguments['engine_name'] or 'default'}.sql"
    with open(path, "w", encoding="utf-8") as file:
        context.configure(output_buffer=file, **options)
        with context.begin_transaction():
            context.run_migrations(**target.arguments)
    click.echo(f"Wrote {path}, for {target.title}.", err=True)
