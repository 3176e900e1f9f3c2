"""Runs on robots: the protocol's sizes, targets, scores and delayed reward, on a few falls."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock, Timeout

from seqrl import experiments, results
from seqrl.cli import main
from seqrl.collection import collect
from seqrl.delayed import Untold, delayed
from seqrl.environments.locomotion import make_robots, normalized
from seqrl.evaluation import VALIDATION, Evaluation, evaluate
from seqrl.methods import METHODS
from seqrl.rollout import Step
from seqrl.settings import ROBOT, TARGETS, Setting, usual
from seqrl.sweep import Run, read_spec
from seqrl.trained import Trained, choose_device, load

pytest.importorskip("mujoco", reason="robots need MuJoCo: pip install seqrl[locomotion]")
torch.set_num_threads(1)
ROOT = Path(__file__).parents[1]
ROBOT_METHODS = ("bc", "bc10", "rvs", "iql", "dt", "tt")
SIZES = {"width": 16, "layers": 1, "context": 4, "steps": 3, "batch": 4, "episodes": 2}
SIZES |= {"beam": 2, "horizon": 2}


@pytest.fixture(scope="module")
def data():
    """Twelve falls of a hopper that acts at random, called hopper/medium."""
    found = collect("Hopper-v5", "random", 12, progress=False)
    found.info["dataset"] = "hopper/medium"
    return found


@pytest.fixture(autouse=True)
def at_hand(data, monkeypatch):
    monkeypatch.setattr(experiments.datasets, "load", lambda *_, **__: data)
    monkeypatch.setattr(experiments, "ROBOT_TRIALS", 2)


# ----------------------------------------------------------------------------------- sizes, targets


def test_a_robot_has_the_papers_sizes_and_as_many_windows_for_every_method(data):
    sizes = {method: experiments.setting(data, {}, method) for method in ROBOT_METHODS}
    assert {(size.steps, size.batch) for m, size in sizes.items() if m != "iql"} == {(20_000, 64)}
    assert (sizes["iql"].steps, sizes["iql"].batch) == (100_000, 13)
    assert abs(5 * 13 - 64) <= 1 and sizes["iql"].context * 13 == 260
    assert not any(size.augment for size in sizes.values())
    assert sizes["bc"] == sizes["bc10"] == sizes["rvs"] == ROBOT == usual("Hopper-v5", 5)
    dt = sizes["dt"]
    assert (dt.width, dt.layers, dt.context, dt.lr) == (128, 3, 20, 1e-4)
    assert (dt.dropout, dt.weight_decay, dt.clip) == (0.1, 1e-4, 0.25)
    config = METHODS["dt"].config(data, dt)
    assert (config.trunk.heads, config.return_scale, config.max_timestep) == (1, 1000.0, 1000)
    iql = METHODS["iql"].config(data, sizes["iql"])
    assert (iql.expectile, iql.beta, iql.discount, iql.dropout) == (0.7, 3.0, 0.99, 0.0)
    assert (iql.hidden, iql.encoder.width, sizes["iql"].lr) == (256, 256, 3e-4)
    tt = METHODS["tt"].config(data, sizes["tt"])
    assert (tt.trunk.layers, tt.trunk.heads, tt.trunk.width, tt.context) == (4, 4, 128, 10)
    assert (tt.search.beam, tt.search.horizon, tt.search.context) == (32, 5, 5)
    assert (tt.termination_penalty, sizes["tt"].lr, sizes["tt"].episodes) == (-100.0, 6e-4, 5)


def test_a_grid_has_the_sizes_that_it_had(data):
    assert usual("GoToLocalS8N7", 10_000) == Setting()
    assert METHODS["tt"].own("GoToLocalS8N7") == {"lr": 3e-3} != METHODS["tt"].own("Hopper-v5")
    assert METHODS["dt"].own(None) == {}


def test_bins_are_a_choice_of_the_run(data):
    size = replace(ROBOT, **METHODS["tt"].robots)
    columns = METHODS["tt"].config(data, size).columns
    uniform = METHODS["tt"].config(data, replace(size, bins="uniform")).columns
    widths = np.diff(uniform[0].edges)
    assert len(uniform[0]) == 100 and np.allclose(widths, widths[0], rtol=1e-2)
    assert np.diff(columns[0].edges).std() > 10 * widths.std()
    with pytest.raises(ValueError, match="bins are 'quantile' or 'uniform', not 'even'"):
        experiments.check({"bins": "even"})
    with pytest.raises(ValueError, match="weight_decay must be above 0, not -1"):
        experiments.check({"weight_decay": -1})


def test_the_papers_targets_and_the_best_of_the_data_are_tried_and_chosen_on_validation(
    data, tmp_path, monkeypatch
):
    assert experiments.targets(data) == sorted([1800.0, 3600.0, float(data.returns.max())])
    assert set(TARGETS) == {"hopper", "halfcheetah", "walker2d"}
    size = experiments.setting(data, SIZES, "dt")
    made, _ = experiments.train("dt", data, 0, size, tmp_path)
    asked = []

    def evaluate(self, episodes, *, target, stream):
        asked.append((target, episodes, stream))
        returns = np.float32([target == 1800.0] * episodes)
        nan = np.full(episodes, np.nan)
        return Evaluation(nan, returns, np.ones(episodes, int), None, 0.1, data, returns)

    monkeypatch.setattr(Trained, "evaluate", evaluate)
    monkeypatch.setattr(experiments, "ROBOT_TRIALS", 10)
    experiments.choose_target(made, data, tmp_path / "model.safetensors")
    assert asked == [(target, 10, VALIDATION) for target in experiments.targets(data)]
    assert made.target == 1800.0 == load(tmp_path / "model.safetensors").target


# --------------------------------------------------------------------------------------------- runs


@pytest.mark.parametrize("method", ROBOT_METHODS)
def test_every_method_walks_and_is_recorded(method, data, tmp_path):
    run = Run(method, "hopper/medium", 0, SIZES)
    record = experiments.work(run, tmp_path / "scratch")
    kept = json.loads(results.write(record, tmp_path).read_text())
    assert kept["scores"]["success"] is None and kept["scores"]["path_ratio"] is None
    returns = np.array(kept["episodes"]["return"])
    assert set(kept["episodes"]) == {"return", "length", "normalized"} and len(returns) == 2
    score = normalized("Hopper-v5", returns.mean())
    assert kept["scores"]["normalized"] == pytest.approx(score, rel=1e-4)
    assert np.mean(kept["episodes"]["normalized"]) == pytest.approx(score, rel=1e-4)
    tried = [row["target_return"] for row in kept["targets_tried"]]
    assert tried == (experiments.targets(data) if method in ("rvs", "dt") else [])
    assert (kept["target_return"] in tried) if tried else kept["target_return"] is None
    assert kept["setting"] == asdict(experiments.setting(data, SIZES, method))
    assert len(json.dumps(kept)) < 5000 and kept["device"] == "cpu"
    assert "mujoco" in kept["versions"]
    made = load(tmp_path / "scratch" / "model.safetensors")
    assert made.env == "Hopper-v5"
    assert experiments.test(made, 2).episodes["return"] == kept["episodes"]["return"]


def test_states_are_standardized_and_actions_stay_within_their_bounds(data, tmp_path):
    size = experiments.setting(data, SIZES, "bc")
    made, _ = experiments.train("bc", data, 0, size, tmp_path)
    states = data.observations["state"]
    assert torch.allclose(made.model.encoder.mean, states.mean(0), atol=1e-2)
    found = made.evaluate(2)
    assert found.trajectories.actions.abs().max() <= 1
    assert found.trajectories.observations["state"].dtype == torch.float32


def test_a_fall_is_no_success(data):
    envs = make_robots("hopper", 2)
    still = type("Still", (), {"act": lambda self, step: np.zeros((2, 3), np.float32)})()
    found = evaluate(still, envs, 3)
    assert bool(found.trajectories.terminations.any()) and np.isnan(found.success).all()
    assert "normalized score" in repr(found) and "success" not in repr(found)
    summary = json.loads(json.dumps(found.summary(), allow_nan=False))
    assert summary["success"] is None is summary["success_ci"]
    low, high = summary["normalized_ci"]
    assert low <= summary["normalized"] <= high
    assert summary["normalized"] == pytest.approx(normalized("Hopper-v5", found.returns.mean()))


def test_train_evaluate_and_results_as_a_user_types_them(data, tmp_path, capsys):
    sizes = [f"--{name}={value}" for name, value in SIZES.items()]
    out = tmp_path / "run"
    assert main(["train", "bc", "hopper/medium", "--out", str(out), "--device=cpu", *sizes]) == 0
    told = capsys.readouterr().out
    assert "success       unknown" in told and "normalized" in told
    asked = ["evaluate", "--checkpoint", str(out), "--env", "hopper", "--episodes", "2"]
    assert main([*asked, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["env"] == found["made_for"] == "Hopper-v5" and found["data"] == "hopper/medium"
    assert found["success"] is None and found["normalized_ci"][0] <= found["normalized"]
    assert main(["results", str(out), "--score", "normalized"]) == 0
    assert f"{found['normalized']:.1f} [" in capsys.readouterr().out
    assert main(["results", str(out)]) == 2
    assert "has the score 'success'" in capsys.readouterr().err


def test_a_tested_robot_walks_twenty_times_and_tts_five(data):
    assert experiments.usual_episodes("dt", "Hopper-v5") == 20
    assert experiments.usual_episodes("tt", "Hopper-v5") == 5
    assert experiments.usual_episodes("dt", "GoToLocalS8N7") == 400


# ----------------------------------------------------------------------------------- delayed reward


def test_delayed_reward_is_the_same_return_at_the_last_step(data):
    late = delayed(data)
    last = late.offsets[1:] - 1
    assert torch.equal(late.rewards[last], data.returns) and torch.equal(late.returns, data.returns)
    assert int((late.rewards != 0).sum()) == len(data)
    assert late.check().terminations[last].all() and not late.truncations.any()
    to_go = late.returns_to_go()
    assert torch.equal(to_go, data.returns[late.episode_of_step])
    assert late.info["dataset"] == "hopper/medium-delayed" and data.info["dataset"][-1] == "m"
    assert torch.equal(experiments.dataset("hopper/medium-delayed").rewards, late.rewards)


def test_iql_learns_from_a_reward_at_the_end_of_an_episode_that_was_cut(data):
    cut = replace(
        data,
        terminations=torch.zeros_like(data.terminations),
        truncations=data.terminations | data.truncations,
    )
    size = experiments.setting(data, SIZES, "iql")
    model = experiments.untrained(METHODS["iql"].config(data, size), 0)
    losses = []
    for some in (delayed(cut), delayed(replace(cut, rewards=cut.rewards * 2))):
        batch = some.windows(5, 64, torch.Generator().manual_seed(0))
        losses.append(model.losses(batch)["q_loss"].item())
    assert losses[1] > losses[0]


def test_to_clone_the_best_tenth_it_does_not_matter_when_a_reward_was_paid(data, tmp_path):
    size = experiments.setting(data, SIZES, "bc10")
    made = [
        experiments.train("bc10", some, 0, size, tmp_path / str(i))[0].model.state_dict()
        for i, some in enumerate((data, delayed(data)))
    ]
    assert all(torch.equal(x, made[1][name]) for name, x in made[0].items())


def test_a_policy_of_delayed_data_is_told_no_reward(data, tmp_path):
    size = experiments.setting(data, SIZES, "dt")
    made, _ = experiments.train("dt", delayed(data), 0, size, tmp_path)
    assert made.card["data"]["rewards"] == "delayed"
    seen = []

    class Noted:
        def act(self, step):
            seen.append(step.reward)
            return np.zeros((2, 3), np.float32)

    two = np.ones(2)
    step = Step({}, np.float32([1, 2]), two > 2, two.astype(int), two > 0, two.astype(int))
    Untold(Noted()).act(step)
    assert (seen[0] == 0).all() and (step.reward != 0).all()
    policy = made.policy(1800.0)
    found = evaluate(Untold(policy), make_robots("hopper", 1), 1)
    assert float(found.returns[0]) > 0 and policy.returns._left[0] == 1800.0
    again = made.evaluate(1, target=1800.0)
    assert again.episodes == found.episodes


# ------------------------------------------------------------------------------- devices, the sweep


def test_only_one_process_at_a_time_makes_a_robots_data(data, tmp_path, monkeypatch):
    monkeypatch.setenv("SEQRL_HOME", str(tmp_path))
    held = []

    def load(name, episodes, progress):
        lock = FileLock(tmp_path / "locks" / "hopper-medium.lock", is_singleton=False)
        with pytest.raises(Timeout):
            lock.acquire(timeout=0)
        held.append((name, episodes))
        return data

    monkeypatch.setattr(experiments.datasets, "load", load)
    for name in ("hopper/medium", "hopper/medium-7", "hopper/medium-7-delayed"):
        experiments.dataset(name)
    assert held == [("hopper/medium", None), ("hopper/medium", 7), ("hopper/medium", 7)]
    FileLock(tmp_path / "locks" / "hopper-medium.lock").acquire(timeout=0).lock.release()
    monkeypatch.setenv("SEQRL_HOME", "/proc/nowhere")
    monkeypatch.setattr(experiments.datasets, "load", lambda *_, **__: data)
    assert experiments.dataset("hopper/medium") is data  # where nothing is kept, nobody waits


def test_a_device_is_what_was_asked_for_and_else_fits_the_environment(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("Hopper-v5").type == "cuda" and choose_device("KeyToDoor").type == "cpu"
    assert choose_device("Hopper-v5", "cpu").type == "cpu" == choose_device(None).type
    with pytest.raises(ValueError, match="there is no device 'abacus' here"):
        choose_device("Hopper-v5", "abacus")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_every_method_walks_on_a_gpu(data, tmp_path):
    for method in ROBOT_METHODS:
        record = experiments.work(Run(method, "hopper/medium", 0, SIZES), tmp_path / method)
        assert record["device"] == "cuda" and np.isfinite(record["scores"]["normalized"])


def test_the_sweep_has_every_cell_of_the_table_and_begins_with_hopper():
    spec = read_spec(ROOT / "sweeps" / "locomotion.toml")
    names = [run.record for run in spec.runs]
    assert len(set(names)) == len(names)
    for run in spec.runs:
        experiments.check(run.config, run.method)
    plain = [run for run in spec.runs if not run.config]
    kinds = ("medium", "medium-replay", "medium-expert")
    wanted = {(m, f"{r}/{k}") for m in ROBOT_METHODS for r in TARGETS for k in kinds}
    late = {(m, f"hopper/{k}-delayed") for m in ("dt", "iql") for k in kinds}
    assert {(run.method, run.dataset) for run in plain} == wanted | late
    assert all(run.dataset.startswith("hopper/") for run in spec.runs[:54])
    assert [run.seed for run in spec.runs[:54]] == [0] * 18 + [1] * 18 + [2] * 18
    others = {(run.method, run.dataset, *run.config.items()) for run in spec.runs if run.config}
    two, of_iql = ("hopper/medium", "hopper/medium-replay"), ("iql", "hopper/medium-replay")
    every, short = [f"{r}/{k}" for r in TARGETS for k in kinds], (("steps", 20_000), ("batch", 64))
    assert others == {
        ("tt", "hopper/medium-replay", ("bins", "uniform")),
        ("tt", "halfcheetah/medium-expert", ("bins", "uniform")),
        *(("dt", name, ("steps", 100_000)) for name in every),
        *(("iql", name, *short) for name in (*every, *(f"hopper/{k}-delayed" for k in kinds))),
        *(("iql", name, ("steps", 20_000)) for name in two),
        (*of_iql, *short, ("clip", 1.0)),
    }
