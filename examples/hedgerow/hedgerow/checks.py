"""What people may write: one set of rules for the forms, the filters and the API."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from collections.abc import Mapping
from datetime import date
from typing import Any

KINDS = {
    "plant": "Plants",
    "fungus": "Fungi",
    "insect": "Insects",
    "mammal": "Mammals",
    "bird": "Birds",
}
THEMES = {"auto": "As my device has it", "light": "Light", "dark": "Dark"}
PAGE_SIZES = {"10": "10", "20": "20", "50": "50"}

Rule = Callable[[Any], Any]


class CheckError(ValueError):
    """Raised with all that is wrong at once: messages by field name."""

    def __init__(self, errors: dict[str, str]) -> None:
        super().__init__(" ".join(f"{name}: {text}" for name, text in errors.items()))
        self.errors = errors


def check(
    data: Mapping[str, Any], rules: Mapping[str, Rule], *, partial: bool = False
) -> dict[str, Any]:
    """Return the clean value of each rule's field.

    Args:
        data: What was sent: a form, query arguments or a JSON object.
        rules: Which fields there are; all else in `data` is left alone.
        partial: Check only the fields that were sent.

    Raises:
        CheckError: At least one field breaks its rule.
    """
    values = {}
    errors = {}
    for name, rule in rules.items():
        if partial and name not in data:
            continue
        try:
            values[name] = rule(data.get(name))
        except (TypeError, ValueError) as exc:
            errors[name] = str(exc)
    if errors:
        raise CheckError(errors)
    return values


def text(limit: int, *, lines: bool = False) -> Rule:
    """Require text of at most `limit` characters; several lines only with `lines`."""

    def rule(value: Any) -> str:
        if value is None:
            value = ""
        if not isinstance(value, str):
            raise TypeError("Must be text.")
        value = unicodedata.normalize("NFC", value.replace("\r\n", "\n").strip())
        if not value:
            raise ValueError("Must not be empty.")
        if len(value) > limit:
            raise ValueError(f"Must have at most {limit:,} characters.")
        # Control characters and halves of surrogate pairs, which no file can hold.
        strange = {char for char in value if unicodedata.category(char) in {"Cc", "Cs"}}
        if strange - ({"\n", "\t"} if lines else set()):
            raise ValueError("Contains characters that cannot be printed.")
        return value

    return rule


def choice(options: Mapping[str, str]) -> Rule:
    """Require one of the keys of `options`."""

    def rule(value: Any) -> str:
        if not isinstance(value, str) or value not in options:
            raise ValueError(f"Must be one of {', '.join(options)}.")
        return value

    return rule


def whole(low: int, high: int) -> Rule:
    """Require a whole number from `low` to `high`, as a number or in digits."""

    def rule(value: Any) -> int:
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value.strip()):
            value = int(value)
        # To Python True is a number; to a reader it is not.
        if type(value) is not int or not low <= value <= high:
            raise ValueError(f"Must be a whole number from {low} to {high:,}.")
        return value

    return rule


def day(value: Any) -> str:
    """Require a day as YYYY-MM-DD, not before 1900."""
    try:
        parsed = date.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValueError("Must be a day, written like 2026-05-01.") from None
    if parsed.year < 1900:
        raise ValueError("Must not be before 1900.")
    return parsed.isoformat()


def past_day(value: Any) -> str:
    """Require a day that has come already."""
    parsed = day(value)
    if parsed > date.today().isoformat():
        raise ValueError("Must not be in the future.")
    return parsed


def optional(rule: Rule, default: Any = "") -> Rule:
    """Give `default` for a field that is missing or empty, else ask `rule`."""
    return lambda value: default if value in (None, "") else rule(value)


SIGHTING = {
    "species": text(80),
    "kind": choice(KINDS),
    "count": whole(1, 100_000),
    "seen_on": past_day,
    "place": text(80),
    "observer": text(60),
    "note": optional(text(2_000, lines=True)),
}
ATTACHMENT = {"caption": text(120)}
SEARCH = {
    "q": optional(text(80)),
    "kind": optional(choice(KINDS)),
    "since": optional(day),
    "until": optional(day),
    "page": optional(whole(1, 100_000), 1),
    "per_page": optional(whole(1, 100), 20),
}
FEED = {"after": optional(whole(0, 999_999_999), None)}
SETTINGS = {
    "name": optional(text(60)),
    "theme": choice(THEMES),
    "per_page": choice(PAGE_SIZES),
}
