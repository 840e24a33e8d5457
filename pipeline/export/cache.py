"""Exported operators and networks with random weights, kept for every run on this machine.

Latency does not depend on what the weights are, so one export serves all measurements of an
operator. The cache is keyed by what decides the file's content: the operator or architecture, the
batch, and the versions of the exporters. Files of other precisions are made of `model.onnx` when
they are first asked for, calibrated on noise, and lie beside it. Files appear whole or not at all;
a kill loses at most the exports that were under way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, as_completed
from functools import partial
from importlib import metadata
from pathlib import Path

import onnxruntime
import torch

from pipeline.device.model_files import FP32, KINDS, PROGRAM
from pipeline.device.target import usable_cores
from pipeline.errors import ExportError, UnknownNameError
from pipeline.export.precision import make_file, noise_for
from pipeline.export.to_onnx import RANDOM_SEED, export_network, export_operator, export_timm
from pipeline.files.cache_folder import cache_dir
from pipeline.files.whole import digest_of
from pipeline.network.network import build_network
from pipeline.network.operators import imitate_training, seeded
from pipeline.network.timm_networks import TimmNetwork
from pipeline.space.architecture import Architecture
from pipeline.space.operator_spec import OperatorSpec
from pipeline.work.progress import Progress, silent
from pipeline.work.workers import pool_of

# Raised whenever the same inputs begin to give other files.
_FORMAT = 2
_EXPORTERS = ("torch", "onnxscript", "timm")
_FEW = 2


ExportJob = OperatorSpec | Architecture | TimmNetwork


def cached_operator(spec: OperatorSpec, *, batch: int, file: str = FP32) -> Path:
    """Folder with a file of the operator, made if it is not there yet.

    Raises:
        ExportError: The operator cannot be had as such a file.
        UnknownNameError: There is no such kind of file.
        StorageError: The file cannot be written.
    """
    return _cached(
        _folder(spec, batch),
        file,
        lambda folder, exported: export_operator(spec, folder, batch=batch, file=exported),
    )


def cached_network(architecture: Architecture, *, batch: int | None, file: str = FP32) -> Path:
    """Folder with a file of a network with random weights (seed 0).

    The file knows nothing of the architecture's name: equal architectures share it.

    Raises:
        ExportError: The network cannot be had as such a file.
        UnknownNameError: There is no such kind of file.
        StorageError: The file cannot be written.
    """

    def export(folder: Path, exported: str) -> None:
        network = build_network(architecture.model_copy(update={"name": None}), seed=RANDOM_SEED)
        with seeded(RANDOM_SEED):
            imitate_training(network)
        export_network(network, folder, batch=batch, file=exported)

    return _cached(_folder(architecture, batch), file, export)


def cached_timm(network: TimmNetwork, *, batch: int | None, file: str = FP32) -> Path:
    """Folder with a file of a timm network with random weights.

    Raises:
        UnknownNameError: timm has no such network, or there is no such kind of file.
        ExportError: The network cannot be had as such a file.
        StorageError: The file cannot be written.
    """
    return _cached(
        _folder(network, batch),
        file,
        lambda folder, exported: export_timm(
            network.name,
            folder,
            resolution=network.resolution,
            num_classes=network.num_classes,
            batch=batch,
            file=exported,
        ),
    )


def _cached(folder: Path, file: str, export: Callable[[Path, str], object]) -> Path:
    if file not in KINDS:
        raise UnknownNameError.of("file of a model", file, KINDS)
    exported = PROGRAM if file == PROGRAM else FP32
    if not (folder / file).is_file():
        if not (folder / exported).is_file():
            export(folder, exported)
        if file != exported:
            make_file(folder, file, noise_for(folder))
    return folder


def export_all(
    jobs: Sequence[ExportJob],
    *,
    batch: int,
    file: str = FP32,
    workers: int | None = None,
    progress: Progress = silent,
) -> list[Path]:
    """Exports whatever is not in the cache yet, several at a time.

    Args:
        jobs: Operators, architectures and networks of timm; may repeat.
        batch: Images a call.
        file: Which file of each (`pipeline.device.model_files`).
        workers: Processes; at most two where None, since each holds PyTorch in memory.
        progress: Told after every export.

    Returns:
        The folder of each job, in the order of `jobs`.

    Raises:
        ExportError: The exporter refuses one (named in the message), or a process died.
        UnknownNameError: timm has no network of a name, or there is no such kind of file.
        StorageError: A file cannot be written.
    """
    folders = [_folder(job, batch) for job in jobs]
    distinct = dict(zip(folders, jobs, strict=True))
    missing = [job for folder, job in distinct.items() if not (folder / file).is_file()]
    done = len(distinct) - len(missing)
    workers = min(2, usable_cores()) if workers is None else workers
    progress(done, len(distinct), "in the cache")
    if len(missing) <= _FEW or workers == 1:
        for number, job in enumerate(missing, start=done + 1):
            _export(job, batch, file)
            progress(number, len(distinct), _label(job))
    else:
        _export_in_parallel(missing, batch, file, workers, progress, done)
    return folders


def _export_in_parallel(
    jobs: Sequence[ExportJob],
    batch: int,
    file: str,
    workers: int,
    progress: Progress,
    done: int,
) -> None:
    total = done + len(jobs)
    one_thread = partial(torch.set_num_threads, 1)
    with pool_of(min(workers, len(jobs)), one_thread, ExportError) as pool:
        futures: dict[Future[None], ExportJob] = {
            pool.submit(_export, job, batch, file): job for job in jobs
        }
        for number, future in enumerate(as_completed(futures), start=done + 1):
            future.result()
            progress(number, total, _label(futures[future]))


def _export(job: ExportJob, batch: int, file: str) -> None:
    if isinstance(job, OperatorSpec):
        cached_operator(job, batch=batch, file=file)
    elif isinstance(job, Architecture):
        cached_network(job, batch=batch, file=file)
    else:
        cached_timm(job, batch=batch, file=file)


def _label(job: ExportJob) -> str:
    return job.key if isinstance(job, OperatorSpec) else job.label


def _folder(job: ExportJob, batch: int | None) -> Path:
    versions = "-".join(f"{name}{metadata.version(name)}" for name in _EXPORTERS)
    # It makes the files in other precisions; its package has several names.
    versions += f"-onnxruntime{onnxruntime.__version__}"
    ending = f"b{batch}" if batch else "dynamic"
    return cache_dir() / "onnx" / f"format{_FORMAT}-{versions}" / f"{_stem(job)}-{ending}"


def _stem(job: ExportJob) -> str:
    if isinstance(job, OperatorSpec):
        return job.key
    if isinstance(job, TimmNetwork):
        return f"timm-{job.name}-r{job.resolution}-c{job.num_classes}"
    # The one-line form of a deep network is longer than a file's name may be.
    return f"{job.space}-r{job.resolution}-{digest_of(job.short)[:16]}"
