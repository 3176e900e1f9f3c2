"""BC, %BC and RvS: what they clone, which episodes are best, and what conditioning changes."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces

from seqrl import checkpoints, datasets
from seqrl.behavior import Random
from seqrl.encoders import FlatEncoderConfig
from seqrl.environments import Envs, make_envs
from seqrl.imitation import BCConfig, RvSConfig, best
from seqrl.policies import PolicyError
from seqrl.rollout import rollout
from seqrl.training import fit
from seqrl.trajectories import pack

torch.set_num_threads(1)
QUIET = {"progress": False, "batch": 32, "lr": 3e-3}
CONFIGS = [BCConfig, RvSConfig]


@pytest.fixture(autouse=True)
def _same_start():
    torch.manual_seed(0)


class Signals(gym.Env):
    """Three signals one after the other; the action that equals the signal is worth 1."""

    observation_space = spaces.Box(0.0, 1.0, (4,), np.float32)
    action_space = spaces.Discrete(4)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.left = 3
        return self.show(), {}

    def show(self):
        self.signal = int(self.np_random.integers(4))
        return np.eye(4, dtype=np.float32)[self.signal]

    def step(self, action):
        self.left -= 1
        return self.signal_after(float(action == self.signal))

    def signal_after(self, reward):
        return self.show(), reward, self.left == 0, False, {}


class Pointer(Signals):
    """The same signals; the action points at one with two numbers in [-2, 2]."""

    action_space = spaces.Box(-2.0, 2.0, (2,), np.float32)

    def step(self, action):
        self.left -= 1
        return self.signal_after(-float(np.abs(action - aim(np.array([self.signal]))[0]).max()))


def aim(signals):
    """Where each signal is: (rows, 2)."""
    return np.stack([signals % 2 * 2 - 1, signals // 2 * 3 - 1.5], 1).astype(np.float32)


class Given:
    """A policy from a function of (signals, episode numbers)."""

    def __init__(self, choose):
        self.choose = choose

    def act(self, step):
        return self.choose(step.observation["state"].argmax(1), step.episode)


def envs(count=5, kind=Signals):
    return Envs([kind() for _ in range(count)])


def right_and_wrong(episodes=60):
    """Even episodes answer each signal, odd ones always with the next number."""
    return rollout(Given(lambda s, e: (s + e % 2) % 4), envs(), episodes, 0)


def episodes_of(returns, lengths):
    """Episodes with these returns and lengths, told apart by their seed."""
    made = []
    for seed, (total, T) in enumerate(zip(returns, lengths)):
        ends = np.arange(T) == T - 1
        made.append(
            {
                "observations": {"state": np.zeros((T + 1, 2))},
                "actions": np.zeros(T, np.int64),
                "rewards": ends * float(total),
                "terminations": ends,
                "truncations": np.zeros(T, bool),
                "seed": seed,
            }
        )
    return pack(made)


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("name", ["signals", "pointer", "grid"])
def test_every_parameter_is_trained(kind, name):
    if name == "grid":
        data = datasets.collect("GoToLocalS8N7", "expert", 8, processes=1, progress=False)
    else:
        world = envs(kind=Pointer if name == "pointer" else Signals)
        data = rollout(Random(world), world, 20, 0)
    model = kind.for_data(data, width=32, hidden=16, dropout=0.0).build()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    # In the first update a layer that starts at 0 hides what is before it.
    history = fit(model, data, steps=2, warmup=0, weight_decay=0.0, **QUIET)
    still = [name for name, p in model.named_parameters() if torch.equal(p, before[name])]
    assert not still and np.isfinite(history.loss).all()


def test_bc_clones_discrete_actions():
    data = rollout(Given(lambda s, e: (s + 1) % 4), envs(), 40, 0)
    model = BCConfig.for_data(data, width=16, hidden=32, context=3).build()
    history = fit(model, data, steps=150, **QUIET)
    assert history.curves["accuracy"][-1] == 1
    again = rollout(model.policy(), envs(), 10, 1)
    state = again.observations["state"].argmax(1)[torch.arange(30) + again.episode_of_step]
    assert torch.equal(again.actions, (state + 1) % 4)


def test_bc_clones_continuous_actions_within_their_bounds():
    data = rollout(Given(lambda s, e: aim(s)), envs(kind=Pointer), 40, 0)
    model = BCConfig.for_data(data, width=16, hidden=32, dropout=0.0).build()
    history = fit(model, data, steps=300, **QUIET)
    assert np.isnan(history.curves["accuracy"][-1])
    again = rollout(model.policy(), envs(kind=Pointer), 10, 1)
    assert again.returns.min() > -0.3 and again.actions.abs().max() <= 2


def test_rvs_acts_by_the_return_that_is_asked_for_and_bc_cannot():
    data = right_and_wrong()
    assert data.returns.unique().tolist() == [0, 3]
    model = RvSConfig.for_data(data, width=16, hidden=32, dropout=0.0).build()
    assert model.config.return_scale == 3
    fit(model, data, steps=200, **QUIET)
    assert rollout(model.policy(3.0), envs(), 20, 1).returns.tolist() == [3] * 20
    assert rollout(model.policy(0.0), envs(), 20, 1).returns.tolist() == [0] * 20
    # One right answer, after which nothing is left to ask for.
    assert rollout(model.policy(1.0), envs(), 20, 1).returns.tolist() == [1] * 20
    assert rollout(model.policy(-9.0, within=(3.0, 3.0)), envs(), 20, 1).returns.min() == 3
    cloned = BCConfig.for_data(data, width=16, hidden=32).build()
    history = fit(cloned, data, steps=200, **QUIET)
    assert 0.35 < history.curves["accuracy"][-50:].mean() < 0.65


def test_percent_bc_is_bc_on_the_best_episodes():
    data = right_and_wrong()
    model = BCConfig.for_data(data, width=16, hidden=32).build()
    fit(model, best(data, 50), steps=150, **QUIET)
    assert rollout(model.policy(), envs(), 20, 1).returns.tolist() == [3] * 20


def test_temperature_draws_as_the_data_did():
    data = right_and_wrong()
    model = BCConfig.for_data(data, width=16, hidden=32, dropout=0.0).build()
    fit(model, data, steps=200, **QUIET)
    drawn = rollout(model.policy(temperature=1.0), envs(), 100, 1)
    assert 0.4 < drawn.rewards.mean() < 0.6
    assert torch.equal(
        drawn.actions, rollout(model.policy(temperature=1.0), envs(3), 100, 1).actions
    )


# ---------------------------------------------------------------------------------- best episodes


@pytest.mark.parametrize(
    ("percent", "wanted"),
    [
        (100, [0, 1, 2, 3, 4]),
        (80, [0, 1, 3, 4]),  # in the order of the data, not of the returns
        (79.9, [0, 1, 3]),
        (60, [0, 1, 3]),  # 3 steps of 10 are 30 %, not one episode of five
        (30, [3]),
        (45, [3]),  # of equal returns episode 0 is next; it does not fit, and 1 is not taken for it
        (50, [0, 3]),
        (1, [3]),  # one episode at least
    ],
)
def test_best_counts_steps_and_breaks_ties_by_order(percent, wanted):
    data = episodes_of(returns=[5, 5, -1, 9, 0], lengths=[2, 1, 2, 3, 2])
    chosen = best(data, percent)
    assert chosen.seeds.tolist() == wanted
    assert chosen.info["best_percent"] == percent and "best_percent" not in data.info


def test_of_many_equal_returns_the_earliest_are_best():
    data = episodes_of(returns=[1] * 500, lengths=[2] * 500)
    assert best(data, 10).seeds.tolist() == list(range(50))


@pytest.mark.parametrize("percent", [0, -5, 100.5, float("nan")])
def test_best_refuses_other_percents(percent):
    with pytest.raises(ValueError, match="percent must be above 0 and at most 100"):
        best(episodes_of([1], [1]), percent)


# --------------------------------------------------------------------------------------- policies


@pytest.mark.parametrize("kind", CONFIGS)
def test_an_episode_is_the_same_whatever_runs_beside_it(kind):
    data = datasets.collect("GoToLocalS8N7", "mixed", 20, processes=1, progress=False)
    model = kind.for_data(data, width=32).build()
    fit(model, data, steps=3, **QUIET)
    asked = (-5.0,) if kind is RvSConfig else ()
    runs = [
        rollout(model.policy(*asked, temperature=0.5), make_envs("GoToLocalS8N7", n), 5, 0)
        for n in (1, 4)
    ]
    assert runs[0].equal(runs[1])
    assert not model.training


def test_rows_that_are_not_active_are_not_encoded():
    data = right_and_wrong(4)
    model = BCConfig.for_data(data, width=16).build()
    sizes = []
    encode = model.encoder.encode
    model.encoder.encode = lambda seen: sizes.append(len(seen["state"])) or encode(seen)
    rollout(model.policy(), envs(3), 4, 0)
    assert sizes == [3, 3, 3, 1, 1, 1]


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("name", ["signals", "pointer", "grid"])
def test_a_model_comes_back_from_its_checkpoint(kind, name, tmp_path):
    if name == "grid":
        data = datasets.collect("GoToLocalS8N7", "expert", 4, processes=1, progress=False)
    else:
        world = envs(kind=Pointer if name == "pointer" else Signals)
        data = rollout(Random(world), world, 4, 0)
    model = kind.for_data(data, width=16, context=5).build()
    fit(model, data, steps=1, **QUIET)
    checkpoints.save_model(tmp_path / "m", model, {"data": {}, "recipe": {}}, half=False)
    fields = checkpoints.load(tmp_path / "m")[1]["model"]
    fields.pop("method")
    again = kind.from_card(fields).build()
    assert again.config == model.config
    checkpoints.load_model(tmp_path / "m", again)
    batch = data.windows(5, 4)
    assert torch.equal(again.eval()(batch), model.eval()(batch))


def test_what_does_not_fit_is_refused_by_name():
    data = right_and_wrong(4)
    rvs, bc = RvSConfig.for_data(data).build(), BCConfig.for_data(data).build()
    for target in (float("nan"), float("inf")):
        with pytest.raises(PolicyError, match="target return"):
            rvs.policy(target)
    with pytest.raises(PolicyError, match="temperature"):
        bc.policy(temperature=-1.0)
    with pytest.raises(PolicyError, match="'state' is missing"):
        rollout(bc.policy(), make_envs("GoToLocalS8N7", 1), 1, 0)
    with pytest.raises(ValueError, match="context=0"):
        BCConfig.for_data(data, context=0)
    with pytest.raises(ValueError, match="dropout"):
        BCConfig.for_data(data, dropout=1.0)
    with pytest.raises(ValueError, match="return_scale"):
        RvSConfig.for_data(data, return_scale=0.0)


def test_return_scale_is_at_least_one_and_an_own_encoder_is_kept():
    small = episodes_of([0.25, -0.5], [2, 2])
    assert RvSConfig.for_data(small).return_scale == 1
    own = FlatEncoderConfig(2, 24)
    assert BCConfig.for_data(small, encoder=own).encoder == own
