"""Predicted against measured: each point's uncertainty, the noise, and the MACs-only baseline."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

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
from pipeline.report.cells import latency_cell, number_cell
from pipeline.report.foreign import foreign_words
from pipeline.report.formatting import (
    latency_words,
    milliseconds,
    percent,
    plural,
    plus_minus,
    signed_percent,
)
from pipeline.report.inputs import ReportInputs
from pipeline.report.missing import missing
from pipeline.report.pictures import svg
from pipeline.report.pictures.svg import HALF, Panel
from pipeline.report.scale import spread
from pipeline.report.sections.calibration import calibration_blocks, in_short
from pipeline.report.sections.points import WORDS, Origin, Point, points_on
from pipeline.report.summary import Summary

_TITLE = "Predicted against measured"


def section(inputs: ReportInputs, summary: Summary) -> Section:
    """Scatter, errors, how wrong predictions are, and what counting MACs would have done."""
    target = inputs.profile.target if inputs.profile else summary.target
    points = points_on(inputs, target) if target else []
    blocks: list[Block] = []
    if summary.foreign:
        blocks.append(Text(foreign_words(summary.foreign), "warn"))
    if inputs.profile is None:
        blocks.append(missing(inputs, "profile"))
    if points and target:
        noise = inputs.profile.calibration.honesty.split_half_percent if inputs.profile else None
        blocks += [
            Text(_words(points)),
            Row((_scatter(points, noise, target), _errors(points, noise, target))),
        ]
    if inputs.profile:
        blocks += calibration_blocks(inputs.profile.calibration, points, inputs.profile.target)
    return Section("prediction", _TITLE, "Prediction", tuple(blocks))


def short_section(inputs: ReportInputs, summary: Summary) -> Section:
    """The same without figures; a foreign table is told with the verdict."""
    if inputs.profile is None:
        return Section("prediction", _TITLE, "Prediction", (missing(inputs, "profile"),))
    target = inputs.profile.target
    words = Text(_words(points_on(inputs, target)))
    short = in_short(inputs.profile.calibration, target)
    return Section("prediction", _TITLE, "Prediction", (words, *short))


def _words(points: Sequence[Point]) -> str:
    fresh = [point for point in points if point.origin != "calibration"]
    if not fresh:
        return (
            "Nothing that this run predicted has been measured yet; calibration networks are"
            " predicted from each other."
        )
    errors = [abs(point.error_percent) for point in fresh]
    inside = sum(abs(p.predicted.typical - p.measured_ms) <= 2 * p.predicted.std for p in fresh)
    return (
        f"{plural(len(fresh), 'measurement')} made after the prediction: mean absolute error"
        f" {percent(sum(errors) / len(errors))}, largest {percent(max(errors))}. {inside} of"
        f" {len(fresh)} lie within twice the uncertainty stated with their prediction."
    )


def _scatter(points: Sequence[Point], noise_percent: float | None, target: str) -> Figure:
    ends = [p.predicted.typical + sign * p.predicted.std for p in points for sign in (1, -1)]
    counts = [(p.measured_ms, p.counted_ms) for p in points if p.counted_ms is not None]
    values = [*ends, *(p.measured_ms for p in points), *(ms for _, ms in counts)]
    domain = spread(values, margin=0.05, floor=0.0)
    panel = Panel.inside(HALF, domain, domain)
    low, high = (panel.at(end, end) for end in domain)
    counted = [panel.at(*pair) for pair in counts]
    parts = [
        *([_wedge(panel, noise_percent / 100)] if noise_percent else []),
        panel.axes("measured, ms", "predicted, ms"),
        svg.line(*low, *high, "diagonal"),
        *([svg.crosses(counted, "counted", size=2.8)] if counted else []),
        *(_mark(panel, p, p.predicted.typical, p.predicted.std) for p in points),
    ]
    return Figure(
        title="Latency, predicted and measured",
        wide=svg.picture(HALF, _label(points, "Predicted against measured latency"), *parts),
        table=_table(points, target),
        legend=_legend(points, noise_percent, "predicted = measured", with_counted=bool(counted)),
        caption=(
            "Points above the dashed line were faster than predicted, points below it slower."
            " The band is what two halves of the measurement disagree by: no predictor can be"
            " shown to be better."
        ),
    )


def _errors(points: Sequence[Point], noise_percent: float | None, target: str) -> Figure:
    largest = max([abs(p.error_percent) + p.std_percent for p in points] + [noise_percent or 0, 1])
    xs = spread([p.measured_ms for p in points], margin=0.08, floor=0.0)
    panel = Panel.inside(HALF, xs, (-1.08 * largest, 1.08 * largest))
    parts = []
    if noise_percent:
        top, bottom = panel.y(noise_percent), panel.y(-noise_percent)
        parts.append(
            svg.rect(panel.left, top, panel.right - panel.left, bottom - top, "noise-band")
        )
    parts.append(panel.axes("measured, ms", "error of the prediction, %"))
    parts.append(svg.line(panel.left, panel.y(0), panel.right, panel.y(0), "diagonal"))
    parts += [_mark(panel, point, point.error_percent, point.std_percent) for point in points]
    return Figure(
        title="Error of each prediction",
        wide=svg.picture(HALF, _label(points, "Relative error of predictions"), *parts),
        table=_table(points, target),
        legend=_legend(points, noise_percent, "no error", with_counted=False),
        caption=(
            "The same points: how far the prediction was from what was measured. About two of three"
            " vertical lines should reach the dashed one; fewer, and ± is too small."
        ),
    )


def _wedge(panel: Panel, relative: float) -> Markup:
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
    return svg.polygon([panel.at(x, y) for x, y in inside], "noise-band")


def _mark(panel: Panel, point: Point, value: float, std: float) -> Markup:
    """A point and, through it, its own uncertainty."""
    x, y = panel.at(point.measured_ms, value)
    bar = svg.line(x, panel.y(value - std), x, panel.y(value + std), "own-std")
    tip = svg.tip(
        WORDS[point.origin],
        point.name,
        f"predicted {latency_words(point.predicted)}",
        f"measured {plus_minus(point.measured_ms, point.measured_std_ms, 'ms')}"
        f" ({signed_percent(point.error_percent)})",
    )
    if point.origin == "calibration":
        shape = svg.disc(x, y, 3.6, "calibration", tip)
    elif point.origin == "verified":
        shape = svg.diamond(x, y, 5.5, "within", tip)
    else:
        shape = svg.rect(x - 4.5, y - 4.5, 9, 9, "benchmarked", tip)
    return svg.group((bar, shape))


def _legend(
    points: Sequence[Point], noise_percent: float | None, diagonal: str, *, with_counted: bool
) -> tuple[LegendItem, ...]:
    origins = {point.origin for point in points}
    marks: tuple[tuple[Origin, str], ...] = (
        ("calibration", "calibration"),
        ("verified", "within"),
        ("benchmark", "benchmarked"),
    )
    items = [LegendItem(mark, WORDS[origin]) for origin, mark in marks if origin in origins]
    items.append(LegendItem("own-std", "± its own stated uncertainty"))
    if with_counted:
        items.append(LegendItem("counted", "the same network by MACs alone"))
    items.append(LegendItem("diagonal", diagonal))
    if noise_percent:
        words = f"noise of the measurement itself ±{percent(noise_percent)} (split-half)"
        items.append(LegendItem("noise-band", words))
    return tuple(items)


def _label(points: Sequence[Point], title: str) -> str:
    worst = max(points, key=lambda point: abs(point.error_percent))
    return (
        f"{title} of {plural(len(points), 'network')}; the largest error is"
        f" {signed_percent(worst.error_percent)}. Numbers in the table."
    )


def _table(points: Sequence[Point], target: str) -> Table:
    titles = columns(
        "What", "#Predicted", "#Measured", "#Error", "#By MACs alone", "#… error", "Network"
    )
    rows = tuple(
        (
            Cell(WORDS[p.origin]),
            latency_cell(p.predicted),
            Cell(plus_minus(p.measured_ms, p.measured_std_ms, "ms"), p.measured_ms),
            Cell(signed_percent(p.error_percent), p.error_percent),
            number_cell(p.counted_ms, milliseconds),
            number_cell(p.counted_error_percent, signed_percent),
            Cell(p.name, code=True),
        )
        for p in points
    )
    caption = f"Predicted and measured latency on {target}, and what MACs alone would predict."
    return Table(caption, titles, rows)
