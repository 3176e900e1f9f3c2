"""The commands that train and test: `evaluate`, `train`, `sweep`, `results`; see `cli`."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

SIZES = {  # the fields of settings.Setting, each an option of `train`
    "width": (int, "of the model"),
    "layers": (int, "of a Transformer"),
    "context": (int, "steps of a window"),
    "steps": (int, "updates"),
    "batch": (int, "windows an update"),
    "lr": (float, "the learning rate"),
    "dropout": (float, "of the model"),
    "weight_decay": (float, "of AdamW"),
    "clip": (float, "the gradient's norm at most"),
    "episodes": (int, "test episodes"),
    "bins": (str, "of Trajectory Transformer's numbers: quantile or uniform"),
    "beam": (int, "sequences that its planner keeps"),
    "horizon": (int, "transitions that its planner imagines"),
}
AGAIN = "the same call goes on from there"
KNOWN = "bc, bc10, bc25, bc50, rvs, iql, dt, leap, leap_return, bc_success or tt"


def _add_device(parser: argparse.ArgumentParser) -> None:
    text = "cpu or cuda; by default a GPU for robots where there is one, else the CPU"
    parser.add_argument("--device", help=text)


def _add_evaluate(commands: Any) -> None:
    text = "Let a trained model act in test episodes, on maps that no dataset holds."
    parser = commands.add_parser("evaluate", help=text, description=text)
    parser.add_argument("--method", help="bc, dt, ...; by default the checkpoint's")
    parser.add_argument("--env", help="by default the one that the checkpoint was made for")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--data", metavar="KIND", help="of the shipped checkpoint, where there are several"
    )
    which.add_argument("--checkpoint", type=Path, metavar="FILE_OR_DIR", help="one of your own")
    parser.add_argument("--episodes", type=int, help="by default 400; of robots 20, for TT 5")
    parser.add_argument("--seed", type=int, default=0, help="of the test episodes")
    parser.add_argument("--target-return", type=float, help="by default what the checkpoint says")
    parser.add_argument(
        "--anyway", action="store_true", help="also on an --env that the model was not made for"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    _add_device(parser)
    parser.set_defaults(run=_evaluate)


def _evaluate(a: argparse.Namespace) -> int:
    from seqrl import experiments, results, trained

    if a.episodes is not None and a.episodes < 1:
        raise ValueError(f"an evaluation needs at least one episode, not {a.episodes}.")
    model = trained.load(_checkpoint(a))
    env = _level(a.env) if a.env else model.env
    model.model.to(trained.choose_device(env, a.device))
    made, data = model.card.get("method", model.card["model"]["method"]), model.card["data"]
    if a.method not in (None, made):
        raise ValueError(f"the checkpoint is one of {made}, not of {a.method}.")
    if env != model.env and not a.anyway:
        raise ValueError(
            f"the checkpoint was made for {model.env}, not for {env}; "
            "--anyway tests how well it generalizes."
        )
    target = model.target if a.target_return is None else a.target_return
    episodes = a.episodes or experiments.usual_episodes(made, env)
    tested = model.evaluate(episodes, a.seed, target=a.target_return, env=env)
    found = {
        "method": made,
        "env": env,
        "made_for": model.env,
        "data": data.get("dataset", f"{model.env}/{data.get('policy', 'unknown')}"),
        "data_episodes": data.get("episodes"),
        "target_return": target,
        "seed": a.seed,
        **tested.summary(),
        "train_seed": model.card.get("recipe", {}).get("seed"),
        "checkpoint": model.card["sha256"],
    }
    print(json.dumps(results.plain(found), allow_nan=False) if a.json else _told(found, tested))
    return 0


def _checkpoint(a: argparse.Namespace) -> Path:
    """The file that is asked for; ValueError, naming what there is, where there is none."""
    from seqrl import experiments, shipped

    if a.checkpoint:
        path = a.checkpoint / "model.safetensors" if a.checkpoint.is_dir() else a.checkpoint
        if not path.exists():
            raise ValueError(f"there is no checkpoint {path.absolute()}.")
        return path
    if not (a.method and a.env):
        raise ValueError(
            "say --method and --env of a shipped checkpoint, or your own --checkpoint."
        )
    experiments.check({}, a.method)
    path = shipped.path_of(a.method, _level(a.env), a.data)
    if not path.exists():
        there = sorted(x.stem for x in path.parent.glob(f"{a.method}-*.safetensors"))
        raise ValueError(
            f"no checkpoint {path.stem} is shipped (there are: {', '.join(there) or 'none'}); "
            f"make one with seqrl train {a.method}, and give it as --checkpoint."
        )
    return path


def _level(env: str) -> str:
    """The full name of a level; another environment's name as it is."""
    import gymnasium as gym

    from seqrl.environments import levels
    from seqrl.environments.locomotion import robot_of

    try:
        return levels.resolve(env)
    except ValueError:
        if robot := robot_of(env):
            return robot.env
        if env not in gym.registry:
            raise
        return env


def _told(found: dict[str, Any], tested: Any) -> str:
    asked = "" if found["target_return"] is None else f", asked for {found['target_return']:g}"
    there = "" if found["env"] == found["made_for"] else f" (made for {found['made_for']})"
    tests = repr(tested).removeprefix("Evaluation(").removesuffix(")")
    return (
        f"{found['method']} on {found['env']}{there}{asked}: {tests}; "
        f"test seed {found['seed']}, checkpoint {found['checkpoint'][:8]}"
    )


def _add_train(commands: Any) -> None:
    text = "Train a method by the book's protocol, choose its target, test it, write a record."
    parser = commands.add_parser("train", help=text, description=text)
    parser.add_argument("method", metavar="METHOD", help=KNOWN)
    parser.add_argument(
        "dataset",
        metavar="DATASET",
        help="LEVEL/KIND, LEVEL/KIND-EPISODES, ROBOT/KIND, path, Minari id",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="of this run alone")
    parser.add_argument("--seed", type=int, default=0)
    for name, (kind, text) in SIZES.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, help=text)
    parser.add_argument(
        "--augment", action=argparse.BooleanOptionalAction, help="exchange colors, kinds, sides"
    )
    _add_device(parser)
    parser.set_defaults(run=_train, interrupted=AGAIN)


def _train(a: argparse.Namespace) -> int:
    from seqrl import experiments, results
    from seqrl.sweep import Run

    sizes = {name: getattr(a, name) for name in (*SIZES, "augment")}
    config = {name: value for name, value in sizes.items() if value is not None}
    experiments.check(config, a.method)
    run = Run(a.method, a.dataset, a.seed, config)
    path = a.out / run.record
    _refuse_another_run(a.out, path)
    if not path.exists():
        results.write(experiments.work(run, a.out, sys.stderr.isatty(), a.device), a.out)
    record = json.loads(path.read_text())
    for name, value in record["scores"].items():
        print(f"{name:<14}{'unknown' if value is None else format(value, '.4g')}")
    if record["target_return"] is not None:
        print(f"{'asked for':<14}{record['target_return']:.4g}")
    print(
        f"{record['seconds']:.0f} s of training; saved in {a.out}: model.safetensors, {path.name}"
    )
    return 0


def _refuse_another_run(out: Path, record: Path) -> None:
    """ValueError where the folder has what this run has not begun; `fit` compares what it has."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file; --out is a folder.")
    others = [path.name for path in sorted(out.glob("*.json")) if path.name != record.name]
    begun = record.exists() or (out / "run.safetensors").exists()
    if not begun and (out / "model.safetensors").exists():
        others.append("model.safetensors")
    if others:
        raise ValueError(f"{out} holds another run ({others[0]}); give another --out.")


def _add_sweep(commands: Any) -> None:
    text = "Do many runs, each once, and record them; the same call goes on after a stop."
    parser = commands.add_parser("sweep", help=text, description=text)
    parser.add_argument("spec", type=Path, metavar="SPEC", help="a TOML file with [[runs]] blocks")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="by default what SPEC says")
    parser.add_argument("--jobs", type=int, help="runs at a time; by default 1, with --ray all")
    parser.add_argument("--minutes", type=float, help="then stop; what is left can be done later")
    parser.add_argument("--dry-run", action="store_true", help="list the runs and do none")
    _add_device(parser)
    parser.add_argument("--ray", metavar="ADDRESS", help="on a Ray cluster: HOST:PORT, or auto")
    parser.add_argument("--gpus-per-run", type=float, default=0.0, help="0.25: four share one")
    parser.set_defaults(run=_sweep, interrupted=AGAIN)


def _sweep(a: argparse.Namespace) -> int:
    from seqrl import experiments, ray_sweep
    from seqrl.sweep import read_spec, sweep
    from seqrl.trained import choose_device

    spec = read_spec(a.spec)
    out: Path | None = a.out or spec.out
    if out is None:
        raise ValueError(f"{a.spec} does not say where the records go: give --out FOLDER.")
    for run in spec.runs:
        experiments.check(run.config, run.method)
    if a.dry_run:
        for run in spec.runs:
            state = "done" if (out / run.record).exists() else "to do"
            config = f" {json.dumps(run.config)}" if run.config else ""
            print(f"{state:<6}{run.method} {run.dataset} seed {run.seed}{config}")
        return 0
    if a.device and not a.ray:
        choose_device(None, a.device)  # a wrong one is told before work begins
    if a.gpus_per_run and not a.ray:
        raise ValueError("--gpus-per-run is said with --ray.")
    here: Any = partial(ray_sweep.sweep, address=a.ray, gpus=a.gpus_per_run) if a.ray else sweep
    work = partial(experiments.work, device=a.device) if a.device else experiments.work
    told, jobs = partial(print, flush=True), {} if a.jobs is None else {"jobs": a.jobs}
    outcome = here(spec.runs, work, out, minutes=a.minutes, report=told, **jobs)
    print(", ".join(f"{len(runs)} {name}" for name, runs in outcome._asdict().items()))
    return 1 if outcome.failed else 0


def _add_results(commands: Any) -> None:
    text = "Print the table of recorded runs, with 95 %% intervals."
    parser = commands.add_parser("results", help=text, description=text)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="of records")
    parser.add_argument(
        "--score", default="success", help="or normalized, mean_return, path_ratio, length, ..."
    )
    fields = ("method", "dataset", "seed")
    parser.add_argument("--rows", choices=fields, default="method")
    parser.add_argument("--columns", choices=fields, default="dataset")
    parser.add_argument("--format", choices=("markdown", "html", "json"), default="markdown")
    parser.set_defaults(run=_results)


def _results(a: argparse.Namespace) -> int:
    from seqrl import results

    if a.rows == a.columns:
        raise ValueError(f"--rows and --columns are both {a.rows}.")
    records = [{**run, "method": results.called(run)} for run in results.read_all(a.folder)]
    if not records:
        raise ValueError(f"there is no record of a run in {a.folder}.")
    score = a.score
    known = [x for x in records if score in x["episodes"] or x["scores"].get(score) is not None]
    if not known:
        raise ValueError(f"no run in {a.folder} has the score {score!r}.")
    if left_out := len(records) - len(known):
        print(f"seqrl: {left_out} runs have no {score}: left out.", file=sys.stderr)
    found = results.table(known, score, a.rows, a.columns)
    rows = [{str(name): cell for name, cell in row.items()} for row in found]
    _drop_intervals_of_one_seed(rows, known, a)
    if a.format == "json":
        print(json.dumps([{name: _cell(x) for name, x in row.items()} for row in rows], indent=1))
    else:
        write = results.markdown if a.format == "markdown" else results.html
        digits = 1 if score in ("success", "normalized") else 2
        print(write(rows, scale=100 if score == "success" else 1, digits=digits))
    return 0


def _drop_intervals_of_one_seed(rows: list[Any], runs: list[Any], a: argparse.Namespace) -> None:
    """Where a score is one number a run, a single run says nothing of how sure it is."""
    if any(a.score in run["episodes"] for run in runs):
        return
    count = Counter((run[a.rows], str(run[a.columns])) for run in runs)
    for row in rows:
        for name in row:
            if count[row[a.rows], name] == 1:
                row[name] = row[name].estimate


def _cell(x: Any) -> Any:
    if isinstance(x, float):
        return {"estimate": x, "low": None, "high": None}
    return x._asdict() if hasattr(x, "_asdict") else x


COMMANDS: Sequence[Callable[[Any], None]] = (_add_evaluate, _add_train, _add_sweep, _add_results)
