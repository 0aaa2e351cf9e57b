"""Layer 2: what an application takes in as a whole.

The blueprints of a package, and other applications below a prefix.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
import typing as t
from fnmatch import fnmatchcase
from importlib import import_module
from importlib.util import resolve_name
from pkgutil import iter_modules

from .blueprints import Blueprint

if t.TYPE_CHECKING:
    import collections.abc as cabc
    from types import ModuleType

#: What `autodiscover` leaves out; what is inside of a package that is left out, too.
EXCLUDE = (
    *("tests", "*.tests", "test_*", "*.test_*", "conftest", "*.conftest"),
    *("migrations", "*.migrations"),
)


@contextlib.contextmanager
def _noted(note: str) -> cabc.Generator[None]:
    """Let an error of other people's code say what called it."""
    try:
        yield
    except Exception as exc:
        exc.add_note(f"Raised while app.autodiscover {note}.")
        raise


def autodiscover(
    app: t.Any, package: str | ModuleType, exclude: cabc.Collection[str] | None = None
) -> list[str]:
    """Import all modules of a package, then take in what they declare.

    Args:
        app: The application.
        package: The package or its name, relative to the application's own
            package where it starts with a dot.
        exclude: Patterns of dotted names below the package; by default
            `EXCLUDE`.

    Returns:
        The names of the modules, each package before what is in it.

    Raises:
        ImportError: There is no such package.
        ValueError: It is a plain module, or two blueprints have one name.
    """
    name = package if isinstance(package, str) else package.__name__
    if isinstance(exclude, str):
        exclude = (exclude,)
    own = getattr(sys.modules.get(app.import_name), "__package__", None)
    with _noted(f"resolved {name!r} in the package of {app.import_name!r}"):
        name = resolve_name(name, own or "")
    patterns = [f"{name}.{it}" for it in (EXCLUDE if exclude is None else exclude)]
    modules = list(_import_all(name, patterns))
    if not hasattr(modules[0], "__path__"):
        raise ValueError(f"{name!r} is a module: name its package to app.autodiscover.")
    _register_blueprints(app, modules)
    for module in modules:
        init_app: t.Any = vars(module).get("init_app")
        # Not what it imports: extensions have functions of this name, too.
        if getattr(init_app, "__module__", None) == module.__name__:
            with _noted(f"called init_app of {module.__name__!r}"):
                init_app(app)
    return [module.__name__ for module in modules]


def _import_all(name: str, patterns: list[str]) -> cabc.Iterator[ModuleType]:
    with _noted(f"imported {name!r}"):
        module = import_module(name)
    yield module
    path = getattr(module, "__path__", ())
    for child in sorted(info.name for info in iter_modules(path)):
        full = f"{name}.{child}"
        # What no import statement can name, such as "fill-db", is a script.
        script = child == "__main__" or not child.isidentifier()
        if not script and not any(fnmatchcase(full, it) for it in patterns):
            yield from _import_all(full, patterns)


def _register_blueprints(app: t.Any, modules: list[ModuleType]) -> None:
    """Register what no other blueprint has; all are there, so none comes too early."""
    found: dict[Blueprint, str] = {}
    for module in modules:
        for value in vars(module).values():
            # Not isinstance(): it asks proxies for what they stand for.
            if issubclass(type(value), Blueprint):
                found.setdefault(value, module.__name__)
    nested = {child for blueprint in found for child, _ in blueprint._blueprints}
    for blueprint, place in found.items():
        if blueprint in nested or blueprint in app.blueprints.values():
            continue
        note = f"registered {blueprint!r} of {place!r}"
        other = app.blueprints.get(blueprint.name)
        if other is not None:
            note += f"; the other one is of {found.get(other, other.import_name)!r}"
        with _noted(note):
            app.register_blueprint(blueprint)


def check_mount(app: t.Any, prefix: str, application: t.Any) -> str:
    """Refuse what cannot be mounted.

    Returns:
        The prefix, without a slash at its end.

    Raises:
        TypeError: `application` is no WSGI application.
        ValueError: The prefix is none, or taken, or the application is `app`.
    """
    _check_wsgi(application)
    if application is app:
        raise ValueError(f"{app!r} cannot be mounted on itself.")
    plain = prefix.removesuffix("/")
    root, *segments = plain.split("/")
    if root or not segments or {"", ".", ".."} & {*segments} or {*"<>?#%"} & {*prefix}:
        raise ValueError(
            f"{prefix!r} is no prefix to mount at. It is a plain path such as '/admin':"
            " not '/' itself, without variables, and not percent-encoded."
        )
    if plain in dict(app._mounts):
        raise ValueError(f"Another application is mounted at {plain!r} already.")
    return plain


def _check_wsgi(application: t.Any) -> None:
    if not callable(application):
        raise TypeError(f"{application!r} is no WSGI application: it is not callable.")
    if any(map(inspect.iscoroutinefunction, (application, type(application).__call__))):
        raise TypeError(
            f"{application!r} is an ASGI application. It needs the ASGI door; what can"
            " be mounted are WSGI applications."
        )
