"""Training of one network on its own: what the search chose."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pipeline.errors import DataError, StageError
from pipeline.fingerprint import environment
from pipeline.network import Network, build_network, save_checkpoint
from pipeline.progress import Progress
from pipeline.records import RetrainRecord
from pipeline.space import Architecture
from pipeline.supernet import Supernet
from pipeline.training.compute import Compute, compute_here
from pipeline.training.distillation import label_loss
from pipeline.training.evaluation import Tally, tally
from pipeline.training.finished import checkpoint_file, finish, finished_record, inputs_digest
from pipeline.training.fitting import Fit
from pipeline.training.image_data import ImageData, Split
from pipeline.training.learner import Stateless, Step
from pipeline.training.settings import RetrainSettings

CHECKPOINT = "model.safetensors"

_BATCH = 256


def retrain(
    architecture: Architecture,
    data: ImageData,
    settings: RetrainSettings,
    *,
    warm_start: Supernet | None,
    folder: Path,
    seed: int,
    progress: Progress,
) -> RetrainRecord:
    """Trains a network, going on where an earlier call was killed.

    Args:
        architecture: The network.
        data: Images at its resolution, of its number of classes.
        settings: How long and how fast.
        warm_start: The hypernetwork to start from; needed if the settings say so, else unused.
        folder: Takes `model.safetensors`, and a checkpoint while training.
        seed: Of initialisation, image order, augmentation and dropout.
        progress: Told about steps.

    Returns:
        The record; its checkpoint is relative to `folder`.

    Raises:
        StageError: A warm start is asked for and there is no hypernetwork.
        DataError: The images do not fit the architecture, or one cannot be read.
        ArchitectureError: The hypernetwork does not hold the architecture.
        PipelineError: The training diverged.
        StorageError: A checkpoint cannot be written.
    """
    _check_fit(architecture, data)
    network = _start(architecture, settings, warm_start, seed)
    start = _digest_of_weights(network)
    inputs = inputs_digest("retrain", architecture, data.record, settings, seed, start)
    if finished := finished_record(folder, inputs, RetrainRecord):
        return finished

    compute = compute_here()
    data = data.to(compute.device)
    network.to(compute.device).to(memory_format=torch.channels_last)

    def evaluated(split: Split) -> Tally:
        network.eval()
        return tally(network, data.batches(split, _BATCH), data.num_classes)

    done = Fit(
        model=network,
        learner=_Alone(network, compute, settings.label_smoothing),
        average=None,
        evaluate=lambda _: evaluated("search-validation").percent,
        data=data,
        settings=settings,
        checkpoint=checkpoint_file(folder),
        log=folder,
        inputs=inputs,
        seed=seed,
        compute=compute,
        progress=progress,
    ).run()
    save_checkpoint(network, folder / CHECKPOINT)
    test = evaluated("test")
    record = RetrainRecord(
        architecture=architecture,
        warm_start=settings.warm_start,
        epochs=done.epochs,
        accuracy_percent=evaluated("search-validation").percent,
        test_accuracy_percent=test.percent,
        test_accuracy_by_class_percent=test.percent_by_class(data.record.class_names),
        dataset=data.record,
        checkpoint=CHECKPOINT,
        seconds=done.seconds,
        environment=environment(),
    )
    finish(folder, inputs, record)
    return record


@dataclass
class _Alone(Stateless):
    """Trains one network on the labels."""

    network: Network
    compute: Compute
    label_smoothing: float

    def gradients(self, images: Tensor, labels: Tensor, step: Step) -> Tensor:
        """See `Learner`."""
        with self.compute.forward():
            loss = label_loss(self.network(images), labels, self.label_smoothing)
        self.compute.backward(loss)
        return loss.detach()


def _check_fit(architecture: Architecture, data: ImageData) -> None:
    resolution = data.record.preprocessing.resolution
    if (resolution, data.num_classes) != (architecture.resolution, architecture.num_classes):
        raise DataError(
            f"{data.record.name} has {data.num_classes} classes at {resolution} pixels; "
            f"{architecture.label} expects {architecture.num_classes} at {architecture.resolution}",
            hint="set the architecture's num_classes and resolution to those of the images",
        )


def _start(
    architecture: Architecture, settings: RetrainSettings, supernet: Supernet | None, seed: int
) -> Network:
    if not settings.warm_start:
        return build_network(architecture, seed=seed, dropout=settings.dropout)
    if supernet is None:
        raise StageError(
            "retraining is to start from the hypernetwork's weights, and there is no hypernetwork",
            hint="train one: python run_pipeline.py train; or --set retrain.warm_start=false",
        )
    return supernet.subnet(architecture, dropout=settings.dropout)


def _digest_of_weights(network: Network) -> str:
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
