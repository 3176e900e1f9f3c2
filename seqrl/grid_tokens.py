"""A grid world as four tokens a step, and the encoded map as what they are seen against.

    ahead, right, heading   the pose, as seen from the window's first step (its anchor)
    carried                 nothing, or one of three kinds in six colors

All vocabularies are exact. A pose that was imagined can be looked up in the map like a real one, so
a model of these tokens knows where walls and things are: what it learns is how the world moves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from seqrl.environments.grid_observation import AGENT, AGENT_SIZE, NO_ACTION, WALL
from seqrl.frames import frame, relative_pose
from seqrl.grid_encoder import GridEncoder, Scene
from seqrl.tokens import Bins, integers

STATES = ("ahead", "right", "heading", "carried")
_KEY, _KINDS, _COLORS = 5, 3, 6  # what can be carried: key, ball, box, MiniGrid's 5, 6 and 7


class World(NamedTuple):
    """What a window of B rows is seen against; the map is that of its first step."""

    scene: Scene
    map: Tensor  # (B, W, H, 3)
    anchor: Tensor  # (B, 3), the first step's pose
    summary: Tensor  # (B, D), the first step's token

    def repeat(self, n: int) -> World:
        """Each row n times, one after the other."""
        many = [x.repeat_interleave(n, 0) for x in (*self.scene[:4], *self[1:])]
        cells, found, place, mission = many[:4]
        scene = Scene(cells, found, place, mission, self.scene.size)
        return World(scene, *many[4:])


def bins(K: int) -> tuple[Bins, ...]:
    """The vocabularies of the four columns in windows of K steps: a step moves one cell at most."""
    far = max(1, K - 1)
    ahead = right = integers(-far, far)
    return ahead, right, integers(0, 3), integers(0, _KINDS * _COLORS)


def states(agent: Tensor) -> Tensor:
    """The four numbers (B, K, 4) of agents (B, K, 19), as seen from the first step."""
    agent = agent.long()
    pose, (kind, color) = agent[..., AGENT["pose"]], agent[..., AGENT["carrying"]].unbind(-1)
    carried = torch.where(kind >= _KEY, (kind - _KEY) * _COLORS + color + 1, 0)
    return torch.cat([relative_pose(pose, pose[:, 0]), carried[..., None]], -1)


def world(encoder: GridEncoder, observations: Mapping[str, Tensor]) -> World:
    """The map of a window (B, W, H, 3), encoded; observations as the encoder takes them."""
    agent, scene = observations["agent"], encoder.scene(observations)
    summary = encoder.steps(scene, agent[:, :1]).summary
    return World(scene, observations["map"], agent[:, 0, AGENT["pose"]].long(), summary)


def look(encoder: GridEncoder, seen: World, numbers: Tensor) -> Tensor:
    """State tokens (B, K, D) of states (B, K, 4), real or imagined, against the map."""
    return encoder.steps(seen.scene, agents(seen, numbers.long())).steps


def agents(seen: World, numbers: Tensor) -> Tensor:
    """Agents (B, K, 19) that would have these states (B, K, 4); outside, the nearest cell's.

    The cell in front is the window's first map's, which knows of no change since, and the history
    of actions is blank: both are told by earlier tokens.
    """
    W, H = seen.map.shape[1:3]
    way = (numbers[..., :2, None] * frame(seen.anchor[:, 2])[:, None]).sum(-2)  # (B, K, 2)
    edge = torch.tensor([W - 1, H - 1], device=way.device)
    cell = torch.minimum((seen.anchor[:, None, :2] + way).clamp(min=0), edge)
    heading = (numbers[..., 2] + seen.anchor[:, None, 2]) % 4
    agent = numbers.new_full((*numbers.shape[:2], AGENT_SIZE), NO_ACTION)
    agent[..., AGENT["pose"]] = torch.cat([cell, heading[..., None]], -1)
    agent[..., AGENT["start"]] = seen.anchor[:, None]
    thing = numbers[..., 3] - 1
    held = torch.stack([thing // _COLORS + _KEY, thing % _COLORS], -1)
    agent[..., AGENT["carrying"]] = torch.where(thing[..., None] >= 0, held, 0)
    front = cell + frame(heading)[..., 0, :]
    inside = ((front >= 0) & (front <= edge)).all(-1, keepdim=True)
    rows = torch.arange(len(numbers), device=front.device)[:, None]
    x, y = torch.minimum(front.clamp(min=0), edge).unbind(-1)
    wall = torch.tensor(WALL, device=front.device)
    agent[..., AGENT["front"]] = torch.where(inside, seen.map[rows, x, y].long(), wall)
    return agent
