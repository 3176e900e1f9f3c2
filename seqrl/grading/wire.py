"""Values on their way between a submission and its judge.

What a submission sends is read as data: JSON, with arrays behind it as raw bytes. Nothing is
unpickled on the judge's side. Whatever is no number, text, array or container of them arrives as
an object that has only the name of its type.
"""

from __future__ import annotations

import json
import pickle
import select
import socket
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

LARGEST = 64 << 20  # bytes of one message
DEEPEST = 50  # containers in containers
_KINDS = "biufc"  # of arrays that may travel


class Broken(Exception):
    """The other side is gone, or does not keep to the form of messages."""


class Late(Exception):
    """The other side has used up its time."""


class Channel:
    """A socket that carries messages, each with its length in front."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end

    def send(self, *parts: bytes) -> None:
        """Send one message; `Broken` if nobody takes it."""
        try:
            self.end.sendall(struct.pack("!Q", sum(map(len, parts))) + b"".join(parts))
        except OSError as error:
            raise Broken(str(error)) from None

    def receive(self, over: Callable[[], bool] = lambda: False) -> bytes:
        """The next message. `Late` once `over()` holds, `Broken` if there will be none."""
        (size,) = struct.unpack("!Q", self._read(8, over))
        if size > LARGEST:
            raise Broken("a message is too large")
        return self._read(size, over)

    def _read(self, size: int, over: Callable[[], bool]) -> bytes:
        parts, left = [], size
        while left:
            while not select.select([self.end], [], [], 0.02)[0]:
                if over():
                    raise Late
            try:
                part = self.end.recv(min(left, 1 << 20))
            except OSError as error:
                raise Broken(str(error)) from None
            if not part or over():
                raise Late if part else Broken("the other side is gone")
            parts.append(part)
            left -= len(part)
        return b"".join(parts)


def pack(value: Any) -> bytes:
    """`value` as bytes that `unpack` reads; ValueError if it is too large or too deep."""
    buffers: list[bytes] = []
    text = json.dumps(_encode(value, buffers, 0)).encode()
    message = b"".join([struct.pack("!Q", len(text)), text, *buffers])
    if len(message) > LARGEST:
        raise ValueError(f"what was returned has {len(message):,} bytes, which is too much")
    return message


def unpack(message: bytes) -> Any:
    """What `pack` was given, as far as it can travel; `Broken` for any other bytes."""
    try:
        (size,) = struct.unpack_from("!Q", message)
        reader = _Reader(memoryview(message)[8 + size :])
        return reader.decode(json.loads(message[8 : 8 + size]))
    except Exception as error:  # made up by a submission: any fault may turn up
        raise Broken(f"{type(error).__name__}: {error}") from None


def _encode(value: Any, buffers: list[bytes], depth: int) -> Any:
    """A JSON form: plain values as they are, all others as ["kind", ...]."""
    if depth > DEEPEST:
        raise ValueError("what was returned is nested too deeply")
    if type(value) in (bool, int, float, str) or value is None:
        return value
    if isinstance(value, range):
        return _encode(list(value), buffers, depth)
    if isinstance(value, int):  # of an enumeration
        return int(value)
    if isinstance(value, (list, tuple, set, frozenset)):
        kind = next(k.__name__ for k in (list, tuple, set, frozenset) if isinstance(value, k))
        return [kind, [_encode(v, buffers, depth + 1) for v in value]]
    if isinstance(value, dict):
        return ["dict", [[_encode(x, buffers, depth + 1) for x in kv] for kv in value.items()]]
    if isinstance(value, bytes):
        return ["bytes", _attach(value, buffers)]
    if isinstance(value, (np.ndarray, np.generic)):
        kind = "array" if isinstance(value, np.ndarray) else "number"
        if value.dtype.kind in _KINDS:
            data = _attach(np.ascontiguousarray(value).tobytes(), buffers)
            return [kind, value.dtype.str, list(value.shape), data]
    if type(value).__module__.partition(".")[0] == "torch" and hasattr(value, "detach"):
        return _encode_tensor(value, buffers)
    return ["other", type(value).__name__]


def _encode_tensor(value: Any, buffers: list[bytes]) -> Any:
    import torch

    tensor = value.detach().cpu().contiguous()
    data = _attach(tensor.reshape(-1).view(torch.uint8).numpy().tobytes(), buffers)
    name = str(tensor.dtype).removeprefix("torch.")
    return ["tensor", name, list(tensor.shape), data]


def _attach(data: bytes, buffers: list[bytes]) -> int:
    """Put bytes behind the text; how many there are."""
    buffers.append(data)
    return len(data)


class _Reader:
    """Reads the JSON form, and takes the bytes behind it in order."""

    def __init__(self, data: memoryview) -> None:
        self.data, self.at = data, 0

    def decode(self, form: Any) -> Any:
        if not isinstance(form, list):
            return form
        kind, *rest = form
        if kind in ("list", "tuple", "set", "frozenset"):
            makers: dict[str, Any] = {"list": list, "tuple": tuple, "set": set}
            return makers.get(kind, frozenset)(self.decode(v) for v in rest[0])
        if kind == "dict":
            return {self.decode(key): self.decode(value) for key, value in rest[0]}
        if kind == "bytes":
            return self.take(rest[0])
        if kind in ("array", "number"):
            dtype = np.dtype(rest[0])
            if dtype.kind not in _KINDS:
                raise ValueError("no array of numbers")
            array = np.frombuffer(self.take(rest[2]), dtype).reshape(rest[1]).copy()
            return array if kind == "array" else array[()]
        if kind == "tensor":
            return self.tensor(*rest)
        return type(str(rest[0])[:80], (Foreign,), {})()

    def tensor(self, name: str, shape: list[int], size: int) -> Any:
        import torch

        dtype = getattr(torch, name)
        if not isinstance(dtype, torch.dtype) or not size:
            return torch.zeros(0, dtype=dtype).reshape(shape)
        return torch.frombuffer(bytearray(self.take(size)), dtype=dtype).reshape(shape)

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        if not 0 <= size <= len(self.data) - self.at:
            raise ValueError("bytes are missing")
        self.at += size
        return bytes(self.data[self.at - size : self.at])


class Foreign:
    """Stands for an object of a type that does not travel."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


def pack_call(arguments: tuple[Any, ...], functions: list[Callable[..., Any]]) -> bytes:
    """A judge's arguments, for a submission to unpickle.

    A function stays with the judge, who is called back: what it counts is counted, and what it
    knows stays secret. `functions` collects them. Objects of the checks' own types go by value,
    for a submission cannot read the checks.
    """
    import cloudpickle

    functions.clear()

    def prepared(value: Any) -> Any:
        if type(value) in (list, tuple):
            return type(value)(map(prepared, value))
        if type(value) is dict:
            return {key: prepared(v) for key, v in value.items()}
        if type(value).__name__ in ("function", "method", "partial"):
            functions.append(value)
            return Callback(len(functions) - 1)
        return value

    return cloudpickle.dumps(tuple(map(prepared, arguments)))


class Callback:
    """Stands for a function of the judge among the arguments of a call."""

    def __init__(self, number: int) -> None:
        self.number = number


def unpack_call(message: bytes, stub: Callable[[int], Callable[..., Any]]) -> tuple[Any, ...]:
    """The arguments, with `stub(number)` in place of each function of the judge."""

    def restored(value: Any) -> Any:
        if isinstance(value, Callback):
            return stub(value.number)
        if type(value) in (list, tuple):
            return type(value)(map(restored, value))
        if type(value) is dict:
            return {key: restored(v) for key, v in value.items()}
        return value

    return tuple(map(restored, pickle.loads(message)))
