"""Latency by target and limits, out of a run's records: predicted, measured, or why not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipeline.bundle.card import (
    LimitCard,
    Machine,
    MeasuredLatency,
    PredictedLatency,
    TargetLatency,
)
from pipeline.device.fingerprint import EXPORTER, RUNTIMES, Environment
from pipeline.device.runtimes import model_file
from pipeline.device.target import Target
from pipeline.errors import PipelineError
from pipeline.measure.protocol import TimingProtocol
from pipeline.measure.statistics import LatencyStats
from pipeline.measure.steadiness import Steadiness
from pipeline.records.benchmark import BenchmarkRecord
from pipeline.records.candidates import LatencyPrediction
from pipeline.records.verify import VerifyRecord
from pipeline.report import ReportInputs, Summary, resolved_target
from pipeline.report.limits import (
    answers_wrongly,
    benchmark_of,
    limit_words,
    prediction_of,
    verified_latency,
)
from pipeline.space.architecture import Architecture


def target_latencies(
    inputs: ReportInputs, chosen: Architecture, here: Environment
) -> tuple[TargetLatency, ...]:
    """Every target of the recipe, of its limits and of its benchmark, in that order.

    Args:
        inputs: The records of the run.
        chosen: The network.
        here: The machine that `host` means where no record says which.
    """
    targets = [str(inputs.recipe["target"])]
    if inputs.verify:
        targets += inputs.verify.limits.latency_ms
    targets += inputs.recipe["benchmark"]["targets"]
    if inputs.benchmark:
        targets += [
            result.target
            for result in inputs.benchmark.results
            if result.architecture == chosen and not result.is_reference
        ]
    return tuple(_of_target(inputs, chosen, name, here) for name in dict.fromkeys(targets))


def limit_cards(summary: Summary, here: Environment) -> tuple[LimitCard, ...]:
    """The limits that were asked for, checked by what was measured last."""
    found = []
    for check in summary.limits:
        if check.target:
            check = check.model_copy(update={"target": resolved_target(check.target, here)})
        found.append(
            LimitCard(
                quantity=check.quantity,
                target=check.target,
                limit=check.limit,
                value=check.value,
                verdict=check.verdict,
                words=limit_words(check),
            )
        )
    return tuple(found)


def _of_target(
    inputs: ReportInputs, chosen: Architecture, name: str, here: Environment
) -> TargetLatency:
    target = Target.parse(name)
    benchmarked = benchmark_of(inputs, chosen, name)
    predicted = prediction_of(inputs, chosen, name)
    if predicted is None and benchmarked:
        predicted = benchmarked.predicted_ms
    measured = _measured(inputs, chosen, name)
    notes = benchmarked.notes if benchmarked else ()
    return TargetLatency(
        target=resolved_target(name, here),
        runtime=target.runtime,
        precision=target.precision,
        batch=target.batch,
        threads=target.threads,
        file=_file(target),
        predicted=_prediction(predicted),
        prediction_missing=None if predicted else _why_not_predicted(notes, name, chosen),
        measured=measured,
        measurement_missing=None if measured else _why_not_measured(inputs, chosen, name),
        doubts=tuple(_doubts(predicted, measured, notes)),
    )


def _file(target: Target) -> str | None:
    try:
        return model_file(target)
    except PipelineError:
        return None  # a target that names no runtime of ours; why is told as its failure


def _prediction(predicted: LatencyPrediction | None) -> PredictedLatency | None:
    if predicted is None:
        return None
    return PredictedLatency(
        typical_ms=predicted.typical, std_ms=predicted.std, foreign=predicted.foreign
    )


def _why_not_predicted(notes: tuple[str, ...], name: str, chosen: Architecture) -> str:
    told = next((note for note in notes if note.startswith("without a prediction")), None)
    return told or (
        f"no latency table was asked; measure one: python run_pipeline.py profile --target {name} "
        f"--space {chosen.space} --resolution {chosen.resolution} "
        f"--num-classes {chosen.num_classes}"
    )


def _why_not_measured(inputs: ReportInputs, chosen: Architecture, name: str) -> str:
    benchmarked = benchmark_of(inputs, chosen, name)
    if benchmarked and benchmarked.error:
        return benchmarked.error
    unmeasured = inputs.verify.unmeasured if inputs.verify else {}
    if name in unmeasured:
        return unmeasured[name]
    return f"not benchmarked yet: {inputs.command('benchmark')}, then export the bundle again"


def _measured(inputs: ReportInputs, chosen: Architecture, name: str) -> MeasuredLatency | None:
    """The benchmark's figures, else those of verification; none of an engine that is wrong."""
    benchmarked = benchmark_of(inputs, chosen, name)
    if benchmarked and answers_wrongly(benchmarked):
        return None
    if inputs.benchmark and benchmarked and benchmarked.latency_ms:
        steady, machine = _campaign(inputs.benchmark, benchmarked.target)
        return MeasuredLatency(
            **_figures(benchmarked.latency_ms),
            by="benchmark",
            precision_as_built=benchmarked.precision_as_built,
            machine=_machine(machine, name),
            steadiness=steady,
        )
    verified = verified_latency(inputs, chosen, name)
    if inputs.verify and verified:
        return _verified(inputs.verify, verified, name)
    return None


def _verified(verify: VerifyRecord, stats: LatencyStats, name: str) -> MeasuredLatency:
    return MeasuredLatency(
        **_figures(stats),
        by="verify",
        precision_as_built=None,
        machine=_machine(verify.environment, name),
        steadiness=verify.steadiness.get(name),
    )


def _figures(stats: LatencyStats) -> dict[str, Any]:
    return {
        "typical_ms": stats.typical,
        "std_ms": stats.std,
        "median_ms": stats.median,
        "runs": stats.n,
    }


def _campaign(record: BenchmarkRecord, target: str) -> tuple[Steadiness | None, Environment]:
    if target in record.others:
        return record.others[target].steadiness, record.others[target].environment
    return record.steadiness, record.environment


def _machine(environment: Environment, target: str) -> Machine:
    needed = RUNTIMES.get(Target.parse(target).runtime)
    names = (*(needed.packages if needed else ()), *EXPORTER)
    packages = environment.packages
    return Machine(
        cpu=environment.cpu,
        cores=environment.cores,
        os=environment.os,
        python=environment.python,
        packages={name: packages[name] for name in names if name in packages},
        settings=environment.settings,
    )


def _doubts(
    predicted: LatencyPrediction | None, measured: MeasuredLatency | None, notes: tuple[str, ...]
) -> Iterator[str]:
    if predicted and predicted.foreign:
        yield "the prediction is of a table of another machine or other software"
    allowed = TimingProtocol().unsteady_percent
    steady = measured.steadiness if measured else None
    if steady and steady.disagreement_percent > allowed:
        yield (
            f"the machine did not hold still: visits apart in time disagree by "
            f"{steady.disagreement_percent:.1f} %, where {allowed:g} % is accepted by default; the "
            "latency may be off by as much"
        )
    if measured and measured.by == "verify":
        yield "measured when candidates were verified, with random weights; not benchmarked since"
    yield from (note for note in notes if not note.startswith("without a prediction"))
