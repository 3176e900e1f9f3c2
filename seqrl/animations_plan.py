"""A plan that changes while it is searched for: over the map, beside its energy. SVG, no script."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import torch
from torch import Tensor

from seqrl.animations import Player, in_turn
from seqrl.constraints import World
from seqrl.environments.grid_observation import ACTIONS
from seqrl.grid_shapes import agent_shapes, map_shapes, placed
from seqrl.gridworld import start_mark, svg_element, svg_floor, svg_path, svg_shapes, svg_walls
from seqrl.style import COLORS, INK, MUTED, PAPER

SECONDS = 1.2  # how long each iteration is shown
SIGNS = {"left": "↶", "right": "↷", "forward": "↑", "pickup": "take", "drop": "put"}
LAYOUT = (
    ".seqrl-refining .both{display:grid;grid-template-columns:1fr 1.4fr;gap:1rem;"
    "max-width:680px;align-items:center}.seqrl-refining p{margin:0 0 .4rem}"
)
WIDTH, HEIGHT, LEFT = 330, 190, 46  # of the energy's drawing


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
    grid: np.ndarray, agent: Tensor, plans: Tensor, energies: Sequence[float], mission: str = ""
) -> Player:
    """Plans (N, H) after each iteration on one map, each beside all energies so far.

    It stands still under the pointer or with the keyboard's focus on it. Readers who prefer
    reduced motion see the last iteration. ValueError where plans and energies differ in number.
    """
    if len(plans) != len(energies):
        raise ValueError(f"{len(plans)} plans need as many energies, not {len(energies)}.")
    grid = np.asarray(grid)
    base = svg_floor(grid) + svg_shapes(map_shapes(grid)) + svg_walls(grid)
    N = len(plans)
    worlds, curves = "", ""
    for i, plan in enumerate(plans):
        path = walked(grid, agent, plan)
        x, y, heading = (int(v) for v in path[-1])
        drawn = svg_path(path) + svg_shapes(start_mark(path) + placed(agent_shapes(heading), x, y))
        delay = f'class="frame" style="animation-delay:{i * SECONDS:.1f}s"'
        worlds += f"<g {delay}>{drawn}</g>"
        curves += f"<g {delay}>{_energies(energies, i)}{_words(plan, i, N)}</g>"
    label = f"A plan on a map after each of {N} iterations. {mission}"
    world = svg_element(grid, base + worlds, label)
    side = (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT + 60}" xmlns="http://www.w3.org/2000/svg" '
        f'role="img" aria-label="Its energy, falling"><rect width="{WIDTH}" '
        f'height="{HEIGHT + 60}" fill="{PAPER}"/>{_axes(energies)}{curves}</svg>'
    )
    html = (
        f'<div class="seqrl-refining" tabindex="0">{in_turn("seqrl-refining", N, SECONDS)}'
        f"<style>{LAYOUT}</style><p>{escape(mission)}</p>"
        f'<div class="both"><div>{world}</div><div>{side}</div></div></div>'
    )
    return Player(html, f"{N} iterations of a plan")


def _place(energies: Sequence[float], i: int) -> tuple[float, float]:
    """Where iteration i stands in the drawing of energies."""
    top = max(max(energies), 1e-6)
    x = LEFT + (WIDTH - LEFT - 14) * (i + 0.5) / len(energies)
    return x, HEIGHT - 30 - (HEIGHT - 50) * max(0.0, energies[i]) / top


def _energies(energies: Sequence[float], i: int) -> str:
    """The energies up to iteration i, a line with a dot at its end."""
    points = [_place(energies, j) for j in range(i + 1)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    x, y = points[-1]
    paint = COLORS["LEAP"]
    return (
        f'<polyline points="{line}" fill="none" stroke="{paint}" stroke-width="2.5"/>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{paint}"/>'
        f"{_text(x, y - 10, f'{energies[i]:.2f}', INK)}"
    )


def _words(plan: Tensor, i: int, N: int) -> str:
    """The plan's actions as signs, and which iteration it is."""
    names = [ACTIONS[a] if 0 <= a < len(ACTIONS) else "end" for a in plan.tolist()]
    signs = "  ".join(SIGNS.get(name, name) for name in names)
    return _text(WIDTH / 2, HEIGHT + 12, f"iteration {i + 1} of {N}", MUTED) + _text(
        WIDTH / 2, HEIGHT + 42, signs, INK, 20
    )


def _axes(energies: Sequence[float]) -> str:
    """A line at energy 0 and the name of the height."""
    y = HEIGHT - 30
    return (
        f'<path d="M{LEFT} {y}H{WIDTH - 10}" stroke="{MUTED}"/>'
        f"{_text(LEFT - 12, y + 5, '0', MUTED)}"
        f'<g transform="rotate(-90 14 {HEIGHT / 2:.0f})">'
        f"{_text(14, HEIGHT / 2, 'energy (nats)', MUTED)}</g>"
    )


def _text(x: float, y: float, words: str, paint: str, size: int = 14) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{paint}" font-size="{size}" text-anchor="middle" '
        f'font-family="sans-serif" xml:space="preserve">{escape(words)}</text>'
    )
