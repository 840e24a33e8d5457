"""A network tried out: the beginning of its training, which is gone on with if it is chosen."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from pipeline.images.image_data import ImageData
from pipeline.training.context import training_context
from pipeline.training.retraining.alone import Alone, AnyNetwork, Hypernetwork
from pipeline.training.scoring.network_score import NetworkScore
from pipeline.training.settings import RetrainSettings
from pipeline.work.progress import Progress


def try_out(
    network: AnyNetwork,
    data: ImageData,
    settings: RetrainSettings,
    *,
    hypernetwork: Hypernetwork,
    share: float,
    stable_share: float,
    folder: Path,
    seed: int,
    progress: Progress,
) -> NetworkScore:
    """Trains a network as `retrain` would, up to a share of its steps.

    Args:
        network: Of a search space, or of timm.
        data: Images at its resolution, of its number of classes.
        settings: As for the whole training; with `ema_decay` the average is scored.
        hypernetwork: To start from or to be taught by, where the settings say so.
        share: Of the steps of the whole training; where more were done before, these count.
        stable_share: Share after which the learning rate falls; at least `share`, or what is tried
            is no beginning of other lengths.
        folder: Takes the checkpoint that a call with a larger share, or `retrain`, goes on from.
        seed: As for the whole training.
        progress: Told about steps.

    Returns:
        The score on search-validation.

    Raises:
        PipelineError: As `retrain`.
    """
    with training_context(folder, seed, progress) as context:
        alone = Alone.of(network, data, settings, context, hypernetwork, stable_share)
        alone.fit.run(until=max(1, round(share * alone.fit.steps)))
        average = alone.fit.average
        with average.applied() if average else nullcontext():
            return alone.score()
