"""The file: what is appended, and how tampering is found."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from acme_audit import Trail

YEAR = timedelta(days=365)


@pytest.fixture
def written(trail):
    """Return the lines of a trail of four entries."""
    for name in ("one", "two", "three", "four"):
        trail.append({"event": name})
    return list(trail.lines())


def seal_of(line):
    return json.loads(line)["seal"].encode()


def rewrite(trail, lines):
    trail.file.write_bytes(b"".join(line + b"\n" for line in lines))


def test_no_file_is_an_empty_trail(trail):
    assert list(trail.lines()) == []
    assert list(trail.faults()) == []
    assert not trail.is_older_than(YEAR)


def test_a_line_is_json_with_a_seal(trail, written):
    entries = [json.loads(line) for line in written]

    assert [entry["event"] for entry in entries] == ["one", "two", "three", "four"]
    assert [list(entry) for entry in entries] == [["event", "seal"]] * 4
    assert list(trail.faults()) == []


@pytest.mark.parametrize(
    "entry",
    [
        {"event": 'a "quote", "seal": "x"} \n\r and a new line'},
        {"event": "é \ud800 \x1b[31m"},
        {"event": {"seal": "x"}},
        {"event": object()},
        {"event": "x" * 20_000},
        {},
    ],
)
def test_anything_can_be_written(trail, entry):
    for _ in range(3):
        trail.append(entry)

    assert len(list(trail.lines())) == 3
    assert all(line.isascii() for line in trail.lines())
    assert list(trail.faults()) == []


NO_SEAL = "has no seal of this application"
CHANGED = "was changed"
FOLLOWS = "does not follow the line that was before it"
TAMPERED = {
    "changed": (
        lambda a, b, c, d: [a, b.replace(b"two", b"2"), c, d],
        [(2, CHANGED), (3, FOLLOWS)],
    ),
    "removed": (lambda a, b, c, d: [a, c, d], [(2, FOLLOWS)]),
    "removed at the start": (lambda a, b, c, d: [b, c, d], [(1, FOLLOWS)]),
    "moved": (
        lambda a, b, c, d: [a, c, b, d],
        [(2, FOLLOWS), (3, FOLLOWS), (4, FOLLOWS)],
    ),
    "repeated": (lambda a, b, c, d: [a, b, b, c, d], [(3, FOLLOWS)]),
    "put in": (
        lambda a, b, c, d: [a, b'{"event": "x"}', b, c, d],
        [(2, NO_SEAL), (3, FOLLOWS)],
    ),
    "empty": (lambda a, b, c, d: [a, b"", b, c, d], [(2, NO_SEAL), (3, FOLLOWS)]),
    "seal of another": (
        lambda a, b, c, d: [a, b, c.replace(seal_of(c), seal_of(d)), d],
        [(3, CHANGED), (4, FOLLOWS)],
    ),
    "no end": (lambda a, b, c, d: [a, b, c, d[:-2]], [(4, NO_SEAL)]),
    "more behind the end": (lambda a, b, c, d: [a, b, c, d + b" "], [(4, NO_SEAL)]),
    "no text": (lambda a, b, c, d: [a, b, c, b"\xff\x00"], [(4, NO_SEAL)]),
}


@pytest.mark.parametrize(("tamper", "faults"), TAMPERED.values(), ids=TAMPERED)
def test_tampering_is_found(trail, written, tamper, faults):
    rewrite(trail, tamper(*written))

    assert list(trail.faults()) == faults


def test_what_is_cut_off_at_the_end_cannot_be_seen(trail, written):
    """A file cannot tell that; README.md says so."""
    rewrite(trail, written[:2])

    assert list(trail.faults()) == []


def test_a_line_that_a_crash_cut_off_stays_alone(trail, written):
    trail.file.write_bytes(trail.file.read_bytes() + b'{"event": "fi')
    trail.append({"event": "six"})

    assert len(list(trail.lines())) == 6
    assert list(trail.faults()) == [(5, NO_SEAL)]


def test_another_key_cannot_seal(app, trail, written):
    app.config["SECRET_KEY"] = "another key"

    assert [fault for _, fault in trail.faults()] == [NO_SEAL] * 4


def test_keys_may_change(app, trail, written):
    app.config.update(
        SECRET_KEY="a new key", SECRET_KEY_FALLBACKS=["a key for tests only"]
    )
    trail.append({"event": "five"})

    assert len(list(trail.lines())) == 5
    assert list(trail.faults()) == []


def test_without_a_key_nothing_is_written(app, trail):
    app.config["SECRET_KEY"] = None

    with pytest.raises(RuntimeError, match="SECRET_KEY"):
        trail.append({})
    assert list(trail.lines()) == []


def test_the_age_is_that_of_the_first_line(trail, monkeypatch):
    now = time.time()
    for then in (now - YEAR.total_seconds() - 10, now):
        monkeypatch.setattr(time, "time", lambda then=then: then)
        trail.append({})

    assert trail.is_older_than(YEAR)
    assert not trail.is_older_than(2 * YEAR)
    assert list(trail.faults()) == []


def test_a_broken_first_line_has_no_age(trail):
    rewrite(trail, [b"?"])

    assert not trail.is_older_than(timedelta(0))


def test_threads_and_processes_wait_for_each_other(app, trail):
    """A second Trail has a lock of its own, as another process has."""
    trails = [trail, Trail(app)] * 20
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda trail: trail.append({"event": "x" * 5000}), trails))

    assert len(list(trail.lines())) == 40
    assert list(trail.faults()) == []
