import os
import sys

import numpy as np
import pytest
from gymnasium import spaces

from seqrl.behavior import Random
from seqrl.environments.locomotion import MAX_STEPS, ROBOTS, make_robots, normalized, robot_of
from seqrl.rollout import rollout


@pytest.mark.parametrize(
    ("name", "robot"),
    [
        ("hopper", "hopper"),
        ("Hopper-v5", "hopper"),
        ("hopper/medium-replay", "hopper"),
        ("mujoco/hopper/medium-v0", "hopper"),
        ("D4RL/walker2d/medium-v2", "walker2d"),
        ("walker2d-medium-v2", "walker2d"),
        ("HalfCheetah-v5", "halfcheetah"),
        ("mujoco/halfcheetah/expert-v0", "halfcheetah"),
        ("Hopper-v4", None),  # which pays differently
        ("GoToLocalS8N7", None),
        ("mujoco/ant/medium-v0", None),
        ("Hopperx-v5", None),
        ("shopper", None),
        ("lab/grasshopper/hopper-v0", None),
    ],
)
def test_names_lead_to_robots(name, robot):
    assert robot_of(name) is (ROBOTS[robot] if robot else None)


@pytest.mark.parametrize("name", ROBOTS)
def test_scores_are_those_of_d4rl(name):
    robot = ROBOTS[name]
    assert normalized(name, robot.random) == 0
    assert normalized(robot.env, robot.expert) == 100
    half = (robot.random + robot.expert) / 2
    np.testing.assert_allclose(normalized(robot, np.array([half, robot.random])), [50, 0])
    assert normalized("hopper", 1000.0) == pytest.approx(31.348, abs=1e-3)


def test_what_is_no_robot_is_refused_with_those_that_are():
    with pytest.raises(ValueError, match="hopper, walker2d, halfcheetah"):
        normalized("GoToLocalS8N7", 1.0)
    with pytest.raises(ValueError, match="unknown robot 'ant'; there are hopper"):
        make_robots("ant", 1)


@pytest.mark.parametrize("name", ROBOTS)
def test_robots_observe_in_single_precision_what_gymnasium_observes(name):
    pytest.importorskip("mujoco", reason="needs the extra locomotion")
    envs = make_robots(name, 2)
    assert envs.name == ROBOTS[name].env
    seen = envs.reset_row(1, 7)["state"]
    assert seen.dtype == np.float32
    assert envs.single_observation_space["state"].dtype == np.float32
    np.testing.assert_array_equal(seen, np.float32(envs.envs[1].unwrapped._get_obs()))
    box = envs.action_space
    assert isinstance(box, spaces.Box) and (box.low == -1).all() and (box.high == 1).all()


def test_a_robot_that_cannot_fall_is_truncated_and_one_that_falls_terminates():
    pytest.importorskip("mujoco", reason="needs the extra locomotion")
    envs = make_robots("halfcheetah", 1)
    runs = rollout(Random(envs), envs, 1, 0)
    assert runs.lengths.tolist() == [MAX_STEPS] and runs.truncations[-1]
    envs = make_robots("hopper", 2)
    falls = rollout(Random(envs), envs, 4, 0)
    assert falls.terminations.sum() == 4 and falls.lengths.max() < MAX_STEPS


def test_making_one_says_nothing_and_leaves_no_log(tmp_path, monkeypatch, capfd):
    pytest.importorskip("mujoco", reason="needs the extra locomotion")
    monkeypatch.chdir(tmp_path)
    make_robots("halfcheetah", 1).close()
    told = capfd.readouterr()
    assert told.out + told.err == "" and os.listdir(tmp_path) == []


def test_without_mujoco_the_command_that_installs_it_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "mujoco", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "seqrl\[locomotion\]"'):
        make_robots("hopper", 1)
