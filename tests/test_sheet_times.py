"""How long sheets compute: what is measured, and that the instructors' page has all of it."""

import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "book" / "_tools"))
import instructors  # noqa: E402
import sheet_times  # noqa: E402


def test_a_notebook_is_run_at_its_speed_and_its_computing_is_counted(tmp_path):
    source = (
        "import os, time\n"
        "assert os.environ['SEQRL_SPEED'] == 'smoke'\n"
        "assert not os.path.exists(os.environ['SEQRL_HOME'])\n"
        "begin = time.process_time()\n"
        "while time.process_time() < begin + 1: pass"
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    nbformat.write(notebook, tmp_path / "a.ipynb")
    found = sheet_times.measure(tmp_path / "a.ipynb", speed="smoke")
    assert 1 <= found["computing"] <= 20
    assert found["seconds"] >= 0.5


def test_every_sheet_was_measured_and_trains_for_less_than_five_minutes():
    kept = instructors.sheet_times(ROOT)
    assert sorted(kept) == sorted(path.stem for path in (ROOT / "solutions").glob("*.ipynb"))
    assert all(0 < run["computing"] < 300 and run["commit"] for run in kept.values())


def test_the_table_has_a_row_a_page_and_leaves_no_exercise_out():
    rows = instructors.times(ROOT).splitlines()[2:]
    pages = sorted((ROOT / "book").glob("[0-9]*.md"))
    assert [page.name for page in pages] == [row.split("](")[1].split(")")[0] for row in rows]
    sheets = instructors.exercises(ROOT).values()
    told = [row.split(" | ")[3] for row in rows]  # a page below a chapter may have none
    work = [int(words.removesuffix(" min")) for words in told if words != "–"]
    assert sum(work) == sum(e.minutes for sheet in sheets for e in sheet)
    assert "| 1.1 to 1.3 |" in rows[0] and "| 1.4 to 1.6 |" in rows[1]
    assert rows[0].endswith(" s |") and rows[1].endswith("|  |")
    assert "Recorded" in instructors.measured_on(ROOT)
