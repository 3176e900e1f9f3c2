"""What a block does with single tokens, in Triton: a kernel for each step instead of a dozen.

    word          embedding and position of a token, which is also written down
    norm_linear   activation(LayerNorm(x) Wᵀ + b)
    attend        a token's queries over the shared prefix and its row's own keys; keeps k and v
    linear_add    x + h Wᵀ + b

A plan is hundreds of tokens, one after the other, so what it takes is the number of kernels, not
their arithmetic. All of it is float32, sums of products included: nothing is rounded to TF32.
Triton comes with PyTorch where there is CUDA. Elsewhere these functions raise ModuleNotFoundError.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


class _NoTriton:
    """In place of Triton: kernels can be defined, and none can run."""

    def jit(self, *_: object, **__: object) -> Callable[..., _NoTriton]:
        return lambda *_: self

    def __getattr__(self, name: str) -> Any:
        raise ModuleNotFoundError("kernels need Triton, which comes with PyTorch for CUDA.")


try:
    import triton
    import triton.language as tl
except ModuleNotFoundError:
    triton = tl = _NoTriton()
THERE = not isinstance(triton, _NoTriton)

PRECISION = "ieee"
NORM_TILE = {"BM": 16, "BN": 32, "BK": 32, "num_warps": 4, "num_stages": 4}
ADD_TILE = {"BM": 16, "BN": 16, "BK": 64, "num_warps": 4, "num_stages": 4}
LEAST, WARPS = 64, 8  # of `attend`: room for own keys


def word(
    tokens: Tensor, embed: Tensor, first: int, position: Tensor, place: int, said: Tensor, at: int
) -> Tensor:
    """embed[first + tokens] + position[place], (E, R, D), of tokens (E, R); said[..., at] = tokens.

    said: (E, R, room), changed in place.
    """
    D, rows = embed.shape[1], tokens.numel()
    out = embed.new_empty(*tokens.shape, D)
    sizes = first, place, at, said.shape[-1], D, triton.next_power_of_2(D)
    _word[(rows,)](tokens.contiguous(), embed, position, said, out, *sizes, num_warps=1)
    return out


class Normed(NamedTuple):
    """LayerNorm and the matrix after it as one: what the norm does by column is in the matrix.

    W ((x - mean) / deviation) is (W x - mean · sums) / deviation: no product waits for the mean.
    """

    weight: Tensor  # (N, K)
    sums: Tensor  # (N,), of the weight's rows: what a mean of 1 would add
    bias: Tensor  # (N,)
    eps: float

    @classmethod
    def of(cls, norm: nn.LayerNorm, weight: Tensor, bias: Tensor) -> Normed:
        """Of weight (..., N, K) and bias (..., N), which have that dimension more here, too."""
        folded = weight * norm.weight
        return cls(side_by_side(folded), folded.sum(-1), bias + weight @ norm.bias, norm.eps)


def side_by_side(weight: Tensor) -> Tensor:
    """weight (..., N, K), with what threads read at the same time side by side in memory."""
    return weight.mT.contiguous().mT


def norm_linear(x: Tensor, normed: Normed, activation: str = "") -> Tensor:
    """activation(norm(x) @ weightᵀ + bias) of x (..., K): (..., N); "", "relu" or "gelu"."""
    weight, sums, bias, eps = normed
    N, K = weight.shape
    rows = x.numel() // K
    out = x.new_empty(*x.shape[:-1], N)
    grid = triton.cdiv(rows, NORM_TILE["BM"]), triton.cdiv(N, NORM_TILE["BN"])
    sizes = K, N, *weight.stride(), triton.next_power_of_2(K), eps, activation, PRECISION
    _norm_linear[grid](x, weight, sums, bias, out, rows, *sizes, **NORM_TILE)
    return out


def linear_add(x: Tensor, h: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x + h @ weightᵀ + bias of x (..., N), h (..., K), weight (N, K)."""
    N, K = weight.shape
    rows = h.numel() // K
    out = torch.empty_like(x)
    grid = triton.cdiv(rows, ADD_TILE["BM"]), triton.cdiv(N, ADD_TILE["BN"])
    _linear_add[grid](x, h, weight, bias, out, rows, K, N, *weight.stride(), PRECISION, **ADD_TILE)
    return out


def attend(qkv: Tensor, keys: Tensor, values: Tensor, own: Tensor, n: int, keep: bool) -> Tensor:
    """What single tokens (E, R) hear, (E, R, heads d); qkv (E, R, 3 heads d), queries scaled.

    keys, values (E, heads, P, d): the prefix, every row's. own (2, E R, heads, room, d): each row's
    n keys and values; if `keep`, place n is written, and the token hears itself as well.
    """
    (E, R), (heads, P, d) = qkv.shape[:2], keys.shape[1:]
    out = qkv.new_empty(E, R, heads * d)
    sizes = heads, d, *(triton.next_power_of_2(x) for x in (d, P, max(n, LEAST)))
    given = qkv, keys, values, *own, out, R, P, own.shape[3], n
    _attend[(E * R, heads)](*given, keep, *sizes, num_warps=WARPS)
    return out


# Not specialized: what changes with every token, or Triton would compile anew for some numbers.
@triton.jit(do_not_specialize=["first", "place", "at", "room"])
def _word(
    tokens, embed, position, said, out, first, place, at, room, D: tl.constexpr, BD: tl.constexpr
):
    row, d = tl.program_id(0), tl.arange(0, BD)
    token = tl.load(tokens + row)
    x = tl.load(embed + (first + token) * D + d, mask=d < D, other=0.0)
    x += tl.load(position + place * D + d, mask=d < D, other=0.0)
    tl.store(out + row * D + d, x, mask=d < D)
    tl.store(said + row * room + at, token)


@triton.jit(do_not_specialize=["rows"])
def _norm_linear(
    x, weight, sums, bias, out, rows,
    K: tl.constexpr, N: tl.constexpr, SN: tl.constexpr, SK: tl.constexpr, WIDE: tl.constexpr,
    EPS: tl.constexpr, ACTIVATION: tl.constexpr, PRECISION: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr,
):  # fmt: skip
    r, c = tl.program_id(0) * BM + tl.arange(0, BM), tl.program_id(1) * BN + tl.arange(0, BN)
    row, column, wide = r[:, None] < rows, c[None, :] < N, tl.arange(0, WIDE)[None, :]
    whole = tl.load(x + r[:, None] * K + wide, mask=row & (wide < K), other=0.0)
    s, b = tl.load(sums + c, mask=c < N, other=0.0), tl.load(bias + c, mask=c < N, other=0.0)
    total = _product(x, weight, r, c, rows, K, N, SN, SK, PRECISION, BM, BN, BK)
    mean = tl.sum(whole, 1) / K
    away = tl.where(wide < K, whole - mean[:, None], 0.0)
    scale = tl.rsqrt(tl.sum(away * away, 1) / K + EPS)
    total = (total - mean[:, None] * s[None, :]) * scale[:, None] + b[None, :]
    if ACTIVATION == "relu":
        total = tl.maximum(total, 0.0)
    if ACTIVATION == "gelu":
        total = 0.5 * total * (1.0 + tl.erf(total * 0.7071067811865476))
    tl.store(out + r[:, None] * N + c[None, :], total, mask=row & column)


@triton.jit(do_not_specialize=["rows"])
def _linear_add(
    x, h, weight, bias, out, rows,
    K: tl.constexpr, N: tl.constexpr, SN: tl.constexpr, SK: tl.constexpr, PRECISION: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr,
):  # fmt: skip
    r, c = tl.program_id(0) * BM + tl.arange(0, BM), tl.program_id(1) * BN + tl.arange(0, BN)
    there, place = (r[:, None] < rows) & (c[None, :] < N), r[:, None] * N + c[None, :]
    before = tl.load(x + place, mask=there, other=0.0)
    b = tl.load(bias + c, mask=c < N, other=0.0)
    total = _product(h, weight, r, c, rows, K, N, SN, SK, PRECISION, BM, BN, BK)
    tl.store(out + place, before + total + b[None, :], mask=there)


@triton.jit
def _product(
    x, weight, r, c, rows,
    K: tl.constexpr, N: tl.constexpr, SN: tl.constexpr, SK: tl.constexpr, PRECISION: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr,
):  # fmt: skip
    """x[r] @ weight[c]ᵀ, (BM, BN)."""
    total = tl.zeros((BM, BN), tl.float32)
    for start in range(0, K, BK):
        k = start + tl.arange(0, BK)
        at, here = x + r[:, None] * K + k[None, :], (r[:, None] < rows) & (k[None, :] < K)
        part = tl.load(at, mask=here, other=0.0)
        at, here = weight + c[None, :] * SN + k[:, None] * SK, (c[None, :] < N) & (k[:, None] < K)
        total = tl.dot(part, tl.load(at, mask=here, other=0.0), total, input_precision=PRECISION)
    return total


@triton.jit(do_not_specialize=["R", "P", "room", "n"])
def _attend(
    qkv, keys, values, own_keys, own_values, out, R, P, room, n, KEEP: tl.constexpr,
    HEADS: tl.constexpr, D: tl.constexpr, BD: tl.constexpr, BP: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    row, head, d = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.arange(0, BD)
    shared, mine = (row // R * HEADS + head) * P * D, (row * HEADS + head) * room * D
    at = qkv + (row * 3 * HEADS + head) * D + d
    i, j = tl.arange(0, BP)[:, None], tl.arange(0, BN)[:, None]
    here, there = (i < P) & (d < D)[None, :], (j < n) & (d < D)[None, :]
    i, j = shared + i * D + d[None, :], mine + j * D + d[None, :]
    # All that is read is asked for at once; only then is anything waited for.
    q = tl.load(at, mask=d < D, other=0.0)
    k = tl.load(at + HEADS * D, mask=d < D, other=0.0)
    v = tl.load(at + 2 * HEADS * D, mask=d < D, other=0.0)
    shared_keys = tl.load(keys + i, mask=here, other=0.0)
    mine_keys = tl.load(own_keys + j, mask=there, other=0.0)
    shared_values = tl.load(values + i, mask=here, other=0.0)
    mine_values = tl.load(own_values + j, mask=there, other=0.0)
    a = tl.where(tl.arange(0, BP) < P, tl.sum(shared_keys * q[None, :], 1), -float("inf"))
    b = tl.where(tl.arange(0, BN) < n, tl.sum(mine_keys * q[None, :], 1), -float("inf"))
    itself = tl.sum(q * k)
    top = tl.maximum(tl.max(a), tl.max(b))
    if KEEP:
        top = tl.maximum(top, itself)
    a, b, itself = tl.exp(a - top), tl.exp(b - top), tl.exp(itself - top)
    total = tl.sum(a) + tl.sum(b)
    seen = tl.sum(a[:, None] * shared_values, 0) + tl.sum(b[:, None] * mine_values, 0)
    if KEEP:
        total, seen = total + itself, seen + itself * v
        tl.store(own_keys + mine + n * D + d, k, mask=d < D)
        tl.store(own_values + mine + n * D + d, v, mask=d < D)
    tl.store(out + (row * HEADS + head) * D + d, seen / total, mask=d < D)
