"""The house style: one palette, one background, one hand for every figure of the book.

The colors are Okabe and Ito's (https://jfly.uni-koeln.de/color/), safe for color-blind readers.
Thirteen names need more colors than their eight, of which yellow is too pale for a line: six others
stand in, chosen to stay apart from all others for red- and green-blind readers too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

PAPER = "#fcfcfa"  # opaque and nearly white, so that a figure reads the same on a dark page
INK = "#1f2933"
MUTED = "#66707c"
GRID = "#e4e5e3"
WIDTH = 6.5  # inches, of every figure that fills the column

ORANGE, SKY, GREEN = "#e69f00", "#56b4e9", "#009e73"
BLUE, VERMILLION, PURPLE = "#0072b2", "#d55e00", "#cc79a7"

COLORS: dict[str, str] = {
    "BC": ORANGE,
    "%BC": "#5c3a00",
    "RvS": "#5a46d6",
    "IQL": "#5a1a54",
    "fitted Q": "#b0103a",
    "CQL": "#95ac52",
    "DT": BLUE,
    "TT": VERMILLION,
    "LEAP": GREEN,
    "expert": SKY,
    "mixed": PURPLE,
    "random": "#5f6870",
    "optimum": "#000000",
}

# Pale fill and dark text of each kind of token, the same wherever tokens are drawn.
TOKEN_COLORS: dict[str, tuple[str, str]] = {
    "return": ("#fbe3b0", "#7a5200"),
    "state": ("#cfe6f7", "#004b78"),
    "action": ("#c9eade", "#00573f"),
    "reward": ("#f9d5c0", "#8c3b00"),
    "value": ("#f3dbe7", "#74305c"),
    "context": ("#e3e5e8", "#39424d"),
    "mask": ("#ffffff", "#00573f"),
}


STYLE: dict[Any, Any] = {
    "figure.figsize": (WIDTH, 3.2),
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "savefig.bbox": "tight",
    "savefig.pad_inches": 0.12,
    "svg.hashsalt": "seqrl",  # the same figure is the same file in every build
    "axes.facecolor": PAPER,
    "axes.edgecolor": "#b4b8bd",
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.labelpad": 6,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "font.size": 10.5,
    "axes.labelsize": 10.5,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "legend.fontsize": 10,
    "legend.frameon": False,
    "mathtext.fontset": "stix",
    "text.color": INK,
    "xtick.color": "#b4b8bd",
    "ytick.color": "#b4b8bd",
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "lines.linewidth": 2,
    "lines.solid_capstyle": "round",
    "lines.solid_joinstyle": "round",
    "patch.linewidth": 0,
    "image.interpolation": "none",
}


def use_style() -> None:
    """Set the house style for every later figure, and vector output inside a notebook.

    Changes matplotlib's `rcParams`, and outside IPython nothing else.
    """
    import matplotlib as mpl
    from cycler import cycler

    mpl.rcParams.update(STYLE | {"axes.prop_cycle": cycler(color=list(COLORS.values()))})
    _vector_output()


def _vector_output() -> None:
    try:
        from IPython.core.getipython import get_ipython
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ImportError:
        return
    if get_ipython() is not None:
        set_matplotlib_formats("svg", bbox_inches="tight", metadata={"Date": None})


def minus(number: str) -> str:
    """A formatted number as text has it, with a real minus sign."""
    return number.replace("-", "−")


def color(name: str, position: int = 0) -> str:
    """The color of a method or dataset: by its name, by its last part, or by its position."""
    last = name.rsplit("/", 1)[-1]
    spare = [BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY]
    return COLORS.get(name) or COLORS.get(last) or spare[position % len(spare)]


def colors(names: Iterable[str]) -> list[str]:
    """`color` of each name, in order."""
    return [color(name, i) for i, name in enumerate(names)]
