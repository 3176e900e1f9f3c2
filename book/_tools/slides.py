"""`make slides`: a deck for each chapter, one HTML file that needs nothing else and no network.

    python book/_tools/slides.py [_build/html] [--out _build/slides]

A deck is cut from the chapter as it was built: title and promise, objectives; then, section by
section, its first and its last sentence, its questions, numbered equations and figures; and the
summary. The paragraph that reads a figure, and the instructor's fold, are the speaker's notes.
reveal.js shows it: arrow keys turn, S opens the notes, ?print-pdf in the address prints.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import NamedTuple

from book_config import ROOT
from bs4 import BeautifulSoup, Tag

HERE = Path(__file__).parent
STATIC = ROOT / "book" / "_static"
KINDS = {".svg": "image/svg+xml", ".png": "image/png", ".gif": "image/gif", ".jpg": "image/jpeg",
         ".woff": "font/woff", ".woff2": "font/woff2"}  # fmt: skip
SHORT, ROOM = 50, 560  # characters: of a sentence that wants company, and of a summary on a slide
POINTS = re.compile(r"\b(lines?|cells?|numbers|below|above|rows?|columns?|figure|plot|picture)\b")
SETTINGS = re.compile(r"window\.MathJax = (\{.*?\})</script>", re.S)


class Slide(NamedTuple):
    """What one slide shows, and what only the speaker reads; both HTML."""

    kind: str  # a class of slides.css
    body: str
    notes: str = ""


def data_uri(path: Path) -> str:
    """A file as an address that holds it."""
    return f"data:{KINDS[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"


def sentences(paragraph: Tag | None) -> list[str]:
    """The sentences of a paragraph, which stand one a line in the sources, as HTML."""
    if paragraph is None:
        return []
    copy = BeautifulSoup(paragraph.decode_contents(), "html.parser")
    for link in copy.find_all("a"):
        link.unwrap()
    for tag in copy.find_all(id=True):
        del tag["id"]
    return [line.strip() for line in copy.decode_contents().split("\n") if line.strip()]


def paragraphs(section: Tag) -> list[Tag]:
    """The running text of a section: no boxes, captions or outputs."""
    return [p for p in section.find_all("p", recursive=False) if "book-badges" not in _classes(p)]


def heading(section: Tag) -> str:
    """The title of a section, as HTML."""
    title = BeautifulSoup(str(section.find(re.compile("h[1-6]"))), "html.parser").contents[0]
    assert isinstance(title, Tag)
    for link in title.select(".headerlink"):
        link.decompose()
    return title.decode_contents().strip()


def whole(sentence: str) -> bool:
    """Whether it ends, instead of leading over to an equation or to code."""
    return sentence.endswith((".", "?", "!", ".)"))


def opener(section: Tag) -> Slide:
    """A section's title and its first sentence, or its first two where that is very short."""
    first = [line for p in paragraphs(section)[:1] for line in sentences(p)]
    count = 2 if first and len(first[0]) < SHORT else 1
    lead = " ".join(line for line in first[:count] if whole(line))
    told = f'<p class="lead">{lead}</p>' if lead else ""
    return Slide("opener", f"<h2>{heading(section)}</h2>{told}", _noted(first[count:]))


def takeaway(section: Tag, kind: str) -> str:
    """The sentence with which a section ends, if a slide of that kind can show what it is about."""
    lines = [line for p in paragraphs(section) for line in sentences(p)]
    last = lines[-1] if len(lines) > 2 else ""
    pointing = kind != "figure" and POINTS.search(last)
    shown = whole(last) and not pointing and kind != "question"
    return f'<p class="takeaway">{last}</p>' if shown else ""


def of_section(section: Tag, image: Path) -> list[Slide]:
    """A section's slides; its last sentence closes the last of them."""
    kicker, slides = f'<div class="kicker">{heading(section)}</div>', [opener(section)]
    for part in section.select("div.math[id], figure, div.admonition.tip"):
        if part.name == "figure":
            slides += _figure(part, kicker, image)
        elif "math" in _classes(part):
            slides.append(_equation(part, kicker))
        else:
            slides.append(_question(part, kicker))
    last = slides.pop()
    return [*slides, last._replace(body=last.body + takeaway(section, last.kind))]


def _figure(figure: Tag, kicker: str, folder: Path) -> Iterator[Slide]:
    """A picture with its caption; what is drawn by a script on the page is left to the page."""
    picture = figure.find("img")
    if not isinstance(picture, Tag):
        return
    address = data_uri((folder / str(picture["src"])).resolve())
    shown = f'<img src="{address}" alt="{escape(str(picture.get("alt", "")))}">'
    number, words = (figure.select_one(f".caption-{part}") for part in ("number", "text"))
    label = f"<b>{number.get_text(strip=True)}</b> " if number else ""
    caption = f'<p class="caption">{label}{" ".join(sentences(words))}</p>'
    cell = figure.find_parent("div", class_="cell") or figure
    reading = cell.find_next_sibling()
    notes = sentences(reading) if isinstance(reading, Tag) and reading.name == "p" else []
    yield Slide("figure", f'{kicker}<div class="picture">{shown}</div>{caption}', _noted(notes))


def _equation(math: Tag, kicker: str) -> Slide:
    """A numbered equation between the sentence before it and the one after it."""
    number = math.select_one(".eqno")
    label = number.get_text().strip(" #\n") if number else ""
    around = [math.find_previous_sibling(), math.find_next_sibling()]
    before, after = (sentences(p) if isinstance(p, Tag) and p.name == "p" else [] for p in around)
    formula = re.sub(r"<span class=\"eqno\">.*?</span>", "", math.decode_contents(), flags=re.S)
    middle = [*(f"<p>{line}</p>" for line in before[-1:]), f'<div class="math">{formula}</div>']
    middle += [f"<p>{line}</p>" for line in after[:1]]
    top = f'<div class="top">{kicker}<span class="number">{label}</span></div>'
    return Slide("equation", f'{top}<div class="middle">{"".join(middle)}</div>', _noted(after[1:]))


def _question(box: Tag, kicker: str) -> Slide:
    """What do you expect? Asked before the figure that answers it."""
    title = box.select_one(".admonition-title")
    lines = [line for p in box.find_all("p") if p is not title for line in sentences(p)]
    told = f"<h2>{title.get_text(strip=True)}</h2>" if title else ""
    middle = told + "".join(f"<p>{line}</p>" for line in lines)
    return Slide("question", f'{kicker}<div class="middle">{middle}</div>')


def slides_of(page: Path) -> list[Slide]:
    """The slides of a built page, which was read from `page`."""
    article = BeautifulSoup(page.read_text("utf8"), "html.parser").select_one("article section")
    if not isinstance(article, Tag):
        raise ValueError(f"{page} is no page of a built book.")
    promise = [s for p in paragraphs(article)[:1] for s in sentences(p)]
    title = f'<div class="kicker">Transformers, Take the Wheel!</div><h1>{heading(article)}</h1>'
    lead = f'<p class="lead">{" ".join(promise[:2])}</p>'
    logo = f'<img class="logo" alt="" src="{data_uri(STATIC / "logo.svg")}">'
    fold = [b for b in article.select("div.admonition") if "For instructors" in b.get_text()[:40]]
    notes = [s for box in fold for p in box.find_all("p")[1:] for s in sentences(p)]
    slides = [Slide("title", title + lead + logo, _noted(notes))]
    if isinstance(goals := article.select_one("div.objectives"), Tag):
        points = [" ".join(sentences(item.find("p") or item)) for item in goals.find_all("li")]
        needed = [s for p in goals.find_all("p", recursive=False)[1:] for s in sentences(p)]
        slides.append(_list("You will learn to", points, _noted(needed)))
    for section in article.find_all("section", recursive=False):
        if heading(section) == "Summary":
            told = [s for p in paragraphs(section) for s in sentences(p)]
            told = [s for s in told if not s.startswith("<strong>")]  # exercises, further reading
            fit = [s for i, s in enumerate(told) if sum(map(len, told[: i + 1])) < ROOM]
            slides.append(_list("Summary", fit, _noted(told[len(fit) :])))
        elif heading(section) != "What this page claims":
            slides += of_section(section, page.parent)
    return slides


def _list(title: str, points: list[str], notes: str) -> Slide:
    """A heading and its points; one that begins with an objective's name has it in front."""
    items = []
    for point in points:
        name = re.match(r"<strong>(O\d+\.\d+)</strong>\s*", point)
        mark = f'<span class="number">{name[1]}</span>' if name else '<span class="dot">–</span>'
        items.append(f"<li>{mark}<span>{point[name.end() :] if name else point}</span></li>")
    return Slide("list", f"<h2>{title}</h2><ul>{''.join(items)}</ul>", notes)


def _noted(lines: list[str]) -> str:
    return f"<p>{' '.join(lines)}</p>" if lines else ""


def _classes(tag: Tag) -> list[str]:
    return list(tag.get_attribute_list("class"))


def style() -> str:
    """reveal.js's style, the book's fonts and the decks' own look."""
    sheet = (STATIC / "custom.css").read_text("utf8")
    faces = "\n".join(re.findall(r"@font-face \{.*?\}", sheet, re.S))
    held = re.sub(r'url\("(.*?)"\)', lambda m: f'url("{data_uri(STATIC / m[1])}")', faces)
    return "\n".join([script("reveal/reveal.css"), held, script("slides.css")])


def script(name: str) -> str:
    """A file of this folder, so that it can stand inside a page."""
    return (HERE / name).read_text("utf8").replace("</script", "<\\/script")


def deck(page: Path) -> str:
    """The deck of a built page: one HTML file."""
    slides = slides_of(page)
    settings = SETTINGS.search(page.read_text("utf8"))
    mathjax = STATIC / "mathjax"
    woff = sorted((mathjax / "output").rglob("*.woff"))
    shown = [
        f'<section class="{s.kind}"><div class="frame">{s.body}</div>'
        f'<aside class="notes">{s.notes}</aside></section>'
        for s in slides
    ]
    title = BeautifulSoup(slides[0].body, "html.parser").select_one("h1")
    return (
        (HERE / "slides.html")
        .read_text("utf8")
        .format(
            title=escape(title.get_text() if title else page.stem),
            css=style(),
            slides="\n".join(shown),
            mathjax=settings[1] if settings else "{}",
            fonts=json.dumps({path.name: data_uri(path) for path in woff}),
            typeset=script("reveal/tex-mml-chtml.js"),
            reveal=script("reveal/reveal.js"),
            speaker=script("reveal/notes.js"),
        )
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="a deck of slides for each chapter")
    parser.add_argument("site", type=Path, nargs="?", default=ROOT / "_build" / "html")
    parser.add_argument("--out", type=Path, default=ROOT / "_build" / "slides")
    options = parser.parse_args()
    pages = sorted((options.site / "book").glob("[0-9]*.html"))
    if not pages:
        print(f"There is no chapter in {options.site}; run `make book` first.")
        return 1
    options.out.mkdir(parents=True, exist_ok=True)
    for page in pages:
        path = options.out / page.name
        path.write_text(deck(page), "utf8")
        print(f"wrote {path}  ({len(slides_of(page))} slides, {path.stat().st_size / 1e6:.1f} MB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
