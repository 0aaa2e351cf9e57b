"""Turns what Alembic says into words for people, with the command that helps."""

from __future__ import annotations

import functools
import sys
import typing as t

import click
from alembic.script import revision
from alembic.util import CommandError

__all__ = ["catch_errors", "explain"]

F = t.TypeVar("F", bound=t.Callable[..., t.Any])

_CURES: dict[type[Exception], str] = {
    revision.MultipleHeads: (
        "Several revisions are the last of their line: `erlen db heads` shows them, and"
        " `erlen db merge heads` joins them."
    ),
    revision.ResolutionError: (
        "`erlen db history` shows those in this folder. If the database names it, its"
        " file is missing here: get it back, or say with `erlen db stamp --purge"
        " REVISION` what the database is like."
    ),
}
_BEHIND = "Target database is not up to date."


def explain(exc: Exception) -> str:
    """Return what an error says, and what to do about it.

    Args:
        exc: An error of Alembic or of ours.
    """
    text, context = str(exc), exc.__context__
    if isinstance(context, CommandError):  # a template's own, which Alembic hides
        return explain(context)
    if text == _BEHIND:
        return (
            "The database has not run all migrations, so models cannot be compared"
            " with it. Run `erlen db upgrade` first."
        )
    for kind, cure in _CURES.items():
        if isinstance(exc.__cause__, kind):
            return f"{text.rstrip('.')}. {cure}"
    return text


def catch_errors(f: F) -> F:
    """Let a function print what went wrong and end with exit code 1.

    Args:
        f: The function. What it raises of Alembic's `CommandError` and of
            `RuntimeError` is caught.
    """

    @functools.wraps(f)
    def wrapped(*args: t.Any, **kwargs: t.Any) -> t.Any:
        try:
            return f(*args, **kwargs)
        except (CommandError, RuntimeError) as exc:
            click.secho(f"Error: {explain(exc)}", fg="red", err=True)
            sys.exit(1)

    return t.cast("F", wrapped)
