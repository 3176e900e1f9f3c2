"""Does a Trajectory Transformer attend to the immediate past? Its last layer, measured.

The claim: strong diagonal bands show that the model looks at the immediate past. Two patterns were
named: a Markov one, where a prediction reads the last transition, and a striated one, where a
dimension reads the same dimension of earlier states and an action reads earlier actions (Janner et
al., 2021). Shares of attention are counted per head, with controls; then the context is cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from seqrl import attention_maps, results
from seqrl.attention_maps import Maps
from seqrl.dt_attention import Effect, effect, held_out
from seqrl.interventions import hidden
from seqrl.results import Row
from seqrl.tokens import Layout
from seqrl.tt_dynamics import whole_windows
from seqrl.windows import Batch

METHOD = "TT attention"  # in records
EPISODES = 400  # held out, a window of each that is long enough
KEPT = (1, 2, 5)  # transitions before the present one that are left
PATTERNS = ("Markov", "striated", "both", "neither")
MEASURES = ("last transition", "same dimension", "same, further back", "action to action")


def predicted(layout: Layout, T: int) -> Tensor:
    """(T,) int64: the column that each of T tokens predicts, the first an s¹."""
    return (torch.arange(T) + 1) % layout.C


def bands(layout: Layout, T: int) -> dict[str, Tensor]:
    """The keys of each of `MEASURES`, query by query: (T, T) bool.

    "last transition": the C tokens that end with the query. "same dimension": of a query that
    predicts a state column, that column of all earlier states; "further back": of those, what
    lies outside the last transition. "action to action": of one that predicts an action, actions.
    """
    place, C = torch.arange(T), layout.C
    distance = place[:, None] - place  # (T, T)
    past, column, wanted = distance >= 0, place % C, predicted(layout, T)
    same = past & (column == wanted[:, None])
    state = (wanted < layout.N)[:, None]
    action = ((wanted >= layout.N) & (wanted < layout.reward))[:, None]
    actions = (column >= layout.N) & (column < layout.reward)
    return {
        "last transition": past & (distance < C),
        "same dimension": same & state,
        "same, further back": same & state & (distance >= C),
        "action to action": past & action & actions,
    }


def measures(layout: Layout, T: int) -> dict[str, Callable[[Maps], Tensor]]:
    """Of each of `MEASURES` the share of attention, over the queries that can look there.

    A measure gives (layers, windows, heads).
    """

    def share(band: Tensor) -> Callable[[Maps], Tensor]:
        return lambda maps: attention_maps.band_mass(maps, band)

    found = {name: share(band) for name, band in bands(layout, T).items()}
    first = found["last transition"]
    return found | {"last transition, no column 0": lambda maps: first(maps.without_first())}


def later(layout: Layout, T: int) -> Tensor:
    """(T,) bool: queries that could look further back than one transition."""
    return torch.arange(T) >= layout.C


def last_layer(
    model: Any, untrained: nn.Module, batches: Sequence[Batch], seed: int = 0, layer: int = -1
) -> dict[str, Maps]:
    """A layer's maps of whole windows with their controls; only queries after the first C count.

    Before those every earlier token lies within one transition.
    """
    found = attention_maps.controls(model, untrained, batches, seed=seed, layer=layer)
    T = next(iter(found.values())).weights.shape[-1]
    return {name: maps.where(later(model.layout, T)) for name, maps in found.items()}


def by_head(layout: Layout, maps: dict[str, Maps]) -> list[dict[str, Any]]:
    """A row for each head: its shares, those of even attention, and which pattern it shows.

    A head is Markov where most of its attention stays within the last transition. It is striated
    where, further back, it reads the same dimension at least twice as much as even attention would.
    """
    T = maps["trained"].weights.shape[-1]
    shares = {
        source: {
            name: attention_maps.band_mass(maps[source], band).nanmean(0)  # (heads,)
            for name, band in bands(layout, T).items()
        }
        for source in ("trained", "uniform")
    }
    rows = []
    for h in range(maps["trained"].weights.shape[1]):
        own = {name: float(x[h]) for name, x in shares["trained"].items()}
        even = float(shares["uniform"]["same, further back"][h])
        markov, striated = own["last transition"] > 0.5, own["same, further back"] > 2 * even
        pattern = PATTERNS[(2 if striated else 0) if markov else (1 if striated else 3)]
        rows.append({"head": h, **own, "pattern": pattern})
    return rows


def far_hidden(layout: Layout, T: int, K: int, kept: int) -> Tensor:
    """(T,) bool: tokens more than `kept` transitions before the last one of a window of K."""
    return torch.arange(T) // layout.C < K - 1 - kept


def last_outputs(model: Any, batches: Iterable[Batch]) -> tuple[Tensor, Tensor]:
    """Log-probabilities and tokens of the last transition of whole windows, (B, C, V + 1), (B, C).

    The first column is predicted from the transition before.
    """
    found, targets = [], []
    C = model.layout.C
    with torch.no_grad():
        for batch in batches:
            tokens = model.eval().tokens(batch)
            logits = model(tokens.flatten(1)[:, :-1], model.world(batch.observations))
            found.append(logits[:, -C:].log_softmax(-1))
            targets.append(tokens[:, -1])
    return torch.cat(found), torch.cat(targets)


def cuts(model: Any, batches: Sequence[Batch]) -> dict[str, dict[str, Effect]]:
    """What is lost where only so many transitions before the last one are seen by anything.

    Hidden tokens are hidden from all others, in all layers, so nothing of them gets through. Of
    "state", "action" and "reward": the loss in nats a token, its change, and the divergence.
    """
    layout, K = model.layout, batches[0].mask.shape[1]
    parts = {"state": layout.state, "action": layout.action, "reward": slice(layout.reward, -1)}
    before, targets = last_outputs(model, batches)
    found = {}
    for kept in (K - 1, *KEPT, 0):
        with hidden(model, far_hidden(layout, K * layout.C - 1, K, kept)):
            after, _ = last_outputs(model, batches)
        found[str(kept)] = {
            name: effect(before[:, part], after[:, part], targets[:, part])
            for name, part in parts.items()
        }
    return found


def batches_of(level: str, K: int, episodes: int = EPISODES, size: int = 100) -> list[Batch]:
    """Whole windows of K steps of held-out episodes of mixed quality, in batches."""
    windows = whole_windows(held_out(level, episodes), K)
    count = len(windows.actions)
    return [_rows(windows, slice(i, i + size)) for i in range(0, count, size)]


def _rows(batch: Batch, rows: slice) -> Batch:
    observations = {name: x[rows] for name, x in batch.observations.items()}
    return Batch(observations, *(x[rows] for x in batch[1:]))


def record(model: Any, untrained: nn.Module, dataset: str, seed: int) -> Row:
    """One training seed's shares, patterns and effects on held-out windows, for the book."""
    layout, K = model.layout, model.config.context
    batches = batches_of(dataset.partition("/")[0], K)
    maps = last_layer(model, untrained, batches, seed)
    rows = attention_maps.table(measures(layout, K * layout.C - 1), maps)
    scores = {f"{row['maps']}: {row['measure']}": row["estimate"] for row in rows}
    for kept, effects in cuts(model, batches).items():
        for part, lost in effects.items():
            scores |= {f"{kept} kept, {part}: {k}": x for k, x in lost._asdict().items()}
    windows = sum(len(batch.actions) for batch in batches)
    config = {"layer": "last", "windows": windows, "episodes": EPISODES}
    heads = by_head(layout, maps)
    return results.record(METHOD, dataset, seed, config=config, scores=scores, heads=heads)
