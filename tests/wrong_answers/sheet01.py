"""Answers to sheet 1: right ones, and wrong ones with a phrase that their message must contain."""

import hashlib
import random
import threading
import zlib
from functools import cache
from itertools import pairwise

import numpy as np
import torch

# ---- 1.1 -----------------------------------------------------------------------------------------


def backward_pass(rewards, offsets, discount=1.0):
    answer = np.zeros(len(rewards))
    ends = {int(end) - 1 for end in offsets[1:]}
    ahead = 0.0
    for t in reversed(range(len(rewards))):
        ahead = rewards[t] + (0.0 if t in ends else discount * ahead)
        answer[t] = ahead
    return answer


def list_of_floats(rewards, offsets, discount=1.0):
    answer = []
    for start, end in pairwise(offsets):
        episode = [0.0]
        for reward in rewards[start:end][::-1]:
            episode.append(float(reward) + discount * episode[-1])
        answer += episode[:0:-1]
    return answer


def in_torch(rewards, offsets, discount=1.0):
    answer = torch.as_tensor(rewards, dtype=torch.float32).clone()
    for t in range(len(answer) - 2, -1, -1):
        if t + 1 not in offsets:
            answer[t] += discount * answer[t + 1]
    return answer


def each(one_episode):
    """An answer for packed episodes from a function of one episode."""

    def packed(rewards, offsets, discount=1.0):
        parts = [rewards[start:end] for start, end in pairwise(offsets)]
        return np.concatenate([one_episode(part, discount) for part in parts])

    packed.__name__ = one_episode.__name__
    return packed


def ignores_borders(rewards, offsets, discount=1.0):
    return backward_pass(rewards, [0, len(rewards)], discount)


def border_one_step_off(rewards, offsets, discount=1.0):
    answer = np.zeros(len(rewards))
    ahead = 0.0
    for t in reversed(range(len(rewards))):
        if t in offsets:
            ahead = 0.0
        ahead = rewards[t] + discount * ahead
        answer[t] = ahead
    return answer


@each
def leaves_out_reward(rewards, discount):
    answer = np.zeros(len(rewards))
    for t in reversed(range(len(rewards) - 1)):
        answer[t] = rewards[t + 1] + discount * answer[t + 1]
    return answer


def leaves_out_reward_keeps_weights(rewards, offsets, discount=1.0):
    return backward_pass(rewards, offsets, discount) - rewards


@each
def reward_so_far(rewards, discount):
    return np.cumsum(rewards * discount ** np.arange(len(rewards)))


@each
def never_turned_around(rewards, discount):
    answer, ahead = [], 0.0
    for reward in rewards[::-1]:
        ahead = reward + discount * ahead
        answer.append(ahead)
    return np.array(answer)


@each
def forward_recursion(rewards, discount):
    answer = np.array(rewards, dtype=float)
    for t in range(1, len(rewards)):
        answer[t] += discount * answer[t - 1]
    return answer


@each
def whole_return(rewards, discount):
    return np.full(len(rewards), (rewards * discount ** np.arange(len(rewards))).sum())


@each
def loses_last_reward(rewards, discount):
    answer = np.zeros(len(rewards))
    for t in reversed(range(len(rewards) - 1)):
        answer[t] = rewards[t] + discount * answer[t + 1]
    return answer


@each
def no_discount(rewards, discount):
    return np.cumsum(rewards[::-1])[::-1]


@each
def twice_discounted(rewards, discount):
    answer = np.zeros(len(rewards))
    for t in range(len(rewards)):
        ahead = np.arange(len(rewards) - t)
        answer[t] = (rewards[t:] * discount**ahead * discount**ahead).sum()
    return answer


@each
def absolute_discount(rewards, discount):
    return np.cumsum((rewards * discount ** np.arange(len(rewards)))[::-1])[::-1]


@each
def discount_from_end(rewards, discount):
    weights = discount ** np.arange(len(rewards))[::-1]
    return np.cumsum((rewards * weights)[::-1])[::-1]


@each
def discounts_own_reward(rewards, discount):
    answer = np.zeros(len(rewards) + 1)
    for t in reversed(range(len(rewards))):
        answer[t] = discount * (rewards[t] + answer[t + 1])
    return answer[:-1]


@each
def mean_to_go(rewards, discount):
    answer = backward_pass(rewards, [0, len(rewards)], discount)
    return answer / np.arange(len(rewards), 0, -1)


def in_place(rewards, offsets, discount=1.0):
    for t in reversed(range(len(rewards) - 1)):
        if t + 1 not in offsets:
            rewards[t] += discount * rewards[t + 1]
    return rewards


@each
def whole_numbers(rewards, discount):
    answer = np.zeros_like(rewards)
    answer[-1] = rewards[-1]
    for t in reversed(range(len(rewards) - 1)):
        answer[t] = rewards[t] + discount * answer[t + 1]
    return answer


def one_entry_more(rewards, offsets, discount=1.0):
    return np.append(backward_pass(rewards, offsets, discount), 0.0)


def one_number(rewards, offsets, discount=1.0):
    return float(backward_pass(rewards, offsets, discount)[0])


@each
def divides_by_powers(rewards, discount):
    with np.errstate(all="ignore"):
        powers = discount ** np.arange(len(rewards))
        return np.cumsum((rewards * powers)[::-1])[::-1] / powers


@each
def quadratic(rewards, discount):
    answer = []
    for t in range(len(rewards)):
        total = 0.0
        for k in range(t, len(rewards)):
            total += discount ** (k - t) * rewards[k]
        answer.append(total)
    return answer


@each
def quadratic_in_slices(rewards, discount):
    weights = discount ** np.arange(len(rewards))
    ends = len(rewards)
    return [(rewards[t:] * weights[: ends - t]).sum() for t in range(ends)]


@each
def one_matrix(rewards, discount):
    steps = np.arange(len(rewards))
    ahead = steps[None] - steps[:, None]
    return np.where(ahead >= 0, discount ** np.maximum(ahead, 0), 0.0) @ rewards


@each
def inserts_in_front(rewards, discount):
    answer = []
    for reward in rewards[::-1]:
        answer.insert(0, reward + discount * answer[0] if answer else reward)
    return answer


def powers_vanish(rewards, offsets, discount=1.0):
    if discount < 0.2:
        return backward_pass(rewards, offsets, discount)
    parts = [rewards[start:end] for start, end in pairwise(offsets)]
    with np.errstate(all="ignore"):
        powers = [discount ** np.arange(len(part)) for part in parts]
        sums = [np.cumsum((r * p)[::-1])[::-1] / p for r, p in zip(parts, powers)]
    return np.concatenate(sums)


def nearly_right(rewards, offsets, discount=1.0):
    return backward_pass(rewards, offsets, discount) + 0.25


def a_string(rewards, offsets, discount=1.0):
    return "7 6 4"


# ---- 1.2 -----------------------------------------------------------------------------------------


def slice_and_fill(values, start, end, K):
    real = values[start : min(start + K, end)]
    window = np.zeros((K, *values.shape[1:]), dtype=values.dtype)
    window[: len(real)] = real
    return window, np.arange(K) < len(real)


def step_by_step(values, start, end, K):
    window, mask = [], []
    for step in range(start, start + K):
        mask.append(step < end)
        window.append(values[step] if step < end else np.zeros_like(values[0]))
    return np.stack(window), mask


def window_in_torch(values, start, end, K):
    step = torch.arange(start, start + K)
    mask = step < end
    window = torch.as_tensor(values)[step.clamp(max=end - 1)]
    window[~mask] = 0
    return window, mask


def window_of_lists(values, start, end, K):
    window, mask = slice_and_fill(values, start, end, K)
    return window.tolist(), mask.tolist()


def crosses_the_end(values, start, end, K):
    real = values[start : start + K]
    window = np.zeros((K, *values.shape[1:]), dtype=values.dtype)
    window[: len(real)] = real
    return window, np.arange(K) < len(real)


def plain_slice(values, start, end, K):
    return values[start : start + K], np.ones(K, bool)


def right_mask_dirty_padding(values, start, end, K):
    return crosses_the_end(values, start, end, K)[0], np.arange(start, start + K) < end


def pads_left(values, start, end, K):
    real = values[start : min(start + K, end)]
    window = np.zeros((K, *values.shape[1:]), dtype=values.dtype)
    window[K - len(real) :] = real
    return window, np.arange(K) >= K - len(real)


def mask_upside_down(values, start, end, K):
    window, mask = slice_and_fill(values, start, end, K)
    return window, ~mask


def mask_all_true(values, start, end, K):
    return slice_and_fill(values, start, end, K)[0], np.ones(K, bool)


def moved_back(values, start, end, K):
    first = max(0, min(start, end - K))
    return values[first : first + K], np.ones(K, bool)


def repeats_last(values, start, end, K):
    step = np.arange(start, start + K)
    return values[np.minimum(step, end - 1)], step < end


def repeats_last_all_true(values, start, end, K):
    return repeats_last(values, start, end, K)[0], np.ones(K, bool)


def one_step_late(values, start, end, K):
    return slice_and_fill(values, start + 1, end, K)


def one_step_too_many(values, start, end, K):
    return slice_and_fill(values, start, min(end + 1, len(values)), K)


def one_step_lost(values, start, end, K):
    return slice_and_fill(values, start, end - 1, K)


def not_padded(values, start, end, K):
    real = values[start : min(start + K, end)]
    return real, np.ones(len(real), bool)


def window_of_floats(values, start, end, K):
    window, mask = slice_and_fill(values.astype(float), start, end, K)
    return window, mask


def window_of_small_integers(values, start, end, K):
    window, mask = slice_and_fill(values, start, end, K)
    return window.astype(np.int8 if values.dtype.kind == "i" else values.dtype), mask


def window_of_half_floats(values, start, end, K):
    window, mask = slice_and_fill(values, start, end, K)
    return window.astype(np.float16 if values.dtype.kind == "f" else values.dtype), mask


def window_of_doubles(values, start, end, K):
    window, mask = slice_and_fill(values, start, end, K)
    return torch.as_tensor(window).to(torch.float64 if values.dtype.kind == "f" else None), mask


def mask_from_values(values, start, end, K):
    window, _ = slice_and_fill(values, start, end, K)
    return window, window.reshape(K, -1).any(1)


def mask_from_all_columns(values, start, end, K):
    window, _ = slice_and_fill(values, start, end, K)
    return window, (window.reshape(K, -1) != 0).all(axis=1)


def mask_from_first_column(values, start, end, K):
    window, _ = slice_and_fill(values, start, end, K)
    return window, (window if window.ndim == 1 else window[:, 0]) != 0


def mask_of_numbers(values, start, end, K):
    window, mask = slice_and_fill(values, start, end, K)
    return window, mask.astype(float)


def window_only(values, start, end, K):
    return slice_and_fill(values, start, end, K)[0]


def blanks_the_data(values, start, end, K):
    values[end:] = 0
    return slice_and_fill(values, start, end, K)


def index_out_of_range(values, start, end, K):
    mask = np.arange(start, start + K) < end
    window = np.stack([values[start + k] for k in range(K)])
    window[~mask] = 0
    return window, mask


# ---- 1.3 -----------------------------------------------------------------------------------------


def by_digest(maps, fraction):
    first = [hashlib.sha256(content).digest()[:4] for content in maps]
    return np.array([int.from_bytes(b, "big") < fraction * 2**32 for b in first])


def by_checksum(maps, fraction):
    return [zlib.crc32(content) % 1000 < 1000 * fraction for content in maps]


def by_seeded_generator(maps, fraction):
    draws = [random.Random(content).random() for content in maps]  # a seed of bytes is digested
    return torch.tensor(draws) < fraction


@cache
def remembered_digest(content):
    return int(hashlib.md5(content).hexdigest(), 16) / 2**128


class Rule:
    """A callable with parts elsewhere, as a longer notebook would have it."""

    def __init__(self, number):
        self.number = number

    def __call__(self, maps, fraction):
        print("printing is fine")
        return [self.number(content) < fraction for content in maps]


by_remembered_digest = Rule(remembered_digest)
by_remembered_digest.__name__ = "by_remembered_digest"


def random_episodes(maps, fraction):
    return np.random.default_rng(0).random(len(maps)) < fraction


def last_episodes(maps, fraction):
    return np.arange(len(maps)) >= (1 - fraction) * len(maps)


def random_maps(maps, fraction):
    chosen = {content: random.random() < fraction for content in maps}
    return np.array([chosen[content] for content in maps])


def first_seen_maps(maps, fraction):
    seen = list(dict.fromkeys(maps))
    test = set(seen[: round(fraction * len(seen))])
    return np.array([content in test for content in maps])


def sorted_maps(maps, fraction):
    seen = sorted(set(maps))
    test = set(seen[: round(fraction * len(seen))])
    return np.array([content in test for content in maps])


def seeded_shuffle(maps, fraction):
    seen = sorted(set(maps))
    np.random.default_rng(0).shuffle(seen)
    test = set(seen[: round(fraction * len(seen))])
    return np.array([content in test for content in maps])


def built_in_hash(maps, fraction):
    return np.array([hash(content) % 1000 < 1000 * fraction for content in maps])


def hash_of_tuple(maps, fraction):
    return np.array([hash((content,)) % 1000 < 1000 * fraction for content in maps])


def hash_method(maps, fraction):
    return [content.__hash__() % 1000 < 1000 * fraction for content in maps]


@cache
def remembered_hash(content):
    return hash(frozenset([content])) % 1000


def hash_elsewhere(maps, fraction):
    return [remembered_hash(content) < 1000 * fraction for content in maps]


lock = threading.Lock()


def hash_that_cannot_travel(maps, fraction):
    with lock:
        return np.array([hash(content) % 1000 < 1000 * fraction for content in maps])


def object_identity(maps, fraction):
    return np.array([id(content) // 16 % 1009 < 1009 * fraction for content in maps])


known = {}


def remembered_draws(maps, fraction):
    return np.array([known.setdefault(c, random.random()) < fraction for c in maps])


dealer = np.random.default_rng(0)
dealt = {}


def remembered_draws_in_turn(maps, fraction):
    for content in maps:
        if content not in dealt:
            dealt[content] = dealer.random()
    return np.array([dealt[content] < fraction for content in maps])


def first_byte(maps, fraction):
    return np.array([content[0] < 256 * fraction for content in maps])


def sides_swapped(maps, fraction):
    return ~by_digest(maps, fraction)


def always_half(maps, fraction):
    return by_digest(maps, 0.5)


def twice_the_fraction(maps, fraction):
    return by_digest(maps, 1.5 * fraction)


def episode_numbers(maps, fraction):
    return np.flatnonzero(by_digest(maps, fraction))


def two_lists(maps, fraction):
    test = by_digest(maps, fraction)
    return np.flatnonzero(~test), np.flatnonzero(test)


def sorts_the_data(maps, fraction):
    maps.sort()
    return by_digest(maps, fraction)


# ---- 1.4 -----------------------------------------------------------------------------------------


def by_where(Q, taken, rewards, over, following, discount):
    after = Q[following]
    known = np.where(taken[following] > 0, after, -np.inf)
    best = [np.where(over, 0, values.max(axis=1)) for values in (after, known)]
    return rewards + discount * best[0], rewards + discount * best[1]


def step_after_step(Q, taken, rewards, over, following, discount):
    fitted, careful = [], []
    for reward, ended, state in zip(rewards.tolist(), over, following):
        rows = (list(Q[state]), [q for q, n in zip(Q[state], taken[state]) if n])
        for answer, row in zip((fitted, careful), rows):
            answer.append(reward if ended else reward + discount * max(row))
    return fitted, careful


def targets_in_torch(Q, taken, rewards, over, following, discount):
    Q, hidden = torch.as_tensor(Q), torch.as_tensor(taken) == 0
    alive = ~torch.as_tensor(over)
    answers = []
    for values in (Q, Q.masked_fill(hidden, -1e9)):
        answers.append(torch.as_tensor(rewards, dtype=torch.float64).clone())
        row = torch.as_tensor(following)[alive]
        answers[-1][alive] += discount * values.max(1).values[row]
    return tuple(answers)


def backed_up(of_state, first=lambda Q, taken: Q.max(1)):
    """Both targets from what two rules say a state is worth."""

    def answer(Q, taken, rewards, over, following, discount):
        values = [rule(Q, taken)[following] for rule in (first, of_state)]
        return tuple(rewards + discount * np.where(over, 0, v) for v in values)

    answer.__name__ = of_state.__name__
    return answer


def best_taken(Q, taken):
    return np.where(taken.any(1), np.where(taken > 0, Q, -1e9).max(1), 0)


def bootstraps_behind_the_end(Q, taken, rewards, over, following, discount):
    return tuple(rewards + discount * v[following] for v in (Q.max(1), best_taken(Q, taken)))


def last_reward_lost(Q, taken, rewards, over, following, discount):
    return tuple(
        np.where(over, 0, a) for a in by_where(Q, taken, rewards, over, following, discount)
    )


def over_upside_down(Q, taken, rewards, over, following, discount):
    values = (Q.max(1), best_taken(Q, taken))
    return tuple(rewards + over * discount * v[following] for v in values)


def wrong_order(*arguments):
    return by_where(*arguments)[::-1]


def discount_forgotten(Q, taken, rewards, over, following, discount):
    return by_where(Q, taken, rewards, over, following, 1.0)


def reward_discounted(Q, taken, rewards, over, following, discount):
    return tuple(discount * a for a in by_where(Q, taken, rewards, over, following, 1.0))


def reward_missing(Q, taken, rewards, over, following, discount):
    return by_where(Q, taken, 0 * rewards, over, following, discount)


def maximum_of_the_table(Q, taken, rewards, over, following, discount):
    values = (Q.max(), best_taken(Q, taken).max())
    return tuple(rewards + discount * np.where(over, 0, v) for v in values)


@backed_up
def asks_everybody_twice(Q, taken):
    return Q.max(1)


@backed_up
def unseen_counts_as_zero(Q, taken):
    return (Q * (taken > 0)).max(1)


@backed_up
def values_times_counts(Q, taken):
    return np.where(taken > 0, Q * taken, -1e9).max(1)


@backed_up
def most_frequent(Q, taken):
    return np.take_along_axis(Q, taken.argmax(1)[:, None], 1)[:, 0]


@backed_up
def mean_of_taken(Q, taken):
    return (Q * taken).sum(1) / np.maximum(taken.sum(1), 1)


@backed_up
def only_the_unseen(Q, taken):
    return np.where((taken == 0).any(1), np.where(taken == 0, Q, -1e9).max(1), 0)


@np.errstate(invalid="ignore")
def zero_times_infinity(Q, taken, rewards, over, following, discount):
    known = np.where(taken > 0, Q, -np.inf).max(1)
    return tuple(rewards + discount * ~over * v[following] for v in (Q.max(1), known))


def maximum_over_steps(Q, taken, rewards, over, following, discount):
    return tuple(rewards[0] + discount * x[following].max(0) for x in (Q, Q))


def one_target(*arguments):
    return by_where(*arguments)[0]


def targets_cut_off(*arguments):
    return tuple(a.astype(int) for a in by_where(*arguments))


def hides_in_the_table(Q, taken, rewards, over, following, discount):
    fitted = by_where(Q, taken, rewards, over, following, discount)[0]
    Q[taken == 0] = -1e9
    return fitted, rewards + discount * np.where(over, 0, Q[following].max(1))


# ---- 1.5 -----------------------------------------------------------------------------------------


def weigh_and_average(values, counts, eta):
    v = counts @ values / counts.sum()
    for _ in range(100):
        weight = counts * np.where(values < v, 1 - eta, eta)
        v = weight @ values / weight.sum()
    return v


def by_bisection(values, counts, eta):
    seen = values[counts > 0]
    low, high = float(seen.min()), float(seen.max())
    while high - low > 1e-6:
        v = (low + high) / 2
        pull = counts * np.where(values < v, 1 - eta, eta) * (values - v)
        low, high = (v, high) if pull.sum() > 0 else (low, v)
    return high


def by_gradient(values, counts, eta):
    q, n = torch.tensor(values, dtype=torch.float64), torch.tensor(counts / counts.sum())
    v = (q * n).sum()
    for _ in range(3000):
        v = v + 0.5 * (n * torch.where(q < v, 1 - eta, eta) * (q - v)).sum()
    return v


def best_split(values, counts, eta):
    order = np.argsort(values)
    q, n = values[order], counts[order]
    means = []
    for k in range(len(q)):
        weight = n * np.where(np.arange(len(q)) < k, 1 - eta, eta)
        means.append(weight @ q / weight.sum() if weight.sum() else -np.inf)
    least = [(n * np.where(q < v, 1 - eta, eta)) @ (q - v) ** 2 for v in means if v > -np.inf]
    return [v for v in means if v > -np.inf][int(np.argmin(least))]


def sides_of_the_expectile_swapped(values, counts, eta):
    return weigh_and_average(values, counts, 1 - eta)


def plain_mean(values, counts, eta):
    return np.average(values, weights=counts)


def plain_best(values, counts, eta):
    return values[counts > 0].max()


def each_action_once(values, counts, eta):
    return weigh_and_average(values, (counts > 0) * 1, eta)


def unseen_has_a_say(values, counts, eta):
    return weigh_and_average(values, counts + (counts == 0), eta)


def all_actions_once(values, counts, eta):
    return weigh_and_average(values, np.ones(len(values)), eta)


def quantile(values, counts, eta):
    q = np.sort(np.repeat(values, counts))
    return q[int(np.ceil(eta * len(q) - 1e-9)) - 1]


def quantile_of_numpy(values, counts, eta):
    return np.quantile(np.repeat(values, counts), eta)


def mean_and_best_mixed(values, counts, eta):
    return eta * plain_best(values, counts, eta) + (1 - eta) * plain_mean(values, counts, eta)


def worst_and_best_mixed(values, counts, eta):
    seen = values[counts > 0]
    return eta * seen.max() + (1 - eta) * seen.min()


def averaged_once(values, counts, eta):
    weight = counts * np.where(values < plain_mean(values, counts, eta), 1 - eta, eta)
    return weight @ values / weight.sum()


def one_of_the_values(values, counts, eta):
    loss = [(counts * np.where(values < v, 1 - eta, eta)) @ (values - v) ** 2 for v in values]
    return values[int(np.argmin(loss))]


def loss_instead(values, counts, eta):
    v = weigh_and_average(values, counts, eta)
    return (counts * np.where(values < v, 1 - eta, eta)) @ (values - v) ** 2


def one_a_action(values, counts, eta):
    return np.full(len(values), weigh_and_average(values, counts, eta))


@np.errstate(invalid="ignore", divide="ignore")
def mean_of_the_better(values, counts, eta):
    better = values > values.max()
    return values[better].sum() / better.sum()


RIGHT = {
    "1.1": (backward_pass, list_of_floats, in_torch),
    "1.2": (slice_and_fill, step_by_step, window_in_torch, window_of_lists),
    "1.3": (by_digest, by_checksum, by_seeded_generator, by_remembered_digest),
    "1.4": (by_where, step_after_step, targets_in_torch),
    "1.5": (weigh_and_average, by_bisection, by_gradient, best_split),
}

WRONG = {
    "1.1": {
        ignores_borders: "Rewards leak across the border",
        border_one_step_off: "begins again one step off",
        leaves_out_reward: "an episode's last entry is its last reward, not 0",
        leaves_out_reward_keeps_weights: "still discounts the next reward",
        reward_so_far: "the reward collected so far",
        never_turned_around: "never turned around",
        forward_recursion: "recurse in the wrong direction",
        whole_return: "return of the whole episode",
        loses_last_reward: "The last reward of an episode is lost",
        no_discount: "The discount is ignored",
        twice_discounted: "applied twice",
        absolute_discount: "counted from the start of the episode",
        discount_from_end: "counted from the end of the episode",
        discounts_own_reward: "The reward of the step itself is discounted too",
        mean_to_go: "means of the rewards to come",
        in_place: "changes its argument `rewards` in place",
        whole_numbers: "every fraction is cut off",
        one_entry_more: "one number a step",
        one_number: "one number a step",
        divides_by_powers: "Multiply instead",
        quadratic: "One pass from the end is enough",
        quadratic_in_slices: "One pass from the end is enough",
        one_matrix: "One pass from the end is enough",
        inserts_in_front: "One pass from the end is enough",
        powers_vanish: "Short episodes come out right",
        nearly_right: "Some numbers are wrong",
        a_string: "should be an array of numbers, not str",
    },
    "1.2": {
        crosses_the_end: "runs past the end of its episode",
        plain_slice: "runs past the end of its episode",
        right_mask_dirty_padding: "still hold the next episode's steps",
        pads_left: "The padding stands on the left",
        mask_upside_down: "upside down",
        mask_all_true: "True everywhere",
        moved_back: "moved back so that it fits",
        repeats_last: "repeats the last step",
        repeats_last_all_true: "repeats the last step",
        one_step_late: "begins one step late",
        one_step_too_many: "one step too many",
        one_step_lost: "loses the last step",
        not_padded: "has to be filled up with zeros",
        window_of_floats: "Keep the type",
        window_of_small_integers: "Keep the size of the numbers too",
        window_of_half_floats: "Keep the size of the numbers too",
        window_of_doubles: "Keep the size of the numbers too",
        mask_from_values: "made from the values",
        mask_from_all_columns: "made from the values",
        mask_from_first_column: "made from the values",
        mask_of_numbers: "Make it bool",
        window_only: "Return two things",
        blanks_the_data: "changes its argument `values` in place",
        index_out_of_range: "`window = np.stack([values[start + k] for k in range(K)])`",
    },
    "1.3": {
        random_episodes: "It leaks",
        last_episodes: "It leaks",
        random_maps: "Leave chance out of it",
        first_seen_maps: "depends on which other episodes",
        sorted_maps: "depends on which other episodes",
        seeded_shuffle: "depends on which other episodes",
        built_in_hash: "salted anew in every process",
        hash_of_tuple: "salted anew in every process",
        hash_method: "salted anew in every process",
        hash_elsewhere: "salted anew in every process",
        hash_that_cannot_travel: "salted anew in every process",
        object_identity: "two objects in memory",
        remembered_draws: "forgotten there",
        remembered_draws_in_turn: "forgotten there",
        first_byte: "All maps land on the same side",
        sides_swapped: "The two sides are swapped",
        always_half: "does not depend on `fraction`",
        twice_the_fraction: "not the fraction that was asked for",
        episode_numbers: "Return a mask, not the episodes' numbers",
        two_lists: "this is a tuple of 2",
        sorts_the_data: "changes its argument `maps` in place",
    },
    "1.4": {
        bootstraps_behind_the_end: "After a termination nothing follows: there",
        last_reward_lost: "The last reward of an episode is lost",
        over_upside_down: "upside down",
        wrong_order: "stand in the wrong order",
        discount_forgotten: "The discount is forgotten",
        reward_discounted: "The reward is discounted too",
        reward_missing: "The reward of the step is missing",
        maximum_of_the_table: "goes over all states together",
        asks_everybody_twice: "the first one again",
        unseen_counts_as_zero: "counts as 0 instead of being left out",
        values_times_counts: "multiplied by how often",
        most_frequent: "that is cloning",
        mean_of_taken: "the mean over the data's actions",
        only_the_unseen: "the other way round",
        zero_times_infinity: "0 times -inf is NaN",
        maximum_over_steps: "Does the maximum go over the actions",
        one_target: "Return two arrays",
        targets_cut_off: "every fraction is cut off",
        hides_in_the_table: "changes its argument `Q` in place",
    },
    "1.5": {
        sides_of_the_expectile_swapped: "The two sides are swapped",
        plain_mean: "η is ignored",
        plain_best: "the best of the data's actions, whatever η is",
        each_action_once: "How often an action was taken is ignored",
        unseen_has_a_say: "never took has a say here",
        all_actions_once: "never took has a say here",
        quantile: "This is the quantile",
        quantile_of_numpy: "This is the quantile",
        mean_and_best_mixed: "You mix the mean and the best",
        worst_and_best_mixed: "You mix the worst and the best",
        averaged_once: "used once",
        one_of_the_values: "among the values themselves",
        loss_instead: "Return the v that makes it least",
        one_a_action: "one number for the state",
        mean_of_the_better: "NaN or infinite",
    },
}
