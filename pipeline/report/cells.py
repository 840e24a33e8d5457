"""Cells that several tables have, and the dash for what there is none of."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pipeline.measure.statistics import LatencyStats
from pipeline.records.candidates import Candidate, LatencyPrediction
from pipeline.records.search import SearchRecord
from pipeline.records.verify import VerifiedCandidate
from pipeline.report.blocks import Cell
from pipeline.report.formatting import latency_words, percent, plus_minus, signed_percent

NONE = Cell("–")
Number = TypeVar("Number", bound=float)


def number_cell(value: Number | None, show: Callable[[Number], str]) -> Cell:
    """A number in words, by which its column is sorted; a dash where there is none."""
    return NONE if value is None else Cell(show(value), value)


def latency_cell(latency: LatencyPrediction | LatencyStats | None) -> Cell:
    """A latency with its standard uncertainty."""
    return Cell(latency_words(latency), latency.typical) if latency else NONE


def error_cell(predicted: LatencyPrediction | None, measured: LatencyStats | None) -> Cell:
    """Error of a prediction, relative to what was measured."""
    if predicted is None or measured is None:
        return NONE
    return number_cell(100 * (predicted.typical / measured.typical - 1), signed_percent)


def accuracy_cell(candidate: Candidate, unknown: str = "–") -> Cell:
    """Top-1 with shared weights."""
    accuracy = candidate.accuracy_percent
    return Cell(unknown if accuracy is None else percent(accuracy), accuracy)


def expected_cell(search: SearchRecord, candidate: Candidate) -> Cell:
    """Top-1 with shared weights that is expected of a candidate of the search."""
    accuracy, std_nats = search.expected_percent(candidate), candidate.expected_std_nats
    if accuracy is None or search.scale is None or std_nats is None:
        return number_cell(accuracy, percent)
    return Cell(plus_minus(accuracy, search.scale.percent_per_nat * std_nats, "%"), accuracy)


def predicted_cell(candidate: Candidate, target: str | None) -> Cell:
    """Predicted latency on a target."""
    return latency_cell(candidate.latency_ms.get(target) if target else None)


def measured_cell(verified: VerifiedCandidate | None, target: str | None) -> Cell:
    """Measured latency on a target, where the network was verified there."""
    return latency_cell(verified.measured_ms.get(target) if verified and target else None)
