"""Chapter 3: each of its labeled equations holds in numbers."""

import numpy as np
import pytest
import torch

from seqrl.behavior import ShortestPath
from seqrl.collection import NOISE
from seqrl.decision_transformer import PARTS, STATES, DecisionTransformerConfig
from seqrl.environments import make_envs
from seqrl.experiments import untrained
from seqrl.policies import ReturnsToGo
from seqrl.rollout import Step, rollout
from seqrl.transformer import TransformerConfig

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def data():
    envs = make_envs("GoToLocalS7N5", 2)
    return rollout(ShortestPath(envs, epsilon=0.3), envs, 8, seed=0)


@pytest.fixture(scope="module")
def model(data):
    config = DecisionTransformerConfig.for_data(
        data, context=4, trunk=TransformerConfig(layers=1, width=16)
    )
    return untrained(config, 0).eval()


def test_eq_dt_sequence(data, model):
    batch = data.windows(4, 3, torch.Generator().manual_seed(0))
    states = torch.randn(3, 4, 16)

    def tokens(R, s, a):
        with torch.no_grad():
            return model.tokens(R, s, a, batch.timesteps).view(3, 4, len(PARTS), 16)

    plain = tokens(batch.returns_to_go, states, batch.actions)
    changed = {
        "R̂": tokens(batch.returns_to_go + 1, states, batch.actions),
        "s": tokens(batch.returns_to_go, states + 1, batch.actions),
        "a": tokens(batch.returns_to_go, states, (batch.actions + 1) % 7),
    }
    states_plus = tokens(batch.returns_to_go, states + torch.randn(16), batch.actions)
    changed["s"] = states_plus  # a shift of all entries alike would be normalized away
    for i, part in enumerate(PARTS):
        moved = (changed[part] - plain).abs().amax((0, 1, 3)) > 1e-4
        assert moved.tolist() == [i == j for j in range(3)]
    assert list(range(12))[STATES] == [1, 4, 7, 10]


def test_eq_dt_loss(data, model):
    batch = data.windows(4, 6, torch.Generator().manual_seed(1))
    with torch.no_grad():
        logp = model(batch).double().log_softmax(-1).numpy()
        loss = float(model.loss(batch)[0])
    real = np.argwhere(batch.mask.numpy())
    by_hand = -np.mean([logp[b, t, int(batch.actions[b, t])] for b, t in real])
    assert len(real) < batch.mask.numel()  # some steps are padding and do not count
    assert loss == pytest.approx(by_hand, abs=1e-5)


def test_eq_dt_countdown():
    returns, rewards = ReturnsToGo(-3.0), [0.0, -1.0, -1.0, 0.0, -1.0]
    firsts, said = [True, False, False, True, False], []
    for reward, first in zip(rewards, firsts):
        step = Step(
            {},
            np.array([reward], np.float32),
            np.array([first]),
            np.zeros(1, int),
            active=np.array([True]),
            episode=np.zeros(1, int),
        )
        said.append(float(returns.update(step)[0]))
    assert said == [-3.0, -2.0, -1.0, -3.0, -2.0]


def test_eq_dt_noise():
    class Same(ShortestPath):
        """Its expert always says action 2."""

        def _propose(self, row):
            return 2

    envs = make_envs("GoToLocalS7N5", 8)
    for epsilon in NOISE:
        actions = rollout(Same(envs, epsilon), envs, 60, seed=0).actions.numpy()
        shares = np.bincount(actions, minlength=7) / len(actions)
        p = 1 - epsilon + epsilon / 7
        assert shares == pytest.approx([epsilon / 7] * 2 + [p] + [epsilon / 7] * 4, abs=0.02)
        doubt = -p * np.log(p) - 6 * epsilon / 7 * np.log(epsilon / 7)
        surprise = -np.log(np.where(actions == 2, p, epsilon / 7)).mean()
        assert doubt == pytest.approx(surprise, abs=0.05)
        assert doubt == pytest.approx(float(entropy([p] + [epsilon / 7] * 6)), abs=1e-12)


def entropy(shares):
    return torch.special.entr(torch.tensor(shares, dtype=torch.float64)).sum()


def test_eq_dt_score():
    from seqrl.environments.locomotion import ROBOTS, normalized

    hopper = ROBOTS["hopper"]
    for G in (hopper.random, 0.0, 1000.0, hopper.expert, 4000.0):
        score = 100 * (G - hopper.random) / (hopper.expert - hopper.random)
        assert normalized("hopper", G) == pytest.approx(score)
    assert normalized("hopper", hopper.expert) == pytest.approx(100)
