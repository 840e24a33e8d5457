"""The targets of a benchmark side by side: latency, throughput, what each computes in, by block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from pipeline.device.runtimes import REST
from pipeline.records.benchmark import BenchmarkRecord, BenchmarkResult, DeviceTiming
from pipeline.report.blocks import Block, Cell, Table, Text, columns
from pipeline.report.cells import NONE, error_cell, latency_cell, number_cell
from pipeline.report.formatting import integer, milliseconds, percent
from pipeline.report.inputs import ReportInputs
from pipeline.report.pictures.bars import Bar, bar_chart
from pipeline.report.pictures.network import tiles
from pipeline.report.summary import Summary

_FEWEST_BESIDE = 2


def target_blocks(inputs: ReportInputs, summary: Summary) -> Iterator[Block]:
    """The chosen network on each target, where there are several or a device has its own clock."""
    record = inputs.benchmark
    results = _of_chosen(record, summary)
    if record is None or not results:
        return
    if len(results) > 1:
        yield from _side_by_side(results)
    elif results[0].answers:
        same = percent(100 * results[0].answers.agreement, 1)
        yield Text(f"{_asked(results).strip()} {same} of them do.", "muted")
    yield from (
        Text(f"{result.target}: {words}", "muted") for result in results for words in result.notes
    )
    timed = [(result, result.device) for result in results if result.device]
    if timed:
        yield _device_table(timed)
    yield from (
        Text(f"{result.target}: {words}", "warn")
        for result, device in timed
        for words in device.warnings
    )


def is_told_beside(result: BenchmarkResult, results: Sequence[BenchmarkResult]) -> bool:
    """Whether a result is another target's of a model that the first target has too."""
    first = results[0]
    return (
        result.target != first.target
        and not result.is_reference
        and result.architecture == first.architecture
    )


def block_times(inputs: ReportInputs, summary: Summary) -> Table | None:
    """Milliseconds of each block of the chosen network by target, where several were profiled."""
    results = [result for result in _of_chosen(inputs.benchmark, summary) if result.layers_ms]
    if len(results) < _FEWEST_BESIDE or summary.architecture is None:
        return None
    placed = {tile.place: tile.label for tile in tiles(summary.architecture)}
    rows = [
        (Cell(place, code=True), Cell(label), *_times(results, place))
        for place, label in placed.items()
    ]
    rows.append((Cell("of no block"), Cell("between blocks"), *_times(results, REST)))
    sums = [sum(result.layers_ms.values()) for result in results]
    return Table(
        "Time of each block as the runtime's own profiler tells it, in a run of its own, which"
        " profiling makes slower: shares count, not sums. What belongs to no block is the runtime's"
        " own work and the profiler's.",
        columns("Place", "Operator", *(f"#{_setting(result)}" for result in results)),
        tuple(rows),
        totals=(
            Cell("profiled run"),
            Cell(""),
            *(Cell(milliseconds(total), total) for total in sums),
        ),
    )


def _of_chosen(record: BenchmarkRecord | None, summary: Summary) -> list[BenchmarkResult]:
    if record is None or summary.architecture is None:
        return []
    return [
        result
        for result in record.results
        if result.architecture == summary.architecture and not result.is_reference
    ]


def _side_by_side(results: Sequence[BenchmarkResult]) -> Iterator[Block]:
    main = results[0]
    table = Table(
        f"The chosen network on {len(results)} targets, timed in turn in one measurement. Images a"
        " second are those of calls one after the other."
        f"{_asked(results)}",
        columns("Where", "Computes as", "#Latency", f"#Against {_setting(main)}",
                "#Images a second", "#Answers as its file", "#Predicted", "#Error", "#Scatter",
                "#Timed runs", "~Failure"),
        tuple(_row(result, main) for result in results),
    )  # fmt: skip
    bars = [
        Bar(_engine(result), result.latency_ms.typical, milliseconds(result.latency_ms.typical))
        for result in results
        if result.latency_ms
    ]
    if bars:
        figure = bar_chart("Targets side by side", bars, unit="latency of a call, ms", table=table)
        yield replace(figure, shows_table=True)
    else:
        yield table


def _row(result: BenchmarkResult, main: BenchmarkResult) -> tuple[Cell, ...]:
    stats, guess, rate = result.latency_ms, result.predicted_ms, result.images_per_second
    name = Cell(result.target, code=True)
    if stats is None or rate is None:
        reason = Cell(result.error or "not timed", tone="bad")
        return (name, *[NONE] * 4, _agreement(result), *[NONE] * 4, reason)
    ratio = stats.typical / main.latency_ms.typical if main.latency_ms else None
    return (
        name,
        Cell(result.precision_as_built or "–"),
        latency_cell(stats),
        number_cell(ratio, "{:.2f} ×".format),
        Cell(integer(round(rate)), rate),
        _agreement(result),
        latency_cell(guess),
        error_cell(guess, stats),
        Cell(percent(100 * stats.cov), stats.cov),
        Cell(integer(stats.n), stats.n),
        Cell(""),
    )


def _asked(results: Sequence[BenchmarkResult]) -> str:
    images = next((result.answers.images for result in results if result.answers), None)
    if images is None:
        return ""
    return (
        f" Each engine was asked for {integer(images)} images of search-validation: how many get"
        " the same class as by the file it runs, in the ONNX standard's arithmetic."
    )


def _agreement(result: BenchmarkResult) -> Cell:
    if result.answers is None:
        return NONE
    share = result.answers.agreement
    return Cell(percent(100 * share, 1), share, tone="bad" if result.answers.wrong else "")


def _device_table(timed: Sequence[tuple[BenchmarkResult, DeviceTiming]]) -> Table:
    return Table(
        "The same runs by the device's own clock. Copying inputs and outputs is in no latency.",
        columns("Where", "#On the device", "#Until handed over", "#Inputs there", "#Outputs back",
                "Clock, MHz", "Temperature, °C", "Power, W", "~Slowed down by"),
        tuple(_device_row(result, device) for result, device in timed),
    )  # fmt: skip


def _device_row(result: BenchmarkResult, device: DeviceTiming) -> tuple[Cell, ...]:
    return (
        Cell(result.target, code=True),
        latency_cell(device.compute_ms),
        Cell(milliseconds(device.enqueue_ms), device.enqueue_ms),
        number_cell(device.to_device_ms, milliseconds),
        number_cell(device.to_host_ms, milliseconds),
        _range(device.clock_sm_mhz),
        _range(device.temperature_c),
        _range(device.power_w),
        Cell(", ".join(device.slowdown_reasons) or "nothing"),
    )


def _range(ends: tuple[float, float] | None) -> Cell:
    if ends is None:
        return Cell("not told", tone="muted")
    low, high = ends
    return Cell(f"{low:.0f}" if low == high else f"{low:.0f} to {high:.0f}", high)


def _times(results: Sequence[BenchmarkResult], place: str) -> tuple[Cell, ...]:
    return tuple(number_cell(result.layers_ms.get(place), milliseconds) for result in results)


def _setting(result: BenchmarkResult) -> str:
    return result.target.rpartition("/")[2]


def _engine(result: BenchmarkResult) -> str:
    """Runtime and precision: what there is room for beside a bar."""
    return "-".join(_setting(result).split("-")[:2])
