"""Transitions as numbers: what is binned of a dataset, and what the end of an episode costs."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from seqrl.actions import Actions
from seqrl.tokens import Bins, Kind, fitted, integers
from seqrl.trajectories import Trajectories


def penalized(data: Trajectories, penalty: float | None) -> Trajectories:
    """The same data, with this reward in place of the last one of episodes that terminated.

    Time-outs are left alone. So Trajectory Transformer's code does, with -100, before it sums up
    what follows.
    """
    if penalty is None or not data.terminations.any():
        return data
    return replace(data, rewards=data.rewards.masked_fill(data.terminations, penalty))


def values(data: Trajectories, discount: float) -> Tensor:
    """V of every step, (S,): the discounted rewards after it, its own not included."""
    return (data.returns_to_go(discount) - data.rewards) / discount


def columns(
    data: Trajectories,
    discount: float,
    states: tuple[Bins, ...] | None = None,
    bins: int = 100,
    kind: Kind = "quantile",
) -> tuple[Bins, ...]:
    """The vocabularies of s, a, r and V; `states`: those of s where they are known already."""
    if states is None:
        row = torch.arange(data.steps, device=data.rewards.device) + data.episode_of_step
        states = _each(data.observations["state"][row], bins, kind)
    actions = Actions.of(data)
    if actions.discrete:
        words: tuple[Bins, ...] = (integers(0, actions.size - 1),)
    else:
        words = _each(data.actions, bins, kind)
    following = values(data, discount)
    return (*states, *words, fitted(data.rewards, bins, kind), fitted(following, bins, kind))


def _each(x: Tensor, bins: int, kind: Kind) -> tuple[Bins, ...]:
    return tuple(fitted(column, bins, kind) for column in x.T)
