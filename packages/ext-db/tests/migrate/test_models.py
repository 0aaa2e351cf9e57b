from __future__ import annotations

import sys

import pytest
import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError

from erlen_db.migrate import _models


@pytest.fixture
def _shop(tmp_path, monkeypatch):
    package = tmp_path / "shop_models"
    (package / "stock").mkdir(parents=True)
    for name in ("__init__", "__main__", "users", "stock/__init__", "stock/goods"):
        (package / f"{name}.py").touch()
    (package / "__main__.py").write_text("raise SystemExit")
    (package / "broken.txt").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in [name for name in sys.modules if name.startswith("shop_models")]:
        del sys.modules[name]


@pytest.mark.usefixtures("_shop")
def test_all_modules_of_a_package_are_imported():
    _models.load(["shop_models"])

    assert "shop_models.users" in sys.modules
    assert "shop_models.stock.goods" in sys.modules


@pytest.mark.usefixtures("_shop")
@pytest.mark.parametrize("name", ["shop_models.nothing", "shop_models.nothing.more"])
def test_a_module_that_is_not_there_is_named(name):
    with pytest.raises(CommandError, match=r"'shop_models\.nothing'"):
        _models.load([name])


@pytest.mark.usefixtures("_shop")
def test_a_module_that_misses_another_one_shows_its_own_error(tmp_path):
    (tmp_path / "shop_models" / "users.py").write_text("import nowhere_at_all")

    with pytest.raises(ModuleNotFoundError, match="nowhere_at_all"):
        _models.load(["shop_models.users"])


@pytest.fixture
def connection():
    engine = sa.create_engine("sqlite://")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def _make_context(connection, target):
    options = {"target_metadata": target}
    return MigrationContext.configure(connection, opts=options)


def test_tables_are_counted(connection):
    first, second = sa.MetaData(), sa.MetaData()
    sa.Table("user", first)
    sa.Table("post", second)

    assert _models.check_known(_make_context(connection, first), [], ()) == 1
    assert _models.check_known(_make_context(connection, [first, second]), [], ()) == 2


def test_an_empty_database_needs_no_models(connection):
    connection.exec_driver_sql("CREATE TABLE alembic_version (id)")
    empty = sa.MetaData()

    assert _models.check_known(_make_context(connection, empty), [empty], ()) == 0


def test_models_of_another_database_are_models(connection):
    connection.exec_driver_sql("CREATE TABLE user (id)")
    empty, other = sa.MetaData(), sa.MetaData()
    sa.Table("post", other)

    assert (
        _models.check_known(_make_context(connection, empty), [empty, other], ()) == 0
    )


@pytest.mark.parametrize(
    ("models", "where"), [((), "application imports"), (("a.b", "c"), "in a.b, c")]
)
def test_no_models_at_all_would_drop_everything(connection, models, where):
    for number in range(6):
        connection.exec_driver_sql(f"CREATE TABLE t{number} (id)")
    empty = sa.MetaData()

    with pytest.raises(CommandError) as raised:
        _models.check_known(_make_context(connection, empty), [empty], models)
    assert where in str(raised.value)
    assert "6 tables (t0, t1, t2, t3, t4, ...)" in str(raised.value)
