"""Each limit of the request against what was predicted and what was measured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pipeline.device.fingerprint import Environment
from pipeline.files.record import Record
from pipeline.measure.statistics import LatencyStats
from pipeline.records.benchmark import BenchmarkResult
from pipeline.records.candidates import Candidate, LatencyPrediction, Limits
from pipeline.records.verify import VerifiedCandidate
from pipeline.report.formatting import count, latency_words, limit_count, limit_ms, plus_minus
from pipeline.report.inputs import ReportInputs, same_target
from pipeline.space.architecture import Architecture
from pipeline.space.cost import Cost

Quantity = Literal["latency", "macs", "macs_min", "params"]
_NAMES: dict[Quantity, str] = {
    "macs": "MACs",
    "macs_min": "MACs, lower bound",
    "params": "parameters",
}
CLOSE = 2.0
"""A margin of fewer standard uncertainties than this is called close."""


class LimitCheck(Record):
    """One limit and whether the chosen network meets it.

    Attributes:
        quantity: What is limited; `macs_min` is a lower bound, the others are upper bounds.
        target: Where, for a latency.
        limit: In milliseconds for a latency, else a count.
        predicted: What the latency table says.
        verified_ms: Typical latency when the candidates were verified.
        value: What was measured last (a count is exact): the benchmark, else verification.
        value_std: Standard uncertainty of `value`; None for a count.
        measured_by: Where `value` comes from.
        margin_percent: Room left, relative to the limit; negative where it is not met.
        close: Whether the margin is within twice the uncertainty.
    """

    quantity: Quantity
    target: str | None
    limit: float
    predicted: LatencyPrediction | None
    verified_ms: LatencyStats | None
    value: float | None
    value_std: float | None
    measured_by: Literal["benchmark", "verify", "count"] | None
    margin_percent: float | None
    verdict: Literal["met", "not met", "not measured"]
    close: bool


def check_limits(
    inputs: ReportInputs, limits: Limits, chosen: Architecture | None, cost: Cost | None
) -> tuple[LimitCheck, ...]:
    """Checks every limit, latencies first.

    Args:
        inputs: The records.
        limits: What was asked for.
        chosen: The chosen network; None while there is none.
        cost: Its MACs and parameters.
    """
    return tuple(_checks(inputs, limits, chosen, cost))


def _checks(
    inputs: ReportInputs, limits: Limits, chosen: Architecture | None, cost: Cost | None
) -> Iterator[LimitCheck]:
    for target, limit in limits.latency_ms.items():
        yield _latency_check(inputs, target, limit, chosen)
    bounds: tuple[tuple[Quantity, float | None, int | None], ...] = (
        ("macs", limits.macs, cost.macs if cost else None),
        ("macs_min", limits.macs_min, cost.macs if cost else None),
        ("params", limits.params, cost.params if cost else None),
    )
    for quantity, bound, value in bounds:
        if bound is not None:
            yield _check(quantity, None, bound, value, None, by="count")


def _latency_check(
    inputs: ReportInputs, target: str, limit: float, chosen: Architecture | None
) -> LimitCheck:
    if chosen is None:
        return _check("latency", target, limit, None, None, by=None)
    benchmarked = benchmark_of(inputs, chosen, target)
    verified = verified_latency(inputs, chosen, target)
    predicted = prediction_of(inputs, chosen, target)
    measured, by = verified, "verify"
    if benchmarked is not None and benchmarked.latency_ms is not None:
        measured, by = benchmarked.latency_ms, "benchmark"
        predicted = predicted or benchmarked.predicted_ms
    elif benchmarked is not None and answers_wrongly(benchmarked):
        # Verification timed the same engine, which answers as wrongly.
        measured = None
    return _check(
        "latency",
        target,
        limit,
        measured.typical if measured else None,
        measured.std if measured else None,
        by=by,
        predicted=predicted,
        verified_ms=verified,
    )


def _check(
    quantity: Quantity,
    target: str | None,
    limit: float,
    value: float | None,
    std: float | None,
    *,
    by: str | None,
    predicted: LatencyPrediction | None = None,
    verified_ms: LatencyStats | None = None,
) -> LimitCheck:
    room = None
    if value is not None:
        room = value - limit if quantity == "macs_min" else limit - value
    return LimitCheck.model_validate(
        {
            "quantity": quantity,
            "target": target,
            "limit": limit,
            "predicted": predicted,
            "verified_ms": verified_ms,
            "value": value,
            "value_std": std,
            "measured_by": by if value is not None else None,
            "margin_percent": None if room is None or not limit else 100 * room / limit,
            "verdict": "not measured" if room is None else "met" if room >= 0 else "not met",
            "close": room is not None and std is not None and abs(room) < CLOSE * std,
        }
    )


def limit_name(quantity: Quantity, target: str | None) -> str:
    """What is limited, in words."""
    return _NAMES.get(quantity, f"latency on {target}")


def limit_words(check: LimitCheck) -> str:
    """One limit in words: `2.41 ± 0.03 ms on host/… (limit 3 ms)`."""
    if check.quantity == "latency":
        limit = limit_ms(check.limit)
        if check.value is None:
            guess = check.predicted
            words = f"{latency_words(guess)} predicted" if guess else "no latency"
            return f"{words} on {check.target} (limit {limit})"
        return f"{plus_minus(check.value, check.value_std, 'ms')} on {check.target} (limit {limit})"
    noun = "parameters" if check.quantity == "params" else "MACs"
    bound = "at least" if check.quantity == "macs_min" else "limit"
    value = "?" if check.value is None else count(check.value)
    return f"{value} {noun} ({bound} {limit_count(check.limit)})"


def answers_wrongly(result: BenchmarkResult) -> bool:
    """Whether the engine that ran a model does not compute what its file says."""
    return result.answers is not None and result.answers.wrong


def candidate_of(inputs: ReportInputs, architecture: Architecture) -> Candidate | None:
    """The candidate of the search that is this network."""
    if inputs.search is None:
        return None
    return next((c for c in inputs.search.evaluated if c.architecture == architecture), None)


def verified_of(inputs: ReportInputs, architecture: Architecture) -> VerifiedCandidate | None:
    """The verified candidate that is this network."""
    if inputs.verify is None:
        return None
    found = (c for c in inputs.verify.candidates if c.candidate.architecture == architecture)
    return next(found, None)


def prediction_of(
    inputs: ReportInputs, architecture: Architecture, target: str
) -> LatencyPrediction | None:
    """What was predicted for a network on a target, by whichever stage says so first."""
    verified = verified_of(inputs, architecture)
    candidates = (candidate_of(inputs, architecture), verified.candidate if verified else None)
    return next((c.latency_ms[target] for c in candidates if c and target in c.latency_ms), None)


def verified_latency(
    inputs: ReportInputs, architecture: Architecture, target: str
) -> LatencyStats | None:
    """What verification, or the trials, measured for a network on a target."""
    verified = verified_of(inputs, architecture)
    tried = inputs.trial.entrants if inputs.trial else ()
    found = [verified] if verified else [it for it in tried if it.architecture == architecture]
    return next((it.measured_ms[target] for it in found if target in it.measured_ms), None)


def benchmark_of(
    inputs: ReportInputs, architecture: Architecture, target: str
) -> BenchmarkResult | None:
    """The benchmark of a network on a target; one that failed only where none succeeded."""
    if inputs.benchmark is None:
        return None
    here = inputs.benchmark.environment
    machine = _machine_of_limits(inputs) or here
    found = [
        result
        for result in inputs.benchmark.results
        if result.architecture == architecture and same_target(result.target, here, target, machine)
    ]
    # Trained weights before random ones: where both were timed, the trained file is what ships.
    found.sort(key=lambda r: (r.latency_ms is None, r.is_reference, r.weights.startswith("random")))
    return found[0] if found else None


def _machine_of_limits(inputs: ReportInputs) -> Environment | None:
    record = inputs.verify or inputs.profile
    return record.environment if record else None
