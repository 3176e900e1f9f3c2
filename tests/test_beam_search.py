"""Beam search: it finds what enumeration finds, prunes by value, and fast is plain."""

import itertools
from types import SimpleNamespace

import pytest
import torch
from sequences import side_by_side

from seqrl import datasets
from seqrl.beam_cache import Cached
from seqrl.beam_search import BeamSearch, Full, Prefix, imitate, plan, sample
from seqrl.tokens import Bins, Discretizer, Layout, integers
from seqrl.trajectory_transformer import TrajectoryTransformerConfig
from seqrl.transformer import TransformerConfig

torch.set_num_threads(1)
WORDS = 6  # of the toy's longest column


class Toy:
    """A world of states 0 to 4 in tables; its transitions are s, a, r, V, and it never errs.

    Action 0 goes left, 1 stays, 2 goes right. `rewards` (5, 3); `likely` (5, 3) logits of actions;
    `values` (5, 3). Where `home` is given, going right there ends the episode.
    """

    layout, stop, training = Layout(1, 1), WORDS, False
    config = SimpleNamespace(context=6)

    def __init__(self, rewards, values, likely=None, home=None):
        numbers = [sorted({float(x) for x in table.flatten()}) for table in (rewards, values)]
        self.discretizer = Discretizer(
            [integers(0, 4), integers(0, 2), *(Bins((*n, n[-1]), tuple(n)) for n in numbers)]
        )
        assert self.discretizer.size <= WORDS
        pad = WORDS - self.discretizer.size
        self.discretizer.centers = torch.nn.functional.pad(self.discretizer.centers, (0, pad))
        self.index = [
            torch.tensor([[n.index(float(x)) for x in row] for row in table])
            for n, table in zip(numbers, (rewards, values))
        ]
        self.likely = torch.zeros(5, 3) if likely is None else likely
        self.home = home

    def __call__(self, tokens, world=None, goal=None):
        out = torch.full((*tokens.shape, WORDS + 1), -torch.inf)
        for b, row in enumerate(tokens.tolist()):
            for i in range(len(row)):
                s, a, *_ = [*row[i - i % 4 : i + 1], 0]
                if s > 4 or a > 2:  # over
                    out[b, i, 0] = 0.0
                elif i % 4 == 0:
                    out[b, i, :3] = self.likely[s]
                elif i % 4 < 3:
                    out[b, i, self.index[i % 4 - 1][s, a]] = 0.0
                else:
                    over = self.home == s and a == 2
                    out[b, i, WORDS if over else min(max(s + a - 1, 0), 4)] = 0.0
        return out


def toy(seed=0, **fields):
    generator = torch.Generator().manual_seed(seed)
    rewards = torch.randint(0, 6, (5, 3), generator=generator) * 1.5
    values = torch.randint(0, 6, (5, 3), generator=generator) * 2.0
    return Toy(rewards, values, **fields)


def at(*states):
    return Prefix(torch.tensor(states)[:, None], torch.zeros(len(states), dtype=torch.int64))


def worth(model, state, actions, discount):
    """What a sequence of actions earns, with the last one's value; and its log-probability."""
    total, log_p = 0.0, 0.0
    for t, a in enumerate(actions):
        log_p += float(model.likely.log_softmax(-1)[state, a])
        reward, value = (
            model.discretizer.centers[2 + i, model.index[i][state, a]] for i in range(2)
        )
        total += discount**t * float(reward)
        if model.home == state and a == 2:
            return total, log_p
        state = min(max(state + a - 1, 0), 4)
    return total + discount ** len(actions) * float(value), log_p


def uniform(prefix, search, M=1, seed=0):
    size = (len(prefix.tokens), search.horizon, search.rows, M)
    return torch.rand(size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("home", [None, 3])
def test_a_wide_beam_finds_the_best_of_all_plans(seed, home):
    # Without expansion nothing is pruned: enough sequences are all sequences.
    search = BeamSearch(beam=250, expand=1, horizon=3, discount=0.8, cut=None)
    model = toy(seed, home=home)
    prefix = at(0, 2, 3)
    found = plan(model, prefix, search, uniform(prefix, search))
    for e, state in enumerate((0, 2, 3)):
        every = [worth(model, state, a, 0.8)[0] for a in itertools.product(range(3), repeat=3)]
        assert float(found.value[e, 0]) == pytest.approx(max(every), rel=1e-5)
        actions = found.tokens[e, 0, :, 1].tolist()
        actions = actions[: actions.index(WORDS)] if WORDS in actions else actions
        assert worth(model, state, actions, 0.8)[0] == pytest.approx(max(every), rel=1e-5)
        assert int(found.tokens[e, 0, 0, 0]) == state
    assert (found.value.diff(dim=1) <= 0).all()


def test_whole_transitions_are_pruned_by_value():
    model, search, rounds = toy(1), BeamSearch(beam=4, horizon=3, cut=None), []
    prefix = at(1, 4)
    plan(model, prefix, search, uniform(prefix, search), watch=rounds.append)
    assert [r.tokens.shape for r in rounds] == [(2, 8, n) for n in (2, 6, 10)]  # up to each r
    for r in rounds:
        for e, state in enumerate((1, 4)):
            actions = r.tokens[e, :, 0::4]
            values = [worth(model, state, row.tolist(), 0.99)[0] for row in actions]
            assert r.value[e].tolist() == pytest.approx(values, rel=1e-5)
            kept = sorted(r.value[e, r.kept[e]].tolist())
            assert kept == sorted(r.value[e].tolist())[4:]


def test_a_sequence_that_is_over_earns_nothing_more():
    ones = torch.ones(5, 3)
    ones[0, 0] = 0.0  # so that there are two rewards
    model = Toy(ones, 3 * ones, home=3)
    search = BeamSearch(beam=40, horizon=4, discount=1.0, cut=None)
    prefix = at(2)
    found = plan(model, prefix, search, uniform(prefix, search))
    assert float(found.value[0, 0]) == pytest.approx(7)  # four rewards and a value
    model.discretizer.centers[2:] *= -1
    found = plan(model, prefix, search, uniform(prefix, search))
    assert float(found.value[0, 0]) == pytest.approx(-2)  # right twice, then no more
    assert found.tokens[0, 0, :, 1].tolist() == [2, 2, WORDS, WORDS]


@pytest.mark.parametrize("home", [None, 3])
def test_imitation_finds_the_likeliest_of_all(home):
    likely = torch.randn(5, 3, generator=torch.Generator().manual_seed(3))
    model = toy(likely=likely, home=home)
    found = imitate(model, at(0, 2), BeamSearch(beam=60, horizon=3))
    for e, state in enumerate((0, 2)):
        every = [worth(model, state, a, 1)[1] for a in itertools.product(range(3), repeat=3)]
        assert float(found.value[e, 0]) == pytest.approx(max(every), rel=1e-4)


def test_draws_follow_the_distribution_inside_the_cut():
    p = torch.tensor([0.1, 0.35, 0.3, 0.05, 0.2])
    draws = (torch.arange(2000)[None] + 0.5) / 2000
    logits = p.log().expand(1, 2000, 5)

    def shares(cut, top_k):
        return sample(logits, draws, cut, top_k)[0].bincount(minlength=5) / 2000

    assert torch.allclose(shares(None, None), p, atol=2e-3)
    assert torch.allclose(shares(0.6, None), torch.tensor([0, 0.35, 0.3, 0, 0]) / 0.65, atol=2e-3)
    assert torch.allclose(shares(0.7, None), torch.tensor([0, 1.0, 0, 0, 0]))
    assert torch.allclose(shares(None, 3), torch.tensor([0, 0.35, 0.3, 0, 0.2]) / 0.85, atol=2e-3)
    same = sample(torch.zeros(1, 2000, 5), draws, 0.6, None)[0].bincount(minlength=5)
    assert (same > 0).sum() in (2, 3)  # the official filter would leave out all, and so none
    edge = sample(logits, torch.full((1, 2000), 1 - 1e-7), 0.6, None)
    assert set(edge.flatten().tolist()) <= {1, 2}


def models():
    trunk = TransformerConfig(layers=2, heads=2, width=16, activation="gelu")
    fields = {"context": 6, "trunk": trunk}
    x = torch.linspace(-1, 1, 21)
    bins = Bins(tuple(x.tolist()), tuple(((x[1:] + x[:-1]) / 2).tolist()))
    from seqrl.actions import Actions

    arm = Actions(2, False, (-1.0, -1.0), (1.0, 1.0))
    for goal in (False, True):
        yield TrajectoryTransformerConfig((bins,) * 7, arm, goal=goal, **fields)
    grid = datasets.collect("GoToObjMazeS4", "expert", 6, processes=1, progress=False)
    yield TrajectoryTransformerConfig.for_data(grid, **fields), grid


def prefixes():
    """Three kinds of model with large random weights, and a prefix of ragged context for each."""
    generator = torch.Generator().manual_seed(0)
    for made in models():
        config, data = made if isinstance(made, tuple) else (made, None)
        torch.manual_seed(1)
        model = config.build().eval()
        for name, p in model.named_parameters():
            if "encoder" not in name and p.ndim > 1:
                p.data.mul_(6)
        steps = torch.tensor([2, 0, 1])
        if data is None:
            seen = {"state": torch.rand(3, 3, 3, generator=generator) * 2 - 1}
            acted = torch.rand(3, 3, 2, generator=generator) * 2 - 1
        else:
            batch = data.windows(3, 3, generator)
            seen, acted = batch.observations, batch.actions
        goal = torch.tensor([[0.3, -0.2, 0.9]]).expand(3, -1) if config.goal else None
        with torch.no_grad():
            yield (
                model,
                model.prefix(seen, acted, torch.rand(3, 3, generator=generator), steps, goal),
            )


Both = side_by_side(Cached)


def test_fast_is_plain():
    Both.far = 0.0
    search = BeamSearch(beam=5, horizon=4, cut=None)
    for model, prefix in prefixes():
        draws = uniform(prefix, search, model.layout.M)
        with torch.no_grad():
            plan(model, prefix, search, draws, Both)
            imitate(model, prefix, search, Both)
            plain, fast = (plan(model, prefix, search, draws, kind) for kind in (Full, Cached))
        assert torch.equal(plain.tokens, fast.tokens)
        assert torch.allclose(plain.value, fast.value, rtol=1e-5, atol=1e-5)
        assert len(plain.tokens[0, :, :, model.layout.action].flatten(1).unique(dim=0)) > 1
    assert 0 < Both.far < 1e-5


def test_an_environment_is_planned_for_as_if_alone():
    search = BeamSearch(beam=4, horizon=3, cut=None)
    for model, prefix in prefixes():
        draws = uniform(prefix, search, model.layout.M)
        with torch.no_grad():
            together = plan(model, prefix, search, draws, Cached)
            if prefix.world is None:
                for e, k in enumerate(prefix.steps.tolist()):
                    short = prefix.tokens[e : e + 1, : k * model.layout.C + model.layout.N]
                    goal = None if prefix.goal is None else prefix.goal[e : e + 1]
                    one = Prefix(short, prefix.steps[e : e + 1], None, goal)
                    alone = plan(model, one, search, draws[e : e + 1], Cached)
                    assert torch.equal(alone.tokens[0], together.tokens[e])


def test_values_are_not_stored_and_the_prefix_is_kept_once():
    search = BeamSearch(beam=5, horizon=3, cut=None)
    model, prefix = next(prefixes())
    kept = []

    class Watched(Cached):
        def __init__(self, *given):
            super().__init__(*given)
            kept.append(self)

    with torch.no_grad():
        plan(model, prefix, search, uniform(prefix, search, 2), Watched)
    sequences, C, N = kept[0], model.layout.C, model.layout.N
    assert sequences.keys.shape[1] == 3  # environments, not beams
    assert sequences.keys.shape[3] == prefix.tokens.shape[1] - 2  # two values
    assert sequences.stored == sequences.room == 3 * (C - 1) - N
    assert sequences.own.shape[2:5:2] == (3 * 5, sequences.room)


def test_bad_input_is_told_in_a_sentence():
    model, search = toy(), BeamSearch(beam=4, horizon=3)
    late = Prefix(torch.zeros(1, 17, dtype=torch.int64), torch.tensor([4]))
    cut = Prefix(torch.zeros(1, 4, dtype=torch.int64), torch.tensor([1]))
    for wrong, word in [
        (lambda: BeamSearch(beam=0), "beam is 0; it must be at least 1"),
        (lambda: BeamSearch(horizon=0), "horizon is 0"),
        (lambda: BeamSearch(expand=0), "expand is 0"),
        (lambda: BeamSearch(context=-1), "context is -1"),
        (lambda: BeamSearch(cut=1.0), "cut must lie"),
        (lambda: BeamSearch(top_k=0), "top_k is 0"),
        (lambda: BeamSearch(discount=1.1), "discount must lie"),
        (lambda: plan(model, late, search, torch.zeros(1, 3, 8, 1)), "beyond the 6 transitions"),
        (lambda: imitate(model, late, search), "beyond the 6 transitions"),
        (lambda: plan(model, cut, search, torch.zeros(1, 3, 8, 1)), "end with a whole state"),
        (lambda: plan(model, at(0), search, torch.zeros(1, 3, 7, 1)), r"\(1, 3, 8, 1\)"),
    ]:
        with pytest.raises(ValueError, match=word):
            wrong()
    model.training = True
    with pytest.raises(ValueError, match="eval"):
        imitate(model, at(0), search)
