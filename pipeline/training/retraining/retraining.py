"""Training of one network on its own, to the end: the winner, and what it stands beside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.device.fingerprint import environment
from pipeline.images.image_data import ImageData
from pipeline.network.network import Network, save_checkpoint
from pipeline.network.supernet import Supernet
from pipeline.network.timm_networks import TimmNetwork, save_timm
from pipeline.records.candidates import Candidate
from pipeline.records.retrain import OffTheShelfRecord, RetrainRecord
from pipeline.space.architecture import Architecture
from pipeline.training.checkpoint import Progressed
from pipeline.training.context import training_context
from pipeline.training.finished import trained_once
from pipeline.training.retraining.alone import Alone, Hypernetwork
from pipeline.training.scoring.evaluation import Tally
from pipeline.training.settings import RetrainSettings
from pipeline.work.progress import Progress

CHECKPOINT = "model.safetensors"


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
    stable_share: float = 0.0,
) -> RetrainRecord:
    """Trains a network, going on where an earlier call was killed.

    Started by `torchrun`, every process calls it and gets the same record; the first writes files.

    Args:
        architecture: The network.
        data: Images at its resolution, of its number of classes.
        settings: How, how long and how fast.
        supernet: The hypernetwork to start from or to be taught by, where the settings say so.
        scored: What the hypernetwork's paths reach, to choose the teacher from.
        folder: Takes `model.safetensors`, the log, and a checkpoint while training; one that
            `trying.try_out` left there, with the same arguments, is gone on with.
        seed: Of initialisation, image order, augmentation and dropout.
        progress: Told about steps.
        stable_share: Share of the steps after which the learning rate falls.

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
    with training_context(folder, seed, progress) as context:
        alone = Alone.of(
            architecture, data, settings, context, Hypernetwork(supernet, scored), stable_share
        )

        def train(_: str) -> RetrainRecord:
            done, validation, test = _trained(alone)
            return RetrainRecord(
                architecture=architecture,
                method=settings.method,
                warm_start=settings.warm_start,
                teacher=alone.teacher.name if alone.teacher else None,
                epochs=done.epochs,
                accuracy_percent=validation.percent,
                test_accuracy_percent=test.percent,
                test_accuracy_by_class_percent=test.percent_by_class(data.record.class_names),
                dataset=data.record,
                compute=context.compute.name,
                processes=context.processes.count,
                checkpoint=CHECKPOINT,
                seconds=done.seconds,
                environment=environment(),
            )

        return trained_once(context, alone.inputs, RetrainRecord, train)


def retrain_off_the_shelf(
    network: TimmNetwork,
    data: ImageData,
    settings: RetrainSettings,
    *,
    folder: Path,
    seed: int,
    progress: Progress,
    stable_share: float = 0.0,
) -> OffTheShelfRecord:
    """Trains a network of timm as `retrain` does one of a search space, from nothing.

    Raises:
        PipelineError: As `retrain`.
        UnknownNameError: timm has no such network.
    """
    with training_context(folder, seed, progress) as context:
        alone = Alone.of(network, data, settings, context, Hypernetwork(), stable_share)

        def train(_: str) -> OffTheShelfRecord:
            done, validation, test = _trained(alone)
            return OffTheShelfRecord(
                name=network.name,
                resolution=network.resolution,
                epochs=done.epochs,
                accuracy_percent=validation.percent,
                test_accuracy_percent=test.percent,
                checkpoint=CHECKPOINT,
                seconds=done.seconds,
            )

        return trained_once(context, alone.inputs, OffTheShelfRecord, train)


def _trained(alone: Alone) -> tuple[Progressed, Tally, Tally]:
    """Trains to the end and writes the weights; what was right on search-validation and on test."""
    done = alone.fit.run()
    validation, test = alone.tally("search-validation"), alone.tally("test")
    if alone.context.processes.is_first:
        path = alone.context.folder / CHECKPOINT
        if isinstance(alone.network, Network):
            save_checkpoint(alone.network, path)
        else:
            save_timm(alone.network, path)
    return done, validation, test
