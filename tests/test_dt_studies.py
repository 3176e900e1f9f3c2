"""The recorded studies: contexts, reward at the end, the key seen from the door."""

import numpy as np
import pytest
import torch

from seqrl import (
    attention_maps,
    checkpoints,
    comparison,
    datasets,
    dt_studies,
    experiments,
    results,
)
from seqrl.attention_maps import Maps
from seqrl.behavior import Random
from seqrl.decision_transformer import DecisionTransformerConfig
from seqrl.environments import make_envs
from seqrl.rollout import rollout
from seqrl.trained import Trained
from seqrl.transformer import TransformerConfig
from seqrl.windows import Windows

torch.set_num_threads(1)
LEVEL = "GoToLocalS7N5"
SMALL = {"steps": 2, "batch": 4, "width": 16, "context": 4, "layers": 1, "episodes": 3}


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQRL_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setitem(experiments.SIZES, "expert", 8)
        patch.setattr(experiments, "TRIALS", 2)
        yield


@pytest.fixture(scope="module")
def walks():
    envs = make_envs("KeyToDoor", 10)
    return rollout(Random(envs), envs, 120, seed=0)


@pytest.fixture(scope="module")
def model(walks):
    config = DecisionTransformerConfig.for_data(
        walks, context=30, trunk=TransformerConfig(layers=2, width=16)
    )
    return experiments.untrained(config, 0).eval()


def trained(model, data):
    card = {"data": checkpoints.data_card(data), "target_return": 1.0, "sha256": "0" * 64}
    return Trained(model, card)


def test_every_context_is_a_run_of_its_own(tmp_path):
    data = datasets.load(f"{LEVEL}/expert", 8, progress=False)
    config = DecisionTransformerConfig.for_data(
        data, context=4, trunk=TransformerConfig(layers=1, width=16)
    )
    one = trained(experiments.untrained(config, 0).eval(), data)
    rows = [dt_studies.context_record(one, f"{LEVEL}/expert", 0, k, 3) for k in (1, 4)]
    assert len({results.write(row, tmp_path) for row in rows}) == 2
    found = results.read_all(tmp_path, method=dt_studies.CONTEXT)
    assert [row["config"] for row in rows] == [{"context": 1}, {"context": 4}]
    assert len(found[0]["episodes"]["success"]) == 3
    assert not comparison.cells(found, dt_studies.CONTEXT, f"{LEVEL}/expert")
    with pytest.raises(ValueError, match="1 to 4"):
        dt_studies.context_record(one, f"{LEVEL}/expert", 0, 5, 3)


@pytest.mark.parametrize("method", dt_studies.DELAYED)
def test_the_reward_comes_at_the_end_in_data_and_in_tests(method):
    row = dt_studies.end_record(method, f"{LEVEL}/expert", 0, **SMALL)
    assert row["config"] == {"reward": "end", **SMALL}
    assert min(row["episodes"]["return"]) >= 0  # a point a step would be below
    targets = [tried["target_return"] for tried in row["targets_tried"]]
    assert all(0 < target <= 1 for target in targets) and bool(targets) == (method != "iql")


def test_only_the_reward_differs():
    step, end = (datasets.load(f"{LEVEL}/expert", 8, reward=r, progress=False)
                 for r in ("step", "end"))  # fmt: skip
    assert torch.equal(step.actions, end.actions)
    assert (end.rewards > 0).sum() == len(end)


def test_solved_episodes_and_their_key(walks):
    batch, key = dt_studies.solved(walks)
    assert len(key) == int(walks.success.sum()) > 0
    assert (key < dt_studies.PHASES[0]).all()
    assert (batch.actions[torch.arange(len(key)), key] == 3).all()  # pickup
    assert (batch.timesteps[:, 0] == 0).all() and batch.rewards.sum() == len(key)
    with pytest.raises(ValueError, match="no episode"):
        dt_studies.solved(walks.select(~walks.success))


def test_attention_on_a_step():
    step = torch.tensor([0, 2])
    weights = torch.zeros(2, 1, 1, 9)
    weights[0, 0, 0, :3] = 0.2  # on step 0
    weights[0, 0, 0, 8] = 0.4
    weights[1, 0, 0, 7] = 1.0  # on step 2
    maps = Maps(weights, torch.ones(1, 1, 9, dtype=torch.bool), torch.tensor([8]))
    assert dt_studies.on_step(maps, step).flatten().tolist() == pytest.approx([0.6, 1.0])
    assert dt_studies.tokens_of(step, 9).int().tolist()[1] == [0] * 6 + [1] * 3


def test_curves_over_the_steps(walks, model):
    batch, key = dt_studies.solved(walks)
    maps = attention_maps.record(model, [batch])[-1].where(dt_studies.last_room(batch))
    many = Maps(maps.weights.repeat(20, 1, 1, 1), maps.mask.repeat(20, 1, 1), maps.queries)
    curves = dt_studies.by_step(many, key.repeat(20))
    assert list(curves) == [str(step) for step in sorted(set(key.tolist()))]
    for step, curve in curves.items():
        own = [e for e in range(len(key)) if str(int(key[e])) == step]
        by_hand = dt_studies.on_step(maps, key)[own].mean()
        assert curve[int(step)] == pytest.approx(float(by_hand), abs=1e-5)
        assert sum(curve) == pytest.approx(1, abs=1e-4)
    assert not dt_studies.by_step(maps, key)  # of a few episodes nothing is drawn


def test_the_other_step_is_in_the_first_room_and_never_the_keys():
    key = torch.arange(9).repeat(50)
    other = dt_studies.other_step(key)
    assert (other != key).all() and set(other.tolist()) == set(range(9))


def test_what_is_asked_lies_in_the_last_room(walks):
    batch = Windows(walks, 30)(walks.offsets[:-1])
    asked = dt_studies.last_room(batch)
    assert not asked[:, : dt_studies.LAST].any()
    assert asked.sum() == sum(max(0, n - 20) for n in walks.lengths.tolist())


def test_hiding_a_step_changes_what_comes_after_it(walks, model):
    batch, key = dt_studies.solved(walks)
    for parameter in model.parameters():
        parameter.data.mul_(3)
    assert dt_studies.step_hidden(model, batch, key).kl > 0
    never = torch.full_like(key, 99)  # no token is there
    assert dt_studies.step_hidden(model, batch, never).kl == pytest.approx(0, abs=1e-6)


def test_the_record_of_the_key(walks, model, monkeypatch):
    one = trained(model, walks)
    played = type("Played", (), {"trajectories": walks, "success": walks.success.numpy()})
    monkeypatch.setattr(Trained, "evaluate", lambda *_: played)
    row = dt_studies.key_record(one, model, "KeyToDoor/random-120", 0, 120)
    scores = row["scores"]
    assert scores["episodes"] == float(walks.success.sum())
    assert scores["trained: key"] == pytest.approx(scores["untrained: key"])  # the same network
    rooms = [scores[f"trained: {room}"] for room in dt_studies.ROOMS]
    assert sum(rooms) == pytest.approx(1, abs=1e-4)
    assert 0.03 < scores["uniform: key"] < 0.05  # 3 tokens of 62 to 90
    assert row["taken"] == dt_studies.solved(walks)[1].tolist()


def test_provenance():
    assert dt_studies.provenance([]) == "Not recorded yet."
    row = results.record("dt", "a/b", 2, config={}, scores={})
    told = dt_studies.provenance([row, {**row, "seed": 1}])
    assert "2 runs" in told and "seeds 1, 2" in told and row["hardware"] in told


def test_a_study_that_needs_a_model_says_so(capsys):
    with pytest.raises(SystemExit):
        dt_studies.main(["key", "KeyToDoor/random-1000"])
    assert "needs a --checkpoint" in capsys.readouterr().err


def test_walkers(monkeypatch, walks):
    monkeypatch.setattr(experiments, "dataset", lambda name: walks)
    row = dt_studies.walkers("KeyToDoor/random-120")
    assert comparison.cells([row], "random", "KeyToDoor/random-120")
    assert row["scores"]["success"] == pytest.approx(np.mean(walks.success.numpy()))
