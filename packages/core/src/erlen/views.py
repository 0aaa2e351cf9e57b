"""Layer 2: views as classes.

`as_view` makes the function that a rule calls. The application's `ensure_sync`
is asked for every call, so that methods may be `async def`.
"""

from __future__ import annotations

import typing as t
from inspect import iscoroutinefunction

from . import _state

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from . import typing as ft

F = t.TypeVar("F", bound="cabc.Callable[..., t.Any]")

http_method_funcs: frozenset[str] = frozenset(
    {"get", "post", "head", "options", "delete", "put", "trace", "patch"}
)


def never_blocks(f: F) -> F:
    """Say that a plain function never waits: ASGI calls it on the event loop.

    It saves the way to a worker thread and back. Reading a file, asking a
    database or computing for more than a moment would stop every other request.
    """
    t.cast("t.Any", f)._never_blocks = True
    return f


def reads_stream(f: F) -> F:
    """Say that an async view reads the body itself, by `request.chunks()`.

    Nothing is read ahead for it then.
    """
    t.cast("t.Any", f)._reads_stream = True
    return f


class View:
    """A view whose instances answer with `dispatch_request`.

    Give `add_url_rule` the function that `as_view` makes.
    """

    #: HTTP methods of the rule, unless `add_url_rule` is given others.
    methods: t.ClassVar[cabc.Collection[str] | None] = None
    #: Whether OPTIONS is answered without the view; None leaves it to the rule.
    provide_automatic_options: t.ClassVar[bool | None] = None
    #: Decorators of the view function, the first one innermost.
    decorators: t.ClassVar[list[cabc.Callable[..., t.Any]]] = []
    #: Whether each request gets an instance of its own. With False one instance
    #: answers them all, and must not keep a request's data on itself.
    init_every_request: t.ClassVar[bool] = True

    def dispatch_request(self, *args: t.Any, **kwargs: t.Any) -> t.Any:
        """Answer a request.

        Args:
            *args: None; free for subclasses.
            **kwargs: The variables of the rule.

        Returns:
            Whatever a view function may return.
        """
        raise NotImplementedError(
            f"{type(self).__qualname__} has no dispatch_request(). Write one, or"
            " derive the class from MethodView and write get(), post() and so on."
        )

    @classmethod
    def _is_async(cls) -> bool:
        """Say whether whatever answers is `async def`."""
        return iscoroutinefunction(cls.dispatch_request)

    async def _awaited(self, **kwargs: t.Any) -> t.Any:
        return await self.dispatch_request(**kwargs)

    @classmethod
    def as_view(
        cls, name: str, *class_args: t.Any, **class_kwargs: t.Any
    ) -> ft.RouteCallable:
        """Make a view function of the class.

        Args:
            name: Name of the function, and so of the endpoint by default.
            *class_args: Passed to the class for each instance.
            **class_kwargs: Passed to the class for each instance.
        """
        if cls.init_every_request:

            def find() -> View:
                # COMPAT: the class is read from the finished view function.
                made: View = view.view_class(*class_args, **class_kwargs)
                return made

        else:
            instance = cls(*class_args, **class_kwargs)

            def find() -> View:
                return instance

        def call(**kwargs: t.Any) -> t.Any:
            return _current_app().ensure_sync(find().dispatch_request)(**kwargs)

        async def awaited(**kwargs: t.Any) -> t.Any:
            return await find()._awaited(**kwargs)

        view: t.Any = call
        if cls._is_async() and not cls.decorators:
            view._awaited = awaited  # under ASGI, without a worker that waits for it
        view.__name__ = name
        view.__module__ = cls.__module__
        for decorator in cls.decorators:
            view = decorator(view)
        return _label(view, name, cls)


def _current_app() -> t.Any:
    return _state.app_context("View.dispatch_request").app


def _label(view: t.Any, name: str, cls: type[View]) -> ft.RouteCallable:
    # COMPAT: what decorators made is named and marked too, since the rule reads
    # methods and provide_automatic_options from it.
    view.view_class = cls
    view.__name__ = name
    view.__doc__ = cls.__doc__
    view.__module__ = cls.__module__
    view.methods = cls.methods
    view.provide_automatic_options = cls.provide_automatic_options
    labelled: ft.RouteCallable = view
    return labelled


class MethodView(View):
    """A view with one method for each HTTP method: `get`, `post` and so on.

    `methods` is collected from these and from the base classes; HEAD is
    answered by `get` where there is no `head`.
    """

    def __init_subclass__(cls, **kwargs: t.Any) -> None:
        super().__init_subclass__(**kwargs)
        if "methods" in cls.__dict__:
            return
        methods = {key.upper() for key in http_method_funcs if hasattr(cls, key)}
        for base in cls.__bases__:
            methods.update(getattr(base, "methods", None) or ())
        if methods:
            cls.methods = methods

    def dispatch_request(self, *args: t.Any, **kwargs: t.Any) -> t.Any:
        """Answer a request with the method named as its HTTP method.

        Args:
            *args: None; free for subclasses.
            **kwargs: The variables of the rule.

        Raises:
            AssertionError: The rule lets an HTTP method in that the class has
                no method for.
        """
        app = _current_app()
        return app.ensure_sync(self._find_method())(*args, **kwargs)

    @classmethod
    def _is_async(cls) -> bool:
        if cls.dispatch_request is not MethodView.dispatch_request:
            return super()._is_async()
        methods = (getattr(cls, name, None) for name in http_method_funcs)
        return all(map(iscoroutinefunction, filter(None, methods)))

    async def _awaited(self, **kwargs: t.Any) -> t.Any:
        if type(self).dispatch_request is not MethodView.dispatch_request:
            return await super()._awaited(**kwargs)
        return await self._find_method()(**kwargs)

    def _find_method(self) -> t.Callable[..., t.Any]:
        """Return the method that answers the current request."""
        ctx = _state.request_context("MethodView.dispatch_request")
        verb: str = ctx.request.method
        method: t.Any = getattr(self, verb.lower(), None)
        if method is None and verb == "HEAD":
            method = getattr(self, "get", None)
        if method is None:
            raise AssertionError(
                f"Unimplemented method {verb!r}: the rule lets it in, but"
                f" {type(self).__qualname__} has no {verb.lower()}(). Write it, or"
                " take it out of the methods of the class or of add_url_rule()."
            )
        return t.cast("t.Callable[..., t.Any]", method)
