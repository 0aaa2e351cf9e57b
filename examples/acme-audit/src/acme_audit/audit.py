"""The extension: what it declares, what it registers, what it listens to."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from typing import TypeVar

from erlen import Config
from erlen import Erlen
from erlen import Response
from erlen import current_app
from erlen import extension
from erlen import request

from . import commands
from .trail import NAME
from .trail import Trail
from .trail import trail_of

F = TypeVar("F", bound=Callable[..., Any])


class Audit:
    """Writes down what happens in applications.

    One object serves all of them. What belongs to one application is its
    `Trail`, in `app.extensions["acme-audit"]`.

    Args:
        app: Set this one up at once.
    """

    def __init__(self, app: Erlen | None = None) -> None:
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Erlen) -> None:
        """Set an application up.

        Raises:
            erlen.extension.ConfigError: Settings are missing or wrong.
        """
        trail = Trail(app)
        with extension.setup(app, NAME, trail, contract="1.0"):
            declare_settings(app.config)
            app.add_check("acme-audit.file", check_file)
            app.add_check("acme-audit.retention", check_retention, deploy=True)
            app.add_health("audit", trail.probe)
            app.add_route_column("Audit", event_of)
            app.cli.add_command(commands.audit)
            app.after_request(write_marked)
            extension.identity_changed.connect(on_identity_changed, app)
            extension.session_rotated.connect(on_session_rotated, app)
            extension.stream_started.connect(on_stream_started, app)

    def record(self, event: str) -> Callable[[F], F]:
        """Mark a view: each of its requests gets a line, whatever the answer is.

        It stands below the route, and works for functions of any kind.

        Args:
            event: What the line is about, such as `"order placed"`.
        """

        def mark(view: F) -> F:
            vars(view)["audit_event"] = event
            return view

        return mark

    def add(self, event: str, **more: Any) -> None:
        """Write a line at once, in a request or in any other application context.

        Args:
            event: What happened.
            **more: What else is worth knowing; what JSON cannot hold becomes a str.

        Raises:
            OSError: The line could not be written.
            RuntimeError: There is no `SECRET_KEY` to seal it with.
        """
        trail_of(current_app).note(event, **more)


# Settings: a key, its type, its default, and the line that `erlen config` shows.


def declare_settings(config: Config) -> None:
    config.declare(
        "AUDIT_FILE",
        Path,
        extension.REQUIRED,
        "Where lines are appended, relative to the instance folder.",
    )
    config.declare(
        "AUDIT_RETENTION",
        timedelta | None,
        timedelta(days=365),
        "How long lines may be kept, in seconds or as a timedelta; None is for ever.",
    )
    config.declare(
        "AUDIT_EXTRA",
        Callable[[], Mapping[str, Any]] | None,
        None,
        "A function that is asked for more to write into each line.",
    )
    config.declare(
        "AUDIT_ADDRESS_KEY",
        str | None,
        None,
        "If set, addresses of clients are written as a hash with this key.",
        secret=True,
    )


# Checks, for `erlen check`: what is wrong, and what cures it.


def check_file(app: Erlen) -> Iterator[extension.Problem]:
    trail = trail_of(app)
    file = trail.file.resolve()
    folders = [it.static_folder for it in (app, *app.blueprints.values())]
    if any(
        folder and file.is_relative_to(Path(folder).resolve()) for folder in folders
    ):
        yield extension.Problem(
            "error",
            f"AUDIT_FILE is in a static folder, where everybody can read it: {file}",
            'AUDIT_FILE = "audit.jsonl" is in the instance folder.',
        )
    try:
        trail.probe()
    except (OSError, RuntimeError) as exc:
        yield extension.Problem(
            "error",
            f"No line of the audit trail can be written: {exc}",
            "It needs a folder where the server may write, and a SECRET_KEY.",
        )


def check_retention(app: Erlen) -> extension.Problem | None:
    retention = app.config["AUDIT_RETENTION"]
    if retention is None:
        return extension.Problem(
            "info",
            "AUDIT_RETENTION is None: what the trail says of people is kept for ever.",
            "AUDIT_RETENTION = timedelta(days=365)",
        )
    if trail_of(app).is_older_than(retention):
        return extension.Problem(
            "warning",
            f"AUDIT_FILE begins with lines that are older than {retention.days} days.",
            "Move the file into an archive; the next line begins a new one.",
        )
    return None


# What is written down: marked views, logins, new session identifiers, streams.


def event_of(rule: object, view: Callable[..., Any] | None) -> str:
    """Return what a view was marked with; also the column of `erlen routes`."""
    event: str = getattr(view, "audit_event", "")
    return event


def write_marked(response: Response) -> Response:
    view = current_app.view_functions.get(request.endpoint or "")
    if event := event_of(request.url_rule, view):
        trail_of(current_app).note(event, status=response.status_code)
    return response


def on_identity_changed(
    sender: Erlen, user: object, previous: object, **extra: object
) -> None:
    trail_of(sender).note("identity changed", user=user, previous=previous)


def on_session_rotated(sender: Erlen, **extra: object) -> None:
    trail_of(sender).note("session rotated")


def on_stream_started(sender: Erlen, **extra: object) -> None:
    trail_of(sender).note("stream started")
