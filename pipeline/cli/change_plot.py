"""Changes drawn with letters: each with its 95 % interval, beside the line of no change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import plotext

from pipeline.cli.terminal_plot import TerminalPlot
from pipeline.comparing.accuracies import AccuracyComparison
from pipeline.comparing.levels import Change
from pipeline.comparing.measurements import UNCHANGED
from pipeline.comparing.targets import TargetsComparison
from pipeline.report.scale import Scale, spread

_MOST_ROWS = 16
_TICKS = 6
# Title, both axes, tick labels and the axis' name.
_FRAME_LINES = 4
_RAW, _RELATIVE = "o", "x"
_COLORS = {_RAW: "blue", _RELATIVE: "orange"}


@dataclass(frozen=True)
class Interval:
    """A change with its interval, as one row.

    Attributes:
        label: Left of it; empty where it belongs to the row above.
        sign: What the change is drawn with.
    """

    label: str
    value: float
    low: float
    high: float
    sign: str


def latency_plot(found: TargetsComparison, width: int) -> TerminalPlot:
    """Draws the change of each subject, by itself and relative to the control network.

    Args:
        found: A comparison of at least one target.
        width: Characters in a line.
    """
    several = len(found.targets) > 1
    groups: list[tuple[bool, float, list[Interval]]] = []
    for record in found.targets:
        where = f", {_engine(record.first.target)}" if several else ""
        for subject in record.subjects:
            rows = [_interval(f"{subject.name}{where}", subject.raw, _RAW)]
            if subject.relative:
                rows.append(_interval("", subject.relative, _RELATIVE))
            changed = subject.verdict != UNCHANGED
            groups.append((changed, abs(subject.raw.percent), rows))
        if record.control:
            rows = [_interval(f"control network{where}", record.control, _RAW)]
            groups.append((False, 0.0, rows))
    shown, left_out = _first_rows(groups)
    legend = [
        f"{_RAW} as measured, {_RELATIVE} relative to the control network; lines: 95 % intervals"
    ]
    if left_out:
        legend.append(f"{left_out} more with smaller changes are not drawn")
    return TerminalPlot(
        "Latency: what B takes beyond A, %", _draw(shown, "%", width), tuple(legend)
    )


def accuracy_plot(accuracies: Sequence[AccuracyComparison], width: int) -> TerminalPlot:
    """Draws the difference of each accuracy.

    Args:
        accuracies: At least one.
        width: Characters in a line.
    """
    rows = [
        Interval(f"{it.what}, {it.split}", it.difference_points, it.low_points, it.high_points, "o")
        for it in accuracies
    ]
    return TerminalPlot(
        "Accuracy: B less A, percentage points",
        _draw(rows, "points", width),
        ("lines: 95 % intervals of what sampling the images explains",),
    )


def _engine(target: str) -> str:
    """Runtime and precision of a target."""
    return "-".join(target.rpartition("/")[2].split("-")[:2])


def _interval(label: str, change: Change, sign: str) -> Interval:
    return Interval(label, change.percent, change.low_percent, change.high_percent, sign)


def _first_rows(groups: Sequence[tuple[bool, float, list[Interval]]]) -> tuple[list[Interval], int]:
    """What there is room for: changes beyond noise first, then the largest; how many are not."""
    rows: list[Interval] = []
    ordered = sorted(groups, key=lambda group: group[:2], reverse=True)
    for number, (_, _, group) in enumerate(ordered):
        if len(rows) + len(group) > _MOST_ROWS:
            return rows, len(ordered) - number
        rows += group
    return rows, 0


def _draw(rows: Sequence[Interval], unit: str, width: int) -> str:
    # The library draws one figure at a time, which is cleared of what was drawn before.
    plotext.clear_figure()
    plotext.limit_size(False, False)
    plotext.plot_size(width, len(rows) + _FRAME_LINES)
    plotext.theme("clear")
    low, high = spread([0.0, *(it.low for it in rows), *(it.high for it in rows)])
    plotext.xlim(low, high)
    plotext.ylim(0.5, len(rows) + 0.5)
    ticks = Scale(low, high, 0, 1).ticks(_TICKS)
    plotext.xticks(ticks, [f"{tick:+g}" if tick else "0" for tick in ticks])
    heights = [float(len(rows) - index) for index in range(len(rows))]
    plotext.yticks(heights, [row.label for row in rows])
    plotext.xlabel(unit)
    plotext.vertical_line(0.0, color="gray")
    for height, row in zip(heights, rows, strict=True):
        color = _COLORS[row.sign]
        plotext.plot([row.low, row.high], [height, height], marker="─", color=color)
        plotext.scatter([row.value], [height], marker=row.sign, color=color)
    return str(plotext.build())
