"""Layer 4: the development server: dotenv files, banner, debugger, reloader.

Behind `app.run()` and `erlen run`. Werkzeug serves, or uvicorn over ASGI; what is
added is that only those who may see the debugger do.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import os
import socket
import sys
import traceback
import typing as t
from urllib.parse import urlsplit

import click
from werkzeug import serving
from werkzeug.debug import DebuggedApplication
from werkzeug.exceptions import InternalServerError
from werkzeug.sansio.utils import host_is_trusted
from werkzeug.serving import is_running_from_reloader
from werkzeug.serving import run_simple
from werkzeug.wsgi import ClosingIterator

from .helpers import get_debug_flag
from .helpers import get_load_dotenv

if t.TYPE_CHECKING:
    import collections.abc as cabc
    import ssl
    from wsgiref.types import StartResponse
    from wsgiref.types import WSGIApplication
    from wsgiref.types import WSGIEnvironment

    Address = ipaddress.IPv4Address | ipaddress.IPv6Address
    Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class SettingError(click.ClickException, ValueError):
    """Raised for a setting that the server cannot start with."""


def load_dotenv(
    path: str | os.PathLike[str] | None = None, load_defaults: bool = True
) -> bool:
    """Set environment variables from dotenv files.

    What is set already stays. Of the files, `path` comes first, then `.env`, then
    `.flaskenv`; the latter two are looked for from the current directory upwards.

    Args:
        path: A file to read.
        load_defaults: Whether `.env` and `.flaskenv` are read.

    Returns:
        Whether the files hold anything. False without python-dotenv.
    """
    defaults = (".env", ".flaskenv") if load_defaults else ()
    try:
        import dotenv
    except ImportError:
        if path or any(map(os.path.isfile, defaults)):
            click.secho(
                " * Tip: There are .env files present. Install python-dotenv to use"
                ' them: pip install "erlen[dotenv]"',
                fg="yellow",
                err=True,
            )
        return False
    files = [path, *(dotenv.find_dotenv(name, usecwd=True) for name in defaults)]
    values: dict[str, str | None] = {}
    for file in reversed(files):  # the most important one last
        if file and os.path.isfile(file):
            values |= dotenv.dotenv_values(file, encoding="utf-8")
    for name, value in values.items():
        if value is not None:
            os.environ.setdefault(name, value)
    return bool(values)


def show_server_banner(debug: bool | None, app_import_path: str | None) -> None:
    """Say what is served, unless the reloader has said so already.

    Args:
        debug: Whether debug mode is on; None leaves that line out.
        app_import_path: Where the application is; None leaves that line out.
    """
    if is_running_from_reloader():
        return
    if app_import_path is not None:
        click.echo(f" * Serving Erlen app '{app_import_path}'")
    if debug is not None:
        click.echo(f" * Debug mode: {'on' if debug else 'off'}")


def run(
    app: t.Any,
    host: str | None = None,
    port: int | None = None,
    debug: bool | None = None,
    read_dotenv: bool = True,
    **options: t.Any,
) -> None:
    """Serve `app`; this is `app.run()`.

    Args:
        app: The application.
        host: Address to listen on; by default that of `SERVER_NAME`, or 127.0.0.1.
        port: Port to listen on; by default that of `SERVER_NAME`, or 5000.
        debug: Turns debug mode on or off.
        read_dotenv: Whether dotenv files are read first.
        options: Passed to `serve`.
    """
    if os.environ.get("ERLEN_RUN_FROM_CLI") == "true":
        if not is_running_from_reloader():
            click.secho(
                " * Ignoring a call to 'app.run()' that would block the current"
                " 'erlen' CLI command.\n   Only call 'app.run()' in an 'if __name__"
                ' == "__main__"\' guard.',
                fg="red",
                err=True,
            )
        return
    if get_load_dotenv(read_dotenv):
        load_dotenv()
        if "ERLEN_DEBUG" in os.environ or "FLASK_DEBUG" in os.environ:
            app.debug = get_debug_flag()
    if debug is not None:
        app.debug = bool(debug)
    place = urlsplit(f"//{app.config['SERVER_NAME'] or ''}")
    if port is None:
        port = 5000 if place.port is None else place.port
    host = host or place.hostname or "127.0.0.1"
    serve(app, host, int(port), debug=app.debug, name=app.name, **options)


def serve(
    app: t.Any,
    host: str,
    port: int,
    *,
    debug: bool,
    name: str | None = None,
    **options: t.Any,
) -> None:
    """Run Werkzeug's development server until it is stopped.

    Args:
        app: The application, or a WSGI callable that stands in for it.
        host: Address to listen on, or `unix://` and a path.
        port: Port to listen on; 0 takes a free one.
        debug: Whether reloader and debugger are on, where `options` does not say.
        name: What the banner calls the application.
        options: Passed to `werkzeug.serving.run_simple`: `use_reloader`,
            `use_debugger`, `use_evalex`, `threaded` (True here), `ssl_context`,
            `extra_files`, `exclude_patterns` and others.

    Raises:
        SettingError: `DEBUG_ALLOWED_CLIENTS` has an entry that is no network.
        SystemExit: The port is in use.
    """
    show_server_banner(debug, name)
    options.setdefault("use_reloader", debug)
    options.setdefault("threaded", True)
    evalex = options.pop("use_evalex", True)
    if options.pop("use_debugger", debug):
        app = LocalDebugger(app, getattr(app, "config", {}), evalex)
        app.trusted_hosts.append(host)  # as run_simple does
    run_simple(host, port, app, use_debugger=False, **options)


def serve_asgi(
    app: t.Any,
    host: str,
    port: int,
    *,
    debug: bool,
    name: str | None = None,
    use_reloader: bool = False,
    ssl_context: t.Any = None,
    **options: t.Any,
) -> None:
    """Run uvicorn as the development server until it is stopped.

    Args:
        app: The ASGI application.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        debug: Whether debug mode is on.
        name: What the banner calls the application.
        use_reloader: Whether it starts anew when a file changes.
        ssl_context: For https: a certificate and its key, `"adhoc"` or a context.
        options: Passed to Werkzeug's reloader: `extra_files`, `exclude_patterns`.

    Raises:
        SettingError: uvicorn is missing, or the port is in use.
    """
    try:
        import uvicorn
    except ImportError:
        raise SettingError(
            '--asgi needs uvicorn: pip install "erlen[uvicorn]"'
        ) from None
    show_server_banner(debug, name)
    listener = _listen(host, port)
    if not is_running_from_reloader():
        _say_where(listener, "https" if ssl_context else "http", debug)
    config = uvicorn.Config(
        app,
        interface="asgi3",
        log_config=_request_log(),
        proxy_headers=False,  # PROXY_HOPS decides
        timeout_graceful_shutdown=1,  # an open event stream has no end
        ssl_context_factory=_make_ssl_factory(ssl_context),
    )
    server = uvicorn.Server(config)
    work = functools.partial(server.run, sockets=[listener])
    if use_reloader:
        from werkzeug._reloader import run_with_reloader

        run_with_reloader(work, **options)
        return
    with contextlib.suppress(KeyboardInterrupt):
        work()
    if not server.started:  # it has said why
        raise SystemExit(1)


def _listen(host: str, port: int) -> socket.socket:
    """Return the socket of the process that watches this one, or a new one."""
    if is_running_from_reloader():
        return socket.socket(fileno=int(os.environ["WERKZEUG_SERVER_FD"]))
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()  # or another one could be bound until a worker listens
    except OSError as exc:
        listener.close()
        raise SettingError(
            f"Cannot listen on {host!r}, port {port}: {exc.strerror or exc}. Stop the"
            " program that is there, or give another --port or --host."
        ) from None
    listener.set_inheritable(True)
    os.environ["WERKZEUG_SERVER_FD"] = str(listener.fileno())
    return listener


def _say_where(listener: socket.socket, scheme: str, debug: bool) -> None:
    host, port = listener.getsockname()[:2]
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    click.secho(
        "WARNING: This is a development server. Do not use it in a production"
        " deployment. `erlen serve` is for that.",
        fg="red",
        bold=True,
        err=True,
    )
    if debug:
        click.echo(
            " * The debugger in the browser is for WSGI only: errors are shown here.",
            err=True,
        )
    click.echo(f" * Running on {scheme}://{place} (ASGI)", err=True)
    click.secho("Press CTRL+C to quit", fg="yellow", err=True)


def _request_log() -> dict[str, t.Any]:
    """Let uvicorn log requests, and leave out what the banner says."""
    handler = {"class": "logging.StreamHandler", "formatter": "plain"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"plain": {"format": "%(message)s"}},
        "handlers": {"stderr": handler},
        "loggers": {
            "uvicorn.access": {"handlers": ["stderr"], "level": "INFO"},
            "uvicorn.error": {"handlers": ["stderr"], "level": "WARNING"},
        },
    }


def _make_ssl_factory(given: t.Any) -> t.Callable[..., ssl.SSLContext] | None:
    """Make what uvicorn calls for its TLS context; None is for http."""
    if given is None:
        return None

    def make(*args: t.Any) -> ssl.SSLContext:
        tls: t.Any = serving
        if given == "adhoc":
            context: ssl.SSLContext = tls.generate_adhoc_ssl_context()
        elif isinstance(given, tuple):
            context = tls.load_ssl_context(*t.cast("tuple[str, str]", given))
        else:
            context = given
        return context

    return make


def allowed_clients(config: cabc.Mapping[str, t.Any]) -> list[Network]:
    """Read the networks that may see the debugger, beside the loopback.

    Args:
        config: Holds `DEBUG_ALLOWED_CLIENTS`, addresses and networks as strings.

    Returns:
        The networks.

    Raises:
        SettingError: An entry is neither, or the setting is one string.
    """
    entries = config.get("DEBUG_ALLOWED_CLIENTS") or ()
    networks: list[Network] = []
    for entry in [entries] if isinstance(entries, str) else entries:
        try:
            networks.append(ipaddress.ip_network(str(entry), strict=False))
        except ValueError:
            raise SettingError(
                f"DEBUG_ALLOWED_CLIENTS: {entry!r} is neither an IP address nor a"
                " network. The setting is a list such as ['10.0.0.7',"
                " '172.17.0.0/16']."
            ) from None
    return networks


class LocalDebugger(DebuggedApplication):
    """Werkzeug's debugger for clients who may see it, a plain 500 for all others.

    Clients on the loopback may, and those in `DEBUG_ALLOWED_CLIENTS`. The address is
    the one that the server saw, never a header's; where proxy middleware has put
    another in its place, both must be allowed. The host must be one that no foreign
    page can point here: a local name, an address, `SERVER_NAME` or one of
    `TRUSTED_HOSTS`.

    Args:
        app: The WSGI application to debug.
        config: Its configuration.
        evalex: Whether there are consoles.
    """

    def __init__(
        self,
        app: WSGIApplication,
        config: cabc.Mapping[str, t.Any],
        evalex: bool = True,
    ) -> None:
        self._application = app
        self._networks = allowed_clients(config)
        server_name = urlsplit(f"//{config.get('SERVER_NAME') or ''}").hostname
        self._hosts = [*(config.get("TRUSTED_HOSTS") or ())]
        if server_name:
            self._hosts.append(f".{server_name}")
        super().__init__(
            self._answer, evalex=evalex, console_init_func=lambda: {"app": app}
        )

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> cabc.Iterable[bytes]:
        """Serve a request, under the debugger if its client may see that."""
        if self._may_see(environ):
            return super().__call__(environ, start_response)
        return self._answer(environ, start_response)

    def _answer(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> cabc.Iterator[bytes]:
        """Call the application; only who may see an error gets one to see."""
        try:
            answer = ClosingIterator(self._application(environ, start_response))
            with contextlib.closing(answer) as body:
                for chunk in body:  # noqa: UP028 - `yield from` would close it twice
                    yield chunk
        except Exception:
            # Asked again: middleware may have learnt of a proxy in between.
            if self._may_see(environ):
                raise
            environ["wsgi.errors"].write(
                f"{traceback.format_exc()}"
                f" * The debugger is for local clients, so {environ.get('REMOTE_ADDR')!r}"
                f" at host {environ.get('HTTP_HOST')!r} got a plain 500."
                " DEBUG_ALLOWED_CLIENTS opens it to more clients, SERVER_NAME and"
                " TRUSTED_HOSTS to more hosts.\n"
            )
            page = InternalServerError().get_response(environ)
            plain, status, headers = page.get_wsgi_response(environ)
            start_response(status, headers, sys.exc_info())
            yield from plain

    def _may_see(self, environ: WSGIEnvironment) -> bool:
        original = environ.get("werkzeug.proxy_fix.orig") or environ
        return (
            self._is_near(original.get("REMOTE_ADDR"))
            and self._is_near(environ.get("REMOTE_ADDR"))
            and self._is_own_host(environ.get("HTTP_HOST"))
        )

    def _is_near(self, address: str | None) -> bool:
        ip = _parse_address(address)
        if ip is None:
            return False
        return ip.is_loopback or any(ip in network for network in self._networks)

    def _is_own_host(self, host: str | None) -> bool:
        """Refuse names that DNS may point here for a page of somebody else."""
        if host_is_trusted(host, [*self.trusted_hosts, *self._hosts]):
            return True
        try:
            return _parse_address(urlsplit(f"//{host}").hostname) is not None
        except ValueError:  # "[::1" is no host at all
            return False


def _parse_address(text: str | None) -> Address | None:
    try:
        ip = ipaddress.ip_address(text or "")
    except ValueError:
        return None
    return getattr(ip, "ipv4_mapped", None) or ip
