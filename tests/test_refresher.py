"""The refresher: its labeled equations hold in numbers, and its prose says what its code says."""

import itertools
from pathlib import Path

import numpy as np
import pytest

TEXT = (Path(__file__).parents[1] / "book" / "refresher.md").read_text("utf8")
COIN = np.array([0.5, 0.5])


@pytest.fixture(scope="module")
def page():
    """The names that the page's code cells define."""
    scope = {}
    for cell in TEXT.split("```{code-cell}")[1:]:
        lines = cell.split("\n```")[0].splitlines()[1:]
        exec("\n".join(line for line in lines if not line.startswith(":")), scope)
    return scope


def episodes(page, start, steps, policy=COIN):
    """Every trajectory of at most `steps` steps: its probability and its rewards."""
    for actions in itertools.product((0, 1), repeat=steps):
        state, probability, rewards = start, 1.0, []
        for action in actions:
            if state == 4:
                probability *= 0.5  # actions after the end: summed away over all of them
                continue
            following = int(page["P"][action, state].argmax())
            probability *= policy[action] * page["P"][action, state, following]
            rewards.append(page["r"][action, state])
            state = following
        yield probability, rewards


def returns_to_go(rewards, discount):
    """By the sum, written out."""
    steps = range(len(rewards))
    return [sum(discount ** (k - t) * rewards[k] for k in steps if k >= t) for t in steps]


def test_eq_trajectory_probability(page):
    total = sum(probability for probability, _ in episodes(page, 2, 8))
    assert total == pytest.approx(1)


def test_eq_return_and_eq_return_to_go():
    rewards = [1.0, 2.0, 4.0]
    assert returns_to_go(rewards, 0.5) == [3.0, 4.0, 4.0]
    ahead = 0.0
    for reward, expected in zip(rewards[::-1], returns_to_go(rewards, 0.5)[::-1]):
        ahead = reward + 0.5 * ahead  # the recursion gives what the sum gives
        assert ahead == expected
    assert ahead == sum(0.5**t * reward for t, reward in enumerate(rewards))  # the whole return


def test_eq_value(page):
    discount, steps = 0.5, 12  # what lies beyond 12 steps weighs less than 2^-11
    expectation = sum(p * returns_to_go(r, discount)[0] for p, r in episodes(page, 2, steps))
    P, r = page["P"], page["r"]
    bellman = np.linalg.solve(np.eye(5) - discount * np.tensordot(COIN, P, 1), COIN @ r)
    assert expectation == pytest.approx(bellman[2], abs=2.0**-10)


def test_eq_bellman(page):
    V = page["value"](COIN)
    right_hand_side = sum(COIN[a] * (page["r"][a] + page["P"][a] @ V) for a in (0, 1))
    assert np.allclose(V, right_hand_side)


def test_eq_bellman_optimality(page):
    best = page["best"]
    assert np.array_equal(best, (page["r"] + page["P"] @ best).max(axis=0))
    for probability in np.linspace(0, 0.9, 10):
        assert (page["value"](np.array([probability, 1 - probability])) <= best + 1e-9).all()


def test_the_prose_states_the_numbers_of_the_corridor(page):
    coin, best = page["value"](COIN), page["best"]
    assert coin[2] == pytest.approx(-13)
    assert "gets $-13$ on average" in TEXT
    assert "needs 14 steps on average" in TEXT  # one more: the last step is free
    assert best[2] == -1
    assert "The best policy gets $-1$" in TEXT
    states = [2, 1, 2, 3, 4]
    assert "states 2, 1, 2, 3, 4" in TEXT
    rewards = [page["r"][int(b > a), a] for a, b in itertools.pairwise(states)]
    assert returns_to_go(rewards, 1.0) == [-3, -2, -1, 0]
    assert "returns-to-go are $-3, -2, -1, 0$" in TEXT
