"""Layer 0: what a setting is, and how values are made to fit their types.

`Config` keeps the values and where they came from; this knows types, words and
spelling, so that every error of a configuration reads alike.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses
import enum
import functools
import json
import operator
import os
import re
import types
import typing as t
from datetime import timedelta
from pathlib import Path

T = t.TypeVar("T")

_WORDS = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}
#: What the name of a secret looks like.
SECRET_NAME = re.compile(
    "(?i)SECRET|PASSW|PWD|TOKEN|CREDENTIAL|PRIVATE|API_?KEY|(^|_)(KEY|SALT|DSN)$"
)
_SHOWN = 60  # characters of a value in a message
_CLOSE = 0.7  # of two names: PROT is PORT, but SENDER is not SERVER

# Plain functions to type checkers: what they narrow Any to is of no use.
_is_a: t.Callable[[t.Any, t.Any], bool] = isinstance
_derives: t.Callable[[t.Any, t.Any], bool] = issubclass


class _Required(enum.Enum):
    # A member stays the same through copies and pickles.
    REQUIRED = enum.auto()


#: As the default of a setting: it has to be configured.
REQUIRED: t.Final = _Required.REQUIRED


class ConfigError(ValueError):
    """Settings are missing or wrong, all of them in one error.

    Args:
        *problems: What is wrong, each with its cure.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__(*problems)
        self.problems = list(problems)

    def __str__(self) -> str:
        if len(self.problems) == 1:
            return self.problems[0]
        head = f"The configuration has {len(self.problems)} problems:"
        return "\n- ".join((head, *self.problems))


class ConfigWarning(UserWarning):
    """Something in the configuration is probably not what was meant."""


class MisfitError(ValueError):
    """A value does not fit; what a setting makes its message of."""

    def __init__(self, value: t.Any, annotation: t.Any, reason: str = "") -> None:
        super().__init__(f"It must be {describe(annotation)}.")
        self.value, self.annotation, self.reason = value, annotation, reason
        self.where = ""


@dataclasses.dataclass(frozen=True)
class Setting:
    """A setting as it was declared.

    Args:
        key: The key, in upper case.
        type: What fits: a class, or a form of `typing`.
        default: The default, or `REQUIRED`.
        doc: One line that says what it sets.
        owner: The extension that declared it, "application" or "erlen".
        secret: Whether the value must not be shown.
    """

    key: str
    type: t.Any
    default: t.Any
    doc: str
    owner: str
    secret: bool = False

    def check(self) -> None:
        """Refuse a declaration that is wrong, whatever the configuration says.

        Raises:
            ValueError: It is; the message says how.
        """
        if not self.key.isupper() or not self.doc.strip() or "\n" in self.doc:
            raise ValueError(
                f"The setting {self.key!r} needs a key in upper case and one line that"
                f" says what it sets; it has {self.doc!r}."
            )
        if self.default is not REQUIRED:
            try:
                convert(self.default, self.type)
            except MisfitError as exc:
                raise ValueError(
                    f"The default does not fit the type: {self.misfit(exc)}"
                ) from exc

    def misfit(self, exc: MisfitError) -> str:
        """Say that a value does not fit, and never what is secret."""
        given = f"of type {type(exc.value).__name__!r}"
        if self.secret:
            return f"{self.label} must be {describe(self.type)}, not {given}."
        shown = repr(exc.value)
        shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
        return (
            f"{self.label}{exc.where} must be {describe(exc.annotation)}, not {shown},"
            f" {given}{exc.reason and f' ({exc.reason})'}."
        )

    @property
    def label(self) -> str:
        """The key and what it sets."""
        return f"{self.key} ({self.doc.rstrip('.')})"


# --- types -------------------------------------------------------------------------


def convert(value: t.Any, annotation: t.Any) -> t.Any:
    """Make a value fit an annotation.

    Args:
        value: The value; what fits is returned as it is.
        annotation: A class, or a form of `typing`. What values cannot be held
            against, such as a type variable, takes any.

    Raises:
        MisfitError: It cannot be made to fit.
    """
    kind, args = t.get_origin(annotation) or annotation, t.get_args(annotation)
    try:
        return _FORMS.get(kind, _instance)(value, kind, args)
    except MisfitError:
        raise
    except (LookupError, OverflowError, TypeError, ValueError) as exc:
        raise MisfitError(value, annotation) from exc


def convert_text(value: t.Any, text: str, annotation: t.Any) -> t.Any:
    """Make a value fit that came as text, which can be read in several ways.

    Args:
        value: What the text was read as.
        text: The text.
        annotation: As for `convert`.

    Raises:
        MisfitError: It fits in none of the ways.
    """
    said = str(value)
    readings = [value, text, _WORDS.get(said.lower(), value)]
    with contextlib.suppress(ValueError, RecursionError):
        readings.append(json.loads(said))  # the text had quotes around it
    for reading in readings:
        with contextlib.suppress(MisfitError):
            return convert(reading, annotation)
    raise MisfitError(value, annotation)


def _inner(value: t.Any, annotation: t.Any, place: t.Any) -> t.Any:
    try:
        return convert(value, annotation)
    except MisfitError as exc:
        exc.where = f"[{place!r}]{exc.where}"
        raise


def _one_of(value: t.Any, kind: t.Any, choices: t.Any) -> t.Any:
    fits: list[t.Any] = []
    for choice in choices:
        with contextlib.suppress(MisfitError):
            fits.append(convert(value, choice))
    return value if any(fit is value for fit in fits) else fits[0]


def _tested(value: t.Any, kind: t.Any, args: t.Any) -> t.Any:
    if not _TESTS[kind](value, args):
        raise TypeError
    return value


def _items(value: t.Any, kind: t.Any, args: t.Any) -> t.Any:
    takes = _LISTS if kind in _LISTS else kind
    if _is_a(value, (str, bytes)) or not _is_a(value, takes):
        raise TypeError
    if not _is_a(value, cabc.Collection):
        return value  # an iterator: looking would use it up
    items: list[t.Any] = list(value)
    kinds = args
    if kind is not tuple or not args or ... in args:
        kinds = [(*args, t.Any)[0]] * len(items)
    places = range(len(items))
    made = [_inner(*each) for each in zip(items, kinds, places, strict=True)]
    if _is_a(value, kind) and all(map(operator.is_, items, made)):
        return value
    build: t.Any = kind if kind in _LISTS else list
    return build(made)


def _mapping(value: t.Any, kind: t.Any, args: t.Any) -> t.Any:
    if not _is_a(value, cabc.Mapping):
        raise TypeError
    keys, values = args or (t.Any, t.Any)
    made = {convert(key, keys): _inner(it, values, key) for key, it in value.items()}
    same = all(key in made and made[key] is it for key, it in value.items())
    return value if same and _is_a(value, kind) else made


def _instance(value: t.Any, kind: t.Any, args: t.Any) -> t.Any:
    try:
        fits = _is_a(value, kind) and (kind, type(value)) != (int, bool)
    except TypeError:  # Any, a type variable, a protocol: nothing can be said
        fits = True
    if fits:
        return value
    if kind in _NUMBERS and type(value) in {int, float}:
        return _NUMBERS[kind](value)
    if _is_a(value, str) and _derives(kind, os.PathLike):
        return (Path if kind is os.PathLike else kind)(value)
    if _derives(kind, enum.Enum):
        return kind[value] if value in kind.__members__ else kind(value)
    return _dataclass(value, kind)


def _dataclass(value: t.Any, kind: t.Any) -> t.Any:
    if not (hasattr(kind, "__dataclass_fields__") and _is_a(value, cabc.Mapping)):
        raise TypeError
    hints = t.get_type_hints(kind, include_extras=True)
    values = {key: _inner(it, hints.get(key, t.Any), key) for key, it in value.items()}
    try:
        return kind(**values)
    except (TypeError, ValueError) as exc:
        raise MisfitError(value, kind, str(exc)) from exc


_CALLABLE = t.get_origin(t.Callable[..., t.Any])
_LISTS = (list, tuple, set, frozenset)
_NUMBERS: dict[t.Any, t.Callable[[float], t.Any]] = {
    float: float,
    timedelta: lambda seconds: timedelta(seconds=seconds),
}
_TESTS: dict[t.Any, t.Callable[[t.Any, t.Any], bool]] = {
    t.Literal: lambda value, args: (
        (type(value), value) in [(type(it), it) for it in args]
    ),
    type: lambda value, args: (
        _is_a(value, type) and (args in {(), (t.Any,)} or _derives(value, args[0]))
    ),
    _CALLABLE: lambda value, args: callable(value),
}
_FORMS: dict[t.Any, t.Callable[[t.Any, t.Any, t.Any], t.Any]] = {
    None: lambda value, kind, args: convert(value, types.NoneType),
    t.Annotated: lambda value, kind, args: convert(value, args[0]),
    **dict.fromkeys((t.Union, types.UnionType), _one_of),
    **dict.fromkeys(_TESTS, _tested),
    **dict.fromkeys((*_LISTS, cabc.Sequence, cabc.Iterable, cabc.Collection), _items),
    **dict.fromkeys((dict, cabc.Mapping, cabc.MutableMapping), _mapping),
}


def describe(annotation: t.Any) -> str:
    """Say in words what fits an annotation."""
    kind, args = t.get_origin(annotation) or annotation, t.get_args(annotation)
    if kind is t.Annotated:
        return describe(args[0])
    if kind is t.Literal or _FORMS.get(kind) is _one_of:
        *most, last = [repr(it) if kind is t.Literal else describe(it) for it in args]
        return f"{', '.join(most)} or {last}" if most else last
    name: str = getattr(kind, "__name__", str(kind)).replace("NoneType", "None")
    if _is_a(kind, enum.EnumMeta):
        return f"{name} ({', '.join(kind.__members__)})"
    if not args or kind is _CALLABLE:
        return name
    joint = " to " if _FORMS.get(kind) is _mapping else " and "
    return f"{name} of {joint.join(describe(it) for it in args if it is not ...)}"


# --- names -------------------------------------------------------------------------


@functools.lru_cache(256)
def nearest(key: str, names: frozenset[t.Any]) -> str | None:
    """Return the name that `key` may be a misspelling of.

    Words that two names begin or end with alike say nothing: MAIL_HOST is not
    meant to be MAIL_PORT, but MAIL_PROT is.

    PERF: 20 us for each name; the cache is for templates, which try keys with
    every request.
    """
    from difflib import SequenceMatcher

    found, best = None, _CLOSE
    for name in sorted(it for it in names if isinstance(it, str)):
        one, other = _apart(key.split("_"), name.split("_"))
        ratio = SequenceMatcher(None, one, other).ratio()
        if sorted(one) == sorted(other):  # KYE: too short to be like KEY
            ratio = 1
        if ratio > best:
            found, best = name, ratio
    return found


def _apart(one: list[str], other: list[str]) -> tuple[str, str]:
    for end in (0, -1):
        while one and other and one[end] == other[end]:
            del one[end], other[end]
    return "_".join(one), "_".join(other)


# --- dataclasses -------------------------------------------------------------------


def fields_as_settings(
    cls: type, prefix: str, owner: str, known: cabc.Mapping[str, Setting]
) -> dict[str, Setting]:
    """Return a setting for each field of a dataclass, by the field's name."""
    if not (_is_a(cls, type) and dataclasses.is_dataclass(cls)):
        raise TypeError(f"Only a class with @dataclass can be bound, not {cls!r}.")
    hints = t.get_type_hints(cls, include_extras=True)
    found: dict[str, Setting] = {}
    for field in dataclasses.fields(cls):
        if field.init:
            key, kind = prefix + field.name.upper(), hints[field.name]
            default: t.Any = field.default
            if field.default_factory is not dataclasses.MISSING:
                # What a factory makes need not be equal to what it made before.
                default = (
                    known[key].default if key in known else field.default_factory()
                )
            if default is dataclasses.MISSING:
                default = REQUIRED
            docs = [
                it for it in getattr(kind, "__metadata__", ()) if isinstance(it, str)
            ]
            doc = (*docs, field.metadata.get("doc", cls.__name__))[0]
            found[field.name] = Setting(key, kind, default, doc, owner, not field.repr)
    return found


def live(cls: type[T], keys: cabc.Mapping[str, str], values: dict[str, t.Any]) -> T:
    """Make an instance of a dataclass whose fields are items of a dict.

    Args:
        cls: The dataclass.
        keys: The keys in the dict, by field.
        values: The dict.
    """

    def field(key: str) -> property:
        return property(
            lambda self: values[key],
            lambda self, value: values.__setitem__(key, value),
        )

    def reduce(self: t.Any, protocol: t.SupportsIndex) -> t.Any:
        return dataclasses.replace(self).__reduce_ex__(protocol)

    space: dict[str, t.Any] = {
        "__slots__": (),
        # To ==, repr() and replace() it is one of the dataclass itself. Its copies and
        # pickles are: made of it, they would write into the dict.
        "__class__": property(lambda self: cls),
        "__reduce_ex__": reduce,
        **{name: field(key) for name, key in keys.items()},
    }
    made = t.cast("type[T]", type(cls.__name__, (cls,), space))
    return made(**{name: values[key] for name, key in keys.items()})
