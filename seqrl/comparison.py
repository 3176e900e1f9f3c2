"""Methods beside one another, from records: a table a dataset kind, and paired differences.

Differences are between runs on the same test episodes with the same training seeds; path lengths
are compared on the episodes that both solved.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from seqrl.intervals import Interval, paired_difference
from seqrl.results import Row, interval

DASH = "–"
LEAP_PAPER_DT = {  # success of Decision Transformer in LEAP's paper, %, of 200 episodes
    "GoToLocalS7N5": 73.0,
    "GoToLocalS8N7": 63.5,
    "GoToObjMazeS4": 46.5,
    "GoToObjMazeS7": 22.0,
    "PickupLoc": 59.5,
    "GoToSeqS5R2": 26.5,
    "GoToObjMazeS4R2Close": 48.5,
}
DT_PAPER_KEY_TO_DOOR = {  # success in Decision Transformer's paper, %: 1,000 and 10,000 walks
    "DT": (71.8, 94.6),
    "%BC": (69.9, 95.1),
    "CQL": (13.1, 13.3),
    "BC": (1.4, 1.6),
    "random": (3.1, 3.1),
}


def cells(records: Iterable[Row], method: str, dataset: str) -> list[Row]:
    """The usual runs of a method on a dataset, one a training seed, in the order of the seeds."""
    found = [
        run
        for run in records
        if run["method"] == method and run["dataset"] == dataset and not run["config"]
    ]
    return sorted(found, key=lambda run: run["seed"])


def score(runs: Sequence[Row], name: str) -> Interval | None:
    """A score's mean with its interval; None where there is no run or no number.

    A "length" counts where its episode was solved.
    """
    known = []
    for run in runs:
        if name in run["episodes"]:
            values = _outcomes(run, name)
            if np.isfinite(values).any():
                known.append({**run, "episodes": {name: values}})
        elif run["scores"].get(name) is not None:
            known.append(run)
    return interval(known, name) if known else None


def difference(a: Sequence[Row], b: Sequence[Row], name: str) -> Interval | None:
    """a - b in a score of the test episodes, over the seeds that both have; None without any.

    `name`: "success", "return", or "length" on the episodes that both solved.
    """
    of_a, of_b = ({run["seed"]: run for run in runs if name in run["episodes"]} for runs in (a, b))
    seeds = sorted(of_a.keys() & of_b.keys())
    if not seeds:
        return None
    first, second = (np.array([_outcomes(x[seed], name) for seed in seeds]) for x in (of_a, of_b))
    if first.shape != second.shape or not np.isfinite(first - second).any():
        return None
    return paired_difference(first, second)


def study(records: Iterable[Row], method: str, **config: object) -> list[Row]:
    """The runs of a study with exactly this config."""
    return [run for run in records if run["method"] == method and run["config"] == config]


def sides(
    records: Iterable[Row], method: str, other: str, levels: Iterable[str], kind: str
) -> tuple[set[str], set[str]]:
    """The levels on which a method is ahead of another in success, and those where it is behind."""
    records = list(records)
    ahead: set[str] = set()
    behind: set[str] = set()
    for level in levels:
        ours, theirs = (cells(records, m, f"{level}/{kind}") for m in (method, other))
        found = difference(ours, theirs, "success")
        if found is not None and found.low > 0:
            ahead.add(level)
        elif found is not None and found.high < 0:
            behind.add(level)
    return ahead, behind


def _outcomes(run: Row, name: str) -> np.ndarray:
    """One number a test episode, (episodes,); NaN where a length does not count."""
    values = np.array(run["episodes"][name], float)
    if name == "length":
        values = np.where(np.array(run["episodes"]["success"], bool), values, np.nan)
    return values


def text(cell: Interval | None, scale: float = 1.0, digits: int = 1, sign: bool = False) -> str:
    """A cell as it is printed: estimate and bounds, or a dash."""
    if cell is None:
        return DASH
    plus = "+" if sign else ""
    mean, low, high = (f"{scale * x:{plus}.{digits}f}".replace("-", "−") for x in cell)
    return f"{mean} [{low}, {high}]"


def by_level(
    records: Iterable[Row],
    methods: dict[str, str],
    levels: Iterable[str],
    kind: str,
    name: str = "success",
    scale: float = 1.0,
    digits: int = 1,
) -> list[dict[str, str]]:
    """A row for each level, a column for each of `methods` (key in the records: name)."""
    records = list(records)
    rows = []
    for level in levels:
        row = {"level": level}
        for key, title in methods.items():
            found = score(cells(records, key, f"{level}/{kind}"), name)
            row[title] = text(found, scale, digits)
        rows.append(row)
    return rows


def against(
    records: Iterable[Row],
    method: str,
    others: dict[str, str],
    levels: Iterable[str],
    kind: str,
    name: str = "success",
    scale: float = 1.0,
    digits: int = 1,
) -> list[dict[str, str]]:
    """The paired differences of one method from each of `others`, a row a level."""
    records = list(records)
    rows = []
    for level in levels:
        own = cells(records, method, f"{level}/{kind}")
        row = {"level": level}
        for key, title in others.items():
            found = difference(own, cells(records, key, f"{level}/{kind}"), name)
            row[f"− {title}"] = text(found, scale, digits, sign=True)
        rows.append(row)
    return rows
