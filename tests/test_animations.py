"""The player: what it holds without a browser (the site test drives it in one)."""

import html
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from drawing_data import through_a_door, walk

from seqrl.animations import play
from seqrl.trajectories import concatenate

DOOR = through_a_door()
WALK = walk([2, 1, 2, 0, 0, 2])


class Page(HTMLParser):
    """Every element of a page with its attributes; complains of tags that do not match."""

    VOID = frozenset({"meta", "input", "img"})

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.text = [], [], ""
        self.feed(text)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, tag, name=None):
        """Attributes of all elements of a tag, of those only whose first class is `name`."""
        found = [attrs for other, attrs in self.elements if other == tag]
        return [a for a in found if name in (None, (a.get("class") or " ").split(" ")[0])]


def page(player):
    return Page(player._repr_html_())


def data_of(player):
    return [json.loads(world["data-world"]) for world in page(player).all("div", "world")]


def test_there_is_a_pose_for_every_step_and_one_more():
    (data,) = data_of(play(WALK, 0))
    assert len(data["poses"]) == 7
    assert len(data["actions"]) == len(data["go"]) == 6
    assert [data["names"][a] for a in data["actions"]][:2] == ["forward", "right"]
    assert data["go"][0] == "−5"
    assert [pose[:2] for pose in data["poses"]][:2] == [[1, 1], [2, 1]]


def test_the_agent_turns_the_short_way():
    spin = walk([0] * 6 + [1] * 9)
    (data,) = data_of(play(spin, 0))
    headings = np.array([pose[2] for pose in data["poses"]])
    assert (np.abs(np.diff(headings)) == 1).all()
    assert headings.min() == -6
    assert (headings % 4 == spin.observations["agent"][:, 2].numpy()).all()


def test_a_door_opens_and_a_key_is_taken_at_their_steps():
    spans = [
        (int(a["data-from"]), int(a["data-to"]))
        for a in page(play(DOOR, 0)).all("g")
        if "data-from" in a
    ]
    assert (0, 2) in spans and (2, 5) in spans  # the door: closed before step 2, open from then on
    assert (0, 1) in spans  # the key on the floor
    assert (1, 5) in spans  # and then in the agent's hands


def test_the_still_shows_the_last_step_and_the_path():
    parsed = page(play(DOOR, 0))
    for group in parsed.all("g"):
        if "data-from" in group:
            there = int(group["data-from"]) <= 4 < int(group["data-to"])
            assert there == (group.get("visibility") != "hidden")
    assert parsed.all("g", "trail")
    (agent,) = parsed.all("g", "agent")
    assert agent["transform"] == "translate(4.5 1.5)"
    (bar,) = parsed.all("div", "bar")
    assert "hidden" in bar  # controls that do nothing without scripts are not shown


def test_nothing_is_loaded_from_anywhere():
    text = play(DOOR, 0)._repr_html_()
    addresses = set(re.findall(r"""https?:[^"'\s)]+""", text))
    assert addresses <= {"http://www.w3.org/2000/svg"}
    parsed = Page(text)
    assert not [attrs for _, attrs in parsed.elements if {"src", "href"} & attrs.keys()]
    assert "@import" not in text and "url(" not in text


def test_players_on_one_page_share_no_names_and_are_the_same_each_time():
    both = play(DOOR, 0)._repr_html_() + play(WALK, 0)._repr_html_() + play(DOOR, 0)._repr_html_()
    ids = [attrs["id"] for _, attrs in Page(both).elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert play(DOOR, 0)._repr_html_() == play(DOOR, 0)._repr_html_()


def test_worlds_say_what_they_show():
    pictures = page(play(DOOR, 0, captions=["an <expert>"])).all("svg")
    (svg,) = [picture for picture in pictures if picture.get("role") == "img"]
    for words in ("an <expert>", "go to the red ball", "7 by 4", "solved in 4 steps"):
        assert words in svg["aria-label"]
    assert "an &lt;expert&gt;" in play(DOOR, 0, captions=["an <expert>"])._repr_html_()


def test_controls_have_names():
    parsed = page(play(DOOR, 0))
    for control in [*parsed.all("button"), *parsed.all("input")]:
        assert control["aria-label"]
    root = parsed.all("div", "seqrl-player")[0]
    assert root["tabindex"] == "0" and "arrow keys" in root["aria-label"]


def test_episodes_of_several_datasets_play_together():
    player = play([DOOR, WALK], [0, 0], captions=["one", "two"])
    assert [len(data["poses"]) for data in data_of(player)] == [5, 7]
    assert page(player).all("input")[0]["max"] == "6"
    assert len(data_of(play([WALK, DOOR], 0))) == 2


@pytest.mark.parametrize(
    ("arguments", "options"),
    [((WALK, []), {}), (([WALK, DOOR], [0]), {}), ((WALK, [0]), {"captions": ["a", "b"]})],
)
def test_numbers_that_do_not_fit_are_refused(arguments, options):
    with pytest.raises(ValueError, match="as many"):
        play(*arguments, **options)


def test_what_is_left_of_a_target_is_counted_down():
    for target, shown in [(-12.0, ["−12", "−11", "−10", "−9", "−8", "−7"]), (0, "012345")]:
        (data,) = data_of(play(WALK, 0, targets=[target]))
        assert data["go"] == list(shown)
    (fine,) = data_of(play(WALK, 0, targets=[2.5]))
    assert fine["go"][0] == "2.5" and fine["go"][-1] == "7.5"


def test_a_target_that_came_true_changes_nothing_and_others_only_what_is_read():
    (plain,) = data_of(play(WALK, 0))
    assert data_of(play(WALK, 0, targets=[-5]))[0] == plain
    (asked,) = data_of(play(WALK, 0, targets=[-30]))
    assert asked["go"][0] == "−30" and asked | {"go": plain["go"]} == plain


def test_each_world_counts_down_its_own_target_by_its_own_rewards():
    spent = walk([2, 2])
    rewards = np.array([-3.0, -4.0], np.float32)
    object.__setattr__(spent, "rewards", spent.rewards.new_tensor(rewards))
    found = data_of(play([DOOR, spent], 0, targets=[-1.0, 10.0]))
    assert [data["go"] for data in found] == [["−1", "0", "1", "2"], ["10", "13"]]
    both = concatenate([walk([2, 2]), walk([2])])
    assert [data["go"] for data in data_of(play(both, [1, 0], targets=[7, 8]))] == [
        ["7"],
        ["8", "9"],
    ]


@pytest.mark.parametrize("targets", [[], [1.0], [1.0, 2.0, 3.0]])
def test_as_many_targets_as_episodes_are_needed(targets):
    with pytest.raises(ValueError, match=f"2 episodes need as many targets, not {len(targets)}"):
        play([DOOR, WALK], 0, targets=targets)


def test_autoplay_and_loop_are_choices():
    def flags(**options):
        root = page(play(WALK, 0, **options)).all("div", "seqrl-player")[0]
        return "data-autoplay" in root, "data-loop" in root

    assert flags() == (True, False)
    assert flags(autoplay=False, loop=True) == (False, True)


def test_an_episode_of_one_step_and_one_that_only_turns():
    assert "solved in 1 step" in html.unescape(play(walk([2]), 0)._repr_html_())
    assert not page(play(walk([0, 0]), 0)).all("g", "trail")


def test_a_saved_page_is_whole(tmp_path):
    play(DOOR, 0).save(tmp_path / "door.html")
    text = (tmp_path / "door.html").read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>") and 'charset="utf-8"' in text
    Page(text)


def test_a_long_episode_in_a_large_maze_is_small():
    rng = np.random.default_rng(0)
    way = walk(rng.integers(0, 3, 441).tolist(), start=(300, 300, 0), size=(600, 600))
    poses = way.observations["agent"].numpy()
    poses[:, :2] = 1 + poses[:, :2] % 17
    maze = np.full((19, 19, 3), (1, 0, 0), np.uint8)
    maze[::6] = maze[:, ::6] = (2, 5, 0)
    maze[3::6, ::6] = maze[::6, 3::6] = (4, 1, 1)
    object.__setattr__(way, "maps", way.maps.new_tensor(maze)[None])
    assert len(play(way, 0)._repr_html_().encode()) < 100_000
    assert len(play(concatenate([way, way]), [0, 1])._repr_html_().encode()) < 190_000
