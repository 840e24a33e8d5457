"""Benchmarks: models timed side by side on targets, in one interleaved campaign."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from pipeline.device import trtexec
from pipeline.device.fingerprint import RUNTIMES
from pipeline.device.runtimes import LayerTimes, TransferTime, model_file, tells_layer_times
from pipeline.device.target import Target
from pipeline.errors import MeasurementError, UsageError
from pipeline.export.cache import cached_network, cached_timm, export_all
from pipeline.export.to_onnx import RANDOM_SEED
from pipeline.files.whole import write_atomic
from pipeline.measure.bench import Course
from pipeline.measure.campaign import CONTROL_NETWORK, Campaign, run_campaigns
from pipeline.measure.engines import engine_environment
from pipeline.measure.measuring_process import MeasuringProcess
from pipeline.measure.protocol import TimingProtocol
from pipeline.measure.statistics import Visit, reduce_visits
from pipeline.network.timm_networks import TimmNetwork, check_timm_name
from pipeline.records.benchmark import (
    BenchmarkRecord,
    BenchmarkResult,
    DeviceTiming,
    EngineAnswers,
    TargetTiming,
)
from pipeline.records.candidates import LatencyPrediction
from pipeline.space.architecture import Architecture
from pipeline.space.architecture_file import published, published_models
from pipeline.space.cost import architecture_cost
from pipeline.trials.engine_answers import Exam, examine
from pipeline.work.progress import Progress, silent

RANDOM = f"random (seed {RANDOM_SEED})"
_WARM_RUNS, _PROFILED_RUNS = 5, 30
_LONGEST_NAME = 80


@dataclass(frozen=True)
class BenchmarkSubject:
    """A model to time.

    Attributes:
        name: What it is called in the results.
        model: Folder with `model.onnx`.
        weights: Where its weights are from.
        architecture: None for networks that are not of a search space.
        predicted: What the table says, where one can.
        notes: What a reader of its times must know.
        is_reference: Whether it is only there to compare with.
    """

    name: str
    model: Path
    weights: str
    architecture: Architecture | None
    predicted: LatencyPrediction | None = None
    is_reference: bool = False
    notes: tuple[str, ...] = ()


def benchmark(
    groups: Mapping[Target, Sequence[BenchmarkSubject]],
    *,
    protocol: TimingProtocol,
    folder: Path,
    exam: Exam | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> BenchmarkRecord:
    """Times models interleaved with each other and with the control network, over all targets.

    Then each model that is no reference is asked what it answers, and profiled by blocks, in runs
    of their own, where its runtime can. Times of an engine that answers wrongly are not told.

    Args:
        groups: The models, of distinct names, by target; the first target is the main one.
        protocol: How they are timed.
        folder: Where each visit is kept, a journal a target; a benchmark that was killed goes on
            there.
        exam: What engines are asked of models that are no references; None to ask nothing, where
            weights are random.
        seed: Decides the order of visits.
        progress: Told after each visit.

    Raises:
        UsageError: Two models have the same name, or two targets are the same.
        UnavailableError: The first target cannot be measured here; another is a row with its
            reason.
        MeasurementError: No model could be measured on the first target, or a process died when
            it was asked or profiled.
        ExportError: A model's file does not run.
        StorageError: A file cannot be written; what was measured is kept.
    """
    start = time.monotonic()
    for subjects in groups.values():
        names = [subject.name for subject in subjects]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise UsageError(f"two models are called {twice[0]!r}; names tell results apart")
    courses = [_course(target, subjects, folder) for target, subjects in groups.items()]
    campaigns = dict(
        zip(
            groups,
            run_campaigns(courses, protocol, seed=seed, skip_refused=True, progress=progress),
            strict=True,
        )
    )
    main = next(iter(campaigns.values()))
    if main.control is None:
        raise MeasurementError("; ".join(dict.fromkeys(main.failed.values())))
    answers: dict[Target, dict[str, EngineAnswers]] = {}
    for target, found in campaigns.items():
        answers[target] = _examined(target, groups[target], found, exam, progress) if exam else {}
        campaigns[target] = _without_wrong(target, found, answers[target])
    layers = {
        target: _layers(target, groups[target], found, progress)
        for target, found in campaigns.items()
    }
    for target, found in campaigns.items():
        _write_for_trtexec(folder, target, found, layers[target])
    return BenchmarkRecord(
        results=tuple(
            _result(
                subject,
                target,
                campaigns[target],
                layers[target].get(subject.name),
                answers[target].get(subject.name),
            )
            for target, subjects in groups.items()
            for subject in subjects
        ),
        protocol=protocol,
        control=main.control,
        steadiness=main.steadiness,
        others={
            target.name: TargetTiming(
                control=found.control,
                steadiness=found.steadiness,
                environment=engine_environment(target.runtime),
            )
            for target, found in list(campaigns.items())[1:]
            if found.control is not None and found.steadiness is not None
        },
        seconds=time.monotonic() - start,
        environment=engine_environment(next(iter(groups)).runtime),
    )


def _course(target: Target, subjects: Sequence[BenchmarkSubject], folder: Path) -> Course:
    (control,) = export_all(
        [published(CONTROL_NETWORK)], batch=target.batch, file=model_file(target)
    )
    # A target elsewhere, which is told as a failure, must not share this machine's journal.
    where = target.setting if target.is_here else target.name.replace("/", "-")
    return Course(
        target,
        {subject.name: subject.model for subject in subjects},
        control,
        folder / f"visits-{where}.jsonl",
    )


def _examined(
    target: Target,
    subjects: Sequence[BenchmarkSubject],
    found: Campaign,
    exam: Exam,
    progress: Progress,
) -> dict[str, EngineAnswers]:
    """What the engine answers for each model that is no reference and could be timed."""
    asked = [it for it in subjects if not it.is_reference and it.name in found.stats]
    answers = {}
    for number, subject in enumerate(asked, start=1):
        answers[subject.name] = examine(target, subject.name, subject.model, exam)
        progress(number, len(asked), f"answers of {subject.name}")
    return answers


def _without_wrong(
    target: Target, found: Campaign, answers: Mapping[str, EngineAnswers]
) -> Campaign:
    """A campaign in which models that were answered for wrongly count as failed."""
    wrong = {
        name: f"{target.runtime} computes it wrongly on this machine: "
        f"{it.accuracy_percent:.1f} % top-1 where its file says {it.file_accuracy_percent:.1f} % "
        f"({it.images} images of search-validation)"
        for name, it in answers.items()
        if it.wrong
    }
    return replace(
        found,
        stats={name: stats for name, stats in found.stats.items() if name not in wrong},
        visits={name: visits for name, visits in found.visits.items() if name not in wrong},
        failed={**found.failed, **wrong},
    )


def _layers(
    target: Target, subjects: Sequence[BenchmarkSubject], found: Campaign, progress: Progress
) -> dict[str, LayerTimes]:
    """The time of each block of those models that are no references, where the runtime tells."""
    profiled = [
        subject
        for subject in subjects
        if subject.architecture and not subject.is_reference and subject.name in found.stats
    ]
    if not profiled or not tells_layer_times(target.runtime):
        return {}
    layers = {}
    with MeasuringProcess(target) as process:
        for number, subject in enumerate(profiled, start=1):
            layers[subject.name] = process.layer_times(
                subject.name, subject.model, warm_runs=_WARM_RUNS, runs=_PROFILED_RUNS
            )
            progress(number, len(profiled), f"blocks of {subject.name}")
    return layers


def nearest_published(architecture: Architecture) -> Architecture:
    """The published Cream model nearest in MACs, at the same resolution and classes."""
    wanted = architecture_cost(architecture).macs
    models = [
        published(name, resolution=architecture.resolution, num_classes=architecture.num_classes)
        for name in published_models()
    ]
    return min(models, key=lambda model: abs(architecture_cost(model).macs - wanted))


def check_reference(name: str) -> None:
    """Refuses a name that neither a published Cream model nor a network of timm has.

    Raises:
        UnknownNameError: Names the nearest.
    """
    if name not in published_models():
        check_timm_name(name, "reference", tuple(published_models()))


def reference_subject(
    name: str, resolution: int, num_classes: int, target: Target
) -> BenchmarkSubject:
    """A network to compare with, random weights: a published Cream model, else one of timm's.

    Raises:
        UnknownNameError: Neither has that name.
        ExportError: It does not export.
    """
    if name in published_models():
        model = published(name, resolution=resolution, num_classes=num_classes)
        return random_subject(model, target, is_reference=True)
    network = TimmNetwork(name, resolution, num_classes)
    folder = cached_timm(network, batch=target.batch, file=model_file(target))
    return BenchmarkSubject(name, folder, RANDOM, None, is_reference=True)


def random_subject(
    architecture: Architecture,
    target: Target,
    *,
    predicted: LatencyPrediction | None = None,
    is_reference: bool = False,
) -> BenchmarkSubject:
    """An architecture with random weights; latency does not depend on what they are.

    Raises:
        ExportError: It does not export.
    """
    folder = cached_network(architecture, batch=target.batch, file=model_file(target))
    return BenchmarkSubject(
        architecture.label, folder, RANDOM, architecture, predicted, is_reference
    )


def _result(
    subject: BenchmarkSubject,
    target: Target,
    campaign: Campaign,
    layers: LayerTimes | None,
    answers: EngineAnswers | None,
) -> BenchmarkResult:
    cost = architecture_cost(subject.architecture) if subject.architecture else None
    stats = campaign.stats.get(subject.name)
    visits = campaign.visits.get(subject.name, [])
    return BenchmarkResult(
        name=subject.name,
        target=target.name,
        architecture=subject.architecture,
        macs=cost.macs if cost else None,
        params=cost.params if cost else None,
        weights=subject.weights,
        precision_as_built=campaign.precision.get(subject.name),
        latency_ms=stats,
        n=stats.n if stats else 0,
        samples_ms=tuple(sample for visit in visits for sample in visit.samples_ms),
        predicted_ms=subject.predicted,
        is_reference=subject.is_reference,
        device=_device_timing(visits, campaign.transfers.get(subject.name)),
        notes=(*subject.notes, *campaign.notes.get(subject.name, ())),
        layers_ms=layers.by_place_ms if layers else {},
        answers=answers,
        error=campaign.failed.get(subject.name),
    )


def _device_timing(visits: Sequence[Visit], transfer: TransferTime | None) -> DeviceTiming | None:
    if not visits or not all(visit.device_ms for visit in visits):
        return None
    on_device = [visit.model_copy(update={"samples_ms": visit.device_ms}) for visit in visits]
    states = [visit.state.gpu for visit in visits if visit.state and visit.state.gpu]
    reasons = [reason for state in states for reason in state.slowdown_reasons or ()]
    return DeviceTiming(
        compute_ms=reduce_visits(on_device),
        enqueue_ms=median([time_ms for visit in visits for time_ms in visit.enqueue_ms]),
        to_device_ms=transfer.to_device_ms if transfer else None,
        to_host_ms=transfer.to_host_ms if transfer else None,
        clock_sm_mhz=_range(state.clock_sm_mhz for state in states),
        temperature_c=_range(state.temperature_c for state in states),
        power_w=_range(state.power_w for state in states),
        slowdown_reasons=tuple(dict.fromkeys(reasons)),
        warnings=tuple(trtexec.warnings_of(_samples(visits, transfer))),
    )


def _samples(visits: Sequence[Visit], transfer: TransferTime | None) -> list[trtexec.Sample]:
    """Runs as trtexec knows them; copies, which were timed apart, take the same in each."""
    copies = (transfer.to_device_ms, transfer.to_host_ms) if transfer else (None, None)
    return [
        trtexec.Sample(enqueue_ms, compute_ms, *copies)
        for visit in visits
        for enqueue_ms, compute_ms in zip(visit.enqueue_ms, visit.device_ms, strict=True)
    ]


def _write_for_trtexec(
    folder: Path, target: Target, found: Campaign, layers: Mapping[str, LayerTimes]
) -> None:
    """Writes device times and layers as NVIDIA's trtexec does, beside the journals."""
    for name, visits in found.visits.items():
        samples = _samples(visits, found.transfers.get(name))
        if samples:
            path = folder / f"{_file_stem(target, name)}.times.json"
            write_atomic(path, json.dumps(trtexec.export_times(samples)))
    for name, times in layers.items():
        if times.engine_ms and RUNTIMES[target.runtime].gpu:
            path = folder / f"{_file_stem(target, name)}.profile.json"
            write_atomic(path, json.dumps(trtexec.export_profile(times.engine_ms)))


def _range(values: Iterable[float | None]) -> tuple[float, float] | None:
    told = [value for value in values if value is not None]
    return (min(told), max(told)) if told else None


def _file_stem(target: Target, name: str) -> str:
    """Target and model; a network without a name has one too long, and with colons."""
    plain = re.sub(r"[^\w.-]+", "_", name)[:_LONGEST_NAME]
    return f"{target.setting}.{plain}"
