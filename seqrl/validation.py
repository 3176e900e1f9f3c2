"""What must hold of a dataset, in one place; each failure is a sentence that names the episode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from seqrl.trajectories import Trajectories


def check(data: Trajectories) -> None:
    """Raise ValueError, naming episode and field, unless the trajectories are sound.

    Sound: at least one episode, and an action in each; all lengths and types as `Trajectories`
    declares them; no NaN and no infinity; termination and truncation only at last steps.
    """
    _check_offsets(data)
    _check_shapes(data)
    _check_context(data)
    for name in ("rewards", "actions"):
        _check_finite(data, name, getattr(data, name), data.offsets)
    rows = data.offsets + torch.arange(len(data.offsets), device=data.offsets.device)
    for key, values in data.observations.items():
        _check_finite(data, f"observations[{key!r}]", values, rows)
    last = torch.zeros_like(data.terminations)
    last[data.offsets[1:] - 1] = True
    for name in ("terminations", "truncations"):
        early = getattr(data, name) & ~last
        if early.any():
            e, t = locate(early, data.offsets)
            length = int(data.lengths[e])
            raise ValueError(
                f"episode {e}, {name}: set at step {t}, but the episode goes on to step {length}."
            )


def check_episode(e: int, episode: dict[str, Any], first: dict[str, Any]) -> None:
    """Raise ValueError unless episode `e`, as given to `pack`, is whole and alike the first one."""
    for name in ("observations", "actions", "rewards", "terminations", "truncations"):
        if name not in episode:
            raise ValueError(f"episode {e}, {name}: missing.")
    steps = len(episode["actions"])
    if not steps:
        raise ValueError(f"episode {e}, actions: the episode has none.")
    found, wanted = _fields(episode), _fields(first)
    if found.keys() != wanted.keys():
        name = sorted(found.keys() ^ wanted.keys())[0]
        raise ValueError(f"episode {e}, {name}: {'missing' if name in wanted else 'not expected'}.")
    for name, values in found.items():
        like = wanted[name]
        if values.dtype.kind not in "biuf":
            raise ValueError(f"episode {e}, {name}: {values.dtype.name} is not a type of number.")
        if (values.dtype.kind == "f") != (like.dtype.kind == "f"):
            kinds = f"{values.dtype.name}, but {like.dtype.name} in episode 0"
            raise ValueError(f"episode {e}, {name}: {kinds}.")
        rows = steps + 1 if name.startswith("observations") else steps
        if name.startswith("context"):
            right = values.shape == like.shape
        elif name == "maps":
            right = values.ndim == 4 and len(values) > 0 and values.shape[1:] == like.shape[1:]
        else:
            right = values.ndim > 0 and values.shape == (rows, *like.shape[1:])
        if not right:
            raise ValueError(
                f"episode {e}, {name}: shape {values.shape} does not fit {steps} actions and "
                f"episode 0's shape {like.shape}."
            )
    index = found.get("observations['map']")
    if "maps" in found and (index is None or index.min() < 0 or index.max() >= len(found["maps"])):
        raise ValueError(f"episode {e}, observations['map']: not an index into its maps.")


def _fields(episode: dict[str, Any]) -> dict[str, np.ndarray]:
    """The arrays of an episode by the names that messages use."""
    fields = {f"observations[{key!r}]": v for key, v in episode["observations"].items()}
    fields |= {f"context[{key!r}]": v for key, v in episode.get("context", {}).items()}
    names = ("actions", "rewards", "terminations", "truncations", "maps")
    fields |= {name: episode[name] for name in names if name in episode}
    return {name: np.asarray(values) for name, values in fields.items()}


def locate(wrong: Tensor, offsets: Tensor) -> tuple[int, int]:
    """Episode, and the row within it, of the first True in `wrong` (rows, ...)."""
    row = wrong.flatten(1).any(1).nonzero()[0] if wrong.dim() > 1 else wrong.nonzero()[0]
    e = int(torch.searchsorted(offsets, row, right=True)) - 1
    return e, int(row) - int(offsets[e])


def _check_offsets(data: Trajectories) -> None:
    if data.offsets.dtype != torch.int64 or data.offsets.dim() != 1:
        raise ValueError("offsets must be int64 of shape (episodes + 1,).")
    if len(data) < 1:
        raise ValueError("the dataset has zero episodes.")
    if (data.lengths < 1).any():
        e = int((data.lengths < 1).nonzero()[0])
        raise ValueError(f"episode {e}, actions: the episode has none.")
    first, end = int(data.offsets[0]), int(data.offsets[-1])
    if first != 0 or end != len(data.actions):
        raise ValueError(
            f"offsets run from {first} to {end}, but actions from 0 to {len(data.actions)}."
        )


def _check_shapes(data: Trajectories) -> None:
    steps, rows = data.steps, data.steps + len(data)
    actions = data.actions
    discrete = actions.dim() == 1 and actions.dtype == torch.int64
    if not discrete and not (actions.dim() == 2 and actions.dtype == torch.float32):
        raise ValueError(f"actions must be int64 (S,) or float32 (S, M), not {_what(actions)}.")
    expected = {"rewards": torch.float32, "terminations": torch.bool, "truncations": torch.bool}
    for name, dtype in expected.items():
        values = getattr(data, name)
        if values.shape != (len(actions),) or values.dtype != dtype:
            wanted = f"{str(dtype).removeprefix('torch.')} of shape ({len(actions)},)"
            raise ValueError(f"{name} must be {wanted}, one a step, not {_what(values)}.")
    if not data.observations:
        raise ValueError("observations: there are none.")
    for key, values in data.observations.items():
        if values.dim() < 1 or len(values) != rows:
            raise ValueError(
                f"observations[{key!r}] must have {rows} rows ({steps} steps and a final one for "
                f"each of {len(data)} episodes), not {_what(values)}."
            )


def _check_context(data: Trajectories) -> None:
    for name, values in {"seeds": data.seeds, **data.context}.items():
        if values.dim() < 1 or len(values) != len(data):
            raise ValueError(f"{name} must have one row an episode, not {_what(values)}.")
    if "success" in data.context and data.context["success"].dtype != torch.bool:
        raise ValueError(f"success must be bool, not {_what(data.context['success'])}.")
    if len(data.info.get("missions", data.lengths)) != len(data):
        raise ValueError("info['missions'] must have one text an episode.")
    if data.maps is None:
        return
    index = data.observations.get("map")
    if data.maps.dim() != 4 or data.maps.dtype != torch.uint8:
        raise ValueError(f"maps must be uint8 (versions, W, H, 3), not {_what(data.maps)}.")
    if index is None or index.dim() != 1 or index.dtype != torch.int32:
        raise ValueError("with maps, observations['map'] must be int32 of shape (S + episodes,).")
    outside = (index < 0) | (index >= len(data.maps))
    if outside.any():
        rows = data.offsets + torch.arange(len(data.offsets), device=index.device)
        e, t = locate(outside, rows)
        raise ValueError(f"episode {e}, observations['map']: no map of that index at step {t}.")


def _check_finite(data: Trajectories, name: str, values: Tensor, offsets: Tensor) -> None:
    if not values.is_floating_point():
        return
    # One pass without a mask: a sum is finite unless a term is not (or the sum overflows).
    if torch.isfinite(values.sum(dtype=torch.float64)):
        return
    wrong = ~torch.isfinite(values)
    if wrong.any():
        e, t = locate(wrong, offsets)
        kind = "NaN" if torch.isnan(values[int(offsets[e]) + t]).any() else "infinite"
        raise ValueError(f"episode {e}, {name}: {kind} at step {t}.")


def _what(values: Tensor) -> str:
    return f"{str(values.dtype).removeprefix('torch.')} of shape {tuple(values.shape)}"
