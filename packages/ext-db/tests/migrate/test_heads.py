from __future__ import annotations

import subprocess

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from erlen_db.migrate import _heads

TEMPLATE = """\
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}
"""


@pytest.fixture
def config(tmp_path):
    folder = tmp_path / "migrations"
    (folder / "versions").mkdir(parents=True)
    (folder / "script.py.mako").write_text(TEMPLATE)
    (folder / "env.py").write_text("")
    config = Config()
    config.set_main_option("script_location", str(folder))
    return config


@pytest.fixture
def revise(config):
    def revise(revision, parent="head", **options):
        command.revision(config, rev_id=revision, head=parent, **options)
        return ScriptDirectory.from_config(config)

    return revise


def test_the_head_is_written_and_read(revise):
    script = revise("1")
    script = revise("2")

    assert _heads.write(script) == _heads.path(script)
    with open(_heads.path(script)) as file:
        assert file.read() == "2\n"
    assert _heads.read(script) == ("2",)
    assert _heads.check(script) == []


def test_a_folder_without_revisions_needs_no_file(config):
    script = ScriptDirectory.from_config(config)

    assert _heads.read(script) is None
    assert _heads.check(script) == []
    _heads.write(script)
    assert _heads.read(script) == ()
    assert _heads.check(script) == []


def test_a_missing_file_is_a_problem(revise):
    (problem,) = _heads.check(revise("1"))

    assert "HEAD is missing" in problem
    assert "erlen db heads" in problem


def test_an_old_file_is_a_problem(revise):
    _heads.write(revise("1"))

    (problem,) = _heads.check(revise("2"))

    assert "names 1, but the revisions end in 2" in problem
    assert "erlen db heads" in problem


def test_a_second_head_is_a_problem(revise):
    _heads.write(revise("1"))
    revise("2", parent="1")

    (problem,) = _heads.check(revise("3", parent="1", splice=True))

    assert "end in 2, 3" in problem
    assert "erlen db merge" in problem


def test_branches_that_somebody_wanted_are_fine(revise):
    revise("1")
    script = revise("2", parent="base", branch_label="other")
    _heads.write(script)

    assert _heads.read(script) == ("1", "2")
    assert _heads.check(script) == []


def _git(folder, *arguments):
    return subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_two_branches_with_a_revision_each_conflict_in_git(revise, config):
    script = revise("1")
    _heads.write(script)
    folder = script.dir
    _git(folder, "init", "-b", "main")
    _git(folder, "add", ".")
    _git(folder, "commit", "-m", "1")
    for branch, revision in [("left", "2"), ("right", "3")]:
        _git(folder, "checkout", "-b", branch, "main")
        _heads.write(revise(revision, parent="1"))
        _git(folder, "add", ".")
        _git(folder, "commit", "-m", revision)

    merged = _git(folder, "merge", "left")

    assert merged.returncode == 1
    assert "CONFLICT" in merged.stdout
    script = ScriptDirectory.from_config(config)
    (problem,) = _heads.check(script)
    assert "has a conflict" in problem
    assert "erlen db merge heads" in problem
    with pytest.raises(RuntimeError, match="has a conflict"):
        _heads.read(script)
