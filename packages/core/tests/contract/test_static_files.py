"""The static folder of an application: where it lies, what it never gives away."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from erlen import Erlen
from erlen import url_for


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "static2").mkdir()
    (tmp_path / "static2" / "secret.txt").write_text("secret")
    static = tmp_path / "static"
    (static / "css").mkdir(parents=True)
    (static / "css" / "a.css").write_text("body {}")
    (static / "ü b.txt").write_text("named")
    return tmp_path


def read(app, url, **kwargs):
    with app.test_client().get(url, **kwargs) as response:
        return response.status_code, response.text


def test_static_folder_is_served_by_default(folder):
    app = Erlen("site", root_path=str(folder))

    assert app.has_static_folder
    assert app.static_folder == str(folder / "static")
    assert app.static_url_path == "/static"
    assert read(app, "/static/css/a.css") == (200, "body {}")
    assert read(app, "/static/%C3%BC%20b.txt") == (200, "named")


@pytest.mark.parametrize(
    ("options", "url"),
    [
        ({"static_url_path": "/assets"}, "/assets/css/a.css"),
        ({"static_url_path": "/assets/"}, "/assets/css/a.css"),
        ({"static_url_path": ""}, "/css/a.css"),
        ({"static_folder": "static/css"}, "/css/a.css"),
        ({"static_folder": Path("static")}, "/static/css/a.css"),
        (
            {"static_folder": "static/", "static_url_path": "/x"},
            "/x/css/a.css",
        ),
    ],
)
def test_folder_and_url_path(folder, options, url):
    app = Erlen("site", root_path=str(folder), **options)

    assert read(app, url) == (200, "body {}")
    with app.test_request_context():
        name = "a.css" if options.get("static_folder") == "static/css" else "css/a.css"
        assert url_for("static", filename=name) == url


def test_absolute_folder(folder):
    app = Erlen("site", static_folder=str(folder / "static"))

    assert app.static_folder == str(folder / "static")
    assert read(app, "/static/css/a.css") == (200, "body {}")


def test_no_static_folder(folder):
    app = Erlen("site", root_path=str(folder), static_folder=None)

    assert not app.has_static_folder
    assert app.static_folder is None
    assert app.static_url_path is None
    assert read(app, "/static/css/a.css")[0] == 404
    assert "static" not in app.view_functions
    with pytest.raises(RuntimeError, match="static_folder"):
        app.send_static_file("a.css")


def test_static_folder_and_path_can_be_set_later(folder):
    app = Erlen("site", root_path=str(folder))
    app.static_folder = "static2"
    app.static_url_path = "/other/"

    assert app.static_folder == str(folder / "static2")
    assert app.static_url_path == "/other"


@pytest.mark.parametrize(
    "path",
    [
        "absent.css",
        "css",
        "css/",
        "../secret.txt",
        "css/../../secret.txt",
        "%2e%2e/secret.txt",
        "..%2fsecret.txt",
        "../static2/secret.txt",
        "..\\secret.txt",
        "/etc/passwd",
        "%00",
    ],
)
def test_what_is_not_given_away(folder, path):
    app = Erlen("site", root_path=str(folder))

    status, text = read(app, f"/static/{path}")

    assert status in {308, 404}
    assert "secret" not in text


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("POST", 405)])
def test_methods(folder, method, status):
    app = Erlen("site", root_path=str(folder))

    with app.test_client().open("/static/css/a.css", method=method) as response:
        assert response.status_code == status
        if method == "HEAD":
            assert response.data == b""
            assert response.content_length == 7


def test_host_of_static_files(folder):
    app = Erlen(
        "site", root_path=str(folder), host_matching=True, static_host="cdn.test"
    )
    app.get("/", host="shop.test")(lambda: url_for("static", filename="css/a.css"))

    assert read(app, "/static/css/a.css", base_url="http://cdn.test") == (
        200,
        "body {}",
    )
    assert read(app, "/static/css/a.css", base_url="http://shop.test")[0] == 404
    assert read(app, "/", base_url="http://shop.test")[1] == (
        "http://cdn.test/static/css/a.css"
    )


@pytest.mark.parametrize(("setting", "age"), [(None, None), (60, 60)])
def test_caching(folder, setting, age):
    app = Erlen("site", root_path=str(folder))
    app.config["SEND_FILE_MAX_AGE_DEFAULT"] = setting

    with app.test_client().get("/static/css/a.css") as response:
        assert response.cache_control.max_age == age
        assert response.cache_control.no_cache is (None if age else True)
        etag = response.headers["ETag"]

    headers = {"If-None-Match": etag}
    assert read(app, "/static/css/a.css", headers=headers) == (304, "")


@pytest.mark.parametrize(("setting", "age"), [(None, None), (60, 60)])
def test_max_age_of_the_configuration(app, setting, age):
    app.config["SEND_FILE_MAX_AGE_DEFAULT"] = setting

    with app.app_context():
        assert app.get_send_file_max_age("any") == age


def test_max_age_of_a_timedelta(app):
    app.config["SEND_FILE_MAX_AGE_DEFAULT"] = timedelta(minutes=1)

    with app.app_context():
        assert app.get_send_file_max_age(None) == 60


def test_send_static_file_may_be_replaced(folder):
    class Site(Erlen):
        def send_static_file(self, filename):
            return f"mine: {filename}"

    app = Site("site", root_path=str(folder))

    assert read(app, "/static/x.css") == (200, "mine: x.css")


def test_send_static_file_in_a_view(folder):
    app = Erlen("site", root_path=str(folder))
    app.get("/", endpoint="index")(lambda: app.send_static_file("css/a.css"))

    assert read(app, "/") == (200, "body {}")
