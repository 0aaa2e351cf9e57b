"""Layer 1: rendering templates, whole, in pieces and one block of them.

Jinja2 is imported with the first template: its subclasses live in `_jinja`,
and an application makes its environment on first use.
"""

from __future__ import annotations

import typing as t

from . import _state
from .helpers import stream_with_context
from .signals import before_render_template
from .signals import template_rendered

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from blinker import NamedSignal
    from jinja2 import Template
    from jinja2.runtime import Context

    # The aliases are how type checkers see what __getattr__ gives.
    from ._jinja import DispatchingJinjaLoader as DispatchingJinjaLoader
    from ._jinja import Environment as Environment
    from ._protocols import Application

_MARKUP = ("html", "htm", "xml", "xhtml", "svg", "rss", "atom")
_TEMPLATE = (".j2", ".jinja", ".jinja2")
_ESCAPED = tuple(f".{word}{end}" for word in _MARKUP for end in ("", *_TEMPLATE))


def __getattr__(name: str) -> t.Any:
    if name in {"Environment", "DispatchingJinjaLoader"}:
        from . import _jinja

        return getattr(_jinja, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def select_autoescape(filename: str | None) -> bool:
    """Tell whether a template's values are escaped for HTML.

    They are for the suffixes of markup (html, htm, xml, xhtml, svg, rss,
    atom), alone or before .j2, .jinja or .jinja2, for these three alone, and
    for templates without name; in any case of letters.

    Args:
        filename: Name of the template, None for one made of a string.
    """
    if filename is None:
        return True
    name = filename.lower()
    if name.endswith(_ESCAPED):
        return True
    return name.endswith(_TEMPLATE) and name.rpartition("/")[2].count(".") == 1


def _default_template_ctx_processor() -> dict[str, t.Any]:  # pyright: ignore[reportUnusedFunction]
    """Give templates `g` and `request`.

    COMPAT: the session is not among them, so that it is not opened: the
    environment's global of that name is the proxy.
    """
    app_ctx, request_ctx = _state.current.get()
    values: dict[str, t.Any] = {}
    if app_ctx is not None:
        values["g"] = app_ctx.g
    if request_ctx is not None:
        values["request"] = request_ctx.request
    return values


def render_template(
    template_name_or_list: str | Template | list[str | Template], **context: t.Any
) -> str:
    """Render a template.

    Args:
        template_name_or_list: Name of the template, or several, of which the
            first that exists is taken.
        **context: Variables of the template.

    Raises:
        RuntimeError: No application context is pushed.
        jinja2.TemplateNotFound: There is no such template.
    """
    app = _state.app_context("render_template").app
    template = app.jinja_env.get_or_select_template(template_name_or_list)
    return _render(app, template, context)


def render_template_string(source: str, **context: t.Any) -> str:
    """Render a template from its source.

    Args:
        source: The source; never a text that came from a client.
        **context: Variables of the template.

    Raises:
        RuntimeError: No application context is pushed.
    """
    app = _state.app_context("render_template_string").app
    return _render(app, app.jinja_env.from_string(source), context)


def stream_template(
    template_name_or_list: str | Template | list[str | Template], **context: t.Any
) -> cabc.Iterator[str]:
    """Render a template as a stream, piece by piece.

    A request that is active stays so until the stream ends or is closed.

    Args:
        template_name_or_list: Name of the template, or several, of which the
            first that exists is taken.
        **context: Variables of the template.

    Raises:
        RuntimeError: No application context is pushed.
        jinja2.TemplateNotFound: There is no such template.
    """
    app = _state.app_context("stream_template").app
    template = app.jinja_env.get_or_select_template(template_name_or_list)
    return _stream(app, template, context)


def stream_template_string(source: str, **context: t.Any) -> cabc.Iterator[str]:
    """Render a template from its source as a stream, piece by piece.

    Args:
        source: The source; never a text that came from a client.
        **context: Variables of the template.

    Raises:
        RuntimeError: No application context is pushed.
    """
    app = _state.app_context("stream_template_string").app
    return _stream(app, app.jinja_env.from_string(source), context)


def render_block(
    template_name_or_list: str | Template | list[str | Template],
    block: str,
    **context: t.Any,
) -> str:
    """Render one block of a template, its own or an inherited one.

    What the template sets, imports and extends above its first output counts,
    as does `super()`; nothing outside the block is rendered.

    Args:
        template_name_or_list: Name of the template, or several, of which the
            first that exists is taken.
        block: Name of the block.
        **context: Variables of the template.

    Raises:
        RuntimeError: No application context is pushed.
        jinja2.TemplateNotFound: There is no such template.
        LookupError: The template has no such block.
    """
    app = _state.app_context("render_block").app
    template = app.jinja_env.get_or_select_template(template_name_or_list)
    _begin(app, template, context)
    text = _render_block(template, block, context)
    _announce(template_rendered, app, template, context)
    return text


def _begin(app: Application, template: Template, context: dict[str, t.Any]) -> None:
    app.update_template_context(context)
    _announce(before_render_template, app, template, context)


def _announce(
    signal: NamedSignal,
    app: Application,
    template: Template,
    context: dict[str, t.Any],
) -> None:
    if signal.receivers:
        signal.send(
            app, _async_wrapper=app.ensure_sync, template=template, context=context
        )


def _render(app: Application, template: Template, context: dict[str, t.Any]) -> str:
    _begin(app, template, context)
    text = template.render(context)
    _announce(template_rendered, app, template, context)
    return text


def _stream(
    app: Application, template: Template, context: dict[str, t.Any]
) -> cabc.Iterator[str]:
    _begin(app, template, context)

    def pieces() -> cabc.Iterator[str]:
        yield from template.generate(context)
        _announce(template_rendered, app, template, context)

    if _state.current.get()[1] is None:
        return pieces()
    return stream_with_context(pieces())


def _render_block(template: Template, block: str, values: dict[str, t.Any]) -> str:
    env = template.environment
    context = template.new_context(values)
    pieces: t.Any
    try:
        # The first step of the whole template runs its imports and {% set %},
        # and adds the blocks of the templates that it extends.
        head: t.Any = template.root_render_func(context)
        if env.is_async:
            import asyncio

            pieces = asyncio.run(_async_pieces(head, block, context))
        else:
            next(head, None)
            head.close()
            found = context.blocks.get(block)
            pieces = found and found[0](context)
        if pieces is not None:
            return env.concat(pieces)
    except Exception:  # noqa: BLE001  # raised again, with the template's lines
        env.handle_exception()
    raise _no_such_block(template, block, list(context.blocks))


async def _async_pieces(head: t.Any, block: str, context: Context) -> t.Any:
    """Do what `_render_block` does, in an environment of `enable_async`."""
    await anext(head, None)
    await head.aclose()
    found: t.Any = context.blocks.get(block)
    return found and [piece async for piece in found[0](context)]


def _no_such_block(template: Template, block: str, names: list[str]) -> LookupError:
    import difflib

    def unlikeness(name: str) -> tuple[float, str]:
        return -difflib.SequenceMatcher(None, block, name).ratio(), name

    nearest = ", ".join(sorted(names, key=unlikeness)) or "none"
    return LookupError(
        f"The template {template.name!r} has no block {block!r}. The blocks it has,"
        f" the most similar first: {nearest}."
    )
