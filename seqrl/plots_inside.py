"""Figures of chapter 6: three methods' maps beside one episode, and their claims head by head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from seqrl import inside_studies, key_attention
from seqrl.environments.key_to_door import PHASES
from seqrl.episode_maps import Shown, Token, row_of
from seqrl.gridworld import draw
from seqrl.plots_attention import HIDDEN, MARKERS, SOURCES, WEIGHTS
from seqrl.plots_driving import over_steps
from seqrl.results import Row
from seqrl.scenes import Scene
from seqrl.style import BLUE, INK, MUTED, ORANGE, TOKEN_COLORS, VERMILLION, WIDTH

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

NAMES = {"return": "return-to-go", "context": "observed"}  # of kinds, where the key is not enough
LIGHTEST = 0.12  # a map's scale ends at least there


def map_and_frames(found: Shown, shown: Scene, layer: int = -1, head: int | None = None) -> Figure:
    """One layer's map (mean over heads unless told), kinds of tokens on the axes, frames beside.

    Each map has its own scale. Frames are those of the steps whose tokens the map has.
    """
    import matplotlib.pyplot as plt

    maps = found.layers[layer]
    weights = maps.weights[0].mean(0) if head is None else maps.weights[0, head]
    figure = plt.figure(figsize=(WIDTH, 4.3), layout="constrained")
    parts: Any = figure.subfigures(1, 2, width_ratios=(2.05, 1), wspace=0.02)
    left, right = parts
    ax = left.subplots()
    image = _heat(ax, weights.numpy(), maps.mask[0].numpy())
    _kinds(ax, found, row_of(found, layer))
    bar = left.colorbar(image, ax=ax, shrink=0.6, aspect=22, pad=0.02)
    bar.set_label("attention weight")
    bar.outline.set_visible(False)
    steps = sorted({token.step for token in found.tokens})
    cells = np.atleast_2d(right.subplots((len(steps) + 1) // 2, 2))
    for place in cells.flat[len(steps) :]:
        place.axis("off")
    for step, place in zip(steps, cells.flat):
        draw(place, shown.maps[step], shown.poses[step], carrying=shown.carrying[step])
        said = shown.actions[step] if step < len(shown.actions) else ""
        place.text(0.5, -0.03, f"{step}: {said}", transform=place.transAxes, ha="center",
                   va="top", fontsize=8, color=INK)  # fmt: skip
    return figure


def _heat(ax: Axes, values: np.ndarray, mask: np.ndarray) -> Any:
    """The cells of a map on its own scale; what the mask hides is gray."""
    from matplotlib.colors import LinearSegmentedColormap

    ramp = LinearSegmentedColormap.from_list("weights", WEIGHTS).with_extremes(bad=HIDDEN)
    top = max(LIGHTEST, float(np.quantile(values[mask], 0.98)))
    ax.grid(False)
    ax.spines[:].set_visible(False)
    shown = np.ma.array(values, mask=~mask)
    return ax.imshow(shown, cmap=ramp, vmin=0, vmax=top, aspect="auto", interpolation="none")


def _kinds(ax: Axes, found: Shown, rows: Sequence[int]) -> None:
    """Strips of the tokens' kinds along both axes, numbered by steps, and what colors mean."""
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Patch

    paint = [to_rgb(TOKEN_COLORS[token.kind][1]) for token in found.tokens]
    ax.set_xticks([])
    ax.set_yticks([])
    below = ax.inset_axes((0, -0.045, 1, 0.035))
    left = ax.inset_axes((-0.045, 0, 0.035, 1))
    below.imshow([paint], aspect="auto", interpolation="none")
    left.imshow([[paint[i]] for i in rows], aspect="auto", interpolation="none")
    for strip, at, axis in ((below, range(len(paint)), "x"), (left, rows, "y")):
        steps = [_label(found.tokens[i]) for i in at]
        starts = [i for i, step in enumerate(steps) if i == 0 or step != steps[i - 1]]
        middles = [i + (steps.count(steps[i]) - 1) / 2 for i in starts]
        strip.set(xticks=[], yticks=[])
        strip.set(**{f"{axis}ticks": middles, f"{axis}ticklabels": [steps[i] for i in starts]})
        strip.tick_params(length=0, pad=2, labelsize=8)
        strip.spines[:].set_visible(False)
        strip.grid(False)
        line = strip.axvline if axis == "x" else strip.axhline
        for start in starts[1:]:
            line(start - 0.5, color="white", lw=1)
    below.set_xlabel("key: read from (steps)")
    left.set_ylabel("query: reads (steps)")
    kinds = dict.fromkeys(token.kind for token in found.tokens)
    keys = [Patch(color=TOKEN_COLORS[kind][1], label=NAMES.get(kind, kind)) for kind in kinds]
    ax.legend(handles=keys, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=len(keys),
              handlelength=0.9, columnspacing=1, handletextpad=0.4, fontsize=9)  # fmt: skip


def _label(token: Token) -> str:
    return "before" if token.kind == "context" else str(token.step)


def heads(found: Mapping[str, Sequence[Mapping[str, Any]]], shares: Mapping[str, str]) -> Figure:
    """Rows of `claims.by_head` for each method: a column of points a head, layers side by side.

    shares: what is counted, below each panel.
    """
    import matplotlib.pyplot as plt

    widths = [len(rows) + 2 for rows in found.values()]
    figure, axes = plt.subplots(1, len(found), figsize=(WIDTH, 3.3), sharey=True, squeeze=False,
                                width_ratios=widths, layout="constrained")  # fmt: skip
    for ax, (method, rows) in zip(axes.flat, found.items()):
        for i, row in enumerate(rows):
            for source, paint in SOURCES.items():
                mean, low, high = row[source]
                size = 6 if source == "trained" else 4.5
                label = source if i == 0 and method == next(iter(found)) else None
                ax.plot([i, i], [low, high], color=paint, lw=2)
                ax.plot(i, mean, MARKERS[source], ms=size, mew=0, color=paint, label=label)
        per_layer = sum(row["layer"] == 0 for row in rows)
        layers = len(rows) // per_layer
        ax.set_xticks([per_layer * n + (per_layer - 1) / 2 for n in range(layers)], range(layers))
        ax.tick_params(axis="x", length=0)
        for n in range(1, layers):
            ax.axvline(per_layer * n - 0.5, color="#d5d8da", lw=0.8)
        ax.set(xlim=(-0.7, len(rows) - 0.3), ylim=(0, 1.02))
        ax.set_xlabel(f"{method}, layer\n{shares[method]}", fontsize=9)
    axes[0, 0].set_ylabel("share of attention")
    figure.legend(loc="outside upper center", ncols=len(SOURCES), handletextpad=0.2)
    return figure


def growth(maps: Mapping[int, ArrayLike], curves: Mapping[str, Sequence[float]],
           even: float, moved: Sequence[float]) -> Figure:  # fmt: skip
    """Maps (Q, T) after so many updates in a row; below, shares and what they are worth over them.

    curves: of each layer the share at every step of `maps`; even: what even attention would give;
    moved: the nats by which another return moves the actions.
    """
    import matplotlib.pyplot as plt
    from matplotlib.colors import LinearSegmentedColormap

    figure, rows = plt.subplots(2, 1, figsize=(WIDTH, 4.4), layout="constrained",
                                height_ratios=(1, 1.9))  # fmt: skip
    rows[0].axis("off")
    ramp = LinearSegmentedColormap.from_list("weights", WEIGHTS)
    width = 1 / len(maps)
    for i, (step, values) in enumerate(maps.items()):
        ax = rows[0].inset_axes((i * width, 0.12, 0.92 * width, 0.88))
        ax.imshow(np.asarray(values), cmap=ramp, vmin=0, vmax=0.6, aspect="auto")
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
        ax.set_xlabel(f"{step} updates" if i == 0 else str(step), fontsize=9, labelpad=3)
    ax, at = rows[1], np.arange(len(maps))
    for paint, marker, (name, values) in zip((BLUE, ORANGE, VERMILLION), "os^", curves.items()):
        ax.plot(at, values, marker + "-", ms=5, lw=1.6, color=paint, label=name)
    ax.axhline(even, color=MUTED, ls=":", lw=1.2, label="even")
    ax.plot(at, moved, "D--", ms=4.5, lw=1.6, color="#009e73", label="another return moves (nats)")
    ax.set_xticks(at, [str(step) for step in maps])
    ax.set(xlabel="updates", ylabel="share of attention on R̂", ylim=(0, 1.02))
    ax.legend(ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1), fontsize=9)
    return figure


def views(maps: Sequence[Mapping[str, ArrayLike]], mask: ArrayLike, kinds: Sequence[str],
          top: float = 0.4) -> Figure:  # fmt: skip
    """Rows of maps (Q, T), one below the other by network, the columns' kinds below each.

    Each row of figures: maps by the name that stands below. Darker than `top` is drawn as `top`.
    """
    import matplotlib.pyplot as plt
    from matplotlib.colors import LinearSegmentedColormap, to_rgb
    from matplotlib.patches import Patch

    ramp = LinearSegmentedColormap.from_list("weights", WEIGHTS).with_extremes(bad=HIDDEN)
    figure, axes = plt.subplots(len(maps), len(maps[0]), figsize=(WIDTH, 1.75 * len(maps)),
                                squeeze=False, layout="constrained")  # fmt: skip
    strip = [[to_rgb(TOKEN_COLORS[kind][1]) for kind in kinds]]
    for ax, (name, values) in zip(axes.flat, ((n, x) for row in maps for n, x in row.items())):
        shown = np.ma.array(np.asarray(values, float), mask=~np.asarray(mask, bool))
        image = ax.imshow(shown, cmap=ramp, vmin=0, vmax=top, aspect="auto", interpolation="none")
        below = ax.inset_axes((0, -0.09, 1, 0.06))
        below.imshow(strip, aspect="auto", interpolation="none")
        for part in (ax, below):
            part.set(xticks=[], yticks=[])
            part.grid(False)
            part.spines[:].set_visible(False)
        below.set_xlabel(name, fontsize=9.5, labelpad=2)
    bar = figure.colorbar(image, ax=axes, shrink=0.7, aspect=18, pad=0.02, extend="max")
    bar.set_label("weight, in rows that sum to 1")
    bar.outline.set_visible(False)
    keys = [Patch(color=TOKEN_COLORS[kind][1], label=NAMES.get(kind, kind))
            for kind in dict.fromkeys(kinds)]  # fmt: skip
    figure.legend(handles=keys, loc="outside upper center", ncols=len(keys), fontsize=9)
    return figure


def words_on_grid(shown: Scene, attention: Mapping[str, ArrayLike], columns: int = 4) -> Figure:
    """A map for each word or query: the more it attends to a cell, the more orange; in percent.

    attention: (W, H) each, by the name that stands below.
    """
    import matplotlib.pyplot as plt

    rows = -(-len(attention) // columns)
    side = WIDTH / columns
    figure, axes = plt.subplots(rows, columns, figsize=(WIDTH, rows * (side + 0.25)),
                                squeeze=False, layout="constrained")  # fmt: skip
    for ax in axes.flat[len(attention) :]:
        ax.axis("off")
    for ax, (name, values) in zip(axes.flat, attention.items()):
        draw(ax, shown.maps[0], shown.poses[0])
        for (x, y), weight in np.ndenumerate(np.asarray(values)):
            if weight >= 0.02:
                ax.add_patch(plt.Rectangle((x, y), 1, 1, fc=ORANGE, alpha=0.7 * weight, zorder=1.6))
                edge = {"fc": "none", "ec": VERMILLION, "lw": 0.6 + 1.6 * weight, "zorder": 8}
                ax.add_patch(plt.Rectangle((x + 0.05, y + 0.05), 0.9, 0.9, **edge))
                chip = {"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.9}
                ax.text(x + 0.5, y + 0.84, f"{100 * weight:.0f}", ha="center", va="center",
                        fontsize=7, color=INK, zorder=9, bbox=chip)  # fmt: skip
        ax.text(0.5, -0.03, name, transform=ax.transAxes, ha="center", va="top", fontsize=10)
    return figure


def key(records: Sequence[Row]) -> Axes:
    """Attention of Key-to-Door's last room on each step: the critic, its controls, and the actor.

    Of solved episodes that took the key at the step that most did.
    """
    critics, actors = inside_studies.key_runs(records)
    k = max(critics[0]["by_step"]["trained"], key=int)
    lines = {f"critic, {source}": np.mean([run["by_step"][source][k] for run in critics], 0)
             for source in SOURCES}  # fmt: skip
    acting = [run["by_step"]["trained"][k] for run in actors if k in run["by_step"]["trained"]]
    lines |= {"DT, trained": np.mean(acting, 0)} if acting else {}
    paints = dict(zip(lines, [*SOURCES.values(), SOURCES["trained"]]))
    ax = over_steps(lines, dict(zip(key_attention.ROOMS, PHASES)), "attention (%)", paints=paints,
                    dashed=("DT, trained",), marks={"critic, trained": int(k)})  # fmt: skip
    ax.legend(loc="center right")
    return ax
