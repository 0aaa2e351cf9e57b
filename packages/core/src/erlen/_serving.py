"""Layer 3: Serving, the life of a request.

The steps stand in the order in which they run, each one a method that an
application may override and none calling itself by another name. The doors
call them; `docs/how-it-works/request` lists the calls of a request.
"""

from __future__ import annotations

import sys
import typing as t

from werkzeug.exceptions import BadRequest
from werkzeug.exceptions import BadRequestKeyError
from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import InternalServerError
from werkzeug.routing import RequestRedirect
from werkzeug.routing import RoutingException

from . import _responses
from . import _state
from ._application import App
from ._hooks import Callbacks
from ._hooks import Plan
from ._lazy import lazy
from .debughelpers import FormDataRoutingRedirect
from .sessions import SESSION_ERRORS
from .signals import appcontext_tearing_down
from .signals import got_request_exception
from .signals import request_finished
from .signals import request_started
from .signals import request_tearing_down
from .wrappers import _blueprint_path

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from _typeshed import OptExcInfo
    from blinker import Signal

    from . import typing as ft
    from .wrappers import Request
    from .wrappers import Response

_current = _state.current

#: "Not given", where None means "no exception".
_UNSET: t.Any = object()


class Serving(App):
    """What an application does with a request, step by step."""

    # Before the first request

    #: The steps that this application replaces, a frozenset; the whole one knows.
    _overridden: t.Any

    @lazy
    def _binds_each_request(self) -> bool:
        """Whether an adapter depends on more than the host's name."""
        return (
            self.url_map.host_matching
            or self.subdomain_matching
            or "create_url_adapter" in self._overridden
            # A function of the user's gets the adapter, to compute a redirect.
            or any(callable(rule.redirect_to) for rule in self.url_map.iter_rules())
        )

    def _make_plan(self, endpoint: str | None) -> Plan:
        """Flatten what an endpoint runs; kept until a table changes."""
        changes = self._plans.changes
        names: list[str] = []
        if endpoint is not None and "." in endpoint:
            names = _blueprint_path(endpoint.rpartition(".")[0])
        declared = Callbacks.collect(self, endpoint, names)
        ends = {"do_teardown_request", "do_teardown_appcontext"}
        quiet = not (declared.teardown or self._overridden & ends)
        plan = Plan(endpoint, declared, self.ensure_sync, quiet)
        if changes == self._plans.changes:
            self._plans[endpoint] = plan
        else:  # another thread changed a table meanwhile
            plan.fresh = False
        return plan

    def _plan(self, ctx: t.Any) -> Plan:
        """Return the request's plan as the tables and its rule are now."""
        plan: Plan = ctx._plan
        endpoint = ctx.request.endpoint
        if not plan.fresh or plan.endpoint != endpoint:
            plan = ctx._plan = self._plans.get(endpoint) or self._make_plan(endpoint)
        return plan

    # The way in

    def full_dispatch_request(self) -> Response:
        """Run the current request through hooks, view and error handlers."""
        if not self._got_first_request:
            self._got_first_request = True
            _ = self.session_interface  # which is kept from now on
        try:
            if request_started.receivers:
                request_started.send(self, _async_wrapper=self.ensure_sync)
            rv = self.preprocess_request()
            if rv is None:
                rv = self.dispatch_request()
        except Exception as exc:  # noqa: BLE001  # whatever a view raises is handled
            rv = self.handle_user_exception(exc)
        response = self.finalize_request(rv)
        rv = None  # an HTTP error is in its own frames: no cycle
        return response

    def preprocess_request(self) -> ft.ResponseReturnValue | None:
        """Run the value preprocessors, then the before-request functions.

        Returns:
            The first value that such a function returned and that is not
            None: the request is answered by it. None goes on to the view.
        """
        ctx: t.Any = _current.get()[1]
        plan = ctx._plan if ctx._plan.fresh else self._plan(ctx)
        if plan.preprocessors:
            request = ctx.request
            for preprocess in plan.preprocessors:
                preprocess(request.endpoint, request.view_args)
        for before in plan.before:
            rv = before()
            if rv is not None:
                return t.cast("ft.ResponseReturnValue", rv)
        return None

    def dispatch_request(self) -> ft.ResponseReturnValue:
        """Call the view that the URL matched.

        Returns:
            What the view returned, not a response yet.
        """
        ctx: t.Any = _current.get()[1]
        request = ctx.request
        if request.routing_exception is not None:
            self.raise_routing_exception(request)
        if request.method == "OPTIONS" and getattr(
            request.url_rule, "provide_automatic_options", False
        ):
            return self.make_default_options_response()
        plan = ctx._plan
        # COMPAT: a hook may have put another rule; 0.03 us to look.
        if not plan.fresh or plan.endpoint != request.url_rule.endpoint:
            plan = self._plan(ctx)
        if plan.view is None:
            raise KeyError(
                f"The endpoint {request.endpoint!r} has no view function. Its rule"
                f" {request.url_rule.rule!r} was added without one; set it with"
                " @app.endpoint(...)."
            )
        rv: ft.ResponseReturnValue = plan.view(**request.view_args)
        return rv

    def raise_routing_exception(self, request: Request) -> t.NoReturn:
        """Raise why no rule matched; in debug, name a form lost by a redirect."""
        exc = t.cast("HTTPException", request.routing_exception)
        if (
            self.debug
            and isinstance(exc, RequestRedirect)
            and exc.code not in {307, 308}
            and request.method not in {"GET", "HEAD", "OPTIONS"}
        ):
            raise FormDataRoutingRedirect(request)
        raise exc

    def make_default_options_response(self) -> Response:
        """Answer OPTIONS with the methods of all rules of the URL."""
        adapter: t.Any = _state.request_context("OPTIONS").url_adapter
        response = self.response_class()
        response.allow.update(adapter.allowed_methods())
        return response

    # Errors

    def _find_error_handler(
        self, exc: Exception, blueprints: cabc.Sequence[str]
    ) -> ft.ErrorHandlerCallable | None:
        """Find the handler of an error.

        Blueprint by code, application by code, blueprint by class, application
        by class; within one, the classes of the error from the nearest on.
        """
        exc_class, code = self._get_exc_class_and_code(type(exc))
        spec = self.error_handler_spec
        for wanted in (None,) if code is None else (code, None):
            for name in (*blueprints, None):
                handlers = spec[name][wanted] if name in spec else None
                if not handlers:
                    continue
                for cls in exc_class.__mro__:
                    handler = handlers.get(cls)
                    if handler is not None:
                        return handler
        return None

    def _error_blueprints(self) -> list[str]:
        """Name the blueprints whose handlers see an error of the request."""
        ctx = _state.request_context("error handlers")
        request: Request = ctx.request
        if request.routing_exception is not None and self._prefixes:
            adapter = ctx.url_adapter
            subdomain = None if adapter is None else adapter.subdomain
            owner = self._prefixes.owner(request.path, subdomain)
            if owner is not None:
                return _blueprint_path(owner)
        return request.blueprints

    def handle_user_exception(
        self, e: Exception
    ) -> HTTPException | ft.ResponseReturnValue:
        """Answer an exception of a hook or a view, or raise it again."""
        if isinstance(e, BadRequestKeyError) and (
            self.debug or self.config["TRAP_BAD_REQUEST_ERRORS"]
        ):
            e.show_exception = True
        if isinstance(e, HTTPException) and not self.trap_http_exception(e):
            return self.handle_http_exception(e)
        handler = self._find_error_handler(e, self._error_blueprints())
        if handler is None:
            try:
                raise e
            finally:
                del e  # it has this frame: no cycle
        return t.cast("ft.ResponseReturnValue", self.ensure_sync(handler)(e))

    def trap_http_exception(self, e: Exception) -> bool:
        """Say whether an HTTP error goes on as an exception; by the config."""
        if self.config["TRAP_HTTP_EXCEPTIONS"]:
            return True
        trap_bad_request = self.config["TRAP_BAD_REQUEST_ERRORS"]
        if trap_bad_request is None and self.debug:
            return isinstance(e, BadRequestKeyError)
        return bool(trap_bad_request) and isinstance(e, BadRequest)

    def handle_http_exception(
        self, e: HTTPException
    ) -> HTTPException | ft.ResponseReturnValue:
        """Answer an HTTP error: by its handler, or as its own page."""
        if e.code is None or isinstance(e, RoutingException):
            return e  # a ready response, or a redirect: no error to handle
        handler = self._find_error_handler(e, self._error_blueprints())
        if handler is None:
            return e
        return t.cast("ft.ResponseReturnValue", self.ensure_sync(handler)(e))

    def handle_exception(self, e: Exception) -> Response:
        """Answer an exception that nobody handled, with a 500.

        While debugging or testing it goes on to the server or the test
        instead (the config `PROPAGATE_EXCEPTIONS` decides otherwise).
        """
        self._report(e)
        server_error = InternalServerError(original_exception=e)
        request = _state.request_context("handle_exception").request
        handler = self._find_error_handler(server_error, request.blueprints)
        rv: t.Any = server_error
        if handler is not None:
            rv = self.ensure_sync(handler)(server_error)
        return self.finalize_request(rv, from_error_handler=True)

    def _report(self, e: Exception) -> None:
        """Tell of an exception that nobody handled: raise it again, or log it."""
        exc_info: t.Any = type(e), e, e.__traceback__
        if got_request_exception.receivers:
            got_request_exception.send(
                self, _async_wrapper=self.ensure_sync, exception=e
            )
        propagate = self.config["PROPAGATE_EXCEPTIONS"]
        if propagate or (propagate is None and (self.testing or self.debug)):
            raise e
        self.log_exception(exc_info)

    def log_exception(
        self,
        exc_info: OptExcInfo,
    ) -> None:
        """Log an exception that became a 500; to be overridden."""
        request = _state.request_context("log_exception").request
        path, method = request.path, request.method
        if not (path + method).isprintable():
            path, method = ascii(path), ascii(method)  # no line of a client's own
        self.logger.error("Exception on %s [%s]", path, method, exc_info=exc_info)

    def should_ignore_error(self, error: BaseException | None) -> bool:
        """Say whether teardown functions shall not see an error."""
        return False

    # The way out

    make_response = _responses.make_response

    def finalize_request(
        self,
        rv: ft.ResponseReturnValue | HTTPException,
        from_error_handler: bool = False,
    ) -> Response:
        """Turn a return value into the response that is sent.

        Args:
            rv: What a view, a hook or an error handler returned.
            from_error_handler: Log what fails from here on; the error page
                is sent all the same.
        """
        response = self.make_response(rv)
        try:
            response = self.process_response(response)
            if request_finished.receivers:
                request_finished.send(
                    self, _async_wrapper=self.ensure_sync, response=response
                )
        except Exception as exc:  # noqa: BLE001  # raised again there
            response = self._finalize_failed(exc, response, from_error_handler)
        return response

    def _finalize_failed(
        self, exc: Exception, response: Response, from_error_handler: bool
    ) -> Response:
        """Answer what after-request functions or the session raised, or raise it."""
        if from_error_handler:
            self.logger.error(
                "Request finalizing failed with an error while handling an error",
                exc_info=exc,
            )
            return response
        response.close()  # nobody sends it
        if isinstance(exc, SESSION_ERRORS):
            return self.finalize_request(self.handle_user_exception(exc), True)
        raise exc

    def process_response(self, response: Response) -> Response:
        """Run the after-request functions, then save the session."""
        ctx: t.Any = _current.get()[1]
        for after_this in ctx._after_request_functions:
            response = self.ensure_sync(after_this)(response)
        plan = ctx._plan if ctx._plan.fresh else self._plan(ctx)
        for after in plan.after:
            response = after(response)
        # PERF: nobody asked for the session; a sent cookie may need its date.
        if ctx._session is not None or "HTTP_COOKIE" in ctx.request.environ:
            self._save_session(ctx, response)
        if ctx._later is not None:
            ctx._do_later(response)
        return response

    def _save_session(self, ctx: t.Any, response: Response) -> None:
        """Save the session if there is one, or one to be refreshed."""
        interface = self.session_interface
        session = ctx._session
        if session is None:
            if not interface.needs_refresh(self, ctx.request):
                return
            session = ctx._open_session()
        if not interface.is_null_session(session):
            interface.save_session(self, session, response)

    # The end

    def do_teardown_request(self, exc: BaseException | None = _UNSET) -> None:
        """Run the teardown functions of the request, all of them.

        Args:
            exc: What they get; by default the exception being handled.

        Raises:
            BaseException: What one of them raised, after all have run; an
                exception group where several did.
        """
        if exc is _UNSET:
            exc = sys.exc_info()[1]
        ctx: t.Any = _state.request_context("do_teardown_request")
        self._tear_down(self._plan(ctx).teardown, request_tearing_down, exc)

    def do_teardown_appcontext(self, exc: BaseException | None = _UNSET) -> None:
        """Run the teardown functions of the application context, all of them.

        Args:
            exc: What they get; by default the exception being handled.

        Raises:
            BaseException: As `do_teardown_request`.
        """
        if exc is _UNSET:
            exc = sys.exc_info()[1]
        functions = map(self.ensure_sync, reversed(self.teardown_appcontext_funcs))
        self._tear_down(functions, appcontext_tearing_down, exc)

    def _tear_down(
        self,
        functions: cabc.Iterable[t.Callable[..., t.Any]],
        signal: Signal,
        exc: BaseException | None,
    ) -> None:
        """Call every function, then the signal; raise only after the last."""
        errors: list[BaseException] = []
        for function in functions:
            try:
                function(exc)
            except BaseException as error:  # noqa: BLE001  # raised below
                errors.append(error)
        try:
            if signal.receivers:
                signal.send(self, _async_wrapper=self.ensure_sync, exc=exc)
        except BaseException as error:  # noqa: BLE001  # raised below
            errors.append(error)
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise BaseExceptionGroup("several teardown functions failed", errors)
