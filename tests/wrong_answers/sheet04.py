"""Answers to sheet 4: right ones, and wrong ones with a phrase that their message must contain."""

import heapq

import numpy as np
import torch

# ---- 4.1 -----------------------------------------------------------------------------------------


def edges_of(column, bins):
    x = sorted(float(value) for value in column)
    step = (len(x) + bins - 1) // bins
    return sorted({*x[::step], x[-1]})


def by_search(column, bins, values):
    edges = np.array(edges_of(column, bins))
    if len(edges) == 1:
        return np.zeros(len(values), int), np.full(len(values), edges[0])
    tokens = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
    return tokens, ((edges[1:] + edges[:-1]) / 2)[tokens]


def by_counting(column, bins, values):
    edges = edges_of(column, bins)
    inner = edges[1:-1]
    tokens = [sum(float(x) >= e for e in inner) for x in values]
    return tokens, [(edges[i] + edges[min(i + 1, len(edges) - 1)]) / 2 for i in tokens]


def by_bucketize(column, bins, values):
    edges = torch.tensor(edges_of(column, bins), dtype=torch.float64)
    tokens = torch.bucketize(torch.as_tensor(values).double(), edges[1:-1], right=True)
    ends = torch.cat([edges, edges[-1:]])
    return tokens, (ends[tokens] + ends[tokens + 1]) / 2


def from_edges(edges, values, side="right"):
    edges = np.asarray(edges, float)
    tokens = np.clip(np.searchsorted(edges, values, side=side) - 1, 0, max(len(edges) - 2, 0))
    return tokens, (edges[tokens] + edges[np.minimum(tokens + 1, len(edges) - 1)]) / 2


def equal_widths(column, bins, values):
    return from_edges(np.unique(np.linspace(min(column), max(column), bins + 1)), values)


def edge_belongs_below(column, bins, values):
    return from_edges(edges_of(column, bins), values, "left")


def left_edge(column, bins, values):
    tokens, _ = by_search(column, bins, values)
    return tokens, np.array(edges_of(column, bins))[tokens]


def right_edge(column, bins, values):
    tokens, _ = by_search(column, bins, values)
    edges = np.array(edges_of(column, bins))
    return tokens, edges[np.minimum(tokens + 1, len(edges) - 1)]


def mean_of_bin(column, bins, values):
    own, tokens = by_search(column, bins, column)[0], by_search(column, bins, values)[0]
    return tokens, [np.mean([x for x, i in zip(column, own) if i == token]) for token in tokens]


def counts_from_one(column, bins, values):
    tokens, told = by_search(column, bins, values)
    return np.asarray(tokens) + 1, told


def beyond_the_last(column, bins, values):
    edges = edges_of(column, bins)
    return np.digitize(values, edges) - 1, by_search(column, bins, values)[1]


def keeps_equal_edges(column, bins, values):
    x = np.sort(column)
    return from_edges([*x[:: -(-len(x) // bins)], x[-1]], values)


def interpolated(column, bins, values):
    return from_edges(np.unique(np.quantile(column, np.arange(bins + 1) / bins)), values)


def rounded_down(column, bins, values):
    x = np.sort(column)
    return from_edges(np.unique([*x[:: len(x) // bins], x[-1]]), values)


def loses_the_largest(column, bins, values):
    x = np.sort(column)
    return from_edges(np.unique(x[:: -(-len(x) // bins)]), values)


def distinct_values(column, bins, values):
    return by_search(np.unique(column), bins, values)


def tokens_of_floats(column, bins, values):
    tokens, told = by_search(column, bins, values)
    return tokens.astype(float), told


def told_in_whole_numbers(column, bins, values):
    tokens, told = by_search(column, bins, values)
    return tokens, told.astype(int)


def tokens_alone(column, bins, values):
    return by_search(column, bins, values)[0]


def a_token_for_the_column(column, bins, values):
    return by_search(column, bins, column)


def sorts_in_place(column, bins, values):
    column.sort()
    return by_search(column, bins, values)


def index_beyond(column, bins, values):
    edges = np.array(edges_of(column, bins))
    tokens = np.searchsorted(edges, values, side="right") - 1
    middles = (edges[1:] + edges[:-1]) / 2
    return tokens, middles[tokens]


# ---- 4.2 -----------------------------------------------------------------------------------------


def stable_sort(earned, reward, value, discount, t, B):
    got = earned[:, None] + discount**t * reward
    worth = (got + discount ** (t + 1) * value).ravel()
    order = np.argsort(-worth, kind="stable")[:B]
    return order // reward.shape[1], order % reward.shape[1], got.ravel()[order]


def list_of_candidates(earned, reward, value, discount, t, B):
    grown = []
    for r in range(len(earned)):
        for a in range(reward.shape[1]):
            got = earned[r] + discount**t * reward[r, a]
            grown.append((got + discount ** (t + 1) * value[r, a], r, a, got))
    kept = heapq.nsmallest(B, grown, key=lambda c: (-c[0], c[1], c[2]))
    return [c[1] for c in kept], [c[2] for c in kept], [c[3] for c in kept]


def round_in_torch(earned, reward, value, discount, t, B):
    got = torch.as_tensor(earned)[:, None] + discount**t * torch.as_tensor(reward)
    worth = got + discount ** (t + 1) * torch.as_tensor(value)
    order = torch.sort(worth.flatten(), descending=True, stable=True).indices[:B]
    A = reward.shape[1]
    return order.div(A, rounding_mode="floor"), order % A, got.flatten()[order]


def ranked(worth, got, B):
    order = np.argsort(-worth, axis=None, kind="stable")[:B]
    parent, action = np.unravel_index(order, worth.shape)
    return parent, action, got.ravel()[order]


def without_value(earned, reward, value, discount, t, B):
    got = earned[:, None] + discount**t * reward
    return ranked(got, got, B)


def keeps_the_value(earned, reward, value, discount, t, B):
    worth = earned[:, None] + discount**t * (reward + discount * value)
    return ranked(worth, worth, B)


def this_transition_alone(earned, reward, value, discount, t, B):
    worth = discount**t * (reward + discount * value)
    return ranked(worth, earned[:, None] + discount**t * reward, B)


def value_too_near(earned, reward, value, discount, t, B):
    got = earned[:, None] + discount**t * reward
    return ranked(got + discount**t * value, got, B)


def discount_anew(earned, reward, value, discount, t, B):
    got = earned[:, None] + reward
    return ranked(got + discount * value, got, B)


def reward_too_far(earned, reward, value, discount, t, B):
    got = earned[:, None] + discount ** (t + 1) * reward
    return ranked(got + discount ** (t + 1) * value, got, B)


def no_discount(earned, reward, value, discount, t, B):
    return stable_sort(earned, reward, value, 1.0, t, B)


def swapped(earned, reward, value, discount, t, B):
    parent, action, got = stable_sort(earned, reward, value, discount, t, B)
    return action, parent, got


def divided_by_beams(earned, reward, value, discount, t, B):
    parent, action, got = stable_sort(earned, reward, value, discount, t, B)
    return *divmod(parent * reward.shape[1] + action, len(earned)), got


def new_places(earned, reward, value, discount, t, B):
    parent, action, got = stable_sort(earned, reward, value, discount, t, B)
    return np.arange(len(parent)), action, got


def best_of_each(earned, reward, value, discount, t, B):
    got = earned[:, None] + discount**t * reward
    worth = got + discount ** (t + 1) * value
    action = worth.argmax(1)
    parent = np.argsort(-worth.max(1), kind="stable")[:B]
    return parent, action[parent], got[parent, action[parent]]


def keeps_the_worst(earned, reward, value, discount, t, B):
    got = earned[:, None] + discount**t * reward
    return ranked(-(got + discount ** (t + 1) * value), got, B)


def ties_turned_around(earned, reward, value, discount, t, B):
    got = earned[:, None] + discount**t * reward
    order = np.argsort((got + discount ** (t + 1) * value).ravel(), kind="stable")[::-1][:B]
    return order // reward.shape[1], order % reward.shape[1], got.ravel()[order]


def not_in_order(earned, reward, value, discount, t, B):
    parent, action, got = stable_sort(earned, reward, value, discount, t, B)
    order = np.lexsort((action, parent))
    return parent[order], action[order], got[order]


def earns_in_place(earned, reward, value, discount, t, B):
    found = stable_sort(earned, reward, value, discount, t, B)
    earned += reward.max(1)
    return found


def padded_with_zeros(earned, reward, value, discount, t, B):
    found = stable_sort(earned, reward, value, discount, t, B)
    return [np.pad(x, (0, B - len(x))) for x in found]


def asks_for_too_many(earned, reward, value, discount, t, B):
    parent, action, got = stable_sort(earned, reward, value, discount, t, B)
    kept = [(parent[n], action[n], got[n]) for n in range(B)]
    return tuple(zip(*kept))


def without_earned(earned, reward, value, discount, t, B):
    return stable_sort(earned, reward, value, discount, t, B)[:2]


# ---- 4.3 -----------------------------------------------------------------------------------------


def recursion(miss, heal, steps):
    wrong, answer = 0.0, []
    for _ in range(steps):
        wrong = (1 - wrong) * miss + wrong * (1 - heal)
        answer.append(wrong)
    return answer


def closed_form(miss, heal, steps):
    if miss == 0:
        return np.zeros(steps)
    return miss / (miss + heal) * (1 - (1 - miss - heal) ** np.arange(1, steps + 1))


def chain_of_two_states(miss, heal, steps):
    P = torch.tensor([[1 - miss, miss], [heal, 1 - heal]], dtype=torch.float64)
    return torch.stack([torch.linalg.matrix_power(P, t)[0, 1] for t in range(1, steps + 1)])


def adds_up(miss, heal, steps):
    return np.clip(miss * np.arange(1, steps + 1), 0, 1)


def all_can_miss(miss, heal, steps):
    wrong = [0.0]
    for _ in range(steps):
        wrong.append(wrong[-1] + miss - heal * wrong[-1])
    return np.array(wrong[1:])


def never_heals(miss, heal, steps):
    return 1 - (1 - miss) ** np.arange(1, steps + 1)


def first_time_wrong(miss, heal, steps):
    return [miss * (1 - miss) ** t for t in range(steps)]


def share_right(miss, heal, steps):
    return 1 - np.array(recursion(miss, heal, steps))


def from_the_present(miss, heal, steps):
    return [0.0, *recursion(miss, heal, steps)][:steps]


def heals_at_once(miss, heal, steps):
    wrong, answer = 0.0, []
    for _ in range(steps):
        wrong += (1 - wrong) * miss
        wrong -= wrong * heal
        answer.append(wrong)
    return answer


def in_the_long_run(miss, heal, steps):
    return np.full(steps, miss / max(miss + heal, 1e-300))


def rates_swapped(miss, heal, steps):
    return recursion(heal, miss, steps)


def all_can_heal(miss, heal, steps):
    wrong, answer = 0.0, []
    for _ in range(steps):
        wrong = wrong + (1 - wrong) * miss - heal
        answer.append(wrong)
    return answer


def divides_by_nothing(miss, heal, steps):
    with np.errstate(all="ignore"):
        both = np.float64(miss + heal)
        return miss / both * (1 - (1 - both) ** np.arange(1, steps + 1))


def with_the_present(miss, heal, steps):
    return [0.0, *recursion(miss, heal, steps)]


def last_one_only(miss, heal, steps):
    return recursion(miss, heal, steps)[-1]


# ---- 4.4 -----------------------------------------------------------------------------------------


def planner(world, start, B, H, read_plan):
    """Beams with a whole history each; `read_plan` gets the beams that each round kept."""
    reward, value, leads = world
    beams, rounds = [(0.0, 0.0, start, ())], []
    for _ in range(H):
        grown = []
        for place, (_, got, state, _) in enumerate(beams):
            for a in range(reward.shape[1]):
                then = got + reward[state, a]
                grown.append((then + value[state, a], then, leads[state, a], (place, a)))
        beams = sorted(grown, key=lambda beam: -beam[0])[:B]
        rounds.append([beam[3] for beam in beams])
    return read_plan(rounds), beams[0][0]


def from_the_end(rounds):
    plan, place = [], 0
    for kept in rounds[::-1]:
        place, action = kept[place]
        plan.insert(0, action)
    return plan


def back_from_the_end(world, start, B, H):
    return planner(world, start, B, H, from_the_end)


def carries_its_plan(world, start, B, H):
    reward, value, leads = world
    beams = [(0.0, 0.0, start, [])]
    for _ in range(H):
        grown = [
            (g + reward[s, a] + value[s, a], g + reward[s, a], leads[s, a], [*plan, a])
            for _, g, s, plan in beams
            for a in range(reward.shape[1])
        ]
        beams = sorted(grown, key=lambda beam: beam[0], reverse=True)[:B]
    return torch.tensor(beams[0][3]), torch.tensor(beams[0][0])


def as_it_was_given(world, start, B, H):
    return planner(world, start, B, H, lambda rounds: [kept[0][1] for kept in rounds])


def tells_what_it_pays(world, start, B, H):
    reward, value, leads = world
    plan, _ = as_it_was_given(world, start, B, H)
    total, state = 0.0, start
    for a in plan:
        total += reward[state, a]
        last, state = value[state, a], leads[state, a]
    return plan, total + last


def one_beam(world, start, B, H):
    return back_from_the_end(world, start, 1, H)


def from_the_first_round(world, start, B, H):
    def trace(rounds):
        plan, place = [], 0
        for kept in rounds:
            place, action = kept[min(place, len(kept) - 1)]
            plan.append(action)
        return plan

    return planner(world, start, B, H, trace)


def parent_too_early(world, start, B, H):
    def trace(rounds):
        plan, place = [], 0
        for kept in rounds[::-1]:
            place = kept[min(place, len(kept) - 1)][0]
            plan.insert(0, kept[min(place, len(kept) - 1)][1])
        return plan

    return planner(world, start, B, H, trace)


def never_turned_around(world, start, B, H):
    plan, worth = back_from_the_end(world, start, B, H)
    return plan[::-1], worth


def plans_without_value(world, start, B, H):
    reward, value, leads = world
    return back_from_the_end((reward, 0 * value, leads), start, B, H)


def plan_alone(world, start, B, H):
    return np.array(back_from_the_end(world, start, B, H)[0])


def first_action_alone(world, start, B, H):
    plan, worth = back_from_the_end(world, start, B, H)
    return plan[0], worth


def adds_value_to_reward(world, start, B, H):
    reward, value, _ = world
    reward += value
    return back_from_the_end(world, start, B, H)


# ---- 4.5 -----------------------------------------------------------------------------------------


def with_masks(weights, mask, C):
    T = len(mask)
    distance = np.arange(T)[:, None] - np.arange(T)[None]
    inside = (distance >= 0) & (distance < C)
    measured = np.where(inside, weights, 0).sum(2)[:, C:].mean(1)
    even = ((inside & mask).sum(1) / mask.sum(1))[C:].mean()
    return measured, even


def query_by_query(weights, mask, C):
    heads, T, _ = weights.shape
    measured, even = [0.0] * heads, 0.0
    for i in range(C, T):
        keys = range(i - C + 1, i + 1)
        for h in range(heads):
            measured[h] += sum(weights[h, i, j] for j in keys) / (T - C)
        even += sum(mask[i, j] for j in keys) / sum(mask[i]) / (T - C)
    return measured, even


def band_in_torch(weights, mask, C):
    T = len(mask)
    inside = torch.ones(T, T).tril().triu(1 - C)
    even = torch.as_tensor(mask) / torch.as_tensor(mask).sum(1, keepdim=True)
    maps = torch.cat([torch.as_tensor(weights), even[None]])
    share = (maps * inside).sum(-1)[:, C:].mean(1)
    return share[:-1], share[-1]


def over(weights, mask, inside, since):
    measured = (weights * inside).sum(2)[:, since:].mean(1)
    return measured, ((inside & mask).sum(1) / mask.sum(1))[since:].mean()


def far(mask):
    return np.arange(len(mask))[:, None] - np.arange(len(mask))


def counts_all_queries(weights, mask, C):
    return over(weights, mask, (far(mask) >= 0) & (far(mask) < C), 0)


def loses_a_query(weights, mask, C):
    return over(weights, mask, (far(mask) >= 0) & (far(mask) < C), C + 1)


def leaves_out_the_query(weights, mask, C):
    return over(weights, mask, (far(mask) > 0) & (far(mask) <= C), C)


def band_too_long(weights, mask, C):
    return over(weights, mask, (far(mask) >= 0) & (far(mask) <= C), C)


def band_too_short(weights, mask, C):
    return over(weights, mask, (far(mask) >= 0) & (far(mask) < C - 1), C)


def rows_for_columns(weights, mask, C):
    return with_masks(weights.transpose(0, 2, 1), mask, C)[0], with_masks(weights, mask, C)[1]


def mean_weight(weights, mask, C):
    measured, even = with_masks(weights, mask, C)
    return measured / C, even


def even_over_the_past(weights, mask, C):
    i = np.arange(C, len(mask))
    return with_masks(weights, mask, C)[0], (C / (i + 1)).mean()


def even_over_everything(weights, mask, C):
    return with_masks(weights, mask, C)[0], C / len(mask)


def all_of_the_band_visible(weights, mask, C):
    return with_masks(weights, mask, C)[0], np.mean([C / row.sum() for row in mask[C:]])


def sums_before_the_mean(weights, mask, C):
    inside = (far(mask) >= 0) & (far(mask) < C) & mask
    return with_masks(weights, mask, C)[0], inside[C:].sum() / mask[C:].sum()


def mean_over_heads(weights, mask, C):
    measured, even = with_masks(weights, mask, C)
    return [measured.mean()] * len(measured), even


def one_number_for_all_heads(weights, mask, C):
    measured, even = with_masks(weights, mask, C)
    return measured.mean(), even


def measured_alone(weights, mask, C):
    return with_masks(weights, mask, C)[0].tolist()


def hides_in_place(weights, mask, C):
    weights[:, :C] = 0
    return with_masks(weights, mask, C)


RIGHT = {
    "4.1": (by_search, by_counting, by_bucketize),
    "4.2": (stable_sort, list_of_candidates, round_in_torch),
    "4.3": (recursion, closed_form, chain_of_two_states),
    "4.4": (back_from_the_end, carries_its_plan),
    "4.5": (with_masks, query_by_query, band_in_torch),
}

WRONG = {
    "4.1": {
        equal_widths: "equally wide",
        edge_belongs_below: "an edge belongs to the bin above",
        left_edge: "told as the left edge",
        right_edge: "told as the right edge",
        mean_of_bin: "the mean of the data in its bin",
        counts_from_one: "count from 1",
        beyond_the_last: "Some tokens do not exist",
        keeps_equal_edges: "a bin without width",
        interpolated: "where the quantile was interpolated",
        rounded_down: "rounded down",
        loses_the_largest: "The largest value is no edge",
        distinct_values: "equally many different values",
        tokens_of_floats: "make it an integer",
        told_in_whole_numbers: "every half is cut off",
        tokens_alone: "Return two things",
        a_token_for_the_column: "one entry for each of `values`",
        sorts_in_place: "changes its argument `column` in place",
        index_beyond: "at the line `return tokens, middles[tokens]`",
    },
    "4.2": {
        without_value: "ranked by what they have earned alone",
        keeps_the_value: "The value stays in what has been earned",
        this_transition_alone: "ranked by this transition alone",
        value_too_near: "discounted one step too little",
        discount_anew: "starts anew in every round",
        reward_too_far: "The reward is discounted one step too much",
        no_discount: "The discount is ignored",
        swapped: "Parent and action are swapped",
        divided_by_beams: "divided by the number of beams",
        new_places: "the new place of each beam",
        best_of_each: "keeps its own best action",
        keeps_the_worst: "The worst candidates are kept",
        ties_turned_around: "the later one is kept",
        not_in_order: "not with the best first",
        earns_in_place: "changes its argument `earned` in place",
        padded_with_zeros: "of the 6 candidates are kept",
        asks_for_too_many: "at the line `kept = [(parent[n], action[n], got[n]) for n in",
        without_earned: "Return three things",
    },
    "4.3": {
        adds_up: "The misses of all steps are added up",
        all_can_miss: "also for those that are wrong already",
        never_heals: "Healing is ignored",
        first_time_wrong: "for the first time",
        share_right: "the shares that are right",
        from_the_present: "begins at the present",
        heals_at_once: "heal in the same step",
        in_the_long_run: "after very many steps",
        rates_swapped: "`miss` and `heal` are swapped",
        all_can_heal: "subtracted from all windows",
        divides_by_nothing: "Do you divide by miss + heal?",
        with_the_present: "The share before the first step is 0",
        last_one_only: "one share a step",
    },
    "4.4": {
        as_it_was_given: "the planner as it was given",
        tells_what_it_pays: "the same patchwork as before",
        one_beam: "A beam of one hides the fault",
        from_the_first_round: "followed from the first round on",
        parent_too_early: "The step to the parent comes too early",
        never_turned_around: "has to be turned around",
        plans_without_value: "ranked without the value",
        plan_alone: "Return two things",
        first_action_alone: "one action a round",
        adds_value_to_reward: "changes its argument `world` in place",
    },
    "4.5": {
        counts_all_queries: "The first C queries are counted too",
        loses_a_query: "One query is left out",
        leaves_out_the_query: "leaves out the query itself",
        band_too_long: "one token too long",
        band_too_short: "one token too short",
        rows_for_columns: "Rows and columns are mixed up",
        mean_weight: "the mean weight of a key in the band",
        even_over_the_past: "spreads attention over hidden keys",
        even_over_everything: "spreads attention over the future",
        all_of_the_band_visible: "counts all C keys of the band as visible",
        sums_before_the_mean: "all pairs of the band over all pairs",
        mean_over_heads: "All heads got the same number",
        one_number_for_all_heads: "one number a head",
        measured_alone: "Return two things",
        hides_in_place: "changes its argument `weights` in place",
    },
}
