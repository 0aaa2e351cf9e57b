"""Layer 3: the contexts of an application and of a request.

A request enters both with one `set` of `_state.current` and leaves with
another. What a view may never ask for (`g`, the session, the URL adapter) is
made when it is first read.
"""

from __future__ import annotations

import functools
import inspect
import sys
import typing as t

from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import NotFound

from . import _state
from ._derived import decode_wsgi
from ._lazy import lazy
from .sessions import SessionUnavailable
from .signals import appcontext_popped
from .signals import appcontext_pushed
from .signals import appcontext_tearing_down
from .signals import request_tearing_down

if t.TYPE_CHECKING:
    import collections.abc as cabc
    from types import TracebackType

    from _typeshed.wsgi import WSGIEnvironment
    from werkzeug.routing import MapAdapter

    from . import typing as ft
    from ._hooks import Plan
    from .sessions import SessionMixin
    from .wrappers import Request
    from .wrappers import Response

F = t.TypeVar("F", bound=t.Callable[..., t.Any])

_current = _state.current

#: "Not given", where None means "no exception".
_UNSET: t.Any = object()


class _AppCtxGlobals:
    """The plain namespace behind `g`."""

    if t.TYPE_CHECKING:

        def __getattr__(self, name: str) -> t.Any: ...
        def __setattr__(self, name: str, value: t.Any) -> None: ...
        def __delattr__(self, name: str) -> None: ...

    def get(self, name: str, default: t.Any = None) -> t.Any:
        """Return an attribute, or `default` where it is not set."""
        return self.__dict__.get(name, default)

    def pop(self, name: str, default: t.Any = _UNSET) -> t.Any:
        """Remove an attribute and return it.

        Raises:
            KeyError: It is not set, and there is no default.
        """
        if default is _UNSET:
            return self.__dict__.pop(name)
        return self.__dict__.pop(name, default)

    def setdefault(self, name: str, default: t.Any = None) -> t.Any:
        """Return an attribute, set to `default` first where it is not set."""
        return self.__dict__.setdefault(name, default)

    def __contains__(self, name: str) -> bool:
        return name in self.__dict__

    def __iter__(self) -> cabc.Iterator[str]:
        return iter(self.__dict__)

    def __repr__(self) -> str:
        ctx = _current.get()[0]
        return (
            object.__repr__(self) if ctx is None else f"<erlen.g of {ctx.app.name!r}>"
        )


class _Context:
    """What both contexts share: `with`, and being kept by a stream.

    `_pushes` has what each push put aside, the last one first, so that a
    context can be pushed again while it is in force. The last pop tears down,
    unless the context is held.
    """

    _pushes: tuple[t.Any, t.Any] | None = None
    _holds = 0

    def push(self) -> None:
        raise NotImplementedError

    def pop(self, exc: BaseException | None = _UNSET) -> None:
        raise NotImplementedError

    def __enter__(self) -> t.Self:
        try:
            self.push()
        except BaseException as exc:
            self.pop(exc)
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.pop(exc_value)


class AppContext(_Context):
    """What `current_app` and `g` point to while it is pushed."""

    def __init__(self, app: t.Any) -> None:
        #: The application; typed Any, because its class stands above.
        self.app: t.Any = app

    @lazy
    def g(self) -> t.Any:
        """The namespace for data of this context."""
        return self.app.app_ctx_globals_class()

    @lazy
    def url_adapter(self) -> MapAdapter | None:
        """Builds URLs outside requests; None where SERVER_NAME is not set."""
        adapter: MapAdapter | None = self.app.create_url_adapter(None)
        return adapter

    def push(self) -> None:
        """Put this context in force."""
        frame = _current.get()
        self._pushes = (frame[0], self._pushes)
        _current.set((self, frame[1]))
        if appcontext_pushed.receivers:
            app = self.app
            appcontext_pushed.send(app, _async_wrapper=app.ensure_sync)

    def pop(self, exc: BaseException | None = _UNSET) -> None:
        """Put back what was in force before, and tear down at the last pop.

        Args:
            exc: What the teardown functions get; by default the exception
                that is being handled.

        Raises:
            AssertionError: Another context is in force.
        """
        innermost, request_ctx = _current.get()
        pushes = self._pushes
        if innermost is not self or pushes is None:
            raise AssertionError(
                f"Popped wrong app context. ({innermost!r} instead of {self!r})"
            )
        app = self.app
        try:
            if pushes[1] is None and not self._holds:
                app.do_teardown_appcontext(sys.exc_info()[1] if exc is _UNSET else exc)
        finally:
            previous, self._pushes = pushes
            _current.set((previous, request_ctx))
        if appcontext_popped.receivers:
            appcontext_popped.send(app, _async_wrapper=app.ensure_sync)


class RequestContext(_Context):
    """What `request` and `session` point to while it is pushed.

    It brings an application context with it, unless one of the same
    application is in force.
    """

    #: The application context that this one brought with it.
    _app_ctx: AppContext | None = None

    #: The application context that a hold keeps.
    _kept: AppContext | None = None

    #: What is to be called when the response has been sent.
    _later: list[tuple[t.Any, tuple[t.Any, ...], dict[str, t.Any]]] | None = None

    #: Why the session could not be opened ahead of an async view.
    _session_error: SessionUnavailable | None = None

    #: Why the request's host is refused.
    _host_error: HTTPException | None = None

    #: The flashed messages that this request has taken out of the session.
    flashes: list[tuple[str, str]] | None = None

    def __init_subclass__(cls, **kwargs: t.Any) -> None:
        super().__init_subclass__(**kwargs)
        own = cls.match_request
        if own is not RequestContext.match_request and "_match" not in vars(cls):
            cls._match = own  # type: ignore[method-assign]  # no short way around it

    def __init__(
        self,
        app: t.Any,
        environ: WSGIEnvironment,
        request: Request | None = None,
        session: SessionMixin | None = None,
    ) -> None:
        """Make the context of a request.

        Args:
            app: The application.
            environ: The WSGI environ.
            request: The request, where it exists already.
            session: The session, where it is open already.
        """
        #: The application; typed Any, because its class stands above.
        self.app: t.Any = app
        self.request: Request = request or app.request_class(environ)
        self._session: t.Any = session
        self._after_request_functions: list[ft.AfterRequestCallable[t.Any]] = []

    def __repr__(self) -> str:
        request = self.request
        return (
            f"<{type(self).__name__} {request.url!r} [{request.method}] of"
            f" {self.app.name}>"
        )

    @lazy
    def url_adapter(self) -> MapAdapter | None:
        """Matches and builds URLs for this request's host and path."""
        app = self.app
        adapter: MapAdapter | None
        try:
            adapter = app.create_url_adapter(self.request)
        except HTTPException as exc:
            # A refused host is answered by an error page, and that page may
            # build URLs too; they must not carry the client's idea of a host.
            self._host_error = exc
            adapter = app.url_map.bind(
                app.config["SERVER_NAME"] or "localhost",
                script_name=self.request.root_path,
                url_scheme=self.request.scheme,
            )
        return adapter

    @lazy
    def _plan(self) -> Plan:
        """What this request runs; before it is matched, what all requests run."""
        app = self.app
        plan: Plan = app._plans.get(None) or app._make_plan(None)
        return plan

    @property
    def session(self) -> t.Any:
        """The session; opened when it is first read, which is remembered."""
        session = self._session
        if session is None:
            session = self._open_session()
        session.accessed = True
        return session

    def _open_session(self) -> t.Any:
        interface = self.app.session_interface
        try:
            if self._session_error is not None:
                raise self._session_error
            session = interface.open_session(self.app, self.request)
        except SessionUnavailable:  # and an error page does not ask again
            self._session = interface.make_null_session(self.app)
            raise
        if session is None:
            session = interface.make_null_session(self.app)
        self._session = session
        return session

    def _do_later(self, response: Response) -> None:
        """Let the end of a response call what `app.after_response` was given."""
        app = self.app

        def work() -> None:
            works, self._later = self._later or (), None
            for function, args, kwargs in works:
                with app.app_context():
                    try:
                        app.ensure_sync(function)(*args, **kwargs)
                    except Exception:
                        app.logger.exception("It failed after a response: %r", function)

        if self.request._workers is not None:  # the ASGI door waits for it
            response.call_on_close(work)
            return
        from . import _later

        _later.expect(work)
        response.call_on_close(lambda: _later.run(work))

    def _open_session_ahead(self) -> None:
        """Open the session now, and raise why that fails when it is read."""
        try:
            self._open_session()
        except SessionUnavailable as exc:
            self._session, self._session_error = None, exc

    def copy(self) -> RequestContext:
        """Make a context of the same request, for another thread or greenlet.

        The request object and the session are shared, not copied.
        """
        if self._session is None:
            self._open_session()
        return type(self)(
            self.app,
            environ=self.request.environ,
            request=self.request,
            session=self._session,
        )

    def push(self) -> None:
        """Put this context in force, open an eager session, match the URL."""
        app = self.app
        app_ctx, previous = _current.get()
        self._pushes = (previous, self._pushes)
        if app_ctx is None or app_ctx.app is not app:
            self._app_ctx = own = self._kept or AppContext(app)
            own._pushes = (app_ctx, own._pushes)
            if appcontext_pushed.receivers:
                _current.set((own, previous))  # COMPAT: the request comes after it
                try:
                    appcontext_pushed.send(app, _async_wrapper=app.ensure_sync)
                finally:
                    _current.set((own, self))
            else:
                _current.set((own, self))
        else:
            _current.set((app_ctx, self))
        if self._session is None and not app.session_interface.opens_lazily:
            self._open_session()
        request = self.request
        if request.url_rule is None and request.routing_exception is None:
            self._match()

    def _match(self) -> None:
        """Find the rule by the short way, else ask Werkzeug."""
        app = self.app
        request = self.request
        environ = request.environ
        # PERF: a bind costs 7.2 us, and a host that passed one needs no other.
        bound = app._hosts.get(environ.get("HTTP_HOST"))
        if (
            bound is None
            or app.config["TRUSTED_HOSTS"] is not None
            or "HTTP_UPGRADE" in environ
        ):
            self.match_request()
            return
        path = environ.get("PATH_INFO", "/")
        if not path.isascii():
            path = decode_wsgi(path)
        # COMPAT: not `request.method`, which a subclass may derive from elsewhere.
        method = environ["REQUEST_METHOD"]
        found = app._matcher.match(bound.domain, path, method)
        if found is not None:
            request.url_rule, request.view_args = found
            endpoint = found[0].endpoint
            self._plan = app._plans.get(endpoint) or app._make_plan(endpoint)
        elif bound.serves(environ, app.config["SERVER_NAME"]):
            query = decode_wsgi(environ.get("QUERY_STRING") or "")
            self._ask(bound.adapter, path, query)
        else:
            self.match_request()

    def match_request(self) -> None:
        """Find the rule of this request by its adapter, or why there is none."""
        app = self.app
        request = self.request
        adapter = self.url_adapter
        if self._host_error is not None or adapter is None:
            request.routing_exception = self._host_error or NotFound()
            request._needs_close = True
            return
        if not app._binds_each_request:
            app._hosts.keep(request.environ, app.config["SERVER_NAME"], adapter)
        self._ask(adapter, None, None)

    def _ask(self, adapter: MapAdapter, path: str | None, query: str | None) -> None:
        """Ask Werkzeug, which knows all about redirects and errors."""
        app = self.app
        request = self.request
        # An empty method would be the one that the adapter was bound to.
        method = request.environ["REQUEST_METHOD"] or "-"
        try:
            rule, args = adapter.match(path, method, True, query)
        except HTTPException as exc:
            request.routing_exception = exc
            request._needs_close = True
        else:
            request.url_rule = rule
            request.view_args = t.cast("dict[str, t.Any]", args)
            endpoint = rule.endpoint
            self._plan = app._plans.get(endpoint) or app._make_plan(endpoint)

    def pop(self, exc: BaseException | None = _UNSET) -> None:
        """Put back what was in force before, and tear down at the last pop.

        Args:
            exc: What the teardown functions get; by default the exception
                that is being handled.

        Raises:
            AssertionError: Another context is in force.
        """
        app_ctx, innermost = _current.get()
        pushes = self._pushes
        if innermost is not self or pushes is None:
            raise AssertionError(
                f"Popped wrong request context. ({innermost!r} instead of {self!r})"
            )
        previous, self._pushes = pushes
        if self._pushes is not None:
            _current.set((app_ctx, previous))
            return
        own = self._app_ctx
        plan = self._plan
        # PERF: where nobody is to be called, leaving is one `set`; 0.3 us less.
        if (
            plan.quiet
            and plan.fresh
            and own is not None
            and own is app_ctx
            and own._pushes == (None, None)
            and not self._holds
            and not request_tearing_down.receivers
            and not appcontext_tearing_down.receivers
            and not appcontext_popped.receivers
        ):
            calls = self.app.teardown_appcontext_funcs
            self._app_ctx = None
            own._pushes = own._pushes if calls else None
            _current.set((own if calls else None, previous))
            try:
                request = self.request
                if request._scope is None:  # it is in its own environ
                    request.environ.pop("werkzeug.request", None)
                if request._needs_close:
                    self._close_request()
            finally:
                if calls:
                    own.pop(exc)
        else:
            self._leave(previous, sys.exc_info()[1] if exc is _UNSET else exc)

    def _leave(self, previous: t.Any, exc: BaseException | None) -> None:
        """Tear down, unless a stream goes on, and put `previous` in force."""
        try:
            if not self._holds:
                self._tear_down(exc)
        finally:
            _current.set((_current.get()[0], previous))
            own = self._app_ctx
            if own is not None:
                self._app_ctx = None
                own.pop(exc)

    def _tear_down(self, exc: BaseException | None) -> None:
        try:
            self.app.do_teardown_request(exc)
        finally:
            self._close_request()

    def _close_request(self) -> None:
        """Close files, and leave nothing that only the collector could free."""
        request = self.request
        request.close()
        if request._scope is None:
            request.environ.pop("werkzeug.request", None)
        exc = request.routing_exception
        if exc is not None:
            # The frames of each traceback have us.
            exc.__traceback__ = exc.__context__ = exc.__cause__ = None

    def hold(self) -> None:
        """Keep this context from being torn down, for a body still to be sent."""
        self._holds += 1
        own = self._app_ctx
        if own is not None:
            self._kept = own
            own._holds += 1

    def release(self, exc: BaseException | None = None) -> None:
        """End a hold; the last one tears down if the door has left already.

        Args:
            exc: What the teardown functions get.
        """
        self._holds -= 1
        kept = self._kept
        if kept is not None and not self._holds:
            self._kept = None
            kept._holds = 0
        if self._holds or self._pushes:
            return
        frame = _current.get()
        _current.set((kept or frame[0], self))
        try:
            self._tear_down(exc)
        finally:
            if kept is not None and kept._pushes is None:
                kept._pushes = (None, None)
                _current.set((kept, None))
                kept.pop(exc)
            _current.set(frame)


def after_this_request(f: F) -> F:
    """Run a function on the response of the current request.

    Args:
        f: Takes the response and returns the one to send.

    Returns:
        The function, so that this can be a decorator.

    Raises:
        RuntimeError: No request is active.
    """
    ctx = _state.request_context("after_this_request")
    ctx._after_request_functions.append(f)
    return f


def copy_current_request_context(f: F) -> F:
    """Let a function run with the current request, in a thread or greenlet.

    Args:
        f: Gets a copy of the context in force now, each time it is called.

    Raises:
        RuntimeError: No request is active.
    """
    original: t.Any = _state.request_context("copy_current_request_context")
    ctx = original.copy()

    @functools.wraps(f)
    def wrapper(*args: t.Any, **kwargs: t.Any) -> t.Any:
        with ctx.copy():
            return ctx.app.ensure_sync(f)(*args, **kwargs)

    return t.cast("F", wrapper)


def copy_current_app_context(f: F) -> F:
    """Let a function run with the current application, in a thread or a task.

    Each call enters a new application context. Its `g` is empty: what is in
    the `g` of now belongs to this context, and is closed with it.

    Args:
        f: A function; `async def` functions are awaited inside the context.

    Raises:
        RuntimeError: No application context is in force.
    """
    app = _state.app_context("copy_current_app_context").app

    @functools.wraps(f)
    def wrapper(*args: t.Any, **kwargs: t.Any) -> t.Any:
        with app.app_context():
            return f(*args, **kwargs)

    @functools.wraps(f)
    async def async_wrapper(*args: t.Any, **kwargs: t.Any) -> t.Any:
        with app.app_context():
            return await f(*args, **kwargs)

    return t.cast("F", async_wrapper if inspect.iscoroutinefunction(f) else wrapper)


def has_request_context() -> bool:
    """Say whether a request is active."""
    return _current.get()[1] is not None


def has_app_context() -> bool:
    """Say whether an application context is in force."""
    return _current.get()[0] is not None
