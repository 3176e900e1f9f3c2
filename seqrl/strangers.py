"""What models meet that their data did not have: bigger and fuller rooms, and missions held out.

`python -m seqrl.strangers --help` makes the records that chapter 7 shows. In the room nothing is
learned anew. For the missions the methods are trained again, on the same data without the episodes
whose mission names one of `HELD_OUT`, and without augmentation, which would exchange colors and
kinds until every mission had been seen. The things themselves stay on the maps.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from seqrl import experiments, results
from seqrl.environments.levels import BIGGER
from seqrl.environments.missions import decode_mission
from seqrl.evaluation import EPISODES, evaluate
from seqrl.intervals import Interval, wilson
from seqrl.results import Row
from seqrl.trained import Trained, load
from seqrl.trajectories import Trajectories

ROOMS, MISSIONS = "other rooms", "held-out missions"  # methods, in records
HELD_OUT = ("red ball", "green box", "blue key")  # three of eighteen


def names_held_out(data: Trajectories) -> np.ndarray:
    """Which episodes have a mission with one of `HELD_OUT` in it, (episodes,) bool."""
    missions = (decode_mission(row) for row in data.context["mission"].numpy())
    return np.array([any(thing in mission for thing in HELD_OUT) for mission in missions])


def room_records(
    models: Mapping[str, Trained], dataset: str, seed: int, episodes: int
) -> Iterator[Row]:
    """Test episodes of each model in rooms that are bigger or fuller than the data's."""
    for level in BIGGER:
        for name, trained in models.items():
            run = evaluate(trained.policy(), level, episodes)
            config = {"level": level, "of": name}
            yield experiments.tested_record(ROOMS, dataset, seed, config, run, trained)


def mission_record(
    method: str, dataset: str, seed: int, hold_out: bool, episodes: int, **config: int
) -> Row:
    """One method, trained with or without the held-out missions, on test episodes of both kinds.

    `config`: fields of `settings.Setting`. The record's episodes say which were "named", those
    whose mission names something of `HELD_OUT`.
    """
    data = experiments.dataset(dataset)
    if hold_out:
        data = data.select(torch.from_numpy(~names_held_out(data)).nonzero()[:, 0])
    size = experiments.setting(data, {"augment": False, **config}, method)
    with tempfile.TemporaryDirectory() as folder:
        trained, history = experiments.train(method, data, seed, size, Path(folder))
        tried = experiments.choose_target(trained, data, Path(folder) / "model.safetensors")
        run = experiments.test(trained, episodes)
    named = names_held_out(run.trajectories).astype(int).tolist()
    return results.record(
        MISSIONS,
        dataset,
        seed,
        config={"of": method, "held out": hold_out},
        scores=run.scores,
        episodes={**run.episodes, "named": named},
        seconds=history.seconds,
        target_return=trained.target,
        targets_tried=tried,
        checkpoint=trained.card["sha256"],
    )


def of_named(run: Row) -> list[float]:
    """Success on a record's test episodes whose mission names what was held out."""
    episodes = run["episodes"]
    return [x for x, has in zip(episodes["success"], episodes["named"]) if has]


def share(runs: Sequence[Row], named: bool) -> Interval | None:
    """Success on the test episodes whose mission names what was held out, or on the others."""
    outcomes = [
        success
        for run in runs
        for success, has in zip(run["episodes"]["success"], run["episodes"]["named"])
        if bool(has) == named
    ]
    return wilson(int(sum(outcomes)), len(outcomes)) if outcomes else None


def main(words: Sequence[str] | None = None) -> None:
    """Makes the records of one study, and writes them into a folder."""
    parser = argparse.ArgumentParser(prog="seqrl.strangers", description=main.__doc__)
    parser.add_argument("study", choices=("rooms", "missions"))
    parser.add_argument("dataset", help="LEVEL/KIND to train on, or that models were trained on")
    parser.add_argument("of", nargs="+", help="rooms: NAME=checkpoint; missions: methods")
    parser.add_argument("--seed", type=int, default=0, help="the training seed")
    parser.add_argument("--episodes", type=int, default=EPISODES, help="that are tested")
    parser.add_argument("--out", type=Path, default=results.shipped())
    a = parser.parse_args(words)
    torch.set_num_threads(1)
    for row in _rows(a):
        print(results.write(row, a.out).name, row["scores"], flush=True)


def _rows(a: argparse.Namespace) -> Iterator[Row]:
    if a.study == "rooms":
        pairs = (pair.split("=", 1) for pair in a.of)
        models = {name: load(path) for name, path in pairs}
        yield from room_records(models, a.dataset, a.seed, a.episodes)
    else:
        for method in a.of:
            for hold_out in (True, False):
                yield mission_record(method, a.dataset, a.seed, hold_out, a.episodes)


if __name__ == "__main__":
    main()
