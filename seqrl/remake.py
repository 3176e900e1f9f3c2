"""Every table and figure of chapters 6 and 7 that records make: `make results` writes them.

`python -m seqrl.remake FOLDER` makes them by the functions that the pages call. What a page
measures live, on models that it loads or trains, is not among them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from seqrl import (
    distance,
    inside_studies,
    plots,
    plots_inside,
    plots_verdict,
    plots_worlds,
    results,
    scorecard,
    verdict,
)
from seqrl.results import Row

Table = Callable[[Sequence[Row]], list[dict[str, str]]]
TABLES: Mapping[str, Mapping[str, Table]] = {
    "06-inside": {
        "last-layers": inside_studies.last_layers,
        "interventions": inside_studies.interventions,
        "even-maps": inside_studies.even_maps,
        "key": inside_studies.key,
    },
    "07-verdict": {
        "over-levels": verdict.over_levels,
        "every-run": verdict.every_run,
        "lost-and-won": verdict.lost_and_won,
        "tally": verdict.tally,
        "scorecard": scorecard.table,
    },
}
FIGURES: Mapping[str, Mapping[str, Callable[[Sequence[Row]], Any]]] = {
    "06-inside": {"key": plots_inside.key},
    "07-verdict": {
        "filter": plots_verdict.filters,
        "worlds": plots_worlds.beside,
        "cost": plots_verdict.cost,
        "quality": plots_verdict.quality,
        "amount": plots_verdict.amount,
        "late": plots_verdict.delayed,
        "horizon": distance.figure,
        "strangers": plots_worlds.unlike,
        "published": plots_verdict.papers,
    },
}


def write(records: Sequence[Row], folder: Path) -> list[Path]:
    """All tables (Markdown) and figures (SVG), in a folder for each page, by their names there."""
    import matplotlib.pyplot as plt

    plots.use_style()
    files = []
    for page, tables in TABLES.items():
        for name, rows in tables.items():
            files.append(folder / page / f"{name}.md")
            results.write_whole(files[-1], (results.markdown(rows(records)) + "\n").encode())
    for page, figures in FIGURES.items():
        for name, draw in figures.items():
            draw(records)
            files.append(folder / page / f"{name}.svg")
            plt.savefig(files[-1], metadata={"Date": None})
            plt.close()
    return files


def main(arguments: Sequence[str] | None = None) -> None:
    """The command behind `make results`."""
    parser = argparse.ArgumentParser(prog="seqrl.remake", description="Write tables and figures.")
    parser.add_argument("folder", type=Path, help="to write into, a folder a page")
    parser.add_argument("--records", type=Path, default=results.shipped(), help="of the runs")
    parsed = parser.parse_args(arguments)
    for path in write(results.read_all(parsed.records), parsed.folder):
        print(path)


if __name__ == "__main__":
    main()
