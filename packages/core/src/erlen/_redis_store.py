"""Layer 1: sessions in Redis or Valkey, and how redis-py is opened.

One command for each answer, no second tries: a request waits for the store
once, and is answered without it then.
"""

from __future__ import annotations

import typing as t

from .sessions import SessionStoreError

__all__ = ["RedisSessionStore"]

#: The schemes of URLs, and what redis-py calls them.
SCHEMES = {
    "redis": "redis",
    "rediss": "rediss",
    "unix": "unix",
    "valkey": "redis",
    "valkeys": "rediss",
}

_SWAP = """\
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1"""


def connect(
    url: str, timeout: float | None, *, needs: str, name: str
) -> tuple[t.Any, type[Exception]]:
    """Make a client, which connects at its first use, and tries nothing twice.

    Args:
        url: The URL, of one of `SCHEMES`.
        timeout: How long to wait for a connection and for each answer, in seconds;
            None is for ever.
        needs: Who needs redis-py, as the beginning of an error.
        name: What has the URL, as the beginning of another.

    Returns:
        The client, and the class of its errors.

    Raises:
        RuntimeError: redis-py is not installed.
        ValueError: The URL is none of Redis.
    """
    try:
        from redis import Redis
        from redis import RedisError
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError:
        raise RuntimeError(
            f"{needs} redis-py. Install Erlen with the redis extra:"
            ' pip install "erlen[redis]"'
        ) from None
    scheme, _, rest = url.partition("://")
    try:
        client = t.cast("t.Any", Redis).from_url(
            f"{SCHEMES[scheme.lower()]}://{rest}",
            socket_connect_timeout=timeout,
            socket_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
            # With 3, a server under maintenance may lengthen the time-outs.
            protocol=2,
        )
    except (KeyError, ValueError):
        # Not its words: they may have a piece of the password.
        raise ValueError(
            f"{name} is no URL of Redis, which look like"
            " redis://user:password@host:6379/0. In user and password, percent-"
            "encode each of the characters : / ? # [ ] @ and %."
        ) from None
    return client, RedisError


class RedisSessionStore:
    """Keeps sessions in Redis or Valkey.

    Connections are made at the first use, in each process its own.

    Args:
        url: `redis://`, `rediss://` (TLS), `unix://`, `valkey://` or `valkeys://`.
        timeout: How long to wait for a connection and for each answer, in seconds;
            None is for ever.

    Raises:
        RuntimeError: redis-py is not installed.
        ValueError: The URL is none of Redis.
    """

    def __init__(self, url: str, timeout: float | None = 0.1) -> None:
        self._client, self._error = connect(
            url, timeout, needs="Sessions in Redis need", name="SESSION_STORE"
        )

    def _ask(self, *command: str | bytes | int) -> t.Any:
        try:
            return self._client.execute_command(*command)
        except self._error as exc:
            raise SessionStoreError(f"{type(exc).__name__}: {exc}") from exc

    def get(self, key: str) -> bytes | None:
        """Return the value of a key, or None."""
        return t.cast("bytes | None", self._ask("GET", key))

    def replace(self, key: str, old: bytes | None, new: bytes, seconds: int) -> bool:
        """Replace the value if it still is `old`, and let it expire."""
        if old is None:
            return bool(self._ask("SET", key, new, "EX", seconds, "NX"))
        return bool(self._ask("EVAL", _SWAP, 1, key, old, new, seconds))

    def delete(self, key: str) -> None:
        """Forget a key."""
        self._ask("DEL", key)
