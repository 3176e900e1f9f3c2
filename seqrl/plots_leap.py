"""Figures of LEAP: energies over iterations, success against iterations, plans and their energy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from seqrl.intervals import wilson
from seqrl.style import BLUE, COLORS, INK, MUTED, ORANGE, WIDTH

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKERS = ("o", "s", "^", "d")
PAINTS = (COLORS["LEAP"], BLUE, ORANGE, COLORS["mixed"])


def energies(curves: Mapping[str, Sequence[float]], ax: Axes | None = None) -> Axes:
    """Mean energy after each iteration, a line each."""
    import matplotlib.pyplot as plt

    if ax is None:
        ax = plt.subplots(figsize=(WIDTH, 2.8), layout="constrained")[1]
    for (name, values), paint, marker in zip(curves.items(), PAINTS, MARKERS):
        ax.plot(np.arange(1, len(values) + 1), values, marker + "-", ms=5, color=paint, label=name)
    ax.set(xlabel="iteration", ylabel="energy (nats)")
    ax.set_ylim(bottom=0)
    ax.legend()
    return ax


def successes(
    counts: Sequence[int], lines: Mapping[str, Sequence[Any]], ax: Axes | None = None
) -> Axes:
    """Success in percent against iterations; each line has its episodes' successes at each count.

    Wilson's intervals. ValueError for a line that has not as many runs as there are counts.
    """
    import matplotlib.pyplot as plt

    if ax is None:
        ax = plt.subplots(figsize=(WIDTH, 3.2), layout="constrained")[1]
    for i, (name, runs) in enumerate(lines.items()):
        if len(runs) != len(counts):
            raise ValueError(f"{name} has {len(runs)} runs, not {len(counts)}.")
        points = 100 * np.array([wilson(int(np.sum(run)), len(run)) for run in runs])
        x = np.arange(len(counts)) + 0.06 * (i - (len(lines) - 1) / 2)
        paint, marker = PAINTS[i % len(PAINTS)], MARKERS[i % len(MARKERS)]
        bars = np.abs(points[:, 1:].T - points[:, 0])
        ax.errorbar(x, points[:, 0], bars, fmt=marker + "-", ms=6, color=paint, label=name, lw=1.5)
    ax.set_xticks(range(len(counts)), [str(n) for n in counts])
    ax.set(xlabel="iterations", ylabel="success (%)")
    ax.legend()
    return ax


def two_modes(names: Sequence[str], p: Sequence[float], E: Sequence[float]) -> Figure:
    """Plans by name: how likely each is beside its energy, two panels of bars."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 2.1), layout="constrained", sharey=True)
    y = -np.arange(len(names))
    for ax, values, title, paint in (
        (axes[0], p, "probability", COLORS["mixed"]),
        (axes[1], E, "energy (nats)", COLORS["LEAP"]),
    ):
        ax.barh(y, values, 0.6, color=paint)
        for at, value in zip(y, values):
            ax.annotate(f"{value:.2f}", (value, at), (4, -3), textcoords="offset points",
                        color=INK, fontsize=9)  # fmt: skip
        ax.set(xlabel=title, xlim=(0, 1.2 * max(values)))
        ax.grid(False, axis="y")
        ax.tick_params(axis="y", length=0)
    axes[0].set_yticks(y, list(names))
    return figure


def judged(
    energies: np.ndarray, lengths: np.ndarray, shortest: np.ndarray, ax: Axes | None = None
) -> Axes:
    """Steps beyond the shortest way by the energy of the plan that an episode was begun with.

    energies and lengths (E, M). A dot a plan; the line is the mean of tenths of the plans.
    """
    import matplotlib.pyplot as plt

    if ax is None:
        ax = plt.subplots(figsize=(WIDTH, 3.0), layout="constrained")[1]
    x, y = energies.ravel(), (lengths - shortest[:, None]).ravel().astype(float)
    order = np.argsort(x)
    parts = np.array_split(order, min(10, len(order)))
    shift = np.random.default_rng(0).uniform(-0.3, 0.3, len(y))
    ax.plot(x, y + shift, ".", ms=4, color=MUTED, alpha=0.35)
    ax.plot([x[i].mean() for i in parts], [y[i].mean() for i in parts], "o-", color=COLORS["LEAP"],
            label="mean of a tenth of the plans")  # fmt: skip
    ax.set(xlabel="energy of the plan (nats)", ylabel="steps beyond\nthe shortest way")
    ax.set_ylim(-1, max(10.0, float(np.percentile(y, 97)) + 1))
    ax.legend()
    return ax
