"""Answers to sheet 2: right ones, and wrong ones with a phrase that their message must contain."""

import math

import numpy as np
import torch
import torch.nn.functional as F

# ---- 2.1 -----------------------------------------------------------------------------------------


def with_tril(T, hidden):
    mask = torch.ones(T, T, dtype=torch.bool).tril()
    mask[:, hidden] = False
    empty = ~mask.any(1)
    mask[empty, empty.nonzero().flatten()] = True
    return mask


def cell_by_cell(T, hidden):
    mask = [[j <= i and j not in hidden for j in range(T)] for i in range(T)]
    for i, row in enumerate(mask):
        row[i] = row[i] or not any(row)
    return mask


def with_numpy(T, hidden):
    i, j = np.arange(T)[:, None], np.arange(T)
    mask = (i >= j) & ~np.isin(j, hidden)
    return np.where(mask.any(1, keepdims=True), mask, i == j)


def looks_ahead(T, hidden):
    return with_tril(T, hidden).T


def strictly_ahead(T, hidden):
    i, j = np.arange(T)[:, None], np.arange(T)
    mask = (i <= j) & ~np.isin(j, hidden)
    return np.where(mask.any(1, keepdims=True), mask, i == j)


def mask_without_itself(T, hidden):
    mask = torch.ones(T, T, dtype=torch.bool).tril(-1)
    mask[:, hidden] = False
    return mask


def mask_off_by_one(T, hidden):
    mask = torch.ones(T, T, dtype=torch.bool).tril(1)
    mask[:, hidden] = False
    return mask | torch.diag(~mask.any(1))


def mask_not_causal(T, hidden):
    mask = torch.ones(T, T, dtype=torch.bool)
    mask[:, hidden] = False
    return mask | torch.diag(~mask.any(1))


def nothing_hidden(T, hidden):
    return np.tril(np.ones((T, T), bool))


def rows_hidden(T, hidden):
    mask = np.tril(np.ones((T, T), bool))
    mask[hidden] = False
    return mask | np.diag(~mask.any(1))


def rows_and_columns_hidden(T, hidden):
    mask = np.tril(np.ones((T, T), bool))
    mask[hidden] = False
    mask[:, hidden] = False
    return mask | np.diag(~mask.any(1))


def hidden_sees_itself(T, hidden):
    mask = np.tril(np.ones((T, T), bool))
    mask[:, hidden] = False
    return mask | np.eye(T, dtype=bool)


def rows_left_empty(T, hidden):
    mask = np.tril(np.ones((T, T), bool))
    mask[:, hidden] = False
    return mask


def empty_sees_all(T, hidden):
    mask = rows_left_empty(T, hidden)
    mask[~mask.any(1)] = True
    return mask


def empty_sees_first(T, hidden):
    mask = rows_left_empty(T, hidden)
    mask[~mask.any(1), 0] = True
    return mask


def true_is_hidden(T, hidden):
    return ~with_tril(T, hidden)


def added_to_scores(T, hidden):
    return torch.zeros(T, T).masked_fill(~with_tril(T, hidden), -math.inf)


def ones_and_zeros(T, hidden):
    return with_tril(T, hidden).float()


def one_row_short(T, hidden):
    return with_tril(T, hidden)[1:]


def empties_the_list(T, hidden):
    mask = torch.ones(T, T, dtype=torch.bool).tril()
    while hidden:
        mask[:, hidden.pop()] = False
    return mask | torch.diag(~mask.any(1))


# ---- 2.2 -----------------------------------------------------------------------------------------


def seen_by(q, valid):
    return torch.ones(len(q), len(q), dtype=torch.bool).tril() & valid


def softmax_and_nan(q, k, v, valid):
    scores = (q @ k.T / math.sqrt(q.shape[1])).masked_fill(~seen_by(q, valid), -math.inf)
    return scores.softmax(1).nan_to_num(0) @ v


def query_by_query(q, k, v, valid):
    outputs = torch.zeros_like(v)
    for i in range(len(q)):
        keys = [j for j in range(i + 1) if valid[j]]
        if keys:
            scores = torch.stack([q[i] @ k[j] for j in keys]) / len(q[i]) ** 0.5
            outputs[i] = scores.softmax(0) @ v[keys]
    return outputs


def renormalized(q, k, v, valid):
    scores = q.double() @ k.double().T / q.shape[1] ** 0.5
    weights = scores.softmax(1) * seen_by(q, valid)
    return weights / weights.sum(1, keepdim=True).clamp(min=1e-300) @ v.double()


def on_the_gpu(q, k, v, valid):
    device = "cuda" if torch.cuda.is_available() else "cpu"
    q, k, v, valid = (x.to(device) for x in (q, k, v, valid))
    i = torch.arange(len(q), device=device)
    mask = (i <= i[:, None]) & valid
    out = F.scaled_dot_product_attention(q[None], k[None], v[None], mask[None])[0]
    return out.masked_fill(~mask.any(1, keepdim=True), 0)


def attention_with(change):
    """An answer that differs from the right one in what `change` does to scores and mask."""

    def answer(q, k, v, valid):
        weights = change(q @ k.T / q.shape[1] ** 0.5, seen_by(q, valid), valid, q)
        return weights.nan_to_num(0) @ v

    answer.__name__ = change.__name__
    return answer


def soft(scores, mask):
    return scores.masked_fill(~mask, -math.inf).softmax(1)


@attention_with
def unscaled(scores, mask, valid, q):
    return soft(scores * q.shape[1] ** 0.5, mask)


@attention_with
def scaled_by_width(scores, mask, valid, q):
    return soft(scores / q.shape[1] ** 0.5, mask)


@attention_with
def scaled_by_tokens(scores, mask, valid, q):
    return soft(scores * q.shape[1] ** 0.5 / len(q) ** 0.5, mask)


@attention_with
def masked_after_softmax(scores, mask, valid, q):
    return scores.softmax(1) * mask


@attention_with
def softmax_over_queries(scores, mask, valid, q):
    return scores.masked_fill(~mask, -math.inf).softmax(0)


@attention_with
def hidden_scores_zero(scores, mask, valid, q):
    return scores.masked_fill(~mask, 0).softmax(1)


@attention_with
def no_softmax(scores, mask, valid, q):
    return scores * mask


@attention_with
def attention_off_by_one(scores, mask, valid, q):
    return soft(scores, torch.ones_like(mask).tril(1) & valid)


@attention_with
def attention_without_itself(scores, mask, valid, q):
    return soft(scores, torch.ones_like(mask).tril(-1) & valid)


def without_itself_and_nan(q, k, v, valid):
    mask = torch.ones(len(q), len(q), dtype=torch.bool).tril(-1) & valid
    return soft(q @ k.T / q.shape[1] ** 0.5, mask) @ v


@attention_with
def attention_turned_around(scores, mask, valid, q):
    return soft(scores, torch.ones_like(mask).triu() & valid)


@attention_with
def attention_not_causal(scores, mask, valid, q):
    return soft(scores, valid.expand_as(mask))


@attention_with
def padding_read(scores, mask, valid, q):
    return soft(scores, torch.ones_like(mask).tril())


@attention_with
def padding_may_not_ask(scores, mask, valid, q):
    return soft(scores, torch.ones_like(mask).tril() & valid[:, None])


@attention_with
def padding_neither_asks_nor_tells(scores, mask, valid, q):
    return soft(scores, mask & valid[:, None])


@attention_with
def valid_upside_down(scores, mask, valid, q):
    return soft(scores, torch.ones_like(mask).tril() & ~valid)


@attention_with
def large_negative_number(scores, mask, valid, q):
    return scores.masked_fill(~mask, -1e9).softmax(1)


@attention_with
def large_number_subtracted(scores, mask, valid, q):
    return (scores.double() - 1e9 * ~mask).softmax(1).float()


def itself_if_nothing_else(q, k, v, valid):
    mask = seen_by(q, valid)
    return soft(q @ k.T / q.shape[1] ** 0.5, mask | torch.diag(~mask.any(1))) @ v


def not_a_number(q, k, v, valid):
    return soft(q @ k.T / q.shape[1] ** 0.5, seen_by(q, valid)) @ v


def exp_overflows(q, k, v, valid):
    shares = (q @ k.T / q.shape[1] ** 0.5).exp() * seen_by(q, valid)
    return shares / shares.sum(1, keepdim=True).clamp(min=1e-30) @ v


def outputs_and_weights(q, k, v, valid):
    weights = soft(q @ k.T / q.shape[1] ** 0.5, seen_by(q, valid)).nan_to_num(0)
    return weights @ v, weights


def weights_alone(q, k, v, valid):
    return outputs_and_weights(q, k, v, valid)[1]


def blanks_values(q, k, v, valid):
    v[~valid] = 0
    return softmax_and_nan(q, k, v, valid)


# ---- 2.3 -----------------------------------------------------------------------------------------


def append_and_attend(q, k, v, keys, values):
    keys, values = torch.cat([keys, k[None]]), torch.cat([values, v[None]])
    return (keys @ q / math.sqrt(len(q))).softmax(0) @ values, keys, values


def fused(q, k, v, keys, values):
    keys, values = torch.vstack([keys, k]), torch.vstack([values, v])
    out = F.scaled_dot_product_attention(q[None, None], keys[None], values[None])
    return [out[0, 0], keys, values]


def step_in_numpy(q, k, v, keys, values):
    keys, values = np.vstack([keys, k]), np.vstack([values, v])
    shares = np.exp(keys @ q.numpy() / len(q) ** 0.5)
    return shares / shares.sum() @ values, keys, values


def nothing_kept(q, k, v, keys, values):
    return append_and_attend(q, k, v, keys, values)[0], keys, values


def attends_before_appending(q, k, v, keys, values):
    _, grown_keys, grown_values = append_and_attend(q, k, v, keys, values)
    return (keys @ q / len(q) ** 0.5).softmax(0) @ values, grown_keys, grown_values


def keeps_the_output(q, k, v, keys, values):
    out, keys, _ = append_and_attend(q, k, v, keys, values)
    return out, keys, torch.cat([values, out[None]])


def causal_mask_of_one_row(q, k, v, keys, values):
    keys, values = torch.vstack([keys, k]), torch.vstack([values, v])
    out = F.scaled_dot_product_attention(q[None, None], keys[None], values[None], is_causal=True)
    return out[0, 0], keys, values


def reads_only_itself(q, k, v, keys, values):
    return v.clone(), torch.vstack([keys, k]), torch.vstack([values, v])


def new_row_in_front(q, k, v, keys, values):
    out = append_and_attend(q, k, v, keys, values)[0]
    return out, torch.vstack([k, keys]), torch.vstack([v, values])


def drops_the_oldest(q, k, v, keys, values):
    out, grown_keys, grown_values = append_and_attend(q, k, v, keys, values)
    drop = int(len(keys) > 0)
    return out, grown_keys[drop:], grown_values[drop:]


def step_unscaled(q, k, v, keys, values):
    _, keys, values = append_and_attend(q, k, v, keys, values)
    return (keys @ q).softmax(0) @ values, keys, values


def step_scaled_by_width(q, k, v, keys, values):
    _, keys, values = append_and_attend(q, k, v, keys, values)
    return (keys @ q / len(q)).softmax(0) @ values, keys, values


def step_without_softmax(q, k, v, keys, values):
    _, keys, values = append_and_attend(q, k, v, keys, values)
    return keys @ q / len(q) ** 0.5 @ values, keys, values


def output_alone(q, k, v, keys, values):
    return append_and_attend(q, k, v, keys, values)[0]


def output_of_two_dimensions(q, k, v, keys, values):
    out, keys, values = append_and_attend(q, k, v, keys, values)
    return out[None], keys, values


def keys_for_values(q, k, v, keys, values):
    out, keys, values = append_and_attend(q, k, v, keys, values)
    return out, values, keys


def overwrites_the_last(q, k, v, keys, values):
    result = append_and_attend(q, k, v, keys, values)
    keys[-1:] = k
    return result


# ---- 2.4 -----------------------------------------------------------------------------------------


def by_matrix_power(mask, layers, sides):
    one = (mask | np.eye(len(mask), dtype=bool)).astype(float)
    known = np.linalg.matrix_power(one, layers) > 0
    blind = sum(not known[i, i + 1] for i in range(len(mask) - 1)) + 1
    return math.log(sides) * blind / len(mask)


def by_spreading(mask, layers, sides):
    losses = []
    for i in range(len(mask)):
        known = {i}
        for _ in range(layers):
            known |= {int(j) for token in known for j in np.flatnonzero(mask[token])}
        losses.append(0.0 if i + 1 in known else math.log(sides))
    return sum(losses) / len(losses)


def loss_in_torch(mask, layers, sides):
    one = torch.as_tensor(mask).float() + torch.eye(len(mask))
    known = torch.eye(len(mask))
    for _ in range(layers):
        known = (known @ one).clamp(max=1)
    right = known.diagonal(1).sum()
    return (len(mask) - right) / len(mask) * torch.log(torch.tensor(float(sides)))


def reached(mask, layers, itself=True):
    one = (mask | (np.eye(len(mask), dtype=bool) & itself)).astype(int)
    known = np.linalg.matrix_power(one, layers)
    return known > 0


def blind_places(known):
    return [not known[i, i + 1] for i in range(len(known) - 1)] + [True]


def one_layer_only(mask, layers, sides):
    return np.mean(blind_places(reached(mask, 1))) * math.log(sides)


def mask_alone(mask, layers, sides):
    return np.mean(blind_places(mask)) * math.log(sides)


def one_layer_more(mask, layers, sides):
    return np.mean(blind_places(reached(mask, layers + 1))) * math.log(sides)


def one_layer_less(mask, layers, sides):
    return np.mean(blind_places(reached(mask, layers - 1))) * math.log(sides)


def forgets_itself(mask, layers, sides):
    return np.mean(blind_places(reached(mask, layers, False))) * math.log(sides)


def by_columns(mask, layers, sides):
    return np.mean(blind_places(reached(mask.T, layers))) * math.log(sides)


def last_place_known(mask, layers, sides):
    return sum(blind_places(reached(mask, layers))[:-1]) / len(mask) * math.log(sides)


def last_place_unasked(mask, layers, sides):
    return np.mean(blind_places(reached(mask, layers))[:-1]) * math.log(sides)


def sum_of_losses(mask, layers, sides):
    return sum(blind_places(reached(mask, layers))) * math.log(sides)


def in_bits(mask, layers, sides):
    return np.mean(blind_places(reached(mask, layers))) * math.log2(sides)


def knowing_places_pay(mask, layers, sides):
    return (1 - np.mean(blind_places(reached(mask, layers)))) * math.log(sides)


def share_of_places(mask, layers, sides):
    return np.mean(blind_places(reached(mask, layers)))


def always_honest(mask, layers, sides):
    return math.log(sides)


def own_throw(mask, layers, sides):
    return 0.0


def throw_before(mask, layers, sides):
    known = reached(mask, layers)
    blind = [True] + [not known[i, i - 1] for i in range(1, len(mask))]
    return np.mean(blind) * math.log(sides)


def loss_of_each_place(mask, layers, sides):
    return np.array(blind_places(reached(mask, layers))) * math.log(sides)


def infinite_loss(mask, layers, sides):
    return math.inf


def adds_the_diagonal(mask, layers, sides):
    np.fill_diagonal(mask, True)
    return by_matrix_power(mask, layers, sides)


# ---- 2.5 -----------------------------------------------------------------------------------------


def both_cut(throws):
    return throws[:, :-1], throws[:, 1:]


def last_unasked(throws):
    answers = torch.full_like(throws, -1)
    answers[:, :-1] = throws[:, 1:]
    return throws, answers


def rolled_and_marked(throws):
    answers = throws.roll(-1, 1)
    answers[:, -1] = -1
    return throws, answers


def lists_of_pairs(throws):
    rows = throws.tolist()
    return [row[:-1] for row in rows], [row[1:] for row in rows]


def as_given(throws):
    return throws, throws.roll(-1, 1)


def rolled_through(throws):
    return throws, throws.roll(-1)


def rolled_rows(throws):
    return throws, throws.roll(-1, 0)


def last_repeated(throws):
    return throws, torch.cat([throws[:, 1:], throws[:, -1:]], 1)


def last_zero(throws):
    return throws, F.pad(throws[:, 1:], (0, 1))


def not_shifted(throws):
    return throws, throws.clone()


def not_shifted_cut(throws):
    return throws[:, :-1], throws[:, :-1]


def wrong_way(throws):
    return throws[:, 1:], throws[:, :-1]


def rolled_wrong_way(throws):
    return throws, throws.roll(1, 1)


def two_ahead(throws):
    return throws[:, :-2], throws[:, 2:]


def first_lost(throws):
    return throws[:, 1:-1], throws[:, 2:]


def last_lost(throws):
    return throws[:, :-2], throws[:, 1:-1]


def marks_in_place(throws):
    answers = throws.roll(-1, 1)
    throws[:, -1] = -1
    return throws, answers


def answers_only_cut(throws):
    return throws, throws[:, 1:]


def pairs_of_floats(throws):
    return throws[:, :-1].float(), throws[:, 1:].float()


def answers_alone(throws):
    return throws[:, 1:]


RIGHT = {
    "2.1": (with_tril, cell_by_cell, with_numpy),
    "2.2": (softmax_and_nan, query_by_query, renormalized, on_the_gpu),
    "2.3": (append_and_attend, fused, step_in_numpy),
    "2.4": (by_matrix_power, by_spreading, loss_in_torch),
    "2.5": (both_cut, last_unasked, rolled_and_marked, lists_of_pairs),
}

WRONG = {
    "2.1": {
        looks_ahead: "turned around",
        strictly_ahead: "turned around",
        mask_without_itself: "does not see itself",
        mask_off_by_one: "The mask peeks",
        mask_not_causal: "nothing is causal",
        nothing_hidden: "`hidden` is ignored",
        rows_hidden: "You hid rows, not columns",
        rows_and_columns_hidden: "You hid rows and columns",
        hidden_sees_itself: "A hidden token still sees itself",
        rows_left_empty: "Some row is empty",
        empty_sees_all: "sees everything now",
        empty_sees_first: "sees column 0 now",
        true_is_hidden: "upside down",
        added_to_scores: "what one adds to the scores",
        ones_and_zeros: "Make it bool",
        one_row_short: "a row for each query",
        empties_the_list: "changes its argument `hidden` in place",
    },
    "2.2": {
        unscaled: "not divided by the square root of d, the width",
        scaled_by_width: "You divide by d",
        scaled_by_tokens: "the number of tokens",
        masked_after_softmax: "You hide after the softmax",
        softmax_over_queries: "runs over the queries",
        hidden_scores_zero: "exp(0) is 1",
        no_softmax: "The softmax is missing",
        attention_off_by_one: "The mask peeks",
        attention_without_itself: "A token does not see itself",
        without_itself_and_nan: "hide the diagonal",
        attention_turned_around: "turned around",
        attention_not_causal: "Nothing is causal",
        padding_read: "`valid` is ignored",
        padding_may_not_ask: "`valid` hides queries here",
        padding_neither_asks_nor_tells: "hides queries as well as keys",
        valid_upside_down: "`valid` is upside down",
        large_negative_number: "spreads over all keys",
        large_number_subtracted: "spreads over all keys",
        itself_if_nothing_else: "reads itself here",
        not_a_number: "the softmax of nothing is 0/0",
        exp_overflows: "exp overflows",
        outputs_and_weights: "Return the outputs alone",
        weights_alone: "a row of the width of `v`",
        blanks_values: "changes its argument `v` in place",
    },
    "2.3": {
        nothing_kept: "The new token is not kept",
        attends_before_appending: "Append first",
        keeps_the_output: "kept in the place of the value",
        causal_mask_of_one_row: "reads the first one only",
        reads_only_itself: "reads only itself",
        new_row_in_front: "stands in front",
        drops_the_oldest: "The oldest token was dropped",
        step_unscaled: "not divided by the square root",
        step_scaled_by_width: "You divide the scores by d",
        step_without_softmax: "The softmax is missing",
        output_alone: "Return three things",
        output_of_two_dimensions: "The output is one row",
        keys_for_values: "Are keys and values swapped?",
        overwrites_the_last: "changes its argument `keys` in place",
    },
    "2.4": {
        one_layer_only: "number of layers is ignored",
        mask_alone: "number of layers is ignored",
        one_layer_more: "one layer too many",
        one_layer_less: "one layer too few",
        forgets_itself: "forgets what it knew",
        by_columns: "by columns",
        last_place_known: "The last place is counted as known",
        last_place_unasked: "The last place is left out",
        sum_of_losses: "the sum over the places",
        in_bits: "These are bits",
        knowing_places_pay: "the places that know",
        share_of_places: "share of places that must guess",
        always_honest: "loss of an honest model",
        own_throw: "its own throw",
        throw_before: "by columns",
        loss_of_each_place: "The loss is one number",
        infinite_loss: "NaN or infinite",
        adds_the_diagonal: "changes its argument `mask` in place",
    },
    "2.5": {
        as_given: "as it was given",
        rolled_through: "runs through the whole batch",
        rolled_rows: "moves the rows",
        last_repeated: "The last answer is the last throw itself",
        last_zero: "The last answer is 0",
        not_shifted: "The answers are the inputs themselves",
        not_shifted_cut: "The answers are the inputs themselves",
        wrong_way: "You shifted the wrong way",
        rolled_wrong_way: "You shifted the wrong way",
        two_ahead: "two throws ahead",
        first_lost: "throw 0 is the first input",
        last_lost: "the last throw is the answer of the place before it",
        marks_in_place: "changes its argument `throws` in place",
        answers_only_cut: "Every place that is read needs an answer",
        pairs_of_floats: "should stay whole numbers",
        answers_alone: "Return two things",
    },
}
