"""A shipped checkpoint stands for a run only where training would make the same one."""

import json

import pytest
import torch

from seqrl import checkpoints, datasets, experiments, shipped
from seqrl.environments.locomotion import robot_of
from seqrl.results import write
from seqrl.sweep import Run
from seqrl.trained import load

torch.set_num_threads(1)
LEVEL = "GoToLocalS7N5"
SMALL = {"steps": 2, "batch": 4, "width": 16, "context": 3, "layers": 1}


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQRL_HOME", str(tmp_path_factory.mktemp("home")))
        datasets.load(f"{LEVEL}/expert", episodes=14, progress=False)
        yield


def train(run, scratch):
    data = experiments.dataset(run.dataset)
    size = experiments.setting(data, run.config, run.method)
    trained, _ = experiments.train(run.method, data, run.seed, size, scratch)
    return trained


@pytest.fixture
def folder(tmp_path):
    """With one checkpoint: bc on 12 episodes."""
    trained = train(Run("bc", f"{LEVEL}/expert-12", 0, SMALL), tmp_path / "scratch")
    path = shipped.path_of("bc", LEVEL, "expert-12", tmp_path)
    checkpoints.save_model(path, trained.model, trained.card)
    return tmp_path


def ask(folder, method="bc", data="expert-12", seed=0, **config):
    return shipped.train_or_load(method, f"{LEVEL}/{data}", seed, folder=folder, **SMALL | config)


def test_at_class_speed_the_same_run_is_loaded(folder, monkeypatch, capsys):
    monkeypatch.setenv("SEQRL_SPEED", "class")
    trained, history = ask(folder)
    assert history is None
    told = capsys.readouterr().out
    sha = load(shipped.path_of("bc", LEVEL, "expert-12", folder)).card["sha256"]
    assert trained.card["sha256"] == sha
    assert sha[:8] in told and "seed 0" in told and "2 updates" in told and "data" in told


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"steps": 3}, "recipe.steps = 2"),
        ({"seed": 1}, "recipe.seed = 0"),
        ({"width": 8}, "model.encoder.width = 16"),
        ({"augment": False}, "data.augmented = True"),
        ({"method": "rvs"}, "none is shipped"),
        ({"data": "expert-13"}, "none is shipped"),
    ],
)
def test_another_run_is_trained_and_the_page_says_why(folder, monkeypatch, capsys, other, why):
    monkeypatch.setenv("SEQRL_SPEED", "class")
    monkeypatch.setattr(experiments, "choose_target", lambda *_: [])
    trained, history = ask(folder, **other)
    assert len(history.loss) == other.get("steps", 2)
    assert trained.card["method"] == other.get("method", "bc")
    told = capsys.readouterr().out
    assert "trained now" in told and why in told


def test_a_checkpoint_of_other_data_does_not_stand_for_the_run(folder, monkeypatch, capsys):
    monkeypatch.setenv("SEQRL_SPEED", "class")
    path = shipped.path_of("bc", LEVEL, "expert-12", folder)
    trained = load(path)
    trained.card["data"]["digest"] = "0" * 16
    checkpoints.save_model(path, trained.model, trained.card)
    assert ask(folder)[1] is not None
    assert "data.digest" in capsys.readouterr().out
    path.write_bytes(path.read_bytes()[:-9])
    assert ask(folder)[1] is not None
    assert "only part of one" in capsys.readouterr().out


def test_at_smoke_no_data_are_made_for_a_shipped_one(folder, monkeypatch, capsys):
    monkeypatch.setenv("SEQRL_SPEED", "smoke")
    monkeypatch.setattr(experiments, "dataset", lambda name: pytest.fail("made data"))
    assert ask(folder)[1] is None
    assert "data" not in capsys.readouterr().out.split("(")[1]


def test_a_robots_checkpoint_has_the_robots_name(monkeypatch, capsys):
    kind = "medium-replay"  # which is no number of episodes
    assert shipped.path_of("dt", "Hopper-v5", kind) == shipped.path_of("dt", "hopper", kind)
    monkeypatch.setenv("SEQRL_SPEED", "smoke")
    trained, history = shipped.train_or_load("dt", f"hopper/{kind}")
    assert history is None and trained.env == "Hopper-v5"


def test_at_smoke_what_is_not_shipped_is_run_through(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SEQRL_SPEED", "smoke")
    trained, history = ask(tmp_path, "dt", "mixed", steps=500)
    assert len(history.loss) == shipped.SMOKE["steps"]
    assert trained.card["data"]["episodes"] == shipped.SMOKE_DATA
    assert trained.target is not None
    assert "none is shipped" in capsys.readouterr().out


def test_at_full_speed_everything_is_trained(folder, monkeypatch, capsys):
    monkeypatch.setenv("SEQRL_SPEED", "full")
    assert len(ask(folder)[1].loss) == 2
    assert "full speed" in capsys.readouterr().out


@pytest.mark.parametrize("method", experiments.METHODS)
def test_the_expected_card_is_what_training_writes(method, tmp_path):
    run = Run(method, f"{LEVEL}/expert-14", 1, SMALL)
    expected = json.loads(json.dumps(shipped.expected_card(run)))
    assert checkpoints.difference(train(run, tmp_path).card, expected) is None
    assert len(expected["data"]["digest"]) == 16


def test_an_unknown_method_or_field_is_refused(tmp_path):
    with pytest.raises(ValueError, match="unknown method 'ppo'"):
        ask(tmp_path, "ppo")
    with pytest.raises(ValueError, match="unknown field 'depth'"):
        ask(tmp_path, depth=3)


@pytest.fixture
def swept(folder):
    """A sweep that has done one of the runs that are shipped, and another seed of it."""
    trained = load(shipped.path_of("bc", LEVEL, "expert-12", folder))
    for seed in (0, 1):
        run = Run("bc", "PickupLoc/mixed", seed)
        path = folder / "scratch" / run.record.removesuffix(".json") / "model.safetensors"
        trained.card["recipe"]["seed"] = seed
        sha = checkpoints.save_model(path, trained.model, trained.card)
        record = {"method": "bc", "dataset": "PickupLoc/mixed", "seed": seed, "config": {}}
        write({**record, "scores": {}, "checkpoint": sha}, folder)
    return folder


def test_seed_0_of_a_sweep_is_shipped(swept, tmp_path):
    shipment = shipped.ship(swept, tmp_path / "to")
    assert [path.name for path in shipment.files] == ["bc-PickupLoc-mixed.safetensors"]
    assert load(shipment.files[0]).card["recipe"]["seed"] == 0
    others = 7 * 4 - 1 - 2  # one is there, two are in no sweep
    assert len(shipment.missing) == others + 3  # robots'
    assert Run("dt", "KeyToDoor/random-10000", 0) in shipment.missing


def test_what_is_too_large_or_was_not_scored_is_not_shipped(swept, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(shipped, "LARGEST", 1000)
        with pytest.raises(ValueError, match="at most"):
            shipped.ship(swept, tmp_path / "to")
    record = swept / Run("bc", "PickupLoc/mixed", 0).record
    record.write_text(json.dumps(json.loads(record.read_text()) | {"checkpoint": "other"}))
    with pytest.raises(ValueError, match="not the checkpoint that"):
        shipped.ship(swept, tmp_path / "to")
    with pytest.raises(ValueError, match="no finished run"):
        shipped.ship(tmp_path / "nowhere", tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_what_is_shipped_is_whole_small_and_seed_0():
    for path in shipped.CHECKPOINTS.glob("*.safetensors"):
        card = load(path).card
        assert path.stat().st_size <= shipped.LARGEST
        env = card["data"]["env"]
        env = robot.name if (robot := robot_of(env)) else env
        assert path.name.startswith(f"{card['method']}-{env}-")
        assert card["recipe"]["seed"] == 0
