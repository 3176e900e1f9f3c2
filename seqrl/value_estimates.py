"""What value functions claim on fixed data, and what their policies then earn.

Four methods on the same data: fitted Q-learning, the same with CQL's penalty, IQL, and behavior
cloning, which claims nothing. `python -m seqrl.value_estimates` makes the records that the page
*Why not Bellman?* shows; they lie in `assets/value_estimates`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from seqrl import datasets, results
from seqrl.behavior import ShortestPath
from seqrl.environments import make_envs
from seqrl.evaluation import evaluate
from seqrl.experiments import untrained
from seqrl.imitation import BCConfig
from seqrl.iql import IQLConfig
from seqrl.rollout import rollout
from seqrl.training import every, fit
from seqrl.trajectories import Trajectories
from seqrl.windows import Batch, Windows

METHODS: dict[str, dict[str, Any] | None] = {
    "fitted Q": {"backup": "max"},
    "CQL": {"backup": "max", "cql": 1.0},
    "IQL": {},
    "BC": None,
}
KINDS = ("expert", "mixed", "random")
LEVEL = "GoToLocalS7N5"
DISCOUNT = 0.99
TEST_SEED = 1  # other episodes than the protocol's, at which the first trials of this study looked
RARE = 1e-3  # an action of a smaller share of the data's steps counts as not in the data


class Exam(NamedTuple):
    """Test episodes of a level: how each begins, and what a shortest way earns on average."""

    starts: Batch  # windows of one step
    optimum: float  # discounted


def build(
    method: str,
    data: Trajectories,
    seed: int = 0,
    width: int = 32,
    average: float = 0.05,
    **fields: Any,
) -> nn.Module:
    """One of `METHODS` for the data, as training with this seed begins; not trained.

    average: what the targets of a value function take over at each update.
    """
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}; there are {', '.join(METHODS)}.")
    special = METHODS[method]
    config: BCConfig
    if special is None:
        config = BCConfig.for_data(data, width, **fields)
    else:
        own = {"discount": DISCOUNT, "average": average, **special}
        config = IQLConfig.for_data(data, width, **{**own, **fields})
    return untrained(config, seed)


def exam(level: str = LEVEL, episodes: int = 400) -> Exam:
    """The episodes that `evaluate` tests on, driven by the expert."""
    envs = make_envs(level, min(8, episodes), split="test")
    data = rollout(ShortestPath(envs), envs, episodes, TEST_SEED, stream="test")
    envs.close()
    return Exam(Windows(data, 1)(data.offsets[:-1]), earned(data))


def earned(data: Trajectories) -> float:
    """The discounted return of the episodes, on average."""
    return float(data.returns_to_go(DISCOUNT)[data.offsets[:-1]].double().mean())


def study(
    method: str,
    dataset: str,
    seed: int,
    *,
    episodes: int = 500,
    steps: int = 1000,
    batch: int = 64,
    width: int = 64,
    tested: int = 400,
    looks: int = 20,
) -> tuple[results.Row, Trajectories]:
    """Trains a method on LEVEL/KIND and tests it: the record, and the episodes that it drove.

    Its scores: what was "claimed" for the starts of the test episodes (NaN for BC), what was
    "earned" and the "optimum", all discounted; "success"; "unseen", the share of actions taken
    that are not in the data. `claims`: at `updates` during training.
    """
    data = datasets.load(dataset, episodes, progress=False)
    level = dataset.rpartition("/")[0]
    test = exam(level, tested)
    model: Any = build(method, data, seed, width)
    hooks = []
    if METHODS[method] is not None:
        claim = every(max(1, steps // looks), lambda m: {"claimed": _claimed(m, test.starts)})
        hooks.append(claim)
    sizes: dict[str, Any] = {"steps": steps, "batch": batch, "lr": 1e-3}
    history = fit(model, data, seed=seed, on_step=hooks, progress=False, **sizes)
    driven = evaluate(model.policy(), level, tested, TEST_SEED)
    scores = {
        "claimed": history.evaluations[-1]["claimed"] if hooks else float("nan"),
        "earned": earned(driven.trajectories),
        "optimum": test.optimum,
        "success": float(driven.success.mean()),
        "unseen": _unseen(driven.trajectories, data),
    }
    return results.record(
        method,
        dataset,
        seed,
        config={"episodes": episodes, "width": width, "tested": tested, **sizes},
        scores=scores,
        episodes={"success": driven.episodes["success"]},
        seconds=history.seconds,
        updates=[look["step"] for look in history.evaluations],
        claims=[look["claimed"] for look in history.evaluations],
    ), driven.trajectories


def _claimed(model: Any, starts: Batch) -> float:
    return float(model.values(starts).v.mean())


def _unseen(driven: Trajectories, data: Trajectories) -> float:
    """The share of actions taken that hardly ever occur in the data."""
    count = int(data.info["num_actions"])
    rare = torch.bincount(data.actions, minlength=count) < RARE * data.steps
    return float(rare[driven.actions].double().mean())


def shipped() -> list[results.Row]:
    """The records that come with the package."""
    return results.read_all(Path(__file__).parent / "assets" / "value_estimates")


def main(folder: Path) -> None:
    """Writes the records that are not there yet: three seeds of each method and kind of data."""
    done = {(r["method"], r["dataset"], r["seed"]) for r in results.read_all(folder)}
    for seed in range(3):
        for kind in KINDS:
            for method in METHODS:
                if (method, f"{LEVEL}/{kind}", seed) not in done:
                    run, _ = study(method, f"{LEVEL}/{kind}", seed)
                    results.write(run, folder)
                    print(method, kind, seed, run["scores"], flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(
        Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "assets/value_estimates")
    )
