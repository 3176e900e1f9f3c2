"""Figures of the verdict: differences with their intervals, what planning costs, luck."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from seqrl import comparison, published, verdict
from seqrl.environments.levels import LEVELS
from seqrl.intervals import Interval, wilson
from seqrl.replication import late
from seqrl.results import Row
from seqrl.style import COLORS, INK, MUTED, WIDTH, minus

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKERS = "osD^vP"
FILTERS = (("dt", "bc25"), ("rvs", "bc25"))  # conditioning against filtering, on mixed data
LATE = ("dt", "rvs", "iql")
AMOUNT = ("bc", "rvs", "iql", "dt", "tt", "leap")
DOOR = ("dt", "rvs", "bc_success", "bc10", "bc25", "bc50", "iql", "bc", "random")
COSTS = "GoToLocalS8N7/mixed"  # the only level that all methods have


def paint(name: str) -> str:
    """A method's color by its name in tables: "25 %BC" as %BC, "BC, successes" as %BC too."""
    if "%BC" in name or name == "BC, successes":
        return COLORS["%BC"]
    return COLORS.get(name) or COLORS.get(name.partition(",")[0], MUTED)


def forest(
    rows: Sequence[str],
    lines: Mapping[str, Sequence[Interval | None]],
    label: str,
    ax: Axes | None = None,
    paints: Mapping[str, str] | None = None,
) -> Axes:
    """Differences in points with their intervals, a row each; right of the line the first leads."""
    import matplotlib.pyplot as plt

    if ax is None:
        size = (WIDTH, 1.0 + 0.34 * len(rows))
        ax = plt.subplots(figsize=size, layout="constrained")[1]
    ax.axvline(0, color=COLORS["optimum"], lw=1, zorder=1)
    for i, (name, cells) in enumerate(lines.items()):
        shift = 0.24 * ((len(lines) - 1) / 2 - i)
        color = (paints or {}).get(name) or paint(name.partition(" −")[0])
        label_once: str | None = name
        for y, cell in enumerate(cells):
            if cell is not None:
                _dot(ax, cell, -y + shift, color, MARKERS[i], label_once)
                label_once = None
    _rows(ax, rows, label)
    if len(lines) > 1:
        ax.legend(ncols=len(lines), loc="lower center", bbox_to_anchor=(0.4, 1))
    return ax


def _dot(ax: Axes, x: Interval, y: float, color: str, marker: str, label: str | None) -> None:
    """One interval in percent, lying."""
    bars = 100 * np.abs([[x.estimate - x.low], [x.high - x.estimate]])
    ax.errorbar(100 * x.estimate, y, xerr=bars, fmt=marker, ms=5, lw=1.4, color=color, label=label)


def _rows(ax: Axes, rows: Sequence[str], label: str) -> None:
    ax.set_yticks(-np.arange(len(rows)), list(rows))
    ax.set(xlabel=label, ylim=(-len(rows) + 0.4, 0.6))
    ax.tick_params(axis="y", length=0)
    ax.grid(True, axis="x")
    ax.grid(False, axis="y")


def filters(records: Sequence[Row]) -> Axes:
    """Methods told the return minus cloning the best, on each level and at the door."""
    rows = [*LEVELS, "Key-to-Door, 1,000", "Key-to-Door, 10,000"]
    lines: dict[str, list[Interval | None]] = {}
    for method, other in FILTERS:
        cells = []
        for data in (*(f"{x}/mixed" for x in LEVELS), *verdict.DATA[-3:-1]):
            rival = "bc_success" if data.startswith("Key") else other
            own, other_runs = (comparison.cells(records, m, data) for m in (method, rival))
            cells.append(comparison.difference(own, other_runs, "success"))
        lines[f"{verdict.title(method)} − filtering"] = cells
    return forest(rows, lines, "difference in success (points)")


def cost(records: Sequence[Row]) -> Axes:
    """Success against milliseconds an action on one level; the line joins the undominated."""
    import matplotlib.pyplot as plt

    points = verdict.costs(records, COSTS)
    ax = plt.subplots(figsize=(WIDTH, 3.4), layout="constrained")[1]
    front = verdict.undominated(points)
    ax.plot([points[m][0] for m in front], [100 * points[m][1].estimate for m in front],
            color=MUTED, lw=1, ls="--", zorder=1)  # fmt: skip
    for i, (method, (ms, x)) in enumerate(points.items()):
        name = verdict.title(method)
        bars = 100 * np.abs([[x.estimate - x.low], [x.high - x.estimate]])
        ax.errorbar(ms, 100 * x.estimate, bars, fmt=MARKERS[i % len(MARKERS)], ms=6, lw=1.2,
                    color=paint(name), label=name)  # fmt: skip
    ax.set_xscale("log")
    ax.set(xlabel="milliseconds an action", ylabel="success (%)")
    ax.legend(ncols=1, loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def quality(records: Sequence[Row]) -> Axes:
    """For each method: success with 500 expert episodes minus 10,000 mixed, mean of the levels."""
    import matplotlib.pyplot as plt

    found = {m: verdict.by_data(records, m) for m in verdict.ORDER}
    known = {verdict.title(m): x for m, x in found.items() if x is not None}
    ax = plt.subplots(figsize=(WIDTH, 1.0 + 0.34 * len(known)), layout="constrained")[1]
    ax.axvline(0, color=COLORS["optimum"], lw=1, zorder=1)
    for y, (name, x) in enumerate(known.items()):
        _dot(ax, x, -y, paint(name), "o", None)
    _rows(ax, list(known), "500 expert − 10,000 mixed episodes (points)")
    return ax


def along(
    ax: Axes, cells: Mapping[str, Sequence[Interval | None]], joined: int | None = None
) -> None:
    """Each method's shares in percent, with intervals, at the places 0, 1, … of an axis.

    cells: for each method an interval at each place, or None. joined: a line joins so many, or all.
    """
    for i, (method, row) in enumerate(cells.items()):
        places = [x for x, cell in enumerate(row) if cell is not None]
        if not places:
            continue
        apart = 0.07 * (i - (len(cells) - 1) / 2)  # so that none hides another
        x = np.array(places) + apart
        y = 100 * np.array([row[place] for place in places], float)
        name = verdict.title(method)
        low_high = np.abs(y[:, 1:] - y[:, :1]).T
        ax.errorbar(
            x, y[:, 0], low_high, fmt=MARKERS[i], ms=5, lw=1.2, color=paint(name), label=name
        )
        first = len(places) if joined is None else sum(place < joined for place in places)
        ax.plot(x[:first], y[:first, 0], lw=1, color=paint(name))


def amount(records: Sequence[Row]) -> Axes:
    """Success over the number of mixed episodes of one level, and by random walks at the right."""
    import matplotlib.pyplot as plt

    ax = plt.subplots(figsize=(WIDTH, 3.4), layout="constrained")[1]
    level = COSTS.partition("/")[0]
    kinds = {"500": "mixed-500", "2,000": "mixed-2000", "10,000": "mixed", "random": "random"}
    cells = {
        m: [comparison.score(comparison.cells(records, m, f"{level}/{kind}"), "success")
            for kind in kinds.values()]
        for m in AMOUNT
    }  # fmt: skip
    along(ax, cells, joined=3)
    ax.axvline(2.5, color=MUTED, lw=0.8)
    ax.set_xticks(range(len(kinds)), [*list(kinds)[:3], "10,000 random"])
    ax.set(xlabel="episodes of the data", ylabel="success (%)")
    ax.legend(ncols=1, loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def delayed(records: Sequence[Row]) -> Figure:
    """Left: one level paid a point a step, and at the end. Right: Key-to-Door."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.3), layout="constrained")
    names = [verdict.title(m) for m in LATE]
    both = [late(records, m) for m in LATE]
    cells = {
        "a point a step": [comparison.score(step, "success") for _, step in both],
        "at the end": [comparison.score(end, "success") for end, _ in both],
    }
    forest(names, cells, f"success (%), {COSTS.partition('/')[0]}", left, _TWO)
    kinds = {"1,000 walks": verdict.DATA[-3], "10,000 walks": verdict.DATA[-2]}
    names = [verdict.title(m) for m in DOOR]
    cells = {
        name: [comparison.score(comparison.cells(records, m, data), "success") for m in DOOR]
        for name, data in kinds.items()
    }
    forest(names, cells, "success (%), Key-to-Door", right, dict(zip(cells, _TWO.values())))
    for ax in (left, right):
        ax.lines[0].remove()
        ax.set_xlim(-4, 104)
        ax.legend(ncols=1, loc="lower center", bbox_to_anchor=(0.4, 1))
    return figure


_TWO = {"a point a step": COLORS["mixed"], "at the end": COLORS["optimum"]}


def papers(records: Sequence[Row] = ()) -> Axes:
    """The mean scores that were published for nine locomotion datasets, a bar for each source."""
    import matplotlib.pyplot as plt

    rows = published.LOCOMOTION
    ax = plt.subplots(figsize=(WIDTH, 0.8 + 0.3 * len(rows)), layout="constrained")[1]
    y = -np.arange(len(rows))
    ax.barh(y, [row.score for row in rows], 0.66, color=[paint(row.method) for row in rows])
    for at, row in zip(y, rows):
        text = f"{row.score:.1f}" + (f"  {row.note}" if row.note else "")
        ax.annotate(text, (row.score, at), (4, 0), textcoords="offset points", va="center",
                    color=INK, fontsize=9)  # fmt: skip
    ax.set_yticks(y, [f"{row.method}, {row.source}" for row in rows])
    ax.set(xlabel="normalized score, mean of nine datasets", xlim=(0, 150))
    ax.set_xticks(range(0, 101, 25))
    ax.tick_params(axis="y", length=0)
    ax.grid(False, axis="y")
    return ax


def luck(
    asked: Sequence[float],
    lines: Mapping[str, Sequence[float]],
    others: Mapping[str, float],
    best: float,
) -> Axes:
    """Earned over asked return; `others`, which are asked for nothing, are points at the right."""
    import matplotlib.pyplot as plt

    ax = plt.subplots(figsize=(WIDTH, 3.2), layout="constrained")[1]
    ax.axhline(best, color=COLORS["optimum"], lw=1, zorder=1)
    ax.annotate("best", (asked[0], best), (0, 3), textcoords="offset points", fontsize=9)
    x = np.arange(len(asked))
    for i, (name, values) in enumerate(lines.items()):
        ax.plot(x, values, MARKERS[i] + ("-" if i < 2 else "--"), ms=6, lw=1.5, label=name,
                color=COLORS["LEAP"] if "luck" in name else paint(name))  # fmt: skip
    for i, (name, value) in enumerate(others.items()):
        at = len(asked) + i
        ax.plot([at], [value], "P", ms=8, color=paint(name))
    ax.set_xticks(range(len(asked) + len(others)),
                  [*(minus(f"{a:g}") for a in asked), *others])  # fmt: skip
    ax.axvline(len(asked) - 0.5, color=MUTED, lw=0.8)
    ax.set(xlabel="return that is asked for, and methods that are asked for none",
           ylabel="mean return")  # fmt: skip
    ax.legend(ncols=len(lines), loc="lower center", bbox_to_anchor=(0.5, 1))
    return ax


def elsewhere(found: Mapping[str, Mapping[str, Sequence[Any]]], low: float = 0) -> Figure:
    """A panel a place, a row a method: success on its episodes, with Wilson's interval.

    low: where the axes begin, in percent.
    """
    import matplotlib.pyplot as plt

    methods = list(dict.fromkeys(m for row in found.values() for m in row))
    size = (WIDTH, 1.2 + 0.3 * len(methods))
    figure, axes = plt.subplots(1, len(found), figsize=size, sharey=True, layout="constrained",
                                squeeze=False)  # fmt: skip
    for ax, (place, row) in zip(axes.flat, found.items()):
        for y, method in enumerate(methods):
            if method not in row:
                continue
            x = wilson(int(np.sum(row[method])), len(row[method]))
            _dot(ax, x, -y, paint(method), "o", None)
        _rows(ax, methods, place)
        ax.set_xlim(low - 0.04 * (100 - low), 100 + 0.04 * (100 - low))
    return figure


def stitched(ways: Mapping[str, Mapping[str, Sequence[float]]], best: float) -> Figure:
    """A panel a request or a dataset, a row a method, a point a seed: the return of the walk."""
    import matplotlib.pyplot as plt

    methods = list(dict.fromkeys(m for row in ways.values() for m in row))
    size = (WIDTH, 1.2 + 0.3 * len(methods))
    figure, axes = plt.subplots(1, len(ways), figsize=size, sharey=True, layout="constrained",
                                squeeze=False)  # fmt: skip
    for ax, (title, row) in zip(axes.flat, ways.items()):
        ax.axvline(best, color=COLORS["optimum"], lw=1, zorder=1)
        for y, method in enumerate(methods):
            values = row.get(method, ())
            spread = 0.14 * (np.arange(len(values)) - (len(values) - 1) / 2)
            ax.plot(values, -y + spread, "o", ms=5, color=paint(method))
        _rows(ax, methods, f"return, {title}")
        ax.set_xlim(-10.6, -2.4)
    return figure
