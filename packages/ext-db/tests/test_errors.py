from __future__ import annotations

import pickle
import sqlite3

import pytest
from sqlalchemy import exc as sa_exc
from sqlalchemy.orm.exc import StaleDataError
from werkzeug.exceptions import HTTPException

from erlen.extension import Unavailable
from erlen_db import errors

ALL = [errors.DatabaseUnavailable, errors.DatabaseBusy, errors.StatementTimeout]
ALL += [errors.StaleSnapshot]


@pytest.mark.parametrize("kind", ALL)
def test_they_are_errors_of_sqlalchemy_and_answers(app, client, kind):
    cause = sqlite3.OperationalError("the password is s3cret")

    @app.get("/")
    def index():
        raise kind("SELECT 1", {"a": 1}, cause, connection_invalidated=True)

    response = client.get("/")
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "5"
    assert "s3cret" not in response.text
    assert "SELECT" not in response.text
    assert kind.description in response.text

    with pytest.raises(sa_exc.OperationalError) as info:
        index()
    error = info.value
    assert isinstance(error, Unavailable)
    assert error.orig is cause
    assert (error.statement, error.params) == ("SELECT 1", {"a": 1})
    assert error.connection_invalidated


def test_its_text_is_the_cause_and_the_statement_without_parameters():
    cause = sqlite3.OperationalError("it hurts")
    error = errors.DatabaseUnavailable("SELECT ?", ("secret",), cause)
    error.add_detail("while flushing")

    assert str(error) == (
        "(while flushing)\n(sqlite3.OperationalError) it hurts\n[SQL: SELECT ?]"
    )
    assert str(errors.DatabaseUnavailable(orig=cause)) == (
        "(sqlite3.OperationalError) it hurts"
    )


@pytest.mark.parametrize("kind", ALL)
def test_they_can_be_raised_without_anything(kind):
    error = kind()

    assert error.orig is None
    assert error.get_response().status_code == 503


@pytest.mark.parametrize(
    "error",
    [
        errors.DatabaseUnavailable("SELECT 1", {}, sqlite3.OperationalError("away")),
        errors.PoolExhausted("All are in use."),
        errors.EditConflict("Too late."),
    ],
)
def test_they_can_be_pickled(error):
    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert copy.get_response().status_code == error.get_response().status_code


@pytest.mark.parametrize(
    ("kind", "base", "status"),
    [
        (errors.PoolExhausted, sa_exc.TimeoutError, 503),
        (errors.EditConflict, StaleDataError, 409),
    ],
)
def test_what_is_no_error_of_a_driver_is_an_answer_too(app, client, kind, base, status):
    assert issubclass(kind, (base, HTTPException))
    assert issubclass(kind, base)
    assert str(kind())

    @app.get("/")
    def index():
        raise kind("the details")

    response = client.get("/")
    assert response.status_code == status
    assert response.headers.get("Retry-After") == ("5" if status == 503 else None)
    assert "the details" not in response.text
    assert str(kind("the details")) == "the details"
