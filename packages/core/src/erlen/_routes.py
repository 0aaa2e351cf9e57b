"""Layer 2: which hosts were accepted, and who owns URLs without a rule.

Werkzeug's map is the only truth about routes; `_matcher` is a faster way to
ask it. What is kept here is what the answers of one request tell the next.
"""

from __future__ import annotations

import re

#: Hosts are the client's to choose, so the memory of them is bounded.
_HOSTS = 256


class AcceptedHosts(set["str | None"]):
    """The Host headers that passed a full bind: none of them is a bad host."""

    def add(self, host: str | None) -> None:
        """Remember a host; the absence of one is never remembered."""
        if host is not None:
            if len(self) >= _HOSTS:
                self.clear()
            super().add(host)


class OwnedPrefixes:
    """The blueprints that answer for every URL below their prefix."""

    def __init__(self) -> None:
        self._owners: list[tuple[int, re.Pattern[str], str]] = []

    def add(self, prefix: str, name: str) -> None:
        """Let a blueprint own a prefix.

        Args:
            prefix: As in a rule; `<converter:name>` stands for one segment.
            name: The blueprint's registered name.
        """
        segments = prefix.strip("/").split("/") if prefix.strip("/") else []
        parts = (re.split(r"<[^>]*>", segment) for segment in segments)
        pattern = "".join("/" + "[^/]+".join(map(re.escape, part)) for part in parts)
        self._owners.append((len(segments), re.compile(f"{pattern}(?:/|$)"), name))
        self._owners.sort(key=lambda owner: -owner[0])  # the deepest one first

    def owner(self, path: str) -> str | None:
        """Name the blueprint that owns a path, or None."""
        for _, pattern, name in self._owners:
            if pattern.match(path):
                return name
        return None
