from __future__ import annotations

import io
import os

import pytest
from alembic.util import CommandError

from erlen_db.migrate import Config
from erlen_db.migrate import _config


def test_answers_go_where_the_standard_output_is_now(capsys):
    config = Config()

    config.print_stdout("<base> -> %s (head)", "0123456789ab")
    assert capsys.readouterr().out == "<base> -> 0123456789ab (head)\n"
    assert config.printed


def test_a_terminal_gets_colours():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    Config(stdout=terminal).print_stdout("0123456789ab (head), 100%")
    printed = terminal.getvalue()
    assert printed == "\x1b[33m0123456789ab\x1b[0m \x1b[36m(head)\x1b[0m, 100%\n"


def test_templates_are_ours_or_somebody_elses(tmp_path):
    assert Config().get_template_directory().endswith("templates")
    other = Config(template_directory=str(tmp_path))
    assert other.get_template_directory() == str(tmp_path)


@pytest.mark.parametrize(
    ("name", "multidb", "found"),
    [
        (None, False, "erlen"),
        (None, True, "erlen-multidb"),
        ("erlen", True, "erlen"),
        ("flask", False, "erlen"),
        ("flask-multidb", False, "erlen-multidb"),
        ("aioflask", False, "erlen"),
        ("aioflask-multidb", False, "erlen-multidb"),
    ],
)
def test_the_names_of_the_peer_are_known(name, multidb, found):
    path = _config.find_template(name, multidb, Config())
    assert os.path.basename(path) == found
    assert os.path.isfile(os.path.join(path, "env.py"))


def test_a_template_of_ones_own_is_a_path(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "env.py").touch()
    monkeypatch.chdir(tmp_path)

    assert _config.find_template("./mine", False, Config()) == "./mine"


@pytest.mark.parametrize(
    ("name", "why"), [("mine", "erlen, erlen-multidb"), ("./mine", "has no env.py")]
)
def test_an_unknown_template_is_refused(name, why):
    with pytest.raises(CommandError, match=why):
        _config.find_template(name, False, Config())


def test_a_folder_that_has_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "made").mkdir()
    (tmp_path / "template").mkdir()

    _config.make_folder(str(tmp_path / "made"), str(tmp_path / "template"), False)
    with pytest.raises(CommandError, match="is not empty"):
        _config.make_folder(str(tmp_path), str(tmp_path / "template"), False)
