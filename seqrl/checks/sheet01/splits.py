"""Exercise 1.3: a split into train and test that cannot leak."""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from seqrl.checks.core import Exercise, as_array
from seqrl.checks.guard import Failed, Guarded, show
from seqrl.seeds import generator


def random_maps(seed: int, count: int) -> list[bytes]:
    """Distinct maps with equal walls around them, so equal first and last bytes."""
    cells = generator("test", "check 1.3", seed).integers(0, 6, size=(count, 24), dtype=np.uint8)
    wall = bytes([2] * 8)
    return list(dict.fromkeys(wall + row.tobytes() + wall for row in cells))


def sides(student: Guarded, maps: list[bytes], fraction: float) -> np.ndarray:
    """The student's split: (episodes,) bool, True for test."""
    value = student(maps, fraction)
    if isinstance(value, tuple):
        raise Failed(f"Return one array, True for a test episode; this is a tuple of {len(value)}.")
    array = as_array(value, "The split")
    if array.dtype != bool or array.shape != (len(maps),):
        raise Failed(
            f"The split should be bool with one entry an episode, shape ({len(maps)},); yours is "
            f"{array.dtype} with shape {array.shape}. Return a mask, not the episodes' numbers.",
            student.case((maps, fraction)),
        )
    return array


def judge_leak(student: Guarded, maps: list[bytes]) -> None:
    """Equal maps on one side, and the same answer when asked twice."""
    test = sides(student, maps, 0.5)
    first: dict[bytes, int] = {}
    for e, content in enumerate(maps):
        twin = first.setdefault(content, e)
        if test[twin] != test[e]:
            where = [f"  episode {i}: {'test' if test[i] else 'train'}" for i in (twin, e)]
            lines = [student.case((maps, 0.5)), f"  both maps are {show(content)}", *where]
            raise Failed(
                f"It leaks: episodes {twin} and {e} play on the same map, and they land on "
                "different sides. A model could pass the test by remembering that map.",
                "\n".join(lines),
            )
    if not np.array_equal(test, sides(student, maps, 0.5)):
        raise Failed(
            "Asked twice about the same maps, it answers differently. With every run another "
            "split, yesterday's training maps are today's test maps. Leave chance out of it.",
            student.case((maps, 0.5)),
        )


def judge_share(student: Guarded, seed: int) -> None:
    """About the asked fraction of maps is test."""
    maps = random_maps(seed, 2000)
    share = {f: float(sides(student, maps, f).mean()) for f in (0.1, 0.2, 0.5)}
    off = [f for f in share if abs(share[f] - f) > 5 * (f * (1 - f) / len(maps)) ** 0.5 + 0.005]
    if not off:
        return
    case = "\n".join(f"fraction={f}: {share[f]:.3f} of {len(maps)} maps are test" for f in share)
    if set(share.values()) <= {0.0, 1.0}:
        sentence = (
            "All maps land on the same side. The rule seems to look only at something that all "
            "maps share: their length, or the wall around them. Let every byte count."
        )
    elif all(abs(1 - share[f] - f) < 0.05 for f in share):
        sentence = "The two sides are swapped: True should mark the test episodes."
    elif max(share.values()) - min(share.values()) < 0.02:
        sentence = "The split does not depend on `fraction`."
    else:
        sentence = "The share of test maps is not the fraction that was asked for."
    raise Failed(sentence, case)


def judge_company(student: Guarded, seed: int) -> None:
    """The side of a map does not depend on which other maps there are, nor on their order."""
    maps = random_maps(seed, 200)
    alone = dict(zip(maps[:20], sides(student, maps[:20], 0.5)))
    together = dict(zip(maps[::-1], sides(student, maps[::-1], 0.5)))
    changed = [e for e, content in enumerate(maps[:20]) if alone[content] != together[content]]
    if changed:
        raise Failed(
            "The side of a map depends on which other episodes are in the list. Collect more data, "
            "and maps move from train to test. Decide from the map's own content alone.",
            f"map {changed[0]} among 20 maps: {'test' if alone[maps[changed[0]]] else 'train'}\n"
            f"the same map among 200: {'test' if together[maps[changed[0]]] else 'train'}",
        )


@contextmanager
def another_process() -> Iterator[None]:
    """`hash` of text and bytes is salted anew in every Python process; here it is salted again."""
    original = builtins.hash

    def salted(value: Any) -> int:
        return original(("salt", value)) if isinstance(value, (str, bytes)) else original(value)

    builtins.hash = salted
    try:
        yield
    finally:
        builtins.hash = original


def judge_process(student: Guarded, seed: int) -> None:
    """The split is the same when Python is started again."""
    maps = random_maps(seed, 50)
    today = sides(student, maps, 0.5)
    with another_process():
        tomorrow = sides(student, maps, 0.5)
    if not np.array_equal(today, tomorrow):
        raise Failed(
            "The split changes when Python is started again: the built-in `hash` of bytes is "
            "salted anew in every process. Use a hash that is the same everywhere, from `hashlib`.",
            f"{int((today != tomorrow).sum())} of {len(maps)} maps change sides",
        )


def judge(student: Guarded, seeds: Sequence[int]) -> None:
    """No leak, no chance, the right share, no company, no salt."""
    judge_leak(student, [b"one map", b"another", b"a third", b"one map"])
    for seed in seeds:
        draw = generator("test", "check 1.3", "order", seed)
        maps = random_maps(seed, 12)
        judge_leak(student, [maps[i] for i in draw.integers(0, 12, size=60)])
        judge_share(student, seed)
        judge_company(student, seed)
        judge_process(student, seed)


EXERCISE = Exercise(
    id="1.3",
    title="A split that cannot leak",
    name="split",
    parameters=("maps", "fraction"),
    objectives=("O1.1", "O1.5"),
    difficulty=2,
    minutes=20,
    judge=judge,
    shown="Right. Equal maps always land on the same side, and a map's side follows from its "
    "content alone: not from chance, not from the other episodes, not from the process that "
    "asks. The book's own test maps are chosen by the same rule.",
)
