"""LEAP: environments at once beside one at a time; the pseudo-likelihood in one forward."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

Row = tuple[str, float, str]

LEVEL, E, HORIZON, ITERATIONS, BATCH = "GoToLocalS8N7", 64, 5, 10, 64
ROUNDS = 3


def main() -> list[Row]:
    """Run every benchmark of this file and print its rows."""
    torch.set_num_threads(1)
    rows = [row for benchmark in (planning, training) for row in benchmark()]
    for name, value, unit in rows:
        print(f"{name:<70} {value:>9,.2f} {unit}", flush=True)
    return rows


def planning() -> list[Row]:
    """Milliseconds a plan and environment: ours, and one environment at a time, encoding anew."""
    from seqrl.energy_search import GREEDY, Search, numbers_for, search

    model, batch = _model("random")
    model.eval()
    seen = batch.observations
    numbers = torch.rand(E, *numbers_for(GREEDY, HORIZON))
    four = Search(ITERATIONS, 4)
    more = torch.rand(E, *numbers_for(four, HORIZON))

    def one_by_one(count: int) -> None:
        for e in range(count):
            own = {key: x[e : e + 1] for key, x in seen.items()}

            def log_p(plans: Any, hidden: Any, rows: Any, own: Any = own) -> Any:
                return model.log_p(model.prefix(own), model.shown(plans, hidden))

            search(log_p, numbers[e : e + 1], GREEDY)

    with torch.inference_mode():
        times = _in_turns(
            {
                "all": (lambda: search(model.conditionals(seen), numbers, GREEDY), E),
                "four": (lambda: search(model.conditionals(seen), more, four), E),
                "one": (lambda: one_by_one(8), 8),
            }
        )
    return [
        (f"plan, {E} environments at once, each", times["all"], "ms"),
        ("the same with 4 chains and all energies", times["four"], "ms"),
        ("plan, one environment, encoded anew in every iteration", times["one"], "ms"),
        ("one at a time / all at once (at least 20)", times["one"] / times["all"], "x"),
    ]


def training() -> list[Row]:
    """Milliseconds of a training step with the exact pseudo-likelihood, in one forward and in H."""
    model, batch = _model("exact")
    model.train()

    def fast() -> None:
        model.zero_grad()
        model.loss(batch)[0].backward()

    def plain() -> None:
        model.zero_grad()
        _, targets = model.targets(batch)
        log_p = model.each_hidden_plain(batch)
        known = targets >= 0
        (-log_p[known].gather(-1, targets[known][:, None]).mean()).backward()

    times = _in_turns({"fast": (fast, 1), "plain": (plain, 1)})
    return [
        ("training step, exact pseudo-likelihood, one forward", times["fast"], "ms"),
        ("training step, a whole forward for each position", times["plain"], "ms"),
        ("forward for each / one forward (at least 4)", times["plain"] / times["fast"], "x"),
    ]


def _model(masking: Any) -> tuple[Any, Any]:
    """The paper's sizes and one batch of windows."""
    from seqrl import datasets
    from seqrl.leap import LEAPConfig

    data = datasets.collect(LEVEL, "expert", 64, processes=1, progress=False)
    torch.manual_seed(0)
    model = LEAPConfig.for_data(data, masking=masking, horizon=HORIZON).build()
    return model, data.windows(HORIZON, BATCH, torch.Generator().manual_seed(0))


def _in_turns(tasks: dict[str, tuple[Callable[[], object], int]]) -> dict[str, float]:
    """Median milliseconds of processor time of each task, for each of the things it does."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for turn in range(ROUNDS + 1):
        for name, (task, count) in tasks.items():
            start = time.process_time()
            task()
            if turn:  # the first turn is not counted
                times[name].append(1000 * (time.process_time() - start) / count)
    return {name: statistics.median(values) for name, values in times.items()}


if __name__ == "__main__":
    main()
