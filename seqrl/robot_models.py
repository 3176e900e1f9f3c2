"""The robots' shipped checkpoints, for pages: loaded without making their data, or trained small.

To compare a checkpoint's data with what would be made now takes minutes on robots, so only method,
model and robot are compared; at full speed `shipped.train_or_load` does all of it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from seqrl import checkpoints, datasets, experiments, shipped, speed
from seqrl.environments.locomotion import robot_of
from seqrl.trained import Trained, load

FEW = {"steps": 5, "batch": 8}  # where none is shipped and little time
EPISODES = 20  # of the data, there


def train_or_load(method: str, dataset: str, *, folder: Path = shipped.CHECKPOINTS) -> Trained:
    """The shipped model of a method on ROBOT/KIND; where none is, a small one trained now.

    Prints which of the two it was. Raises ValueError where the dataset is no robot's,
    CheckpointError where a file is another method's or another robot's.
    """
    robot, (name, _, kind) = robot_of(dataset), dataset.partition("/")
    if robot is None:
        raise ValueError(f"{dataset!r} is no dataset of a robot.")
    if speed.current() == "full":
        return shipped.train_or_load(method, dataset)[0]
    path = shipped.path_of(method, name, kind, folder)
    if not path.exists():
        return _small(method, dataset)
    trained = load(path)
    made = (trained.card.get("method"), trained.env)
    if made != (method, robot.env):
        raise checkpoints.CheckpointError(f"{path} is of {made[0]} on {made[1]}.")
    print(
        f"{method} on {dataset}: shipped checkpoint {trained.card['sha256'][:8]}, "
        f"seed {trained.card['recipe']['seed']}, {trained.card['recipe']['steps']:,} updates "
        "(its data were not made again)."
    )
    return trained


def _small(method: str, dataset: str) -> Trained:
    data = datasets.load(dataset, episodes=EPISODES, progress=False)
    size = experiments.setting(data, {**FEW, "width": 32, "layers": 1}, method)
    with tempfile.TemporaryDirectory() as scratch:
        trained, history = experiments.train(method, data, 0, size, Path(scratch))
    trained.card["target_return"] = float(data.returns.max())
    print(
        f"{method} on {dataset}: no checkpoint is shipped, so a small one was trained now for "
        f"{len(history.loss)} updates. It has learned nothing."
    )
    return trained
