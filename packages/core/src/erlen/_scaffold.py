"""Layer 2: what an application and a blueprint declare in the same way.

Routes, hooks, error handlers, templates and static files. Nothing here runs
in a request; `_serving` and `ctx` read the tables that are filled here.
"""

from __future__ import annotations

import functools
import importlib.util
import inspect
import os
import pathlib
import sys
import typing as t
from collections import defaultdict
from datetime import timedelta

from werkzeug.exceptions import BadRequest
from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import default_exceptions
from werkzeug.utils import cached_property

from . import _state
from ._hooks import CallbackTable
from ._hooks import Plans
from ._hooks import ViewTable
from .helpers import get_root_path
from .helpers import send_from_directory

if t.TYPE_CHECKING:
    from jinja2.loaders import BaseLoader

    from . import typing as ft
    from ._commands import AppGroup
    from .wrappers import Response

F = t.TypeVar("F", bound=t.Callable[..., t.Any])
W = t.TypeVar("W", bound=t.Callable[..., t.Coroutine[t.Any, t.Any, t.Any]])

ErrorHandlers = dict[
    "str | None", dict["int | None", dict[type[Exception], t.Callable[..., t.Any]]]
]


def setupmethod(f: F) -> F:
    """Mark a method as set-up: it is refused once requests are served."""
    name = f.__name__

    @functools.wraps(f)
    def checked(self: Scaffold, *args: t.Any, **kwargs: t.Any) -> t.Any:
        self._check_setup_finished(name)
        return f(self, *args, **kwargs)

    return t.cast("F", checked)


def adding(
    add: t.Callable[[t.Any, str | None], None], name: str | None
) -> t.Callable[[F], F]:
    """Make a decorator that adds its function under a name."""

    def decorator(f: F) -> F:
        add(f, name)
        return f

    return decorator


def _endpoint_from_view_func(view_func: t.Callable[..., t.Any]) -> str:
    """Name the endpoint of a view that was given none: its function's name."""
    name = getattr(view_func, "__name__", None)
    if name is None:
        raise TypeError(
            f"The view {view_func!r} has no name to make an endpoint of."
            " Give one: endpoint='...'."
        )
    return t.cast("str", name)


class WebSocketView:
    """The view of a WebSocket's rule: it answers what comes as a plain request.

    Args:
        handler: What the door for WebSockets calls instead.

    Raises:
        TypeError: The handler is no `async def` function.
    """

    def __init__(self, handler: t.Callable[..., t.Any]) -> None:
        if not inspect.iscoroutinefunction(handler):
            raise TypeError(
                f"The WebSocket handler {handler!r} is no 'async def' function. Declare it"
                " as one; what decorates it below @websocket has to give one, too."
            )
        functools.update_wrapper(self, handler)
        self.handler = handler

    def __call__(self, **kwargs: t.Any) -> t.NoReturn:
        """Refuse a WebSocket that came through another door."""
        if not _state.app_context("a WebSocket's view").app.debug:
            raise BadRequest
        raise BadRequest(
            "A WebSocket came as a plain request. Serve the application by its ASGI door,"
            " 'uvicorn module:app.asgi', and with a server that speaks WebSocket (uvicorn"
            " needs the package 'websockets' or 'wsproto' for it)."
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WebSocketView) and other.handler == self.handler

    def __hash__(self) -> int:
        return hash(self.handler)


def find_handler(view: t.Any) -> t.Callable[..., t.Coroutine[t.Any, t.Any, t.Any]]:
    """Return what serves the WebSockets of an endpoint, by its view.

    Raises:
        RuntimeError: The view is no `async def` function, or there is none.
    """
    handler: t.Any = getattr(view, "handler", view)
    if not inspect.iscoroutinefunction(handler):
        raise RuntimeError(
            f"The endpoint of this WebSocket has no 'async def' handler, but {handler!r}."
            " Declare one by @app.websocket(...)."
        )
    return t.cast("t.Callable[..., t.Coroutine[t.Any, t.Any, t.Any]]", handler)


class Scaffold:
    """The declaring side that `Erlen` and `Blueprint` share."""

    name: t.Any  # a str; the application derives it, a blueprint is given it
    _static_folder: str | None = None
    _static_url_path: str | None = None

    def __init__(
        self,
        import_name: str,
        static_folder: str | os.PathLike[str] | None = None,
        static_url_path: str | None = None,
        template_folder: str | os.PathLike[str] | None = None,
        root_path: str | None = None,
    ) -> None:
        """Set up empty tables.

        Args:
            import_name: The module that declares; its place is the root path.
            static_folder: Folder of static files, below the root path.
            static_url_path: URL prefix of the static files.
            template_folder: Folder of templates, below the root path.
            root_path: The root path, where the module cannot tell it.
        """
        self.import_name = import_name
        self.static_folder = static_folder
        self.static_url_path = static_url_path
        self.template_folder = template_folder
        self.root_path = get_root_path(import_name) if root_path is None else root_path

        self._plans = plans = Plans()
        self.view_functions: dict[str, ft.RouteCallable] = ViewTable(plans)
        self.before_request_funcs: dict[
            ft.AppOrBlueprintKey, list[ft.BeforeRequestCallable]
        ] = CallbackTable(plans)
        self.after_request_funcs: dict[
            ft.AppOrBlueprintKey, list[ft.AfterRequestCallable[t.Any]]
        ] = CallbackTable(plans)
        self.teardown_request_funcs: dict[
            ft.AppOrBlueprintKey, list[ft.TeardownCallable]
        ] = CallbackTable(plans)
        self.url_value_preprocessors: dict[
            ft.AppOrBlueprintKey, list[ft.URLValuePreprocessorCallable]
        ] = CallbackTable(plans)
        self.url_default_functions: dict[
            ft.AppOrBlueprintKey, list[ft.URLDefaultCallable]
        ] = defaultdict(list)
        self.template_context_processors: dict[
            ft.AppOrBlueprintKey, list[ft.TemplateContextProcessorCallable]
        ] = defaultdict(list)
        self.error_handler_spec: ErrorHandlers = defaultdict(lambda: defaultdict(dict))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    def _check_setup_finished(self, f_name: str) -> None:
        raise NotImplementedError

    @cached_property
    def cli(self) -> AppGroup:
        """The click group of this object's own commands."""
        from ._commands import AppGroup

        return AppGroup(name=self.name)

    # Files

    @property
    def static_folder(self) -> str | None:
        """The absolute path of the static folder, or None without one."""
        if self._static_folder is None:
            return None
        return os.path.join(self.root_path, self._static_folder)

    @static_folder.setter
    def static_folder(self, value: str | os.PathLike[str] | None) -> None:
        self._static_folder = None if value is None else os.fspath(value).rstrip(r"\/")

    @property
    def has_static_folder(self) -> bool:
        """Whether a static folder is set."""
        return self._static_folder is not None

    @property
    def static_url_path(self) -> str | None:
        """The URL prefix of the static files; by default the folder's name."""
        if self._static_url_path is not None:
            return self._static_url_path
        if self.static_folder is None:
            return None
        return f"/{os.path.basename(self.static_folder)}".rstrip("/")

    @static_url_path.setter
    def static_url_path(self, value: str | None) -> None:
        self._static_url_path = None if value is None else value.rstrip("/")

    def get_send_file_max_age(self, filename: str | None) -> int | None:
        """Say how long a browser may keep a file without asking.

        Args:
            filename: The file's name, for an override that looks at it.

        Returns:
            Seconds, from the config `SEND_FILE_MAX_AGE_DEFAULT`; None asks
            the browser to ask each time.
        """
        app = _state.app_context("get_send_file_max_age").app
        value = app.config["SEND_FILE_MAX_AGE_DEFAULT"]
        if isinstance(value, timedelta):
            return int(value.total_seconds())
        return t.cast("int | None", value)

    def send_static_file(self, filename: str) -> Response:
        """Serve a file of the static folder; the view of its route.

        Raises:
            NotFound: 404, no such file in the folder.
            RuntimeError: There is no static folder.
        """
        if self.static_folder is None:
            raise RuntimeError(
                f"{self!r} has no static folder: give it 'static_folder='."
            )
        max_age = self.get_send_file_max_age(filename)
        return send_from_directory(self.static_folder, filename, max_age=max_age)

    def open_resource(
        self, resource: str, mode: str = "rb", encoding: str | None = None
    ) -> t.IO[t.Any]:
        """Open a file of the package for reading.

        Args:
            resource: Path below the root path.
            mode: `"r"`, `"rt"` or `"rb"`.
            encoding: Of a file opened as text; UTF-8 by default.

        Raises:
            ValueError: Another mode: resources are only read.
            FileNotFoundError: No such file.
        """
        if mode not in {"r", "rt", "rb"}:
            raise ValueError(
                f"Resources can only be opened for reading: 'r', 'rt' or 'rb', not {mode!r}."
            )
        path = os.path.join(self.root_path, resource)
        if mode == "rb":
            return open(path, mode)  # the caller closes it
        return open(path, mode, encoding=encoding or "utf-8")

    @cached_property
    def jinja_loader(self) -> BaseLoader | None:
        """The loader of the template folder, or None without one."""
        if self.template_folder is None:
            return None
        from jinja2 import FileSystemLoader

        return FileSystemLoader(os.path.join(self.root_path, self.template_folder))

    # Routes

    def _method_route(
        self, method: str, rule: str, options: dict[str, t.Any]
    ) -> t.Callable[[F], F]:
        if "methods" in options:
            raise TypeError(
                f"@{method.lower()}() is one method by itself: use @route() to give"
                " 'methods'."
            )
        return self.route(rule, methods=[method], **options)

    @setupmethod
    def get(self, rule: str, **options: t.Any) -> t.Callable[[F], F]:
        """Route GET requests, as `route` with `methods=["GET"]`."""
        return self._method_route("GET", rule, options)

    @setupmethod
    def post(self, rule: str, **options: t.Any) -> t.Callable[[F], F]:
        """Route POST requests, as `route` with `methods=["POST"]`."""
        return self._method_route("POST", rule, options)

    @setupmethod
    def put(self, rule: str, **options: t.Any) -> t.Callable[[F], F]:
        """Route PUT requests, as `route` with `methods=["PUT"]`."""
        return self._method_route("PUT", rule, options)

    @setupmethod
    def delete(self, rule: str, **options: t.Any) -> t.Callable[[F], F]:
        """Route DELETE requests, as `route` with `methods=["DELETE"]`."""
        return self._method_route("DELETE", rule, options)

    @setupmethod
    def patch(self, rule: str, **options: t.Any) -> t.Callable[[F], F]:
        """Route PATCH requests, as `route` with `methods=["PATCH"]`."""
        return self._method_route("PATCH", rule, options)

    @setupmethod
    def route(self, rule: str, **options: t.Any) -> t.Callable[[F], F]:
        """Route a URL rule to the decorated view.

        Args:
            rule: Such as `"/book/<int:id>"`.
            **options: `endpoint`, and what `add_url_rule` takes.
        """

        def decorator(f: F) -> F:
            endpoint = options.pop("endpoint", None)
            self.add_url_rule(rule, endpoint, f, **options)
            return f

        return decorator

    @setupmethod
    def websocket(self, rule: str, **options: t.Any) -> t.Callable[[W], W]:
        """Route the WebSockets of a URL rule to the decorated handler.

        They come through the ASGI door, `app.asgi`; over WSGI the answer is 400.

        Args:
            rule: Such as `"/rooms/<name>"`.
            **options: `endpoint`, and what `add_url_rule` takes but `methods`.

        Raises:
            TypeError: When it decorates: the handler is no `async def` function.
        """

        def decorator(f: W) -> W:
            endpoint = options.pop("endpoint", None)
            view = WebSocketView(f)
            self.add_url_rule(
                rule, endpoint, view, False, websocket=True, methods=["GET"], **options
            )
            return f

        return decorator

    @setupmethod
    def add_url_rule(
        self,
        rule: str,
        endpoint: str | None = None,
        view_func: ft.RouteCallable | None = None,
        provide_automatic_options: bool | None = None,
        **options: t.Any,
    ) -> None:
        """Route a URL rule to a view; see the subclasses."""
        raise NotImplementedError

    @setupmethod
    def endpoint(self, endpoint: str) -> t.Callable[[F], F]:
        """Make the decorated function the view of an endpoint."""

        def decorator(f: F) -> F:
            self.view_functions[endpoint] = f
            return f

        return decorator

    # Hooks

    @setupmethod
    def before_request(self, f: F) -> F:
        """Run a function before each request; what it returns answers it."""
        self.before_request_funcs.setdefault(None, []).append(f)
        return f

    @setupmethod
    def after_request(self, f: F) -> F:
        """Run a function on each response; it returns the response to send."""
        self.after_request_funcs.setdefault(None, []).append(f)
        return f

    @setupmethod
    def teardown_request(self, f: F) -> F:
        """Run a function at the end of each request, whatever happened.

        It is given the exception that nobody handled, or None.
        """
        self.teardown_request_funcs.setdefault(None, []).append(f)
        return f

    @setupmethod
    def context_processor(self, f: F) -> F:
        """Add the dict that a function returns to every template's values."""
        self.template_context_processors[None].append(f)
        return f

    @setupmethod
    def url_value_preprocessor(self, f: F) -> F:
        """Let a function see and change the endpoint's values from the URL."""
        self.url_value_preprocessors[None].append(f)
        return f

    @setupmethod
    def url_defaults(self, f: F) -> F:
        """Let a function add values to each URL that is built."""
        self.url_default_functions[None].append(f)
        return f

    # Errors

    @setupmethod
    def errorhandler(
        self, code_or_exception: type[Exception] | int
    ) -> t.Callable[[F], F]:
        """Answer an HTTP error code or an exception class with a function."""

        def decorator(f: F) -> F:
            self.register_error_handler(code_or_exception, f)
            return f

        return decorator

    @setupmethod
    def register_error_handler(
        self,
        code_or_exception: type[Exception] | int,
        f: ft.ErrorHandlerCallable,
    ) -> None:
        """Answer an HTTP error code or an exception class, as a call.

        Raises:
            TypeError: Neither a code nor an exception class.
            ValueError: A code without an HTTP exception.
        """
        exc_class, code = self._get_exc_class_and_code(code_or_exception)
        self.error_handler_spec[None][code][exc_class] = f

    @staticmethod
    def _get_exc_class_and_code(
        exc_class_or_code: type[Exception] | int,
    ) -> tuple[type[Exception], int | None]:
        """Find the exception class that is handled, and its HTTP code."""
        exc_class: t.Any = exc_class_or_code
        if isinstance(exc_class_or_code, int):
            exc_class = default_exceptions.get(exc_class_or_code)
            if exc_class is None:
                raise ValueError(
                    f"{exc_class_or_code} is not a recognized HTTP error code: handle"
                    " a code that Werkzeug has an exception for, or handle your"
                    " subclass of HTTPException."
                )
        if not isinstance(exc_class, type):
            raise TypeError(
                f"{exc_class_or_code!r} is an instance, not a class: handlers are"
                " registered for exception classes or HTTP error codes."
            )
        if not issubclass(exc_class, Exception):
            raise TypeError(f"'{exc_class.__name__}' is not a subclass of Exception.")
        code = exc_class.code if issubclass(exc_class, HTTPException) else None
        return exc_class, code


def find_package(import_name: str) -> tuple[str | None, str]:
    """Find where a module is installed.

    Args:
        import_name: Of a module or package.

    Returns:
        The prefix of the installation, or None where the module is not
        installed, and the folder from which it is imported.
    """
    path = _import_folder(import_name)
    prefix = os.path.abspath(sys.prefix)
    if pathlib.PurePath(path).is_relative_to(prefix):
        return prefix, path
    site_parent, site_name = os.path.split(path)
    if site_name.lower() == "site-packages":
        parent, folder = os.path.split(site_parent)
        if folder.lower() == "lib":  # Windows: prefix\Lib\site-packages
            return parent, path
        if os.path.basename(parent).lower() == "lib":  # prefix/lib/python3.x
            return os.path.dirname(parent), path
        return site_parent, path
    return None, path


def _import_folder(import_name: str) -> str:
    """Find the folder that holds the root of a module's import name."""
    root_name = import_name.partition(".")[0]
    try:
        spec = importlib.util.find_spec(root_name)
    except (ImportError, ValueError):  # no module, or `__main__` without a spec
        spec = None
    if spec is None:
        return os.getcwd()
    if spec.submodule_search_locations:
        folder = next(iter(spec.submodule_search_locations))
        if spec.origin is not None and spec.has_location:
            folder = os.path.dirname(spec.origin)
        return os.path.dirname(os.path.abspath(folder))
    if spec.origin is None or not spec.has_location:
        return os.getcwd()
    return os.path.dirname(os.path.abspath(spec.origin))
