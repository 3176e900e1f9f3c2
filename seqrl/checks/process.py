"""Asking a student's function in a Python process that has just been started.

There the built-in `hash` has another salt, objects lie at other addresses, and nothing is
remembered. Whatever cannot be carried over, or run there, gives None: the caller falls back.
"""

from __future__ import annotations

import functools
import io
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

PATIENCE = 15.0  # seconds; a process that has to import torch on a busy machine may need some

# What the function prints must not mix with the answer, so its output goes nowhere.
PROGRAM = """
import os, pickle, sys
answer = os.dup(1)
nowhere = os.open(os.devnull, os.O_WRONLY)
os.dup2(nowhere, 1)
os.dup2(nowhere, 2)
sys.path[:] = pickle.load(sys.stdin.buffer)
program, calls = pickle.load(sys.stdin.buffer)
for arguments in calls:
    value = pickle.loads(program)(*arguments)
    os.write(answer, bytes(map(bool, value.tolist() if hasattr(value, "tolist") else value)))
"""


def portable(function: Callable[..., Any]) -> bytes | None:
    """The function with all it uses from its notebook or file, or None if that cannot be packed.

    By value, also where it comes from a module: an import could start the check that asks.
    """
    try:
        import cloudpickle
    except ImportError:
        return None

    class Pickler(cloudpickle.Pickler):
        def reducer_override(self, value: Any) -> Any:
            if isinstance(value, functools._lru_cache_wrapper):  # goes without its memory
                return functools.partial, (value.__wrapped__,)
            return super().reducer_override(value)

    home = sys.modules.get(getattr(function, "__module__", None) or "__main__")
    name = getattr(home, "__name__", "__main__")
    by_value = name not in ("__main__", "builtins", *cloudpickle.list_registry_pickle_by_value())
    file = io.BytesIO()
    try:
        if by_value:
            cloudpickle.register_pickle_by_value(home)
        Pickler(file).dump(function)
    except Exception:  # a lock, an open file, a thread: whatever a student's cell holds
        return None
    finally:
        if by_value:
            cloudpickle.unregister_pickle_by_value(home)
    return file.getvalue()


def ask(program: bytes, calls: Sequence[tuple[Any, ...]]) -> list[bool] | None:
    """The truth values that a `portable` function returns in a new process, or None.

    calls: the arguments of each; every call gets a function that remembers nothing of the others.
    The values of all calls come as one list.
    """
    salt = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            input=pickle.dumps(sys.path) + pickle.dumps((program, list(calls))),
            env={**os.environ, "PYTHONHASHSEED": salt},
            capture_output=True,
            timeout=PATIENCE,
        )
    except (OSError, ValueError, subprocess.SubprocessError):  # in a browser there are none
        return None
    return [byte == 1 for byte in done.stdout] if done.returncode == 0 else None
