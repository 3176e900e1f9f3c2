"""MyST's inline syntax as plain Markdown: roles, links, images, footnote marks, TeX macros."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bibliography import Bibliography
from blocks import MystError
from book_config import MD, Repository
from references import References, Target

TOKEN = re.compile(
    r"(?P<escape>\\[^\w\s])"
    r"|\{(?P<role>[a-zA-Z][\w:+.-]*)\}(?P<ticks>`+)(?P<content>(?:(?!\n\s*\n).)+?)(?P=ticks)(?!`)"
    r"|(?P<code>(?P<codeticks>`+)(?:(?!\n\s*\n).)+?(?<!`)(?P=codeticks)(?!`))"
    r"|(?P<math>\$\$?(?!\s)(?:\\.|[^$\\])+?(?<!\s)\$\$?(?!\d))"
    r"|!\[(?P<alt>[^\]]*)\]\((?P<image>[^)\s]+)(?:\s+\"[^\"]*\")?\)(?:\{[^}]*\})?"
    r"|\[\^(?P<footnote>[^\]]+)\]"
    r"|\[(?P<text>(?:`[^`]*`|\$[^$]*\$|[^\[\]]|\[[^\[\]]*\])*)\]"
    r"(?:\(<?(?P<link>[^)\s>]*)>?(?:\s+\"[^\"]*\")?\)|\{(?P<attributes>[^}]*)\})"
    r"|(?P<html><[^>\s][^>]*>)",
    re.DOTALL,
)
EXPLICIT = re.compile(r"^(?P<text>.*?)\s*<(?P<target>[^<>]+)>$", re.DOTALL)
ANCHORED = re.compile(r"\{(?:num)?ref\}`(?:[^`<]*<)?([^`<>]+)>?`|\]\(#?([\w:.-]+)\)")
VERBATIM_ROLES = {
    "code": "`{}`",
    "kbd": "<kbd>{}</kbd>",
    "sub": "<sub>{}</sub>",
    "sup": "<sup>{}</sup>",
    "math": "${}$",
    "abbr": "{}",
}


@dataclass
class Page:
    """What the conversion of one notebook needs to know, and the footnotes it has met."""

    docname: str
    root: Path
    references: References
    repository: Repository
    bibliography: Bibliography
    macros: dict[str, tuple[str, int]] = field(default_factory=dict)
    anchored: set[str] = field(default_factory=set)
    footnotes: list[str] = field(default_factory=list)
    for_students: bool = False

    def link(self, words: str, target: Target) -> str:
        """A link to a label: within the notebook, or to the published page."""
        if target.docname != self.docname:
            return f"[{words}]({self.repository.page(target.docname, target.anchor)})"
        if target.kind == "section" and target.title != self.references.titles[self.docname]:
            return f"[{words}](#{target.anchor})"
        return words


def convert(text: str, page: Page, line: int) -> str:
    """`text` (one or more paragraphs) in plain Markdown; MystError for what cannot be said."""

    def token(match: re.Match[str]) -> str:
        at = line + text.count("\n", 0, match.start())
        if match["role"]:
            return _role(match["role"], match["content"], page, at)
        if match["math"]:
            if match["math"].startswith("$$"):
                raise MystError(f"line {at}: display math stands on its own lines")
            return expand(match["math"], page.macros)
        if match["image"]:
            return f"![{match['alt']}]({image_address(match['image'], page, at)})"
        if match["footnote"]:
            return _footnote_mark(match["footnote"], page)
        if match["link"] is not None:
            return _link(match["text"], match["link"], page, at)
        if match["attributes"] is not None:
            return convert(match["text"], page, at)
        return match[0]

    return TOKEN.sub(token, text)


def _role(name: str, content: str, page: Page, line: int) -> str:
    """The Markdown of one role."""
    content = " ".join(content.split())
    if name in VERBATIM_ROLES:
        filled = VERBATIM_ROLES[name].format(content)
        return expand(filled, page.macros) if name == "math" else filled
    if name.startswith("cite"):
        try:
            return page.bibliography.cite(name, content)
        except KeyError as error:
            raise MystError(f"line {line}: {error} is not in references.bib") from None
    if name.startswith("bdg"):
        return f"**{content}**"
    if name.startswith("glue"):
        return f"`{content.partition(':')[0]}`"  # the notebook shows it in its own output
    if name in ROLES:
        explicit = EXPLICIT.match(content)
        words, target = (explicit["text"], explicit["target"]) if explicit else ("", content)
        return ROLES[name](words, target, page, line)
    raise MystError(f"line {line}: the notebooks have no words for the role {{{name}}}")


def _find(label: str, page: Page, line: int) -> Target:
    if label not in page.references.targets:
        raise MystError(f"line {line}: no page of the book has the label {label!r}")
    return page.references.targets[label]


def _ref(words: str, label: str, page: Page, line: int) -> str:
    target = _find(label, page, line)
    title = convert(target.title, page, line) if target.kind == "section" else target.words
    return page.link(words or title, target)


def _numref(words: str, label: str, page: Page, line: int) -> str:
    target = _find(label, page, line)
    for hole in ("%s", "{number}"):
        words = words.replace(hole, target.number)
    return page.link(words.replace("{name}", target.title) or target.words, target)


def _doc(words: str, docname: str, page: Page, line: int) -> str:
    if docname.startswith("/"):
        path = docname[1:]
    else:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(page.docname), docname))
    path = path.removesuffix(MD)
    if path not in page.references.titles:
        raise MystError(f"line {line}: {docname!r} is no page of the book")
    words = words or convert(page.references.titles[path], page, line)
    return f"[{words}]({page.repository.page(path)})"


def _term(words: str, term: str, page: Page, line: int) -> str:
    return words or term


ROLES: dict[str, Callable[[str, str, Page, int], str]] = {
    "eq": _numref,
    "numref": _numref,
    "ref": _ref,
    "doc": _doc,
    "term": _term,
}


def _link(words: str, address: str, page: Page, line: int) -> str:
    """A Markdown link; targets within the book become addresses that work in a notebook."""
    words = convert(words, page, line)
    if re.match(r"^[a-z][a-z0-9+.-]*:", address):
        return f"[{words}]({address})"
    path, _, anchor = address.partition("#")
    if not path or (path in page.references.targets and not anchor):
        label = path or anchor
        if label in page.references.targets:
            return _ref(words, label, page, line)
        return f"[{words}]({page.repository.page(page.docname, anchor)})"
    full = posixpath.normpath(posixpath.join(posixpath.dirname(page.docname), path))
    if full.removesuffix(MD) in page.references.titles:
        return _page_link(words, full.removesuffix(MD), anchor, page, line)
    if not (page.root / full).exists():
        raise MystError(f"line {line}: the link to {address!r} leads to no file or label")
    if full.endswith(".ipynb"):
        return f"[{words}]({page.repository.colab(full)})"
    return f"[{words}]({page.repository.url}/blob/{page.repository.ref}/{full})"


def _page_link(words: str, docname: str, anchor: str, page: Page, line: int) -> str:
    words = words or convert(page.references.titles[docname], page, line)
    return f"[{words}]({page.repository.page(docname, anchor)})"


def image_address(path: str, page: Page, line: int) -> str:
    """An address under which a notebook in Colab finds the image."""
    if re.match(r"^[a-z]+:", path):
        return path
    full = posixpath.normpath(posixpath.join(posixpath.dirname(page.docname), path))
    if not (page.root / full).exists():
        raise MystError(f"line {line}: there is no image {path!r}")
    return page.repository.raw(full)


def _footnote_mark(name: str, page: Page) -> str:
    """A raised number; footnotes are numbered in the order in which the text names them."""
    if name not in page.footnotes:
        page.footnotes.append(name)
    return f"<sup>{page.footnotes.index(name) + 1}</sup>"


def expand(math: str, macros: dict[str, tuple[str, int]]) -> str:
    """TeX with the book's macros written out, because notebooks do not know them."""
    for _ in range(5):  # macros may use macros
        before = math
        for name, (body, count) in macros.items():
            math = _expand_one(math, name, body, count)
        if math == before:
            break
    return math


def _expand_one(math: str, name: str, body: str, count: int) -> str:
    parts = re.split(rf"\\{name}(?![a-zA-Z])", math)
    result = parts[0]
    for rest in parts[1:]:
        filled = body
        for number in range(1, count + 1):
            argument, rest = _argument(rest)
            filled = filled.replace(f"#{number}", argument)
        space = " " if filled[-1:].isalpha() and rest[:1].isalpha() else ""
        result += filled + space + rest
    return result


def _argument(text: str) -> tuple[str, str]:
    """The first TeX argument of `text`, and what follows it."""
    text = text.lstrip()
    if not text.startswith("{"):
        return text[:1], text[1:]
    depth = 0
    for position, character in enumerate(text):
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return text[1:position], text[position + 1 :]
    raise MystError(f"unbalanced braces in {text!r}")
