"""A policy that plans: it remembers what it has done, imagines what may come, and acts.

It knows a model with `prefix`, `layout`, `discretizer` and `expected`, and a search; which method
the model is, it does not ask.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from seqrl.beam_cache import Cached
from seqrl.beam_graph import Planner
from seqrl.beam_search import BeamSearch, Full, Plan, Prefix, imitate
from seqrl.policies import PER_WINDOW, PolicyError, check_observation, device_of
from seqrl.rollout import Step

AT_ONCE = 1024  # sequences that are searched together: enough for fast products, few enough to fit


class _Moment(NamedTuple):
    """One step of one environment."""

    observation: Mapping[str, np.ndarray]
    action: np.ndarray
    reward: float  # of that action


class PlanningPolicy:
    """Searches at every step, or every `replan`-th, with the last transitions as context.

    The context of an episode has at most `search.context` transitions, and fewer where context and
    horizon together would not fit the model's window. Random numbers of a row come from its seed.
    """

    def __init__(
        self,
        model: Any,
        search: BeamSearch,
        imitating: bool = False,
        goal: Sequence[float] | None = None,
        replan: int = 1,
        cached: bool = True,
    ) -> None:
        longest = model.config.context
        if search.horizon > longest:
            raise PolicyError(
                f"a horizon of {search.horizon} is beyond the {longest} transitions that the model "
                "was trained with."
            )
        if not 1 <= replan <= search.horizon:
            raise PolicyError(f"replan must lie in 1 … {search.horizon}, not {replan}.")
        if model.config.goal != (goal is not None):
            raise PolicyError("a goal is told if and only if the model was trained with goals.")
        if goal is not None and len(goal) != model.layout.N:
            raise PolicyError(f"a goal has {model.layout.N} numbers, not {len(goal)}.")
        self.model, self.search, self.imitating, self.replan = model, search, imitating, replan
        self.goal = None if goal is None else torch.tensor(goal, dtype=torch.float32)
        self.sequences = Cached if cached else Full
        self.context = min(search.context, longest - search.horizon)
        self._plan = Planner(model, search, self.sequences)
        self._past: list[deque[_Moment]] = []

    @torch.inference_mode()
    def act(self, step: Step) -> np.ndarray:
        """Actions (E,) or (E, M); PolicyError where the observations are of another kind."""
        self.model.eval()
        check_observation(step.observation, self.model.expected)
        actions = self.model.config.actions
        kind = np.int64 if actions.discrete else np.float32
        rows = np.flatnonzero(step.active)
        self._remember(step, rows)
        waiting = [row for row in rows.tolist() if not len(self._planned[row])]
        for part in self._parts(waiting):
            best = self.search_from(self.prefix(part, step), part)
            for row, imagined in zip(part, best):
                self._planned[row] = list(imagined.astype(kind))
        chosen = np.zeros((len(step.first), *actions.shape), kind)
        for row in rows.tolist():
            chosen[row] = self._planned[row].pop(0)
            seen = {key: values[row] for key, values in step.observation.items()}
            self._past[row].append(_Moment(seen, chosen[row].copy(), 0.0))
        return chosen

    def search_from(self, prefix: Prefix, rows: Sequence[int]) -> np.ndarray:
        """The first `replan` actions of the best plan of each row: (rows, replan) or (…, M)."""
        found = self._search(prefix, rows)
        tokens = found.tokens[:, 0, : self.replan, self.model.layout.action]
        actions = self.model.discretizer.center(tokens, self.model.layout.action)
        if self.model.config.actions.discrete:
            actions = actions[..., 0].round()
        return actions.numpy(force=True)

    def _search(self, prefix: Prefix, rows: Sequence[int]) -> Plan:
        if self.imitating:
            return imitate(self.model, prefix, self.search, self.sequences)
        size = self.search.horizon, self.search.rows, self.model.layout.M
        draws = [torch.rand(size, generator=self._generators[row]) for row in rows]
        at = prefix.tokens.device
        return self._plan(prefix, torch.stack(draws).to(at))

    def prefix(self, rows: Sequence[int], step: Step) -> Prefix:
        """The context and the present observation of some rows, as the model takes them."""
        device = device_of(self.model)
        zero = np.zeros(self.model.config.actions.shape, np.float32)
        steps = [len(self._past[row]) for row in rows]
        moments = []
        for row in rows:
            now = _Moment({k: values[row] for k, values in step.observation.items()}, zero, 0.0)
            padding = max(steps) - len(self._past[row])
            moments.append([*self._past[row], *[now] * (1 + padding)])
        observations = {
            key: _tensor([m[0].observation[key] for m in moments], device)
            if key in PER_WINDOW
            else _tensor([[x.observation[key] for x in m] for m in moments], device)
            for key in self.model.expected
        }
        actions = _tensor([[x.action for x in m] for m in moments], device)
        rewards = _tensor([[x.reward for x in m] for m in moments], device).float()
        goal = self.goal
        wanted = None if goal is None else goal.to(device).expand(len(rows), -1)
        return self.model.prefix(
            observations, actions, rewards, torch.tensor(steps, device=device), wanted
        )

    def _remember(self, step: Step, rows: np.ndarray) -> None:
        """What the last action brought; forgets everything where an episode begins."""
        if len(self._past) != len(step.first):
            self._past = [deque(maxlen=self.context) for _ in step.first]
            self._planned: list[list[np.ndarray]] = [[] for _ in step.first]
            self._generators: dict[int, torch.Generator] = {}
        for row in rows.tolist():
            past = self._past[row]
            if step.first[row]:
                past.clear()
                self._planned[row] = []
                self._generators[row] = torch.Generator().manual_seed(int(step.seed[row]))
            elif past:
                past[-1] = past[-1]._replace(reward=float(step.reward[row]))

    def _parts(self, rows: list[int]) -> list[list[int]]:
        """Rows that are searched together."""
        at_once = max(1, AT_ONCE // self.search.rows)
        return [rows[i : i + at_once] for i in range(0, len(rows), at_once)]


def _tensor(values: Any, device: torch.device) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.array(values))).to(device)
