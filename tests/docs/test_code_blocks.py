"""Every code block of the pages runs, or says above itself why not.

The `python` and `pycon` blocks of a page share one namespace, top to bottom, in a
folder of their own; a block that starts with "# name.py" is saved there, too.
Any other language needs a line above it: <!-- not run: the reason -->
"""

from __future__ import annotations

import doctest
import json
import re
import sys
import tomllib

import pytest
from tests.docs.pages import PAGES
from tests.docs.pages import ROOT
from tests.docs.pages import Block
from tests.docs.pages import blocks

DIRECTIVES = re.compile(r"\{[a-z:-]+\}")  # Sphinx's own, such as {toctree}


def save(block, folder):
    name = re.match(r"# ([\w/]+\.\w+)$", block.text.partition("\n")[0])
    if name:
        path = folder / name[1]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text)


def run_python(block, page, names):
    # The line numbers of an error are those of the page.
    code = compile("\n" * (block.line - 1) + block.text, page, "exec")
    exec(code, names)


def run_session(block, page, names):
    test = doctest.DocTestParser().get_doctest(
        block.text, names, str(page), str(page), block.line - 1
    )
    report: list[str] = []
    result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(
        test, out=report.append, clear_globs=False
    )
    names.update(test.globs)
    assert result.failed == 0, "".join(report)


RUNNERS = {
    "python": run_python,
    "pycon": run_session,
    "toml": lambda block, *_: tomllib.loads(block.text),
    "json": lambda block, *_: json.loads(block.text),
}


def run(block, page, names):
    if block.reason or DIRECTIVES.fullmatch(block.language.partition(" ")[0]):
        return
    where = f"{page}:{block.line}"
    assert block.language in RUNNERS, f"{where} neither runs nor says why not"
    RUNNERS[block.language](block, where, names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    names = {"__name__": "page"}
    # A page's Erlen(__name__) finds templates and static files in its folder.
    monkeypatch.setitem(sys.modules, "page", page_module(tmp_path))
    for block in blocks(page.read_text(encoding="utf-8")):
        save(block, tmp_path)
        run(block, page.relative_to(ROOT), names)
    for name in set(sys.modules) - before - {"page"}:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def page_module(folder):
    module = type(sys)("page")
    module.__file__ = str(folder / "page.py")
    return module


def test_a_block_without_runner_needs_a_reason():
    with pytest.raises(AssertionError, match="neither runs nor says why not"):
        run(Block("console", "$ true\n", 1, None), "page", {})
    run(Block("console", "$ true\n", 1, "an example"), "page", {})


def test_blocks_are_found_with_their_reasons():
    page = (
        "# x\n\n```python\na = 1\n```\n\n<!-- not run: waits -->\n```console\nx\n```\n"
    )
    assert list(blocks(page)) == [
        Block("python", "a = 1\n", 4, None),
        Block("console", "x\n", 9, "waits"),
    ]


def test_a_wrong_session_fails():
    with pytest.raises(AssertionError, match="Expected"):
        run(Block("pycon", ">>> 1 + 1\n3\n", 1, None), "page", {})
