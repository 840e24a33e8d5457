"""A search drawn with letters: accuracy against predicted latency."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import plotext

from pipeline.records.search import SearchRecord
from pipeline.report import ReportInputs, summarise
from pipeline.report.formatting import limit_ms
from pipeline.report.scale import Scale
from pipeline.report.search_plot import Plotted, gather, latency_axis

FRONT_SIGN = "o"
_OVER_SIGN, _EXACT_SIGN, _PUBLISHED_SIGN, _BEST_SIGN = "!", "~", "*", "@"
# One a size there can be; signs and not colours alone, because a log file has none.
_SIZE_SIGNS = (".", "x", "+", "^", "v", "=", "%", "&")
_HEIGHT, _TICKS = 24, 6


@dataclass(frozen=True)
class TerminalPlot:
    """A plot for a terminal.

    Attributes:
        title: Above it.
        drawing: Lines of text, coloured by escape sequences.
        legend: Below it: what each sign means, and what is not drawn.
    """

    title: str
    drawing: str
    legend: tuple[str, ...]


def search_plot(record: SearchRecord, width: int) -> TerminalPlot:
    """Draws a search that scored something, against the latency of the target it was for.

    Args:
        record: The search.
        width: Characters in a line.
    """
    inputs = ReportInputs(name="", recipe={}, search=record)
    axis = latency_axis(record, record.target)
    plotted = gather(inputs, record, summarise(inputs), axis)
    legend = [", ".join(_key(plotted, axis.most))]
    if plotted.left_out:
        names = ", ".join(f"{mark.name} ({axis.show(mark.x)})" for mark in plotted.left_out)
        legend.append(f"Too far away to be drawn: {names}")
    return TerminalPlot(
        title=f"{axis.figure}: {plotted.y_title}",
        drawing=_draw(plotted, axis.most, width),
        legend=tuple(legend),
    )


def _draw(plotted: Plotted, limit: float | None, width: int) -> str:
    # The library draws one figure at a time, which is cleared of what was drawn before.
    plotext.clear_figure()
    plotext.limit_size(False, False)
    plotext.plot_size(width, _HEIGHT)
    plotext.theme("clear")
    plotext.xlim(*plotted.x)
    plotext.ylim(*plotted.y)
    for set_ticks, (low, high) in ((plotext.xticks, plotted.x), (plotext.yticks, plotted.y)):
        ticks = Scale(low, high, 0, 1).ticks(_TICKS)
        set_ticks(ticks, [f"{tick:g}" for tick in ticks])
    plotext.xlabel("predicted latency, ms")
    for sign, points in _clouds(plotted):
        _scatter(points, sign, "gray")
    if limit is not None:
        plotext.vertical_line(limit, color="red")
    _lines(plotted.exact, _EXACT_SIGN, "magenta")
    _scatter(plotted.front, FRONT_SIGN, "blue")
    scored = [(mark.x, mark.y) for mark in plotted.published if mark.y is not None]
    _scatter(scored, _PUBLISHED_SIGN, "orange")
    reach = (plotted.x[1] - plotted.x[0]) / width
    for mark in plotted.published:
        if mark.y is not None:
            plotext.text(mark.name, mark.x + 2 * reach, mark.y, color="orange", alignment="left")
    chosen = [(mark.x, mark.accuracy_percent) for mark in plotted.marks if mark.is_winner]
    _scatter(chosen, _BEST_SIGN, "green")
    return str(plotext.build())


def _clouds(plotted: Plotted) -> Iterator[tuple[str, list[tuple[float, float]]]]:
    over = [(dot.x, dot.y) for dot in plotted.cloud if not dot.within]
    yield _OVER_SIGN, over
    for place in range(len(plotted.sizes)):
        within = [(dot.x, dot.y) for dot in plotted.cloud if dot.within and dot.place == place]
        yield _SIZE_SIGNS[place], within


def _scatter(points: Sequence[tuple[float, float]], sign: str, color: str) -> None:
    if points:
        plotext.scatter([x for x, _ in points], [y for _, y in points], marker=sign, color=color)


def _lines(points: Sequence[tuple[float, float]], sign: str, color: str) -> None:
    """Steps: level until the next point is reached."""
    corners = [
        corner
        for (x, y), (_, before) in zip(points, [*points[:1], *points[:-1]], strict=True)
        for corner in ((x, before), (x, y))
    ]
    if corners:
        xs, ys = [x for x, _ in corners], [y for _, y in corners]
        plotext.plot(xs, ys, marker=sign, color=color)


def _key(plotted: Plotted, limit: float | None) -> Iterator[str]:
    several = len(plotted.sizes) > 1
    for place, size in enumerate(plotted.sizes):
        yield f"{_SIZE_SIGNS[place]} scored" + (f" at {size} px" if several else "")
    if any(not dot.within for dot in plotted.cloud):
        yield f"{_OVER_SIGN} scored, over a limit"
    yield f"{FRONT_SIGN} front"
    if plotted.exact:
        yield f"{_EXACT_SIGN} exact front of the surrogate"
    if any(mark.y is not None for mark in plotted.published):
        yield f"{_PUBLISHED_SIGN} published"
    yield f"{_BEST_SIGN} most accurate"
    if limit is not None:
        yield f"│ limit {limit_ms(limit)}"
