"""What is worth knowing of a hypernetwork's scores before they are believed, in words."""

from __future__ import annotations

import math
from collections.abc import Iterator

from pipeline.records.scores import ScoreSpread

_LEAST_RELIABILITY = 0.5
# Standard errors within which a figure does not clearly differ from that of guessing.
_DEVIATIONS = 2.0


def score_remarks(spread: ScoreSpread, images: int, available: int) -> Iterator[str]:
    """A sentence where scores say little, with the setting that would change it; often none.

    Args:
        spread: Of the scores.
        images: Images that a search's scores are made of; those of `spread` may be others.
        available: Images of search-validation that there are.
    """
    if is_near_guessing(spread):
        yield (
            f"scores are near those of guessing: the best log-loss is "
            f"{spread.best_log_loss_nats:.3f} ± {spread.best_error_nats:.3f} nats (guessing: "
            f"{_guessing_nats(spread):.3f}), with {spread.best_accuracy_percent:.1f} % top-1 "
            f"(guessing: {100 / spread.num_classes:.1f} %); train the hypernetwork longer "
            "(train.epochs)"
        )
    elif spread.reliability_at(min(images, available)) < _LEAST_RELIABILITY:
        yield (
            f"scores are mostly noise: those of {spread.networks} networks spread by "
            f"{spread.std_nats:.4f} nats where the error of a score alone makes "
            f"{spread.error_nats:.4f}; {_remedy(spread, available)}"
        )


def is_near_guessing(spread: ScoreSpread) -> bool:
    """Whether the best of the networks does not clearly do better than guessing."""
    chance = 1 / spread.num_classes
    error = math.sqrt(chance * (1 - chance) / spread.images)
    return (
        spread.best_log_loss_nats + _DEVIATIONS * spread.best_error_nats >= _guessing_nats(spread)
        or spread.best_accuracy_percent / 100 <= chance + _DEVIATIONS * error
    )


def _remedy(spread: ScoreSpread, available: int) -> str:
    """More images where there are enough; else networks that differ more."""
    if spread.reliability_at(available) >= _LEAST_RELIABILITY:
        needed = math.ceil(spread.images * spread.error_nats**2 / spread.own_variance)
        return f"score on at least {needed} of the {available} images there are (score.images)"
    too_few = f"all {available} images of search-validation would not change that"
    # Networks part as they learn; those that know most of it already will hardly part any more.
    if spread.best_log_loss_nats > _guessing_nats(spread) / 2:
        return f"{too_few}: train the hypernetwork longer (train.epochs)"
    return f"{too_few}: search networks that differ more, by their input size (space.resolution)"


def _guessing_nats(spread: ScoreSpread) -> float:
    """Log-loss of giving each class the same probability."""
    return math.log(spread.num_classes)
