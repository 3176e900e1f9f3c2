"""Plans under a known distribution: their conditionals are exact."""

import pytest
import torch

from seqrl.known_plans import KnownPlans

torch.set_num_threads(1)


def test_conditionals_are_those_of_the_table():
    p = torch.tensor([[0.2, 0.2, 0.2], [0.0, 0.4, 0.0], [0.0, 0.0, 0.0]])
    known = KnownPlans(p)
    plan, row = torch.tensor([[0, 1]]), torch.tensor([0])
    both = known(plan, torch.tensor([[True, True]]), row).exp()
    assert torch.allclose(both[0, 0], torch.tensor([0.6, 0.4, 0.0]).double())
    assert torch.allclose(both[0, 1], torch.tensor([0.2, 0.6, 0.2]).double())
    first = known(plan, torch.tensor([[True, False]]), row).exp()[0, 0]
    assert torch.allclose(first, torch.tensor([1 / 3, 2 / 3, 0.0]).double())
    undecided = known(torch.tensor([[-1, 1]]), torch.tensor([[False, False]]), row).exp()
    assert torch.allclose(undecided[0, 0], first)


def test_shares_count_every_plan():
    known = KnownPlans(torch.ones(2, 2, 2))
    assert known.plans.tolist()[5] == [1, 0, 1] and float(known.p.sum()) == 1
    shares = known.shares(torch.tensor([[1, 0, 1], [1, 0, 1], [0, 0, 0], [1, 1, 1]]))
    assert shares.tolist() == [0.25, 0, 0, 0, 0, 0.5, 0, 0.25]


@pytest.mark.parametrize("p", [torch.ones(2, 3), -torch.ones(2, 2), torch.zeros(2, 2)])
def test_what_is_no_distribution_is_refused(p):
    with pytest.raises(ValueError, match="no number below 0"):
        KnownPlans(p)
