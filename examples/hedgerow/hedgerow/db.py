"""The notebook's database: SQLite, or the one that `SQLALCHEMY_DATABASE_URI` names."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import ClassVar

from sqlalchemy import MetaData
from sqlalchemy import String
from sqlalchemy import Text
from sqlalchemy.orm import DeclarativeBase

from erlen import Erlen
from erlen_db import NAMING_CONVENTION
from erlen_db import SQLAlchemy
from erlen_db.migrate import Migrate
from erlen_db.migrate import upgrade


class Base(DeclarativeBase):
    """What all models share."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    # The limits of texts are in `checks`; servers want one of their own for an index.
    type_annotation_map: ClassVar = {str: String(200).with_variant(Text(), "sqlite")}


# What was written can still be shown after the commit, without reading it again.
db = SQLAlchemy(model_class=Base, session_options={"expire_on_commit": False})
migrate = Migrate(db=db, directory=Path(__file__).with_name("migrations"))


def init_app(app: Erlen) -> None:
    """Open the database, and bring it up to date."""
    db.init_app(app)
    migrate.init_app(app)
    with app.app_context():
        upgrade()  # workers that start together wait for the first


def fold(text: str) -> str:
    """Return `text` for searching: without case and accents."""
    letters = unicodedata.normalize("NFKD", text.casefold())
    return "".join(char for char in letters if not unicodedata.combining(char))
