"""How a model is optimized: its `Recipe` (length, rates, decay), AdamW, and the precision."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class Recipe:
    """How long and how fast; the defaults are minGPT's, which TT and LEAP took over."""

    steps: int = 10_000
    batch: int = 64  # windows
    lr: float = 6e-4  # reached at the end of warm-up
    warmup: float = 0.1  # share of the steps
    final: float = 0.1  # share of `lr` left at the last step
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.1  # on matrices only
    clip: float | None = 1.0  # the gradient's norm at most

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 1:
            raise ValueError(f"steps {self.steps} and batch {self.batch} must be at least 1.")

    def rate(self, step: int) -> float:
        """The learning rate of update `step` (0 … steps - 1): linear up, then half a cosine down.

        The last update has `final` · `lr`. In the papers' code the cosine does not end where
        training ends, and the rate climbs again (TT, LEAP).
        """
        warm = round(self.warmup * self.steps)
        if step < warm:
            return self.lr * (step + 1) / warm
        progress = (step + 1 - warm) / (self.steps - warm)
        return self.lr * (self.final + (1 - self.final) * (1 + math.cos(math.pi * progress)) / 2)


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW that decays matrices and leaves biases, gains and other vectors alone."""
    trained = [p for p in model.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": recipe.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    if not trained[0].is_cuda:
        return torch.optim.AdamW(groups, lr=recipe.lr, betas=recipe.betas)
    rate = torch.tensor(recipe.lr, device=trained[0].device)  # where a CUDA graph finds it
    on_gpu = {"fused": True, "capturable": True}
    return torch.optim.AdamW(groups, lr=rate, betas=recipe.betas, **on_gpu)


def set_rate(group: dict[str, Any], rate: float) -> None:
    """Sets the learning rate of one of an optimizer's groups, in place where it is a tensor."""
    if isinstance(group["lr"], torch.Tensor):
        group["lr"].fill_(rate)
    else:
        group["lr"] = rate


def choose_precision(device: torch.device | str, want: str | None = None) -> str:
    """ "fp32" or "bf16" (matrix products in bfloat16, parameters in float32).

    None: bf16 on a GPU that has it (compute capability 8.0), fp32 elsewhere. "auto": bf16 also on
    a CPU that gains by it (see `_gains_by_bf16`). "fp32" and "bf16" are taken at their word.
    """
    if want in ("fp32", "bf16"):
        return want
    if want not in (None, "auto"):
        raise ValueError(f"precision is {want!r}; it must be 'fp32', 'bf16', 'auto' or None.")
    if torch.device(device).type == "cuda":
        return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp32"
    cpuinfo = Path("/proc/cpuinfo")
    asked = want == "auto" and cpuinfo.exists()
    return "bf16" if asked and _gains_by_bf16(cpuinfo.read_text()) else "fp32"


def _gains_by_bf16(cpuinfo: str) -> bool:
    """Whether a CPU with this /proc/cpuinfo multiplies faster in bfloat16.

    With AMX, or AMD's AVX-512. Intel's AVX-512 without AMX has the instructions, but a training
    step of a Decision Transformer takes one and a half times as long with them (`make bench`).
    """
    words = set(cpuinfo.split())
    return "amx_bf16" in words or {"avx512_bf16", "AuthenticAMD"} <= words
