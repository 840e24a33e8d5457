"""The pictures of docs/ranking.md, from what the study found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from benchmarks.pictures import KEPT, LIMIT, OTHER, without_box, write
from benchmarks.ranking.statistics import Agreement


def draw(told: dict[str, Any], folder: Path) -> None:
    """Writes `ranking-tau.svg` and `ranking-scores.svg`.

    Args:
        told: What the benchmark tells.
        folder: Where to.
    """
    write(_taus(told), folder / "ranking-tau.svg")
    write(_scores(told), folder / "ranking-scores.svg")


def _taus(told: dict[str, Any]) -> Figure:
    """A panel for each kind of pairs: all methods with their intervals, and the ceiling."""
    names = list(told["methods"])[::-1]
    kinds = list(told["methods"][names[0]]["tau"])
    figure = Figure(figsize=(3.1 * len(kinds) + 1.6, 0.4 * len(names) + 1.4))
    panels = np.atleast_1d(figure.subplots(1, len(kinds), sharey=True))
    for axes, kind in zip(panels, kinds, strict=True):
        for place, name in enumerate(names):
            found: Agreement = told["methods"][name]["tau"][kind]
            axes.plot(found.interval, [place] * 2, color=OTHER, linewidth=3, solid_capstyle="round")
            axes.plot(found.by_run, [place] * len(found.by_run), "|", color=KEPT)
            axes.plot(found.tau, place, "o", color=KEPT)
        ceiling = told["reliability"].get(kind)
        if ceiling:
            axes.axvline(ceiling["ceiling_tau"], color=LIMIT, linestyle="--")
        axes.axvline(0, color=OTHER, linewidth=0.8)
        axes.set_title(f"pairs: {kind}", fontsize=10)
        axes.set_xlim(-1, 1)
        without_box(axes)
    panels[0].set_yticks(range(len(names)), names)
    figure.supxlabel(
        "Kendall's tau with training alone, 95 % interval; dashed: a perfect predictor", fontsize=10
    )
    return figure


def _scores(told: dict[str, Any]) -> Figure:
    """What each hypernetwork says against the truth, by window of latency and input size."""
    truth = np.mean(told["alone_percent"], axis=0)
    networks = told["networks"]
    trained = {name: it for name, it in told["methods"].items() if it["core_seconds"]}
    windows = sorted({it["window"] for it in networks})
    figure = Figure(figsize=(2.7 * max(1, len(trained)) + 1, 2.9))
    panels = np.atleast_1d(figure.subplots(1, max(1, len(trained)), sharey=True))
    for axes, (name, method) in zip(panels, trained.items(), strict=False):
        scores = np.mean(method["scores"], axis=0)
        for size, marker in zip(sorted({_size(it) for it in networks}), "os", strict=False):
            for window, colour in zip(windows, (LIMIT, KEPT, OTHER), strict=False):
                some = [
                    i
                    for i, it in enumerate(networks)
                    if (it["window"], _size(it)) == (window, size)
                ]
                axes.plot(
                    scores[some],
                    truth[some],
                    marker,
                    color=colour,
                    label=f"{networks[some[0]]['latency_ms']:.1f} ms, {size} px" if some else None,
                )
        axes.set_title(f"{name}, tau {method['tau']['all'].tau:.2f}", fontsize=9)
        axes.set_xlabel("− log-loss, shared weights")
        without_box(axes)
    panels[0].set_ylabel("trained alone, test, %")
    panels[-1].legend(frameon=False, fontsize=7, loc="best")
    return figure


def _size(network: dict[str, Any]) -> int:
    return int(network["architecture"]["resolution"])
