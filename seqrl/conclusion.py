"""The numbers that the book's last page states, from records, as they are printed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from seqrl import comparison, replication, robot_tables, scorecard, tt_studies, verdict
from seqrl.dt_studies import CONTEXT
from seqrl.environments.levels import LEVELS
from seqrl.intervals import Interval
from seqrl.leap_studies import REFINEMENT
from seqrl.results import Row


def intervals(records: Iterable[Row]) -> dict[str, Interval | None]:
    """Differences in success by what they compare, with 95 % intervals; None where not recorded.

    "a − b" on mixed data is the mean over the levels that both have; "robots a − b" is that over
    the robots' datasets, in hundredths of the normalized score.
    """
    rows = list(records)
    paired = (("dt", "bc25"), ("dt", "iql"), ("dt", "bc"), ("tt", "bc"), ("leap", "bc"))
    found = {f"{a} − {b}": verdict.pooled(_levels(rows, a), _levels(rows, b)) for a, b in paired}
    robots = [("dt", other) for other in ("bc", "bc10", "rvs", "iql")] + [("iql", "bc10")]
    found |= {f"robots {a} − {b}": verdict.over_robots(rows, a, b) for a, b in robots}
    for method in ("dt", "iql"):
        late, usual = replication.late(rows, method)
        found[f"{method} late"] = comparison.difference(late, usual, "success")
    dt, bc, successes = (
        comparison.cells(rows, m, "KeyToDoor/random-1000") for m in ("dt", "bc", "bc_success")
    )
    found["door"] = comparison.difference(dt, bc, "success")
    found["door filter"] = comparison.difference(dt, successes, "success")
    studies: dict[str, tuple[str, dict[str, object], dict[str, object]]] = {
        "context": (CONTEXT, {"context": 8}, {"context": 1}),
        "search": (
            tt_studies.PLANNING,
            {"search": "plan, beam 16, horizon 3"},
            {"search": "likeliest action"},
        ),
        "refining": (REFINEMENT, _revised(10), _revised(1)),
    }
    for name, (study, a, b) in studies.items():
        found[name] = comparison.difference(_of(rows, study, a), _of(rows, study, b), "success")
    return found


def texts(records: Iterable[Row]) -> dict[str, str]:
    """Everything that the page states, ready to be read: points of success, shares and counts."""
    rows = list(records)
    words = {name: comparison.text(x, 100, sign=True) for name, x in intervals(rows).items()}
    words["levels"] = str(len(LEVELS))
    words["leap levels"] = str(sum(map(bool, _levels(rows, "leap"))))
    words["search cost"] = _times(rows, "tt")
    words["leap cost"] = _times(rows, "leap")
    for name, iterations in (("drafted", 1), ("revised", 10)):
        ways = [r["scores"]["path_ratio"] for r in _of(rows, REFINEMENT, _revised(iterations))]
        words[name] = f"{np.mean(ways):.2f}" if ways else comparison.DASH
    words["seeds iql"], words["seeds dt"] = (f"{spread(rows, m):.1f}" for m in ("iql", "dt"))
    counts = scorecard.counts(rows)
    words |= {name: str(n) for name, n in counts.items()} | {"claims": str(sum(counts.values()))}
    critic = [r["scores"]["trained: key"] for r in _of(rows, "DT critic", {})]
    words["critic"] = f"{100 * min(critic):.0f} %" if critic else comparison.DASH
    heads = replication.heads(rows)
    words["heads"] = str(heads.total())
    words["named heads"] = str(heads.total() - heads["neither"])
    tenth = robot_tables.ahead(rows, "dt", "bc10")
    words["robots"] = str(len(tenth))
    runs = [run for x in tenth for run in robot_tables.runs(rows, "dt", x.dataset)]
    words["robots updates"] = (
        " or ".join(f"{n:,}" for n in sorted({robot_tables.updates(run) for run in runs}))
        or comparison.DASH
    )
    words |= {f"robots {side}": str(sum(x.verdict == side for x in tenth))
              for side in ("ahead", "behind")}  # fmt: skip
    return words


def spread(records: Iterable[Row], method: str) -> float:
    """How far a method's training seeds lie apart on mixed data: points of success.

    The standard deviation over seeds, as a mean over the levels with several; NaN without any.
    """
    rows = list(records)
    cells = [[r["scores"]["success"] for r in runs] for runs in _levels(rows, method)]
    apart = [np.std(x, ddof=1) for x in cells if len(x) > 1]
    return 100 * float(np.mean(apart)) if apart else float("nan")


def _times(records: Sequence[Row], method: str) -> str:
    """How many of cloning's actions one of a method's actions costs, to one digit."""
    spent = verdict.costs(records, replication.ROOM)
    if method not in spent or "bc" not in spent:
        return comparison.DASH
    times = spent[method][0] / spent["bc"][0]
    return f"{float(f'{times:.1g}'):,.0f}"


def _levels(records: Sequence[Row], method: str) -> list[list[Row]]:
    return [comparison.cells(records, method, f"{level}/mixed") for level in LEVELS]


def _revised(iterations: int) -> dict[str, object]:
    return {"search": "sampled", "chains": 4, "execute": 5, "iterations": iterations}


def _of(records: Sequence[Row], method: str, config: dict[str, object]) -> list[Row]:
    return [
        r
        for r in records
        if r["method"] == method and all(r["config"].get(k) == v for k, v in config.items())
    ]
