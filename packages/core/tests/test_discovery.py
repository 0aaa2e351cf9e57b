from __future__ import annotations

import sys
import traceback

import pytest

from erlen import Blueprint
from erlen import Erlen

EMPTY = ""
TEAS = "from erlen import Blueprint\nteas = Blueprint('teas', __name__)\n"
CUPS = "from erlen import Blueprint\ncups = Blueprint('cups', __name__)\n"


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write files of packages, named from where `import` looks; forget them after."""
    before = {*sys.modules}

    def write(**texts):
        for name, text in texts.items():
            path = tmp_path / f"{name.replace('.', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        monkeypatch.syspath_prepend(tmp_path)

    yield write
    tops = {path.stem for path in tmp_path.iterdir()}
    for name in {*sys.modules} - before:
        if name.partition(".")[0] in tops:
            del sys.modules[name]


def imported():
    """Name the modules of `shop` in the order of their import."""
    return [name for name in sys.modules if name.partition(".")[0] == "shop"]


# Which modules


def test_a_package_comes_before_what_is_in_it_and_all_is_sorted(app, write):
    names = "shop.b shop.a.z shop.a.b.c shop.a.b.__init__ shop.a_b shop.a.__init__"
    others = "shop.__main__ shop.a.__main__ shop.folder.x shop.a.fill-db shop.0001_new"
    write(**dict.fromkeys([*names.split(), *others.split(), "shop.__init__"], EMPTY))
    expected = "shop shop.a shop.a.b shop.a.b.c shop.a.z shop.a_b shop.b"

    assert " ".join(app.autodiscover("shop")) == expected
    assert " ".join(imported()) == expected


ALL = [
    *("a", "a.b", "a.conftest", "a.migrations", "a.migrations.one"),
    *("a.test_x", "a.testing", "conftest", "migrations", "migrations.one"),
    *("testing", "tests", "tests.x"),
]


@pytest.mark.parametrize(
    ("exclude", "kept"),
    [
        (None, "a a.b a.testing testing"),
        ((), " ".join(ALL)),
        (["a"], "conftest migrations migrations.one testing tests tests.x"),
        ("migrations", " ".join(it for it in ALL if not it.startswith("migrations"))),
        (["a.*", "tests", "one", "x"], "a conftest migrations migrations.one testing"),
        (["*.*"], "a conftest migrations testing tests"),
        (
            ["*.test*", "mi?rations", "A", "shop.a", "*.conftest", "*.one"],
            "a a.b a.migrations conftest testing tests tests.x",
        ),
        (["*"], ""),
    ],
)
def test_what_is_excluded_is_excluded_with_all_that_is_in_it(app, write, exclude, kept):
    packages = ["shop", *(f"shop.{name}" for name in ALL)]
    for name in (
        "shop",
        "shop.a",
        "shop.a.migrations",
        "shop.migrations",
        "shop.tests",
    ):
        packages[packages.index(name)] += ".__init__"
    write(**dict.fromkeys(packages, EMPTY))

    found = app.autodiscover("shop", exclude=exclude)

    assert found == ["shop", *(f"shop.{name}" for name in kept.split())]
    assert imported() == found


@pytest.mark.parametrize(
    ("own", "package", "expected"),
    [
        ("page", "shop.a", ["shop.a", "shop.a.b"]),
        ("shop", ".", ["shop", "shop.a", "shop.a.b", "shop.app"]),
        ("shop", ".a", ["shop.a", "shop.a.b"]),
        ("shop.app", ".a", ["shop.a", "shop.a.b"]),
        ("shop.a", ".", ["shop.a", "shop.a.b"]),
        ("shop.a", "..a", ["shop.a", "shop.a.b"]),
        ("shop.a.b", "..a", ["shop.a", "shop.a.b"]),
    ],
)
def test_a_dot_means_the_package_of_the_application(write, own, package, expected):
    names = ("shop.__init__", "shop.app", "shop.a.__init__", "shop.a.b", "page")
    write(**dict.fromkeys(names, EMPTY))
    __import__(own)

    assert Erlen(own).autodiscover(package) == expected


def test_a_dot_works_where_a_package_is_run(write, monkeypatch):
    write(**{"shop.__init__": EMPTY, "shop.a": EMPTY})
    monkeypatch.setattr(sys.modules["__main__"], "__package__", "shop", raising=False)

    assert Erlen("__main__").autodiscover(".") == ["shop", "shop.a"]


def test_a_package_may_be_given_itself(app, write):
    write(**{"shop.__init__": EMPTY, "shop.a": EMPTY})
    import shop

    assert app.autodiscover(shop) == ["shop", "shop.a"]


def test_a_package_without_init_is_one_only_where_it_is_named(app, write):
    write(**{"shop.b": TEAS, "shop.folder.x": EMPTY})

    assert app.autodiscover("shop") == ["shop", "shop.b"]
    assert app.autodiscover("shop.folder") == ["shop.folder", "shop.folder.x"]


# Mistakes


@pytest.mark.parametrize(
    ("own", "package", "error", "words"),
    [
        ("shop", "nowhere", ImportError, ["'nowhere'", "app.autodiscover imported"]),
        ("shop", ".nowhere", ImportError, ["'shop.nowhere'"]),
        ("shop", ".a.b", ImportError, ["'shop.a' is not a package"]),
        ("shop", "", ValueError, ["Empty module name"]),
        (
            "shop",
            "..x",
            ImportError,
            ["beyond top-level", "'..x' in the package of 'shop'"],
        ),
        (
            "alone",
            ".x",
            ImportError,
            ["no package specified", "'.x' in the package of 'alone'"],
        ),
        (
            "never imported",
            ".x",
            ImportError,
            ["'.x' in the package of 'never imported'"],
        ),
        ("shop", "shop.a", ValueError, ["'shop.a' is a module", "name its package"]),
    ],
)
def test_what_is_no_package_is_refused(write, own, package, error, words):
    write(**{"shop.__init__": EMPTY, "shop.a": TEAS, "alone": EMPTY})
    if own != "never imported":
        __import__(own)
    app = Erlen(own)

    with pytest.raises(error) as caught:
        app.autodiscover(package)

    text = "".join(traceback.format_exception_only(caught.value))
    assert [word for word in words if word not in text] == []
    assert not app.blueprints


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("import nowhere", ImportError),
        ("1 / 0", ZeroDivisionError),
        ("a b", SyntaxError),
    ],
)
def test_an_error_in_a_module_is_its_own_with_a_note(app, write, text, error):
    write(**{"shop.__init__": EMPTY, "shop.a": TEAS, "shop.b": text})

    with pytest.raises(error) as caught:
        app.autodiscover("shop")

    assert caught.value.__notes__ == [
        "Raised while app.autodiscover imported 'shop.b'."
    ]
    assert "shop/b.py" in "".join(traceback.format_exception(caught.value)).replace(
        "\\", "/"
    )
    assert not app.blueprints


def test_it_is_refused_once_requests_are_served(app, client, write):
    write(**{"shop.__init__": EMPTY})
    client.get("/")

    with pytest.raises(AssertionError, match="'autodiscover' can no longer be called"):
        app.autodiscover("shop")
    assert imported() == []


# Blueprints


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ({"a": CUPS, "b": TEAS}, ["cups", "teas"]),
        ({"__init__": TEAS, "a": CUPS}, ["teas", "cups"]),
        ({"a": f"from shop.b import teas\n{CUPS}", "b": TEAS}, ["teas", "cups"]),
        ({"a": "from shop.b import *", "b": f"{TEAS}again = teas\n"}, ["teas"]),
        ({"a": f"all = []\ndef f():\n {TEAS.splitlines()[0]}"}, []),
        ({"a": "from erlen import Blueprint"}, []),
        (
            {
                "a": TEAS,
                "b": f"from shop.a import teas\n{CUPS}cups.register_blueprint(teas)",
            },
            ["cups", "cups.teas"],
        ),
        (
            {
                "a": "from erlen import Blueprint as B\nclass Own(B): pass\na = Own('a', '')"
            },
            ["a"],
        ),
    ],
)
def test_each_blueprint_of_a_module_is_registered_once(app, write, texts, expected):
    write(**{"shop.__init__": EMPTY, **{f"shop.{k}": v for k, v in texts.items()}})

    app.autodiscover("shop")

    assert list(app.blueprints) == expected


def test_a_later_module_may_still_add_to_a_blueprint(app, client, write):
    views = "from shop.a import teas\nteas.add_url_rule('/', 'index', lambda: 'tea')"
    write(**{"shop.__init__": EMPTY, "shop.a": TEAS, "shop.b": views})

    app.autodiscover("shop")

    assert client.get("/").text == "tea"


def test_what_is_registered_already_stays_as_it_is(app, write):
    nested = "from shop.b import cups\nteas.register_blueprint(cups)"
    write(**{"shop.__init__": EMPTY, "shop.a": f"{TEAS}{nested}", "shop.b": CUPS})
    from shop.a import teas

    app.register_blueprint(teas, name="mine")
    app.autodiscover("shop")

    assert list(app.blueprints) == ["mine", "mine.cups"]


def test_several_applications_may_discover_the_same(write):
    write(**{"shop.__init__": EMPTY, "shop.a": TEAS})
    apps = [Erlen("one"), Erlen("two")]

    for app in apps * 2:
        app.autodiscover("shop")

    assert [list(app.blueprints) for app in apps] == [["teas"], ["teas"]]


def test_proxies_are_not_asked_for_what_they_stand_for(app, write):
    text = """
class Proxy:
    @property
    def __class__(self):
        raise LookupError("asked")
proxy = Proxy()
"""
    write(**{"shop.__init__": EMPTY, "shop.a": text})

    assert app.autodiscover("shop") == ["shop", "shop.a"]


@pytest.mark.parametrize("by_hand", [False, True])
def test_two_of_one_name_are_named_with_their_modules(app, write, by_hand):
    texts = {"shop.b": TEAS} if by_hand else {"shop.a": TEAS, "shop.b": TEAS}
    again = "from shop.b import teas"
    write(**{"shop.__init__": EMPTY, **texts, "shop.c": again})
    if by_hand:
        app.register_blueprint(Blueprint("teas", "elsewhere"))
    other = "elsewhere" if by_hand else "shop.a"

    with pytest.raises(ValueError, match="'teas' is already registered") as caught:
        app.autodiscover("shop")

    (note,) = caught.value.__notes__
    assert "app.autodiscover registered <Blueprint 'teas'> of 'shop.b'" in note
    assert note.endswith(f"; the other one is of {other!r}.")


# init_app


def test_init_app_is_called_of_the_modules_that_have_one(app, write):
    own = "def init_app(app): app.extensions[__name__] = list(app.blueprints)"
    write(
        **{
            "shop.__init__": f"import builtins\n{own}",
            "shop.a": "from other import init_app",
            "shop.b": "from other import db\ninit_app = db.init_app",
            "shop.c": f"{own}\nsetup = init_app",
            "shop.d": f"from shop.c import init_app\n{TEAS}",
            "shop.e": "init_app = None",
            "other": f"{own}\nclass DB:\n    def init_app(self, app): 1 / 0\ndb = DB()",
        }
    )

    app.autodiscover("shop")

    assert list(app.extensions.items()) == [("shop", ["teas"]), ("shop.c", ["teas"])]


def test_an_error_of_init_app_is_its_own_with_a_note(app, write):
    write(**{"shop.__init__": EMPTY, "shop.a": "def init_app(app): 1 / 0"})

    with pytest.raises(ZeroDivisionError) as caught:
        app.autodiscover("shop")

    assert caught.value.__notes__ == [
        "Raised while app.autodiscover called init_app of 'shop.a'."
    ]
