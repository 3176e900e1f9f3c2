import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import gymnasium as gym
import pytest

from seqrl import collection, datasets, minari_io
from seqrl.behavior import NotApplicable, Random, ShortestPath
from seqrl.environments import make_envs
from seqrl.rollout import rollout


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SEQRL_HOME", str(tmp_path))
    return tmp_path


def load(name, *args, **kwargs):
    return datasets.load(name, *args, progress=False, **kwargs)


def collect(*args, **kwargs):
    return collection.collect(*args, progress=False, **kwargs)


def forbid_collecting(monkeypatch):
    def fail(*_, **__):
        raise AssertionError("the dataset was made anew")

    monkeypatch.setattr(datasets, "collect_from", fail)


@pytest.mark.parametrize("policy", ["expert", "mixed", "random"])
def test_the_same_whatever_the_number_of_processes(policy):
    one = collect("GoToLocalS7N5", policy, 45, seed=3, processes=1)
    two = collect("GoToLocalS7N5", policy, 45, seed=3, processes=2)
    assert one.equal(two) and one.info == two.info
    assert len(one) == 45


def test_mixed_is_half_expert_and_half_noisy_with_four_epsilons():
    data = collect("GoToObjMazeS4", "mixed", 16)
    envs = make_envs("GoToObjMazeS4", 2)
    expert = rollout(ShortestPath(envs), envs, range(0, 16, 2), seed=0)
    assert data.select(range(0, 16, 2)).equal(expert)
    for i, epsilon in enumerate((0.1, 0.25, 0.5, 0.75)):
        episodes = range(2 * i + 1, 16, 8)
        noisy = rollout(ShortestPath(envs, epsilon), envs, episodes, seed=0)
        assert data.select(episodes).equal(noisy)


def test_mixed_keeps_failures():
    data = load("GoToObjMazeS4R2Close/mixed", 60)
    assert data.success[0::2].all() and not data.success.all()
    assert data.truncations.any()


def test_a_second_load_reads_the_cache_and_a_smaller_one_takes_its_beginning(monkeypatch):
    first = load("GoToLocalS7N5/mixed", 30)
    forbid_collecting(monkeypatch)
    assert load("GoToLocalS7N5/mixed", 30).equal(first)
    some = load("GoToLocalS7N5/mixed", 12)
    assert some.equal(first.select(range(12)))
    assert some.equal(collect("GoToLocalS7N5", "mixed", 12))
    assert len(some.info["missions"]) == 12


def test_a_larger_one_is_made_and_begins_with_the_smaller_one():
    small = load("GoToLocalS7N5/expert", 5)
    large = load("GoToLocalS7N5/expert", 15)
    assert large.select(range(5)).equal(small)


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"reward": "end"}, {"view": "partial"}, {"name": "GoToLocalS7N5/random"}],
)
def test_other_datasets_do_not_share_a_cache(change):
    one = load("GoToLocalS7N5/expert", 4)
    other = load(**{"name": "GoToLocalS7N5/expert", "episodes": 4, **change})
    assert not one.equal(other)


def test_changed_source_makes_the_data_anew(monkeypatch, home):
    load("GoToLocalS7N5/expert", 4)
    monkeypatch.setattr(datasets, "_digest", lambda: "other")
    load("GoToLocalS7N5/expert", 4)
    assert len(list((home / "datasets").iterdir())) == 2


def digest_of_today():
    datasets._digest.cache_clear()
    return datasets._digest()


@pytest.fixture
def fresh_digest():
    yield
    datasets._digest.cache_clear()


@pytest.mark.usefixtures("fresh_digest")
@pytest.mark.parametrize("name", ["collection.py", "rollout.py", "levels.py"])
def test_the_source_of_what_makes_the_data_is_in_the_name_of_the_cache(name, monkeypatch):
    before, read = digest_of_today(), Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda p: read(p) + b"#" * (p.name == name))
    assert digest_of_today() != before


@pytest.mark.usefixtures("fresh_digest")
@pytest.mark.parametrize("name", ["numpy", "gymnasium", "minigrid"])
def test_the_libraries_that_decide_the_data_are_in_the_name_of_the_cache(name, monkeypatch):
    before, version = digest_of_today(), datasets.version
    monkeypatch.setattr(datasets, "version", lambda x: version(x) + ".1" * (x == name))
    assert digest_of_today() != before


@pytest.mark.parametrize("place", ["a file", "full"])
def test_where_nothing_can_be_kept_the_data_come_with_a_warning(place, home, monkeypatch):
    def full(*_):
        raise OSError("No space left on device")

    if place == "full":
        monkeypatch.setattr(os, "fsync", full)
    else:
        (home / "file").write_text("")
        monkeypatch.setenv("SEQRL_HOME", str(home / "file"))
    with pytest.warns(UserWarning, match="in memory but was not kept for the next time: .*"):
        data = load("GoToLocalS7N5/expert", 4)
    assert data.equal(collect("GoToLocalS7N5", "expert", 4))


def test_where_another_process_has_kept_the_data_there_is_no_warning(monkeypatch):
    save = minari_io.save_minari

    def late(data, path):
        save(data, path)  # the other process
        raise OSError("Directory not empty")

    monkeypatch.setattr(minari_io, "save_minari", late)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first = load("GoToLocalS7N5/expert", 4)
    forbid_collecting(monkeypatch)
    assert load("GoToLocalS7N5/expert", 4).equal(first)


def test_a_damaged_cache_is_made_anew(home):
    first = load("GoToLocalS7N5/expert", 4)
    for path in (home / "datasets").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:50])
    assert load("GoToLocalS7N5/expert", 4).equal(first)


def test_what_goes_beyond_the_largest_number_of_steps_is_left_out(monkeypatch):
    monkeypatch.setattr(datasets, "MAX_STEPS", 200)
    data = load("GoToLocalS7N5/mixed", 100)
    whole = collect("GoToLocalS7N5", "mixed", 100)
    kept = len(data)
    assert data.equal(whole.select(range(kept)))
    assert data.steps <= 200 < whole.select(range(kept + 1)).steps
    assert data.info["episodes_left_out"] == 100 - kept
    assert load("GoToLocalS7N5/mixed", 100).info["episodes_left_out"] == 100 - kept
    assert load("GoToLocalS7N5/mixed", 3).info["episodes_left_out"] == 0


def test_info_says_how_the_data_were_made():
    info = load("GoToLocalS7N5/mixed", 4, seed=2).info
    told = {"env": "GoToLocalS7N5", "policy": "mixed", "reward": "step", "view": "full"}
    assert told.items() <= info.items()
    assert info["seed"] == 2 and info["stream"] == "data" and info["split"] == "data"
    assert info["dataset"] == "GoToLocalS7N5/mixed"


def test_a_path_is_loaded_with_the_same_call(home):
    from seqrl.minari_io import save_minari

    data = collect("GoToLocalS7N5", "expert", 6)
    save_minari(data, home / "mine")
    assert load(home / "mine").equal(data)
    assert load(str(home / "mine"), 2).equal(data.select(range(2)))


def test_other_environments_and_policies_can_be_collected():
    data = collect("CartPole-v1", "random", 5)
    assert data.observations["state"].shape == (data.steps + 5, 4)
    given = collect(lambda: gym.make("CartPole-v1"), Random, 5, processes=1)
    assert given.equal(data)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("GoToLocalS8N77/expert", "GoToLocalS8N7"),
        ("GoToLocalS8N7/exprt", "LEVEL/expert"),
        ("expert", "LEVEL/KIND"),
        ("no/such/path", "no path that exists"),
    ],
)
def test_unknown_names_are_refused_with_what_is_known(name, message):
    with pytest.raises(ValueError, match=message):
        load(name)


def test_wrong_requests_are_refused():
    cases: list[tuple[dict, str]] = [
        ({"policy": "exprt"}, "noisy"),
        ({"episodes": 0}, "at least one episode"),
        ({"processes": 0}, "at least one process, not 0"),
        ({"processes": -2}, "at least one process, not -2"),
        ({"epsilon": 0.5}, "epsilon belongs"),
        ({"policy": "noisy"}, "needs an epsilon"),
        ({"policy": "noisy", "epsilon": 2}, r"\[0, 1\]"),
        ({"reward": "sparse"}, "'step' or 'end'"),
    ]
    for change, message in cases:
        request = {"env": "GoToLocalS7N5", "policy": "expert", "episodes": 3, **change}
        with pytest.raises(ValueError, match=message):
            collect(**request)
    with pytest.raises(ValueError, match="at least one episode"):
        load("GoToLocalS7N5/expert", 0)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_level_that_the_expert_cannot_solve_is_told_by_its_mission(processes):
    with pytest.raises(NotApplicable, match=r"put the .* next to"):
        collect("BabyAI-PutNextLocal-v0", "expert", 40, processes=processes)


def test_a_load_killed_while_it_writes_leaves_no_dataset_under_the_name(home):
    code = """
import os, time
from seqrl import datasets
os.replace = lambda *_: (print("writing", flush=True), time.sleep(60))
datasets.load("GoToLocalS7N5/expert", 5, progress=False)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "writing\n"
    process.kill()
    process.wait()
    (folder,) = (home / "datasets").iterdir()
    assert not (folder / "5").exists()
    assert len(load("GoToLocalS7N5/expert", 5)) == 5
    assert (folder / "5").exists()


WAITING = """
import os, time
from seqrl.collection import collect

parent = os.getpid()

def policy(envs):
    if os.getpid() != parent:
        os.write(1, f"{os.getpid()}\\n".encode())
        time.sleep(60)

collect("CartPole-v1", policy, 40, processes=2, progress=False)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_processes_end_with_the_one_that_started_them(how):
    command = [sys.executable, "-c", WAITING]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    workers = [int(process.stdout.readline()) for _ in range(2)]
    process.send_signal(how)
    try:
        process.communicate(timeout=30)  # until no worker holds the output open
    except subprocess.TimeoutExpired:
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        pytest.fail("workers stay")


def test_a_robot_is_collected_as_any_environment_and_leaves_no_log(home, monkeypatch):
    monkeypatch.chdir(home)
    data = collect("HalfCheetah-v5", "random", 1)
    assert data.info["env"] == "HalfCheetah-v5" and data.steps == 1000
    assert list(home.iterdir()) == []
