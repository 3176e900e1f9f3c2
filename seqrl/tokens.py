"""Scalar to token and back: bins of a column, and where the columns of a transition stand.

    s¹ … sᴺ  a¹ … aᴹ  r  V     a transition; every scalar is a token, every column has its own words

A `Discretizer` knows the bins of each column, a `Layout` which column is what. Janner et al., 2021,
section 3.1 (uniform and quantile bins).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from seqrl.cuda_graph import recording

Kind = Literal["uniform", "quantile"]


@dataclass(frozen=True)
class Bins:
    """The vocabulary of one column: token i means edges[i] to edges[i + 1], told as centers[i]."""

    edges: tuple[float, ...]
    centers: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.centers or len(self.edges) != len(self.centers) + 1:
            raise ValueError(f"{len(self.edges)} edges do not fit {len(self.centers)} bins.")

    def __len__(self) -> int:
        return len(self.centers)

    @classmethod
    def from_card(cls, fields: Mapping[str, Any] | Bins) -> Bins:
        """The same from its fields, as a checkpoint's card has them."""
        if not isinstance(fields, Mapping):
            return fields
        return cls(tuple(fields["edges"]), tuple(fields["centers"]))


def uniform(values: Tensor, bins: int = 100) -> Bins:
    """Bins of equal width from the least to the largest of the values (rows,)."""
    x = _sound(values, bins)
    return _between(np.linspace(x[0], x[-1], bins + 1))


def quantile(values: Tensor, bins: int = 100) -> Bins:
    """Bins that hold equally many of the values (rows,), as far as ties allow.

    Edges are every ⌈rows / bins⌉-th value in order, and the largest; equal ones are one.
    """
    x = _sound(values, bins)
    return _between(np.append(x[:: -(-len(x) // bins)], x[-1]))


def exact(values: Tensor) -> Bins:
    """A token for each value that occurs among values (rows,); others go to the nearest one."""
    x = np.unique(_sound(values, 1)).astype(np.float64)
    between = (x[1:] + x[:-1]) / 2
    edges = np.concatenate([x[:1], between, x[-1:]])
    return Bins(tuple(edges.tolist()), tuple(x.tolist()))


def integers(low: int, high: int) -> Bins:
    """A token for every integer from `low` to `high`."""
    return exact(torch.arange(low, high + 1))


def fitted(values: Tensor, bins: int = 100, kind: Kind = "quantile") -> Bins:
    """`exact` where at most `bins` values occur (a constant column has one), else bins of a kind.

    A departure: the paper bins every column, and so rounds even a reward that is either 0 or 1.
    values: of any shape.
    """
    if kind not in ("uniform", "quantile"):
        raise ValueError(f"bins are 'uniform' or 'quantile', not {kind!r}.")
    if len(np.unique(_sound(values, bins))) <= bins:
        return exact(values)
    return (uniform if kind == "uniform" else quantile)(values, bins)


def _sound(values: Tensor, bins: int) -> np.ndarray:
    """The values in order; ValueError where they cannot be binned."""
    if bins < 1:
        raise ValueError(f"a column needs at least one bin, not {bins}.")
    x = values.detach().float().cpu().numpy()
    if x.ndim != 1 or not len(x):
        raise ValueError(f"a column is a vector with at least one value, not {x.shape}.")
    if not np.isfinite(x).all():
        raise ValueError("a column with NaN or infinite values cannot be binned.")
    return np.sort(x)


def _between(edges: np.ndarray) -> Bins:
    """Bins between edges, told as their middles; a constant column has one bin of no width."""
    distinct = np.unique(edges.astype(np.float32)).astype(np.float64)
    if len(distinct) == 1:
        distinct = distinct.repeat(2)
    middles = (distinct[1:] + distinct[:-1]) / 2
    return Bins(tuple(distinct.tolist()), tuple(middles.tolist()))


class Discretizer(nn.Module):
    """Values (..., C) to tokens (..., C) int64 and back; `size` V is the longest vocabulary.

    Its numbers come from the config, not from a checkpoint, which may be rounded to float16.
    """

    inner: Tensor  # (C, V - 1): edges between bins, inf where a column has fewer
    centers: Tensor  # (C, V): 0 where a column has fewer bins
    exists: Tensor  # (C, V) bool

    def __init__(self, columns: Sequence[Bins]) -> None:
        super().__init__()
        if not columns:
            raise ValueError("a discretizer needs at least one column.")
        self.columns = tuple(columns)
        self.size = max(map(len, columns))
        inner = torch.full((len(columns), self.size - 1), torch.inf)
        centers = torch.zeros(len(columns), self.size)
        exists = torch.zeros(len(columns), self.size, dtype=torch.bool)
        for c, bins in enumerate(columns):
            inner[c, : len(bins) - 1] = torch.tensor(bins.edges[1:-1])
            centers[c, : len(bins)] = torch.tensor(bins.centers)
            exists[c, : len(bins)] = True
        for name, buffer in (("inner", inner), ("centers", centers), ("exists", exists)):
            self.register_buffer(name, buffer, persistent=False)

    @classmethod
    def fit(cls, values: Tensor, bins: int = 100, kind: Kind = "quantile") -> Discretizer:
        """The bins of values (rows, C); ValueError for NaN, for no rows, for no bins."""
        if values.ndim != 2:
            raise ValueError(f"values must be (rows, columns), not {tuple(values.shape)}.")
        return cls([fitted(column, bins, kind) for column in values.T])

    def encode(self, values: Tensor, columns: slice = slice(None)) -> Tensor:
        """Tokens of values (..., C), or of some columns; what is out of range gets the first or
        last token. ValueError for NaN, and for another number of columns than it was made for.
        """
        inner = self.inner[columns]
        self._check(values, len(inner))
        if not recording() and torch.isnan(values).any():
            raise ValueError("NaN has no token.")
        rows = values.float().reshape(-1, len(inner)).T.contiguous()  # (C, rows)
        return torch.searchsorted(inner, rows, right=True).T.reshape(values.shape)

    def decode(self, tokens: Tensor) -> Tensor:
        """Centers of the bins of tokens (..., C); ValueError for tokens that a column lacks."""
        self._check(tokens, len(self.columns))
        sizes = self.exists.sum(1)
        if bool(((tokens < 0) | (tokens >= sizes)).any()):
            raise ValueError(f"a token is outside the vocabularies of {sizes.tolist()} tokens.")
        return self.centers[torch.arange(len(self.columns), device=tokens.device), tokens]

    def center(self, tokens: Tensor, columns: int | slice) -> Tensor:
        """Centers of tokens (...) of one column, or (..., some columns); the rest go to the last.

        So the stop token has a center too, which nobody should look at.
        """
        which = torch.arange(len(self.columns), device=tokens.device)[columns]
        last = self.exists.sum(1)[columns] - 1
        return self.centers[which, torch.minimum(tokens, last)]

    def expectation(self, probabilities: Tensor, columns: int | slice = slice(None)) -> Tensor:
        """Mean centers of distributions (..., V) over one column's tokens, or (..., columns, V)."""
        centers = self.centers[columns]
        if probabilities.shape[-centers.ndim :] != centers.shape:
            shape = tuple(probabilities.shape)
            raise ValueError(f"distributions {shape} do not fit centers {tuple(centers.shape)}.")
        return (probabilities * centers).sum(-1)

    def _check(self, x: Tensor, columns: int) -> None:
        if x.ndim == 0 or x.shape[-1] != columns:
            raise ValueError(
                f"the discretizer was made for {columns} columns; "
                f"these values have shape {tuple(x.shape)}."
            )


@dataclass(frozen=True)
class Layout:
    """Which column of a transition is what, for N numbers of state and M of action."""

    N: int
    M: int
    states: tuple[str, ...] = ()  # their names; s1, s2, … where there are none

    def __post_init__(self) -> None:
        if self.N < 1 or self.M < 1:
            raise ValueError(f"a transition needs a state and an action, not {self.N}, {self.M}.")
        if self.states and len(self.states) != self.N:
            raise ValueError(f"{len(self.states)} names do not fit {self.N} columns of state.")

    @property
    def C(self) -> int:
        """Tokens of a transition."""
        return self.N + self.M + 2

    @property
    def state(self) -> slice:
        return slice(0, self.N)

    @property
    def action(self) -> slice:
        return slice(self.N, self.N + self.M)

    @property
    def reward(self) -> int:
        return self.N + self.M

    @property
    def value(self) -> int:
        return self.N + self.M + 1

    @property
    def names(self) -> tuple[str, ...]:
        """What the columns are called, in order."""
        states = self.states or tuple(f"s{i + 1}" for i in range(self.N))
        actions = tuple(f"a{i + 1}" for i in range(self.M)) if self.M > 1 else ("a",)
        return (*states, *actions, "r", "V")

    def column(self, name: str) -> int:
        """The column of that name; ValueError where there is none."""
        if name not in self.names:
            raise ValueError(f"unknown column {name!r}; there are {', '.join(self.names)}.")
        return self.names.index(name)
