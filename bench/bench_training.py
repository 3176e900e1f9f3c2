"""Training on Hopper's sizes: updates a second of Decision and Trajectory Transformer.

The sizes of the papers: DT with 3 layers of 128 and windows of 20 steps, TT with 4 layers of 128
and windows of 10 transitions, that is 160 tokens; 64 windows an update. What share of the peak that
is: floating-point operations of an update (counted by PyTorch) against those of a product of large
matrices in the same precision. On a GPU also: several runs side by side.
"""

from __future__ import annotations

import multiprocessing
import statistics
import time
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from bench.bench_trajectories import synthetic
from seqrl.decision_transformer import DecisionTransformerConfig
from seqrl.optimization import Recipe, choose_precision
from seqrl.training import Run
from seqrl.trajectory_transformer import TrajectoryTransformerConfig

Row = tuple[str, float, str]

BATCH, TOGETHER, PAPER = 64, 4, 100_000
UPDATES = {"cpu": 10, "cuda": 400}  # in a turn
TURNS = 3


def main() -> list[Row]:
    """Print the rows of the CPU and, where there is one, of the GPU; returns the last ones."""
    rows: list[Row] = []
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
        print(f"{name}, {choose_precision(device)}")
        rows = [*on(device), *(together() if device == "cuda" else ())]
        for row, value, unit in rows:
            print(f"{row:<58} {value:>11,.4g} {unit}", flush=True)
    return rows


def on(device: str) -> list[Row]:
    """Updates a second of both, alone, and their share of the peak."""
    peak, rows = product(device), []
    for method in ("DT", "TT"):
        run = made(method, device)
        needed, rate = operations(run), speed(run)
        rows += [
            (f"{method}: updates", rate, "a second"),
            (f"{method}: operations", rate * needed / 1e12, "TFLOP/s"),
            (f"{method}: share of a large product's speed", 100 * rate * needed / peak, "%"),
        ]
        if method == "DT" and device == "cuda":
            rows.append(("DT: 100,000 updates (under 10)", PAPER / rate / 60, "minutes"))
    return [("a large product", peak / 1e12, "TFLOP/s"), *rows]


def together() -> list[Row]:
    """Updates a second of several runs of DT at the same time, all together."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(TOGETHER) as pool:
        rates = pool.map(alone, ["DT"] * TOGETHER, chunksize=1)
    return [
        (f"DT: {TOGETHER} runs side by side, all together", sum(rates), "updates a second"),
        (f"DT: 100,000 updates of each of {TOGETHER}", PAPER / min(rates) / 60, "minutes"),
    ]


def alone(method: str) -> float:
    """Updates a second of one run, on the GPU, for long enough to meet the others."""
    run = made(method, "cuda")
    return speed(run, turns=8 * TURNS)


def made(method: str, device: str) -> Run:
    """A run on 500 episodes of noise, of Hopper's sizes."""
    torch.manual_seed(0)
    data = synthetic(episodes=500, steps=200)
    kinds: dict[str, Any] = {"DT": DecisionTransformerConfig, "TT": TrajectoryTransformerConfig}
    context = {"DT": 20, "TT": 10}[method]
    model = kinds[method].for_data(data, context=context).build()
    recipe = Recipe(steps=PAPER, batch=BATCH, lr=1e-4)
    return Run(model, data, recipe, 0, torch.device(device), None, {})


def speed(run: Run, turns: int = TURNS) -> float:
    """Updates a second, the median of some turns; one turn before them is not counted."""
    rates = []
    for turn in range(turns + 1):
        start = time.perf_counter()
        for _ in range(UPDATES[run.device.type]):
            run.update()
        _wait(run.device.type)
        if turn:
            rates.append(UPDATES[run.device.type] / (time.perf_counter() - start))
    return statistics.median(rates)


def operations(run: Run) -> int:
    """Floating-point operations of one update's forward and backward passes."""
    batch = run.sample(run.generator)
    with FlopCounterMode(display=False) as counter:
        run.model.loss(batch)[0].backward()  # type: ignore[operator]
    return counter.get_total_flops()


def product(device: str) -> float:
    """Floating-point operations a second of a product of large matrices, as training does them."""
    n, kind = {"cpu": 2048, "cuda": 8192}[device], choose_precision(device)
    dtype = torch.bfloat16 if kind == "bf16" else torch.float32
    a, b = (torch.randn(n, n, device=device, dtype=dtype) for _ in range(2))
    times = []
    for _ in range(6):
        start = time.perf_counter()
        a @ b
        _wait(device)
        times.append(time.perf_counter() - start)
    return 2 * n**3 / statistics.median(times[1:])


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
