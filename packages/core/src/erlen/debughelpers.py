"""Layer 1: errors and log lines that explain a developer's mistake.

They are raised or written in debug mode, or where a setting asks for them.
Requests, applications and blueprints are known here by attributes only.
"""

from __future__ import annotations

import typing as t

from . import _state

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from jinja2.loaders import BaseLoader

    from ._protocols import Application

Attempt = tuple[
    "BaseLoader", t.Any, tuple[str, str | None, t.Callable[[], bool] | None] | None
]


class UnexpectedUnicodeError(AssertionError, UnicodeError):
    """Text stands where bytes were expected, or the other way round."""


class DebugFilesKeyError(KeyError, AssertionError):
    """A file was looked up that the form did not send as a file."""

    def __init__(self, request: t.Any, key: str) -> None:
        names = request.form.getlist(key)
        self.msg = (
            f"You tried to access the file {key!r} in the request.files dictionary"
            " but it does not exist: the form was sent as"
            f" {request.mimetype or 'no media type'!r}, which carries no files. Add"
            ' enctype="multipart/form-data" to the form element.'
        )
        if names:
            sent = ", ".join(repr(name) for name in names)
            self.msg += f" The browser sent only names of files: {sent}."
        super().__init__(key)

    def __str__(self) -> str:
        return self.msg


class FormDataRoutingRedirect(AssertionError):  # noqa: N818  # Flask's name
    """A redirect by the routes would lose the data that a form sent."""

    def __init__(self, request: t.Any) -> None:
        target: str = request.routing_exception.new_url
        message = (
            f"A request was sent to {request.url!r}, but routing issued a redirect to"
            f" the canonical URL {target!r}."
        )
        if f"{request.base_url}/" == target.split("?", 1)[0]:
            message += " The rule ends with a slash, and the URL does not."
        super().__init__(
            f"{message} Browsers follow this redirect without the data of the form:"
            f" send the form to {target!r}, best by url_for(), or let routing"
            " redirect with 307 or 308. This error is raised in debug mode only."
        )


def attach_enctype_error_multidict(request: t.Any) -> None:
    """Make `request.files` explain a missing `enctype`.

    A name that is looked up in `request.files` and is found in `request.form`
    then raises `DebugFilesKeyError`.

    Args:
        request: The request, whose `files` are replaced by a subclass's.
    """
    files: t.Any = request.files
    cls = t.cast("t.Any", type(files))

    def getitem(self: t.Any, key: str) -> t.Any:
        try:
            return cls.__getitem__(self, key)
        except KeyError as exc:
            if key not in request.form:
                raise
            error = DebugFilesKeyError(request, key)
            raise error.with_traceback(exc.__traceback__) from None

    files.__class__ = type(cls.__name__, (cls,), {"__getitem__": getitem})


def _describe(source: t.Any, app: Application) -> str:
    if source is app:
        return f"application {source.import_name!r}"
    if hasattr(source, "url_prefix"):
        return f"blueprint {source.name!r} ({source.import_name})"
    return repr(source)


def _describe_loader(loader: BaseLoader) -> cabc.Iterator[str]:
    yield f"class: {type(loader).__module__}.{type(loader).__qualname__}"
    for key, value in sorted(getattr(loader, "__dict__", {}).items()):
        if key.startswith("_"):
            continue
        if isinstance(value, (list, tuple)):
            items = t.cast("list[t.Any]", value)
            if all(isinstance(item, str) for item in items):
                yield f"{key}:"
                yield from (f"  - {item}" for item in items)
        elif isinstance(value, (str, int, float, bool)):
            yield f"{key}: {value!r}"


def explain_template_loading_attempts(
    app: Application, template: str, attempts: list[Attempt]
) -> None:
    """Log where a template was looked for, and what was found.

    Args:
        app: The application, whose logger gets one line of level INFO.
        template: Name of the template.
        attempts: The loaders in the order of asking, each with the
            application or blueprint it belongs to and what it gave (None
            when it has no such template).
    """
    lines = [f"Locating template {template!r}:"]
    found = 0
    for number, (loader, source, result) in enumerate(attempts, 1):
        lines.append(f"{number:5}: trying loader of {_describe(source, app)}")
        lines.extend(f"       {line}" for line in _describe_loader(loader))
        if result is None:
            lines.append("       -> no match")
        else:
            found += 1
            lines.append(f"       -> found ({result[1] or '<string>'!r})")
    if found > 1:
        lines.append(
            "Warning: multiple loaders returned a match for the template. First wins."
        )
    elif not found:
        lines.append("Error: the template could not be found.")
        lines.extend(_blueprint_hint())
    app.logger.info("\n".join(lines))


def _blueprint_hint() -> cabc.Iterator[str]:
    ctx = _state.current.get()[1]
    if ctx is not None and (name := ctx.request.blueprint) is not None:
        yield (
            f"  The endpoint belongs to the blueprint {name!r}. Its templates are"
            " looked for only in the folder that Blueprint(template_folder=) names."
        )
