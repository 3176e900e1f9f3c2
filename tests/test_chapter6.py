"""Chapter 6: each of its labeled equations holds in numbers."""

import pytest
import torch

from seqrl import attention_maps, attributions, claims, dt_attention
from seqrl.attention_maps import Maps
from seqrl.decision_transformer import DecisionTransformerConfig
from seqrl.experiments import untrained
from seqrl.transformer import TransformerConfig, causal_mask

torch.set_num_threads(1)
K = 3


@pytest.fixture(scope="module")
def batch():
    return dt_attention.draw(dt_attention.held_out("GoToLocalS7N5", 8), K, 12)[0]


@pytest.fixture(scope="module")
def model(batch):
    from seqrl import datasets

    data = datasets.collect("GoToLocalS7N5", "expert", 8, processes=1, progress=False)
    trunk = TransformerConfig(layers=3, heads=2, width=16)
    model = untrained(DecisionTransformerConfig.for_data(data, context=K, trunk=trunk), 0)
    for name, parameter in model.named_parameters():
        if "weight" in name and parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=0.5, generator=torch.Generator().manual_seed(1))
    return model.eval()


def test_eq_share(model, batch):
    found = claims.layer_maps("DT", model, model, [batch], layer=1)["trained"]
    shares = claims.measure("DT", model)(found)
    for b in range(3):
        for h in range(2):
            queries = [t for t in range(K) if batch.mask[b, t]]
            by_hand = sum(
                float(found.weights[b, h, t, j]) for t in queries for j in range(0, 3 * K, 3)
            )
            assert float(shares[b, h]) == pytest.approx(by_hand / len(queries), abs=1e-5)


def test_eq_rollout(model, batch):
    layers = attention_maps.record(model, [batch])
    found = attributions.rollout(layers)
    b, T = 1, 3 * K
    product = torch.eye(T)
    for maps in layers[:-1]:
        product = 0.5 * (maps.weights[b].mean(0) + torch.eye(T)) @ product
    last = layers[-1].weights[b].mean(0)  # of the state tokens alone
    by_hand = 0.5 * (last + torch.eye(T)[1::3]) @ product
    assert torch.allclose(found[b], by_hand, atol=1e-6)
    assert torch.allclose(found.sum(-1), torch.ones(len(found), K), atol=1e-5)
    with pytest.raises(ValueError, match="at least one layer"):
        attributions.rollout([])


def test_eq_gradient_weighted(model, batch):
    """Against differences: one weight of the last layer is raised by hand."""
    import seqrl.transformer as transformer

    answer = attributions.likeliest(model)
    found = attributions.gradient_weighted(model, batch, answer)
    weights = attention_maps.record(model, [batch])[-1].weights
    plain, calls, epsilon = transformer.attention, [], 1e-2
    b, q = 0, 2

    def raised(q_, k, v, mask):
        out, A = plain(q_, k, v, mask)
        calls.append(A)
        if len(calls) % 3 == 0:  # the last of three layers
            A = A.clone()
            A[b, h, q, j] += epsilon
            out = A @ v
        return out, A

    def value():
        def note(call):
            call["record"] = transformer.Record()

        with torch.no_grad(), attributions.changed(model, note):
            return float(answer(batch)[b, q])

    before, useful = value(), torch.zeros(2, 3 * K)
    transformer.attention = raised
    try:
        for h in range(2):
            for j in range(3 * q + 2):
                slope = (value() - before) / epsilon
                useful[h, j] = max(0.0, float(weights[b, h, q, j]) * slope)
    finally:
        transformer.attention = plain
    by_hand = useful.mean(0) / useful.mean(0).sum()
    assert torch.allclose(found[b, q], by_hand, atol=0.02)


def test_rows_of_pictures_sum_to_one_or_nothing(model, batch):
    found = attributions.gradient_weighted(model, batch, attributions.likeliest(model)).sum(-1)
    assert (((found - 1).abs() < 1e-4) | (found.abs() < 1e-6)).all()
    assert all(p.grad is None for p in model.parameters())


def test_a_mean_map_counts_only_queries_that_count():
    weights = torch.zeros(2, 1, 2, 2)
    weights[0, 0] = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    weights[1, 0] = torch.tensor([[1.0, 0.0], [0.1, 0.9]])
    maps = Maps(weights, causal_mask(2)).where(torch.tensor([[True, True], [True, False]]))
    assert torch.allclose(claims.mean_map(maps), torch.tensor([[1.0, 0.0], [0.5, 0.5]]))
