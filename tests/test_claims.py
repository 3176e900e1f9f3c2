"""Three claims in every layer and head: controls, verdicts, other maps, records, growth."""

import pytest
import torch

from seqrl import attention_maps, claims, dt_attention, inside_studies, results, tt_dynamics
from seqrl.decision_transformer import DecisionTransformerConfig
from seqrl.experiments import untrained
from seqrl.intervals import Interval
from seqrl.interventions import pattern
from seqrl.leap import LEAPConfig
from seqrl.trajectory_transformer import TrajectoryTransformerConfig
from seqrl.transformer import TransformerConfig

torch.set_num_threads(1)
LEVEL = "GoToLocalS7N5"
K, H = 4, 3


@pytest.fixture(scope="module")
def seen():
    return dt_attention.held_out(LEVEL, 24)


@pytest.fixture(scope="module")
def models():
    from seqrl import datasets

    data = datasets.collect(LEVEL, "expert", 8, processes=1, progress=False)
    trunk = TransformerConfig(layers=2, heads=2, width=16, activation="gelu")
    configs = {
        "DT": DecisionTransformerConfig.for_data(data, context=K, trunk=trunk),
        "TT": TrajectoryTransformerConfig.for_data(data, context=K, trunk=trunk),
        "LEAP": LEAPConfig.for_data(data, horizon=H, trunk=trunk),
    }
    found = {name: untrained(config, 0) for name, config in configs.items()}
    for model in found.values():
        for name, parameter in model.named_parameters():
            if "weight" in name and parameter.ndim == 2:
                generator = torch.Generator().manual_seed(1)
                torch.nn.init.normal_(parameter, std=0.4, generator=generator)
        model.eval()
    return found


@pytest.fixture(scope="module")
def batches(seen):
    return {
        "DT": dt_attention.draw(seen, K, 20),
        "TT": [tt_dynamics.whole_windows(seen, K)],
        "LEAP": dt_attention.draw(seen, H, 20),
    }


@pytest.mark.parametrize("name", claims.METHODS)
def test_every_layer_and_head_has_a_share(models, batches, name):
    model = models[name]
    found, without = claims.shares(name, model, model, batches[name])
    assert not torch.allclose(found["trained"].nan_to_num(), without["trained"].nan_to_num())
    assert set(found) == set(claims.SOURCES)
    assert found["trained"].shape[::2] == (2, 2)  # layers, heads
    assert torch.equal(found["trained"].isnan(), found["untrained"].isnan())
    rows = claims.by_head(found)
    assert [(r["layer"], r["head"]) for r in rows] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert {r["verdict"] for r in rows} == {"no"}  # the network is its own control
    whole = claims.overall(found, found)
    assert whole["trained"] == pytest.approx(whole["untrained"])
    assert 0 < whole["uniform"].estimate < 1


@pytest.mark.parametrize("name", claims.METHODS)
def test_the_last_layers_share_is_that_of_the_records(models, batches, name):
    """`of_record` names the scores that the three chapters keep."""
    from seqrl import leap_attention, tt_attention

    model, of = models[name], batches[name]
    if name == "DT":
        maps, found = dt_attention.last_layer(model, model, of), dt_attention.measures(K)
    elif name == "TT":
        maps = tt_attention.last_layer(model, model, of)
        found = tt_attention.measures(model.layout, K * model.layout.C - 1)
    else:
        maps, found = leap_attention.last_layer(model, model, of, "one mask"), {}
        found = leap_attention.measures()
    table = attention_maps.table(found, maps)
    prefix = "one mask, " if name == "LEAP" else ""
    scores = {f"{prefix}{row['maps']}: {row['measure']}": row["estimate"] for row in table}
    shares, _ = claims.shares(name, model, model, of)
    for source in claims.SOURCES:
        recorded = claims.of_record({"scores": scores}, name, source)
        mine = claims.overall({source: shares[source][-1:]})[source].estimate
        assert recorded == pytest.approx(mine, abs=1e-5)


def test_verdicts():
    def own(trained, shuffled, untrained=(0.2, 0.1, 0.3), uniform=(0.2, 0.1, 0.3)):
        intervals = (trained, shuffled, untrained, uniform)
        return {k: Interval(*x) for k, x in zip(claims.SOURCES, intervals)}

    assert claims.verdict(own((0.3, 0.25, 0.4), (0.1, 0.1, 0.1))) == "no"
    assert claims.verdict(own((0.5, 0.4, 0.6), (0.4, 0.3, 0.5))) == "place"
    assert claims.verdict(own((0.5, 0.4, 0.6), (0.3, 0.2, 0.39))) == "content"


@pytest.mark.parametrize("name", claims.METHODS)
def test_shipped_records_have_what_is_asked_of_them(name):
    records = results.read_all(results.shipped())
    runs = claims.recorded(records, name, "GoToLocalS8N7/mixed")
    assert runs and [run["seed"] for run in runs] == sorted({run["seed"] for run in runs})
    for run in runs:
        assert 0 < claims.of_record(run, name, "trained") < 1
        assert set(claims.tested(run, name)) == set(claims.CLAIMS[name].tests)


def test_an_interval_over_seeds_needs_two():
    assert claims.over_seeds([0.5]) is None
    assert claims.over_seeds([0.4, 0.6]).estimate == pytest.approx(0.5)


@pytest.mark.parametrize("name", claims.METHODS)
def test_other_maps_change_maps_and_nothing_else(models, batches, name):
    model, of = models[name], batches[name]
    before = claims.layer_maps(name, model, model, of, 0)["trained"]
    with pattern(model, "even", 0):
        even = claims.layer_maps(name, model, model, of, 0)["trained"]
    assert torch.allclose(even.weights, before.uniform().weights, atol=1e-6)
    after = claims.layer_maps(name, model, model, of, 0)["trained"]
    assert torch.equal(after.weights, before.weights)  # the hooks are gone
    found = claims.other_maps(name, model, of)
    assert len(found) == 6 and all(effect.kl > 0 for effect in found.values())


def test_another_windows_map(models, batches):
    model, batch = models["DT"], batches["DT"][0]
    own = attention_maps.record(model, [batch])[0].weights
    with pattern(model, "another", 0):
        other = attention_maps.record(model, [batch])[0].weights
    assert torch.allclose(other, own.roll(1, 0), atol=1e-6)
    with pytest.raises(ValueError, match="where a batch has two"), pattern(model, "another"):
        model(dt_attention.draw(dt_attention.held_out(LEVEL, 4), K, 1)[0])
    with pytest.raises(ValueError, match="'even' or 'another'"), pattern(model, "odd"):
        pass


def test_hidden_transitions_touch_the_last_one(models, batches):
    found = claims.last_transition_hidden(models["TT"], batches["TT"])
    assert set(found) == {
        f"{which} hidden, {part}"
        for which in ("last", "one before")
        for part in ("state", "action")
    }
    assert all(effect.kl > 0 for effect in found.values())


def test_growth_is_kept_where_it_is_asked_for(models, batches):
    hook = claims.growth(batches["DT"], (2, 4))
    assert hook(1, models["DT"]) is None
    found = hook(4, models["DT"])
    assert [x.shape for x in found["maps"]] == [(K, 3 * K)] * 2
    assert len(found["share"]) == 2 and found["loss"] > 0 and found["kl"] > 0
    for rows in found["maps"]:
        assert torch.allclose(rows.sum(-1), torch.ones(K), atol=1e-5)


def test_the_deaf_do_not_hear(models, batches):
    before = claims.answers("DT", dt_attention.deaf(models["DT"]), batches["DT"])[0]()
    other = [b._replace(returns_to_go=b.returns_to_go - 7) for b in batches["DT"]]
    after = claims.answers("DT", dt_attention.deaf(models["DT"]), other)[0]()
    assert torch.equal(before, after)


def test_driving_with_even_maps(trained_leap):
    run = inside_studies.even_record("leap", trained_leap, f"{LEVEL}/expert", 3, 2)
    usual = {**run, "method": "leap", "config": {}}
    as_it_is, even, apart, seeds = inside_studies.compared([run, usual], "leap", run["dataset"])
    assert as_it_is == even and apart.estimate == 0 and seeds == [3]
    for lacking in ([run], [run, {**usual, "checkpoint": "another"}]):
        none = inside_studies.compared(lacking, "leap", run["dataset"])
        assert none[0] is None and none[1] is None and none[3] == []
    assert none[0] is None and none[2] is None and none[3] == []
