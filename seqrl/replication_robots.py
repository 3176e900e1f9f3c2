"""Rules of the scorecard's rows on locomotion: records of the robots in, verdicts out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from seqrl import comparison, robot_tables, verdict
from seqrl.replication import NO, OPEN, PARTLY, YES, Found, judged, missing
from seqrl.results import Row


def _sides(found: Sequence[robot_tables.Ahead]) -> str:
    n = Counter(x.verdict for x in found)
    return f"ahead on {n['ahead']}, tied on {n['level']}, behind on {n['behind']} of {n.total()}"


def filtering(records: Sequence[Row]) -> Found:
    """Decision Transformer minus the best tenth, by the mean of the robots' datasets."""
    found = judged(verdict.over_robots(records, "dt", "bc10"), "DT − 10 %BC, mean of the robots:")
    if found.verdict == OPEN:
        return found
    return Found(found.verdict, f"{found.why}; {_sides(robot_tables.ahead(records, 'dt', 'bc10'))}")


def values(records: Sequence[Row]) -> Found:
    """Decision Transformer beside IQL on the robots' data: behind on none, or on some."""
    found = robot_tables.ahead(records, "dt", "iql")
    if len(found) < len(robot_tables.DATASETS):
        return missing()
    n = Counter(x.verdict for x in found)
    side = YES if not n["behind"] else PARTLY if n["ahead"] else NO
    dt, iql = (_updates(records, m, [x.dataset for x in found]) for m in ("dt", "iql"))
    single = sum(len(robot_tables.runs(records, "iql", x.dataset)) == 1 for x in found)
    short = f"{dt} and {iql} updates on as many steps of data; one seed of IQL on {single}"
    return Found(side, f"DT − IQL: {_sides(found)}; {short}")


def _updates(records: Sequence[Row], method: str, datasets: Sequence[str]) -> str:
    cells = [robot_tables.runs(records, method, name) for name in datasets]
    spent = sorted({robot_tables.updates(run) for cell in cells for run in cell})
    return " or ".join(f"{x:,}" for x in spent)


def late(records: Sequence[Row]) -> Found:
    """Paid at the end, IQL falls wherever it was tried, and Decision Transformer nowhere."""
    names = [x for x in robot_tables.DATASETS if robot_tables.paid_late(records, "iql", x)[0]]
    if not names:
        return missing()
    fallen = {}
    for method in ("dt", "iql"):
        cells = [robot_tables.paid_late(records, method, name) for name in names]
        found = [robot_tables.difference(*cell) for cell in cells]
        if None in found:
            return missing()
        fallen[method] = sum(x.high < 0 for x in found if x is not None)
    dt, iql = fallen.values()
    side = YES if (dt, iql) == (0, len(names)) else PARTLY if iql > dt else NO
    return Found(side, f"of {len(names)} datasets, IQL falls on {iql}, DT on {dt}")


def best(records: Sequence[Row]) -> Found:
    """Trajectory Transformer beside all others on each of the robots' datasets that it has.

    Not replicated needs three datasets at least, and replicated all of them.
    """
    found: dict[str, set[str]] = {}
    for other in robot_tables.METHODS:
        for x in robot_tables.ahead(records, "tt", other) if other != "tt" else ():
            found.setdefault(x.dataset, set()).add(x.verdict)
    if len(found) < 3:
        return missing("three datasets")
    behind = sum("behind" in sides for sides in found.values())
    alone = sum(sides == {"ahead"} for sides in found.values())
    every = len(found) == len(robot_tables.DATASETS)
    side = NO if behind == len(found) else YES if every and not behind else PARTLY
    robots = ", ".join(sorted({name.partition("/")[0] for name in found}))
    counts = f"best on {alone}, tied with the best on {len(found) - behind - alone}, "
    why = f"{counts}behind on {behind} of {len(found)}; small search"
    return Found(side, why if every else f"{robots} only: {why}")


def bins(records: Sequence[Row]) -> Found:
    """Quantile bins minus uniform ones where the paper has them furthest apart."""
    where = "halfcheetah/medium-expert"
    quantile = robot_tables.runs(records, "tt", where)
    uniform = robot_tables.runs(records, "tt", where, bins="uniform")
    x = robot_tables.difference(quantile, uniform)
    if x is None:
        return missing(f"runs on {where}")
    side = YES if x.low > 0 else NO if x.high < 0 else PARTLY
    return Found(side, f"quantile − uniform: {comparison.text(x, sign=True)}")
