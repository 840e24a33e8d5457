"""What the command line does with models outside any recipe: profile, export, benchmark."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.console import print_json, print_line, print_table, progress_bars
from pipeline.device import Target
from pipeline.errors import UsageError
from pipeline.files import write_record
from pipeline.measure import TimingProtocol
from pipeline.space import Architecture, get_space

_RECORD = "record.json"


def profile_target(
    target_name: str,
    space_name: str,
    resolution: int,
    num_classes: int,
    calibration_networks: int,
    sweeps: int,
    *,
    as_json: bool,
) -> None:
    """Measures a table outside any recipe and prints how well it predicts."""
    from pipeline.latency.profiling import profile

    target, space = Target.parse(target_name), get_space(space_name)
    with progress_bars() as progress:
        record = profile(
            space,
            target,
            resolution=resolution,
            num_classes=num_classes,
            protocol=TimingProtocol(sweeps=sweeps),
            calibration_networks=calibration_networks,
            export_progress=progress("exporting operators"),
            progress=progress("measuring operators"),
        )
    if as_json:
        print_json(record)
        return
    fit = record.calibration
    print_line(
        f"{record.table}: {record.operators} operators, {record.visits_measured} visits measured, "
        f"{record.visits_reused} reused, {record.seconds:.0f} s"
    )
    print_line(
        f"error on networks left out of the fit: {fit.mape_percent:.2f} % on average, "
        f"{fit.max_error_percent:.1f} % at most; a line on MACs alone: "
        f"{fit.flops_mape_percent:.2f} %"
    )


def export_architectures(
    architectures: Sequence[Architecture],
    checkpoint: Path | None,
    out: Path,
    batch: int | None,
    *,
    as_json: bool,
) -> None:
    """Exports architectures and prints their parity with torch."""
    from pipeline.exporting import export_models

    with progress_bars() as progress:
        record = export_models(
            architectures, checkpoint, out, batch=batch, progress=progress("exporting")
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


def benchmark_architectures(
    architectures: Sequence[Architecture],
    target_name: str,
    sweeps: int,
    runs: int,
    *,
    as_json: bool,
) -> None:
    """Times architectures with random weights and prints the statistics."""
    from pipeline.benchmark import benchmark, random_subject
    from pipeline.export_cache import export_all
    from pipeline.prediction import predictions_of

    target = Target.parse(target_name)
    labels = [architecture.label for architecture in architectures]
    if len(set(labels)) < len(labels):
        raise UsageError("two architectures have the same name; names tell results apart")
    with progress_bars() as progress, tempfile.TemporaryDirectory() as scratch:
        export_all(architectures, batch=target.batch, progress=progress("exporting"))
        record = benchmark(
            [
                random_subject(architecture, target, predicted=predicted)
                for architecture, predicted in zip(
                    architectures, predictions_of(architectures, target), strict=True
                )
            ],
            target,
            protocol=TimingProtocol(sweeps=sweeps, runs=runs, max_runs=max(runs, 40)),
            journal=Path(scratch) / "visits.jsonl",
            progress=progress("benchmarking"),
        )
    if as_json:
        print_json(record)
        return
    print_table(
        f"{target.name} (ms)",
        ["model", "MMACs", "typical", "±", "median", "p90", "p99", "CoV %", "n", "predicted"],
        [_benchmark_row(result) for result in record.results],
    )


def _benchmark_row(result: Any) -> list[str]:
    stats = result.latency_ms
    if stats is None:
        return [result.name, "-", f"failed: {result.error}", *["-"] * 7]

    def optional(value: float | None) -> str:
        return "-" if value is None else f"{value:.4f}"

    return [
        result.name,
        "-" if result.macs is None else f"{result.macs / 1e6:.2f}",
        f"{stats.typical:.4f}",
        f"{stats.std:.4f}",
        f"{stats.median:.4f}",
        optional(stats.p90),
        optional(stats.p99),
        f"{100 * stats.cov:.1f}",
        str(stats.n),
        optional(result.predicted_ms.typical if result.predicted_ms else None),
    ]
