from __future__ import annotations

from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column

from erlen import Erlen
from erlen_db import SQLAlchemy


def test_the_shell_has_the_models(app, db):
    class Todo(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)

    class There(db.Model):
        __bind_key__ = "other"
        id: Mapped[int] = mapped_column(primary_key=True)

    with app.app_context():
        names = app.make_shell_context()
    assert names["db"] is db
    assert names["Todo"] is Todo
    assert names["There"] is There


def test_the_shell_can_do_without(app):
    SQLAlchemy(app, add_models_to_shell=False)
    with app.app_context():
        assert "db" not in app.make_shell_context()


def test_it_is_of_the_application_that_asks(app, db):
    other = Erlen("other")
    with other.app_context():
        assert "db" not in other.make_shell_context()
