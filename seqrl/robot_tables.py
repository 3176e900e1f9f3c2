"""The robots' runs as tables: which records there are, what they score, and who is ahead of whom.

The same cell may have been run at several sizes. What is shown is the one with the most seeds, and
of those the one with the most updates; a cell without a run stays empty.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from seqrl import comparison, published
from seqrl.delayed import SUFFIX
from seqrl.environments.locomotion import normalized
from seqrl.intervals import Interval, nested
from seqrl.results import Row

DATASETS = published.ROBOT_DATASETS
METHODS = {"bc": "BC", "bc10": "10 %BC", "rvs": "RvS", "iql": "IQL", "dt": "DT", "tt": "TT"}
SCORE = "normalized"
VARIED = ("bins", "batch")  # of a config: what a study varies, while all else are sizes


class Ahead(NamedTuple):
    """Whether one method is ahead of another on a dataset, by their test episodes."""

    dataset: str
    difference: Interval

    @property
    def verdict(self) -> str:
        """In words: "ahead", "behind", or "level" where the interval holds zero."""
        if self.difference.low > 0:
            return "ahead"
        return "behind" if self.difference.high < 0 else "level"


def runs(records: Iterable[Row], method: str, dataset: str, **varied: Any) -> list[Row]:
    """The runs of a cell, one a training seed, in the order of the seeds; none where there is none.

    varied: one of `VARIED` that a run's config must have so; others must not be in it.
    """
    groups: dict[str, list[Row]] = {}
    for run in records:
        if run["method"] != method or run["dataset"] != dataset or SCORE not in run["scores"]:
            continue
        if any(run["config"].get(name) != varied.get(name) for name in VARIED):
            continue
        groups.setdefault(json.dumps(run["config"], sort_keys=True), []).append(run)
    if not groups:
        return []
    best = max(groups.values(), key=lambda group: (len(group), updates(group[0])))
    return sorted(best, key=lambda run: run["seed"])


def updates(run: Row) -> int:
    """How many updates a run was trained for; 0 where its record does not say."""
    return int(run.get("setting", {}).get("steps", run["config"].get("steps", 0)))


def score(cell: Sequence[Row]) -> Interval | None:
    """The mean normalized score of a cell's runs, over seeds and episodes; None without any."""
    return nested([run["episodes"][SCORE] for run in cell]) if cell else None


def scores(
    records: Iterable[Row],
    methods: Mapping[str, str] = METHODS,
    datasets: Iterable[str] = DATASETS,
) -> list[dict[str, str]]:
    """A row a dataset, a column a method: mean normalized score, interval, number of seeds.

    The last row is the mean over all datasets, of methods that have them all.
    """
    known, datasets = list(records), list(datasets)
    rows = [{"dataset": name} for name in datasets]
    mean = {"dataset": "mean"}
    for key, title in methods.items():
        cells = [runs(known, key, name) for name in datasets]
        found = [score(cell) for cell in cells]
        for row, cell, interval in zip(rows, cells, found):
            row[title] = comparison.text(interval) + f" ({len(cell)})" * bool(cell)
        every = [cell.estimate for cell in found if cell]
        mean[title] = f"{np.mean(every):.1f}" if len(every) == len(found) else comparison.DASH
    return [*rows, mean]


def papers(columns: Mapping[str, str], datasets: Iterable[str] = DATASETS) -> list[dict[str, str]]:
    """The same table of published numbers; columns: of `published.ROBOTS`, to its title."""
    datasets = list(datasets)
    each = {title: published.robots(name) for name, title in columns.items()}
    rows = [{"dataset": d} | {t: f"{x[d]:.1f}" for t, x in each.items()} for d in datasets]
    mean = {t: f"{np.mean([x[d] for d in datasets]):.1f}" for t, x in each.items()}
    return [*rows, {"dataset": "mean"} | mean]


def ahead(
    records: Iterable[Row], method: str, other: str, datasets: Iterable[str] = DATASETS
) -> list[Ahead]:
    """The difference of two methods on each dataset that both have run, over their common seeds.

    Episodes are paired, as they begin alike; where one has fewer, those count that both have. The
    interval is over seeds and episodes, see `intervals.nested`.
    """
    known, found = list(records), []
    for dataset in datasets:
        apart = difference(*(runs(known, m, dataset) for m in (method, other)))
        if apart is not None:
            found.append(Ahead(dataset, apart))
    return found


def told(title: str, order: Mapping[str, Iterable[Ahead]]) -> list[str]:
    """A sentence a side and other method, as in "DT is behind IQL on hopper/medium".

    order: what `ahead` found, by the other method's title.
    """
    lines = []
    for other, found in order.items():
        sides: dict[str, list[str]] = {}
        for x in found:
            sides.setdefault(x.verdict, []).append(x.dataset)
        for side, words in (("ahead", "ahead of"), ("level", "level with"), ("behind", "behind")):
            if side in sides:
                lines.append(f"{title} is {words} {other} on {', '.join(sides[side])}")
    return lines


def difference(a: Sequence[Row], b: Sequence[Row]) -> Interval | None:
    """a - b of two cells in the normalized score, over their common seeds; None without any."""
    each = [{r["seed"]: r for r in cell} for cell in (a, b)]
    seeds = sorted(each[0].keys() & each[1].keys())
    if not seeds:
        return None
    pairs = [[np.array(x[s]["episodes"][SCORE], float) for s in seeds] for x in each]
    n = min(len(values) for x in pairs for values in x)
    return nested([first[:n] - second[:n] for first, second in zip(*pairs)])


def asked(cell: Sequence[Row]) -> list[dict[str, Any]]:
    """What was asked for and what was reached, in normalized scores, from `targets_tried`.

    A row a target, with one number a training seed.
    """
    rows: dict[float, list[float]] = {}
    for run in cell:
        for tried in run.get("targets_tried", []):
            reached = tried.get(SCORE, normalized(run["dataset"], tried["mean_return"]))
            rows.setdefault(float(tried["target_return"]), []).append(float(reached))
    name = cell[0]["dataset"] if cell else ""
    return [
        {"target": target, "asked": float(normalized(name, target)), "reached": each}
        for target, each in sorted(rows.items())
    ]


def paid_late(
    records: Iterable[Row], method: str, dataset: str, **varied: Any
) -> tuple[list[Row], list[Row]]:
    """A cell whose reward comes at the end, and that with a reward at every step of the same seeds.

    varied: see `runs`.
    """
    known = list(records)
    end = runs(known, method, dataset + SUFFIX, **varied)
    seeds = {run["seed"] for run in end}
    return end, [run for run in runs(known, method, dataset, **varied) if run["seed"] in seeds]


def delayed(
    records: Iterable[Row], methods: Mapping[str, str], datasets: Iterable[str], **varied: Any
) -> list[dict[str, str]]:
    """A row a method and dataset: with rewards at every step, at the end, and the difference.

    All three are of the seeds that have a run at the end; their number stands behind the method.
    varied: see `runs`.
    """
    known, rows = list(records), []
    for dataset in datasets:
        for key, title in methods.items():
            end, step = paid_late(known, key, dataset, **varied)
            if not end:
                continue
            cells = [comparison.text(score(cell)) for cell in (step, end)]
            row = {"dataset": dataset, "method (seeds)": f"{title} ({len(end)})"}
            row |= dict(zip(("every step", "at the end"), cells))
            row["difference"] = comparison.text(difference(end, step), sign=True)
            rows.append(row)
    return rows
