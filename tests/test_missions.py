"""Missions as word tokens: nothing is lost, no word is missing."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from gymnasium.error import DependencyNotInstalled
from hypothesis import given
from hypothesis import strategies as st

from seqrl.environments import levels
from seqrl.environments.missions import (
    MISSION_LENGTH,
    PADDING,
    UNKNOWN,
    VOCABULARY,
    decode_mission,
    encode_mission,
)

WORDS = [word for word in VOCABULARY[2:] if word != ","]


def test_encoding_is_words_then_padding():
    tokens = encode_mission("go to the red ball")
    assert tokens.shape == (MISSION_LENGTH,) and tokens.dtype == np.uint8
    assert [VOCABULARY[t] for t in tokens[:5]] == ["go", "to", "the", "red", "ball"]
    assert (tokens[5:] == PADDING).all() and (tokens[:5] > UNKNOWN).all()


def test_vocabulary_has_no_word_twice_and_fits_a_byte():
    assert len(set(VOCABULARY)) == len(VOCABULARY) < 256
    assert (VOCABULARY[PADDING], VOCABULARY[UNKNOWN]) == ("<padding>", "<unknown>")


def test_the_tokens_of_stored_datasets_never_move():
    expected = {",": 2, "go": 3, "the": 5, "then": 13, "ball": 17, "grey": 26, "your": 28}
    assert {word: VOCABULARY.index(word) for word in expected} == expected


@pytest.mark.parametrize("seed", [0, 1])
def test_every_registered_level_speaks_known_words(seed):
    spoken = set()
    for env_id in levels.known_ids():
        with contextlib.redirect_stdout(io.StringIO()):
            try:
                _, level = levels.make_level(env_id)
                level.reset(seed=seed)
            # WaveFunctionCollapse, of one mission (below): without imageio, or its wheel's patterns
            except (DependencyNotInstalled, FileNotFoundError):
                continue
        tokens = encode_mission(level.mission)
        assert UNKNOWN not in tokens, level.mission
        assert decode_mission(tokens) == level.mission
        spoken.update(tokens.tolist())
    assert UNKNOWN not in encode_mission("traverse the maze to get to the goal")
    assert len(spoken) > 40


@pytest.mark.parametrize("joint", [", then", "after you"])
def test_the_longest_babyai_mission_fits(joint):
    clause = "put the grey ball in front of you next to the grey door on your left"
    clause = clause.replace("on your left", "in front of you")
    mission = f"{clause} and {clause}{' ' if joint[0] != ',' else ''}{joint} {clause} and {clause}"
    tokens = encode_mission(mission)
    assert np.count_nonzero(tokens) == MISSION_LENGTH
    assert decode_mission(tokens) == mission


def test_an_unknown_word_is_token_one():
    tokens = encode_mission("go to the chartreuse ball")
    assert tokens[3] == UNKNOWN
    assert decode_mission(tokens) == "go to the <unknown> ball"


def test_a_mission_that_is_too_long_is_refused():
    with pytest.raises(ValueError, match="73 words"):
        encode_mission("go " * 73)


def test_the_empty_mission():
    assert decode_mission(encode_mission("")) == ""


@given(st.lists(st.sampled_from(WORDS), max_size=MISSION_LENGTH))
def test_any_mission_of_known_words_comes_back(words):
    assert decode_mission(encode_mission(" ".join(words))) == " ".join(words)
