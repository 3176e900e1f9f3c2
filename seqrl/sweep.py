"""Many runs, some at a time: resumable, recorded, each in a process of its own.

A run is done when its record is in the folder. So a sweep that was stopped, by its deadline or by a
kill, goes on where it was: runs that have a record are skipped, runs that have begun go on from
their last checkpoint (`training.fit` leaves a whole one when it is terminated).
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
import tomllib
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

from seqrl.results import Row, file_name, write

LISTS = {"methods": str, "datasets": str, "seeds": int}  # of a [[runs]] block, all needed
POLL = 0.05  # seconds between looks at the running processes


@dataclass(frozen=True)
class Run:
    """One cell of a table: a method on a dataset, with one training seed."""

    method: str
    dataset: str
    seed: int = 0
    config: dict[str, Any] = field(default_factory=dict)

    @property
    def record(self) -> str:
        """The name of the run's record; another config is another run."""
        return file_name(self.method, self.dataset, self.seed, self.config)


class Outcome(NamedTuple):
    """What became of a sweep's runs."""

    done: list[Run]
    skipped: list[Run]  # had a record already
    failed: list[Run]  # what happened is in the folder, beside the records: NAME.error
    left: list[Run]  # not finished at the deadline


class Spec(NamedTuple):
    """What a file asks for."""

    runs: list[Run]
    out: Path | None  # where to, if it says


def read_spec(path: Path | str) -> Spec:
    """The runs of a TOML file: every method on every dataset with every seed of each [[runs]].

    Seeds vary slowest, over all blocks, so that seed 0 of everything comes first; with
    `blocks_first = true` before the blocks, within each block. A block may have a `config`; before
    the blocks, `out` is a folder relative to the file's. ValueError for a file that says something
    else.
    """
    try:
        spec = tomllib.loads(Path(path).read_text("utf8"))
    except OSError as error:
        raise ValueError(f"there is no file {path} to be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a TOML file: {error}.") from error
    blocks, out = spec.pop("runs", None), spec.pop("out", None)
    blocks_first = spec.pop("blocks_first", False)
    if spec:
        raise ValueError(f"{path} has an unknown field {next(iter(spec))!r}.")
    if not (isinstance(blocks, list) and blocks and all(isinstance(b, dict) for b in blocks)):
        raise ValueError(f"{path} has no [[runs]].")
    if not isinstance(out, str | None):
        raise ValueError(f"{path}: out is the name of a folder, not {out!r}.")
    if not isinstance(blocks_first, bool):
        raise ValueError(f"{path}: blocks_first is true or false, not {blocks_first!r}.")
    for block in blocks:
        _check_block(block, path)
    parts = [[block] for block in blocks] if blocks_first else [blocks]
    runs = [run for part in parts for run in _runs(part)]
    return Spec(runs, None if out is None else Path(path).parent / out)


def _runs(blocks: list[dict[str, Any]]) -> Iterator[Run]:
    """The runs of some blocks; seeds vary slowest, methods fastest."""
    for seed in dict.fromkeys(seed for block in blocks for seed in block["seeds"]):
        for block in blocks:
            if seed in block["seeds"]:
                for dataset, method in product(block["datasets"], block["methods"]):
                    yield Run(method, dataset, seed, dict(block.get("config", {})))


def _check_block(block: dict[str, Any], path: Path | str) -> None:
    for name, kind in LISTS.items():
        values = block.get(name)
        if not (isinstance(values, list) and values and all(type(x) is kind for x in values)):
            raise ValueError(f"{path}: a [[runs]] needs {name}, a list of {kind.__name__}.")
    if unknown := [name for name in block if name not in (*LISTS, "config")]:
        raise ValueError(f"{path}: a [[runs]] has an unknown field {unknown[0]!r}.")
    if not isinstance(block.get("config", {}), dict):
        raise ValueError(f"{path}: the config of a [[runs]] is a table.")


def sweep(
    runs: Sequence[Run],
    work: Callable[[Run, Path], Row],
    folder: Path | str,
    *,
    jobs: int = 1,
    minutes: float | None = None,
    report: Callable[[str], None] = print,
) -> Outcome:
    """Does every run that has no record in `folder`; `work(run, scratch)` returns its record.

    jobs: runs at a time; they share the cores equally, and OMP_NUM_THREADS is the most threads that
    one takes. minutes: then no run begins any more, and those that run are terminated. scratch: a
    folder of the run's own, for checkpoints. A run that fails is reported and does not stop the
    others. Raises ValueError for runs that are the same.
    """
    folder = Path(folder)
    skipped, waiting = to_do(runs, folder)
    if jobs < 1:
        raise ValueError(f"a sweep needs at least one job, not {jobs}.")
    if minutes is not None and minutes < 0:
        raise ValueError(f"a sweep cannot end {-minutes:g} minutes ago.")
    deadline = float("inf") if minutes is None else time.monotonic() + 60 * minutes
    outcome = Outcome([], skipped, [], [])
    running: list[tuple[Run, BaseProcess]] = []
    try:
        while (waiting or running) and time.monotonic() < deadline:
            while waiting and len(running) < jobs:
                running.append((waiting[0], _start(waiting.pop(0), work, folder, jobs)))
            time.sleep(POLL)
            for run, process in [pair for pair in running if not pair[1].is_alive()]:
                running.remove((run, process))
                finished = (folder / run.record).exists()
                (outcome.done if finished else outcome.failed).append(run)
                report(line(run, finished, outcome, len(runs)))
    finally:
        _stop([process for _, process in running])
    for run in [*(run for run, _ in running), *waiting]:
        finished = (folder / run.record).exists()  # in its last moment
        (outcome.done if finished else outcome.left).append(run)
    return outcome


def to_do(runs: Sequence[Run], folder: Path) -> tuple[list[Run], list[Run]]:
    """Those that have a record in `folder`, and the others; ValueError where two are the same."""
    if len({run.record for run in runs}) < len(runs):
        raise ValueError("a sweep has two runs of the same method, dataset, seed and config.")
    done = [run for run in runs if (folder / run.record).exists()]
    return done, [run for run in runs if run not in done]


def idle(run: Run, scratch: Path) -> Row:
    """A run that does nothing: what it takes is what the sweep itself takes."""
    return {**asdict(run), "scores": {}, "episodes": {}}


def scratch(run: Run, folder: Path) -> Path:
    """The folder of the run's own, for checkpoints."""
    return folder / "scratch" / Path(run.record).stem


def _start(run: Run, work: Callable[[Run, Path], Row], folder: Path, jobs: int) -> BaseProcess:
    # A fresh interpreter: a fork of a process that has used several threads may hang.
    process = multiprocessing.get_context("spawn").Process(
        target=_one, args=(run, work, folder), name=run.record
    )
    before = os.environ.get("OMP_NUM_THREADS")
    share = max(1, (os.cpu_count() or 1) // jobs)
    os.environ["OMP_NUM_THREADS"] = str(min(share, int(before or share)))
    try:
        process.start()  # with the environment of this moment
    finally:
        os.environ.pop("OMP_NUM_THREADS")
        if before is not None:
            os.environ["OMP_NUM_THREADS"] = before
    return process


def _stop(processes: list[BaseProcess]) -> None:
    """Terminates processes, and waits for them."""
    for process in processes:
        process.terminate()
    for process in processes:
        process.join()


def _one(run: Run, work: Callable[[Run, Path], Row], folder: Path) -> None:
    """In the run's process: work, and write the record or what went wrong."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    error = folder / f"{run.record}.error"
    try:
        write(work(run, scratch(run, folder)), folder)
        error.unlink(missing_ok=True)
    except KeyboardInterrupt:  # of the sweep: its checkpoint is written, no word is needed
        sys.exit(130)
    except Exception:
        folder.mkdir(parents=True, exist_ok=True)
        error.write_text(traceback.format_exc())
        sys.exit(1)


def _end_with_parent() -> None:
    """Terminates this process when the sweep is gone: two must never write one checkpoint."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)  # `training.fit` leaves a whole checkpoint


def line(run: Run, finished: bool, outcome: Outcome, total: int) -> str:
    """What a sweep says of a run that is over."""
    count = len(outcome.done) + len(outcome.skipped) + len(outcome.failed)
    state = "done" if finished else f"FAILED, see {run.record}.error"
    return f"[{count}/{total}] {run.method} {run.dataset} seed {run.seed}: {state}"
