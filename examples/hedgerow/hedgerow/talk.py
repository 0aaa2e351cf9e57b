"""The talk: pages with forms behind both doors, and a WebSocket behind the ASGI door."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from typing import cast

from erlen import Blueprint
from erlen import abort
from erlen import redirect
from erlen import render_template
from erlen import request
from erlen import session
from erlen import url_for
from erlen import websocket
from erlen.broadcast import SubscriberTooSlow
from erlen.broadcast import Subscription
from erlen.typing import ResponseReturnValue
from erlen.websockets import InvalidMessage

from . import csrf
from . import live
from . import messages
from .checks import CheckError
from .checks import check
from .checks import optional
from .checks import whole
from .models import Message
from .models import Visit

bp = Blueprint("talk", __name__)
bp.before_request(csrf.protect)

ROOM = f"/talk/<any({', '.join(messages.ROOMS)}):room>"
AFTER = {"after": optional(whole(0, 999_999_999), 0)}
PENANCE = 1.0  # seconds for which nobody listens to who was refused
FIRST = {"room": "gate"}


@bp.route("/talk", defaults=FIRST, methods=["GET", "POST"])
@bp.route(ROOM, methods=["GET", "POST"])
def show(room: str) -> ResponseReturnValue:
    """Show a room; take in a name, then messages."""
    if request.method == "GET":
        return _page(room, {})
    try:
        if session.get("name"):
            message = check(request.form, messages.MESSAGE)
            messages.say(room, session["name"], message["text"], message["key"])
            live.call(_channel(room))
        else:
            session["name"] = check(request.form, messages.NAME)["name"]
            session.permanent = True
    except CheckError as exc:
        return _page(room, exc.errors), 422
    return redirect(url_for(".show", room=room, _anchor="say"))


@bp.websocket(f"{ROOM}/live")
async def join(room: str) -> None:
    """Tell one page what is said in a room and who is there, and listen to it."""
    name = session.get("name") or abort(403, "Say your name on the page first.")
    try:
        after = check(request.args, AFTER)["after"]
    except CheckError as exc:
        abort(400, str(exc))
    visit = Visit(key=secrets.token_hex(), room=room, name=name)
    await websocket.accept()
    calls = live.broadcast().subscribe(_channel(room))
    try:
        await live.alook(messages.stay, visit)
        await live.acall(_channel(room))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_tell(visit, calls, after))
            while True:  # until the page closes it, which raises
                await _hear(visit, await websocket.receive_json())
    finally:
        calls.close()
        await live.alook(messages.leave, visit)
        await live.acall(_channel(room))


async def _tell(visit: Visit, calls: Subscription, last: int) -> None:
    """Send what is new, whenever there is something."""
    known: list[str] = []
    renewed = asyncio.get_running_loop().time()
    for rest in live.rests():
        if asyncio.get_running_loop().time() - renewed >= live.PATIENCE:
            await live.alook(messages.stay, visit)
            renewed = asyncio.get_running_loop().time()
        people = await live.alook(messages.people, visit.room)
        if people != known:
            await websocket.send_json({"people": people})
            known = people
        while said := await live.alook(messages.after, visit.room, last):
            await websocket.send_json({"messages": [_public(it) for it in said]})
            last = said[-1].id
        try:
            await calls.aget(rest)
        except SubscriberTooSlow:  # the page, which comes again
            await websocket.close(1013, "The connection is too slow.")
            return


async def _hear(visit: Visit, sent: Any) -> None:
    """Write down what a page sends, or say why not."""
    if not isinstance(sent, dict):
        raise InvalidMessage("A message is an object.")
    data = cast("dict[str, Any]", sent)
    try:
        message = check(data, messages.MESSAGE)
        words, key = message["text"], message["key"]
        await live.alook(messages.say, visit.room, visit.name, words, key)
    except CheckError as exc:
        refused = {"refused": " ".join(exc.errors.values()), "key": data.get("key")}
        await websocket.send_json(refused)
        await asyncio.sleep(PENANCE)
    else:
        await live.acall(_channel(visit.room))


def _channel(room: str) -> str:
    return f"talk:{room}"


def _page(room: str, errors: Mapping[str, str]) -> str:
    return render_template(
        "talk.html",
        room=room,
        rooms=messages.ROOMS,
        messages=[_public(it) for it in messages.latest(room)],
        longest=messages.LONGEST,
        errors=errors,
    )


def _public(message: Message) -> dict[str, Any]:
    """Return a message as pages show it; all clocks of the village agree."""
    at = datetime.fromtimestamp(message.at)
    return {
        "id": message.id,
        "author": message.author,
        "text": message.text,
        "key": message.key,
        "at": at.isoformat(timespec="minutes"),
        "day": f"{at:%A}, {at.day} {at:%B %Y}",
        "time": f"{at:%H:%M}",
    }
