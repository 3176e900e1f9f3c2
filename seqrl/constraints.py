"""Constraints at test time: lava that no plan may enter, by the known kinematics of grid worlds.

Nothing here is learned: the rules of moving are MiniGrid's own, and the map is the one observed.
`Avoid` adds an energy to LEAP's plans; `Filtered` holds every other method's next action to the
same rule, so that a comparison of the two is fair.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqrl.energy_search import NOTHING, Added
from seqrl.environments.grid_observation import ACTIONS, AGENT, HEADINGS
from seqrl.policies import PolicyError, tensors
from seqrl.rollout import Policy, Step

KINDS = [
    "unseen",
    "empty",
    "wall",
    "floor",
    "door",
    "key",
    "ball",
    "box",
    "goal",
    "lava",
    "agent",
]  # MiniGrid's types
LEFT, RIGHT, FORWARD, PICKUP, DROP, TOGGLE, _ = range(len(ACTIONS))
EMPTY, DOOR, BOX = (KINDS.index(kind) for kind in ("empty", "door", "box"))
LOCKED = 2  # the state of a door
PORTABLE = tuple(KINDS.index(kind) for kind in ("key", "ball", "box"))
OPEN_GROUND = tuple(KINDS.index(kind) for kind in ("empty", "floor", "goal", "lava"))


class World:
    """Agents on maps, R of them, moved by actions exactly as MiniGrid moves them.

    Known are turning, moving, picking up, dropping, opening and shutting doors, opening boxes. Not
    known: what a box holds (taken as nothing) and what a key opens (a locked door stays locked).
    `pose` (R, 3); `entered` (R, W * H) bool tells where an agent has been.
    """

    def __init__(self, maps: Tensor, agent: Tensor) -> None:
        """maps (R, W, H, 3), agent (R, 19), both as an environment shows them."""
        self.height = maps.shape[2]
        kind, state = maps[..., 0].flatten(1).long(), maps[..., 2].flatten(1)
        pose = agent[:, AGENT["pose"]].long()
        self.cell, self.heading = pose[:, 0] * self.height + pose[:, 1], pose[:, 2]
        self.held = agent[:, AGENT["carrying"]][:, 0].long()  # its type; 0 is nothing
        self.kind = kind
        self.shut = (kind == DOOR) & (state != 0)
        self.locked = (kind == DOOR) & (state == LOCKED)
        headings = torch.tensor(HEADINGS, device=maps.device)
        self.ahead = headings[:, 0] * self.height + headings[:, 1]  # of a cell's number

    @property
    def pose(self) -> Tensor:
        """x, y and heading of each row, (R, 3)."""
        x, y = self.cell // self.height, self.cell % self.height
        return torch.stack([x, y, self.heading], 1)

    def step(self, actions: Tensor) -> None:
        """One action (R,) each; what is no action of MiniGrid's lets time pass."""
        turn = (actions == RIGHT).long() - (actions == LEFT).long()
        self.heading = (self.heading + turn) % 4
        front = self.cell + self.ahead[self.heading]
        at = torch.arange(len(front), device=front.device), front
        kind, shut = self.kind[at], self.shut[at]
        free = _among(kind, OPEN_GROUND) | ((kind == DOOR) & ~shut)
        self.cell = torch.where((actions == FORWARD) & free, front, self.cell)
        takes = (actions == PICKUP) & _among(kind, PORTABLE) & (self.held == 0)
        puts = (actions == DROP) & (kind == EMPTY) & (self.held != 0)
        opens = (actions == TOGGLE) & (kind == BOX)
        self.kind[at] = torch.where(takes | opens, EMPTY, torch.where(puts, self.held, kind))
        self.held = torch.where(takes, kind, torch.where(puts, 0, self.held))
        toggles = (actions == TOGGLE) & (kind == DOOR) & ~self.locked[at]
        self.shut[at] = shut ^ toggles


@dataclass(frozen=True)
class Avoid:
    """An energy for plans that enter a cell of these types: `penalty`, by default infinite.

    An agent that has entered one stays there: it is over.
    """

    kinds: tuple[str, ...] = ("lava",)
    penalty: float = float("inf")

    def __post_init__(self) -> None:
        if unknown := [kind for kind in self.kinds if kind not in KINDS]:
            raise ValueError(f"there is no {unknown[0]!r} in grid worlds, but {', '.join(KINDS)}.")
        if not self.penalty > 0:
            raise ValueError(f"a penalty is above 0, not {self.penalty}.")

    def energy(self, observations: Mapping[str, Tensor]) -> Added:
        """The added energy of plans from here: "map" (E, W, H, 3), "agent" (E, 1, 19)."""
        if not {"map", "agent"} <= observations.keys():
            raise PolicyError(
                "a constraint is checked on the map, but the environment shows "
                f"{', '.join(observations) or 'nothing'}."
            )
        maps, agent = observations["map"], observations["agent"][:, 0]
        types = tuple(KINDS.index(kind) for kind in self.kinds)
        bad = _among(maps[..., 0].flatten(1).long(), types)  # (E, W * H)

        def added(plans: Tensor, rows: Tensor) -> Tensor:
            world = World(maps[rows], agent[rows])
            each = torch.arange(len(rows), device=rows.device)
            start, over = world.cell, torch.zeros_like(each, dtype=torch.bool)
            for actions in plans.unbind(1):
                world.step(torch.where(over, NOTHING, actions))
                over = over | (bad[rows, world.cell] & (world.cell != start))
            return torch.where(over, self.penalty, 0.0)

        return added


def allowed(energy: Added, rows: Tensor, choices: int) -> Tensor:
    """Which next actions an added energy does not forbid, (E, choices) bool."""
    first = torch.arange(choices, device=rows.device).repeat(len(rows))[:, None]  # plans of one
    cost = energy(first, rows.repeat_interleave(choices))
    return ~cost.isinf().view(-1, choices)


def require_choice(free: Tensor) -> None:
    """PolicyError where some row of (E, choices) has none left."""
    if not bool(free.any(1).all()):
        raise PolicyError("the constraint forbids every action, so none can be taken.")


class Filtered:
    """Another policy whose next action keeps to a constraint: the likeliest that is allowed.

    For policies that choose from logits by a `chooser`: BC, RvS, IQL, Decision Transformer. It
    looks one action ahead, no further. ValueError for a policy of another kind.
    """

    def __init__(self, policy: Policy, constraints: Sequence[Avoid]) -> None:
        inner = getattr(policy, "chooser", None)
        if inner is None:
            raise ValueError(f"{type(policy).__name__} chooses from no logits to be filtered.")
        if not inner.actions.discrete:
            raise ValueError("only discrete actions can be filtered.")
        self.policy, self.constraints = policy, tuple(constraints)
        policy.chooser = _Among(inner, self.constraints)  # type: ignore[attr-defined]

    def act(self, step: Step) -> np.ndarray:
        """Actions (E,); PolicyError where a row has no action that is allowed."""
        return self.policy.act(step)


class _Among:
    """A chooser that does not choose what is forbidden."""

    def __init__(self, inner: Any, constraints: tuple[Avoid, ...]) -> None:
        self.inner, self.constraints, self.actions = inner, constraints, inner.actions

    def choose(self, out: Tensor, rows: np.ndarray, step: Step) -> np.ndarray:
        seen = tensors(step.observation, rows, out.device)
        each = torch.arange(len(rows), device=out.device)
        free = torch.ones_like(out, dtype=torch.bool)
        for constraint in self.constraints:
            free &= allowed(constraint.energy(seen), each, out.shape[-1])
        require_choice(free)
        return self.inner.choose(out.masked_fill(~free, -torch.inf), rows, step)


def _among(kind: Tensor, kinds: tuple[int, ...]) -> Tensor:
    """Whether each type is one of some."""
    return torch.isin(kind, torch.tensor(kinds, device=kind.device))
