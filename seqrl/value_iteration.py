"""Value iteration on a map, as a layer: how well each cell lies for a goal that is learned.

    V(c) = max( goal(c), max over the four neighbors n of V(n) - cost(c) )

`goal` says where to go, `cost` what it takes to stand in a cell; both come from a network and get
gradients. At the fixed point V(c) is the best over all cells g of goal(g) minus the cost of the
cheapest path from c to g. That is the planning layer of Value Iteration Networks (Tamar et al.,
2016) with deterministic moves: their learned transition filters are the four fixed neighbors here,
so that turning the map turns V and does nothing else.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

OUTSIDE = -1e4  # the value beyond the border: nobody goes there
CHECK = 4  # sweeps between two looks whether anything still changes


def value_iteration_plain(goal: Tensor, cost: Tensor, sweeps: int) -> Tensor:
    """V after so many sweeps, (B, G, W, H), for goals (B, G, W, H) and costs (B, 1, W, H).

    Paths of more than `sweeps` cells are not found. Values in the units of `goal` and `cost`.
    """
    V = goal
    for _ in range(sweeps):
        around = F.pad(V, (1, 1, 1, 1), value=OUTSIDE)
        beside_x = torch.maximum(around[..., :-2, 1:-1], around[..., 2:, 1:-1])
        beside_y = torch.maximum(around[..., 1:-1, :-2], around[..., 1:-1, 2:])
        V = torch.maximum(goal, torch.maximum(beside_x, beside_y) - cost)
    return V


def value_iteration(goal: Tensor, cost: Tensor, sweeps: int) -> Tensor:
    """The same values, five to ten times faster with gradients; stops early once V is settled.

    The gradient is that of the settled V: from each cell along its best path to the goal.
    goal (B, W, H), cost (B, W, H); V likewise.
    """
    return _ValueIteration.apply(goal, cost, sweeps)


class _ValueIteration(torch.autograd.Function):
    """All maps lie in one row of memory, a border around each: a neighbor is a shift of the row."""

    @staticmethod
    def forward(ctx: Any, goal: Tensor, cost: Tensor, sweeps: int) -> Tensor:
        flat_goal = _flat(goal, OUTSIDE)
        flat_cost = _flat(cost.expand_as(goal), -OUTSIDE)
        width = goal.shape[-1] + 2  # one step in x
        V, inner = flat_goal.clone(), slice(width, -width)
        best = torch.empty_like(V[inner])
        for sweep in range(sweeps):
            before = V.clone() if sweep % CHECK == CHECK - 1 else None
            _best_neighbor(V, width, best)
            torch.maximum(flat_goal[inner], best.sub_(flat_cost[inner]), out=V[inner])
            if before is not None and torch.equal(before, V):
                break
        ctx.save_for_backward(V, flat_goal)
        ctx.sweeps, ctx.shape = sweeps, goal.shape
        return _maps(V, goal.shape)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        V, flat_goal = ctx.saved_tensors
        width = ctx.shape[-1] + 2
        inner = slice(width, -width)
        moved = V[inner] > flat_goal[inner]  # cells that lead on to a neighbor
        best = _best_neighbor(V, width, torch.empty_like(V[inner]))
        shifts = (-width, width, -1, 1)
        leads = []  # for each of the four neighbors: 1 in the cells that lead there
        for shift in shifts:
            chosen = moved & (_shifted(V, width, shift) == best)
            moved = moved & ~chosen
            leads.append(chosen.to(V.dtype))
        own = _flat(gradients[0], 0.0)
        total, arriving = own, own[inner]
        for sweep in range(ctx.sweeps):
            # What flows into a cell: its own gradient, and all of those that lead to it.
            passed = torch.zeros_like(own)
            for shift, lead in zip(shifts, leads):
                _shifted(passed, width, shift).addcmul_(lead, arriving)
            total = own + passed
            settled = sweep % CHECK == CHECK - 1 and torch.equal(arriving, total[inner])
            arriving = total[inner]
            if settled:
                break
        stays = torch.zeros_like(own)
        stays[inner] = 1 - leads[0] - leads[1] - leads[2] - leads[3]
        for_goal = _maps(total * stays, ctx.shape)
        for_cost = _maps(total * (stays - 1), ctx.shape).sum(1, keepdim=True)
        return for_goal, for_cost, None


def _best_neighbor(V: Tensor, width: int, out: Tensor) -> Tensor:
    torch.maximum(_shifted(V, width, -width), _shifted(V, width, width), out=out)
    torch.maximum(out, _shifted(V, width, -1), out=out)
    return torch.maximum(out, _shifted(V, width, 1), out=out)


def _shifted(row: Tensor, width: int, shift: int) -> Tensor:
    """The part of the row that holds the neighbors, in one direction, of its inner part."""
    return row[width + shift : len(row) - width + shift]


def _flat(maps: Tensor, border: float) -> Tensor:
    """(B, G, W, H) -> one row, with a border of one cell around each map."""
    return F.pad(maps, (1, 1, 1, 1), value=border).flatten()


def _maps(row: Tensor, shape: torch.Size) -> Tensor:
    """One row with borders -> (B, G, W, H)."""
    B, G, W, H = shape
    return row.view(B, G, W + 2, H + 2)[..., 1:-1, 1:-1]
