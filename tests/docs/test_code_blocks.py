"""Every code block of the pages runs, or says above itself why not.

The `python` and `pycon` blocks of a page share one namespace, top to bottom, in a
folder of their own; a block that starts with "# name.py" is saved there, too, and one
that starts with "# folder/name.py" is left to be imported. Templates and SQL are saved
and read. Any other language needs a line above it: <!-- not run: the reason -->
A page with a line <!-- continues: other.md --> finds the files of that page. A block
inside a comment is not shown, and runs, too.
"""

from __future__ import annotations

import doctest
import importlib
import json
import re
import sqlite3
import sys
import tomllib
from contextlib import closing

import jinja2
import pytest
from sqlalchemy import event
from sqlalchemy.pool import Pool
from tests.docs.pages import PAGES
from tests.docs.pages import ROOT
from tests.docs.pages import Block
from tests.docs.pages import blocks
from tests.docs.pages import chapters

from erlen import signals

DIRECTIVES = re.compile(r"\{[a-z:-]+\}")  # Sphinx's own, such as {toctree}
# The name of a file, in a comment of Python, SQL or Jinja.
FILE_NAME = re.compile(r"(?:#|--|\{#) ([\w/]+\.\w+)(?: #\})?\n")


@pytest.fixture(autouse=True)
def _signals_end_with_their_page():
    """Disconnect what a page connects: other tests count the receivers."""
    yield
    for name in set(signals.__all__) - {"Namespace"}:
        getattr(signals, name)._clear_state()


@pytest.fixture(autouse=True)
def _connections_end_with_their_page():
    """Close what the engines of a page still have in their pools."""
    opened = []

    def note(connection, record):
        opened.append(connection)

    event.listen(Pool, "connect", note)
    yield
    event.remove(Pool, "connect", note)
    for connection in opened:
        if isinstance(connection, sqlite3.Connection):  # others are their loop's
            connection.close()


def save(block, folder):
    name = FILE_NAME.match(block.text)
    if name:
        path = folder / name[1]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text)


def run_python(block, page, names):
    # The line numbers of an error are those of the page.
    text = "\n" * (block.line - 1) + block.text
    code = compile(text, page, "exec", dont_inherit=True)  # our __future__ is not its
    name = FILE_NAME.match(block.text)
    if not (name and "/" in name[1]):  # a module of a package is to be imported
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


def run_sql(block, page, names):
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(block.text)


RUNNERS = {
    "python": run_python,
    "pycon": run_session,
    "html+jinja": lambda block, *_: jinja2.Environment().parse(block.text),
    "sql": run_sql,
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
    # A file that a page changes is read again, however quick the change was.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    # A page's Erlen(__name__) finds templates and static files in its folder.
    monkeypatch.setitem(sys.modules, "page", page_module(tmp_path))
    for chapter in chapters(page):
        run_page(chapter, tmp_path)


def run_page(page, folder):
    before = set(sys.modules)
    names = {"__name__": "page"}
    try:
        for block in blocks(page.read_text(encoding="utf-8")):
            save(block, folder)
            importlib.invalidate_caches()
            run(block, page.relative_to(ROOT), names)
    finally:
        for name in set(sys.modules) - before:
            if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
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


def test_a_page_continues_another(tmp_path):
    for name, text in {
        "one.md": "# One\n",
        "two.md": "# Two\n\n<!-- continues: one.md -->\n",
        "three.md": "<!-- continues: two.md -->\n",
    }.items():
        (tmp_path / name).write_text(text)

    assert [page.stem for page in chapters(tmp_path / "three.md")] == [
        "one",
        "two",
        "three",
    ]


def test_files_are_saved(tmp_path):
    for text in (
        "# a/b.py\n1 / 0\n",
        "{# t/x.html #}\n{{ x }}\n",
        "-- s.sql\nSELECT 1;\n",
    ):
        save(Block("", text, 1, None), tmp_path)

    assert (tmp_path / "t/x.html").read_text() == "{# t/x.html #}\n{{ x }}\n"
    assert (tmp_path / "s.sql").is_file()
    run(Block("python", (tmp_path / "a/b.py").read_text(), 1, None), "page", {})


@pytest.mark.parametrize(
    ("language", "text"), [("html+jinja", "{% if %}\n"), ("sql", "SELEKT 1;\n")]
)
def test_templates_and_sql_are_read(language, text):
    with pytest.raises((jinja2.TemplateSyntaxError, sqlite3.OperationalError)):
        run(Block(language, text, 1, None), "page", {})
