"""The verdict's tables, from records: every run, methods over all levels, who is ahead of whom.

Grid worlds are judged by success. Robots are judged by the normalized score, whose hundredths stand
where success does, so that 100 is D4RL's expert there and every episode solved here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from seqrl import comparison, robot_tables
from seqrl.environments.levels import KEY_TO_DOOR, LEVELS
from seqrl.evaluation import Evaluation
from seqrl.experiments import METHODS
from seqrl.intervals import DRAWS, Interval, interquartile_mean
from seqrl.results import Row
from seqrl.trained import Trained

SEQUENCE = ("dt", "tt", "leap", "leap_return")  # the models this book is about
BASELINES = ("bc", "bc_success", "bc10", "bc25", "bc50", "rvs", "iql")
ORDER = ("random", *BASELINES, *SEQUENCE)
KINDS = ("expert", "mixed")
DATA = (
    *(f"{level}/{kind}" for level in LEVELS for kind in KINDS),
    *(f"{KEY_TO_DOOR}/random-{n}" for n in (1000, 10_000)),
    "MiniGrid-MultiRoom-N4-S5-v1/expert+random",
)
ROBOTS = robot_tables.DATASETS
WORLDS = {"grid worlds": DATA, "robots": ROBOTS}


class Pair(NamedTuple):
    """One method minus another on a dataset, same episodes and seeds: success, or a score / 100."""

    dataset: str
    method: str
    other: str
    difference: Interval

    @property
    def side(self) -> str:
        """One of `SIDES`: on which side of zero the interval lies, or that it holds zero."""
        d = self.difference
        return "ahead" if d.low > 0 else "behind" if d.high < 0 else "no difference"


SIDES = ("ahead", "behind", "no difference")


def title(method: str) -> str:
    """A method's name in tables."""
    return METHODS[method].name if method in METHODS else method


def runs(records: Iterable[Row], method: str, dataset: str) -> list[Row]:
    """The usual runs of a method on a dataset of either world, one a training seed."""
    of = robot_tables.runs if dataset in ROBOTS else comparison.cells
    return of(records, method, dataset)


def difference(records: Sequence[Row], method: str, other: str, dataset: str) -> Interval | None:
    """One method minus another, as in `Pair`; None where they have no seed in common."""
    if dataset not in ROBOTS:
        a, b = (comparison.cells(records, m, dataset) for m in (method, other))
        return comparison.difference(a, b, "success")
    found = robot_tables.ahead(records, method, other, [dataset])
    return Interval(*(x / 100 for x in found[0].difference)) if found else None


def middle(runs: Sequence[Row], name: str) -> float | None:
    """The median over runs of a number that a record or its scores have; None without any."""
    found = [run["scores"].get(name, run.get(name)) for run in runs]
    known = [x for x in found if x is not None]
    return float(np.median(known)) if known else None


def _number(x: float | None, digits: int = 0) -> str:
    return comparison.DASH if x is None else f"{x:,.{digits}f}"


def every_run(records: Iterable[Row]) -> list[dict[str, str]]:
    """One row for each method and dataset: scores with intervals, counts, sizes and costs."""
    records, rows = list(records), []
    for dataset in (*DATA, *ROBOTS):
        name, scale = (robot_tables.SCORE, 1) if dataset in ROBOTS else ("success", 100)
        for method in ORDER:
            cell = runs(records, method, dataset)
            if not cell:
                continue
            tested = [len(run["episodes"].get(name, ())) for run in cell]
            found = robot_tables.score(cell) if scale == 1 else comparison.score(cell, name)
            rows.append({
                "data": dataset,
                "method": title(method),
                "success (%) or score": comparison.text(found, scale),
                "return": comparison.text(comparison.score(cell, "return")),
                "path ratio": _number(middle(cell, "path_ratio"), 2),
                "seeds × episodes": f"{len(cell)} × {max(tested)}",
                "parameters": _number(middle(cell, "parameters")),
                "training (s)": _number(middle(cell, "seconds")),
                "ms an action": _number(middle(cell, "ms_per_action"), 2),
            })  # fmt: skip
    return rows


def aggregate(
    records: Iterable[Row],
    method: str,
    kind: str,
    statistic: Callable[..., Any] = interquartile_mean,
    levels: Sequence[str] = LEVELS,
    seed: int = 0,
) -> Interval | None:
    """A statistic of a method's runs on all levels; None where a level has no run.

    Bootstrap in two steps within each level: seeds are drawn again, then each drawn run's
    successes. One seed cannot show how much seeds differ, so its interval is too narrow.
    """
    records = list(records)
    cells = [comparison.cells(records, method, f"{level}/{kind}") for level in levels]
    if not all(cells):
        return None
    rng = np.random.default_rng(seed)
    all_runs, draws = [], []
    for runs in cells:
        share = np.array([run["scores"]["success"] for run in runs])
        count = np.array([len(run["episodes"]["success"]) for run in runs])
        picked = rng.integers(len(runs), size=(DRAWS, len(runs)))
        all_runs.append(share)
        draws.append(rng.binomial(count[picked], share[picked]) / count[picked])
    estimate = statistic(np.concatenate(all_runs), axis=-1)
    low, high = np.quantile(statistic(np.concatenate(draws, axis=1), axis=-1), [0.025, 0.975])
    return Interval(float(estimate), float(low), float(high))


def over_levels(records: Iterable[Row]) -> list[dict[str, str]]:
    """One row for each method: interquartile mean and mean of success over the seven levels."""
    records, rows = list(records), []
    for method in ORDER:
        row = {"success over all levels (%)": title(method)}
        for kind in KINDS:
            for name, of in (("IQM", interquartile_mean), ("mean", np.mean)):
                found = aggregate(records, method, kind, of)
                row[f"{kind}, {name}"] = comparison.text(found, 100)
            counts = [len(comparison.cells(records, method, f"{level}/{kind}")) for level in LEVELS]
            row[f"{kind}, levels"] = str(sum(n > 0 for n in counts))
            row[f"{kind}, seeds"] = "–".join(map(str, sorted({min(counts), max(counts)})))
        if any(row[f"{kind}, levels"] != "0" for kind in KINDS):
            rows.append(row)
    return rows


def pairs(
    records: Iterable[Row],
    methods: Sequence[str],
    others: Sequence[str],
    datasets: Sequence[str] | None = None,
) -> list[Pair]:
    """All paired differences that the records allow, a dataset at a time; of all unless told."""
    records, found = list(records), []
    for dataset in (*DATA, *ROBOTS) if datasets is None else datasets:
        for method in methods:
            for other in others:
                apart = difference(records, method, other, dataset) if method != other else None
                if apart is not None:
                    found.append(Pair(dataset, method, other, apart))
    return found


def ahead_and_behind(
    records: Iterable[Row], method: str, datasets: Sequence[str] | None = None
) -> dict[str, list[Pair]]:
    """Where a sequence model is measurably ahead of a baseline, behind one, and neither."""
    found = pairs(records, [method], BASELINES, datasets)
    return {side: [pair for pair in found if pair.side == side] for side in SIDES}


def tally(records: Iterable[Row]) -> list[dict[str, str]]:
    """A row for each world and sequence model: how often it is on each side, and of whom."""
    records, rows = list(records), []
    for world, datasets in WORLDS.items():
        for method in SEQUENCE:
            parts = ahead_and_behind(records, method, datasets)
            row = {"world": world, "model": title(method)}
            for side, found in parts.items():
                each = Counter(pair.other for pair in found)
                named = "; ".join(f"{n} × {title(m)}" for m, n in each.most_common())
                row[side] = f"{len(found)}: {named}" if found else "0"
            if any(parts.values()):
                rows.append(row)
    return rows


def lost_and_won(records: Iterable[Row]) -> list[dict[str, str]]:
    """One row for each sequence model and dataset: whom it is behind, and whom it is ahead of."""
    records, rows = list(records), []
    for method in SEQUENCE:
        parts = ahead_and_behind(records, method)
        for dataset in (*DATA, *ROBOTS):
            row = {"model": title(method), "data": dataset}
            for side in ("behind", "ahead"):
                row[f"{side} (points)"] = "; ".join(
                    f"{title(p.other)} {100 * p.difference.estimate:+.1f}".replace("-", "−")
                    for p in parts[side]
                    if p.dataset == dataset
                )
            if any(row[f"{side} (points)"] for side in ("behind", "ahead")):
                rows.append(row)
    return rows


def over_robots(records: Iterable[Row], method: str, other: str) -> Interval | None:
    """The mean over the robots' datasets of one method minus another, in hundredths of a score.

    None where a dataset is missing. Datasets are independent, so that half-widths add in squares.
    """
    found = np.array([pair.difference for pair in pairs(records, [method], [other], ROBOTS)])
    if len(found) < len(ROBOTS):
        return None
    mean = found[:, 0].mean()
    below, above = np.sqrt(np.square(found[:, 1:] - found[:, :1]).sum(0)) / len(found)
    return Interval(float(mean), float(mean - below), float(mean + above))


def pooled(
    a: Sequence[Sequence[Row]], b: Sequence[Sequence[Row]], name: str = "success"
) -> Interval | None:
    """The mean over levels of paired differences, with the standard error of a stratified mean.

    a, b: a level's runs each; a level counts where both have a run of the same seed.
    """
    strata = []
    for first, second in zip(a, b):
        x, y = ({run["seed"]: run["episodes"][name] for run in runs} for runs in (first, second))
        common = [np.subtract(x[s], y[s]) for s in sorted(x.keys() & y.keys())]
        if common:
            strata.append(np.mean(common, axis=0))
    if not strata:
        return None
    estimate = float(np.mean([x.mean() for x in strata]))
    error = float(np.sqrt(sum(x.var(ddof=1) / len(x) for x in strata))) / len(strata)
    return Interval(estimate, estimate - 1.96 * error, estimate + 1.96 * error)


def by_data(records: Iterable[Row], method: str) -> Interval | None:
    """Success with 500 expert episodes minus 10,000 mixed ones, the mean over the levels.

    None where a level is not recorded yet.
    """
    records = list(records)
    if not all(comparison.cells(records, method, x) for x in DATA[: len(KINDS) * len(LEVELS)]):
        return None
    expert, mixed = (
        [comparison.cells(records, method, f"{level}/{kind}") for level in LEVELS] for kind in KINDS
    )
    return pooled(expert, mixed)


def costs(records: Iterable[Row], dataset: str) -> dict[str, tuple[float, Interval]]:
    """For each method: milliseconds an action of its quickest seed, and success.

    Whatever else a machine did can only have added to the time, so the least is taken; and of the
    machines those count that have as many cores as most methods had.
    """
    records = list(records)
    cells = {method: comparison.cells(records, method, dataset) for method in ORDER}
    times: dict[str, dict[str, float]] = {}  # by the number of cores: the least of each method
    for method, cell in cells.items():
        for run in cell:
            cores, ms = run["hardware"].partition(" ")[0], run["scores"].get("ms_per_action")
            if ms:
                least = times.setdefault(cores, {})
                least[method] = min(ms, least.get(method, ms))
    found = {}
    for method, ms in max(times.values(), key=len, default={}).items():
        success = comparison.score(cells[method], "success")
        if success is not None:
            found[method] = (ms, success)
    return found


def undominated(points: dict[str, tuple[float, Interval]]) -> list[str]:
    """The methods than which none is both as cheap and measured as successful, cheapest first."""
    best, front = -1.0, []
    for name, (_, success) in sorted(points.items(), key=lambda x: (x[1][0], -x[1][1].estimate)):
        if success.estimate > best:
            front.append(name)
            best = success.estimate
    return front


def again(trained: Trained, run: Row, episodes: int) -> tuple[Evaluation, int]:
    """The first test episodes of a record's checkpoint, now, and how many differ from the record.

    An episode differs in its success or its length. ValueError where the record scored another
    checkpoint.
    """
    if trained.card["sha256"] != run["checkpoint"]:
        raise ValueError(f"the record of {run['method']} scored another checkpoint than this one.")
    now = trained.evaluate(episodes)
    then = {name: np.array(run["episodes"][name][:episodes]) for name in ("success", "length")}
    differs = (now.success != then["success"]) | (now.lengths != then["length"])
    return now, int(differs.sum())
