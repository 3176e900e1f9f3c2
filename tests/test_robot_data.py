import itertools

import numpy as np
import pytest
import robots

from seqrl import actors, robot_data
from seqrl.environments.locomotion import ROBOTS, normalized
from seqrl.robot_data import KINDS, RobotSource, interleave, return_card

HOPPER = ROBOTS["hopper"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(actors, "ROBOTS", tmp_path)
    robots.write(tmp_path)
    return tmp_path


def collect(kind, episodes, processes=1, seed=0):
    pytest.importorskip("mujoco", reason="needs the extra locomotion")
    return RobotSource(HOPPER, kind, seed).collect(episodes, processes, progress=False)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_whatever_processes_and_rows_and_fewer_are_the_first(kind, monkeypatch):
    data = collect(kind, 30)
    assert len(data) == 30 and len(set(data.lengths.tolist())) > 3
    two = collect(kind, 30, processes=2)
    assert data.equal(two) and data.info == two.info
    monkeypatch.setattr(robot_data, "ROWS", 3)
    assert collect(kind, 11).equal(data.select(range(11)))


def test_kinds_and_seeds_differ():
    parts = [collect(kind, 6) for kind in KINDS] + [collect("medium", 6, seed=1)]
    assert not any(a.equal(b) for a, b in itertools.combinations(parts, 2))


def test_mixtures_share_steps_and_hold_the_episodes_of_their_parts(monkeypatch):
    monkeypatch.setattr(robot_data, "STEPS", 400)
    medium, expert = collect("medium", 100), collect("expert", 100)
    both = collect("medium-expert", 10_000)
    assert 800 - both.steps < max(both.lengths.tolist()) + 1 and both.steps <= 800
    given = {"medium": 0, "expert": 0}
    next_of = {"medium": 0, "expert": 0}
    for e in range(len(both)):
        for name, part in (("medium", medium), ("expert", expert)):
            n = next_of[name]
            if n < len(part) and np.array_equal(
                both.episode(e)["actions"], part.episode(n)["actions"]
            ):
                next_of[name] += 1
                given[name] += len(both.episode(e)["actions"])
    assert sum(given.values()) == both.steps and min(next_of.values()) > 3
    assert abs(given["medium"] - given["expert"]) <= max(both.lengths.tolist())
    assert both.info["snapshots"] == [200, 300]


def test_the_replay_begins_at_random_and_no_two_of_its_episodes_start_alike():
    data = collect("medium-replay", 24)
    assert data.info["snapshots"] == [0, 100, 200]
    assert len(set(data.seeds.tolist())) == 24
    first = data.episode(0)["actions"]
    assert np.array_equal(first, collect("random", 1).episode(0)["actions"])


@pytest.mark.parametrize(
    ("robot", "kind", "steps"),
    [
        ("hopper", "medium", 1_000_000),
        ("walker2d", "medium-expert", 2_000_000),
        ("hopper", "medium-replay", 400_000),
        ("walker2d", "medium-replay", 300_000),
        ("halfcheetah", "medium-replay", 200_000),
    ],
)
def test_sizes_are_those_of_d4rl(robot, kind, steps):
    assert RobotSource(ROBOTS[robot], kind, 0).max_steps == steps


@pytest.mark.parametrize("kind", ["random", "medium"])
def test_the_whole_is_filled_with_as_many_episodes_as_fit(kind, monkeypatch):
    monkeypatch.setattr(robot_data, "STEPS", 700)
    data = collect(kind, 700)
    more = RobotSource(HOPPER, kind, 0)
    assert data.steps <= 700
    monkeypatch.setattr(robot_data, "STEPS", 10_000)
    longer = more.collect(len(data) + 1, 1, progress=False)
    assert longer.steps > 700 and data.equal(longer.select(range(len(data))))


def test_the_episode_after_is_of_the_part_with_the_fewest_steps():
    order, enough = interleave([[10, 10], [4, 4, 4, 4]], episodes=5, max_steps=100)
    assert order == [(0, 0), (1, 0), (1, 1), (1, 2), (0, 1)] and enough
    assert interleave([[10, 10], [4, 4]], 5, 100) == ([(0, 0), (1, 0), (1, 1)], False)
    assert interleave([[10, 10], [4, 4]], 5, 17) == ([(0, 0), (1, 0)], True)
    assert interleave([[], [4]], 5, 17) == ([], False)


def test_info_tells_what_made_the_data():
    info = collect("medium-expert", 4).info
    assert info["env"] == "Hopper-v5" and info["dataset"] == "hopper/medium-expert"
    assert info["behavior"]["algorithm"] == "none"
    assert info["behavior"]["scores"].keys() == {"200", "300"}
    assert "behavior" not in collect("random", 2).info


def test_the_card_has_returns_as_they_are_and_normalized():
    data = collect("medium", 9)
    card = return_card(data)
    returns = [float(data.episode(e)["rewards"].astype(float).sum()) for e in range(9)]
    assert card["returns"]["mean"] == pytest.approx(np.mean(returns), rel=1e-5)
    assert card["normalized"]["75%"] == pytest.approx(
        normalized("hopper", np.quantile(returns, 0.75)), rel=1e-5
    )
    assert card["reference"] == {"random": HOPPER.random, "expert": HOPPER.expert}
    assert card["episodes"] == 9 and card["length"] == data.steps / 9


def test_an_unknown_kind_is_refused_with_those_that_there_are():
    with pytest.raises(ValueError, match="hopper/best is no dataset; there are hopper/random,"):
        RobotSource(HOPPER, "best", 0)
