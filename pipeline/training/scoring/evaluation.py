"""Scores of the hypernetwork's networks, batch norm recalibrated; and accuracy of any model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.errors import ArchitectureError, DataError, PipelineError
from pipeline.images.image_data import Batch, ImageData
from pipeline.network.supernet import Supernet
from pipeline.space.architecture import Architecture
from pipeline.training.scoring.network_score import NetworkScore
from pipeline.training.scoring.prefix_cache import PassBatches, evaluate_together
from pipeline.training.settings import ScoreSettings

OnScored = Callable[[Architecture, NetworkScore], None]

_BATCH = 256
MOST_KEPT_BYTES = 2 * 2**30


class HypernetworkScorer:
    """Scores architectures with the hypernetwork's shared weights.

    Batch-norm statistics that were gathered over many different paths fit none of them, so they
    are taken anew for each candidate, from training images. The hypernetwork is left as it was.
    Images of a size are loaded when the first architecture of it is scored, and stay in memory, on
    the hypernetwork's device: 12 KiB each at 32 pixels, 588 KiB at 224.

    Args:
        supernet: The trained hypernetwork; it stays on its device.
        data: Where the images come from, at any size.
        settings: How many of them.
        resolutions: Input sizes the hypernetwork was trained at; None: that of `data`.
        most_kept_bytes: Most memory for outputs of leading blocks that candidates share; the scores
            do not depend on it.
    """

    def __init__(
        self,
        supernet: Supernet,
        data: ImageData,
        settings: ScoreSettings,
        *,
        resolutions: Sequence[int] | None = None,
        most_kept_bytes: int = MOST_KEPT_BYTES,
    ) -> None:
        self._supernet = supernet.to(memory_format=torch.channels_last)
        self._data = data
        self._settings = settings
        self._resolutions = resolutions or (data.record.preprocessing.resolution,)
        self._most_kept_bytes = most_kept_bytes
        self._loaded: dict[int, _Images] = {}

    def __call__(self, architecture: Architecture) -> NetworkScore:
        """The score on search-validation; the same bits for the same question.

        Raises:
            ArchitectureError: See `check`.
        """
        return self.scores([architecture])[0]

    def scores(
        self,
        architectures: Sequence[Architecture],
        on_scored: OnScored = lambda architecture, score: None,
    ) -> list[NetworkScore]:
        """Scores many architectures, quicker than one at a time where they begin alike.

        Args:
            architectures: Of any of the sizes. To the bit the same on a CPU, each has the score it
                has alone, with as many threads.
            on_scored: Told of each as soon as it is scored, in an order of its own; of one that
                stands twice only once.

        Returns:
            What each does on search-validation.

        Raises:
            ArchitectureError: See `check`; none is scored then.
            DataError: There are no images, or one cannot be read.
            PipelineError: A network's outputs are no numbers.
        """
        self.check(architectures)
        found: dict[Architecture, NetworkScore] = {}

        def tell(architecture: Architecture, score: NetworkScore) -> None:
            found[architecture] = score
            on_scored(architecture, score)

        for resolution in dict.fromkeys(it.resolution for it in architectures):
            of_size = [it for it in architectures if it.resolution == resolution]
            self._score(of_size, self._images(resolution), tell)
        return [found[architecture] for architecture in architectures]

    def check(self, architectures: Iterable[Architecture]) -> None:
        """Refuses what cannot be scored.

        Raises:
            ArchitectureError: The hypernetwork does not hold an architecture, or was not trained at
                its size.
        """
        for architecture in architectures:
            self._supernet.path(architecture)
            resolution = architecture.resolution
            if resolution not in self._resolutions:
                raise ArchitectureError(
                    f"{architecture.short} takes images of {resolution} pixels; expected a size "
                    f"the hypernetwork was trained at: {', '.join(map(str, self._resolutions))}",
                    hint=f"add {resolution} to space.resolution, and train again",
                )

    def _score(
        self,
        architectures: Sequence[Architecture],
        images: _Images,
        tell: OnScored,
    ) -> None:
        def judge(architecture: Architecture, logits: Sequence[Tensor]) -> None:
            tell(architecture, _judged(architecture.short, logits, images.labels, "train"))

        evaluate_together(
            self._supernet, architectures, images.batches, judge, most_bytes=self._most_kept_bytes
        )

    def _images(self, resolution: int) -> _Images:
        if resolution not in self._loaded:
            device = next(self._supernet.parameters()).device
            self._loaded[resolution] = _load(self._data.at(resolution), self._settings, device)
        return self._loaded[resolution]


@dataclass(frozen=True)
class _Images:
    """Images of one size, and the labels of each batch to classify."""

    batches: PassBatches
    labels: Sequence[Tensor]


def _load(data: ImageData, settings: ScoreSettings, device: torch.device) -> _Images:
    images, labels = data.labelled_sample("search-validation", settings.images)
    calibration = data.sample("train", settings.recalibration_images)
    batches = PassBatches(
        # Of equal size, as each counts alike; and batch norm refuses a single last image.
        list(calibration.to(device).tensor_split(-(-len(calibration) // _BATCH))),
        list(images.to(device).split(_BATCH)),
    )
    return _Images(batches, labels.to(device).split(_BATCH))


def _judged(
    label: str, logits: Sequence[Tensor], labels: Sequence[Tensor], section: str
) -> NetworkScore:
    """A score from logits and labels, batch by batch, where they are: a GPU is waited for once."""
    batches = list(zip(logits, labels, strict=True))
    losses = torch.cat([F.cross_entropy(*batch, reduction="none") for batch in batches]).cpu()
    if not losses.isfinite().all():
        raise PipelineError(
            f"{label}: its outputs are no numbers for some images",
            hint=f"train it again with a lower {section}.learning_rate",
        )
    hits = sum((outputs.argmax(1) == of).sum() for outputs, of in batches)
    return NetworkScore.of(losses.numpy(), int(hits))


@dataclass(frozen=True)
class Tally:
    """Images classified correctly and images in all, by class.

    Attributes:
        correct: Shape (classes,), on the CPU.
        total: Shape (classes,), on the CPU.
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


def network_score(
    model: Callable[[Tensor], Tensor], batches: Iterable[Batch], label: str
) -> NetworkScore:
    """What a network that is trained alone does on images.

    Args:
        model: Maps images of shape (n, 3, r, r) to logits of shape (n, num_classes); in evaluation
            mode.
        batches: What to evaluate on.
        label: Of the network, for messages.

    Raises:
        PipelineError: Its outputs are no numbers.
    """
    logits, labels = [], []
    with torch.inference_mode():
        for images, of in batches:
            logits.append(model(images))
            labels.append(of.to(logits[-1].device))
        return _judged(label, logits, labels, "retrain")


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
            logits = model(inputs)
            device = logits.device
            # Counted where the logits are: a GPU is waited for once, at the end.
            correct, total, labels = correct.to(device), total.to(device), labels.to(device)
            hits = logits.argmax(1) == labels
            correct.index_add_(0, labels, hits.long())
            total.index_add_(0, labels, torch.ones_like(labels))
    correct, total = correct.cpu(), total.cpu()
    if not total.any():
        raise DataError("there are no images to evaluate on")
    return Tally(correct, total)
