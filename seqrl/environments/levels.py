"""Levels by name: LEAP's seven and its tests, Key-to-Door, and every BabyAI and MiniGrid id.

LEAP (Chen et al., 2023) opened all doors of the GoToObjMaze levels; MiniGrid's ids of the same
names have them shut, so these seven are built from their parameters and never from those ids.
"""

from __future__ import annotations

import difflib
import re
from typing import Any

import gymnasium as gym

NAMESPACE = "seqrl"
_PREFIXES = ("BabyAI-", "MiniGrid-")

# name -> class in minigrid.envs.babyai, parameters. Sides in cells: 7, 8, 10, 19, 8, 9, 7.
_PARAMETERS: dict[str, tuple[str, dict[str, Any]]] = {
    "GoToLocalS7N5": ("GoToLocal", {"room_size": 7, "num_dists": 5}),
    "GoToLocalS8N7": ("GoToLocal", {"room_size": 8, "num_dists": 7}),
    "GoToObjMazeS4": (
        "GoTo",
        {"room_size": 4, "num_rows": 3, "num_cols": 3, "num_dists": 1, "doors_open": True},
    ),
    "GoToObjMazeS7": (
        "GoTo",
        {"room_size": 7, "num_rows": 3, "num_cols": 3, "num_dists": 1, "doors_open": True},
    ),
    "PickupLoc": ("PickupLoc", {"room_size": 8}),
    "GoToSeqS5R2": ("GoToSeq", {"room_size": 5, "num_rows": 2, "num_cols": 2, "num_dists": 4}),
    "GoToObjMazeS4R2Close": (
        "GoTo",
        {"room_size": 4, "num_rows": 2, "num_cols": 2, "num_dists": 1, "doors_open": False},
    ),
}
LEVELS: tuple[str, ...] = tuple(_PARAMETERS)
KEY_TO_DOOR = "KeyToDoor"

# Levels to be tested on, not trained on; classes of `adaptation`, or of BabyAI where it has them.
_TESTS: dict[str, tuple[str, dict[str, Any]]] = {
    "GoToLocalLavaNarrow": ("GoToLocalLava", {"width": 1}),
    "GoToLocalLavaWide": ("GoToLocalLava", {"width": 3}),
    "GoToObjMazeS4Lava": ("MazeLava", {}),
    "GoToLocalComposition": ("GoToLocalComposition", {}),
    "GoToLocalCompositionN7": ("GoToLocalComposition", {"num_dists": 7}),
    "GoToLocalS12N7": ("GoToLocal", {"room_size": 12, "num_dists": 7}),
    "GoToLocalS16N7": ("GoToLocal", {"room_size": 16, "num_dists": 7}),
    "GoToLocalS8N15": ("GoToLocal", {"room_size": 8, "num_dists": 15}),
    "GoToObjMazeS4R2Open": (
        "GoTo",
        {"room_size": 4, "num_rows": 2, "num_cols": 2, "num_dists": 1, "doors_open": True},
    ),
}
ADAPTATION = ("GoToLocalLavaNarrow", "GoToLocalLavaWide", "GoToObjMazeS4Lava")  # easy to hard
COMPOSITION = ("GoToLocalComposition", "GoToLocalCompositionN7")
BIGGER = ("GoToLocalS12N7", "GoToLocalS16N7", "GoToLocalS8N15")  # than GoToLocalS8N7, or fuller
GENERALIZATION = ("GoToObjMazeS4R2Open", "GoToObjMazeS4", "GoToObjMazeS7")  # from a single room
_OURS = (*LEVELS, KEY_TO_DOOR, *_TESTS)


def defaults(name: str) -> dict[str, Any]:
    """What `grid.make_env` takes for reward, view and show_carried of a level, unless told."""
    if resolve(name) == KEY_TO_DOOR:
        return {"reward": "end", "view": "partial", "show_carried": False}
    return {"reward": "step", "view": "full", "show_carried": True}


def make_level(name: str) -> tuple[str, Any]:
    """The full name and the MiniGrid environment of a level; `name` as in `resolve`."""
    full = resolve(name)
    if full in _PARAMETERS or full in _TESTS:
        from minigrid.envs import babyai

        from seqrl.environments import adaptation

        class_name, parameters = {**_PARAMETERS, **_TESTS}[full]
        source = adaptation if hasattr(adaptation, class_name) else babyai
        return full, getattr(source, class_name)(**parameters)
    if full == KEY_TO_DOOR:
        from seqrl.environments.key_to_door import KeyToDoor

        return full, KeyToDoor()
    return full, gym.make(full, disable_env_checker=True).unwrapped


def resolve(name: str) -> str:
    """The full name of a level: one of `LEVELS` or our others, or an id of BabyAI or MiniGrid.

    An id may lack its prefix, its version or both; then our own come before BabyAI's ids, these
    before MiniGrid's, and a later version before an earlier one. Raises ValueError, naming the
    nearest known names, where there is no such level.
    """
    ids = known_ids()
    ours = name.removeprefix(f"{NAMESPACE}/").removesuffix("-v0")
    if ours in _OURS and name in (ours, f"{NAMESPACE}/{ours}", f"{NAMESPACE}/{ours}-v0"):
        return ours
    for prefix in ("", *_PREFIXES):
        whole = f"{prefix}{name}"
        versions = [i for i in ids if i == whole or _unversioned(i) == whole]
        if versions:
            return max(versions, key=lambda i: int(i.rpartition("-v")[2]))
    known = [*_OURS, *(_unversioned(i).split("-", 1)[1] for i in ids), *ids]
    spelled = {full.lower(): full for full in reversed(known)}  # so that ours come last and win
    near = difflib.get_close_matches(name.lower(), spelled, n=3, cutoff=0.5)
    nearest = ", ".join(spelled[n] for n in near) or ", ".join(_OURS)
    raise ValueError(f"unknown environment {name!r}; the nearest known ones: {nearest}.")


def known_ids() -> tuple[str, ...]:
    """All gymnasium ids of BabyAI and MiniGrid, in the order in which MiniGrid registers them."""
    import minigrid  # noqa: F401  (registers its environments)

    return tuple(i for i in gym.registry if i.startswith(_PREFIXES))


def register() -> None:
    """Register our own levels with gymnasium as `seqrl/NAME-v0`; again changes nothing."""
    for name in _OURS:
        if f"{NAMESPACE}/{name}-v0" not in gym.registry:
            entry = "seqrl.environments.grid:make_env"
            gym.register(f"{NAMESPACE}/{name}-v0", entry_point=entry, kwargs={"name": name})


def _unversioned(env_id: str) -> str:
    return re.sub(r"-v\d+$", "", env_id)
