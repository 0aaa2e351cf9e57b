"""Layer 1: itsdangerous' timed serializer, for a cookie in each request.

Keys are derived once, and the signature is compared in the one form in which
it is written. What it writes and reads is itsdangerous' own format. A module
of its own because it subclasses: the first session imports it.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
import time
import typing as t
import zlib
from binascii import b2a_base64

from itsdangerous import BadData
from itsdangerous import BadPayload
from itsdangerous import BadTimeSignature
from itsdangerous import SignatureExpired
from itsdangerous import URLSafeTimedSerializer
from itsdangerous.encoding import base64_decode
from itsdangerous.encoding import bytes_to_int
from itsdangerous.encoding import int_to_bytes
from itsdangerous.encoding import want_bytes
from itsdangerous.serializer import Serializer

# A cookie has 4 KiB. What inflates to more than this was made to fill the memory.
MAX_PAYLOAD = 1024 * 1024

_URL_SAFE = bytes.maketrans(b"+/", b"-_")

# Shorter payloads are not worth an attempt to compress them.
_WORTH_COMPRESSING = 32


def _digest_name(digest_method: t.Any) -> t.Any:
    # PERF: OpenSSL does the whole HMAC when it is told the name of the hash.
    digest: t.Any = digest_method() if callable(digest_method) else None
    return digest.name if type(digest) is type(hashlib.sha256()) else digest_method


def _encode(data: bytes) -> bytes:
    # PERF: 0.3 us; `itsdangerous.encoding.base64_encode`, the same thing, takes 0.7.
    return b2a_base64(data, newline=False).translate(_URL_SAFE, b"=")


def _deflate(data: bytes) -> bytes:
    # PERF: 5 us instead of 50: no window of 32 KiB is set up for a cookie of 4.
    deflater = zlib.compressobj(wbits=12, memLevel=4)
    return deflater.compress(data) + deflater.flush()


def _inflate(data: bytes) -> bytes:
    inflater = zlib.decompressobj()
    inflated = inflater.decompress(data, MAX_PAYLOAD + 1)
    if len(inflated) > MAX_PAYLOAD or not inflater.eof:
        raise ValueError("cut short, or more than it may be")
    return inflated


def _sign(mac: hmac.HMAC, value: bytes) -> bytes:
    mac = mac.copy()
    mac.update(value)
    return _encode(mac.digest())


class CookieSerializer(URLSafeTimedSerializer):
    """Signs and reads with fixed keys; `dumps` and `loads` as in itsdangerous.

    Args:
        secret_keys: Oldest first. The last one signs, all of them verify.
        salt: Keeps the signatures of different purposes apart.
        serializer: Turns data into text, with `dumps` and `loads`.
        key_derivation: How the keys are made of secret and salt.
        digest_method: The hash function, or its name.
    """

    def __init__(
        self,
        secret_keys: t.Sequence[str | bytes],
        salt: str | bytes,
        serializer: t.Any,
        key_derivation: str,
        digest_method: t.Any,
    ) -> None:
        super().__init__(
            list(map(want_bytes, secret_keys)),
            salt=salt,
            serializer=serializer,
            signer_kwargs={
                "key_derivation": key_derivation,
                "digest_method": digest_method,
            },
        )
        signer = self.make_signer()
        digest = _digest_name(digest_method)
        self._macs = [
            hmac.new(signer.derive_key(key), digestmod=digest)
            for key in reversed(self.secret_keys)
        ]

    def dumps(self, obj: t.Any, salt: str | bytes | None = None) -> t.Any:
        """Sign `obj` with the newest key and the current time."""
        if salt is not None:
            return super().dumps(obj, salt)
        stamp = _encode(int_to_bytes(int(time.time())))
        value = b"%b.%b" % (self.dump_payload(obj), stamp)
        signed = b"%b.%b" % (value, _sign(self._macs[0], value))
        return signed.decode() if self.is_text_serializer else signed

    def dump_payload(self, obj: t.Any) -> bytes:
        """Write `obj` in base64, compressed where that makes it shorter."""
        data = want_bytes(self.serializer.dumps(obj))
        # More than `MAX_PAYLOAD` would not be inflated again.
        if _WORTH_COMPRESSING <= len(data) <= MAX_PAYLOAD:
            deflated = _deflate(data)
            if len(deflated) < len(data) - 1:
                return b"." + _encode(deflated)
        return _encode(data)

    def loads(  # type: ignore[override]
        self,
        s: str | bytes,
        max_age: int | None = None,
        return_timestamp: bool = False,
        salt: str | bytes | None = None,
    ) -> t.Any:
        """Verify and read what `dumps` wrote.

        Args:
            s: The signed text.
            max_age: Its age in seconds above which it is refused.
            return_timestamp: Return the time of signing too, in a tuple.
            salt: Another salt than the serializer's own.

        Raises:
            BadSignature: It is not signed by one of the keys, or too old.
            BadPayload: It is signed, but cannot be read.
        """
        if salt is not None or return_timestamp:
            return super().loads(s, max_age, return_timestamp, salt)
        signed = s.encode(errors="replace") if isinstance(s, str) else s
        value, _, signature = signed.rpartition(b".")
        payload, _, stamp = value.rpartition(b".")
        for mac in self._macs:
            # Text is compared with text: base64 can be written in several ways,
            # of which itsdangerous takes any, and a signature has only one.
            if hmac.compare_digest(signature, _sign(mac, value)):
                if max_age is not None:
                    _check_age(payload, stamp, max_age)
                return self.load_payload(payload)
        raise BadTimeSignature("The signature does not match.", payload=payload)

    def load_payload(
        self,
        payload: bytes,
        *args: t.Any,
        serializer: t.Any | None = None,
        **kwargs: t.Any,
    ) -> t.Any:
        """Read the part that is signed, inflated to at most `MAX_PAYLOAD` bytes."""
        try:
            data = base64_decode(payload.removeprefix(b"."))
            if payload.startswith(b"."):
                data = _inflate(data)
        except (BadData, ValueError, zlib.error) as exc:
            raise BadPayload(f"The payload is damaged: {exc}", exc) from exc
        # Not by `super`: what the mixin does besides was done above.
        this = t.cast("t.Any", self)
        return Serializer.load_payload(this, data, serializer, *args, **kwargs)


def _check_age(payload: bytes, stamp: bytes, max_age: int) -> None:
    try:
        age = int(time.time()) - bytes_to_int(base64_decode(stamp))
    except (BadData, struct.error) as exc:
        raise BadTimeSignature("The time is malformed.", payload=payload) from exc
    if not 0 <= age <= max_age:
        raise SignatureExpired(
            f"Signed {age} seconds ago, and {max_age} is the limit.", payload=payload
        )
