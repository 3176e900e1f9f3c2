"""One file holds a model: its tensors (safetensors) and a card that says what they are (JSON).

One hash covers all tensors and the card's `model`, `data` and `recipe`, so a page that shows a
checkpoint's numbers knows that it has that model. Nothing is unpickled: a file is data, no code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from seqrl.results import write_whole

HASHED = ("model", "data", "recipe")  # what of the card the hash covers; the rest is comment


class CheckpointError(ValueError):
    """A file that cannot be used as the checkpoint asked for; the message says why."""


def digest(tensors: Mapping[str, Tensor], card: Mapping[str, Any]) -> str:
    """sha256 over the tensors (names, types, shapes, bytes) and the card's model, data, recipe."""
    covered = {part: card.get(part) for part in HASHED}
    sha = hashlib.sha256(json.dumps(covered, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        sha.update(tensor.flatten().view(torch.uint8).numpy().data)
    return sha.hexdigest()


def save(
    path: Path | str, tensors: Mapping[str, Tensor], card: Mapping[str, Any], half: bool = False
) -> str:
    """Writes a checkpoint whole or not at all; returns its hash.

    `half`: floating-point tensors are rounded to float16, for the checkpoints that are shipped.
    `tensors`: by name, of any shape.
    """
    stored = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    if half:
        stored = {name: _rounded(name, t) for name, t in stored.items()}
    sha = digest(stored, card)
    text = json.dumps({**card, "sha256": sha}, allow_nan=False)
    write_whole(path, to_bytes(stored, metadata={"card": text}))
    return sha


def load(
    path: Path | str, expect: Mapping[str, Any] | None = None
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """A checkpoint's tensors (float16 comes back as float32) and its card, "sha256" included.

    `expect`: parts of the card that must be so, for instance {"model": {...}, "data": {...}}.
    CheckpointError for a foreign or damaged file, a wrong hash, or a field that differs.
    The tensors are of any shape, by name.
    """
    try:
        with safe_open(path, framework="pt") as file:
            card = json.loads((file.metadata() or {})["card"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, ValueError) as error:
        raise CheckpointError(f"{path} is not a checkpoint, or only part of one.") from error
    if not isinstance(card, dict):
        raise CheckpointError(f"{path} is not a checkpoint: its card has no fields.")
    if digest(tensors, card) != card.get("sha256"):
        raise CheckpointError(f"{path} was changed after it was written: its hash does not match.")
    different = difference(card, json.loads(json.dumps(expect or {})))
    if different:
        field, found, wanted = different
        raise CheckpointError(
            f"{path} was made with {field} = {found!r}, but {wanted!r} is wanted."
        )
    return {n: t.float() if t.dtype == torch.float16 else t for n, t in tensors.items()}, card


def model_card(model: nn.Module) -> dict[str, Any]:
    """What a checkpoint says about its model: the method's name and all fields of its config.

    But for those at their default whose metadata say "later": they came after the first
    checkpoints, which stay valid so.
    """
    config: Any = getattr(model, "config", None)
    card = asdict(config) if is_dataclass(config) and not isinstance(config, type) else {}
    for field in fields(config) if card else ():
        if field.metadata.get("later") and card[field.name] == field.default:
            del card[field.name]
    return {"method": type(model).__name__, **card}


def data_card(trajectories: Any) -> dict[str, Any]:
    """What a checkpoint says about its data: provenance, counts and a digest of the contents."""
    if callable(trajectories):
        return {"sampler": getattr(trajectories, "__name__", type(trajectories).__name__)}
    info = {name: x for name, x in trajectories.info.items() if name != "missions"}
    parts = {name: getattr(trajectories, name) for name in ("actions", "rewards", "offsets")}
    counts = {"episodes": len(trajectories), "steps": trajectories.steps}
    return {**info, **counts, "digest": digest(parts, {})[:16]}


def save_model(
    path: Path | str, model: nn.Module, card: Mapping[str, Any], half: bool = True
) -> str:
    """Writes a trained model alone, as it is shipped; returns its hash.

    `card`: what `load` gave for the run's checkpoint, or {"data": ..., "recipe": ..., ...}.
    """
    tensors = {f"model.{name}": x for name, x in model.state_dict().items()}
    return save(path, tensors, {**card, "model": model_card(model)}, half)


def load_model(
    path: Path | str, model: nn.Module, expect: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Puts a checkpoint's parameters into `model`, which must have its config; returns the card."""
    tensors, card = load(path, {**(expect or {}), "model": model_card(model)})
    fill(model, grouped(tensors).get("model", {}), path)
    return card


def fill(model: nn.Module, tensors: Mapping[str, Tensor], path: Path | str) -> None:
    """Puts tensors (any shape) into a model; CheckpointError names `path` where they do not fit."""
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise CheckpointError(f"{path} has other tensors than the model: {error}.") from error


def grouped(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """{"model.a.b": x} -> {"model": {"a.b": x}}; a run's checkpoint has more groups than that.

    The tensors are of any shape.
    """
    groups: dict[str, dict[str, Tensor]] = {}
    for name, x in tensors.items():
        group, _, rest = name.partition(".")
        groups.setdefault(group, {})[rest] = x
    return groups


def difference(found: Any, wanted: Any, field: str = "") -> tuple[str, Any, Any] | None:
    """The first field of `wanted` that `found` does not have so: (field, found, wanted)."""
    if not isinstance(wanted, dict) or not isinstance(found, dict):
        return None if found == wanted else (field, found, wanted)
    for name in wanted:
        inner = f"{field}.{name}" if field else name
        different = difference(found.get(name), wanted[name], inner)
        if different:
            return different
    return None


def _rounded(name: str, tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    if not torch.isfinite(tensor.half()).all():
        raise ValueError(f"{name} does not fit float16: its largest value is {tensor.abs().max()}.")
    return tensor.half()
