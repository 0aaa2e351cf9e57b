from __future__ import annotations

import copy
import dataclasses
import errno
import http.client
import json
import os
import pickle
import threading
import tomllib
import typing as t
from datetime import timedelta
from pathlib import Path

import pytest

from erlen import Erlen
from erlen._defaults import SETTINGS
from erlen._settings import REQUIRED
from erlen._settings import ConfigError
from erlen._settings import ConfigWarning
from erlen._settings import Setting
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


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("SECRET_KEY", "12345", "12345"),
        ("SECRET_KEY", "null", None),
        ("SERVER_NAME", '"tea.example"', "tea.example"),
        ("TESTING", "off", False),
        ("TESTING", "Yes", True),
        ("SESSION_STORE_TIMEOUT", "1", 1.0),
        ("TRUSTED_HOSTS", '["tea.example"]', ["tea.example"]),
        # What fits in no way is left as it is; `validate` tells of it.
        ("TESTING", "maybe", "maybe"),
        ("MAX_FORM_PARTS", "[1]", [1]),
    ],
)
def test_what_is_declared_is_read_as_its_type_says(config, environ, key, text, value):
    environ[f"ERLEN_{key}"] = text

    config.from_prefixed_env()

    assert config[key] == value
    assert type(config[key]) is type(value)
    assert config.origin(key) == f"environment ERLEN_{key}"


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


# A key that is missing


@pytest.mark.parametrize(
    ("key", "notes"),
    [
        ("MAIL_PROT", ["Did you mean 'MAIL_PORT'?"]),
        ("TEA", []),
        ("mail_prot", []),
        (7, []),
    ],
)
def test_a_missing_key_tells_the_nearest(config, key, notes):
    config.update({"MAIL_PORT": 25, 8: 9})

    with pytest.raises(KeyError) as info:
        config[key]

    assert type(info.value) is KeyError
    assert info.value.args == (key,)
    assert getattr(info.value, "__notes__", []) == notes
    assert config.get(key) is None
    assert key not in config


# Declared settings


@pytest.fixture
def mail(config):
    """Return the configuration while an extension is being set up."""
    config._owner = "mail"
    return config


def test_settings_are_erlens_and_what_is_declared(config):
    config.declare("MAIL_PORT", int, 25, "A port.", secret=True)

    assert list(config.settings) == [*(it.key for it in SETTINGS), "MAIL_PORT"]
    assert config.settings["TESTING"].owner == "erlen"
    assert config.settings["MAIL_PORT"] == Setting(
        "MAIL_PORT", int, 25, "A port.", "application", True
    )
    assert "MAIL_PORT" not in Config("/").settings
    with pytest.raises(TypeError):
        config.settings["X"] = 1


@pytest.mark.parametrize(("given", "value"), [({}, 25), ({"MAIL_PORT": 7}, 7)])
def test_a_default_is_for_a_key_without_value(config, given, value):
    config.update(given)

    config.declare("MAIL_PORT", int, 25, "A port.")

    assert config == {"MAIL_PORT": value}


def test_outside_of_an_extension_a_value_is_checked_at_once(config):
    config.update(MAIL_TIMEOUT=30, MAIL_PORT="x")

    config.declare("MAIL_TIMEOUT", timedelta, timedelta(seconds=1), "A wait.")
    with pytest.raises(ConfigError, match="MAIL_PORT"):
        config.declare("MAIL_PORT", int, 25, "A port.")

    assert config["MAIL_TIMEOUT"] == timedelta(seconds=30)


def test_what_an_extension_declares_is_checked_at_its_end(mail):
    mail.update(MAIL_PORT="x", MAIL_SERVER=7, MAIL_WAIT=30)
    mail.declare("MAIL_PORT", int, 25, "A port.")
    mail.declare("MAIL_SERVER", str, REQUIRED, "A host.")
    mail.declare("MAIL_SENDER", str, REQUIRED, "An address.")
    mail.declare("MAIL_WAIT", timedelta, timedelta(seconds=1), "A wait.")
    mail._owner = "application"

    with pytest.raises(ConfigError) as info:
        mail.validate("mail")

    assert info.value.problems == [
        (
            "MAIL_PORT (A port) must be int, not 'x', of type 'str'."
            ' Correct app.config["MAIL_PORT"].'
        ),
        (
            "MAIL_SERVER (A host) must be str, not 7, of type 'int'."
            ' Correct app.config["MAIL_SERVER"].'
        ),
        (
            "MAIL_SENDER (An address) is not set, and 'mail' needs it. Set"
            ' app.config["MAIL_SENDER"], of type str, or the environment variable'
            " ERLEN_MAIL_SENDER and call app.config.from_prefixed_env()."
        ),
    ]
    assert mail["MAIL_WAIT"] == timedelta(seconds=30)  # the others are converted
    assert "MAIL_SENDER" not in mail


def test_an_owner_is_validated_alone(mail):
    mail.update(MAIL_PORT="x", TESTING="x")
    mail.declare("MAIL_PORT", int, 25, "A port.")

    mail.validate("another")
    with pytest.raises(ConfigError) as info:
        mail.validate()

    assert [line.split()[0] for line in info.value.problems] == ["TESTING", "MAIL_PORT"]


def test_a_default_that_was_taken_out_is_no_error(mail):
    mail.declare("MAIL_PORT", int, 25, "A port.")
    del mail["MAIL_PORT"]

    mail.validate("mail")

    assert mail == {}


@pytest.mark.parametrize("key", ["SECRET_KEY", "MAIL_PORT"])
def test_a_key_has_one_owner(mail, key):
    mail.declare("MAIL_PORT", int, 25, "A port.")
    mail._owner = "post"

    with pytest.raises(
        ConfigError, match=rf"'post' cannot declare {key}: '\w+' has"
    ) as i:
        mail.declare(key, str, "", "A text.")

    assert "prefix" in str(i.value)
    assert mail.settings[key].owner in {"erlen", "mail"}


def test_an_owner_may_declare_alike_again(mail):
    for _ in range(2):
        mail.declare("MAIL_PORT", int, 25, "A port.")

    with pytest.raises(ConfigError, match="'mail' has declared it in another way"):
        mail.declare("MAIL_PORT", int, 26, "A port.")


@pytest.mark.parametrize(
    ("key", "default", "doc"),
    [
        ("mail_port", 25, "A port."),
        ("MAIL_PORT", "x", "A port."),
        ("MAIL_PORT", 25, ""),
    ],
)
def test_a_wrong_declaration_is_an_error_at_once(mail, key, default, doc):
    with pytest.raises(ValueError, match=key) as info:
        mail.declare(key, int, default, doc)

    assert type(info.value) is ValueError
    assert key not in mail.settings
    assert mail == {}


def test_a_secret_is_in_no_error(config, environ):
    environ["ERLEN_MAIL_KEY"] = '["hush"]'
    config.from_prefixed_env()

    with pytest.raises(ConfigError) as info:
        config.declare("MAIL_KEY", int, 0, "A key.", secret=True)

    assert "hush" not in str(info.value)
    assert info.value.__cause__ is info.value.__context__ is None
    assert str(info.value) == (
        "MAIL_KEY (A key) must be int, not of type 'list'."
        " Correct it where it is set: environment ERLEN_MAIL_KEY."
    )


@pytest.mark.parametrize(
    ("text", "type_", "value"),
    [
        ("12345", str, "12345"),
        ("007", str, "007"),
        ("25", int, 25),
        ('"25"', int, 25),
        ("on", bool, True),
        ("0", bool, False),
        ("30", timedelta, timedelta(seconds=30)),
        ("a/b", Path, Path("a/b")),
        ('["a"]', tuple[str, ...], ("a",)),
    ],
)
def test_the_environment_is_read_again_by_type(config, environ, text, type_, value):
    environ["ERLEN_MAIL_X"] = text
    config.from_prefixed_env()

    config.declare("MAIL_X", type_, REQUIRED, "A case.")

    assert config["MAIL_X"] == value
    assert type(config["MAIL_X"]) is type(value)
    assert config.origin("MAIL_X") == "environment ERLEN_MAIL_X"
    config.validate()  # and so it stays


@pytest.mark.parametrize(("type_", "value"), [(bool, "on"), (str, 12345), (int, "25")])
def test_what_code_sets_is_no_text(config, environ, type_, value):
    environ["ERLEN_MAIL_X"] = "1"
    config.from_prefixed_env()
    config["MAIL_X"] = value

    with pytest.raises(ConfigError, match=r'Correct app\.config\["MAIL_X"\]'):
        config.declare("MAIL_X", type_, REQUIRED, "A case.")


@dataclasses.dataclass
class Server:
    host: str = "localhost"
    port: int = 25


def test_a_part_of_a_dict_from_the_environment(config, environ):
    environ["ERLEN_MAIL__port"] = "7"
    config.from_prefixed_env()

    config.declare("MAIL", Server, Server(), "A server.")

    assert config["MAIL"] == Server("localhost", 7)
    assert config.origin("MAIL") == "environment ERLEN_MAIL__port"


# Misspelt keys


def test_a_misspelt_key_is_warned_of(mail):
    mail.update(MAIL_PROT=25, MAIL_SENDER="me", TEA_PORT=1, mail_prot=1)
    mail.declare("MAIL_PORT", int, 25, "A port.")
    mail.declare("MAIL_SERVER", str, "", "A host.")

    with pytest.warns(ConfigWarning) as warned:
        mail.validate("mail")

    assert [str(it.message) for it in warned] == [
        (
            "MAIL_PROT is set (origin: code), and no setting has that name: did you mean"
            " MAIL_PORT?"
        )
    ]
    assert warned[0].filename == __file__


def test_a_misspelt_key_stands_beside_the_errors(mail, tmp_path):
    (tmp_path / "site.py").write_text("MAIL_PROT = 25")
    mail.from_pyfile("site.py")
    mail.declare("MAIL_PORT", int, REQUIRED, "A port.")

    with pytest.raises(ConfigError) as info:
        mail.validate("mail")

    assert len(info.value.problems) == 2
    assert info.value.problems[1].startswith(
        f"MAIL_PROT is set (origin: file {tmp_path}"
    )


def test_one_declaration_does_not_judge_other_keys(config):
    config.update(PAGE_SIZES=[20], PAGE_SIZE=20)

    config.declare("PAGE_SIZE", int, 20, "Rows of a page.")
    config.declare("PAGE_SIZES", list[int], [], "What users may choose.")

    assert config.misspelt() == []


def test_misspelt_keys_of_all_owners(mail):
    mail.declare("MAIL_PORT", int, 25, "A port.")
    mail.update({"TESTNG": True, "MAIL_PROT": 25, "TEA_PRICE": 3, "testng": 1, 7: 8})

    assert mail.misspelt() == [("TESTNG", "TESTING"), ("MAIL_PROT", "MAIL_PORT")]


# Origins


class Local:
    A = 1

    def __repr__(self):
        return "hush"


ORIGINS = {
    "from a mapping": (lambda config: config.from_mapping(A=1), "mapping"),
    "from an import name": (
        lambda config: config.from_object("http.client"),
        "object http.client",
    ),
    "from a module": (
        lambda config: config.from_object(http.client),
        "object http.client",
    ),
    "from a class": (
        lambda config: config.from_object(Local),
        f"object {__name__}.Local",
    ),
    # Never its repr, which may have secrets in it.
    "from an instance": (
        lambda config: config.from_object(Local()),
        f"object {__name__}.Local",
    ),
    "by an assignment": (lambda config: config.update(A=1), "code"),
    "by default": (
        lambda config: config.declare("A", int, 1, "A case."),
        "default",
    ),
}


@pytest.mark.parametrize("way", ORIGINS)
def test_an_origin(config, way):
    load, origin = ORIGINS[way]

    load(config)

    assert config.origin("HTTP_PORT" if "http" in origin else "A") == origin


def test_the_origin_of_a_file(config, tmp_path, environ):
    (tmp_path / "site.py").write_text("A = 'a'")
    (tmp_path / "site.json").write_text('{"B": "b"}')
    (tmp_path / "more.py").write_text("C = 'c'")
    environ["MORE"] = "more.py"

    config.from_pyfile("site.py")
    config.from_file("site.json", json.load)
    config.from_envvar("MORE")
    config.from_mapping(D="d")

    assert [config.origin(key) for key in "ABCD"] == [
        f"file {tmp_path / 'site.py'}",
        f"file {tmp_path / 'site.json'}",
        f"file {tmp_path / 'more.py'}",
        "mapping",
    ]


def test_a_file_that_fails_leaves_no_trace(config, tmp_path):
    (tmp_path / "site.json").write_text("[1]")
    with pytest.raises(TypeError):
        config.from_file("site.json", json.load)

    config.from_mapping(A=1)

    assert config.origin("A") == "mapping"


def test_an_origin_is_of_the_last_one(environ, tmp_path):
    config = Config(tmp_path, {"A": ["default"]})
    origins = [config.origin("A")]
    environ.update(FLASK_A='["flask"]', ERLEN_A='["erlen"]')

    config.from_mapping(A=["mapping"])
    origins.append(config.origin("A"))
    config.from_prefixed_env()
    origins.append(config.origin("A"))
    config["A"] = ["code"]
    origins.append(config.origin("A"))

    assert origins == ["default", "mapping", "environment ERLEN_A", "code"]


def test_nothing_has_no_origin(config):
    with pytest.raises(KeyError, match="A"):
        config.origin("A")


def test_a_value_keeps_its_origin_when_it_is_converted(mail):
    mail.from_mapping(MAIL_WAIT=30)
    mail.declare("MAIL_WAIT", timedelta, timedelta(1), "A wait.")
    mail.declare("MAIL_PAUSE", timedelta, 3, "Another.")
    mail["MAIL_REST"] = 5
    mail.declare("MAIL_REST", timedelta, 3, "One more.")

    mail.validate("mail")

    assert [mail.origin(f"MAIL_{key}") for key in ("WAIT", "PAUSE", "REST")] == [
        "mapping",
        "default",
        "code",
    ]
    assert mail["MAIL_PAUSE"] == timedelta(seconds=3)


def test_the_origins_of_an_application():
    class Site(Erlen):
        default_config = {**Erlen.default_config, "PAGE_SIZE": [20]}

    config = Site(__name__).config

    assert {config.origin(key) for key in config} == {"default"}


# Copies


@pytest.mark.parametrize(
    "duplicate",
    [copy.copy, copy.deepcopy, lambda config: pickle.loads(pickle.dumps(config))],
)
def test_a_copy_has_values_and_settings_of_its_own(config, duplicate):
    config.from_mapping(LOCK=threading.Lock())
    config["LOCK"] = None  # no copy has to do with what was there
    config.declare("MAIL_PORT", int, 25, "A port.")
    config.from_mapping(TEA="green")

    twin = duplicate(config)
    assert [twin.origin(key) for key in twin] == ["code", "default", "mapping"]
    assert twin == config
    del twin["TEA"]
    twin.declare("MAIL_SERVER", str, "", "A host.")
    twin.from_mapping(MAIL_PORT=7)

    assert type(twin) is Config
    assert twin == {"LOCK": None, "MAIL_PORT": 7, "MAIL_SERVER": ""}
    assert twin.root_path == config.root_path
    assert twin.settings["MAIL_PORT"] == config.settings["MAIL_PORT"]
    assert "MAIL_SERVER" not in config.settings
    assert config == {"LOCK": None, "MAIL_PORT": 25, "TEA": "green"}
    assert config.origin("MAIL_PORT") == "default"


def test_a_plain_copy_is_a_dict(config):
    assert type(config.copy()) is dict


# bind


@dataclasses.dataclass
class Shop:
    owner: str
    page_size: t.Annotated[int, "Rows of a page."] = 20
    wait: timedelta = timedelta(seconds=1)
    tags: list[str] = dataclasses.field(default_factory=list)
    key: str | None = dataclasses.field(default=None, repr=False)

    def __post_init__(self):
        if self.page_size < 1:
            raise ValueError("page_size starts at 1")


def test_a_dataclass_is_bound(config):
    config.update(SHOP_OWNER="me", SHOP_WAIT=3)

    shop = config.bind(Shop, "SHOP_")

    assert shop == Shop("me", 20, timedelta(seconds=3))
    assert config == {
        "SHOP_OWNER": "me",
        "SHOP_WAIT": timedelta(seconds=3),
        "SHOP_PAGE_SIZE": 20,
        "SHOP_TAGS": [],
        "SHOP_KEY": None,
    }
    assert config.settings["SHOP_PAGE_SIZE"].doc == "Rows of a page."
    assert config.settings["SHOP_KEY"].secret
    assert config.origin("SHOP_PAGE_SIZE") == "default"


def test_a_bound_dataclass_is_alive(config):
    config["OWNER"] = "me"
    shop = config.bind(Shop)

    config["PAGE_SIZE"] = 50
    shop.owner = "you"

    assert shop.page_size == 50
    assert config["OWNER"] == "you"


def test_a_dataclass_may_be_bound_again(config):
    config.update(OWNER="me", TAGS=["tea"])

    config["X_OWNER"] = "you"

    first, second, other = config.bind(Shop), config.bind(Shop), config.bind(Shop, "X_")

    assert first == second
    assert other == Shop("you")


def test_all_problems_of_a_dataclass_at_once(config):
    config.update(SHOP_PAGE_SIZE="x", SHOP_TAGS="tea", SHOP_OWNR="me")

    with pytest.raises(ConfigError) as info:
        config.bind(Shop, "SHOP_")

    assert [line.split()[0] for line in info.value.problems] == [
        "SHOP_OWNER",
        "SHOP_PAGE_SIZE",
        "SHOP_TAGS",
        "SHOP_OWNR",
    ]


def test_what_post_init_refuses_is_a_problem(config):
    config.update(OWNER="me", PAGE_SIZE=0)

    with pytest.raises(ConfigError) as info:
        config.bind(Shop)

    assert info.value.problems == ["Shop: page_size starts at 1"]


def test_a_misspelt_key_of_a_dataclass(config):
    config.update(SHOP_OWNER="me", SHOP_PAGE_SZIE=5)

    with pytest.warns(ConfigWarning, match="did you mean SHOP_PAGE_SIZE") as warned:
        config.bind(Shop, "SHOP_")

    assert warned[0].filename == __file__


def test_a_dataclass_takes_no_key_of_another(config):
    @dataclasses.dataclass
    class Site:
        testing: bool = True

    with pytest.raises(ConfigError, match="cannot declare TESTING: 'erlen' has"):
        config.bind(Site)


def test_an_extension_binds_under_its_name(mail):
    mail["MAIL_OWNER"] = "me"

    mail.bind(Shop, "MAIL_")

    assert mail.settings["MAIL_OWNER"].owner == "mail"


def test_a_dataclass_on_an_application(app):
    app.config.from_mapping(SHOP_OWNER="me")
    shop = app.config.bind(Shop, "SHOP_")
    app.add_url_rule("/", "index", lambda: f"{shop.owner}: {shop.page_size}")
    client = app.test_client()
    pages = [client.get("/").text]

    app.config["SHOP_PAGE_SIZE"] = 3
    pages.append(client.get("/").text)

    assert pages == ["me: 20", "me: 3"]


@pytest.mark.parametrize(
    ("key", "secret"),
    [
        ("MAIL_PASSWORD", True),
        ("API_TOKEN", True),
        ("STRIPE_API_KEY", True),
        ("MAIL_PORT", False),
        ("MAIL_KEYBOARD", False),
    ],
)
def test_a_name_may_say_that_a_setting_is_secret(config, key, secret):
    config.declare(key, str, "", "Something.")
    assert config.settings[key].secret is secret
