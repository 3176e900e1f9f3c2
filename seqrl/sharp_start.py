"""Starting weights with which attention soon finds a token by its place and column.

A departure from Trajectory Transformer's code: from its small ones attention is still even after
500 updates.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

START, SHARPER = 0.5, 4.0  # size of embeddings at first; queries and keys, times the trunk's usual
WAVE = 100.0  # the longest wave of a place is so many times the shortest


@torch.no_grad()
def sharp_start(words: Iterable[nn.Embedding], position: nn.Embedding, trunk: nn.Module) -> None:
    """Gives a model's embeddings and its trunk's queries and keys their starting weights.

    Places begin as waves, so that a token some places back looks alike from everywhere.
    """
    places, D = position.weight.shape
    speed = torch.exp(-math.log(WAVE) * torch.arange(0, D, 2) / D)  # (D / 2,)
    angle = torch.arange(places)[:, None] * speed
    waves = torch.stack([angle.sin(), angle.cos()], -1).flatten(1)[:, :D]
    position.weight.copy_(START * waves)
    for embedding in words:
        nn.init.normal_(embedding.weight, std=START)
    for name, weight in trunk.named_parameters():
        if name.endswith(("attention.query.weight", "attention.key.weight")):
            weight.mul_(SHARPER)
