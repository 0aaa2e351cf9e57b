from __future__ import annotations

import pytest
from werkzeug.exceptions import SecurityError
from werkzeug.routing import BuildError
from werkzeug.routing import Map
from werkzeug.routing import Rule
from werkzeug.test import create_environ

from erlen import Blueprint
from erlen import Erlen
from erlen import Request
from erlen import _devserver
from erlen import app as app_module
from erlen import g
from erlen import request
from erlen.ctx import AppContext
from erlen.ctx import RequestContext
from erlen.testing import ErlenClient
from erlen.testing import ErlenCliRunner

STEPS = sorted(app_module.STEPS)


@pytest.fixture
def site(app):
    def view(**values):
        return ""

    def add(rule, endpoint, **options):
        app.add_url_rule(rule, endpoint, view, **options)

    add("/", "index")
    add("/item/<int:n>", "item")
    add("/item/<int:n>/edit", "item", methods=["POST"])
    for name in ("shop", "shop.admin"):
        add(f"/{name}/", f"{name}.index")
        add(f"/{name}/<lang>/", f"{name}.page")
    app.before_request(lambda: None)
    return app


# Steps that are replaced


@pytest.mark.parametrize("step", STEPS)
def test_a_replaced_step_is_known_at_once(step):
    app = Erlen("site")
    assert app._overridden == frozenset()

    setattr(app, step, getattr(app, step))
    assert app._overridden == {step}

    delattr(app, step)
    assert app._overridden == frozenset()


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("where", ["subclass", "mixin", "Erlen"])
def test_a_step_replaced_on_a_class_is_known(monkeypatch, step, where):
    def replaced(self, *args):
        """Is not called."""

    if where == "Erlen":
        monkeypatch.setattr(Erlen, step, replaced)
        app = Erlen("site")
    else:
        bases = {"subclass": (Erlen,), "mixin": (type("Mixin", (), {}), Erlen)}[where]
        setattr(bases[0], step, replaced) if where == "mixin" else None
        app = type("Site", bases, {step: replaced} if where == "subclass" else {})("x")

    assert app._overridden == {step}


def test_what_was_known_is_forgotten_with_a_step(site, client):
    client.get("/")
    assert site._plans
    assert site._hosts

    site.create_url_adapter = Erlen.create_url_adapter.__get__(site)
    assert not site._plans
    assert not site._hosts
    assert site._binds_each_request

    client.get("/")
    assert site._plans
    assert not site._hosts
    del site.create_url_adapter
    assert not site._plans
    assert not site._binds_each_request


def test_other_attributes_are_only_set_and_deleted(site, client):
    client.get("/")

    site.mine = 1
    del site.mine

    assert site._plans
    assert site._hosts
    assert not hasattr(site, "mine")


def test_another_map_is_searched_at_once(site, client):
    assert client.get("/").status_code == 200

    site.url_map = Map([Rule("/other", endpoint="index")])

    assert client.get("/").status_code == 404
    assert client.get("/other").status_code == 200


# Contexts


def test_contexts_are_made_of_their_classes(app):
    environ = create_environ("/x")

    assert type(app.app_context()) is AppContext
    ctx = app.request_context(environ)
    assert type(ctx) is RequestContext
    assert ctx.request.environ is environ


def test_the_context_of_a_test_takes_a_description(app):
    with app.test_request_context("/x?a=1", method="PUT", json={"b": 2}):
        assert (request.path, request.method) == ("/x", "PUT")
        assert (request.args["a"], request.json) == ("1", {"b": 2})


def test_the_context_of_a_test_leaves_no_file_open(app, tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("text")

    with app.test_request_context(method="POST", data={"file": path.open("rb")}):
        assert request.files["file"].read() == b"text"


@pytest.mark.parametrize(("hops", "scheme"), [(0, "http"), (1, "https")])
def test_proxies_are_believed_where_the_context_is_made(app, hops, scheme):
    app.config["PROXY_HOPS"] = hops

    ctx = app.request_context(create_environ(headers={"X-Forwarded-Proto": "https"}))

    assert ctx.request.scheme == scheme


# Adapters


@pytest.mark.parametrize(
    ("options", "config", "url"),
    [
        ({}, {}, "http://a.shop.test/"),
        ({}, {"SERVER_NAME": "shop.test"}, "http://shop.test/"),
        (
            {"subdomain_matching": True},
            {"SERVER_NAME": "shop.test"},
            "http://shop.test/",
        ),
        (
            {"host_matching": True, "static_folder": None},
            {"SERVER_NAME": "other.test"},
            "http://b.test/",
        ),
    ],
)
def test_what_an_adapter_is_bound_to(options, config, url):
    app = Erlen("site", **options)
    app.config.update(config)
    place = {"host": "b.test"} if "host_matching" in options else {"subdomain": ""}
    app.add_url_rule("/", "index", **(place if options else {}))

    adapter = app.create_url_adapter(
        Request(create_environ(base_url="http://a.shop.test"))
    )

    assert adapter.build("index", force_external=True) == url


def test_a_map_with_a_default_subdomain_is_bound_to_it(app):
    app.url_map.default_subdomain = "www"

    adapter = app.create_url_adapter(Request(create_environ()))

    assert adapter.subdomain == "www"


def test_only_trusted_hosts_are_bound(app):
    app.config["TRUSTED_HOSTS"] = ["shop.test"]

    with pytest.raises(SecurityError):
        app.create_url_adapter(Request(create_environ(base_url="http://evil.test")))


@pytest.mark.parametrize(
    ("config", "url"),
    [
        ({}, None),
        ({"SERVER_NAME": "shop.test"}, "http://shop.test/"),
        (
            {
                "SERVER_NAME": "shop.test:81",
                "APPLICATION_ROOT": "/root",
                "PREFERRED_URL_SCHEME": "https",
            },
            "https://shop.test:81/root/",
        ),
    ],
)
def test_the_adapter_outside_of_a_request(site, config, url):
    site.config.update(config)

    adapter = site.create_url_adapter(None)

    assert (adapter and adapter.build("index", force_external=True)) == url


# URLs

URLS = [
    ("index", {}, "/"),
    ("item", {"n": 1}, "/item/1"),
    ("item", {"n": 1, "q": "a b"}, "/item/1?q=a+b"),
    ("item", {"n": 1, "_method": "POST"}, "/item/1/edit"),
    ("index", {"_anchor": "x y/ü"}, "/#x%20y/%C3%BC"),
    ("index", {"_external": True}, "http://localhost/"),
    ("index", {"_scheme": "https"}, "https://localhost/"),
    (
        "index",
        {"_scheme": "https", "_external": True, "_anchor": ""},
        "https://localhost/#",
    ),
    (".index", {}, "/shop.admin/"),
    ("shop.index", {}, "/shop/"),
    ("shop.page", {"lang": "en"}, "/shop/en/"),
]


@pytest.mark.parametrize(("endpoint", "values", "url"), URLS)
def test_urls_inside_a_request(site, endpoint, values, url):
    with site.test_request_context("/shop.admin/"):
        assert site.url_for(endpoint, **values) == url


@pytest.mark.parametrize("endpoint", ["index", ".index"])
def test_a_leading_dot_means_nothing_without_a_blueprint(site, endpoint):
    with site.test_request_context("/"):
        assert site.url_for(endpoint) == "/"


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize(
    ("values", "url"),
    [({}, "http://shop.test/"), ({"_external": False}, "/")],
)
def test_urls_outside_of_a_request(site, values, url, inside):
    site.config["SERVER_NAME"] = "shop.test"

    if inside:
        with site.app_context():
            assert site.url_for("index", **values) == url
    else:
        assert site.url_for("index", **values) == url


@pytest.mark.parametrize("inside", [False, True])
def test_urls_outside_of_a_request_need_a_server_name(site, inside):
    def build():
        with pytest.raises(RuntimeError, match="'SERVER_NAME'") as caught:
            site.url_for("index")
        assert "'PREFERRED_URL_SCHEME'" in str(caught.value)

    if inside:
        with site.app_context():
            build()
    else:
        build()


def test_a_scheme_belongs_to_an_external_url(site):
    with (
        site.test_request_context(),
        pytest.raises(ValueError, match="'_external' must be True"),
    ):
        site.url_for("index", _scheme="https", _external=False)


@pytest.mark.parametrize(
    ("endpoint", "asked"),
    [
        ("index", [None]),
        ("shop.page", [None, "shop"]),
        ("shop.admin.page", [None, "shop", "shop.admin"]),
        ("a.b.c.d", [None, "a", "a.b", "a.b.c"]),
        (".page", [None, ""]),
    ],
)
def test_who_gives_default_values_for_urls(app, endpoint, asked):
    order = []
    for name in (None, "", "shop", "shop.admin", "a", "a.b", "a.b.c", "other"):
        app.url_default_functions[name].append(
            lambda endpoint, values, name=name: order.append(name)
        )

    app.inject_url_defaults(endpoint, {})

    assert order == asked


def test_default_values_are_used(site):
    site.url_default_functions["shop"].append(
        lambda endpoint, values: values.setdefault("lang", "en")
    )

    with site.test_request_context():
        assert site.url_for("shop.page") == "/shop/en/"
        assert site.url_for("shop.page", lang="de") == "/shop/de/"


class Told:
    """Handlers of URLs that cannot be built."""

    def __init__(self, app, *answers):
        self.seen = []
        for answer in answers:
            app.url_build_error_handlers.append(self.handler(answer))

    def handler(self, answer):
        def handle(error, endpoint, values):
            self.seen.append((str(error)[:5], endpoint, values))
            if isinstance(answer, Exception):
                raise answer
            return answer

        return handle


def test_handlers_of_build_errors_get_what_was_asked_for(site):
    told = Told(site, None, "/known", "/never asked")

    with site.test_request_context():
        assert site.url_for("absent", a=1, _anchor="x") == "/known"

    values = {"a": 1, "_anchor": "x", "_method": None, "_scheme": None}
    assert told.seen == [("Could", "absent", values | {"_external": False})] * 2


def test_a_handler_may_hand_on_another_error(site):
    other = BuildError("other", {}, None)
    Told(site, other, None)

    with site.test_request_context(), pytest.raises(BuildError) as caught:
        site.url_for("absent")

    assert caught.value is other


def test_without_handlers_the_error_goes_on(site):
    with site.test_request_context(), pytest.raises(BuildError, match="absent"):
        site.url_for("absent")


# Templates and files


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (None, {"given": "given", "a": "app", "b": "app", "c": "app"}),
        ("/", {"given": "given", "a": "app", "b": "app", "c": "app"}),
        ("/in", {"given": "given", "a": "app", "b": "parent", "c": "child"}),
    ],
)
def test_who_adds_to_the_values_of_a_template(app, path, expected):
    def adding(name, keys):
        return lambda: dict.fromkeys(["given", *keys], name)

    parent, child = Blueprint("parent", __name__), Blueprint("child", __name__)
    child.add_url_rule("/in", "index", lambda: "")
    for scaffold, name, keys in (
        (app, "app", "abc"),
        (parent, "parent", "bc"),
        (child, "child", "c"),
    ):
        scaffold.context_processor(adding(name, keys))
    parent.register_blueprint(child)
    app.register_blueprint(parent)
    app.template_context_processors[None].pop(0)  # the default one
    values = {"given": "given"}

    with app.app_context() if path is None else app.test_request_context(path):
        app.update_template_context(values)

    assert values == expected


@pytest.mark.parametrize(
    ("args", "content"),
    [
        ((), b"h\xc3\xbc"),
        (("r",), "hü"),
        (("r", "latin1"), "hÃ¼"),
        (("rb",), b"h\xc3\xbc"),
    ],
)
def test_files_of_the_instance_folder(tmp_path, args, content):
    (tmp_path / "x.txt").write_bytes(b"h\xc3\xbc")
    app = Erlen("site", instance_path=str(tmp_path))

    with app.open_instance_resource("x.txt", *args) as file:
        assert file.read() == content
    with app.open_instance_resource("y.txt", "w") as file:
        file.write("ü")
    assert (tmp_path / "y.txt").read_bytes() == b"\xc3\xbc"


# What people run


def test_the_shell_starts_with_names(app):
    app.shell_context_processor(lambda: {"a": 1})
    app.shell_context_processor(lambda: {"a": 2, "g": "mine"})

    assert app.make_shell_context() == {"app": app, "g": "mine", "a": 2}
    app.shell_context_processors.clear()
    assert app.make_shell_context()["g"] is g


def test_run_hands_on_to_the_server_for_development(app, monkeypatch):
    called = []
    monkeypatch.setattr(
        _devserver, "run", lambda *args, **kw: called.append((args, kw))
    )

    app.run("::1", 80, False, load_dotenv=False, threaded=False)

    assert called == [((app, "::1", 80, False, False), {"threaded": False})]


class OwnClient(ErlenClient):
    pass


class OwnRunner(ErlenCliRunner):
    pass


@pytest.mark.parametrize(
    ("attribute", "make", "usual", "own"),
    [
        ("test_client_class", "test_client", ErlenClient, OwnClient),
        ("test_cli_runner_class", "test_cli_runner", ErlenCliRunner, OwnRunner),
    ],
)
def test_what_tests_use_may_be_of_another_class(app, attribute, make, usual, own):
    assert type(getattr(app, make)()) is usual
    setattr(app, attribute, own)
    assert type(getattr(app, make)()) is own


def test_a_client_is_made_as_it_is_asked_for(app):
    client = app.test_client(use_cookies=False, validate=True)

    assert client.application is app
    assert client.response_wrapper.__mro__[2] is app.response_class
    assert client._cookies is None
