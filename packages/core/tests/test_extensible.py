"""What extensions register with an application: tables, filled while it is set up."""

from __future__ import annotations

from datetime import timedelta

import pytest
from itsdangerous import SignatureExpired

from erlen import Erlen
from erlen import extension


def nothing(*args):
    """Do nothing, as a check, a health function or a column."""


# Each with the name under which it registers.
ADDERS = {
    "check": lambda app: app.add_check("mail", nothing),
    "health function": lambda app: app.add_health("mail", nothing),
    "route column": lambda app: app.add_route_column("mail", nothing),
}
adders = pytest.mark.parametrize(("what", "add"), ADDERS.items())


def tables(app):
    return app._checks, app._health, app._route_columns


def test_an_application_starts_with_nothing(app):
    assert tables(app) == ({}, {}, {})
    assert app._mounts == ()


def test_what_is_added_is_kept_in_order(app):
    for name in "zab":
        app.add_check(name, nothing, deploy=name == "a")
        app.add_health(name, nothing)
        app.add_route_column(name, nothing)

    checks, health, columns = tables(app)
    assert [*checks] == [*health] == [*columns] == ["z", "a", "b"]
    assert {*health.values()} == {*columns.values()} == {nothing}
    assert [(it.id, it.deploy) for it in checks.values()] == [
        *(("z", False), ("a", True), ("b", False)),
    ]
    assert {it.function for it in checks.values()} == {nothing}


def test_what_begins_and_ends_is_kept_in_order(app):
    functions = [lambda: None for _ in range(3)]
    for function in functions:
        app.on_startup(function)
        app.on_shutdown(function)

    assert app._startup_funcs == app._shutdown_funcs == functions
    assert Erlen("other")._startup_funcs == []


def test_applications_share_nothing(app):
    other = Erlen("other")
    for add in ADDERS.values():
        add(app)

    assert tables(other) == ({}, {}, {})


def test_a_check_has_an_owner(app):
    app.add_check("shop.price", nothing)
    with extension.setup(app, "acme-mail", None, contract="1.0"):
        app.add_check("acme-mail.server", nothing)

    owners = {it.id: it.owner for it in app._checks.values()}
    assert owners == {"shop.price": "application", "acme-mail.server": "acme-mail"}


@adders
def test_a_name_is_taken_once(app, what, add):
    add(app)
    with (
        pytest.raises(ValueError, match=f"The {what} 'mail' is registered") as info,
        extension.setup(app, "acme-post", None, contract="1.0"),
    ):
        add(app)

    assert "'acme-post' has to give its own another name" in str(info.value)
    assert app.extensions == {}


def test_a_check_that_is_taken_names_both(app):
    with extension.setup(app, "acme-mail", None, contract="1.0"):
        app.add_check("mail", nothing)
    with pytest.raises(ValueError, match="'mail'") as info:
        app.add_check("mail", print)

    assert "already by 'acme-mail'. 'application' has to" in str(info.value)
    assert app._checks["mail"].function is nothing


@pytest.mark.parametrize(
    "call",
    [
        *ADDERS.values(),
        lambda app: app.mount("/mail", nothing),
        lambda app: app.autodiscover("json"),
    ],
    ids=[*ADDERS, "mount", "autodiscover"],
)
def test_nothing_is_added_after_the_first_request(app, client, call):
    client.get("/")

    with pytest.raises(AssertionError, match="setup method"):
        call(app)
    assert tables(app) == ({}, {}, {})


def test_a_signer_is_for_one_purpose_and_may_be_made_at_any_time(app, client):
    client.get("/")
    signer = app.signer("acme-mail.unsubscribe", timedelta(hours=1))
    token = signer.dumps(7)

    assert signer.purpose == "acme-mail.unsubscribe"
    assert app.signer("acme-mail.unsubscribe").loads(token) == 7
    with pytest.raises(SignatureExpired):
        app.signer("acme-mail.unsubscribe", max_age=-1).loads(token)


def test_mounts_are_sorted_for_who_looks_the_prefix_up(app):
    for prefix in ("/a", "/a/b/c", "/a/b"):
        app.mount(prefix, Erlen(prefix))
    with pytest.raises(ValueError, match="'/a/b'"):
        app.mount("/a/b", nothing)

    assert [prefix for prefix, _ in app._mounts] == ["/a/b/c", "/a/b", "/a"]
    assert [inner.import_name for _, inner in app._mounts] == ["/a/b/c", "/a/b", "/a"]


def test_modules_of_a_package_are_imported(app):
    assert app.autodiscover("json", exclude=["tool", "__main__"]) == [
        *("json", "json.decoder", "json.encoder", "json.scanner"),
    ]
    assert app.blueprints == {}


def test_the_core_s_ids_of_checks_are_its_own(app):
    with pytest.raises(ValueError, match=r"'core.debug' cannot be added.*extension"):
        app.add_check("core.debug", lambda app: None)
    assert app._checks == {}
