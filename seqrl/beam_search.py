"""Beam search as planning: imagine several futures token by token, keep those worth most.

From a prefix that ends with the present state, every round imagines one transition: each beam is
expanded, actions are drawn, the reward and the value of what follows are expected, the best beams
stay, and the likeliest next state follows. The search knows a model and a prefix, no environment.

`plan` is Trajectory Transformer's search for reward, `imitate` the one for likelihood (Janner et
al., 2021, algorithms 1 and 2). Both read tokens through a `Sequences`: `Full`, the plain one here,
runs the model over the whole sequence for every token; `beam_cache.Cached` gives the same, fast.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from seqrl.cuda_graph import recording


@dataclass(frozen=True)
class BeamSearch:
    """How to search; defaults as in the code, but for beam and horizon: its halfcheetah's.

    Its other tasks have 128 and 15, beyond the window that its model was trained with: then older
    tokens are dropped while planning. Here `horizon` must fit the window.
    """

    beam: int = 32  # sequences kept
    expand: int = 2  # continuations of each
    horizon: int = 5  # transitions imagined
    discount: float = 0.99
    cut: float | None = 0.6  # never draw the least likely actions that have this much probability
    top_k: int | None = None  # draw among so many likeliest tokens
    context: int = 5  # executed transitions before the present state, at most

    def __post_init__(self) -> None:
        for name in ("beam", "expand", "horizon"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1.")
        if self.context < 0:
            raise ValueError(f"context is {self.context}; it cannot be below 0.")
        if not 0 <= self.discount <= 1:
            raise ValueError(f"the discount must lie in [0, 1], not {self.discount}.")
        if self.cut is not None and not 0 <= self.cut < 1:
            raise ValueError(f"cut must lie in [0, 1), not {self.cut}.")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k is {self.top_k}; it must be at least 1.")

    @property
    def rows(self) -> int:
        """Sequences that are expanded at a time."""
        return self.beam * self.expand


class Prefix(NamedTuple):
    """What is known of E environments, as tokens."""

    tokens: Tensor  # (E, P) executed transitions, then the present state; padded on the right
    steps: Tensor  # (E,) int64, the transitions before the present state
    world: Any = None  # the encoded maps, E rows; None where states are numbers
    goal: Tensor | None = None  # (E, N)

    def state(self, N: int, C: int) -> Tensor:
        """The present state's tokens (E, N), in transitions of C tokens."""
        place = self.steps[:, None] * C + torch.arange(N, device=self.steps.device)
        return self.tokens.gather(1, place)


class Plan(NamedTuple):
    """The beams at the end, the best one first."""

    tokens: Tensor  # (E, B, H, C): imagined transitions, the first with the present state
    value: Tensor  # (E, B): the return that is expected; of `imitate`, the log-probability


class Round(NamedTuple):
    """What a search did at one time: all candidates and which of them were kept."""

    tokens: Tensor  # (E, R, n), imagined so far, from the first action on
    value: Tensor  # (E, R)
    kept: Tensor  # (E, B), the best first


class Sequences(Protocol):
    """R imagined continuations of each environment's prefix, and the logits of what comes next."""

    imagined: Tensor  # (E, R, n) int64; the first token is an action's
    logits: Tensor  # (E, R, V + 1), -inf where a column has no such token

    def append(self, tokens: Tensor, read: bool = True) -> None:
        """One token (E, R) more each; without `read` no logits are needed any more."""

    def select(self, rows: Tensor) -> None:
        """Row i becomes what rows[e, i] was, of rows (E, any number)."""


class Full:
    """`Sequences` the plain way: every token costs a pass over everything before it."""

    def __init__(self, model: Any, prefix: Prefix, horizon: int) -> None:
        C, N = model.layout.C, model.layout.N
        self.model, self.prefix = model, prefix
        self.imagined = prefix.tokens.new_zeros(len(prefix.tokens), 1, 0)
        self.tokens = F.pad(prefix.tokens, (0, horizon * C))[:, None]  # (E, R, room)
        self.ends = prefix.steps * C + N  # (E,), where the next token comes
        self.logits = self._read()

    def append(self, tokens: Tensor, read: bool = True) -> None:
        """One token (E, R) more each; see `Sequences`."""
        at = self.ends[:, None, None].expand(*tokens.shape, 1)
        self.tokens = self.tokens.scatter(2, at, tokens[..., None])
        self.imagined = torch.cat([self.imagined, tokens[..., None]], -1)
        self.ends = self.ends + 1
        if read:
            self.logits = self._read()

    def select(self, rows: Tensor) -> None:
        """Row i becomes what rows[e, i] was, of rows (E, any number)."""
        self.tokens, self.imagined, self.logits = (
            x.gather(1, rows[..., None].expand(-1, -1, x.shape[-1]))
            for x in (self.tokens, self.imagined, self.logits)
        )

    def _read(self) -> Tensor:
        (E, R), T = self.tokens.shape[:2], int(self.ends.max())
        world, goal = self.prefix.world, self.prefix.goal
        world = None if world is None else world.repeat(R)
        goal = None if goal is None else goal.repeat_interleave(R, 0)
        logits = self.model(self.tokens[..., :T].flatten(0, 1), world, goal)  # (E R, T, V + 1)
        last = (self.ends - 1).repeat_interleave(R)
        return logits[torch.arange(E * R, device=last.device), last].view(E, R, -1)


def plan(
    model: Any,
    prefix: Prefix,
    search: BeamSearch,
    draws: Tensor,
    sequences: Callable[..., Sequences] = Full,
    watch: Callable[[Round], None] | None = None,
) -> Plan:
    """Searches for the continuation of highest expected return; paper's section 4.3.

    draws: uniform random numbers (E, H, R, M), one for each action token, R = beam · expand.
    A sequence is worth r₀ + γ r₁ + … + γᵗ rₜ + γᵗ⁺¹ Vₜ, by which whole transitions are pruned.
    One that has said stop earns nothing more.
    """
    check(model, prefix, search)
    N, C, M, stop = model.layout.N, model.layout.C, model.layout.M, model.stop
    wanted = (len(prefix.tokens), search.horizon, search.rows, M)
    if draws.shape != wanted:
        raise ValueError(f"draws are {tuple(draws.shape)}; this search needs {wanted}.")
    beams = sequences(model, prefix, search.horizon)
    earned = torch.zeros(len(prefix.tokens), 1, device=prefix.tokens.device)  # (E, R)
    over = torch.zeros_like(earned, dtype=torch.bool)
    for t in range(search.horizon):
        R = earned.shape[1]
        rows = (torch.arange(search.rows, device=earned.device) * R // search.rows).expand(
            len(earned), -1
        )
        beams.select(rows)
        earned, over = earned.gather(1, rows), over.gather(1, rows)
        for m in range(M):
            token = sample(beams.logits, draws[:, t, :, m], search.cut, search.top_k)
            beams.append(token.masked_fill(over, stop))
        reward, token = expected(model, beams.logits, model.layout.reward)
        beams.append(token.masked_fill(over, stop))
        value, token = expected(model, beams.logits, model.layout.value)
        earned = earned + search.discount**t * reward.masked_fill(over, 0)
        total = earned + search.discount ** (t + 1) * value.masked_fill(over, 0)
        best, kept = total.topk(search.beam, 1)
        if watch is not None:
            watch(Round(beams.imagined, total, kept))
        beams.select(kept)
        earned, over, token = (x.gather(1, kept) for x in (earned, over, token))
        last = t + 1 == search.horizon
        beams.append(token.masked_fill(over, stop), read=not last)
        for _ in range(0 if last else N):
            token = beams.logits.argmax(-1).masked_fill(over, stop)
            over = over | (token == stop)
            beams.append(token)
    state = prefix.state(N, C)[:, None].expand(-1, search.beam, -1)
    return Plan(torch.cat([state, beams.imagined], -1).unflatten(2, (-1, C)), best)


def imitate(
    model: Any,
    prefix: Prefix,
    search: BeamSearch,
    sequences: Callable[..., Sequences] = Full,
) -> Plan:
    """Searches for the likeliest continuation: beam search as in language, over every token.

    What the model was trained on is what is imitated; told a goal, how that goal was reached.
    """
    check(model, prefix, search)
    N, C, stop = model.layout.N, model.layout.C, model.stop
    beams = sequences(model, prefix, search.horizon)
    score = torch.zeros(len(prefix.tokens), 1, device=prefix.tokens.device)  # (E, R)
    over = torch.zeros_like(score, dtype=torch.bool)
    for i in range(N, search.horizon * C):
        ended = torch.full_like(beams.logits, -torch.inf)
        ended[..., stop] = 0.0
        log_p = torch.where(over[..., None], ended, beams.logits.log_softmax(-1))
        total = (score[..., None] + log_p).flatten(1)  # (E, R (V + 1))
        score, chosen = total.topk(min(search.beam, total.shape[1]), 1)
        rows, token = chosen // (stop + 1), chosen % (stop + 1)
        beams.select(rows)
        over = over.gather(1, rows) | ((token == stop) & (i % C == 0))
        beams.append(token, read=i + 1 < search.horizon * C)
    state = prefix.state(N, C)[:, None].expand(-1, beams.imagined.shape[1], -1)
    return Plan(torch.cat([state, beams.imagined], -1).unflatten(2, (-1, C)), score)


def sample(logits: Tensor, draws: Tensor, cut: float | None, top_k: int | None) -> Tensor:
    """Tokens (E, R) drawn from logits (E, R, V + 1) by uniform numbers (E, R) in [0, 1).

    `cut`: the least likely tokens that hold up to this share together are left out; the likeliest
    never is. `top_k`: only so many are left. Where neither is given, all are.
    """
    p, order = logits.float().softmax(-1).sort(-1, descending=True)
    if cut is not None:
        p = p * (p.cumsum(-1) - p <= 1 - cut)
    if top_k is not None:
        p = torch.cat([p[..., :top_k], torch.zeros_like(p[..., top_k:])], -1)
    share = p.cumsum(-1)
    place = (share <= draws[..., None] * share[..., -1:]).sum(-1, keepdim=True)
    # Rounding must not lead to a token that was left out.
    return order.gather(-1, torch.minimum(place, (p > 0).sum(-1, keepdim=True) - 1))[..., 0]


def expected(model: Any, logits: Tensor, column: int) -> tuple[Tensor, Tensor]:
    """The mean of a column under its distribution, and its likeliest token, both (E, R)."""
    p = logits[..., : model.stop].float().softmax(-1)  # stop is none of its values
    return model.discretizer.expectation(p, column), logits.argmax(-1)


def check(model: Any, prefix: Prefix, search: BeamSearch) -> None:
    """ValueError where a search does not fit its model or prefix."""
    if recording():  # it was checked before
        return
    longest = int(prefix.steps.max()) + search.horizon
    if longest > model.config.context:
        raise ValueError(
            f"{int(prefix.steps.max())} transitions of context and a horizon of {search.horizon} "
            f"are beyond the {model.config.context} transitions that the model was trained with."
        )
    if prefix.tokens.shape[1] < int(prefix.steps.max()) * model.layout.C + model.layout.N:
        raise ValueError("the prefix must end with a whole state.")
    if model.training:
        raise ValueError("a model that is being trained drops tokens: call model.eval() first.")
