"""Intervals against published values, closed forms and their own coverage."""

import numpy as np
import pytest

from seqrl.intervals import (
    bootstrap,
    interquartile_mean,
    mean,
    nested,
    paired_difference,
    wilson,
)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        # Newcombe 1998, table I, method 3 (score)
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_against_newcombes_table(successes, trials, low, high):
    interval = wilson(successes, trials)
    assert interval.estimate == successes / trials
    assert interval.low == pytest.approx(low, abs=6e-5)
    assert interval.high == pytest.approx(high, abs=6e-5)


def test_wilson_stays_within_bounds_mirrors_and_refuses_nonsense():
    assert wilson(400, 400).high == pytest.approx(1.0)
    assert wilson(400, 400).high <= 1.0
    assert wilson(400, 400).low == pytest.approx(1 - wilson(0, 400).high)
    assert wilson(9, 10, level=0.5).low > wilson(9, 10).low
    for successes, trials in [(1, 0), (0, 0), (5, 4), (-1, 4)]:
        with pytest.raises(ValueError, match="is not a share"):
            wilson(successes, trials)


def test_interquartile_mean_cuts_a_quarter_at_either_end():
    assert interquartile_mean(np.array([100.0, 1, 2, -50])) == 1.5
    assert interquartile_mean(np.array([3.0, 1, 2])) == 2.0  # a quarter of three is none
    assert interquartile_mean(np.arange(10.0)) == np.mean(np.arange(2, 8))
    x = np.array([[0.0, 1, 2, 9], [5, 5, 7, 0]])
    assert interquartile_mean(x, axis=-1).tolist() == [1.5, 5.0]
    assert interquartile_mean(x.T, axis=0).tolist() == [1.5, 5.0]


def test_bootstrap_agrees_with_the_normal_interval_of_a_mean():
    rng = np.random.default_rng(0)
    seeds = [rng.normal(10 * s, 2.0, 400) for s in range(3)]
    found = bootstrap(seeds)
    values = np.concatenate(seeds)
    # Within strata: the spread between seeds, which are fixed here, does not count.
    error = np.sqrt(sum(np.var(x) * len(x) for x in seeds)) / len(values)
    assert found.estimate == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - 1.96 * error, abs=0.1 * error * 1.96)
    assert found.high == pytest.approx(values.mean() + 1.96 * error, abs=0.1 * error * 1.96)


def test_bootstrap_is_seeded_and_takes_other_statistics():
    x = np.random.default_rng(1).exponential(size=(3, 50))
    assert bootstrap(x) == bootstrap(x, mean, seed=0)
    assert bootstrap(x, seed=1) != bootstrap(x, seed=0)
    robust = bootstrap(x, interquartile_mean)
    assert robust.low < robust.estimate < robust.high < bootstrap(x).estimate
    assert bootstrap(x, level=0.5).high < bootstrap(x).high
    assert bootstrap([[2.0], [4.0]]) == (3.0, 3.0, 3.0)


@pytest.mark.parametrize("strata", [[], [[]], [[1.0], []], [[1.0, np.nan]], [[[1.0]]]])
def test_bootstrap_refuses_what_has_no_values(strata):
    with pytest.raises(ValueError, match="finite values in every stratum"):
        bootstrap(strata)


def test_bootstrap_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(2)
    hits = 0
    for trial in range(200):
        found = bootstrap(rng.normal(size=(2, 50)), draws=300, seed=trial)
        hits += found.low <= 0 <= found.high
    assert 0.90 <= hits / 200 <= 0.98


def test_paired_difference_removes_what_the_maps_have_in_common():
    rng = np.random.default_rng(3)
    difficulty = rng.normal(0, 10, 400)
    a = difficulty + 1 + rng.normal(0, 0.5, (3, 400))
    b = difficulty + rng.normal(0, 0.5, (3, 400))
    found = paired_difference(a, b)
    assert 0.9 < found.low < found.estimate < found.high < 1.1
    error = np.std((a - b).mean(axis=0)) / np.sqrt(400)
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.1)
    assert paired_difference(b, a).estimate == pytest.approx(-found.estimate)


def test_paired_difference_counts_only_common_episodes():
    nan = np.nan
    a = np.array([[5.0, nan, 7.0, 9.0], [5.0, 1.0, nan, nan]])
    b = np.array([[4.0, 2.0, nan, 5.0], [2.0, 0.0, 3.0, nan]])
    assert paired_difference(a, b).estimate == pytest.approx((1 + 4 + 3 + 1) / 4)
    assert paired_difference([1.0, 2.0], [0.0, 1.0]) == (1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="no episode in common"):
        paired_difference([nan, 1.0], [1.0, nan])
    with pytest.raises(ValueError, match=r"\(1, 2\) is not \(1, 3\)"):
        paired_difference([1.0, 2.0], [1.0, 2.0, 3.0])


def test_nested_intervals_know_that_runs_differ():
    alike = nested([[0.0, 1.0] * 50] * 3)
    apart = nested([[0.0] * 100, [0.5] * 100, [1.0] * 100])
    assert alike.estimate == apart.estimate == 0.5
    assert alike.low > 0.4 and alike.high < 0.6
    assert apart.low < 0.2 and apart.high > 0.8
    one = nested([[0.0, 1.0] * 50])
    assert one.low < 0.5 < one.high


def test_nested_intervals_take_runs_of_different_length_and_refuse_none():
    assert nested([[1.0], [3.0, 3.0]]).estimate == 2.0
    for nothing in ([], [[]]):
        with pytest.raises(ValueError, match="at least one"):
            nested(nothing)
