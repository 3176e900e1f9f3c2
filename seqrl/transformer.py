"""One Transformer for three papers: the mask is an argument.

Decision Transformer looks through a causal mask, Trajectory Transformer through a causal mask with
its value columns hidden, LEAP in both directions. The rest of what they differ in (activation,
heads, dropout) is `TransformerConfig`; positions are the caller's, added to the tokens before.

From the bottom up: attention written out, masks, a block, the trunk. Blocks normalize before each
branch, as in GPT-2 and all three papers' code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqrl.cache import Cache

Mask = Tensor | Literal["causal", "bidirectional"]
Columns = slice | Tensor  # some of the T tokens
EVERY = slice(None)
ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU}


@dataclass(frozen=True)
class TransformerConfig:
    """The trunk's sizes; the defaults are Decision Transformer's on locomotion.

    `dropout` acts on the tokens and on both branches of a block. The papers also drop attention
    weights (0.1): a departure, since that leaves the fused kernel and doubles attention's time.
    """

    layers: int = 3
    heads: int = 1
    width: int = 128
    mlp_ratio: int = 4
    dropout: float = 0.1
    attention_dropout: float = 0.0
    activation: Literal["relu", "gelu"] = "relu"

    def __post_init__(self) -> None:
        if self.layers < 1:
            raise ValueError(f"layers is {self.layers}; there must be at least one.")
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}.")
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation is {self.activation!r}; it must be 'relu' or 'gelu'.")


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Mask = "causal") -> tuple[Tensor, Tensor]:
    """Attention written out: softmax(q kᵀ / √d) v, over the keys that the mask shows.

    q (..., queries, d), k and v (..., keys, d). Returns the outputs (..., queries, d) and the
    weights (..., queries, keys), whose rows sum to 1. Vaswani et al. 2017, equation 1.
    """
    scores = q @ k.mT / math.sqrt(q.shape[-1])  # (..., queries, keys)
    if isinstance(mask, str) and mask == "causal":
        mask = causal_mask(k.shape[-2], device=k.device)
    if isinstance(mask, Tensor):
        scores = scores.masked_fill(~mask, -math.inf)
    weights = scores.softmax(-1)
    return weights @ v, weights


def fused_attention(q: Tensor, k: Tensor, v: Tensor, mask: Mask, dropout: float = 0.0) -> Tensor:
    """The same outputs (B, heads, queries, D / heads) from one kernel that stores no weights."""
    if isinstance(mask, Tensor):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)
    return F.scaled_dot_product_attention(q, k, v, is_causal=mask == "causal", dropout_p=dropout)


def causal_mask(
    T: int, hidden_columns: Columns | None = None, device: torch.device | str | None = None
) -> Tensor:
    """(T, T) bool, True where query i (row) may look at key j (column): j <= i and j not hidden.

    A hidden column is hidden from every query, its own included: what it holds moves only its own
    output. No row is left empty: a query that would see nothing sees itself.
    """
    mask = torch.ones(T, T, dtype=torch.bool, device=device).tril()
    if hidden_columns is not None:
        mask[:, hidden_columns] = False
        mask |= torch.diag(~mask.any(dim=1))
    return mask


def _checked(mask: Mask, batch: int, T: int) -> Mask:
    """The mask, or a ValueError that says what is wrong with it."""
    if isinstance(mask, str):
        if mask not in ("causal", "bidirectional"):
            raise ValueError(f"mask is {mask!r}; the words are 'causal' and 'bidirectional'.")
    elif mask.dtype != torch.bool:
        raise ValueError(f"a mask must be bool, True where a query may look; got {mask.dtype}.")
    elif mask.shape not in ((T, T), (1, 1, T, T), (batch, 1, T, T)):
        raise ValueError(
            f"a mask of shape {tuple(mask.shape)} does not fit {T} tokens; "
            f"it must be ({T}, {T}) or ({batch}, 1, {T}, {T})."
        )
    return mask


@dataclass
class Record:
    """What each layer did in one forward pass; filled by the plain path, `attention`.

    `attention[layer]` (B, heads, queries, keys), `head_outputs[layer]` (B, heads, queries,
    D / heads) before the heads are mixed. Queries are the tokens read, in the last layer.
    `graph`: the weights stay in the graph, so that a gradient with respect to them can be taken.
    """

    attention: list[Tensor] = field(default_factory=list)
    head_outputs: list[Tensor] = field(default_factory=list)
    graph: bool = False


class Dropout(nn.Module):
    """Inverted dropout; on a CPU three times as fast as `F.dropout`, with p rounded to 1/65536.

    One 64-bit random number decides four elements: drawing them is most of what dropout costs.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """x of any shape, with some numbers 0 and the others larger."""
        if not self.training or self.p == 0:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self.p)
        bits = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
        uniform = bits.view(torch.int16)[: x.numel()].view(x.shape)  # -32768 … 32767
        kept = uniform >= round(self.p * 65536) - 32768
        return x * kept.to(x.dtype).mul_(1 / (1 - self.p))


class Attention(nn.Module):
    """Several heads of attention side by side, and the matrix that mixes their outputs."""

    def __init__(self, config: TransformerConfig, layer: int) -> None:
        super().__init__()
        self.heads, self.layer, self.dropout = config.heads, layer, config.attention_dropout
        # A bias of the keys would shift all scores of a query alike, which softmax does not see.
        self.query = nn.Linear(config.width, config.width)
        self.key = nn.Linear(config.width, config.width, bias=False)
        self.value = nn.Linear(config.width, config.width)
        self.mix = nn.Linear(config.width, config.width)

    def forward(
        self, x: Tensor, mask: Mask, read: Columns, cache: Cache | None, record: Record | None
    ) -> Tensor:
        """x (B, T, D) to what the queries that `read` names hear: (B, queries, D)."""
        q = self._split(self.query(x[:, read]))  # (B, heads, queries, D / heads)
        k = self._split(self.key(x))  # (B, heads, T, D / heads)
        v = self._split(self.value(x))  # (B, heads, T, D / heads)
        if cache is not None:
            k, v = cache.write(self.layer, k, v)  # (B, heads, keys, D / heads)
        if record is None:
            out = fused_attention(q, k, v, mask, self.dropout if self.training else 0.0)
        else:
            out, weights = attention(q, k, v, mask)
            record.attention.append(weights if record.graph else weights.detach())
            record.head_outputs.append(out.detach())
        return self.mix(out.transpose(1, 2).flatten(2))  # (B, queries, D)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, T, D) -> (B, heads, T, …)


class Block(nn.Module):
    """Tokens read from each other (attention), then each thinks by itself (MLP)."""

    def __init__(self, config: TransformerConfig, layer: int) -> None:
        super().__init__()
        inner = config.mlp_ratio * config.width
        self.attention_norm, self.mlp_norm = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.attention = Attention(config, layer)
        self.mlp = nn.Sequential(
            nn.Linear(config.width, inner),
            ACTIVATIONS[config.activation](),
            nn.Linear(inner, config.width),
        )
        self.dropout = Dropout(config.dropout)

    def forward(
        self, x: Tensor, mask: Mask, read: Columns, cache: Cache | None, record: Record | None
    ) -> Tensor:
        """x (B, T, D) to the rows that `read` names: (B, queries, D)."""
        seen = self.attention(self.attention_norm(x), mask, read, cache, record)
        x = x[:, read] + self.dropout(seen)  # (B, queries, D)
        return x + self.dropout(self.mlp(self.mlp_norm(x)))  # (B, queries, D)


class Transformer(nn.Module):
    """The trunk: tokens (B, T, D) in, what each token knows after looking around (B, T, D) out."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.dropout = Dropout(config.dropout)
        self.apply(init_weights)

    def forward(
        self,
        x: Tensor,
        mask: Mask = "causal",
        *,
        cache: Cache | None = None,
        record: Record | None = None,
        read: Columns = EVERY,
    ) -> Tensor:
        """(B, T, D) -> (B, T, D), or (B, tokens read, D).

        `mask`: "causal", "bidirectional", or bool (T, T) or (B, 1, T, T) with a key in every row.
        `read`: the tokens whose output is wanted. Others need no query and no MLP in the last
        block, which changes nothing and saves a fifth of a Decision Transformer's time.
        `cache`: x continues the tokens kept there; a mask tensor then covers the whole capacity.
        `record`: filled on the way, by the plain path (which knows no attention dropout).
        """
        B, T, _ = x.shape
        mask = _checked(mask, B, cache.capacity if cache else T)
        if cache is not None:
            mask = cache.extend(T, mask)  # (B, 1, T, keys)
        x = self.dropout(x)
        *early, last = self.blocks
        for block in early:
            x = block(x, mask, EVERY, cache, record)
        if read is not EVERY and isinstance(mask, str) and mask == "causal":
            mask = causal_mask(T, device=x.device)
        if isinstance(mask, Tensor):
            mask = mask[..., read, :]  # (..., queries, keys)
        return self.norm(last(x, mask, read, cache, record))

    def cache(self, batch: int, capacity: int) -> Cache:
        """An empty cache for `batch` rows of at most `capacity` tokens, on the model's device."""
        size = (self.config.layers, batch, self.config.heads, capacity)
        return Cache(*size, self.config.width // self.config.heads, like=self.norm.weight)


def init_weights(module: nn.Module) -> None:
    """GPT-2's start, the three papers' too: weights from N(0, 0.02), biases 0. For `.apply`."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
