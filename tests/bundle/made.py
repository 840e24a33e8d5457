"""A run that is small and quick, and real where a bundle looks: data, weights, export.

What was searched and timed is made up.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from pipeline.files.whole import read_record, write_record
from pipeline.images.epoch import Epoch
from pipeline.network.network import Network, build_network, save_checkpoint
from pipeline.recipe.data import open_data
from pipeline.recipe.recipe import Recipe
from pipeline.recipe.resume import RECORD, Manifest, run_stage
from pipeline.recipe.stages import find_stage
from pipeline.records.benchmark import BenchmarkRecord
from pipeline.records.candidates import Candidate, LatencyPrediction, Limits
from pipeline.records.export import ExportRecord
from pipeline.records.retrain import RetrainRecord
from pipeline.records.verify import VerifiedCandidate, VerifyRecord
from pipeline.report import ReportInputs
from pipeline.space.architecture import Architecture
from pipeline.space.cost import architecture_cost
from tests.report import made_up
from tests.report.made_up_measuring import environment, stats, steadiness

TARGET = "host/onnxruntime-fp32-b1-t1"
OTHER = "host/openvino-fp32-b1-t1"
AWAY = "jetson-orin/tensorrt-fp16-b1"
LIMIT_MS, LIMIT_MACS = 0.5, 1e9
NAME = "small"


def architecture(*, operator: str = "mb4_3x3", space: str = "cream") -> Architecture:
    return Architecture(
        space=space, resolution=32, num_classes=10, stages=((operator,),) * 5, name=NAME
    )


def recipe(**export: object) -> Recipe:
    return Recipe.model_validate(
        {
            "schema_version": 1,
            "name": NAME,
            "data": {"dataset": "digits", "max_train": 256},
            "space": {"resolution": 32},
            "train": {"epochs": 1},
            "retrain": {"epochs": 1},
            "limits": {"latency_ms": LIMIT_MS, "macs": LIMIT_MACS},
            "export": {
                "precisions": ["fp16", "int8"],
                "parity_images": 16,
                "calibration_images": 32,
                "accuracy_images": 50,
                "max_accuracy_drop_percent": 100,
                **export,
            },
            "benchmark": {"targets": [OTHER, AWAY]},
        }
    )


def trained(recipe: Recipe, built: Architecture, *, epochs: int) -> Network:
    """A network that has seen the digits a few times."""
    torch.manual_seed(0)
    network = build_network(built, seed=0).train()
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
    for epoch in range(epochs):
        for images, labels in open_data(recipe).train_batches(Epoch(64, seed=0, number=epoch)):
            loss = torch.nn.functional.cross_entropy(network(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return network.eval()


def exported_run(run: Path, recipe: Recipe, network: Network) -> ReportInputs:
    """Keeps a network as retrained, exports it, and says of it what a run would."""
    built = network.architecture
    retrained = made_up.retrain_record(built, tuple(map(str, range(10)))).model_copy(
        update={"dataset": open_data(recipe).record}
    )
    folder = run / "retrain"
    save_checkpoint(network, folder / retrained.checkpoint)
    write_record(folder / RECORD, retrained)
    finished = Manifest(stage="retrain", inputs_digest="", files={}, finished_at="", seconds=0.0)
    write_record(folder / "manifest.json", finished)
    run_stage(find_stage("export"), recipe, run, lambda label: lambda *at: None)
    return inputs(recipe, retrained, read_record(run / "export" / RECORD, ExportRecord))


def inputs(recipe: Recipe, retrained: RetrainRecord, exported: ExportRecord) -> ReportInputs:
    built = retrained.architecture
    return ReportInputs(
        name=NAME,
        recipe=recipe.model_dump(mode="json"),
        verify=_verified(built),
        retrain=retrained,
        export=exported,
        benchmark=_benchmarked(built),
    )


def _verified(built: Architecture) -> VerifyRecord:
    rng = np.random.default_rng(0)
    cost = architecture_cost(built)
    guess = LatencyPrediction(typical=0.4, std=0.02)
    candidate = Candidate(
        architecture=built,
        accuracy_percent=50.0,
        macs=cost.macs,
        params=cost.params,
        latency_ms={TARGET: guess},
        violation=0.0,
    )
    one = VerifiedCandidate(
        candidate=candidate,
        measured_ms={TARGET: stats(0.41, rng=rng)},
        verdict="within",
        reason="",
    )
    return VerifyRecord(
        limits=Limits(macs=LIMIT_MACS, latency_ms={TARGET: LIMIT_MS}),
        candidates=(one,),
        winner=0,
        control={TARGET: stats(0.26, rng=rng)},
        seconds=1.0,
        environment=environment(),
    )


def _benchmarked(built: Architecture) -> BenchmarkRecord:
    """Timed on its own target on a machine that did not hold still; not on OpenVINO, nor away."""
    rng = np.random.default_rng(1)
    on_target = made_up.result(NAME, 0.42, rng, architecture=built).model_copy(
        update={"target": TARGET, "predicted_ms": LatencyPrediction(typical=0.4, std=0.02)}
    )
    failed = made_up.result(NAME, None, rng, architecture=built, error="openvino is not installed")
    return made_up.benchmark_record(_verified(built).candidates[0].candidate, rng).model_copy(
        update={
            "results": (on_target, failed.model_copy(update={"target": OTHER})),
            "steadiness": steadiness(disagreement_percent=7.5),
        }
    )
