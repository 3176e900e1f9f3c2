"""Any Minari dataset read into packed trajectories, each episode held against its spaces.

Observation spaces: Box, Discrete, MultiDiscrete, MultiBinary, and Dicts of them, nested or not; one
plain space becomes {"state": ...}, and the keys of inner Dicts are joined by "/". Text is taken
where it is an episode's mission. Action spaces: Box or Discrete.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seqrl.trajectories import FIELDS, Trajectories, pack

if TYPE_CHECKING:
    from gymnasium import Space
    from minari.dataset.minari_storage import MinariStorage

Episode = dict[str, Any]


def read(folder: Path) -> Trajectories:
    """The dataset in `folder`, that of Minari's metadata.json; for its info see `info_of`.

    context["success"] is there if all episodes tell it, context["mission"] (word tokens) and
    info["missions"] (text) if all have a mission. Raises ValueError, naming episode and field,
    where the dataset is damaged, unsound or of a kind that cannot be packed.
    """
    from minari.dataset.minari_storage import MinariStorage

    try:
        metadata = MinariStorage.read_raw_metadata(folder)
    except Exception as error:  # whatever Minari and the libraries below it raise
        raise ValueError(f"{folder} cannot be read as a Minari dataset: {_says(error)}") from error
    _check_metadata(metadata, folder / "metadata.json")
    try:
        storage = MinariStorage.read(folder)
        episodes = range(storage.total_episodes)  # where there are none, the file is empty
        attributes = list(storage.get_episode_metadata(episodes)) if episodes else []
    except Exception as error:
        raise ValueError(f"{folder} cannot be read as a Minari dataset: {_says(error)}") from error
    try:
        found = _episodes(storage, attributes, metadata.get("seqrl") or {})
        missions = _agree(found)
        return pack(found, info_of(metadata, storage.action_space, missions))
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from error


def _check_metadata(metadata: Any, path: Path) -> None:
    """Raise ValueError, naming file and field, for what Minari or we could not use."""
    if not isinstance(metadata, dict):
        raise ValueError(f"{path}: not a JSON object.")
    needed = {"total_episodes": int, "data_format": str}
    spaces = {"observation_space": str, "action_space": str}
    for field, kind in (needed | spaces).items():
        if field not in metadata:
            if field in spaces and metadata.get("env_spec") is not None:
                continue  # Minari makes the environment and takes its space
            raise ValueError(f"{path}, {field}: missing.")
        if not isinstance(metadata[field], kind):
            what = type(metadata[field]).__name__
            raise ValueError(f"{path}, {field}: {what}, but it must be {kind.__name__}.")
    own = metadata.get("seqrl") or {}
    if not isinstance(own, dict):
        raise ValueError(f"{path}, seqrl: not a JSON object.")
    if not isinstance(own.get("info") or {}, dict):
        raise ValueError(f"{path}, seqrl.info: not a JSON object.")
    if not isinstance(own.get("context") or [], list):
        raise ValueError(f"{path}, seqrl.context: not a list.")
    try:
        _environment(metadata)
    except ValueError as error:
        raise ValueError(f"{path}, {error}") from error


def _environment(metadata: dict[str, Any]) -> dict[str, Any]:
    """The specification of the environment, empty if there is none."""
    if metadata.get("env_spec") is None:
        return {}
    try:
        spec = json.loads(metadata["env_spec"])
    except (ValueError, TypeError) as error:
        raise ValueError(f"env_spec: not a text in JSON: {error}.") from error
    if not isinstance(spec, dict):
        raise ValueError("env_spec: not a JSON object.")
    return spec


def info_of(metadata: dict[str, Any], actions: Space, missions: list[str] | None) -> dict[str, Any]:
    """The info of a dataset with Minari's metadata, which keep what `save_minari` was given.

    env: the environment's id. env_spec: how to make it, in JSON. minari: who made the dataset, how.
    num_actions, or action_low and action_high where both are finite: of the action space.
    """
    from gymnasium import spaces

    about = "algorithm_name author author_email code_permalink dataset_id description requirements"
    info: dict[str, Any] = {
        "minari": {key: metadata[key] for key in about.split() if key in metadata}
    }
    info["env"] = metadata.get("dataset_id", "unnamed")
    if spec := _environment(metadata):
        info["env_spec"] = metadata["env_spec"]
        info["env"] = spec.get("id", info["env"])
    if isinstance(actions, spaces.Discrete):
        info["num_actions"] = int(actions.start + actions.n)
    elif isinstance(actions, spaces.Box) and actions.is_bounded():
        info["action_low"] = actions.low.reshape(-1).tolist()
        info["action_high"] = actions.high.reshape(-1).tolist()
    if missions is not None:
        info["missions"] = missions
    return info | ((metadata.get("seqrl") or {}).get("info") or {})


def _episodes(
    storage: MinariStorage, attributes: list[dict[str, Any]], own: dict[str, Any]
) -> list[Episode]:
    """All episodes as `pack` takes them, and under "mission" the text of the mission or None."""
    episodes, stored = [], iter(storage.get_episodes(range(len(attributes))))
    for e, about in enumerate(attributes):
        try:
            raw = next(stored)
        except Exception as error:  # HDF5 says what it could not find or read
            raise ValueError(f"episode {e} cannot be read: {_says(error)}") from error
        try:
            episodes.append(_episode(raw, about, storage, own))
        except ValueError as error:
            raise ValueError(f"episode {e}, {error}") from error
    return episodes


def _episode(
    raw: dict[str, Any], about: dict[str, Any], storage: MinariStorage, own: dict[str, Any]
) -> Episode:
    from gymnasium import spaces

    infos, mission = raw.get("infos") or {}, about.get("mission")
    observations: dict[str, np.ndarray] = {}
    context: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for key, values, space in _leaves(raw["observations"], storage.observation_space):
        if not isinstance(space, spaces.Text):
            observations[key] = _fitting(values, space, f"observations[{key!r}]")
        elif key == "mission":
            mission = str(values[0]) if len(values) else ""
        else:
            raise ValueError(f"observations[{key!r}]: text; only a 'mission' may be.")
    kept = own.get("context") or []
    for key in [*kept, *(["map", "maps"] if own.get("maps") else [])]:
        if key not in infos:
            raise ValueError(f"infos[{key!r}]: missing.")
    if own:
        context = {key: infos[key] for key in kept}
    elif "success" in infos:  # one for each step
        context = {"success": bool(np.any(infos["success"]))}
    if own.get("maps"):
        observations["map"], extra["maps"] = infos["map"], infos["maps"]
    return {
        **{name: raw[name] for name in FIELDS},
        "observations": observations,
        "actions": _actions(raw["actions"], storage.action_space),
        "seed": _seed(about.get("seed")),
        "context": context,
        "mission": mission,
        **extra,
    }


def _leaves(values: Any, space: Space, name: str = "") -> Iterator[tuple[str, Any, Space]]:
    """Key, values and space of every array in (nested) observations."""
    from gymnasium import spaces

    if not isinstance(space, spaces.Dict):
        yield name or "state", values, space
        return
    for key, inner in space.spaces.items():
        full = f"{name}/{key}" if name else key
        if key not in values:
            raise ValueError(f"observations[{full!r}]: missing.")
        yield from _leaves(values[key], inner, full)


def _fitting(values: Any, space: Space, name: str) -> np.ndarray:
    """The values of one field, one row a step, if they are of its space; else ValueError."""
    from gymnasium import spaces

    plain = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)
    if not isinstance(space, plain) or space.dtype is None:
        raise ValueError(f"{name}: a {type(space).__name__} space cannot be packed.")
    values = np.asarray(values)
    if isinstance(space, spaces.Discrete) and values.shape[1:] == (1,):
        values = values[:, 0]
    wanted = f"the space is {type(space).__name__}, shape {space.shape}, {space.dtype}"
    if values.shape[1:] != space.shape:
        raise ValueError(f"{name}: shape {values.shape[1:]} a step, but {wanted}.")
    if values.dtype.kind not in "biuf" or (values.dtype.kind == "f" and space.dtype.kind != "f"):
        raise ValueError(f"{name}: {values.dtype}, but {wanted}.")
    if isinstance(space, spaces.Discrete):
        outside = (values < space.start) | (values >= space.start + space.n)
        if outside.any():
            step = int(outside.argmax())
            raise ValueError(f"{name}: {values[step]} at step {step} is not in {space}.")
    return values.astype(np.float32) if space.dtype.kind == "f" else values


def _actions(values: Any, space: Space) -> np.ndarray:
    from gymnasium import spaces

    if not isinstance(space, (spaces.Box, spaces.Discrete)):
        raise ValueError(f"actions: neither Box nor Discrete, but {type(space).__name__}.")
    values = _fitting(values, space, "actions")
    if isinstance(space, spaces.Box):
        return values.reshape(len(values), int(np.prod(space.shape))).astype(np.float32)
    return values


def _seed(seed: Any) -> int | None:
    """The seed, where Minari has one and 64 bits hold it."""
    known = isinstance(seed, (int, np.integer)) and 0 <= int(seed) < 1 << 63
    return int(seed) if known else None


def _agree(episodes: list[Episode]) -> list[str] | None:
    """Keep the context that all episodes have, encode their missions; the missions' text."""
    if not all("success" in episode["context"] for episode in episodes):
        for episode in episodes:
            episode["context"].pop("success", None)
    texts = [episode.pop("mission") for episode in episodes]
    if not texts or any(text is None for text in texts):
        return None
    if "mission" not in episodes[0]["context"]:
        from seqrl.environments.missions import encode_mission

        try:
            tokens = {text: encode_mission(text) for text in set(texts)}
        except ValueError:  # longer than any mission that we know: only the text is kept
            return texts
        for episode, text in zip(episodes, texts):
            episode["context"]["mission"] = tokens[text]
    return texts


def _says(error: Exception) -> str:
    return f"{type(error).__name__}, {error}"
