from __future__ import annotations

import ipaddress
from datetime import timedelta

import pytest

from erlen import Erlen
from erlen._defaults import SETTINGS
from erlen._settings import MisfitError
from erlen._settings import convert
from erlen.config import Config

BY_KEY = {setting.key: setting for setting in SETTINGS}
SWITCHES = {setting.key for setting in SETTINGS if setting.default in {True, False}} - {
    "PROXY_HOPS"
}


def test_the_defaults_of_an_application_are_these():
    assert Erlen.default_config == {it.key: it.default for it in SETTINGS}
    assert [it.key for it in SETTINGS] == sorted(BY_KEY)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda it: it.key)
def test_a_setting_is_declared_well(setting):
    setting.check()

    assert setting.owner == "erlen"
    assert setting.doc.endswith(".")
    assert setting.doc[0].isupper()


def test_what_is_secret():
    secret = {key for key, it in BY_KEY.items() if it.secret}

    assert secret == {"SECRET_KEY", "SECRET_KEY_FALLBACKS", "SESSION_STORE"}


@pytest.mark.parametrize("key", sorted(SWITCHES))
@pytest.mark.parametrize("value", [True, False, 1, 0])
def test_a_switch_takes_what_an_if_takes(key, value):
    assert convert(value, BY_KEY[key].type) is value


ACCEPTED = {
    "DEBUG": [None, True, 1],
    "DEBUG_ALLOWED_CLIENTS": [
        *(None, (), ["10.0.0.7"], "10.0.0.7", {"10.0.0.7"}),
        [ipaddress.ip_address("10.0.0.7")],
    ],
    "MAX_CONTENT_LENGTH": [None, 0, 5],
    "MAX_COOKIE_SIZE": [0, 4093],
    "MAX_FORM_MEMORY_SIZE": [None, 5],
    "MAX_FORM_PARTS": [None, 5],
    "PERMANENT_SESSION_LIFETIME": [None, 60, timedelta(1)],
    "PROXY_HOPS": [0, 1, True, False, None, {"for": 1, "prefix": 2}],
    "SECRET_KEY": [None, "x", b"x", ""],
    "SECRET_KEY_FALLBACKS": [None, [], ["x", b"x"], ("x",), {"x"}],
    "SEND_FILE_MAX_AGE_DEFAULT": [None, 60, timedelta(1)],
    "SERVER_NAME": [None, "", "tea.example:8000"],
    "SESSION_ABSOLUTE_TIMEOUT": [None, 60, timedelta(1)],
    "SESSION_COOKIE_DOMAIN": [None, False, "tea.example"],
    "SESSION_COOKIE_SAMESITE": [None, "Lax", "strict"],
    "SESSION_IDLE_TIMEOUT": [None, 60, timedelta(1)],
    "SESSION_STORE": [None, "redis://localhost", object()],
    "SESSION_STORE_TIMEOUT": [0.1],
    "SILENCED_CHECKS": [(), ["mail.server"], {"mail.server"}],
    "TEMPLATES_AUTO_RELOAD": [None, True],
    "TRUSTED_HOSTS": [None, [], ["tea.example"], ("tea.example",), "tea.example"],
}
REFUSED = {
    "APPLICATION_ROOT": [None, 1],
    "DEBUG": ["true", 2],
    "MAX_CONTENT_LENGTH": ["5", 5.0, True],
    "PERMANENT_SESSION_LIFETIME": ["60"],
    "PROXY_HOPS": ["1", {"for": "1"}],
    "SECRET_KEY": [7, ["x"]],
    "SECRET_KEY_FALLBACKS": ["x", b"x", [7]],
    "SESSION_COOKIE_DOMAIN": [True],
    "SESSION_STORE_TIMEOUT": ["0.1", None],
    "SILENCED_CHECKS": ["mail.server", None],
    "TRUSTED_HOSTS": [7],
}


def cases(table):
    return [(key, value) for key, values in table.items() for value in values]


@pytest.mark.parametrize(("key", "value"), cases(ACCEPTED))
def test_what_the_code_takes(key, value):
    assert convert(value, BY_KEY[key].type) is value


@pytest.mark.parametrize(("key", "value"), cases(REFUSED))
def test_what_it_does_not(key, value):
    with pytest.raises(MisfitError):
        convert(value, BY_KEY[key].type)


def test_the_defaults_are_valid_as_they_are():
    config = Config("/", dict(Erlen.default_config))

    config.validate()

    assert config == Erlen.default_config
