"""What a policy remembers of each environment: its last K steps, encoded as in training.

A training window has one map, that of its first step. So has a context here: while the episode is
shorter than K steps, the map it began with; later the map as it was K - 1 steps ago. A map is
encoded anew only where that one has changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqrl.encoders import GridEncoder, Scene
from seqrl.policies import device_of, tensors
from seqrl.rollout import Step

TENSORS = ("cells", "found", "place", "mission")  # of a scene; each has a row a map


class Context:
    """The last K steps of E rows, oldest first: state tokens, actions, returns-to-go, timesteps.

    `states` (E, K, D), `actions` (E, K) or (E, K, M), `returns_to_go` (E, K), `timesteps` (E, K)
    int64; row e has `lengths[e]` steps, and behind them stands what is no step. The action of the
    last step is 0 until it is `taken`. `slid` (E,) bool: the context has lost its first steps.
    """

    def __init__(self, encoder: Any, K: int, actions: tuple[int, ...] = ()) -> None:
        self.encoder, self.K, self._action_shape = encoder, K, actions
        self._map_once = isinstance(encoder, GridEncoder) and encoder.config.sees == "map"
        self.lengths = np.zeros(0, np.int64)
        self._scene: Scene | None = None

    def update(self, step: Step, returns_to_go: np.ndarray | None = None) -> np.ndarray:
        """Takes in the observations of a step; returns the active rows.

        `returns_to_go` (E,) before the step; 0 where a method has none.
        """
        if len(self.lengths) != len(step.first):
            self._make_room(len(step.first))
        rows = np.flatnonzero(step.active)
        self._advance(rows, step.first)
        last = self.lengths[rows] - 1
        here = torch.from_numpy(rows), torch.from_numpy(last)
        if returns_to_go is not None:
            self.returns_to_go[here] = torch.from_numpy(returns_to_go[rows]).to(self.device)
        self.timesteps[here] = torch.from_numpy(self._time[rows]).to(self.device)
        if self._map_once:
            self._look(rows, last, step)
        else:
            seen = self.encoder.encode(tensors(step.observation, rows, self.device))
            self.states[here] = seen.steps[:, 0]
        return rows

    def taken(self, rows: np.ndarray, actions: np.ndarray) -> None:
        """The actions (E,) or (E, M) that the rows have chosen at their last step."""
        chosen = torch.from_numpy(actions[rows]).to(self.device, self.actions.dtype)
        self.actions[torch.from_numpy(rows), torch.from_numpy(self.lengths[rows] - 1)] = chosen

    @property
    def slid(self) -> np.ndarray:
        """Whether a row's episode is longer than the context, (E,) bool."""
        return self._time >= self.K

    @property
    def scene(self) -> Scene:
        """The encoded map of every row; only where the encoder has one a window."""
        if self._scene is None:
            raise ValueError("this encoder keeps no map.")
        return self._scene

    def _make_room(self, E: int) -> None:
        self.device = device_of(self.encoder)
        zeros = torch.zeros(E, self.K, device=self.device)
        width = self.encoder.config.width
        self.states = zeros[..., None].repeat(1, 1, width)
        dtype = torch.float32 if self._action_shape else torch.int64
        self.actions = torch.zeros(E, self.K, *self._action_shape, dtype=dtype, device=self.device)
        self.returns_to_go, self.timesteps = zeros.clone(), zeros.long()
        self.lengths, self._time = np.zeros(E, np.int64), np.zeros(E, np.int64)
        self._agents: Tensor | None = None
        self._maps: Tensor | None = None
        self._encoded: Tensor | None = None  # the map that a row's scene is made of
        self._scene = None

    def _advance(self, rows: np.ndarray, first: np.ndarray) -> None:
        """One step more in these rows; where K are there already, the oldest one goes."""
        begins = rows[first[rows]]
        self.lengths[begins], self._time[begins] = 0, -1
        self._time[rows] += 1
        full = torch.from_numpy(rows[self.lengths[rows] == self.K])
        if len(full):
            kept = (self.states, self.actions, self.returns_to_go, self.timesteps)
            for values in (*kept, self._agents, self._maps):
                if values is not None:
                    values[full] = values[full].roll(-1, 1)
        self.lengths[rows] = np.minimum(self.lengths[rows] + 1, self.K)
        # What is behind the last step must not matter; zeros as in training all the same.
        self.actions[torch.from_numpy(rows), torch.from_numpy(self.lengths[rows] - 1)] = 0

    def _look(self, rows: np.ndarray, last: np.ndarray, step: Step) -> None:
        """Keeps maps and agents; encodes those maps that are new as the first of their context."""
        seen = tensors(step.observation, rows, self.device)
        if self._maps is None or self._maps.shape[2:] != seen["map"].shape[1:]:
            E, self._scene = len(self.lengths), None
            self._maps = seen["map"].new_zeros(E, self.K, *seen["map"].shape[1:])
            self._agents = seen["agent"].new_zeros(E, self.K, seen["agent"].shape[-1])
            self._encoded = torch.zeros_like(self._maps[:, 0])
        assert self._agents is not None and self._encoded is not None
        r, at = torch.from_numpy(rows), torch.from_numpy(last)
        self._maps[r, at], self._agents[r, at] = seen["map"], seen["agent"][:, 0]
        changed = (self._maps[r, 0] != self._encoded[r]).flatten(1).any(1).cpu()
        new = changed | torch.from_numpy(step.first[rows])
        if new.any():
            fresh = r[new]
            self._encoded[fresh] = self._maps[fresh, 0]
            window = {
                "map": self._maps[fresh, 0],
                "agent": self._agents[fresh],
                "mission": seen["mission"][new],
            }
            scene = self.encoder.scene(window)
            self._scene = _put(self._scene, fresh, scene, len(self.lengths))
            self.states[fresh] = self.encoder.steps(scene, window["agent"]).steps
        old, where = r[~new], at[~new]
        if len(old):
            agents = self._agents[old, where][:, None]
            self.states[old, where] = self.encoder.steps(
                _each(self.scene, lambda x: x[old]), agents
            ).steps[:, 0]


def _put(scenes: Scene | None, rows: Tensor, new: Scene, E: int) -> Scene:
    """Scenes of all rows, with new ones in some of them."""
    if scenes is None:
        scenes = _each(new, lambda x: x.new_zeros(E, *x.shape[1:]))
    for name in TENSORS:
        getattr(scenes, name)[rows] = getattr(new, name)
    return scenes


def _each(scene: Scene, change: Callable[[Tensor], Tensor]) -> Scene:
    changed: dict[str, Any] = {name: change(getattr(scene, name)) for name in TENSORS}
    return scene._replace(**changed)
