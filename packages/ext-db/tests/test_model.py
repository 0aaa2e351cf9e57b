from __future__ import annotations

from typing import Annotated

import pytest
import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column

from erlen_db import SQLAlchemy
from erlen_db import model
from erlen_db.query import Query

Key = Annotated[int, mapped_column(primary_key=True)]


def plain():
    return SQLAlchemy()


def own_base():
    class Base(orm.DeclarativeBase):
        pass

    return SQLAlchemy(model_class=Base)


def base_without_metaclass():
    class Base(orm.DeclarativeBaseNoMeta):
        pass

    return SQLAlchemy(model_class=Base)


def ready_base():
    class Base(model.NameMixin, model.BindMixin, model.Model, orm.DeclarativeBase):
        pass

    return SQLAlchemy(model_class=Base)


def own_class():
    class Own(model.Model):
        def shout(self):
            return f"{self!r}!"

    return SQLAlchemy(model_class=Own)


STYLES = [plain, own_base, base_without_metaclass, ready_base, own_class]


@pytest.fixture(params=STYLES, ids=lambda it: it.__name__)
def db(request):
    """Return an extension for each style of models."""
    return request.param()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("User", "user"),
        ("CamelCase", "camel_case"),
        ("HTTPServer", "http_server"),
        ("UserV2", "user_v2"),
        ("User2Group", "user2_group"),
        ("OldHTTP", "old_http"),
        ("already_snake", "already_snake"),
    ],
)
def test_a_class_name_becomes_a_table_name(name, expected):
    assert model.camel_to_snake_case(name) == expected


def test_a_model_is_named_by_itself(db):
    class BlogPost(db.Model):
        id: Mapped[Key]

    class Tag(db.Model):
        __tablename__ = "labels"
        id: Mapped[Key]

    assert BlogPost.__tablename__ == "blog_post"
    assert Tag.__table__.name == "labels"
    assert db.metadata.tables.keys() == {"blog_post", "labels"}


def test_an_abstract_model_has_no_table_and_its_children_have(db):
    class Base(db.Model):
        __abstract__ = True
        id: Mapped[Key]

    class Leaf(Base):
        pass

    assert "__tablename__" not in vars(Base)
    assert Leaf.__table__.name == "leaf"


@pytest.mark.parametrize("how", ["text", "declared"])
def test_a_name_of_a_mixin_is_kept(db, how):
    class Text:
        __tablename__ = "from_mixin"

    class Declared:
        @orm.declared_attr.directive
        def __tablename__(cls):  # noqa: N805  # as SQLAlchemy has it
            return f"from_{cls.__name__.lower()}"

    mixin = Text if how == "text" else Declared

    class Leaf(mixin, db.Model):
        id: Mapped[Key]

    assert Leaf.__table__.name == ("from_mixin" if how == "text" else "from_leaf")


def test_a_name_that_a_function_makes_is_made_for_children_too(db):
    class Parent(db.Model):
        id: Mapped[Key]

        @orm.declared_attr.directive
        def __tablename__(cls):  # noqa: N805  # as SQLAlchemy has it
            return f"my_{cls.__name__.lower()}"

    class Child(Parent):
        id: Mapped[int] = mapped_column(sa.ForeignKey(Parent.id), primary_key=True)

    assert Child.__table__.name == "my_child"


def test_a_key_may_come_from_a_mixin(db):
    class Keyed:
        id: Mapped[Key]

    class Leaf(Keyed, db.Model):
        pass

    assert Leaf.__table__.name == "leaf"


def test_a_key_may_be_a_constraint(db):
    class Leaf(db.Model):
        __table_args__ = (sa.PrimaryKeyConstraint("a", "b"),)
        a: Mapped[int]
        b: Mapped[int]

    assert Leaf.__table__.name == "leaf"


def test_a_table_may_be_given(db):
    class Leaf(db.Model):
        __table__ = sa.Table("given", db.metadata, sa.Column("id", primary_key=True))

    assert "__tablename__" not in vars(Leaf)
    assert Leaf.__table__.name == "given"


def test_single_inheritance_shares_the_table(db):
    class Animal(db.Model):
        id: Mapped[Key]
        kind: Mapped[str]
        __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}

    class Cat(Animal):
        __mapper_args__ = {"polymorphic_identity": "cat"}

    class Tiger(Cat):
        stripes: Mapped[int | None]
        __mapper_args__ = {"polymorphic_identity": "tiger"}

    assert Cat.__table__ is Tiger.__table__ is Animal.__table__
    assert "stripes" in Animal.__table__.c
    assert db.metadata.tables.keys() == {"animal"}


def test_joined_inheritance_has_a_table_of_its_own(db):
    class Animal(db.Model):
        id: Mapped[Key]
        kind: Mapped[str]
        __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}

    class Bird(Animal):
        id: Mapped[int] = mapped_column(sa.ForeignKey(Animal.id), primary_key=True)
        __mapper_args__ = {"polymorphic_identity": "bird"}

    class Owl(Bird):
        __mapper_args__ = {"polymorphic_identity": "owl"}

    assert Bird.__table__.name == "bird"
    assert Owl.__table__ is Bird.__table__


def test_a_class_without_a_key_is_told_so_by_sqlalchemy(db):
    with pytest.raises(sa.exc.ArgumentError, match="primary key"):

        class Leaf(db.Model):
            name: Mapped[str]


def test_a_bind_key_chooses_the_metadata(db):
    class Here(db.Model):
        id: Mapped[Key]

    class There(db.Model):
        __bind_key__ = "other"
        id: Mapped[Key]

    class ThereToo(There):
        __bind_key__ = "other"
        id: Mapped[int] = mapped_column(sa.ForeignKey(There.id), primary_key=True)

    class Abstract(db.Model):
        __abstract__ = True
        __bind_key__ = "third"

    class Third(Abstract):
        id: Mapped[Key]

    names = {key: set(it.tables) for key, it in db.metadatas.items()}
    assert names == {
        None: {"here"},
        "other": {"there", "there_too"},
        "third": {"third"},
    }
    assert db.metadatas["other"].info == {"bind_key": "other"}


def test_a_table_can_be_declared_again_if_it_is_asked_for(db):
    db.Table("leaf", db.metadata, sa.Column("id", sa.Integer, primary_key=True))

    class Leaf(db.Model):
        __table_args__ = {"extend_existing": True}
        id: Mapped[Key]
        name: Mapped[str]

    assert set(Leaf.__table__.c.keys()) == {"id", "name"}
    with pytest.raises(sa.exc.InvalidRequestError, match="already defined"):

        class Other(db.Model):
            __tablename__ = "leaf"
            id: Mapped[Key]


def test_the_inner_class_of_a_table_that_is_shared_may_be_named(db):
    class Animal(db.Model):
        id: Mapped[Key]
        kind: Mapped[str]
        __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}

    class Cat(Animal):
        __tablename__ = None
        __mapper_args__ = {"polymorphic_identity": "cat"}

    assert Cat.__table__ is Animal.__table__


def test_a_metadata_of_its_own_wins(db):
    own = sa.MetaData(info={"bind_key": "own"})

    class Leaf(db.Model):
        id: Mapped[Key]
        metadata = own

    assert own.tables.keys() == {"leaf"}


def test_names_can_be_left_to_the_user():
    db = SQLAlchemy(disable_autonaming=True)
    with pytest.raises(sa.exc.InvalidRequestError, match="tablename"):

        class Leaf(db.Model):
            id: Mapped[Key]

    class Base(orm.DeclarativeBase):
        pass

    db = SQLAlchemy(model_class=Base, disable_autonaming=True)

    class Other(db.Model):
        __tablename__ = "other"
        __bind_key__ = "there"
        id: Mapped[Key]

    assert db.metadatas["there"].tables.keys() == {"other"}
    assert not issubclass(db.Model, model.NameMixin)


def test_what_declarative_base_made_is_used_as_it_is():
    base = orm.declarative_base(cls=model.Model, metaclass=model.DefaultMeta)
    db = SQLAlchemy(model_class=base)

    class Leaf(db.Model):
        id: Mapped[Key]

    assert db.Model is base
    assert db.metadata is base.metadata
    assert db.metadata.tables.keys() == {"leaf"}
    foreign = orm.declarative_base()
    assert SQLAlchemy(model_class=foreign).Model is foreign


def test_the_metadata_that_is_given_wins():
    metadata = sa.MetaData()

    class Base(orm.DeclarativeBase):
        pass

    db = SQLAlchemy(model_class=Base, metadata=metadata)
    assert db.metadata is db.Model.metadata is metadata

    class Ready(model.Model, orm.DeclarativeBase):
        pass

    db = SQLAlchemy(model_class=Ready, metadata=metadata)
    assert Ready.metadata is metadata


def test_a_model_is_no_base():
    class Base(orm.DeclarativeBase):
        pass

    class Leaf(Base):
        __tablename__ = "leaf"
        id: Mapped[Key]

    with pytest.raises(TypeError, match="model_class=Leaf"):
        SQLAlchemy(model_class=Leaf)


def test_dataclasses_are_models():
    class Base(orm.MappedAsDataclass, orm.DeclarativeBase):
        pass

    db = SQLAlchemy(model_class=Base)

    class Leaf(db.Model):
        id: Mapped[Key] = mapped_column(init=False)
        name: Mapped[str] = mapped_column(default="a")

    class Bound(db.Model):
        __bind_key__ = "other"
        id: Mapped[Key]

    assert repr(Leaf(name="b")) == (
        "test_dataclasses_are_models.<locals>.Leaf(id=None, name='b')"
    )
    assert Leaf() == Leaf(name="a")
    assert db.metadatas["other"].tables.keys() == {"bound"}


def test_a_repr_names_the_row(app, db):
    class Leaf(db.Model):
        a: Mapped[Key]
        b: Mapped[Key]

    db.init_app(app)
    leaf = Leaf(a=1, b=2)
    assert repr(leaf) == f"<Leaf (transient {id(leaf)})>"
    with app.app_context():
        db.create_all()
        db.session.add(leaf)
        assert repr(leaf) == f"<Leaf (pending {id(leaf)})>"
        db.session.flush()
        assert repr(leaf) == "<Leaf 1, 2>"


def test_a_query_is_of_the_class_that_was_chosen(app):
    class Own(Query):
        pass

    class Mine(Query):
        pass

    db = SQLAlchemy(app, query_class=Own)

    class Leaf(db.Model):
        id: Mapped[Key]

    class Special(db.Model):
        query_class = Mine
        id: Mapped[Key]

    with app.app_context():
        assert type(Leaf.query) is Own
        assert type(Special.query) is Mine

    class Base(model.Model, orm.DeclarativeBase):
        query_class = Mine

    assert SQLAlchemy(model_class=Base, query_class=Own).Model.query_class is Mine
