from __future__ import annotations

import tarfile
import tomllib
import urllib.request
import zipfile

import pytest
from tests.workspace.commands import ROOT
from tests.workspace.commands import UV
from tests.workspace.commands import run
from tests.workspace.commands import serving

pytestmark = pytest.mark.wheel

PROJECTS = {
    path.parent: tomllib.loads(path.read_text())["project"]
    for path in sorted(ROOT.glob("packages/*/pyproject.toml"))
}
HELLO = """\
from erlen import Erlen

app = Erlen(__name__)


@app.get("/<int:number>")
def hello(number):
    return {"hello": number}
"""


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    run("scripts/build", folder)
    return folder


@pytest.fixture(scope="module", params=PROJECTS, ids=lambda path: path.name)
def built(request, dist):
    project = PROJECTS[request.param]
    stem = f"{project['name'].replace('-', '_')}-{project['version']}"
    wheel, sdist = dist / f"{stem}-py3-none-any.whl", dist / f"{stem}.tar.gz"
    return request.param, wheel, sdist


def contents(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_wheel_has_the_package_and_nothing_else(built):
    folder, wheel, _ = built
    source = folder / "src"
    files = {name for name in contents(wheel) if ".dist-info/" not in name}
    assert files == {
        str(path.relative_to(source))
        for path in source.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert any(name.endswith("/py.typed") for name in files)
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in contents(wheel))


def test_an_sdist_has_tests_and_changes(built):
    _, _, sdist = built
    with tarfile.open(sdist) as archive:
        top = {name.split("/")[1] for name in archive.getnames()}
    assert {"CHANGELOG.md", "LICENSE", "README.md", "src", "tests"} <= top


def test_the_sdist_builds_the_same_wheel_as_the_tree(built, tmp_path):
    folder, from_sdist, sdist = built
    for source in (folder, sdist):
        run(UV, "build", "--quiet", "--wheel", source, "--out-dir", tmp_path)
        assert contents(tmp_path / from_sdist.name) == contents(from_sdist)


@pytest.mark.parametrize(
    "what", ["erlen", "erlen[dotenv]", "erlen[async]", "erlen[all]"]
)
def test_a_wheel_that_is_installed_alone_serves(what, dist, tmp_path):
    python = tmp_path / "venv" / "bin" / "python"
    run(UV, "venv", "--quiet", tmp_path / "venv", cwd=tmp_path)
    install = (UV, "pip", "install", "--quiet", "--python", python)
    run(*install, "--find-links", dist, what, cwd=tmp_path)
    (tmp_path / "hello.py").write_text(HELLO)
    command = (python, "-W", "error", "-m", "erlen", "--app", "hello", "run")
    with (
        serving(*command, cwd=tmp_path, log=tmp_path / "log") as address,
        urllib.request.urlopen(f"{address}/7", timeout=10) as answer,
    ):
        assert answer.read() == b'{"hello":7}\n'
    run(python, "-I", "-c", "import erlen; assert erlen.__version__", cwd=tmp_path)
    run(tmp_path / "venv" / "bin" / "erlen", "--version", cwd=tmp_path)
