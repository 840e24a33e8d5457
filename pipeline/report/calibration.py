"""How well the latency table predicts, against what counting MACs would have done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.records import Calibration
from pipeline.report.bars import Bar, bar_chart
from pipeline.report.blocks import Block, Cell, Row, Table, Text, columns
from pipeline.report.formatting import milliseconds, percent, plural


def against_flops(calibration: Calibration, fresh: Sequence[float]) -> list[Block]:
    """Sets the table's error beside that of a line through MACs alone.

    Args:
        calibration: Holds both errors, leave-one-out.
        fresh: Absolute errors in percent on networks that no fit had seen.
    """
    networks = plural(len(calibration.networks), "network")
    by_table, by_macs = calibration.mape_percent, calibration.flops_mape_percent
    bars = [
        Bar("latency table", by_table, percent(by_table), "bar-main"),
        Bar("MACs alone", by_macs, percent(by_macs), "bar-other"),
    ]
    if fresh:
        mean = sum(fresh) / len(fresh)
        bars.append(Bar("table, this run", mean, percent(mean), "bar-main"))
    figure = bar_chart(
        "The table against counting MACs",
        bars,
        unit="mean absolute error, %",
        table=Table(
            "Errors of latency predictions.",
            columns("Predictor", "#Mean absolute error", "#Largest", "Judged on"),
            tuple(_error_rows(calibration, fresh, networks)),
        ),
        caption=(
            "“Latency table” and “MACs alone” are leave-one-out: each calibration network predicted"
            f" by a fit on the others ({networks})."
        ),
    )
    facts = Table(
        "Calibration: latency = scale · sum of operators + offset + per block · blocks.",
        columns("What", "#Value"),
        (
            (Cell("scale"), Cell(f"{calibration.scale:.4f}")),
            (Cell("offset"), Cell(milliseconds(calibration.offset_ms))),
            (Cell("per block"), Cell(milliseconds(calibration.per_block_ms))),
            (Cell("stated uncertainty (relative)"), Cell(percent(100 * calibration.relative_std))),
            (Cell("calibration networks"), Cell(str(len(calibration.networks)))),
            (Cell("space, input, classes"),
             Cell(f"{calibration.space}, {calibration.resolution}², {calibration.num_classes}")),
        ),
    )  # fmt: skip
    return [_comparison(calibration), Row((figure, facts))]


def _comparison(calibration: Calibration) -> Text:
    table, flops = calibration.mape_percent, calibration.flops_mape_percent
    if table < flops:
        times = f", {flops / table:.1f} times as much" if table > 0 else ""
        return Text(
            f"The latency table errs by {percent(table)} on average; a line fitted to MACs alone by"
            f" {percent(flops)}{times}."
        )
    return Text(
        f"The latency table is no better than counting here: it errs by {percent(table)} on"
        f" average, a line fitted to MACs alone by {percent(flops)}.",
        tone="warn",
    )


def _error_rows(
    calibration: Calibration, fresh: Sequence[float], networks: str
) -> Iterator[tuple[Cell, ...]]:
    table, flops = calibration.mape_percent, calibration.flops_mape_percent
    largest = calibration.max_error_percent
    judged = Cell(f"{networks}, leave-one-out")
    yield (
        Cell("latency table"),
        Cell(percent(table), table),
        Cell(percent(largest), largest),
        judged,
    )
    yield (Cell("MACs alone"), Cell(percent(flops), flops), Cell("not recorded"), judged)
    if fresh:
        mean, most = sum(fresh) / len(fresh), max(fresh)
        yield (
            Cell("latency table, this run"),
            Cell(percent(mean), mean),
            Cell(percent(most), most),
            Cell(plural(len(fresh), "measurement") + " of unseen networks"),
        )
