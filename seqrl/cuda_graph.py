"""A computation recorded once as a CUDA graph, and launched as a whole from then on.

Small models keep a GPU waiting: to start their thousands of small kernels one by one takes longer
than to compute them. While it is recorded nothing is computed, and nothing may wait for the GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

DEVICES = {"cuda"}  # that record
WARM = 3  # times that a computation runs before it is recorded, so that all it needs is there


class Replay:
    """What `function(inputs)` gives, for other inputs of the same shapes.

    The outputs are the same memory every time. Raises RuntimeError where it cannot be recorded.
    """

    def __init__(self, function: Callable[[Any], Any], inputs: Any) -> None:
        self.inputs = _copied(inputs)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.outputs = function(self.inputs)

    def __call__(self, inputs: Any) -> Any:
        """The outputs for these inputs: tensors in tuples and dictionaries, as the first ones."""
        for kept, new in zip(leaves(self.inputs), leaves(inputs), strict=True):
            kept.copy_(new)
        self.graph.replay()
        return self.outputs

    def fits(self, inputs: Any) -> bool:
        """Whether these inputs have the shapes that it was recorded with."""
        return shapes(self.inputs) == shapes(inputs)


def recording() -> bool:
    """Whether a graph is being recorded now, so that no value on the GPU can be looked at."""
    return torch.cuda.is_available() and torch.cuda.is_current_stream_capturing()


def leaves(x: Any) -> Iterator[Tensor]:
    """The tensors, of any shape, in nested tuples and dictionaries."""
    if isinstance(x, Tensor):
        yield x
    elif isinstance(x, dict):
        for value in x.values():
            yield from leaves(value)
    elif isinstance(x, tuple):
        for value in x:
            yield from leaves(value)


def shapes(x: Any) -> tuple[tuple[int, ...], ...]:
    """The shapes of `leaves`."""
    return tuple(tuple(leaf.shape) for leaf in leaves(x))


def _copied(x: Any) -> Any:
    """The same nested tuples and dictionaries with tensors of their own."""
    if isinstance(x, Tensor):
        return x.clone()
    if isinstance(x, dict):
        return {key: _copied(value) for key, value in x.items()}
    if isinstance(x, tuple):
        copies = [_copied(value) for value in x]
        return type(x)(*copies) if hasattr(x, "_fields") else tuple(copies)
    return x
