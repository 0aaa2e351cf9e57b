"""Layer 5: the typed proxies, for users.

Inside the package `_state` is the cheaper way to the same things.
"""

from __future__ import annotations

import typing as t

from . import _proxies
from ._state import _cv_app as _cv_app
from ._state import _cv_request as _cv_request

if t.TYPE_CHECKING:
    from .app import Erlen
    from .ctx import AppContext
    from .ctx import RequestContext
    from .ctx import _AppCtxGlobals
    from .sessions import SessionMixin
    from .websockets import WebSocket
    from .wrappers import Request

__all__ = [
    "app_ctx",
    "current_app",
    "g",
    "request",
    "request_ctx",
    "session",
    "websocket",
]

app_ctx: AppContext = _proxies.app_ctx
current_app: Erlen = _proxies.current_app
g: _AppCtxGlobals = _proxies.g
request: Request = _proxies.request
request_ctx: RequestContext = _proxies.request_ctx
session: SessionMixin = _proxies.session
websocket: WebSocket = _proxies.websocket
