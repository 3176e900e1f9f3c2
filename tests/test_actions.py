"""Actions as tokens, outputs and a loss: classes, or numbers within their bounds."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from seqrl.actions import Actions
from seqrl.trajectories import pack

torch.set_num_threads(1)
WIDE = Actions(2, False, (-2.0, 0.0), (2.0, 10.0))


@pytest.fixture(autouse=True)
def _same_start():
    torch.manual_seed(0)


def data(actions, **info):
    T = len(actions)
    ends = np.arange(T) == T - 1
    episode = {
        "observations": {"state": np.zeros((T + 1, 1))},
        "actions": np.array(actions),
        "rewards": np.zeros(T),
        "terminations": ends,
        "truncations": ends & False,
    }
    return pack([episode], info)


def test_the_actions_of_a_dataset_are_what_it_says_or_what_it_shows():
    assert Actions.of(data([0, 2, 1], num_actions=7)) == Actions(7)
    assert Actions.of(data([0, 2, 1])) == Actions(3)
    pairs = data([[0.5, 1.0]], action_low=[-2, 0], action_high=[2, 10])
    assert Actions.of(pairs) == WIDE
    assert Actions.of(data([[0.5, 1.0]])) == Actions(2, False, (-1.0, -1.0), (1.0, 1.0))


@pytest.mark.parametrize("actions", [Actions(7), WIDE])
def test_they_come_back_from_a_card(actions):
    fields = json.loads(json.dumps(asdict(actions)))
    assert Actions.from_card(fields) == actions == Actions.from_card(actions)
    hash(Actions.from_card(fields))


@pytest.mark.parametrize(
    ("low", "high"),
    [((-np.inf,), (np.inf,)), ((1.0,), (1.0,)), ((np.nan,), (1.0,)), ((), ()), ((0, 0), (1,))],
)
def test_bounds_that_nothing_can_be_scaled_by_are_refused(low, high):
    with pytest.raises(ValueError, match="1 continuous actions need as many finite bounds"):
        Actions(1, False, low, high)


def test_shapes_of_actions_and_of_their_tokens():
    assert Actions(7).shape == () and WIDE.shape == (2,)
    assert Actions(7).embedding(16)(torch.tensor([[0, 6]])).shape == (1, 2, 16)
    assert WIDE.embedding(16)(torch.zeros(1, 3, 2)).shape == (1, 3, 16)


def test_the_loss_of_choices_is_the_cross_entropy_of_real_steps():
    out, actions = torch.randn(3, 4, 7), torch.randint(7, (3, 4))
    mask = torch.tensor([[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 0, 0]]).bool()
    wanted = F.cross_entropy(out[mask], actions[mask])
    assert torch.allclose(Actions(7).loss(out, actions, mask), wanted)
    right = (out[mask].argmax(-1) == actions[mask]).float().mean()
    assert torch.allclose(Actions(7).accuracy(out, actions, mask), right)
    assert Actions(7).loss(out, actions, mask & False) == 0


def test_the_loss_of_numbers_is_the_squared_error_of_scaled_ones():
    mask = torch.tensor([[True, True, False]])
    actions = torch.tensor([[[2.0, 0.0], [0.0, 5.0], [1e6, -1e6]]])
    assert WIDE.scaled(actions)[0, :2].tolist() == [[1, -1], [0, 0]]
    out = torch.zeros(1, 3, 2)
    assert WIDE.loss(out, actions, mask) == 0.5  # 1 and 1 at the first step, 0 and 0 at the second
    assert torch.isnan(WIDE.accuracy(out, actions, mask))
    near = torch.tensor([[[9.0, -9.0], [0.0, 0.0], [0.0, 0.0]]])
    assert WIDE.loss(near, actions, mask) < 1e-6


@pytest.mark.parametrize("actions", [Actions(7), WIDE])
def test_losses_are_one_a_step_and_loss_is_their_mean(actions):
    out = torch.randn(3, 4, actions.size)
    taken = torch.randint(7, (3, 4)) if actions.discrete else torch.rand(3, 4, 2)
    losses, mask = actions.losses(out, taken), torch.rand(3, 4) < 0.5
    assert losses.shape == (3, 4)
    assert torch.allclose(actions.loss(out, taken, mask), losses[mask].mean())


def test_scaling_goes_to_the_bounds_and_back():
    assert WIDE.unscaled(torch.tensor([[-1.0, -1.0], [1.0, 1.0]])).tolist() == [[-2, 0], [2, 10]]
    x = torch.rand(50, 2) * 2 - 1
    assert torch.allclose(WIDE.scaled(WIDE.unscaled(x)), x, atol=1e-6)
