"""The parameters of what users call and override: names, order, plain defaults."""

from __future__ import annotations

import importlib
import inspect
import itertools
import re

import pytest

# In brackets the parameters as they may be given by position; behind a lone star by
# name only. (`encoding=None` of `open_resource` means UTF-8.) Defaults that are marks of their own ("not given") are left out.
SIGNATURES = """
    abort(code *args **kwargs)
    flash(message category='message')
    get_flashed_messages(with_categories=False category_filter=())
    get_template_attribute(template_name attribute)
    make_response(*args)
    redirect(location code=302 Response=None)
    send_file(path_or_file mimetype=None as_attachment=False download_name=None
        conditional=True etag=True last_modified=None max_age=None)
    send_from_directory(directory path **kwargs)
    stream_with_context(generator_or_function)
    url_for(endpoint * _anchor=None _method=None _scheme=None _external=None
        **values)
    jsonify(*args **kwargs)
    render_template(template_name_or_list **context)
    render_template_string(source **context)
    stream_template(template_name_or_list **context)
    stream_template_string(source **context)
    after_this_request(f)
    copy_current_request_context(f)
    has_app_context()
    has_request_context()
    Erlen(import_name static_url_path=None static_folder='static' static_host=None
        host_matching=False subdomain_matching=False template_folder='templates'
        instance_path=None instance_relative_config=False root_path=None)
    Blueprint(name import_name static_folder=None static_url_path=None
        template_folder=None url_prefix=None subdomain=None url_defaults=None
        root_path=None cli_group)
    Config(root_path defaults=None)
    Config.from_envvar(variable_name silent=False)
    Config.from_pyfile(filename silent=False)
    Config.from_object(obj)
    Config.from_file(filename load silent=False text=True)
    Config.from_mapping(mapping=None **kwargs)
    Config.get_namespace(namespace lowercase=True trim_namespace=True)
    Erlen.route(rule **options)
    Erlen.get(rule **options)
    Erlen.add_url_rule(rule endpoint=None view_func=None
        provide_automatic_options=None **options)
    Erlen.endpoint(endpoint)
    Erlen.before_request(f)
    Erlen.after_request(f)
    Erlen.teardown_request(f)
    Erlen.context_processor(f)
    Erlen.url_value_preprocessor(f)
    Erlen.url_defaults(f)
    Erlen.errorhandler(code_or_exception)
    Erlen.register_error_handler(code_or_exception f)
    Erlen.send_static_file(filename)
    Erlen.get_send_file_max_age(filename)
    Erlen.open_resource(resource mode='rb' encoding=None)
    Erlen.register_blueprint(blueprint **options)
    Erlen.iter_blueprints()
    Erlen.template_filter(name=None)
    Erlen.add_template_filter(f name=None)
    Erlen.template_test(name=None)
    Erlen.add_template_test(f name=None)
    Erlen.template_global(name=None)
    Erlen.add_template_global(f name=None)
    Erlen.shell_context_processor(f)
    Erlen.teardown_appcontext(f)
    Erlen.make_config(instance_relative=False)
    Erlen.make_aborter()
    Erlen.auto_find_instance_path()
    Erlen.create_jinja_environment()
    Erlen.create_global_jinja_loader()
    Erlen.select_jinja_autoescape(filename)
    Erlen.wsgi_app(environ start_response)
    Erlen.__call__(environ start_response)
    Erlen.full_dispatch_request()
    Erlen.preprocess_request()
    Erlen.dispatch_request()
    Erlen.raise_routing_exception(request)
    Erlen.finalize_request(rv from_error_handler=False)
    Erlen.process_response(response)
    Erlen.make_response(rv)
    Erlen.make_default_options_response()
    Erlen.create_url_adapter(request)
    Erlen.handle_http_exception(e)
    Erlen.handle_user_exception(e)
    Erlen.handle_exception(e)
    Erlen.trap_http_exception(e)
    Erlen.log_exception(exc_info)
    Erlen.should_ignore_error(error)
    Erlen.ensure_sync(func)
    Erlen.async_to_sync(func)
    Erlen.inject_url_defaults(endpoint values)
    Erlen.handle_url_build_error(error endpoint values)
    Erlen.url_for(endpoint * _anchor=None _method=None _scheme=None _external=None
        **values)
    Erlen.redirect(location code=302)
    Erlen.update_template_context(context)
    Erlen.do_teardown_request(exc)
    Erlen.do_teardown_appcontext(exc)
    Erlen.app_context()
    Erlen.request_context(environ)
    Erlen.test_request_context(*args **kwargs)
    Erlen.test_cli_runner(**kwargs)
    Erlen.make_shell_context()
    Erlen.run(host=None port=None debug=None load_dotenv=True **options)
    Erlen.open_instance_resource(resource mode='rb' encoding='utf-8')
    Blueprint.route(rule **options)
    Blueprint.get(rule **options)
    Blueprint.add_url_rule(rule endpoint=None view_func=None
        provide_automatic_options=None **options)
    Blueprint.endpoint(endpoint)
    Blueprint.before_request(f)
    Blueprint.after_request(f)
    Blueprint.teardown_request(f)
    Blueprint.context_processor(f)
    Blueprint.url_value_preprocessor(f)
    Blueprint.url_defaults(f)
    Blueprint.errorhandler(code_or_exception)
    Blueprint.register_error_handler(code_or_exception f)
    Blueprint.send_static_file(filename)
    Blueprint.get_send_file_max_age(filename)
    Blueprint.open_resource(resource mode='rb' encoding=None)
    Blueprint.register_blueprint(blueprint **options)
    Blueprint.record(func)
    Blueprint.record_once(func)
    Blueprint.make_setup_state(app options first_registration=False)
    Blueprint.register(app options)
    Blueprint.before_app_request(f)
    Blueprint.after_app_request(f)
    Blueprint.teardown_app_request(f)
    Blueprint.app_context_processor(f)
    Blueprint.app_errorhandler(code)
    Blueprint.app_url_defaults(f)
    Blueprint.app_url_value_preprocessor(f)
    Blueprint.app_template_filter(name=None)
    Blueprint.add_app_template_filter(f name=None)
    Blueprint.app_template_test(name=None)
    Blueprint.add_app_template_test(f name=None)
    Blueprint.app_template_global(name=None)
    Blueprint.add_app_template_global(f name=None)
    json:dump(obj fp **kwargs)
    json:dumps(obj **kwargs)
    json:load(fp **kwargs)
    json:loads(s **kwargs)
    helpers:get_debug_flag()
    helpers:get_load_dotenv(default=True)
    helpers:get_root_path(import_name)
    logging:create_logger(app)
    logging:has_level_handler(logger)
    ctx:RequestContext(app environ request=None session=None)
    ctx:AppContext(app)
    ctx:RequestContext.pop(exc)
    ctx:AppContext.pop(exc)
    cli:ScriptInfo(app_import_path=None create_app=None set_debug_flag=True
        load_dotenv_defaults=True)
    cli:ErlenGroup(add_default_commands=True create_app=None add_version_option=True
        load_dotenv=True set_debug_flag=True **extra)
    cli:with_appcontext(f)
    cli:load_dotenv(path=None load_defaults=True)
    cli:show_server_banner(debug app_import_path)
    cli:locate_app(module_name app_name raise_if_not_found=True)
    cli:find_best_app(module)
    cli:find_app_by_string(module app_name)
    cli:prepare_import(path)
    sessions:SecureCookieSession(initial=None)
    sessions:SessionInterface.open_session(app request)
    sessions:SessionInterface.save_session(app session response)
    sessions:SessionInterface.should_set_cookie(app session)
    sessions:SessionInterface.get_expiration_time(app session)
    sessions:SessionInterface.is_null_session(obj)
    sessions:SessionInterface.make_null_session(app)
    sessions:SessionInterface.get_cookie_name(app)
    sessions:SecureCookieSessionInterface.get_signing_serializer(app)
    json.provider:JSONProvider(app)
    json.provider:JSONProvider.dumps(obj **kwargs)
    json.provider:JSONProvider.dump(obj fp **kwargs)
    json.provider:JSONProvider.loads(s **kwargs)
    json.provider:JSONProvider.load(fp **kwargs)
    json.provider:JSONProvider.response(*args **kwargs)
    json.tag:JSONTag(serializer)
    json.tag:TaggedJSONSerializer.register(tag_class force=False index=None)
    json.tag:TaggedJSONSerializer.tag(value)
    json.tag:TaggedJSONSerializer.untag(value)
    testing:EnvironBuilder(app path='/' base_url=None subdomain=None url_scheme=None
        *args **kwargs)
    testing:ErlenCliRunner(app **kwargs)
    testing:EnvironBuilder.json_dumps(obj **kwargs)
    testing:ErlenClient.open(*args * buffered=False follow_redirects=False **kwargs)
    testing:ErlenClient.session_transaction(*args **kwargs)
    views:View.as_view(name *class_args **class_kwargs)
    blueprints:BlueprintSetupState(blueprint app options first_registration)
    blueprints:BlueprintSetupState.add_url_rule(rule endpoint=None view_func=None
        **options)
    config:ConfigAttribute(name get_converter=None)
"""


def wanted(words):
    """Split a row into what goes by position, and what goes by name."""
    by_position, _, by_name = f" {words} ".partition(" * ")
    rest = {word for word in by_position.split() if word.startswith("**")}
    return (
        [word for word in by_position.split() if word not in rest],
        {*by_name.split(), *rest},
    )


def found(path):
    """Describe a function as `wanted` does."""
    module, _, names = path.rpartition(":")
    owner = None
    function = importlib.import_module(f"erlen.{module}".rstrip("."))
    for name in names.split("."):
        owner, function = function, getattr(function, name)
    by_position, by_name = [], set()
    for parameter in inspect.signature(function).parameters.values():
        word = parameter.name
        if parameter.kind is parameter.VAR_POSITIONAL:
            word = f"*{word}"
        elif parameter.kind is parameter.VAR_KEYWORD:
            word = f"**{word}"
        elif isinstance(parameter.default, (str, int, tuple, type(None))):
            word = f"{word}={parameter.default!r}"
        if parameter.kind is parameter.KEYWORD_ONLY or word.startswith("**"):
            by_name.add(word)
        else:
            by_position.append(word)
    if isinstance(owner, type) and not inspect.ismethod(function):
        by_position = by_position[1:]  # self
    return by_position, by_name


ROWS = re.findall(r"^ {4}(\S+?)\((.*?)\)$", SIGNATURES, re.DOTALL | re.MULTILINE)
GROUPS = {
    owner: list(rows)
    for owner, rows in itertools.groupby(
        ROWS, key=lambda row: re.sub(r"\W?\w+$", "", row[0])
    )
}


@pytest.mark.parametrize("owner", GROUPS)
def test_parameters(owner):
    for path, words in GROUPS[owner]:
        by_position, by_name = wanted(words)
        actual, more = found(path)

        assert (path, actual[: len(by_position)]) == (path, by_position)
        assert (path, by_name - more) == (path, set())


def test_table_is_read_whole():
    assert sum(map(len, GROUPS.values())) == len(ROWS) == 175


def test_parameters_of_from_prefixed_env():
    actual, more = found("Config.from_prefixed_env")

    assert actual[0].startswith("prefix=")
    assert more == {"loads"}
