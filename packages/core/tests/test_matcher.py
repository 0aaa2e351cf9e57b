from __future__ import annotations

import collections
import functools
import itertools
import re
import sys
import uuid

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import MethodNotAllowed
from werkzeug.exceptions import NotFound
from werkzeug.routing import BaseConverter
from werkzeug.routing import IntegerConverter
from werkzeug.routing import Map
from werkzeug.routing import MapAdapter
from werkzeug.routing import RequestRedirect
from werkzeug.routing import Rule
from werkzeug.routing import ValidationError
from werkzeug.routing import WebsocketMismatch
from werkzeug.routing import rules as routing_rules
from werkzeug.routing.rules import RulePart

from erlen import _matcher
from erlen._matcher import Matcher


class Loud(BaseConverter):
    """Tell when it is called, and refuse much."""

    called = 0

    def to_python(self, value):
        Loud.called += 1
        if value.startswith("a"):
            raise ValidationError
        return value


class Hex(BaseConverter):
    """Change nothing but the pattern."""

    regex = "[0-9a-f]+"


class Either(BaseConverter):
    """Have a group in the pattern, and a slash."""

    regex = "(a|b)/[ab]|[12]"


class Odd(IntegerConverter):
    """Be a number of another kind."""

    num_convert = str


class Broken(BaseConverter):
    """Have a pattern that is none."""

    regex = "("


CONVERTERS = {"broken": Broken, "either": Either, "hex": Hex, "loud": Loud, "odd": Odd}

ID = "12345678-1234-5678-1234-56781234567a"


def make_map(*rules, **options):
    """Make a map of rules, each a string or a dict; the endpoint is the number."""
    url_map = Map(converters=CONVERTERS, **options)
    for number, rule in enumerate(rules):
        given = {"string": rule} if isinstance(rule, str) else rule
        url_map.add(Rule(**{"endpoint": number} | given))
    return url_map


def compare(matcher, url_map, path, method="GET", domain=""):
    """Ask both, and hold the quick answer against Werkzeug's.

    Returns:
        The quick answer and that of Werkzeug, None where it has no rule.
    """
    called = Loud.called
    quick = matcher.match(domain, path, method)
    assert Loud.called == called
    host, subdomain = "example.org", domain
    if url_map.host_matching:
        host, subdomain = domain, None
    adapter = MapAdapter(url_map, host, "/", subdomain, "http", "/", "GET")
    try:
        slow = adapter.match(path, method, return_rule=True)
    except (HTTPException, AssertionError, TypeError, ValueError):
        slow = None
    if quick is not None:
        assert slow is not None, (url_map, path, method, quick)
        assert quick[0] is slow[0], (url_map, path, method, quick, slow)
        values = [(name, type(value), value) for name, value in quick[1].items()]
        assert values == [(name, type(value), value) for name, value in slow[1].items()]
    return quick, slow


ANSWERED = [
    (["/"], "/", 0, {}),
    (["/a"], "/a", 0, {}),
    (["/a/"], "/a/", 0, {}),
    (["/a b/é/%41.x"], "/a b/é/%41.x", 0, {}),
    (["/<x>"], "/é b%2F\n", 0, {"x": "é b%2F\n"}),
    (["/<x>/"], "/a/", 0, {"x": "a"}),
    (["/<string(minlength=2, maxlength=3):x>"], "/abc", 0, {"x": "abc"}),
    (["/<string(length=2):x>", "/<y>"], "/abc", 1, {"y": "abc"}),
    (["/<int:x>"], "/0012", 0, {"x": 12}),
    (["/<int:x>"], "/٣", 0, {"x": 3}),
    (["/<int:x>", "/<y>"], "/²", 1, {"y": "²"}),
    (["/<int(fixed_digits=3):x>"], "/012", 0, {"x": 12}),
    (["/<int(min=1, max=9):x>"], "/5", 0, {"x": 5}),
    (["/<int(signed=True):x>"], "/-5", 0, {"x": -5}),
    (["/<float:x>"], "/1.50", 0, {"x": 1.5}),
    (["/<float(min=1.5, signed=True):x>"], "/2.0", 0, {"x": 2.0}),
    (["/<uuid:x>"], f"/{ID}", 0, {"x": uuid.UUID(ID)}),
    (["/<any(a, 'b c'):x>", "/<y>"], "/b c", 0, {"x": "b c"}),
    (["/<any(a, 'b c'):x>", "/<y>"], "/b", 1, {"y": "b"}),
    (["/s/<path:x>"], "/s/css/a.css", 0, {"x": "css/a.css"}),
    (["/s/<path:x>"], "/s/a/", 0, {"x": "a/"}),
    (["/s/<path:x>", "/s/<path:x>/edit"], "/s/a/b/edit", 1, {"x": "a/b"}),
    (["/<path:x>"], "/\na", 0, {"x": "\na"}),
    (["/v<int:x>.<int:y>/z"], "/v1.2/z", 0, {"x": 1, "y": 2}),
    (["/<a>/b/<int:c>/<path:d>"], "/x/b/1/y/z", 0, {"a": "x", "c": 1, "d": "y/z"}),
    # A converter of the user's own that only has a pattern.
    (["/<hex:x>", "/<y>"], "/ff", 0, {"x": "ff"}),
    (["/<hex:x>", "/<y>"], "/x", 1, {"y": "x"}),
    # Static before variable at each step, even if it fails later; then by weight.
    (["/<x>", "/a"], "/a", 1, {}),
    (["/<x>/b", "/a/<y>"], "/a/b", 1, {"y": "b"}),
    (["/<x>/b", "/a/<int:y>"], "/a/b", 0, {"x": "a"}),
    (["/<x>/a", "/<int:y>/<z>"], "/1/a", 1, {"y": 1, "z": "a"}),
    (["/<x>/a", "/<int:y>/b"], "/1/a", 0, {"x": "1"}),
    (["/<x>", "/<path:y>", "/<int:z>"], "/1", 2, {"z": 1}),
    (["/<x>", "/<path:y>", "/<int:z>"], "/1/2", 1, {"y": "1/2"}),
    (["/<path:y>/b", "/a/<x>"], "/a/b", 1, {"x": "b"}),
    (["/<path:y>/b", "/a/<int:x>"], "/a/b", 0, {"y": "a"}),
    (["/a/b/<int:x>", "/a/<y>/1"], "/a/b/1", 0, {"x": 1}),
    (["/a/b/c", "/a/<x>/d/e", "/<y>/b/<z>"], "/a/b/d", 2, {"y": "a", "z": "d"}),
    # Defaults.
    ([{"string": "/a", "defaults": {"n": 1}}], "/a", 0, {"n": 1}),
    ([{"string": "/<x>", "defaults": {"n": 1}}], "/a", 0, {"x": "a", "n": 1}),
    ([{"string": "/<x>", "defaults": {"x": "b"}}], "/a", 0, {"x": "b"}),
    # Slashes that are forgiven, either way.
    ([{"string": "/a/", "strict_slashes": False}], "/a", 0, {}),
    ([{"string": "/a", "strict_slashes": False}], "/a/", 0, {}),
    ([{"string": "/<x>/", "strict_slashes": False}], "/a", 0, {"x": "a"}),
    ([{"string": "/<x>", "strict_slashes": False}], "/a/", 0, {"x": "a"}),
    ([{"string": "/a", "strict_slashes": False}, "/a/"], "/a/", 1, {}),
    (["/a/<any('', b):x>"], "/a/", 0, {"x": ""}),
    (["/a/<any('', b):x>", "/a/"], "/a/", 1, {}),
    # Rules that do not take part.
    ([{"string": "/a", "websocket": True}, "/<x>"], "/a", 1, {"x": "a"}),
    ([{"string": "/a/", "websocket": True}, "/<x>"], "/a", 1, {"x": "a"}),
    ([{"string": "/a", "build_only": True}, "/<x>"], "/a", 1, {"x": "a"}),
    ([{"string": "/a", "methods": ["PUT"]}, "/<x>"], "/a", 1, {"x": "a"}),
    (["/<loud:x>/b", "/<y>/c"], "/a/c", 1, {"y": "a"}),
]


@pytest.mark.parametrize(("rules", "path", "number", "args"), ANSWERED)
def test_answers(rules, path, number, args):
    url_map = make_map(*rules)
    quick, slow = compare(Matcher(url_map), url_map, path)
    assert (quick[0].endpoint, quick[1]) == (number, args)
    assert quick == slow


LEFT = [
    # Nothing there.
    (["/a"], "/b", NotFound),
    (["/a/<x>"], "/a", NotFound),
    (["/a/<x>"], "/a/", NotFound),
    (["/a/<x>", "/<y>"], "/b/c", NotFound),
    (["/<int:x>"], "/-1", NotFound),
    (["/<path:x>"], "/a\nb", NotFound),
    (["/<x>/b/c", "/a/<y>/d"], "/a/b/e", NotFound),
    ([{"string": "/a", "methods": ["POST"]}], "/a", MethodNotAllowed),
    ([{"string": "/<x>", "methods": ["POST"]}], "/a", MethodNotAllowed),
    ([{"string": "/a", "websocket": True}], "/a", WebsocketMismatch),
    # A converter that refuses ends the search.
    (["/<int(max=3):x>", "/<y>"], "/5", NotFound),
    (["/<int(fixed_digits=3):x>", "/<y>"], "/5", NotFound),
    # (Older versions of Werkzeug let the error of too many digits through.)
    (["/<int:x>", "/<y>"], "/" + "9" * 5000, (NotFound, ValueError)),
    # Redirects.
    (["/"], "", RequestRedirect),
    (["/foo/", "/<x>"], "/foo", RequestRedirect),
    (["/<x>/", "/<path:y>"], "/foo", RequestRedirect),
    (["/a/b"], "/a//b", RequestRedirect),
    (["/<x>/b"], "//a//b", RequestRedirect),
    (["/<path:x>/"], "/a/b", RequestRedirect),
    ([{"string": "/<x>", "redirect_to": "b"}], "/a", RequestRedirect),
    ([{"string": "/a", "redirect_to": lambda adapter: "b"}], "/a", RequestRedirect),
    ([{"string": "/a", "alias": True, "endpoint": 1}, "/b"], "/a", RequestRedirect),
    (
        [{"string": "/all", "defaults": {"n": 1}, "endpoint": 1}, "/all/<int:n>"],
        "/all/1",
        RequestRedirect,
    ),
    # Rules that Werkzeug answers itself.
    (
        [{"string": "/all", "defaults": {"n": 1}, "endpoint": 1}, "/all/<int:n>"],
        "/all/2",
        {"n": 2},
    ),
    (["/a"], "//a", {}),
    (["/a"], "a", {}),
    (["/<x>"], "a", {"x": "a"}),
    (["/<path:x>"], "/a//b", {"x": "a//b"}),
    (["/<path:x>/"], "/a/b/", {"x": "a/b"}),
    (
        [
            {"string": "/a", "strict_slashes": False},
            {"string": "/a/<any('', b):x>", "methods": ["PUT"]},
            "/<y>/",
        ],
        "/a/",
        {},
    ),
    # Converters that the user wrote, and one that only looks like Werkzeug's.
    (["/<loud:x>", "/<y>"], "/b", {"x": "b"}),
    (["/<loud:x>", "/<path:y>"], "/a", NotFound),
    (["/<odd:x>", "/<y>"], "/1", {"x": "1"}),
    (["/<either:x>"], "/a/b", {"x": "a/b"}),
    (["/a", "/<broken:x>"], "/a", {}),
    (["/a", "/<broken:x>"], "/b", re.error),
]


@pytest.mark.parametrize(("rules", "path", "expected"), LEFT)
def test_leaves_to_werkzeug(rules, path, expected):
    url_map = make_map(*rules)
    matcher = Matcher(url_map)
    for _ in range(2):
        assert matcher.match("", path, "GET") is None
    match = functools.partial(url_map.bind("").match, path, return_rule=True)
    if isinstance(expected, dict):
        assert match()[1] == expected
    else:
        with pytest.raises(expected):
            match()


def test_a_converter_that_was_changed_is_left_to_werkzeug():
    url_map = make_map("/<int:x>", "/<y>/a")
    first, second = url_map.iter_rules()
    first._converters["x"].to_python = lambda value: "mine"
    second._converters["y"] = object()
    matcher = Matcher(url_map)
    assert matcher.match("", "/1", "GET") is None
    assert matcher.match("", "/1/a", "GET") is None


def test_the_arguments_are_fresh_each_time():
    url_map = make_map({"string": "/a", "defaults": {"n": 1}}, "/b", "/c/<x>")
    matcher = Matcher(url_map)
    for path in ("/a", "/b", "/c/d"):
        one, other = (matcher.match("", path, "GET")[1] for _ in range(2))
        assert one == other
        assert one is not other


# Methods and domains


@pytest.mark.parametrize(
    ("path", "method", "number"),
    [
        ("/a", "GET", 0),
        ("/a", "HEAD", 0),
        ("/a", "POST", 1),
        ("/a", "PURGE", 2),
        ("/a", "DELETE", 3),
        ("/a", "UNHEARD", None),
        ("/a", "get", None),
        ("/a", "", None),
        ("/b", "PATCH", 3),
        ("/b", "purge", None),
    ],
)
def test_methods(path, method, number):
    url_map = make_map(
        {"string": "/a", "methods": ["GET"]},
        {"string": "/a", "methods": ["GET", "POST"]},
        {"string": "/a", "methods": ["PURGE"]},
        "/<x>",
    )
    quick, slow = compare(Matcher(url_map), url_map, path, method)
    if number is None:
        assert quick is None
    else:
        assert quick == slow
        assert quick[0].endpoint == number


@pytest.mark.parametrize("named", ["subdomain", "host"])
def test_domains(named):
    url_map = make_map(
        {"string": "/a", named: "one"},
        {"string": "/a", named: "two"},
        {"string": "/<x>", named: "two.<tld>"},
        {"string": "/", named: "a/b"},
        host_matching=named == "host",
    )
    matcher = Matcher(url_map)
    for domain, number in {"one": 0, "two": 1, "two.tld": None, "a": None}.items():
        for _ in range(2):
            quick, slow = compare(matcher, url_map, "/a", "GET", domain)
            assert (quick and quick[0].endpoint) == number
            assert (slow is None) == (domain == "a")


def test_domains_that_a_client_invents_are_not_kept():
    matcher = Matcher(make_map("/a"))
    for number in range(100):
        assert matcher.match(f"d{number}", "/a", "GET") is None
    assert not matcher._trees


# Maps that change, and maps that are unknown


@pytest.mark.parametrize("update", [False, True])
def test_rules_may_be_added_late(update):
    url_map = make_map("/<x>")
    matchers = [Matcher(url_map), Matcher(url_map)]
    for number in range(3):
        path = f"/a{number}"
        for matcher in matchers * 2:
            assert matcher.match("", path, "GET")[1] == {"x": path[1:]}
        url_map.add(Rule(path, endpoint=number))
        if update:
            url_map.update()  # as building a URL does
        for matcher in matchers * 2:
            assert matcher.match("", path, "GET")[0].endpoint == number


def test_the_tree_is_copied_once(monkeypatch):
    url_map = make_map("/a", "/<x>")
    matcher = Matcher(url_map)
    matcher.match("", "/a", "GET")
    monkeypatch.setattr(_matcher, "_Copier", None)
    for path in ("/a", "/b", "/c/d"):
        compare(matcher, url_map, path)


class Fetched(Map):
    """Look for new rules whenever it is asked."""

    def update(self):
        super().update()


@pytest.fixture(params=["map", "matcher", "state", "part", "flag", "module"])
def unknown_map(request, monkeypatch):
    """Return a map that is not inside what Werkzeug's maps were."""
    url_map = make_map("/a")
    match request.param:
        case "map":
            url_map = Fetched([Rule("/a")])
        case "matcher":
            url_map._matcher.cache = {}
        case "state":
            fields = ("rules", "edges")
            monkeypatch.setattr(type(url_map._matcher._root), "__match_args__", fields)
        case "part":
            monkeypatch.delattr(RulePart, "__match_args__")
        case "flag":
            del url_map._remap
        case "module":
            monkeypatch.delattr(routing_rules, "RulePart")
    return url_map


def test_an_unknown_map_is_left_to_werkzeug(unknown_map):
    matcher = Matcher(unknown_map)
    assert matcher.match("", "/a", "GET") is None
    assert matcher.match("", "/b", "GET") is None


# The cost


class Light(Rule):
    """Match only, for maps of many rules."""

    def _compile_builder(self, append_unknown=True):
        return lambda _: None


def count_steps(function, *args):
    """Count the bytecodes that a call runs, calls from it included."""
    steps = 0

    def trace(frame, event, _):
        nonlocal steps
        frame.f_trace_opcodes = True
        steps += event == "opcode"
        return trace

    before = sys.gettrace()
    for _ in range(2):  # Python 3.12 tells no bytecodes before the second time
        steps = 0
        sys.settrace(trace)
        try:
            function(*args)
        finally:
            sys.settrace(before)
    return steps


@pytest.fixture(scope="module")
def small_and_large():
    """Return a matcher of ten rules, and one of three thousand."""
    matchers = []
    for size in (2, 750):
        strings = ["/s", "/s/<path:name>"]
        for n in range(size):
            strings += f"/a{n}", f"/b{n}/<int:x>", f"/b{n}/<x>/d", f"/<x>/c{n}/<y>"
        matchers.append(Matcher(Map([Light(s, endpoint=s) for s in strings])))
    return matchers


@pytest.mark.parametrize(
    ("path", "most"),
    [
        ("/a1", 60),
        ("/b1/5", 160),
        ("/b1/x/d", 300),
        ("/x/c1/5", 300),
        ("/s/css/a.css", 250),
        ("/missing", 200),
        ("/b1/x/missing", 400),
    ],
)
def test_the_cost_does_not_grow_with_the_number_of_rules(small_and_large, path, most):
    counts = []
    for matcher in small_and_large:
        matcher.match("", path, "GET")  # copies the tree
        counts.append(count_steps(matcher.match, "", path, "GET"))
    assert 20 < counts[0] == counts[1] < most


# Random rules and paths


#: Kinds of variables, and values that they accept; the plain ones first.
KINDS = {
    "": ["a", "1", "ab", "é", "a b", "a\nb", "%2F", "|", "\n", "."],
    "int": ["1", "12", "007", "1٣"],
    "path": ["a", "a/b", "1/2/a", "a.b", "ab/", "1/"],
    "float": ["1.5", "01.50", "٣.5"],
    "uuid": [ID],
    "string": ["b", "12"],
    "string(minlength=2)": ["ab", "12", "abc"],
    "string(maxlength=2)": ["a", "12"],
    "string(length=2)": ["ab", "12"],
    "any(a, b, 'a.b', '1')": ["a", "b", "a.b", "1"],
    "int(min=2)": ["2", "12"],
    "int(max=11)": ["1", "2", "11"],
    "int(min=3, max=2)": ["1"],
    "int(fixed_digits=2)": ["12", "01"],
    "int(signed=True)": ["-1", "1"],
    "float(min=1.5)": ["1.5", "12.0"],
    "float(max=1.5, signed=True)": ["-1.5", "1.0"],
    "hex": ["ab", "12", "1"],
    "string(minlength=0)": ["", "a"],
    "any('', a)": ["", "a"],
    "either": ["a/b", "1", "b/a"],
    "loud": ["1", "b"],
    "odd": ["1", "12"],
}
PLAIN = [*KINDS].index("hex") + 1
STATIC = ["a", "b", "ab", "1", "12", "é", "a b", "%41", "a.b", "-", "|", "a\\d", "\n"]
ODD_VALUES = [
    *("", "/", "-1", "-1.5", "²", "..", "a//b", "1\n", "00", "1e3", "+1", "1_0", "A"),
    *("9" * 5000, "12345678-1234-5678-1234-56781234567g", "a/b/1", "2.25"),
]
COMMON = ["GET", "POST", "HEAD", "OPTIONS"]
METHODS = [*["GET"] * 8, *COMMON, "PURGE", "get", "X", ""]
OPTIONS = {
    "endpoint": ["x", "y", "z", "w"],
    "methods": [None] * 4 + [["GET"], ["GET"], ["POST"], ["GET", "POST"], ["PURGE"]],
    "strict_slashes": [None, None, None, True, False],
    "merge_slashes": [None, None, None, False],
    "defaults": [None] * 9 + [{"n": 1}, {"v0": "a"}, {"v0": 1}],
    "alias": [False] * 14 + [True],
    "redirect_to": [None] * 14 + ["b"],
    "websocket": [False] * 14 + [True],
    "subdomain": [None] * 9 + ["", "api", "<sub>", "a//b"],
}
PLAIN_OPTIONS = OPTIONS | {
    "defaults": [None],
    "alias": [False],
    "redirect_to": [None],
    "subdomain": [None, None, "", "api"],
}
MAP_OPTIONS = {
    "strict_slashes": [True, True, False],
    "merge_slashes": [True, True, False],
    "redirect_defaults": [True, True, False],
    "default_subdomain": ["", "", "api"],
    "host_matching": [False] * 9 + [True],
}


def pick(random, options):
    """Pick one value for each option."""
    return {name: random.choice(values) for name, values in options.items()}


def make_segment(random, kinds):
    """Make what stands between two slashes of a rule: strings and (kind,) tuples."""
    static = random.choice(STATIC)
    one, other = (random.choice(kinds),), (random.choice(kinds),)
    shapes = [
        [static],
        [one],
        [one],
        [static, one],
        [one, static],
        [one, static, other],
    ]
    return random.choices(shapes, weights=[4, 4, 4, 1, 1, 1])[0]


def make_rule(random, pool):
    """Make the pieces of a rule out of a few segments, so that rules collide."""
    pieces = []
    for _ in range(random.choice([0, 1, 1, 2, 2, 2, 3, 3, 4])):
        pieces += ["/", *random.choice(pool)]
    slash = "/" if not pieces or random.random() < 0.25 else ""
    pieces.append(slash * random.choice([1, 1, 1, 1, 1, 2]))
    if random.random() < 0.05:
        pieces.insert(0, "/")
    return pieces


def write_rule(pieces):
    """Write the rule of some pieces."""
    numbers = itertools.count()
    kinds = (f"{p[0]}:" if p[0] else "" for p in pieces if isinstance(p, tuple))
    return "".join(
        p if isinstance(p, str) else f"<{next(kinds)}v{next(numbers)}>" for p in pieces
    )


def make_path(random, pieces):
    """Make a path that is near to a rule."""
    path = ""
    for piece in pieces:
        if isinstance(piece, str):
            path += piece
        elif random.random() < 0.85:
            path += random.choice(KINDS[piece[0]])
        else:
            path += random.choice(ODD_VALUES)
    changes = [
        path + "/",
        path.removesuffix("/"),
        path.replace("/", "//", 1),
        path[1:],
        path.rpartition("/")[0],
        f"{path}/{random.choice(STATIC)}",
        f"{path.rpartition('/')[0]}/{random.choice(STATIC)}",
    ]
    return random.choice([path] * 12 + changes)


def add_rules(random, url_map, pool, number, options):
    """Add random rules to a map, and return their pieces."""
    added = []
    for _ in range(number):
        pieces = make_rule(random, pool)
        given = pick(random, options)
        if given["websocket"]:
            given["methods"] = None
        try:
            url_map.add(Rule(write_rule(pieces), host=given["subdomain"], **given))
        except ValueError:  # a default that its converter refuses
            continue
        added.append(pieces)
    return added


def fuzz(random):
    """Compare both answers on a random map, a part of whose rules comes late.

    On a map of plain rules, each plain URL has to be answered without Werkzeug.

    Returns:
        How many paths were asked, how many of them had a rule, and how many
        were answered without Werkzeug.
    """
    plain = random.random() < 0.3
    url_map = make_map(**pick(random, MAP_OPTIONS))
    matcher = Matcher(url_map)
    kinds = random.sample([*KINDS][: PLAIN if plain else None], random.randint(1, 4))
    pool = [make_segment(random, kinds) for _ in range(random.randint(2, 5))]
    counts = collections.Counter()
    known = []
    for number in random.choice([[3], [6], [9], [3, 1], [1, 3], [1, 1, 1]]):
        options = PLAIN_OPTIONS if plain else OPTIONS
        known += add_rules(random, url_map, pool, number, options)
        if random.random() < 0.5:
            url_map.update()
        for _ in range(8 if known else 0):
            path = make_path(random, random.choice(known))
            domain = random.choice([url_map.default_subdomain] * 9 + [*"az", "api", ""])
            method = random.choice(METHODS)
            quick, slow = compare(matcher, url_map, path, method, domain)
            if plain and path[:1] == "/" and "//" not in path and method in COMMON:
                slashed = any(p.suffixed for r in url_map._rules for p in r._parts)
                assert slashed or (quick is None) == (slow is None), (url_map, path)
            counts.update(asked=1, matched=slow is not None, quick=quick is not None)
    return counts


def fuzz_many(examples):
    """Compare both answers on many random maps, and return the counts."""
    counts = collections.Counter()

    @settings(max_examples=examples, database=None, deadline=None, derandomize=True)
    @given(st.randoms(use_true_random=True))
    def fuzz_one(random):
        counts.update(fuzz(random))

    fuzz_one()
    return counts


def test_no_answer_differs_from_werkzeugs():
    counts = fuzz_many(150)
    assert counts["quick"] > counts["matched"] / 3 > counts["asked"] / 20


@pytest.mark.fuzz
def test_no_answer_differs_from_werkzeugs_in_a_long_run():
    fuzz_many(20_000)


def test_a_rule_that_is_added_meanwhile_leaves_it_to_werkzeug(monkeypatch):
    def interrupted(self, state, path):
        raise RuntimeError("dictionary changed size during iteration")

    matcher = Matcher(Map([Rule("/a", endpoint="a")]))
    with monkeypatch.context() as patch:
        patch.setattr(_matcher._Copier, "copy", interrupted)
        assert matcher.match("", "/a", "GET") is None

    rule, args = matcher.match("", "/a", "GET")
    assert (rule.endpoint, args) == ("a", {})
