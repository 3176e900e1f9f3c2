"""The encoder sees what the agent sees, once a map, and turning the world changes nothing."""

import pytest
import torch

from seqrl.behavior import ShortestPath
from seqrl.encoders import FlatEncoder, FlatEncoderConfig, MapRecord, config_for, config_from
from seqrl.environments import make_envs
from seqrl.environments.grid import AGENT, HEADINGS
from seqrl.rollout import rollout

torch.set_num_threads(1)


def batch(view="full", K=5):
    envs = make_envs("GoToLocalS8N7", 2, view=view)
    data = rollout(ShortestPath(envs, epsilon=0.5), envs, 12, seed=0)
    return data.windows(K, 6, torch.Generator().manual_seed(0))


def turned(observations):
    """The same windows in a world turned by a quarter to the right."""
    grid, agent = observations["map"], observations["agent"].clone()
    side = grid.shape[2] - 1
    for field in ("pose", "start"):
        x, y, heading = observations["agent"][..., AGENT[field]].unbind(-1)
        agent[..., AGENT[field]] = torch.stack([side - y, x, (heading + 1) % 4], -1)
    return {**observations, "map": grid.transpose(1, 2).flip(1), "agent": agent}


@pytest.mark.parametrize("view", ["full", "partial"])
def test_shapes_and_every_parameter_moves(view):
    windows = batch(view)
    torch.manual_seed(0)
    encoder = config_for(windows.observations, width=32).build()
    if view == "full":  # zero at first: what stands before it is still
        torch.nn.init.normal_(encoder.cost[-1].weight)
    encoding = encoder.encode(windows.observations)
    assert encoding.steps.shape == (6, 5, 32) and encoding.summary.shape == (6, 32)
    assert encoding.context.shape[::2] == (6, 32)
    assert torch.allclose(encoding.summary, encoding.steps[:, 0])
    generator = torch.Generator().manual_seed(1)
    loss = sum((x * torch.randn(x.shape, generator=generator)).sum() for x in encoding)
    loss.backward()
    still = [n for n, p in encoder.named_parameters() if p.grad is None or not p.grad.any()]
    # with a view the start is unknown, so nothing lies on a side of it
    assert still == (["sides.weight"] if view == "partial" else [])


def test_turning_the_world_changes_nothing_and_moving_an_object_does():
    observations = batch().observations
    x, y, heading = observations["agent"][0, 0, AGENT["pose"]].tolist()
    around = turned(observations)
    x, y, heading = around["agent"][0, 0, AGENT["pose"]].tolist()
    dx, dy = HEADINGS[heading]
    front = observations["agent"][0, 0, AGENT["front"]]
    assert around["map"][0, x + dx, y + dy].tolist() == front.tolist()  # the test turns it rightly
    encoder = config_for(observations).build().eval()
    with torch.no_grad():
        plain, other = encoder.encode(observations), encoder.encode(around)
        for a, b in zip(plain, other):
            assert torch.allclose(a, b, atol=1e-5)
        emptied = observations["map"].clone()
        emptied[:, 1:-1, 1:-1] = torch.tensor([1, 0, 0], dtype=emptied.dtype)
        assert not torch.allclose(
            encoder.encode({**observations, "map": emptied}).summary, plain.summary, atol=1e-3
        )


def test_a_step_does_not_depend_on_the_steps_beside_it():
    windows = batch()
    encoder = config_for(windows.observations).build().eval()
    agent = windows.observations["agent"].clone()
    agent[:, 3:] = agent[:, :1]
    with torch.no_grad():
        before = encoder.encode(windows.observations)
        after = encoder.encode({**windows.observations, "agent": agent})
    assert torch.allclose(before.steps[:, :3], after.steps[:, :3], atol=1e-6)
    assert not torch.allclose(before.steps[:, 3:], after.steps[:, 3:], atol=1e-3)


def test_where_the_words_look_can_be_recorded():
    windows = batch()
    encoder, record = config_for(windows.observations).build(), MapRecord()
    encoder.encode(windows.observations, record)
    assert record.attention.shape == (6, encoder.config.queries, 8, 8)
    assert (record.attention >= 0).all() and (record.attention.sum((2, 3)) <= 1 + 1e-5).all()
    assert record.word_attention.shape[0] == 6 and record.values.shape == record.attention.shape


def test_vectors_are_standardized():
    states = torch.tensor([[1.0, 5.0], [3.0, 5.0]])
    encoder = FlatEncoder(FlatEncoderConfig(2, width=4))
    encoder.fit(states)
    encoding = encoder.encode({"state": states[None]})
    centered = torch.tensor([[[-1.0, 0.0], [1.0, 0.0]]])
    assert torch.allclose(encoding.steps, encoder.linear(centered))
    assert encoding.context.shape == (1, 1, 4)


def test_configs_come_from_observations_and_from_cards():
    windows = batch()
    config = config_for(windows.observations, queries=2)
    assert config_from({**vars(config)}) == config
    assert config_for({"state": torch.zeros(1, 1, 3)}) == FlatEncoderConfig(3)
    with pytest.raises(ValueError, match="no encoder for observations with pixels"):
        config_for({"pixels": torch.zeros(1)})
