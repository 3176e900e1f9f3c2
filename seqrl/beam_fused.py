"""The sequences of `beam_cache` with a fourth of the kernels, for a GPU: see `beam_kernels`.

    five kernels a layer   norm and q, k, v; attention; mix and sum; norm and MLP; MLP and sum
    two more a token       its embedding; the last norm, the head and what tokens there are

For states of numbers, and prefixes of one length: then a token's place is a number that is known
before anything is computed.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqrl import beam_kernels as kernels
from seqrl.beam_cache import Cached
from seqrl.beam_kernels import Normed, side_by_side
from seqrl.beam_search import Prefix


class Fused(Cached):
    """`Cached` in float32; see `beam_search.Sequences`. ValueError for maps and padding."""

    def __init__(self, model: Any, prefix: Prefix, horizon: int) -> None:
        super().__init__(model, prefix, horizon)
        if prefix.world is not None or self.padding is not None:
            raise ValueError("the kernels are for vectors, and for prefixes of one length.")
        self.activation = model.trunk.config.activation
        self.place = prefix.tokens.shape[1]  # of the next token, in every row
        self.tokens = horizon * self.C - self.N  # that will be imagined
        missing = torch.zeros_like(model.exists, dtype=model.heads.dtype)
        missing.masked_fill_(~model.exists, -torch.inf)  # (C, V + 1), as a bias of the heads
        weight, sums, bias, eps = Normed.of(model.trunk.norm, model.heads, missing)
        self.heads = [Normed(*head, eps) for head in zip(weight, sums, bias)]  # of each column
        self.layers = [_Layer(fused) for fused in self.blocks]
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
            self.logits = kernels.norm_linear(x, self.heads[self.column])

    def select(self, rows: Tensor) -> None:
        """Row i becomes what rows[e, i] was, of rows (E, any number)."""
        super().select(rows)
        n = self.imagined.shape[-1]
        self.said = self.imagined.new_empty(*rows.shape, self.tokens)
        self.said[..., :n] = self.imagined

    def _forward(self, x: Tensor, hidden: bool) -> Tensor:
        """Outputs (E, R, D) of one token each, not normalized; kept unless `hidden`."""
        for layer, block in enumerate(self.layers):
            qkv = kernels.norm_linear(x, block.qkv)
            keys, values, own = self.keys[layer], self.values[layer], self.own[:, layer]
            seen = kernels.attend(qkv, keys, values, own, self.stored, not hidden)
            x = kernels.linear_add(x, seen, *block.mix)
            h = kernels.norm_linear(x, block.wide, self.activation)
            x = kernels.linear_add(x, h, *block.narrow)
        self.stored += not hidden
        return x


class _Layer:
    """A block's matrices as the kernels take them."""

    def __init__(self, fused: Any) -> None:
        block, mix, (wide, _, narrow) = fused.block, fused.block.attention.mix, fused.block.mlp
        self.qkv = Normed.of(block.attention_norm, fused.weight, fused.bias)
        self.wide = Normed.of(block.mlp_norm, wide.weight, wide.bias)
        self.mix, self.narrow = ((side_by_side(x.weight), x.bias) for x in (mix, narrow))


@torch.inference_mode()
def tried(device: str = "cuda") -> None:
    """Raises whatever Triton raises where it cannot compile and run the four kernels here."""
    if not kernels.THERE:
        raise ModuleNotFoundError("there is no Triton.")
    D, tokens = 16, torch.zeros(1, 1, dtype=torch.int64, device=device)
    norm, weight = torch.nn.LayerNorm(D, device=device), torch.ones(3 * D, D, device=device)
    prefix, own = torch.ones(1, 1, 1, D, device=device), torch.ones(2, 1, 1, 1, D, device=device)
    said = tokens[..., None].clone()
    x = kernels.word(tokens, weight, 0, weight, 0, said, 0)
    qkv = kernels.norm_linear(x, Normed.of(norm, weight, weight[:, 0]), "gelu")
    seen = kernels.attend(qkv, prefix, prefix, own, 0, True)
    x = kernels.linear_add(x, seen, side_by_side(weight[:D]), weight[0])
    x.cpu()  # waits until they have run
