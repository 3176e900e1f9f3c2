"""A plan that is revised, iteration by iteration: over the map, beside its energy."""

from __future__ import annotations

from html import escape

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from seqrl.constraints import World
from seqrl.energy_search import NOTHING
from seqrl.environments.grid_observation import ACTIONS
from seqrl.grid_shapes import agent_shapes, map_shapes, placed
from seqrl.gridworld import (
    start_mark,
    svg_element,
    svg_floor,
    svg_path,
    svg_shapes,
    svg_text,
    svg_walls,
)
from seqrl.player import Player, choice, panes, player, timed, world
from seqrl.style import COLORS, INK, MUTED, PAPER, TOKEN_COLORS

MILLISECONDS = 1200  # of an iteration
SIGNS = {"left": "↶", "right": "↷", "forward": "↑", "pickup": "take", "drop": "put"}
WIDTH, HEIGHT, LEFT, TOP = 360, 240, 46, 24  # of the energies' drawing; below it is the plan
BOX = 58  # of an action in the plan, with its gap


def walked(grid: np.ndarray, agent: Tensor, plan: Tensor) -> np.ndarray:
    """The poses (n + 1, 3) of a plan (H,) on a map (W, H, 3), by the known kinematics.

    agent: (19,), as an environment shows it. The plan stops at what is no action.
    """
    world = World(torch.as_tensor(grid)[None], agent[None])
    poses = [world.pose[0].numpy().copy()]
    for action in plan.tolist():
        if not 0 <= action < len(ACTIONS):
            break
        world.step(torch.tensor([action]))
        poses.append(world.pose[0].numpy().copy())
    return np.stack(poses)


def refining(
    grid: np.ndarray, agent: Tensor, plans: Tensor, energies: ArrayLike, mission: str = "",
    *, autoplay: bool = True,
) -> Player:  # fmt: skip
    """Plans after each iteration on one map, beside the energies of all iterations and chains.

    Step 0 is before the draft, when every action is hidden; step i is after iteration i.
    plans: (N, chains, H), or (N, H) of one chain; energies: (N, chains) or (N,). The chain that
    ends with the lowest energy is shown first. ValueError where their numbers differ.
    """
    E = np.asarray(energies, float)
    E, plans = (E[:, None], plans[:, None]) if plans.ndim == 2 else (E, plans)
    if E.shape != tuple(plans.shape[:2]):
        raise ValueError(f"{tuple(plans.shape[:2])} plans need as many energies, not {E.shape}.")
    grid, (N, chains) = np.asarray(grid), E.shape
    first, hidden = int(E[-1].argmin()), torch.full_like(plans[0, 0], NOTHING)
    base = svg_floor(grid) + svg_shapes(map_shapes(grid)) + svg_walls(grid)
    worlds = []
    for c in range(chains):
        ways = [_way(walked(grid, agent, plan)) for plan in [hidden, *plans[:, c]]]
        over = "".join(timed(way, i, i + 1, N) for i, way in enumerate(ways))
        label = f"A plan on a map after each of {N} iterations of chain {c + 1}. {mission}"
        drawn = svg_element(grid, base + over, label)
        data = {"last": N, "words": _words(plans[:, c], E[:, c])}
        head = f'<div class="head">{escape(mission)}</div>' * bool(mission)
        side = _side(E, c, plans[:, c])
        worlds.append(world(data, head + panes(drawn, side), chosen=c == first, wide=True))
    pick = choice("chain", [str(c + 1) for c in range(chains)], first) if chains > 1 else ""
    return player(
        worlds, N, f"{N} iterations of a plan", milliseconds=MILLISECONDS,
        autoplay=autoplay, choice=pick,
    )  # fmt: skip


def _way(path: np.ndarray) -> str:
    x, y, heading = (int(v) for v in path[-1])
    return svg_path(path) + svg_shapes(start_mark(path) + placed(agent_shapes(heading), x, y))


def _names(plan: Tensor) -> list[str]:
    known = {NOTHING: "?"} | dict(enumerate(ACTIONS))
    return [known.get(a, "end") for a in plan.tolist()]


def _words(plans: Tensor, energies: np.ndarray) -> list[str]:
    """A sentence for each iteration: the plan, and what was changed."""
    words = ["Before the draft: every action is hidden."]
    for i, plan in enumerate(plans):
        what = "The draft" if i == 0 else f"Iteration {i + 1}"
        changed = int((plan != plans[i - 1]).sum()) if i else 0
        how = f", {changed} changed" if changed else ", nothing changed" * (i > 0)
        words.append(f"{what}{how}: {', '.join(_names(plan))}. Energy {energies[i]:.2f}.")
    return words


def _side(E: np.ndarray, c: int, plans: Tensor) -> str:
    """All chains' energies with chain c in front, and its plan below, by iterations."""
    N, chains = E.shape
    others = "".join(_line(E, k, N - 1, 'opacity=".25"') for k in range(chains) if k != c)
    frames = timed(_boxes(torch.full_like(plans[0], NOTHING)), 0, 1, N)
    for i in range(N):
        x, y = _place(E, i, float(E[i, c]))
        dot = f'<circle cx="{x:.0f}" cy="{y:.0f}" r="6" fill="{COLORS["LEAP"]}"/>'
        value = svg_text(x, y - 12, f"{E[i, c]:.2f}", INK, 16)
        plan = _boxes(plans[i], plans[i - 1] if i else None)
        frames += timed(_line(E, c, i) + dot + value + plan, i + 1, i + 2, N)
    label = f"Energy of chain {c + 1} over {N} iterations, from {E[0, c]:.2f} to {E[-1, c]:.2f}."
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT + 74}" xmlns="http://www.w3.org/2000/svg" role="img" '
        f'aria-label="{label}"><rect width="{WIDTH}" height="{HEIGHT + 74}" fill="{PAPER}"/>'
        f"{_axes(E)}{others}{frames}</svg>"
    )


def _place(E: np.ndarray, i: int, energy: float) -> tuple[float, float]:
    """Where an energy of iteration i stands."""
    x = LEFT + (WIDTH - LEFT - 10) * (i + 0.5) / len(E)
    room = HEIGHT - 46 - TOP - 14
    return x, HEIGHT - 46 - room * max(0.0, energy) / max(float(E.max()), 1e-6)


def _line(E: np.ndarray, c: int, until: int, look: str = "") -> str:
    """The energies of chain c up to an iteration."""
    points = [_place(E, j, float(E[j, c])) for j in range(until + 1)]
    line = " ".join(f"{x:.0f},{y:.0f}" for x, y in points)
    paint = COLORS["LEAP"]
    return f'<polyline points="{line}" fill="none" stroke="{paint}" stroke-width="2.5" {look}/>'


def _boxes(plan: Tensor, before: Tensor | None = None) -> str:
    """The plan's actions, question marks while hidden; what was changed has an edge."""
    left, parts = (WIDTH - BOX * len(plan)) / 2, ""
    for k, name in enumerate(_names(plan)):
        fill, ink = TOKEN_COLORS["mask" if plan[k] == NOTHING else "action"]
        changed = before is not None and bool(plan[k] != before[k])
        edge = f' stroke="{ink}" stroke-width="{3 if changed else 1}"' * (changed or name == "?")
        x, sign = left + BOX * k, SIGNS.get(name, name)
        size = 26 if len(sign) == 1 else 15
        word = svg_text(x + BOX / 2, HEIGHT + 45 + size * 0.34, sign, ink, size)
        parts += (
            f'<rect x="{x + 3:.0f}" y="{HEIGHT + 22}" width="{BOX - 6}" height="46" rx="8" '
            f'fill="{fill}"{edge}/>{word}'
        )
    return parts


def _axes(E: np.ndarray) -> str:
    """A line at energy 0, the number of each iteration, and the names of both."""
    y, middle = HEIGHT - 46, (TOP + HEIGHT - 46) / 2
    numbers = "".join(
        svg_text(_place(E, i, 0)[0], y + 19, str(i + 1), MUTED) for i in range(len(E))
    )
    return (
        f'<path d="M{LEFT} {y}H{WIDTH - 10}" stroke="{MUTED}"/>{numbers}'
        f"{svg_text(LEFT - 10, y + 5, '0', MUTED)}"
        f"{svg_text((LEFT + WIDTH) / 2, y + 39, 'iteration', MUTED)}"
        f'<g transform="rotate(-90 16 {middle:.0f})">'
        f"{svg_text(16, middle, 'energy (nats)', MUTED)}</g>"
    )
