"""For notebooks that somebody works in: what machine this is, and saving one's work."""

from __future__ import annotations

import json
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

DRIVE = Path("/content/drive")


def machine() -> str:
    """One line: is there a GPU, and what does that mean for the time an exercise takes?"""
    if name := _gpu():
        return f"GPU: {name}. The exercises do not need it; training with SEQRL_SPEED=full uses it."
    where = " (in Colab: Runtime, Change runtime type)" if in_colab() else ""
    return (
        "No GPU: the exercises need none and take no longer. "
        f"Only training with SEQRL_SPEED=full wants one{where}."
    )


def _gpu() -> str:
    """The name of an NVIDIA GPU, or nothing; without importing torch, which takes seconds."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ""
    command = [tool, "--query-gpu=name", "--format=csv,noheader"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return told.stdout.strip().split("\n")[0]


def in_colab() -> bool:
    """Whether this runs in Colab."""
    try:
        return find_spec("google.colab") is not None
    except ModuleNotFoundError:
        return False


def save_progress(name: str, folder: Path | str | None = None) -> Path | None:
    """Write the code that has run so far as a notebook; says where, and returns the path.

    name: of the file, such as "01-trajectories". folder: by default `seqrl` on your Drive in Colab,
    which asks for leave once, and the current one elsewhere. A cell that ran several times as it
    stands is kept once, where it ran last. Never raises: nothing may stand between a student and
    the next cell.
    """
    cells = _cells()
    if not cells:
        print("Nothing to save: no cell has run in this notebook.")
        return None
    try:
        place = Path(folder) if folder is not None else _place()
        place.mkdir(parents=True, exist_ok=True)
        path = place / f"{name}-saved.ipynb"
        fresh = path.with_suffix(".part")
        fresh.write_text(json.dumps(_notebook(cells), indent=1), "utf8")
        fresh.replace(path)  # whole or not at all
    except OSError as error:
        print(f"Not saved: {error}.")
        return None
    print(f"Saved {len(cells)} cells in {path}")
    return path


def _place() -> Path:
    """Drive where there is one, else the current folder."""
    if in_colab():
        try:
            from google.colab import drive

            drive.mount(str(DRIVE))
            return DRIVE / "MyDrive" / "seqrl"
        except Exception as error:  # no leave given, or no account
            print(f"No Drive ({type(error).__name__}); this disk is lost with the session.")
    return Path.cwd()


def _cells() -> list[str]:
    """The code cells that have run, without repetitions and without this call."""
    try:
        from IPython import get_ipython
    except ImportError:
        return []
    shell = get_ipython()
    ran = list(shell.user_ns.get("In", []))[1:] if shell else []
    kept = [c for i, c in enumerate(ran) if c.strip() and c not in ran[i + 1 :]]
    return [c for c in kept if "save_progress(" not in c and "# @title Set up" not in c]


def _notebook(cells: list[str]) -> dict[str, Any]:
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {
        "cells": [
            {
                "cell_type": "code",
                "id": f"cell-{number}",
                "execution_count": None,
                "metadata": {},
                "outputs": [],
                "source": source,
            }
            for number, source in enumerate(cells, 1)
        ],
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
