"""One map under many requests: drag what is asked for, and another recorded episode is shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from seqrl.animations import asked_for, episode, pace
from seqrl.gridworld import svg_text
from seqrl.player import Player, choice, player
from seqrl.scenes import scene
from seqrl.style import COLORS, INK, MUTED, PAPER, minus
from seqrl.trajectories import Trajectories

WIDTH, HEIGHT, LEFT, TOP, FOOT = 360, 330, 52, 40, 44  # of the drawing of returns


def asking(driven: Mapping[float, Trajectories], e: int, start: float | None = None) -> Player:
    """Episode e under each target, one at a time, beside what all targets led to.

    driven: for each target, the same episodes. start: the target that is shown first, the middle
    one unless given. The return-to-go counts down; the other episodes are pale in the drawing of
    returns. Raises ValueError without a target, or where `start` is none of them.
    """
    targets = sorted(driven)
    if not targets or start not in (None, *targets):
        raise ValueError(f"{start} is none of the targets {targets}.")
    first = len(targets) // 2 if start is None else targets.index(start)
    got = np.array([[float(r.sum()) for r in _rewards(driven[t])] for t in targets])
    worlds = []
    for i, target in enumerate(targets):
        shown = asked_for(scene(driven[target], e), target)
        caption = f"Asked for {number(target)}"
        drawn = _returns(targets, got, i, e)
        worlds.append(episode(shown, caption, beside=drawn, chosen=i == first))
    last = len(scene(driven[targets[first]], e).actions)
    longest = max(int(x.lengths[e]) for x in driven.values())
    names = [number(target) for target in targets]
    return player(
        worlds, last, f"an episode under {len(targets)} requests", milliseconds=pace(longest),
        autoplay=False, choice=choice("asked for", names, first),
    )  # fmt: skip


def number(value: float) -> str:
    """A number as it is written in text, with a real minus."""
    return minus(f"{value:.3g}")


def _rewards(trajectories: Trajectories) -> list[np.ndarray]:
    return [trajectories.episode(e)["rewards"] for e in range(len(trajectories))]


def _returns(targets: list[float], got: np.ndarray, i: int, e: int) -> str:
    """Achieved over requested return: all episodes pale, episode e strong, target i ringed."""
    low, high = min(targets[0], float(got.min())), max(targets[-1], float(got.max()))
    edge = 14  # between the axes and the first dot

    def place(target: float, value: float) -> tuple[float, float]:
        across = (target - targets[0]) / max(targets[-1] - targets[0], 1e-6)
        up = (value - low) / max(high - low, 1e-6)
        x = LEFT + edge + across * (WIDTH - LEFT - 2 * edge)
        return x, HEIGHT - FOOT - edge - up * (HEIGHT - FOOT - TOP - edge)

    paint = COLORS["DT"]
    pale = "".join(
        _dot(*place(target, value), 4, f'fill="{paint}" opacity=".18"')
        for target, values in zip(targets, got)
        for value in np.delete(values, e)
    )
    dots = [place(target, values[e]) for target, values in zip(targets, got)]
    line = " ".join(f"{x:.0f},{y:.0f}" for x, y in dots)
    strong = f'<polyline points="{line}" fill="none" stroke="{paint}" stroke-width="1.5"/>'
    strong += "".join(_dot(x, y, 4.5, f'fill="{paint}"') for x, y in dots)
    ring = _dot(*dots[i], 9, f'fill="none" stroke="{INK}" stroke-width="3"')
    said = f"asked for {number(targets[i])}, got {number(got[i, e])}"
    (x0, y0), (x1, y1) = place(targets[0], targets[0]), place(targets[-1], targets[-1])
    obeyed = f'<path d="M{x0:.0f} {y0:.0f}L{x1:.0f} {y1:.0f}" stroke="{MUTED}" '
    obeyed += 'stroke-width="1.5" stroke-dasharray="5 4" fill="none"/>'
    axes = _axes(targets, (low, high), place)
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" xmlns="http://www.w3.org/2000/svg" role="img" '
        f'aria-label="Achieved over requested return: {said}."><rect width="{WIDTH}" '
        f'height="{HEIGHT}" fill="{PAPER}"/>{axes}{obeyed}{pale}{strong}{ring}'
        f"{svg_text(WIDTH / 2, 20, said, INK, 17)}</svg>"
    )


def _axes(targets: list[float], span: tuple[float, float], place: Any) -> str:
    """Two lines, their ends in numbers, and what they measure."""
    bottom, middle = HEIGHT - FOOT, (TOP + HEIGHT - FOOT) / 2
    across = "".join(
        svg_text(place(t, 0)[0], bottom + 18, number(t), MUTED) for t in (targets[0], targets[-1])
    )
    up = "".join(
        svg_text(LEFT - 6, place(targets[0], v)[1] + 5, number(v), MUTED, anchor="end")
        for v in span
    )
    frame = f'<path d="M{LEFT} {TOP - 6}V{bottom}H{WIDTH - 4}" stroke="{MUTED}" fill="none"/>'
    down = f'<g transform="rotate(-90 18 {middle:.0f})">{svg_text(18, middle, "got", MUTED)}</g>'
    name = svg_text((LEFT + WIDTH) / 2, HEIGHT - 8, "asked for", MUTED)
    return frame + across + up + down + name


def _dot(x: float, y: float, r: float, look: str) -> str:
    return f'<circle cx="{x:.0f}" cy="{y:.0f}" r="{r:g}" {look}/>'
