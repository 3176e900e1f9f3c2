"""Rooms and missions that data did not have: who is held out, and what the records say."""

import numpy as np
import pytest

from seqrl import datasets, experiments, results, strangers
from seqrl.environments import make_env
from seqrl.environments.levels import BIGGER

DATASET = "GoToLocalS7N5/expert-40"


def test_the_rooms_are_bigger_or_fuller():
    sizes = {level: make_env(level).unwrapped for level in ("GoToLocalS8N7", *BIGGER)}
    widths = [env.width for env in sizes.values()]
    assert widths == [8, 12, 16, 8]
    env = sizes["GoToLocalS8N15"]
    env.reset(seed=0)
    things = sum(cell is not None and cell.type in ("key", "ball", "box") for cell in env.grid.grid)
    assert things >= 15


def test_who_is_held_out_is_read_from_the_mission():
    data = datasets.load("GoToLocalS7N5/expert", episodes=200, progress=False)
    named = strangers.names_held_out(data)
    assert named.shape == (200,)
    assert 0.05 < named.mean() < 0.35  # three of eighteen


def test_no_held_out_mission_is_trained_on(monkeypatch):
    seen = []
    train = experiments.train

    def spy(method, data, *rest):
        seen.append(strangers.names_held_out(data).any())
        return train(method, data, *rest)

    monkeypatch.setattr(experiments, "train", spy)
    for hold_out in (True, False):
        row = strangers.mission_record("bc", DATASET, 0, hold_out, 20, steps=2)
        assert row["config"] == {"of": "bc", "held out": hold_out}
    assert seen == [False, True]
    named, others = (strangers.share([row], x) for x in (True, False))
    successes = np.array(row["episodes"]["success"])
    n = np.array(row["episodes"]["named"]).sum()
    total = (named.estimate * n if named else 0) + others.estimate * (20 - n)
    assert total == pytest.approx(successes.sum())


def test_the_command_writes_a_record_for_each_room(tmp_path):
    data = experiments.dataset(DATASET)
    size = experiments.setting(data, {"steps": 2}, "bc")
    experiments.train("bc", data, 0, size, tmp_path)
    model = f"BC={tmp_path / 'model.safetensors'}"
    strangers.main(["rooms", DATASET, model, "--episodes", "2", "--out", str(tmp_path / "records")])
    rows = results.read_all(tmp_path / "records")
    assert sorted(row["config"]["level"] for row in rows) == sorted(BIGGER)
    assert strangers.share([], named=True) is None
