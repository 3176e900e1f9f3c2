"""Evaluation: the numbers of scripted policies, the same episodes for all, never a map of data."""

import json
import math
from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces

from seqrl import evaluation, seeds
from seqrl.behavior import Random, ShortestPath
from seqrl.environments import Envs, make_envs
from seqrl.evaluation import VALIDATION, Evaluation, evaluate, shortest_lengths
from seqrl.imitation import BCConfig
from seqrl.intervals import wilson
from seqrl.rollout import rollout

torch.set_num_threads(1)
LEVEL = "GoToLocalS7N5"


class Waiting(gym.Env):
    """Time passes for 1 to 6 steps, as the seed wills; each step is worth what the action says."""

    observation_space = spaces.Box(0.0, 9.0, (1,), np.float32)
    action_space = spaces.Discrete(3)
    tells = True  # whether it says what success is

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.length, self.time = int(self.np_random.integers(1, 7)), 0
        return np.float32([self.length]), {}

    def step(self, action):
        self.time += 1
        over, long = self.time == self.length, self.length > 3
        info = {"success": self.length % 2 == 0} if self.tells else {}
        return np.float32([self.length]), float(action), over and long, over and not long, info


class Silent(Waiting):
    tells = False


class Always:
    def __init__(self, action):
        self.action, self.shown = action, []

    def act(self, step):
        self.shown.append(step.observation)
        return np.full(len(step.first), self.action)


def scripted(policy, split="test", E=4):
    """A behavior policy with the environments that it reads."""
    envs = make_envs(LEVEL, E, split=split)
    return policy(envs), envs


def own(success, lengths, shortest):
    n = len(lengths)
    return Evaluation(
        np.array(success),
        np.float32(range(n)),
        np.array(lengths),
        None if shortest is None else np.array(shortest),
        0.5,
        None,
    )


# ------------------------------------------------------------------------------------- the numbers


def test_success_return_and_length_are_those_of_the_episodes():
    found = evaluate(Always(2), Envs([Waiting() for _ in range(3)]), 40, seed=5)
    wanted = []
    for i in range(40):
        env = Waiting()
        env.reset(seed=seeds.derive("test", "env", 5, i))
        wanted.append(env.length)
    assert found.lengths.tolist() == wanted
    assert found.returns.tolist() == [2 * n for n in wanted]
    assert found.success.tolist() == [n % 2 == 0 for n in wanted]
    assert len(found) == len(found.trajectories) == 40
    assert found.trajectories.info["policy"] == "Always"
    assert found.episodes == {
        "success": [int(n % 2 == 0) for n in wanted],
        "return": [2.0 * n for n in wanted],
        "length": wanted,
    }
    assert found.scores["mean_return"] == pytest.approx(2 * np.mean(wanted))
    assert found.scores["success"] == np.mean(found.success)
    assert math.isnan(found.path_ratio) and np.isnan(found.path_ratios).all()


def test_where_the_environment_does_not_tell_to_terminate_is_success():
    found = evaluate(Always(0), Envs([Silent()]), 30)
    assert found.success.tolist() == (found.lengths > 3).tolist()
    assert 0 < found.success.mean() < 1


def test_the_expert_goes_shortest_ways_and_random_ones_do_not():
    expert = evaluate(*scripted(ShortestPath), 12)
    assert expert.success.all() and expert.path_ratio == 1
    assert expert.path_ratios.tolist() == [1] * 12
    assert expert.returns.tolist() == [1 - n for n in expert.lengths]
    random = evaluate(*scripted(Random), 12)
    assert random.success.mean() < 1 and random.returns.mean() < expert.returns.mean()
    assert random.path_ratio > 1
    assert np.array_equal(random.shortest, expert.lengths)  # the same episodes
    assert np.array_equal(np.isnan(random.path_ratios), ~random.success)


def test_a_noisy_experts_detours_are_counted_where_it_arrived():
    noisy = evaluate(*scripted(lambda envs: ShortestPath(envs, 0.3)), 12)
    solved = noisy.success
    ratios = noisy.lengths[solved] / noisy.shortest[solved]
    assert noisy.path_ratio == pytest.approx(ratios.mean())
    assert ratios.min() >= 1 and ratios.max() > 1


def test_only_solved_episodes_have_a_ratio():
    found = own([True, False, True], [6, 64, 3], [3, 4, 3])
    assert found.path_ratios[[0, 2]].tolist() == [2, 1] and np.isnan(found.path_ratios[1])
    assert found.path_ratio == 1.5
    assert math.isnan(own([False], [64], [4]).path_ratio)
    assert math.isnan(own([True], [4], None).path_ratio)
    assert own([True], [1], [0]).path_ratio == 1  # nothing was to be done


def test_the_shortest_way_is_the_same_whatever_the_level_shows():
    wanted = shortest_lengths(LEVEL, 6, 3, "test", "test")
    envs = make_envs(LEVEL, 2, split="test", view="partial", reward="end")
    found = evaluate(ShortestPath(envs), envs, 6, seed=3)
    assert tuple(found.shortest) == wanted and found.path_ratio == 1
    assert 0 < found.returns.min() < found.returns.max() < 1
    assert shortest_lengths(LEVEL, 6, 4, "test", "test") != wanted


def test_where_no_shortest_way_is_known_there_is_no_ratio():
    found = evaluate(Always(6), "KeyToDoor", 3)
    assert found.shortest is None and math.isnan(found.path_ratio)
    assert found.summary()["path_ratio"] is None and "shortest" not in repr(found)


def test_the_time_is_the_policys_own_for_an_action(monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(evaluation, "time", SimpleNamespace(perf_counter=lambda: clock.now))

    class Slow(Waiting):
        def step(self, action):
            clock.now += 100
            return super().step(action)

    class Thinks(Always):
        def act(self, step):
            clock.now += 0.5 * step.active.sum()
            return super().act(step)

    found = evaluate(Thinks(0), Envs([Slow() for _ in range(4)]), 6)
    assert found.ms_per_action == found.scores["ms_per_action"] == 500


def test_a_policy_that_needs_no_observation_is_given_none():
    blind, seeing = Always(6), Always(6)
    blind.needs_observation = False
    for policy in (blind, seeing):
        evaluate(policy, LEVEL, 1)
    assert blind.shown[0] == {} and set(seeing.shown[0]) == {"map", "agent", "mission"}


def test_a_summary_is_json_with_intervals():
    found = evaluate(*scripted(Random), 12)
    summary = json.loads(json.dumps(found.summary(), allow_nan=False))
    assert set(summary) == {
        *("success", "success_ci", "mean_return", "mean_return_ci"),
        *("normalized", "normalized_ci", "path_ratio", "episodes", "ms_per_action"),
    }
    assert summary["episodes"] == 12 and summary["success"] == found.success.mean()
    assert summary["success_ci"] == list(wilson(int(found.success.sum()), 12)[1:])
    low, high = summary["mean_return_ci"]
    assert low <= summary["mean_return"] <= high
    json.dumps([found.episodes, own([False], [64], [4]).summary()], allow_nan=False)
    assert repr(found).startswith("Evaluation(12 episodes: success ")


# ------------------------------------------------------------------------------------ the episodes


def test_episodes_do_not_depend_on_the_environments_side_by_side():
    data = rollout(*scripted(ShortestPath, "data"), 2, 0)
    torch.manual_seed(0)
    model = BCConfig.for_data(data, width=16, hidden=16).build()
    runs = [evaluate(model.policy(temperature=1.0), LEVEL, 5, rows=n) for n in (1, 3, 100)]
    for run in runs[1:]:
        assert run.trajectories.equal(runs[0].trajectories)
    assert len(np.unique(runs[0].lengths)) > 1


def first_maps(data):
    """The bytes of the map on which each episode begins."""
    rows = data.offsets[:-1] + torch.arange(len(data))
    return [data.maps[i].numpy().tobytes() for i in data.observations["map"][rows].tolist()]


def test_test_maps_are_held_out_and_validation_maps_are_not():
    data = rollout(*scripted(ShortestPath, "data"), 40, 0)
    test = evaluate(Always(6), LEVEL, 20, rows=20).trajectories
    validation = evaluate(Always(6), LEVEL, 20, rows=20, stream=VALIDATION).trajectories
    assert all(seeds.held_out(content) for content in first_maps(test))
    assert not any(seeds.held_out(content) for content in first_maps(validation))
    assert not set(first_maps(test)) & {*first_maps(data), *first_maps(validation)}
    assert test.info["stream"] == test.info["split"] == "test"
    assert (validation.info["stream"], validation.info["split"]) == ("train", "data")
    assert not set(validation.seeds.tolist()) & {*data.seeds.tolist(), *test.seeds.tolist()}


def test_tests_on_maps_of_the_data_are_refused():
    with pytest.raises(ValueError, match="draws maps of the data; tests need split='test'"):
        evaluate(*scripted(ShortestPath, "data"), 2)
    with pytest.raises(ValueError, match="draws maps of the data"):
        evaluate(Always(6), LEVEL, 2, split="data")
    found = evaluate(*scripted(ShortestPath, "data"), 2, stream=VALIDATION)
    assert found.path_ratio == 1


def test_what_cannot_be_evaluated_is_refused_in_a_sentence():
    for episodes in (0, -1):
        with pytest.raises(ValueError, match=f"at least one episode, not {episodes}"):
            evaluate(Always(6), LEVEL, episodes)
    with pytest.raises(ValueError, match="made already: view, reward cannot be chosen"):
        evaluate(Always(6), make_envs(LEVEL, 1, split="test"), 1, view="partial", reward="end")
    with pytest.raises(ValueError, match="unknown stream 'exam'"):
        evaluate(Always(6), LEVEL, 1, stream="exam")
    with pytest.raises(ValueError, match="unknown environment 'GoToNowhere'"):
        evaluate(Always(6), "GoToNowhere", 1)
