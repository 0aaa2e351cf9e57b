"""Files beside a sighting: checked by content, kept under names of our own."""

from __future__ import annotations

import re
import sqlite3
import uuid
from collections.abc import Iterable
from pathlib import Path

from werkzeug.datastructures import FileStorage
from werkzeug.utils import secure_filename

from erlen import current_app

from .checks import CheckError
from .db import get_db

LIMIT = 4 * 1024**2  # bytes
# How a whole file of each type begins and ends. SVG and HTML are left out on purpose:
# they may carry scripts.
FORMATS = {
    "jpg": ("image/jpeg", rb"\xff\xd8\xff.*\xff\xd9"),
    "png": ("image/png", rb"\x89PNG\r\n\x1a\n.*IEND\xaeB`\x82"),
    "webp": ("image/webp", rb"RIFF....WEBPVP8[ LX]"),
    "pdf": ("application/pdf", rb"%PDF-\d.*%%EOF"),
}


def add(sighting_id: int, file: FileStorage | None, caption: str) -> None:
    """Keep an uploaded file and write it down.

    Raises:
        CheckError: There is no file, or it is empty, over `LIMIT`, broken, or of another
            type than `FORMATS` has.
    """
    if file is None or not (data := file.stream.read(LIMIT + 1)):
        raise CheckError({"file": "Choose a file that is not empty."})
    if len(data) > LIMIT:
        raise CheckError({"file": "Must have at most 4 MB."})
    suffix, media_type = _recognise(data)
    name = f"{uuid.uuid4().hex}.{suffix}"
    title = Path(secure_filename(file.filename or "")).stem[:60] or "attachment"
    folder().joinpath(name).write_bytes(data)
    with get_db() as db:
        db.execute(
            """
            INSERT INTO attachments
                (sighting_id, name, title, caption, media_type, size)
            VALUES (?, ?, ?, ?, ?, ?)
            """,
            (sighting_id, name, f"{title}.{suffix}", caption, media_type, len(data)),
        )


def get(name: str) -> sqlite3.Row | None:
    """Return what is known of a kept file, or None."""
    query = "SELECT * FROM attachments WHERE name = ?"
    return get_db().execute(query, (name,)).fetchone()


def of(sighting_id: int) -> list[sqlite3.Row]:
    """Return the attachments of a sighting, the oldest first."""
    query = "SELECT * FROM attachments WHERE sighting_id = ? ORDER BY id"
    return get_db().execute(query, (sighting_id,)).fetchall()


def every() -> list[sqlite3.Row]:
    """Return every attachment."""
    return get_db().execute("SELECT * FROM attachments").fetchall()


def remove(attachments: Iterable[sqlite3.Row]) -> None:
    """Forget these attachments and delete their files."""
    for attachment in attachments:
        with get_db() as db:
            db.execute("DELETE FROM attachments WHERE id = ?", (attachment["id"],))
        folder().joinpath(attachment["name"]).unlink(missing_ok=True)


def folder() -> Path:
    """Return the folder of the kept files."""
    return Path(current_app.config["ATTACHMENTS"])


def _recognise(data: bytes) -> tuple[str, str]:
    for suffix, (media_type, shape) in FORMATS.items():
        if re.match(shape, data, re.DOTALL):
            return suffix, media_type
    raise CheckError({"file": "Must be a whole JPEG, PNG or WebP picture, or a PDF."})
