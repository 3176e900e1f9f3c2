"""The bands of a Trajectory Transformer: which keys count, how heads differ, what cuts do."""

import pytest
import torch

from seqrl import attention_maps, datasets, tt_attention, tt_dynamics
from seqrl.attention_maps import Maps
from seqrl.experiments import untrained
from seqrl.tokens import Layout
from seqrl.trajectory_transformer import TrajectoryTransformerConfig
from seqrl.transformer import TransformerConfig, causal_mask

torch.set_num_threads(1)
LAYOUT = Layout(2, 1)  # s1 s2 a r V
C, K = LAYOUT.C, 4
T = K * C - 1


@pytest.fixture(scope="module")
def windows():
    data = datasets.collect("GoToObjMazeS4", "random", 12, processes=1, progress=False)
    return data, tt_dynamics.whole_windows(data, K)


@pytest.fixture(scope="module")
def model(windows):
    trunk = TransformerConfig(layers=2, width=16, activation="gelu")
    config = TrajectoryTransformerConfig.for_data(windows[0], context=K, trunk=trunk)
    return untrained(config, 0).eval()


def test_bands_hold_the_keys_that_they_name():
    found = tt_attention.bands(LAYOUT, T)
    value, state = 2 * C + 4, 2 * C + 1  # V of transition 2 predicts s1; s2 predicts the action
    assert found["last transition"][value].nonzero().flatten().tolist() == list(range(10, 15))
    assert found["same dimension"][value].nonzero().flatten().tolist() == [0, C, 2 * C]
    assert found["same, further back"][value].nonzero().flatten().tolist() == [0, C]
    assert not found["action to action"][value].any()
    assert found["action to action"][state].nonzero().flatten().tolist() == [2, C + 2]
    assert not found["same dimension"][state].any()
    assert tt_attention.later(LAYOUT, T).nonzero().flatten().tolist() == list(range(C, T))


def maps_of(rows):
    """One window's maps, a head each: rows is head -> (T, T) bool, where it reads evenly."""
    mask = causal_mask(T, slice(LAYOUT.value, None, C))
    shown = [(row & mask) | (~(row & mask).any(-1, keepdim=True) & mask) for row in rows]
    weights = torch.stack([x / x.sum(-1, keepdim=True) for x in shown])[None].float()
    maps = Maps(weights, mask).where(tt_attention.later(LAYOUT, T))
    return {"trained": maps, "uniform": maps.uniform()}


def test_heads_are_told_apart():
    found = tt_attention.bands(LAYOUT, T)
    everything = torch.ones(T, T, dtype=torch.bool)
    far = found["same, further back"]
    heads = [found["last transition"], far, everything, found["last transition"] | far]
    patterns = [row["pattern"] for row in tt_attention.by_head(LAYOUT, maps_of(heads))]
    assert patterns[:3] == ["Markov", "striated", "neither"]
    assert patterns[3] in ("both", "Markov")


def test_what_is_cut_cannot_matter_any_more(model, windows):
    batch = windows[1]
    kept = 1
    cut = tt_attention.far_hidden(model.layout, K * model.layout.C - 1, K, kept)
    shown = model.tokens(batch).flatten(1)[:, :-1]
    other = torch.where(cut, shown.roll(1, 0), shown)
    world = model.world(batch.observations)
    from seqrl.interventions import hidden

    with torch.no_grad(), hidden(model, cut):
        one, two = (model(x, world)[:, -model.layout.C :] for x in (shown, other))
    finite = torch.isfinite(one)
    assert torch.allclose(one[finite], two[finite], atol=1e-5)
    with torch.no_grad():
        one, two = (model(x, world)[:, -model.layout.C :] for x in (shown, other))
    assert not torch.allclose(one[finite], two[finite], atol=1e-4)


def test_cuts_begin_with_the_whole_window(model, windows):
    found = tt_attention.cuts(model, [windows[1]])
    assert list(found) == [str(K - 1), "1", "2", "5", "0"]
    assert all(effect.change == 0 and effect.kl == 0 for effect in found[str(K - 1)].values())
    assert found["0"]["state"].kl > 0
    logp, targets = tt_attention.last_outputs(model, [windows[1]])
    assert torch.equal(targets, model.tokens(windows[1])[:, -1])
    assert torch.allclose(logp.exp().sum(-1), torch.ones(targets.shape), atol=1e-5)


def test_controls_count_only_what_could_look_back(model, windows):
    maps = tt_attention.last_layer(model, model, [windows[1]])
    C = model.layout.C
    assert set(maps) == {"trained", "shuffled", "untrained", "uniform"}
    assert not maps["trained"].mask[:, :C].any() and maps["trained"].mask[:, C:].any()
    rows = attention_maps.table(tt_attention.measures(model.layout, K * C - 1), maps)
    share = {(r["measure"], r["maps"]): r["estimate"] for r in rows}
    assert share["last transition", "trained"] == share["last transition", "untrained"]
    assert 0 < share["same, further back", "uniform"] < share["same dimension", "uniform"] < 1
