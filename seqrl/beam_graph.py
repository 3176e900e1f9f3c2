"""The search for reward as one CUDA graph, where there is a GPU: `beam_search.plan`, faster.

A plan reads hundreds of tokens one after the other, each in dozens of small kernels. What shapes
have been met a few times are recorded, with the kernels of `beam_fused` where they can be had; on a
CPU, on grids and where prefixes are of different lengths the search runs as it is written.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from seqrl.beam_cache import Cached
from seqrl.beam_search import BeamSearch, Plan, Prefix, Sequences, check, plan
from seqrl.cuda_graph import DEVICES, WARM, Replay, shapes


class Planner:
    """`plan` for one model and one search; with `kernels` by those of `beam_fused`, if it can."""

    def __init__(
        self,
        model: Any,
        search: BeamSearch,
        sequences: Callable[..., Sequences],
        *,
        kernels: bool = True,
    ) -> None:
        self.model, self.search, self.sequences = model, search, sequences
        self.kernels = kernels
        self._met: Counter[tuple[tuple[int, ...], ...]] = Counter()
        self._recorded: dict[tuple[tuple[int, ...], ...], Replay] = {}

    def __call__(self, prefix: Prefix, draws: Tensor) -> Plan:
        """The plans of E prefixes; see `beam_search.plan` for the draws (E, H, R, M)."""
        inputs = (prefix, draws)
        if prefix.tokens.device.type not in DEVICES or not self._alike(prefix):
            return plan(self.model, prefix, self.search, draws, self.sequences)
        met = shapes(inputs)
        self._met[met] += 1
        if self._met[met] == WARM:
            check(self.model, prefix, self.search)
            try:
                self._recorded[met] = Replay(self._search, inputs)
            except RuntimeError as error:
                _slower(f"no CUDA graph was recorded: {error}")
        return self._recorded.get(met, self._search)(inputs)

    def _search(self, inputs: tuple[Prefix, Tensor]) -> Plan:
        prefix, draws = inputs
        kind = self._kind()
        try:
            return plan(self.model, prefix, self.search, draws, kind)
        except Exception as error:  # of these sizes there may be more than a GPU has room for
            if kind is self.sequences:
                raise
            found = plan(self.model, prefix, self.search, draws, self.sequences)
            self.kernels = False  # they were the cause: without them there is a plan
            _slower(f"no kernels: {error}")
            return found

    def _kind(self) -> Callable[..., Sequences]:
        """The sequences that a plan is made with."""
        heads = self.model.heads
        fits = heads.device.type in DEVICES and heads.dtype == torch.float32
        return fastest() if self.kernels and fits and self.sequences is Cached else self.sequences

    def _alike(self, prefix: Prefix) -> bool:
        """Whether nothing of the prefixes is padding, and they are of vectors."""
        layout = self.model.layout
        whole = prefix.steps * layout.C + layout.N == prefix.tokens.shape[1]
        return prefix.world is None and bool(whole.all())


@cache
def fastest() -> type[Cached]:
    """`beam_fused.Fused` where Triton is there and can compile for this GPU, else `Cached`."""
    try:
        from seqrl.beam_fused import Fused, tried

        tried()
    except ImportError:
        return Cached
    except Exception as error:  # of many kinds: no compiler, no Python headers, an old GPU
        _slower(f"no kernels: {error}")
        return Cached
    return Fused


def _slower(why: str) -> None:
    warnings.warn(f"plans are slower than need be: {why}", stacklevel=3)
