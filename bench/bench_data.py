"""Making data: our expert beside the BabyAI bot in its plain loop, and `collect`.

Each function measures one thing and returns rows (what, value, unit). What is compared is measured
in the same run, in turns, so that a busy moment of the machine meets all alike; values are medians
over the turns.
"""

from __future__ import annotations

import contextlib
import io
import statistics
import time
from collections.abc import Callable

Row = tuple[str, float, str]

LEVEL = "GoToLocalS8N7"
ROUNDS, EPISODES = 7, 150


def main() -> list[Row]:
    """Run every benchmark of this file and print its rows."""
    rows = [row for benchmark in BENCHMARKS for row in benchmark()]
    for name, value, unit in rows:
        print(f"{name:<58} {value:>9,.2f} {unit}", flush=True)
    return rows


def expert_against_bot() -> list[Row]:
    """Episodes a second, one process: the plain loop of the bot, and our expert with both views."""
    from seqrl.behavior import ShortestPath
    from seqrl.environments import make_envs
    from seqrl.rollout import rollout

    partial, full = (make_envs(LEVEL, 1, view=view) for view in ("partial", "full"))
    rates = _in_turns(
        {
            "bot": _plain_bot_loop,
            "partial": lambda i: rollout(ShortestPath(partial), partial, EPISODES, i),
            "full": lambda i: rollout(ShortestPath(full), full, EPISODES, i),
        }
    )
    ratios = {
        name: statistics.median(ours / bot for ours, bot in zip(rates[name], rates["bot"]))
        for name in ("partial", "full")
    }
    middle = {name: statistics.median(values) for name, values in rates.items()}
    return [
        (f"{LEVEL}: bot, plain loop", middle["bot"], "episodes/s"),
        (f"{LEVEL}: expert, rollout with the 7 x 7 views", middle["partial"], "episodes/s"),
        (f"{LEVEL}: expert, rollout with the full map", middle["full"], "episodes/s"),
        ("expert with views / plain bot loop (at least 2.2)", ratios["partial"], "x"),
        ("expert with the full map / plain bot loop", ratios["full"], "x"),
    ]


def collecting() -> list[Row]:
    """Episodes and steps a second of `collect` with all cores, mixed data, three levels."""
    from seqrl.collection import collect

    rows: list[Row] = []
    for level in (LEVEL, "GoToObjMazeS7", "GoToSeqS5R2"):
        start = time.perf_counter()
        data = collect(level, "mixed", 1000, progress=False)
        seconds = time.perf_counter() - start
        rows.append((f"{level}: collect mixed, all cores", len(data) / seconds, "episodes/s"))
        rows.append((f"{level}: collect mixed, all cores", data.steps / seconds, "steps/s"))
    return rows


def _plain_bot_loop(turn: int) -> None:
    """What one writes with MiniGrid alone, for as many episodes; keeps nothing."""
    import gymnasium as gym
    import minigrid  # noqa: F401  (registers its environments)
    from minigrid.utils.baby_ai_bot import BabyAIBot

    env = gym.make(f"BabyAI-{LEVEL}-v0")
    with contextlib.redirect_stdout(io.StringIO()):  # the level prints when it rejects a map
        for episode in range(EPISODES):
            env.reset(seed=turn * EPISODES + episode)
            bot, action, over = BabyAIBot(env), None, False
            while not over:
                action = bot.replan(action)
                _, _, terminated, truncated, _ = env.step(action)
                over = terminated or truncated


def _in_turns(tasks: dict[str, Callable[[int], object]]) -> dict[str, list[float]]:
    """Episodes a second of each task, in each round; one round before them is not counted.

    Seconds are those of this process, so that other work on the machine counts for nothing.
    """
    rates: dict[str, list[float]] = {name: [] for name in tasks}
    for turn in range(ROUNDS + 1):
        for name, task in tasks.items():
            start = time.process_time()
            task(turn)
            if turn:
                rates[name].append(EPISODES / (time.process_time() - start))
    return rates


BENCHMARKS: tuple[Callable[[], list[Row]], ...] = (expert_against_bot, collecting)

if __name__ == "__main__":
    main()
