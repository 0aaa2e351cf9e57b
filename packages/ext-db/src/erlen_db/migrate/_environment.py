"""What a command runs in: the folder of migrations, and what holds meanwhile."""

from __future__ import annotations

import contextlib
import os
import typing as t

import click
from alembic.util import CommandError

from erlen import current_app

from . import _enums
from . import _legacy
from ._guard import guarded
from ._state import current_state
from ._state import group_options

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from ._config import Config

__all__ = ["changing", "environment", "find_folder", "open_folder", "say"]

Directory = str | os.PathLike[str] | None
XArg = str | t.Iterable[str] | None


def say(text: str) -> None:
    """Tell what nobody asked for, and should know."""
    click.secho(text, err=True, fg="yellow")


def find_folder(directory: Directory) -> str:
    """Return the folder that was named to a function, a command, or to `Migrate`."""
    state = current_state()
    return os.fspath(directory or group_options().directory or state.directory)


def open_folder(
    directory: Directory, x_arg: XArg = None, opts: cabc.Iterable[str] = ()
) -> Config:
    """Return the configuration of a folder of migrations that is there."""
    folder = find_folder(directory)
    given = (x_arg,) if isinstance(x_arg, str) else (*(x_arg or ()),)
    x_arg = (*group_options().x_arg, *given) or None
    config = current_state().migrate.get_config(folder, x_arg, opts)
    if config.get_main_option("script_location") == folder and not os.path.isdir(
        folder
    ):
        raise CommandError(
            f"There is no folder of migrations at {os.path.abspath(folder)}."
            " `erlen db init` makes it; if it is elsewhere, name it:"
            " `erlen db --directory PATH ...`."
        )
    return config


@contextlib.contextmanager
def environment() -> cabc.Generator[None]:
    """What holds while env.py, templates and migrations run."""
    args = current_state().configure_args
    before = dict(args)
    args["compare_enums"] = args.get("compare_enums", True)
    args["render_item"] = _make_render(args.get("render_item"))
    try:
        with _legacy.stand_in(), _legacy.keep_logging():
            yield
    finally:
        args.clear()
        args.update(before)


def _make_render(own: t.Any) -> t.Callable[..., t.Any]:
    def render(kind: str, obj: t.Any, context: t.Any) -> t.Any:
        text = own(kind, obj, context) if own is not None else False
        return _enums.render(kind, obj, context) if text is False else text

    return render


@contextlib.contextmanager
def changing(sql: bool, lock_timeout: float | None) -> cabc.Generator[list[t.Any]]:
    """Guard a command that changes databases; yield the steps that were taken."""
    state = current_state()
    steps: list[t.Any] = []

    def note(step: t.Any, **kwargs: t.Any) -> None:
        steps.append(step)

    seconds: float = current_app.config["MIGRATE_LOCK_TIMEOUT"].total_seconds()
    if lock_timeout is not None:
        seconds = lock_timeout
    engines = () if sql else state.db.engines.values()
    with environment(), guarded(engines, seconds, say):
        own = state.configure_args.get("on_version_apply") or ()
        own = (own,) if callable(own) else (*own,)
        state.configure_args["on_version_apply"] = (*own, note)
        yield steps
