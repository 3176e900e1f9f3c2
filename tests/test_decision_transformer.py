"""Decision Transformer: what an action may depend on, and that it drives as it was trained."""

import json
import math
from dataclasses import asdict

import pytest
import torch
from torch import nn
from worlds import WORLDS, Drift, asked, behavior, envs, last_windows

from seqrl import checkpoints
from seqrl.behavior import Random
from seqrl.decision_transformer import DecisionTransformerConfig
from seqrl.encoders import FlatEncoderConfig
from seqrl.environments import Envs, make_envs
from seqrl.environments.toys import RandomWalkGraph
from seqrl.policies import PolicyError
from seqrl.rollout import rollout
from seqrl.training import fit
from seqrl.transformer import TransformerConfig
from seqrl.windows import Windows

torch.set_num_threads(1)
TRUNK = TransformerConfig(layers=2, width=32, heads=2)
QUIET = {"progress": False, "warmup": 0, "weight_decay": 0.0}
DATA = {}


@pytest.fixture(autouse=True)
def _same_start():
    torch.manual_seed(0)


def data_of(world, episodes=12):
    """Episodes of a world, made once."""
    if world not in DATA:
        environments = envs(world, 4)
        DATA[world] = rollout(behavior(world, environments), environments, episodes, 0)
    return DATA[world]


def model_for(data, K=4, lively=True, **fields):
    """An untrained model; lively: with weights so large that everything matters."""
    fields = {"trunk": TRUNK, "context": K, "return_scale": 5.0} | fields
    model = DecisionTransformerConfig.for_data(data, **fields).build().eval()
    for name, parameter in model.named_parameters():
        if lively and parameter.ndim > 1 and not name.startswith("encoder."):
            parameter.data.mul_(4)
    if getattr(model.encoder, "cost", None) is not None:  # zero at first: what is before it rests
        nn.init.normal_(model.encoder.cost[-1].weight, std=0.1)
    return model


def windows(data, K, batch=8):
    """Some windows without padding."""
    whole = data.offsets[:-1][data.lengths >= K]
    return Windows(data, K)(whole[:batch])


def perturbed(batch, name, at):
    """The same windows with another return-to-go, state or action at step `at`."""
    if name == "return":
        changed = batch.returns_to_go.clone()
        changed[:, at] += 3
        return batch._replace(returns_to_go=changed)
    if name == "action":
        changed = batch.actions.clone()
        changed[:, at] = changed[:, at] + 1 if changed.is_floating_point() else 2 - changed[:, at]
        return batch._replace(actions=changed)
    key = next(key for key in ("state", "view", "agent") if key in batch.observations)
    changed = batch.observations[key].clone()
    changed[:, at] = 1 - changed[:, at] if key != "agent" else changed[:, at].roll(1, 0)
    return batch._replace(observations={**batch.observations, key: changed})


# --------------------------------------------------------------------------- what may look at what


@pytest.mark.parametrize("world", ["doors", "numbers", "graph"])
@pytest.mark.parametrize("name", ["return", "state", "action"])
@pytest.mark.parametrize("at", [0, 3])
@torch.no_grad()
def test_an_action_depends_on_the_past_and_on_what_is_now(world, name, at):
    batch = windows(data_of(world), 5)
    if world == "doors":
        batch = batch._replace(actions=batch.actions.clamp(max=2))
    model = model_for(data_of(world), 5)
    moved = (model(batch) - model(perturbed(batch, name, at))).abs().amax((0, 2))  # (5,)
    first = at + 1 if name == "action" else at  # a_t is no input of its own prediction
    assert (moved[:first] == 0).all()
    assert (moved[first:] > 1e-4).all()


@torch.no_grad()
def test_tokens_are_return_state_action_of_each_step_with_its_time():
    data = data_of("numbers")
    model, batch = model_for(data, 3), windows(data, 3, 2)
    states = model.encoder.encode(batch.observations).steps
    found = model.tokens(batch.returns_to_go, states, batch.actions, batch.timesteps + 7)
    assert found.shape == (2, 9, 32)
    for b in range(2):
        for t in range(3):
            time = model.embed_timestep.weight[t + 7]
            R = model.embed_return(batch.returns_to_go[b, t].view(1) / 5.0)
            a = model.embed_action(batch.actions[b, t])
            for i, part in enumerate((R, states[b, t], a)):
                assert torch.allclose(found[b, 3 * t + i], model.norm(part + time), atol=1e-6)


@torch.no_grad()
def test_an_action_is_read_off_the_token_of_its_state():
    data = data_of("numbers")
    model, batch = model_for(data, 3), windows(data, 3, 2)
    states = model.encoder.encode(batch.observations).steps
    x = model.trunk(model.tokens(batch.returns_to_go, states, batch.actions, batch.timesteps))
    assert torch.allclose(model(batch), model.head(x)[:, [1, 4, 7]], atol=1e-5)


@torch.no_grad()
def test_timesteps_are_counted_in_the_episode_and_late_ones_share_the_last():
    data = data_of("numbers")
    model, batch = model_for(data, 3, max_timestep=20), windows(data, 3)
    early, later, late, latest = (
        model(batch._replace(timesteps=batch.timesteps + shift)) for shift in (0, 5, 30, 95)
    )
    last = model(batch._replace(timesteps=torch.full_like(batch.timesteps, 19)))
    assert not torch.allclose(early, later, atol=1e-3)
    assert not torch.allclose(later, last, atol=1e-3)
    assert torch.equal(late, last) and torch.equal(latest, last)


@pytest.mark.parametrize("world", WORLDS)
def test_padding_changes_neither_loss_nor_gradient(world):
    data, K = data_of(world), 6
    ends = data.offsets[1:] - 2
    batch = Windows(data, K)(ends[data.lengths > 1])
    assert batch.mask.sum(1).tolist() == [2] * len(batch.mask)
    other = batch
    for at in range(2, K):
        for name in ("return", "state", "action"):
            other = perturbed(other, name, at)
    other.timesteps[:, 2:] = 3
    found = []
    for x in (batch, other):
        model = model_for(data, K)
        loss, info = model.loss(x)
        loss.backward()
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        found.append((loss, info["accuracy"], gradients))
        torch.manual_seed(0)
    (loss, accuracy, gradients), (other_loss, other_accuracy, other_gradients) = found
    assert loss > 0.1 and torch.equal(loss, other_loss)
    assert torch.equal(accuracy, other_accuracy) or world == "numbers"
    assert all(torch.allclose(x, y, atol=1e-6) for x, y in zip(gradients, other_gradients))


@torch.no_grad()
def test_the_loss_is_the_mean_over_real_steps_of_all_windows():
    data, K = data_of("graph"), 4
    batch, model = Windows(data, K)(torch.arange(30)), model_for(data, 4)
    assert not batch.mask.all()
    out, total = model(batch), 0.0
    for b, t in batch.mask.nonzero().tolist():
        total -= out[b, t].log_softmax(0)[batch.actions[b, t]].item()
    loss, info = model.loss(batch)
    assert loss.item() == pytest.approx(total / batch.mask.sum().item(), rel=1e-5)
    right = (out.argmax(-1) == batch.actions)[batch.mask]
    assert info["accuracy"].item() == pytest.approx(right.float().mean().item())


@pytest.mark.parametrize("world", WORLDS)
def test_every_parameter_moves_in_one_update(world):
    data = data_of(world)
    model = model_for(data, lively=False)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    fit(model, data, steps=1, batch=8, **QUIET)
    still = [name for name, p in model.named_parameters() if torch.equal(p, before[name])]
    # with a view the start is unknown, so nothing lies on a side of it
    assert still == (["encoder.sides.weight"] if world == "view" else [])


# ------------------------------------------------------------------------------------------ driving


class Driven:
    """Policies that are all shown a behavior policy's steps, and what each would have done."""

    def __init__(self, behavior, *policies):
        self.behavior, self.outputs = behavior, [{} for _ in policies]
        self.policies = policies
        for policy, outputs in zip(policies, self.outputs):
            policy.chooser.choose = self.chooser(outputs)

    def chooser(self, outputs):
        def choose(out, rows, step):
            for row, logits in zip(rows.tolist(), out):
                outputs.setdefault(int(step.episode[row]), []).append(logits)
            return self.actions

        return choose

    def act(self, step):
        self.actions = self.behavior.act(step)
        for policy in self.policies:
            policy.act(step)
        return self.actions


def driven(world, model, E, episodes, target=2.0, **options):
    """Outputs of the cached and of the plain policy at each step (S, size), and the data."""
    environments = envs(world, E)
    policies = [model.policy(target, cached=cached, **options) for cached in (True, False)]
    drives = Driven(behavior(world, environments), *policies)
    data = rollout(drives, environments, episodes, 1)
    per_step = [torch.cat([torch.stack(o[e]) for e in range(episodes)]) for o in drives.outputs]
    return *per_step, data


@torch.no_grad()
def in_training(model, data, K, target):
    """What the model predicts at each step from the training window that ends there: (S, size)."""
    batch, lengths = last_windows(data, K)
    step, ahead = torch.arange(data.steps), torch.arange(K)
    at = (step - lengths + 1)[:, None] + ahead
    to_go = asked(data, target)[at.clamp(max=data.steps - 1)]
    return model(batch._replace(returns_to_go=to_go))[step, lengths - 1]


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize(("K", "E", "episodes"), [(5, 3, 7), (1, 2, 2), (30, 2, 2)])
def test_cached_plain_and_training_say_the_same(world, K, E, episodes):
    """Episodes begin at different times, contexts slide, rows run out, doors open."""
    model = model_for(data_of(world), K)
    cached, plain, data = driven(world, model, E, episodes)
    assert cached.shape == (data.steps, model.config.actions.size)
    assert torch.allclose(cached, plain, atol=1e-5, rtol=0)
    assert torch.allclose(plain, in_training(model, data, K, 2.0), atol=1e-4, rtol=1e-4)
    assert plain.std(0).max() > 0.01  # there is something to be equal
    if K == 5:
        assert data.lengths.max() > K
        assert len(data.lengths.unique()) > 1 or world == "view"  # 30 steps, but for a lucky one
    if world == "doors":
        assert len(data.maps) > len(data)


def test_a_shorter_context_is_a_model_that_sees_less():
    model = model_for(data_of("doors"), 6)
    cached, plain, data = driven("doors", model, 3, 5, context=3)
    assert torch.allclose(cached, plain, atol=1e-5, rtol=0)
    assert torch.allclose(plain, in_training(model, data, 3, 2.0), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(plain, in_training(model, data, 6, 2.0), atol=1e-2)


@pytest.mark.parametrize("world", WORLDS)
def test_its_own_episodes_are_windows_that_it_predicts_alike(world):
    """Train and test agree: what it chose from is what `forward` says on the same steps."""
    model, K, target = model_for(data_of(world), 8), 8, 3.0
    policy = model.policy(target, temperature=0.0 if world == "numbers" else 1.0)
    chosen, choose = {}, policy.chooser.choose

    def noting(out, rows, step):
        for row, logits in zip(rows.tolist(), out):
            chosen.setdefault(int(step.episode[row]), []).append(logits)
        return choose(out, rows, step)

    policy.chooser.choose = noting
    data = rollout(policy, envs(world, 3), 5, 2)
    batch = Windows(data, K)(data.offsets[:-1])
    at = data.offsets[:-1, None] + torch.arange(K)
    to_go = asked(data, target)[at.clamp(max=data.steps - 1)]
    with torch.no_grad():
        out = model(batch._replace(returns_to_go=to_go))
    for e, n in enumerate(batch.mask.sum(1).tolist()):
        assert torch.allclose(torch.stack(chosen[e][:n]), out[e, :n], atol=1e-4, rtol=1e-4)
        if world == "numbers":
            done = model.config.actions.unscaled(out[e, :n].tanh())
            assert torch.allclose(batch.actions[e, :n], done, atol=1e-3)
    assert len(data.actions.unique(dim=0)) > 1


@pytest.mark.parametrize("cached", [True, False])
def test_the_return_to_go_starts_at_the_target_and_loses_every_reward(cached):
    model = model_for(data_of("graph"), 4, return_scale=1.0)
    shown = []
    policy = model.policy(-3.5, cached=cached)
    model.embed_return.register_forward_hook(
        lambda _, inputs, out: shown.append(inputs[0][0, :, 0])
    )
    data = rollout(policy, envs("graph", 1), 3, 0)
    assert [x[-1].item() for x in shown] == asked(data, -3.5).tolist()
    shown.clear()
    data = rollout(model.policy(-3.5, within=(-3.0, -1.0), cached=cached), envs("graph", 1), 3, 0)
    wanted = asked(data, -3.5).clamp(-3, -1).tolist()
    assert [x[-1].item() for x in shown] == wanted and -3 in wanted and -1 in wanted


@pytest.mark.parametrize("world", WORLDS)
def test_an_episode_is_the_same_whatever_runs_beside_it(world):
    model = model_for(data_of(world), 3)
    temperature = 0.0 if world == "numbers" else 1.0
    runs = [
        rollout(model.policy(2.0, temperature=temperature, cached=cached), envs(world, E), 3, 0)
        for E, cached in ((1, True), (2, True), (4, False))
    ]
    for run in runs[1:]:
        if world == "numbers":  # sums of floats depend on their order by a rounding
            assert torch.equal(runs[0].offsets, run.offsets)
            assert torch.allclose(runs[0].actions, run.actions, atol=1e-4)
        else:
            assert runs[0].equal(run)


def test_a_policy_serves_one_rollout_after_the_other():
    model = model_for(data_of("doors"), 3)
    policy = model.policy(2.0, temperature=1.0)
    runs = [rollout(policy, envs("doors", E), 2, 0) for E in (2, 2, 1)]
    assert runs[0].equal(runs[1]) and runs[0].equal(runs[2])
    other = [rollout(p, make_envs("GoToLocalS7N5", 2), 2, 0) for p in (policy, model.policy(2.0))]
    assert len(other[0]) == 2


def test_dropout_rests_while_it_drives_even_in_the_midst_of_training():
    data = data_of("graph")
    model = model_for(data, trunk=TransformerConfig(layers=1, width=32, dropout=0.5))
    policy = model.policy(0.0, temperature=1.0)
    before = rollout(policy, envs("graph", 3), 5, 0)
    model.train()
    assert rollout(policy, envs("graph", 3), 5, 0).equal(before)


# ----------------------------------------------------------------------------------------- learning


def test_a_high_return_makes_short_ways_out_of_random_walks_and_a_low_one_long_ways():
    """The paper's Figure 2, small: the data wander, the model that is asked for much does not."""
    graphs = envs("graph", 50)
    data = rollout(Random(graphs), graphs, 600, 0)
    trunk = TransformerConfig(layers=2, width=32)
    model = DecisionTransformerConfig.for_data(data, trunk=trunk, context=10).build()
    history = fit(model, data, steps=150, batch=32, lr=5e-3, progress=False)
    assert history.loss[-20:].mean() < history.loss[:5].mean() < 1.2
    high, low = (
        rollout(model.policy(target, temperature=1.0), graphs, 100, 1, stream="test")
        for target in (-1.0, -10.0)
    )
    starts = high.observations["state"][high.offsets[:-1] + torch.arange(100)].argmax(1)
    fewest = RandomWalkGraph().shortest_lengths()[starts].mean()
    wandered = data.lengths.double().mean()
    assert fewest < 4 and wandered > 8
    assert high.lengths.double().mean() < fewest + 1.5
    assert low.lengths.double().mean() > wandered + 0.7


# --------------------------------------------------------------------------- checkpoints, refusals


@pytest.mark.parametrize("world", WORLDS)
def test_a_model_comes_back_from_its_checkpoint(world, tmp_path):
    data = data_of(world)
    model = model_for(data, lively=False, max_timestep=50)
    fit(model, data, steps=2, batch=8, **QUIET)
    checkpoints.save_model(tmp_path / "m", model, {"data": {}, "recipe": {}}, half=False)
    described = checkpoints.load(tmp_path / "m")[1]["model"]
    assert described.pop("method") == "DecisionTransformer"
    again = DecisionTransformerConfig.from_card(described).build().eval()
    assert again.config == model.config and hash(again.config) == hash(model.config)
    checkpoints.load_model(tmp_path / "m", again)
    batch = data.windows(4, 8, torch.Generator())
    assert torch.equal(again(batch), model(batch))
    json.dumps(asdict(model.config), allow_nan=False)


def test_the_scale_of_returns_is_the_largest_in_the_data_and_at_least_one():
    graph, view = data_of("graph"), data_of("view")
    scale = DecisionTransformerConfig.for_data(graph).return_scale
    assert scale == graph.returns_to_go().abs().max() > 1
    assert DecisionTransformerConfig.for_data(view).return_scale == 1


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"context": 0}, "at least one step, not 0"),
        ({"return_scale": 0.0}, "return_scale must be above 0"),
        ({"return_scale": math.nan}, "return_scale must be above 0"),
        ({"encoder": FlatEncoderConfig(3, 64)}, "width 64 is not the trunk's 32"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(fields, said):
    with pytest.raises(ValueError, match=said):
        model_for(data_of("numbers"), **{"K": 4, **fields} if "context" not in fields else fields)


def test_what_a_policy_cannot_do_is_refused_by_name():
    model = model_for(data_of("doors"))
    for target in (math.nan, math.inf):
        with pytest.raises(PolicyError, match="target return"):
            model.policy(target)
    for K in (0, 5):
        with pytest.raises(ValueError, match=f"trained with 1 to 4 steps, not {K}"):
            model.policy(0.0, context=K)
    with pytest.raises(PolicyError, match="'map' is missing"):
        rollout(model.policy(0.0), envs("view", 2), 1, 0)
    with pytest.raises(PolicyError, match=r"sees state, but .* shows agent, map, mission:"):
        rollout(model_for(data_of("graph")).policy(0.0), envs("doors", 2), 1, 0)
    with pytest.raises(PolicyError, match=r"'state' of shape \(20,\), not \(3,\)"):
        rollout(model_for(data_of("graph")).policy(0.0), Envs([Drift()]), 1, 0)
