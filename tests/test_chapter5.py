"""Chapter 5: each of its labeled equations holds in numbers."""

import itertools
import math

import numpy as np
import pytest
import torch

from seqrl.energy_search import draw, energies, together
from seqrl.known_plans import KnownPlans

torch.set_num_threads(1)
ROW = torch.tensor([0])


def table(seed=0, H=3, V=3):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand([V] * H, generator=generator, dtype=torch.float64) ** 3


def test_eq_leap_energy():
    p = table() / table().sum()
    for a, b, c in itertools.product(range(3), repeat=3):
        by_hand = -sum(
            math.log(p[a, b, c] / others.sum()) for others in (p[:, b, c], p[a, :, c], p[a, b])
        )
        assert float(energies(KnownPlans(p), torch.tensor([[a, b, c]]), ROW)) == pytest.approx(
            by_hand, abs=1e-5
        )


def test_eq_leap_loss():
    """With exact conditionals H times the loss of a plan is -log p of the plan."""
    known = KnownPlans(table())
    plan = torch.tensor([[2, 0, 1]])
    H, loss = 3, 0.0
    for count in range(1, H + 1):
        sets = list(itertools.combinations(range(H), count))
        for chosen in sets:
            hidden = torch.tensor([[i in chosen for i in range(H)]])
            log_p = known(plan, hidden, ROW)[0]
            mean = sum(float(log_p[i, plan[0, i]]) for i in chosen) / count
            loss -= mean / (H * len(sets))
    at = (known.plans == plan).all(1)
    assert H * loss == pytest.approx(-float(known.p[at].log()), abs=1e-9)


def test_eq_leap_resampling():
    log_p = torch.tensor([0.5, 0.3, 0.2]).log()
    uniform = (torch.arange(20_000) + 0.5) / 20_000
    for beta in (0.5, 1.0, 3.0):
        heat = torch.full((20_000,), 1 / beta)
        drawn = draw(log_p.expand(20_000, 3), heat, uniform)
        shares = np.bincount(drawn.numpy(), minlength=3) / 20_000
        expected = log_p.exp() ** beta / (log_p.exp() ** beta).sum()
        assert shares == pytest.approx(expected.numpy(), abs=1e-3)


def test_eq_leap_added():
    a, b, each = KnownPlans(table(0)), KnownPlans(table(1)), torch.zeros(27, dtype=torch.int64)
    bad = a.plans[:, 0] == 2

    def lava(plans, rows):
        return torch.where(plans[:, 0] == 2, 5.0, 0.0)

    total = energies(together(a, b), a.plans, each, lava)
    apart = energies(a, a.plans, each) + energies(b, a.plans, each) + 5.0 * bad
    assert torch.allclose(total, apart, atol=1e-5)
