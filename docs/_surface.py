"""A Sphinx extension: every public name of the packages is in the reference.

A name that is missing is a warning, and warnings end the build. The same object
under a second name (`erlen.Erlen`, `erlen.app.Erlen`) needs one of them.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import types
import typing as t
from pathlib import Path

from sphinx.util import logging

if t.TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

# By their import names.
PACKAGES = sorted(
    path.parent.name
    for path in Path(__file__).parent.parent.glob("packages/*/src/*/__init__.py")
)

_logger = logging.getLogger(__name__)
# Objects that are no one's: what two names for them have in common says nothing.
_PLAIN = (str, bytes, int, float, tuple, list, dict, types.NoneType)


def public_modules(package: str) -> t.Iterator[types.ModuleType]:
    """Yield a package and each of its modules that has no underscore in its name."""
    facade = importlib.import_module(package)
    yield facade
    for info in pkgutil.walk_packages(facade.__path__, f"{package}."):
        if "._" not in info.name:
            yield importlib.import_module(info.name)


def public_names(module: types.ModuleType) -> t.Iterator[str]:
    """Yield what `module` offers: `__all__`, or else what it defines itself."""
    listed = getattr(module, "__all__", None)
    if listed is not None:
        yield from listed
        return
    for name, value in vars(module).items():
        if name.isupper():  # nothing tells where a constant is at home
            continue
        if not name.startswith("_") and not isinstance(value, types.ModuleType):
            home = getattr(value, "__module__", module.__name__)
            if home == module.__name__ and not isinstance(
                value, t.TypeVar | t.ParamSpec
            ):
                yield name


def find(name: str) -> object:
    """Return the object of a dotted name, None where there is none."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:end]))
        except ImportError:
            continue
        for part in parts[end:]:
            found = inspect.getattr_static(found, part, None)
        return found
    return None


def check(app: Sphinx, env: BuildEnvironment) -> None:
    """Warn about each public name that no page documents."""
    names = set(env.domaindata["py"]["objects"])
    found = (find(name) for name in names)
    objects = {id(it) for it in found if not isinstance(it, _PLAIN)}
    for package in PACKAGES:
        for module in public_modules(package):
            for name in public_names(module):
                dotted = f"{module.__name__}.{name}"
                known = dotted in names or dotted == f"{package}.{name}"
                if not known and id(getattr(module, name)) not in objects:
                    _logger.warning("%s is public, but not in the reference", dotted)


def setup(app: Sphinx) -> dict[str, bool]:
    """Check when all pages have been read."""
    app.connect("env-check-consistency", check)
    return {"parallel_read_safe": True}
