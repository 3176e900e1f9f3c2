"""Imagined robots: what is real stays real, what is imagined follows the given actions."""

import numpy as np
import pytest
import torch

pytest.importorskip("mujoco")

from seqrl import attention_maps, dt_attention, robot_attention, robot_dreams, tt_attention
from seqrl.behavior import Random
from seqrl.decision_transformer import DecisionTransformerConfig
from seqrl.environments.locomotion import make_robots
from seqrl.experiments import untrained
from seqrl.robot_dreams import CONTEXT, SingleStep, drift, imagined, windows
from seqrl.rollout import rollout
from seqrl.training import fit
from seqrl.trajectory_transformer import TrajectoryTransformerConfig
from seqrl.transformer import TransformerConfig
from seqrl.tt_dynamics import imagine, whole_windows

torch.set_num_threads(1)
ENV = "HalfCheetah-v5"


@pytest.fixture(scope="module")
def data():
    envs = make_robots("halfcheetah", 2)
    return rollout(Random(envs), envs, 2, 0)


@pytest.fixture(scope="module")
def model(data):
    trunk = TransformerConfig(layers=1, heads=2, width=16, activation="gelu")
    config = TrajectoryTransformerConfig.for_data(data, bins=30, context=8, trunk=trunk)
    model = untrained(config, 0)
    model.exists[0, -1] = False  # untrained as it is, it might say that a robot has fallen
    return model


@pytest.fixture(scope="module")
def batch(data):
    return windows(data, 9)


def test_the_context_is_real_and_the_rest_is_of_the_models_words(model, batch):
    states = imagined(model, batch)
    real = batch.observations["state"]
    assert states.shape == real.shape == (2, CONTEXT + 1 + 9, 17)
    assert torch.equal(states[:, : CONTEXT + 1], real[:, : CONTEXT + 1])
    for column, bins in enumerate(model.config.columns[: model.layout.N]):
        said = states[:, CONTEXT + 1 :, column].double().numpy()
        gap = np.abs(said[..., None] - np.array(bins.centers)).min(-1)
        assert gap == pytest.approx(0, abs=1e-5)


def test_what_was_really_seen_later_is_not_looked_at(model, batch):
    before = imagined(model, batch)
    other = batch.observations["state"].clone()
    other[:, CONTEXT + 1 :] = 0
    changed = batch._replace(observations={"state": other})
    rewards = batch.rewards.clone()
    rewards[:, CONTEXT:] = 7
    assert torch.equal(imagined(model, changed._replace(rewards=rewards)), before)


def test_within_its_window_it_says_what_the_whole_forward_says(model, batch):
    """The first imagined state, token by token from the plain model."""
    C, N, M = model.layout.C, model.layout.N, model.layout.M
    short = batch._replace(
        observations={"state": batch.observations["state"][:, : CONTEXT + 2]},
        actions=batch.actions[:, : CONTEXT + 2],
        rewards=batch.rewards[:, : CONTEXT + 2],
    )
    said = imagined(model, short)[:, -1]
    now = {"state": short.observations["state"][:, : CONTEXT + 1]}
    steps = torch.full((2,), CONTEXT)
    prefix = model.prefix(now, short.actions[:, :-1], short.rewards[:, :-1], steps)
    action = model.discretizer.encode(short.actions[:, CONTEXT], model.layout.action)
    tokens = torch.cat([prefix.tokens, action], 1)
    with torch.no_grad():
        for _ in range(2 + N):
            tokens = torch.cat([tokens, model.eval()(tokens)[:, -1:].argmax(-1)], 1)
    assert tokens.shape[1] == (CONTEXT + 1) * C + N and M == 6
    assert torch.equal(said, model.discretizer.center(tokens[:, -N:], model.layout.state))


def test_a_robot_that_is_said_to_have_fallen_stays_where_it_was(model, batch, monkeypatch):
    def fallen(*given):
        tokens = imagine(*given)
        tokens[0, 1, 0] = model.stop
        return tokens

    going = imagined(model, batch)
    monkeypatch.setattr(robot_dreams, "imagine", fallen)
    stopped = imagined(model, batch)
    assert (stopped[0, CONTEXT + 1 :] == stopped[0, CONTEXT]).all()
    assert torch.equal(stopped[1], going[1])


def test_drift_is_zero_where_nothing_differs_and_a_distance_elsewhere(batch):
    real = batch.observations["state"]
    assert drift(real, batch, ENV).abs().max() == 0
    higher = real.clone()
    higher[:, 4:, 0] += 0.1  # the height of the torso
    found = drift(higher, batch, ENV)
    assert found[:, :4].abs().max() == 0
    assert found[:, 4:].numpy() == pytest.approx(0.1, abs=1e-5)


def test_a_single_step_learns_and_goes_on_from_what_it_said(data, batch):
    model = SingleStep.for_data(data)
    history = fit(model, data, steps=150, batch=128, lr=1e-3, progress=False)
    assert history.loss[-20:].mean() < 0.5 * history.loss[:5].mean()
    states = model.imagine(batch)
    real = batch.observations["state"]
    assert torch.equal(states[:, : CONTEXT + 1], real[:, : CONTEXT + 1])
    far = drift(states, batch, ENV)
    assert far[:, -1].mean() > far[:, CONTEXT + 1].mean() > 0
    still = drift(real[:, CONTEXT : CONTEXT + 1].expand_as(real), batch, ENV)
    assert far[:, CONTEXT + 1].mean() < still[:, CONTEXT + 1].mean()
    fixed = model.change_mean + model.change_std * model(states[:, 7], batch.actions[:, 7])
    assert torch.allclose(states[:, 8], states[:, 7] + fixed)


def test_held_out_names_no_robot():
    with pytest.raises(ValueError, match="'GoToLocalS7N5/mixed' is no dataset of a robot"):
        robot_dreams.held_out("GoToLocalS7N5/mixed", 2)


def test_held_out_episodes_are_none_of_the_data(data):
    held = robot_dreams.held_out("halfcheetah/random", 2)
    assert len(held) == 2 and held.info["stream"] == "test"
    first = {tuple(data.episode(e)["observations"]["state"][0]) for e in range(2)}
    assert not first & {tuple(held.episode(e)["observations"]["state"][0]) for e in range(2)}


def test_the_measures_of_chapter_4_hold_for_many_columns(model, data):
    few = whole_windows(data, model.config.context)
    maps = tt_attention.last_layer(model, untrained(model.config, 1), [few])
    rows = attention_maps.table(
        tt_attention.measures(model.layout, maps["trained"].weights.shape[-1]), maps
    )
    assert all(0 <= row["estimate"] <= 1 for row in rows)
    cut = tt_attention.cuts(model, [few])
    assert cut["7"]["state"].change == 0 and cut["0"]["state"].kl > 0


@pytest.fixture(scope="module")
def asked(data):
    trunk = TransformerConfig(layers=1, width=16)
    config = DecisionTransformerConfig.for_data(data, context=4, trunk=trunk)
    model = untrained(config, 0)
    model.encoder.fit(data.observations["state"])
    with torch.no_grad():
        model.embed_return.weight.mul_(50)  # one that listens
        model.head.weight.mul_(20)
    return model, dt_attention.draw(data, 4, 60, batch=30)


def test_effects_of_what_is_taken_away(asked):
    model, batches = asked
    found = robot_attention.effects(model, batches)
    assert found["nothing"].change == 0 == found["nothing"].moved
    assert found["nothing"].verdict == "not held"
    assert {"half of R̂", "R̂ resampled", "R̂ hidden", "a resampled", "a hidden"} < set(found)
    assert found["half of R̂"].moved > 0 and found["R̂ hidden"].moved > 0
    actions = robot_attention.outputs(model, batches).numpy()
    taken = torch.cat([batch.actions[batch.mask] for batch in batches]).numpy()
    assert found["nothing"].loss == pytest.approx(np.square(actions - taken).mean(), rel=1e-5)


def test_one_that_is_deaf_is_not_moved_by_another_request(asked):
    model, batches = asked
    found = robot_attention.effects(dt_attention.deaf(model), batches)
    assert found["half of R̂"].moved == 0
