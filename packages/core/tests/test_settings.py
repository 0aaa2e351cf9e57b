from __future__ import annotations

import collections.abc as cabc
import copy
import dataclasses
import enum
import os
import pickle
import types
import typing as t
from datetime import timedelta
from pathlib import Path
from pathlib import PurePosixPath

import pytest

from erlen._settings import REQUIRED
from erlen._settings import ConfigError
from erlen._settings import MisfitError
from erlen._settings import Setting
from erlen._settings import convert
from erlen._settings import convert_text
from erlen._settings import describe
from erlen._settings import fields_as_settings
from erlen._settings import live
from erlen._settings import nearest


class Colour(enum.Enum):
    RED = "r"
    BLUE = "b"


class Level(enum.IntEnum):
    LOW = 0
    HIGH = 1


@dataclasses.dataclass
class Server:
    host: str
    port: int = 25

    def __post_init__(self):
        if self.port < 1:
            raise ValueError("ports start at 1")


@dataclasses.dataclass
class Picky:
    port: int

    def __post_init__(self):
        raise ValueError("no")


@dataclasses.dataclass
class Mail:
    servers: list[Server]
    timeout: t.Annotated[timedelta, "Seconds."] = timedelta(seconds=1)


class Typed(t.TypedDict):
    a: int


class Duck(t.Protocol):
    def quack(self) -> None: ...


Number = t.NewType("Number", int)
T = t.TypeVar("T")


def nothing():
    """Be a function."""


# --- convert: what fits stays the very object --------------------------------------


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (None, None),
        (None, types.NoneType),
        (object(), t.Any),
        (object(), object),
        (True, bool),
        (7, int),
        (Level.HIGH, int),
        (7.5, float),
        ("x", str),
        (b"x", bytes),
        (Path("x"), Path),
        (Path("x"), os.PathLike),
        (Path("x"), os.PathLike[str]),
        (timedelta(1), timedelta),
        (Colour.RED, Colour),
        ("a", t.Literal["a", 1]),
        (1, t.Literal["a", 1]),
        (7, int | str),
        ("7", int | str),
        (None, t.Optional[int]),  # noqa: UP045  (the older form is the case)
        # Falsy, and the other choice would convert it.
        (0, timedelta | int),
        ("", Path | str),
        ([1, 2], list),
        ([1, 2], list[int]),
        ([], list[int]),
        ((1, 2), tuple[int, ...]),
        ((1, "a"), tuple[int, str]),
        ((1, "a"), tuple),
        ({1}, set[int]),
        (frozenset({1}), frozenset[int]),
        ([1], cabc.Sequence[int]),
        ((1,), t.Sequence[int]),
        ((1,), cabc.Collection[int]),
        ({1}, cabc.Iterable[int]),
        ({"a": 1}.keys(), cabc.Iterable[str]),
        ({"a": 1}, dict),
        ({"a": 1}, dict[str, int]),
        (types.MappingProxyType({"a": 1}), cabc.Mapping[str, int]),
        ({"a": [1]}, cabc.MutableMapping[str, list[int]]),
        (int, type),
        (int, type[t.Any]),
        (bool, type[int]),
        (nothing, cabc.Callable),
        (nothing, t.Callable[[int], str]),
        (7, t.Annotated[int, "docs"]),
        (Server("h"), Server),
        # Nothing can be said of these.
        ({"a": "x"}, Typed),
        (7, Duck),
        ("x", Number),
        (7, T),
        (7, "int"),
    ],
)
def test_what_fits_stays(value, annotation):
    assert convert(value, annotation) is value


def test_an_iterator_is_not_used_up():
    items = iter("ab")

    assert convert(items, cabc.Iterable[int]) is items
    assert list(items) == ["a", "b"]


@pytest.mark.parametrize(
    ("value", "annotation", "made"),
    [
        (7, float, 7.0),
        (90, timedelta, timedelta(seconds=90)),
        (0.5, timedelta, timedelta(seconds=0.5)),
        ("x", Path, Path("x")),
        ("x", PurePosixPath, PurePosixPath("x")),
        ("x", os.PathLike, Path("x")),
        ("r", Colour, Colour.RED),
        ("BLUE", Colour, Colour.BLUE),
        (0, Level, Level.LOW),
        ("LOW", Level, Level.LOW),
        (7, float | None, 7.0),
        ((1, 2), list[int], [1, 2]),
        ([1, 2], tuple[int, ...], (1, 2)),
        ([1, "a"], tuple[int, str], (1, "a")),
        ([1, 1], set, {1}),
        ([1], frozenset[int], frozenset({1})),
        (["a"], list[Path], [Path("a")]),
        (("a",), cabc.Sequence[Path], [Path("a")]),
        ({"a": 1}, dict[str, float], {"a": 1.0}),
        ({"a": 1}, dict[Path, int], {Path("a"): 1}),
        (types.MappingProxyType({"a": 1}), dict[str, int], {"a": 1}),
        ({"host": "h"}, Server, Server("h")),
        (
            {"servers": [{"host": "h", "port": 1}], "timeout": 3},
            Mail,
            Mail([Server("h", 1)], timedelta(seconds=3)),
        ),
    ],
)
def test_what_is_made_to_fit(value, annotation, made):
    converted = convert(value, annotation)

    assert converted == made
    assert type(converted) is type(made)


@pytest.mark.parametrize(
    ("value", "annotation", "where"),
    [
        (0, None, ""),
        (1, bool, ""),
        ("true", bool, ""),
        (True, int, ""),
        (7.0, int, ""),
        ("7", int, ""),
        (True, float, ""),
        ("7", float, ""),
        (7, str, ""),
        (b"x", str, ""),
        ("x", bytes, ""),
        (7, Path, ""),
        ("7", timedelta, ""),
        (True, timedelta, ""),
        (1e300, timedelta, ""),
        (float("nan"), timedelta, ""),
        ("GREEN", Colour, ""),
        ([], Colour, ""),
        (True, t.Literal["a", 1], ""),
        ("b", t.Literal["a", 1], ""),
        ([], t.Literal["a", 1], ""),
        (7.5, int | str | None, ""),
        ("ab", list, ""),
        ("ab", list[str], ""),
        ("ab", cabc.Sequence[str], ""),
        (b"ab", cabc.Iterable[int], ""),
        (7, list[int], ""),
        ({"a": 1}, list[str], ""),
        ({1}, cabc.Sequence[int], ""),
        ([1, "a"], list[int], "[1]"),
        ([[1], ["a"]], list[list[int]], "[1][0]"),
        ((1,), tuple[int, str], ""),
        ((1, "a", 2), tuple[int, str], ""),
        ((1, 2), tuple[int, str], "[1]"),
        ([[]], set, ""),
        ([1], dict, ""),
        ({"a": "x"}, dict[str, int], "['a']"),
        ({1: 1}, dict[str, int], ""),
        ({"a": 1}, cabc.MutableMapping[str, str], "['a']"),
        (7, type, ""),
        (str, type[int], ""),
        (7, cabc.Callable, ""),
        (7, t.Annotated[str, "docs"], ""),
        ("h", Server, ""),
        ({}, Server, ""),
        ({"host": "h", "prot": 7}, Server, ""),
        ({"host": "h", "port": 0}, Server, ""),
        ({7: "h"}, Server, ""),
        ({"host": "h", "port": "x"}, Server, "['port']"),
        ({"servers": [{"host": 7}]}, Mail, "['servers'][0]['host']"),
    ],
)
def test_what_does_not_fit(value, annotation, where):
    with pytest.raises(MisfitError) as info:
        convert(value, annotation)

    assert info.value.where == where


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"host": "h", "prot": 7}, "'prot'"),
        ({}, "'host'"),
        ({"host": "h", "port": 0}, "ports start at 1"),
    ],
)
def test_a_dataclass_says_why(value, reason):
    with pytest.raises(MisfitError) as info:
        convert(value, Server)

    assert reason in info.value.reason


# --- text --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text", "annotation", "made"),
    [
        (25, "25", int, 25),
        (25, "25", str, "25"),
        (25, "25", int | str, 25),
        (True, "true", str, "true"),
        (True, "true", str | None, "true"),
        (None, "null", str | None, None),
        (float("nan"), "NaN", str, "NaN"),
        ("007", "007", str, "007"),
        ("12", '"12"', str, "12"),
        ("12", '"12"', int, 12),
        ("12", "12", int, 12),  # a reader of one's own: loads=str
        ('["a"]', '["a"]', list[str], ["a"]),
        (["a"], '["a"]', tuple[str, ...], ("a",)),
        (1, "1", bool, True),
        (0, "0", bool, False),
        (True, "true", bool, True),
        ("TRUE", "TRUE", bool, True),
        ("False", "False", bool, False),
        ("Yes", "Yes", bool, True),
        ("no", "no", bool, False),
        ("ON", "ON", bool | None, True),
        ("off", "off", bool | None, False),
        (7, "7", Path, Path("7")),
        ("BLUE", "BLUE", Colour, Colour.BLUE),
        (1.5, "1.5", timedelta, timedelta(seconds=1.5)),
    ],
)
def test_text_is_read_as_its_type_says(value, text, annotation, made):
    assert convert_text(value, text, annotation) == made
    assert type(convert_text(value, text, annotation)) is type(made)


@pytest.mark.parametrize(
    ("value", "text", "annotation"),
    [
        ("x", "x", int),
        (2, "2", bool),
        ("maybe", "maybe", bool),
        ("[" * 100_000, "[" * 100_000, int),
        ([1], "[1]", list[bool]),
    ],
)
def test_text_that_is_nothing_of_the_kind(value, text, annotation):
    with pytest.raises(MisfitError) as info:
        convert_text(value, text, annotation)

    assert info.value.value is value


# --- words -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (int, "int"),
        (None, "None"),
        (str | None, "str or None"),
        (int | timedelta | None, "int, timedelta or None"),
        (t.Literal["a", 1], "'a' or 1"),
        (bool | t.Literal[0, 1], "bool or 0 or 1"),
        (list, "list"),
        (list[str], "list of str"),
        (tuple[int, ...], "tuple of int"),
        (tuple[int, str], "tuple of int and str"),
        (cabc.Iterable[str | bytes], "Iterable of str or bytes"),
        (dict[str, list[int]], "dict of str to list of int"),
        (type[int], "type of int"),
        (t.Callable[[int], str], "Callable"),
        (cabc.Callable, "Callable"),
        (t.Annotated[int, "docs"], "int"),
        (Colour, "Colour (RED, BLUE)"),
        (Server, "Server"),
        (t.Any, "Any"),
        (t.Literal["a"], "'a'"),
        ("Later", "Later"),
    ],
)
def test_words(annotation, words):
    assert describe(annotation) == words


@pytest.mark.parametrize(
    ("problems", "words"),
    [
        (["One."], "One."),
        (["One.", "Two."], "The configuration has 2 problems:\n- One.\n- Two."),
    ],
)
def test_an_error_has_all_problems(problems, words):
    error = ConfigError(*problems)

    assert str(error) == words
    assert error.problems == problems
    assert pickle.loads(pickle.dumps(error)).problems == problems


def test_required_stays_itself():
    assert copy.deepcopy(REQUIRED) is REQUIRED
    assert pickle.loads(pickle.dumps(REQUIRED)) is REQUIRED


# --- settings ----------------------------------------------------------------------


def setting(annotation=int, default=25, key="MAIL_PORT", doc="A port.", secret=False):
    return Setting(key, annotation, default, doc, "mail", secret)


@pytest.mark.parametrize("default", [25, REQUIRED])
def test_a_good_declaration(default):
    setting(default=default).check()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"key": "mail_port"}, "'mail_port' needs a key in upper case"),
        ({"key": "Mail_Port"}, "'Mail_Port' needs"),
        ({"key": ""}, "'' needs"),
        ({"doc": ""}, "one line that says"),
        ({"doc": "  "}, "one line that says"),
        ({"doc": "a\nb"}, r"it has 'a\\nb'"),
        ({"default": "x"}, r"The default does not fit .*must be int, not 'x'"),
        ({"default": None}, r"must be int, not None"),
    ],
)
def test_a_wrong_declaration(options, words):
    with pytest.raises(ValueError, match=words):
        setting(**options).check()


def misfit(value, annotation, **options):
    with pytest.raises(MisfitError) as info:
        convert(value, annotation)
    return setting(annotation, **options).misfit(info.value)


@pytest.mark.parametrize(
    ("value", "annotation", "words"),
    [
        ("x", int, "MAIL_PORT (A port) must be int, not 'x', of type 'str'."),
        (
            [1, "x"],
            list[int],
            "MAIL_PORT (A port)[1] must be int, not 'x', of type 'str'.",
        ),
        (
            "x" * 99,
            int,
            f"MAIL_PORT (A port) must be int, not '{'x' * 59}..., of type 'str'.",
        ),
        (
            {"port": -1},
            Picky,
            "MAIL_PORT (A port) must be Picky, not {'port': -1}, of type 'dict' (no).",
        ),
    ],
)
def test_a_misfit_in_words(value, annotation, words):
    assert misfit(value, annotation) == words


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        ("hush", int),
        ({"hush": "hush"}, dict[str, int]),
        (["hush"], list[int]),
        ({"host": "h", "hush": "hush"}, Server),
    ],
)
def test_a_secret_is_never_told(value, annotation):
    words = misfit(value, annotation, secret=True)

    assert "hush" not in words
    assert f"must be {describe(annotation)}, not of type" in words


# --- names -------------------------------------------------------------------------

NAMES = frozenset(
    {"MAIL_PORT", "MAIL_SERVER", "MAIL_USE_TLS", "SECRET_KEY", "TRUSTED_HOSTS", 7}
)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("MAIL_PROT", "MAIL_PORT"),
        ("MIAL_PORT", "MAIL_PORT"),
        ("MAILPORT", "MAIL_PORT"),
        ("MAIL__PORT", "MAIL_PORT"),
        ("MAIL_PORT_", "MAIL_PORT"),
        ("MAIL_SERVRE", "MAIL_SERVER"),
        ("SECRET_KYE", "SECRET_KEY"),
        ("TRUSTED_HOST", "TRUSTED_HOSTS"),
        # Other words are other names, however long the rest is.
        ("MAIL_HOST", None),
        ("MAIL_SENDER", None),
        ("MAIL_USE_SSL", None),
        ("MAIL_SSL_PORT", None),
        ("PORT", None),
        ("TEA_PRICE", None),
    ],
)
def test_the_nearest_name(key, name):
    assert nearest(key, NAMES) == name


# --- dataclasses -------------------------------------------------------------------


@dataclasses.dataclass
class Shop:
    owner_name: str
    size: t.Annotated[int, 3, "Rows of a page."] = 20
    kind: t.Literal["tea", "cake"] = "tea"
    tags: list[str] = dataclasses.field(
        default_factory=list, metadata={"doc": "Words to find it by."}
    )
    key: str | None = dataclasses.field(default=None, repr=False)
    total: int = dataclasses.field(init=False, default=7)
    CLOSED: t.ClassVar[bool] = False


def test_fields_as_settings():
    found = fields_as_settings(Shop, "SHOP_", "me", {})

    assert list(found) == ["owner_name", "size", "kind", "tags", "key"]
    assert [dataclasses.astuple(it) for it in found.values()] == [
        ("SHOP_OWNER_NAME", str, REQUIRED, "Shop", "me", False),
        (
            "SHOP_SIZE",
            t.Annotated[int, 3, "Rows of a page."],
            20,
            "Rows of a page.",
            "me",
            False,
        ),
        ("SHOP_KIND", t.Literal["tea", "cake"], "tea", "Shop", "me", False),
        ("SHOP_TAGS", list[str], [], "Words to find it by.", "me", False),
        ("SHOP_KEY", str | None, None, "Shop", "me", True),
    ]


def test_a_factory_is_asked_once():
    @dataclasses.dataclass
    class Once:
        made: object = dataclasses.field(default_factory=object)

    first = fields_as_settings(Once, "", "me", {})["made"]

    assert fields_as_settings(Once, "", "me", {"MADE": first})["made"] == first
    assert fields_as_settings(Once, "", "me", {})["made"] != first


@pytest.mark.parametrize("other", [int, Shop("me"), None, "Shop"])
def test_only_a_dataclass_has_fields(other):
    with pytest.raises(TypeError, match="Only a class with @dataclass"):
        fields_as_settings(other, "", "me", {})


@dataclasses.dataclass
class Plain:
    size: int = 20
    key: str = dataclasses.field(default="hush", repr=False)

    def doubled(self):
        return self.size * 2


@dataclasses.dataclass(frozen=True)
class Frozen:
    size: int = 20
    key: str = dataclasses.field(default="hush", repr=False)

    def doubled(self):
        return self.size * 2


@dataclasses.dataclass(slots=True)
class Slots:
    size: int = 20
    key: str = dataclasses.field(default="hush", repr=False)

    def doubled(self):
        return self.size * 2


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class FrozenSlots:
    size: int = 20
    key: str = dataclasses.field(default="hush", repr=False)

    def doubled(self):
        return self.size * 2


KEYS = {"size": "X_SIZE", "key": "X_KEY"}
CLASSES = pytest.mark.parametrize("cls", [Plain, Frozen, Slots, FrozenSlots])


@pytest.fixture
def values():
    return {"X_SIZE": 20, "X_KEY": "hush"}


@CLASSES
def test_a_live_instance_reads_the_values(cls, values):
    shop = live(cls, KEYS, values)
    assert shop.doubled() == 40

    values["X_SIZE"] = 3

    assert shop.size == 3
    assert shop.doubled() == 6
    assert cls().size == 20


@CLASSES
def test_a_live_instance_is_one_of_the_dataclass(cls, values):
    shop = live(cls, KEYS, values)

    assert isinstance(shop, cls)
    assert shop == cls()
    assert cls() == shop
    assert shop != cls(3)
    assert repr(shop) == f"{cls.__name__}(size=20)"
    assert dataclasses.asdict(shop) == {"size": 20, "key": "hush"}
    assert [field.name for field in dataclasses.fields(shop)] == ["size", "key"]


@pytest.mark.parametrize("cls", [Plain, Slots])
def test_a_live_instance_writes_the_values(cls, values):
    shop = live(cls, KEYS, values)

    shop.size = 5

    assert values == {"X_SIZE": 5, "X_KEY": "hush"}


@pytest.mark.parametrize("cls", [Frozen, FrozenSlots])
def test_a_frozen_one_does_not(cls, values):
    shop = live(cls, KEYS, values)

    with pytest.raises(dataclasses.FrozenInstanceError):
        shop.size = 5

    assert values["X_SIZE"] == 20
    assert hash(shop) == hash(cls())


@pytest.mark.parametrize("cls", [Slots, FrozenSlots])
def test_slots_take_no_other_name(cls, values):
    with pytest.raises((AttributeError, TypeError)):
        live(cls, KEYS, values).siez = 5


@CLASSES
@pytest.mark.parametrize(
    "duplicate",
    [
        copy.copy,
        copy.deepcopy,
        dataclasses.replace,
        lambda shop: pickle.loads(pickle.dumps(shop)),
    ],
)
def test_a_copy_is_on_its_own(cls, duplicate, values):
    values["X_SIZE"] = 5
    shop = live(cls, KEYS, values)

    twin = duplicate(shop)
    values["X_SIZE"] = 6

    assert type(twin) is cls
    assert twin.size == 5
    assert dataclasses.replace(twin, size=7).size == 7
    assert values["X_SIZE"] == 6


def test_post_init_sees_and_may_change_the_values():
    @dataclasses.dataclass
    class Tidy:
        name: str
        length: int = dataclasses.field(init=False)

        def __post_init__(self):
            self.name = self.name.strip()
            self.length = len(self.name)

    values = {"NAME": " tea "}
    tidy = live(Tidy, {"name": "NAME"}, values)

    assert values == {"NAME": "tea"}
    assert (tidy.name, tidy.length) == ("tea", 3)
