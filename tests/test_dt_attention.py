"""Attention to the return, measured and knocked out: by hand, and on models whose answer is known.

Such a model learns from episodes in which the action is told by the return-to-go alone, or by the
action before alone; what it does not need must come out as not needed.
"""

import json
from functools import cache

import numpy as np
import pytest
import torch

from seqrl import attention_maps, comparison, dt_attention, results
from seqrl.attention_maps import Maps
from seqrl.decision_transformer import PARTS, STATES, DecisionTransformerConfig
from seqrl.dt_attention import Effect
from seqrl.environments import make_envs
from seqrl.experiments import untrained
from seqrl.rollout import rollout
from seqrl.seeds import derive
from seqrl.training import fit
from seqrl.trajectories import pack
from seqrl.transformer import TransformerConfig, causal_mask

torch.set_num_threads(1)
LEVEL = "GoToLocalS7N5"
K, STEPS = 3, 3  # an episode of the made-up data fits a context


def told(by, episodes, seed=0):
    """Episodes of 3 steps whose action says, 17 times in 20, what `by` is: R̂ > 0, or the last a."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(episodes):
        rewards = rng.choice([-1.0, 1.0], STEPS)
        meant = rewards[::-1].cumsum()[::-1] > 0 if by == "R̂" else [rng.integers(2)] * STEPS
        flipped = rng.random(STEPS) < 0.15
        ends = np.arange(STEPS) == STEPS - 1
        found.append(
            {
                "observations": {"state": rng.normal(size=(STEPS + 1, 2)).astype(np.float32)},
                "actions": np.array(meant, int) ^ flipped,
                "rewards": rewards,
                "terminations": ends,
                "truncations": ends & False,
            }
        )
    return pack(found)


def whole(data, count, generator):
    """Windows without padding, whose steps have the same timesteps."""
    return data.windows(K, count, generator, whole=True)


def small(data, seed=0, **fields):
    """An untrained model for some data."""
    trunk = TransformerConfig(layers=2, heads=2, width=16, dropout=0.0)
    fields = {"trunk": trunk, "context": K, "return_scale": 3.0} | fields
    return untrained(DecisionTransformerConfig.for_data(data, **fields), seed).eval()


def lively(model):
    """The model with weights so large that everything matters."""
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1 and not name.startswith("encoder."):
            parameter.data.mul_(20)
    return model


@cache
def effects_of(by, blind=None):
    """The effects on a model that learned what tells the action, perhaps blind to a part."""
    data = told(by, 1000)
    trunk = TransformerConfig(layers=1, heads=1, width=16, dropout=0.0)
    model = small(data, trunk=trunk)
    if blind:
        for parameter in {"R̂": model.embed_return, "a": model.embed_action}[blind].parameters():
            parameter.requires_grad_(False).zero_()
    draw = {"batch": 64, "warmup": 0, "lr": 1e-2, "steps": 80, "progress": False}
    fit(model, lambda count, generator: whole(data, count, generator), **draw)
    batch = whole(told(by, 500, seed=1), 400, torch.Generator().manual_seed(0))
    return dt_attention.effects(model, [batch])


def verdicts(effects, part):
    names = [name for name in effects if name.startswith(part)]
    return {dt_attention.verdict(effects[name]) for name in names}


# --------------------------------------------------------------------------- what is measured


def test_kinds_say_what_a_token_is_to_a_state_token():
    unseen = "a before"  # what comes later has no weight
    assert dt_attention.kinds(2) == [
        ["R̂ now", "s now", unseen, unseen, unseen, unseen],
        ["R̂ before", "s before", "a before", "R̂ now", "s now", unseen],
    ]
    every = {kind for row in dt_attention.kinds(3) for kind in row}
    assert every == set(dt_attention.GROUPS)


def made():
    """A map of two steps: the weights of both state tokens."""
    weights = torch.tensor([[0.3, 0.7, 0, 0, 0, 0], [0.1, 0.2, 0.3, 0.15, 0.25, 0]])
    return Maps(weights[None, None], causal_mask(6)[[1, 4]], torch.tensor([1, 4]))


def test_measures_of_a_map_made_by_hand():
    found = {name: float(m(made())) for name, m in dt_attention.measures(2).items()}
    assert found == {
        "all R̂": pytest.approx((0.3 + 0.1 + 0.15) / 2),
        "all R̂, no column 0": pytest.approx((0 + 0.15 / 0.9) / 2),
        "R̂ now": pytest.approx((0.3 + 0.15) / 2),
        "R̂ before": pytest.approx((0 + 0.1) / 2),
        "s now": pytest.approx((0.7 + 0.25) / 2),
        "s before": pytest.approx((0 + 0.2) / 2),
        "a before": pytest.approx((0 + 0.3) / 2),
    }
    assert sum(found[group] for group in dt_attention.GROUPS) == pytest.approx(1)


def test_the_last_layer_is_that_of_the_state_tokens_of_real_steps():
    data = told("R̂", 20)
    model = small(data)
    batches = dt_attention.draw(data, K, 30, batch=12)
    found = dt_attention.last_layer(model, small(data, seed=1), batches)
    assert list(found) == ["trained", "shuffled", "untrained", "uniform"]
    real = torch.cat([batch.mask for batch in batches])
    assert not real.all()
    for maps in found.values():
        assert maps.weights.shape == (30, 2, K, 3 * K)
        assert maps.queries.tolist() == [1, 4, 7]
        assert torch.equal(maps.weights.sum(-1)[:, 0] > 0.5, real)  # no padded step is counted
        assert torch.equal(maps.mask.any(-1), real)
    layers = attention_maps.record(model, batches)
    assert torch.equal(found["trained"].weights[0], layers[-1].weights[0] * real[0, :, None])
    assert not torch.equal(found["trained"].weights, found["untrained"].weights)


# --------------------------------------------------------------------------- windows


def test_windows_are_as_many_as_asked_for_and_begin_anywhere():
    data = told("R̂", 40)
    batches = dt_attention.draw(data, K, 1050, batch=500)
    assert [len(batch.mask) for batch in batches] == [500, 500, 50]
    begun = torch.cat([batch.timesteps[:, 0] for batch in batches]).bincount() / 1050
    assert (begun - 1 / 3).abs().max() < 4 * (2 / 9 / 1050) ** 0.5  # each step equally likely
    again = dt_attention.draw(data, K, 1050, batch=500)
    assert all(torch.equal(a.actions, b.actions) for a, b in zip(batches, again))
    other = dt_attention.draw(data, K, 500, batch=500, seed=1)
    assert not torch.equal(batches[0].returns_to_go, other[0].returns_to_go)


def test_held_out_episodes_are_mixed_and_on_test_maps():
    from seqrl.behavior import ShortestPath
    from seqrl.collection import mixed_noise

    assert [mixed_noise(e) for e in range(8)] == list(dt_attention.NOISE)
    found = dt_attention.held_out(LEVEL, 16, noise=(0.0, 0.9))
    assert found.info["split"] == "test" and found.info["env"] == LEVEL
    assert found.seeds.tolist() == [derive("test", "env", 0, e) for e in range(16)]
    envs = make_envs(LEVEL, 4, split="test")
    best = rollout(ShortestPath(envs), envs, 16, 0, stream="test")
    assert torch.equal(found.lengths[::2], best.lengths[::2])
    assert (found.lengths[1::2] > best.lengths[1::2]).any()
    for e in range(16):  # the same maps
        assert torch.equal(
            found.maps[found.observations["map"][found.offsets[e] + e]],
            best.maps[best.observations["map"][best.offsets[e] + e]],
        )


# --------------------------------------------------------------------------- hiding


@pytest.mark.parametrize("part", PARTS)
def test_exactly_the_columns_of_a_part_are_hidden_in_sequences_of_any_length(part):
    model, T = small(told("R̂", 4)), 9
    with dt_attention.part_hidden(model, part):
        for tokens in (T, T - 1, 2, 1):
            x = torch.randn(2, tokens, 16, generator=torch.Generator().manual_seed(0))
            (first, last) = attention_maps.record(model, [x], run=model.trunk)
            allowed = torch.tensor(
                [
                    [j <= i and (j == i or PARTS[j % 3] != part) for j in range(tokens)]
                    for i in range(tokens)
                ]
            )
            for layer in (first, last):
                assert torch.equal(layer.weights.gt(0), allowed.expand(2, 2, -1, -1))
    (after, _) = attention_maps.record(model, [x], run=model.trunk)
    assert torch.equal(after.mask[0], causal_mask(1))


def test_what_is_hidden_cannot_matter_and_all_else_does():
    data = told("R̂", 20)
    model = lively(small(data))
    batch = whole(data, 8, torch.Generator().manual_seed(0))
    changed = {
        "R̂": batch._replace(returns_to_go=batch.returns_to_go + 2),
        "a": batch._replace(actions=1 - batch.actions),
    }
    with torch.no_grad():
        plain = model(batch)
        for part in changed:
            with dt_attention.part_hidden(model, part):
                hidden = model(batch)
                for other, asked in changed.items():
                    assert torch.equal(model(asked), hidden) == (other == part)
            assert not torch.allclose(hidden, plain)
        assert torch.equal(model(batch), plain)  # nothing is left behind


def test_keys_in_a_cache_are_not_hidden_but_refused():
    data = dt_attention.held_out(LEVEL, 2)
    model = small(data)
    envs = make_envs(LEVEL, 2)
    with dt_attention.part_hidden(model, "R̂"):
        with pytest.raises(ValueError, match="cached=False"):
            rollout(model.policy(-1.0), envs, 2, 0)
        paths = [
            rollout(model.policy(target, temperature=1, cached=False), envs, 2, 0)
            for target in (-1.0, -500.0)
        ]
    assert paths[0].equal(paths[1])  # it cannot see what it is asked for


def test_a_part_that_no_step_has_is_refused():
    with pytest.raises(ValueError, match=r"R̂, s, a, not 'r'"):
        dt_attention.columns("r", 9)
    assert dt_attention.columns("s", 7).nonzero().flatten().tolist() == [1, 4]
    assert dt_attention.columns("s", 9).nonzero().flatten().tolist() == list(range(9))[STATES]


# --------------------------------------------------------------------------- effects


def test_effects_are_losses_and_distances_of_what_the_model_says():
    data = told("R̂", 40)
    model = lively(small(data))
    batches = dt_attention.draw(data, K, 30, batch=20)
    found = dt_attention.effects(model, batches)
    assert list(found) == ["nothing", "R̂ -10", "R̂ resampled", "R̂ hidden", "a resampled", "a hidden"]
    before, after, actions = [], [], []
    for batch in batches:
        asked = batch._replace(returns_to_go=(batch.returns_to_go - 10) * batch.mask)
        for said, to in ((before, batch), (after, asked)):
            with torch.no_grad():
                said += model(to)[batch.mask].double().softmax(-1).tolist()
        actions += batch.actions[batch.mask].tolist()
    assert len(actions) < 30 * K  # padded steps are left out
    p, q, taken = np.array(before), np.array(after), (range(len(actions)), actions)
    loss, new = -np.log(p[taken]).mean(), -np.log(q[taken]).mean()
    kl = (p * np.log(p / q)).sum(1).mean()
    assert kl > 0.01 and abs(new / loss - 1) > 0.001
    assert found["nothing"] == (pytest.approx(loss), 0, 0)
    assert found["R̂ -10"] == pytest.approx((new, new / loss - 1, kl), rel=1e-3)
    assert found == dt_attention.effects(model, batches)


def test_a_model_that_goes_by_the_return_needs_it_and_not_its_past_actions():
    found = effects_of("R̂")
    assert found["nothing"][1:] == (0, 0)
    assert verdicts(found, "R̂") == {"held"}
    assert verdicts(found, "a ") == {"not held"}


def test_a_model_that_goes_by_its_past_actions_needs_them_and_not_the_return():
    found = effects_of("a")
    assert verdicts(found, "a ") == {"held"}
    assert verdicts(found, "R̂") == {"not held"}


def test_a_model_that_cannot_read_returns_does_not_need_them():
    found = effects_of("a", blind="R̂")
    assert found["R̂ -10"][1:] == found["R̂ resampled"][1:] == (0, 0)
    assert verdicts(found, "R̂") == {"not held"} and verdicts(found, "a ") == {"held"}


def test_a_model_that_cannot_read_actions_does_not_need_them():
    found = effects_of("R̂", blind="a")
    assert found["a resampled"][1:] == (0, 0)
    assert verdicts(found, "a ") == {"not held"} and verdicts(found, "R̂") == {"held"}


@pytest.mark.parametrize(
    ("change", "kl", "word"),
    [
        (0.0, 0.0, "not held"),
        (0.0099, 0.0099, "not held"),
        (-0.5, 0.0, "not held"),  # what makes the loss smaller was not needed for it
        (0.0101, 0.0, "held"),
        (0.0, 0.0101, "held"),
        (-0.5, 0.0101, "held"),
    ],
)
def test_a_pattern_is_needed_from_one_percent_of_the_loss_or_a_hundredth_of_a_nat(change, kl, word):
    assert dt_attention.verdict(Effect(1.0, change, kl)) == word


# --------------------------------------------------------------------------- the record


def test_a_record_has_the_scores_that_the_page_reads(monkeypatch, tmp_path):
    monkeypatch.setattr(dt_attention, "EPISODES", 8)
    monkeypatch.setattr(dt_attention, "WINDOWS", 30)
    data = dt_attention.held_out(LEVEL, 8)
    model = lively(small(data))
    run = dt_attention.record(model, small(data), f"{LEVEL}/mixed", seed=2)
    json.dumps(run, allow_nan=False)
    results.write(run, tmp_path)
    (found,) = results.read_all(tmp_path, method=dt_attention.METHOD)
    scores = found["scores"]
    for name in ("trained", "shuffled", "untrained", "uniform"):
        assert 0 < scores[f"{name}: all R̂"] < 1
        assert sum(scores[f"{name}: {g}"] for g in dt_attention.GROUPS) == pytest.approx(1)
    for part in ("R̂", "a"):
        for how in ("resampled", "hidden"):
            assert abs(scores[f"{part} {how}: change"]) < 1 and scores[f"{part} {how}: kl"] > 0
    batches = dt_attention.draw(data, K, 30)
    effects = dt_attention.effects(model, batches, seed=2)
    assert scores["a hidden: kl"] == effects["a hidden"].kl
    assert scores["R̂ resampled: change"] == effects["R̂ resampled"].change
    even = dt_attention.last_layer(model, model, batches)["uniform"]
    measured = attention_maps.interval(dt_attention.measures(K)["s now"](even)).estimate
    assert scores["uniform: s now"] == pytest.approx(measured)
    assert found["config"] == {"layer": "last", "windows": 30, "episodes": 8}
    assert (found["dataset"], found["seed"]) == (f"{LEVEL}/mixed", 2)
    assert comparison.cells([found], dt_attention.METHOD, f"{LEVEL}/mixed") == []
