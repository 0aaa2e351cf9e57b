from __future__ import annotations

import gc
import io
import os
import sys
import threading
import types
import zipfile

import greenlet
import pytest
from werkzeug.exceptions import Aborter
from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as BaseResponse

import erlen
from erlen import helpers
from erlen import signals

# The environment


@pytest.fixture
def environment(monkeypatch):
    """Return a function that sets ERLEN_x and FLASK_x, None meaning not set."""

    def put(name, own, flasks):
        for key, value in ((f"ERLEN_{name}", own), (f"FLASK_{name}", flasks)):
            if value is None:
                monkeypatch.delenv(key, raising=False)
            else:
                monkeypatch.setenv(key, value)

    return put


@pytest.mark.parametrize(
    ("own", "flasks", "debug"),
    [
        (None, None, False),
        ("", None, False),
        ("1", None, True),
        ("true", None, True),
        ("off", None, True),
        ("0", None, False),
        ("false", None, False),
        ("NO", None, False),
        (None, "1", True),
        (None, "No", False),
        ("0", "1", False),
        ("1", "0", True),
        ("", "1", True),
    ],
)
def test_debug_flag(environment, own, flasks, debug):
    environment("DEBUG", own, flasks)
    assert helpers.get_debug_flag() is debug


@pytest.mark.parametrize(
    ("own", "flasks", "default", "load"),
    [
        (None, None, True, True),
        (None, None, False, False),
        ("", "", False, False),
        ("1", None, True, False),
        ("0", None, False, True),
        ("False", None, False, True),
        (None, "1", True, False),
        (None, "no", False, True),
        ("0", "1", False, True),
        ("1", "0", True, False),
    ],
)
def test_load_dotenv(environment, own, flasks, default, load):
    environment("SKIP_DOTENV", own, flasks)
    assert helpers.get_load_dotenv(default) is load


# Answers


def test_make_response_of_nothing_is_empty(app):
    with app.app_context():
        response = erlen.make_response()
    assert type(response) is app.response_class
    assert (response.status_code, response.data) == (200, b"")


def test_make_response_takes_what_a_view_returns(app):
    with app.test_request_context():
        one = erlen.make_response("text")
        tuple_ = erlen.make_response(("text", 201))
        many = erlen.make_response("text", 202, {"X-Part": "a"})
    assert [r.status_code for r in (one, tuple_, many)] == [200, 201, 202]
    assert many.headers["X-Part"] == "a"


def test_redirect_asks_the_application(app, monkeypatch):
    with app.app_context():
        response = erlen.redirect("/there")
        assert type(response) is app.response_class
        assert (response.status_code, response.location) == (302, "/there")
        monkeypatch.setattr(app, "redirect", lambda location, code: (location, code))
        assert erlen.redirect("/there", 303) == ("/there", 303)


def test_redirect_without_application():
    class Own(BaseResponse):
        pass

    assert type(erlen.redirect("/there")) is BaseResponse
    response = erlen.redirect("/there", 308, Own)
    assert type(response) is Own
    assert (response.status_code, response.location) == (308, "/there")


def test_abort_asks_the_applications_aborter(app):
    class Teapot(HTTPException):
        code = 419

    app.aborter = Aborter(extra={419: Teapot})
    with app.app_context(), pytest.raises(Teapot, match="short and stout"):
        erlen.abort(419, "short and stout")


def test_abort_without_application():
    with pytest.raises(NotFound, match="gone fishing") as caught:
        erlen.abort(404, description="gone fishing")
    assert caught.value.code == 404


def test_abort_takes_a_response(app):
    response = BaseResponse("as it is", 200)
    with app.app_context(), pytest.raises(HTTPException) as caught:
        erlen.abort(response)
    assert caught.value.get_response() is response


@pytest.mark.parametrize("code", [200, 999])
def test_abort_with_a_code_that_is_no_error(code):
    with pytest.raises(LookupError, match=str(code)):
        erlen.abort(code)


# URLs


@pytest.mark.parametrize(
    ("options", "url"),
    [
        ({}, "/item/7"),
        ({"page": 2}, "/item/7?page=2"),
        ({"_anchor": "top"}, "/item/7#top"),
        ({"_method": "POST"}, "/item/7/edit"),
        ({"_external": True}, "http://localhost/item/7"),
        ({"_external": True, "_scheme": "https"}, "https://localhost/item/7"),
    ],
)
def test_url_for(app, options, url):
    app.add_url_rule("/item/<int:number>", "item", lambda number: "", methods=["GET"])
    app.add_url_rule("/item/<int:number>/edit", "item", methods=["POST"])
    with app.test_request_context():
        assert erlen.url_for("item", number=7, **options) == url


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("make_response", erlen.make_response),
        ("url_for", lambda: erlen.url_for("index")),
        ("get_template_attribute", lambda: erlen.get_template_attribute("a", "b")),
        ("flash", lambda: erlen.flash("a")),
        ("get_flashed_messages", erlen.get_flashed_messages),
        ("send_file", lambda: erlen.send_file("a")),
        ("send_from_directory", lambda: erlen.send_from_directory("a", "b")),
        ("stream_with_context", lambda: erlen.stream_with_context(iter("a"))),
    ],
)
def test_outside_of_a_context_the_error_names_the_call(name, call):
    with pytest.raises(RuntimeError, match=rf"Working outside of .* '{name}'"):
        call()


# Templates


def test_get_template_attribute(app, tmp_path):
    (tmp_path / "macros.html").write_text(
        "{% macro hello(name) %}Hello {{ name }}!{% endmacro %}{% set one = 1 %}"
    )
    app.template_folder = str(tmp_path)
    with app.app_context():
        hello = erlen.get_template_attribute("macros.html", "hello")
        assert hello("<World>") == "Hello &lt;World&gt;!"
        assert erlen.get_template_attribute("macros.html", "one") == 1
        with pytest.raises(AttributeError, match="two"):
            erlen.get_template_attribute("macros.html", "two")


# Flashes


@pytest.fixture
def flashed(app):
    """Return the session of an active request with three flashed messages."""
    with app.test_request_context():
        erlen.flash("a")
        erlen.flash("b", "error")
        erlen.flash("c", "info")
        yield erlen.session


def test_flash_marks_the_session_modified(app):
    with app.test_request_context():
        erlen.session["_flashes"] = []
        erlen.session.modified = False
        erlen.flash("a")
        assert erlen.session.modified
        assert erlen.session["_flashes"] == [("message", "a")]


@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        ((), ["a", "b", "c"]),
        ((True,), [("message", "a"), ("error", "b"), ("info", "c")]),
        ((False, ["error", "info"]), ["b", "c"]),
        ((True, ("error",)), [("error", "b")]),
        ((False, ["unknown"]), []),
        # COMPAT: a string holds the categories that are part of it.
        ((False, "error, info"), ["b", "c"]),
    ],
)
def test_get_flashed_messages(flashed, arguments, messages):
    assert erlen.get_flashed_messages(*arguments) == messages
    assert "_flashes" not in flashed
    assert erlen.get_flashed_messages(*arguments) == messages


def test_flashes_of_this_request_come_with_the_next_one(flashed):
    assert erlen.get_flashed_messages() == ["a", "b", "c"]
    erlen.flash("d")
    assert erlen.get_flashed_messages() == ["a", "b", "c"]
    assert flashed["_flashes"] == [("message", "d")]


def test_changing_the_answer_changes_no_later_answer(flashed):
    erlen.get_flashed_messages(with_categories=True).clear()
    assert len(erlen.get_flashed_messages()) == 3


def test_no_flashes_leave_the_session_unmodified(app):
    with app.test_request_context():
        assert erlen.get_flashed_messages() == []
        assert not erlen.session.modified


def test_flashes_travel_in_the_session(app, client):
    @app.get("/put")
    def put():
        erlen.flash("saved", "info")
        return ""

    @app.get("/take")
    def take():
        return erlen.get_flashed_messages(with_categories=True)

    client.get("/put")
    assert client.get("/take").json == [["info", "saved"]]
    assert client.get("/take").json == []


def test_flash_sends_its_signal(app):
    seen = []

    def receiver(sender, **values):
        seen.append((sender, values))

    with app.test_request_context(), signals.message_flashed.connected_to(receiver):
        erlen.flash("a", "info")
    assert seen == [(app, {"message": "a", "category": "info"})]


# Files


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Return a folder with a few files, and links to more. No test changes it."""
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret.txt").write_text("secret")
    root = tmp_path_factory.mktemp("root")
    public = root / "public"
    (public / "sub").mkdir(parents=True)
    (root / "secret.txt").write_text("secret")
    (root / "public2").mkdir()
    (root / "public2" / "secret.txt").write_text("secret")
    (public / "a.txt").write_text("0123456789")
    (public / "sub" / "b.txt").write_text("b")
    (public / "inside.txt").symlink_to("sub/b.txt")
    (public / "inside").symlink_to(public / "sub")
    (public / "out.txt").symlink_to(outside / "secret.txt")
    (public / "sibling.txt").symlink_to("../public2/secret.txt")
    (public / "out").symlink_to(outside)
    (public / "sub" / "up.txt").symlink_to("../../secret.txt")
    (public / "loop").symlink_to("loop")
    (public / "broken").symlink_to("nothing")
    (root / "alias").symlink_to(public)
    return root


@pytest.fixture
def files(root):
    """Return an application that has the files of `root`."""
    app = erlen.Erlen("files", root_path=str(root), static_folder="public")
    app.testing = True
    return app


def test_send_file_is_relative_to_the_root_path(files):
    with files.test_request_context():
        response = erlen.send_file("public/a.txt")
    assert type(response) is files.response_class
    response.direct_passthrough = False
    assert response.data == b"0123456789"
    assert response.mimetype == "text/plain"
    assert response.content_length == 10
    assert response.cache_control.no_cache
    assert response.headers["Content-Disposition"] == "inline; filename=a.txt"
    assert response.get_etag()[0]
    response.close()


def test_send_file_of_an_open_file(files):
    with files.test_request_context():
        response = erlen.send_file(
            io.BytesIO(b"data"),
            mimetype="text/csv",
            as_attachment=True,
            download_name="ä.csv",
            etag="tag",
            last_modified=0,
            max_age=60,
        )
    assert response.mimetype == "text/csv"
    assert response.get_etag() == ("tag", False)
    assert response.last_modified.year == 1970
    assert response.cache_control.max_age == 60
    assert "filename*=UTF-8''%C3%A4.csv" in response.headers["Content-Disposition"]
    response.close()


def test_send_file_answers_ranges(files):
    with files.test_request_context(headers={"Range": "bytes=2-4"}):
        response = erlen.send_file("public/a.txt")
    assert (response.status_code, response.content_range.length) == (206, 10)
    response.close()


@pytest.mark.parametrize(
    ("argument", "setting", "seconds"),
    [(None, None, None), (None, 60, 60), (5, 60, 5), (0, 60, 0), (str.__len__, 60, 12)],
)
def test_max_age(files, argument, setting, seconds):
    files.config["SEND_FILE_MAX_AGE_DEFAULT"] = setting
    max_age = argument
    if callable(argument):

        def max_age(path):
            return argument(os.path.relpath(path, files.root_path))

    with files.test_request_context():
        for response in (
            erlen.send_file("public/a.txt", max_age=max_age),
            erlen.send_from_directory("public", "a.txt", max_age=max_age),
        ):
            assert response.cache_control.max_age == seconds
            response.close()


def test_x_sendfile_names_the_path_instead_of_reading_it(files):
    files.config["USE_X_SENDFILE"] = True
    with files.test_request_context():
        response = erlen.send_from_directory("public", "a.txt")
    assert response.headers["X-Sendfile"] == os.path.join(
        files.root_path, "public/a.txt"
    )
    assert response.data == b""


@pytest.mark.parametrize(
    ("folder", "path", "text"),
    [
        ("public", "a.txt", "0123456789"),
        ("public", "sub/b.txt", "b"),
        ("public", "sub/../a.txt", "0123456789"),
        ("public", "./a.txt", "0123456789"),
        ("public", "inside.txt", "b"),
        ("public", "inside/b.txt", "b"),
        ("alias", "a.txt", "0123456789"),
        ("alias", "inside/b.txt", "b"),
    ],
)
def test_files_in_the_folder_are_sent(files, folder, path, text):
    with files.test_request_context():
        response = erlen.send_from_directory(folder, path)
    response.direct_passthrough = False
    assert response.get_data(as_text=True) == text
    response.close()


FORBIDDEN = [
    # Links that lead out of the folder, or nowhere.
    *("out.txt", "out/secret.txt", "sibling.txt", "sub/up.txt", "inside/up.txt"),
    *("loop", "loop/a.txt", "broken"),
    # Ways out by the path.
    *("../secret.txt", "sub/../../secret.txt", "/etc/passwd", "//etc/passwd"),
    *("../public2/secret.txt", "..", "../", "..\\secret.txt"),
    # What is no regular file.
    *("", ".", "sub", "sub/", "none.txt", "a.txt/b"),
    # What the file system, or that of Windows, cannot name.
    *("a.txt\0", "\0", "a\0.txt", "sub/\0/b.txt", "\ud800", "x" * 5000),
    *("CON", "NUL", "aux.txt", "COM1", "sub/LPT1", "CON.txt:x", "nul ."),
]


@pytest.mark.parametrize("folder", ["public", "alias"])
@pytest.mark.parametrize("path", FORBIDDEN)
def test_everything_else_is_not_found(files, folder, path):
    with files.test_request_context(), pytest.raises(NotFound):
        erlen.send_from_directory(folder, path)


@pytest.mark.parametrize(
    "path",
    [
        *("/static/out.txt", "/public/out.txt", "/public/out/secret.txt"),
        *("/public/%00", "/public/a.txt%00", "/public/..%2Fsecret.txt"),
        *("/public/%2e%2e/secret.txt", "/public/..%5Csecret.txt", "/public/%ff"),
        *("/public/NUL", "/public/%2Fetc%2Fpasswd", "/public2/secret.txt"),
    ],
)
def test_static_files_stay_in_their_folder(files, path):
    assert files.test_client().get(path).status_code in {404, 308}


def test_static_files_are_sent(files):
    with files.test_client().get("/public/inside.txt") as response:
        assert response.text == "b"


def test_links_are_resolved_only_where_there_are_any(files, monkeypatch):
    calls = []
    for name in ("islink", "realpath"):
        real = getattr(os.path, name)
        monkeypatch.setattr(
            os.path,
            name,
            lambda path, name=name, real=real: calls.append(name) or real(path),
        )
    with files.test_request_context():
        erlen.send_from_directory("public", "sub/b.txt").close()
        assert calls == ["islink"] * 2
        calls.clear()
        erlen.send_from_directory("public", "inside/b.txt").close()
        assert calls == ["islink", "islink", "realpath", "realpath"]


# Root paths


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """Put a package, a namespace package and a zipped module on the path."""
    (tmp_path / "rp_package").mkdir()
    (tmp_path / "rp_package" / "__init__.py").touch()
    (tmp_path / "rp_package" / "module.py").touch()
    (tmp_path / "rp_space" / "inner").mkdir(parents=True)
    (tmp_path / "rp_space" / "module.py").touch()
    with zipfile.ZipFile(tmp_path / "zipped.zip", "w") as archive:
        archive.writestr("rp_zipped.py", "")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "zipped.zip")
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("rp_"):
            del sys.modules[name]


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("rp_package", "rp_package"),
        ("rp_package.module", "rp_package"),
        ("rp_space.module", "rp_space"),
        ("rp_zipped", "zipped.zip"),
    ],
)
def test_root_path_of_a_module_that_is_not_imported(modules, name, folder):
    assert helpers.get_root_path(name) == str(modules / folder)


def test_root_path_of_an_imported_module(modules):
    assert helpers.get_root_path("os") == os.path.dirname(os.__file__)
    assert helpers.get_root_path("__hello__") == os.path.dirname(os.__file__)


@pytest.mark.parametrize("name", ["rp_nothing", "rp_nothing.at.all", "rp_space", ""])
def test_root_path_of_what_is_not_found_is_the_working_directory(modules, name):
    assert helpers.get_root_path(name) == os.getcwd()


def test_root_path_of_a_module_made_by_hand(monkeypatch):
    monkeypatch.setitem(sys.modules, "rp_made", types.ModuleType("rp_made"))
    assert helpers.get_root_path("rp_made") == os.getcwd()


@pytest.mark.parametrize("name", ["sys", "rp_space"])
def test_root_path_of_what_has_no_file(modules, name):
    __import__(name)
    with pytest.raises(RuntimeError, match=rf"No root path .* '{name}'.*root_path="):
        helpers.get_root_path(name)


# Streams


class Teardowns(list):
    """What the teardown functions of an application were called with."""

    def __init__(self, app):
        app.teardown_request(self.append)


@pytest.fixture
def teardowns(app):
    return Teardowns(app)


def numbers(log):
    try:
        for number in range(3):
            yield f"{erlen.request.path}{number}"
    finally:
        log.append(erlen.request.path)


def test_a_stream_keeps_the_request(app, teardowns):
    closed = []
    with app.test_request_context("/"):
        stream = erlen.stream_with_context(numbers(closed))
    assert not erlen.has_request_context()
    assert not teardowns
    assert next(stream) == "/0"
    assert not erlen.has_request_context()
    assert list(stream) == ["/1", "/2"]
    assert closed == ["/"]
    assert teardowns == [None]
    stream.close()
    assert list(stream) == []
    assert teardowns == [None]


def test_a_generator_function_is_decorated(app, teardowns):
    @erlen.stream_with_context
    def generate(first, *, last):
        """Say so."""
        yield first
        yield erlen.request.path
        yield last

    assert (generate.__name__, generate.__doc__) == ("generate", "Say so.")
    with app.test_request_context("/path"):
        stream = generate("a", last="z")
    assert not teardowns
    assert list(stream) == ["a", "/path", "z"]
    assert teardowns == [None]
    with pytest.raises(RuntimeError, match="outside of request context"):
        generate("a", last="z")


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_a_client_that_leaves_ends_the_request(app, teardowns, steps):
    closed = []
    with app.test_request_context("/"):
        stream = erlen.stream_with_context(numbers(closed))
    for _ in range(steps):
        next(stream)
    stream.close()
    assert teardowns == [None]
    assert closed == (["/"] if steps else [])
    assert next(stream, "end") == "end"


def in_thread(function):
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


def in_greenlet(function):
    greenlet.greenlet(function).switch()


@pytest.mark.parametrize("elsewhere", [in_thread, in_greenlet])
def test_a_stream_can_be_closed_elsewhere(app, teardowns, elsewhere):
    closed = []
    with app.test_request_context("/"):
        stream = erlen.stream_with_context(numbers(closed))
    elsewhere(lambda: next(stream))
    assert next(stream) == "/1"
    elsewhere(stream.close)
    assert (closed, teardowns) == (["/"], [None])


def test_a_stream_that_is_dropped_is_closed(app, teardowns):
    closed = []
    with app.test_request_context("/"):
        stream = erlen.stream_with_context(numbers(closed))
    next(stream)
    gc.disable()
    try:
        del stream
    finally:
        gc.enable()
    assert (closed, teardowns) == (["/"], [None])


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_an_error_in_a_stream_reaches_the_teardown(app, teardowns, error):
    def generate():
        yield "a"
        raise error

    with app.test_request_context("/"):
        stream = erlen.stream_with_context(generate())
    assert next(stream) == "a"
    with pytest.raises(error) as caught:
        next(stream)
    assert teardowns == [caught.value]
    stream.close()
    assert list(stream) == []
    assert teardowns == [caught.value]


def test_an_error_on_closing_reaches_the_teardown(app, teardowns):
    def generate():
        try:
            yield "a"
        finally:
            raise ZeroDivisionError

    with app.test_request_context("/"):
        stream = erlen.stream_with_context(generate())
    next(stream)
    with pytest.raises(ZeroDivisionError) as caught:
        stream.close()
    assert teardowns == [caught.value]


def test_the_views_context_may_end_after_the_stream(app, teardowns):
    with app.test_request_context("/"):
        assert list(erlen.stream_with_context(numbers([]))) == ["/0", "/1", "/2"]
        assert erlen.request.path == "/"
        assert not teardowns
    assert teardowns == [None]


def test_streams_within_streams(app, teardowns):
    closed = []
    with app.test_request_context("/"):
        inner = erlen.stream_with_context(numbers(closed))
        stream = erlen.stream_with_context(part.upper() for part in inner)
        del inner
    assert list(stream) == ["/0", "/1", "/2"]
    assert (closed, teardowns) == (["/"], [None])


def test_the_source_and_its_iterator_are_closed(app):
    closed = []

    class Items:
        def __init__(self, name):
            self.name = name

        def close(self):
            closed.append((self.name, erlen.request.path))

    class Source(Items):
        def __iter__(self):
            return Iterator("iterator")

    class Iterator(Items):
        def __iter__(self):
            return self

        def __next__(self):
            raise StopIteration

    with app.test_request_context("/"):
        stream = erlen.stream_with_context(Source("source"))
    assert list(stream) == []
    assert closed == [("iterator", "/"), ("source", "/")]


@pytest.mark.parametrize("source", [["a", "b"], ("a", "b"), "ab", iter("ab")])
def test_anything_that_can_be_iterated_is_streamed(app, source):
    with app.test_request_context("/"):
        stream = erlen.stream_with_context(source)
        assert iter(stream) is stream
        assert list(stream) == ["a", "b"]


def test_what_cannot_be_streamed(app):
    with app.test_request_context("/"):
        with pytest.raises(TypeError, match="got 'int'"):
            erlen.stream_with_context(7)
        decorated = erlen.stream_with_context(lambda: 7)
        with pytest.raises(TypeError, match="got 'int'"):
            decorated()


def test_a_view_streams(app, client, teardowns):
    @app.get("/<name>")
    def show(name):
        @erlen.stream_with_context
        def generate():
            yield "Hello "
            yield erlen.request.view_args["name"]
            yield erlen.session.get("mark", "!")

        return generate()

    assert client.get("/you").text == "Hello you!"
    assert teardowns == [None]


def test_clients_that_leave_leave_nothing_behind(app, teardowns):
    @app.get("/<int:number>")
    def show(number):
        return erlen.stream_with_context(numbers([]))

    client = app.test_client()
    for number in range(10):
        response = client.get(f"/{number}", buffered=False)
        assert next(response.iter_encoded()) == f"/{number}0".encode()
        response.close()
        assert not erlen.has_request_context()
        assert not erlen.has_app_context()
    assert teardowns == [None] * 10


# Asynchronous streams


async def letters(*, first="a"):
    yield first + erlen.request.path
    yield erlen.g.word


def add_letters(app, view):
    app.before_request(lambda: setattr(erlen.g, "word", "b"))
    app.add_url_rule("/", "index", view)


@pytest.mark.parametrize(
    "view",
    [
        lambda: erlen.stream_with_context(letters()),
        lambda: erlen.stream_with_context(letters)(first="a"),
        erlen.stream_with_context(letters),
    ],
)
def test_an_asynchronous_stream_keeps_the_context(app, client, view):
    add_letters(app, view)
    assert client.get("/").text == "a/b"


def test_a_decorated_asynchronous_stream_keeps_its_name():
    stream = erlen.stream_with_context(letters)
    assert stream.__name__ == "letters"
    with pytest.raises(RuntimeError, match="outside of request context"):
        stream()


def test_an_asynchronous_stream_needs_a_request():
    source = letters()
    with pytest.raises(RuntimeError, match="outside of request context"):
        erlen.stream_with_context(source)
