"""LEAP at the wheel, with a model whose plans are known: how long one is followed, and when not."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from seqrl.energy_search import GREEDY, Search
from seqrl.leap_policy import LEAPPolicy, plan_mask
from seqrl.policies import PolicyError
from seqrl.rollout import Step

H, END = 4, 9
ENDS = 7.0  # observed, the episode is expected to end after one action


class Counts(nn.Module):
    """From an observed number n it plans n, n + 1, n + 2, n + 3; from `ENDS` 7 and then the end."""

    def __init__(self):
        super().__init__()
        self.nothing = nn.Parameter(torch.zeros(1))
        self.config = SimpleNamespace(horizon=H, end=END, outputs=END + 1)
        self.encoder = SimpleNamespace(expected={"state": (1,)})
        self.asked = []  # the observations from which plans were made

    def conditionals(self, seen, asked):
        here = seen["state"].flatten()  # (E,)
        self.asked.append(here.tolist())
        wanted = here[:, None].long() + torch.arange(H)
        wanted[here == ENDS, 1:] = END

        def log_p(plans, hidden, rows):
            return nn.functional.one_hot(wanted[rows], END + 1).float().mul(50).log_softmax(-1)

        return log_p


def drive(policy, seen, first=None, active=None):
    """The actions (T, E) where (T, E) numbers are observed, whatever is done."""
    seen = np.asarray(seen, np.float32)
    T, E = seen.shape
    first = np.arange(T)[:, None] == np.zeros(E) if first is None else np.asarray(first, bool)
    active = np.ones((T, E), bool) if active is None else np.asarray(active, bool)
    none = np.zeros(E, np.int64)
    return [
        policy.act(Step({"state": seen[t, :, None]}, none * 0.0, first[t], none, active[t], none))
        .tolist()
        for t in range(T)
    ]  # fmt: skip


@pytest.mark.parametrize("search", [GREEDY, Search(3, 2)])
@pytest.mark.parametrize(
    ("execute", "taken", "asked"),
    [(1, [0, 5, 2, 4, 1], 5), (2, [0, 1, 2, 3, 1], 3), (3, [0, 1, 2, 4, 5], 2)],
)
def test_so_much_of_a_plan_is_executed_and_then_it_is_planned_anew(search, execute, taken, asked):
    model = Counts()
    policy = LEAPPolicy(model, search, execute=execute)
    assert [a for (a,) in drive(policy, [[0], [5], [2], [4], [1]])] == taken
    assert len(model.asked) == asked


def test_a_plan_that_ends_is_followed_by_a_new_one_at_once():
    model = Counts()
    policy = LEAPPolicy(model, GREEDY, execute=4)
    assert drive(policy, [[7], [2], [0], [0]]) == [[7], [2], [3], [4]]
    assert model.asked == [[7.0], [2.0]]


def test_rows_plan_when_they_need_to_and_an_episodes_start_drops_the_old_plan():
    model = Counts()
    policy = LEAPPolicy(model, GREEDY, execute=3)
    first = [[True, True], [False, False], [True, False], [False, False]]
    active = [[True, True], [True, True], [True, True], [True, False]]
    seen = [[0, 4], [8, 8], [3, 8], [8, 1]]
    assert drive(policy, seen, first, active) == [[0, 4], [1, 5], [3, 6], [4, 0]]
    assert model.asked == [[0.0, 4.0], [3.0]]  # the row that is not active asks for nothing


def test_what_it_expects_can_be_looked_at():
    policy = LEAPPolicy(Counts(), Search(3, 2), execute=2)
    drive(policy, [[2]])
    assert policy.plans.tolist() == [[3, 4, 5, -1]]  # what is left
    assert policy.energies[0] == pytest.approx(0, abs=1e-6)  # the model is sure
    drive(greedy := LEAPPolicy(Counts(), GREEDY), [[2]])
    assert np.isnan(greedy.energies[0])


@pytest.mark.parametrize("execute", [0, H + 1])
def test_no_more_than_a_plan_can_be_executed_and_no_less_than_an_action(execute):
    with pytest.raises(PolicyError, match=f"1 to {H} actions can be taken, not {execute}"):
        LEAPPolicy(Counts(), execute=execute)


def test_plans_look_at_themselves_and_at_what_was_observed_only():
    assert plan_mask(2, 1, torch.device("cpu"), times=2).int().tolist() == [
        [1, 1, 0, 0],
        [1, 1, 0, 0],
        [1, 1, 1, 0],
        [1, 1, 0, 1],
    ]
