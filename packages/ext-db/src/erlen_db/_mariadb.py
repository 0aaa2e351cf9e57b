"""MariaDB and MySQL: time-outs at each step, and how errors tell that it is away."""

from __future__ import annotations

import math
import typing as t

from sqlalchemy import event

from . import _limits
from .errors import DatabaseBusy
from .errors import DatabaseUnavailable
from .errors import StatementTimeout

if t.TYPE_CHECKING:
    import sqlalchemy as sa
    from sqlalchemy.engine.interfaces import DBAPIConnection

Options = dict[str, t.Any]

#: The drivers and what is imported, that of our extra first; the one of async engines.
DRIVERS = {"pymysql": "pymysql", "mysqldb": "MySQLdb"}
ASYNC_DRIVER = "asyncmy"
EXTRAS = {"pymysql": "mariadb", "asyncmy": "mariadb-async"}

# Shut down, connection killed, gone away, lost, broken network, idle for too long.
_LOST = frozenset({1053, 1927, 2006, 2013, 2055, 3169, 4031, *range(1152, 1162)})

# Access denied, unknown database, unknown plugin of authentication.
_SET_UP = frozenset({1044, 1045, 1049, 1524, 1698, 2059})

# Changed since it was read, lock wait time-out, deadlock.
_BUSY = frozenset({1020, 1205, 1213})
_TIMEOUTS = frozenset({1969, 3024})

# Each server takes the comment that is for it as code, and the other as a comment.
_SET_LIMIT = (
    "SET SESSION /*M!100101 max_statement_time = {seconds:.3f} */"
    " /*!50708 max_execution_time = {milliseconds} */"
)


def set_defaults(app: t.Any, url: sa.URL, options: Options) -> sa.URL:
    """Fill in the engine options that nobody has set.

    Args:
        app: The application.
        url: The URL.
        options: The engine options, which are changed.

    Returns:
        The URL, with a character set that has all characters.
    """
    options.setdefault("pool_pre_ping", True)
    # Routers and hosted servers forget a connection that is silent for five minutes.
    options.setdefault("pool_recycle", 280)
    ours = _make_timeouts(url.get_driver_name(), _limits.read(app))
    options["connect_args"] = {
        **{key: value for key, value in ours.items() if key not in url.query},
        **options["connect_args"],
    }
    if "charset" in url.query or "charset" in options["connect_args"]:
        return url
    return url.update_query_dict({"charset": "utf8mb4"})


def _make_timeouts(driver: str, limits: _limits.Limits) -> Options:
    """Return the time-outs by the driver's names for them."""
    names: tuple[str, ...] = {
        "pymysql": ("connect_timeout", "read_timeout", "write_timeout"),
        "mysqldb": ("connect_timeout", "read_timeout", "write_timeout"),
        # Not its read_timeout, by wait_for(), which in Python 3.11 may swallow that of
        # `_asyncmy`.
        "asyncmy": ("connect_timeout",),
        "aiomysql": ("connect_timeout",),
    }.get(driver, ())
    values = (limits.connect, limits.whole, limits.whole)
    whole = driver == "mysqldb"  # takes no fractions
    return {
        name: math.ceil(value) if whole else value
        for name, value in zip(names, values, strict=False)
        if value is not None
    }


def set_async_defaults(app: t.Any, url: sa.URL, options: Options) -> None:
    """Let the connections of an async engine give up on a network that is silent."""
    limits = _limits.read(app)
    if limits.whole is None or url.get_driver_name() != "asyncmy":
        return
    from . import _asyncmy

    args = options["connect_args"]
    args.setdefault("async_creator_fn", _asyncmy.make_connect(limits))


def listen(app: t.Any, engine: sa.Engine, options: Options) -> None:
    """Let the server of an engine stop statements that take too long."""
    limits = _limits.read(app)
    if limits.statement is None:
        return
    _set_limit(engine, limits.statement)
    if engine.dialect.driver == "pymysql":
        from . import _pymysql

        connect = _pymysql.make_connect(limits)
        engine.dialect.connect = connect  # type: ignore[method-assign]
    if engine.dialect.driver in {"pymysql", "asyncmy"}:
        _limits.listen(engine, limits)


def _set_limit(engine: sa.Engine, seconds: float) -> None:
    statement = _SET_LIMIT.format(
        seconds=seconds, milliseconds=math.ceil(1000 * seconds)
    )

    def limit(connection: DBAPIConnection, record: object) -> None:
        cursor = connection.cursor()
        cursor.execute(statement)
        cursor.close()

    event.listen(engine, "connect", limit)


def is_lost(error: BaseException) -> bool:
    """Say whether an error means that its connection is lost, or will be in a moment."""
    return _find_code(error) in _LOST


def needs_set_up(error: BaseException) -> bool:
    """Say whether an error of connecting comes again until somebody mends its cause."""
    return _find_code(error) in _SET_UP


def find_error(error: BaseException) -> type[DatabaseUnavailable] | None:
    """Return what an error of the driver is for a client; None is an error of ours."""
    code = _find_code(error)
    if code in _TIMEOUTS:
        return StatementTimeout
    return DatabaseBusy if code in _BUSY else None


def _find_code(error: BaseException) -> object:
    return error.args[0] if error.args else None
