"""The picture of docs/search.md, from what the study found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from benchmarks.means import mean_of
from benchmarks.pictures import KEPT, LIMIT, without_box, write
from benchmarks.search_quality.curves import unrolled
from benchmarks.search_quality.strategies import BOARD, EXACT, PLAIN, RANDOM, SEEDED

_COLOURS = {SEEDED: KEPT, PLAIN: "#bf8700", RANDOM: "#6e7781", EXACT: "#1a7f37"}
_LEFT_OUT = 0.2
"""Of the lower end of the curves: what happens in the first evaluations would hide the rest."""


def draw(told: dict[str, Any], path: Path) -> None:
    """Writes the mean best score so far against evaluations, with 95 % intervals over seeds.

    Args:
        told: What the benchmark tells.
        path: The SVG file.
    """
    figure = Figure(figsize=(7.5, 4.2))
    axes = figure.subplots()
    budget = told["budget"]
    evaluations = np.arange(1, budget + 1)
    lowest = []
    for name, colour in _COLOURS.items():
        curves = [unrolled(rises, budget) for rises in told["strategies"][name]["curves"]]
        means = [mean_of(at) for at in zip(*curves, strict=True)]
        axes.plot(evaluations, [at.percent for at in means], color=colour, label=name)
        if len(curves) > 1:
            low, high = zip(*((at.low_percent, at.high_percent) for at in means), strict=True)
            axes.fill_between(evaluations, low, high, color=colour, alpha=0.15, linewidth=0)
        lowest.append(np.quantile([at.percent for at in means], _LEFT_OUT / 2))
    board = told["at_board_evaluations"].get(BOARD)
    if board:
        place = (told["board_evaluations"], board["best_percent"]["mean"])
        axes.plot(*place, "D", color=LIMIT, label=f"the board's {place[0]} paths")
        lowest.append(place[1] - 0.1)
    axes.set_ylim(bottom=min(lowest))
    axes.set_xlim(0, budget)
    axes.set_xlabel("networks scored")
    axes.set_ylabel("best score so far, %")
    axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=5, fontsize=8)
    without_box(axes)
    write(figure, path)
