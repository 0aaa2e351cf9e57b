"""Layer 2: which hosts were accepted, and who owns URLs without a rule.

Werkzeug's map is the only truth about routes; `_matcher` is a faster way to
ask it. What is kept here is what the answers of one request tell the next.
"""

from __future__ import annotations

import re
import typing as t

from werkzeug.routing import MapAdapter

if t.TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: Hosts are the client's to choose, so the memory of them is bounded.
_HOSTS = 256

#: What an adapter depends on, besides the host and SERVER_NAME.
_BOUND_TO = ("wsgi.url_scheme", "SCRIPT_NAME")


class BoundHost:
    """A host that passed a full bind, and the adapter that this made."""

    __slots__ = ("_bound_to", "adapter", "domain")

    def __init__(
        self, environ: WSGIEnvironment, server_name: str | None, adapter: MapAdapter
    ) -> None:
        self.adapter = adapter
        #: What rules are matched by, besides the path.
        self.domain = adapter.subdomain or ""
        self._bound_to = (*map(environ.get, _BOUND_TO), server_name)

    def serves(self, environ: WSGIEnvironment, server_name: str | None) -> bool:
        """Say whether a bind of this environ would make the same adapter."""
        return self._bound_to == (*map(environ.get, _BOUND_TO), server_name)


class BoundHosts(dict["str | None", BoundHost]):
    """The Host headers that passed a full bind, so none of them is a bad host."""

    def keep(
        self, environ: WSGIEnvironment, server_name: str | None, adapter: MapAdapter
    ) -> None:
        """Remember a host, unless for a WebSocket or with an adapter of one's own."""
        host = environ.get("HTTP_HOST")
        if host is None or adapter.websocket or type(adapter) is not MapAdapter:
            return
        if len(self) >= _HOSTS:
            self.clear()
        self[host] = BoundHost(environ, server_name, adapter)


class OwnedPrefixes:
    """The blueprints that answer for every URL below their prefix."""

    def __init__(self) -> None:
        self._owners: list[tuple[int, re.Pattern[str], re.Pattern[str], str]] = []

    def __bool__(self) -> bool:
        return bool(self._owners)

    def add(self, prefix: str, name: str, subdomain: str = "") -> None:
        """Let a blueprint own a prefix.

        Args:
            prefix: As in a rule; `<converter:name>` stands for one segment.
            name: The blueprint's registered name.
            subdomain: Where its rules are; a variable stands for one label.
        """
        segments = prefix.strip("/").split("/") if prefix.strip("/") else []
        path = "".join(f"/{_pattern(segment, '[^/]+')}" for segment in segments)
        domain = re.compile(_pattern(subdomain, "[^.]+"))
        self._owners.append((len(segments), re.compile(f"{path}(?:/|$)"), domain, name))
        self._owners.sort(key=lambda owner: -owner[0])  # the deepest one first

    def owner(self, path: str, subdomain: str | None = "") -> str | None:
        """Name the blueprint that owns a path, or None.

        Args:
            path: The request's path.
            subdomain: The request's; None where rules are matched by host.
        """
        for _, owned, domain, name in self._owners:
            if owned.match(path) and (subdomain is None or domain.fullmatch(subdomain)):
                return name
        return None


def _pattern(text: str, variable: str) -> str:
    return variable.join(map(re.escape, re.split(r"<[^>]*>", text)))
