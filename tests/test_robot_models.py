"""The robots' checkpoints for pages: loaded where they are shipped, else small and said to be."""

import pytest
import torch

pytest.importorskip("mujoco")

from seqrl import checkpoints, datasets, robot_models, shipped
from seqrl.robot_models import train_or_load

torch.set_num_threads(1)
DATA = "hopper/random"  # needs no policy


@pytest.fixture(autouse=True)
def smoke(monkeypatch):
    monkeypatch.setenv("SEQRL_SPEED", "smoke")


def test_a_small_one_is_trained_where_none_is_shipped(tmp_path, capsys):
    trained = train_or_load("dt", DATA, folder=tmp_path)
    assert "no checkpoint is shipped" in capsys.readouterr().out
    assert trained.env == "Hopper-v5"
    data = datasets.load(DATA, episodes=robot_models.EPISODES, progress=False)
    assert trained.target == pytest.approx(float(data.returns.max()))


def test_a_shipped_one_is_loaded_and_its_data_are_not_made(tmp_path, capsys, monkeypatch):
    small = train_or_load("bc", DATA, folder=tmp_path)
    path = shipped.path_of("bc", "hopper", "random", tmp_path)
    checkpoints.save_model(path, small.model, small.card)
    monkeypatch.setattr(datasets, "load", None)
    monkeypatch.setenv("SEQRL_SPEED", "class")
    again = train_or_load("bc", DATA, folder=tmp_path)
    assert f"seed 0, {robot_models.FEW['steps']} updates" in capsys.readouterr().out
    assert again.card["sha256"] == checkpoints.load(path)[1]["sha256"]


def test_a_file_of_another_method_is_refused(tmp_path):
    small = train_or_load("bc", DATA, folder=tmp_path)
    path = shipped.path_of("dt", "hopper", "random", tmp_path)
    checkpoints.save_model(path, small.model, small.card)
    with pytest.raises(checkpoints.CheckpointError, match="is of bc on Hopper-v5"):
        train_or_load("dt", DATA, folder=tmp_path)


def test_only_robots():
    with pytest.raises(ValueError, match="'GoToLocalS7N5/mixed' is no dataset of a robot"):
        train_or_load("dt", "GoToLocalS7N5/mixed")
