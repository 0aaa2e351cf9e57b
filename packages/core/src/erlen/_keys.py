"""Layer 1: the keys of an application, and signers made of them.

The session cookie and the tokens of `app.signer` are signed with one ring of
keys, each purpose with keys of its own derived from it.
"""

from __future__ import annotations

import hashlib
import typing as t
from datetime import timedelta

from .json.tag import TaggedJSONSerializer

if t.TYPE_CHECKING:
    from ._signing import CookieSerializer

__all__ = ["Signer", "key_ring"]

_UNSET: t.Any = object()

# How many serializers are kept in one place: applications share the default one.
MAX_SERIALIZERS = 32

_token_serializer = TaggedJSONSerializer()


def _collect(app: t.Any) -> tuple[t.Any, ...]:
    secret_key = app.secret_key
    if not secret_key:
        return ()
    fallbacks = app.config["SECRET_KEY_FALLBACKS"] or ()
    if isinstance(fallbacks, (str, bytes)):
        raise TypeError(
            "SECRET_KEY_FALLBACKS must be a list of keys. As a string, each of its"
            " characters would be a key. Put the string into a list."
        )
    return (*fallbacks, secret_key)


def key_ring(app: t.Any) -> tuple[str | bytes, ...]:
    """Return the keys of an application, the oldest first; none without a secret key.

    The last one, `SECRET_KEY`, signs. All of them verify.

    Raises:
        TypeError: A key is neither str nor bytes, or `SECRET_KEY_FALLBACKS` is
            not a list of keys.
        ValueError: A fallback key is empty.
    """
    keys = _collect(app)
    for key in keys:
        if not isinstance(key, (str, bytes)):
            raise TypeError(
                "SECRET_KEY and each of SECRET_KEY_FALLBACKS must be of type str"
                f" or bytes, and one is of type {type(key).__name__!r}."
            )
        if not key:
            raise ValueError(
                "SECRET_KEY_FALLBACKS contains an empty key, with which anybody"
                " could sign a session. Take it out."
            )
    return keys


def find_serializer(
    kept: dict[t.Any, t.Any],
    app: t.Any,
    salt: str | bytes,
    serializer: t.Any,
    key_derivation: str,
    digest_method: t.Any,
) -> CookieSerializer | None:
    """Return the serializer of the keys as they are now, or None without a key.

    Args:
        kept: Where it is kept, by everything that it is made of.
        app: Whose keys it has.
        salt: This and the rest are arguments of `CookieSerializer`.
        serializer: Told from others by its identity.
        key_derivation: As there.
        digest_method: As there.
    """
    keys = _collect(app)
    if not keys:
        return None
    made_of = (keys, salt, key_derivation, digest_method, id(serializer))
    try:
        found: CookieSerializer | None = kept.get(made_of)
    except TypeError:  # a key is a list, for one
        found = None
    if found is None:
        from ._signing import CookieSerializer

        ring = key_ring(app)
        found = CookieSerializer(ring, salt, serializer, key_derivation, digest_method)
        if len(kept) >= MAX_SERIALIZERS:
            kept.clear()
        kept[made_of] = found
    return found


def _seconds(max_age: t.Any) -> t.Any:
    if isinstance(max_age, timedelta):
        return max_age.total_seconds()
    if max_age is None or isinstance(max_age, (int, float)):
        return max_age
    raise TypeError(
        "max_age must be a number of seconds, a timedelta, or None for no limit,"
        f" and is {max_age!r}."
    )


class Signer:
    """Signs values for one purpose, as text that fits into a URL; `app.signer`.

    Whoever has the text can read the value, and cannot change it. The keys are
    looked up with each call, so `SECRET_KEY_FALLBACKS` works as for sessions.

    Args:
        app: The application whose keys sign.
        purpose: What the tokens are for; a token is good for one purpose only.
            Start it with your extension's name: `"acme-mail.unsubscribe"`.
        max_age: For how long a token is valid, in seconds or as a timedelta;
            None is for ever.

    Raises:
        TypeError: The purpose is no str, or the age is of another type.
        ValueError: The purpose is empty.
    """

    def __init__(
        self, app: t.Any, purpose: str, max_age: timedelta | float | None = None
    ) -> None:
        given: t.Any = purpose
        if not isinstance(given, str) or not given.strip():
            error = ValueError if isinstance(given, str) else TypeError
            raise error(
                "The purpose of a signer must be a text that nobody else uses, and is"
                f" {given!r}. Start it with your extension's name, such as"
                ' "acme-mail.unsubscribe".'
            )
        self.purpose = purpose
        self._app = app
        # The prefix keeps it apart from the session, whatever the purpose is.
        self._salt = f"erlen.signer:{purpose}".encode()
        self._max_age = _seconds(max_age)
        self._serializers: dict[t.Any, CookieSerializer] = {}

    def _serializer(self) -> CookieSerializer:
        found = find_serializer(
            self._serializers,
            self._app,
            self._salt,
            _token_serializer,
            "hmac",
            hashlib.sha256,
        )
        if found is None:
            raise RuntimeError(
                f"The signer for {self.purpose!r} has no key, because no secret key"
                " was set. Set SECRET_KEY to what `erlen secret` prints."
            )
        return found

    def dumps(self, value: t.Any) -> str:
        """Write a value and the current time as signed text.

        Args:
            value: What JSON can hold, and as in a session also tuples, bytes,
                markup, UUIDs and datetimes.

        Raises:
            RuntimeError: There is no secret key.
            TypeError: The value holds something else.
        """
        return t.cast("str", self._serializer().dumps(value))

    def loads(
        self, token: str | bytes, max_age: timedelta | float | None = _UNSET
    ) -> t.Any:
        """Verify what `dumps` wrote, and return the value.

        Args:
            token: The text. Anything else is a bad signature, None too.
            max_age: For how long it is valid after it was written, instead of
                the signer's own; None is for ever.

        Raises:
            SignatureExpired: The token is genuine and too old. It is a BadSignature.
            BadSignature: It was changed, or made with another key or for
                another purpose, or is no token at all.
            RuntimeError: There is no secret key.
        """
        from itsdangerous import BadPayload
        from itsdangerous import BadSignature

        age = self._max_age if max_age is _UNSET else _seconds(max_age)
        serializer = self._serializer()
        if not isinstance(token, (str, bytes)):  # pyright: ignore[reportUnnecessaryIsInstance]  # JSON of a client holds anything
            raise BadSignature(f"A token is text, and no {type(token).__name__!r}.")
        try:
            return serializer.loads(token, max_age=age)
        except BadPayload as exc:  # genuine, but of a tag that is not known here
            raise BadSignature(str(exc)) from exc
