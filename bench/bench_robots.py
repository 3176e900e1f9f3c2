"""Robots' data: environment steps a second on all cores beside Gymnasium's plain loop.

Each function measures one thing and returns rows (what, value, unit). Both are measured in turns,
on the clock of the wall, so a machine that does something else says less; values are medians.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable

Row = tuple[str, float, str]

ROUNDS, PLAIN_STEPS, STEPS = 3, 5_000, 60_000
DATASET = "hopper/medium"


def main() -> list[Row]:
    """Run every benchmark of this file and print its rows."""
    rows = [row for benchmark in BENCHMARKS for row in benchmark()]
    for name, value, unit in rows:
        print(f"{name:<58} {value:>9,.2f} {unit}", flush=True)
    return rows


def collecting() -> list[Row]:
    """Steps a second of the plain loop, of our rollout in one process, and of `load`."""
    from seqrl import datasets

    mean = datasets.load(DATASET, 16, progress=False).lengths.double().mean().item()
    episodes = int(STEPS / mean)
    rates: dict[str, list[float]] = {"plain": [], "rollout": [], "load": []}
    for turn in range(ROUNDS):
        rates["plain"].append(_rate(lambda: _plain_loop(turn)))  # noqa: B023
        rates["rollout"].append(_rate(lambda: _rollout(turn, episodes // 8)))  # noqa: B023
        rates["load"].append(_rate(lambda: _load(turn, episodes)))  # noqa: B023
    middle = {name: statistics.median(values) for name, values in rates.items()}
    ratio = statistics.median(a / b for a, b in zip(rates["load"], rates["plain"]))
    return [
        (f"{DATASET}: Gymnasium's plain loop, one process", middle["plain"], "steps/s"),
        (f"{DATASET}: rollout, one process", middle["rollout"], "steps/s"),
        (f"{DATASET}: load, {os.cpu_count()} cores, written", middle["load"], "steps/s"),
        (f"{DATASET}: load / plain loop", ratio, "x"),
        (f"{DATASET}: 1 million steps (at most 150)", 1e6 / middle["load"], "s"),
    ]


def _rate(task: Callable[[], int]) -> float:
    start = time.perf_counter()
    return task() / (time.perf_counter() - start)


def _plain_loop(turn: int) -> int:
    """What one writes with Gymnasium alone, with the same policy; keeps nothing. The steps."""
    import gymnasium as gym
    import numpy as np

    from seqrl import actors
    from seqrl.environments.locomotion import ROBOTS

    layers = actors.network(ROBOTS["hopper"], actors.card(ROBOTS["hopper"])["model"]["medium"])
    env, rng = gym.make("Hopper-v5"), np.random.default_rng(turn)
    state, _ = env.reset(seed=turn)
    for _ in range(PLAIN_STEPS):
        x = state.astype(np.float32)
        for weight, bias in layers[:2]:
            x = np.maximum(x @ weight + bias, 0)
        mean, log_deviation = (x @ weight + bias for weight, bias in layers[2:])
        noise = rng.standard_normal(len(mean)) * np.exp(log_deviation.clip(-20, 2))
        state, _, terminated, truncated, _ = env.step(np.tanh(mean + noise))
        if terminated or truncated:
            state, _ = env.reset()
    return PLAIN_STEPS


def _rollout(turn: int, episodes: int) -> int:
    from seqrl.robot_data import RobotSource, named

    robot = named("hopper")
    assert robot is not None
    return RobotSource(robot, "medium", turn).collect(episodes, 1, progress=False).steps


def _load(turn: int, episodes: int) -> int:
    from seqrl import datasets

    before = os.environ.get("SEQRL_HOME")
    with tempfile.TemporaryDirectory() as home:
        os.environ["SEQRL_HOME"] = home
        try:
            return datasets.load(DATASET, episodes, turn, progress=False).steps
        finally:
            os.environ.pop("SEQRL_HOME")
            os.environ |= {"SEQRL_HOME": before} if before else {}


BENCHMARKS: tuple[Callable[[], list[Row]], ...] = (collecting,)

if __name__ == "__main__":
    main()
