"""The frameworks that are compared over ASGI, each as its users would write it.

A peer's module has one function for each scenario that it takes part in, named by
the scenario's key, which returns an ASGI application. `NEEDS` names the distributions
that a scenario needs beyond the framework's own.
"""

from __future__ import annotations

import typing as t

from benchmarks import peers

if t.TYPE_CHECKING:
    import collections.abc as cabc

# Name as shown: (module here, distribution; None when nothing is to be installed).
PEERS: t.Final[dict[str, tuple[str, str | None]]] = {
    "raw": ("raw", None),
    "falcon": ("falcon_peer", "falcon"),
    "starlette": ("starlette_peer", "starlette"),
    "litestar": ("litestar_peer", "litestar"),
    "fastapi": ("fastapi_peer", "fastapi"),
    "quart": ("quart_peer", "quart"),
    "blacksheep": ("blacksheep_peer", "blacksheep"),
    "erlen": ("erlen_peer", "erlen"),
}


def load(names: cabc.Iterable[str] = PEERS) -> tuple[list[peers.Peer], list[str]]:
    """Import the peers that are installed.

    Args:
        names: Keys of `PEERS`, in the order wanted.

    Returns:
        The peers, and the names of those that are not installed.
    """
    return peers.load(names, PEERS, __name__)
