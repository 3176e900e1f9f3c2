"""Robots' datasets through `datasets.load`: cached, refused in a sentence; Minari's originals."""

import json
import os
import signal
import subprocess
import sys

import minari
import numpy as np
import pytest
import robots
from minari.data_collector.episode_buffer import EpisodeBuffer
from minari.dataset.minari_storage import MinariStorage

from seqrl import actors, checkpoints, cli, datasets, minari_io, robot_data
from seqrl.environments.locomotion import ROBOTS, make_robot, robot_of


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SEQRL_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(actors, "ROBOTS", tmp_path)
    robots.write(tmp_path)
    return tmp_path / "home"


def load(name, *args, **kwargs):
    return datasets.load(name, *args, progress=False, **kwargs)


def forbid_rollouts(monkeypatch):
    def fail(*_, **__):
        raise AssertionError("the dataset was made anew")

    monkeypatch.setattr(robot_data, "rollout", fail)


@pytest.mark.parametrize("name", ["hopper/medium", "Hopper-v5/medium"])
def test_a_second_load_reads_the_cache_and_a_smaller_one_takes_its_beginning(name, monkeypatch):
    pytest.importorskip("mujoco", reason="needs the extra locomotion")
    first = load(name, 12)
    assert first.info["env"] == "Hopper-v5" and first.info["dataset"] == "hopper/medium"
    assert first.observations["state"].shape == (first.steps + 12, 11)
    forbid_rollouts(monkeypatch)
    second = load("hopper/medium", 12)
    assert second.equal(first) and second.info == first.info
    assert load("hopper/medium", 5).equal(first.select(range(5)))


def test_the_whole_is_kept_and_taken_for_any_part_of_it(monkeypatch, home):
    pytest.importorskip("mujoco", reason="needs the extra locomotion")
    monkeypatch.setattr(robot_data, "STEPS", 300)
    whole = load("hopper/medium")
    assert whole.steps <= 300 < whole.steps + 1000
    forbid_rollouts(monkeypatch)
    assert load("hopper/medium").equal(whole)
    assert load("hopper/medium", 2).equal(whole.select(range(2)))
    (folder,) = (home / "datasets").iterdir()
    assert [path.name for path in folder.iterdir()] == ["300"]


def test_what_decides_the_data_is_in_the_name_of_the_cache(home, tmp_path, monkeypatch):
    pytest.importorskip("mujoco", reason="needs the extra locomotion")

    def folders():
        datasets._robot_digest.cache_clear()
        load("hopper/medium", 1)
        load("hopper/random", 1)
        kinds = [path.name.split("-")[1] for path in (home / "datasets").iterdir()]
        return kinds.count("medium"), kinds.count("random")

    assert folders() == (1, 1) == folders()
    robots.write(tmp_path, recipe={"algorithm": "another", "seed": "1", "steps": 300})
    assert folders() == (2, 1)
    for n, library in enumerate(("mujoco", "gymnasium", "numpy")):
        now = datasets.version
        with monkeypatch.context() as m:
            m.setattr(datasets, "version", lambda x: now(x) + ".1" * (x == library))  # noqa: B023
            assert folders() == (3 + n, 2 + n)
    for n, file in enumerate(("actors.py", "locomotion.py", "robot_data.py", "rollout.py")):
        read = type(home).read_bytes
        with monkeypatch.context() as m:
            m.setattr(type(home), "read_bytes", lambda p: read(p) + b"#" * (p.name == file))  # noqa: B023
            assert folders() == (6 + n, 5 + n)
    datasets._robot_digest.cache_clear()


def test_unknown_names_and_what_robots_do_not_have_are_refused():
    cases = [
        (("hopper/best",), {}, "there are hopper/random, hopper/medium, hopper/medium-replay"),
        (("hoper/medium",), {}, "medium-replay, .* of hopper, walker2d, halfcheetah"),
        (("hopper",), {}, "unknown dataset 'hopper'"),
        (("hopper/medium", 0), {}, "at least one episode"),
        (("hopper/medium", 1), {"view": "full"}, "reward and view are of grid worlds"),
        (("hopper/medium", 1), {"reward": "end"}, "reward and view are of grid worlds"),
    ]
    for args, kwargs, message in cases:
        with pytest.raises(ValueError, match=message):
            load(*args, **kwargs)


def test_without_mujoco_or_with_a_changed_policy_nothing_is_made(home, tmp_path, monkeypatch):
    with monkeypatch.context() as m:
        m.setitem(sys.modules, "mujoco", None)
        with pytest.raises(ModuleNotFoundError, match=r'pip install "seqrl\[locomotion\]"'):
            load("hopper/random", 1)
    pytest.importorskip("mujoco", reason="needs the extra locomotion")
    path = tmp_path / "hopper.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(checkpoints.CheckpointError, match="its hash does not match"):
        load("hopper/medium", 1)
    assert not home.exists()
    assert len(load("hopper/random", 1)) == 1  # needs no policy


INTERRUPTED = """
import os
os.cpu_count = lambda: 2  # a worker beside the process itself, wherever this runs
from seqrl import datasets, robot_data

robot_data.CHUNK = 1000  # soon done
made = robot_data._made
def told(job):
    os.write(1, f"{os.getpid()}\\n".encode())
    return made(job)
robot_data._made = told
datasets.load("hopper/random", progress=False)
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_rollout_leaves_nothing(how, home):
    pytest.importorskip("mujoco", reason="needs the extra locomotion")
    command = [sys.executable, "-c", INTERRUPTED]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={name: x for name, x in os.environ.items() if name != "SEQRL_PROCESSES"},
        start_new_session=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) != process.pid:  # a worker is in the middle of it
            break
    if how == signal.SIGINT:
        os.killpg(process.pid, how)  # as Ctrl-C does
    else:
        process.kill()
    process.communicate(timeout=30)  # until no worker holds the output open
    assert process.returncode != 0
    assert not home.exists() or not list(home.rglob("*"))


def original(folder, episodes=3, env="Hopper-v5"):
    """A dataset as Minari's hub has them: Minari's own writer, flat states in double precision."""
    data = folder / "data"
    data.mkdir(parents=True)
    made = make_robot(env)
    rng = np.random.default_rng(0)
    storage = MinariStorage.new(data, made.observation_space, made.action_space, env_spec=made.spec)
    size, actions = made.observation_space.shape[0], made.action_space.shape[0]
    buffers = []
    for e in range(episodes):
        T = 5 + e
        ends = np.arange(T) == T - 1
        buffers.append(
            EpisodeBuffer(
                id=e,
                observations=rng.normal(size=(T + 1, size)),
                actions=rng.uniform(-1, 1, (T, actions)).astype(np.float32),
                rewards=rng.normal(3, 1, T),
                terminations=ends,
                truncations=np.zeros(T, bool),
                infos={"x_position": rng.normal(size=T + 1)},
            )
        )
    storage.update_episodes(buffers)
    about = {"dataset_id": "/".join(folder.parts[-3:]), "minari_version": minari.__version__}
    storage.update_metadata({**about, "algorithm_name": "SAC", "author": {"Ada"}})
    return buffers


@pytest.mark.parametrize(
    ("name", "env"),
    [
        ("mujoco/hopper/medium-v0", "Hopper-v5"),
        ("mujoco/walker2d/expert-v0", "Walker2d-v5"),
        ("D4RL/halfcheetah/medium-v2", "HalfCheetah-v5"),
    ],
)
def test_minaris_originals_load_by_the_same_call_and_are_scored_as_their_robot(
    name, env, tmp_path, monkeypatch, capsys
):
    pytest.importorskip("mujoco", reason="needs the extra locomotion")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    buffers = original(tmp_path / "minari" / name, env=env)
    data = load(name)
    robot = robot_of(name)
    assert robot is robot_of(data.info["env"]) and data.info["env"] == env
    assert len(data) == 3 and len(load(name, 2)) == 2
    returns = np.array([sum(b.rewards) for b in buffers])
    wanted = 100 * (returns.mean() - robot.random) / (robot.expert - robot.random)
    assert robot_data.return_card(data)["normalized"]["mean"] == pytest.approx(wanted, rel=1e-5)
    np.testing.assert_allclose(data.episode(1)["observations"]["state"], buffers[1].observations)
    assert cli.main(["info", name]) == 0
    assert f"normalized    {wanted:.1f} (quartiles" in capsys.readouterr().out


def test_an_original_that_is_not_there_is_looked_up_on_the_hub(monkeypatch, tmp_path):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    asked = []

    def download(name):
        asked.append(name)
        raise ConnectionError("no network")

    monkeypatch.setattr(minari, "download_dataset", download)
    with pytest.raises(FileNotFoundError, match="no network"):
        load("mujoco/hopper/medium-v0")
    assert asked == ["mujoco/hopper/medium-v0"]


def test_the_command_line_describes_a_robots_data(capsys):
    pytest.importorskip("mujoco", reason="needs the extra locomotion")
    assert cli.main(["info", "hopper/medium-expert", "--episodes", "4"]) == 0
    told = capsys.readouterr().out
    for fact in ("normalized ", "0 is a return of -20.3, 100 of 3,234.3", "after 200 steps 1.5"):
        assert fact in told
    assert cli.main(["info", "hopper/random", "--episodes", "4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["reference"]["expert"] == ROBOTS["hopper"].expert
    assert found["normalized"]["min"] <= found["normalized"]["median"] <= 100


def test_a_load_that_is_stopped_while_it_writes_is_not_taken_for_whole(home, monkeypatch):
    pytest.importorskip("mujoco", reason="needs the extra locomotion")

    def stopped(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as m:
        m.setattr(minari_io, "write_episodes", stopped)
        with pytest.raises(KeyboardInterrupt):
            load("hopper/random", 3)
    assert [path for path in home.rglob("*") if path.is_file()] == []
    assert len(load("hopper/random", 3)) == 3
