"""What a model's trunk gets, changed while the model runs: keys hidden, tokens resampled.

Attention says where a model reads; an intervention says whether it needs what it reads there. It
finds the trunk inside any model and works on its arguments, so no method has to provide for it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from seqrl.transformer import Transformer, causal_mask


@contextmanager
def hidden(model: nn.Module, columns: Tensor) -> Iterator[None]:
    """Meanwhile the trunk's queries cannot see some keys; one left with nothing sees itself.

    `columns` bool, True what to hide: (T,), or each window's own (B, T), or each query's (B, T, T).
    """

    def change(call: dict[str, Any]) -> None:
        if call["cache"] is not None:
            raise ValueError("keys are hidden in whole sequences, without a cache.")
        B, T, _ = call["x"].shape
        _fits(columns, (T,), (B, T), (B, T, T))
        away = columns[:, None] if columns.ndim == 2 else columns
        mask = visible(call["mask"], call["x"]) & ~away.to(call["x"].device)
        mask = mask | torch.diag_embed(~mask.any(-1))
        call["mask"] = mask[:, None]

    with changed(model, change):
        yield


@contextmanager
def resampled(
    model: nn.Module, generator: torch.Generator, columns: Tensor | None = None
) -> Iterator[None]:
    """Meanwhile tokens come from other windows of the batch, each place from a window of its own.

    `columns` bool, True what to replace: (T,) or (B, T); without it every token, so that each place
    holds what it may hold, but nothing fits together.
    """

    def change(call: dict[str, Any]) -> None:
        x = call["x"]
        B, T, _ = x.shape
        if B < 2:
            raise ValueError("tokens can only come from other windows where a batch has two.")
        shift = torch.randint(1, B, (T,), generator=generator)
        source = (torch.arange(B)[:, None] + shift) % B  # (B, T): never the window itself
        other = x[source.to(x.device), torch.arange(T, device=x.device)]
        if columns is not None:
            _fits(columns, (T,), (B, T))
            other = torch.where(columns.to(x.device)[..., None], other, x)
        call["x"] = other

    with changed(model, change):
        yield


@contextmanager
def pattern(model: nn.Module, how: str, layer: int | None = None) -> Iterator[None]:
    """Meanwhile a layer reads by another map than its own, all layers unless told; values stay.

    how: "even", spread over all keys that are seen; "another", the map of another window of the
    batch. Even attention comes from queries that are zero.
    """
    if how not in ("even", "another"):
        raise ValueError(f"a pattern may be 'even' or 'another', not {how!r}.")
    blocks = _trunk(model).blocks
    parts = [block.attention for block in (blocks if layer is None else [blocks[layer]])]

    def hook(module: nn.Module, args: Any, out: Tensor) -> Tensor:
        if how == "another" and len(out) < 2:
            raise ValueError("a map can only come from another window where a batch has two.")
        return torch.zeros_like(out) if how == "even" else out.roll(1, 0)

    handles = [x.register_forward_hook(hook) for part in parts for x in (part.query, part.key)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def changed(model: nn.Module, change: Callable[[dict[str, Any]], None]) -> Iterator[None]:
    """Meanwhile every call of the model's trunk goes through `change`, which may edit it."""
    trunk = _trunk(model)
    signature = inspect.signature(trunk.forward)

    def hook(module: nn.Module, args: Any, kwargs: Any) -> tuple[tuple[()], dict[str, Any]]:
        call = signature.bind(*args, **kwargs)
        call.apply_defaults()
        change(call.arguments)
        return (), call.arguments

    handle = trunk.register_forward_pre_hook(hook, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def _trunk(model: nn.Module) -> Any:
    """The one Transformer inside a model."""
    trunks = [module for module in model.modules() if isinstance(module, Transformer)]
    if len(trunks) != 1:
        raise ValueError(f"{type(model).__name__} has {len(trunks)} trunks; one can be looked at.")
    return trunks[0]


def visible(mask: Tensor | str, x: Tensor) -> Tensor:
    """A trunk's mask argument as (B or 1, T, T) bool."""
    T = x.shape[1]
    if isinstance(mask, str):
        shown = causal_mask(T, device=x.device)
        return (shown if mask == "causal" else torch.ones_like(shown))[None]
    return mask.reshape(-1, T, T)


def _fits(columns: Tensor, *shapes: tuple[int, ...]) -> None:
    if columns.dtype != torch.bool or columns.shape not in shapes:
        raise ValueError(
            f"columns are bool, of shape {' or '.join(map(str, shapes))}; "
            f"got {columns.dtype} {tuple(columns.shape)}."
        )
