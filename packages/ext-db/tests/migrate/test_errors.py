from __future__ import annotations

import pytest
from alembic.script import revision
from alembic.util import CommandError

from erlen_db.migrate import _errors


def _fail(text, cause=None):
    raise CommandError(text) from cause


@pytest.mark.parametrize(
    ("text", "cause", "words"),
    [
        ("Out of order.", None, "Out of order."),
        ("Two.", revision.MultipleHeads(("a", "b"), "head"), "Two. Several revisions"),
        ("What?", revision.ResolutionError("?", "x"), "erlen db history"),
        ("Target database is not up to date.", None, "Run `erlen db upgrade` first"),
    ],
)
def test_errors_say_what_helps(text, cause, words):
    with pytest.raises(CommandError) as raised:
        _fail(text, cause)
    assert words in _errors.explain(raised.value)


def test_the_error_of_a_template_is_shown_itself():
    def render():
        try:
            _fail("its own")
        except CommandError:
            _fail("see another file")

    with pytest.raises(CommandError) as raised:
        render()
    assert _errors.explain(raised.value) == "its own"


@pytest.mark.parametrize("error", [CommandError("no"), RuntimeError("no")])
def test_a_function_ends_with_a_message_and_exit_code_1(error, capsys):
    @_errors.catch_errors
    def run(value):
        """Run it."""
        if value:
            raise error
        return "fine"

    assert run.__doc__ == "Run it."
    assert run(0) == "fine"
    with pytest.raises(SystemExit) as raised:
        run(1)
    assert raised.value.code == 1
    assert capsys.readouterr().err == "Error: no\n"


def test_other_errors_pass():
    @_errors.catch_errors
    def run():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run()
