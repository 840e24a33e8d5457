"""The pictures of docs/measuring.md, from what `latency_accuracy.py` found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

_KEPT, _OTHER, _FLOOR = "#1f6feb", "#9aa4b2", "#d1242f"
_SAME_FILE = {"Date": None, "Creator": None}


def draw(told: dict[str, Any], folder: Path) -> list[Path]:
    """Writes `latency-error-<px>.svg` and `latency-cost-<px>.svg`.

    Args:
        told: The benchmark's JSON object, of a fresh table.
        folder: Where to.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {"error": _error_by_method(told), "cost": _cost_against_error(told)}
    paths = []
    for name, figure in pictures.items():
        path = folder / f"latency-{name}-{told['resolution']}.svg"
        figure.savefig(path, format="svg", metadata=_SAME_FILE, bbox_inches="tight")
        paths.append(path)
    return paths


def _error_by_method(told: dict[str, Any]) -> Figure:
    methods = told["methods"]
    names = list(methods)[::-1]
    figure = Figure(figsize=(7.5, 0.42 * len(names) + 1.2))
    axes = figure.subplots()
    values = [methods[name]["mape_percent"] for name in names]
    kept = f"{told['method']}, calibrated"
    colours = [_KEPT if name == kept else _OTHER for name in names]
    bars = axes.barh([name.replace("_", " ") for name in names], values, color=colours)
    axes.bar_label(bars, fmt=" %.2f")
    floor = told["honesty"]["split_half_percent"]
    axes.axvline(floor, color=_FLOOR, linestyle="--", label=f"noise of the truth: {floor:.2f} %")
    axes.set_xscale("log")
    axes.set_xlabel(f"mean absolute error on {told['networks']} unseen networks, % (log scale)")
    axes.set_title(_title(told), loc="left", fontsize=10)
    axes.legend(frameon=False, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _cost_against_error(told: dict[str, Any]) -> Figure:
    figure = Figure(figsize=(7.5, 3.4))
    axes = figure.subplots()
    points = told["cost_against_error"]
    cost = [point["cost_s"] for point in points]
    axes.plot(cost, [p["mape_percent"] for p in points], "o-", color=_KEPT, label="mean")
    axes.plot(cost, [p["max_percent"] for p in points], "s--", color=_OTHER, label="largest")
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
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _title(told: dict[str, Any]) -> str:
    return f"{told['target']} at {told['resolution']} px on {told['device']}"
