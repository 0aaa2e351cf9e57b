"""Errors as pages of the site, and the headers that each answer carries."""

from __future__ import annotations

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as WerkzeugResponse

from erlen import Erlen
from erlen import Response
from erlen import render_template

CONTENT_SECURITY_POLICY = (
    "default-src 'self'; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)


def init_app(app: Erlen) -> None:
    """Register the error page and the security headers."""
    app.register_error_handler(HTTPException, error_page)
    app.after_request(secure)


def error_page(exc: HTTPException) -> WerkzeugResponse:
    """Show any HTTP error; unhandled exceptions arrive here as a 500."""
    response = exc.get_response()  # carries the status, and Allow for a 405
    response.data = render_template("error.html", error=exc)
    response.content_type = "text/html; charset=utf-8"
    return response


def secure(response: Response) -> Response:
    """Allow the page its own files only, and no guessing at their types."""
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "same-origin"
    return response
