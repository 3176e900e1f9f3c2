"""What augmented windows say is true: rebuilt as real levels, they play out as they say."""

import re

import numpy as np
import pytest
import torch
from minigrid.core.constants import COLOR_TO_IDX, OBJECT_TO_IDX, STATE_TO_IDX
from minigrid.core.world_object import WorldObj
from minigrid.envs.babyai.core import verifier

from seqrl import augment as augmentation
from seqrl.augment import (
    COLORS,
    KINDS,
    augment,
    exchange,
    exchange_colors,
    exchange_kinds,
    kinds_matter,
    mirror,
)
from seqrl.behavior import BabyAIBot, Random, ShortestPath
from seqrl.environments import make_envs
from seqrl.environments.grid import (
    ACTIONS,
    AGENT,
    HEADINGS,
    VOCABULARY,
    decode_mission,
    encode_mission,
    make_env,
)
from seqrl.environments.grid_observation import encode_grid
from seqrl.environments.levels import LEVELS
from seqrl.rollout import rollout
from seqrl.windows import Batch, Windows

torch.set_num_threads(1)

DOOR, KEY, BALL, BOX = (OBJECT_TO_IDX[kind] for kind in ("door", "key", "ball", "box"))
WALL, GOAL, LOCKED = OBJECT_TO_IDX["wall"], OBJECT_TO_IDX["goal"], STATE_TO_IDX["locked"]
LEFT, RIGHT, TOGGLE = (ACTIONS.index(name) for name in ("left", "right", "toggle"))


def collected(name, episodes=4, policy=ShortestPath, epsilon=0.25, **kwargs):
    envs = make_envs(name, 2, **kwargs)
    act = policy(envs) if policy is Random else policy(envs, epsilon=epsilon)
    return rollout(act, envs, episodes, seed=0)


def whole_episodes(data, copies=1, limit=60):
    """Windows from the first step of each episode to its last."""
    windows = Windows(data, min(int(data.lengths.max()), limit))
    return windows(data.offsets[:-1].repeat(copies))


def draws(B, seed=0):
    generator = torch.Generator().manual_seed(seed)
    colors, kinds = (torch.rand(B, n, generator=generator).argsort(1) for n in (6, 3))
    return colors, kinds, torch.arange(B) % 2 == 0


def changes(batch, seed=0):
    """The windows with chosen permutations, every other one mirrored."""
    colors, kinds, which = draws(len(batch.mask), seed)
    return mirror(exchange(batch, colors, kinds), which)


def tensors(batch):
    flat = batch._asdict()
    return {**flat.pop("observations"), **flat}


def same(a, b):
    a, b = tensors(a), tensors(b)
    return a.keys() == b.keys() and all(
        a[key].dtype == b[key].dtype and torch.equal(a[key], b[key]) for key in a
    )


def synthetic(B):
    """Windows of a 6 x 3 map with every kind in every color, and a mission of all these words."""
    cells = torch.zeros(B, 6, 3, 3, dtype=torch.uint8)
    cells[..., 0] = torch.tensor([KEY, BALL, BOX])
    cells[..., 1] = torch.arange(6)[:, None]
    words = ["the", *KINDS, *COLORS, "left", "right", "door"]
    mission = torch.tensor([VOCABULARY.index(w) for w in words], dtype=torch.uint8).repeat(B, 1)
    observations = {
        "map": cells,
        "agent": torch.zeros(B, 2, 19, dtype=torch.uint8),
        "mission": mission,
    }
    zeros = torch.zeros(B, 2)
    fields = dict.fromkeys(Batch._fields, zeros) | {"observations": observations}
    return Batch(**fields)._replace(actions=zeros.long(), mask=torch.ones(B, 2, dtype=torch.bool))


# A level is rebuilt from nothing but the window: its map, its first pose and its mission's words.

THING = re.compile(
    rf"(?:a|the) (?:({'|'.join(COLORS)}) )?(object|ball|box|key|door)"
    r"(?: (?:on your (left|right)|in (front) of you|(behind) you))?"
)
CLAUSES = {
    "go to ": verifier.GoToInstr,
    "pick up ": verifier.PickupInstr,
    "open ": verifier.OpenInstr,
    "put ": verifier.PutNextInstr,
}


def described(words):
    color, noun, *side = THING.fullmatch(words).groups()
    return verifier.ObjDesc(
        None if noun == "object" else noun, color, next(filter(None, side), None)
    )


def instruction(mission):
    for joint, kind in (
        (", then ", verifier.BeforeInstr),
        (" after you ", verifier.AfterInstr),
        (" and ", verifier.AndInstr),
    ):
        first, found, second = mission.partition(joint)
        if found:
            return kind(instruction(first), instruction(second))
    verb = next(verb for verb in CLAUSES if mission.startswith(verb))
    things = mission.removeprefix(verb).split(" next to ")
    return CLAUSES[verb](*map(described, things))


def rebuilt(env, cells, agent, mission):
    """`env`, after any reset, as the level that a window speaks of; its first observation."""
    level = env.level
    for x, y in np.ndindex(*cells.shape[:2]):
        thing = WorldObj.decode(*cells[x, y].tolist())
        level.grid.set(x, y, thing)
        if thing is not None:
            thing.init_pos = thing.cur_pos = (x, y)
    (*position, heading), carried = agent[AGENT["pose"]].tolist(), agent[AGENT["carrying"]].tolist()
    level.agent_pos, level.agent_dir = tuple(position), heading
    level.carrying = WorldObj.decode(*carried, 0)
    env._cells = list(level.grid.grid)
    env._map = encode_grid(env._cells, env.width, env.height, env._padding)
    env._start, env._mission = tuple(agent[AGENT["start"]].tolist()), encode_mission(mission)
    env._history.extendleft(reversed(agent[AGENT["history"]].tolist()))
    return env._observe()


def replay(env, seed, batch, row, world):
    """Play a window's actions in its own level, where every step must be as it says: successes."""
    mission = decode_mission(batch.observations["mission"][row].numpy())
    cells, agent = (world.observations[key][row].numpy() for key in ("map", "agent"))
    env.reset(seed=seed)
    seen = rebuilt(env, cells, agent[0], mission)
    if batch.timesteps[row, 0] == 0:  # later, what the mission means may have been moved
        assert env._start == env._pose()
        env.level.instrs = instruction(mission)
        env.level.instrs.reset_verifier(env.level)
        assert env.level.instrs.surface(env.level) == mission  # "a" or "the", and it is there
    succeeded = []
    for t in range(int(batch.mask[row].sum())):
        for key in ("agent", "view"):
            if key in batch.observations:
                given = batch.observations[key][row, t].numpy()
                assert np.array_equal(seen[key], given), (mission, t, key)
        seen, *_, info = env.step(int(batch.actions[row, t]))
        succeeded.append(info["success"])
    return succeeded


def assert_true(data, env, batch, world=None):
    """Windows of whole episodes, again and again: each plays out, and succeeds when it did."""
    for row in range(len(batch.mask)):
        episode = row % len(data)
        played = replay(env, int(data.seeds[episode]), batch, row, world or batch)
        succeeds = data.success[episode] and len(played) == data.lengths[episode]
        assert played == [False] * (len(played) - 1) + [bool(succeeds)]


@pytest.mark.parametrize("name", [*LEVELS, "BabyAI-PutNextLocalS5N3"])
def test_a_changed_demonstration_is_a_demonstration(name):
    expert = BabyAIBot if "PutNext" in name else ShortestPath
    data, env = collected(name, policy=expert), make_env(name)
    assert data.success.any()
    batch = whole_episodes(data, copies=6)
    for changed in (changes(batch), augment(batch, torch.Generator().manual_seed(3))):
        assert len({tuple(row) for row in changed.observations["mission"].tolist()}) > 8
        assert_true(data, env, changed)


def test_the_replay_tells_a_wrong_change():
    data, env = collected("PickupLoc", epsilon=0.0), make_env("PickupLoc")
    batch = whole_episodes(data)
    mirrored = mirror(batch, torch.ones(len(data), dtype=torch.bool))
    for wrong in (
        mirrored._replace(actions=batch.actions),
        mirrored._replace(observations={**mirrored.observations, "map": batch.observations["map"]}),
    ):
        with pytest.raises(AssertionError):
            assert_true(data, env, wrong)


@pytest.mark.parametrize("name", ["GoToLocalS8N7", "PickupLoc"])
def test_random_behavior_toggles_boxes_and_stays_possible(name):
    data, env = collected(name, 8, Random), make_env(name)
    batch = whole_episodes(data, copies=2)
    assert kinds_matter(batch).any() and not kinds_matter(batch).all()
    changed = augment(batch, torch.Generator().manual_seed(0))
    assert_true(data, env, changed)


@pytest.mark.parametrize("name", ["GoToLocalS8N7", "GoToObjMazeS4R2Close"])
def test_views_are_changed_as_the_world_is(name):
    data, seen = collected(name), collected(name, view="partial")
    assert torch.equal(data.actions, seen.actions)
    world, batch = whole_episodes(data, copies=4), whole_episodes(seen, copies=4)
    changed, env = changes(batch), make_env(name, view="partial")
    assert not torch.equal(changed.observations["view"], batch.observations["view"])
    assert_true(data, env, changed, changes(world))


@pytest.mark.parametrize("name", ["BabyAI-UnlockLocalDist", "BabyAI-UnlockPickupDist"])
def test_keys_stay_keys_where_a_door_is_locked(name):
    data = collected(name, policy=BabyAIBot, epsilon=0.1)
    assert data.success.any()
    batch = whole_episodes(data, copies=8)
    assert kinds_matter(batch).all()
    changed = augment(batch, torch.Generator().manual_seed(0))
    before, after = batch.observations["map"], changed.observations["map"]
    kinds, mirrored = before[..., 0], before[..., 0].flip(1)
    assert ((after[..., 0] == kinds) | (after[..., 0] == mirrored)).flatten(1).all()
    assert not torch.equal(before[..., 1], after[..., 1])
    door, key = ((after[..., 0] == kind).flatten(1) for kind in (DOOR, KEY))
    colors = after[..., 1].flatten(1)
    for row in range(len(batch.mask)):
        assert set(colors[row][door[row]].tolist()) <= set(colors[row][key[row]].tolist())
    env = make_env(name)
    assert_true(data, env, changed)
    with pytest.raises(AssertionError):  # without the rule, a door does not open
        assert_true(data, env, exchange_kinds(batch, torch.tensor([[1, 2, 0]] * len(batch.mask))))


@pytest.mark.parametrize(
    "name, policy, epsilon",
    [
        ("PickupLoc", Random, 1.0),
        ("BabyAI-PutNextLocalS5N3", BabyAIBot, 0.3),
        ("BabyAI-UnlockPickupDist", BabyAIBot, 0.1),
    ],
)
def test_windows_from_anywhere_play_out_with_something_in_hand(name, policy, epsilon):
    data, env = collected(name, 8, policy, epsilon), make_env(name)
    generator = torch.Generator().manual_seed(0)
    changed = augment(data.windows(10, 96, generator), generator)
    held = changed.observations["agent"][:, 0, AGENT["carrying"].start]
    assert {KEY, BALL, BOX} <= set(held.tolist())
    for row in range(96):
        replay(env, 0, changed, row, changed)


def test_where_kinds_matter():
    batch = synthetic(10)
    front = batch.observations["agent"][..., AGENT["front"]]  # a view of the batch
    batch.observations["map"][1, 0, 0] = torch.tensor([DOOR, 2, LOCKED])
    front[2, 1] = torch.tensor([DOOR, 2, LOCKED])  # open on the map of a later anchor
    batch.observations["mission"][3, 0] = VOCABULARY.index("unlock")
    batch.actions[4:8, 1] = TOGGLE
    front[4, 1], front[5, 1], front[6, 1] = (torch.tensor([k, 0, 0]) for k in (BOX, BALL, KEY))
    front[7, 1] = torch.tensor([DOOR, 1, 1])  # a shut door that needs no key
    front[8, 1] = torch.tensor([BOX, 0, 0])  # not toggled
    batch.observations["map"][9, 0, 0] = torch.tensor([DOOR, LOCKED, 1])  # blue, not locked
    assert kinds_matter(batch).nonzero()[:, 0].tolist() == [1, 2, 3, 4, 5, 6]
    for seed in range(5):
        changed = augment(batch, torch.Generator().manual_seed(seed))
        words = changed.observations["mission"][1:7]
        assert words[:, 1:4].tolist() == batch.observations["mission"][1:7, 1:4].tolist()


def test_a_view_does_not_rule_out_a_locked_door_so_kinds_stay():
    batch = collected("GoToLocalS8N7", view="partial").windows(4, 64)
    assert kinds_matter(batch).all()
    changed = augment(batch, torch.Generator().manual_seed(0))
    a, b = (x.observations["view"][..., 0] for x in (batch, changed))
    assert ((a == b) | (a == b.flip(2))).all()
    assert not torch.equal(batch.observations["view"][..., 1], changed.observations["view"][..., 1])


def test_the_goal_of_a_mission_stands_where_it_stood():
    data = collected("GoToLocalS8N7", 12)
    batch = data.windows(8, 64, torch.Generator().manual_seed(0))
    W = batch.observations["map"].shape[1]
    changed = augment(batch, torch.Generator().manual_seed(1))
    moved = 0
    for row in range(64):
        where = []
        for windows in (batch, changed):
            words = decode_mission(windows.observations["mission"][row].numpy()).split()
            kind, color = OBJECT_TO_IDX[words[-1]], COLOR_TO_IDX[words[-2]]
            cells = windows.observations["map"][row]
            meant = (cells[..., 0] == kind) & (cells[..., 1] == color)
            where.append({tuple(place) for place in meant.nonzero().tolist()})
        assert where[0]
        mirrored = {(W - 1 - x, y) for x, y in where[0]}
        first = [w.observations["agent"][row, 0, 0].item() for w in (batch, changed)]
        assert where[1] == (where[0] if first[0] == first[1] else mirrored)
        moved += where[1] != where[0]
    assert moved > 10


@pytest.mark.parametrize("name", ["GoToObjMazeS4", "GoToObjMazeS4R2Close"])
def test_walls_and_doors_stay_walls_and_doors_and_walls_keep_their_color(name):
    data = collected(name, 8)
    batch = data.windows(6, 64, torch.Generator().manual_seed(0))
    colors, kinds, _ = draws(64)
    before = batch.observations["map"]
    after = exchange(batch, colors, kinds).observations["map"]
    things = (before[..., 0] >= KEY) & (before[..., 0] <= BOX)
    doors, still = before[..., 0] == DOOR, before[..., 0] < DOOR
    assert doors.any() and things.any() and (before[..., 0] == WALL).any()
    assert torch.equal(before[still], after[still])
    assert torch.equal(before[doors][:, ::2], after[doors][:, ::2])
    assert ((after[things][:, 0] >= KEY) & (after[things][:, 0] <= BOX)).all()
    window = torch.arange(64)[:, None, None].expand(doors.shape)
    colored = doors | things
    expected = colors[window[colored], before[colored][:, 1].long()]
    assert torch.equal(after[colored][:, 1].long(), expected)


def test_the_green_goal_stays_green():
    batch = collected("MiniGrid-SimpleCrossingS9N1").windows(4, 32)
    changed = augment(batch, torch.Generator().manual_seed(0))
    assert torch.equal(changed.observations["mission"], batch.observations["mission"])
    assert decode_mission(batch.observations["mission"][0].numpy()).endswith("green goal square")
    cells = changed.observations["map"]
    assert (cells[cells[..., 0] == GOAL] == torch.tensor([GOAL, COLOR_TO_IDX["green"], 0])).all()


@pytest.mark.parametrize("view", ["full", "partial"])
def test_mirrored_twice_is_the_original_and_others_stay(view):
    batch = collected("PickupLoc", view=view).windows(12, 32)
    assert not batch.mask.all()
    which = torch.arange(32) < 16
    once = mirror(batch, which)
    assert not same(once, batch)
    assert same(mirror(once, which), batch)
    rest = {key: values[16:] for key, values in tensors(once).items()}
    assert all(torch.equal(values[16:], rest[key]) for key, values in tensors(batch).items())
    colors, kinds, _ = draws(32)
    back = exchange(exchange(batch, colors, kinds), colors.argsort(1), kinds.argsort(1))
    assert same(back, batch)
    apart = exchange_kinds(exchange_colors(batch, colors), kinds)
    assert same(apart, exchange(batch, colors, kinds))


def test_left_and_right_change_places():
    batch = collected("PickupLoc", 16).windows(12, 64)
    changed = mirror(batch, torch.ones(64, dtype=torch.bool))

    def counts(windows, action):
        history = windows.observations["agent"][..., AGENT["history"]]
        real = windows.mask
        return (
            ((windows.actions == action) & real).sum().item(),
            ((history == action) & real[..., None]).sum().item(),
        )

    for a, b in ((LEFT, RIGHT), (RIGHT, LEFT)):
        assert counts(batch, a) == counts(changed, b)
    assert counts(batch, LEFT) != counts(batch, RIGHT)
    for action in range(2, len(ACTIONS) + 1):
        assert counts(batch, action) == counts(changed, action)
    missions = [
        [decode_mission(row) for row in windows.observations["mission"].numpy()]
        for windows in (batch, changed)
    ]
    swapped = {"left": "right", "right": "left"}
    assert missions[1] == [" ".join(swapped.get(w, w) for w in m.split()) for m in missions[0]]
    assert missions[1] != missions[0]


@pytest.mark.parametrize("name", ["GoToLocalS8N7", "GoToSeqS5R2", "PickupLoc"])
def test_windows_anywhere_move_as_their_actions_say(name):
    data = collected(name, 8)
    generator = torch.Generator().manual_seed(0)
    changed = augment(data.windows(8, 128, generator), generator)
    pose = changed.observations["agent"][..., AGENT["pose"]].long()
    ways = torch.tensor(HEADINGS)
    both = changed.mask[:, 1:]
    before, after, action = pose[:, :-1][both], pose[:, 1:][both], changed.actions[:, :-1][both]
    turn = (action == RIGHT).long() - (action == LEFT).long()
    assert torch.equal(after[:, 2], (before[:, 2] + turn) % 4)
    step, stays = after[:, :2] - before[:, :2], torch.zeros(1, 2, dtype=torch.int64)
    forward = action == ACTIONS.index("forward")
    ahead = ways[before[:, 2]]
    assert ((step == stays).all(1) | (forward & (step == ahead).all(1))).all()
    assert (step != stays).any()
    # On the map of the window's first step lies what that step has in front.
    x, y, heading = pose[:, 0].unbind(1)
    dx, dy = ways[heading].unbind(1)
    front = changed.observations["agent"][:, 0, AGENT["front"]]
    rows = torch.arange(len(x))
    assert torch.equal(changed.observations["map"][rows, x + dx, y + dy], front)
    newest = changed.observations["agent"][:, 1:, AGENT["history"].start][both]
    assert torch.equal(newest.long(), action)


@pytest.mark.parametrize("view", ["full", "partial"])
def test_padded_steps_stay_zero_and_what_is_no_observation_stays(view):
    batch = collected("GoToLocalS8N7", view=view).windows(30, 64)
    changed = augment(batch, torch.Generator().manual_seed(0))
    padded = ~batch.mask
    assert padded.any()
    assert not changed.actions[padded].any()
    for key in {"agent", "view"} & changed.observations.keys():
        assert not changed.observations[key][padded].any()
    for name in ("rewards", "returns_to_go", "timesteps", "mask"):
        assert getattr(changed, name) is getattr(batch, name)
    for key, values in tensors(batch).items():
        assert tensors(changed)[key].dtype == values.dtype


@pytest.mark.parametrize("view", ["full", "partial"])
def test_the_input_stays_and_the_same_generator_gives_the_same(view):
    batch = collected("GoToSeqS5R2", view=view).windows(8, 64)
    copy = {key: values.clone() for key, values in tensors(batch).items()}
    first, again, other = (augment(batch, torch.Generator().manual_seed(s)) for s in (5, 5, 6))
    assert all(torch.equal(values, copy[key]) for key, values in tensors(batch).items())
    assert same(first, again) and not same(first, other)


def test_every_permutation_is_drawn_and_equally_often():
    B = 24_000
    changed = augment(synthetic(B), torch.Generator().manual_seed(0))
    words = changed.observations["mission"].long()
    assert (words[:, 0] == VOCABULARY.index("the")).all()
    assert (words[:, -1] == VOCABULARY.index("door")).all()
    kind = words[:, 1:4] - min(VOCABULARY.index(word) for word in KINDS)
    color = words[:, 4:10] - VOCABULARY.index("red")
    side = words[:, 10:11] == VOCABULARY.index("right")
    assert torch.equal(side[:, 0], changed.actions[:, 0] == RIGHT)

    def even(values, outcomes):
        counts = torch.unique(values, dim=0, return_counts=True)[1].double()
        share = 1 / outcomes
        deviation = (B * share * (1 - share)) ** 0.5
        assert len(counts) == outcomes and ((counts - B * share).abs() < 5 * deviation).all()

    even(color, 720)
    even(torch.cat([kind, side], 1), 12)  # each independent of the others
    even(torch.cat([kind, color[:, :1]], 1), 36)
    even(torch.cat([color[:, :1], side], 1), 12)
    cells = changed.observations["map"]
    straight = torch.where(side[..., None, None], cells.flip(1), cells).long()
    in_order = sorted(range(3), key=lambda k: VOCABULARY.index(KINDS[k]))
    assert torch.equal(straight[:, 0, :, 0], torch.tensor(in_order)[kind] + KEY)
    assert torch.equal(straight[:, :, 0, 1], color)


def test_numbers_are_those_of_minigrid():
    assert dict(zip(COLORS, range(6))) == COLOR_TO_IDX
    assert {kind: KEY + i for i, kind in enumerate(KINDS)}.items() <= OBJECT_TO_IDX.items()
    assert len(OBJECT_TO_IDX) == augmentation._TYPES


def test_tables_follow_the_windows_to_their_device():
    batch = synthetic(3)
    there = Batch(
        {key: values.to("meta") for key, values in batch.observations.items()},
        *(values.to("meta") for values in batch[1:]),
    )
    changed = tensors(augment(there, torch.Generator()))
    assert all(values.device.type == "meta" for values in changed.values())


@pytest.mark.parametrize("missing", ["agent", "map"])
def test_other_observations_are_refused(missing):
    batch = synthetic(2)
    kept = {key: values for key, values in batch.observations.items() if key != missing}
    colors, kinds, which = draws(2)
    for wrong in (batch._replace(observations=o) for o in (kept, {"state": torch.zeros(2, 2, 3)})):
        for change, argument in (
            (augment, torch.Generator()),
            (mirror, which),
            (exchange_colors, colors),
            (exchange_kinds, kinds),
        ):
            with pytest.raises(ValueError, match="only windows of a grid world can be augmented"):
                change(wrong, argument)
