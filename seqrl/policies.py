"""What trained policies share: observations as tensors, returns-to-go counted down, choices."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqrl.actions import Actions
from seqrl.rollout import Step
from seqrl.trajectories import Trajectories

PER_WINDOW = ("map", "mission")  # what an encoder takes once a window, not at every step


class PolicyError(ValueError):
    """A policy asked to do what its model was not made for; the message says what."""


def device_of(model: torch.nn.Module) -> torch.device:
    """Where a model's parameters are."""
    return next(model.parameters()).device


def tensors(
    observation: Mapping[str, np.ndarray], rows: np.ndarray, device: torch.device | str = "cpu"
) -> dict[str, Tensor]:
    """The observations of some rows as windows of one step: (E, ...) arrays to (rows, 1, ...).

    "map" and "mission" get no axis of steps, since a window has one of each.
    """
    found = {}
    for key, values in observation.items():
        x = torch.from_numpy(np.ascontiguousarray(values[rows])).to(device)
        found[key] = x if key in PER_WINDOW else x[:, None]
    return found


def check_observation(observation: Mapping[str, np.ndarray], expected: Mapping[str, Any]) -> None:
    """PolicyError where observations are not of the kind that a model was made for.

    `expected`: key to the shape of one observation, None for any size.
    observation: key to (E, ...).
    """
    if missing := [key for key in expected if key not in observation]:
        raise PolicyError(
            f"this model sees {', '.join(expected)}, but the environment shows "
            f"{', '.join(observation) or 'nothing'}: {missing[0]!r} is missing."
        )
    for key, shape in expected.items():
        found = observation[key].shape[1:]
        if shape is not None and tuple(found) != tuple(shape):
            raise PolicyError(
                f"this model was made for {key!r} of shape {tuple(shape)}, not {tuple(found)}."
            )


def return_scale(data: Trajectories) -> float:
    """By what a model divides returns-to-go: the largest in the data, at least 1."""
    return max(1.0, float(data.returns_to_go().abs().max()))


class ReturnsToGo:
    """What is left of the return that was asked for: the target, less every reward since.

    `within` keeps it inside the range that the data held; a departure from the papers.
    """

    def __init__(self, target: float, within: tuple[float, float] | None = None) -> None:
        if not math.isfinite(target):
            raise PolicyError(f"the target return is {target}; it must be a finite number.")
        self.target, self.within = float(target), within
        self._left = np.zeros(0)

    def update(self, step: Step) -> np.ndarray:
        """Returns-to-go before this step, (E,) float32: of rows that begin, the target."""
        if len(self._left) != len(step.first):
            self._left = np.full(len(step.first), self.target)
        self._left = np.where(step.first, self.target, self._left - step.reward)
        left = self._left if self.within is None else np.clip(self._left, *self.within)
        return left.astype(np.float32)


class Chooser:
    """Turns a model's outputs into actions: the likeliest, or drawn at a temperature.

    Random numbers of a row come from the seed of its episode.
    """

    def __init__(self, actions: Actions, temperature: float = 0.0) -> None:
        if not (math.isfinite(temperature) and temperature >= 0):
            raise PolicyError(f"a temperature is a number from 0 on, not {temperature}.")
        if temperature and not actions.discrete:
            raise PolicyError("continuous actions are not drawn: they have no temperature.")
        self.actions, self.temperature = actions, temperature
        self._rngs: dict[int, np.random.Generator] = {}

    def choose(self, out: Tensor, rows: np.ndarray, step: Step) -> np.ndarray:
        """Actions of all E rows, 0 where not in `rows`, from outputs (rows, size) of a model.

        Returns (E,) int64 or (E, M) float32.
        """
        kind = np.int64 if self.actions.discrete else np.float32
        chosen = np.zeros((len(step.first), *self.actions.shape), kind)
        if not self.actions.discrete:
            chosen[rows] = self.actions.unscaled(out.float().tanh()).numpy(force=True)
            return chosen
        if self.temperature == 0:
            chosen[rows] = out.argmax(-1).numpy(force=True)
            return chosen
        shares = (out.double() / self.temperature).softmax(-1).cumsum(-1).numpy(force=True)
        for row, share in zip(rows.tolist(), shares):
            if step.first[row]:
                self._rngs[row] = np.random.default_rng(int(step.seed[row]))
            draw = self._rngs[row].random() * share[-1]
            chosen[row] = int(np.searchsorted(share, draw, side="right").clip(0, len(share) - 1))
        return chosen
