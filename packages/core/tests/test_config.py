from __future__ import annotations

import errno
import json
import os
import tomllib
from pathlib import Path

import pytest

from erlen.config import Config
from erlen.config import ConfigAttribute


@pytest.fixture
def config(tmp_path):
    """Return an empty configuration whose files are in `tmp_path`."""
    return Config(tmp_path)


@pytest.fixture
def environ(monkeypatch):
    """Return the environment, empty, as a dict that may be changed."""
    values: dict[str, str] = {}
    monkeypatch.setattr(os, "environ", values)
    return values


# ConfigAttribute


class App:
    plain = ConfigAttribute("PLAIN")
    doubled = ConfigAttribute("DOUBLED", get_converter=lambda value: value * 2)

    def __init__(self):
        self.config = Config("/", {"PLAIN": 1, "DOUBLED": 2})


def test_an_attribute_reads_and_writes_the_configuration():
    app = App()
    assert (app.plain, app.doubled) == (1, 4)

    app.plain = app.doubled = 5

    assert app.config == {"PLAIN": 5, "DOUBLED": 5}
    assert app.doubled == 10


def test_the_class_has_the_attribute_itself():
    assert isinstance(App.plain, ConfigAttribute)
    assert App.plain.__name__ == "PLAIN"


# from_mapping


@pytest.mark.parametrize(
    ("args", "kwargs", "loaded"),
    [
        ((), {}, {}),
        (({"A": 1, "b": 2, "C_1": 3},), {}, {"A": 1, "C_1": 3}),
        (({"A": 1},), {"A": 2, "B": 3, "c": 4}, {"A": 2, "B": 3}),
        (([("A", 1)],), {}, {"A": 1}),
        ((None,), {"A": 1}, {"A": 1}),
    ],
)
def test_a_mapping(config, args, kwargs, loaded):
    assert config.from_mapping(*args, **kwargs) is True
    assert config == loaded


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        (5, "must be a mapping .* 'int'"),
        ("AB", "must be a mapping .* 'str'"),
        ([1], "must be a mapping .* 'list'"),
        ({1: 2}, "must be strings, and 1 is of type 'int'"),
    ],
)
def test_what_is_no_mapping_of_names(config, mapping, words):
    with pytest.raises(TypeError, match=words):
        config.from_mapping(mapping)


# from_object


class Base:
    A = 1
    lower = 2


class Settings(Base):
    B = 3

    C = property(lambda self: 4)


def test_an_object_and_what_it_inherits(config):
    config.from_object(Settings())

    assert config == {"A": 1, "B": 3, "C": 4}


def test_an_import_name(config):
    config.from_object("http.client")

    assert config["HTTP_PORT"] == 80


def test_an_import_name_of_nothing(config):
    with pytest.raises(ImportError, match=r"'settings\.Nothing'"):
        config.from_object("settings.Nothing")


def test_a_dict_is_passed_over_with_a_warning(config):
    with pytest.warns(UserWarning, match=r"from_mapping\(\) for a dict") as warnings:
        config.from_object({"A": 1})

    assert config == {}
    assert warnings[0].filename == __file__


# from_pyfile


def test_a_python_file(config, tmp_path):
    (tmp_path / "site.cfg").write_text("A = 1\nb = 2\nFILE = __file__")

    assert config.from_pyfile("site.cfg") is True
    assert config == {"A": 1, "FILE": str(tmp_path / "site.cfg")}


def test_a_python_file_of_another_folder_and_encoding(config, tmp_path):
    path = tmp_path / "sub" / "site.py"
    path.parent.mkdir()
    path.write_bytes(b"# coding: latin-1\nA = '\xe9'")

    assert Config("/", {}).from_pyfile(path)
    assert config.from_pyfile(Path("sub", "site.py"))
    assert config == {"A": "é"}


def test_a_file_that_is_not_python_names_itself(config, tmp_path):
    (tmp_path / "site.cfg").write_text("A = = 1")

    with pytest.raises(SyntaxError) as info:
        config.from_pyfile("site.cfg")

    assert info.value.filename == str(tmp_path / "site.cfg")


MISSING = {
    "a file that is not there": ("missing.cfg", errno.ENOENT),
    "a folder": (".", errno.EISDIR),
    "a file inside of a file": ("file/site.cfg", errno.ENOTDIR),
}


@pytest.mark.parametrize("name", MISSING)
def test_a_missing_python_file(config, tmp_path, name):
    (tmp_path / "file").touch()
    filename, code = MISSING[name]

    assert config.from_pyfile(filename, silent=True) is False
    with pytest.raises(OSError, match="Unable to load configuration file") as info:
        config.from_pyfile(filename)

    assert info.value.errno == code
    assert info.value.filename == str(tmp_path / filename)
    assert str(tmp_path) in info.value.strerror
    assert "silent=True" in info.value.strerror


@pytest.mark.parametrize("loader", ["from_pyfile", "from_file"])
def test_a_file_name_of_the_wrong_type(config, loader):
    with pytest.raises(TypeError, match=rf"Config\.{loader}\(\) .* 'int'"):
        getattr(config, loader)(5, json.load)


# from_file


@pytest.mark.parametrize(
    ("load", "text", "content"),
    [
        (json.load, True, '{"A": 1, "b": 2}'),
        (tomllib.load, False, "A = 1\nb = 2"),
        (lambda file: [("A", 1)], True, ""),
    ],
)
def test_a_file_by_a_function(config, tmp_path, load, text, content):
    (tmp_path / "site").write_text(content)

    assert config.from_file("site", load, text=text) is True
    assert config == {"A": 1}


def test_an_empty_file_may_load_as_none(config, tmp_path):
    (tmp_path / "site").touch()

    assert config.from_file("site", lambda file: None) is True


def test_a_file_that_holds_no_mapping_names_itself(config, tmp_path):
    (tmp_path / "site.json").write_text("[1]")

    with pytest.raises(TypeError, match="must be a mapping") as info:
        config.from_file("site.json", json.load)

    assert info.value.__notes__ == [
        f"It was loaded from the file {str(tmp_path / 'site.json')!r}."
    ]


@pytest.mark.parametrize(("filename", "silent"), [("missing", True), (".", True)])
def test_a_missing_file_may_be_accepted(config, filename, silent):
    assert config.from_file(filename, json.load, silent=silent) is False


@pytest.mark.parametrize(("filename", "silent"), [("missing", False), ("file/x", True)])
def test_a_missing_file(config, tmp_path, filename, silent):
    (tmp_path / "file").touch()

    with pytest.raises(OSError, match="Unable to load configuration file"):
        config.from_file(filename, json.load, silent=silent)


# from_envvar


def test_a_file_that_a_variable_names(config, environ, tmp_path):
    (tmp_path / "site.cfg").write_text("A = 1")
    environ["SITE"] = "site.cfg"

    assert config.from_envvar("SITE") is True
    assert config == {"A": 1}


@pytest.mark.parametrize("values", [{}, {"SITE": ""}])
def test_a_variable_that_is_not_set(config, environ, values):
    environ.update(values)

    assert config.from_envvar("SITE", silent=True) is False
    with pytest.raises(RuntimeError, match=r"'SITE' is not set.* silent=True"):
        config.from_envvar("SITE")


# from_prefixed_env


@pytest.mark.parametrize(
    ("values", "loaded"),
    [
        ({"ERLEN_A": "1", "ERLEN_B": "x", "C": "2"}, {"A": 1, "B": "x"}),
        ({"FLASK_A": "true", "FLASK_b": "null"}, {"A": True, "b": None}),
        # Erlen's own prefix wins, whichever is longer or first.
        ({"ERLEN_A": "1", "FLASK_A": "2", "FLASK_B": "3"}, {"A": 1, "B": 3}),
        ({"FLASK_A__x": "1", "ERLEN_A__y": "2"}, {"A": {"x": 1, "y": 2}}),
        ({"FLASK_A__x": "1", "ERLEN_A": "{}"}, {"A": {}}),
        # Dicts are made, and filled where they are there.
        ({"ERLEN_A__B__c": "1"}, {"A": {"B": {"c": 1}}}),
        ({"ERLEN_A__x": "1", "ERLEN_A": '{"y": 2}'}, {"A": {"x": 1, "y": 2}}),
        # What is no JSON, or too much of it, is a string.
        ({"ERLEN_A": "{"}, {"A": "{"}),
        ({"ERLEN_A": "[" * 100_000}, {"A": "[" * 100_000}),
        ({"ERLENA": "1", "ERLEN": "2"}, {}),
    ],
)
def test_the_environment(config, environ, values, loaded):
    environ.update(values)

    assert config.from_prefixed_env() is True
    assert config == loaded


def test_a_dict_of_the_configuration_is_filled(config, environ):
    config["MAIL"] = {"host": "localhost"}
    environ["ERLEN_MAIL__port"] = "25"

    config.from_prefixed_env()

    assert config["MAIL"] == {"host": "localhost", "port": 25}


def test_a_prefix_of_ones_own_is_the_only_one(config, environ):
    environ.update(ERLEN_A="1", FLASK_A="2", SITE_B="3")

    config.from_prefixed_env("SITE")

    assert config == {"B": 3}


def test_a_reader_of_ones_own(config, environ):
    environ.update(ERLEN_A="1", ERLEN_B="x")

    config.from_prefixed_env(loads=int)

    assert config == {"A": 1, "B": "x"}


@pytest.mark.parametrize("value", ["1", "[]"])
def test_a_double_underscore_that_leads_nowhere(config, environ, value):
    environ.update({"ERLEN_A__B": value, "ERLEN_A__B__c": "1"})

    with pytest.raises(TypeError, match=r"'ERLEN_A__B__c' .* inside 'A__B', .* type"):
        config.from_prefixed_env()


# The rest


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({}, {"type": "fs", "path": "/"}),
        ({"lowercase": False}, {"TYPE": "fs", "PATH": "/"}),
        ({"trim_namespace": False}, {"store_type": "fs", "store_path": "/"}),
    ],
)
def test_a_namespace(config, options, found):
    config.update(STORE_TYPE="fs", STORE_PATH="/", STORES=1, OTHER=2)

    assert config.get_namespace("STORE_", **options) == found


def test_repr():
    assert repr(Config("/", {"A": 1})) == "<Config {'A': 1}>"


def test_the_defaults_are_copied():
    defaults = {"A": 1}

    Config("/", defaults)["A"] = 2

    assert defaults == {"A": 1}
