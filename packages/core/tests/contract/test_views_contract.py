"""Class-based views."""

from __future__ import annotations

import pytest

from erlen import Blueprint
from erlen import request
from erlen.views import MethodView
from erlen.views import View


class Index(View):
    def dispatch_request(self, **kwargs):
        return f"{request.method} {kwargs}"


class Crud(MethodView):
    def get(self):
        return "got"

    def post(self):
        return "posted"


def ask(app, method="GET", path="/"):
    return app.test_client().open(path, method=method)


def test_view(app):
    app.add_url_rule("/<name>", view_func=Index.as_view("index"))

    assert ask(app, path="/x").text == "GET {'name': 'x'}"
    assert ask(app, "POST", "/x").status_code == 405


def test_view_must_dispatch():
    with pytest.raises(NotImplementedError):
        View().dispatch_request()


def test_function_of_a_view_carries_its_class(app):
    class Documented(View):
        """What it does."""

        methods = ["PUT"]
        provide_automatic_options = False

    function = Documented.as_view("the_name")

    assert function.__name__ == "the_name"
    assert function.__doc__ == "What it does."
    assert function.__module__ == __name__
    assert function.view_class is Documented
    assert list(function.methods) == ["PUT"]
    assert function.provide_automatic_options is False


@pytest.mark.parametrize(
    ("methods", "allowed"),
    [(None, {"GET", "HEAD", "OPTIONS"}), (["POST", "PUT"], {"POST", "PUT", "OPTIONS"})],
)
def test_methods_of_a_view(app, methods, allowed):
    class Own(Index):
        pass

    if methods:
        Own.methods = methods
    app.add_url_rule("/", view_func=Own.as_view("index"))

    found = {
        method
        for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE")
        if ask(app, method).status_code == 200
    }
    assert found == allowed


def test_view_without_automatic_options(app):
    class Own(Index):
        provide_automatic_options = False

    app.add_url_rule("/", view_func=Own.as_view("index"))

    assert ask(app, "OPTIONS").status_code == 405


def test_arguments_of_the_class(app):
    class Page(View):
        def __init__(self, *args, **kwargs):
            self.given = f"{args} {kwargs}"

        def dispatch_request(self):
            return self.given

    app.add_url_rule("/", view_func=Page.as_view("page", 1, title="x"))

    assert ask(app).text == "(1,) {'title': 'x'}"


@pytest.mark.parametrize(("every", "instances"), [(True, 3), (False, 1), (None, 3)])
def test_one_instance_for_each_request_or_for_all(app, every, instances):
    made = []

    class Counted(View):
        def __init__(self):
            made.append(self)

        def dispatch_request(self):
            return str(made.index(self))

    if every is not None:
        Counted.init_every_request = every
    app.add_url_rule("/", view_func=Counted.as_view("counted"))

    answers = [ask(app).text for _ in range(3)]

    assert len(made) == instances
    assert answers == (["0", "1", "2"] if instances == 3 else ["0"] * 3)


def test_decorators_are_applied_from_first_to_last(app):
    def wrap(letter):
        def decorator(function):
            def call(*args, **kwargs):
                return f"{letter}({function(*args, **kwargs)})"

            return call

        return decorator

    class Own(Index):
        decorators = [wrap("a"), wrap("b")]

    function = Own.as_view("own")
    app.add_url_rule("/", view_func=function)

    assert function.__name__ == "own"
    assert ask(app).text == "b(a(GET {}))"


def test_view_of_a_blueprint(app):
    blueprint = Blueprint("b", __name__, url_prefix="/b")
    blueprint.add_url_rule("/", view_func=Crud.as_view("crud"))
    app.register_blueprint(blueprint)

    assert ask(app, path="/b/").text == "got"
    assert "b.crud" in app.view_functions


# --- methods


@pytest.mark.parametrize(
    ("method", "status", "text"),
    [
        ("GET", 200, "got"),
        ("HEAD", 200, ""),
        ("POST", 200, "posted"),
        ("OPTIONS", 200, ""),
        ("PUT", 405, None),
        ("DELETE", 405, None),
    ],
)
def test_method_view(app, method, status, text):
    app.add_url_rule("/", view_func=Crud.as_view("crud"))

    response = ask(app, method)

    assert response.status_code == status
    if text is not None:
        assert response.text == text


def test_head_has_its_own_method_when_there_is_one(app):
    class Own(Crud):
        def head(self):
            return "", 202

    app.add_url_rule("/", view_func=Own.as_view("own"))

    assert ask(app, "HEAD").status_code == 202
    assert ask(app, "GET").text == "got"


def test_options_may_be_a_method(app):
    class Own(MethodView):
        def options(self):
            return "options"

    app.add_url_rule("/", view_func=Own.as_view("own"))

    assert ask(app, "OPTIONS").text == "options"


def test_methods_are_those_that_are_defined_and_inherited():
    class Read(MethodView):
        def get(self):
            """Read."""

    class Write(MethodView):
        def post(self):
            """Write."""

    class Both(Read, Write):
        def propfind(self):
            """Not an HTTP method that views know."""

    assert set(Both.methods) == {"GET", "POST"}
    assert set(Read.methods) == {"GET"}
    assert MethodView.methods is None


def test_methods_of_the_class_restrict_it(app):
    class Own(Crud):
        methods = ["GET"]

    app.add_url_rule("/", view_func=Own.as_view("own"))

    assert ask(app, "GET").text == "got"
    assert ask(app, "POST").status_code == 405


def test_method_that_the_rule_allows_but_nobody_wrote(app):
    app.add_url_rule("/", view_func=Crud.as_view("crud"), methods=["GET", "PUT"])

    with pytest.raises(AssertionError, match="Unimplemented method 'PUT'"):
        ask(app, "PUT")


def test_arguments_of_the_url_reach_the_method(app):
    class Item(MethodView):
        init_every_request = False

        def __init__(self, kind):
            self.kind = kind

        def get(self, number):
            return f"{self.kind} {number}"

        def delete(self, number):
            return "", 204

    app.add_url_rule("/<int:number>", view_func=Item.as_view("item", "book"))

    assert ask(app, path="/3").text == "book 3"
    assert ask(app, "DELETE", "/3").status_code == 204


def test_view_with_decorated_methods(app):
    seen = []

    def record(function):
        def call(*args, **kwargs):
            seen.append(function.__name__)
            return function(*args, **kwargs)

        return call

    class Own(MethodView):
        @record
        def get(self):
            return "got"

    app.add_url_rule("/", view_func=Own.as_view("own"))

    assert ask(app).text == "got"
    assert seen == ["get"]
