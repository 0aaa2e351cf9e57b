"""Layer 4: the test client, the command runner and the environ builder.

Werkzeug's and click's tools, told about the application: its URLs, its
sessions, its contexts and its commands. Imported on first use only, because
applications that serve never need it.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import typing as t
from urllib.parse import urlsplit
from wsgiref.validate import IteratorWrapper
from wsgiref.validate import validator

import werkzeug.test
from click.testing import CliRunner
from werkzeug.test import Client
from werkzeug.wrappers import Request
from werkzeug.wsgi import get_current_url

from ._asgi_client import AsgiServer
from ._asgi_client import AsyncCalls
from ._asgi_client import Lifespan
from ._commands import ScriptInfo
from ._websocket_client import AsyncClientWebSocket
from ._websocket_client import ClientWebSocket
from ._websocket_client import WebSocketRejected as WebSocketRejected

if t.TYPE_CHECKING:
    import collections.abc as cabc
    from wsgiref.types import StartResponse
    from wsgiref.types import WSGIApplication
    from wsgiref.types import WSGIEnvironment

    from click.testing import Result
    from werkzeug.datastructures import Headers
    from werkzeug.test import TestResponse

    from ._protocols import Application

# PERF: reading the metadata took 0.2 ms for each client, and the rest 0.015 ms.
_version = functools.cache(importlib.metadata.version)

#: Where the door finds a function that takes the contexts to be kept.
_PRESERVE = "werkzeug.debug.preserve_context"


class EnvironBuilder(werkzeug.test.EnvironBuilder):
    """Build a WSGI environ whose base URL comes from the application's configuration.

    Args:
        app: The application to take `SERVER_NAME`, `APPLICATION_ROOT` and
            `PREFERRED_URL_SCHEME` from.
        path: URL path, with or without a query; of a full URL, the scheme and the
            host win over the configuration.
        base_url: Scheme, host and script root, instead of the configuration's.
        subdomain: Put before `SERVER_NAME`.
        url_scheme: Used instead of `PREFERRED_URL_SCHEME`.
        args: Passed to `werkzeug.test.EnvironBuilder`.
        kwargs: Passed to `werkzeug.test.EnvironBuilder`.

    Raises:
        AssertionError: `base_url` is given together with `subdomain` or
            `url_scheme`.
    """

    def __init__(
        self,
        app: Application,
        path: str = "/",
        base_url: str | None = None,
        subdomain: str | None = None,
        url_scheme: str | None = None,
        *args: t.Any,
        **kwargs: t.Any,
    ) -> None:
        self.app = app
        if base_url is None:
            base_url, path = self._place(path, subdomain, url_scheme)
        elif subdomain or url_scheme:
            raise AssertionError(
                'Cannot pass "subdomain" or "url_scheme" with "base_url": the base'
                " URL holds both already."
            )
        super().__init__(path, base_url, *args, **kwargs)

    def _place(
        self, path: str, subdomain: str | None, url_scheme: str | None
    ) -> tuple[str, str]:
        """Return the base URL and the rest of `path`, which may be a full URL."""
        config = self.app.config
        url = urlsplit(path)
        host = url.netloc or config["SERVER_NAME"] or "localhost"
        if subdomain and not url.netloc:
            host = f"{subdomain}.{host}"
        scheme = url.scheme or url_scheme or config["PREFERRED_URL_SCHEME"]
        root = config["APPLICATION_ROOT"].lstrip("/")
        query = f"?{url.query}" if url.query else ""
        return f"{scheme}://{host}/{root}", url.path + query

    def json_dumps(self, obj: t.Any, **kwargs: t.Any) -> str:
        """Serialize `obj` as the application's responses would be.

        Args:
            obj: The value of the `json` argument.
            kwargs: Passed to `app.json.dumps`.

        Returns:
            JSON text.
        """
        return t.cast("str", self.app.json.dumps(obj, **kwargs))


class ErlenClient(Client):
    """Send requests to an application without a server.

    As a context manager it keeps the contexts of the last request pushed until the
    next request or the end of the block, so that `request`, `session` and `g` can be
    looked at.

    Args:
        args: Passed to `werkzeug.test.Client`: application, response class, ...
        validate: Check every call: over WSGI both sides of it, with
            `wsgiref.validate`; over ASGI the messages that the application sends.
        door: "wsgi", or "asgi" for `app.asgi`, on an event loop of the client's own.
        kwargs: Passed to `werkzeug.test.Client`.

    Raises:
        ValueError: There is no such door.
    """

    application: t.Any
    preserve_context = False

    def __init__(
        self,
        *args: t.Any,
        validate: bool = False,
        door: str = "wsgi",
        **kwargs: t.Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._kept: list[contextlib.AbstractContextManager[t.Any]] = []
        self._contexts = contextlib.ExitStack()
        self._server: Client | None = None
        server = _serve(self.application, door, validate)
        if server is not None:
            self._server = Client(server)
            self._server._cookies = self._cookies  # one jar for both
        self.environ_base: dict[str, t.Any] = {
            "REMOTE_ADDR": "127.0.0.1",
            "HTTP_USER_AGENT": f"Werkzeug/{_version('werkzeug')}",
        }

    @contextlib.contextmanager
    def session_transaction(
        self, *args: t.Any, **kwargs: t.Any
    ) -> cabc.Generator[t.Any]:
        """Open the session that the next request will see, save it at the end.

        Args:
            args: Passed to `app.test_request_context`, for session back ends that
                look at the request.
            kwargs: Passed to `app.test_request_context`.

        Yields:
            The session. No context is pushed inside the block.

        Raises:
            TypeError: The client was made with `use_cookies=False`.
            RuntimeError: The session back end gave no session.
        """
        if self._cookies is None:
            raise TypeError(
                "Cookies are disabled, and a session needs them. Create a client"
                " with 'use_cookies=True'."
            )
        app = self.application
        interface = app.session_interface
        ctx = app.test_request_context(*args, **kwargs)
        environ = ctx.request.environ
        self._add_cookies_to_wsgi(environ)
        with ctx:
            session = interface.open_session(app, ctx.request)
        if session is None:
            raise RuntimeError(
                f"Session backend did not open a session: {type(interface).__name__}"
                ".open_session() returned None. The signed cookie needs"
                " app.secret_key."
            )
        yield session
        if interface.is_null_session(session):
            return
        response = app.response_class()
        with ctx:
            interface.save_session(app, session, response)
        url = urlsplit(get_current_url(environ))
        self._update_cookies_from_response(
            url.hostname or "localhost",
            url.path,
            response.headers.getlist("Set-Cookie"),
        )

    def open(
        self,
        *args: t.Any,
        buffered: bool = False,
        follow_redirects: bool = False,
        **kwargs: t.Any,
    ) -> TestResponse:
        """Send a request.

        Args:
            args: An environ builder, an environ, a request, or what
                `EnvironBuilder` takes after the application.
            buffered: Read the whole body and close it before returning.
            follow_redirects: Go on until the answer is no redirect; the answers in
                between are in `response.history`.
            kwargs: Passed to `EnvironBuilder`.

        Returns:
            The response, with the `request` that led to it.
        """
        request = self._make_request(args, kwargs)
        self._contexts.close()
        self._kept.clear()  # of a request that raised
        response = super().open(
            request, buffered=buffered, follow_redirects=follow_redirects
        )
        for answer in (*response.history, response):
            answer.json_module = self.application.json
        while self._kept:
            self._contexts.enter_context(self._kept.pop(0))
        return response

    def websocket(
        self, *args: t.Any, subprotocols: cabc.Iterable[str] = (), **kwargs: t.Any
    ) -> ClientWebSocket:
        """Open a WebSocket, through the ASGI door whatever the client's is.

        Args:
            args: As for `open`.
            subprotocols: To choose from, the best one first.
            kwargs: As for `open`, such as `headers`.

        Returns:
            It is opened by `with`.

        Raises:
            WebSocketRejected: By `with`: the application did not accept it.
        """
        environ = self._make_request(args, kwargs).environ
        return ClientWebSocket(self, environ, subprotocols)

    def _make_request(
        self, args: tuple[t.Any, ...], kwargs: dict[str, t.Any]
    ) -> Request:
        """Return the request that `open` is asked to send."""
        first = args[0] if len(args) == 1 and not kwargs else None
        environ: WSGIEnvironment
        if isinstance(first, werkzeug.test.EnvironBuilder):
            environ = first.get_environ()
        elif isinstance(first, dict):
            environ = t.cast("WSGIEnvironment", first)
        elif isinstance(first, Request):
            environ = first.environ
        else:
            kwargs["environ_base"] = self.environ_base | kwargs.get("environ_base", {})
            builder = EnvironBuilder(self.application, *args, **kwargs)
            try:
                environ = builder.get_environ()
            finally:
                builder.close()
        environ = self.environ_base | environ
        environ.pop(_PRESERVE, None)  # of a request that is sent again
        if self.preserve_context:
            environ[_PRESERVE] = self._kept.append
        return Request(environ)

    def run_wsgi_app(
        self, environ: WSGIEnvironment, buffered: bool = False
    ) -> tuple[cabc.Iterable[bytes], str, Headers]:
        """Call the application, through the validator or the door that was asked for.

        Args:
            environ: The WSGI environ of the request.
            buffered: Read the whole body and close it before returning.

        Returns:
            Body, status line and headers.
        """
        if self._server is None:
            return super().run_wsgi_app(environ, buffered)
        return self._server.run_wsgi_app(environ, buffered)

    def __enter__(self) -> t.Self:
        if self.preserve_context:
            raise RuntimeError(
                "Cannot nest client invocations: this client is in a 'with' block"
                " already. Make a second one with app.test_client()."
            )
        self.preserve_context = True
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.preserve_context = False
        self._contexts.close()


def _serve(app: t.Any, door: str, validate: bool) -> WSGIApplication | None:
    """Return what a client calls instead of the application itself, if anything."""
    if door == "asgi":
        return AsgiServer(app, validate)
    if door != "wsgi":
        raise ValueError(f'\'door\' is "wsgi" or "asgi", not {door!r}.')
    return _checked(app) if validate else None


def _checked(app: WSGIApplication) -> WSGIApplication:
    """Wrap `app` in `wsgiref.validate`, at peace with Werkzeug on both sides.

    The standard validator refuses `wsgi.input.read()` without a size, which every
    server allows and Werkzeug does, so the size is filled in. It also complains
    about a body that nobody closed; every server closes it in the end, and so does
    this.
    """

    def inner(
        environ: WSGIEnvironment, start_response: StartResponse
    ) -> cabc.Iterable[bytes]:
        stream = environ["wsgi.input"]
        sized_read = stream.read
        stream.read = lambda size=-1: sized_read(size)
        return app(environ, start_response)

    def outer(
        environ: WSGIEnvironment, start_response: StartResponse
    ) -> cabc.Iterable[bytes]:
        return _Body.of(validated(environ, start_response))

    validated: t.Any = validator(inner)
    return outer


class _Body(IteratorWrapper):
    """A validated body that may be dropped without having been closed.

    The client is the server here, and a test that does not read a response to
    its end is no fault of the application. It is closed all the same.
    """

    @classmethod
    def of(cls, body: t.Any) -> t.Self:
        """Turn what the validator returned into one of these."""
        body.__class__ = cls
        return t.cast("t.Self", body)

    def __del__(self) -> None:
        if not self.closed:
            self.close()


class AsyncErlenClient:
    """Send requests from async functions, through the ASGI door.

    The application runs on the event loop of the caller. As an asynchronous context
    manager it runs the start-up functions before the block, and the shutdown
    functions after it, as a server does. No contexts are kept.

    Args:
        client: It has the cookies, and makes requests and responses.
    """

    def __init__(self, client: ErlenClient) -> None:
        self.application: t.Any = client.application
        self._client = client
        self._calls = AsyncCalls()
        self._lifespan: Lifespan | None = None
        self.get_cookie = client.get_cookie
        self.set_cookie = client.set_cookie
        self.delete_cookie = client.delete_cookie
        #: As `ErlenClient.session_transaction`, with a plain `with`.
        self.session_transaction = client.session_transaction

    async def open(self, *args: t.Any, **kwargs: t.Any) -> TestResponse:
        """Send a request and wait for the whole answer.

        Where the task is cancelled, so is the application's.

        Args:
            args: As for `ErlenClient.open`.
            kwargs: As for `ErlenClient.open`, such as `follow_redirects`.

        Returns:
            The response, with the `request` that led to it.
        """
        return await self._calls.do(
            self._client.open, *args, **kwargs | {"buffered": True}
        )

    async def get(self, *args: t.Any, **kwargs: t.Any) -> TestResponse:
        """Send a GET request, as `open` does."""
        return await self.open(*args, **kwargs, method="GET")

    async def post(self, *args: t.Any, **kwargs: t.Any) -> TestResponse:
        """Send a POST request, as `open` does."""
        return await self.open(*args, **kwargs, method="POST")

    async def put(self, *args: t.Any, **kwargs: t.Any) -> TestResponse:
        """Send a PUT request, as `open` does."""
        return await self.open(*args, **kwargs, method="PUT")

    async def patch(self, *args: t.Any, **kwargs: t.Any) -> TestResponse:
        """Send a PATCH request, as `open` does."""
        return await self.open(*args, **kwargs, method="PATCH")

    async def delete(self, *args: t.Any, **kwargs: t.Any) -> TestResponse:
        """Send a DELETE request, as `open` does."""
        return await self.open(*args, **kwargs, method="DELETE")

    async def head(self, *args: t.Any, **kwargs: t.Any) -> TestResponse:
        """Send a HEAD request, as `open` does."""
        return await self.open(*args, **kwargs, method="HEAD")

    async def options(self, *args: t.Any, **kwargs: t.Any) -> TestResponse:
        """Send an OPTIONS request, as `open` does."""
        return await self.open(*args, **kwargs, method="OPTIONS")

    def websocket(
        self, *args: t.Any, subprotocols: cabc.Iterable[str] = (), **kwargs: t.Any
    ) -> AsyncClientWebSocket:
        """Open a WebSocket, as `ErlenClient.websocket` does, by `async with`."""
        environ = self._client._make_request(args, kwargs).environ
        return AsyncClientWebSocket(self._client, environ, subprotocols)

    @contextlib.asynccontextmanager
    async def stream(
        self, *args: t.Any, **kwargs: t.Any
    ) -> cabc.AsyncGenerator[StreamedResponse]:
        """Send a request, and read the answer while it is made.

        The end of the block leaves, whether all has been read or not.

        Args:
            args: As for `ErlenClient.open`.
            kwargs: As for `ErlenClient.open`.

        Yields:
            The answer, an asynchronous iterator of its pieces.
        """
        response = await self._calls.do(self._client.open, *args, **kwargs)
        try:
            yield StreamedResponse(response, self._calls)
        finally:
            await self._calls.do(response.close)

    async def __aenter__(self) -> t.Self:
        if self._lifespan is not None:
            raise RuntimeError(
                "This client is in an 'async with' block already. Make a second one"
                " with app.async_test_client()."
            )
        lifespan = Lifespan(self.application.asgi)
        await lifespan.begin()
        self._lifespan = lifespan
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        lifespan, self._lifespan = self._lifespan, None
        if lifespan is not None:
            await lifespan.end()


class StreamedResponse:
    """The beginning of an answer, and its body as it is made.

    Args:
        response: The response, of which nothing has been read.
        calls: Where it is read.
    """

    def __init__(self, response: TestResponse, calls: AsyncCalls) -> None:
        self.status_code = response.status_code
        self.headers = response.headers
        self.mimetype = response.mimetype
        self._pieces = iter(response.response)
        self._calls = calls

    def __aiter__(self) -> t.Self:
        return self

    async def __anext__(self) -> bytes:
        piece: t.Any = await self._calls.do(next, self._pieces, None)
        if piece is None:
            raise StopAsyncIteration
        return t.cast("bytes", piece)


class ErlenCliRunner(CliRunner):
    """Run an application's commands in the same process.

    Args:
        app: The application whose commands run.
        kwargs: Passed to `click.testing.CliRunner`.
    """

    def __init__(self, app: t.Any, **kwargs: t.Any) -> None:
        self.app = app
        super().__init__(**kwargs)

    def invoke(  # type: ignore[override]
        self, cli: t.Any = None, args: t.Any = None, **kwargs: t.Any
    ) -> Result:
        """Run a command and return what it printed and how it ended.

        Args:
            cli: The command; `app.cli` by default.
            args: Its arguments, as a list or as one string.
            kwargs: Passed to `click.testing.CliRunner.invoke`; `obj` is a
                `ScriptInfo` that gives the application, unless it is passed.

        Returns:
            Exit code, output and exception.
        """
        if cli is None:
            cli = self.app.cli
        if "obj" not in kwargs:
            kwargs["obj"] = ScriptInfo(create_app=lambda: self.app)
        return super().invoke(cli, args, **kwargs)


# COMPAT: the names that Flask's users import.
FlaskClient = ErlenClient
FlaskCliRunner = ErlenCliRunner
