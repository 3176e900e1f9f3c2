"""Missions as word tokens of one fixed vocabulary, the same for every grid world.

The order of `VOCABULARY` is part of every stored dataset: append new words, never reorder.
"""

from __future__ import annotations

import re

import numpy as np

PADDING, UNKNOWN = 0, 1
MISSION_LENGTH = 72  # the longest BabyAI mission: four clauses of 17 words and what joins them

_FRAME = "<padding> <unknown> , go to the a pick up open put next and then after you"
_OBJECTS = "object ball box key door red green blue purple yellow grey"
_PLACES = "on your left right in front of behind"
_MINIGRID = (
    "get fetch must find near matching at end hallway goal square avoid lava reach opening "
    "traverse room rooms maze use unlock from"
)
VOCABULARY: tuple[str, ...] = tuple(f"{_FRAME} {_OBJECTS} {_PLACES} {_MINIGRID}".split())
_TOKEN = {word: token for token, word in enumerate(VOCABULARY)}


def encode_mission(mission: str) -> np.ndarray:
    """Word tokens of a mission, padded on the right with zeros.

    Returns a (72,) uint8 array; 1 stands for each word outside `VOCABULARY`; a comma is a word.
    Raises ValueError for a mission of more than 72 words.
    """
    words = re.findall(r"\w+|[^\w\s]", mission.lower())
    if len(words) > MISSION_LENGTH:
        raise ValueError(f"a mission of {len(words)} words; at most {MISSION_LENGTH} are encoded.")
    tokens = np.full(MISSION_LENGTH, PADDING, np.uint8)
    tokens[: len(words)] = [_TOKEN.get(word, UNKNOWN) for word in words]
    return tokens


def decode_mission(tokens: np.ndarray) -> str:
    """The mission that word tokens (words,) spell; unknown ones come back as `<unknown>`."""
    words = [VOCABULARY[int(token)] for token in np.asarray(tokens) if token != PADDING]
    return " ".join(words).replace(" ,", ",")
