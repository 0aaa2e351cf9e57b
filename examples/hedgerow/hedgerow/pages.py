"""The pages: reading, writing, attachments, the export and a visitor's settings."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from datetime import date
from itertools import groupby
from operator import attrgetter
from typing import Any

from erlen import Blueprint
from erlen import Response
from erlen import abort
from erlen import flash
from erlen import redirect
from erlen import render_template
from erlen import request
from erlen import send_from_directory
from erlen import session
from erlen import stream_with_context
from erlen import url_for
from erlen.typing import ResponseReturnValue

from . import attachments
from . import checks
from . import csrf
from . import notebook
from .checks import CheckError
from .checks import check
from .hedge import hedge
from .models import Sighting

bp = Blueprint("pages", __name__)
bp.before_request(csrf.protect)

FILTERS = ("q", "kind", "since", "until")
COLUMNS = ("id", *checks.SIGHTING, "written_at")
SIGHTING = "/sightings/<int(max=999999999):sighting_id>"  # databases have a limit
# A browser takes `//host` and `/\host` for another site.
OWN_ADDRESS = re.compile(r"/([^/\\\s][^\\\s]*)?")


@bp.app_context_processor
def names() -> dict[str, Any]:
    """Give every template the names of kinds and themes."""
    return {"kinds": checks.KINDS, "themes": checks.THEMES}


@bp.app_template_filter()
def day(value: str, pattern: str = "{0.day} {0:%B %Y}") -> str:
    """Write out an ISO day: `1 November 2025`, or what `pattern` says."""
    return pattern.format(date.fromisoformat(value))


@bp.get("/")
def index() -> ResponseReturnValue:
    """Show a page of the notebook, day by day."""
    wanted = _wanted()
    page = notebook.search(wanted)
    if page.page > (pages := page.pages or 1):
        abort(404, f"The list ends with page {pages}.")
    return render_template(
        "index.html",
        page=page,
        days=groupby(page, attrgetter("seen_on")),
        filters={name: wanted[name] for name in FILTERS if wanted[name]},
        hedge=hedge(date.today()),
        ink=notebook.latest(3),
    )


@bp.get("/species")
def species() -> ResponseReturnValue:
    """Show the species list with the months in which each was seen."""
    kind = _wanted()["kind"]
    return render_template(
        "species.html",
        kind=kind,
        species=notebook.species(kind),
    )


@bp.get("/export.csv")
def export() -> ResponseReturnValue:
    """Send all that matches as CSV, line by line as it is read."""
    wanted = _wanted()

    def lines() -> Iterator[str]:
        yield _csv_line(COLUMNS)
        for sighting in notebook.everything(wanted):
            yield _csv_line(getattr(sighting, column) for column in COLUMNS)

    return Response(
        stream_with_context(lines()),
        mimetype="text/csv",
        headers={"Content-Disposition": 'attachment; filename="hedgerow.csv"'},
    )


@bp.route("/sightings/new", methods=["GET", "POST"])
def new() -> ResponseReturnValue:
    """Write down a sighting."""
    if request.method == "GET":
        blank = {"seen_on": date.today(), "count": 1, "observer": session.get("name")}
        return _form(blank)
    try:
        sighting = notebook.add(check(request.form, checks.SIGHTING))
    except CheckError as exc:
        return _form(request.form, exc.errors)
    session["name"] = sighting.observer
    flash(f"{sighting.species} is in the notebook.")
    return redirect(url_for(".show", sighting_id=sighting.id))


@bp.get(SIGHTING)
def show(sighting_id: int) -> ResponseReturnValue:
    """Show one sighting with its attachments."""
    return _show(notebook.get(sighting_id))


@bp.route(f"{SIGHTING}/edit", methods=["GET", "POST"])
def edit(sighting_id: int) -> ResponseReturnValue:
    """Correct a sighting."""
    sighting = notebook.get(sighting_id)
    if request.method == "GET":
        return _form(sighting, sighting=sighting)
    try:
        notebook.change(sighting, check(request.form, checks.SIGHTING))
    except CheckError as exc:
        return _form(request.form, exc.errors, sighting)
    flash("The sighting is corrected.")
    return redirect(url_for(".show", sighting_id=sighting_id))


@bp.post(f"{SIGHTING}/delete")
def delete(sighting_id: int) -> ResponseReturnValue:
    """Strike out a sighting with its attachments."""
    sighting = notebook.get(sighting_id)
    attachments.remove(sighting.attachments)
    notebook.remove(sighting)
    flash(f"{sighting.species} is struck out.")
    return redirect(url_for(".index"))


@bp.post(f"{SIGHTING}/attachments")
def attach(sighting_id: int) -> ResponseReturnValue:
    """Take in a picture or a PDF."""
    sighting = notebook.get(sighting_id)
    try:
        caption = check(request.form, checks.ATTACHMENT)["caption"]
        attachments.add(sighting_id, request.files.get("file"), caption)
    except CheckError as exc:
        return _show(sighting, exc.errors)
    flash("The attachment is kept.")
    return redirect(url_for(".show", sighting_id=sighting_id))


@bp.get("/attachments/<path:name>")
def attachment(name: str) -> ResponseReturnValue:
    """Send an attachment: pictures to be seen, all others to be saved."""
    file = attachments.get(name)
    return send_from_directory(
        attachments.folder(),
        name,
        mimetype=file.media_type,
        as_attachment=not file.media_type.startswith("image/"),
        download_name=file.title,
    )


@bp.post("/attachments/<name>/delete")
def detach(name: str) -> ResponseReturnValue:
    """Delete an attachment."""
    file = attachments.get(name)
    attachments.remove([file])
    flash(f"{file.title} is deleted.")
    return redirect(url_for(".show", sighting_id=file.sighting_id))


@bp.route("/settings", methods=["GET", "POST"])
def settings() -> ResponseReturnValue:
    """Change the name, theme and length of lists that this browser's session keeps."""
    if request.method == "GET":
        return render_template("settings.html", values=session, errors={})
    try:
        values = check(request.form, checks.SETTINGS)
    except CheckError as exc:
        page = render_template("settings.html", values=request.form, errors=exc.errors)
        return page, 422
    session.permanent = True
    session.update(values)
    flash("Your settings are kept.")
    return redirect(url_for(".settings"))


@bp.post("/theme")
def theme() -> ResponseReturnValue:
    """Change the theme only, and return to where the button was pressed."""
    try:
        session.update(check(request.form, {"theme": checks.choice(checks.THEMES)}))
    except CheckError as exc:
        abort(400, str(exc))
    session.permanent = True
    back = request.form.get("back", "")
    return redirect(back if OWN_ADDRESS.fullmatch(back) else url_for(".index"))


def _wanted() -> dict[str, Any]:
    """Return the filters in the address, as long as this visitor likes lists."""
    try:
        wanted = check(request.args, checks.SEARCH)
    except CheckError as exc:
        abort(400, f"This address cannot be used. {exc}")
    return wanted | {"per_page": int(session.get("per_page", 20))}


def _form(
    values: Mapping[str, Any] | Sighting,
    errors: Mapping[str, str] | None = None,
    sighting: Sighting | None = None,
) -> tuple[str, int]:
    page = render_template(
        "form.html",
        values=values,
        errors=errors or {},
        sighting=sighting,
        places=notebook.places(),
    )
    return page, 422 if errors else 200


def _show(
    sighting: Sighting, errors: Mapping[str, str] | None = None
) -> tuple[str, int]:
    page = render_template("sighting.html", sighting=sighting, errors=errors or {})
    return page, 422 if errors else 200


def _csv_line(values: Iterable[Any]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(_harmless(value) for value in values)
    return line.getvalue()


def _harmless(value: Any) -> Any:
    """Keep a spreadsheet from taking text for a formula."""
    risky = isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t"))
    return f"'{value}" if risky else value
