"""The confined process of one submission: runs its notebook, then answers calls.

It knows neither checks nor hidden seeds, keeps no time and passes no verdict. What the submission
does to this process, to these modules or to its channel can only make its answers wrong.
"""

from __future__ import annotations

import json
import linecache
import os
import re
import sys
import threading
import time
import types
from collections.abc import Callable
from typing import Any

import seqrl.checks
from seqrl.checks import guard
from seqrl.grading.wire import Channel, pack, unpack, unpack_call

MAGIC = re.compile(r"^\s*[%!]")  # lines for IPython, not for Python


def serve(channel: Channel) -> None:
    """Run the notebook that comes first, tell what failed, and answer calls until the end."""
    _without_threads()
    notebook = channel.receive()
    scope = _fresh_scope()
    channel.send(pack(run_cells(notebook, scope)))
    while True:
        kind, name, message = _parts(channel.receive())
        if kind == "call":
            channel.send(pack(_answer(channel, scope, name, message)))


def _parts(message: bytes) -> tuple[str, str, bytes]:
    """Kind and name of a request, and the bytes behind them."""
    head, _, rest = message.partition(b"\n")
    kind, _, name = head.decode().partition(" ")
    return kind, name, rest


def _without_threads() -> None:
    """The judge keeps the time, and a confined process can start no thread."""

    def call_within(
        limit: float, function: Callable[..., Any], arguments: tuple[Any, ...], *_: Any
    ) -> tuple[Any, BaseException | None, float]:
        begin = time.process_time()
        try:
            return function(*arguments), None, time.process_time() - begin
        except BaseException as error:
            return None, error, time.process_time() - begin

    guard.call_within = call_within  # type: ignore[assignment]
    threading.excepthook = lambda *_: None
    seqrl.checks.check = seqrl.checks.run = lambda *_, **__: None  # type: ignore[assignment]


def _fresh_scope() -> dict[str, Any]:
    """The notebook's names, as a module called __main__."""
    module = types.ModuleType("__main__")
    module.__dict__.update(display=lambda *_, **__: None, get_ipython=lambda: None)
    sys.modules["__main__"] = module
    return module.__dict__


def run_cells(notebook: bytes, scope: dict[str, Any]) -> dict[str, Any]:
    """Run the code cells one after another in `scope`: what went wrong, a sentence a cell."""
    try:
        cells = json.loads(notebook)["cells"]
        sources = [_source(c) for c in cells if c["cell_type"] == "code" and not _is_setup(c)]
    except Exception:
        return {"faults": [], "lost": "The file is no notebook: it cannot be read as one."}
    faults = []
    for number, source in enumerate(sources, 1):
        file = f"<code cell {number}>"
        linecache.cache[file] = len(source), None, source.splitlines(True), file
        try:
            exec(compile(source, file, "exec"), scope)
        except BaseException as error:
            faults.append(f"{type(error).__name__}: {str(error)[:200]} (code cell {number})")
    return {"faults": faults}


def _source(cell: dict[str, Any]) -> str:
    source = cell["source"]
    text = source if isinstance(source, str) else "".join(source)
    return "\n".join("" if MAGIC.match(line) else line for line in text.split("\n"))


def _is_setup(cell: dict[str, Any]) -> bool:
    """Whether a cell is the one that installs the package; its tag may have been lost."""
    return "setup" in cell.get("metadata", {}).get("tags", ()) or "# @title Set up" in _source(cell)


def _answer(channel: Channel, scope: dict[str, Any], name: str, message: bytes) -> Any:
    """What the submission's function returns, or why it returns nothing, in plain values."""
    function = scope.get(name)
    if not callable(function):
        return {"absent": guard.show(function) if name in scope else ""}
    try:
        parameters, *arguments = unpack_call(message, lambda number: _stub(channel, number))
        value = guard.Guarded(function, name, tuple(parameters))(*arguments)
        pack(value)  # raises here, if at all
    except guard.Failed as failure:
        return {"failed": [type(failure).__name__, failure.sentence, failure.case]}
    except BaseException as error:
        said = f"{type(error).__name__}: {str(error)[:200]}"
        return {"failed": ["Failed", f"What it returned cannot be read: {said}.", ""]}
    return {"value": value}


def _stub(channel: Channel, number: int) -> Callable[..., Any]:
    """A function that asks the judge."""

    def given(*arguments: Any, **named: Any) -> Any:
        channel.send(pack({"callback": number, "arguments": arguments, "named": named}))
        answer = unpack(channel.receive())
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["value"]

    return given


def main(channel: Channel) -> None:
    """Serve, then leave at once: nothing of the submission runs at exit."""
    try:
        serve(channel)
    finally:
        os._exit(0)
