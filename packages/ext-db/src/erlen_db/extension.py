"""`SQLAlchemy`, the extension: engines, sessions and models of an application."""

from __future__ import annotations

import os
import typing as t
import weakref

import sqlalchemy as sa
from sqlalchemy import exc as sa_exc
from sqlalchemy import orm
from sqlalchemy import pool as sa_pool
from sqlalchemy.util import ScopedRegistry

from erlen import current_app
from erlen import extension

from . import _checks
from . import _declarative
from . import _settings
from . import _watch
from . import keyset
from . import query as queries
from . import record_queries
from . import track_modifications
from . import transactions
from ._engines import make_engine
from ._names import Names
from .cli import add_models_to_shell
from .model import Model as _Model
from .pagination import SelectPagination
from .pagination import paginate_async
from .query import Query
from .session import Session
from .table import _Table

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from sqlalchemy.ext.asyncio import AsyncEngine
    from sqlalchemy.ext.asyncio import AsyncSession

    from erlen import Erlen
    from erlen.extension import Signer

    from ._async import AsyncSessions
    from .keyset import KeysetPagination
    from .pagination import Pagination
    from .transactions import Transaction

__all__ = ["SQLAlchemy"]

T = t.TypeVar("T")
F = t.TypeVar("F", bound=t.Callable[..., t.Any])
R = t.TypeVar("R")

if t.TYPE_CHECKING:
    #: A select whose rows begin with a T.
    FirstOf = sa.Select[T, *tuple[t.Any, ...]]

#: "Not given", where None means "no limit".
_UNSET: t.Any = object()

BindKeys = str | None | t.Sequence[str | None]

_NO_CONTEXT = (
    "The database is used outside of an application context, so it is unknown which"
    " application's it is. In a script, a thread or a test: with app.app_context(): ..."
)
_NOT_READY = (
    "The application {name!r} has not been set up with this SQLAlchemy object. Call"
    " db.init_app(app) first, and see that there is one db only, which all modules"
    " import."
)
_HELD = (
    "db.release() ends the transaction, and there are changes that are not committed."
    " Commit them, or roll them back, before."
)


class _Sessions(orm.sessionmaker[Session]):
    """Makes sessions.

    PERF: 1.4 us less than `sessionmaker`, which copies its options one by one.
    """

    def __call__(self, **local_kw: t.Any) -> Session:
        """Make a session."""
        return super().__call__(**local_kw) if local_kw else self.class_(**self.kw)


class _Registry(ScopedRegistry[Session]):
    """The session of each application context that has asked for one.

    PERF: looked up once, and without an exception for the first time in a context.
    """

    def __call__(self) -> Session:
        """Return the session of the current context; made when first asked for."""
        scope = self.scopefunc()
        session: Session | None = self.registry.get(scope)
        if session is None:
            if scope is None:
                raise RuntimeError(_NO_CONTEXT)
            session = self.registry[scope] = self.createfunc()
        return session

    def take(self) -> Session | None:
        """Take out the session of the context that ends, if it has one."""
        session: Session | None = self.registry.pop(self.scopefunc(), None)
        return session


def _find_limit(per_page: int | None, max_per_page: int | None) -> int | None:
    """Return the largest size of a page: nobody asked, so it limits the client alone."""
    if max_per_page is not _UNSET:
        return max_per_page
    return 100 if per_page is None else None


class _Listeners:
    """Attaches to a new engine what the settings ask for."""

    def __init__(self, app: t.Any) -> None:
        self._app = weakref.ref(app)

    def __call__(self, bind_key: str | None, engine: sa.Engine) -> bool:
        app: t.Any = self._app()
        if app.config["SQLALCHEMY_RECORD_QUERIES"]:
            record_queries.listen(app, engine)
        return _watch.listen(app, bind_key, engine)


def _leave_more(state: _State) -> None:
    ctx: t.Any = extension.current_context()
    try:
        if state.async_sessions is not None:
            state.async_sessions.leave(ctx)
    finally:
        _watch.finish(ctx.app, ctx)


_engines: weakref.WeakSet[sa.Engine] = weakref.WeakSet()


def _forget_connections() -> None:
    """Leave the connections of a forked process to its parent."""
    for engine in _engines:
        engine.dispose(close=False)


# Windows has no fork, and so not this function.
getattr(os, "register_at_fork", dict)(after_in_child=_forget_connections)


class _State:
    """What belongs to one application."""

    def __init__(
        self,
        engines: dict[str | None, sa.Engine],
        make_async_sessions: t.Callable[[], AsyncSessions],
        *,
        watched: bool,
    ) -> None:
        self.engines = engines
        #: Whether queries are counted for each context.
        self.watched = watched
        #: Signs the cursors of keyset pages.
        self.signer: Signer | None = None
        self._make_async_sessions = make_async_sessions
        self.async_sessions: AsyncSessions | None = None

    def get_async_sessions(self) -> AsyncSessions:
        """Return the async sessions; most applications never ask for them."""
        if self.async_sessions is None:
            self.async_sessions = self._make_async_sessions()
        return self.async_sessions


class SQLAlchemy(Names):
    """SQLAlchemy for applications: `db`, one object that all modules import.

    Args:
        app: Is set up at once; otherwise `init_app` does it later.
        metadata: The metadata of the default database.
        session_options: What sessions are made with; `class_` derives from
            `erlen_db.session.Session`, `scopefunc` says what a session lives as
            long as: by default it is the application context.
        query_class: The class of `Model.query` and of dynamic relationships.
        model_class: What models derive from: a plain class, or a declarative
            base (`DeclarativeBase`, `DeclarativeBaseNoMeta`, with
            `MappedAsDataclass` too, or `declarative_base()`'s).
        engine_options: Options of `create_engine` for all engines.
        add_models_to_shell: Whether `erlen shell` has `db` and all models.
        disable_autonaming: Leave models without `__tablename__` without one.
        naming_convention: True names all constraints, so that migrations can
            change them: for new projects. A dict is a convention of one's own.
    """

    if t.TYPE_CHECKING:

        class Model(_Model, orm.DeclarativeBase):
            """What models derive from."""

        relationship = staticmethod(orm.relationship)
        dynamic_loader = staticmethod(orm.dynamic_loader)

    else:

        def relationship(self, *args: t.Any, **kwargs: t.Any) -> t.Any:
            """Make a relationship, whose dynamic queries are of `query_class`."""
            self._set_query_class(kwargs)
            return orm.relationship(*args, **kwargs)

        def dynamic_loader(self, argument: t.Any, **kwargs: t.Any) -> t.Any:
            """Make a dynamic relationship, whose queries are of `query_class`."""
            self._set_query_class(kwargs)
            return orm.dynamic_loader(argument, **kwargs)

    def __init__(
        self,
        app: Erlen | None = None,
        *,
        metadata: sa.MetaData | None = None,
        session_options: dict[str, t.Any] | None = None,
        query_class: type[Query[t.Any]] = Query,
        model_class: t.Any = _Model,
        engine_options: dict[str, t.Any] | None = None,
        add_models_to_shell: bool = True,
        disable_autonaming: bool = False,
        naming_convention: bool | cabc.Mapping[str, t.Any] = False,
    ) -> None:
        #: The class of queries.
        self.Query = query_class
        #: The metadata of each bind key; None is the default database's.
        self.metadatas: dict[str | None, sa.MetaData] = {}
        #: `db.Table("name", ...)` is a table of the default metadata, or of `bind_key=`.
        self.Table: t.Any = type("Table", (_Table,), {"__fsa__": self})
        first = _declarative.make_metadata(metadata, model_class, naming_convention)
        self.metadatas[None] = first
        model: t.Any = _declarative.make_model(
            self, model_class, first, autonaming=not disable_autonaming
        )
        self.__dict__["Model"] = model  # which type checkers know as a class
        self._engine_options = engine_options or {}
        self._session_options = dict(session_options or {})
        #: The session of the current application context; called, it returns that.
        self.session: orm.scoped_session[Session] = self._make_scoped_session(
            self._session_options
        )
        self._add_models_to_shell = add_models_to_shell
        self._states: weakref.WeakKeyDictionary[t.Any, _State]
        self._states = weakref.WeakKeyDictionary()
        if app is not None:
            self.init_app(app)

    def _set_query_class(self, kwargs: dict[str, t.Any]) -> None:
        kwargs.setdefault("query_class", self.Query)
        backref: t.Any = kwargs.get("backref")
        if isinstance(backref, str):
            backref = (backref, {})
        if backref is not None:
            kwargs["backref"] = (backref[0], {"query_class": self.Query, **backref[1]})

    def __repr__(self) -> str:
        if extension.current_context() is None:
            return f"<{type(self).__name__}>"
        message = f"{type(self).__name__} {self.engine.url!r}"
        others = len(self.engines) - 1
        return f"<{message} +{others}>" if others else f"<{message}>"

    def __getattr__(self, name: str) -> t.Any:
        """Find a name of `sqlalchemy` or `sqlalchemy.orm`."""
        if not name.startswith("_"):
            for module in (sa, orm):
                if hasattr(module, name):
                    # Found once, it is an attribute.
                    found = self.__dict__[name] = getattr(module, name)
                    return found
        raise AttributeError(
            f"{type(self).__name__!r} has no attribute {name!r}, and neither have"
            " sqlalchemy and sqlalchemy.orm."
        )

    # --- set-up

    def init_app(self, app: Erlen) -> None:
        """Set up an application: its settings have to be there already.

        Args:
            app: The application.

        Raises:
            ConfigError: A setting is wrong.
            ContractError: The application has this extension already.
            RuntimeError: No database is named, or a driver is missing.
        """
        with extension.setup(app, "sqlalchemy", self, contract="1.1"):
            _settings.declare(app)
            app.config.validate("sqlalchemy")
            options = _settings.read_options(app, self._engine_options)
            state = self._states[app] = self._make_state(app, options)
            app.teardown_appcontext(self._make_leave(state))
            if self._add_models_to_shell:
                app.shell_context_processor(add_models_to_shell)
            app.on_shutdown(self._dispose)
            _checks.add(app, self)

    def _make_state(
        self, app: t.Any, options: dict[str | None, dict[str, t.Any]]
    ) -> _State:
        engines: dict[str | None, sa.Engine] = {}
        listen = _Listeners(app)
        watched = False
        for key, its in options.items():
            self._make_metadata(key)
            engines[key] = make_engine(app, key, {**its})
            if not isinstance(engines[key].pool, sa_pool.StaticPool):
                _engines.add(engines[key])  # a database in memory is copied
            watched = listen(key, engines[key]) or watched
        if app.config["SQLALCHEMY_TRACK_MODIFICATIONS"]:
            track_modifications.listen(self.session)
        kept = {
            key: value
            for key, value in self._session_options.items()
            if key not in {"class_", "scopefunc", "query_cls", "binds", "bind"}
        }
        weak = weakref.ref(app)

        def make_async_sessions() -> AsyncSessions:
            from ._async import AsyncSessions  # needs greenlet, which is an extra

            return AsyncSessions(self, weak(), options, kept, listen)

        return _State(engines, make_async_sessions, watched=watched)

    def _make_metadata(self, bind_key: str | None) -> sa.MetaData:
        if bind_key not in self.metadatas:
            self.metadatas[bind_key] = sa.MetaData(
                naming_convention=self.metadata.naming_convention,
                info={"bind_key": bind_key},
            )
        return self.metadatas[bind_key]

    def _make_scoped_session(
        self, options: dict[str, t.Any]
    ) -> orm.scoped_session[Session]:
        options = dict(options)
        scope = options.pop("scopefunc", extension.current_context)
        options.setdefault("class_", Session)
        options.setdefault("query_cls", self.Query)
        factory: t.Any = _Sessions(db=self, **options)
        scoped: t.Any = orm.scoped_session(factory, scope)
        scoped.registry = _Registry(factory, scope)
        return t.cast("orm.scoped_session[Session]", scoped)

    # --- engines and metadata

    @property
    def _state(self) -> _State:
        ctx: t.Any = extension.current_context()
        if ctx is None:
            raise RuntimeError(_NO_CONTEXT)
        state = self._states.get(ctx.app)
        if state is None:
            raise RuntimeError(_NOT_READY.format(name=ctx.app.name))
        return state

    @property
    def engines(self) -> cabc.Mapping[str | None, sa.Engine]:
        """The engines of the current application by bind key; None is the default.

        Raises:
            RuntimeError: There is no application context.
        """
        try:
            # PERF: 0.5 us less than `_state`, which says what is wrong.
            return self._states[extension.current_context().app].engines
        except (AttributeError, KeyError):
            return self._state.engines

    @property
    def engine(self) -> sa.Engine:
        """The default engine of the current application."""
        return self.get_engine()

    def get_engine(self, bind_key: str | None = None, **kwargs: t.Any) -> sa.Engine:
        """Return the engine of a bind key.

        Args:
            bind_key: The key; None is the default database.
            **kwargs: `bind`, as older code calls the key.

        Raises:
            UnboundExecutionError: The application has none.
        """
        bind_key = kwargs.pop("bind", bind_key)
        return Session._engine_for(self.engines, bind_key)

    @property
    def async_engines(self) -> cabc.Mapping[str | None, AsyncEngine]:
        """The async engines of the running event loop by bind key."""
        return self._state.get_async_sessions().engines()

    @property
    def async_session(self) -> AsyncSession:
        """The session of the current application context for `async def` views.

        It is not for two tasks at once.

        Raises:
            RuntimeError: There is no application context, or no event loop runs.
        """
        ctx = extension.current_context()
        return self._state.get_async_sessions().session(ctx)

    @property
    def metadata(self) -> sa.MetaData:
        """The metadata of the default database."""
        return self.metadatas[None]

    # --- the end of a context

    def _make_leave(self, state: _State) -> t.Callable[[t.Any], None]:
        """Make the one teardown function, which returns what a context has taken.

        PERF: it has at hand what it would have to look up, 2 us for each request.
        """
        registry: t.Any = self.session.registry

        def leave(exc: BaseException | None) -> None:
            try:
                session = registry.take()
                if session is not None:
                    session.close()
            finally:
                if state.watched or state.async_sessions is not None:
                    _leave_more(state)

        return leave

    async def _dispose(self) -> None:
        state = self._state
        for engine in state.engines.values():
            engine.dispose()
        if state.async_sessions is not None:
            await state.async_sessions.dispose()

    def release(self) -> None:
        """Return the connection, before work that takes long and needs none.

        What was loaded stays readable. The next use of `db.session` takes a
        connection again.

        Raises:
            RuntimeError: There are changes that are not committed.
        """
        if not self.session.registry.has():
            return
        session = self.session()
        if session.has_changes():
            raise RuntimeError(_HELD)
        session.close()

    # --- transactions

    def transaction(self, *, isolation: str | None = None) -> Transaction:
        """Begin a transaction: `with db.transaction():`, or `async with`.

        It commits at its end and rolls back where the block raises. One inside
        of another is a savepoint. The outermost begins anew: what was read
        before is read again. On SQLite it waits for other writers at its start.

        Args:
            isolation: The isolation level, such as `"SERIALIZABLE"`.
        """
        return transactions.Transaction(
            self.session, lambda: self.async_session, isolation
        )

    @t.overload
    def atomic(self, function: F) -> F: ...

    @t.overload
    def atomic(
        self, *, tries: int = 1, isolation: str | None = None
    ) -> t.Callable[[F], F]: ...

    def atomic(
        self,
        function: t.Any = None,
        *,
        tries: int = 1,
        isolation: str | None = None,
    ) -> t.Any:
        """Run a function, plain or `async def`, in a transaction.

        Args:
            function: The function, where it is a decorator without brackets.
            tries: How often it is called at most where it meets another
                transaction; it must do nothing else that counts.
            isolation: The isolation level.
        """

        def begin() -> Transaction:
            return self.transaction(isolation=isolation)

        def decorate(function: F) -> F:
            return transactions.atomic(begin, function, tries)

        return decorate if function is None else decorate(function)

    def retry(
        self,
        function: t.Callable[[], R],
        *,
        tries: int = 3,
        isolation: str | None = None,
    ) -> R:
        """Call a function in a transaction, and again where it met another one.

        Args:
            function: Is called without arguments.
            tries: How often at most.
            isolation: The isolation level.

        Returns:
            What the function returned.
        """
        return transactions.retry(
            lambda: self.transaction(isolation=isolation), function, tries
        )

    # --- questions

    def get_or_404(
        self,
        entity: type[T],
        ident: t.Any,
        *,
        description: str | None = None,
        **kwargs: t.Any,
    ) -> T:
        """Return the row of a primary key; none is a 404.

        Args:
            entity: The model.
            ident: The key; a tuple or a dict where it has several columns.
            description: What the client is told.
            **kwargs: What `Session.get` takes.
        """
        return queries.get_or_404(
            self.session(), entity, ident, description=description, **kwargs
        )

    def first_or_404(
        self, statement: FirstOf[T], *, description: str | None = None
    ) -> T:
        """Return the first result of a select; none is a 404."""
        found: T = queries.first_or_404(
            self.session(), statement, description=description
        )
        return found

    def one_or_404(self, statement: FirstOf[T], *, description: str | None = None) -> T:
        """Return the only result of a select; none or several are a 404."""
        found: T = queries.one_or_404(
            self.session(), statement, description=description
        )
        return found

    def paginate(
        self,
        select: sa.Select[T],
        *,
        page: int | None = None,
        per_page: int | None = None,
        max_per_page: int | None = _UNSET,
        error_out: bool = True,
        count: bool = True,
    ) -> Pagination[T]:
        """Return a page of a select.

        Args:
            select: What is paged.
            page: Its number from 1; by default `page` of the query string.
            per_page: Its size; by default `per_page` of the query string, or 20.
            max_per_page: The largest size; by default 100 where the client
                chooses it. None is no limit.
            error_out: Whether an empty page and wrong values are a 404.
            count: Whether to count all rows, which takes a query more.
        """
        return SelectPagination(
            select=select,
            session=self.session(),
            page=page,
            per_page=per_page,
            max_per_page=_find_limit(per_page, max_per_page),
            error_out=error_out,
            count=count,
        )

    async def paginate_async(
        self,
        select: sa.Select[T],
        *,
        page: int | None = None,
        per_page: int | None = None,
        max_per_page: int | None = _UNSET,
        error_out: bool = True,
        count: bool = True,
    ) -> Pagination[T]:
        """Return a page of a select, as `paginate`, by `async_session`.

        Args:
            select: What is paged.
            page: Its number from 1.
            per_page: Its size.
            max_per_page: The largest size.
            error_out: Whether an empty page and wrong values are a 404.
            count: Whether to count all rows.
        """
        return await paginate_async(
            self.async_session,
            select,
            page=page,
            per_page=per_page,
            max_per_page=_find_limit(per_page, max_per_page),
            error_out=error_out,
            count=count,
        )

    def paginate_keyset(
        self,
        select: sa.Select[T],
        *,
        order_by: keyset.OrderBy = None,
        sort: cabc.Mapping[str, keyset.OrderBy] | None = None,
        sort_key: str | None = None,
        cursor: str | None = None,
        per_page: int | None = None,
        max_per_page: int | None = 100,
    ) -> KeysetPagination[T]:
        """Return a page of a select, found by its place and not by its number.

        It is as quick on the last page as on the first, counts nothing, and
        neither loses nor repeats rows when others are added meanwhile.

        Args:
            select: What is paged.
            order_by: Columns and expressions; None is the order of the select.
            sort: What the client may order by, by its names for it.
            sort_key: One of these names; by default `sort` of the query string.
            cursor: Where the page is; by default `cursor` of the query string.
            per_page: Its size; by default `per_page` of the query string, or 20.
            max_per_page: The largest size.

        Raises:
            BadRequest: The cursor is not one of this list, or the client asks
                for an order or a size that there is not.
        """
        state = self._state
        if state.signer is None:
            state.signer = current_app.signer("erlen-db.keyset")
        return keyset.paginate(
            self.session(),
            select,
            signer=state.signer,
            order_by=order_by,
            sort=sort,
            sort_key=sort_key,
            cursor=cursor,
            per_page=per_page,
            max_per_page=max_per_page,
        )

    # --- tables

    def create_all(self, bind_key: BindKeys = "__all__") -> None:
        """Create the tables that are missing, of the bind keys or of all.

        Migrations do more: they change what is there.
        """
        self._for_binds(bind_key, "create_all")

    def drop_all(self, bind_key: BindKeys = "__all__") -> None:
        """Drop all tables that the metadata has."""
        self._for_binds(bind_key, "drop_all")

    def reflect(self, bind_key: BindKeys = "__all__") -> None:
        """Read the tables of the database into the metadata."""
        self._for_binds(bind_key, "reflect")

    def _for_binds(self, bind_key: BindKeys, operation: str) -> None:
        keys: cabc.Iterable[str | None]
        if bind_key == "__all__":
            keys = list(self.metadatas)
        elif bind_key is None or isinstance(bind_key, str):
            keys = [bind_key]
        else:
            keys = bind_key
        for key in keys:
            try:
                metadata = self.metadatas[key]
            except KeyError:
                raise sa_exc.UnboundExecutionError(
                    f"There is no metadata for the bind key {key!r}: no model and no"
                    " table has it."
                ) from None
            getattr(metadata, operation)(bind=self.get_engine(key))

    # --- health

    def ping(self, bind_key: BindKeys = "__all__") -> None:
        """Ask the databases for an answer.

        Args:
            bind_key: Which; by default all of them.

        Raises:
            DatabaseUnavailable: One does not answer.
        """
        keys = self.engines if bind_key == "__all__" else (bind_key,)
        for key in keys:
            with self.get_engine(t.cast("str | None", key)).connect() as connection:
                connection.scalar(sa.select(1))
