"""A hybrid: LEAP proposes plans, and a critic says which of them is worth more.

What data make likely is the energy's matter; what actions are worth is the critic's. Their sum is
lowest for a plan that is both. The experiment is the crossing of `verdict_toys`, where the likely
way is the wrong one. Related: BCQ (Fujimoto et al., 2019), whose critic chooses among actions that
a model of the data proposes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from seqrl import verdict_toys
from seqrl.energy_search import NOTHING, Added
from seqrl.experiments import untrained
from seqrl.iql import IQL
from seqrl.leap import LEAPConfig
from seqrl.rollout import Policy
from seqrl.training import fit
from seqrl.trajectories import Trajectories
from seqrl.transformer import TransformerConfig

HORIZON = 3
NAMES = ("LEAP", "fitted Q", "LEAP, fitted Q", "IQL")


@dataclass(frozen=True, eq=False)
class Worth:
    """An energy of what a plan's first action loses against the best one: (max Q - Q) / heat.

    critic: with discrete actions. heat: 1 / λ, how many units of its own scale are worth one nat.
    """

    critic: IQL
    heat: float = 0.3

    def __post_init__(self) -> None:
        if not self.critic.config.actions.discrete:
            raise ValueError("a plan's actions are words: the critic must be one of discrete ones.")
        if not self.heat > 0:
            raise ValueError(f"heat is above 0, not {self.heat}.")

    @torch.inference_mode()
    def energy(self, observations: Mapping[str, Tensor]) -> Added:
        """The added energy of plans (R, H) from here; a first action that is open costs nothing.

        Ending the episode is no action of the critic's and costs as much as the worst one.
        """
        states = self.critic.eval().encoder.encode(observations).steps[:, 0]  # (E, D)
        q = self.critic.critic.all(states).mean(0)  # (E, V)
        loses = (q.amax(-1, keepdim=True) - q) / self.heat
        loses = torch.cat([loses, loses.amax(-1, keepdim=True)], -1)

        def added(plans: Tensor, rows: Tensor) -> Tensor:
            first = plans[:, 0].clamp(0, loses.shape[1] - 1)
            return torch.where(plans[:, 0] == NOTHING, 0.0, loses[rows, first])

        return added


def policies(data: Trajectories, seed: int, steps: int) -> dict[str, Policy]:
    """The policies of `NAMES`, tiny, trained now on walks through the crossing.

    LEAP gets half of the updates: each has eight plans of a walk.
    """
    trunk = TransformerConfig(layers=1, heads=4, width=32, dropout=0.0, activation="gelu")
    leap = untrained(LEAPConfig.for_data(data, horizon=HORIZON, trunk=trunk), seed)
    fit(leap, data, seed=seed, steps=max(1, steps // 2), **verdict_toys.TRAINING)
    critic, other = (verdict_toys.learn(m, data, seed, steps).model for m in ("fitted Q", "IQL"))
    both = leap.policy(constraints=[Worth(critic)])
    return dict(zip(NAMES, (leap.policy(), critic.policy(), both, other.policy())))
