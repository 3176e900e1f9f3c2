"""What Decision Transformer needs of its tokens where actions are numbers: interventions.

As `dt_attention.effects`, but a loss is a squared error, and what moves is an action: by how much
of its range of 2, as the root of the mean square over all joints.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from seqrl.decision_transformer import DecisionTransformer
from seqrl.dt_attention import LEAST_LOSS, knocked_out
from seqrl.windows import Batch

LESS = 0.5  # of the return-to-go, where another is asked for


class Effect(NamedTuple):
    """What an intervention changes, mean over all real steps."""

    loss: float  # the squared error of an action afterwards
    change: float  # relative to what it was
    moved: float  # root mean square of how far actions move, of a range of 2

    @property
    def verdict(self) -> str:
        """Held where the loss is changed by 1 % at least."""
        return "held" if self.change >= LEAST_LOSS else "not held"


def outputs(model: DecisionTransformer, batches: Sequence[Batch]) -> Tensor:
    """The actions that are predicted for all real steps, (steps, M), in [-1, 1]."""
    with torch.no_grad():
        return torch.cat([model.eval()(batch)[batch.mask].tanh() for batch in batches])


def effects(
    model: DecisionTransformer, batches: Sequence[Batch], seed: int = 0
) -> dict[str, Effect]:
    """What happens if half the return is asked for, and if R̂ or past actions are taken away."""
    scaled = model.config.actions.scaled
    taken = torch.cat([scaled(batch.actions)[batch.mask] for batch in batches])
    before = outputs(model, batches)
    loss = (before - taken).square().mean()

    def effect(after: Tensor) -> Effect:
        now = (after - taken).square().mean()
        moved = (after - before).square().mean().sqrt()
        return Effect(float(now), float(now / loss - 1), float(moved))

    asked = [b._replace(returns_to_go=LESS * b.returns_to_go) for b in batches]
    found = {"nothing": effect(before), "half of R̂": effect(outputs(model, asked))}
    lost = knocked_out(model, batches, outputs, seed)
    return found | {name: effect(after) for name, after in lost.items()}
