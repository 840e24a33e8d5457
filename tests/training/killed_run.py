"""A training run as a process of its own, for tests that kill it.

Usage: killed_run.py KIND FOLDER; `runs` says what each kind trains.
"""

import sys
from pathlib import Path

import torch

from pipeline.progress import Progress, silent
from pipeline.records import RetrainRecord, TrainRecord
from pipeline.space import Architecture, get_space
from pipeline.training.datasets import open_dataset
from pipeline.training.hypernetwork import train_hypernetwork
from pipeline.training.retraining import retrain
from pipeline.training.settings import RetrainSettings, TrainSettings


def train(folder: Path, progress: Progress = silent, *, epochs: int = 4) -> TrainRecord:
    return train_hypernetwork(
        get_space("cream").narrowed(max_depth=1, operators=["mb4_3x3", "mb6_5x5"]),
        open_dataset("digits", resolution=32, seed=0, max_train=192),
        TrainSettings(epochs=epochs, batch_size=32),
        resolution=32,
        macs_window=(None, 2.8e6),
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
        warm_start=None,
        folder=folder,
        seed=0,
        progress=progress,
    )


RUNS = {"train": train, "retrain": retrain_small}


if __name__ == "__main__":
    torch.set_num_threads(1)
    RUNS[sys.argv[1]](Path(sys.argv[2]))
