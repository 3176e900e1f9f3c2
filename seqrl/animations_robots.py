"""Robots that run on the page, side by side: lines that the player's script moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from seqrl.player import Player, player, world
from seqrl.plots_robots import GROUND, PAINTS, REAL, THIN, last_word, pale
from seqrl.robot_drawing import Motion, meters, motion
from seqrl.style import INK, MUTED, PAPER, color, minus
from seqrl.trajectories import Trajectories

UNIT = 200  # of a drawing, a meter
WIDE, BELOW = 2.6, 0.27  # meters that are seen: across, and below the ground
LEAST, ABOVE = 1.0, 0.1  # and above it: at least, and over the highest capsule
FRAME = 0.02  # seconds of the robot's time between two frames
SLOWER = 2  # how much slower it plays than it happened
BLUR = 0.4  # seconds over which the camera's way is smoothed


def running(
    episodes: Mapping[str, Trajectories], e: int | Sequence[int] = 0, *, seconds: float = 4.0,
    columns: int = 3, autoplay: bool = True,
) -> Player:  # fmt: skip
    """An episode of each of several kinds of data, on one timeline, its meters and return counting.

    episodes: what is written above each, and trajectories of a robot; the last word is its color.
    e: which episode, of all or of each. seconds: of the robots' time, at most; played at half
    speed. ValueError where numbers differ, where a robot is not drawn, or where there is no time.
    """
    chosen = [e] * len(episodes) if isinstance(e, int) else list(e)
    if not episodes or len(chosen) != len(episodes):
        raise ValueError(f"{len(episodes)} kinds of data need as many episodes, not {len(chosen)}.")
    if not seconds >= FRAME:
        raise ValueError(f"there are {FRAME} seconds between two frames; {seconds} show no motion.")
    moving = [_first(motion(t, i, FRAME), seconds) for t, i in zip(episodes.values(), chosen)]
    last = max(len(m.times) for m in moving) - 1
    worlds = [robot(m, name, PAINTS.get(last_word(name))) for m, name in zip(moving, episodes)]
    return player(
        worlds, last, f"{len(worlds)} robots, {last * FRAME:.1f} seconds", columns=columns,
        milliseconds=round(1000 * FRAME * SLOWER), autoplay=autoplay,
    )  # fmt: skip


def compared(
    real: Motion, others: Mapping[str, Motion], *, milliseconds: int = 80, caption: str = ""
) -> Player:
    """What happened, pale and broad, and over it what was imagined, thin; all begin together."""
    everyone = {"real": real} | dict(others)
    last = max(len(shown.times) for shown in everyone.values()) - 1
    drawn, numbers = "", list[np.ndarray]()
    for name, shown in everyone.items():
        first = sum(x.shape[1] for x in numbers) // 4
        if name == "real":
            drawn += _limbs(shown, REAL, REAL, first)
        else:
            drawn += _limbs(shown, color(name), color(name), first, thin=True)
        each = _numbers(shown.limbs)
        numbers.append(each[np.minimum(np.arange(last + 1), len(each) - 1)])
    middle = _camera(real)
    camera = [middle[min(t, len(middle) - 1)] for t in range(last + 1)]
    steps = [f"{t} step{'s' * (t != 1)}" for t in range(last + 1)]
    data = {"last": last, "limbs": np.concatenate(numbers, 1).tolist(), "camera": camera}
    data["chips"] = [["do", "after ", steps]]
    label = f"{caption}: what happened and, over it, what was imagined, {last} steps"
    content = _head(caption) + _drawing(real, drawn, label, camera[-1]) + _read(data)
    return player([world(data, content)], last, label, milliseconds=milliseconds)


def robot(shown: Motion, caption: str, paint: str | None = None) -> str:
    """One robot: what it is called, its last moment, and what the script needs to move it."""
    camera = _camera(shown)
    data: dict[str, Any] = {
        "last": len(shown.times) - 1,
        "limbs": _numbers(shown.limbs).tolist(),
        "camera": camera,
        "chips": [["do", "", [meters(x) for x in shown.x]]],
    }
    if shown.returns is not None:
        said = [minus(f"{value:.0f}") for value in shown.returns]
        data["chips"].insert(0, ["go", "return ", said])
    if shown.fell:
        data["chips"].append(["end", "", [""] * data["last"] + ["fell"]])
    ended = f", then it fell after {shown.times[-1]:.2f} seconds" * shown.fell
    label = f"{caption}: {shown.skeleton.name} came {shown.x[-1]:.1f} meters far{ended}."
    drawn = _limbs(shown, paint or color(caption), INK)
    return world(data, _head(caption) + _drawing(shown, drawn, label, camera[-1]) + _read(data))


def _first(shown: Motion, seconds: float) -> Motion:
    """The first so many seconds; what is cut off did not fall."""
    kept = int(np.searchsorted(shown.times, seconds + 1e-9))
    if kept >= len(shown.times):
        return shown
    returns = None if shown.returns is None else shown.returns[:kept]
    return Motion(
        shown.skeleton, shown.limbs[:kept], shown.x[:kept], shown.times[:kept], returns, False
    )


def _numbers(limbs: np.ndarray) -> np.ndarray:
    """Ends (T, G, 2, 2) as whole units of the drawing, (T, 4 G); up is negative."""
    return (limbs * (UNIT, -UNIT)).round().astype(int).reshape(len(limbs), -1)


def _camera(shown: Motion) -> list[int]:
    """What is in the middle at each moment: where the robot is, smoothed, in units."""
    middle = shown.limbs.mean((1, 2))[:, 0]
    each = np.median(np.diff(shown.times)) if len(shown.times) > 1 else 1.0
    half = max(1, round(BLUR / each / 2))
    padded = np.pad(middle, half, mode="edge")
    smooth = np.convolve(padded, np.ones(2 * half + 1) / (2 * half + 1), "valid")
    return (UNIT * smooth).round().astype(int).tolist()


def _limbs(shown: Motion, paint: str, torso: str, first: int = 0, thin: bool = False) -> str:
    """Every capsule at its last moment: an outline of the paper's color, then the capsule."""
    parts, body = [], shown.skeleton
    ends = _numbers(shown.limbs)[-1].reshape(-1, 4)
    for i, (radius, part, (x1, y1, x2, y2)) in enumerate(zip(body.radii, body.parts, ends)):
        ink = {"torso": torso, "near": paint, "far": pale(paint)}[part]
        width = 2 * UNIT * radius * (THIN if thin else 1)
        look = f'data-limb="{first + i}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"'
        parts.append(f'<line {look} stroke="{PAPER}" stroke-width="{width + 5:.0f}"/>')
        parts.append(f'<line {look} stroke="{ink}" stroke-width="{width:.0f}"/>')
    return "".join(parts)


def _drawing(shown: Motion, drawn: str, label: str, camera: int) -> str:
    """The ground with a mark every half meter and a number every meter, and what stands on it."""
    first, last = shown.limbs[..., 0].min() - WIDE, shown.limbs[..., 0].max() + WIDE
    half = np.arange(np.floor(2 * first), np.ceil(2 * last) + 1) / 2
    ticks = "".join(f"M{UNIT * x:.0f} 0v{18 if x == int(x) else 9}" for x in half)
    numbers = "".join(
        f'<text x="{UNIT * x:.0f}" y="44">{minus(f"{x:.0f}")} m</text>' for x in half if x == int(x)
    )
    high = UNIT * max(LEAST, shown.limbs[..., 1].max() + ABOVE)
    left, wide, below = -UNIT * WIDE / 2, UNIT * WIDE, UNIT * BELOW
    return (
        f'<svg viewBox="{left:.0f} {-high:.0f} {wide:.0f} {high + below:.0f}" '
        f'xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{escape(label)}">'
        f'<path d="M{left:.0f} {-high:.0f}h{wide:.0f}V0h{-wide:.0f}z" fill="{PAPER}"/>'
        f'<path d="M{left:.0f} 0h{wide:.0f}v{below:.0f}h{-wide:.0f}z" fill="{GROUND}"/>'
        f'<g class="scenery" transform="translate({-camera} 0)" stroke-linecap="round">'
        f'<path d="M{UNIT * first:.0f} 0H{UNIT * last:.0f}{ticks}" stroke="{MUTED}" fill="none" '
        f'stroke-width="2" stroke-linecap="butt"/><g fill="{MUTED}" font-size="26" '
        f'text-anchor="middle" font-family="sans-serif">{numbers}</g>{drawn}</g></svg>'
    )


def _head(caption: str) -> str:
    return f'<div class="head"><b>{escape(caption)}</b></div>'


def _read(data: dict[str, Any]) -> str:
    """The chips at the last moment."""
    spans = "".join(
        f'<span class="{name}">{escape(label)}<b>{escape(values[-1])}</b></span>'
        for name, label, values in data["chips"]
    )
    return f'<div class="read">{spans}</div>'
