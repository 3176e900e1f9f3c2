"""Behavior policies of robots that were never trained, written as those that ship are."""

import numpy as np
import torch

from seqrl import checkpoints
from seqrl.environments.locomotion import ROBOTS

SIZES = {"hopper": (11, 3), "walker2d": (17, 6), "halfcheetah": (17, 6)}
KINDS = {"medium": 200, "expert": 300, "replay": [0, 100, 200]}


def tensors(robot, snapshots=(100, 200, 300), width=16):
    """Layers with random weights, in the names of `behavior/train_robots.py`."""
    N, M = SIZES[robot]
    shapes = [(width, N), (width, width), (M, width), (M, width)]
    found = {}
    for steps in snapshots:
        rng = np.random.default_rng(steps)
        for i, shape in enumerate(shapes):
            weight = rng.normal(0, 0.3, shape) - (1.5 if i == 3 else 0) / width
            found[f"{steps}.{i}.weight"] = torch.from_numpy(np.float32(weight))
            found[f"{steps}.{i}.bias"] = torch.from_numpy(np.float32(rng.normal(0, 0.1, shape[0])))
    return found


def write(folder, robot="hopper", **change):
    """A file of policies for a robot; the path."""
    score = {"episodes": 2, "mean": 30.0, "std": 1.0, "length": 20.0, "normalized": 1.5}
    card = {
        "model": {"snapshots": [0, 100, 200, 300], **KINDS},
        "data": {"env": ROBOTS[robot].env},
        "recipe": {"algorithm": "none", "seed": "0", "steps": 300},
        "scores": {str(steps): score for steps in (0, 100, 200, 300)},
        **change,
    }
    path = folder / f"{robot}.safetensors"
    checkpoints.save(path, tensors(robot), card, half=True)
    return path
