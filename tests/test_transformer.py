"""The trunk: masks that hide what they say, fast paths that equal the plain one."""

import pytest
import torch
from torch import Tensor

from seqrl.transformer import (
    Dropout,
    Record,
    Transformer,
    TransformerConfig,
    attention,
    causal_mask,
    fused_attention,
)

B, T, D = 3, 10, 16
HIDDEN = slice(4, None, 5)  # as the value columns of a transition of five tokens
CONFIGS = [
    TransformerConfig(layers=3, heads=1, width=D),
    TransformerConfig(layers=2, heads=4, width=D, activation="gelu"),
]


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def trunk(config: TransformerConfig = CONFIGS[1]) -> Transformer:
    """A trunk in evaluation mode whose weights are large enough for attention to matter."""
    torch.manual_seed(0)
    model = Transformer(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def tokens(seed: int = 1) -> Tensor:
    return torch.randn(B, T, D, generator=torch.Generator().manual_seed(seed))


def moved(model: Transformer, mask, token: int) -> Tensor:
    """Which tokens' outputs move when one token's input is changed, (T,) bool."""
    x = tokens()
    y = x.clone()
    y[:, token] += 1.0
    with torch.no_grad():
        return (model(x, mask) != model(y, mask)).any(-1).any(0)


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("token", [0, 4, T - 1])
def test_only_the_bidirectional_mask_lets_a_token_see_later_ones(config, token):
    model = trunk(config)
    for mask in ("causal", causal_mask(T), causal_mask(T, HIDDEN)):
        assert not moved(model, mask, token)[:token].any()
    assert moved(model, "causal", token)[token:].all()
    assert moved(model, "bidirectional", token).all()


def test_a_hidden_column_moves_nothing_but_its_own_output():
    model = trunk()
    for column in range(T)[HIDDEN]:
        assert moved(model, causal_mask(T, HIDDEN), column).nonzero().flatten().tolist() == [column]
    visible = 1
    assert moved(model, causal_mask(T, HIDDEN), visible)[visible:].all()


def test_causal_mask_has_a_key_in_every_row_even_when_the_first_columns_are_hidden():
    mask = causal_mask(6, slice(0, 2))
    assert mask.any(dim=1).all()
    expected = torch.tensor(
        [
            [1, 0, 0, 0, 0, 0],
            [0, 1, 0, 0, 0, 0],
            [0, 0, 1, 0, 0, 0],
            [0, 0, 1, 1, 0, 0],
            [0, 0, 1, 1, 1, 0],
            [0, 0, 1, 1, 1, 1],
        ]
    ).bool()
    assert torch.equal(mask, expected)
    assert torch.equal(causal_mask(6, torch.tensor([0, 1])), expected)


def test_words_and_tensors_name_the_same_masks():
    model, x = trunk(), tokens()
    everything = torch.ones(T, T, dtype=torch.bool)
    assert torch.allclose(model(x, "causal"), model(x, causal_mask(T)), atol=1e-5)
    assert torch.allclose(model(x, "bidirectional"), model(x, everything), atol=1e-5)
    each = everything.expand(B, 1, T, T)
    assert torch.allclose(model(x, "bidirectional"), model(x, each), atol=1e-5)


def test_a_mask_per_row_hides_in_that_row_only():
    model, x = trunk(), tokens()
    mask = torch.ones(B, 1, T, T, dtype=torch.bool)
    mask[1, :, :, 3] = False
    y = x.clone()
    y[:, 3] += 1.0
    with torch.no_grad():
        differs = (model(x, mask) != model(y, mask)).any(-1)  # (B, T)
    assert differs[0].all() and differs[2].all()
    assert differs[1].nonzero().flatten().tolist() == [3]


@pytest.mark.parametrize("mask", ["causal", "bidirectional", causal_mask(T, HIDDEN)])
def test_fused_attention_equals_attention_written_out(mask):
    q, k, v = torch.randn(3, B, 2, T, 8)
    out, weights = attention(q, k, v, mask)
    assert torch.allclose(out, fused_attention(q, k, v, mask), atol=1e-5)
    assert torch.allclose(weights.sum(-1), torch.ones(B, 2, T))
    assert torch.allclose(weights @ v, out)


def test_attention_by_hand():
    q, k = torch.tensor([[1.0], [0.0]]), torch.tensor([[2.0], [0.0]])
    v = torch.tensor([[1.0], [3.0]])
    out, weights = attention(q, k, v, "bidirectional")
    e2 = torch.tensor(2.0).exp()
    assert torch.allclose(weights[0], torch.stack([e2, torch.tensor(1.0)]) / (e2 + 1))
    assert torch.allclose(weights[1], torch.tensor([0.5, 0.5]))
    assert torch.allclose(out[1], torch.tensor([2.0]))
    assert torch.allclose(attention(q, k, v, "causal")[0][0], torch.tensor([1.0]))


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("mask", ["causal", "bidirectional", causal_mask(T, HIDDEN)])
def test_recording_changes_no_output(config, mask):
    model, x, record = trunk(config), tokens(), Record()
    assert torch.allclose(model(x, mask), model(x, mask, record=record), atol=1e-5)
    assert len(record.attention) == len(record.head_outputs) == config.layers
    for weights, heads in zip(record.attention, record.head_outputs):
        assert weights.shape == (B, config.heads, T, T)
        assert heads.shape == (B, config.heads, T, D // config.heads)
        assert torch.allclose(weights.sum(-1), torch.ones(B, config.heads, T))
        if isinstance(mask, Tensor):
            assert (weights[..., ~mask] == 0).all()


def test_recorded_head_outputs_are_what_the_heads_mix():
    model, record = trunk(CONFIGS[0]), Record()
    with torch.no_grad():
        x = tokens()
        model(x, record=record)
        block = model.blocks[0]
        v = block.attention.value(block.attention_norm(x))  # (B, T, D), one head
    assert torch.allclose(record.head_outputs[0][:, 0], record.attention[0][:, 0] @ v, atol=1e-5)


@pytest.mark.parametrize("read", [slice(1, None, 3), slice(-1, None), torch.tensor([0, 7, 2])])
@pytest.mark.parametrize("mask", ["causal", "bidirectional", causal_mask(T, HIDDEN)])
def test_reading_some_tokens_equals_the_full_forward_there(read, mask):
    model, x = trunk(), tokens()
    full = model(x, mask)
    assert torch.allclose(model(x, mask, read=read), full[:, read], atol=1e-5)
    record = Record()
    assert torch.allclose(model(x, mask, read=read, record=record), full[:, read], atol=1e-5)
    assert record.attention[-1].shape[-2:] == (*full[:, read].shape[1:2], T)


def test_reading_some_tokens_gives_the_same_gradients():
    model, x, read = trunk(), tokens(), slice(1, None, 3)
    model(x)[:, read].square().sum().backward()
    full = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    model(x, read=read).square().sum().backward()
    for a, b in zip(full, (p.grad for p in model.parameters())):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("mask", "sentence"),
    [
        ("casual", "'causal' and 'bidirectional'"),
        (torch.ones(T, T), "must be bool"),
        (torch.ones(T, T + 1, dtype=torch.bool), r"\(10, 11\) does not fit 10 tokens"),
        (torch.ones(B, T, T, dtype=torch.bool), r"it must be \(10, 10\) or \(3, 1, 10, 10\)"),
        (torch.ones(B + 1, 1, T, T, dtype=torch.bool), "does not fit"),
    ],
)
def test_a_wrong_mask_is_refused_with_a_sentence(mask, sentence):
    with pytest.raises(ValueError, match=sentence):
        trunk()(tokens(), mask)


def test_wrong_configs_are_refused():
    with pytest.raises(ValueError, match="layers is 0"):
        TransformerConfig(layers=0)
    with pytest.raises(ValueError, match="not a multiple of heads 3"):
        TransformerConfig(width=128, heads=3)
    with pytest.raises(ValueError, match="'relu' or 'gelu'"):
        TransformerConfig(activation="swish")  # type: ignore[arg-type]


@pytest.mark.parametrize("config", CONFIGS)
def test_every_parameter_moves_in_one_step(config):
    torch.manual_seed(0)
    model = Transformer(config)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    (model(tokens()) * torch.randn(B, T, D)).sum().backward()
    optimizer.step()
    still = [name for name, p in model.named_parameters() if torch.equal(p, before[name])]
    assert still == []


def test_initialization_is_gpt2s():
    model = Transformer(TransformerConfig(layers=2, width=128))
    weights = torch.cat([p.flatten() for n, p in model.named_parameters() if p.ndim == 2])
    assert weights.std().item() == pytest.approx(0.02, rel=0.02)
    assert all((p == 0).all() for n, p in model.named_parameters() if n.endswith("bias"))


def test_dropout_drops_its_share_keeps_the_mean_and_rests_in_evaluation():
    torch.manual_seed(0)
    drop, x = Dropout(0.1), torch.ones(1000, 201, requires_grad=True)
    y = drop(x)
    assert (y == 0).float().mean().item() == pytest.approx(0.1, abs=0.003)
    assert y.mean().item() == pytest.approx(1.0, abs=0.004)
    assert torch.allclose(y[y != 0], torch.tensor(1 / 0.9))
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())  # the gradient passes where the value passed
    assert not torch.equal(drop(x), y)
    assert torch.equal(drop.eval()(x), x)


def test_dropout_acts_in_training_only():
    model, x = trunk(), tokens()
    assert torch.equal(model(x), model(x))
    model.train()
    assert not torch.equal(model(x), model(x))
