"""IQL and fitted Q-learning: against dynamic programming, on what they may and may not look at."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import nn

from seqrl import checkpoints, datasets
from seqrl.actions import Actions
from seqrl.behavior import Random
from seqrl.environments import Envs, make_envs
from seqrl.environments.toys import RandomWalkGraph
from seqrl.imitation import BCConfig
from seqrl.iql import Critic, IQLConfig, asymmetric
from seqrl.policies import PolicyError
from seqrl.rollout import rollout
from seqrl.training import fit
from seqrl.trajectories import pack
from seqrl.windows import Windows

torch.set_num_threads(1)
SMALL = {"width": 32, "hidden": 32, "context": 3, "dropout": 0.0, "average": 0.1}
QUIET = {"progress": False, "weight_decay": 0.0, "lr": 5e-3, "batch": 64}


class Slide(gym.Env):
    """A place in [-1, 1] that an action in [-2, 2] is added to; how far from 0 it then is costs."""

    observation_space = spaces.Box(-9.0, 9.0, (1,), np.float32)
    action_space = spaces.Box(-2.0, 2.0, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = self.np_random.uniform(-1, 1, 1).astype(np.float32)
        return self.place, {}

    def step(self, action):
        return self.place + action, -abs(float(self.place[0] + action[0])), True, False, {}


class Sways:
    """A continuous behavior policy that draws its actions uniformly."""

    def act(self, step):
        draws = [np.random.default_rng(s).uniform(-2, 2, 1) for s in step.seed.tolist()]
        return np.array(draws, np.float32)


def graph(count=20):
    return Envs([RandomWalkGraph() for _ in range(count)])


@pytest.fixture(autouse=True)
def _same_start():
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def walks():
    """Random walks in which every edge occurs."""
    data = rollout(Random(graph()), graph(), 400, 0)
    assert len(edges(data).unique(dim=0)) == 57
    return data


def nodes(data):
    """The nodes at which each step began and ended, (S,) each."""
    node = data.observations["state"].argmax(1)
    row = torch.arange(data.steps) + data.episode_of_step
    return node[row], node[row + 1]


def edges(data):
    return torch.stack([nodes(data)[0], data.actions], 1)


def chain(rewards, *, terminated, actions=None):
    """One episode whose observations are all the same."""
    T = len(rewards)
    ends = np.arange(T) == T - 1
    return {
        "observations": {"state": np.zeros((T + 1, 1))},
        "actions": np.zeros(T, np.int64) if actions is None else np.array(actions),
        "rewards": np.array(rewards, np.float32),
        "terminations": ends & terminated,
        "truncations": ends & (not terminated),
    }


def every_step(data, K=1):
    return Windows(data, K)(torch.arange(data.steps))


def dynamic_programming(data, expectile=None, discount=0.99):
    """Q (20, 3) and V (20,) that satisfy the equations exactly on the data; None for the best."""
    here, there = (x.numpy() for x in nodes(data))
    used = ~data.truncations.numpy()
    s, a, n = here[used], data.actions.numpy()[used], there[used]
    r, over = data.rewards.numpy()[used], data.terminations.numpy()[used]
    Q, V = np.zeros((20, 3)), np.zeros(20)
    for _ in range(200):
        Q[s, a] = r + discount * ~over * V[n]
        for x in range(19):
            q = Q[x, a[s == x]]
            V[x] = q.max()
            for _ in range(0 if expectile is None else 40):
                w = np.where(q < V[x], 1 - expectile, expectile)
                V[x] = (w * q).sum() / w.sum()
    return torch.tensor(Q), torch.tensor(V)


def compared(model, data, Q, V):
    """The mean errors of Q and V over the steps of the data."""
    found, (here, _) = model.values(every_step(data)), nodes(data)
    known = ~data.truncations
    q_error = (found.q[:, 0] - Q[here, data.actions])[known].abs().mean().item()
    return q_error, (found.v[:, 0] - V[here])[known].abs().mean().item()


def detours(data):
    """Steps more than the shortest walk from each start, (episodes,)."""
    starts = nodes(data)[0][data.offsets[:-1]]
    return data.lengths - torch.tensor(RandomWalkGraph().shortest_lengths())[starts]


# ------------------------------------------------------------------- what is learned, and how well


def test_iql_learns_in_sample_values_and_shortest_walks_from_random_ones(walks):
    config = IQLConfig.for_data(walks, **SMALL)
    assert config.reward_scale == 1  # returns from -10 to 0, at most 10 steps
    model = config.build()
    fit(model, walks, steps=500, **QUIET)
    Q, V = dynamic_programming(walks, config.expectile)
    q_error, v_error = compared(model, walks, Q, V)
    assert q_error < 0.5 and v_error < 0.5, (q_error, v_error)  # V goes down to -11
    learned = rollout(model.policy(), graph(), 100, 1)
    assert walks.success.double().mean() < 0.4 and learned.success.all()
    assert detours(learned).double().mean() < 0.2 < 3 < detours(walks).double().mean()


def test_eq_iql_climb():
    """On an endless walk of reward 1 a value climbs as slowly as its targets allow."""
    data = pack([chain([1.0] * 50, terminated=False)])
    climbed, gamma, rho = {}, 0.9, 0.05
    for n in (100, 400):
        model = IQLConfig.for_data(
            data, **SMALL | {"discount": gamma, "average": rho, "reward_scale": 1.0}
        ).build()
        fit(model, data, steps=n, **QUIET)
        v = model.values(every_step(data)).v.mean().item()
        climbed[n] = v * (1 - gamma)  # of its height, 1 / (1 - γ)
    wanted = {n: 1 - (1 - rho * (1 - gamma)) ** n for n in climbed}  # 0.39, 0.87
    assert climbed == pytest.approx(wanted, abs=0.12)


def test_a_larger_expectile_expects_more(walks):
    found = []
    for expectile in (0.5, 0.95):
        model = IQLConfig.for_data(walks, expectile=expectile, **SMALL).build()
        fit(model, walks, steps=120, **QUIET)
        found.append(model.values(every_step(walks)).v.mean().item())
    assert found[1] > found[0] + 0.5


def test_fitted_q_is_dynamic_programming_where_every_edge_was_seen(walks):
    model = IQLConfig.for_data(walks, backup="max", **SMALL).build()
    fit(model, walks, steps=300, **QUIET)
    q_error, v_error = compared(model, walks, *dynamic_programming(walks))
    assert q_error < 0.15 and v_error < 0.15, (q_error, v_error)
    assert (detours(rollout(model.policy(), graph(), 100, 1)) == 0).all()


def test_cql_holds_down_what_was_never_done(walks):
    keep = [e for e in range(len(walks)) if (walks.episode(e)["actions"] != 2).all()]
    part = walks.select(keep)
    part.info["num_actions"] = 3
    never = []
    for cql in (0.0, 1.0):
        model = IQLConfig.for_data(part, backup="max", cql=cql, **SMALL).build()
        history = fit(model, part, steps=200, **QUIET)
        batch = every_step(part)
        seen = model.critic.all(model.encoder.encode(batch.observations).steps).mean((0, 1, 2))
        never.append((seen[2] - seen[:2].mean()).item())
        assert ("cql_loss" in history.curves) == (cql > 0)
    assert never[1] < never[0] - 1


def test_continuous_actions():
    world = Envs([Slide() for _ in range(10)])
    data = rollout(Sways(), world, 1000, 0)
    model = IQLConfig.for_data(data, **SMALL).build()
    fit(model, data, steps=250, **QUIET)
    learned = rollout(model.policy(), world, 100, 1)
    assert data.returns.mean() < -0.9 and learned.returns.mean() > -0.25
    found, first = model.values(every_step(data)), data.offsets[:-1]
    assert (found.q[:, 0] - data.rewards).abs().mean() < 0.15  # a step is the whole episode
    assert len(first) == data.steps


def test_the_expectile_is_where_the_loss_is_least():
    q = torch.tensor([0.0, 0.0, 0.0, 4.0])
    v = torch.linspace(-1, 5, 601)
    best = v[asymmetric(q - v[:, None], 0.75).mean(1).argmin()]
    assert best == pytest.approx(2.0, abs=0.011)  # 0.25 · 3 · v = 0.75 · (4 - v)
    assert v[asymmetric(q - v[:, None], 0.5).mean(1).argmin()] == pytest.approx(1, abs=0.011)


# --------------------------------------------------------------------------- which steps, and how


def test_a_cut_is_no_end_but_a_termination_is():
    values = []
    for terminated in (False, True):
        data = pack([chain([1, 1, 1, 1], terminated=terminated)] * 3)
        quick = SMALL | {"discount": 0.8, "average": 0.3}
        model = IQLConfig.for_data(data, reward_scale=2.0, **quick).build()
        fit(model, data, steps=250, **QUIET)
        values.append(model.values(every_step(data)).v.mean().item())
    assert values[0] == pytest.approx(5, abs=0.3)  # 1 / (1 - 0.8), in the data's units
    assert values[1] < 3  # about a quarter of the steps is the last: 1 / (1 - 0.75 · 0.8) = 2.5


def test_only_steps_whose_end_is_known_count():
    def losses(rewards, terminated, actions=(0, 1, 0)):
        data = pack([chain(rewards, terminated=terminated, actions=actions)])
        data.info["num_actions"] = 2
        torch.manual_seed(0)
        model = IQLConfig.for_data(data, reward_scale=1.0, **SMALL).build().eval()
        return {n: x.item() for n, x in model.losses(Windows(data, 4)(torch.tensor([0]))).items()}

    cut = losses([1, 2, 3], False)
    assert losses([1, 2, 99], False) == cut
    assert losses([1, 2, 3], False, actions=(0, 1, 1)) == cut
    assert losses([1, 99, 3], False) != cut
    ended = losses([1, 2, 3], True)
    assert ended != cut and losses([1, 2, 99], True) != ended


def test_windows_have_the_step_after():
    data = pack([chain(range(6), terminated=True)])
    model = IQLConfig.for_data(data, **SMALL).build()
    batch = model.sample(data, 32, torch.Generator().manual_seed(0))
    assert batch.mask.shape == (32, SMALL["context"] + 1)
    assert (batch.terminations == (batch.rewards == 5)).all()
    nothing = Windows(pack([chain([1.0], terminated=False)]), 4)(torch.tensor([0]))
    assert model.loss(nothing)[0] == 0  # not NaN


# --------------------------------------------------------------------------------------- gradients


def moved(model, loss):
    """The parts of a model that a loss has a gradient for."""
    model.zero_grad()
    loss.backward()
    return {n.split(".")[0] for n, p in model.named_parameters() if p.grad is not None}


def test_gradients_flow_between_no_two_heads(walks):
    model = IQLConfig.for_data(walks, cql=0.5, **SMALL).build()
    batch = model.sample(walks, 16, torch.Generator().manual_seed(0))
    heads = {"v_loss": "value", "policy_loss": "actor", "q_loss": "critic", "cql_loss": "critic"}
    for name, head in heads.items():
        assert moved(model, model.losses(batch)[name]) == {"encoder", head}, name


def test_values_leave_the_encoder_alone_where_only_the_policy_trains_it(walks):
    model = IQLConfig.for_data(walks, encoder_learns="policy", **SMALL).build()
    batch = model.sample(walks, 16, torch.Generator())
    trained = {"q_loss": {"critic"}, "v_loss": {"value"}, "policy_loss": {"actor", "encoder"}}
    assert {name: moved(model, model.losses(batch)[name]) for name in trained} == trained


@pytest.mark.parametrize("backup", ["expectile", "max"])
def test_what_q_is_regressed_on_has_no_gradient(backup, walks):
    model = IQLConfig.for_data(walks, backup=backup, **SMALL).build()
    for parameter in model.critic.twins.parameters():
        parameter.data.zero_()  # nothing flows through Q itself then
    model.losses(model.sample(walks, 16, torch.Generator()))["q_loss"].backward()
    assert not model.encoder.linear.weight.grad.any()
    assert model.critic.twins[0][-1].bias.grad.any()


def test_the_penalty_of_cql_is_the_cross_entropy_of_what_was_done(walks):
    model = IQLConfig.for_data(walks, cql=0.5, **SMALL).build()
    batch = Windows(walks, 4)(walks.offsets[:-1])
    q = model.critic.all(model.encoder.encode(batch.observations).steps)[:, :, :-1]
    used = batch.mask[:, :-1] & (batch.terminations[:, :-1] | batch.mask[:, 1:])
    assert used.any() and not used.all()
    wanted = sum(nn.functional.cross_entropy(x[used], batch.actions[:, :-1][used]) for x in q)
    assert torch.allclose(model.losses(batch)["cql_loss"], 0.5 * wanted)


def test_the_critic_sees_actions_within_their_bounds():
    states, actions = torch.randn(4, 3, 8), torch.rand(4, 3, 2)
    unit = Critic(8, 16, Actions(2, False, (-1.0, -1.0), (1.0, 1.0)))
    wide = Critic(8, 16, Actions(2, False, (0.0, -5.0), (4.0, 5.0)))
    wide.load_state_dict(unit.state_dict())
    larger = actions * torch.tensor([2.0, 5.0]) + torch.tensor([2.0, 0.0])
    assert torch.allclose(unit(states, actions), wide(states, larger), atol=1e-5)
    assert unit(states, actions).shape == (2, 4, 3)


@pytest.mark.parametrize("backup", ["expectile", "max"])
@pytest.mark.parametrize("level", ["graph", "GoToLocalS8N7"])
def test_every_parameter_is_trained_and_the_target_follows(backup, level, walks):
    data = walks
    if level != "graph":
        data = datasets.collect(level, "mixed", 10, processes=1, progress=False)
    model = IQLConfig.for_data(data, backup=backup, **SMALL).build()
    before = {name: x.clone() for name, x in model.state_dict().items()}
    # In the first update a layer that starts at 0 hides what is before it.
    fit(model, data, steps=2, warmup=0, **QUIET)
    assert not [n for n, p in model.named_parameters() if torch.equal(p, before[n])]
    assert not any(p.requires_grad for p in model.target.parameters())


def test_the_target_takes_over_the_asked_share(walks):
    model = IQLConfig.for_data(walks, **SMALL).build()
    with torch.no_grad():
        model.critic.twins[0][0].bias += 1
    before = model.target.twins[0][0].bias.clone()
    model.after_step()
    assert torch.allclose(model.target.twins[0][0].bias, before + 0.1)


# --------------------------------------------------------------------- policies, cards, wrong input


@pytest.mark.parametrize("backup", ["expectile", "max"])
def test_an_episode_is_the_same_whatever_runs_beside_it(backup):
    data = datasets.collect("GoToLocalS8N7", "mixed", 20, processes=1, progress=False)
    model = IQLConfig.for_data(data, backup=backup, **SMALL).build()
    fit(model, data, steps=3, **QUIET)
    policy = model.policy(temperature=0.5)
    runs = [rollout(policy, make_envs("GoToLocalS8N7", n), 5, 0) for n in (1, 4)]
    assert runs[0].equal(runs[1])


def test_a_checkpoint_from_before_a_field_was_there_is_one_of_its_default(walks):
    card = checkpoints.model_card(IQLConfig.for_data(walks, **SMALL).build())
    assert "encoder_learns" not in card and card["average"] == 0.1
    other = IQLConfig.for_data(walks, encoder_learns="policy", **SMALL).build()
    assert checkpoints.model_card(other)["encoder_learns"] == "policy"


@pytest.mark.parametrize("more", [{}, {"encoder_learns": "policy"}, {"backup": "max", "cql": 1.0}])
def test_a_model_comes_back_from_its_checkpoint(more, walks, tmp_path):
    model = IQLConfig.for_data(walks, **SMALL, **more).build()
    fit(model, walks, steps=1, **QUIET)
    checkpoints.save_model(tmp_path / "m", model, {"data": {}, "recipe": {}}, half=False)
    fields = checkpoints.load(tmp_path / "m")[1]["model"]
    assert fields.pop("method") == "IQL"
    again = IQLConfig.from_card(fields).build()
    assert again.config == model.config
    checkpoints.load_model(tmp_path / "m", again)
    batch = every_step(walks, 3)
    assert all(torch.equal(x, y) for x, y in zip(again.values(batch), model.values(batch)))


def test_values_are_in_the_units_of_the_data(walks):
    model = IQLConfig.for_data(walks, reward_scale=1.0, **SMALL).build()
    larger = IQLConfig.for_data(walks, reward_scale=10.0, **SMALL).build()
    larger.load_state_dict(model.state_dict())
    batch = every_step(walks, 2)
    for small, large in zip(model.values(batch), larger.values(batch)):
        assert small.shape == batch.mask.shape and torch.allclose(10 * small, large)


@pytest.mark.parametrize(
    ("returns", "lengths", "wanted"),
    [
        ([0.0, 5000.0], [1000, 1000], 5.0),  # the paper's, for locomotion: times 1000 / range
        ([0.0, 1.0], [64, 10], 1 / 64),  # a reward at the end
        ([-3.0, -3.0], [3, 3], 1.0),  # all alike
        ([0.0, 0.0], [2, 4], 0.25),
    ],
)
def test_reward_scale(returns, lengths, wanted):
    rewards = [[0.0] * (T - 1) + [R] for R, T in zip(returns, lengths)]
    data = pack([chain(r, terminated=True) for r in rewards])
    assert IQLConfig.for_data(data).reward_scale == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"backup": "mean"}, "'expectile' or 'max'"),
        ({"expectile": 1.0}, "expectile must lie between 0 and 1"),
        ({"discount": 1.5}, r"discount 1.5 must lie in \[0, 1\]"),
        ({"average": 0.0}, "average 0.0"),
        ({"reward_scale": 0.0}, "reward_scale 0.0 must be above 0"),
        ({"cql": -1.0}, "cql -1.0"),
        ({"encoder_learns": "values"}, "'all' or 'policy'"),
        ({"encoder_learns": "policy", "backup": "max"}, "no policy that the encoder"),
    ],
)
def test_wrong_fields_are_refused(fields, words, walks):
    with pytest.raises(ValueError, match=words):
        IQLConfig.for_data(walks, **fields)


def test_what_compares_all_actions_needs_discrete_ones(walks):
    data = rollout(Sways(), Envs([Slide()]), 3, 0)
    for fields, name in (({"backup": "max"}, "backup='max'"), ({"cql": 1.0}, "cql")):
        with pytest.raises(ValueError, match=f"{name} compares all actions"):
            IQLConfig.for_data(data, **fields)
    with pytest.raises(PolicyError, match="'state' of shape"):
        rollout(IQLConfig.for_data(walks).build().policy(), Envs([Slide()]), 1, 0)


def test_a_batch_costs_at_most_about_twice_behavior_cloning():
    # Counted in what the encoder does, since time on a shared machine is no test.
    data = datasets.collect("GoToLocalS8N7", "mixed", 10, processes=1, progress=False)
    calls = []
    for config in (BCConfig.for_data(data, width=32), IQLConfig.for_data(data, width=32)):
        model = config.build()
        encode = model.encoder.encode
        model.encoder.encode = lambda seen, e=encode: calls.append(seen["agent"].shape) or e(seen)
        fit(model, data, steps=1, **QUIET)
    assert [tuple(shape[:2]) for shape in calls] == [(64, 8), (64, 9)]
