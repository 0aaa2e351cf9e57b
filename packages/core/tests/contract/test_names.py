"""Every public name of Flask 3.1: where it is imported from, what it carries."""

from __future__ import annotations

import importlib
import types

import click
import click.testing
import jinja2
import pytest
import werkzeug.exceptions
import werkzeug.routing
import werkzeug.test
import werkzeug.wrappers

import erlen
from erlen import Blueprint
from erlen import Erlen
from erlen import Request
from erlen import Response
from erlen.blueprints import BlueprintSetupState
from erlen.cli import AppGroup
from erlen.cli import ErlenGroup
from erlen.cli import NoAppException
from erlen.cli import ScriptInfo
from erlen.config import Config
from erlen.config import ConfigAttribute
from erlen.ctx import AppContext
from erlen.ctx import RequestContext
from erlen.debughelpers import DebugFilesKeyError
from erlen.debughelpers import FormDataRoutingRedirect
from erlen.debughelpers import UnexpectedUnicodeError
from erlen.json.provider import DefaultJSONProvider
from erlen.json.provider import JSONProvider
from erlen.json.tag import JSONTag
from erlen.json.tag import TaggedJSONSerializer
from erlen.sansio.scaffold import Scaffold
from erlen.sessions import NullSession
from erlen.sessions import SecureCookieSession
from erlen.sessions import SecureCookieSessionInterface
from erlen.sessions import SessionInterface
from erlen.sessions import SessionMixin
from erlen.testing import EnvironBuilder
from erlen.testing import ErlenClient
from erlen.testing import ErlenCliRunner
from erlen.views import MethodView
from erlen.views import View

SIGNALS = """
    template_rendered before_render_template request_started request_finished
    request_tearing_down got_request_exception appcontext_pushed appcontext_popped
    appcontext_tearing_down message_flashed
"""

NAMES = {
    "": f"""
        Erlen Blueprint Config Request Response g current_app request session abort
        flash get_flashed_messages get_template_attribute make_response redirect
        send_file send_from_directory stream_with_context url_for jsonify json
        render_template render_template_string stream_template
        stream_template_string after_this_request copy_current_request_context
        has_app_context has_request_context {SIGNALS}
    """,
    "app": "Erlen",
    "blueprints": "Blueprint BlueprintSetupState",
    "cli": """
        ScriptInfo ErlenGroup FlaskGroup AppGroup with_appcontext pass_script_info
        NoAppException locate_app find_best_app prepare_import get_version load_dotenv
        run_command show_server_banner cli main version_option find_app_by_string
        shell_command routes_command CertParamType SeparatedPathType
    """,
    "config": "Config ConfigAttribute",
    "ctx": """
        AppContext RequestContext _AppCtxGlobals after_this_request
        copy_current_request_context has_app_context has_request_context
    """,
    "debughelpers": """
        UnexpectedUnicodeError DebugFilesKeyError FormDataRoutingRedirect
        attach_enctype_error_multidict explain_template_loading_attempts
    """,
    "globals": """
        current_app g request session app_ctx request_ctx _cv_app _cv_request
    """,
    "helpers": """
        abort flash get_debug_flag get_flashed_messages get_load_dotenv get_root_path
        get_template_attribute make_response redirect send_file send_from_directory
        stream_with_context url_for
    """,
    "json": "dump dumps jsonify load loads",
    "json.provider": "JSONProvider DefaultJSONProvider",
    "json.tag": """
        JSONTag TaggedJSONSerializer PassDict PassList TagDict TagTuple TagBytes
        TagMarkup TagUUID TagDateTime
    """,
    "logging": "create_logger default_handler has_level_handler wsgi_errors_stream",
    "sansio.app": "App",
    "sansio.blueprints": "Blueprint BlueprintSetupState",
    "sansio.scaffold": "Scaffold setupmethod find_package _endpoint_from_view_func",
    "sessions": """
        SessionMixin SessionInterface SecureCookieSession NullSession
        SecureCookieSessionInterface session_json_serializer
    """,
    "signals": f"Namespace {SIGNALS}",
    "templating": """
        Environment DispatchingJinjaLoader render_template render_template_string
        stream_template stream_template_string
    """,
    "testing": """
        EnvironBuilder ErlenClient ErlenCliRunner FlaskClient FlaskCliRunner
    """,
    "typing": """
        AppOrBlueprintKey ResponseClass HeaderValue HeadersValue ResponseValue
        ResponseReturnValue AfterRequestCallable BeforeFirstRequestCallable
        BeforeRequestCallable ErrorHandlerCallable RouteCallable
        ShellContextProcessorCallable TeardownCallable TemplateContextProcessorCallable
        TemplateFilterCallable TemplateGlobalCallable TemplateTestCallable
        URLDefaultCallable URLValuePreprocessorCallable
    """,
    "views": "View MethodView http_method_funcs",
    "wrappers": "Request Response",
}

SCAFFOLD = """
    name import_name root_path cli static_folder static_url_path has_static_folder
    template_folder jinja_loader route get post put patch delete add_url_rule endpoint
    before_request after_request teardown_request context_processor
    url_value_preprocessor url_defaults errorhandler register_error_handler
    view_functions error_handler_spec before_request_funcs after_request_funcs
    teardown_request_funcs template_context_processors url_value_preprocessors
    url_default_functions open_resource send_static_file get_send_file_max_age
"""

APP_CLASS = """
    aborter_class app_ctx_globals_class config_class json_provider_class request_class
    response_class test_client_class test_cli_runner_class url_map_class
    url_rule_class default_config jinja_environment jinja_options session_interface
    testing secret_key permanent_session_lifetime
"""

APP = f"""
    {APP_CLASS} debug
    aborter blueprints config extensions instance_path jinja_env json logger url_map
    subdomain_matching shell_context_processors teardown_appcontext_funcs
    url_build_error_handlers
    register_blueprint iter_blueprints template_filter add_template_filter
    template_test add_template_test template_global add_template_global
    shell_context_processor teardown_appcontext make_config make_aborter
    auto_find_instance_path create_jinja_environment create_global_jinja_loader
    select_jinja_autoescape
    __call__ wsgi_app full_dispatch_request preprocess_request dispatch_request
    raise_routing_exception finalize_request process_response make_response
    make_default_options_response create_url_adapter handle_http_exception
    handle_user_exception handle_exception trap_http_exception log_exception
    should_ignore_error ensure_sync async_to_sync inject_url_defaults
    handle_url_build_error url_for redirect update_template_context
    do_teardown_request do_teardown_appcontext app_context request_context
    test_request_context test_client test_cli_runner make_shell_context run
    open_instance_resource
"""

BLUEPRINT = """
    url_prefix subdomain url_values_defaults cli_group deferred_functions record
    record_once make_setup_state register register_blueprint before_app_request
    after_app_request teardown_app_request app_context_processor app_errorhandler
    app_url_defaults app_url_value_preprocessor app_template_filter
    add_app_template_filter app_template_test add_app_template_test
    app_template_global add_app_template_global
"""

SETUP_STATE = """
    app blueprint options first_registration subdomain url_prefix url_defaults name
    name_prefix add_url_rule
"""

REQUEST = """
    url_rule view_args routing_exception endpoint blueprint blueprints json_module
    on_json_loading_failed max_content_length max_form_memory_size max_form_parts
"""

RESPONSE = "default_mimetype json_module autocorrect_location_header max_cookie_size"

CONFIG = """
    root_path get_namespace from_object from_pyfile from_file from_envvar
    from_prefixed_env from_mapping
"""

REQUEST_CONTEXT = """
    app request url_adapter flashes session _session _after_request_functions
    match_request copy push pop
"""

SESSION_INTERFACE = """
    null_session_class pickle_based make_null_session is_null_session get_cookie_name
    get_cookie_domain get_cookie_path get_cookie_httponly get_cookie_secure
    get_cookie_samesite get_cookie_partitioned get_expiration_time should_set_cookie
    open_session save_session
"""

SECURE_INTERFACE = """
    salt digest_method key_derivation serializer session_class get_signing_serializer
"""


def lacks(thing, words):
    """Name those of `words` that `thing` does not carry."""
    return [word for word in words.split() if word not in dir(thing)]


@pytest.mark.parametrize(("module", "names"), NAMES.items())
def test_names_are_where_their_users_import_them_from(module, names):
    found = importlib.import_module(f"erlen.{module}".rstrip("."))

    assert [name for name in names.split() if not hasattr(found, name)] == []


@pytest.mark.parametrize("name", ["Markup", "escape", "_request_ctx_stack"])
def test_names_that_extensions_probe_for_are_absent(name):
    assert not hasattr(erlen, name)


@pytest.mark.parametrize("module", ["scaffold", "sansio.config", "json_provider"])
def test_submodules_that_flask_3_lacks_are_absent(module):
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(f"erlen.{module}")


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("app", "Erlen"),
        ("blueprints", "Blueprint"),
        ("config", "Config"),
        (
            "ctx",
            """after_this_request copy_current_request_context has_app_context
            has_request_context""",
        ),
        ("globals", "current_app g request session"),
        (
            "helpers",
            """abort flash get_flashed_messages get_template_attribute make_response
            redirect send_file send_from_directory stream_with_context url_for""",
        ),
        ("json", "jsonify"),
        ("signals", SIGNALS),
        (
            "templating",
            """render_template render_template_string stream_template
            stream_template_string""",
        ),
        ("wrappers", "Request Response"),
    ],
)
def test_one_object_behind_both_places(module, names):
    inner = importlib.import_module(f"erlen.{module}")

    for name in names.split():
        assert getattr(erlen, name) is getattr(inner, name)


def test_json_is_the_submodule():
    assert isinstance(erlen.json, types.ModuleType)
    assert erlen.json is importlib.import_module("erlen.json")


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("cli", "FlaskGroup", "ErlenGroup"),
        ("testing", "FlaskClient", "ErlenClient"),
        ("testing", "FlaskCliRunner", "ErlenCliRunner"),
    ],
)
def test_old_name_of_a_renamed_class_is_an_alias(module, old, new):
    found = importlib.import_module(f"erlen.{module}")

    assert getattr(found, old) is getattr(found, new)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        pytest.param(lambda app: app, SCAFFOLD, id="app as scaffold"),
        pytest.param(lambda app: app, APP, id="app"),
        pytest.param(lambda app: type(app), APP_CLASS, id="app class"),
        pytest.param(lambda app: Blueprint("b", __name__), SCAFFOLD, id="scaffold"),
        pytest.param(lambda app: Blueprint("b", __name__), BLUEPRINT, id="blueprint"),
        pytest.param(
            lambda app: Blueprint("b", __name__).make_setup_state(app, {}),
            SETUP_STATE,
            id="setup state",
        ),
        pytest.param(
            lambda app: app.test_request_context().request, REQUEST, id="request"
        ),
        pytest.param(lambda app: app.response_class(), RESPONSE, id="response"),
        pytest.param(lambda app: app.config, CONFIG, id="config"),
        pytest.param(
            lambda app: app.app_context(), "app g url_adapter push pop", id="app ctx"
        ),
        pytest.param(
            lambda app: app.test_request_context(), REQUEST_CONTEXT, id="request ctx"
        ),
        pytest.param(
            lambda app: app.test_client(),
            "application preserve_context environ_base open session_transaction",
            id="client",
        ),
        pytest.param(lambda app: app.test_cli_runner(), "app invoke", id="runner"),
        pytest.param(
            lambda app: EnvironBuilder(app), "app json_dumps", id="environ builder"
        ),
        pytest.param(
            lambda app: SecureCookieSession(),
            "permanent new modified accessed",
            id="session",
        ),
        pytest.param(lambda app: SessionInterface(), SESSION_INTERFACE, id="interface"),
        pytest.param(
            lambda app: SecureCookieSessionInterface(),
            SESSION_INTERFACE + SECURE_INTERFACE,
            id="secure interface",
        ),
        pytest.param(
            lambda app: JSONProvider(app),
            "dumps dump loads load response _app _prepare_response_obj",
            id="provider",
        ),
        pytest.param(
            lambda app: app.json,
            "default ensure_ascii sort_keys compact mimetype",
            id="default provider",
        ),
        pytest.param(
            lambda app: JSONTag(TaggedJSONSerializer()),
            "key check to_json to_python tag serializer",
            id="tag",
        ),
        pytest.param(
            lambda app: TaggedJSONSerializer(),
            "default_tags tags order register tag untag dumps loads",
            id="tagged",
        ),
        pytest.param(
            lambda app: View,
            "methods provide_automatic_options decorators init_every_request "
            "dispatch_request as_view",
            id="view",
        ),
        pytest.param(
            lambda app: ScriptInfo(),
            "app_import_path create_app data set_debug_flag load_dotenv_defaults "
            "load_app",
            id="script info",
        ),
    ],
)
def test_members(app, make, words):
    assert lacks(make(app), words) == []


@pytest.mark.parametrize(
    ("attribute", "expected"),
    [
        ("aborter_class", werkzeug.exceptions.Aborter),
        ("config_class", Config),
        ("jinja_environment", importlib.import_module("erlen.templating").Environment),
        ("json_provider_class", DefaultJSONProvider),
        ("request_class", Request),
        ("response_class", Response),
        ("url_map_class", werkzeug.routing.Map),
        ("url_rule_class", werkzeug.routing.Rule),
    ],
)
def test_class_that_an_application_starts_with(attribute, expected):
    assert getattr(Erlen, attribute) is expected


@pytest.mark.parametrize("attribute", ["test_client_class", "test_cli_runner_class"])
def test_class_for_tests_is_chosen_late(attribute):
    assert getattr(Erlen, attribute) is None


@pytest.mark.parametrize(
    ("child", "parent"),
    [
        (Erlen, Scaffold),
        (Erlen, importlib.import_module("erlen.sansio.app").App),
        (Blueprint, Scaffold),
        (Blueprint, importlib.import_module("erlen.sansio.blueprints").Blueprint),
        (BlueprintSetupState, object),
        (Request, werkzeug.wrappers.Request),
        (Response, werkzeug.wrappers.Response),
        (Config, dict),
        (DefaultJSONProvider, JSONProvider),
        (MethodView, View),
        (SecureCookieSession, SessionMixin),
        (NullSession, SecureCookieSession),
        (NoAppException, click.UsageError),
        (AppGroup, click.Group),
        (ErlenGroup, AppGroup),
        (DebugFilesKeyError, KeyError),
        (DebugFilesKeyError, AssertionError),
        (FormDataRoutingRedirect, AssertionError),
        (UnexpectedUnicodeError, UnicodeError),
        (UnexpectedUnicodeError, AssertionError),
        (ErlenCliRunner, click.testing.CliRunner),
        (SecureCookieSessionInterface, SessionInterface),
        (ErlenClient, werkzeug.test.Client),
        (EnvironBuilder, werkzeug.test.EnvironBuilder),
        (
            importlib.import_module("erlen.templating").Environment,
            jinja2.Environment,
        ),
        (
            importlib.import_module("erlen.templating").DispatchingJinjaLoader,
            jinja2.BaseLoader,
        ),
    ],
)
def test_parent_class(child, parent):
    assert issubclass(child, parent)


def test_classes_of_what_the_application_makes(app):
    assert type(app.app_context()) is AppContext
    assert type(app.test_request_context()) is RequestContext
    assert type(app.test_client()) is ErlenClient
    assert type(app.test_cli_runner()) is ErlenCliRunner
    assert type(app.config) is Config
    assert type(app.session_interface) is SecureCookieSessionInterface


def test_config_attribute_forwards_to_the_configuration():
    class Site(Erlen):
        plain = ConfigAttribute("PLAIN")
        seen = ConfigAttribute("SEEN", get_converter=lambda value: value * 2)

    site = Site("site")
    site.config["SEEN"] = 21
    site.plain = "x"

    assert site.config["PLAIN"] == "x"
    assert site.seen == 42
    assert isinstance(Site.plain, ConfigAttribute)


@pytest.mark.parametrize(
    ("register", "attribute"),
    [
        ("url_value_preprocessor", "url_value_preprocessors"),
        ("url_defaults", "url_default_functions"),
        ("context_processor", "template_context_processors"),
    ],
)
def test_registries_keyed_by_blueprint(app, register, attribute):
    blueprint = Blueprint("b", __name__)
    for scaffold in (app, blueprint):
        getattr(scaffold, register)(dict)
    app.register_blueprint(blueprint)

    assert dict in getattr(app, attribute)[None]
    assert dict in getattr(app, attribute)["b"]


@pytest.mark.parametrize(
    ("register", "attribute"),
    [
        ("teardown_appcontext", "teardown_appcontext_funcs"),
        ("shell_context_processor", "shell_context_processors"),
    ],
)
def test_registries_that_are_lists(app, register, attribute):
    getattr(app, register)(dict)

    assert getattr(app, attribute) == [dict]


def test_extensions_and_blueprints_start_empty(app):
    assert app.extensions == {}
    assert app.blueprints == {}


@pytest.mark.parametrize(
    ("method", "attribute"), [("make_config", "config"), ("make_aborter", "aborter")]
)
def test_part_made_by_a_subclass(method, attribute):
    made = []

    def make(self, *args):
        made.append(getattr(super(Site, self), method)(*args))
        return made[0]

    Site = type("Site", (Erlen,), {method: make})

    assert getattr(Site("site"), attribute) is made[0]


@pytest.mark.parametrize(
    ("attribute", "key", "value"),
    [
        ("testing", "TESTING", True),
        ("debug", "DEBUG", True),
        ("secret_key", "SECRET_KEY", "other"),
    ],
)
def test_attribute_and_configuration_key_are_one(app, attribute, key, value):
    setattr(app, attribute, value)
    assert app.config[key] == value

    app.config[key] = None
    assert getattr(app, attribute) is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Site", "Site"),
        ("some.package.module", "some.package.module"),
    ],
)
def test_name_is_the_import_name(name, expected):
    app = Erlen(name, root_path=".")

    assert app.name == expected
    assert app.import_name == name


def test_name_of_a_script_is_that_of_its_file(monkeypatch):
    main = importlib.import_module("__main__")
    monkeypatch.setattr(main, "__file__", "/srv/shop.py", raising=False)

    assert Erlen("__main__", root_path="/srv").name == "shop"


def test_representation_names_the_application(app):
    assert repr(app) == f"<{Erlen.__name__} {app.name!r}>"


def test_http_method_funcs():
    found = importlib.import_module("erlen.views").http_method_funcs

    assert found == {
        "get", "post", "head", "options", "delete", "put", "trace", "patch"
    }  # fmt: skip


def test_endpoint_from_view_func():
    scaffold = importlib.import_module("erlen.sansio.scaffold")

    assert scaffold._endpoint_from_view_func(lacks) == "lacks"


def test_find_package_tells_the_folder_that_is_imported_from():
    scaffold = importlib.import_module("erlen.sansio.scaffold")

    prefix, folder = scaffold.find_package("erlen")

    assert prefix is None
    assert erlen.__file__.startswith(folder)
