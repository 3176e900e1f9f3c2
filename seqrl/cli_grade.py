"""The command `grade`, which runs the checks of a sheet on a folder of submissions; see `cli`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def _add_grade(commands: Any) -> None:
    text = "Grade submissions: a table, and a page of feedback for each student."
    parser = commands.add_parser("grade", help=text, description=text)
    parser.add_argument("pack", type=Path, metavar="PACK", help="what `make pack` wrote")
    parser.add_argument(
        "submissions", type=Path, metavar="SUBMISSIONS", help="a notebook or a folder each student"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("grades"), help="folder, by default grades"
    )
    parser.add_argument("--processes", type=int, help="by default one a core")
    parser.add_argument(
        "--gradescope", type=Path, metavar="JSON", help="SUBMISSIONS is one student's; write this"
    )
    parser.add_argument(
        "--unconfined", action="store_true", help="grade although this system cannot confine them"
    )
    parser.set_defaults(run=_grade)


def _grade(a: argparse.Namespace) -> int:
    from seqrl.grading import packs, report, sandbox
    from seqrl.grading.grader import grade

    open_doors = sandbox.missing()
    if open_doors and not a.unconfined:
        raise ValueError(
            f"submissions cannot be confined here. {' '.join(open_doors)} Grade on Linux or in a "
            "container; --unconfined grades all the same, at your own risk."
        )
    pack = packs.read_pack(a.pack)
    hidden = [a.pack, a.submissions, a.out]
    if a.gradescope:
        found = [packs.one(a.submissions, "submission", "submission", pack.name)]
        (graded,) = grade(pack, found, hidden)
        report.write_gradescope(a.gradescope, pack, graded)
        return 0
    found = packs.find(a.submissions, pack.name)
    begin, rows = time.monotonic(), []
    for graded in grade(pack, found, hidden, a.processes):
        rows.append(graded)
        _progress(len(rows), len(found))
    a.out.mkdir(parents=True, exist_ok=True)
    report.write_table(a.out / "grades.csv", pack, rows)
    report.write_pages(a.out / "feedback", pack, rows)
    print(f"{len(rows)} submissions in {time.monotonic() - begin:.1f} seconds: {a.out}/grades.csv")
    return 0


def _progress(done: int, count: int) -> None:
    """A line that replaces itself, on a terminal only."""
    if sys.stderr.isatty():
        print(f"\r{done} of {count}", end="\n" if done == count else "", file=sys.stderr)


COMMANDS: tuple[Callable[[Any], None], ...] = (_add_grade,)
