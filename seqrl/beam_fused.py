"""The sequences of `beam_cache` in a fourth of the kernels: for a GPU, and states of numbers.

Prefixes must be of one length and of no map; then what a token goes through is `beam_kernels`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqrl import beam_kernels as kernels
from seqrl.beam_cache import Cached
from seqrl.beam_search import Prefix


class Fused(Cached):
    """`Cached`, faster; see `beam_search.Sequences`."""

    def __init__(self, model: Any, prefix: Prefix, horizon: int) -> None:
        super().__init__(model, prefix, horizon)
        if prefix.world is not None or self.padding is not None:
            raise ValueError("the kernels are for vectors, and for prefixes of one length.")
        self.activation = model.trunk.config.activation
        self.place = prefix.tokens.shape[1]  # of the next token, in every row
        self.tokens = horizon * self.C - self.N  # that will be imagined
        self.missing = torch.zeros_like(model.exists, dtype=model.heads.dtype)
        self.missing.masked_fill_(~model.exists, -torch.inf)  # (C, V + 1), a bias of the heads
        self.said = self.imagined.new_empty(*self.imagined.shape[:2], self.tokens)

    def append(self, tokens: Tensor, read: bool = True) -> None:
        """One token (E, R) more each; see `Sequences`."""
        model, n = self.model, self.imagined.shape[-1]
        self.imagined = self.said[..., : n + 1]
        if read:
            first = self.column * (model.stop + 1)
            words, places = model.embed.weight, model.position.weight
            x = kernels.word(tokens, words, first, places, self.place, self.said, n)
            x = self._forward(x, hidden=self.column == model.layout.value)
        else:
            self.said[..., n] = tokens
        self.place, self.column = self.place + 1, (self.column + 1) % self.C
        if read:
            head, missing = model.heads[self.column], self.missing[self.column]
            self.logits = kernels.norm_linear(x, model.trunk.norm, head, missing)

    def select(self, rows: Tensor) -> None:
        """Row i becomes what rows[e, i] was, of rows (E, any number)."""
        super().select(rows)
        n = self.imagined.shape[-1]
        self.said = self.imagined.new_empty(*rows.shape, self.tokens)
        self.said[..., :n] = self.imagined

    def _forward(self, x: Tensor, hidden: bool) -> Tensor:
        """Outputs (E, R, D) of one token each, not normalized; kept unless `hidden`."""
        for layer, fused in enumerate(self.blocks):
            block, own = fused.block, (self.own[0, layer], self.own[1, layer])
            qkv = kernels.norm_linear(x, block.attention_norm, fused.weight, fused.bias)
            shared = self.keys[layer], self.values[layer]
            seen = kernels.attend(qkv, *shared, own, self.stored, not hidden)
            mix, (wide, _, narrow) = block.attention.mix, block.mlp
            x = kernels.linear_add(x, seen, mix.weight, mix.bias)
            h = kernels.norm_linear(x, block.mlp_norm, wide.weight, wide.bias, self.activation)
            x = kernels.linear_add(x, h, narrow.weight, narrow.bias)
        self.stored += not hidden
        return x


def tried() -> None:
    """Raises whatever Triton raises where it cannot compile and run a kernel on this GPU."""
    x, norm = torch.ones(1, 16, device="cuda"), torch.nn.LayerNorm(16, device="cuda")
    kernels.norm_linear(x, norm, x, x[0, :1])
    torch.cuda.synchronize()
