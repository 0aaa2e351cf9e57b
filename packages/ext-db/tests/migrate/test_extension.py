from __future__ import annotations

import pathlib
import subprocess
import sys
from datetime import timedelta

import pytest

from erlen import Erlen
from erlen.extension import ConfigError
from erlen_db import SQLAlchemy
from erlen_db import migrate
from erlen_db.migrate import Migrate


def test_an_application_keeps_what_the_peers_does(app, db):
    extension = Migrate(app, db, pathlib.Path("moves"), render_as_batch=False)

    state = app.extensions["migrate"]
    assert state.migrate is extension
    assert state.db is db
    assert state.directory == "moves"
    assert state.metadata is db.metadata
    assert state.configure_args == {
        "compare_type": True,
        "render_as_batch": False,
        "transaction_per_migration": True,
    }
    assert app.cli.commands["db"].name == "db"
    assert app.config["MIGRATE_LOCK_TIMEOUT"] == timedelta(minutes=1)


def test_what_init_app_is_given_wins(app, db):
    extension = Migrate(directory="moves", include_schemas=False, models="acme")
    extension.init_app(
        app,
        db,
        "versions",
        "schema",
        compare_type=False,
        render_as_batch=False,
        include_schemas=True,
    )

    state = app.extensions["migrate"]
    assert state.directory == "versions"
    assert state.models == ("acme",)
    assert state.configure_args["compare_type"] is False
    assert state.configure_args["render_as_batch"] is False
    assert state.configure_args["include_schemas"] is True
    assert "db" not in app.cli.commands
    printed = app.test_cli_runner().invoke(args=["schema", "--help"]).output
    assert "upgrade" in printed


def test_the_database_that_the_application_has_needs_no_naming(app, db):
    Migrate(app)

    assert app.extensions["migrate"].db is db


def test_an_application_without_a_database_has_nothing_to_migrate():
    with pytest.raises(RuntimeError, match=r"db\.init_app\(app\)"):
        Migrate(Erlen("acme"))


def test_the_lock_timeout_is_a_duration(app, db):
    app.config["MIGRATE_LOCK_TIMEOUT"] = "soon"

    with pytest.raises(ConfigError, match="MIGRATE_LOCK_TIMEOUT"):
        Migrate(app, db)


def test_functions_change_the_configuration(app, db):
    extension = Migrate(app, db)
    other = migrate.Config()

    @extension.configure
    def first(config):
        config.set_main_option("file_template", "%%(rev)s")

    extension.configure(lambda config: other)

    assert first.__name__ == "first"
    with app.app_context():
        assert extension.get_config() is other


def test_the_configuration_has_what_env_py_asks_for(app, db):
    extension = Migrate(app, db, "100%")

    with app.app_context():
        config = extension.get_config(x_arg="a=1", opts=["autogenerate"])
        assert config.get_main_option("script_location") == "100%"
        assert config.config_file_name == "100%/alembic.ini"
        assert config.cmd_opts.x == ["a=1"]
        assert config.cmd_opts.autogenerate is True
        assert extension.get_config("m", ["a=1", "b=2"]).cmd_opts.x == ["a=1", "b=2"]
        assert extension.get_config().cmd_opts.x is None


def test_a_process_that_never_migrates_does_not_import_alembic():
    code = (
        "import sys, erlen, erlen_db, erlen_db.migrate\n"
        "app = erlen.Erlen('acme')\n"
        "app.config['SQLALCHEMY_DATABASE_URI'] = 'sqlite://'\n"
        "erlen_db.migrate.Migrate(app, erlen_db.SQLAlchemy(app))\n"
        "assert 'alembic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_one_extension_serves_several_applications(tmp_path):
    db, extension = SQLAlchemy(), Migrate()
    for name in ("first", "second"):
        app = Erlen(name, instance_path=str(tmp_path))
        app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
        db.init_app(app)
        extension.init_app(app, directory=name)
        with app.app_context():
            assert extension.get_config().config_file_name == f"{name}/alembic.ini"


def test_an_application_without_migrations_is_told(app, db, capsys):
    with app.app_context(), pytest.raises(SystemExit):
        migrate.upgrade()
    assert "'acme' has no migrations" in capsys.readouterr().err


@pytest.mark.parametrize("name", migrate.__all__)
def test_all_names_are_there(name):
    assert getattr(migrate, name) is getattr(migrate, name)


def test_there_are_no_other_names():
    with pytest.raises(AttributeError, match="'nothing'"):
        migrate.nothing  # noqa: B018


def test_the_version_of_alembic_is_numbers():
    assert migrate.alembic_version >= (1, 16, 0)
