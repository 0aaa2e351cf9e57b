from __future__ import annotations

from types import ModuleType

import erlen


def test_all_has_every_public_name_and_no_other():
    public = {
        name
        for name, value in vars(erlen).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    public = public - {"annotations"} | {"__version__", "json"}
    # Their order is ruff's business (RUF022).
    assert sorted(erlen.__all__) == sorted(public)
