"""An application with a database as its users write it, under strict type checkers."""

from __future__ import annotations

import collections.abc as cabc
import typing as t
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column
from sqlalchemy.orm import relationship

from erlen import Blueprint
from erlen import Erlen
from erlen import redirect
from erlen import render_template
from erlen import request
from erlen import url_for
from erlen.typing import ResponseReturnValue
from erlen_db import SQLAlchemy

db = SQLAlchemy(naming_convention=True)
pages = Blueprint("pages", __name__)


# --- models ------------------------------------------------------------------------


class User(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(50), unique=True)
    email: Mapped[str | None]
    posts: Mapped[list[Post]] = relationship(back_populates="author")

    def greet(self) -> str:
        return f"Hello, {self.name}!"


class Post(db.Model):
    __tablename__ = "article"
    __bind_key__ = "articles"
    __table_args__ = (sa.UniqueConstraint("title"), {"comment": "What they write."})

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    author_id: Mapped[int] = mapped_column(sa.ForeignKey("user.id"))
    author: Mapped[User] = relationship(back_populates="posts")


class Animal(db.Model):
    __mapper_args__ = {"polymorphic_on": "kind"}

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]


class Dog(Animal):
    __mapper_args__ = {"polymorphic_identity": "dog"}


class Stamped(db.Model):
    __abstract__ = True

    made: Mapped[int]


class Letter(Stamped):
    id: Mapped[int] = mapped_column(primary_key=True)


tags = db.Table(
    "tags",
    sa.Column("user_id", sa.ForeignKey("user.id"), primary_key=True),
    sa.Column("name", sa.String(20), primary_key=True),
)


def first_name(model: type[User]) -> str | None:
    user = db.session.scalar(sa.select(model))
    return None if user is None else user.name


# --- an application ----------------------------------------------------------------


def create_app() -> Erlen:
    app = Erlen(__name__)
    app.config.from_mapping(
        SQLALCHEMY_DATABASE_URI="sqlite:///data.sqlite",
        SQLALCHEMY_BINDS={"articles": {"url": "sqlite://", "echo": True}},
        SQLALCHEMY_STATEMENT_TIMEOUT=timedelta(seconds=10),
    )
    db.init_app(app)
    app.register_blueprint(pages)
    with app.app_context():
        db.create_all()
        db.create_all("articles")
        db.create_all(["articles", None])
    return app


@pages.get("/users/<int:number>")
def show_user(number: int) -> str:
    user = db.get_or_404(User, number, description="Nobody has this number.")
    t.assert_type(user, User)
    return render_template("user.html", user=user)


@pages.post("/users")
def add_user() -> ResponseReturnValue:
    user = User(name=request.form["name"])
    db.session.add(user)
    db.session.commit()
    return redirect(url_for(".show_user", number=user.id))


@pages.post("/users/<int:number>/posts")
@db.atomic
def add_post(number: int) -> dict[str, t.Any]:
    post = Post(title=request.form["title"], author_id=number)
    db.session.add(post)
    db.session.flush()
    return {"id": post.id}


@db.atomic(tries=3, isolation="SERIALIZABLE")
def count_users() -> int:
    return db.session.scalar(sa.select(sa.func.count(User.id))) or 0


@pages.get("/stream")
def stream() -> cabc.Iterator[str]:
    names = db.session.scalars(sa.select(User.name)).all()
    db.release()
    yield from names


@pages.post("/transfer")
def transfer() -> dict[str, str]:
    with db.transaction():
        db.session.add(User(name="a"))
        with db.transaction(isolation="SERIALIZABLE"):
            db.session.add(User(name="b"))
    return {}


@pages.get("/async")
async def read_async() -> list[str]:
    rows = await db.async_session.scalars(db.select(User))
    users = rows.all()
    t.assert_type(users, cabc.Sequence[User])
    async with db.transaction():
        db.async_session.add(User(name="c"))
    return [user.name for user in users]


# --- what the names mean to a type checker -----------------------------------------


def takes_extension(extension: SQLAlchemy) -> sa.Engine:
    return extension.engine


def meanings() -> None:
    t.assert_type(db.session.scalars(db.select(User)).all(), cabc.Sequence[User])
    t.assert_type(db.session.scalars(sa.select(User)).one(), User)
    t.assert_type(db.session.execute(sa.select(User)).scalar_one(), User)
    t.assert_type(db.session.get(User, 1), User | None)
    t.assert_type(User(name="a"), User)
    t.assert_type(User(name="a").posts, list[Post])
    t.assert_type(User(name="a").greet(), str)
    t.assert_type(Dog().kind, str)
    t.assert_type(Letter().made, int)
    t.assert_type(db.engine, sa.Engine)
    t.assert_type(db.engines, cabc.Mapping[str | None, sa.Engine])
    t.assert_type(db.metadata, sa.MetaData)
    t.assert_type(db.metadatas, dict[str | None, sa.MetaData])
    t.assert_type(takes_extension(db), sa.Engine)
    t.assert_type(count_users(), int)
    t.assert_type(add_post(1), dict[str, t.Any])
    t.assert_type(db.retry(count_users, tries=5), int)
    first_name(User)
    User().greet(1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    db.get_or_404(1, User)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
