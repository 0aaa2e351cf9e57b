"""The frameworks that are compared, each written as its users would write it.

A peer's module has one function for each scenario that it takes part in, named
by the scenario's key, which returns a WSGI application.
"""

from __future__ import annotations

import importlib
import typing as t
from dataclasses import dataclass
from importlib import metadata

if t.TYPE_CHECKING:
    import collections.abc as cabc
    from types import ModuleType
    from wsgiref.types import WSGIApplication

# Name as shown: (module here, distribution; None when nothing is to be installed).
PEERS: t.Final[dict[str, tuple[str, str | None]]] = {
    "raw": ("raw", None),
    "flask": ("flask_peer", "flask"),
    "falcon": ("falcon_peer", "falcon"),
    "erlen": ("erlen_peer", "erlen"),
}


@dataclass(frozen=True)
class Peer:
    """A framework that is installed."""

    name: str
    version: str
    module: ModuleType

    def build(self, key: str) -> WSGIApplication | None:
        """Build the application for scenario `key`; None when it takes no part."""
        factory: cabc.Callable[[], WSGIApplication] | None
        factory = getattr(self.module, key, None)
        return factory() if factory else None


def load(names: cabc.Iterable[str] = PEERS) -> tuple[list[Peer], list[str]]:
    """Import the peers that are installed.

    Args:
        names: Keys of `PEERS`, in the order wanted.

    Returns:
        The peers, and the names of those that are not installed.
    """
    peers: list[Peer] = []
    skipped: list[str] = []
    for name in names:
        module, distribution = PEERS[name]
        try:
            version = metadata.version(distribution) if distribution else ""
        except metadata.PackageNotFoundError:
            skipped.append(name)
        else:
            imported = importlib.import_module(f"{__name__}.{module}")
            peers.append(Peer(name, version, imported))
    return peers, skipped
