"""Migrations, pages and drafts of tests as users write them."""

from __future__ import annotations

import typing as t

import sqlalchemy as sa
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column

from erlen import Erlen
from erlen_db import SQLAlchemy
from erlen_db.migrate import Migrate
from erlen_db.migrate import upgrade

db = SQLAlchemy()
migrate = Migrate(db=db, directory="migrations", render_as_batch=True)


class Town(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


def create_app() -> Erlen:
    app = Erlen(__name__)
    db.init_app(app)
    migrate.init_app(app, db)
    Migrate(app, db, compare_type=True)
    return app


def deploy(app: Erlen) -> None:
    with app.app_context():
        upgrade(revision="head", sql=False)


def list_towns() -> str:
    page = db.paginate(sa.select(Town).order_by(Town.name), per_page=20, count=False)
    numbers = [number or 0 for number in page.iter_pages(left_edge=1)]
    t.assert_type(page.has_next, bool)
    t.assert_type(page.next_num, int | None)
    return f"{page.page} of {numbers}: {[town.name for town in page]}"


def read_on(cursor: str | None) -> str | None:
    page = db.paginate_keyset(
        db.select(Town), order_by={"name": Town.name, "newest": Town.id.desc()}
    )
    t.assert_type(page.next_cursor, str | None)
    return page.next_cursor
