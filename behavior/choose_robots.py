"""Scores the snapshots of `train_robots.py` and writes those that ship, with their card.

    python behavior/choose_robots.py hopper runs/hopper.safetensors

The expert is the best of the last fifth of the snapshots. Medium is the closest to a third of the
expert's normalized score, of those up to the first that reaches it. The replay's are eight steps
from there back to 0, at equal distances, or as many as there are; 0 is uniformly random, as the
learner's own first steps are. Weights are rounded to float16 before they are scored. The card tells
all scores; those of the chosen snapshots are from other episodes than those they were chosen by.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from torch import Tensor

from seqrl import actors, checkpoints
from seqrl.behavior import Random
from seqrl.environments.locomotion import ROBOTS, Robot, make_robots, normalized
from seqrl.rollout import rollout

ROWS = 16
REPLAY = 8  # snapshots
LATE = 0.8  # of the training; the expert is from after that
Tensors = dict[str, Tensor]


def read(path: Path) -> tuple[Tensors, dict[str, Any], list[int]]:
    """All snapshots of a training run, in the precision that ships; its card; their steps."""
    with safe_open(path, framework="pt") as file:
        card = json.loads(file.metadata()["card"])
        tensors = {name: file.get_tensor(name).half() for name in file.keys()}  # noqa: SIM118
    return tensors, card, sorted({_steps(name) for name in tensors} - {0})


def _steps(name: str) -> int:
    """The training steps in the name of a tensor, STEPS.LAYER.weight."""
    return int(name.partition(".")[0])


def score(robot: Robot, tensors: Tensors, steps: int, episodes: int, seed: int) -> dict[str, Any]:
    """What a snapshot returns over so many episodes; 0 is uniformly random actions."""
    envs = make_robots(robot, ROWS)
    if steps:
        layers = {name: x.float().numpy() for name, x in tensors.items()}
        policy = actors.Actor(actors.layers_of(layers, steps), envs)
    data = rollout(policy if steps else Random(envs), envs, episodes, seed, stream="train")
    envs.close()
    returns = data.returns.double()
    return {
        "episodes": episodes,
        "mean": round(returns.mean().item(), 1),
        "std": round(returns.std(correction=0).item(), 1),
        "length": round(data.steps / episodes, 1),
        "normalized": round(normalized(robot, returns.mean().item()), 2),
    }


def choose(scores: dict[int, float]) -> dict[str, Any]:
    """Expert, medium and the replay's snapshots, from normalized scores by training steps."""
    trained = sorted(steps for steps in scores if steps)
    late = [steps for steps in trained if steps >= LATE * trained[-1]]
    expert = max(late, key=lambda steps: scores[steps])
    third = scores[expert] / 3
    first = next(steps for steps in trained if scores[steps] >= third)
    medium = min(
        (steps for steps in trained if steps <= first), key=lambda steps: abs(scores[steps] - third)
    )
    way = [0, *(steps for steps in trained if steps <= medium)]
    at = np.linspace(0, len(way) - 1, min(REPLAY, len(way))).round().astype(int)
    return {"medium": medium, "expert": expert, "replay": [way[i] for i in at]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("robot", choices=ROBOTS)
    parser.add_argument("snapshots", type=Path)
    parser.add_argument("--episodes", type=int, default=20, help="of each snapshot, to choose by")
    parser.add_argument("--again", type=int, default=50, help="of each chosen one, to tell")
    parser.add_argument("--out", type=Path, default=actors.ROBOTS)
    asked = parser.parse_args()
    robot = ROBOTS[asked.robot]
    tensors, about, snapshots = read(asked.snapshots)
    curve = {}
    for steps in (0, *snapshots):
        curve[steps] = score(robot, tensors, steps, asked.episodes, 0)
        print(f"{robot.name} {steps:>9,} steps {curve[steps]}", flush=True)
    chosen = choose({steps: found["normalized"] for steps, found in curve.items()})
    kept = sorted({0, chosen["medium"], chosen["expert"], *chosen["replay"]})
    scores = {str(steps): score(robot, tensors, steps, asked.again, 1) for steps in kept}
    ends = {"random": scores["0"]["mean"], "expert": scores[str(chosen["expert"])]["mean"]}
    card = {
        "model": {"layers": "2 of ReLU, mean, log of the deviation", "snapshots": kept, **chosen},
        "data": {"env": robot.env},
        "recipe": {**about, "steps": snapshots[-1]},
        "scores": scores,
        "curve": {str(steps): found["normalized"] for steps, found in curve.items()},
        "reference": {
            "D4RL": {"random": robot.random, "expert": robot.expert},
            robot.env: ends,
        },
    }
    path = asked.out / f"{robot.name}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    shipped = {n: x for n, x in tensors.items() if _steps(n) in kept and _steps(n)}
    checkpoints.save(path, shipped, card, half=True)
    print(json.dumps({**chosen, "scores": scores}, indent=1))
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
