"""The picture that stands for the book where a link to it is shown: book/_static/social-card.png.

    python book/_tools/social_card.py

1200 by 630 pixels, in the house style: an expert's way through a maze, beside the title.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from book_config import ROOT, load_config

CARD = ROOT / "book" / "_static" / "social-card.png"
SIZE = (1200, 630)
LARGEST = 150_000  # bytes
LEVEL = "GoToObjMazeS4"


def draw(path: Path) -> None:
    """Write the card."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    from seqrl import datasets, gridworld, style
    from seqrl.scenes import scene

    style.use_style()
    data = datasets.load(f"{LEVEL}/expert", episodes=60, progress=False)
    longest = scene(data, int(data.lengths.argmax()))
    figure = plt.figure(figsize=(SIZE[0] / 100, SIZE[1] / 100), dpi=100)
    figure.patch.set_facecolor(style.PAPER)
    world = figure.add_axes((0.53, 0.055, 0.45, 0.89))
    gridworld.draw(world, longest.maps[0], longest.poses[-1], path=longest.poses)
    title, _, _ = load_config(ROOT)["title"].partition("! ")
    first, _, second = title.partition(", ")
    words: dict[str, Any] = {"family": "STIXGeneral", "ha": "left", "color": style.INK}
    figure.text(0.05, 0.72, f"{first},", size=54, weight="bold", **words)
    figure.text(0.05, 0.585, second.rstrip("!") + "!", size=54, weight="bold", **words)
    figure.text(0.052, 0.45, "Sequence modeling in offline RL", size=29, **words)
    for i, (name, idea) in enumerate({"DT": "drives", "TT": "imagines", "LEAP": "refines"}.items()):
        at = 0.32 - 0.085 * i
        paint = {**words, "color": style.COLORS[name]}
        figure.text(0.052, at, name, size=30, weight="bold", **paint)
        figure.text(0.165, at, idea, size=30, **words)
    path.parent.mkdir(parents=True, exist_ok=True)
    with plt.rc_context({"savefig.bbox": "standard"}):  # not cut to what is drawn
        figure.savefig(path, dpi=100, metadata={"Software": None})
    plt.close(figure)


def main() -> int:
    draw(CARD)
    size = CARD.stat().st_size
    print(f"{CARD.relative_to(ROOT)}: {size / 1000:.0f} kB")
    return 0 if size < LARGEST else 1


if __name__ == "__main__":
    sys.exit(main())
