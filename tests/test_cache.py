"""The cache: decoding piece by piece gives what one forward gives."""

import pytest
import torch
from torch import Tensor

from seqrl.transformer import Record, Transformer, TransformerConfig, causal_mask

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


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("mask", ["causal", causal_mask(T, HIDDEN)])
@pytest.mark.parametrize("chunks", [[1] * T, [4, 1, 3, 2], [T]])
def test_cached_equals_full(config, mask, chunks):
    model, x = trunk(config), tokens()
    cache = model.cache(B, T)
    with torch.no_grad():
        full = model(x, mask)
        parts = [model(part, mask, cache=cache) for part in x.split(chunks, dim=1)]
    assert torch.allclose(torch.cat(parts, dim=1), full, atol=1e-5)


def test_cached_reading_and_recording():
    model, x, cache, record = trunk(), tokens(), None, Record()
    with torch.no_grad():
        cache = model.cache(B, T + 5)  # room to spare
        model(x[:, :6], cache=cache)
        last = model(x[:, 6:], cache=cache, read=slice(2, 3), record=record)
        full = Record()
        assert torch.allclose(last, model(x, record=full)[:, 8:9], atol=1e-5)
    assert torch.allclose(record.attention[0], full.attention[0][:, :, 6:], atol=1e-5)


def test_selected_rows_go_on_as_copies():
    model, x, y = trunk(), tokens(1), tokens(2)
    with torch.no_grad():
        prompt = model.cache(B, T)
        model(x[:, :6], cache=prompt)
        rows = torch.tensor([2, 2, 0, 1, 2])
        beams = prompt.select(rows)
        more = y[:, 6:][torch.tensor([0, 1, 2, 0, 2])]  # (5, 4, D)
        out = model(more, cache=beams)
        full = model(torch.cat([x[rows, :6], more], dim=1))[:, 6:]
        again = model(x[:, 6:], cache=prompt)  # the prompt itself was not touched
        assert torch.allclose(again, model(x)[:, 6:], atol=1e-5)
    assert torch.allclose(out, full, atol=1e-5)


def test_rows_may_begin_anew_while_others_go_on():
    model, x, y = trunk(), tokens(1), tokens(2)
    with torch.no_grad():
        cache = model.cache(B, T)
        model(x[:, :4], cache=cache)
        cache.reset_rows(torch.tensor([False, True, False]), skip=1)
        chunk = x[:, 4:7].clone()
        chunk[1] = y[1, :3]  # its first token is one that must not be kept
        first = model(chunk, cache=cache)
        second_chunk = x[:, 7:9].clone()
        second_chunk[1] = y[1, 3:5]
        second = model(second_chunk, cache=cache)
        old, new = model(x), model(y[:, 1:])
    for row in (0, 2):
        assert torch.allclose(first[row], old[row, 4:7], atol=1e-5)
        assert torch.allclose(second[row], old[row, 7:9], atol=1e-5)
    assert torch.allclose(first[1, 1:], new[1, :2], atol=1e-5)
    assert torch.allclose(second[1], new[1, 2:4], atol=1e-5)
    assert torch.isfinite(first).all()
    assert cache.lengths.tolist() == [9, 4, 9]


def test_a_full_cache_and_a_bidirectional_one_are_refused():
    model, x = trunk(), tokens()
    with pytest.raises(ValueError, match="10 tokens do not fit a cache of 8"):
        model(x, cache=model.cache(B, 8))
    with pytest.raises(ValueError, match="cache takes"):
        model(x, "bidirectional", cache=model.cache(B, T))
    with pytest.raises(ValueError, match="does not fit 12 tokens"):
        model(x, causal_mask(T), cache=model.cache(B, 12))
