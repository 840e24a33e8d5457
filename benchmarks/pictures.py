"""How the pictures of docs/ are written."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

KEPT, OTHER, LIMIT = "#1f6feb", "#9aa4b2", "#d1242f"
"""Colours: of what is looked at, of what it is set against, and of what cannot be passed."""


def without_box(axes: Axes) -> None:
    """Leaves the two axes of the frame."""
    axes.spines[["top", "right"]].set_visible(False)


def write(figure: Figure, path: Path) -> None:
    """Writes a figure as SVG, with neither date nor program in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nothing = {"Date": None, "Creator": None}
    figure.savefig(path, format="svg", metadata=nothing, bbox_inches="tight")
