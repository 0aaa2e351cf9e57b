"""What `erlen check` asks about migrations."""

from __future__ import annotations

import os
import typing as t

from alembic.script import ScriptDirectory

from erlen.extension import Problem

from ._check import find_heads
from ._check import find_problems
from ._environment import environment
from ._environment import open_folder
from ._state import current_state

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from erlen import Erlen

__all__ = ["check_databases", "check_heads"]

_CURE = "Run `erlen db check` again when it is mended."


def check_heads(app: Erlen) -> cabc.Iterator[Problem]:
    """Look at the last migrations, and at the file that names them.

    Args:
        app: The application, whose context is pushed.
    """
    if os.path.isdir(current_state().directory):
        with environment():
            script = ScriptDirectory.from_config(open_folder(None))
            for _, text in find_heads(script):
                yield Problem("error", text, _CURE)


def check_databases(app: Erlen) -> cabc.Iterator[Problem]:
    """Look for migrations that were not run, and for models that differ.

    Args:
        app: The application, whose context is pushed.
    """
    state = current_state()
    if os.path.isdir(state.directory):
        with environment():
            found = find_problems(open_folder(None), state, None)
        for kind, text in found:
            if kind in {"pending", "drift"}:
                yield Problem("error", text, _CURE)
