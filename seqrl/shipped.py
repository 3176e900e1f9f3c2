"""The checkpoints that come with the package: which there are, and when one may stand for a run.

They are seed 0 of the book's sweeps, never the best seed, in float16. A page asks `train_or_load`,
which takes a shipped checkpoint only where training now would have the same model, data and recipe.
"""

from __future__ import annotations

import itertools
import json
import re
import shutil
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

from seqrl import checkpoints, experiments, speed
from seqrl.environments import levels
from seqrl.environments.locomotion import robot_of
from seqrl.optimization import Recipe, choose_precision
from seqrl.results import NEEDED
from seqrl.settings import Setting, usual
from seqrl.sweep import Run
from seqrl.trained import Trained, load
from seqrl.training import History

ASSETS = Path(__file__).parent / "assets"
CHECKPOINTS = ASSETS / "checkpoints"
LARGEST = 3_000_000  # bytes of a shipped checkpoint
SHIPPED_METHODS = ("bc", "bc25", "rvs", "iql", "dt", "tt", "leap")
SHIPPED_LEVELS = ("GoToLocalS8N7", "GoToObjMazeS4", "PickupLoc", levels.KEY_TO_DOOR)
SHIPPED_ROBOTS = (
    ("dt", "hopper/medium-replay"),
    ("tt", "hopper/medium-replay"),
    ("iql", "hopper/medium"),
)
NOT_SHIPPED = {(m, levels.KEY_TO_DOOR) for m in ("tt", "leap")}  # no sweep has them
NUMBERED = re.compile(r"(.*?)(?:-(\d+))?")  # a kind of data, and how many episodes of it
SMOKE = {"steps": 10, "episodes": 10}  # of a run that is only to be run through
SMOKE_DATA = 40  # episodes


class Shipment(NamedTuple):
    """What `ship` did: the files it wrote, and the runs that the sweep does not have."""

    files: list[Path]
    missing: list[Run]


def usual_kind(env: str) -> str:
    """The data of an environment's shipped checkpoints, as in LEVEL/KIND."""
    if robot_of(env):
        return "medium-replay"
    others = {levels.KEY_TO_DOOR: "random-10000", "MiniGrid-MultiRoom-N4-S5-v1": "expert+random"}
    return others.get(env, "mixed")


def path_of(method: str, env: str, kind: str | None = None, folder: Path = CHECKPOINTS) -> Path:
    """The file of a method's shipped checkpoint, whether it is there or not.

    kind: of the data, by default `usual_kind(env)`.
    """
    env = robot.name if (robot := robot_of(env)) else env
    return folder / f"{method}-{env}-{kind or usual_kind(env)}.safetensors"


def ship(folder: Path | str, to: Path = CHECKPOINTS) -> Shipment:
    """Copies the checkpoints of a sweep's seed 0 that the package comes with.

    Every one is checked before the first is copied: ValueError where one is larger than 3 MB, or
    not the checkpoint that its record scored, or where there is none.
    """
    folder = Path(folder)
    files: list[tuple[Path, Path]] = []
    missing: list[Run] = []
    grids = itertools.product(SHIPPED_METHODS, SHIPPED_LEVELS)
    runs = [(m, f"{env}/{usual_kind(env)}") for m, env in grids if (m, env) not in NOT_SHIPPED]
    for method, dataset in (*runs, *SHIPPED_ROBOTS):
        run, (env, _, kind) = Run(method, dataset, 0), dataset.partition("/")
        source = folder / "scratch" / Path(run.record).stem / "model.safetensors"
        if not source.exists() or not (folder / run.record).exists():
            missing.append(run)
            continue
        _check_shippable(source, folder / run.record)
        files.append((source, path_of(method, env, kind, to)))
    if not files:
        raise ValueError(f"{folder} has no finished run of those that are shipped.")
    to.mkdir(parents=True, exist_ok=True)
    return Shipment([Path(shutil.copyfile(source, copy)) for source, copy in files], missing)


def _check_shippable(path: Path, record: Path) -> None:
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path} has {path.stat().st_size / 1e6:.1f} MB; at most 3 are shipped.")
    run = json.loads(record.read_text())
    if missing := [name for name in (*NEEDED, "checkpoint") if name not in run]:
        raise ValueError(f"{record} is not the record of a checkpoint: it has no {missing[0]!r}.")
    if load(path).card["sha256"] != run["checkpoint"]:
        raise ValueError(f"{path} is not the checkpoint that {record.name} scored.")


def train_or_load(
    method: str, dataset: str, seed: int = 0, *, folder: Path = CHECKPOINTS, **config: Any
) -> tuple[Trained, History | None]:
    """The shipped model of a method on LEVEL/KIND, or one trained now, with its history.

    Loaded is a checkpoint whose method, model, recipe and data are those that training would have
    now; at full speed none. Else the book's protocol is trained, at smoke speed a few steps on a
    few episodes. At smoke the data are not made, so only their environment is compared. `config`:
    fields of `settings.Setting`. Prints which of the two it was.
    """
    experiments.check(config, method)
    name, why = f"{method} on {dataset}", "full speed"
    if speed.current() != "full":
        try:
            trained, compared = _shipped(Run(method, dataset, seed, config), folder)
        except checkpoints.CheckpointError as error:
            why = str(error).rstrip(".")
        else:
            about = f"seed {seed}, {trained.card['recipe']['steps']:,} updates"
            sha = trained.card["sha256"][:8]
            print(f"{name}: shipped checkpoint {sha}, {about} ({compared} compared).")
            return trained, None
    trained, history = _train(Run(method, dataset, seed, config))
    print(f"{name}: trained now, seed {seed}, {len(history.loss):,} updates ({why}).")
    return trained, history


def expected_card(run: Run) -> dict[str, Any]:
    """What the card of a run's checkpoint says of method, model, data and recipe; makes the data.

    Of the data: environment, counts and digest.
    """
    data = experiments.dataset(run.dataset)
    size = experiments.setting(data, run.config, run.method)
    part = experiments.part_of(run.method, data)
    model = experiments.METHODS[run.method].config(part, size).build()
    about = checkpoints.data_card(part)
    return {
        "method": run.method,
        "model": checkpoints.model_card(model),
        "data": {
            **{name: about.get(name) for name in ("env", "episodes", "steps", "digest")},
            "augmented": size.augment,
        },
        "recipe": _recipe(run.seed, size),
    }


def _recipe(seed: int, size: Setting) -> dict[str, Any]:
    recipe = Recipe(**size.recipe)
    return {**asdict(recipe), "seed": seed, "precision": choose_precision("cpu")}


def _shipped(run: Run, folder: Path) -> tuple[Trained, str]:
    """The shipped checkpoint that stands for a run, and what was compared."""
    env, _, kind = run.dataset.rpartition("/")
    path = path_of(run.method, env, kind, folder)
    if not path.exists():
        raise checkpoints.CheckpointError("none is shipped")
    trained = load(path)
    if speed.current() == "smoke":
        kind, number = NUMBERED.fullmatch(kind).groups()  # type: ignore[union-attr]
        env = robot.env if (robot := robot_of(env)) else env
        size = usual(env, int(number or experiments.SIZES.get(kind, 0)))
        size = replace(size, **{**experiments.METHODS[run.method].own(env), **run.config})
        sizes: dict[str, Any] = {"encoder": {"width": size.width}}
        own = {"context": size.context, "trunk": {"layers": size.layers}}
        sizes |= {name: x for name, x in own.items() if name in trained.card["model"]}
        card = {
            "method": run.method,
            "model": sizes,
            "data": {"env": env, "augmented": size.augment},
            "recipe": _recipe(run.seed, size),
        }
        compared = "method, sizes and recipe"
    else:
        card, compared = expected_card(run), "method, model, data and recipe"
    different = checkpoints.difference(trained.card, json.loads(json.dumps(card)))
    if different:
        field, found, wanted = different
        raise checkpoints.CheckpointError(
            f"the shipped checkpoint has {field} = {found!r}, not {wanted!r}"
        )
    return trained, compared


def _train(run: Run) -> tuple[Trained, History]:
    config, name, trials = dict(run.config), run.dataset, None
    if speed.current() == "smoke":
        env, _, kind = name.rpartition("/")
        config |= SMOKE
        if (kind := kind.partition("-")[0]) in experiments.SIZES:
            name = f"{env}/{kind}-{SMOKE_DATA}"
        trials = SMOKE["episodes"]
    data = experiments.dataset(name)
    size = experiments.setting(data, config, run.method)
    with tempfile.TemporaryDirectory() as scratch:
        trained, history = experiments.train(run.method, data, run.seed, size, Path(scratch))
        experiments.choose_target(trained, data, Path(scratch) / "model.safetensors", trials)
    return trained, history


if __name__ == "__main__":
    try:
        shipment = ship(sys.argv[1])
    except ValueError as error:
        raise SystemExit(f"shipped: {error}") from None
    for path in shipment.files:
        print(path.name)
    for absent in shipment.missing:
        print(f"not in the sweep: {absent.method} {absent.dataset} seed {absent.seed}")
