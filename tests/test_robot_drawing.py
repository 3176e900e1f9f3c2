"""Robots as they are drawn: where the simulator has them, without OpenGL, and on the page."""

import html
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from seqrl import datasets
from seqrl.animations_robots import compared, running
from seqrl.environments import Envs
from seqrl.plots_robots import GROUND, capsule, gait, overlaid, pale, returns
from seqrl.robot_drawing import DRAWN, meters, motion, motion_of, skeleton
from seqrl.rollout import rollout
from seqrl.style import PAPER

try:
    import mujoco
except ImportError:
    mujoco = None
simulated = pytest.mark.skipif(mujoco is None, reason="needs the extra locomotion")
LIMBS = {"Hopper": 4, "Walker2d": 7, "HalfCheetah": 8}


class Wave:
    """Joints that swing; the seed of the episode is their phase."""

    def __init__(self, M):
        self.M, self.t = M, 0

    def act(self, step):
        self.t += 1
        phase = 0.1 * self.t + np.arange(self.M) + 0.01 * (step.seed[:, None] % 100)
        return (0.8 * np.sin(phase)).astype(np.float32)


def driven(name, steps=120):
    """An episode of a robot, and the simulator's coordinates and capsules at each moment."""
    seen = []

    class Watched(gym.Wrapper):
        def reset(self, **options):
            found = self.env.reset(**options)
            self.note()
            return found

        def step(self, action):
            found = self.env.step(action)
            self.note()
            return found

        def note(self):
            data = self.env.unwrapped.data
            places = [np.array(data.geom(g).xpos) for g in range(1, self.unwrapped.model.ngeom)]
            seen.append((data.qpos.copy(), places))

    env = Watched(gym.make(f"{name}-v5", disable_env_checker=True, max_episode_steps=steps))
    assert skeleton(f"{name}-v5").seconds == pytest.approx(env.unwrapped.dt)
    data = rollout(Wave(env.action_space.shape[0]), Envs([env]), 1, 0)
    return data, np.array([q for q, _ in seen[-data.steps - 1 :]])


@pytest.fixture(scope="module")
def episodes(tmp_path_factory):
    # Gymnasium's model of HalfCheetah makes MuJoCo write a log into the working directory.
    here = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("simulated"))
    try:
        return {name: driven(name) for name in DRAWN}
    finally:
        os.chdir(here)


@simulated
@pytest.mark.parametrize("name", DRAWN)
def test_a_robot_is_drawn_where_the_simulator_has_it(episodes, name):
    data, q = episodes[name]
    shown = motion(data, 0)
    assert shown.limbs.shape == (data.steps + 1, LIMBS[name], 2, 2)
    q = q - np.r_[q[0, 0], np.zeros(q.shape[1] - 1)]  # the drawing begins at 0
    error = 0.05 if name == "HalfCheetah" else 0.002  # meters: its steps are six times as long
    assert np.abs(shown.x - q[:, 0]).max() < error
    q[:, 0] = shown.x
    body, there = shown.skeleton, mujoco.MjData(shown.skeleton.model)
    for t in range(0, len(q), 7):
        there.qpos[:] = q[t]
        mujoco.mj_forward(body.model, there)
        middle = there.geom_xpos[body.geoms][:, [0, 2]]
        assert shown.limbs[t].mean(1) == pytest.approx(middle, abs=1e-5)
    long = np.linalg.norm(shown.limbs[:, :, 1] - shown.limbs[:, :, 0], axis=-1)
    assert long == pytest.approx(
        np.broadcast_to(2 * body.model.geom_size[body.geoms, 1], long.shape)
    )


@simulated
def test_the_lowest_capsule_stands_on_the_ground(episodes):
    for name in DRAWN:
        shown = motion(episodes[name][0], 0)
        lowest = (shown.limbs[..., 1].min(-1) - shown.skeleton.radii).min(1)
        assert -0.06 < lowest.min() < 0.05, name  # soft contacts give way a little


@simulated
def test_moments_between_steps_keep_to_the_steps(episodes):
    for name in DRAWN:
        data, _ = episodes[name]
        plain, body = motion(data, 0), skeleton(f"{name}-v5")
        fine = motion(data, 0, body.seconds / 4)
        assert fine.limbs[::4] == pytest.approx(plain.limbs, abs=1e-9)
        assert fine.times[-1] == pytest.approx(plain.times[-1])
        assert fine.returns[::4] == pytest.approx(plain.returns)
        coarse = motion(data, 0, 2.5 * body.seconds)
        assert coarse.times[-1] == plain.times[-1] and coarse.returns[-1] == plain.returns[-1]
        before = motion_of(data.observations["state"][:-2].numpy(), f"{name}-v5", body.seconds / 4)
        assert np.abs(before.limbs - fine.limbs[: len(before.limbs)]).max() < 1e-9
        jumps = np.abs(np.diff(fine.limbs, axis=0)).max()
        assert jumps < np.abs(np.diff(plain.limbs, axis=0)).max()


@simulated
def test_it_is_told_whether_the_robot_fell(episodes):
    hopper, cheetah = (episodes[name][0] for name in ("Hopper", "HalfCheetah"))
    assert bool(hopper.terminations[-1]) and motion(hopper, 0).fell
    assert not motion(cheetah, 0).fell
    assert motion(cheetah, 0).returns[-1] == pytest.approx(float(cheetah.returns[0]), rel=1e-5)
    assert motion_of(cheetah.observations["state"], "HalfCheetah-v5").returns is None


@simulated
def test_states_of_another_robot_are_refused(episodes):
    states = episodes["Hopper"][0].observations["state"]
    with pytest.raises(ValueError, match=r"Walker2d is seen in 17 numbers, not \(11,\)"):
        motion_of(states, "Walker2d-v5")


def test_a_robot_that_is_not_planar_is_told_how_to_be_seen():
    with pytest.raises(ValueError, match=r"'Ant-v5' is not drawn.*Hopper.*MUJOCO_GL=egl"):
        skeleton("Ant-v5")


def test_without_mujoco_a_sentence_says_what_to_install(monkeypatch):
    skeleton.cache_clear()
    monkeypatch.setitem(sys.modules, "mujoco", None)
    with pytest.raises(ImportError, match=r'pip install "seqrl\[locomotion\]"'):
        skeleton("Hopper-v5")


@simulated
def test_no_opengl_is_needed_and_nothing_is_said():
    code = (
        "import sys; from seqrl.robot_drawing import skeleton, motion_of; import numpy as np; "
        "b = [skeleton(f'{n}-v5') for n in ('Hopper', 'Walker2d', 'HalfCheetah')]; "
        "motion_of(np.zeros((2, b[0].size)), 'Hopper-v5'); "
        "assert not [m for m in sys.modules if m.startswith(('OpenGL', 'glfw'))]"
    )
    without = os.environ | {"MUJOCO_GL": "disable"}
    run = subprocess.run(
        [sys.executable, "-c", code], env=without, capture_output=True, text=True, timeout=120
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def worlds(player):
    text = re.findall(r'data-world="([^"]*)"', player._repr_html_())
    return [json.loads(html.unescape(x)) for x in text]


@simulated
def test_three_robots_run_on_one_timeline(episodes):
    player = running({f"{name}, medium": data for name, (data, _) in episodes.items()}, seconds=1.5)
    page = player._repr_html_()
    assert len(page) < 300_000 and page.count("<svg") >= 3
    hopper, _, cheetah = worlds(player)
    assert cheetah["last"] == 75  # of 0.02 seconds
    assert hopper["last"] < 75 and [c[2][-1] for c in hopper["chips"]][2] == "fell"
    assert hopper["chips"][2][2][0] == "" and len(cheetah["chips"]) == 2
    assert {len(x) for x in cheetah["limbs"]} == {4 * LIMBS["HalfCheetah"]}
    assert len(cheetah["limbs"]) == len(cheetah["camera"]) == len(cheetah["chips"][0][2]) == 76
    still = re.findall(r'data-limb="0" x1="(-?\d+)" y1="(-?\d+)"', page)
    assert list(map(int, still[0])) == hopper["limbs"][-1][:2]


@simulated
def test_distance_and_return_count_what_happened(episodes):
    data, q = episodes["Hopper"]
    (shown,) = worlds(running({"expert": data}))
    returns, meters = (chip[2] for chip in shown["chips"][:2])
    assert returns[0] == "0" and meters[0] == "0.0 m"
    assert float(returns[-1].replace("−", "-")) == pytest.approx(float(data.returns[0]), abs=0.51)
    assert float(meters[-1][:-2].replace("−", "-")) == pytest.approx(q[-1, 0] - q[0, 0], abs=0.06)


@simulated
def test_as_many_episodes_as_kinds(episodes):
    data = episodes["Hopper"][0]
    with pytest.raises(ValueError, match="2 kinds of data need as many episodes, not 1"):
        running({"random": data, "expert": data}, [0])
    with pytest.raises(ValueError, match="0 kinds"):
        running({})


@pytest.mark.parametrize("seconds", [0, -1.0, 0.01, float("nan")])
def test_a_time_in_which_nothing_moves_is_refused(seconds):
    with pytest.raises(ValueError, match=rf"0.02 seconds between two frames; {seconds} show no"):
        running({"expert": some_grid()}, seconds=seconds)


def some_grid():
    return datasets.collect("GoToLocalS7N5", "random", 1, processes=1, progress=False)


def test_data_of_a_grid_are_no_robot():
    with pytest.raises(ValueError, match=r"'GoToLocalS7N5' is not drawn as a robot: .*map"):
        running({"expert": some_grid()})


@simulated
def test_what_was_imagined_lies_over_what_happened(episodes):
    states = episodes["Walker2d"][0].observations["state"].numpy()
    real, dreamt = motion_of(states, "Walker2d-v5"), motion_of(states[:9], "Walker2d-v5")
    (shown,) = worlds(compared(real, {"TT": dreamt}, caption="Walker2d"))
    limbs = np.array(shown["limbs"])
    assert limbs.shape == (len(states), 2 * 4 * LIMBS["Walker2d"])
    first, second = np.split(limbs, 2, axis=1)
    assert (first[:9] == second[:9]).all() and (second[9:] == second[8]).all()
    assert shown["chips"][0][2][:2] == ["0 steps", "1 step"]


@simulated
def test_a_gait_is_drawn_where_it_happened(house, episodes):
    shown = motion(episodes["HalfCheetah"][0], 0)
    figure = gait({"medium": shown, "expert": shown}, every=0.5, count=6)
    above, below = figure.axes
    assert len(above.patches) == 6 * LIMBS["HalfCheetah"] + 1  # and the ground
    assert above.get_xlim() == below.get_xlim() and np.ptp(above.get_xlim()) >= 4.5
    assert above.get_title(loc="left").startswith(
        f"medium: {shown.x[50]:.1f} m in 2.5 s".replace("-", "−")
    )
    hopper = motion(episodes["Hopper"][0], 0)
    assert gait({"random": hopper}).axes[0].get_title(loc="left").endswith("and fell")


@simulated
def test_two_motions_are_drawn_over_one_another(house, episodes):
    shown = motion(episodes["Hopper"][0], 0)
    ax = overlaid(shown, {"TT": shown}, [0, 5, 10]).axes[0]
    assert len(ax.patches) == 3 * 2 * LIMBS["Hopper"] + 1
    assert [t.get_text() for t in ax.texts] == ["now", "5 steps", "10 steps"]
    thick, thin = (np.ptp(ax.patches[i].get_xy()[:, 0]) for i in (0, LIMBS["Hopper"]))
    assert thin < thick


@simulated
def test_returns_stand_between_those_of_d4rl(house, episodes):
    data = episodes["Hopper"][0]
    ax = returns({"medium": data, "expert": data})
    words = {t.get_text(): t.get_position()[0] for t in ax.texts}
    assert words["random, 0"] == pytest.approx(-20.272305)
    assert words["expert, 100"] == pytest.approx(3234.3)
    assert ax.get_xlim()[0] < -20 and ax.get_xlim()[1] > 3234
    data.info["env"] = "GoToLocalS7N5"
    try:
        with pytest.raises(ValueError, match="'GoToLocalS7N5' has no reference returns"):
            returns({"medium": data})
    finally:
        data.info["env"] = "Hopper-v5"


def test_a_distance_has_a_real_minus_and_none_before_zero():
    assert [meters(x) for x in (-0.04, 0.0, -0.06, 12.34)] == ["0.0 m", "0.0 m", "−0.1 m", "12.3 m"]


def test_a_capsule_is_all_that_is_near_its_line():
    ends = np.array([[0.0, 0.0], [3.0, 4.0]])
    outline = capsule(ends, 0.5)
    along = np.clip((outline - ends[0]) @ (ends[1] - ends[0]) / 25, 0, 1)[:, None]
    near = ends[0] + along * (ends[1] - ends[0])
    assert np.linalg.norm(outline - near, axis=1) == pytest.approx(0.5)
    x, y = outline.T
    area = abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2
    assert area == pytest.approx(5 + np.pi / 4, rel=0.02)


def test_a_pale_color_lies_between_the_color_and_paper():
    assert pale("#000000", 0) == "#000000" and pale("#123456", 1) == PAPER
    assert pale("#000000", 0.5) == "#7e7e7d"
    assert GROUND != PAPER


@simulated
def test_the_script_moves_the_robot(browser, episodes, tmp_path):
    player = running({"medium": episodes["HalfCheetah"][0]}, seconds=1.0, autoplay=False)
    (shown,) = worlds(player)
    player.save(file := tmp_path / "robots.html")
    page = browser.new_page()
    trouble = []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.goto(file.as_uri())
    line = page.locator("[data-limb='3']").last
    page.locator(".seqrl-player").focus()
    for key, t in (("Home", 0), ("ArrowRight", 1), ("End", 50)):
        page.keyboard.press(key)
        ends = [int(line.get_attribute(name)) for name in ("x1", "y1", "x2", "y2")]
        assert ends == shown["limbs"][t][12:16]
        assert page.locator(".read").inner_text().split() == [
            "return", shown["chips"][0][2][t], *shown["chips"][1][2][t].split()
        ]  # fmt: skip
    moved = page.locator(".scenery").get_attribute("transform")
    assert moved == f"translate({-shown['camera'][-1]} 0)"
    assert trouble == []
    page.close()
