"""Figures of the verdict in several worlds: robots beside grid worlds, and rooms unlike home."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from seqrl import comparison, strangers, verdict
from seqrl.environments.levels import BIGGER, LEVELS
from seqrl.intervals import Interval
from seqrl.plots_verdict import COSTS, elsewhere, forest, paint
from seqrl.results import Row
from seqrl.style import WIDTH

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OTHERS = ("filtering", "RvS", "IQL")
PLACES = {"12 × 12": BIGGER[0], "16 × 16": BIGGER[1], "15 distractors": BIGGER[2]}


def beside(records: Sequence[Row]) -> Figure:
    """Decision Transformer minus other methods; above on robots, below on grid worlds.

    A row a dataset, the last one their mean. Filtering keeps a tenth of the robots' episodes, and
    on grid worlds a quarter of the steps, as recorded.
    """
    import matplotlib.pyplot as plt

    sizes = (len(verdict.ROBOTS) + 1, len(LEVELS) + 1)
    figure, axes = plt.subplots(2, 1, figsize=(WIDTH, 1.6 + 0.34 * sum(sizes)), sharex=True,
                                height_ratios=sizes, layout="constrained")  # fmt: skip
    paints = {name: paint("%BC" if name == "filtering" else name) for name in OTHERS}
    for ax, kind in zip(axes, ("robots", "grids")):
        forest(*_rows(records, kind), ax, paints)
    axes[1].get_legend().remove()
    axes[0].tick_params(labelbottom=True)
    return figure


def _rows(
    records: Sequence[Row], kind: str
) -> tuple[list[str], dict[str, list[Interval | None]], str]:
    """Names of rows, a line of intervals for each of `OTHERS`, and what they measure."""
    lines: dict[str, list[Interval | None]] = {}
    keys = ("bc10" if kind == "robots" else "bc25", "rvs", "iql")
    for name, other in zip(OTHERS, keys):
        if kind == "robots":
            cells = [verdict.difference(records, "dt", other, x) for x in verdict.ROBOTS]
            mean = verdict.over_robots(records, "dt", other)
        else:
            cells = [verdict.difference(records, "dt", other, f"{x}/mixed") for x in LEVELS]
            a, b = ([comparison.cells(records, m, f"{x}/mixed") for x in LEVELS]
                    for m in ("dt", other))  # fmt: skip
            mean = verdict.pooled(a, b)
        lines[name] = [*cells, mean]
    if kind == "robots":
        return [*verdict.ROBOTS, "mean"], lines, "DT minus the other, in normalized score"
    return [*LEVELS, "mean"], lines, "DT minus the other, in points of success"


def unlike(records: Sequence[Row]) -> Figure:
    """Success at home, in rooms that are bigger or fuller, and on missions that were held out."""
    home = {verdict.title(m): comparison.cells(records, m, COSTS)[:1]
            for m in ("bc", "rvs", "dt", "iql", "leap", "tt")}  # fmt: skip
    found: dict[str, dict[str, Sequence[Any]]] = {
        "at home": {name: runs[0]["episodes"]["success"] for name, runs in home.items() if runs}
    }
    for place, level in PLACES.items():
        found[place] = {
            run["config"]["of"]: run["episodes"]["success"]
            for run in records
            if run["method"] == strangers.ROOMS and run["config"]["level"] == level
        }
    for title, out in (("missions\nheld out", True), ("the same,\nin the data", False)):
        found[title] = {
            verdict.title(run["config"]["of"]): strangers.of_named(run)
            for run in records
            if run["method"] == strangers.MISSIONS and run["config"]["held out"] == out
        }
    return elsewhere(found, low=60)
