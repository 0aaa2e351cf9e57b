"""Layer 5: re-exports for code that imports the declaring application."""

from __future__ import annotations

from .._application import App

__all__ = ["App"]
