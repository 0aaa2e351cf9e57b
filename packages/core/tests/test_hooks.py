from __future__ import annotations

from collections import defaultdict
from types import SimpleNamespace

import pytest

from erlen._hooks import CallbackList
from erlen._hooks import Callbacks
from erlen._hooks import CallbackTable
from erlen._hooks import Plan
from erlen._hooks import Plans
from erlen._hooks import ViewTable

NOTHING = Callbacks((), (), None, (), ())


def one():
    """Do nothing, as the other two."""


def two():
    """Do nothing."""


def three():
    """Do nothing."""


@pytest.fixture
def plans():
    return Plans()


def keep_plan(plans):
    plans["endpoint"] = plan = Plan("endpoint", NOTHING, str, quiet=True)
    return plan


# Plans


@pytest.mark.parametrize("quiet", [False, True])
def test_a_plan_has_what_it_was_made_of(quiet):
    plan = Plan("endpoint", Callbacks((1,), (2,), 3, (4,), (5,)), lambda f: f, quiet)

    assert plan.endpoint == "endpoint"
    assert plan.preprocessors == (1,)
    assert plan.before == (2,)
    assert plan.view == 3
    assert plan.after == (4,)
    assert plan.teardown == (5,)
    assert plan.quiet is quiet
    assert plan.fresh


def test_dropped_plans_are_stale_for_those_who_hold_them(plans):
    held = [keep_plan(plans), keep_plan(plans)]
    plans[None] = held[0]

    plans.clear()

    assert not plans
    assert [plan.fresh for plan in held] == [False, False]


# Lists

LIST_EDITS = {
    "append": lambda hooks: hooks.append(three),
    "extend": lambda hooks: hooks.extend([three, one]),
    "insert": lambda hooks: hooks.insert(0, three),
    "remove": lambda hooks: hooks.remove(one),
    "pop": lambda hooks: hooks.pop(),
    "pop at": lambda hooks: hooks.pop(0),
    "clear": lambda hooks: hooks.clear(),
    "sort": lambda hooks: hooks.sort(key=lambda hook: hook.__name__, reverse=True),
    "reverse": lambda hooks: hooks.reverse(),
    "item": lambda hooks: hooks.__setitem__(0, three),
    "slice": lambda hooks: hooks.__setitem__(slice(None), [three]),
    "del": lambda hooks: hooks.__delitem__(0),
    "del slice": lambda hooks: hooks.__delitem__(slice(None)),
    "+=": lambda hooks: hooks.__iadd__([three]),
    "*=": lambda hooks: hooks.__imul__(2),
}


@pytest.mark.parametrize("edit", LIST_EDITS.values(), ids=LIST_EDITS)
def test_each_edit_of_a_list_drops_the_plans(plans, edit):
    expected = [one, two]
    hooks = CallbackList(plans, expected)
    plan = keep_plan(plans)

    given = edit(expected)

    assert (edit(hooks) is hooks) is (given is expected)
    assert hooks == expected
    assert not plans
    assert not plan.fresh


def test_no_method_that_changes_a_list_was_forgotten():
    reading = {"copy", "count", "index", "__reversed__"}
    public = {name for name in vars(list) if not name.startswith("__")}
    changing = {"__setitem__", "__delitem__", "__iadd__", "__imul__"}

    assert (public - reading) | changing <= vars(CallbackList).keys()


@pytest.mark.parametrize(
    "read",
    [list, len, bool, repr, reversed, lambda hooks: hooks[0], lambda hooks: hooks[:]],
)
def test_reading_a_list_keeps_the_plans(plans, read):
    hooks = CallbackList(plans, [one])
    plan = keep_plan(plans)

    read(hooks)

    assert plans == {"endpoint": plan}


# Tables of lists

TABLE_EDITS = {
    "item": lambda table: table.__setitem__(None, [three]),
    "new item": lambda table: table.__setitem__("new", [three]),
    "del": lambda table: table.__delitem__("shop"),
    "pop": lambda table: table.pop("shop"),
    "pop absent": lambda table: table.pop("absent", None),
    "popitem": lambda table: table.popitem(),
    "clear": lambda table: table.clear(),
    "update": lambda table: table.update({None: [three]}),
    "update by name": lambda table: table.update(shop=[three], new=[two]),
    "update by pairs": lambda table: table.update([(None, [three])]),
    "setdefault": lambda table: table.setdefault("new", [three]),
    "|=": lambda table: table.__ior__({None: [three]}),
    "list of a scope": lambda table: table[None].append(three),
    "list of a new scope": lambda table: table["new"].append(three),
    "list of setdefault": lambda table: table.setdefault("new", []).append(three),
    "list by get": lambda table: table.get("shop").append(three),
    "list among the values": lambda table: next(iter(table.values())).append(three),
}


@pytest.fixture
def table(plans):
    table = CallbackTable(plans)
    table.update({None: [one], "shop": [two]})
    return table


@pytest.mark.parametrize("edit", TABLE_EDITS.values(), ids=TABLE_EDITS)
def test_each_edit_of_a_table_drops_the_plans(plans, table, edit):
    expected = defaultdict(list, {None: [one], "shop": [two]})
    plan = keep_plan(plans)

    given = edit(expected)
    found = edit(table)

    assert table == expected
    assert found is table if given is expected else found == given
    assert not plans
    assert not plan.fresh


@pytest.mark.parametrize("edit", TABLE_EDITS.values(), ids=TABLE_EDITS)
def test_lists_are_watched_however_they_came_in(plans, table, edit):
    edit(table)

    for scope in [*table, "made by reading"]:
        plan = keep_plan(plans)
        table[scope].append(one)
        assert not plan.fresh


def test_setdefault_gives_the_list_that_is_there(table):
    assert table.setdefault(None) is table[None]
    assert table.setdefault("shop", [three]) == [two]
    assert table.setdefault("new") == []


def test_an_assigned_list_is_copied(plans, table):
    mine = [one]
    table[None] = mine
    plan = keep_plan(plans)

    mine.append(two)

    assert table[None] == [one]
    assert plan.fresh


@pytest.mark.parametrize(
    "read",
    [
        lambda table: table[None],
        lambda table: table["absent"],
        lambda table: table.get("absent"),
        lambda table: table.setdefault(None, [three]),
        lambda table: "absent" in table,
        lambda table: list(table.items()),
        lambda table: table.collect([None, "absent"]),
    ],
)
def test_reading_a_table_keeps_the_plans(plans, table, read):
    plan = keep_plan(plans)

    read(table)

    assert plans == {"endpoint": plan}


def test_collecting_flattens_the_scopes_in_their_order(plans):
    table = CallbackTable(plans)
    table.update({None: [one, two], "shop": [three]})

    assert table.collect([None, "shop"]) == (one, two, three)
    assert table.collect(["shop", "absent", None]) == (three, one, two)
    assert table.collect_reversed([None, "shop"]) == (two, one, three)
    assert table.collect_reversed(["shop", "absent", None]) == (three, two, one)
    assert table.keys() == {None, "shop"}


# The table of views

VIEW_EDITS = {
    "item": lambda views: views.__setitem__("a", three),
    "new item": lambda views: views.__setitem__("new", three),
    "del": lambda views: views.__delitem__("a"),
    "|=": lambda views: views.__ior__({"a": three}),
    "setdefault": lambda views: views.setdefault("new", three),
    "update": lambda views: views.update(a=three, new=three),
    "pop": lambda views: views.pop("a"),
    "popitem": lambda views: views.popitem(),
    "clear": lambda views: views.clear(),
}


@pytest.mark.parametrize("edit", VIEW_EDITS.values(), ids=VIEW_EDITS)
def test_each_edit_of_the_views_drops_the_plans(plans, edit):
    expected = {"a": one, "b": two}
    views = ViewTable(plans)
    views.update(expected)
    plan = keep_plan(plans)

    given = edit(expected)
    found = edit(views)

    assert views == expected
    assert found is views if given is expected else found == given
    assert not plans
    assert not plan.fresh


@pytest.mark.parametrize("cls", [CallbackTable, ViewTable])
def test_no_method_that_changes_a_table_was_forgotten(cls):
    reading = {"copy", "fromkeys", "get", "items", "keys", "values"}
    public = {name for name in vars(dict) if not name.startswith("__")}
    changing = {"__setitem__", "__delitem__", "__ior__"}

    assert (public - reading) | changing <= vars(cls).keys()


@pytest.mark.parametrize(
    "read", [dict, len, repr, lambda views: views["a"], lambda views: views.get("x")]
)
def test_reading_the_views_keeps_the_plans(plans, read):
    views = ViewTable(plans)
    views["a"] = one
    plan = keep_plan(plans)

    read(views)

    assert plans == {"endpoint": plan}


# What an application declares


def test_what_is_declared_for_an_endpoint(plans):
    def table(**lists):
        made = CallbackTable(plans)
        made.update({None: lists.pop("app"), **lists})
        return made

    app = SimpleNamespace(
        url_value_preprocessors=table(app=[1], shop=[2]),
        before_request_funcs=table(app=[3, 4], shop=[5], **{"shop.admin": [6]}),
        after_request_funcs=table(app=[7, 8], shop=[9, 10], **{"shop.admin": [11, 12]}),
        teardown_request_funcs=table(app=[13], shop=[14, 15]),
        view_functions={"shop.admin.index": 16, "index": 17},
    )

    assert Callbacks.collect(app, "shop.admin.index", ["shop.admin", "shop"]) == (
        *((1, 2), (3, 4, 5, 6), 16),
        *((12, 11, 10, 9, 8, 7), (15, 14, 13)),
    )
    assert Callbacks.collect(app, "index", []) == ((1,), (3, 4), 17, (8, 7), (13,))
    assert Callbacks.collect(app, "gone", []).view is None
    assert Callbacks.collect(app, None, []) == ((1,), (3, 4), None, (8, 7), (13,))


def test_a_plan_has_what_is_declared_and_what_can_be_called():
    declared = Callbacks((1,), (2,), 3, (4,), (5,))
    plan = Plan("endpoint", declared, lambda function: -function, quiet=True)

    assert plan.declared is declared
    assert (plan.before, plan.view, plan.after, plan.teardown) == (
        (-2,),
        -3,
        (-4,),
        (-5,),
    )
    assert plan.preprocessors == (1,)
    assert plan.native is None
