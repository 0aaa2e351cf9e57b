"""Alembic's configuration as Erlen's commands need it.

It knows Erlen's templates, and prints where the command prints, in colours.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import typing as t

import click
from alembic import config as alembic_config
from alembic.util import CommandError
from alembic.util import template_to_file

if t.TYPE_CHECKING:
    import collections.abc as cabc

__all__ = ["Config", "find_template", "list_templates", "make_config", "make_folder"]

_TEMPLATES = os.path.join(os.path.dirname(__file__), "templates")

# COMPAT: the names that Flask-Migrate's users give.
_ALIASES = {
    "flask": "erlen",
    "flask-multidb": "erlen-multidb",
    "aioflask": "erlen",
    "aioflask-multidb": "erlen-multidb",
}

# What Alembic's texts say of a revision, and a revision at the beginning of a line.
_MARKS = re.compile(r"\((?:effective )?(?:head|current|branchpoint|mergepoint)\)")
_REVISIONS = re.compile(r"(?m)^(?:Rev: )?[0-9a-f]{12}\b")


class Config(alembic_config.Config):
    """A configuration of Alembic.

    Args:
        *args: What `alembic.config.Config` takes.
        template_directory: Where templates are; Erlen's own by default.
        **kwargs: What `alembic.config.Config` takes.
    """

    def __init__(
        self, *args: t.Any, template_directory: str | None = None, **kwargs: t.Any
    ) -> None:
        # Alembic's default is what was the standard output at its import.
        kwargs.setdefault("stdout", sys.stdout)
        super().__init__(*args, **kwargs)
        self.template_directory = template_directory
        self.printed = False

    def get_template_directory(self) -> str:
        """Return the folder that the templates are in."""
        return self.template_directory or _TEMPLATES

    def print_stdout(self, text: str, *arg: t.Any) -> None:
        """Print what a command answers.

        Args:
            text: The text.
            *arg: What the text's placeholders stand for.
        """
        self.printed = True
        text = str(text) % arg if arg else str(text)
        text = _MARKS.sub(lambda it: click.style(it[0], fg="cyan"), text)
        text = _REVISIONS.sub(lambda it: click.style(it[0], fg="yellow"), text)
        click.echo(text, file=self.stdout)


def make_config(
    directory: str, x_arg: t.Any = None, opts: cabc.Iterable[str] | None = None
) -> Config:
    """Make the configuration of a folder of migrations.

    Args:
        directory: The folder.
        x_arg: One `key=value` for env.py, or several.
        opts: Names of switches that env.py finds in `config.cmd_opts`.
    """
    config = Config(os.path.join(directory, "alembic.ini"))
    # A percent sign would begin a placeholder.
    config.set_main_option("script_location", directory.replace("%", "%%"))
    # Alembic's own messages about files are those of its own command.
    options: dict[str, t.Any] = {"quiet": True, "x": None}
    options.update(dict.fromkeys(opts or (), True))
    if x_arg is not None:
        options["x"] = [x_arg] if isinstance(x_arg, str) else [*x_arg]
    config.cmd_opts = argparse.Namespace(**options)
    return config


def find_template(name: str | None, multidb: bool, config: Config) -> str:
    """Find the folder of a template.

    Args:
        name: The template, or the path of one's own: what has a slash is a path.
        multidb: Whether it is for several databases, if no name is given.
        config: The configuration, which knows where templates are.

    Raises:
        CommandError: There is no such template.
    """
    if name is None:
        name = "erlen-multidb" if multidb else "erlen"
    if "/" in name or os.sep in name:
        if not os.path.isfile(os.path.join(name, "env.py")):
            raise CommandError(
                f"The template {name!r} has no env.py. A template of your own is a"
                " folder with env.py, script.py.mako, alembic.ini.mako and README."
            )
        return name
    folder = config.get_template_directory()
    found = os.path.join(folder, _ALIASES.get(name, name))
    if not os.path.isdir(found):
        raise CommandError(
            f"There is no template {name!r}. There are:"
            f" {', '.join(list_templates(config))}; the path of one of your own has a"
            " slash, such as ./template."
        )
    return found


def make_folder(folder: str, template: str, package: bool) -> None:
    """Make a folder of migrations.

    Args:
        folder: Its path.
        template: The folder of the template.
        package: Whether the folders get an `__init__.py`.

    Raises:
        CommandError: The folder has something in it.
    """
    if os.path.isdir(folder) and os.listdir(folder):
        raise CommandError(
            f"The folder {folder} is there, and is not empty. Migrations are made in it"
            " by `erlen db migrate`; for others, name another folder."
        )
    versions = os.path.join(folder, "versions")
    os.makedirs(versions)
    for name in sorted(os.listdir(template)):
        source = os.path.join(template, name)
        if name == "alembic.ini.mako":
            target = os.path.join(folder, "alembic.ini")
            template_to_file(source, target, "utf-8", script_location=folder)
        elif os.path.isfile(source):
            shutil.copyfile(source, os.path.join(folder, name))
    for it in (folder, versions) if package else ():
        with open(os.path.join(it, "__init__.py"), "w", encoding="utf-8"):
            pass


def list_templates(config: Config) -> dict[str, str]:
    """Return the templates, each with one line that says what it is for.

    Args:
        config: The configuration, which knows where templates are.
    """
    found: dict[str, str] = {}
    folder = config.get_template_directory()
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name, "README"), encoding="utf-8") as file:
            found[name] = file.readline().strip()
    return found
