"""Chapter 4: each of its labeled equations holds in numbers."""

import numpy as np
import pytest
import torch

from seqrl import tokens, transitions
from seqrl.beam_search import BeamSearch, plan
from seqrl.behavior import ShortestPath
from seqrl.environments import make_envs
from seqrl.experiments import untrained
from seqrl.rollout import rollout
from seqrl.trajectory_transformer import TrajectoryTransformerConfig
from seqrl.transformer import TransformerConfig

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def data():
    envs = make_envs("GoToLocalS7N5", 2)
    return rollout(ShortestPath(envs, epsilon=0.3), envs, 12, seed=0)


@pytest.fixture(scope="module")
def model(data):
    trunk = TransformerConfig(layers=1, width=16, activation="gelu")
    return untrained(TrajectoryTransformerConfig.for_data(data, context=4, trunk=trunk), 0).eval()


@pytest.mark.parametrize("kind", [tokens.uniform, tokens.quantile])
def test_eq_tt_bins(kind):
    x = torch.randn(500, generator=torch.Generator().manual_seed(0)).exp()
    bins = kind(x, 12)
    discretizer = tokens.Discretizer([bins])
    token = discretizer.encode(x[:, None])
    back = discretizer.decode(token)[:, 0].numpy()
    edges, i = np.array(bins.edges), token[:, 0].numpy()
    assert np.allclose(back, (edges[i] + edges[i + 1]) / 2, atol=1e-6)
    assert (np.abs(x.numpy() - back) <= (edges[i + 1] - edges[i]) / 2 + 1e-5).all()


def test_eq_tt_sequence(data, model):
    batch = model.sample(data, 5, torch.Generator().manual_seed(0))
    sentence, layout = model.tokens(batch).flatten(1), model.layout
    decoded = model.discretizer.center(model.tokens(batch), slice(None))
    real = batch.mask
    assert sentence.shape == (5, 4 * layout.C)
    assert torch.equal(decoded[..., layout.N][real], batch.actions[real].float())
    assert torch.equal(decoded[..., layout.reward][real], batch.rewards[real])
    assert torch.equal(sentence[:, layout.C], model.tokens(batch)[:, 1, 0])


def test_eq_tt_value(data):
    g = 0.9
    following = transitions.values(data, g).numpy()
    for e in range(len(data)):
        start, end = data.offsets[e : e + 2].tolist()
        r, V = data.rewards[start:end].numpy(), following[start:end]
        whole = (g ** np.arange(len(r))) @ r
        for H in range(len(r)):
            so_far = (g ** np.arange(H + 1)) @ r[: H + 1]
            assert so_far + g ** (H + 1) * V[H] == pytest.approx(whole, abs=1e-4)
            rest = r[H + 1 :]
            assert V[H] == pytest.approx((g ** np.arange(len(rest))) @ rest, abs=1e-4)


def test_eq_tt_loss(data, model):
    batch = model.sample(data, 6, torch.Generator().manual_seed(1))
    words, C = model.tokens(batch), model.layout.C
    with torch.no_grad():
        logits = model(words.flatten(1)[:, :-1], model.world(batch.observations))
        loss = float(model.loss(batch)[0])
    total, n = 0.0, 0
    for b in range(6):
        for i in range(1, 4 * C):
            t, column = divmod(i, C)
            ended = t > 0 and column == 0 and bool(batch.terminations[b, t - 1])
            if batch.mask[b, t] or ended:
                weight = 5 if column == model.layout.N else 1
                total -= weight * float(logits[b, i - 1].log_softmax(-1)[words[b, t, column]])
                n += 1
    assert loss == pytest.approx(total / n, rel=1e-5)


def test_eq_tt_plan(data, model):
    batch = model.sample(data, 1, torch.Generator().manual_seed(2))
    zero = torch.zeros(1, 1)
    now = {k: x if k in ("map", "mission") else x[:, :1] for k, x in batch.observations.items()}
    prefix = model.prefix(now, zero.long(), zero, torch.zeros(1, dtype=torch.long))
    search = BeamSearch(beam=3, expand=2, horizon=3, discount=0.9)
    draws = torch.rand(1, 3, 6, 1, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        found = plan(model, prefix, search, draws)
        N, C, layout = model.layout.N, model.layout.C, model.layout
        for b in range(3):
            flat, worth = found.tokens[0, b].flatten(), 0.0
            logits = model(flat[None], prefix.world)[0]  # of the token after each
            if (flat == model.stop).any():
                continue

            def mean(column, t, logits=logits):
                p = logits[t * C + column - 1, : model.stop].softmax(-1)
                return float(model.discretizer.expectation(p, column))

            for t in range(3):
                worth += 0.9**t * mean(layout.reward, t)
            worth += 0.9**3 * mean(layout.value, 2)
            assert float(found.value[0, b]) == pytest.approx(worth, abs=1e-4)
    assert N == 4
