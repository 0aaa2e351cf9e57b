"""Sphinx's settings. `scripts/check docs` builds, warnings are errors."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "Erlen"
author = "Erlen contributors"
copyright = "2026, Erlen contributors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "_surface"]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = "Erlen"
html_show_sphinx = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autoclass_content = "both"  # what the constructor takes
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True}
# Docstrings write `code` as everybody does.
default_role = "literal"
