"""`evaluate`, `train`, `sweep` and `results`, as a user types them."""

import json
import os
import signal
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path

import pytest
import torch

from seqrl import checkpoints, cli_runs, experiments, results, shipped, sweep, training
from seqrl.cli import main
from seqrl.environments.levels import LEVELS
from seqrl.methods import METHODS
from seqrl.settings import Setting
from seqrl.sweep import read_spec
from seqrl.trained import load

torch.set_num_threads(1)
LEVEL = "GoToLocalS7N5"
DATA = f"{LEVEL}/expert-12"
SIZES = {"steps": 4, "batch": 4, "width": 16, "context": 3, "layers": 1, "episodes": 6}
SMALL = [f"--{name}={size}" for name, size in SIZES.items()]
SCORES = ("success", "success_ci", "mean_return", "path_ratio", "episodes", "ms_per_action")
ABOUT = ("checkpoint", "method", "env", "seed", "data", "target_return")
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQRL_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="module")
def folder(home, tmp_path_factory):
    """A trained model: the folder of `train`."""
    out = tmp_path_factory.mktemp("runs") / "rvs"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiments.choose_target, "__defaults__", (2,))  # of validation
        assert run("train", "rvs", DATA, "--out", out, *SMALL) == 0
    return out


def run(*arguments):
    """The exit status, whether it is returned or raised."""
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return stop.code


def refused(capsys, *arguments):
    """What is said of a call that fails: one sentence."""
    capsys.readouterr()
    assert run(*arguments) == 2
    told = capsys.readouterr()
    assert not told.out and told.err.startswith("seqrl: ") and told.err.count("\n") == 1
    return told.err


def evaluate(capsys, *arguments):
    capsys.readouterr()
    assert run("evaluate", "--episodes", 5, "--seed", 7, "--json", *arguments) == 0
    return json.loads(capsys.readouterr().out)


def test_evaluate_prints_one_json_object(folder, capsys):
    found = evaluate(capsys, "--method", "rvs", "--env", LEVEL, "--checkpoint", folder)
    assert {*SCORES, *ABOUT} <= set(found)
    assert found["checkpoint"] == load(folder / "model.safetensors").card["sha256"]
    assert (found["method"], found["env"], found["seed"]) == ("rvs", LEVEL, 7)
    assert (found["episodes"], found["data"], found["data_episodes"]) == (
        5,
        f"{LEVEL}/expert",
        12,
    )
    low, high = found["success_ci"]
    assert low <= found["success"] <= high
    trained = load(folder / "model.safetensors")
    tested = trained.evaluate(5, 7)
    assert found["mean_return"] == pytest.approx(tested.scores["mean_return"])
    assert found["target_return"] == trained.target


def test_evaluate_takes_the_return_to_ask_for(folder, capsys):
    file = folder / "model.safetensors"
    assert evaluate(capsys, "--checkpoint", file, "--target-return", -3)["target_return"] == -3
    assert "finite" in refused(capsys, "evaluate", "--checkpoint", file, "--target-return", "nan")


def test_evaluate_for_people_is_a_line(folder, capsys):
    capsys.readouterr()
    assert run("evaluate", "--checkpoint", folder, "--episodes", 4) == 0
    told = capsys.readouterr().out
    assert told.count("\n") == 1 and f"rvs on {LEVEL}" in told and "4 episodes" in told


def test_evaluate_finds_the_shipped_checkpoint(folder, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "CHECKPOINTS", tmp_path)
    monkeypatch.setattr(shipped.path_of, "__defaults__", (None, tmp_path))
    told = refused(capsys, "evaluate", "--method", "rvs", "--env", LEVEL)
    assert f"rvs-{LEVEL}-mixed" in told and "none" in told
    for kind in ("mixed", "expert"):
        trained = load(folder / "model.safetensors")
        trained.card["note"] = kind
        path = shipped.path_of("rvs", LEVEL, kind)
        checkpoints.save_model(path, trained.model, trained.card)
    asked = ("--method", "rvs", "--env", f"seqrl/{LEVEL}-v0")
    sha = load(folder / "model.safetensors").card["sha256"]
    assert evaluate(capsys, *asked)["checkpoint"] == sha
    assert evaluate(capsys, *asked, "--data", "expert")["checkpoint"] == sha
    told = refused(capsys, "evaluate", *asked, "--data", "random")
    assert f"rvs-{LEVEL}-random" in told and f"rvs-{LEVEL}-mixed" in told


def test_the_usual_checkpoint_of_key_to_door_is_of_random_data():
    assert shipped.path_of("dt", "KeyToDoor").name == "dt-KeyToDoor-random-10000.safetensors"
    assert shipped.path_of("dt", LEVEL).name == f"dt-{LEVEL}-mixed.safetensors"
    for method, env in (("dt", "Hopper-v5"), ("tt", "MiniGrid-MultiRoom-N4-S5-v1"), ("bc", LEVEL)):
        assert env == LEVEL or shipped.path_of(method, env).exists()


def test_another_level_is_refused_unless_it_is_meant(folder, capsys):
    other = ("--checkpoint", folder, "--env", "GoToLocalS8N7")
    told = refused(capsys, "evaluate", *other)
    assert f"made for {LEVEL}, not for GoToLocalS8N7" in told
    found = evaluate(capsys, *other, "--anyway")
    assert (found["env"], found["made_for"]) == ("GoToLocalS8N7", LEVEL)
    told = refused(capsys, "evaluate", "--checkpoint", folder, "--env", "KeyToDoor", "--anyway")
    assert "'map' is missing" in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "dt"], "one of rvs, not of dt"),
        (["--env", "GoToLocalS7N55"], "GoToLocalS7N5"),
        (["--episodes", "0"], "at least one episode, not 0"),
    ],
)
def test_evaluate_refuses_in_a_sentence(folder, capsys, arguments, message):
    assert message in refused(capsys, "evaluate", "--checkpoint", folder, *arguments)


def test_evaluate_needs_to_know_what(capsys, tmp_path):
    assert "--checkpoint" in refused(capsys, "evaluate")
    told = refused(capsys, "evaluate", "--method", "ppo", "--env", LEVEL)
    assert "unknown method 'ppo'" in told
    assert "no checkpoint" in refused(capsys, "evaluate", "--checkpoint", tmp_path)
    (tmp_path / "model.safetensors").write_text("no model")
    assert "not a checkpoint" in refused(capsys, "evaluate", "--checkpoint", tmp_path)


def test_train_writes_a_model_and_its_record(folder, capsys):
    (record,) = results.read_all(folder)
    assert (record["method"], record["dataset"], record["seed"]) == ("rvs", DATA, 0)
    assert record["config"]["steps"] == 4 and len(record["episodes"]["success"]) == 6
    assert record["checkpoint"] == load(folder / "model.safetensors").card["sha256"]
    before = (folder / "model.safetensors").stat().st_mtime_ns
    capsys.readouterr()
    assert run("train", "rvs", DATA, "--out", folder, *SMALL) == 0  # is done
    assert (folder / "model.safetensors").stat().st_mtime_ns == before
    told = capsys.readouterr().out
    assert "success" in told and f"{record['scores']['mean_return']:.4g}" in told


def test_train_goes_on_after_a_stop(tmp_path, capsys, monkeypatch):
    assert run("train", "bc", DATA, "--out", tmp_path / "whole", *SMALL) == 0
    update, updates = training.Run.update, []

    def stopped(self):
        updates.append(self.step)
        update(self)
        if self.step == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(training.Run, "update", stopped)
        capsys.readouterr()
        assert run("train", "bc", DATA, "--out", tmp_path / "parts", *SMALL) == 130
        assert "the same call goes on" in capsys.readouterr().err
        assert not list((tmp_path / "parts").glob("*.json"))
        assert run("train", "bc", DATA, "--out", tmp_path / "parts", *SMALL) == 0
    assert updates == [0, 1, 2, 3]
    whole, parts = (load(tmp_path / x / "model.safetensors").card for x in ("whole", "parts"))
    assert whole["sha256"] == parts["sha256"]


def test_train_goes_on_with_data_that_were_made_by_the_call_that_was_stopped(tmp_path, monkeypatch):
    monkeypatch.setenv("SEQRL_HOME", str(tmp_path / "home"))
    call = ("train", "bc", f"{LEVEL}/expert-2", "--out", tmp_path / "run", *SMALL)

    def stopped(*arguments, **options):
        raise RuntimeError("stopped")

    with monkeypatch.context() as patch:
        patch.setattr(experiments, "test", stopped)
        assert run(*call) == 2
    assert run(*call) == 0


@pytest.mark.parametrize(
    "other", [["rvs", DATA, "--seed", 1], ["bc", DATA], ["rvs", f"{LEVEL}/expert-11"]]
)
def test_train_refuses_a_folder_with_another_run(folder, capsys, other):
    before = sorted((path.name, path.stat().st_mtime_ns) for path in folder.iterdir())
    told = refused(capsys, "train", *other, "--out", folder, *SMALL)
    assert "holds another run" in told
    for path in folder.glob("*.json"):  # as if it had been stopped before the record
        record = path.rename(path.with_suffix(".kept"))
        try:
            assert "run.safetensors was made with" in refused(
                capsys, "train", *other, "--out", folder, *SMALL
            )
        finally:
            record.rename(path)
    assert sorted((path.name, path.stat().st_mtime_ns) for path in folder.iterdir()) == before


def test_train_does_not_write_over_a_model_that_is_there(tmp_path, capsys):
    (tmp_path / "model.safetensors").write_text("precious")
    assert "holds another run" in refused(capsys, "train", "bc", DATA, "--out", tmp_path)
    assert (tmp_path / "model.safetensors").read_text() == "precious"
    file = tmp_path / "model.safetensors"
    assert "is a file" in refused(capsys, "train", "bc", DATA, "--out", file)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ppo", DATA], "unknown method 'ppo'; there are bc,"),
        (["bc", DATA, "--steps", "0"], "steps must be above 0"),
        (["bc", "nowhere"], "unknown dataset"),
    ],
)
def test_train_refuses_in_a_sentence(tmp_path, capsys, arguments, message):
    assert message in refused(capsys, "train", *arguments, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "command", ["", "collect", "info", "evaluate", "train", "sweep", "results"]
)
def test_help_is_printed(capsys, command):
    with pytest.raises(SystemExit) as stopped:
        main([*command.split(), "--help"])
    assert stopped.value.code == 0
    assert "usage: seqrl" in capsys.readouterr().out


def test_the_help_of_train_names_every_method():
    assert set(cli_runs.KNOWN.replace(" or ", ", ").split(", ")) == set(METHODS)


def test_every_field_of_a_setting_is_an_option_of_train():
    assert {*cli_runs.SIZES, "augment"} == {field.name for field in fields(Setting)}


def test_own_data_of_any_environment_can_be_trained_on(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    poles = tmp_path / "data" / "poles-5"  # a name that could be read as LEVEL/KIND-EPISODES
    assert run("collect", "CartPole-v1", "--policy", "random", "--episodes", 8, "--out", poles) == 0
    assert run("train", "bc", "data/poles-5", "--out", "run", *SMALL) == 0
    found = evaluate(capsys, "--checkpoint", "run")
    assert found["env"] == "CartPole-v1" and found["mean_return"] > 4
    assert found["path_ratio"] is None and found["data_episodes"] == 8


def test_a_model_is_tested_with_the_observations_of_its_data(tmp_path, capsys):
    partial = ("--episodes", 6, "--view", "partial", "--out", tmp_path / "data")
    assert run("collect", LEVEL, *partial) == 0
    assert run("train", "bc", tmp_path / "data", "--out", tmp_path / "run", *SMALL) == 0
    assert evaluate(capsys, "--checkpoint", tmp_path / "run")["episodes"] == 5


def quick(run, scratch):
    if run.method == "iql":
        raise RuntimeError("the dog ate it")
    outcomes = [int(run.method == "dt"), 0]
    scores = {"success": sum(outcomes) / 2, "path_ratio": 1.5 if outcomes[0] else None}
    return {**asdict(run), "scores": scores, "episodes": {"success": outcomes}}


class Here:
    """A run in this process: a process of its own takes seconds to begin (see test_sweep)."""

    def __init__(self, run, work, folder, jobs):
        with suppress(SystemExit):
            sweep._one(run, work, folder)

    def is_alive(self):
        return False


SPEC = """
out = "records"
[[runs]]
methods = ["bc", "dt"]
datasets = ["A/mixed"]
seeds = [0, 1]
[[runs]]
methods = ["iql"]
datasets = ["A/mixed", "B/mixed"]
seeds = [0]
config = {steps = 3}
"""


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "spec.toml"
    path.write_text(SPEC)
    return path


def test_a_dry_run_lists_the_runs_seed_by_seed(spec, capsys):
    assert run("sweep", spec, "--dry-run") == 0
    assert capsys.readouterr().out.splitlines() == [
        "to do bc A/mixed seed 0",
        "to do dt A/mixed seed 0",
        'to do iql A/mixed seed 0 {"steps": 3}',
        'to do iql B/mixed seed 0 {"steps": 3}',
        "to do bc A/mixed seed 1",
        "to do dt A/mixed seed 1",
    ]
    assert not (spec.parent / "records").exists()


def test_sweep_then_results(spec, capsys, monkeypatch):
    monkeypatch.setattr(experiments, "work", quick)
    monkeypatch.setattr(sweep, "_start", Here)
    assert run("sweep", spec, "--jobs", 3) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 7 and lines[-1] == "4 done, 0 skipped, 2 failed, 0 left"
    records = spec.parent / "records"
    spec.write_text(SPEC.split('[[runs]]\nmethods = ["iql"]')[0])
    assert run("sweep", spec) == 0
    assert capsys.readouterr().out == "0 done, 4 skipped, 0 failed, 0 left\n"

    assert run("results", records) == 0
    rows = capsys.readouterr().out.splitlines()
    assert rows[0] == "| method | A/mixed |" and rows[2].startswith("| bc | 0.0 [0.0, ")
    assert rows[3].startswith("| dt | 50.0 [")
    assert run("results", records, "--columns", "seed", "--format", "json") == 0
    table = json.loads(capsys.readouterr().out)
    assert [row["method"] for row in table] == ["bc", "dt"]
    assert table[1]["0"]["estimate"] == 0.5 and table[1]["1"]["low"] < 0.5
    assert run("results", records, "--columns", "seed", "--format", "html") == 0
    assert capsys.readouterr().out.startswith("<table>")
    assert run("results", records, "--score", "path_ratio") == 0
    told = capsys.readouterr()
    assert "| dt | 1.50 [1.50, 1.50] |" in told.out and "| bc |" not in told.out
    assert "2 runs have no path_ratio" in told.err
    assert run("results", records, "--score", "path_ratio", "--columns", "seed") == 0
    assert "| dt | 1.50 | 1.50 |" in capsys.readouterr().out  # one seed has no interval


def test_runs_with_another_config_are_another_row(tmp_path, capsys):
    for config, success in (({}, [1, 1]), ({"steps": 9, "bins": "uniform"}, [0, 0])):
        record = {"method": "dt", "dataset": "A", "seed": 0, "config": config, "scores": {}}
        results.write({**record, "episodes": {"success": success}}, tmp_path)
    assert run("results", tmp_path) == 0
    rows = capsys.readouterr().out.splitlines()
    assert any(row.startswith("| dt | 100.0 [") for row in rows)
    assert any(row.startswith("| dt steps=9 bins=uniform | 0.0 [") for row in rows)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('out = "records"', "", "give --out"),
        ('["bc", "dt"]', '["bc", "ppo"]', "unknown method 'ppo'"),
        ('["bc", "dt"]', '"bc"', "needs methods, a list of str"),
        ("seeds = [0, 1]", "", "needs seeds"),
        ("seeds = [0, 1]", "seeds = [0, 0.5]", "needs seeds"),
        ("steps = 3", "depth = 3", "unknown field 'depth'"),
        ("steps = 3", 'steps = "3"', "steps cannot be '3'"),
        ("config", "settings", "unknown field 'settings'"),
        ("[[runs]]", "[[run]]", "unknown field 'run'"),
        ("[0, 1]", "[0, 1", "not a TOML file"),
    ],
)
def test_a_spec_that_is_wrong_is_refused(spec, capsys, old, new, message):
    spec.write_text(SPEC.replace(old, new))
    assert message in refused(capsys, "sweep", spec, "--dry-run")


def test_sweep_refuses_in_a_sentence(tmp_path, spec, capsys):
    told = refused(capsys, "sweep", tmp_path / "none.toml", "--out", tmp_path)
    assert "there is no file" in told and "none.toml" in told
    assert "ago" in refused(capsys, "sweep", spec, "--out", tmp_path, "--minutes", "-1")


def test_results_refuses_in_a_sentence(tmp_path, capsys):
    assert "no record of a run" in refused(capsys, "results", tmp_path / "nowhere")
    record = {"method": "bc", "dataset": "A", "seed": 0, "config": {}, "scores": {"success": 1.0}}
    results.write({**record, "episodes": {}}, tmp_path)
    assert "has the score 'speed'" in refused(capsys, "results", tmp_path, "--score", "speed")
    told = refused(capsys, "results", tmp_path, "--rows", "seed", "--columns", "seed")
    assert "both seed" in told
    (tmp_path / "a.json").write_text("[]")
    assert "a.json is not a record" in refused(capsys, "results", tmp_path)


def test_the_books_sweeps_are_its_protocol():
    names = ("babyai", "key_to_door", "tt", "leap")
    babyai, keys, tt, leap = (read_spec(ROOT / "sweeps" / f"{x}.toml") for x in names)
    methods = ("bc", "bc25", "rvs", "iql", "dt")
    wanted = {(m, f"{x}/{k}") for m in methods for x in LEVELS for k in ("expert", "mixed")}
    wanted |= {(m, f"GoToLocalS8N7/{k}") for m in ("bc10", "bc50") for k in ("expert", "mixed")}
    assert {(run.method, run.dataset) for run in babyai.runs} == wanted
    methods = ("bc", "bc10", "bc25", "bc50", "bc_success", "rvs", "iql", "dt")
    wanted = {(m, f"KeyToDoor/random-{n}") for m in methods for n in (1000, 10_000)}
    assert {(run.method, run.dataset) for run in keys.runs} == wanted
    wanted = {("tt", f"{x}/{k}") for x in LEVELS for k in ("expert", "mixed")}
    assert {(run.method, run.dataset) for run in tt.runs} == wanted
    assert {run.dataset for run in leap.runs if run.method == "leap"} == {x for _, x in wanted}
    for spec in (babyai, keys, tt, leap):
        runs = [run.record for run in spec.runs]
        assert len(set(runs)) == len(runs)
        assert [run.seed for run in spec.runs] == sorted(run.seed for run in spec.runs)
        assert {run.seed for run in spec.runs} == {0, 1, 2}
        for run in spec.runs:
            experiments.check(run.config, run.method)
        assert spec.out.resolve() == shipped.ASSETS / "records"
    assert {
        (m, f"{x}/{shipped.usual_kind(x)}")
        for m in shipped.SHIPPED_METHODS
        for x in shipped.SHIPPED_LEVELS
        if (m, x) not in shipped.NOT_SHIPPED
    } <= {(run.method, run.dataset) for spec in (babyai, keys, tt, leap) for run in spec.runs}
