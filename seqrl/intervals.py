"""How sure a number is: intervals from the episodes and seeds that were measured.

Wilson's interval for a share of successes, the bootstrap for everything else. 95 % unless told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import sqrt
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

DRAWS = 2000  # resampled data sets a bootstrap


class Interval(NamedTuple):
    """An estimate and the bounds of its confidence interval."""

    estimate: float
    low: float
    high: float


def wilson(successes: int, trials: int, level: float = 0.95) -> Interval:
    """The share of successes, with Wilson's score interval, which stays within [0, 1].

    Wilson 1927. Trials count as independent: three seeds on the same maps are a little less.
    """
    if not 0 <= successes <= trials or trials == 0:
        raise ValueError(f"{successes} successes of {trials} trials is not a share.")
    z = NormalDist().inv_cdf((1 + level) / 2)
    share = successes / trials
    center = share + z**2 / (2 * trials)
    spread = z * sqrt(share * (1 - share) / trials + (z / (2 * trials)) ** 2)
    shrink = 1 + z**2 / trials
    return Interval(
        share, max(0.0, (center - spread) / shrink), min(1.0, (center + spread) / shrink)
    )


def mean(x: NDArray, axis: int = -1) -> NDArray:
    """The mean along an axis."""
    return np.mean(x, axis=axis)


def interquartile_mean(x: NDArray, axis: int = -1) -> NDArray:
    """The mean of the middle half along an axis: a quarter of the values, rounded down, is cut
    at either end, so that a few lucky or broken runs do not decide (Agarwal et al. 2021)."""
    n = x.shape[axis]
    middle = np.arange(n // 4, n - n // 4)
    return np.mean(np.take(np.sort(x, axis=axis), middle, axis=axis), axis=axis)


def bootstrap(
    strata: Sequence[ArrayLike],
    statistic: Callable[..., NDArray] = mean,
    *,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> Interval:
    """A statistic of all values, with a percentile interval from a stratified bootstrap.

    `strata`: for instance one array of episodes per seed, or one of seeds per level. Values are
    drawn again within each stratum, so that each keeps its weight. `statistic(x, axis)`.
    """
    values = [np.asarray(x, float) for x in strata]
    if not values or any(x.ndim != 1 or x.size == 0 or not np.isfinite(x).all() for x in values):
        raise ValueError("a bootstrap needs finite values in every stratum.")
    rng = np.random.default_rng(seed)
    again = [x[rng.integers(x.size, size=(draws, x.size))] for x in values]  # (draws, n) each
    return _percentiles(
        statistic(np.concatenate(values), axis=-1),
        statistic(np.concatenate(again, axis=1), axis=-1),
        level,
    )


def paired_difference(
    a: ArrayLike, b: ArrayLike, *, level: float = 0.95, draws: int = DRAWS, seed: int = 0
) -> Interval:
    """The mean of a - b on the episodes that both have, with a percentile interval.

    a, b: (episodes,) or (seeds, episodes), the same maps in the same order; NaN where an episode
    does not count (path lengths: where it was not solved). Whole episodes are drawn again, with
    all seeds: what two runs share on a map is not noise.
    """
    first, second = np.atleast_2d(np.asarray(a, float)), np.atleast_2d(np.asarray(b, float))
    if first.shape != second.shape:
        raise ValueError(f"pairs must match: {first.shape} is not {second.shape}.")
    difference = first - second
    common = np.isfinite(difference)
    if not common.any():
        raise ValueError("the two have no episode in common.")
    total = np.where(common, difference, 0).sum(axis=0)  # (episodes,) over seeds
    count = common.sum(axis=0)
    shared = count > 0
    total, count = total[shared], count[shared]
    again = np.random.default_rng(seed).integers(len(total), size=(draws, len(total)))
    means = total[again].sum(axis=1) / count[again].sum(axis=1)
    return _percentiles(total.sum() / count.sum(), means, level)


def nested(
    runs: Sequence[ArrayLike], *, level: float = 0.95, draws: int = DRAWS, seed: int = 0
) -> Interval:
    """The mean of the runs' means, with a percentile interval over runs and their episodes.

    runs: (episodes,) each. Runs are drawn again, and then the episodes of each drawn one, so that
    training seeds that differ widen it. A single run cannot show that: its interval is too narrow.
    """
    each = [np.asarray(values, float) for values in runs]
    if not each or not all(len(values) for values in each):
        raise ValueError("an interval needs at least one run, and an episode in each.")
    rng = np.random.default_rng(seed)
    means = [x[rng.integers(len(x), size=(draws, len(runs), len(x)))].mean(-1) for x in each]
    picked = rng.integers(len(each), size=(draws, len(each)))
    row, place = np.arange(draws)[:, None], np.arange(len(each))
    again = np.stack(means)[picked, row, place].mean(-1)  # (draws,)
    return _percentiles(np.mean([x.mean() for x in each]), again, level)


def _percentiles(estimate: NDArray, draws: NDArray, level: float) -> Interval:
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(estimate), float(low), float(high))
