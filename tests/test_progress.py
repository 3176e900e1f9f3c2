"""A notebook says what machine it runs on, and saves the work that was done in it."""

import sys
import types
from pathlib import Path

import IPython
import nbformat
import pytest

from seqrl import progress

RAN = ["", "# @title Set up: nothing", "x = 1", "def f(): ...", "x = 1", "save_progress('a')"]


@pytest.fixture
def shell(monkeypatch):
    found = types.SimpleNamespace(user_ns={"In": list(RAN)})
    monkeypatch.setattr(IPython, "get_ipython", lambda: found)
    return found


def test_the_cells_that_ran_are_saved_once_in_order(shell, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = progress.save_progress("01-a")
    assert path == tmp_path / "01-a-saved.ipynb"
    saved = nbformat.read(path, 4)
    nbformat.validate(saved)
    assert [c.source for c in saved.cells] == ["def f(): ...", "x = 1"]
    assert f"Saved 2 cells in {path}" in capsys.readouterr().out
    assert [p.name for p in tmp_path.iterdir()] == ["01-a-saved.ipynb"]


def test_what_cannot_be_saved_is_told_and_stops_nothing(shell, tmp_path, capsys, monkeypatch):
    (tmp_path / "file").write_text("")
    assert progress.save_progress("a", tmp_path / "file" / "below") is None
    assert "Not saved: " in capsys.readouterr().out
    monkeypatch.setattr(IPython, "get_ipython", lambda: None)
    assert progress.save_progress("a", tmp_path) is None
    assert "Nothing to save" in capsys.readouterr().out


@pytest.mark.parametrize("leave", [True, False])
def test_colab_saves_on_drive_where_there_is_leave(shell, tmp_path, capsys, monkeypatch, leave):
    def mount(place):
        assert place == str(tmp_path / "drive")
        if not leave:
            raise ValueError("mount failed")

    colab = types.ModuleType("google.colab")
    colab.drive = types.SimpleNamespace(mount=mount)
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    monkeypatch.setattr(progress, "in_colab", lambda: True)
    monkeypatch.setattr(progress, "DRIVE", tmp_path / "drive")
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "drive" / "MyDrive" / "seqrl" if leave else tmp_path
    assert progress.save_progress("a") == place / "a-saved.ipynb"
    assert ("No Drive (ValueError)" in capsys.readouterr().out) != leave


@pytest.mark.parametrize("colab", [True, False])
def test_without_a_gpu_one_line_says_what_that_means(monkeypatch, colab):
    monkeypatch.setattr(progress.shutil, "which", lambda name: None)
    monkeypatch.setattr(progress, "in_colab", lambda: colab)
    line = progress.machine()
    assert line.startswith("No GPU: the exercises need none")
    assert "\n" not in line
    assert ("Change runtime type" in line) == colab


def test_a_gpu_is_named(monkeypatch):
    told = types.SimpleNamespace(stdout="Tesla T4\nTesla T4\n")
    monkeypatch.setattr(progress.shutil, "which", lambda name: "nvidia-smi")
    monkeypatch.setattr(progress.subprocess, "run", lambda *_, **__: told)
    assert progress.machine().startswith("GPU: Tesla T4. ")


def test_every_sheet_tells_its_machine_and_can_be_saved():
    root = Path(__file__).parents[1]
    for path in sorted((root / "exercises").glob("*.ipynb")):
        cells = nbformat.read(path, 4).cells
        assert cells[1].source.endswith("print(machine())")
        assert cells[-1].source.endswith(f'save_progress("{path.stem}")')
        assert {"skip-execution", "nbval-skip"} <= set(cells[-1].metadata.tags)
