"""A planar robot as it is drawn: capsules in the plane, from MuJoCo's kinematics, without OpenGL.

What is drawn is the simulator's own model. An observation holds every coordinate but how far the
robot has come, and that is its speed summed up; so recorded states can be drawn, and imagined ones.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from seqrl.environments.locomotion import need_mujoco

if TYPE_CHECKING:
    from seqrl.trajectories import Trajectories

DRAWN = {  # robots that move in a plane: the file of the model, and its steps in one of ours
    "Hopper": ("hopper.xml", 4),
    "Walker2d": ("walker2d_v5.xml", 4),
    "HalfCheetah": ("half_cheetah.xml", 5),
}


@dataclass(frozen=True, eq=False)
class Skeleton:
    """A robot's capsules, those behind first; `seconds` of a step of its environment."""

    name: str
    model: Any
    geoms: np.ndarray  # (G,) int, numbers of the capsules in the model
    radii: np.ndarray  # (G,) meters
    parts: tuple[str, ...]  # of each capsule "far", "torso" or "near"
    seconds: float

    @property
    def size(self) -> int:
        """Numbers of an observation: all coordinates but the first, and all velocities."""
        return self.model.nq - 1 + self.model.nv


class Motion(NamedTuple):
    """T moments of a robot; the last one is where the episode, or what is known of it, ends."""

    skeleton: Skeleton
    limbs: np.ndarray  # (T, G, 2, 2) both ends of each capsule, x and height, meters
    x: np.ndarray  # (T,) meters from where it began
    times: np.ndarray  # (T,) seconds
    returns: np.ndarray | None = None  # (T,) rewards so far; None where none are known
    fell: bool = False  # whether the last moment ended the episode


@cache
def skeleton(env: str) -> Skeleton:
    """The robot of an environment such as "Hopper-v5".

    Raises ValueError for one that is not drawn, ImportError where MuJoCo is missing; both say what
    to do.
    """
    name = env.rsplit("/", 1)[-1].partition("-")[0]
    if name not in DRAWN:
        raise ValueError(
            f"{env!r} is not drawn: of robots only those that move in a plane are, "
            f"{', '.join(DRAWN)}. MuJoCo itself renders it, where there is OpenGL: "
            f"MUJOCO_GL=egl, gymnasium.make({env!r}, render_mode='rgb_array')."
        )
    mujoco = need_mujoco(env)
    file, skipped = DRAWN[name]
    text = (resources.files("gymnasium") / "envs/mujoco/assets" / file).read_text("utf8")
    # How heavy a robot is in all does not show; its deprecated attribute would be complained of.
    model = mujoco.MjModel.from_xml_string(re.sub(r'settotalmass="[\d.]*"', "", text))
    bodies = [model.body(int(b)).name for b in model.geom_bodyid]
    capsules = np.flatnonzero(model.geom_type == mujoco.mjtGeom.mjGEOM_CAPSULE)
    parts = {g: _part(bodies[g]) for g in capsules.tolist()}
    order = sorted(parts, key=lambda g: ("far", "torso", "near").index(parts[g]))
    geoms, kinds = np.array(order), tuple(parts[g] for g in order)
    radii = model.geom_size[geoms, 0].copy()
    return Skeleton(name, model, geoms, radii, kinds, skipped * model.opt.timestep)


def _part(body: str) -> str:
    if body == "torso":
        return "torso"
    return "far" if body.endswith("_left") else "near"


def motion(trajectories: Trajectories, e: int, seconds: float | None = None) -> Motion:
    """Episode e, moment by moment; ValueError where its robot is not one that is drawn.

    seconds: between two moments, those of a step unless given; see `motion_of`.
    """
    env, seen = str(trajectories.info.get("env")), trajectories.observations
    if "state" not in seen:
        raise ValueError(f"{env!r} is not drawn as a robot: observed are {', '.join(seen)}.")
    episode = trajectories.episode(e)
    found = motion_of(episode["observations"]["state"], env, seconds)
    so_far = np.r_[0.0, np.cumsum(episode["rewards"], dtype=float)]
    done = np.minimum(found.times / found.skeleton.seconds + 1e-6, len(so_far) - 1).astype(int)
    return found._replace(returns=so_far[done], fell=bool(episode["terminations"][-1]))


def motion_of(states: ArrayLike, env: str, seconds: float | None = None) -> Motion:
    """States (T + 1, N) of an environment, real or imagined, as a motion.

    With `seconds`, moments are so far apart, but for the last, and between states they follow the
    cubic that has their positions and velocities. ValueError where a state has not as many numbers
    as the robot's observations.
    """
    body = skeleton(env)
    found = np.asarray(states, float)
    if found.ndim != 2 or found.shape[1] != body.size:
        raise ValueError(f"{body.name} is seen in {body.size} numbers, not {found.shape[1:]}.")
    q, v = coordinates(found, body)
    times = np.arange(len(q)) * body.seconds
    if seconds is not None:
        times = np.r_[np.arange(0, times[-1] - 1e-9, seconds), times[-1]]
        q = _between(q, v, times / body.seconds, body.seconds)
    return Motion(body, limbs(body, q), q[:, 0] - q[0, 0], times)


def coordinates(states: np.ndarray, body: Skeleton) -> tuple[np.ndarray, np.ndarray]:
    """All coordinates (T, nq) and velocities (T, nv) of states (T, N).

    The first coordinate, which no state tells, is the trapezoid sum of its velocity, from 0 on:
    centimeters off after hundreds of steps.
    """
    velocity = states[:, body.model.nq - 1 :]
    speed = velocity[:, 0]
    x = np.r_[0.0, np.cumsum((speed[1:] + speed[:-1]) / 2) * body.seconds]
    return np.c_[x, states[:, : body.model.nq - 1]], velocity


def _between(q: np.ndarray, v: np.ndarray, at: np.ndarray, seconds: float) -> np.ndarray:
    """Coordinates at the fractional steps `at`, on cubics between those of the steps."""
    i = np.minimum(at.astype(int), max(len(q) - 2, 0))
    j, t = np.minimum(i + 1, len(q) - 1), (at - i)[:, None]
    line = (1 - t) ** 2 * (1 + 2 * t) * q[i] + t**2 * (3 - 2 * t) * q[j]
    return line + seconds * t * (1 - t) * ((1 - t) * v[i] - t * v[j])


def meters(x: float) -> str:
    """A distance in words, with a real minus, and none before a zero."""
    return f"{round(float(x), 1) + 0.0:.1f} m".replace("-", "−")


def limbs(body: Skeleton, q: np.ndarray) -> np.ndarray:
    """Both ends of each capsule, (T, G, 2, 2), x and height in meters, at coordinates (T, nq)."""
    import mujoco

    data, found = mujoco.MjData(body.model), np.empty((len(q), len(body.geoms), 2, 2))
    half = body.model.geom_size[body.geoms, 1, None]  # a capsule lies along its own z
    for t, now in enumerate(q):
        data.qpos[:] = now
        mujoco.mj_kinematics(body.model, data)
        middle = data.geom_xpos[body.geoms][:, [0, 2]]
        way = half * data.geom_xmat[body.geoms][:, [2, 8]]
        found[t] = np.stack([middle - way, middle + way], 1)
    return found
