"""A distribution over plans whose every probability is known, to hold searches and energies to."""

from __future__ import annotations

import torch
from torch import Tensor


class KnownPlans:
    """Exact conditionals of p, one axis of V actions for each of H positions. For `energy_search`.

    `plans` (V^H, H) are all plans there are, `p` (V^H,) their probabilities. ValueError where the
    axes differ or p is no distribution.
    """

    def __init__(self, p: Tensor) -> None:
        if len(set(p.shape)) != 1 or bool((p < 0).any()) or not float(p.sum()) > 0:
            raise ValueError("p has as many actions on each axis, and no number below 0.")
        (self.V, *_), self.H = p.shape, p.ndim
        actions = torch.arange(self.V)
        self.plans = torch.cartesian_prod(*[actions] * self.H).view(-1, self.H)
        self.p = (p.double() / p.double().sum()).flatten()

    def __call__(self, plans: Tensor, hidden: Tensor, rows: Tensor) -> Tensor:
        """log p of every action at every position given what is not hidden, (R, H, V)."""
        unknown = hidden | (plans < 0)
        fits = unknown[:, None] | (self.plans == plans[:, None])  # (R, V^H, H)
        found = []
        for i in range(self.H):
            others = torch.cat([fits[..., :i], fits[..., i + 1 :]], -1).all(-1)
            is_action = torch.nn.functional.one_hot(self.plans[:, i], self.V).double()
            found.append((others * self.p) @ is_action)
        shares = torch.stack(found, 1)  # (R, H, V)
        return (shares / shares.sum(-1, keepdim=True)).log()

    def shares(self, plans: Tensor) -> Tensor:
        """How often each of all plans occurs among (R, H), (V^H,): to be held against p."""
        place = self.V ** torch.arange(self.H - 1, -1, -1)
        return torch.bincount((plans * place).sum(1), minlength=len(self.p)) / len(plans)
