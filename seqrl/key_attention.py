"""Does the last room of Key-to-Door read the step that took the key? Two Transformers, measured.

One acts, and is told the return to reach; the other, a `Critic`, is told none and foretells it. It
is of the second that the Decision Transformer paper shows attention at the key (section 5.5).
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqrl import attention_maps, experiments, results
from seqrl.attention_maps import Maps
from seqrl.behavior import Random
from seqrl.decision_transformer import DecisionTransformer, DecisionTransformerConfig
from seqrl.dt_attention import Effect, effect, outputs
from seqrl.environments import make_envs
from seqrl.environments.key_to_door import PHASES, events
from seqrl.interventions import hidden
from seqrl.results import Row
from seqrl.rollout import rollout
from seqrl.seeds import derive
from seqrl.training import fit
from seqrl.trajectories import Trajectories
from seqrl.transformer import init_weights
from seqrl.windows import Batch, Windows

KEY, CRITIC = "DT key", "DT critic"  # methods, in records
ROOMS = ("first room", "second room", "last room")
FEWEST = 20  # episodes behind a curve
WALKS = 4_000  # random ones that a critic is tested on; three in a hundred are solved
LAST = PHASES[0] + PHASES[1]  # the first step of the room with the door


def solved(trajectories: Trajectories) -> tuple[Batch, Tensor]:
    """Whole episodes of Key-to-Door that succeeded, and the step that took the key in each, (B,).

    ValueError where none did.
    """
    key, door = events(trajectories)
    chosen = np.flatnonzero((key >= 0) & (door >= 0))
    if not len(chosen):
        raise ValueError("no episode has both the key and the door.")
    first = trajectories.offsets[:-1][torch.from_numpy(chosen)]
    return Windows(trajectories, sum(PHASES))(first), torch.from_numpy(key[chosen])


def tokens_of(step: Tensor, T: int) -> Tensor:
    """(B, T) bool: the three tokens R̂, s, a of one step of each window, step (B,)."""
    return torch.arange(T) // 3 == step[:, None]


def on_step(maps: Maps, step: Tensor) -> Tensor:
    """(B, heads): attention on the tokens of a step of each window, (B,); NaN where outside."""
    T = maps.weights.shape[-1]
    band = tokens_of(step, T)[:, None].expand(-1, maps.weights.shape[2], -1)
    return attention_maps.band_mass(maps, band)


def _on_room(room: str) -> attention_maps.Measure:
    """The measure of the attention on all steps of one of `ROOMS`."""
    labels = np.repeat(np.repeat(ROOMS, PHASES), 3)  # (T,)
    return lambda maps: attention_maps.column_mass(maps, labels)[room]


def other_step(key: Tensor, seed: int = 0) -> Tensor:
    """Of each episode another step of the first room, drawn evenly: the key's control, (B,)."""
    generator = torch.Generator().manual_seed(derive("test", "hide", seed))
    shift = torch.randint(1, PHASES[0], key.shape, generator=generator)
    return (key + shift) % PHASES[0]


def last_room(batch: Batch) -> Tensor:
    """(B, K) bool: the real steps in the room with the door."""
    return batch.mask & (batch.timesteps >= LAST)


def step_hidden(model: DecisionTransformer, batch: Batch, step: Tensor) -> Effect:
    """What answers in the last room lose where nothing sees the tokens of a step, (B,)."""
    asked = batch._replace(mask=last_room(batch))
    right, before = model.answers(batch)[asked.mask], outputs(model, [asked])
    with hidden(model, tokens_of(step, 3 * batch.mask.shape[1])):
        return effect(before, outputs(model, [asked]), right)


def key_record(
    model: DecisionTransformer,
    untrained: nn.Module,
    looked_at: Trajectories,
    dataset: str,
    seed: int,
    method: str = KEY,
    **more: Any,
) -> Row:
    """Attention of the last room's state tokens on the step that took the key, with controls.

    Looked at are the solved ones of some test episodes. Kept are the mass on that step, on another
    of the first room and on every step, and what hiding either does to the last room's answers.
    """
    batch, key = solved(looked_at)
    asked, other = last_room(batch), other_step(key, seed)
    found = attention_maps.controls(model, untrained, [batch], seed=seed)
    maps = {name: one.where(asked) for name, one in found.items()}
    measures = {
        "key": lambda one: on_step(one, key),
        "key, no column 0": lambda one: on_step(one.without_first(), key),
        "other step": lambda one: on_step(one, other),
        **{room: _on_room(room) for room in ROOMS},
    }
    rows = attention_maps.table(measures, maps)
    scores = {f"{row['maps']}: {row['measure']}": row["estimate"] for row in rows}
    for name, step in (("key", key), ("other step", other)):
        for field, value in step_hidden(model, batch, step)._asdict().items():
            scores[f"{name} hidden: {field}"] = value
    scores |= {"episodes": float(len(key)), "success": float(looked_at.success.float().mean())}
    more |= {
        "by_step": {name: by_step(one, key) for name, one in maps.items()},
        "intervals": rows,
    }
    config = {"layer": "last", "episodes": len(looked_at)}
    return results.record(method, dataset, seed, config=config, scores=scores, **more)


# The model that foretells the return


class Critic(DecisionTransformer):
    """Says at each state whether the reward will come, and is told no return (paper, 5.5)."""

    def __init__(self, config: DecisionTransformerConfig) -> None:
        super().__init__(config)
        self.head = nn.Linear(config.trunk.width, 2)
        init_weights(self.head)

    def forward(self, batch: Batch) -> Tensor:
        """Logits of no reward to come, and of some, (B, K, 2)."""
        return super().forward(batch._replace(returns_to_go=0 * batch.returns_to_go))

    def answers(self, batch: Batch) -> Tensor:
        """Whether there is reward to come, (B, K)."""
        return (batch.returns_to_go > 0).long()

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean cross-entropy over all real steps, a scalar."""
        real = batch.mask
        return F.cross_entropy(self.forward(batch)[real], self.answers(batch)[real]), {}


def critic_record(dataset: str, seed: int, episodes: int = WALKS, **config: Any) -> Row:
    """Trains a critic, and looks at it on random walks that it has not seen.

    Beside what `key_record` keeps: "foretold", its mean probability of reward at each step, of the
    walks that took the key and reached the door, took it only, and did not take it.
    """
    data = experiments.dataset(dataset)
    size = experiments.setting(data, config)
    of_dt = experiments.METHODS["dt"].config(data, size)
    model, start = (experiments.untrained(of_dt, seed, Critic) for _ in range(2))
    sample = experiments.sampler(model, data, size.augment)
    fit(model, sample, seed=seed, progress=False, **size.recipe)
    envs = make_envs(data.info["env"], 16, split="test")
    walks = rollout(Random(envs), envs, episodes, seed=0, stream="test")
    more = {"foretold": foretold(model, walks), "setting": asdict(size)}
    return key_record(model.eval(), start, walks, dataset, seed, CRITIC, **more)


def foretold(model: Critic, walks: Trajectories) -> dict[str, list[float]]:
    """The mean probability of reward at each step, apart for what the walk did."""
    windows, found = Windows(walks, sum(PHASES)), []
    for first in walks.offsets[:-1].split(500):
        batch = windows(first)
        with torch.no_grad():
            yes = model.eval()(batch).softmax(-1)[..., 1]  # (B, K)
        found.append(yes.where(batch.mask, torch.nan))
    sure = torch.cat(found)
    taken, reached = (torch.from_numpy(found >= 0) for found in events(walks))
    groups = {"key and door": taken & reached, "key only": taken & ~reached, "no key": ~taken}
    return {name: sure[chosen].nanmean(0).tolist() for name, chosen in groups.items()}


def by_step(maps: Maps, key: Tensor) -> dict[str, list[float]]:
    """Mean mass on each of the 30 steps, apart for when the key was taken; not of few episodes.

    key: (B,) int64, the step at which it was taken.
    """
    mass = attention_maps.column_mass(maps, np.repeat(np.arange(sum(PHASES)), 3))
    table = torch.stack([one.mean(1) for one in mass.values()], 1)  # (B, 30)
    often = [step for step, count in enumerate(key.bincount().tolist()) if count >= FEWEST]
    return {str(step): table[key == step].nanmean(0).tolist() for step in often}
