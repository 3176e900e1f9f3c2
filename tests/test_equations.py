"""Every labeled equation of the book has a test that holds it in numbers."""

import re
from pathlib import Path

import numpy as np
import pytest

from seqrl.behavior import ShortestPath
from seqrl.environments import make_envs
from seqrl.rollout import rollout
from seqrl.trajectories import Trajectories

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "book").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_labeled_equation_has_a_test(page: Path):
    labels = re.findall(r"^\$\$ \((eq-[\w-]+)\)$", page.read_text("utf8"), re.M)
    assert len(labels) == len(set(labels))
    tests = "\n".join(path.read_text("utf8") for path in (ROOT / "tests").glob("test_*.py"))
    names = re.findall(r"^def test_(eq_\w+)", tests, re.M)
    tested = {part for name in names for part in name.split("_and_")}
    assert [label for label in labels if label.replace("-", "_") not in tested] == []


@pytest.fixture(scope="module")
def data() -> Trajectories:
    envs = make_envs("GoToLocalS7N5", 2)
    return rollout(ShortestPath(envs, epsilon=0.5), envs, 12, seed=0)


def test_eq_trajectory(data: Trajectories):
    for e in range(len(data)):
        episode = data.episode(e)
        states, T = episode["observations"]["agent"], len(episode["actions"])
        assert len(episode["rewards"]) == T and len(states) == T + 1


@pytest.mark.parametrize("discount", [1.0, 0.99, 0.5])
def test_eq_return_to_go_sum_and_eq_return_to_go_recursion(data: Trajectories, discount: float):
    to_go = data.returns_to_go(discount).numpy()
    for e in range(len(data)):
        rewards, gains = data.episode(e)["rewards"], np.append(to_go[_steps(data, e)], 0.0)
        for t, reward in enumerate(rewards):
            rest = rewards[t:]
            assert gains[t] == pytest.approx(rest @ discount ** np.arange(len(rest)), abs=1e-4)
            assert gains[t] == pytest.approx(reward + discount * gains[t + 1], abs=1e-4)


def _steps(data: Trajectories, e: int) -> slice:
    return slice(*data.offsets[e : e + 2].tolist())
