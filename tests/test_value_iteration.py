"""Value iteration on maps that are so small that every path can be walked."""

import pytest
import torch

from seqrl.value_iteration import value_iteration, value_iteration_plain

W, H = 3, 4


def maps(B=2, G=2, least=0.1):
    generator = torch.Generator().manual_seed(0)
    goal = 3 * torch.rand(B, G, W, H, generator=generator)
    cost = least + torch.rand(B, 1, W, H, generator=generator)
    return goal.requires_grad_(), cost.requires_grad_()


def best_path(goal, cost, cell, been=()):
    """The best over all paths without a loop: what a goal is worth minus every cell left for it."""
    x, y = cell
    ends = [float(goal[x, y])]
    for new in ((x - 1, y), (x + 1, y), (x, y - 1), (x, y + 1)):
        if 0 <= new[0] < W and 0 <= new[1] < H and new not in been:
            ends.append(best_path(goal, cost, new, (*been, cell)) - float(cost[x, y]))
    return max(ends)


@pytest.mark.parametrize("solve", [value_iteration, value_iteration_plain])
def test_a_cell_is_worth_its_best_path(solve):
    goal, cost = (x.detach() for x in maps(G=1))
    V = solve(goal, cost, W * H)
    for b in range(2):
        for x in range(W):
            for y in range(H):
                wanted = best_path(goal[b, 0], cost[b, 0], (x, y))
                assert float(V[b, 0, x, y]) == pytest.approx(wanted, abs=1e-5)
    assert (goal < V).any() and (goal == V).any()  # some cells lead on, some are goals


@pytest.mark.parametrize("sweeps", [0, 1, 3, 20])
def test_the_fast_version_has_the_plain_ones_values(sweeps):
    goal, cost = maps()
    assert torch.equal(
        value_iteration(goal, cost, sweeps), value_iteration_plain(goal, cost, sweeps)
    )


def test_and_once_it_is_settled_the_plain_ones_gradients():
    weight = torch.rand(2, 2, W, H, generator=torch.Generator().manual_seed(1))
    found = []
    for solve in (value_iteration, value_iteration_plain):
        goal, cost = maps()
        (weight * solve(goal, cost, 20)).sum().backward()
        found.append((goal.grad, cost.grad))
    for fast, plain in zip(*found):
        torch.testing.assert_close(fast, plain, rtol=1e-5, atol=1e-6)
        assert fast.abs().sum() > 0


def test_a_goal_is_known_as_far_away_as_there_are_sweeps():
    goal, cost = torch.full((1, 1, 1, 6), -50.0), torch.ones(1, 1, 1, 6)
    goal[..., 0] = 0.0
    V = value_iteration(goal, cost, 3)[0, 0, 0]
    assert V.tolist() == [0.0, -1.0, -2.0, -3.0, -50.0, -50.0]
    cost[..., 2] = 100.0  # a wall: better to stay
    assert value_iteration(goal, cost, 9)[0, 0, 0].tolist() == [
        0.0,
        -1.0,
        -50.0,
        -50.0,
        -50.0,
        -50.0,
    ]


def test_turning_the_map_turns_the_values():
    goal, cost = (x.detach() for x in maps())
    V = value_iteration(goal, cost, 20)
    turned = value_iteration(goal.rot90(1, (2, 3)), cost.rot90(1, (2, 3)), 20)
    assert torch.equal(turned, V.rot90(1, (2, 3)))
