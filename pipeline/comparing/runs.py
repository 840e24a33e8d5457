"""Two runs of the pipeline, compared: model, latency, accuracy, limits, and what may be why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.comparing.accuracies import AccuracyComparison, compare_accuracies, image_differences
from pipeline.comparing.findings import Finding, find
from pipeline.comparing.gaps import Gap, gap_of
from pipeline.comparing.limits import LimitComparison, compare_limits
from pipeline.comparing.measurements import UNCHANGED
from pipeline.comparing.models import ModelComparison, compare_models
from pipeline.comparing.settings import DifferingSetting, compare_settings
from pipeline.comparing.sides import Measured, of_benchmark
from pipeline.comparing.targets import TargetsComparison, compare_targets
from pipeline.files.record import Record
from pipeline.report import ReportInputs

MODEL = "the model"
_SEEDS = (
    "The networks were trained once each. Another seed moves accuracy by more than the sampling of "
    "images, which is all that intervals and p hold; the records do not tell by how much."
)


@dataclass(frozen=True)
class ComparedRun:
    """One of two runs, read.

    Attributes:
        given: What the user called it.
        folder: Where it is.
        inputs: The records that are there.
    """

    given: str
    folder: Path
    inputs: ReportInputs


class RunComparison(Record):
    """Two runs, compared.

    Attributes:
        first: What the user called the first.
        second: … and the second.
        latency: On each target that both were timed on; `the model` is what each run exported,
            whatever it is called. None where a run has no benchmark.
        accuracies: None of them where the images differ, or a run was not retrained.
        settings: What differs in recipes, images, machines and software.
        gaps: What could not be compared for want of a stage.
        notes: What a reader must know.
        findings: Everything that changed beyond noise.
        regressions: How many of them are for the worse.
        verdict: The answer in one line.
    """

    first: str
    second: str
    model: ModelComparison
    latency: TargetsComparison | None
    accuracies: tuple[AccuracyComparison, ...]
    limits: tuple[LimitComparison, ...]
    settings: tuple[DifferingSetting, ...]
    gaps: tuple[Gap, ...]
    notes: tuple[str, ...]
    findings: tuple[Finding, ...]
    regressions: int
    verdict: str


def compare_runs(first: ComparedRun, second: ComparedRun) -> RunComparison:
    """Compares what is there on both sides.

    Raises:
        MeasurementError: A benchmark lacks the fastest runs of visits.
    """
    one, other = first.inputs, second.inputs
    model = compare_models(one, other)
    latency = _latency(first, second)
    accuracies = compare_accuracies(one, other)
    limits = compare_limits(one, other, _verdicts(latency))
    findings = find(model, latency, accuracies, limits)
    gaps = tuple(
        gap for run in (first, second) if (gap := gap_of(run.given, run.folder, run.inputs))
    )
    regressions = sum(finding.is_regression for finding in findings)
    notes = (
        *_accuracy_notes(one, other, model, accuracies),
        *_limit_notes(limits),
        *_reference_notes(latency),
        *_unsteady_notes(latency),
    )
    return RunComparison(
        first=first.given,
        second=second.given,
        model=model,
        latency=latency,
        accuracies=accuracies,
        limits=limits,
        settings=compare_settings(one, other),
        gaps=gaps,
        notes=notes,
        findings=findings,
        regressions=regressions,
        verdict=_verdict(findings, regressions, whole=not gaps),
    )


def _latency(first: ComparedRun, second: ComparedRun) -> TargetsComparison | None:
    sides = [_measured(run) for run in (first, second)]
    return compare_targets(*sides) if all(sides) else None


def _measured(run: ComparedRun) -> tuple[Measured, ...]:
    record = run.inputs.benchmark
    if record is None:
        return ()
    path = run.folder / "benchmark" / "record.json"
    own = {result.name for result in record.results if not result.is_reference}
    # Called by one name, what two runs ship is compared even where it is another network.
    names = dict.fromkeys(own, MODEL) if len(own) == 1 else {}
    return of_benchmark(run.given, path, record, names=names)


def _verdicts(latency: TargetsComparison | None) -> dict[str, str]:
    """What became of the model's latency, by target without its device."""
    return {
        record.first.target.rpartition("/")[2]: subject.verdict
        for record in (latency.targets if latency else ())
        for subject in record.subjects
        if subject.name == MODEL
    }


def _accuracy_notes(
    first: ReportInputs,
    second: ReportInputs,
    model: ModelComparison,
    accuracies: tuple[AccuracyComparison, ...],
) -> Iterator[str]:
    differences = image_differences(first, second)
    if differences:
        yield f"Accuracies are not compared: the images differ ({', '.join(differences)})."
    if accuracies and not model.same_files:
        yield _SEEDS
    if model.same_files:
        yield "The exported files are the same, byte for byte."


def _limit_notes(limits: tuple[LimitComparison, ...]) -> Iterator[str]:
    for limit in limits:
        if limit.outcome == "not met now, within noise":
            yield (
                f"The limit on {limit.what} was met and now is not, by less than campaigns differ "
                "by themselves: the latency did not change beyond noise."
            )


def _unsteady_notes(latency: TargetsComparison | None) -> Iterator[str]:
    """Where a machine did not hold still: once, since its targets were measured in turn."""
    sides = latency.targets[0].unsteady_percent if latency and latency.targets else ()
    for name, percent in zip("AB", sides, strict=False):
        if percent:
            yield (
                f"When {name} was benchmarked the machine did not hold still: sweeps apart in time "
                f"disagree by {percent:.1f} %. Latencies are compared by the sweeps that were "
                "spared, and a target that hardly any was spared on tells no change; benchmark "
                "again on a quiet machine to resolve more."
            )


def _reference_notes(latency: TargetsComparison | None) -> Iterator[str]:
    for record in latency.targets if latency else ():
        moved = [
            subject.name
            for subject in record.subjects
            if subject.is_reference and subject.verdict != UNCHANGED
        ]
        if moved and record.decided_by == "raw and relative":
            yield (
                f"On {record.first.target} {', '.join(moved)} seems to have changed, though it is "
                "the same on both sides: the machine did, and the model has to by more."
            )


def _verdict(findings: tuple[Finding, ...], regressions: int, *, whole: bool) -> str:
    within = "" if whole else ", in what could be compared"
    if not findings:
        return f"{UNCHANGED}{within}"
    changes = f"{len(findings)} {'change' if len(findings) == 1 else 'changes'}"
    worse = f"{regressions} {'regression' if regressions == 1 else 'regressions'}"
    return f"{changes}, {worse if regressions else 'no regression'}{within}"
