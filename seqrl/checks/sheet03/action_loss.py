"""Exercise 3.3: the loss of the actions of all real steps of a padded batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from seqrl.checks.core import Exercise, Mistake, as_array, close, compare, in_numpy
from seqrl.checks.guard import Failed, Guarded
from seqrl.seeds import generator


def log_share(logits: np.ndarray) -> np.ndarray:
    """The log of the softmax over the last axis."""
    shifted = logits.astype(float) - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def costs(logits: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """Minus the log probability of each action taken, (B, K)."""
    return -np.take_along_axis(log_share(logits), actions[..., None], -1)[..., 0]


def joined(join: Callable[[np.ndarray, np.ndarray], Any]) -> Callable[..., np.ndarray]:
    """The loss from the costs and the mask of the steps."""
    return in_numpy(lambda x, a, mask: np.asarray(join(costs(x, a), mask), float))


def priced(price: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """The mean over real steps of another price for (logits, actions)."""
    return in_numpy(lambda x, a, mask: np.asarray(price(x, a)[mask].mean(), float))


def of_next(logits: np.ndarray, actions: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The loss of the next step's action."""
    return np.asarray(costs(logits[:, :-1], actions[:, 1:])[mask[:, 1:]].mean(), float)


right = joined(lambda cost, mask: cost[mask].mean())
MISTAKES = (
    Mistake(
        "Padding is trained on: its steps count as if somebody had chosen action 0 there.",
        joined(lambda cost, mask: cost.mean()),
    ),
    Mistake(
        "Padding costs nothing, but it is counted: divide by the number of real steps, not of all. "
        "Otherwise a batch with short episodes counts less than one with long ones.",
        joined(lambda cost, mask: (cost * mask).mean()),
    ),
    Mistake(
        "This is the mean of the windows' means, so a step of a short window counts more than one "
        "of a long window. Every real step counts the same.",
        joined(lambda cost, mask: ((cost * mask).sum(1) / mask.sum(1)).mean()),
    ),
    Mistake(
        "This is the sum over the real steps; the loss is their mean.",
        joined(lambda cost, mask: (cost * mask).sum()),
    ),
    Mistake(
        "You divide by the number of windows. Divide by the number of real steps.",
        joined(lambda cost, mask: (cost * mask).sum(1).mean()),
    ),
    Mistake(
        "The mask is upside down: you train on the padding and leave out the data.",
        joined(lambda cost, mask: cost[~mask].mean() if (~mask).any() else 0.0),
    ),
    Mistake(
        "Each output is held against the next step's action. That is how a language model is "
        "trained; here the logits at step t, read at the state token, are for the action at t.",
        in_numpy(of_next),
    ),
    Mistake(
        "The softmax is taken twice: `cross_entropy` takes logits and does it by itself. Twice "
        "flattened, the loss can never come near 0.",
        priced(lambda x, a: costs(np.exp(log_share(x)), a)),
    ),
    Mistake(
        "These are probabilities. The loss is minus their logarithm.",
        priced(lambda x, a: -np.exp(-costs(x, a))),
    ),
    Mistake(
        "These are probabilities. The loss is minus their logarithm.",
        priced(lambda x, a: 1 - np.exp(-costs(x, a))),
    ),
    Mistake(
        "The sign is wrong: a loss is to be made small, and this is large where the actions are "
        "likely.",
        priced(lambda x, a: -costs(x, a)),
    ),
    Mistake(
        "These are the logits of the actions, without the softmax: they can grow for ever, and so "
        "would the model's weights.",
        priced(lambda x, a: -np.take_along_axis(x.astype(float), a[..., None], -1)[..., 0]),
    ),
    Mistake(
        "Blanked logits are not free: where all are 0, the loss is ln V, and it is still counted. "
        "Leave padding out of the mean.",
        in_numpy(lambda x, a, mask: np.asarray(costs(x * mask[..., None], a).mean(), float)),
    ),
    Mistake(
        "This is the share of steps whose likeliest action was taken, or not taken. It has no "
        "gradient to train with.",
        priced(lambda x, a: (x.argmax(-1) == a).astype(float)),
    ),
    Mistake(
        "This is the share of steps whose likeliest action was taken, or not taken. It has no "
        "gradient to train with.",
        priced(lambda x, a: (x.argmax(-1) != a).astype(float)),
    ),
)


def read(value: Any, logits: Any, actions: Any, mask: Any) -> np.ndarray:
    """What was returned as one finite number."""
    array = as_array(value, "The loss")
    if array.size != 1:
        raise Failed(f"The loss is one number for the whole batch, not {array.shape}.")
    if not np.isfinite(array).all():
        raise Failed(
            "The loss is NaN or infinite. Logits may be large, and then exp overflows or a "
            "probability is 0: take `cross_entropy` or `log_softmax`, which never form it."
        )
    return array.astype(float).reshape(())


def case(logits: Any, actions: Any, mask: Any) -> tuple[Any, ...]:
    """The arguments as tensors; padding is action 0."""
    x = torch.from_numpy(np.array(logits, np.float32))
    real = torch.from_numpy(np.array(mask, bool))
    return x, torch.from_numpy(np.array(actions, np.int64)) * real, real


def cases(seeds: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """(logits, actions, mask): two steps, a padded one, large logits, batches."""
    yield case([[[1, 0], [0, 2]]], [[0, 0]], [[True, True]])
    yield case([[[1, 0], [0, 2]]], [[1, 0]], [[True, False]])
    yield case([[[1, 0], [3, 2]], [[0, 1], [0, 2]]], [[1, 0], [0, 1]], [[1, 0], [1, 1]])
    yield case([[[300, 0], [0, 300]]], [[1, 1]], [[True, True]])
    for seed in seeds:
        draw = generator("test", "check 3.3", seed)
        B, K, V = (int(n) for n in draw.integers((3, 4, 3), (6, 8, 8)))
        lengths = np.concatenate([[K, 1, 2], draw.integers(1, K + 1, size=B - 3)])
        mask = np.arange(K) < lengths[:, None]
        yield case(2 * draw.normal(size=(B, K, V)), draw.integers(0, V, size=(B, K)), mask)


def judge(student: Guarded, seeds: Sequence[int]) -> None:
    """The right number of nats."""
    compare(student, cases(seeds), right, MISTAKES, read, close)


EXERCISE = Exercise(
    id="3.3",
    title="The loss of the actions",
    name="action_loss",
    parameters=("logits", "actions", "mask"),
    objectives=("O3.2",),
    difficulty=2,
    minutes=15,
    judge=judge,
    shown="Right. Each real step counts once, padding counts nothing, and the action is that of "
    "the step whose state the logits were read from. This is all the training there is.",
)
