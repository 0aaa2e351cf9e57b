"""Migrations with Alembic: `Migrate`, `erlen db ...`, and the commands as functions.

Alembic is imported when the first of them is used.
"""

from __future__ import annotations

import importlib
import typing as t

from ._extension import Migrate

if t.TYPE_CHECKING:
    from ._commands import branches
    from ._commands import check
    from ._commands import current
    from ._commands import downgrade
    from ._commands import edit
    from ._commands import heads
    from ._commands import history
    from ._commands import init
    from ._commands import list_templates
    from ._commands import merge
    from ._commands import migrate
    from ._commands import revision
    from ._commands import show
    from ._commands import stamp
    from ._commands import upgrade
    from ._config import Config
    from ._env import engine_names
    from ._env import run_migrations
    from ._errors import catch_errors

__all__ = [
    "Config",
    "Migrate",
    "alembic_version",
    "branches",
    "catch_errors",
    "check",
    "current",
    "downgrade",
    "edit",
    "engine_names",
    "heads",
    "history",
    "init",
    "list_templates",
    "merge",
    "migrate",
    "revision",
    "run_migrations",
    "show",
    "stamp",
    "upgrade",
]

_PLACES = {
    "Config": "_config",
    "catch_errors": "_errors",
    "engine_names": "_env",
    "run_migrations": "_env",
}

#: The version of Alembic, as three numbers.
alembic_version: tuple[int, ...]


def __getattr__(name: str) -> t.Any:
    if name == "alembic_version":
        from alembic import __version__

        value: t.Any = tuple(map(int, __version__.split(".")[:3]))
    elif name in __all__:
        place = importlib.import_module(f"{__name__}.{_PLACES.get(name, '_commands')}")
        value = getattr(place, name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value
