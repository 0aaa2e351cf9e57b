from __future__ import annotations

import pytest
import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column

from erlen_db import EditConflict
from erlen_db import SQLAlchemy
from erlen_db import Versioned


def own_base():
    class Base(orm.DeclarativeBase):
        pass

    return SQLAlchemy(model_class=Base)


def dataclasses():
    class Base(orm.MappedAsDataclass, orm.DeclarativeBase):
        pass

    return SQLAlchemy(model_class=Base)


@pytest.fixture(params=[SQLAlchemy, own_base, dataclasses], ids=lambda it: it.__name__)
def db(request):
    """Return an extension for each style of models."""
    return request.param()


@pytest.fixture
def Page(app, db):
    """Return a model with an empty table, in an application context."""

    class Page(Versioned, db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)
        text: Mapped[str] = mapped_column(default="a")

    db.init_app(app)
    with app.app_context():
        db.create_all()
        yield Page


def test_each_change_is_a_version(db, Page):
    page = Page(id=1, text="a")
    db.session.add(page)
    db.session.commit()
    assert page.version == 1
    page.text = "b"
    db.session.commit()
    assert page.version == 2


@pytest.mark.parametrize("change", ["update", "delete"])
def test_an_old_copy_overwrites_nothing(db, Page, change):
    db.session.add(Page(id=1, text="a"))
    db.session.commit()
    page = db.session.get(Page, 1)
    assert page.text == "a"
    statement = sa.update(Page.__table__).values(text="theirs", version=7)
    db.session.execute(statement)
    if change == "update":
        page.text = "mine"
    else:
        db.session.delete(page)
    with pytest.raises(EditConflict, match="table 'page'") as caught:
        db.session.commit()
    assert isinstance(caught.value, orm.exc.StaleDataError)
    assert caught.value.code == 409
    db.session.rollback()


def test_the_client_gets_a_409(app, db, Page, client):
    @app.get("/")
    def view():
        page = db.session.get(Page, 1)
        with db.engine.connect() as connection:
            connection.execute(sa.update(Page.__table__).values(version=7))
            connection.commit()
        page.text = "mine"
        db.session.commit()

    db.session.add(Page(id=1, text="a"))
    db.session.commit()
    db.session.remove()
    response = client.get("/")
    assert response.status_code == 409
    assert "Somebody else has changed this" in response.text


def test_children_have_the_version_of_their_parent(app):
    db = SQLAlchemy()

    class Page(Versioned, db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)
        kind: Mapped[str]
        __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "page"}

    class News(Page):
        __mapper_args__ = {"polymorphic_identity": "news"}

    class Blog(Page):
        id: Mapped[int] = mapped_column(sa.ForeignKey(Page.id), primary_key=True)
        title: Mapped[str]
        __mapper_args__ = {"polymorphic_identity": "blog"}

    class Abstract(Versioned, db.Model):
        __abstract__ = True

    class Leaf(Abstract):
        id: Mapped[int] = mapped_column(primary_key=True)

    db.init_app(app)
    assert "version" not in Blog.__table__.c
    assert "version" in Leaf.__table__.c
    assert Leaf.__mapper__.version_id_col is not None
    with app.app_context():
        db.create_all()
        pages = [News(), Blog(title="a")]
        db.session.add_all(pages)
        db.session.commit()
        pages[1].title = "b"
        db.session.commit()
        assert [it.version for it in pages] == [1, 2]
