from __future__ import annotations

import importlib
import re
import shutil
import subprocess
import tomllib

import pytest
from tests.workspace.commands import ROOT

SCRIPTS = [
    path for path in sorted((ROOT / "scripts").iterdir()) if path.name[0] not in "._"
]
PACKAGES = sorted(path.parent for path in ROOT.glob("packages/*/pyproject.toml"))
LOCK = """\
version = 1
requires-python = ">=3.11"

[options]
exclude-newer = "2026-01-01T00:00:00Z"

[[package]]
name = "jinja2"
version = "3.1.6"
source = { registry = "https://mirror.example/simple" }
dependencies = [
    { name = "markupsafe", version = "3", source = { registry = "https://m.example" } },
]
sdist = { url = "https://mirror.example/jinja2.tar.gz", hash = "sha256:0" }
wheels = [
    { url = "https://mirror.example/jinja2.whl", hash = "sha256:1" },
]

[[package]]
name = "erlen"
version = "0.1.0"
source = { editable = "packages/core" }
"""
NEUTRAL = """\
version = 1
requires-python = ">=3.11"

[[package]]
name = "jinja2"
version = "3.1.6"
source = { registry = "." }
dependencies = [
    { name = "markupsafe", version = "3", source = { registry = "." } },
]

[[package]]
name = "erlen"
version = "0.1.0"
source = { editable = "packages/core" }
"""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_short_and_runs(script):
    assert len(script.read_text().splitlines()) <= 10
    assert script.stat().st_mode & 0o111


@pytest.mark.parametrize("text", [LOCK, NEUTRAL], ids=["of uv", "neutral"])
def test_the_lock_is_made_neutral(text):
    command = [shutil.which("sed"), "-E", "-f", ROOT / "scripts" / "_lock.sed"]
    assert subprocess.check_output(command, input=text, text=True) == NEUTRAL


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_a_package_is_complete(package):
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    assert (package / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    assert f"## {project['version']}" in (package / "CHANGELOG.md").read_text()
    assert (
        f"packages/{package.name}/CHANGELOG.md" in (ROOT / "CHANGELOG.md").read_text()
    )
    (typed,) = package.glob("src/*/py.typed")
    module = importlib.import_module(typed.parent.name)
    assert module.__version__ == project["version"]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_a_package_names_the_pythons_that_ci_runs(package):
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    named = re.findall(r":: Python :: (3\.\d+)\b", " ".join(project["classifiers"]))
    run = set(re.findall(r"\b3\.1\d\b", (ROOT / ".ci" / "run").read_text()))
    assert set(named) == run
