"""Where LEAP reads while it fills a mask, measured; and whether it needs what it reads there.

The claim: a distributed pattern shows that each position of a plan attends broadly to the past and
to the future of the plan. First how much attention lands there, with controls, for one masked
action and for all; then the future is hidden or comes from other plans.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from seqrl import attention_maps, results
from seqrl.attention_maps import Maps
from seqrl.dt_attention import EPISODES, WINDOWS, Effect, draw, effect, held_out
from seqrl.interventions import hidden as keys_hidden
from seqrl.interventions import resampled
from seqrl.leap import LEAP
from seqrl.results import Row
from seqrl.seeds import derive
from seqrl.windows import Batch

GROUPS = ("observed", "past", "self", "future")  # of a plan's position
MASKS = ("one mask", "all masks")
METHOD = "LEAP attention"  # in records


def plans(level: str, H: int, episodes: int = EPISODES, windows: int = WINDOWS) -> list[Batch]:
    """Windows of H steps, a plan each, of the expert's episodes on test maps."""
    return draw(held_out(level, episodes, noise=(0.0,)), H, windows)


def masked(batch: Batch, which: str) -> Tensor:
    """What is hidden of plans, (B, H) bool: everything, or one real action in turn."""
    B, H = batch.mask.shape
    if which == "all masks":
        return torch.ones(B, H, dtype=torch.bool)
    turn = torch.arange(B) % batch.mask.sum(1).clamp(min=1)
    return torch.arange(H) == turn[:, None]


def filled(model: Any, which: str) -> Callable[[Batch], Tensor]:
    """batch -> log p (B, H, V) of its plans with so much hidden, in one forward of the trunk."""

    def run(batch: Batch) -> Tensor:
        shown, _ = model.targets(batch)
        prefix = model.prefix(batch.observations, batch.returns_to_go)
        return model.log_p(prefix, model.shown(shown, masked(batch, which)))

    return run


def last_layer(
    model: LEAP,
    untrained: nn.Module,
    batches: Sequence[Batch],
    which: str,
    seed: int = 0,
    layer: int = -1,
) -> dict[str, Maps]:
    """A layer's maps at hidden positions that are real, with their controls; the last, unless told.

    Only the last layer leaves the queries of what is observed out by itself.
    """
    found = attention_maps.controls(
        model,
        untrained,
        batches,
        run=lambda network: filled(network, which),
        seed=seed,
        layer=layer,
    )
    asked = torch.cat([batch.mask & masked(batch, which) for batch in batches])
    plan = slice(-asked.shape[1], None)
    return {name: maps.rows(plan).where(asked) for name, maps in found.items()}


def each_hidden(model: Any, batch: Batch) -> list[Maps]:
    """Every layer's maps of plans, the row of each action from a forward in which it is hidden."""
    H = batch.mask.shape[1]
    plans, _ = model.targets(batch)
    prefix = model.prefix(batch.observations, batch.returns_to_go)
    layers: list[Maps] = []
    for i in range(H):
        tokens = model.shown(plans, (torch.arange(H) == i).expand_as(plans))
        found = attention_maps.record(model, [tokens], lambda x: model.log_p(prefix, x))
        layers = layers or found
        for kept, maps in zip(layers, found):
            kept.weights[:, :, i - H] = maps.weights[:, :, i - H]
    return layers


def groups(maps: Maps) -> list[list[str]]:
    """Which of `GROUPS` each token is to each position of the plan, (H, C + H)."""
    H, T = maps.weights.shape[2:]
    C, names = T - H, []
    for i in range(H):
        names.append(["observed"] * C + ["past"] * i + ["self"] + ["future"] * (H - 1 - i))
    return names


def measures() -> dict[str, Callable[[Maps], Tensor]]:
    """The share of attention on each of `GROUPS`, and the entropy relative to even attention.

    A measure gives (layers, windows, heads).
    """

    def on(group: str) -> Callable[[Maps], Tensor]:
        def measure(maps: Maps) -> Tensor:
            return attention_maps.column_mass(maps, [groups(maps)] * len(maps.weights))[group]

        return measure

    return {
        **{group: on(group) for group in GROUPS},
        "entropy": lambda maps: attention_maps.entropy(maps, relative=True),
    }


def columns(model: LEAP, batch: Batch, group: str) -> Tensor:
    """(B, T, T) bool: for each position of the plan the keys that are its past or its future."""
    H = model.config.horizon
    with torch.no_grad():
        C = model.prefix(batch.observations, batch.returns_to_go).shape[1]
    away = torch.zeros(C + H, C + H, dtype=torch.bool)
    later = torch.ones(H, H, dtype=torch.bool).triu(1)
    away[C:, C:] = later if group == "future" else later.T
    return away.expand(len(batch.mask), -1, -1)


def effects(model: LEAP, batches: Sequence[Batch], seed: int = 0) -> dict[str, Effect]:
    """What filling one mask costs where the plan's past or future is hidden, or another plan's.

    Hidden in every layer; for a resampled one the tokens come from other plans of the batch.
    """
    actions = torch.cat([b.actions[b.mask & masked(b, "one mask")] for b in batches])
    before = answers(model, batches)
    found = {"nothing": effect(before, before, actions)}
    for group in ("past", "future"):
        after = answers(model, batches, group)
        found[f"{group} hidden"] = effect(before, after, actions)
        generator = torch.Generator().manual_seed(derive("test", "resampled", seed))
        after = answers(model, batches, group, generator)
        found[f"{group} resampled"] = effect(before, after, actions)
    return found


@torch.no_grad()
def answers(
    model: LEAP,
    batches: Sequence[Batch],
    group: str | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """log p at the one hidden action of each plan, (B, V) of all batches.

    group: the part of the plan that is hidden meanwhile, or with a generator resampled.
    """
    model.eval()
    found = []
    for batch in batches:
        asked, run = batch.mask & masked(batch, "one mask"), filled(model, "one mask")
        if group is None:
            log_p = run(batch)
        elif generator is None:
            with keys_hidden(model, columns(model, batch, group)):
                log_p = run(batch)
        else:
            of_asked = columns(model, batch, group)[:, -asked.shape[1] :][asked]  # (B, T)
            with resampled(model, generator, of_asked):
                log_p = run(batch)
        found.append(log_p[asked])
    return torch.cat(found)


def record(model: LEAP, untrained: nn.Module, dataset: str, seed: int, **more: Any) -> Row:
    """One training seed's measures and effects on held-out plans, as a record of the book."""
    batches = plans(dataset.partition("/")[0], model.config.horizon)
    scores = {}
    for which in MASKS:
        maps = last_layer(model, untrained, batches, which, seed)
        for row in attention_maps.table(measures(), maps):
            scores[f"{which}, {row['maps']}: {row['measure']}"] = row["estimate"]
    for name, lost in effects(model, batches, seed).items():
        scores |= {f"{name}: {field}": value for field, value in lost._asdict().items()}
    config = {"layer": "last", "windows": WINDOWS, "episodes": EPISODES}
    return results.record(METHOD, dataset, seed, config=config, scores=scores, **more)
