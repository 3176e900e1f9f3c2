"""A sweep does every run once, goes on after a stop, and outlives a run that fails."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from seqrl.results import read_all
from seqrl.sweep import Run, read_spec, sweep

RUNS = [Run("dt", "maze/mixed", seed, {"steps": 3}) for seed in range(3)]


def _record(run, **scores):  # without what made it: that would import torch in every process
    return {**asdict(run), "scores": scores, "episodes": {}}


def quick(run, scratch):
    return _record(run, success=run.seed)


def second_fails(run, scratch):
    if run.seed == 1:
        raise RuntimeError("the dog ate it")
    return quick(run, scratch)


def second_is_killed(run, scratch):
    if run.seed == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return quick(run, scratch)


def counts_itself(run, scratch):
    scratch.mkdir(parents=True, exist_ok=True)
    (scratch / str(time.monotonic_ns())).touch()
    return _record(run, times=len(list(scratch.iterdir())))


def endless(run, scratch):
    while run.seed:
        time.sleep(1)
    return quick(run, scratch)


def test_every_run_has_a_record_and_is_done_once(tmp_path):
    lines = []
    first = sweep(RUNS, counts_itself, tmp_path, jobs=2, report=lines.append)
    assert (len(first.done), first.skipped, first.failed, first.left) == (3, [], [], [])
    assert len(lines) == 3 and lines[-1].startswith("[3/3] dt maze/mixed")
    again = sweep([*RUNS, Run("dt", "maze/mixed", 9, {"steps": 3})], counts_itself, tmp_path)
    assert [run.seed for run in again.done] == [9] and again.skipped == RUNS
    runs = read_all(tmp_path)
    assert sorted(run["seed"] for run in runs) == [0, 1, 2, 9]
    assert {run["scores"]["times"] for run in runs} == {1}


def test_another_config_is_another_run(tmp_path):
    sweep(RUNS[:1], quick, tmp_path)
    other = Run("dt", "maze/mixed", 0, {"steps": 4})
    assert sweep([other], quick, tmp_path).done == [other]
    assert len(read_all(tmp_path)) == 2


@pytest.mark.parametrize("work", [second_fails, second_is_killed])
def test_a_run_that_fails_does_not_stop_the_others(tmp_path, work):
    outcome = sweep(RUNS, work, tmp_path, report=lambda line: None)
    assert [run.seed for run in outcome.failed] == [1]
    assert [run.seed for run in outcome.done] == [0, 2]
    if work is second_fails:
        assert "the dog ate it" in (tmp_path / f"{RUNS[1].record}.error").read_text()
    mended = sweep(RUNS, quick, tmp_path, report=lambda line: None)
    assert [run.seed for run in mended.done] == [1]
    assert not list(Path(tmp_path).glob("*.error"))


def test_the_deadline_stops_what_runs_and_leaves_the_rest(tmp_path):
    outcome = sweep(RUNS, endless, tmp_path, minutes=8 / 60, report=lambda line: None)
    assert [run.seed for run in outcome.done] == [0]
    assert [run.seed for run in outcome.left] == [1, 2]
    assert len(read_all(tmp_path)) == 1


def test_a_spec_goes_seed_by_seed_or_block_by_block(tmp_path):
    blocks = "".join(
        f'[[runs]]\nmethods = ["{method}"]\ndatasets = ["A"]\nseeds = [0, 1]\n'
        for method in ("bc", "dt")
    )
    path = tmp_path / "spec.toml"
    path.write_text(blocks)
    order = [(run.seed, run.method) for run in read_spec(path).runs]
    assert order == [(0, "bc"), (0, "dt"), (1, "bc"), (1, "dt")]
    path.write_text(f"blocks_first = true\n{blocks}")
    order = [(run.seed, run.method) for run in read_spec(path).runs]
    assert order == [(0, "bc"), (1, "bc"), (0, "dt"), (1, "dt")]
    path.write_text(f"blocks_first = 1\n{blocks}")
    with pytest.raises(ValueError, match="blocks_first is true or false, not 1"):
        read_spec(path)


def test_bad_sweeps_are_refused(tmp_path):
    with pytest.raises(ValueError, match="two runs of the same"):
        sweep([RUNS[0], RUNS[0]], quick, tmp_path)
    with pytest.raises(ValueError, match="at least one job"):
        sweep(RUNS, quick, tmp_path, jobs=0)


def tells_its_number(run, scratch):
    scratch.mkdir(parents=True)
    (scratch / "number").write_text(str(os.getpid()))
    time.sleep(60)


def test_runs_end_with_a_sweep_that_is_killed(tmp_path):
    code = "import test_sweep as t; t.sweep(t.RUNS[:1], t.tells_its_number, sys.argv[1])"
    guarded = f"import sys\nif __name__ == '__main__':\n    {code}\n"
    (tmp_path / "go.py").write_text(guarded)
    paths = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    command = [sys.executable, tmp_path / "go.py", tmp_path]
    process = subprocess.Popen(command, env={**os.environ, **paths})
    number = None
    while number is None:
        number = next((x.read_text() for x in tmp_path.glob("scratch/*/number")), "") or None
        time.sleep(0.05)
        assert process.poll() is None
    process.kill()
    process.wait()
    deadline = time.monotonic() + 20
    while _alive(int(number)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _alive(int(number))


def _alive(number):
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    status = Path("/proc", str(number), "stat")
    return not (status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z")


def says_its_threads(run, scratch):
    return _record(run, threads=int(os.environ["OMP_NUM_THREADS"]))


@pytest.mark.parametrize("most, each", [("1", 1), (None, 2)])
def test_a_run_takes_no_more_threads_than_the_environment_says(tmp_path, monkeypatch, most, each):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if most:
        monkeypatch.setenv("OMP_NUM_THREADS", most)
    sweep(RUNS[:1], says_its_threads, tmp_path, report=lambda _: None)
    assert read_all(tmp_path)[0]["scores"] == {"threads": each}
    assert os.environ.get("OMP_NUM_THREADS") == most
