"""Layer 5: `erlen serve`, the application in production behind one of three engines.

It loads the application once, to say at once what is wrong with it, and then puts
a fresh interpreter in its place, which is `_serve_engines`.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import typing as t
from importlib import metadata

import click

from ._commands import ScriptInfo
from ._commands import pass_script_info
from ._serve_engines import DEFAULT_THREADS
from ._serve_engines import Options
from ._serve_engines import command

ENGINES = ("granian", "gunicorn", "uvicorn")


@click.command(
    "serve",
    short_help="Run a production server.",
    epilog="""\b
Examples:
  erlen --app shop serve
  erlen --app "shop:create_app()" serve --workers 4 --health
  erlen --app shop serve --engine uvicorn --host 0.0.0.0""",
)
@click.option(
    "--engine",
    type=click.Choice(ENGINES),
    default="granian",
    show_default=True,
    help="The server to use; each is an extra, such as erlen[granian].",
)
@click.option(
    "--wsgi",
    "interface",
    flag_value="wsgi",
    default=None,
    help="Serve over WSGI, with threads. The default of granian and gunicorn.",
)
@click.option(
    "--asgi",
    "interface",
    flag_value="asgi",
    help="Serve over ASGI, which WebSockets need. The default of uvicorn.",
)
@click.option(
    "--host",
    "-h",
    default="127.0.0.1",
    show_default=True,
    help="The address to bind to.",
)
@click.option(
    "--port",
    "-p",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="The port to bind to; 0 takes a free one.",
)
@click.option(
    "--workers",
    "-w",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="The number of processes.",
)
@click.option(
    "--threads",
    "-t",
    type=click.IntRange(1),
    help=f"Requests at a time in each process: {DEFAULT_THREADS} over WSGI; over ASGI,"
    " for plain functions, by default ASGI_THREADS.",
)
@click.option(
    "--timeout",
    type=click.IntRange(1),
    default=30,
    show_default=True,
    help="Seconds that requests may take to finish when the server is stopped.",
)
@click.option(
    "--access-log/--no-access-log",
    default=True,
    help="Write a line for each request to standard output, and number the requests.",
)
@click.option(
    "--trust-request-id",
    is_flag=True,
    help="Take over an X-Request-ID that comes with a request: a proxy sets it.",
)
@click.option(
    "--health/--no-health",
    default=False,
    help="Answer /healthz and /readyz in front of the application.",
)
@pass_script_info
def serve_command(
    info: ScriptInfo, /, engine: str, interface: str | None, **options: t.Any
) -> None:
    """Run a production server.

    The interface depends on the engine and on --wsgi and --asgi alone, never on what
    is in the application: adding an async view must not change how all others run.
    WSGI is the default where there is a choice, as applications with Flask's API are
    mostly plain functions, and these are fastest in the server's own threads.

    The server's messages go to standard error, the access log to standard output.
    SIGTERM lets requests finish, SIGHUP loads the application anew in new processes.
    """
    interface = interface or ("asgi" if engine == "uvicorn" else "wsgi")
    version = _check_engine(engine, interface)
    app = info.load_app()
    host: str = options.pop("host")
    port = _find_port(host, options.pop("port"))
    served = Options(
        engine=engine,
        interface=interface,
        host=host,
        port=port,
        app=info.app_import_path,
        factory=_name(info.create_app),
        set_debug_flag=info.set_debug_flag,
        **options,
    )
    _show_banner(served, version, info.app_import_path or app.import_name)
    _warn(app, interface)
    sys.stdout.flush()
    sys.stderr.flush()
    arguments = command(served)
    os.execv(arguments[0], arguments)  # noqa: S606  (the interpreter that runs this)


def _check_engine(engine: str, interface: str) -> str:
    """Return the engine's version.

    Raises:
        click.UsageError: It is not there, or cannot do what is asked.
    """
    if (engine, interface) == ("uvicorn", "wsgi"):
        raise click.UsageError(
            "uvicorn serves ASGI only. Leave --wsgi out, or take another one: --engine"
            " granian --wsgi"
        )
    try:
        return metadata.version(engine)
    except metadata.PackageNotFoundError:
        raise click.UsageError(
            f'{engine} is not installed: pip install "erlen[{engine}]"'
        ) from None


def _find_port(host: str, port: int) -> int:
    """Try to bind, so that all engines say alike that they cannot.

    Returns:
        The port; a free one for 0.

    Raises:
        click.ClickException: It is taken, or the host is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as exc:
            raise click.ClickException(
                f"Cannot listen on {host!r}, port {port}: {exc.strerror or exc}. Give"
                " another --port or --host, or stop the program that is there."
            ) from None
        return int(probe.getsockname()[1])


def _name(factory: t.Callable[..., t.Any] | None) -> str | None:
    """Say where workers find the factory of a command line of the user's own."""
    if factory is None:
        return None
    module, name = factory.__module__, getattr(factory, "__qualname__", "")
    found: t.Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is not factory or module == "__main__":
        raise click.UsageError(
            f"Worker processes cannot import the factory {factory!r} of this command"
            " line. Make it a function of a module, or serve by: erlen --app"
            " module:factory serve"
        )
    return f"{module}:{name}"


def _show_banner(options: Options, version: str, name: str) -> None:
    threads: t.Any = options.threads
    if options.interface == "wsgi":
        threads = threads or DEFAULT_THREADS
    workers = f"{options.workers} worker{'s' * (options.workers > 1)}"
    if threads:
        workers += f" x {threads} thread{'s' * (threads > 1)}"
    lines = [
        f"Serving Erlen app {name!r}",
        f"Engine: {options.engine} {version}, {options.interface.upper()}, {workers}",
        f"Address: http://{options.address}, process {os.getpid()}",
        f"Health: {'/healthz, /readyz' if options.health else 'off'}",
        f"Access log: {'standard output' if options.access_log else 'off'}",
    ]
    for line in lines:
        click.echo(f" * {line}", err=True)


def _warn(app: t.Any, interface: str) -> None:
    """Say what is wrong, and may be meant nevertheless."""
    warnings: list[str] = []
    if app.debug:
        warnings.append(
            "Debug mode is on: errors are shown to clients. Take ERLEN_DEBUG and"
            " --debug away."
        )
    with contextlib.suppress(Exception):  # of a URL map of somebody's own
        if interface == "wsgi" and any(it.websocket for it in app.url_map.iter_rules()):
            warnings.append(
                "The application has WebSockets, and WSGI has none: give --asgi."
            )
    for warning in warnings:
        click.secho(f" * Warning: {warning}", fg="yellow", err=True)
