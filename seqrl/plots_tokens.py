"""One trajectory as tokens, in the layouts of the three papers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from seqrl.gridworld import draw
from seqrl.scenes import Scene, scene
from seqrl.style import INK, MUTED, PAPER, TOKEN_COLORS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from seqrl.trajectories import Trajectories

COLUMNS = 3
UNIT = 7  # widths of a column, one timestep, in scalar tokens: x, y, heading, carried, a, r, V
BOX, HEIGHT = 1.35, 19.4  # of a token and of the figure, in the same units
ALONE = 10.4  # of the figure with one row
KINDS = {  # of tokens in the legend, and where each stands
    "return-to-go": 0.15,
    "state": 4.9,
    "action": 7.9,
    "reward": 11.1,
    "value": 14.5,
    "context": 17.6,
}
DISCOUNT = 0.99  # of the Trajectory Transformer's value tokens
LINK = "#87909a"


class Token(NamedTuple):
    """One token: where it stands, what kind it is, its symbol and its value."""

    left: float
    width: float
    kind: str  # a key of TOKEN_COLORS
    symbol: str
    value: str

    time: int = 0  # the step it belongs to

    @property
    def name(self) -> str:
        return self.symbol if "_" in self.symbol else f"{self.symbol}_{{{self.time}}}"

    @property
    def middle(self) -> float:
        return self.left + self.width / 2


def decision_tokens(shown: Scene, steps: Sequence[int]) -> list[Token]:
    """Return-to-go, state, action of every step, each one token."""
    tokens = []
    for column, t in enumerate(steps):
        left = column * UNIT
        x, y, heading = (int(n) for n in shown.poses[t])
        state = f"{x}, {y}, {'→↓←↑'[heading]}"
        tokens += [
            Token(left, 2.0, "return", rf"\hat R_{{{t}}}", number(shown.returns_to_go[t])),
            Token(left + 2, 2.7, "state", f"s_{{{t}}}", state),
            Token(left + 4.7, 2.3, "action", f"a_{{{t}}}", shown.actions[t]),
        ]
    return tokens


def scalar_tokens(shown: Scene, actions: np.ndarray, steps: Sequence[int]) -> list[Token]:
    """Every number of every step, each one token: x, y, heading, carried, action, reward, value.

    The value is the discounted return after the step, as in the authors' code.
    actions: (T,) integers.
    """
    rewards = np.diff(-np.append(shown.returns_to_go, 0.0))
    tokens = []
    for column, t in enumerate(steps):
        later = rewards[t + 1 :]
        value = float(later @ DISCOUNT ** np.arange(len(later)))
        x, y, heading = shown.poses[t]
        numbers = [x, y, heading, shown.carrying[t][0], actions[t], rewards[t], value]
        kinds = ["state"] * 4 + ["action", "reward", "value"]
        for i, (kind, symbol, n) in enumerate(zip(kinds, "xyhcarV", numbers)):
            tokens.append(Token(column * UNIT + i, 1.0, kind, symbol, number(n), t))
    return tokens


def plan_tokens(shown: Scene, steps: Sequence[int], masked: int) -> list[Token]:
    """One context and then only actions, that of column `masked` hidden."""
    tokens = [Token(0, 4.7, "context", "", f"map, mission,\npose at t = {steps[0]}")]
    for column, t in enumerate(steps):
        hidden = column == masked
        kind, value = ("mask", "mask") if hidden else ("action", shown.actions[t])
        tokens.append(Token(column * UNIT + 4.7, 2.3, kind, f"a_{{{t}}}", value))
    return tokens


def number(n: float) -> str:
    """A short number: whole, or with one decimal."""
    text = f"{n:.0f}" if abs(n - round(n)) < 0.05 else f"{n:.1f}"
    return text.replace("-0", "0") if float(text) == 0 else text.replace("-", "–")


def token_layouts(trajectories: Trajectories, e: int, first: int = 0) -> Figure:
    """Three steps of episode e, from step `first`, as tokens in the three papers' layouts.

    Columns are timesteps, under frames of the episode. Each row asks for the same action, the
    second; arcs show which tokens its prediction may look at, and the others are faded. The
    Decision Transformer and the Trajectory Transformer see what came earlier (values excepted),
    LEAP also what comes later. An episode with fewer steps leaves columns empty. Raises ValueError
    where there is no step `first`.
    """
    shown = scene(trajectories, e)
    if not 0 <= first < len(shown.actions):
        raise ValueError(f"episode {e} has {len(shown.actions)} steps, so none numbered {first}.")
    steps = range(first, min(first + COLUMNS, len(shown.actions)))
    start, end = trajectories.offsets[e : e + 2].tolist()
    actions = trajectories.actions[start:end].numpy(force=True)
    query = min(1, len(steps) - 1)  # the column whose action is asked for
    decision, scalars = decision_tokens(shown, steps), scalar_tokens(shown, actions, steps)
    plan = plan_tokens(shown, steps, query)
    state, last = 3 * query + 1, UNIT * query + 3  # the tokens at which the action is read
    visible = [i for i in range(last) if scalars[i].kind != "value"]
    others = [i for i in range(len(plan)) if i != query + 1]
    notes = (
        "return-to-go, state, action",
        "every number a token; values V are never looked at",
        "one context, then only actions",
    )
    rows = (
        ("Decision Transformer", decision, state, range(state), state + 1),
        ("Trajectory Transformer", scalars, last, visible, last + 1),
        ("LEAP", plan, query + 1, others, query + 1),
    )
    figure, ax = _canvas(shown, steps)
    for i, (note, (name, tokens, reader, keys, answer)) in enumerate(zip(notes, rows)):
        top = 5.65 + 4.4 * i
        ax.text(0.05, top, name, fontsize=11, fontweight="bold")
        ax.text(UNIT * COLUMNS - 0.2, top, note, fontsize=10, color=MUTED, ha="right")
        _row(ax, top + 1.7, tokens, reader, keys, answer)
    _legend(ax)
    return figure


def decision_layout(trajectories: Trajectories, e: int, first: int = 0) -> Figure:
    """The first row of `token_layouts` alone: what a Decision Transformer reads for an action."""
    shown = scene(trajectories, e)
    if not 0 <= first < len(shown.actions):
        raise ValueError(f"episode {e} has {len(shown.actions)} steps, so none numbered {first}.")
    steps = range(first, min(first + COLUMNS, len(shown.actions)))
    state = 3 * min(1, len(steps) - 1) + 1  # the token at which the action is read
    figure, ax = _canvas(shown, steps, ALONE)
    _row(ax, 6.5, decision_tokens(shown, steps), state, range(state), state + 1)
    _legend(ax, {"return-to-go": 0.15, "state": 4.9, "action": 7.9}, ALONE)
    return figure


def _canvas(shown: Scene, steps: Sequence[int], height: float = HEIGHT) -> tuple[Figure, Axes]:
    """A pale column for each timestep, and at its top the frame."""
    import matplotlib.pyplot as plt
    from matplotlib.patches import FancyBboxPatch

    width = UNIT * COLUMNS + 0.3
    figure = plt.figure(figsize=(width / 3, height / 3))
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(-0.15, width - 0.15), ylim=(height, 0))
    ax.axis("off")
    for column, t in enumerate(steps):
        left = column * UNIT
        style = "round,pad=0,rounding_size=0.25"
        band = (left - 0.08, 0.1), UNIT - 0.04, height - 1.1
        ax.add_patch(FancyBboxPatch(*band, boxstyle=style, fc="#f0f2f3", ec="none", zorder=0))
        ax.text(left + 3.45, 0.62, f"t = {t}", ha="center", fontsize=10, color=MUTED)
        spot = ((left + 1.6) / width, 1 - 4.6 / height, 4 / width, 3.7 / height)
        draw(figure.add_axes(spot), shown.maps[t], shown.poses[t], carrying=shown.carrying[t])
    return figure, ax


def _row(
    ax: Axes, y: float, tokens: Sequence[Token], reader: int, keys: Sequence[int], answer: int
) -> None:
    """Tokens as boxes with their tops at y; arcs lead from the keys to the token that reads them.

    Tokens that it may not look at are faded; the one that is predicted has a dashed edge.
    """
    for i, token in enumerate(tokens):
        _box(ax, y, token, i == reader, i in keys or i == reader, i == answer)
    spot, goal = tokens[reader].middle, tokens[answer].middle
    for i in keys:
        height = 0.4 + 0.075 * abs(tokens[i].middle - spot)
        _curve(ax, (tokens[i].middle, y), (spot, y - 0.1), -height, LINK, 1.0)
    ax.plot(spot, y - 0.13, "v", ms=5, mew=0, color=INK, zorder=4)
    low = y + BOX
    if answer != reader:
        _curve(ax, (spot, low), (goal, low + 0.1), 0.45, INK, 1.6)
        ax.plot(goal, low + 0.13, "^", ms=5, mew=0, color=INK, zorder=4)
    text = f"predicts ${tokens[answer].name}$"
    ax.text(goal + 0.3, low + 0.5, text, fontsize=9.5, va="center", ha="left")


def _box(ax: Axes, y: float, token: Token, reader: bool, visible: bool, answer: bool) -> None:
    from matplotlib.patches import FancyBboxPatch

    paper, ink = TOKEN_COLORS[token.kind]
    box = FancyBboxPatch(
        (token.left + 0.05, y),
        token.width - 0.16,
        BOX,
        boxstyle="round,pad=0,rounding_size=0.16",
        fc=PAPER if answer else paper,
        ec=INK if reader and not answer else ink if answer else "none",
        ls="--" if answer else "-",
        lw=1.5,
        alpha=1 if visible or answer else 0.5,
        zorder=2,
    )
    ax.add_patch(box)
    look: dict[str, Any] = {"ha": "center", "va": "center_baseline", "color": ink, "zorder": 3}
    look["alpha"] = 1 if visible or answer else 0.6
    if token.symbol:
        ax.text(token.middle - 0.03, y + 0.38, f"${token.symbol}$", fontsize=11.5, **look)
    height = 0.95 if token.symbol else 0.5 * BOX
    ax.text(token.middle - 0.03, y + height, token.value, fontsize=9, **look)


def _curve(
    ax: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    height: float,
    paint: str,
    lw: float,
) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    bend = 4 / 3 * height
    points = [start, (start[0], start[1] + bend), (end[0], end[1] + bend), end]
    path = Path(points, [Path.MOVETO, *[Path.CURVE4] * 3])
    ax.add_patch(PathPatch(path, fill=False, ec=paint, lw=lw, zorder=1.5))


def _legend(ax: Axes, names: dict[str, float] = KINDS, height: float = HEIGHT) -> None:
    """A chip for each kind of token, and where it stands."""
    for name, x in names.items():
        paper, ink = TOKEN_COLORS["return" if name == "return-to-go" else name]
        ax.plot(x, height - 0.5, "s", ms=9, mfc=paper, mec=ink, mew=0.8)
        ax.text(x + 0.45, height - 0.5, name, fontsize=9.5, va="center_baseline")
