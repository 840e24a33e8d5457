"""The pictures of docs/measuring.md, from what the study found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.pictures import KEPT, LIMIT, OTHER, without_box, write


def draw(told: dict[str, Any], folder: Path) -> None:
    """Writes `latency-error-<px>.svg` and `latency-cost-<px>.svg`.

    Args:
        told: The benchmark's JSON object, of a fresh table.
        folder: Where to.
    """
    write(_error_by_method(told), folder / f"latency-error-{told['resolution']}.svg")
    write(_cost_against_error(told), folder / f"latency-cost-{told['resolution']}.svg")


def _error_by_method(told: dict[str, Any]) -> Figure:
    methods = told["methods"]
    names = list(methods)[::-1]
    figure = Figure(figsize=(7.5, 0.42 * len(names) + 1.2))
    axes = figure.subplots()
    values = [methods[name]["mape_percent"] for name in names]
    kept = f"{told['method']}, calibrated"
    colours = [KEPT if name == kept else OTHER for name in names]
    bars = axes.barh([name.replace("_", " ") for name in names], values, color=colours)
    axes.bar_label(bars, fmt=" %.2f")
    floor = told["honesty"]["split_half_percent"]
    axes.axvline(floor, color=LIMIT, linestyle="--", label=f"noise of the truth: {floor:.2f} %")
    axes.set_xscale("log")
    axes.set_xlabel(f"mean absolute error on {told['networks']} unseen networks, % (log scale)")
    axes.set_title(_title(told), loc="left", fontsize=10)
    axes.legend(frameon=False, loc="lower right")
    without_box(axes)
    return figure


def _cost_against_error(told: dict[str, Any]) -> Figure:
    figure = Figure(figsize=(7.5, 3.4))
    axes = figure.subplots()
    points = told["cost_against_error"]
    cost = [point["cost_s"] for point in points]
    axes.plot(cost, [p["mape_percent"] for p in points], "o-", color=KEPT, label="mean")
    axes.plot(cost, [p["max_percent"] for p in points], "s--", color=OTHER, label="largest")
    for point in points:
        axes.annotate(
            f"{point['calibration_networks']:.0f} networks",
            (point["cost_s"], point["mape_percent"]),
            xytext=(0, -14),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
    axes.set_ylim(bottom=0)
    axes.set_xlabel("measuring time of operators and calibration networks, s")
    axes.set_ylabel("error on unseen networks, %")
    axes.set_title(_title(told), loc="left", fontsize=10)
    axes.legend(frameon=False)
    without_box(axes)
    return figure


def _title(told: dict[str, Any]) -> str:
    return f"{told['target']} at {told['resolution']} px on {told['device']}"
