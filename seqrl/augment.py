"""Windows of grid worlds, changed so that they stay true: a few demonstrations go further.

A demonstration stays one when colors are exchanged everywhere, in the world and in the mission
alike, when key, ball and box are, and when the world is mirrored. Nothing here knows a method.
Turning the world is left out, since the encoder does not notice it.
"""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from seqrl.environments.grid_observation import ACTIONS, AGENT, NO_ACTION
from seqrl.environments.missions import VOCABULARY
from seqrl.windows import Batch

COLORS = ("red", "green", "blue", "purple", "yellow", "grey")  # in MiniGrid's order
KINDS = ("key", "ball", "box")  # MiniGrid's types 5, 6 and 7; all can be picked up
_DOOR, _KEY, _BOX, _TYPES = 4, 5, 7, 11
_LOCKED = 2  # the state of a door
_TOGGLE = ACTIONS.index("toggle")
_TOKEN = {word: token for token, word in enumerate(VOCABULARY)}
_COLOR_WORDS, _KIND_WORDS, _KEY_USES = (
    tuple(_TOKEN[word] for word in words) for words in (COLORS, KINDS, ("use", "unlock"))
)
_OTHER_SIDE = {"left": "right", "right": "left"}  # actions and words
_MIRRORED_ACTIONS = tuple(ACTIONS.index(_OTHER_SIDE.get(a, a)) for a in ACTIONS)
_MIRRORED_HISTORY = (*_MIRRORED_ACTIONS, NO_ACTION)
_MIRRORED_WORDS = tuple(_TOKEN[_OTHER_SIDE.get(word, word)] for word in VOCABULARY)
_MIRRORED_HEADINGS = (2, 1, 0, 3)


def augment(batch: Batch, generator: torch.Generator) -> Batch:
    """The same windows, each with colors and kinds exchanged, and mirrored half of the time.

    All permutations are equally likely; kinds stay where `kinds_matter`. What is random is drawn
    where the generator lives, so a CPU generator gives the same on every device. The batch given
    is not changed. ValueError where the observations are not a grid world.
    """
    _check(batch)
    device = batch.mask.device
    size = (len(batch.mask), len(COLORS) + len(KINDS) + 1)
    chance = torch.rand(size, generator=generator, device=generator.device).to(device)
    by_color, by_kind, coin = chance.split([len(COLORS), len(KINDS), 1], 1)
    colors, kinds = (x.argsort(stable=True, dim=1) for x in (by_color, by_kind))
    kinds = torch.where(kinds_matter(batch)[:, None], _unchanged(len(KINDS), kinds), kinds)
    return mirror(exchange(batch, colors, kinds), coin[:, 0] < 0.5)


def exchange_colors(batch: Batch, colors: Tensor) -> Batch:
    """Color c becomes colors[b, c], a permutation a window, (B, 6) int64; see `exchange`."""
    return exchange(batch, colors, _unchanged(len(KINDS), colors))


def exchange_kinds(batch: Batch, kinds: Tensor) -> Batch:
    """Kind k of key, ball, box becomes kinds[b, k], a permutation a window, (B, 3) int64.

    It does so without asking whether `kinds_matter`.
    """
    return exchange(batch, _unchanged(len(COLORS), kinds), kinds)


def exchange(batch: Batch, colors: Tensor, kinds: Tensor) -> Batch:
    """The windows with colors (B, 6) and kinds (B, 3) exchanged, in one walk over the cells.

    In doors, keys, balls, boxes and the mission. Walls and floors keep their color, which no
    mission means, as do goals and lava, which have only one: a "green goal" stays green.
    """
    _check(batch)
    observations, agent = dict(batch.observations), batch.observations["agent"].clone()
    table = _exchanged_cells(colors, kinds)
    for key in ("map", "view"):
        if key in observations:
            observations[key] = _through(table, observations[key])
    for field in ("carrying", "front"):
        agent[..., AGENT[field]] = _through(table, agent[..., AGENT[field]])
    mission = observations["mission"]
    words = _exchanged_words(colors, kinds).gather(1, mission.long()).to(mission.dtype)
    of_goal = F.pad(mission[:, 1:] == _TOKEN["goal"], (0, 1))
    observations |= {"agent": agent, "mission": torch.where(of_goal, mission, words)}
    return batch._replace(observations=observations)


def kinds_matter(batch: Batch) -> Tensor:
    """The windows in which key, ball and box may differ in what they do, (B,) bool.

    A key opens doors: where one is locked (a box may then hide the key), or the mission speaks of
    using it. A box opens: where something that can be picked up is toggled, which does nothing
    to a key or a ball. A view does not show whether a door is locked elsewhere: all its windows.
    """
    _check(batch)
    observations = batch.observations
    front = observations["agent"][..., AGENT["front"]]
    toggled = batch.actions == _TOGGLE
    matter = _locked(front) | (toggled & (front[..., 0] >= _KEY) & (front[..., 0] <= _BOX)).any(1)
    use, unlock = (observations["mission"] == word for word in _KEY_USES)
    matter |= (use | unlock).any(1)
    if "map" not in observations:
        return torch.ones_like(matter)
    return matter | _locked(observations["map"].flatten(1, 2))


def mirror(batch: Batch, which: Tensor) -> Batch:
    """The windows `which`, (B,) bool, in a world whose left is right; twice is as before.

    The map's x axis or the view's first one, poses, headings, actions now and in the history, and
    "left" and "right" in the mission. Padded steps stay zero.
    """
    _check(batch)
    observations = dict(batch.observations)
    agent, mission = observations["agent"], observations["mission"]
    for key, axis in (("map", 1), ("view", 2)):
        if key in observations:
            cells = observations[key]
            chosen = which.view(-1, *[1] * (cells.dim() - 1))
            observations[key] = torch.where(chosen, cells.flip(axis), cells)
    flipped = agent.clone()
    for field in ("pose", "start"):
        x, heading = AGENT[field].start, AGENT[field].stop - 1
        flipped[..., heading] = _look_up(_MIRRORED_HEADINGS, agent[..., heading])
        if "map" in observations:  # with a view, positions are unknown
            flipped[..., x] = observations["map"].shape[1] - 1 - agent[..., x]
    flipped[..., AGENT["history"]] = _look_up(_MIRRORED_HISTORY, agent[..., AGENT["history"]])
    chosen = which[:, None] & batch.mask
    observations["agent"] = torch.where(chosen[..., None], flipped, agent)
    mirrored = _look_up(_MIRRORED_WORDS, mission)
    observations["mission"] = torch.where(which[:, None], mirrored, mission)
    actions = torch.where(chosen, _look_up(_MIRRORED_ACTIONS, batch.actions), batch.actions)
    return batch._replace(observations=observations, actions=actions)


def _unchanged(count: int, like: Tensor) -> Tensor:
    """The permutation that changes nothing, for as many windows as `like` has: (B, count)."""
    return torch.arange(count, device=like.device).expand(len(like), -1)


def _exchanged_cells(colors: Tensor, kinds: Tensor) -> Tensor:
    """What each type and color of cell becomes: (B, 11, 6, 2) uint8."""
    B, device = len(colors), colors.device
    table = torch.empty(B, _TYPES, len(COLORS), 2, dtype=torch.uint8, device=device)
    table[..., 0] = torch.arange(_TYPES, device=device)[:, None]
    table[..., 1] = torch.arange(len(COLORS), device=device)
    table[:, _KEY : _BOX + 1, :, 0] = (kinds + _KEY)[..., None]
    table[:, _DOOR : _BOX + 1, :, 1] = colors[:, None]
    return table


def _exchanged_words(colors: Tensor, kinds: Tensor) -> Tensor:
    """What each word becomes: (B, words) int64."""
    words = _constant(tuple(range(len(VOCABULARY))), colors.device).repeat(len(colors), 1)
    for places, permutation in ((_COLOR_WORDS, colors), (_KIND_WORDS, kinds)):
        at = _constant(places, colors.device)
        words.index_copy_(1, at, at[permutation])
    return words


def _through(table: Tensor, cells: Tensor) -> Tensor:
    """Cells (B, ..., 2 or 3) by a table of each window, (B, 11, 6, 2); the state stays."""
    first = torch.arange(len(table), device=table.device) * (_TYPES * len(COLORS))
    code = cells[..., 0].long() * len(COLORS) + cells[..., 1]
    code += first.view(-1, *[1] * (code.dim() - 1))
    changed = table.flatten(0, 2).index_select(0, code.flatten()).view(*code.shape, 2)
    return torch.cat([changed, cells[..., 2:]], -1)


def _locked(cells: Tensor) -> Tensor:
    """Whether one of the cells (B, cells, 3) is a locked door, (B,)."""
    return ((cells[..., 0] == _DOOR) & (cells[..., 2] == _LOCKED)).any(1)


def _look_up(table: tuple[int, ...], index: Tensor) -> Tensor:
    return _constant(table, index.device, index.dtype).take(index.long())


@cache
def _constant(
    values: tuple[int, ...], device: torch.device, dtype: torch.dtype = torch.int64
) -> Tensor:
    """A table, copied to a device only once."""
    return torch.tensor(values, dtype=dtype, device=device)


def _check(batch: Batch) -> None:
    keys = batch.observations.keys()
    if not {"agent", "mission"} <= keys or not {"map", "view"} & keys:
        raise ValueError(
            "only windows of a grid world can be augmented, with agent, mission and map or view; "
            f"these observations have {', '.join(keys) or 'no keys'}."
        )
