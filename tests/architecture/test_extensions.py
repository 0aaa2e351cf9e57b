"""Extensions rest on public names only, and none of the first-party ones on another.

Read from their sources: what they import of erlen, and which attributes they touch that
only the core's classes have.
"""

from __future__ import annotations

import ast
import re
import typing as t

import pytest
from tests.architecture.source import CORE
from tests.architecture.source import ROOT
from tests.architecture.source import Module
from tests.architecture.source import read_package

EXTENSIONS = {
    path.name: read_package(path)
    for pattern in ("packages/ext-*/src/*", "examples/*/src/*")
    for path in sorted(ROOT.glob(pattern))
    if (path / "__init__.py").is_file()
}
FIRST_PARTY = {"erlen_auth", "erlen_db", "erlen_forms"}

_PRIVATE = re.compile(r"_(?!_.*__$)")  # not __version__
_BY_NAME = {"getattr", "setattr", "delattr", "hasattr"}


def imported(module: Module) -> t.Iterator[tuple[int, str]]:
    """Yield what a module imports by absolute names, dotted, and the line."""
    for node in ast.walk(module.tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
            ("import_module", "__import__", "import_string")
        ):
            names = [str(it.value) for it in node.args[:1] if _is_text(it)]
        for name in names:
            yield node.lineno, name.replace(":", ".")


def touched(module: Module) -> t.Iterator[tuple[int, str]]:
    """Yield the private attributes that a module touches, of whatever object."""
    for node in ast.walk(module.tree):
        name = ""
        if isinstance(node, ast.Attribute):
            name = node.attr
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in _BY_NAME:
            name = next((str(it.value) for it in node.args[1:2] if _is_text(it)), "")
        if _PRIVATE.match(name):
            yield node.lineno, name


def _is_text(node: ast.expr) -> t.TypeGuard[ast.Constant]:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def own(modules: t.Iterable[Module]) -> set[str]:
    """Return the private names that classes of these modules define."""
    names: set[str] = set()
    for module in modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef):
                names.update(_defined(node))
    return {name for name in names if _PRIVATE.match(name)}


def _defined(node: ast.ClassDef) -> t.Iterator[str]:
    """Yield what a class defines: methods, attributes, those of `self`."""
    for statement in node.body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            yield statement.name
        else:
            yield from (it.id for it in _stored(statement, ast.Name))
    for it in _stored(node, ast.Attribute):
        if ast.unparse(it.value) in {"self", "cls"}:
            yield it.attr


def _stored(node: ast.AST, kind: type[t.Any]) -> t.Iterator[t.Any]:
    for it in ast.walk(node):
        if isinstance(it, kind) and isinstance(it.ctx, ast.Store):
            yield it


# `_fields` is a public name of named tuples.
PRIVATE_OF_CORE = own(read_package(CORE).values()) - {"_fields"}


def trespasses(package: str, modules: dict[str, Module]) -> list[str]:
    """Name what a package takes that is not for it."""
    found: list[str] = []
    foreign = PRIVATE_OF_CORE - own(modules.values())
    for name, module in modules.items():
        for line, path in imported(module):
            top, *rest = path.split(".")
            private = top == "erlen" and any(map(_PRIVATE.match, rest))
            if private or (top in FIRST_PARTY and top != package):
                found.append(f"{name}:{line} imports {path}")
        found += [
            f"{name}:{line} touches {attribute}"
            for line, attribute in touched(module)
            if attribute in foreign
        ]
    return found


@pytest.mark.parametrize("package", EXTENSIONS)
def test_an_extension_rests_on_public_names(package):
    assert trespasses(package, EXTENSIONS[package]) == []


def test_there_is_an_extension_to_read():
    modules = EXTENSIONS["acme_audit"]
    public = {path for module in modules.values() for _, path in imported(module)}

    assert {"erlen.extension", "erlen.extension.Signer"} <= public


def test_all_first_party_extensions_are_read():
    folders = [path.name for path in ROOT.glob("packages/ext-*")]
    packages = {f"erlen_{name.removeprefix('ext-')}" for name in folders}

    assert packages <= FIRST_PARTY & EXTENSIONS.keys()


# --- the reader itself: it must not overlook anything ------------------------------

FORBIDDEN = {
    "import erlen._checks": "imports erlen._checks",
    "import os, erlen.json._x as x": "imports erlen.json._x",
    "from erlen import _state": "imports erlen._state",
    "from erlen._keys import Signer": "imports erlen._keys.Signer",
    "from erlen.signals import Namespace, _signals": "imports erlen.signals._signals",
    "def f():\n    from erlen import _state": "imports erlen._state",
    "if t.TYPE_CHECKING:\n    from erlen._x import X": "imports erlen._x.X",
    "importlib.import_module('erlen._keys')": "imports erlen._keys",
    "__import__('erlen._keys')": "imports erlen._keys",
    "import_string('erlen.config:_missing')": "imports erlen.config._missing",
    "import erlen_db": "imports erlen_db",
    "from erlen_forms.fields import Field": "imports erlen_forms.fields.Field",
    "import_module('erlen_auth.models')": "imports erlen_auth.models",
    "app._checks['x']": "touches _checks",
    "app._checks = {}": "touches _checks",
    "current_app.config._owner": "touches _owner",
    "def f(ctx):\n    return ctx.request._needs_close": "touches _needs_close",
    "class A(Erlen):\n    def f(self):\n        self._plans": "touches _plans",
    "getattr(app, '_health')": "touches _health",
    "setattr(app, '_mounts', ())": "touches _mounts",
    "class A:\n    def f(self, app):\n        _plans = app._plans": "touches _plans",
}


@pytest.mark.parametrize(("text", "words"), FORBIDDEN.items())
def test_every_kind_of_trespass_is_seen(text, words):
    line = text.count("\n") + 1
    assert trespasses("erlen_x", {"me": Module("me", text)}) == [f"me:{line} {words}"]


@pytest.mark.parametrize(
    "text",
    [
        "import erlen",
        "from erlen import Erlen, __version__",
        "from erlen.json.tag import JSONTag",
        "from erlen.extension import setup",
        "from ._checks import check",
        "from . import _checks",
        "import _thread",
        "import erlen_x.models",
        "from other._keys import Key",
        "import_module(name)",
        "import_module()",
        "app.__dict__",
        "app.config",
        "thing._of_ours",
        "getattr(app, name)",
        "getattr(app)",
        "def f():\n    _checks = 1",
        "getattr(view, 'audit_event', '')",
        "class A:\n    _checks = 1\nA()._checks",
        "class A:\n    def _health(self): ...\nA()._health",
        "class A:\n    _mounts: int\n    def f(self):\n        self._mounts",
        "class A:\n    def f(self):\n        self._plans = 1\nA()._plans",
    ],
)
def test_what_is_public_or_ones_own_is_none(text):
    assert trespasses("erlen_x", {"me": Module("me", text)}) == []


def test_a_name_of_another_module_of_the_package_is_its_own():
    texts = {"a": "class A:\n    _checks = 1", "b": "from .a import A\nA()._checks"}
    modules = {name: Module(name, text) for name, text in texts.items()}

    assert trespasses("erlen_x", modules) == []


def test_what_the_core_keeps_private_is_read_off_its_classes():
    assert {"_checks", "_owner", "_plans", "_register", "_mounts"} <= PRIVATE_OF_CORE
    assert not any(name.startswith("__") for name in PRIVATE_OF_CORE)
