from __future__ import annotations

import asyncio
import gc
import weakref

import pytest
import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column

from erlen import Erlen
from erlen import extension
from erlen_db import SQLAlchemy
from erlen_db import extension as module
from erlen_db.errors import DatabaseUnavailable
from erlen_db.query import Query
from erlen_db.record_queries import get_recorded_queries
from erlen_db.session import Session
from erlen_db.track_modifications import models_committed


@pytest.fixture
def Todo(db):
    """Return a model."""

    class Todo(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)
        title: Mapped[str] = mapped_column(default="")

    return Todo


def test_an_application_has_it(app):
    db = SQLAlchemy()
    db.init_app(app)
    assert app.extensions["sqlalchemy"] is db
    with pytest.raises(extension.ContractError, match="'sqlalchemy' already"):
        db.init_app(app)


def test_a_database_is_needed():
    app = Erlen("acme")
    with pytest.raises(RuntimeError, match="Neither SQLALCHEMY_DATABASE_URI nor"):
        SQLAlchemy(app)
    assert "sqlalchemy" not in app.extensions


def test_outside_of_a_context_it_says_what_to_do(app, db):
    for use in (
        lambda: db.engine,
        lambda: db.session.execute(sa.select(1)),
        lambda: db.async_session,
        db.ping,
    ):
        with pytest.raises(RuntimeError, match=r"with app\.app_context\(\)"):
            use()
    assert repr(db) == "<SQLAlchemy>"


def test_another_application_is_unknown(app, db):
    with (
        Erlen("other").app_context(),
        pytest.raises(RuntimeError, match=r"'other' has not been set up.*init_app"),
    ):
        db.engine  # noqa: B018  # it raises


def test_two_applications_have_two_databases(app, db, Todo):
    other = Erlen("other")
    other.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
    db.init_app(other)
    for it in (app, other):
        with it.app_context():
            db.create_all()
    with app.app_context():
        db.session.add(Todo())
        db.session.commit()
        mine = db.engine
    with other.app_context():
        assert db.session.scalar(db.select(db.func.count()).select_from(Todo)) == 0
        assert db.engine is not mine


def test_an_application_that_is_dropped_leaves_nothing():
    app = Erlen("short")
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
    db = SQLAlchemy(app)
    with app.app_context():
        db.engine.dispose()
    app = weakref.ref(app)
    gc.collect()
    assert app() is None
    assert len(db._states) == 0


def test_a_session_lives_as_long_as_the_context(app, db, Todo):
    with app.app_context():
        first = db.session()
        assert isinstance(first, Session)
        assert db.session() is first
        with app.app_context():
            assert db.session() is not first
        assert db.session() is first
    with app.app_context():
        assert db.session() is not first


def test_options_of_sessions(app):
    class Own(Session):
        pass

    scope = object()
    db = SQLAlchemy(
        app,
        session_options={
            "class_": Own,
            "autoflush": False,
            "scopefunc": lambda: scope,
        },
    )
    with app.app_context():
        session = db.session()
        assert isinstance(session, Own)
        assert session.autoflush is False
    with app.app_context():
        again = db.session()
        assert again is not session  # the end of a context ends it, whatever its scope


def test_requests_use_one_session_each(app, db, Todo, client):
    sessions = []

    @app.get("/<title>")
    def view(title):
        sessions.append(db.session())
        db.session.add(Todo(title=title))
        if title == "kept":
            db.session.commit()
        return str(db.session.scalars(db.select(Todo.title)).all())

    with app.app_context():
        db.create_all()
    assert client.get("/kept").text == "['kept']"
    assert client.get("/dropped").text == "['kept', 'dropped']"
    assert client.get("/kept").text == "['kept', 'kept']"
    assert len(set(map(id, sessions))) == 3
    assert not any(it.in_transaction() for it in sessions)


def test_names_of_sqlalchemy(db):
    assert db.select is sa.select
    assert db.Integer is sa.Integer
    assert db.mapped_column is orm.mapped_column
    assert db.VARCHAR is sa.VARCHAR
    assert db.subqueryload is orm.subqueryload
    assert db.make_transient is orm.make_transient
    for name in ("nothing", "_nothing"):
        with pytest.raises(AttributeError, match=f"has no attribute '{name}'"):
            getattr(db, name)


def test_dynamic_relationships_have_our_queries(app):
    class Own(Query):
        pass

    db = SQLAlchemy(app, query_class=Own)

    class Parent(db.Model):
        id = db.Column(db.Integer, primary_key=True)
        ones = db.relationship("Child", backref="parent", lazy="dynamic")
        twos = db.dynamic_loader("Child", overlaps="ones,parent")

    class Child(db.Model):
        id = db.Column(db.Integer, primary_key=True)
        parent_id = db.Column(db.ForeignKey("parent.id"))
        friends_of = db.relationship(
            "Friend", backref=db.backref("child", lazy="joined"), lazy="dynamic"
        )

    class Friend(db.Model):
        id = db.Column(db.Integer, primary_key=True)
        child_id = db.Column(db.ForeignKey("child.id"))
        others = db.relationship("Other", backref=("friend", {"lazy": "joined"}))

    class Other(db.Model):
        id = db.Column(db.Integer, primary_key=True)
        friend_id = db.Column(db.ForeignKey("friend.id"))

    with app.app_context():
        parent = Parent()
        db.session.add(parent)
        assert isinstance(parent.ones, Own)
        assert isinstance(parent.twos, Own)


def test_tables_know_their_bind_key(app):
    app.config["SQLALCHEMY_BINDS"] = {"other": "sqlite://"}
    db = SQLAlchemy(app)
    here = db.Table("here", db.Column("id", db.Integer, primary_key=True))
    there = db.Table("there", db.Column("id", db.Integer), bind_key="other")
    metadata = sa.MetaData()
    given = db.Table("given", metadata, sa.Column("id", sa.Integer))
    assert here.metadata is db.metadata
    assert there.metadata is db.metadatas["other"]
    assert given.metadata is metadata
    with pytest.raises(TypeError):
        db.Table()
    with app.app_context():
        db.create_all()
        assert sa.inspect(db.engines["other"]).get_table_names() == ["there"]
        db.session.execute(here.insert().values(id=1))
        db.session.execute(there.insert().values(id=2))
        assert db.session.execute(db.select(here)).all() == [(1,)]
        assert db.session.execute(db.select(there)).all() == [(2,)]


def test_tables_are_made_read_and_dropped_by_bind_key(app):
    app.config["SQLALCHEMY_BINDS"] = {"other": "sqlite://", "empty": "sqlite://"}
    db = SQLAlchemy(app)

    class Here(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)

    class There(db.Model):
        __bind_key__ = "other"
        id: Mapped[int] = mapped_column(primary_key=True)

    def tables():
        return [sa.inspect(it).get_table_names() for it in db.engines.values()]

    with app.app_context():
        db.create_all("other")
        assert tables() == [[], ["there"], []]
        db.create_all(None)
        assert tables() == [["here"], ["there"], []]
        db.drop_all(["other"])
        assert tables() == [["here"], [], []]
        db.create_all()
        with pytest.raises(sa.exc.UnboundExecutionError, match="bind key 'unknown'"):
            db.create_all("unknown")
        with pytest.raises(sa.exc.UnboundExecutionError, match="no key 'lost'"):
            db.get_engine("lost")
        assert db.get_engine(bind="other") is db.engines["other"]
        with db.engine.begin() as connection:
            connection.execute(sa.text("CREATE TABLE found (id INTEGER)"))
        db.reflect()
        assert "found" in db.metadata.tables
        db.drop_all()
        assert tables() == [[], [], []]


def test_binds_alone_are_enough(app):
    app.config.update(
        SQLALCHEMY_DATABASE_URI=None, SQLALCHEMY_BINDS={"only": {"url": "sqlite://"}}
    )
    db = SQLAlchemy(app)

    class There(db.Model):
        __bind_key__ = "only"
        id: Mapped[int] = mapped_column(primary_key=True)

    class Here(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)

    with app.app_context():
        db.create_all("only")
        db.session.add(There())
        db.session.commit()
        with pytest.raises(
            sa.exc.UnboundExecutionError, match="DATABASE_URI is not set"
        ):
            db.session.scalars(db.select(Here))


def test_repr(app):
    app.config["SQLALCHEMY_BINDS"] = {"other": "sqlite://"}
    db = SQLAlchemy(app)
    with app.app_context():
        assert repr(db) == "<SQLAlchemy sqlite:// +1>"


def test_a_naming_convention_for_new_projects(app):
    db = SQLAlchemy(app, naming_convention=True)

    class Leaf(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)
        a: Mapped[int] = mapped_column(unique=True, index=True)
        b: Mapped[int] = mapped_column(sa.ForeignKey("leaf.id"))
        __table_args__ = (sa.CheckConstraint("a > 0", name="positive"),)

    class There(db.Model):
        __bind_key__ = "other"
        id: Mapped[int] = mapped_column(primary_key=True)

    names = {it.name for it in Leaf.__table__.constraints | Leaf.__table__.indexes}
    assert names == {"pk_leaf", "ix_leaf_a", "fk_leaf_b_leaf", "ck_leaf_positive"}
    assert There.__table__.primary_key.name == "pk_there"
    own = {"pk": "key_of_%(table_name)s"}
    assert (
        SQLAlchemy(naming_convention=own).metadata.naming_convention["pk"] == own["pk"]
    )
    with pytest.raises(ValueError, match="naming_convention"):
        SQLAlchemy(metadata=sa.MetaData(), naming_convention=True)

    class Base(orm.DeclarativeBase):
        pass

    db = SQLAlchemy(model_class=Base, naming_convention=True)

    class Other(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)

    assert Other.__table__.primary_key.name == "pk_other"
    with pytest.raises(ValueError, match="naming_convention"):
        SQLAlchemy(model_class=Base, naming_convention=True)


def test_questions_with_an_answer_or_a_404(app, db, Todo, client):
    @app.get("/<how>/<int:key>")
    def view(how, key):
        if how == "get":
            return db.get_or_404(Todo, key, description="No such todo.").title
        ask = getattr(db, how)
        return ask(db.select(Todo).where(Todo.id == key)).title

    with app.app_context():
        db.create_all()
        db.session.add(Todo(title="tea"))
        db.session.commit()
    for how in ("get", "first_or_404", "one_or_404"):
        assert client.get(f"/{how}/1").text == "tea"
        assert client.get(f"/{how}/2").status_code == 404
    assert "No such todo." in client.get("/get/2").text


def test_pages_of_a_select(app, db, Todo, client):
    @app.get("/")
    def view():
        page = db.paginate(db.select(Todo).order_by(Todo.id), per_page=2)
        return f"{[it.id for it in page]} {page.total}"

    with app.app_context():
        db.create_all()
        db.session.add_all([Todo() for _ in range(3)])
        db.session.commit()
    assert client.get("/?page=2").text == "[3] 3"
    assert client.get("/?page=3").status_code == 404


def test_connections_are_let_go(app, db, Todo, tmp_path):
    app = Erlen("file", instance_path=str(tmp_path))
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///a.db"
    db.init_app(app)
    with app.app_context():
        db.release()  # nothing is held
        db.create_all()
        db.session.add(Todo(title="tea"))
        with pytest.raises(RuntimeError, match="not committed"):
            db.release()
        db.session.flush()
        with pytest.raises(RuntimeError, match="not committed"):
            db.release()
        db.session.commit()
        todo = db.session.scalars(db.select(Todo)).one()
        assert db.engine.pool.checkedout() == 1
        db.release()
        assert db.engine.pool.checkedout() == 0
        assert todo.title == "tea"
        db.session.execute(db.update(Todo).values(title="cake"))
        with pytest.raises(RuntimeError, match="not committed"):
            db.release()
        db.session.rollback()
        db.release()


def test_changes_are_signalled_if_asked_for(app):
    app.config["SQLALCHEMY_TRACK_MODIFICATIONS"] = True
    db = SQLAlchemy(app)

    class Todo(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)

    seen = []

    def note(sender, changes):
        seen.extend((type(it), what) for it, what in changes)

    models_committed.connect(note)
    with app.app_context():
        db.create_all()
        db.session.add(Todo())
        db.session.commit()
    assert seen == [(Todo, "insert")]


def test_queries_are_recorded_if_asked_for(app):
    app.config["SQLALCHEMY_RECORD_QUERIES"] = True
    db = SQLAlchemy(app)
    with app.app_context():
        db.session.execute(db.select(1))
        (query,) = get_recorded_queries()
        assert query.statement == "SELECT 1"


def test_a_ping_asks_all_databases(app, tmp_path):
    app.config["SQLALCHEMY_BINDS"] = {"gone": "sqlite:///gone/a.db"}
    db = SQLAlchemy(app)
    (tmp_path / "gone").rmdir()
    with app.app_context():
        db.ping(None)
        with pytest.raises(DatabaseUnavailable, match="unable to open"):
            db.ping("gone")
        with pytest.raises(DatabaseUnavailable):
            db.ping()
    health = extension.check_health(app)["database"]
    assert not health.ok


def test_a_child_process_makes_connections_of_its_own(app, tmp_path, monkeypatch):
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///a.db"
    db = SQLAlchemy(app)
    with app.app_context():
        assert db.engine in module._engines
        monkeypatch.setattr(module, "_engines", {db.engine})  # and nobody else's
        with db.engine.connect() as connection:
            of_parent = connection.connection.dbapi_connection
        assert db.engine.pool.checkedin() == 1
        module._forget_connections()
        assert db.engine.pool.checkedin() == 0
    of_parent.close()
    memory = Erlen("memory")
    memory.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
    db.init_app(memory)
    with memory.app_context():
        assert db.engine not in module._engines


def test_the_end_of_the_process_closes_connections(app, tmp_path):
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///a.db"
    db = SQLAlchemy(app)
    with app.app_context():
        db.ping()
        engine = db.engine
    with app.app_context():
        asyncio.run(db._dispose())
    assert engine.pool.checkedin() == 0


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, 100),
        ({"per_page": 150}, 150),
        ({"max_per_page": None}, 200),
        ({"max_per_page": 20}, 20),
        ({"per_page": 150, "max_per_page": 20}, 20),
    ],
    ids=str,
)
def test_the_size_of_a_page_is_limited(app, db, Todo, given, expected):
    with app.test_request_context("/?per_page=200"):
        db.create_all()
        assert db.paginate(db.select(Todo), **given).per_page == expected


def test_pages_without_numbers(app, db, Todo, client):
    @app.get("/")
    def view():
        page = db.paginate_keyset(db.select(Todo).order_by(Todo.id), per_page=2)
        return {"ids": [it.id for it in page], "next": page.next_cursor}

    with app.app_context():
        db.create_all()
        db.session.add_all([Todo() for _ in range(3)])
        db.session.commit()
    first = client.get("/").json
    second = client.get("/", query_string={"cursor": first["next"]}).json
    assert (first["ids"], second) == ([1, 2], {"ids": [3], "next": None})
    assert client.get("/?cursor=forged").status_code == 400


def test_pages_for_async_views(app, tmp_path):
    pytest.importorskip("aiosqlite")
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///a.db"
    db = SQLAlchemy(app)

    class Todo(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)

    @app.get("/")
    async def view():
        page = await db.paginate_async(db.select(Todo).order_by(Todo.id), per_page=2)
        return f"{[it.id for it in page]} {page.total}"

    with app.app_context():
        db.create_all()
        db.session.add_all([Todo() for _ in range(3)])
        db.session.commit()
    assert app.test_client(door="asgi").get("/?page=2").text == "[3] 3"
