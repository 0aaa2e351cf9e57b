"""Many migrators at once, and migrators that are killed: real processes and servers."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
import sqlalchemy as sa

pytestmark = pytest.mark.service

SERVERS = {
    "postgresql": os.environ.get(
        "POSTGRESQL_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/test"
    ),
    "mariadb": os.environ.get(
        "MARIADB_URL", "mysql+pymysql://root@127.0.0.1:3306/test"
    ),
}

# The few that each run of the services has, and the many of the long ones.
FEW = pytest.param(2, id="few")
MANY = pytest.param(20, id="many", marks=pytest.mark.fuzz)
FEW_POINTS = pytest.param(3, id="few")

_numbers = itertools.count()

APP = """\
import os
import pathlib
import signal
import time

import sqlalchemy as sa

from erlen import Erlen
from erlen_db import SQLAlchemy
from erlen_db.migrate import Migrate

here = pathlib.Path(__file__).parent
steps = 0


def step(*args):
    "Count what is done to the database, and die where it was said."
    global steps
    steps += 1
    if steps == int(os.environ.get("DIE_AT", 0)):
        os.kill(os.getpid(), signal.SIGKILL)


def start(*args):
    "Wait for the others at the first connection."
    number = os.environ.get("MIGRATOR")
    if number and not (here / f"ready{number}").exists():
        (here / f"ready{number}").touch()
        while not (here / "go").exists():
            time.sleep(0.001)


sa.event.listen(sa.Engine, "before_cursor_execute", step)
sa.event.listen(sa.Engine, "commit", step)
sa.event.listen(sa.Engine, "do_connect", start)

app = Erlen(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE"]
db = SQLAlchemy(app)
Migrate(app, db)


@app.teardown_appcontext
def note(error):
    (here / "steps").write_text(str(steps))
"""

# Forks a process for each command, so that none has to import all the rest anew.
NURSERY = """\
import json
import os
import runpy
import sys
import traceback

import erlen.cli
import erlen_db.migrate
import psycopg
import pymysql
import sqlalchemy.dialects.mysql.pymysql
import sqlalchemy.dialects.postgresql.psycopg
import sqlalchemy.dialects.sqlite.pysqlite


def run(job):
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    output = os.open(job["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.chdir(job["folder"])
    os.environ.update(job["environment"])
    sys.path.insert(0, job["folder"])
    sys.argv = ["erlen", "--app", "app", "db", *job["arguments"]]
    try:
        runpy.run_module("erlen", run_name="__main__")
    except SystemExit as exc:
        return exc.code or 0
    except BaseException:
        traceback.print_exc()
        return 70


for line in sys.stdin:
    job = json.loads(line)
    if "wait" in job:
        _, status = os.waitpid(job["wait"], 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
        continue
    pid = os.fork()
    if pid == 0:
        code = run(job)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    print(pid, flush=True)
"""

HEADER = """\
import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = {down_revision}
branch_labels = depends_on = None


def upgrade():
"""

MIGRATIONS = [
    """
    op.create_table(
        "parent",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(10)),
        sa.Column("balance", sa.Integer, nullable=False),
    )
    op.create_table(
        "child",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column(
            "parent_id",
            sa.Integer,
            sa.ForeignKey("parent.id", ondelete="CASCADE"),
            nullable=False,
        ),
    )
    numbers = range(1, 51)
    parent = sa.table("parent", sa.column("id"), sa.column("balance"))
    op.bulk_insert(parent, [{"id": number, "balance": 0} for number in numbers])
    child = sa.table("child", sa.column("parent_id"))
    op.bulk_insert(child, [{"parent_id": number} for number in [*numbers, *numbers]])
""",
    """
    with op.batch_alter_table("parent") as batch:
        batch.alter_column("name", existing_type=sa.String(10), type_=sa.String(50))
        batch.add_column(sa.Column("email", sa.String(50)))
    op.execute("UPDATE parent SET balance = balance + 1")
    op.create_index("ix_parent_name", "parent", ["name"])
""",
    """
    op.create_table("extra", sa.Column("id", sa.Integer, primary_key=True))
    op.execute("UPDATE parent SET balance = balance + 1")
    op.rename_table("extra", "spare")
    op.add_column("spare", sa.Column("size", sa.Integer))
    op.execute("UPDATE parent SET balance = balance + 1")
""",
    """
    with op.batch_alter_table("child") as batch:
        batch.add_column(sa.Column("note", sa.String(50)))
        batch.create_index("ix_child_note", ["note"])
    op.execute("UPDATE parent SET balance = balance + 1")
    op.drop_table("spare")
""",
]


class Nursery:
    """Starts the processes, and knows how they ended."""

    def __init__(self):
        self._process = subprocess.Popen(
            [sys.executable, "-c", NURSERY],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, **job):
        print(json.dumps(job), file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())

    def close(self):
        self._process.communicate()


class Command:
    """A command that runs."""

    def __init__(self, nursery, folder, arguments, environment):
        self._nursery = nursery
        self._output = folder / f"output{next(_numbers)}"
        self.pid = nursery.ask(
            arguments=arguments,
            environment=environment,
            folder=str(folder),
            output=str(self._output),
        )

    def end(self):
        code = self._nursery.ask(wait=self.pid)
        return code, self._output.read_text()


class Project:
    """An application in a folder of its own, with migrations and a database."""

    def __init__(self, nursery, folder, url):
        self._nursery = nursery
        self.folder = folder
        self._url = url
        if folder.exists():
            for path in [*folder.glob("ready*"), *folder.glob("go")]:
                path.unlink()
            return
        folder.mkdir()
        (folder / "app.py").write_text(APP)
        code, output = self.run("init")
        assert code == 0, output
        for number, body in enumerate(MIGRATIONS, 1):
            down = None if number == 1 else str(number - 1)
            header = HEADER.format(revision=number, down_revision=repr(down))
            path = folder / "migrations" / "versions" / f"{number}_.py"
            path.write_text(header + body)

    def start(self, *arguments, **environment):
        environment["DATABASE"] = self._url.render_as_string(hide_password=False)
        return Command(self._nursery, self.folder, arguments, environment)

    def run(self, *arguments, **environment):
        return self.start(*arguments, **environment).end()

    def let_go(self, count):
        """Wait until so many migrators wait, and let them go on at once."""
        end = time.monotonic() + 60
        while len(list(self.folder.glob("ready*"))) < count:
            assert time.monotonic() < end
            time.sleep(0.01)
        (self.folder / "go").touch()

    def assert_migrated(self):
        engine = sa.create_engine(self._url, poolclass=sa.NullPool)
        with engine.connect() as connection:
            tables = set(sa.inspect(connection).get_table_names())
            counts = [
                str(connection.scalar(sa.text(f"SELECT {what}")))
                for what in (
                    "version_num FROM alembic_version",
                    "count(*) FROM parent",
                    "count(*) FROM child",
                    "count(DISTINCT parent_id) FROM child",
                    "sum(balance) FROM parent",
                )
            ]
        assert tables == {"alembic_version", "parent", "child"}
        assert counts == ["4", "50", "100", "50", "200"]


@pytest.fixture
def fresh(tmp_path):
    """Return what makes a fresh database of a kind, whose URL it yields."""

    @contextlib.contextmanager
    def fresh(name):
        database = f"erlen_faults_{os.getpid()}_{next(_numbers)}"
        if name == "sqlite":
            yield sa.make_url(f"sqlite:///{tmp_path / database}")
            return
        server = sa.create_engine(SERVERS[name], isolation_level="AUTOCOMMIT")
        force = " WITH (FORCE)" if name == "postgresql" else ""
        try:
            with server.connect() as connection:
                connection.execute(sa.text(f"CREATE DATABASE {database}"))
        except sa.exc.OperationalError as exc:
            server.dispose()
            if os.environ.get("CI"):
                raise
            pytest.skip(f"no {name}: {exc.orig}")
        try:
            yield server.url.set(database=database)
        finally:
            with server.connect() as connection:
                connection.execute(sa.text(f"DROP DATABASE {database}{force}"))
            server.dispose()

    return fresh


@pytest.fixture(scope="module")
def nursery():
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture
def make(fresh, nursery, tmp_path):
    """Return what makes the project for a fresh database of a kind."""

    @contextlib.contextmanager
    def make(name):
        with fresh(name) as url:
            yield Project(nursery, tmp_path / "project", url)

    return make


@pytest.mark.parametrize("rounds", [FEW, MANY])
@pytest.mark.parametrize("name", ["sqlite", "postgresql", "mariadb"])
def test_four_migrators_at_once_all_succeed(make, name, rounds):
    failed = []
    for _ in range(rounds):
        with make(name) as project:
            commands = [project.start("upgrade", MIGRATOR=str(it)) for it in range(4)]
            project.let_go(4)
            ended = [command.end() for command in commands]
            failed += [it for it in ended if it[0] != 0]
            project.assert_migrated()

    assert failed == []


@pytest.mark.parametrize("points", [FEW_POINTS, MANY])
@pytest.mark.parametrize("name", ["sqlite", "postgresql"])
def test_a_migration_that_is_killed_runs_again(make, name, points):
    with make(name) as project:
        code, output = project.run("upgrade")
        assert code == 0, output
        project.assert_migrated()
        steps = int((project.folder / "steps").read_text())
    assert steps > 20
    stuck = []
    for point in range(points):
        die_at = 1 + point * (steps - 1) // (points - 1)
        with make(name) as project:
            code, _ = project.run("upgrade", DIE_AT=str(die_at))
            assert code == -signal.SIGKILL
            code, output = project.run("upgrade")
            if code:
                stuck.append((die_at, output))
            else:
                project.assert_migrated()

    assert stuck == []


@pytest.mark.fuzz
@pytest.mark.parametrize("name", ["sqlite", "postgresql"])
def test_a_migration_that_is_killed_at_any_moment_runs_again(make, name):
    stuck, killed = [], 0
    for _ in range(20):
        with make(name) as project:
            command = project.start("upgrade", MIGRATOR="0")
            project.let_go(1)
            time.sleep(random.uniform(0, 0.3))
            os.kill(command.pid, signal.SIGKILL)
            killed += command.end()[0] == -signal.SIGKILL
            code, output = project.run("upgrade")
            if code:
                stuck.append(output)
            else:
                project.assert_migrated()

    assert stuck == []
    assert killed


@pytest.mark.parametrize("name", ["sqlite", "postgresql", "mariadb"])
def test_a_killed_migrator_lets_go_of_its_lock(make, name):
    with make(name) as project:
        project.run("upgrade", "1", DIE_AT="9")
        code, output = project.run("upgrade", "1", "--lock-timeout", "5")

    # MariaDB has no transactions for changes of a schema: what was created is there.
    assert code == 0 or (name == "mariadb" and "already exists" in output)
    assert "Another migration" not in output
