"""A sweep on a Ray cluster: each run is a task, on whichever machine has room for it.

Ray keeps the queue, gives every task a core and its part of a GPU, and begins a task again where
its process or its machine is lost. Only the process that called the sweep writes records, so each
arrives once, however often its run was begun.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seqrl.results import Row, plain, write
from seqrl.sweep import Outcome, Run, line, scratch, to_do

RETRIES = 3  # of a run whose process or machine was lost
PATIENCE = 5.0  # seconds until an address that does not answer is given up
GRACE = 20.0  # seconds in which a run that is stopped can leave a whole checkpoint
LOOK = 1.0  # seconds, at most, between looks at the clock
MEMORY = 80 * 2**20  # bytes of a local node's object store: records are small

INSTALL = "a sweep on a cluster needs Ray: pip install 'seqrl[cluster]'."
JOIN = "ray start --address=HOST:6379"


def sweep(
    runs: Sequence[Run],
    work: Callable[[Run, Path], Row],
    folder: Path | str,
    *,
    address: str,
    jobs: int | None = None,
    gpus: float = 0.0,
    minutes: float | None = None,
    report: Callable[[str], None] = print,
) -> Outcome:
    """Does every run that has no record in `folder` on a Ray cluster; otherwise as `sweep.sweep`.

    address: HOST:PORT, or "auto" on a machine of the cluster. jobs: runs at a time, else as many as
    have room. gpus: a run's part of a GPU; with 0.25, four share one. scratch: the same path
    everywhere. Where that disk is shared, a moved run goes on from its checkpoint, else it begins
    again. ImportError without Ray, ConnectionError where nobody answers, ValueError without room.
    """
    folder = Path(folder).resolve()
    skipped, waiting = to_do(runs, folder)
    outcome = Outcome([], skipped, [], [])
    _check_asked(jobs, gpus)
    if not waiting:
        return outcome
    deadline = float("inf") if minutes is None else time.monotonic() + 60 * minutes
    with _connected(address) as ray:
        task = _task(ray, gpus)
        running: dict[Any, Run] = {}
        try:
            while (waiting or running) and time.monotonic() < deadline:
                while waiting and len(running) < (jobs or len(runs)):
                    run = waiting.pop(0)
                    running[task.remote(run, work, scratch(run, folder))] = run
                for run, finished in _over(ray, running, folder, deadline):
                    (outcome.done if finished else outcome.failed).append(run)
                    report(line(run, finished, outcome, len(runs)))
        finally:
            outcome.done.extend(_stop(ray, running, folder))
    outcome.left.extend([*running.values(), *waiting])
    return outcome


def _attempt(run: Run, work: Callable[[Run, Path], Row], scratch: Path) -> tuple[Row | None, str]:
    """On a machine of the cluster: the run's record, or what went wrong."""
    os.environ["SEQRL_PROCESSES"] = "1"  # it has one core, and Ray's threads do not bear a fork
    # Ray's workers block SIGINT: `fit`, which raises it again once it has saved, would then return.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    try:
        return plain(work(run, scratch)), ""
    except Exception:  # not retried: it would go wrong again
        return None, traceback.format_exc()


def _keep(ray: Any, ref: Any, run: Run, folder: Path) -> bool:
    """Writes the record, or what went wrong beside the records; whether there is a record."""
    try:
        row, wrong = ray.get(ref)
    except ray.exceptions.RayError as lost:  # given up, after some retries
        row, wrong = None, str(lost)
    if row is None:
        folder.mkdir(parents=True, exist_ok=True)
        _error(run, folder).write_text(wrong)
        return False
    _write(row, run, folder)
    return True


def _write(row: Row, run: Run, folder: Path) -> None:
    write(row, folder)
    _error(run, folder).unlink(missing_ok=True)  # of an earlier sweep


def _error(run: Run, folder: Path) -> Path:
    return folder / f"{run.record}.error"


def _over(
    ray: Any, running: dict[Any, Run], folder: Path, deadline: float
) -> Iterator[tuple[Run, bool]]:
    """Waits a while; takes the runs that are over out of `running`, each with: is it done?"""
    left = max(0.0, min(LOOK, deadline - time.monotonic()))
    for ref in ray.wait(list(running), timeout=left)[0]:
        run = running.pop(ref)
        yield run, _keep(ray, ref, run, folder)


def _stop(ray: Any, running: dict[Any, Run], folder: Path) -> list[Run]:
    """Interrupts tasks, as Ctrl-C would; those that finished all the same, in the last moment."""
    if not running:
        return []
    for ref in running:
        ray.cancel(ref)
    ended, _ = ray.wait(list(running), num_returns=len(running), timeout=GRACE)
    done = []
    for ref in ended:
        try:
            row, _ = ray.get(ref)
        except ray.exceptions.RayError:  # it was interrupted
            continue
        if row is not None:
            run = running.pop(ref)
            _write(row, run, folder)
            done.append(run)
    return done


def _check_asked(jobs: int | None, gpus: float) -> None:
    if jobs is not None and jobs < 1:
        raise ValueError(f"a sweep needs at least one job, not {jobs}.")
    if not 0 <= gpus <= 1:
        raise ValueError(f"a run takes a part of a GPU, from 0 to 1, not {gpus:g}.")


def _task(ray: Any, gpus: float) -> Any:
    """What is sent to the cluster; ValueError where it has no room for it."""
    found = ray.cluster_resources()
    for kind, needed in (("CPU", 1.0), ("GPU", gpus)):
        if found.get(kind, 0.0) < needed:
            raise ValueError(f"the cluster has no {kind}: let a machine with one join, {JOIN}.")
    # max_calls: a process of its own for every run, as in `sweep.sweep`.
    return ray.remote(num_cpus=1, num_gpus=gpus, max_calls=1, max_retries=RETRIES)(_attempt)


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    """Ray, connected to a cluster; ConnectionError where none answers, soon and in a sentence."""
    try:
        import ray
    except ImportError:
        raise ImportError(INSTALL) from None
    nobody = f"no Ray cluster answers at {address}: start one with ray start --head."
    try:
        if address != "auto":  # Ray itself would try for minutes
            host, _, port = address.rpartition(":")
            if not host or not port.isdigit():
                raise ValueError(f"--ray takes HOST:PORT or auto, not {address!r}.")
            socket.create_connection((host, int(port)), PATIENCE).close()
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, OverflowError, SystemExit):
        raise ConnectionError(nobody) from None
    try:
        yield ray
    finally:
        ray.shutdown()


@contextmanager
def local_cluster(nodes: int = 2, cpus: int = 1) -> Iterator[Any]:
    """A real cluster on this machine, to try things with: so many nodes with so many CPUs each.

    Yields Ray's `Cluster`: it has an `address`, `worker_nodes` and `remove_node`. Its processes end
    with the block. Raises ImportError without Ray.
    """
    from unittest.mock import patch

    try:
        from ray.cluster_utils import Cluster
    except ImportError:
        raise ImportError(INSTALL) from None
    node: dict[str, Any] = {
        "num_cpus": cpus,
        "object_store_memory": MEMORY,
        "include_dashboard": False,
    }
    with patch.dict(os.environ, RAY_USAGE_STATS_ENABLED="0"):  # nothing is told to anyone
        cluster = Cluster(initialize_head=True, head_node_args=node)
        try:
            for _ in range(nodes - 1):
                cluster.add_node(**node)
            yield cluster
        finally:
            cluster.shutdown()
