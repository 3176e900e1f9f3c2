"""LEAP: a plan is a sentence, and its energy says how well its words fit together.

    E(a_1 … a_H) = - Σ_t log p(a_t | all other actions, what is observed)

A Transformer that looks in both directions fills in masked actions, given the encoded observation
with the mission and the last actions in it. Plans of low energy are searched by `energy_search`.
Chen et al., 2023. Departures from its code, each a setting: several positions are masked at a time,
so that a plan may start from masks alone; an episode may end within a plan; energies are evaluated;
no oracle tells where the goal is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqrl import encoders
from seqrl.actions import Actions
from seqrl.encoders import EncoderConfig, GridEncoderConfig
from seqrl.energy_search import NOTHING, Search
from seqrl.leap_policy import Conditionals, Constraint, LEAPPolicy, plan_mask
from seqrl.policies import PER_WINDOW
from seqrl.trajectories import Trajectories
from seqrl.transformer import Transformer, TransformerConfig, init_weights
from seqrl.windows import Batch

UNKNOWN = -100  # a target that is not known: the episode was cut before it
TRUNK = TransformerConfig(layers=3, heads=4, width=128, activation="gelu")  # the paper's code's


@dataclass(frozen=True)
class LEAPConfig:
    """Sizes; the defaults are those of the paper's code (horizon 5 in rooms, 10 in mazes).

    masking: "random", 1 … H positions of a plan, any number equally likely; or "exact", every
        position in its turn, the pseudo-likelihood itself (the code's).
    after_end: where an episode is over, "predicted": an action of its own, END, which is predicted
        but never shown to the model, neither in training nor in a plan. "masked": always masked
        and not predicted. "visible": shown in training, though no plan has it (the code's).
    starts: plans of a training window, one from each of its first steps. They share the encoded
        map, which is most of the cost. The code has one.
    """

    encoder: EncoderConfig
    actions: Actions
    horizon: int = 5
    masking: Literal["random", "exact"] = "random"
    after_end: Literal["predicted", "masked", "visible"] = "predicted"
    starts: int = 8
    trunk: TransformerConfig = TRUNK

    def __post_init__(self) -> None:
        if self.horizon < 1:
            raise ValueError(f"a plan needs at least one action, not horizon={self.horizon}.")
        if self.starts < 1:
            raise ValueError(f"a window begins at least one plan, not starts={self.starts}.")
        if not self.actions.discrete:
            raise ValueError("LEAP masks and resamples words: it needs discrete actions.")
        if self.masking not in ("random", "exact"):
            raise ValueError(f"masking is {self.masking!r}; it must be 'random' or 'exact'.")
        if self.after_end not in ("predicted", "masked", "visible"):
            raise ValueError(
                f"after_end is {self.after_end!r}; it must be 'predicted', 'masked' or 'visible'."
            )
        if self.encoder.width != self.trunk.width:
            raise ValueError(
                f"the encoder's width {self.encoder.width} is not the trunk's {self.trunk.width}."
            )

    @property
    def context(self) -> int:
        """Steps of a training window: those of the plans that begin in it."""
        return self.starts + self.horizon - 1

    @property
    def end(self) -> int:
        """The token END; one more is MASK."""
        return self.actions.size

    @property
    def outputs(self) -> int:
        """V, the actions that a plan may have: END among them if it is predicted."""
        return self.actions.size + (self.after_end == "predicted")

    @classmethod
    def for_data(cls, data: Trajectories, **fields: Any) -> Self:
        """The config that fits a dataset; its encoder sees as far on a map as a plan reaches."""
        trunk = fields.pop("trunk", TRUNK)
        encoder, far = encoders.config_of(data, trunk.width), fields.get("horizon", cls.horizon)
        if isinstance(encoder, GridEncoderConfig) and encoder.sees == "map":
            encoder = replace(encoder, behind=far, ahead=far, side=far)
        fields.setdefault("encoder", encoder)
        return cls(actions=Actions.of(data), trunk=trunk, **fields)

    @classmethod
    def from_card(cls, fields: Mapping[str, Any]) -> Self:
        """The config from a checkpoint's card."""
        own = {name: x for name, x in fields.items() if name != "method"}
        own["encoder"] = encoders.config_from(own["encoder"])
        own["actions"] = Actions.from_card(own["actions"])
        return cls(**{**own, "trunk": TransformerConfig(**own["trunk"])})

    def build(self) -> LEAP:
        return LEAP(self)


class LEAP(nn.Module):
    """Tokens: the summary and the context of what is observed, then the H actions of a plan.

    The former do not look at the plan, so that they are computed once for all plans.
    """

    config: LEAPConfig

    def __init__(self, config: LEAPConfig) -> None:
        super().__init__()
        self.config = config
        D, A = config.trunk.width, config.actions.size
        self.embed_action = nn.Embedding(A + 2, D)  # the actions, END, MASK
        self.embed_position = nn.Embedding(config.horizon, D)
        self.embed_kind = nn.Embedding(3, D)  # summary, context, return
        self.norm = nn.LayerNorm(D)
        self.trunk = Transformer(config.trunk)
        self.head = nn.Linear(D, config.outputs)
        for layer in (self.embed_action, self.embed_position, self.embed_kind, self.head):
            init_weights(layer)
        self.encoder = config.encoder.build()  # last: it has a start of its own

    def prefix(
        self,
        observations: Mapping[str, Tensor],
        returns_to_go: Tensor | None = None,
        starts: Tensor | None = None,
    ) -> Tensor:
        """What is known where plans begin, as tokens (R, C, D); R is B, one plan a window.

        starts: (B, n) bool, the steps at which plans begin; R is their number.
        """
        starts = starts_of(observations, starts)
        n = starts.shape[1]
        seen = self.encoder.encode(
            {key: x if key in PER_WINDOW else x[:, :n] for key, x in observations.items()}
        )
        summary = seen.steps[:, :, None] + self.embed_kind.weight[0]  # (B, n, 1, D)
        tokens = torch.cat([summary, seen.contexts + self.embed_kind.weight[1]], 2)
        return self.norm(tokens[starts])

    def shown(self, plans: Tensor, hidden: Tensor) -> Tensor:
        """Plans (…, H) as tokens: MASK where hidden or not decided, and where END is predicted."""
        mask, end = self.config.end + 1, self.config.end
        masked = hidden | (plans < 0)
        if self.config.after_end != "visible":
            masked = masked | (plans == end)
        return torch.where(masked, mask, plans)

    def embed(self, tokens: Tensor, here: Tensor, positions: Tensor | None = None) -> Tensor:
        """Tokens (…, H) of plans at their positions, in order unless told: (…, H, D).

        here: (…, 1, D), the first token of the prefix, the summary. It is added to all: left to be
        found by attention, which begins flat, it was still unread after a hundred updates.
        """
        if positions is None:
            positions = torch.arange(tokens.shape[-1], device=tokens.device)
        return here + self.norm(self.embed_action(tokens) + self.embed_position(positions))

    def outputs(self, x: Tensor, positions: Tensor | None = None) -> Tensor:
        """log p (B, H, V) from what the trunk gives for a plan; no plan ends before it begins."""
        logits = self.head(x).float()
        if self.config.after_end == "predicted":
            if positions is None:
                positions = torch.arange(x.shape[1], device=x.device)
            is_end = torch.arange(self.config.outputs, device=x.device) == self.config.end
            logits = logits.masked_fill((positions == 0)[..., None] & is_end, -torch.inf)
        return logits.log_softmax(-1)

    def forward(self, batch: Batch) -> Tensor:
        """log p of every action from masks alone, (B, H, V), of plans from the first step."""
        prefix = self.prefix(batch.observations, batch.returns_to_go)
        plans = torch.full_like(batch.actions[:, : self.config.horizon], NOTHING)
        return self.log_p(prefix, self.shown(plans, plans < 0))

    def log_p(self, prefix: Tensor, tokens: Tensor) -> Tensor:
        """log p (B, H, V) of tokens (B, H), given those that are not MASK and a prefix."""
        C = prefix.shape[1]
        x = torch.cat([prefix, self.embed(tokens, prefix[:, :1])], 1)
        mask = plan_mask(C, tokens.shape[1], x.device)
        return self.outputs(self.trunk(x, mask, read=slice(C, None)))

    def starts(self, batch: Batch) -> Tensor:
        """The steps of windows at which plans begin, (B, K - H + 1) bool: all that are real."""
        n = batch.mask.shape[1] - self.config.horizon + 1
        if n < 1:
            raise ValueError(
                f"a window of {batch.mask.shape[1]} steps has no plan of {self.config.horizon}."
            )
        return batch.mask[:, :n]

    def targets(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The plans of windows as the model may see them, and what is to be predicted, (R, H).

        Where an episode was cut nothing is known of what would have followed.
        """
        over = ~batch.mask & batch.terminations.any(1, keepdim=True)
        actions = torch.where(batch.mask, batch.actions, NOTHING)
        actions = torch.where(over, self.config.end, actions)
        known = batch.mask | (over if self.config.after_end == "predicted" else False)
        starts, H = self.starts(batch), self.config.horizon
        plans = actions.unfold(1, H, 1)[starts]
        return plans, torch.where(known.unfold(1, H, 1)[starts], plans, UNKNOWN)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy of masked actions, a mean over plans of the mean over what is masked.

        With `masking="random"` H times it bounds -log p(plan) from above (Uria et al., 2014);
        with "exact" it is the energy of the data's plans, over the number of known actions.
        A scalar, and scalars in info.
        """
        plans, targets = self.targets(batch)
        prefix = self.prefix(batch.observations, batch.returns_to_go, self.starts(batch))
        if self.config.masking == "exact":
            log_p = self.each_hidden(prefix, plans)
        else:
            B, H = plans.shape
            count = torch.randint(1, H + 1, (B, 1), device=plans.device)
            hidden = torch.rand(B, H, device=plans.device).argsort(1) < count
            targets = torch.where(hidden, targets, UNKNOWN)
            log_p = self.log_p(prefix, self.shown(plans, hidden))
        known = targets != UNKNOWN
        loss = F.nll_loss(log_p.flatten(0, 1), targets.flatten(), reduction="none")
        weight = known / known.sum(1, keepdim=True).clamp(min=1) / known.any(1).sum().clamp(min=1)
        right = (log_p.argmax(-1) == targets)[known].float()
        return (loss.view_as(weight) * weight).sum(), {"accuracy": right.mean()}

    def each_hidden(self, prefix: Tensor, plans: Tensor) -> Tensor:
        """log p (B, H, V) of each action given all others, in one forward of B rows.

        A row holds what is known once, then the plan H times, each time with another action hidden.
        The hidden one comes first, so that the last block reads H tokens; attention does not care
        in which order tokens come, as each carries its position.
        """
        H, C = plans.shape[1], prefix.shape[1]
        order = torch.stack([torch.arange(H).roll(-i) for i in range(H)]).to(plans.device)
        tokens = self.shown(plans[:, order], (torch.arange(H, device=plans.device) == 0))
        plan = self.embed(tokens, prefix[:, None, :1], order).flatten(1, 2)  # (B, H * H, D)
        x = torch.cat([prefix, plan], 1)
        x = self.trunk(x, plan_mask(C, H, x.device, times=H), read=slice(C, None, H))
        return self.outputs(x, order[:, 0])

    def each_hidden_plain(self, batch: Batch) -> Tensor:
        """The same (plans, H, V) as the paper's code has it: a whole forward for every position."""
        plans, _ = self.targets(batch)
        found = []
        for i in range(self.config.horizon):
            hidden = torch.zeros_like(plans, dtype=torch.bool)
            hidden[:, i] = True
            prefix = self.prefix(batch.observations, batch.returns_to_go, self.starts(batch))
            found.append(self.log_p(prefix, self.shown(plans, hidden))[:, i])
        return torch.stack(found, 1)

    def conditionals(
        self, observations: Mapping[str, Tensor], returns_to_go: Tensor | None = None
    ) -> Conditionals:
        """What `energy_search` asks, for plans from here; what is observed is encoded once.

        observations: key to (B, K, ...); returns_to_go (B, K), of which the first step's are read.
        """
        return Conditionals(self, self.prefix(observations, returns_to_go))

    def policy(
        self,
        *,
        search: Search = Search(),  # noqa: B008  (it is frozen)
        execute: int = 1,
        reuse: bool = False,
        constraints: Sequence[Constraint] = (),
        others: Sequence[LEAP] = (),
    ) -> LEAPPolicy:
        """Plans, takes the first `execute` actions, plans again; `Search` says how.

        reuse: a plan starts from what is left of the one before, not from masks.
        constraints: energies that are added. others: models whose energies are.
        """
        return LEAPPolicy(self, search, execute, reuse, constraints, others)


def starts_of(observations: Mapping[str, Tensor], starts: Tensor | None) -> Tensor:
    """Which steps plans begin at, (B, n) bool; without any, the first of each window."""
    if starts is not None:
        return starts
    first = next(x for key, x in observations.items() if key not in PER_WINDOW)
    return torch.ones(len(first), 1, dtype=torch.bool, device=first.device)
