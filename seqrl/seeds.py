"""Named streams of random numbers, and the one rule that keeps test maps out of the data.

A seed is derived from a stream's name and any numbers, so `data`, `train` and `test` never meet.
Small levels could still draw the same map from two different seeds; so whether a *map* may appear
in the data or only in tests is decided by its content (`held_out`), not by the seed that drew it.
"""

from __future__ import annotations

import hashlib

import numpy as np

STREAMS = ("data", "train", "test")
HELD_OUT_FRACTION = 1 / 5  # of all maps; rejection costs the data stream 1.25 draws a map


def derive(stream: str, *numbers: int | str) -> int:
    """A seed in [0, 2^63) from a stream's name and numbers or words; the same on every machine."""
    if stream not in STREAMS:
        raise ValueError(f"unknown stream {stream!r}; the streams are {', '.join(STREAMS)}.")
    text = "/".join([stream, *(repr(n if isinstance(n, str) else int(n)) for n in numbers)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(stream: str, *numbers: int | str) -> np.random.Generator:
    """A NumPy generator seeded by `derive(stream, *numbers)`."""
    return np.random.default_rng(derive(stream, *numbers))


def held_out(content: bytes) -> bool:
    """True for the one map in five that only tests may use; `content` is the map's own bytes."""
    return hashlib.blake2b(content, digest_size=1).digest()[0] < 256 * HELD_OUT_FRACTION
