"""Layer 0: the core's own settings, the one place of their keys and defaults.

The types take what the code takes, such as 0 and 1 for a switch.
"""

from __future__ import annotations

import collections.abc as cabc
import typing as t
from datetime import timedelta

from ._settings import Setting

_Switch = bool | t.Literal[0, 1]
_Time = timedelta | int | None
_Keys = cabc.Iterable[str | bytes] | None
_Names = str | cabc.Iterable[t.Any] | None
_Hops = int | bool | cabc.Mapping[str, int] | None
_Domain = str | t.Literal[False] | None

# The URL of a store may have a password in it.
_SECRET = {"SECRET_KEY", "SECRET_KEY_FALLBACKS", "SESSION_STORE"}

# fmt: off
_ROWS: tuple[tuple[str, t.Any, t.Any, str], ...] = (
    ("APPLICATION_ROOT", str, "/", "Path below which the application is."),
    ("ASGI_RUN_WSGI_MIDDLEWARE", _Switch, False, "Under ASGI, serve through a wrapped wsgi_app in a worker."),
    ("ASGI_THREADS", int, 40, "Requests that plain functions may serve at a time under ASGI."),
    ("DEBUG", _Switch | None, None, "Debug mode, from the start by --debug or ERLEN_DEBUG."),
    ("DEBUG_ALLOWED_CLIENTS", _Names, (), "Addresses and networks that may see the debugger."),
    ("EXPLAIN_TEMPLATE_LOADING", _Switch, False, "Log where each template was looked for."),
    ("MAX_CONTENT_LENGTH", int | None, None, "Bytes of a request's body; None is no limit."),
    ("MAX_COOKIE_SIZE", int | None, 4093, "Bytes above which a cookie is warned about."),
    ("MAX_FORM_MEMORY_SIZE", int | None, 500_000, "Bytes of a field that is no file."),
    ("MAX_FORM_PARTS", int | None, 1_000, "Fields and files of a multipart form."),
    ("PERMANENT_SESSION_LIFETIME", _Time, timedelta(days=31), "How old a session may be."),
    ("PREFERRED_URL_SCHEME", str, "http", "Scheme of URLs built outside of requests."),
    ("PROPAGATE_EXCEPTIONS", _Switch | None, None, "Raise what nobody handled, instead of a 500."),
    ("PROVIDE_AUTOMATIC_OPTIONS", _Switch, True, "Answer OPTIONS where no rule does."),
    ("PROXY_HOPS", _Hops, 0, "How many proxies of your own are in front."),
    ("SECRET_KEY", str | bytes | None, None, "Key that signs sessions and tokens."),
    ("SECRET_KEY_FALLBACKS", _Keys, None, "Old keys that still verify."),
    ("SEND_FILE_MAX_AGE_DEFAULT", _Time, None, "How long browsers keep files without asking."),
    ("SERVER_NAME", str | None, None, "Host and port of URLs built outside of requests."),
    ("SESSION_ABSOLUTE_TIMEOUT", _Time, None, "Longest life of a stored session; None is no limit."),
    ("SESSION_COOKIE_DOMAIN", _Domain, None, "Domain of the session cookie; None is this host."),
    ("SESSION_COOKIE_HTTPONLY", _Switch, True, "Hide the session cookie from scripts."),
    ("SESSION_COOKIE_NAME", str, "session", "Name of the session cookie."),
    ("SESSION_COOKIE_PARTITIONED", _Switch, False, "A cookie for each site that embeds this one."),
    ("SESSION_COOKIE_PATH", str | None, None, "Path of the cookie; None is APPLICATION_ROOT."),
    ("SESSION_COOKIE_SAMESITE", str | None, "Lax", "Which requests of other sites carry the cookie."),
    ("SESSION_COOKIE_SECURE", _Switch | None, None, "Https only; None is if it was set over https."),
    ("SESSION_IDLE_TIMEOUT", _Time, None, "Life of an unused stored session; None is PERMANENT_SESSION_LIFETIME."),
    ("SESSION_REFRESH_EACH_REQUEST", _Switch, True, "Renew a permanent session with each request."),
    ("SESSION_STORE", t.Any, None, "Server-side sessions: the URL of a store, or a store."),
    ("SESSION_STORE_TIMEOUT", float, 0.1, "Longest wait for the session store: to connect, and for each answer."),
    ("SILENCED_CHECKS", cabc.Collection[str], (), "Ids of checks whose problems are not reported."),
    ("TEMPLATES_AUTO_RELOAD", _Switch | None, None, "Read changed templates again; None is in debug mode."),
    ("TESTING", _Switch, False, "Let exceptions reach the test."),
    ("TRAP_BAD_REQUEST_ERRORS", _Switch | None, None, "Raise each 400; None is for missing keys in debug mode."),
    ("TRAP_HTTP_EXCEPTIONS", _Switch, False, "Raise each HTTP error."),
    ("TRUSTED_HOSTS", _Names, None, "Hosts that are answered; None is any."),
    ("USE_X_SENDFILE", _Switch, False, "Leave the sending of files to the web server in front."),
    ("WEBSOCKET_ORIGINS", _Names, None, "Origins that may open WebSockets; None is this site's own."),
)
# fmt: on

SETTINGS = tuple(
    Setting(key, kind, default, doc, "erlen", key in _SECRET)
    for key, kind, default, doc in _ROWS
)
