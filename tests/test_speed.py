"""Speeds: one environment variable, three sizes."""

from __future__ import annotations

import pytest

from seqrl import speed


@pytest.mark.parametrize(("word", "size"), [("smoke", 1), ("class", 2), ("full", 3)])
def test_the_environment_variable_chooses(word, size, monkeypatch):
    monkeypatch.setenv("SEQRL_SPEED", word)
    assert speed.current() == word
    assert speed.pick(smoke=1, class_=2, full=3) == size


@pytest.mark.parametrize("unset", [True, False])
def test_class_is_the_default(unset, monkeypatch):
    if unset:
        monkeypatch.delenv("SEQRL_SPEED", raising=False)
    else:
        monkeypatch.setenv("SEQRL_SPEED", "")
    assert speed.current() == "class"


def test_another_word_is_refused_with_the_known_ones(monkeypatch):
    monkeypatch.setenv("SEQRL_SPEED", "fast")
    with pytest.raises(ValueError, match=r"'fast'.*smoke, class, full"):
        speed.current()
