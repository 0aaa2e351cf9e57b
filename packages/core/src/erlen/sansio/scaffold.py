"""Layer 5: re-exports for code that imports the scaffold."""

from __future__ import annotations

from .._scaffold import Scaffold
from .._scaffold import _endpoint_from_view_func as _endpoint_from_view_func
from .._scaffold import find_package
from .._scaffold import setupmethod

__all__ = ["Scaffold", "find_package", "setupmethod"]
