"""Finds what is wrong with migrations: heads, what was not run, drift, unsafe ones."""

from __future__ import annotations

import inspect
import typing as t

from alembic.script import ScriptDirectory

from . import _heads
from . import _models
from . import _unsafe
from ._autogenerate import look
from ._env import engine_names

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from alembic.script import Script

    from ._config import Config
    from ._state import State

__all__ = ["Problem", "find_heads", "find_problems"]


class Problem(t.NamedTuple):
    """What `erlen db check` tells.

    Attributes:
        kind: `"heads"`, `"pending"`, `"drift"` or `"unsafe"`.
        text: What is wrong and what to do about it, in one line or several.
    """

    kind: str
    text: str


def find_heads(script: ScriptDirectory) -> list[Problem]:
    """Look at the last migrations of a folder, and at its file `HEAD`.

    Args:
        script: The folder.
    """
    return [Problem("heads", text) for text in _heads.check(script)]


def find_problems(config: Config, state: State, since: str | None) -> list[Problem]:
    """Look at the migrations, at the databases and at the models.

    Args:
        config: The configuration.
        state: What the application keeps.
        since: Look for what is unsafe in the migrations after this one. By default
            they are those that a database has not run, or else the last one.

    Raises:
        CommandError: The migrations cannot be read, or are not the database's.
    """
    _models.load(state.models)
    script = ScriptDirectory.from_config(config)
    found = find_heads(script)
    pending, comparison = look(config, script, state)
    if pending:
        listed = "".join(f"\n{it.revision} {it.doc}" for it in pending)
        text = "`erlen db upgrade` was not run for all migrations. There are left:"
        found.append(Problem("pending", f"{text}{listed}"))
    if comparison.changes:
        listed = "".join(f"\n{it}" for it in comparison.changes)
        text = '`erlen db migrate -m "what changes"` would write a migration:'
        found.append(Problem("drift", f"{text}{listed}"))
    for it in _choose(script, pending, since):
        found += _find_unsafe(it, state)
    return found


def _choose(
    script: ScriptDirectory, pending: list[Script], since: str | None
) -> cabc.Sequence[Script]:
    if since is None:
        return pending or script.get_revisions("heads")
    first = script.get_revision(since)
    after = [it for it in script.walk_revisions(since, "heads") if it is not first]
    return after[::-1]


def _find_unsafe(script: Script, state: State) -> cabc.Iterator[Problem]:
    db = state.db
    calls: list[tuple[str, tuple[str, ...]]]
    if inspect.signature(script.module.upgrade).parameters:
        # It is called for each of several databases.
        dialects = [it.dialect.name for it in db.engines.values()]
        names = [(name,) for name in engine_names()]
        calls = [*zip(dialects, names, strict=True)]
    else:
        calls = [(db.engine.dialect.name, ())]
    found = {
        str(finding): None
        for dialect, arguments in calls
        for finding in _unsafe.find(script, dialect, *arguments)
    }
    for text in found:
        yield Problem("unsafe", f"{script.revision} {text}")
