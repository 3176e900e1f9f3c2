"""Three studies of the Decision Transformer that the chapter shows as records.

How much context it needs (a trained model, driven with less), what happens when all reward comes at
the end, and whether Key-to-Door's last room is read back to the step that took the key. They take
minutes each, so the page reads their records: `python -m seqrl.dt_studies --help` makes them.
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
import torch.nn.functional as F
from torch import Tensor, nn

from seqrl import attention_maps, datasets, experiments, results
from seqrl.attention_maps import Maps
from seqrl.decision_transformer import DecisionTransformer
from seqrl.dt_attention import Effect, outputs
from seqrl.environments.key_to_door import PHASES, events
from seqrl.evaluation import EPISODES, Evaluation, evaluate
from seqrl.interventions import hidden
from seqrl.results import Row
from seqrl.seeds import derive
from seqrl.trained import Trained, load
from seqrl.trajectories import Trajectories
from seqrl.windows import Batch, Windows

CONTEXT, KEY = "DT context", "DT key"  # methods, in records
CONTEXTS = (1, 2, 4, 8)  # steps that the policy remembers
END = {"reward": "end"}  # config of a run whose reward comes at the end of an episode
DELAYED = ("dt", "rvs", "iql")
ROOMS = ("first room", "second room", "last room")
FEWEST = 20  # episodes behind a curve
LAST = PHASES[0] + PHASES[1]  # the first step of the room with the door


def provenance(runs: Sequence[Row]) -> str:
    """What made some records, in a sentence: runs, seeds, commits, hardware, days."""

    def all_of(name: str) -> str:
        return ", ".join(sorted({str(run[name]) for run in runs}))

    if not runs:
        return "Not recorded yet."
    commits = ", ".join(sorted({(run["commit"] or "no checkout")[:7] for run in runs}))
    days = sorted({run["time"][:10] for run in runs})
    return (
        f"Recorded: {len(runs)} runs, training seeds {all_of('seed')}, commit {commits}, "
        f"{all_of('hardware')}, {' to '.join(dict.fromkeys((days[0], days[-1])))}."
    )


# Context


def context_record(trained: Trained, dataset: str, seed: int, k: int, episodes: int) -> Row:
    """A trained model's test episodes when it remembers k steps; it is not trained again.

    Windows begin at any step of an episode, so a model has seen every length up to its own.
    """
    tested = evaluate(trained.policy(context=k), trained.env, episodes)
    return _record(CONTEXT, dataset, seed, {"context": k}, tested, trained)


# Delayed reward


def end_record(method: str, dataset: str, seed: int, **config: Any) -> Row:
    """A run of the protocol, but on data and maps whose reward is one number at the end.

    The episodes and their actions are those of the usual run: only the reward differs.
    `config`: fields of `experiments.Setting`.
    """
    kind = dataset.rpartition("/")[2]
    data = datasets.load(dataset, experiments.SIZES[kind], reward="end", progress=False)
    size = experiments.setting(data, config)
    with tempfile.TemporaryDirectory() as folder:
        trained, history = experiments.train(method, data, seed, size, Path(folder))
        tried = experiments.choose_target(trained, data, Path(folder) / "model.safetensors")
        tested = experiments.test(trained, size.episodes)
    more = {"seconds": history.seconds, "setting": asdict(size), "targets_tried": tried}
    return _record(method, dataset, seed, END | config, tested, trained, **more)


def _record(
    method: str,
    dataset: str,
    seed: int,
    config: dict[str, Any],
    tested: Evaluation,
    trained: Trained,
    **more: Any,
) -> Row:
    return results.record(
        method,
        dataset,
        seed,
        config=config,
        scores=tested.scores,
        episodes=tested.episodes,
        target_return=trained.target,
        checkpoint=trained.card["sha256"],
        **more,
    )


# The key, seen from the door


def solved(trajectories: Trajectories) -> tuple[Batch, Tensor]:
    """Whole episodes of Key-to-Door that succeeded, and the step that took the key in each, (B,).

    ValueError where none did.
    """
    key, door = events(trajectories)
    chosen = np.flatnonzero((key >= 0) & (door >= 0))
    if not len(chosen):
        raise ValueError("no episode has both the key and the door.")
    first = trajectories.offsets[:-1][torch.from_numpy(chosen)]
    return Windows(trajectories, sum(PHASES))(first), torch.from_numpy(key[chosen])


def tokens_of(step: Tensor, T: int) -> Tensor:
    """(B, T) bool: the three tokens R̂, s, a of one step of each window, step (B,)."""
    return torch.arange(T) // 3 == step[:, None]


def on_step(maps: Maps, step: Tensor) -> Tensor:
    """(B, heads): attention on the tokens of a step of each window, (B,); NaN where outside."""
    T = maps.weights.shape[-1]
    band = tokens_of(step, T)[:, None].expand(-1, maps.weights.shape[2], -1)
    return attention_maps.band_mass(maps, band)


def _on_room(room: str) -> attention_maps.Measure:
    """The measure of the attention on all steps of one of `ROOMS`."""
    labels = np.repeat(np.repeat(ROOMS, PHASES), 3)  # (T,)
    return lambda maps: attention_maps.column_mass(maps, labels)[room]


def other_step(key: Tensor, seed: int = 0) -> Tensor:
    """Of each episode another step of the first room, drawn evenly: the key's control, (B,)."""
    generator = torch.Generator().manual_seed(derive("test", "hide", seed))
    shift = torch.randint(1, PHASES[0], key.shape, generator=generator)
    return (key + shift) % PHASES[0]


def last_room(batch: Batch) -> Tensor:
    """(B, K) bool: the real steps in the room with the door."""
    return batch.mask & (batch.timesteps >= LAST)


def step_hidden(model: DecisionTransformer, batch: Batch, step: Tensor) -> Effect:
    """What actions in the last room lose where nothing sees the tokens of a step, (B,)."""
    asked = batch._replace(mask=last_room(batch))
    actions, before = batch.actions[asked.mask], outputs(model, [asked])
    with hidden(model, tokens_of(step, 3 * batch.mask.shape[1])):
        after = outputs(model, [asked])
    loss, new = F.nll_loss(before, actions).item(), F.nll_loss(after, actions).item()
    kl = F.kl_div(after, before, reduction="batchmean", log_target=True).item()
    return Effect(new, new / loss - 1, kl)


def key_record(
    trained: Trained, untrained: nn.Module, dataset: str, seed: int, episodes: int
) -> Row:
    """Attention of the last room's state tokens on the step that took the key, with controls.

    Looked at are the solved ones of `episodes` test episodes that the model itself drove. Kept are
    the mass on that step, on another of the first room and on every step, and what hiding either
    does to the last room's actions.
    """
    driven = trained.evaluate(episodes)
    batch, key = solved(driven.trajectories)
    asked, other = last_room(batch), other_step(key, seed)
    found = attention_maps.controls(trained.model, untrained, [batch], seed=seed)
    maps = {name: one.where(asked) for name, one in found.items()}
    measures = {
        "key": lambda one: on_step(one, key),
        "key, no column 0": lambda one: on_step(one.without_first(), key),
        "other step": lambda one: on_step(one, other),
        **{room: _on_room(room) for room in ROOMS},
    }
    rows = attention_maps.table(measures, maps)
    scores = {f"{row['maps']}: {row['measure']}": row["estimate"] for row in rows}
    for name, step in (("key", key), ("other step", other)):
        for field, value in step_hidden(trained.model, batch, step)._asdict().items():
            scores[f"{name} hidden: {field}"] = value
    curves = {name: by_step(one, key) for name, one in maps.items()}
    config = {"layer": "last", "episodes": episodes}
    scores |= {"episodes": float(len(key)), "success": float(driven.success.mean())}
    more = {
        "taken": key.tolist(),
        "by_step": curves,
        "intervals": rows,
        "checkpoint": trained.card["sha256"],
    }
    return results.record(KEY, dataset, seed, config=config, scores=scores, **more)


def by_step(maps: Maps, key: Tensor) -> dict[str, list[float]]:
    """Mean mass on each of the 30 steps, apart for when the key was taken; not of few episodes."""
    mass = attention_maps.column_mass(maps, np.repeat(np.arange(sum(PHASES)), 3))
    table = torch.stack([one.mean(1) for one in mass.values()], 1)  # (B, 30)
    often = [step for step, count in enumerate(key.bincount().tolist()) if count >= FEWEST]
    return {str(step): table[key == step].nanmean(0).tolist() for step in often}


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
    parser.add_argument("study", choices=("context", "end", "key", "walkers"))
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
    model = load(a.checkpoint)
    start = experiments.untrained(model.model.config, a.seed)
    return [key_record(model, start, a.dataset, a.seed, a.episodes)]


if __name__ == "__main__":
    main()
