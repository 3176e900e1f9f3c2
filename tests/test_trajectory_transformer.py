"""Trajectory Transformer: what a token may see, what counts in the loss, and what is learned."""

import math
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces

from seqrl import checkpoints, datasets
from seqrl.actions import Actions
from seqrl.augment import augment
from seqrl.beam_search import BeamSearch
from seqrl.behavior import Random
from seqrl.environments import Envs, make_envs
from seqrl.environments.grid_observation import AGENT
from seqrl.policies import PolicyError
from seqrl.rollout import Step, rollout
from seqrl.tokens import integers
from seqrl.training import fit
from seqrl.trajectory_transformer import TrajectoryTransformerConfig
from seqrl.transformer import TransformerConfig
from tests.worlds import Drift

torch.set_num_threads(1)
SMALL = TransformerConfig(layers=2, heads=2, width=16, dropout=0.0, activation="gelu")
SEARCH = BeamSearch(beam=4, horizon=2, context=2)


class Corridor(gym.Env):
    """Cells 0 to 4; right is worth 1 in the last cell, where the episode ends; 12 steps at most."""

    observation_space = spaces.Box(0.0, 4.0, (1,), np.float32)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at, self.left = int(self.np_random.integers(4)), 12
        return self.show(), {}

    def show(self):
        return np.array([self.at], np.float32)

    def step(self, action):
        self.left -= 1
        home = self.at == 4 and action == 1
        self.at = min(max(self.at + 2 * int(action) - 1, 0), 4)
        return self.show(), float(home), home, self.left == 0 and not home, {}


@pytest.fixture(scope="module")
def corridor():
    envs = Envs([Corridor() for _ in range(8)])
    return rollout(Random(envs), envs, 150, 0)


@pytest.fixture(scope="module")
def numbers():
    envs = Envs([Drift() for _ in range(4)])
    return rollout(Random(envs), envs, 60, 0)


@pytest.fixture(scope="module")
def grid():
    return datasets.collect("GoToObjMazeS4", "expert", 12, processes=1, progress=False)


def config_of(data, **fields):
    fields = {"trunk": SMALL, "context": 4, "search": SEARCH, **fields}
    return TrajectoryTransformerConfig.for_data(data, **fields)


def built(data, **fields):
    torch.manual_seed(0)
    model = config_of(data, **fields).build().eval()
    small = ("attention.value", "attention.mix", "mlp", "see")  # at first, to tell things apart
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "encoder" not in name and p.ndim > 1 and any(part in name for part in small):
                p.mul_(6)
    return model


def windows_of(model, data, B=12):
    return model.sample(data, B, torch.Generator().manual_seed(1))


def likely(model, batch):
    tokens, goal = model.tokens(batch), batch.observations.get("goal")
    if goal is not None:
        goal = model.discretizer.encode(goal, model.layout.state)
    with torch.no_grad():
        return tokens, model(tokens.flatten(1), model.world(batch.observations), goal)


@pytest.mark.parametrize("kind", ["corridor", "numbers", "goal", "grid"])
def test_every_parameter_is_trained(kind, request):
    data = request.getfixturevalue("numbers" if kind == "goal" else kind)
    model = config_of(data, goal=kind == "goal").build()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    history = fit(
        model, data, steps=3, warmup=0, batch=32, weight_decay=0.0, lr=3e-3, progress=False
    )
    still = [name for name, p in model.named_parameters() if torch.equal(p, before[name])]
    assert not still and np.isfinite(history.loss).all()


def test_the_papers_defaults():
    columns = (integers(0, 9),) * 4
    config = TrajectoryTransformerConfig(columns, Actions(10))
    trunk = config.trunk
    assert (trunk.layers, trunk.heads, trunk.width, trunk.activation) == (4, 4, 128, "gelu")
    assert (config.context, config.discount, config.action_weight) == (10, 0.99, 5.0)
    assert config.termination_penalty == -100.0
    search = config.search
    assert (search.expand, search.cut, search.context, search.discount) == (2, 0.6, 5, 0.99)
    assert config.build().position.num_embeddings == 40


def test_a_transition_is_its_numbers(numbers):
    model = built(numbers, bins=2000)
    batch = windows_of(model, numbers)
    tokens = model.tokens(batch)
    assert tokens.shape == (12, 4, model.layout.C) and model.layout.C == 3 + 2 + 2
    real = tokens[batch.mask]
    told = model.discretizer.decode(real)
    assert torch.allclose(told[:, :3], batch.observations["state"][batch.mask])
    assert torch.allclose(told[:, 3:5], batch.actions[batch.mask])
    assert torch.allclose(told[:, 5], batch.rewards[batch.mask])
    assert (tokens[~batch.mask] == model.stop).all() and not batch.mask.all()


def test_rewards_and_the_last_value_are_the_return(corridor):
    model = built(corridor, termination_penalty=None, bins=2000)
    batch = windows_of(model, corridor, 64)
    told = model.discretizer.center(model.tokens(batch), slice(None))
    gamma, whole = 0.99, batch.mask.all(1)
    powers = gamma ** torch.arange(5)
    plan = (told[..., model.layout.reward] * powers[:4]).sum(1) + powers[4] * told[:, -1, -1]
    assert whole.sum() > 20
    assert torch.allclose(plan[whole], batch.returns_to_go[whole, 0], atol=1e-5)


def test_an_end_costs_what_the_config_says(numbers, grid):
    model = built(numbers)
    batch = windows_of(model, numbers, 64)
    assert (batch.rewards[batch.terminations] == -100).all() and batch.terminations.any()
    before = numbers.rewards[numbers.terminations]
    assert (before > -50).all()  # the data stay as they are
    assert config_of(grid).termination_penalty is None


@pytest.mark.parametrize("kind", ["corridor", "numbers", "goal", "grid"])
def test_no_token_sees_the_future_and_none_sees_a_value(kind, request):
    data = request.getfixturevalue("numbers" if kind == "goal" else kind)
    model = built(data, goal=kind == "goal")
    batch = windows_of(model, data)
    tokens, logits = likely(model, batch)
    flat, C = tokens.flatten(1), model.layout.C
    goal = None
    if kind == "goal":
        goal = model.discretizer.encode(batch.observations["goal"], model.layout.state)
    for column in range(C):
        at = C + column  # in the second transition
        changed = flat.clone()
        changed[:, at] = (changed[:, at] + 1) % len(model.config.columns[column])
        with torch.no_grad():
            again = model(changed, model.world(batch.observations), goal)
        moved = ((again - logits).nan_to_num().abs().amax((0, 2)) > 1e-6).nonzero()[:, 0].tolist()
        if column == model.layout.value:
            assert moved == [at]  # its own output tells the next state
        else:
            assert set(moved) > {at} and min(moved) == at


def test_no_logit_is_for_a_token_that_the_column_lacks(corridor):
    model = built(corridor)
    _, logits = likely(model, windows_of(model, corridor))
    possible = torch.isfinite(logits).sum(-1).view(12, 4, -1)
    sizes = [len(bins) for bins in model.config.columns]
    assert (possible[:, :, :-1] == torch.tensor(sizes[1:])).all()
    assert (possible[:, :, -1] == sizes[0] + 1).all()  # or the episode is over


def test_the_loss_is_the_weighted_mean_of_the_tokens_that_count(corridor):
    model = built(corridor)
    batch = windows_of(model, corridor, 40)
    tokens, logits = likely(model, batch)
    total, count, C = 0.0, 0, model.layout.C
    log_p = logits.log_softmax(-1)
    for b in range(40):
        for i in range(1, 4 * C):
            k, column = divmod(i, C)
            stops = column == 0 and bool(batch.terminations[b, k - 1])
            if batch.mask[b, k] or stops:
                weight = 5.0 if column == model.layout.column("a") else 1.0
                total -= weight * float(log_p[b, i - 1, tokens[b, k, column]])
                count += 1
    loss, info = model.loss(batch)
    assert batch.terminations[:, :-1].any() and float(loss.detach()) == pytest.approx(
        total / count, rel=1e-4
    )
    assert 0 <= float(info["accuracy"]) <= 1


def test_what_is_padding_does_not_count(corridor):
    model = built(corridor)
    batch = windows_of(model, corridor, 40)
    noise = torch.rand(batch.mask.shape)
    other = batch._replace(
        rewards=torch.where(batch.mask, batch.rewards, noise),
        actions=torch.where(batch.mask, batch.actions, 1),
    )
    assert torch.equal(model.loss(batch)[0], model.loss(other)[0])
    cut = batch._replace(terminations=torch.zeros_like(batch.terminations))
    assert not torch.equal(model.loss(batch)[0], model.loss(cut)[0])


def test_a_goal_is_the_state_in_which_the_episode_ended(numbers):
    model = built(numbers, goal=True)
    batch = windows_of(model, numbers)
    ends = numbers.observations["state"][numbers.offsets[1:] + torch.arange(len(numbers))]
    for row in batch.observations["goal"]:
        assert (ends == row).all(1).any()
    tokens, logits = likely(model, batch)
    other = (model.discretizer.encode(batch.observations["goal"], model.layout.state) + 3) % 90
    with torch.no_grad():
        assert (model(tokens.flatten(1), None, other) - logits).nan_to_num().abs().max() > 1e-3
    with pytest.raises(ValueError, match="if and only if"):
        model(tokens.flatten(1))


def test_a_turned_grid_is_the_same_grid(grid):
    model = built(grid)
    batch = windows_of(model, grid)
    tokens, logits = likely(model, batch)
    agent, cells = batch.observations["agent"].clone(), batch.observations["map"]
    W = cells.shape[1]
    for field in ("pose", "start"):
        x, y, heading = (agent[..., AGENT[field]][..., i].clone() for i in range(3))
        turned = torch.stack([W - 1 - y.int(), x.int(), (heading.int() + 1) % 4], -1)
        agent[..., AGENT[field]] = torch.where(batch.mask[..., None], turned, 0).to(agent.dtype)
    quarter = cells.transpose(1, 2).flip(1).contiguous()
    observations = {**batch.observations, "agent": agent, "map": quarter}
    again, same = likely(model, batch._replace(observations=observations))
    assert torch.equal(again, tokens)
    assert torch.allclose(same.nan_to_num(neginf=0), logits.nan_to_num(neginf=0), atol=1e-3)


def test_a_grid_model_sees_the_map_at_the_pose_of_its_tokens(grid):
    model = built(grid)
    batch = windows_of(model, grid)
    tokens, world = model.tokens(batch)[:, :, :4], model.world(batch.observations)
    here = model.look(tokens, world)
    aside = tokens.clone()
    aside[:, 1, 2] = (aside[:, 1, 2] + 2) % 4  # looks back at the second step
    moved = (model.look(aside, world) - here).abs().amax((0, 2)) > 1e-5
    assert moved.tolist() == [False, True, False, False]


def test_an_augmented_window_can_be_trained_on(grid):
    model = built(grid)
    generator = torch.Generator().manual_seed(0)
    batch = augment(model.sample(grid, 16, generator), generator)
    assert math.isfinite(float(model.loss(batch)[0]))


def test_a_checkpoint_brings_the_same_model_back(tmp_path, grid):
    model = built(grid)
    path = tmp_path / "model.safetensors"
    checkpoints.save_model(path, model, {})
    _, card = checkpoints.load(path)
    config = TrajectoryTransformerConfig.from_card(card["model"])
    assert config == model.config
    again = config.build()
    checkpoints.load_model(path, again)
    batch = windows_of(model, grid)
    a, b = likely(model, batch)[1], likely(again.eval(), batch)[1]
    assert torch.allclose(a.nan_to_num(neginf=0), b.nan_to_num(neginf=0), atol=0.05)


@pytest.fixture(scope="module")
def learned(corridor):
    torch.manual_seed(0)
    model = config_of(corridor, context=5, termination_penalty=None).build()
    fit(model, corridor, steps=250, batch=32, lr=1e-2, progress=False)
    return model


def test_it_learns_how_the_world_moves(learned, corridor):
    batch = windows_of(learned, corridor, 200)
    tokens, logits = likely(learned, batch)
    C = learned.layout.C
    predicted = logits.argmax(-1)[:, C - 1 : -1 : C]  # the next s¹
    counts = batch.mask[:, 1:] | batch.terminations[:, :-1]
    right = (predicted == tokens[:, 1:, 0])[counts]
    assert right.float().mean() > 0.97  # stop tokens included


def test_planning_does_better_than_the_data(learned):
    envs = Envs([Corridor() for _ in range(8)])
    search = BeamSearch(beam=8, horizon=3, context=2, cut=None)
    found = rollout(learned.policy(search), envs, 24, 5, stream="train")
    assert found.rewards.sum() == 24
    assert (found.actions == 1).float().mean() > 0.9  # straight there; the data do so half the time


def test_an_episode_does_not_depend_on_what_runs_beside_it(learned):
    search = BeamSearch(beam=4, horizon=3, context=2, cut=None)
    runs = [
        rollout(learned.policy(search, cached=cached), Envs([Corridor() for _ in range(E)]), 6, 5)
        for E, cached in ((1, True), (4, True), (3, False))
    ]
    assert runs[0].equal(runs[1]) and runs[0].equal(runs[2])


def test_replanning_less_often_searches_less_often(learned, monkeypatch):
    policy = learned.policy(BeamSearch(beam=4, horizon=3, context=2, cut=None), replan=3)
    searched = []
    inner = policy.search_from
    monkeypatch.setattr(policy, "search_from", lambda p, r: searched.append(len(r)) or inner(p, r))
    found = rollout(policy, Envs([Corridor() for _ in range(3)]), 3, 5)
    assert sum(searched) == sum(-(-n // 3) for n in found.lengths.tolist())


def test_the_context_is_what_was_executed(learned, monkeypatch):
    policy = learned.policy(BeamSearch(beam=4, horizon=3, context=2, cut=None))
    prefixes, inner = [], policy.search_from
    monkeypatch.setattr(policy, "search_from", lambda p, r: prefixes.append(p) or inner(p, r))
    rng = np.random.default_rng(0)
    states = rng.integers(0, 5, (5, 2, 1)).astype(np.float32)
    rewards = rng.integers(0, 2, (5, 2)).astype(np.float32)
    numbers, both = np.array([1, 2]), np.ones(2, bool)
    acted = []
    for t in range(5):
        first = np.array([t == 0, t in (0, 3)])  # the second row begins anew at step 3
        step = Step({"state": states[t]}, rewards[t], first, numbers, both, numbers)
        acted.append(policy.act(step))
    assert [p.steps.tolist() for p in prefixes] == [[0, 0], [1, 1], [2, 2], [2, 0], [2, 1]]
    for row, begin in ((0, 2), (1, 3)):
        C, told = learned.layout.C, learned.discretizer.center
        flat = prefixes[-1].tokens[row]
        for i, t in enumerate(range(begin, 4)):
            transition = told(flat[C * i : C * (i + 1)], slice(None))
            executed = [states[t, row, 0], acted[t][row], rewards[t + 1, row]]
            assert transition[:3].tolist() == executed
        assert float(told(flat[C * (4 - begin)], 0)) == states[4, row, 0]


def acts(policy, envs, steps=3):
    """The actions of a policy in the first steps of an episode."""
    observation, one = envs.reset_row(0, 7), np.ones(1, bool)
    actions = []
    for t in range(steps):
        seen = {key: values[None] for key, values in observation.items()}
        zero = np.zeros(1, np.float32)
        actions.append(policy.act(Step(seen, zero, one * (t == 0), zero.astype(int), one, zero)))
        observation = envs.step_row(0, actions[-1][0])[0]
    return np.array(actions)


def test_it_acts_in_a_grid_and_in_numbers(grid, numbers):
    found = acts(built(grid).policy(), make_envs("GoToObjMazeS4", 1))
    assert found.shape == (3, 1) and found.dtype == np.int64
    drift = Envs([Drift()])
    found = acts(built(numbers).policy(), drift)
    assert found.shape == (3, 1, 2) and found.dtype == np.float32
    aims = [[0.0, 1.0, 2.0], [2.0, -1.0, 0.0]]
    model = built(numbers, goal=True)
    found = [acts(model.policy(imitating=True, goal=goal), drift, 1) for goal in aims]
    assert not np.array_equal(*found)


def test_bad_input_is_told_in_a_sentence(corridor, numbers, grid):
    model = built(corridor)
    config = model.config
    for wrong, word in [
        (lambda: model.policy(BeamSearch(horizon=5)), "a horizon of 5 is beyond the 4 transitions"),
        (lambda: model.policy(replan=3), "replan must lie in 1 … 2, not 3"),
        (lambda: model.policy(goal=[1.0]), "if and only if"),
        (lambda: built(numbers, goal=True).policy(goal=[1.0]), "3 numbers, not 1"),
        (lambda: replace(config, context=0), "at least one transition"),
        (lambda: replace(config, discount=0.0), r"in \(0, 1\]"),
        (lambda: replace(config, columns=config.columns[:3]), "3 columns do not fit"),
        (lambda: config_of(grid, goal=True), "the mission is the goal"),
        (lambda: config_of(corridor, kind="equal"), "'uniform' or 'quantile'"),
        (lambda: model.layout.column("s2"), "unknown column 's2'"),
    ]:
        with pytest.raises(ValueError, match=word):
            wrong()
    with pytest.raises(PolicyError, match="'state' is missing"):
        rollout(model.policy(), make_envs("GoToObjMazeS4", 1), 1, 0)
    view = datasets.collect("KeyToDoor", "random", 3, processes=1, progress=False)
    with pytest.raises(ValueError, match="needs maps"):
        config_of(view)


def test_at_first_a_place_looks_alike_from_every_other_so_far_away(corridor):
    places = config_of(corridor, context=8).build().position.weight.detach()
    near = (places[:-1] * places[1:]).sum(-1)
    far = (places[:-9] * places[9:]).sum(-1)
    assert torch.allclose(near, near[:1].expand_as(near), atol=1e-4)
    assert near[0] > far[0] + 0.1
