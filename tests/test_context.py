"""What a policy remembers is the window that training would have shown, at every step."""

import numpy as np
import pytest
import torch
from worlds import WORLDS, asked, behavior, envs, last_windows

from seqrl import encoders
from seqrl.behavior import Random, ShortestPath
from seqrl.context import Context
from seqrl.environments import make_envs
from seqrl.policies import ReturnsToGo
from seqrl.rollout import Step, rollout

torch.set_num_threads(1)
KEPT = ("states", "actions", "returns_to_go", "timesteps")


class Watched:
    """A behavior policy, and what a context held of every step before its action was taken."""

    def __init__(self, policy, context, target=5.0):
        self.policy, self.context, self.target = policy, context, target
        self.returns, self.seen = ReturnsToGo(target), {}

    @torch.no_grad()
    def act(self, step):
        memory = self.context
        rows = memory.update(step, self.returns.update(step))
        assert rows.tolist() == np.flatnonzero(step.active).tolist()
        for e in rows.tolist():
            n = memory.lengths[e]
            kept = [getattr(memory, name)[e, :n].clone() for name in KEPT]
            time = int(memory.timesteps[e, n - 1])
            self.seen[int(step.episode[e]), time] = (*kept, bool(memory.slid[e]))
        actions = self.policy.act(step)
        memory.taken(rows, actions)
        return actions

    def of(self, data):
        """What was seen, in the order of the data's steps."""
        episode = data.episode_of_step.tolist()
        time = (torch.arange(data.steps) - data.offsets[data.episode_of_step]).tolist()
        assert len(self.seen) == data.steps
        return [self.seen[key] for key in zip(episode, time)]


def encoder_for(world):
    space = envs(world, 1).single_observation_space
    torch.manual_seed(0)
    shown = {key: torch.zeros(1, *box.shape) for key, box in space.items()}
    encoder = encoders.config_for(shown, 16).build().eval()
    if getattr(encoder, "cost", None) is not None:
        torch.nn.init.normal_(encoder.cost[-1].weight)  # maps are told apart by their walls
    return encoder


def watched(world, K, E, episodes):
    encoder, environments = encoder_for(world), envs(world, E)
    actions = environments.action_space.shape
    policy = Watched(behavior(world, environments), Context(encoder, K, actions))
    return encoder, policy, rollout(policy, environments, episodes, 0)


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize(("K", "E", "episodes"), [(1, 2, 3), (4, 3, 8), (30, 2, 3)])
def test_a_context_is_the_window_that_ends_with_the_step(world, K, E, episodes):
    encoder, policy, data = watched(world, K, E, episodes)
    batch, lengths = last_windows(data, K)
    with torch.no_grad():
        states = encoder.encode(batch.observations).steps
    to_go = asked(data, policy.target)
    slid = False
    for i, (found, actions, returns, times, has_slid) in enumerate(policy.of(data)):
        n = int(lengths[i])
        assert torch.allclose(found, states[i, :n], atol=1e-5)
        assert torch.equal(actions[:-1], batch.actions[i, : n - 1]) and not actions[-1].any()
        assert torch.allclose(returns, to_go[i - n + 1 : i + 1], atol=1e-5)
        assert torch.equal(times, batch.timesteps[i, :n])  # counted from the episode's start
        assert has_slid == (int(times[0]) > 0)
        slid |= has_slid
    assert slid or data.lengths.max() <= K
    if world == "doors" and K == 4:
        assert len(data.maps) > len(data)  # doors did open


def test_a_map_is_encoded_once_an_episode_and_once_more_when_another_begins_the_context():
    encoder, rows = encoder_for("doors"), []
    encode = encoder.scene
    encoder.scene = lambda seen: rows.append(len(seen["map"])) or encode(seen)
    environments = envs("doors", 3)
    policy = Watched(behavior("doors", environments), Context(encoder, 4))
    data = rollout(policy, environments, 6, 0)
    step = torch.arange(data.steps)
    first = torch.maximum(step - 3, data.offsets[data.episode_of_step])
    version = data.observations["map"][first + data.episode_of_step]
    changes = (version[1:] != version[:-1]).sum() + 1  # another episode has other versions
    assert sum(rows) == changes
    assert len(data) < changes < data.steps / 3


@pytest.mark.parametrize("world", ["doors", "numbers"])
def test_a_context_serves_one_rollout_after_the_other(world):
    _, policy, data = watched(world, 4, 3, 5)
    first = policy.of(data)
    for E in (3, 2):  # as many rows, whose memories are old now, and fewer
        environments = envs(world, E)
        policy.policy, policy.seen = behavior(world, environments), {}
        again = rollout(policy, environments, 5, 0)
        assert again.equal(data)
        for a, b in zip(first, policy.of(data)):
            assert all(torch.allclose(x, y, atol=1e-5) for x, y in zip(a[:-1], b[:-1]))


def test_a_context_serves_a_level_of_another_size():
    encoder = encoder_for("doors")
    policy = Watched(None, Context(encoder, 4))
    for level in ("GoToLocalS7N5", "GoToLocalS8N7"):
        environments = make_envs(level, 2)
        policy.policy, policy.seen = ShortestPath(environments), {}
        data = rollout(policy, environments, 3, 0)
        batch, lengths = last_windows(data, 4)
        with torch.no_grad():
            states = encoder.encode(batch.observations).steps
        for i, seen in enumerate(policy.of(data)):
            assert torch.allclose(seen[0], states[i, : lengths[i]], atol=1e-5)


@torch.no_grad()
def test_a_new_episode_on_the_same_map_has_a_mission_of_its_own():
    encoder, level = encoder_for("doors"), make_envs("GoToLocalS7N5", 1)
    seen = {key: x[None] for key, x in level.reset_row(0, 0).items()}
    mission = level.reset_row(0, 1)["mission"][None]
    assert not np.array_equal(seen["mission"], mission)
    one, two = Context(encoder, 4), Context(encoder, 4)
    yes, zero = np.ones(1, bool), np.zeros(1)
    for context, missions in ((one, [seen["mission"], mission]), (two, [mission])):
        for shown in missions:
            context.update(Step({**seen, "mission": shown}, zero, yes, zero, yes, zero))
    assert torch.allclose(one.states[:, :1], two.states[:, :1], atol=1e-5)


def test_an_encoder_of_numbers_or_views_keeps_no_map():
    context = Context(encoder_for("view"), 4)
    with pytest.raises(ValueError, match="keeps no map"):
        _ = context.scene
    environments = envs("view", 2)
    rollout(Watched(Random(environments), context), environments, 1, 0)
    with pytest.raises(ValueError, match="keeps no map"):
        _ = context.scene
