"""Studies of LEAP that the chapter shows: what iterations, constraints and sums of energies do.

The page runs them on few episodes; `python -m seqrl.leap_studies --help` makes the records, on the
protocol's 400 test episodes. None chooses a setting: choices are made on validation episodes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seqrl import experiments, leap_attention, leap_energy, results
from seqrl.constraints import Avoid, Filtered
from seqrl.energy_search import Search
from seqrl.environments.levels import ADAPTATION, COMPOSITION, GENERALIZATION
from seqrl.evaluation import EPISODES, Evaluation, evaluate
from seqrl.leap import LEAP
from seqrl.results import Row
from seqrl.rollout import Policy
from seqrl.trained import Trained, load

SEARCH, LAVA = Search(), Avoid()
COUNTS = (1, 5, 10, 30)  # iterations
CHAINS = (1, 4, 16)
REFINEMENT, CONSTRAINED, SUMMED, ROOMS, ENERGY, START = (
    f"LEAP {study}"
    for study in ("refinement", "constrained", "summed", "generalization", "energy", "start")
)  # methods, in records
PAPER = {  # success in LEAP's paper, %; its levels are defined by no number: LEAP, DT, IQL
    "adaptation": {
        "easy": (92.0, 68.0, 90.5),
        "medium": (64.5, 20.0, 52.0),
        "hard": (54.5, 48, 44),
    },
    "generalization": {
        "easy": (77.5, 36.0, 60.5),
        "medium": (64.0, 37.5, 57.5),
        "hard": (61.0, 24.5, 65.5),
    },
    "composition": {"easy": (83.5, 58.0, 42.5), "medium": (43.0, 15.5, 11.5)},
}
PAPER_LEAP = {  # success of LEAP in its paper, %, 200 episodes, the goal told by an oracle
    "GoToLocalS7N5": 91.0,
    "GoToLocalS8N7": 95.0,
    "GoToObjMazeS4": 62.5,
    "GoToObjMazeS7": 42.5,
    "PickupLoc": 67.0,
    "GoToSeqS5R2": 33.0,
    "GoToObjMazeS4R2Close": 55.0,
}


def constrained(
    models: Mapping[str, Trained],
    levels: Sequence[str],
    episodes: int,
    search: Search = SEARCH,
    constraint: Avoid = LAVA,
) -> dict[tuple[str, str, str], Evaluation]:
    """Test episodes of each model on levels with lava, as it is and held to the constraint.

    LEAP is held to it by an added energy, others by a filter on their next action. Keys: level,
    model, "as trained" or "held to it".
    """
    found = {}
    for level in levels:
        for name, trained in models.items():
            if isinstance(trained.model, LEAP):
                plain = trained.policy(search=search)
                held: Policy = trained.policy(search=search, constraints=[constraint])
            else:
                plain, held = trained.policy(), Filtered(trained.policy(), [constraint])
            found[level, name, "as trained"] = evaluate(plain, level, episodes)
            found[level, name, "held to it"] = evaluate(held, level, episodes)
    return found


def burned(run: Evaluation) -> np.ndarray:
    """The episodes that ended in lava, (E,) bool: over for good, without success."""
    data = run.trajectories
    return data.terminations[data.offsets[1:] - 1].numpy() & ~run.success


# The command


def refinement_records(trained: Trained, dataset: str, seed: int, episodes: int) -> Iterator[Row]:
    """Success against iterations, chains and executed actions, a record each."""
    level, H = dataset.partition("/")[0], trained.model.config.horizon
    settings = [("greedy", 1, N, H) for N in COUNTS]
    settings += [("sampled", 4, N, execute) for N in COUNTS for execute in (1, H)]
    settings += [("sampled", chains, 10, H) for chains in CHAINS if chains != 4]
    for kind, chains, N, execute in settings:
        search = leap_energy.greedy(N) if kind == "greedy" else Search(N, chains)
        run = evaluate(trained.model.policy(search=search, execute=execute), level, episodes)
        config = {"search": kind, "chains": chains, "iterations": N, "execute": execute}
        yield experiments.tested_record(REFINEMENT, dataset, seed, config, run, trained)


def constrained_records(
    models: Mapping[str, Trained], dataset: str, seed: int, n: int
) -> Iterator[Row]:
    """Lava on levels that fit the training level: rooms for a room, the maze for a maze."""
    maze = "Maze" in dataset
    levels = ADAPTATION[2:] if maze else (*ADAPTATION[:2], *COMPOSITION)
    for (level, name, how), run in constrained(models, levels, n).items():
        config = {"level": level, "model": name, "how": how}
        more = {"burned": float(burned(run).mean())}
        yield experiments.tested_record(CONSTRAINED, dataset, seed, config, run, models[name], more)


def generalization_records(
    models: Mapping[str, Trained], dataset: str, seed: int, n: int
) -> Iterator[Row]:
    """Models of one room in mazes that they have never seen; LEAP with few iterations and many."""
    for level in GENERALIZATION:
        for name, trained in models.items():
            counts = COUNTS if isinstance(trained.model, LEAP) else (None,)
            for N in counts:
                options: dict[str, Any] = {} if N is None else {"search": Search(N)}
                policy = trained.policy(**options)
                config = {"level": level, "model": name, "iterations": N}
                run = evaluate(policy, level, n)
                yield experiments.tested_record(ROOMS, dataset, seed, config, run, trained)


def summed_records(
    trained: Trained, other: Trained, dataset: str, seed: int, n: int
) -> Iterator[Row]:
    """Two models' energies summed, beside each alone, all held to the constraint."""
    pairs = {"one": (trained, ()), "other": (other, ()), "sum": (trained, (other.model,))}
    for level in (*COMPOSITION, dataset.partition("/")[0]):
        for name, (model, others) in pairs.items():
            policy = model.policy(constraints=[LAVA], others=others)
            config = {"level": level, "energies": name}
            yield experiments.tested_record(
                SUMMED, dataset, seed, config, evaluate(policy, level, n), model
            )


def start_record(trained: Trained, dataset: str, seed: int, episodes: int) -> Row:
    """Success where a search starts from the plan before, not from masks; all else as evaluated."""
    run = evaluate(trained.policy(reuse=True), dataset.partition("/")[0], episodes)
    return experiments.tested_record(START, dataset, seed, {"start": "last plan"}, run, trained)


def energy_record(trained: Trained, dataset: str, seed: int, episodes: int) -> Row:
    """The rank correlations of energy on test episodes, as one record."""
    what = leap_energy.judged(trained.model, dataset.partition("/")[0], episodes)
    scores: dict[str, float] = {}
    for name, interval in leap_energy.correlations(what).items():
        scores |= {f"{name}: {part}": x for part, x in interval._asdict().items()}
    config = {"episodes": episodes, "plans": what.energies.shape[1]}
    of = {"checkpoint": trained.card["sha256"]}
    return results.record(ENERGY, dataset, seed, config=config, scores=scores, **of)


def main(words: Sequence[str] | None = None) -> None:
    """Makes the records of one study of a trained LEAP, and writes them into a folder."""
    parser = argparse.ArgumentParser(prog="seqrl.leap_studies", description=main.__doc__)
    studies = ("refinement", "energy", "start", "constrained", "summed", "rooms", "attention")
    parser.add_argument("study", choices=studies)
    parser.add_argument("dataset", help="LEVEL/KIND that the model was trained on")
    parser.add_argument("checkpoint", type=Path, help="the trained LEAP")
    parser.add_argument("--other", action="append", default=[], help="NAME=checkpoint")
    parser.add_argument("--seed", type=int, default=0, help="the model's training seed")
    parser.add_argument("--episodes", type=int, default=EPISODES, help="that are tested")
    parser.add_argument("--out", type=Path, default=results.shipped())
    a = parser.parse_args(words)
    torch.set_num_threads(1)
    others = dict(pair.split("=", 1) for pair in a.other)
    models = {"LEAP": load(a.checkpoint), **{name: load(path) for name, path in others.items()}}
    if a.study == "summed" and len(models) != 2:
        parser.error("summed needs one --other NAME=checkpoint.")
    for row in _rows(a, models):
        print(results.write(row, a.out).name, row["scores"], flush=True)


def _rows(a: argparse.Namespace, models: dict[str, Trained]) -> Iterable[Row]:
    leap, *others = models.values()
    if a.study == "refinement":
        return refinement_records(leap, a.dataset, a.seed, a.episodes)
    if a.study == "energy":
        return [energy_record(leap, a.dataset, a.seed, a.episodes)]
    if a.study == "start":
        return [start_record(leap, a.dataset, a.seed, a.episodes)]
    if a.study == "constrained":
        return constrained_records(models, a.dataset, a.seed, a.episodes)
    if a.study == "summed":
        return summed_records(leap, others[0], a.dataset, a.seed, a.episodes)
    if a.study == "rooms":
        return generalization_records(models, a.dataset, a.seed, a.episodes)
    start = experiments.untrained(leap.model.config, a.seed)
    of = {"checkpoint": leap.card["sha256"]}
    return [leap_attention.record(leap.model, start, a.dataset, a.seed, **of)]


if __name__ == "__main__":
    main()
