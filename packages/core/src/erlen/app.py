"""Layer 5: Erlen, the application.

The parts come together here: what is declared (`_application`), how a request
is served (`_serving`), the door (`_wsgi`), URLs, and what people run.
"""

from __future__ import annotations

import os
import typing as t
from urllib.parse import quote

from werkzeug.routing import BuildError

from . import _proxies
from . import _state
from . import _wsgi
from ._forwarded import trust_proxies
from ._hooks import TABLES
from ._lazy import lazy
from ._serving import Serving
from .ctx import AppContext
from .ctx import RequestContext
from .ctx import _AppCtxGlobals

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from _typeshed.wsgi import StartResponse
    from _typeshed.wsgi import WSGIEnvironment
    from werkzeug.routing import MapAdapter

    from ._asgi import AsgiDoor
    from .testing import AsyncErlenClient
    from .testing import ErlenClient
    from .testing import ErlenCliRunner
    from .wrappers import Request

_current = _state.current

#: The steps of a request that an application may replace.
STEPS = frozenset(
    (
        *(
            "wsgi_app",
            "request_context",
            "full_dispatch_request",
            "preprocess_request",
            "dispatch_request",
        ),
        *("finalize_request", "process_response", "make_response", "handle_exception"),
        *("handle_user_exception", "handle_http_exception", "ensure_sync"),
        *("create_url_adapter", "do_teardown_request", "do_teardown_appcontext"),
    )
)


class Erlen(Serving):
    """A web application: rules, views and all that belongs to them.

    Attributes:
        config: The configuration, a dict with loaders.
        extensions: What extensions keep, by their names.
        blueprints: The registered blueprints, by their dotted names.
        url_map: Werkzeug's map of the rules.
        json: The JSON provider.
        instance_path: The absolute path of the instance folder.
    """

    app_ctx_globals_class = _AppCtxGlobals
    test_client_class: type[ErlenClient] | None = None
    test_cli_runner_class: type[ErlenCliRunner] | None = None

    def __setattr__(self, name: str, value: t.Any) -> None:
        table = TABLES.get(name)
        if table is not None:
            value = table(self._plans, value)
            self._plans.clear()
        super().__setattr__(name, value)
        if name in STEPS:
            self._forget_steps()
        elif name == "url_map":
            self.__dict__.pop("_matcher", None)
            self._forget_hosts()

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        if name in STEPS:
            self._forget_steps()

    def _forget_steps(self) -> None:
        """Decide anew what depends on which steps are replaced."""
        self.__dict__.pop("_overridden", None)
        self._plans.clear()
        self._forget_hosts()

    # The WSGI door

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> cabc.Iterable[bytes]:
        """Serve one request, as a WSGI application, through `wsgi_app`."""
        return self.wsgi_app(environ, start_response)

    # What users of an ASGI server read, which calls with one argument or three.
    __call__.__qualname__ = (
        "This is the WSGI door of the application: give an ASGI server"
        " `module:app.asgi`, not `module:app`. Erlen.__call__"
    )

    wsgi_app = _wsgi.wsgi_app

    # The ASGI door

    @lazy
    def asgi(self) -> AsgiDoor:
        """The same application as an ASGI 3 application, for servers that speak that."""
        from ._asgi import AsgiDoor

        return AsgiDoor(self)

    @lazy
    def _overridden(self) -> frozenset[str]:
        """The steps that this application replaces, on its class or itself."""
        cls = type(self)
        return frozenset(
            step
            for step in STEPS
            if step in self.__dict__ or getattr(cls, step) is not _STEPS[step]
        )

    # Contexts

    def app_context(self) -> AppContext:
        """Make an application context, to be entered by `with`."""
        return AppContext(self)

    def request_context(self, environ: WSGIEnvironment) -> RequestContext:
        """Make the context of a request, to be entered by `with`."""
        if self.config["PROXY_HOPS"]:
            trust_proxies(environ, self.config["PROXY_HOPS"])
        return RequestContext(self, environ)

    def test_request_context(self, *args: t.Any, **kwargs: t.Any) -> RequestContext:
        """Make the context of a request that a test describes.

        Args:
            *args: As `erlen.testing.EnvironBuilder`: path, base URL, ...
            **kwargs: Such as `method`, `json`, `data`, `headers`.
        """
        from .testing import EnvironBuilder

        app: t.Any = self
        builder = EnvironBuilder(app, *args, **kwargs)
        try:
            return self.request_context(builder.get_environ())
        finally:
            builder.close()

    # After the response

    def after_response(
        self, f: t.Callable[..., t.Any], /, *args: t.Any, **kwargs: t.Any
    ) -> None:
        """Call a function when the current request's response has been sent.

        For small work that nobody needs to wait for, such as a line of
        statistics. What it raises is logged. It is lost when the process is
        killed: what must not be lost belongs in a queue.

        Args:
            f: Called in an application context; the request is over by then.
                It may be `async def`.
            *args: Its arguments.
            **kwargs: Its keyword arguments.

        Raises:
            RuntimeError: No request is active.
        """
        ctx: t.Any = _state.request_context("after_response")
        ctx._later = [*(ctx._later or ()), (f, args, kwargs)]

    # URLs

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Bind the rules to a request's host, or to the configured one.

        Args:
            request: The request; None means outside of any.

        Returns:
            None outside a request where SERVER_NAME is not set.

        Raises:
            BadRequest: 400, a host that is not one, or not a trusted one.
        """
        server_name = self.config["SERVER_NAME"]
        if request is None:
            if server_name is None:
                return None
            return self.url_map.bind(
                server_name,
                script_name=self.config["APPLICATION_ROOT"],
                url_scheme=self.config["PREFERRED_URL_SCHEME"],
            )
        trusted = self.config["TRUSTED_HOSTS"]
        if trusted is not None:
            request.trusted_hosts = trusted
        request.host  # noqa: B018  # raises where it is not to be trusted
        subdomain = None
        if self.url_map.host_matching:
            server_name = None
        elif not self.subdomain_matching:
            subdomain = self.url_map.default_subdomain or ""
        return self.url_map.bind_to_environ(
            request.environ, server_name=server_name, subdomain=subdomain
        )

    def url_for(
        self,
        /,
        endpoint: str,
        *,
        _anchor: str | None = None,
        _method: str | None = None,
        _scheme: str | None = None,
        _external: bool | None = None,
        **values: t.Any,
    ) -> str:
        """Build the URL of an endpoint.

        Args:
            endpoint: Its name; a leading dot means the request's blueprint.
            _anchor: Goes behind `#`.
            _method: Chooses among rules for different methods.
            _scheme: Such as `"https"`; the URL is then external.
            _external: Whether scheme and host go in front. By default only
                outside a request.
            **values: For the rule's variables; others go into the query.

        Raises:
            BuildError: No rule of that name takes these values, and no
                handler of `url_build_error_handlers` knows better.
            RuntimeError: Outside a request SERVER_NAME is not set.
            ValueError: A `_scheme` for a URL that is not external.
        """
        ctx = _current.get()[1]
        if ctx is not None:
            adapter = ctx.url_adapter
            if endpoint[:1] == ".":
                blueprint = ctx.request.blueprint
                endpoint = endpoint[1:] if blueprint is None else blueprint + endpoint
            if _external is None:
                _external = _scheme is not None
        else:
            adapter = self._adapter_outside_request()
            if _external is None:
                _external = True
        if _scheme is not None and not _external:
            raise ValueError("When specifying '_scheme', '_external' must be True.")
        self.inject_url_defaults(endpoint, values)
        try:
            url: str = adapter.build(
                endpoint, values, _method, _external, True, _scheme
            )
        except BuildError as exc:
            values |= {"_anchor": _anchor, "_method": _method}
            values |= {"_scheme": _scheme, "_external": _external}
            return self.handle_url_build_error(exc, endpoint, values)
        if _anchor is not None:
            url = f"{url}#{quote(_anchor, safe='%!#$&()*+,/:;=?@')}"
        return url

    def _adapter_outside_request(self) -> MapAdapter:
        ctx = _current.get()[0]
        adapter = self.create_url_adapter(None) if ctx is None else ctx.url_adapter
        if adapter is None:
            raise RuntimeError(
                "Unable to build URLs outside an active request without 'SERVER_NAME'"
                " configured. Also configure 'APPLICATION_ROOT' and"
                " 'PREFERRED_URL_SCHEME' as needed."
            )
        return adapter

    def inject_url_defaults(self, endpoint: str, values: dict[str, t.Any]) -> None:
        """Let the `url_defaults` functions add to the values of a URL.

        Those of the application, then those of the endpoint's blueprints,
        the outermost first.
        """
        functions = self.url_default_functions
        for function in functions.get(None, ()):
            function(endpoint, values)
        dot = endpoint.find(".")
        last = endpoint.rfind(".")
        while dot != -1:
            for function in functions.get(endpoint[:dot], ()):
                function(endpoint, values)
            dot = endpoint.find(".", dot + 1) if dot < last else -1

    def handle_url_build_error(
        self, error: BuildError, endpoint: str, values: dict[str, t.Any]
    ) -> str:
        """Ask the build-error handlers for a URL, the first that knows wins.

        Raises:
            BuildError: None of them knows.
        """
        for handler in self.url_build_error_handlers:
            try:
                url = handler(error, endpoint, values)
            except BuildError as exc:
                error = exc
            else:
                if url is not None:
                    return url
        raise error

    # Templates and files

    def update_template_context(self, context: dict[str, t.Any]) -> None:
        """Add what the context processors give to a template's values.

        The values that are there already win; processors of the request's
        blueprints win over the application's.
        """
        names: list[str | None] = [None]
        ctx = _current.get()[1]
        if ctx is not None:
            names += reversed(ctx.request.blueprints)
        given = context.copy()
        for name in names:
            for function in self.template_context_processors.get(name, ()):
                context.update(self.ensure_sync(function)())
        context.update(given)

    def open_instance_resource(
        self, resource: str, mode: str = "rb", encoding: str | None = "utf-8"
    ) -> t.IO[t.Any]:
        """Open a file of the instance folder.

        Args:
            resource: Path below the instance folder.
            mode: As for `open`.
            encoding: Of a file opened as text.
        """
        path = os.path.join(self.instance_path, resource)
        if "b" in mode:
            return open(path, mode)  # the caller closes it
        return open(path, mode, encoding=encoding)

    # What people run

    def make_shell_context(self) -> dict[str, t.Any]:
        """Collect the names that the shell has from the start."""
        names: dict[str, t.Any] = {"app": self, "g": _proxies.g}
        for processor in self.shell_context_processors:
            names.update(processor())
        return names

    def run(
        self,
        host: str | None = None,
        port: int | None = None,
        debug: bool | None = None,
        load_dotenv: bool = True,
        **options: t.Any,
    ) -> None:
        """Run the development server; production has servers of its own.

        Args:
            host: Address to listen on; by default SERVER_NAME's, or 127.0.0.1.
            port: By default SERVER_NAME's, or 5000.
            debug: Turn debugging on or off.
            load_dotenv: Read `.env` and `.flaskenv` first.
            **options: As `werkzeug.serving.run_simple`.
        """
        from ._devserver import run

        run(self, host, port, debug, load_dotenv, **options)

    def test_client(self, use_cookies: bool = True, **kwargs: t.Any) -> ErlenClient:
        """Make a client that calls this application.

        Args:
            use_cookies: Keep cookies between requests.
            **kwargs: For the client's class, such as `validate=True`, or
                `door="asgi"` for requests through `app.asgi`.
        """
        from .testing import ErlenClient

        cls: t.Any = self.test_client_class or ErlenClient
        client = cls(self, self.response_class, use_cookies=use_cookies, **kwargs)
        return t.cast("ErlenClient", client)

    def async_test_client(
        self, use_cookies: bool = True, **kwargs: t.Any
    ) -> AsyncErlenClient:
        """Make a client for async functions, which calls `app.asgi`.

        Args:
            use_cookies: Keep cookies between requests.
            **kwargs: As for `test_client`.
        """
        from .testing import AsyncErlenClient

        kwargs["door"] = "asgi"
        return AsyncErlenClient(self.test_client(use_cookies, **kwargs))

    def test_cli_runner(self, **kwargs: t.Any) -> ErlenCliRunner:
        """Make a runner for this application's commands."""
        from .testing import ErlenCliRunner

        cls: t.Any = self.test_cli_runner_class or ErlenCliRunner
        return t.cast("ErlenCliRunner", cls(self, **kwargs))


# As they are written here: a class that is patched has other ones.
_STEPS = {step: getattr(Erlen, step) for step in STEPS}
