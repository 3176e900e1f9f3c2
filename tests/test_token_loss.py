"""The loss of a window's tokens, computed by hand."""

import math

import pytest
import torch

from seqrl.token_loss import counted, token_loss
from seqrl.tokens import Layout

LAYOUT = Layout(1, 1)  # a transition is s, a, r, V
TOKENS = torch.tensor([[[0, 1, 0, 1], [1, 0, 1, 0]]])  # (1, 2, 4), of the words 0, 1 and stop
BITS = [1, 2, 3, 0, 4, 1, 1]  # -log2 p of each token but the first: a, r, V, s, a, r, V
REAL = torch.ones(1, 2, 4, dtype=torch.bool)


def logits_for(bits):
    """Logits (1, 7, 3) that give each target its bits; the rest is shared by the others."""
    p = 0.5 ** torch.tensor(bits, dtype=torch.float32)
    every = ((1 - p) / 2)[:, None].repeat(1, 3)
    every.scatter_(1, TOKENS.flatten()[1:, None], p[:, None])
    return every.log().clamp(min=-100)[None]


def in_bits(x):
    return float(x.detach()) / math.log(2)


def test_actions_weigh_more_and_the_mean_is_over_tokens():
    loss, info = token_loss(logits_for(BITS), TOKENS, REAL, LAYOUT, 5.0)
    assert in_bits(loss) == pytest.approx((5 * (1 + 4) + 2 + 3 + 0 + 1 + 1) / 7, abs=1e-5)
    parts = {name: in_bits(x) for name, x in info.items() if name != "accuracy"}
    wanted = {"state_loss": 0, "action_loss": 2.5, "reward_loss": 1.5, "value_loss": 2}
    assert parts == pytest.approx(wanted, abs=1e-5)  # not weighted
    assert info["accuracy"] == 0.5  # p = 1/2 is the likeliest of three, 1/16 is not


def test_what_does_not_count_adds_nothing_even_a_token_that_its_column_lacks():
    tokens, logits = TOKENS.clone(), logits_for(BITS)
    tokens[:, 1], logits[:, 3:, 2] = 2, -torch.inf  # all of step 1 is stop, which cannot be said
    logits.requires_grad_()
    counts = counted(torch.tensor([[True, False]]), torch.zeros(1, 2, dtype=torch.bool), 4)
    loss, info = token_loss(logits, tokens, counts, LAYOUT, 5.0)
    assert in_bits(loss) == pytest.approx((5 * 1 + 2 + 3) / 3, abs=1e-5)
    assert info["accuracy"] == 1 and info["state_loss"] == 0
    loss.backward()
    assert (logits.grad[:, :3] != 0).any() and (logits.grad[:, 3:] == 0).all()


def test_after_a_termination_the_first_token_says_stop_after_a_truncation_nothing_counts():
    mask = torch.tensor([[True, False, False], [True, False, False]])
    terminations = torch.tensor([[True, False, False], [False, False, False]])
    counts = counted(mask, terminations, 4)
    assert counts[0].tolist() == [[True] * 4, [True] + 3 * [False], [False] * 4]
    assert counts[1].tolist() == [[True] * 4, [False] * 4, [False] * 4]
    assert mask.sum() == 2  # what was given is as it was
