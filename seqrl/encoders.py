"""One observation encoder for every method, so that comparisons are between methods.

`encode(observations)` gives an `Encoding`: a state token a step, and a summary and a context as
seen from the first step. `FlatEncoder` takes vectors, `GridEncoder` grid worlds and missions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from seqrl.frames import relative_pose
from seqrl.grid_encoder import Encoding, GridEncoder, GridEncoderConfig, MapRecord, Scene
from seqrl.trajectories import Trajectories

__all__ = [
    "Encoding",
    "FlatEncoder",
    "FlatEncoderConfig",
    "GridEncoder",
    "GridEncoderConfig",
    "MapRecord",
    "Scene",
    "config_for",
    "config_from",
    "config_of",
    "relative_pose",
]


@dataclass(frozen=True)
class FlatEncoderConfig:
    """Sizes of a `FlatEncoder`: N numbers to D."""

    size: int
    width: int = 128

    def build(self) -> FlatEncoder:
        return FlatEncoder(self)


EncoderConfig = GridEncoderConfig | FlatEncoderConfig


class FlatEncoder(nn.Module):
    """A vector {"state": (B, K, N)}, standardized, then one linear layer as Decision Transformer's.

    The only context is the first step's token.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: FlatEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.zeros(config.size))
        self.register_buffer("std", torch.ones(config.size))
        self.linear = nn.Linear(config.size, config.width)

    @property
    def expected(self) -> dict[str, tuple[int, ...] | None]:
        """The observations that it knows, and the shape of one step's."""
        return {"state": (self.config.size,)}

    def fit(self, states: Tensor) -> None:
        """Takes mean and deviation from states (rows, N); a constant number is only centered."""
        std, mean = torch.std_mean(states.double(), dim=0, correction=0)
        self.mean.copy_(mean)
        self.std.copy_(torch.where(std > 1e-4, std, 1.0))

    def encode(self, observations: Mapping[str, Tensor]) -> Encoding:
        """{"state": (B, K, N)} to a token a step, (B, K, D)."""
        steps = self.linear((observations["state"].float() - self.mean) / self.std)  # (B, K, D)
        return Encoding(steps[:, :1], steps[:, 0], steps, steps[:, :, None])

    forward = encode


def config_for(observations: Mapping[str, Any], width: int = 128, **fields: Any) -> EncoderConfig:
    """The encoder for observations with these keys, arrays or spaces: "state", "map" or "view".

    `fields`: of `GridEncoderConfig`. ValueError where the keys are others.
    """
    if "state" in observations:
        return FlatEncoderConfig(observations["state"].shape[-1], width)
    if {"agent", "mission", "map"} <= observations.keys():
        return GridEncoderConfig("map", width, **fields)
    if {"agent", "mission", "view"} <= observations.keys():
        view = {"behind": 0, "ahead": 6, "side": 3, "sweeps": 0}  # nothing to plan on in a view
        return GridEncoderConfig("view", width, **{**view, **fields})
    raise ValueError(f"no encoder for observations with {', '.join(observations) or 'no keys'}.")


def config_of(data: Trajectories, width: int = 128, **fields: Any) -> EncoderConfig:
    """The encoder for the observations of a dataset; see `config_for`."""
    return config_for({**data.context, **data.observations}, width, **fields)


def config_from(fields: Mapping[str, Any] | EncoderConfig) -> EncoderConfig:
    """An encoder's config from its fields, as a checkpoint's card has them."""
    if not isinstance(fields, Mapping):
        return fields
    return FlatEncoderConfig(**fields) if "size" in fields else GridEncoderConfig(**fields)
