"""The pictures of docs/ranking.md, from what `ranking.py` found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from ranking_statistics import Agreement

_TAU, _CEILING, _RANGE = "#1f6feb", "#d1242f", "#9aa4b2"
_SAME_FILE = {"Date": None, "Creator": None}


def draw(told: dict[str, Any], folder: Path) -> list[Path]:
    """Writes `ranking-tau.svg` and `ranking-scores.svg`.

    Args:
        told: What the benchmark tells.
        folder: Where to.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, figure in {"tau": _taus(told), "scores": _scores(told)}.items():
        path = folder / f"ranking-{name}.svg"
        figure.savefig(path, format="svg", metadata=_SAME_FILE, bbox_inches="tight")
        paths.append(path)
    return paths


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
        axes.plot([low, high], [place, place], color=_RANGE, linewidth=3, solid_capstyle="round")
        axes.plot(found[name].tau_by_run, [place] * len(found[name].tau_by_run), "|", color=_TAU)
        axes.plot(found[name].tau, place, "o", color=_TAU)
    ceiling = told["ceiling"].tau
    axes.axvline(ceiling, color=_CEILING, linestyle="--", label=f"one seed alone: {ceiling:.2f}")
    axes.axvline(0, color=_RANGE, linewidth=0.8)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("Kendall's tau with training alone: mean, runs, 95 % interval over networks")
    axes.legend(frameon=False, loc="best")
    axes.spines[["top", "right"]].set_visible(False)
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
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("trained alone, %")
    figure.colorbar(points, ax=figure.axes, label="M MACs")
    return figure
