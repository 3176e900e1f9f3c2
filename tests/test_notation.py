"""Every symbol of a labeled equation stands on the notation page."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book" / "_tools"))

from book_config import load_config, macros  # noqa: E402

PAGES = sorted((ROOT / "book").glob("*.md"))
EQUATION = re.compile(r"^\$\$\n(.*?)\n\$\$ \((eq-[\w-]+)\)$", re.M | re.S)
WORDS = re.compile(r"\\(?:text|operatorname\*?)\s*\{[^{}]*\}|\\(?:begin|end)\{\w+\}")
ACCENTS = ("hat", "tilde", "bar", "mathcal", "mathbb", "mathbf")
# Functions that every reader knows, relations, big operators, and what only sets the type.
PLAIN = """log exp max min sum prod sqrt frac tfrac partial infty cdot ldots dots sim propto mapsto
le ge in left right star quad qquad lvert rvert vert lVert rVert bigl bigr Bigl Bigr big Big"""
MACROS = macros(load_config(ROOT))


def expand(tex: str) -> str:
    """The book's macros replaced by what they stand for."""
    for name, (body, count) in MACROS.items():
        if count == 0:
            tex = re.sub(rf"\\{name}(?![A-Za-z])", lambda _, body=body: f"{body} ", tex)
        else:
            shown = body.replace("#1", r"\1")
            pattern = rf"\\{name}\s*\{{((?:[^{{}}]|\{{[^{{}}]*\}})*)\}}"
            tex = re.sub(pattern, shown.replace("\\", r"\\").replace(r"\\1", r"\1"), tex)
    return tex


def symbols(tex: str) -> set[str]:
    """The letters of a formula, each with its accent or alphabet, and its Greek letters."""
    tex = WORDS.sub(" ", expand(tex))
    accented = re.compile(rf"\\({'|'.join(ACCENTS)})\s*(?:\{{(\w)\}}|(\w))")
    found = {f"{accent} {a or b}" for accent, a, b in accented.findall(tex)}
    tex = accented.sub(" ", tex)
    commands = set(re.findall(r"\\([A-Za-z]+)", tex)) - set(PLAIN.split())
    letters = set(re.findall(r"[A-Za-z]", re.sub(r"\\[A-Za-z]+", "", tex)))
    return found | commands | letters


def on_the_page() -> set[str]:
    text = (ROOT / "book" / "notation.md").read_text("utf8")
    return set().union(*map(symbols, re.findall(r"\$([^$\n]+)\$", text)))


@pytest.mark.parametrize(
    ("tex", "expected"),
    [
        (r"\rtg_t = \sum_k \gamma^k r_{t+k}", {"hat R", "t", "k", "gamma", "r"}),
        (r"\argmax_a \EE[\hat x] \text{ as } \mathcal{D}", {"a", "mathbb E", "hat x", "mathcal D"}),
        (r"\frac{1}{\abs{\mathcal{Q}}} \log \pi", {"mathcal Q", "pi"}),
        (r"\begin{cases} S & \text{if } i \end{cases}", {"S", "i"}),
    ],
)
def test_the_symbols_of_a_formula(tex: str, expected: set[str]) -> None:
    assert symbols(tex) == expected


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_symbol_of_a_labeled_equation_is_on_the_notation_page(page: Path) -> None:
    known = on_the_page()
    text = page.read_text("utf8")
    missing = {label: symbols(tex) - known for tex, label in EQUATION.findall(text)}
    assert {label: found for label, found in missing.items() if found} == {}
    assert len(missing) == len(re.findall(r"^\$\$ \(eq-", text, re.M))


def test_every_equation_that_the_notation_page_names_exists() -> None:
    named = re.findall(r"\{eq\}`(eq-[\w-]+)`", (ROOT / "book" / "notation.md").read_text("utf8"))
    labels = {label for page in PAGES for _, label in EQUATION.findall(page.read_text("utf8"))}
    assert len(named) > 15 and set(named) <= labels
