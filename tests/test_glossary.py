"""Each chapter links a term of the glossary where it first uses it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

BOOK = Path(__file__).resolve().parents[1] / "book"
PAGES = sorted([*BOOK.glob("0*.md"), BOOK / "refresher.md"])
# Words of nearly every sentence, and words that have an everyday meaning too: they are linked on
# the page that introduces them.
BASIC = {
    "refresher": "action agent episode policy return reward state trajectory value",
    "01-trajectories": "context expert leak mission observation rollout token window",
    "02-transformer": "attention block head mask",
    "04-trajectory-transformer": "environment",
    "05-leap": "energy",
}
NOT_PROSE = [  # of these a first use is not asked
    r"\A---\n.*?\n---\n",
    r"^```.*?^```$",
    r"^\$\$.*?^\$\$[^\n]*$",
    r"^(?:#|\||:::|:\w|- \*\*O\d|\([\w-]+\)=$)[^\n]*",  # headings, tables, directives, objectives
    r"\$[^$\n]+\$",
    r"\[[^\]\n]*\]\([^)\n]*\)",
    r"(?:\{[\w:]+\})?`[^`\n]*`",  # code, and roles other than {term}
]


def terms() -> list[str]:
    """The glossary's terms, longer ones first, so that a map of attention is not just attention."""
    text = (BOOK / "glossary.md").read_text("utf8")
    body = text.split(":::{glossary}\n")[1].split("\n:::")[0]
    found = [line for line in body.splitlines() if line and not line.startswith(" ")]
    return sorted(found, key=len, reverse=True)


def prose(text: str) -> str:
    """`text` with everything else blanked out, every character in its place."""
    for pattern in NOT_PROSE:
        text = re.sub(pattern, _blank, text, flags=re.MULTILINE | re.DOTALL)
    return text


def _blank(found: re.Match[str]) -> str:
    linked = found[0].startswith("{term}")
    return found[0] if linked else re.sub(r"[^\n]", " ", found[0])


def inflected(words: str) -> str:
    """A pattern for the singular and the plural of a term."""
    return rf"{words[:-1]}(?:y|ies)" if words.endswith("y") else rf"{words}(?:s|es)?"


def first_use(text: str, term: str) -> tuple[str, bool] | None:
    """The line of the first use of `term` in `text`, and whether it is linked there."""
    words = r"\s".join(map(re.escape, term.split()))
    linked = rf"\{{term\}}`(?:[^`<]*<{words}>|{words})`"
    elsewhere = r"\{term\}`[^`]*`"  # a longer term that holds this one
    plain = rf"(?<![\w-]){inflected(words)}(?![\w-])"
    for found in re.finditer(f"({linked})|({elsewhere})|({plain})", text, re.I):
        if found[1] or found[3]:
            start = text.rfind("\n", 0, found.start()) + 1
            return text[start:].split("\n", 1)[0], bool(found[1])
    return None


def asked_of(page: str) -> list[str]:
    """The terms that a page has to link at their first use."""
    basic = {word: home for home, words in BASIC.items() for word in words.split()}
    return [term for term in terms() if basic.get(term, page) == page]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_term_is_linked_where_a_chapter_first_uses_it(page: Path) -> None:
    text = prose(page.read_text("utf8"))
    uses = {term: first_use(text, term) for term in asked_of(page.stem)}
    assert {term: use[0] for term, use in uses.items() if use and not use[1]} == {}


@pytest.mark.parametrize("page", sorted(BOOK.glob("*.md")), ids=lambda page: page.stem)
def test_every_term_that_is_linked_exists(page: Path) -> None:
    linked = re.findall(r"\{term\}`(?:[^`<]*<)?([^`<>]+)>?`", page.read_text("utf8"))
    assert {term.lower() for term in linked} - {term.lower() for term in terms()} == set()


def test_basic_words_are_linked_on_the_page_that_introduces_them() -> None:
    for home, words in BASIC.items():
        text = prose((BOOK / f"{home}.md").read_text("utf8"))
        for word in words.split():
            assert word in terms()
            assert first_use(text, word) is not None, f"{home} does not use {word!r}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A {term}`beam search` and a beam search.", True),
        ("{term}`Beam searches <beam search>` are many.", True),
        ("{term}`Behavior policies <behavior policy>`, no beam search.", False),
        ("A beam search, then {term}`beam search`.", False),
        ("Only beams.", None),
    ],
)
def test_what_counts_as_a_first_use(text: str, expected: bool | None) -> None:
    use = first_use(text, "beam search")
    assert (use and use[1]) == expected


def test_a_longer_term_is_not_a_use_of_a_shorter_one_and_code_is_no_prose() -> None:
    assert first_use("The {term}`attention map`.", "attention") is None
    assert first_use(prose("`attention`\n# attention\n[attention](x.md)"), "attention") is None
