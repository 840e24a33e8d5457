"""How single runs scatter: one histogram a network, on one scale."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from markupsafe import Markup

from pipeline.measure.statistics import LatencyStats
from pipeline.records.benchmark import BenchmarkResult
from pipeline.report.blocks import Cell, Column, Figure, LegendItem, Table
from pipeline.report.formatting import latency_words, milliseconds, plural, significant
from pipeline.report.formatting import limit_ms as asked_ms
from pipeline.report.percentiles import CONFIDENCE, bounds_words, percentiles
from pipeline.report.pictures import svg
from pipeline.report.pictures.svg import Frame, Panel
from pipeline.report.scale import Scale

_BINS = 44
_ROW_HEIGHT = 92.0
_WIDTHS = (900.0, 370.0)


def distribution(results: Sequence[BenchmarkResult], limit_ms: float | None) -> Figure:
    """Histograms of every timed run.

    Args:
        results: Successful results on one target, the chosen network's first.
        limit_ms: The latency limit there.
    """
    low, high = _range(results, limit_ms)
    edges = np.linspace(low, high, _BINS + 1)
    counts = [np.histogram(result.samples_ms, bins=edges)[0] for result in results]
    label = "Histograms of single runs. " + " ".join(
        f"{result.name}: {_statistics_words(result.latency_ms)}."
        for result in results
        if result.latency_ms
    )
    wide, narrow = (_draw(width, results, counts, edges, limit_ms, label) for width in _WIDTHS)
    return Figure(
        title="Every timed run",
        wide=wide,
        narrow=narrow,
        table=_table(results, counts, edges),
        legend=_legend(results, float(edges[0]), float(edges[-1]), limit_ms),
        caption=_caption(results, float(edges[-1])),
        full=True,
    )


def _range(results: Sequence[BenchmarkResult], limit_ms: float | None) -> tuple[float, float]:
    """From the fastest run to beyond nearly all: a few interrupted ones would hide the rest."""
    low = min(min(result.samples_ms) for result in results)
    longest = max(max(result.samples_ms) for result in results)
    most = max(float(np.quantile(result.samples_ms, 0.97)) for result in results)
    high = min(longest, low + 1.25 * (most - low))
    if limit_ms is not None and low < limit_ms < 2 * high:
        high = max(high, 1.03 * limit_ms)
    margin = 0.03 * (high - low) or 0.03 * high
    return max(low - margin, 0.0), high + margin


def _draw(
    width: float,
    results: Sequence[BenchmarkResult],
    counts: Sequence[np.ndarray[tuple[int, ...], np.dtype[np.intp]]],
    edges: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    limit_ms: float | None,
    label: str,
) -> Markup:
    left, right = 10.0, width - 10
    x = Scale(float(edges[0]), float(edges[-1]), left, right)
    bottom = _ROW_HEIGHT * len(results) + 14
    most = max(int(row.max()) for row in counts) or 1
    axis = Panel(left, 14, right, bottom, x, Scale(0, most, bottom, 14))
    parts = [_x_axis(axis)]
    for number, (result, row) in enumerate(zip(results, counts, strict=True)):
        base = 14 + _ROW_HEIGHT * (number + 1) - 6
        parts.append(_bars(x, base, row, edges, "bar-other" if result.is_reference else "bar-main"))
        parts.append(svg.line(left, base, right, base, "axis"))
        parts.append(svg.text(left, base - _ROW_HEIGHT + 22, _heading(result, width), "row-name"))
        parts.append(_statistics(x, base, result))
    if limit_ms is not None and edges[0] < limit_ms < edges[-1]:
        at = x(limit_ms)
        parts.append(svg.line(at, 14, at, bottom, "limit"))
        parts.append(svg.text(at - 4, 10, f"limit {asked_ms(limit_ms)}", "limit-label", "end"))
    return svg.picture(Frame(width, bottom + 46), label, *parts)


def _x_axis(panel: Panel) -> Markup:
    parts = []
    for tick in panel.x.ticks(max(3, round((panel.right - panel.left) / 90))):
        at = panel.x(tick)
        parts.append(svg.line(at, 14, at, panel.bottom, "grid"))
        parts.append(svg.text(at, panel.bottom + 16, significant(tick), "tick", "middle"))
    middle = (panel.left + panel.right) / 2
    parts.append(
        svg.text(middle, panel.bottom + 36, "latency of one run, ms", "axis-title", "middle")
    )
    return svg.group(parts)


def _heading(result: BenchmarkResult, width: float) -> str:
    words = f"{result.name} (reference)" if result.is_reference else result.name
    most = round(width / 9)
    return words if len(words) <= most else words[: most - 1] + "…"


def _bars(
    x: Scale,
    base: float,
    row: np.ndarray[tuple[int, ...], np.dtype[np.intp]],
    edges: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    css: str,
) -> Markup:
    tallest = int(row.max()) or 1
    bars = []
    for runs, start, end in zip(row.tolist(), edges.tolist(), edges.tolist()[1:], strict=False):
        if runs:
            height = (_ROW_HEIGHT - 36) * runs / tallest
            tip = f"{significant(start, 4)} to {significant(end, 4)} ms\n{plural(runs, 'run')}"
            bars.append(
                svg.rect(x(start) + 0.5, base - height, x(end) - x(start) - 1, height, css, tip)
            )
    return svg.group(bars)


def _statistics(x: Scale, base: float, result: BenchmarkResult) -> Markup:
    """Marks below the bars for the statistics the sample supports."""
    stats = result.latency_ms
    if stats is None:
        return Markup()
    named = [("typical", stats.typical, milliseconds(stats.typical))]
    named += [(p.name, p.ms, p.words) for p in percentiles(stats) if p.ms is not None]
    marks = []
    for name, value, words in named:
        if x.low <= value <= x.high:
            at = x(value)
            shape = [(at, base), (at - 5, base + 8), (at + 5, base + 8)]
            tip = svg.element("title", {}, f"{name} {words}")
            points = " ".join(f"{a:.1f},{b:.1f}" for a, b in shape)
            marks.append(svg.element("polygon", {"points": points, "class": f"stat-{name}"}, tip))
    return svg.group(marks)


def _statistics_words(stats: LatencyStats) -> str:
    known = [f"{p.name} {p.words}" for p in percentiles(stats) if p.ms is not None]
    return "; ".join([f"typical {milliseconds(stats.typical)}", *known])


def _legend(
    results: Sequence[BenchmarkResult], low: float, high: float, limit_ms: float | None
) -> tuple[LegendItem, ...]:
    named = (
        ("typical", "typical"),
        ("median", "median"),
        ("p90", "p90: 9 of 10 runs are faster"),
        ("p95", "p95: 95 of 100 runs are faster"),
        ("p99", "p99: 99 of 100 runs are faster"),
    )
    items = [
        LegendItem(f"stat-{name}", words)
        for name, words in named
        if any(low <= (getattr(r.latency_ms, name) or 0.0) <= high for r in results)
    ]
    if limit_ms is not None:
        items.append(LegendItem("limit", "limit"))
    return tuple(items)


def _caption(results: Sequence[BenchmarkResult], high: float) -> str:
    words = (
        "Bars count runs, each network's to its own height. A limit applies to the typical latency:"
        " single runs scatter above it when the machine does something else."
    )
    beyond = [
        f"{plural(sum(s > high for s in result.samples_ms), 'run')} of {result.name}, the longest"
        f" {milliseconds(max(result.samples_ms))}"
        for result in results
        if max(result.samples_ms) > high
    ]
    first = results[0]
    bounds = bounds_words(first.latency_ms) if first.latency_ms else ""
    if bounds:
        words += f" Of {first.name}, at {CONFIDENCE}: {bounds}."
    return f"{words} Beyond the right edge: {'; '.join(beyond)}." if beyond else words


def _table(
    results: Sequence[BenchmarkResult],
    counts: Sequence[np.ndarray[tuple[int, ...], np.dtype[np.intp]]],
    edges: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
) -> Table:
    titles = (
        Column("From, ms", numeric=True),
        Column("To, ms", numeric=True),
        *(Column(f"Runs of {result.name}", numeric=True) for result in results),
    )
    rows = []
    ends = edges.tolist()
    for index, (start, end) in enumerate(pairwise(ends)):
        runs = [int(row[index]) for row in counts]
        if any(runs):
            numbers = [Cell(significant(value, 4), value) for value in (start, end)]
            rows.append((*numbers, *(Cell(str(n), n) for n in runs)))
    beyond = [sum(sample > ends[-1] for sample in result.samples_ms) for result in results]
    if any(beyond):
        edge = Cell(significant(ends[-1], 4), ends[-1])
        rows.append((edge, Cell("longer"), *(Cell(str(n), n) for n in beyond)))
    named = "; ".join(
        f"{r.name} {latency_words(r.latency_ms)}, {plural(r.n, 'run')}"
        for r in results
        if r.latency_ms
    )
    return Table(f"Runs by latency. Typical: {named}.", titles, tuple(rows))
