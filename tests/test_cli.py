import json
import subprocess
import sys

import gymnasium as gym
import pytest

from seqrl.cli import main
from seqrl.minari_io import load_minari


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SEQRL_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments):
    """The exit status, whether it is returned or raised."""
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return stop.code


def one_sentence(text):
    lines = text.replace("\r", "\n").strip().splitlines()
    return lines[-1].startswith("seqrl") and "Traceback" not in text and len(lines) == 1


def test_collect_then_info(home, capsys):
    assert run("collect", "GoToLocalS7N5", "--episodes", 12, "--seed", 5, "--out", "data") == 0
    collected = capsys.readouterr().out
    data = load_minari(home / "data")
    assert len(data) == 12 and data.success.all()
    assert run("info", "data") == 0
    told = capsys.readouterr().out
    assert told.strip() in collected
    for fact in (f"{data.steps:,}", "100.00%", "forward", "seed 5"):
        assert fact in told


def test_info_for_programs(capsys):
    run("collect", "CartPole-v1", "--policy", "random", "--episodes", 5, "--out", "poles")
    capsys.readouterr()
    assert run("info", "poles", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["episodes"] == 5 and told["observations"] == {"state": [4]}
    assert told["info"]["env"] == "CartPole-v1" and told["return"]["mean"] > 5


def test_options_reach_the_data(home):
    options = ["--policy", "noisy", "--epsilon", 0.5, "--reward", "end", "--view", "partial"]
    assert run("collect", "GoToLocalS7N5", "--episodes", 4, "--processes", 1, *options) == 0
    data = load_minari(home / "GoToLocalS7N5-noisy-4-seed0")
    assert "view" in data.observations and data.rewards.min() >= 0
    assert data.info["epsilon"] == 0.5


def test_a_dataset_that_is_there_is_only_replaced_when_asked(home, capsys):
    collect = ("collect", "GoToLocalS7N5", "--out", "data", "--episodes")
    assert run(*collect, 3) == 0
    assert run(*collect, 4) == 2
    assert "exists" in capsys.readouterr().err
    assert len(load_minari(home / "data")) == 3
    assert run(*collect, 4, "--overwrite") == 0
    assert len(load_minari(home / "data")) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["collect", "GoToLocalS8N77"], "GoToLocalS8N7"),
        (["collect", "BabyAI-PutNextLocal-v0"], "next to another"),
        (["collect", "GoToLocalS7N5", "--episodes", "0"], "at least one episode"),
        (["collect", "GoToLocalS7N5", "--processes", "0"], "at least one process, not 0"),
        (["collect", "GoToLocalS7N5", "--policy", "expret"], "expret"),
        (["collect", "GoToLocalS7N5", "--epsilon", "0.5"], "epsilon"),
        (["info", "no/such/dataset"], "unknown dataset"),
        (["info", "."], "not a Minari dataset"),
        (["brew"], "brew"),
        ([], "COMMAND"),
    ],
)
def test_an_error_is_told_in_one_sentence(arguments, message, capfd, monkeypatch):
    monkeypatch.setenv("TQDM_DISABLE", "1")
    assert run(*arguments) == 2
    error = capfd.readouterr().err
    assert message in error and one_sentence(error), error


def test_a_truncated_dataset_is_refused(home, capsys):
    run("collect", "GoToLocalS7N5", "--episodes", 3, "--out", "data")
    capsys.readouterr()
    for path in (home / "data").rglob("*"):
        if path.is_file() and path.suffix != ".json":
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert run("info", "data") == 2
    assert one_sentence(capsys.readouterr().err)


@pytest.mark.parametrize(
    "error", [gym.error.DependencyNotInstalled("no MuJoCo"), ImportError("no MuJoCo")]
)
def test_a_library_that_is_not_installed_is_told_in_one_sentence(error, capsys, monkeypatch):
    def missing():
        raise error

    gym.register("Missing-v0", missing)
    try:
        assert run("collect", "Missing-v0", "--policy", "random") == 2
    finally:
        del gym.registry["Missing-v0"]
    told = capsys.readouterr().err
    assert "no MuJoCo" in told and one_sentence(told)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"action_space": None}, "metadata.json, action_space"),
        ({"env_spec": "CartPole"}, "metadata.json, env_spec"),
    ],
)
def test_info_names_the_field_of_metadata_that_is_wrong(change, message, home, capsys):
    run("collect", "GoToLocalS7N5", "--episodes", 3, "--out", "data")
    capsys.readouterr()
    path = home / "data" / "data" / "metadata.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert run("info", "data") == 2
    told = capsys.readouterr().err
    assert message in told and one_sentence(told)


def test_info_of_a_dataset_that_lost_what_we_add(home, capsys):
    run("collect", "GoToLocalS7N5", "--episodes", 3, "--out", "data")
    path = home / "data" / "data" / "metadata.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"seqrl": None}))
    capsys.readouterr()
    assert run("info", "data") == 0
    assert "episodes      3" in capsys.readouterr().out


def test_the_module_runs(home):
    command = [sys.executable, "-m", "seqrl", "brew"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and one_sentence(done.stderr) and not done.stdout
