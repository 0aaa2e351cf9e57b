"""Layer 5: the command line: the group `erlen` and its own commands.

How an application is found lives in `_commands`, the server in `_devserver`; what
Flask's users import from here is handed on.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import importlib.util
import os
import platform
import sys
import typing as t

import click
from click.core import ParameterSource
from werkzeug.serving import is_running_from_reloader
from werkzeug.utils import import_string

from . import _state
from ._commands import AppGroup as AppGroup
from ._commands import NoAppException as NoAppException
from ._commands import ScriptInfo as ScriptInfo
from ._commands import find_app_by_string as find_app_by_string
from ._commands import find_best_app as find_best_app
from ._commands import locate_app as locate_app
from ._commands import pass_script_info as pass_script_info
from ._commands import prepare_import as prepare_import
from ._commands import with_appcontext as with_appcontext
from ._devserver import SettingError
from ._devserver import load_dotenv as load_dotenv
from ._devserver import serve
from ._devserver import serve_asgi
from ._devserver import show_server_banner as show_server_banner
from ._inspection import check_command as check_command
from ._inspection import config_command as config_command
from ._inspection import routes_command as routes_command
from ._inspection import secret_command as secret_command
from ._serve import serve_command as serve_command
from .globals import current_app
from .helpers import get_debug_flag

if t.TYPE_CHECKING:
    import ssl
    from importlib.metadata import EntryPoint
    from wsgiref.types import StartResponse
    from wsgiref.types import WSGIApplication
    from wsgiref.types import WSGIEnvironment

    ParamType = click.ParamType[t.Any]
else:
    ParamType = click.ParamType  # generic in newer releases of click only

# The options of the group


def get_version(ctx: click.Context, param: click.Parameter, value: t.Any) -> None:
    """Print the versions of Python, Erlen and Werkzeug, and exit.

    Args:
        ctx: The command's context.
        param: The option.
        value: Whether the option was given.
    """
    if not value or ctx.resilient_parsing:
        return
    click.echo(
        f"Python {platform.python_version()}\n"
        f"Erlen {importlib.metadata.version('erlen')}\n"
        f"Werkzeug {importlib.metadata.version('werkzeug')}",
        color=ctx.color,
    )
    ctx.exit()


version_option = click.Option(
    ["--version"],
    help="Show the Erlen version.",
    expose_value=False,
    callback=get_version,
    is_flag=True,
    is_eager=True,
)


def _set_app(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.ensure_object(ScriptInfo).app_import_path = value


def _set_debug(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    source = ctx.get_parameter_source(str(param.name))
    if source in {ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT}:
        # In the environment the reloader's process sees it, too.
        os.environ["ERLEN_DEBUG"] = "1" if value else "0"


def _read_env_file(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> None:
    info = ctx.ensure_object(ScriptInfo)
    if importlib.util.find_spec("dotenv") is None:
        if value is not None:
            raise click.BadParameter(
                "python-dotenv must be installed to load an env file:"
                ' pip install "erlen[dotenv]"',
                ctx=ctx,
                param=param,
            )
        if ctx.resilient_parsing:
            return  # no tip while the shell completes a line
    if value is not None or info.load_dotenv_defaults:
        load_dotenv(value, load_defaults=info.load_dotenv_defaults)


_env_file_option = click.Option(
    ["-e", "--env-file"],
    type=click.Path(exists=True, dir_okay=False),
    help="Load environment variables from this file, taking precedence over those set"
    " by '.env' and '.flaskenv'. Variables set directly in the environment take"
    " highest precedence. python-dotenv must be installed.",
    envvar=["ERLEN_ENV_FILE", "FLASK_ENV_FILE"],
    is_eager=True,
    expose_value=False,
    callback=_read_env_file,
)

_app_option = click.Option(
    ["-A", "--app"],
    metavar="IMPORT",
    help="The Erlen application or factory function to load, in the form"
    " 'module:name'. Module can be a dotted import or file path. Name is not required"
    " if it is 'app', 'application', 'create_app', or 'make_app', and can be"
    " 'name(args)' to pass arguments.",
    envvar=["ERLEN_APP", "FLASK_APP"],
    is_eager=True,
    expose_value=False,
    callback=_set_app,
)

_debug_option = functools.partial(
    click.Option,
    ["--debug/--no-debug"],
    help="Set debug mode.",
    expose_value=False,
    callback=_set_debug,
)


# The group

#: Where click's context has the application whose command was found.
_APP = "erlen.cli.app"
#: Where it has whether the application can be loaded.
_LOADED = "erlen.cli.loaded"

# COMPAT: Flask has no commands of these names, so an application's own ones win.
_YIELDING = (check_command, config_command, secret_command, serve_command)


class ErlenGroup(AppGroup):
    """A group that knows the application: its commands and those of plugins.

    Args:
        add_default_commands: Whether `check`, `config`, `routes`, `run`, `secret`,
            `serve` and `shell` are there.
        create_app: Called without arguments for the application, instead of an
            import.
        add_version_option: Whether `--version` is there.
        load_dotenv: Whether `.env` and `.flaskenv` are read.
        set_debug_flag: Whether `app.debug` is set from the environment.
        extra: Passed to `click.Group`.
    """

    def __init__(
        self,
        add_default_commands: bool = True,
        create_app: t.Callable[..., t.Any] | None = None,
        add_version_option: bool = True,
        load_dotenv: bool = True,
        set_debug_flag: bool = True,
        **extra: t.Any,
    ) -> None:
        params = [
            *(extra.pop("params", None) or ()),
            *(_env_file_option, _app_option),
            _debug_option(allow_from_autoenv=False),  # `get_debug_flag` reads it
        ]
        if add_version_option:
            params.append(version_option)
        settings: dict[str, t.Any] = extra.pop("context_settings", None) or {}
        settings = {"auto_envvar_prefix": "ERLEN"} | settings
        super().__init__(params=params, context_settings=settings, **extra)
        self.create_app = create_app
        self.load_dotenv = load_dotenv
        self.set_debug_flag = set_debug_flag
        if add_default_commands:
            for command in (run_command, shell_command, routes_command, *_YIELDING):
                self.add_command(command)

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: t.Any,
    ) -> click.Context:
        """Parse the arguments, with a `ScriptInfo` as click's object.

        Args:
            info_name: What the group is called in help and errors.
            args: The arguments to parse.
            parent: The context of the command around this one.
            extra: Passed to `click.Context`.

        Returns:
            The context that the commands run in.
        """
        # An `app.run()` without a guard must not block the import of its module.
        os.environ["ERLEN_RUN_FROM_CLI"] = "true"
        if "obj" not in extra and "obj" not in self.context_settings:
            extra["obj"] = ScriptInfo(
                create_app=self.create_app,
                set_debug_flag=self.set_debug_flag,
                load_dotenv_defaults=self.load_dotenv,
            )
        return super().make_context(info_name, args, parent=parent, **extra)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name all commands: own ones, those of plugins and of the application.

        An error of the application is printed, and its commands are left out.
        """
        names = {*super().list_commands(ctx), *self._plugins}
        try:
            names.update(_script_info(ctx).load_app().cli.list_commands(ctx))
        except NoAppException as exc:
            ctx.meta[_LOADED] = False
            if not ctx.resilient_parsing:
                exc.show()
                click.echo(err=True)
        return sorted(names)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Find a command: of a plugin, of this group, then of the application.

        An application's own `check`, `config`, `secret` and `serve` win over Erlen's.

        Raises:
            UserCodeError: The application might have it, and cannot be loaded.
        """
        entry = self._plugins.pop(cmd_name, None)
        if entry is not None:
            self.add_command(_load_plugin(entry), cmd_name)
        command = super().get_command(ctx, cmd_name)
        if command is None:
            command = self._get_app_command(ctx, cmd_name)
        elif command in _YIELDING and self._can_load_app(ctx):
            command = self._get_app_command(ctx, cmd_name) or command
        if command is not None and ctx.auto_envvar_prefix == "ERLEN":
            _name_variables(command, cmd_name)
        return command

    def _can_load_app(self, ctx: click.Context) -> bool:
        """Try it once and say nothing: some commands do without, others will tell."""
        if _LOADED not in ctx.meta:
            ctx.meta[_LOADED] = False
            with contextlib.suppress(Exception, SystemExit):
                # What the application prints must not get into JSON.
                with contextlib.redirect_stdout(sys.stderr):
                    _script_info(ctx).load_app()
                ctx.meta[_LOADED] = True
        return t.cast("bool", ctx.meta[_LOADED])

    def _get_app_command(self, ctx: click.Context, name: str) -> click.Command | None:
        try:
            app = _script_info(ctx).load_app()
        except NoAppException as exc:
            if ctx.resilient_parsing:
                return None
            if exc.exit_code == 1:
                raise  # the user's own error says more than "no such command"
            exc.show()
            click.echo(err=True)
            return None
        command: click.Command | None = app.cli.get_command(ctx, name)
        ctx.meta[_APP] = command and app
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is called, and push the context for its options."""
        name, command, args = super().resolve_command(ctx, args)
        app = ctx.meta.get(_APP)
        app_ctx = _state.current.get()[0]
        if app is not None and (app_ctx is None or app_ctx.app is not app):
            ctx.with_resource(app.app_context())
        return name, command, args

    @functools.cached_property
    def _plugins(self) -> dict[str, EntryPoint]:
        """The entry points of commands that were not asked for yet."""
        entry_points = importlib.metadata.entry_points
        return {
            entry.name: entry
            for group in ("flask.commands", "erlen.commands")  # the latter wins
            for entry in entry_points(group=group)
        }


def _script_info(ctx: click.Context) -> ScriptInfo:
    """Return the script info; `--help` may have come before its options."""
    for option in (_env_file_option, _app_option):
        if ctx.get_parameter_source(str(option.name)) is None:
            option.handle_parse_result(ctx, {}, [])
    return ctx.ensure_object(ScriptInfo)


def _load_plugin(entry: EntryPoint) -> click.Command:
    """Load a command; one that cannot be loaded says so when it is called."""
    try:
        return t.cast("click.Command", entry.load())
    except Exception as exc:  # noqa: BLE001 - a plugin may raise anything
        error = click.ClickException(
            f"The command {entry.name!r} could not be loaded from {entry.value!r}:"
            f" {type(exc).__name__}: {exc}"
        )

    def fail(*args: t.Any, **kwargs: t.Any) -> t.NoReturn:
        raise error

    return click.Command(
        entry.name,
        callback=fail,
        help=error.message,
        short_help="(could not be loaded)",
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )


def _name_variables(command: click.Command, path: str) -> None:
    """Let `FLASK_RUN_PORT` stand in for `ERLEN_RUN_PORT`, for each option.

    click's `auto_envvar_prefix` knows one prefix, an option's own list any number.
    """
    for param in command.params:
        if isinstance(param, click.Option) and param.allow_from_autoenv:
            own = param.envvar or ()
            words = f"{path}_{param.name}".upper().replace("-", "_")
            names = (f"ERLEN_{words}", f"FLASK_{words}")
            given = (own,) if isinstance(own, str) else own
            param.envvar = list(dict.fromkeys((*given, *names)))
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            _name_variables(child, f"{path}_{name}")


# run


class CertParamType(ParamType):
    """A certificate: a file, `adhoc`, or the import name of an `ssl.SSLContext`."""

    name = "path"

    def __init__(self) -> None:
        self.path_type = click.Path(exists=True, dir_okay=False, resolve_path=True)

    def convert(
        self, value: t.Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> t.Any:
        """Return an absolute path, `"adhoc"` or the context.

        Args:
            value: What was given.
            param: The option.
            ctx: The command's context.

        Raises:
            click.BadParameter: It is none of these, or a library is missing.
        """
        try:
            import ssl
        except ImportError:
            raise click.BadParameter(
                'Using "--cert" requires Python to be compiled with SSL support.',
                ctx,
                param,
            ) from None
        try:
            return self.path_type.convert(value, param, ctx)
        except click.BadParameter:
            if str(value).lower() == "adhoc":
                if importlib.util.find_spec("cryptography") is None:
                    raise click.BadParameter(
                        "Using ad-hoc certificates requires the cryptography library:"
                        " pip install cryptography",
                        ctx,
                        param,
                    ) from None
                return "adhoc"
            imported = import_string(value, silent=True)
            if isinstance(imported, ssl.SSLContext):
                return imported
            raise


def _pair_key(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> str | None:
    """Check that a key is given if, and only if, the certificate is a file."""
    cert: str | ssl.SSLContext | None = ctx.params.get("cert")
    reason = None
    if cert is None:
        reason = value and '"--cert" must also be specified.'
    elif cert == "adhoc":
        reason = value and 'When "--cert" is "adhoc", "--key" is not used.'
    elif not isinstance(cert, str):
        reason = value and 'When "--cert" is an SSLContext object, "--key" is not used.'
    elif value is None:
        reason = 'Required when using "--cert".'
    if reason:
        raise click.BadParameter(reason, ctx, param)
    return value


class SeparatedPathType(click.Path):
    """Paths in one string, separated as in PATH: by `:`, on Windows by `;`."""

    def convert(
        self, value: t.Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> t.Any:
        """Return the list of paths.

        Args:
            value: What was given.
            param: The option.
            ctx: The command's context.

        Raises:
            click.BadParameter: One of them is not such a path.
        """
        convert = super().convert
        return [convert(item, param, ctx) for item in self.split_envvar_value(value)]


def _failing_app(error: BaseException) -> WSGIApplication:
    """Return a WSGI application that raises the error of the one it stands in for."""
    tb = error.__traceback__

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> t.NoReturn:
        raise error.with_traceback(tb)

    return app


async def _failing_door(scope: t.Any, receive: t.Any, send: t.Any) -> None:
    """Stand in for an ASGI application that could not be loaded."""
    if scope["type"] == "http":
        text = b"The application could not be loaded. The terminal shows why.\n"
        headers = [(b"content-type", b"text/plain; charset=utf-8")]
        await send({"type": "http.response.start", "status": 500, "headers": headers})
        await send({"type": "http.response.body", "body": text})
    elif scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1011})


@click.command(
    "run",
    short_help="Run a development server.",
    epilog="""\b
Examples:
  erlen run --debug
  erlen --app shop.web run --port 8000
  erlen run --cert adhoc --extra-files config.toml""",
)
@click.option(
    "--host",
    "-h",
    default="127.0.0.1",
    show_default=True,
    help="The interface to bind to.",
)
@click.option(
    "--port", "-p", default=5000, show_default=True, help="The port to bind to."
)
@click.option(
    "--cert",
    type=CertParamType(),
    is_eager=True,
    help="Specify a certificate file to use HTTPS, or 'adhoc' to make one up.",
)
@click.option(
    "--key",
    type=click.Path(exists=True, dir_okay=False, resolve_path=True),
    callback=_pair_key,
    help="The key file to use when specifying a certificate.",
)
@click.option(
    "--reload/--no-reload",
    default=None,
    help="Enable or disable the reloader. By default the reloader is active if debug"
    " is enabled.",
)
@click.option(
    "--debugger/--no-debugger",
    default=None,
    help="Enable or disable the debugger. By default the debugger is active if debug"
    " is enabled. Only local clients see it, and those in DEBUG_ALLOWED_CLIENTS.",
)
@click.option(
    "--with-threads/--without-threads",
    default=True,
    help="Enable or disable multithreading.",
)
@click.option(
    "--asgi/--wsgi",
    default=False,
    help="Serve over ASGI, with uvicorn. The debugger is for WSGI only.",
)
@click.option(
    "--extra-files",
    type=SeparatedPathType(),
    help="Extra files that trigger a reload on change. Multiple paths are separated by"
    f" {os.path.pathsep!r}.",
)
@click.option(
    "--exclude-patterns",
    type=SeparatedPathType(),
    help="Files matching these fnmatch patterns will not trigger a reload on change."
    f" Multiple patterns are separated by {os.path.pathsep!r}.",
)
@pass_script_info
def run_command(
    info: ScriptInfo,
    host: str,
    port: int,
    cert: str | ssl.SSLContext | None,
    key: str | None,
    reload: bool | None,
    debugger: bool | None,
    with_threads: bool,
    asgi: bool,
    extra_files: list[str] | None,
    exclude_patterns: list[str] | None,
) -> None:
    """Run a local development server.

    This server is for development purposes only. It does not provide the stability,
    security, or performance of production servers: 'erlen serve' does.

    The reloader and debugger are enabled by default with the '--debug' option.
    """
    if asgi and (debugger or not with_threads):
        option = "--debugger" if debugger else "--without-threads"
        raise SettingError(f"{option} is for WSGI only: leave it or --asgi out.")
    try:
        app = info.load_app()
    except NoAppException as exc:
        if not is_running_from_reloader():
            raise
        # Shown now and to whoever asks for a page; the next change is a new try.
        exc.show()
        app = _failing_app(exc.__cause__ or exc)
    debug = get_debug_flag()
    options: dict[str, t.Any] = {
        "debug": debug,
        "name": info.app_import_path,
        "use_reloader": debug if reload is None else reload,
        "ssl_context": (cert, key) if key else cert,
        "extra_files": extra_files,
        "exclude_patterns": exclude_patterns,
    }
    if asgi:
        serve_asgi(getattr(app, "asgi", _failing_door), host, port, **options)
    else:
        debugger = debug if debugger is None else debugger
        options |= {"use_debugger": debugger, "threaded": with_threads}
        serve(app, host, port, **options)


run_command.params.insert(0, _debug_option())


# shell


@click.command("shell", short_help="Run a shell in the app context.")
@with_appcontext
def shell_command() -> None:
    """Run an interactive Python shell in the context of the application.

    The application will populate the default namespace of this shell according to its
    configuration.

    This is useful for executing small snippets of management code without having to
    manually configure the application.
    """
    import code

    names: dict[str, t.Any] = {}
    startup = os.environ.get("PYTHONSTARTUP")
    if startup and os.path.isfile(startup):
        with open(startup, encoding="utf-8") as file:
            exec(compile(file.read(), startup, "exec"), names)  # noqa: S102 - as `python`
    names.update(current_app.make_shell_context())
    _start_readline(names)
    code.interact(
        banner=f"Python {sys.version} on {sys.platform}\n"
        f"App: {current_app.import_name}\n"
        f"Instance: {current_app.instance_path}",
        local=names,
    )


def _start_readline(names: dict[str, t.Any]) -> None:
    """Set up history and the tab key as `python` does, the latter with `names`."""
    hook = getattr(sys, "__interactivehook__", None)
    if hook is None:
        return
    try:
        import readline
        from rlcompleter import Completer
    except ImportError:
        pass
    else:
        readline.set_completer(Completer(names).complete)
    hook()


# The command

cli = ErlenGroup(
    name="erlen",
    help="""A general utility script for Erlen applications.

An application to load must be given with the '--app' option, the 'ERLEN_APP'
environment variable, or with a 'wsgi.py' or 'app.py' file in the current directory.
""",
    epilog="""\b
Examples:
  erlen run --debug
  erlen --app shop.web:create_app routes
  erlen --app "shop.web:create_app('test')" shell

\b
Completion, for bash (zsh and fish alike):
  eval "$(_ERLEN_COMPLETE=bash_source erlen)\"""",
)


def main() -> None:
    """Run the command line; this is what the script `erlen` calls."""
    cli.main()


# COMPAT: the name that Flask's users import.
FlaskGroup = ErlenGroup
