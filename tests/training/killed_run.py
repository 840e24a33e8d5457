"""A training run as a process of its own, for tests that kill it.

Usage: killed_run.py KIND FOLDER; `RUNS` says what each kind trains.
"""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from pipeline.records.retrain import RetrainRecord
from pipeline.records.train import TrainRecord
from pipeline.training import fitting
from tests.training.tiny import CREAM, RETRAIN, SINGLE_PATH, retrain_network, train

Run = Callable[..., TrainRecord | RetrainRecord]
SANDWICH = CREAM.model_copy(update={"method": "sandwich"})
SETTINGS = {
    "single-path": SINGLE_PATH,
    "cream": CREAM,
    "sandwich": SANDWICH,
    "retrain": RETRAIN,
}


def run_of(kind: str, *, epochs: int = 3) -> Run:
    """Trains what `SETTINGS` say of a kind."""
    settings = SETTINGS[kind].model_copy(update={"epochs": epochs})
    return partial(retrain_network if kind == "retrain" else train, settings=settings)


if __name__ == "__main__":
    torch.set_num_threads(1)
    # Checkpoints within epochs, as a training of hours would write them.
    fitting._ROUND, fitting._CHECKPOINT_EVERY_S = 2, 0.0
    run_of(sys.argv[1], epochs=12)(Path(sys.argv[2]))
