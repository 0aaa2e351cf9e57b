from __future__ import annotations

import json
import subprocess
import sys
from graphlib import CycleError
from graphlib import TopologicalSorter

import pytest
from tests.architecture.layers import RANK
from tests.architecture.source import CORE
from tests.architecture.source import Module
from tests.architecture.source import read_package

MODULES = read_package(CORE)
GRAPH = {name: module.imports("erlen", MODULES) for name, module in MODULES.items()}
HEAVY = (
    *("asyncio", "click", "itsdangerous", "jinja2", "pytest"),
    *("werkzeug.debug", "werkzeug.serving", "werkzeug.test"),
)


def test_the_table_has_all_modules_and_no_other():
    assert set(RANK) == set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_only_below_and_to_the_left(name):
    assert [other for other in GRAPH[name] if RANK[other] > RANK[name]] == []


def test_there_is_no_cycle():
    TopologicalSorter(GRAPH).prepare()


@pytest.mark.parametrize("heavy", HEAVY)
def test_importing_erlen_is_light(heavy, added_by_erlen):
    assert heavy not in added_by_erlen


@pytest.fixture(scope="module")
def added_by_erlen():
    # Werkzeug's own __init__ imports its server and its test client.
    code = """
import json, sys, werkzeug
before = set(sys.modules)
import erlen
print(json.dumps(sorted(set(sys.modules) - before)))
"""
    command = [sys.executable, "-c", code]
    return json.loads(subprocess.check_output(command, text=True))


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
