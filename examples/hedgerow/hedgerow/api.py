"""The same notebook as JSON; a blueprint that answers its own errors.

Requests that change something must be sent as `application/json`. A form on a foreign
page cannot do that, so the API needs no token.
"""

from __future__ import annotations

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
from .db import db
from .models import Sighting

# An unknown address under /api is answered here too, not by the pages.
bp = Blueprint("api", __name__, url_prefix="/api", owns_prefix=True)

SIGHTING_URL = "/sightings/<int(max=999999999):sighting_id>"


@bp.get("/sightings")
def index() -> ResponseReturnValue:
    """List sightings, the newest first."""
    wanted = check(request.args, SEARCH)
    page = notebook.search(wanted)
    pages = page.pages or 1  # an empty list has one

    def link(number: int) -> str | None:
        if not 1 <= number <= pages:
            return None
        filters = {name: value for name, value in wanted.items() if value}
        return url_for(".index", **{**filters, "page": number})

    return {
        "items": [_public(it) for it in page],
        "total": page.total,
        "page": page.page,
        "pages": pages,
        "previous": link(page.page - 1),
        "next": link(page.page + 1),
    }


@bp.get("/feed")
def feed() -> ResponseReturnValue:
    """Send each sighting when it is written down, from the newest or `after` one."""
    seen = last_event_id() or request.args.get("after")
    after = check({"after": seen}, FEED)["after"]
    if after is None:
        after = sum(it.id for it in notebook.latest(1))  # 0 for an empty one
        db.release()  # a reader stays for hours
    return EventStream(_news(after), convert=_event, retry=1000)


@bp.post("/sightings")
def create() -> ResponseReturnValue:
    """Write down a sighting."""
    sighting = notebook.add(check(_body(), SIGHTING))
    address = url_for(".read", sighting_id=sighting.id)
    return _public(sighting), 201, {"Location": address}


@bp.get(SIGHTING_URL)
def read(sighting_id: int) -> ResponseReturnValue:
    """Return one sighting and its attachments."""
    sighting = notebook.get(sighting_id)
    files = [
        {
            "url": url_for("pages.attachment", name=file.name),
            "title": file.title,
            "caption": file.caption,
            "media_type": file.media_type,
            "size": file.size,
        }
        for file in sighting.attachments
    ]
    return {**_public(sighting), "attachments": files}


@bp.patch(SIGHTING_URL)
def update(sighting_id: int) -> ResponseReturnValue:
    """Change the fields that are sent."""
    sighting = notebook.get(sighting_id)
    notebook.change(sighting, check(_body(), SIGHTING, partial=True))
    return _public(sighting)


@bp.delete(SIGHTING_URL)
def delete(sighting_id: int) -> ResponseReturnValue:
    """Strike out a sighting with its attachments."""
    sighting = notebook.get(sighting_id)
    attachments.remove(sighting.attachments)
    notebook.remove(sighting)
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


def _news(last: int) -> Iterator[Sighting]:
    """Yield each sighting after the last one that was seen, for ever."""
    with closing(live.broadcast().subscribe(live.SIGHTINGS)) as calls:
        for rest in live.rests():
            while news := live.look(notebook.after, last):
                yield from news
                last = news[-1].id
            try:
                calls.get(rest)
            except (SubscriberTooSlow, SubscriptionClosed):  # the reader has left
                return


def _event(it: Sighting) -> Event:
    page = url_for("pages.show", sighting_id=it.id)
    return Event({**_public(it), "page": page}, event="sighting", id=it.id)


def _public(it: Sighting) -> dict[str, Any]:
    fields = ("id", *SIGHTING, "written_at")
    address = url_for(".read", sighting_id=it.id)
    return {"url": address, **{name: getattr(it, name) for name in fields}}
