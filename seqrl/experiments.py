"""The book's protocol: what one run is, from its method, dataset and seed to its record.

Every method gets the same data, the same augmentation, the same encoder, windows and number of
updates. A return to ask for, where a method needs one, is chosen on maps of the data and never on
test maps; every one that was tried is in the record. What is scored is the last checkpoint, after
rounding to float16, on the same test episodes for all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import torch

from seqrl import checkpoints, datasets, results
from seqrl.augment import augment
from seqrl.beam_search import BeamSearch
from seqrl.decision_transformer import DecisionTransformer, DecisionTransformerConfig
from seqrl.encoders import FlatEncoder
from seqrl.evaluation import EPISODES, VALIDATION, Evaluation
from seqrl.imitation import BCConfig, RvSConfig, best, successful
from seqrl.iql import IQLConfig
from seqrl.leap import LEAPConfig
from seqrl.leap_return import ReturnLEAPConfig
from seqrl.seeds import derive
from seqrl.settings import Setting, usual
from seqrl.sweep import Run
from seqrl.trained import CONDITIONED, Trained, load
from seqrl.training import History, fit
from seqrl.trajectories import Trajectories
from seqrl.trajectory_transformer import TrajectoryTransformerConfig
from seqrl.transformer import TransformerConfig

SIZES = {"expert": 500, "mixed": 10_000, "random": 10_000}  # episodes of a dataset in the protocol
QUANTILES = (0.5, 0.75, 0.9, 1.0)  # of the data's returns: the targets that are tried
TRIALS = 100  # validation episodes of each target
TEST_SEED = 0  # of the protocol's test episodes


@dataclass(frozen=True)
class Method:
    """A method of the table: its config, and what of the data it is trained on."""

    name: str  # in tables and figures
    config: Callable[[Trajectories, Setting], Any]
    percent: float = 100.0  # of the data's steps, those of the best episodes
    successful: bool = False  # only episodes that succeeded
    other: Mapping[str, Any] = field(default_factory=dict)  # fields of `Setting` that are its own

    def __post_init__(self) -> None:
        if not 0 < self.percent <= 100:
            raise ValueError(f"percent must be above 0 and at most 100, not {self.percent}.")


def _decision_transformer(data: Trajectories, size: Setting) -> DecisionTransformerConfig:
    trunk = TransformerConfig(layers=size.layers, width=size.width, dropout=size.dropout)
    return DecisionTransformerConfig.for_data(data, context=size.context, trunk=trunk)


def _cloning(data: Trajectories, size: Setting) -> BCConfig:
    return BCConfig.for_data(data, size.width, context=size.context)


def _rvs(data: Trajectories, size: Setting) -> RvSConfig:
    return RvSConfig.for_data(data, size.width, context=size.context)


def _iql(data: Trajectories, size: Setting) -> IQLConfig:
    return IQLConfig.for_data(data, size.width, context=size.context)


def _trajectory_transformer(data: Trajectories, size: Setting) -> TrajectoryTransformerConfig:
    trunk = _four_heads(size)
    search = BeamSearch(beam=16, horizon=3, context=3)  # chosen on validation episodes
    return TrajectoryTransformerConfig.for_data(
        data, context=size.context, trunk=trunk, search=search
    )


def _leap(data: Trajectories, size: Setting) -> LEAPConfig:
    return LEAPConfig.for_data(data, horizon=5, trunk=_four_heads(size))


def _leap_with_return(data: Trajectories, size: Setting) -> ReturnLEAPConfig:
    return ReturnLEAPConfig.for_data(data, horizon=5, trunk=_four_heads(size))


def _four_heads(size: Setting) -> TransformerConfig:
    return TransformerConfig(
        size.layers, heads=4, width=size.width, activation="gelu", dropout=size.dropout
    )


# An action is one of five that share a loss, given any of 31 sets of the others: six times the
# updates at twice the rate. With 1,000 updates it was not done (validation episodes, its loss).
LONGER = {"steps": 3000, "lr": 2e-3}

METHODS: dict[str, Method] = {
    "bc": Method("BC", _cloning),
    "bc10": Method("10 %BC", _cloning, 10),
    "bc25": Method("25 %BC", _cloning, 25),
    "bc50": Method("50 %BC", _cloning, 50),
    "rvs": Method("RvS", _rvs),
    "iql": Method("IQL", _iql),
    "dt": Method("DT", _decision_transformer),
    "leap": Method("LEAP", _leap, successful=True, other=LONGER),
    "leap_return": Method("LEAP, return", _leap_with_return, other=LONGER),
    "bc_success": Method("BC, successes", _cloning, successful=True),
    "tt": Method("TT", _trajectory_transformer, other={"lr": 3e-3}),
}


def dataset(name: str) -> Trajectories:
    """LEVEL/KIND with the protocol's number of episodes, or LEVEL/KIND-N with N episodes."""
    match = re.fullmatch(r"(.+/[a-z]+)-(\d+)", name)
    if match and not Path(name).exists():
        return datasets.load(match[1], episodes=int(match[2]), progress=False)
    size = SIZES.get(name.rpartition("/")[2])
    return datasets.load(name, episodes=size, progress=False)


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
    own = METHODS[method].other if method else {}
    return replace(size, **{**own, **config})


def work(run: Run, scratch: Path, progress: bool = False) -> results.Row:
    """Does one run: trains, chooses the target, tests; returns the record. For `sweep.sweep`."""
    data = dataset(run.dataset)
    size = setting(data, run.config, run.method)
    trained, history = train(run.method, data, run.seed, size, scratch, progress)
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
    )


def part_of(method: str, data: Trajectories) -> Trajectories:
    """What of the data a method is trained on."""
    part = successful(data) if METHODS[method].successful else data
    percent = METHODS[method].percent
    return best(part, percent) if percent < 100 else part


def train(
    method: str,
    data: Trajectories,
    seed: int,
    size: Setting,
    scratch: Path,
    progress: bool = False,
) -> tuple[Trained, History]:
    """Trains a method and rounds it; `scratch` keeps the run, and the model: model.safetensors.

    The same call goes on where it was stopped. ValueError for an unknown method.
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
        sampler(model, part, size.augment),
        seed=seed,
        checkpoint_path=run,
        card=card,
        progress=progress,
        **size.recipe,
    )
    _, card = checkpoints.load(run)
    card.pop("progress")
    path = scratch / "model.safetensors"
    checkpoints.save_model(path, model, card)
    return load(path), history


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


def choose_target(
    trained: Trained, data: Trajectories, path: Path, trials: int = TRIALS
) -> list[dict[str, float]]:
    """Sets the target return that does best on validation episodes, and keeps it in the card.

    Tried are `QUANTILES` of the returns in the data; of equals the lower one is taken. Returns
    what each gave; nothing where the method asks for no return.
    """
    if type(trained.model).__name__ not in CONDITIONED:
        return []
    tried = []
    for target in sorted({float(data.returns.quantile(q)) for q in QUANTILES}):
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
