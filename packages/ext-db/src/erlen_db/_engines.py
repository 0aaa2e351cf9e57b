"""Engines with defaults that suit a server, each with its switch.

What the user's engine options say wins. Whatever a database that is away raises,
at whatever step, becomes an error that is a 503, and is logged with its cause.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import typing as t

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy import exc as sa_exc
from sqlalchemy.pool import AsyncAdaptedQueuePool
from sqlalchemy.pool import QueuePool

from erlen.extension import ConfigError

from . import _limits
from . import _mariadb
from . import _postgresql
from . import _sqlite
from .errors import DatabaseBusy
from .errors import DatabaseUnavailable
from .errors import PoolExhausted
from .errors import StaleSnapshot

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from sqlalchemy.engine.interfaces import ExceptionContext
    from sqlalchemy.ext.asyncio import AsyncEngine
    from sqlalchemy.pool import Pool
    from sqlalchemy.pool import PoolProxiedConnection

Options = dict[str, t.Any]

#: How each of the databases that we know is set up.
_FAMILIES: dict[str, t.Any] = {
    "mariadb": _mariadb,
    "mysql": _mariadb,
    "postgresql": _postgresql,
    "sqlite": _sqlite,
}

_EXTRAS = {**_mariadb.EXTRAS, **_postgresql.EXTRAS, **_sqlite.EXTRAS}

_log = logging.getLogger("erlen_db")


def make_engine(app: t.Any, bind_key: str | None, options: Options) -> sa.Engine:
    """Make the engine of a bind key.

    Args:
        app: The application.
        bind_key: The bind key; None is the default database.
        options: What `sqlalchemy.create_engine` takes, and its `url`.

    Raises:
        ConfigError: The URL is wrong, or its driver is not installed.
    """
    plan = _Plan(app, bind_key, options)
    url = plan.choose_driver()
    url = plan.set_defaults(url, QueuePool)
    with plan.explained(url):
        engine = sa.create_engine(url, **plan.options)
    plan.listen(engine)
    return engine


def make_async_engine(
    app: t.Any, bind_key: str | None, options: Options
) -> AsyncEngine:
    """Make the engine of a bind key for async views, with the async driver.

    Args:
        app: The application.
        bind_key: The bind key; None is the default database.
        options: What `sqlalchemy.create_engine` takes, and its `url`.

    Raises:
        ConfigError: The URL is wrong, or its driver is not installed.
    """
    plan = _Plan(app, bind_key, options)
    url = plan.choose_async_driver()
    url = plan.set_defaults(url, AsyncAdaptedQueuePool)
    with plan.explained(url):
        if plan.family in {_mariadb, _postgresql}:
            plan.family.set_async_defaults(app, url, plan.options)
        # Needs greenlet, which comes with the extra.
        from sqlalchemy.ext.asyncio import create_async_engine

        engine = create_async_engine(url, **plan.options)
    plan.listen(engine.sync_engine)
    return engine


def name_setting(bind_key: str | None) -> str:
    """Return the name of the setting that has the URL of a bind key."""
    if bind_key is None:
        return "SQLALCHEMY_DATABASE_URI"
    return f"SQLALCHEMY_BINDS[{bind_key!r}]"


class _Plan:
    """An engine that is to be made.

    Args:
        app: The application.
        bind_key: The bind key; None is the default database.
        options: What `sqlalchemy.create_engine` takes, and its `url`.
    """

    def __init__(self, app: t.Any, bind_key: str | None, options: Options) -> None:
        self._app = app
        self.setting = name_setting(bind_key)
        self.options = dict(options)
        self.options["connect_args"] = dict(options.get("connect_args", {}))
        self._url = _parse(self.setting, self.options.pop("url"))
        self.family: t.Any = _FAMILIES.get(self._url.get_backend_name())

    def choose_driver(self) -> sa.URL:
        """Return the URL, with a driver that is installed if it names none."""
        url = self._url
        if self.family is None or "+" in url.drivername:
            return url
        drivers: dict[str, str] = self.family.DRIVERS
        first: str = url.get_dialect().driver  # SQLAlchemy's choice, by its version
        found = [it for it in (first, *drivers) if _is_installed(drivers[it])]
        if found[:1] == [first]:
            return url
        # Where there is none, the error names that of our extra.
        return url.set(drivername=f"{url.drivername}+{(found or list(drivers))[0]}")

    def choose_async_driver(self) -> sa.URL:
        """Return the URL with an async driver."""
        url = self._url
        with self.explained(url):
            if self.family is None or url.get_dialect().is_async:
                return url
        return url.set(
            drivername=f"{url.get_backend_name()}+{self.family.ASYNC_DRIVER}"
        )

    def set_defaults(self, url: sa.URL, queue: type[QueuePool]) -> sa.URL:
        """Fill in the engine options that nobody has set."""
        options = self.options
        given = set(options)
        if self.family is None:
            options.setdefault("pool_pre_ping", True)
        else:
            url = self.family.set_defaults(self._app, url, options)
        if "pool" in options:  # has what it was made with
            for name in options.keys() - given:
                del options[name]
            return url
        poolclass = options.get("poolclass")
        if poolclass is None:
            with self.explained(url):
                dialect: t.Any = url.get_dialect()
                poolclass = queue if self.family else dialect.get_pool_class(url)
        elif poolclass is QueuePool:
            poolclass = queue
        if issubclass(poolclass, QueuePool):
            pool_timeout = _limits.read(self._app).pool
            options.setdefault("pool_timeout", pool_timeout)
        options["poolclass"] = _make_pool_class(poolclass, _describe(self.setting, url))
        return url

    def listen(self, engine: sa.Engine) -> None:
        """Attach to an engine what makes its errors answers, and the family's own."""
        handle = _Handler(self.family, _describe(self.setting, engine.url), engine.url)
        event.listen(engine, "handle_error", handle, retval=True)
        if self.family is not None:
            self.family.listen(self._app, engine, self.options)

    @contextlib.contextmanager
    def explained(self, url: sa.URL) -> cabc.Generator[None]:
        """Say of what SQLAlchemy does not take which setting it is in."""
        try:
            yield
        except sa_exc.NoSuchModuleError:
            raise ConfigError(
                f"{self.setting} is a URL of {url.drivername!r}, and SQLAlchemy knows no"
                " such database or driver. Known are sqlite:///app.db,"
                " postgresql://user:password@host/name and"
                " mariadb://user:password@host/name; others need their package."
            ) from None
        except sa_exc.ArgumentError as exc:
            text = _hide_password(url, str(exc))
            raise ConfigError(f"{self.setting} does not fit: {text}") from None
        except ImportError as exc:
            raise ConfigError(_name_extra(self.setting, url, exc)) from exc


def _parse(setting: str, url: t.Any) -> sa.URL:
    """Parse a URL without telling the world its password.

    Raises:
        ConfigError: It is none.
    """
    if isinstance(url, str) and url.startswith("postgres://"):
        raise ConfigError(
            f"{setting} begins with postgres://, a name that SQLAlchemy no longer"
            " knows. Write postgresql:// instead."
        )
    try:
        return sa.make_url(url)
    except (sa_exc.ArgumentError, ValueError, TypeError):
        # Not their words: they may have the URL, or a piece of the password.
        raise ConfigError(
            f"{setting} is no URL of a database, which look like sqlite:///app.db or"
            " postgresql://user:password@host:5432/name. In user and password,"
            " percent-encode each of the characters : / ? # [ ] @ and %."
        ) from None


def _name_extra(setting: str, url: sa.URL, exc: ImportError) -> str:
    driver = url.drivername.partition("+")[2]
    extra = _EXTRAS.get(driver)
    cure = (
        f'pip install "erlen-db[{extra}]"'
        if extra
        else f"install the package that has {exc.name or driver!r}"
    )
    return (
        f"{setting} is a URL of {url.drivername!r}, whose driver cannot be imported:"
        f" {exc}. Install it: {cure}"
    )


def _hide_password(url: sa.URL, text: str) -> str:
    password = url.password
    if not password or password in {url.username, url.host, url.database}:
        return text  # is no secret
    return text.replace(password, "***")


def _describe(setting: str, url: sa.URL) -> str:
    shown = url.set(query={}).render_as_string(hide_password=True)
    return f"{setting} ({shown})"


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _make_pool_class(poolclass: type[Pool], name: str) -> type[Pool]:
    """Derive a class of pools whose errors are answers."""

    def connect(self: Pool) -> PoolProxiedConnection:
        try:
            return poolclass.connect(self)
        except sa_exc.TimeoutError as exc:
            error = PoolExhausted(_EXHAUSTED.format(name=name, pool=self.status()))
            _log.warning("%s", error)
            raise error from exc
        except OSError as exc:  # a driver has let it through
            _log.warning("%s does not answer: %s", name, _tell(exc))
            raise DatabaseUnavailable(orig=exc) from exc

    # By the name that it has in logs.
    return type(poolclass.__name__, (poolclass,), {"connect": connect})


_EXHAUSTED = (
    "All connections of the pool of {name} are in use, and none came back within"
    " SQLALCHEMY_POOL_TIMEOUT. Give them back sooner, such as by db.release() before"
    ' slow work, or allow more: "pool_size" and "max_overflow" in'
    " SQLALCHEMY_ENGINE_OPTIONS. {pool}"
)

_STALE = (
    "%s: a transaction that began for reading wants to write, and another one has"
    " written meanwhile. Begin with db.transaction() what is going to write: %s%s"
)


def _tell(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


class _Handler:
    """Makes answers of what a database raises that is away or busy, and logs why.

    It is SQLAlchemy's event "handle_error".

    Args:
        family: The module that knows the database; None is a foreign one.
        name: What the database is called in the log.
        url: Its URL.
    """

    def __init__(self, family: t.Any, name: str, url: sa.URL) -> None:
        self._family = family
        self._name = name
        self._url = url

    def __call__(self, ctx: ExceptionContext) -> BaseException | None:
        """Return what is raised instead; None is what SQLAlchemy raises itself."""
        orig = ctx.original_exception
        broken = isinstance(orig, OSError)  # a driver has let it through
        if broken or (self._family is not None and self._family.is_lost(orig)):
            ctx.is_disconnect = True
        known = isinstance(ctx.sqlalchemy_exception, sa_exc.DBAPIError)
        if ctx.is_pre_ping or not (known or broken):
            return None
        kind = self._find_kind(ctx, orig)
        if kind is None:
            return None
        self._report(ctx, kind, orig)
        return kind(
            ctx.statement,
            ctx.parameters,
            orig,
            connection_invalidated=ctx.is_disconnect,
        )

    def _find_kind(
        self, ctx: ExceptionContext, orig: BaseException
    ) -> type[DatabaseUnavailable] | None:
        if ctx.is_disconnect:
            return DatabaseUnavailable
        kind: type[DatabaseUnavailable] | None = None
        if self._family is not None:
            kind = self._family.find_error(orig)
        if kind is None and ctx.connection is None:  # while connecting
            return DatabaseUnavailable
        return kind

    def _report(
        self,
        ctx: ExceptionContext,
        kind: type[DatabaseUnavailable],
        orig: BaseException,
    ) -> None:
        """Log the cause, which the answer does not tell."""
        cause = _hide_password(self._url, _tell(orig))
        where = f" [SQL: {ctx.statement}]" if ctx.statement else ""
        if kind is StaleSnapshot or (
            # SQLite lets nobody wait who has read before.
            kind is DatabaseBusy and self._family is _sqlite and ctx.statement
        ):
            _log.warning(_STALE, self._name, cause, where)
        elif kind is not DatabaseUnavailable:
            _log.warning("%s is busy or slow: %s%s", self._name, cause, where)
        elif ctx.connection is None and self._needs_set_up(orig):
            _log.error(
                "%s cannot be used as it is set up, and will not before that is"
                " mended: %s",
                *(self._name, cause),
            )
        else:
            _log.warning("%s does not answer: %s%s", self._name, cause, where)

    def _needs_set_up(self, orig: BaseException) -> bool:
        return self._family is not None and self._family.needs_set_up(orig)
