"""Delayed reward: what an episode earns is paid at its last step, and until then nobody is told.

So Decision Transformer's paper asks which method needs a reward at every step (its `mode`
"delayed"). What is asked for then stays the same for a whole episode: nothing is there to subtract.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from seqrl.rollout import Policy, Step
from seqrl.trajectories import Trajectories

SUFFIX = "-delayed"  # of a dataset's name


def delayed(data: Trajectories) -> Trajectories:
    """The same episodes with their returns at their last steps, and 0 before; info says so.

    All end for good when they are paid. Else IQL, which does not learn from the last step of an
    episode that was cut, would never hear what the longest ones have earned.
    """
    rewards, over = torch.zeros_like(data.rewards), torch.zeros_like(data.terminations)
    rewards[data.offsets[1:] - 1] = data.returns
    over[data.offsets[1:] - 1] = True
    info = {**data.info, "rewards": "delayed"}
    if "dataset" in info:
        info["dataset"] += SUFFIX
    cut = torch.zeros_like(over)
    return replace(data, rewards=rewards, terminations=over, truncations=cut, info=info)


class Untold:
    """A policy that is told no reward; the last one it would not be told in any case."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.needs_observation = getattr(policy, "needs_observation", True)

    def act(self, step: Step) -> np.ndarray:
        """Actions (E,) or (E, M) of the policy, which sees 0 in place of every reward."""
        return self.policy.act(step._replace(reward=np.zeros_like(step.reward)))
