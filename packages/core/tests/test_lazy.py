from __future__ import annotations

import pytest

from erlen._lazy import lazy


class Shelf:
    """Count how often its books are derived."""

    derived = 0
    broken = False

    @lazy
    def books(self):
        """What stands on it."""
        if self.broken:
            raise LookupError("no books")
        self.derived += 1
        return [f"book {self.derived}"]


@pytest.fixture
def shelf():
    return Shelf()


def test_it_is_derived_at_the_first_use_and_then_a_plain_attribute(shelf):
    assert "books" not in vars(shelf)
    first = shelf.books

    assert shelf.books is first
    assert vars(shelf)["books"] is first
    assert shelf.derived == 1


def test_what_is_assigned_first_is_never_derived(shelf):
    shelf.books = []

    assert shelf.books == []
    assert shelf.derived == 0


def test_what_is_deleted_is_derived_again(shelf):
    assert shelf.books == ["book 1"]
    del shelf.books

    assert shelf.books == ["book 2"]


def test_an_error_is_not_remembered(shelf):
    shelf.broken = True
    with pytest.raises(LookupError, match="no books"):
        shelf.books  # noqa: B018
    shelf.broken = False

    assert shelf.books == ["book 1"]


def test_each_instance_has_its_own(shelf):
    assert shelf.books is not Shelf().books


def test_the_class_shows_what_it_is():
    assert isinstance(Shelf.books, lazy)
    assert Shelf.books.__doc__ == "What stands on it."


def test_a_subclass_may_replace_it_by_anything():
    class Empty(Shelf):
        books = ()

    class Doubled(Shelf):
        @lazy
        def books(self):
            return Shelf.books.__get__(self, Shelf) * 2

    assert Empty().books == ()
    assert Doubled().books == ["book 1", "book 1"]
