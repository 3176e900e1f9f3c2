"""Sphinx extension of this book: badges, placeholders, links and citations.

- `{{ slug }}`, `{{ ref }}` and `{{ site }}` are filled in from `_config.yml`, in prose and in code.
- A page with a notebook beside it gets a row of badges under its title.
- The header's buttons launch and download that notebook, or are left out without one.
- Citations are author-year in round brackets: "(Chen et al., 2021)", "Chen et al. (2021)".
- In the source of an exercise sheet, markers and stubs are dropped before the page is read.
"""

from __future__ import annotations

import shutil
import sys
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from myst_nb.ext import execution_tables
from pybtex.plugin import register_plugin as register_pybtex_plugin
from pybtex.style.formatting.unsrt import Style as UnsrtStyle
from pybtex.style.labels import BaseLabelStyle
from sphinx.application import Sphinx
from sphinxcontrib.bibtex.plugin import register_plugin
from sphinxcontrib.bibtex.style.referencing import BracketStyle, PersonStyle
from sphinxcontrib.bibtex.style.referencing.author_year import AuthorYearReferenceStyle

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "_tools"))

from bibliography import author_year
from book_config import Repository
from sheets import solved_text


def round_brackets() -> BracketStyle:
    """Citations stand in round brackets and are separated by semicolons."""
    return BracketStyle(left="(", right=")", sep="; ")


class AuthorYearRound(AuthorYearReferenceStyle):
    """Author-year citations in round brackets."""

    def __init__(self) -> None:
        super().__init__(
            bracket_textual=round_brackets(),
            bracket_parenthetical=round_brackets(),
            bracket_author=BracketStyle(left="", right=""),
            bracket_label=round_brackets(),
            bracket_year=BracketStyle(left="", right=""),
            person=PersonStyle(),
        )


class AuthorYearLabels(BaseLabelStyle):
    """The bibliography's labels say what a citation says."""

    def format_labels(self, sorted_entries: list[Any]) -> Any:
        """One label an entry, such as "Chen et al., 2021"."""
        for entry in sorted_entries:
            authors, year = author_year(entry)
            yield f"{authors}, {year}"


class AuthorYearBibliography(UnsrtStyle):
    """A bibliography sorted by author and year, labeled like the citations."""

    default_sorting_style = "author_year_title"
    default_label_style = AuthorYearLabels


def repository(app: Sphinx) -> Repository:
    """The repository that `_config.yml` names."""
    options = app.config.html_theme_options
    url, ref = options["repository_url"].rstrip("/"), str(options["repository_branch"])
    return Repository(url, ref, app.config.html_baseurl or "")


def set_baseurl(app: Sphinx, config: Any) -> None:
    """Canonical addresses follow from the repository unless `html.baseurl` is set."""
    config.html_baseurl = config.html_baseurl or repository(app).site


def read_source(app: Sphinx, docname: str, content: list[str]) -> None:
    """Fill in placeholders; a sheet of exercises is read as its solution."""
    text = repository(app).fill(content[0])
    content[0] = solved_text(text) if docname.startswith("solutions/") else text


def badge_links(app: Sphinx, docname: str) -> list[tuple[str, str, str]]:
    """(class, words, address) of each badge of a page; empty without a notebook beside it."""
    root, place = Path(app.srcdir), repository(app)
    if not (root / f"{docname}.ipynb").exists():
        return []
    links = [("colab", "Open in Colab", place.colab(f"{docname}.ipynb"))]
    sheet = f"exercises/{Path(docname).name}.ipynb"
    if (root / sheet).exists():
        links.append(("exercises", "Exercise sheet", place.colab(sheet)))
    links.append(("download", "Download the notebook", f"{Path(docname).name}.ipynb"))
    return links


def add_badges(app: Sphinx, doctree: nodes.document) -> None:
    """Put the row of badges under the page's title."""
    links = badge_links(app, app.env.docname)
    title = next(iter(doctree.findall(nodes.title)), None)
    if not links or title is None or title.parent is None:
        return
    items = "".join(
        f'<a class="book-badge book-badge-{kind}" href="{escape(address)}">{words}</a>'
        for kind, words, address in links
    )
    row = nodes.raw("", f'<p class="book-badges">{items}</p>', format="html")
    title.parent.insert(title.parent.index(title) + 1, row)


def tune_buttons(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Launch only what is in the repository; download the plain notebook, not the page's source."""
    buttons = context.get("header_buttons", [])
    has_notebook = (Path(app.srcdir) / f"{pagename}.ipynb").exists()
    if not has_notebook:
        buttons[:] = [b for b in buttons if b.get("label") != "launch-buttons"]
    for group in buttons:
        if group.get("label") != "download-buttons":
            continue
        group["buttons"] = [b for b in group["buttons"] if b.get("label") == "download-pdf-button"]
        if has_notebook:
            group["buttons"].insert(0, notebook_button(pagename))


def notebook_button(pagename: str) -> dict[str, str]:
    """The header's button that downloads the notebook beside the page."""
    return {
        "type": "link",
        "url": f"{Path(pagename).name}.ipynb",
        "text": ".ipynb",
        "icon": "fas fa-code",
        "tooltip": "Download the notebook",
        "label": "download-notebook-button",
    }


def copy_notebooks(app: Sphinx, exception: Exception | None) -> None:
    """Put the notebooks beside their pages, so that they can be downloaded offline too."""
    if exception or app.builder.format != "html":
        return
    for docname in app.env.found_docs:
        notebook = Path(app.srcdir) / f"{docname}.ipynb"
        if notebook.exists():
            shutil.copyfile(notebook, Path(app.outdir) / f"{docname}.ipynb")


def plain_status(ok: bool) -> str:
    """Words for the status page's table, where an emoji would need a font for it."""
    return "complete" if ok else "failed"


def setup(app: Sphinx) -> dict[str, Any]:
    """Register everything above."""
    register_plugin("sphinxcontrib.bibtex.style.referencing", "author_year_round", AuthorYearRound)
    register_pybtex_plugin(
        "pybtex.style.formatting", "author_year_round", klass=AuthorYearBibliography
    )
    execution_tables._key2transform["succeeded"] = plain_status
    app.connect("config-inited", set_baseurl)
    app.connect("source-read", read_source)
    app.connect("doctree-read", add_badges)
    app.connect("html-page-context", tune_buttons, priority=900)
    app.connect("build-finished", copy_notebooks)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
