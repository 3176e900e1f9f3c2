"""Three claims about attention, each as a number: in every layer and head, with controls, causally.

    DT    vertical stripes on the returns-to-go: it checks the return that is asked for
    TT    diagonal bands: it looks at the immediate past
    LEAP  a grid over the plan: each position looks at the plan's past and future

A claim's number is a share of attention. Where it is higher than in even attention and before
training it is *seen*; where it is higher than in shuffled windows too, it is about what the tokens
say. Whether the model needs it is asked by interventions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from seqrl import attention_maps, dt_attention, leap_attention, tt_attention
from seqrl.attention_maps import Maps, Measure
from seqrl.dt_attention import Effect, effect
from seqrl.intervals import Interval, bootstrap
from seqrl.interventions import hidden, pattern
from seqrl.results import Row
from seqrl.windows import Batch

METHODS = ("DT", "TT", "LEAP")
SOURCES = ("trained", "shuffled", "untrained", "uniform")
VERDICTS = ("no", "place", "content")  # what a head shows of its claim


class Claim(NamedTuple):
    """What is said of a method, and where its number stands in the records of three chapters."""

    pattern: str  # as it was named
    share: str  # of attention: what is counted
    record: str  # METHOD of the records
    score: str  # in those, with the source in place of {}
    tests: Mapping[str, str]  # interventions: their name on the page, and in those records


CLAIMS = {
    "DT": Claim(
        "vertical stripes: it checks the desired return",
        "on returns-to-go",
        dt_attention.METHOD,
        "{}: all R̂",
        {"another return is asked": "R̂ -10", "R̂ resampled": "R̂ resampled", "R̂ hidden": "R̂ hidden"},
    ),
    "TT": Claim(
        "diagonal bands: it looks at the immediate past",
        "on the last transition",
        tt_attention.METHOD,
        "{}: last transition",
        {f"{k} kept, {part}": f"{k} kept, {part}" for k in (5, 1) for part in ("state", "action")},
    ),
    "LEAP": Claim(
        "a grid: it looks at past and future of the plan",
        "on the rest of the plan",
        leap_attention.METHOD,
        "one mask, {}: past + one mask, {}: future",
        {f"{g} {how}": f"{g} {how}" for g in ("future", "past") for how in ("hidden", "resampled")},
    ),
}


def measure(method: str, model: Any) -> Measure:
    """The share of attention that a method's claim is about, (B, heads) of `Maps`."""
    if method == "DT":
        return dt_attention.measures(model.config.context)["all R̂"]
    if method == "TT":
        layout = model.layout
        T = model.config.context * layout.C - 1
        return tt_attention.measures(layout, T)["last transition"]
    of = leap_attention.measures()
    return lambda maps: of["past"](maps) + of["future"](maps)


def layer_maps(
    method: str, model: Any, untrained: nn.Module, batches: Sequence[Batch], layer: int
) -> dict[str, Maps]:
    """One layer's maps of the queries that a claim is about, from each of `SOURCES`.

    DT's state tokens, TT's tokens after the first transition, LEAP's one hidden action.
    """
    if method == "DT":
        return dt_attention.last_layer(model, untrained, batches, layer=layer)
    if method == "TT":
        return tt_attention.last_layer(model, untrained, batches, layer=layer)
    return leap_attention.last_layer(model, untrained, batches, "one mask", layer=layer)


def shares(
    method: str, model: Any, untrained: nn.Module, batches: Sequence[Batch]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The claim's share in every layer and head, (layers, B, heads), from each of `SOURCES`.

    The same a second time without column 0, a classic sink.
    """
    count = measure(method, model)
    layers = range(model.config.trunk.layers)
    maps = [layer_maps(method, model, untrained, batches, layer) for layer in layers]
    return (
        {k: torch.stack([count(of[k]) for of in maps]) for k in SOURCES},
        {k: torch.stack([count(of[k].without_first()) for of in maps]) for k in SOURCES},
    )


def by_head(found: Mapping[str, Tensor]) -> list[dict[str, Any]]:
    """A row for each layer and head: an interval over windows for each source, and a verdict.

    found: source to (layers, windows, heads).
    """
    layers, _, heads = found["trained"].shape
    rows = []
    for layer in range(layers):
        for head in range(heads):
            own = {k: attention_maps.interval(x[layer, :, head]) for k, x in found.items()}
            rows.append({"layer": layer, "head": head, **own, "verdict": verdict(own)})
    return rows


def verdict(own: Mapping[str, Interval]) -> str:
    """Which of `VERDICTS`: "place" where shuffled windows, which fit nothing, show it as well."""
    if own["trained"].low <= max(own["uniform"].high, own["untrained"].high):
        return "no"
    return "content" if own["trained"].low > own["shuffled"].high else "place"


def overall(*networks: Mapping[str, Tensor]) -> dict[str, Interval]:
    """Each source's mean over layers, heads and windows; an interval over windows.

    Networks are several training seeds; windows are drawn again within each.
    networks: source to (layers, windows, heads).
    """
    return {
        source: attention_maps.interval(*(of[source].nanmean((0, 2)) for of in networks))
        for source in networks[0]
    }


def recorded(records: Iterable[Row], method: str, dataset: str) -> list[Row]:
    """The records of a claim's measures on a dataset, one a training seed, in their order."""
    runs = [r for r in records if (r["method"], r["dataset"]) == (CLAIMS[method].record, dataset)]
    return sorted(runs, key=lambda run: run["seed"])


def of_record(run: Row, method: str, source: str) -> float:
    """The claim's share in the last layer that a record has."""
    names = CLAIMS[method].score.replace("{}", source).split(" + ")
    return sum(run["scores"][name] for name in names)


def over_seeds(values: Sequence[float]) -> Interval | None:
    """The mean over training seeds with a bootstrap interval; None where there is only one."""
    return bootstrap([values]) if len(values) > 1 else None


def tested(run: Row, method: str) -> dict[str, Effect]:
    """What the interventions of a claim did, from a record; by their names on the page."""
    scores = run["scores"]
    return {
        shown: Effect(*(scores[f"{name}: {part}"] for part in Effect._fields))
        for shown, name in CLAIMS[method].tests.items()
    }


# Other maps


def answers(
    method: str, model: Any, batches: Sequence[Batch]
) -> tuple[Callable[[], Tensor], Tensor]:
    """A function that gives log-probabilities (n, …, V) of what is predicted, and the targets.

    DT: actions of all steps; TT: the last transition, without its value; LEAP: one hidden action.
    """
    if method == "DT":
        targets = torch.cat([batch.actions[batch.mask] for batch in batches])
        return lambda: dt_attention.outputs(model, batches), targets
    if method == "TT":
        known = slice(model.layout.value)
        targets = tt_attention.last_outputs(model, batches)[1][:, known]
        return lambda: tt_attention.last_outputs(model, batches)[0][:, known], targets
    masks = [batch.mask & leap_attention.masked(batch, "one mask") for batch in batches]
    targets = torch.cat([batch.actions[mask] for batch, mask in zip(batches, masks)])
    return lambda: leap_attention.answers(model, batches), targets


def other_maps(method: str, model: Any, batches: Sequence[Batch]) -> dict[str, Effect]:
    """What is lost where a layer, or every layer, reads evenly or by another window's map."""
    answer, targets = answers(method, model, batches)
    before, found = answer(), {}
    layers = model.config.trunk.layers
    for how in ("even", "another"):
        for layer in (*range(layers), None):
            with pattern(model, how, layer):
                name = "all layers" if layer is None else f"layer {layer}"
                found[f"{how}, {name}"] = effect(before, answer(), targets)
    return found


def last_transition_hidden(model: Any, batches: Sequence[Batch]) -> dict[str, Effect]:
    """What Trajectory Transformer loses where the transition before the last one is hidden.

    The same is done to the one before that, to see what any damage of this kind costs.
    """
    layout, K = model.layout, batches[0].mask.shape[1]
    before, targets = tt_attention.last_outputs(model, batches)
    step = torch.arange(K * layout.C - 1) // layout.C
    found = {}
    for back, name in ((1, "last"), (2, "one before")):
        with hidden(model, step == K - 1 - back):
            after, _ = tt_attention.last_outputs(model, batches)
        for part, at in (("state", layout.state), ("action", layout.action)):
            found[f"{name} hidden, {part}"] = effect(before[:, at], after[:, at], targets[:, at])
    return found


# How a pattern grows


def growth(batches: Sequence[Batch], kept: Sequence[int]) -> Callable[..., Any]:
    """A hook for `training.fit`: after these updates, what `grown` finds of a DT."""
    return lambda step, network: grown(network, batches) if step in kept else None


def grown(model: Any, batches: Sequence[Batch]) -> dict[str, Any]:
    """Of a Decision Transformer now: its mean map and share on R̂ in each layer, and two numbers.

    "maps" (layers, K, 3K); "share" (layers,); "loss", and "kl", by which another return moves it.
    """
    count = measure("DT", model)
    real = torch.cat([batch.mask for batch in batches])
    layers = [dt_attention.at_states(maps) for maps in attention_maps.record(model, batches)]
    asked = [b._replace(returns_to_go=(b.returns_to_go + dt_attention.SHIFT) * b.mask)
             for b in batches]  # fmt: skip
    answer, targets = answers("DT", model, batches)
    before = answer()
    lost = effect(before, dt_attention.outputs(model, asked), targets)
    return {
        "maps": [mean_map(maps.where(real)) for maps in layers],
        "share": [float(count(maps.where(real)).nanmean()) for maps in layers],
        "loss": effect(before, before, targets).loss,
        "kl": lost.kl,
    }


def mean_map(maps: Maps) -> Tensor:
    """The mean over heads and over the windows in which a query counts, (Q, T)."""
    counted = maps.mask.any(-1).expand(len(maps.weights), -1).sum(0).clamp(min=1)  # (Q,)
    return maps.weights.mean(1).sum(0) / counted[:, None]
