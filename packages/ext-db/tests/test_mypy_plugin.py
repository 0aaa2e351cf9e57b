"""What mypy makes of `db`, with stubs that are small: SQLAlchemy's take ten seconds."""

from __future__ import annotations

import itertools
import re

import pytest
from mypy import api

from erlen_db import mypy_plugin

STUBS = {
    "sqlalchemy/__init__.pyi": "",
    "sqlalchemy/orm/__init__.pyi": """
from .decl_api import DeclarativeBase as DeclarativeBase
""",
    "sqlalchemy/orm/decl_api.pyi": """
from typing import Any
class Inspectable: ...
class DeclarativeBase(Inspectable):
    def __init__(self, **kwargs: Any) -> None: ...
""",
    "erlen_db/__init__.pyi": """
from .extension import SQLAlchemy as SQLAlchemy
from .model import Model as Model
""",
    "erlen_db/model.pyi": """
class Model:
    query: int
""",
    "erlen_db/extension.pyi": """
from typing import Any
from typing import TypeVar
from sqlalchemy.orm import DeclarativeBase
from .model import Model as _Model
T = TypeVar("T")
class SQLAlchemy:
    class Model(_Model, DeclarativeBase): ...
    session: str
    def __init__(self, app: object = ..., *, model_class: object = ...) -> None: ...
    def init_app(self, app: object) -> None: ...
    def get_or_404(self, entity: type[T], ident: object) -> T: ...
""",
}
START = """
from erlen_db import Model
from erlen_db import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase
"""
DEFINES = f"""{START}
db = SQLAlchemy()
class User(db.Model):
    name: str
"""

_names = itertools.count()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with the stubs and the settings of mypy, and its cache."""
    folder = tmp_path_factory.mktemp("mypy")
    for name, text in STUBS.items():
        path = folder / "stubs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "mypy.ini").write_text(
        f"[mypy]\nplugins = {mypy_plugin.__name__}\nstrict = true\n"
        f"mypy_path = {folder / 'stubs'}:{folder}\n"
    )
    return folder


@pytest.fixture
def check(folder, monkeypatch):
    """Return what checks files in the folder, and returns what mypy reveals and says."""

    def check(*names):
        command = ["--config-file", "mypy.ini", "--no-error-summary"]
        said, trouble, _ = api.run([*command, *(f"{name}.py" for name in names)])
        assert trouble == ""
        said = re.sub(r"^\w+\.py:\d+: (note|error): ", "", said, flags=re.MULTILINE)
        said = re.sub(r'Revealed type is "|"$|builtins\.', "", said, flags=re.MULTILINE)
        return said.splitlines()

    monkeypatch.chdir(folder)
    return check


@pytest.fixture
def write(folder):
    """Return what writes a module with a new name, and returns that name."""

    def write(text, name=None):
        name = name or f"module{next(_names)}"
        (folder / f"{name}.py").write_text(text)
        return name

    return write


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("User(name='a')", "{m}.User"),
        ("User.query", "int"),
        ("db.session", "str"),
        ("db.init_app(1)", "None"),
        ("db.get_or_404(User, 1)", "{m}.User"),
        ("db.Model", "def (**kwargs: Any) -> erlen_db.extension.SQLAlchemy.Model"),
        ("[db][0].session", "str"),
    ],
)
def test_the_extension_has_what_it_has_and_its_model(check, write, text, said):
    name = write(f"{DEFINES}reveal_type({text})\n")

    assert check(name) == [said.format(m=name)]


def test_it_is_an_extension_to_who_takes_one(check, write):
    text = f"{DEFINES}def take(db: SQLAlchemy) -> None: ...\ntake(db)\ntake(1)\n"

    (error,) = check(write(text))

    assert 'incompatible type "int"; expected "SQLAlchemy' in error


def test_other_modules_import_it_and_the_cache_keeps_it(check, write, folder):
    defines = write(DEFINES)
    uses = write(
        f"import {defines}\nfrom {defines} import User, db\n"
        "class Post(db.Model): ...\n"
        f"class Tag({defines}.db.Model): ...\n"
        "reveal_type(Post(a=1))\nreveal_type(db.get_or_404(User, 1))\n"
    )
    said = [f"{uses}.Post", f"{defines}.User"]

    assert check(uses) == said
    with (folder / f"{uses}.py").open("a") as file:
        file.write("reveal_type(Tag.query)\n")
    assert check(uses) == [*said, "int"]


BASES = {
    "class Base(DeclarativeBase):\n    own: bytes\n": [
        "bytes",
        "int",
    ],
    "class Base(Model, DeclarativeBase):\n    own: bytes\n": [
        "bytes",
        "int",
    ],
    "class Base(Model):\n    own: bytes\n": ["bytes", "int"],
    "class Base:\n    own: bytes\n": ["bytes", "int"],
}


@pytest.mark.parametrize(("base", "said"), BASES.items())
def test_a_class_for_models_is_in_it(check, write, base, said):
    text = (
        f"{START}{base}db = SQLAlchemy(model_class=Base)\nclass User(db.Model): ...\n"
    )
    text += "reveal_type(User(a=1).own)\nreveal_type(User.query)\n"

    assert check(write(text)) == said


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("Model", "erlen_db.extension.SQLAlchemy.Model"),
        ("make()", "erlen_db.extension.SQLAlchemy.Model"),
        ("variable", "erlen_db.extension.SQLAlchemy.Model"),
        ("Odd", "{m}.Odd"),  # has no order of bases: SQLAlchemy will say so
    ],
)
def test_other_values_are_no_class_to_know(check, write, given, said):
    text = f"{START}from sqlalchemy.orm.decl_api import Inspectable\n"
    text += "class Odd(Inspectable, Model): ...\n"
    text += "def make() -> type[Model]: ...  # type: ignore[empty-body]\n"
    text += "variable = make()\n"
    text += f"db = SQLAlchemy(model_class={given})\n"
    name = write(f"{text}def f(model: db.Model) -> None:\n    reveal_type(model)\n")

    assert check(name) == [said.format(m=name)]


def test_a_subclass_is_an_extension(check, write):
    text = f"{START}class Own(SQLAlchemy):\n    def vacuum(self) -> bytes: ...\n"
    text += "db: Own = Own()\nclass User(db.Model): ...\n"
    text = text.replace("...\ndb", "return b''\ndb")

    assert check(write(f"{text}reveal_type(db.vacuum())\n")) == ["bytes"]


def test_one_in_a_function_is_found_in_the_cache(check, write, folder):
    text = f"{START}class Test:\n    def __init__(self) -> None:\n"
    text += "        class Base(DeclarativeBase):\n            own: bytes\n"
    text += "        db = SQLAlchemy(model_class=Base)\n"
    text += "        class User(db.Model): ...\n        self.user = User(a=1)\n"
    defines = write(text)
    uses = write(f"from {defines} import Test\nreveal_type(Test().user.own)\n")

    assert check(uses) == ["bytes"]
    with (folder / f"{uses}.py").open("a") as file:
        file.write("reveal_type(Test().user.query)\n")
    assert check(uses) == ["bytes", "int"]


@pytest.mark.parametrize(
    "text",
    [
        "class Holder:\n    db = SQLAlchemy()\nreveal_type(Holder().db)\n",
        "db: SQLAlchemy | None = None\ndb = SQLAlchemy()\nreveal_type(db)\n",
        """
db: SQLAlchemy | None = None
def f() -> None:
    global db
    db = SQLAlchemy()
    reveal_type(db)
""",
        """
class Own(SQLAlchemy):
    Model = 1  # type: ignore
db = Own()
reveal_type(db)
""",
    ],
)
def test_what_is_no_name_of_its_own_stays_as_it_is(check, write, text):
    (said,) = check(write(START + text))

    assert re.fullmatch(r"erlen_db\.extension\.SQLAlchemy|module\d+\.Own", said)


def test_rounds_of_mypy_make_it_once(check, write):
    first, second = f"module{next(_names)}", f"module{next(_names)}"
    write(
        f"import {second}\n{DEFINES}"
        f"def use() -> None:\n    reveal_type({second}.Post().user)\n",
        first,
    )
    write(
        f"from {first} import User, db\n"
        "class Post(db.Model):\n    user: User\n    other: 'Post'\n",
        second,
    )

    assert check(first, second) == [f"{first}.User"]
    assert check(second, first) == [f"{first}.User"]
