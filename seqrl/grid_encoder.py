"""The encoder of grid worlds: what is costly is done once a map, and each step looks it up.

    cells    the features of all (type, color, state) are a table; a cell is a row of it
    mission  its words vote for G queries, each of which attends over the things on the map
    values   value iteration spreads over the map how near each cell lies to what was found
    look     a step reads the cells around its own pose, in its own frame, from that one map

No cell knows in which direction another lies; only poses do, and they read ahead and to the right.
So turning the whole world changes nothing. (Mirroring it does: see `augment`.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqrl.environments.grid_observation import AGENT, AGENT_SIZE, HISTORY, NO_ACTION
from seqrl.environments.missions import MISSION_LENGTH, VOCABULARY
from seqrl.frames import frame, neighborhood, positions, sides
from seqrl.value_iteration import OUTSIDE, value_iteration

TYPES, COLORS, STATES = 11, 6, 4  # of MiniGrid's cells
WORDS = 32  # width of a mission's words
FEATURES = 8  # of a cell that a step sees, besides its values
BACKGROUND = 4  # types below are unseen, empty, wall and floor; no mission means one of them
FAR = 1.0  # differences of values are cut here: a wall is as bad as the end of the world


class Encoding(NamedTuple):
    """What a method gets to see of B windows of K steps."""

    context: Tensor  # (B, C, D): on grids a token a query, what it found and where
    summary: Tensor  # (B, D): the first step's token
    steps: Tensor  # (B, K, D): a state token a step
    contexts: Tensor  # (B, K, C, D): the context as seen from each step


class Scene(NamedTuple):
    """An encoded map, in which any pose may be looked up."""

    cells: Tensor  # (B, W * H + 1, FEATURES + G): features and values; the last is outside
    found: Tensor  # (B, G, cell): the features of what each query has found
    place: Tensor  # (B, G, 3): x and y of it, and 1; times the attention that fell on things
    mission: Tensor  # (B, WORDS): the mean word
    size: tuple[int, int]  # W, H


@dataclass
class MapRecord:
    """What the mission looked at, filled on the way; a row is a map (or one step's view)."""

    votes: Tensor | None = None  # (B, n, G): the share of each word in each query
    attention: Tensor | None = None  # (B, G, W, H): of each query; what lacks to 1 is on nothing
    word_attention: Tensor | None = None  # (B, n, W, H): of each word alone
    values: Tensor | None = None  # (B, G, W, H)
    cost: Tensor | None = None  # (B, W, H)


@dataclass(frozen=True)
class GridEncoderConfig:
    """Sizes of a `GridEncoder`; `behind`, `ahead` and `side` are how many cells a step sees.

    `sweeps` of value iteration: None for enough on any map, 0 for none. Then no step knows more
    than the cells around it and in which direction the mission's things lie.
    """

    sees: Literal["map", "view"] = "map"  # one map a window, or a view a step
    width: int = 128
    cell: int = 32
    queries: int = 4
    behind: int = 2
    ahead: int = 2
    side: int = 2
    sweeps: int | None = None

    def build(self) -> GridEncoder:
        return GridEncoder(self)


class GridEncoder(nn.Module):
    """{"map" (B, W, H, 3) or "view" (B, K, n, n, 3), "agent" (B, K, 19), "mission" (B, 72)}, as
    `environments.grid` has them, to an `Encoding`."""

    around: Tensor

    def __init__(self, config: GridEncoderConfig) -> None:
        super().__init__()
        self.config = config
        D, E, G = config.width, config.cell, config.queries
        self.types, self.colors = nn.Embedding(TYPES, E), nn.Embedding(COLORS, E)
        self.states, self.sides = nn.Embedding(STATES, E), nn.Embedding(9, E)
        last = nn.Linear(2 * E, 1)
        plans = config.sweeps != 0
        self.cost = nn.Sequential(nn.Linear(E, 2 * E), nn.ReLU(), last) if plans else None
        self.word = nn.Embedding(len(VOCABULARY), WORDS)
        self.order = nn.Embedding(MISSION_LENGTH, WORDS)
        self.phrases = nn.ModuleList(nn.Conv1d(WORDS, WORDS, 3, padding=1) for _ in range(2))
        self.vote = nn.Linear(WORDS, G, bias=False)
        self.query, self.key = nn.Linear(WORDS, E, bias=False), nn.Linear(E, E, bias=False)
        # Attention that is flat at first, as from usual weights, stays so for long. All cells cost
        # the same at first: values then fall off with the distance, which is right but for walls.
        nn.init.orthogonal_(self.query.weight)
        nn.init.orthogonal_(self.key.weight)
        nn.init.zeros_(last.weight)
        near = neighborhood(config.behind, config.ahead, config.side)
        self.register_buffer("around", near, persistent=False)  # (4, P, 2)
        self.nothing = nn.Parameter(torch.zeros(1))  # the score of attending to nothing
        self.features = nn.Linear(E, FEATURES)
        self.sight = nn.Linear(near.shape[1] * (FEATURES + G), D)
        self.level = nn.Linear(G, D, bias=False)
        self.what, self.where = nn.Linear(E, D), nn.Linear(2, D, bias=False)
        self.slot = nn.Embedding(G, D)
        self.mission = nn.Linear(WORDS, D, bias=False)
        self.hands = nn.Linear(2 * E, D, bias=False)
        self.history = nn.EmbeddingBag(HISTORY * (NO_ACTION + 1), D, mode="sum")
        for embedding in (self.order, self.slot, self.history):
            nn.init.normal_(embedding.weight, std=0.1)
        self.mlp = nn.Sequential(
            nn.LayerNorm(D), nn.Linear(D, 2 * D), nn.GELU(), nn.Linear(2 * D, D)
        )

    @property
    def expected(self) -> dict[str, tuple[int, ...] | None]:
        """The observations that it knows, and the shape of one; None where it takes any."""
        return {self.config.sees: None, "agent": (AGENT_SIZE,), "mission": (MISSION_LENGTH,)}

    def encode(
        self, observations: Mapping[str, Tensor], record: MapRecord | None = None
    ) -> Encoding:
        """Encodes the map once, and each step where it stands on it.

        {"map": (B, W, H, 3), "agent": (B, K, 19), ...} to a context (B, C, D) and steps (B, K, D).
        """
        agent, scene = observations["agent"], self.scene(observations, record)
        if self.config.sees == "map":
            return self.steps(scene, agent)
        B, K = agent.shape[:2]
        each = self.steps(scene, agent.flatten(0, 1)[:, None])  # B * K scenes of one step
        steps = each.steps.view(B, K, -1)
        contexts = each.context.unflatten(0, (B, K))
        return Encoding(contexts[:, 0], steps[:, 0], steps, contexts)

    forward = encode

    def scene(self, observations: Mapping[str, Tensor], record: MapRecord | None = None) -> Scene:
        """Everything that does not depend on where a step stands: (B, ...), or of views B * K."""
        cells, side = self._world(observations)
        B, W, H, _ = cells.shape
        table, code = self._table(), _code(cells).flatten(1)  # (combinations, E), (B, W * H)
        words, present = self._words(observations["mission"])  # (b, n, WORDS), (b, n)
        votes = self.vote(words).masked_fill(~present[..., None], -torch.inf).softmax(1)
        goal = self._meant(votes.mT @ self.query(words), table, code, side)  # (B, G, W * H)
        values, cost = goal.view(B, -1, W, H), None
        if self.cost is not None:
            cost = torch.exp(3 * self.cost(table).float() - 1)[code].view(B, 1, W, H)
            values = value_iteration(values, cost, self.config.sweeps or 4 * max(W, H))
        if record is not None:
            alone = self._meant(self.query(words), table, code, side)
            record.attention = goal.detach().exp().view_as(values)
            record.word_attention = alone.detach().exp().view(B, -1, W, H)
            record.votes, record.values = votes.detach(), values.detach()
            record.cost = None if cost is None else cost.detach()[:, 0]
        seen = goal.exp()
        where = F.pad(positions(W, H, seen.device).to(seen.dtype), (0, 1), value=1.0)
        inside = torch.cat([self.features(table).float()[code], values.flatten(2).mT], -1)
        outside = inside.new_full((B, 1, inside.shape[-1]), OUTSIDE)
        outside[..., :FEATURES] = 0
        mission = (words * present[..., None]).sum(1) / present.sum(1, keepdim=True)
        return Scene(
            cells=torch.cat([inside, outside], 1),
            found=seen @ table[code],
            place=seen @ where,
            mission=mission.repeat_interleave(B // len(mission), 0),
            size=(W, H),
        )

    def steps(self, scene: Scene, agent: Tensor) -> Encoding:
        """Steps (B, K, 19) that a scene is seen from."""
        agent = agent.long()
        pose = agent[..., AGENT["pose"]]
        if self.config.sees == "view":  # from the middle of its last row, upwards
            W, H = scene.size
            pose = torch.tensor([W // 2, H - 1, 3], device=pose.device).expand_as(pose)
        found = self.finds(scene, pose)  # (B, K, G, D)
        held = F.pad(agent[..., AGENT["carrying"]], (0, 1))  # (B, K, 3)
        hands = self._table()[_code(torch.stack([held, agent[..., AGENT["front"]]], -2))]
        place = torch.arange(HISTORY, device=agent.device) * (NO_ACTION + 1)
        past = self.history((agent[..., AGENT["history"]] + place).flatten(0, 1))  # (B * K, D)
        x = self.look(scene, pose) + found.mean(2) + self.mission(scene.mission)[:, None]
        x = x + self.hands(hands.flatten(2)) + past.view_as(x)
        x = x + self.mlp(x)
        return Encoding(found[:, 0], x[:, 0], x, found)

    def look(self, scene: Scene, pose: Tensor) -> Tensor:
        """The cells around poses (B, K, 3), as seen from there: (B, K, D)."""
        (W, H), pose = scene.size, pose.long()
        at = pose[..., None, :2] + self.around[pose[..., 2]]  # (B, K, P, 2)
        inside = ((at >= 0) & (at < torch.tensor([W, H], device=at.device))).all(-1)
        first = torch.arange(len(pose), device=pose.device)[:, None] * (W * H + 1)
        index = torch.where(inside, at[..., 0] * H + at[..., 1], W * H) + first[..., None]
        here = pose[..., 0] * H + pose[..., 1] + first
        rows = scene.cells.flatten(0, 1)
        cells = rows.index_select(0, index.flatten()).view(*index.shape, -1)
        level = rows.index_select(0, here.flatten()).view(*here.shape, -1)[..., FEATURES:]
        better = (cells[..., FEATURES:] - level[:, :, None]).clamp(-FAR, FAR)
        sight = torch.cat([cells[..., :FEATURES], 3 * better], -1).flatten(2)
        return self.sight(sight) + self.level(0.1 * level.clamp(min=-30))

    def finds(self, scene: Scene, pose: Tensor) -> Tensor:
        """What each query found, and where as seen from poses (B, K, 3): (B, K, G, D)."""
        place = scene.place[:, None]  # (B, 1, G, 3)
        way = place[..., :2] - place[..., 2:] * pose[..., None, :2]  # (B, K, G, 2)
        seen = (way[..., None, :] * frame(pose[..., 2])[:, :, None]).sum(-1)  # ahead, right
        what = self.what(scene.found) + self.slot.weight  # (B, G, D)
        return F.gelu(what[:, None] + self.where(0.2 * seen))

    def _world(self, observations: Mapping[str, Tensor]) -> tuple[Tensor, Tensor | None]:
        """Cells (B, W, H, 3), and on which side of the start each lies, (B, W * H)."""
        if self.config.sees == "view":
            return observations["view"].flatten(0, 1), None
        cells = observations["map"]
        start = observations["agent"][:, 0, AGENT["start"]].long()
        return cells, sides(start, *cells.shape[1:3])

    def _table(self) -> Tensor:
        """The features of every combination of type, color and state."""
        typed = self.types.weight[:, None, None] + self.colors.weight[:, None]
        return (typed + self.states.weight).flatten(0, 2)

    def _words(self, mission: Tensor) -> tuple[Tensor, Tensor]:
        """Words that know their neighbors, (B, n, WORDS), and which are there; n is the longest."""
        n = max(1, int((mission > 0).sum(1).max()))
        mission = mission[:, :n].long()
        present = mission > 0
        present[:, 0] = True  # an empty mission is one word of padding
        x = (self.word(mission) + self.order.weight[:n]) * present[..., None]
        for phrase in self.phrases:
            x = x + phrase(F.relu(x).mT).mT * present[..., None]
        return x, present

    def _meant(self, queries: Tensor, table: Tensor, code: Tensor, side: Tensor | None) -> Tensor:
        """Log-attention of queries (b, G, E) over cells, (B, G, W * H); B is b, or of views b K.

        The cells compete with one another and with `nothing`.
        """
        queries = queries.float() / queries.shape[-1] ** 0.5
        index = code.view(len(queries), 1, -1).expand(-1, queries.shape[1], -1)
        score = (queries @ self.key(table).float().mT).gather(2, index)  # combinations are few
        if side is not None:
            of_side = queries @ self.key(self.sides.weight).float().mT
            score = score + of_side.gather(2, side[:, None].expand_as(index))
        score = score.masked_fill(index < BACKGROUND * COLORS * STATES, OUTSIDE)
        score = score.unflatten(2, (len(code) // len(queries), -1)).transpose(1, 2).flatten(0, 1)
        nothing = self.nothing.expand(*score.shape[:2], 1)
        return torch.cat([score, nothing], -1).log_softmax(-1)[..., :-1]


def _code(cells: Tensor) -> Tensor:
    """(type, color, state) as one number, a row of the table."""
    kind, color, state = cells.long().unbind(-1)
    return (kind * COLORS + color) * STATES + state
