"""LEAP that is told a return: one token more, the return-to-go where a plan begins.

The paper's method has none, and so has to be trained on episodes that succeeded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from seqrl.leap import LEAP, LEAPConfig, starts_of
from seqrl.leap_policy import LEAPPolicy
from seqrl.policies import ReturnsToGo, return_scale
from seqrl.trajectories import Trajectories
from seqrl.transformer import init_weights


@dataclass(frozen=True)
class ReturnLEAPConfig(LEAPConfig):
    """Sizes of `ReturnLEAP`; returns-to-go are divided by `return_scale`."""

    return_scale: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.return_scale > 0:
            raise ValueError(f"return_scale must be above 0, not {self.return_scale}.")

    @classmethod
    def for_data(cls, data: Trajectories, **fields: Any) -> Self:
        """See `LEAPConfig.for_data`; `return_scale`: the largest return in the data, at least 1."""
        return super().for_data(data, **{"return_scale": return_scale(data), **fields})

    def build(self) -> ReturnLEAP:
        return ReturnLEAP(self)


class ReturnLEAP(LEAP):
    """LEAP that is told the return-to-go of a plan's first step, by one token more."""

    config: ReturnLEAPConfig

    def __init__(self, config: ReturnLEAPConfig) -> None:
        super().__init__(config)
        self.embed_return = nn.Linear(1, config.trunk.width)
        init_weights(self.embed_return)

    def prefix(
        self,
        observations: Mapping[str, Tensor],
        returns_to_go: Tensor | None = None,
        starts: Tensor | None = None,
    ) -> Tensor:
        if returns_to_go is None:
            raise ValueError("this model has to be told a return-to-go.")
        starts = starts_of(observations, starts)
        asked = returns_to_go[:, : starts.shape[1]][starts]  # (R,)
        R = self.embed_return(asked[:, None, None] / self.config.return_scale)
        token = self.norm(R + self.embed_kind.weight[2])  # (R, 1, D)
        return torch.cat([super().prefix(observations, None, starts), token], 1)

    def policy(  # type: ignore[override]  # it cannot act without a target
        self, target_return: float, *, within: tuple[float, float] | None = None, **options: Any
    ) -> LEAPPolicy:
        """Asks for `target_return`; `options` as for `LEAP.policy`. PolicyError if not finite."""
        return LEAPPolicy(self, **options, returns=ReturnsToGo(target_return, within))
