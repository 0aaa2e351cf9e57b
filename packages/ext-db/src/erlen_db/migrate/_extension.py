"""`Migrate`, which gives an application its migrations and the command for them.

Alembic is not imported here: most processes of an application never migrate.
"""

from __future__ import annotations

import os
import typing as t
from datetime import timedelta

from erlen import extension

from ._state import State
from ._state import current_state
from .cli import make_group

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from erlen import Erlen

    from ..extension import SQLAlchemy
    from ._config import Config

__all__ = ["Migrate"]

F = t.TypeVar("F", bound="t.Callable[[Config], Config | None]")

_CONTRACT = "1.1"


def _check_heads(app: Erlen) -> t.Any:
    from ._checks import check_heads

    return check_heads(app)


def _check_databases(app: Erlen) -> t.Any:
    from ._checks import check_databases

    return check_databases(app)


class Migrate:
    """Migrations with Alembic, as the commands `erlen db ...` and as functions.

    Args:
        app: The application; without it, call `init_app` later.
        db: The database; the one that the application has by default.
        directory: The folder of migrations, relative to the working directory.
        command: What the group of commands is called.
        compare_type: Whether `migrate` sees that the type of a column changed.
        render_as_batch: Whether migrations are written so that SQLite can run them,
            too, which changes a table by copying it.
        models: The modules that models are in, which are imported before they are
            compared with a database; of a package, all modules. None need be named
            if the application imports them itself.
        **kwargs: More options of Alembic's `context.configure()`.

    Each migration has a transaction of its own, unless `transaction_per_migration` is
    given as False.
    """

    def __init__(
        self,
        app: Erlen | None = None,
        db: SQLAlchemy | None = None,
        directory: str | os.PathLike[str] = "migrations",
        command: str = "db",
        compare_type: t.Any = True,
        render_as_batch: bool = True,
        *,
        models: cabc.Iterable[str] = (),
        **kwargs: t.Any,
    ) -> None:
        self.configure_callbacks: list[t.Callable[[Config], Config | None]] = []
        self.db = db
        self.directory = os.fspath(directory)
        self.command = command
        self.models = (models,) if isinstance(models, str) else (*models,)
        self.configure_args: dict[str, t.Any] = {
            "transaction_per_migration": True,
            "compare_type": compare_type,
            "render_as_batch": render_as_batch,
            **kwargs,
        }
        if app is not None:
            self.init_app(app)

    def init_app(
        self,
        app: Erlen,
        db: SQLAlchemy | None = None,
        directory: str | os.PathLike[str] | None = None,
        command: str | None = None,
        compare_type: t.Any = None,
        render_as_batch: bool | None = None,
        **kwargs: t.Any,
    ) -> None:
        """Give an application its migrations.

        What is not given here is as it was given to `Migrate()`.

        Args:
            app: The application.
            db: The database.
            directory: The folder of migrations.
            command: What the group of commands is called.
            compare_type: Whether `migrate` sees that the type of a column changed.
            render_as_batch: Whether SQLite can run what is written.
            **kwargs: More options of Alembic's `context.configure()`.

        Raises:
            RuntimeError: The application has no database.
        """
        given = {"compare_type": compare_type, "render_as_batch": render_as_batch}
        given = {name: it for name, it in given.items() if it is not None}
        database = self.db if db is None else db
        if database is None:
            database = app.extensions.get("sqlalchemy")
        if database is None:
            raise RuntimeError(
                f"The application {app.name!r} has no database to migrate. Call"
                " db.init_app(app) before, or give it: Migrate(app, db)."
            )
        folder = self.directory if directory is None else os.fspath(directory)
        options = {**self.configure_args, **given, **kwargs}
        state = State(self, database, folder, options, self.models)
        with extension.setup(app, "migrate", state, contract=_CONTRACT):
            app.config.declare(
                *("MIGRATE_LOCK_TIMEOUT", timedelta, timedelta(minutes=1)),
                "How long a migration waits for another one of the same database.",
            )
            app.add_check("migrate.heads", _check_heads)
            app.add_check("migrate.databases", _check_databases, deploy=True)
        app.cli.add_command(make_group(command or self.command))

    def configure(self, f: F) -> F:
        """Register a function that changes the configuration of each command.

        Args:
            f: Called with the `Config`; returns it or another one.
        """
        self.configure_callbacks.append(f)
        return f

    def call_configure_callbacks(self, config: Config) -> Config:
        """Call the functions that `configure` registered, and return what they made.

        Args:
            config: The configuration.
        """
        for callback in self.configure_callbacks:
            config = callback(config) or config
        return config

    def get_config(
        self,
        directory: str | os.PathLike[str] | None = None,
        x_arg: str | cabc.Iterable[str] | None = None,
        opts: cabc.Iterable[str] | None = None,
    ) -> Config:
        """Return the configuration of Alembic for the current application.

        Args:
            directory: The folder of migrations; the application's by default.
            x_arg: One `key=value` for env.py, or several.
            opts: Names of switches that env.py finds in `config.cmd_opts`.
        """
        from ._config import make_config

        folder = directory or current_state().directory
        return self.call_configure_callbacks(
            make_config(os.fspath(folder), x_arg, opts)
        )
