"""Layer 2: views as classes.

`as_view` makes the function that a rule calls. The application's `ensure_sync`
is asked for every call, so that methods may be `async def`.
"""

from __future__ import annotations

import typing as t

from . import _state

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from . import typing as ft

http_method_funcs: frozenset[str] = frozenset(
    {"get", "post", "head", "options", "delete", "put", "trace", "patch"}
)


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
    def as_view(
        cls, name: str, *class_args: t.Any, **class_kwargs: t.Any
    ) -> ft.RouteCallable:
        """Make a view function of the class.

        Args:
            name: Name of the function, and so of the endpoint by default.
            *class_args: Passed to the class for each instance.
            **class_kwargs: Passed to the class for each instance.
        """
        view: t.Any
        if cls.init_every_request:

            def fresh(**kwargs: t.Any) -> t.Any:
                # COMPAT: the class is read from the finished view function.
                instance = view.view_class(*class_args, **class_kwargs)
                return _current_app().ensure_sync(instance.dispatch_request)(**kwargs)

            view = fresh
        else:
            instance = cls(*class_args, **class_kwargs)

            def shared(**kwargs: t.Any) -> t.Any:
                return _current_app().ensure_sync(instance.dispatch_request)(**kwargs)

            view = shared
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
        ctx = _state.request_context("MethodView.dispatch_request")
        verb: str = ctx.request.method
        method = getattr(self, verb.lower(), None)
        if method is None and verb == "HEAD":
            method = getattr(self, "get", None)
        if method is None:
            raise AssertionError(
                f"Unimplemented method {verb!r}: the rule lets it in, but"
                f" {type(self).__qualname__} has no {verb.lower()}(). Write it, or"
                " take it out of the methods of the class or of add_url_rule()."
            )
        return ctx.app.ensure_sync(method)(*args, **kwargs)
