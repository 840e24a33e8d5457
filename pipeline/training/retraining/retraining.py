"""Training of one network on its own: what the search chose."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from pipeline.device.fingerprint import environment
from pipeline.errors import DataError, StageError, UsageError
from pipeline.images.image_data import ImageData, Split
from pipeline.images.rand_augment import check_rand_augment
from pipeline.network.network import Network, build_network, save_checkpoint
from pipeline.network.supernet import Supernet
from pipeline.records.candidates import Candidate
from pipeline.records.retrain import RetrainRecord
from pipeline.space.architecture import Architecture
from pipeline.training.averages import NetworkAverage
from pipeline.training.compute import Compute
from pipeline.training.context import TrainingContext, check_sync_batch_norm, training_context
from pipeline.training.finished import inputs_digest, trained_once
from pipeline.training.fitting import Fit
from pipeline.training.retraining.batch_variation import BatchVariation
from pipeline.training.retraining.student import Student
from pipeline.training.retraining.teacher_network import (
    TeacherNetwork,
    check_teacher,
    larger_path,
    path_as_teacher,
    timm_as_teacher,
)
from pipeline.training.scoring.evaluation import Tally, tally
from pipeline.training.settings import HYPERNETWORK, RetrainSettings, TeacherSettings
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
    with training_context(folder, seed, progress) as context:
        check_settings(settings, context.compute, context.processes.count)
        network = _start(architecture, settings, supernet, seed)
        teacher = _teacher(architecture, settings.teacher, data, supernet, scored)
        training = _Retraining(architecture, data, settings, context, network, teacher)
        return trained_once(context, training.inputs(), RetrainRecord, training.train)


@dataclass(frozen=True)
class _Retraining:
    """What is trained, how and where; and how it is before the first step."""

    architecture: Architecture
    data: ImageData
    settings: RetrainSettings
    context: TrainingContext
    network: Network
    teacher: TeacherNetwork | None

    def inputs(self) -> str:
        """Digest of what the result depends on."""
        weights = [digest_of_weights(self.network)]
        weights += [digest_of_weights(self.teacher.network)] if self.teacher else []
        seed = self.context.seed
        return inputs_digest(
            "retrain", self.architecture, self.data.record, self.settings, seed, *weights
        )

    def train(self, inputs: str) -> RetrainRecord:
        """Trains to the end, and writes the weights."""
        settings, context, network = self.settings, self.context, self.network
        teacher = self.teacher.network if self.teacher else None
        data = self.data.to(context.compute.device)
        if settings.rand_augment:
            data = data.varied(settings.rand_augment)
        context.place(network, sync_batch_norm=settings.sync_batch_norm)
        if teacher is not None:
            context.place(teacher)

        def evaluated(split: Split) -> Tally:
            network.eval()
            return tally(network, data.batches(split, _BATCH), data.num_classes)

        def monitored(epoch: int) -> float:
            self._share_statistics()
            return evaluated("search-validation").percent

        rank = context.processes.rank
        vary = BatchVariation(settings, data.num_classes, seed=context.seed, part=rank)
        done = Fit(
            model=network,
            learner=Student(network, context.compute, settings, vary, teacher),
            average=NetworkAverage(network, settings.ema_decay) if settings.ema_decay else None,
            evaluate=monitored,
            data=data,
            settings=settings,
            context=context,
            inputs=inputs,
            optimizer=settings.optimizer,
            warmup_share=settings.warmup_share,
        ).run()
        self._share_statistics()
        test = evaluated("test")
        if context.processes.is_first:
            save_checkpoint(network, context.folder / CHECKPOINT)
        return RetrainRecord(
            architecture=self.architecture,
            method=settings.method,
            warm_start=settings.warm_start,
            teacher=self.teacher.name if self.teacher else None,
            epochs=done.epochs,
            accuracy_percent=evaluated("search-validation").percent,
            test_accuracy_percent=test.percent,
            test_accuracy_by_class_percent=test.percent_by_class(data.record.class_names),
            dataset=data.record,
            compute=context.compute.name,
            processes=context.processes.count,
            checkpoint=CHECKPOINT,
            seconds=done.seconds,
            environment=environment(),
        )

    def _share_statistics(self) -> None:
        """Gives all processes the mean of the statistics that each gathered on its images."""
        statistics = [b for b in self.network.buffers() if b.is_floating_point()]
        self.context.processes.average(statistics)


def check_settings(settings: RetrainSettings, compute: Compute, count: int = 1) -> None:
    """Refuses settings that no network can be trained by, before anything is written.

    Args:
        settings: Of `retrain`.
        compute: Where it is to run.
        count: Processes that share each batch.

    Raises:
        UsageError: They ask for what this machine or this number of processes cannot do, or timm
            cannot read how images are to be varied.
        UnknownNameError: timm has no such teacher.
        CheckpointError: There is no such file of its weights.
    """
    if settings.sync_batch_norm:
        check_sync_batch_norm("retrain", compute)
    if settings.rand_augment:
        check_rand_augment(settings.rand_augment)
    if settings.teacher:
        check_teacher(settings.teacher)
    images = settings.batch_size // count // settings.accumulate
    if images < 2 or (settings.mixes and images % 2):
        raise UsageError(
            f"{settings.batch_size} images a step are {images} at once in each of "
            f"{count} processes; expected at least 2"
            + (", and an even number to mix" if settings.mixes else ""),
            hint="raise retrain.batch_size, or lower retrain.accumulate",
        )


def _start(
    architecture: Architecture, settings: RetrainSettings, supernet: Supernet | None, seed: int
) -> Network:
    """The network as it is before the first step."""
    if not settings.warm_start:
        return build_network(architecture, seed=seed, dropout=settings.dropout)
    return _given(supernet, "start from").subnet(architecture, dropout=settings.dropout)


def _teacher(
    architecture: Architecture,
    settings: TeacherSettings | None,
    data: ImageData,
    supernet: Supernet | None,
    scored: Sequence[Candidate],
) -> TeacherNetwork | None:
    if settings is None:
        return None
    if settings.source != HYPERNETWORK:
        return timm_as_teacher(settings, data)
    holds = _given(supernet, "be taught by")
    return path_as_teacher(holds, larger_path(scored, architecture), data)


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
