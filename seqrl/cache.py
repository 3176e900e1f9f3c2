"""Keys and values kept between calls, so that a new token costs one token instead of all.

A token's keys and values depend only on the tokens before it. So under a causal mask they never
change, and the Transformer may go on from where it stopped; the outputs are the same.
"""

from __future__ import annotations

from copy import copy

import torch
from torch import Tensor

from seqrl.cuda_graph import recording


class Cache:
    """Keys and values of the tokens so far; rows of the batch may be of different length.

    Buffers hold `capacity` tokens a row, and one last place that nobody looks at. Where more would
    come, the forward is refused: dropping old tokens would change the outputs of the later layers.
    """

    def __init__(
        self, layers: int, batch: int, heads: int, capacity: int, head_width: int, like: Tensor
    ) -> None:
        self.keys = like.new_zeros(layers, batch, heads, capacity + 1, head_width)
        self.values = torch.zeros_like(self.keys)
        self.lengths = torch.zeros(batch, dtype=torch.long, device=like.device)
        self.capacity = capacity

    def select(self, rows: Tensor) -> Cache:
        """A cache whose row i is row `rows[i]` of this one: beams kept, or one prompt for many.

        rows: (any number,) int64.
        """
        chosen = copy(self)
        chosen.keys, chosen.values = self.keys[:, rows], self.values[:, rows]
        chosen.lengths = self.lengths[rows]
        return chosen

    def reset_rows(self, rows: Tensor, skip: int = 0) -> None:
        """Empties rows, (n,) int64 or (B,) bool; their next `skip` tokens will not be kept.

        So a row that begins an episode, without a last action, shares a call with rows in theirs.
        """
        self.lengths[rows] = -skip

    def extend(self, n: int, mask: Tensor | str) -> Tensor:
        """Makes room for n tokens more; which keys each of them may look at, (B, 1, n, keys).

        `mask` is "causal", or (capacity, capacity) bool from which every row takes its own rows.
        """
        # What is recorded as a CUDA graph cannot look at lengths: then all places are read.
        end = self.capacity if recording() else int(self.lengths.max()) + n
        if end > self.capacity:
            raise ValueError(f"{end} tokens do not fit a cache of {self.capacity}.")
        if mask == "bidirectional" or (isinstance(mask, Tensor) and mask.ndim > 2):
            raise ValueError("a cache takes 'causal' or a (capacity, capacity) mask, nothing else.")
        places = self.lengths[:, None] + torch.arange(n, device=self.lengths.device)  # (B, n)
        self._places, self._end = places.clamp(min=-1), end  # -1 is the place nobody looks at
        self.lengths = self.lengths + n
        queries = places.clamp(min=0)
        if isinstance(mask, Tensor):
            return mask[queries, :end][:, None]
        return (torch.arange(end, device=queries.device) <= queries[..., None])[:, None]

    def write(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Keeps k and v of the new tokens (B, heads, n, d); returns all (B, heads, keys, d)."""
        rows = torch.arange(len(k), device=k.device)[:, None]
        for kept, new in ((self.keys[layer], k), (self.values[layer], v)):
            kept[rows, :, self._places] = new.transpose(1, 2).to(kept.dtype)
        return self.keys[layer, :, :, : self._end], self.values[layer, :, :, : self._end]
