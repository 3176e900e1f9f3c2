"""The protocol: what a run is, that it can be repeated, and that it never looks at the tests."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from worlds import envs

from seqrl import checkpoints, datasets, evaluation, experiments, results, seeds, trained
from seqrl.behavior import Random
from seqrl.checkpoints import CheckpointError
from seqrl.experiments import QUANTILES, load, train, work
from seqrl.methods import METHODS, Method
from seqrl.policies import PolicyError
from seqrl.rollout import rollout
from seqrl.settings import GRID, KEY_TO_DOOR, Setting
from seqrl.sweep import Run
from seqrl.trajectories import concatenate

torch.set_num_threads(1)
LEVEL, DATA = "GoToLocalS7N5", "GoToLocalS7N5/expert-20"
SIZES = {"width": 16, "layers": 1, "context": 3, "steps": 3, "batch": 4, "episodes": 4}
TINY = Setting(**SIZES)


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQRL_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setattr(experiments.choose_target, "__defaults__", (3,))  # validation episodes
        yield


@pytest.fixture(scope="module")
def data(home):
    return experiments.dataset(DATA)


@pytest.fixture(scope="module")
def dt(data, tmp_path_factory):
    """A Decision Transformer of three updates, and the folder with its checkpoint."""
    folder = tmp_path_factory.mktemp("dt")
    return train("dt", data, 0, TINY, folder)[0], folder


def forward(model, data):
    """What a model says of some windows."""
    batch = data.windows(3, 8, torch.Generator().manual_seed(0))
    with torch.no_grad():
        return model(batch)


# ------------------------------------------------------------------------------ datasets, settings


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("GoToLocalS7N5/expert", ("GoToLocalS7N5/expert", 500)),
        ("GoToLocalS7N5/mixed", ("GoToLocalS7N5/mixed", 10_000)),
        ("KeyToDoor/random", ("KeyToDoor/random", 10_000)),
        ("KeyToDoor/random-1000", ("KeyToDoor/random", 1000)),
        ("BabyAI-GoToLocal-v0/expert-7", ("BabyAI-GoToLocal-v0/expert", 7)),
        ("mujoco/hopper/medium-v0", ("mujoco/hopper/medium-v0", None)),
        ("hopper/expert", ("hopper/expert", None)),
        ("hopper/medium-replay", ("hopper/medium-replay", None)),
        ("hopper/medium-replay-20", ("hopper/medium-replay", 20)),
        ("FOLDER/run-12", ("FOLDER/run-12", None)),
    ],
)
def test_a_datasets_name_says_how_many_episodes(name, wanted, monkeypatch, tmp_path):
    (tmp_path / "run-12").mkdir()
    name, path = (x.replace("FOLDER", str(tmp_path)) for x in (name, wanted[0]))
    asked = []
    monkeypatch.setattr(
        datasets, "load", lambda name, episodes, **_: asked.append((name, episodes))
    )
    experiments.dataset(name)
    assert asked == [(path, wanted[1])]


def test_a_dataset_with_a_number_has_so_many_episodes(data):
    assert len(data) == 20 and data.info["env"] == LEVEL
    with pytest.raises(ValueError, match="at least one episode, not 0"):
        experiments.dataset("GoToLocalS7N5/expert-0")


def test_a_setting_is_that_of_the_data_with_some_fields_replaced(data):
    assert experiments.setting(data, {}) == GRID
    assert experiments.setting(data, {"lr": 0.1}, "leap") == replace(GRID, steps=3000, lr=0.1)
    assert asdict(experiments.setting(data, {"steps": 7})) == {**asdict(GRID), "steps": 7}
    world = envs("view", 2)
    walks = rollout(Random(world), world, 2, 0)
    assert experiments.setting(walks, {}) == KEY_TO_DOOR
    assert experiments.setting(concatenate([walks] * 501), {}) == replace(KEY_TO_DOOR, steps=4000)
    world = envs("graph", 2)
    assert not experiments.setting(rollout(Random(world), world, 2, 0), {}).augment


def test_iql_on_levels_has_faster_targets_and_an_encoder_of_its_policys(data):
    config = METHODS["iql"].config(data, TINY)
    assert (config.average, config.beta, config.encoder_learns) == (0.05, 1.0, "policy")
    world = envs("view", 2)
    config = METHODS["iql"].config(rollout(Random(world), world, 2, 0), TINY)
    assert (config.average, config.beta, config.encoder_learns) == (0.005, 3.0, "all")


@pytest.mark.parametrize("method", ["dt", "tt", "leap"])
def test_dropout_is_that_of_the_transformer(data, method):
    trunk = METHODS[method].config(data, replace(TINY, dropout=0.3)).trunk
    assert trunk.dropout == 0.3 and METHODS[method].config(data, TINY).trunk.dropout == 0.1


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"stepz": 1}, "unknown field 'stepz'; a run has augment, batch"),
        ({"steps": 0}, "steps must be above 0"),
        ({"steps": "5"}, "steps cannot be '5'"),
        ({"augment": 1}, "augment cannot be 1"),
        ({"lr": float("nan")}, "lr must be above 0"),
        ({"dropout": 1.0}, "dropout must be from 0 to below 1"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(data, config, said):
    with pytest.raises(ValueError, match=said):
        experiments.setting(data, config)


def test_an_unknown_method_is_refused(data, tmp_path):
    with pytest.raises(ValueError, match="unknown method 'ppo'; there are bc, bc10"):
        train("ppo", data, 0, TINY, tmp_path)
    with pytest.raises(ValueError, match="percent must be above 0"):
        Method("none", METHODS["bc"].config, 0)


# ---------------------------------------------------------------------------------------- training


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_trained_and_acts(method, tmp_path, monkeypatch):
    monkeypatch.setattr(experiments, "QUANTILES", (1.0,))  # planners take their time
    data = experiments.dataset("GoToLocalS8N7/expert-20")
    made, history = train(method, data, 0, TINY, tmp_path)
    assert len(history.loss) == 3 and np.isfinite(history.loss).all()
    tried = experiments.choose_target(made, data, tmp_path / "model.safetensors", trials=1)
    assert bool(tried) == (made.target is not None) == (method in ("rvs", "dt", "leap_return"))
    found = experiments.test(made, 1)
    assert len(found) == 1 and found.trajectories.info["split"] == "test"
    assert found.trajectories.info["env"] == "GoToLocalS8N7" and found.shortest is not None
    again = load(tmp_path / "model.safetensors")
    assert again.card == made.card and again.card["method"] == method
    parameters = made.model.state_dict()
    assert all(torch.equal(x, parameters[name]) for name, x in again.model.state_dict().items())


def test_percent_bc_sees_the_best_episodes_only(data, tmp_path):
    made, _ = train("bc25", data, 0, TINY, tmp_path)
    card = made.card["data"]
    assert card["best_percent"] == 25 and 1 <= card["episodes"] < 20
    assert card["steps"] <= data.steps / 4


def test_what_is_trained_on_is_augmented_only_where_it_is_asked_for(data, tmp_path, monkeypatch):
    calls = []
    augment = experiments.augment
    monkeypatch.setattr(experiments, "augment", lambda *x: calls.append(1) or augment(*x))
    for asked in (True, False):
        calls.clear()
        size = Setting(**SIZES, augment=asked)
        made, _ = train("bc", data, 0, size, tmp_path / str(asked))
        assert len(calls) == 3 * asked and made.card["data"]["augmented"] is asked


def test_numbers_are_standardized_by_the_data(tmp_path):
    world = envs("numbers", 2)
    data = rollout(Random(world), world, 20, 0)
    made, _ = train("dt", data, 0, Setting(**SIZES, augment=False), tmp_path)
    states = data.observations["state"]
    assert torch.allclose(made.model.encoder.mean, states.mean(0), atol=1e-2)
    assert torch.allclose(made.model.encoder.std, states.std(0), rtol=5e-2)
    assert len(rollout(made.policy(0.0), envs("numbers", 2), 3, 0)) == 3


def test_seeds_make_models_and_leave_the_callers_random_numbers(data):
    config = METHODS["dt"].config(data, TINY)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, same, other = (experiments.untrained(config, seed) for seed in (0, 0, 1))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(forward(one.eval(), data), forward(same.eval(), data))
    assert not torch.equal(forward(one, data), forward(other.eval(), data))


def test_a_run_that_is_done_is_not_done_again(data, dt, monkeypatch):
    made, folder = dt
    monkeypatch.setattr(type(made.model), "loss", None)
    again, history = train("dt", data, 0, TINY, folder)
    assert again.card["sha256"] == made.card["sha256"] and len(history.loss) == 3
    with pytest.raises(CheckpointError, match=r"recipe.steps = 3, but 4 is wanted"):
        train("dt", data, 0, Setting(**{**SIZES, "steps": 4}), folder)


# ------------------------------------------------------------------------------------- checkpoints


def test_a_model_is_rounded_and_comes_back(data, dt):
    made, folder = dt
    for name, x in made.model.named_parameters():
        assert torch.equal(x, x.half().float()), name
    again = load(folder / "model.safetensors")
    assert not again.model.training and again.model.config == made.model.config
    assert torch.equal(forward(again.model, data), forward(made.model, data))
    assert again.env == LEVEL and again.target is None
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        assert {file.get_tensor(name).dtype for name in file.keys()} == {torch.float16}  # noqa: SIM118


def rewritten(folder, path, change):
    """The checkpoint with other tensors or another card; the change says if it is hashed anew."""
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        card = json.loads(file.metadata()["card"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if change(tensors, card) == "hashed":
        card["sha256"] = checkpoints.digest(tensors, card)
    save_file(tensors, path, {"card": json.dumps(card)})


def touched(tensors, card):
    tensors["model.head.bias"][0] += 1


def claimed(tensors, card):
    card["data"]["env"] = "PickupLoc"


def widened(tensors, card):
    card["model"]["encoder"]["width"] = card["model"]["trunk"]["width"] = 24
    return "hashed"


def halved(tensors, card):
    card["model"]["trunk"]["width"] = 24
    return "hashed"


def renamed(tensors, card):
    card["model"]["depth"] = 3
    return "hashed"


def lacking(tensors, card):
    del card["model"]["actions"]
    return "hashed"


def foreign(tensors, card):
    card["model"]["method"] = "Diffuser"
    return "hashed"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (touched, "hash does not match"),
        (claimed, "hash does not match"),
        (widened, "other tensors than the model"),
        (halved, "config that does not fit: the encoder's width 16 is not the trunk's 24"),
        (renamed, "config that does not fit: .*depth"),
        (lacking, "config that does not fit: 'actions'"),
        (foreign, "holds 'Diffuser'; known are BehaviorCloning, RvS"),
    ],
)
def test_a_checkpoint_that_is_not_what_it_says_is_refused_by_name(dt, tmp_path, change, said):
    path = tmp_path / "other.safetensors"
    rewritten(dt[1], path, change)
    with pytest.raises(CheckpointError, match=f"other.safetensors .*{said}"):
        load(path)


def test_a_file_that_is_no_checkpoint_is_refused_by_name(dt, tmp_path):
    whole = (dt[1] / "model.safetensors").read_bytes()
    for content in (b"", b"PK\x03\x04 a pickle", whole[:-100]):
        (tmp_path / "some.pt").write_bytes(content)
        with pytest.raises(CheckpointError, match=r"some.pt is not a checkpoint"):
            load(tmp_path / "some.pt")
    save_file({"x": torch.zeros(1)}, tmp_path / "some.pt")
    with pytest.raises(CheckpointError, match=r"some.pt is not a checkpoint"):
        load(tmp_path / "some.pt")


def test_what_a_trained_model_cannot_do_is_refused_by_name(data, dt, tmp_path):
    made, _ = dt
    with pytest.raises(ValueError, match="does not say which return to ask for"):
        made.policy()
    for target in (float("nan"), float("inf")):
        with pytest.raises(PolicyError, match=r"target return is .*finite"):
            made.policy(target)
    with pytest.raises(PolicyError, match="'map' is missing"):
        evaluation.evaluate(made.policy(0.0), "KeyToDoor", 1)
    cloned, _ = train("bc", data, 0, TINY, tmp_path)
    with pytest.raises(ValueError, match="BehaviorCloning asks for no return"):
        cloned.policy(0.0)


# -------------------------------------------------------------------------- the target and the test


def test_the_target_is_the_best_of_some_quantiles_and_of_equals_the_lower(data, dt, monkeypatch):
    made, folder = dt
    made = load(folder / "model.safetensors")
    returns = sorted({float(data.returns.quantile(q)) for q in QUANTILES})
    assert len(returns) >= 3 and returns[-1] == data.returns.max()
    gives = dict(zip(returns, (-9.0, -5.0, -5.0, -7.0)))
    asked = []

    class Found:
        def __init__(self, target):
            self.scores = {"success": 0.5, "mean_return": gives[target]}

    def evaluate(self, episodes, *, target, stream):
        asked.append((target, episodes, stream))
        return Found(target)

    monkeypatch.setattr(trained.Trained, "evaluate", evaluate)
    path = folder / "chosen.safetensors"
    tried = experiments.choose_target(made, data, path, trials=17)
    assert asked == [(target, 17, "train") for target in returns]
    assert tried == [{"target_return": t, "success": 0.5, "mean_return": gives[t]} for t in returns]
    assert made.target == load(path).target == returns[1]
    assert load(path).card["sha256"] == made.card["sha256"] == dt[0].card["sha256"]


@pytest.fixture(scope="module")
def runs(home, tmp_path_factory):
    """A run done twice, in two folders: its records, and the streams that episodes came from."""
    streams, derive, test = [], seeds.derive, experiments.test

    def noted(stream, *numbers):
        if numbers[0] in ("env", "policy", "redraw"):
            streams.append(stream)
        return derive(stream, *numbers)

    def marked(*arguments):
        streams.append("TEST")
        return test(*arguments)

    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(seeds, "derive", noted)
        patch.setattr(experiments, "test", marked)
        evaluation.shortest_lengths.cache_clear()
        for name in ("one", "two"):
            folder = tmp_path_factory.mktemp(name)
            found.append((work(Run("dt", DATA, 1, SIZES), folder), folder))
    return found, streams


def test_no_test_episode_is_seen_before_the_test(runs):
    streams = runs[1]
    at = streams.index("TEST")
    assert "train" in streams[:at] and "test" not in streams[:at]
    assert streams[at + 1] == "test"


def test_a_record_has_all_that_is_to_be_known(runs, tmp_path):
    (record, folder), _ = runs[0]
    assert set(record) == {
        *("method", "dataset", "seed", "config", "scores", "episodes", "seconds", "setting"),
        *("parameters", "target_return", "targets_tried", "checkpoint", "device"),
        *("versions", "commit", "hardware", "time"),
    }
    assert (record["method"], record["dataset"], record["seed"]) == ("dt", DATA, 1)
    assert record["config"] == SIZES and record["setting"] == asdict(TINY)
    assert set(record["scores"]) == {
        *("success", "mean_return", "path_ratio", "ms_per_action", "loss")
    }
    assert {name: len(x) for name, x in record["episodes"].items()} == {
        "success": 4,
        "return": 4,
        "length": 4,
    }
    assert record["scores"]["mean_return"] == np.mean(record["episodes"]["return"])
    tried = record["targets_tried"]
    assert len(tried) > 1 and all(
        {"target_return", "mean_return", "success"} <= set(x) for x in tried
    )
    best = max(x["mean_return"] for x in tried)
    assert record["target_return"] in [
        x["target_return"] for x in tried if x["mean_return"] == best
    ]
    kept = load(folder / "model.safetensors")
    assert record["checkpoint"] == kept.card["sha256"] and kept.target == record["target_return"]
    assert record["parameters"] == sum(p.numel() for p in kept.model.parameters())
    results.write(record, tmp_path)
    assert results.read_all(tmp_path)[0]["episodes"] == record["episodes"]


def test_a_run_is_repeated_bit_for_bit(runs):
    one, two = (results.plain(record) for record, _ in runs[0])
    for record in (one, two):
        for name in ("seconds", "time", "commit"):
            record.pop(name)
        for scores in (record["scores"], *record["targets_tried"]):
            scores.pop("ms_per_action")
    assert one == two


def test_a_record_is_what_its_checkpoint_does(runs):
    record, folder = runs[0][0]
    found = experiments.test(load(folder / "model.safetensors"), 4)
    assert found.episodes == record["episodes"]
    assert found.trajectories.info["seed"] == experiments.TEST_SEED


def test_a_method_without_a_target_tries_none(tmp_path):
    record = work(Run("bc", DATA, 0, SIZES), tmp_path)
    assert record["targets_tried"] == [] and record["target_return"] is None


def test_a_method_may_have_a_learning_rate_of_its_own():
    data = experiments.dataset("GoToLocalS7N5/mixed-4")
    assert experiments.setting(data, {}, "tt").lr == METHODS["tt"].other["lr"] == 3e-3
    assert experiments.setting(data, {}, "dt").lr == experiments.setting(data, {}).lr == 1e-3
    assert experiments.setting(data, {"lr": 0.5}, "tt").lr == 0.5
