"""Layer 2: Extensible, what extensions register with an application.

Tables and nothing more: the command line and whoever asks reads them, no
request does. `erlen.extension` is the contract that names them.
"""

from __future__ import annotations

import contextlib
import typing as t

from ._keys import Signer
from ._scaffold import Scaffold
from ._scaffold import setupmethod

if t.TYPE_CHECKING:
    import collections.abc as cabc
    from datetime import timedelta
    from types import ModuleType

    from _typeshed.wsgi import WSGIApplication
    from werkzeug.routing import Rule

    from ._checks import Check
    from .config import Config

F = t.TypeVar("F", bound=t.Callable[[], t.Any])
V = t.TypeVar("V")


class Extensible(Scaffold):
    """What an application offers to extensions."""

    config: Config

    #: Applications below a prefix, the longest prefix first.
    _mounts: tuple[tuple[str, WSGIApplication], ...] = ()

    #: Whether the start-up functions have run, in this process.
    _begun = False

    #: Their running, over ASGI.
    _beginning: t.Any = None

    def __init__(self, *args: t.Any, **kwargs: t.Any) -> None:
        super().__init__(*args, **kwargs)
        self._startup_funcs: list[t.Callable[[], t.Any]] = []
        self._shutdown_funcs: list[t.Callable[[], t.Any]] = []
        self._checks: dict[str, Check] = {}
        self._health: dict[str, t.Callable[[], t.Any]] = {}
        self._route_columns: dict[
            str, t.Callable[[Rule, t.Callable[..., t.Any] | None], str | None]
        ] = {}

    @contextlib.contextmanager
    def _owned_by(self, name: str) -> cabc.Generator[None]:
        """Let what is registered meanwhile belong to the extension `name`."""
        config = self.config
        before, config._owner = config._owner, name
        try:
            yield
        finally:
            config._owner = before

    def _register(self, table: dict[str, V], what: str, name: str, entry: V) -> None:
        if name in table:
            owner = getattr(table[name], "owner", None)
            raise ValueError(
                f"The {what} {name!r} is registered already{f' by {owner!r}' * bool(owner)}."
                f" {self.config._owner!r} has to give its own another name."
            )
        table[name] = entry

    @setupmethod
    def on_startup(self, f: F) -> F:
        """Run a function before the first request of each worker process.

        Over ASGI that is when the server starts, and what it raises ends the
        server. Over WSGI, which does not tell, it is when the first request
        comes, and what it raises is raised there; the next request tries again.

        Args:
            f: Called without arguments, in an application context; may be
                `async def`.
        """
        self._startup_funcs.append(f)
        return f

    @setupmethod
    def on_shutdown(self, f: F) -> F:
        """Run a function after the last request of each worker process.

        Over ASGI that is when the server stops, over WSGI when the process
        ends, if it ends in an orderly way. The last that was declared is the
        first to run, and all of them run.

        Args:
            f: Called without arguments, in an application context; may be
                `async def`.
        """
        self._shutdown_funcs.append(f)
        return f

    def signer(self, purpose: str, max_age: timedelta | float | None = None) -> Signer:
        """Make what signs values for one purpose, with the keys of `SECRET_KEY`.

        Args:
            purpose: Such as `"acme-mail.unsubscribe"`. What is signed for one
                purpose is refused for every other.
            max_age: For how long a token is valid, in seconds or as a
                timedelta; None is for ever.
        """
        return Signer(self, purpose, max_age)

    @setupmethod
    def add_check(
        self,
        id: str,
        function: t.Callable[[t.Any], t.Any],
        *,
        deploy: bool = False,
    ) -> None:
        """Add a check of the set-up, for `erlen check`.

        Args:
            id: Such as `"acme-mail.server"`.
            function: Called with the application. Returns None, a
                `erlen.extension.Problem` or several of them.
            deploy: Check only with `erlen check --deploy`.

        Raises:
            ValueError: The id is taken, or one of the core's.
        """
        from ._checks import Check  # not needed to serve

        if id.startswith("core."):
            raise ValueError(
                f"The check {id!r} cannot be added: `core.` is for Erlen's own checks."
                " Start the id with the name of your extension."
            )
        check = Check(id, function, deploy, self.config._owner)
        self._register(self._checks, "check", id, check)

    @setupmethod
    def add_health(self, name: str, function: t.Callable[[], t.Any]) -> None:
        """Add a function that says whether something this application needs is there.

        Args:
            name: What is asked for, such as `"mail"`.
            function: Returns if it is there, raises if it is not.

        Raises:
            ValueError: The name is taken.
        """
        self._register(self._health, "health function", name, function)

    @setupmethod
    def add_route_column(
        self,
        title: str,
        function: t.Callable[[Rule, t.Callable[..., t.Any] | None], str | None],
    ) -> None:
        """Add a column to the table of `erlen routes`.

        Args:
            title: The head of the column.
            function: Called with each rule and its view, which is None where
                there is none; returns the text of the cell.

        Raises:
            ValueError: The title is taken.
        """
        self._register(self._route_columns, "route column", title, function)

    @setupmethod
    def mount(self, prefix: str, application: WSGIApplication) -> None:
        """Serve another WSGI application below a prefix.

        It has its own hooks, sessions and errors; those of this application do
        not run for it. Middleware around `wsgi_app` and `PROXY_HOPS` do.

        Args:
            prefix: Such as `"/admin"`; the application sees it as its root.
            application: An Erlen or any other WSGI application.

        Raises:
            TypeError: `application` is no WSGI application.
            ValueError: The prefix is taken, or is none.
        """
        from ._discovery import check_mount

        mount = (check_mount(self, prefix, application), application)
        self._mounts = tuple(sorted((*self._mounts, mount), key=lambda it: -len(it[0])))

    @setupmethod
    def autodiscover(
        self, package: str | ModuleType, *, exclude: cabc.Collection[str] | None = None
    ) -> list[str]:
        """Import all modules of a package and register the blueprints in them.

        Args:
            package: The package, or its name; `".views"` is relative to the
                application's own. Its modules are imported in the order of
                their names, and a function `init_app` of theirs is called.
            exclude: Patterns of names, relative to the package, that are left
                out; by default tests and migrations.

        Returns:
            The names of the imported modules, in order.

        Raises:
            ImportError: The package or something that it imports is missing.
            ValueError: It is a plain module, or two blueprints have one name.
        """
        from ._discovery import autodiscover

        return autodiscover(self, package, exclude)
