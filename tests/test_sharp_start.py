"""Starting weights: waves for places, loud words, and queries and keys that are sharper."""

import copy

import pytest
import torch
from torch import nn

from seqrl.sharp_start import SHARPER, START, sharp_start
from seqrl.transformer import Transformer, TransformerConfig

PLACES, D = 12, 32


@pytest.fixture(scope="module")
def started():
    torch.manual_seed(0)
    words, places = [nn.Embedding(500, D), nn.Embedding(300, D)], nn.Embedding(PLACES, D)
    trunk = Transformer(TransformerConfig(layers=2, heads=2, width=D))
    before = copy.deepcopy(trunk)
    sharp_start(words, places, trunk)
    return words, places, dict(trunk.named_parameters()), dict(before.named_parameters())


def test_two_places_are_as_alike_as_they_are_near_wherever_they_are(started):
    x = started[1].weight.detach()
    alike = x @ x.T
    for away in range(PLACES):
        along = alike.diagonal(away)
        torch.testing.assert_close(along, along[:1].expand_as(along), rtol=0, atol=1e-4)
    assert alike[0, 0] == pytest.approx(START**2 * D / 2, rel=1e-5)
    assert alike[0, 0] > alike[0, 1] > alike[0, 2] > alike[0, 3]  # so they can be told apart


def test_every_vocabulary_is_of_one_size(started):
    for words in started[0]:
        assert words.weight.std().item() == pytest.approx(START, rel=0.05)


def test_queries_and_keys_are_sharper_and_nothing_else_has_changed(started):
    *_, after, before = started
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    assert len(changed) == 2 * 2
    for name in changed:
        assert name.endswith(("query.weight", "key.weight"))
        torch.testing.assert_close(after[name], SHARPER * before[name])
