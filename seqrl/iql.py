"""Implicit Q-learning: Bellman's equation, asked only about actions that the data have.

    Q(s, a)  is regressed on  r + γ V(s')
    V(s)     is the τ-expectile of Q(s, a) over the data's actions: nearly their best, for τ near 1
    policy   is behavior cloning, each step weighted by exp(β (Q(s, a) - V(s)))

Kostrikov et al., 2022. With `backup="max"` it is fitted Q-learning instead, which asks for the best
of all actions, seen or not; `cql` holds those down that were not (Kumar et al., 2020).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Self

import torch
from torch import Tensor, nn

from seqrl.actions import Actions
from seqrl.imitation import BCConfig, Reactive, mlp
from seqrl.policies import Chooser
from seqrl.trajectories import Trajectories
from seqrl.windows import Batch


@dataclass(frozen=True)
class IQLConfig(BCConfig):
    """Sizes and constants; the defaults are the paper's for locomotion.

    `backup` "max" and `cql` above 0 need discrete actions. Rewards are divided by `reward_scale`,
    and so are the advantages that `beta` weighs. Departures: dropout is the policy's, 0.1 as for
    every method here; continuous actions are regressed on (see `Actions`), where the paper has a
    Gaussian's likelihood.
    """

    discount: float = 0.99
    expectile: float = 0.7  # τ
    beta: float = 3.0  # how much the policy prefers what is better than expected
    largest_weight: float = 100.0  # of a step in the policy's loss
    average: float = 0.005  # what targets take over of the newest critic at each update
    reward_scale: float = 1.0
    backup: Literal["expectile", "max"] = "expectile"
    cql: float = 0.0  # weight of CQL's penalty
    encoder_learns: Literal["all", "policy"] = field(  # whose losses train the encoder
        default="all", metadata={"later": True}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.backup not in ("expectile", "max"):
            raise ValueError(f"backup is {self.backup!r}; it must be 'expectile' or 'max'.")
        if self.encoder_learns not in ("all", "policy"):
            raise ValueError(f"encoder_learns is {self.encoder_learns!r}; it is 'all' or 'policy'.")
        if self.encoder_learns == "policy" and self.backup == "max":
            raise ValueError("backup='max' has no policy that the encoder could learn from.")
        for name, asked in (("backup='max'", self.backup == "max"), ("cql", self.cql != 0)):
            if asked and not self.actions.discrete:
                raise ValueError(f"{name} compares all actions, so it needs discrete ones.")
        if not 0 < self.expectile < 1:
            raise ValueError(f"expectile must lie between 0 and 1, not {self.expectile}.")
        if not (0 <= self.discount <= 1 and 0 < self.average <= 1):
            raise ValueError(
                f"discount {self.discount} must lie in [0, 1] and average {self.average} in (0, 1]."
            )
        if not (self.reward_scale > 0 and self.cql >= 0):
            raise ValueError(
                f"reward_scale {self.reward_scale} must be above 0 and cql {self.cql} not below."
            )

    @classmethod
    def for_data(cls, data: Trajectories, width: int = 128, **fields: Any) -> Self:
        """See `BCConfig.for_data`; `reward_scale`: see there."""
        return super().for_data(data, width, **{"reward_scale": reward_scale(data), **fields})

    def build(self) -> IQL:
        return IQL(self)


def reward_scale(data: Trajectories) -> float:
    """The range of returns over the length of the longest episode: a step is worth about 1 then.

    The paper multiplies locomotion's rewards by 1000 over the range of returns, and its longest
    episode has 1000 steps. So one `beta` fits rewards of every kind, a single one at the end too.
    """
    returns = data.returns.double()
    span = float(returns.max() - returns.min()) or float(returns.abs().max()) or 1.0
    return span / int(data.lengths.max())


class Values(NamedTuple):
    """What is expected at each step, discounted, in the units of the data's rewards."""

    q: Tensor  # (B, K), of the action taken: the smaller of the two critics, or with "max" the mean
    v: Tensor  # (B, K); with "max" the largest Q of any action


class Critic(nn.Module):
    """Two Q functions side by side on state tokens (..., D): of each action, or of a given one."""

    def __init__(self, D: int, hidden: int, actions: Actions) -> None:
        super().__init__()
        self.actions = actions
        sizes = (D, hidden, actions.size) if actions.discrete else (D + actions.size, hidden, 1)
        self.norm = nn.LayerNorm(D)
        self.twins = nn.ModuleList(mlp(*sizes) for _ in range(2))

    def all(self, states: Tensor) -> Tensor:
        """Q of all discrete actions, (2, ..., V)."""
        x = self.norm(states)
        return torch.stack([q(x) for q in self.twins]).float()

    def forward(self, states: Tensor, actions: Tensor) -> Tensor:
        """Q(s, a), (2, ...), of actions (...,) int64 or (..., M)."""
        if self.actions.discrete:
            return taken(self.all(states), actions)
        x = torch.cat([self.norm(states), self.actions.scaled(actions)], -1)
        return torch.stack([q(x)[..., 0] for q in self.twins]).float()


def taken(q: Tensor, actions: Tensor) -> Tensor:
    """The values of the actions (...,), of values (2, ..., V): (2, ...)."""
    return q.gather(-1, actions.expand(q.shape[:-1])[..., None])[..., 0]


class IQL(nn.Module):
    """One encoder, on which stand two Q functions, a value function and the policy.

    One encoder makes an update as cheap as behavior cloning's plus a few small MLPs. Departures:
    the paper's networks share nothing; and targets average the critic's heads only, which read the
    encoder as it is now. Between the heads no gradient flows: Q and V see one another, and the
    policy sees both, as numbers. With `encoder_learns="policy"` the encoder follows the policy's
    loss alone, which the squared errors of large values would drown.
    """

    config: IQLConfig

    def __init__(self, config: IQLConfig) -> None:
        super().__init__()
        self.config = config
        D, hidden = config.encoder.width, config.hidden
        self.critic = Critic(D, hidden, config.actions)
        if config.backup == "expectile":
            policy = mlp(D, hidden, config.actions.size, config.dropout)
            self.value = nn.Sequential(nn.LayerNorm(D), mlp(D, hidden, 1))
            self.actor = nn.Sequential(nn.LayerNorm(D), policy)
        self.encoder = config.encoder.build()
        self.target = copy.deepcopy(self.critic).requires_grad_(False)

    def sample(self, data: Trajectories, batch: int, generator: torch.Generator) -> Batch:
        """Windows of K + 1 steps: K that are learned from, and the one after."""
        return data.windows(self.config.context + 1, batch, generator)

    @torch.no_grad()
    def after_step(self) -> None:
        """The target follows the critic."""
        for kept, new in zip(self.target.parameters(), self.critic.parameters()):
            kept.lerp_(new, self.config.average)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The sum of `losses` on windows of K + 1 steps, a scalar; info has each."""
        losses = self.losses(batch)
        return torch.stack(list(losses.values())).sum(), losses

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """ "q_loss" (paper's equation 6) and, as far as the config asks for them, "v_loss" (5),
        "policy_loss" (7) and "cql_loss".

        A step counts if the episode terminated there or the step after it is in the window. So the
        last step of an episode that was cut counts for nothing: what followed is not known.
        Each is a scalar.
        """
        config = self.config
        known = self.encoder.encode(batch.observations).steps  # (B, K + 1, D)
        states = known.detach() if config.encoder_learns == "policy" else known
        now, actions, over = states[:, :-1], batch.actions[:, :-1], batch.terminations[:, :-1]
        used = batch.mask[:, :-1] & (over | batch.mask[:, 1:])  # (B, K)

        def mean(x: Tensor) -> Tensor:
            return (x * used).sum() / used.sum().clamp(min=1)

        losses = {}
        if config.backup == "max":
            following = self._best(states[:, 1:])  # (2, B, K)
        else:
            v = self.value(states)[..., 0].float()  # (B, K + 1)
            following = v[:, 1:].detach()
            advantage = self._target(now, actions) - v[:, :-1]
            losses["v_loss"] = mean(asymmetric(advantage, config.expectile))
            weight = (config.beta * advantage.detach()).exp().clamp(max=config.largest_weight)
            cloning = config.actions.losses(self.actor(known[:, :-1]), actions)
            losses["policy_loss"] = mean(weight * cloning)
        goal = batch.rewards[:, :-1] / config.reward_scale + config.discount * ~over * following
        q = self.critic(now, actions)  # (2, B, K)
        losses["q_loss"] = mean((q - goal).square().sum(0))
        if config.cql:
            above = self.critic.all(now).logsumexp(-1) - q
            losses["cql_loss"] = config.cql * mean(above.sum(0))
        return losses

    @torch.no_grad()
    def _target(self, states: Tensor, actions: Tensor) -> Tensor:
        return self.target(states, actions).amin(0)

    @torch.no_grad()
    def _best(self, states: Tensor) -> Tensor:
        """What each target says of the action that its critic likes best, (2, ...): double DQN."""
        best = self.critic.all(states).argmax(-1, keepdim=True)
        return self.target.all(states).gather(-1, best)[..., 0]

    @torch.no_grad()
    def values(self, batch: Batch) -> Values:
        """Q(s, a) and V(s) at each step of windows of any length, (B, K)."""
        self.eval()
        states = self.encoder.encode(batch.observations).steps
        q = self.critic(states, batch.actions)
        if self.config.backup == "max":
            q, v = q.mean(0), self.critic.all(states).mean(0).amax(-1)
        else:
            q, v = q.amin(0), self.value(states)[..., 0].float()
        return Values(q * self.config.reward_scale, v * self.config.reward_scale)

    def outputs(self, states: Tensor, returns_to_go: Tensor) -> Tensor:
        """What the policy chooses from: the actor's outputs, or with "max" the mean Q, in units
        of `reward_scale`. Returns-to-go are not looked at.

        states (B, K, D) and returns-to-go (B, K) to (B, K, size).
        """
        return (
            self.critic.all(states).mean(0) if self.config.backup == "max" else self.actor(states)
        )

    def policy(self, *, temperature: float = 0.0) -> Reactive:
        """Acts by the learned policy, or with "max" by Q; `temperature` 0: the likeliest, best."""
        return Reactive(self, self.outputs, Chooser(self.config.actions, temperature))


def asymmetric(difference: Tensor, expectile: float) -> Tensor:
    """|τ - 1(u < 0)| u², whose mean is least at the τ-expectile: the paper's L₂^τ(u).

    Elementwise, for a difference of any shape.
    """
    weight = torch.where(difference < 0, 1 - expectile, expectile)
    return weight * difference.square()
