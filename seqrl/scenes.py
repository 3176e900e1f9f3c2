"""An episode of a grid world as it is drawn: maps, poses, and what was done and said."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from seqrl.trajectories import Trajectories


class Scene(NamedTuple):
    """One episode of T steps as it is drawn."""

    maps: np.ndarray  # (T + 1, W, H, 3)
    poses: np.ndarray  # (T + 1, 3) x, y, heading
    carrying: np.ndarray  # (T + 1, 2) type, color
    actions: list[str]  # T names
    returns_to_go: np.ndarray  # (T,)
    mission: str  # "" where none is known
    success: bool | None  # None where it was not recorded


def scene(trajectories: Trajectories, e: int) -> Scene:
    """Episode e as it is drawn; from the agent's own view where there is no map.

    Raises ValueError where the observations are not those of a grid world.
    """
    from seqrl.environments.grid import ACTIONS, AGENT

    episode = trajectories.episode(e)
    seen = episode["observations"]
    if "agent" not in seen or not {"map", "view"} & seen.keys():
        raise ValueError(f"a grid world needs 'agent' and 'map' or 'view'; found {sorted(seen)}.")
    maps, agent = seen.get("map", seen.get("view")), seen["agent"].astype(int)
    poses, carrying = agent[:, AGENT["pose"]], agent[:, AGENT["carrying"]]
    if "map" not in seen:  # the agent looks up from the middle of its view's last row
        here = (maps.shape[1] // 2, maps.shape[2] - 1)
        poses, maps = np.tile((*here, 3), (len(maps), 1)), maps.copy()
        maps[:, here[0], here[1]] = (1, 0, 0)  # what it carries is drawn as a badge
    success = episode["context"].get("success")
    return Scene(
        maps,
        poses,
        carrying,
        [ACTIONS[a] for a in episode["actions"]],
        episode["rewards"][::-1].cumsum()[::-1],
        mission(trajectories, e),
        None if success is None else bool(success),
    )


def mission(trajectories: Trajectories, e: int) -> str:
    """The mission of episode e in words; "" where there is none."""
    from seqrl.environments.grid import decode_mission

    if "missions" in trajectories.info:
        return str(trajectories.info["missions"][e])
    if "mission" in trajectories.context:
        return decode_mission(trajectories.context["mission"][e].numpy(force=True))
    return ""
