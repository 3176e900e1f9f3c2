"""Attention maps, recorded and measured: where a model reads, as numbers with intervals.

Nothing here asks which method it holds. `record` finds the trunk inside a model and notes what it
does while the model runs. Measures take `Maps` and give one number per window and head, so that
an interval is over windows. A measure says little alone: `controls` has what it is held against,
and `seqrl.interventions` asks whether the model needs what it reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from seqrl.intervals import Interval, bootstrap
from seqrl.interventions import changed, resampled, visible
from seqrl.seeds import derive
from seqrl.transformer import Record

Run = Callable[[Any], Any]  # batch -> anything; calls the trunk on the way
Measure = Callable[["Maps"], Tensor]  # maps -> (B, heads), NaN where a window has nothing to tell


@dataclass(frozen=True)
class Maps:
    """One layer's maps of B windows; a row whose mask is empty is left out of every measure.

    `weights` (B, heads, Q, T), rows sum to 1; `mask` (B or 1, Q, T) bool, True where a query may
    look; `queries` (Q,) the tokens that ask, all T unless told. ValueError says what does not fit.
    """

    weights: Tensor
    mask: Tensor
    queries: Tensor | None = None

    def __post_init__(self) -> None:
        if self.weights.ndim != 4:
            raise ValueError(f"weights are (B, heads, Q, T), not {tuple(self.weights.shape)}.")
        B, _, Q, T = self.weights.shape
        mask = self.mask[None] if self.mask.ndim == 2 else self.mask
        if mask.dtype != torch.bool or mask.shape not in ((B, Q, T), (1, Q, T)):
            raise ValueError(
                f"a mask is bool, ({Q}, {T}) or ({B}, {Q}, {T}) for these weights; "
                f"got {mask.dtype} {tuple(self.mask.shape)}."
            )
        if self.queries is None and Q != T:
            raise ValueError(f"{Q} queries and {T} keys: say in `queries` which tokens ask.")
        queries = torch.arange(T) if self.queries is None else torch.as_tensor(self.queries)
        if queries.shape != (Q,) or not ((queries >= 0) & (queries < T)).all():
            raise ValueError(f"`queries` must be {Q} positions from 0 to {T - 1}.")
        if (self.weights * ~mask[:, None]).abs().max() > 1e-6:
            raise ValueError("weights are not 0 where the mask hides a key: not of this mask?")
        if (self.weights.sum(-1) > 1 + 1e-3).any():
            raise ValueError("rows of weights sum to more than 1: scores instead of a softmax?")
        object.__setattr__(self, "mask", mask)
        object.__setattr__(self, "queries", queries)

    def where(self, asked: Tensor) -> Maps:
        """Only these queries count, (Q,) or (B, Q) bool: state tokens, or steps that are real."""
        Q = self.weights.shape[2]
        if asked.dtype != torch.bool or asked.shape not in ((Q,), (len(self.weights), Q)):
            raise ValueError(f"`asked` is bool, ({Q},) or (B, {Q}); got {tuple(asked.shape)}.")
        asked = asked if asked.ndim == 2 else asked[None]
        weights = self.weights * asked[:, None, :, None]
        return Maps(weights, self.mask & asked[..., None], self.queries)

    def rows(self, queries: slice) -> Maps:
        """The maps of some of the queries alone, as if no other had been recorded."""
        assert self.queries is not None
        return Maps(self.weights[:, :, queries], self.mask[:, queries], self.queries[queries])

    def without_first(self) -> Maps:
        """Column 0, a classic sink, taken out, and what is left of every row made to sum to 1."""
        mask = self.mask.clone()
        mask[..., 0] = False
        weights = self.weights * mask[:, None]
        return Maps(weights / weights.sum(-1, keepdim=True).clamp(min=1e-9), mask, self.queries)

    def uniform(self) -> Maps:
        """The same windows, every query's attention spread evenly over the keys that it sees."""
        even = self.mask / self.mask.sum(-1, keepdim=True).clamp(min=1)
        return Maps(even[:, None].expand_as(self.weights).clone(), self.mask, self.queries)


# Measures


def band_mass(maps: Maps, band: Tensor) -> Tensor:
    """(B, heads): attention that falls into `band`, mean over the queries that can look into it.

    `band` (Q, T) or (B, Q, T) bool: the keys where it is expected, query by query.
    """
    B, _, Q, T = maps.weights.shape
    if band.dtype != torch.bool or band.shape not in ((Q, T), (1, Q, T), (B, Q, T)):
        raise ValueError(f"a band is bool, ({Q}, {T}) or ({B}, {Q}, {T}); not {tuple(band.shape)}.")
    band = band if band.ndim == 3 else band[None]
    return _mean((maps.weights * band[:, None]).sum(-1), (maps.mask & band).any(-1))


def offset_band(maps: Maps, *distances: int) -> Tensor:
    """(Q, T) bool: the keys so many tokens before the query (1 the last one, -1 the next)."""
    return torch.isin(_distance(maps), torch.tensor(distances))


def column_mass(maps: Maps, labels: ArrayLike) -> dict[Any, Tensor]:
    """(B, heads) per label: attention to the columns that have it. The shares sum to 1.

    `labels`: a word or number for each token, (T,), (B, T) or, where the query decides, (B, Q, T).
    """
    B, _, Q, T = maps.weights.shape
    names = np.asarray(labels)
    if names.shape not in ((T,), (B, T), (B, Q, T)):
        raise ValueError(f"labels are ({T},), ({B}, {T}) or ({B}, {Q}, {T}); not {names.shape}.")
    bare = [i for i, name in enumerate(names.ravel().tolist()) if name in (None, "")]
    if bare:
        where = tuple(int(i) for i in np.unravel_index(bare[0], names.shape))
        raise ValueError(f"the token at {where[0] if len(where) == 1 else where} has no label.")
    kinds = names.reshape((1,) * (3 - names.ndim) + names.shape)
    if names.ndim == 2:
        kinds = names[:, None]
    seen = maps.mask.any(-1)
    return {
        kind: _mean((maps.weights * torch.as_tensor(kinds == kind)[:, None]).sum(-1), seen)
        for kind in dict.fromkeys(names.ravel().tolist())
    }


def distance_mass(maps: Maps) -> dict[int, Tensor]:
    """(B, heads) per distance, of the queries that have a key there; below 0 lies the future."""
    distance = _distance(maps)
    seen = distance[maps.mask.any(0)].unique().tolist()
    return {d: band_mass(maps, distance == d) for d in seen}


def direction_mass(maps: Maps) -> dict[str, Tensor]:
    """(B, heads) for "past", "self" and "future"; together 1."""
    distance, seen = _distance(maps), maps.mask.any(-1)
    parts = {"past": distance > 0, "self": distance == 0, "future": distance < 0}
    return {name: _mean((maps.weights * part).sum(-1), seen) for name, part in parts.items()}


def entropy(maps: Maps, relative: bool = False) -> Tensor:
    """(B, heads): mean entropy of a row in nats, or relative to that of uniform attention.

    0 where one key gets everything. Relative, only queries that see two keys or more count.
    """
    rows = torch.special.entr(maps.weights).sum(-1)  # (B, heads, Q)
    visible = maps.mask.sum(-1)
    if not relative:
        return _mean(rows, visible > 0)
    return _mean(rows / visible.clamp(min=2).log()[:, None], visible > 1)


def _distance(maps: Maps) -> Tensor:
    assert maps.queries is not None
    return maps.queries[:, None] - torch.arange(maps.weights.shape[-1])  # (Q, T)


def _mean(rows: Tensor, counted: Tensor) -> Tensor:
    """Mean of (B, heads, Q) over the queries that count, (B or 1, Q); NaN where none does."""
    counted = counted[:, None].expand_as(rows)
    return torch.where(counted, rows, 0).sum(-1) / counted.sum(-1)


def interval(*seeds: Tensor, level: float = 0.95) -> Interval:
    """A measure's mean over heads and windows, with a bootstrap over windows.

    Each argument is what a measure gave for one trained network; windows without a number are left
    out. Windows are drawn again within each network: the interval does not cover other networks.
    seeds: (windows,) or (windows, ...) each.
    """
    strata = []
    for values in seeds:
        windows = values.flatten(1).mean(1) if values.ndim > 1 else values
        strata.append(windows[~windows.isnan()].numpy(force=True))
    if not strata or any(len(windows) == 0 for windows in strata):
        raise ValueError("no window has a query that this measure could count.")
    return bootstrap(strata, level=level)


def table(
    measures: Mapping[str, Measure], sources: Mapping[str, Maps | Sequence[Maps]]
) -> list[dict[str, Any]]:
    """A row for each measure of each source: estimate, low, high, windows.

    A source is the maps of one network, or those of several trained from different seeds.
    """
    rows = []
    for measured, measure in measures.items():
        for name, source in sources.items():
            values = [measure(maps) for maps in ([source] if isinstance(source, Maps) else source)]
            numbers = interval(*values)._asdict()
            count = sum(int((~value.isnan().any(-1)).sum()) for value in values)
            rows.append({"measure": measured, "maps": name, **numbers, "windows": count})
    return rows


# Recording


def record(model: nn.Module, batches: Iterable[Any], run: Run | None = None) -> list[Maps]:
    """The maps of every layer while run(batch), else model.loss(batch), sees each of the batches.

    The model is put into evaluation mode meanwhile. All calls of its trunk must have as many
    tokens and read the same ones; their windows are put together, on the CPU.
    """
    run = run or model.loss  # type: ignore[assignment]
    calls: list[tuple[dict[str, Any], Record]] = []

    def note(call: dict[str, Any]) -> None:
        if call["cache"] is not None:
            raise ValueError("maps are recorded of whole sequences, without a cache.")
        call["record"] = Record()
        calls.append((call, call["record"]))

    with changed(model, note), _still(model):
        for batch in batches:
            run(batch)  # type: ignore[misc]
    if not calls:
        raise ValueError("nothing was recorded: no batch, or a run that never calls the trunk.")
    shapes = {(call["x"].shape[1], kept.attention[-1].shape[2]) for call, kept in calls}
    if len(shapes) > 1:
        raise ValueError(f"calls differ in (tokens, tokens read): {sorted(shapes)}.")
    layers = len(calls[0][1].attention)
    return [_joined(calls, layer, layer == layers - 1) for layer in range(layers)]


def _joined(calls: list[tuple[dict[str, Any], Record]], layer: int, last: bool) -> Maps:
    weights = torch.cat([kept.attention[layer].cpu() for _, kept in calls])
    read = calls[0][0]["read"] if last else slice(None)
    queries = torch.arange(calls[0][0]["x"].shape[1])[read]
    masks = [visible(call["mask"], call["x"])[:, read].cpu() for call, _ in calls]
    if all(len(mask) == 1 and torch.equal(mask, masks[0]) for mask in masks):
        return Maps(weights, masks[0], queries)
    sizes = [len(call["x"]) for call, _ in calls]
    every = torch.cat([mask.expand(n, -1, -1) for mask, n in zip(masks, sizes)])
    return Maps(weights, every, queries)


def controls(
    model: nn.Module, untrained: nn.Module, batches: Iterable[Any], *,
    layer: int = -1, run: Callable[[nn.Module], Run] | None = None, seed: int = 0,
) -> dict[str, Maps]:  # fmt: skip
    """One layer's maps of a trained network, and of what a pattern in them is held against.

    "shuffled": each token from another window. "untrained": the same network before training.
    "uniform": even attention over the keys that are seen. `run`: model -> (batch -> anything).
    """
    batches = list(batches)

    def maps(network: nn.Module) -> Maps:
        return record(network, batches, run and run(network))[layer]

    trained = maps(model)
    generator = torch.Generator().manual_seed(derive("test", "shuffled", seed))
    with resampled(model, generator):
        shuffled = maps(model)
    return {
        "trained": trained,
        "shuffled": shuffled,
        "untrained": maps(untrained),
        "uniform": trained.uniform(),
    }


@contextmanager
def _still(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; the mode before comes back."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)
