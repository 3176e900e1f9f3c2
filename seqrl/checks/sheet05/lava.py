"""Exercise 5.5: an energy for plans that enter lava, by the known rules of moving."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from seqrl.checks.core import Exercise, Mistake, as_array, close, compare
from seqrl.checks.guard import Failed, Guarded
from seqrl.seeds import generator

FREE, WALL, LAVA = range(3)
LEFT, RIGHT, FORWARD = range(3)
AHEAD = np.array([(1, 0), (0, 1), (-1, 0), (0, -1)])  # by heading


def visits(
    cells: np.ndarray,
    pose: Sequence[int],
    plan: Sequence[int],
    walls: bool = True,
    turn: int = 1,
    down: int = 1,
) -> tuple[list[tuple[int, int]], list[tuple[int, int]], tuple[int, int, int]]:
    """The cell after each action, the cell in front of it, and the last pose.

    walls: they stop the agent. turn, down: -1 mirrors turns, and the direction of y.
    """
    x, y, heading = (int(n) for n in pose)
    stood, faced = [], []

    def front() -> tuple[int, int]:
        place = np.array([x, y]) + AHEAD[heading] * (1, down)
        a, b = np.clip(place, 0, np.array(cells.shape) - 1)
        return int(a), int(b)

    for action in plan:
        heading = (heading + turn * (int(action == RIGHT) - int(action == LEFT))) % 4
        if action == FORWARD and not (walls and cells[front()] == WALL):
            x, y = front()
        stood.append((x, y))
        faced.append(front())
    return stood, faced, (x, y, heading)


def lava(cells: np.ndarray, places: list[Any]) -> list[bool]:
    return [bool(cells[place] == LAVA) for place in places]


def by(count: Callable[[list[bool], list[bool]], float], **changed: Any) -> Callable[..., Any]:
    """Energies from the steps that stand in lava and those that face it, `changed` as above."""

    def answer(cells: np.ndarray, pose: Any, plans: np.ndarray, penalty: float) -> np.ndarray:
        found = []
        for plan in plans:
            stood, faced, _ = visits(cells, pose, plan, **changed)
            times = count(lava(cells, stood), lava(cells, faced))
            found.append(times * penalty if times else 0.0)
        return np.array(found)

    return answer


def entered(stood: list[bool], faced: list[bool]) -> float:
    return float(any(stood))


right = by(entered)


def transposed(cells: np.ndarray, pose: Any, plans: np.ndarray, penalty: float) -> np.ndarray:
    """Rows taken for y and columns for x, held inside the map."""
    square = np.full([max(cells.shape)] * 2, WALL)
    square[: cells.shape[0], : cells.shape[1]] = cells
    return right(square.T, pose, plans, penalty)


def carried_over(cells: np.ndarray, pose: Any, plans: np.ndarray, penalty: float) -> np.ndarray:
    """Every plan begins where the one before ended."""
    found = []
    for plan in plans:
        found.append(right(cells, pose, plan[None], penalty)[0])
        pose = visits(cells, pose, plan)[2]
    return np.array(found)


def upside_down(cells: np.ndarray, pose: Any, plans: np.ndarray, penalty: float) -> np.ndarray:
    return np.where(right(cells, pose, plans, penalty) > 0, 0.0, penalty)


MISTAKES = (
    Mistake(
        "The agent walks through walls. Going forward against a wall is allowed and changes "
        "nothing.",
        by(entered, walls=False),
    ),
    Mistake(
        "Only the cell where a plan ends is looked at. Lava on the way ends the episode as well.",
        by(lambda stood, faced: float(stood[-1])),
    ),
    Mistake(
        "Facing lava is punished. Only a plan that goes there enters it; a turn beside it is fine.",
        by(lambda stood, faced: float(any(stood + faced))),
    ),
    Mistake(
        "Left and right are swapped. Headings count clockwise, 0 is toward larger x and 1 toward "
        "larger y, which is down: a left turn takes 1 away.",
        by(entered, turn=-1),
    ),
    Mistake(
        "y grows in the wrong direction. Heading 1 goes to larger y: on these maps y counts "
        "downward.",
        by(entered, down=-1),
    ),
    Mistake("x and y are swapped: the map is indexed as cells[x, y].", transposed),
    Mistake(
        "Only the first action is checked. That is a filter, which can lead the agent to where "
        "every next action is forbidden; an energy judges the whole plan.",
        by(lambda stood, faced: float(stood[0])),
    ),
    Mistake(
        "The last action of the plan is not executed.",
        by(lambda stood, faced: float(any(stood[:-1]))),
    ),
    Mistake(
        "The penalty is counted for every step in lava. A plan enters lava or does not: after the "
        "first such step the episode is over.",
        by(lambda stood, faced: float(sum(stood))),
    ),
    Mistake(
        "A plan begins where the one before ended. All of them begin at `pose`.",
        carried_over,
    ),
    Mistake("The energies are upside down: safe plans are punished.", upside_down),
    Mistake(
        "The penalty is ignored: every plan that enters lava costs 1.",
        lambda cells, pose, plans, penalty: right(cells, pose, plans, 1.0),
    ),
)


def read(value: Any, cells: np.ndarray, pose: Any, plans: np.ndarray, penalty: float) -> Any:
    """What was returned as energies, (P,) floats."""
    array = as_array(value, "The energies")
    if array.shape != (len(plans),):
        raise Failed(f"There is one energy a plan, shape ({len(plans)},), not {array.shape}.")
    if array.dtype == bool:
        raise Failed(
            "These are truth values. An energy is added to another one: return `penalty` for a "
            "plan that enters lava, and 0 for one that does not."
        )
    if np.isnan(array).any():
        raise Failed(
            "An energy is NaN. Is `penalty` multiplied by 0? It can be infinite, and infinity "
            "times 0 is not a number: choose between the two instead (`np.where`)."
        )
    return array.astype(float)


def random_map(draw: np.random.Generator, X: int, Y: int) -> np.ndarray:
    """Cells with walls around, and some walls and lava inside."""
    cells = draw.choice([FREE, WALL, LAVA], size=(X, Y), p=[0.6, 0.15, 0.25])
    cells[[0, -1]], cells[:, [0, -1]] = WALL, WALL
    return cells


def cases(seeds: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """(cells, pose, plans, penalty): a corridor, a room, then random maps."""
    corridor = np.array([[1, 1, 1], [1, 0, 1], [1, 2, 1], [1, 0, 1], [1, 1, 1]])  # along x
    yield corridor, (1, 1, 0), np.array([[FORWARD], [LEFT]]), 5.0
    yield corridor, (1, 1, 0), np.array([[FORWARD, FORWARD], [LEFT, RIGHT]]), 5.0
    yield corridor, (3, 1, 0), np.array([[LEFT, LEFT], [FORWARD, FORWARD]]), 5.0
    yield corridor, (1, 1, 0), np.array([[LEFT, RIGHT, FORWARD], [RIGHT, LEFT, LEFT]]), np.inf
    room = np.ones((5, 6), int)
    room[1:4, 1:5] = [[0, 2, 0, 0], [0, 0, 1, 2], [2, 0, 0, 0]]
    plans = np.array([[FORWARD, RIGHT, FORWARD, FORWARD], [RIGHT, FORWARD, LEFT, FORWARD]])
    yield room, (2, 2, 0), plans, 2.0
    yield room, (1, 1, 1), np.array([[FORWARD, FORWARD, LEFT], [FORWARD, LEFT, FORWARD]]), 2.0
    yield room, (2, 1, 1), np.array([[FORWARD, FORWARD, FORWARD]]), 2.0  # lava behind a wall
    for seed in seeds:
        draw = generator("test", "check 5.5", seed)
        for penalty in (3.0, float("inf")):
            cells = random_map(draw, 7, 6)
            free = np.argwhere(cells == FREE)
            x, y = (int(n) for n in free[draw.integers(len(free))])
            plans = draw.choice([LEFT, RIGHT, FORWARD], size=(20, 5), p=[0.2, 0.2, 0.6])
            yield cells, (x, y, int(draw.integers(4))), plans, penalty


def judge(student: Guarded, seeds: Sequence[int]) -> None:
    """The right plans are punished, once each, by the penalty that was asked for."""
    compare(student, cases(seeds), right, MISTAKES, read, close)


EXERCISE = Exercise(
    id="5.5",
    title="A rule that training never knew",
    name="lava_energy",
    parameters=("cells", "pose", "plans", "penalty"),
    objectives=("O5.5",),
    difficulty=2,
    minutes=30,
    judge=judge,
    shown="Right. The plan is carried out on the observed map, by rules that are known, and pays "
    "once for entering lava, however large the penalty is. Nothing was trained, and the search "
    "needs no change: it minimizes a sum.",
)
