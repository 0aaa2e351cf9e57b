"""SQLAlchemy and Alembic for Erlen, as one part that fits."""

from __future__ import annotations

from ._declarative import NAMING_CONVENTION
from .errors import DatabaseBusy
from .errors import DatabaseUnavailable
from .errors import EditConflict
from .errors import PoolExhausted
from .errors import StaleSnapshot
from .errors import StatementTimeout
from .extension import SQLAlchemy
from .versioning import Versioned

__all__ = [
    "NAMING_CONVENTION",
    "DatabaseBusy",
    "DatabaseUnavailable",
    "EditConflict",
    "PoolExhausted",
    "SQLAlchemy",
    "StaleSnapshot",
    "StatementTimeout",
    "Versioned",
    "__version__",
]

__version__ = "0.1.0"
