"""Sphinx extension: the table of chapters, with the time to read and the time to compute.

    ```{chapter-table}
    01-trajectories: What is on the tape?
    ```

Reading time is counted in the page's source; running time is what the build itself measured.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from myst_nb.sphinx_ import NbMetadataCollector
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "_tools"))

from book_config import load_pages

WORDS_A_MINUTE = 230  # silent reading of non-fiction in English: Brysbaert, 2019, says 238
HEAD = ("", "Chapter", "The question it answers", "Read", "Run")
NOT_PROSE = (
    r"\A---\n.*?\n---\n",  # front matter
    r"(?ms)^(`{3,})(?!\{(?:admonition|note|tip|figure|table)).*?^\1\s*$",  # code, and its options
    r"(?ms)^\$\$.*?\$\$.*?$",  # display math
    r"(?m)^[ \t]*(?::{3,}|`{3,}).*$",  # fences of what is prose
    r"(?m)^[ \t]*:(?:class|name|alt|tags|width|open)[-\w]*:.*$",
    r"\{[\w:]+\}`[^`]*`|\]\([^)]*\)|\$[^$\n]+\$|`[^`\n]*`",  # roles, addresses, formulas, names
)


class Chapters(nodes.General, nodes.Element):
    """Stands in the page until everything has been executed."""


class ChapterTable(SphinxDirective):
    """One line a chapter: its page, a colon, and its question."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        asked = dict(re.split(r":\s+", line, maxsplit=1) for line in self.content if line.strip())
        return [Chapters(asked=asked)]


def prose_words(source: str) -> int:
    """How many words of a MyST page are prose: code, formulas, options and addresses are not."""
    for pattern in NOT_PROSE:
        source = re.sub(pattern, " ", source, flags=re.S if pattern.startswith("\\A") else 0)
    return len(re.findall(r"[A-Za-z][\w’'-]*|\d[\d.,]*", source))


def reading_minutes(source: str) -> int:
    """Minutes to read a page's prose, at least 1."""
    return max(1, round(prose_words(source) / WORDS_A_MINUTE))


def duration(seconds: float | None) -> str:
    """A time in words: seconds below two minutes, else minutes."""
    if seconds is None:
        return "–"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


class FillChapters(SphinxPostTransform):
    """The table, in the place of its stand-in."""

    default_priority = 8  # before links are resolved

    def run(self, **kwargs: Any) -> None:
        for node in self.document.findall(Chapters):
            numbers = {p.docname: p.number for p in load_pages(Path(self.env.srcdir))}
            rows = [self._row(name, words, numbers) for name, words in node["asked"].items()]
            node.replace_self(table(HEAD, rows))

    def _row(self, name: str, question: str, numbers: dict[str, Any]) -> list[nodes.Node]:
        here = self.env.docname
        docname = str(Path(here).parent / name)
        number = numbers.get(docname)
        ran = NbMetadataCollector.get_exec_data(self.env, docname) or {}
        title = nodes.inline("", self.env.titles[docname].astext())
        link = pending_xref(
            "", title, refdoc=here, reftarget=name, reftype="doc", refdomain="std",
            refexplicit=True, refwarn=True,
        )  # fmt: skip
        source = Path(self.env.doc2path(docname)).read_text("utf8")
        words = (f"{reading_minutes(source)} min", duration(ran.get("runtime")))
        cells = [nodes.Text(str(number or "")), link, nodes.Text(question), *map(nodes.Text, words)]
        return [nodes.paragraph("", "", cell) for cell in cells]


def table(head: tuple[str, ...], rows: list[list[nodes.Node]]) -> nodes.table:
    """A table of class "chapters"; a phone shows its rows as cards."""
    group = nodes.tgroup(cols=len(head))
    group += [nodes.colspec(colwidth=1) for _ in head]
    top = nodes.thead("", nodes.row("", *(nodes.entry("", nodes.paragraph(text=x)) for x in head)))
    body = nodes.tbody("", *(nodes.row("", *(nodes.entry("", cell) for cell in r)) for r in rows))
    group += [top, body]
    return nodes.table("", group, classes=["chapters", "colwidths-auto"])


def pages_with_table(app: Sphinx, env: Any) -> list[str]:
    """Pages to be written again whenever anything was executed."""
    return [name for name in env.found_docs if "{chapter-table}" in _source(env, name)]


def _source(env: Any, docname: str) -> str:
    return Path(env.doc2path(docname)).read_text("utf8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_node(Chapters)
    app.add_directive("chapter-table", ChapterTable)
    app.add_post_transform(FillChapters)
    app.connect("env-updated", pages_with_table)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
