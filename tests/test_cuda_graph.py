"""What is recorded as a CUDA graph gives what it gave before; these need a GPU."""

import copy

import numpy as np
import pytest
import torch

from seqrl.beam_cache import Cached
from seqrl.beam_graph import Planner
from seqrl.beam_search import BeamSearch, plan
from seqrl.cuda_graph import Replay, leaves, shapes
from seqrl.decision_transformer import DecisionTransformerConfig
from seqrl.training import fit
from seqrl.trajectories import pack
from seqrl.trajectory_transformer import TrajectoryTransformerConfig
from seqrl.transformer import TransformerConfig

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")


def some_data(episodes=20, steps=30, N=3, M=2):
    rng = np.random.default_rng(0)

    def episode():
        ends = np.zeros((2, steps), bool)
        ends[1, -1] = True
        return {
            "observations": {"state": rng.normal(size=(steps + 1, N)).astype(np.float32)},
            "actions": rng.uniform(-1, 1, (steps, M)).astype(np.float32),
            "rewards": rng.normal(size=steps).astype(np.float32),
            "terminations": ends[0],
            "truncations": ends[1],
        }

    return pack([episode() for _ in range(episodes)])


def test_leaves_and_shapes_of_nested_inputs():
    x = {"a": torch.zeros(2, 3), "b": (torch.zeros(1), None)}
    assert [tuple(leaf.shape) for leaf in leaves(x)] == [(2, 3), (1,)] == list(shapes(x))


@gpu
def test_replay_computes_for_new_inputs():
    double = Replay(lambda x: x["a"] * 2, {"a": torch.ones(3, device="cuda")})
    assert double({"a": torch.full((3,), 5.0, device="cuda")}).tolist() == [10.0] * 3
    assert not double.fits({"a": torch.ones(4, device="cuda")})


@gpu
def test_training_with_a_graph_is_training_without(monkeypatch):
    data = some_data()
    trunk = TransformerConfig(layers=2, width=32, dropout=0.0)
    torch.manual_seed(0)
    one = DecisionTransformerConfig.for_data(data, context=8, trunk=trunk).build()
    other = copy.deepcopy(one)
    recipe = {"steps": 30, "batch": 16, "lr": 1e-3, "precision": "fp32", "progress": False}
    with_graph = fit(one, data, device="cuda", **recipe)
    monkeypatch.setattr("seqrl.training.Run._replay", lambda run, batch: None)
    without = fit(other, data, device="cuda", **recipe)
    np.testing.assert_allclose(with_graph.loss, without.loss, rtol=1e-4)
    for a, b in zip(one.parameters(), other.parameters()):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


@gpu
def test_a_recorded_plan_is_the_plan():
    data = some_data()
    trunk = TransformerConfig(layers=2, heads=2, width=32)
    torch.manual_seed(0)
    model = TrajectoryTransformerConfig.for_data(data, context=6, trunk=trunk).build().cuda().eval()
    search = BeamSearch(beam=4, horizon=3, context=3)
    planner = Planner(model, search, Cached)
    batch = data.windows(4, 5)
    batch = type(batch)(*[_cuda(x) for x in batch])
    steps = torch.full((5,), 3, device="cuda")
    for i in range(6):
        rewards = batch.rewards + i
        prefix = model.prefix(batch.observations, batch.actions, rewards, steps)
        draws = torch.rand(5, 3, search.rows, model.layout.M, device="cuda")
        with torch.inference_mode():
            found = planner(prefix, draws)
            wanted = plan(model, prefix, search, draws, Cached)
        assert torch.equal(found.tokens, wanted.tokens)
        torch.testing.assert_close(found.value, wanted.value)
    assert len(planner._recorded) == 1


def _cuda(x):
    return {k: v.cuda() for k, v in x.items()} if isinstance(x, dict) else x.cuda()
