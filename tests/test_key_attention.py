"""The attention of Key-to-Door's last room, and the model that foretells the return."""

import math

import pytest
import torch

from seqrl import attention_maps, experiments, key_attention
from seqrl.attention_maps import Maps
from seqrl.behavior import Random
from seqrl.decision_transformer import DecisionTransformerConfig
from seqrl.environments import make_envs
from seqrl.rollout import rollout
from seqrl.transformer import TransformerConfig
from seqrl.windows import Windows

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def walks():
    envs = make_envs("KeyToDoor", 10)
    return rollout(Random(envs), envs, 120, seed=0)


@pytest.fixture(scope="module")
def config(walks):
    return DecisionTransformerConfig.for_data(
        walks, context=30, trunk=TransformerConfig(layers=2, width=16)
    )


@pytest.fixture
def model(config):
    return experiments.untrained(config, 0).eval()


def test_solved_episodes_and_their_key(walks):
    batch, key = key_attention.solved(walks)
    assert len(key) == int(walks.success.sum()) > 0
    assert (key < key_attention.PHASES[0]).all()
    assert (batch.actions[torch.arange(len(key)), key] == 3).all()  # pickup
    assert (batch.timesteps[:, 0] == 0).all() and batch.rewards.sum() == len(key)
    with pytest.raises(ValueError, match="no episode"):
        key_attention.solved(walks.select(~walks.success))


def test_attention_on_a_step():
    step = torch.tensor([0, 2])
    weights = torch.zeros(2, 1, 1, 9)
    weights[0, 0, 0, :3] = 0.2  # on step 0
    weights[0, 0, 0, 8] = 0.4
    weights[1, 0, 0, 7] = 1.0  # on step 2
    maps = Maps(weights, torch.ones(1, 1, 9, dtype=torch.bool), torch.tensor([8]))
    assert key_attention.on_step(maps, step).flatten().tolist() == pytest.approx([0.6, 1.0])
    assert key_attention.tokens_of(step, 9).int().tolist()[1] == [0] * 6 + [1] * 3


def test_curves_over_the_steps(walks, model):
    batch, key = key_attention.solved(walks)
    maps = attention_maps.record(model, [batch])[-1].where(key_attention.last_room(batch))
    many = Maps(maps.weights.repeat(20, 1, 1, 1), maps.mask.repeat(20, 1, 1), maps.queries)
    curves = key_attention.by_step(many, key.repeat(20))
    assert list(curves) == [str(step) for step in sorted(set(key.tolist()))]
    for step, curve in curves.items():
        own = [e for e in range(len(key)) if str(int(key[e])) == step]
        by_hand = key_attention.on_step(maps, key)[own].mean()
        assert curve[int(step)] == pytest.approx(float(by_hand), abs=1e-5)
        assert sum(curve) == pytest.approx(1, abs=1e-4)
    assert not key_attention.by_step(maps, key)  # of a few episodes nothing is drawn


def test_the_other_step_is_in_the_first_room_and_never_the_keys():
    key = torch.arange(9).repeat(50)
    other = key_attention.other_step(key)
    assert (other != key).all() and set(other.tolist()) == set(range(9))


def test_what_is_asked_lies_in_the_last_room(walks):
    batch = Windows(walks, 30)(walks.offsets[:-1])
    asked = key_attention.last_room(batch)
    assert not asked[:, : key_attention.LAST].any()
    assert asked.sum() == sum(max(0, n - 20) for n in walks.lengths.tolist())


def test_hiding_a_step_changes_what_comes_after_it(walks, model):
    batch, key = key_attention.solved(walks)
    for parameter in model.parameters():
        parameter.data.mul_(3)
    assert key_attention.step_hidden(model, batch, key).kl > 0
    never = torch.full_like(key, 99)  # no token is there
    assert key_attention.step_hidden(model, batch, never).kl == pytest.approx(0, abs=1e-6)


def test_the_record_of_the_key(walks, model):
    row = key_attention.key_record(model, model, walks, "KeyToDoor/random-120", 0)
    scores = row["scores"]
    assert scores["episodes"] == float(walks.success.sum())
    assert scores["trained: key"] == pytest.approx(scores["untrained: key"])  # the same network
    rooms = [scores[f"trained: {room}"] for room in key_attention.ROOMS]
    assert sum(rooms) == pytest.approx(1, abs=1e-4)
    assert 0.03 < scores["uniform: key"] < 0.05  # 3 tokens of 62 to 90


def test_a_critic_is_told_no_return_and_sees_no_future(walks, config):
    torch.manual_seed(0)
    critic = key_attention.Critic(config).eval()
    batch = Windows(walks, 30)(walks.offsets[:4])
    told = batch._replace(returns_to_go=batch.returns_to_go + 7)
    with torch.no_grad():
        assert torch.equal(critic(batch), critic(told))
        later = batch.actions.clone()
        later[:, 10:] = (later[:, 10:] + 1) % 7
        moved = (critic(batch) - critic(batch._replace(actions=later))).abs().amax((0, 2))
    assert (moved[:11] == 0).all() and moved[11:].max() > 0
    assert critic.answers(batch).sum() == (batch.returns_to_go > 0).sum()


def test_a_critic_learns_who_will_be_paid(walks, config):
    good = walks.select(walks.success)
    bad = walks.select(~walks.success)
    some = Windows(good, 30)(good.offsets[:-1]), Windows(bad, 30)(bad.offsets[:20])
    torch.manual_seed(0)
    critic = key_attention.Critic(config)
    optimizer = torch.optim.Adam(critic.parameters(), 3e-3)
    first = [critic.loss(batch)[0].item() for batch in some]
    for _ in range(120):
        optimizer.zero_grad()
        sum(critic.loss(batch)[0] for batch in some).backward()
        optimizer.step()
    critic.eval()  # judged without dropout
    assert all(critic.loss(b)[0].item() < 0.7 * loss for b, loss in zip(some, first))
    said = key_attention.foretold(critic, walks)
    assert said["key and door"][5] > said["no key"][5]
    assert all(len(curve) == 30 for curve in said.values())
    assert not math.isnan(said["no key"][29])


def test_the_record_of_a_critic(monkeypatch, walks):
    monkeypatch.setattr(experiments, "dataset", lambda name: walks)
    small = {"steps": 2, "batch": 4, "width": 16, "layers": 1}
    row = key_attention.critic_record("KeyToDoor/random-120", 0, 100, **small)
    assert row["method"] == key_attention.CRITIC and row["setting"]["steps"] == 2
    assert set(row["foretold"]) == {"key and door", "key only", "no key"}
    assert row["scores"]["trained: key"] > 0 and row["scores"]["episodes"] >= 1
