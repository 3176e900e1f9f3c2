"""Recipe, optimizer and precision."""

from itertools import pairwise

import pytest
from torch import nn

from seqrl.optimization import Recipe, _gains_by_bf16, choose_precision, make_optimizer


def test_the_rate_rises_then_falls_and_ends_with_the_training():
    recipe = Recipe(steps=100, lr=2.0, warmup=0.1, final=0.25)
    rates = [recipe.rate(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.2)
    assert max(rates) == rates[9] == pytest.approx(2.0)
    assert all(a < b for a, b in pairwise(rates[:10]))
    assert all(a > b for a, b in pairwise(rates[9:]))
    assert rates[54] == pytest.approx((2.0 + 0.5) / 2)  # half-way down
    assert rates[-1] == pytest.approx(0.5)
    assert Recipe(steps=1).rate(0) > 0


def test_decay_is_for_matrices_only():
    model = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 3), nn.LayerNorm(3))
    model[1].bias.requires_grad = False
    decayed, plain = make_optimizer(model, Recipe(weight_decay=0.3)).param_groups
    assert decayed["weight_decay"] == 0.3 and all(p.ndim == 2 for p in decayed["params"])
    assert plain["weight_decay"] == 0.0 and all(p.ndim == 1 for p in plain["params"])
    count = sum(len(group["params"]) for group in (decayed, plain))
    assert count == len(list(model.parameters())) - 1  # what is frozen is not optimized


def test_precision_is_a_choice_and_stays_fp32_on_a_cpu_unless_asked():
    assert choose_precision("cpu") == "fp32"
    assert choose_precision("cpu", "bf16") == "bf16"
    assert choose_precision("cpu", "auto") in ("fp32", "bf16")
    with pytest.raises(ValueError, match="precision is 'fp8'"):
        choose_precision("cpu", "fp8")


@pytest.mark.parametrize(
    ("cpuinfo", "gains"),
    [
        ("vendor_id : GenuineIntel\nflags : avx512_bf16 amx_bf16 amx_tile", True),
        ("vendor_id : GenuineIntel\nflags : avx512_bf16 avx512_fp16", False),
        ("vendor_id : AuthenticAMD\nflags : avx512f avx512_bf16", True),
        ("vendor_id : AuthenticAMD\nflags : avx2", False),
    ],
)
def test_auto_takes_bf16_on_cpus_that_gain_by_it(cpuinfo, gains):
    assert _gains_by_bf16(cpuinfo) is gains
