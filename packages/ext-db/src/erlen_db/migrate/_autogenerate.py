"""Compares models with databases, for `migrate` and for `check`.

What it is given by Alembic it has before env.py's own functions have it.
"""

from __future__ import annotations

import typing as t

import click
from alembic.autogenerate import RevisionContext
from alembic.runtime.environment import EnvironmentContext

from . import _changes
from . import _drops
from . import _models
from . import _unsafe

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from alembic.operations import ops
    from alembic.runtime.migration import MigrationContext
    from alembic.script import Script
    from alembic.script import ScriptDirectory

    from ._config import Config
    from ._state import State

__all__ = ["Comparison", "Look", "look"]


# Alembic's arguments of a revision.
_NO_OPTIONS = dict.fromkeys(
    ("message", "branch_label", "version_path", "rev_id", "depends_on")
)


class Comparison:
    """What Alembic calls when it has compared the models with a database.

    Args:
        state: What the application keeps.
        allow_drop: Whether tables and columns may be dropped.

    Attributes:
        left_out: The drops that were left out.
        changes: A line for each change that is left.
    """

    def __init__(self, state: State, *, allow_drop: bool) -> None:
        self._state = state
        self._allow_drop = allow_drop
        self.left_out: list[_drops.LeftOut] = []
        self.changes: list[str] = []
        self._operations: list[tuple[ops.UpgradeOps, str]] = []

    def __call__(
        self,
        context: MigrationContext,
        revision: t.Any,
        directives: list[ops.MigrationScript],
    ) -> None:
        """Look at the newest of several databases, in `directives`."""
        metadatas = self._state.db.metadatas.values()
        count = _models.check_known(context, metadatas, self._state.models)
        assert context.connection is not None
        url = context.connection.engine.url
        tables = f"{count} table{'s' * (count != 1)}"
        click.echo(f"Comparing {tables} of the models with {url!r}.", err=True)
        self.left_out += _drops.refuse(directives, allow=self._allow_drop)
        operations = directives[-1].upgrade_ops_list[-1]
        self.changes += _changes.describe(operations)
        self._operations.append((operations, context.dialect.name))

    def find_unsafe(self) -> list[_unsafe.Finding]:
        """Find what an application that runs meanwhile would suffer from."""
        return [
            finding
            for operations, dialect in self._operations
            for finding in _unsafe.find(operations, dialect)
        ]


class Look(t.NamedTuple):
    """What `look` found out of a database.

    Attributes:
        pending: The migrations that it has not, the oldest first.
        comparison: The models compared with it, if it has all migrations.
    """

    pending: list[Script]
    comparison: Comparison


def look(config: Config, script: ScriptDirectory, state: State) -> Look:
    """Compare the databases with the migrations, and with the models.

    Args:
        config: The configuration.
        script: The folder of migrations.
        state: What the application keeps.
    """
    comparison = Comparison(state, allow_drop=True)
    arguments: dict[str, t.Any] = {**_NO_OPTIONS, "autogenerate": True, "sql": False}
    arguments |= {"head": "head", "splice": False}
    revisions = RevisionContext(config, script, arguments, comparison)
    pending: dict[str, Script] = {}

    def compare(heads: t.Any, context: MigrationContext) -> cabc.Iterable[t.Any]:
        script.get_revisions(heads)  # whose errors say more
        missing = list(script.iterate_revisions("heads", heads, implicit_base=True))
        if missing:
            pending.update((it.revision, it) for it in reversed(missing))
        else:
            revisions.run_autogenerate(heads, context)
        return ()

    with EnvironmentContext(
        config,
        script,
        fn=compare,
        dont_mutate=True,
        template_args=revisions.template_args,
    ):
        script.run_env()
    return Look([*pending.values()], comparison)
