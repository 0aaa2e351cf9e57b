"""Layer 2: Blueprint, a part of an application that is declared on its own.

It records what it is told and plays that back on each application, under each
name and prefix that it is registered with.
"""

from __future__ import annotations

import functools
import typing as t

from ._scaffold import Scaffold
from ._scaffold import _endpoint_from_view_func
from ._scaffold import adding
from ._scaffold import setupmethod

if t.TYPE_CHECKING:
    import os

    from . import typing as ft

F = t.TypeVar("F", bound=t.Callable[..., t.Any])

DeferredSetupFunction = t.Callable[["BlueprintSetupState"], None]

# The application stands above this layer; a blueprint only plays back on it.
App = t.Any

_UNSET: t.Any = object()


def _join_prefix(prefix: str | None, rule: str) -> str:
    """Put a URL prefix in front of a rule, with one slash between them."""
    if not prefix:
        return rule
    if not rule:
        return prefix
    return f"{prefix.rstrip('/')}/{rule.lstrip('/')}"


class BlueprintSetupState:
    """One registration of a blueprint: where it goes, under which name."""

    def __init__(
        self,
        blueprint: Blueprint,
        app: App,
        options: dict[str, t.Any],
        first_registration: bool,
    ) -> None:
        self.app = app
        self.blueprint = blueprint
        self.options = options
        #: Whether no blueprint of this name is on the application yet.
        self.first_registration = first_registration

        def option(name: str) -> t.Any:
            value = options.get(name)
            return getattr(blueprint, name) if value is None else value

        self.subdomain: str | None = option("subdomain")
        self.url_prefix: str | None = option("url_prefix")
        self.name: str = options.get("name") or blueprint.name
        self.name_prefix: str = options.get("name_prefix", "")
        self.url_defaults: dict[str, t.Any] = {
            **blueprint.url_values_defaults,
            **options.get("url_defaults", {}),
        }

    def add_url_rule(
        self,
        rule: str,
        endpoint: str | None = None,
        view_func: ft.RouteCallable | None = None,
        **options: t.Any,
    ) -> None:
        """Add a rule to the application, with prefix, name and defaults."""
        if self.url_prefix is not None:
            rule = _join_prefix(self.url_prefix, rule)
        options.setdefault("subdomain", self.subdomain)
        if endpoint is None:
            endpoint = _endpoint_from_view_func(view_func)  # type: ignore[arg-type]  # None is refused there
        defaults = self.url_defaults
        if "defaults" in options:
            defaults = {**defaults, **options.pop("defaults")}
        self.app.add_url_rule(
            rule,
            f"{self.name_prefix}.{self.name}.{endpoint}".lstrip("."),
            view_func,
            defaults=defaults,
            **options,
        )


class Blueprint(Scaffold):
    """Routes, hooks, templates and commands that an application registers."""

    name: str
    _got_registered_once = False

    def __init__(
        self,
        name: str,
        import_name: str,
        static_folder: str | os.PathLike[str] | None = None,
        static_url_path: str | None = None,
        template_folder: str | os.PathLike[str] | None = None,
        url_prefix: str | None = None,
        subdomain: str | None = None,
        url_defaults: dict[str, t.Any] | None = None,
        root_path: str | None = None,
        cli_group: str | None = _UNSET,
        *,
        owns_prefix: bool = False,
    ) -> None:
        """Make an empty blueprint.

        Args:
            name: Goes in front of each endpoint; no dots.
            import_name: Usually `__name__`; its place is the root path.
            static_folder: Folder of static files, below the root path.
            static_url_path: URL prefix of the static files, below the
                blueprint's own prefix.
            template_folder: Folder of templates, searched after the
                application's.
            url_prefix: Goes in front of each rule.
            subdomain: For each rule that has none of its own.
            url_defaults: Values for each rule.
            root_path: The root path, where the module cannot tell it.
            cli_group: The group of its commands; by default the name. None
                merges them into the application's.
            owns_prefix: Its error handlers also answer the 404 and 405 of
                URLs below its prefix that no rule matches.

        Raises:
            ValueError: The name is empty or has a dot.
        """
        super().__init__(
            import_name=import_name,
            static_folder=static_folder,
            static_url_path=static_url_path,
            template_folder=template_folder,
            root_path=root_path,
        )
        _check_name(name)
        self.name = name
        self.url_prefix = url_prefix
        self.subdomain = subdomain
        self.deferred_functions: list[DeferredSetupFunction] = []
        self.url_values_defaults: dict[str, t.Any] = url_defaults or {}
        self.cli_group = cli_group
        self.owns_prefix = owns_prefix
        self._blueprints: list[tuple[Blueprint, dict[str, t.Any]]] = []

    def _check_setup_finished(self, f_name: str) -> None:
        if self._got_registered_once:
            raise AssertionError(
                f"The setup method '{f_name}' can no longer be called on the blueprint"
                f" '{self.name}'. It has already been registered at least once, any"
                " changes will not be applied consistently. Import and declare"
                " everything before 'register_blueprint'."
            )

    # Recording

    @setupmethod
    def record(self, func: DeferredSetupFunction) -> None:
        """Call a function with the setup state at each registration."""
        self.deferred_functions.append(func)

    @setupmethod
    def record_once(self, func: DeferredSetupFunction) -> None:
        """Call a function at the first registration on an application only."""

        def first_only(state: BlueprintSetupState) -> None:
            if state.first_registration:
                func(state)

        self.record(functools.update_wrapper(first_only, func))

    def make_setup_state(
        self, app: App, options: dict[str, t.Any], first_registration: bool = False
    ) -> BlueprintSetupState:
        """Make the state that recorded functions get; to be overridden."""
        return BlueprintSetupState(self, app, options, first_registration)

    @setupmethod
    def register_blueprint(self, blueprint: Blueprint, **options: t.Any) -> None:
        """Nest a blueprint; it is registered together with this one.

        Raises:
            ValueError: A blueprint within itself.
        """
        if blueprint is self:
            raise ValueError(
                f"The blueprint '{self.name}' cannot be registered on itself."
            )
        self._blueprints.append((blueprint, options))

    def register(self, app: App, options: dict[str, t.Any]) -> None:
        """Play everything back on an application.

        Raises:
            ValueError: The name is taken there: give another by `name=`.
        """
        name = options.get("name") or self.name
        name = f"{options.get('name_prefix', '')}.{name}".lstrip(".")
        _check_free(app, self, name)
        first = not any(taken is self for taken in app.blueprints.values())
        state = self.make_setup_state(app, options, first)
        app.blueprints[name] = self
        self._got_registered_once = True

        if self.has_static_folder:
            state.add_url_rule(
                f"{self.static_url_path}/<path:filename>",
                view_func=self.send_static_file,
                endpoint="static",
            )
        self._merge_tables(app, name)
        if self.owns_prefix:
            app._own_prefix(state.url_prefix or "", name, state.subdomain)
        for deferred in self.deferred_functions:
            deferred(state)
        self._merge_commands(app, name, options.get("cli_group", self.cli_group))
        for blueprint, child_options in self._blueprints:
            nested = _nested_options(blueprint, state, child_options)
            blueprint.register(app, {**nested, "name_prefix": name})

    def _merge_tables(self, app: App, name: str) -> None:
        """Put the tables on the application, their scopes below this name."""

        def scope_of(key: str | None) -> str:
            return name if key is None else f"{name}.{key}"

        for endpoint, view in self.view_functions.items():
            app.view_functions[endpoint] = view
        for key, by_code in self.error_handler_spec.items():
            for code, handlers in by_code.items():
                app.error_handler_spec[scope_of(key)][code].update(handlers)
        for table in (
            *("before_request_funcs", "after_request_funcs", "teardown_request_funcs"),
            *("url_default_functions", "url_value_preprocessors"),
            "template_context_processors",
        ):
            for key, callbacks in getattr(self, table).items():
                getattr(app, table)[scope_of(key)].extend(callbacks)

    def _merge_commands(self, app: App, name: str, group: str | None) -> None:
        if "cli" not in self.__dict__ or not self.cli.commands:
            return
        if group is None:
            app.cli.commands.update(self.cli.commands)
        else:
            self.cli.name = name if group is _UNSET else group
            app.cli.add_command(self.cli)

    @setupmethod
    def add_url_rule(
        self,
        rule: str,
        endpoint: str | None = None,
        view_func: ft.RouteCallable | None = None,
        provide_automatic_options: bool | None = None,
        **options: t.Any,
    ) -> None:
        """Route a URL rule, below the prefix, to a view.

        Args:
            rule: Such as `"/book/<int:id>"`.
            endpoint: Without the blueprint's name; by default the view's name.
            view_func: The view.
            provide_automatic_options: Whether Erlen answers OPTIONS.
            **options: As `Erlen.add_url_rule`.

        Raises:
            ValueError: A dot in the endpoint or in the view's name.
        """
        if endpoint and "." in endpoint:
            raise ValueError(
                f"'endpoint' may not contain a dot '.' character: {endpoint!r}. The"
                " blueprint's name goes in front of it by itself."
            )
        if view_func and "." in getattr(view_func, "__name__", ""):
            raise ValueError(
                "'view_func' name may not contain a dot '.' character:"
                f" {view_func.__name__!r}."
            )
        self.record(
            lambda state: state.add_url_rule(
                rule,
                endpoint,
                view_func,
                provide_automatic_options=provide_automatic_options,
                **options,
            )
        )

    # For the whole application

    def _app_callback(self, table: str, f: t.Callable[..., t.Any]) -> None:
        self.record_once(lambda s: getattr(s.app, table)[None].append(f))

    @setupmethod
    def before_app_request(self, f: F) -> F:
        """Run a function before each request of the application."""
        self._app_callback("before_request_funcs", f)
        return f

    @setupmethod
    def after_app_request(self, f: F) -> F:
        """Run a function on each response of the application."""
        self._app_callback("after_request_funcs", f)
        return f

    @setupmethod
    def teardown_app_request(self, f: F) -> F:
        """Run a function at the end of each request of the application."""
        self._app_callback("teardown_request_funcs", f)
        return f

    @setupmethod
    def app_context_processor(self, f: F) -> F:
        """Add values to every template of the application."""
        self._app_callback("template_context_processors", f)
        return f

    @setupmethod
    def app_url_value_preprocessor(self, f: F) -> F:
        """See and change the values from the URL in the whole application."""
        self._app_callback("url_value_preprocessors", f)
        return f

    @setupmethod
    def app_url_defaults(self, f: F) -> F:
        """Add values to each URL that the application builds."""
        self._app_callback("url_default_functions", f)
        return f

    @setupmethod
    def app_errorhandler(self, code: type[Exception] | int) -> t.Callable[[F], F]:
        """Answer an error of the whole application."""

        def decorator(f: F) -> F:
            self.record_once(lambda s: s.app.errorhandler(code)(f))
            return f

        return decorator

    @setupmethod
    def app_template_filter(self, name: str | None = None) -> t.Callable[[F], F]:
        """Add a template filter to the application."""
        return adding(self.add_app_template_filter, name)

    @setupmethod
    def add_app_template_filter(
        self, f: ft.TemplateFilterCallable, name: str | None = None
    ) -> None:
        """Add a template filter to the application, as a call."""
        self.record_once(lambda s: s.app.add_template_filter(f, name))

    @setupmethod
    def app_template_test(self, name: str | None = None) -> t.Callable[[F], F]:
        """Add a template test to the application."""
        return adding(self.add_app_template_test, name)

    @setupmethod
    def add_app_template_test(
        self, f: ft.TemplateTestCallable, name: str | None = None
    ) -> None:
        """Add a template test to the application, as a call."""
        self.record_once(lambda s: s.app.add_template_test(f, name))

    @setupmethod
    def app_template_global(self, name: str | None = None) -> t.Callable[[F], F]:
        """Add a template global to the application."""
        return adding(self.add_app_template_global, name)

    @setupmethod
    def add_app_template_global(
        self, f: ft.TemplateGlobalCallable, name: str | None = None
    ) -> None:
        """Add a template global to the application, as a call."""
        self.record_once(lambda s: s.app.add_template_global(f, name))


def _check_name(name: str) -> None:
    if not name:
        raise ValueError("'name' may not be empty: it goes in front of endpoints.")
    if "." in name:
        raise ValueError(
            f"'name' may not contain a dot '.' character: {name!r}. Dots stand between"
            " nested blueprints; register one blueprint on the other for that."
        )


def _check_free(app: App, blueprint: Blueprint, name: str) -> None:
    taken = app.blueprints.get(name)
    if taken is None:
        return
    what = "this" if taken is blueprint else "a different"
    raise ValueError(
        f"The name '{name}' is already registered for {what} blueprint. Use 'name=' to"
        " provide a unique name."
    )


def _nested_options(
    blueprint: Blueprint, state: BlueprintSetupState, options: dict[str, t.Any]
) -> dict[str, t.Any]:
    """Combine what a child was registered with, and where its parent went."""
    options = dict(options)
    prefix = options.get("url_prefix")
    if prefix is None:
        prefix = blueprint.url_prefix
    if state.url_prefix is not None and prefix is not None:
        prefix = _join_prefix(state.url_prefix, prefix)
    elif prefix is None:
        prefix = state.url_prefix
    if prefix is not None:
        options["url_prefix"] = prefix

    subdomain = options.get("subdomain")
    if subdomain is None:
        subdomain = blueprint.subdomain
    if state.subdomain is not None and subdomain is not None:
        subdomain = f"{subdomain}.{state.subdomain}"
    elif subdomain is None:
        subdomain = state.subdomain
    if subdomain is not None:
        options["subdomain"] = subdomain
    return options
