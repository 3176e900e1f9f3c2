"""One record per run, as a JSON file; the tables that the book prints are made from these files.

A record says what was run (method, dataset, seed, config), with what (versions, commit, hardware),
how long, and what came out: `scores` are numbers of the run, `episodes` one number per test
episode, so that methods can be compared on the same maps. Intervals are in `intervals`.
"""

from __future__ import annotations

import hashlib
import html as _html
import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from seqrl.intervals import Interval, bootstrap, wilson

PACKAGES = ("torch", "numpy", "gymnasium", "minigrid", "minari", "mujoco")
NEEDED = ("method", "dataset", "seed", "config", "scores")
Row = dict[str, Any]


def record(
    method: str,
    dataset: str,
    seed: int,
    *,
    config: dict[str, Any],
    scores: dict[str, float],
    episodes: Mapping[str, Sequence[float]] | None = None,
    seconds: float | None = None,
    **more: Any,
) -> Row:
    """A run's record. `scores`: one number each; `episodes`: one number per test episode each."""
    return {
        "method": method,
        "dataset": dataset,
        "seed": seed,
        "config": config,
        "scores": scores,
        "episodes": {name: list(x) for name, x in (episodes or {}).items()},
        "seconds": seconds,
        **more,
        **provenance(),
    }


def provenance() -> Row:
    """What made the numbers: package versions, commit, hardware, time (UTC)."""
    from seqrl import __version__

    versions = {"seqrl": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    time = datetime.now(UTC).isoformat(timespec="seconds")
    return {"versions": versions, "commit": _commit(), "hardware": _hardware(), "time": time}


def _commit() -> str | None:
    """This package's commit, with "+" where files have changed since; None outside a checkout."""
    root = Path(__file__).parents[1]
    if not (root / ".git").exists():
        return None
    git = ["git", "-C", str(root)]
    try:
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True)
        dirty = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True)
    except OSError:
        return None
    return None if head.returncode else head.stdout.strip() + "+" * bool(dirty.stdout)


def _hardware() -> str:
    import torch

    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [x for x in cpuinfo.read_text().splitlines() if x.startswith("model name")]
        name = models[0].split(":", 1)[1].strip() if models else name
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{os.cpu_count()} x {name}{gpu}"


def write_whole(path: Path | str, content: bytes) -> None:
    """Writes a file such that a kill at any moment leaves the old one or the new one, whole."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def file_name(method: str, dataset: str, seed: int, config: dict[str, Any]) -> str:
    """The run's own file: the same run gets the same name, another config another."""
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:8]
    name = f"{method}-{dataset}-seed{seed}-{digest}.json"
    return name.translate({ord("/"): "-", ord(" "): "-", ord("%"): None})


def write(run: Row, folder: Path | str) -> Path:
    """Writes a record into `folder`, over an older one of the same run; returns the file."""
    path = Path(folder) / file_name(run["method"], run["dataset"], run["seed"], run["config"])
    write_whole(path, json.dumps(plain(run), allow_nan=False).encode())
    return path


def plain(x: Any) -> Any:
    """The same for JSON: arrays and their numbers as Python's, None where one is not finite."""
    x = x.tolist() if hasattr(x, "tolist") else x  # NumPy's and PyTorch's
    if isinstance(x, dict):
        return {name: plain(value) for name, value in x.items()}
    if isinstance(x, list | tuple):
        return [plain(value) for value in x]
    return None if isinstance(x, float) and not np.isfinite(x) else x


def read_all(folder: Path | str, **equal: Any) -> list[Row]:
    """All records under `folder`, by name; `read_all(path, method="dt")` keeps only those.

    ValueError naming the file that is no record.
    """
    records = []
    for path in sorted(Path(folder).rglob("*.json")):
        try:
            run = json.loads(path.read_text())
            missing = [name for name in NEEDED if name not in run]
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path} is not a record of a run: {error}.") from error
        if missing:
            raise ValueError(f"{path} is not a record of a run: it has no {missing[0]!r}.")
        if all(run.get(name) == value for name, value in equal.items()):
            records.append(run)
    return records


def called(run: Row) -> str:
    """The method, and what the run's config has replaced, as a row of a table is called."""
    return " ".join([run["method"], *(f"{name}={x}" for name, x in run["config"].items())])


def shipped() -> Path:
    """The folder of the records that come with the package: the book's sweeps."""
    return Path(__file__).parent / "assets" / "records"


def made_by(runs: Sequence[Row]) -> str:
    """What made some records, in a sentence: runs, seeds, commits, hardware, days."""

    def all_of(name: str) -> str:
        return ", ".join(sorted({str(run[name]) for run in runs}))

    if not runs:
        return "Not recorded yet."
    commits = ", ".join(sorted({(run["commit"] or "")[:7] or "no checkout" for run in runs}))
    days = sorted({run["time"][:10] for run in runs})
    count = f"{len(runs)} run" + "s" * (len(runs) > 1)
    return (
        f"Recorded: {count}, training seeds {all_of('seed')}, commit {commits}, "
        f"{all_of('hardware')}, {' to '.join(dict.fromkeys((days[0], days[-1])))}."
    )


def table(
    records: Iterable[Row], score: str = "success", rows: str = "method", columns: str = "dataset"
) -> list[Row]:
    """A row for each method, a column for each dataset, seeds pooled, a 95 % interval in each cell.

    Rows and columns come in the order in which they first appear. Absent cells are None.
    """
    cells: dict[tuple[str, str], list[Row]] = {}
    for run in records:
        cells.setdefault((run[rows], run[columns]), []).append(run)
    across = list(dict.fromkeys(column for _, column in cells))
    return [
        {rows: row}
        | {c: interval(cells[row, c], score) if (row, c) in cells else None for c in across}
        for row in dict.fromkeys(row for row, _ in cells)
    ]


def interval(runs: Sequence[Row], score: str) -> Interval:
    """The mean of a score over seeds and test episodes, with its 95 % interval.

    Wilson's for yes or no, else a bootstrap within seeds; over seeds alone where runs have the
    score in `scores` only. Episodes where it is not finite do not count.
    """
    if all(score in run["episodes"] for run in runs):
        seeds = [np.asarray(run["episodes"][score], float) for run in runs]
        seeds = [outcomes[np.isfinite(outcomes)] for outcomes in seeds]
        outcomes = np.concatenate(seeds)
        if len(outcomes) and np.isin(outcomes, (0, 1)).all():
            return wilson(int(outcomes.sum()), len(outcomes))
        return bootstrap(seeds)
    for run in runs:
        if score not in run["scores"]:
            raise ValueError(f"{score!r} is not a score of {run['method']} on {run['dataset']}.")
    return bootstrap([np.array([run["scores"][score] for run in runs], float)])


def _text(cell: Any, scale: float, digits: int) -> str:
    if isinstance(cell, Interval):
        mean, low, high = (f"{scale * x:.{digits}f}" for x in cell)
        return f"{mean} [{low}, {high}]"
    if isinstance(cell, float):
        return f"{scale * cell:.{digits}f}"
    return "–" if cell is None else str(cell)


def markdown(rows: Sequence[Row], scale: float = 1.0, digits: int = 1) -> str:
    """A table's rows in Markdown; numbers times `scale` (100: percent) with so many digits."""
    if not rows:
        return ""
    head = list(rows[0])
    lines = [head, ["---"] + ["---:"] * (len(head) - 1)]
    lines += [[_text(row[name], scale, digits) for name in head] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def html(rows: Sequence[Row], scale: float = 1.0, digits: int = 1, caption: str = "") -> str:
    """The same rows as an HTML table."""

    def line(tag: str, cells: Iterable[str]) -> str:
        return "<tr>" + "".join(f"<{tag}>{_html.escape(x)}</{tag}>" for x in cells) + "</tr>"

    head = line("th", rows[0] if rows else ())
    body = "".join(line("td", (_text(x, scale, digits) for x in row.values())) for row in rows)
    title = f"<caption>{_html.escape(caption)}</caption>" if caption else ""
    return f"<table>{title}<thead>{head}</thead><tbody>{body}</tbody></table>"
