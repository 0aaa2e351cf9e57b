"""Keeps the newest revision in a file, so that git sees when two were made at once.

Two branches that each add a revision touch different files, so git merges them, and
the two heads are met by whoever deploys. Both change this file: that is a conflict.
"""

from __future__ import annotations

import os
import re
import typing as t

if t.TYPE_CHECKING:
    from alembic.script import ScriptDirectory

__all__ = ["check", "path", "read", "write"]

_NAME = "HEAD"
_CONFLICT = re.compile(r"^(<{7}|={7}|>{7})", re.MULTILINE)


def path(script: ScriptDirectory) -> str:
    """Return where the file is: `HEAD` in the folder of migrations."""
    return os.path.join(script.dir, _NAME)


def write(script: ScriptDirectory) -> str:
    """Write the heads of the folder into its file, one a line.

    To be called after each command that adds or merges revisions, with the script
    directory that did it or with a fresh one.

    Args:
        script: The folder of migrations.

    Returns:
        The path of the file.
    """
    target = path(script)
    text = "".join(f"{head}\n" for head in sorted(script.get_heads()))
    with open(target, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)
    return target


def read(script: ScriptDirectory) -> tuple[str, ...] | None:
    """Return the revisions that the file names, sorted; None if there is no file.

    Args:
        script: The folder of migrations.

    Raises:
        RuntimeError: Git left a conflict in the file.
    """
    try:
        with open(path(script), encoding="utf-8") as file:
            text = file.read()
    except FileNotFoundError:
        return None
    if _CONFLICT.search(text):
        raise RuntimeError(
            f"{path(script)} has a conflict: two branches each added a revision. Run"
            " `erlen db merge heads`, or set `down_revision` of one to the other and"
            " run `erlen db heads`; both write the file anew."
        )
    return tuple(sorted(line.strip() for line in text.splitlines() if line.strip()))


def check(script: ScriptDirectory) -> list[str]:
    """Say what is wrong with the heads of a folder of migrations.

    A folder without revisions needs no file. More than one head is fine where the
    file names them all, for then somebody wanted branches.

    Args:
        script: The folder of migrations.

    Returns:
        The problems, each a sentence that tells its cure. Empty when all is well.
    """
    heads = tuple(sorted(script.get_heads()))
    try:
        named = read(script)
    except RuntimeError as exc:
        return [str(exc)]
    if named == heads or (named is None and not heads):
        return []
    where = path(script)
    if named is None:
        problem = (
            f"{where} is missing, so git cannot see when two branches each add a"
            " revision. `erlen db heads` writes it; commit it."
        )
    elif len(heads) > max(1, len(named)):
        problem = (
            f"{where} names {_list(named)}, but the revisions end in {_list(heads)}:"
            " two follow the same one. Run `erlen db merge heads`."
        )
    else:
        problem = (
            f"{where} names {_list(named)}, but the revisions end in {_list(heads)}."
            " `erlen db heads` writes it anew; commit it."
        )
    return [problem]


def _list(heads: tuple[str, ...]) -> str:
    return ", ".join(heads) or "nothing"
