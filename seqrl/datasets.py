"""The datasets of the course: made from seeds on first use, cached, the same on every machine.

`LEVEL/expert` holds shortest paths and `LEVEL/random` uniformly random actions. In `LEVEL/mixed`
the even episodes are the expert's and the odd ones its noisy version's, with failures kept.
"""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import seqrl
from seqrl.collection import NOISE, Source, collect, collect_from
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


def load(
    name: str | Path,
    episodes: int | None = None,
    seed: int = 0,
    *,
    reward: str | None = None,
    view: str | None = None,
    progress: bool = True,
) -> Trajectories:
    """A dataset by name: `LEVEL/expert`, `LEVEL/mixed`, `LEVEL/random`, a path, or a Minari id.

    The first three are made on first use (10,000, 10,000 and 500 episodes, at most 300,000 steps;
    info says how many episodes that left out) and kept in `$SEQRL_HOME`, by default
    `~/.cache/seqrl`. Fewer `episodes` are the first ones of the larger dataset. `seed`, `reward`
    and `view` concern only them, as in `environments.make_env`. A Minari id is looked up locally,
    then on Minari's hub. Where what was made cannot be kept, a warning says so.
    Raises ValueError for a name of another kind or an unknown level.
    """
    if episodes is not None and episodes < 1:
        raise ValueError(f"a dataset needs at least one episode, not {episodes}.")
    level, _, kind = str(name).rpartition("/")
    if kind not in EPISODES or Path(name).exists():
        return _stored(name, episodes)
    wanted = EPISODES[kind] if episodes is None else episodes
    source = _source(level, kind, seed, reward, view)
    folder = _folder(source)
    for size, path in sorted(_cached(folder)):
        if size >= wanted:
            with suppress(ValueError, OSError):  # if it is damaged, it is made again
                data = _first(_read(path), wanted)
                data.info.pop("minari", None)  # a cached dataset is the same as one just made
                return data
    data = collect_from(source, wanted, progress=progress, max_steps=MAX_STEPS)
    data.info["dataset"] = f"{source.env}/{kind}"
    _keep(data, folder / str(wanted))
    return data


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
        raise ValueError(
            f"unknown dataset {str(name)!r}: it is none of {kinds}, no path that exists, "
            "and no Minari id, which ends in a version such as -v0."
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


def _folder(source: Source) -> Path:
    name = f"{source.env}-{source.policy}-{source.reward}-{source.view}-seed{source.seed}"
    return home() / "datasets" / f"{name}-{_digest()}"


def _cached(folder: Path) -> list[tuple[int, Path]]:
    """Number of episodes asked for, and path, of the datasets of one source."""
    try:
        return [(int(path.name), path) for path in folder.iterdir() if path.name.isdigit()]
    except OSError:  # there are none, or nobody may look
        return []


@lru_cache(maxsize=1)
def _digest() -> str:
    """Changes with the source of everything that decides what an episode is."""
    package = Path(seqrl.__file__).parent
    paths = [package / name for name in _MAKERS]
    files = [p for path in paths for p in ([path] if path.is_file() else path.rglob("*.py"))]
    digest = hashlib.blake2b(digest_size=5)
    for path in sorted(files):
        digest.update(path.relative_to(package).as_posix().encode() + path.read_bytes())
    libraries = [f"{name} {version(name)}" for name in _LIBRARIES]
    digest.update(f"{NOISE} {MAX_STEPS} {libraries}".encode())
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
