"""Words on the grid: what is named is found, shares are whole, and words can be exchanged."""

import pytest
import torch

from seqrl import dt_attention, mission_words
from seqrl.environments.missions import decode_mission, encode_mission
from seqrl.grid_encoder import GridEncoderConfig
from seqrl.windows import Windows

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def firsts():
    seen = dt_attention.held_out("GoToLocalS7N5", 20)
    return Windows(seen, 1)(seen.offsets[:-1])


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return GridEncoderConfig(width=16).build()


def test_what_a_mission_names():
    said = ["go to the red ball", "pick up a grey key behind you", "done"]
    tokens = torch.stack([torch.from_numpy(encode_mission(x)) for x in said])
    assert mission_words.named(tokens).tolist() == [[6, 0], [5, 5], [-1, -1]]


def test_parts_are_apart_and_the_named_thing_is_there(firsts):
    parts = mission_words.cells(firsts, mission_words.named(firsts.observations["mission"]))
    things = firsts.observations["map"][..., 0] >= 4
    assert torch.equal(sum(part.int() for part in parts.values()), things.int())
    assert parts["named thing"].any((1, 2)).all()


def test_shares_are_whole(firsts, encoder):
    parts = mission_words.cells(firsts, mission_words.named(firsts.observations["mission"]))
    looks = mission_words.looks(encoder, firsts)
    for attention in (looks.attention, looks.word_attention):
        found = mission_words.shares(attention, parts)
        total = sum(found.values())
        assert set(found) == set(mission_words.PARTS)
        assert torch.allclose(total, torch.ones_like(total), atol=1e-5)
    even = mission_words.even(firsts, parts)
    assert torch.allclose(even["nothing"], torch.zeros_like(even["nothing"]), atol=1e-5)
    share = parts["named thing"].sum((1, 2)) / sum(p.sum((1, 2)) for p in parts.values())
    assert torch.allclose(even["named thing"][:, 0], share, atol=1e-5)


def test_exchanged_words_name_another_thing(firsts):
    swapped, things = mission_words.exchanged(firsts, torch.Generator().manual_seed(0))
    said = swapped.observations["mission"]
    assert len(said) == len(things) == len(swapped.actions) > 0
    assert torch.equal(mission_words.named(said), things)
    assert mission_words.cells(swapped, things)["named thing"].any((1, 2)).all()
    parts = mission_words.cells(firsts, mission_words.named(firsts.observations["mission"]))
    kept = parts["other things"].any(2).any(1)
    for before, after in zip(firsts.observations["mission"][kept], said, strict=True):
        words = [decode_mission(x.numpy()).split() for x in (before, after)]
        assert sum(a != b for a, b in zip(*words)) == 2 and words[0][:2] == words[1][:2]
