"""Searching plans of low energy: on distributions whose every conditional is known exactly."""

import math
from dataclasses import replace

import pytest
import torch

from seqrl.energy_search import (
    GREEDY,
    NOTHING,
    Search,
    added_together,
    draw,
    energies,
    energies_plain,
    later,
    numbers_for,
    search,
    together,
)

torch.set_num_threads(1)
V, H = 3, 3


class Table:
    """Exact conditionals of one joint distribution an environment: p (E, V, V, V)."""

    def __init__(self, p):
        self.p, self.calls, self.rows_seen = p, 0, 0

    def __call__(self, plans, hidden, rows):
        self.calls, self.rows_seen = self.calls + 1, self.rows_seen + len(plans)
        out = torch.zeros(len(plans), H, V, dtype=torch.float64)
        for r, (plan, gone, e) in enumerate(zip(plans.tolist(), hidden.tolist(), rows.tolist())):
            for i in range(H):
                fits = self.p[e].clone()
                for j in range(H):
                    if j != i and not gone[j] and plan[j] != NOTHING:
                        only = torch.zeros(V)
                        only[plan[j]] = 1
                        fits = fits * only.view([V if k == j else 1 for k in range(H)])
                others = [k for k in range(H) if k != i]
                share = fits.sum(others)
                out[r, i] = (share / share.sum()).log()
        return out


def joint(E=1, seed=0, sharp=1.5):
    generator = torch.Generator().manual_seed(seed)
    scores = sharp * torch.randn(E, V**H, generator=generator, dtype=torch.float64)
    return scores.softmax(1).view(E, V, V, V)


def uniform(config, E, seed=0, H=H):
    return torch.rand(E, *numbers_for(config, H), generator=torch.Generator().manual_seed(seed))


def all_plans():
    return torch.cartesian_prod(*[torch.arange(V)] * H)


def test_the_energy_is_the_negative_pseudo_likelihood_by_brute_force():
    p = joint(2)
    plans, rows = all_plans().repeat(2, 1), torch.arange(2).repeat_interleave(V**H)
    found = energies(Table(p), plans, rows)
    for plan, row, energy in zip(plans.tolist(), rows.tolist(), found.tolist()):
        a, b, c = plan
        q = p[row]
        shares = q[a, b, c] / torch.stack([q[:, b, c].sum(), q[a, :, c].sum(), q[a, b, :].sum()])
        assert energy == pytest.approx(-float(shares.log().sum()))
    assert torch.allclose(found, energies_plain(Table(p), plans, rows).to(found), atol=1e-5)


def test_all_positions_of_all_plans_are_one_call():
    table = Table(joint())
    energies(table, all_plans(), torch.zeros(V**H, dtype=torch.int64))
    assert table.calls == 1 and table.rows_seen == H * V**H
    energies_plain(table, all_plans(), torch.zeros(V**H, dtype=torch.int64))
    assert table.calls == 1 + H


def test_one_position_at_a_time_at_temperature_1_visits_plans_as_often_as_they_are_likely():
    config = Search(60, 1, resampled=(0, 0), temperature=(1, 1))
    p = joint(seed=1)
    many = 700
    table = _Fast(p)
    plans = search(table, uniform(config, many), replace(config, keep="last")).plans
    visits = plans[:, 10:, 0].flatten(0, 1)  # from the tenth iteration on
    index = (visits * torch.tensor([V * V, V, 1])).sum(1)
    share = torch.bincount(index, minlength=V**H) / len(index)
    assert 0.5 * (share - p.flatten()).abs().sum() < 0.03  # total variation
    cold = Search(60, 1, resampled=(0, 0), temperature=(0.3, 0.3), keep="last")
    colder = search(table, uniform(cold, many), cold).plans[:, 10:, 0].flatten(0, 1)
    index = (colder * torch.tensor([V * V, V, 1])).sum(1)
    assert (index == p.argmax()).float().mean() > share.max() + 0.1


class _Fast:
    """The same conditionals where at most one position is hidden, or all are: a table look-up."""

    def __init__(self, p):
        plans = all_plans()
        table, rows = Table(p), torch.zeros(V**H, dtype=torch.int64)
        turns = torch.eye(H, dtype=torch.bool)
        each = [table(plans, turns[i].expand(V**H, H), rows)[:, i] for i in range(H)]
        self.given = torch.stack(each, 1)  # (V^H, H, V)
        self.alone = table(plans[:1], torch.ones(1, H, dtype=torch.bool), rows[:1])

    def __call__(self, plans, hidden, rows):
        index = (plans.clamp(min=0) * torch.tensor([V * V, V, 1])).sum(1)
        empty = (plans == NOTHING).any(1)[:, None, None]
        return torch.where(empty, self.alone, self.given[index])


def test_the_lowest_plan_that_was_met_is_kept():
    config = Search(6, 5, temperature=(2, 1))
    p = joint(4)
    found = search(Table(p), uniform(config, 4), config)
    assert found.plans.shape == (4, 6, 5, H) and found.energies.shape == (4, 6, 5)
    for e in range(4):
        met = found.plans[e].flatten(0, 1)
        own = energies(Table(p), met, torch.full((len(met),), e))
        assert torch.allclose(own, found.energies[e].flatten())
        assert found.energy[e] == own.min()
        assert torch.equal(found.plan[e], met[own.argmin()])


def test_the_greedy_scan_changes_one_position_to_its_likeliest_action():
    config = replace(GREEDY, iterations=8)
    p = joint(5)
    table = Table(p)
    found = search(table, uniform(config, 5), config)
    assert table.calls == 8 and table.rows_seen == 8 * 5 and found.energies is None
    nothing = torch.full((5, H), NOTHING)
    draft = Table(p)(nothing, nothing < 0, torch.arange(5)).argmax(-1)
    assert torch.equal(found.plans[:, 0, 0], draft)
    moved = found.plans[:, 1:, 0] != found.plans[:, :-1, 0]
    assert moved.sum(-1).max() == 1
    for e, n in moved.any(-1).nonzero().tolist():
        i = int(moved[e, n].nonzero())
        turn = torch.arange(H)[None] == i
        before = found.plans[e, n, 0][None]
        assert (
            found.plans[e, n + 1, 0, i] == Table(p)(before, turn, torch.tensor([e]))[0, i].argmax()
        )
    assert torch.equal(found.plan, found.plans[:, -1, 0])


def test_a_plan_depends_on_its_own_numbers_only():
    config = Search(5, 3)
    p, numbers = joint(6), uniform(config, 6)
    found = search(Table(p), numbers, config)
    for e in range(6):
        alone = search(Table(p[e : e + 1]), numbers[e : e + 1], config)
        assert torch.equal(alone.plan[0], found.plan[e])


def test_the_first_chain_is_never_hotter_than_argmax():
    config = Search(4, 3, temperature=(5, 5))
    p = joint(8)
    found = search(Table(p), uniform(config, 8), config)
    nothing = torch.full((8, H), NOTHING)
    draft = Table(p)(nothing, nothing < 0, torch.arange(8)).argmax(-1)
    assert torch.equal(found.plans[:, 0, 0], draft)
    assert not torch.equal(found.plans[:, 0, 1], draft)
    own = energies(Table(p), draft, torch.arange(8))
    assert (found.energy <= own + 1e-9).all()


def test_a_start_is_kept_where_it_is_decided():
    config = Search(1, 1, temperature=(0, 0))
    start = torch.tensor([[2, NOTHING, NOTHING], [1, 0, 2]])
    found = search(Table(joint(2)), uniform(config, 2), config, start)
    assert found.plan[0, 0] == 2 and (found.plan >= 0).all()
    assert (found.plan[1] != start[1]).sum() <= 2
    assert torch.equal(later(start, 1), torch.tensor([[NOTHING] * 3, [0, 2, NOTHING]]))


def test_an_added_energy_reweights_the_conditionals():
    config = Search(60, 1, resampled=(0, 0), temperature=(1, 1), keep="last")
    p = joint(seed=2, sharp=1.0)
    price = torch.tensor([0.0, 0.7, -0.4])

    def added(plans, rows):
        return (price[plans.clamp(min=0)] * (plans >= 0)).sum(1)

    plans = search(_Fast(p), uniform(config, 700), config, added=added).plans[:, 30:, 0]
    index = (plans.flatten(0, 1) * torch.tensor([V * V, V, 1])).sum(1)
    share = torch.bincount(index, minlength=V**H) / len(index)
    wanted = p.flatten() * torch.exp(-added(all_plans(), None))
    assert 0.5 * (share - wanted / wanted.sum()).abs().sum() < 0.04


def test_what_is_forbidden_is_never_chosen_from_the_draft_on():
    config = Search(6, 3, temperature=(3, 3))

    def no_twos(plans, rows):
        return torch.where((plans == 2).any(1), math.inf, 0.0)

    found = search(Table(joint(4)), uniform(config, 4), config, added=no_twos)
    assert (found.plans != 2).all() and found.energy.isfinite().all()
    forbidden = search(
        Table(joint(4)),
        uniform(config, 4),
        config,
        added=lambda x, r: torch.full((len(x),), math.inf),
    )
    assert forbidden.energy.isinf().all() and (forbidden.plan >= 0).all()  # told, not hidden


def test_the_sum_of_two_models_is_the_sum_of_their_energies():
    p, q = joint(seed=3), joint(seed=4)
    rows = torch.zeros(V**H, dtype=torch.int64)
    both = energies(together(Table(p), Table(q)), all_plans(), rows)
    each = [energies(Table(x), all_plans(), rows) for x in (p, q)]
    assert torch.allclose(both, each[0] + each[1])
    config = Search(30, 8, resampled=(0, 0))
    found = search(together(Table(p), Table(q)), uniform(config, 1), config)
    assert found.energy[0] == pytest.approx(float(both.min()))
    with pytest.raises(ValueError, match="3, 4 actions"):
        together(Table(p), lambda a, h, r: torch.zeros(len(a), H, 4))(
            all_plans(), all_plans() < 0, rows
        )
    terms = [lambda x, r: torch.ones(len(x)), lambda x, r: 2 * torch.ones(len(x))]
    assert added_together(terms)(all_plans(), rows)[0] == 3 and added_together([]) is None


def test_draws_follow_the_temperature():
    log_p = torch.tensor([0.2, 0.5, 0.3]).log().expand(9999, 3)
    numbers = torch.rand(9999, generator=torch.Generator().manual_seed(0))
    for heat in (1.0, 0.5):
        share = torch.bincount(draw(log_p, torch.full((9999,), heat), numbers), minlength=3) / 9999
        wanted = torch.tensor([0.2, 0.5, 0.3]) ** (1 / heat)
        assert torch.allclose(share, wanted / wanted.sum(), atol=0.02)
    assert (draw(log_p, torch.zeros(9999), numbers) == 1).all()
    impossible = torch.tensor([[-math.inf, 0.0, -math.inf]])
    for number in (0.0, 0.999999):
        assert draw(impossible, torch.ones(1), torch.tensor([number])) == 1


def test_temperature_and_count_fall():
    config = Search(11, 1, resampled=(0.5, 0.1), temperature=(1.0, 0.1))
    heats = [config.heat(k) for k in range(11)]
    assert heats[0] == 1 and heats[-1] == pytest.approx(0.1) and heats == sorted(heats)[::-1]
    assert Search(1, 1).heat(0) == pytest.approx(0.1)
    counts = [config.count(k, 10) for k in range(1, 11)]
    assert counts[0] == 5 and counts[-1] == 1 and counts == sorted(counts)[::-1]
    assert GREEDY.count(3, 10) == 1 and GREEDY.heat(0) == GREEDY.heat(5) == 0


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"iterations": 0}, "at least one iteration"),
        ({"chains": 0}, "one chain"),
        ({"resampled": (0.5, 1.5)}, "lie in"),
        ({"temperature": (1.0, -0.1)}, "temperatures"),
        ({"temperature": (math.nan, 0.1)}, "temperatures"),
        ({"keep": "first"}, "'lowest' or 'last'"),
        ({"keep": "last"}, "keep='lowest'"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused(fields, words):
    with pytest.raises(ValueError, match=words):
        Search(**fields)


def test_numbers_must_fit_the_search():
    with pytest.raises(ValueError, match="numbers_for"):
        search(Table(joint()), uniform(Search(3, 2), 1), Search(4, 2))
