"""Complete records of a run, all numbers made up: plausible in size, measured nowhere."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from pipeline.device.model_files import FP16, FP32, INT8, INT8_SYMMETRIC, KINDS, PROGRAM
from pipeline.device.runtimes import REST
from pipeline.measure.protocol import TimingProtocol
from pipeline.records.benchmark import BenchmarkRecord, BenchmarkResult
from pipeline.records.candidates import Candidate, LatencyPrediction, Limits
from pipeline.records.dataset import DatasetRecord, Preprocessing
from pipeline.records.export import ExportedFile, ExportedModel, ExportRecord, Parity
from pipeline.records.retrain import OffTheShelfRecord, RetrainRecord
from pipeline.records.search import SearchRecord
from pipeline.records.train import EpochRecord, PrioritizedPath, TrainRecord
from pipeline.records.trial import Entrant, Kind, RungScore, TrialRecord
from pipeline.records.verify import VerifiedCandidate, VerifyRecord
from pipeline.report import ReportInputs
from pipeline.space.architecture import Architecture
from pipeline.space.architecture_file import published
from pipeline.space.cost import architecture_cost
from tests.report.made_up_measuring import (
    NO_SPELL,
    RESOLUTION,
    TARGET,
    environment,
    profile_record,
    random_architecture,
    stats,
    steadiness,
    true_latency_ms,
)

CLASSES = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
           "Ankle boot")  # fmt: skip
LIMIT_MS = 0.36
LIMIT_MACS = 16e6


def prediction(architecture: Architecture, rng: np.random.Generator) -> LatencyPrediction:
    guess = true_latency_ms(architecture) * (1 + 0.02 * float(rng.standard_normal()))
    return LatencyPrediction(typical=guess, std=0.022 * guess)


def dataset(class_names: tuple[str, ...] = CLASSES) -> DatasetRecord:
    return DatasetRecord(
        name="fashion-mnist",
        source="fashion-mnist (made-up folder)",
        checksum="ab" * 32,
        class_names=class_names,
        num_train=54000,
        num_search_validation=6000,
        num_test=10000,
        preprocessing=Preprocessing(
            resolution=RESOLUTION,
            pad=2,
            grayscale_to_rgb=True,
            mean=(0.286, 0.286, 0.286),
            std=(0.353, 0.353, 0.353),
        ),
    )


def epochs(count: int, start: float, end: float) -> tuple[EpochRecord, ...]:
    progress = np.linspace(0, 1, count)
    return tuple(
        EpochRecord(
            epoch=index + 1,
            loss=float(2.1 - 1.5 * at**0.4),
            accuracy_percent=float(start + (end - start) * at**0.3) if index % 2 else None,
            learning_rate=float(0.002 * (1 - at) + 1e-5),
            images_per_second=1480.0 + 20 * index,
        )
        for index, at in enumerate(progress)
    )


def limits() -> Limits:
    return Limits(macs=LIMIT_MACS, latency_ms={TARGET: LIMIT_MS})


def search_record(rng: np.random.Generator, count: int = 180) -> SearchRecord:
    evaluated = []
    for _ in range(count):
        architecture = random_architecture(rng)
        cost = architecture_cost(architecture)
        guess = prediction(architecture, rng)
        violation = max(0.0, guess.typical / LIMIT_MS - 1, cost.macs / LIMIT_MACS - 1)
        accuracy = 84.5 - 9 * np.exp(-cost.macs / 8e6) + 0.5 * float(rng.standard_normal())
        evaluated.append(
            Candidate(
                architecture=architecture,
                accuracy_percent=float(accuracy),
                macs=cost.macs,
                params=cost.params,
                latency_ms={TARGET: guess},
                violation=violation,
            )
        )
    feasible = [i for i, c in enumerate(evaluated) if c.violation == 0]
    ranking = sorted(feasible, key=lambda i: -(evaluated[i].accuracy_percent or 0))
    front, best = [], -1.0
    for index in sorted(feasible, key=lambda i: evaluated[i].latency_ms[TARGET].typical):
        if (evaluated[index].accuracy_percent or 0) > best:
            best = evaluated[index].accuracy_percent or 0
            front.append(index)
    return SearchRecord(
        limits=limits(),
        target=TARGET,
        success=True,
        message=f"made-up search: {count} networks scored in 8 generations",
        evaluated=tuple(evaluated),
        front=tuple(front),
        ranking=tuple(ranking),
        hypervolume=(0.302, 0.331, 0.347, 0.347, 0.368, 0.374, 0.374, 0.379),
        reachable={
            "macs": (7.2e6, 6.8e7),
            "params": (1.4e6, 9.6e6),
            f"latency_ms/{TARGET}": (0.21, 1.9),
        },
        seed=0,
        num_images=2000,
        seconds=61.0,
    )


def verify_record(search: SearchRecord, rng: np.random.Generator) -> VerifyRecord:
    """The first candidate turns out over the limit, the second wins."""
    candidates = []
    for place, index in enumerate(search.ranking[:5]):
        candidate = search.evaluated[index]
        guess = candidate.latency_ms[TARGET].typical
        measured = LIMIT_MS * 1.021 if place == 0 else min(guess * 1.012, LIMIT_MS * 0.97)
        over = measured > LIMIT_MS
        candidates.append(
            VerifiedCandidate(
                candidate=candidate,
                measured_ms={TARGET: stats(measured, rng=rng)},
                verdict="over" if over else "within",
                reason=f"{measured:.4g} ms is 2.1 % over the limit of 0.36 ms" if over else "",
            )
        )
    return VerifyRecord(
        limits=limits(),
        candidates=tuple(candidates),
        winner=1,
        control={TARGET: stats(0.2625, 800, rng=rng)},
        steadiness={
            TARGET: steadiness(stopped="budget", disagreement_percent=1.9, interrupted_percent=None)
        },
        seconds=35.0,
        environment=environment(),
    )


def retrain_record(winner: Architecture, class_names: tuple[str, ...] = CLASSES) -> RetrainRecord:
    return RetrainRecord(
        architecture=winner,
        warm_start=True,
        epochs=epochs(10, 80.0, 92.8),
        accuracy_percent=92.8,
        test_accuracy_percent=92.41,
        test_accuracy_by_class_percent={
            name: 99.1 - 3.1 * ((7 * index) % 10) * 0.8 for index, name in enumerate(class_names)
        },
        dataset=dataset(class_names),
        checkpoint="model.safetensors",
        seconds=612.0,
        environment=environment(),
    )


def trial_record(verify: VerifyRecord, rng: np.random.Generator) -> TrialRecord:
    """Three candidates and four controls; one of them never was within the limits."""
    within = [it for it in verify.candidates if it.verdict == "within"]
    ours = [verify.candidates[verify.winner].candidate.architecture]
    ours += [a for it in within if (a := it.candidate.architecture) not in ours]
    ours += [random_architecture(rng) for _ in range(2)]

    def rungs(*log_losses: float) -> tuple[RungScore, ...]:
        return tuple(
            RungScore(
                share=share,
                log_loss_nats=nats,
                error_nats=0.012,
                accuracy_percent=100 - 40 * nats,
                images=5000,
                kept=number + 1 < len(log_losses) or number == 1,
            )
            for number, (share, nats) in enumerate(zip((1 / 8, 3 / 8), log_losses, strict=False))
        )

    def entrant(kind: Kind, latency_ms: float, *log_losses: float, **fields: Any) -> Entrant:
        measured = {TARGET: stats(latency_ms, rng=rng)}
        return Entrant(
            kinds=(kind,), measured_ms=measured, rungs=rungs(*log_losses), macs=4_000_000, **fields
        )

    def of_space(kind: Kind, network: Architecture, latency_ms: float, *log_losses: float) -> Any:
        fields = {"architecture": network, "resolution": network.resolution, "warm_start": True}
        return entrant(kind, latency_ms, *log_losses, **fields)

    return TrialRecord(
        limits=limits(),
        entrants=(
            of_space("candidate", ours[0], 0.345, 0.61, 0.42),
            of_space("candidate", ours[1], 0.331, 0.64, 0.45),
            of_space("candidate", ours[2], 0.329, 0.66),
            of_space("random", random_architecture(rng), 0.21, 0.81),
            entrant("off the shelf", 0.31, 0.9, 0.6, timm="mobilenetv3_small_100", resolution=64),
            entrant("off the shelf", 0.30, 0.99, timm="lcnet_100", resolution=32),
            Entrant(
                kinds=("off the shelf",),
                timm="efficientnet_lite0",
                reason="efficientnet_lite0@32c10: 0.91 ms on it are over the limit of 0.36 ms",
            ),
        ),
        rungs=(1 / 8, 3 / 8),
        epochs=10,
        winner=0,
        off_the_shelf=4,
        seconds=700.0,
        environment=environment(),
    )


def with_trial(inputs: ReportInputs, test_percent: float | None = 88.2) -> ReportInputs:
    """The same run with trials, and with the best of timm trained to the end to an accuracy."""
    assert inputs.verify
    trial = trial_record(inputs.verify, np.random.default_rng(11))
    control = test_percent and OffTheShelfRecord(
        name="mobilenetv3_small_100",
        resolution=64,
        epochs=epochs(10, 60.0, 88.5),
        accuracy_percent=88.5,
        test_accuracy_percent=test_percent,
        checkpoint="off-the-shelf/model.safetensors",
        seconds=500.0,
    )
    run = inputs.model_copy(update={"trial": trial})
    return changed(run, "retrain", off_the_shelf=control or None)


def export_record(winner: Architecture) -> ExportRecord:
    cost = architecture_cost(winner)
    model = ExportedModel(
        name="made-up-cream",
        architecture=winner,
        onnx="model.onnx",
        sha256="0123456789abcdef" * 4,
        size_bytes=10_812_331,
        opset=20,
        precision="fp32",
        batch=None,
        weights="checkpoint model.safetensors",
        macs=cost.macs,
        params=cost.params,
        parity=Parity(
            images=256, data="fashion-mnist", max_abs=4.1e-6, max_rel=7.3e-7, top1_agreement=1.0
        ),
        preprocessing=dataset().preprocessing,
        files=exported_files(),
        calibration_images=256,
    )
    return ExportRecord(models=(model,), seconds=9.0, environment=environment())


def exported_files() -> tuple[ExportedFile, ...]:
    made_up = {
        FP32: (10_812_331, 92.8, 92.41, 1.0),
        FP16: (5_431_200, 92.8, 92.4, 0.9993),
        INT8: (3_120_400, 92.35, 91.98, 0.9842),
        INT8_SYMMETRIC: (2_980_100, 92.2, 91.87, 0.9811),
        PROGRAM: (11_204_007, None, None, None),
    }
    return tuple(
        ExportedFile(
            file=file,
            precision=KINDS[file].precision,
            title=KINDS[file].title,
            sha256=f"{number:x}" * 64,
            size_bytes=size,
            accuracy_percent=accuracy,
            test_accuracy_percent=test,
            agreement=agreement,
            images=None if accuracy is None else 6000,
        )
        for number, (file, (size, accuracy, test, agreement)) in enumerate(made_up.items())
    )


def samples(typical: float, n: int, rng: np.random.Generator) -> tuple[float, ...]:
    calm = typical * (1.0 + rng.gamma(1.5, 0.03, size=n))
    calm[:: max(1, n // 9)] *= 1.9
    return tuple(float(round(value, 6)) for value in calm)


def layers_ms(architecture: Architecture, slower: float = 1.25) -> dict[str, float]:
    """A profiled run of a network: slower than it is without, and partly of no block."""
    places = [placed.place for placed in architecture.operators()]
    total = slower * true_latency_ms(architecture)
    weights = [1.0 + 0.1 * (number % 4) for number in range(len(places))]
    shares = {p: 0.9 * total * w / sum(weights) for p, w in zip(places, weights, strict=True)}
    return {**shares, REST: 0.1 * total}


def result(
    name: str,
    typical: float | None,
    rng: np.random.Generator,
    *,
    architecture: Architecture | None = None,
    n: int = 672,
    guess: LatencyPrediction | None = None,
    is_reference: bool = False,
    error: str | None = None,
) -> BenchmarkResult:
    cost = architecture_cost(architecture) if architecture else None
    return BenchmarkResult(
        name=name,
        target=TARGET,
        architecture=architecture,
        macs=cost.macs if cost else None,
        params=cost.params if cost else None,
        weights="random (seed 0)" if is_reference else "checkpoint model.safetensors",
        precision_as_built="fp32" if typical else None,
        latency_ms=stats(typical, n, rng=rng) if typical else None,
        n=n if typical else 0,
        samples_ms=samples(typical, n, rng) if typical else (),
        predicted_ms=guess,
        is_reference=is_reference,
        layers_ms=layers_ms(architecture) if architecture and not is_reference else {},
        error=error,
    )


def benchmark_record(
    winner: Candidate, rng: np.random.Generator, *, winner_ms: float = 0.349, n: int = 672
) -> BenchmarkRecord:
    published_here = published("cream-14", resolution=RESOLUTION, num_classes=10)
    return BenchmarkRecord(
        results=(
            result(
                "made-up-cream",
                winner_ms,
                rng,
                architecture=winner.architecture,
                guess=winner.latency_ms[TARGET],
                n=n,
            ),
            result("mobilenetv3_small_100", 0.302, rng, n=n, is_reference=True),
            result("cream-14", 0.266, rng, architecture=published_here, n=n, is_reference=True),
            result("lcnet_100", None, rng, is_reference=True, error="node Conv_3 is not supported"),
        ),
        protocol=TimingProtocol(runs=56, max_runs=56),
        control=stats(0.2632, 1200, rng=rng),
        steadiness=steadiness(stopped="sweeps", sweeps=24, disagreement_percent=0.9, **NO_SPELL),
        seconds=40.0,
        environment=environment(),
    )


@lru_cache
def inputs(
    *, class_names: tuple[str, ...] = CLASSES, winner_ms: float = 0.349, runs: int = 672
) -> ReportInputs:
    """A complete run."""
    rng = np.random.default_rng(7)
    profile = profile_record(rng)
    search = search_record(rng)
    verify = verify_record(search, rng)
    chosen = verify.candidates[verify.winner].candidate
    winner = chosen.architecture
    run = ReportInputs(
        name="made-up",
        recipe={
            "schema_version": 1,
            "name": "made-up",
            "limits": {"macs": LIMIT_MACS, "latency_ms": LIMIT_MS},
        },
        profile=profile,
        train=TrainRecord(
            method="cream",
            space="cream",
            max_depth=3,
            resolution=RESOLUTION,
            resolutions=(RESOLUTION,),
            num_classes=10,
            params=9_100_000,
            epochs=epochs(12, 60.0, 81.0),
            dataset=dataset(class_names),
            board=(
                PrioritizedPath(
                    architecture=winner, accuracy_percent=79.5, macs=chosen.macs, latency_ms=0.41
                ),
            ),
            compute="cpu, float32",
            checkpoint="supernet.safetensors",
            seconds=240.0,
            environment=environment(),
        ),
        search=search,
        verify=verify,
        retrain=retrain_record(winner, class_names),
        export=export_record(winner),
        benchmark=benchmark_record(chosen, rng, winner_ms=winner_ms, n=runs),
    )
    return with_trial(run)


def changed(inputs: ReportInputs, stage: str, **fields: object) -> ReportInputs:
    """The same run, had the record of one stage other fields."""
    record = getattr(inputs, stage).model_copy(update=fields)
    return inputs.model_copy(update={stage: record})


def without(inputs: ReportInputs, *stages: str) -> ReportInputs:
    """The same run, had some stages not run."""
    return inputs.model_copy(update=dict.fromkeys(stages))


def first_result(inputs: ReportInputs, **fields: object) -> ReportInputs:
    """The same run, had the first result of its benchmark other fields."""
    first, *others = inputs.benchmark.results
    return changed(inputs, "benchmark", results=(first.model_copy(update=fields), *others))
