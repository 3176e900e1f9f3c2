"""Grading a class: 200 submissions of sheet 1, a tenth of them hostile, on all cores.

Honest ones answer with the wrong-answer bank, as students do; hostile ones loop, crash, kill,
forge and flood. All rows must arrive, and no hostile one may earn a point.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from pathlib import Path

Row = tuple[str, float, str]

ROOT = Path(__file__).parents[1]
SUBMISSIONS, HOSTILE = 200, 20


def main() -> list[Row]:
    """Grade, confirm that every row is there, and print how long it took."""
    sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "book" / "_tools")]
    import pack as pack_tool
    import submissions

    from seqrl.checks import exercise
    from seqrl.checks.sheet01 import EXERCISES
    from seqrl.grading import grader
    from seqrl.grading.packs import Pack

    worth = {e.id: e.difficulty for e in EXERCISES}
    solution = (ROOT / "solutions" / "01-trajectories.ipynb").read_bytes()
    seeds = tuple(10**11 + 1000 * i for i in range(8))
    pack = Pack("01-trajectories", worth, seeds, pack_tool.warm(solution), 15.0)
    honest, chosen = submissions.from_bank(pack, SUBMISSIONS - HOSTILE)
    bad = submissions.hostile(pack)
    bad = [replace(bad[i % len(bad)], student=f"hostile {i}") for i in range(HOSTILE)]
    everyone = [
        s for i in range(10) for s in (*honest[18 * i : 18 * i + 18], *bad[2 * i : 2 * i + 2])
    ]
    begin, before = time.perf_counter(), os.times()
    rows = {g.submission.student: g for g in grader.grade(pack, everyone)}
    seconds, after = time.perf_counter() - begin, os.times()
    computed = sum(after[:4]) - sum(before[:4])  # on a busy machine the steadier number
    assert len(rows) == SUBMISSIONS, f"{SUBMISSIONS - len(rows)} rows are missing"
    earned = [s.file for s in bad if any(rows[s.student].results)]
    assert not earned, f"a hostile submission earned points: {earned}"
    _, bank = submissions.bank(1)
    other = [
        f"{exercise(id).name} = {answer.__name__}: {result.message}"
        for student, answers in zip(honest, chosen)
        for id, answer, result in zip(worth, answers, rows[student.student].results)
        if result.passed != (answer in bank.RIGHT[id])
    ]
    assert not other, other
    alone = sorted(rows[s.student].seconds for s in honest)[len(honest) // 2]
    found = [
        (f"grade {SUBMISSIONS} submissions, {HOSTILE} of them hostile", seconds, "s"),
        ("the same, computing of all processes together", computed, "s"),
        ("an honest submission, median", alone, "s"),
    ]
    for name, value, unit in found:
        print(f"{name:<58} {value:>9,.2f} {unit}", flush=True)
    return found


if __name__ == "__main__":
    main()
