from __future__ import annotations

import pytest
import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column

from erlen_db import EditConflict


@pytest.fixture
def app(app):
    """Return an application with three databases."""
    app.config["SQLALCHEMY_BINDS"] = {"other": "sqlite://", "empty": "sqlite://"}
    return app


@pytest.fixture
def models(app, db):
    """Return two models of two databases, in an application context."""

    class Here(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)

    class There(db.Model):
        __bind_key__ = "other"
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str] = mapped_column(default="")

    with app.app_context():
        db.create_all()
        yield Here, There


def test_statements_find_their_engine(db, models):
    Here, There = models
    here, there = Here.__table__, There.__table__
    alias = orm.aliased(There)
    for clause, expected in (
        (sa.select(there), "other"),
        (sa.select(sa.func.count()).select_from(there), "other"),
        (sa.select(here), None),
        (there.insert(), "other"),
        (there.update().values(name="a"), "other"),
        (sa.delete(there), "other"),
        (there.alias(), "other"),
        (sa.union(sa.select(there.c.id), sa.select(there.c.id)), "other"),
        (sa.select(1), None),
        (sa.text("SELECT 1"), None),
    ):
        assert db.session.get_bind(clause=clause) is db.engines[expected]
    for mapper, expected in ((Here, None), (There, "other"), (alias, "other")):
        assert db.session.get_bind(mapper) is db.engines[expected]
    assert db.session.get_bind() is db.engine
    assert db.session.get_bind(There, bind=db.engine) is db.engine


def test_both_are_written_in_one_session(db, models):
    Here, There = models
    db.session.add_all([Here(), There(name="a")])
    db.session.commit()
    assert db.session.scalars(db.select(There.name)).all() == ["a"]
    db.session.execute(db.update(There).values(name="b"))
    assert db.session.scalars(db.select(There.name)).all() == ["b"]
    assert db.session.scalar(db.select(db.func.count()).select_from(Here)) == 1


def test_what_is_no_model_is_told_so(db, models):
    with pytest.raises(orm.exc.UnmappedClassError):
        db.session.get_bind(dict)
    with pytest.raises(sa.exc.NoInspectionAvailable):
        db.session.get_bind({})


def test_a_bind_key_without_a_database_says_which(db, models):
    class Lost(db.Model):
        __bind_key__ = "lost"
        id: Mapped[int] = mapped_column(primary_key=True)

    with pytest.raises(sa.exc.UnboundExecutionError, match="no key 'lost'"):
        db.session.scalars(db.select(Lost))


def test_without_a_default_database_a_statement_needs_a_table(app, db):
    app.config["SQLALCHEMY_DATABASE_URI"] = None
    from erlen import Erlen

    bare = Erlen("bare")
    bare.config["SQLALCHEMY_BINDS"] = {"other": "sqlite://"}
    db.init_app(bare)
    with bare.app_context(), pytest.raises(sa.exc.UnboundExecutionError):
        db.session.execute(sa.text("SELECT 1"))


def test_changes_are_known(db, models):
    Here, There = models
    session = db.session()

    def change(function):
        function()
        found = session.has_changes()
        session.rollback()
        return found

    there = There(name="a")
    session.add(there)
    assert session.has_changes()
    session.commit()
    assert not session.has_changes()
    for function, expected in (
        (lambda: session.scalars(sa.select(There)).all(), False),
        (lambda: session.execute(sa.text("  select 1")), False),
        (lambda: session.execute(sa.text("DELETE FROM here")), True),
        (lambda: session.execute(sa.update(There).values(name="b")), True),
        (lambda: session.execute(sa.insert(Here), [{"id": 7}]), True),
        (lambda: setattr(there, "name", "b"), True),
        (lambda: (there.name, setattr(there, "name", "a")), False),
        (lambda: session.delete(there), True),
        (lambda: session.add(There()), True),
        (lambda: (session.add(There()), session.flush()), True),
    ):
        assert change(function) is expected
        assert not session.has_changes()


def test_a_lost_row_is_a_conflict(db, models):
    _, There = models
    there = There(name="a")
    db.session.add(there)
    db.session.commit()
    assert there.name == "a"
    db.session.execute(sa.delete(There.__table__))
    there.name = "b"
    with pytest.raises(EditConflict, match="expected to update 1 row"):
        db.session.flush()
