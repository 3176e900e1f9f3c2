"""What actions are, for every method alike: how they become tokens, outputs and a loss.

Discrete actions are classes, trained by cross-entropy. Continuous ones lie in [-1, 1] after
scaling by their bounds; outputs go through tanh and are trained by the squared error, as in
Decision Transformer's code.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqrl.trajectories import Trajectories


@dataclass(frozen=True)
class Actions:
    """`size` choices, or `size` numbers (M) between `low` and `high`."""

    size: int
    discrete: bool = True
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        counted = len(self.low) == len(self.high) == self.size
        bounded = all(-math.inf < a < b < math.inf for a, b in zip(self.low, self.high))
        if not self.discrete and not (counted and bounded):
            raise ValueError(
                f"{self.size} continuous actions need as many finite bounds, low ones below "
                f"high ones, not {self.low} and {self.high}."
            )

    @classmethod
    def of(cls, data: Trajectories) -> Actions:
        """The actions of a dataset; bounds that it does not tell are -1 and 1."""
        info = data.info
        if data.actions.dim() == 1:
            return cls(int(info.get("num_actions") or data.actions.max() + 1))
        M = data.actions.shape[1]
        low, high = info.get("action_low", [-1.0] * M), info.get("action_high", [1.0] * M)
        return cls(M, False, tuple(map(float, low)), tuple(map(float, high)))

    @classmethod
    def from_card(cls, fields: Mapping[str, Any] | Actions) -> Actions:
        """The same from its fields, as a checkpoint's card has them."""
        if not isinstance(fields, Mapping):
            return fields
        bounds = {name: tuple(fields.get(name, ())) for name in ("low", "high")}
        return cls(fields["size"], fields["discrete"], **bounds)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one action: () or (M,)."""
        return () if self.discrete else (self.size,)

    def embedding(self, width: int) -> nn.Module:
        """A layer from actions (..., ) int64 or (..., M) to (..., D)."""
        return nn.Embedding(self.size, width) if self.discrete else nn.Linear(self.size, width)

    def loss(self, out: Tensor, actions: Tensor, mask: Tensor) -> Tensor:
        """The mean over real steps: cross-entropy of logits, or the squared error of tanh(out).

        out (B, K, size), actions (B, K) int64 or (B, K, M) float, mask (B, K) bool.
        """
        return _mean(self.losses(out, actions), mask)

    def losses(self, out: Tensor, actions: Tensor) -> Tensor:
        """The loss of each step, (B, K); see `loss`."""
        if self.discrete:
            flat = F.cross_entropy(out.flatten(0, -2).float(), actions.flatten(), reduction="none")
            return flat.view(actions.shape)
        return (out.float().tanh() - self.scaled(actions)).square().mean(-1)

    def accuracy(self, out: Tensor, actions: Tensor, mask: Tensor) -> Tensor:
        """The share of real steps whose likeliest choice is the action; NaN if continuous.

        Shapes as in `loss`; a scalar.
        """
        if not self.discrete:
            return out.new_full((), torch.nan)
        return _mean((out.argmax(-1) == actions).float(), mask)

    def scaled(self, actions: Tensor) -> Tensor:
        """Continuous actions (..., M) within their bounds as numbers in [-1, 1]."""
        low, high = self._bounds(actions)
        return (actions - low) / (high - low) * 2 - 1

    def unscaled(self, x: Tensor) -> Tensor:
        """Numbers (..., M) in [-1, 1] as continuous actions within their bounds."""
        low, high = self._bounds(x)
        return low + (x + 1) / 2 * (high - low)

    def _bounds(self, like: Tensor) -> tuple[Tensor, Tensor]:
        return _tensor(self.low, like.dtype, like.device), _tensor(
            self.high, like.dtype, like.device
        )


@lru_cache(maxsize=64)  # to bring numbers to a GPU makes it wait
def _tensor(x: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(x, dtype=dtype, device=device)


def _mean(x: Tensor, mask: Tensor) -> Tensor:
    return (x * mask).sum() / mask.sum().clamp(min=1)
