"""What trained policies share: a return counted down, choices, and what they refuse."""

import numpy as np
import pytest
import torch

from seqrl.actions import Actions
from seqrl.policies import Chooser, PolicyError, ReturnsToGo, check_observation, tensors
from seqrl.rollout import Step

torch.set_num_threads(1)
BOX = Actions(2, False, (-2.0, 0.0), (2.0, 10.0))


def step(first, reward=0.0, seed=0, active=True):
    """A step of as many rows as `first` has."""
    E = len(first)
    numbers = [(reward, np.float32), (first, bool), (seed, np.int64), (active, bool), (0, np.int64)]
    return Step({}, *(np.broadcast_to(np.array(x, kind), E).copy() for x, kind in numbers))


# ------------------------------------------------------------------------------ returns-to-go


def test_the_return_to_go_is_the_target_less_every_reward():
    returns = ReturnsToGo(10.0)
    assert returns.update(step([True, True])).tolist() == [10, 10]
    assert returns.update(step([False, False], reward=[1, -1])).tolist() == [9, 11]
    assert returns.update(step([True, False], reward=[0, 0.5])).tolist() == [10, 10.5]
    assert returns.update(step([False, False], reward=[4, 0])).tolist() == [6, 10.5]
    assert returns.update(step([True, True, True])).tolist() == [10] * 3  # more rows: begun anew
    assert returns.update(step([False] * 3)).dtype == np.float32


def test_small_rewards_are_not_lost_in_a_large_return():
    returns = ReturnsToGo(1e4)
    returns.update(step([True]))
    for _ in range(10_000):
        left = returns.update(step([False], reward=1e-4))
    assert left == pytest.approx(1e4 - 1, abs=1e-2)


def test_within_bounds_what_is_shown_and_not_what_is_counted():
    returns = ReturnsToGo(5.0, within=(0.0, 4.0))
    assert returns.update(step([True])) == 4
    assert returns.update(step([False], reward=8)) == 0
    assert returns.update(step([False], reward=-4)) == 1  # 5 - 8 + 4


@pytest.mark.parametrize("target", [np.nan, np.inf, -np.inf])
def test_a_target_is_a_finite_number(target):
    with pytest.raises(PolicyError, match=r"target return is .*finite"):
        ReturnsToGo(target)


# ------------------------------------------------------------------------------------ choices


def test_the_likeliest_choice_stands_in_its_row():
    rows, out = np.array([0, 2]), torch.tensor([[0.0, 3.0, 1.0], [5.0, 0.0, 0.0]])
    chosen = Chooser(Actions(3)).choose(out, rows, step([True] * 4))
    assert chosen.dtype == np.int64 and chosen.tolist() == [1, 0, 0, 0]


def test_numbers_go_through_tanh_into_their_bounds():
    out = torch.tensor([[0.0, 0.0], [99.0, -99.0]])
    chosen = Chooser(BOX).choose(out, np.array([1, 2]), step([True] * 3))
    assert chosen.dtype == np.float32 and chosen.tolist() == [[0, 0], [0, 5], [2, 0]]


def drawn(temperature, rows, seeds, steps=400):
    """What rows with these seeds draw from the same outputs, step by step: (steps, E)."""
    chooser, out = Chooser(Actions(3), temperature), torch.tensor([[0.0, 1.0, -1.0]])
    rows = np.array(rows)
    return np.stack(
        [
            chooser.choose(out.expand(len(rows), 3), rows, step([t == 0] * len(seeds), seed=seeds))
            for t in range(steps)
        ]
    )


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_draws_have_the_shares_of_the_softmax_at_that_temperature(temperature):
    found = drawn(temperature, range(10), range(10))
    shares = torch.tensor([0.0, 1.0, -1.0]).div(temperature).softmax(0).numpy()
    assert np.bincount(found.ravel(), minlength=3) / found.size == pytest.approx(shares, abs=0.03)


def test_draws_of_a_row_come_from_its_seed_alone():
    alone = drawn(1.0, [0], [7])[:, 0]
    assert np.array_equal(alone, drawn(1.0, [0, 1, 2], [3, 7, 9])[:, 1])
    assert np.array_equal(alone, drawn(1.0, [2], [3, 9, 7])[:, 2])
    assert not np.array_equal(alone, drawn(1.0, [0], [8])[:, 0])


@pytest.mark.parametrize("temperature", [-1.0, np.nan, np.inf])
def test_a_temperature_is_finite_and_not_negative(temperature):
    with pytest.raises(PolicyError, match="temperature"):
        Chooser(Actions(3), temperature)


def test_continuous_actions_have_no_temperature():
    with pytest.raises(PolicyError, match="continuous actions are not drawn"):
        Chooser(BOX, 0.5)


# ------------------------------------------------------------------------------- observations


def test_observations_become_windows_of_one_step():
    seen = {
        "map": np.arange(3 * 4 * 5 * 3).reshape(3, 4, 5, 3).astype(np.uint8),
        "mission": np.zeros((3, 72), np.uint8),
        "agent": np.arange(3 * 19).reshape(3, 19).astype(np.uint8),
    }
    found = tensors(seen, np.array([2, 0]))
    shapes = {"map": (2, 4, 5, 3), "mission": (2, 72), "agent": (2, 1, 19)}
    assert {key: tuple(x.shape) for key, x in found.items()} == shapes
    assert found["agent"][0, 0].tolist() == seen["agent"][2].tolist()
    assert found["map"][1].tolist() == seen["map"][0].tolist()


def test_observations_of_another_kind_are_refused_by_name():
    expected = {"map": None, "agent": (19,)}
    check_observation({"map": np.zeros((2, 8, 8, 3)), "agent": np.zeros((2, 19))}, expected)
    with pytest.raises(PolicyError, match=r"sees map, agent, but .* shows view, agent: 'map' is"):
        check_observation({"view": np.zeros((2, 7, 7, 3)), "agent": np.zeros((2, 19))}, expected)
    with pytest.raises(PolicyError, match="shows nothing: 'map' is missing"):
        check_observation({}, expected)
    with pytest.raises(PolicyError, match=r"'agent' of shape \(19,\), not \(11,\)"):
        check_observation({"map": np.zeros((2, 8, 8, 3)), "agent": np.zeros((2, 11))}, expected)
