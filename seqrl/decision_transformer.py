"""Decision Transformer: an action is the next word after the return that is asked for.

    R̂_1 s_1 a_1  R̂_2 s_2 a_2  …   a causal Transformer reads a_t off the token s_t

so it sees returns-to-go and states up to t and actions before t. Only actions are predicted.
Chen, Lu et al., 2021, algorithm 1; sizes of its code for locomotion.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seqrl import encoders
from seqrl.actions import Actions
from seqrl.cache import Cache
from seqrl.context import Context
from seqrl.encoders import EncoderConfig
from seqrl.policies import Chooser, ReturnsToGo, check_observation, return_scale
from seqrl.rollout import Step
from seqrl.trajectories import Trajectories
from seqrl.transformer import Transformer, TransformerConfig, init_weights
from seqrl.windows import Batch

PARTS = ("R̂", "s", "a")  # the tokens of a step, in this order
STATES = slice(1, None, 3)  # the tokens that actions are read from


@dataclass(frozen=True)
class DecisionTransformerConfig:
    """Sizes; the defaults are the paper's for locomotion (`TransformerConfig` has the trunk's).

    Departures: a state is what the shared `encoder` makes of it, the action head's tanh is in
    `Actions`, and no attention weights are dropped.
    """

    encoder: EncoderConfig
    actions: Actions
    context: int = 20
    return_scale: float = 1000.0  # returns-to-go are divided by it
    max_timestep: int = 1000  # rows of the table of timesteps; later ones share the last
    trunk: TransformerConfig = TransformerConfig()  # noqa: RUF009  (it is frozen)

    def __post_init__(self) -> None:
        if self.context < 1:
            raise ValueError(f"a context needs at least one step, not {self.context}.")
        if not self.return_scale > 0:
            raise ValueError(f"return_scale must be above 0, not {self.return_scale}.")
        if self.encoder.width != self.trunk.width:
            raise ValueError(
                f"the encoder's width {self.encoder.width} is not the trunk's {self.trunk.width}."
            )

    @classmethod
    def for_data(cls, data: Trajectories, **fields: Any) -> DecisionTransformerConfig:
        """The config that fits a dataset; `return_scale`: the largest return in it, at least 1."""
        trunk = fields.pop("trunk", TransformerConfig())
        fields.setdefault("encoder", encoders.config_of(data, trunk.width))
        fields.setdefault("return_scale", return_scale(data))
        return cls(actions=Actions.of(data), trunk=trunk, **fields)

    @classmethod
    def from_card(cls, fields: Mapping[str, Any]) -> DecisionTransformerConfig:
        """The config from a checkpoint's card."""
        own = {name: x for name, x in fields.items() if name != "method"}
        own["encoder"] = encoders.config_from(own["encoder"])
        own["actions"] = Actions.from_card(own["actions"])
        return cls(**{**own, "trunk": TransformerConfig(**own["trunk"])})

    def build(self) -> DecisionTransformer:
        return DecisionTransformer(self)


class DecisionTransformer(nn.Module):
    """Tokens of three kinds, the trunk under a causal mask, a head on the state tokens."""

    def __init__(self, config: DecisionTransformerConfig) -> None:
        super().__init__()
        self.config = config
        D = config.trunk.width
        self.embed_return = nn.Linear(1, D)
        self.embed_action = config.actions.embedding(D)
        self.embed_timestep = nn.Embedding(config.max_timestep, D)
        self.norm = nn.LayerNorm(D)
        self.trunk = Transformer(config.trunk)
        self.head = nn.Linear(D, config.actions.size)
        for layer in (self.embed_return, self.embed_action, self.embed_timestep, self.head):
            init_weights(layer)
        self.encoder = config.encoder.build()  # last: it has a start of its own

    def tokens(
        self, returns_to_go: Tensor, states: Tensor, actions: Tensor, timesteps: Tensor
    ) -> Tensor:
        """R̂_1 s_1 a_1 R̂_2 …: (B, 3K, D), of returns-to-go (B, K) and state tokens (B, K, D).

        All three tokens of a step carry the embedding of its timestep in the episode.
        """
        R = self.embed_return(returns_to_go[..., None] / self.config.return_scale)  # (B, K, D)
        a = self.embed_action(actions)  # (B, K, D)
        time = self.embed_timestep(timesteps.clamp(max=self.config.max_timestep - 1))
        steps = torch.stack([R, states, a], dim=2) + time[:, :, None]  # (B, K, 3, D)
        return self.norm(steps.flatten(1, 2))  # (B, 3K, D)

    def forward(self, batch: Batch) -> Tensor:
        """What is predicted for the action of each step: logits (B, K, V), or (B, K, M)."""
        states = self.encoder.encode(batch.observations).steps
        x = self.tokens(batch.returns_to_go, states, batch.actions, batch.timesteps)
        return self.head(self.trunk(x, "causal", read=STATES))

    def answers(self, batch: Batch) -> Tensor:
        """What the outputs are held against: the actions that were taken, (B, K) or (B, K, M)."""
        return batch.actions

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean loss of all real steps' actions, a scalar, and how many were likeliest."""
        out, actions = self.forward(batch), self.config.actions
        loss = actions.loss(out, batch.actions, batch.mask)
        return loss, {"accuracy": actions.accuracy(out.detach(), batch.actions, batch.mask)}

    def policy(
        self,
        target_return: float,
        *,
        temperature: float = 0.0,
        within: tuple[float, float] | None = None,
        context: int | None = None,
        cached: bool = True,
    ) -> DecisionTransformerPolicy:
        """Acts so as to reach `target_return`; ValueError where it is not finite.

        `temperature` 0: the likeliest action. `within`: bounds for the return-to-go. `context`:
        steps remembered, at most those trained with. `cached` changes the time only.
        """
        return DecisionTransformerPolicy(self, target_return, temperature, within, context, cached)


class DecisionTransformerPolicy:
    """Drives: the return-to-go starts at the target and loses every reward; see the paper's 3.

    While an episode fits the context, keys and values of earlier tokens are kept, which is exact.
    Later the oldest step drops out, which changes all that came after it, so all is computed anew.
    """

    def __init__(
        self,
        model: DecisionTransformer,
        target_return: float,
        temperature: float,
        within: tuple[float, float] | None,
        context: int | None,
        cached: bool,
    ) -> None:
        config = model.config
        K = config.context if context is None else context
        if not 1 <= K <= config.context:
            raise ValueError(f"the model was trained with 1 to {config.context} steps, not {K}.")
        self.model, self.cached = model, cached
        self.returns = ReturnsToGo(target_return, within)
        self.chooser = Chooser(config.actions, temperature)
        self.context = Context(model.encoder, K, config.actions.shape)
        self.cache: Cache | None = None

    @torch.inference_mode()
    def act(self, step: Step) -> np.ndarray:
        """Actions (E,) or (E, M); observations must be of the kind that the model knows."""
        if self.model.training:  # asked first: to switch every module costs a fifth of a step
            self.model.eval()
        check_observation(step.observation, self.model.encoder.expected)
        rows = self.context.update(step, self.returns.update(step))
        out = torch.zeros(len(step.first), self.model.config.actions.size)
        slid = self.context.slid[rows] | (not self.cached)
        if not slid.all():
            out[rows[~slid]] = self._next(step.first, rows[~slid]).cpu()
        if slid.any():
            out[rows[slid]] = self._whole(rows[slid]).cpu()
        actions = self.chooser.choose(out[rows], rows, step)
        self.context.taken(rows, actions)
        return actions

    def _next(self, first: np.ndarray, rows: np.ndarray) -> Tensor:
        """Outputs (rows, size) from the last action, return-to-go and state, and what is kept."""
        memory, E = self.context, len(first)
        if self.cache is None or len(self.cache.lengths) != E:
            self.cache = self.model.trunk.cache(E, 3 * memory.K)
        idle = np.setdiff1d(np.arange(E), rows)
        self.cache.reset_rows(torch.from_numpy(idle), skip=3)
        self.cache.reset_rows(torch.from_numpy(rows[first[rows]]), skip=1)
        last = torch.from_numpy(memory.lengths - 1).to(memory.device).clamp(min=0)
        pair = torch.stack([(last - 1).clamp(min=0), last], 1)  # (E, 2), the last two steps
        x = self.model.tokens(*_at(memory, torch.arange(E, device=pair.device)[:, None], pair))
        x = self.model.trunk(x[:, 2:5], cache=self.cache, read=slice(2, 3))  # a, R̂, s
        return self.model.head(x[:, 0])[torch.from_numpy(rows).to(x.device)]

    def _whole(self, rows: np.ndarray) -> Tensor:
        """The same outputs from all tokens of the contexts up to the last state."""
        memory = self.context
        lengths = memory.lengths[rows]
        longest = int(lengths.max())
        r = torch.from_numpy(rows).to(memory.device)
        x = self.model.tokens(*_at(memory, r, slice(0, longest)))[:, :-1]  # the last action is open
        if (lengths == longest).all():  # so always where contexts are full
            return self.model.head(self.model.trunk(x, read=slice(-1, None))[:, 0])
        x = self.model.trunk(x, read=STATES)  # (rows, longest, D)
        last = torch.from_numpy(lengths - 1).to(x.device)
        return self.model.head(x[torch.arange(len(rows), device=x.device), last])


def _at(memory: Context, rows: Tensor, steps: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What `DecisionTransformer.tokens` takes, of these rows and steps of a context."""
    kept = (memory.returns_to_go, memory.states, memory.actions, memory.timesteps)
    return tuple(values[rows, steps] for values in kept)  # type: ignore[return-value]
