"""LEAP at the wheel: encode once a plan, search for low energy, act, plan again.

Plans of all environments that need one are searched side by side. The random numbers of a row come
from its episode's seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from seqrl import energy_search
from seqrl.constraints import allowed, require_choice
from seqrl.energy_search import NOTHING, Added, Search, later, numbers_for, together
from seqrl.policies import PolicyError, ReturnsToGo, check_observation, device_of, tensors
from seqrl.rollout import Step


class Constraint(Protocol):
    """Makes an added energy from what is observed where a plan begins; see `constraints.Avoid`."""

    def energy(self, observations: Mapping[str, Tensor]) -> Added:
        """The energy that plans from here cost more.

        observations: key to (E, 1, ...), "map" (E, W, H, 3).
        """
        ...


def plan_mask(C: int, H: int, device: torch.device, times: int = 1) -> Tensor:
    """Who looks at whom, (C + times * H) twice: a plan at itself and at the C tokens before plans.

    Those look only at one another; `times` plans of H actions know nothing of each other.
    The mask is (C + times * H, C + times * H) bool.
    """
    plan = torch.ones(H, H, dtype=torch.bool, device=device)
    mask = torch.block_diag(torch.ones(C, C, dtype=torch.bool, device=device), *[plan] * times)
    mask[C:, :C] = True
    return mask


class Conditionals:
    """A model's log p for `energy_search`; its prefix (B, C, D) goes through the trunk once."""

    def __init__(self, model: Any, prefix: Tensor) -> None:
        (B, C, _), self.model, H = prefix.shape, model, model.config.horizon
        self.here = prefix[:, :1]
        self.mask = plan_mask(C, H, prefix.device)
        self.cache = model.trunk.cache(B, C + H)
        model.trunk(prefix, self.mask, cache=self.cache)

    def __call__(self, plans: Tensor, hidden: Tensor, rows: Tensor) -> Tensor:
        """log p of every action (R, H, V) at the hidden positions of plans (R, H).

        What is hidden comes first, so that the last block reads nothing else.
        """
        order = (~hidden).byte().argsort(dim=1, stable=True)  # (R, H)
        most = order[:, : int(hidden.sum(1).max())]
        tokens = self.model.shown(plans, hidden).gather(1, order)
        x = self.model.embed(tokens, self.here[rows], order)
        read = slice(0, most.shape[1])
        x = self.model.trunk(x, self.mask, cache=self.cache.select(rows), read=read)
        found = self.model.outputs(x, most)  # (R, most hidden in a plan, V)
        log_p = found.new_zeros(*plans.shape, found.shape[-1])
        return log_p.scatter(1, most[..., None].expand_as(found), found)


class LEAPPolicy:
    """Acts by plans; a row plans anew after `execute` actions, or where its plan says END.

    An infinite added energy is never acted on: where every plan that was found begins with what is
    forbidden, the likeliest action that is allowed is taken alone. PolicyError where there is none.
    """

    def __init__(
        self,
        model: Any,
        search: Search = Search(),  # noqa: B008  (it is frozen)
        execute: int = 1,
        reuse: bool = False,
        constraints: Sequence[Constraint] = (),
        others: Sequence[Any] = (),
        returns: ReturnsToGo | None = None,
    ) -> None:
        self.horizon, self.end = model.config.horizon, model.config.end
        if not 1 <= execute <= self.horizon:
            raise PolicyError(f"of a plan 1 to {self.horizon} actions can be taken, not {execute}.")
        for other in others:
            if (other.config.horizon, other.config.outputs) != (self.horizon, model.config.outputs):
                raise PolicyError(
                    "energies of models with other horizons or actions cannot be added: "
                    f"{(other.config.horizon, other.config.outputs)} beside "
                    f"{(self.horizon, model.config.outputs)}."
                )
        self.models, self.search = (model, *others), search
        self.execute, self.reuse = execute, reuse
        self.constraints, self.returns = tuple(constraints), returns
        self.plans = torch.zeros(0, self.horizon, dtype=torch.int64)
        self.energies = np.zeros(0)  # of each row's plan, NaN where it was not computed
        self._rngs: dict[int, np.random.Generator] = {}

    @torch.inference_mode()
    def act(self, step: Step) -> np.ndarray:
        """Actions (E,); PolicyError where the observations are of another kind."""
        for model in self.models:
            check_observation(step.observation, model.eval().encoder.expected)
        E = len(step.first)
        if len(self.plans) != E:
            self.plans = torch.full((E, self.horizon), NOTHING)
            self.energies, self._taken = np.full(E, np.nan), np.zeros(E, np.int64)
        left = None if self.returns is None else self.returns.update(step)
        for row in np.flatnonzero(step.first & step.active).tolist():
            self._rngs[row] = np.random.default_rng(int(step.seed[row]))
            self.plans[row] = NOTHING
        following = self.plans[:, 0].numpy()
        over = (following == NOTHING) | (following >= self.end) | (self._taken >= self.execute)
        due = np.flatnonzero(over & step.active)
        if len(due):
            self._plan(due, step, left)
            self._taken[due] = 0
        actions = np.where(step.active, self.plans[:, 0].numpy(), 0)
        self.plans = later(self.plans, 1)
        self._taken += 1
        return actions

    def _plan(self, due: np.ndarray, step: Step, left: np.ndarray | None) -> None:
        """New plans for the rows that are due."""
        device = device_of(self.models[0])
        seen = tensors(step.observation, due, device)
        asked = None if left is None else torch.from_numpy(left[due, None]).to(device)
        log_p = together(*(m.conditionals(seen, asked) for m in self.models))
        added = energy_search.added_together([c.energy(seen) for c in self.constraints])
        shape = numbers_for(self.search, self.horizon)
        numbers = np.stack([self._rngs[row].random(shape, np.float32) for row in due.tolist()])
        uniform = torch.from_numpy(numbers).to(device)
        found = energy_search.search(log_p, uniform, self.search, self._start(due), added)
        plans = found.plan
        if added is not None:
            plans = self._kept_safe(plans, log_p, added)
        self.plans[torch.from_numpy(due)] = plans.cpu()
        energy = np.nan if found.energy is None else found.energy.numpy(force=True)
        self.energies[due] = energy

    def _start(self, due: np.ndarray) -> Tensor | None:
        """What is left of the last plans, up to where they end."""
        if not self.reuse:
            return None
        start = self.plans[torch.from_numpy(due)]
        ended = ((start < 0) | (start >= self.end)).cumsum(1) > 0
        return torch.where(ended, NOTHING, start).to(device_of(self.models[0]))

    def _kept_safe(self, plans: Tensor, log_p: Any, added: Added) -> Tensor:
        """Plans whose executed part is not forbidden; others become one allowed action."""
        rows = torch.arange(len(plans), device=plans.device)
        executed = torch.where(
            torch.arange(self.horizon, device=plans.device) < self.execute, plans, NOTHING
        )
        bad = rows[added(executed, rows).isinf()]
        if len(bad):
            free = allowed(added, bad, self.end)
            require_choice(free)
            nothing = torch.full_like(plans[bad], NOTHING)
            first = log_p(nothing, nothing < 0, bad)[:, 0, : self.end]
            nothing[:, 0] = first.masked_fill(~free, -torch.inf).argmax(-1)
            plans = plans.index_copy(0, bad, nothing)
        return plans
