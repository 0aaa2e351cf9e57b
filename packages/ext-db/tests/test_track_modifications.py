from __future__ import annotations

import typing as t

import pytest
import sqlalchemy as sa
from sqlalchemy import orm

from erlen_db import SQLAlchemy
from erlen_db import track_modifications
from erlen_db.track_modifications import before_models_committed
from erlen_db.track_modifications import models_committed


@pytest.fixture
def app(app):
    app.config["SQLALCHEMY_TRACK_MODIFICATIONS"] = True
    return app


class Models(t.NamedTuple):
    User: t.Any
    Post: t.Any
    Page: t.Any


def make_models(db):
    class User(db.Model):
        id = sa.Column(sa.Integer, primary_key=True)
        name = sa.Column(sa.String)
        posts = orm.relationship("Post", cascade="all, delete-orphan")

        def __repr__(self):
            return self.name

    class Post(db.Model):
        id = sa.Column(sa.Integer, primary_key=True)
        name = sa.Column(sa.String)
        user_id = sa.Column(sa.ForeignKey("user.id"))
        pages = orm.relationship("Page", cascade="all, delete-orphan")

        def __repr__(self):
            return self.name

    class Page(db.Model):
        id = sa.Column(sa.Integer, primary_key=True)
        post_id = sa.Column(sa.ForeignKey("post.id"))

        def __repr__(self):
            return "page"

    return Models(User, Post, Page)


@pytest.fixture
def models(app, db):
    made = make_models(db)
    with app.app_context():
        db.create_all()
        yield made


@pytest.fixture
def sent():
    """Return what was sent, as text, and who sent it."""
    sent = []

    def before(sender, changes):
        sent.append(("before", [f"{op} {it!r}" for it, op in changes]))

    def after(sender, changes):
        sent.append(("after", [f"{op} {it!r}" for it, op in changes]))

    with (
        before_models_committed.connected_to(before),
        models_committed.connected_to(after),
    ):
        yield sent


def both(*changes):
    return [("before", list(changes)), ("after", list(changes))]


def test_operations(db, models, sent):
    ada, bob = models.User(name="ada"), models.User(name="bob")
    db.session.add_all([ada, bob])
    db.session.commit()
    assert sent == both("insert ada", "insert bob")
    del sent[:]

    ada.name = "Ada"
    db.session.delete(bob)
    db.session.commit()
    assert sent == both("update Ada", "delete bob")


def test_nothing_is_sent_for_nothing(db, models, sent):
    ada = models.User(name="ada")
    db.session.add(ada)
    db.session.commit()
    del sent[:]

    db.session.scalar(sa.select(models.User))
    db.session.commit()
    assert ada.name == "ada"
    ada.name = "ada"  # as it was
    db.session.commit()
    db.session.execute(sa.update(models.User).values(name="x"))
    db.session.commit()
    assert sent == []


@pytest.mark.parametrize(
    ("steps", "changes"),
    [
        ("insert update", "insert it"),
        ("insert update delete", None),
        ("insert delete insert", "insert it"),
    ],
)
def test_a_model_is_named_once(db, models, sent, steps, changes):
    it = models.User(name="it")
    for number, step in enumerate(steps.split()):
        if step == "insert":
            orm.make_transient(it)
            db.session.add(it)
        elif step == "update":
            it.posts.append(models.Post(name=str(number)))
            it.posts.clear()
            db.session.query(models.User).update({"name": "changed"})
            it.name = "it"
        else:
            db.session.delete(it)
        db.session.flush()
    db.session.commit()
    assert sent == (both(changes) if changes else [])


def test_what_is_deleted_and_made_again_is_changed(db, models, sent):
    it = models.User(name="it")
    db.session.add(it)
    db.session.commit()
    assert it.name
    del sent[:]

    db.session.delete(it)
    db.session.flush()
    orm.make_transient(it)
    db.session.add(it)
    db.session.commit()
    assert sent == both("update it")


def test_orphans_are_deleted(db, models, sent):
    page = models.Page()
    db.session.add(
        models.User(name="ada", posts=[models.Post(name="one", pages=[page])])
    )
    db.session.commit()
    ada = db.session.scalar(sa.select(models.User))
    del sent[:]

    ada.posts.clear()
    db.session.commit()
    assert len(sent) == 2
    assert sorted(sent[1][1]) == ["delete one", "delete page", "update ada"]


def test_rolled_back(db, models, sent):
    db.session.add(models.User(name="ada"))
    db.session.flush()
    db.session.rollback()
    db.session.add(models.User(name="bob"))
    db.session.commit()
    assert sent == both("insert bob")


def test_closed(db, models, sent):
    db.session.add(models.User(name="ada"))
    db.session.flush()
    db.session.close()
    db.session.commit()
    assert sent == []


def test_a_flush_that_fails(db, models, sent):
    db.session.add(models.User(name="ada"))
    db.session.flush()
    db.session.add(models.Post(user_id=5))
    with pytest.raises(sa.exc.IntegrityError):
        db.session.flush()
    db.session.rollback()
    db.session.commit()
    assert sent == []


@pytest.mark.parametrize("fails", ["inner", "outer", "flush", None])
def test_savepoints(db, models, sent, fails):
    def add(name):
        db.session.add(models.User(name=name))
        db.session.flush()

    add("first")
    outer = db.session.begin_nested()
    add("outer")
    inner = db.session.begin_nested()
    add("inner")
    if fails == "flush":
        db.session.add(models.Post(name="of nobody", user_id=5))
        with pytest.raises(sa.exc.IntegrityError):
            db.session.flush()
    if fails in {"inner", "flush"}:
        inner.rollback()
    else:
        inner.commit()
    if fails == "outer":
        outer.rollback()
    else:
        outer.commit()
    assert ("after", ["insert inner"]) not in sent
    add("last")
    db.session.commit()

    names = {"inner": "outer", "flush": "outer", "outer": "", None: "outer inner"}
    names = ["first", *names[fails].split(), "last"]
    assert sent == both(*(f"insert {name}" for name in names))


def test_a_savepoint_without_changes(db, models, sent):
    with db.session.begin_nested():
        pass
    db.session.commit()
    assert sent == []


def test_a_change_before_and_in_a_savepoint(db, models, sent):
    ada = models.User(name="ada")
    db.session.add(ada)
    db.session.flush()
    with db.session.begin_nested():
        db.session.delete(ada)
    db.session.commit()
    assert sent == []


def test_a_receiver_changes_and_prevents(db, models, sent):
    def rename(sender, changes):
        for it, _ in changes:
            if it.name == "bad":
                raise ValueError
            it.name = it.name.title()
            db.session.add(models.Post(name=f"post of {it.id}"))

    with before_models_committed.connected_to(rename):
        db.session.add(models.User(name="ada"))
        db.session.commit()
        assert sent[-1] == ("after", ["insert Ada", "insert post of 1"])
        del sent[:]

        db.session.add(models.User(name="bad"))
        with pytest.raises(ValueError):
            db.session.commit()
        db.session.rollback()
    assert ("after", ["insert bad"]) not in sent
    assert [it.name for it in db.session.scalars(sa.select(models.User))] == ["Ada"]


def test_the_sender_is_the_application(app, db, models):
    senders = []
    with models_committed.connected_to(
        lambda sender, changes: senders.append(sender), sender=app
    ):
        db.session.add(models.User(name="ada"))
        db.session.commit()
    assert senders == [app]
    assert senders[0] is app


def test_what_is_loaded_can_be_read(db, models):
    names = []
    with models_committed.connected_to(
        lambda sender, changes: names.extend(it.name for it, _ in changes)
    ):
        db.session.add(models.User(name="ada"))
        db.session.commit()
    assert names == ["ada"]


def test_in_requests(app, tmp_path, client, sent):
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///track.db"
    db = SQLAlchemy(app)
    models = make_models(db)
    with app.app_context():
        db.create_all()

    @app.post("/")
    def index():
        db.session.add(models.User(name="ada"))
        db.session.commit()
        return "done"

    assert client.post("/").text == "done"
    assert sent == both("insert ada")


def test_in_async_views(app, tmp_path, sent):
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///track.db"
    db = SQLAlchemy(app)
    models = make_models(db)
    with app.app_context():
        db.create_all()

    @app.post("/")
    async def index():
        db.async_session.add(models.User(name="ada"))
        await db.async_session.commit()
        return "done"

    assert app.test_client().post("/").text == "done"
    assert sent == both("insert ada")


def test_another_application_with_the_same_models(app, db, models, sent, tmp_path):
    """Sessions are the extension's, and the setting is the application's."""
    from erlen import Erlen

    other = Erlen("other", instance_path=str(tmp_path))
    other.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
    db.init_app(other)
    with other.app_context():
        db.create_all()
        db.session.add(models.User(name="ada"))
        db.session.commit()
    assert sent == []


def test_listening_twice_sends_once(db, models, sent):
    track_modifications.listen(db.session)
    db.session.add(models.User(name="ada"))
    db.session.commit()
    assert sent == both("insert ada")


@pytest.mark.parametrize("setting", [False, None])
def test_off_attaches_nothing(app, setting):
    app.config["SQLALCHEMY_TRACK_MODIFICATIONS"] = setting
    db = SQLAlchemy(app)
    with app.app_context():
        assert track_modifications._LISTENS not in vars(type(db.session()))


def test_a_session_outside_of_a_context(sent, tmp_path):
    """It is nobody's, so nobody can send."""
    engine = sa.create_engine("sqlite://")
    factory = orm.sessionmaker(engine)
    track_modifications.listen(factory)
    Base = orm.declarative_base()

    class It(Base):
        __tablename__ = "it"
        id = sa.Column(sa.Integer, primary_key=True)

    with factory() as session:
        Base.metadata.create_all(session.connection())
        session.add(It())
        session.commit()
    engine.dispose()
    assert sent == []
