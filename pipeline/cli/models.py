"""What the command line does with models outside any recipe: export, benchmark."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from pipeline.cli.console import note, print_json, print_table, progress_bars
from pipeline.device.runtimes import model_file
from pipeline.device.target import Target
from pipeline.errors import UsageError
from pipeline.files.whole import write_record
from pipeline.measure.protocol import TimingProtocol
from pipeline.records.benchmark import BenchmarkResult
from pipeline.space.architecture import Architecture

_RECORD = "record.json"


def export_architectures(
    architectures: Sequence[Architecture],
    checkpoint: Path | None,
    out: Path,
    batch: int | None,
    precisions: Sequence[str] = (),
    *,
    as_json: bool,
) -> None:
    """Exports architectures and prints their parity with torch, and their files."""
    from pipeline.export.architectures import export_models

    with progress_bars() as progress:
        record = export_models(
            architectures,
            checkpoint,
            out,
            batch=batch,
            precisions=precisions,
            progress=progress("exporting"),
        )
    write_record(out / _RECORD, record)
    if as_json:
        models = [
            {**model.model_dump(mode="json"), "onnx": str(out / model.onnx)}
            for model in record.models
        ]
        print_json({"models": models})
        return
    rows = [
        [
            model.name,
            str(out / model.onnx),
            model.weights,
            f"{model.parity.max_abs:.2g}",
            f"{model.parity.max_rel:.2g}",
            f"{100 * model.parity.top1_agreement:.1f}",
        ]
        for model in record.models
    ]
    columns = ["model", "file", "weights", "max abs", "max rel", "top-1 agreement %"]
    print_table("Exported, compared with torch", columns, rows)
    print_table(
        "Their files",
        ["model", "file", "precision", "MB", "kind", "sha256"],
        [
            [
                model.name,
                file.file,
                file.precision,
                f"{file.size_bytes / 1e6:.2f}",
                file.title,
                file.sha256[:12],
            ]
            for model in record.models
            for file in model.files
        ],
    )


def benchmark_architectures(
    architectures: Sequence[Architecture],
    target_names: Sequence[str],
    sweeps: int,
    runs: int,
    *,
    as_json: bool,
) -> None:
    """Times architectures with random weights on targets and prints the statistics."""
    from pipeline.export.cache import export_all
    from pipeline.latency.prediction import predictions_of
    from pipeline.measure.measuring_process import MeasuringProcess
    from pipeline.trials.benchmark import benchmark, random_subject

    labels = [architecture.label for architecture in architectures]
    if len(set(labels)) < len(labels):
        raise UsageError("two architectures have the same name; names tell results apart")
    targets = [Target.parse(name) for name in dict.fromkeys(target_names)]
    with MeasuringProcess(targets[0]):
        pass  # what cannot be measured is told before anything is exported for it
    groups = {}
    with progress_bars() as progress, tempfile.TemporaryDirectory() as scratch:
        for target in targets:
            predictions, unusable = predictions_of(architectures, target)
            if unusable:
                note(f"{target.name}: without predictions: {unusable}")
            export_all(
                architectures,
                batch=target.batch,
                file=model_file(target),
                progress=progress(f"exporting for {target.setting}"),
            )
            groups[target] = [
                random_subject(architecture, target, predicted=predicted)
                for architecture, predicted in zip(architectures, predictions, strict=True)
            ]
        record = benchmark(
            groups,
            protocol=TimingProtocol(
                sweeps=sweeps, min_sweeps=sweeps, runs=runs, max_runs=max(runs, 40)
            ),
            folder=Path(scratch),
            progress=progress("benchmarking"),
        )
    if as_json:
        print_json(record)
        return
    for name in record.targets:
        print_table(
            f"{name} (ms)",
            [
                "model",
                "computes in",
                "MMACs",
                "typical",
                "±",
                "images/s",
                "median",
                "p90",
                "p95",
                "p99",
                "CoV %",
                "n",
                "predicted",
            ],
            [_benchmark_row(result) for result in record.results if result.target == name],
        )
    for result in record.results:
        for words in (*result.notes, *(result.device.warnings if result.device else ())):
            note(f"{result.name} on {result.target}: {words}")


def _benchmark_row(result: BenchmarkResult) -> list[str]:
    stats, rate = result.latency_ms, result.images_per_second
    if stats is None or rate is None:
        return [result.name, "-", "-", f"failed: {result.error}", *["-"] * 9]

    def optional(value: float | None) -> str:
        return "-" if value is None else f"{value:.4f}"

    return [
        result.name,
        result.precision_as_built or "-",
        "-" if result.macs is None else f"{result.macs / 1e6:.2f}",
        f"{stats.typical:.4f}",
        f"{stats.std:.4f}",
        f"{rate:.0f}",
        optional(stats.median),
        optional(stats.p90),
        optional(stats.p95),
        optional(stats.p99),
        f"{100 * stats.cov:.1f}",
        str(stats.n),
        optional(result.predicted_ms.typical if result.predicted_ms else None),
    ]
