"""Answers to sheet 7: right ones, and wrong ones with a phrase that their message must contain."""

import heapq
import math
from itertools import pairwise

import numpy as np
import torch

# ---- 7.1 -----------------------------------------------------------------------------------------


def sorted_list(scores):
    flat = sorted(scores.ravel().tolist())
    cut = len(flat) // 4
    flat = flat[cut : len(flat) - cut]
    return sum(flat) / len(flat)


def iqm_in_torch(scores):
    flat = torch.as_tensor(scores).flatten().sort().values
    return flat[len(flat) // 4 : len(flat) - len(flat) // 4].mean()


def plain_mean(scores):
    return scores.mean()


def median(scores):
    return np.median(scores)


def not_sorted(scores):
    flat, cut = scores.flatten(), scores.size // 4
    return flat[cut:-cut].mean()


def cut_each_level(scores):
    return np.mean([sorted_list(row) for row in scores])


def cut_each_run(scores):
    return np.mean([sorted_list(row) for row in scores.T])


def quarter_in_all(scores):
    flat, cut = np.sort(scores.ravel()), scores.size // 8
    return flat[cut : len(flat) - cut].mean()


def rounded_up(scores):
    flat, cut = np.sort(scores.ravel()), math.ceil(scores.size / 4)
    return flat[cut : len(flat) - cut].mean()


def moved_to_the_edge(scores):
    flat, cut = np.sort(scores.ravel()), scores.size // 4
    flat[:cut], flat[len(flat) - cut :] = flat[cut], flat[len(flat) - cut - 1]
    return flat.mean()


def worst_cut(scores):
    return np.sort(scores.ravel())[scores.size // 4 :].mean()


def best_cut(scores):
    return np.sort(scores.ravel())[: scores.size - scores.size // 4].mean()


def middle_values(scores):
    return np.sort(scores.ravel())[scores.size // 4 : scores.size - scores.size // 4]


def nothing_left(scores):
    with np.errstate(all="ignore"):
        return np.float64(0) / (scores.size * 0.0)


def sorts_in_place(scores):
    scores.sort(axis=1)
    return sorted_list(scores)


# ---- 7.2 -----------------------------------------------------------------------------------------


def differences_first(one, other, draws):
    by_episode = (one - other).mean(0)
    means = by_episode[draws].mean(1)
    return by_episode.mean(), *np.percentile(means, [2.5, 97.5])


def draw_by_draw(one, other, draws):
    means = [np.mean(one[:, again] - other[:, again]) for again in draws]
    return [one.mean() - other.mean(), np.quantile(means, 0.025), np.quantile(means, 0.975)]


def paired_in_torch(one, other, draws):
    each = torch.as_tensor(one - other).mean(0)
    means = each[torch.as_tensor(draws)].mean(1)
    ends = torch.quantile(means, torch.tensor([0.025, 0.975]).double())
    return torch.cat([each.mean()[None], ends])


def means_of(x, draws):
    return np.array([x[:, again].mean() for again in draws])


def with_ends(one, other, means, outside=5):
    ends = np.percentile(means, [outside / 2, 100 - outside / 2])
    return np.array([one.mean() - other.mean(), *ends])


def draws_of_their_own(one, other, draws):
    apart = means_of(one, draws) - means_of(other, np.roll(draws, 1, 0))
    return with_ends(one, other, apart)


def draws_from_the_end(one, other, draws):
    return with_ends(one, other, means_of(one, draws) - means_of(other, draws[::-1]))


def two_intervals(one, other, draws):
    a, b = np.percentile(means_of(one, draws), [2.5, 97.5])
    c, d = np.percentile(means_of(other, draws), [2.5, 97.5])
    return one.mean() - other.mean(), a - d, b - c


def end_by_end(one, other, draws):
    ends = [np.percentile(means_of(x, draws), [2.5, 97.5]) for x in (one, other)]
    return one.mean() - other.mean(), *(ends[0] - ends[1])


def ninety_percent(one, other, draws):
    return with_ends(one, other, means_of(one - other, draws), 10)


def two_deviations(one, other, draws):
    center, spread = one.mean() - other.mean(), means_of(one - other, draws).std()
    return center, center - 1.96 * spread, center + 1.96 * spread


def of_single_episodes(one, other, draws):
    return with_ends(one, other, (one - other).mean(0))


def second_minus_first(one, other, draws):
    return differences_first(other, one, draws)


def one_seed(one, other, draws):
    return differences_first(one[:1], other[:1], draws)


def mean_of_draws(one, other, draws):
    found = np.array(differences_first(one, other, draws))
    found[0] = means_of(one - other, draws).mean()
    return found


def interval_alone(one, other, draws):
    return differences_first(one, other, draws)[1:]


def subtracts_in_place(one, other, draws):
    one -= other
    return differences_first(one, other * 0, draws)


# ---- 7.3 -----------------------------------------------------------------------------------------


def method_by_method(success, ms):
    points = list(zip(success, ms))

    def beaten(i):
        s, m = points[i]
        return any(x >= s and y <= m and (x > s or y < m) for x, y in points)

    return [not beaten(i) for i in range(len(points))]


def by_sorting(success, ms):
    found, best = np.zeros(len(ms), bool), -np.inf
    for cost in np.unique(ms):
        group = np.flatnonzero(ms == cost)
        top = success[group].max()
        if top > best:
            found[group[success[group] == top]] = True
            best = top
    return found


def front_in_torch(success, ms):
    s, m = torch.as_tensor(success), torch.as_tensor(ms)
    better = (s[None] >= s[:, None]) & (m[None] <= m[:, None])
    return ~(better & ~better.T).any(1)


def ties_are_kept(success, ms):
    return np.array([not ((success > s) & (ms < m)).any() for s, m in zip(success, ms)])


def equals_are_gone(success, ms):
    found = []
    for i in range(len(ms)):
        others = np.arange(len(ms)) != i
        found.append(not ((success >= success[i]) & (ms <= ms[i]) & others).any())
    return np.array(found)


def first_equal(success, ms):
    found, seen = method_by_method(success, ms), set()
    for i, pair in enumerate(zip(success, ms)):
        found[i] = found[i] and pair not in seen
        seen.add(pair)
    return found


def slow_is_good(success, ms):
    return method_by_method(success, -ms)


def failing_is_good(success, ms):
    return method_by_method(-success, ms)


def the_beaten_ones(success, ms):
    return ~np.array(method_by_method(success, ms))


def better_in_one(success, ms):
    return np.array([not ((success > s) | (ms < m)).any() for s, m in zip(success, ms)])


def the_extremes(success, ms):
    extreme = (success == success.max()) | (ms == ms.min())
    return np.array(method_by_method(success, ms)) & extreme


def on_the_hull(success, ms):
    found = np.array(method_by_method(success, ms))
    on = np.flatnonzero(found)
    for i in on:
        for j in on:
            for k in on:
                if ms[j] < ms[i] < ms[k]:
                    line = np.interp(ms[i], [ms[j], ms[k]], [success[j], success[k]])
                    found[i] = found[i] and success[i] > line - 1e-9
    return found


def the_best(success, ms):
    return success >= success.max()


def the_fastest(success, ms):
    return ms <= ms.min()


def places(success, ms):
    return np.flatnonzero(method_by_method(success, ms))


def turns_in_place(success, ms):
    ms *= -1
    return method_by_method(success, -ms)


# ---- 7.4 -----------------------------------------------------------------------------------------


def by_dictionary(states, actions, returns):
    groups = {}
    for s, a, r in zip(states, actions, returns):
        groups.setdefault((s, a), []).append(r)
    return [np.mean(groups[s, a]) for s, a in zip(states, actions)]


def by_unique(states, actions, returns):
    _, group = np.unique(np.stack([states, actions]), axis=1, return_inverse=True)
    group = group.ravel()
    return (np.bincount(group, returns) / np.bincount(group))[group]


def labels_in_torch(states, actions, returns):
    s, a, r = (torch.as_tensor(x) for x in (states, actions, returns))
    alike = ((s[:, None] == s) & (a[:, None] == a)).double()
    return alike @ r / alike.sum(1)


def grouped(name, key, pool=np.mean):
    def answer(states, actions, returns):
        keys = [key(s, a) for s, a in zip(states.tolist(), actions.tolist())]
        same = [[r for k, r in zip(keys, returns) if k == own] for own in keys]
        return np.array([pool(rs) for rs in same])

    answer.__name__ = name
    return answer


state_ignored = grouped("state_ignored", lambda s, a: a)
action_ignored = grouped("action_ignored", lambda s, a: s)
mean_of_all = grouped("mean_of_all", lambda s, a: 0)
luckiest = grouped("luckiest", lambda s, a: (s, a), max)
median_of_group = grouped("median_of_group", lambda s, a: (s, a), np.median)
sum_of_group = grouped("sum_of_group", lambda s, a: (s, a), sum)


def with_luck(states, actions, returns):
    return returns.copy()


def leaves_itself_out(states, actions, returns):
    found = []
    for i in range(len(states)):
        same = (states == states[i]) & (actions == actions[i])
        same[i] = False
        found.append(returns[same].mean() if same.any() else 0.0)
    return np.array(found)


def advantages(states, actions, returns):
    return by_dictionary(states, actions, returns) - action_ignored(states, actions, returns)


def the_luck(states, actions, returns):
    return returns - by_unique(states, actions, returns)


def one_a_group(states, actions, returns):
    return [0.0, *sorted(set(by_dictionary(states, actions, returns)))[:1]]


def divides_by_nothing(states, actions, returns):
    return np.full(len(states), np.nan)


def relabels_in_place(states, actions, returns):
    returns[:] = by_unique(states, actions, returns)
    return returns


# ---- 7.5 -----------------------------------------------------------------------------------------


def whole(walks, start, goal):
    found = [-walk.index(goal) for walk in walks if walk[0] == start and goal in walk]
    return max(found, default=-np.inf)


def breadth_first(walks, start, goal):
    edges = {pair for walk in walks for pair in pairwise(walk)}
    reached, front, steps = {start}, {start}, 0
    while front and goal not in front:
        front = {b for a, b in edges if a in front} - reached
        reached |= front
        steps += 1
    return whole(walks, start, goal), -steps if front else -np.inf


def with_a_heap(walks, start, goal):
    after, heap, done = {}, [(0, start)], set()
    for walk in walks:
        for a, b in pairwise(walk):
            after.setdefault(a, set()).add(b)
    while heap:
        cost, node = heapq.heappop(heap)
        if node == goal:
            return [whole(walks, start, goal), -cost]
        if node not in done:
            done.add(node)
            for to in after.get(node, ()):
                heapq.heappush(heap, (cost + 1, to))
    return [whole(walks, start, goal), -math.inf]


def by_sweeps(walks, start, goal):
    nodes = 1 + max(max(walk) for walk in walks)
    V = np.full(max(nodes, start + 1, goal + 1), -np.inf)
    V[goal] = 0
    for _ in range(len(V)):
        for walk in walks:
            for a, b in pairwise(walk):
                V[a] = max(V[a], V[b] - 1)
    return torch.tensor([whole(walks, start, goal), V[start]])


def way(walks, start, goal):
    return breadth_first(walks, start, goal)[1]


def nothing_stitched(walks, start, goal):
    return whole(walks, start, goal), whole(walks, start, goal)


def joined_once(walks, start, goal):
    best = whole(walks, start, goal)
    for one in walks:
        for two in walks:
            if one[0] != start:
                continue
            for i, node in enumerate(one):
                for j, other in enumerate(two):
                    if node == other and goal in two[j:]:
                        best = max(best, -i - two[j:].index(goal))
    return whole(walks, start, goal), best


def backward_too(walks, start, goal):
    turned = walks + [walk[::-1] for walk in walks]
    return whole(walks, start, goal), way(turned, start, goal)


def coming_by(walks, start, goal):
    passing = [walk[i:] for walk in walks for i, node in enumerate(walk) if node == start]
    return whole(passing, start, goal), way(walks, start, goal)


def from_anywhere(walks, start, goal):
    found = [-walk.index(goal) for walk in walks if goal in walk]
    return max(found, default=-np.inf), way(walks, start, goal)


def pays_after_the_goal(walks, start, goal):
    found = [1 - len(walk) for walk in walks if walk[0] == start and goal in walk]
    return max(found, default=-np.inf), way(walks, start, goal)


def mean_walk(walks, start, goal):
    found = [-walk.index(goal) for walk in walks if walk[0] == start and goal in walk]
    return np.mean(found) if found else -np.inf, way(walks, start, goal)


def counts_nodes(walks, start, goal):
    return np.array(breadth_first(walks, start, goal)) - 1


def positive(walks, start, goal):
    return -np.array(breadth_first(walks, start, goal))


def stitched_first(walks, start, goal):
    return breadth_first(walks, start, goal)[::-1]


def stitched_alone(walks, start, goal):
    return way(walks, start, goal)


def not_a_number(walks, start, goal):
    return [x if np.isfinite(x) else np.nan for x in breadth_first(walks, start, goal)]


def extends_the_walks(walks, start, goal):
    walks.append([start])
    return breadth_first(walks, start, goal)


RIGHT = {
    "7.1": (sorted_list, iqm_in_torch),
    "7.2": (differences_first, draw_by_draw, paired_in_torch),
    "7.3": (method_by_method, by_sorting, front_in_torch),
    "7.4": (by_dictionary, by_unique, labels_in_torch),
    "7.5": (breadth_first, with_a_heap, by_sweeps),
}

WRONG = {
    "7.1": {
        plain_mean: "the plain mean",
        median: "That is the median",
        not_sorted: "not sorted",
        cut_each_level: "Each level's runs are cut by themselves",
        cut_each_run: "Each run is cut over levels",
        quarter_in_all: "A quarter is cut in all",
        rounded_up: "The quarter is rounded up",
        moved_to_the_edge: "moved to its edge",
        worst_cut: "Only the worst quarter is cut",
        best_cut: "Only the best quarter is cut",
        middle_values: "become one number",
        nothing_left: "The interquartile mean is NaN",
        sorts_in_place: "changes its argument `scores` in place",
    },
    "7.2": {
        draws_of_their_own: "The two methods get different episodes",
        draws_from_the_end: "The two methods get different episodes",
        two_intervals: "Two intervals are subtracted",
        end_by_end: "The ends of two intervals are subtracted",
        ninety_percent: "The interval holds 90 %",
        two_deviations: "two standard deviations",
        of_single_episodes: "percentiles of single episodes",
        second_minus_first: "the wrong sign",
        one_seed: "Only the first training seed",
        mean_of_draws: "The estimate is the mean of the draws",
        interval_alone: "Three numbers are asked for",
        subtracts_in_place: "changes its argument `one` in place",
    },
    "7.3": {
        ties_are_kept: "equal in the other is kept",
        equals_are_gone: "throw each other out",
        first_equal: "only the first is kept",
        slow_is_good: "More milliseconds are taken for better",
        failing_is_good: "Less success is taken for better",
        the_beaten_ones: "these are the beaten ones",
        better_in_one: "better in one of the two, whatever",
        the_extremes: "Only the best and the fastest",
        on_the_hull: "below the line between two others",
        the_best: "Only success is looked at",
        the_fastest: "Only milliseconds are looked at",
        places: "a truth value for each method",
        turns_in_place: "changes its argument `ms` in place",
    },
    "7.4": {
        with_luck: "luck included",
        state_ignored: "in which state the action was chosen",
        action_ignored: "which action was chosen",
        mean_of_all: "All episodes have the same label",
        luckiest: "the best return of its group",
        median_of_group: "the median of its group",
        sum_of_group: "the sum over its group",
        leaves_itself_out: "own return is left out",
        advantages: "The state's mean is taken away",
        the_luck: "what luck added",
        one_a_group: "Each episode has a label",
        divides_by_nothing: "A label is NaN",
        relabels_in_place: "changes its argument `returns` in place",
    },
    "7.5": {
        nothing_stitched: "nothing is stitched",
        joined_once: "At most two walks are joined",
        backward_too: "Steps are used backward",
        coming_by: "walks that only come by the start",
        from_anywhere: "counts walks from anywhere",
        pays_after_the_goal: "Steps after the goal are paid",
        mean_walk: "a mean over walks",
        counts_nodes: "Nodes are counted",
        positive: "The sign is missing",
        stitched_first: "in the other order",
        stitched_alone: "Two returns are asked for",
        not_a_number: "A return is NaN",
        extends_the_walks: "changes its argument `walks` in place",
    },
}
