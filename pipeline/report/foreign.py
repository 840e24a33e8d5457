"""Where predictions come from a table of another machine, and in what that differs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pipeline.records.candidates import LatencyPrediction
from pipeline.report.inputs import ReportInputs

_UNTOLD = "the records do not say in what they differ"


def foreign_differences(inputs: ReportInputs) -> tuple[str, ...]:
    """In what a table's machine and software differ from where it was used.

    Returns:
        A sentence a difference; empty where no prediction is foreign.
    """
    if inputs.search and inputs.search.foreign:
        return inputs.search.foreign
    return (_UNTOLD,) if any(guess.foreign for guess in _predictions(inputs)) else ()


def foreign_words(differences: Sequence[str]) -> str:
    """The warning that names the differences."""
    return (
        "Predictions come from a latency table that was measured on another machine, or with other"
        f" software, than where they were made: {'; '.join(differences)}. They, and the errors"
        " stated with them, hold for the table's machine; what was measured here does not depend on"
        " them."
    )


def _predictions(inputs: ReportInputs) -> Iterator[LatencyPrediction]:
    for candidate in inputs.search.evaluated if inputs.search else ():
        yield from candidate.latency_ms.values()
    for verified in inputs.verify.candidates if inputs.verify else ():
        yield from verified.candidate.latency_ms.values()
    results = inputs.benchmark.results if inputs.benchmark else ()
    yield from _known(result.predicted_ms for result in results)


def _known(predictions: Iterable[LatencyPrediction | None]) -> Iterator[LatencyPrediction]:
    return (guess for guess in predictions if guess)
