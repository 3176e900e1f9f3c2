"""Imitation: what the data did, cloned; all of it, its best part, or given the return.

BC clones every step. %BC is BC on the episodes of highest return: `best(data, percent)`. RvS is
BC that is also told the return-to-go: Decision Transformer without attention and without memory.
All three are an MLP on the state token of the encoder that every method has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from seqrl import encoders
from seqrl.actions import Actions
from seqrl.encoders import EncoderConfig
from seqrl.policies import Chooser, ReturnsToGo, check_observation, device_of, return_scale, tensors
from seqrl.rollout import Step
from seqrl.trajectories import Trajectories
from seqrl.transformer import Dropout
from seqrl.windows import Batch


@dataclass(frozen=True)
class BCConfig:
    """Sizes of `BehaviorCloning`: two hidden layers of `hidden`, the Transformers' dropout.

    Every step of a window of `context` steps is trained on; it sees nothing of the others.
    """

    encoder: EncoderConfig
    actions: Actions
    context: int = 8
    hidden: int = 256
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.context < 1:
            raise ValueError(f"a window needs at least one step, not context={self.context}.")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), not {self.dropout}.")

    @classmethod
    def for_data(cls, data: Trajectories, width: int = 128, **fields: Any) -> Self:
        """The config that fits a dataset, with an encoder of `width` unless `fields` has one."""
        if "encoder" not in fields:
            fields["encoder"] = encoders.config_of(data, width)
        return cls(**{"actions": Actions.of(data), **fields})

    @classmethod
    def from_card(cls, fields: Mapping[str, Any]) -> Self:
        """The config from a checkpoint's card."""
        own = {name: x for name, x in fields.items() if name != "method"}
        own["encoder"] = encoders.config_from(own["encoder"])
        own["actions"] = Actions.from_card(own["actions"])
        return cls(**own)

    def build(self) -> nn.Module:
        return BehaviorCloning(self)


@dataclass(frozen=True)
class RvSConfig(BCConfig):
    """Sizes of `RvS`; returns-to-go are divided by `return_scale`."""

    return_scale: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.return_scale > 0:
            raise ValueError(f"return_scale must be above 0, not {self.return_scale}.")

    @classmethod
    def for_data(cls, data: Trajectories, width: int = 128, **fields: Any) -> Self:
        """See `BCConfig.for_data`; `return_scale`: the largest return in the data, at least 1."""
        return super().for_data(data, width, **{"return_scale": return_scale(data), **fields})

    def build(self) -> nn.Module:
        return RvS(self)


class BehaviorCloning(nn.Module):
    """An MLP from the state token to the action of the data."""

    config: BCConfig

    def __init__(self, config: BCConfig) -> None:
        super().__init__()
        self.config = config
        D = config.encoder.width
        self.norm = nn.LayerNorm(D)
        self.mlp = mlp(self._inputs(D), config.hidden, config.actions.size, config.dropout)
        self.encoder = config.encoder.build()

    def _inputs(self, D: int) -> int:
        return D

    def outputs(self, states: Tensor, returns_to_go: Tensor) -> Tensor:
        """What is predicted at each step, from state tokens (B, K, D): logits (B, K, V), or
        (B, K, M) before tanh. Returns-to-go are not looked at."""
        return self.mlp(self.norm(states))

    def forward(self, batch: Batch) -> Tensor:
        """What is predicted for the action of each step: logits (B, K, V), or (B, K, M)."""
        return self.outputs(self.encoder.encode(batch.observations).steps, batch.returns_to_go)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean loss of all real steps' actions, a scalar, and how many were likeliest."""
        out, actions = self.forward(batch), self.config.actions
        loss = actions.loss(out, batch.actions, batch.mask)
        return loss, {"accuracy": actions.accuracy(out.detach(), batch.actions, batch.mask)}

    def policy(self, *, temperature: float = 0.0) -> Reactive:
        """Acts as the data did; `temperature` 0: the likeliest action."""
        return Reactive(self, self.outputs, Chooser(self.config.actions, temperature))


class RvS(BehaviorCloning):
    """The same MLP, given the return-to-go as well: RvS-R of Emmons et al., 2022.

    A departure: theirs is given the *average* return over the rest of the episode, ours the same
    return-to-go as Decision Transformer, so that the two differ in attention and memory only.
    """

    config: RvSConfig

    def __init__(self, config: RvSConfig) -> None:
        super().__init__(config)
        self.embed_return = nn.Linear(1, config.encoder.width)

    def _inputs(self, D: int) -> int:
        return 2 * D

    def outputs(self, states: Tensor, returns_to_go: Tensor) -> Tensor:
        """See `BehaviorCloning.outputs`; returns-to-go (B, K) in the data's units."""
        R = self.embed_return(returns_to_go[..., None] / self.config.return_scale)  # (B, K, D)
        return self.mlp(torch.cat([self.norm(states), R], -1))

    def policy(  # type: ignore[override]  # it cannot act without a target
        self,
        target_return: float,
        *,
        temperature: float = 0.0,
        within: tuple[float, float] | None = None,
    ) -> Reactive:
        """Acts so as to reach `target_return`; PolicyError where it is not finite.

        `within`: bounds for the return-to-go, as in `policies.ReturnsToGo`.
        """
        returns = ReturnsToGo(target_return, within)
        return Reactive(self, self.outputs, Chooser(self.config.actions, temperature), returns)


class Reactive:
    """A policy that acts on the present observation alone, without memory of earlier ones.

    `outputs(states (rows, 1, D), returns_to_go (rows, 1))` are what `chooser` chooses from; a
    method without returns-to-go is given zeros. Only rows that are active are encoded.
    """

    def __init__(
        self,
        model: nn.Module,
        outputs: Callable[[Tensor, Tensor], Tensor],
        chooser: Chooser,
        returns: ReturnsToGo | None = None,
    ) -> None:
        self.model, self.outputs, self.chooser, self.returns = model, outputs, chooser, returns

    @torch.inference_mode()
    def act(self, step: Step) -> np.ndarray:
        """Actions (E,) or (E, M); PolicyError where the observations are of another kind."""
        self.model.eval()
        encoder: Any = self.model.encoder
        check_observation(step.observation, encoder.expected)
        rows = np.flatnonzero(step.active)
        left = np.zeros(len(step.first), np.float32)
        if self.returns is not None:
            left = self.returns.update(step)
        device = device_of(self.model)
        states = encoder.encode(tensors(step.observation, rows, device)).steps  # (rows, 1, D)
        out = self.outputs(states, torch.from_numpy(left[rows, None]).to(device))
        return self.chooser.choose(out[:, 0], rows, step)


def best(data: Trajectories, percent: float) -> Trajectories:
    """The episodes of highest return, up to `percent` % of all *steps*, in their original order.

    Of equal returns the earlier episode comes first. The first episode that does not fit ends the
    choice, even if a shorter one would; one episode is always chosen. So Decision Transformer's
    code counts (`pct_traj`). ValueError where percent is not in (0, 100].
    """
    if not 0 < percent <= 100:
        raise ValueError(f"percent must be above 0 and at most 100, not {percent}.")
    order = data.returns.argsort(descending=True, stable=True)
    fits = data.lengths[order].cumsum(0) * 100 <= percent * data.steps
    count = max(1, int(fits.sum()))
    chosen = data.select(order[:count].sort().values)
    chosen.info["best_percent"] = float(percent)
    return chosen


def successful(data: Trajectories) -> Trajectories:
    """The successful episodes; ValueError where there is none, or where it was not recorded.

    For methods with no return to condition on, which would do what the data did, failures included.
    """
    if not bool(data.success.any()):
        raise ValueError("no episode of these data is successful.")
    chosen = data.select(data.success.nonzero()[:, 0])
    chosen.info["successful"] = True
    return chosen


def mlp(inputs: int, hidden: int, outputs: int, dropout: float = 0.0) -> nn.Sequential:
    """Two hidden layers, the last dimension from `inputs` to `outputs`."""
    return nn.Sequential(
        nn.Linear(inputs, hidden),
        nn.ReLU(),
        Dropout(dropout),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        Dropout(dropout),
        nn.Linear(hidden, outputs),
    )
