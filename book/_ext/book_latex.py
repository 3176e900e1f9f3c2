"""Sphinx extension of this book: what the PDF needs beyond Sphinx's own LaTeX builder.

- Chromium prints what LaTeX cannot take: SVG, and outputs that are HTML, as vector PDF. Animations
  and widgets bring a still for print, which is what stands on the page then.
- The front page becomes a preface; only pages that have a chapter's number in `_toc.yml` get one.
- The code of `hide-input` cells and the front page's doors are left out. The macros are those of
  `mathjax3_config`.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.builders.latex.nodes import thebibliography
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.transforms.post_transforms.images import ImageConverter

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "_tools"))

from book_config import load_pages, version
from pictures import Printer

LINE = 80  # characters of a table's line
LONG = 40  # characters after which a cell breaks
MARGIN = 3  # the room between two columns, in characters
BREAK = "\u200b"  # a place where a long name may break; bookprint.sty knows it
BREAKS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[\w)][/_(])(?=\w)")
REFERENCES = "book/bibliography"
PREFACE = "About this book"


def printer(app: Sphinx) -> Printer:
    """The build's browser, started when the first picture is wanted."""
    if not hasattr(app, "book_printer"):
        app.book_printer = Printer(Path(app.outdir).parent / ".pictures")  # type: ignore[attr-defined]
    return app.book_printer  # type: ignore[attr-defined]


class SvgToPdf(ImageConverter):
    """SVG files become vector PDF."""

    conversion_rules = [("image/svg+xml", "application/pdf")]  # noqa: RUF012

    def is_available(self) -> bool:
        """For the LaTeX builder only; elsewhere SVG is understood."""
        return self.app.builder.name == "latex"

    def convert(self, _from: str, _to: str) -> bool:
        """Print the file `_from` to the file `_to`."""
        svg = Path(_from).read_text("utf8")
        Path(_to).write_bytes(printer(self.app).print_svg(svg))
        return True


class HtmlToPdf(SphinxPostTransform):
    """Outputs that are HTML (animations, widgets, tables) become vector PDF; `<br>` stays one."""

    default_priority = 150  # before images are looked at, after one output of each kind is chosen
    builders = ("latex",)

    def run(self, **kwargs: Any) -> None:
        """Replace each raw HTML output by the picture of it."""
        for node in list(self.document.findall(nodes.raw)):
            if node.get("format") == "html" and "text_html" in node["classes"]:
                node.replace_self(self.picture(node.astext()))
            elif re.fullmatch(r"<br ?/?>\s*", node.astext()):
                node.replace_self(nodes.raw("", r"\newline{}", format="latex"))

    def picture(self, html: str) -> nodes.image:
        """The image node of an output."""
        folder = Path(self.app.outdir).parent / ".pictures"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"output-{hashlib.sha256(html.encode()).hexdigest()[:16]}.pdf"
        path.write_bytes(printer(self.app).print_html(html))
        self.env.images.add_file(self.env.docname, str(path))
        return nodes.image(uri=str(path), candidates={"application/pdf": str(path)}, align="center")


class LeaveOut(SphinxPostTransform):
    """Code that the page folds is left out, its output stays; so are the front page's doors."""

    default_priority = 400
    builders = ("latex",)

    def run(self, **kwargs: Any) -> None:
        """Remove the inputs of cells with the tag `hide-input`, and what only leads elsewhere."""
        for cell in list(self.document.findall(nodes.container)):
            if "doors" in cell["classes"]:
                cell.parent.remove(cell)
                continue
            if "tag_hide-input" in cell["classes"]:
                for part in list(cell.findall(nodes.container)):
                    if "cell_input" in part["classes"]:
                        part.parent.remove(part)


class FitTables(SphinxPostTransform):
    """A table with more text than a line holds gets columns that break their lines."""

    default_priority = 400
    builders = ("latex",)

    def run(self, **kwargs: Any) -> None:
        """Give such a table's columns widths that follow their text."""
        for table in self.document.findall(nodes.table):
            columns = list(table.findall(nodes.colspec))
            widths = column_widths(table, len(columns))
            if sum(widths) > LINE:
                table["classes"] = [*table["classes"], "colwidths-given"]
                for column, width in zip(columns, widths):
                    column["colwidth"] = width
                for text in list(table.findall(nodes.Text)):
                    if not isinstance(text.parent, (nodes.math, nodes.raw)):
                        text.parent.replace(text, nodes.Text(BREAKS.sub(BREAK, text)))


def column_widths(table: nodes.table, columns: int) -> list[int]:
    """The characters of each column's longest cell, at least of its longest word, at most LONG."""
    widths = [0] * columns
    for row in table.findall(nodes.row):
        for i, cell in enumerate(row.children):
            text = cell.astext()
            word = max(map(len, text.split()), default=0)
            widths[i] = max(widths[i], min(len(text), LONG), min(word + 1, 2 * LONG))
    return [width + MARGIN for width in widths]


class Chapters(SphinxPostTransform):
    """The whole book, assembled: a preface, then numbered and unnumbered chapters."""

    default_priority = 700
    builders = ("latex",)

    def run(self, **kwargs: Any) -> None:
        """Arrange the assembled document; other documents are left alone."""
        title_section = next(iter(self.document.findall(nodes.section)), None)
        files = list(self.document.findall(addnodes.start_of_file))
        if title_section is None or not files:
            return
        self.gather_preface(title_section)
        numbers = {page.docname: page for page in load_pages(Path(self.app.srcdir))}
        for file in files:
            page = numbers.get(file["docname"])
            if page is not None and page.within is None:
                file.insert(0, numbering(0 if page.number else -1))
            elif page is not None:
                file.insert(0, nodes.raw("", r"\clearpage", format="latex"))

    def gather_preface(self, section: nodes.section) -> None:
        """What stands on the front page before the first chapter becomes a chapter of its own."""
        wrappers = list(toctrees(section))
        for wrapper in wrappers:
            wrapper.parent.remove(wrapper)
        title, *rest = section.children
        preface = nodes.section("", nodes.title("", PREFACE), ids=["preface"])
        preface.extend(rest)
        section.children = []
        section.extend([title, numbering(-1), preface, *wrappers])


class References(SphinxPostTransform):
    """The list of references goes back to its page, from the end, where Sphinx has put it."""

    default_priority = 760  # after Sphinx's own
    builders = ("latex",)

    def run(self, **kwargs: Any) -> None:
        """Move the list into the last section of the page `REFERENCES`."""
        found = list(self.document.findall(thebibliography))
        for file in self.document.findall(addnodes.start_of_file):
            if file["docname"] == REFERENCES and found:
                section = next(iter(file.findall(nodes.section)))
                for listed in found:
                    listed.parent.remove(listed)
                    section.append(listed)


def numbering(depth: int) -> nodes.raw:
    """LaTeX's switch for numbers: 0 for numbered chapters, -1 for none."""
    return nodes.raw("", rf"\setcounter{{secnumdepth}}{{{depth}}}", format="latex")


def toctrees(node: nodes.Element) -> Iterator[nodes.Element]:
    """Where the table of contents put pages in, without those below such a page.

    From above: Sphinx leaves the nodes of a page it has put in with their former parents.
    """
    for child in node.children:
        if isinstance(child, nodes.compound) and "toctree-wrapper" in child["classes"]:
            yield child
        elif isinstance(child, nodes.Element):
            yield from toctrees(child)


def tex_macros(macros: Iterable[tuple[str, tuple[str, int]]]) -> str:
    """LaTeX definitions of {name: (body, number of arguments)}, whatever the name meant before."""
    lines = []
    for name, (body, count) in macros:
        arguments = f"[{count}]" if count else ""
        lines.append(
            rf"\providecommand{{\{name}}}{{}}\renewcommand{{\{name}}}{arguments}{{{body}}}"
        )
    return "\n".join(lines)


def set_preamble(app: Sphinx, config: Any) -> None:
    """Add the macros of the pages' mathematics to the preamble."""
    found = config.mathjax3_config["tex"]["macros"]
    pairs = [(n, (m, 0) if isinstance(m, str) else (m[0], int(m[1]))) for n, m in found.items()]
    elements = config.latex_elements
    elements["preamble"] = "\n".join([elements.get("preamble", ""), tex_macros(pairs), title(app)])


def title(app: Sphinx) -> str:
    """The words of the title page."""
    name, _, rest = app.config.html_title.partition("! ")
    edition = f"Version {version(Path(app.srcdir))}. The same book with everything that moves: "
    words = {
        "booktitle": name + "!",
        "booksubtitle": rest,
        "bookauthor": app.config.author,
        "bookedition": edition + rf"\url{{{app.config.html_baseurl}}}",
    }
    return "\n".join(rf"\newcommand{{\{name}}}{{{text}}}" for name, text in words.items())


def close_printer(app: Sphinx, exception: Exception | None) -> None:
    """Let the browser go."""
    if hasattr(app, "book_printer"):
        app.book_printer.close()


def setup(app: Sphinx) -> dict[str, Any]:
    """Register everything above."""
    app.connect("config-inited", set_preamble, priority=900)  # after the site's address is known
    app.connect("build-finished", close_printer)
    for transform in (SvgToPdf, HtmlToPdf, LeaveOut, FitTables, Chapters, References):
        app.add_post_transform(transform)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": False}
