"""Planning: the cached beam search beside the plain one, same model, same random numbers.

Hopper's sizes: 11 + 3 + 2 tokens a transition, vocabulary 100, 4 layers, 4 heads, 128 wide, beam
32, expansion 2, horizon 5, five transitions of context. Times are of this process on the CPU, in
turns, since other work may run beside it.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from seqrl.actions import Actions
from seqrl.beam_cache import Cached
from seqrl.beam_graph import Planner
from seqrl.beam_search import BeamSearch, Full, Plan, Prefix, plan
from seqrl.tokens import Bins
from seqrl.trajectory_transformer import TrajectoryTransformer, TrajectoryTransformerConfig

Row = tuple[str, float, str]

N, M, WORDS, CONTEXT, ROUNDS = 11, 3, 100, 5, 3
SEARCH = BeamSearch(beam=32, expand=2, horizon=5, context=CONTEXT)
PAPER = BeamSearch(beam=128, expand=2, horizon=15, context=CONTEXT)


def main() -> list[Row]:
    """Run every benchmark of this file and print its rows."""
    rows: list[Row] = []
    parts = [speeds, exactness, memory]
    if torch.cuda.is_available():
        parts.append(on_gpu)
    for benchmark in parts:
        for name, value, unit in benchmark():
            rows.append((name, value, unit))
            print(f"{name:<62} {value:>9,.4g} {unit}", flush=True)
    return rows


def made(device: str = "cpu", context: int = 10) -> TrajectoryTransformer:
    """A model of Hopper's sizes with random weights."""
    edges = torch.linspace(-1, 1, WORDS + 1)
    bins = Bins(tuple(edges.tolist()), tuple(((edges[1:] + edges[:-1]) / 2).tolist()))
    actions = Actions(M, False, (-1.0,) * M, (1.0,) * M)
    torch.manual_seed(0)
    config = TrajectoryTransformerConfig((bins,) * (N + M + 2), actions, context=context)
    return config.build().to(device).eval()


def question(model: TrajectoryTransformer, E: int, search: BeamSearch) -> tuple[Prefix, Tensor]:
    """The prefixes and the random numbers of E environments, always the same."""
    device = model.heads.device
    generator = torch.Generator().manual_seed(1)
    P = CONTEXT * (N + M + 2) + N
    tokens = torch.randint(WORDS, (E, P), generator=generator).to(device)
    draws = torch.rand((E, search.horizon, search.rows, M), generator=generator).to(device)
    return Prefix(tokens, torch.full((E,), CONTEXT, device=device)), draws


def task(model: TrajectoryTransformer, E: int, search: BeamSearch, kind: type) -> Plan:
    """One plan for E environments, the same whichever the kind."""
    prefix, draws = question(model, E, search)
    with torch.inference_mode():
        return plan(model, prefix, search, draws, kind)


def speeds() -> list[Row]:
    """Seconds an environment: plain for one, cached for one and for eight at once."""
    model = made()
    tasks: dict[str, tuple[Callable[[], object], int]] = {
        "plain, 1 environment": (lambda: task(model, 1, SEARCH, Full), 1),
        "cached, 1 environment": (lambda: task(model, 1, SEARCH, Cached), 1),
        "cached, 8 at once": (lambda: task(model, 8, SEARCH, Cached), 8),
    }
    task(model, 1, SEARCH, Cached)  # not counted
    cpu: dict[str, list[float]] = {name: [] for name in tasks}
    wall: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(ROUNDS):
        for name, (run, E) in tasks.items():
            start, began = time.process_time(), time.perf_counter()
            run()
            cpu[name].append((time.process_time() - start) / E)
            wall[name].append((time.perf_counter() - began) / E)
    plain, one, eight = (statistics.median(values) for values in cpu.values())
    rows = []
    for name in tasks:
        rows.append((f"{name}: CPU time", statistics.median(cpu[name]), "s an environment"))
        rows.append((f"{name}: wall clock, best", min(wall[name]), "s an environment"))
    return [
        *rows,
        ("plain / cached, 1 environment (at least 25)", plain / one, "x"),
        ("plain / cached, an environment of 8 (at least 35)", plain / eight, "x"),
    ]


class Both:
    """Both kinds of sequences side by side; keeps the largest difference of their logits."""

    far = 0.0

    def __init__(self, *given: object) -> None:
        self.plain, self.fast = Full(*given), Cached(*given)  # type: ignore[arg-type]

    @property
    def imagined(self) -> torch.Tensor:
        return self.plain.imagined

    @property
    def logits(self) -> torch.Tensor:
        a, b = self.plain.logits, self.fast.logits
        Both.far = max(Both.far, float((a - b)[torch.isfinite(a)].abs().max()))
        return a

    def append(self, tokens: torch.Tensor, read: bool = True) -> None:
        self.plain.append(tokens, read)
        self.fast.append(tokens, read)

    def select(self, rows: torch.Tensor) -> None:
        self.plain.select(rows)
        self.fast.select(rows)


def exactness() -> list[Row]:
    """The largest difference of any logit in a plan, and whether both plans are the same."""
    model = made()
    plain, fast = task(model, 1, SEARCH, Both), task(model, 1, SEARCH, Cached)
    same = torch.equal(plain.tokens[:, 0], fast.tokens[:, 0])
    return [
        ("largest difference of a logit (under 1e-5)", Both.far, ""),
        ("best plans are the same (1 = yes)", float(same), ""),
    ]


def memory() -> list[Row]:
    """MiB that a plan adds to the peak of a fresh process; Linux only."""
    rows: list[Row] = []
    if not Path("/proc/self/status").exists():
        return rows
    for name, kind in (("plain", "Full"), ("cached", "Cached")):
        code = f"from bench import bench_beam_search as b; print(b.peak(b.{kind}))"
        found = float(subprocess.check_output([sys.executable, "-c", code], text=True))
        rows.append((f"{name}: peak memory of a plan, 1 environment", found, "MiB"))
    return rows


def peak(kind: type) -> float:
    """MiB that one plan adds at most to what this process holds, looked at every millisecond."""
    model, seen, over = made(), [now()], threading.Event()

    def look() -> None:
        while not over.wait(1e-3):
            seen.append(now())

    watcher = threading.Thread(target=look)
    watcher.start()
    task(model, 1, SEARCH, kind)
    over.set()
    watcher.join()
    return max(seen) - seen[0]


def now() -> float:
    """MiB that this process holds."""
    line = re.search(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert line is not None
    return int(line[1]) / 2**10


def on_gpu() -> list[Row]:
    """Milliseconds a plan, here and with the paper's beam 128 and horizon 15."""
    rows = []
    for name, search, context in (("", SEARCH, 10), (", beam 128, horizon 15", PAPER, 20)):
        model = made("cuda", context)
        kinds = {
            "cached, without a graph": lambda p, d, m=model, s=search: plan(m, p, s, d, Cached),
            "one CUDA graph, without the kernels": Planner(model, search, Cached, kernels=False),
            "one CUDA graph, with the kernels": Planner(model, search, Cached),
        }
        for kind, planner in kinds.items():
            rows.append((f"GPU, {kind}{name}", _on_gpu(model, search, planner), "ms a plan"))
    return rows


def _on_gpu(
    model: TrajectoryTransformer, search: BeamSearch, planner: Callable[[Prefix, Tensor], Plan]
) -> float:
    """Milliseconds of one environment's plan, from tokens to tokens, the median of ten."""
    times = []
    prefix, draws = question(model, 1, search)
    with torch.inference_mode():
        for _ in range(15):
            torch.cuda.synchronize()
            start = time.perf_counter()
            planner(prefix, draws)
            torch.cuda.synchronize()
            times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times[5:])


if __name__ == "__main__":
    main()
