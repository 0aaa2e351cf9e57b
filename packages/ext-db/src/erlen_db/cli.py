"""What `erlen shell` has from the start: `db` and all models."""

from __future__ import annotations

import typing as t

from erlen import current_app

__all__ = ["add_models_to_shell"]


def add_models_to_shell() -> dict[str, t.Any]:
    """Return `db` and the models by name, for `app.shell_context_processor`."""
    db = current_app.extensions["sqlalchemy"]
    mappers = db.Model.registry.mappers
    return {**{it.class_.__name__: it.class_ for it in mappers}, "db": db}
