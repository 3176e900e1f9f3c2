import gymnasium as gym
import numpy as np
import pytest
import torch

from seqrl.behavior import BabyAIBot, NotApplicable, Random, ShortestPath
from seqrl.environments import Envs, make_env, make_envs
from seqrl.environments.grid import LEVELS
from seqrl.rollout import rollout

DROP = 4


@pytest.mark.parametrize("name", LEVELS)
def test_the_expert_always_succeeds_and_never_needs_more_steps_than_the_bot(name):
    envs = make_envs(name, 2)
    expert = rollout(ShortestPath(envs), envs, 50, seed=0)
    bot = rollout(BabyAIBot(envs), envs, 50, seed=0)
    assert expert.success.all() and bot.success.all()
    # Where the bot does not see a way around an object, it carries it off, which may be quicker.
    carries = torch.tensor([DROP in bot.episode(e)["actions"] for e in range(50)])
    assert carries.sum() <= 2
    assert (expert.lengths <= bot.lengths)[~carries].all()
    assert (expert.lengths < bot.lengths).any()


def test_the_bot_acts_as_in_its_own_loop():
    from minigrid.utils.baby_ai_bot import BabyAIBot as Bot

    envs = make_envs("GoToSeqS5R2", 3)
    data = rollout(BabyAIBot(envs), envs, 5, seed=1)
    for e in range(len(data)):
        env = make_env("GoToSeqS5R2")
        env.reset(seed=data.episode(e)["seed"])
        bot, actions, over, action = Bot(env.unwrapped), [], False, None
        while not over:
            action = bot.replan(action)
            actions.append(int(action))
            _, _, terminated, truncated, _ = env.step(action)
            over = terminated or truncated
        assert actions == data.episode(e)["actions"].tolist()


@pytest.mark.parametrize("name", LEVELS)
def test_the_noisy_expert_mostly_succeeds_and_takes_longer(name):
    envs = make_envs(name, 4)
    expert = rollout(ShortestPath(envs), envs, 30, seed=0)
    noisy = rollout(ShortestPath(envs, epsilon=0.25), envs, 30, seed=0)
    assert noisy.success.float().mean() > 0.85
    assert noisy.lengths.float().mean() > 1.1 * expert.lengths.float().mean()
    assert (noisy.lengths >= expert.lengths)[noisy.success].float().mean() > 0.9


@pytest.mark.parametrize("Policy", [ShortestPath, BabyAIBot])
def test_noise_alone_is_the_random_policy(Policy):
    envs = make_envs("GoToLocalS7N5", 3)
    noise = rollout(Policy(envs, epsilon=1.0), envs, 6, seed=4)
    assert noise.equal(rollout(Random(envs), envs, 6, seed=4))


def test_noise_has_the_frequency_it_is_given():
    envs = make_envs("GoToObjMazeS4", 4)
    data = rollout(ShortestPath(envs, epsilon=0.5), envs, 60, seed=0)
    # Going about in a maze with open doors, the expert never picks up, drops, toggles or is done.
    unlike_expert = (data.actions >= 3).float().mean().item()
    assert abs(unlike_expert - 0.5 * 4 / 7) < 0.04


def test_epsilon_may_depend_on_the_number_of_the_episode():
    envs = make_envs("GoToLocalS8N7", 3)
    mixed = rollout(ShortestPath(envs, epsilon=lambda i: 0.6 * (i % 2)), envs, 8, seed=0)
    expert = rollout(ShortestPath(envs), envs, 8, seed=0)
    noisy = rollout(ShortestPath(envs, epsilon=0.6), envs, 8, seed=0)
    assert mixed.select(range(0, 8, 2)).equal(expert.select(range(0, 8, 2)))
    assert mixed.select(range(1, 8, 2)).equal(noisy.select(range(1, 8, 2)))
    assert not mixed.equal(expert)


def test_the_noisy_bot_ends_its_episodes_even_where_it_gives_up():
    envs = make_envs("PickupLoc", 2)
    data = rollout(BabyAIBot(envs, epsilon=0.6), envs, 20, seed=0)
    assert 0 < data.success.sum() < 20


def test_random_actions_are_uniform():
    envs = make_envs("GoToObjMazeS7", 2)
    data = rollout(Random(envs), envs, 4, seed=0)
    shares = np.bincount(data.actions, minlength=7) / data.steps
    assert data.steps > 1000 and abs(shares - 1 / 7).max() < 0.04


def test_random_continuous_actions_fill_their_box():
    envs = Envs([gym.make("Pendulum-v1") for _ in range(2)])
    data = rollout(Random(envs), envs, 2, seed=0)
    assert data.actions.shape == (400, 1)
    assert data.actions.min() < -1.9 and data.actions.max() > 1.9
    one = Envs([gym.make("Pendulum-v1")])
    assert data.equal(rollout(Random(one), one, 2, seed=0))


def test_the_expert_says_where_it_does_not_apply():
    assert ShortestPath.applies(make_env("GoToSeqS5R2")) is None
    why = ShortestPath.applies(make_env("BabyAI-PutNextLocal-v0"))
    assert why is not None and "put one object next to another" in why
    assert "locking a door" in str(ShortestPath.applies(make_env("BabyAI-UnlockPickup-v0")))
    assert "not a MiniGrid level" in str(ShortestPath.applies(gym.make("CartPole-v1")))
    envs = make_envs("BabyAI-PutNextLocal-v0", 1)
    with pytest.raises(NotApplicable, match="put one object next to another"):
        rollout(ShortestPath(envs), envs, 1, seed=0)


def test_the_bot_needs_a_babyai_mission():
    envs = make_envs("MiniGrid-Empty-Random-5x5-v0", 1)
    with pytest.raises(NotApplicable, match="no BabyAI mission"):
        rollout(BabyAIBot(envs), envs, 1, seed=0)
    assert rollout(ShortestPath(envs), envs, 5, seed=0).success.all()


@pytest.mark.parametrize("epsilon", [-0.1, 1.5])
def test_epsilon_is_a_probability(epsilon):
    envs = make_envs("GoToLocalS7N5", 1)
    with pytest.raises(ValueError, match="epsilon"):
        rollout(ShortestPath(envs, epsilon=epsilon), envs, 1, seed=0)
