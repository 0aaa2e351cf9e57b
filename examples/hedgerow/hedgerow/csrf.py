"""A token in the session that each form sends back: whoever lacks it is not ours."""

from __future__ import annotations

import hmac
import secrets

from erlen import Erlen
from erlen import abort
from erlen import request
from erlen import session


def init_app(app: Erlen) -> None:
    """Let every template call `csrf_token()`."""
    app.add_template_global(token, "csrf_token")


def token() -> str:
    """Return the token of this session, made when first asked for."""
    if "csrf" not in session:
        session["csrf"] = secrets.token_urlsafe(32)
    return session["csrf"]


def protect() -> None:
    """Refuse a form without the token; register it as a `before_request`."""
    if request.method == "POST":
        known = session.get("csrf", "").encode()
        sent = request.form.get("csrf_token", "").encode()
        if not known or not hmac.compare_digest(known, sent):
            abort(400, "This form is too old, or not from here. Load it anew.")
