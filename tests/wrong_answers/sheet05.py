"""Answers to sheet 5: right ones, and wrong ones with a phrase that their message must contain."""

import math

import numpy as np
import torch

# ---- 5.1 -----------------------------------------------------------------------------------------


def line(p, plan, t):
    """The numbers of all actions at position t, the others as in the plan."""
    return p[tuple(slice(None) if i == t else plan[i] for i in range(p.ndim))]


def by_lines(p, plan):
    total = 0.0
    for t in range(len(plan)):
        row = line(p, plan, t)
        if row[plan[t]] == 0:
            return np.inf
        total -= np.log(row[plan[t]] / row.sum())
    return total


def with_sums(p, plan):
    own = p[tuple(plan)]
    if own == 0:
        return math.inf
    return sum(math.log(p.sum(t)[tuple(np.delete(plan, t))] / own) for t in range(p.ndim))


def energy_in_torch(p, plan):
    log_p = torch.as_tensor(p).double().log()
    terms = []
    for t in range(log_p.ndim):
        row = torch.tensor(line(log_p.numpy(), plan, t))
        terms.append(torch.logsumexp(row, 0) - row[plan[t]])
    energy = torch.stack(terms).sum()
    return torch.where(energy.isnan(), torch.inf, energy)


def quietly(f):
    def answer(p, plan):
        with np.errstate(all="ignore"):
            return f(p, plan)

    answer.__name__ = f.__name__
    return answer


@quietly
def of_the_whole(p, plan):
    return -np.log(p[tuple(plan)] / p.sum())


@quietly
def from_left_to_right(p, plan):
    energy, left = 0.0, p
    for action in plan:
        weights = left.reshape(len(left), -1).sum(1)
        energy -= np.log(weights[action] / weights.sum()) if weights.sum() else -np.inf
        left = left[action]
    return energy


@quietly
def marginals(p, plan):
    axes = range(p.ndim)
    rows = [p.sum(tuple(i for i in axes if i != t)) / p.sum() for t in axes]
    return -sum(np.log(row[a]) for row, a in zip(rows, plan))


@quietly
def over_the_others(p, plan):
    total = 0.0
    for t, action in enumerate(plan):
        total -= np.log(p[tuple(plan)] / max(np.take(p, action, t).sum(), 1e-9))
    return total


def sign_turned(p, plan):
    return -by_lines(p, plan)


def mean_over_positions(p, plan):
    return by_lines(p, plan) / len(plan)


def in_bits(p, plan):
    return by_lines(p, plan) / math.log(2)


def to_base_ten(p, plan):
    return by_lines(p, plan) / math.log(10)


def pseudo_likelihood(p, plan):
    return math.exp(-by_lines(p, plan))


@quietly
def loses_the_last(p, plan):
    rows = [line(p, plan, t) for t in range(len(plan))]
    shares = [row[a] / row.sum() if row.sum() else 0.0 for row, a in zip(rows, plan)]
    return -np.log(np.array(shares[:-1])).sum()


@quietly
def not_normalized(p, plan):
    return -sum(np.log(line(p, plan, t)[a]) for t, a in enumerate(plan))


@quietly
def nothing_by_nothing(p, plan):
    rows = [line(p, plan, t) for t in range(len(plan))]
    return -sum(np.log(np.float64(row[a]) / row.sum()) for row, a in zip(rows, plan))


def one_term_each(p, plan):
    return [by_lines(p, plan)] * (len(plan) + 1)


def logarithm_of_zero(p, plan):
    return -sum(math.log(line(p, plan, t)[a] / line(p, plan, t).sum()) for t, a in enumerate(plan))


def normalizes_in_place(p, plan):
    p *= 0.5
    return by_lines(p, plan)


# ---- 5.2 -----------------------------------------------------------------------------------------


def by_searchsorted(p, plan, numbers):
    new = plan.copy()
    for t, u in enumerate(numbers):
        row = line(p, new, t)
        new[t] = np.searchsorted(np.cumsum(row / row.sum()), u, side="right")
    return new


def by_loop(p, plan, numbers):
    new = [int(action) for action in plan]
    for t in range(len(new)):
        row = line(p, new, t).tolist()
        up_to = 0.0
        for action, weight in enumerate(row):
            up_to += weight / sum(row)
            if numbers[t] < up_to:
                new[t] = action
                break
    return new


def sweep_in_torch(p, plan, numbers):
    new = torch.as_tensor(plan).clone()
    for t in range(len(new)):
        row = torch.as_tensor(line(p, new.tolist(), t)).double()
        new[t] = (torch.cumsum(row / row.sum(), 0) <= numbers[t]).sum()
    return new


def pick(row, u, side="right"):
    return min(int(np.searchsorted(np.cumsum(row / row.sum()), u, side=side)), len(row) - 1)


def all_at_once(p, plan, numbers):
    return np.array([pick(line(p, plan, t), u) for t, u in enumerate(numbers)])


def ignores_later_actions(p, plan, numbers):
    new, left = [], p
    for u in numbers:
        new.append(pick(left.reshape(len(left), -1).sum(1), u))
        left = left[new[-1]]
    return np.array(new)


def from_marginals(p, plan, numbers):
    axes = range(p.ndim)
    rows = [p.sum(tuple(i for i in axes if i != t)) for t in axes]
    return np.array([pick(row, u) for row, u in zip(rows, numbers)])


def from_last_to_first(p, plan, numbers):
    new = plan.copy()
    for t in range(len(plan))[::-1]:
        new[t] = pick(line(p, new, t), numbers[t])
    return new


def raw_rows(p, plan, numbers):
    new = plan.copy()
    for t, u in enumerate(numbers):
        above = np.cumsum(line(p, new, t)) > u
        new[t] = above.argmax() if above.any() else len(above) - 1
    return new


def raw_rows_beyond(p, plan, numbers):
    p, new = p / p.sum(), plan.copy()
    for t, u in enumerate(numbers):
        row = line(p, np.minimum(new, len(p) - 1), t)
        new[t] = np.searchsorted(np.cumsum(row), u, side="right")
    return new


def likeliest(p, plan, numbers):
    new = plan.copy()
    for t in range(len(plan)):
        new[t] = line(p, new, t).argmax()
    return new


def draws_what_never_occurs(p, plan, numbers):
    new = plan.copy()
    for t, u in enumerate(numbers):
        new[t] = pick(line(p, new, t), u, "left")
    return new


def from_the_right_end(p, plan, numbers):
    new = plan.copy()
    for t, u in enumerate(numbers):
        row = line(p, new, t)
        new[t] = len(row) - 1 - pick(row[::-1], u)
    return new


def first_position_alone(p, plan, numbers):
    new = plan.copy()
    new[0] = pick(line(p, new, 0), numbers[0])
    return new


def last_position_kept(p, plan, numbers):
    new = plan.copy()
    for t in range(len(plan) - 1):
        new[t] = pick(line(p, new, t), numbers[t])
    return new


def one_number_for_all(p, plan, numbers):
    return by_searchsorted(p, plan, np.full(len(numbers), numbers[0]))


def draws_in_place(p, plan, numbers):
    for t, u in enumerate(numbers):
        plan[t] = pick(line(p, plan, t), u)
    return plan


def plan_of_floats(p, plan, numbers):
    return by_searchsorted(p, plan, numbers).astype(float)


def last_action_alone(p, plan, numbers):
    return by_searchsorted(p, plan, numbers)[-1]


# ---- 5.3 -----------------------------------------------------------------------------------------


def ranked(known, u, order):
    keys = np.where(known, order, 2.0)
    rank = keys.argsort(1).argsort(1)
    return known & (rank <= np.floor(u * known.sum(1))[:, None])


def plan_by_plan(known, u, order):
    masks = np.zeros(known.shape, bool)
    for b in range(len(known)):
        real = [i for i in range(known.shape[1]) if known[b, i]]
        count = 1 + int(u[b] * len(real))
        for i in sorted(real, key=lambda i: order[b, i])[:count]:
            masks[b, i] = True
    return masks.tolist()


def masks_in_torch(known, u, order):
    known, u, order = (torch.as_tensor(x) for x in (known, u, order))
    rank = order.masked_fill(~known, 2.0).argsort(1).argsort(1)
    return known & (rank < 1 + (u * known.sum(1)).floor()[:, None])


def smallest(order, count):
    return order.argsort(1).argsort(1) < np.asarray(count)[:, None]


def keys_of(known, order):
    return np.where(known, order, np.inf)


def none_to_all_but_one(known, u, order):
    return smallest(keys_of(known, order), (u * known.sum(1)).astype(int))


def never_all(known, u, order):
    n = known.sum(1)
    return smallest(keys_of(known, order), 1 + (u * (n - 1)).astype(int)) & known


def counts_to_H(known, u, order):
    return smallest(keys_of(known, order), 1 + (u * known.shape[1]).astype(int)) & known


def masks_padding(known, u, order):
    return smallest(order, 1 + (u * known.shape[1]).astype(int))


def takes_padding_away(known, u, order):
    return smallest(order, 1 + (u * known.sum(1)).astype(int)) & known


def places_on_padding(known, u, order):
    return smallest(order, 1 + (u * known.sum(1)).astype(int))


def coins(known, u, order):
    return known & (order < u[:, None])


def exactly_one(known, u, order):
    return smallest(keys_of(known, order), np.ones(len(u))) & known


def all_known(known, u, order):
    return known.copy()


def first_ones(known, u, order):
    return (np.arange(known.shape[1]) < (1 + (u * known.sum(1)).astype(int))[:, None]) & known


def largest(known, u, order):
    return ranked(known, u, 1 - order)


def upside_down(known, u, order):
    return known & ~ranked(known, u, order)


def one_count_for_all(known, u, order):
    return ranked(known, np.full(len(u), u[0]), order)


def rounded(known, u, order):
    return smallest(keys_of(known, order), np.maximum(np.round(u * known.sum(1)), 1)) & known


def masks_of_numbers(known, u, order):
    return ranked(known, u, order).astype(int)


def counts_alone(known, u, order):
    return ranked(known, u, order).sum(1)


def sorts_in_place(known, u, order):
    order[~known] = 2.0
    return ranked(known, u, order)


# ---- 5.4 -----------------------------------------------------------------------------------------


def hidden_alone(model, plan):
    eye = np.eye(len(plan), dtype=bool)
    return np.array([-np.log(model(plan, eye[t])[t, plan[t]]) for t in range(len(plan))])


def shown_again(model, plan):
    hidden, terms = [False] * len(plan), []
    for t, action in enumerate(plan):
        hidden[t] = True
        terms.append(-math.log(model(plan, hidden)[t][action]))
        hidden[t] = False
    return terms


def terms_in_torch(model, plan):
    masks = torch.eye(len(plan), dtype=torch.bool)
    p = torch.stack([torch.as_tensor(model(plan, mask))[t] for t, mask in enumerate(masks)])
    return -p.log()[torch.arange(len(plan)), torch.as_tensor(plan)]


def with_hidden(choose):
    def terms(model, plan):
        H = len(plan)
        masks = [[choose(i, t) for i in range(H)] for t in range(H)]
        return np.array([-np.log(model(plan, m)[t, plan[t]]) for t, m in enumerate(masks)])

    return terms


as_it_was_given = with_hidden(lambda i, t: i <= t)
nothing_hidden = with_hidden(lambda i, t: False)
shows_only_itself = with_hidden(lambda i, t: i != t)
all_hidden = with_hidden(lambda i, t: True)
later_hidden = with_hidden(lambda i, t: i >= t)
shown_one_late = with_hidden(lambda i, t: i in (t - 1, t))


def log_p(model, plan):
    return -hidden_alone(model, plan)


def summed(model, plan):
    return hidden_alone(model, plan).sum()


def rows_of_all_actions(model, plan):
    eye = np.eye(len(plan), dtype=bool)
    return np.array([-np.log(model(plan, eye[t])[t]) for t in range(len(plan))])


def masks_the_plan(model, plan):
    terms = hidden_alone(model, plan)
    plan[:] = -1
    return terms


def nearly(model, plan):
    return hidden_alone(model, plan) + 0.1


for name in ("as_it_was_given", "nothing_hidden", "shows_only_itself", "all_hidden"):
    globals()[name].__name__ = name
later_hidden.__name__, shown_one_late.__name__ = "later_hidden", "shown_one_late"


# ---- 5.5 -----------------------------------------------------------------------------------------


STEPS = [(1, 0), (0, 1), (-1, 0), (0, -1)]


def walk(cells, pose, plan, right=1, down=1, walls=True):
    """Poses after each action."""
    x, y, h = pose
    for action in plan:
        if action == 2:
            a, b = x + STEPS[h][0], y + down * STEPS[h][1]
            inside = 0 <= a < cells.shape[0] and 0 <= b < cells.shape[1]
            if inside and not (walls and cells[a, b] == 1):
                x, y = a, b
        else:
            h = (h + (right if action == 1 else -right)) % 4
        yield x, y, h


def priced(burns):
    """Energies from a rule that says whether a plan pays."""

    def answer(cells, pose, plans, penalty):
        return np.array([penalty if burns(cells, pose, plan) else 0.0 for plan in plans])

    answer.__name__ = burns.__name__
    return answer


@priced
def on_the_way(cells, pose, plan):
    return any(cells[x, y] == 2 for x, y, _ in walk(cells, pose, plan))


@priced
def stops_at_lava(cells, pose, plan):
    x, y, h = pose
    for action in plan:
        h = (h + (-1, 1, 0)[action]) % 4
        front = x + STEPS[h][0], y + STEPS[h][1]
        if action == 2 and cells[front] == 2:
            return True
        if action == 2 and cells[front] == 0:
            x, y = front
    return False


def all_plans_at_once(cells, pose, plans, penalty):
    place = torch.tensor(pose[:2]).repeat(len(plans), 1)
    heading = torch.full((len(plans),), pose[2])
    burned, grid = torch.zeros(len(plans), dtype=torch.bool), torch.as_tensor(cells)
    for action in torch.as_tensor(plans).T:
        heading = (heading + (action == 1).long() - (action == 0).long()) % 4
        front = place + torch.tensor(STEPS)[heading]
        goes = (action == 2) & (grid[tuple(front.T)] != 1)
        place = torch.where(goes[:, None], front, place)
        burned |= grid[tuple(place.T)] == 2
    return torch.where(burned, penalty, 0.0)


@priced
def through_walls(cells, pose, plan):
    return any(cells[x, y] == 2 for x, y, _ in walk(cells, pose, plan, walls=False))


@priced
def where_it_ends(cells, pose, plan):
    *_, (x, y, _) = walk(cells, pose, plan)
    return cells[x, y] == 2


@priced
def facing_it(cells, pose, plan):
    seen = []
    for x, y, h in walk(cells, pose, plan):
        seen += [cells[x, y], cells[x + STEPS[h][0], y + STEPS[h][1]]]
    return 2 in seen


@priced
def turns_swapped(cells, pose, plan):
    return any(cells[x, y] == 2 for x, y, _ in walk(cells, pose, plan, right=-1))


@priced
def y_upward(cells, pose, plan):
    return any(cells[x, y] == 2 for x, y, _ in walk(cells, pose, plan, down=-1))


@priced
def x_and_y_swapped(cells, pose, plan):
    square = np.ones([max(cells.shape)] * 2, int)
    square[: cells.shape[0], : cells.shape[1]] = cells
    return any(square[y, x] == 2 for x, y, _ in walk(square.T, pose, plan))


@priced
def first_action_alone(cells, pose, plan):
    x, y, _ = next(walk(cells, pose, plan))
    return cells[x, y] == 2


@priced
def without_the_last(cells, pose, plan):
    return any(cells[x, y] == 2 for x, y, _ in walk(cells, pose, plan[:-1]))


def for_every_step(cells, pose, plans, penalty):
    counts = [sum(cells[x, y] == 2 for x, y, _ in walk(cells, pose, plan)) for plan in plans]
    return np.array([count * penalty if count else 0.0 for count in counts])


def goes_on_from_there(cells, pose, plans, penalty):
    energies = []
    for plan in plans:
        poses = list(walk(cells, pose, plan))
        energies.append(penalty if any(cells[x, y] == 2 for x, y, _ in poses) else 0.0)
        pose = poses[-1]
    return energies


def punishes_the_safe(cells, pose, plans, penalty):
    return np.where(on_the_way(cells, pose, plans, penalty) > 0, 0.0, penalty)


def costs_one(cells, pose, plans, penalty):
    return on_the_way(cells, pose, plans, 1.0)


def infinity_times_zero(cells, pose, plans, penalty):
    with np.errstate(all="ignore"):
        return penalty * on_the_way(cells, pose, plans, 1.0)


def true_or_false(cells, pose, plans, penalty):
    return on_the_way(cells, pose, plans, 1.0) > 0


def the_best_plan(cells, pose, plans, penalty):
    return int(np.argmin(on_the_way(cells, pose, plans, penalty)))


def leaves_footprints(cells, pose, plans, penalty):
    energies = on_the_way(cells, pose, plans, penalty)
    cells[pose[0], pose[1]] = 9
    return energies


def assigns_to_the_pose(cells, pose, plans, penalty):
    pose[2] = 0
    return on_the_way(cells, pose, plans, penalty)


RIGHT = {
    "5.1": (by_lines, with_sums, energy_in_torch),
    "5.2": (by_searchsorted, by_loop, sweep_in_torch),
    "5.3": (ranked, plan_by_plan, masks_in_torch),
    "5.4": (hidden_alone, shown_again, terms_in_torch),
    "5.5": (on_the_way, stops_at_lava, all_plans_at_once),
}

WRONG = {
    "5.1": {
        of_the_whole: "-log p of the whole plan",
        from_left_to_right: "-log p of the whole plan",
        marginals: "those are marginals",
        over_the_others: "normalized over the other actions",
        sign_turned: "The sign is turned around",
        mean_over_positions: "yours is their mean",
        in_bits: "The logarithm has base 2",
        to_base_ten: "The logarithm has base 10",
        pseudo_likelihood: "the pseudo-likelihood itself",
        loses_the_last: "The last position is left out",
        not_normalized: "stands where conditionals should",
        nothing_by_nothing: "The energy is NaN",
        one_term_each: "one number",
        logarithm_of_zero: "It stopped with `ValueError",
        normalizes_in_place: "changes its argument `p` in place",
    },
    "5.2": {
        all_at_once: "drawn given the old plan",
        ignores_later_actions: "Later actions are ignored",
        from_marginals: "from its marginal",
        from_last_to_first: "from the last position to the first",
        raw_rows: "The conditional does not sum to 1",
        raw_rows_beyond: "There are actions 0 to",
        likeliest: "The likeliest action is taken",
        draws_what_never_occurs: "an action that never occurs",
        from_the_right_end: "from the last to the first on the unit interval",
        first_position_alone: "Only the first position",
        last_position_kept: "The last position is not drawn again",
        one_number_for_all: "All positions use the same number",
        draws_in_place: "changes its argument `plan` in place",
        plan_of_floats: "A plan consists of integers",
        last_action_alone: "A plan has shape",
    },
    "5.3": {
        none_to_all_but_one: "from 0 to n - 1",
        never_all: "never all masks",
        counts_to_H: "drawn from 1 to H",
        masks_padding: "drawn among the known actions only",
        takes_padding_away: "then the padding is taken away",
        places_on_padding: "some of them fall on padding",
        coins: "like a coin",
        exactly_one: "Exactly one action is masked",
        all_known: "All known actions are masked",
        first_ones: "The first positions are masked",
        largest: "the largest numbers",
        upside_down: "upside down",
        one_count_for_all: "use the first one's number",
        rounded: "rounded to the nearest",
        masks_of_numbers: "Make them bool",
        counts_alone: "one entry for each position",
        sorts_in_place: "changes its argument `order` in place",
    },
    "5.4": {
        as_it_was_given: "as it was given",
        nothing_hidden: "visible while it is judged",
        shows_only_itself: "visible while it is judged",
        all_hidden: "All actions are hidden",
        later_hidden: "the later actions are hidden",
        shown_one_late: "The action before is hidden as well",
        log_p: "The sign is turned around",
        summed: "one term for each action",
        rows_of_all_actions: "one term for each action",
        masks_the_plan: "changes its argument `plan` in place",
        nearly: "Some numbers are wrong",
    },
    "5.5": {
        through_walls: "walks through walls",
        where_it_ends: "Only the cell where a plan ends",
        facing_it: "Facing lava is punished",
        turns_swapped: "Left and right are swapped",
        y_upward: "y grows in the wrong direction",
        x_and_y_swapped: "x and y are swapped",
        first_action_alone: "Only the first action is checked",
        without_the_last: "The last action of the plan is not executed",
        for_every_step: "for every step in lava",
        goes_on_from_there: "where the one before ended",
        punishes_the_safe: "The energies are upside down",
        costs_one: "The penalty is ignored",
        infinity_times_zero: "An energy is NaN",
        true_or_false: "These are truth values",
        the_best_plan: "one energy a plan",
        leaves_footprints: "changes its argument `cells` in place",
        assigns_to_the_pose: "at the line `pose[2] = 0`",
    },
}
