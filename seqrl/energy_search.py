"""Planning by energy minimization: a plan is drafted, then resampled again and again.

    E(plan) = - Σ_i log p(a_i | all other actions)

Nothing here knows a model or an environment. `Conditionals` say what is likely at the positions of
a plan given the positions that are not hidden; `Added` energies say what else a plan costs. What is
random comes in as uniform numbers, so that a plan depends on its own numbers only.

Chen et al., 2023 (LEAP): their search, as its code has it, is the setting `GREEDY`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

NOTHING = -1  # stands in a plan where nothing has been decided
CHUNK = 8192  # rows of one call while energies are computed, to bound the memory

# (plans (R, H) int64, hidden (R, H) bool, rows (R,)) -> log p of every action, (R, H, V),
# of which only what is hidden is read. `rows` says which environment a plan is for; what is hidden
# or NOTHING must not be looked at.
Conditionals = Callable[[Tensor, Tensor, Tensor], Tensor]
# (plans (R, H), NOTHING where not decided yet, rows (R,)) -> (R,), inf where a plan is forbidden.
Added = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Search:
    """How a plan is searched for; the defaults are the paper's idea, `GREEDY` its code.

    iterations: N, the first draft included. chains: searched side by side for each environment;
        the first always takes the likeliest action (temperature 0).
    resampled: the share of positions resampled at the first iteration after the draft and at the
        last, one at least. Only one at a time is Gibbs sampling; several at once are drawn
        without knowing of each other.
    temperature: of the first iteration and of the last, falling geometrically; with N = 1 the
        last one is used. 0 is the likeliest action.
    keep: "lowest", the plan of lowest energy among all plans of all chains, or "last".
    """

    iterations: int = 10
    chains: int = 4
    resampled: tuple[float, float] = (0.5, 0.1)
    temperature: tuple[float, float] = (1.0, 0.1)
    keep: Literal["lowest", "last"] = "lowest"

    def __post_init__(self) -> None:
        if self.iterations < 1 or self.chains < 1:
            raise ValueError(
                f"a search needs at least one iteration and one chain, not {self.iterations} "
                f"and {self.chains}."
            )
        if not all(0 <= share <= 1 for share in self.resampled):
            raise ValueError(f"shares of positions lie in [0, 1], not {self.resampled}.")
        if not all(0 <= t < float("inf") for t in self.temperature):
            raise ValueError(f"temperatures are numbers from 0 on, not {self.temperature}.")
        if self.keep not in ("lowest", "last"):
            raise ValueError(f"keep is {self.keep!r}; it must be 'lowest' or 'last'.")
        if self.keep == "last" and self.chains > 1:
            raise ValueError("of several chains the plan of lowest energy is kept: keep='lowest'.")

    def heat(self, iteration: int) -> float:
        """The temperature of an iteration, 0 … N - 1."""
        first, last = self.temperature
        if self.iterations == 1 or first <= 0 or last <= 0:
            return last if self.iterations == 1 or iteration else first
        return first * (last / first) ** (iteration / (self.iterations - 1))

    def count(self, iteration: int, H: int) -> int:
        """How many of H positions are resampled at an iteration, 0 being the draft."""
        first, last = self.resampled
        along = min(1.0, max(0, iteration - 1) / max(1, self.iterations - 2))
        return max(1, round((first + (last - first) * along) * H))


GREEDY = Search(chains=1, resampled=(0, 0), temperature=(0, 0), keep="last")


class Found(NamedTuple):
    """The plans of E environments, and all plans that were met on the way."""

    plan: Tensor  # (E, H)
    energy: Tensor | None  # (E,), added energies included; None with keep="last"
    plans: Tensor  # (E, N, chains, H): each chain's plan after each iteration
    energies: Tensor | None  # (E, N, chains); None with keep="last"


def numbers_for(config: Search, H: int) -> tuple[int, ...]:
    """The shape of the uniform numbers that one environment's search needs."""
    return (config.iterations, config.chains, 2, H)


def search(
    conditionals: Conditionals,
    numbers: Tensor,
    config: Search = Search(),
    start: Tensor | None = None,
    added: Added | None = None,
) -> Found:
    """Plans of low energy for E environments at once; all their chains share every forward.

    numbers: uniform in [0, 1), (E, N, chains, 2, H), see `numbers_for`.
    start: a plan for each, (E, H), whose NOTHINGs the first iteration fills; without, all are.
    """
    E, N, R, _, H = numbers.shape
    if (config.iterations, config.chains) != (N, R):
        raise ValueError(f"numbers are for {N} iterations of {R} chains: see `numbers_for`.")
    rows = torch.arange(E, device=numbers.device).repeat_interleave(R)  # (E * R,)
    plans = torch.full((E * R, H), NOTHING, device=numbers.device)
    if start is not None:
        plans = start.repeat_interleave(R, 0)
    warm = (torch.arange(R, device=rows.device) > 0).repeat(E)  # not the first chains
    met = []
    for iteration in range(N):
        order, draws = numbers[:, iteration].flatten(0, 1).unbind(1)  # (E * R, H) each
        hidden = _hidden(plans, order, config.count(iteration, H))
        log_p = conditionals(plans, hidden, rows)
        heat = config.heat(iteration) * (warm if R > 1 else torch.ones_like(warm))
        plans = _resampled(plans, hidden, log_p, heat, draws, rows, added)
        met.append(plans)
    all_plans = torch.stack(met, 1).view(E, R, N, H).transpose(1, 2)  # (E, N, R, H)
    if config.keep == "last":
        return Found(all_plans[:, -1, 0], None, all_plans, None)
    found = _energies_once(conditionals, all_plans.flatten(1, 2), added)  # (E, N * R)
    best = found.argmin(1)
    every = torch.arange(E, device=best.device)
    lowest = all_plans.flatten(1, 2)[every, best]
    return Found(lowest, found[every, best], all_plans, found.view(E, N, R))


def energies(
    conditionals: Conditionals, plans: Tensor, rows: Tensor, added: Added | None = None
) -> Tensor:
    """E of plans (R, H), (R,): all positions of all plans in one batch, each hidden in its turn."""
    R, H = plans.shape
    turn = torch.eye(H, dtype=torch.bool, device=plans.device).repeat(R, 1)  # (R * H, H)
    each, at = plans.repeat_interleave(H, 0), rows.repeat_interleave(H)
    parts = (x.split(CHUNK) for x in (each, turn, at))
    own = [_of(conditionals(*part)[part[1]], part[0][part[1]]) for part in zip(*parts)]
    energy = -torch.cat(own).view(R, H).sum(1)
    return energy if added is None else energy + added(plans, rows)


def energies_plain(
    conditionals: Conditionals, plans: Tensor, rows: Tensor, added: Added | None = None
) -> Tensor:
    """The same (R,) of plans (R, H), one position at a time: the definition."""
    energy = torch.zeros(len(plans), device=plans.device)
    for i in range(plans.shape[1]):
        hidden = torch.zeros_like(plans, dtype=torch.bool)
        hidden[:, i] = True
        log_p = conditionals(plans, hidden, rows)  # (R, H, V)
        energy -= _of(log_p[:, i], plans[:, i])
    return energy if added is None else energy + added(plans, rows)


def together(*models: Conditionals) -> Conditionals:
    """The sum of several models' energies: log p of one plus log p of the other.

    The sum is no longer normalized, so that the energies add up exactly. Du et al., 2020.
    """
    if not models:
        raise ValueError("there must be at least one model.")

    def log_p(plans: Tensor, hidden: Tensor, rows: Tensor) -> Tensor:
        parts = [model(plans, hidden, rows) for model in models]
        if len({part.shape[-1] for part in parts}) > 1:
            sizes = ", ".join(str(part.shape[-1]) for part in parts)
            raise ValueError(f"energies of models that know {sizes} actions cannot be added.")
        return torch.stack(parts).sum(0)

    return log_p


def added_together(terms: list[Added]) -> Added | None:
    """The sum of several added energies; None where there is none."""
    if not terms:
        return None
    return lambda plans, rows: torch.stack([term(plans, rows) for term in terms]).sum(0)


def later(plans: Tensor, steps: int) -> Tensor:
    """What is left of plans (E, H) after so many steps, with NOTHING at the end."""
    nothing = torch.full_like(plans[:, :steps], NOTHING)
    return torch.cat([plans[:, steps:], nothing], 1)


def draw(log_p: Tensor, heat: Tensor, uniform: Tensor) -> Tensor:
    """Actions from unnormalized log p (..., V) at temperatures (...,), by uniform numbers (...,).

    At temperature 0 the likeliest. Inverse of the distribution function: one number a draw.
    """
    safe = torch.where(heat > 0, heat, 1.0)[..., None]
    up_to = (log_p.double() / safe).softmax(-1).cumsum(-1)
    drawn = (up_to <= (uniform * up_to[..., -1])[..., None]).sum(-1)
    likeliest = log_p.argmax(-1)
    return torch.where(heat > 0, drawn.clamp(max=log_p.shape[-1] - 1), likeliest)


def _of(log_p: Tensor, actions: Tensor) -> Tensor:
    """log p of actions (R,) from (R, V)."""
    return log_p.gather(-1, actions[:, None])[:, 0]


def _hidden(plans: Tensor, order: Tensor, count: int) -> Tensor:
    """Which positions are resampled: those with NOTHING, or the `count` first in a random order."""
    empty = plans == NOTHING
    chosen = order.argsort(1).argsort(1) < count
    return torch.where(empty.any(1, keepdim=True), empty, chosen)


def _resampled(
    plans: Tensor,
    hidden: Tensor,
    log_p: Tensor,
    heat: Tensor,
    draws: Tensor,
    rows: Tensor,
    added: Added | None,
) -> Tensor:
    """Plans (R, H) with new actions at hidden positions, by p · exp(-added energy).

    With an added energy positions are filled from left to right, and of each action it is asked
    what the plan would cost, as far as it is filled. Where all are forbidden, none is.
    """
    if added is None:
        return torch.where(hidden, draw(log_p, heat[:, None].expand_as(draws), draws), plans)
    V, plans = log_p.shape[-1], torch.where(hidden, NOTHING, plans)
    for i in range(plans.shape[1]):
        at = hidden[:, i].nonzero()[:, 0]
        if not len(at):
            continue
        options = plans[at, None].repeat(1, V, 1)  # (rows, V, H)
        options[:, :, i] = torch.arange(V, device=plans.device)
        cost = added(options.flatten(0, 1), rows[at].repeat_interleave(V)).view(-1, V)
        cost = torch.where(cost.isinf().all(1, keepdim=True), 0.0, cost)
        plans[at, i] = draw(log_p[at, i] - cost, heat[at], draws[at, i])
    return plans


def _energies_once(conditionals: Conditionals, plans: Tensor, added: Added | None) -> Tensor:
    """Energies of plans (E, n, H), (E, n); each plan of an environment is looked at once."""
    E, n, _ = plans.shape
    rows = torch.arange(E, device=plans.device)[:, None, None].expand(-1, n, 1)
    both = torch.cat([rows, plans], -1).flatten(0, 1)
    different, index = torch.unique(both, dim=0, return_inverse=True)
    return energies(conditionals, different[:, 1:], different[:, 0], added)[index].view(E, n)
