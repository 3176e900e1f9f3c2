"""LEAP with a critic: whose say counts how much, and what the two do on the crossing."""

import pytest
import torch

from seqrl import hybrids, verdict_toys
from seqrl.energy_search import NOTHING

STATES = {"state": torch.eye(9)[[0, 4]][:, None]}  # the west and the middle, (2, 1, 9)


@pytest.fixture(scope="module")
def critic():
    return verdict_toys.learn("fitted Q", verdict_toys.commutes(40), 0, 5).model


def test_only_the_first_action_of_a_plan_is_worth_anything(critic):
    added = hybrids.Worth(critic, heat=0.5).energy(STATES)
    plans = torch.tensor([[1, 2, 3], [1, 0, 0], [NOTHING, 1, 1]])
    cost = added(plans, torch.zeros(3, dtype=torch.long))
    assert cost[0] == cost[1] and cost[2] == 0


def test_eq_verdict_hybrid(critic):
    state = critic.encoder.encode(STATES).steps[:, 0]
    q = critic.critic.all(state).mean(0)
    plans, rows = torch.arange(5).repeat(2)[:, None], torch.arange(2).repeat_interleave(5)
    cost = hybrids.Worth(critic, heat=0.5).energy(STATES)(plans, rows).view(2, 5)
    loses = (q.amax(1, keepdim=True) - q) / 0.5
    torch.testing.assert_close(cost[:, :4], loses)
    torch.testing.assert_close(cost[:, 4], loses.amax(1))  # the plan that ends at once
    assert (cost.amin(1) == 0).all()


def test_heat_must_be_above_0(critic):
    with pytest.raises(ValueError, match="heat is above 0, not 0"):
        hybrids.Worth(critic, heat=0)


def test_the_critic_turns_leap_to_the_goal():
    driven = hybrids.policies(verdict_toys.commutes(200), 0, 120)
    earned = {name: verdict_toys.from_west(policy) for name, policy in driven.items()}
    assert earned["LEAP"] == -10  # where most who came from the west walked
    assert earned["LEAP, fitted Q"] == -3
