"""The command line: `python -m seqrl COMMAND`, or `seqrl COMMAND` once installed.

A command is a function that adds its parser to the others and sets `run`, a function from the
parsed arguments to the exit status. What a command needs is imported when it runs.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from seqrl import cli_grade, cli_runs

_ORIGIN = ("env", "policy", "epsilon", "reward", "view", "split", "stream", "seed", "seqrl")
_POLICIES = ("expert", "noisy", "mixed", "bot", "random")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0, or 2 after an error, told on stderr in a sentence, or a command's own."""
    parser = _Parser(prog="seqrl", description="Reinforcement learning as sequence modeling.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in COMMANDS:
        add(commands)
    parsed = parser.parse_args(arguments)
    try:
        return parsed.run(parsed)
    except KeyboardInterrupt:
        what = getattr(parsed, "interrupted", "nothing was written")
        print(f"seqrl: interrupted; {what}.", file=sys.stderr)
        return 130
    except _told() as error:
        print(f"seqrl: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


def _told() -> tuple[type[Exception], ...]:
    """Errors that are told in a sentence; gymnasium's only where it was imported: it is slow."""
    gymnasium = sys.modules.get("gymnasium.error")
    more = (gymnasium.Error,) if gymnasium else ()
    return (ValueError, RuntimeError, OSError, ImportError, FloatingPointError, *more)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message}; see {self.prog} --help.", file=sys.stderr)
        raise SystemExit(2)


def _add_collect(commands: Any) -> None:
    text = "Collect trajectories of a behavior policy and save them as a Minari dataset."
    parser = commands.add_parser("collect", help=text, description=text)
    parser.add_argument("env", metavar="ENV", help="a BabyAI or MiniGrid level, or a gymnasium id")
    parser.add_argument("--policy", choices=_POLICIES, default="expert")
    parser.add_argument("--epsilon", type=float, default=0.0, help="noise of 'noisy' and 'bot'")
    parser.add_argument("--episodes", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="folder to make; by default named after the rest")
    parser.add_argument("--overwrite", action="store_true", help="replace a dataset that is there")
    parser.add_argument("--reward", choices=("step", "end"), help="the level's own by default")
    parser.add_argument("--view", choices=("full", "partial"), help="the level's own by default")
    parser.add_argument("--processes", type=int, help="by default all cores from 200 episodes on")
    parser.set_defaults(run=_collect)


def _collect(arguments: argparse.Namespace) -> int:
    from seqrl import datasets
    from seqrl.minari_io import save_minari

    a = arguments
    name = f"{a.env}-{a.policy}-{a.episodes}-seed{a.seed}".replace("/", "-")
    out: Path = a.out or Path(name)
    if out.exists() and not a.overwrite:
        raise ValueError(f"{out} exists; give another --out, or --overwrite.")
    data = datasets.collect(
        a.env,
        a.policy,
        a.episodes,
        a.seed,
        epsilon=a.epsilon,
        reward=a.reward,
        view=a.view,
        processes=a.processes,
    )
    save_minari(data, out)
    print(f"{_describe(data)}\nsaved in {out}")
    return 0


def _add_info(commands: Any) -> None:
    text = "Describe a dataset."
    parser = commands.add_parser("info", help=text, description=text)
    names = "LEVEL/expert, LEVEL/mixed, LEVEL/random, ROBOT/KIND (hopper/medium), a path or an id"
    parser.add_argument("dataset", help=names)
    parser.add_argument("--episodes", type=int, help="only the first ones")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.set_defaults(run=_info)


def _info(arguments: argparse.Namespace) -> int:
    from seqrl import datasets

    data = datasets.load(arguments.dataset, arguments.episodes)
    if arguments.json:
        robot = _robot(data)
        info = {key: value for key, value in data.info.items() if key != "missions"}
        shapes = {key: list(rows.shape[1:]) for key, rows in data.observations.items()}
        if data.maps is not None:
            shapes["map"] = list(data.maps.shape[1:])
        facts = {**data.summary(), **(robot or {}), "observations": shapes, "info": info}
        print(json.dumps(facts, indent=1))
    else:
        print(_describe(data))
    return 0


def _describe(data: Any) -> str:
    """A summary of trajectories, a line for each kind of fact."""
    summary = data.summary()
    length = summary["length"]
    steps = f"{length['mean']:.1f} an episode, {length['min']:.0f} to {length['max']:.0f}"
    facts = {
        "episodes": f"{len(data):,}",
        "steps": f"{data.steps:,} ({steps}, median {length['median']:g})",
        "return": "{mean:.3g} ± {std:.2g} ({min:.3g} to {max:.3g})".format(**summary["return"]),
        "terminated": f"{summary['terminated']:.2%}",
    }
    if robot := _robot(data):
        scores, reference = robot["normalized"], robot["reference"]
        facts["normalized"] = "{mean:.1f} (quartiles {25%:.1f}, {median:.1f}, {75%:.1f}); ".format(
            **scores
        ) + "0 is a return of {random:,.1f}, 100 of {expert:,.1f}, as in D4RL".format(**reference)
    if behavior := data.info.get("behavior"):
        facts["behavior"] = _behavior(**behavior)
    if "success" in summary:
        facts["success"] = f"{summary['success']:.2%}"
    facts["observations"] = ", ".join(_observations(data))
    facts["actions"] = _actions(data)
    if left_out := data.info.get("episodes_left_out"):
        facts["episodes"] += f" ({left_out:,} more would have gone beyond the largest size)"
    told = (f"{key} {data.info[key]}" for key in _ORIGIN if key in data.info)
    facts["made from"] = ", ".join(told) or "not said"
    return "\n".join(f"{name:<13} {fact}" for name, fact in facts.items())


def _robot(data: Any) -> dict[str, Any] | None:
    """Normalized scores and what they refer to, if the data are a robot's."""
    from seqrl.environments.locomotion import robot_of
    from seqrl.robot_data import return_card

    if robot_of(str(data.info.get("env"))) is None:
        return None
    card = return_card(data)
    return {name: card[name] for name in ("normalized", "reference")}


def _behavior(algorithm: str, seed: Any, scores: dict[str, Any]) -> str:
    """The policies that made a robot's data, by their training steps and what they score."""
    told = [
        f"after {int(steps):,} steps {score['normalized']:.1f} ({score['episodes']} episodes)"
        if int(steps)
        else f"random actions {score['normalized']:.1f} ({score['episodes']} episodes)"
        for steps, score in scores.items()
    ]
    return f"{algorithm}, seed {seed}; normalized scores: {', '.join(told)}"


def _observations(data: Any) -> list[str]:
    lines = []
    for key, rows in data.observations.items():
        if key == "map" and data.maps is not None:
            shape = tuple(data.maps.shape[1:])
            lines.append(f"map {shape} in {len(data.maps):,} versions")
        else:
            lines.append(f"{key} {tuple(rows.shape[1:])}")
    return lines


def _actions(data: Any) -> str:
    """How often each discrete action was taken, or the size of continuous ones."""
    if data.actions.dim() > 1:
        low, high = data.actions.aminmax()
        return f"{data.actions.shape[1]} numbers in [{low:.3g}, {high:.3g}]"
    counts = data.actions.bincount().tolist()
    names: Sequence[str] = [str(action) for action in range(len(counts))]
    if "agent" in data.observations:
        from seqrl.environments.grid_observation import ACTIONS

        names = ACTIONS
    return ", ".join(f"{name} {n / data.steps:.1%}" for name, n in zip(names, counts) if n)


COMMANDS: tuple[Callable[[Any], None], ...] = (
    _add_collect,
    _add_info,
    *cli_runs.COMMANDS,
    *cli_grade.COMMANDS,
)
