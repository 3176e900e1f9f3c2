"""Minari in and out: Minari opens what is saved, unsound data are refused, nothing is half-made."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import h5py
import minari
import numpy as np
import pytest
import torch
from gymnasium import spaces
from minari.data_collector.episode_buffer import EpisodeBuffer
from minari.dataset.minari_storage import MinariStorage

from seqrl.environments.missions import encode_mission
from seqrl.minari_io import load_minari, save_minari
from seqrl.trajectories import Trajectories, pack

MISSIONS = ("go to the red ball", "pick up a key", "go to the red ball")
PACKED = "packed.safetensors"


def grid_data(lengths: tuple[int, ...] = (4, 1, 6)) -> Trajectories:
    rng = np.random.default_rng(0)
    missions = [MISSIONS[e % 3] for e in range(len(lengths))]
    episodes = []
    for e, T in enumerate(lengths):
        index = np.sort(rng.integers(0, 3, T + 1))
        episodes.append(
            {
                "observations": {
                    "agent": rng.integers(0, 9, (T + 1, 19), dtype=np.uint8),
                    "map": np.unique(index, return_inverse=True)[1],
                },
                "maps": rng.integers(0, 9, (len(np.unique(index)), 5, 4, 3), dtype=np.uint8),
                "actions": rng.integers(0, 7, T),
                "rewards": -np.ones(T),
                "terminations": np.arange(T) == T - 1,
                "truncations": np.zeros(T, bool),
                "seed": (1 << 62) + e,
                "context": {"mission": encode_mission(missions[e]), "success": e != 1},
            }
        )
    info = {"env": "seqrl/Grid-v0", "policy": "expert", "num_actions": 7, "missions": missions}
    return pack(episodes, info)


def flat_episode(rng: np.random.Generator, T: int) -> dict:
    return {
        "observations": {"state": rng.normal(size=(T + 1, 3)).astype(np.float32)},
        "actions": rng.normal(size=(T, 2)).astype(np.float32),
        "rewards": rng.normal(size=T),
        "terminations": np.zeros(T, bool),
        "truncations": np.arange(T) == T - 1,
    }


def flat_data(lengths: tuple[int, ...] = (4, 1, 6)) -> Trajectories:
    rng = np.random.default_rng(1)
    return pack([flat_episode(rng, T) for T in lengths], {"env": "Walker-v5", "note": [1, 2]})


def foreign(
    folder: Path, observations: gym.Space, actions: gym.Space, episodes: list[dict]
) -> Path:
    """A dataset that Minari itself writes; an episode is what its EpisodeBuffer takes."""
    data = folder / "data"
    data.mkdir(parents=True)
    storage = MinariStorage.new(data, observations, actions)
    if episodes:
        storage.update_episodes([EpisodeBuffer(**episode) for episode in episodes])
    storage.update_metadata(
        {"dataset_id": "foreign-v0", "minari_version": minari.__version__, "author": {"Ada"}}
    )
    return folder


def foreign_episode(T: int, observations, actions, **more) -> dict:
    ends = {"terminations": np.arange(T) == T - 1, "truncations": np.zeros(T, bool)}
    return {"observations": observations, "actions": actions, "rewards": np.ones(T), **ends, **more}


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# ----------------------------------------------------------------------------------- there and back


@pytest.mark.parametrize("make", [grid_data, flat_data])
@pytest.mark.parametrize("packed", [True, False])
def test_what_is_saved_comes_back(make, packed, tmp_path):
    data = make()
    save_minari(data, tmp_path / "mine")
    if not packed:
        (tmp_path / "mine" / "data" / PACKED).unlink()
    found = load_minari(tmp_path / "mine")
    assert found.equal(data)
    assert data.info.items() <= found.info.items()


def test_the_packed_copy_and_the_dataset_itself_say_the_same(tmp_path):
    save_minari(grid_data(), tmp_path / "mine")
    first = load_minari(tmp_path / "mine")
    (tmp_path / "mine" / "data" / PACKED).unlink()
    assert load_minari(tmp_path / "mine").info == first.info
    save_minari(first, tmp_path / "again", dataset_id="mine-v0")  # saved again: still the same
    assert load_minari(tmp_path / "again").info == first.info
    assert load_minari(str(tmp_path / "again" / "data")).equal(first)


def test_nested_observations_and_large_images_come_back_without_loss(tmp_path):
    rng = np.random.default_rng(0)
    episodes = [flat_episode(rng, T) for T in (2, 3)]
    for episode in episodes:
        rows = len(episode["rewards"]) + 1
        # 32 x 32 bytes are an image for Minari, which would store it as a JPEG.
        image = rng.integers(0, 256, (rows, 32, 32, 3), dtype=np.uint8)
        goal = rng.normal(size=(rows, 2)).astype(np.float32)
        episode["observations"] = {"goal/left/hand": goal, "goal/right": goal, "image": image}
    data = pack(episodes)
    save_minari(data, tmp_path / "mine")
    (tmp_path / "mine" / "data" / PACKED).unlink()
    assert load_minari(tmp_path / "mine").equal(data)


# ------------------------------------------------------------------------------------------- Minari


@pytest.mark.parametrize("make", [grid_data, flat_data])
def test_minari_opens_what_is_saved(make, tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    data = make()
    save_minari(data, tmp_path / "mine-v3")
    dataset = minari.load_dataset("mine-v3")
    assert dataset.spec.dataset_id == "mine-v3" and dataset.total_steps == data.steps
    assert list(minari.list_local_datasets()) == ["mine-v3"]
    for e, episode in enumerate(dataset.iterate_episodes()):
        own = data.episode(e)
        seen = episode.observations
        if isinstance(dataset.observation_space, spaces.Dict):
            np.testing.assert_array_equal(seen["agent"], own["observations"]["agent"])
            maps = episode.infos["maps"][episode.infos["map"]]
            np.testing.assert_array_equal(maps, own["observations"]["map"])
            row = {key: values[0] for key, values in seen.items()}
        else:
            np.testing.assert_array_equal(seen, own["observations"]["state"])
            row = seen[0]
        assert dataset.observation_space.contains(row)
        assert all(dataset.action_space.contains(action) for action in episode.actions)
        for name in ("actions", "rewards", "terminations", "truncations"):
            np.testing.assert_array_equal(getattr(episode, name), own[name])
    metadata = list(dataset.storage.get_episode_metadata([0, 2]))
    if make is grid_data:
        assert [m["seed"] for m in metadata] == [1 << 62, (1 << 62) + 2]
        assert metadata[0]["mission"] == MISSIONS[0] and dataset.action_space.n == 7
    else:
        assert "seed" not in metadata[0]


def test_the_environment_can_be_remade_from_a_saved_dataset(tmp_path):
    spec = gym.spec("CartPole-v1").to_json()
    data = flat_data()
    save_minari(replace(data, info={**data.info, "env_spec": spec}), tmp_path / "mine")
    dataset = minari.MinariDataset(tmp_path / "mine" / "data")
    assert dataset.recover_environment().spec.id == "CartPole-v1"


def test_a_babyai_dataset_of_minari_loads_with_missions_as_tokens_and_text(tmp_path):
    rng = np.random.default_rng(0)
    space = spaces.Dict(
        direction=spaces.Discrete(4),
        image=spaces.Box(0, 255, (7, 7, 3), np.uint8),
        mission=spaces.Text(100),
    )
    episodes = [
        foreign_episode(
            T,
            {
                "direction": rng.integers(0, 4, T + 1),
                "image": rng.integers(0, 9, (T + 1, 7, 7, 3), dtype=np.uint8),
                "mission": [mission] * (T + 1),
            },
            rng.integers(0, 7, T),
            seed=T,
            infos={"success": np.arange(T + 1) == T - (mission == MISSIONS[1]) * 99},
        )
        for T, mission in zip((3, 5), MISSIONS)
    ]
    folder = foreign(tmp_path / "babyai", space, spaces.Discrete(7), episodes)
    data = load_minari(folder)
    assert data.info["missions"] == list(MISSIONS[:2]) and data.info["num_actions"] == 7
    np.testing.assert_array_equal(data.context["mission"][1], encode_mission(MISSIONS[1]))
    assert data.success.tolist() == [True, False] and data.seeds.tolist() == [3, 5]
    assert data.info["env"] == "foreign-v0" and data.info["minari"]["author"] == ["Ada"]
    for e, episode in enumerate(episodes):
        found = data.episode(e)["observations"]
        np.testing.assert_array_equal(found["image"], episode["observations"]["image"])
        np.testing.assert_array_equal(found["direction"], episode["observations"]["direction"])
    batch = data.windows(4, 8)
    assert batch.observations["image"].shape == (8, 4, 7, 7, 3)
    assert batch.observations["mission"].shape == (8, len(encode_mission("")))


def test_missions_too_long_for_the_vocabulary_keep_their_text(tmp_path):
    space, text = spaces.Dict(x=spaces.Discrete(2), mission=spaces.Text(2000)), "go " * 300
    episode = foreign_episode(1, {"x": np.zeros(2, int), "mission": [text] * 2}, np.zeros(1, int))
    data = load_minari(foreign(tmp_path / "long", space, spaces.Discrete(2), [episode]))
    assert data.info["missions"] == [text] and "mission" not in data.context


def test_a_locomotion_dataset_of_minari_loads_in_single_precision(tmp_path):
    rng = np.random.default_rng(0)
    episodes = [
        foreign_episode(T, rng.normal(size=(T + 1, 11)), rng.uniform(-1, 1, (T, 3))) for T in (5, 8)
    ]
    box = spaces.Box(-np.inf, np.inf, (11,), np.float64)
    folder = foreign(tmp_path / "hopper", box, spaces.Box(-1, 1, (3,), np.float32), episodes)
    data = load_minari(folder)
    assert data.observations["state"].dtype == data.actions.dtype == torch.float32
    np.testing.assert_allclose(data.episode(1)["actions"], episodes[1]["actions"], rtol=1e-6)
    np.testing.assert_allclose(
        data.episode(1)["observations"]["state"], episodes[1]["observations"], rtol=1e-6
    )
    assert data.info["action_low"] == [-1] * 3 and "success" not in data.context
    assert data.seeds.tolist() == [-1, -1]


def test_nested_spaces_of_minari_are_flattened(tmp_path):
    space = spaces.Dict(goal=spaces.Dict(xy=spaces.Box(-1, 1, (2,))), seen=spaces.MultiBinary(3))
    seen = {"goal": {"xy": np.ones((3, 2))}, "seen": np.ones((3, 3), np.int8)}
    folder = foreign(
        tmp_path / "nested",
        space,
        spaces.Box(-1, 1, (2, 2)),
        [foreign_episode(2, seen, np.ones((2, 2, 2)))],
    )
    data = load_minari(folder)
    assert data.observations.keys() == {"goal/xy", "seen"} and data.actions.shape == (2, 4)


def test_local_datasets_load_by_their_id(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    data = flat_data()
    save_minari(data, tmp_path / "team" / "mine-v1", dataset_id="team/mine-v1")
    assert load_minari("team/mine-v1").equal(data)
    assert list(minari.list_local_datasets()) == ["team/mine-v1"]


def test_ids_that_are_not_here_are_fetched_from_the_hub(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    data, asked = flat_data(), []

    def download(dataset_id: str) -> None:
        asked.append(dataset_id)
        save_minari(data, tmp_path / dataset_id)

    monkeypatch.setattr(minari, "download_dataset", download)
    with pytest.raises(FileNotFoundError, match="no dataset 'far-v0'"):
        load_minari("far-v0", download=False)
    assert load_minari("far-v0").equal(data) and load_minari("far-v0").equal(data)
    assert asked == ["far-v0"]


def test_a_hub_that_cannot_be_reached_is_said_in_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))

    def offline(dataset_id: str) -> None:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(minari, "download_dataset", offline)
    with pytest.raises(FileNotFoundError, match=r"no dataset 'far/away-v2'.* hub .*no route"):
        load_minari("far/away-v2")


@pytest.mark.parametrize("name", ["nowhere", "no/where", "~nobody-v0x", "far-v"])
def test_what_is_neither_a_folder_nor_an_id_is_not_looked_for_elsewhere(name, monkeypatch):
    monkeypatch.setattr(minari, "download_dataset", lambda name: pytest.fail("asked the hub"))
    with pytest.raises(FileNotFoundError, match="there is no dataset at"):
        load_minari(name)


def test_a_folder_that_is_no_dataset_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"not a Minari dataset: it has no data/metadata"):
        load_minari(tmp_path)


# ------------------------------------------------------------------------------ damage and bad data


def cut_in_half(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def test_a_truncated_dataset_is_refused_although_its_packed_copy_is_whole(tmp_path):
    save_minari(grid_data(), tmp_path / "mine")
    cut_in_half(tmp_path / "mine" / "data" / "main_data.hdf5")
    with pytest.raises(ValueError, match=r"cannot be read as a Minari dataset: .*truncated"):
        load_minari(tmp_path / "mine")


def test_truncated_metadata_are_refused(tmp_path):
    save_minari(grid_data(), tmp_path / "mine")
    cut_in_half(tmp_path / "mine" / "data" / "metadata.json")
    with pytest.raises(ValueError, match="cannot be read as a Minari dataset: JSON"):
        load_minari(tmp_path / "mine")


@pytest.mark.parametrize("damage", ["half", "empty", "flipped", "foreign"])
def test_a_damaged_packed_copy_is_ignored_and_made_anew(damage, tmp_path):
    data = flat_data()
    save_minari(data, tmp_path / "mine")
    packed = tmp_path / "mine" / "data" / PACKED
    whole = packed.read_bytes()
    flipped = bytearray(whole)
    flipped[-3] ^= 255
    spoiled = {"half": whole[: len(whole) // 2], "empty": b"", "flipped": bytes(flipped)}
    packed.write_bytes(spoiled.get(damage, b"x" * 1000))
    assert load_minari(tmp_path / "mine").equal(data)
    assert packed.read_bytes() != spoiled.get(damage) and packed.stat().st_size >= len(whole)


def test_a_dataset_that_has_changed_is_read_again(tmp_path):
    save_minari(flat_data(), tmp_path / "mine")
    with h5py.File(tmp_path / "mine" / "data" / "main_data.hdf5", "r+") as file:
        file["episode_0"]["rewards"][0] = 42
    for _ in range(2):
        assert load_minari(tmp_path / "mine").rewards[0] == 42


def test_the_second_load_does_not_open_the_dataset(tmp_path, monkeypatch):
    folder = foreign(
        tmp_path / "other",
        spaces.Box(-1, 1, (2,)),
        spaces.Discrete(2),
        [foreign_episode(3, np.ones((4, 2)), np.ones(3, int))],
    )
    first = load_minari(folder)
    monkeypatch.setattr(h5py, "File", lambda *args, **kwargs: pytest.fail("read HDF5 again"))
    second = load_minari(folder)
    assert second.equal(first) and second.info == first.info


def test_a_folder_that_cannot_be_written_still_loads(tmp_path, monkeypatch):
    data = flat_data()
    save_minari(data, tmp_path / "mine")
    packed = tmp_path / "mine" / "data" / PACKED
    packed.unlink()
    monkeypatch.setattr(os, "fsync", full_disk)
    assert load_minari(tmp_path / "mine").equal(data)
    assert leftovers(packed.parent) == ["main_data.hdf5", "metadata.json"]


BOX, DISCRETE = spaces.Box(-1, 1, (2,)), spaces.Discrete(3)
GOOD = foreign_episode(3, np.ones((4, 2)), np.ones(3, int))
TWO = spaces.Dict(a=spaces.Box(-1, 1, (2,)), b=spaces.Discrete(2))


@pytest.mark.parametrize(
    ("observation_space", "action_space", "episodes", "message"),
    [
        (BOX, DISCRETE, [], "zero episodes"),
        (BOX, DISCRETE, [GOOD, GOOD | {"observations": np.ones((4, 5))}],
         "episode 1, observations['state']: shape (5,) a step, but the space is Box, shape (2,)"),
        (BOX, DISCRETE, [GOOD, GOOD | {"actions": np.array([0, 3, 1])}],
         "episode 1, actions: 3 at step 1 is not in Discrete(3)"),
        (BOX, DISCRETE, [GOOD, GOOD | {"actions": np.array([0, 0.5, 1])}],
         "episode 1, actions: float64, but the space is Discrete"),
        (BOX, DISCRETE, [GOOD, GOOD | {"actions": np.ones((3, 2), int)}],
         "episode 1, actions: shape (2,) a step"),
        (BOX, DISCRETE, [GOOD, GOOD | {"rewards": np.array([0, np.nan, 0])}],
         "episode 1, rewards: NaN at step 1"),
        (BOX, DISCRETE, [GOOD, GOOD | {"observations": np.ones((4, 2)) * np.inf}],
         "episode 1, observations['state']: infinite at step 0"),
        (BOX, DISCRETE, [GOOD, GOOD | {"observations": np.ones((3, 2))}],
         "episode 1, observations['state']: shape (3, 2) does not fit 3 actions"),
        (BOX, DISCRETE, [GOOD, GOOD | {"truncations": np.array([True, False, False])}],
         "episode 1, truncations: set at step 0"),
        (TWO, DISCRETE, [GOOD | {"observations": {"a": np.ones((4, 2))}}],
         "episode 0, observations['b']: missing"),
        (spaces.Dict(a=spaces.Tuple([BOX])), DISCRETE,
         [GOOD | {"observations": {"a": (np.ones((4, 2)),)}}],
         "observations['a']: a Tuple space cannot be packed"),
        (spaces.Dict(a=spaces.Text(9)), DISCRETE, [GOOD | {"observations": {"a": ["x"] * 4}}],
         "observations['a']: text; only a 'mission' may be"),
        (BOX, spaces.Dict(a=DISCRETE), [GOOD | {"actions": {"a": np.ones(3, int)}}],
         "episode 0, actions: neither Box nor Discrete, but Dict"),
    ],
)  # fmt: skip
def test_unsound_datasets_are_refused_by_episode_and_field(
    observation_space, action_space, episodes, message, tmp_path
):
    folder = foreign(tmp_path / "bad", observation_space, action_space, episodes)
    with pytest.raises(ValueError, match=re.escape(message)):
        load_minari(folder)
    assert not (folder / "data" / PACKED).exists()


METADATA = [
    (lambda m: m.clear(), "metadata.json, total_episodes: missing"),
    (lambda m: m.pop("action_space"), "metadata.json, action_space: missing"),
    (lambda m: m.update(data_format=None), "metadata.json, data_format: NoneType, but"),
    (lambda m: m.update(env_spec="{'id': 3}"), "metadata.json, env_spec: not a text in JSON"),
    (lambda m: m.update(env_spec="[]"), "metadata.json, env_spec: not a JSON object"),
    (lambda m: m.update(seqrl=[1]), "metadata.json, seqrl: not a JSON object"),
    (lambda m: m["seqrl"].update(info=3), "metadata.json, seqrl.info: not a JSON object"),
    (lambda m: m["seqrl"].update(context=3), "metadata.json, seqrl.context: not a list"),
]


def change_metadata(folder: Path, change) -> None:
    path = folder / "data" / "metadata.json"
    metadata = json.loads(path.read_text())
    change(metadata)
    path.write_text(json.dumps(metadata))


@pytest.mark.parametrize(("change", "message"), METADATA)
def test_metadata_that_cannot_be_used_are_refused_by_file_and_field(change, message, tmp_path):
    save_minari(flat_data(), tmp_path / "mine")
    change_metadata(tmp_path / "mine", change)
    with pytest.raises(ValueError, match=re.escape(message)):
        load_minari(tmp_path / "mine")


@pytest.mark.parametrize("field", ["seqrl", "env_spec"])
def test_metadata_of_null_are_as_good_as_none(field, tmp_path):
    data = flat_data()
    save_minari(data, tmp_path / "mine")
    change_metadata(tmp_path / "mine", lambda m: m.update({field: None}))
    assert load_minari(tmp_path / "mine").equal(data)


def edit(folder: Path, change) -> None:
    with h5py.File(folder / "data" / "main_data.hdf5", "r+") as file:
        change(file)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f["episode_2"].pop("rewards"), r"episode 2 cannot be read: .*rewards"),
        (
            lambda f: f["episode_1"]["infos"].pop("mission"),
            r"episode 1, infos\['mission'\]: missing",
        ),
        (lambda f: f["episode_1"]["infos"].pop("maps"), r"episode 1, infos\['maps'\]: missing"),
        (lambda f: f.pop("episode_2"), r"cannot be read as a Minari dataset: .*episode_2"),
    ],
)
def test_missing_parts_of_our_own_datasets_are_named(change, message, tmp_path):
    save_minari(grid_data(), tmp_path / "mine")
    edit(tmp_path / "mine", change)
    with pytest.raises(ValueError, match=message):
        load_minari(tmp_path / "mine")


def test_an_episode_without_actions_is_refused_when_read(tmp_path):
    save_minari(flat_data(), tmp_path / "mine")

    def empty(file: h5py.File) -> None:
        group = file["episode_1"]
        for name in ("actions", "rewards", "terminations", "truncations"):
            values = group[name][:0]
            del group[name]
            group[name] = values

    edit(tmp_path / "mine", empty)
    with pytest.raises(ValueError, match="episode 1, actions: the episode has none"):
        load_minari(tmp_path / "mine")


# --------------------------------------------------------------------------------- whole or nothing


def full_disk(*args, **kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    "target", ["os.fsync", "h5py.File", "seqrl.packed_copy.write", "os.replace"]
)
@pytest.mark.parametrize("before", [True, False])
def test_a_full_disk_loses_nothing_and_leaves_nothing(target, before, tmp_path, monkeypatch):
    old, new = flat_data((2, 2)), flat_data((3, 3))
    if before:
        save_minari(old, tmp_path / "mine")
    with monkeypatch.context() as patch:
        patch.setattr(target, full_disk)
        with pytest.raises(OSError, match=r"mine was not written.*No space left") as caught:
            save_minari(new, tmp_path / "mine")
    assert caught.value.errno == errno.ENOSPC
    assert leftovers(tmp_path) == (["mine"] if before else [])
    if before:
        assert load_minari(tmp_path / "mine").equal(old)


def test_the_earlier_dataset_is_put_back_if_the_new_one_cannot_take_its_place(
    tmp_path, monkeypatch
):
    old = flat_data((2, 2))
    save_minari(old, tmp_path / "mine")
    move = os.replace

    def second_fails(source, target):
        if Path(source).name == "new":
            full_disk()
        move(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", second_fails)
        with pytest.raises(OSError, match="not written"):
            save_minari(flat_data((3,)), tmp_path / "mine")
    assert load_minari(tmp_path / "mine").equal(old) and leftovers(tmp_path) == ["mine"]


WRITE = """
import os, resource, signal, sys
import numpy as np
from seqrl import minari_write
from seqrl.minari_io import save_minari
from seqrl.trajectories import pack

how, path = sys.argv[1:]
T = 50
episode = {
    "observations": {"state": np.zeros((T + 1, 11))}, "actions": np.zeros((T, 3)),
    "rewards": np.zeros(T), "terminations": np.arange(T) == T - 1,
    "truncations": np.zeros(T, bool),
}
data = pack([episode] * 200)
if how == "kill":
    plain = minari_write._contents
    def killed(t):
        for e, content in enumerate(plain(t)):
            if e == 150:
                os.kill(os.getpid(), signal.SIGKILL)
            yield content
    minari_write._contents = killed
if how == "full":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
save_minari(data, path)
"""


@pytest.mark.parametrize(("how", "before"), [("kill", False), ("full", True)])
def test_a_killed_or_cut_off_write_leaves_the_final_name_as_it_was(how, before, tmp_path):
    old = flat_data((2, 2))
    if before:
        save_minari(old, tmp_path / "mine")
    command = [sys.executable, "-c", WRITE, how, str(tmp_path / "mine")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == (-signal.SIGKILL if how == "kill" else 1), done.stderr
    assert (tmp_path / "mine").exists() == before
    if before:
        assert load_minari(tmp_path / "mine").equal(old)
    if how == "full":
        assert "was not written" in done.stderr and leftovers(tmp_path) == ["mine"] * before


def test_an_earlier_dataset_is_replaced_but_anything_else_is_left_alone(tmp_path):
    save_minari(flat_data((2, 2)), tmp_path / "mine")
    new = flat_data((3,))
    save_minari(new, tmp_path / "mine")
    assert load_minari(tmp_path / "mine").equal(new)
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("dear")
    with pytest.raises(FileExistsError, match="not a dataset; it is left as it is"):
        save_minari(new, tmp_path / "letters")
    assert leftovers(tmp_path / "letters") == ["a.txt"]


def test_several_writers_at_once_leave_one_whole_dataset(tmp_path, monkeypatch):
    kinds = [flat_data((2, 2 + i)) for i in range(4)]
    meet = threading.Barrier(len(kinds))
    move = os.replace

    def slow(source, target):  # the moment between two moves, made long
        move(source, target)
        time.sleep(0.01)

    def write(data):
        for _ in range(5):
            meet.wait(timeout=20)
            save_minari(data, tmp_path / "mine")

    monkeypatch.setattr(os, "replace", slow)
    with ThreadPoolExecutor(len(kinds)) as pool:
        list(pool.map(write, kinds))
    assert leftovers(tmp_path) == ["mine"]
    found = load_minari(tmp_path / "mine")
    assert any(found.equal(data) for data in kinds)


def leave(folder: Path, data: Trajectories, days: float) -> Path:
    """What a write killed between its two moves leaves, some days ago."""
    save_minari(data, folder / "new")
    save_minari(data, folder / "old")
    then = time.time() - days * 24 * 3600
    os.utime(folder, (then, then))
    return folder


def test_what_killed_writes_left_is_removed_after_a_day(tmp_path):
    data = flat_data((2, 2))
    save_minari(data, tmp_path / "other")
    leave(tmp_path / ".other.abcd_123.tmp", data, days=2)
    recent = leave(tmp_path / ".mine.abcd_124.tmp", data, days=0.5)
    foreign = tmp_path / ".notes.abcd_125.tmp"
    foreign.mkdir()
    (foreign / "a.txt").write_text("dear")
    os.utime(foreign, (0, 0))
    save_minari(data, tmp_path / "mine")
    assert leftovers(tmp_path) == sorted([recent.name, foreign.name, "mine", "other"])


def test_a_dataset_that_only_a_killed_write_has_is_put_back(tmp_path):
    data = flat_data((2, 2))
    leave(tmp_path / ".other.abcd_123.tmp", data, days=2)
    save_minari(flat_data((3,)), tmp_path / "mine")
    assert leftovers(tmp_path) == ["mine", "other"]
    assert load_minari(tmp_path / "other").equal(data)


@pytest.mark.parametrize(
    ("info", "wrong", "message"),
    [({}, -1, "must not be negative"), ({"num_actions": 7}, 7, r"must be in \[0, 7\)")],
)
def test_actions_that_would_be_refused_when_read_are_not_saved(info, wrong, message, tmp_path):
    data = replace(grid_data(), info=info)
    data.actions[6] = wrong  # after 4 steps and 1
    with pytest.raises(
        ValueError, match=f"episode 2, actions: {wrong} at step 1, but they {message}"
    ):
        save_minari(data, tmp_path / "mine")
    assert not leftovers(tmp_path)


@pytest.mark.parametrize("keys", [("a", "a/b"), ("a/b/c", "a")])
def test_observations_in_an_array_are_not_saved(keys, tmp_path):
    data = flat_data()
    data = replace(data, observations=dict.fromkeys(keys, data.observations["state"]))
    message = f"observations['a'] and observations[{max(keys)!r}]"
    with pytest.raises(ValueError, match=re.escape(message)):
        save_minari(data, tmp_path / "mine")
    assert not leftovers(tmp_path)


def test_unsound_trajectories_are_not_saved(tmp_path):
    data = flat_data()
    data.rewards[5] = float("nan")
    with pytest.raises(ValueError, match="episode 2, rewards: NaN at step 0"):
        save_minari(data, tmp_path / "mine")
    assert not leftovers(tmp_path)


def test_short_episodes_take_little_space(tmp_path):
    save_minari(grid_data((10,) * 200), tmp_path / "mine")
    size = (tmp_path / "mine" / "data" / "main_data.hdf5").stat().st_size
    assert size < 200 * 8_000  # Minari's own writer takes 25 kB an episode
    metadata = json.loads((tmp_path / "mine" / "data" / "metadata.json").read_text())
    assert metadata["total_episodes"] == 200 and metadata["dataset_size"] == size / 1e6
