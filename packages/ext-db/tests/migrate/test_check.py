from __future__ import annotations

import pytest
import sqlalchemy as sa

NOT_NULL = "op.add_column('user', sa.Column('n', sa.Integer, nullable=False))"


def test_all_is_well(project):
    project.add_user()
    project("init")
    project("migrate")
    project("upgrade")

    assert "No problems found." in project("check")


def test_migrations_that_were_not_run_are_named(project):
    project("init")
    project.write("a1", None)
    project.write("b1", "a1")

    printed = project("check", code=1)
    assert "error: pending" in printed
    assert printed.index("a1") < printed.index("b1")
    assert "2 problems found." in printed  # and no file HEAD


def test_models_that_differ_are_named(project):
    project.add_user()
    project("init")

    printed = project("check", code=1)
    assert "error: drift" in printed
    assert "+ table user" in printed
    assert "1 problem found." in printed
    assert project.tables() == []


@pytest.fixture
def unsafe(project):
    """Return a project with an unsafe migration after a safe one, and before another."""
    project.add_user(n=sa.Column(sa.Integer, nullable=False))
    project("init")
    project.write(
        "a1",
        None,
        "op.create_table('user', sa.Column('id', sa.Integer, primary_key=True),"
        " sa.Column('name', sa.String(80)))",
    )
    project.write("b1", "a1", NOT_NULL)
    project.write("c1", "b1")
    project("heads")
    return project


def test_unsafe_migrations_that_were_not_run_are_shown(unsafe):
    printed = unsafe("check", code=1)
    assert "error: unsafe\n    b1 [not-null-column] user.n" in printed


def test_migrations_that_were_run_are_left_alone_but_for_the_last(unsafe):
    unsafe("upgrade")
    assert "No problems found." in unsafe("check")
    assert "b1 [not-null-column]" in unsafe("check", "--since", "a1", code=1)
    assert "No problems found." in unsafe("check", "--since", "b1")

    unsafe("downgrade", "b1")
    (unsafe.path / "migrations" / "versions" / "c1_.py").unlink()
    unsafe("heads")
    assert "b1 [not-null-column]" in unsafe("check", code=1)


def test_the_migrations_of_several_databases_are_checked_for_each(app, config, request):
    config["SQLALCHEMY_BINDS"] = {"users": "sqlite:///users.db"}
    project = request.getfixturevalue("project")
    project("init", "--multidb")
    body = f"engine_name == 'users' and {NOT_NULL}"
    project.write("a1", None).write_text(
        "import sqlalchemy as sa\nfrom alembic import op\n"
        "revision, down_revision, branch_labels, depends_on = 'a1', None, None, None\n"
        f"def upgrade(engine_name):\n    {body}\n"
        "def downgrade(engine_name):\n    pass\n"
    )
    project("heads")

    printed = project("check", code=1)
    assert printed.count("a1 [not-null-column] user.n") == 1
