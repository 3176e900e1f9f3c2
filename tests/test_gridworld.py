"""Grid worlds: every thing has a look of its own, and both backends draw the same."""

import re
import xml.etree.ElementTree as ET
from itertools import combinations, pairwise

import matplotlib
import numpy as np
import pytest
from drawing_data import BALL, DOOR_CLOSED, DOOR_OPEN, EMPTY, room

from seqrl import grid_shapes, gridworld
from seqrl.grid_shapes import HUES, KINDS, shapes

matplotlib.use("agg")
import matplotlib.pyplot as plt

SVG = "{http://www.w3.org/2000/svg}"
STRAIGHT = np.array([(1, 1, 0), (2, 1, 0), (3, 1, 0), (3, 1, 1), (3, 2, 1)])


def outlines(look):
    return tuple(numbers for numbers, _ in look)


def test_numbers_are_those_of_minigrid():
    from minigrid.core.constants import COLOR_TO_IDX, DIR_TO_VEC, OBJECT_TO_IDX, STATE_TO_IDX

    assert dict(zip(KINDS, range(len(KINDS)))) == OBJECT_TO_IDX
    assert dict(zip(HUES, range(len(HUES)))) == COLOR_TO_IDX
    assert dict(zip(grid_shapes.DOORS, range(3))) == STATE_TO_IDX
    for heading, way in enumerate(DIR_TO_VEC):
        head = np.reshape(grid_shapes.agent_shapes(heading)[1].numbers, (-1, 2)) - 0.5
        along, across = head @ way, head @ way[::-1]
        assert np.ptp(across[along > 0.2]) < 0.5 * np.ptp(across)  # it is thin in front


def test_objects_differ_in_shape_and_not_only_in_color():
    names = [("door", s) for s in range(3)] + [(n, 0) for n in ("key", "ball", "box", "goal")]
    looks = [outlines(shapes(KINDS.index(name), 0, state)) for name, state in names]
    assert len(set(looks)) == len(looks)


def test_colors_of_objects_stay_apart_in_every_kind_of_color_vision():
    paints = [grid_shapes.OBJECT_COLORS[name][0] for name in HUES]
    assert min(closest(paints, vision) for vision in (None, RED_BLIND, GREEN_BLIND)) > 15


# Linear RGB as seen without long- or middle-wave cones (Viénot, Brettel, Mollon 1999).
RED_BLIND = np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]])
GREEN_BLIND = np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]])


def closest(paints, vision=None):
    """The smallest distance of two colors in CIELAB."""
    points = [lab(paint, vision) for paint in paints]
    return min(np.linalg.norm(a - b) for a, b in combinations(points, 2))


def lab(paint, vision=None):
    rgb = np.array([int(paint[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    rgb = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    if vision is not None:
        rgb = np.clip(vision @ rgb, 0, 1)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = to_xyz @ rgb / np.array([0.9505, 1, 1.089])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_every_encodable_cell_can_be_drawn_and_others_are_refused():
    for kind in range(len(KINDS)):
        for hue in range(len(HUES)):
            for state in range(3):
                for numbers, fill in shapes(kind, hue, state):
                    assert re.fullmatch("#[0-9a-f]{6}", fill)
                    assert min(numbers) > -0.2 and max(numbers) < 1.2
    with pytest.raises(ValueError, match="type, color, state"):
        shapes(11, 0, 0)


def test_svg_is_well_formed_and_says_what_it_shows():
    svg = ET.fromstring(gridworld.svg(room(), (1, 1, 0), path=STRAIGHT, label='a "small" <room>'))
    assert svg.get("role") == "img"
    assert svg.get("aria-label") == 'a "small" <room>'
    assert all(element.tag.startswith(SVG) for element in svg.iter())


def test_svg_changes_when_a_door_opens_and_when_the_agent_turns():
    grid = room()
    grid[3, 2] = DOOR_CLOSED
    closed = gridworld.svg(grid, (1, 1, 0))
    grid[3, 2] = DOOR_OPEN
    opened = gridworld.svg(grid, (1, 1, 0))
    assert closed != opened
    assert len({gridworld.svg(grid, (1, 1, heading)) for heading in range(4)}) == 4
    assert gridworld.svg(grid, (1, 1, 0), carrying=(5, 0)) != opened
    assert gridworld.svg(grid, (1, 1, 0), carrying=(0, 0)) == opened


def test_matplotlib_paints_cells_where_the_map_has_them():
    grid = room(6, 5)
    figure = plt.figure(figsize=(6, 5), dpi=40)
    ax = figure.add_axes((0, 0, 1, 1))
    gridworld.draw(ax, grid)
    left, top, width, height = gridworld.frame(grid)
    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3]
    plt.close(figure)

    def at(x, y):
        row, column = (y - top) / height * len(pixels), (x - left) / width * pixels.shape[1]
        return "#" + bytes(pixels[int(row), int(column)]).hex()

    red = grid_shapes.OBJECT_COLORS["red"][0]
    assert at(4.5, 3.55) == red  # the ball at x = 4, y = 3: x to the right, y downward
    assert at(1.5, 1.5) == grid_shapes.FLOOR
    assert at(0.8, 2.5) == grid_shapes.WALL


def test_only_a_closed_outer_wall_is_trimmed():
    grid = room()
    left, top, width, height = gridworld.frame(grid)
    assert 0 < left < 1 and 0 < top < 1 and (width, height) < (6, 5)
    grid[0, 2] = DOOR_CLOSED
    assert gridworld.frame(grid) == (0, 0, 6, 5)


def test_path_leads_from_start_to_end_through_every_cell():
    points, steps = gridworld.path_points(STRAIGHT)
    assert points[0].tolist() == [1.5, 1.5] and points[-1].tolist() == [3.5, 2.5]
    assert (np.diff(steps) >= 0).all() and steps[-1] == len(STRAIGHT) - 1
    for x, y, _ in STRAIGHT:
        assert np.linalg.norm(points - (x + 0.5, y + 0.5), axis=1).min() < 0.2


def test_way_back_does_not_hide_the_way_there():
    there = [(x, 1, 0) for x in range(1, 5)]
    back = [(4, 1, 1), (4, 1, 2), *((x, 1, 2) for x in range(3, 0, -1))]
    points, _ = gridworld.path_points(np.array(there + back))
    crossing = [points[i, 1] for i in np.flatnonzero(np.abs(points[:, 0] - 3) < 0.15)]
    assert max(crossing) - min(crossing) > 0.2
    assert len(set(np.round(gridworld.path_points(STRAIGHT[:3])[0][:, 1], 6))) == 1


def test_an_agent_that_only_turns_has_no_path():
    assert gridworld.path_strokes(np.array([(1, 1, 0), (1, 1, 1)])) == []
    assert gridworld.path_strokes(np.array([(1, 1, 0)])) == []
    plt.close(gridworld.draw(plt.subplots()[1], room(), path=np.array([(1, 1, 0)])).figure)


def test_strokes_join_up_and_darken_with_time():
    strokes = gridworld.path_strokes(STRAIGHT, pieces=3)
    assert [step for *_, step in strokes] == sorted(step for *_, step in strokes)
    for (before, *_), (after, *_) in pairwise(strokes):
        assert np.allclose(before[-1], after[0], atol=0.3)
    lightness = [lab(gridworld.time_color(t))[0] for t in np.linspace(0, 1, 9)]
    assert (np.diff(lightness) < 0).all()


@pytest.mark.parametrize(
    ("number", "text"),
    [(10.5, "10.5"), (0.25, ".25"), (-0.5, "-.5"), (20.0, "20"), (0.001, "0"), (-0.001, "0")],
)
def test_short_numbers_keep_their_value(number, text):
    assert gridworld.short(number) == text
    assert float(gridworld.short(number)) == pytest.approx(number, abs=0.006)


def test_an_empty_cell_has_no_shapes_and_a_ball_has():
    assert not shapes(*EMPTY)
    assert shapes(*BALL)
