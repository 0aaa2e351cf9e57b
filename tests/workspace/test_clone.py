"""The README's two commands, to the letter, in a fresh clone of what is committed."""

from __future__ import annotations

import shutil
import subprocess
import urllib.request

import pytest
from tests.workspace.commands import ROOT
from tests.workspace.commands import run
from tests.workspace.commands import serving

pytestmark = pytest.mark.wheel


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clone") / "erlen"
    run("git", "clone", "--quiet", ROOT, folder)
    return folder


@pytest.fixture(autouse=True)
def is_clean_afterwards(clone):
    yield
    assert run("git", "status", "--porcelain", cwd=clone) == ""


def test_setup_is_idempotent(clone):
    run("scripts/setup", cwd=clone)
    installed = sorted((clone / ".venv").rglob("*/METADATA"))
    stamps = [path.stat().st_mtime_ns for path in installed]
    run("scripts/setup", cwd=clone)
    assert installed
    assert [path.stat().st_mtime_ns for path in installed] == stamps


def test_the_clean_filter_keeps_addresses_out(clone):
    run("scripts/setup", cwd=clone)
    assert "://" in (clone / "uv.lock").read_text()
    assert "://" not in run("git", "show", "HEAD:uv.lock", cwd=clone)
    run("git", "add", "--all", cwd=clone)
    assert "://" not in run("git", "show", ":uv.lock", cwd=clone)


def test_lock_keeps_the_pins(clone):
    run("scripts/lock", cwd=clone)
    assert "://" not in (clone / "uv.lock").read_text()
    assert run("git", "diff", "uv.lock", cwd=clone) == ""


def test_test_passes_the_tests(clone):
    # One folder: all of them would run this test again.
    assert " passed" in run("scripts/test", "tests/architecture", cwd=clone)


def test_demo_serves_and_says_where(clone, tmp_path):
    log = tmp_path / "log"
    with (
        serving("scripts/demo", cwd=clone, log=log) as address,
        urllib.request.urlopen(address, timeout=10) as answer,
    ):
        assert answer.status == 200
        assert "<html" in answer.read().decode()
        assert address in log.read_text()


def test_setup_says_which_python_it_needs(clone, tmp_path):
    for name in ("bash", "dirname"):
        (tmp_path / name).symlink_to(shutil.which(name))
    done = subprocess.run(
        [tmp_path / "bash", "scripts/setup"],
        cwd=clone,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Erlen needs Python 3.11 or newer" in done.stderr
