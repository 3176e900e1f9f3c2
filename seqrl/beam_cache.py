"""The same sequences as `beam_search.Full`, fast: only what is new is computed.

    prefix    read once per environment; its keys and values are shared by all its beams
    beams     own keys and values, of what they imagined; copied where beams are expanded or pruned
    values    hidden from every query, so their keys and values are never stored

Logits are those of the full forward up to rounding.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from seqrl.beam_search import Prefix
from seqrl.cuda_graph import recording


class Cached:
    """`Sequences` that keep keys and values; see `beam_search.Sequences`."""

    seen: Tensor  # (E, R, D), what the present states are against the map

    def __init__(self, model: Any, prefix: Prefix, horizon: int) -> None:
        self.model, self.world = model, prefix.world
        self.C, self.N = model.layout.C, model.layout.N
        self.imagined = prefix.tokens.new_zeros(len(prefix.tokens), 1, 0)
        self.next = prefix.steps[:, None] * self.C + self.N  # (E, 1), places of the next tokens
        self.column, self.stored = self.N, 0
        self.room = horizon * (self.C - 1) - self.N  # the last value is hidden, too
        self.blocks = [_Fused(block) for block in model.trunk.blocks]
        self.free: dict[int, Tensor] = {}  # by the number of rows
        self.own = self._own(len(prefix.tokens))
        self._read_prefix(prefix)

    def append(self, tokens: Tensor, read: bool = True) -> None:
        """One token (E, R) more each; see `Sequences`."""
        self.imagined = torch.cat([self.imagined, tokens[..., None]], -1)
        if read:
            x = self.model.word(tokens, self.column, self.next)  # (E, R, D)
            if self.world is not None:
                x = self._against_the_map(x)
            x = self._forward(x, hidden=self.column == self.model.layout.value)
        self.next, self.column = self.next + 1, (self.column + 1) % self.C
        if read:
            self.logits = self.model.head(x, self.column)

    def select(self, rows: Tensor) -> None:
        """Row i becomes what rows[e, i] was, of rows (E, any number)."""
        E, R = self.imagined.shape[:2]
        flat = (rows + torch.arange(E, device=rows.device)[:, None] * R).flatten()

        def chosen(x: Tensor) -> Tensor:
            return x.flatten(0, 1)[flat].view(*rows.shape, -1)

        old, n = self.own, self.stored
        self.own = self._own(len(flat))
        torch.index_select(old[..., :n, :], 2, flat, out=self.own[..., :n, :])
        self.free[old.shape[2]] = old
        self.imagined, self.logits = chosen(self.imagined), chosen(self.logits)
        if self.world is not None:
            self.seen = chosen(self.seen)

    def _own(self, rows: int) -> Tensor:
        """Room for keys and values: (2, layers, rows, heads, tokens, D / heads).

        What was left before is taken again: fresh memory costs the system more than the copy.
        """
        if rows in self.free:
            return self.free.pop(rows)
        trunk = self.model.trunk
        heads, width = trunk.config.heads, trunk.config.width
        size = (2, len(self.blocks), rows, heads, self.room, width // heads)
        return trunk.norm.weight.new_empty(size)

    def _read_prefix(self, prefix: Prefix) -> None:
        model, trunk = self.model, self.model.trunk
        x = model.embedded(prefix.tokens, prefix.world, prefix.goal)  # (E, T, D)
        (E, T), first = x.shape[:2], x.shape[1] - prefix.tokens.shape[1]
        cache = trunk.cache(E, T)
        x = trunk(x, model.mask(T, x.device), cache=cache)
        end = first + self.next  # (E, 1)
        x = x.gather(1, (end - 1)[..., None].expand(-1, -1, x.shape[-1]))  # (E, 1, D)
        self.logits = model.head(x, self.N)
        hidden = range(first + model.layout.value, T, self.C)
        self.keys, self.values = (
            _without(kept, hidden, T, 3) for kept in (cache.keys, cache.values)
        )
        padding = _without(torch.arange(T, device=x.device), hidden, T, 0) >= end  # (E, shown)
        padded = not recording() and bool(padding.any())  # what is recorded has no padding
        self.padding = padding[:, None, None] if padded else None
        if self.world is not None:
            self.summary = model.see(model.norm(self.world.summary))[:, None]  # (E, 1, D)
            self.seen = model.look(prefix.state(self.N, self.C)[:, None], self.world)

    def _against_the_map(self, x: Tensor) -> Tensor:
        if self.column == self.N - 1:  # the state is complete; the beams are the steps it takes
            self.seen = self.model.look(self.imagined[..., -self.N :], self.world)
        x = x + self.summary
        return x + self.seen if self.column >= self.N - 1 else x

    def _forward(self, x: Tensor, hidden: bool) -> Tensor:
        """Outputs (E, R, D) of one token each; kept for later ones unless `hidden`."""
        for layer, block in enumerate(self.blocks):
            q, k, v = block.project(x)  # (E, R, heads, d) each
            n = self.stored
            if not hidden:
                self.own[0, layer, :, :, n] = k.flatten(0, 1)
                self.own[1, layer, :, :, n] = v.flatten(0, 1)
                n += 1
            x = block.finish(x, self._attend(layer, q, n))
        if not hidden:
            self.stored += 1
        return self.model.trunk.norm(x)

    def _attend(self, layer: int, q: Tensor, n: int) -> Tensor:
        """Attention over the prefix, one product for all beams, and each beam's own n tokens."""
        shared = q.transpose(1, 2) @ self.keys[layer].mT  # (E, heads, R, P)
        if self.padding is not None:
            shared = shared.masked_fill(self.padding, -torch.inf)
        own = self.own[0, layer, :, :, :n] @ q.flatten(0, 1)[..., None]  # (E R, heads, n, 1)
        own = own.view(*q.shape[:3], n).transpose(1, 2)  # (E, heads, R, n)
        P = shared.shape[-1]
        weights = torch.cat([shared, own], -1).softmax(-1)  # (E, heads, R, P + n)
        out = (weights[..., :P] @ self.values[layer]).transpose(1, 2)  # (E, R, heads, d)
        mine = weights[..., P:].transpose(1, 2).flatten(0, 1)[..., None, :]  # (E R, heads, 1, n)
        return out + (mine @ self.own[1, layer, :, :, :n]).view_as(q)


def _without(x: Tensor, hidden: range, end: int, dim: int) -> Tensor:
    """What of x stands along `dim` before `end`, but for some places; by slices, which a CUDA graph
    can hold.
    """
    starts, ends = (0, *(place + 1 for place in hidden)), (*hidden, end)
    return torch.cat([x.narrow(dim, a, b - a) for a, b in zip(starts, ends)], dim)


class _Fused:
    """A block for single tokens: query, key and value in one product, scores scaled before."""

    def __init__(self, block: Any) -> None:
        attention = block.attention
        query, key, value = attention.query, attention.key, attention.value
        self.block, self.heads = block, attention.heads
        scale = 1 / math.sqrt(len(query.weight) / attention.heads)
        self.weight = torch.cat([query.weight * scale, key.weight, value.weight])  # (3 D, D)
        self.bias = torch.cat([query.bias * scale, torch.zeros_like(query.bias), value.bias])

    def project(self, x: Tensor) -> tuple[Tensor, ...]:
        qkv = F.linear(self.block.attention_norm(x), self.weight, self.bias)
        return qkv.unflatten(-1, (3, self.heads, -1)).unbind(-3)

    def finish(self, x: Tensor, seen: Tensor) -> Tensor:
        x = x + self.block.attention.mix(seen.flatten(-2))
        return x + self.block.mlp(self.block.mlp_norm(x))
