"""Layer 2: App, the declaring side of an application.

Configuration, rules, blueprints, template environment and commands: all that
is said before the first request. How requests are served is `_serving`'s.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
import threading
import typing as t
import weakref
from collections import defaultdict
from datetime import timedelta

from werkzeug.datastructures import ImmutableDict
from werkzeug.exceptions import Aborter
from werkzeug.routing import Map
from werkzeug.routing import Rule
from werkzeug.utils import cached_property
from werkzeug.utils import redirect as werkzeug_redirect

from . import _state
from ._defaults import SETTINGS
from ._extensible import Extensible
from ._hooks import CallbackList
from ._lazy import lazy
from ._matcher import Matcher
from ._routes import BoundHosts
from ._routes import OwnedPrefixes
from ._scaffold import _endpoint_from_view_func
from ._scaffold import adding
from ._scaffold import find_package
from ._scaffold import setupmethod
from .config import Config
from .config import ConfigAttribute
from .helpers import get_debug_flag
from .json.provider import DefaultJSONProvider
from .logging import create_logger
from .sessions import SecureCookieSessionInterface
from .templating import _default_template_ctx_processor
from .templating import select_autoescape
from .wrappers import Request
from .wrappers import Response

if t.TYPE_CHECKING:
    import collections.abc as cabc
    import logging

    from jinja2 import Environment as BaseEnvironment
    from jinja2.loaders import BaseLoader
    from werkzeug.wrappers import Response as BaseResponse

    from . import typing as ft
    from ._jinja import Environment
    from .blueprints import Blueprint
    from .json.provider import JSONProvider
    from .sessions import SessionInterface

F = t.TypeVar("F", bound=t.Callable[..., t.Any])


def _absolute(instance_path: str | None) -> str | None:
    if instance_path is not None and not os.path.isabs(instance_path):
        raise ValueError(
            "If an instance path is provided it must be absolute. A relative path was"
            f" given instead: {instance_path!r}."
        )
    return instance_path


def _as_timedelta(value: timedelta | int | None) -> timedelta | None:
    return timedelta(seconds=value) if isinstance(value, int) else value


def _methods(methods: t.Any, view_func: t.Any) -> set[str]:
    """Return the methods of a rule: as given, as the view says, or GET."""
    if methods is None:
        methods = getattr(view_func, "methods", None) or ("GET",)
    if isinstance(methods, str):
        raise TypeError(
            "Allowed methods must be a list of strings, for example:"
            ' @app.route(..., methods=["POST"])'
        )
    return {item.upper() for item in methods}


def _loop_runs() -> bool:
    """Say whether this thread runs an event loop, where nothing can be waited for."""
    asyncio: t.Any = sys.modules.get("asyncio")
    return asyncio is not None and asyncio._get_running_loop() is not None


def _run_on_loop(workers: t.Any, func: t.Any, coroutine: t.Any) -> t.Any:
    """Run a coroutine on the server's loop, and wait for it."""
    if workers is None or workers.is_here():
        from ._workers import finish_at_once

        return finish_at_once(coroutine)
    ctx = _state.current.get()[1]
    if ctx is not None and not getattr(func, "_reads_stream", False):
        ctx.request._read_ahead(workers)
    return workers.wait_for(coroutine)


class _EnvironmentClass:
    """The class of template environments, imported when it is asked for."""

    def __get__(self, instance: t.Any, owner: type) -> type[Environment]:
        from ._jinja import Environment

        return Environment


class _SessionInterface:
    """The session interface of who set none: cookies, or `SESSION_STORE`."""

    cookies = SecureCookieSessionInterface()
    lock = threading.Lock()

    def __get__(self, instance: t.Any, owner: type) -> SessionInterface:
        if instance is None:
            return self.cookies
        interface: SessionInterface = self.cookies
        config = instance.config
        if config.get("SESSION_STORE") is not None:
            from .session_stores import StoredSessionInterface
            from .session_stores import open_store

            wanted = config["SESSION_STORE"], config["SESSION_STORE_TIMEOUT"]
            with self.lock:
                if instance._stored_sessions[0] != wanted:
                    opened = StoredSessionInterface(open_store(*wanted))
                    instance._stored_sessions = wanted, opened
                interface = instance._stored_sessions[1]
        if instance._got_first_request:
            # PERF: what is set is used from now on, and nothing is asked.
            object.__setattr__(instance, "session_interface", interface)
        return interface


class App(Extensible):
    """An application as it is declared; `Erlen` is the one that serves."""

    aborter_class: type[Aborter] = Aborter
    app_ctx_globals_class: type[t.Any]
    config_class: type[Config] = Config
    json_provider_class: type[JSONProvider] = DefaultJSONProvider
    request_class: type[Request] = Request
    response_class: type[Response] = Response
    url_map_class: type[Map] = Map
    url_rule_class: type[Rule] = Rule
    session_interface: SessionInterface = t.cast("t.Any", _SessionInterface())
    _stored_sessions: tuple[t.Any, t.Any] = (None, None)

    jinja_environment = _EnvironmentClass()
    jinja_options: dict[str, t.Any] = {}  # noqa: RUF012  # assigned on subclasses and instances

    testing = ConfigAttribute[bool]("TESTING")
    secret_key = ConfigAttribute[str | bytes | None]("SECRET_KEY")
    permanent_session_lifetime = ConfigAttribute[timedelta](
        "PERMANENT_SESSION_LIFETIME",
        get_converter=_as_timedelta,  # type: ignore[arg-type]  # None stays None
    )

    default_config: cabc.Mapping[str, t.Any] = ImmutableDict(
        {setting.key: setting.default for setting in SETTINGS}
    )

    def __init__(
        self,
        import_name: str,
        static_url_path: str | None = None,
        static_folder: str | os.PathLike[str] | None = "static",
        static_host: str | None = None,
        host_matching: bool = False,
        subdomain_matching: bool = False,
        template_folder: str | os.PathLike[str] | None = "templates",
        instance_path: str | None = None,
        instance_relative_config: bool = False,
        root_path: str | None = None,
    ) -> None:
        """Make an application.

        Args:
            import_name: Usually `__name__`; its place is the root path.
            static_url_path: URL prefix of the static files; by default the
                folder's name.
            static_folder: Folder of static files, below the root path.
            static_host: The host of the static files under host matching.
            host_matching: Match rules by host, from their `host=`.
            subdomain_matching: Match rules by subdomain of `SERVER_NAME`.
            template_folder: Folder of templates, below the root path.
            instance_path: Absolute path of the instance folder; by default
                found beside the package.
            instance_relative_config: Configuration files are found from the
                instance folder, not from the root path.
            root_path: The root path, where the module cannot tell it.

        Raises:
            AssertionError: Host matching and a static folder need a static
                host, and the other way round.
            ValueError: `instance_path` is relative.
        """
        super().__init__(
            import_name, static_folder, static_url_path, template_folder, root_path
        )
        self.instance_path = _absolute(instance_path) or self.auto_find_instance_path()
        self.config = self.make_config(instance_relative_config)
        self.aborter = self.make_aborter()
        self.json: JSONProvider = self.json_provider_class(self)
        self.url_build_error_handlers: list[
            t.Callable[[Exception, str, dict[str, t.Any]], str | None]
        ] = []
        self.teardown_appcontext_funcs: list[ft.TeardownCallable] = CallbackList(
            self._plans
        )
        self.shell_context_processors: list[ft.ShellContextProcessorCallable] = []
        self.blueprints: dict[str, Blueprint] = {}
        self.extensions: dict[str, t.Any] = {}
        self._hosts = BoundHosts()
        self.url_map = self.url_map_class(host_matching=host_matching)
        self.subdomain_matching = subdomain_matching
        self.template_context_processors = defaultdict(
            list, {None: [_default_template_ctx_processor]}
        )
        self._got_first_request = False
        self._prefixes = OwnedPrefixes()
        if self.has_static_folder:
            self._add_static_route(static_host, host_matching)

    def _add_static_route(self, static_host: str | None, host_matching: bool) -> None:
        if bool(static_host) != host_matching:
            raise AssertionError(
                "Invalid static_host/host_matching combination: under host matching the"
                " static folder needs 'static_host=', and only there (or give"
                " 'static_folder=None')."
            )
        ref = weakref.ref(self)  # the view must not keep the application alive

        def send_static(**kwargs: t.Any) -> t.Any:
            return ref().send_static_file(**kwargs)  # type: ignore[union-attr]  # it serves, so it lives

        self.add_url_rule(
            f"{self.static_url_path}/<path:filename>",
            endpoint="static",
            host=static_host,
            view_func=send_static,
        )

    def _check_setup_finished(self, f_name: str) -> None:
        if self._got_first_request:
            raise AssertionError(
                f"The setup method '{f_name}' can no longer be called on the"
                " application. It has already handled its first request, any changes"
                " will not be applied consistently. Import and declare everything"
                " before the application serves."
            )

    def _forget_hosts(self) -> None:
        """Decide anew which hosts can share an adapter."""
        self._hosts.clear()
        self.__dict__.pop("_binds_each_request", None)

    @lazy
    def _matcher(self) -> Matcher:
        """The fast way to ask `url_map`."""
        return Matcher(self.url_map)

    # What it is

    @cached_property
    def name(self) -> str:
        """The import name, or the file's name where that is `__main__`."""
        if self.import_name == "__main__":
            file: str | None = getattr(sys.modules["__main__"], "__file__", None)
            if file is not None:
                return os.path.splitext(os.path.basename(file))[0]
        return self.import_name

    @cached_property
    def logger(self) -> logging.Logger:
        """The logger of the application's name, with a handler if none has."""
        return create_logger(self)

    @property
    def debug(self) -> bool:
        """Whether debugging is on: the config `DEBUG`."""
        return t.cast("bool", self.config["DEBUG"])

    @debug.setter
    def debug(self, value: bool) -> None:
        self.config["DEBUG"] = value
        if (
            self.config["TEMPLATES_AUTO_RELOAD"] is None
            and "jinja_env" in self.__dict__
        ):
            self.jinja_env.auto_reload = value

    def make_config(self, instance_relative: bool = False) -> Config:
        """Make the configuration from the defaults; to be overridden."""
        root_path = self.instance_path if instance_relative else self.root_path
        defaults = dict(self.default_config)
        defaults["DEBUG"] = get_debug_flag()
        return self.config_class(root_path, defaults)

    def make_aborter(self) -> Aborter:
        """Make what `abort` uses to raise HTTP errors; to be overridden."""
        return self.aborter_class()

    def auto_find_instance_path(self) -> str:
        """Find the instance folder.

        Returns:
            `instance` beside a module that is not installed, and
            `$PREFIX/var/NAME-instance` for one that is.
        """
        prefix, package_path = find_package(self.import_name)
        if prefix is None:
            return os.path.join(package_path, "instance")
        return os.path.join(prefix, "var", f"{self.name}-instance")

    # Templates

    @cached_property
    def jinja_env(self) -> BaseEnvironment:
        """The template environment, made at its first use."""
        return self.create_jinja_environment()

    def create_jinja_environment(self) -> BaseEnvironment:
        """Make the template environment; to be overridden."""
        from ._jinja import create_environment

        return create_environment(self)

    def create_global_jinja_loader(self) -> BaseLoader:
        """Make the loader that looks in the application and its blueprints."""
        from ._jinja import DispatchingJinjaLoader

        return DispatchingJinjaLoader(self)

    def select_jinja_autoescape(self, filename: str | None) -> bool:
        """Say whether a template escapes by default: markup does."""
        return select_autoescape(filename)

    @setupmethod
    def template_filter(self, name: str | None = None) -> t.Callable[[F], F]:
        """Add the decorated function as a template filter."""
        return adding(self.add_template_filter, name)

    @setupmethod
    def add_template_filter(
        self, f: ft.TemplateFilterCallable, name: str | None = None
    ) -> None:
        """Add a template filter; its name is the function's by default."""
        self.jinja_env.filters[name or f.__name__] = f

    @setupmethod
    def template_test(self, name: str | None = None) -> t.Callable[[F], F]:
        """Add the decorated function as a template test."""
        return adding(self.add_template_test, name)

    @setupmethod
    def add_template_test(
        self, f: ft.TemplateTestCallable, name: str | None = None
    ) -> None:
        """Add a template test; its name is the function's by default."""
        self.jinja_env.tests[name or f.__name__] = f

    @setupmethod
    def template_global(self, name: str | None = None) -> t.Callable[[F], F]:
        """Add the decorated function as a template global."""
        return adding(self.add_template_global, name)

    @setupmethod
    def add_template_global(
        self, f: ft.TemplateGlobalCallable, name: str | None = None
    ) -> None:
        """Add a template global; its name is the function's by default."""
        self.jinja_env.globals[name or f.__name__] = f

    # Routes and blueprints

    @setupmethod
    def register_blueprint(self, blueprint: Blueprint, **options: t.Any) -> None:
        """Register a blueprint.

        Args:
            blueprint: The blueprint.
            **options: `url_prefix`, `subdomain`, `url_defaults` and `name`,
                instead of the blueprint's own.

        Raises:
            ValueError: The name is taken.
        """
        blueprint.register(self, options)

    def iter_blueprints(self) -> cabc.ValuesView[Blueprint]:
        """Return the blueprints in the order of their registration."""
        return self.blueprints.values()

    def _own_prefix(self, prefix: str, name: str, subdomain: str | None) -> None:
        if subdomain is None:
            subdomain = self.url_map.default_subdomain
        self._prefixes.add(prefix, name, subdomain)

    @setupmethod
    def add_url_rule(
        self,
        rule: str,
        endpoint: str | None = None,
        view_func: ft.RouteCallable | None = None,
        provide_automatic_options: bool | None = None,
        **options: t.Any,
    ) -> None:
        """Route a URL rule to a view.

        Args:
            rule: Such as `"/book/<int:id>"`.
            endpoint: The name for `url_for`; by default the view's name.
            view_func: The view; it can also be given later, by `endpoint`.
            provide_automatic_options: Whether Erlen answers OPTIONS; by
                default where `methods` do not name it.
            **options: `methods`, and what Werkzeug's Rule takes (`defaults`,
                `host`, `subdomain`, `strict_slashes`, `redirect_to`, ...).

        Raises:
            AssertionError: The endpoint has another view already, or the
                application has served its first request.
            TypeError: `methods` is a string.
        """
        if endpoint is None:
            endpoint = _endpoint_from_view_func(view_func)  # type: ignore[arg-type]  # None is refused there
        options["endpoint"] = endpoint
        allowed = _methods(options.pop("methods", None), view_func)
        required: set[str] = set(getattr(view_func, "required_methods", ()))
        automatic = provide_automatic_options
        if automatic is None:
            automatic = getattr(view_func, "provide_automatic_options", None)
        if automatic is None:
            automatic = (
                "OPTIONS" not in allowed and self.config["PROVIDE_AUTOMATIC_OPTIONS"]
            )
            if automatic:
                required.add("OPTIONS")
        known = self.view_functions.get(endpoint)
        if view_func is not None and known is not None and known != view_func:
            raise AssertionError(
                "View function mapping is overwriting an existing endpoint function:"
                f" {endpoint}. {rule!r} goes to {view_func!r}, but the endpoint is"
                f" {known!r}'s. Give one of them another 'endpoint='."
            )
        rule_obj = self.url_rule_class(rule, methods=allowed | required, **options)
        rule_obj.provide_automatic_options = automatic  # type: ignore[attr-defined]  # read at dispatch
        self.url_map.add(rule_obj)
        self._forget_hosts()
        if view_func is not None:
            self.view_functions[endpoint] = view_func

    def redirect(self, location: str, code: int = 302) -> BaseResponse:
        """Make a response that sends the client elsewhere.

        Args:
            location: The URL.
            code: 301, 302, 303, 305, 307 or 308.
        """
        return werkzeug_redirect(location, code, Response=self.response_class)

    # Callbacks, contexts and commands

    def ensure_sync(self, func: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
        """Make a function callable without `await`; to be overridden.

        Under ASGI an `async def` function runs on the event loop of the server
        while the caller's thread waits, otherwise as `async_to_sync` has it.

        Args:
            func: An `async def` function is wrapped, any other returned.
        """
        if not inspect.iscoroutinefunction(func):
            return func
        alone: t.Any = None

        @functools.wraps(func)
        def call(*args: t.Any, **kwargs: t.Any) -> t.Any:
            nonlocal alone
            workers = _state.serving_workers()
            if workers is not None or _loop_runs():
                return _run_on_loop(workers, func, func(*args, **kwargs))
            if alone is None:
                alone = self.async_to_sync(func)
            return alone(*args, **kwargs)

        return call

    def async_to_sync(
        self, func: t.Callable[..., t.Coroutine[t.Any, t.Any, t.Any]]
    ) -> t.Callable[..., t.Any]:
        """Wrap an `async def` function so that it runs in an event loop of its own.

        Raises:
            RuntimeError: asgiref is not installed.
        """
        try:
            from asgiref.sync import async_to_sync
        except ImportError:
            raise RuntimeError(
                "An 'async def' function needs asgiref under WSGI. Install Erlen with"
                ' the async extra: pip install "erlen[async]"'
            ) from None
        return async_to_sync(func)

    @setupmethod
    def teardown_appcontext(self, f: F) -> F:
        """Run a function at the end of each application context.

        It is given the exception that nobody handled, or None.
        """
        self.teardown_appcontext_funcs.append(f)
        return f

    @setupmethod
    def shell_context_processor(self, f: F) -> F:
        """Add the dict that a function returns to the shell's names."""
        self.shell_context_processors.append(f)
        return f
