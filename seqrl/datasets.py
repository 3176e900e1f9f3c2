"""The datasets of the course: made from seeds on first use, cached, the same on every machine.

`LEVEL/expert` holds shortest paths and `LEVEL/random` uniformly random actions. In `LEVEL/mixed`
the even episodes are the expert's and the odd ones its noisy version's, with failures kept. The
robots' datasets, such as `hopper/medium`, stand in `robot_data`.
"""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import seqrl
from seqrl import robot_data
from seqrl.collection import NOISE, Source, collect, collect_from
from seqrl.environments.locomotion import ROBOTS, need_mujoco
from seqrl.trajectories import Trajectories

__all__ = ["collect", "home", "load"]

EPISODES = {"expert": 10_000, "mixed": 10_000, "random": 500}  # of a dataset, unless said otherwise
MAX_STEPS = 300_000  # of a dataset; what would go beyond is left out
_MAKERS = (
    "environments",
    "shortest_path",
    "behavior.py",
    "collection.py",
    "rollout.py",
    "seeds.py",
)
_LIBRARIES = ("gymnasium", "minigrid", "numpy")  # numpy: the random numbers
_ROBOT_MAKERS = (
    "environments/batch.py",
    "environments/locomotion.py",
    "actors.py",
    "behavior.py",
    "robot_data.py",
    "rollout.py",
    "seeds.py",
)
_ROBOT_LIBRARIES = ("gymnasium", "mujoco", "numpy")


def load(
    name: str | Path,
    episodes: int | None = None,
    seed: int = 0,
    *,
    reward: str | None = None,
    view: str | None = None,
    progress: bool = True,
) -> Trajectories:
    """A dataset by name: `LEVEL/KIND` or `ROBOT/KIND` of the course, a path, or a Minari id.

    LEVEL/expert, LEVEL/mixed and LEVEL/random have 10,000, 10,000 and 500 episodes, at most
    300,000 steps (info says how many episodes that left out); for robots see `robot_data`. They
    are made on first use and kept in `$SEQRL_HOME`, by default `~/.cache/seqrl`. Fewer `episodes`
    are the first ones of the larger dataset. `seed` concerns only them, `reward` and `view` only
    levels, as in `environments.make_env`. A Minari id is looked up locally, then on Minari's hub.
    Where what was made cannot be kept, a warning says so. Raises ValueError for a name of another
    kind, an unknown level or robot, or a damaged policy; ModuleNotFoundError without MuJoCo.
    """
    if episodes is not None and episodes < 1:
        raise ValueError(f"a dataset needs at least one episode, not {episodes}.")
    recipe = None if Path(name).exists() else _recipe(str(name), seed, reward, view)
    if recipe is None:
        return _stored(name, episodes)
    wanted = recipe.episodes if episodes is None else episodes
    for size, path in sorted(_cached(recipe.folder)):
        if size >= wanted:
            with suppress(ValueError, OSError):  # if it is damaged, it is made again
                data = _first(_read(path), wanted)
                data.info.pop("minari", None)  # a cached dataset is the same as one just made
                return data
    data = recipe.make(wanted, progress)
    _keep(data, recipe.folder / str(wanted))
    return data


class _Recipe(NamedTuple):
    """How a dataset of the course is made: where it is kept, its episodes, and what makes them."""

    folder: Path
    episodes: int
    make: Callable[[int, bool], Trajectories]  # from a number of episodes, and whether to show it


def _recipe(name: str, seed: int, reward: str | None, view: str | None) -> _Recipe | None:
    """How the dataset of this name is made; None if it is none of the course's."""
    level, _, kind = name.rpartition("/")
    robot = robot_data.named(level)
    if robot is not None and not re.search(r"-v\d+$", kind):
        if reward is not None or view is not None:
            raise ValueError(f"reward and view are of grid worlds; {name} has neither.")
        return _robot_recipe(robot_data.RobotSource(robot, kind, seed))
    return _grid_recipe(_source(level, kind, seed, reward, view)) if kind in EPISODES else None


def _grid_recipe(source: Source) -> _Recipe:
    kind = str(source.policy)

    def make(episodes: int, progress: bool) -> Trajectories:
        data = collect_from(source, episodes, progress=progress, max_steps=MAX_STEPS)
        data.info["dataset"] = f"{source.env}/{kind}"
        return data

    name = f"{source.env}-{kind}-{source.reward}-{source.view}-seed{source.seed}"
    return _Recipe(home() / "datasets" / f"{name}-{_digest()}", EPISODES[kind], make)


def _robot_recipe(source: robot_data.RobotSource) -> _Recipe:
    from seqrl import actors

    need_mujoco(source.robot.env)
    policies = "" if source.kind == "random" else actors.card(source.robot)["sha256"]
    name = f"{source.robot.name}-{source.kind}-seed{source.seed}"
    folder = home() / "datasets" / f"{name}-{_robot_digest(policies)}"
    return _Recipe(folder, source.max_steps, lambda n, shown: source.collect(n, progress=shown))


def _full_name(level: str) -> str:
    from seqrl.environments import levels

    if not level:
        known = ", ".join(levels.LEVELS)
        raise ValueError(f"a dataset of the course is named LEVEL/KIND; its levels: {known}.")
    return levels.resolve(level)


def _source(level: str, kind: str, seed: int, reward: str | None, view: str | None) -> Source:
    from seqrl.environments import levels

    name = _full_name(level)
    usual = levels.defaults(name)
    return Source(name, kind, 0.0, seed, reward or usual["reward"], view or usual["view"])


def _stored(name: str | Path, episodes: int | None) -> Trajectories:
    """A dataset that exists: a path or a Minari id."""
    if not Path(name).exists() and not re.search(r"-v\d+$", str(name)):
        kinds = ", ".join(f"LEVEL/{kind}" for kind in EPISODES)
        robots = f"ROBOT/{{{', '.join(robot_data.KINDS)}}} of {', '.join(ROBOTS)}"
        raise ValueError(
            f"unknown dataset {str(name)!r}: it is none of {kinds}, none of {robots}, no path that "
            "exists, and no Minari id, which ends in a version such as -v0."
        )
    data = _read(name)
    return data if episodes is None else _first(data, episodes)


def _first(data: Trajectories, episodes: int) -> Trajectories:
    if "episodes_left_out" in data.info:
        data.info["episodes_left_out"] = max(0, episodes - len(data))
    return data if episodes >= len(data) else data.select(range(episodes))


def home() -> Path:
    """Where datasets are kept: `$SEQRL_HOME`, or `~/.cache/seqrl`."""
    return Path(os.environ.get("SEQRL_HOME") or Path.home() / ".cache" / "seqrl").expanduser()


def _cached(folder: Path) -> list[tuple[int, Path]]:
    """Number of episodes asked for, and path, of the datasets of one source."""
    try:
        return [(int(path.name), path) for path in folder.iterdir() if path.name.isdigit()]
    except OSError:  # there are none, or nobody may look
        return []


@lru_cache(maxsize=1)
def _digest() -> str:
    """Changes with the source of everything that decides what an episode of a level is."""
    return _digest_of(_MAKERS, _LIBRARIES, f"{NOISE} {MAX_STEPS}")


@lru_cache
def _robot_digest(policies: str) -> str:
    """The same for robots; `policies` is the hash of their file."""
    return _digest_of(_ROBOT_MAKERS, _ROBOT_LIBRARIES, policies)


def _digest_of(makers: tuple[str, ...], libraries: tuple[str, ...], more: str) -> str:
    package = Path(seqrl.__file__).parent
    paths = [package / name for name in makers]
    files = [p for path in paths for p in ([path] if path.is_file() else path.rglob("*.py"))]
    digest = hashlib.blake2b(digest_size=5)
    for path in sorted(files):
        digest.update(path.relative_to(package).as_posix().encode() + path.read_bytes())
    digest.update(f"{more} {[f'{name} {version(name)}' for name in libraries]}".encode())
    return digest.hexdigest()


def _read(path: str | Path) -> Trajectories:
    from seqrl.minari_io import load_minari

    return load_minari(path)


def _keep(data: Trajectories, path: Path) -> None:
    """Write the dataset for the next time, if that is possible or another process has not."""
    from seqrl.minari_io import save_minari

    try:
        save_minari(data, path)
    except OSError as error:
        try:
            _read(path)  # the same data, from a process that made them meanwhile
        except (ValueError, OSError):
            text = f"the dataset is in memory but was not kept for the next time: {error}"
            warnings.warn(text, stacklevel=3)
