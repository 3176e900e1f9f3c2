"""Trajectories in Minari's format, out and in: `save_minari`, `load_minari`.

What is saved, `minari` itself can open. Observations, actions, rewards and the two flags are where
Minari has them; maps and context (mission tokens, success) are among its infos, and the mission's
text is in the episode's metadata. A dataset is written beside its place and moved there whole.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from seqrl import packed_copy
from seqrl.minari_read import info_of, read
from seqrl.minari_write import action_space, check_writable, metadata_of, write_episodes
from seqrl.trajectories import Trajectories

FILE, METADATA = "main_data.hdf5", "metadata.json"
DATASET_ID = re.compile(r"(?:[-\w][-\w/]*[-\w]+/)?[-\w]+-v\d+")
DAY = 24 * 3600  # seconds; no write takes that long


def load_minari(source: str | Path, download: bool = True) -> Trajectories:
    """A Minari dataset: a folder, the id of a local dataset, or an id on Minari's hub.

    The first load reads every episode and checks it, and leaves a packed copy in the dataset's
    folder; later ones read that copy. Raises FileNotFoundError where there is no such dataset
    (or the hub cannot be reached), ValueError naming episode and field where it is damaged,
    unsound or of a kind that cannot be packed (see `minari_read`).
    """
    folder = _find(source, download)
    trajectories = packed_copy.read(folder)
    if trajectories is None:
        trajectories = read(folder)
        with suppress(OSError):  # a folder that is read-only or full is no reason not to load
            packed_copy.write(trajectories, folder)
    return trajectories


def save_minari(
    trajectories: Trajectories, path: str | Path, dataset_id: str | None = None
) -> Path:
    """Write a Minari dataset (HDF5) to the folder `path`, in the place of an earlier one there.

    dataset_id: the name that Minari knows it by, made from the folder's name if not given.
    A failed or killed write leaves nothing under that name, or the earlier dataset as it was; of
    several writes at once, one stays.
    Raises ValueError for trajectories that could not be read back, FileExistsError if `path` holds
    something else, OSError where the disk is full.
    """
    trajectories = trajectories.check().to("cpu")
    check_writable(trajectories)
    path = Path(os.path.expanduser(path))
    if dataset_id is None:
        name = re.sub(r"[^-\w]+", "-", path.name)
        dataset_id = name if DATASET_ID.fullmatch(name) else f"{name}-v0"
    actions = action_space(trajectories)
    metadata = metadata_of(trajectories) | {"dataset_id": dataset_id}
    info = info_of(metadata, actions, trajectories.info.get("missions"))
    with _in_place_of(path) as folder:
        data = folder / "data"
        data.mkdir()
        write_episodes(trajectories, data / FILE)
        metadata["dataset_size"] = (data / FILE).stat().st_size / 1e6  # Minari counts in MB
        (data / METADATA).write_text(json.dumps(metadata))
        packed_copy.write(replace(trajectories, info=info), data)
    return path


@contextmanager
def _in_place_of(path: Path) -> Iterator[Path]:
    """A new folder beside `path`, which takes its place at the end if nothing failed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone_in(path.parent):
        _refuse_other(path)
        _sweep(path.parent)
    beside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    new, old = beside / "new", beside / "old"
    try:
        new.mkdir()
        yield new
        for file in [*new.rglob("*"), new]:
            _flush(file)
        with _alone_in(path.parent):
            _refuse_other(path)
            _swap(new, path, old)
        _flush(path.parent)
    except FileExistsError:
        raise
    except OSError as error:
        text = f"{path} was not written; what was there before is unchanged: {error}"
        raise OSError(error.errno or errno.EIO, text) from error
    finally:
        if not old.exists():  # else the earlier dataset could not be put back: it stays there
            shutil.rmtree(beside, ignore_errors=True)


def _swap(new: Path, path: Path, old: Path) -> None:
    """Put `new` in the place of `path`; `old` is what was there until that is done."""
    if path.exists():
        os.replace(path, old)
    try:
        os.replace(new, path)
    except OSError:
        if old.exists():
            os.replace(old, path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _refuse_other(path: Path) -> None:
    if path.exists() and not (path / "data" / METADATA).is_file():
        raise FileExistsError(f"{path} is there and is not a dataset; it is left as it is.")


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Other writers in this folder wait, where the system and the disk can make them."""
    number = os.open(folder, os.O_RDONLY)
    try:
        with suppress(ImportError, OSError):
            import fcntl

            fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)


def _sweep(folder: Path) -> None:
    """Remove what killed writes left a day ago or more; a dataset on its way is put back."""
    for left in folder.glob(".*.tmp"):
        name = re.fullmatch(r"\.(.+)\.\w{8}\.tmp", left.name)
        with suppress(OSError):
            ours = name and {path.name for path in left.iterdir()} <= {"new", "old"}
            if not name or not ours or time.time() - left.stat().st_mtime < DAY:
                continue
            if (left / "old").exists() and not (folder / name[1]).exists():
                os.replace(left / "old", folder / name[1])
            shutil.rmtree(left)


def _flush(path: Path) -> None:
    """Wait until a file, or a folder's list of files, is on the disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _find(source: str | Path, download: bool) -> Path:
    """The folder that holds a dataset's metadata, fetched from the hub if need be."""
    path = Path(os.path.expanduser(source))
    for folder in (path / "data", path):
        if (folder / METADATA).is_file():
            return folder
    if path.exists():
        raise FileNotFoundError(f"{path} is not a Minari dataset: it has no data/{METADATA}.")
    if isinstance(source, Path) or not DATASET_ID.fullmatch(source):
        raise FileNotFoundError(f"there is no dataset at {path}.")
    import minari
    from minari.storage.datasets_root_dir import get_dataset_path

    folder = get_dataset_path(source) / "data"
    if not (folder / METADATA).is_file():
        missing = f"there is no dataset {source!r}, neither as a folder nor in {get_dataset_path()}"
        if not download:
            raise FileNotFoundError(f"{missing}.")
        try:
            minari.download_dataset(source)
        except Exception as error:
            raise FileNotFoundError(
                f"{missing}, and Minari's hub did not give it: {error}"
            ) from error
    return folder
