"""Layer 0: the contracts that low code names instead of the classes above it.

`helpers`, `templating` or `sessions` work with an application and its
contexts without importing them: whatever they touch is listed here, and
nothing else. That is what keeps the import graph free of cycles.
"""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    import collections.abc as cabc
    import logging

    from jinja2 import Environment
    from jinja2.loaders import BaseLoader
    from werkzeug.exceptions import Aborter
    from werkzeug.routing import Map
    from werkzeug.routing import MapAdapter
    from werkzeug.wrappers import Response as BaseResponse


class Application(t.Protocol):
    """What code below the application class needs of it."""

    # One line for each member: types are as wide as the caller needs.
    name: str
    import_name: str
    root_path: str
    debug: bool
    testing: bool
    secret_key: str | bytes | None
    config: t.Any
    extensions: dict[str, t.Any]
    response_class: type[t.Any]
    request_class: type[t.Any]
    session_interface: t.Any
    url_map: Map
    blueprints: dict[str, t.Any]
    subdomain_matching: bool
    aborter: Aborter
    json: t.Any
    app_ctx_globals_class: type[t.Any]
    teardown_appcontext_funcs: list[t.Any]
    _hosts: set[str | None]
    _matcher: t.Any
    _plans: t.Any

    @property
    def jinja_env(self) -> Environment: ...
    @property
    def jinja_loader(self) -> BaseLoader | None: ...
    @property
    def logger(self) -> logging.Logger: ...
    @property
    def _overridden(self) -> frozenset[str]: ...
    @property
    def _binds_each_request(self) -> bool: ...
    def _make_plan(self, endpoint: str | None) -> t.Any: ...
    def create_url_adapter(self, request: t.Any) -> MapAdapter | None: ...
    def do_teardown_request(self, exc: BaseException | None = None) -> None: ...
    def do_teardown_appcontext(self, exc: BaseException | None = None) -> None: ...
    def iter_blueprints(self) -> cabc.ValuesView[t.Any]: ...
    def url_for(self, /, endpoint: str, **values: t.Any) -> str: ...
    def redirect(self, location: str, code: int = 302) -> BaseResponse: ...
    def make_response(self, rv: t.Any) -> t.Any: ...
    def ensure_sync(self, func: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]: ...
    def update_template_context(self, context: dict[str, t.Any]) -> None: ...
    def get_send_file_max_age(self, filename: str | None) -> int | None: ...


class AppContextLike(t.Protocol):
    """What code below `erlen.ctx` needs of an application context."""

    app: t.Any
    g: t.Any

    @property
    def url_adapter(self) -> MapAdapter | None: ...


class RequestContextLike(t.Protocol):
    """What code below `erlen.ctx` needs of a request context."""

    app: t.Any
    request: t.Any
    flashes: list[tuple[str, str]] | None
    _session: t.Any
    _after_request_functions: list[t.Callable[[t.Any], t.Any]]

    @property
    def session(self) -> t.Any: ...
    @property
    def url_adapter(self) -> MapAdapter | None: ...
    def hold(self) -> None: ...
    def release(self, exc: BaseException | None = None) -> None: ...
