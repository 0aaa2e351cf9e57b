from __future__ import annotations

import importlib
from types import ModuleType

import pytest
from tests.architecture.source import PACKAGES

#: Modules that are names of the facade, too.
MODULES = {"erlen": {"json"}}


@pytest.mark.parametrize("package", PACKAGES)
def test_all_has_every_public_name_and_no_other(package):
    module = importlib.import_module(package)
    public = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    public = public - {"annotations"} | {"__version__"} | MODULES.get(package, set())
    # Their order is ruff's business (RUF022).
    assert sorted(module.__all__) == sorted(public)
