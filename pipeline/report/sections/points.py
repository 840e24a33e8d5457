"""Networks with both latencies, predicted and measured, from whichever stage has both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.latency.honesty import left_out_line, line_on_macs
from pipeline.records.calibration import Calibration
from pipeline.records.candidates import LatencyPrediction
from pipeline.report.formatting import notation
from pipeline.report.inputs import ReportInputs, same_target
from pipeline.space.encoding import Floats

Origin = Literal["calibration", "verified", "benchmark"]
WORDS: dict[Origin, str] = {
    "calibration": "calibration network, predicted from the others",
    "verified": "verified candidate",
    "benchmark": "benchmark",
}
# A line has two parameters, and leave-one-out takes a network away.
_FEWEST_FOR_A_LINE = 3
_Line = Callable[[int], float]


@dataclass(frozen=True)
class Point:
    """A network that was predicted before it was measured, or without its own measurement.

    Attributes:
        measured_std_ms: None where the record keeps none.
        counted_ms: What a line through MACs alone predicts; None without one.
    """

    origin: Origin
    name: str
    predicted: LatencyPrediction
    measured_ms: float
    measured_std_ms: float | None
    counted_ms: float | None

    @property
    def error_percent(self) -> float:
        """Of the prediction, relative to what was measured."""
        return 100 * (self.predicted.typical / self.measured_ms - 1)

    @property
    def std_percent(self) -> float:
        """The prediction's uncertainty, likewise."""
        return 100 * self.predicted.std / self.measured_ms

    @property
    def counted_error_percent(self) -> float | None:
        """Of the line through MACs alone."""
        return None if self.counted_ms is None else 100 * (self.counted_ms / self.measured_ms - 1)


def points_on(inputs: ReportInputs, target: str) -> list[Point]:
    """All networks with both latencies on a target, calibration networks first."""
    calibration = inputs.profile.calibration if inputs.profile else None
    line = _line(calibration) if calibration else None
    calibrated = _calibrated(calibration) if calibration else ()
    return [*calibrated, *_verified(inputs, target, line), *_benchmarked(inputs, target, line)]


def _calibrated(calibration: Calibration) -> Iterator[Point]:
    counted = _left_out(calibration)
    for network, counted_ms in zip(calibration.networks, counted, strict=True):
        guess = LatencyPrediction(typical=network.predicted_ms, std=network.predicted_std_ms)
        name = notation(network.architecture)
        yield Point("calibration", name, guess, network.measured_ms, None, counted_ms)


def _verified(inputs: ReportInputs, target: str, line: _Line | None) -> Iterator[Point]:
    for verified in inputs.verify.candidates if inputs.verify else ():
        candidate = verified.candidate
        measured, guess = verified.measured_ms.get(target), candidate.latency_ms.get(target)
        if measured and guess:
            name = notation(candidate.architecture)
            counted = line(candidate.macs) if line else None
            yield Point("verified", name, guess, measured.typical, measured.std, counted)


def _benchmarked(inputs: ReportInputs, target: str, line: _Line | None) -> Iterator[Point]:
    if inputs.benchmark is None:
        return
    here = inputs.benchmark.environment
    record = inputs.profile or inputs.verify
    machine = record.environment if record else here
    for result in inputs.benchmark.results:
        stats, guess = result.latency_ms, result.predicted_ms
        if stats and guess and same_target(result.target, here, target, machine):
            name = notation(result.architecture) if result.architecture else result.name
            counted = line(result.macs) if line and result.macs is not None else None
            yield Point("benchmark", name, guess, stats.typical, stats.std, counted)


def _left_out(calibration: Calibration) -> Sequence[float | None]:
    if len(calibration.networks) < _FEWEST_FOR_A_LINE:
        return [None] * len(calibration.networks)
    return [float(ms) for ms in left_out_line(*_macs_and_ms(calibration))]


def _line(calibration: Calibration) -> _Line | None:
    """The line through MACs of all calibration networks, for networks that are none of them."""
    if len(calibration.networks) < _FEWEST_FOR_A_LINE:
        return None
    slope, intercept = line_on_macs(*_macs_and_ms(calibration)).tolist()
    return lambda macs: slope * macs + intercept


def _macs_and_ms(calibration: Calibration) -> tuple[Floats, Floats]:
    networks = calibration.networks
    return (
        np.array([float(network.macs) for network in networks]),
        np.array([network.measured_ms for network in networks]),
    )
