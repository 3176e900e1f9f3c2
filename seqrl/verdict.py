"""The verdict's tables, from records: every run, methods over all levels, who is ahead of whom.

`python -m seqrl.verdict FOLDER` (`make results`) writes each table and figure of chapter 7 that
records make; the chapter shows the same functions' output.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from seqrl import comparison, results
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


class Pair(NamedTuple):
    """The success of one method minus another's on a dataset, same episodes and seeds."""

    dataset: str
    method: str
    other: str
    difference: Interval


def title(method: str) -> str:
    """A method's name in tables."""
    return METHODS[method].name if method in METHODS else method


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
    for dataset in DATA:
        for method in ORDER:
            runs = comparison.cells(records, method, dataset)
            if not runs:
                continue
            tested = [len(run["episodes"].get("success", ())) for run in runs]
            rows.append({
                "data": dataset,
                "method": title(method),
                "success (%)": comparison.text(comparison.score(runs, "success"), 100),
                "return": comparison.text(comparison.score(runs, "return")),
                "path ratio": _number(middle(runs, "path_ratio"), 2),
                "seeds × episodes": f"{len(runs)} × {max(tested)}",
                "parameters": _number(middle(runs, "parameters")),
                "training (s)": _number(middle(runs, "seconds")),
                "ms an action": _number(middle(runs, "ms_per_action"), 2),
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


def pairs(records: Iterable[Row], methods: Sequence[str], others: Sequence[str]) -> list[Pair]:
    """All paired differences in success that the records allow, a dataset at a time."""
    records, found = list(records), []
    for dataset in DATA:
        for method in methods:
            for other in others:
                a, b = (comparison.cells(records, m, dataset) for m in (method, other))
                difference = comparison.difference(a, b, "success")
                if method != other and difference is not None:
                    found.append(Pair(dataset, method, other, difference))
    return found


def ahead_and_behind(records: Iterable[Row], method: str) -> dict[str, list[Pair]]:
    """Where a sequence model is measurably ahead of a baseline, behind one, and neither."""
    parts: dict[str, list[Pair]] = {"ahead": [], "behind": [], "no difference": []}
    for pair in pairs(records, [method], BASELINES):
        d = pair.difference
        side = "ahead" if d.low > 0 else "behind" if d.high < 0 else "no difference"
        parts[side].append(pair)
    return parts


def lost_and_won(records: Iterable[Row]) -> list[dict[str, str]]:
    """One row for each sequence model and dataset: whom it is behind, and whom it is ahead of."""
    records, rows = list(records), []
    for method in SEQUENCE:
        parts = ahead_and_behind(records, method)
        for dataset in DATA:
            row = {"model": title(method), "data": dataset}
            for side in ("behind", "ahead"):
                row[f"{side} (points)"] = ", ".join(
                    f"{title(p.other)} {100 * p.difference.estimate:+.1f}".replace("-", "−")
                    for p in parts[side]
                    if p.dataset == dataset
                )
            if any(row[f"{side} (points)"] for side in ("behind", "ahead")):
                rows.append(row)
    return rows


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

    Whatever else a machine did can only have added to the time, so the least is taken.
    """
    records, found = list(records), {}
    for method in ORDER:
        runs = [
            r
            for r in comparison.cells(records, method, dataset)
            if r["scores"].get("ms_per_action")
        ]
        success = comparison.score(runs, "success") if runs else None
        if success is not None:
            found[method] = (min(r["scores"]["ms_per_action"] for r in runs), success)
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


def write(records: Sequence[Row], folder: Path) -> list[Path]:
    """All tables (Markdown) and figures (SVG) of the chapter that records make."""
    import matplotlib.pyplot as plt

    from seqrl import plots, plots_verdict, scorecard

    plots.use_style()
    tables = {
        "every-run": every_run(records),
        "over-levels": over_levels(records),
        "lost-and-won": lost_and_won(records),
        "scorecard": scorecard.table(records),
    }
    files = []
    for name, rows in tables.items():
        files.append(folder / f"{name}.md")
        results.write_whole(files[-1], (results.markdown(rows) + "\n").encode())
    for name, draw in plots_verdict.FROM_RECORDS.items():
        draw(records)
        files.append(folder / f"{name}.svg")
        plt.savefig(files[-1], metadata={"Date": None})
        plt.close()
    return files


def main(arguments: Sequence[str] | None = None) -> None:
    """The command behind `make results`."""
    parser = argparse.ArgumentParser(description="Write chapter 7's tables and figures.")
    parser.add_argument("folder", type=Path, help="to write into")
    parser.add_argument("--records", type=Path, default=results.shipped(), help="of the runs")
    parsed = parser.parse_args(arguments)
    for path in write(results.read_all(parsed.records), parsed.folder):
        print(path)


if __name__ == "__main__":
    main()
