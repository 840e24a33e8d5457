"""Training of one network on its own: what the search chose."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from timm.layers import convert_sync_batchnorm
from torch import nn

from pipeline.device.fingerprint import environment
from pipeline.errors import DataError, StageError, UsageError
from pipeline.images.image_data import ImageData, Split
from pipeline.network.network import Network, build_network, save_checkpoint
from pipeline.network.supernet import Supernet
from pipeline.records.candidates import Candidate
from pipeline.records.retrain import RetrainRecord
from pipeline.space.architecture import Architecture
from pipeline.training.compute import Compute, compute_here
from pipeline.training.finished import checkpoint_file, finish, finished_record, inputs_digest
from pipeline.training.fitting import Fit
from pipeline.training.network_average import NetworkAverage
from pipeline.training.processes import Processes, joined
from pipeline.training.retraining.batch_variation import BatchVariation
from pipeline.training.retraining.student import Student
from pipeline.training.retraining.teacher import larger_path, path_as_teacher, timm_as_teacher
from pipeline.training.scoring.evaluation import Tally, tally
from pipeline.training.settings import HYPERNETWORK, RetrainSettings
from pipeline.work.progress import Progress

CHECKPOINT = "model.safetensors"

_BATCH = 256


def retrain(
    architecture: Architecture,
    data: ImageData,
    settings: RetrainSettings,
    *,
    supernet: Supernet | None,
    scored: Sequence[Candidate] = (),
    folder: Path,
    seed: int,
    progress: Progress,
) -> RetrainRecord:
    """Trains a network, going on where an earlier call was killed.

    Started by `torchrun`, every process calls it and gets the same record; the first writes files.

    Args:
        architecture: The network.
        data: Images at its resolution, of its number of classes.
        settings: How, how long and how fast.
        supernet: The hypernetwork to start from or to be taught by, where the settings say so.
        scored: What the hypernetwork's paths reach, to choose the teacher from.
        folder: Takes `model.safetensors`, the log, and a checkpoint while training.
        seed: Of initialisation, image order, augmentation and dropout.
        progress: Told about steps.

    Returns:
        The record; its checkpoint is relative to `folder`.

    Raises:
        StageError: The settings ask for the hypernetwork and there is none, or none of its paths
            can teach.
        UsageError: The settings ask for what this machine or this number of processes cannot do.
        UnknownNameError: timm has no such teacher.
        CheckpointError: The teacher's weights do not load.
        DataError: The images do not fit the architecture or the teacher, or one cannot be read.
        ArchitectureError: The hypernetwork does not hold the architecture.
        PipelineError: The training diverged.
        StorageError: A checkpoint cannot be written.
    """
    _check_fit(architecture, data)
    with joined() as processes:
        run = _Run(architecture, data, settings, folder, seed, compute_here(), processes)
        run.check()
        network = run.start(supernet)
        teacher = run.teacher(supernet, scored)
        inputs = run.inputs(network, teacher)
        # Nothing is written before all have seen what is there.
        processes.wait()
        finished = finished_record(folder, inputs, RetrainRecord)
        return finished or run.train(network, teacher, inputs, progress)


class _Teacher(NamedTuple):
    name: str
    network: nn.Module


@dataclass(frozen=True)
class _Run:
    """One training: the arguments of `retrain`, and where it runs."""

    architecture: Architecture
    data: ImageData
    settings: RetrainSettings
    folder: Path
    seed: int
    compute: Compute
    processes: Processes

    def check(self) -> None:
        """Refuses what cannot be trained, before anything is written."""
        settings = self.settings
        if settings.sync_batch_norm and self.compute.device.type != "cuda":
            raise UsageError("retrain.sync_batch_norm works on GPUs only; this machine has none")
        images = settings.batch_size // self.processes.count // settings.accumulate
        if images < 2 or (settings.mixes and images % 2):
            raise UsageError(
                f"{settings.batch_size} images a step are {images} at once in each of "
                f"{self.processes.count} processes; expected at least 2"
                + (", and an even number to mix" if settings.mixes else ""),
                hint="raise retrain.batch_size, or lower retrain.accumulate",
            )

    def start(self, supernet: Supernet | None) -> Network:
        """The network as it is before the first step."""
        dropout = self.settings.dropout
        if not self.settings.warm_start:
            return build_network(self.architecture, seed=self.seed, dropout=dropout)
        return _given(supernet, "start from").subnet(self.architecture, dropout=dropout)

    def teacher(self, supernet: Supernet | None, scored: Sequence[Candidate]) -> _Teacher | None:
        """Who teaches, with a name for people."""
        settings = self.settings.teacher
        if settings is None:
            return None
        if settings.source != HYPERNETWORK:
            return _Teacher(settings.source, timm_as_teacher(settings, self.data))
        holds = _given(supernet, "be taught by")
        path = larger_path(scored, self.architecture)
        return _Teacher(f"hypernetwork, {path.short}", path_as_teacher(holds, path, self.data))

    def inputs(self, network: Network, teacher: _Teacher | None) -> str:
        """Digest of what the result depends on."""
        weights = [digest_of_weights(network)]
        weights += [digest_of_weights(teacher.network)] if teacher else []
        return inputs_digest(
            "retrain", self.architecture, self.data.record, self.settings, self.seed, *weights
        )

    def train(
        self, network: Network, teacher: _Teacher | None, inputs: str, progress: Progress
    ) -> RetrainRecord:
        """Trains to the end."""
        settings, compute, processes = self.settings, self.compute, self.processes
        data = self.data.to(compute.device)
        if settings.rand_augment:
            data = data.varied(settings.rand_augment)
        if settings.sync_batch_norm:
            convert_sync_batchnorm(network)
        network.to(compute.device).to(memory_format=torch.channels_last)
        if teacher:
            teacher.network.to(compute.device).to(memory_format=torch.channels_last)
        average = NetworkAverage(network, settings.ema_decay) if settings.ema_decay else None

        def evaluated(split: Split) -> Tally:
            network.eval()
            return tally(network, data.batches(split, _BATCH), data.num_classes)

        def monitored(epoch: int) -> float:
            self._share_statistics(network)
            return evaluated("search-validation").percent

        vary = BatchVariation(settings, data.num_classes, seed=self.seed, part=processes.rank)
        done = Fit(
            model=network,
            learner=Student(network, compute, settings, vary, teacher and teacher.network),
            average=average,
            evaluate=monitored,
            data=data,
            settings=settings,
            checkpoint=checkpoint_file(self.folder),
            log=self.folder,
            inputs=inputs,
            seed=self.seed,
            compute=compute,
            progress=progress,
            processes=processes,
            optimizer=settings.optimizer,
            warmup_share=settings.warmup_share,
        ).run()
        if average:
            average.keep()
        self._share_statistics(network)
        test = evaluated("test")
        record = RetrainRecord(
            architecture=self.architecture,
            method=settings.method,
            warm_start=settings.warm_start,
            teacher=teacher.name if teacher else None,
            epochs=done.epochs,
            accuracy_percent=evaluated("search-validation").percent,
            test_accuracy_percent=test.percent,
            test_accuracy_by_class_percent=test.percent_by_class(data.record.class_names),
            dataset=data.record,
            compute=compute.name,
            processes=processes.count,
            checkpoint=CHECKPOINT,
            seconds=done.seconds,
            environment=environment(),
        )
        if processes.is_first:
            save_checkpoint(network, self.folder / CHECKPOINT)
            finish(self.folder, inputs, record)
        return record

    def _share_statistics(self, network: Network) -> None:
        """Gives all processes the mean of the statistics that each gathered on its images."""
        self.processes.average([b for b in network.buffers() if b.is_floating_point()])


def _given(supernet: Supernet | None, what: str) -> Supernet:
    if supernet is None:
        raise StageError(
            f"retraining is to {what} the hypernetwork, and there is no hypernetwork",
            hint="train one: python run_pipeline.py train; or "
            "--set retrain.warm_start=false --set retrain.teacher=null",
        )
    return supernet


def _check_fit(architecture: Architecture, data: ImageData) -> None:
    resolution = data.record.preprocessing.resolution
    if (resolution, data.num_classes) != (architecture.resolution, architecture.num_classes):
        raise DataError(
            f"{data.record.name} has {data.num_classes} classes at {resolution} pixels; "
            f"{architecture.label} expects {architecture.num_classes} at {architecture.resolution}",
            hint="set the architecture's num_classes and resolution to those of the images",
        )


def digest_of_weights(network: nn.Module) -> str:
    """SHA-256 over a network's weights and statistics, by name."""
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
