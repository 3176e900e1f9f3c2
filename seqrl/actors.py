"""The robots' behavior policies: small networks that come with the package, run in plain NumPy.

Each was trained once by `behavior/train_robots.py`, and `behavior/choose_robots.py` chose the
snapshots that ship: one file a robot in `assets/robots`, with a card that tells how they were made
and what they score.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from seqrl import checkpoints
from seqrl.environments.batch import Envs
from seqrl.environments.locomotion import MAX_STEPS, Robot
from seqrl.rollout import Step

ROBOTS = Path(__file__).parent / "assets" / "robots"
SMALLEST, LARGEST = -20.0, 2.0  # log of the deviation; what SAC and TQC clip it to
Layers = list[tuple[np.ndarray, np.ndarray]]  # weight (inputs, outputs), bias (outputs,)


class Actor:
    """A tanh-squashed Gaussian policy: two layers of ReLU, then mean and log of the deviation.

    It draws its actions, as SAC's policy does while it learns (Haarnoja et al., 2018). All random
    numbers of a row are drawn from its episode's seed when that begins. A row is multiplied alone
    and in double precision, so that an episode does not depend on what runs beside it.
    """

    def __init__(self, layers: Layers, envs: Envs) -> None:
        *hidden, mean, deviation = [(w.astype(np.float64), b.astype(np.float64)) for w, b in layers]
        both = [np.concatenate(pair, axis=-1) for pair in zip(mean, deviation)]
        self._layers = [*hidden, (both[0], both[1])]
        self._size = mean[1].shape[0]
        self._noise = np.zeros((len(envs), MAX_STEPS, self._size))
        self._time = np.zeros(len(envs), np.int64)
        self._rows = np.arange(len(envs))

    def act(self, step: Step) -> np.ndarray:
        """Actions (E, M) float32 in [-1, 1]."""
        for row in np.flatnonzero(step.first):
            random = np.random.default_rng(int(step.seed[row]))
            self._noise[row] = random.standard_normal(self._noise.shape[1:])
            self._time[row] = 0
        x = step.observation["state"].astype(np.float64)[:, None]  # (E, 1, N): a product a row
        *hidden, (weight, bias) = self._layers
        for w, b in hidden:
            x = np.maximum(x @ w + b, 0)
        x = (x @ weight + bias)[:, 0]
        mean, log_deviation = x[:, : self._size], x[:, self._size :]
        noise = self._noise[self._rows, self._time % MAX_STEPS]
        self._time += 1
        deviation = np.exp(log_deviation.clip(SMALLEST, LARGEST))
        return np.tanh(mean + deviation * noise).astype(np.float32)


def actor(robot: Robot, steps: int, envs: Envs) -> Actor:
    """The policy of a robot after so many steps of training, to act in `envs`; see `network`."""
    return Actor(network(robot, steps), envs)


def network(robot: Robot, steps: int) -> Layers:
    """The layers of a robot's policy after so many steps of training; see `card` for which ship.

    Raises ValueError for a snapshot that is not shipped, CheckpointError as `card` does.
    """
    tensors, about = _read(ROBOTS / f"{robot.name}.safetensors", robot)
    if f"{steps}.0.weight" not in tensors:
        known = ", ".join(f"{n:,}" for n in about["model"]["snapshots"])
        raise ValueError(f"{robot.name} has no snapshot at {steps:,} steps; there are {known}.")
    return layers_of(tensors, steps)


def layers_of(tensors: Mapping[str, Any], steps: int) -> Layers:
    """The four layers of the snapshot at so many steps, from a file's tensors."""
    names = [f"{steps}.{i}" for i in range(4)]
    return [
        (np.asarray(tensors[f"{name}.weight"]).T, np.asarray(tensors[f"{name}.bias"]))
        for name in names
    ]


def card(robot: Robot) -> dict[str, Any]:
    """What a robot's policies are: card["model"] has the training steps of each kind's snapshots.

    "recipe" tells the algorithm, "scores" what each snapshot returned over how many episodes, and
    "sha256" is the hash of all. Raises CheckpointError, with the command that mends it, where the
    file is missing, foreign or changed.
    """
    return _read(ROBOTS / f"{robot.name}.safetensors", robot)[1]


def _read(path: Path, robot: Robot) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        stat = path.stat()
        return _read_once(path, robot.env, stat.st_size, stat.st_mtime_ns)
    except (FileNotFoundError, checkpoints.CheckpointError) as error:
        what = error if isinstance(error, ValueError) else f"{path} is missing."
        mend = "pip install --force-reinstall --no-deps seqrl"
        raise checkpoints.CheckpointError(
            f"{what} It comes with seqrl: run {mend}, or in a checkout git restore {path}"
        ) from error


@lru_cache(maxsize=8)
def _read_once(path: Path, env: str, *_stat: int) -> tuple[dict[str, Any], dict[str, Any]]:
    tensors, about = checkpoints.load(path, {"data": {"env": env}})
    return {name: tensor.numpy() for name, tensor in tensors.items()}, about
