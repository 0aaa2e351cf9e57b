"""Signals that name the models that a commit makes permanent.

For search indexes, caches and audits. SQLALCHEMY_TRACK_MODIFICATIONS switches it
on; what is executed as a statement, such as `db.update(...)`, is not seen.
"""

from __future__ import annotations

import typing as t

from blinker import Namespace
from sqlalchemy import event
from sqlalchemy import orm

from erlen.extension import current_context

__all__ = ["before_models_committed", "models_committed"]

_signals = Namespace()

models_committed = _signals.signal("models-committed")
"""Sent after a commit that changed models.

The sender is the application. A receiver gets `changes`, a list of pairs of a
model and one of `"insert"`, `"update"`, `"delete"`. What the models have loaded
can be read; the session can send nothing at that moment.
"""

before_models_committed = _signals.signal("before-models-committed")
"""As `models_committed`, before the commit: a receiver that raises prevents it.

What a receiver changes is committed as well.
"""

# A model and its operation, by the model's identity; they are in their first order.
Changes = dict[int, tuple[t.Any, str]]

_KEY = "erlen_db.modifications"

# What two operations on a model come to. Any other pair comes to the second.
_BOTH = {
    ("insert", "update"): "insert",
    ("insert", "delete"): None,
    ("delete", "insert"): "update",
}


def _add(changes: Changes, model: t.Any, operation: str) -> None:
    _, before = changes.get(id(model), (None, ""))
    both = _BOTH.get((before, operation), operation)
    if both is None:
        del changes[id(model)]
    else:
        changes[id(model)] = (model, both)


def _all_changes(session: orm.Session) -> dict[t.Any, Changes]:
    """Return the changes by transaction: the session's one and its savepoints."""
    found: dict[t.Any, Changes] = session.info.setdefault(_KEY, {})
    return found


def _app() -> t.Any:
    ctx: t.Any = current_context()
    return ctx and ctx.app


def _is_on() -> bool:
    app = _app()
    return bool(app and app.config.get("SQLALCHEMY_TRACK_MODIFICATIONS"))


def _send(signal: t.Any, changes: Changes | None) -> None:
    app = _app()
    if changes and app is not None:
        signal.send(app, changes=list(changes.values()), _async_wrapper=app.ensure_sync)


def _note_flush(session: orm.Session, context: t.Any) -> None:
    """Note what a flush has written; the session still says what is new."""
    if not _is_on():
        return
    transaction = session.get_nested_transaction() or session.get_transaction()
    changes = _all_changes(session).setdefault(transaction, {})
    for model in session.new:
        _add(changes, model, "insert")
    # Not only `session.deleted`: orphans are found in the flush.
    deleted = [state.obj() for state, how in context.states.items() if how[0]]
    for model in deleted:
        _add(changes, model, "delete")
    gone = set(map(id, deleted))
    for model in session.dirty:
        if id(model) not in gone and session.is_modified(model):
            _add(changes, model, "update")


def _before_commit(session: orm.Session) -> None:
    if not before_models_committed.receivers or session.in_nested_transaction():
        return
    if _is_on():
        session.flush()  # so that the changes are all there, with their keys
        changes = _all_changes(session).get(session.get_transaction())
        _send(before_models_committed, changes)


def _after_commit(session: orm.Session) -> None:
    """Hand the changes of a savepoint on, or send those of the whole."""
    everything = _all_changes(session)
    nested = session.get_nested_transaction()
    if nested is None:
        changes = everything.pop(session.get_transaction(), None)
        _send(models_committed, changes)
        return
    outer = everything.setdefault(nested.parent, {})
    for model, operation in everything.pop(nested, {}).values():
        _add(outer, model, operation)


def _end(session: orm.Session, transaction: t.Any) -> None:
    """Forget what was not committed: rolled back, or closed."""
    _all_changes(session).pop(transaction, None)


# Marks the classes of sessions that are listened to.
_LISTENS = "_tracks_modifications"


def listen(session: t.Any) -> None:
    """Track the changes of sessions, where the application's setting is on.

    Args:
        session: A class of sessions, a `sessionmaker` or a `scoped_session`.
    """
    factory = getattr(session, "session_factory", session)
    cls = getattr(factory, "class_", factory)
    # Not by SQLAlchemy's own list, which takes a class for another one that is no more.
    if _LISTENS in vars(cls):
        return
    setattr(cls, _LISTENS, True)
    for name, listener in (
        ("after_flush", _note_flush),
        ("before_commit", _before_commit),
        ("after_commit", _after_commit),
        ("after_transaction_end", _end),
    ):
        event.listen(cls, name, listener)
