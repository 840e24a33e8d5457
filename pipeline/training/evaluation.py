"""Accuracy, of any model and of the hypernetwork's networks with their batch norm recalibrated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from pipeline.errors import DataError
from pipeline.space import Architecture
from pipeline.supernet import Supernet
from pipeline.training.image_data import Batch, ImageData, sample_of
from pipeline.training.settings import ScoreSettings
from pipeline.training.small_maps import SmallMaps

_BATCH = 256


class HypernetworkScorer:
    """Scores architectures with the hypernetwork's shared weights.

    Batch-norm statistics that were gathered over many different paths fit none of them, so they
    are taken anew for each candidate, from training images. The hypernetwork is left as it was.
    The images stay in memory: 12 KiB each at 32 pixels, 588 KiB at 224.

    Args:
        supernet: The trained hypernetwork.
        data: Where the images come from.
        settings: How many of them.
    """

    def __init__(self, supernet: Supernet, data: ImageData, settings: ScoreSettings) -> None:
        self._supernet = supernet.to(memory_format=torch.channels_last)
        images, labels = sample_of(data, "search-validation", settings.images)
        calibration, _ = sample_of(data, "train", settings.recalibration_images)
        self._batches = list(zip(images.split(_BATCH), labels.split(_BATCH), strict=True))
        self._calibration = calibration.split(_BATCH)

    def __call__(self, architecture: Architecture) -> float:
        """Top-1 accuracy on search-validation, in percent; the same bits for the same question.

        Raises:
            ArchitectureError: The hypernetwork does not hold the architecture.
        """
        supernet = self._supernet
        with _kept(supernet, architecture), SmallMaps():
            recalibrate_batch_norm(supernet, architecture, self._calibration)
            supernet.eval()
            counted = tally(
                lambda x: supernet(x, architecture), self._batches, supernet.num_classes
            )
            return counted.percent


@dataclass(frozen=True)
class Tally:
    """Images classified correctly and images in all, by class.

    Attributes:
        correct: Shape (classes,).
        total: Shape (classes,).
    """

    correct: Tensor
    total: Tensor

    @property
    def percent(self) -> float:
        """Top-1 accuracy over all images."""
        return 100.0 * int(self.correct.sum()) / int(self.total.sum())

    def percent_by_class(self, class_names: Sequence[str]) -> dict[str, float]:
        """Top-1 accuracy of each class that has images."""
        counts = zip(class_names, self.correct.tolist(), self.total.tolist(), strict=True)
        return {name: 100.0 * correct / total for name, correct, total in counts if total}


def tally(model: Callable[[Tensor], Tensor], batches: Iterable[Batch], num_classes: int) -> Tally:
    """Classifies images and counts the hits.

    Args:
        model: Maps images of shape (n, 3, r, r) to logits of shape (n, num_classes); in evaluation
            mode.
        batches: What to evaluate on.
        num_classes: Number of classes.

    Raises:
        DataError: There are no images.
    """
    correct = torch.zeros(num_classes, dtype=torch.int64)
    total = torch.zeros(num_classes, dtype=torch.int64)
    with torch.inference_mode():
        for inputs, labels in batches:
            hits = model(inputs).argmax(1) == labels
            correct += torch.bincount(labels[hits], minlength=num_classes)
            total += torch.bincount(labels, minlength=num_classes)
    if not total.any():
        raise DataError("there are no images to evaluate on")
    return Tally(correct, total)


def recalibrate_batch_norm(
    supernet: Supernet, architecture: Architecture, batches: Iterable[Tensor]
) -> None:
    """Sets the batch-norm statistics of one path to the plain average over some images.

    Args:
        supernet: Changed in place: the path's statistics only.
        architecture: The path.
        batches: Training images, each of shape (n, 3, r, r).
    """
    norms = _batch_norms(supernet, architecture)
    momenta = [norm.momentum for norm in norms]
    supernet.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    with torch.inference_mode():
        for images in batches:
            supernet(images, architecture)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()


def _batch_norms(supernet: Supernet, architecture: Architecture) -> list[_BatchNorm]:
    modules = (m for block in supernet.path(architecture) for m in block.modules())
    return [m for m in modules if isinstance(m, _BatchNorm)]


@contextmanager
def _kept(supernet: Supernet, architecture: Architecture) -> Iterator[None]:
    """Puts back the path's batch-norm statistics and the mode."""
    norms = _batch_norms(supernet, architecture)
    before = [{name: b.clone() for name, b in norm.named_buffers()} for norm in norms]
    was_training = supernet.training
    try:
        yield
    finally:
        for norm, buffers in zip(norms, before, strict=True):
            for name, value in buffers.items():
                norm.get_buffer(name).copy_(value)
        supernet.train(was_training)
