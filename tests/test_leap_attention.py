"""Where LEAP reads: groups that partition, and interventions that touch only what they name."""

import pytest
import torch

from seqrl import attention_maps, leap_attention
from seqrl.experiments import untrained
from seqrl.leap import LEAPConfig
from seqrl.transformer import TransformerConfig

torch.set_num_threads(1)
H = 4


@pytest.fixture(scope="module")
def batches():
    return leap_attention.plans("GoToLocalS7N5", H, episodes=8, windows=30)


@pytest.fixture(scope="module")
def model(batches):
    from seqrl import datasets

    data = datasets.collect("GoToLocalS7N5", "expert", 8, processes=1, progress=False)
    trunk = TransformerConfig(layers=2, heads=2, width=16, activation="gelu")
    model = untrained(LEAPConfig.for_data(data, horizon=H, trunk=trunk), 0)
    for name, parameter in model.named_parameters():
        if "weight" in name and parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(1))
    return model.eval()


def test_one_mask_is_on_a_real_action_and_all_masks_on_everything(batches):
    for batch in batches:
        one = leap_attention.masked(batch, "one mask")
        assert (one.sum(1) == 1).all() and bool(batch.mask[one].all())
        assert leap_attention.masked(batch, "all masks").all()
    every = torch.cat([leap_attention.masked(b, "one mask") for b in batches])
    assert every.any(0).all()  # each position in turn


@pytest.mark.parametrize("which", leap_attention.MASKS)
def test_shares_of_the_groups_sum_to_one(model, batches, which):
    maps = leap_attention.last_layer(model, model, batches, which)
    assert set(maps) == {"trained", "shuffled", "untrained", "uniform"}
    measures = leap_attention.measures()
    total = sum(measures[group](maps["trained"]) for group in leap_attention.GROUPS)
    real = ~total.isnan()
    assert torch.allclose(total[real], torch.ones_like(total[real]), atol=1e-5)
    rows = attention_maps.table(measures, maps)
    even = next(r for r in rows if r["measure"] == "entropy" and r["maps"] == "uniform")
    assert even["estimate"] == pytest.approx(1.0, abs=1e-5)


def test_hidden_columns_are_the_plans_own_past_or_future(model, batches):
    batch = batches[0]
    future = leap_attention.columns(model, batch, "future")
    C = future.shape[1] - H
    assert not future[:, :C].any() and not future[..., :C].any()
    past = leap_attention.columns(model, batch, "past")
    assert torch.equal(past[:, C:, C:], future[:, C:, C:].mT)
    assert not (past & future).any()


def test_the_future_hidden_means_that_it_no_longer_matters(model, batches):
    """With the future hidden in every layer another future gives the same answer."""
    batch = batches[0]
    hidden = torch.zeros_like(batch.mask)
    hidden[:, 1] = True
    plans, _ = model.targets(batch)
    other = plans.clone()
    other[:, 2:] = (other[:, 2:].clamp(max=6) + 1) % 7
    prefix = model.prefix(batch.observations)

    def answer(which):
        with torch.no_grad():
            return model.log_p(prefix, model.shown(which, hidden))[:, 1]

    assert not torch.allclose(answer(plans), answer(other), atol=1e-4)
    with leap_attention.keys_hidden(model, leap_attention.columns(model, batch, "future")):
        assert torch.allclose(answer(plans), answer(other), atol=1e-5)


def test_effects_begin_with_nothing(model, batches):
    found = leap_attention.effects(model, batches)
    assert found["nothing"].change == 0 and found["nothing"].kl == pytest.approx(0, abs=1e-6)
    assert set(found) == {
        "nothing",
        *(f"{group} {how}" for group in ("past", "future") for how in ("hidden", "resampled")),
    }
    assert found["future hidden"].kl > 0 and found["past resampled"].kl > 0
