"""How well the latency table predicts, against what counting MACs would have done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.records.calibration import Calibration, Method
from pipeline.report.blocks import Block, Cell, Figure, Row, Table, Text, columns
from pipeline.report.cells import number_cell
from pipeline.report.formatting import milliseconds, percent, plural
from pipeline.report.pictures.bars import Bar, bar_chart
from pipeline.report.sections.honesty import honesty_table
from pipeline.report.sections.in_context import in_context_table
from pipeline.report.sections.points import Point

METHODS: dict[Method, str] = {
    "isolated": "each operator timed alone",
    "in_context": "operators' times read from the runtime inside networks",
}
_BAR_NAMES: dict[Method, str] = {"isolated": "timed alone", "in_context": "told in networks"}


def calibration_blocks(
    calibration: Calibration, points: Sequence[Point], target: str
) -> list[Block]:
    """The honesty block, the comparison with MACs alone, and what the fit found.

    Args:
        calibration: Holds the held-out errors.
        points: Calibration networks, and what was measured after it was predicted.
        target: What the table is of.
    """
    blocks: list[Block] = [*in_short(calibration, target)]
    blocks.append(Row((_errors_figure(calibration, points), _facts(calibration))))
    operators = in_context_table(calibration)
    return [*blocks, operators] if operators else blocks


def in_short(calibration: Calibration, target: str) -> list[Text | Table]:
    """The comparison and the method in words, and the honesty block."""
    return [
        _comparison(calibration),
        Text(_method_words(calibration)),
        honesty_table(calibration.honesty, target),
    ]


def _comparison(calibration: Calibration) -> Text:
    table, flops = calibration.honesty.mape_percent, calibration.honesty.flops_mape_percent
    if table < flops:
        times = f", {flops / table:.1f} times as much" if table > 0 else ""
        return Text(
            f"On networks that no fit had seen, the latency table errs by {percent(table)} on"
            f" average; a line fitted to MACs alone by {percent(flops)}{times}."
        )
    return Text(
        f"The latency table is no better than counting here: it errs by {percent(table)} on"
        f" average, a line fitted to MACs alone by {percent(flops)}.",
        tone="warn",
    )


def _method_words(calibration: Calibration) -> str:
    errors = {entry.method: entry.mape_percent for entry in calibration.methods}
    chosen = f"Chosen method: {METHODS[calibration.method]}"
    if calibration.method in errors:
        chosen += f", held-out error {percent(errors.pop(calibration.method), 2)}"
    if not errors:
        return f"{chosen}. No other could be tried on this target."
    others = "; ".join(f"{METHODS[name]}, {percent(e, 2)}" for name, e in errors.items())
    return (
        f"{chosen}. The other: {others}. The smaller error decides; being picked on these same"
        " networks flatters it a little."
    )


def _errors_figure(calibration: Calibration, points: Sequence[Point]) -> Figure:
    honesty = calibration.honesty
    others = [entry for entry in calibration.methods if entry.method != calibration.method]
    fresh = [abs(point.error_percent) for point in points if point.origin != "calibration"]
    bars = [_bar("latency table", honesty.mape_percent, "bar-main")]
    if fresh:
        bars.append(_bar("table, this run", sum(fresh) / len(fresh), "bar-main"))
    bars += [_bar(_BAR_NAMES[entry.method], entry.mape_percent, "bar-other") for entry in others]
    bars.append(_bar("MACs alone", honesty.flops_mape_percent, "bar-other"))
    bars.append(_bar("noise floor", honesty.split_half_percent, "bar-other"))
    method = "; ".join(f"“{_BAR_NAMES[entry.method]}”: the method not chosen" for entry in others)
    return bar_chart(
        "The table against counting MACs",
        bars,
        unit="mean absolute error, %",
        table=Table(
            "Errors of latency predictions.",
            columns("Predictor", "#Mean absolute error", "#Largest", "Judged on"),
            tuple(_error_rows(calibration, points)),
        ),
        caption=(
            f"Leave-one-out on {plural(honesty.networks, 'network')}: each predicted by a fit on"
            " the others. “Noise floor”: how far two halves of the measurement disagree"
            f"{'; ' if method else ''}{method}."
        ),
    )


def _bar(label: str, value: float, css: str) -> Bar:
    return Bar(label, value, percent(value), css)


def _error_rows(calibration: Calibration, points: Sequence[Point]) -> Iterator[tuple[Cell, ...]]:
    honesty = calibration.honesty
    judged = f"{plural(honesty.networks, 'network')}, leave-one-out"
    yield _row("latency table", honesty.mape_percent, honesty.max_percent, judged)
    for entry in calibration.methods:
        if entry.method != calibration.method:
            name = f"… with {METHODS[entry.method]}"
            yield _row(name, entry.mape_percent, entry.max_percent, judged)
    largest = max(_counted(points, fresh=False), default=None)
    yield _row("MACs alone", honesty.flops_mape_percent, largest, judged)
    fresh = [abs(point.error_percent) for point in points if point.origin != "calibration"]
    counted = _counted(points, fresh=True)
    for name, errors in (("latency table, this run", fresh), ("MACs alone, this run", counted)):
        if errors:
            judged = f"{plural(len(errors), 'measurement')} made after the prediction"
            yield _row(name, sum(errors) / len(errors), max(errors), judged)
    floor = "even against odd visits of each network"
    yield _row("noise floor (split-half)", honesty.split_half_percent, None, floor)


def _counted(points: Sequence[Point], *, fresh: bool) -> list[float]:
    """Absolute errors of the line through MACs alone, in percent."""
    of_these = (p.counted_error_percent for p in points if (p.origin != "calibration") == fresh)
    return [abs(error) for error in of_these if error is not None]


def _row(name: str, mean: float, largest: float | None, judged: str) -> tuple[Cell, ...]:
    return Cell(name), number_cell(mean, percent), number_cell(largest, percent), Cell(judged)


def _facts(calibration: Calibration) -> Table:
    networks = calibration.networks
    stated = [network.predicted_std_ms / network.predicted_ms for network in networks]
    mean_std = percent(100 * sum(stated) / len(stated)) if stated else "–"
    kind = f"{calibration.space}, {calibration.resolution}², {calibration.num_classes}"
    return Table(
        "Calibration: latency = operators in a network + offset + per block · blocks.",
        columns("~What", "#Value"),
        (
            (Cell("offset"), Cell(milliseconds(calibration.offset_ms))),
            (Cell("per block"), Cell(milliseconds(calibration.per_block_ms))),
            (
                Cell("what no sum of operators expresses"),
                Cell(percent(100 * calibration.misfit)),
            ),
            (Cell("stated uncertainty, mean"), Cell(mean_std)),
            (Cell("calibration networks"), Cell(str(len(networks)))),
            (Cell("deepest stage among them"), Cell(plural(calibration.max_depth, "block"))),
            (Cell("space, input, classes"), Cell(kind)),
        ),
    )
