"""Layer 3: the asynchronous driver of a request's steps, in `_serving`'s order.

What is declared with `async def` is awaited; before what may block, the coroutine
of the request *travels*: it goes on in a worker thread until something is awaited.
"""

from __future__ import annotations

import inspect
import types
import typing as t

from . import _state
from ._sending import prepare
from ._workers import renew
from .ctx import RequestContext
from .signals import appcontext_popped
from .signals import appcontext_pushed
from .signals import appcontext_tearing_down
from .signals import request_finished
from .signals import request_started
from .signals import request_tearing_down

if t.TYPE_CHECKING:
    import collections.abc as cabc
    import contextvars

    from ._hooks import Plan
    from ._sending import Reply
    from ._workers import Workers
    from .wrappers import Response

INLINE, AWAITED, BLOCKING = range(3)

Call = tuple[int, t.Callable[..., t.Any]]


def kind_of(function: t.Callable[..., t.Any]) -> int:
    """Say how a function is called: at once, awaited, or in a worker."""
    if inspect.iscoroutinefunction(function):
        return AWAITED
    if (
        getattr(function, "_never_blocks", False)
        or inspect.isgeneratorfunction(function)
        or inspect.isasyncgenfunction(function)
    ):
        return INLINE  # a generator runs when it is read
    return BLOCKING


class Native:
    """What a request of one endpoint runs, each function with its kind."""

    def __init__(self, plan: Plan) -> None:
        def sort(functions: cabc.Iterable[t.Any]) -> tuple[Call, ...]:
            return tuple((kind_of(function), function) for function in functions)

        view = plan.declared.view
        view = getattr(view, "_awaited", view)  # of a class
        self.preprocessors = plan.preprocessors
        self.before = sort(plan.declared.before)
        self.view: t.Any = view
        self.kind = BLOCKING if view is None else kind_of(view)
        self.after = sort(plan.declared.after)
        reads_stream = getattr(view, "_reads_stream", False)
        #: Whether the body has to be there when the view begins.
        self.reads_ahead = self.kind != BLOCKING and not reads_stream
        #: Whether there is a view to be awaited, and nothing before it.
        self.plain = self.kind == AWAITED and not (plan.preprocessors or plan.before)


class _Move:
    """What the coroutine of a request yields to change its place."""

    def __await__(self) -> cabc.Generator[t.Any, t.Any, None]:
        yield self


_MOVE = _Move()


class Trip:
    """Where the coroutine of a request is: on the loop, or away in a worker."""

    request: t.Any
    away = False
    at_any_rate = False

    #: The context variables as workers see them: one context for all ways there, so
    #: that what one function sets, another can reset by its token.
    context: contextvars.Context | None = None

    #: What the coroutine returned, also where its task was cancelled meanwhile.
    result: t.Any = None

    @property
    def workers(self) -> Workers:
        """The threads that it may go to."""
        return t.cast("Workers", self.request._workers)

    async def go(self, at_any_rate: bool = False) -> None:
        """Go to a worker thread, where functions may block.

        Args:
            at_any_rate: Wait for one also when the task is cancelled meanwhile.
        """
        if not self.away:
            self.away = True
            self.at_any_rate = at_any_rate
            await _MOVE

    async def come_back(self) -> None:
        """Come back to the event loop, where awaiting is possible."""
        if self.away:
            self.away = False
            await _MOVE

    async def call(
        self, kind: int, function: t.Callable[..., t.Any], *args: t.Any, **values: t.Any
    ) -> t.Any:
        """Call a function where its kind belongs."""
        if kind == AWAITED:
            if self.away:
                await self.come_back()
            return await function(*args, **values)
        if kind == BLOCKING and not self.away:
            await self.go()
        return function(*args, **values)


@types.coroutine
def travel(
    trip: Trip, coroutine: t.Any, asked: t.Any
) -> cabc.Generator[t.Any, t.Any, t.Any]:
    """Run the coroutine of a request, on the loop and in workers.

    Args:
        trip: What the coroutine was given to say where it wants to be.
        coroutine: It has begun, and awaits nothing while it is away.
        asked: What it asked for first.

    Returns:
        What the coroutine returns.
    """
    while True:
        resume, value = coroutine.send, None
        try:
            if asked is _MOVE:
                trip.context = renew(trip.context)
                hop = trip.workers.hop(
                    trip.at_any_rate, _walk, trip, coroutine, context=trip.context
                )
                if (yield from hop.__await__()):
                    return trip.result
            else:
                value = yield asked
        except BaseException as exc:  # a cancellation is for it
            if coroutine.cr_frame is None:
                raise  # it has ended in the worker, by this error or before it
            trip.away = False
            resume, value = coroutine.throw, exc
        try:
            asked = resume(value)
        except StopIteration as end:
            trip.result = end.value
            return end.value


def _walk(trip: Trip, coroutine: t.Any) -> bool:
    """Go on in this worker; return whether that was the end."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        trip.result = end.value
        return True
    return False


class ScopeContext(Trip, RequestContext):
    """The context of a request that travels, and whose environ may never be made."""

    def _match(self) -> None:
        """Find the rule by the scope, else as under WSGI."""
        app = self.app
        request = self.request
        bound = app._hosts.get(request._host)
        if bound is not None and app.config["TRUSTED_HOSTS"] is None:
            scope: t.Any = request._scope
            path = scope["path"]
            if not scope.get("root_path") and path.isascii():
                found = app._matcher.match(bound.domain, path, scope["method"])
                if found is not None:
                    request.url_rule, request.view_args = found
                    endpoint = found[0].endpoint
                    self._plan = app._plans.get(endpoint) or app._make_plan(endpoint)
                    return
        super()._match()


# The steps, as `_serving` has them. PERF: each is a coroutine only where there is
# something to wait for; one that is made and awaited for nothing costs 0.25 us.


def native_plan(app: t.Any, ctx: ScopeContext) -> Native:
    """Return what the request runs, as the tables and its rule are now."""
    plan = ctx._plan if ctx._plan.fresh else app._plan(ctx)
    if plan.native is None:
        plan.native = Native(plan)
    return t.cast("Native", plan.native)


async def live(app: t.Any, ctx: ScopeContext) -> Reply:
    """Serve one request: all its steps, as `_wsgi.wsgi_app` has them."""
    request = ctx.request
    error: BaseException | None = None
    try:
        try:
            interface = app.session_interface
            if appcontext_pushed.receivers or interface.waits:
                await enter(app, ctx, interface)
            else:
                ctx.push()
            return await respond(app, ctx)
        except Exception as exc:  # noqa: BLE001  # answered by a 500
            error = exc
            await ctx.go()
            return prepare(ctx.workers, request, app.handle_exception(exc))
        except BaseException as exc:
            error = exc
            raise
    finally:
        if (keep := request._scope.get("werkzeug.debug.preserve_context")) is not None:
            for kept in _state.current.get():
                keep(kept)
        if (
            error is not None
            or not ctx._plan.quiet
            or app.teardown_appcontext_funcs
            or request.__class__._needs_close
            or appcontext_popped.receivers
            or appcontext_tearing_down.receivers
            or request_tearing_down.receivers
        ):
            await leave(app, ctx, error)
        else:
            ctx.pop(None)
        error = None  # this frame is in its traceback: no cycle


async def leave(app: t.Any, ctx: ScopeContext, error: BaseException | None) -> None:
    """Leave the context in a worker, also where the task is cancelled meanwhile."""
    await ctx.go(at_any_rate=True)
    if error is not None and app.should_ignore_error(error):
        error = None
    if ctx._pushes is not None:  # the task was not cancelled before it was entered
        ctx.pop(error)


async def enter(app: t.Any, ctx: ScopeContext, interface: t.Any) -> None:
    """Put the context in force where that may wait, or call somebody."""
    if appcontext_pushed.receivers or not interface.opens_lazily:
        await ctx.go()
    ctx.push()
    # An async view cannot wait for the session when it reads it.
    if (
        interface.opens_lazily
        and ctx.request._has_cookie
        and ctx._plan.view is not None
        and native_plan(app, ctx).kind != BLOCKING
    ):
        await ctx.go()
        ctx._open_session_ahead()


async def respond(app: t.Any, ctx: ScopeContext) -> Reply:
    """Run the request through hooks, view and error handlers."""
    if not app._got_first_request:
        app._got_first_request = True
        _ = app.session_interface  # which is kept from now on
    request = ctx.request
    try:
        native = ctx._plan.native
        if native is None or not ctx._plan.fresh:
            native = native_plan(app, ctx)
        if native.plain and not (
            request._sends_body
            or ctx.away
            or request_started.receivers
            or request.method == "OPTIONS"
        ):
            rv = await native.view(**request.view_args)
        else:
            rv = await run(app, ctx, native)
    except Exception as exc:  # noqa: BLE001  # whatever a view raises is handled
        if app.error_handler_spec:
            await ctx.go()
        rv = app.handle_user_exception(exc)
    text = rv.__class__ is str
    response: Response = app.response_class(rv) if text else app.make_response(rv)
    rv = None  # an HTTP error is in its own frames: no cycle
    if (
        not ctx._plan.fresh
        or ctx._plan.declared.after
        or ctx._after_request_functions
        or ctx._session is not None
        or request._has_cookie
        or ctx._later is not None
        or request_finished.receivers
    ):
        response = await process(app, ctx, response)
    elif text and response._as_made and request.method != "HEAD":
        return 200, response._fields, response.response  # PERF: 0.15 us less
    return prepare(ctx.workers, request, response)


async def run(app: t.Any, ctx: ScopeContext, native: Native) -> t.Any:
    """Run value preprocessors, before-request functions, and the view."""
    request = ctx.request
    if request_started.receivers:
        await ctx.go()
        request_started.send(app, _async_wrapper=app.ensure_sync)
        native = native_plan(app, ctx)
    rv = await preprocess(ctx, native)
    if rv is not None:
        return rv
    native = native_plan(app, ctx)
    if request.routing_exception is not None or (
        request.method == "OPTIONS"
        and getattr(request.url_rule, "provide_automatic_options", False)
    ):
        return app.dispatch_request()  # which calls no view
    if request.url_rule.endpoint != ctx._plan.endpoint:  # by a hook
        ctx._plan = app._plans.get(request.endpoint) or app._make_plan(request.endpoint)
        native = native_plan(app, ctx)
    if native.reads_ahead and request._sends_body:
        await ctx.come_back()
        await request.load_body()
    if native.kind == BLOCKING:
        await ctx.go()
        return app.dispatch_request()
    return await ctx.call(native.kind, native.view, **request.view_args)


async def preprocess(ctx: ScopeContext, native: Native) -> t.Any:
    """Run the value preprocessors, then the before-request functions."""
    for function in native.preprocessors:
        await ctx.go()
        function(ctx.request.endpoint, ctx.request.view_args)
    for kind, function in native.before:
        if kind == AWAITED and not ctx.away:
            rv = await function()
        else:
            rv = await ctx.call(kind, function)
        if rv is not None:
            return rv
    return None


async def process(app: t.Any, ctx: ScopeContext, response: Response) -> Response:
    """Run the after-request functions, then save the session."""
    try:
        for function in ctx._after_request_functions:
            response = await ctx.call(kind_of(function), function, response)
        for kind, function in native_plan(app, ctx).after:
            if kind == AWAITED and not ctx.away:
                response = await function(response)
            else:
                response = await ctx.call(kind, function, response)
        if ctx._session is not None or ctx.request._has_cookie:
            if app.session_interface.waits:
                await ctx.go()
            app._save_session(ctx, response)
        if ctx._later is not None:
            ctx._do_later(response)
        if request_finished.receivers:
            await ctx.go()
            request_finished.send(
                app, _async_wrapper=app.ensure_sync, response=response
            )
    except Exception as exc:  # noqa: BLE001  # raised again there
        await ctx.go()
        response = app._finalize_failed(exc, response, False)
    return response
