"""Curves of training and of the search: one panel above the other, or one alone."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from markupsafe import Markup

from pipeline.records.train import EpochRecord
from pipeline.report.blocks import Cell, Figure, Table, columns
from pipeline.report.cells import number_cell
from pipeline.report.formatting import percent, plural, significant
from pipeline.report.pictures import svg
from pipeline.report.pictures.svg import HALF, Frame, Panel
from pipeline.report.scale import Scale, spread

_TALL = Frame(420, 380)


def training_curves(title: str, epochs: Sequence[EpochRecord]) -> Figure:
    """Loss above, accuracy on search-validation below, by epoch; at least one epoch."""
    last = next((e for e in reversed(epochs) if e.accuracy_percent is not None), None)
    label = f"{title}: loss from {significant(epochs[0].loss)} to {significant(epochs[-1].loss)}"
    if last and last.accuracy_percent is not None:
        label += f", accuracy {percent(last.accuracy_percent)} after epoch {last.epoch}"
    numbers = [epoch.epoch for epoch in epochs]
    x = (float(min(numbers)), float(max(numbers))) if len(numbers) > 1 else spread(numbers)
    losses = [(float(e.epoch), e.loss) for e in epochs]
    scores = [
        (float(e.epoch), e.accuracy_percent) for e in epochs if e.accuracy_percent is not None
    ]
    if scores:
        upper = _panel(_TALL, x, losses, top=28, bottom=176)
        lower = _panel(_TALL, x, scores, top=222, bottom=_TALL.height - 44)
        parts = [
            upper.axes("", "mean training loss", whole_x=True),
            _curve(upper, losses, "curve-loss", "loss"),
            lower.axes("epoch", "top-1 on search-validation, %", whole_x=True),
            _curve(lower, scores, "curve-score", "%"),
        ]
    else:
        only = _panel(_TALL, x, losses, top=30, bottom=_TALL.height - 44)
        parts = [
            only.axes("epoch", "mean training loss", whole_x=True),
            _curve(only, losses, "curve-loss", "loss"),
        ]
    return Figure(title, svg.picture(_TALL, f"{label}.", *parts), _epoch_table(title, epochs))


def search_curve(hypervolume: Sequence[float]) -> Figure:
    """How much the front dominates, generation by generation; at least one."""
    points = [(float(i), 100 * share) for i, share in enumerate(hypervolume, start=1)]
    x = (1.0, float(len(points))) if len(points) > 1 else (0.5, 1.5)
    panel = _panel(HALF, x, points, top=30, bottom=HALF.height - 44)
    corners = [
        corner
        for (x0, y0), (x1, y1) in pairwise(points)
        for corner in ((x0, y0), (x1, y0), (x1, y1))
    ]
    label = (
        f"What the front dominates over {plural(len(points), 'generation')}, from"
        f" {percent(points[0][1])} to {percent(points[-1][1])}."
    )
    steps = (
        svg.polyline([panel.at(a, b) for a, b in corners], "curve-score") if corners else Markup()
    )
    marks = [
        svg.disc(*panel.at(a, b), 3.4, "curve-dot", f"generation {a:.0f}\n{percent(b, 2)}")
        for a, b in points
    ]
    axes = panel.axes("generation", "dominated by the front, %", whole_x=True)
    rows = tuple(
        (Cell(str(i), i), Cell(percent(100 * share, 2), share))
        for i, share in enumerate(hypervolume, start=1)
    )
    return Figure(
        title="The front by generation",
        wide=svg.picture(HALF, label, axes, steps, *marks),
        table=Table("Hypervolume of the front.", columns("#Generation", "#Dominated"), rows),
        caption=(
            "Hypervolume: the share of the rectangle from the slowest allowed latency to 0 and from"
            " guessing to certainty that some network found so far is at least as good as."
        ),
    )


def _panel(
    frame: Frame,
    x: tuple[float, float],
    points: Sequence[tuple[float, float]],
    *,
    top: float,
    bottom: float,
) -> Panel:
    left, right = 48.0, frame.width - 14
    y = spread([value for _, value in points], margin=0.08)
    return Panel(left, top, right, bottom, Scale(*x, left, right), Scale(*y, bottom, top))


def _curve(panel: Panel, points: Sequence[tuple[float, float]], css: str, unit: str) -> Markup:
    at = [panel.at(x, y) for x, y in points]
    curve = svg.polyline(at, css)
    # Beyond a few dozen epochs dots would be a second, thicker line; the ends still get theirs.
    ends = range(len(at)) if len(at) <= 40 else (0, len(at) - 1)
    marks = [
        svg.disc(
            *at[i],
            3.2,
            "curve-dot",
            f"epoch {points[i][0]:.0f}\n{significant(points[i][1])} {unit}",
        )
        for i in ends
    ]
    return svg.group((curve, *marks))


def _epoch_table(title: str, epochs: Sequence[EpochRecord]) -> Table:
    rows = tuple(
        (
            Cell(str(e.epoch), e.epoch),
            Cell(significant(e.loss), e.loss),
            number_cell(e.accuracy_percent, lambda accuracy: percent(accuracy, 2)),
            Cell(f"{e.learning_rate:.3g}", e.learning_rate),
            Cell(f"{e.images_per_second:.0f}", e.images_per_second),
        )
        for e in epochs
    )
    titles = columns(
        "#Epoch", "#Loss", "#Top-1 on search-validation", "#Learning rate", "#Images/s"
    )
    return Table(f"{title}, epoch by epoch.", titles, rows)
