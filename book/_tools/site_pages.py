"""What can be told from the built pages without a browser: links, anchors, words for images."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup, Tag

LEFTOVER = re.compile(r"\{[a-z][a-z:-]*\}`|:::|```\{|\{\{ ?\w+ ?\}\}")
CODE = ("pre", "code", "script", "style")


@dataclass
class PageFacts:
    """One built page: the links it makes, the places it offers, and what is wrong with it."""

    path: Path
    ids: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    images: int = 0
    has_math: bool = False
    problems: list[str] = field(default_factory=list)


def built_pages(site: Path) -> list[Path]:
    """Every page of the site, without what lies among its static files."""
    found = [p for p in site.rglob("*.html") if "_static" not in p.relative_to(site).parts]
    return sorted(found)


def read_page(path: Path) -> PageFacts:
    """Parse one page and judge what needs no other page."""
    soup = BeautifulSoup(path.read_text("utf8"), "html.parser")
    facts = PageFacts(path)
    facts.ids = {str(tag["id"]) for tag in soup.find_all(id=True)}
    facts.links = [str(tag["href"]) for tag in soup.find_all("a", href=True)]
    facts.links += [str(tag["src"]) for tag in soup.find_all(["img", "script"], src=True)]
    facts.has_math = soup.select_one(".math") is not None
    article = soup.select_one("article") or soup
    facts.images = len(_pictures(article))
    facts.problems = _unnamed(soup) + _headings(article) + _leftovers(article)
    return facts


def _pictures(soup: Tag) -> list[Tag]:
    """Images, and graphics that are not marked as decoration."""
    graphics = [g for g in soup.find_all("svg") if g.get("aria-hidden") != "true"]
    return [*soup.find_all("img"), *graphics]


def _unnamed(soup: Tag) -> list[str]:
    """Images and graphics without a text that stands for them; `alt=""` marks decoration."""
    wrong = []
    for image in soup.find_all("img"):
        in_figure = image.find_parent("article") is not None
        if image.get("alt") is None or (in_figure and not str(image["alt"]).strip()):
            wrong.append(f"image without alt text: {image.get('src', '')}")
    for graphic in soup.find_all("svg"):
        named = graphic.get("aria-label") or graphic.get("aria-labelledby") or graphic.find("title")
        inside = graphic.find_parent(attrs={"aria-label": True}) or graphic.find_parent(
            attrs={"aria-hidden": "true"}
        )
        if not named and not inside and graphic.get("aria-hidden") != "true":
            wrong.append(f"svg without a label: {str(graphic)[:80]}")
    return wrong


def _headings(article: Tag) -> list[str]:
    """One title, and no level left out below it."""
    levels = [int(h.name[1]) for h in article.find_all(re.compile(r"^h[1-6]$"))]
    wrong = [] if levels.count(1) == 1 else [f"{levels.count(1)} titles (h1) instead of one"]
    for above, below in pairwise(levels):
        if below > above + 1:
            wrong.append(f"a heading of level {below} follows one of level {above}")
    return wrong


def _leftovers(article: Tag) -> list[str]:
    """Markup that was meant for Sphinx and reached the reader."""
    texts = [t for t in article.find_all(string=True) if not t.find_parent(CODE)]
    found = [match[0] for text in texts for match in LEFTOVER.finditer(str(text))]
    return [f"markup left in the text: {word}" for word in found]


def broken_links(page: PageFacts, site: Path, pages: dict[Path, PageFacts]) -> list[str]:
    """Links within the site whose file or anchor does not exist."""
    wrong = []
    for link in page.links:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        target = page.path if not parts.path else (page.path.parent / unquote(parts.path)).resolve()
        if target.is_dir():
            target /= "index.html"
        if not target.exists() or not target.is_relative_to(site):
            wrong.append(f"broken link: {link}")
        elif (
            parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].ids
        ):
            wrong.append(f"no such anchor: {link}")
    return wrong
