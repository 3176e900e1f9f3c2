"""Three ideas on one map, side by side: SVG that CSS moves, without a script.

Where the reader prefers reduced motion, and on paper, each shows its end. A checkbox stops all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import NamedTuple

import numpy as np

from seqrl.animations import unwound
from seqrl.animations_beam import Branches, last_only
from seqrl.grid_shapes import agent_shapes, map_shapes, placed
from seqrl.gridworld import (
    path_points,
    short,
    start_mark,
    svg_element,
    svg_floor,
    svg_shapes,
    svg_walls,
)
from seqrl.ideas import Ideas
from seqrl.player import Player, asset
from seqrl.style import COLORS, minus

CYCLE = 9.0  # seconds, then all three begin again together
MOVING = 0.72  # the share of it in which things move; then they rest at their end
FAINT = "#8b939c"
TURNS = ("left", "right")


class Panel(NamedTuple):
    """One of the three: what it is called, what moves on the map, and what is said meanwhile."""

    method: str
    idea: str
    drawing: str
    says: list[str]  # in turn, while things move


def side_by_side(shown: Ideas) -> Player:
    """The three panels as one HTML element of at most some 40 kB."""
    grid = shown.driven.maps[0]
    base = svg_floor(grid) + svg_shapes(map_shapes(grid)) + svg_walls(grid)
    panels = [_driving(shown), _imagining(shown), _refining(shown)]
    figures = "".join(_figure(grid, base, panel, shown.driven.mission) for panel in panels)
    counts = {n for panel in panels for n in (len(panel.says), _frames(panel))}
    style = asset("ideas.css") + _keyframes(sorted(counts)) + _drive(shown)
    html = (
        f'<div class="seqrl-ideas" style="--cycle:{CYCLE:g}s"><style>{style}</style>'
        f'<div class="three">{figures}</div>'
        f'<p class="foot"><span>The mission: {escape(shown.driven.mission)}</span>'
        f'<label><input type="checkbox"> hold still</label></p></div>'
    )
    return Player(html, "three ideas on one map")


def _figure(grid: np.ndarray, base: str, panel: Panel, mission: str) -> str:
    label = f"{panel.method}, told to {mission}: {panel.idea}. At the end: {panel.says[-1]}"
    says = "".join(_timed("span", i, len(panel.says), x) for i, x in enumerate(panel.says))
    return (
        f'<div class="idea"><p class="name" style="--paint:{COLORS[panel.method]}">'
        f"<b>{panel.method}</b> {escape(panel.idea)}</p>"
        f"{svg_element(grid, base + panel.drawing, label)}"
        f'<p class="says" aria-hidden="true">{says}</p></div>'
    )


def _driving(shown: Ideas) -> Panel:
    """Decision Transformer's way: the agent glides along it, what is left of the return below."""
    poses, start = shown.driven.poses, shown.driven.returns_to_go
    left = shown.asked - (start[0] - start)
    says = [
        f"return-to-go {minus(f'{x:g}')}: {'turn ' * (action in TURNS)}{action}"
        for x, action in zip(left, shown.driven.actions)
    ]
    says.append(f"arrived, {len(poses) - 1} steps")
    way = _line(poses, COLORS["DT"], 'class="way" pathLength="100"')
    x, y, heading = unwound(poses)[-1]
    agent = (
        f'<g class="agent" style="transform:translate({x + 0.5}px,{y + 0.5}px)">'
        f'<g class="turn" style="transform:rotate({90 * heading}deg)">'
        f"{svg_shapes(placed(agent_shapes(), -0.5, -0.5))}</g></g>"
    )
    return Panel("DT", "drives for a return", way + svg_shapes(start_mark(poses)) + agent, says)


def _imagining(shown: Ideas) -> Panel:
    """Trajectory Transformer's search: what is kept in color, what is dropped in gray."""
    says, drawn = [], []
    rounds = [*shown.rounds, shown.rounds[-1]._replace(kept=last_only(shown.rounds[-1]))]
    for i, found in enumerate(rounds):
        dropped = _fan(found, found.kept == 0, FAINT)
        kept = _fan(found, found.kept > 0, COLORS["TT"])
        drawn.append(_timed("g", i, len(rounds), dropped + kept))
        ways, dead = len(found.times), int((found.kept == 0).sum())
        says.append(f"{ways} future{'s' * (ways != 1)}, {dead} dropped")
    says[-1] = "then takes one step"
    x, y, heading = (int(v) for v in shown.driven.poses[0])
    agent = svg_shapes(placed(agent_shapes(heading), x, y))
    return Panel("TT", "imagines and prunes", "".join(drawn) + agent, says)


def _refining(shown: Ideas) -> Panel:
    """LEAP's plan after each iteration, over its first draft."""
    draft = _line(shown.paths[0], FAINT, 'stroke-dasharray=".16 .14"')
    drawn, says = [], []
    for i, (path, energy) in enumerate(zip(shown.paths, shown.energies)):
        x, y, heading = (int(v) for v in path[-1])
        ghost = f'<g opacity=".45">{svg_shapes(placed(agent_shapes(heading), x, y))}</g>'
        way = (draft if i else "") + _line(path, COLORS["LEAP"]) + ghost
        drawn.append(_timed("g", i, len(shown.paths), way))
        says.append(f"{'draft' if i == 0 else f'revision {i}'}: energy {energy:.1f}")
    x, y, heading = (int(v) for v in shown.driven.poses[0])
    agent = svg_shapes(placed(agent_shapes(heading), x, y))
    return Panel("LEAP", "refines a whole plan", "".join(drawn) + agent, says)


def _fan(found: Branches, which: np.ndarray, paint: str) -> str:
    """Some futures as lines with a nose in the direction of what would come next."""
    parts = []
    for poses in found.poses[which]:
        x, y = poses[-1, :2] + 0.5
        dx, dy = ((0.3, 0), (0, 0.3), (-0.3, 0), (0, -0.3))[int(poses[-1, 2])]
        nose = f"M{short(x)} {short(y)}l{short(dx)} {short(dy)}"
        line = f'<path fill="none" stroke="{paint}" stroke-width=".1" stroke-linecap="round"'
        parts.append(f'{_line(poses, paint)}{line} d="{nose}"/>')
    return "".join(parts)


def _line(poses: np.ndarray, paint: str, more: str = "") -> str:
    """A way over the map, poses (T + 1, 3), in one color."""
    points, _ = path_points(poses)
    if len(points) < 2:
        return ""
    line = " ".join(short(v) for v in points.ravel())
    look = 'fill="none" stroke-width=".14" stroke-linecap="round" stroke-linejoin="round"'
    return f'<path {look} stroke="{paint}" {more} d="M{line}"/>'


def _timed(tag: str, i: int, count: int, content: str) -> str:
    """Frame i of `count`; the last one stays to the end of the cycle, and is the still."""
    words = content if tag == "g" else escape(content)
    delay = f"animation-delay:{CYCLE * MOVING * i / max(count - 1, 1):.2f}s"
    name = f"ideas-{count}" if i < count - 1 else "ideas-end"
    return f'<{tag} class="frame" style="animation-name:{name};{delay}">{words}</{tag}>'


def _frames(panel: Panel) -> int:
    return max(2, panel.drawing.count('<g class="frame"'))


def _keyframes(counts: Sequence[int]) -> str:
    """A frame of n is seen for its share of the time in which things move, the last to the end."""
    shares = {str(n): 100 * MOVING / max(n - 1, 1) for n in counts} | {"end": 100 * (1 - MOVING)}
    return "".join(
        f"@keyframes ideas-{name}{{0%{{opacity:1}}{share:.3f}%,100%{{opacity:0}}}}"
        for name, share in shares.items()
    )


def _drive(shown: Ideas) -> str:
    """Keyframes that move the agent along its way, turn it, and draw the way behind it."""
    poses = shown.driven.poses
    points, steps = path_points(poses)
    walked = np.r_[0, np.hypot(*np.diff(points, axis=0).T).cumsum()] if len(points) > 1 else [0, 1]
    done = np.interp(np.arange(len(poses)), steps, walked) / max(walked[-1], 1e-9)
    moves: list[tuple[str, Sequence[str]]] = [
        ("agent", [f"transform:translate({x + 0.5}px,{y + 0.5}px)" for x, y, _ in unwound(poses)]),
        ("turn", [f"transform:rotate({90 * h}deg)" for *_, h in unwound(poses)]),
        ("way", [f"stroke-dashoffset:{100 * (1 - x):.1f}" for x in done]),
    ]
    return "".join(f"@keyframes ideas-{name}{{{''.join(_stops(all_))}}}" for name, all_ in moves)


def _stops(states: Sequence[str]) -> Iterator[str]:
    """Each state at its share of the cycle; the last one stays."""
    for t, state in enumerate(states):
        yield f"{100 * MOVING * t / max(len(states) - 1, 1):.2f}%{{{state}}}"
    yield f"100%{{{states[-1]}}}"
