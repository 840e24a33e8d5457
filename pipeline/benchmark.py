"""Benchmarks: models timed side by side on a target, in one interleaved campaign."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.architecture_file import published, published_models
from pipeline.campaign import CONTROL_NETWORK, Campaign, run_campaign
from pipeline.cost import architecture_cost
from pipeline.device import Target
from pipeline.errors import UsageError
from pipeline.export import RANDOM_SEED
from pipeline.export_cache import TimmNetwork, cached_network, cached_timm, export_all
from pipeline.fingerprint import environment
from pipeline.measure import TimingProtocol
from pipeline.progress import Progress, silent
from pipeline.records import BenchmarkRecord, BenchmarkResult, LatencyPrediction
from pipeline.space import Architecture

RANDOM = f"random (seed {RANDOM_SEED})"


@dataclass(frozen=True)
class BenchmarkSubject:
    """A model to time.

    Attributes:
        name: What it is called in the results.
        model: Folder with `model.onnx`.
        weights: Where its weights are from.
        architecture: None for networks that are not of a search space.
        predicted: What the table says, where one can.
        is_reference: Whether it is only there to compare with.
    """

    name: str
    model: Path
    weights: str
    architecture: Architecture | None
    predicted: LatencyPrediction | None = None
    is_reference: bool = False


def benchmark(
    subjects: Sequence[BenchmarkSubject],
    target: Target,
    *,
    protocol: TimingProtocol,
    journal: Path,
    seed: int = 0,
    progress: Progress = silent,
) -> BenchmarkRecord:
    """Times models interleaved with each other and with the control network.

    Args:
        subjects: The models, of distinct names.
        target: Where they run.
        protocol: How they are timed.
        journal: Where each visit is kept; a benchmark that was killed goes on there.
        seed: Decides the order of visits.
        progress: Told after each visit.

    Raises:
        UsageError: Two subjects have the same name.
        UnavailableError: The target cannot be measured here.
        MeasurementError: The measuring process died, or no subject could be measured.
        StorageError: A file cannot be written; what was measured is kept.
    """
    start = time.monotonic()
    names = [subject.name for subject in subjects]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"two models are called {twice[0]!r}; names tell results apart")
    control = export_all([published(CONTROL_NETWORK)], batch=target.batch)[0]
    campaign = run_campaign(
        {subject.name: subject.model for subject in subjects},
        control,
        target,
        protocol,
        journal,
        seed=seed,
        skip_refused=True,
        progress=progress,
    )
    return BenchmarkRecord(
        results=tuple(_result(subject, target, campaign) for subject in subjects),
        protocol=protocol,
        control=campaign.control,
        steadiness=campaign.steadiness,
        seconds=time.monotonic() - start,
        environment=environment(),
    )


def nearest_published(architecture: Architecture) -> Architecture:
    """The published Cream model nearest in MACs, at the same resolution and classes."""
    wanted = architecture_cost(architecture).macs
    models = [
        published(name, resolution=architecture.resolution, num_classes=architecture.num_classes)
        for name in published_models()
    ]
    return min(models, key=lambda model: abs(architecture_cost(model).macs - wanted))


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
    folder = cached_timm(network, batch=target.batch)
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
    folder = cached_network(architecture, batch=target.batch)
    return BenchmarkSubject(
        architecture.label, folder, RANDOM, architecture, predicted, is_reference
    )


def _result(subject: BenchmarkSubject, target: Target, campaign: Campaign) -> BenchmarkResult:
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
        error=campaign.failed.get(subject.name),
    )
