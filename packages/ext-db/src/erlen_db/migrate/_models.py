"""Finds the models that a database is compared with.

A model whose module was not imported looks like one that is gone.
"""

from __future__ import annotations

import importlib
import pkgutil
import typing as t

import sqlalchemy as sa
from alembic.util import CommandError

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from alembic.runtime.migration import MigrationContext

__all__ = ["check_known", "load"]


def load(models: cabc.Iterable[str]) -> None:
    """Import the modules that models are in.

    Args:
        models: Names of modules; of a package, all modules are imported.

    Raises:
        CommandError: There is no such module.
    """
    for name in models:
        _load(name)


def _load(name: str) -> None:
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as exc:
        if not f"{name}.".startswith(f"{exc.name}."):
            raise  # the module exists and misses another one
        raise CommandError(
            f"Migrate(models=...) names {name!r}, and there is no module {exc.name!r}."
        ) from None
    path = getattr(module, "__path__", None)
    for found in pkgutil.iter_modules(path or (), f"{name}."):
        if not found.name.endswith(".__main__"):
            _load(found.name)


def check_known(
    context: MigrationContext, metadatas: cabc.Iterable[sa.MetaData], models: t.Any
) -> int:
    """Count the tables that models have, and refuse to compare none with a database.

    Args:
        context: What is migrated.
        metadatas: The metadata of all databases.
        models: The modules that models were imported from.

    Returns:
        How many tables this database is compared with.

    Raises:
        CommandError: No table is known, and the database has some.
    """
    known = sum(len(it.tables) for it in _list(context.opts["target_metadata"]))
    if known or any(it.tables for it in metadatas):
        return known
    assert context.connection is not None
    names = sa.inspect(context.connection).get_table_names()
    there = sorted({*names} - {context.version_table})
    if not there:
        return 0
    shown = ", ".join(there[:5]) + ", ..." * (len(there) > 5)
    where = f"in {', '.join(models)}" if models else "that the application imports"
    raise CommandError(
        f"There are no models {where}, and the database has {len(there)} tables"
        f" ({shown}). A migration would drop all of them. Name the modules that your"
        ' models are in: Migrate(app, db, models=["shop.models"]).'
    )


def _list(metadata: t.Any) -> list[sa.MetaData]:
    return [metadata] if isinstance(metadata, sa.MetaData) else [*metadata]
