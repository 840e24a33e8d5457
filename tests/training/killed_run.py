"""A training run as a process of its own, for tests that kill it.

Usage: killed_run.py KIND FOLDER; `runs` says what each kind trains.
"""

import sys
from functools import partial
from pathlib import Path

import torch

from pipeline.images.datasets import open_dataset
from pipeline.records.retrain import RetrainRecord
from pipeline.records.train import TrainRecord
from pipeline.space.architecture import Architecture
from pipeline.space.search_space import get_space
from pipeline.training import fitting
from pipeline.training.hypernetwork.hypernetwork import train_hypernetwork
from pipeline.training.hypernetwork.path_sampling import PathLimits
from pipeline.training.retraining.retraining import retrain
from pipeline.training.settings import (
    MatchingSettings,
    Method,
    RetrainSettings,
    TeachingSettings,
    TrainSettings,
)
from pipeline.work.progress import Progress, silent


def train(
    folder: Path, progress: Progress = silent, *, epochs: int = 4, method: Method = "single-path"
) -> TrainRecord:
    matching = MatchingSettings(images=32, probes=4, every=3)
    settings = TrainSettings(
        method=method,
        epochs=epochs,
        batch_size=32,
        growth_share=0.2,
        ema_decay=0.0 if method == "single-path" else 0.9,
        teaching=TeachingSettings(board_size=3, matching=matching),
    )
    return train_hypernetwork(
        get_space("cream").narrowed(max_depth=1, operators=["mb4_3x3", "mb6_5x5"]),
        open_dataset(
            "digits",
            resolution=32,
            seed=0,
            max_train=192,
            matching_images=settings.matching_images,
        ),
        settings,
        limits=PathLimits(macs=2.8e6),
        folder=folder,
        seed=0,
        progress=progress,
    )


def retrain_small(folder: Path, progress: Progress = silent, *, epochs: int = 4) -> RetrainRecord:
    stages = (("mb4_3x3",), ("mb6_5x5", "mb4_3x3"), ("mb4_3x3",), ("mb4_3x3",), ("mb6_5x5",))
    return retrain(
        Architecture(space="cream", resolution=32, num_classes=10, stages=stages),
        open_dataset("digits", resolution=32, seed=0, max_train=192),
        RetrainSettings(epochs=epochs, batch_size=32, dropout=0.2, warm_start=False),
        supernet=None,
        folder=folder,
        seed=0,
        progress=progress,
    )


RUNS = {
    "train": train,
    "cream": partial(train, method="cream"),
    "retrain": retrain_small,
}


if __name__ == "__main__":
    torch.set_num_threads(1)
    # Checkpoints within epochs, as a training of hours would write them.
    fitting._ROUND, fitting._CHECKPOINT_EVERY_S = 2, 0.0
    RUNS[sys.argv[1]](Path(sys.argv[2]))
