"""How far can a model imagine a grid world? Open-loop predictions, and where they go wrong.

`imagine` lets a Trajectory Transformer continue a prefix under given actions, token by token. It is
held against `SingleStep`, a network that predicts the next state from the present one and is
applied to its own predictions. Both see the same map through the same encoder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqrl import encoders, grid_tokens
from seqrl.beam_cache import Cached
from seqrl.beam_search import Prefix, Sequences
from seqrl.encoders import GridEncoderConfig
from seqrl.frames import frame, relative_pose
from seqrl.seeds import derive
from seqrl.trajectories import Trajectories
from seqrl.windows import Batch, Windows

FAR = 1  # cells that a step can move
CHANGES = (2 * FAR + 1, 2 * FAR + 1, 4)  # classes: ahead, right, turns


@dataclass(frozen=True)
class SingleStepConfig:
    """Sizes of `SingleStep`: the encoder that every method has, and an MLP."""

    encoder: GridEncoderConfig
    actions: int
    context: int = 8  # steps of a window; it sees one at a time
    hidden: int = 256

    @classmethod
    def for_data(cls, data: Trajectories, width: int = 64, **fields: Any) -> SingleStepConfig:
        """The config that fits a dataset of a grid world with maps; ValueError for another."""
        encoder = encoders.config_of(data, width)
        if not isinstance(encoder, GridEncoderConfig) or encoder.sees != "map":
            raise ValueError("the single-step model predicts poses on a map, and here is none.")
        return cls(encoder, int(data.info["num_actions"]), **fields)

    def build(self) -> SingleStep:
        return SingleStep(self)


class SingleStep(nn.Module):
    """From a state and an action to how the pose changes, in its own frame, and what is carried."""

    def __init__(self, config: SingleStepConfig) -> None:
        super().__init__()
        self.config, D = config, config.encoder.width
        self.encoder = config.encoder.build()
        self.action = nn.Embedding(config.actions, D)
        carried = len(grid_tokens.bins(2)[3])
        self.sizes = (*CHANGES, carried)
        self.mlp = nn.Sequential(
            nn.LayerNorm(D), nn.Linear(D, config.hidden), nn.GELU(), nn.Dropout(0.1),
            nn.Linear(config.hidden, sum(self.sizes)),
        )  # fmt: skip

    def forward(self, world: grid_tokens.World, states: Tensor, actions: Tensor) -> list[Tensor]:
        """Logits (B, K, classes) of each of the four parts, of states (B, K, 4) and actions."""
        x = grid_tokens.look(self.encoder, world, states) + self.action(actions)
        return list(self.mlp(x).split(self.sizes, -1))

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy of the four parts, a scalar, over real steps that a real step follows."""
        world = grid_tokens.world(self.encoder, batch.observations)
        states = grid_tokens.states(batch.observations["agent"])
        logits = self(world, states[:, :-1], batch.actions[:, :-1])
        real = batch.mask[:, 1:]
        parts = [
            F.cross_entropy(x[real], y[real]) for x, y in zip(logits, changes(states).unbind(-1))
        ]
        loss = torch.stack(parts).sum()
        return loss, {"pose_loss": torch.stack(parts[:3]).sum().detach()}

    @torch.no_grad()
    def imagine(self, batch: Batch) -> Tensor:
        """States (B, K, 4) from the first one on, each predicted from the one before."""
        self.eval()
        world = grid_tokens.world(self.encoder, batch.observations)
        states = [grid_tokens.states(batch.observations["agent"])[:, :1]]
        for t in range(batch.actions.shape[1] - 1):
            logits = self(world, states[-1], batch.actions[:, t : t + 1])
            states.append(moved(states[-1], torch.stack([x.argmax(-1) for x in logits], -1)))
        return torch.cat(states, 1)


def changes(states: Tensor) -> Tensor:
    """What happens between states (B, K, 4), as classes (B, K - 1, 4) of `SingleStep`."""
    before, after = states[:, :-1].flatten(0, 1), states[:, 1:].flatten(0, 1)
    seen = relative_pose(after[:, None, :3], before[:, :3])[:, 0]
    seen = torch.cat([(seen[:, :2] + FAR).clamp(0, 2 * FAR), seen[:, 2:], after[:, 3:]], -1)
    return seen.view(len(states), -1, 4)


def moved(states: Tensor, change: Tensor) -> Tensor:
    """States (B, 1, 4) after changes (B, 1, 4), given as classes."""
    way = ((change[..., :2] - FAR)[..., None] * frame(states[..., 2])).sum(-2)
    heading = (states[..., 2:3] + change[..., 2:3]) % 4
    return torch.cat([states[..., :2] + way, heading, change[..., 3:]], -1)


def imagine(
    model: Any,
    prefix: Prefix,
    actions: Tensor,
    sequences: Callable[..., Sequences] = Cached,
    draw: torch.Generator | None = None,
) -> Tensor:
    """Tokens (E, H, C) that a model says follow a prefix under actions, given as tokens.

    actions: (E, H), or (E, H, M) where one has several columns. Every other token is the likeliest,
    or with `draw` a random one. The first transition has the present state. A sequence that has
    said stop stays so.
    """
    N, M, C, stop = model.layout.N, model.layout.M, model.layout.C, model.stop
    E, H = actions.shape[:2]
    given = actions.view(E, H, M)
    said = sequences(model, prefix, H)
    over = torch.zeros(E, 1, dtype=torch.bool, device=actions.device)
    for i in range(N, H * C):
        if N <= i % C < N + M:
            token = given[:, i // C, i % C - N, None]
        elif draw is None:
            token = said.logits.argmax(-1)
        else:
            p = said.logits.float().softmax(-1)[:, 0]
            token = torch.multinomial(p.cpu(), 1, generator=draw).to(actions.device)
        token = token.masked_fill(over, stop)
        over = over | ((token == stop) & (i % C == 0))
        said.append(token, read=i + 1 < H * C)
    first = prefix.state(N, C)[:, None]
    return torch.cat([first, said.imagined], -1)[:, 0].unflatten(-1, (H, C))


@torch.no_grad()
def imagined_states(model: Any, batch: Batch, context: int = 0) -> Tensor:
    """States (B, K, 4) of windows: the first `context` + 1 real, the others imagined, open loop."""
    model.eval()
    K, N = batch.actions.shape[1], model.layout.N
    steps = torch.full((len(batch.actions),), context, device=batch.actions.device)
    cut = slice(None, context + 1)
    seen = {k: x if k in ("map", "mission") else x[:, cut] for k, x in batch.observations.items()}
    prefix = model.prefix(seen, batch.actions[:, cut], batch.rewards[:, cut], steps)
    tokens = imagine(model, prefix, batch.actions[:, context:])
    states = model.discretizer.center(tokens[..., :N], model.layout.state).long()
    real = grid_tokens.states(batch.observations["agent"])[:, :context]
    return torch.cat([real, states], 1)[:, :K]


def whole_windows(data: Trajectories, K: int, seed: int = 0) -> Batch:
    """A window of K real steps from each episode that is long enough, begun at a random step."""
    generator = torch.Generator().manual_seed(derive("test", "windows", seed))
    room = data.lengths - K
    draws = torch.rand(len(data), generator=generator)
    begin = (draws * (room + 1)).long()
    first = (data.offsets[:-1] + begin)[room >= 0]
    if not len(first):
        raise ValueError(f"no episode has {K} steps.")
    return Windows(data, K)(first)


def wrong(states: Tensor, batch: Batch) -> Tensor:
    """(B, K) bool: where imagined states (B, K, 4) are not exactly the real ones."""
    return (states != grid_tokens.states(batch.observations["agent"])).any(-1)


def distance(states: Tensor, batch: Batch) -> Tensor:
    """(B, K): cells between imagined and real positions."""
    real = grid_tokens.states(batch.observations["agent"])
    return (states - real)[..., :2].abs().sum(-1).float()


def on_map(world: grid_tokens.World, states: Tensor) -> Tensor:
    """Poses (B, K, 3) on the map of states (B, K, 4), which are as seen from the world's anchor."""
    anchor = world.anchor[:, None]
    way = (states[..., :2, None] * frame(anchor[..., 2])).sum(-2)
    heading = (states[..., 2:3] + anchor[..., 2:]) % 4
    return torch.cat([anchor[..., :2] + way, heading], -1).long()
