"""What an application keeps of its `Migrate`, and what a command line was given."""

from __future__ import annotations

import dataclasses
import typing as t

import click

from erlen import current_app

if t.TYPE_CHECKING:
    import collections.abc as cabc

    import sqlalchemy as sa

    from ..extension import SQLAlchemy
    from ._config import Config

__all__ = ["Configures", "GroupOptions", "State", "current_state", "group_options"]

_META = "erlen_db.migrate"


class Configures(t.Protocol):
    """What commands need of `Migrate`."""

    def get_config(
        self,
        directory: t.Any = None,
        x_arg: str | cabc.Iterable[str] | None = None,
        opts: cabc.Iterable[str] | None = None,
    ) -> Config:
        """Return the configuration of Alembic for the current application."""
        ...


@dataclasses.dataclass(frozen=True)
class State:
    """What an application keeps in `app.extensions["migrate"]`.

    Attributes:
        migrate: The extension.
        db: The database.
        directory: The folder of migrations, relative to the working directory.
        configure_args: What env.py gives to `context.configure()`.
        models: The modules that models are in.
    """

    migrate: Configures
    db: SQLAlchemy
    directory: str
    configure_args: dict[str, t.Any]
    models: tuple[str, ...] = ()

    @property
    def metadata(self) -> sa.MetaData:
        """The tables of the default database."""
        return self.db.metadata


def current_state() -> State:
    """Return what the current application keeps.

    Raises:
        RuntimeError: It has no `Migrate`.
    """
    state: State | None = current_app.extensions.get("migrate")
    if state is None:
        raise RuntimeError(
            f"The application {current_app.name!r} has no migrations. Give it some:"
            " Migrate(app, db), from erlen_db.migrate."
        )
    return state


class GroupOptions(t.NamedTuple):
    """The options of `erlen db`, which are those of all its commands."""

    directory: str | None = None
    x_arg: tuple[str, ...] = ()


def set_group_options(ctx: click.Context, options: GroupOptions) -> None:
    """Keep the options for the command that follows."""
    ctx.meta[_META] = options


def group_options() -> GroupOptions:
    """Return the options of the group, if it is a command that runs."""
    ctx = click.get_current_context(silent=True)
    return GroupOptions() if ctx is None else ctx.meta.get(_META, GroupOptions())
