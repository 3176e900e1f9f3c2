"""Reading data: training windows beside a DataLoader, the second load of a dataset, `import`."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from seqrl.minari_io import load_minari, save_minari
from seqrl.trajectories import Trajectories, pack

Row = tuple[str, float, str]

K, BATCH, ROUNDS = 20, 64, 15


def main() -> None:
    """Run every benchmark of this file and print its rows."""
    for benchmark in (windows, second_load, import_time):
        for name, value, unit in benchmark():
            print(f"{name:<58} {value:>9,.2f} {unit}", flush=True)


def windows() -> list[Row]:
    """Milliseconds a batch: one gather a field, and a DataLoader whose items only slice arrays."""
    data = synthetic(episodes=2186, steps=465)
    generator = torch.Generator().manual_seed(0)
    loaders = {p: iter(DataLoader(Slices(data, p), BATCH, shuffle=True)) for p in (False, True)}
    tasks: dict[str, Callable[[], object]] = {
        "one gather": lambda: data.windows(K, BATCH, generator),
        "DataLoader, slices": lambda: next(loaders[False]),
        "DataLoader, slices padded to the same batch": lambda: next(loaders[True]),
    }
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for turn in range(ROUNDS + 1):
        for name, task in tasks.items():
            seconds = _seconds(task)
            if turn:  # the first turn is not counted
                times[name].append(seconds)
    ours, *peers = (statistics.median(values) for values in times.values())
    rows = [(f"windows: {name}", 1e3 * statistics.median(v), "ms") for name, v in times.items()]
    sliced, padded = (peer / ours for peer in peers)
    return [
        *rows,
        ("DataLoader, slices / one gather (at least 10)", sliced, "x"),
        ("DataLoader, same batch / one gather", padded, "x"),
    ]


def _seconds(task: Callable[[], object], times: int = 20) -> float:
    """Seconds of one of `times` calls in a row."""
    start = time.perf_counter()
    for _ in range(times):
        task()
    return (time.perf_counter() - start) / times


class Slices(Dataset):
    """The least that an item can be: the same six fields, sliced from NumPy arrays.

    Unpadded, a window may run into the next episode; padded, the batch is the same as ours.
    """

    def __init__(self, data: Trajectories, padded: bool) -> None:
        self.padded, self.ends = padded, data.offsets[1:][data.episode_of_step].tolist()
        steps = np.arange(data.steps)
        fields = (data.actions, data.rewards, data.returns_to_go())
        real = np.ones(data.steps, bool)
        self.fields = (*(values.numpy() for values in fields), steps, real)
        self.state, self.steps = data.observations["state"].numpy(), data.steps

    def __len__(self) -> int:
        return self.steps - K

    def __getitem__(self, first: int) -> tuple[np.ndarray, ...]:
        last = min(first + K, self.ends[first]) if self.padded else first + K
        step = slice(first, last)
        window = (self.state[step], *(values[step] for values in self.fields))
        if last == first + K:
            return window
        missing = first + K - last
        return tuple(np.pad(v, [(0, missing)] + [(0, 0)] * (v.ndim - 1)) for v in window)


def second_load() -> list[Row]:
    """Milliseconds of the first and the second load of 500 episodes, 237,000 steps x 11."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "synthetic"
        save_minari(synthetic(episodes=500, steps=474), path)
        for packed in path.rglob("*.safetensors"):
            packed.unlink()
        times = []
        for _ in range(12):
            start = time.perf_counter()
            load_minari(path)
            times.append(1e3 * (time.perf_counter() - start))
    return [
        ("load 237,000 steps: first time", times[0], "ms"),
        ("load 237,000 steps: again (under 50)", statistics.median(times[1:]), "ms"),
    ]


def import_time() -> list[Row]:
    """Seconds of `import seqrl` in a fresh interpreter that has imported torch."""
    code = (
        "import torch, time; start = time.perf_counter(); import seqrl{}; "
        "print(time.perf_counter() - start)"
    )
    modules = ("trajectories", "environments", "rollout", "behavior", "datasets", "plots")
    rows = []
    for name, extra in (
        ("import seqrl, beyond torch (under 0.7)", ""),
        ("import all it has up to plots", "".join(f", seqrl.{m}" for m in modules)),
    ):
        command = [sys.executable, "-c", code.format(extra)]
        runs = [float(subprocess.check_output(command, text=True)) for _ in range(3)]
        rows.append((name, statistics.median(runs), "s"))
    return rows


def synthetic(episodes: int, steps: int) -> Trajectories:
    """Episodes of the shape of Hopper's: 11 observations, 3 actions."""
    random = np.random.default_rng(0)
    ends = np.arange(steps) == steps - 1
    return pack(
        [
            {
                "observations": {"state": random.normal(size=(steps + 1, 11)).astype(np.float32)},
                "actions": random.normal(size=(steps, 3)).astype(np.float32),
                "rewards": random.normal(size=steps).astype(np.float32),
                "terminations": ends,
                "truncations": np.zeros(steps, bool),
                "seed": e,
            }
            for e in range(episodes)
        ],
        {"env": "synthetic"},
    )


if __name__ == "__main__":
    main()
