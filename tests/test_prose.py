"""US spelling and no word twice, on every page and in every sheet; each chapter leads on."""

import re
import sys
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book" / "_tools"))

from book_config import load_pages  # noqa: E402

CHAPTERS = [page.docname for page in load_pages(ROOT) if page.counts_in]
TEXTS = [*ROOT.glob("book/*.md"), *ROOT.glob("solutions/*.md"), *ROOT.glob("*.md")]
BRITISH = re.compile(
    r"""\b(?:
    \w*(?:colour|behaviour|favour|neighbour|honour|labour|flavour|rumour)\w*
    | \w*(?:label|model|travel|cancel|channel|signal|level|fuel|tunnel)l(?:ed|ing|er|ers)
    | \w+(?:[ai]lis|ris|mis|nis|tis|gnis)(?:e|ed|es|ing|ation)
    | cent(?:re|red|res) | met(?:re|res) | licence | defence | offence | grey | whilst | towards
    | artefact\w* | learnt | spelt | programme[sd]? | catalogue | judgement | sceptic\w*
    | analyse\w*
    )\b""",
    re.X | re.I,
)
FINE = """arise arises arising rise rises rising surprise surprised surprises surprising promise
promised promises promising premise premises treatise advertise expertise enterprise comprise
compromise compromised"""
TWICE = re.compile(r"\b(the|a|an|of|to|and|in|is|it|that|with|for|on|as|not) \1\b", re.I)


def foreign(text: str) -> list[str]:
    return [word for word in BRITISH.findall(text) if word.lower() not in FINE.split()]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_spelling_is_american_and_no_word_stands_twice(path: Path) -> None:
    text = re.sub(r"https?://\S+", "", path.read_text("utf8"))
    assert foreign(text) == []
    assert [found[0] for found in TWICE.finditer(text)] == []


def test_british_words_are_seen() -> None:
    text = "colour behaviours labelled modelling generalise recognised normalisation centre grey"
    assert foreign(text) == text.split()
    assert foreign("color labeled modeling generalize surprise raised exercise noise center") == []


@pytest.mark.parametrize("page", list(pairwise(CHAPTERS)), ids=lambda page: Path(page[0]).stem)
def test_the_end_of_a_chapter_leads_to_the_next(page: tuple[str, str]) -> None:
    this, following = page
    text = (ROOT / f"{this}.md").read_text("utf8")
    summary = text.split("\n## Summary\n")[1].split("\n**Further reading.**")[0]
    assert f"]({Path(following).name}.md)" in summary
