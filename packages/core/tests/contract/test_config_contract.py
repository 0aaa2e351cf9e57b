"""The configuration: keys with their defaults, loaders, instance folder."""

from __future__ import annotations

import importlib
import json
import sys
import tomllib
import types
from datetime import timedelta

import pytest
from werkzeug.utils import ImportStringError

from erlen import Config
from erlen import Erlen
from erlen.helpers import get_root_path

DEFAULTS = {
    "APPLICATION_ROOT": "/",
    "DEBUG": False,
    "EXPLAIN_TEMPLATE_LOADING": False,
    "MAX_CONTENT_LENGTH": None,
    "MAX_COOKIE_SIZE": 4093,
    "MAX_FORM_MEMORY_SIZE": 500_000,
    "MAX_FORM_PARTS": 1_000,
    "PERMANENT_SESSION_LIFETIME": timedelta(days=31),
    "PREFERRED_URL_SCHEME": "http",
    "PROPAGATE_EXCEPTIONS": None,
    "PROVIDE_AUTOMATIC_OPTIONS": True,
    "SECRET_KEY": None,
    "SECRET_KEY_FALLBACKS": None,
    "SEND_FILE_MAX_AGE_DEFAULT": None,
    "SERVER_NAME": None,
    "SESSION_COOKIE_DOMAIN": None,
    "SESSION_COOKIE_HTTPONLY": True,
    "SESSION_COOKIE_NAME": "session",
    "SESSION_COOKIE_PARTITIONED": False,
    "SESSION_COOKIE_PATH": None,
    "SESSION_REFRESH_EACH_REQUEST": True,
    "TEMPLATES_AUTO_RELOAD": None,
    "TESTING": False,
    "TRAP_BAD_REQUEST_ERRORS": None,
    "TRAP_HTTP_EXCEPTIONS": False,
    "TRUSTED_HOSTS": None,
    "USE_X_SENDFILE": False,
}

NAME = "from a class"


@pytest.fixture
def config(tmp_path):
    return Config(tmp_path, {"KEPT": "yes"})


@pytest.fixture(autouse=True)
def _no_switches_from_outside(monkeypatch):
    monkeypatch.delenv("FLASK_DEBUG", raising=False)


@pytest.mark.parametrize(("key", "value"), DEFAULTS.items())
def test_default(key, value):
    assert Erlen(__name__).config[key] == value


@pytest.mark.parametrize("key", ["SESSION_COOKIE_SAMESITE", "SESSION_COOKIE_SECURE"])
def test_key_exists(key):
    assert key in Erlen(__name__).config


@pytest.mark.parametrize(
    "key",
    [
        "ENV",
        "JSON_AS_ASCII",
        "JSON_SORT_KEYS",
        "JSONIFY_MIMETYPE",
        "JSONIFY_PRETTYPRINT_REGULAR",
    ],
)
def test_key_that_flask_3_dropped_is_absent(key):
    assert key not in Erlen(__name__).config


def test_two_applications_share_no_configuration():
    one, two = Erlen("one"), Erlen("two")
    one.config["TESTING"] = True

    assert two.config["TESTING"] is False
    assert Erlen.default_config["TESTING"] is False


@pytest.mark.parametrize(("value", "debug"), [("1", True), ("0", False), ("no", False)])
def test_debug_comes_from_the_environment(monkeypatch, value, debug):
    monkeypatch.setenv("FLASK_DEBUG", value)

    app = Erlen(__name__)

    assert app.config["DEBUG"] is debug
    assert app.debug is debug


@pytest.mark.parametrize(
    ("given", "read"),
    [(60, timedelta(seconds=60)), (timedelta(days=2), timedelta(days=2))],
)
def test_lifetime_is_seconds_or_a_timedelta(app, given, read):
    app.config["PERMANENT_SESSION_LIFETIME"] = given

    assert app.permanent_session_lifetime == read


def test_config_class_and_make_config():
    class Loud(Config):
        pass

    class Site(Erlen):
        config_class = Loud

    assert type(Site("site").config) is Loud


def test_default_config_of_a_subclass():
    class Site(Erlen):
        default_config = {**Erlen.default_config, "PAGE_SIZE": 20}

    assert Site("site").config["PAGE_SIZE"] == 20


def test_root_path_of_the_configuration_is_that_of_the_application(tmp_path):
    app = Erlen("site", root_path=str(tmp_path))

    assert app.config.root_path == str(tmp_path)


class Base:
    NAME = "base"
    INHERITED = True


class Site(Base):
    NAME = "site"
    lower = "ignored"
    Mixed = "ignored"

    @property
    def COMPUTED(self):
        return "computed"


def test_from_object_takes_upper_case_names_only(config):
    config.from_object(Site)

    assert config["NAME"] == "site"
    assert config["INHERITED"] is True
    assert "lower" not in config
    assert "Mixed" not in config
    assert config["KEPT"] == "yes"


def test_from_object_of_an_instance_reads_properties(config):
    config.from_object(Site())

    assert config["COMPUTED"] == "computed"


def test_from_object_takes_a_module_a_class_and_a_dotted_name(config):
    module = types.ModuleType("settings")
    module.COLOUR = "red"
    config.from_object(module)
    assert config["COLOUR"] == "red"

    config.from_object(__name__)
    assert config["NAME"] == "from a class"

    config.from_object(f"{__name__}.Site")
    assert config["NAME"] == "site"


@pytest.mark.parametrize("name", ["no_such_module", f"{__name__}.NoSuchClass"])
def test_from_object_of_an_unknown_name(config, name):
    with pytest.raises(ImportStringError, match="import_string"):
        config.from_object(name)


def test_from_mapping(config):
    assert config.from_mapping({"A": 1, "b": 2}, C=3, d=4) is True

    assert {key: config.get(key) for key in "AbCd"} == {
        "A": 1,
        "b": None,
        "C": 3,
        "d": None,
    }


def test_from_pyfile_is_relative_to_the_root_and_takes_upper_case(config, tmp_path):
    (tmp_path / "site.cfg").write_text("SIZE = 2 * 21\nlower = 1\n")

    assert config.from_pyfile("site.cfg") is True

    assert config["SIZE"] == 42
    assert "lower" not in config


def test_from_pyfile_takes_a_path_and_other_encodings(config, tmp_path):
    path = tmp_path / "latin.cfg"
    path.write_bytes("# -*- coding: latin-1 -*-\nTOWN = 'Köln'\n".encode("latin-1"))

    config.from_pyfile(path)

    assert config["TOWN"] == "Köln"


@pytest.mark.parametrize(
    "load",
    [
        lambda config, **kw: config.from_pyfile("absent.cfg", **kw),
        lambda config, **kw: config.from_file("absent.json", load=json.load, **kw),
    ],
)
def test_missing_file(config, load):
    with pytest.raises(FileNotFoundError, match="Unable to load configuration file"):
        load(config)

    assert load(config, silent=True) is False


def test_folder_is_a_missing_file_only_when_silent(config, tmp_path):
    (tmp_path / "folder").mkdir()

    assert config.from_pyfile("folder", silent=True) is False
    with pytest.raises(IsADirectoryError, match="Unable to load configuration file"):
        config.from_pyfile("folder")


def test_from_file_reads_text(config, tmp_path):
    (tmp_path / "c.json").write_text('{"A": 1, "b": 2, "NESTED": {"x": [1]}}')

    assert config.from_file("c.json", load=json.load) is True

    assert config["A"] == 1
    assert config["NESTED"] == {"x": [1]}
    assert "b" not in config


def test_from_file_reads_bytes(config, tmp_path):
    (tmp_path / "c.toml").write_text("A = 1\n")

    config.from_file("c.toml", load=tomllib.load, text=False)

    assert config["A"] == 1


def test_from_envvar(config, tmp_path, monkeypatch):
    (tmp_path / "e.cfg").write_text("A = 'environment'\n")
    monkeypatch.setenv("SITE_SETTINGS", str(tmp_path / "e.cfg"))

    assert config.from_envvar("SITE_SETTINGS") is True

    assert config["A"] == "environment"


def test_from_envvar_that_is_not_set(config, monkeypatch):
    monkeypatch.delenv("SITE_SETTINGS", raising=False)

    assert config.from_envvar("SITE_SETTINGS", silent=True) is False
    with pytest.raises(RuntimeError, match="'SITE_SETTINGS' is not set"):
        config.from_envvar("SITE_SETTINGS")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain", "plain"),
        ("12", 12),
        ("1.5", 1.5),
        ("true", True),
        ("True", "True"),
        ("null", None),
        ('"12"', "12"),
        ('["a", 1]', ["a", 1]),
        ('{"a": {"b": 1}}', {"a": {"b": 1}}),
        ("{broken", "{broken"),
    ],
)
def test_from_prefixed_env_reads_json_and_keeps_other_text(
    config, monkeypatch, text, value
):
    monkeypatch.setenv("FLASK_SETTING", text)

    assert config.from_prefixed_env() is True

    assert config["SETTING"] == value


def test_from_prefixed_env_takes_another_prefix_and_other_loads(config, monkeypatch):
    monkeypatch.setenv("SITE_A", "1")
    monkeypatch.setenv("SITES_B", "1")

    config.from_prefixed_env("SITE", loads=lambda text: f"<{text}>")

    assert config["A"] == "<1>"
    assert "B" not in config


def test_from_prefixed_env_nests(config, monkeypatch):
    config["KNOWN"] = {"inner": {"a": 0, "kept": True}, "UP": 1}
    monkeypatch.setenv("FLASK_KNOWN__inner__a", "1")
    monkeypatch.setenv("FLASK_KNOWN__UP", "2")
    monkeypatch.setenv("FLASK_NEW__deep__er", "3")

    config.from_prefixed_env()

    assert config["KNOWN"] == {"inner": {"a": 1, "kept": True}, "UP": 2}
    assert config["NEW"] == {"deep": {"er": 3}}


def test_from_prefixed_env_is_sorted_so_that_nesting_wins(config, monkeypatch):
    monkeypatch.setenv("FLASK_N__a", "1")
    monkeypatch.setenv("FLASK_N", '{"b": 2}')

    config.from_prefixed_env()

    assert config["N"] == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"type": "fs", "path": "/srv"}),
        ({"lowercase": False}, {"TYPE": "fs", "PATH": "/srv"}),
        (
            {"trim_namespace": False},
            {"image_store_type": "fs", "image_store_path": "/srv"},
        ),
        (
            {"trim_namespace": False, "lowercase": False},
            {"IMAGE_STORE_TYPE": "fs", "IMAGE_STORE_PATH": "/srv"},
        ),
    ],
)
def test_get_namespace(config, options, expected):
    config.update(IMAGE_STORE_TYPE="fs", IMAGE_STORE_PATH="/srv", OTHER=1)

    assert config.get_namespace("IMAGE_STORE_", **options) == expected


def test_representation_shows_type_and_content():
    assert repr(Config("/", {"A": 1})) == "<Config {'A': 1}>"


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Make a module file under `tmp_path` that can be imported, return its name."""

    def load(name, *parts):
        folder = tmp_path.joinpath(*parts)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.py").write_text("")
        monkeypatch.syspath_prepend(folder)
        return name

    return load


def test_instance_folder_lies_beside_a_module(tmp_path, module):
    app = Erlen(module("lonely_site"))

    assert app.root_path == str(tmp_path)
    assert app.instance_path == str(tmp_path / "instance")
    assert app.auto_find_instance_path() == app.instance_path


def test_instance_folder_lies_beside_a_package(tmp_path, monkeypatch):
    (tmp_path / "site_package").mkdir()
    (tmp_path / "site_package" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)

    app = Erlen("site_package")

    assert app.root_path == str(tmp_path / "site_package")
    assert app.instance_path == str(tmp_path / "instance")


def test_instance_folder_of_what_is_installed_lies_under_var(
    tmp_path, module, monkeypatch
):
    monkeypatch.setattr(sys, "prefix", str(tmp_path))

    app = Erlen(module("installed_site", "lib", "python3.x", "site-packages"))

    assert app.instance_path == str(tmp_path / "var" / "installed_site-instance")


def test_instance_path_is_absolute(tmp_path):
    assert Erlen("site", instance_path=str(tmp_path)).instance_path == str(tmp_path)
    with pytest.raises(ValueError, match="must be absolute"):
        Erlen("site", instance_path="instance")


def test_instance_relative_config(tmp_path):
    (tmp_path / "i.cfg").write_text("WHERE = 'instance'\n")

    app = Erlen("site", instance_path=str(tmp_path), instance_relative_config=True)
    app.config.from_pyfile("i.cfg")

    assert app.config.root_path == str(tmp_path)
    assert app.config["WHERE"] == "instance"


def test_open_instance_resource_reads_and_writes(tmp_path):
    app = Erlen("site", instance_path=str(tmp_path))

    with app.open_instance_resource("note.txt", "w") as file:
        file.write("größer")
    with app.open_instance_resource("note.txt", "rb") as file:
        assert file.read() == "größer".encode()
    with app.open_instance_resource("note.txt", "r", encoding="latin-1") as file:
        assert file.read() == "größer".encode().decode("latin-1")


def test_open_resource_reads_only(tmp_path):
    (tmp_path / "data.txt").write_bytes("größer".encode())
    app = Erlen("site", root_path=str(tmp_path))

    with app.open_resource("data.txt") as file:
        assert file.read() == "größer".encode()
    with app.open_resource("data.txt", "r") as file:
        assert file.read() == "größer"
    with pytest.raises(ValueError, match="read"):
        app.open_resource("data.txt", "w")


def test_root_path_is_found_from_the_import_name():
    assert Erlen(__name__).root_path == __file__.rpartition("/")[0]


@pytest.fixture
def namespace_package(tmp_path, monkeypatch):
    (tmp_path / "split_package").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("split_package")
    del sys.modules["split_package"]


@pytest.mark.usefixtures("namespace_package")
def test_root_path_of_a_namespace_package_must_be_given(tmp_path):

    with pytest.raises(RuntimeError, match=r"(?i)no root path can be found.*namespace"):
        Erlen("split_package")

    given = Erlen("split_package", root_path=str(tmp_path / "split_package"))
    assert given.root_path == str(tmp_path / "split_package")


def test_root_path_of_a_name_that_is_no_module_is_the_working_folder(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)

    assert get_root_path("no_such_module_at_all") == str(tmp_path)
