"""Lets a folder of Flask-Migrate's run as it is.

Its env.py and its template ask the module `flask` for the current application, and
set up all of logging anew. Both hold while a command runs, and no longer.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import sys
import typing as t
from types import ModuleType

import erlen

if t.TYPE_CHECKING:
    import collections.abc as cabc

__all__ = ["keep_logging", "stand_in"]


class _Flask(ModuleType):
    """What answers to `flask`: Erlen's names, of which one is another."""

    Flask = erlen.Erlen

    def __getattr__(self, name: str) -> t.Any:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return getattr(erlen, name)
        except AttributeError:
            raise AttributeError(
                f"module 'flask' has no attribute {name!r}. While migrations run,"
                " Erlen stands in for Flask: import from erlen what is Erlen's."
            ) from None


def _is_flask(name: str) -> bool:
    return name == "flask" or name.startswith("flask.")


@contextlib.contextmanager
def stand_in() -> cabc.Generator[None]:
    """Let `import flask` get Erlen, in the `with` block.

    A Flask that is installed, or imported already, is there again afterwards. It
    would know nothing of the application whose migrations run.
    """
    before = {name: it for name, it in sys.modules.items() if _is_flask(name)}
    for name in before:
        del sys.modules[name]
    sys.modules["flask"] = _Flask("flask")
    for name in ("cli", "globals", "helpers"):
        sys.modules[f"flask.{name}"] = importlib.import_module(f"erlen.{name}")
    try:
        yield
    finally:
        for name in [name for name in sys.modules if _is_flask(name)]:
            del sys.modules[name]
        sys.modules.update(before)


@contextlib.contextmanager
def keep_logging() -> cabc.Generator[None]:
    """Put logging back as it was, at the end of the `with` block.

    `logging.config.fileConfig`, with which env.py reads alembic.ini, replaces the
    handlers of the root logger and disables all loggers that the file does not name:
    an application that migrates when it starts would log nothing from then on.
    """
    root = logging.getLogger()
    loggers = [
        it for it in root.manager.loggerDict.values() if isinstance(it, logging.Logger)
    ]
    before = [
        (it, it.level, [*it.handlers], it.propagate, it.disabled)
        for it in (root, *loggers)
    ]
    try:
        yield
    finally:
        for logger, level, handlers, propagate, disabled in before:
            logger.setLevel(level)
            logger.handlers[:] = handlers
            logger.propagate, logger.disabled = propagate, disabled
