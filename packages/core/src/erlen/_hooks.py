"""Layer 2: callbacks by blueprint, and the plans that freeze them.

A plan is what one endpoint runs, flattened and ready. The tables drop all
plans when anything changes them, in whatever way, so no request has to check.
"""

from __future__ import annotations

import functools
import typing as t

if t.TYPE_CHECKING:
    import collections.abc as cabc

Callback = t.Callable[..., t.Any]
Scope = str | None


class Callbacks(t.NamedTuple):
    """What a request of one endpoint runs as it was declared, each in its order."""

    preprocessors: tuple[Callback, ...]
    before: tuple[Callback, ...]
    view: Callback | None
    after: tuple[Callback, ...]
    teardown: tuple[Callback, ...]

    @classmethod
    def collect(
        cls, app: t.Any, endpoint: str | None, names: cabc.Sequence[str]
    ) -> Callbacks:
        """Flatten what an application declares for an endpoint.

        Args:
            app: The application.
            endpoint: The endpoint; None is of a request that no rule matched.
            names: Its blueprints, the innermost first.
        """
        inwards: tuple[Scope, ...] = (None, *reversed(names))
        outwards: tuple[Scope, ...] = (*names, None)
        return cls(
            app.url_value_preprocessors.collect(inwards),
            app.before_request_funcs.collect(inwards),
            None if endpoint is None else app.view_functions.get(endpoint),
            app.after_request_funcs.collect_reversed(outwards),
            app.teardown_request_funcs.collect_reversed(outwards),
        )


class Plan:
    """What a request of one endpoint runs, ready to be called."""

    __slots__ = (
        *("after", "before", "declared", "endpoint", "fresh", "native"),
        *("preprocessors", "quiet", "teardown", "view"),
    )

    def __init__(
        self,
        endpoint: str | None,
        declared: Callbacks,
        ensure_sync: t.Callable[[Callback], Callback],
        quiet: bool,
    ) -> None:
        self.endpoint = endpoint
        self.declared = declared
        self.preprocessors = declared.preprocessors
        self.before = tuple(map(ensure_sync, declared.before))
        self.view = None if declared.view is None else ensure_sync(declared.view)
        self.after = tuple(map(ensure_sync, declared.after))
        self.teardown = tuple(map(ensure_sync, declared.teardown))
        #: Whether leaving the request's context calls nobody, signals aside.
        self.quiet = quiet
        #: False once a table has changed; a request that goes on looks anew.
        self.fresh = True
        #: The same for an event loop, made there at first use.
        self.native: t.Any = None


class Plans(dict[str | None, Plan]):
    """The plans built so far, by endpoint; None stands for "no rule matched"."""

    #: How often the plans were dropped.
    changes = 0

    def clear(self) -> None:
        """Drop all plans, also those that a running request holds."""
        self.changes += 1
        for plan in list(self.values()):
            plan.fresh = False
        super().clear()


def _dropping(name: str, base: type) -> Callback:
    method = getattr(base, name)

    @functools.wraps(method)
    def mutate(self: t.Any, *args: t.Any, **kwargs: t.Any) -> t.Any:
        result = method(self, *args, **kwargs)
        self._plans.clear()
        return result

    return mutate


class CallbackList(list[Callback]):
    """Callbacks in their order. Extensions edit these lists directly."""

    def __init__(self, plans: Plans, callbacks: cabc.Iterable[Callback] = ()) -> None:
        super().__init__(callbacks)
        self._plans = plans


for _name in (
    *("append", "extend", "insert", "remove", "pop", "clear", "sort", "reverse"),
    *("__setitem__", "__delitem__", "__iadd__", "__imul__"),
):
    setattr(CallbackList, _name, _dropping(_name, list))


class CallbackTable(dict[Scope, list[Callback]]):
    """Callbacks by scope: None for the application, else a blueprint's name.

    A missing scope is made when it is read, as in a `defaultdict(list)`.
    """

    def __init__(
        self, plans: Plans, given: cabc.Mapping[Scope, list[Callback]] | None = None
    ) -> None:
        super().__init__()
        self._plans = plans
        self.update(given or {})

    def __missing__(self, scope: Scope) -> list[Callback]:
        callbacks = CallbackList(self._plans)
        super().__setitem__(scope, callbacks)
        return callbacks

    def __setitem__(self, scope: Scope, callbacks: list[Callback]) -> None:
        super().__setitem__(scope, CallbackList(self._plans, callbacks))
        self._plans.clear()

    def setdefault(
        self, scope: Scope, default: cabc.Iterable[Callback] = ()
    ) -> list[Callback]:
        """Return the scope's list, made of `default` where there is none."""
        if scope not in self:
            self[scope] = list(default)
        return self[scope]

    def update(self, *args: t.Any, **kwargs: t.Any) -> None:
        """Replace the lists of the given scopes."""
        for scope, callbacks in dict(*args, **kwargs).items():
            self[scope] = callbacks

    def __ior__(self, other: t.Any) -> t.Self:  # type: ignore[override,misc]  # dict's is overloaded
        self.update(other)
        return self

    def collect(self, scopes: cabc.Iterable[Scope]) -> tuple[Callback, ...]:
        """Flatten the callbacks of several scopes, in their order."""
        return tuple(f for scope in scopes for f in self.get(scope, ()))

    def collect_reversed(self, scopes: cabc.Iterable[Scope]) -> tuple[Callback, ...]:
        """Flatten them so that the last of the first scope comes first."""
        return tuple(f for scope in scopes for f in reversed(self.get(scope, ())))


for _name in ("__delitem__", "pop", "popitem", "clear"):
    setattr(CallbackTable, _name, _dropping(_name, dict))


class ViewTable(dict[str, Callback]):
    """View functions by endpoint."""

    def __init__(
        self, plans: Plans, given: cabc.Mapping[str, Callback] | None = None
    ) -> None:
        super().__init__(given or {})
        self._plans = plans


for _name in (
    *("__setitem__", "__delitem__", "__ior__", "setdefault", "update"),
    *("pop", "popitem", "clear"),
):
    setattr(ViewTable, _name, _dropping(_name, dict))

#: The attributes of an application that plans are made of, and what holds them.
TABLES: t.Final[dict[str, t.Callable[[Plans, t.Any], t.Any]]] = {
    "view_functions": ViewTable,
    "teardown_appcontext_funcs": CallbackList,
    **dict.fromkeys(
        (
            *("before_request_funcs", "after_request_funcs"),
            *("teardown_request_funcs", "url_value_preprocessors"),
        ),
        CallbackTable,
    ),
}
