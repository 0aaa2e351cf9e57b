"""Layer 2: quick answers about URLs, from the rules that Werkzeug compiled.

Werkzeug's map is the only truth about routes. Its tree of states is copied into
one that is quicker to search, and is searched in the same order. Whatever is
not plain (a redirect, an error, a converter that does things) is left to it.
"""

# pyright: reportPrivateUsage=false
# What Werkzeug keeps private is what is copied; `_is_known` looks at it first.

from __future__ import annotations

import functools
import re
import typing as t

from werkzeug.routing import BaseConverter
from werkzeug.routing import FloatConverter
from werkzeug.routing import IntegerConverter
from werkzeug.routing import Map
from werkzeug.routing import UUIDConverter
from werkzeug.routing import rules as _rules

if t.TYPE_CHECKING:
    from werkzeug.routing import Rule
    from werkzeug.routing.matcher import State

Match = tuple["Rule", dict[str, t.Any]]

#: Makes the answer of a rule from the strings in the URL. An empty answer means
#: that the search ends here and Werkzeug is asked.
Answer = t.Callable[[tuple[str, ...]], "Match | tuple[()]"]

#: The answers at the end of a URL, by method.
Ends = dict[str, Answer]

#: Makes an argument from a string in the URL.
Conversion = t.Callable[[str], t.Any]

#: A step with a variable: the test of a segment, whether it takes all that is
#: left of the URL, and where it leads.
Way = tuple[t.Callable[[str], t.Any], bool, "_Node"]

#: The methods that a rule without methods is answered for.
_METHODS: t.Final = frozenset(
    ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE")
)

#: Converters of Werkzeug's own that do more than to hand on the string.
_PURE: t.Final = (IntegerConverter, FloatConverter, UUIDConverter)

#: What stands in for the patterns of plain `<x>`, `<int:x>` and `<path:x>`, by pattern
#: and whether it takes all that is left. Any other pattern is used as it is.
#: PERF: 0.04 us instead of 0.2 us; a path of 70 characters 0.14 us instead of 0.7 us.
_TESTS: dict[tuple[str, bool], t.Callable[[str], t.Any]] = {
    (r"(?P<__werkzeug_0>[^/]{1,})\Z", False): bool,
    (r"(?P<__werkzeug_0>\d+)\Z", False): str.isdecimal,
    (r"(?P<__werkzeug_0>[^/].*?)\Z", True): re.compile(r"([^/].*)\Z").match,
}


class Matcher:
    """Finds the rule of a URL wherever nothing but the rule is needed.

    It follows a map that changes. It is not told when a rule that is in the map
    is changed in place.
    """

    def __init__(self, url_map: Map) -> None:
        """Make a matcher in front of a map.

        Args:
            url_map: The rules. Where it does not look inside as Werkzeug's maps
                did when this was written, every URL is left to it.
        """
        self._map = url_map
        self._trees: dict[str, _Tree] = {}
        self._seen: object = None
        if not _is_known(url_map):
            self.match = _ask_werkzeug  # type: ignore[method-assign]

    def match(self, domain: str, path: str, method: str) -> Match | None:
        """Find the rule for a request that is no WebSocket's.

        Args:
            domain: What the adapter matches by: the subdomain, or the host
                under host matching.
            path: The decoded path, as `MapAdapter.match` gets it.
            method: The method, in capital letters.

        Returns:
            The rule and its arguments, exactly as `MapAdapter.match` gives them;
            None where that has to be asked.
        """
        if self._map._remap is not self._seen:
            self._forget()
        tree = self._trees.get(domain)
        if tree is None:
            tree = self._grow(domain)
        # PERF: no search for a URL without variables, 0.2 us instead of 0.6 us.
        ends = tree.paths.get(path)
        if ends is not None and method in ends:
            return ends[method](()) or None
        # PERF: a search from the root follows the static steps first, and turns back
        # at the last of them first. So begin there: 0.6 us instead of 0.9 us.
        head, _, tail = path.rpartition("/")
        node = tree.nodes.get(head)
        try:
            found = None if node is None else _search(node, tail, method, ())
            if found is None and path[:1] == "/" and "//" not in path:
                found = _search(tree.root, path[1:], method, ())
        except ValueError:  # a converter refused, which ends Werkzeug's search, too
            return None
        return found or None

    def _forget(self) -> None:
        """Start again with the rules as they are now."""
        self._map.update()
        self._trees = {}
        # PERF: `Map.add` sets this flag to True, `Map.update` sets it to False. A
        # false value of our own stays until then, so that one comparison tells
        # whether a rule was added: 0.03 us.
        self._seen = self._map._remap = t.cast("bool", [])

    def _grow(self, domain: str) -> _Tree:
        """Copy the tree of a domain, unless it is one that the client invented."""
        state = self._map._matcher._root.static.get(domain)
        if state is None or "" not in state.static:
            return _NO_TREE
        trees = self._trees  # of these rules: a change puts others there
        tree = _Tree()
        try:
            _Copier(self._map, tree).copy(state.static[""], "")
        except (re.error, OverflowError):  # a bad pattern: Werkzeug shall say so
            tree = _NO_TREE
        except RuntimeError:  # another thread adds a rule: not now
            return _NO_TREE
        trees[domain] = tree
        return tree


class _Node:
    """A place in the tree: what ends here, and the ways on."""

    __slots__ = ("ends", "static", "ways")

    def __init__(self, ends: Ends) -> None:
        self.ends = ends
        self.static: dict[str, _Node] = {}
        self.ways: list[Way] = []


class _Tree:
    """The rules of a domain.

    `paths` has the ends of URLs without variables; `nodes` has the places that
    are reached without variables and have ways with one.
    """

    __slots__ = ("nodes", "paths", "root")

    def __init__(self) -> None:
        self.paths: dict[str, Ends] = {}
        self.nodes: dict[str, _Node] = {}
        self.root = _Node({})


_NO_TREE: t.Final = _Tree()


def _search(node: _Node, rest: str, method: str, values: tuple[str, ...]) -> t.Any:
    """Try the static step before those with a variable, as Werkzeug does.

    The URL has no empty segment but a last one, which is a static step.

    Returns:
        What the first answer gives, or None where there is none.
    """
    part, slash, after = rest.partition("/")
    child = node.static.get(part)
    if child is not None:
        if slash:
            found = _search(child, after, method, values)
            if found is not None:
                return found
        elif (answer := child.ends.get(method)) is not None:
            return answer(values)
    for test, takes_rest, child in node.ways:
        target = rest if takes_rest else part
        matched = test(target)
        if not matched:
            continue
        more = values + ((target,) if matched is True else matched.groups())
        if slash and not takes_rest:
            found = _search(child, after, method, more)
            if found is not None:
                return found
        elif (answer := child.ends.get(method)) is not None:
            return answer(more)
    return None


class _Copier:
    """Copies the states of a domain into a tree."""

    def __init__(self, url_map: Map, tree: _Tree) -> None:
        self._tree = tree
        self._compile = functools.cache(re.compile)
        self._redirected = _redirected(url_map)
        named = {name for rule in url_map._rules for name in rule.methods or ()}
        self._methods = _METHODS.union(filter(str.isupper, named))

    def copy(self, state: State, path: str | None) -> _Node:
        """Copy a state and all below it; the path is None below a variable."""
        node = _Node(self._ends(state))
        for part, below in state.static.items():
            if part:  # an empty one is a last one, see below
                there = None if path is None else f"{path}/{part}"
                node.static[part] = self.copy(below, there)
        for step, below in state.dynamic:
            test = _TESTS.get((step.content, step.final))
            test = test or self._compile(step.content).match
            node.ways.append((test, step.final, self.copy(below, None)))
        slash = _Node(self._slash_ends(state, node.ways))
        if slash.ends:
            node.static[""] = slash
        if path is not None:
            self._list(node, path)
        return node

    def _list(self, node: _Node, path: str) -> None:
        """Note a place that is reached without variables."""
        for there, place in ((path, node), (f"{path}/", node.static.get(""))):
            if place is not None and place.ends:
                self._tree.paths[there] = place.ends
        if not path:
            self._tree.root = node
        elif node.ways:
            self._tree.nodes[path] = node

    def _ends(self, state: State) -> Ends:
        """Collect the answers where a URL ends, with those a slash away."""
        ends: Ends = {}
        for rule in state.rules:
            self._offer(ends, rule, self._answer(rule))
        if "" in state.static:
            for rule in state.static[""].rules:
                redirects = rule.strict_slashes
                self._offer(ends, rule, _ask if redirects else self._answer(rule))
        return ends

    def _slash_ends(self, state: State, ways: list[Way]) -> Ends:
        """Collect the answers where a URL ends with one slash more."""
        ends = self._ends(state.static[""]) if "" in state.static else {}
        # A variable that may be empty would be tried before these rules.
        unsure = any(test("") for test, _, _ in ways)
        for rule in state.rules:
            if not rule.strict_slashes:
                self._offer(ends, rule, _ask if unsure else self._answer(rule))
        return ends

    def _offer(self, ends: Ends, rule: Rule, answer: Answer) -> None:
        """Add an answer for the rule's methods, unless an earlier rule has them."""
        if not rule.websocket:
            methods = self._methods
            if rule.methods is not None:
                methods = methods.intersection(rule.methods)
            for method in methods:
                ends.setdefault(method, answer)

    def _answer(self, rule: Rule) -> Answer:
        """Prepare the answer of a rule."""
        steps = [part.content for part in rule._parts if not part.static]
        items = [(name, _conversion(of)) for name, of in rule._converters.items()]
        if (
            rule.alias
            or rule.redirect_to is not None
            or id(rule) in self._redirected
            or any(convert is _refuse for _, convert in items)
            # A pattern of the user's own may have groups that are no variables.
            or sum(self._compile(step).groups for step in steps) != len(items)
        ):
            return _ask
        return _prepare(rule, items)


def _prepare(rule: Rule, items: list[tuple[str, Conversion]]) -> Answer:
    """Make the function that answers with a rule.

    PERF: one function for each kind of rule, 0.2 us less than one for all.
    """
    defaults = rule.defaults or {}
    if not items and not defaults:
        return lambda _: (rule, {})
    if len(items) == 1 and not defaults:
        [(name, convert)] = items
        return lambda values: (rule, {name: convert(values[0])})
    places = [(name, convert, place) for place, (name, convert) in enumerate(items)]

    def answer(values: tuple[str, ...]) -> Match:
        args: dict[str, t.Any] = {}
        for name, convert, place in places:
            args[name] = convert(values[place])
        args.update(defaults)
        return rule, args

    return answer


def _ask(values: tuple[str, ...]) -> tuple[()]:
    """End the search: Werkzeug has to be asked."""
    return ()


def _ask_werkzeug(domain: str, path: str, method: str) -> None:
    """Stand in for the matcher of a map that it does not know."""


def _refuse(value: str) -> None:
    """Stand for a conversion that is left to Werkzeug."""


def _conversion(converter: BaseConverter) -> Conversion:
    """Find what converts a value, if calling it can be repeated and changes nothing."""
    own = getattr(getattr(converter, "to_python", None), "__func__", None)
    if own is BaseConverter.to_python:
        return str
    if type(converter) not in _PURE or own is not type(converter).to_python:
        return _refuse
    if isinstance(converter, (IntegerConverter, FloatConverter)):
        limits = (converter.fixed_digits, converter.min, converter.max)
        if limits == (0, None, None):
            return converter.num_convert
    return converter.to_python


def _redirected(url_map: Map) -> set[int]:
    """Find the rules that may redirect to another one, which has their defaults."""
    found: set[int] = set()
    for rules in url_map._rules_by_endpoint.values():
        for giver in [rule for rule in rules if rule.defaults]:
            found.update(id(r) for r in rules if giver.provides_defaults_for(r))
    return found


def _is_known(url_map: Map) -> bool:
    """Tell whether a map and its rules are inside what is copied here."""
    try:
        matcher = url_map._matcher
        state = type(matcher._root)
        return (
            type(url_map).update is Map.update
            and hasattr(url_map, "_remap")
            and hasattr(url_map, "_rules_by_endpoint")
            and vars(matcher).keys() == {"_root", "merge_slashes"}
            and state.__match_args__ == ("dynamic", "rules", "static")
            and _rules.RulePart.__match_args__
            == ("content", "final", "static", "suffixed", "weight")
        )
    except AttributeError:
        return False
