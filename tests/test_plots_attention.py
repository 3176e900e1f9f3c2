"""Figures of attention: right cells, right words, small files, and refusals with a sentence."""

import io
import xml.etree.ElementTree as ET

import matplotlib
import numpy as np
import pytest
import torch

from seqrl import plots_attention, style
from seqrl.animations_attention import reading
from seqrl.transformer import causal_mask

matplotlib.use("agg")

pytestmark = pytest.mark.usefixtures("house")

MASK = causal_mask(4)
WEIGHTS = MASK / MASK.sum(1, keepdim=True)
KINDS = ["return", "state", "action", "state"]
ROWS = [
    {"measure": m, "maps": s, "estimate": e, "low": e - 0.1, "high": e + 0.1, "windows": 5}
    for m in ("band", "first")
    for s, e in (("trained", 0.8), ("uniform", 0.3))
]


def everything():
    return {
        "masks": lambda: plots_attention.masks({"a": MASK, "b": ~MASK}, {"a": KINDS, "b": KINDS}),
        "bare masks": lambda: plots_attention.masks({"a": MASK}),
        "map": lambda: plots_attention.attention_map(WEIGHTS, MASK, tokens="abcd", kinds=KINDS),
        "bare map": lambda: plots_attention.attention_map(WEIGHTS, bar=False),
        "some queries": lambda: plots_attention.attention_map(
            WEIGHTS[1::2], MASK[1::2], tokens=["one", "two", "three", "four"], queries=[1, 3]
        ),
        "heads": lambda: plots_attention.heads(
            [torch.stack([WEIGHTS] * 2), WEIGHTS[None]], MASK, kinds=KINDS, band=MASK
        ),
        "measures": lambda: plots_attention.measures(ROWS),
    }


@pytest.mark.parametrize("name", everything())
def test_figures_are_small_and_have_no_title(name):
    drawn = everything()[name]()
    figure = drawn if hasattr(drawn, "savefig") else drawn.figure
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    assert len(file.getvalue()) < 150_000
    assert not any(ax.get_title() for ax in figure.axes)


def test_hidden_cells_are_gray_and_seen_ones_as_dark_as_their_weight():
    image = plots_attention.attention_map(WEIGHTS, MASK).images[0]
    assert np.array_equal(image.get_array().mask, ~MASK.numpy())
    assert image.get_clim() == (0, 1)
    gray = matplotlib.colors.to_rgba(plots_attention.HIDDEN)
    assert tuple(image.cmap(np.ma.array([0.5], mask=[True]))[0]) == pytest.approx(gray)
    brightness = [sum(image.cmap(w)[:3]) for w in (0.0, 0.2, 0.5, 0.8, 1.0)]
    assert brightness == sorted(brightness, reverse=True)


def test_the_words_stand_at_their_rows_and_columns():
    ax = plots_attention.attention_map(
        WEIGHTS[1::2], MASK[1::2], tokens="abcd", kinds=KINDS, queries=[1, 3]
    )
    assert [label.get_text() for label in ax.get_xticklabels()] == list("abcd")
    assert [label.get_text() for label in ax.get_yticklabels()] == ["b", "d"]
    inks = [label.get_color() for label in ax.get_xticklabels()]
    assert inks == [style.TOKEN_COLORS[kind][1] for kind in KINDS]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first query on top


def test_a_band_is_outlined_cell_by_cell():
    band = torch.eye(4).bool()
    ax = plots_attention.attention_map(WEIGHTS, MASK, band=band)
    cells = [p for p in ax.patches if p.get_facecolor()[3] == 0 and p.get_edgecolor()[3] > 0]
    assert [p.get_xy() for p in cells] == [(i - 0.5, i - 0.5) for i in range(4)]


def test_heads_share_one_scale_and_are_named():
    figure = plots_attention.heads([torch.stack([WEIGHTS] * 2), WEIGHTS[None]])
    shown = [ax for ax in figure.axes if ax.images and ax.get_xlabel().startswith("layer")]
    names = [ax.get_xlabel() for ax in shown]
    assert names == ["layer 0, head 0", "layer 0, head 1", "layer 1, head 0"]
    assert {ax.images[0].get_clim() for ax in shown} == {(0, 1)}


def test_measures_are_drawn_where_they_are():
    ax = plots_attention.measures(ROWS)
    points = [line for line in ax.lines if line.get_marker() not in ("None", "")]
    assert [float(p.get_xdata()[0]) for p in points] == [0.8, 0.3, 0.8, 0.3]
    bars = [line.get_xdata() for line in ax.lines if line.get_linewidth() == 2.5]
    assert np.allclose(bars[0], [0.7, 0.9])
    assert len({p.get_marker() for p in points}) == 2  # told apart without color, too
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["trained", "uniform"]


@pytest.mark.parametrize(
    ("draw", "word"),
    [
        (lambda: plots_attention.attention_map(WEIGHTS[None]), "of one head"),
        (lambda: plots_attention.attention_map(WEIGHTS, causal_mask(3)), "does not fit"),
        (lambda: plots_attention.attention_map(WEIGHTS, tokens="abc"), "4 columns"),
        (lambda: plots_attention.attention_map(WEIGHTS, kinds=KINDS[:3]), "4 columns"),
        (lambda: plots_attention.heads([WEIGHTS]), "each layer"),
        (lambda: plots_attention.masks({"a": MASK[None]}), "rows and columns"),
        (lambda: reading(WEIGHTS, "abc", "abc", KINDS[:3]), "3 tokens need"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_a_sentence(draw, word):
    with pytest.raises(ValueError, match=word):
        draw()


def test_the_animation_has_a_frame_a_token_and_thick_arcs_for_large_weights():
    weights = torch.tensor([[1.0, 0, 0], [0.9, 0.1, 0], [0, 1, 0]])
    html = reading(weights, ["<7>", "2", "4"], ["7", "7", "2"], KINDS[:3])._repr_html_()
    svg = ET.fromstring(html[html.index("<svg") : html.index("</svg>") + 6])
    space = "{http://www.w3.org/2000/svg}"
    assert svg.get("role") == "img" and "3 tokens" in svg.get("aria-label")
    frames = [g for g in svg.iter(f"{space}g") if g.get("class") == "frame"]
    assert [len(g.findall(f"{space}path")) for g in frames] == [1, 2, 1]
    wide, thin = [float(p.get("stroke-width")) for p in frames[1].findall(f"{space}path")]
    assert wide > 3 * thin
    said = [text.text for text in frames[2].findall(f"{space}text")]
    assert said == ["7", "7", "2"]
    assert (
        "prefers-reduced-motion" in html
        and "<script" not in html
        and "http" not in (html.replace("http://www.w3.org/2000/svg", ""))
    )
    assert len(html) < 40_000
