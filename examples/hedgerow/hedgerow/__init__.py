"""Hedgerow: the field notebook of a village nature club, written with Erlen."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from erlen import Erlen

from . import api
from . import csrf
from . import db
from . import demo
from . import errors
from . import live
from . import pages
from . import talk


def create_app(
    config: Mapping[str, object] | None = None, instance_path: str | None = None
) -> Erlen:
    """Build the application; the first start also makes and fills its notebook.

    Args:
        config: Settings that win over all others (tests pass theirs here).
        instance_path: Absolute path of the folder for database, attachments and key;
            `instance/` beside the package when left out.
    """
    app = Erlen(__name__, instance_path=instance_path)
    instance = Path(app.instance_path)
    app.config.from_mapping(
        SQLALCHEMY_DATABASE_URI="sqlite:///notebook.db",  # in `instance_path`
        ATTACHMENTS=instance / "attachments",
        DEMO_DATA=True,
        BROADCAST="memory://",
        MAX_CONTENT_LENGTH=6 * 1024**2,
    )
    app.config.from_prefixed_env()
    app.config.from_mapping(config or {})

    app.config["ATTACHMENTS"].mkdir(parents=True, exist_ok=True)
    app.secret_key = app.secret_key or _kept_key(instance / "secret.key")

    live.init_app(app)
    db.init_app(app)
    demo.init_app(app)
    csrf.init_app(app)
    errors.init_app(app)
    app.register_blueprint(pages.bp)
    app.register_blueprint(talk.bp)
    app.register_blueprint(api.bp)
    return app


def _kept_key(path: Path) -> str:
    """Return the key kept in `path`, made at the first start."""
    if not path.exists():
        mine = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        mine.touch(mode=0o600)
        mine.write_text(secrets.token_hex())
        with suppress(FileExistsError):  # of another worker, who was quicker
            path.hardlink_to(mine)
        mine.unlink()
    return path.read_text()
