"""Records for chapter 6: how a trained model drives where every layer reads evenly.

Its values, its MLPs and its encoder stay as they are; only the maps are taken away. The same test
episodes are driven as in the run of the model itself, so that the two can be compared in pairs.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

from seqrl import comparison, experiments, results
from seqrl.evaluation import EPISODES, Evaluation, evaluate
from seqrl.experiments import TEST_SEED
from seqrl.intervals import Interval
from seqrl.interventions import pattern
from seqrl.results import Row
from seqrl.trained import Trained, load

METHOD = "even maps"  # in records


def driven(trained: Trained, level: str, episodes: int, even: bool) -> Evaluation:
    """Test episodes of a level, as the model is or with even attention in every layer.

    Without a cache of keys and values where the policy can do without one.
    """
    plain = {"cached": False} if type(trained.model).__name__ == "DecisionTransformer" else {}
    policy = trained.policy(**plain)
    if not even:
        return evaluate(policy, level, episodes, TEST_SEED)
    with pattern(trained.model, "even"):
        return evaluate(policy, level, episodes, TEST_SEED)


def even_record(method: str, trained: Trained, dataset: str, seed: int, episodes: int) -> Row:
    """One model's test episodes with even attention, as a record of the book."""
    tested = driven(trained, dataset.partition("/")[0], episodes, even=True)
    config = {"of": method}
    return experiments.tested_record(METHOD, dataset, seed, config, tested, trained)


def compared(
    records: Iterable[Row], method: str, dataset: str
) -> tuple[Interval | None, Interval | None, Interval | None, list[int]]:
    """Success as the model is, with even maps, their paired difference, and the training seeds.

    Only seeds that have both are counted; None where there is none.
    """
    records = list(records)
    even = [r for r in records if (r["method"], r["dataset"], r["config"])
            == (METHOD, dataset, {"of": method})]  # fmt: skip
    known = {r["seed"] for r in even}
    usual = [r for r in comparison.cells(records, method, dataset) if r["seed"] in known]
    apart = comparison.difference(even, usual, "success")
    seeds = sorted(run["seed"] for run in usual)
    return comparison.score(usual, "success"), comparison.score(even, "success"), apart, seeds


def main(words: Sequence[str] | None = None) -> None:
    """Makes the record of a trained model with even attention, and writes it into a folder."""
    parser = argparse.ArgumentParser(prog="seqrl.inside_studies", description=main.__doc__)
    parser.add_argument("method", choices=("dt", "tt", "leap"))
    parser.add_argument("dataset", help="LEVEL/KIND that the model was trained on")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--seed", type=int, default=0, help="the model's training seed")
    parser.add_argument("--episodes", type=int, default=EPISODES, help="that are tested")
    parser.add_argument("--out", type=Path, default=results.shipped())
    a = parser.parse_args(words)
    torch.set_num_threads(1)
    row = even_record(a.method, load(a.checkpoint), a.dataset, a.seed, a.episodes)
    print(results.write(row, a.out).name, row["scores"], flush=True)


if __name__ == "__main__":
    main()
