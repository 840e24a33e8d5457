"""Where the chosen network's time goes: each block's, predicted and measured, up to the total."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.device.runtimes import REST
from pipeline.records.benchmark import BenchmarkResult
from pipeline.records.calibration import Calibration
from pipeline.report.blocks import Block, Cell, Figure, LegendItem, Missing, Table, Text, columns
from pipeline.report.cells import NONE, number_cell
from pipeline.report.formatting import milliseconds, percent
from pipeline.report.inputs import ReportInputs
from pipeline.report.limits import benchmark_of
from pipeline.report.missing import missing
from pipeline.report.pictures.network import tiles
from pipeline.report.pictures.waterfall import NARROW, WIDE, Bars, Step, draw
from pipeline.report.summary import Summary
from pipeline.space.architecture import Architecture

_NO_BLOCK = "of no block"
_LEFT_OVER = "left over"
# Of the total: below, what is left over is rounding and no bar of its own.
_ROUNDING = 1e-3
# Of a profiled run's time to an undisturbed one's: above, shares are the profiler's as well.
_DISTORTED = 1.5


@dataclass(frozen=True)
class Times:
    """One latency taken apart.

    Attributes:
        by_place_ms: Of each block that is known, by its place; under `REST` what belongs to none.
        total_ms: Of the network.
    """

    by_place_ms: Mapping[str, float]
    total_ms: float

    @property
    def left_over_ms(self) -> float | None:
        """What the parts do not come to; None where that is rounding."""
        rest = self.total_ms - sum(self.by_place_ms.values())
        return rest if abs(rest) > _ROUNDING * self.total_ms else None


def waterfall_blocks(inputs: ReportInputs, summary: Summary) -> Iterator[Block]:
    """The waterfall, and for what it lacks the reason and the command to get it."""
    architecture, target = summary.architecture, summary.target
    if architecture is None or target is None:
        return
    result = benchmark_of(inputs, architecture, target)
    predicted = predicted_times(inputs, summary, architecture)
    measured = measured_times(result) if result else None
    if predicted or measured:
        steps = _steps(architecture, predicted, measured)
        yield _figure(steps, predicted, measured, summary)
    if predicted is None:
        yield _why_not_predicted(inputs)
    if measured is None:
        yield _why_not_measured(inputs, result)
    elif result:
        yield _measured_words(result, measured)


def predicted_times(
    inputs: ReportInputs, summary: Summary, architecture: Architecture
) -> Times | None:
    """What the calibrated table predicts of each block; None where it does not know them all."""
    calibration = inputs.profile.calibration if inputs.profile else None
    if calibration is None or summary.predicted_ms is None or not _is_of(calibration, architecture):
        return None
    scale = inputs.search.table_scale.get(summary.target or "", 1.0) if inputs.search else 1.0
    found = {REST: scale * calibration.offset_ms}
    for placed in architecture.operators():
        in_network_ms = calibration.in_context_ms.get(placed.spec.key)
        if in_network_ms is None:
            return None
        chosen_ms = calibration.per_block_ms if placed.choice else 0.0
        found[placed.place] = scale * (in_network_ms + chosen_ms)
    return Times(found, summary.predicted_ms.typical)


def measured_times(result: BenchmarkResult) -> Times | None:
    """The measured latency by the shares that the profiled run tells; None without such a run.

    Profiling makes every run slower, so its times are no times of the network, and what they add up
    to is not its latency: only their shares are used.
    """
    profiled_ms = sum(result.layers_ms.values())
    if result.latency_ms is None or not profiled_ms:
        return None
    factor = result.latency_ms.typical / profiled_ms
    shares = {place: factor * ms for place, ms in result.layers_ms.items()}
    return Times(shares, result.latency_ms.typical)


def _is_of(calibration: Calibration, architecture: Architecture) -> bool:
    return (calibration.space, calibration.resolution, calibration.num_classes) == (
        architecture.space,
        architecture.resolution,
        architecture.num_classes,
    )


def _steps(
    architecture: Architecture, predicted: Times | None, measured: Times | None
) -> tuple[Step, ...]:
    def at(place: str) -> tuple[float | None, float | None]:
        return (
            predicted.by_place_ms.get(place) if predicted else None,
            measured.by_place_ms.get(place) if measured else None,
        )

    left_over = (
        predicted.left_over_ms if predicted else None,
        measured.left_over_ms if measured else None,
    )
    steps = [Step(t.label, t.stage, t.place, t.css, *at(t.place)) for t in tiles(architecture)]
    steps.append(Step(_NO_BLOCK, "", "", "t-none", *at(REST)))
    if any(left_over):
        steps.append(Step(_LEFT_OVER, "", "", "t-none", *left_over))
    return tuple(steps)


def _figure(
    steps: Sequence[Step], predicted: Times | None, measured: Times | None, summary: Summary
) -> Figure:
    bars = Bars(
        tuple(steps),
        predicted.total_ms if predicted else None,
        measured.total_ms if measured else None,
        summary.limit_ms,
    )
    label = _label(bars)
    return Figure(
        title=f"Where the time goes, on {summary.target}",
        wide=draw(WIDE, bars, label),
        narrow=draw(NARROW, bars, label),
        table=_table(bars),
        legend=tuple(_legend(bars)),
        caption=_caption(bars),
        full=True,
    )


def _legend(bars: Bars) -> Iterator[LegendItem]:
    if bars.predicted_ms is not None:
        yield LegendItem("predicted-bar", "predicted, ms (outlined)")
    if bars.measured_ms is not None:
        yield LegendItem("measured-bar", "measured, ms (filled)")
    if bars.limit_ms is not None:
        yield LegendItem("limit", "limit")


def _label(bars: Bars) -> str:
    words = "Waterfall of the blocks' times in network order, each from where the one before ends."
    if bars.predicted_ms is not None:
        words += f" Predicted total {milliseconds(bars.predicted_ms)}."
    if bars.measured_ms is not None:
        words += f" Measured total {milliseconds(bars.measured_ms)}."
        slowest = max(bars.blocks, key=lambda step: step.measured_ms or 0.0)
        words += f" Slowest block, measured: {slowest.label} ({slowest.place})."
    return words + " Numbers in the table."


def _caption(bars: Bars) -> str:
    words = "Each bar begins where the one above ends; the last line is the whole network."
    if bars.predicted_ms is not None:
        words += (
            " Predicted: a block's time inside a network, from the latency table and its"
            f" calibration; “{_NO_BLOCK}” is the calibration's offset, what a network takes beyond"
            " its blocks."
        )
    if bars.measured_ms is not None:
        words += (
            " Measured: the measured latency, divided as the runtime's profiler divides a run of"
            f" its own; “{_NO_BLOCK}” is the runtime's work between blocks and the profiler's."
        )
    if any(step.label == _LEFT_OVER for step in bars.steps):
        words += (
            f" “{_LEFT_OVER}” is the difference between the sum and the total: the prediction was"
            " made with what had been measured of other networks, or with another table."
        )
    return words


def _table(bars: Bars) -> Table:
    kinds = ("predicted", "measured")
    times = [[getattr(step, f"{kind}_ms") for step in bars.steps] for kind in kinds]
    cells = zip(*(_cells(bars.steps, column) for column in times), strict=True)
    rows = tuple(
        (Cell(step.place or "–", code=bool(step.place)), Cell(step.label), *predicted, *measured)
        for step, (predicted, measured) in zip(bars.steps, cells, strict=True)
    )
    totals = (
        Cell("network"), Cell(""), _ms(bars.predicted_ms), Cell(""), Cell(""),
        _ms(bars.measured_ms), Cell(""), Cell(""),
    )  # fmt: skip
    titles = ["Place", "Operator"]
    for kind in kinds:
        titles += [f"#{kind.capitalize()}", "#~Of all blocks", "#~Up to here"]
    caption = "How long each block takes, its share of all blocks, and the sum so far."
    return Table(caption, columns(*titles), rows, totals=totals)


def _cells(steps: Sequence[Step], times_ms: Sequence[float | None]) -> Iterator[tuple[Cell, ...]]:
    """A step's time, its share of all blocks' and the sum so far."""
    blocks_ms = sum(ms or 0.0 for step, ms in zip(steps, times_ms, strict=True) if step.place)
    up_to_here_ms = 0.0
    for step, ms in zip(steps, times_ms, strict=True):
        if ms is None:
            yield (NONE,) * 3
            continue
        up_to_here_ms += ms
        share = 100 * ms / blocks_ms
        yield (
            _ms(ms),
            Cell(percent(share), share) if step.place else NONE,
            _ms(up_to_here_ms),
        )


def _ms(value: float | None) -> Cell:
    return number_cell(value, lambda ms: milliseconds(ms).replace("-", "−"))


def _measured_words(result: BenchmarkResult, measured: Times) -> Text:
    profiled_ms = sum(result.layers_ms.values())
    ratio = profiled_ms / measured.total_ms
    rest = percent(100 * result.layers_ms.get(REST, 0.0) / profiled_ms, 0)
    words = (
        f"The profiled run took {milliseconds(profiled_ms)}, {ratio:.2g} times the measured"
        f" {milliseconds(measured.total_ms)}; {rest} of it belongs to no block."
    )
    if ratio <= _DISTORTED:
        return Text(words, "muted")
    return Text(
        f"{words} So slow a profiler weighs on small blocks more than on large ones: believe the"
        " total, and of single blocks' measured times only the coarse order.",
        "warn",
    )


def _why_not_predicted(inputs: ReportInputs) -> Missing:
    if inputs.profile is None:
        return missing(inputs, "profile")
    return Missing(
        "What is predicted of single blocks is not shown: the profiled calibration is of another"
        " space or input size, lacks some of the network's operators, or no stage predicted it.",
        inputs.command("profile"),
    )


def _why_not_measured(inputs: ReportInputs, result: BenchmarkResult | None) -> Missing:
    if inputs.benchmark is None:
        return missing(inputs, "benchmark")
    if result is None or result.latency_ms is None:
        return Missing(
            "What single blocks take, measured, is not shown: the benchmark holds no time of the"
            " chosen network on the searched target.",
            inputs.command("benchmark"),
        )
    return Missing(
        f"What single blocks take, measured, is not shown: {result.target} told no times of"
        " layers. Measure on a runtime that does (onnxruntime, openvino, tensorrt).",
        inputs.command("benchmark"),
    )
