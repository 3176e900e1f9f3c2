"""Attention maps: measures against maps computed by hand, recording, controls, interventions."""

import math

import pytest
import torch
from torch import Tensor, nn

from seqrl import attention_maps
from seqrl.attention_maps import Maps
from seqrl.interventions import hidden, resampled
from seqrl.transformer import Transformer, TransformerConfig, causal_mask

CAUSAL = torch.tensor([[1.0, 0, 0], [0.25, 0.75, 0], [0.5, 0.3, 0.2]])  # one map, three tokens
BOTH = torch.tensor([[0.2, 0.8, 0], [0, 0, 1.0], [0.5, 0.5, 0]])
T, WIDTH = 6, 8


def maps(*heads: Tensor, mask: Tensor | None = None) -> Maps:
    return Maps(torch.stack(heads)[None], causal_mask(3) if mask is None else mask)


def one(values: Tensor) -> float:
    """The number of a single window and head."""
    assert values.shape == (1, 1)
    return values.item()


class Method(nn.Module):
    """A model around a trunk, as all methods are: tokens in, a loss out."""

    def __init__(self, read=slice(None), mask="causal") -> None:
        super().__init__()
        torch.manual_seed(0)
        self.read, self.mask = read, mask
        self.trunk = Transformer(TransformerConfig(layers=2, heads=2, width=WIDTH))
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.add_(torch.randn_like(parameter))

    def loss(self, batch):
        return self.trunk(batch, self.mask, read=self.read).square().mean(), {}


def batch(B: int = 4, seed: int = 0, tokens: int = T) -> Tensor:
    return torch.randn(B, tokens, WIDTH, generator=torch.Generator().manual_seed(seed))


# Measures


def test_band_mass_is_a_mean_over_the_queries_that_can_look_there():
    shown = maps(CAUSAL)
    band = attention_maps.offset_band(shown, 1)
    assert band.tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0]]
    assert one(attention_maps.band_mass(shown, band)) == pytest.approx((0.25 + 0.3) / 2)
    both = attention_maps.offset_band(shown, 0, 2)
    assert one(attention_maps.band_mass(shown, both)) == pytest.approx((1 + 0.75 + 0.7) / 3)
    nowhere = attention_maps.offset_band(shown, -1)  # the mask hides the future
    assert attention_maps.band_mass(shown, nowhere).isnan().all()


def test_windows_and_heads_are_measured_apart():
    weights = torch.stack([torch.stack([CAUSAL, torch.eye(3)]), torch.stack([torch.eye(3)] * 2)])
    band = torch.stack([causal_mask(3) & ~torch.eye(3).bool(), torch.eye(3).bool()])
    found = attention_maps.band_mass(Maps(weights, causal_mask(3)), band)
    assert torch.allclose(found, torch.tensor([[(0.25 + 0.8) / 2, 0], [1, 1]]))


def test_column_mass_shares_sum_to_one():
    found = attention_maps.column_mass(maps(CAUSAL), ["R", "s", "R"])
    assert list(found) == ["R", "s"]
    assert one(found["R"]) == pytest.approx((1 + 0.25 + 0.7) / 3)
    assert one(found["R"] + found["s"]) == pytest.approx(1)


def test_labels_may_differ_by_window_and_by_query():
    two = Maps(torch.stack([CAUSAL, CAUSAL])[:, None], causal_mask(3))
    found = attention_maps.column_mass(two, [[0, 1, 1], [1, 1, 0]])
    assert torch.allclose(found[0], torch.tensor([[1.75 / 3], [0.2 / 3]]))
    by_query = torch.zeros(2, 3, 3, dtype=torch.long)
    by_query[:, 2, 1] = 7
    assert torch.allclose(attention_maps.column_mass(two, by_query)[7], torch.full((2, 1), 0.3 / 3))


def test_mass_by_distance_and_direction():
    everything = torch.ones(3, 3, dtype=torch.bool)
    shown = maps(BOTH, mask=everything)
    found = attention_maps.distance_mass(shown)
    assert sorted(found) == [-2, -1, 0, 1, 2]
    assert one(found[-1]) == pytest.approx((0.8 + 1.0) / 2)
    assert one(found[2]) == pytest.approx(0.5)
    ways = attention_maps.direction_mass(shown)
    assert one(ways["past"]) == pytest.approx((0 + 0 + 1) / 3)
    assert one(ways["self"]) == pytest.approx(0.2 / 3)
    assert one(ways["future"]) == pytest.approx(1.8 / 3)
    assert sorted(attention_maps.distance_mass(maps(CAUSAL))) == [0, 1, 2]


def test_distances_count_from_the_tokens_that_ask():
    last = Maps(CAUSAL[None, None, 1:], causal_mask(3)[1:], torch.tensor([1, 2]))
    found = attention_maps.distance_mass(last)
    assert one(found[0]) == pytest.approx((0.75 + 0.2) / 2)
    assert one(found[2]) == pytest.approx(0.5)


def test_entropy_of_a_lookup_is_zero_and_of_uniform_attention_one():
    assert one(attention_maps.entropy(maps(torch.eye(3)))) == 0
    even = maps(CAUSAL).uniform()
    assert one(attention_maps.entropy(even)) == pytest.approx((math.log(2) + math.log(3)) / 3)
    assert one(attention_maps.entropy(even, relative=True)) == pytest.approx(1)
    assert 0 < one(attention_maps.entropy(maps(CAUSAL), relative=True)) < 1


def test_without_column_0_rows_sum_to_1_again():
    left = maps(CAUSAL).without_first()
    assert left.weights[0, 0].tolist()[1:] == [[0, 1, 0], pytest.approx([0, 0.6, 0.4])]
    assert not left.mask[0, 0].any()  # the first token saw nothing else: it no longer counts
    assert one(attention_maps.direction_mass(left)["self"]) == pytest.approx((1 + 0.4) / 2)


def test_only_the_chosen_queries_count():
    chosen = torch.tensor([False, False, True])
    asked = maps(CAUSAL).where(chosen)
    assert one(attention_maps.direction_mass(asked)["past"]) == pytest.approx(0.8)
    padded = Maps(torch.stack([CAUSAL, CAUSAL])[:, None], causal_mask(3))
    padded = padded.where(torch.tensor([[True, True, False], [False, False, False]]))
    self_mass = attention_maps.direction_mass(padded)["self"].flatten()
    assert self_mass[0] == pytest.approx(1.75 / 2) and self_mass[1].isnan()


def test_uniform_attention_covers_the_visible_keys():
    even = maps(CAUSAL).uniform().weights[0, 0]
    assert torch.allclose(even, torch.tensor([[1, 0, 0], [0.5, 0.5, 0], [1 / 3, 1 / 3, 1 / 3]]))


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: Maps(CAUSAL, causal_mask(3)), r"\(B, heads, Q, T\)"),
        (lambda: Maps(CAUSAL[None, None], causal_mask(4)), "a mask is bool"),
        (lambda: Maps(CAUSAL[None, None], causal_mask(3).float()), "a mask is bool"),
        (lambda: Maps(CAUSAL[None, None, 1:], causal_mask(3)[1:]), "which tokens ask"),
        (lambda: Maps(CAUSAL[None, None, 1:], causal_mask(3)[1:], torch.tensor([1, 3])), "0 to 2"),
        (lambda: Maps(BOTH[None, None], causal_mask(3)), "hides a key"),
        (lambda: Maps(7 * CAUSAL[None, None], causal_mask(3)), "more than 1"),
        (lambda: attention_maps.column_mass(maps(CAUSAL), ["R", "", "a"]), "token at 1 has no"),
        (lambda: attention_maps.column_mass(maps(CAUSAL), ["R", None, "a"]), "has no label"),
        (lambda: attention_maps.column_mass(maps(CAUSAL), ["R", "s"]), r"labels are \(3,\)"),
        (lambda: attention_maps.band_mass(maps(CAUSAL), torch.ones(2, 3).bool()), "a band is"),
        (lambda: attention_maps.band_mass(maps(CAUSAL), torch.ones(3, 3)), "a band is bool"),
        (lambda: maps(CAUSAL).where(torch.ones(2).bool()), "`asked` is bool"),
        (lambda: attention_maps.interval(torch.full((3, 1), math.nan)), "no window"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_sentence(make, word):
    with pytest.raises(ValueError, match=word):
        make()


# Intervals


def test_the_interval_is_over_windows_and_tightens_with_them():
    torch.manual_seed(0)
    few, many = torch.rand(20, 2), torch.rand(2000, 2)
    narrow, wide = attention_maps.interval(many), attention_maps.interval(few)
    assert narrow.low < 0.5 < narrow.high
    assert narrow.high - narrow.low < 0.25 * (wide.high - wide.low)
    assert wide.estimate == pytest.approx(few.mean().item())
    holed = torch.cat([few, torch.full((5, 2), math.nan)])
    assert attention_maps.interval(holed) == wide


def test_several_networks_share_one_interval():
    a, b = torch.zeros(50, 1), torch.ones(50, 1)
    assert attention_maps.interval(a, b) == (0.5, 0.5, 0.5)


def test_the_table_has_a_row_for_each_measure_and_source():
    shown = Maps(torch.stack([CAUSAL, torch.eye(3)])[:, None], causal_mask(3))
    band = torch.eye(3).bool()
    rows = attention_maps.table(
        {"self": lambda m: attention_maps.band_mass(m, band)},
        {"trained": [shown, shown], "uniform": shown.uniform()},
    )
    assert [(row["maps"], row["windows"]) for row in rows] == [("trained", 4), ("uniform", 2)]
    assert rows[0]["estimate"] == pytest.approx((1.95 / 3 + 1) / 2)
    assert rows[0]["low"] <= rows[0]["estimate"] <= rows[0]["high"]


# Recording


def test_every_layer_is_recorded_over_all_batches():
    model = Method().train()
    layers = attention_maps.record(model, [batch(4), batch(2, seed=1)])
    assert [tuple(layer.weights.shape) for layer in layers] == [(6, 2, T, T)] * 2
    assert torch.allclose(layers[1].weights.sum(-1), torch.ones(6, 2, T))
    assert layers[0].mask.shape == (1, T, T)
    assert model.training and not layers[0].weights.requires_grad
    again = attention_maps.record(model, [batch(4), batch(2, seed=1)])
    assert torch.equal(layers[0].weights, again[0].weights)  # no dropout while recording


def test_tokens_read_and_masks_of_each_window_are_noted():
    seen = causal_mask(T).repeat(4, 1, 1, 1)
    seen[1, :, :, 2] = False
    seen[1, 0, 2, 2] = True
    *_, last = attention_maps.record(Method(slice(1, None, 3), seen), [batch()])
    assert last.queries.tolist() == [1, 4]
    assert torch.equal(last.mask, seen[:, 0, 1::3])


def test_recording_leaves_no_trace():
    model = Method().eval()
    before = model.loss(batch())[0]
    attention_maps.record(model, [batch()])
    with hidden(model, torch.arange(T) == 0), resampled(model, torch.Generator()):
        assert model.loss(batch())[0] != before
    assert model.loss(batch())[0] == before
    with pytest.raises(ZeroDivisionError), hidden(model, torch.arange(T) == 0):
        1 / 0  # noqa: B018
    assert model.loss(batch())[0] == before


def test_models_that_cannot_be_recorded_are_refused():
    with pytest.raises(ValueError, match="Linear has 0 trunks"):
        attention_maps.record(nn.Linear(2, 2), [batch()], run=print)
    with pytest.raises(ValueError, match="nothing was recorded"):
        attention_maps.record(Method(), [])
    with pytest.raises(ValueError, match="calls differ"):
        attention_maps.record(Method(), [batch(), batch(tokens=T - 1)])
    model = Method()
    with pytest.raises(ValueError, match="without a cache"):
        attention_maps.record(
            model, [batch()], run=lambda x: model.trunk(x, cache=model.trunk.cache(4, T))
        )


# Interventions


def test_hidden_columns_get_no_attention_and_nothing_else_is_said_of_them():
    model = Method().eval()
    away = torch.zeros(T, dtype=torch.bool)
    away[2] = True
    with hidden(model, away):
        layer = attention_maps.record(model, [batch()])[0]
    assert layer.weights[..., 2].max() == 0
    assert not layer.mask[..., 2].any()
    changed = batch()
    changed[:, 2] = 5.0
    with torch.no_grad(), hidden(model, away):
        a, b = model.trunk(batch()), model.trunk(changed)
    keep = ~away
    assert torch.equal(a[:, keep], b[:, keep]) and not torch.equal(a[:, 2], b[:, 2])


def test_columns_may_be_hidden_window_by_window_and_query_by_query():
    model = Method().eval()
    each = torch.zeros(4, T, dtype=torch.bool)
    each[1, 0] = True
    with hidden(model, each):
        layer = attention_maps.record(model, [batch()])[0]
    assert layer.weights[1, :, 1:, 0].max() == 0 and layer.weights[0, :, 1:, 0].min() > 0
    assert layer.weights[1, :, 0, 0].min() == 1  # it would see nothing: it sees itself
    query = torch.zeros(4, T, T, dtype=torch.bool)
    query[:, 3, 1] = True
    with hidden(model, query):
        layer = attention_maps.record(model, [batch()])[0]
    assert layer.weights[:, :, 3, 1].max() == 0 and layer.weights[:, :, 4, 1].min() > 0


def test_resampled_tokens_come_from_other_windows_at_the_same_place():
    model, got = Method(), []
    model.trunk.dropout.register_forward_pre_hook(lambda module, args: got.append(args[0]))
    tokens = torch.arange(4.0)[:, None, None] * 10 + torch.arange(T)[:, None]
    tokens = tokens.expand(4, T, WIDTH)
    columns = torch.arange(T) == 2
    with resampled(model, torch.Generator().manual_seed(0), columns):
        model.loss(tokens)
    assert torch.equal((got[-1] != tokens).any(-1), columns.expand(4, T))
    assert (got[-1][:, 2, 0] % 10 == 2).all()
    with resampled(model, torch.Generator().manual_seed(0)):
        model.loss(tokens)
    assert (got[-1] != tokens).all()
    assert torch.equal(got[-1].sort(0).values, tokens)  # every place keeps what it may hold


@pytest.mark.parametrize(
    ("use", "word"),
    [
        (lambda m: hidden(m, torch.zeros(T)), "columns are bool"),
        (lambda m: hidden(m, torch.zeros(T - 1).bool()), "columns are bool"),
        (lambda m: resampled(m, torch.Generator(), torch.zeros(4, T, T).bool()), "columns are"),
    ],
)
def test_columns_that_do_not_fit_are_refused(use, word):
    model = Method()
    with pytest.raises(ValueError, match=word), use(model):
        model.loss(batch())


def test_one_window_cannot_be_resampled_and_a_cache_cannot_be_hidden_from():
    model = Method().eval()
    with pytest.raises(ValueError, match="other windows"), resampled(model, torch.Generator()):
        model.loss(batch(1))
    with pytest.raises(ValueError, match="cache"), hidden(model, torch.zeros(1).bool()):
        model.trunk(batch(2, tokens=1), cache=model.trunk.cache(2, T))


def test_controls_hold_the_trained_map_against_three_others():
    model, untrained = Method(), Method()
    found = attention_maps.controls(model, untrained, [batch(8)])
    assert list(found) == ["trained", "shuffled", "untrained", "uniform"]
    assert torch.equal(found["trained"].weights, found["untrained"].weights)  # the same here
    assert not torch.equal(found["trained"].weights, found["shuffled"].weights)
    assert torch.equal(found["uniform"].weights, found["trained"].uniform().weights)
    again = attention_maps.controls(model, untrained, [batch(8)])
    assert torch.equal(found["shuffled"].weights, again["shuffled"].weights)
    first = attention_maps.controls(
        model, untrained, [batch(8)], layer=0, run=lambda network: network.trunk
    )
    assert torch.equal(
        first["trained"].weights, attention_maps.record(model, [batch(8)])[0].weights
    )
