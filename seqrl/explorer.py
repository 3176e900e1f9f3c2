"""The explorer of maps on the page: choose method, layer, head and episode, point at a token.

Everything is in the page: maps as bytes, worlds as SVG, a script and a style of our own. Without
scripts there is a still picture of one map beside its episode.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from seqrl.animations import described, picture, unwound
from seqrl.episode_maps import Shown, row_of
from seqrl.gridworld import svg_element
from seqrl.player import Player, asset
from seqrl.plots_attention import HIDDEN, WEIGHTS
from seqrl.scenes import Scene
from seqrl.style import TOKEN_COLORS

LARGEST = 1_500_000  # bytes of a page's explorer
STILL = 14  # pixels of a cell in the still picture
NAMES = {"DT": "Decision Transformer", "TT": "Trajectory Transformer", "LEAP": "LEAP"}


def explorer(episodes: Sequence[tuple[Scene, Sequence[Shown]]]) -> Player:
    """The explorer of episodes, each with what every method read of it.

    ValueError where there is nothing to show, or more than fits a page.
    """
    if not episodes or not all(maps for _, maps in episodes):
        raise ValueError("an explorer needs at least one episode with maps.")
    data = {
        "kinds": TOKEN_COLORS, "ramp": WEIGHTS, "hidden": HIDDEN, "names": NAMES,
        "episodes": [_episode(scene, maps) for scene, maps in episodes],
    }  # fmt: skip
    packed = escape(json.dumps(data, separators=(",", ":"), ensure_ascii=False))
    worlds = "".join(_world(scene, i) for i, (scene, _) in enumerate(episodes))
    html = (
        '<div class="seqrl-explorer" role="group" aria-label="Explorer of attention maps. Choose '
        'method, layer, head and episode; arrow keys move from token to token." '
        f'data-maps="{packed}"><style>{asset("explorer.css")}</style>'
        f'<div class="choices" hidden>{"".join(map(_choice, CHOICES))}</div>'
        f'<div class="panes"><div class="worlds">{worlds}</div>'
        f'<div class="map">{_still(episodes[0][1][0])}</div></div>'
        '<div class="tokens" tabindex="0" role="listbox" aria-label="tokens" hidden></div>'
        '<p class="said" aria-live="polite">The map of one layer, and the episode that was read. '
        f"With scripts switched on, tokens can be chosen.</p><script>{asset('explorer.js')}"
        "</script></div>"
    )
    if len(html.encode()) > LARGEST:
        raise ValueError(f"{len(html.encode()) / 1e6:.1f} MB; a page's explorer may have 1.5.")
    return Player(html, f"{len(episodes)} episodes, {len(episodes[0][1])} methods")


CHOICES = ("method", "layer", "head", "episode")


def _choice(name: str) -> str:
    return f'<label>{name}<select class="{name}"></select></label>'


def _episode(scene: Scene, maps: Sequence[Shown]) -> dict[str, Any]:
    """What the script needs of an episode: its poses, and each method's tokens and maps."""
    return {
        "mission": scene.mission,
        "poses": unwound(scene.poses),
        "methods": {found.method: _maps(found) for found in maps},
    }


def _maps(found: Shown) -> dict[str, Any]:
    """Tokens, and for each layer: which tokens its rows are, what they see, and the heads' bytes.

    A weight w is the byte round(255 w). "sees" has a character for each cell, row by row.
    """
    layers = []
    for i, maps in enumerate(found.layers):
        weights = np.rint(255 * maps.weights[0].numpy(force=True)).astype(np.uint8)
        sees = maps.mask[0].numpy(force=True)
        layers.append(
            {
                "rows": list(row_of(found, i)),
                "sees": base64.b64encode(np.packbits(sees).tobytes()).decode(),
                "heads": [base64.b64encode(head.tobytes()).decode() for head in weights],
            }
        )
    return {"tokens": [list(token) for token in found.tokens], "layers": layers}


def _world(scene: Scene, i: int) -> str:
    """The episode's picture; only the first is there without the script."""
    label = f"{scene.mission}. {described(scene)}"
    return (
        f"<figure{' hidden' * (i > 0)}><figcaption>{escape(scene.mission)}</figcaption>"
        f"{svg_element(scene.maps[0], picture(scene), label)}</figure>"
    )


def _still(found: Shown) -> str:
    """The mean over heads of the last layer as an image."""
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.image import imsave

    maps = found.layers[-1]
    weights = np.ma.array(maps.weights[0].mean(0).numpy(force=True), mask=~maps.mask[0].numpy())
    ramp = LinearSegmentedColormap.from_list("weights", WEIGHTS).with_extremes(bad=HIDDEN)
    cells = ramp(weights / max(0.12, float(weights.max())), bytes=True)
    file = io.BytesIO()
    imsave(file, cells.repeat(STILL, 0).repeat(STILL, 1), format="png")
    label = f"Attention map of the last layer of {NAMES[found.method]}, rows are queries."
    source = base64.b64encode(file.getvalue()).decode()
    return f'<img class="still" alt="{label}" src="data:image/png;base64,{source}">'
