"""Sphinx extension: what makes pages a site: cards for links, a sitemap, a page for lost readers.

There is no robots.txt: a host reads it only at its top, and the book is published below it.
"""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from typing import Any

from book_page import repository
from docutils import nodes
from sphinx.application import Sphinx

CARD = "_static/social-card.png"
CARD_SIZE = (1200, 630)
CARD_ALT = "A grid world that an agent has crossed, beside the title of the book"
SUMMARY_LENGTH = 200  # characters, of a page's first paragraph


def summary(doctree: nodes.document) -> str:
    """The first paragraph of a page in one line, cut at a word."""
    for paragraph in doctree.findall(nodes.paragraph):
        text = " ".join(paragraph.astext().split())
        if len(text) > 40 and not isinstance(paragraph.parent, nodes.entry):
            short = text[: SUMMARY_LENGTH + 1]
            return text if len(text) <= SUMMARY_LENGTH else short.rsplit(" ", 1)[0] + " …"
    return ""


def add_cards(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """What a link to the page looks like elsewhere: OpenGraph and Twitter."""
    if doctree is None:
        return
    place = repository(app)
    title = re.sub(r"<[^>]+>", "", context.get("title") or app.config.html_title)
    words = summary(doctree)
    found = {
        "og:type": "website" if pagename == app.config.root_doc else "article",
        "og:site_name": app.config.html_short_title,
        "og:title": title,
        "og:description": words,
        "og:url": place.page(pagename),
        "og:image": place.site + CARD,
        "og:image:alt": CARD_ALT,
        "og:image:width": str(CARD_SIZE[0]),
        "og:image:height": str(CARD_SIZE[1]),
    }
    tags = [f'<meta property="{name}" content="{escape(text)}">' for name, text in found.items()]
    named = {"twitter:card": "summary_large_image", "description": words}
    tags += [f'<meta name="{name}" content="{escape(text)}">' for name, text in named.items()]
    context["metatags"] = context.get("metatags", "") + "\n".join(tags)


def sitemap(addresses: list[str]) -> str:
    """The sitemap of these addresses; see sitemaps.org."""
    items = "".join(f"<url><loc>{escape(address)}</loc></url>\n" for address in addresses)
    head = '<?xml version="1.0" encoding="utf-8"?>\n'
    return f'{head}<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{items}</urlset>\n'


LOST = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>No such page: {title}</title>
<style>
:root {{ color-scheme: light dark; --paper: #fdfdfb; --ink: #23272d; --link: #1c5c94; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --paper: #14171b; --ink: #d8dde3; --link: #86bdeb; }} }}
body {{ background: var(--paper); color: var(--ink); font: 18px/1.6 Georgia, serif; margin: 0;
  display: grid; min-height: 100vh; place-items: center; }}
article {{ max-width: 32rem; padding: 2rem; }}
svg {{ width: 96px; }}
h1 {{ font: 600 1.9rem/1.2 system-ui, sans-serif; }}
a {{ color: var(--link); }}
</style>
</head>
<body>
<article>
{logo}
<h1>This cell is a wall</h1>
<p>There is no page at this address. It may have moved, or the link has a slip in it.</p>
<p><a href="{home}">Begin at the first page</a>, <a href="{search}">search the book</a>, or
<a href="{report}">tell us about the link</a> that led you here.</p>
</article>
</body>
</html>
"""


def write_files(app: Sphinx, exception: Exception | None) -> None:
    """The sitemap and the page for wrong addresses, beside the built pages.

    That page is shown at any depth, so it holds everything it needs and its links are whole.
    """
    if exception or app.builder.format != "html":
        return
    place, out = repository(app), Path(app.outdir)
    pages = [place.page(name) for name in sorted(app.env.found_docs)]
    (out / "sitemap.xml").write_text(sitemap(pages), "utf8")
    text = LOST.format(
        title=escape(app.config.html_short_title),
        logo=(Path(app.srcdir) / "book" / "_static" / "logo.svg").read_text("utf8"),
        home=place.page(app.config.root_doc),
        search=place.page("search"),
        report=f"{place.url}/issues/new?title=A%20link%20leads%20nowhere",
    )
    (out / "404.html").write_text(text, "utf8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the tags and the files."""
    app.connect("html-page-context", add_cards, priority=900)
    app.connect("build-finished", write_files)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
