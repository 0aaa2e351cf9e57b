"""Layer 5: re-exports for code that imports blueprints from here."""

from __future__ import annotations

from ..blueprints import Blueprint
from ..blueprints import BlueprintSetupState

__all__ = ["Blueprint", "BlueprintSetupState"]
