from __future__ import annotations

import blinker
import pytest

from erlen import signals

NAMES = [
    "appcontext_popped",
    "appcontext_pushed",
    "appcontext_tearing_down",
    "before_render_template",
    "got_request_exception",
    "message_flashed",
    "request_finished",
    "request_started",
    "request_tearing_down",
    "template_rendered",
]


def test_there_are_ten_signals_and_the_class_for_more():
    assert signals.__all__ == ["Namespace", *NAMES]
    assert signals.Namespace is blinker.Namespace


@pytest.mark.parametrize("name", NAMES)
def test_the_signal_has_the_name_that_flask_gave_it(name):
    signal = getattr(signals, name)

    assert isinstance(signal, blinker.NamedSignal)
    assert signal.name == name.replace("_", "-")
    assert not signal.receivers


def test_the_names_are_apart_from_those_of_other_namespaces():
    other = signals.Namespace().signal("request-started")

    assert other is not signals.request_started
