"""Answers to sheet 6: right ones, and wrong ones with a phrase that their message must contain."""

import numpy as np
import torch

# ---- 6.1 -----------------------------------------------------------------------------------------


def query_by_query(A, mask, keys, first):
    found = []
    for row, seen in zip(A, mask):
        visible = [j for j in range(len(row)) if seen[j] and (first or j > 0)]
        if visible:
            total = sum(row[j] for j in visible)
            there = [j for j in visible if keys[j]]
            found.append((sum(row[j] for j in there) / total, len(there) / len(visible)))
    return tuple(np.mean(found, axis=0))


def shares_in_torch(A, mask, keys, first):
    A, mask, keys = torch.as_tensor(A).double(), torch.as_tensor(mask), torch.as_tensor(keys)
    start = 0 if first else 1
    A, mask, keys = A[:, start:], mask[:, start:], keys[start:]
    seeing = mask.any(1)
    A, mask = A[seeing], mask[seeing].double()
    return torch.stack([(x / x.sum(1, keepdim=True))[:, keys].sum(1).mean() for x in (A, mask)])


def even_over_all_keys(A, mask, keys, first):
    return query_by_query(A, mask, keys, first)[0], keys.mean()


def without_first(A, mask, first):
    A, mask = A.copy(), mask.copy()
    if not first:
        A[:, 0], mask[:, 0] = 0, False
    return A, mask


def rows_not_rescaled(A, mask, keys, first):
    A, mask = without_first(A, mask, first)
    return A[mask.any(1)][:, keys].sum(1).mean(), query_by_query(mask * 1.0, mask, keys, True)[1]


def control_keeps_the_sink(A, mask, keys, first):
    return query_by_query(A, mask, keys, first)[0], query_by_query(A, mask, keys, True)[1]


def control_of_other_queries(A, mask, keys, first):
    seeing = without_first(A, mask, first)[1].any(1)
    even = query_by_query(A[seeing], mask[seeing], keys, True)[1]
    return query_by_query(A, mask, keys, first)[0], even


def sink_stays(A, mask, keys, first):
    return query_by_query(A, mask, keys, True)


def blind_queries_counted(A, mask, keys, first):
    seeing = without_first(A, mask, first)[1].any(1)
    return np.array(query_by_query(A, mask, keys, first)) * seeing.mean()


def only_those_able(A, mask, keys, first):
    able = without_first(A, mask, first)[1][:, keys].any(1)
    return query_by_query(A[able], mask[able], keys, first)


def summed_over_queries(A, mask, keys, first):
    seeing = without_first(A, mask, first)[1].any(1)
    return np.array(query_by_query(A, mask, keys, first)) * seeing.sum()


def a_column_each(A, mask, keys, first):
    return np.array(query_by_query(A, mask, keys, first)) / keys.sum()


def control_first(A, mask, keys, first):
    return query_by_query(A, mask, keys, first)[::-1]


def share_alone(A, mask, keys, first):
    return query_by_query(A, mask, keys, first)[0]


def divides_empty_rows(A, mask, keys, first):
    A, mask = without_first(A, mask, first)
    with np.errstate(all="ignore"):
        rows = [x / x.sum(1, keepdims=True) for x in (A, mask)]
    return [x[:, keys].sum(1).mean() for x in rows]


def clears_the_column(A, mask, keys, first):
    if not first:
        A[:, 0] = 0
    return query_by_query(A, mask, keys, first)


# ---- 6.2 -----------------------------------------------------------------------------------------


def layer_by_layer(maps):
    reached = np.eye(maps.shape[-1])
    for heads in maps:
        reached = (heads.mean(0) @ reached + reached) / 2
    return reached


def rollout_in_torch(maps):
    steps = (torch.as_tensor(maps).mean(1) + torch.eye(maps.shape[-1])) / 2
    return torch.linalg.multi_dot([*steps.flip(0), torch.eye(maps.shape[-1]).double()])


def product(steps):
    found = np.eye(steps.shape[-1])
    for step in steps:
        found = step @ found
    return found


def blocks(maps):
    return (maps.mean(1) + np.eye(maps.shape[-1])) / 2


def wrong_order(maps):
    return product(blocks(maps)[::-1])


def nothing_stays(maps):
    return product(maps.mean(1))


def added_whole(maps):
    return product(2 * blocks(maps))


def head_by_head(maps):
    return np.mean([product(blocks(maps[:, [h]])) for h in range(maps.shape[1])], axis=0)


def first_without_identity(maps):
    steps = blocks(maps)
    steps[0] = maps[0].mean(0)
    return product(steps)


def last_block(maps):
    return blocks(maps)[-1]


def mean_of_blocks(maps):
    return blocks(maps).mean(0)


def heads_summed(maps):
    return product((maps.sum(1) + np.eye(maps.shape[-1])) / 2)


def from_keys_to_queries(maps):
    return layer_by_layer(maps).T


def a_map_for_each_head(maps):
    return np.stack([product(blocks(maps[:, [h]])) for h in range(maps.shape[1])])


def adds_in_place(maps):
    maps += np.eye(maps.shape[-1])
    return product(maps.mean(1) / 2)


# ---- 6.3 -----------------------------------------------------------------------------------------


def next_of_another(episodes):
    found = []
    for i, own in enumerate(episodes):
        j = (i + 1) % len(episodes)
        while episodes[j] == own:
            j = (j + 1) % len(episodes)
        found.append(j)
    return found


def kl(p, q):
    return (p * (np.log(p) - np.log(q))).sum(-1)


def moved(policy, states, returns, donor):
    return policy(states, returns), policy(states, returns[donor])


def with_donors(policy, states, returns, valid, episodes):
    donor = next_of_another(episodes)
    divergence = kl(*moved(policy, states, returns, donor))
    return divergence[valid & valid[donor]].mean()


def step_by_step(policy, states, returns, valid, episodes):
    donor, found = next_of_another(episodes), []
    p, q = moved(policy, states, returns, donor)
    for i, j in enumerate(donor):
        for t in range(states.shape[1]):
            if valid[i, t] and valid[j, t]:
                found.append(sum(a * np.log(a / b) for a, b in zip(p[i, t], q[i, t])))
    return float(np.mean(found))


def effect_in_torch(policy, states, returns, valid, episodes):
    donor = torch.as_tensor(next_of_another(episodes))
    p, q = (torch.as_tensor(x) for x in moved(policy, states, returns, donor.numpy()))
    counted = torch.as_tensor(valid) & torch.as_tensor(valid)[donor]
    return torch.distributions.kl_divergence(
        torch.distributions.Categorical(p[counted]), torch.distributions.Categorical(q[counted])
    ).mean()


def variant(name, donor=next_of_another, of=kl, put=None, own=False, everything=False):
    """with_donors with a part exchanged."""

    def answer(policy, states, returns, valid, episodes):
        chosen = donor(episodes)
        other = returns[chosen] if put is None else put(returns)
        counted = valid if own else valid & valid[chosen]
        counted = np.ones_like(valid) if everything else counted
        return of(policy(states, returns), policy(states, other))[counted].mean()

    answer.__name__ = name
    return answer


def around(episodes):
    return np.roll(np.arange(len(episodes)), -1)


def with_zeros(returns):
    return returns * 0


def with_the_mean(returns):
    return np.full(returns.shape, returns.mean())


def backward_in_time(returns):
    return returns[:, ::-1]


next_window = variant("next_window", donor=around)
turned_around = variant("turned_around", of=lambda p, q: kl(q, p))
counts_padding = variant("counts_padding", everything=True)
counts_handed_padding = variant("counts_handed_padding", own=True)
zeros_instead = variant("zeros_instead", put=with_zeros)
mean_instead = variant("mean_instead", put=with_the_mean)
mixed_in_time = variant("mixed_in_time", put=backward_in_time)
in_bits = variant("in_bits", of=lambda p, q: kl(p, q) / np.log(2))
total_variation = variant("total_variation", of=lambda p, q: abs(p - q).sum(-1) / 2)
mean_over_actions = variant("mean_over_actions", of=lambda p, q: (p * np.log(p / q)).mean(-1))
signs_of_change = variant("signs_of_change", of=lambda p, q: (p - q)[..., 0])


def states_as_well(policy, states, returns, valid, episodes):
    donor = next_of_another(episodes)
    p, q = policy(states, returns), policy(states[donor], returns[donor])
    return kl(p, q)[valid & valid[donor]].mean()


def summed_over_steps(policy, states, returns, valid, episodes):
    donor = next_of_another(episodes)
    return (kl(*moved(policy, states, returns, donor)) * (valid & valid[donor])).sum()


def windows_weigh_the_same(policy, states, returns, valid, episodes):
    donor = next_of_another(episodes)
    counted = valid & valid[donor]
    found = kl(*moved(policy, states, returns, donor))
    return np.mean([row[real].mean() for row, real in zip(found, counted) if real.any()])


def number_for_each_step(policy, states, returns, valid, episodes):
    return np.stack([kl(*moved(policy, states, returns, next_of_another(episodes)))] * 2)


def overwrites_returns(policy, states, returns, valid, episodes):
    before = policy(states, returns)
    donor = next_of_another(episodes)
    returns[:] = returns[donor]
    return kl(before, policy(states, returns))[valid & valid[donor]].mean()


# ---- 6.4 -----------------------------------------------------------------------------------------


def window_by_window(scores, mask):
    T = scores.shape[1]
    total, count = np.zeros((T, T)), np.zeros(T)
    for s, m in zip(scores, mask):
        for i in range(T):
            if m[i].any():
                e = np.exp(s[i, m[i]] - s[i, m[i]].max())
                total[i, m[i]] += e / e.sum()
                count[i] += 1
    return [list(row / max(n, 1)) for row, n in zip(total, count)]


def with_nanmean(scores, mask):
    scores, mask = torch.as_tensor(scores).double(), torch.as_tensor(mask)
    maps = scores.masked_fill(~mask, -torch.inf).softmax(2)
    return maps.nanmean(0).nan_to_num(0)


def quiet(x, y):
    return np.divide(x, y, out=np.zeros(np.broadcast(x, y).shape), where=np.asarray(y) != 0)


def softmax(scores, mask, axis):
    e = np.exp(scores) * mask
    return quiet(e, e.sum(axis, keepdims=True))


def as_it_was_given(scores, mask):
    return softmax(scores, mask, 1).mean(0)


def padding_counted(scores, mask):
    return softmax(scores, mask, 2).mean(0)


def over_queries(scores, mask):
    return quiet(softmax(scores, mask, 1).sum(0), mask.any(2).sum(0)[:, None])


def rescaled_at_the_end(scores, mask):
    found = softmax(scores, mask, 1).mean(0)
    return quiet(found, found.sum(1, keepdims=True))


def by_visible_cells(scores, mask):
    return quiet(softmax(scores, mask, 2).sum(0), mask.sum(0))


def hidden_keys_too(scores, mask):
    rows = mask.any(2, keepdims=True) * np.ones_like(scores)
    return quiet(softmax(scores, rows, 2).sum(0), rows.sum(0))


def of_mean_scores(scores, mask):
    mean = quiet((scores * mask).sum(0), mask.sum(0))
    return softmax(mean[None], mask.any(0)[None], 2)[0]


def pooled_windows(scores, mask):
    e = (np.exp(scores) * mask).sum(0)
    return quiet(e, e.sum(1, keepdims=True))


def nans_of_padding(scores, mask):
    with np.errstate(all="ignore"):
        e = np.exp(scores) * mask
        return (e / e.sum(2, keepdims=True)).mean(0)


def all_the_maps(scores, mask):
    return softmax(scores, mask, 2)


def hides_in_place(scores, mask):
    scores[~mask] = -100
    return window_by_window(scores, mask)


# ---- 6.5 -----------------------------------------------------------------------------------------


def token_by_token(weights, values, others):
    before = weights @ values
    resampled, hidden = [], []
    for j in range(len(weights)):
        exchanged = values.copy()
        exchanged[j] = others[j]
        resampled.append(abs(weights @ exchanged - before))
        rest = np.delete(weights, j)
        after = rest @ np.delete(values, j) / rest.sum() if rest.any() else 0.0
        hidden.append(abs(after - before))
    return resampled, hidden


def with_masks(weights, values, others):
    w, v, o = (torch.as_tensor(x).double() for x in (weights, values, others))
    kept = w * (1 - torch.eye(len(w)))
    kept = kept / kept.sum(1, keepdim=True).clamp(min=1e-12)
    return torch.stack([(w * (o - v)).abs(), (kept @ v - w @ v).abs()])


def share_is_lost(weights, values, others):
    return np.array([token_by_token(weights, values, others)[0], abs(weights * values)])


def all_exchanged(weights, values, others):
    moved = abs(weights @ others - weights @ values)
    return np.array([[moved] * len(weights), token_by_token(weights, values, others)[1]])


def signed(weights, values, others):
    rest = 1 - weights
    left = weights @ values - weights * values
    hidden = np.where(rest > 0, left / np.maximum(rest, 1e-12), 0)
    return np.array([weights * (others - values), hidden - weights @ values])


def the_weights(weights, values, others):
    return np.stack([weights, weights])


def hidden_first(weights, values, others):
    return token_by_token(weights, values, others)[::-1]


def unweighted(weights, values, others):
    return [abs(others - values), token_by_token(weights, values, others)[1]]


def no_new_sum(weights, values, others):
    return [
        token_by_token(weights, values, others)[0],
        weights * abs(values - weights @ values),
    ]


def answers_after(weights, values, others):
    return signed(weights, values, others) + weights @ values


def nothing_left(weights, values, others):
    with np.errstate(all="ignore"):
        hidden = (weights @ values - weights * values) / (1 - weights)
    return np.array([abs(weights * (others - values)), abs(hidden - weights @ values)])


def tokens_by_two(weights, values, others):
    return np.array(token_by_token(weights, values, others)).T


def resampled_alone(weights, values, others):
    return token_by_token(weights, values, others)[0]


def exchanges_in_place(weights, values, others):
    found = token_by_token(weights, values, others)
    values[:] = others
    return found


# ---- 6.6 -----------------------------------------------------------------------------------------


def from_the_end(steps, share, even, moved, least):
    def when(above):
        found = np.inf
        for step, high in zip(steps[::-1], above[::-1]):
            if not high:
                break
            found = step
        return found

    return when(share > even), when(moved > least)


def after_the_last_low(steps, share, even, moved, least):
    found = []
    for curve, line in ((share, even), (moved, least)):
        low = [i for i, x in enumerate(curve) if x <= line]
        start = low[-1] + 1 if low else 0
        found.append(float(steps[start]) if start < len(steps) else float("inf"))
    return torch.tensor(found)


def first_time(steps, share, even, moved, least):
    high = share > even, moved > least
    return [steps[x.argmax()] if x.any() else np.inf for x in high]


def places(steps, share, even, moved, least):
    return from_the_end(np.arange(len(steps)), share, even, moved, least)


def last_low(steps, share, even, moved, least):
    found = []
    for high in (share > even, moved > least):
        low = steps[~high]
        found.append(np.inf if not high[-1] else low[-1] if len(low) else steps[0])
    return found


def equal_is_enough(steps, share, even, moved, least):
    return from_the_end(steps, share, np.nextafter(even, -1), moved, np.nextafter(least, -np.inf))


def above_its_start(steps, share, even, moved, least):
    return from_the_end(steps, share, share[0], moved, least)


def never_is(name, number):
    def answer(steps, share, even, moved, least):
        found = np.array(from_the_end(steps, share, even, moved, least), float)
        return np.where(np.isinf(found), number(steps), found)

    answer.__name__ = name
    return answer


never_is_the_end = never_is("never_is_the_end", lambda steps: steps[-1])
never_is_minus_one = never_is("never_is_minus_one", lambda steps: -1)
never_is_nan = never_is("never_is_nan", lambda steps: np.nan)


def needed_first(steps, share, even, moved, least):
    return from_the_end(steps, share, even, moved, least)[::-1]


def the_later_one(steps, share, even, moved, least):
    return max(from_the_end(steps, share, even, moved, least))


def smooths_in_place(steps, share, even, moved, least):
    share[1:] = np.maximum(share[1:], share[:-1])
    return from_the_end(steps, share, even, moved, least)


RIGHT = {
    "6.1": (query_by_query, shares_in_torch),
    "6.2": (layer_by_layer, rollout_in_torch),
    "6.3": (with_donors, step_by_step, effect_in_torch),
    "6.4": (window_by_window, with_nanmean),
    "6.5": (token_by_token, with_masks),
    "6.6": (from_the_end, after_the_last_low),
}

WRONG = {
    "6.1": {
        even_over_all_keys: "spread over all keys",
        rows_not_rescaled: "no longer sum to 1",
        control_keeps_the_sink: "even attention keeps it",
        control_of_other_queries: "even attention keeps it",
        sink_stays: "taken out of neither",
        blind_queries_counted: "Queries that see nothing are counted",
        only_those_able: "Only the queries that can see one",
        summed_over_queries: "sums over the queries",
        a_column_each: "shares a column",
        control_first: "in the other order",
        share_alone: "Two numbers are asked for",
        divides_empty_rows: "A share is NaN or infinite",
        clears_the_column: "changes its argument `A` in place",
    },
    "6.2": {
        wrong_order: "in the wrong order",
        nothing_stays: "Nothing stays where it was",
        added_whole: "The rows do not sum to 1",
        head_by_head: "The heads are rolled out one by one",
        first_without_identity: "The first block is taken without",
        last_block: "what the last block passes on",
        mean_of_blocks: "the mean over blocks",
        heads_summed: "The heads are summed",
        from_keys_to_queries: "Rows and columns are swapped",
        a_map_for_each_head: "The rollout is one map",
        adds_in_place: "changes its argument `maps` in place",
    },
    "6.3": {
        next_window: "even where it is from the same episode",
        turned_around: "The divergence is turned around",
        counts_padding: "Padding is counted",
        counts_handed_padding: "padding of the other window was handed",
        zeros_instead: "The returns are set to 0",
        mean_instead: "All windows get the mean return",
        mixed_in_time: "mixed within their own window",
        states_as_well: "The states are exchanged too",
        summed_over_steps: "sums over steps",
        windows_weigh_the_same: "Each window has the same weight",
        in_bits: "The logarithm has base 2",
        total_variation: "how much probability moves",
        mean_over_actions: "yours is their mean",
        signs_of_change: "Some numbers are wrong",
        number_for_each_step: "one number, a mean over steps",
        overwrites_returns: "changes its argument `returns` in place",
    },
    "6.4": {
        as_it_was_given: "as it was given",
        padding_counted: "adds a row of zeros and still counts",
        over_queries: "still sum to 1 over the queries",
        rescaled_at_the_end: "made to sum to 1 at the end",
        by_visible_cells: "in which its own key is visible",
        hidden_keys_too: "Hidden keys get a share",
        of_mean_scores: "the map of the mean scores",
        pooled_windows: "added before the division",
        nans_of_padding: "The map holds a NaN",
        all_the_maps: "a row for each query",
        hides_in_place: "changes its argument `scores` in place",
    },
    "6.5": {
        share_is_lost: "share is lost",
        all_exchanged: "All tokens are exchanged at once",
        signed: "changes with their sign",
        the_weights: "These are the attention weights",
        hidden_first: "in the other order",
        unweighted: "The exchanged value is not weighted",
        no_new_sum: "no value, no weight",
        answers_after: "These are the answers after the change",
        nothing_left: "A change is NaN or infinite",
        tokens_by_two: "Rows and columns are swapped",
        resampled_alone: "There are two rows",
        exchanges_in_place: "changes its argument `values` in place",
    },
    "6.6": {
        first_time: "for the first time",
        places: "the place in the list",
        last_low: "the last step below the line",
        equal_is_enough: "A number that equals its line",
        above_its_start: "held against its own beginning",
        never_is_the_end: "What never arrives",
        never_is_minus_one: "What never arrives",
        never_is_nan: "A step is NaN",
        needed_first: "in the other order",
        the_later_one: "Two steps are asked for",
        smooths_in_place: "changes its argument `share` in place",
    },
}
