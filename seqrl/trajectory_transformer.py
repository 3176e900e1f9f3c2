"""Trajectory Transformer: a trajectory is a text of scalars, and the next word is predicted.

    s¹ … sᴺ  a¹ … aᴹ  r  V   s¹ … sᴺ  a¹ … aᴹ  r  V  …

So one model is policy, dynamics, reward and value at once, and `beam_search` plans with it. V is
what follows r: r₀ + γ r₁ + … + γᴴ r_H + γᴴ⁺¹ V_H is the return, each reward once. Values know the
future, so no token may look at them. Janner et al., 2021; sizes of its code for locomotion.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqrl import encoders, grid_tokens, transitions
from seqrl.actions import Actions
from seqrl.beam_search import BeamSearch, Prefix
from seqrl.encoders import GridEncoderConfig
from seqrl.grid_tokens import World
from seqrl.planning import PlanningPolicy
from seqrl.sharp_start import sharp_start
from seqrl.token_loss import counted, token_loss
from seqrl.tokens import Bins, Discretizer, Kind, Layout
from seqrl.trajectories import Trajectories
from seqrl.transformer import Transformer, TransformerConfig, causal_mask, init_weights
from seqrl.windows import Batch, Windows

TRUNK = TransformerConfig(layers=4, heads=4, width=128, activation="gelu")


@dataclass(frozen=True)
class TrajectoryTransformerConfig:
    """Sizes; the defaults are the code's for locomotion.

    `columns` are the vocabularies of s, a, r and V in this order. Departures: no attention weights
    are dropped; after an episode has terminated only the first stop token is trained, since the
    planner forces the others; on grids there is an `encoder` (`grid_tokens`).
    """

    columns: tuple[Bins, ...]
    actions: Actions
    encoder: GridEncoderConfig | None = None  # None: states are numbers
    context: int = 10  # transitions of a window
    discount: float = 0.99
    action_weight: float = 5.0  # of the loss of action tokens
    termination_penalty: float | None = -100.0  # the reward of steps that terminated; None: as is
    goal: bool = False  # told the last state of the episode first
    trunk: TransformerConfig = TRUNK
    search: BeamSearch = BeamSearch()  # noqa: RUF009  (it is frozen)

    def __post_init__(self) -> None:
        N = len(self.columns) - 2 - self.M
        if N < 1 or (self.encoder is not None and len(grid_tokens.STATES) != N):
            raise ValueError(f"{len(self.columns)} columns do not fit actions of {self.M} columns.")
        if self.context < 1:
            raise ValueError(f"a window needs at least one transition, not {self.context}.")
        if not 0 < self.discount <= 1:
            raise ValueError(f"the discount must lie in (0, 1], not {self.discount}.")
        if self.encoder is not None and self.encoder.width != self.trunk.width:
            raise ValueError(
                f"the encoder's width {self.encoder.width} is not the trunk's {self.trunk.width}."
            )
        if self.goal and self.encoder is not None:
            raise ValueError("on grids the mission is the goal: there is no other one to be told.")

    @property
    def M(self) -> int:
        """Action tokens of a transition."""
        return 1 if self.actions.discrete else self.actions.size

    @property
    def layout(self) -> Layout:
        states = () if self.encoder is None else grid_tokens.STATES
        return Layout(len(self.columns) - 2 - self.M, self.M, states)

    @classmethod
    def for_data(
        cls, data: Trajectories, *, bins: int = 100, kind: Kind = "quantile", **fields: Any
    ) -> TrajectoryTransformerConfig:
        """The config that fits a dataset; ValueError where states are neither numbers nor a map.

        On grids an episode that terminated has succeeded, so there is no penalty for it.
        """
        trunk = fields.pop("trunk", TRUNK)
        encoder = fields.pop("encoder", encoders.config_of(data, trunk.width))
        context, discount = fields.setdefault("context", 10), fields.setdefault("discount", 0.99)
        if isinstance(encoder, GridEncoderConfig):
            if encoder.sees != "map":
                raise ValueError("from a view no pose is known: Trajectory Transformer needs maps.")
            states: tuple[Bins, ...] | None = grid_tokens.bins(context)
            fields.setdefault("termination_penalty", None)
        else:
            encoder, states = None, None
        changed = transitions.penalized(data, fields.get("termination_penalty", -100.0))
        fields["columns"] = transitions.columns(changed, discount, states, bins=bins, kind=kind)
        return cls(actions=Actions.of(data), encoder=encoder, trunk=trunk, **fields)

    @classmethod
    def from_card(cls, fields: Mapping[str, Any]) -> TrajectoryTransformerConfig:
        """The config from a checkpoint's card."""
        own = {name: x for name, x in fields.items() if name != "method"}
        own["columns"] = tuple(map(Bins.from_card, own["columns"]))
        own["actions"] = Actions.from_card(own["actions"])
        if own["encoder"] is not None:
            own["encoder"] = encoders.config_from(own["encoder"])
        own["trunk"], own["search"] = TransformerConfig(**own["trunk"]), BeamSearch(**own["search"])
        return cls(**own)

    def build(self) -> TrajectoryTransformer:
        return TrajectoryTransformer(self)


class TrajectoryTransformer(nn.Module):
    """Every column has its own embeddings and its own head; value columns are hidden as keys."""

    exists: Tensor  # (C, V + 1), the tokens of each column
    _windows: Windows

    def __init__(self, config: TrajectoryTransformerConfig) -> None:
        super().__init__()
        self.config, self.layout = config, config.layout
        self.discretizer = Discretizer(config.columns)
        self.stop = self.discretizer.size  # V, the token of every column after a termination
        C, D, words = self.layout.C, config.trunk.width, self.stop + 1
        self.embed = nn.Embedding(C * words, D)
        self.position = nn.Embedding(config.context * C, D)
        self.goal = nn.Embedding(self.layout.N * words, D) if config.goal else None
        self.trunk = Transformer(config.trunk)
        self.heads = nn.Parameter(torch.empty(C, words, D))  # head c predicts column c
        nn.init.kaiming_uniform_(self.heads, a=math.sqrt(5))
        exists = F.pad(self.discretizer.exists, (0, 1))
        exists[0, -1] = True  # only a state's first token may say that the episode is over
        self.register_buffer("exists", exists, persistent=False)
        told = [self.embed] if self.goal is None else [self.embed, self.goal]
        sharp_start(told, self.position, self.trunk)
        self._source: Trajectories | None = None  # what `sample` has cut its windows from
        self.encoder = None if config.encoder is None else config.encoder.build()
        if config.encoder is not None:
            self.norm = nn.LayerNorm(D)
            self.see = nn.Linear(D, D)
            self.see.apply(init_weights)

    def tokens(self, batch: Batch) -> Tensor:
        """Windows as tokens (B, K, C); after the end of an episode the stop token."""
        following = (batch.returns_to_go - batch.rewards) / self.config.discount  # (B, K)
        tokens = self.encoded(batch.observations, batch.actions, batch.rewards, following)
        return torch.where(batch.mask[..., None], tokens, self.stop)

    def encoded(
        self, observations: Mapping[str, Tensor], actions: Tensor, rewards: Tensor, values: Tensor
    ) -> Tensor:
        """Tokens (B, K, C) of observations, actions (B, K) or (B, K, M), r and V (B, K)."""
        if self.encoder is None:
            states = observations["state"]
        else:
            states = grid_tokens.states(observations["agent"])
        action = actions[..., None] if self.config.actions.discrete else actions
        parts = (states, action, rewards[..., None], values[..., None])
        return self.discretizer.encode(torch.cat([x.float() for x in parts], -1))

    def sample(self, data: Trajectories, batch: int, generator: torch.Generator) -> Batch:
        """Windows of the context's length, their returns-to-go discounted, ends penalized.

        With goals there is observations["goal"] (B, N): the state in which the episode ended.
        """
        if self._source is not data:
            config, self._source = self.config, data
            changed = transitions.penalized(data, config.termination_penalty)
            self._windows = Windows(changed, config.context, config.discount)
        first = torch.randint(data.steps, (batch,), generator=generator, device=generator.device)
        drawn = self._windows(first := first.to(data.rewards.device))
        if self.config.goal:
            episode = data.episode_of_step[first]
            last = data.observations["state"][data.offsets[episode + 1] + episode]
            drawn.observations["goal"] = last
        return drawn

    def world(self, observations: Mapping[str, Tensor]) -> World | None:
        """The encoded map of windows, as seen from their first step; None for vectors.

        observations: key to (B, K, ...), "map" (B, W, H, 3).
        """
        return None if self.encoder is None else grid_tokens.world(self.encoder, observations)

    def look(self, tokens: Tensor, world: World | None) -> Tensor | None:
        """What states (B, K, N), given as tokens, are against the map: (B, K, D)."""
        if self.encoder is None or world is None:
            return None
        numbers = self.discretizer.center(tokens, self.layout.state)
        return self.see(self.norm(grid_tokens.look(self.encoder, world, numbers)))

    def word(self, tokens: Tensor, column: int | Tensor, place: Tensor) -> Tensor:
        """Embeddings (..., D) of tokens of these columns that stand at these places."""
        return self.embed(tokens + column * (self.stop + 1)) + self.position(place)

    def embedded(self, tokens: Tensor, world: World | None, goal: Tensor | None = None) -> Tensor:
        """Tokens (B, T), the first of them an s¹, as vectors (B, goal tokens + T, D).

        On grids all know the first step's summary, and those from sᴺ to V of a transition know
        where on the map its state is.
        """
        (B, T), C, N = tokens.shape, self.layout.C, self.layout.N
        place = torch.arange(T, device=tokens.device)
        x = self.word(tokens, place % C, place)  # (B, T, D)
        if world is not None:
            whole = F.pad(tokens, (0, -T % C)).view(B, -1, C)
            seen = self.look(whole[..., :N], world)  # (B, K, D)
            assert seen is not None
            known = (place % C >= N - 1)[:, None]
            x = x + self.see(self.norm(world.summary))[:, None] + known * seen[:, place // C]
        if goal is not None and self.goal is not None:
            columns = torch.arange(N, device=goal.device)
            x = torch.cat([self.goal(goal + columns * (self.stop + 1)), x], 1)
        return x

    def mask(self, T: int, device: torch.device | None = None) -> Tensor:
        """(T, T) bool: causal, and the value columns hidden; goal tokens included in T."""
        first = self.layout.value + (self.layout.N if self.config.goal else 0)
        return causal_mask(T, slice(first, None, self.layout.C), device)

    def head(self, x: Tensor, column: int) -> Tensor:
        """Logits (..., V + 1) of the next token, which is in `column`, from outputs (..., D)."""
        logits = F.linear(x, self.heads[column])
        return logits.masked_fill(~self.exists[column], -torch.inf)

    def forward(
        self, tokens: Tensor, world: World | None = None, goal: Tensor | None = None
    ) -> Tensor:
        """Logits (B, T, V + 1) of the token after each of tokens (B, T), the first an s¹.

        `goal`: tokens (B, N) of the state that is wanted, where the model was trained with one.
        """
        (B, T), C = tokens.shape, self.layout.C
        if self.config.goal != (goal is not None):
            raise ValueError("a goal is told if and only if the model was trained with goals.")
        x = self.embedded(tokens, world, goal)
        x = self.trunk(x, self.mask(x.shape[1], x.device))[:, x.shape[1] - T :]
        x = F.pad(x, (0, 0, 0, -T % C)).view(B, -1, C, x.shape[-1])
        heads = self.heads.roll(-1, 0)  # a column's output is the next column's input
        logits = torch.einsum("bkcd,cvd->bkcv", x, heads)
        logits = logits.masked_fill(~self.exists.roll(-1, 0), -torch.inf)
        return logits.flatten(1, 2)[:, :T]

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy of every token but the first, actions weighted; info has each part's.

        All are scalars; "accuracy" is the share of action tokens that were likeliest.
        """
        tokens, C = self.tokens(batch), self.layout.C
        goal = batch.observations.get("goal")
        goal = None if goal is None else self.discretizer.encode(goal, self.layout.state)
        logits = self(tokens.flatten(1)[:, :-1], self.world(batch.observations), goal)
        counts = counted(batch.mask, batch.terminations, C)
        return token_loss(logits, tokens, counts, self.layout, self.config.action_weight)

    def prefix(
        self,
        observations: Mapping[str, Tensor],
        actions: Tensor,
        rewards: Tensor,
        steps: Tensor,
        goal: Tensor | None = None,
    ) -> Prefix:
        """What a planner begins with: k + 1 observations, and the k actions and rewards between.

        observations (E, k + 1, ...), actions (E, k + 1) or (E, k + 1, M), rewards (E, k + 1), of
        which the last are not looked at; `steps` (E,): row e has steps[e] transitions, and what
        is behind its present state is padding. `goal` (E, N).
        """
        tokens = self.encoded(observations, actions, rewards, torch.zeros_like(rewards))
        flat = tokens.flatten(1)[:, : tokens[0].numel() - self.layout.C + self.layout.N]
        wanted = None if goal is None else self.discretizer.encode(goal, self.layout.state)
        return Prefix(flat, steps, self.world(observations), wanted)

    @property
    def expected(self) -> dict[str, tuple[int, ...] | None]:
        """The observations that it knows, and the shape of one; None where it takes any."""
        return {"state": (self.layout.N,)} if self.encoder is None else self.encoder.expected

    def policy(
        self,
        search: BeamSearch | None = None,
        *,
        imitating: bool = False,
        goal: Sequence[float] | None = None,
        replan: int = 1,
        cached: bool = True,
    ) -> PlanningPolicy:
        """Plans at every step, or at every `replan`-th (which is another algorithm), and acts.

        `search`: the config's by default. `imitating`: searches for likelihood, not for reward.
        `cached` changes the time only. PolicyError where the search does not fit the model.
        """
        return PlanningPolicy(self, search or self.config.search, imitating, goal, replan, cached)
