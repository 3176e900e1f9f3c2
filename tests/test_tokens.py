"""Tokens: what a bin may get wrong, what has no token, and what the columns are called."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from seqrl import grid_tokens
from seqrl.environments.grid_observation import AGENT, AGENT_SIZE, HEADINGS
from seqrl.frames import relative_pose
from seqrl.tokens import Bins, Discretizer, Layout, exact, fitted, integers, quantile, uniform
from seqrl.trajectories import pack
from seqrl.transitions import columns, penalized, values

torch.set_num_threads(1)
KINDS = ["uniform", "quantile"]
numbers = st.floats(-1e6, 1e6, width=32).map(lambda x: x if abs(x) > 1e-30 else 0.0)
tables = st.tuples(st.integers(1, 60), st.integers(1, 4)).flatmap(
    lambda shape: arrays(np.float32, shape, elements=numbers)
)


@settings(max_examples=25, deadline=None)
@given(tables, st.integers(1, 12), st.sampled_from(KINDS))
def test_the_round_trip_of_data_stays_inside_its_bin(table, bins, kind):
    x = torch.from_numpy(table)
    discretizer = Discretizer.fit(x, bins, kind)
    tokens = discretizer.encode(x)
    back = discretizer.decode(tokens)
    for c, column in enumerate(discretizer.columns):
        low, high = np.array(column.edges[:-1]), np.array(column.edges[1:])
        token = tokens[:, c].numpy()
        assert len(column) <= bins and (token >= 0).all() and (token < len(column)).all()
        assert (low[token] <= table[:, c]).all() and (table[:, c] <= high[token]).all()
        error = np.abs(back[:, c].numpy() - table[:, c].astype(np.float64))
        middles = np.allclose(column.centers, (low + high) / 2, rtol=1e-6)
        bound = (high - low) / 2 if middles else high - low
        assert (error <= bound[token] * (1 + 1e-5) + 1e-6 * np.abs(table[:, c])).all()


@settings(max_examples=25, deadline=None)
@given(tables, st.integers(1, 12), st.sampled_from(KINDS))
def test_tokens_keep_the_order_and_centers_are_their_own_tokens(table, bins, kind):
    discretizer = Discretizer.fit(torch.from_numpy(table), bins, kind)
    tokens = discretizer.encode(torch.from_numpy(np.sort(table, 0)))
    assert (tokens.diff(dim=0) >= 0).all()
    for c, column in enumerate(discretizer.columns):
        if len(column) == 1 or min(np.diff(column.edges)) > 1e-5 * max(np.abs(column.edges)):
            centers = torch.zeros(len(column), len(discretizer.columns))
            centers[:, c] = torch.tensor(column.centers)
            assert discretizer.encode(centers)[:, c].tolist() == list(range(len(column)))


def test_uniform_bins_are_equally_wide_and_quantile_bins_equally_full():
    x = torch.from_numpy(np.random.default_rng(0).exponential(size=1000)).float()
    wide, full = uniform(x, 10), quantile(x, 10)
    assert np.allclose(np.diff(wide.edges), np.diff(wide.edges)[0], rtol=1e-4)
    counts = Discretizer([full]).encode(x[:, None])[:, 0].bincount()
    assert counts.tolist() == [100] * 10
    assert np.diff(full.edges)[-1] > 10 * np.diff(full.edges)[0]
    assert Discretizer([wide]).encode(x[:, None])[:, 0].bincount()[0] > 300


def test_what_is_out_of_range_gets_the_nearest_token():
    for bins in (uniform(torch.linspace(0, 1, 200), 10), integers(0, 9)):
        tokens = Discretizer([bins]).encode(torch.tensor([[-1e9], [torch.inf], [-torch.inf]]))
        assert tokens[:, 0].tolist() == [0, 9, 0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_constant_column_is_exact(kind):
    x = torch.stack([torch.full((50,), 7.25), torch.arange(50.0)], 1)
    discretizer = Discretizer.fit(x, 8, kind)
    assert len(discretizer.columns[0]) == 1
    assert torch.equal(discretizer.decode(discretizer.encode(x))[:, 0], x[:, 0])
    assert {len(uniform(x[:, 0], 8)), len(quantile(x[:, 0], 8))} == {1}


def test_few_values_are_told_exactly():
    x = torch.tensor([0.0, 1.0, 0.0, -100.0])
    discretizer = Discretizer([fitted(x, 100)])
    assert torch.equal(discretizer.decode(discretizer.encode(x[:, None]))[:, 0], x)
    assert discretizer.encode(torch.tensor([[0.4], [0.6]]))[:, 0].tolist() == [1, 2]
    assert exact(x).centers == (-100.0, 0.0, 1.0)


def test_an_expectation_is_the_mean_of_the_centers():
    discretizer = Discretizer([integers(0, 3), integers(10, 11)])
    p = torch.tensor([[[0.1, 0.2, 0.3, 0.4], [0.25, 0.75, 0.0, 0.0]]])
    assert torch.allclose(discretizer.expectation(p), torch.tensor([[2.0, 10.75]]))
    assert torch.allclose(discretizer.expectation(p[:, 1], 1), torch.tensor([10.75]))
    one = torch.nn.functional.one_hot(discretizer.encode(torch.tensor([[2.0, 11.0]])), 4).float()
    assert discretizer.expectation(one).tolist() == [[2.0, 11.0]]
    with pytest.raises(ValueError, match="do not fit centers"):
        discretizer.expectation(torch.ones(5), 0)


def test_bad_input_is_told_in_a_sentence():
    discretizer = Discretizer([integers(0, 3), integers(0, 1)])
    for wrong, word in [
        (lambda: discretizer.encode(torch.tensor([[torch.nan, 0.0]])), "NaN has no token"),
        (lambda: discretizer.encode(torch.zeros(4, 3)), "made for 2 columns"),
        (lambda: discretizer.decode(torch.zeros(3, dtype=torch.int64)), "made for 2 columns"),
        (lambda: discretizer.decode(torch.tensor([0, 2])), r"\[4, 2\] tokens"),
        (lambda: Discretizer.fit(torch.tensor([[torch.nan]])), "NaN or infinite"),
        (lambda: Discretizer.fit(torch.tensor([[torch.inf]])), "NaN or infinite"),
        (lambda: Discretizer.fit(torch.zeros(0, 2)), "at least one value"),
        (lambda: Discretizer.fit(torch.zeros(3)), "rows, columns"),
        (lambda: Discretizer.fit(torch.zeros(3, 1), bins=0), "at least one bin"),
        (lambda: fitted(torch.zeros(3), kind="equal"), "'uniform' or 'quantile'"),
        (lambda: Discretizer([]), "at least one column"),
        (lambda: Bins((0.0,), (0.0,)), "do not fit"),
        (lambda: Layout(2, 1).column("s3"), "unknown column 's3'; there are s1, s2, a, r, V"),
        (lambda: Layout(0, 1), "needs a state"),
        (lambda: Layout(2, 1, ("x",)), "1 names do not fit 2"),
    ]:
        with pytest.raises(ValueError, match=word):
            wrong()


def test_the_layout_of_hopper():
    layout = Layout(11, 3)
    assert layout.C == 16 and layout.names[9:] == ("s10", "s11", "a1", "a2", "a3", "r", "V")
    assert layout.column("V") == layout.value == 15 and layout.column("r") == layout.reward
    assert layout.names[layout.action] == ("a1", "a2", "a3")


def episode(rewards, terminated):
    T = len(rewards)
    ends = np.arange(T) == T - 1
    return {
        "observations": {"state": np.zeros((T + 1, 2))},
        "actions": np.zeros(T, np.int64),
        "rewards": np.array(rewards, np.float32),
        "terminations": ends & terminated,
        "truncations": ends & (not terminated),
    }


def test_the_value_is_what_follows_and_an_end_is_penalized():
    data = pack([episode([1, 2, 4], True), episode([1, 2, 4], False)])
    assert values(data, 0.5).tolist() == pytest.approx([4, 4, 0] * 2)
    worse = penalized(data, -100.0)
    assert worse.rewards.tolist() == [1, 2, -100, 1, 2, 4]
    assert values(worse, 0.5).tolist() == pytest.approx([2 - 50, -100, 0, 4, 4, 0])
    assert data.rewards.tolist() == [1, 2, 4] * 2 and penalized(data, None) is data
    made = columns(data, 0.5)
    assert [len(bins) for bins in made] == [1, 1, 1, 3, 2]


def agent_at(x, y, heading, carrying=(0, 0)):
    agent = torch.zeros(AGENT_SIZE, dtype=torch.uint8)
    agent[AGENT["pose"]] = torch.tensor([x, y, heading], dtype=torch.uint8)
    agent[AGENT["carrying"]] = torch.tensor(carrying, dtype=torch.uint8)
    return agent


def test_states_of_a_grid_come_back_as_they_were():
    generator = torch.Generator().manual_seed(0)
    B, K, W, H = 16, 6, 9, 7
    steps = []
    for _ in range(B):
        x, y = 4, 3
        row = []
        for _ in range(K):
            heading = int(torch.randint(4, (), generator=generator))
            held = int(torch.randint(19, (), generator=generator))
            thing = ((held - 1) // 6 + 5, (held - 1) % 6) if held else (0, 0)
            row.append(agent_at(x, y, heading, thing))
            x = min(max(x + HEADINGS[heading][0], 0), W - 1)
            y = min(max(y + HEADINGS[heading][1], 0), H - 1)
        steps.append(torch.stack(row))
    agent = torch.stack(steps)
    numbers = grid_tokens.states(agent)
    assert torch.equal(
        numbers[..., :3], relative_pose(agent[..., :3].long(), agent[:, 0, :3].long())
    )
    discretizer = Discretizer(grid_tokens.bins(K))
    tokens = discretizer.encode(numbers)
    assert torch.equal(discretizer.decode(tokens).long(), numbers)
    cells = torch.randint(1, 5, (B, W, H, 3), generator=generator, dtype=torch.uint8)
    seen = grid_tokens.World(None, cells, agent[:, 0, AGENT["pose"]].long(), torch.zeros(B, 1))
    again = grid_tokens.agents(seen, numbers)
    for field in ("pose", "carrying"):
        assert torch.equal(again[..., AGENT[field]], agent[..., AGENT[field]].long()), field
    for b, k in ((0, 0), (3, 2), (7, 5)):
        x, y, heading = again[b, k, AGENT["pose"]].tolist()
        x, y = x + HEADINGS[heading][0], y + HEADINGS[heading][1]
        ahead = cells[b, x, y].tolist() if 0 <= x < W and 0 <= y < H else [2, 5, 0]
        assert again[b, k, AGENT["front"]].tolist() == ahead


def test_a_pose_beyond_the_map_is_the_nearest_cell():
    seen = grid_tokens.World(
        None, torch.ones(1, 5, 4, 3), torch.tensor([[3, 2, 0]]), torch.zeros(1, 1)
    )
    again = grid_tokens.agents(seen, torch.tensor([[[6, 5, 1, 0], [-9, -9, 0, 3]]]))
    assert again[0, :, AGENT["pose"]].tolist() == [[4, 3, 1], [0, 0, 0]]
    assert again[0, 0, AGENT["front"]].tolist() == [2, 5, 0]
