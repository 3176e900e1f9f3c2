"""Poses on a grid, and the world as seen from them: ahead is one axis, to the right the other."""

from __future__ import annotations

import torch
from torch import Tensor

from seqrl.environments.grid_observation import HEADINGS


def frame(heading: Tensor) -> Tensor:
    """The directions ahead and to the right, in x and y, of headings 0 to 3: (..., 2, 2)."""
    ahead = torch.tensor(HEADINGS, device=heading.device)
    return torch.stack([ahead, ahead.roll(-1, 0)], 1)[heading.long()]


def relative_pose(pose: Tensor, anchor: Tensor) -> Tensor:
    """Poses (B, K, 3) as seen from anchors (B, 3): cells ahead, cells to the right, turns right."""
    way = (pose[..., :2] - anchor[:, None, :2])[..., None, :]  # (B, K, 1, 2)
    seen = (way * frame(anchor[:, 2])[:, None]).sum(-1)  # (B, K, 2)
    return torch.cat([seen, (pose[..., 2:] - anchor[:, None, 2:]) % 4], -1)


def neighborhood(behind: int, ahead: int, side: int) -> Tensor:
    """For each heading, the cells around a pose, from behind on the left on: (4, P, 2) in x, y."""
    rows, columns = torch.arange(-behind, ahead + 1), torch.arange(-side, side + 1)
    return torch.cartesian_prod(rows, columns) @ frame(torch.arange(4))


def positions(W: int, H: int, device: torch.device | None = None) -> Tensor:
    """x and y of each cell of a map, (W * H, 2), in the order in which maps are flattened."""
    return torch.cartesian_prod(torch.arange(W, device=device), torch.arange(H, device=device))


def sides(start: Tensor, W: int, H: int) -> Tensor:
    """Where each cell lies from a start (B, 3), (B, W * H): 3 (ahead, level, behind) + (right, …).

    What BabyAI's "in front of you", "behind you", "on your left" and "on your right" mean.
    """
    way = positions(W, H, start.device) - start[:, None, :2]  # (B, W * H, 2)
    signs = (way @ frame(start[:, 2]).mT).sign() + 1
    return 3 * signs[..., 0] + signs[..., 1]
