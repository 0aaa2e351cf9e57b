"""The same notebook as JSON; a blueprint that answers its own errors.

Requests that change something must be sent as `application/json`. A form on a foreign
page cannot do that, so the API needs no token.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from werkzeug.exceptions import BadRequest
from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import UnprocessableEntity
from werkzeug.wrappers import Response as WerkzeugResponse

from erlen import Blueprint
from erlen import abort
from erlen import json
from erlen import request
from erlen import url_for
from erlen.broadcast import SubscriberTooSlow
from erlen.broadcast import SubscriptionClosed
from erlen.sse import Event
from erlen.sse import EventStream
from erlen.sse import last_event_id
from erlen.typing import ResponseReturnValue

from . import attachments
from . import live
from . import notebook
from .checks import FEED
from .checks import SEARCH
from .checks import SIGHTING
from .checks import CheckError
from .checks import check

# An unknown address under /api is answered here too, not by the pages.
bp = Blueprint("api", __name__, url_prefix="/api", owns_prefix=True)

SIGHTING_URL = "/sightings/<int(max=999999999):sighting_id>"


@bp.get("/sightings")
def index() -> ResponseReturnValue:
    """List sightings, the newest first."""
    wanted = check(request.args, SEARCH)
    page = notebook.search(wanted)

    def link(number: int) -> str | None:
        if not 1 <= number <= page.count:
            return None
        filters = {name: value for name, value in wanted.items() if value}
        return url_for(".index", **{**filters, "page": number})

    return {
        "items": [_public(row) for row in page.items],
        "total": page.total,
        "page": page.number,
        "pages": page.count,
        "previous": link(page.number - 1),
        "next": link(page.number + 1),
    }


@bp.get("/feed")
def feed() -> ResponseReturnValue:
    """Send each sighting when it is written down, from the newest or `after` one."""
    seen = last_event_id() or request.args.get("after")
    after = check({"after": seen}, FEED)["after"]
    if after is None:
        after = sum(row["id"] for row in notebook.latest(1))  # 0 for an empty one
    return EventStream(_news(after), convert=_event, retry=1000)


@bp.post("/sightings")
def create() -> ResponseReturnValue:
    """Write down a sighting."""
    sighting_id = notebook.add(check(_body(), SIGHTING))
    address = url_for(".read", sighting_id=sighting_id)
    return _public(_found(sighting_id)), 201, {"Location": address}


@bp.get(SIGHTING_URL)
def read(sighting_id: int) -> ResponseReturnValue:
    """Return one sighting and its attachments."""
    row = _found(sighting_id)
    files = [
        {
            "url": url_for("pages.attachment", name=file["name"]),
            **{key: file[key] for key in ("title", "caption", "media_type", "size")},
        }
        for file in attachments.of(sighting_id)
    ]
    return {**_public(row), "attachments": files}


@bp.patch(SIGHTING_URL)
def update(sighting_id: int) -> ResponseReturnValue:
    """Change the fields that are sent."""
    sighting = dict(_found(sighting_id))
    notebook.change(sighting_id, sighting | check(_body(), SIGHTING, partial=True))
    return _public(_found(sighting_id))


@bp.delete(SIGHTING_URL)
def delete(sighting_id: int) -> ResponseReturnValue:
    """Strike out a sighting with its attachments."""
    _found(sighting_id)
    attachments.remove(attachments.of(sighting_id))
    notebook.remove(sighting_id)
    return "", 204


@bp.errorhandler(CheckError)
def invalid(exc: CheckError) -> WerkzeugResponse:
    """Tell which filters (400) or fields (422) are wrong, and why."""
    wrong = BadRequest if request.method == "GET" else UnprocessableEntity
    return problem(wrong("Some values cannot be used."), exc.errors)


@bp.errorhandler(HTTPException)
def problem(
    exc: HTTPException, fields: dict[str, str] | None = None
) -> WerkzeugResponse:
    """Show an error as RFC 9457 has it."""
    response = exc.get_response()  # carries the status, and Allow for a 405
    details = {"status": exc.code, "title": exc.name, "detail": exc.description}
    response.data = json.dumps(details | ({"fields": fields} if fields else {}))
    response.content_type = "application/problem+json"
    return response


def _body() -> dict[str, Any]:
    """Return the JSON object that was sent; 415, 400 or 422 when there is none."""
    body = request.get_json()
    if not isinstance(body, dict):
        abort(422, "Send a JSON object.")
    if unknown := body.keys() - SIGHTING:
        raise CheckError(dict.fromkeys(sorted(unknown), "There is no such field."))
    return body


def _found(sighting_id: int) -> sqlite3.Row:
    return notebook.get(sighting_id) or abort(404, "There is no such sighting.")


def _news(last: int) -> Iterator[sqlite3.Row]:
    """Yield each sighting after the last one that was seen, for ever."""
    with closing(live.broadcast().subscribe(live.SIGHTINGS)) as calls:
        for rest in live.rests():
            while rows := live.look(notebook.after, last):
                yield from rows
                last = rows[-1]["id"]
            try:
                calls.get(rest)
            except (SubscriberTooSlow, SubscriptionClosed):  # the reader has left
                return


def _event(row: sqlite3.Row) -> Event:
    page = url_for("pages.show", sighting_id=row["id"])
    return Event({**_public(row), "page": page}, event="sighting", id=row["id"])


def _public(row: sqlite3.Row) -> dict[str, Any]:
    fields = ("id", *SIGHTING, "written_at")
    address = url_for(".read", sighting_id=row["id"])
    return {"url": address, **{name: row[name] for name in fields}}
