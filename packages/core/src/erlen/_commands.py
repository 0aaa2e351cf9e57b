"""Layer 2: finding the application, and groups of commands.

What commands need and the server does not. It imports click, so `app.cli` and
`blueprint.cli` import it on first use.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib
import inspect
import os
import re
import sys
import traceback
import typing as t

import click

from . import _state
from .helpers import get_debug_flag
from .helpers import get_load_dotenv

if t.TYPE_CHECKING:
    import collections.abc as cabc
    from types import ModuleType

F = t.TypeVar("F", bound=t.Callable[..., t.Any])

_OWN_FILES = (
    "<frozen importlib",
    os.path.dirname(importlib.__file__) + os.sep,
    os.path.dirname(__file__) + os.sep,
)


class NoAppException(click.UsageError):
    """Raised when an application cannot be found or loaded."""


class UserCodeError(NoAppException):
    """Raised when the user's own code fails while an application is loaded.

    It is shown as the user's traceback and one line that says what Erlen tried. The
    user's error is the `__cause__`.
    """

    exit_code = 1

    def show(self, file: t.IO[t.Any] | None = None) -> None:
        """Print the user's error, then what Erlen tried.

        Args:
            file: Where to; the standard error stream by default.
        """
        if self.__cause__ is not None:
            click.echo(_user_traceback(self.__cause__), file=file, err=True)
        click.secho(f"Error: {self.format_message()}", file=file, err=True, fg="red")


def _user_traceback(exc: BaseException) -> str:
    """Format `exc` and what led to it, without our frames and importlib's."""
    report = traceback.TracebackException.from_exception(exc)
    links: list[traceback.TracebackException | None] = [report]
    for link in links:
        if link is not None:
            frames = [f for f in link.stack if not f.filename.startswith(_OWN_FILES)]
            link.stack[:] = frames
            links += [link.__cause__, link.__context__]
    return "".join(report.format()).rstrip()


@contextlib.contextmanager
def _user_code(action: str) -> cabc.Generator[None]:
    """Turn what the user's code raises into an error that says what was tried."""
    try:
        yield
    except click.ClickException:
        raise
    except Exception as exc:
        raise UserCodeError(
            f"Erlen tried to {action}, which raised {type(exc).__name__} (see above)."
        ) from exc


def _is_app(value: object) -> bool:
    """Tell an application by what commands use of it.

    The class is above this layer. The type is asked, so that a proxy is none.
    """
    members = ("wsgi_app", "app_context", "make_shell_context")
    return all(hasattr(type(value), name) for name in members)


def find_best_app(module: ModuleType) -> t.Any:
    """Find the application that a module most likely means.

    `app` and `application` come first, then the only application there is, then
    the factories `create_app` and `make_app`, called without arguments.

    Args:
        module: An imported module.

    Returns:
        The application.

    Raises:
        NoAppException: There is none, there are several, or a factory needs
            arguments.
    """
    name = module.__name__
    for attribute in ("app", "application"):
        value = getattr(module, attribute, None)
        if _is_app(value):
            return value
    found = [value for value in vars(module).values() if _is_app(value)]
    if len(found) > 1:
        raise NoAppException(
            f"Detected multiple Erlen applications in module {name!r}. Use"
            f" '{name}:name' to specify the correct one."
        )
    if found:
        return found[0]
    for attribute in ("create_app", "make_app"):
        factory = getattr(module, attribute, None)
        if inspect.isfunction(factory):
            app = _call_factory(
                factory,
                f"{name}:{attribute}",
                f"Detected factory {attribute!r} in module {name!r}, but could not"
                f" call it without arguments. Use '{name}:{attribute}(args)' to"
                " specify arguments.",
            )
            if _is_app(app):
                return app
    raise NoAppException(
        f"Failed to find Erlen application or factory in module {name!r}. Use"
        f" '{name}:name' to specify one."
    )


def _call_factory(
    factory: t.Callable[..., t.Any],
    target: str,
    refusal: str,
    args: cabc.Sequence[t.Any] = (),
    kwargs: cabc.Mapping[str, t.Any] | None = None,
) -> t.Any:
    """Call `factory`; `refusal` is the error for arguments that it does not take."""
    kwargs = kwargs or {}
    try:
        inspect.signature(factory).bind(*args, **kwargs)
    except TypeError as exc:
        raise NoAppException(f"{refusal} ({exc})") from exc
    with _user_code(f"call the factory {target!r}"):
        return factory(*args, **kwargs)


def find_app_by_string(module: ModuleType, app_name: str) -> t.Any:
    """Find the application that `app_name` names in a module.

    Args:
        module: An imported module.
        app_name: A variable or a factory, such as `app`, `create_app` or
            `create_app("dev", debug=True)`. Arguments are literals; nothing is
            evaluated.

    Returns:
        The application.

    Raises:
        NoAppException: The name cannot be parsed, is not there, cannot be called so
            or is no application.
    """
    name, args, kwargs = _parse_reference(app_name)
    target = f"{module.__name__}:{app_name}"
    try:
        app = getattr(module, name)
    except AttributeError as exc:
        raise NoAppException(
            f"Failed to find attribute {name!r} in {module.__name__!r}."
        ) from exc
    if inspect.isfunction(app):
        refusal = (
            f"The factory {app_name!r} in module {module.__name__!r} could not be"
            " called with the specified arguments."
        )
        app = _call_factory(app, target, refusal, args, kwargs)
    if not _is_app(app):
        raise NoAppException(
            f"A valid Erlen application was not obtained from {target!r}: it is of"
            f" type {type(app).__name__!r}."
        )
    return app


def _parse_reference(
    text: str,
) -> tuple[str, list[t.Any], dict[str, t.Any]]:
    """Split `name` or `name(literal, key=literal)` into name and arguments."""
    node: ast.expr | None = None
    with contextlib.suppress(SyntaxError, ValueError):
        node = ast.parse(text.strip(), mode="eval").body
    if isinstance(node, ast.Name):
        return node.id, [], {}
    if not isinstance(node, ast.Call):
        raise NoAppException(
            f"Failed to parse {text!r} as an attribute name or function call."
        )
    if not isinstance(node.func, ast.Name):
        raise NoAppException(f"Function reference must be a simple name: {text!r}.")
    try:
        args = [ast.literal_eval(arg) for arg in node.args]
        kwargs = {str(word.arg): ast.literal_eval(word.value) for word in node.keywords}
    except ValueError:
        raise NoAppException(
            f"Failed to parse arguments as literal values: {text!r}."
        ) from None
    return node.func.id, args, kwargs


def prepare_import(path: str) -> str:
    """Make a file or a dotted name importable.

    The folder above the outermost package goes to the front of `sys.path`.

    Args:
        path: A path to a module or package, or a dotted name; relative ones start
            at the current directory.

    Returns:
        The dotted name to import.
    """
    place = os.path.realpath(path)
    stem, suffix = os.path.splitext(place)
    if suffix == ".py":
        place = stem
    if os.path.basename(place) == "__init__":
        place = os.path.dirname(place)
    folder, name = os.path.split(place)
    names = [name]
    while os.path.isfile(os.path.join(folder, "__init__.py")):
        folder, name = os.path.split(folder)
        names.insert(0, name)
    if sys.path[:1] != [folder]:
        sys.path.insert(0, folder)
    return ".".join(names)


def locate_app(
    module_name: str, app_name: str | None, raise_if_not_found: bool = True
) -> t.Any:
    """Import a module and find the application in it.

    Args:
        module_name: A dotted name, as `prepare_import` returns it.
        app_name: As for `find_app_by_string`; None looks for the likely one.
        raise_if_not_found: Whether a module that does not exist is an error.

    Returns:
        The application, or None for a module that does not exist and need not.

    Raises:
        NoAppException: There is no such module or no application in it.
        UserCodeError: The module exists and raises.
    """
    with _user_code(f"import {module_name!r}"):
        try:
            __import__(module_name)
        except ModuleNotFoundError as exc:
            if not f"{module_name}.".startswith(f"{exc.name}."):
                raise  # the module exists and misses another one
            if not raise_if_not_found:
                return None
            raise NoAppException(
                f"Could not import {module_name!r}: no module named {exc.name!r} in"
                f" {sys.path[0]!r} or elsewhere on the import path."
            ) from None
    module = sys.modules[module_name]
    if app_name is None:
        return find_best_app(module)
    return find_app_by_string(module, app_name)


class ScriptInfo:
    """What commands know about the application: where it is, later itself.

    It is click's `obj`; commands reach it by `pass_script_info`.

    Args:
        app_import_path: Module or path, and perhaps a name: `module:name`.
        create_app: Called without arguments for the application, instead of an
            import.
        set_debug_flag: Whether `app.debug` is set from the environment.
        load_dotenv_defaults: Whether `.env` and `.flaskenv` are read;
            `ERLEN_SKIP_DOTENV` wins.
    """

    def __init__(
        self,
        app_import_path: str | None = None,
        create_app: t.Callable[..., t.Any] | None = None,
        set_debug_flag: bool = True,
        load_dotenv_defaults: bool = True,
    ) -> None:
        self.app_import_path = app_import_path
        self.create_app = create_app
        self.data: dict[t.Any, t.Any] = {}
        self.set_debug_flag = set_debug_flag
        self.load_dotenv_defaults = get_load_dotenv(load_dotenv_defaults)
        self._loaded_app: t.Any = None

    def load_app(self) -> t.Any:
        """Load the application, once.

        Returns:
            The application, the same one at each call.

        Raises:
            NoAppException: There is none.
            UserCodeError: The user's own module or factory raises.
        """
        if self._loaded_app is None:
            app = self._find_app()
            if self.set_debug_flag:
                app.debug = get_debug_flag()
            self._loaded_app = app
        return self._loaded_app

    def _find_app(self) -> t.Any:
        if self.create_app is not None:
            name = getattr(self.create_app, "__qualname__", repr(self.create_app))
            with _user_code(f"call the factory {name!r}"):
                app = self.create_app()
            if not _is_app(app):
                raise NoAppException(
                    f"The factory {name!r} returned {app!r}, which is no application."
                )
            return app
        if self.app_import_path:
            # The colon of "C:\\site\\app.py" is not the one before the name.
            path, _, name = re.sub(
                r":(?![\\/])", "\0", self.app_import_path, count=1
            ).partition("\0")
            return locate_app(prepare_import(path), name or None)
        for path in ("wsgi.py", "app.py"):
            app = locate_app(prepare_import(path), None, raise_if_not_found=False)
            if app is not None:
                return app
        raise NoAppException(
            "Could not locate an Erlen application. Searched: the '--app' option (not"
            " given), 'ERLEN_APP' and 'FLASK_APP' in the environment (not set),"
            f" 'wsgi.py' and 'app.py' in {os.getcwd()!r} (not there). Use 'erlen --app"
            " module:name' or set 'ERLEN_APP'."
        )


pass_script_info = click.make_pass_decorator(ScriptInfo, ensure=True)


def with_appcontext(f: F) -> F:
    """Run a command inside the application's context.

    Commands of `app.cli` and of `AppGroup` are wrapped already.

    Args:
        f: The command's function.

    Returns:
        A function that loads the application and pushes its context, unless one is
        pushed already, until the command has ended.
    """

    @click.pass_context
    def decorator(ctx: click.Context, /, *args: t.Any, **kwargs: t.Any) -> t.Any:
        if _state.current.get()[0] is None:
            app = ctx.ensure_object(ScriptInfo).load_app()
            ctx.with_resource(app.app_context())
        return ctx.invoke(f, *args, **kwargs)

    return t.cast("F", functools.update_wrapper(decorator, f))


class AppGroup(click.Group):
    """A group whose commands run inside the application's context."""

    @t.overload
    def command(self, f: t.Callable[..., t.Any], /) -> click.Command: ...
    @t.overload
    def command(
        self, *args: t.Any, **kwargs: t.Any
    ) -> t.Callable[[t.Callable[..., t.Any]], click.Command]: ...
    def command(self, *args: t.Any, **kwargs: t.Any) -> t.Any:
        """Make a decorator that adds a function as a command.

        Args:
            args: Passed to `click.Group.command`; a function alone is decorated.
            kwargs: Passed to `click.Group.command`; with `with_appcontext=False` the
                command runs without the application's context.

        Returns:
            The decorator, or the command.
        """
        wrap: t.Any = with_appcontext
        if not kwargs.pop("with_appcontext", True):
            wrap = _as_it_is
        if args and callable(args[0]):
            return self.command(with_appcontext=False, **kwargs)(wrap(args[0]))
        make = super().command(*args, **kwargs)

        def decorator(f: t.Callable[..., t.Any]) -> click.Command:
            command: click.Command = make(wrap(f))
            return command

        return decorator

    def group(self, *args: t.Any, **kwargs: t.Any) -> t.Any:
        """Make a decorator that adds a function as a group of this same kind.

        Args:
            args: Passed to `click.Group.group`.
            kwargs: Passed to `click.Group.group`.

        Returns:
            The decorator, or the group.
        """
        kwargs.setdefault("cls", AppGroup)
        return super().group(*args, **kwargs)


def _as_it_is(f: F) -> F:
    return f
