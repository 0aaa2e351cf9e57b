"""PostgreSQL: time-outs at each step, and how its errors tell that it is away."""

from __future__ import annotations

import math
import re
import typing as t

from . import _limits
from .errors import DatabaseBusy
from .errors import DatabaseUnavailable
from .errors import StatementTimeout

if t.TYPE_CHECKING:
    import sqlalchemy as sa

Options = dict[str, t.Any]

#: The drivers and what is imported, that of our extra first; the one of async engines.
DRIVERS = {"psycopg": "psycopg", "psycopg2": "psycopg2"}
ASYNC_DRIVER = "psycopg"
EXTRAS = {"psycopg": "postgresql", "psycopg_async": "postgresql"}

_LIBPQ = frozenset({"psycopg", "psycopg_async", "psycopg2"})

# What says "I am going down" or "not yet up", and the class of lost connections.
_LOST = re.compile(r"57P0[1-5]|08...")

_OPTION = "-c statement_timeout={}"
# Serialization failure, deadlock, lock not available.
_BUSY = frozenset({"40001", "40P01", "55P03"})

# Of connecting, where there is no code: what somebody has to mend.
_SET_UP = re.compile(
    r"authentication failed|does not exist|no pg_hba\.conf entry"
    r"|no password supplied|not permitted to log in|permission denied"
)


def set_defaults(app: t.Any, url: sa.URL, options: Options) -> sa.URL:
    """Fill in the engine options that nobody has set.

    Args:
        app: The application.
        url: The URL.
        options: The engine options, which are changed.

    Returns:
        The URL.
    """
    options.setdefault("pool_pre_ping", True)
    if url.get_driver_name() not in _LIBPQ:
        return url
    limits = _limits.read(app)
    asked = options["connect_args"]
    ours: Options = {
        # A connection that nobody uses is kept alive in routers on the way, and one
        # whose other end has vanished is found out.
        "keepalives_idle": 30,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "fallback_application_name": app.name,
    }
    if limits.connect is not None:
        ours["connect_timeout"] = max(math.ceil(limits.connect), 2)  # libpq's least
        ours["tcp_user_timeout"] = math.ceil(2000 * limits.connect)
    options["connect_args"] = {
        **{key: value for key, value in ours.items() if key not in url.query},
        **asked,
    }
    if limits.statement is not None:
        # Before the user's own, because the last one wins.
        mine = _OPTION.format(math.ceil(1000 * limits.statement))
        theirs = asked.get("options", url.query.get("options", ""))
        options["connect_args"]["options"] = f"{mine} {theirs}".strip()
    return url


def set_async_defaults(app: t.Any, url: sa.URL, options: Options) -> None:
    """Let the connections of an async engine give up on a network that is silent."""
    limits = _limits.read(app)
    if limits.whole is None or not url.get_driver_name().startswith("psycopg"):
        return
    from . import _psycopg

    args = options["connect_args"]
    args.setdefault("async_creator_fn", _psycopg.make_async_connect(limits))


def listen(app: t.Any, engine: sa.Engine, options: Options) -> None:
    """Let the connections of an engine give up on a network that is silent.

    The server's own time-out does not reach the client then, and what the kernel
    watches is whether the next host has received the bytes, no more.
    """
    limits = _limits.read(app)
    driver = engine.dialect.driver
    if limits.whole is None or not driver.startswith("psycopg") or "2" in driver:
        return
    from . import _psycopg

    if not engine.dialect.is_async:
        engine.dialect.connect = _psycopg.make_connect(limits)  # type: ignore[method-assign]
    _limits.listen(engine, limits)


def is_lost(error: BaseException) -> bool:
    """Say whether an error means that its connection is lost, or will be in a moment."""
    return _LOST.fullmatch(_find_code(error)) is not None


def needs_set_up(error: BaseException) -> bool:
    """Say whether an error of connecting comes again until somebody mends its cause."""
    return _SET_UP.search(str(error)) is not None


def find_error(error: BaseException) -> type[DatabaseUnavailable] | None:
    """Return what an error of the driver is for a client; None is an error of ours."""
    code = _find_code(error)
    if code == "57014":
        return StatementTimeout
    return DatabaseBusy if code in _BUSY else None


def _find_code(error: BaseException) -> str:
    code = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    return code or ""
