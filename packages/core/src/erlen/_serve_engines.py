"""Layer 4: what the process of `erlen serve` is: an engine with an application.

`_serve` puts a fresh interpreter in its own place that calls `main()`. Workers
import the application themselves; the process that watches them never does.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import importlib
import json
import signal
import subprocess
import sys
import traceback
import typing as t

import click

from ._commands import NoAppException
from ._commands import ScriptInfo
from ._lifespan import begin_here

#: What a worker ends with that cannot start; gunicorn and uvicorn know this one.
FAILED = 3


@dataclasses.dataclass(frozen=True)
class Options:
    """What is served, and how; it goes through JSON and pickle."""

    engine: str
    interface: str
    host: str
    port: int
    workers: int
    threads: int | None
    timeout: int
    access_log: bool
    trust_request_id: bool
    health: bool
    app: str | None
    factory: str | None
    set_debug_flag: bool

    @property
    def address(self) -> str:
        """Host and port, as in a URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def command(options: Options, *arguments: str) -> list[str]:
    """Return the command that runs `main` in a fresh interpreter."""
    code = f"from {__name__} import main; main()"
    text = json.dumps(dataclasses.asdict(options))
    return [sys.executable, "-c", code, text, *arguments]


def main() -> None:
    """Serve, or with `--check` try to load the application, and end."""
    options = Options(**json.loads(sys.argv[1]))
    if "--check" in sys.argv:
        load(options)
        return
    code: int = _ENGINES[options.engine](options)
    sys.exit(code)


def load(options: Options) -> t.Any:
    """Import the application, in a worker, and put around it what was asked for.

    Returns:
        A WSGI or an ASGI application.

    Raises:
        SystemExit: It cannot be loaded or started; the reason has been printed.
    """
    try:
        info = ScriptInfo(
            options.app,
            _find(options.factory),
            options.set_debug_flag,
            load_dotenv_defaults=False,  # they are in the environment already
        )
        app = info.load_app()
        if options.interface == "wsgi":
            begin_here(app)
        elif options.threads is not None:
            app.config["ASGI_THREADS"] = options.threads
    except NoAppException as exc:
        exc.show()
    except (Exception, SystemExit):  # noqa: BLE001  (a start-up is anybody's)
        sys.stderr.write(traceback.format_exc())  # in one piece: others fail, too
    else:
        return wrap(app, options)
    sys.stderr.flush()
    raise SystemExit(FAILED)


def _find(name: str | None) -> t.Callable[..., t.Any] | None:
    if name is None:
        return None
    module, _, path = name.partition(":")
    found: t.Any = functools.reduce(
        getattr, path.split("."), importlib.import_module(module)
    )
    return t.cast("t.Callable[..., t.Any]", found)


def wrap(app: t.Any, options: Options) -> t.Any:
    """Return the application's door, inside of access log and health if they are on."""
    wsgi = options.interface == "wsgi"
    served: t.Any = app if wsgi else app.asgi
    if options.access_log:
        from ._access_log import AsgiAccessLog
        from ._access_log import WsgiAccessLog

        log: t.Any = WsgiAccessLog if wsgi else AsgiAccessLog
        served = log(served, options.trust_request_id, app.config["PROXY_HOPS"])
    if options.health:
        from ._health import AsgiHealth
        from ._health import Readiness
        from ._health import WsgiHealth

        health: t.Any = WsgiHealth if wsgi else AsgiHealth
        served = health(served, Readiness(app))
    return served


@contextlib.contextmanager
def stoppable() -> t.Generator[None]:
    """Let a signal end a worker that loads, which its server would not hear yet."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, signal.SIG_DFL) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def loads(options: Options) -> bool:
    """Try in a process of its own whether what is on disk now can be served."""
    if subprocess.run(command(options, "--check"), check=False).returncode == 0:  # noqa: S603  (ours)
        return True
    click.secho("Error: nothing was reloaded; the workers stay.", fg="red", err=True)
    return False


def run_granian(options: Options) -> int:
    """Serve with granian until a signal comes."""
    granian: t.Any = importlib.import_module("granian")
    base: t.Any = granian.Granian

    def respawn(self: t.Any, workers: list[int], *args: t.Any, **more: t.Any) -> None:
        # A worker that was killed is replaced; one that gave up would do so again.
        codes = [getattr(self.wrks[i].inner, "exitcode", None) for i in workers]
        if any(code is not None and code > 0 for code in codes):
            self.shutdown(FAILED)
        base._respawn_workers(self, workers, *args, **more)
        if all(code is None for code in codes):
            # A reload: granian would end all if one of them is killed soon after it.
            self.respawned_wrks.clear()

    threads = options.threads or DEFAULT_THREADS
    logs = copy.deepcopy(granian.log.LOGGING_CONFIG)
    # Standard output is for the access log.
    logs["handlers"]["console"]["stream"] = "ext://sys.stderr"
    server: t.Any = type("Server", (base,), {"_respawn_workers": respawn})(
        "erlen",
        address=options.host,
        port=options.port,
        interface=granian.constants.Interfaces(options.interface),
        workers=options.workers,
        blocking_threads=threads if options.interface == "wsgi" else None,
        log_level=granian.log.LogLevels.warning,
        log_dictconfig=logs,
        workers_kill_timeout=options.timeout,
        respawn_failed_workers=True,
    )

    def reload(*args: t.Any) -> None:
        if loads(options):
            server.signal_handler_reload()

    server.on_startup(functools.partial(signal.signal, signal.SIGHUP, reload))

    def load_here() -> t.Any:
        with stoppable():
            return load(options)

    server.serve(target_loader=load_here, wrap_loader=False)
    return 0


def run_gunicorn(options: Options) -> int:
    """Serve with gunicorn until a signal comes."""
    base: t.Any = importlib.import_module("gunicorn.app.base").BaseApplication
    arbiter: t.Any = importlib.import_module("gunicorn.arbiter").Arbiter
    failed: t.Any = importlib.import_module("gunicorn.errors").HaltServer
    wsgi = options.interface == "wsgi"
    settings = {
        "bind": options.address,
        "workers": options.workers,
        "worker_class": "gthread" if wsgi else "asgi",
        "threads": (options.threads or DEFAULT_THREADS) if wsgi else 1,
        "graceful_timeout": options.timeout,
        "loglevel": "error",
        # PROXY_HOPS decides, and nothing else does.
        "forwarded_allow_ips": "",
        "control_socket_disable": True,
    }

    def configure(self: t.Any) -> None:
        for name, value in settings.items():
            self.cfg.set(name, value)

    def reload(self: t.Any) -> None:
        if loads(options):
            arbiter.handle_hup(self)

    def halt(self: t.Any, *args: t.Any, **more: t.Any) -> None:
        while True:  # until it exits; workers that fail meanwhile interrupt it
            with contextlib.suppress(failed):
                arbiter.halt(self, *args, **more)

    def load_here(self: t.Any) -> t.Any:
        with stoppable():
            return load(options)

    members = {"load_config": configure, "load": load_here}
    application = type("Application", (base,), members)()
    type("Arbiter", (arbiter,), {"handle_hup": reload, "halt": halt})(application).run()
    return 0


def run_uvicorn(options: Options) -> int:
    """Serve with uvicorn until a signal comes."""
    uvicorn: t.Any = importlib.import_module("uvicorn")
    supervisors: t.Any = importlib.import_module("uvicorn.supervisors")
    config = uvicorn.Config(
        functools.partial(load, options),
        factory=True,
        interface="asgi3",
        host=options.host,
        port=options.port,
        workers=options.workers,
        timeout_graceful_shutdown=options.timeout,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
    )
    # With one worker, too: it is replaced when it dies, and SIGHUP reloads.
    base: t.Any = supervisors.Multiprocess

    def init_processes(self: t.Any) -> None:
        base.init_processes(self)
        for process in self.processes:
            # Else the end of a worker that is being asked is noticed five seconds late.
            process.child_conn.close()

    server = type("Server", (base,), {"init_processes": init_processes})
    parent = server(config, [config.bind_socket()])
    parent.run()
    failed = any(process.exitcode == FAILED for process in parent.processes)
    return FAILED if failed else 0


DEFAULT_THREADS = 4

_ENGINES = {
    "granian": run_granian,
    "gunicorn": run_gunicorn,
    "uvicorn": run_uvicorn,
}
