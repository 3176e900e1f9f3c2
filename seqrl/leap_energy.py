"""What a plan's energy is worth: whether it falls, and whether lower means better.

Episodes are begun with plans of different energy and go on with the same policy, so that the plans
of one episode compete on one map.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from seqrl import energy_search
from seqrl.energy_search import GREEDY, Search, numbers_for
from seqrl.evaluation import Evaluation, evaluate
from seqrl.intervals import Interval, bootstrap
from seqrl.leap import LEAP
from seqrl.rollout import Policy, Step
from seqrl.seeds import derive
from seqrl.trajectories import Trajectories
from seqrl.windows import Batch, Windows

SEARCH = Search()


def greedy(iterations: int) -> Search:
    """The search of the paper's code with so many iterations."""
    return replace(GREEDY, iterations=iterations)


def refined(
    model: LEAP, level: str, searches: Mapping[Any, Search], episodes: int, execute: int = 1
) -> dict[Any, Evaluation]:
    """Test episodes with each of some searches; `execute` of a plan's actions are taken."""
    return {
        name: evaluate(model.policy(search=search, execute=execute), level, episodes)
        for name, search in searches.items()
    }


def first_steps(data: Trajectories, H: int) -> Batch:
    """A window of H steps from the start of every episode."""
    return Windows(data, H)(data.offsets[:-1])


@torch.no_grad()
def found(model: LEAP, batch: Batch, search: Search, seed: int = 0) -> energy_search.Found:
    """Plans from the first step of windows, with everything that was met on the way."""
    generator = torch.Generator().manual_seed(derive("test", "plans", seed))
    shape = numbers_for(search, model.config.horizon)
    numbers = torch.rand(len(batch.mask), *shape, generator=generator)
    model.eval()
    return energy_search.search(model.conditionals(batch.observations), numbers, search)


def energy_curves(plans: energy_search.Found) -> dict[str, np.ndarray]:
    """Mean energy after each iteration, (N,): of the chains' plans, and of the lowest so far."""
    if plans.energies is None:
        raise ValueError("the search kept no energies: keep='lowest'.")
    E = plans.energies.double()  # (E, N, chains)
    lowest = E.amin(2).cummin(1).values
    return {"plan of a chain": E.mean((0, 2)).numpy(), "lowest so far": lowest.mean(0).numpy()}


class Begins:
    """Plays the given first actions of each episode, plans (episodes, H), then another policy."""

    def __init__(self, policy: Policy, plans: Tensor, end: int) -> None:
        self.policy, self.end = policy, end
        ended = (plans >= end).cumsum(1) > 0
        self.plans = torch.where(ended, end, plans).numpy()
        self.at = np.zeros(0, np.int64)

    def act(self, step: Step) -> np.ndarray:
        """Actions (E,)."""
        if len(self.at) != len(step.first):
            self.at = np.zeros(len(step.first), np.int64)
        self.at[step.first] = 0
        actions, H = self.policy.act(step).copy(), self.plans.shape[1]
        given = self.plans[step.episode % len(self.plans), self.at.clip(max=H - 1)]
        playing = step.active & (self.at < H) & (given < self.end)
        self.at = self.at + 1
        return np.where(playing, given, actions)


class Judged(NamedTuple):
    """Plans of E episodes' first steps, M each, and what became of episodes begun with them."""

    energies: np.ndarray  # (E, M); M = 0 is the plan that the search keeps
    lengths: np.ndarray  # (E, M) steps, those of the plan included
    success: np.ndarray  # (E, M)
    shortest: np.ndarray  # (E,)


def judged(
    model: LEAP, level: str, episodes: int, candidates: int = 6, search: Search = SEARCH
) -> Judged:
    """Begins each test episode with the best plan and with others drawn at temperature 1.

    What follows is the same for all: the likeliest action of a plan of one draft, step by step.
    """
    one = greedy(1)
    played = evaluate(model.policy(search=one), level, episodes)
    first = first_steps(played.trajectories, model.config.horizon)
    drawn = Search(2, candidates, resampled=(1, 1), temperature=(1, 1))
    best, others = found(model, first, search), found(model, first, drawn)
    assert best.energy is not None and others.energies is not None
    plans = torch.cat([best.plan[:, None], others.plans[:, 0, 1:]], 1)  # (E, M, H)
    energies = torch.cat([best.energy[:, None], others.energies[:, 0, 1:]], 1)
    runs = []
    for m in range(plans.shape[1]):
        policy = Begins(model.policy(search=one), plans[:, m], model.config.end)
        runs.append(evaluate(policy, level, episodes))
    lengths, success = (np.stack([getattr(r, x) for r in runs], 1) for x in ("lengths", "success"))
    assert played.shortest is not None
    return Judged(energies.numpy(), lengths, success, played.shortest)


def rank_correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's: of ranks, equal values sharing theirs; NaN where one of both never changes.

    x and y are (n,).
    """
    a, b = (_ranks(np.asarray(values, float)) for values in (x, y))
    if a.std() == 0 or b.std() == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = counts.cumsum()
    return ((last - counts + 1 + last) / 2)[place]


def correlations(judged: Judged) -> dict[str, Interval]:
    """Rank correlations of energy, with 95 % intervals over episodes.

    "between": of the kept plans of different episodes, with success and with steps beyond the
    shortest way. "within": of the plans of one episode, with how long it then took, the mean over
    episodes in which that differs. None where nothing differs.
    """
    kept = judged.energies[:, 0]
    detour = judged.lengths[:, 0] - judged.shortest
    between = {
        "between, success": (kept, judged.success[:, 0]),
        "between, detour": (kept, detour),
        "between, shortest way": (kept, judged.shortest),
    }
    found = {name: _resampled(*pair) for name, pair in between.items()}
    within = np.array([rank_correlation(e, n) for e, n in zip(judged.energies, judged.lengths)])
    within = within[np.isfinite(within)]
    found["within, length"] = bootstrap([within]) if len(within) > 1 else None
    return {name: interval for name, interval in found.items() if interval is not None}


def _resampled(x: np.ndarray, y: np.ndarray, times: int = 500) -> Interval | None:
    """The rank correlation with a bootstrap over episodes; None where one never changes."""
    estimate = rank_correlation(x, y)
    if not np.isfinite(estimate):
        return None
    rng = np.random.default_rng(0)
    draws = [rng.integers(len(x), size=len(x)) for _ in range(times)]
    again = np.array([rank_correlation(x[i], y[i]) for i in draws])
    low, high = np.nanpercentile(again, [2.5, 97.5])
    return Interval(estimate, float(low), float(high))
