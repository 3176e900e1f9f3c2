import numpy as np
import pytest
import robots
import torch

from seqrl import actors, checkpoints
from seqrl.environments.locomotion import MAX_STEPS, ROBOTS, make_robots
from seqrl.rollout import Step, rollout

HOPPER = ROBOTS["hopper"]


SHIPPED = actors.ROBOTS


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(actors, "ROBOTS", tmp_path)
    return tmp_path


def step(states, seeds, first=True):
    E = len(states)
    numbers = np.zeros(E, np.float32), np.full(E, first), np.array(seeds), np.ones(E, bool)
    return Step({"state": np.float32(states)}, *numbers, np.arange(E))


def test_actions_are_those_of_the_network_in_pytorch(folder):
    pytest.importorskip("mujoco", reason="needs the extra locomotion")
    robots.write(folder)
    actor = actors.actor(HOPPER, 200, make_robots(HOPPER, 5))
    states = np.random.default_rng(0).normal(size=(5, 11))
    stored, _ = checkpoints.load(folder / "hopper.safetensors")
    x = torch.from_numpy(np.float32(states))
    for i in range(2):
        x = torch.relu(x @ stored[f"200.{i}.weight"].T + stored[f"200.{i}.bias"])
    mean, log_deviation = (
        x @ stored[f"200.{i}.weight"].T + stored[f"200.{i}.bias"] for i in (2, 3)
    )
    noise = [np.random.default_rng(e).standard_normal((MAX_STEPS, 3)) for e in range(5)]
    for t in range(2):
        drawn = torch.from_numpy(np.float32([table[t] for table in noise]))
        wanted = torch.tanh(mean + log_deviation.exp() * drawn)
        found = actor.act(step(states, range(5), first=t == 0))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize("bias", [-100.0, 100.0])
def test_the_deviation_is_clipped(bias):
    pytest.importorskip("mujoco", reason="needs the extra locomotion")
    layers = actors.layers_of({n: x.numpy() for n, x in robots.tensors("hopper").items()}, 100)
    weight, _ = layers[3]
    layers[2] = (np.zeros_like(layers[2][0]), np.zeros_like(layers[2][1]))
    layers[3] = (np.zeros_like(weight), np.full(3, bias))
    actor = actors.Actor(layers, make_robots(HOPPER, 1))
    action = actor.act(step(np.zeros((1, 11)), [4]))[0]
    noise = np.random.default_rng(4).standard_normal((MAX_STEPS, 3))[0]
    deviation = np.exp(2.0 if bias > 0 else -20.0)
    np.testing.assert_allclose(action, np.tanh(deviation * noise), rtol=1e-6)


@pytest.mark.parametrize("name", ROBOTS)
def test_an_episode_does_not_depend_on_what_runs_beside_it(name, folder):
    pytest.importorskip("mujoco", reason="needs the extra locomotion")
    robots.write(folder, name)
    episodes = 2 if name == "halfcheetah" else 7
    data = []
    for rows in (1, 3, 8):
        envs = make_robots(name, rows)
        data.append(rollout(actors.actor(ROBOTS[name], 300, envs), envs, episodes, seed=1))
    assert data[0].equal(data[1]) and data[0].equal(data[2])
    assert len(set(data[0].actions[:, 0].tolist())) > episodes


def test_a_snapshot_that_does_not_ship_is_refused_with_those_that_do(folder):
    pytest.importorskip("mujoco", reason="needs the extra locomotion")
    robots.write(folder)
    with pytest.raises(ValueError, match="no snapshot at 150 steps; there are 0, 100, 200, 300"):
        actors.actor(HOPPER, 150, make_robots(HOPPER, 1))


def changed(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_a_file_that_is_not_the_robots_is_told_with_the_command_that_mends_it(folder):
    path = robots.write(folder)
    assert actors.card(HOPPER)["model"]["medium"] == 200
    cases = {
        "its hash does not match": lambda: changed(path),
        "with data.env = 'Walker2d-v5'": lambda: robots.write(folder, data={"env": "Walker2d-v5"}),
        "only part of one": lambda: path.write_bytes(path.read_bytes()[:100]),
        "is missing": path.unlink,
    }
    for message, spoil in cases.items():
        spoil()
        with pytest.raises(checkpoints.CheckpointError, match=message) as told:
            actors.card(HOPPER)
        assert "pip install --force-reinstall --no-deps seqrl" in str(told.value)
        robots.write(folder)


@pytest.mark.parametrize("name", ROBOTS)
def test_what_ships_is_whole_and_its_card_tells_how_it_was_made(name, monkeypatch):
    pytest.importorskip("mujoco", reason="needs the extra locomotion")
    monkeypatch.setattr(actors, "ROBOTS", SHIPPED)
    card = actors.card(ROBOTS[name])
    kinds, recipe = card["model"], card["recipe"]
    assert {"algorithm", "seed", "steps"} <= recipe.keys()
    used = {kinds["medium"], kinds["expert"], *kinds["replay"]}
    assert used == set(kinds["snapshots"]) == {int(steps) for steps in card["scores"]} | {0}
    assert kinds["replay"] == sorted(kinds["replay"]) and kinds["replay"][0] == 0
    assert kinds["replay"][-1] == kinds["medium"] < kinds["expert"] <= recipe["steps"]
    assert all(score["episodes"] >= 50 for score in card["scores"].values())
    envs = make_robots(name, 1)
    for steps in used - {0}:
        layers = actors.network(ROBOTS[name], steps)
        assert [weight.shape[1] for weight, _ in layers[2:]] == [envs.action_space.shape[0]] * 2


def test_all_policies_together_stay_small():
    files = list(SHIPPED.iterdir())
    assert {path.stem for path in files} == set(ROBOTS)
    assert sum(path.stat().st_size for path in files) < 3_000_000
