"""Exercise 1.1: returns-to-go of packed episodes in one pass, discounted or not, r_t included."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from seqrl.checks.core import Exercise, Mistake, as_array, close, compare
from seqrl.checks.guard import TIME_LIMIT, Failed, Guarded, TooSlow
from seqrl.seeds import generator


def weighted(rewards: np.ndarray, weight: Any) -> np.ndarray:
    """The sum of weight(t, k) r_{t+k} over k >= 0, for each t, as one (T, T) matrix product."""
    t, at = np.ogrid[: len(rewards), : len(rewards)]
    return np.where(at >= t, weight(t, np.maximum(at - t, 0)), 0.0) @ rewards.astype(float)


def rest(rewards: np.ndarray, discount: float) -> np.ndarray:
    """Returns-to-go of one episode, (T,)."""
    return weighted(rewards, lambda t, k: float(discount) ** k)


def each(one_episode: Callable[[np.ndarray, float], np.ndarray]) -> Callable[..., np.ndarray]:
    """A rule for one episode, applied to every episode of a packed array."""

    def packed(rewards: np.ndarray, offsets: np.ndarray, discount: float = 1.0) -> np.ndarray:
        episodes = np.split(rewards, offsets[1:-1])
        return np.concatenate([one_episode(episode, discount) for episode in episodes])

    return packed


right = each(rest)


def one_step_off(rewards: np.ndarray, offsets: np.ndarray, discount: float = 1.0) -> np.ndarray:
    """The sum forgotten at the first step of an episode instead of after its last."""
    return right(rewards, np.unique([0, *(offsets[:-1] + 1), len(rewards)]), discount)


def without_last(rewards: np.ndarray) -> np.ndarray:
    """The rewards with the last one lost."""
    return np.where(np.arange(len(rewards)) < len(rewards) - 1, rewards, 0)


MISTAKES = (
    Mistake(
        "Rewards leak across the border: the last steps of an episode also count the rewards of "
        "the next one. Begin again with nothing ahead where an episode ends.",
        lambda r, offsets, g=1.0: rest(r, g),
    ),
    Mistake(
        "The sum begins again one step off. The border lies after an episode's last step, number "
        "offsets[e + 1] - 1, and before the next one's first.",
        one_step_off,
    ),
    Mistake(
        "Your return-to-go leaves out the reward of the step itself. In this book it includes r_t: "
        "an episode's last entry is its last reward, not 0.",
        each(lambda r, g: weighted(r, lambda t, k: (k > 0) * float(g) ** np.maximum(k - 1, 0))),
    ),
    Mistake(
        "Your return-to-go leaves out the reward of the step itself, and still discounts the next "
        "reward. In this book r_t is included, with weight 1.",
        each(lambda r, g: rest(r, g) - r),
    ),
    Mistake(
        "You add up from the start: that is the reward collected so far. The return-to-go adds up "
        "from step t to the end.",
        each(lambda r, g: np.cumsum(r.astype(float) * float(g) ** np.arange(len(r)))),
    ),
    Mistake(
        "The sums are right and stand in the wrong order: the first entry belongs to the first "
        "step, which has the most still to come. Was a list built from the end and never turned "
        "around?",
        each(lambda r, g: rest(r, g)[::-1]),
    ),
    Mistake(
        "You recurse in the wrong direction: each entry takes over the one before it. Start at the "
        "last step and walk back.",
        each(lambda r, g: rest(r[::-1], g)[::-1]),
    ),
    Mistake(
        "Every entry is the return of the whole episode. The return-to-go of step t forgets what "
        "was earned before t.",
        each(lambda r, g: np.full(len(r), rest(r, g)[0])),
    ),
    Mistake(
        "The last reward of an episode is lost. In the grid worlds it may be the only reward there "
        "is. Does the loop begin one step too early?",
        each(lambda r, g: rest(without_last(r), g)),
    ),
    Mistake(
        "The discount is ignored: the sums are right for discount=1 only.",
        each(lambda r, g: rest(r, 1.0)),
    ),
    Mistake(
        "The discount is applied twice: a reward k steps ahead should weigh discount^k, and yours "
        "weighs discount^(2k).",
        each(lambda r, g: rest(r, g * g)),
    ),
    Mistake(
        "The discount is counted from the start of the episode. It should be counted from step t: "
        "the reward of the step itself always has weight 1.",
        each(lambda r, g: weighted(r, lambda t, k: float(g) ** (t + k))),
    ),
    Mistake(
        "The discount is counted from the end of the episode, so the last reward weighs most. It "
        "should be counted from step t, so the nearest reward weighs most.",
        each(lambda r, g: weighted(r, lambda t, k: float(g) ** (len(r) - 1 - t - k))),
    ),
    Mistake(
        "The reward of the step itself is discounted too. It has weight 1; the next one has weight "
        "discount.",
        each(lambda r, g: g * rest(r, g)),
    ),
    Mistake(
        "These are means of the rewards to come, not sums.",
        each(lambda r, g: rest(r, g) / np.arange(len(r), 0, -1)),
    ),
)


def read(value: Any, rewards: np.ndarray, offsets: np.ndarray, discount: float = 1.0) -> np.ndarray:
    """What was returned as a float array, (S,)."""
    array = as_array(value, "The return-to-go")
    if array.shape != rewards.shape:
        need = f"one number a step, shape {rewards.shape}; yours has shape {array.shape}."
        raise Failed(f"There should be {need}")
    if not np.isfinite(array).all():
        raise Failed(
            "Your answer holds NaN or infinity. Do you divide by a power of the discount? It can "
            "be 0, and in a long episode its powers vanish. Multiply instead."
        )
    if array.dtype.kind in "biu" and not np.allclose(right(rewards, offsets, discount) % 1, 0):
        raise Failed(
            "Your array holds whole numbers, so every fraction is cut off. The rewards may be "
            "integers, but discounted sums are not: make a float array."
        )
    return array.astype(float)


def cases(seeds: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """(rewards, offsets, discount), from one step to a few hundred."""
    three = np.array([1.0, 2.0, 4.0]), np.array([0, 3])
    yield np.array([2.0]), np.array([0, 1])
    yield three
    yield *three, 0.5
    yield np.array([1.0, 2.0, 4.0, 8.0, 16.0]), np.array([0, 3, 5]), 0.5
    yield np.array([1, 1, 0]), np.array([0, 3]), 0.5
    yield *three, 0.0
    for seed in seeds:
        draw = generator("test", "check 1.1", seed)
        offsets = np.concatenate([[0], np.cumsum(draw.integers(1, 60, size=5))])
        rewards = draw.normal(size=int(offsets[-1]))
        yield rewards, offsets
        yield rewards, offsets, float(draw.uniform(0.3, 0.99))


SHORT, LONGER = 500, (4_000, 128_000)  # steps; a (T, T) matrix must be caught before the last
DISCOUNT = 0.99
SLACK = 2.5  # times what a step costs in a short episode: growth, beyond what caches explain
CHEAP, DEAR = 10.0, 400.0  # times the plain loop below: always fast enough; never


def loop_seconds(steps: int) -> float:
    """Seconds that a plain loop, one pass from the end, computes; the better of two."""
    rewards, answer, took = np.ones(steps), np.zeros(steps), []
    for _ in range(2):
        begin, ahead = time.thread_time(), 0.0
        for t in reversed(range(steps)):
            ahead = rewards[t] + DISCOUNT * ahead
            answer[t] = ahead
        took.append(time.thread_time() - begin)
    return min(took)


def student_seconds(student: Guarded, steps: int, limit: float) -> float:
    """Seconds that the student's function computes on one episode; the numbers are judged too."""
    arguments = np.ones(steps), np.array([0, steps]), DISCOUNT
    value = student(*arguments, limit=limit, processor=True)
    expected = (1 - DISCOUNT ** np.arange(steps, 0, -1)) / (1 - DISCOUNT)
    if not close(as_array(value, "The return-to-go"), expected):
        raise Failed(
            "Short episodes come out right, but a long one does not. Do you divide by a power of "
            "the discount? In a long episode those powers vanish. Multiply instead.",
            student.case(arguments),
        )
    return student.seconds


def judge_pace(student: Guarded) -> None:
    """A step costs the same in a short episode and in a long one.

    The growth is judged, not the seconds: a loop over tensor elements is slow, and still one pass.
    """
    short = min(student_seconds(student, SHORT, TIME_LIMIT) for _ in range(3))
    short = max(short, time.get_clock_info("thread_time").resolution)
    for steps in LONGER:
        limit, loop = SLACK * short * steps / SHORT, loop_seconds(steps)
        limit = min(max(limit, CHEAP * loop), DEAR * loop)
        try:
            try:
                student_seconds(student, steps, limit)
            except TooSlow:  # a busy machine, perhaps
                student_seconds(student, steps, limit)
        except TooSlow as slow:
            raise Failed(
                "The numbers are right, but the time grows faster than the episode. Is the rest "
                "of the episode added up anew for every step, or a growing list copied at every "
                "step (`insert(0, ...)`, `np.append`)? One pass from the end is enough, written "
                "into an array that is there before.",
                slow.case,
            ) from None


def judge(student: Guarded, seeds: Sequence[int]) -> None:
    """Right numbers, and a long episode at the pace of a short one."""
    compare(student, cases(seeds), right, MISTAKES, read, close)
    judge_pace(student)


EXERCISE = Exercise(
    id="1.1",
    title="Returns-to-go in one pass",
    name="returns_to_go",
    parameters=("rewards", "offsets", "discount"),
    objectives=("O1.2",),
    difficulty=1,
    minutes=10,
    judge=judge,
    shown="Right. Each entry holds its own reward and everything after it in the same episode, the "
    "discount is counted from the step itself, and a long episode costs one pass. The same "
    "recursion, with an expectation in front, is the Bellman equation.",
)
