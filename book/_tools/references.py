"""Every label of the book, numbered exactly as Jupyter Book numbers it.

Figures, tables, listings and labeled equations of chapter 3 are 3.1, 3.2, ..., and go on so on the
pages below it; those of pages outside the numbered parts are counted through, in the order of the
table of contents.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from blocks import Block, MystError, parse
from book_config import MD, Page
from docutils.nodes import make_id

WORDS = {"figure": "Figure", "table": "Table", "listing": "Listing", "section": "Chapter"}
COUNTED = {
    "figure": "figure",
    "table": "table",
    "list-table": "table",
    "code-block": "listing",
    "math": "equation",
}
LEAVES = {"code-cell", "code-block", "code", "math", "raw", "list-table", "raw-cell"}


@dataclass(frozen=True)
class Target:
    """What a label points at; `number` is "" where the book gives none."""

    kind: str
    docname: str
    anchor: str
    number: str
    title: str

    @property
    def words(self) -> str:
        """How the book calls it: "Figure 1.2", "(1.2)" for an equation, else its title."""
        if self.kind == "equation":
            return f"({self.number})"
        return f"{WORDS[self.kind]} {self.number}" if self.number else self.title


def front_matter(text: str) -> tuple[str, int]:
    """A page without its front matter, and the number of the first line that is left."""
    match = re.match(r"^---\n.*?\n---\n", text, re.DOTALL)
    return (text[match.end() :], text[: match.end()].count("\n") + 1) if match else (text, 1)


class References:
    """The labels and titles of a list of pages; also the number of each unlabeled figure."""

    def __init__(self) -> None:
        self.targets: dict[str, Target] = {}
        self.titles: dict[str, str] = {}
        self.numbers: dict[tuple[str, int, str], str] = {}
        self._counts: Counter[tuple[str, int | str | None]] = Counter()

    @classmethod
    def of_book(cls, root: Path, pages: Iterable[Page]) -> References:
        """The references of the pages that exist below `root`."""
        found = cls()
        for page in pages:
            path = root / (page.docname + MD)
            if path.exists():
                found.add_page(page, path.read_text("utf8"))
        return found

    def add_page(self, page: Page, text: str) -> None:
        """Number and note everything on one page; pages come in reading order."""
        body, first_line = front_matter(text)
        self._walk(page, parse(body.split("\n"), first_line))

    def number_at(self, docname: str, line: int, kind: str) -> str:
        """The number of the figure, table, listing or equation that begins at `line`."""
        return self.numbers.get((docname, line, kind), "")

    def _walk(self, page: Page, blocks: list[Block]) -> None:
        labels: list[str] = []
        for block in blocks:
            if block.kind == "label":
                labels.append(block.name)
                continue
            if block.kind == "text" and not any(line.strip() for line in block.lines):
                continue
            self._note(page, block, labels)
            labels = []
            if block.kind == "directive" and block.name not in LEAVES:
                self._walk(page, parse(block.lines, block.body_line))

    def _note(self, page: Page, block: Block, labels: list[str]) -> None:
        """Give `block` its number and its labels, if it has any."""
        if block.kind == "heading":
            self._heading(page, block, labels)
            return
        kind, title, own = _countable(block)
        if not kind:
            return
        self._counts[kind, page.counts_in] += 1
        count = self._counts[kind, page.counts_in]
        number = f"{page.counts_in}.{count}" if page.counts_in else str(count)
        self.numbers[page.docname, block.line, kind] = number
        for label in [*labels, *([own] if own else [])]:
            anchor = make_id(f"equation-{label}" if kind == "equation" else label)
            self._add(label, Target(kind, page.docname, anchor, number, title))

    def _heading(self, page: Page, block: Block, labels: list[str]) -> None:
        first = page.docname not in self.titles
        self.titles.setdefault(page.docname, block.argument)
        number = str(page.number) if first and page.number else ""
        for label in labels:
            target = Target("section", page.docname, make_id(label), number, block.argument)
            self._add(label, target)

    def _add(self, label: str, target: Target) -> None:
        if label in self.targets:
            raise MystError(f"{target.docname}: the label {label!r} is used twice in the book")
        self.targets[label] = target


def _countable(block: Block) -> tuple[str, str, str]:
    """(kind, title, label) of a block that the book numbers; kind is "" for all others."""
    if block.kind == "math":
        return ("equation", "", block.name) if block.name else ("", "", "")
    if block.kind != "directive":
        return "", "", ""
    options = block.options
    if block.name == "code-cell":
        figure = (options.get("mystnb") or {}).get("figure") or {}
        return ("figure" if figure.get("caption") else "", "", figure.get("name") or "")
    kind = COUNTED.get(block.name, "")
    label = str(options.get("label" if kind == "equation" else "name") or "")
    title = {
        "figure": "".join(block.lines).strip(),
        "table": block.argument,
        "listing": str(options.get("caption") or ""),
        "equation": label,
    }.get(kind, "")
    return (kind, title, label) if title else ("", "", "")
