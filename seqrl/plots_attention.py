"""Figures of attention: masks, maps with the tokens on their axes, heads, measures with controls.

Rows are queries, columns are keys, as in the arrays. Gray cells are hidden by the mask: there a
query could not look; a white cell is one where it could, and did not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from seqrl.style import BLUE, GRID, INK, ORANGE, PAPER, TOKEN_COLORS, VERMILLION, WIDTH

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike


WEIGHTS = ("#ffffff", "#9cc9d9", "#3f8fb8", "#255a93", "#1c2f5c")  # weight 0 to 1
HIDDEN = "#dcdedd"
SHOWN = "#3f8fb8"
SOURCES = {"trained": BLUE, "shuffled": VERMILLION, "untrained": ORANGE, "uniform": "#5f6870"}
MARKERS = {"trained": "o", "shuffled": "X", "untrained": "s", "uniform": "d"}


def masks(
    masks: Mapping[str, ArrayLike], kinds: Mapping[str, Sequence[str]] | None = None
) -> Figure:
    """Masks (T, T) side by side, their names below: blue where a query (row) may look at a key.

    kinds: for each mask what its tokens are, keys of `TOKEN_COLORS`; drawn along both axes.
    """
    import matplotlib.pyplot as plt
    from matplotlib.colors import ListedColormap

    side = min(WIDTH / max(len(masks), 2), 2.6)
    size = (side * len(masks), side + 0.35)
    figure, axes = plt.subplots(1, len(masks), figsize=size, squeeze=False, layout="constrained")
    for ax, (name, mask) in zip(axes.flat, masks.items()):
        shown = np.asarray(mask)
        _square(ax, shown)
        ax.imshow(shown, cmap=ListedColormap([HIDDEN, SHOWN]), vmin=0, vmax=1)
        _grid(ax, shown.shape, PAPER)
        own = kinds[name] if kinds else None
        _strip(ax, own, own)
        ax.set_xlabel(name, labelpad=10)
    axes[0, 0].set_ylabel("query", labelpad=10)
    return figure


def attention_map(
    weights: ArrayLike,
    mask: ArrayLike | None = None,
    *,
    tokens: Sequence[str] | None = None,
    kinds: Sequence[str] | None = None,
    queries: Sequence[int] | None = None,
    band: ArrayLike | None = None,
    ax: Axes | None = None,
    bar: bool = True,
) -> Axes:
    """One map (Q, T): the darker, the more a query (row) reads from a key (column).

    tokens: what stands on the axes, a short word each; kinds: a key of `TOKEN_COLORS` each.
    queries: which tokens the rows are, all unless told. band: (Q, T) bool, cells to be outlined.
    """
    import matplotlib.pyplot as plt

    values = np.asarray(weights, float)
    if values.ndim != 2:
        raise ValueError(f"a map is (Q, T), of one head; got {values.shape}.")
    rows, columns = values.shape
    if ax is None:
        height = min(4.6, 4.2 * rows / columns + 0.6)
        ax = plt.subplots(figsize=(5.2, max(1.4, height)), layout="constrained")[1]
    image = _heat(ax, values, mask)
    asked = list(range(rows) if queries is None else queries)
    if any(given is not None and len(given) != columns for given in (tokens, kinds)):
        raise ValueError(f"{columns} columns need as many tokens and kinds.")
    own = None if kinds is None else [kinds[i] for i in asked]
    if tokens is None:
        _strip(ax, kinds, own)
    else:
        _words(ax.xaxis, tokens, kinds)
        _words(ax.yaxis, [tokens[i] for i in asked], own)
    pad = 8 if tokens or kinds else 4
    ax.set_xlabel("key: read from", labelpad=pad)
    ax.set_ylabel("query: reads", labelpad=pad)
    if band is not None:
        _outline(ax, np.asarray(band, bool))
    if bar:
        _bar(ax.figure, image, ax)
    return ax


def heads(
    layers: Sequence[ArrayLike],
    mask: ArrayLike | None = None,
    *,
    kinds: Sequence[str] | None = None,
    band: ArrayLike | None = None,
    names: Sequence[str] | None = None,
) -> Figure:
    """Small multiples: one row a layer, one map a head, on one scale. Each layer (heads, Q, T).

    names: what stands below the maps, one after the other, where they are no layers and heads.
    """
    import matplotlib.pyplot as plt

    values = [np.asarray(layer, float) for layer in layers]
    if any(layer.ndim != 3 for layer in values):
        raise ValueError("each layer is (heads, Q, T); give one window's maps, or a mean of many.")
    across = max(len(layer) for layer in values)
    side = min((WIDTH - 0.7) / across, 2.2)
    size = (side * across + 0.8, (side + 0.3) * len(values))
    axes: Any
    shape = (len(values), across)
    figure, axes = plt.subplots(*shape, figsize=size, squeeze=False, layout="constrained")
    image: Any = None
    panels = [(i, j) for i, layer in enumerate(values) for j in range(len(layer))]
    for i, j in np.ndindex(shape):
        if (i, j) not in panels:
            axes[i, j].axis("off")
    for (i, j), name in zip(panels, names or [f"layer {i}, head {j}" for i, j in panels]):
        image = _heat(axes[i, j], values[i][j], mask)
        _strip(axes[i, j], kinds, None)
        axes[i, j].set_xlabel(name, labelpad=8)
        if band is not None:
            _outline(axes[i, j], np.asarray(band, bool), 0.7)
    _bar(figure, image, axes)
    return figure


def measures(rows: Iterable[Mapping[str, Any]], ax: Axes | None = None) -> Axes:
    """Rows of `attention_maps.table` as points with their intervals, grouped by measure."""
    import matplotlib.pyplot as plt

    rows = list(rows)
    names = list(dict.fromkeys(row["measure"] for row in rows))
    sources = list(dict.fromkeys(row["maps"] for row in rows))
    if ax is None:
        height = 0.9 + 0.2 * len(names) * (len(sources) + 1)
        ax = plt.subplots(figsize=(WIDTH, height), layout="constrained")[1]
    spare = dict(zip(sources, plt.rcParams["axes.prop_cycle"].by_key()["color"]))
    for row in rows:
        group, i = names.index(row["measure"]), sources.index(row["maps"])
        y = -group - 0.8 * (i - (len(sources) - 1) / 2) / len(sources)
        paint = SOURCES.get(row["maps"], spare[row["maps"]])
        ax.plot([row["low"], row["high"]], [y, y], color=paint, lw=2.5, solid_capstyle="butt")
        marker = MARKERS.get(row["maps"], "o")
        label = row["maps"] if group == 0 else None
        ax.plot(row["estimate"], y, marker, ms=7, mew=0, color=paint, label=label, ls="")
    ax.set_yticks(-np.arange(len(names)), names)
    ax.set(ylim=(-len(names) + 0.45, 0.55), xlabel="share of attention", xlim=(-0.02, 1.02))
    for line in range(1, len(names)):
        ax.axhline(0.5 - line, color=GRID, lw=0.8)
    ax.grid(axis="x")
    ax.grid(False, axis="y")
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=len(sources), handletextpad=0.2)
    return ax


def _heat(ax: Axes, values: np.ndarray, mask: ArrayLike | None) -> Any:
    """The cells of a map; those that the mask hides are gray."""
    from matplotlib.colors import LinearSegmentedColormap

    if mask is not None:
        shown = np.asarray(mask, bool)
        if shown.shape != values.shape:
            raise ValueError(f"a mask of shape {shown.shape} does not fit a map {values.shape}.")
        values = np.ma.array(values, mask=~shown)
    ramp = LinearSegmentedColormap.from_list("weights", WEIGHTS).with_extremes(bad=HIDDEN)
    _square(ax, values)
    image = ax.imshow(values, cmap=ramp, vmin=0, vmax=1)
    _grid(ax, values.shape, "#eceeed")
    return image


def _square(ax: Axes, values: np.ndarray) -> None:
    if values.ndim != 2:
        raise ValueError(f"rows and columns are drawn, (Q, T); got {values.shape}.")
    ax.set_aspect("equal")
    ax.spines[:].set_visible(False)
    ax.grid(False)


def _grid(ax: Axes, shape: tuple[int, ...], paint: str) -> None:
    """Thin lines between the cells."""
    rows, columns = shape
    width = 1.2 if columns <= 24 else 0.3
    ax.vlines(np.arange(1, columns) - 0.5, -0.5, rows - 0.5, color=paint, lw=width)
    ax.hlines(np.arange(1, rows) - 0.5, -0.5, columns - 0.5, color=paint, lw=width)
    ax.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5))


def _words(axis: Any, words: Sequence[str], kinds: Sequence[str] | None) -> None:
    """The tokens' words along one axis, each on a chip in the color of its kind."""
    axis.set_ticks(range(len(words)), words)
    axis.set_tick_params(length=0, pad=5)
    turned = axis.axis_name == "x" and max(map(len, words)) > 3
    for i, label in enumerate(axis.get_ticklabels()):
        paper, ink = TOKEN_COLORS[kinds[i]] if kinds else (PAPER, INK)
        chip = {"boxstyle": "square,pad=0.25", "fc": paper, "ec": "none"}
        size = 9 if len(words) <= 24 else 6
        label.set(color=ink, fontsize=size, bbox=chip, rotation=90 * turned)


def _strip(ax: Axes, below: Sequence[str] | None, left: Sequence[str] | None) -> None:
    """The kinds of the tokens as a strip of colors along each axis, without words."""
    ax.set_xticks([])
    ax.set_yticks([])
    bottom = ax.get_ylim()[0] + 0.15
    places = [(i - 0.44, bottom, 0.88, 0.45, kind) for i, kind in enumerate(below or [])]
    places += [(-1.1, i - 0.44, 0.45, 0.88, kind) for i, kind in enumerate(left or [])]
    for x, y, width, height, kind in places:
        ink = TOKEN_COLORS[kind][1]
        ax.add_patch(_rectangle((x, y), width, height, fc=ink, lw=0, clip_on=False))


def _rectangle(place: tuple[float, float], width: float, height: float, **look: Any) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle(place, width, height, **look)


def _outline(ax: Axes, band: np.ndarray, lw: float = 1.3) -> None:
    for row, column in np.argwhere(band):
        edge = {"fc": "none", "ec": VERMILLION, "lw": lw, "zorder": 4}
        ax.add_patch(_rectangle((column - 0.5, row - 0.5), 1, 1, **edge))


def _bar(figure: Any, image: Any, axes: Any) -> None:
    bar = figure.colorbar(image, ax=axes, shrink=0.7, aspect=16, pad=0.03, ticks=(0, 0.5, 1))
    bar.set_label("attention weight")
    bar.outline.set_visible(False)
