"""A beam search over a map, step by step: it grows, is pruned, and grows on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import torch

from seqrl.beam_search import Prefix, Round
from seqrl.environments.grid_observation import ACTIONS
from seqrl.grid_shapes import STEPS, agent_shapes, map_shapes, placed
from seqrl.gridworld import short, svg_element, svg_floor, svg_shapes, svg_text, svg_walls
from seqrl.player import Player, panes, player, timed, world
from seqrl.style import BLUE, INK, MUTED, PAPER, VERMILLION, minus
from seqrl.tt_dynamics import on_map

MILLISECONDS = 1600  # of a transition
SPREAD = 0.3  # of a cell: paths that coincide are drawn side by side within this
FADED = 0.4  # opacity of what is dropped
WIDTH, HEIGHT, LEFT, TOP, FOOT = 360, 330, 46, 26, 40  # of the drawing of values


class Branches(NamedTuple):
    """What a round of a search imagined, as poses on the map; equal sequences are one."""

    poses: np.ndarray  # (n, t + 1, 3), the present pose first
    times: np.ndarray  # (n,) how many sequences did this
    kept: np.ndarray  # (n,) how many of them stay
    value: np.ndarray  # (n,) the mean of what they are worth
    # (n, t + 1), the last one's outcome is not imagined yet; needed to draw what grew out of what
    actions: np.ndarray | None = None

    @property
    def cells(self) -> int:
        """How many different cells those that stay have come to."""
        return len(np.unique(self.poses[self.kept > 0][:, -1, :2], axis=0))


def branches(model: Any, prefix: Prefix, round_: Round, e: int = 0) -> Branches:
    """The candidates of one round of a search in environment e, by their actions and states.

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
    poses = on_map(world, numbers.flatten(0, 1)[None]).view(*rows.shape[:2], 3).numpy()
    actions = tokens[:, ::C].numpy()  # (R, t + 1)
    sequences = np.concatenate([actions, poses.reshape(len(poses), -1)], 1)
    _, first, which = np.unique(sequences, axis=0, return_index=True, return_inverse=True)
    which = which.ravel()
    stays = np.zeros(len(which))
    stays[round_.kept[e].numpy()] = 1
    times = np.bincount(which)
    worth = np.bincount(which, round_.value[e].numpy()) / times
    return Branches(poses[first], times, np.bincount(which, stays), worth, actions[first])


def growing(
    grid: np.ndarray, found: Sequence[Branches], best: Sequence[str], *, autoplay: bool = True
) -> Player:
    """The rounds of a search over a map (W, H, 3), one a step, beside what each future is worth.

    best: the plan's actions in words, for the last step. What is dropped is faded. ValueError
    without a round.
    """
    if not found or any(branch.actions is None for branch in found):
        raise ValueError("there is no round of a search to be shown, or one without actions.")
    last = len(found) + 1  # nothing is imagined at step 0; the best is alone at the last
    x, y, heading = (int(v) for v in found[0].poses[0, 0])
    base = svg_floor(grid) + svg_shapes(map_shapes(grid)) + svg_walls(grid)
    agent = svg_shapes(placed(agent_shapes(heading), x, y))
    over = [timed(_paths(branch), i, i + 1, last) for i, branch in enumerate(found, 1)]
    alone = found[-1]._replace(kept=last_only(found[-1]))
    over.append(timed(_path(alone, int(alone.kept.argmax()), 0), last, last + 1, last))
    label = f"A beam search of {len(found)} rounds over a map."
    drawn = svg_element(grid, base + agent + "".join(over), label)
    words = [*_words(found), _best(found, best)]
    data = {"last": last, "words": words}
    ladder = _values(found, last)
    return player(
        [world(data, panes(drawn, ladder), wide=True)], last,
        f"a beam search of {len(found)} rounds", milliseconds=MILLISECONDS, autoplay=autoplay,
    )  # fmt: skip


def last_only(branch: Branches) -> np.ndarray:
    """Of the branches only the one of the highest value is kept: (n,)."""
    alone = np.zeros(len(branch.value))
    alone[np.where(branch.kept > 0, branch.value, -np.inf).argmax()] = 1
    return alone


def _words(found: Sequence[Branches]) -> list[str]:
    """A sentence for each step before the last."""
    words = ["Now: nothing is imagined yet."]
    for i, branch in enumerate(found, 1):
        stay, out = branch.kept > 0, branch.kept == 0
        words.append(
            f"Transition {i}: {branch.times.sum()} futures are imagined, {len(stay)} of them "
            f"different. {branch.kept.sum():.0f} stay, worth {_span(branch.value[stay])}"
            + (f"; dropped are those worth {_span(branch.value[out])}." if out.any() else ".")
        )
    return words


def _best(found: Sequence[Branches], best: Sequence[str]) -> str:
    runs = [(word, len(list(same))) for word, same in groupby(best)]
    plan = ", ".join(f"{n} × {word}" if n > 1 else word for word, n in runs)
    worth = _number(float(found[-1].value[last_only(found[-1]) > 0][0]))
    return f"The best future, worth {worth}: {plan}. Only its first action is taken."


def _span(values: np.ndarray) -> str:
    low, high = _number(float(values.min())), _number(float(values.max()))
    return low if low == high else f"{low} to {high}"


def _number(value: float) -> str:
    return minus(f"{value:.1f}")


def _paths(branch: Branches) -> str:
    """Each branch over the map; what is dropped lies behind."""
    shifts = np.linspace(-SPREAD, SPREAD, len(branch.kept)) if len(branch.kept) > 1 else [0.0]
    order = np.argsort(branch.kept > 0, kind="stable")
    return "".join(_path(branch, int(b), float(shifts[b])) for b in order)


def _path(branch: Branches, b: int, shift: float) -> str:
    """One branch: where it went, and at its end the action whose outcome is not imagined yet."""
    points = branch.poses[b, :, :2] + 0.5
    points = np.r_[points[:1], points[1:][(np.diff(points, axis=0) != 0).any(1)] + shift]
    paint, opacity = (BLUE, 0.9) if branch.kept[b] > 0 else (VERMILLION, FADED)
    width = 0.04 + 0.02 * np.log2(1 + branch.times[b])
    line = " ".join(short(v) for v in points.ravel())
    x, y = (short(v) for v in points[-1])
    return (
        f'<g fill="none" stroke="{paint}" opacity="{opacity}" stroke-width="{short(width)}" '
        f'stroke-linecap="round" stroke-linejoin="round"><path d="M{line}{_intent(branch, b)}"/>'
        f'<circle cx="{x}" cy="{y}" r="{short(width)}" fill="{paint}" stroke="none"/></g>'
    )


def _intent(branch: Branches, b: int) -> str:
    """The last action as a stroke: half a cell ahead, or a short one to the side of a turn."""
    assert branch.actions is not None
    action, heading = int(branch.actions[b, -1]), int(branch.poses[b, -1, 2])
    name = ACTIONS[action] if action < len(ACTIONS) else ""
    turn = {"left": -1, "right": 1, "forward": 0}.get(name)
    if turn is None:
        return ""
    dx, dy = STEPS[(heading + turn) % 4] * (0.25 if turn else 0.5)
    return f"l{short(dx)} {short(dy)}"


def _values(found: Sequence[Branches], last: int) -> str:
    """What each future is worth, round by round; lines lead from a future to those it grew into."""
    values = np.concatenate([branch.value for branch in found])
    low, high = float(values.min()), float(values.max())
    room, gap = max(high - low, 1e-6), (WIDTH - LEFT - 24) / len(found)

    def place(i: int, b: int) -> tuple[float, float]:
        x = LEFT + gap * (i + 0.5)
        share = (high - float(found[i].value[b])) / room
        return x, TOP + share * (HEIGHT - TOP - FOOT)

    parts = [_axes(low, high, [LEFT + gap * (i + 0.5) for i in range(len(found))])]
    for i, branch in enumerate(found):
        order = np.argsort(branch.kept > 0, kind="stable")
        marks = "".join(_mark(found, i, int(b), place) for b in order)
        parts.append(timed(marks, i + 1, last + 1, last))
    parts.append(timed(_ancestry(found, place), last, last + 1, last))
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" xmlns="http://www.w3.org/2000/svg" role="img" '
        'aria-label="What each imagined future is worth, round by round."><rect '
        f'width="{WIDTH}" height="{HEIGHT}" fill="{PAPER}"/>{"".join(parts)}</svg>'
    )


def _parent(found: Sequence[Branches], i: int, b: int) -> int:
    """The branch of the round before that branch b of round i grew out of."""
    before, grown = found[i - 1].actions, found[i].actions
    assert before is not None and grown is not None
    return int((before == grown[b, :-1]).all(1).argmax())


def _mark(found: Sequence[Branches], i: int, b: int, place: Any) -> str:
    (x, y), stays = place(i, b), found[i].kept[b] > 0
    paint, opacity = (BLUE, 1) if stays else (VERMILLION, FADED)
    line = ""
    if i:
        x0, y0 = place(i - 1, _parent(found, i, b))
        line = f'<path d="M{x0:.0f} {y0:.0f}L{x:.0f} {y:.0f}" stroke-width="1.5"/>'
    r = 2.5 + 1.2 * np.log2(1 + found[i].times[b])
    return (
        f'<g stroke="{paint}" fill="none" opacity="{opacity}">{line}<circle cx="{x:.0f}" '
        f'cy="{y:.0f}" r="{r:.1f}" fill="{paint}" stroke="none"/></g>'
    )


def _ancestry(found: Sequence[Branches], place: Any) -> str:
    """The way to the best future, from its first transition on."""
    b = int(last_only(found[-1]).argmax())
    points = [place(len(found) - 1, b)]
    for i in range(len(found) - 1, 0, -1):
        b = _parent(found, i, b)
        points.append(place(i - 1, b))
    line = " ".join(f"{x:.0f} {y:.0f}" for x, y in points)
    return f'<path d="M{line}" fill="none" stroke="{INK}" stroke-width="3"/>'


def _axes(low: float, high: float, columns: Sequence[float]) -> str:
    """The highest and the lowest value, and the number of each round."""
    bottom = HEIGHT - FOOT
    ends = "".join(
        svg_text(LEFT - 6, y + 5, _number(v), MUTED, anchor="end")
        for y, v in ((TOP, high), (bottom, low))
    )
    numbers = "".join(svg_text(x, HEIGHT - 20, str(i), MUTED) for i, x in enumerate(columns, 1))
    middle = (TOP + bottom) / 2
    return (
        f'<path d="M{LEFT} {TOP - 8}V{bottom + 8}" stroke="{MUTED}" fill="none"/>{ends}{numbers}'
        f"{svg_text((LEFT + WIDTH) / 2, HEIGHT - 3, 'transition', MUTED)}"
        f'<g transform="rotate(-90 16 {middle:.0f})">{svg_text(16, middle, "worth", MUTED)}</g>'
    )
