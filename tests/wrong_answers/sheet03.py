"""Answers to sheet 3: right ones, and wrong ones with a phrase that their message must contain."""

import math

import numpy as np
import torch
import torch.nn.functional as F

# ---- 3.1 -----------------------------------------------------------------------------------------


def stack_and_join(returns, states, actions):
    tokens = torch.stack([returns, states, actions], 2).flatten(1, 2)
    return tokens, torch.arange(1, tokens.shape[1], 3)


def every_third(returns, states, actions):
    B, K, D = returns.shape
    tokens = returns.new_zeros(B, 3 * K, D)
    tokens[:, 0::3], tokens[:, 1::3], tokens[:, 2::3] = returns, states, actions
    return tokens, slice(1, None, 3)


def step_by_step(returns, states, actions):
    rows = []
    for t in range(returns.shape[1]):
        rows += [x[:, t].numpy() for x in (returns, states, actions)]
    is_state = np.arange(len(rows)) % 3 == 1
    return np.stack(rows, 1), is_state


def joined_at(dim, order=(0, 1, 2), first=1):
    """Stacked along a dimension, in some order, read at some place."""

    def answer(*parts):
        B, K, D = parts[0].shape
        tokens = torch.stack([parts[i] for i in order], dim).reshape(B, 3 * K, D)
        return tokens, first + 3 * torch.arange(K)

    answer.__name__ = f"joined_at_{dim}_{''.join(map(str, order))}_{first}"
    return answer


def action_before_state(returns, states, actions):
    return stack_and_join(returns, actions, states)


action_first = joined_at(2, (2, 0, 1))
action_state_return = joined_at(2, (2, 1, 0))
state_before_return = joined_at(2, (1, 0, 2))
return_last = joined_at(2, (1, 2, 0))
numbers_mixed = joined_at(3)
rows_mixed = joined_at(0)
read_at_the_action = joined_at(2, first=2)
read_at_the_return = joined_at(2, first=0)
read_one_step_late = joined_at(2, first=4)


def kind_by_kind(returns, states, actions):
    tokens = torch.cat([returns, states, actions], 1)
    return tokens, torch.arange(1, tokens.shape[1], 3)


def one_wide_token(returns, states, actions):
    return torch.cat([returns, states, actions], 2), torch.arange(returns.shape[1])


def numbers_of_steps(returns, states, actions):
    return stack_and_join(returns, states, actions)[0], torch.arange(returns.shape[1])


def last_action_open(returns, states, actions):
    tokens, read = stack_and_join(returns, states, actions)
    return tokens[:, :-1], read


def places_of_all(returns, states, actions):
    tokens, _ = stack_and_join(returns, states, actions)
    return tokens, torch.arange(tokens.shape[1])


def tokens_alone(returns, states, actions):
    return stack_and_join(returns, states, actions)[0]


def joins_in_place(returns, states, actions):
    states += 0.5
    return stack_and_join(returns, states - 0.5, actions)


# ---- 3.2 -----------------------------------------------------------------------------------------


def where_first(left, reward, first, target):
    return np.where(first, float(target), left - reward)


def row_by_row(left, reward, first, target):
    return [target if f else x - r for x, r, f in zip(left, reward, first)]


def reset_behind(left, reward, first, target):
    new = torch.as_tensor(left, dtype=torch.float32) - torch.as_tensor(reward)
    new[torch.as_tensor(first)] = target
    return new


def adds_reward(left, reward, first, target):
    return np.where(first, target, left + reward)


def never_resets(left, reward, first, target):
    return left - reward


def resets_then_subtracts(left, reward, first, target):
    return np.where(first, target, left) - reward


def never_counts_down(left, reward, first, target):
    return np.where(first, float(target), left)


def always_the_target(left, reward, first, target):
    return np.full(len(left), float(target))


def from_the_target(left, reward, first, target):
    return np.where(first, target, target - reward)


def first_upside_down(left, reward, first, target):
    return np.where(first, left - reward, target)


def resets_all(left, reward, first, target):
    return np.full(len(left), float(target)) if first.any() else left - reward


def mean_reward(left, reward, first, target):
    return np.where(first, target, left - reward.mean())


def sum_of_rewards(left, reward, first, target):
    return np.where(first, target, left - reward.sum())


def stops_at_zero(left, reward, first, target):
    return where_first(left, reward, first, target).clip(min=0)


def a_point_a_step(left, reward, first, target):
    return np.where(first, target, left + 1)


def keeps_integers(left, reward, first, target):
    new = left.copy()
    new[:] = where_first(left, reward, first, target)
    return new


def one_request(left, reward, first, target):
    return float(where_first(left, reward, first, target)[0])


def counts_in_place(left, reward, first, target):
    left[first] = target
    left[~first] = left[~first] - reward[~first]
    return left


# ---- 3.3 -----------------------------------------------------------------------------------------


def real_steps_only(logits, actions, mask):
    return F.cross_entropy(logits[mask], actions[mask])


def ignored_index(logits, actions, mask):
    return F.cross_entropy(logits.mT, actions.masked_fill(~mask, -100)).item()


def weighed(logits, actions, mask):
    chosen = logits.log_softmax(-1).gather(-1, actions[..., None])[..., 0]
    return -(chosen * mask).sum() / mask.sum()


def each_step(logits, actions):
    return F.cross_entropy(logits.mT, actions, reduction="none")


def padding_counts(logits, actions, mask):
    return each_step(logits, actions).mean()


def divided_by_all(logits, actions, mask):
    return (each_step(logits, actions) * mask).mean()


def mean_of_means(logits, actions, mask):
    return ((each_step(logits, actions) * mask).sum(1) / mask.sum(1)).mean()


def sum_of_steps(logits, actions, mask):
    return (each_step(logits, actions) * mask).sum()


def divided_by_windows(logits, actions, mask):
    return (each_step(logits, actions) * mask).sum() / len(mask)


def mask_upside_down(logits, actions, mask):
    return (each_step(logits, actions) * ~mask).sum() / (~mask).sum().clamp(min=1)


def next_action(logits, actions, mask):
    return F.cross_entropy(logits[:, :-1][mask[:, 1:]], actions[:, 1:][mask[:, 1:]])


def softmax_twice(logits, actions, mask):
    return F.cross_entropy(logits.softmax(-1)[mask], actions[mask])


def no_logarithm(logits, actions, mask):
    return F.nll_loss(logits[mask].softmax(-1), actions[mask])


def one_less_probability(logits, actions, mask):
    return 1 + no_logarithm(logits, actions, mask)


def wrong_sign(logits, actions, mask):
    return -real_steps_only(logits, actions, mask)


def no_softmax(logits, actions, mask):
    return F.nll_loss(logits[mask], actions[mask])


def logits_blanked(logits, actions, mask):
    return F.cross_entropy((logits * mask[..., None]).flatten(0, 1), actions.flatten())


def accuracy(logits, actions, mask):
    return (logits.argmax(-1) == actions)[mask].float().mean()


def error_rate(logits, actions, mask):
    return 1 - accuracy(logits, actions, mask)


def log_of_softmax(logits, actions, mask):
    return F.nll_loss(logits[mask].softmax(-1).log(), actions[mask])


def loss_of_each_step(logits, actions, mask):
    return each_step(logits, actions) * mask


def blanks_in_place(logits, actions, mask):
    actions[~mask] = -100
    return F.cross_entropy(logits.mT, actions)


# ---- 3.4 -----------------------------------------------------------------------------------------


def by_bayes(behavior, outcomes, returns, request):
    policy = behavior * outcomes[:, request]
    return policy / policy.sum() @ outcomes @ returns


def by_sums(behavior, outcomes, returns, request):
    total = weight = 0.0
    for share, row in zip(behavior, outcomes):
        total += share * row[request] * sum(p * r for p, r in zip(row, returns))
        weight += share * row[request]
    return total / weight


def by_joint_table(behavior, outcomes, returns, request):
    joint = torch.as_tensor(behavior)[:, None] * torch.as_tensor(outcomes)
    policy = joint[:, request] / joint[:, request].sum()
    return (policy[:, None] * torch.as_tensor(outcomes)).sum(0) @ torch.as_tensor(returns)


def gets_what_it_asks(behavior, outcomes, returns, request):
    return returns[request]


def mean_of_the_filtered(behavior, outcomes, returns, request):
    joint = behavior[:, None] * outcomes
    kept = np.zeros_like(joint)
    kept[:, request] = joint[:, request]
    return (kept @ returns).sum() / kept.sum()


def behavior_ignored(behavior, outcomes, returns, request):
    return by_bayes(np.ones_like(behavior), outcomes, returns, request)


def request_ignored(behavior, outcomes, returns, request):
    return behavior @ outcomes @ returns


def best_action(behavior, outcomes, returns, request):
    return (outcomes @ returns).max()


def likeliest_action(behavior, outcomes, returns, request):
    return (outcomes @ returns)[(behavior * outcomes[:, request]).argmax()]


def most_able_action(behavior, outcomes, returns, request):
    return (outcomes @ returns)[outcomes[:, request].argmax()]


def not_normalized(behavior, outcomes, returns, request):
    return behavior * outcomes[:, request] @ outcomes @ returns


def at_least_the_request(behavior, outcomes, returns, request):
    policy = behavior * outcomes[:, request:].sum(1)
    return policy / policy.sum() @ outcomes @ returns


def largest_share(behavior, outcomes, returns, request):
    policy = behavior * outcomes[:, request]
    return (policy / policy.sum()).max()


def policy_alone(behavior, outcomes, returns, request):
    policy = behavior * outcomes[:, request]
    return policy / policy.sum()


def all_requests(behavior, outcomes, returns, request):
    return outcomes


def divides_by_nothing(behavior, outcomes, returns, request):
    with np.errstate(all="ignore"):
        return np.float64(1) / np.float64(0) * by_bayes(behavior, outcomes, returns, request)


def normalizes_in_place(behavior, outcomes, returns, request):
    behavior *= outcomes[:, request]
    behavior /= behavior.sum()
    return behavior @ outcomes @ returns


# ---- 3.5 -----------------------------------------------------------------------------------------


def episode_first(rewards, first, end, K):
    to_go = np.cumsum(rewards[first:end][::-1])[::-1]
    window = np.zeros(K)
    window[: len(to_go)] = to_go[:K]
    return window


def a_sum_a_step(rewards, first, end, K):
    return [float(rewards[t:end].sum()) if t < end else 0.0 for t in range(first, first + K)]


def from_the_end(rewards, first, end, K):
    window, ahead = torch.zeros(K), 0.0
    for t in range(end - 1, first - 1, -1):
        ahead += float(rewards[t])
        if t < first + K:
            window[t - first] = ahead
    return window


def filled(sums, K):
    window = np.zeros(K)
    window[: len(sums)] = sums[:K]
    return window


def as_given(rewards, first, end, K):
    real = rewards[first : min(first + K, end)]
    return filled(real[::-1].cumsum()[::-1], K)


def into_the_next_episode(rewards, first, end, K):
    return filled(rewards[first:][::-1].cumsum()[::-1][: min(K, end - first)], K)


def one_step_beyond(rewards, first, end, K):
    return filled(rewards[first : end + 1][::-1].cumsum()[::-1][: min(K, end - first)], K)


def last_reward_lost(rewards, first, end, K):
    return filled(rewards[first : end - 1][::-1].cumsum()[::-1], K)


def window_and_one(rewards, first, end, K):
    real = rewards[first : min(first + K + 1, end)]
    return filled(real[::-1].cumsum()[::-1], K)


def after_the_step(rewards, first, end, K):
    return episode_first(rewards, first, end, K) - filled(rewards[first:end], K)


def padding_repeats(rewards, first, end, K):
    to_go = rewards[first:end][::-1].cumsum()[::-1]
    return to_go[np.minimum(np.arange(K), len(to_go) - 1)]


def all_the_same(rewards, first, end, K):
    return filled(np.full(end - first, rewards[first:end].sum()), K)


def so_far(rewards, first, end, K):
    return filled(rewards[first:end].cumsum(), K)


def rewards_themselves(rewards, first, end, K):
    return filled(rewards[first:end], K)


def not_padded(rewards, first, end, K):
    return rewards[first:end][::-1].cumsum()[::-1][:K]


def sums_in_place(rewards, first, end, K):
    rewards[first:end] = rewards[first:end][::-1].cumsum()[::-1]
    return filled(rewards[first:end], K)


def whole_numbers(rewards, first, end, K):
    return episode_first(rewards, first, end, K).astype(int)


def all_not_a_number(rewards, first, end, K):
    return np.full(K, math.nan)


RIGHT = {
    "3.1": (stack_and_join, every_third, step_by_step),
    "3.2": (where_first, row_by_row, reset_behind),
    "3.3": (real_steps_only, ignored_index, weighed),
    "3.4": (by_bayes, by_sums, by_joint_table),
    "3.5": (episode_first, a_sum_a_step, from_the_end),
}

WRONG = {
    "3.1": {
        action_before_state: "the state token can read the answer",
        action_first: "the state token can read the answer",
        action_state_return: "the state token can read the answer",
        state_before_return: "stands behind the state",
        return_last: "stands behind the state",
        kind_by_kind: "one behind the other",
        numbers_mixed: "numbers inside the tokens are mixed",
        rows_mixed: "The rows of the batch are mixed",
        read_at_the_action: "at the tokens of the actions",
        read_at_the_return: "at the tokens of the returns-to-go",
        read_one_step_late: "one step late",
        numbers_of_steps: "the numbers of the steps",
        one_wide_token: "one wide token a step",
        last_action_open: "The tokens should have shape",
        places_of_all: "An action is read for each",
        tokens_alone: "Return two things",
        joins_in_place: "changes its argument `states` in place",
    },
    "3.2": {
        adds_reward: "The reward is added",
        never_resets: "goes on with what the last one left",
        resets_then_subtracts: "pays for the last reward of the old one",
        never_counts_down: "It never counts down",
        always_the_target: "the whole target at every step",
        from_the_target: "counts down from the target",
        first_upside_down: "`first` is upside down",
        resets_all: "all were reset",
        mean_reward: "together or on average",
        sum_of_rewards: "together or on average",
        stops_at_zero: "stops at 0",
        a_point_a_step: "taken to cost one point",
        keeps_integers: "every fraction of a reward is cut off",
        one_request: "one request an environment",
        counts_in_place: "changes its argument `left` in place",
    },
    "3.3": {
        padding_counts: "Padding is trained on",
        divided_by_all: "Padding costs nothing, but it is counted",
        mean_of_means: "the mean of the windows' means",
        sum_of_steps: "the sum over the real steps",
        divided_by_windows: "divide by the number of windows",
        mask_upside_down: "The mask is upside down",
        next_action: "the next step's action",
        softmax_twice: "The softmax is taken twice",
        no_logarithm: "These are probabilities",
        one_less_probability: "These are probabilities",
        wrong_sign: "The sign is wrong",
        no_softmax: "without the softmax",
        logits_blanked: "Blanked logits are not free",
        accuracy: "has no gradient",
        error_rate: "has no gradient",
        log_of_softmax: "exp overflows or a probability is 0",
        loss_of_each_step: "The loss is one number",
        blanks_in_place: "changes its argument `actions` in place",
    },
    "3.4": {
        gets_what_it_asks: "the return that was asked for",
        mean_of_the_filtered: "the return that was asked for",
        behavior_ignored: "how often the data chose each action",
        request_ignored: "The request changes nothing",
        best_action: "the best action's mean",
        likeliest_action: "only the likeliest action",
        most_able_action: "reaches the return most often",
        not_normalized: "do not sum to 1",
        at_least_the_request: "the requested return or more",
        largest_share: "This is the policy",
        policy_alone: "numbers for each action",
        all_requests: "one number, not",
        divides_by_nothing: "Do you divide by 0?",
        normalizes_in_place: "changes its argument `behavior` in place",
    },
    "3.5": {
        as_given: "as it was given",
        into_the_next_episode: "runs on into the next episode",
        one_step_beyond: "one step beyond the end",
        last_reward_lost: "The last reward of the episode is lost",
        window_and_one: "one step after the window",
        after_the_step: "The reward of the step itself is left out",
        padding_repeats: "the padding is not 0",
        all_the_same: "are told the same",
        so_far: "collected so far",
        rewards_themselves: "the rewards themselves",
        not_padded: "The window has K numbers",
        whole_numbers: "every fraction is cut off",
        all_not_a_number: "NaN or infinity",
        sums_in_place: "changes its argument `rewards` in place",
    },
}
