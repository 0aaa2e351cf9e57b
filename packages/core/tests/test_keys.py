"""The ring of keys, and the tokens of `app.signer`."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import itertools
import time
import uuid

import pytest
from itsdangerous import BadSignature
from itsdangerous import SignatureExpired
from itsdangerous import URLSafeTimedSerializer
from markupsafe import Markup

from erlen import Erlen
from erlen import _keys
from erlen import _signing
from erlen._keys import Signer
from erlen._keys import key_ring
from erlen.sessions import SecureCookieSessionInterface

NOW = 1_700_000_000
ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@pytest.fixture
def signer(app):
    return Signer(app, "acme-mail.unsubscribe")


@pytest.fixture
def at(monkeypatch):
    """Return a function that sets the clock of all signatures."""

    def at(seconds):
        monkeypatch.setattr(time, "time", lambda: seconds)

    at(NOW)
    return at


def refuses(signer, token, **options):
    """Tell whether a token is a bad signature, in whatever it is given."""
    try:
        signer.loads(token, **options)
    except BadSignature:
        return True
    return False


# The ring


@pytest.mark.parametrize(
    ("key", "fallbacks", "ring"),
    [
        (None, ["a"], ()),
        ("", None, ()),
        ("a", None, ("a",)),
        ("a", [], ("a",)),
        (b"a", ("c", b"b"), ("c", b"b", b"a")),
    ],
)
def test_the_ring(app, key, fallbacks, ring):
    app.config.update(SECRET_KEY=key, SECRET_KEY_FALLBACKS=fallbacks)
    assert key_ring(app) == ring


BAD_RINGS = [
    ("secret", "old", TypeError, "SECRET_KEY_FALLBACKS must be a list"),
    ("secret", b"old", TypeError, "SECRET_KEY_FALLBACKS must be a list"),
    (5, None, TypeError, "SECRET_KEY .* str or bytes, .* 'int'"),
    (["secret"], None, TypeError, "SECRET_KEY .* str or bytes, .* 'list'"),
    ("secret", ["old", None], TypeError, "SECRET_KEY_FALLBACKS .* 'NoneType'"),
    ("secret", ["old", ["b"]], TypeError, "SECRET_KEY_FALLBACKS .* 'list'"),
    ("secret", ["old", b""], ValueError, "SECRET_KEY_FALLBACKS contains an empty"),
]


@pytest.mark.parametrize(("key", "fallbacks", "error", "words"), BAD_RINGS)
def test_a_bad_ring(app, signer, key, fallbacks, error, words):
    app.config.update(SECRET_KEY=key, SECRET_KEY_FALLBACKS=fallbacks)
    interface = SecureCookieSessionInterface()
    for call in (
        lambda: key_ring(app),
        lambda: signer.dumps("a"),
        lambda: signer.loads("a"),
        lambda: interface.get_signing_serializer(app),
    ):
        with pytest.raises(error, match=words) as caught:
            call()
        # Neither its words nor what a log shows above it have a key.
        assert "secret" not in str(caught.value)
        assert caught.value.__context__ is None


# Making a signer


@pytest.mark.parametrize("purpose", ["", " ", "\t\n", None, 5, b"mail", ["mail"]])
def test_a_purpose_is_a_text(app, purpose):
    error = ValueError if isinstance(purpose, str) else TypeError
    with pytest.raises(error, match="Start it with your extension's name"):
        Signer(app, purpose)


@pytest.mark.parametrize("max_age", ["60", b"60", [], dt.time(1)])
def test_an_age_is_seconds_or_a_timedelta(app, signer, max_age):
    with pytest.raises(TypeError, match="max_age must be a number of seconds"):
        Signer(app, "mail", max_age)
    with pytest.raises(TypeError, match="max_age must be a number of seconds"):
        signer.loads(signer.dumps("a"), max_age=max_age)


@pytest.mark.parametrize("key", [None, "", b""])
def test_without_a_secret_key(app, signer, key):
    token = signer.dumps("a")
    app.config["SECRET_KEY"] = key
    for call in (lambda: signer.dumps("a"), lambda: signer.loads(token)):
        with pytest.raises(RuntimeError, match=r"'acme-mail\.unsubscribe'.* `erlen"):
            call()


# Values


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 0, -1.5, "", "text", "\u00e9\u2028\U0001f375", [], {}, ()),
        *(b"\x00\xff", Markup("<b>"), uuid.UUID(int=7)),
        dt.datetime(2025, 1, 2, 3, 4, 5, tzinfo=dt.UTC),
        {"user": 7, "teas": [("Assam", 2)], " t": {"a": b""}},
        "a" * 5000,
        "ab" * (_signing.MAX_PAYLOAD // 2 - 1),
        "ab" * (_signing.MAX_PAYLOAD // 2),
        "ab" * _signing.MAX_PAYLOAD,
    ],
)
def test_values_come_back(app, signer, value):
    token = signer.dumps(value)
    assert type(token) is str
    assert set(token.encode()) <= {*ALPHABET, ord(".")}
    for given in (token, token.encode()):
        found = signer.loads(given, max_age=60)
        assert (type(found), found) == (type(value), value)
    with app.app_context():
        assert signer.loads(token) == value


def test_what_json_cannot_hold(signer):
    with pytest.raises(TypeError):
        signer.dumps(object())


@pytest.mark.parametrize("payload", [b"e", b"ew", b".e30", b"!", b"", b".", b"gA"])
def test_a_token_that_is_genuine_but_cannot_be_read(signer, payload):
    """As one of a tag that was taken away since."""
    value = payload + b".AAAA"
    mac = signer._serializer()._macs[0]
    with pytest.raises(BadSignature):
        signer.loads(value + b"." + _signing._sign(mac, value))


# What is no token

NO_TOKENS = [
    *(
        None,
        0,
        7,
        True,
        1.5,
        [],
        {},
        (),
        object(),
        bytearray(b"a.b.c"),
        memoryview(b""),
    ),
    *("", b"", ".", "..", "...", "a", "a.b", "a.b.c", "a.b.c.d", " ", "\x00", "\n"),
    *("." * 1024 * 1024, "a" * 1024 * 1024, b"\xff" * 1024, "=" * 9, "..=", "%2e%2e"),
    *("\u00e9.\u00e9.\u00e9", "\ud800", "a.b.\udcff", "\u0660.\u0661.\u0662", "\uff0e"),
    *(b"\xed\xa0\x80.b.c", "\U0001f375", "None.None.None", "eyJ9.AAAA.AAAA"),
]


@pytest.mark.parametrize("token", NO_TOKENS, ids=range(len(NO_TOKENS)))
@pytest.mark.parametrize("fallbacks", [None, ["old", "older"]])
def test_what_is_no_token(app, signer, token, fallbacks):
    app.config["SECRET_KEY_FALLBACKS"] = fallbacks
    for max_age in (None, 60, dt.timedelta(1)):
        with pytest.raises(BadSignature):
            signer.loads(token, max_age=max_age)


@pytest.mark.parametrize(
    "change",
    [
        *("{}=", "{}==", "={}", "{} ", " {}", "{}\n", "\t{}", "{}.", ".{}", "{}A"),
        *("{}\x00", "{}\r\n", "{};a", "{}?a", "{}#a", "{}/", "'{}'", "{}\u200b"),
    ],
)
def test_nothing_may_be_added(signer, change):
    token = signer.dumps({"user": 7})
    for changed in (
        change.format(token),
        change.format(token).encode(),
        token.replace(".", change.format("."), 1),
        ".".join([*token.split(".")[:-1], change.format(token.split(".")[-1])]),
    ):
        with pytest.raises(BadSignature):
            signer.loads(changed)


def test_another_spelling_of_the_same_bytes(signer):
    """The last letter of base64 has bits that say nothing: they count, too."""
    token = signer.dumps({"user": 7})
    head, last = token[:-1], ALPHABET.index(token[-1].encode())
    spellings = [head + chr(ALPHABET[last ^ bits]) for bits in (1, 2, 3)]
    decode = base64.urlsafe_b64decode
    signature = decode(token.rpartition(".")[2] + "=")
    same = [it for it in spellings if decode(it.rpartition(".")[2] + "=") == signature]
    assert same
    for changed in (*spellings, token.swapcase(), token.lower(), token.upper()):
        assert refuses(signer, changed)


# Age


@pytest.mark.parametrize(
    ("own", "given", "age", "good"),
    [
        (None, (), 10**9, True),
        (60, (), 60, True),
        (60, (), 61, False),
        (dt.timedelta(minutes=1), (), 60, True),
        (dt.timedelta(minutes=1), (), 61, False),
        (dt.timedelta(days=2), (), 2 * 86400, True),
        (60, (None,), 10**9, True),
        (60, (90,), 90, True),
        (60, (90,), 91, False),
        (60, (dt.timedelta(seconds=30),), 31, False),
        (None, (0.5,), 0, True),
        (None, (0.5,), 1, False),
        (0, (), 0, True),
        (0, (), 1, False),
        (None, (-1,), 0, False),
        (None, (float("nan"),), 0, False),
        (60, (), -1, False),
        (None, (), -1, True),
    ],
)
def test_the_age(app, at, own, given, age, good):
    signer = Signer(app, "mail", own)
    token = signer.dumps("a")
    at(NOW + age)
    if good:
        assert signer.loads(token, *given) == "a"
    else:
        with pytest.raises(SignatureExpired):
            signer.loads(token, *given)


def test_a_bad_signature_is_not_called_old(app, at):
    signer = Signer(app, "mail", 60)
    token = signer.dumps("a")
    at(NOW + 61)
    with pytest.raises(BadSignature) as caught:
        signer.loads(token[:-2])
    assert not isinstance(caught.value, SignatureExpired)


# How it is signed


def test_the_signature_is_hmac_sha256_with_a_key_of_the_purpose(app, signer, at):
    token = signer.dumps(["a"])
    key = hmac.digest(
        app.secret_key.encode(), b"erlen.signer:acme-mail.unsubscribe", "sha256"
    )
    value, _, signature = token.encode().rpartition(b".")
    made = base64.urlsafe_b64encode(hmac.digest(key, value, "sha256")).rstrip(b"=")
    assert made == signature
    assert value == b"WyJhIl0.ZVPxAA"


def test_itsdangerous_reads_it(app, signer):
    reader = URLSafeTimedSerializer(
        app.secret_key,
        salt="erlen.signer:acme-mail.unsubscribe",
        signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
    )
    assert reader.loads(signer.dumps({"user": [7]})) == {"user": [7]}


PURPOSES = [
    *("mail", "mail ", " mail", "Mail", "mail.", "mail.a", "mail\x00", "m", "ail"),
    *("cookie-session", "erlen.signer:mail", ":mail", "signer", "itsdangerous", "."),
    *("caf\u00e9", "cafe\u0301", "\ufeffmail", "\uff4dail", "a" * 5000, "a" * 4999),
]


def test_no_purpose_takes_the_tokens_of_another(app):
    signers = [Signer(app, purpose) for purpose in PURPOSES]
    tokens = [signer.dumps({"user": 7}) for signer in signers]
    for (i, signer), (j, token) in itertools.product(
        enumerate(signers), enumerate(tokens)
    ):
        assert refuses(signer, token) is (i != j)
    # A derived key, seen as what it is, is the one way in which they could collide.
    keys = [bytes(signer._serializer()._macs[0].digest()) for signer in signers]
    assert len(set(keys)) == len(PURPOSES)


@pytest.mark.parametrize("digest_method", [hashlib.sha1, hashlib.sha256, "sha256"])
@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_session_is_no_token_and_a_token_no_session(app, purpose, digest_method):
    """Also where the session is signed by the hash of the tokens."""
    interface = SecureCookieSessionInterface()
    interface.digest_method = digest_method
    session = interface.get_signing_serializer(app)
    signer = Signer(app, purpose)
    assert refuses(signer, session.dumps({"user": 7}))
    assert refuses(session, signer.dumps({"user": 7}))


# Keys change while the application runs


def test_rotation_loses_nothing_and_keeps_nothing_too_long(app):
    old = Erlen("old")
    old.secret_key = "old"
    session = app.session_interface.get_signing_serializer
    signer, old_signer = Signer(app, "mail"), Signer(old, "mail")
    tokens = [old_signer.dumps(number) for number in range(1000)]
    cookies = [session(old).dumps({"user": number}) for number in range(1000)]

    app.config["SECRET_KEY_FALLBACKS"] = ["older", "old"]
    assert [signer.loads(it) for it in tokens] == [*range(1000)]
    assert [session(app).loads(it)["user"] for it in cookies] == [*range(1000)]
    assert refuses(old_signer, signer.dumps(1))

    app.config["SECRET_KEY_FALLBACKS"] = ["older"]
    assert all(refuses(signer, it) for it in tokens)
    assert all(refuses(session(app), it) for it in cookies)

    app.secret_key = "old"
    assert [signer.loads(it) for it in tokens] == [*range(1000)]


def test_a_rotated_session_at_the_door(app, client):
    @app.get("/")
    def index():
        from erlen import session

        return str(session.setdefault("user", 7))

    client.get("/")
    cookie = client.get_cookie("session").value

    def answers_with_a_cookie():
        client.set_cookie("session", cookie)
        return "Set-Cookie" in client.get("/").headers

    app.config.update(SECRET_KEY="new", SECRET_KEY_FALLBACKS=["a key for tests only"])
    assert not answers_with_a_cookie()
    app.config["SECRET_KEY_FALLBACKS"] = []
    assert answers_with_a_cookie()


def test_serializers_are_kept_by_the_state_of_the_keys(app, signer, monkeypatch):
    built = []

    class Counted(_signing.CookieSerializer):
        def __init__(self, *args):
            built.append(args[0])
            super().__init__(*args)

    monkeypatch.setattr(_signing, "CookieSerializer", Counted)
    rings = [["a"], ["b"], ["a"], ["a", "b"], ["b"]]
    for fallbacks in rings:
        app.config["SECRET_KEY_FALLBACKS"] = fallbacks
        for _ in range(3):
            signer.loads(signer.dumps("a"))
    assert len(built) == 3

    for number in range(3 * _keys.MAX_SERIALIZERS):
        app.secret_key = f"key {number}"
        signer.dumps("a")
        assert len(signer._serializers) <= _keys.MAX_SERIALIZERS


# Tampering


def flipped(token):
    """Yield the token with each bit flipped."""
    for place, bit in itertools.product(range(len(token)), range(8)):
        changed = bytearray(token)
        changed[place] ^= 1 << bit
        yield bytes(changed)


def respelled(token):
    """Yield the token with each letter replaced by each other of the alphabet."""
    for place, letter in itertools.product(range(len(token)), ALPHABET):
        if token[place] != letter:
            yield token[:place] + bytes([letter]) + token[place + 1 :]


def cut(token):
    """Yield the token without each of its slices of up to three letters, and its ends."""
    for start, size in itertools.product(range(len(token)), (1, 2, 3)):
        yield token[:start] + token[start + size :]
    for place in range(len(token)):
        yield token[:place]
        yield token[place + 1 :]
        yield token[:place] + token[place : place + 1] * 2 + token[place + 1 :]


def mixed(tokens):
    """Yield what the parts of several tokens make, other than the tokens."""
    parts = [token.rsplit(b".", 2) for token in tokens]
    for made in itertools.product(*zip(*parts, strict=True)):
        token = b".".join(made)
        if token not in tokens:
            yield token


def check_tampering(app, count):
    """Give changed tokens to each of three readers, `count` in all, none of them twice.

    They are those of the other readers, mixtures, and systematic changes.
    """
    session = app.session_interface.get_signing_serializer(app)
    readers = [session, Signer(app, "mail"), Signer(app, "mail.a")]
    values = [{}, {"teas": ["Assam"] * 20}]
    values += [{"user": number} for number in range(count // 10_000 + 1)]
    written = [[it.dumps(value).encode() for value in values] for it in readers]
    each = count // len(readers) + 1
    for reader, own in zip(readers, written, strict=True):
        assert not any(refuses(reader, token) for token in own)
        others = [token for tokens in written if tokens is not own for token in tokens]
        forged = itertools.chain(others, mixed([*own[:3], *others[::2]]))
        changes = itertools.product((flipped, respelled, cut), own)
        forged = itertools.chain(forged, *(change(token) for change, token in changes))
        distinct = sorted({*forged}.difference(own))
        asked = distinct[:: len(distinct) // each]
        assert len(asked) >= each
        assert [token for token in asked if not refuses(reader, token)] == []


@pytest.mark.parametrize("fallbacks", [None, ["old"]])
def test_nothing_tampered_is_accepted(app, fallbacks):
    app.config["SECRET_KEY_FALLBACKS"] = fallbacks
    check_tampering(app, 5_000)


@pytest.mark.fuzz
def test_nothing_tampered_is_accepted_in_a_long_run(app):
    check_tampering(app, 100_000)


def test_the_application_gives_signers(app):
    signer = app.signer("mail", dt.timedelta(seconds=60))
    assert type(signer) is Signer
    assert signer.purpose == "mail"
    assert Signer(app, "mail").loads(signer.dumps(7)) == 7
