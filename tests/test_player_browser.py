"""The player in a real browser: it plays, obeys mouse and keys, and stands still when asked."""

import re

import pytest
from drawing_data import through_a_door, walk

from seqrl.animations import play
from seqrl.animations_asked import asking

sync_api = pytest.importorskip("playwright.sync_api")


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A page with the same player twice and another one between them."""
    door = play(through_a_door(), 0)._repr_html_()
    way = play([walk([2, 1, 2, 0, 0, 2]), through_a_door()], 0, autoplay=False)._repr_html_()
    file = tmp_path_factory.mktemp("player") / "page.html"
    file.write_text(f"<!doctype html><meta charset='utf-8'>{door}{way}{door}", encoding="utf-8")
    return file.as_uri()


def opened(browser, address, **options):
    context = browser.new_context(viewport={"width": 360, "height": 1900}, **options)
    page = context.new_page()
    page.trouble = []
    page.on("pageerror", lambda error: page.trouble.append(str(error)))
    page.on("console", lambda message: page.trouble.append(message.text))
    page.on("request", lambda request: page.trouble.append(request.url))
    page.goto(address)
    return page


def counters(page):
    return page.locator("output").all_text_contents()


def test_it_starts_when_seen_and_stops_at_the_end(browser, address):
    page = opened(browser, address)
    begun = re.compile("[0-3] / 4")  # on a busy machine the first frame may be over by now
    sync_api.expect(page.locator("output").first).to_have_text(begun, timeout=30_000)
    sync_api.expect(page.locator("output").first).to_have_text("4 / 4", timeout=30_000)
    sync_api.expect(page.locator("button.play").first).to_have_attribute(
        "aria-label", "play", timeout=30_000
    )
    assert counters(page)[1] == "6 / 6"  # the one that does not play by itself
    assert page.trouble == [address]
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.context.close()


def test_reduced_motion_begins_with_the_still(browser, address):
    page = opened(browser, address, reduced_motion="reduce")
    page.wait_for_timeout(700)
    assert counters(page) == ["4 / 4", "6 / 6", "4 / 4"]
    opacity = "strokes => strokes.map(stroke => getComputedStyle(stroke).opacity)"
    assert set(page.locator(".trail path").evaluate_all(opacity)) == {"1"}
    page.context.close()


def test_keys_and_buttons_move_one_player_only(browser, address):
    page = opened(browser, address, reduced_motion="reduce")
    root = page.locator(".seqrl-player").first
    root.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert counters(page) == ["1 / 4", "6 / 6", "4 / 4"]
    assert "return-to-go −2" in root.inner_text() and "toggle" in root.inner_text()
    page.locator("button.next").first.click()
    page.locator("button.back").nth(1).click()
    assert counters(page) == ["2 / 4", "5 / 6", "4 / 4"]
    page.locator("input").first.fill("3")
    assert counters(page)[0] == "3 / 4"
    page.locator("button.play").first.click()
    sync_api.expect(page.locator("output").first).to_have_text("4 / 4", timeout=30_000)
    root.focus()
    page.keyboard.press("Space")
    page.keyboard.press("Space")
    assert counters(page)[0] == "0 / 4"  # begun again, and paused at once
    page.context.close()


def test_the_door_opens_as_the_agent_toggles_it(browser, address):
    page = opened(browser, address, reduced_motion="reduce")
    page.locator(".seqrl-player").first.focus()

    def shown():
        groups = page.locator(".seqrl-player").first.locator("[data-from]").all()
        return {g.get_attribute("data-from") + "-" + g.get_attribute("data-to") for g in groups
                if g.get_attribute("visibility") == "visible"}  # fmt: skip

    page.keyboard.press("Home")
    assert shown() == {"0-2", "0-1"}  # the closed door, the key on the floor
    page.keyboard.press("ArrowRight")
    assert shown() == {"0-2", "1-5"}  # the key in hand
    page.keyboard.press("ArrowRight")
    assert shown() == {"2-5", "1-5"}  # the open door
    page.context.close()


def test_without_scripts_the_path_is_there_and_no_control(browser, address):
    page = opened(browser, address, java_script_enabled=False)
    assert page.locator(".trail").first.is_visible()
    assert page.locator(".agent").first.is_visible()
    assert not page.locator(".bar").first.is_visible()
    assert "solved in 4 steps" in page.locator(".read").first.inner_text()
    page.context.close()


@pytest.fixture(scope="module")
def requests(tmp_path_factory):
    """A page with two requests for one map."""
    driven = {-3.0: walk([2, 1, 2, 0]), 1.0: walk([2, 2])}
    file = tmp_path_factory.mktemp("asking") / "page.html"
    asking(driven, 0, start=-3.0).save(file)
    return file.as_uri()


def test_another_version_is_chosen_by_mouse_and_keys(browser, requests):
    page = opened(browser, requests, reduced_motion="reduce")
    choice, root = page.locator(".choice input"), page.locator(".seqrl-player")
    shown = page.locator(".world:visible")
    assert shown.count() == 1 and "got −3" in shown.inner_text() and counters(page)[1] == "4 / 4"
    choice.focus()
    page.keyboard.press("ArrowRight")
    assert "got −1" in shown.inner_text() and counters(page) == ["1", "2 / 2"]
    assert choice.get_attribute("aria-valuetext") == "1"
    page.keyboard.press("Home")
    assert counters(page) == ["−3", "4 / 4"]
    box = choice.bounding_box()
    page.mouse.click(box["x"] + box["width"] - 4, box["y"] + box["height"] / 2)
    assert counters(page) == ["1", "2 / 2"]
    root.focus()
    page.keyboard.press("Home")
    assert "return-to-go 1" in shown.inner_text() and counters(page) == ["1", "0 / 2"]
    assert page.trouble == [requests]
    page.context.close()


def test_without_scripts_one_version_is_there_and_no_control(browser, requests):
    page = opened(browser, requests, java_script_enabled=False)
    assert page.locator(".world:visible").count() == 1
    assert not page.locator(".choice").is_visible()
    assert page.locator(".trail").first.is_visible()
    page.context.close()
