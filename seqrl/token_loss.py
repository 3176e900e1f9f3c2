"""What a model of transitions is trained on: which tokens count, and how much."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from seqrl.tokens import Layout


def counted(mask: Tensor, terminations: Tensor, C: int) -> Tensor:
    """The tokens (B, K, C) that count, of steps (B, K) that are real or not.

    All of real steps; and where an episode has terminated the next token, which says stop. Not
    where one was cut off: what would have followed is not known.
    """
    counts = mask[..., None].repeat(1, 1, C)
    counts[:, 1:, 0] |= terminations[:, :-1]
    return counts


def token_loss(
    logits: Tensor, tokens: Tensor, counts: Tensor, layout: Layout, action_weight: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """The mean weighted cross-entropy of the tokens that count, and the plain one of each part.

    logits (B, K C - 1, V + 1) of every token but the first, tokens and counts (B, K, C). The mean
    is over tokens, whatever their weight, as in Trajectory Transformer's code. "accuracy": the
    share of action tokens that were likeliest.
    """
    logits, target, counts = logits.float(), tokens.flatten(1)[:, 1:], counts.flatten(1)[:, 1:]
    # What does not count may be a token that its column lacks: 0 in its place.
    safe = torch.where(counts, target, 0)
    ce = F.cross_entropy(logits.flatten(0, 1), safe.flatten(), reduction="none").view_as(target)
    column = torch.arange(1, target.shape[1] + 1, device=ce.device) % layout.C
    action = (column >= layout.N) & (column < layout.reward)
    weight = torch.where(action, action_weight, 1.0)
    loss = _mean(weight * ce, counts)
    parts = {
        "state_loss": column < layout.N,
        "action_loss": action,
        "reward_loss": column == layout.reward,
        "value_loss": column == layout.value,
    }
    info = {name: _mean(ce.detach(), counts & which) for name, which in parts.items()}
    right = (logits.detach().argmax(-1) == target).float()
    return loss, info | {"accuracy": _mean(right, counts & action)}


def _mean(x: Tensor, which: Tensor) -> Tensor:
    return torch.where(which, x, 0).sum() / which.sum().clamp(min=1)
