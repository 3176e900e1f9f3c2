"""The script that picks the robots' snapshots: `behavior/choose_robots.py`."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import robots
from safetensors.torch import save_file

from seqrl import actors
from seqrl.environments.locomotion import ROBOTS, make_robots, normalized
from seqrl.rollout import rollout

SCRIPT = Path(__file__).parents[1] / "behavior" / "choose_robots.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("choose_robots", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_medium_is_at_a_third_of_the_expert_and_the_replay_leads_there(script):
    scores = {20 * n: float(n) for n in range(51)}  # steps: score, to 50 at 1000
    scores[900] = 60.0
    chosen = script.choose(scores)
    assert chosen["expert"] == 900
    assert chosen["medium"] == 400 and scores[400] == 60 / 3
    assert chosen["replay"] == [0, 60, 120, 180, 220, 280, 340, 400]


def test_a_jump_over_the_third_does_not_make_an_expert_medium(script):
    chosen = script.choose({0: 0.0, 20: 10.0, 40: 26.0, 60: 95.0, 80: 33.0, 100: 99.0})
    assert chosen["medium"] == 40


def test_the_expert_is_late_and_a_short_way_to_medium_gives_fewer_snapshots(script):
    chosen = script.choose({0: 0.0, 20: 90.0, 40: 91.0, 60: 80.0, 80: 85.0, 100: 84.0})
    assert chosen == {"medium": 20, "expert": 80, "replay": [0, 20]}


def test_what_is_written_acts_and_its_card_tells_what_it_scores(script, tmp_path, monkeypatch):
    pytest.importorskip("mujoco", reason="needs the extra locomotion")
    snapshots = tmp_path / "hopper.safetensors"
    about = {"algorithm": "none", "env": "Hopper-v5", "seed": "3"}
    save_file(robots.tensors("hopper", range(0, 400, 100)), snapshots, {"card": json.dumps(about)})
    command = ["choose", "hopper", str(snapshots), "--episodes", "2", "--again", "3"]
    monkeypatch.setattr(sys, "argv", [*command, "--out", str(tmp_path / "out")])
    script.main()
    monkeypatch.setattr(actors, "ROBOTS", tmp_path / "out")
    card = actors.card(ROBOTS["hopper"])
    assert card["recipe"] == {**about, "steps": 300}
    assert card["curve"].keys() == {"0", "100", "200", "300"}
    kinds = card["model"]
    assert kinds["expert"] == 300 and kinds["replay"][0] == 0
    told = card["scores"]["300"]
    envs = make_robots("hopper", 2)
    data = rollout(actors.actor(ROBOTS["hopper"], 300, envs), envs, 3, 1, stream="train")
    assert told["episodes"] == 3
    assert told["mean"] == pytest.approx(data.returns.mean().item(), abs=0.06)
    assert told["normalized"] == pytest.approx(
        normalized("hopper", np.mean(data.returns.numpy())), abs=0.02
    )
