"""What the words of a mission attend to on the grid, measured; and whether it follows the words.

The encoder of every method lets each word, and G queries that the words vote for, attend over the
things on the map (`grid_encoder`). For "go to the red ball" the right place is known: the red ball.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from seqrl.encoders import GridEncoder, MapRecord
from seqrl.environments.missions import VOCABULARY
from seqrl.grid_encoder import BACKGROUND
from seqrl.windows import Batch

KINDS = {"door": 4, "key": 5, "ball": 6, "box": 7}  # MiniGrid's numbers
COLORS = ("red", "green", "blue", "purple", "yellow", "grey")  # in MiniGrid's order
PARTS = ("named thing", "same color", "same kind", "other things", "nothing")


def named(mission: Tensor) -> Tensor:
    """The first kind and color that missions name, (B, 2); -1 where they name none."""
    found = []
    for tokens in mission.tolist():
        words = [VOCABULARY[token] for token in tokens if token]
        kind = next((KINDS[word] for word in words if word in KINDS), -1)
        color = next((COLORS.index(word) for word in words if word in COLORS), -1)
        found.append((kind, color))
    return torch.tensor(found)


def cells(batch: Batch, of: Tensor) -> dict[str, Tensor]:
    """What each cell is to a thing `of` (B, 2) kind and color: (B, W, H) bool for `PARTS[:4]`."""
    map = batch.observations["map"].long()
    there = map[..., 0] >= BACKGROUND
    kind, color = (map[..., i] == of[:, i, None, None] for i in (0, 1))
    return {
        "named thing": there & kind & color,
        "same color": there & color & ~kind,
        "same kind": there & kind & ~color,
        "other things": there & ~kind & ~color,
    }


@torch.no_grad()
def looks(encoder: GridEncoder, batch: Batch) -> MapRecord:
    """What words and queries attend to on the maps of windows."""
    record = MapRecord()
    encoder.eval().scene(batch.observations, record)
    return record


def shares(attention: Tensor, parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Of attention (B, n, W, H) the share on each of `PARTS`, (B, n); together 1."""
    found = {name: (attention * at[:, None]).sum((2, 3)) for name, at in parts.items()}
    return found | {"nothing": 1 - attention.sum((2, 3))}


def even(batch: Batch, parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The shares, (B, 1), of attention that is spread evenly over the things on the map."""
    there = (batch.observations["map"][..., 0] >= BACKGROUND).float()
    return shares(there[:, None] / there.sum((1, 2), keepdim=True)[:, None], parts)


def of_words(words: Sequence[str], batch: Batch, record: MapRecord) -> Tensor:
    """(n,) the positions in missions at which one of the words stands, as (row, position) pairs."""
    assert record.word_attention is not None
    wanted = torch.tensor([VOCABULARY.index(word) for word in words])
    said = batch.observations["mission"][:, : record.word_attention.shape[1]]
    return torch.isin(said.long(), wanted).nonzero()


def exchanged(batch: Batch, generator: torch.Generator) -> tuple[Batch, Tensor]:
    """The same maps with missions that name another thing on them, and which, (B, 2).

    Only rows on whose map some thing differs from the named one in color and kind are kept; of
    those that do one is drawn. The words of color and kind are exchanged, nothing else.
    """
    of = named(batch.observations["mission"])
    rows, things = [], []
    for row, options in enumerate(cells(batch, of)["other things"]):
        places = options.nonzero()
        if len(places):
            x, y = places[int(torch.randint(len(places), (1,), generator=generator))].tolist()
            rows.append(row)
            things.append(batch.observations["map"][row, x, y, :2].long())
    kept = torch.tensor(rows)
    new = torch.stack(things)
    observations: dict[str, Any] = {k: x[kept] for k, x in batch.observations.items()}
    observations["mission"] = _renamed(observations["mission"], of[kept], new)
    return Batch(observations, *(x[kept] for x in batch[1:])), new


def _renamed(mission: Tensor, old: Tensor, new: Tensor) -> Tensor:
    words = {number: VOCABULARY.index(word) for word, number in KINDS.items()}
    colors = [VOCABULARY.index(word) for word in COLORS]
    changed = mission.clone()
    for row, ((k, c), (kind, color)) in enumerate(zip(old.tolist(), new.tolist())):
        changed[row][mission[row] == words[k]] = words[kind]
        changed[row][mission[row] == colors[c]] = colors[color]
    return changed
