"""The frameworks that are compared, each written as its users would write it.

A peer's module has one function for each scenario that it takes part in, named
by the scenario's key, which returns a WSGI application. Those of ASGI are in
`benchmarks.asgi.peers`, and are loaded by the same function.
"""

from __future__ import annotations

import importlib
import typing as t
from dataclasses import dataclass
from importlib import metadata

if t.TYPE_CHECKING:
    import collections.abc as cabc
    from types import ModuleType

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

    def missing(self, key: str) -> str | None:
        """Name the distribution that scenario `key` lacks here; None when it is there.

        A module that needs more for a scenario than its framework says so in `NEEDS`.
        """
        needed: str | None = getattr(self.module, "NEEDS", {}).get(key)
        return None if needed is None or installed(needed) else needed

    def build(self, key: str) -> t.Any | None:
        """Build the application for scenario `key`; None when it takes no part."""
        factory: cabc.Callable[[], t.Any] | None = getattr(self.module, key, None)
        return factory() if factory and self.missing(key) is None else None


def installed(distribution: str) -> bool:
    """Say whether `distribution` is installed."""
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def load(
    names: cabc.Iterable[str] = PEERS,
    table: cabc.Mapping[str, tuple[str, str | None]] = PEERS,
    package: str = __name__,
) -> tuple[list[Peer], list[str]]:
    """Import the peers that are installed.

    Args:
        names: Keys of `table`, in the order wanted.
        table: The peers that there are.
        package: Where their modules are.

    Returns:
        The peers, and the names of those that are not installed.
    """
    peers: list[Peer] = []
    skipped: list[str] = []
    for name in names:
        module, distribution = table[name]
        try:
            version = metadata.version(distribution) if distribution else ""
        except metadata.PackageNotFoundError:
            skipped.append(name)
        else:
            imported = importlib.import_module(f"{package}.{module}")
            peers.append(Peer(name, version, imported))
    return peers, skipped
