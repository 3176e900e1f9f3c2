"""Episodes that play on the page: inline SVG and a small script, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from seqrl.grid_shapes import (
    WALL,
    Shape,
    agent_shapes,
    box,
    carried_shapes,
    map_shapes,
    placed,
    shapes,
)
from seqrl.gridworld import start_mark, svg_element, svg_floor, svg_path, svg_shapes, svg_walls
from seqrl.player import Player, panes, player, timed, world
from seqrl.scenes import Scene, scene
from seqrl.style import minus
from seqrl.trajectories import Trajectories

EMPTY = (1, 0, 0)
BLOCK = (Shape(box(-0.01, -0.01, 1.01, 1.01), WALL),)  # overlaps its neighbors: no seams


def play(
    trajectories: Trajectories | Sequence[Trajectories],
    episodes: int | Sequence[int],
    *,
    captions: Sequence[str] | None = None,
    targets: Sequence[float] | None = None,
    per_row: int | None = None,
    autoplay: bool = True,
    loop: bool = False,
) -> Player:
    """Episodes side by side on one timeline, with buttons, a slider and keys.

    episodes: their numbers; with several `trajectories`, one number for each of these (or one for
    all). captions: a line above each world, before its mission. targets: the return that was asked
    for in each; then what is left of it is shown, not the return-to-go that came true. per_row:
    worlds beside each other (at most 3 unless given). The animation starts when it is seen, and
    not at all for readers who prefer reduced motion; they, and readers without scripts, see the
    whole path.
    Raises ValueError where numbers of trajectories, episodes, captions or targets differ.
    """
    scenes = _scenes(trajectories, episodes)
    captions = [""] * len(scenes) if captions is None else list(captions)
    if len(captions) != len(scenes):
        raise ValueError(f"{len(scenes)} episodes need as many captions, not {len(captions)}.")
    if targets is not None:
        if len(targets) != len(scenes):
            raise ValueError(f"{len(scenes)} episodes need as many targets, not {len(targets)}.")
        scenes = [asked_for(shown, target) for shown, target in zip(scenes, targets)]
    longest = max(len(shown.actions) for shown in scenes)
    columns = per_row or min(len(scenes), 3)
    worlds = [episode(shown, caption) for shown, caption in zip(scenes, captions)]
    description = f"{len(scenes)} episode{'s' * (len(scenes) > 1)}, {longest} steps"
    return player(
        worlds, longest, description, columns=columns, milliseconds=pace(longest),
        autoplay=autoplay, loop=loop,
    )  # fmt: skip


def pace(steps: int) -> int:
    """Milliseconds a step, so that an episode of so many takes at most twelve seconds."""
    return int(np.clip(12_000 / steps, 70, 300))


def in_turn(name: str, count: int, seconds: float) -> str:
    """The style by which the frames (class "frame") in a box of class `name` are shown in turn.

    Frame i has the animation-delay i * seconds. All wait while the reader points at the box or has
    the keyboard on it; readers who prefer reduced motion, and paper, get the last frame alone.
    """
    frame = f".{name} .frame"
    return (
        f"<style>{frame}{{opacity:0;animation:{name} {count * seconds:.1f}s step-end infinite}}"
        f"@keyframes {name}{{0%{{opacity:1}}{100 / count:.4f}%,100%{{opacity:0}}}}"
        f".{name}:hover .frame,.{name}:focus .frame{{animation-play-state:paused}}"
        f"@media (prefers-reduced-motion:reduce),print{{{frame}{{animation:none}}"
        f"{frame}:last-of-type{{opacity:1}}}}</style>"
    )


def _scenes(
    trajectories: Trajectories | Sequence[Trajectories], episodes: int | Sequence[int]
) -> list[Scene]:
    if isinstance(trajectories, Trajectories):
        numbers = [episodes] if isinstance(episodes, int) else list(episodes)
        sources = [trajectories] * len(numbers)
    else:
        sources = list(trajectories)
        numbers = [episodes] * len(sources) if isinstance(episodes, int) else list(episodes)
    if not numbers or len(numbers) != len(sources):
        raise ValueError(f"{len(sources)} trajectories need as many episodes, not {len(numbers)}.")
    return [scene(source, e) for source, e in zip(sources, numbers)]


def asked_for(shown: Scene, target: float) -> Scene:
    """The scene with the target, less every reward so far, in place of its return-to-go."""
    so_far = shown.returns_to_go[0] - shown.returns_to_go
    return shown._replace(returns_to_go=target - so_far)


def episode(shown: Scene, caption: str = "", *, beside: str = "", chosen: bool = True) -> str:
    """One episode: what it is called, its still picture, and what the script needs to move it.

    beside: what else is drawn at its right; chosen: whether it is shown before another is.
    """
    end = _outcome(shown)
    title = f"<b>{escape(caption)}</b>" * bool(caption and not beside)
    label = ". ".join(filter(None, [caption, shown.mission, described(shown)]))
    data = {
        "poses": unwound(shown.poses),
        "names": sorted(set(shown.actions)),
        "actions": [sorted(set(shown.actions)).index(name) for name in shown.actions],
        "go": [minus(f"{value:.3g}") for value in shown.returns_to_go],
        "end": end,
        "last": len(shown.actions),
    }
    head = f'<div class="head">{title}{escape(shown.mission)}</div>'
    drawn = svg_element(shown.maps[0], picture(shown), label)
    read = f'<div class="read"><span class="end"><b>{end}</b></span></div>'
    if beside:
        return world(data, head + panes(drawn + read, beside), chosen=chosen, wide=True)
    return world(data, head + drawn + read, chosen=chosen)


def _outcome(shown: Scene) -> str:
    count = len(shown.actions)
    steps = f"{count} step{'s' * (count != 1)}"
    return steps if shown.success is None else f"{'' if shown.success else 'not '}solved in {steps}"


def described(shown: Scene) -> str:
    """The episode in a sentence, for those who cannot see it."""
    (x0, y0), (x1, y1) = shown.poses[0, :2], shown.poses[-1, :2]
    width, height = shown.maps.shape[1:3]
    way = f", going from cell ({x0}, {y0}) to cell ({x1}, {y1})" * ((x0, y0) != (x1, y1))
    return f"The agent in a grid of {width} by {height} cells{way}: {_outcome(shown)}"


def unwound(poses: np.ndarray) -> list[list[int]]:
    """Poses whose headings count quarter turns on, so that the agent turns the short way.

    poses: (T + 1, 3).
    """
    turns = (np.diff(poses[:, 2]) + 1) % 4 - 1
    headings = poses[0, 2] + np.r_[0, turns.cumsum()]
    return np.c_[poses[:, :2], headings].astype(int).tolist()


def picture(shown: Scene) -> str:
    """The still: map, path and the agent at its end; what changes carries the steps it is shown."""
    last = len(shown.actions)
    lasting, changing = shown.maps[0].copy(), _changes(shown.maps)
    for x, y in changing:
        lasting[x, y] = EMPTY
    parts = [svg_floor(lasting), svg_shapes(map_shapes(lasting)), svg_walls(lasting)]
    for (x, y), versions in changing.items():
        for start, end, cell in versions:
            look = BLOCK if cell[0] == 2 else shapes(*cell)
            parts.append(timed(svg_shapes(placed(look, x, y)), start, end, last))
    if (shown.poses[:, :2] != shown.poses[0, :2]).any():
        path = svg_path(shown.poses, pieces=150) + svg_shapes(start_mark(shown.poses))
        parts.append(f'<g class="trail">{path}</g>')
    column, row, heading = (int(v) for v in shown.poses[-1])
    agent = svg_shapes(placed(agent_shapes(), -0.5, -0.5))
    carried = "".join(
        timed(svg_shapes(carried_shapes(shown.carrying[start], -0.5, -0.5)), start, end, last)
        for start, end in _runs(shown.carrying)
        if shown.carrying[start, 0]
    )
    parts.append(
        f'<g class="agent" transform="translate({column + 0.5} {row + 0.5})">'
        f'<g class="turn" transform="rotate({90 * heading})">{agent}</g>{carried}</g>'
    )
    return "".join(parts)


def _changes(maps: np.ndarray) -> dict[tuple[int, int], list[tuple[int, int, tuple[int, ...]]]]:
    """For each cell that ever changes, its versions: first step, step after the last, cell."""
    found = {}
    for x, y in np.argwhere((maps != maps[:1]).any((0, 3))).tolist():
        cells = maps[:, x, y]
        found[x, y] = [(a, b, tuple(map(int, cells[a]))) for a, b in _runs(cells)]
    return found


def _runs(rows: np.ndarray) -> list[tuple[int, int]]:
    """First step and step after the last of each run of equal rows."""
    starts = [0, *(np.flatnonzero((rows[1:] != rows[:-1]).any(1)) + 1).tolist()]
    return list(zip(starts, [*starts[1:], len(rows)]))
