"""A packed copy beside a dataset: all its arrays in one safetensors file, read in milliseconds.

It is only a cache. It counts as fresh while the dataset's own files have the size and the time of
change that it notes; a stale, truncated or damaged copy is as good as none.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from seqrl.results import write_whole
from seqrl.trajectories import Trajectories, from_tensors

NAME = "packed.safetensors"
FORMAT = 1  # counted up when the meaning of the arrays changes


def read(folder: Path) -> Trajectories | None:
    """The trajectories of the packed copy in a dataset's folder; None unless whole and fresh."""
    try:
        with safe_open(folder / NAME, framework="pt") as file:
            noted = file.metadata() or {}
            if noted.get("source") != _source(folder):
                return None
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if noted.get("checksum") != _checksum(tensors):
            return None
        return from_tensors(tensors, json.loads(noted["info"]))
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None


def write(trajectories: Trajectories, folder: Path) -> None:
    """Write the packed copy into a dataset's folder, whole or not at all."""
    # Cloned, since safetensors refuses tensors that share memory.
    tensors = {name: t.cpu().contiguous().clone() for name, t in trajectories.tensors().items()}
    noted = {
        "source": _source(folder),
        "checksum": _checksum(tensors),
        "info": json.dumps(trajectories.info),
    }
    write_whole(folder / NAME, save(tensors, metadata=noted))


def _source(folder: Path) -> str:
    """Names, sizes and times of change of all the files that the copy was made from."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and NAME not in path.name)
    stats = [(str(path.relative_to(folder)), path.stat()) for path in files]
    return json.dumps([FORMAT, *((name, s.st_size, s.st_mtime_ns) for name, s in stats)])


def _checksum(tensors: dict[str, Tensor]) -> str:
    checksum = 0
    for name in sorted(tensors):
        values = tensors[name].numpy()
        head = f"{name} {values.dtype} {values.shape}".encode()
        checksum = zlib.crc32(values.reshape(-1).view("u1").data, zlib.crc32(head, checksum))
    return f"{checksum:08x}"
