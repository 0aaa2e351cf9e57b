from __future__ import annotations

import inspect
import sys

import pytest
import sqlalchemy as sa

from erlen_db import migrate

REVISION = "sql head splice branch_label version_path rev_id"


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("list_templates", ""),
        ("init", "directory multidb template package"),
        ("revision", f"directory message autogenerate {REVISION}"),
        ("migrate", f"directory message {REVISION} x_arg"),
        ("edit", "directory revision"),
        ("merge", "directory revisions message branch_label rev_id"),
        ("upgrade", "directory revision sql tag x_arg"),
        ("downgrade", "directory revision sql tag x_arg"),
        ("show", "directory revision"),
        ("history", "directory rev_range verbose indicate_current"),
        ("heads", "directory verbose resolve_dependencies"),
        ("branches", "directory verbose"),
        ("current", "directory verbose"),
        ("stamp", "directory revision sql tag purge"),
        ("check", "directory"),
    ],
)
def test_functions_take_what_the_peers_take(name, arguments):
    parameters = inspect.signature(getattr(migrate, name)).parameters.values()
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    assert [it.name for it in parameters if it.kind is kind] == arguments.split()


def test_a_project_from_its_first_migration_on(project):
    project.add_user()
    assert "There is no folder of migrations" in project("current", code=1)

    assert "Made the folder migrations." in project("init")
    assert "has run no migration" in project("current")
    printed = project("migrate", "-m", "first tables")
    assert "+ table user" in printed
    assert "Wrote migrations/versions/" in printed
    assert "done in" in project("upgrade")
    assert "Nothing to do" in project("upgrade")
    assert "first tables" in project("history", "--verbose")
    assert "(head) (current)" in project("history", "--indicate-current")
    head = (project.path / "migrations" / "HEAD").read_text().strip()
    assert head in project("heads")
    assert head in project("current")
    assert "first_tables" in project("show")
    assert "done in" in project("downgrade")
    assert project.tables() == ["alembic_version"]
    assert "Nothing to do" in project("downgrade", "base")
    assert "done in" in project("stamp")
    assert "Nothing to do" in project("stamp")
    assert head in project("current")


def test_functions_work_without_a_command_line(project, capsys):
    project.add_user()
    with project.app.app_context():
        migrate.init(package=True)
        migrate.migrate(message="first")
        migrate.upgrade()
    assert "Wrote migrations" in capsys.readouterr().out
    assert project.tables() == ["alembic_version", "user"]
    assert (project.path / "migrations" / "versions" / "__init__.py").is_file()


def test_nothing_was_made_yet(project):
    project("init")

    assert "no migrations" in project("history")
    assert "no migrations" in project("heads")
    assert "no migrations" in project("show")
    assert "no branches" in project("branches")
    assert "is there, and is not empty" in project("init", code=1)


def test_an_empty_migration_is_for_ones_own_statements(project):
    project("init")

    project("revision", "-m", "fill", "--rev-id", "abc", "--branch-label", "main")
    source = project.versions()[0].read_text()
    assert "revision = 'abc'" in source
    assert "branch_labels = ('main',)" in source
    project("revision", "--head", "main@head", "--rev-id", "abd")
    project("revision", "--head", "abc", "--splice", "--rev-id", "abe")
    assert "abc (main) (branchpoint)\n    -> ab" in project("branches")


def test_two_heads_are_named_and_joined(project):
    project("init")
    for name, follows in (("a1", None), ("b1", "a1"), ("b2", "a1")):
        project.write(name, follows)

    printed = project("upgrade", code=1)
    assert "erlen db merge heads" in printed
    assert "heads\n" in project("check", code=1)
    project("merge", "heads", "-m", "both", "--rev-id", "c1")
    project("upgrade")
    assert (project.path / "migrations" / "HEAD").read_text() == "c1\n"
    assert "one revision: c1" in project("merge", "heads", code=1)


def test_there_is_nothing_to_join_in_an_empty_folder(project):
    project("init")

    assert "one revision: none" in project("merge", "heads", code=1)


def test_heads_writes_the_file_that_was_lost(project):
    project("init")
    project.write("a1", None)

    assert "Wrote migrations/HEAD" in project("heads")
    assert project("heads") == "a1 (head)\n"


@pytest.mark.parametrize("command", ["upgrade", "downgrade", "show", "edit", "stamp"])
def test_an_unknown_revision_is_an_error(project, command):
    project("init")
    project.write("a1", None)

    assert "'nothing'" in project(command, "nothing", code=1)


def test_a_revision_that_only_the_database_knows_is_an_error(project):
    project("init")
    path = project.write("a1", None)
    project("upgrade")
    path.unlink()

    for command in ("upgrade", "current", "migrate", "check"):
        assert "its file is missing here" in project(command, code=1)
    project("stamp", "--purge", "base")
    assert "has run no migration" in project("current")


def test_models_are_compared_with_what_all_migrations_made(project):
    project.add_user()
    project("init")
    project("migrate")

    assert "Run `erlen db upgrade` first" in project("migrate", code=1)


def test_one_step_at_a_time(project):
    project("init")
    for name, follows in (("a1", None), ("b1", "a1"), ("c1", "b1")):
        project.write(name, follows)

    project("upgrade", "+1")
    assert project("current") == "a1\n"
    project("upgrade", "c1")
    project("downgrade", "-2")
    assert project("current") == "a1\n"
    assert "a1 -> b1" in project("history", "-r", "a1:b1")
    project("stamp", "--tag", "x", "c1")
    assert project("current") == "c1 (head)\n"


def test_arguments_reach_env_py_from_the_group_and_the_command(project):
    project("init")
    project.write("a1", None)
    env = project.path / "migrations" / "env.py"
    env.write_text(
        "from alembic import context\n"
        "from erlen_db.migrate import run_migrations\n"
        "print(context.get_x_argument(), context.get_tag_argument())\n"
        "run_migrations()\n"
    )

    printed = project("-x", "a=1", "upgrade", "-x", "b=2", "-x", "c=3", "--tag", "t")
    assert "['a=1', 'b=2', 'c=3'] t" in printed
    assert "['a=1'] None" in project("-x", "a=1", "current")
    assert "[] None" in project("current")
    with project.app.app_context():
        migrate.upgrade(x_arg="d=4")


def test_the_folder_is_named_by_the_group_or_the_command(project):
    project("-d", "moves", "init")
    assert (project.path / "moves" / "env.py").is_file()

    assert "no migrations" in project("history", "-d", "moves")
    assert "no migrations" in project("-d", "nowhere", "history", "-d", "moves")
    assert f"at {project.path / 'nowhere'}" in project(
        "history", "-d", "nowhere", code=1
    )


def test_templates_are_listed_and_chosen(project):
    assert "erlen-multidb: Migrations of several" in project("list-templates")
    assert "There is no template 'x'" in project("init", "-t", "x", code=1)
    own = project.path / "mine"
    own.mkdir()
    (own / "more").mkdir()
    for name in ("env.py", "README", "alembic.ini.mako", "script.py.mako"):
        (own / name).write_text("# mine\n")

    project("init", "-t", "./mine")
    assert (project.path / "migrations" / "env.py").read_text() == "# mine\n"


def test_the_editor_opens_the_migration(project, monkeypatch):
    project("init")
    path = project.write("a1", None)
    editor = project.path / "editor"
    editor.write_text(
        f"#!{sys.executable}\nopen('edited', 'w').write(__import__('sys').argv[1])\n"
    )
    editor.chmod(0o755)
    monkeypatch.setenv("EDITOR", str(editor))

    assert "No current revisions" in project("edit", code=1)
    project("edit", "head")
    assert (project.path / "edited").read_text() == str(path)


# --- what autogenerate must not do


def test_no_models_are_an_error_and_not_a_migration(project):
    project("init")
    with project.app.app_context(), project.db.engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE user (id INTEGER)")

    assert "would drop all of them" in project("migrate", code=1)
    assert "would drop all of them" in project("check", code=1)
    assert project.versions() == []


@pytest.mark.parametrize("options", [{"models": ["late_models"]}])
def test_models_are_imported_from_declared_modules(project, monkeypatch):
    monkeypatch.syspath_prepend(str(project.path))
    (project.path / "late_models.py").write_text(
        "from erlen import current_app\n"
        "import sqlalchemy as sa\n"
        "db = current_app.extensions['sqlalchemy']\n"
        "class Late(db.Model):\n"
        "    id = sa.Column(sa.Integer, primary_key=True)\n"
    )
    project("init")

    assert "+ table late" in project("migrate")
    sys.modules.pop("late_models")


@pytest.fixture
def grown(project):
    """Return a project whose database has more than its models."""
    project.add_user()
    project("init")
    with project.app.app_context(), project.db.engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE user (id INTEGER NOT NULL, name VARCHAR(80), old INTEGER,"
            " PRIMARY KEY (id))"
        )
        connection.exec_driver_sql("CREATE TABLE gone (id INTEGER)")
    return project


def test_what_would_lose_data_is_left_out_and_named(grown):
    printed = grown("migrate")
    assert "table gone" in printed
    assert "column user.old" in printed
    assert "--allow-drop" in printed
    assert grown.versions() == []
    assert "- table gone" in grown("check", code=1)


@pytest.mark.parametrize("command", [["migrate"], ["revision", "--autogenerate"]])
def test_what_loses_data_is_written_on_demand(grown, command):
    printed = grown(*command, "--allow-drop")
    assert "- table gone" in printed
    assert "drop_column('old')" in grown.versions()[0].read_text()


def test_what_hurts_an_application_is_told_when_it_is_written(grown):
    grown.db.metadata.tables["user"].append_column(
        sa.Column("email", sa.String(80), nullable=False)
    )

    assert "Look at [not-null-column] user.email" in grown("migrate")


@pytest.mark.parametrize("own", [None, lambda kind, obj, context: "sa.Text()"])
def test_ones_own_rendering_goes_first(project, options, own):
    project.app.extensions["migrate"].configure_args["render_item"] = own
    project.add_user()
    project("init")
    project("migrate")

    source = project.versions()[0].read_text()
    assert ("sa.String(length=80)" in source) is (own is None)


def test_ones_own_callbacks_are_called(project):
    called = []
    args = project.app.extensions["migrate"].configure_args
    args["on_version_apply"] = lambda **kwargs: called.append(1)
    project("init")
    project.write("a1", None)
    project("upgrade")
    args["on_version_apply"] = [lambda **kwargs: called.append(2)]
    project("downgrade")

    assert called == [1, 2]
    assert "compare_enums" not in args
