"""The fenced blocks of the Markdown pages: what they are, and why one does not run."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("packages/*/README.md"),
        *ROOT.glob("examples/*/README.md"),
    ]
)
_BLOCK = re.compile(
    r"^(?:<!-- not run: (?P<reason>.+?) -->\n+)?"
    r"(?P<fence>`{3,})(?P<language>[^\n`]*)\n(?P<text>.*?)^(?P=fence)$",
    re.DOTALL | re.MULTILINE,
)
_CONTINUES = re.compile(r"^<!-- continues: (?P<page>\S+) -->$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One fenced block; `line` is where its text starts, `reason` why it rests."""

    language: str
    text: str
    line: int
    reason: str | None


def blocks(page: str) -> t.Iterator[Block]:
    """Yield the fenced blocks of a page in order."""
    for match in _BLOCK.finditer(page):
        line = page.count("\n", 0, match.start("text")) + 1
        language = match["language"].strip()
        yield Block(language, match["text"], line, match["reason"])


def chapters(page: Path) -> list[Path]:
    """Name the pages that lead to one, first to last, itself included."""
    match = _CONTINUES.search(page.read_text(encoding="utf-8"))
    before = [] if match is None else chapters(page.parent / match["page"])
    return [*before, page]
