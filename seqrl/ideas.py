"""One map, three ways to solve it: what the shipped models do there, for the book's first page.

Decision Transformer drives, Trajectory Transformer imagines and prunes, LEAP refines a plan. The
map is chosen among test maps by a rule; see `ideas`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from seqrl import leap_energy, trained
from seqrl.animations_beam import Branches
from seqrl.animations_plan import walked
from seqrl.beam_cache import Cached
from seqrl.beam_search import BeamSearch, Round, plan
from seqrl.energy_search import NOTHING, Found, Search
from seqrl.environments import make_envs
from seqrl.grid_shapes import STEPS
from seqrl.rollout import rollout
from seqrl.scenes import Scene, scene
from seqrl.shipped import path_of
from seqrl.trajectories import Trajectories
from seqrl.windows import Batch

LEVEL = "GoToObjMazeS4"  # a level of which all three methods' checkpoints are shipped
MAPS = 60  # test maps among which one is looked for
BEAM, EXPAND = 16, 2
SEARCH = Search(iterations=6, chains=3)
NEAR = 2  # cells from the goal, where an imagined way ends: its last actions may be left out


class Ideas(NamedTuple):
    """What three models do on one map."""

    driven: Scene  # by Decision Transformer
    asked: float  # the return that it was asked for
    rounds: list[Branches]  # of Trajectory Transformer's search from the first step
    paths: list[np.ndarray]  # (n + 1, 3) poses, of LEAP's plan after each iteration
    energies: np.ndarray  # (N,), of these plans


def ideas(level: str = LEVEL, maps: int = MAPS) -> Ideas:
    """The three on one of the first test maps of a level.

    It is the map with most to see: where the different futures that TT imagines and the changes of
    LEAP's best plan are most together, of those on which DT arrives in as many steps as a plan has,
    or in one less, and the other two mean to get there. ValueError where there is none, OSError
    where a checkpoint is not shipped.
    """
    dt, tt, leap = (trained.load(path_of(m, level)) for m in ("dt", "tt", "leap"))
    H = leap.model.config.horizon
    asked = 1.0 - H  # a step costs a point, but for the last one
    envs = make_envs(level, min(maps, 20), split="test")
    driven = rollout(dt.policy(asked), envs, maps, seed=0, stream="test")
    driven = driven.select(driven.success & (driven.lengths >= H - 1) & (driven.lengths <= H))
    starts = leap_energy.first_steps(driven, H)
    found = leap_energy.found(leap.model, starts, SEARCH)
    imagined = _imagined(tt.model, starts)
    assert found.energies is not None
    lowest = found.energies[:, -1] < found.energies[:, -1].amin(1, keepdim=True) + 1e-3
    changes = (found.plans.diff(dim=1) != 0).any(-1).sum(1)  # (E, chains)
    chains = torch.where(lowest, changes, -1).argmax(1).tolist()
    best, most = None, 0
    for e, (rounds, chain) in enumerate(zip(imagined, chains)):
        shown = _shown(driven, e, rounds, found, chain, asked)
        seen = int(changes[e, chain]) + sum(len(b.times) for b in rounds)
        if seen > most and _all_near(shown):
            best, most = shown, seen
    if best is None:
        raise ValueError(f"on none of the first {maps} test maps of {level} do all three arrive.")
    return best


def _shown(
    driven: Trajectories, e: int, rounds: list[Branches], found: Found, chain: int, asked: float
) -> Ideas:
    """What the three do in episode e, LEAP in one of its chains."""
    first = scene(driven, e)
    agent = driven.observations["agent"][driven.offsets[e] + e]
    paths = [walked(first.maps[0], agent, p) for p in found.plans[e, :, chain]]
    assert found.energies is not None
    return Ideas(first, asked, rounds, paths, found.energies[e, :, chain].numpy())


def _all_near(shown: Ideas) -> bool:
    """Whether TT's best future and LEAP's last plan end close to what DT drove to."""
    last = shown.driven.poses[-1]
    goal = last[:2] + STEPS[int(last[2])]
    final = shown.rounds[-1]
    ends = [shown.paths[-1][-1], final.poses[final.value.argmax(), -1]]
    return all(np.abs(end[:2] - goal).sum() <= NEAR for end in ends)


@torch.inference_mode()
def _imagined(model: Any, starts: Batch) -> list[list[Branches]]:
    """For each episode, every round of a beam search from its first step."""
    E, steps = starts.actions.shape[:2]
    horizon = min(model.config.context, steps + 1)
    search = BeamSearch(BEAM, EXPAND, horizon, cut=None)
    none = torch.zeros(E, dtype=torch.long)
    prefix = model.prefix(starts.observations, starts.actions, starts.rewards, none)
    size = (E, horizon, search.rows, model.layout.M)
    draws = torch.rand(size, generator=torch.Generator().manual_seed(0))
    rounds: list[Round] = []
    plan(model, prefix, search, draws, Cached, watch=rounds.append)
    maps, agents = starts.observations["map"].numpy(), starts.observations["agent"][:, 0]
    return [[_futures(model, r, e, maps[e], agents[e]) for r in rounds] for e in range(E)]


def _futures(model: Any, found: Round, e: int, grid: np.ndarray, agent: Tensor) -> Branches:
    """What a round of a search means to do, as poses by the known kinematics; equal ones are one.

    Unlike the states that the model imagined, they show where the last action leads.
    """
    tokens = found.tokens[e][:, :: model.layout.C]  # (R, t), the actions
    actions = torch.where(tokens == model.stop, NOTHING, tokens)
    different, which = actions.unique(dim=0, return_inverse=True)
    ways = [walked(grid, agent, way) for way in different]
    t = actions.shape[1]
    poses = [np.r_[way, way[-1:].repeat(t + 1 - len(way), 0)] for way in ways]
    kept = torch.zeros(len(which)).index_fill(0, found.kept[e], 1.0).numpy()
    times = np.bincount(which)
    worth = np.bincount(which, found.value[e].numpy()) / times
    return Branches(np.stack(poses), times, np.bincount(which, kept), worth)
