from __future__ import annotations

import subprocess
import sys
import typing as t

import pytest

from erlen import typing as et

NAMES = [
    "AfterRequestCallable",
    "AppOrBlueprintKey",
    "BeforeFirstRequestCallable",
    "BeforeRequestCallable",
    "ErrorHandlerCallable",
    "HeadersValue",
    "HeaderValue",
    "ResponseClass",
    "ResponseReturnValue",
    "ResponseValue",
    "RouteCallable",
    "ShellContextProcessorCallable",
    "TeardownCallable",
    "TemplateContextProcessorCallable",
    "TemplateFilterCallable",
    "TemplateGlobalCallable",
    "TemplateTestCallable",
    "URLDefaultCallable",
    "URLValuePreprocessorCallable",
]


@pytest.mark.parametrize("name", NAMES)
def test_the_name_can_be_used_at_run_time(name):
    assert t.Optional[getattr(et, name)] is not None  # noqa: UP045


def test_what_a_view_returns_contains_what_a_body_can_be():
    body = set(t.get_args(et.ResponseValue))

    assert body < set(t.get_args(et.ResponseReturnValue))
    assert {str, bytes} < body


def test_a_response_class_is_one_of_werkzeugs():
    assert t.cast("t.Any", et.ResponseClass).__bound__ == t.ForwardRef("Response")


def test_werkzeug_is_not_imported_for_types():
    code = "import runpy, sys; runpy.run_path(sys.argv[1]); print(*sys.modules)"

    run = subprocess.run(
        [sys.executable, "-c", code, et.__file__],
        capture_output=True,
        check=True,
        text=True,
    )

    assert "werkzeug" not in run.stdout.split()
