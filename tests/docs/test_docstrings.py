from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import erlen

NAMES = [
    info.name
    for info in pkgutil.walk_packages(erlen.__path__, "erlen.")
    if not info.name.endswith(".__main__")  # is run, not imported
]


@pytest.mark.parametrize("name", ["erlen", *NAMES])
def test_examples_run(name):
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for test in doctest.DocTestFinder().find(importlib.import_module(name)):
        runner.run(test, out=report.append)
    assert runner.failures == 0, "".join(report)
