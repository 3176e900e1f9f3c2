"""Chapter 2: each of its labeled equations holds in numbers, and its masks are what it says."""

import math
import re
from pathlib import Path

import pytest
import torch

from seqrl.attention_maps import Maps, band_mass
from seqrl.transformer import Block, Transformer, TransformerConfig, attention, causal_mask

TEXT = (Path(__file__).parents[1] / "book" / "02-transformer.md").read_text("utf8")
T, D = 7, 12


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def projections():
    return torch.randn(3, T, D).double()


def test_eq_attention_score_and_eq_attention_weight_and_eq_attention_output():
    q, k, v = projections()
    outputs, weights = attention(q, k, v, "bidirectional")
    for i in range(T):
        scores = [sum(q[i, n] * k[j, n] for n in range(D)) / math.sqrt(D) for j in range(T)]
        total = sum(math.exp(s) for s in scores)
        row = [math.exp(s) / total for s in scores]
        assert torch.allclose(weights[i], torch.tensor(row).double(), atol=1e-6)
        output = sum(row[j] * v[j] for j in range(T))
        assert torch.allclose(outputs[i], output, atol=1e-6)
    assert torch.allclose(weights.sum(-1), torch.ones(T).double())


def test_eq_attention_mask():
    q, k, v = projections()
    mask = causal_mask(T, hidden_columns=slice(2, None, 3))
    scores = q @ k.T / math.sqrt(D)
    for i in range(T):
        for j in range(T):
            if not mask[i, j]:
                scores[i, j] = -math.inf
    _, weights = attention(q, k, v, mask)
    assert torch.allclose(weights, scores.softmax(-1))
    assert (weights[~mask] == 0).all() and (weights[mask] > 0).all()


def trunk(**sizes):
    return Transformer(TransformerConfig(**{"layers": 2, "width": D, **sizes})).double().eval()


def test_eq_permutation():
    f, x, order = trunk(), torch.randn(1, T, D).double(), torch.randperm(T)
    assert torch.allclose(f(x[:, order], "bidirectional"), f(x, "bidirectional")[:, order])
    assert not torch.allclose(f(x[:, order], "causal"), f(x, "causal")[:, order])


def test_eq_block():
    block = Block(TransformerConfig(width=D), layer=0).double().eval()
    x = torch.randn(1, T, D).double()
    branch = block.attention(block.attention_norm(x), "causal", slice(None), None, None)
    h = x + branch
    expected = h + block.mlp(block.mlp_norm(h))
    assert torch.allclose(block(x, "causal", slice(None), None, None), expected)
    alone = block.mlp(block.mlp_norm(h[:, 3:4]))  # the MLP acts on every token alone
    assert torch.allclose(expected[:, 3:4], h[:, 3:4] + alone)


@pytest.mark.parametrize(
    ("L", "width", "r", "heads"), [(1, 8, 4, 2), (3, 128, 4, 1), (2, 24, 2, 3)]
)
def test_eq_parameters(L, width, r, heads):
    model = trunk(layers=L, width=width, mlp_ratio=r, heads=heads)
    counted = sum(p.numel() for p in model.parameters())
    assert counted == L * ((4 + 2 * r) * width**2 + (8 + r) * width) + 2 * width


def test_eq_decoding_cost():
    model, x, passed = trunk(), torch.randn(1, T, D).double(), []
    model.blocks[0].register_forward_pre_hook(lambda module, args: passed.append(args[0].shape[1]))
    for t in range(1, T + 1):
        model(x[:, :t])
    assert sum(passed) == T * (T + 1) / 2
    passed.clear()
    cache = model.cache(1, T)
    for t in range(T):
        model(x[:, t : t + 1], cache=cache)
    assert sum(passed) == T


def test_eq_band_mass():
    _, weights = attention(*projections(), "causal")
    band = torch.rand(T, T) < 0.3
    asked = [i for i in range(T) if any(band[i, j] for j in range(i + 1))]
    by_hand = sum(weights[i, j] for i in asked for j in range(T) if band[i, j]) / len(asked)
    maps = Maps(weights[None, None], causal_mask(T))
    assert band_mass(maps, band).item() == pytest.approx(by_hand.item())


def test_eq_causal_ceiling():
    places, V, windows = 16, 10, 4000
    x = torch.randint(V, (windows, places))
    answer = x.flip(1)
    best = torch.randint(V, x.shape)  # a guess, where the answer is not in sight
    seen = torch.arange(places) >= places - 1 - torch.arange(places)
    best[:, seen] = answer[:, seen]
    right = (best == answer).double().mean().item()
    assert right == pytest.approx(1 / 2 + 1 / (2 * V), abs=0.01)


def test_every_labeled_equation_has_a_test():
    labels = re.findall(r"^\$\$ \((eq-[\w-]+)\)$", TEXT, re.M)
    assert len(labels) == len(set(labels)) == 10
    tests = " ".join(name for name in globals() if name.startswith("test_eq"))
    for label in labels:
        assert label.replace("-", "_") in tests, label


def test_the_dice_leak_leaves_the_last_throw_unseen():
    """The loss of the network with the wrong mask is ln 6 / 15, as the page says."""
    leaky = torch.ones(15, 15, dtype=torch.bool).tril(1)
    target_seen = [i + 1 < 15 and bool(leaky[i, i + 1]) for i in range(15)]
    assert target_seen == [True] * 14 + [False]
    assert round(math.log(6) / 15, 2) == 0.12
    assert r"$\ln 6 / 15 = 0.12$" in TEXT


def test_the_rhythm_of_the_page():
    cells = re.findall(r"^```\{code-cell\}.*?\n(.*?)^```$", TEXT, re.M | re.S)
    bare = [
        re.sub(r"\A---\n.*?^---\n|\A(:[^\n]*\n)+", "", cell, flags=re.M | re.S) for cell in cells
    ]
    sizes = sorted(len([line for line in cell.splitlines() if line.strip()]) for cell in bare)
    assert 15 <= len(cells) <= 30 and sizes[-1] <= 30
    assert 6 <= sizes[len(sizes) // 2] <= 12
    assert all(len(line) <= 79 for cell in bare for line in cell.splitlines())
    assert not re.search(r"^```\n\n```\{code-cell\}", TEXT, re.M)
