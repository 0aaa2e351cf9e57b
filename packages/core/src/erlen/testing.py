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

from ._commands import ScriptInfo

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
        validate: Check every call, both sides of it, with `wsgiref.validate`.
        kwargs: Passed to `werkzeug.test.Client`.
    """

    application: t.Any
    preserve_context = False

    def __init__(self, *args: t.Any, validate: bool = False, **kwargs: t.Any) -> None:
        super().__init__(*args, **kwargs)
        self._kept: list[contextlib.AbstractContextManager[t.Any]] = []
        self._contexts = contextlib.ExitStack()
        self._checked: Client | None = None
        if validate:
            self._checked = Client(_checked(self.application))
            self._checked._cookies = self._cookies  # one jar for both
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
        """Call the application, through the validator if that was asked for.

        Args:
            environ: The WSGI environ of the request.
            buffered: Read the whole body and close it before returning.

        Returns:
            Body, status line and headers.
        """
        if self._checked is None:
            return super().run_wsgi_app(environ, buffered)
        return self._checked.run_wsgi_app(environ, buffered)

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
