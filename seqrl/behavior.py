"""Policies that make data: a shortest-path expert, the BabyAI bot, noisy versions, uniform random.

They decide row by row, and all random numbers of a row come from the seed of its episode, so an
episode does not depend on what runs beside it. The expert and the bot read the environments that
they are given, where a trained policy has only observations: they see the whole state of a level.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import spaces

from seqrl.environments.batch import Envs
from seqrl.rollout import Step
from seqrl.shortest_path import NotApplicable, Planner

__all__ = ["BabyAIBot", "NotApplicable", "Random", "ShortestPath"]

Epsilon = float | Callable[[int], float]
DONE = 6  # MiniGrid's action that does nothing


class _RowByRow:
    """A policy for discrete actions that decides in one row after the other, with epsilon-noise.

    With probability epsilon, which may depend on the number of the episode, an action is replaced
    by one drawn uniformly; one random number a step decides both, so epsilon = 1 is `Random`.
    """

    needs_observation = False

    def __init__(self, envs: Envs, epsilon: Epsilon = 0.0) -> None:
        if not isinstance(envs.action_space, spaces.Discrete):
            raise ValueError(f"{envs.name} does not have discrete actions.")
        self.envs, self.epsilon = envs, epsilon
        self._actions = int(envs.action_space.n)
        self._noise: list[tuple[float, np.random.Generator | None]] = [(0.0, None)] * len(envs)

    def act(self, step: Step) -> np.ndarray:
        """Actions (E,) int64; rows that are not active keep 0."""
        actions = np.zeros(len(self.envs), np.int64)
        for row in np.flatnonzero(step.active).tolist():
            if step.first[row]:
                episode, seed = int(step.episode[row]), int(step.seed[row])
                epsilon = self.epsilon(episode) if callable(self.epsilon) else self.epsilon
                if not 0 <= epsilon <= 1:
                    raise ValueError(f"epsilon must lie in [0, 1], not {epsilon}.")
                self._noise[row] = (epsilon, np.random.default_rng(seed) if epsilon else None)
                self._begin(row)
            actions[row] = self._choose(row)
        return actions

    def _choose(self, row: int) -> int:
        random = self._random(row)
        return self._propose(row) if random is None else random

    def _random(self, row: int) -> int | None:
        """A uniform action with probability epsilon, else None."""
        epsilon, rng = self._noise[row]
        draw = 1.0 if rng is None else rng.random()
        return int(draw / epsilon * self._actions) if draw < epsilon else None

    def _begin(self, row: int) -> None:
        """Called when an episode begins in the row."""

    def _propose(self, row: int) -> int:
        raise NotImplementedError


class ShortestPath(_RowByRow):
    """Takes a shortest way to success, knowing the whole level; see `seqrl.shortest_path`.

    For BabyAI missions of going to, picking up and opening, in any order and combination, and for
    MiniGrid levels with a green goal square. Noise is answered by the shortest way from where it
    has led; where none is left, the action is `done` to the end of the episode.

    epsilon: probability of a random action, or a function from the episode's number to it.
    Raises NotApplicable, when an episode begins, for a level that it cannot solve.
    """

    def __init__(self, envs: Envs, epsilon: Epsilon = 0.0) -> None:
        super().__init__(envs, epsilon)
        self._planners: list[Planner | None] = [None] * len(envs)

    @staticmethod
    def applies(env: Any) -> str | None:
        """None if the present mission of `env` can be solved, else a sentence that says why not."""
        if getattr(env.unwrapped, "agent_pos", None) is None:
            env.reset(seed=0)
        try:
            _planner(env)
        except NotApplicable as error:
            return str(error)
        return None

    def _begin(self, row: int) -> None:
        self._planners[row] = _planner(self.envs.envs[row])

    def _propose(self, row: int) -> int:
        planner = self._planners[row]
        assert planner is not None
        action = planner.action()
        return DONE if action is None else action


def _planner(env: Any) -> Planner:
    level = env.unwrapped
    if not hasattr(level, "grid"):
        raise NotApplicable(f"{type(level).__name__} is not a MiniGrid level.")
    return Planner(level)


class BabyAIBot(_RowByRow):
    """The bot of BabyAI (Chevalier-Boisvert et al., 2019), which sees only what the agent has seen.

    Noise replaces an action after the bot has proposed its own; the bot is told what was done.
    Where that leaves it without a plan (it has no answer to an opened box), the action is `done` to
    the end of the episode. Raises NotApplicable for levels without a BabyAI mission.
    """

    def __init__(self, envs: Envs, epsilon: Epsilon = 0.0) -> None:
        super().__init__(envs, epsilon)
        self._bots: list[Any] = [None] * len(envs)
        self._taken: list[int | None] = [None] * len(envs)

    def _begin(self, row: int) -> None:
        from minigrid.utils.baby_ai_bot import BabyAIBot as Bot

        level = self.envs.envs[row].unwrapped
        if getattr(level, "instrs", None) is None:
            raise NotApplicable(f"{self.envs.name} has no BabyAI mission for the bot.")
        self._bots[row], self._taken[row] = Bot(level), None

    def _choose(self, row: int) -> int:
        proposed = self._propose(row)
        random = self._random(row)
        self._taken[row] = action = proposed if random is None else random
        return action

    def _propose(self, row: int) -> int:
        if self._bots[row] is None:
            return DONE
        try:
            return int(self._bots[row].replan(self._taken[row]))
        except Exception:  # assertions of the bot's subgoals, or its own DisappearedBoxError
            if self._noise[row][1] is None:
                raise
            self._bots[row] = None
            return DONE


class Random(_RowByRow):
    """Draws every action uniformly; continuous actions from their box.

    It takes the environments only for their number and their actions.
    """

    def __init__(self, envs: Envs) -> None:
        self._box = envs.action_space if isinstance(envs.action_space, spaces.Box) else None
        if self._box is None:
            super().__init__(envs, epsilon=1.0)
            return
        if not self._box.is_bounded():
            raise ValueError(f"uniform actions need bounds; those of {envs.name} have none.")
        self.envs = envs
        self._rngs = [np.random.default_rng(0)] * len(envs)

    def act(self, step: Step) -> np.ndarray:
        """Actions (E,) int64, or (E, M) float32 for continuous ones."""
        if self._box is None:
            return super().act(step)
        actions = np.zeros((len(self.envs), *self._box.shape), np.float32)
        for row in np.flatnonzero(step.active).tolist():
            if step.first[row]:
                self._rngs[row] = np.random.default_rng(int(step.seed[row]))
            actions[row] = self._rngs[row].uniform(self._box.low, self._box.high)
        return actions
