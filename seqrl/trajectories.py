"""`Trajectories`: episodes as packed contiguous arrays, from which training windows are gathered.

The S steps of all episodes lie one after the other; `offsets[e]` is the first step of episode e.
Observations have one row more an episode, the final one: step i of episode e is row i + e, and the
observation after that step is row i + e + 1. Nothing is padded and nothing is stored twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqrl.validation import check, check_episode
from seqrl.windows import Batch, Windows, offsets_of, ranges, returns_to_go

__all__ = ["Batch", "Trajectories", "concatenate", "from_tensors", "pack", "returns_to_go"]

FIELDS = ("actions", "rewards", "terminations", "truncations")  # what has a row for each step


@dataclass(frozen=True, eq=False, repr=False)
class Trajectories:
    """S steps of several episodes, packed; `len()` is the number of episodes.

    `pack` makes one from episodes, and `check` says what must hold. Where `maps` is given,
    observations["map"] is not the map but the index of its version, (S + episodes,) int32: a map is
    stored once an episode and once more after each change.
    """

    observations: dict[str, Tensor]  # key: (S + episodes, ...), final observations included
    actions: Tensor  # (S,) int64 or (S, M) float32
    rewards: Tensor  # (S,) float32
    terminations: Tensor  # (S,) bool, True only at last steps
    truncations: Tensor  # (S,) bool, True only at last steps
    offsets: Tensor  # (episodes + 1,) int64
    seeds: Tensor  # (episodes,) int64, -1 where unknown
    context: dict[str, Tensor] = field(default_factory=dict)  # key: (episodes, ...)
    maps: Tensor | None = None  # (versions, W, H, 3) uint8
    info: dict[str, Any] = field(default_factory=dict)  # JSON-able; "missions": a text an episode
    _cache: dict[Any, Any] = field(default_factory=dict, init=False)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __repr__(self) -> str:
        returns = self.returns.double()
        return (
            f"Trajectories({self.info.get('env', 'unnamed')}: {len(self):,} episodes, "
            f"{self.steps:,} steps, return {returns.mean():.1f} ± {returns.std(correction=0):.1f})"
        )

    @property
    def steps(self) -> int:
        """S, the number of steps of all episodes together."""
        return len(self.rewards)

    @property
    def lengths(self) -> Tensor:
        """Steps of each episode, (episodes,) int64."""
        return self.offsets.diff()

    @property
    def returns(self) -> Tensor:
        """The undiscounted return of each episode, (episodes,) float32."""
        return self.returns_to_go()[self.offsets[:-1]]

    @property
    def success(self) -> Tensor:
        """Whether each episode succeeded, (episodes,) bool; ValueError if it was not recorded."""
        if "success" not in self.context:
            raise ValueError("these trajectories do not record success: no context['success'].")
        return self.context["success"]

    @property
    def episode_of_step(self) -> Tensor:
        """The episode that each step belongs to, (S,) int64."""
        if "episode" not in self._cache:
            episodes = torch.arange(len(self), device=self.offsets.device)
            self._cache["episode"] = torch.repeat_interleave(episodes, self.lengths)
        return self._cache["episode"]

    def returns_to_go(self, discount: float = 1.0) -> Tensor:
        """Return-to-go of every step, (S,) float32, r_t included; computed once a discount."""
        key = ("returns_to_go", float(discount))
        if key not in self._cache:
            self._cache[key] = returns_to_go(self.rewards, self.offsets, discount)
        return self._cache[key]

    def windows(
        self,
        K: int,
        batch: int,
        generator: torch.Generator | None = None,
        anchor: int = 0,
        discount: float = 1.0,
        whole: bool = False,
    ) -> Batch:
        """A batch of windows whose first step is uniform over all S steps; see `Windows`.

        `anchor` is the step of the window whose map is given. `whole`: windows begin where episodes
        do, each episode as likely. The generator may live on the CPU or on the data's device.
        """
        device = self.rewards.device if generator is None else generator.device
        count = len(self) if whole else self.steps
        first = torch.randint(count, (batch,), generator=generator, device=device)
        if whole:
            first = self.offsets[first.to(self.offsets.device)]
        key = ("windows", K, float(discount))
        if key not in self._cache:
            self._cache[key] = Windows(self, K, discount)
        return self._cache[key](first.to(self.rewards.device), anchor)

    def episode(self, e: int) -> dict[str, Any]:
        """One episode as NumPy arrays, the observations with T + 1 rows; negative e from the end.

        Keys: observations ("map" as the sequence of maps, (T + 1, W, H, 3)), actions, rewards,
        terminations, truncations, seed, context.
        """
        e = range(len(self))[e]
        start, end = self.offsets[e : e + 2].tolist()
        rows = {key: v[start + e : end + e + 1] for key, v in self.observations.items()}
        if self.maps is not None:
            rows["map"] = self.maps[rows["map"]]
        return {
            "observations": {key: values.numpy(force=True) for key, values in rows.items()},
            **{name: getattr(self, name)[start:end].numpy(force=True) for name in FIELDS},
            "seed": int(self.seeds[e]),
            "context": {key: values[e].numpy(force=True) for key, values in self.context.items()},
        }

    def select(self, episodes: Any) -> Trajectories:
        """The chosen episodes in the order given: a slice, range, indices, or a bool an episode."""
        if isinstance(episodes, range):
            episodes = list(episodes)
        elif isinstance(episodes, np.ndarray):
            episodes = torch.as_tensor(episodes)
        chosen = torch.arange(len(self), device=self.offsets.device)[episodes].reshape(-1)
        if not len(chosen):
            raise ValueError("no episode is selected.")
        step = ranges(self.offsets[chosen], self.lengths[chosen])
        row = ranges(self.offsets[chosen] + chosen, self.lengths[chosen] + 1)
        at = {"observations": row, **dict.fromkeys(FIELDS, step)}  # all else is one an episode
        flat = {
            name: values[at.get(name.partition(".")[0], chosen)]
            for name, values in self.tensors().items()
            if name not in ("offsets", "maps")
        }
        flat["offsets"] = offsets_of(self.lengths[chosen])
        if self.maps is not None:
            used, index = torch.unique(flat["observations.map"], return_inverse=True)
            flat |= {"maps": self.maps[used], "observations.map": index.int()}
        info = dict(self.info)
        if "missions" in info:
            info["missions"] = [info["missions"][e] for e in chosen.tolist()]
        return from_tensors(flat, info)

    def to(self, device: torch.device | str) -> Trajectories:
        """The same trajectories with all arrays on another device."""
        return from_tensors({k: v.to(device) for k, v in self.tensors().items()}, self.info)

    def tensors(self) -> dict[str, Tensor]:
        """All arrays under flat names: "actions", ..., "observations.agent", "context.mission".

        Their shapes are those of the fields: (S,), (S + episodes, ...), (episodes, ...).
        """
        flat = {name: getattr(self, name) for name in (*FIELDS, "offsets", "seeds")}
        flat |= {f"observations.{key}": values for key, values in self.observations.items()}
        flat |= {f"context.{key}": values for key, values in self.context.items()}
        return flat if self.maps is None else flat | {"maps": self.maps}

    def equal(self, other: Trajectories) -> bool:
        """Whether all arrays are equal, types and shapes included (info is not compared)."""
        a, b = self.tensors(), other.tensors()
        return a.keys() == b.keys() and all(
            a[name].dtype == b[name].dtype and torch.equal(a[name], b[name]) for name in a
        )

    def check(self) -> Trajectories:
        """These trajectories, if they are sound; else ValueError naming episode and field."""
        check(self)
        return self

    def summary(self) -> dict[str, Any]:
        """Counts, returns, lengths and success in plain numbers, ready for JSON."""
        returns, lengths = self.returns.double().cpu(), self.lengths.double().cpu()
        names = ("min", "25%", "median", "75%", "max")
        quantiles = np.quantile(lengths.numpy(), [0, 0.25, 0.5, 0.75, 1]).tolist()
        summary: dict[str, Any] = {
            "episodes": len(self),
            "steps": self.steps,
            "return": {
                "mean": returns.mean().item(),
                "std": returns.std(correction=0).item(),
                "min": returns.min().item(),
                "max": returns.max().item(),
            },
            "length": {"mean": lengths.mean().item(), **dict(zip(names, quantiles))},
            "terminated": self.terminations.sum().item() / len(self),
        }
        if "success" in self.context:
            summary["success"] = self.success.double().mean().item()
        return summary


def pack(episodes: Sequence[dict[str, Any]], info: dict[str, Any] | None = None) -> Trajectories:
    """Trajectories from episodes of NumPy arrays, checked.

    Each episode of T steps is a dict of
        observations   key: (T + 1, ...), the final observation included
        actions        (T,) integers or (T, M) floats
        rewards, terminations, truncations   (T,)
        maps           optional, (versions, W, H, 3) uint8: the versions of the map in this episode;
                       observations["map"] (T + 1,) is then the index into them
        seed           optional int
        context        optional; key: an array or a number for the episode ("mission", "success")
    Floats become float32, discrete actions int64. ValueError names what is unsound, and where.
    """
    if not len(episodes):
        raise ValueError("the dataset has zero episodes.")
    first = episodes[0]
    for e, episode in enumerate(episodes):
        check_episode(e, episode, first)
    columns = {key: [e["observations"][key] for e in episodes] for key in first["observations"]}
    maps = None
    if "maps" in first:
        before = np.cumsum([0] + [len(e["maps"]) for e in episodes[:-1]])
        columns["map"] = [np.int32(index + n) for index, n in zip(columns["map"], before)]
        maps = _tensor([np.stack(list(e["maps"])) for e in episodes])
    actions, rewards, *ends = (_tensor([e[name] for e in episodes]) for name in FIELDS)
    return Trajectories(
        observations={key: _tensor(values) for key, values in columns.items()},
        actions=actions if actions.is_floating_point() else actions.long(),
        rewards=rewards.float(),
        terminations=ends[0].bool(),
        truncations=ends[1].bool(),
        offsets=offsets_of(torch.tensor([len(e["actions"]) for e in episodes])),
        seeds=torch.tensor([-1 if (s := e.get("seed")) is None else int(s) for e in episodes]),
        context={
            key: _tensor([np.asarray(e["context"][key])[None] for e in episodes])
            for key in first.get("context", {})
        },
        maps=maps,
        info=dict(info or {}),
    ).check()


def concatenate(parts: Sequence[Trajectories]) -> Trajectories:
    """The episodes of several trajectories, in order; info keeps what all the parts agree on.

    Raises ValueError where the parts differ in fields, types or shapes.
    """
    if not parts:
        raise ValueError("the dataset has zero episodes.")
    flat = [part.tensors() for part in parts]
    kinds = [{n: (v.dtype, v.shape[1:]) for n, v in tensors.items()} for tensors in flat]
    for i, kind in enumerate(kinds):
        unlike = sorted(n for n in kind.keys() | kinds[0].keys() if kind.get(n) != kinds[0].get(n))
        if unlike:
            raise ValueError(f"part {i} cannot follow part 0: they differ in {', '.join(unlike)}.")
    joined = {name: torch.cat([tensors[name] for tensors in flat]) for name in flat[0]}
    joined["offsets"] = offsets_of(torch.cat([part.lengths for part in parts]))
    if "maps" in joined:
        before = np.cumsum([0] + [len(tensors["maps"]) for tensors in flat[:-1]]).tolist()
        index = [tensors["observations.map"] + n for tensors, n in zip(flat, before)]
        joined["observations.map"] = torch.cat(index)
    first, others = parts[0].info, [part.info for part in parts[1:]]
    info = {k: v for k, v in first.items() if all(k in o and o[k] == v for o in others)}
    if all("missions" in part.info for part in parts):
        info["missions"] = [mission for part in parts for mission in part.info["missions"]]
    return from_tensors(joined, info)


def from_tensors(tensors: dict[str, Tensor], info: dict[str, Any]) -> Trajectories:
    """Trajectories from the flat names of `Trajectories.tensors`; nothing is copied or checked.

    The shapes are those of the fields: (S,), (S + episodes, ...), (episodes, ...).
    """
    fields: dict[str, Any] = {"observations": {}, "context": {}}
    for name, values in tensors.items():
        group, _, key = name.partition(".")
        if key:
            fields[group][key] = values
        else:
            fields[name] = values
    return Trajectories(**fields, info=dict(info))


def _tensor(parts: Sequence[Any]) -> Tensor:
    """Arrays joined along their first axis, in a type that torch can index and models expect."""
    joined = np.concatenate([np.asarray(part) for part in parts])
    narrow = {"float16": "float32", "float64": "float32", "uint16": "int32"}
    wide = {"uint32": "int64", "uint64": "int64"}
    kind = (narrow | wide).get(joined.dtype.name, joined.dtype)
    with np.errstate(over="ignore"):  # what overflows becomes infinite, which `check` refuses
        return torch.from_numpy(joined.astype(kind, copy=False))
