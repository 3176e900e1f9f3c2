"""Robots that walk: Gymnasium's MuJoCo environments, and the returns that scores are made of.

A score is normalized as in D4RL (Fu et al., 2020): 0 is the return of D4RL's random actions, 100
that of its expert. Both were measured on older versions of the environments (v2), with another
MuJoCo; `seqrl.actors` says what random actions and our expert return in these (v5).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import gymnasium as gym

from seqrl.environments.batch import Envs

MAX_STEPS = 1000  # of an episode, which is truncated then; a robot that falls ends it before


@dataclass(frozen=True)
class Robot:
    """A robot by the name that datasets have for it, and what scores it."""

    name: str
    env: str  # id of the Gymnasium environment
    random: float  # D4RL's return of random actions, score 0
    expert: float  # D4RL's return of its expert, score 100


ROBOTS = {
    robot.name: robot
    for robot in (
        Robot("hopper", "Hopper-v5", -20.272305, 3234.3),
        Robot("walker2d", "Walker2d-v5", 1.629008, 4592.3),
        Robot("halfcheetah", "HalfCheetah-v5", -280.178953, 12135.0),
    )
}
_NAMED = re.compile(rf"(?:(?:mujoco|d4rl)/)?({'|'.join(ROBOTS)})(?:[-/].*)?", re.IGNORECASE)


def robot_of(name: str) -> Robot | None:
    """The robot of a name, an environment, a dataset or a Minari id; None where it is of none.

    So of "hopper", "Hopper-v5", "hopper/medium" and "mujoco/hopper/medium-v0".
    """
    named = _NAMED.fullmatch(str(name))
    robot = ROBOTS[named[1].lower()] if named else None
    versioned = re.fullmatch(r"\w+-v\d+", str(name))  # of which another pays differently
    return None if robot and versioned and str(name).lower() != robot.env.lower() else robot


def make_robots(robot: str | Robot, count: int) -> Envs:
    """`count` environments of a robot side by side; see `make_robot`.

    Observations are {"state": (N,) float32}, actions (M,) float32 in [-1, 1].
    """
    return Envs([make_robot(robot) for _ in range(count)])


def make_robot(robot: str | Robot, **options: Any) -> gym.Env:
    """One environment of a robot, by any name that `robot_of` knows.

    options: of `gymnasium.make`, such as render_mode. Raises ValueError for an unknown robot,
    ModuleNotFoundError with the command that mends it where MuJoCo is not installed.
    """
    found = robot if isinstance(robot, Robot) else robot_of(robot)
    if found is None:
        raise ValueError(f"unknown robot {robot!r}; there are {', '.join(ROBOTS)}.")
    with _quiet_mujoco(found.env):
        return gym.make(found.env, disable_env_checker=True, **options)


def normalized(env: str | Robot, returns: Any) -> Any:
    """D4RL's score of returns, a number or an array: 100 (R - random) / (expert - random).

    env: any name that `robot_of` knows. Raises ValueError where it is no robot's.
    """
    robot = env if isinstance(env, Robot) else robot_of(env)
    if robot is None:
        raise ValueError(f"{env!r} has no normalized score; robots have: {', '.join(ROBOTS)}.")
    return 100 * (returns - robot.random) / (robot.expert - robot.random)


def need_mujoco(env: str) -> Any:
    """The module mujoco; ModuleNotFoundError with the command that mends it where there is none."""
    try:
        import mujoco
    except ImportError as error:
        raise ModuleNotFoundError(
            f'{env} needs MuJoCo, which is not installed; run: pip install "seqrl[locomotion]"',
            name="mujoco",
        ) from error
    return mujoco


@contextmanager
def _quiet_mujoco(env: str) -> Iterator[None]:
    """MuJoCo without its notes on old words in Gymnasium's models, which it prints and logs."""
    mujoco = need_mujoco(env)
    before = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(lambda _: None)
    try:
        yield
    finally:
        mujoco.set_mju_user_warning(before)
