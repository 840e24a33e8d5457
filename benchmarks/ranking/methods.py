"""The hypernetworks of the ranking study: how each is trained, and what it says of networks."""

from __future__ import annotations

import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from benchmarks.jobs import Entry
from benchmarks.ranking.design import SIZES
from benchmarks.ranking.kernel_transform import transformed_kernels
from benchmarks.trainings import trained_hypernetwork
from pipeline.images.datasets import open_dataset
from pipeline.space.architecture import Architecture
from pipeline.training.hypernetwork.path_sampling import PathLimits
from pipeline.training.settings import TrainSettings

# What a step costs beside a single path's, so that all methods take about as many core-seconds.
_COST = {"single-path": 1.0, "cream": 1.4, "sandwich": 4.0}

# The methods compared, then what was tried besides.
METHODS: dict[str, dict[str, Any]] = {
    "separate": {"method": "single-path", "sharing": "separate"},
    "cream": {"method": "cream", "sharing": "separate"},
    "entangled": {"method": "single-path", "sharing": "entangled"},
    "entangled, in-place distillation": {"method": "sandwich", "sharing": "entangled"},
}
VARIATIONS: dict[str, dict[str, Any]] = {
    "cream, entangled": {"method": "cream", "sharing": "entangled"},
    "separate, in-place distillation": {"method": "sandwich", "sharing": "separate"},
    "entangled, averaged": {"method": "single-path", "sharing": "entangled", "ema_decay": 0.995},
    "entangled, kernels transformed": {"method": "single-path", "sharing": "entangled"},
}
TRANSFORMED = "entangled, kernels transformed"
KNOWN = {**METHODS, **VARIATIONS}


class Hypernetwork(Entry):
    """One hypernetwork to train, and the networks it scores.

    Attributes:
        dataset: Name of the folder of images.
        transformed: Whether smaller kernels are learned transforms of the largest.
    """

    settings: TrainSettings
    dataset: str
    seed: int
    networks: tuple[Architecture, ...]
    transformed: bool = False


class HypernetworkResult(Entry):
    """What one hypernetwork says, a value for each network, on search-validation.

    Attributes:
        log_loss: Mean over images, in nats.
        percent: Top-1.
        seconds: Of its training, on one core.
    """

    question: Hypernetwork
    log_loss: tuple[float, ...]
    percent: tuple[float, ...]
    seconds: float


def settings_of(name: str, paths_an_image: float, *, equal_steps: bool = False) -> TrainSettings:
    """How a method is trained.

    Args:
        name: Of the method.
        paths_an_image: How many paths a single-path training shows each image to.
        equal_steps: Whether it takes as many steps as single-path training, instead of about as
            many core-seconds.
    """
    changes = KNOWN[name]
    cost = 1.0 if equal_steps else _COST[changes["method"]]
    epochs = max(1, round(paths_an_image / cost))
    return TrainSettings.model_validate(
        {
            "epochs": epochs,
            "batch_size": 64,
            "learning_rate": 3e-3,
            "resolutions": SIZES[1:],
            **changes,
        }
    )


def train_and_score(question: Hypernetwork, scratch: Path, *, data: Path) -> HypernetworkResult:
    """Trains a hypernetwork at all input sizes and scores networks with it."""
    settings = question.settings
    images = open_dataset(
        str(data), resolution=SIZES[0], seed=0, matching_images=settings.matching_images
    )
    with transformed_kernels() if question.transformed else nullcontext():
        record, score = trained_hypernetwork(
            images, settings, PathLimits(), scratch, seed=question.seed
        )
    scores = score.scores(question.networks)
    shutil.rmtree(scratch)
    return HypernetworkResult(
        question=question,
        log_loss=tuple(it.log_loss_nats for it in scores),
        percent=tuple(it.accuracy_percent for it in scores),
        seconds=record.seconds,
    )
