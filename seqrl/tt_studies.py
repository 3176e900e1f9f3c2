"""Studies of Trajectory Transformer that its chapter shows as records.

How the search is tuned, how far the model imagines beside a single-step model, what bins cost, what
it attends to, how much context it needs, and the goal of MiniGrid's four rooms. They take minutes
each, so the page reads their records: `python -m seqrl.tt_studies --help` makes them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from seqrl import datasets, experiments, results, transitions, tt_attention
from seqrl.beam_search import BeamSearch
from seqrl.evaluation import EPISODES, VALIDATION, evaluate
from seqrl.results import Row
from seqrl.rollout import Policy
from seqrl.settings import Setting
from seqrl.shipped import path_of
from seqrl.trained import Trained, load
from seqrl.training import fit
from seqrl.trajectories import Trajectories, concatenate
from seqrl.tt_dynamics import SingleStep, SingleStepConfig, distance, imagined_states, wrong

PLANNING, DYNAMICS, BINS = "TT planning", "TT dynamics", "TT bins"  # methods, in records
CONTEXT = "TT context"
ROOMS = "MiniGrid-MultiRoom-N4-S5-v1"
ROOMS_DATA = f"{ROOMS}/expert+random"
ROOMS_EPISODES = {"expert": 1000, "random": 250}  # about as many steps of each
ROOMS_METHODS = ("bc", "dt", "tt")
CONTEXTS = (0, 1, 2, 5)  # executed transitions that the policy remembers
FEW = 8  # bins of a value, where what bins cost is asked
ONE = BeamSearch(beam=1, expand=1, horizon=1, cut=None, context=3)
SEARCHES: dict[str, dict[str, Any]] = {  # how actions are chosen, and the search's sizes
    "likeliest action": {"top_k": 1},
    "drawn action": {},
    "likeliest sequence": {"beam": 4, "horizon": 2},
    **{
        f"plan, beam {beam}, horizon {horizon}": {"beam": beam, "horizon": horizon}
        for beam, horizon in ((4, 3), (16, 1), (16, 3), (16, 5), (64, 3))
    },
}


def search_of(name: str) -> BeamSearch:
    """The search of one of `SEARCHES`; ValueError for another name."""
    if name not in SEARCHES:
        raise ValueError(f"unknown search {name!r}; there are {', '.join(SEARCHES)}.")
    planned = {"expand": 2, "cut": 0.6} if name.startswith("plan") else {}
    return replace(ONE, **{**planned, **SEARCHES[name]})


def policy_of(model: Any, name: str) -> Policy:
    """A model's policy with one of `SEARCHES`."""
    return model.policy(search_of(name), imitating=name == "likeliest sequence")


def planning_record(
    trained: Trained, dataset: str, seed: int, name: str, episodes: int, stream: str = VALIDATION
) -> Row:
    """A trained model's episodes with one of `SEARCHES`; it is not trained again."""
    start = time.process_time()
    found = evaluate(policy_of(trained.model, name), trained.env, episodes, stream=stream)
    seconds = time.process_time() - start
    cpu = {"cpu_ms_per_action": 1000 * seconds / int(found.lengths.sum())}
    config = {"search": name, "stream": stream}
    return experiments.tested_record(PLANNING, dataset, seed, config, found, trained, cpu)


def context_record(trained: Trained, dataset: str, seed: int, k: int, episodes: int) -> Row:
    """A trained model's test episodes where it remembers k executed transitions."""
    search = replace(trained.model.config.search, context=k)
    found = evaluate(trained.model.policy(search), trained.env, episodes)
    return experiments.tested_record(CONTEXT, dataset, seed, {"context": k}, found, trained)


def single_step(data: Trajectories, seed: int, size: Setting, progress: bool = False) -> SingleStep:
    """The single-step model, trained as every method of the protocol is."""
    config = SingleStepConfig.for_data(data, size.width, context=size.context)
    model = experiments.untrained(config, seed)
    assert isinstance(model, SingleStep)
    windows = experiments.sampler(model, data, size.augment)
    fit(model, windows, seed=seed, progress=progress, **size.recipe)
    return model


def dynamics_record(trained: Trained, dataset: str, seed: int, episodes: int) -> Row:
    """How wrong TT and a single-step model of the same data are after 1, 2, … imagined steps.

    Both begin with one real state of a held-out episode and get its actions; nothing is corrected
    on the way. A state is wrong where position, heading or carried thing is not exactly right.
    """
    data = experiments.dataset(dataset)
    size = experiments.setting(data, {"steps": trained.card["recipe"]["steps"]})
    other = single_step(data, seed, size)
    batches = tt_attention.batches_of(trained.env, trained.model.config.context, episodes)
    scores: dict[str, float] = {}
    outcomes: dict[str, list[float]] = {}
    for name, imagine in {
        "TT": lambda batch: imagined_states(trained.model, batch),
        "single step": other.imagine,
    }.items():
        states = [imagine(batch) for batch in batches]
        misses = torch.cat([wrong(s, b) for s, b in zip(states, batches)])
        cells = torch.cat([distance(s, b) for s, b in zip(states, batches)])
        for h in range(1, misses.shape[1]):
            scores[f"{name}: wrong after {h}"] = float(misses[:, h].float().mean())
            scores[f"{name}: cells after {h}"] = float(cells[:, h].mean())
            outcomes[f"{name}: wrong after {h}"] = misses[:, h].int().tolist()
    config = {"episodes": episodes, "steps": size.steps}
    more = {"checkpoint": trained.card["sha256"]}
    return results.record(
        DYNAMICS, dataset, seed, config=config, scores=scores, episodes=outcomes, **more
    )


def bins_record(dataset: str, seed: int, kind: str, episodes: int, **changes: Any) -> Row:
    """A run of the protocol whose value tokens have `FEW` bins of a kind; tested on validation."""
    data = experiments.dataset(dataset)
    size = experiments.setting(data, changes, "tt")
    config = experiments.METHODS["tt"].config(data, size)
    few = transitions.columns(data, config.discount, config.columns[:4], FEW, kind)  # type: ignore[arg-type]
    model: Any = experiments.untrained(replace(config, columns=few), seed)
    sample = experiments.sampler(model, data, size.augment)
    history = fit(model, sample, seed=seed, progress=False, **size.recipe)
    found = evaluate(model.policy(), data.info["env"], episodes, stream=VALIDATION)
    return results.record(
        BINS,
        dataset,
        seed,
        config={"kind": kind, "bins": FEW, "stream": VALIDATION},
        scores=found.scores,
        episodes=found.episodes,
        seconds=history.seconds,
        setting=asdict(size),
    )


def rooms(episodes: dict[str, int] | None = None) -> Trajectories:
    """Data of the four rooms: a goal-reaching policy's episodes, and a random one's."""
    wanted = episodes or ROOMS_EPISODES
    parts = [datasets.load(f"{ROOMS}/{kind}", n, progress=False) for kind, n in wanted.items()]
    return concatenate(parts)


def rooms_record(method: str, seed: int, episodes: int, keep: Path, **changes: Any) -> Row:
    """A method of the protocol on the four rooms: trained on `rooms`, tested on held-out maps.

    `keep`: where its checkpoints go; the same call goes on from there.
    """
    data, folder = rooms(), keep / f"{method}-rooms-seed{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    size = experiments.setting(data, changes, method)
    trained, history = experiments.train(method, data, seed, size, folder)
    tried = experiments.choose_target(trained, data, folder / "model.safetensors")
    found = experiments.test(trained, episodes)
    more: dict[str, Any] = {
        "seconds": history.seconds,
        "setting": asdict(size),
        "targets_tried": tried,
    }
    return experiments.tested_record(method, ROOMS_DATA, seed, changes, found, trained, **more)


def rooms_model() -> Trained:
    """The Trajectory Transformer of the four rooms, seed 0, as it comes with the package."""
    return load(path_of("tt", ROOMS, ROOMS_DATA.rpartition("/")[2]))


def main(words: Sequence[str] | None = None) -> None:
    """Makes the records of one study, and writes them into a folder."""
    parser = argparse.ArgumentParser(prog="seqrl.tt_studies", description=main.__doc__)
    studies = ("planning", "context", "dynamics", "attention", "bins", "rooms")
    parser.add_argument("study", choices=studies)
    parser.add_argument("dataset", nargs="?", default=ROOMS_DATA, help="LEVEL/KIND")
    parser.add_argument("--seed", type=int, default=0, help="the model's training seed")
    parser.add_argument("--checkpoint", type=Path, help="the trained model, where one is looked at")
    parser.add_argument("--episodes", type=int, default=EPISODES)
    parser.add_argument("--methods", nargs="*", default=ROOMS_METHODS, help="of rooms")
    parser.add_argument("--searches", nargs="*", default=list(SEARCHES), help="of planning")
    parser.add_argument("--stream", choices=(VALIDATION, "test"), default=VALIDATION)
    parser.add_argument("--out", type=Path, default=results.shipped())
    a = parser.parse_args(words)
    torch.set_num_threads(1)
    if a.study not in ("bins", "rooms") and a.checkpoint is None:
        parser.error(f"{a.study} needs a --checkpoint.")
    for row in _rows(a):
        print(results.write(row, a.out).name, row["scores"], flush=True)


def _rows(a: argparse.Namespace) -> Iterator[Row]:
    if a.study == "bins":
        yield from (bins_record(a.dataset, a.seed, k, a.episodes) for k in ("uniform", "quantile"))
        return
    if a.study == "rooms":
        keep = a.out / "scratch"
        yield from (rooms_record(m, a.seed, a.episodes, keep) for m in a.methods)
        return
    trained = load(a.checkpoint)
    start = experiments.untrained(trained.model.config, a.seed)
    about = (trained, a.dataset, a.seed)
    if a.study == "planning":
        yield from (planning_record(*about, x, a.episodes, a.stream) for x in a.searches)
    elif a.study == "context":
        yield from (context_record(*about, k, a.episodes) for k in CONTEXTS)
    elif a.study == "dynamics":
        yield dynamics_record(*about, a.episodes)
    else:
        yield tt_attention.record(trained.model, start, a.dataset, a.seed)


if __name__ == "__main__":
    main()
