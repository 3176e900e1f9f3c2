"""LEAP: its conditionals, its losses, what the end of an episode shows, and how it drives."""

import numpy as np
import pytest
import torch

from seqrl import checkpoints, datasets, encoders
from seqrl.actions import Actions
from seqrl.constraints import Avoid
from seqrl.energy_search import GREEDY, NOTHING, Search, energies, energies_plain
from seqrl.environments import make_envs
from seqrl.imitation import successful
from seqrl.leap import UNKNOWN, LEAPConfig
from seqrl.leap_return import ReturnLEAPConfig
from seqrl.policies import PolicyError
from seqrl.rollout import rollout
from seqrl.training import fit
from seqrl.transformer import TransformerConfig

torch.set_num_threads(1)
TRUNK = TransformerConfig(layers=2, heads=2, width=16, activation="gelu")
LEVEL = "GoToLocalS8N7"


@pytest.fixture(scope="module")
def data():
    return datasets.collect(LEVEL, "expert", 16, processes=1, progress=False)


def model_for(data, kind=LEAPConfig, **fields):
    torch.manual_seed(0)
    model = kind.for_data(data, **{"trunk": TRUNK, "horizon": 4, **fields}).build().eval()
    for parameter in model.head.parameters():
        torch.nn.init.normal_(parameter)  # opinions, though untrained
    return model


def batch_of(data, B=6, H=4):
    return data.windows(H, B, torch.Generator().manual_seed(0))


def test_all_hidden_positions_in_one_forward_equal_a_forward_each(data):
    for after_end in ("predicted", "masked", "visible"):
        model, batch = model_for(data, after_end=after_end), batch_of(data)
        plans, _ = model.targets(batch)
        with torch.no_grad():
            fast = model.each_hidden(model.prefix(batch.observations), plans)
            plain = model.each_hidden_plain(batch)
        assert torch.allclose(fast, plain, atol=1e-5)
        assert torch.allclose(fast.exp().sum(-1), torch.ones(6, 4), atol=1e-5)


def test_the_exact_loss_is_the_energy_of_the_datas_plans(data):
    model, batch = model_for(data, masking="exact"), batch_of(data)
    with torch.no_grad():
        plans, _ = model.targets(batch)
        energy = energies(model.conditionals(batch.observations), plans, torch.arange(6))
        loss, info = model.loss(batch)
    assert loss == pytest.approx(float(energy.mean()) / 4, abs=1e-5)
    assert 0 <= info["accuracy"] <= 1


def test_conditionals_with_a_kept_prefix_equal_whole_forwards(data):
    model, batch = model_for(data), batch_of(data)
    generator = torch.Generator().manual_seed(1)
    plans = torch.randint(0, 7, (20, 4), generator=generator)
    hidden = torch.rand(20, 4, generator=generator) < 0.5
    rows = torch.randint(0, 6, (20,), generator=generator)
    with torch.no_grad():
        log_p = model.conditionals(batch.observations)
        whole = model.log_p(model.prefix(batch.observations)[rows], model.shown(plans, hidden))
        assert torch.allclose(log_p(plans, hidden, rows)[hidden], whole[hidden], atol=1e-5)
        both = [f(log_p, plans, rows) for f in (energies, energies_plain)]
    assert torch.allclose(*both, atol=1e-5)


def test_a_plan_sees_in_both_directions_but_never_what_is_hidden(data):
    model, batch = model_for(data), batch_of(data, 1)
    log_p = model.conditionals(batch.observations)
    plan, row = torch.tensor([[2, 2, 2, 2]]), torch.tensor([0])

    def at(i, j, action):
        """p of position i where position j has another action; i is hidden."""
        changed = plan.clone()
        changed[0, j] = action
        with torch.no_grad():
            return log_p(changed, torch.arange(4)[None] == i, row)[0, i]

    assert not torch.allclose(at(1, 3, 0), at(1, 3, 1), atol=1e-6)  # the future
    assert not torch.allclose(at(3, 1, 0), at(3, 1, 1), atol=1e-6)  # the past
    assert torch.equal(at(1, 1, 0), at(1, 1, 5))


def test_plans_of_one_window_are_those_of_windows_of_their_own(data):
    model, generator = model_for(data, starts=3), torch.Generator().manual_seed(0)
    batch = data.windows(model.config.context, 8, generator)
    starts = model.starts(batch)
    plans, _ = model.targets(batch)
    with torch.no_grad():
        prefix = model.prefix(batch.observations, starts=starts)
    assert batch.mask.shape == (8, 6) and len(plans) == len(prefix) == int(starts.sum())
    for row, (b, t) in enumerate(starts.nonzero().tolist()):
        cut = {
            key: x[b : b + 1] if key in ("map", "mission") else x[b : b + 1, t : t + 4]
            for key, x in batch.observations.items()
        }
        own = batch._replace(
            observations=cut,
            actions=batch.actions[b : b + 1, t : t + 4],
            mask=batch.mask[b : b + 1, t : t + 4],
            terminations=batch.terminations[b : b + 1, t : t + 4],
        )
        with torch.no_grad():
            assert torch.allclose(model.prefix(own.observations)[0], prefix[row], atol=1e-5)
        if own.terminations.any() or own.mask.all():
            assert torch.equal(model.targets(own)[0][0], plans[row])
    with pytest.raises(ValueError, match="no plan of 4"):
        model.loss(batch_of(data, H=3))


def test_the_end_is_predicted_where_an_episode_terminated_and_unknown_where_it_was_cut(data):
    model, batch = model_for(data), batch_of(data, 12)
    plans, targets = model.targets(batch)
    after = ~batch.mask & batch.terminations.any(1, keepdim=True)
    assert after.any() and (targets[after] == model.config.end).all()
    cut = batch._replace(terminations=torch.zeros_like(batch.terminations))
    plans, targets = model.targets(cut)
    assert (targets[~batch.mask] == UNKNOWN).all() and (plans[~batch.mask] == NOTHING).all()
    _, masked = model_for(data, after_end="masked").targets(batch)
    assert (masked[~batch.mask] == UNKNOWN).all()


def test_the_end_is_no_hint_unless_it_is_asked_to_be(data):
    plans = torch.tensor([[2, 2, 7, 7]])
    hidden = torch.zeros(1, 4, dtype=torch.bool)
    for after_end, shown in (("predicted", 8), ("masked", 8), ("visible", 7)):
        tokens = model_for(data, after_end=after_end).shown(plans, hidden)
        assert tokens.tolist() == [[2, 2, shown, shown]]


def test_no_plan_ends_before_it_begins(data):
    model, batch = model_for(data), batch_of(data)
    log_p = model(batch)
    assert log_p.shape == (6, 4, 8) and (log_p[:, 0, 7] == -torch.inf).all()
    assert log_p[:, 1:, 7].isfinite().all()
    assert model_for(data, after_end="masked")(batch).shape == (6, 4, 7)


@pytest.mark.parametrize("masking", ["random", "exact"])
def test_a_small_model_learns_its_data_and_all_of_it_is_trained(data, masking):
    model = model_for(data, masking=masking)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    history = fit(model, data, steps=60, batch=24, lr=3e-3, progress=False)
    assert history.loss[-10:].mean() < 0.7 * history.loss[:3].mean()
    assert not [name for name, p in model.named_parameters() if torch.equal(p, before[name])]


def test_random_masks_of_every_size_are_drawn(data):
    model, counts = model_for(data), []
    shown = model.shown
    model.shown = lambda plans, hidden: (
        counts.extend(hidden.sum(1).tolist()) or shown(plans, hidden)
    )
    model.loss(batch_of(data, 200))
    share = np.bincount(counts, minlength=5)[1:] / 200
    assert (abs(share - 0.25) < 0.12).all()


def test_an_episode_is_the_same_whatever_runs_beside_it(data):
    model = model_for(data)
    runs = [
        rollout(model.policy(search=Search(3, 2), execute=2), make_envs(LEVEL, n), 3, 0)
        for n in (1, 3)
    ]
    assert runs[0].equal(runs[1])


@pytest.mark.parametrize(("execute", "reuse"), [(1, False), (3, False), (2, True)])
def test_what_is_observed_is_encoded_once_a_plan(data, execute, reuse):
    model, calls = model_for(data, after_end="masked"), []
    encode = model.encoder.encode
    model.encoder.encode = lambda seen: calls.append(1) or encode(seen)
    policy = model.policy(search=GREEDY, execute=execute, reuse=reuse)
    played = rollout(policy, make_envs(LEVEL, 1), 1, 0)
    assert len(calls) == -(-played.steps // execute)


def test_lava_is_not_entered_by_a_model_that_knows_none(data):
    level = "GoToObjMazeS4Lava"
    model = model_for(data)
    model.head.bias.data[2] += 4.0  # it likes to go forward
    envs = make_envs(level, 6)
    played = rollout(model.policy(search=Search(2, 2), execute=4), envs, 6, 0)
    assert (played.terminations[played.offsets[1:] - 1] & ~played.success).any()
    safe = model.policy(search=Search(2, 2), execute=4, constraints=[Avoid()])
    kept = rollout(safe, envs, 6, 0)
    assert not (kept.terminations[kept.offsets[1:] - 1] & ~kept.success).any()


class Everything:
    def energy(self, observations):
        return lambda plans, rows: torch.full((len(plans),), torch.inf)


class LongPlans:
    """Forbids two decided actions: no whole plan is allowed, though every single action is."""

    def energy(self, observations):
        return lambda plans, rows: torch.where(
            ((plans >= 0) & (plans < 7)).sum(1) > 1, torch.inf, 0.0
        )


def test_a_constraint_that_forbids_every_plan_leaves_a_single_allowed_action_or_an_error(data):
    model, envs = model_for(data, after_end="masked"), make_envs(LEVEL, 2)
    for search in (Search(2, 2), GREEDY):
        policy = model.policy(search=search, execute=4, constraints=[LongPlans()])
        assert rollout(policy, envs, 2, 0).steps > 0
        with pytest.raises(PolicyError, match="forbids every action"):
            rollout(model.policy(search=search, constraints=[Everything()]), envs, 2, 0)


def test_two_models_plan_together_only_if_they_fit(data):
    model = model_for(data)
    rollout(model.policy(search=Search(1, 1), others=[model_for(data)]), make_envs(LEVEL, 2), 2, 0)
    with pytest.raises(PolicyError, match="cannot be added"):
        model.policy(others=[model_for(data, horizon=3)])


def test_a_return_can_be_asked_for(data):
    model, batch = model_for(data, ReturnLEAPConfig), batch_of(data)
    high = batch._replace(returns_to_go=batch.returns_to_go + 5)
    assert not torch.allclose(model(batch)[:, 1], model(high)[:, 1])
    rollout(model.policy(-4.0, search=Search(2, 1)), make_envs(LEVEL, 2), 2, 0)
    with pytest.raises(PolicyError, match="target return"):
        model.policy(float("nan"))
    with pytest.raises(ValueError, match="told a return"):
        model.prefix(batch.observations)


@pytest.mark.parametrize("kind", [LEAPConfig, ReturnLEAPConfig])
def test_a_model_comes_back_from_its_checkpoint(data, kind, tmp_path):
    model = model_for(data, kind)
    checkpoints.save_model(tmp_path / "m", model, {"data": {}, "recipe": {}}, half=False)
    fields = checkpoints.load(tmp_path / "m")[1]["model"]
    fields.pop("method")
    again = kind.from_card(fields).build().eval()
    checkpoints.load_model(tmp_path / "m", again)
    assert again.config == model.config
    assert torch.equal(again(batch_of(data)), model(batch_of(data)))


def test_what_does_not_fit_is_refused_by_name(data):
    for fields, words in (
        ({"horizon": 0}, "horizon=0"),
        ({"masking": "all"}, "'random' or 'exact'"),
        ({"starts": 0}, "starts=0"),
        ({"after_end": "shown"}, "after_end"),
        ({"encoder": encoders.config_of(data, 32)}, "width 32"),
        ({"return_scale": 0.0}, "return_scale"),
    ):
        with pytest.raises(ValueError, match=words):
            ReturnLEAPConfig.for_data(data, trunk=TRUNK, **fields)
    with pytest.raises(ValueError, match="discrete"):
        moves = Actions(1, False, (-1.0,), (1.0,))
        LEAPConfig(encoders.config_of(data, 16), moves, trunk=TRUNK)
    model = model_for(data)
    for execute in (0, 5):
        with pytest.raises(PolicyError, match="1 to 4 actions"):
            model.policy(execute=execute)
    with pytest.raises(PolicyError, match="'map' is missing"):
        rollout(model.policy(), make_envs("KeyToDoor", 1), 1, 0)


def test_only_successful_episodes_are_planned_from(data):
    mixed = datasets.collect(LEVEL, "random", 24, processes=1, progress=False)
    chosen = successful(mixed)
    assert 0 < len(chosen) < 24 and chosen.success.all() and chosen.info["successful"]
    with pytest.raises(ValueError, match="no episode"):
        successful(mixed.select((~mixed.success).nonzero()[:, 0]))
