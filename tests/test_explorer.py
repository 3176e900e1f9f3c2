"""The explorer of maps: what its page holds, and how it behaves in a real browser."""

import base64
import json

import numpy as np
import pytest
import torch
from test_animations import Page

from seqrl import attention_maps, dt_attention, episode_maps, plots_inside
from seqrl.decision_transformer import DecisionTransformerConfig
from seqrl.experiments import untrained
from seqrl.explorer import LARGEST, explorer
from seqrl.leap import LEAPConfig
from seqrl.scenes import scene
from seqrl.trajectory_transformer import TrajectoryTransformerConfig
from seqrl.transformer import TransformerConfig

torch.set_num_threads(1)
K = 4


@pytest.fixture(scope="module")
def seen():
    return dt_attention.held_out("GoToLocalS7N5", 24)


@pytest.fixture(scope="module")
def models(seen):
    from seqrl import datasets

    data = datasets.collect("GoToLocalS7N5", "expert", 8, processes=1, progress=False)
    trunk = TransformerConfig(layers=2, heads=2, width=16, activation="gelu")
    return {
        "DT": untrained(DecisionTransformerConfig.for_data(data, context=K, trunk=trunk), 0),
        "TT": untrained(TrajectoryTransformerConfig.for_data(data, context=K, trunk=trunk), 0),
        "LEAP": untrained(LEAPConfig.for_data(data, horizon=3, trunk=trunk), 0),
    }


@pytest.fixture(scope="module")
def read(seen, models):
    """Two episodes, each with what every method read of it."""
    episodes = episode_maps.chosen(seen, K, 2)
    return [
        (scene(seen, e), [episode_maps.shown(name, x, seen, e) for name, x in models.items()])
        for e in episodes
    ]


@pytest.fixture(scope="module")
def made(read):
    return explorer(read)


def test_the_chosen_are_short_but_long_enough(seen):
    episodes = episode_maps.chosen(seen, K, 3)
    assert (seen.lengths[episodes] >= K).all() and len(set(episodes)) == 3
    with pytest.raises(ValueError, match="are asked for"):
        episode_maps.chosen(seen, K, 1000)


def test_every_method_names_its_tokens(read):
    decision, scalars, plan = read[0][1]
    assert [t.kind for t in decision.tokens[:3]] == ["return", "state", "action"]
    assert len(decision.tokens) == 3 * K and len(scalars.tokens) == 7 * K - 1
    assert [t.step for t in plan.tokens] == [0] * 5 + [0, 1, 2]
    for found in (decision, scalars, plan):
        for layer, maps in enumerate(found.layers):
            assert maps.weights.shape[-1] == len(found.tokens)
            assert len(episode_maps.row_of(found, layer)) == maps.weights.shape[2]


def test_a_plans_rows_are_those_of_the_hidden_action(seen, models):
    from seqrl import leap_attention
    from seqrl.windows import Windows

    model = models["LEAP"]
    batch = Windows(seen, 3)(seen.offsets[:1])
    found = leap_attention.each_hidden(model, batch)
    plans, _ = model.targets(batch)
    prefix = model.prefix(batch.observations)
    tokens = model.shown(plans, torch.tensor([[False, True, False]]))
    one = attention_maps.record(model, [tokens], lambda x: model.log_p(prefix, x))
    for layer in range(2):
        assert torch.allclose(found[layer].weights[:, :, -2], one[layer].weights[:, :, -2])


def test_bytes_are_the_weights(read, made):
    page = Page(made._repr_html_())
    root = page.all("div", "seqrl-explorer")[0]
    data = json.loads(root["data-maps"])
    layer = data["episodes"][1]["methods"]["TT"]["layers"][0]
    found = read[1][1][1].layers[0]
    weights = np.frombuffer(base64.b64decode(layer["heads"][1]), np.uint8).reshape(27, 27)
    assert np.abs(weights / 255 - found.weights[0, 1].numpy()).max() <= 0.5 / 255 + 1e-6
    sees = np.unpackbits(np.frombuffer(base64.b64decode(layer["sees"]), np.uint8))[: 27 * 27]
    assert np.array_equal(sees.reshape(27, 27).astype(bool), found.mask[0].numpy())
    assert len(made.html.encode()) < LARGEST / 5
    assert [i["alt"] for i in page.all("img")]
    assert all(svg.get("aria-label") for svg in page.all("svg"))


def test_refusals(read):
    with pytest.raises(ValueError, match="at least one episode"):
        explorer([])
    with pytest.raises(ValueError, match="a page's explorer may have"):
        explorer(read * 200)


@pytest.mark.usefixtures("house")
def test_figures_of_the_same_maps(read):
    for found in read[0][1]:
        figure = plots_inside.map_and_frames(found, read[0][0])
        words = {text.get_text() for ax in figure.axes for text in ax.texts}
        assert any(word.startswith("0: ") for word in words)
        legends = [ax.get_legend() for ax in figure.axes if ax.get_legend()]
        assert len(legends) == 1


# In a browser


@pytest.fixture(scope="module")
def address(made, tmp_path_factory):
    file = tmp_path_factory.mktemp("explorer") / "page.html"
    made.save(file)
    return file.as_uri()


def opened(browser, address, width=360, **options):
    context = browser.new_context(viewport={"width": width, "height": 900}, **options)
    page = context.new_page()
    page.trouble = []
    page.on("pageerror", lambda error: page.trouble.append(str(error)))
    page.on("console", lambda message: page.trouble.append(message.text))
    page.on("request", lambda request: page.trouble.append(request.url))
    page.goto(address)
    return page


@pytest.mark.parametrize("width", [360, 1200])
def test_every_choice_draws_and_fits(browser, address, width):
    page = opened(browser, address, width)
    for method, tokens in (("DT", 3 * K), ("TT", 7 * K - 1), ("LEAP", 8)):
        page.select_option(".method", method)
        for layer in ("0", "1"):
            page.select_option(".layer", layer)
            for head in ("mean", "1"):
                page.select_option(".head", head)
                assert page.locator(".chip").count() == tokens
                assert page.locator(".chip.asks").count() == 1
        assert page.evaluate("document.documentElement.scrollWidth") == width
    page.select_option(".episode", "1")
    assert [f.is_visible() for f in page.locator("figure").all()] == [False, True]
    assert page.trouble == [address]
    page.context.close()


def test_keys_move_the_token_and_the_frame(browser, address, read):
    page = opened(browser, address, reduced_motion="reduce")
    page.locator(".tokens").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    said = page.locator(".said")
    assert said.inner_text().startswith("state of step 0 reads ")
    before = page.locator(".agent").first.get_attribute("style")
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    assert said.inner_text().startswith("state of step 3 reads ")
    assert page.locator(".chip.asks").inner_text() == "s"
    assert page.locator(".agent").first.get_attribute("style") != before
    page.keyboard.press("ArrowLeft")
    assert "nobody needs" in said.inner_text()  # a return-to-go in the last layer
    page.context.close()


def test_pointing_and_tapping_choose_a_token(browser, address):
    page = opened(browser, address, 1000)
    page.locator(".chip").nth(4).hover()
    assert page.locator(".said").inner_text().startswith("state of step 1 ")
    page.locator(".chip").nth(1).click()
    assert page.locator(".said").inner_text().startswith("state of step 0 ")
    box = page.locator("canvas").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 0.1 * box["height"])
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 0.5 * box["height"])
    assert not page.locator(".said").inner_text().startswith("state of step 0 ")
    page.context.close()


def test_without_scripts_there_is_a_still_picture(browser, address):
    page = opened(browser, address, java_script_enabled=False)
    assert page.locator("img.still").is_visible()
    assert [f.is_visible() for f in page.locator("figure").all()] == [True, False]
    assert not page.locator(".choices").is_visible() and not page.locator(".tokens").is_visible()
    page.context.close()
