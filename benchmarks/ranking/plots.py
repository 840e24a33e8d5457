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
    found: dict[str, Agreement] = {
        name: method["agreement"] for name, method in told["methods"].items()
    }
    found["fewer MACs first"] = told["fewer_macs"]
    names = list(found)[::-1]
    figure = Figure(figsize=(7.5, 0.4 * len(names) + 1.4))
    axes = figure.subplots()
    for place, name in enumerate(names):
        low, high = found[name].tau_interval
        axes.plot([low, high], [place, place], color=OTHER, linewidth=3, solid_capstyle="round")
        axes.plot(found[name].tau_by_run, [place] * len(found[name].tau_by_run), "|", color=KEPT)
        axes.plot(found[name].tau, place, "o", color=KEPT)
    ceiling = told["ceiling"].tau
    axes.axvline(ceiling, color=LIMIT, linestyle="--", label=f"one seed alone: {ceiling:.2f}")
    axes.axvline(0, color=OTHER, linewidth=0.8)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("Kendall's tau with training alone: mean, runs, 95 % interval over networks")
    axes.legend(frameon=False, loc="best")
    without_box(axes)
    return figure


def _scores(told: dict[str, Any]) -> Figure:
    truth = np.mean(told["alone_percent"], axis=0)
    methods = list(told["methods"].items())[:3]
    figure = Figure(figsize=(2.7 * len(methods), 2.9))
    for axes, (name, method) in zip(
        np.atleast_1d(figure.subplots(1, len(methods), sharey=True)), methods, strict=True
    ):
        shared = np.mean(method["hypernetwork_percent"], axis=0)
        points = axes.scatter(shared, truth, c=np.array(told["macs"]) / 1e6, s=18, cmap="viridis")
        axes.set_title(f"{name}, tau {method['agreement'].tau:.2f}", fontsize=10)
        axes.set_xlabel("shared weights, %")
        without_box(axes)
    figure.axes[0].set_ylabel("trained alone, %")
    figure.colorbar(points, ax=figure.axes, label="M MACs")
    return figure
