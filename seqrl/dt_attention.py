"""Does a Decision Transformer check the return that is asked for? Its last layer, measured.

The claim: vertical stripes on the columns of the returns-to-go show that the model looks at the
desired return before it acts. First a correlation (how much attention lands there, with controls),
then causes: other returns are asked for, and the columns are hidden or filled from elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqrl import attention_maps, results
from seqrl.attention_maps import Maps
from seqrl.decision_transformer import PARTS, STATES, DecisionTransformer
from seqrl.environments import make_envs
from seqrl.interventions import changed, resampled, visible
from seqrl.results import Row
from seqrl.rollout import rollout
from seqrl.seeds import derive
from seqrl.trajectories import Trajectories
from seqrl.windows import Batch

GROUPS = ("R̂ now", "R̂ before", "s now", "s before", "a before")  # what a state token can see
LEAST_LOSS, LEAST_KL = 0.01, 0.01  # of the loss, and nats: below both, a pattern is not needed
EPISODES, WINDOWS = 100, 500  # held out: episodes, and windows of them that are looked at
METHOD = "DT attention"  # in records
NOISE = (0.0, 0.1, 0.0, 0.25, 0.0, 0.5, 0.0, 0.75)  # of held-out episodes in turn, as in mixed
SHIFT = -10.0  # what is asked for otherwise: ten steps more


class Effect(NamedTuple):
    """What an intervention changes, mean over all real steps."""

    loss: float  # afterwards, nats
    change: float  # of the loss, relative to what it was
    kl: float  # of the action's distribution, from before to after, nats


def held_out(level: str, episodes: int, noise: Sequence[float] = NOISE) -> Trajectories:
    """Trajectories of mixed quality on test maps: the expert with so much noise, in turn."""
    from seqrl.behavior import ShortestPath

    envs = make_envs(level, 8, split="test")
    policy = ShortestPath(envs, lambda episode: noise[episode % len(noise)])
    return rollout(policy, envs, episodes, seed=0, stream="test")


def draw(data: Trajectories, K: int, count: int, batch: int = 100, seed: int = 0) -> list[Batch]:
    """Batches of windows, `count` windows in all, every step equally likely to begin one."""
    generator = torch.Generator().manual_seed(derive("test", "windows", seed))
    return [data.windows(K, min(batch, count - i), generator) for i in range(0, count, batch)]


def kinds(K: int) -> list[list[str]]:
    """What each of the 3K tokens is to each of K state tokens, (K, 3K): one of `GROUPS`.

    Tokens that a state token cannot see are counted with "a before"; they have no weight.
    """
    rows = []
    for t in range(K):
        row = []
        for i in range(3 * K):
            part, step = PARTS[i % 3], i // 3
            row.append("a before" if part == "a" or step > t else f"{part} {_when(step, t)}")
        rows.append(row)
    return rows


def _when(step: int, t: int) -> str:
    return "now" if step == t else "before"


def measures(K: int) -> dict[str, Callable[[Maps], Tensor]]:
    """The share of attention on all R̂, with and without column 0, and on each of `GROUPS`.

    A measure gives (layers, windows, heads).
    """

    def on_returns(maps: Maps) -> Tensor:
        return attention_maps.column_mass(maps, list(PARTS) * K)["R̂"]

    def on_group(group: str) -> Callable[[Maps], Tensor]:
        def measure(maps: Maps) -> Tensor:
            labels = [kinds(K)] * len(maps.weights)
            return attention_maps.column_mass(maps, labels)[group]

        return measure

    return {
        "all R̂": on_returns,
        "all R̂, no column 0": lambda maps: on_returns(maps.without_first()),
        **{group: on_group(group) for group in GROUPS},
    }


def last_layer(
    model: DecisionTransformer,
    untrained: nn.Module,
    batches: Sequence[Batch],
    seed: int = 0,
    layer: int = -1,
) -> dict[str, Maps]:
    """A layer's maps at the state tokens of real steps, with their controls; the last, unless told.

    Only the last layer leaves the other tokens' queries out by itself.
    """
    found = attention_maps.controls(model, untrained, batches, seed=seed, layer=layer)
    real = torch.cat([batch.mask for batch in batches]).cpu()
    return {name: at_states(maps).where(real) for name, maps in found.items()}


def at_states(maps: Maps) -> Maps:
    """The rows of the state tokens, from which actions are read."""
    whole = maps.weights.shape[2] == maps.weights.shape[3]
    return maps.rows(STATES) if whole else maps


def deaf(model: DecisionTransformer) -> DecisionTransformer:
    """A copy that cannot hear any return: it embeds them all as zero."""
    copy = deepcopy(model)
    for parameter in copy.embed_return.parameters():
        parameter.data.zero_()
    return copy


def columns(part: str, T: int) -> Tensor:
    """(T,) bool: the tokens of one of `PARTS`; ValueError for any other."""
    if part not in PARTS:
        raise ValueError(f"a step has the tokens {', '.join(PARTS)}, not {part!r}.")
    return torch.arange(T) % 3 == PARTS.index(part)


@contextmanager
def part_hidden(model: nn.Module, part: str) -> Iterator[None]:
    """Meanwhile no token sees those of `part` but itself, however long the sequence is.

    A state token then sees no return-to-go at all, and neither do the tokens it reads from.
    """

    def change(call: dict[str, Any]) -> None:
        if call["cache"] is not None:
            raise ValueError("keys are hidden in whole sequences: ask for cached=False.")
        T = call["x"].shape[1]
        away = columns(part, T).to(call["x"].device)
        shown = visible(call["mask"], call["x"]) & ~away
        call["mask"] = (shown | torch.diag(away))[:, None]  # or the first token would see nothing

    with changed(model, change):
        yield


def outputs(model: DecisionTransformer, batches: Sequence[Batch]) -> Tensor:
    """Log-probabilities of the actions of all real steps, (steps, V)."""
    with torch.no_grad():
        found = [model.eval()(batch)[batch.mask].log_softmax(-1) for batch in batches]
    return torch.cat(found)


def effect(before: Tensor, after: Tensor, targets: Tensor) -> Effect:
    """Between log-probabilities (…, V) before and after, and of the loss of targets (…)."""
    losses = [F.nll_loss(x.flatten(0, -2), targets.flatten()).item() for x in (before, after)]
    kl = torch.where(before > -torch.inf, before.exp() * (before - after), 0.0)
    return Effect(losses[1], losses[1] / losses[0] - 1, kl.sum(-1).mean().item())


def effects(
    model: DecisionTransformer, batches: Sequence[Batch], seed: int = 0
) -> dict[str, Effect]:
    """What happens if R̂ is another, is resampled from other windows, or is hidden.

    Beside R̂ the same is done to past actions, to see what any damage of this kind costs.
    """
    actions = torch.cat([batch.actions[batch.mask] for batch in batches])
    before = outputs(model, batches)

    def changed_to(after: Tensor) -> Effect:
        return effect(before, after, actions)

    asked = [b._replace(returns_to_go=(b.returns_to_go + SHIFT) * b.mask) for b in batches]
    found = {"nothing": changed_to(before), f"R̂ {SHIFT:+.0f}": changed_to(outputs(model, asked))}
    lost = knocked_out(model, batches, outputs, seed)
    return found | {name: changed_to(after) for name, after in lost.items()}


def knocked_out(
    model: DecisionTransformer,
    batches: Sequence[Batch],
    outputs: Callable[[DecisionTransformer, Sequence[Batch]], Tensor],
    seed: int = 0,
) -> dict[str, Tensor]:
    """What a model puts out, (steps, ...), where R̂ or past actions are resampled or hidden."""
    found, T = {}, 3 * batches[0].mask.shape[1]
    for part in ("R̂", "a"):
        generator = torch.Generator().manual_seed(derive("test", "resampled", seed))
        with resampled(model, generator, columns(part, T)):
            found[f"{part} resampled"] = outputs(model, batches)
        with part_hidden(model, part):
            found[f"{part} hidden"] = outputs(model, batches)
    return found


def verdict(effect: Effect) -> str:
    """Held where knocking the pattern out moves the loss by 1 % or the actions by 0.01 nats."""
    needed = effect.change >= LEAST_LOSS or effect.kl >= LEAST_KL
    return "held" if needed else "not held"


def record(model: DecisionTransformer, untrained: nn.Module, dataset: str, seed: int) -> Row:
    """One training seed's measures and effects on held-out windows, as a record of the book."""
    level, K = dataset.partition("/")[0], model.config.context
    batches = draw(held_out(level, EPISODES), K, WINDOWS)
    rows = attention_maps.table(measures(K), last_layer(model, untrained, batches, seed))
    scores = {f"{row['maps']}: {row['measure']}": row["estimate"] for row in rows}
    for name, lost in effects(model, batches, seed).items():
        scores |= {f"{name}: {field}": value for field, value in lost._asdict().items()}
    config = {"layer": "last", "windows": WINDOWS, "episodes": EPISODES}
    return results.record(METHOD, dataset, seed, config=config, scores=scores)
