"""One MyST page into one notebook: jupytext finds the cells, the rest makes them plain."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from pathlib import Path
from typing import Any

import nbformat
import sheets
from bibliography import Bibliography
from blocks import MystError, parse
from book_config import MD, Repository, load_config, load_pages, macros
from book_config import Page as BookPage
from colab import SAVE_WORDS, TELL_MACHINE, badge_row, metadata, save_source, setup_source
from inline import ANCHORED, Page
from jupytext.myst import myst_to_notebook
from myst_to_markdown import caption, footnotes, to_markdown
from references import References, front_matter

CHECKED = "nbval-check-output"
HIDDEN = {"hide-input", "hide-cell", "remove-input", "remove-cell"}


class Book:
    """The book at `root`: its settings, and the labels of all its pages."""

    def __init__(self, root: Path) -> None:
        self.root = root
        config = load_config(root)
        self.repository = Repository.from_config(config)
        self.macros = macros(config)
        self.pages = load_pages(root)
        self.bibliography = Bibliography(
            root / "book" / "references.bib", self.repository.page("book/bibliography")
        )

    def references(self, docname: str) -> References:
        """The book's labels, and those of `docname` if it is a sheet of exercises."""
        found = References.of_book(self.root, self.pages)
        if docname not in found.titles:
            chapter = re.match(r"\D*?(\d+)", docname.split("/")[-1])
            number = f"E{int(chapter[1])}" if chapter else "E"
            text = (self.root / (docname + MD)).read_text("utf8")
            found.add_page(BookPage(docname, number), text)
        return found

    def page(self, docname: str, text: str) -> Page:
        """The context in which the text of `docname` is converted."""
        anchored = {label for match in ANCHORED.findall(text) for label in match if label}
        return Page(
            docname,
            self.root,
            self.references(docname),
            self.repository,
            self.bibliography,
            self.macros,
            anchored,
        )


def convert(book: Book, source: str, target: str) -> nbformat.NotebookNode:
    """The notebook `target`, without outputs, from the MyST page `source` (paths below the root).

    A target below `exercises/` is the student's; MystError names the page and line of what cannot
    be converted.
    """
    text = book.repository.fill((book.root / source).read_text("utf8"))
    for_students = target.startswith("exercises/")
    try:
        page = book.page(source.removesuffix(MD), text)
        page.for_students = for_students
        cells = _cells(text, page)
    except ValueError as error:
        raise MystError(f"{source}: {error}") from None
    opening = _opening(cells, badge_row(target, book.root, book.repository), page)
    notebook = nbformat.v4.new_notebook()
    if source.startswith("solutions/"):
        opening[1].source += TELL_MACHINE
    if for_students:
        cells += _closing(source.split("/")[-1].removesuffix(MD))
    notebook.cells = opening + cells
    front = myst_to_notebook(text).metadata
    notebook.metadata.update(metadata(target, front.get("accelerator")))
    notebook.nbformat_minor = 5
    _identify(notebook.cells)
    return notebook


def _cells(text: str, page: Page) -> list[nbformat.NotebookNode]:
    """The page's cells in plain form, footnotes last."""
    read = myst_to_notebook(text, add_source_map=True)
    lines = text.split("\n")
    cells: list[nbformat.NotebookNode] = []
    for cell, start in zip(read.cells, read.metadata["source_map"]):
        if cell.cell_type == "code":
            cells += _code(cell, page, start)
            continue
        while start < len(lines) and not lines[start].strip():
            start += 1
        if plain := to_markdown(cell.source, page, start + 1):
            cells.append(nbformat.v4.new_markdown_cell(plain))
    body, first_line = front_matter(text)
    if notes := footnotes(parse(body.split("\n"), first_line), page):
        cells.append(nbformat.v4.new_markdown_cell(notes))
    return cells


def _code(cell: Any, page: Page, line: int) -> list[nbformat.NotebookNode]:
    """A code cell, followed by its figure's caption if it has one."""
    tags = list(cell.metadata.get("tags") or [])
    figure = (cell.metadata.get("mystnb") or {}).get("figure") or {}
    source = cell.source.strip("\n")
    if page.for_students:
        if "solution" in tags:
            return []
        source, tags = sheets.student(source), [tag for tag in tags if tag != CHECKED]
    else:
        source = sheets.solved(source)
    if "skip-execution" in tags and "nbval-skip" not in tags:
        tags.append("nbval-skip")  # nbval does not know the book's word for it
    number = page.references.number_at(page.docname, line, "figure")
    kept: dict[str, Any] = {"tags": tags} if tags else {}
    if HIDDEN & set(tags):
        kept |= {"cellView": "form", "jupyter": {"source_hidden": True}}
        source = f"# @title {f'Code of Figure {number}' if number else 'Code'}\n{source}"
    found = [nbformat.v4.new_code_cell(source, metadata=kept)]
    if figure.get("caption"):
        words = caption(line, "figure", str(figure["caption"]), page)
        found.append(nbformat.v4.new_markdown_cell(words))
    return found


def _opening(
    cells: list[nbformat.NotebookNode], badges: str, page: Page
) -> list[nbformat.NotebookNode]:
    """Title and badges, then the set-up cell; takes the title out of `cells`."""
    title = ""
    if cells and cells[0].cell_type == "markdown":
        match = re.match(r"(?:<a id=\"[^\"]*\"></a>\n\n)?# (?P<title>.*)\n?", cells[0].source)
        if match:
            number = next((p.number for p in _book_pages(page) if p.docname == page.docname), None)
            title = f"# {f'{number}. ' if number else ''}{match['title']}\n\n"
            cells[0].source = cells[0].source[match.end() :].strip("\n")
            if not cells[0].source:
                del cells[0]
    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    setup = nbformat.v4.new_code_cell(
        setup_source(page.repository, code),
        metadata={"cellView": "form", "jupyter": {"source_hidden": True}, "tags": ["setup"]},
    )
    return [nbformat.v4.new_markdown_cell(title + badges), setup]


def _closing(stem: str) -> list[nbformat.NotebookNode]:
    """The end of a student's sheet: how to save it. Tests have nothing to save."""
    save = nbformat.v4.new_code_cell(
        save_source(stem), metadata={"tags": ["skip-execution", "nbval-skip"]}
    )
    return [nbformat.v4.new_markdown_cell(SAVE_WORDS), save]


def _book_pages(page: Page) -> list[BookPage]:
    return load_pages(page.root)


def _identify(cells: list[nbformat.NotebookNode]) -> None:
    """Ids that depend on content only, so that an edit changes no other cell."""
    seen: Counter[str] = Counter()
    for cell in cells:
        digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
        seen[digest] += 1
        cell.id = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
