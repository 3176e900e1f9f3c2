"""Attention at work on the page: each token in turn reads those before it. SVG without a script."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import ArrayLike

from seqrl.animations import in_turn
from seqrl.player import Player
from seqrl.style import BLUE, INK, MUTED, PAPER, TOKEN_COLORS

STEP, BOX = 56, 46  # from token to token, and the side of one, in the units of the drawing
TOP, SECONDS = 120, 1.1  # where the boxes begin; how long each token reads


def reading(
    weights: ArrayLike, tokens: Sequence[str], outputs: Sequence[str], kinds: Sequence[str]
) -> Player:
    """One map (T, T), played query by query: arcs as thick as their weights, the output below.

    tokens, outputs: a short word each; kinds: a key of `TOKEN_COLORS` each. It stands still under
    the pointer or with the keyboard's focus on it. Readers who prefer reduced motion see the last
    query. ValueError where the numbers of tokens differ.
    """
    shares = np.asarray(weights, float)
    T = len(tokens)
    if shares.shape != (T, T) or len(outputs) != T or len(kinds) != T:
        raise ValueError(f"{T} tokens need a ({T}, {T}) map, {T} outputs and {T} kinds.")
    boxes = "".join(_box(i, word, kind) for i, (word, kind) in enumerate(zip(tokens, kinds)))
    frames = "".join(_frame(i, shares[i], outputs) for i in range(T))
    width, height = T * STEP + 60, TOP + BOX + 56
    label = f"Attention of {T} tokens, one after the other: arcs lead to what each reads."
    svg = (
        f'<svg viewBox="-50 0 {width} {height}" role="img" aria-label="{escape(label)}" '
        'xmlns="http://www.w3.org/2000/svg" style="width:100%;max-width:780px">'
        f'<rect x="-50" width="{width}" height="{height}" fill="{PAPER}"/>'
        f"{_text(-8, TOP + BOX / 2 + 5, 'sees', MUTED, anchor='end')}"
        f"{_text(-8, TOP + BOX + 40, 'says', MUTED, anchor='end')}{boxes}{frames}</svg>"
    )
    html = (
        f'<div class="seqrl-reading" tabindex="0">{in_turn("seqrl-reading", T, SECONDS)}{svg}</div>'
    )
    return Player(html, f"{T} tokens reading")


def _frame(i: int, shares: np.ndarray, outputs: Sequence[str]) -> str:
    """Token i reads: its edge, its arcs, and what the tokens up to it have said."""
    parts = [
        f'<rect x="{i * STEP}" y="{TOP}" width="{BOX}" height="{BOX}" rx="7" fill="none" '
        f'stroke="{INK}" stroke-width="2.5"/>'
    ]
    parts += [_arc(i, int(j), shares[j]) for j in np.flatnonzero(shares >= 0.02)]
    for k in range(i + 1):
        paint = INK if k == i else MUTED
        parts.append(_text(k * STEP + BOX / 2, TOP + BOX + 40, outputs[k], paint, bold=k == i))
    delay = f"animation-delay:{i * SECONDS:.1f}s"
    return f'<g class="frame" style="{delay}">{"".join(parts)}</g>'


def _arc(i: int, j: int, share: float) -> str:
    """From token i to token j, or a small loop where these are the same."""
    start, end, base = i * STEP + BOX / 2, j * STEP + BOX / 2, TOP - 3
    top = base - 24 - 7.5 * abs(i - j)
    bend = f"{start:g} {top:g} {end:g} {top:g}"
    if i == j:
        start, end, bend = (
            start - 9,
            end + 9,
            f"{start - 16:g} {top - 9:g} {end + 16:g} {top - 9:g}",
        )
    return (
        f'<path d="M{start:g} {base}C{bend} {end:g} {base}" fill="none" stroke="{BLUE}" '
        f'stroke-linecap="round" stroke-width="{1 + 6 * share:.1f}" '
        f'stroke-opacity="{0.35 + 0.65 * share:.2f}"/>'
    )


def _box(i: int, word: str, kind: str) -> str:
    paper, ink = TOKEN_COLORS[kind]
    return (
        f'<rect x="{i * STEP}" y="{TOP}" width="{BOX}" height="{BOX}" rx="7" fill="{paper}"/>'
        f"{_text(i * STEP + BOX / 2, TOP + BOX / 2 + 6, word, ink, bold=True)}"
    )


def _text(
    x: float, y: float, word: str, paint: str, bold: bool = False, anchor: str = "middle"
) -> str:
    weight = ' font-weight="bold"' * bold
    return (
        f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" font-family="sans-serif" '
        f'font-size="17" fill="{paint}"{weight}>{escape(word)}</text>'
    )
