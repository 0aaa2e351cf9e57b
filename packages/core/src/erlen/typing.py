"""Layer 0: the types that annotate views, hooks and what they return.

Names and meaning are those of Flask's `typing` module. Nothing of Werkzeug is
imported for them at run time.
"""

from __future__ import annotations

import collections.abc as cabc
import typing as t

if t.TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication
    from werkzeug.datastructures import Headers
    from werkzeug.wrappers import Response

# What a view may return as the body, and what becomes a response as it is.
ResponseValue = t.Union[
    "Response",
    str,
    bytes,
    list[t.Any],
    # A dict; Mapping, so that TypedDicts and dicts of any value type fit.
    cabc.Mapping[str, t.Any],
    cabc.Iterator[str],
    cabc.Iterator[bytes],
    cabc.AsyncIterable[str],
    cabc.AsyncIterable[bytes],
]

# One header's value, or several of the same name.
HeaderValue = str | list[str] | tuple[str, ...]

HeadersValue = t.Union[
    "Headers",
    cabc.Mapping[str, HeaderValue],
    cabc.Sequence[tuple[str, HeaderValue]],
]

ResponseReturnValue = t.Union[
    ResponseValue,
    tuple[ResponseValue, HeadersValue],
    tuple[ResponseValue, int],
    tuple[ResponseValue, int, HeadersValue],
    "WSGIApplication",
]

# Bound to Werkzeug's class, so that a view may also return one of Werkzeug's.
ResponseClass = t.TypeVar("ResponseClass", bound="Response")

# A blueprint's dotted name; None stands for the application.
AppOrBlueprintKey = str | None

AfterRequestCallable = (
    cabc.Callable[[ResponseClass], ResponseClass]
    | cabc.Callable[[ResponseClass], cabc.Awaitable[ResponseClass]]
)
BeforeFirstRequestCallable = (
    cabc.Callable[[], None] | cabc.Callable[[], cabc.Awaitable[None]]
)
BeforeRequestCallable = (
    cabc.Callable[[], ResponseReturnValue | None]
    | cabc.Callable[[], cabc.Awaitable[ResponseReturnValue | None]]
)
ShellContextProcessorCallable = cabc.Callable[[], dict[str, t.Any]]
TeardownCallable = (
    cabc.Callable[[BaseException | None], None]
    | cabc.Callable[[BaseException | None], cabc.Awaitable[None]]
)
TemplateContextProcessorCallable = (
    cabc.Callable[[], dict[str, t.Any]]
    | cabc.Callable[[], cabc.Awaitable[dict[str, t.Any]]]
)
TemplateFilterCallable = cabc.Callable[..., t.Any]
TemplateGlobalCallable = cabc.Callable[..., t.Any]
TemplateTestCallable = cabc.Callable[..., bool]
URLDefaultCallable = cabc.Callable[[str, dict[str, t.Any]], None]
URLValuePreprocessorCallable = cabc.Callable[
    [str | None, dict[str, t.Any] | None], None
]

# The argument is Any: a handler names the class of exception that it is for,
# and a parameter cannot be narrower than what the type of the callable says.
ErrorHandlerCallable = (
    cabc.Callable[[t.Any], ResponseReturnValue]
    | cabc.Callable[[t.Any], cabc.Awaitable[ResponseReturnValue]]
)
RouteCallable = (
    cabc.Callable[..., ResponseReturnValue]
    | cabc.Callable[..., cabc.Awaitable[ResponseReturnValue]]
)
