"""Layer 5: the commands that show an application: `check`, `config`, `routes`, `secret`.

What they show is found elsewhere; here it becomes text for people, or JSON.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import json
import sys
import textwrap
import typing as t

import click

from ._checks import LEVELS
from ._checks import Problem
from ._checks import hide_passwords
from ._checks import run_checks
from ._commands import NoAppException
from ._commands import ScriptInfo
from ._commands import pass_script_info
from ._commands import with_appcontext
from ._settings import SECRET_NAME
from ._settings import ConfigError
from ._settings import describe
from .globals import current_app

if t.TYPE_CHECKING:
    from werkzeug.routing import Rule

    from .config import Config

_FORMATS = click.Choice(["text", "json"])
_format_option = click.option("--format", type=_FORMATS, default="text")
_WRAPPER = textwrap.TextWrapper(
    80, " " * 4, " " * 4, break_long_words=False, break_on_hyphens=False
)


def _command(name: str, *examples: str) -> t.Callable[[t.Any], click.Command]:
    epilog = "\n  ".join(("\b\nExamples:", *examples))
    return click.command(name, epilog=epilog)


# check

_COLOURS = {"error": "red", "warning": "yellow", "info": "blue"}


@_command(
    "check", "erlen check --deploy --fail-level warning", "erlen check --format json"
)
@click.option("--deploy", is_flag=True, help="Check what matters in production, too.")
@click.option(
    "--fail-level",
    type=click.Choice(LEVELS),
    default="error",
    help="The least grave problem that makes the exit code 1.",
)
@click.option("--silence", metavar="ID", multiple=True, help="Leave a check out.")
@_format_option
@pass_script_info
def check_command(
    info: ScriptInfo,
    deploy: bool,
    fail_level: str,
    silence: tuple[str, ...],
    format: str,
) -> None:
    """Look for mistakes in the set-up.

    Prints what is wrong, gravest first, and the cure. Errors make the exit code 1.
    """
    with contextlib.redirect_stdout(sys.stderr):  # what checks print is no answer
        problems = _find_problems(info, deploy, silence)
    counts = dict.fromkeys(LEVELS, 0)
    for problem in problems:
        counts[problem.level] += 1
    if format == "json":
        answer = {"problems": [vars(it) for it in problems], "counts": counts}
        click.echo(json.dumps(answer, indent=2))
    else:
        _show(problems, counts, deploy)
    if any(counts[level] for level in LEVELS[: LEVELS.index(fail_level) + 1]):
        sys.exit(1)


def _find_problems(
    info: ScriptInfo, deploy: bool, silence: tuple[str, ...]
) -> list[Problem]:
    from .extension import ContractError

    try:
        return run_checks(info.load_app(), deploy, silence)
    except NoAppException as exc:
        cause = exc.__cause__
        if not isinstance(cause, (ConfigError, ContractError)):
            raise
        texts = getattr(cause, "problems", (str(cause),))
    cure = "Mend it as it says. All other checks need an application that starts."
    return [Problem("error", text, cure, "core.settings") for text in texts]


def _show(problems: list[Problem], counts: dict[str, int], deploy: bool) -> None:
    for problem in problems:
        click.secho(f"{problem.level}: {problem.id}", fg=_COLOURS[problem.level])
        click.echo(_WRAPPER.fill(problem.what))
        click.echo(f"{_WRAPPER.fill(f'Cure: {problem.cure}')}\n")
    found = [f"{n} {level}{'s' * (n > 1)}" for level, n in counts.items() if n]
    more = "" if deploy else " Use '--deploy' to check for production, too."
    click.secho(f"{', '.join(found) or 'No problems'} found.{more}", bold=True)


# config


class _Plain(str):
    """Text that is shown without quotes, because it is not the value itself."""

    __slots__ = ()
    __repr__ = str.__str__


def _shown(value: t.Any, secret: object = False) -> t.Any:
    """Return what may be shown of a value, in types that JSON has."""
    if value is None or isinstance(value, bool):
        return value
    if secret:
        text = isinstance(value, (str, bytes))
        kind = f"{len(value)} characters" if text else f"of type {type(value).__name__}"
        return _Plain(f"(hidden, {kind})")
    if isinstance(value, cabc.Mapping):
        items = t.cast("t.Any", value).items()
        return {str(key): _shown(it, SECRET_NAME.search(str(key))) for key, it in items}
    if isinstance(value, (list, tuple)):
        return [_shown(it) for it in t.cast("cabc.Sequence[t.Any]", value)]
    if isinstance(value, str):
        return hide_passwords(value)
    number = isinstance(value, (int, float))
    return value if number else _Plain(hide_passwords(repr(value)))


def _describe(config: Config, key: str) -> dict[str, t.Any]:
    setting = config.settings.get(key)
    secret = (setting and setting.secret) or SECRET_NAME.search(key)
    value = config.get(key)
    return {
        "value": _shown(value, secret) if key in config else _Plain("(not set)"),
        "origin": config.origin(key) if key in config else None,
        "type": describe(setting.type) if setting else type(value).__name__,
        "doc": setting.doc if setting else "Not declared.",
        "owner": setting and setting.owner,
    }


@_command("config", "erlen config SESSION_ TRUSTED_HOSTS", "erlen config --changed")
@click.argument("prefixes", metavar="[PREFIX]...", nargs=-1)
@click.option("--changed", is_flag=True, help="Leave out what has its default value.")
@_format_option
@with_appcontext
def config_command(prefixes: tuple[str, ...], changed: bool, format: str) -> None:
    """Show the settings and where they come from.

    With PREFIX only those whose names start with it. Secrets are hidden.
    """
    config = current_app.config
    start = tuple(prefix.upper() for prefix in prefixes) or ""
    found: dict[str, dict[str, t.Any]] = {}
    for key in sorted(filter(str.isupper, map(str, {*config, *config.settings}))):
        setting = config.settings.get(key)
        same = setting and config.get(key) == setting.default
        if key.startswith(start) and not (changed and same):
            found[key] = _describe(config, key)
    if format == "json":
        click.echo(json.dumps(found, indent=2))
        return
    for key, it in found.items():
        click.secho(_WRAPPER.fill(f"{key} = {it['value']!r}").lstrip(), bold=True)
        click.echo(_WRAPPER.fill(f"{it['type']}, from {it['origin']}. {it['doc']}"))
    if not found:
        click.echo("There are no such settings.")


# secret


@_command("secret", 'echo "ERLEN_SECRET_KEY=$(erlen secret)" >> .env')
def secret_command() -> None:
    """Print a new secret key.

    It is random, 64 hexadecimal digits long, and stored nowhere.
    """
    import secrets

    click.echo(secrets.token_hex(32))


# routes

_SORT_KEYS: dict[str, t.Callable[[Rule], t.Any]] = {
    "endpoint": lambda rule: rule.endpoint,
    "methods": lambda rule: sorted(rule.methods or ()),
    "domain": lambda rule: rule.host or rule.subdomain or "",
    "rule": lambda rule: rule.rule,
    "match": lambda rule: 0,
}
Column = tuple[str, t.Callable[["Rule"], str]]


@click.command(
    "routes",
    short_help="Show the routes for the app.",
    epilog="""\b
Examples:
  erlen routes --sort rule
  erlen --app shop.web routes --all-methods""",
)
@click.option(
    "--sort",
    "-s",
    type=click.Choice(list(_SORT_KEYS)),
    default="endpoint",
    help="Method to sort routes by. 'match' is the order that Erlen will match routes"
    " when dispatching a request.",
)
@click.option("--all-methods", is_flag=True, help="Show HEAD and OPTIONS methods.")
@with_appcontext
def routes_command(sort: str, all_methods: bool) -> None:
    """Show all registered routes with endpoints and methods."""
    rules = sorted(current_app.url_map.iter_rules(), key=_SORT_KEYS[sort])
    if rules:
        columns = _columns(rules, set() if all_methods else {"HEAD", "OPTIONS"})
        rows = [[show(rule) for _, show in columns] for rule in rules]
        _show_table([title for title, _ in columns], rows)
    else:
        click.echo("No routes were registered.")
    if current_app._mounts:
        click.echo()
        mounts = [[prefix, _name(mounted)] for prefix, mounted in current_app._mounts]
        _show_table(["Mounted at", "Application"], mounts)


def _columns(rules: list[Rule], hidden: set[str]) -> list[Column]:
    columns: list[Column] = [
        ("Endpoint", lambda rule: rule.endpoint),
        ("Methods", lambda rule: ", ".join(_methods(rule, hidden))),
    ]
    if current_app.url_map.host_matching:
        columns.append(("Host", lambda rule: rule.host or ""))
    elif any(rule.subdomain for rule in rules):
        columns.append(("Subdomain", lambda rule: rule.subdomain or ""))
    columns += [_added_column(*it) for it in current_app._route_columns.items()]
    return [*columns, ("Rule", lambda rule: rule.rule)]


def _methods(rule: Rule, hidden: set[str]) -> list[str]:
    return ["WEBSOCKET"] if rule.websocket else sorted((rule.methods or set()) - hidden)


def _added_column(title: str, function: t.Callable[..., t.Any]) -> Column:
    failed: list[Exception] = []

    def show(rule: Rule) -> str:
        try:
            value = function(rule, current_app.view_functions.get(rule.endpoint))
            return "" if value is None else str(value)
        except Exception as exc:  # noqa: BLE001  (a column is anybody's)
            kind = type(exc).__name__
            if not failed:
                text = f"The column {title!r} raised {kind} for {rule.rule!r}: {exc}"
                click.secho(text, err=True, fg="yellow")
            failed.append(exc)
            return kind

    return title, show


def _name(application: t.Any) -> str:
    return getattr(application, "__qualname__", None) or repr(application)


def _show_table(head: list[str], rows: list[list[str]]) -> None:
    widths = [max(map(len, cells)) for cells in zip(head, *rows, strict=True)]

    def line(cells: t.Iterable[str]) -> str:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        return "  ".join(padded).rstrip()

    click.secho(line(head), bold=True)
    click.secho(line("-" * width for width in widths), dim=True)
    for row in rows:
        click.echo(line(row))
