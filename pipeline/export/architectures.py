"""Export outside a recipe: any architectures, with given or random weights."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from pipeline.device.fingerprint import environment
from pipeline.device.model_files import FP32, KINDS, files_of
from pipeline.errors import UsageError
from pipeline.export.artefacts import describe_files, write_files
from pipeline.export.parity import check_parity, measure_parity
from pipeline.export.to_onnx import RANDOM_SEED, describe_export, export_network
from pipeline.network.network import build_network, load_checkpoint
from pipeline.records.export import ExportedModel, ExportRecord
from pipeline.space.architecture import Architecture
from pipeline.work.progress import Progress, silent

PARITY_IMAGES = 16


def export_models(
    architectures: Sequence[Architecture],
    checkpoint: Path | None,
    out: Path,
    *,
    batch: int | None,
    precisions: Sequence[str] = (),
    progress: Progress = silent,
) -> ExportRecord:
    """Exports architectures, each to a folder `<out>/<name>`, and compares them with torch.

    Args:
        architectures: What to export; several only without a checkpoint.
        checkpoint: A released Cream checkpoint or one of this package; None for random weights.
        out: Folder to write to.
        batch: Images a call; None for any number.
        precisions: What to write besides fp32: fp16. There are no images here to calibrate int8 on.
        progress: Told after each export.

    Raises:
        UsageError: One checkpoint is given for several architectures, or int8 is asked for.
        CheckpointError: The checkpoint does not fit.
        ExportError: A network does not export, or differs from torch once exported.
        StorageError: A file cannot be read or written.
    """
    start = time.monotonic()
    if checkpoint is not None and len(architectures) != 1:
        raise UsageError(
            f"one checkpoint was given for {len(architectures)} architectures",
            hint="export them one by one, each with its checkpoint",
        )
    files = files_of(precisions)
    if any(KINDS[file].precision == "int8" for file in files):
        raise UsageError(
            "int8 takes the ranges of activations from real images, and here are none",
            hint="export a recipe's winner: python run_pipeline.py export --recipe demo "
            "--set 'export.precisions=[fp32, int8]'",
        )
    models = []
    for done, (architecture, folder) in enumerate(_folders(architectures), start=1):
        models.append(_export(architecture, checkpoint, out, folder, batch, files))
        progress(done, len(architectures), architecture.label)
    return ExportRecord(
        models=tuple(models), seconds=time.monotonic() - start, environment=environment()
    )


def _export(
    architecture: Architecture,
    checkpoint: Path | None,
    out: Path,
    folder: str,
    batch: int | None,
    files: Sequence[str],
) -> ExportedModel:
    network = build_network(architecture, seed=RANDOM_SEED)
    weights = f"random (seed {RANDOM_SEED})"
    if checkpoint is not None:
        loaded = load_checkpoint(network, checkpoint)
        weights = f"checkpoint {checkpoint.name} ({loaded})"
    onnx_file = export_network(network, out / folder, batch=batch) / FP32
    noise = torch.Generator().manual_seed(RANDOM_SEED)
    side = architecture.resolution
    images = torch.randn(PARITY_IMAGES, 3, side, side, generator=noise)
    parity = measure_parity(network, onnx_file, images, "random")
    check_parity(parity, architecture.label)
    write_files(network, out / folder, files, batch=batch, calibration=None)
    exported = describe_export(
        network,
        onnx_file,
        record_folder=out,
        weights=weights,
        parity=parity,
        preprocessing=None,
    )
    return exported.model_copy(update={"files": describe_files(out / folder, files)})


def _folders(architectures: Sequence[Architecture]) -> list[tuple[Architecture, str]]:
    """A folder's name for each: the architecture's own where it has one, else its number."""
    named = []
    for number, architecture in enumerate(architectures):
        label = architecture.name or f"{architecture.space}-{architecture.resolution}-{number}"
        named.append((architecture, re.sub(r"[^\w.-]+", "_", label).strip(".") or str(number)))
    folders = [folder for _, folder in named]
    twice = sorted({folder for folder in folders if folders.count(folder) > 1})
    if twice:
        raise UsageError(f"two architectures would be written to {twice[0]!r}; name them apart")
    return named
