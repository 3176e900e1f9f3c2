"""The book's protocol: what one run is, from its method, dataset and seed to its record.

Every method gets the same data, the same augmentation, the same encoder, windows and number of
updates. A return to ask for, where a method needs one, is chosen on maps of the data and never on
test maps; every one that was tried is in the record. What is scored is the last checkpoint, after
rounding to float16, on the same test episodes for all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock  # PyTorch brings it

from seqrl import checkpoints, datasets, results
from seqrl.augment import augment
from seqrl.decision_transformer import DecisionTransformer
from seqrl.delayed import SUFFIX, delayed
from seqrl.encoders import FlatEncoder
from seqrl.environments.locomotion import robot_of
from seqrl.evaluation import EPISODES, VALIDATION, Evaluation
from seqrl.methods import METHODS
from seqrl.seeds import derive
from seqrl.settings import TARGETS, Setting, usual
from seqrl.sweep import Run
from seqrl.trained import CONDITIONED, Trained, choose_device, load
from seqrl.training import History, fit
from seqrl.trajectories import Trajectories

# Episodes of a dataset in the protocol; of robots all.
SIZES = {"expert": 500, "mixed": 10_000, "random": 10_000}
QUANTILES = (0.5, 0.75, 0.9, 1.0)  # of the data's returns: the targets that are tried
TRIALS, ROBOT_TRIALS = 100, 10  # validation episodes of each target
TEST_SEED = 0  # of the protocol's test episodes


def dataset(name: str) -> Trajectories:
    """LEVEL/KIND with the protocol's number of episodes, or LEVEL/KIND-N with N episodes.

    With -delayed behind it, all reward comes at the end; see `delayed`.
    """
    exists = Path(name).exists()
    if name.endswith(SUFFIX) and not exists:
        return delayed(dataset(name.removesuffix(SUFFIX)))
    match = None if exists else re.fullmatch(r"(.+/[a-z-]*[a-z])-(\d+)", name)
    robot = not exists and robot_of(name)
    size = None if robot else SIZES.get(name.rpartition("/")[2])
    name, size = (match[1], int(match[2])) if match else (name, size)
    with _one_at_a_time(name) if robot else nullcontext():
        return datasets.load(name, episodes=size, progress=False)


@contextmanager
def _one_at_a_time(name: str) -> Iterator[None]:
    """Lets only one process make a dataset; those that wait find it made.

    A robot's takes all cores for minutes, and the runs of a sweep begin with the same one.
    """
    lock = FileLock(datasets.home() / "locks" / f"{name.replace('/', '-')}.lock")
    try:
        Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError:  # where nothing can be kept, nobody can wait for it
        pass
    try:
        yield
    finally:
        lock.release()


def check(config: Mapping[str, Any], method: str | None = None) -> None:
    """ValueError for a field of `Setting` that there is not or cannot be so, or a method."""
    if method is not None and method not in METHODS:
        raise ValueError(f"unknown method {method!r}; there are {', '.join(METHODS)}.")
    known = {field.name for field in fields(Setting)}
    if unknown := [name for name in config if name not in known]:
        raise ValueError(f"unknown field {unknown[0]!r}; a run has {', '.join(sorted(known))}.")
    Setting(**config)


def setting(data: Trajectories, config: Mapping[str, Any], method: str | None = None) -> Setting:
    """The sizes for a dataset and a method, some replaced; ValueError for one that there is not."""
    check(config, method)
    size = usual(data.info.get("env"), len(data))
    if "agent" not in data.observations:
        size = replace(size, augment=False)
    own = METHODS[method].own(data.info.get("env")) if method else {}
    return replace(size, **{**own, **config})


def usual_episodes(method: str, env: str) -> int:
    """Test episodes of a method on an environment, unless told; any name of a method is taken."""
    own = METHODS[method].own(env) if method in METHODS else {}
    return int(own.get("episodes", usual(env, 0).episodes))


def work(run: Run, scratch: Path, progress: bool = False, device: str | None = None) -> results.Row:
    """Does one run: trains, chooses the target, tests; returns the record. For `sweep.sweep`.

    device: see `trained.choose_device`.
    """
    data = dataset(run.dataset)
    size = setting(data, run.config, run.method)
    at = choose_device(data.info.get("env"), device)
    trained, history = train(run.method, data, run.seed, size, scratch, progress, at)
    tried = choose_target(trained, data, scratch / "model.safetensors")
    tested = test(trained, size.episodes)
    return tested_record(
        run.method,
        run.dataset,
        run.seed,
        run.config,
        tested,
        trained,
        {"loss": float(history.loss[-size.steps // 10 :].mean())},
        seconds=history.seconds,
        setting=asdict(size),
        parameters=sum(p.numel() for p in trained.model.parameters()),
        targets_tried=tried,
        device=str(at),
    )


def part_of(method: str, data: Trajectories) -> Trajectories:
    """What of the data a method is trained on."""
    return METHODS[method].part_of(data)


def train(
    method: str,
    data: Trajectories,
    seed: int,
    size: Setting,
    scratch: Path,
    progress: bool = False,
    device: torch.device | str = "cpu",
) -> tuple[Trained, History]:
    """Trains a method and rounds it; `scratch` keeps the run, and the model: model.safetensors.

    The same call goes on where it was stopped. The model stays on the device. ValueError for an
    unknown method.
    """
    check({}, method)
    part = part_of(method, data)
    config = METHODS[method].config(part, size)
    model = untrained(config, seed)
    if isinstance(model.encoder, FlatEncoder):
        model.encoder.fit(part.observations["state"])
    run = scratch / "run.safetensors"
    card = {"data": {**checkpoints.data_card(part), "augmented": size.augment}, "method": method}
    history = fit(
        model,
        sampler(model, part.to(device), size.augment),
        seed=seed,
        device=device,
        precision=METHODS[method].precision,
        checkpoint_path=run,
        card=card,
        progress=progress,
        **size.recipe,
    )
    _, card = checkpoints.load(run)
    card.pop("progress")
    path = scratch / "model.safetensors"
    checkpoints.save_model(path, model, card)
    return load(path, device), history


def untrained(config: Any, seed: int, kind: type[Any] | None = None) -> Any:
    """A model as training with this seed begins; the caller's random numbers stay.

    kind: the model's class where it is another than the config builds.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive("train", "weights", seed))
        return kind(config) if kind else config.build()


def sampler(model: Any, data: Trajectories, augmented: bool) -> Any:
    """What `fit` trains a method on: (batch, generator) -> windows, or what it samples itself."""
    K = model.config.context
    # A model with memory that never has to forget sees at test time only whole episodes.
    whole = isinstance(model, DecisionTransformer) and int(data.lengths.max()) <= K

    def windows(batch: int, generator: torch.Generator) -> Any:
        if hasattr(model, "sample"):
            drawn = model.sample(data, batch, generator)
        else:
            drawn = data.windows(K, batch, generator, whole=whole)
        return augment(drawn, generator) if augmented else drawn

    return windows


def targets(data: Trajectories) -> list[float]:
    """The returns that are tried: `QUANTILES` of those in the data, the lowest first.

    Of robots what Decision Transformer's code asks for, and the largest return in the data.
    """
    robot = robot_of(data.info.get("env", ""))
    if robot:
        return sorted({*map(float, TARGETS[robot.name]), float(data.returns.max())})
    return sorted({float(data.returns.quantile(q)) for q in QUANTILES})


def choose_target(
    trained: Trained, data: Trajectories, path: Path, trials: int | None = None
) -> list[dict[str, float]]:
    """Sets the target return that does best on validation episodes, and keeps it in the card.

    Of equals among `targets` the lower one is taken. Returns what each gave; nothing where the
    method asks for no return. trials: episodes of each, `TRIALS` (of robots `ROBOT_TRIALS`).
    """
    if type(trained.model).__name__ not in CONDITIONED:
        return []
    if trials is None:
        trials = ROBOT_TRIALS if robot_of(data.info.get("env", "")) else TRIALS
    tried = []
    for target in targets(data):
        found = trained.evaluate(trials, target=target, stream=VALIDATION)
        tried.append({"target_return": target, **found.scores})
    chosen = max(tried, key=lambda row: row["mean_return"])["target_return"]
    trained.card["target_return"] = chosen
    trained.card["sha256"] = checkpoints.save_model(path, trained.model, trained.card)
    return tried


def test(trained: Trained, episodes: int = EPISODES, seed: int = TEST_SEED) -> Evaluation:
    """The protocol's test episodes, on the environment that the model was made for."""
    return trained.evaluate(episodes, seed)


def tested_record(
    method: str,
    dataset: str,
    seed: int,
    config: Mapping[str, Any],
    tested: Evaluation,
    trained: Trained,
    scores: Mapping[str, float] | None = None,
    **more: Any,
) -> results.Row:
    """A trained model's episodes as a record; `scores` beside those of the episodes."""
    return results.record(
        method,
        dataset,
        seed,
        config=dict(config),
        scores={**tested.scores, **(scores or {})},
        episodes=tested.episodes,
        target_return=trained.target,
        checkpoint=trained.card["sha256"],
        **more,
    )
