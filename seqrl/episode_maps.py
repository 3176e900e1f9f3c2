"""The maps of one episode, with what each token is: for figures and for the explorer.

The same first steps of the same episode are read by all three methods, each in its own tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from seqrl import attention_maps, leap_attention
from seqrl.attention_maps import Maps
from seqrl.decision_transformer import PARTS
from seqrl.environments.grid_observation import ACTIONS
from seqrl.scenes import mission
from seqrl.trajectories import Trajectories
from seqrl.windows import Batch, Windows

SHORT = dict(zip(ACTIONS, ("left", "right", "fwd", "pick", "drop", "tog", "done")))
LONG = {"x": "cells ahead", "y": "cells to the right", "θ": "quarter turns", "c": "carried"}


class Token(NamedTuple):
    """One token of a window: its kind, the step it belongs to, and two ways to name it."""

    kind: str  # a key of `style.TOKEN_COLORS`
    step: int
    word: str  # a few letters
    name: str  # a sentence's part


class Shown(NamedTuple):
    """What a method read of an episode, and how: every layer's maps of one window."""

    method: str
    tokens: list[Token]
    layers: list[Maps]


def chosen(data: Trajectories, K: int, count: int) -> list[int]:
    """The `count` shortest episodes of at least K steps, each with another mission.

    ValueError where there are fewer.
    """
    found: dict[str, int] = {}
    for e in data.lengths.argsort(stable=True).tolist():
        if data.lengths[e] >= K:
            found.setdefault(mission(data, e), e)
    if len(found) < count:
        raise ValueError(f"{len(found)} missions have {K} steps; {count} are asked for.")
    return list(found.values())[:count]


@torch.no_grad()
def shown(method: str, model: Any, data: Trajectories, e: int) -> Shown:
    """The maps of the first steps of episode e, as many as the method reads at once."""
    K = model.config.horizon if method == "LEAP" else model.config.context
    batch = Windows(data, K)(data.offsets[e : e + 1])
    if method == "DT":
        return Shown(method, _decision_tokens(batch), attention_maps.record(model, [batch]))
    if method == "TT":
        layers = attention_maps.record(model, [batch])
        return Shown(method, _scalar_tokens(model, batch), layers)
    layers = leap_attention.each_hidden(model, batch)
    C = layers[0].weights.shape[-1] - K
    return Shown(method, _plan_tokens(batch, C), layers)


def _decision_tokens(batch: Batch) -> list[Token]:
    tokens = []
    for t, (R, a) in enumerate(zip(batch.returns_to_go[0].tolist(), batch.actions[0].tolist())):
        for kind, part in zip(("return", "state", "action"), PARTS):
            word = {"R̂": f"R̂{_number(R)}", "s": "s", "a": SHORT[ACTIONS[a]]}[part]
            name = {"R̂": f"return-to-go {_number(R)}", "s": "state", "a": f"action {ACTIONS[a]}"}
            tokens.append(Token(kind, t, word, name[part]))
    return tokens


def _scalar_tokens(model: Any, batch: Batch) -> list[Token]:
    rows = model.tokens(batch)[0]
    numbers = model.discretizer.center(rows, slice(None)).tolist()  # (K, C)
    tokens = []
    for t, row in enumerate(numbers):
        for (letter, name), x in zip(LONG.items(), row):
            tokens.append(Token("state", t, f"{letter}{_number(x)}", f"{name} {_number(x)}"))
        action = ACTIONS[int(batch.actions[0, t])]
        tokens.append(Token("action", t, SHORT[action], f"action {action}"))
        tokens.append(Token("reward", t, f"r{_number(row[-2])}", f"reward {_number(row[-2])}"))
        tokens.append(Token("value", t, f"V{_number(row[-1])}", f"value {_number(row[-1])}"))
    return tokens[:-1]  # the last value is only predicted


def _plan_tokens(batch: Batch, C: int) -> list[Token]:
    tokens = [Token("context", 0, "here", "what is seen here")]
    tokens += [Token("context", 0, f"map{i}", f"what query {i} found on the map")
               for i in range(1, C)]  # fmt: skip
    actions = [ACTIONS[a] for a in batch.actions[0].tolist()]
    return tokens + [Token("action", t, SHORT[a], f"action {a}") for t, a in enumerate(actions)]


def _number(x: float) -> str:
    return f"{round(x, 1):g}".replace("-", "−")


def row_of(found: Shown, layer: int) -> Sequence[int]:
    """The tokens that a layer's rows are."""
    queries = found.layers[layer].queries
    assert queries is not None
    return queries.tolist()
