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

HELLO_DB = """\
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column

from erlen import Erlen
from erlen_db import SQLAlchemy

app = Erlen(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///guests.sqlite"
db = SQLAlchemy(app)


class Guest(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)


with app.app_context():
    db.create_all()


@app.get("/<int:number>")
def hello(number):
    db.session.add(Guest(id=number))
    db.session.commit()
    return {"hello": db.get_or_404(Guest, number).id}
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


@pytest.fixture
def install(dist, tmp_path):
    """Return what installs the wheels that are named into an empty environment."""

    def install(*names):
        python = tmp_path / "venv" / "bin" / "python"
        run(UV, "venv", "--quiet", tmp_path / "venv", cwd=tmp_path)
        command = (UV, "pip", "install", "--quiet", "--python", python)
        run(*command, "--find-links", dist, *names, cwd=tmp_path)
        return python

    return install


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("erlen", HELLO),
        ("erlen[dotenv]", HELLO),
        ("erlen[async]", HELLO),
        ("erlen[db]", HELLO_DB),
        ("erlen-db", HELLO_DB),
        ("erlen-db[async,mariadb,mariadb-async,postgresql]", HELLO_DB),
        ("erlen[all]", HELLO_DB),
    ],
)
def test_a_wheel_that_is_installed_alone_serves(what, code, install, tmp_path):
    python = install(what)
    (tmp_path / "hello.py").write_text(code)
    command = (python, "-W", "error", "-m", "erlen", "--app", "hello", "run")
    with (
        serving(*command, cwd=tmp_path, log=tmp_path / "log") as address,
        urllib.request.urlopen(f"{address}/7", timeout=10) as answer,
    ):
        assert answer.read() == b'{"hello":7}\n'
    run(python, "-I", "-c", "import erlen; assert erlen.__version__", cwd=tmp_path)
    run(tmp_path / "venv" / "bin" / "erlen", "--version", cwd=tmp_path)


def test_the_core_alone_has_none_of_the_others(install, tmp_path):
    python = install("erlen")
    others = [project["name"] for project in PROJECTS.values()][1:]
    names = [name.replace("-", "_") for name in others] + ["sqlalchemy"]
    code = f"import importlib.util as u; assert not any(map(u.find_spec, {names}))"
    run(python, "-I", "-c", code, cwd=tmp_path)


def test_every_extra_that_a_package_names_is_there(install, tmp_path):
    wanted = [
        f"{project['name']}[{','.join(project['optional-dependencies'])}]"
        for project in PROJECTS.values()
    ]
    python = install(*wanted)
    code = "import erlen, erlen_db; assert erlen_db.__version__"
    run(python, "-I", "-W", "error", "-c", code, cwd=tmp_path)
