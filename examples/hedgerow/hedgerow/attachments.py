"""Files beside a sighting: checked by content, kept under names of our own."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from collections.abc import Sequence
from pathlib import Path

from werkzeug.datastructures import FileStorage
from werkzeug.utils import secure_filename

from erlen import current_app

from .checks import CheckError
from .db import db
from .models import Attachment

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
    attachment = Attachment(
        sighting_id=sighting_id,
        name=name,
        title=f"{title}.{suffix}",
        caption=caption,
        media_type=media_type,
        size=len(data),
    )
    with db.transaction() as session:
        session.add(attachment)


def get(name: str) -> Attachment:
    """Return what is known of a kept file, or answer 404."""
    return db.one_or_404(db.select(Attachment).where(Attachment.name == name))


def every() -> Sequence[Attachment]:
    """Return every attachment."""
    return db.session.scalars(db.select(Attachment)).all()


def remove(attachments: Iterable[Attachment]) -> None:
    """Forget these attachments and delete their files."""
    for attachment in attachments:
        with db.transaction() as session:
            session.delete(attachment)
        folder().joinpath(attachment.name).unlink(missing_ok=True)


def folder() -> Path:
    """Return the folder of the kept files."""
    return Path(current_app.config["ATTACHMENTS"])


def _recognise(data: bytes) -> tuple[str, str]:
    for suffix, (media_type, shape) in FORMATS.items():
        if re.match(shape, data, re.DOTALL):
            return suffix, media_type
    raise CheckError({"file": "Must be a whole JPEG, PNG or WebP picture, or a PDF."})
