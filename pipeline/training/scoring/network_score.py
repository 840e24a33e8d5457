"""What a network does on images: its mean log-loss, and how sure comparisons of it are.

All networks that are compared see the same images. Which images these happen to be moves all log-
losses alike and no comparison, so the error of a score is that of differences. With xᵢⱼ the loss of
network i (of n) in image part j (of K, holding the share wⱼ of all images), and x̄ⱼ the mean of all
networks there:

    dᵢⱼ = xᵢⱼ − x̄ⱼ,    d̄ᵢ = Σⱼ wⱼ dᵢⱼ,
    errorᵢ² = n/(n − 1) · Σⱼ wⱼ² (dᵢⱼ − d̄ᵢ)² / (1 − Σⱼ wⱼ²)

the variance of a mean over clusters (Cochran, "Sampling Techniques", 1977, chapter 9A; parts
instead of single images only save room), of differences to what all networks have on the same
images; n/(n − 1) puts back what a network has in common with a mean that it is part of. The
difference of networks i and k has the error √(errorᵢ² + errorₖ²).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.records.scores import AccuracyScale, ScoreSpread
from pipeline.space.encoding import Floats

_MOST_PARTS = 100
"""So many that errors are known to a fifteenth of themselves."""


@dataclass(frozen=True)
class NetworkScore:
    """What a network does on some images.

    Attributes:
        images: How many.
        log_losses: Mean log-loss of each part of the images, in nats; parts are as equal as they
            can be, the longer ones first.
        accuracy_percent: Top-1.
    """

    images: int
    log_losses: tuple[float, ...]
    accuracy_percent: float

    @classmethod
    def of(cls, losses: NDArray[np.floating], hits: int) -> NetworkScore:
        """Sums up the images.

        Args:
            losses: Log-loss of each image, in nats; at least one.
            hits: Images classified correctly.
        """
        images = len(losses)
        sizes = _sizes(images, min(_MOST_PARTS, images))
        sums = np.add.reduceat(losses.astype(np.float64), np.cumsum(sizes) - sizes)
        return cls(images, tuple((sums / sizes).tolist()), 100.0 * hits / images)

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> NetworkScore:
        """Reads what `dataclasses.asdict` gives, from among other keys.

        Raises:
            ValueError, KeyError, TypeError: It is no score.
        """
        return cls(
            images=int(kept["images"]),
            log_losses=tuple(map(float, kept["log_losses"])),
            accuracy_percent=float(kept["accuracy_percent"]),
        )

    @property
    def log_loss_nats(self) -> float:
        """Mean log-loss over all images."""
        return math.fsum(self._shares * np.array(self.log_losses))

    @property
    def error_nats(self) -> float | None:
        """Standard error of the log-loss by itself, for other images; None of a single image."""
        if len(self.log_losses) < 2:
            return None
        deviations = np.array(self.log_losses) - self.log_loss_nats
        return float(np.sqrt(_cluster_variance(deviations, self._shares)))

    @property
    def _shares(self) -> Floats:
        return _shares(self.images, len(self.log_losses))


def paired_errors_nats(scores: Sequence[NetworkScore]) -> Floats | None:
    """Standard error of each score in comparisons with the others; see the module.

    Args:
        scores: Of networks on the same images.

    Returns:
        Shape (n,); None of a single network or a single image, which nothing can be said of.
    """
    losses = np.array([score.log_losses for score in scores], dtype=np.float64)
    if len(losses) < 2 or losses.shape[1] < 2:
        return None
    shares = _shares(scores[0].images, losses.shape[1])
    differences = losses - losses.mean(axis=0)
    deviations = differences - (differences @ shares)[:, None]
    own = len(losses) / (len(losses) - 1)
    return np.asarray(np.sqrt(own * _cluster_variance(deviations, shares)))


def spread_of(scores: Sequence[NetworkScore], num_classes: int) -> ScoreSpread | None:
    """How far networks' scores are apart, and how far they can be told apart.

    Args:
        scores: Of networks on the same images.
        num_classes: Classes they tell apart.

    Returns:
        None where no error is known; see `paired_errors_nats`.
    """
    errors = paired_errors_nats(scores)
    if errors is None:
        return None
    best = min(scores, key=lambda score: score.log_loss_nats)
    return ScoreSpread(
        networks=len(scores),
        images=best.images,
        num_classes=num_classes,
        std_nats=float(np.std([score.log_loss_nats for score in scores], ddof=1)),
        error_nats=float(np.sqrt(np.mean(errors**2))),
        best_log_loss_nats=best.log_loss_nats,
        best_error_nats=best.error_nats or 0.0,
        best_accuracy_percent=best.accuracy_percent,
    )


def scale_of(scores: Sequence[NetworkScore]) -> AccuracyScale:
    """How the log-losses of networks are told as accuracies; of one network at least."""
    log_losses = np.array([score.log_loss_nats for score in scores])
    accuracies = np.array([score.accuracy_percent for score in scores])
    deviations = log_losses - log_losses.mean()
    together = -float(deviations @ (accuracies - accuracies.mean()))
    return AccuracyScale(
        log_loss_nats=float(log_losses.mean()),
        accuracy_percent=float(accuracies.mean()),
        percent_per_nat=together / float(deviations @ deviations) if together > 0 else 0.0,
    )


def _sizes(images: int, parts: int) -> NDArray[np.intp]:
    """Images of each part; shape (parts,)."""
    return np.asarray(images // parts + (np.arange(parts) < images % parts))


def _shares(images: int, parts: int) -> Floats:
    """Share of the images in each part; shape (parts,)."""
    return np.asarray(_sizes(images, parts) / images)


def _cluster_variance(deviations: Floats, shares: Floats) -> Floats:
    """Variance of weighted means over parts; `deviations` of shape (…, parts), two at least."""
    return np.asarray((shares**2 * deviations**2).sum(axis=-1) / (1 - (shares**2).sum()))
