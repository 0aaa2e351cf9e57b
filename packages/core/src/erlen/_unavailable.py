"""Layer 1: the error of what is away for the moment and comes back by itself.

Sessions, broadcasts and extensions derive theirs, so that all of them tell the
client when to try again.
"""

from __future__ import annotations

import typing as t

from werkzeug.exceptions import ServiceUnavailable

if t.TYPE_CHECKING:
    from datetime import datetime


class Unavailable(ServiceUnavailable):
    """A 503 with `Retry-After`: something that the request needs is away.

    Args:
        description: What the client is told; a class may have one of its own.
        response: A response to send instead of an error page.
        retry_after: When to try again: seconds, or the time; None does not say.
    """

    def __init__(
        self,
        description: str | None = None,
        response: t.Any = None,
        retry_after: datetime | int | None = 5,
    ) -> None:
        super().__init__(description, response, retry_after)
