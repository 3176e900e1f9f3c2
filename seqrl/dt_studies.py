"""Studies of the Decision Transformer that the chapter shows as records.

How much context it needs (a trained model, driven with less), and what happens when all reward
comes at the end; `key_attention` has those of Key-to-Door. They take minutes each, so the page
reads their records: `python -m seqrl.dt_studies --help` makes them.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seqrl import datasets, experiments, key_attention, results
from seqrl.evaluation import EPISODES, evaluate
from seqrl.results import Row
from seqrl.trained import Trained, load

CONTEXT = "DT context"  # a method, in records
CONTEXTS = (1, 2, 4, 8)  # steps that the policy remembers
END = {"reward": "end"}  # config of a run whose reward comes at the end of an episode
DELAYED = ("dt", "rvs", "iql")


# Context


def context_record(trained: Trained, dataset: str, seed: int, k: int, episodes: int) -> Row:
    """A trained model's test episodes when it remembers k steps; it is not trained again.

    Windows begin at any step of an episode, so a model has seen every length up to its own.
    """
    tested = evaluate(trained.policy(context=k), trained.env, episodes)
    return experiments.tested_record(CONTEXT, dataset, seed, {"context": k}, tested, trained)


# Delayed reward


def end_record(method: str, dataset: str, seed: int, **config: Any) -> Row:
    """A run of the protocol, but on data and maps whose reward is one number at the end.

    The episodes and their actions are those of the usual run: only the reward differs.
    `config`: fields of `settings.Setting`.
    """
    kind = dataset.rpartition("/")[2]
    data = datasets.load(dataset, experiments.SIZES[kind], reward="end", progress=False)
    size = experiments.setting(data, config)
    with tempfile.TemporaryDirectory() as folder:
        trained, history = experiments.train(method, data, seed, size, Path(folder))
        tried = experiments.choose_target(trained, data, Path(folder) / "model.safetensors")
        tested = experiments.test(trained, size.episodes)
    more: dict[str, Any] = {
        "seconds": history.seconds,
        "setting": asdict(size),
        "targets_tried": tried,
    }
    return experiments.tested_record(method, dataset, seed, END | config, tested, trained, **more)


# Random walks


def walkers(dataset: str) -> Row:
    """The data's own success as a record of the method "random", an episode a number."""
    data = experiments.dataset(dataset)
    success = data.context["success"].int().tolist()
    return results.record(
        "random",
        dataset,
        0,
        config={},
        scores={"success": float(np.mean(success))},
        episodes={"success": success},
    )


# The command


def main(words: Sequence[str] | None = None) -> None:
    """Makes the records of one study, and writes them into a folder."""
    parser = argparse.ArgumentParser(prog="seqrl.dt_studies", description=main.__doc__)
    parser.add_argument("study", choices=("context", "end", "key", "critic", "walkers"))
    parser.add_argument("dataset", help="LEVEL/KIND")
    parser.add_argument("--seed", type=int, default=0, help="the model's training seed")
    parser.add_argument("--checkpoint", type=Path, help="of context and key: the trained model")
    parser.add_argument("--episodes", type=int, default=EPISODES, help="that are tested")
    parser.add_argument("--out", type=Path, default=results.shipped())
    a = parser.parse_args(words)
    torch.set_num_threads(1)
    if a.study in ("context", "key") and a.checkpoint is None:
        parser.error(f"{a.study} needs a --checkpoint.")
    for row in _rows(a):
        print(results.write(row, a.out).name, row["scores"], flush=True)


def _rows(a: argparse.Namespace) -> Any:
    if a.study == "context":
        model = load(a.checkpoint)
        return (context_record(model, a.dataset, a.seed, k, a.episodes) for k in CONTEXTS)
    if a.study == "end":
        return (end_record(method, a.dataset, a.seed) for method in DELAYED)
    if a.study == "walkers":
        return [walkers(a.dataset)]
    if a.study == "critic":
        return [key_attention.critic_record(a.dataset, a.seed)]
    trained = load(a.checkpoint)
    start = experiments.untrained(trained.model.config, a.seed)
    driven = trained.evaluate(a.episodes).trajectories
    of = {"checkpoint": trained.card["sha256"]}
    return [key_attention.key_record(trained.model, start, driven, a.dataset, a.seed, **of)]


if __name__ == "__main__":
    main()
