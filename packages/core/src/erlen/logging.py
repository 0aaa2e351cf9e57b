"""Layer 1: the application's logger, and the handler it gets by default."""

from __future__ import annotations

import logging
import sys
import typing as t

from werkzeug.local import LocalProxy

from . import _state


@LocalProxy
def wsgi_errors_stream() -> t.TextIO:
    """Stand for the stream that the server gave the request for errors.

    Outside of a request it is `sys.stderr`.
    """
    ctx = _state.current.get()[1]
    if ctx is None:
        return sys.stderr
    return t.cast("t.TextIO", ctx.request.environ.get("wsgi.errors", sys.stderr))


def has_level_handler(logger: logging.Logger) -> bool:
    """Return whether a handler takes what the logger lets through.

    Args:
        logger: Its own handlers count, and those of the loggers above it that it
            propagates to.
    """
    level = logger.getEffectiveLevel()
    current: logging.Logger | None = logger
    while current:
        if any(handler.level <= level for handler in current.handlers):
            return True
        current = current.parent if current.propagate else None
    return False


# The `StreamHandler` that writes to `wsgi_errors_stream`.
default_handler = logging.StreamHandler(t.cast("t.TextIO", wsgi_errors_stream))
default_handler.setFormatter(
    logging.Formatter("[%(asctime)s] %(levelname)s in %(module)s: %(message)s")
)


def create_logger(app: t.Any) -> logging.Logger:
    """Get the logger that has the application's name, and set it up.

    In debug mode it lets everything through unless it has a level. It gets
    `default_handler` where nothing handles what it lets through, so logging that
    is configured before `app.logger` is first used stays as it is.

    Args:
        app: The application.
    """
    logger = logging.getLogger(app.name)
    if app.debug and not logger.level:
        logger.setLevel(logging.DEBUG)
    if not has_level_handler(logger):
        logger.addHandler(default_handler)
    return logger
