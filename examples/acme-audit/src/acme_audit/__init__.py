"""An audit trail for Erlen applications, in which tampering is found."""

from __future__ import annotations

from .audit import Audit
from .trail import Trail

__all__ = ["Audit", "Trail"]
