"""Exercise 1.3: a split into train and test that cannot leak."""

from __future__ import annotations

import builtins
import secrets
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


def copies(maps: list[bytes]) -> list[bytes]:
    """Equal maps in objects of their own, as they come from files; `copy` would hand them on."""
    return [bytes(bytearray(content)) for content in maps]


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


def judge_objects(student: Guarded) -> None:
    """Called when an answer is known to be wrong: does it look at objects instead of bytes?

    Every map comes twice in one call, as one object and then as two. Between two calls an answer in
    another process meets new objects, which may lie where the old ones lay, or elsewhere.
    """
    maps = random_maps(0, 1000)  # many, since addresses close to each other are alike
    one, two = (sides(student, maps + twins, 0.5).reshape(2, -1) for twins in (maps, copies(maps)))
    if np.array_equal(*one) and not np.array_equal(*two):
        raise Failed(
            "It leaks: equal maps land on different sides when they are two objects in memory. "
            "`id` and `is` look at the object; decide from its bytes.",
            student.case((maps[:2], 0.5)),
        )


def judge_leak(student: Guarded, maps: list[bytes]) -> None:
    """Equal maps on one side, and the same answer when asked twice."""
    maps = copies(maps)
    test = sides(student, maps, 0.5)
    first: dict[bytes, int] = {}
    for e, content in enumerate(maps):
        twin = first.setdefault(content, e)
        if test[twin] != test[e]:
            judge_objects(student)
            where = [f"  episode {i}: {'test' if test[i] else 'train'}" for i in (twin, e)]
            lines = [student.case((maps, 0.5)), f"  both maps are {show(content)}", *where]
            raise Failed(
                "It leaks: two episodes play on the same map, and they land on different sides. "
                "A model could pass the test by remembering that map.",
                "\n".join(lines),
            )
    if not np.array_equal(test, sides(student, copies(maps), 0.5)):
        judge_objects(student)
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


SALTED = (
    "The split changes when Python is started again: the built-in `hash` of bytes, or of a tuple "
    "that holds some, is salted anew in every process. Use a hash that is the same everywhere, "
    "from `hashlib`."
)
FORGOTTEN = (
    "The split changes when Python is started again: asked in a new process, it puts the same maps "
    "on other sides. A draw that is kept in a variable is forgotten there. Decide from the map's "
    "bytes, without chance."
)


@contextmanager
def salted_again() -> Iterator[None]:
    """The built-in `hash` of text and bytes, as it would be in another Python process."""
    original = builtins.hash

    def salted(value: Any) -> int:
        return original(("salt", value)) if isinstance(value, (str, bytes)) else original(value)

    builtins.hash = salted
    try:
        yield
    finally:
        builtins.hash = original


def judge_process(student: Guarded) -> None:
    """The split is the same when Python is started again.

    The maps are new ones, so a memory of earlier draws cannot know them. The other process meets
    them from the last to the first, so draws in turn go to other maps; then it is asked once more,
    in the old order: a salt has stayed the same, a draw has not.
    """
    maps = random_maps(secrets.randbits(60), 200)
    answers = student.elsewhere([(maps[::-1], 0.5), (maps, 0.5)])
    today, sentence = sides(student, maps, 0.5), SALTED
    if answers and len(answers) == 2 * len(maps):
        tomorrow, again = np.array(answers[: len(maps)])[::-1], np.array(answers[len(maps) :])
        sentence = SALTED if np.array_equal(tomorrow, again) else FORGOTTEN
    else:
        with salted_again():
            tomorrow = sides(student, maps, 0.5)
    if not np.array_equal(today, tomorrow):
        changed = int((today != tomorrow).sum())
        raise Failed(sentence, f"about {changed / len(maps):.0%} of the maps change sides")


def judge(student: Guarded, seeds: Sequence[int]) -> None:
    """No leak, no chance, the right share, no company, no salt."""
    judge_leak(student, [b"one map", b"another", b"a third", b"one map"])
    for seed in seeds:
        draw = generator("test", "check 1.3", "order", seed)
        maps = random_maps(seed, 12)
        judge_leak(student, [maps[i] for i in draw.integers(0, 12, size=600)])
        judge_share(student, seed)
        judge_company(student, seed)
    judge_process(student)


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
    "asks. The book chooses its test maps in this way too, by a hash of the map's cells; only in a "
    "level with too few maps do the start and the mission count as well.",
)
