"""Layer 1: the classes that are built on Jinja2's, reached on first use.

The application holds its environment, and the environment must not hold the
application: what it needs of it goes through a weak reference.
"""

from __future__ import annotations

import typing as t
import weakref

from jinja2 import BaseLoader
from jinja2 import Environment as BaseEnvironment
from jinja2 import TemplateNotFound
from jinja2 import TemplatesNotFound

from . import _proxies
from .debughelpers import explain_template_loading_attempts
from .helpers import get_flashed_messages

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from jinja2 import Template

Source = tuple[str, str | None, t.Callable[[], bool] | None]


class _AppRef:
    """A weak reference to the application, called to get it."""

    __slots__ = ("_ref",)

    def __init__(self, app: t.Any) -> None:
        self._ref = weakref.ref(app)

    def __call__(self) -> t.Any:
        app = self._ref()
        if app is None:
            raise ReferenceError(
                "The application of this template environment is gone. Keep a"
                " reference to the application for as long as its templates are used."
            )
        return app


class Environment(BaseEnvironment):
    """A template environment that finds the templates of blueprints as well."""

    def __init__(self, app: t.Any, **options: t.Any) -> None:
        """Make an environment.

        Args:
            app: The application, held weakly.
            **options: Jinja2's own; the loader is by default the
                application's `create_global_jinja_loader()`.
        """
        if "loader" not in options:
            options["loader"] = app.create_global_jinja_loader()
        super().__init__(**options)
        self._app = _AppRef(app)

    @property
    def app(self) -> t.Any:
        """The application."""
        return self._app()

    def select_template(
        self,
        names: cabc.Iterable[str | Template],
        parent: str | None = None,
        globals: cabc.MutableMapping[str, t.Any] | None = None,
    ) -> Template:
        """Load the first of several templates that exists.

        Args:
            names: Names of templates, or templates.
            parent: Name of the template that asks.
            globals: Variables added to the environment's.

        Raises:
            jinja2.TemplatesNotFound: There is none of them; the message names
                the places that were searched.
        """
        try:
            return super().select_template(names, parent, globals)
        except TemplatesNotFound as exc:
            if exc.templates and isinstance(self.loader, DispatchingJinjaLoader):
                exc.message = f"{exc.message}. {_places(self.app)}"
            raise


class DispatchingJinjaLoader(BaseLoader):
    """Looks in the application's templates, then in those of its blueprints."""

    def __init__(self, app: t.Any) -> None:
        """Make a loader.

        Args:
            app: The application, held weakly.
        """
        self._app = _AppRef(app)

    @property
    def app(self) -> t.Any:
        """The application."""
        return self._app()

    def get_source(self, environment: BaseEnvironment, template: str) -> Source:
        """Return source, path and freshness check of a template.

        Args:
            environment: The environment that asks.
            template: Name of the template.

        Raises:
            jinja2.TemplateNotFound: No loader has it; the message names the
                places that were searched.
        """
        app = self._app()
        if app.config["EXPLAIN_TEMPLATE_LOADING"]:
            return self._explain(app, environment, template)
        for _owner, loader in _loaders(app):
            try:
                return loader.get_source(environment, template)
            except TemplateNotFound:
                continue
        raise _not_found(app, template)

    def list_templates(self) -> list[str]:
        """Return the names of all templates, sorted."""
        names: set[str] = set()
        for _owner, loader in _loaders(self._app()):
            names.update(loader.list_templates())
        return sorted(names)

    def _explain(
        self, app: t.Any, environment: BaseEnvironment, template: str
    ) -> Source:
        attempts: list[tuple[BaseLoader, t.Any, Source | None]] = []
        for owner, loader in _loaders(app):
            result: Source | None
            try:
                result = loader.get_source(environment, template)
            except TemplateNotFound:
                result = None
            attempts.append((loader, owner, result))
        explain_template_loading_attempts(app, template, attempts)
        for _loader, _owner, result in attempts:
            if result is not None:
                return result
        raise _not_found(app, template)


def _loaders(app: t.Any) -> cabc.Iterator[tuple[t.Any, BaseLoader]]:
    for owner in (app, *app.iter_blueprints()):
        loader = owner.jinja_loader
        if loader is not None:
            yield owner, loader


def _places(app: t.Any) -> str:
    places = [
        place
        for _owner, loader in _loaders(app)
        for place in getattr(loader, "searchpath", None) or (type(loader).__name__,)
    ]
    if not places:
        return "No template_folder is set, on the application or on a blueprint."
    return f"Searched in: {', '.join(places)}"


def _not_found(app: t.Any, template: str) -> TemplateNotFound:
    return TemplateNotFound(template, f"{template} was not found. {_places(app)}")


def create_environment(app: t.Any) -> BaseEnvironment:
    """Make the template environment of an application.

    Args:
        app: The application; its `jinja_environment`, `jinja_options`,
            `select_jinja_autoescape` and the settings TEMPLATES_AUTO_RELOAD
            and DEBUG decide what it is like.
    """
    ref = _AppRef(app)

    def autoescape(name: str | None) -> bool:
        return bool(ref().select_jinja_autoescape(name))

    def url_for(*args: t.Any, **values: t.Any) -> str:
        url: str = ref().url_for(*args, **values)
        return url

    def dumps(obj: t.Any, **kwargs: t.Any) -> str:
        text: str = ref().json.dumps(obj, **kwargs)
        return text

    options = {"autoescape": autoescape, **app.jinja_options}
    if "auto_reload" not in options:
        reload = app.config["TEMPLATES_AUTO_RELOAD"]
        options["auto_reload"] = app.debug if reload is None else reload
    # Set only where an application has a class of its own: to name the default
    # there would import Jinja2 with the application.
    environment_class = getattr(app, "jinja_environment", Environment)
    env: BaseEnvironment = environment_class(app, **options)
    t.cast("dict[str, t.Any]", env.globals).update(
        url_for=url_for,
        get_flashed_messages=get_flashed_messages,
        config=app.config,
        # Proxies: templates imported without context and those rendered
        # outside a request must find them as well.
        request=_proxies.request,
        session=_proxies.session,
        g=_proxies.g,
    )
    env.policies["json.dumps_function"] = dumps
    return env
