"""The instructors' pages: nothing in the map dangles, and every known mistake is listed."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "book" / "_tools"))
import instructors  # noqa: E402
from jupytext.myst import myst_to_notebook  # noqa: E402

from seqrl.checks import exercise  # noqa: E402

PAGES = ("instructors.md", "instructors-map.md")


def test_nothing_in_the_map_dangles():
    assert list(instructors.dangling(ROOT)) == []


def section(id):
    """An exercise as a sheet has it."""
    asked = exercise(id)
    return f'## Exercise {id}: {asked.title}\n\n{asked.card}\n\ncheck("{id}", {asked.name})\n'


@pytest.mark.parametrize(
    ("file", "before", "after", "told"),
    [
        ("book/01-a.md", "## Sums", "## Other", "O1.1 is taught in 'Sums', which 01-a.md does not"),
        ("book/01-a.md", "**O1.1**", "**O1.17**", "objectives.toml knows O1.1, and no page"),
        ("book/01-a.md", "**O1.2**", "**O1.1**", "objective O1.1 is stated twice"),
        ("book/01-a.md", "**O1.5**", "**O1.18**", "1.3 is about O1.5, which no page states"),
        ("solutions/01-a.md", 'check("1.3"', 'chuck("1.3"', "are not those that it calls"),
        ("solutions/01-a.md", ", O1.5", "", "no exercise is about O1.5"),
    ],
)
def test_what_dangles_is_told(tmp_path, file, before, after, told):
    numbers = range(1, 10)
    texts = {
        "book/01-a.md": "".join(f"- **O1.{n}** know {n};\n" for n in numbers) + "## Sums\n",
        "book/objectives.toml": "".join(f'"O1.{n}" = "Sums"\n' for n in numbers),
        "solutions/01-a.md": "".join(section(f"1.{n}") for n in range(1, 6)),
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert list(instructors.dangling(tmp_path)) == []
    (tmp_path / file).write_text(texts[file].replace(before, after))
    assert any(told in sentence for sentence in instructors.dangling(tmp_path))


def test_the_map_leads_from_each_objective_to_its_checks():
    table = instructors.objective_map(ROOT)
    for o in instructors.objectives(ROOT):
        assert f"| {o.id} | {o.words} |" in table
    for sheet in instructors.exercises(ROOT).values():
        for e in sheet:
            assert f"{e.id} {e.title} ({e.minutes} min)" in table
            assert not e.check or f'`check("{e.id}", {e.check})`' in table
    assert "(01-trajectories.md#what-must-never-leak)" in table
    assert not re.search(r"\| *\|", table.split("\n", 1)[1]), "an objective has an empty cell"


def test_every_wrong_answer_of_the_banks_is_listed():
    listed = instructors.mistakes(ROOT)
    for _, bank in instructors.banks(ROOT):
        for wrong in bank.WRONG.values():
            for answer, phrase in wrong.items():
                assert answer.__name__.replace("_", " ") in listed
                assert phrase in listed


def test_a_page_below_a_chapter_may_have_no_exercises():
    rows = instructors.times(ROOT).splitlines()
    (below,) = [row for row in rows if "(03b-robots.md)" in row]
    assert below.endswith("| 20 min | – | – |  |")
    assert sum("| – | – |" in row for row in rows) == 2


@pytest.mark.parametrize("name", PAGES)
def test_the_pages_run_and_link_to_what_is_there(name, monkeypatch):
    text = (ROOT / "book" / name).read_text("utf8")
    monkeypatch.chdir(ROOT / "book")
    scope = {}
    for cell in myst_to_notebook(text).cells:
        if cell.cell_type == "code":
            exec(cell.source, scope)
    toc = (ROOT / "_toc.yml").read_text("utf8")
    assert f"book/{name}" in toc
    for target in re.findall(r"\]\(([\w./-]+\.md)\)", text):
        assert (ROOT / "book" / target).exists(), target
