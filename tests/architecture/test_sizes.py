from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib

import pytest
from tests.architecture.layers import HELPS
from tests.architecture.layers import RANK
from tests.architecture.source import PACKAGES
from tests.architecture.source import ROOT
from tests.architecture.source import Module
from tests.architecture.source import read_package

PER_PACKAGE = {package: read_package(folder) for package, folder in PACKAGES.items()}
MODULES = PER_PACKAGE["erlen"]
#: The modules of all packages.
EVERY = {
    f"{package}:{name}": module
    for package, modules in PER_PACKAGE.items()
    for name, module in modules.items()
}

SERVES = 7_000
ASKED = 2_000
HELP = 3_500
DOOR = 1_500
MODULE = 500
CLASS = 350
FUNCTION = 40
COMPLEXITY = 10
TIGHTER = {"erlen:_serving": 300, "erlen:_wsgi": 150, "erlen:_asgi": 350}

#: What nobody needs who serves over WSGI alone.
ASGI = {
    *("_environ", "_workers", "_asgi_body", "_sending", "_flow", "_asgi_lifespan"),
    *("_asgi", "_websocket", "websockets", "_origins"),
}


def lines(names):
    return sum(len(MODULES[name].code_lines) for name in names)


def test_the_core_stays_micro(loaded):
    assert "_serving" in loaded
    assert "_asgi" in loaded
    assert lines(loaded & MODULES.keys()) <= SERVES
    assert lines(MODULES.keys() - loaded - HELPS) <= ASKED
    assert lines(HELPS) <= HELP


def test_the_asgi_door_stays_small():
    assert lines(ASGI) <= DOOR


def test_what_serves_needs_no_help(loaded):
    assert loaded & HELPS == set()


@pytest.fixture(scope="module")
def loaded():
    """Return the modules of a process that has served through both doors."""
    code = """
import asyncio, json, sys
from erlen import Erlen, render_template_string, session
app = Erlen("app")
app.secret_key = "a key"
app.add_url_rule("/", "index", lambda: session.update(a=1) or render_template_string("a"))
def start(status, headers): assert status == "200 OK"
environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "wsgi.url_scheme": "http"}
environ.update(SERVER_NAME="localhost", SERVER_PORT="80", HTTP_HOST="localhost")
assert b"".join(app(environ, start)) == b"a"
async def serve():
    sent = []
    async def send(message): sent.append(message)
    async def receive(): return {"type": "http.request"}
    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    await app.asgi(scope, receive, send)
    assert (sent[0]["status"], sent[1]["body"]) == (200, b"a")
asyncio.run(serve())
print(json.dumps([name for name in sys.modules if name.partition(".")[0] == "erlen"]))
"""
    output = subprocess.check_output([sys.executable, "-c", code], text=True)
    return {name.partition(".")[2] or "__init__" for name in json.loads(output)}


@pytest.mark.parametrize("name", EVERY)
def test_a_module_keeps_its_size(name):
    assert len(EVERY[name].code_lines) <= TIGHTER.get(name, MODULE)


@pytest.mark.parametrize("name", EVERY)
def test_classes_and_functions_keep_their_size(name):
    module = EVERY[name]
    limits = {ast.ClassDef: CLASS, ast.FunctionDef: FUNCTION}
    limits[ast.AsyncFunctionDef] = FUNCTION
    sizes = [
        (node.name, module.size(node), limits[type(node)])
        for node in ast.walk(module.tree)
        if type(node) in limits
    ]
    assert [it for it in sizes if it[1] > it[2]] == []


def test_complexity_is_left_to_ruff_without_exceptions():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert settings["tool"]["ruff"]["lint"]["mccabe"]["max-complexity"] == COMPLEXITY
    assert [name for name, it in EVERY.items() if "C901" in it.text] == []


# The facade's docstring is what `help(erlen)` shows to users.
@pytest.mark.parametrize("name", MODULES.keys() - {"__init__"})
def test_a_module_of_the_core_says_its_layer(name):
    docstring = ast.get_docstring(MODULES[name].tree) or ""
    assert docstring.startswith(f"Layer {RANK['erlen'][name][0]}: ")


@pytest.mark.parametrize("name", EVERY.keys() - {"erlen:__init__"})
def test_a_module_says_why_it_exists(name):
    docstring = ast.get_docstring(EVERY[name].tree) or ""
    assert 1 <= len(docstring.splitlines()) <= 5


@pytest.mark.parametrize("name", EVERY)
def test_what_is_not_covered_has_its_reason(name):
    pragmas = re.findall(r"# pragma: no (?:cover|branch).*", EVERY[name].text)
    assert [it for it in pragmas if not re.search(r"no \w+ - \w+", it)] == []


def test_code_lines_leave_out_words_and_blanks():
    text = '"""Why.\n\nMore."""\n\n# a comment\nx = """one\ntwo"""  # and why\n\n'
    text += 'def f():\n    """Say."""\n    # because\n    return (\n        x\n    )\n'
    module = Module("me", text)
    assert sorted(module.code_lines) == [6, 7, 9, 12, 13, 14]
    assert module.size(module.tree.body[-1]) == 4
