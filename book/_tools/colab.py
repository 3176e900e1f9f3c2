"""What a generated notebook needs besides the chapter: badges, the set-up cell, metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from book_config import Repository

BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
# Import name -> what to install where that import is missing. Everything is installed without its
# own dependencies, so nothing here can replace the torch, numpy or pygame that Colab brings.
NEEDS = {
    "gymnasium": "gymnasium>=1.0",
    "farama_notifications": "farama-notifications",
    "cloudpickle": "cloudpickle",
    "minigrid": "minigrid>=3.0",
    "pygame": "pygame-ce",
    "minari": "minari>=0.5.3",
    "h5py": "h5py",
    "packaging": "packaging",
    "einops": "einops",
    "safetensors": "safetensors",
    "seaborn": "seaborn",
    "matplotlib": "matplotlib",
    "pandas": "pandas",
    "PIL": "pillow",
    "tqdm": "tqdm",
}
ROBOTS = ("make_robots", "animations_robots")  # in the code of a page that needs these too
ROBOTS_NEED = {"mujoco": "mujoco>=3", "glfw": "glfw", "imageio": "imageio"}
SETUP = """\
# @title Set up: nothing to do where seqrl is installed, otherwise some 20 seconds
import importlib
import subprocess
import sys
from importlib.util import find_spec

if getattr(find_spec("seqrl"), "origin", None) is None:  # a folder of that name is no package
    needs = {{
{needs}
    }}
    missing = [package for module, package in needs.items() if find_spec(module) is None]
    wanted = ["{archive}", *missing]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", *wanted]
    subprocess.run(command, check=True)
    importlib.invalidate_caches()
"""


def setup_source(repository: Repository, code: str = "") -> str:
    """The first code cell: installs `seqrl` from the repository where it is missing.

    code: of the page, which tells what else it needs.
    """
    needs = NEEDS | (ROBOTS_NEED if any(word in code for word in ROBOTS) else {})
    items = [f'"{module}": "{package}",' for module, package in needs.items()]
    lines, row = [], ""
    for item in items:
        if len(row) + len(item) > 80:
            lines.append(row)
            row = ""
        row += (" " if row else " " * 8) + item
    return SETUP.format(needs="\n".join([*lines, row]), archive=repository.archive).rstrip()


TELL_MACHINE = """

from seqrl.progress import machine

print(machine())"""
SAVE_WORDS = """\
## Save your work

The cell below writes the code that you have run into a notebook: on your Drive in Colab, which asks
for leave once, and in this folder elsewhere. It can be handed in as it is."""


def save_source(stem: str) -> str:
    """The last code cell of a sheet."""
    return f'from seqrl.progress import save_progress\n\nsave_progress("{stem}")'


def badge_row(path: str, root: Path, repository: Repository) -> str:
    """One line of badges for the notebook at `path` (`book/`, `solutions/` or `exercises/`)."""
    folder, name = path.split("/")
    stem = name.removesuffix(".ipynb")
    badges = [f"[![Open in Colab]({BADGE})]({repository.colab(path)})"]
    if (root / "book" / f"{stem}.md").exists():
        words = "Read this page in the book" if folder == "book" else "The chapter"
        badges.append(f"[{words}]({repository.page(f'book/{stem}')})")
    if folder != "book" and (root / "book" / f"{stem}.md").exists():
        badges.append(f"[The chapter in Colab]({repository.colab(f'book/{stem}.ipynb')})")
    if folder != "exercises" and (root / "solutions" / f"{stem}.md").exists():
        badges.append(f"[Exercise sheet]({repository.colab(f'exercises/{stem}.ipynb')})")
    return " · ".join(badges)


def metadata(path: str, accelerator: str | None) -> dict[str, Any]:
    """Notebook metadata for Jupyter and Colab; `accelerator` is None or "GPU"."""
    found: dict[str, Any] = {
        "colab": {"name": path.replace("/", "-"), "provenance": [], "toc_visible": True},
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return found | ({"accelerator": accelerator} if accelerator else {})
