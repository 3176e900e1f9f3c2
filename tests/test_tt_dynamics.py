"""Imagined dynamics: what is given stays given, errors are counted, the single step composes."""

import pytest
import torch

from seqrl import datasets, grid_tokens, tt_dynamics
from seqrl.beam_cache import Cached
from seqrl.beam_search import Full
from seqrl.environments.grid_observation import AGENT
from seqrl.experiments import untrained
from seqrl.training import fit
from seqrl.trajectory_transformer import TrajectoryTransformerConfig
from seqrl.transformer import TransformerConfig
from seqrl.tt_dynamics import SingleStepConfig

torch.set_num_threads(1)
K = 4


@pytest.fixture(scope="module")
def data():
    return datasets.collect("GoToObjMazeS4", "random", 16, processes=1, progress=False)


@pytest.fixture(scope="module")
def windows(data):
    return tt_dynamics.whole_windows(data, K)


@pytest.fixture(scope="module")
def model(data):
    trunk = TransformerConfig(layers=1, width=16, activation="gelu")
    return untrained(TrajectoryTransformerConfig.for_data(data, context=K, trunk=trunk), 0).eval()


def test_changes_lead_from_each_state_to_the_next(windows):
    states = grid_tokens.states(windows.observations["agent"])
    made = tt_dynamics.moved(states[:, :-1], tt_dynamics.changes(states))
    assert torch.equal(made, states[:, 1:])
    assert not torch.equal(states[:, 1:], states[:, :-1])


def test_poses_on_the_map_are_the_agents(windows):
    agent = windows.observations["agent"]
    anchor = agent[:, 0, AGENT["pose"]].long()
    world = grid_tokens.World(None, windows.observations["map"], anchor, None)
    poses = tt_dynamics.on_map(world, grid_tokens.states(agent))
    assert torch.equal(poses, agent[..., AGENT["pose"]].long())


def test_windows_are_whole_and_one_of_each_long_episode(data, windows):
    assert windows.mask.all() and len(windows.mask) == int((data.lengths >= K).sum())
    again = tt_dynamics.whole_windows(data, K, seed=1)
    assert not torch.equal(again.actions, windows.actions)
    with pytest.raises(ValueError, match=r"no episode has 10000 steps"):
        tt_dynamics.whole_windows(data, 10_000)


def test_actions_are_given_and_the_likeliest_follows(model, windows):
    first = {k: x if k in ("map", "mission") else x[:, :1] for k, x in windows.observations.items()}
    B = len(windows.actions)
    steps = torch.zeros(B, dtype=torch.long)
    prefix = model.prefix(first, windows.actions[:, :1], windows.rewards[:, :1], steps)
    with torch.no_grad():
        plain, fast = (
            tt_dynamics.imagine(model, prefix, windows.actions, kind) for kind in (Full, Cached)
        )
        logits = model(plain.flatten(1), prefix.world)
    N, C = model.layout.N, model.layout.C
    assert torch.equal(plain, fast)
    going = (plain != model.stop).all(-1).all(-1)
    assert torch.equal(plain[going][..., N], windows.actions[going])
    said, likeliest = plain.flatten(1), logits.argmax(-1)
    own = [i for i in range(N, K * C) if i % C != N]
    assert torch.equal(said[going][:, own], likeliest[going][:, [i - 1 for i in own]])
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        drawn = tt_dynamics.imagine(model, prefix, windows.actions, draw=generator)
    assert not torch.equal(drawn, plain)


def test_the_real_context_is_kept_and_errors_count_from_there(model, windows):
    real = grid_tokens.states(windows.observations["agent"])
    for context in (0, 2):
        states = tt_dynamics.imagined_states(model, windows, context)
        assert states.shape == real.shape
        assert not tt_dynamics.wrong(states, windows)[:, : context + 1].any()
    shifted = real.clone()
    shifted[:, 2, 0] += 2
    shifted[:, 3, 3] += 1
    assert tt_dynamics.wrong(shifted, windows).float().mean(0).tolist() == [0, 0, 1, 1]
    assert tt_dynamics.distance(shifted, windows).mean(0).tolist() == [0, 0, 2, 0]


def test_a_single_step_learns_to_move(data, windows):
    config = SingleStepConfig.for_data(data, 32, context=K)
    before, model = untrained(config, 0), untrained(config, 0)
    fit(model, data, steps=120, batch=32, lr=3e-3, progress=False)

    def misses(net):
        return float(tt_dynamics.wrong(net.imagine(windows), windows)[:, 1].float().mean())

    assert misses(model) < 0.2 < misses(before)
    numbers = datasets.collect("KeyToDoor", "random", 2, processes=1, progress=False)
    with pytest.raises(ValueError, match="here is none"):
        SingleStepConfig.for_data(numbers)
