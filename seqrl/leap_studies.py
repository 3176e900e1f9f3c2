"""Studies of LEAP that the chapter shows: what iterations, constraints and sums of energies do.

The page runs them on few episodes; `python -m seqrl.leap_studies --help` makes the records, on the
protocol's 400 test episodes. None chooses a setting: choices are made on validation episodes.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from seqrl import energy_search, leap_attention, results
from seqrl.constraints import Avoid, Filtered
from seqrl.energy_search import GREEDY, Search, numbers_for
from seqrl.environments.levels import ADAPTATION, COMPOSITION, GENERALIZATION
from seqrl.evaluation import EPISODES, Evaluation, evaluate
from seqrl.experiments import untrained
from seqrl.intervals import Interval, bootstrap
from seqrl.leap import LEAP
from seqrl.results import Row
from seqrl.rollout import Policy, Step
from seqrl.seeds import derive
from seqrl.trained import Trained, load
from seqrl.trajectories import Trajectories
from seqrl.windows import Batch, Windows

COUNTS = (1, 5, 10, 30)  # iterations
CHAINS = (1, 4, 16)
REFINEMENT, CONSTRAINED, SUMMED, ROOMS, ENERGY = (
    f"LEAP {study}" for study in ("refinement", "constrained", "summed", "generalization", "energy")
)  # methods, in records
PAPER = {  # success in LEAP's paper, %; its levels are defined by no number: LEAP, DT, IQL
    "adaptation": {"easy": (92.0, 68.0, 90.5), "medium": (64.5, 20.0, 52.0), "hard": (54.5, 48, 44)},
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

# Refinement


def greedy(iterations: int) -> Search:
    """The search of the paper's code with so many iterations."""
    return replace(GREEDY, iterations=iterations)


def refined(
    model: LEAP, level: str, searches: Mapping[Any, Search], episodes: int, execute: int = 1
) -> dict[Any, Evaluation]:
    """Test episodes with each of some searches; `execute` of a plan's actions are taken."""
    return {
        name: evaluate(model.policy(search=search, execute=execute), level, episodes)
        for name, search in searches.items()
    }


def first_steps(data: Trajectories, H: int) -> Batch:
    """A window of H steps from the start of every episode."""
    return Windows(data, H)(data.offsets[:-1])


@torch.no_grad()
def found(model: LEAP, batch: Batch, search: Search, seed: int = 0) -> energy_search.Found:
    """Plans from the first step of windows, with everything that was met on the way."""
    generator = torch.Generator().manual_seed(derive("test", "plans", seed))
    shape = numbers_for(search, model.config.horizon)
    numbers = torch.rand(len(batch.mask), *shape, generator=generator)
    model.eval()
    return energy_search.search(model.conditionals(batch.observations), numbers, search)


def energy_curves(plans: energy_search.Found) -> dict[str, np.ndarray]:
    """Mean energy after each iteration, (N,): of the chains' plans, and of the lowest so far."""
    if plans.energies is None:
        raise ValueError("the search kept no energies: keep='lowest'.")
    E = plans.energies.double()  # (E, N, chains)
    lowest = E.amin(2).cummin(1).values
    return {"plan of a chain": E.mean((0, 2)).numpy(), "lowest so far": lowest.mean(0).numpy()}


# Energy and success


class Begins:
    """Plays the given first actions of each episode, plans (episodes, H), then another policy."""

    def __init__(self, policy: Policy, plans: Tensor, end: int) -> None:
        self.policy, self.end = policy, end
        ended = (plans >= end).cumsum(1) > 0
        self.plans = torch.where(ended, end, plans).numpy()
        self.at = np.zeros(0, np.int64)

    def act(self, step: Step) -> np.ndarray:
        """Actions (E,)."""
        if len(self.at) != len(step.first):
            self.at = np.zeros(len(step.first), np.int64)
        self.at[step.first] = 0
        actions, H = self.policy.act(step).copy(), self.plans.shape[1]
        given = self.plans[step.episode % len(self.plans), self.at.clip(max=H - 1)]
        playing = step.active & (self.at < H) & (given < self.end)
        self.at = self.at + 1
        return np.where(playing, given, actions)


class Judged(NamedTuple):
    """Plans of E episodes' first steps, M each, and what became of episodes begun with them."""

    energies: np.ndarray  # (E, M); M = 0 is the plan that the search keeps
    lengths: np.ndarray  # (E, M) steps, those of the plan included
    success: np.ndarray  # (E, M)
    shortest: np.ndarray  # (E,)


def judged(
    model: LEAP, level: str, episodes: int, candidates: int = 6, search: Search = Search()
) -> Judged:
    """Begins each test episode with the best plan and with others drawn at temperature 1.

    What follows is the same for all: the likeliest action of a plan of one draft, step by step.
    """
    one = greedy(1)
    played = evaluate(model.policy(search=one), level, episodes)
    first = first_steps(played.trajectories, model.config.horizon)
    drawn = Search(2, candidates, resampled=(1, 1), temperature=(1, 1))
    best, others = found(model, first, search), found(model, first, drawn)
    assert best.energy is not None and others.energies is not None
    plans = torch.cat([best.plan[:, None], others.plans[:, 0, 1:]], 1)  # (E, M, H)
    energies = torch.cat([best.energy[:, None], others.energies[:, 0, 1:]], 1)
    runs = []
    for m in range(plans.shape[1]):
        policy = Begins(model.policy(search=one), plans[:, m], model.config.end)
        runs.append(evaluate(policy, level, episodes))
    lengths, success = (np.stack([getattr(r, x) for r in runs], 1) for x in ("lengths", "success"))
    assert played.shortest is not None
    return Judged(energies.numpy(), lengths, success, played.shortest)


def rank_correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's: of ranks, equal values sharing theirs; NaN where one of both never changes."""
    a, b = (_ranks(np.asarray(values, float)) for values in (x, y))
    if a.std() == 0 or b.std() == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = counts.cumsum()
    return ((last - counts + 1 + last) / 2)[place]


def correlations(judged: Judged) -> dict[str, Interval]:
    """Rank correlations of energy, with 95 % intervals over episodes.

    "between": of the kept plans of different episodes, with success and with steps beyond the
    shortest way. "within": of the plans of one episode, with how long it then took, the mean over
    episodes in which that differs. None where nothing differs.
    """
    kept = judged.energies[:, 0]
    detour = judged.lengths[:, 0] - judged.shortest
    between = {
        "between, success": (kept, judged.success[:, 0]),
        "between, detour": (kept, detour),
        "between, shortest way": (kept, judged.shortest),
    }
    found = {name: _resampled(*pair) for name, pair in between.items()}
    within = np.array([rank_correlation(e, n) for e, n in zip(judged.energies, judged.lengths)])
    within = within[np.isfinite(within)]
    found["within, length"] = bootstrap([within]) if len(within) > 1 else None
    return {name: interval for name, interval in found.items() if interval is not None}


def _resampled(x: np.ndarray, y: np.ndarray, times: int = 500) -> Interval | None:
    """The rank correlation with a bootstrap over episodes; None where one never changes."""
    estimate = rank_correlation(x, y)
    if not np.isfinite(estimate):
        return None
    rng = np.random.default_rng(0)
    draws = [rng.integers(len(x), size=len(x)) for _ in range(times)]
    again = np.array([rank_correlation(x[i], y[i]) for i in draws])
    low, high = np.nanpercentile(again, [2.5, 97.5])
    return Interval(estimate, float(low), float(high))


# Energies that are added at test time


def careful(trained: Trained, constraint: Avoid = Avoid()) -> Policy:  # noqa: B008  (frozen)
    """A model's policy held to a constraint: LEAP by an added energy, others by a filter."""
    if isinstance(trained.model, LEAP):
        options = {} if trained.target is None else {"target_return": trained.target}
        return trained.policy(constraints=[constraint], **options)
    return Filtered(trained.policy(), [constraint])


def constrained(
    models: Mapping[str, Trained], levels: Sequence[str], episodes: int
) -> dict[tuple[str, str, str], Evaluation]:
    """Test episodes of each model on levels with lava, as it is and held to the constraint.

    Keys: level, model, "as trained" or "held to it".
    """
    found = {}
    for level in levels:
        for name, trained in models.items():
            for how, policy in (("as trained", trained.policy()), ("held to it", careful(trained))):
                found[level, name, how] = evaluate(policy, level, episodes)
    return found


def burned(run: Evaluation) -> np.ndarray:
    """The episodes that ended in lava, (E,) bool: over for good, without success."""
    data = run.trajectories
    return data.terminations[data.offsets[1:] - 1].numpy() & ~run.success


# The command


def refinement_records(trained: Trained, dataset: str, seed: int, episodes: int) -> list[Row]:
    """Success against iterations, chains and executed actions, a record each."""
    level, H, rows = dataset.partition("/")[0], trained.model.config.horizon, []
    settings = [("greedy", 1, N, H) for N in COUNTS]
    settings += [("sampled", 4, N, execute) for N in COUNTS for execute in (1, H)]
    settings += [("sampled", chains, 10, H) for chains in CHAINS if chains != 4]
    for kind, chains, N, execute in settings:
        search = greedy(N) if kind == "greedy" else Search(N, chains)
        run = evaluate(trained.model.policy(search=search, execute=execute), level, episodes)
        config = {"search": kind, "chains": chains, "iterations": N, "execute": execute}
        rows.append(_record(REFINEMENT, dataset, seed, config, run, trained))
    return rows


def constrained_records(models: Mapping[str, Trained], dataset: str, seed: int, n: int) -> list[Row]:
    """Lava on levels that fit the training level: rooms for a room, the maze for a maze."""
    maze = "Maze" in dataset
    levels = ADAPTATION[2:] if maze else (*ADAPTATION[:2], *COMPOSITION)
    rows = []
    for (level, name, how), run in constrained(models, levels, n).items():
        config = {"level": level, "model": name, "how": how}
        row = _record(CONSTRAINED, dataset, seed, config, run, models[name])
        rows.append({**row, "scores": {**row["scores"], "burned": float(burned(run).mean())}})
    return rows


def generalization_records(models: Mapping[str, Trained], dataset: str, seed: int, n: int) -> list[Row]:
    """Models of one room in mazes that they have never seen; LEAP with few iterations and many."""
    rows = []
    for level in GENERALIZATION:
        for name, trained in models.items():
            counts = COUNTS if isinstance(trained.model, LEAP) else (None,)
            for N in counts:
                policy = trained.policy(**({} if N is None else {"search": Search(N)}))
                config = {"level": level, "model": name, "iterations": N}
                rows.append(_record(ROOMS, dataset, seed, config, evaluate(policy, level, n), trained))
    return rows


def summed_records(trained: Trained, other: Trained, dataset: str, seed: int, n: int) -> list[Row]:
    """Two models' energies summed, beside each alone, all held to the constraint."""
    rows = []
    pairs = {"one": (trained, ()), "other": (other, ()), "sum": (trained, (other.model,))}
    for level in (*COMPOSITION, dataset.partition("/")[0]):
        for name, (model, others) in pairs.items():
            policy = model.policy(constraints=[Avoid()], others=others)
            config = {"level": level, "energies": name}
            rows.append(_record(SUMMED, dataset, seed, config, evaluate(policy, level, n), model))
    return rows


def energy_record(trained: Trained, dataset: str, seed: int, episodes: int) -> Row:
    """The rank correlations of energy on test episodes, as one record."""
    what = judged(trained.model, dataset.partition("/")[0], episodes)
    scores = {}
    for name, interval in correlations(what).items():
        scores |= {f"{name}: {part}": x for part, x in interval._asdict().items()}
    config = {"episodes": episodes, "plans": what.energies.shape[1]}
    of = {"checkpoint": trained.card["sha256"]}
    return results.record(ENERGY, dataset, seed, config=config, scores=scores, **of)


def _record(
    method: str, dataset: str, seed: int, config: dict[str, Any], run: Evaluation, trained: Trained
) -> Row:
    return results.record(
        method,
        dataset,
        seed,
        config=config,
        scores=run.scores,
        episodes=run.episodes,
        checkpoint=trained.card["sha256"],
    )


def main(words: Sequence[str] | None = None) -> None:
    """Makes the records of one study of a trained LEAP, and writes them into a folder."""
    parser = argparse.ArgumentParser(prog="seqrl.leap_studies", description=main.__doc__)
    studies = ("refinement", "energy", "constrained", "summed", "rooms", "attention")
    parser.add_argument("study", choices=studies)
    parser.add_argument("dataset", help="LEVEL/KIND that the model was trained on")
    parser.add_argument("checkpoint", type=Path, help="the trained LEAP")
    parser.add_argument("--other", type=Path, action="append", default=[], help="NAME=checkpoint")
    parser.add_argument("--seed", type=int, default=0, help="the model's training seed")
    parser.add_argument("--episodes", type=int, default=EPISODES, help="that are tested")
    parser.add_argument("--out", type=Path, default=results.shipped())
    a = parser.parse_args(words)
    torch.set_num_threads(1)
    others = dict(str(pair).split("=", 1) for pair in a.other)
    models = {"LEAP": load(a.checkpoint), **{name: load(path) for name, path in others.items()}}
    if a.study == "summed" and len(models) != 2:
        parser.error("summed needs one --other NAME=checkpoint.")
    for row in _rows(a, models):
        print(results.write(row, a.out).name, row["scores"], flush=True)


def _rows(a: argparse.Namespace, models: dict[str, Trained]) -> list[Row]:
    leap, *others = models.values()
    if a.study == "refinement":
        return refinement_records(leap, a.dataset, a.seed, a.episodes)
    if a.study == "energy":
        return [energy_record(leap, a.dataset, a.seed, a.episodes)]
    if a.study == "constrained":
        return constrained_records(models, a.dataset, a.seed, a.episodes)
    if a.study == "summed":
        return summed_records(leap, others[0], a.dataset, a.seed, a.episodes)
    if a.study == "rooms":
        return generalization_records(models, a.dataset, a.seed, a.episodes)
    start = untrained(leap.model.config, a.seed)
    of = {"checkpoint": leap.card["sha256"]}
    return [leap_attention.record(leap.model, start, a.dataset, a.seed, **of)]


if __name__ == "__main__":
    main()
