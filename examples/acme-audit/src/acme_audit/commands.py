"""The commands `erlen audit verify` and `erlen audit show`."""

from __future__ import annotations

from collections import deque

import click

from erlen import current_app
from erlen.cli import AppGroup

from .trail import SEAL
from .trail import trail_of

audit = AppGroup("audit", help="Look at the audit trail.")


@audit.command()
def verify() -> None:
    """Tell whether each line is as it was written.

    Names each line that is not, and exits with 1. What it cannot see are lines that
    were cut off at the end: compare their number with an earlier one.
    """
    trail = trail_of(current_app)
    faults = list(trail.faults())
    for number, fault in faults:
        click.echo(f"Line {number} {fault}.")
    count = sum(1 for _ in trail.lines())
    if faults:
        raise click.ClickException(
            f"{len(faults)} of {count} lines are not as they were written."
        )
    click.echo(f"{count} lines, all as they were written.")


@audit.command()
@click.option("--last", default=20, show_default=True, help="How many lines.")
def show(last: int) -> None:
    """Print the last lines, without their seals."""
    for line in deque(trail_of(current_app).lines(), maxlen=last):
        body, sealed, _ = line.rpartition(SEAL)
        text = (body + b"}" if sealed else line).decode("latin-1")
        # A line that was tampered with must not talk to the terminal.
        click.echo(text if text.isascii() and text.isprintable() else repr(text))
