"""A beam search over a map: it grows, is pruned, and grows on. SVG without a script."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import torch

from seqrl.animations import Player, in_turn
from seqrl.beam_search import Prefix, Round
from seqrl.grid_shapes import STEPS, agent_shapes, map_shapes, placed
from seqrl.gridworld import frame as shown_part
from seqrl.gridworld import short, svg_floor, svg_shapes, svg_walls
from seqrl.style import BLUE, INK, PAPER, VERMILLION
from seqrl.tt_dynamics import on_map

SECONDS = 1.6  # how long a frame is shown
SPREAD = 0.3  # of a cell: paths that coincide are drawn side by side within this


class Branches(NamedTuple):
    """What a round of a search imagined, as poses on the map; equal sequences are one."""

    poses: np.ndarray  # (n, t + 1, 3), the present pose first
    times: np.ndarray  # (n,) how many sequences did this
    kept: np.ndarray  # (n,) how many of them stay
    value: np.ndarray  # (n,) the mean of what they are worth

    @property
    def different(self) -> int:
        """How many of those that stay are different."""
        return int((self.kept > 0).sum())


def branches(model: Any, prefix: Prefix, round_: Round, e: int = 0) -> Branches:
    """The candidates of one round of a search in environment e, by the states they imagined.

    One that has said stop stays where it was.
    """
    layout, tokens = model.layout, round_.tokens[e]  # (R, n)
    C, N, stop = layout.C, layout.N, model.stop
    steps = (tokens.shape[1] - layout.M - 1) // C  # whole transitions so far
    places = [tokens[:, k * C - N : k * C] for k in range(1, steps + 1)]
    start = prefix.state(N, C)[e].expand(len(tokens), -1)
    states = [start]
    for place in places:
        states.append(torch.where((place == stop).any(1, keepdim=True), states[-1], place))
    rows = torch.stack(states, 1)  # (R, t + 1, N)
    numbers = model.discretizer.center(rows, layout.state)
    world = prefix.world._replace(anchor=prefix.world.anchor[e : e + 1])
    poses = on_map(world, numbers.flatten(0, 1)[None]).view(*rows.shape[:2], 3)
    unique, which = np.unique(poses.numpy(), axis=0, return_inverse=True)
    which = which.ravel()
    stays = np.zeros(len(which))
    stays[round_.kept[e].numpy()] = 1
    times = np.bincount(which)
    worth = np.bincount(which, round_.value[e].numpy()) / times
    return Branches(unique, times, np.bincount(which, stays), worth)


def growing(grid: np.ndarray, found: Sequence[Branches], best: Sequence[str]) -> Player:
    """The rounds of a search over a map (W, H, 3), one frame each, and at last the best plan.

    best: the plan's actions in words. It stands still under the pointer or with the keyboard's
    focus; readers who prefer reduced motion see the last frame. ValueError without a round.
    """
    if not found:
        raise ValueError("there is no round of a search to be shown.")
    left, top, across, down = shown_part(grid)
    x, y, heading = (int(v) for v in found[0].poses[0, 0])
    still = svg_floor(grid) + svg_shapes(map_shapes(grid)) + svg_walls(grid)
    agent = svg_shapes(placed(agent_shapes(heading), x, y))
    foot = across / 10  # room for a line below the map
    under = f'x="{short(left)}" y="{short(top + down + 0.65 * foot)}" font-size="{short(foot / 2)}"'
    frames = [_frame(i, branch, under) for i, branch in enumerate(found)]
    runs = [(word, len(list(same))) for word, same in groupby(best)]
    words = "best: " + ", ".join(f"{n} x {word}" if n > 1 else word for word, n in runs)
    last = found[-1]._replace(kept=last_only(found[-1]))
    frames.append(_frame(len(found), last, under, words))
    size = f"{short(left)} {short(top)} {short(across)} {short(down + foot)}"
    label = f"A beam search of {len(found)} rounds over a map; {words}."
    place = f'x="{left}" y="{top}" width="{across}"'
    back = f'<rect {place} height="{down + foot}" fill="{PAPER}"/>'
    part = f'<svg {place} height="{down}" viewBox="{left} {top} {across} {down}">'  # cuts the rim
    html = (
        f'<div class="seqrl-beam" tabindex="0">{in_turn("seqrl-beam", len(found) + 1, SECONDS)}'
        f'<svg viewBox="{size}" role="img" aria-label="{escape(label)}" '
        f'xmlns="http://www.w3.org/2000/svg" style="width:100%;max-width:430px">'
        f"{back}{part}{still}{agent}</svg>{''.join(frames)}</svg></div>"
    )
    return Player(html, f"a beam search of {len(found)} rounds")


def last_only(branch: Branches) -> np.ndarray:
    """Of the branches only the one of the highest value is kept."""
    alone = np.zeros(len(branch.value))
    alone[np.where(branch.kept > 0, branch.value, -np.inf).argmax()] = 1
    return alone


def _frame(i: int, branch: Branches, under: str, words: str = "") -> str:
    """One round: what is dropped behind, what stays in front, and a line that counts them."""
    order = np.argsort(branch.kept > 0, kind="stable")
    shifts = np.linspace(-SPREAD, SPREAD, max(2, len(order)))
    lines = "".join(_path(branch, b, shifts[k]) for k, b in enumerate(order))
    if not words:
        kept, all_ = int(branch.kept.sum()), int(branch.times.sum())
        words = f"transition {i + 1}: {all_} imagined, {kept} stay"
    text = f'<text {under} font-family="sans-serif" fill="{INK}">{escape(words)}</text>'
    delay = f"animation-delay:{i * SECONDS:.1f}s"
    return f'<g class="frame" style="{delay}">{lines}{text}</g>'


def _path(branch: Branches, b: int, shift: float) -> str:
    points = branch.poses[b, :, :2] + 0.5 + shift
    points = np.r_[points[:1], points[1:][(np.diff(points, axis=0) != 0).any(1)]]
    stays = branch.kept[b] > 0
    paint, opacity = (BLUE, 0.9) if stays else (VERMILLION, 0.7)
    width = 0.04 + 0.02 * np.log2(1 + branch.times[b])
    end = [short(v) for v in points[-1]]
    dx, dy = STEPS[int(branch.poses[b, -1, 2])]
    nose = f"M{end[0]} {end[1]}l{short(0.22 * dx)} {short(0.22 * dy)}"
    line = " ".join(short(v) for v in points.ravel())
    return (
        f'<g fill="none" stroke="{paint}" stroke-opacity="{opacity}" '
        f'stroke-width="{short(width)}" stroke-linecap="round" stroke-linejoin="round">'
        f'<path d="M{line}"/><path d="{nose}"/></g>'
        f'<circle cx="{end[0]}" cy="{end[1]}" r="{short(width)}" fill="{paint}" '
        f'fill-opacity="{opacity}"/>'
    )
