"""What the grader writes: a table for the instructor, a page a student, Gradescope's JSON."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from seqrl.grading.grader import Graded
from seqrl.grading.packs import Pack

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>body {{ font: 1rem/1.5 sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem }}
div {{ margin: 1rem 0 }} pre {{ overflow-x: auto; white-space: pre-wrap }}</style>
<h1>{title}</h1>
<p>{student}: {points} of {possible} points.</p>
{verdicts}
{faults}
</html>
"""


def points(pack: Pack, graded: Graded) -> list[int]:
    """The points of each exercise: all of them for a right answer, otherwise none."""
    return [pack.points[result.id] if result else 0 for result in graded.results]


def write_table(path: Path, pack: Pack, rows: Iterable[Graded]) -> None:
    """One line a student, sorted by name: points of each exercise, their sum, what is wrong."""
    with path.open("w", newline="", encoding="utf8", errors="replace") as file:
        table = csv.writer(file)
        table.writerow(["student", *pack.points, "points", "possible", "seconds", "remarks"])
        for graded in sorted(rows, key=lambda g: g.submission.student):
            got = points(pack, graded)
            wrong = [f"{r.id}: {r.message}" for r in graded.results if not r]
            table.writerow(
                [
                    _cell(graded.submission.student),
                    *got,
                    sum(got),
                    sum(pack.points.values()),
                    f"{graded.seconds:.1f}",
                    _cell(" | ".join(" ".join(w.split()) for w in wrong)),
                ]
            )


def _cell(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return "'" + text if text[:1] in ("=", "+", "-", "@") else text


def page(pack: Pack, graded: Graded) -> str:
    """The feedback for one student, HTML."""
    listed = "".join(f"<li>{escape(fault)}</li>" for fault in graded.faults)
    return PAGE.format(
        title=f"Exercises {pack.name}",
        student=escape(graded.submission.student),
        points=sum(points(pack, graded)),
        possible=sum(pack.points.values()),
        verdicts="\n".join(result._repr_html_() for result in graded.results),
        faults=f"<p>Cells that failed:</p><ul>{listed}</ul>" if listed else "",
    )


def write_pages(folder: Path, pack: Pack, rows: Iterable[Graded]) -> None:
    """A page a student."""
    folder.mkdir(parents=True, exist_ok=True)
    for graded in rows:
        path = folder / f"{graded.submission.file}.html"
        path.write_text(page(pack, graded), "utf8", errors="replace")


def gradescope(pack: Pack, graded: Graded) -> dict[str, Any]:
    """The verdicts on one submission as Gradescope's `results.json` wants them."""
    tests: Sequence[dict[str, Any]] = [
        {
            "name": f"{result.id} {result.title}",
            "score": got,
            "max_score": pack.points[result.id],
            "status": "passed" if result else "failed",
            "output": "\n".join(filter(None, [result.message, result.case])),
        }
        for result, got in zip(graded.results, points(pack, graded))
    ]
    told = "\n".join(("Cells that failed:", *graded.faults)) if graded.faults else ""
    return {"tests": tests, "output": told, "execution_time": round(graded.seconds)}


def write_gradescope(path: Path, pack: Pack, graded: Graded) -> None:
    """Write `results.json`."""
    path.write_text(json.dumps(gradescope(pack, graded), indent=1), "utf8")
