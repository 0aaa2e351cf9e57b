from __future__ import annotations

from erlen.extension import run_checks


def _check(project, deploy=False):
    silence = ["core.secret-key", "sqlalchemy.urls"]
    found = run_checks(project.app, deploy, silence)
    return [it for it in found if it.id.startswith("migrate.")]


def test_a_project_without_migrations_has_no_problems(project):
    assert _check(project, deploy=True) == []


def test_a_head_that_is_not_written_down_is_a_problem(project):
    project("init")
    project.write("a1", None)

    (problem,) = _check(project)
    assert problem.id == "migrate.heads"
    assert "erlen db heads" in problem.what
    found = _check(project, deploy=True)
    assert sorted(it.id for it in found) == ["migrate.databases", "migrate.heads"]


def test_what_the_database_has_not_is_a_problem_for_a_deployment(project):
    project.add_user()
    project("init")
    assert [it.id for it in _check(project, deploy=True)] == ["migrate.databases"]

    project("migrate")
    assert _check(project) == []
    (problem,) = _check(project, deploy=True)
    assert "upgrade` was not run" in problem.what
    project("upgrade")
    assert _check(project, deploy=True) == []
