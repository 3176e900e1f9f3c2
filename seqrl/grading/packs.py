"""A pack's manifest, and the submissions that lie in a folder."""

from __future__ import annotations

import json
import re
import stat
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

MANIFEST = "autograder/pack.json"
LARGEST = 20 << 20  # bytes of a notebook


@dataclass(frozen=True)
class Pack:
    """What an autograder needs to know; the checks themselves are the package's."""

    name: str  # "01-trajectories"
    points: dict[str, int]  # of each exercise
    seeds: tuple[int, ...]  # hidden ones, beside the self-check's
    modules: tuple[str, ...]  # imported before, so that every submission starts warm
    notebook_seconds: float  # that a submission's cells may compute

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1) + "\n"


def read_pack(path: Path) -> Pack:
    """The manifest of a pack, a zip or a folder; ValueError if there is none."""
    try:
        if path.is_dir():
            (file,) = path.glob(MANIFEST) or path.glob(f"*/{MANIFEST}")
            text = file.read_text("utf8")
        else:
            with zipfile.ZipFile(path) as archive:
                (name,) = (n for n in archive.namelist() if n.endswith(MANIFEST))
                text = archive.read(name).decode()
        found: dict[str, Any] = json.loads(text)
        return Pack(**found | {key: tuple(found[key]) for key in ("seeds", "modules")})
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is no pack, which `make pack` writes ({error}).") from None


@dataclass(frozen=True)
class Submission:
    """One student's notebook; `fault` says why there is none."""

    student: str
    file: str  # the name of the feedback page, without suffix
    notebook: bytes = b""
    fault: str = ""


def find(folder: Path, name: str) -> list[Submission]:
    """The submissions below `folder`: a notebook or a folder for each student.

    Of several notebooks in a student's folder the one called like the pack counts, else the newest.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder with submissions.")
    found, taken = [], set()
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith((".", "__MACOSX")) or not (
            entry.suffix == ".ipynb" or entry.is_dir() or entry.is_symlink()
        ):
            continue
        student = entry.stem if entry.suffix == ".ipynb" else entry.name
        file = plain = re.sub(r"[^\w.-]+", "_", student).strip(".") or "student"
        number = 2
        while file.lower() in taken:
            file, number = f"{plain}-{number}", number + 1
        taken.add(file.lower())
        found.append(one(entry, student, file, name))
    return found


def one(entry: Path, student: str, file: str, name: str) -> Submission:
    """The submission in a notebook or in a student's folder."""
    candidates = [entry]
    if entry.is_dir() and not entry.is_symlink():
        candidates = [p for p in entry.rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts]
    try:
        states = {path: path.lstat() for path in candidates}
        files = [path for path in candidates if stat.S_ISREG(states[path].st_mode)]
        if not files:
            return Submission(student, file, fault="There is no notebook in this submission.")
        best = max(files, key=lambda p: (p.stem == name, states[p].st_mtime))
        if states[best].st_size > LARGEST:
            return Submission(student, file, fault=f"{best.name} is larger than {LARGEST:,} bytes.")
        return Submission(student, file, best.read_bytes())
    except OSError as error:
        return Submission(student, file, fault=f"The submission cannot be read: {error}.")
