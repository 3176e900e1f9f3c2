"""A sweep on a real Ray cluster of two nodes, of which one is killed while it works."""

import contextlib
import os
import signal
import sys
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pytest

from seqrl import ray_sweep
from seqrl.cli import main
from seqrl.results import read_all
from seqrl.sweep import Outcome, Run

RUNS = [Run("dt", "maze/mixed", seed, {"steps": 3}) for seed in range(3)]


def _record(run, **scores):  # without what made it: that would import torch in every process
    return {**asdict(run), "scores": scores, "episodes": {}}


def _begin(run, scratch):
    """Leaves a note of this attempt; how many there are, and the node that this is."""
    import ray

    node = ray.get_runtime_context().get_node_id()
    scratch.mkdir(parents=True, exist_ok=True)
    (scratch / f"attempt-{time.time_ns()}").write_text(node)
    return len(list(scratch.glob("attempt-*"))), node


def attempts(folder):
    """The nodes of the attempts of each run, by seed."""
    found = {run.seed: ray_sweep.scratch(run, folder).glob("attempt-*") for run in RUNS}
    return {seed: [path.read_text() for path in sorted(paths)] for seed, paths in found.items()}


def hangs_on_a_node(run, scratch):
    """A quick run, but on the node that the file `doomed` names one that never ends."""
    times, node = _begin(run, scratch)
    while node == (scratch.parent / "doomed").read_text():
        time.sleep(0.1)
    return _record(run, times=times)


def breaks(run, scratch):
    """Seed 1 raises, seed 2 is killed, but only the first time."""
    times, _ = _begin(run, scratch)
    if run.seed == 1:
        raise RuntimeError("the dog ate it")
    if run.seed == 2 and times == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return _record(run, times=times)


def endless(run, scratch):
    """A run that only a signal ends, as it does `training.fit`: it saves, and raises it again."""
    _begin(run, scratch)
    came = []
    before = signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    while not came:
        time.sleep(0.05)
    (scratch / "saved").touch()
    signal.signal(signal.SIGINT, before)
    signal.raise_signal(signal.SIGINT)
    (scratch / "went on").touch()
    return _record(run, unfinished=1)


def takes_its_last_step(run, scratch):
    """A run that is done just when the signal comes."""
    with contextlib.suppress(KeyboardInterrupt):
        endless(run, scratch)
    return _record(run)


@pytest.fixture(scope="module")
def cluster():
    """Two nodes with a CPU each; their processes find this file."""
    pytest.importorskip("ray", reason="needs the extra cluster")
    with pytest.MonkeyPatch.context() as patch:
        paths = [str(Path(__file__).parent), *filter(None, sys.path)]
        patch.setenv("PYTHONPATH", os.pathsep.join(paths))
        with ray_sweep.local_cluster(nodes=2) as found:
            yield found


def test_every_record_arrives_once_though_a_node_is_killed(cluster, tmp_path, monkeypatch):
    (node,) = cluster.worker_nodes
    (tmp_path / "scratch").mkdir()
    (tmp_path / "scratch" / "doomed").write_text(node.node_id)
    written, lines = Counter(), []
    write = ray_sweep.write
    monkeypatch.setattr(
        ray_sweep, "write", lambda row, folder: written.update([row["seed"]]) or write(row, folder)
    )

    def kill(line):
        lines.append(line)
        limit = time.monotonic() + 60
        while node in cluster.worker_nodes:  # the first record is here; the node has begun a run
            if [node.node_id] in attempts(tmp_path).values():
                cluster.remove_node(node, allow_graceful=False)
            assert time.monotonic() < limit, "the node began no run"
            time.sleep(0.05)

    first = ray_sweep.sweep(RUNS, hangs_on_a_node, tmp_path, address=cluster.address, report=kill)
    assert (len(first.done), first.skipped, first.failed, first.left) == (3, [], [], [])
    assert written == {0: 1, 1: 1, 2: 1}
    assert sorted(run["seed"] for run in read_all(tmp_path)) == [0, 1, 2]
    assert len(lines) == 3 and lines[-1].startswith("[3/3] dt maze/mixed")
    (again,) = [nodes for nodes in attempts(tmp_path).values() if len(nodes) > 1]
    assert again[0] == node.node_id and again[1] == cluster.head_node.node_id
    assert ray_sweep.sweep(RUNS, breaks, tmp_path, address="nobody:1") == Outcome([], RUNS, [], [])


def test_a_run_that_raises_is_told_and_one_whose_process_dies_is_done_again(cluster, tmp_path):
    quiet = {"address": cluster.address, "report": lambda line: None}
    outcome = ray_sweep.sweep(RUNS[1:3], breaks, tmp_path, **quiet)
    assert (outcome.done, outcome.failed) == ([RUNS[2]], [RUNS[1]])
    assert "the dog ate it" in (tmp_path / f"{RUNS[1].record}.error").read_text()
    assert [len(nodes) for nodes in attempts(tmp_path).values()] == [0, 1, 2]
    assert [run["scores"] for run in read_all(tmp_path)] == [{"times": 2}]


def test_the_deadline_stops_what_runs_and_leaves_the_rest(cluster, tmp_path, monkeypatch):
    begun = ray_sweep.scratch(RUNS[0], tmp_path)
    clock = SimpleNamespace(monotonic=lambda: 100.0 if begun.exists() else 0.0)
    monkeypatch.setattr(ray_sweep, "time", clock)  # over when the first run has begun
    asked = {"address": cluster.address, "minutes": 1, "jobs": 1}
    assert ray_sweep.sweep(RUNS, endless, tmp_path, **asked) == Outcome([], [], [], RUNS)
    assert (begun / "saved").exists() and not (begun / "went on").exists()
    assert read_all(tmp_path) == []
    assert [len(nodes) for nodes in attempts(tmp_path).values()] == [1, 0, 0]


def test_what_finishes_in_the_last_moment_is_kept(cluster, tmp_path, monkeypatch):
    begun = ray_sweep.scratch(RUNS[0], tmp_path)
    clock = SimpleNamespace(monotonic=lambda: 100.0 if begun.exists() else 0.0)
    monkeypatch.setattr(ray_sweep, "time", clock)  # over when the first run has begun
    (tmp_path / f"{RUNS[0].record}.error").write_text("of an earlier sweep")
    asked = {"address": cluster.address, "minutes": 1, "jobs": 1}
    outcome = ray_sweep.sweep(RUNS, takes_its_last_step, tmp_path, **asked)
    assert outcome == Outcome([RUNS[0]], [], [], RUNS[1:])
    assert [run["seed"] for run in read_all(tmp_path)] == [0]
    assert list(tmp_path.glob("*.error")) == []


def test_what_the_cluster_has_no_room_for_is_refused(cluster, tmp_path):
    with pytest.raises(ValueError, match="no GPU: let a machine with one join, ray start"):
        ray_sweep.sweep(RUNS, breaks, tmp_path, address=cluster.address, gpus=0.25)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"address": "127.0.0.1:9"}, "no Ray cluster answers at 127.0.0.1:9: .* ray start --head"),
        ({"address": "somewhere"}, "HOST:PORT or auto"),
        ({"address": "auto", "jobs": 0}, "at least one job"),
        ({"address": "auto", "gpus": 1.5}, "from 0 to 1, not 1.5"),
    ],
)
def test_bad_sweeps_are_refused(tmp_path, options, message):
    pytest.importorskip("ray", reason="needs the extra cluster")
    with pytest.raises((ValueError, ConnectionError), match=message):
        ray_sweep.sweep(RUNS, breaks, tmp_path, **options)
    with pytest.raises(ValueError, match="two runs of the same"):
        ray_sweep.sweep([RUNS[0], RUNS[0]], breaks, tmp_path, **options)


def test_without_ray_the_command_says_how_to_install_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    spec = tmp_path / "spec.toml"
    spec.write_text('[[runs]]\nmethods = ["bc"]\ndatasets = ["KeyToDoor/random"]\nseeds = [0]\n')
    assert main(["sweep", str(spec), "--out", str(tmp_path), "--ray", "auto"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "pip install 'seqrl[cluster]'" in told
    assert main(["sweep", str(spec), "--out", str(tmp_path), "--gpus-per-run", "1"]) == 2
    assert "--ray" in capsys.readouterr().err


def test_the_command_hands_its_options_on(tmp_path, monkeypatch):
    asked = {}
    monkeypatch.setattr(
        ray_sweep, "sweep", lambda *a, **options: asked.update(options) or Outcome([], [], [], [])
    )
    spec = tmp_path / "spec.toml"
    spec.write_text('[[runs]]\nmethods = ["bc"]\ndatasets = ["KeyToDoor/random"]\nseeds = [0]\n')
    command = ["sweep", str(spec), "--out", str(tmp_path), "--ray", "head:6379"]
    assert main([*command, "--gpus-per-run", "0.25", "--jobs", "8"]) == 0
    assert (asked["address"], asked["gpus"], asked["jobs"]) == ("head:6379", 0.25, 8)
    assert main(command) == 0 and asked["gpus"] == 0.0
