"""What is recorded as a CUDA graph gives what it gave before; when one is, without a GPU too."""

import copy
import itertools
from typing import ClassVar

import numpy as np
import pytest
import torch

from seqrl import cuda_graph
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


class Eager:
    """In place of `Replay`: nothing is recorded, so each call computes."""

    made: ClassVar[list] = []

    def __init__(self, function, inputs):
        self.function, self.shapes, self.calls = function, shapes(inputs), 0
        self.made.append(self)

    def __call__(self, inputs):
        assert self.fits(inputs)
        self.calls += 1
        return self.function(inputs)

    def fits(self, inputs):
        return shapes(inputs) == self.shapes


class Failing(Eager):
    def __init__(self, function, inputs):
        super().__init__(function, inputs)
        raise RuntimeError("an operation is not permitted")


@pytest.fixture
def record(monkeypatch):
    """Called with a stand-in for `Replay`: then a CPU records; returns the list of those made."""

    def use(replay):
        monkeypatch.setattr("seqrl.beam_graph.DEVICES", {"cpu"})
        monkeypatch.setattr(cuda_graph, "DEVICES", {"cpu"})
        monkeypatch.setattr("seqrl.beam_graph.fastest", lambda: Cached)  # no kernels on a CPU
        monkeypatch.setattr("seqrl.training.Replay", replay)
        monkeypatch.setattr("seqrl.beam_graph.Replay", replay)
        monkeypatch.setattr(Eager, "made", [])
        return Eager.made

    return use


def trained(contexts=(8,), steps=10):
    """The curves of a short training on windows whose context changes from batch to batch."""
    data, turns = some_data(), itertools.cycle(contexts)
    torch.manual_seed(0)
    trunk = TransformerConfig(layers=1, width=16, dropout=0.1)
    model = DecisionTransformerConfig.for_data(data, context=8, trunk=trunk).build()
    recipe = {"steps": steps, "batch": 4, "lr": 1e-2, "precision": "fp32", "progress": False}
    curves = fit(model, lambda n, generator: data.windows(next(turns), n, generator), **recipe)
    return curves.curves, model.state_dict()


def same(a, b):
    assert a[0].keys() == b[0].keys()
    for name, curve in a[0].items():
        np.testing.assert_array_equal(curve, b[0][name])
    assert all(torch.equal(x, b[1][name]) for name, x in a[1].items())


def test_a_cpu_records_nothing(monkeypatch):
    monkeypatch.setattr("seqrl.training.Replay", Failing)
    monkeypatch.setattr("seqrl.beam_graph.Replay", Failing)
    monkeypatch.setattr(Eager, "made", [])
    trained()
    planned()
    assert Eager.made == []


def test_an_update_is_recorded_once_it_is_warm_and_all_of_it(record, warned):
    plain = trained()
    made = record(Eager)
    same(trained(), plain)
    assert [graph.calls for graph in made] == [10 - cuda_graph.WARM] and warned == []


def test_a_batch_of_another_shape_is_computed_as_it_is_written(record, warned):
    plain = trained([8, 8, 5])
    made = record(Eager)
    same(trained([8, 8, 5]), plain)  # recorded at update 4, other shapes at 6 and 9
    assert [graph.calls for graph in made] == [5] and warned == []


def test_where_no_update_can_be_recorded_it_is_told_once(record, warned):
    plain = trained()
    made = record(Failing)
    same(trained(), plain)
    (told,) = warned
    assert "updates are slower" in str(told.message) and "not permitted" in str(told.message)
    assert len(made) == 1


def planned(counts=(3,) * 6, steps=(3,)):
    """Whether a planner of its own plans as `plan` does, for each of so many prefixes."""
    data = some_data()
    trunk = TransformerConfig(layers=1, heads=2, width=16)
    torch.manual_seed(0)
    model = TrajectoryTransformerConfig.for_data(data, context=6, trunk=trunk).build().eval()
    search = BeamSearch(beam=2, horizon=2, context=3)
    planner = Planner(model, search, Cached)
    for count in counts:
        batch = data.windows(4, count)
        lengths = torch.tensor(list(itertools.islice(itertools.cycle(steps), count)))
        prefix = model.prefix(batch.observations, batch.actions, batch.rewards, lengths)
        draws = torch.rand(count, 2, search.rows, model.layout.M)
        with torch.inference_mode():
            found, wanted = planner(prefix, draws), plan(model, prefix, search, draws, Cached)
        assert torch.equal(found.tokens, wanted.tokens)
        assert torch.equal(found.value, wanted.value)


def test_a_plan_is_recorded_when_its_shapes_are_met_again_and_again(record, warned):
    made = record(Eager)
    planned([3, 3, 2, 3, 2, 3, 3])
    assert [graph.calls for graph in made] == [3] and warned == []  # of three prefixes, not of two
    planned([3, 2] * 3)
    assert [graph.calls for graph in made] == [3, 1, 1]


def test_prefixes_of_different_lengths_are_not_recorded(record):
    made = record(Eager)
    planned(steps=(3, 2))
    assert made == []


def test_where_no_plan_can_be_recorded_it_is_told_once(record, warned):
    made = record(Failing)
    planned()
    (told,) = warned
    assert "plans are slower" in str(told.message) and len(made) == 1


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
