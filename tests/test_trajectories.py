"""Packed trajectories: layout, returns-to-go, windows, selection, validation, summary."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqrl.trajectories import Trajectories, concatenate, pack, returns_to_go

LENGTHS = (4, 1, 7, 3)


def flat_episode(T: int, rng: np.random.Generator, N: int = 3, M: int = 2) -> dict:
    """An episode with vectors for observations and actions, as locomotion has them."""
    return {
        "observations": {"state": rng.normal(size=(T + 1, N))},
        "actions": rng.normal(size=(T, M)),
        "rewards": rng.normal(size=T),
        "terminations": np.arange(T) == T - 1,
        "truncations": np.zeros(T, bool),
        "seed": int(rng.integers(1 << 40)),
    }


def grid_episode(T: int, rng: np.random.Generator, changes: int = 2) -> dict:
    """An episode of a grid world whose map changes at `changes` of its steps."""
    index = np.sort(rng.integers(0, changes + 1, T + 1))
    return {
        "observations": {
            "agent": rng.integers(0, 9, (T + 1, 19), dtype=np.uint8),
            "map": (np.unique(index, return_inverse=True)[1]).astype(np.int32),
        },
        "maps": rng.integers(0, 9, (len(np.unique(index)), 5, 4, 3), dtype=np.uint8),
        "actions": rng.integers(0, 7, T),
        "rewards": -np.ones(T, np.float32),
        "terminations": np.zeros(T, bool),
        "truncations": np.arange(T) == T - 1,
        "seed": int(rng.integers(1 << 40)),
        "context": {"mission": rng.integers(0, 9, 6, dtype=np.uint8), "success": bool(T % 2)},
    }


def grid_data(lengths: tuple[int, ...] = LENGTHS, seed: int = 0) -> tuple[Trajectories, list[dict]]:
    rng = np.random.default_rng(seed)
    episodes = [grid_episode(T, rng) for T in lengths]
    return pack(episodes, {"env": "grid", "missions": [f"go {T}" for T in lengths]}), episodes


def flat_data(lengths: tuple[int, ...] = LENGTHS, seed: int = 0) -> tuple[Trajectories, list[dict]]:
    rng = np.random.default_rng(seed)
    episodes = [flat_episode(T, rng) for T in lengths]
    return pack(episodes), episodes


def plain_returns_to_go(rewards: np.ndarray, discount: float) -> np.ndarray:
    gains, gain = np.zeros(len(rewards)), 0.0
    for t in reversed(range(len(rewards))):
        gain = float(rewards[t]) + discount * gain
        gains[t] = gain
    return gains


# ------------------------------------------------------------------------------------------- layout


def test_row_of_a_step_is_shifted_by_one_an_episode_and_the_next_row_is_the_next_observation():
    data, episodes = flat_data()
    for e, episode in enumerate(episodes):
        for t in range(LENGTHS[e]):
            step = int(data.offsets[e]) + t
            seen = episode["observations"]["state"].astype(np.float32)
            np.testing.assert_array_equal(data.observations["state"][step + e], seen[t])
            np.testing.assert_array_equal(data.observations["state"][step + e + 1], seen[t + 1])
            assert data.episode_of_step[step] == e
    assert data.steps == sum(LENGTHS) and len(data) == len(LENGTHS)
    assert tuple(data.lengths) == LENGTHS


def test_packed_types_are_those_that_models_take_and_all_is_contiguous():
    data, _ = grid_data()
    kinds = {name: values.dtype for name, values in data.tensors().items()}
    assert kinds["actions"] == kinds["offsets"] == kinds["seeds"] == torch.int64
    assert kinds["rewards"] == torch.float32 and kinds["terminations"] == torch.bool
    assert kinds["observations.agent"] == kinds["maps"] == torch.uint8
    assert kinds["observations.map"] == torch.int32 and kinds["context.success"] == torch.bool
    assert all(values.is_contiguous() for values in data.tensors().values())
    assert flat_data()[0].observations["state"].dtype == torch.float32


@pytest.mark.parametrize("make", [grid_data, flat_data])
def test_an_episode_comes_back_as_it_was_packed(make):
    data, episodes = make()
    for e, packed in enumerate(episodes):
        found = data.episode(e)
        for name in ("actions", "rewards", "terminations", "truncations"):
            np.testing.assert_allclose(found[name], packed[name], rtol=1e-6)
        for key, values in packed["observations"].items():
            wanted = packed["maps"][values] if key == "map" else values
            np.testing.assert_allclose(found["observations"][key], wanted, rtol=1e-6)
        assert found["seed"] == packed["seed"]
        for key, value in packed.get("context", {}).items():
            np.testing.assert_array_equal(found["context"][key], value)
    assert data.episode(-1)["seed"] == episodes[-1]["seed"]
    with pytest.raises(IndexError):
        data.episode(len(data))


def test_a_map_is_stored_once_for_each_change():
    data, episodes = grid_data()
    assert data.maps is not None
    assert len(data.maps) == sum(len(episode["maps"]) for episode in episodes)


def test_success_that_was_not_recorded_is_refused_with_a_sentence():
    with pytest.raises(ValueError, match="do not record success"):
        _ = flat_data()[0].success
    assert grid_data()[0].success.tolist() == [bool(T % 2) for T in LENGTHS]


# ------------------------------------------------------------------------------------ returns-to-go


@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    discount=st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1)),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_returns_to_go_equal_a_plain_loop(lengths, discount, seed):
    rewards = np.random.default_rng(seed).normal(size=sum(lengths)).astype(np.float32)
    offsets = np.cumsum([0, *lengths])
    found = returns_to_go(torch.tensor(rewards), torch.tensor(offsets), discount)
    cuts = np.split(rewards, offsets[1:-1])
    wanted = np.concatenate([plain_returns_to_go(cut, discount) for cut in cuts])
    np.testing.assert_allclose(found, wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("discount", [0.0, 0.99, 1.0])
def test_returns_to_go_of_long_episodes_are_exact(discount):
    rewards = np.random.default_rng(0).uniform(0, 3, 2500).astype(np.float32)
    found = returns_to_go(torch.tensor(rewards), torch.tensor([0, 1000, 1500, 2500]), discount)
    cuts = np.split(rewards, [1000, 1500])
    wanted = np.concatenate([plain_returns_to_go(cut, discount) for cut in cuts])
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-5)


def test_returns_to_go_count_the_steps_that_are_left_where_each_costs_one():
    data, _ = grid_data()
    wanted = torch.cat([-torch.arange(T, 0, -1.0) for T in LENGTHS])
    assert torch.equal(data.returns_to_go(), wanted)
    assert torch.equal(data.returns, -data.lengths.float())


def test_returns_to_go_are_computed_once_for_each_discount():
    data, _ = flat_data()
    assert data.returns_to_go(0.5) is data.returns_to_go(0.5)
    assert not torch.equal(data.returns_to_go(0.5), data.returns_to_go(0.9))


@pytest.mark.parametrize("discount", [-0.1, 1.01, float("nan")])
def test_a_discount_outside_the_unit_interval_is_refused(discount):
    with pytest.raises(ValueError, match=r"discount must lie in \[0, 1\]"):
        flat_data()[0].returns_to_go(discount)


# ------------------------------------------------------------------------------------------ windows


def begin_windows_at(first: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `windows` begin at the given steps, in place of random ones."""
    monkeypatch.setattr(torch, "randint", lambda *args, **kwargs: torch.tensor(first))


def assert_windows_equal_slices(data, episodes, batch, first, K, anchor, discount=1.0):
    starts = data.offsets.tolist()
    for b, step in enumerate(first):
        e = next(e for e in range(len(data)) if starts[e] <= step < starts[e + 1])
        t, T = step - starts[e], LENGTHS[e]
        n = min(K, T - t)
        episode = episodes[e]
        gains = plain_returns_to_go(episode["rewards"], discount)
        wanted = {
            "actions": episode["actions"],
            "rewards": episode["rewards"],
            "returns_to_go": gains,
            "timesteps": np.arange(T),
            "mask": np.ones(T, bool),
            "terminations": episode["terminations"],
        }
        for name, values in wanted.items():
            row = np.asarray(getattr(batch, name)[b])
            np.testing.assert_allclose(row[:n], values[t : t + n], rtol=1e-5, atol=1e-6)
            assert not row[n:].any() and len(row) == K
        for key, values in episode["observations"].items():
            if key == "map":
                at = min(max(t + anchor, 0), T - 1)
                row = np.asarray(batch.observations["map"][b])
                np.testing.assert_array_equal(row, episode["maps"][values[at]])
            else:
                row = np.asarray(batch.observations[key][b])
                np.testing.assert_allclose(row[:n], values[t : t + n], rtol=1e-6)
                assert not row[n:].any() and len(row) == K
        if "context" in episode:
            row = np.asarray(batch.observations["mission"][b])
            np.testing.assert_array_equal(row, episode["context"]["mission"])


@pytest.mark.parametrize("make", [grid_data, flat_data])
@pytest.mark.parametrize(("K", "anchor"), [(1, 0), (3, 0), (3, 2), (5, -2), (15, 4), (40, 99)])
def test_windows_from_every_step_equal_slices_of_the_episodes(make, K, anchor, monkeypatch):
    data, episodes = make()
    first = list(range(data.steps))
    begin_windows_at(first, monkeypatch)
    batch = data.windows(K, len(first), anchor=anchor, discount=0.9)
    assert_windows_equal_slices(data, episodes, batch, first, K, anchor, discount=0.9)


def test_windows_that_end_before_the_last_step_are_the_same_copied_as_blocks(monkeypatch):
    # Only a batch without a window over the end of the arrays takes the faster way.
    data, episodes = grid_data()
    first = list(range(data.steps - 3))
    begin_windows_at(first, monkeypatch)
    batch = data.windows(3, len(first), anchor=1)
    assert_windows_equal_slices(data, episodes, batch, first, 3, anchor=1)
    batch.actions.add_(1)  # a batch is a copy: the data must not change with it
    again = data.windows(3, len(first), anchor=1)
    assert_windows_equal_slices(data, episodes, again, first, 3, anchor=1)


def test_first_steps_are_uniform_over_all_steps():
    data, _ = flat_data((1, 2, 3, 4))
    batch = data.windows(1, 50_000, torch.Generator().manual_seed(0))
    rows = batch.rewards[:, 0]
    counts = torch.stack([(rows == reward).sum() for reward in data.rewards])
    expected = 5_000
    assert counts.sum() == 50_000
    assert ((counts - expected).abs() < 5 * expected**0.5).all(), counts


def test_windows_follow_the_generator():
    data, _ = grid_data()
    draws = [data.windows(2, 32, torch.Generator().manual_seed(s)).rewards for s in (1, 1)]
    times = [data.windows(2, 32, torch.Generator().manual_seed(s)).timesteps for s in (1, 2)]
    assert torch.equal(*draws) and not torch.equal(*times)
    generator = torch.Generator().manual_seed(1)
    assert not torch.equal(
        data.windows(2, 32, generator).timesteps, data.windows(2, 32, generator).timesteps
    )


def test_windows_of_arrays_that_are_not_contiguous_are_the_same(monkeypatch):
    data, episodes = flat_data()
    turned = data.actions.T.contiguous().T
    states = {"state": data.observations["state"].T.contiguous().T}
    strided = replace(data, actions=turned, observations=states)
    for first in (list(range(data.steps)), [0, 3, 6]):  # row by row, and as blocks
        begin_windows_at(first, monkeypatch)
        batch = strided.windows(3, len(first))
        assert_windows_equal_slices(data, episodes, batch, first, 3, 0)


def test_windows_of_another_length_or_discount_are_not_mixed_up(monkeypatch):
    data, episodes = flat_data()
    first = [0, 5, 6]
    begin_windows_at(first, monkeypatch)
    for K, discount in ((3, 0.9), (3, 0.5), (2, 0.5), (3, 0.9)):
        batch = data.windows(K, 3, discount=discount)
        assert_windows_equal_slices(data, episodes, batch, first, K, 0, discount)


def test_a_window_of_no_steps_is_refused():
    with pytest.raises(ValueError, match="at least one step"):
        flat_data()[0].windows(0, 4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_windows_are_the_same_on_a_gpu():
    data, _ = grid_data()
    moved = data.to("cuda")
    batch = moved.windows(3, 8, torch.Generator("cuda").manual_seed(0))
    assert batch.rewards.is_cuda and batch.observations["map"].is_cuda
    a = data.windows(3, 64, torch.Generator().manual_seed(0), discount=0.9)
    b = moved.windows(3, 64, torch.Generator().manual_seed(0), discount=0.9)
    assert torch.equal(a.returns_to_go, b.returns_to_go.cpu())
    assert torch.equal(a.observations["map"], b.observations["map"].cpu())
    assert moved.to("cpu").equal(data)


# ---------------------------------------------------------------------------- selecting and joining


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        ([2, 0], [2, 0]),
        (slice(1, 3), [1, 2]),
        (range(0, 4, 2), [0, 2]),
        (np.array([3]), [3]),
        (torch.tensor([True, False, False, True]), [0, 3]),
        ([1, 1], [1, 1]),
        (2, [2]),
    ],
)
def test_selected_episodes_are_as_before(choice, wanted):
    data, episodes = grid_data()
    chosen = data.select(choice).check()
    assert chosen.info["missions"] == [f"go {LENGTHS[e]}" for e in wanted]
    assert chosen.lengths.tolist() == [LENGTHS[e] for e in wanted]
    for i, e in enumerate(wanted):
        a, b = chosen.episode(i), data.episode(e)
        for key in ("observations", "context"):
            for name in b[key]:
                np.testing.assert_array_equal(a[key][name], b[key][name])
        np.testing.assert_array_equal(a["actions"], b["actions"])
        assert a["seed"] == b["seed"]
    maps = sum(len(episodes[e]["maps"]) for e in set(wanted))
    assert chosen.maps is not None and len(chosen.maps) == maps


def test_a_prefix_equals_the_shorter_dataset():
    data, episodes = grid_data()
    assert data.select(slice(2)).equal(pack(episodes[:2]))


@pytest.mark.parametrize("make", [grid_data, flat_data])
def test_parts_joined_are_the_whole(make):
    data, _ = make()
    parts = [data.select([0]), data.select([1, 2]), data.select([3])]
    whole = concatenate(parts).check()
    assert whole.equal(data) and whole.info == data.info
    assert not whole.equal(data.select([3, 2, 1, 0]))


def test_joined_info_keeps_what_the_parts_agree_on():
    a, b = flat_data((2,))[0], flat_data((3,))[0]
    a, b = (
        replace(a, info={"env": "x", "policy": "p"}),
        replace(b, info={"env": "x", "policy": "q"}),
    )
    assert concatenate([a, b]).info == {"env": "x"}


def test_unlike_parts_are_refused_with_the_fields_that_differ():
    with pytest.raises(ValueError, match=r"part 1 .* actions, .*observations\.agent"):
        concatenate([grid_data()[0], flat_data()[0]])
    with pytest.raises(ValueError, match="zero episodes"):
        concatenate([])
    with pytest.raises(ValueError, match="no episode is selected"):
        grid_data()[0].select([])


def test_moving_to_the_same_device_changes_nothing():
    data, _ = grid_data()
    moved = data.to("cpu")
    assert moved.equal(data) and moved.info == data.info


# --------------------------------------------------------------------------------------- validation


def spoil(e: int, **changes):
    """The episodes of `grid_data`, one of them changed."""
    _, episodes = grid_data()
    for name, change in changes.items():
        where = episodes[e]["observations"] if name in ("agent", "map") else episodes[e]
        where[name] = change(where[name])
    return episodes


def rename(values: dict) -> dict:
    return {"view": values["agent"], "map": values["map"]}


@pytest.mark.parametrize(
    ("e", "changes", "message"),
    [
        (2, {"rewards": lambda r: r[:-1]}, "episode 2, rewards: shape (6,)"),
        (2, {"rewards": lambda r: r * np.nan}, "episode 2, rewards: NaN at step 0."),
        (3, {"rewards": lambda r: r * [1, np.inf, 1]}, "episode 3, rewards: infinite at step 1."),
        (1, {"actions": lambda a: a[:0]}, "episode 1, actions: the episode has none."),
        (1, {"actions": lambda a: a * 0.5}, "episode 1, actions: float64, but int64 in episode 0."),
        (3, {"agent": lambda a: a[:-1]}, "episode 3, observations['agent']: shape (3, 19)"),
        (3, {"agent": lambda a: a[:, :5]}, "episode 3, observations['agent']: shape (4, 5)"),
        (2, {"agent": lambda a: a.astype(str)}, "observations['agent']: str"),
        (2, {"observations": rename}, "episode 2, observations['agent']: missing."),
        (2, {"map": lambda m: m + 9}, "episode 2, observations['map']: not an index into its maps"),
        (2, {"maps": lambda m: m[:, :2]}, "episode 2, maps: shape"),
        (2, {"terminations": lambda f: f | True}, "episode 2, terminations: set at step 0, but"),
        (3, {"truncations": lambda f: f | True}, "episode 3, truncations: set at step 0, but"),
        (1, {"context": lambda c: {"success": True}}, "episode 1, context['mission']: missing."),
        (1, {"context": lambda c: c | {"mission": np.zeros(5)}}, "episode 1, context['mission']:"),
    ],
)
def test_unsound_episodes_are_refused_by_episode_and_field(e, changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        pack(spoil(e, **changes))


def test_an_episode_without_a_field_and_a_dataset_without_episodes_are_refused():
    _, episodes = grid_data()
    del episodes[1]["truncations"]
    with pytest.raises(ValueError, match="episode 1, truncations: missing"):
        pack(episodes)
    with pytest.raises(ValueError, match="zero episodes"):
        pack([])


def blank_row(values: torch.Tensor, row: int) -> torch.Tensor:
    changed = values.clone().float()
    changed[row] = float("nan")
    return changed


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (lambda d: {"offsets": d.offsets[:1]}, "zero episodes"),
        (lambda d: {"offsets": d.offsets.int()}, "offsets must be int64"),
        (lambda d: {"offsets": torch.tensor([0, 4, 4, 12, 15])}, "episode 1, actions: the episode"),
        (
            lambda d: {"offsets": d.offsets[:-1]},
            "offsets run from 0 to 12, but actions from 0 to 15",
        ),
        (lambda d: {"offsets": d.offsets + 1}, "offsets run from 1"),
        (lambda d: {"rewards": d.rewards.double()}, "rewards must be float32 of shape (15,)"),
        (lambda d: {"rewards": d.rewards[:-1]}, "rewards must be float32 of shape (15,)"),
        (lambda d: {"terminations": d.terminations.int()}, "terminations must be bool"),
        (lambda d: {"actions": d.actions.double()}, "actions must be int64 (S,) or float32 (S, M)"),
        (lambda d: {"actions": blank_row(d.actions, 5)}, "episode 2, actions: NaN at step 0."),
        (lambda d: {"observations": {}}, "observations: there are none"),
        (
            lambda d: {"observations": {"state": d.observations["state"][:-1]}},
            "observations['state'] must have 19 rows (15 steps and a final one for each of 4",
        ),
        (
            lambda d: {"observations": {"state": blank_row(d.observations["state"], 14)}},
            "episode 2, observations['state']: NaN at step 7.",
        ),
        (lambda d: {"seeds": d.seeds[:2]}, "seeds must have one row an episode"),
        (lambda d: {"context": {"mission": d.seeds[:2]}}, "mission must have one row an episode"),
        (lambda d: {"context": {"success": d.seeds}}, "success must be bool"),
        (lambda d: {"info": {"missions": ["go"]}}, "info['missions'] must have one text"),
        (
            lambda d: {"maps": torch.zeros(1, 2, 2, 3, dtype=torch.uint8)},
            "observations['map'] must",
        ),
        (lambda d: {"maps": torch.zeros(1, 2, 2, 3)}, "maps must be uint8"),
    ],
)
def test_unsound_arrays_are_refused_with_a_sentence(changes, message):
    data, _ = flat_data()
    with pytest.raises(ValueError, match=re.escape(message)):
        replace(data, **changes(data)).check()


def test_a_map_index_outside_the_maps_is_refused():
    data, _ = grid_data()
    index = data.observations["map"].clone()
    index[6] = 99  # episode 1 has rows 5 and 6
    with pytest.raises(ValueError, match=r"episode 1, observations\['map'\]: no map .* at step 1"):
        replace(data, observations=data.observations | {"map": index}).check()


# -------------------------------------------------------------------------------- words and numbers


def test_summary_counts_and_is_ready_for_json():
    data, _ = grid_data()
    summary = json.loads(json.dumps(data.summary(), allow_nan=False))
    assert summary["episodes"] == 4 and summary["steps"] == 15
    returns = -np.array(LENGTHS, float)
    assert summary["return"] == pytest.approx(
        {"mean": returns.mean(), "std": returns.std(), "min": -7, "max": -1}
    )
    assert summary["length"]["median"] == 3.5 and summary["length"]["max"] == 7
    assert summary["success"] == 0.75 and summary["terminated"] == 0
    assert "success" not in flat_data()[0].summary()


def test_a_dataset_reads_as_one_line():
    text = repr(grid_data()[0])
    assert "\n" not in text
    for part in ("grid", "4 episodes", "15 steps", "return -3.8"):
        assert part in text
