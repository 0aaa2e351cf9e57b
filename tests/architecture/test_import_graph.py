from __future__ import annotations

import json
import subprocess
import sys
from graphlib import CycleError
from graphlib import TopologicalSorter

import pytest
from tests.architecture.layers import RANK
from tests.architecture.source import PACKAGES
from tests.architecture.source import Module
from tests.architecture.source import read_package

MODULES = {package: read_package(folder) for package, folder in PACKAGES.items()}
GRAPHS = {
    package: {
        name: module.imports(package, modules) for name, module in modules.items()
    }
    for package, modules in MODULES.items()
}
#: What each package leaves alone when it is imported, after what it cannot do without.
HEAVY = {
    ("erlen", "werkzeug"): (
        *("asyncio", "click", "itsdangerous", "jinja2", "pytest"),
        # Werkzeug's own __init__ imports its server and its test client.
        *("werkzeug.debug", "werkzeug.serving", "werkzeug.test"),
    ),
    ("erlen_db", "erlen, sqlalchemy.orm"): (
        *("alembic", "click", "filelock", "jinja2", "mypy", "pytest"),
        *("aiosqlite", "asyncmy", "psycopg", "pymysql", "greenlet"),
    ),
}


@pytest.mark.parametrize("package", PACKAGES)
def test_the_table_has_all_modules_and_no_other(package):
    assert set(RANK[package]) == set(MODULES[package])


@pytest.mark.parametrize(
    ("package", "name"),
    [(package, name) for package in MODULES for name in MODULES[package]],
)
def test_a_module_imports_only_below_and_to_the_left(package, name):
    rank = RANK[package]
    assert [it for it in GRAPHS[package][name] if rank[it] > rank[name]] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_there_is_no_cycle(package):
    TopologicalSorter(GRAPHS[package]).prepare()


@pytest.mark.parametrize(("package", "before"), HEAVY)
def test_importing_a_package_is_light(package, before):
    code = f"""
import json, sys, {before}
before = set(sys.modules)
import {package}
print(json.dumps(sorted(set(sys.modules) - before)))
"""
    added = json.loads(subprocess.check_output([sys.executable, "-c", code], text=True))
    assert package in added
    assert set(HEAVY[package, before]).intersection(added) == set()


# --- the reader of the graph itself: it must not overlook an import ----------------

SEEN = {
    "import erlen": "__init__",
    "import erlen.json": "json",
    "import erlen.json.tag as t": "json.tag",
    "from erlen import Erlen": "__init__",
    "from erlen.json.tag import JSONTag": "json.tag",
    "from . import a": "a",
    "from . import NAME": "__init__",
    "from .a import NAME": "a",
    "from .json import tag": "json.tag",
    "from .json import dumps": "json",
    "def f():\n    from . import a": "a",
    "if t.TYPE_CHECKING:\n    from .a import A": "a",
    "importlib.import_module('erlen.a')": "a",
    "import_module('.json.tag', __package__)": "json.tag",
}


@pytest.mark.parametrize(("text", "target"), SEEN.items())
def test_every_kind_of_import_is_seen(text, target):
    modules = {"__init__", "a", "json", "json.tag"}
    assert Module("me", text).imports("erlen", modules) == {target}


@pytest.mark.parametrize(
    ("name", "is_package", "text", "target"),
    [
        ("json.tag", False, "from . import provider", "json.provider"),
        ("json.tag", False, "from .. import config", "config"),
        ("json.tag", False, "from ..config import Config", "config"),
        ("json", True, "from .provider import JSONProvider", "json.provider"),
        ("json", True, "from ..config import Config", "config"),
        ("__init__", True, "from .config import Config", "config"),
        ("__main__", False, "from . import NAME", "__init__"),
    ],
)
def test_relative_imports_are_resolved(name, is_package, text, target):
    modules = {"__init__", "config", "json", "json.provider", "json.tag"}
    assert Module(name, text, is_package).imports("erlen", modules) == {target}


@pytest.mark.parametrize(
    "text", ["import os", "from json import dumps", "import_module(name)"]
)
def test_what_others_own_is_no_edge(text):
    assert Module("me", text).imports("erlen", {"json"}) == set()


def test_a_cycle_would_be_found():
    with pytest.raises(CycleError):
        TopologicalSorter({"a": {"b"}, "b": {"a"}}).prepare()
