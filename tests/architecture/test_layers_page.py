from __future__ import annotations

import re

from tests.architecture.layers import ROWS
from tests.architecture.source import ROOT

PAGE = ROOT / "docs" / "how-it-works" / "layers.md"


def test_the_page_has_the_table():
    rows = re.findall(r"^\| (\d) [^|]*\|(.*?)\|$", PAGE.read_text(), re.MULTILINE)
    modules = [" ".join(re.findall(r"`([\w.]+)`", cell)) for _, cell in rows]
    assert [int(layer) for layer, _ in rows] == list(range(len(ROWS["erlen"])))
    assert modules == list(ROWS["erlen"])
