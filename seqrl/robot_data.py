"""The robots' datasets: which policies act in each, and how they share its steps.

They stand for D4RL's of the same names and have their sizes (v2). `medium-replay` is a mixture of
snapshots on the way to medium, the first of them uniformly random as the learner's own first steps
are; it stands for the replay buffer, which it is not. Physics is in floating point: on another
processor or another MuJoCo the last digit of a number may differ, and with it all that follows.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

import seqrl
from seqrl import actors, behavior
from seqrl.collection import mapped
from seqrl.environments.locomotion import ROBOTS, Robot, make_robots, normalized, robot_of
from seqrl.rollout import rollout
from seqrl.trajectories import Trajectories, concatenate

KINDS = ("random", "medium", "medium-replay", "medium-expert", "expert")
STEPS = 1_000_000  # of each policy's part
REPLAY_STEPS = {"hopper": 400_000, "walker2d": 300_000, "halfcheetah": 200_000}
ROWS = 8  # environments side by side; the trajectories do not depend on it
CHUNK = 16_000  # steps that a process makes at a time, about
APART = 1_000_000  # between the episode numbers of two snapshots of a mixture


@dataclass(frozen=True)
class Part:
    """The episodes of one policy: a robot's snapshot after so many training steps; 0 is random."""

    robot: Robot
    snapshot: int
    seed: int
    first: int  # the number of its first episode

    def collect(self, numbers: range) -> Trajectories:
        """Episodes by their number in this part."""
        envs = make_robots(self.robot, ROWS)
        policy = (
            actors.actor(self.robot, self.snapshot, envs)
            if self.snapshot
            else behavior.Random(envs)
        )
        moved = range(numbers.start + self.first, numbers.stop + self.first)
        data = rollout(policy, envs, moved, self.seed)
        envs.close()
        return data


@dataclass(frozen=True)
class RobotSource:
    """Everything that decides what episode i of a robot's dataset is."""

    robot: Robot
    kind: str
    seed: int

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            kinds = ", ".join(f"{self.robot.name}/{kind}" for kind in KINDS)
            raise ValueError(f"{self.robot.name}/{self.kind} is no dataset; there are {kinds}.")

    @property
    def max_steps(self) -> int:
        """Steps of the whole dataset; what would go beyond is left out."""
        sizes = {"medium-replay": REPLAY_STEPS[self.robot.name], "medium-expert": 2 * STEPS}
        return sizes.get(self.kind, STEPS)

    def snapshots(self) -> list[int]:
        """Training steps of the policies that share the dataset; CheckpointError as `card`."""
        if self.kind == "random":
            return [0]
        about = actors.card(self.robot)["model"]
        return {
            "medium": [about["medium"]],
            "expert": [about["expert"]],
            "medium-expert": [about["medium"], about["expert"]],
            "medium-replay": about["replay"],
        }[self.kind]

    def collect(
        self, episodes: int, processes: int | None = None, progress: bool = True
    ) -> Trajectories:
        """The first episodes, as many as `max_steps` allows."""
        if processes is None:
            processes = (os.cpu_count() or 1) if episodes >= 50 else 1
        apart = APART if self.kind == "medium-replay" else 0
        snapshots = self.snapshots()
        parts = [Part(self.robot, n, self.seed, apart * k) for k, n in enumerate(snapshots)]
        data = _collect(parts, episodes, self.max_steps, processes, progress)
        data.info.update(
            policy=self.kind,
            dataset=f"{self.robot.name}/{self.kind}",
            snapshots=snapshots,
            seqrl=seqrl.__version__,
        )
        if any(snapshots):
            about = actors.card(self.robot)
            data.info["behavior"] = {
                **{name: about["recipe"][name] for name in ("algorithm", "seed")},
                "scores": {str(n): about["scores"][str(n)] for n in snapshots},
            }
        return data


def named(level: str) -> Robot | None:
    """The robot of the datasets LEVEL/KIND, by its name or its environment's, or None."""
    return next((r for r in ROBOTS.values() if level.lower() in (r.name, r.env.lower())), None)


def return_card(data: Trajectories) -> dict[str, Any]:
    """A robot's data in numbers for a page: size, returns and normalized scores of its episodes.

    "returns" and "normalized" have mean, min, quartiles and max; "reference" has D4RL's returns
    for scores 0 and 100. Raises ValueError where the data are no robot's.
    """
    env = str(data.info.get("env"))
    scores = normalized(env, data.returns.double())
    robot = robot_of(env)
    assert robot is not None  # else `normalized` has said so
    return {
        "dataset": data.info.get("dataset", env),
        "episodes": len(data),
        "steps": data.steps,
        "length": data.steps / len(data),
        "returns": _spread(data.returns.double()),
        "normalized": _spread(scores),
        "reference": {"random": robot.random, "expert": robot.expert},
    }


def _spread(values: Tensor) -> dict[str, float]:
    names = ("min", "25%", "median", "75%", "max")
    quantiles = np.quantile(values.cpu().numpy(), [0, 0.25, 0.5, 0.75, 1]).tolist()
    return {"mean": values.mean().item(), **dict(zip(names, quantiles))}


def interleave(
    lengths: Sequence[Sequence[int]], episodes: int, max_steps: int
) -> tuple[list[tuple[int, int]], bool]:
    """Who gives which episode: (part, number in it), and whether the known lengths were enough.

    The next episode is always of the part that has given the fewest steps, so that the parts share
    the steps equally, and the beginning of a mixture is a mixture. lengths: those of each part's
    first episodes. It ends after so many episodes or before the step that would be too many.
    """
    given = [(0, part) for part in range(len(lengths))]  # a heap of steps and part
    taken, steps = [0] * len(lengths), 0
    order: list[tuple[int, int]] = []
    while len(order) < episodes:
        so_far, part = given[0]
        if taken[part] == len(lengths[part]):
            return order, False
        length = lengths[part][taken[part]]
        steps += length
        if steps > max_steps:
            break
        order.append((part, taken[part]))
        taken[part] += 1
        heapq.heapreplace(given, (so_far + length, part))
    return order, True


def _collect(
    parts: list[Part], episodes: int, max_steps: int, processes: int, progress: bool
) -> Trajectories:
    """The first episodes of a mixture: rounds of rollouts, until each part has given enough."""
    from tqdm import tqdm

    known: list[list[Trajectories]] = [[] for _ in parts]
    total = max_steps if episodes >= max_steps else None
    with tqdm(total=total, unit="step", disable=not progress, leave=False, delay=0.5) as bar:
        while True:
            lengths = [[n for data in some for n in data.lengths.tolist()] for some in known]
            order, enough = interleave(lengths, episodes, max_steps)
            if enough:
                break
            jobs = _jobs(lengths, episodes, max_steps, processes)
            with mapped(_made, [(parts[k], numbers) for k, numbers in jobs], processes) as results:
                for (k, _), data in zip(jobs, results):
                    known[k].append(data)
                    bar.update(data.steps)
    before = np.cumsum([0] + [len(some) for some in lengths])
    together = concatenate([data for some in known for data in some])
    return together.select([int(before[k]) + e for k, e in order])


def _made(job: tuple[Part, range]) -> Trajectories:
    part, numbers = job
    return part.collect(numbers)


def _jobs(
    lengths: list[list[int]], episodes: int, max_steps: int, processes: int
) -> list[tuple[int, range]]:
    """What to roll out next, by the lengths so far: (part, episodes), a few at first."""
    if not all(lengths):
        few = max(1, min(ROWS, -(-episodes // len(lengths))))
        return [(k, range(few)) for k in range(len(lengths))]
    means = [sum(some) / len(some) for some in lengths]
    share = min(max_steps / len(means), episodes / sum(1 / mean for mean in means))  # in steps
    jobs: list[tuple[int, range]] = []
    for k, mean in enumerate(means):
        done = len(lengths[k])
        wanted = max(int(1.02 * share / mean) + 2, done + 2)
        wanted = min(wanted, episodes)  # no part gives more than all
        size = min(int(CHUNK / mean), -(-(wanted - done) // (2 * processes)))
        size = max(ROWS, size)
        jobs += [(k, range(n, min(n + size, wanted))) for n in range(done, wanted, size)]
    return jobs
