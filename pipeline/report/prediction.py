"""Predicted against measured, with the table's own uncertainty and the FLOPs-only baseline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from pipeline.records import Calibration, LatencyPrediction
from pipeline.report import svg
from pipeline.report.blocks import (
    Block,
    Cell,
    Figure,
    LegendItem,
    Row,
    Section,
    Table,
    Text,
    columns,
)
from pipeline.report.calibration import against_flops
from pipeline.report.formatting import (
    notation,
    percent,
    plural,
    plus_minus,
    signed_percent,
)
from pipeline.report.inputs import ReportInputs, same_target
from pipeline.report.missing import missing
from pipeline.report.summary import Summary
from pipeline.report.svg import HALF, Panel

Origin = Literal["calibration", "verified", "benchmark"]
_WORDS: dict[Origin, str] = {
    "calibration": "calibration network (the fit has seen it)",
    "verified": "verified candidate",
    "benchmark": "benchmark",
}


@dataclass(frozen=True)
class Point:
    """A network with both latencies.

    Attributes:
        measured_std_ms: None where the record keeps none.
    """

    origin: Origin
    name: str
    predicted: LatencyPrediction
    measured_ms: float
    measured_std_ms: float | None

    @property
    def error_percent(self) -> float:
        """Of the prediction, relative to what was measured."""
        return 100 * (self.predicted.typical / self.measured_ms - 1)


def section(inputs: ReportInputs, summary: Summary) -> Section:
    """Scatter, errors, and what a line through MACs alone would have done."""
    target = inputs.profile.target if inputs.profile else summary.target
    points = list(_points(inputs, target)) if target else []
    blocks: list[Block] = []
    calibration = inputs.profile.calibration if inputs.profile else None
    if calibration is None:
        blocks.append(missing(inputs, "profile"))
    if points and target:
        relative_std = calibration.relative_std if calibration else None
        blocks += [
            Text(_words(points, calibration)),
            Row((_scatter(points, relative_std, target), _errors(points, relative_std, target))),
        ]
    if calibration:
        errors = [abs(p.error_percent) for p in points if p.origin != "calibration"]
        blocks += against_flops(calibration, errors)
    return Section("prediction", "Predicted against measured", "Prediction", tuple(blocks))


def _points(inputs: ReportInputs, target: str) -> Iterator[Point]:
    if inputs.profile:
        calibration = inputs.profile.calibration
        for network in calibration.networks:
            std = network.predicted_ms * calibration.relative_std
            guess = LatencyPrediction(typical=network.predicted_ms, std=std)
            yield Point(
                "calibration", notation(network.architecture), guess, network.measured_ms, None
            )
    for verified in inputs.verify.candidates if inputs.verify else ():
        candidate = verified.candidate
        measured, prediction = verified.measured_ms.get(target), candidate.latency_ms.get(target)
        if measured and prediction:
            name = notation(candidate.architecture)
            yield Point("verified", name, prediction, measured.typical, measured.std)
    yield from _benchmarked(inputs, target)


def _benchmarked(inputs: ReportInputs, target: str) -> Iterator[Point]:
    if inputs.benchmark is None:
        return
    here = inputs.benchmark.environment
    record = inputs.profile or inputs.verify
    machine = record.environment if record else here
    for result in inputs.benchmark.results:
        stats, prediction = result.latency_ms, result.predicted_ms
        if stats and prediction and same_target(result.target, here, target, machine):
            name = notation(result.architecture) if result.architecture else result.name
            yield Point("benchmark", name, prediction, stats.typical, stats.std)


def _scatter(points: Sequence[Point], relative_std: float | None, target: str) -> Figure:
    values = [v for p in points for v in (p.measured_ms, p.predicted.typical)]
    domain = svg.spread(values, margin=0.08, floor=0.0)
    panel = Panel.inside(HALF, domain, domain)
    parts = (
        [_wedge(panel, 2 * relative_std, "band-2"), _wedge(panel, relative_std, "band-1")]
        if relative_std
        else []
    )
    parts.append(panel.axes("measured, ms", "predicted, ms"))
    parts.append(
        svg.line(*panel.at(domain[0], domain[0]), *panel.at(domain[1], domain[1]), "diagonal")
    )
    parts += [_mark(panel, point, point.predicted.typical) for point in points]
    return Figure(
        title="Latency, predicted and measured",
        wide=svg.picture(HALF, _label(points, "Predicted against measured latency"), *parts),
        table=_table(points, target),
        legend=_legend(points, relative_std, "predicted = measured"),
        caption="Points above the dashed line were faster than predicted, points below it slower.",
    )


def _errors(points: Sequence[Point], relative_std: float | None, target: str) -> Figure:
    largest = max([abs(p.error_percent) for p in points] + [300 * (relative_std or 0.0), 1.0])
    xs = svg.spread([p.measured_ms for p in points], margin=0.08, floor=0.0)
    panel = Panel.inside(HALF, xs, (-1.08 * largest, 1.08 * largest))
    parts = []
    for factor, css in ((2, "band-2"), (1, "band-1")):
        if relative_std:
            top, bottom = (panel.y(sign * factor * 100 * relative_std) for sign in (1, -1))
            parts.append(svg.rect(panel.left, top, panel.right - panel.left, bottom - top, css))
    parts.append(panel.axes("measured, ms", "error of the prediction, %"))
    parts.append(svg.line(panel.left, panel.y(0), panel.right, panel.y(0), "diagonal"))
    parts += [_mark(panel, point, point.error_percent) for point in points]
    return Figure(
        title="Error of each prediction",
        wide=svg.picture(HALF, _label(points, "Relative error of predictions"), *parts),
        table=_table(points, target),
        legend=_legend(points, relative_std, "no error"),
        caption="The same points: how far the prediction was from what was measured.",
    )


def _wedge(panel: Panel, relative: float, css: str) -> Markup:
    """The band measured · (1 ± relative), cut off at the panel's edges."""
    low, high = panel.x.low, panel.x.high
    above, below = 1 + relative, max(1 - relative, 0.1)
    corners = (
        (low, low * above),
        (high / above, high),
        (high, high),
        (high, high * below),
        (low / below, low),
        (low, low),
    )
    inside = [(min(max(x, low), high), min(max(y, low), high)) for x, y in corners]
    return svg.polygon([panel.at(x, y) for x, y in inside], css)


def _mark(panel: Panel, point: Point, y_value: float) -> Markup:
    x, y = panel.at(point.measured_ms, y_value)
    tip = svg.tip(
        _WORDS[point.origin],
        point.name,
        f"predicted {plus_minus(point.predicted.typical, point.predicted.std, 'ms')}",
        f"measured {plus_minus(point.measured_ms, point.measured_std_ms, 'ms')}"
        f" ({signed_percent(point.error_percent)})",
    )
    if point.origin == "calibration":
        return svg.disc(x, y, 3.6, "calibration", tip)
    if point.origin == "verified":
        return svg.diamond(x, y, 5.5, "within", tip)
    return svg.rect(x - 4.5, y - 4.5, 9, 9, "benchmarked", tip)


def _legend(
    points: Sequence[Point], relative_std: float | None, diagonal: str
) -> tuple[LegendItem, ...]:
    origins = {point.origin for point in points}
    marks: tuple[tuple[Origin, str], ...] = (
        ("calibration", "calibration"),
        ("verified", "within"),
        ("benchmark", "benchmarked"),
    )
    items = [LegendItem(mark, _WORDS[origin]) for origin, mark in marks if origin in origins]
    items.append(LegendItem("diagonal", diagonal))
    if relative_std:
        items.append(LegendItem("band-1", f"stated uncertainty ±{percent(100 * relative_std)}"))
        items.append(LegendItem("band-2", "twice that"))
    return tuple(items)


def _label(points: Sequence[Point], title: str) -> str:
    worst = max(points, key=lambda point: abs(point.error_percent))
    return (
        f"{title} of {plural(len(points), 'network')}; the largest error is"
        f" {signed_percent(worst.error_percent)}. Numbers in the table."
    )


def _table(points: Sequence[Point], target: str) -> Table:
    rows = tuple(
        (
            Cell(_WORDS[p.origin]),
            Cell(plus_minus(p.predicted.typical, p.predicted.std, "ms"), p.predicted.typical),
            Cell(plus_minus(p.measured_ms, p.measured_std_ms, "ms"), p.measured_ms),
            Cell(signed_percent(p.error_percent), p.error_percent),
            Cell(p.name, code=True),
        )
        for p in points
    )
    titles = columns("What", "#Predicted", "#Measured", "#Error", "Network")
    return Table(f"Predicted and measured latency on {target}.", titles, rows)


def _words(points: Sequence[Point], calibration: Calibration | None) -> str:
    fresh = [point for point in points if point.origin != "calibration"]
    if not fresh:
        return "Nothing that was predicted beforehand has been measured yet."
    errors = [abs(point.error_percent) for point in fresh]
    words = (
        f"{plural(len(fresh), 'measurement')} of networks that no fit had seen:"
        f" mean absolute error {percent(sum(errors) / len(errors))},"
        f" largest {percent(max(errors))}."
    )
    if calibration:
        inside = sum(abs(p.error_percent) <= 200 * calibration.relative_std for p in fresh)
        words += f" {inside} of {len(fresh)} lie within twice the table's stated uncertainty."
    return words
