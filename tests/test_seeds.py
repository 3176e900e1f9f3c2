"""Named streams of seeds: stable, apart, and the split of maps."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqrl import seeds

NUMBERS = st.lists(st.one_of(st.integers(-(2**63), 2**63), st.text(max_size=6)), max_size=4)


def test_derived_seeds_are_the_same_on_every_machine():
    # written down once: if these move, every dataset of the course moves with them
    assert seeds.derive("data", "env", 0, 0) == 7_612_375_738_703_997_986
    assert seeds.derive("test", 7) == 7_571_049_433_807_855_086


def test_derived_seeds_do_not_depend_on_the_process():
    code = "from seqrl import seeds; print(seeds.derive('train', 'x', 3))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(other.stdout) == seeds.derive("train", "x", 3)


@given(NUMBERS, NUMBERS)
def test_different_streams_or_numbers_give_different_seeds(one, other):
    given_seeds = {seeds.derive(stream, *one) for stream in seeds.STREAMS}
    assert len(given_seeds) == len(seeds.STREAMS)
    assert all(0 <= seed < 2**63 for seed in given_seeds)
    same = [type(a) is type(b) and a == b for a, b in zip(one, other)]
    if len(one) != len(other) or not all(same):
        assert seeds.derive("data", *one) != seeds.derive("data", *other)


def test_numbers_that_look_alike_are_told_apart():
    assert seeds.derive("data", 1, 23) != seeds.derive("data", 12, 3)
    assert seeds.derive("data", 1) != seeds.derive("data", "1")
    assert seeds.derive("data", np.int64(1)) == seeds.derive("data", 1)


def test_an_unknown_stream_is_refused():
    with pytest.raises(ValueError, match="data, train, test"):
        seeds.derive("validation", 0)


def test_generators_repeat_and_differ_between_streams():
    draws = {stream: seeds.generator(stream, 4).random(5).tolist() for stream in seeds.STREAMS}
    assert draws["data"] == seeds.generator("data", 4).random(5).tolist()
    assert draws["data"] != draws["train"] != draws["test"]


def test_one_content_in_five_is_held_out():
    share = np.mean([seeds.held_out(str(i).encode()) for i in range(20_000)])
    assert share == pytest.approx(1 / 5, abs=0.01)
    assert seeds.held_out(b"map") == seeds.held_out(b"map")
