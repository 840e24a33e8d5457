"""Trainings that take a second: a hypernetwork of two operators, and one network of it."""

from pathlib import Path

from pipeline.images.datasets import open_dataset
from pipeline.records.retrain import RetrainRecord
from pipeline.records.train import TrainRecord
from pipeline.space.architecture import Architecture
from pipeline.space.search_space import SearchSpace, get_space
from pipeline.training.hypernetwork.hypernetwork import train_hypernetwork
from pipeline.training.hypernetwork.path_sampling import PathLimits
from pipeline.training.retraining.retraining import retrain
from pipeline.training.settings import (
    MatchingSettings,
    RetrainSettings,
    TeachingSettings,
    TrainSettings,
)
from pipeline.work.progress import Progress, silent

NARROW = get_space("cream").narrowed(max_depth=1, operators=["mb4_3x3", "mb6_5x5"])
NETWORK = Architecture(
    space="cream",
    resolution=32,
    num_classes=10,
    stages=(("mb4_3x3",), ("mb6_5x5",), ("mb4_3x3",), ("mb4_3x3",), ("mb6_5x5",)),
)
# A board from the second step on.
CREAM = TrainSettings(
    method="cream",
    epochs=3,
    batch_size=16,
    ema_decay=0.9,
    teaching=TeachingSettings(board_size=3, start_share=0.1, matching=MatchingSettings(images=128)),
)
SINGLE_PATH = CREAM.model_copy(update={"method": "single-path", "ema_decay": 0.0})
RETRAIN = RetrainSettings(epochs=3, batch_size=16, dropout=0.2)


def train(
    folder: Path,
    progress: Progress = silent,
    *,
    settings: TrainSettings = CREAM,
    space: SearchSpace = NARROW,
    limits: PathLimits | None = None,
    images: int | None = 48,
) -> TrainRecord:
    """Three steps an epoch."""
    held_out = settings.matching_images
    return train_hypernetwork(
        space,
        open_dataset("digits", resolution=32, seed=0, max_train=images, matching_images=held_out),
        settings,
        limits=limits or PathLimits(),
        folder=folder,
        seed=0,
        progress=progress,
    )


def retrain_network(
    folder: Path, progress: Progress = silent, *, settings: RetrainSettings = RETRAIN
) -> RetrainRecord:
    """Three steps an epoch."""
    return retrain(
        NETWORK,
        open_dataset("digits", resolution=32, seed=0, max_train=48),
        settings,
        supernet=None,
        folder=folder,
        seed=0,
        progress=progress,
    )
