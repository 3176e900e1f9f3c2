"""One map under many requests: a world for each, one of them shown, returns beside it."""

import json
import re

import pytest
from drawing_data import walk
from test_animations import Page

from seqrl.animations_asked import asking
from seqrl.trajectories import concatenate

LONG, SHORT = walk([0, 1, 0, 1, 2]), walk([2, 2])
PAIRS = {-2.0: [SHORT, LONG], -5.0: [LONG, LONG], 3.0: [LONG, SHORT]}
DRIVEN = {target: concatenate(pair) for target, pair in PAIRS.items()}


def worlds(player):
    return Page(player.html).all("div", "world")


def test_every_request_has_its_own_episode_and_countdown():
    found = [json.loads(w["data-world"]) for w in worlds(asking(DRIVEN, 0))]
    assert [w["go"][0] for w in found] == ["−5", "−2", "3"]  # from the lowest request on
    assert [w["last"] for w in found] == [5, 2, 5]
    assert found[0]["go"] == ["−5", "−4", "−3", "−2", "−1"]


def test_one_of_them_is_shown_and_the_slider_names_them_all():
    player = asking(DRIVEN, 0, start=3.0)
    assert ["hidden" in w for w in worlds(player)] == [True, True, False]
    choice, step = Page(player.html).all("input")
    assert json.loads(choice["data-names"]) == ["−5", "−2", "3"] and choice["value"] == "2"
    assert step["max"] == "5"
    middle = worlds(asking(DRIVEN, 0))
    assert ["hidden" in w for w in middle] == [True, False, True]


def test_achieved_stands_beside_requested():
    html = asking(DRIVEN, 0).html
    for words in ("asked for −5, got −4", "asked for −2, got −1", "asked for 3, got −4"):
        assert html.count(words) == 2  # as text, and for those who cannot see it
    pale = re.findall(r'<circle [^>]*opacity=".18"', html)
    assert len(pale) == 3 * 3  # the other episodes of each request, in each world


def test_a_start_that_was_not_asked_for_is_refused():
    with pytest.raises(ValueError, match="none of the targets"):
        asking(DRIVEN, 0, start=1.0)
    with pytest.raises(ValueError, match="none of the targets"):
        asking({}, 0)
