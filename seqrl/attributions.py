"""Three pictures of where an answer comes from: raw attention, rollout, and gradients times maps.

A raw map is one layer's. Rollout multiplies the maps of all layers, half of each token kept where
it is (Abnar and Zuidema, 2020). A gradient-weighted map keeps the weights that would raise the
answer (Chefer et al., 2021, their equation 5, here of the last layer alone). None of them is a
proof: `seqrl.interventions` asks what happens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from seqrl.attention_maps import Maps
from seqrl.interventions import changed
from seqrl.transformer import Record
from seqrl.windows import Batch


def rollout(layers: Sequence[Maps]) -> Tensor:
    """How much of each first token reaches each query of the last layer: (B, Q, T), rows sum to 1.

    Heads are averaged; a block passes on half of what it read and half of what was there.
    """
    reached: Tensor | None = None
    for maps in layers:
        assert maps.queries is not None
        read = maps.weights.mean(1)  # (B, Q, T)
        stays = torch.eye(read.shape[-1])[maps.queries]  # (Q, T)
        step = (read + stays) / 2
        reached = step if reached is None else step @ reached
    if reached is None:
        raise ValueError("rollout needs the maps of at least one layer.")
    return reached


def gradient_weighted(
    model: nn.Module, batch: Batch, answer: Callable[[Batch], Tensor]
) -> Tensor:  # fmt: skip
    """The last layer's weights times their gradients, where positive: (B, Q, T), rows sum to 1.

    answer: batch -> (B, Q), a number for each query, whose gradient is taken. Heads are averaged; a
    row without a positive part is 0.
    """
    kept: list[Record] = []

    def note(call: dict[str, Any]) -> None:
        kept.append(Record(graph=True))
        call["record"] = kept[-1]

    model.eval()
    with torch.enable_grad(), changed(model, note):
        total = answer(batch).sum()
    weights = kept[0].attention[-1]
    (gradient,) = torch.autograd.grad(total, weights)
    useful = (weights * gradient).clamp(min=0).mean(1).detach()  # (B, Q, T)
    return useful / useful.sum(-1, keepdim=True).clamp(min=1e-12)


def likeliest(model: Any) -> Callable[[Batch], Tensor]:
    """batch -> (B, K), log-probability of the action that a DT finds likeliest at each step."""
    return lambda batch: model(batch).log_softmax(-1).amax(-1)
