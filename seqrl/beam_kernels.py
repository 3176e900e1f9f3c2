"""What a block does with single tokens, in Triton: a kernel for each step instead of a dozen.

    word          embedding and position of a token, which is also written down
    norm_linear   activation(LayerNorm(x) Wᵀ + b)
    attend        a token's queries over the shared prefix and its row's own keys; keeps k and v
    linear_add    x + h Wᵀ + b

A plan is hundreds of tokens, one after the other, so what it takes is the number of kernels, not
their arithmetic. All of it is float32, sums of products included: nothing is rounded to TF32.
Triton comes with PyTorch where there is CUDA, and is not there elsewhere: import this when used.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor, nn

PRECISION = "ieee"
NORM_TILE = {"BM": 16, "BN": 32, "BK": 32, "num_warps": 4, "num_stages": 4}
ADD_TILE = {"BM": 16, "BN": 16, "BK": 64, "num_warps": 4, "num_stages": 4}
KEYS, WARPS = 128, 4  # of `attend`: keys read at a time


def word(
    tokens: Tensor, embed: Tensor, first: int, position: Tensor, place: int, said: Tensor, at: int
) -> Tensor:
    """embed[first + tokens] + position[place], (E, R, D), of tokens (E, R); said[..., at] = tokens.

    said: (E, R, room), changed in place.
    """
    D, rows = embed.shape[1], tokens.numel()
    out = embed.new_empty(*tokens.shape, D)
    numbers = first, place, at, said.shape[-1]
    wide = triton.next_power_of_2(D)
    _word[(rows,)](tokens.contiguous(), embed, position, said, out, *numbers, D, wide, num_warps=1)
    return out


def norm_linear(
    x: Tensor, norm: nn.LayerNorm, weight: Tensor, bias: Tensor, activation: str = ""
) -> Tensor:
    """activation(norm(x) @ weightᵀ + bias) of x (..., K), weight (N, K); "", "relu" or "gelu"."""
    N, K = weight.shape
    rows = x.numel() // K
    out = x.new_empty(*x.shape[:-1], N)
    grid = triton.cdiv(rows, NORM_TILE["BM"]), triton.cdiv(N, NORM_TILE["BN"])
    given = x, norm.weight, norm.bias, weight, bias, out, rows
    sizes = K, N, triton.next_power_of_2(K), norm.eps, activation, PRECISION
    _norm_linear[grid](*given, *sizes, **NORM_TILE)
    return out


def linear_add(x: Tensor, h: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x + h @ weightᵀ + bias of x (..., N), h (..., K), weight (N, K)."""
    N, K = weight.shape
    rows = h.numel() // K
    out = torch.empty_like(x)
    grid = triton.cdiv(rows, ADD_TILE["BM"]), triton.cdiv(N, ADD_TILE["BN"])
    _linear_add[grid](x, h, weight, bias, out, rows, K, N, PRECISION, **ADD_TILE)
    return out


def attend(
    qkv: Tensor, keys: Tensor, values: Tensor, own: tuple[Tensor, Tensor], n: int, keep: bool
) -> Tensor:
    """What single tokens (E, R) hear, (E, R, heads d); qkv (E, R, 3 heads d), queries scaled.

    keys, values (E, heads, P, d): the prefix, every row's. own: each row's n keys and values, twice
    (E R, heads, room, d); if `keep`, place n is written, and the token hears itself as well.
    """
    (E, R), (heads, P, d) = qkv.shape[:2], keys.shape[1:]
    out = qkv.new_empty(E, R, heads * d)
    sizes = heads, d, triton.next_power_of_2(d), KEYS, triton.cdiv(P, KEYS), triton.cdiv(n, KEYS)
    given = qkv, keys, values, *own, out, R, P, own[0].shape[2], n
    _attend[(E * R, heads)](*given, keep, *sizes, num_warps=WARPS)
    return out


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
    x, gamma, beta, weight, bias, out, rows,
    K: tl.constexpr, N: tl.constexpr, WIDE: tl.constexpr, EPS: tl.constexpr,
    ACTIVATION: tl.constexpr, PRECISION: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr,
):  # fmt: skip
    r, c = tl.program_id(0) * BM + tl.arange(0, BM), tl.program_id(1) * BN + tl.arange(0, BN)
    row, column, wide = r[:, None] < rows, c[None, :] < N, tl.arange(0, WIDE)[None, :]
    whole = tl.load(x + r[:, None] * K + wide, mask=row & (wide < K), other=0.0)
    mean = tl.sum(whole, 1) / K
    away = tl.where(wide < K, whole - mean[:, None], 0.0)
    scale = tl.rsqrt(tl.sum(away * away, 1) / K + EPS)
    total = tl.zeros((BM, BN), tl.float32)
    for start in range(0, K, BK):
        k = start + tl.arange(0, BK)
        part = tl.load(x + r[:, None] * K + k[None, :], mask=row & (k[None, :] < K), other=0.0)
        g, b = tl.load(gamma + k, mask=k < K, other=0.0), tl.load(beta + k, mask=k < K, other=0.0)
        part = (part - mean[:, None]) * scale[:, None] * g[None, :] + b[None, :]
        w = tl.load(weight + c[None, :] * K + k[:, None], mask=column & (k[:, None] < K), other=0.0)
        total = tl.dot(part, w, total, input_precision=PRECISION)
    total += tl.load(bias + c, mask=c < N, other=0.0)[None, :]
    if ACTIVATION == "relu":
        total = tl.maximum(total, 0.0)
    if ACTIVATION == "gelu":
        total = 0.5 * total * (1.0 + tl.erf(total * 0.7071067811865476))
    tl.store(out + r[:, None] * N + c[None, :], total, mask=row & column)


@triton.jit(do_not_specialize=["rows"])
def _linear_add(
    x, h, weight, bias, out, rows,
    K: tl.constexpr, N: tl.constexpr, PRECISION: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr,
):  # fmt: skip
    r, c = tl.program_id(0) * BM + tl.arange(0, BM), tl.program_id(1) * BN + tl.arange(0, BN)
    row, column = r[:, None] < rows, c[None, :] < N
    total = tl.zeros((BM, BN), tl.float32)
    for start in range(0, K, BK):
        k = start + tl.arange(0, BK)
        part = tl.load(h + r[:, None] * K + k[None, :], mask=row & (k[None, :] < K), other=0.0)
        w = tl.load(weight + c[None, :] * K + k[:, None], mask=column & (k[:, None] < K), other=0.0)
        total = tl.dot(part, w, total, input_precision=PRECISION)
    at = r[:, None] * N + c[None, :]
    total += tl.load(bias + c, mask=c < N, other=0.0)[None, :]
    total += tl.load(x + at, mask=row & column, other=0.0)
    tl.store(out + at, total, mask=row & column)


@triton.jit(do_not_specialize=["R", "P", "room", "n"])
def _attend(
    qkv, keys, values, own_keys, own_values, out, R, P, room, n, KEEP: tl.constexpr,
    HEADS: tl.constexpr, D: tl.constexpr, BD: tl.constexpr, KEYS: tl.constexpr,
    SHARED: tl.constexpr, OWN: tl.constexpr,
):  # fmt: skip
    row, head, d = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.arange(0, BD)
    at = qkv + (row * 3 * HEADS + head) * D + d
    q = tl.load(at, mask=d < D, other=0.0)
    k = tl.load(at + HEADS * D, mask=d < D, other=0.0)
    v = tl.load(at + 2 * HEADS * D, mask=d < D, other=0.0)
    top, total, seen = tl.sum(q * 0.0) - float("inf"), tl.sum(q * 0.0), q * 0.0
    shared, mine = (row // R * HEADS + head) * P * D, (row * HEADS + head) * room * D
    keys, values, own_keys, own_values = (
        keys + shared, values + shared, own_keys + mine, own_values + mine
    )  # fmt: skip
    top, total, seen = _read(q, keys, values, P, top, total, seen, d, D, KEYS, SHARED)
    if KEEP:
        tl.store(own_keys + n * D + d, k, mask=d < D)
        tl.store(own_values + n * D + d, v, mask=d < D)
        score = tl.sum(q * k)
        higher = tl.maximum(top, score)
        before, weight = tl.exp(top - higher), tl.exp(score - higher)
        top, total, seen = higher, total * before + weight, seen * before + weight * v
    top, total, seen = _read(q, own_keys, own_values, n, top, total, seen, d, D, KEYS, OWN)
    tl.store(out + (row * HEADS + head) * D + d, seen / total, mask=d < D)


@triton.jit
def _read(
    q, keys, values, count, top, total, seen, d,
    D: tl.constexpr, KEYS: tl.constexpr, BLOCKS: tl.constexpr,
):  # fmt: skip
    """Goes on with a softmax: its highest score, the weights' sum and the weighted values' sum."""
    for block in tl.static_range(BLOCKS):
        i = block * KEYS + tl.arange(0, KEYS)
        at, there = i[:, None] * D + d[None, :], (i < count)[:, None] & (d < D)[None, :]
        key = tl.load(keys + at, mask=there, other=0.0)
        value = tl.load(values + at, mask=there, other=0.0)
        score = tl.where(i < count, tl.sum(key * q[None, :], 1), -float("inf"))
        higher = tl.maximum(top, tl.max(score))
        before, weight = tl.exp(top - higher), tl.exp(score - higher)
        total = total * before + tl.sum(weight)
        seen = seen * before + tl.sum(weight[:, None] * value, 0)
        top = higher
    return top, total, seen
