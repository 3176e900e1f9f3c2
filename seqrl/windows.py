"""Training windows and returns-to-go, computed for all episodes at once from packed arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from seqrl.trajectories import Trajectories


class Batch(NamedTuple):
    """Windows of K steps, padded on the right with zeros: causal attention needs no mask then."""

    observations: dict[str, Tensor]  # key: (B, K, ...); "mission": (B, L); "map": (B, W, H, 3)
    actions: Tensor  # (B, K) int64 or (B, K, M) float32
    rewards: Tensor  # (B, K)
    returns_to_go: Tensor  # (B, K), the reward of the step itself included
    timesteps: Tensor  # (B, K) int64, counted from the start of the episode
    mask: Tensor  # (B, K) bool, False where padded
    terminations: Tensor  # (B, K) bool, True where the episode ended for good at this step


def offsets_of(lengths: Tensor) -> Tensor:
    """First steps of episodes of the given lengths, and the end of the last: (episodes + 1,)."""
    return torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])


def ranges(starts: Tensor, lengths: Tensor) -> Tensor:
    """arange(start, start + length) of every pair, one after the other."""
    shifts = torch.repeat_interleave(starts - offsets_of(lengths)[:-1], lengths)
    return shifts + torch.arange(len(shifts), device=shifts.device)


def returns_to_go(rewards: Tensor, offsets: Tensor, discount: float = 1.0) -> Tensor:
    """The sum of discount^k r_{t+k} over the rest of each episode, r_t included: (S,) float32.

    Shapes: rewards (S,), offsets (episodes + 1,). Sums of 1, 2, 4, ... steps are joined by
    doubling: after j rounds each step holds its discounted sum over the 2^j steps from it, so the
    cost is log2(longest episode) passes over the data and no loop over steps. Done in float64, on
    the CPU because some accelerators have none. ValueError for a discount outside [0, 1].
    """
    if not 0 <= discount <= 1:
        raise ValueError(f"the discount must lie in [0, 1], not {discount}.")
    total, lengths = rewards.cpu().double(), offsets.cpu().diff()
    steps_left = torch.repeat_interleave(offsets[1:].cpu(), lengths) - torch.arange(len(total))
    ahead, weight = 1, float(discount)
    while ahead < int(lengths.max()) and weight > 0:
        inside = steps_left[:-ahead] > ahead
        total[:-ahead] += weight * torch.where(inside, total[ahead:], 0.0)
        ahead, weight = 2 * ahead, weight * weight
    return total.float().to(rewards.device)


class Windows:
    """All windows of K steps of some trajectories: `windows(first)` gathers a batch of them.

    A window may start at any step; past the end of its episode everything is zero and the mask
    False. ValueError for K < 1.
    """

    def __init__(self, data: Trajectories, K: int, discount: float = 1.0) -> None:
        if K < 1:
            raise ValueError(f"a window needs at least one step, not K={K}.")
        self.K, self.steps, self.offsets, self.ends = K, data.steps, data.offsets, data.offsets[1:]
        self.ahead = torch.arange(K, device=data.offsets.device)
        self.episode_of_step = data.episode_of_step
        self.maps, self.version = data.maps, data.observations.get("map")
        self.mission = data.context.get("mission")
        self.per_row = {
            key: Stretches(values, K)
            for key, values in data.observations.items()
            if key != "map" or data.maps is None
        }
        # A step's numbers lie side by side, so that a window costs one walk through memory.
        of_step = (data.rewards, data.returns_to_go(discount), data.terminations.float())
        numbers = torch.stack(of_step, 1)
        discrete = data.actions.dim() == 1
        self.actions = Stretches(data.actions, K) if discrete else None
        self.numbers = Stretches(numbers if discrete else torch.cat([numbers, data.actions], 1), K)

    def __call__(self, first: Tensor, anchor: int = 0) -> Batch:
        """The windows that begin at the steps `first`, (B,) int64.

        Where the data has maps, a window has one: that of its step `anchor`, clamped into the
        episode.
        """
        episode = self.episode_of_step.index_select(0, first)
        start, end = self.offsets.index_select(0, episode), self.ends.index_select(0, episode)
        mask = self.ahead < (end - first).unsqueeze(1)
        factor = mask.float()  # a product of equal types is faster
        # Blocks serve unless a window runs over the end of the arrays. Off the CPU they are never
        # used, since to look at `first` there would wait for the device.
        whole = first.is_cpu and int(first.max()) + self.K <= self.steps
        cut = Stretches.blocks if whole else Stretches.rows

        def gather(stretches: Stretches, at: Tensor) -> Tensor:
            windows = cut(stretches, at)
            _blank(windows, factor if windows.dtype == torch.float32 else mask)
            return windows

        row = first + episode
        observations = {key: gather(stretches, row) for key, stretches in self.per_row.items()}
        if self.maps is not None and self.version is not None:
            at = torch.minimum(torch.maximum(first + anchor, start), end - 1) + episode
            observations["map"] = self.maps[self.version[at]]
        if self.mission is not None:
            observations["mission"] = self.mission[episode]
        timesteps = ((first - start).unsqueeze(1) + self.ahead).mul_(mask.long())
        numbers = gather(self.numbers, first)
        rewards, to_go, terminations = numbers[..., :3].unbind(-1)
        actions = numbers[..., 3:] if self.actions is None else gather(self.actions, first)
        return Batch(observations, actions, rewards, to_go, timesteps, mask, terminations > 0)


class Stretches:
    """Every stretch of K consecutive rows of an array (n, ...), to be cut out by its first row."""

    def __init__(self, values: Tensor, K: int) -> None:
        self.values, self.ahead = values, torch.arange(K, device=values.device)
        count, stride = max(0, len(values) - K + 1), values.stride()
        # A view in which stretches overlap in memory: row i is values[i : i + K].
        self.view = values.as_strided((count, K, *values.shape[1:]), (stride[0], *stride))

    def rows(self, first: Tensor) -> Tensor:
        """(B,) -> (B, K, ...), row by row; a stretch may run over the end: the last row repeats."""
        index = first.unsqueeze(1) + self.ahead
        return self.values[index.clamp(max=len(self.values) - 1)]

    def blocks(self, first: Tensor) -> Tensor:
        """The same where no stretch runs over the end, each copied as one block: twice as fast.

        first (B,) to (B, n, ...).
        """
        return self.view.index_select(0, first)


def _blank(windows: Tensor, mask: Tensor) -> None:
    """Zero (B, K, ...) where the mask (B, K) is, in place; far faster than `masked_fill_`."""
    while mask.dim() < windows.dim():
        mask = mask.unsqueeze(-1)
    windows.mul_(mask)
