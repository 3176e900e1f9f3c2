"""Trajectories written as Minari lays them out in HDF5: one group an episode.

Minari's own writer makes every array growable, in chunks: six times the size on the disk for short
episodes. Here arrays are of fixed size, and those of short episodes stand in their own headers.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seqrl.trajectories import FIELDS, Trajectories
from seqrl.validation import locate

if TYPE_CHECKING:
    from gymnasium import Space
    from h5py.h5g import GroupID

SMALL = 1 << 15  # bytes; a header holds at most 64 kB


def check_writable(t: Trajectories) -> None:
    """Raise ValueError for sound trajectories that Minari's layout or spaces cannot hold.

    Discrete actions must be in [0, info["num_actions"]); no key of the observations may be the
    beginning of another, as "a" is of "a/b".
    """
    if t.actions.dim() == 1:
        wrong = t.actions < 0
        limit = "must not be negative"
        if "num_actions" in t.info:
            wrong |= t.actions >= int(t.info["num_actions"])
            limit = f"must be in [0, {t.info['num_actions']}), by info['num_actions']"
        if wrong.any():
            e, step = locate(wrong, t.offsets)
            action = int(t.actions[int(t.offsets[e]) + step])
            raise ValueError(f"episode {e}, actions: {action} at step {step}, but they {limit}.")
    for key in t.observations:
        for outer in t.observations:
            if key.startswith(f"{outer}/"):
                both = f"observations[{outer!r}] and observations[{key!r}]"
                raise ValueError(f"{both}: {outer!r} cannot be an array and also hold others.")


def write_episodes(t: Trajectories, path: Path) -> None:
    """Write all episodes into a new HDF5 file; OSError where the disk is full."""
    import h5py

    with h5py.File(path, "w", libver="v110") as file:
        writer = _Writer()
        for e, content in enumerate(_contents(t)):
            group = writer.group(file.id, f"episode_{e}", content)
            numbers = {"id": e, "total_steps": len(content["rewards"]), "seed": int(t.seeds[e])}
            for name, number in numbers.items():
                if number >= 0:  # a seed of -1 is unknown
                    writer.attribute(group, name, number)
            if "missions" in t.info:
                h5py.Group(group).attrs["mission"] = t.info["missions"][e]


def _contents(t: Trajectories) -> Iterator[dict[str, Any]]:
    """What stands in the group of each episode, inner groups as dicts."""
    steps = {name: getattr(t, name).numpy() for name in FIELDS}
    rows = {key: values.numpy() for key, values in t.observations.items()}
    context = {key: values.numpy() for key, values in t.context.items()}
    maps = None if t.maps is None else t.maps.numpy()
    version = None if maps is None else rows.pop("map")
    for e, (start, end) in enumerate(pairwise(t.offsets.tolist())):
        seen = slice(start + e, end + e + 1)
        observations = {key: values[seen] for key, values in rows.items()}
        infos: dict[str, Any] = {key: values[e] for key, values in context.items()}
        if maps is not None and version is not None:
            used, index = np.unique(version[seen], return_inverse=True)
            infos |= {"maps": maps[used], "map": index.astype(np.int32)}
        alone = observations.keys() == {"state"}  # one plain array, as it came
        yield {
            "observations": observations["state"] if alone else _nested(observations),
            **{name: values[start:end] for name, values in steps.items()},
            **({"infos": infos} if infos else {}),
        }


class _Writer:
    """Groups of arrays through h5py's lower layer: three times faster for many small ones."""

    def __init__(self) -> None:
        from h5py import h5d, h5p

        self.kinds: dict[np.dtype, Any] = {}
        self.shapes: dict[tuple[int, ...], Any] = {}
        self.layouts = {}
        for small, layout in ((True, h5d.COMPACT), (False, h5d.CONTIGUOUS)):
            self.layouts[small] = h5p.create(h5p.DATASET_CREATE)
            self.layouts[small].set_layout(layout)
            self.layouts[small].set_obj_track_times(False)  # the same data make the same file

    def group(self, parent: GroupID, name: str, content: dict[str, Any]) -> GroupID:
        """A new group with all its content."""
        from h5py import h5g

        group = h5g.create(parent, name.encode())
        for key, value in content.items():
            (self.group if isinstance(value, dict) else self.array)(group, key, value)
        return group

    def array(self, group: GroupID, name: str, values: np.ndarray) -> None:
        """A new array in a group."""
        from h5py import h5d, h5s, h5t

        values = np.asarray(values, order="C")
        kind, shape = self.kinds.get(values.dtype), self.shapes.get(values.shape)
        if kind is None:
            kind = self.kinds[values.dtype] = h5t.py_create(values.dtype, logical=True)
        if shape is None:
            scalar = values.ndim == 0
            shape = h5s.create(h5s.SCALAR) if scalar else h5s.create_simple(values.shape)
            self.shapes[values.shape] = shape
        layout = self.layouts[values.nbytes < SMALL]
        h5d.create(group, name.encode(), kind, shape, layout).write(h5s.ALL, h5s.ALL, values)

    def attribute(self, group: GroupID, name: str, number: int) -> None:
        """A whole number about a group."""
        from h5py import h5a, h5s, h5t

        scalar = self.shapes.setdefault((), h5s.create(h5s.SCALAR))
        h5a.create(group, name.encode(), h5t.NATIVE_INT64, scalar).write(np.array(number))


def metadata_of(t: Trajectories) -> dict[str, Any]:
    """What Minari keeps of a dataset as a whole, and under "seqrl" what it has no place for."""
    import minari
    from minari.serialization import serialize_space

    elsewhere = ("missions", "env_spec", "minari")
    return t.info.get("minari", {}) | {
        "total_episodes": len(t),
        "total_steps": t.steps,
        "data_format": "hdf5",
        "jpeg_encoding": False,
        "observation_space": serialize_space(observation_space(t)),
        "action_space": serialize_space(action_space(t)),
        "minari_version": minari.__version__,
        **({"env_spec": t.info["env_spec"]} if "env_spec" in t.info else {}),
        "seqrl": {
            "info": {key: value for key, value in t.info.items() if key not in elsewhere},
            "context": sorted(t.context),
            "maps": t.maps is not None,
        },
    }


def observation_space(t: Trajectories) -> Space:
    """Boxes of all the values that each array's type can hold; `maps` are infos, not observed."""
    from gymnasium import spaces

    boxes: dict[str, Space] = {}
    for key, values in t.observations.items():
        kind, low, high = values.numpy().dtype, -np.inf, np.inf
        if kind.kind in "iu":
            low, high = np.iinfo(kind).min, np.iinfo(kind).max
        elif kind.kind == "b":
            kind, low, high = np.dtype(np.uint8), 0, 1
        if key != "map" or t.maps is None:
            boxes[key] = spaces.Box(low, high, tuple(values.shape[1:]), kind.type)

    def space(nested: dict[str, Any]) -> Space:
        return spaces.Dict({k: space(v) if isinstance(v, dict) else v for k, v in nested.items()})

    return boxes["state"] if boxes.keys() == {"state"} else space(_nested(boxes))


def action_space(t: Trajectories) -> Space:
    """The actions' space as info has it (see `minari_read.info_of`), else what the actions show."""
    from gymnasium import spaces

    if t.actions.dim() == 1:
        return spaces.Discrete(int(t.info.get("num_actions", t.actions.max() + 1)))
    unknown = np.full(t.actions.shape[1], np.inf)
    low = np.asarray(t.info.get("action_low", -unknown), np.float32)
    high = np.asarray(t.info.get("action_high", unknown), np.float32)
    return spaces.Box(low, high, dtype=np.float32)


def _nested(flat: dict[str, Any]) -> dict[str, Any]:
    """{"a/b": x} as {"a": {"b": x}}."""
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        *outer, name = key.split("/")
        inside = nested
        for part in outer:
            inside = inside.setdefault(part, {})
        inside[name] = value
    return nested
